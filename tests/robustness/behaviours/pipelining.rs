//! Several requests on one connection, and the end of it (RFC 9112 §9.3, §9.6).

use super::{Behaviour, serve};
use crate::steps::*;

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

fn times(count: usize, step: impl Fn() -> Step) -> Step {
    group((0..count).map(|_| step()).collect())
}

pub fn behaviours() -> Vec<Behaviour> {
    vec![
        serve(
            "pipelined_requests_are_answered_in_order",
            vec![
                send(get("/health", "") + &get("/nothing", "") + &get("/chat/a", "")),
                status(200),
                status(404),
                status(426),
            ],
        ),
        serve(
            "hundreds_of_pipelined_requests_are_all_answered",
            vec![
                send(get("/health", "").repeat(500)),
                times(500, || status(200)),
            ],
        ),
        serve(
            "connection_ends_after_1000_requests",
            vec![
                send(get("/health", "").repeat(1001)),
                times(999, || status(200)),
                refused(200),
            ],
        ),
        serve(
            "request_behind_connection_close_is_ignored",
            vec![
                send(get("/health", "Connection: close\r\n") + &get("/nothing", "")),
                refused(200),
            ],
        ),
        serve(
            "close_among_other_options_ends_the_connection",
            vec![
                send(get("/health", "Connection: keep-alive, CLOSE\r\n")),
                refused(200),
            ],
        ),
        serve(
            "request_behind_a_malformed_one_is_ignored",
            vec![
                send(get("/health", "X Y: z\r\n") + &get("/health", "")),
                refused(400),
            ],
        ),
        serve(
            "malformed_request_behind_a_good_one_does_not_harm_its_response",
            vec![
                send(get("/health", "") + "\0\0\r\n\r\n"),
                status(200),
                contains("ok\n"),
                refused(400),
            ],
        ),
        serve(
            "head_among_pipelined_requests_keeps_the_order",
            vec![
                send(
                    get("/health", "") + &get("/", "").replace("GET", "HEAD") + &get("/health", ""),
                ),
                status(200),
                status_of_head(200),
                status(200),
            ],
        ),
        serve(
            "http_1_0_with_keep_alive_is_kept",
            vec![
                send("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
                status(200),
                contains("keep-alive"),
                send("GET /health HTTP/1.0\r\n\r\n"),
                refused(200),
            ],
        ),
        serve(
            "upgrade_behind_pipelined_requests_is_accepted",
            vec![
                send(get("/health", "")),
                open_after_response("/broadcast/pipelined"),
            ],
        ),
        serve(
            "request_behind_an_upgrade_is_read_as_a_frame",
            vec![open("/broadcast/a"), send(get("/health", "")), fails(1002)],
        ),
        serve(
            "client_that_takes_no_responses_is_not_read_without_end",
            vec![
                narrow_client(0),
                flood(get("/", ""), 256 << 20),
                hang_up(),
                forgotten(),
            ],
        )
        .memory_bytes_max(16 << 20),
        serve(
            "client_that_sends_fin_behind_requests_gets_all_responses",
            vec![
                send(get("/health", "").repeat(3)),
                half_close(),
                times(3, || status(200)),
                end(),
            ],
        ),
        serve(
            "idle_connection_that_resets_between_requests_is_freed",
            vec![send(get("/health", "")), status(200), reset()],
        ),
        serve(
            "many_connections_with_one_request_each_leave_nothing",
            vec![group(
                (0..300)
                    .flat_map(|number| {
                        vec![
                            client(number),
                            send(get("/health", "")),
                            status(200),
                            hang_up(),
                        ]
                    })
                    .collect(),
            )],
        ),
        serve(
            "many_connections_that_reset_behind_their_request_leave_nothing",
            vec![
                group(
                    (0..300)
                        .flat_map(|number| vec![client(number), send(get("/", "")), reset()])
                        .collect(),
                ),
                forgotten(),
            ],
        ),
    ]
}

/// The response of an earlier request, then the handshake.
fn open_after_response(path: &'static str) -> Step {
    group(vec![status(200), open(path)])
}
