//! People in rooms of the chat, over the wire: version 2 of its protocol, on one server or on several.

use serde_json::{Value, json};
use yamabiko::chat::{Access, Chat, SUBPROTOCOL_V2};
use yamabiko::server::{Config, HistoryLimits, RoomHistory};
use yamabiko::tokens::Tokens;
use yamabiko_testing::socket::{Client, TestServer};

/// The key of an operator, who moderates all rooms.
pub const OPERATOR: &str = "operator-0123456789abc";

/// With rooms that keep their messages, and an operator.
pub fn settings(config: Config) -> Config {
    let keys = format!("{OPERATOR} publish=/chat/*,/moderate/* subscribe=/chat/*");
    let tokens = Tokens::new().shared_keys(&keys).expect("keys");
    Config {
        history: Some(HistoryLimits::default()),
        tokens: Some(tokens.optional(true)),
        ..config
    }
}

/// A chat for everybody.
pub fn chat() -> Chat {
    Chat::new()
        .chat_access(Access::Open)
        .history(Some(RoomHistory::default()))
}

/// `fields`: further ones of the request, each with its end of line.
pub fn connect(server: &TestServer, room: &str, fields: &str) -> Client {
    let offer = format!("Sec-WebSocket-Protocol: {SUBPROTOCOL_V2}\r\n{fields}");
    Client::connect(server.address).upgraded_with(&format!("/chat/{room}"), &offer)
}

/// A request to enter as this person, with further fields.
pub fn enter(name: &str, more: Value) -> String {
    let mut request = json!({
        "type": "enter",
        "name": name,
        "session": format!("{name:->16}"),
        "history": 100,
    });
    let fields = request.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    request.to_string()
}

/// The next message.
pub fn read(client: &mut Client) -> Value {
    serde_json::from_str(&client.read_text()).expect("JSON")
}

/// The next message of this type.
pub fn read_type(client: &mut Client, kind: &str) -> Value {
    loop {
        let message = read(client);
        if message["type"] == kind {
            return message;
        }
    }
}

/// The answer to a request to enter, and the client.
pub fn entering(server: &TestServer, room: &str, request: &str) -> (Client, Value) {
    let mut client = connect(server, room, "");
    client.text(request);
    let answer = read(&mut client);
    (client, answer)
}

/// A member of the room.
#[track_caller]
pub fn entered(server: &TestServer, room: &str, name: &str, more: Value) -> Client {
    let (client, welcome) = entering(server, room, &enter(name, more));
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    client
}

/// What the server tells by HTTP.
pub fn get(server: &TestServer, path: &str) -> Value {
    let mut client = Client::connect(server.address);
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    client.send(request.as_bytes());
    let response = String::from_utf8(client.read_to_end()).expect("text");
    let (_, body) = response.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).expect("JSON")
}
