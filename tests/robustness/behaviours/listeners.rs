//! Several listeners: IP addresses and Unix sockets (docs/operating.md).
//!
//! On Linux: elsewhere 127.0.0.2 is no address of the machine.

use yamabiko_testing::socket::upgrade;

use super::{Behaviour, CLIENT, Settings, with};
use crate::steps::*;

/// The last address is the one that every program has.
const SEVERAL: Settings = &[
    "serve",
    "--workers",
    "2",
    "--listen",
    "127.0.0.2:0,unix:{socket}",
    "--connections-per-address",
    "6",
    "--connections-max",
    "20",
    "--handshake-timeout",
    "1",
];

const GET: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Each way to connect.
fn ways() -> [fn(usize) -> Step; 3] {
    [
        client,
        client_of_the_unix_socket,
        client_of_the_last_address,
    ]
}

/// A client of each way does this.
fn by_each_way(steps: impl Fn() -> Vec<Step>) -> Vec<Step> {
    let with_client = |(number, way): (usize, fn(usize) -> Step)| {
        let mut with_client = vec![way(number)];
        with_client.extend(steps());
        group(with_client)
    };
    ways().into_iter().enumerate().map(with_client).collect()
}

fn each(name: &'static str, steps: impl Fn() -> Vec<Step>) -> Behaviour {
    with(SEVERAL, name, by_each_way(steps))
}

/// So many clients of this way with an open WebSocket.
fn opened(way: fn(usize) -> Step, from: usize, count: usize) -> Step {
    let open = |number| [way(number), open("/broadcast/a")];
    group((from..from + count).flat_map(open).collect())
}

pub fn behaviours() -> Vec<Behaviour> {
    if cfg!(not(target_os = "linux")) {
        return Vec::new();
    }
    vec![
        each("every_listener_serves_http", || {
            vec![send(GET), status(200)]
        }),
        each("every_listener_refuses_a_malformed_request", || {
            vec![send("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), refused(400)]
        }),
        each("every_listener_fails_an_unmasked_frame", || {
            vec![open("/broadcast/a"), send(b"\x81\x01a"), fails(1002)]
        }),
        each("every_listener_limits_the_handshake", || {
            vec![send("GET / HTTP/1.1\r\n"), status(408), end()]
        }),
        each("client_of_any_listener_that_resets_leaves_nothing", || {
            vec![open("/broadcast/a"), send(b"\x82\xfe\x40"), reset()]
        }),
        each("half_a_message_of_any_listener_is_freed", || {
            let half = CLIENT.binary([7; 60_000]);
            vec![open("/broadcast/a"), send(&half[..30_000]), hang_up()]
        }),
        with(
            SEVERAL,
            "message_reaches_the_members_of_every_listener",
            vec![
                group(by_each_way(|| vec![open("/broadcast/a")])),
                client(1),
                send(CLIENT.text("to all")),
                group(by_each_way(|| vec![text("to all")])),
            ],
        ),
        with(
            SEVERAL,
            "name_of_a_member_on_a_unix_socket_is_taken_for_the_others",
            vec![
                client_of_the_unix_socket(0),
                open("/chat/a"),
                send(CLIENT.text(r#"{"type":"join","name":"Aki"}"#)),
                text_with("welcome"),
                client(1),
                open("/chat/a"),
                send(CLIENT.text(r#"{"type":"join","name":"Aki"}"#)),
                text_with("name_taken"),
            ],
        ),
        with(
            SEVERAL,
            "unix_socket_answers_for_every_host_and_addresses_for_loopback_names_alone",
            vec![
                client_of_the_unix_socket(0),
                send("GET /health HTTP/1.1\r\nHost: chat.example\r\n\r\n"),
                status(200),
                client(1),
                send("GET /health HTTP/1.1\r\nHost: chat.example\r\n\r\n"),
                status(421),
            ],
        ),
        with(
            SEVERAL,
            "page_of_another_site_is_refused_on_a_unix_socket_too",
            vec![
                client_of_the_unix_socket(0),
                send(upgrade("/chat/a", "Origin: http://evil.example\r\n")),
                refused(403),
            ],
        ),
        with(
            SEVERAL,
            "limit_of_an_address_counts_its_connections_of_all_listeners_together",
            vec![
                opened(client, 0, 3),
                opened(client_of_the_last_address, 3, 3),
                client(6),
                send(upgrade("/broadcast/a", "")),
                refused(503),
                client_of_the_last_address(7),
                send(upgrade("/broadcast/a", "")),
                refused(503),
            ],
        ),
        with(
            SEVERAL,
            "unix_socket_has_no_limit_of_an_address",
            vec![opened(client_of_the_unix_socket, 0, 12)],
        ),
        with(
            SEVERAL,
            "limit_of_connections_counts_unix_sockets_and_is_answered_on_them",
            vec![
                opened(client_of_the_unix_socket, 0, 20),
                client_of_the_unix_socket(20),
                send(upgrade("/broadcast/a", "")),
                refused(503),
                client(21),
                send(upgrade("/broadcast/a", "")),
                refused(503),
                client_of_the_unix_socket(22),
                send(GET),
                status(200),
            ],
        ),
        with(
            SEVERAL,
            "header_of_the_proxy_protocol_on_a_unix_socket_that_is_no_proxy_gets_400",
            vec![
                client_of_the_unix_socket(0),
                send("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n"),
                refused(400),
            ],
        ),
    ]
}
