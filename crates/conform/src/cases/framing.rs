//! Frames (RFC 6455 §5.2): the forms of the length, reserved bits and opcodes, and that the
//! borders of TCP's segments mean nothing.

use super::payloads::{binary, text};
use crate::case::{Case, Depth, Run, Setting, each, named, one, with_code};
use crate::frame::{Frame, LengthForm, PING};
use crate::reader::FrameSeen;
use crate::script::{Expected, Script};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::must("framing/text-lengths", "rfc6455-5.2-06",
        "Text messages are echoed at the borders of the three forms of the length.", text_lengths)
        .old(&["1.1.1-7"]),
    Case::must("framing/binary-lengths", "rfc6455-6.2-05",
        "Binary messages are echoed as binary at the borders of the three forms of the length.", binary_lengths)
        .old(&["1.2.1-7"]),
    Case::must("framing/any-cut", "rfc6455-6.2-01",
        "Frames are understood however TCP cuts them.", any_cut).old(&["1.1.8", "1.2.8"]),
    Case::must("framing/one-segment", "rfc6455-6.2-06",
        "Many frames in one segment are separate messages.", one_segment),
    Case::must("framing/reserved-bits-data", "rfc6455-5.2-03",
        "A data frame with a reserved bit fails the connection.", reserved_bits_data).old(&["3.1-5"]),
    Case::must("framing/reserved-bits-control", "rfc6455-5.2-03",
        "A control frame with a reserved bit fails the connection.", reserved_bits_control).old(&["3.6-7"]),
    Case::must("framing/reserved-bits-continuation", "rfc6455-5.2-03",
        "A continuation frame with a reserved bit fails the connection.", reserved_bits_continuation),
    Case::must("framing/reserved-opcodes-data", "rfc6455-5.2-04",
        "The reserved opcodes 0x3 to 0x7 fail the connection.", reserved_opcodes_data).old(&["4.1.1-5"]),
    Case::must("framing/reserved-opcodes-control", "rfc6455-5.2-04",
        "The reserved opcodes 0xB to 0xF fail the connection.", reserved_opcodes_control).old(&["4.2.1-5"]),
    Case::must("framing/length-top-bit", "rfc6455-5.2-05",
        "A length of 64 bits with the most significant bit fails the connection.", length_top_bit),
    Case::must("framing/peer-uses-shortest-length", "rfc6455-5.2-07",
        "The peer writes each length in the shortest form.", peer_uses_shortest_length),
    Case::quality("framing/length-not-minimal", "rfc6455-5.2-07",
        "A length that is not in the shortest form fails the connection.", length_not_minimal),
    Case::quality("framing/message-before-fault", "rfc6455-6.2-05",
        "A message that came before an illegal frame is still echoed.", message_before_fault)
        .old(&["3.2-4", "4.1.3-5", "4.2.3-5"]),
    Case::should("framing/close-code", "rfc6455-7.1.7-03",
        "After an illegal frame the peer sends Close 1002 first.", close_code),
];

/// Both sides of each border between two forms of the length, and no payload.
const LENGTHS: [usize; 8] = [0, 1, 125, 126, 127, 128, 65_535, 65_536];

fn text_lengths(_: &Setting) -> Vec<Run> {
    each(LENGTHS, |&length| Script::new().echo(text(length)).closes())
}

fn binary_lengths(_: &Setting) -> Vec<Run> {
    each(LENGTHS, |&length| {
        let payload = binary(length);
        Script::new()
            .frame(Frame::binary(&payload))
            .binary(&payload)
            .closes()
    })
}

fn any_cut(setting: &Setting) -> Vec<Run> {
    let pieces: &[usize] = match setting.depth {
        Depth::Quick => &[1, 997],
        _ => &[1, 2, 3, 5, 7, 13, 997],
    };
    let script = |&bytes: &usize| {
        let length = if bytes < 100 { 300 } else { 65_536 };
        Script::new()
            .pieces(
                bytes,
                [
                    Frame::text(text(length)),
                    Frame::binary(binary(length)),
                    Frame::ping("p"),
                ],
            )
            .text(text(length))
            .binary(binary(length))
            .pong("p")
            .closes()
    };
    each(pieces.iter().copied(), script)
}

fn one_segment(_: &Setting) -> Vec<Run> {
    one(|| {
        let payload = |number: usize| format!("message {number}");
        let frames = (0..100).map(|number| Frame::text(payload(number)));
        let script = Script::new().frames(frames);
        (0..100)
            .fold(script, |script, number| script.text(payload(number)))
            .closes()
    })
}

