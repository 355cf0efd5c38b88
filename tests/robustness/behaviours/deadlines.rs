//! Clients that send nothing, or too slowly (docs/limits.md). The program has short deadlines.

use yamabiko_testing::properties::wire::{BINARY, WireFrame};
use yamabiko_testing::socket::upgrade;

use super::{Behaviour, CLIENT, Settings, with};
use crate::steps::*;

const HANDSHAKE: Settings = &[
    "echo",
    "--workers",
    "1",
    "--handshake-timeout",
    "0.3",
    "--close-timeout",
    "0.3",
];

const SILENCE: Settings = &[
    "echo",
    "--workers",
    "1",
    "--ping-interval",
    "0.3",
    "--pong-timeout",
    "0.5",
    "--close-timeout",
    "0.3",
];

const MESSAGE: Settings = &[
    "echo",
    "--workers",
    "1",
    "--message-timeout",
    "0.5",
    "--close-timeout",
    "0.3",
];

pub fn behaviours() -> Vec<Behaviour> {
    vec![
        with(
            HANDSHAKE,
            "client_that_sends_nothing_is_closed",
            vec![gone()],
        ),
        with(
            HANDSHAKE,
            "half_a_handshake_gets_408",
            vec![send(&upgrade("/", "")[..40]), refused(408)],
        ),
        with(
            HANDSHAKE,
            "hundreds_of_half_handshakes_are_closed",
            vec![group(
                (0..300)
                    .flat_map(|number| [client(number), send(&upgrade("/", "")[..40])])
                    .chain((0..300).flat_map(|number| [client(number), refused(408)]))
                    .collect(),
            )],
        ),
        with(
            HANDSHAKE,
            "handshake_that_drips_is_closed",
            vec![flood_until_end("\r\n")],
        ),
        with(
            SILENCE,
            "silent_client_is_pinged_and_then_closed",
            vec![open("/"), ping(), close(1008), end()],
        ),
        with(
            SILENCE,
            "client_that_answers_pings_stays",
            vec![
                open("/"),
                group((0..4).map(|_| answer_ping()).collect()),
                send(CLIENT.text("here")),
                text("here"),
            ],
        ),
        with(
            SILENCE,
            "any_byte_counts_as_an_answer_to_a_ping",
            vec![
                open("/"),
                group(
                    (0..4)
                        .flat_map(|_| [ping(), send(CLIENT.pong("another payload"))])
                        .collect(),
                ),
                send(CLIENT.text("here")),
                text("here"),
            ],
        ),
        with(
            MESSAGE,
            "unfinished_message_is_ended",
            vec![
                open("/"),
                send(CLIENT.header(WireFrame::new(BINARY, ""), 1000)),
                close(1008),
                end(),
            ],
        ),
        with(
            MESSAGE,
            "unfinished_fragments_are_ended",
            vec![open("/"), send(CLIENT.text_begins("a")), close(1008), end()],
        ),
        with(
            MESSAGE,
            "pings_do_not_keep_an_unfinished_message",
            vec![
                open("/"),
                send(CLIENT.text_begins("a")),
                send(CLIENT.ping("x")),
                pong("x"),
                close(1008),
                end(),
            ],
        ),
        with(
            MESSAGE,
            "empty_fragments_do_not_keep_an_unfinished_message",
            vec![
                open("/"),
                send(CLIENT.text_begins("a")),
                send(CLIENT.goes_on("")),
                close(1008),
                end(),
            ],
        ),
        with(
            MESSAGE,
            "finished_messages_have_no_deadline",
            vec![
                open("/"),
                group(
                    (0..20)
                        .flat_map(|_| [send(CLIENT.text("a")), text("a")])
                        .collect(),
                ),
            ],
        ),
        with(
            MESSAGE,
            "hundreds_of_half_messages_are_ended_and_their_memory_is_freed",
            vec![group(
                (0..200)
                    .flat_map(|number| {
                        [
                            client(number),
                            open("/"),
                            send(CLIENT.header(WireFrame::new(BINARY, ""), 100_000)),
                            send([0; 20_000]),
                        ]
                    })
                    .chain((0..200).flat_map(|number| [client(number), close(1008), end()]))
                    .collect(),
            )],
        )
        .memory_bytes_max(16 << 20),
    ]
}
