//! Limits of the program, set by options (docs/limits.md).

use yamabiko_testing::deflate::{compressed, zeros};
use yamabiko_testing::properties::wire::BINARY;
use yamabiko_testing::socket::{GET, upgrade};

use super::{Behaviour, CLIENT, Settings, with};
use crate::steps::*;

/// A client has its place for an eighth of the handshake timeout in any case: longer than a test takes.
const FEW_CONNECTIONS: Settings = &[
    "echo",
    "--workers",
    "1",
    "--connections-max",
    "4",
    "--handshake-timeout",
    "3600",
];

/// Silent clients take all of its places, and more than those of refused connections.
const FULL_OF_SILENT_ONES: Settings = &["serve", "--workers", "1", "--connections-max", "50"];

const FEW_OF_AN_ADDRESS: Settings = &["echo", "--workers", "1", "--connections-per-address", "5"];

const RATES: Settings = &[
    "echo",
    "--workers",
    "1",
    "--messages-per-second",
    "5",
    "--bytes-per-second",
    "10KiB",
    "--inflated-bytes-per-second",
    "20KiB",
    "--control-frames-per-second",
    "5",
    "--rate-burst",
    "2",
    "--rate-action",
    "close",
];

const SMALL_MEMORY: Settings = &[
    "echo",
    "--workers",
    "1",
    "--memory-bytes-max",
    "4MiB",
    "--message-bytes-max",
    "1MiB",
];

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

fn opened(count: usize) -> Step {
    group(
        (0..count)
            .flat_map(|number| [client(number), open("/")])
            .collect(),
    )
}

pub fn behaviours() -> Vec<Behaviour> {
    vec![
        with(
            FEW_CONNECTIONS,
            "connection_beyond_the_limit_gets_503_and_open_ones_are_served",
            vec![
                opened(4),
                client(9),
                send(upgrade("/", "")),
                refused(503),
                contains("Retry-After: "),
                client(0),
                send(CLIENT.text("here")),
                text("here"),
            ],
        ),
        with(
            FEW_CONNECTIONS,
            "place_of_a_connection_that_resets_is_given_to_the_next",
            vec![
                opened(4),
                reset(),
                client(0),
                send(CLIENT.ping("")),
                pong(""),
                reset(),
                client(1),
                reset(),
                client(2),
                reset(),
            ],
        ),
        with(
            FEW_CONNECTIONS,
            "silent_connections_count_for_the_limit",
            vec![
                group((0..4).map(client).collect()),
                client(4),
                send(GET),
                refused(503),
            ],
        ),
        with(
            FULL_OF_SILENT_ONES,
            "health_is_answered_beside_silent_connections_beyond_all_limits",
            vec![
                group((0..350).map(client).collect()),
                client(400),
                send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                status(200),
                client(0),
                drain(),
            ],
        ),
        with(
            FEW_OF_AN_ADDRESS,
            "sixth_connection_of_an_address_gets_503",
            vec![
                opened(5),
                client(9),
                send(upgrade("/", "")),
                refused(503),
                client(0),
                send(CLIENT.ping("a")),
                pong("a"),
            ],
        ),
        with(
            RATES,
            "messages_beyond_their_rate_close_the_connection",
            vec![
                open("/"),
                send(CLIENT.text("a").repeat(20)),
                close_eventually(1008),
                end(),
            ],
        ),
        with(
            RATES,
            "bytes_beyond_their_rate_close_the_connection",
            vec![
                open("/"),
                send(CLIENT.binary([7; 15_000])),
                send(CLIENT.binary([7; 15_000])),
                close_eventually(1008),
                end(),
            ],
        ),
        with(
            RATES,
            "inflated_bytes_beyond_their_rate_close_the_connection",
            vec![
                open_with("/", OFFER),
                send(CLIENT.frame(compressed(BINARY, zeros(60_000)))),
                send(CLIENT.frame(compressed(BINARY, zeros(60_000)))),
                close_eventually(1008),
                end(),
            ],
        ),
        with(
            RATES,
            "pings_beyond_their_rate_close_the_connection",
            vec![
                open("/"),
                send(CLIENT.ping("a").repeat(20)),
                close_eventually(1008),
                end(),
            ],
        ),
        with(
            RATES,
            "client_within_its_rates_is_served_beside_one_beyond_them",
            vec![
                client(0),
                open("/"),
                client(1),
                open("/"),
                send(CLIENT.text("a").repeat(20)),
                close_eventually(1008),
                client(0),
                send(CLIENT.text("here")),
                text("here"),
            ],
        ),
        with(
            SMALL_MEMORY,
            "unfinished_messages_beyond_the_memory_budget_are_ended",
            vec![
                opened(8),
                group(
                    (0..8)
                        .flat_map(|number| {
                            let half = CLIENT.binary(vec![7; 1 << 20])[..900_000].to_vec();
                            [client(number), send(half)]
                        })
                        .collect(),
                ),
                client(20),
                drain(),
            ],
        )
        .memory_bytes_max(16 << 20),
    ]
}
