//! The first line of a request, and bytes of other protocols in its place (RFC 9112 §2.2, §3).

use super::{Behaviour, serve};
use crate::steps::*;

const HOST: &str = "\r\nHost: localhost\r\n\r\n";

/// One request with this line, which is refused with this status.
fn refuses(name: &'static str, line: impl AsRef<[u8]>, code: u16) -> Behaviour {
    let request = [line.as_ref(), HOST.as_bytes()].concat();
    serve(name, vec![send(request), refused(code)])
}

/// One request with this line, which gets this status, and then another one.
fn answers(name: &'static str, line: &str, code: u16) -> Behaviour {
    let steps = vec![
        send(format!("{line}{HOST}")),
        status(code),
        send(format!("GET /health HTTP/1.1{HOST}")),
        status(200),
    ];
    serve(name, steps)
}

pub fn behaviours() -> Vec<Behaviour> {
    vec![
        answers(
            "empty_line_before_a_request_is_skipped",
            "\r\nGET /health HTTP/1.1",
            200,
        ),
        refuses(
            "many_empty_lines_before_a_request_get_400",
            "\r\n".repeat(100),
            400,
        ),
        answers(
            "method_in_lower_case_is_another_method",
            "get /health HTTP/1.1",
            405,
        ),
        answers("unknown_method_gets_405", "BREW /health HTTP/1.1", 405),
        refuses(
            "method_with_a_separator_gets_400",
            "G(T /health HTTP/1.1",
            400,
        ),
        refuses("missing_method_gets_400", " /health HTTP/1.1", 400),
        refuses(
            "method_that_is_not_ascii_gets_400",
            "G\u{c9}T /health HTTP/1.1",
            400,
        ),
        refuses("method_without_end_gets_414", "M".repeat(10_000), 414),
        refuses("line_with_a_method_only_gets_400", "GET", 400),
        refuses("missing_target_gets_400", "GET  HTTP/1.1", 400),
        refuses("relative_target_gets_400", "GET health HTTP/1.1", 400),
        refuses("asterisk_is_no_target_of_get", "GET * HTTP/1.1", 400),
        refuses(
            "authority_is_no_target_of_get",
            "GET localhost:80 HTTP/1.1",
            400,
        ),
        refuses("target_with_a_space_gets_400", "GET /he alth HTTP/1.1", 400),
        refuses(
            "target_with_a_control_character_gets_400",
            "GET /\u{1} HTTP/1.1",
            400,
        ),
        refuses("target_with_del_gets_400", "GET /\u{7f} HTTP/1.1", 400),
        refuses(
            "target_with_a_fragment_gets_400",
            "GET /health#top HTTP/1.1",
            400,
        ),
        refuses(
            "target_that_is_not_ascii_gets_400",
            "GET /caf\u{e9} HTTP/1.1",
            400,
        ),
        refuses(
            "target_longer_than_8_kib_gets_414",
            format!("GET /{} HTTP/1.1", "a".repeat(8 << 10)),
            414,
        ),
        answers(
            "absolute_target_is_accepted",
            "GET http://localhost/health HTTP/1.1",
            200,
        ),
        refuses(
            "absolute_target_of_another_scheme_gets_400",
            "GET ftp://localhost/ HTTP/1.1",
            400,
        ),
        refuses(
            "absolute_target_with_a_user_gets_400",
            "GET http://a@localhost/ HTTP/1.1",
            400,
        ),
        refuses(
            "absolute_target_without_a_host_gets_400",
            "GET http:///health HTTP/1.1",
            400,
        ),
        answers(
            "options_of_the_whole_server_gets_204",
            "OPTIONS * HTTP/1.1",
            204,
        ),
        answers(
            "later_minor_version_is_served_as_1_1",
            "GET /health HTTP/1.9",
            200,
        ),
        refuses("version_3_gets_505", "GET /health HTTP/3.0", 505),
        refuses(
            "version_with_two_digits_gets_400",
            "GET /health HTTP/1.10",
            400,
        ),
        refuses(
            "version_with_a_leading_zero_gets_400",
            "GET /health HTTP/01.1",
            400,
        ),
        refuses(
            "version_of_another_protocol_gets_400",
            "GET /health RTSP/1.0",
            400,
        ),
        refuses(
            "space_behind_the_version_gets_400",
            "GET /health HTTP/1.1 ",
            400,
        ),
        refuses(
            "first_bytes_of_tls_get_400",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            400,
        ),
        refuses("first_line_of_ssh_gets_400", "SSH-2.0-OpenSSH_9.9", 400),
        refuses(
            "frame_before_the_handshake_gets_400",
            b"\x81\x82\x00\x00\x00\x00hi",
            400,
        ),
        refuses("null_bytes_get_400", [0; 64], 400),
        serve(
            "request_line_without_end_is_refused_while_it_is_read",
            vec![send("GET /"), send("a".repeat(9 << 10)), refused(414)],
        ),
        serve(
            "request_is_understood_at_every_cut",
            vec![at_every_cut(format!("GET /health HTTP/1.1{HOST}"), || {
                vec![status(200)]
            })],
        ),
        serve(
            "malformed_line_is_refused_at_every_cut",
            vec![at_every_cut(format!("GET health HTTP/1.1{HOST}"), || {
                vec![refused(400)]
            })],
        ),
    ]
}
