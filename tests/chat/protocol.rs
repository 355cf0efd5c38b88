//! `docs/chat-protocol.md` says what the chat does. First its text is held
//! against the code: every example is read, every bound and every code looked
//! up. Then a server of two workers is, over the wire.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use yamabiko::chat::{
    Chat, ClientMessage, ErrorCode, ID_BYTES_MAX, MESSAGE_BYTES_MAX, NAME_CHARACTERS_MAX,
    NAMES_LISTED_MAX, Presence, ROOM_CHARACTERS_MAX, Request, SUBPROTOCOL, ServerMessage,
    TEXT_BYTES_MAX,
};
use yamabiko::client::{Client, ClientBuilder, ClientError, OwnedMessage};
use yamabiko::server::Config;
use yamabiko::websocket::Message;
use yamabiko::websocket::frame::CloseCode;

use yamabiko_testing::socket::TestServer;
use yamabiko_testing::waiting::{Deadline, LOOP_PATIENCE, PATIENCE, bounded, eventually};

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
fn every_example_of_a_client_is_understood_but_the_one_that_shows_an_error() {
    let mut types = Vec::new();
    for json in examples("C ").flatten() {
        match Request::parse(json) {
            Ok(request) => types.push(request.message.kind()),
            Err(complaint) => assert_eq!(
                (complaint.code, type_of(json).as_str()),
                (ErrorCode::UnknownType, "shout")
            ),
        }
    }
    types.sort_unstable();
    types.dedup();
    assert_eq!(types, ["join", "leave", "message", "names"]);
}

#[test]
fn every_example_of_the_server_is_what_the_server_would_say() {
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
            "error", "joined", "left", "message", "missed", "names", "welcome"
        ]
    );
}

#[test]
fn every_example_of_an_error_is_the_answer_to_the_line_before_it() {
    let complaint = Request::parse(r#"{"type":"shout"}"#).expect_err("an unknown type");
    let answer = ServerMessage::Error(complaint).to_json();
    assert!(
        SPECIFICATION.contains(&format!("C {{\"type\":\"shout\"}}\nS {answer}\n")),
        "{answer}"
    );
}

#[test]
fn example_of_changes_out_of_order_ends_as_the_text_says() {
    let block = examples("S ")
        .find(|block| block.len() == 3)
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
    assert_eq!(codes.len(), 15, "{codes:?}");
    for code in codes {
        let read: ErrorCode = serde_json::from_value(code.into()).expect("a code");
        assert_ne!(read, ErrorCode::Unknown, "{code}");
    }
}

#[test]
fn bounds_in_the_text_are_those_of_the_code() {
    assert!(SPECIFICATION.starts_with(&format!("# The chat protocol: `{SUBPROTOCOL}`")));
    for bound in [
        format!("1 to {NAME_CHARACTERS_MAX} characters"),
        format!("1 to {TEXT_BYTES_MAX} bytes"),
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
            handshake_timeout: PATIENCE,
            ping_interval: None,
            ..Config::default()
        };
        ChatServer(TestServer::start(config, Chat::new()))
    }

    fn builder(&self, path: &str) -> ClientBuilder {
        Client::builder(&self.0.url(path))
            .read_timeout(PATIENCE)
            .write_timeout(PATIENCE)
    }

    fn connect(&self, path: &str) -> Client {
        self.builder(path).connect().expect("the server lets us in")
    }

    /// A client that has joined, and its welcome.
    fn join(&self, room: &str, name: &str) -> (Client, Value) {
        let mut client = self.connect(&format!("/chat/{room}"));
        say(&mut client, &ClientMessage::Join { name: name.into() });
        let welcome = hear(&mut client);
        assert_eq!(welcome["type"], "welcome");
        (client, welcome)
    }
}

fn say(client: &mut Client, message: &ClientMessage<'_>) {
    client
        .send(Message::Text(&message.to_json()))
        .expect("it is sent");
}

fn hear(client: &mut Client) -> Value {
    match client.read() {
        Ok(Some(OwnedMessage::Text(json))) => serde_json::from_str(&json).expect("JSON"),
        other => panic!("not a text message: {other:?}"),
    }
}

