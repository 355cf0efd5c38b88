//! Fragmented messages (RFC 6455 §5.4).

use yamabiko_testing::properties::wire::{BINARY, LengthForm, RFC_KEY, TEXT, WireFrame};

use super::{Behaviour, CLIENT, echo};
use crate::steps::*;

fn fails_with(name: &'static str, bytes: Vec<Vec<u8>>, code: u16) -> Behaviour {
    echo(name, vec![open("/"), send(bytes.concat()), fails(code)])
}

pub fn behaviours() -> Vec<Behaviour> {
    let half = vec![7; 512 << 10];
    vec![
        fails_with(
            "continuation_without_a_message_fails",
            vec![CLIENT.ends("x")],
            1002,
        ),
        fails_with(
            "unfinished_continuation_without_a_message_fails",
            vec![CLIENT.goes_on("x")],
            1002,
        ),
        fails_with(
            "text_inside_a_text_fails",
            vec![CLIENT.text_begins("a"), CLIENT.text("b")],
            1002,
        ),
        fails_with(
            "binary_inside_a_text_fails",
            vec![CLIENT.text_begins("a"), CLIENT.binary("b")],
            1002,
        ),
        fails_with(
            "second_beginning_inside_a_message_fails",
            vec![CLIENT.binary_begins("a"), CLIENT.binary_begins("b")],
            1002,
        ),
        echo(
            "continuation_behind_the_last_fragment_fails_behind_its_echo",
            vec![
                open("/"),
                send(
                    [
                        CLIENT.text_begins("a"),
                        CLIENT.ends("b"),
                        CLIENT.goes_on("c"),
                    ]
                    .concat(),
                ),
                text("ab"),
                fails(1002),
            ],
        ),
        echo(
            "empty_fragments_are_joined",
            vec![
                open("/"),
                send(
                    [
                        CLIENT.text_begins(""),
                        CLIENT.goes_on(""),
                        CLIENT.goes_on("x"),
                        CLIENT.ends(""),
                    ]
                    .concat(),
                ),
                text("x"),
            ],
        ),
        echo(
            "message_in_fragments_of_one_byte_is_joined",
            vec![
                open("/"),
                send(CLIENT.binary_begins([7])),
                send(CLIENT.goes_on([7]).repeat(9998)),
                send(CLIENT.ends([7])),
                binary([7; 10_000]),
            ],
        ),
        echo(
            "empty_fragments_without_end_fail",
            vec![
                open("/"),
                send(CLIENT.binary_begins("")),
                send(CLIENT.goes_on("").repeat(140_000)),
                fails(1008),
            ],
        ),
        echo(
            "fragments_that_are_too_long_together_fail_at_the_header",
            vec![
                open("/"),
                send(CLIENT.binary_begins(&half)),
                send(CLIENT.goes_on(&half)),
                send(
                    WireFrame::new(0, b"")
                        .masked(RFC_KEY)
                        .header_claiming(LengthForm::Bits7, 1),
                ),
                fails(1009),
            ],
        ),
        echo(
            "fragments_of_the_longest_length_together_are_joined",
            vec![
                open("/"),
                send(CLIENT.binary_begins(&half)),
                send(CLIENT.ends(&half)),
                binary(vec![7; 1 << 20]),
            ],
        )
        .memory_bytes_max(12 << 20),
        echo(
            "lengths_of_fragments_do_not_overflow_when_they_are_added",
            vec![
                open("/"),
                send(CLIENT.binary_begins("a")),
                send(
                    WireFrame::new(0, b"")
                        .masked(RFC_KEY)
                        .header_claiming(LengthForm::Bits64, u64::MAX >> 1),
                ),
                fails(1009),
            ],
        ),
        echo(
            "close_between_fragments_discards_the_message",
            vec![
                open("/"),
                send(CLIENT.text_begins("a")),
                send(CLIENT.close(1000, "")),
                close(1000),
                end(),
            ],
        ),
        echo(
            "half_a_message_of_a_client_that_resets_is_freed",
            vec![group(
                (0..50)
                    .flat_map(|number| {
                        vec![
                            client(number),
                            open("/"),
                            send(
                                WireFrame::new(TEXT, b"")
                                    .masked(RFC_KEY)
                                    .header_claiming(LengthForm::Bits64, 1 << 20),
                            ),
                            send(vec![0; 100_000]),
                            reset(),
                        ]
                    })
                    .collect(),
            )],
        )
        .memory_bytes_max(16 << 20),
        echo(
            "pings_among_fragments_do_not_count_as_fragments",
            vec![
                open("/"),
                send(CLIENT.frame(WireFrame::new(BINARY, "a").unfinished())),
                send(CLIENT.pong("").repeat(140_000)),
                send(CLIENT.ends("b")),
                binary("ab"),
            ],
        ),
    ]
}
