//! Headers of frames: reserved bits, opcodes, masks and lengths (RFC 6455 §5.1, §5.2).

use yamabiko_testing::properties::wire::{
    BINARY, CLOSE, CONTINUATION, LengthForm, PING, PONG, RFC_KEY, TEXT, WireFrame,
};

use super::{Behaviour, CLIENT, echo};
use crate::steps::*;

/// The bytes fail an open connection with this code.
fn fails_with(name: &'static str, bytes: impl AsRef<[u8]>, code: u16) -> Behaviour {
    echo(name, vec![open("/"), send(bytes), fails(code)])
}

/// Each of these frames fails a connection of its own with 1002.
fn each_fails(name: &'static str, frames: impl IntoIterator<Item = Vec<u8>>) -> Behaviour {
    let steps = frames.into_iter().enumerate().flat_map(|(number, bytes)| {
        vec![
            client(number),
            open("/"),
            send(bytes),
            fails(1002),
            hang_up(),
        ]
    });
    echo(name, steps.collect())
}

fn masked(opcode: u8, payload: impl AsRef<[u8]>) -> WireFrame {
    WireFrame::new(opcode, payload).masked(RFC_KEY)
}

/// The header alone.
fn header(opcode: u8, form: LengthForm, length: u64) -> Vec<u8> {
    masked(opcode, b"").header_claiming(form, length)
}

pub fn behaviours() -> Vec<Behaviour> {
    let data = [0x3, 0x4, 0x5, 0x6, 0x7];
    let control = [0xb, 0xc, 0xd, 0xe, 0xf];
    let known = [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG];
    vec![
        each_fails(
            "reserved_bit_1_without_an_extension_fails",
            known.map(|code| masked(code, b"").rsv(0b100).bytes()),
        ),
        each_fails(
            "reserved_bit_2_fails",
            known.map(|code| masked(code, b"").rsv(0b010).bytes()),
        ),
        each_fails(
            "reserved_bit_3_fails",
            known.map(|code| masked(code, b"").rsv(0b001).bytes()),
        ),
        each_fails(
            "reserved_data_opcode_fails",
            data.map(|code| masked(code, b"hi").bytes()),
        ),
        each_fails(
            "reserved_control_opcode_fails",
            control.map(|code| masked(code, b"hi").bytes()),
        ),
        each_fails(
            "unmasked_frame_fails",
            known.map(|code| WireFrame::new(code, b"").bytes()),
        ),
        fails_with(
            "unmasked_frame_fails_before_its_payload",
            WireFrame::new(TEXT, [0; 125]).header_claiming(LengthForm::Bits7, 125),
            1002,
        ),
        echo(
            "mask_of_zeros_is_accepted",
            vec![
                open("/"),
                send(WireFrame::new(TEXT, "hi").masked([0; 4]).bytes()),
                text("hi"),
            ],
        ),
        echo(
            "mask_that_hides_an_http_request_is_removed",
            vec![
                open("/"),
                send(
                    WireFrame::new(BINARY, b"GET / HTTP/1.1\r\n\r\n")
                        .masked([0; 4])
                        .bytes(),
                ),
                binary(b"GET / HTTP/1.1\r\n\r\n"),
            ],
        ),
        fails_with(
            "length_of_125_in_16_bits_fails",
            header(TEXT, LengthForm::Bits16, 125),
            1002,
        ),
        fails_with(
            "length_of_0_in_16_bits_fails",
            header(TEXT, LengthForm::Bits16, 0),
            1002,
        ),
        fails_with(
            "length_of_65535_in_64_bits_fails",
            header(TEXT, LengthForm::Bits64, 65_535),
            1002,
        ),
        fails_with(
            "length_of_0_in_64_bits_fails",
            header(TEXT, LengthForm::Bits64, 0),
            1002,
        ),
        fails_with(
            "length_with_the_highest_bit_fails",
            header(BINARY, LengthForm::Bits64, 1 << 63),
            1002,
        ),
        fails_with(
            "length_of_all_ones_fails",
            header(BINARY, LengthForm::Bits64, u64::MAX),
            1002,
        ),
        fails_with(
            "length_of_2_to_63_less_1_is_too_big",
            header(BINARY, LengthForm::Bits64, u64::MAX >> 1),
            1009,
        ),
        fails_with(
            "length_of_2_to_32_is_too_big",
            header(BINARY, LengthForm::Bits64, 1 << 32),
            1009,
        ),
        fails_with(
            "length_one_past_the_limit_is_too_big_before_it_comes",
            header(BINARY, LengthForm::Bits64, (1 << 20) + 1),
            1009,
        ),
        echo(
            "message_of_the_longest_length_is_echoed",
            vec![
                open("/"),
                send(CLIENT.binary(vec![7; 1 << 20])),
                binary(vec![7; 1 << 20]),
            ],
        )
        .memory_bytes_max(12 << 20),
        echo(
            "announced_length_costs_no_memory",
            vec![group(
                (0..200)
                    .flat_map(|number| {
                        vec![
                            client(number),
                            open("/"),
                            send(header(BINARY, LengthForm::Bits64, 1 << 20)),
                        ]
                    })
                    .collect(),
            )],
        ),
        echo(
            "empty_messages_are_echoed",
            vec![
                open("/"),
                send(CLIENT.text("")),
                send(CLIENT.binary("")),
                text(""),
                binary(""),
            ],
        ),
        echo(
            "frame_is_understood_at_every_cut",
            vec![at_every_cut(
                [handshake(), masked(TEXT, "Yo-ho!").bytes()].concat(),
                || vec![status(101), text("Yo-ho!")],
            )],
        ),
        echo(
            "frame_with_a_length_of_16_bits_is_understood_in_single_bytes",
            vec![
                open("/"),
                in_single_bytes(CLIENT.binary([7; 300])),
                binary([7; 300]),
            ],
        ),
        echo(
            "frame_with_a_length_of_64_bits_is_understood_when_its_header_comes_in_bytes",
            vec![
                open("/"),
                in_single_bytes(&CLIENT.binary(vec![7; 70_000])[..20]),
                send(&CLIENT.binary(vec![7; 70_000])[20..]),
                binary(vec![7; 70_000]),
            ],
        ),
        echo(
            "thousands_of_frames_in_one_segment_are_all_echoed",
            vec![
                open("/"),
                send(CLIENT.text("a").repeat(5000)),
                group((0..5000).map(|_| text("a")).collect()),
            ],
        ),
        echo(
            "good_frames_before_an_illegal_one_are_echoed",
            vec![
                open("/"),
                send([CLIENT.text("first"), vec![0xf1, 0x80]].concat()),
                text("first"),
                fails(1002),
            ],
        ),
        echo(
            "frames_behind_an_illegal_one_are_ignored",
            vec![
                open("/"),
                send([vec![0x83, 0x80], CLIENT.text("later")].concat()),
                fails(1002),
            ],
        ),
        echo(
            "client_that_sends_on_behind_an_illegal_frame_is_cut_off",
            vec![open("/"), send([0x83, 0x80]), flood_until_end([7; 1000])],
        ),
        fails_with(
            "random_bytes_fail",
            (0..=255u8).rev().collect::<Vec<_>>(),
            1002,
        ),
    ]
}

fn handshake() -> Vec<u8> {
    yamabiko_testing::socket::upgrade("/", "").into_bytes()
}
