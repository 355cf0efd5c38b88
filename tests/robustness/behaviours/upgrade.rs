//! The opening handshake (RFC 6455 §4.2, §4.4, §9.1, §10.2).

use super::{Behaviour, CLIENT, echo, serve};
use crate::steps::*;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
const UPGRADE: &str = "Upgrade: websocket\r\n";
const CONNECTION: &str = "Connection: Upgrade\r\n";

/// A request with exactly these fields and Host.
fn request(method: &str, fields: &[&str]) -> String {
    format!(
        "{method} / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        fields.concat()
    )
}

/// The handshake with further fields.
fn with_fields(fields: &str) -> String {
    request("GET", &[UPGRADE, CONNECTION, KEY, VERSION, fields])
}

fn refuses(name: &'static str, fields: &[&str], code: u16) -> Behaviour {
    echo(name, vec![send(request("GET", fields)), refused(code)])
}

/// The handshake with these further fields is refused.
fn refuses_with(name: &'static str, fields: &str, code: u16) -> Behaviour {
    echo(name, vec![send(with_fields(fields)), refused(code)])
}

fn accepts(name: &'static str, fields: &[&str]) -> Behaviour {
    let steps = vec![
        send(request("GET", fields)),
        status(101),
        contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        send(CLIENT.text("hi")),
        text("hi"),
    ];
    echo(name, steps)
}

/// The handshake with these further fields is accepted, and the response has no `field`.
fn ignores(name: &'static str, fields: &str, field: &'static str) -> Behaviour {
    let steps = vec![send(with_fields(fields)), status(101), no_field(field)];
    echo(name, steps)
}

/// A page of this origin is refused.
fn refuses_page(name: &'static str, origin: &str) -> Behaviour {
    let request = with_fields(&format!("Origin: {origin}\r\n"));
    let request = request.replace(" / ", " /broadcast/a ");
    serve(name, vec![send(request), refused(403)])
}

