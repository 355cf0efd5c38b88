//! Who is in the rooms: `GET /rooms` and `GET /rooms/{room}` (docs/operating.md).

use super::access::KEYS;
use super::{Behaviour, CLIENT, Settings, serve, with};
use crate::steps::*;

const OFF: Settings = &["serve", "--workers", "1", "--presence", "off"];

const KEY: &str = "Authorization: Bearer a-key-of-the-robustness-suite\r\n";
const OTHER_KEY: &str = "Authorization: Bearer a-key-for-another-room\r\n";

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

/// A GET that gets this status, and the connection serves on.
fn answers(settings: Settings, name: &'static str, request: String, code: u16) -> Behaviour {
    let next = get("/health", "");
    with(
        settings,
        name,
        vec![send(request), status(code), send(next), status(200)],
    )
}

/// A member of the room `a` of the chat.
fn member(number: usize, name: &str, fields: &'static str) -> Step {
    group(vec![
        client(number),
        open_with("/chat/a", fields),
        send(CLIENT.text(format!(r#"{{"type":"join","name":"{name}"}}"#))),
        text_with("welcome"),
    ])
}

pub fn behaviours() -> Vec<Behaviour> {
    let open: Settings = &["serve", "--workers", "1"];
    vec![
        serve(
            "names_of_members_are_told",
            vec![
                member(0, "Aki", ""),
                client(1),
                send(get("/rooms/a", "")),
                status(200),
                contains(r#""names":["Aki"]"#),
                contains("Cache-Control: no-store"),
            ],
        ),
        serve(
            "name_of_a_member_that_has_reset_is_not_told",
            vec![
                member(0, "Aki", ""),
                member(1, "Bo", ""),
                client(0),
                reset(),
                client(1),
                text_with_eventually("left"),
                client(2),
                send(get("/rooms/a", "")),
                status(200),
                contains(r#""names":["Bo"]"#),
            ],
        ),
        serve(
            "name_with_quotation_marks_cannot_break_out_of_the_json_of_presence",
            vec![
                member(0, r#"\",\"x"#, ""),
                client(1),
                send(get("/rooms/a", "")),
                status(200),
                contains(r#""names":["\",\"x"]"#),
            ],
        ),
        serve(
            "rooms_are_told_with_their_numbers",
            vec![
                member(0, "Aki", ""),
                client(1),
                open_with("/broadcast/b", ""),
                client(2),
                send(get("/rooms", "")),
                status(200),
                contains(r#"{"room":"a","members":1}"#),
                contains(r#"{"room":"b","subscribers":1}"#),
            ],
        ),
        serve(
            "room_that_is_empty_has_no_members",
            vec![
                send(get("/rooms/nobody", "")),
                status(200),
                contains(r#""members":0"#),
            ],
        ),
        serve(
            "list_of_hundreds_of_rooms_is_told_and_continued",
            (0..300)
                .flat_map(|number| {
                    let path = Box::leak(format!("/broadcast/r{number:03}").into_boxed_str());
                    [client(number), open_with(path, "")]
                })
                .chain([
                    client(300),
                    send(get("/rooms?after=r297", "")),
                    status(200),
                    contains(r#"{"room":"r298","subscribers":1}"#),
                    lacks(r#"{"room":"r297""#),
                ])
                .collect(),
        )
        .memory_bytes_max(8 << 20),
        serve(
            "presence_is_asked_for_hundreds_of_times_in_one_segment",
            vec![
                send(get("/rooms", "").repeat(200)),
                group((0..200).map(|_| status(200)).collect()),
            ],
        ),
        serve(
            "presence_of_a_client_that_takes_no_responses_costs_little_memory",
            vec![
                member(0, "Aki", ""),
                narrow_client(1),
                flood(get("/rooms/a", ""), 8 << 20),
            ],
        ),
        serve(
            "head_of_presence_has_no_body",
            vec![
                send("HEAD /rooms HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                status_of_head(200),
                send(get("/health", "")),
                status(200),
            ],
        ),
        answers(
            open,
            "presence_of_an_invalid_room_gets_404",
            get("/rooms/a%00", ""),
            404,
        ),
        answers(
            open,
            "presence_of_a_room_that_is_not_utf_8_gets_400",
            get("/rooms/%FF", ""),
            400,
        ),
        answers(
            open,
            "delete_of_a_room_gets_405",
            get("/rooms/a", "").replacen("GET", "DELETE", 1),
            405,
        ),
        answers(OFF, "presence_that_is_off_gets_404", get("/rooms", ""), 404),
        answers(
            OFF,
            "presence_of_a_room_that_is_off_gets_404",
            get("/rooms/a", ""),
            404,
        ),
        answers(
            KEYS,
            "presence_without_a_key_gets_401",
            get("/rooms", ""),
            401,
        ),
        answers(
            KEYS,
            "presence_of_a_room_without_a_key_gets_401",
            get("/rooms/a", ""),
            401,
        ),
        answers(KEYS, "presence_with_a_key_is_told", get("/rooms", KEY), 200),
        answers(
            KEYS,
            "presence_of_a_room_that_the_key_does_not_grant_gets_403",
            get("/rooms/a", OTHER_KEY),
            403,
        ),
        with(
            KEYS,
            "rooms_that_the_key_does_not_grant_are_not_listed",
            vec![
                member(0, "Aki", KEY),
                client(1),
                open_with("/broadcast/secret", ""),
                client(2),
                send(get("/rooms", OTHER_KEY)),
                status(200),
                lacks("secret"),
                lacks(r#""room":"a""#),
            ],
        ),
    ]
}