fn reserved_bits_data(_: &Setting) -> Vec<Run> {
    each(1..=7_u8, |&bits| {
        Script::new()
            .echo("before")
            .frame(Frame::text("a").rsv(bits))
            .fails(&[1002])
    })
    .into_iter()
    .chain(named(
        [("binary", Frame::binary("a")), ("empty", Frame::text(""))],
        |frame| Script::new().frame(frame.clone().rsv(1)).fails(&[1002]),
    ))
    .chain(named([("byte by byte", 2_u8)], |&bits| {
        Script::new()
            .pieces(1, [Frame::text("abc").rsv(bits)])
            .fails(&[1002])
    }))
    .collect()
}

fn reserved_bits_control(_: &Setting) -> Vec<Run> {
    let frames = [
        ("ping", Frame::ping("a")),
        ("pong", Frame::pong("a")),
        ("Close", Frame::close(1000, "")),
    ];
    named(frames, |frame| {
        Script::new().frame(frame.clone().rsv(0b010)).fails(&[1002])
    })
    .into_iter()
    .chain(each(1..=7_u8, |&bits| {
        Script::new()
            .frame(Frame::ping("a").rsv(bits))
            .fails(&[1002])
    }))
    .collect()
}

fn reserved_bits_continuation(_: &Setting) -> Vec<Run> {
    each(1..=7_u8, |&bits| {
        Script::new()
            .frames([Frame::text("a").more(), Frame::continuation("b").rsv(bits)])
            .fails(&[1002])
    })
}

fn reserved_opcodes_data(_: &Setting) -> Vec<Run> {
    each(0x3..=0x7_u8, |&opcode| reserved_opcode(opcode, "a"))
        .into_iter()
        .chain(named([("0x3, no payload", "")], |payload| {
            reserved_opcode(0x3, payload)
        }))
        .collect()
}

fn reserved_opcodes_control(_: &Setting) -> Vec<Run> {
    each(0xB..=0xF_u8, |&opcode| reserved_opcode(opcode, "a"))
        .into_iter()
        .chain(named([("0xB, no payload", "")], |payload| {
            reserved_opcode(0xB, payload)
        }))
        .collect()
}

fn reserved_opcode(opcode: u8, payload: &str) -> Script {
    Script::new()
        .echo("before")
        .frame(Frame::new(opcode, payload))
        .fails(&[1002])
}

fn length_top_bit(_: &Setting) -> Vec<Run> {
    named(
        [
            ("2^63", 1 << 63),
            ("2^64 - 1", u64::MAX),
            ("2^63 + 5", (1 << 63) + 5),
        ],
        |&length| {
            Script::new()
                .frame(Frame::binary("abcde").length(LengthForm::Claimed(length)))
                .fails(&[1002, 1009])
        },
    )
}

fn peer_uses_shortest_length(_: &Setting) -> Vec<Run> {
    one(|| {
        let script = Script::new();
        LENGTHS
            .iter()
            .fold(script, |script, &length| script.echo(text(length)))
            .frame(Frame::new(PING, text(125)))
            .pong(text(125))
            .closes()
            .expect(Expected::Frames(lengths_are_minimal))
    })
}

fn lengths_are_minimal(frames: &[FrameSeen]) -> Result<(), String> {
    match frames.iter().find(|frame| !frame.is_minimal) {
        None => Ok(()),
        Some(frame) => Err(format!(
            "the length {} is not in its shortest form",
            frame.length
        )),
    }
}

fn length_not_minimal(_: &Setting) -> Vec<Run> {
    let forms = [
        (
            "5 in 16 bits",
            Frame::text("Hello").length(LengthForm::Bits16),
        ),
        (
            "125 in 16 bits",
            Frame::text(text(125)).length(LengthForm::Bits16),
        ),
        (
            "5 in 64 bits",
            Frame::text("Hello").length(LengthForm::Bits64),
        ),
        (
            "126 in 64 bits",
            Frame::text(text(126)).length(LengthForm::Bits64),
        ),
        (
            "65535 in 64 bits",
            Frame::text(text(65_535)).length(LengthForm::Bits64),
        ),
    ];
    named(forms, |frame| {
        Script::new().frame(frame.clone()).fails(&[1002])
    })
}

fn message_before_fault(_: &Setting) -> Vec<Run> {
    let faults = [
        ("reserved bit", Frame::text("a").rsv(1)),
        ("reserved opcode", Frame::new(0x3, "a")),
        ("reserved control opcode", Frame::new(0xB, "a")),
    ];
    named(faults, |fault| {
        Script::new()
            .frames([Frame::text("before"), fault.clone()])
            .text("before")
            .fails(&[1002])
    })
}

fn close_code(setting: &Setting) -> Vec<Run> {
    let faults = [
        reserved_bits_data,
        reserved_bits_control,
        reserved_bits_continuation,
        reserved_opcodes_data,
        reserved_opcodes_control,
    ];
    with_code(faults.into_iter().flat_map(|runs| runs(setting)))
}