fn hear_type(client: &mut Client, kind: &str) -> Value {
    let deadline = Deadline::after(LOOP_PATIENCE);
    loop {
        let message = hear(client);
        if message["type"] == kind {
            return message;
        }
        deadline.check(kind);
    }
}

#[test]
fn two_people_talk_and_one_sees_the_other_go() {
    let server = ChatServer::start();
    let (mut aiko, _) = server.join("lobby", "Aiko");
    let (mut bo, welcome) = server.join("lobby", "Bo");
    assert_eq!(welcome["names"], serde_json::json!(["Aiko", "Bo"]));
    assert_eq!(hear(&mut aiko)["name"], "Bo");

    say(
        &mut aiko,
        &ClientMessage::Message {
            text: "Yo-ho!".into(),
        },
    );
    for client in [&mut aiko, &mut bo] {
        let message = hear_type(client, "message");
        assert_eq!(
            (&message["from"], &message["text"]),
            (&"Aiko".into(), &"Yo-ho!".into())
        );
        assert!(message["time"].as_u64().expect("a time") > 1_700_000_000_000);
    }

    say(&mut bo, &ClientMessage::Leave);
    assert_eq!(hear_type(&mut bo, "left")["name"], "Bo");
    assert_eq!(hear_type(&mut aiko, "left")["name"], "Bo");

    let (mut chie, _) = server.join("lobby", "Chie");
    drop(aiko);
    assert_eq!(hear_type(&mut chie, "left")["name"], "Aiko");
}

#[test]
fn everyone_hears_the_same_in_the_same_order_on_every_worker() {
    const PEOPLE: usize = 6;
    const EACH: usize = 50;
    let server = ChatServer::start();
    let clients: Vec<Client> = (0..PEOPLE)
        .map(|n| server.join("order", &format!("p{n}")).0)
        .collect();
    let heard: Vec<Vec<String>> = thread::scope(|scope| {
        let talking: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(|| talk(client, EACH, PEOPLE * EACH)))
            .collect();
        talking
            .into_iter()
            .map(|thread| thread.join().expect("it has heard all"))
            .collect()
    });
    assert_eq!(heard[0].len(), PEOPLE * EACH);
    assert!(
        heard.iter().all(|other| *other == heard[0]),
        "one order for all"
    );
}

/// Says `count` things, and hears `all` that are said.
fn talk(mut client: Client, count: usize, all: usize) -> Vec<String> {
    for n in 0..count {
        say(
            &mut client,
            &ClientMessage::Message {
                text: format!("{n}").into(),
            },
        );
    }
    (0..all)
        .map(|_| hear_type(&mut client, "message"))
        .map(|message| format!("{} {}", message["from"], message["text"]))
        .collect()
}

#[test]
fn names_that_change_on_every_worker_at_once_add_up() {
    let server = ChatServer::start();
    let (mut reader, welcome) = server.join("names", "reader");
    let mut presence = Presence::default();
    presence.apply(&serde_json::from_value(welcome).expect("a welcome"));
    let stayed: Vec<Client> = thread::scope(|scope| {
        let come = |person| {
            let server = &server;
            scope.spawn(move || come_and_go(server, &format!("p{person}")))
        };
        let people: Vec<_> = (0..6).map(come).collect();
        people
            .into_iter()
            .map(|thread| thread.join().expect("it stays"))
            .collect()
    });
    // Six stay; twenty came and went for each.
    while presence.revision() != Some(1 + 6 * 41) {
        let message = hear(&mut reader);
        presence.apply(&serde_json::from_value(message).expect("a server message"));
    }
    assert_eq!(
        presence.names().collect::<Vec<_>>(),
        ["p0", "p1", "p2", "p3", "p4", "p5", "reader"]
    );
    drop(stayed);
}

/// Joins on a new connection each time, which any worker may get; the last one
/// stays.
fn come_and_go(server: &ChatServer, name: &str) -> Client {
    for _ in 0..20 {
        let (mut client, _) = server.join("names", name);
        say(&mut client, &ClientMessage::Leave);
        while hear_type(&mut client, "left")["name"] != name {}
    }
    server.join("names", name).0
}

