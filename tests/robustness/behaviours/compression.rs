//! permessage-deflate: negotiation and data (RFC 7692 §5, §6, §7).

use yamabiko_testing::deflate::{
    HELLO, HELLO_AGAIN, HELLO_FINAL, NO_TAKEOVER, agreed, compressed, fragments, match_of_three,
    stored, zeros,
};
use yamabiko_testing::properties::wire::{BINARY, CONTINUATION, PING, TEXT, WireFrame};

use yamabiko::websocket::Message;
use yamabiko_testing::protocol::Role;

use super::{Behaviour, CLIENT, Settings, echo, with};
use crate::steps::*;

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
const SMALL: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

/// Clients may refer to their earlier messages.
const TAKEOVER: Settings = &[
    "echo",
    "--workers",
    "1",
    "--compress-takeover",
    "9",
    "--message-bytes-max",
    "1MiB",
];

/// A compressed text with this payload fails.
fn refuses(name: &'static str, payload: impl AsRef<[u8]>, code: u16) -> Behaviour {
    let frame = CLIENT.frame(compressed(TEXT, payload));
    echo(name, vec![open_with("/", OFFER), send(frame), fails(code)])
}

/// The offer leads to an uncompressed connection.
fn declines(name: &'static str, fields: &'static str) -> Behaviour {
    let steps = vec![
        send(yamabiko_testing::socket::upgrade("/", fields)),
        status(101),
        no_field("Sec-WebSocket-Extensions"),
        send(CLIENT.text("plain")),
        text("plain"),
    ];
    echo(name, steps)
}

fn agrees(name: &'static str, fields: &'static str, with: &'static str) -> Behaviour {
    let steps = vec![
        send(yamabiko_testing::socket::upgrade("/", fields)),
        status(101),
        contains(with),
    ];
    echo(name, steps)
}

macro_rules! offer {
    ($value:literal) => {
        concat!(
            "Sec-WebSocket-Extensions: permessage-deflate",
            $value,
            "\r\n"
        )
    };
}

/// So many zeros in one frame, compressed to a thousandth.
pub fn bomb(bytes: usize) -> Vec<u8> {
    let mut client = agreed(Role::Client, NO_TAKEOVER);
    let mut wire = Vec::new();
    let sent = client
        .connection
        .send(Message::Binary(&vec![0; bytes]), &mut wire);
    sent.expect("the connection is open");
    wire
}

