//! Bodies, their framing, and Expect (RFC 9112 §6, §7; RFC 9110 §10.1.1).

use super::{Behaviour, serve};
use crate::steps::*;

/// A request that is answered whatever its body is, and not before the body has come.
fn with_body(fields: &str) -> String {
    format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

const GET: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// A request with this body, which is read and answered, and the next request is read where it begins.
fn reads(name: &'static str, fields: &str, body: impl AsRef<[u8]>) -> Behaviour {
    let steps = vec![
        send(with_body(fields)),
        send(body),
        status(200),
        send(GET),
        status(200),
    ];
    serve(name, steps)
}

/// A request with this beginning of a body, which is refused.
fn refuses(name: &'static str, fields: &str, body: impl AsRef<[u8]>, code: u16) -> Behaviour {
    serve(
        name,
        vec![send(with_body(fields)), send(body), refused(code)],
    )
}

pub fn behaviours() -> Vec<Behaviour> {
    let megabyte = "x".repeat(1 << 20);
    vec![
        reads(
            "body_of_the_longest_length_is_read",
            "Content-Length: 1048576\r\n",
            &megabyte,
        ),
        refuses(
            "body_one_byte_too_long_gets_413_before_it_comes",
            "Content-Length: 1048577\r\n",
            "",
            413,
        ),
        reads(
            "chunked_body_of_single_bytes_is_read",
            CHUNKED,
            "1\r\nx\r\n".repeat(1000) + "0\r\n\r\n",
        ),
        refuses(
            "chunked_body_without_end_gets_413",
            CHUNKED,
            format!("100000\r\n{megabyte}\r\n1\r\n"),
            413,
        ),
        refuses(
            "chunk_framing_of_many_times_the_content_gets_413",
            CHUNKED,
            format!("1;{}\r\nx\r\n", "y".repeat(200)).repeat(400),
            413,
        ),
        refuses(
            "trailers_without_end_get_413",
            CHUNKED,
            "0\r\n".to_owned() + &"X: y\r\n".repeat(20_000),
            413,
        ),
        refuses(
            "chunk_size_with_an_underscore_gets_400",
            CHUNKED,
            "1_0\r\n",
            400,
        ),
        refuses(
            "chunk_size_that_is_negative_gets_400",
            CHUNKED,
            "-1\r\n",
            400,
        ),
        refuses(
            "chunk_size_without_end_gets_400",
            CHUNKED,
            "0".repeat(1000),
            400,
        ),
        refuses(
            "chunk_without_crlf_behind_gets_400",
            CHUNKED,
            "1\r\nxy",
            400,
        ),
        refuses(
            "chunk_size_with_a_control_character_gets_400",
            CHUNKED,
            "1\0\r\n",
            400,
        ),
        reads(
            "trailers_are_read_and_ignored",
            CHUNKED,
            "0\r\nHost: evil\r\nX: y\r\n\r\n",
        ),
        reads(
            "chunk_sizes_in_both_cases_are_read",
            CHUNKED,
            format!("A\r\n{0}\r\na\r\n{0}\r\n0\r\n\r\n", "x".repeat(10)),
        ),
        refuses(
            "length_with_a_list_of_other_values_gets_400",
            "Content-Length: 5, 5, 6\r\n",
            "",
            400,
        ),
        refuses(
            "length_with_a_decimal_point_gets_400",
            "Content-Length: 5.0\r\n",
            "",
            400,
        ),
        refuses(
            "length_in_other_digits_gets_400",
            "Content-Length: \u{665}\r\n",
            "",
            400,
        ),
        refuses(
            "two_codings_in_two_fields_get_501",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            "",
            501,
        ),
        refuses(
            "coding_with_a_letter_of_another_script_gets_400",
            "Transfer-Encoding: \u{441}hunked\r\n",
            "",
            400,
        ),
        refuses(
            "length_beside_a_coding_gets_400_with_the_length_in_another_case",
            "transfer-encoding: chunked\r\ncontent-length: 0\r\n",
            "0\r\n\r\n",
            400,
        ),
        serve(
            "body_of_get_is_not_the_next_request",
            vec![
                send("GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 55\r\n\r\n"),
                send("GET /nothing HTTP/1.1\r\nHost: localhost\r\nX: 12345678\r\n\r\n"),
                status(200),
                send(GET),
                status(200),
            ],
        ),
        serve(
            "client_that_expects_100_gets_it_before_its_body",
            vec![
                send(with_body("Expect: 100-continue\r\nContent-Length: 5\r\n")),
                status(100),
                send("hello"),
                status(200),
                send(GET),
                status(200),
            ],
        ),
        serve(
            "expectation_without_a_body_gets_no_100",
            vec![send(with_body("Expect: 100-continue\r\n")), status(200)],
        ),
        serve(
            "expectation_of_http_1_0_gets_no_100",
            vec![
                send(
                    "GET /health HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
                ),
                status(200),
                end(),
            ],
        ),
        serve(
            "expectation_of_a_body_that_is_too_long_gets_413_and_no_100",
            vec![
                send(with_body(
                    "Expect: 100-continue\r\nContent-Length: 9999999\r\n",
                )),
                refused(413),
            ],
        ),
        serve(
            "body_that_ends_early_gets_no_response_of_the_resource",
            vec![
                send(with_body("Content-Length: 10\r\n")),
                send("12345"),
                half_close(),
                end(),
            ],
        ),
        serve(
            "reset_inside_a_body_frees_the_connection",
            vec![
                send(with_body("Content-Length: 1000000\r\n")),
                send(&megabyte[..500_000]),
                reset(),
                forgotten(),
            ],
        ),
        serve(
            "chunked_body_is_read_at_every_cut",
            vec![at_every_cut(
                with_body(CHUNKED) + "3\r\nabc\r\n0\r\nX: y\r\n\r\n",
                || vec![status(200)],
            )],
        ),
        serve(
            "refused_body_is_not_read_as_requests",
            vec![
                send(with_body("Content-Length: 9999999\r\n")),
                flood_until_end(GET),
            ],
        ),
    ]
}