#[test]
fn nothing_that_a_client_says_ends_its_connection() {
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
        assert_eq!(hear(&mut client)["type"], "error", "{nonsense}");
    }
    client.send(Message::Binary(&[0, 255])).expect("it is sent");
    assert_eq!(hear(&mut client)["code"], "binary");
    let too_long = " ".repeat(MESSAGE_BYTES_MAX + 1);
    client.send(Message::Text(&too_long)).expect("it is sent");
    assert_eq!(hear(&mut client)["code"], "too_long");
    say(
        &mut client,
        &ClientMessage::Message {
            text: "still here".into(),
        },
    );
    assert_eq!(hear(&mut client)["text"], "still here");
}

#[test]
fn subprotocol_is_version_one_or_left_open() {
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
    assert_eq!(server.connect("/chat/lobby").subprotocol(), None);
    let refused = server
        .builder("/chat/lobby")
        .subprotocol("yamabiko.chat.v2")
        .connect();
    assert!(matches!(refused, Err(ClientError::Refused(_))));
    let nowhere = server.builder("/chat/no such room").connect();
    assert!(nowhere.is_err());
}

#[test]
fn broadcast_passes_every_message_on_as_it_is_to_everyone_and_to_no_chat() {
    let server = ChatServer::start();
    let mut chat = server.join("x", "Aiko").0;
    let (mut one, mut other) = (
        server.connect("/broadcast/x"),
        server.connect("/broadcast/x"),
    );
    settle(&mut one, &mut other);
    for message in [
        Message::Text("{not json"),
        Message::Binary(&[0, 1, 255]),
        Message::Text(""),
    ] {
        one.send(message).expect("it is sent");
        for client in [&mut one, &mut other] {
            let heard = client.read().expect("open").expect("a message");
            assert_eq!(heard.as_message(), message);
        }
    }
    say(
        &mut chat,
        &ClientMessage::Message {
            text: "in the chat".into(),
        },
    );
    assert_eq!(
        hear(&mut chat)["text"],
        "in the chat",
        "and nothing before it"
    );
    one.close(CloseCode::NORMAL, "").expect("a clean end");
}

/// Until both hear each other: a connection joins when its worker has opened it.
fn settle(one: &mut Client, other: &mut Client) {
    other.send(Message::Text("other")).expect("it is sent");
    assert_eq!(
        other.read().expect("open"),
        Some(OwnedMessage::Text("other".into()))
    );
    one.send(Message::Text("one")).expect("it is sent");
    while one.read().expect("open") != Some(OwnedMessage::Text("one".into())) {}
    while other.read().expect("open") != Some(OwnedMessage::Text("one".into())) {}
}

/// What the server answers to a join under this name: `welcome`, or the code of
/// the error.
fn answer_to_join(server: &ChatServer, room: &str, name: &str) -> (Client, Value) {
    let mut client = server.connect(&format!("/chat/{room}"));
    say(&mut client, &ClientMessage::Join { name: name.into() });
    let answer = hear(&mut client);
    (client, answer)
}

#[test]
fn name_that_nobody_can_see_or_that_shows_something_else_everywhere_is_refused() {
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
        let (_, answer) = answer_to_join(&server, "invisible", name);
        assert_eq!(answer["type"], "error", "{name:?}");
        assert!(
            ["name_empty", "name_invalid"].contains(&answer["code"].as_str().expect("a code")),
            "{name:?}: {answer}"
        );
    }
}

#[test]
fn name_that_looks_like_one_in_the_room_is_taken() {
    let server = ChatServer::start();
    for (room, held, asked) in [
        ("greek", "Admin", "\u{391}dmin"),
        ("cyrillic", "Chie", "\u{421}hie"),
        ("composition", "Zo\u{EB}", "Zoe\u{308}"),
        ("width", "Aiko", "Ａｉｋｏ"),
        ("capital", "Alice", "AIice"),
    ] {
        let (_held, welcome) = answer_to_join(&server, room, held);
        assert_eq!(welcome["type"], "welcome", "{held}");
        let (mut client, answer) = answer_to_join(&server, room, asked);
        assert_eq!(answer["code"], "name_taken", "{asked}");
        let suggestion = answer["suggestion"].as_str().expect("a free name");
        say(
            &mut client,
            &ClientMessage::Join {
                name: suggestion.into(),
            },
        );
        assert_eq!(hear_type(&mut client, "welcome")["you"], suggestion);
    }
}

