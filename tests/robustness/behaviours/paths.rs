//! Paths, and the files of the page (RFC 3986 §6.2.2, RFC 9110 §9.3, §13, §14).

use super::{Behaviour, serve};
use crate::steps::*;

fn request(method: &str, path: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

/// A GET that gets this status; the connection stays open.
fn answers(name: &'static str, path: &str, code: u16) -> Behaviour {
    let steps = vec![
        send(request("GET", path, "")),
        status(code),
        send(request("GET", "/health", "")),
        status(200),
    ];
    serve(name, steps)
}

pub fn behaviours() -> Vec<Behaviour> {
    let html = "Accept: text/html\r\n";
    vec![
        answers("dot_segments_lead_nowhere", "/../../../etc/passwd", 404),
        answers(
            "encoded_dot_segments_lead_nowhere",
            "/%2e%2e/%2e%2e/etc/passwd",
            404,
        ),
        answers("backslashes_lead_nowhere", "/..\\..\\etc\\passwd", 404),
        answers("double_slash_is_another_path", "//health", 404),
        answers("slash_behind_a_file_is_another_path", "/chat.js/", 404),
        answers("encoded_slash_in_a_room_gets_404", "/chat/a%2Fb", 404),
        answers("slash_in_a_room_gets_404", "/chat/a/b", 404),
        answers("nul_in_a_room_gets_404", "/chat/%00", 404),
        answers(
            "percent_sign_that_is_encoded_twice_gets_404",
            "/chat/%2561",
            404,
        ),
        answers("percent_sign_without_digits_gets_400", "/chat/%zz", 400),
        answers("percent_sign_at_the_end_gets_400", "/chat/a%", 400),
        answers("overlong_utf_8_in_a_room_gets_400", "/chat/%C0%AF", 400),
        answers("surrogate_in_a_room_gets_400", "/chat/%ED%A0%80", 400),
        answers("empty_room_gets_404", "/chat/", 404),
        answers(
            "room_of_65_characters_gets_404",
            &format!("/chat/{}", "a".repeat(65)),
            404,
        ),
        answers(
            "room_of_64_characters_is_a_room",
            &format!("/chat/{}", "a".repeat(64)),
            426,
        ),
        answers("room_of_two_dots_gets_404", "/chat/..", 404),
        answers(
            "line_break_in_a_room_gets_404",
            "/chat/a%0D%0ASet-Cookie:%20b",
            404,
        ),
        answers(
            "invisible_character_in_a_room_gets_404",
            "/chat/a%E2%80%8Bb",
            404,
        ),
        answers(
            "query_does_not_change_the_resource",
            "/health?../../x=%00",
            200,
        ),
        answers(
            "query_of_bytes_that_browsers_send_is_accepted",
            "/health?a[]=1|2^`{}",
            200,
        ),
        serve(
            "redirect_has_no_byte_that_the_client_encoded",
            vec![
                send(request("GET", "/chat/%E3%81%82", html)),
                status(303),
                contains("Location: ../#%E3%81%82\r\n"),
            ],
        ),
        serve(
            "redirect_of_an_invalid_room_is_an_error",
            vec![
                send(request("GET", "/chat/a%0D%0Ab", html)),
                status(404),
                no_field("Location"),
            ],
        ),
        serve(
            "websocket_path_without_upgrade_gets_426_with_the_version",
            vec![
                send(request("GET", "/broadcast/a", "")),
                status(426),
                contains("Sec-WebSocket-Version: 13"),
                contains("Upgrade: websocket"),
            ],
        ),
        serve(
            "head_has_no_body",
            vec![
                send(request("HEAD", "/", "")),
                status_of_head(200),
                send(request("GET", "/health", "")),
                status(200),
                contains("ok\n"),
            ],
        ),
        serve(
            "head_of_an_unknown_path_has_no_body",
            vec![
                send(request("HEAD", "/nothing", "")),
                status_of_head(404),
                send(request("GET", "/health", "")),
                status(200),
            ],
        ),
        serve(
            "refused_head_has_no_body",
            vec![
                send("HEAD /health HTTP/1.1\r\nX Y: z\r\n\r\n"),
                status_of_head(400),
                end(),
            ],
        ),
        serve(
            "delete_gets_405_with_allow",
            vec![
                send(request("DELETE", "/", "")),
                status(405),
                contains("Allow: GET, HEAD"),
            ],
        ),
        serve(
            "trace_does_not_return_the_request",
            vec![
                send(request("TRACE", "/", "Cookie: secret\r\n")),
                status(405),
                no_field("Cookie"),
            ],
        ),
        serve(
            "unknown_path_is_not_repeated_in_the_response",
            vec![send(request("GET", "/<script>", "")), refused(400)],
        ),
        serve(
            "range_is_ignored",
            vec![
                send(request("GET", "/health", "Range: bytes=0-0,1-1,2-2,-1\r\n")),
                status(200),
                contains("ok\n"),
            ],
        ),
        serve(
            "malformed_entity_tags_are_ignored",
            vec![
                send(request("GET", "/", "If-None-Match: \"a, W/, \"\"b\r\n")),
                status(200),
            ],
        ),
        serve(
            "file_carries_the_fields_that_protect_the_page",
            vec![
                send(request("GET", "/", "")),
                status(200),
                contains("Content-Security-Policy: "),
                contains("X-Content-Type-Options: nosniff"),
            ],
        ),
        serve(
            "accept_encoding_without_end_of_weights_gets_the_file",
            vec![
                send(request(
                    "GET",
                    "/",
                    "Accept-Encoding: gzip;q=, ;;q=9, *;q=-1\r\n",
                )),
                status(200),
            ],
        ),
    ]
}
