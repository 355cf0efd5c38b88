//! The chat compared with its specification, `docs/chat-protocol.md`: first the text (every
//! example, limit and code) with the code, then a server with two workers over the wire.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use yamabiko::chat::{
    Chat, ClientMessage, ErrorCode, ID_BYTES_MAX, MESSAGE_BYTES_MAX, NAME_CHARACTERS_MAX,
    NAMES_LISTED_MAX, PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN, Presence, REMOVED,
    ROOM_CHARACTERS_MAX, Request, SECRET_BYTES_MAX, SECRET_BYTES_MIN, SUBPROTOCOL, SUBPROTOCOL_V2,
    ServerMessage, TABS_MAX, TAKEN_OVER, TEXT_BYTES_MAX, TOPIC_BYTES_MAX,
};
use yamabiko::client::{Client, ClientBuilder, ClientError, OwnedMessage};
use yamabiko::server::Config;
use yamabiko::websocket::Message;
use yamabiko::websocket::frame::CloseCode;

use yamabiko_testing::socket::TestServer;
use yamabiko_testing::waiting::{Deadline, LOOP_TIMEOUT, TIMEOUT, bounded, eventually};

const SPECIFICATION: &str = include_str!("../../docs/chat-protocol.md");

/// The examples of one speaker, `C ` or `S `, block by block.
fn examples(speaker: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let blocks = SPECIFICATION.split("```chat\n").skip(1);
    blocks.map(move |block| {
        let block = block.split("```").next().unwrap_or_default();
        block
            .lines()
            .filter_map(|line| line.strip_prefix(speaker))
            .collect()
    })
}

fn type_of(json: &str) -> String {
    let value: Value = serde_json::from_str(json).expect("an example is JSON");
    value["type"]
        .as_str()
        .expect("an example has a type")
        .to_owned()
}

#[test]
fn every_example_of_a_client_is_valid_except_the_one_that_shows_an_error() {
    let mut types = Vec::new();
    for json in examples("C ").flatten() {
        match Request::parse(json) {
            Ok(request) => types.push(request.message.kind()),
            Err(reply) => assert_eq!(
                (reply.code, type_of(json).as_str()),
                (ErrorCode::UnknownType, "shout")
            ),
        }
    }
    types.sort_unstable();
    types.dedup();
    assert_eq!(
        types,
        [
            "action", "ban", "delete", "enter", "invite", "join", "kick", "leave", "message",
            "mute", "names", "rename", "revoke", "slow", "topic", "typing"
        ]
    );
}

#[test]
fn every_example_of_the_server_is_written_as_the_server_writes_it() {
    let mut types = Vec::new();
    for json in examples("S ").flatten() {
        let message: ServerMessage<'_> = serde_json::from_str(json).expect("a server message");
        assert_eq!(message.to_json(), json);
        types.push(type_of(json));
    }
    types.sort_unstable();
    types.dedup();
    assert_eq!(
        types,
        [
            "deleted",
            "error",
            "invitation",
            "joined",
            "left",
            "message",
            "missed",
            "moderated",
            "names",
            "topic",
            "typing",
            "welcome"
        ]
    );
}

