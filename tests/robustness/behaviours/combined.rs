//! Several layers at once: HTTP, WebSocket, TLS, proxies, Unix sockets and limits in combinations that an attacker can choose.

use yamabiko_testing::deflate::letters;
use yamabiko_testing::socket::upgrade;

use super::access::KEYS;
use super::{Behaviour, CLIENT, SERVE, Settings, echo, serve, with};
use crate::steps::*;

const GET: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
const ROOM: &str = "/broadcast/combined";

const TLS: Settings = &[
    "serve",
    "--workers",
    "1",
    "--tls-cert",
    "{cert}",
    "--tls-key",
    "{key}",
];

const FULL: Settings = &["serve", "--workers", "1", "--connections-max", "1"];

const UNIX_SOCKET: Settings = &["serve", "--workers", "1", "--listen", "unix:{socket}"];

const PROXY_PROTOCOL: Settings = &[
    "serve",
    "--workers",
    "1",
    "--proxy",
    "127.0.0.3",
    "--proxy-fields",
    "none",
    "--proxy-protocol",
];

/// Bytes that a client sends in one go.
fn together(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn handshake(fields: &str) -> Vec<u8> {
    upgrade(ROOM, fields).into_bytes()
}

pub fn behaviours() -> Vec<Behaviour> {
    let mut behaviours = http_and_websocket();
    behaviours.extend(long_compressed_messages());
    behaviours.extend(tls());
    behaviours.extend(limits());
    if cfg!(target_os = "linux") {
        behaviours.extend(proxies());
        behaviours.extend(unix_sockets());
    }
    behaviours
}

fn http_and_websocket() -> Vec<Behaviour> {
    let publication = "POST /broadcast/combined HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\
         Content-Type: text/plain\r\nAuthorization: Bearer a-key-of-the-robustness-suite\r\n\r\nnews";
    vec![
        with(
            KEYS,
            "publication_and_handshake_and_message_in_one_segment_have_their_order",
            vec![
                send(together(&[
                    publication.as_bytes(),
                    GET.as_bytes(),
                    &handshake(""),
                    &CLIENT.text("own"),
                ])),
                status(202),
                status(200),
                status(101),
                text("own"),
            ],
        ),
        with(
            KEYS,
            "refused_publication_ends_the_connection_before_the_handshake_behind_it",
            vec![
                send(together(&[
                    publication.replace("robustness", "other").as_bytes(),
                    &handshake(""),
                    &CLIENT.text("own"),
                ])),
                refused(401),
            ],
        ),
        serve(
            "handshake_that_expects_100_is_accepted_without_it",
            vec![
                send(together(&[
                    &handshake("Expect: 100-continue\r\n"),
                    &CLIENT.text("hi"),
                ])),
                status(101),
                text("hi"),
            ],
        ),
        serve(
            "requests_behind_the_end_of_a_websocket_get_no_response",
            vec![
                send(together(&[
                    &handshake(""),
                    &CLIENT.close(1000, ""),
                    GET.repeat(50).as_bytes(),
                ])),
                status(101),
                close(1000),
                end(),
            ],
        ),
        serve(
            "request_in_the_payload_of_a_frame_is_a_message",
            vec![
                send(together(&[&handshake(""), &CLIENT.text(GET.repeat(3))])),
                status(101),
                text(GET.repeat(3)),
                send(CLIENT.close(1000, "")),
                close(1000),
                end(),
            ],
        ),
        serve(
            "frames_behind_a_refused_handshake_are_no_requests",
            vec![
                send(together(&[
                    upgrade("/nothing", "").as_bytes(),
                    &CLIENT.text(GET),
                ])),
                refused(404),
            ],
        ),
        serve(
            "preface_of_http_2_gets_505",
            vec![
                send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
                refused(505),
            ],
        ),
        serve(
            "hundred_offers_of_compression_with_windows_are_read_and_the_first_is_accepted",
            vec![
                send(handshake(&format!(
                    "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9{}\r\n",
                    ", permessage-deflate; client_max_window_bits=15".repeat(99)
                ))),
                status(101),
                contains("server_max_window_bits=9"),
                lacks("client_max_window_bits"),
                send(CLIENT.text("short")),
                text("short"),
            ],
        ),
        echo(
            "flood_behind_an_illegal_frame_is_discarded_until_the_close_has_come",
            vec![
                open("/"),
                send(together(&[b"\x80\x00", &[0; 100_000]])),
                flood([0; 1000], 1 << 20),
                half_close(),
                fails(1002),
            ],
        ),
        echo(
            "flood_behind_an_illegal_frame_that_never_ends_is_cut_off",
            vec![open("/"), send(b"\x80\x00"), flood_until_end([0; 1000])],
        )
        .memory_bytes_max(8 << 20),
        serve(
            "flood_behind_a_refused_body_is_discarded_until_the_refusal_has_come",
            vec![
                send(
                    "POST /broadcast/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n",
                ),
                flood([0; 1000], 1_000_000),
                half_close(),
                refused(401),
            ],
        ),
    ]
}

/// Messages that the server compresses in steps.
fn long_compressed_messages() -> Vec<Behaviour> {
    let long = letters(300_000);
    let members = || {
        group(vec![
            client(0),
            open(ROOM),
            client(1),
            open_with(ROOM, OFFER),
            client(2),
            open_with(
                ROOM,
                "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n",
            ),
        ])
    };
    vec![
        with(
            SERVE,
            "long_message_and_those_behind_it_reach_members_of_each_encoding_in_order",
            vec![
                members(),
                client(0),
                send(together(&[
                    &CLIENT.text("1"),
                    &CLIENT.binary(&long),
                    &CLIENT.text("2"),
                ])),
                group(
                    (0..3)
                        .flat_map(|member| [client(member), text("1"), binary(&long), text("2")])
                        .collect(),
                ),
            ],
        )
        .memory_bytes_max(16 << 20),
        with(
            SERVE,
            "member_that_resets_while_a_message_is_compressed_for_it_leaves_nothing",
            vec![
                members(),
                client(0),
                send(together(&[&CLIENT.binary(&long), &CLIENT.binary(&long)])),
                client(1),
                reset(),
                client(2),
                hang_up(),
                client(0),
                binary(&long),
                binary(&long),
                forgotten(),
            ],
        )
        .memory_bytes_max(16 << 20),
        with(
            SERVE,
            "publisher_that_resets_behind_a_long_message_has_published_it",
            vec![
                members(),
                client(3),
                open(ROOM),
                send(CLIENT.binary(&long)),
                binary(&long),
                reset(),
                client(1),
                binary(&long),
                client(2),
                binary(&long),
            ],
        )
        .memory_bytes_max(16 << 20),
        with(
            SERVE,
            "ping_behind_a_long_message_is_answered",
            vec![
                members(),
                client(1),
                send(together(&[
                    &CLIENT.binary(&long),
                    &CLIENT.ping("still there?"),
                ])),
                pong_eventually("still there?"),
                send(CLIENT.close(1000, "")),
                close_eventually(1000),
            ],
        )
        .memory_bytes_max(16 << 20),
    ]
}

fn tls() -> Vec<Behaviour> {
    vec![
        with(
            TLS,
            "requests_and_handshake_and_message_in_one_record_have_their_order",
            vec![
                tls_client(0),
                send(together(&[
                    GET.as_bytes(),
                    &handshake(OFFER),
                    &CLIENT.text("one"),
                    &CLIENT.ping("two"),
                ])),
                status(200),
                status(101),
                pong_eventually("two"),
            ],
        ),
        with(
            TLS,
            "half_a_frame_before_a_close_notify_ends_the_connection",
            vec![
                tls_client(0),
                open(ROOM),
                send(&CLIENT.text("half a message")[..9]),
                half_close(),
                end(),
            ],
        ),
        with(
            TLS,
            "half_frames_of_many_clients_that_reset_leave_nothing",
            vec![
                group(
                    (0..40)
                        .flat_map(|number| {
                            [
                                tls_client(number),
                                open_with(ROOM, OFFER),
                                send(&CLIENT.binary([7; 3000])[..2000]),
                            ]
                        })
                        .collect(),
                ),
                group(
                    (0..40)
                        .flat_map(|number| [tls_client(number), reset()])
                        .collect(),
                ),
                forgotten(),
            ],
        )
        .memory_bytes_max(16 << 20),
        with(
            TLS,
            "requests_behind_an_illegal_frame_get_no_response_over_tls",
            vec![
                tls_client_with_records_of_one_byte(0),
                open(ROOM),
                send(together(&[b"\x80\x00", GET.as_bytes()])),
                half_close(),
                fails(1002),
            ],
        ),
    ]
}

fn limits() -> Vec<Behaviour> {
    vec![with(
        FULL,
        "full_server_answers_the_first_of_pipelined_requests_and_opens_no_websocket_behind_it",
        vec![
            open(ROOM),
            client(1),
            send(together(&[
                GET.as_bytes(),
                &handshake(""),
                &CLIENT.text("in"),
            ])),
            refused(200),
            client(2),
            send(handshake("")),
            refused(503),
            client(0),
            send(CLIENT.text("still in")),
            text("still in"),
        ],
    )]
}

fn proxies() -> Vec<Behaviour> {
    const HEADER: &str = "PROXY TCP4 192.0.2.1 192.0.2.9 1000 80\r\n";
    vec![
        with(
            PROXY_PROTOCOL,
            "header_and_handshake_and_message_in_one_segment_are_understood",
            vec![
                proxy_client(0),
                send(together(&[
                    HEADER.as_bytes(),
                    &handshake(""),
                    &CLIENT.text("hi"),
                ])),
                status(101),
                text("hi"),
            ],
        ),
        with(
            PROXY_PROTOCOL,
            "second_header_behind_a_request_gets_400",
            vec![
                proxy_client(0),
                send(together(&[
                    HEADER.as_bytes(),
                    GET.as_bytes(),
                    HEADER.as_bytes(),
                    GET.as_bytes(),
                ])),
                status(200),
                refused(400),
            ],
        ),
    ]
}

fn unix_sockets() -> Vec<Behaviour> {
    let rest = &GET[1..];
    vec![
        with(
            UNIX_SOCKET,
            "descriptors_that_come_with_a_request_are_not_kept",
            vec![group(
                (0..20)
                    .flat_map(|number| [client_with_descriptors(number), send(rest), status(200)])
                    .collect(),
            )],
        ),
        with(
            UNIX_SOCKET,
            "descriptors_that_come_with_half_a_request_are_closed_with_the_client",
            vec![
                group(
                    (0..20)
                        .flat_map(|number| {
                            [client_with_descriptors(number), send(&rest[..9]), reset()]
                        })
                        .collect(),
                ),
                forgotten(),
            ],
        ),
    ]
}