pub fn behaviours() -> Vec<Behaviour> {
    let key = |value: &str| format!("Sec-WebSocket-Key: {value}\r\n");
    let version = |value: &str| format!("Sec-WebSocket-Version: {value}\r\n");
    let of_key = |value: &str| [UPGRADE, CONNECTION, VERSION, &key(value)].concat();
    let of_version = |value: &str| [UPGRADE, CONNECTION, KEY, &version(value)].concat();
    let offers = |count: usize| {
        let names: Vec<_> = (0..count).map(|number| format!("p{number}")).collect();
        format!("Sec-WebSocket-Protocol: {}\r\n", names.join(", "))
    };
    vec![
        refuses("missing_key_gets_400", &[UPGRADE, CONNECTION, VERSION], 400),
        refuses("empty_key_gets_400", &[&of_key("")], 400),
        refuses(
            "key_of_15_bytes_gets_400",
            &[&of_key("MTIzNDU2Nzg5MDEyMzQ1")],
            400,
        ),
        refuses(
            "key_of_17_bytes_gets_400",
            &[&of_key("MTIzNDU2Nzg5MDEyMzQ1Njc=")],
            400,
        ),
        refuses(
            "key_that_is_no_base64_gets_400",
            &[&of_key("????????????????????????")],
            400,
        ),
        refuses(
            "key_without_padding_gets_400",
            &[&of_key("dGhlIHNhbXBsZSBub25jZQ")],
            400,
        ),
        refuses(
            "key_with_bits_behind_its_end_gets_400",
            &[&of_key("dGhlIHNhbXBsZSBub25jZR==")],
            400,
        ),
        refuses(
            "key_in_the_url_alphabet_gets_400",
            &[&of_key("-_-_-_-_-_-_-_-_-_-_-Q==")],
            400,
        ),
        refuses(
            "two_keys_get_400",
            &[UPGRADE, CONNECTION, VERSION, KEY, KEY],
            400,
        ),
        accepts(
            "white_space_around_the_key_is_no_part_of_it",
            &[&of_key(" \t dGhlIHNhbXBsZSBub25jZQ== \t ")],
        ),
        refuses("missing_version_gets_400", &[UPGRADE, CONNECTION, KEY], 400),
        echo(
            "version_8_gets_426_with_the_version_of_the_server",
            vec![
                send(request("GET", &[&of_version("8")])),
                status(426),
                contains("Sec-WebSocket-Version: 13"),
                end(),
            ],
        ),
        refuses(
            "version_with_a_leading_zero_gets_400",
            &[&of_version("013")],
            400,
        ),
        refuses("list_of_versions_gets_400", &[&of_version("13, 8")], 400),
        refuses(
            "version_that_is_negative_gets_400",
            &[&of_version("-13")],
            400,
        ),
        refuses("version_beyond_255_gets_400", &[&of_version("256")], 400),
        refuses(
            "two_versions_get_400",
            &[UPGRADE, CONNECTION, KEY, VERSION, VERSION],
            400,
        ),
        refuses("missing_connection_gets_400", &[UPGRADE, KEY, VERSION], 400),
        refuses(
            "connection_without_upgrade_gets_400",
            &[UPGRADE, "Connection: keep-alive\r\n", KEY, VERSION],
            400,
        ),
        accepts(
            "connection_with_further_options_is_accepted",
            &[UPGRADE, "Connection: keep-alive, uPgRaDe\r\n", KEY, VERSION],
        ),
        accepts(
            "connection_in_two_fields_is_accepted",
            &[
                UPGRADE,
                "Connection: keep-alive\r\nConnection: Upgrade\r\n",
                KEY,
                VERSION,
            ],
        ),
        accepts(
            "upgrade_in_any_case_is_accepted",
            &["uPGRADE: WEBsocket\r\n", CONNECTION, KEY, VERSION],
        ),
        accepts(
            "upgrade_to_one_of_several_protocols_is_accepted",
            &["Upgrade: h2c, websocket\r\n", CONNECTION, KEY, VERSION],
        ),
        echo(
            "upgrade_to_another_protocol_is_an_ordinary_request",
            vec![
                send(request("GET", &["Upgrade: h2c\r\n", CONNECTION])),
                status(404),
            ],
        ),
        echo(
            "upgrade_by_post_gets_405",
            vec![
                send(request("POST", &[UPGRADE, CONNECTION, KEY, VERSION])),
                refused(405),
            ],
        ),
        echo(
            "upgrade_by_head_is_an_ordinary_request",
            vec![
                send(request("HEAD", &[UPGRADE, CONNECTION, KEY, VERSION])),
                status_of_head(404),
            ],
        ),
        echo(
            "upgrade_of_http_1_0_is_an_ordinary_request",
            vec![
                send(with_fields("").replace("HTTP/1.1", "HTTP/1.0")),
                status(404),
                end(),
            ],
        ),
        refuses_with(
            "handshake_with_a_length_gets_400",
            "Content-Length: 5\r\n",
            400,
        ),
        refuses_with(
            "handshake_with_a_chunked_body_gets_400",
            "Transfer-Encoding: chunked\r\n",
            400,
        ),
        refuses_with(
            "two_origins_get_400",
            "Origin: null\r\nOrigin: null\r\n",
            400,
        ),
        refuses_with("empty_origin_gets_400", "Origin:\r\n", 400),
        refuses_with(
            "origin_that_is_not_ascii_gets_400",
            "Origin: http://\u{e9}\r\n",
            400,
        ),
        refuses_page("page_of_another_site_gets_403", "http://evil.example"),
        refuses_page(
            "page_whose_host_begins_with_ours_gets_403",
            "http://localhost.evil.example",
        ),
        refuses_page("page_without_an_origin_of_its_own_gets_403", "null"),
        refuses_page("page_of_another_port_gets_403", "http://localhost:81"),
        refuses_page("page_of_an_ip_address_gets_403", "http://127.0.0.1"),
        refuses_page("origin_that_is_no_url_gets_403", "://["),
        refuses_with(
            "subprotocol_that_is_no_token_gets_400",
            "Sec-WebSocket-Protocol: a b\r\n",
            400,
        ),
        refuses_with(
            "subprotocol_with_a_line_break_of_its_own_gets_400",
            "Sec-WebSocket-Protocol: a\rb\r\n",
            400,
        ),
        refuses_with(
            "same_subprotocol_twice_gets_400",
            "Sec-WebSocket-Protocol: a, a\r\n",
            400,
        ),
        refuses_with("hundreds_of_subprotocols_get_400", &offers(500), 400),
        refuses_with(
            "subprotocol_with_thousands_of_spaces_gets_400",
            &format!("Sec-WebSocket-Protocol: b{}x\r\n", " ".repeat(7000)),
            400,
        ),
        ignores(
            "unknown_subprotocol_is_not_selected",
            "Sec-WebSocket-Protocol: mqtt\r\n",
            "Sec-WebSocket-Protocol",
        ),
        refuses_with(
            "extension_that_is_no_token_gets_400",
            "Sec-WebSocket-Extensions: a b\r\n",
            400,
        ),
        refuses_with(
            "extension_with_an_open_quotation_gets_400",
            "Sec-WebSocket-Extensions: a; b=\"c\r\n",
            400,
        ),
        refuses_with(
            "extension_with_thousands_of_escapes_in_an_open_quotation_gets_400",
            &format!(
                "Sec-WebSocket-Extensions: a; b=\"{}\r\n",
                "\\c".repeat(3500)
            ),
            400,
        ),
        ignores(
            "extension_with_the_name_of_an_object_property_is_unknown",
            "Sec-WebSocket-Extensions: constructor; __proto__=toString, hasOwnProperty\r\n",
            "Sec-WebSocket-Extensions",
        ),
        refuses_with(
            "extension_parameter_without_a_name_gets_400",
            "Sec-WebSocket-Extensions: a; =b\r\n",
            400,
        ),
        ignores(
            "unknown_extension_is_not_selected",
            "Sec-WebSocket-Extensions: x-shout; level=9\r\n",
            "Sec-WebSocket-Extensions",
        ),
        echo(
            "first_frame_may_come_with_the_handshake",
            vec![
                send([with_fields("").into_bytes(), CLIENT.text("early")].concat()),
                status(101),
                text("early"),
            ],
        ),
        echo(
            "illegal_frame_that_comes_with_the_handshake_fails_it_behind_the_101",
            vec![
                send([with_fields("").into_bytes(), vec![0xff; 2]].concat()),
                status(101),
                fails(1002),
            ],
        ),
        echo(
            "second_handshake_on_the_same_connection_fails_it",
            vec![open("/"), send(with_fields("")), fails(1002)],
        ),
        echo(
            "cookies_and_authorization_are_not_sent_back",
            vec![
                send(with_fields(
                    "Cookie: a=b\r\nAuthorization: Basic YTpi\r\nX: y\r\n",
                )),
                status(101),
                no_field("Cookie"),
                no_field("Authorization"),
                no_field("X"),
            ],
        ),
        echo(
            "handshake_is_understood_at_every_cut",
            vec![at_every_cut(with_fields(""), || {
                vec![status(101), send(CLIENT.text("hi")), text("hi")]
            })],
        ),
        echo(
            "handshake_in_single_bytes_is_understood",
            vec![
                in_single_bytes(with_fields("")),
                status(101),
                send(CLIENT.text("hi")),
                text("hi"),
            ],
        ),
        serve(
            "chat_refuses_clients_that_speak_only_other_subprotocols",
            vec![
                send(with_fields("Sec-WebSocket-Protocol: mqtt\r\n").replace(" / ", " /chat/a ")),
                refused(400),
            ],
        ),
        serve(
            "upgrade_at_a_path_without_a_websocket_gets_404",
            vec![send(with_fields("")), refused(404)],
        ),
        serve(
            "upgrade_into_an_invalid_room_gets_404",
            vec![
                send(with_fields("").replace(" / ", " /chat/a%20b ")),
                refused(404),
            ],
        ),
        serve(
            "upgrade_into_a_room_that_is_not_utf_8_gets_400",
            vec![
                send(with_fields("").replace(" / ", " /broadcast/%FF ")),
                refused(400),
            ],
        ),
    ]
}