#[test]
fn every_example_of_an_error_is_the_reply_to_the_line_before_it() {
    let reply = Request::parse(r#"{"type":"shout"}"#).expect_err("an unknown type");
    let json = ServerMessage::Error(reply).to_json();
    assert!(
        SPECIFICATION.contains(&format!("C {{\"type\":\"shout\"}}\nS {json}\n")),
        "{json}"
    );
}

#[test]
fn example_of_changes_out_of_order_ends_as_specified() {
    let block = examples("S ")
        .find(|block| block.len() == 3 && type_of(block[0]) == "names")
        .expect("the example with three lines");
    let mut presence = Presence::default();
    for json in block {
        presence.apply(&serde_json::from_str(json).expect("a server message"));
    }
    assert_eq!(presence.names().collect::<Vec<_>>(), ["Bo", "Chie"]);
    assert!(SPECIFICATION.contains("Now Bo and Chie are here"));
}

#[test]
fn table_of_codes_is_complete() {
    let (_, table) = SPECIFICATION
        .split_once("| `code` | what was wrong |\n")
        .expect("the table");
    let codes: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split("` |").next())
        .filter(|code| code.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect();
    assert_eq!(codes.len(), 33, "{codes:?}");
    for code in codes {
        let read: ErrorCode = serde_json::from_value(code.into()).expect("a code");
        assert_ne!(read, ErrorCode::Unknown, "{code}");
    }
}

#[test]
fn limits_in_the_text_are_those_of_the_code() {
    let title = format!("# The chat protocol: `{SUBPROTOCOL}` and `{SUBPROTOCOL_V2}`");
    assert!(SPECIFICATION.starts_with(&title));
    for bound in [
        format!("{SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} random bytes as text"),
        format!("up to {TABS_MAX} connections"),
        format!("| {TAKEN_OVER} |"),
        format!("| {REMOVED} |"),
        format!("{PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} bytes |"),
        format!("1 to {NAME_CHARACTERS_MAX} characters"),
        format!("1 to {TEXT_BYTES_MAX} bytes"),
        format!("at most {TOPIC_BYTES_MAX} bytes that"),
        format!("1 to {ROOM_CHARACTERS_MAX} characters"),
        format!("at most {NAMES_LISTED_MAX} of them"),
        format!("a string of at most {ID_BYTES_MAX} bytes"),
        format!(
            "{},{} bytes of JSON",
            MESSAGE_BYTES_MAX / 1000,
            MESSAGE_BYTES_MAX % 1000
        ),
    ] {
        assert!(SPECIFICATION.contains(&bound), "{bound}");
    }
}

/// The chat on two workers.
struct ChatServer(TestServer);

impl ChatServer {
    fn start() -> ChatServer {
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            workers: NonZeroUsize::MIN.saturating_add(1),
            drain_timeout: Duration::from_secs(1),
            handshake_timeout: TIMEOUT,
            ping_interval: None,
            ..Config::default()
        };
        ChatServer(TestServer::start(config, Chat::new()))
    }

    fn builder(&self, path: &str) -> ClientBuilder {
        Client::builder(&self.0.url(path))
            .read_timeout(TIMEOUT)
            .write_timeout(TIMEOUT)
    }

    fn connect(&self, path: &str) -> Client {
        self.builder(path).connect().expect("the server lets us in")
    }

    /// A client that has joined, and its welcome message.
    fn join(&self, room: &str, name: &str) -> (Client, Value) {
        let mut client = self.connect(&format!("/chat/{room}"));
        send(&mut client, &ClientMessage::Join { name: name.into() });
        let welcome = receive(&mut client);
        assert_eq!(welcome["type"], "welcome");
        (client, welcome)
    }
}

fn send(client: &mut Client, message: &ClientMessage<'_>) {
    client
        .send(Message::Text(&message.to_json()))
        .expect("it is sent");
}

fn receive(client: &mut Client) -> Value {
    match client.read() {
        Ok(Some(OwnedMessage::Text(json))) => serde_json::from_str(&json).expect("JSON"),
        other => panic!("not a text message: {other:?}"),
    }
}

fn receive_type(client: &mut Client, kind: &str) -> Value {
    let deadline = Deadline::after(LOOP_TIMEOUT);
    loop {
        let message = receive(client);
        if message["type"] == kind {
            return message;
        }
        deadline.check(kind);
    }
}

#[test]
fn two_members_exchange_messages_and_one_leaves() {
    let server = ChatServer::start();
    let (mut aiko, _) = server.join("lobby", "Aiko");
    let (mut bo, welcome) = server.join("lobby", "Bo");
    assert_eq!(welcome["names"], serde_json::json!(["Aiko", "Bo"]));
    assert_eq!(receive(&mut aiko)["name"], "Bo");

    send(
        &mut aiko,
        &ClientMessage::Message {
            text: "Yo-ho!".into(),
        },
    );
    for client in [&mut aiko, &mut bo] {
        let message = receive_type(client, "message");
        assert_eq!(
            (&message["from"], &message["text"]),
            (&"Aiko".into(), &"Yo-ho!".into())
        );
        assert!(message["time"].as_u64().expect("a time") > 1_700_000_000_000);
    }

    send(&mut bo, &ClientMessage::Leave);
    assert_eq!(receive_type(&mut bo, "left")["name"], "Bo");
    assert_eq!(receive_type(&mut aiko, "left")["name"], "Bo");

    let (mut chie, _) = server.join("lobby", "Chie");
    drop(aiko);
    assert_eq!(receive_type(&mut chie, "left")["name"], "Aiko");
}

#[test]
fn all_members_on_all_workers_receive_the_same_order() {
    const MEMBERS: usize = 6;
    const EACH: usize = 50;
    let server = ChatServer::start();
    let clients: Vec<Client> = (0..MEMBERS)
        .map(|n| server.join("order", &format!("p{n}")).0)
        .collect();
    let received: Vec<Vec<String>> = thread::scope(|scope| {
        let threads: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(|| exchange(client, EACH, MEMBERS * EACH)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("all messages arrive"))
            .collect()
    });
    assert_eq!(received[0].len(), MEMBERS * EACH);
    assert!(
        received.iter().all(|other| *other == received[0]),
        "one order for all"
    );
}

