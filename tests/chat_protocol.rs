//! `docs/chat-protocol.md` says what the chat does: every example in it is read
//! here, and every type and code is in it.

use serde_json::Value;
use yamabiko::chat::{
    ErrorCode, ID_BYTES_MAX, MESSAGE_BYTES_MAX, NAME_CHARACTERS_MAX, NAMES_LISTED_MAX, Presence,
    ROOM_CHARACTERS_MAX, Request, SUBPROTOCOL, ServerMessage, TEXT_BYTES_MAX,
};

const SPECIFICATION: &str = include_str!("../docs/chat-protocol.md");

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
        ["error", "joined", "left", "message", "names", "welcome"]
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
    let (_, table) = SPECIFICATION.split_once("| `code` | what was wrong |\n").expect("the table");
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
        format!("1 to {ROOM_CHARACTERS_MAX} of"),
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
