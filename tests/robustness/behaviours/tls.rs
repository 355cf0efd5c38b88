//! TLS (docs/tls.md): what a client can do before, in and after the handshake.

use super::{Behaviour, CLIENT, Settings, with};
use crate::steps::*;
use yamabiko_testing::socket::upgrade;
use yamabiko_testing::tls::hello::{self, Hello};

const TLS: Settings = &[
    "echo",
    "--workers",
    "1",
    "--tls-cert",
    "{cert}",
    "--tls-key",
    "{key}",
];

const SHORT: Settings = &[
    "echo",
    "--workers",
    "1",
    "--handshake-timeout",
    "0.3",
    "--close-timeout",
    "0.3",
    "--tls-cert",
    "{cert}",
    "--tls-key",
    "{key}",
];

const FEW: Settings = &[
    "echo",
    "--workers",
    "1",
    "--connections-max",
    "3",
    "--handshake-timeout",
    "600",
    "--tls-cert",
    "{cert}",
    "--tls-key",
    "{key}",
];

pub fn behaviours() -> Vec<Behaviour> {
    let mut behaviours = before_the_handshake();
    behaviours.extend(in_the_handshake());
    behaviours.extend(limits());
    behaviours.extend(after_the_handshake());
    behaviours
}

fn before_the_handshake() -> Vec<Behaviour> {
    vec![
        with(
            TLS,
            "plain_request_gets_400_in_plain_text",
            vec![
                send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                status(400),
                contains("this port speaks TLS"),
                end(),
            ],
        ),
        with(
            TLS,
            "random_bytes_get_an_alert",
            vec![send([0x01; 64]), alert(), gone()],
        ),
        with(
            TLS,
            "hello_of_sslv2_gets_an_alert",
            vec![
                send(b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"),
                send([0x05; 64]),
                alert(),
                gone(),
            ],
        ),
        with(
            TLS,
            "record_longer_than_any_gets_an_alert",
            vec![
                send([0x16, 3, 1, 0xFF, 0xFF]),
                send([0; 1024]),
                alert(),
                gone(),
            ],
        ),
        with(
            TLS,
            "data_before_the_handshake_gets_an_alert",
            vec![send([0x17, 3, 3, 0, 5]), send([0; 5]), alert(), gone()],
        ),
        with(
            TLS,
            "alert_before_the_handshake_ends_the_connection",
            vec![send([0x15, 3, 1, 0, 2, 2, 40]), gone()],
        ),
    ]
}

fn in_the_handshake() -> Vec<Behaviour> {
    let usual = || Hello::new().bytes();
    vec![
        with(
            TLS,
            "hello_in_single_bytes_is_answered",
            vec![in_single_bytes(usual()), server_hello(), hang_up()],
        ),
        with(
            TLS,
            "client_that_offers_tls_1_1_at_most_is_refused",
            vec![
                send(hello::of_version_1_1()),
                alert_of(hello::HANDSHAKE_FAILURE),
                gone(),
            ],
        ),
        with(
            TLS,
            "client_that_offers_other_protocols_only_is_refused",
            vec![
                send(Hello::new().alpn(&[b"h2"]).bytes()),
                // The alert is sealed.
                server_hello(),
                gone(),
            ],
        ),
        with(
            TLS,
            "name_of_no_certificate_gets_the_first_one",
            vec![
                send(Hello::new().name("other.example").bytes()),
                server_hello(),
                hang_up(),
            ],
        ),
        with(
            TLS,
            "client_that_does_not_accept_the_certificate_ends_the_connection",
            vec![certificate_is_not_accepted()],
        ),
        with(
            TLS,
            "second_hello_ends_the_connection",
            vec![send(usual()), server_hello(), send(usual()), gone()],
        ),
        with(
            TLS,
            "end_in_the_middle_of_a_hello_ends_the_connection",
            vec![send(&usual()[..100]), half_close(), gone()],
        ),
        with(
            TLS,
            "reset_behind_a_hello_ends_the_connection",
            vec![send(usual()), reset(), forgotten()],
        ),
    ]
}

fn limits() -> Vec<Behaviour> {
    let half = || Hello::new().bytes()[..100].to_vec();
    let of_many = |steps: &dyn Fn(usize) -> Vec<Step>| group((0..300).flat_map(steps).collect());
    vec![
        with(SHORT, "client_that_sends_nothing_is_closed", vec![gone()]),
        with(
            SHORT,
            "half_a_handshake_is_closed",
            vec![send(half()), gone()],
        ),
        with(
            SHORT,
            "handshake_without_its_last_message_is_closed",
            vec![send(Hello::new().bytes()), server_hello(), gone()],
        ),
        with(
            SHORT,
            "handshake_without_a_request_is_closed",
            vec![tls_client(0), gone()],
        ),
        with(
            SHORT,
            "half_a_request_over_tls_gets_408",
            vec![
                tls_client(0),
                send("GET / HTTP/1.1\r\nHost: "),
                refused(408),
            ],
        ),
        with(
            SHORT,
            "hundreds_of_half_handshakes_are_closed",
            vec![
                of_many(&|number| vec![client(number), send(half())]),
                of_many(&|number| vec![client(number), gone()]),
            ],
        ),
        with(
            TLS,
            "flood_of_handshakes_that_are_not_finished_costs_no_memory",
            vec![
                of_many(&|number| vec![client(number), send(Hello::new().bytes())]),
                of_many(&|number| vec![client(number), hang_up()]),
                forgotten(),
            ],
        )
        .memory_bytes_max(16 << 20),
        with(
            TLS,
            "flood_of_complete_handshakes_is_served",
            vec![
                of_many(&|number| vec![tls_client(number), hang_up()]),
                forgotten(),
            ],
        )
        .memory_bytes_max(16 << 20),
        with(
            FEW,
            "connection_beyond_the_limit_and_its_places_is_closed_before_the_handshake",
            vec![
                tls_client(0),
                open("/"),
                tls_client(1),
                open("/"),
                tls_client(2),
                open("/"),
                group((3..19).map(client).collect()),
                client(19),
                send(Hello::new().bytes()),
                gone_without_a_byte(),
                tls_client(0),
                send(CLIENT.text("served")),
                text("served"),
            ],
        ),
        with(
            FEW,
            "health_is_answered_over_tls_beyond_the_limit",
            vec![
                tls_client(0),
                open("/"),
                tls_client(1),
                open("/"),
                tls_client(2),
                open("/"),
                tls_client(3),
                send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                status(200),
                tls_client(0),
                send(CLIENT.text("served")),
                text("served"),
            ],
        ),
        with(
            FEW,
            "upgrade_over_tls_beyond_the_limit_gets_503",
            vec![
                tls_client(0),
                open("/"),
                tls_client(1),
                open("/"),
                tls_client(2),
                open("/"),
                tls_client(3),
                send(upgrade("/", "")),
                refused(503),
            ],
        ),
    ]
}

fn after_the_handshake() -> Vec<Behaviour> {
    vec![
        with(
            TLS,
            "messages_are_echoed_over_both_versions",
            vec![
                tls_client(0),
                open("/"),
                send(CLIENT.text("1.3")),
                text("1.3"),
                tls_1_2_client(1),
                open("/"),
                send(CLIENT.text("1.2")),
                text("1.2"),
                send(CLIENT.close(1000, "")),
                close(1000),
                end(),
            ],
        ),
        with(
            TLS,
            "records_of_one_byte_are_joined",
            vec![
                tls_client_with_records_of_one_byte(0),
                open("/"),
                send(CLIENT.text("byte by byte")),
                text("byte by byte"),
            ],
        ),
        with(
            TLS,
            "records_in_single_bytes_of_tcp_are_joined",
            vec![
                tls_client_in_single_bytes(0),
                open("/"),
                send(CLIENT.text("byte by byte")),
                text("byte by byte"),
            ],
        ),
        with(
            TLS,
            "end_without_a_close_notify_ends_the_connection",
            vec![
                tls_client_without_close_notify(0),
                open("/"),
                send(CLIENT.text("a")),
                text("a"),
                half_close(),
                gone(),
            ],
        ),
        with(
            TLS,
            "broken_record_ends_the_connection",
            vec![
                tls_client_that_breaks(0, b"x"),
                open("/"),
                send("x"),
                gone(),
            ],
        ),
        with(
            TLS,
            "rule_of_websocket_is_enforced_over_tls",
            vec![tls_client(0), open("/"), send([0x81, 0x00]), fails(1002)],
        ),
        with(
            TLS,
            "client_that_does_not_read_costs_no_more_than_its_backlog",
            vec![
                tls_client(0),
                open("/"),
                flood(CLIENT.binary(vec![7; 60_000]), 8 << 20),
                hang_up(),
            ],
        )
        .memory_bytes_max(16 << 20),
    ]
}
