//! Version 2 of the chat over the wire: history, resume, and several connections of one person.

use proptest::prelude::*;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use yamabiko::chat::{Chat, SUBPROTOCOL, SUBPROTOCOL_V2, TABS_MAX, TAKEN_OVER};
use yamabiko::server::{Config, HistoryLimits, RoomHistory};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{Client, TestServer, config, frame, with_1_and_3_workers};
use yamabiko_testing::waiting::TIMEOUT;

fn start(config: Config) -> TestServer {
    let config = Config {
        history: Some(HistoryLimits::default()),
        ..config
    };
    let chat = Chat::new().history(Some(RoomHistory::default()));
    TestServer::start(config, chat)
}

fn connect(server: &TestServer, subprotocol: &str) -> Client {
    let offer = format!("Sec-WebSocket-Protocol: {subprotocol}\r\n");
    Client::connect(server.address).upgraded_with("/chat/lobby", &offer)
}

/// A secret of the right length.
fn secret(text: &str) -> String {
    format!("{text:->16}")
}

/// A request to enter as this person, in this tab.
fn enter(name: &str, tab: &str, more: &str) -> String {
    let (session, tab) = (secret(name), secret(tab));
    format!(r#"{{"type":"enter","name":"{name}","session":"{session}","tab":"{tab}"{more}}}"#)
}

fn read(client: &mut Client) -> Value {
    serde_json::from_str(&client.read_text()).expect("JSON")
}

/// The next message of this type.
fn read_type(client: &mut Client, kind: &str) -> Value {
    loop {
        let message = read(client);
        if message["type"] == kind {
            return message;
        }
    }
}

/// A client that has entered, and its welcome.
fn entered(server: &TestServer, name: &str, tab: &str, more: &str) -> (Client, Value) {
    entered_by(server, &enter(name, tab, more))
}

fn entered_by(server: &TestServer, request: &str) -> (Client, Value) {
    let mut client = connect(server, SUBPROTOCOL_V2);
    client.text(request);
    let welcome = read(&mut client);
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    (client, welcome)
}

fn say(client: &mut Client, text: &str) -> Value {
    client.text(&format!(
        r#"{{"type":"message","text":"{text}","id":"{text}"}}"#
    ));
    loop {
        let message = read_type(client, "message");
        if message["text"] == *text {
            return message;
        }
    }
}

#[test]
fn member_that_enters_gets_the_past_and_members_of_both_versions_meet() {
    with_1_and_3_workers(|config| {
        let server = start(config);
        let mut old = connect(&server, SUBPROTOCOL);
        old.text(r#"{"type":"join","name":"Bo"}"#);
        assert_eq!(read(&mut old)["type"], "welcome");
        for text in ["one", "two", "three"] {
            say(&mut old, text);
        }
        let (mut new, welcome) = entered(&server, "Aiko", "a", r#","history":2"#);
        let history = &welcome["history"];
        assert_eq!(
            (&history["messages"], &history["gap"]),
            (&2.into(), &"none".into())
        );
        assert_eq!(welcome["names"], serde_json::json!(["Aiko", "Bo"]));
        for text in ["two", "three"] {
            assert_eq!(read(&mut new)["text"], text);
        }
        say(&mut new, "four");
        assert_eq!(read_type(&mut old, "message")["text"], "four");
        // Version 1 has no such request.
        old.text(&enter("Bo", "b", ""));
        assert_eq!(read(&mut old)["code"], "unknown_type");
    });
}

#[test]
fn own_message_comes_back_with_its_id_and_its_position() {
    with_1_and_3_workers(|config| {
        let server = start(config);
        let (mut aiko, _) = entered(&server, "Aiko", "a", "");
        let first = say(&mut aiko, "first");
        let second = say(&mut aiko, "second");
        assert_eq!(second["id"], "second");
        let (mut again, welcome) = entered(&server, "Aiko", "other tab", &after(&first));
        assert_eq!(welcome["history"]["gap"], "none");
        assert_eq!(read(&mut again), second);
    });
}

#[test]
fn new_name_is_that_of_all_connections_of_the_person_and_is_kept_when_one_comes_back() {
    with_1_and_3_workers(|config| {
        let server = start(config);
        let (mut one, _) = entered(&server, "Aiko", "one", "");
        let (mut other, _) = entered(&server, "Aiko", "other", "");
        one.text(r#"{"type":"rename","name":"Aki"}"#);
        for client in [&mut one, &mut other] {
            assert_eq!(read_type(client, "left")["to"], "Aki");
            assert_eq!(read_type(client, "joined")["was"], "Aiko");
        }
        assert_eq!(say(&mut other, "from the other tab")["from"], "Aki");
        // The name of the person is the new one, with the same session.
        let session = secret("Aiko");
        let tab = secret("third");
        let request = |name: &str| {
            format!(r#"{{"type":"enter","name":"{name}","session":"{session}","tab":"{tab}"}}"#)
        };
        let (_third, welcome) = entered_by(&server, &request("Aki"));
        assert_eq!(welcome["names"], serde_json::json!(["Aki"]));
        let (_new, welcome) = entered(&server, "Aiko", "new", "");
        assert_eq!(welcome["names"], serde_json::json!(["Aiko", "Aki"]));
    });
}

#[test]
fn writers_are_told_to_members_that_ask_for_them_and_are_not_in_the_history() {
    with_1_and_3_workers(|config| {
        let server = start(config);
        let (mut aiko, _) = entered(&server, "Aiko", "a", r#","typing":true"#);
        let (mut bo, _) = entered(&server, "Bo", "b", "");
        read_type(&mut aiko, "joined");
        bo.text(r#"{"type":"typing"}"#);
        assert_eq!(read(&mut aiko)["type"], "typing");
        aiko.text(r#"{"type":"typing"}"#);
        say(&mut aiko, "now");
        assert_eq!(read_type(&mut bo, "message")["text"], "now");
        let (mut chie, welcome) = entered(&server, "Chie", "c", r#","history":100,"typing":true"#);
        assert_eq!(welcome["history"]["messages"], 3, "{welcome}");
        for kind in ["joined", "joined", "message"] {
            assert_eq!(read(&mut chie)["type"], kind);
        }
    });
}

#[test]
fn topics_have_positions_and_their_highest_revision_is_in_the_welcome() {
    with_1_and_3_workers(|config| {
        let server = start(config);
        let (mut aiko, _) = entered(&server, "Aiko", "a", "");
        for topic in ["tea", "coffee"] {
            aiko.text(&format!(r#"{{"type":"topic","text":"{topic}"}}"#));
        }
        let first = read_type(&mut aiko, "topic");
        assert!(first["position"].is_string(), "{first}");
        assert_eq!(read_type(&mut aiko, "topic")["revision"], 2);
        let (_bo, welcome) = entered(&server, "Bo", "b", "");
        let topic = &welcome["topic"];
        assert_eq!(
            (&topic["text"], &topic["revision"]),
            (&"coffee".into(), &2.into())
        );
        let mut old = connect(&server, SUBPROTOCOL);
        old.text(r#"{"type":"join","name":"Chie"}"#);
        assert_eq!(read(&mut old)["topic"]["by"], "Aiko");
    });
}

fn after(message: &Value) -> String {
    format!(r#","after":{}"#, message["position"])
}

#[test]
fn reload_takes_over_from_the_old_connection_and_nobody_is_told() {
    with_1_and_3_workers(|config| {
        let server = start(config);
        let (mut bo, _) = entered(&server, "Bo", "b", "");
        let (mut old, _) = entered(&server, "Aiko", "a", "");
        assert_eq!(read_type(&mut bo, "joined")["name"], "Aiko");
        let (mut new, welcome) = entered(&server, "Aiko", "a", "");
        assert_eq!(welcome["count"], 2);
        assert_eq!(old.read_until_close().0, TAKEN_OVER);
        say(&mut new, "here");
        assert_eq!(read(&mut bo)["text"], "here");
    });
}

#[test]
fn tabs_of_a_person_are_one_member_until_the_last_one_ends() {
    with_1_and_3_workers(|config| {
        let server = start(config);
        let (mut bo, _) = entered(&server, "Bo", "b", "");
        let (mut one, _) = entered(&server, "Aiko", "a", "");
        let request = enter("Aiko", "c", "").replacen("Aiko", "AIKO", 1);
        let (mut other, welcome) = entered_by(&server, &request);
        assert_eq!(welcome["you"], "Aiko");
        assert_eq!(welcome["names"], serde_json::json!(["Aiko", "Bo"]));
        assert_eq!(read(&mut bo)["type"], "joined");
        say(&mut one, "both get this");
        assert_eq!(read_type(&mut other, "message")["text"], "both get this");
        one.text(r#"{"type":"leave","id":"l"}"#);
        assert_eq!(read_type(&mut one, "left")["id"], "l");
        say(&mut other, "still here");
        for text in ["both get this", "still here"] {
            assert_eq!(read(&mut bo)["text"], text);
        }
        drop(other);
        assert_eq!(read(&mut bo)["type"], "left");
    });
}

#[test]
fn name_of_another_person_is_taken_whatever_its_session_is() {
    with_1_and_3_workers(|config| {
        let server = start(config);
        let (mut aiko, _) = entered(&server, "Aiko", "a", "");
        let mut other = connect(&server, SUBPROTOCOL_V2);
        for request in [
            enter("Aiko", "a", "").replace(&secret("Aiko"), &secret("else")),
            r#"{"type":"enter","name":"Aiko"}"#.to_owned(),
            r#"{"type":"join","name":"Aiko"}"#.to_owned(),
        ] {
            other.text(&request);
            let error = read(&mut other);
            assert_eq!(
                (&error["code"], &error["suggestion"]),
                (&"name_taken".into(), &"Aiko 2".into())
            );
        }
        other.text(r#"{"type":"join","name":"Bo"}"#);
        assert_eq!(read(&mut other)["type"], "welcome");
        say(&mut aiko, "still here");
    });
}

#[test]
fn person_has_as_many_connections_as_the_limit_and_one_more_closes_the_oldest() {
    let server = start(config(1));
    let mut tabs: Vec<Client> = (0..TABS_MAX)
        .map(|tab| entered(&server, "Aiko", &tab.to_string(), "").0)
        .collect();
    say(&mut tabs[0], "all are here");
    let (mut last, welcome) = entered(&server, "Aiko", "one more", "");
    assert_eq!(welcome["count"], 1);
    assert_eq!(tabs[0].read_until_close().0, TAKEN_OVER);
    say(&mut last, "and the second oldest");
    assert_eq!(read_type(&mut tabs[1], "message")["text"], "all are here");
}

#[test]
fn request_before_the_answer_to_enter_is_refused() {
    let server = start(config(1));
    let mut client = connect(&server, SUBPROTOCOL_V2);
    let text = |json: &str| frame(Opcode::Text, json.as_bytes());
    let message = text(r#"{"type":"message","text":"too early"}"#);
    let twice = text(&enter("Aiko", "a", ""));
    client.send([twice.clone(), message, twice].concat());
    assert_eq!(read(&mut client)["code"], "not_joined");
    assert_eq!(read(&mut client)["code"], "already_joined");
    assert_eq!(read(&mut client)["type"], "welcome");
}

/// The whole messages among the first bytes that the server sends to this client, which then breaks the connection: at the latest
/// in the message with this text.
fn cut(address: SocketAddr, request: &str, bytes: usize, last: &str) -> Vec<Value> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    let upgrade = yamabiko_testing::socket::upgrade(
        "/chat/lobby",
        &format!("Sec-WebSocket-Protocol: {SUBPROTOCOL_V2}\r\n"),
    );
    let request = [
        upgrade.into_bytes(),
        frame(Opcode::Text, request.as_bytes()),
    ]
    .concat();
    stream.write_all(&request).expect("it is sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a response");
        head.extend(byte);
    }
    let mut received = Vec::new();
    let mut limited = stream.take(bytes as u64);
    let last = format!(r#""text":"{last}""#).into_bytes();
    let has_last = |received: &[u8]| received.windows(last.len()).any(|text| text == last);
    while limited.limit() > 0 && !has_last(&received) {
        let mut buffer = [0; 64];
        match limited.read(&mut buffer) {
            Ok(count) if count > 0 => received.extend_from_slice(&buffer[..count]),
            _ => break,
        }
    }
    messages(&received)
}

fn messages(mut bytes: &[u8]) -> Vec<Value> {
    let mut messages = Vec::new();
    // A text frame of a server, up to 65,535 bytes.
    while let [0x81, length, rest @ ..] = bytes {
        let (length, rest) = match (length, rest) {
            (126, [high, low, rest @ ..]) => (usize::from(*high) << 8 | usize::from(*low), rest),
            (126 | 127, _) => break,
            (length, rest) => (usize::from(*length), rest),
        };
        let Some((message, rest)) = rest.split_at_checked(length) else {
            break;
        };
        messages.push(serde_json::from_slice(message).expect("JSON"));
        bytes = rest;
    }
    messages
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// The connection breaks at any byte, again and again, while others enter and leave: the log of the client is the log of the
    /// room.
    #[test]
    fn log_of_a_client_is_that_of_the_room_wherever_its_connections_break(
        cuts in prop::collection::vec(1..2500usize, 1..40),
    ) {
        let server = start(config(1));
        let (mut aiko, welcome) = entered(&server, "Aiko", "a", "");
        let mut position = welcome["history"]["position"].clone();
        // The first message of the room is Aiko's `joined`.
        let texts: Vec<String> = (2..=100).map(|number| number.to_string()).collect();
        let (mut log, mut said) = (Vec::new(), texts.chunks(5));
        for (number, bytes) in cuts.into_iter().enumerate() {
            let Some(next) = said.next() else { break };
            for text in next {
                say(&mut aiko, text);
            }
            // A name of its own: the broken connection may still be there.
            let reader = format!(r#"{{"type":"enter","name":"r{number}","after":{position}}}"#);
            let last = next.last().expect("a text");
            take(cut(server.address, &reader, bytes, last), &mut position, &mut log);
        }
        for text in said.flatten() {
            say(&mut aiko, text);
        }
        if log.len() < texts.len() {
            let reader = format!(r#"{{"type":"enter","name":"last","after":{position}}}"#);
            take(read_until(&server, &reader, "100"), &mut position, &mut log);
        }
        prop_assert_eq!(log, texts);
    }
}

/// What a client does with messages: it stores each text together with its position.
fn take(messages: Vec<Value>, position: &mut Value, log: &mut Vec<String>) {
    for message in messages {
        if message["type"] == "welcome" {
            assert_eq!(message["history"]["gap"], "none");
            continue;
        }
        *position = message["position"].clone();
        if message["type"] == "message" {
            log.push(message["text"].as_str().expect("a text").to_owned());
        }
    }
}

/// All messages until this text.
fn read_until(server: &TestServer, request: &str, text: &str) -> Vec<Value> {
    let mut client = connect(server, SUBPROTOCOL_V2);
    client.text(request);
    let mut messages = Vec::new();
    loop {
        messages.push(read(&mut client));
        if messages
            .last()
            .is_some_and(|message| message["text"] == text)
        {
            return messages;
        }
    }
}
