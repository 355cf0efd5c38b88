//! Who may connect: names of the server, and tokens (docs/access.md).

use yamabiko_testing::socket::upgrade;

use super::{Behaviour, CLIENT, Settings, serve, with};
use crate::steps::*;

/// The chat needs a token, broadcast rooms do not.
pub(super) const KEYS: Settings = &[
    "serve",
    "--workers",
    "1",
    "--broadcast",
    "open",
    "--shared-keys-file",
    concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/robustness/shared_keys"
    ),
];

/// The handshake of the chat with these fields, at this path.
fn chat(path: &str, fields: &str) -> Vec<u8> {
    upgrade(path, fields).into_bytes()
}

fn refuses(name: &'static str, path: &str, fields: &str, code: u16) -> Behaviour {
    with(KEYS, name, vec![send(chat(path, fields)), refused(code)])
}

fn admits(name: &'static str, path: &str, fields: &str) -> Behaviour {
    let steps = vec![
        send(chat(path, fields)),
        status(101),
        send(CLIENT.text(r#"{"type":"names","id":"admitted"}"#)),
        text_with("admitted"),
    ];
    with(KEYS, name, steps)
}

/// A request for this host is refused.
fn refuses_host(name: &'static str, host: &str, fields: &str) -> Behaviour {
    let request = upgrade("/broadcast/a", fields);
    let request = request.replace("Host: localhost", &format!("Host: {host}"));
    serve(name, vec![send(request), refused(421)])
}

fn admits_host(name: &'static str, host: &str) -> Behaviour {
    let request = format!("GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n");
    serve(name, vec![send(request), status(200)])
}

pub fn behaviours() -> Vec<Behaviour> {
    let key = "Authorization: Bearer a-key-of-the-robustness-suite\r\n";
    let unsigned = "Authorization: Bearer eyJhbGciOiJub25lIn0.eyJleHAiOjk5OTk5OTk5OTl9.\r\n";
    vec![
        refuses_host(
            "page_whose_own_name_leads_to_a_loopback_address_gets_421",
            "evil.example:8080",
            "Origin: http://evil.example:8080\r\n",
        ),
        refuses_host(
            "host_that_begins_with_localhost_gets_421",
            "localhost.evil.example",
            "",
        ),
        refuses_host(
            "host_that_begins_with_a_loopback_address_gets_421",
            "127.0.0.1.evil.example",
            "",
        ),
        refuses_host("loopback_address_as_one_number_gets_421", "2130706433", ""),
        refuses_host("address_of_another_network_gets_421", "192.0.2.1", ""),
        serve(
            "health_for_another_host_gets_421",
            vec![
                send("GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
                status(421),
            ],
        ),
        serve(
            "host_of_an_absolute_target_is_the_one_that_counts",
            vec![
                send("GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                status(421),
            ],
        ),
        admits_host("loopback_address_is_a_name_of_the_server", "127.0.0.1:9"),
        admits_host("loopback_address_of_ipv6_is_a_name_of_the_server", "[::1]"),
        admits_host(
            "localhost_in_any_case_is_a_name_of_the_server",
            "LocalHost:1",
        ),
        refuses("chat_without_a_token_gets_401", "/chat/a", "", 401),
        with(
            KEYS,
            "refusal_names_the_scheme_of_tokens",
            vec![
                send(chat("/chat/a", "")),
                status(401),
                contains("WWW-Authenticate: Bearer"),
            ],
        ),
        refuses(
            "unknown_key_gets_401",
            "/chat/a",
            "Authorization: Bearer a-key-of-the-robustness-suitf\r\n",
            401,
        ),
        refuses(
            "beginning_of_a_key_gets_401",
            "/chat/a",
            "Authorization: Bearer a-key-of-the\r\n",
            401,
        ),
        refuses("unsigned_json_web_token_gets_401", "/chat/a", unsigned, 401),
        refuses(
            "password_in_place_of_a_token_gets_401",
            "/chat/a",
            "Authorization: Basic YTpi\r\n",
            401,
        ),
        refuses(
            "two_tokens_get_400",
            "/chat/a?access_token=a-key-of-the-robustness-suite",
            key,
            400,
        ),
        refuses(
            "key_of_another_room_gets_403",
            "/chat/a",
            "Authorization: Bearer a-key-for-another-room\r\n",
            403,
        ),
        admits("key_as_authorization_is_admitted", "/chat/a", key),
        admits(
            "key_in_the_query_is_admitted",
            "/chat/a?access_token=a-key-of-the-robustness-suite",
            "",
        ),
        admits(
            "key_in_a_cookie_is_admitted",
            "/chat/a",
            "Cookie: a=b; yamabiko_token=a-key-of-the-robustness-suite\r\n",
        ),
        admits(
            "key_as_a_subprotocol_is_admitted",
            "/chat/a",
            "Sec-WebSocket-Protocol: yamabiko.chat.v1, yamabiko.token.a-key-of-the-robustness-suite\r\n",
        ),
        with(
            KEYS,
            "subprotocol_that_is_a_token_is_not_sent_back",
            vec![
                send(chat(
                    "/chat/a",
                    "Sec-WebSocket-Protocol: yamabiko.chat.v1, yamabiko.token.a-key-of-the-robustness-suite\r\n",
                )),
                status(101),
                lacks("a-key-of-the-robustness-suite"),
            ],
        ),
        with(
            KEYS,
            "page_that_offers_no_other_subprotocol_gets_the_one_without_the_token",
            vec![
                send(upgrade(
                    "/broadcast/a",
                    "Sec-WebSocket-Protocol: yamabiko.token, yamabiko.token.a-key-of-the-robustness-suite\r\n",
                )),
                status(101),
                contains("Sec-WebSocket-Protocol: yamabiko.token\r\n"),
            ],
        ),
        with(
            KEYS,
            "page_that_offers_no_subprotocol_of_the_chat_gets_400",
            vec![
                send(chat(
                    "/chat/a",
                    "Sec-WebSocket-Protocol: yamabiko.token, yamabiko.token.a-key-of-the-robustness-suite\r\n",
                )),
                refused(400),
            ],
        ),
        refuses(
            "unknown_key_in_a_cookie_gets_401",
            "/chat/a",
            "Cookie: yamabiko_token=nobodys-key-0123456789\r\n",
            401,
        ),
        refuses(
            "unknown_key_in_the_query_gets_401",
            "/chat/a?access_token=nobodys-key-0123456789",
            "",
            401,
        ),
        refuses(
            "unknown_key_as_a_subprotocol_gets_401",
            "/chat/a",
            "Sec-WebSocket-Protocol: yamabiko.token, yamabiko.token.nobodys-key-0123456789\r\n",
            401,
        ),
        refuses(
            "key_in_a_cookie_beside_one_as_authorization_gets_400",
            "/chat/a",
            "Authorization: Bearer a-key-of-the-robustness-suite\r\n\
             Cookie: yamabiko_token=a-key-of-the-robustness-suite\r\n",
            400,
        ),
        refuses(
            "two_cookies_with_a_key_get_400",
            "/chat/a",
            "Cookie: yamabiko_token=a-key-of-the-robustness-suite; yamabiko_token=x\r\n",
            400,
        ),
        refuses(
            "token_of_4097_bytes_gets_401",
            "/chat/a",
            &format!("Authorization: Bearer {}\r\n", "k".repeat(4097)),
            401,
        ),
        refuses(
            "empty_token_in_the_query_gets_400",
            "/chat/a?access_token=",
            "",
            400,
        ),
        refuses(
            "key_in_a_cookie_of_another_name_gets_401",
            "/chat/a",
            "Cookie: token=a-key-of-the-robustness-suite\r\n",
            401,
        ),
        with(
            KEYS,
            "token_is_not_sent_back",
            vec![
                send(chat(
                    "/chat/a",
                    "Authorization: Bearer secret-of-a-client\r\n",
                )),
                status(401),
                lacks("secret-of-a-client"),
            ],
        ),
    ]
}