/// Sends `count` messages, and receives `all` messages of the room.
fn exchange(mut client: Client, count: usize, all: usize) -> Vec<String> {
    for n in 0..count {
        send(
            &mut client,
            &ClientMessage::Message {
                text: format!("{n}").into(),
            },
        );
    }
    (0..all)
        .map(|_| receive_type(&mut client, "message"))
        .map(|message| format!("{} {}", message["from"], message["text"]))
        .collect()
}

#[test]
fn concurrent_changes_of_names_on_all_workers_are_consistent() {
    let server = ChatServer::start();
    let (mut reader, welcome) = server.join("names", "reader");
    let mut presence = Presence::default();
    presence.apply(&serde_json::from_value(welcome).expect("a welcome"));
    let stayed: Vec<Client> = thread::scope(|scope| {
        let come = |person| {
            let server = &server;
            scope.spawn(move || join_and_leave(server, &format!("p{person}")))
        };
        let people: Vec<_> = (0..6).map(come).collect();
        people
            .into_iter()
            .map(|thread| thread.join().expect("it stays"))
            .collect()
    });
    // Six stay; each had twenty earlier joins and leaves.
    while presence.revision() != Some(1 + 6 * 41) {
        let message = receive(&mut reader);
        presence.apply(&serde_json::from_value(message).expect("a server message"));
    }
    assert_eq!(
        presence.names().collect::<Vec<_>>(),
        ["p0", "p1", "p2", "p3", "p4", "p5", "reader"]
    );
    drop(stayed);
}

/// Joins repeatedly, each time on a new connection of any worker; the last one stays.
fn join_and_leave(server: &ChatServer, name: &str) -> Client {
    for _ in 0..20 {
        let (mut client, _) = server.join("names", name);
        send(&mut client, &ClientMessage::Leave);
        while receive_type(&mut client, "left")["name"] != name {}
    }
    server.join("names", name).0
}

#[test]
fn no_message_of_a_client_ends_its_connection() {
    let server = ChatServer::start();
    let (mut client, _) = server.join("errors", "Aiko");
    for nonsense in [
        "",
        "{",
        "[]",
        r#"{"type":"shout"}"#,
        r#"{"type":"message"}"#,
        r#"{"type":"join","name":"Bo"}"#,
    ] {
        client.send(Message::Text(nonsense)).expect("it is sent");
        assert_eq!(receive(&mut client)["type"], "error", "{nonsense}");
    }
    client.send(Message::Binary(&[0, 255])).expect("it is sent");
    assert_eq!(receive(&mut client)["code"], "binary");
    let too_long = " ".repeat(MESSAGE_BYTES_MAX + 1);
    client.send(Message::Text(&too_long)).expect("it is sent");
    assert_eq!(receive(&mut client)["code"], "too_long");
    send(
        &mut client,
        &ClientMessage::Message {
            text: "still here".into(),
        },
    );
    assert_eq!(receive(&mut client)["text"], "still here");
}

#[test]
fn subprotocol_is_version_2_or_version_1_or_none() {
    let server = ChatServer::start();
    let client = server
        .builder("/chat/lobby")
        .subprotocol("other")
        .subprotocol(SUBPROTOCOL)
        .connect();
    assert_eq!(
        client.expect("offered among others").subprotocol(),
        Some(SUBPROTOCOL)
    );
    let both = server
        .builder("/chat/lobby")
        .subprotocol(SUBPROTOCOL)
        .subprotocol(SUBPROTOCOL_V2)
        .connect();
    let both = both.expect("both are known");
    assert_eq!(both.subprotocol(), Some(SUBPROTOCOL_V2));
    assert_eq!(server.connect("/chat/lobby").subprotocol(), None);
    let refused = server
        .builder("/chat/lobby")
        .subprotocol("yamabiko.chat.v3")
        .connect();
    assert!(matches!(refused, Err(ClientError::Refused(_))));
    let nowhere = server.builder("/chat/no such room").connect();
    assert!(nowhere.is_err());
}

