//! Fields of a request, and Host (RFC 9112 §3.2, §5; RFC 9110 §5, §7.2).

use super::{Behaviour, serve};
use crate::steps::*;

/// A request for `/health` with these field lines in place of all others.
fn request(lines: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET /health HTTP/1.1\r\n", lines.as_ref(), b"\r\n\r\n"].concat()
}

fn with_host(line: impl AsRef<[u8]>) -> Vec<u8> {
    request([b"Host: localhost\r\n", line.as_ref()].concat())
}

/// A request with Host and this line.
fn refuses(name: &'static str, line: impl AsRef<[u8]>, code: u16) -> Behaviour {
    serve(name, vec![send(with_host(line)), refused(code)])
}

fn accepts(name: &'static str, line: impl AsRef<[u8]>) -> Behaviour {
    serve(name, vec![send(with_host(line)), status(200)])
}

/// A request with this Host alone.
fn refuses_host(name: &'static str, value: &str) -> Behaviour {
    serve(
        name,
        vec![send(request(format!("Host: {value}"))), refused(400)],
    )
}

pub fn behaviours() -> Vec<Behaviour> {
    let lines = |count: usize| vec!["X: y"; count].join("\r\n");
    vec![
        refuses("field_name_with_a_space_gets_400", "X Y: z", 400),
        refuses("field_name_that_is_not_ascii_gets_400", "\u{dc}: z", 400),
        refuses("field_name_with_a_separator_gets_400", "X(Y): z", 400),
        refuses("field_value_with_escape_gets_400", "X: \u{1b}[2J", 400),
        refuses("field_value_with_del_gets_400", "X: \u{7f}", 400),
        refuses("carriage_return_before_crlf_gets_400", "X: y\r", 400),
        refuses("line_of_spaces_gets_400", "   ", 400),
        refuses("folded_last_line_gets_400", "X: y\r\n\tz", 400),
        accepts("field_value_in_utf_8_is_accepted", "X: h\u{f6}he"),
        accepts("field_value_in_latin_1_is_accepted", b"X: h\xf6he"),
        accepts("field_value_with_a_tab_is_accepted", "X: y\tz"),
        accepts("empty_field_value_is_accepted", "X:"),
        accepts(
            "white_space_around_a_value_is_ignored",
            "Connection: \t keep-alive \t ",
        ),
        accepts("field_names_differ_in_case_only", "CONNECTION: KEEP-ALIVE"),
        accepts("same_unknown_field_many_times_is_accepted", lines(99)),
        refuses("more_than_100_fields_get_431", lines(100), 431),
        refuses(
            "field_longer_than_8_kib_gets_431",
            format!("X: {}", "y".repeat(8 << 10)),
            431,
        ),
        refuses(
            "head_longer_than_16_kib_gets_431",
            vec![format!("X: {}", "y".repeat(1000)); 17].join("\r\n"),
            431,
        ),
        serve(
            "field_name_without_end_is_refused_while_it_is_read",
            vec![
                send("GET /health HTTP/1.1\r\n"),
                send("X".repeat(9 << 10)),
                refused(431),
            ],
        ),
        serve(
            "fields_without_end_are_refused_while_they_are_read",
            vec![
                send("GET /health HTTP/1.1\r\nHost: localhost\r\n"),
                flood_until_end("X: y\r\n"),
            ],
        ),
        refuses_host("empty_host_gets_400", ""),
        refuses_host("host_with_a_path_gets_400", "localhost/health"),
        refuses_host("host_with_a_space_gets_400", "local host"),
        refuses_host("host_with_a_list_gets_400", "localhost, localhost"),
        refuses_host(
            "host_with_a_port_that_is_no_number_gets_400",
            "localhost:http",
        ),
        refuses_host("host_with_a_port_beyond_65535_gets_400", "localhost:65536"),
        refuses_host("host_with_a_negative_port_gets_400", "localhost:-1"),
        refuses_host("host_with_an_unclosed_bracket_gets_400", "[::1"),
        refuses_host("host_with_a_name_in_brackets_gets_400", "[localhost]"),
        refuses_host("host_with_a_zone_gets_400", "[fe80::1%25eth0]"),
        refuses_host("host_with_a_scheme_gets_400", "http://localhost"),
        refuses_host("host_with_a_broken_percent_encoding_gets_400", "local%host"),
        refuses_host("host_with_a_quotation_mark_gets_400", "\"localhost\""),
        serve(
            "http_1_0_needs_no_host_and_closes",
            vec![send("GET /health HTTP/1.0\r\n\r\n"), refused(200)],
        ),
        serve(
            "forged_length_of_get_does_not_hide_the_next_request",
            vec![
                send(with_host("Content-Length: 0")),
                status(200),
                send(with_host("X: y")),
                status(200),
            ],
        ),
    ]
}