pub fn behaviours() -> Vec<Behaviour> {
    let hello = || CLIENT.frame(compressed(TEXT, HELLO));
    let long = zeros(2 << 20);
    vec![
        declines(
            "offer_with_a_window_of_7_bits_is_declined",
            offer!("; server_max_window_bits=7"),
        ),
        declines(
            "offer_with_a_window_of_16_bits_is_declined",
            offer!("; server_max_window_bits=16"),
        ),
        declines(
            "offer_with_a_leading_zero_is_declined",
            offer!("; server_max_window_bits=09"),
        ),
        declines(
            "offer_with_an_unknown_parameter_is_declined",
            offer!("; level=9"),
        ),
        declines(
            "offer_with_a_parameter_twice_is_declined",
            offer!("; client_max_window_bits; client_max_window_bits"),
        ),
        declines(
            "offer_with_a_value_where_none_belongs_is_declined",
            offer!("; server_no_context_takeover=1"),
        ),
        declines(
            "offer_without_a_needed_value_is_declined",
            offer!("; server_max_window_bits"),
        ),
        agrees(
            "first_acceptable_of_several_offers_is_agreed_on",
            offer!("; level=9, permessage-deflate; server_max_window_bits=9"),
            "server_max_window_bits=9",
        ),
        agrees(
            "server_always_gives_up_its_own_context",
            OFFER,
            "server_no_context_takeover",
        ),
        agrees(
            "value_in_quotation_marks_is_understood",
            offer!("; server_max_window_bits=\"10\""),
            "server_max_window_bits=10",
        ),
        echo(
            "client_with_the_smallest_window_receives_messages_of_any_length",
            vec![
                open_with("/", offer!("; server_max_window_bits=8")),
                send(CLIENT.binary([7; 200])),
                binary([7; 200]),
                send(CLIENT.binary([7; 50_000])),
                binary([7; 50_000]),
            ],
        ),
        echo(
            "compressed_message_is_inflated",
            vec![open_with("/", OFFER), send(hello()), text("Hello")],
        ),
        echo(
            "compressed_message_at_every_cut_is_inflated",
            vec![at_every_cut(
                [
                    yamabiko_testing::socket::upgrade("/", OFFER).into_bytes(),
                    hello(),
                ]
                .concat(),
                || vec![status(101)],
            )],
        ),
        echo(
            "compressed_fragments_are_joined",
            vec![
                open_with("/", OFFER),
                group(
                    fragments(TEXT, &[&HELLO[..3], &HELLO[3..]])
                        .into_iter()
                        .map(|frame| send(CLIENT.frame(frame)))
                        .collect(),
                ),
                text("Hello"),
            ],
        ),
        echo(
            "uncompressed_message_is_accepted_beside_compressed_ones",
            vec![
                open_with("/", OFFER),
                send(CLIENT.text("a")),
                text("a"),
                send(hello()),
                text("Hello"),
            ],
        ),
        echo(
            "compressed_bit_of_a_continuation_fails",
            vec![
                open_with("/", OFFER),
                send(CLIENT.text_begins("a")),
                send(CLIENT.frame(compressed(CONTINUATION, "b"))),
                fails(1002),
            ],
        ),
        echo(
            "compressed_bit_of_a_ping_fails",
            vec![
                open_with("/", OFFER),
                send(CLIENT.frame(compressed(PING, ""))),
                fails(1002),
            ],
        ),
        echo(
            "other_reserved_bits_fail_with_compression",
            vec![
                client(0),
                open_with("/", OFFER),
                send(CLIENT.frame(WireFrame::new(TEXT, HELLO).rsv(0b110))),
                fails(1002),
                client(1),
                open_with("/", OFFER),
                send(CLIENT.frame(WireFrame::new(TEXT, HELLO).rsv(0b101))),
                fails(1002),
            ],
        ),
        refuses("block_of_the_reserved_type_fails", b"\x07", 1007),
        refuses(
            "stored_block_with_a_wrong_complement_fails",
            b"\x00\x05\x00\x00\x00hello",
            1007,
        ),
        refuses("compressed_message_without_a_byte_fails", b"", 1007),
        refuses(
            "stored_block_that_ends_early_fails",
            b"\x00\xff\x00\x00\xffabc",
            1007,
        ),
        refuses(
            "dynamic_block_with_bad_code_lengths_fails",
            b"\xed\xfd\xff\xff\xff\xff\xff\xff\xff",
            1007,
        ),
        refuses(
            "random_bytes_as_compressed_data_fail",
            (0..=255u8)
                .map(|byte| byte.wrapping_mul(167))
                .collect::<Vec<_>>(),
            1007,
        ),
        refuses(
            "reference_before_the_first_byte_fails",
            match_of_three(1),
            1007,
        ),
        refuses(
            "reference_of_32_kib_before_the_first_byte_fails",
            match_of_three(32_768),
            1007,
        ),
        refuses(
            "reference_to_a_message_that_was_given_up_fails",
            HELLO_AGAIN,
            1007,
        ),
        refuses(
            "compressed_text_that_is_not_utf_8_fails",
            stored(b"caf\xe9"),
            1007,
        ),
        refuses(
            "compressed_character_that_is_cut_at_the_end_fails",
            stored(b"caf\xc3"),
            1007,
        ),
        echo(
            "block_with_the_final_bit_is_accepted",
            vec![
                open_with("/", OFFER),
                send(CLIENT.frame(compressed(TEXT, HELLO_FINAL))),
                text("Hello"),
            ],
        ),
        echo(
            "reference_to_the_last_message_fails_without_context_takeover",
            vec![
                open_with("/", OFFER),
                send(hello()),
                text("Hello"),
                send(CLIENT.frame(compressed(TEXT, HELLO_AGAIN))),
                fails(1007),
            ],
        ),
        with(
            TAKEOVER,
            "reference_to_the_last_message_is_accepted_with_context_takeover",
            vec![
                open_with("/", SMALL),
                send(hello()),
                text("Hello"),
                send(CLIENT.frame(compressed(TEXT, HELLO_AGAIN))),
                text("Hello"),
            ],
        ),
        with(
            TAKEOVER,
            "reference_beyond_the_agreed_window_fails",
            vec![
                open_with("/", SMALL),
                send(CLIENT.frame(compressed(BINARY, stored(&[7; 2000])))),
                binary([7; 2000]),
                // 1,025 bytes back, in a window of 512.
                send(CLIENT.frame(compressed(BINARY, match_of_three(1025)))),
                fails(1007),
            ],
        ),
        refuses("bomb_beyond_the_message_limit_is_too_big", &long, 1009),
        echo(
            "bomb_of_many_fragments_is_too_big",
            vec![
                open_with("/", OFFER),
                group(
                    fragments(BINARY, &long.chunks(100).collect::<Vec<_>>())
                        .into_iter()
                        .map(|frame| send(CLIENT.frame(frame)))
                        .collect(),
                ),
                fails(1009),
            ],
        ),
        echo(
            "bombs_of_many_clients_at_a_time_cost_one_message_each_at_most",
            vec![group(
                (0..20)
                    .flat_map(|number| {
                        vec![
                            client(number),
                            open_with("/", OFFER),
                            send(CLIENT.frame(compressed(BINARY, &long))),
                            fails(1009),
                        ]
                    })
                    .collect(),
            )],
        ),
        echo(
            "message_of_the_highest_ratio_is_too_big",
            vec![open_with("/", OFFER), send(bomb(1 << 20)), fails(1009)],
        ),
        echo(
            "message_of_64_kib_may_have_any_ratio",
            vec![
                open_with("/", OFFER),
                send(CLIENT.frame(compressed(BINARY, zeros(65_536)))),
                binary(vec![0; 65_536]),
                send(CLIENT.ping("x")),
                pong("x"),
            ],
        ),
        echo(
            "client_that_vanishes_inside_a_compressed_message_leaves_nothing",
            vec![group(
                (0..50)
                    .flat_map(|number| {
                        vec![
                            client(number),
                            open_with("/", OFFER),
                            send(CLIENT.frame(compressed(BINARY, stored(&[7; 3000])).unfinished())),
                            reset(),
                        ]
                    })
                    .collect(),
            )],
        )
        .memory_bytes_max(8 << 20),
        with(
            &["echo", "--workers", "1", "--no-compress"],
            "server_without_compression_declines_every_offer",
            vec![
                send(yamabiko_testing::socket::upgrade("/", OFFER)),
                status(101),
                no_field("Sec-WebSocket-Extensions"),
                send(hello()),
                fails(1002),
            ],
        ),
        echo(
            "compressed_frame_of_more_than_five_quarters_of_the_limit_fails_at_its_header",
            vec![
                open_with("/", OFFER),
                send(CLIENT.header(compressed(BINARY, ""), 1_400_000)),
                fails(1009),
            ],
        ),
    ]
}