#[test]
fn broadcast_publishes_every_message_unchanged_to_all_and_not_to_the_chat() {
    let server = ChatServer::start();
    let mut chat = server.join("x", "Aiko").0;
    let (mut one, mut other) = (
        server.connect("/broadcast/x"),
        server.connect("/broadcast/x"),
    );
    wait_until_both_receive(&mut one, &mut other);
    for message in [
        Message::Text("{not json"),
        Message::Binary(&[0, 1, 255]),
        Message::Text(""),
    ] {
        one.send(message).expect("it is sent");
        for client in [&mut one, &mut other] {
            let received = client.read().expect("open").expect("a message");
            assert_eq!(received.as_message(), message);
        }
    }
    send(
        &mut chat,
        &ClientMessage::Message {
            text: "in the chat".into(),
        },
    );
    assert_eq!(
        receive(&mut chat)["text"],
        "in the chat",
        "and nothing before it"
    );
    one.close(CloseCode::NORMAL).expect("a clean end");
}

/// Waits until both receive each other's messages: a connection is subscribed when its worker
/// has opened it.
fn wait_until_both_receive(one: &mut Client, other: &mut Client) {
    other.send(Message::Text("other")).expect("it is sent");
    assert_eq!(
        other.read().expect("open"),
        Some(OwnedMessage::Text("other".into()))
    );
    one.send(Message::Text("one")).expect("it is sent");
    while one.read().expect("open") != Some(OwnedMessage::Text("one".into())) {}
    while other.read().expect("open") != Some(OwnedMessage::Text("one".into())) {}
}

/// The reply to a join with this name: `welcome` or an error.
fn reply_to_join(server: &ChatServer, room: &str, name: &str) -> (Client, Value) {
    let mut client = server.connect(&format!("/chat/{room}"));
    send(&mut client, &ClientMessage::Join { name: name.into() });
    let answer = receive(&mut client);
    (client, answer)
}

#[test]
fn name_that_is_invisible_or_differs_between_systems_is_refused() {
    let server = ChatServer::start();
    for name in [
        "a\u{1D173}b", // musical symbol begin beam
        "\u{1D159}",   // musical symbol null notehead
        "\u{FFFC}",
        "\u{FFFF}",
        "\u{E000}",
        "\u{301}",
        "a\u{200D}b",
        "a\u{378}",
    ] {
        let (_, answer) = reply_to_join(&server, "invisible", name);
        assert_eq!(answer["type"], "error", "{name:?}");
        assert!(
            ["name_empty", "name_invalid"].contains(&answer["code"].as_str().expect("a code")),
            "{name:?}: {answer}"
        );
    }
}

#[test]
fn name_that_is_confusable_with_one_in_the_room_is_taken() {
    let server = ChatServer::start();
    for (room, held, asked) in [
        ("greek", "Admin", "\u{391}dmin"),
        ("cyrillic", "Chie", "\u{421}hie"),
        ("composition", "Zo\u{EB}", "Zoe\u{308}"),
        ("width", "Aiko", "Ａｉｋｏ"),
        ("capital", "Alice", "AIice"),
    ] {
        let (_held, welcome) = reply_to_join(&server, room, held);
        assert_eq!(welcome["type"], "welcome", "{held}");
        let (mut client, answer) = reply_to_join(&server, room, asked);
        assert_eq!(answer["code"], "name_taken", "{asked}");
        let suggestion = answer["suggestion"].as_str().expect("a free name");
        send(
            &mut client,
            &ClientMessage::Join {
                name: suggestion.into(),
            },
        );
        assert_eq!(receive_type(&mut client, "welcome")["you"], suggestion);
    }
}

#[test]
fn text_without_a_visible_character_is_refused_and_no_other() {
    let server = ChatServer::start();
    let (mut client, _) = server.join("texts", "Aiko");
    for text in [
        "\u{2800}",
        "\u{200B}",
        "\u{3164}\u{3164}",
        "\u{AD}",
        " \u{200D}\n\u{FE0F}",
    ] {
        send(&mut client, &ClientMessage::Message { text: text.into() });
        assert_eq!(receive(&mut client)["code"], "text_empty", "{text:?}");
    }
    for text in [
        "❤\u{FE0F}",
        "👨\u{200D}👩\u{200D}👧",
        "می\u{200C}خواهم",
        "⠃⠕⠃",
        "\u{2800}.",
        "\u{301}",
        "e\u{301}",
        "ﬁ",
    ] {
        send(&mut client, &ClientMessage::Message { text: text.into() });
        assert_eq!(receive(&mut client)["text"], text, "{text:?}");
    }
}

