//! Misuse of the chat protocol (docs/chat-protocol.md). An error reply keeps the connection open.

use super::{Behaviour, CLIENT, serve};
use crate::steps::*;

/// A message gets an error with this code, and the connection stays open.
fn error(name: &'static str, message: impl AsRef<[u8]>, code: &'static str) -> Behaviour {
    serve(
        name,
        vec![open("/chat/error"), errs(message, code), still_open()],
    )
}

/// A message of a person in the room gets an error with this code.
fn error_of_member(name: &'static str, message: impl AsRef<[u8]>, code: &'static str) -> Behaviour {
    serve(
        name,
        vec![
            joined("/chat/member", "Aki"),
            errs(message, code),
            still_open(),
        ],
    )
}

/// `code` is quoted: `"not_json"` is not found in a longer code.
fn errs(message: impl AsRef<[u8]>, code: &'static str) -> Step {
    group(vec![send(CLIENT.text(message)), text_with(code)])
}

fn still_open() -> Step {
    let names = r#"{"type":"names","id":"still open"}"#;
    group(vec![
        send(CLIENT.text(names)),
        text_with(r#""id":"still open""#),
    ])
}

fn join(name: &str) -> String {
    format!(r#"{{"type":"join","name":"{name}"}}"#)
}

fn message(text: &str) -> String {
    format!(r#"{{"type":"message","text":"{text}"}}"#)
}

fn joined(path: &'static str, name: &str) -> Step {
    group(vec![
        open(path),
        send(CLIENT.text(join(name))),
        text_with("welcome"),
    ])
}

/// A join under this name gets an error with this code.
fn refuses_name(name: &'static str, wanted: &str, code: &'static str) -> Behaviour {
    error(name, join(wanted), code)
}

const NOT_JSON: &str = r#""code":"not_json""#;
const UNKNOWN_TYPE: &str = r#""code":"unknown_type""#;
const MISSING_FIELD: &str = r#""code":"missing_field""#;
const WRONG_FIELD: &str = r#""code":"wrong_field""#;
const TOO_LONG: &str = r#""code":"too_long""#;
const NAME_INVALID: &str = r#""code":"name_invalid""#;
const NAME_EMPTY: &str = r#""code":"name_empty""#;
const NAME_TAKEN: &str = r#""code":"name_taken""#;
const TOO_OFTEN: &str = r#""code":"too_often""#;
const TEXT_EMPTY: &str = r#""code":"text_empty""#;
const TEXT_INVALID: &str = r#""code":"text_invalid""#;

pub fn behaviours() -> Vec<Behaviour> {
    vec![
        error("text_that_is_no_json_gets_an_error", "hello", NOT_JSON),
        error("empty_text_gets_an_error", "", NOT_JSON),
        error(
            "json_that_is_no_object_gets_an_error",
            r#"["join"]"#,
            NOT_JSON,
        ),
        error(
            "json_with_a_rest_gets_an_error",
            r#"{"type":"names"} {}"#,
            NOT_JSON,
        ),
        error(
            "json_that_ends_early_gets_an_error",
            r#"{"type":"names""#,
            NOT_JSON,
        ),
        error(
            "json_with_single_quotes_gets_an_error",
            "{'type':'names'}",
            NOT_JSON,
        ),
        error(
            "json_with_a_lone_surrogate_gets_an_error",
            r#"{"type":"\ud800"}"#,
            NOT_JSON,
        ),
        error(
            "deeply_nested_json_gets_an_error",
            format!(r#"{{"x":{}"#, "[".repeat(60_000)),
            NOT_JSON,
        ),
        error(
            "nested_json_in_an_unknown_field_overflows_no_stack",
            format!(
                r#"{{"x":{}{},"type":"shout"}}"#,
                "[".repeat(30_000),
                "]".repeat(30_000)
            ),
            r#""type":"error""#,
        ),
        error(
            "number_without_end_gets_an_error",
            format!(r#"{{"x":1{}}}"#, "0".repeat(60_000)),
            r#""type":"error""#,
        ),
        error(
            "message_of_more_than_64_kib_gets_an_error",
            " ".repeat(65_537),
            TOO_LONG,
        ),
        error(
            "unknown_type_gets_an_error",
            r#"{"type":"shout"}"#,
            UNKNOWN_TYPE,
        ),
        error(
            "type_in_another_case_is_unknown",
            r#"{"type":"JOIN"}"#,
            UNKNOWN_TYPE,
        ),
        error("missing_type_gets_an_error", "{}", MISSING_FIELD),
        error(
            "type_that_is_a_number_gets_an_error",
            r#"{"type":1}"#,
            WRONG_FIELD,
        ),
        error(
            "type_that_is_null_gets_an_error",
            r#"{"type":null}"#,
            WRONG_FIELD,
        ),
        error(
            "name_that_is_a_list_gets_an_error",
            r#"{"type":"join","name":["a"]}"#,
            WRONG_FIELD,
        ),
        error(
            "missing_name_gets_an_error",
            r#"{"type":"join"}"#,
            MISSING_FIELD,
        ),
        error(
            "id_that_is_an_object_gets_an_error",
            r#"{"type":"names","id":{}}"#,
            WRONG_FIELD,
        ),
        error(
            "id_of_65_bytes_gets_an_error_without_it",
            format!(r#"{{"type":"names","id":"{}"}}"#, "x".repeat(65)),
            WRONG_FIELD,
        ),
        error(
            "message_before_the_join_gets_an_error",
            message("hi"),
            r#""code":"not_joined""#,
        ),
        error(
            "leave_before_the_join_gets_an_error",
            r#"{"type":"leave"}"#,
            r#""code":"not_joined""#,
        ),
        error_of_member(
            "second_join_gets_an_error",
            join("Bo"),
            r#""code":"already_joined""#,
        ),
        error_of_member(
            "missing_text_gets_an_error",
            r#"{"type":"message"}"#,
            MISSING_FIELD,
        ),
        error_of_member(
            "empty_text_of_a_message_gets_an_error",
            message(""),
            TEXT_EMPTY,
        ),
        error_of_member(
            "invisible_text_of_a_message_gets_an_error",
            message("\u{200b}\u{2800}\u{ad}"),
            TEXT_EMPTY,
        ),
        error_of_member(
            "control_character_in_a_text_gets_an_error",
            message(r"a\u001b[2J"),
            TEXT_INVALID,
        ),
        error_of_member(
            "nul_in_a_text_gets_an_error",
            message(r"a\u0000b"),
            TEXT_INVALID,
        ),
        error_of_member(
            "text_of_4097_bytes_gets_an_error",
            message(&"x".repeat(4097)),
            r#""code":"text_too_long""#,
        ),
        refuses_name("empty_name_gets_an_error", "", NAME_EMPTY),
        refuses_name("name_of_spaces_gets_an_error", "   ", NAME_EMPTY),
        refuses_name(
            "name_of_33_characters_gets_an_error",
            &"a".repeat(33),
            r#""code":"name_too_long""#,
        ),
        refuses_name(
            "name_with_a_line_break_gets_an_error",
            r"a\nb",
            NAME_INVALID,
        ),
        refuses_name(
            "name_with_a_direction_override_gets_an_error",
            "a\u{202e}b",
            NAME_INVALID,
        ),
        refuses_name(
            "name_with_an_invisible_character_gets_an_error",
            "a\u{200b}b",
            NAME_INVALID,
        ),
        refuses_name(
            "name_that_begins_with_a_combining_mark_gets_an_error",
            "\u{301}a",
            NAME_INVALID,
        ),
        refuses_name(
            "name_with_a_private_character_gets_an_error",
            "a\u{e000}",
            NAME_INVALID,
        ),
        serve(
            "binary_message_gets_an_error",
            vec![
                open("/chat/binary"),
                send(CLIENT.binary("{}")),
                text_with(r#""code":"binary""#),
                still_open(),
            ],
        ),
        serve(
            "name_in_use_gets_an_error_with_a_suggestion",
            vec![
                joined("/chat/taken", "Aki"),
                client(1),
                open("/chat/taken"),
                errs(join("Aki"), NAME_TAKEN),
                errs(join("AKI"), r#""suggestion":"AKI 2""#),
            ],
        ),
        serve(
            "name_that_looks_like_another_is_taken",
            vec![
                joined("/chat/alike", "Admin"),
                client(1),
                open("/chat/alike"),
                // With a Greek letter, and in full-width letters.
                errs(join("\u{391}dmin"), NAME_TAKEN),
                errs(join("\u{ff21}dmin"), NAME_TAKEN),
            ],
        ),
        serve(
            "same_name_in_decomposed_form_is_taken",
            vec![
                joined("/chat/forms", "Ren\u{e9}"),
                client(1),
                open("/chat/forms"),
                errs(join("Rene\u{301}"), NAME_TAKEN),
            ],
        ),
        serve(
            "markup_in_a_text_is_text",
            vec![
                joined("/chat/markup", "Aki"),
                send(CLIENT.text(message("<img src=x onerror=alert(1)>"))),
                text_with("<img src=x onerror=alert(1)>"),
            ],
        ),
        serve(
            "quotation_mark_in_a_name_cannot_break_out_of_the_json",
            vec![
                open("/chat/quoted"),
                send(CLIENT.text(r#"{"type":"join","name":"a\",\"x\":\"b"}"#)),
                text_with(r#""you":"a\",\"x\":\"b""#),
            ],
        ),
        serve(
            "type_that_comes_twice_has_its_last_value",
            vec![
                open("/chat/twice"),
                send(CLIENT.text(r#"{"type":"join","name":"a","type":"names"}"#)),
                text_with(r#""type":"names""#),
            ],
        ),
        serve(
            "join_and_leave_in_turns_leaves_nothing",
            vec![
                open("/chat/turns"),
                group(
                    (0..200)
                        .flat_map(|_| {
                            vec![
                                send(CLIENT.text(join("Aki"))),
                                text_with_eventually("welcome"),
                                send(CLIENT.text(r#"{"type":"leave"}"#)),
                                text_with_eventually("left"),
                            ]
                        })
                        .collect(),
                ),
            ],
        ),
        serve(
            "flood_of_taken_names_is_answered_and_others_are_served",
            vec![
                joined("/chat/flood", "Aki"),
                client(1),
                open("/chat/flood"),
                send(CLIENT.text(join("Aki")).repeat(2000)),
                client(2),
                joined("/chat/other", "Bo"),
                client(1),
                group((0..2000).map(|_| text_with(NAME_TAKEN)).collect()),
            ],
        ),
        serve(
            "lists_of_names_beyond_their_limit_are_refused_and_the_connection_stays_open",
            vec![
                // A list of 40 names has 4 kB.
                group(
                    (0..40)
                        .flat_map(|number| {
                            let name = format!("{number} {}", "山".repeat(28));
                            [client(number), joined("/chat/lists", &name)]
                        })
                        .collect(),
                ),
                client(50),
                open("/chat/lists"),
                send(CLIENT.text(r#"{"type":"names"}"#).repeat(2000)),
                text_with_eventually(r#""names":["#),
                text_with_eventually(TOO_OFTEN),
                send(CLIENT.text(r#"{"type":"leave","id":"still open"}"#)),
                text_with_eventually(r#""id":"still open""#),
                // The others are served.
                client(0),
                send(CLIENT.text(message("hello"))),
                text_with_eventually(r#""text":"hello""#),
            ],
        ),
        serve(
            "names_asked_for_without_end_and_never_read_cost_little_memory",
            vec![
                narrow_client(0),
                open("/chat/asked"),
                flood(CLIENT.text(r#"{"type":"names"}"#), 16 << 20),
            ],
        ),
        serve(
            "person_outside_the_room_receives_nothing_of_it",
            vec![
                joined("/chat/inside", "Aki"),
                client(1),
                open("/chat/inside"),
                client(0),
                send(CLIENT.text(message("secret"))),
                text_with("secret"),
                client(1),
                still_open(),
            ],
        ),
        serve(
            "person_of_another_room_receives_nothing",
            vec![
                client(1),
                joined("/chat/one", "Aki"),
                client(0),
                joined("/chat/two", "Bo"),
                send(CLIENT.text(message("secret"))),
                text_with("secret"),
                client(1),
                still_open(),
            ],
        ),
        serve(
            "rooms_whose_names_differ_in_case_are_different",
            vec![
                joined("/chat/Case", "Aki"),
                client(1),
                joined("/chat/case", "Aki"),
            ],
        ),
        serve(
            "rooms_without_end_leave_nothing",
            vec![group(
                (0..300)
                    .map(|number| {
                        let path: &'static str = format!("/chat/room{number}").leak();
                        group(vec![client(number), joined(path, "Aki"), hang_up()])
                    })
                    .collect(),
            )],
        ),
    ]
}