#[test]
fn text_in_which_nothing_is_visible_is_refused_and_no_other() {
    let server = ChatServer::start();
    let (mut client, _) = server.join("texts", "Aiko");
    for text in [
        "\u{2800}",
        "\u{200B}",
        "\u{3164}\u{3164}",
        "\u{AD}",
        " \u{200D}\n\u{FE0F}",
    ] {
        say(&mut client, &ClientMessage::Message { text: text.into() });
        assert_eq!(hear(&mut client)["code"], "text_empty", "{text:?}");
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
        say(&mut client, &ClientMessage::Message { text: text.into() });
        assert_eq!(hear(&mut client)["text"], text, "{text:?}");
    }
}

#[test]
fn percent_encoded_path_leads_into_the_same_room() {
    let server = ChatServer::start();
    let (_aiko, welcome) = server.join("attic", "Aiko");
    assert_eq!(welcome["room"], "attic");
    for path in ["%61ttic", "%61%74%74%69%63"] {
        let (_, answer) = answer_to_join(&server, path, "Aiko");
        assert_eq!(answer["code"], "name_taken", "{path}");
    }
    let (mut one, mut other) = (
        server.connect("/broadcast/%61"),
        server.connect("/%62roadcast/a"),
    );
    settle(&mut one, &mut other);
}

#[test]
fn room_may_be_named_in_any_script_and_has_one_name_in_any_composition() {
    let server = ChatServer::start();
    let (_aiko, welcome) = server.join("%E4%BC%9A%E8%AD%B0%E5%AE%A4", "Aiko");
    assert_eq!(welcome["room"], "会議室");
    let (_zoe, welcome) = server.join("caf%C3%A9", "Aiko");
    assert_eq!(welcome["room"], "café");
    let (_, answer) = answer_to_join(&server, "cafe%CC%81", "Aiko");
    assert_eq!(answer["code"], "name_taken");
}

/// Status line, head and body of the answer to a GET.
fn get(server: &ChatServer, path: &str, accept: &str) -> (String, String) {
    let mut stream = bounded(TcpStream::connect(server.0.address).expect("it accepts"));
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: {accept}\r\n\r\n",
        server.0.address
    )
    .expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// What a browser sends when somebody types an address.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[test]
fn browser_that_opens_a_room_is_led_to_its_page() {
    let server = ChatServer::start();
    for (path, location) in [
        ("/chat/ridge", "/#ridge"),
        ("/chat/%72idge?from=mail", "/#ridge"),
        (
            "/chat/%E4%BC%9A%E8%AD%B0%E5%AE%A4",
            "/#%E4%BC%9A%E8%AD%B0%E5%AE%A4",
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
fn path_that_leads_nowhere_is_refused_with_the_reason() {
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
fn suggestion_is_the_lowest_free_number_and_none_when_all_are_used_up() {
    let server = ChatServer::start();
    let held: Vec<Client> = (1..=100)
        .map(|number| match number {
            1 => "a".to_owned(),
            _ => format!("a {number}"),
        })
        .map(|name| server.join("numbers", &name).0)
        .collect();
    let (mut asking, answer) = answer_to_join(&server, "numbers", "a");
    assert_eq!(answer["code"], "name_taken");
    assert_eq!(answer.get("suggestion"), None);
    drop(held.into_iter().nth(41));
    eventually("the name that is free is suggested", PATIENCE, || {
        say(&mut asking, &ClientMessage::Join { name: "A".into() });
        let answer = hear(&mut asking);
        answer["suggestion"] == "A 42" || answer["type"] == "welcome"
    });
}
