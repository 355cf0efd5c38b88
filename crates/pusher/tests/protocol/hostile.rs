//! Wrong JSON, types, names and sizes: they hurt at most their own connection.

use serde_json::{Value, json};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::frame;

use crate::harness::Service;

#[test]
fn message_that_is_no_message_is_an_error_and_the_connection_goes_on() {
    let service = Service::start(1);
    let mut client = service.connect();
    let deep = "[".repeat(100_000);
    for text in [
        "",
        "x",
        "null",
        "[]",
        "1",
        "{}",
        "{\"event\":1}",
        "{\"event\":null}",
        "{\"event\":\"pusher:subscribe\"",
        "{\"event\":\"pusher:subscribe\"}",
        "{\"event\":\"pusher:subscribe\",\"data\":[]}",
        "{\"event\":\"pusher:subscribe\",\"data\":\"x\"}",
        "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":1}}",
        "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"a\",\"auth\":1}}",
        "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"a\",\"channel\":\"b\"}}",
        "{\"event\":\"pusher:unsubscribe\",\"data\":{}}",
        "{\"event\":\"pusher:signin\",\"data\":{\"auth\":\"a\"}}",
        "{\"event\":\"pusher:unknown\",\"data\":{}}",
        "{\"event\":\"\"}",
        "{\"event\":\"client-\\ud800\",\"channel\":\"private-a\"}",
        &format!("{{\"event\":\"client-a\",\"data\":{deep}"),
        &format!("{{\"event\":\"pusher:subscribe\",\"data\":{{\"channel\":\"a\",\"x\":{deep}"),
        &deep,
    ] {
        client.client.text(text);
        let code = client.expect_error();
        assert_eq!(code, Value::Null, "{}", &text[..text.len().min(99)]);
    }
    client.subscribe("news");
}

#[test]
fn binary_message_is_an_error() {
    let service = Service::start(1);
    let mut client = service.connect();
    client
        .client
        .send(frame(Opcode::Binary, br#"{"event":"pusher:ping"}"#));
    assert_eq!(client.expect_error(), Value::Null);
    client.expect_nothing();
}

#[test]
fn channel_with_a_wrong_name_is_refused() {
    let service = Service::start(1);
    let mut client = service.connect();
    let long = "x".repeat(201);
    for channel in [
        "",
        " ",
        "a b",
        "a/b",
        "a:b",
        "\u{e9}",
        "#news",
        "#server-to-user-",
        "a\nb",
        &long,
    ] {
        client.request(channel);
        let error = client.expect("pusher:subscription_error", channel);
        assert_eq!(error["status"], 400, "{channel}");
    }
    client.subscribe(&long[..200]);
    client.subscribe(&long[..164]);
}

#[test]
fn unknown_members_of_messages_are_ignored() {
    let service = Service::start(1);
    let mut client = service.connect();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    client.client.text(&format!(
        "{{\"x\":{deep},\"event\":\"pusher:subscribe\",\"data\":{{\"channel\":\"a\"}}}}"
    ));
    client.expect("pusher_internal:subscription_succeeded", "a");
    client.send(&json!({"event": "pusher:ping", "data": [1, 2]}));
    assert_eq!(client.read()["event"], "pusher:pong");
}