#[test]
fn percent_encoded_path_is_the_same_room() {
    let server = ChatServer::start();
    let (_aiko, welcome) = server.join("attic", "Aiko");
    assert_eq!(welcome["room"], "attic");
    for path in ["%61ttic", "%61%74%74%69%63"] {
        let (_, answer) = reply_to_join(&server, path, "Aiko");
        assert_eq!(answer["code"], "name_taken", "{path}");
    }
    let (mut one, mut other) = (
        server.connect("/broadcast/%61"),
        server.connect("/%62roadcast/a"),
    );
    wait_until_both_receive(&mut one, &mut other);
}

#[test]
fn room_name_may_be_in_any_script_and_is_the_same_in_any_composition() {
    let server = ChatServer::start();
    let (_aiko, welcome) = server.join("%E4%BC%9A%E8%AD%B0%E5%AE%A4", "Aiko");
    assert_eq!(welcome["room"], "会議室");
    let (_zoe, welcome) = server.join("caf%C3%A9", "Aiko");
    assert_eq!(welcome["room"], "café");
    let (_, answer) = reply_to_join(&server, "cafe%CC%81", "Aiko");
    assert_eq!(answer["code"], "name_taken");
}

/// The head and the body of the response to a GET.
fn get(server: &ChatServer, path: &str, accept: &str) -> (String, String) {
    let mut stream = bounded(TcpStream::connect(server.0.address).expect("it accepts"));
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n",
        server.0.address
    )
    .expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// The Accept field of a browser when a user opens an address.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[test]
fn browser_that_opens_a_room_is_redirected_to_its_page() {
    let server = ChatServer::start();
    for (path, location) in [
        ("/chat/ridge", "../#ridge"),
        ("/chat/%72idge?from=mail", "../#ridge"),
        (
            "/chat/%E4%BC%9A%E8%AD%B0%E5%AE%A4",
            "../#%E4%BC%9A%E8%AD%B0%E5%AE%A4",
        ),
    ] {
        let (head, _) = get(&server, path, BROWSER);
        assert!(head.starts_with("HTTP/1.1 303 "), "{path}: {head}");
        assert!(
            head.contains(&format!("\r\nLocation: {location}\r\n")),
            "{head}"
        );
    }
    for accept in ["*/*", "text/html;q=0", "application/json"] {
        let (head, _) = get(&server, "/chat/ridge", accept);
        assert!(head.starts_with("HTTP/1.1 426 "), "{accept}: {head}");
    }
    let (head, _) = get(&server, "/broadcast/ridge", BROWSER);
    assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
}

#[test]
fn unknown_path_is_refused_with_the_reason() {
    let server = ChatServer::start();
    let longest = "x".repeat(ROOM_CHARACTERS_MAX);
    for (path, status, reason) in [
        ("/ridge", "404", "/#lobby"),
        ("/chat/", "404", "letters"),
        ("/chat/a%2Fb", "404", "letters"),
        ("/chat/%2E%2E", "404", "letters"),
        ("/chat/my%20room", "404", "letters"),
        (&format!("/chat/{longest}x"), "404", "letters"),
        ("/broadcast/%00", "404", "letters"),
        ("/chat/%FF", "400", "UTF-8"),
        ("/chat/%C0%AF", "400", "UTF-8"),
        ("/chat/%ED%A0%80", "400", "UTF-8"),
        ("/chat/%E4%BC", "400", "UTF-8"),
    ] {
        let (head, body) = get(&server, path, BROWSER);
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path}: {head}"
        );
        assert!(body.contains(reason), "{path}: {body}");
        assert!(server.builder(path).connect().is_err(), "{path}");
    }
    let (head, _) = get(&server, &format!("/chat/{longest}"), BROWSER);
    assert!(head.starts_with("HTTP/1.1 303 "), "{head}");
}

#[test]
fn suggestion_is_the_lowest_free_number_or_none_if_all_are_taken() {
    let server = ChatServer::start();
    let held: Vec<Client> = (1..=100)
        .map(|number| match number {
            1 => "a".to_owned(),
            _ => format!("a {number}"),
        })
        .map(|name| server.join("numbers", &name).0)
        .collect();
    let (mut asking, answer) = reply_to_join(&server, "numbers", "a");
    assert_eq!(answer["code"], "name_taken");
    assert_eq!(answer.get("suggestion"), None);
    drop(held.into_iter().nth(41));
    eventually("the name that is free is suggested", TIMEOUT, || {
        send(&mut asking, &ClientMessage::Join { name: "A".into() });
        let answer = receive(&mut asking);
        answer["suggestion"] == "A 42" || answer["type"] == "welcome"
    });
}
