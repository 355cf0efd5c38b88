//! Publishing by HTTP: `POST /rooms/{room}/messages` and `POST /broadcast/{room}` (docs/operating.md).

use super::access::KEYS;
use super::{Behaviour, Settings, serve, with};
use crate::steps::*;

/// One publication a second.
const SLOW: Settings = &[
    "serve",
    "--workers",
    "1",
    "--chat",
    "open",
    "--broadcast",
    "open",
    "--publish-per-second",
    "1",
    "--shared-keys-file",
    concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/robustness/shared_keys"
    ),
];

const KEY: &str = "Authorization: Bearer a-key-of-the-robustness-suite\r\n";
const OTHER_KEY: &str = "Authorization: Bearer a-key-for-another-room\r\n";
const TEXT: &str = "Content-Type: text/plain\r\n";
const BYTES: &str = "Content-Type: application/octet-stream\r\n";
const CHAT: &str = "/rooms/a/messages?name=CI";
const BROADCAST: &str = "/broadcast/a";

fn post(path: &str, fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{fields}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A publication with the key of the suite.
fn publish(path: &str, fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    post(path, &format!("{KEY}{fields}"), body)
}

/// A request that gets this status, beside a subscriber that receives nothing of it but the message behind it.
fn refuses(name: &'static str, request: Vec<u8>, code: u16) -> Behaviour {
    let steps = vec![
        open(BROADCAST),
        client(1),
        send(request),
        status(code),
        client(2),
        send(publish(BROADCAST, TEXT, "next")),
        status(202),
        client(0),
        text("next"),
    ];
    with(KEYS, name, steps)
}

/// A publication that a subscriber receives.
fn publishes(name: &'static str, request: Vec<u8>, received: Step) -> Behaviour {
    let steps = vec![
        open(BROADCAST),
        client(1),
        send(request),
        status(202),
        client(0),
        received,
    ];
    with(KEYS, name, steps)
}

pub fn behaviours() -> Vec<Behaviour> {
    [accepted(), who(), bodies(), rates()]
        .into_iter()
        .flatten()
        .collect()
}

fn accepted() -> Vec<Behaviour> {
    let chunked = format!(
        "POST {BROADCAST} HTTP/1.1\r\nHost: localhost\r\n{KEY}{TEXT}\
         Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
    );
    let expecting = format!(
        "POST {BROADCAST} HTTP/1.1\r\nHost: localhost\r\n{KEY}{TEXT}\
         Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    );
    vec![
        publishes(
            "text_that_is_posted_reaches_subscribers",
            publish(BROADCAST, TEXT, "hello"),
            text("hello"),
        ),
        publishes(
            "json_that_is_posted_is_a_text",
            publish(BROADCAST, "Content-Type: application/json\r\n", "{}"),
            text("{}"),
        ),
        publishes(
            "bytes_that_are_posted_are_a_binary_message",
            publish(BROADCAST, BYTES, b"\x00\xff\xfe"),
            binary(b"\x00\xff\xfe"),
        ),
        publishes(
            "empty_body_is_an_empty_message",
            publish(BROADCAST, TEXT, ""),
            text(""),
        ),
        publishes(
            "body_in_chunks_is_one_message",
            chunked.into_bytes(),
            text("hello"),
        ),
        with(
            KEYS,
            "post_that_expects_100_is_published_when_its_body_has_come",
            vec![
                open(BROADCAST),
                client(1),
                send(expecting),
                status(100),
                send("hello"),
                status(202),
                client(0),
                text("hello"),
            ],
        ),
        with(
            KEYS,
            "pipelined_publications_arrive_in_their_order",
            vec![
                open(BROADCAST),
                client(1),
                send(
                    (0..20)
                        .flat_map(|number| publish(BROADCAST, TEXT, number.to_string()))
                        .collect::<Vec<u8>>(),
                ),
                group((0..20).map(|_| status(202)).collect()),
                client(0),
                group((0..20).map(|number| text(number.to_string())).collect()),
            ],
        ),
        with(
            KEYS,
            "publication_into_a_room_without_subscribers_is_accepted_and_leaves_nothing",
            (0..50)
                .map(|number| {
                    let path = format!("/broadcast/empty-{number}");
                    group(vec![send(publish(&path, TEXT, "hello")), status(202)])
                })
                .collect(),
        ),
        with(
            KEYS,
            "script_that_hangs_up_behind_its_request_has_published",
            vec![
                open(BROADCAST),
                client(1),
                send(publish(BROADCAST, TEXT, "hello")),
                half_close(),
                status(202),
                hang_up(),
                client(0),
                text("hello"),
            ],
        ),
        with(
            KEYS,
            "text_that_is_posted_to_the_chat_reaches_its_members",
            vec![
                open_with("/chat/a", KEY),
                send(super::CLIENT.text(r#"{"type":"join","name":"Aki"}"#)),
                text_with("welcome"),
                client(1),
                send(publish(CHAT, TEXT, "hello")),
                status(202),
                contains(r#""from":"CI""#),
                client(0),
                text_with(r#""text":"hello""#),
            ],
        ),
    ]
}

fn who() -> Vec<Behaviour> {
    let page = format!("{KEY}{TEXT}Origin: http://evil.example\r\n");
    let fetched = format!("{KEY}{TEXT}Sec-Fetch-Site: cross-site\r\n");
    let cookie = format!("Cookie: yamabiko_token=a-key-of-the-robustness-suite\r\n{TEXT}");
    let unknown = format!("Authorization: Bearer nobodys-key-0123456789\r\n{TEXT}");
    let two = format!("{KEY}{KEY}{TEXT}");
    let query = "/broadcast/a?access_token=a-key-of-the-robustness-suite";
    vec![
        refuses(
            "post_without_a_key_gets_401",
            post(BROADCAST, TEXT, "hello"),
            401,
        ),
        refuses(
            "post_with_an_unknown_key_gets_401",
            post(BROADCAST, &unknown, "hello"),
            401,
        ),
        refuses(
            "post_with_the_key_of_another_room_gets_403",
            post(BROADCAST, &format!("{OTHER_KEY}{TEXT}"), "hello"),
            403,
        ),
        refuses(
            "post_with_two_keys_gets_400",
            post(BROADCAST, &two, "hello"),
            400,
        ),
        refuses(
            "post_of_another_site_gets_403_although_it_has_a_key",
            post(BROADCAST, &page, "hello"),
            403,
        ),
        refuses(
            "post_that_a_page_of_another_site_has_caused_gets_403",
            post(BROADCAST, &fetched, "hello"),
            403,
        ),
        publishes(
            "key_in_a_cookie_may_publish",
            post(BROADCAST, &cookie, "hello"),
            text("hello"),
        ),
        publishes(
            "key_in_the_query_may_publish",
            post(query, TEXT, "hello"),
            text("hello"),
        ),
        serve(
            "post_to_a_server_without_keys_gets_401_that_names_the_options",
            vec![
                send(publish(BROADCAST, TEXT, "hello")),
                status(401),
                contains("--shared-keys-file"),
                client(1),
                send(publish(CHAT, TEXT, "hello")),
                status(401),
            ],
        ),
        with(
            KEYS,
            "key_of_a_post_is_not_sent_back",
            vec![
                send(post(BROADCAST, &unknown, "hello")),
                status(401),
                lacks("nobodys-key"),
            ],
        ),
    ]
}

fn bodies() -> Vec<Behaviour> {
    let too_long = format!("{KEY}{TEXT}Expect: 100-continue\r\n");
    let too_long = format!(
        "POST {BROADCAST} HTTP/1.1\r\nHost: localhost\r\n{too_long}Content-Length: 1048577\r\n\r\n"
    );
    let half = publish(BROADCAST, TEXT, "hello");
    // Of its body nothing comes.
    let head = |path: &str, fields: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").into_bytes()
    };
    vec![
        refuses(
            "post_without_a_key_gets_401_before_its_body",
            head(BROADCAST, &format!("{TEXT}Content-Length: 1048576\r\n")),
            401,
        ),
        refuses(
            "post_in_chunks_with_a_key_for_another_room_gets_403_before_its_body",
            head(
                BROADCAST,
                &format!("{OTHER_KEY}{TEXT}Transfer-Encoding: chunked\r\n"),
            ),
            403,
        ),
        refuses(
            "post_of_a_form_gets_415_before_its_body",
            head(
                BROADCAST,
                &format!(
                    "{KEY}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n"
                ),
            ),
            415,
        ),
        refuses(
            "binary_message_for_the_chat_gets_415_before_its_body",
            head(CHAT, &format!("{KEY}{BYTES}Content-Length: 9\r\n")),
            415,
        ),
        refuses(
            "text_for_the_chat_that_is_one_byte_too_long_gets_413_before_its_body",
            head(CHAT, &format!("{KEY}{TEXT}Content-Length: 4097\r\n")),
            413,
        ),
        with(
            KEYS,
            "longest_text_for_the_chat_is_let_in_by_its_head",
            vec![
                send(head(
                    CHAT,
                    &format!("{KEY}{TEXT}Expect: 100-continue\r\nContent-Length: 4096\r\n"),
                )),
                status(100),
                send("x".repeat(4096)),
                status(202),
            ],
        ),
        refuses(
            "put_gets_405_before_its_body",
            b"PUT /broadcast/a HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
              Content-Length: 1048576\r\n\r\n"
                .to_vec(),
            405,
        ),
        refuses(
            "post_to_no_resource_is_refused_before_its_body",
            head("/nowhere", "Content-Length: 1048576\r\n"),
            405,
        ),
        refuses(
            "post_without_a_type_gets_415",
            publish(BROADCAST, "", "hello"),
            415,
        ),
        refuses(
            "post_of_a_form_gets_415",
            publish(
                BROADCAST,
                "Content-Type: application/x-www-form-urlencoded\r\n",
                "a=b",
            ),
            415,
        ),
        refuses(
            "posted_text_that_is_not_utf_8_gets_400",
            publish(BROADCAST, TEXT, b"\xff"),
            400,
        ),
        refuses(
            "posted_text_in_another_character_set_gets_415",
            publish(
                BROADCAST,
                "Content-Type: text/plain; charset=latin1\r\n",
                "hello",
            ),
            415,
        ),
        refuses(
            "post_one_byte_too_long_gets_413_before_its_body",
            too_long.into_bytes(),
            413,
        ),
        refuses(
            "post_into_an_invalid_room_gets_404",
            publish("/broadcast/a%00", TEXT, "hello"),
            404,
        ),
        refuses(
            "posted_text_of_4097_bytes_gets_413_in_the_chat",
            publish(CHAT, TEXT, "x".repeat(4097)),
            413,
        ),
        refuses(
            "posted_text_without_a_visible_character_gets_400_in_the_chat",
            publish(CHAT, TEXT, " \u{200b}"),
            400,
        ),
        refuses(
            "posted_text_with_a_control_character_gets_400_in_the_chat",
            publish(CHAT, TEXT, "a\0b"),
            400,
        ),
        refuses(
            "post_to_the_chat_without_a_name_gets_400",
            publish("/rooms/a/messages", TEXT, "hello"),
            400,
        ),
        refuses(
            "post_to_the_chat_with_a_name_of_33_characters_gets_400",
            publish(
                &format!("/rooms/a/messages?name={}", "n".repeat(33)),
                TEXT,
                "hello",
            ),
            400,
        ),
        refuses(
            "post_to_the_chat_with_an_invisible_name_gets_400",
            publish("/rooms/a/messages?name=%E2%80%8B", TEXT, "hello"),
            400,
        ),
        with(
            KEYS,
            "post_to_the_chat_under_the_name_of_a_member_gets_409",
            vec![
                open_with("/chat/a", KEY),
                send(super::CLIENT.text(r#"{"type":"join","name":"CI"}"#)),
                text_with("welcome"),
                client(1),
                send(publish(CHAT, TEXT, "hello")),
                status(409),
            ],
        ),
        with(
            KEYS,
            "put_gets_405_with_allow",
            vec![
                send("PUT /broadcast/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\na"),
                status(405),
                contains("POST"),
            ],
        ),
        with(
            KEYS,
            "post_that_ends_inside_its_body_publishes_nothing",
            vec![
                open(BROADCAST),
                client(1),
                send(&half[..half.len() - 1]),
                reset(),
                client(2),
                send(publish(BROADCAST, TEXT, "next")),
                status(202),
                client(0),
                text("next"),
            ],
        ),
        with(
            KEYS,
            "hundred_bodies_that_never_end_are_freed_when_their_scripts_vanish",
            (0..100)
                .flat_map(|number| {
                    let long = publish(BROADCAST, BYTES, vec![7; 30_000]);
                    [client(number), send(&long[..20_000])]
                })
                .chain((0..100).flat_map(|number| [client(number), hang_up()]))
                .chain([forgotten()])
                .collect(),
        )
        .memory_bytes_max(8 << 20),
        with(
            KEYS,
            "post_hidden_in_the_body_of_another_is_a_message_and_no_request",
            vec![
                open(BROADCAST),
                client(1),
                send(publish(
                    BROADCAST,
                    BYTES,
                    publish(BROADCAST, TEXT, "hidden"),
                )),
                status(202),
                send(publish(BROADCAST, TEXT, "next")),
                status(202),
                client(0),
                binary(publish(BROADCAST, TEXT, "hidden")),
                text("next"),
            ],
        ),
        refuses(
            "post_with_two_lengths_gets_400",
            publish(BROADCAST, &format!("{TEXT}Content-Length: 1\r\n"), "hello"),
            400,
        ),
        refuses(
            "post_with_a_length_beside_chunks_gets_400",
            publish(
                BROADCAST,
                &format!("{TEXT}Transfer-Encoding: chunked\r\n"),
                "0\r\n\r\n",
            ),
            400,
        ),
    ]
}

fn rates() -> Vec<Behaviour> {
    vec![with(
        SLOW,
        "publications_beyond_their_rate_get_429_and_reach_nobody",
        vec![
            open(BROADCAST),
            client(1),
            send(publish(BROADCAST, TEXT, "first")),
            status(202),
            send(publish(BROADCAST, TEXT, "second")),
            status(429),
            contains("Retry-After: "),
            client(2),
            open(BROADCAST),
            send(super::CLIENT.text("third")),
            client(0),
            text("first"),
            text("third"),
        ],
    )]
}
