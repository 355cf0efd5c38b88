//! Misuse of the Pusher protocol and of its HTTP API (docs/pusher.md).

use yamabiko_testing::socket::upgrade;

use super::{Behaviour, CLIENT, Settings, with};
use crate::steps::*;

/// An app, and another one whose connections have a small supply for subscriptions.
const APPS: Settings = &[
    "serve",
    "--workers",
    "1",
    "--apps-file",
    concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/robustness/apps.toml"
    ),
];

const PATH: &str = "/app/app-key?protocol=7";
const SMALL: &str = "/app/small-key?protocol=7";
const ERROR: &str = r#""event":"pusher:error""#;
const SUCCESS: &str = "subscription_succeeded";
const REFUSED: &str = "pusher:subscription_error";

fn apps(name: &'static str, steps: Vec<Step>) -> Behaviour {
    with(APPS, name, steps)
}

/// A client that has its socket id.
fn connected(path: &'static str) -> Step {
    group(vec![open(path), text_with("pusher:connection_established")])
}

fn still_open() -> Step {
    group(vec![
        send(CLIENT.text(r#"{"event":"pusher:ping","data":{}}"#)),
        text_with_eventually("pusher:pong"),
    ])
}

fn subscribe(channel: &str) -> String {
    format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{channel}"}}}}"#)
}

fn unsubscribe(channel: &str) -> String {
    format!(r#"{{"event":"pusher:unsubscribe","data":{{"channel":"{channel}"}}}}"#)
}

/// A message is answered with this, and the connection stays open.
fn answers(name: &'static str, message: impl AsRef<[u8]>, part: &'static str) -> Behaviour {
    let steps = vec![
        connected(PATH),
        send(CLIENT.text(message)),
        text_with(part),
        still_open(),
    ];
    apps(name, steps)
}

/// A WebSocket at this path is opened, and closed with this code: a page sees no other.
fn closes(name: &'static str, path: &'static str, code: u16) -> Behaviour {
    apps(name, vec![open(path), text_with(ERROR), fails(code)])
}

/// A request to the HTTP API that gets this status; another client is served afterwards.
fn refuses(name: &'static str, request: impl AsRef<[u8]>, code: u16) -> Behaviour {
    let steps = vec![
        send(request),
        status(code),
        client(1),
        connected(PATH),
        still_open(),
    ];
    apps(name, steps)
}

fn post(target: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

pub fn behaviours() -> Vec<Behaviour> {
    [connecting(), messages(), subscriptions(), api()]
        .into_iter()
        .flatten()
        .collect()
}

fn connecting() -> Vec<Behaviour> {
    vec![
        closes(
            "unknown_key_closes_with_4001",
            "/app/nobody?protocol=7",
            4001,
        ),
        closes(
            "key_with_a_null_byte_closes_with_4001",
            "/app/app-key%00?protocol=7",
            4001,
        ),
        closes(
            "version_that_is_no_number_closes_with_4006",
            "/app/app-key?protocol=seven",
            4006,
        ),
        closes(
            "version_beyond_32_bits_closes_with_4006",
            "/app/app-key?protocol=4294967303",
            4006,
        ),
        closes(
            "unknown_version_closes_with_4007",
            "/app/app-key?protocol=99",
            4007,
        ),
        closes("missing_version_closes_with_4008", "/app/app-key", 4008),
        apps(
            "request_that_is_no_upgrade_gets_426",
            vec![send(get(PATH)), status(426)],
        ),
        apps(
            "clients_that_are_refused_without_end_leave_nothing",
            vec![group(
                (0..300)
                    .map(|number| {
                        let steps = vec![
                            client(number),
                            open("/app/nobody?protocol=7"),
                            text_with(ERROR),
                            hang_up(),
                        ];
                        group(steps)
                    })
                    .collect(),
            )],
        ),
        apps(
            "page_of_another_site_may_connect",
            vec![
                send(upgrade(PATH, "Origin: https://shop.example\r\n")),
                status(101),
                still_open(),
            ],
        ),
    ]
}

fn messages() -> Vec<Behaviour> {
    let deep = "[".repeat(60_000);
    vec![
        answers("text_that_is_no_json_is_an_error", "hello", ERROR),
        answers("empty_text_is_an_error", "", ERROR),
        answers("event_that_is_a_number_is_an_error", r#"{"event":1}"#, ERROR),
        answers(
            "deeply_nested_data_are_an_error",
            format!(r#"{{"event":"client-a","data":{deep}"#),
            ERROR,
        ),
        answers(
            "event_of_the_server_is_not_relayed",
            r#"{"event":"pusher_internal:member_added","channel":"presence-a","data":"{}"}"#,
            ERROR,
        ),
        answers(
            "client_event_on_a_channel_without_subscription_is_an_error",
            r#"{"event":"client-a","channel":"private-a","data":{}}"#,
            ERROR,
        ),
        apps(
            "binary_message_is_an_error",
            vec![
                connected(PATH),
                send(CLIENT.binary(r#"{"event":"pusher:ping"}"#)),
                text_with(ERROR),
                still_open(),
            ],
        ),
        apps(
            "sign_in_with_a_wrong_signature_closes_with_4009",
            vec![
                connected(PATH),
                send(CLIENT.text(
                    r#"{"event":"pusher:signin","data":{"auth":"app-key:0","user_data":"{\"id\":\"1\"}"}}"#,
                )),
                text_with(ERROR),
                fails(4009),
            ],
        ),
        apps(
            "errors_asked_for_without_end_and_never_read_cost_little_memory",
            vec![narrow_client(0), open(PATH), flood(CLIENT.text("x"), 16 << 20)],
        ),
        apps(
            "pings_of_the_protocol_without_end_and_never_read_cost_little_memory",
            vec![
                narrow_client(0),
                open(PATH),
                flood(CLIENT.text(r#"{"event":"pusher:ping"}"#), 16 << 20),
            ],
        ),
    ]
}

fn subscriptions() -> Vec<Behaviour> {
    vec![
        answers(
            "private_channel_without_a_signature_is_refused",
            subscribe("private-a"),
            REFUSED,
        ),
        answers(
            "presence_channel_without_a_signature_is_refused",
            subscribe("presence-a"),
            REFUSED,
        ),
        answers(
            "channel_of_a_user_who_has_not_signed_in_is_refused",
            subscribe("#server-to-user-1"),
            REFUSED,
        ),
        answers(
            "channel_with_a_wrong_name_is_refused",
            subscribe("../../etc/passwd"),
            REFUSED,
        ),
        answers(
            "channel_whose_name_has_201_characters_is_refused",
            subscribe(&"x".repeat(201)),
            REFUSED,
        ),
        apps(
            "channel_beyond_the_limit_of_a_connection_is_refused",
            vec![
                connected(PATH),
                group(
                    (0..10)
                        .map(|number| {
                            let message = CLIENT.text(subscribe(&format!("c{number}")));
                            group(vec![send(message), text_with(SUCCESS)])
                        })
                        .collect(),
                ),
                send(CLIENT.text(subscribe("c10"))),
                text_with(REFUSED),
                still_open(),
            ],
        ),
        apps(
            "subscriptions_in_a_loop_are_refused_beyond_their_supply_and_the_connection_stays_open",
            vec![
                connected(SMALL),
                send(
                    [subscribe("a"), unsubscribe("a")]
                        .map(|message| CLIENT.text(message))
                        .concat()
                        .repeat(500),
                ),
                text_with(SUCCESS),
                text_with_eventually(r#""type":"TooOften""#),
                still_open(),
                // Another connection has its own supply.
                client(1),
                connected(SMALL),
                send(CLIENT.text(subscribe("a"))),
                text_with(SUCCESS),
            ],
        ),
        apps(
            "subscriptions_without_end_and_never_read_cost_little_memory",
            vec![
                narrow_client(0),
                open(PATH),
                flood(
                    [subscribe("a"), unsubscribe("a")]
                        .map(|message| CLIENT.text(message))
                        .concat(),
                    16 << 20,
                ),
            ],
        ),
        apps(
            "channels_of_clients_that_go_leave_nothing",
            vec![group(
                (0..300)
                    .map(|number| {
                        let channel = CLIENT.text(subscribe(&format!("of-{number}")));
                        group(vec![
                            client(number),
                            connected(PATH),
                            send(channel),
                            text_with(SUCCESS),
                            reset(),
                        ])
                    })
                    .collect(),
            )],
        ),
    ]
}

fn api() -> Vec<Behaviour> {
    let query = "auth_key=app-key&auth_timestamp=1&auth_version=1.0&auth_signature=0";
    let escapes = "%2C".repeat(2000);
    vec![
        refuses(
            "event_without_a_signature_gets_401",
            post("/apps/1/events", "{}"),
            401,
        ),
        refuses(
            "request_of_1970_gets_401",
            get(&format!("/apps/1/channels?{query}")),
            401,
        ),
        refuses(
            "query_of_escapes_gets_401",
            get(&format!("/apps/1/channels?{query}&info={escapes}")),
            401,
        ),
        refuses(
            "parameters_that_come_twice_get_401",
            get(&format!("/apps/1/channels?{query}&{query}")),
            401,
        ),
        refuses(
            "body_of_1_mib_without_a_signature_gets_401",
            post("/apps/1/events", &"x".repeat(1 << 20)),
            401,
        ),
        refuses("unknown_app_gets_404", get("/apps/99/channels"), 404),
        refuses(
            "unknown_resource_of_an_app_gets_404",
            get("/apps/1/secrets"),
            404,
        ),
        refuses(
            "method_that_a_resource_does_not_have_gets_405",
            get("/apps/1/events"),
            405,
        ),
        refuses(
            "user_without_an_app_gets_404",
            post("/users/1/terminate_connections", "{}"),
            404,
        ),
    ]
}
