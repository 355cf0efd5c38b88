//! Masking (RFC 6455 §5.1, §5.3): who masks, with which keys.

use std::collections::HashSet;

use super::payloads::{binary, text};
use crate::case::{Case, Run, Setting, each, named, one, with_code};
use crate::frame::{CLOSE, Frame, Masking, PING};
use crate::reader::FrameSeen;
use crate::script::{Expected, Script};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::must("masking/unmasked-to-server", "rfc6455-5.1-03",
        "A server fails the connection when a frame is not masked.", wrong_mask_bit).server(),
    Case::must("masking/masked-to-client", "rfc6455-5.1-06",
        "A client fails the connection when a frame is masked.", wrong_mask_bit).client(),
    Case::should("masking/close-code", "rfc6455-7.1.7-03",
        "After a frame with the wrong MASK bit the peer sends Close 1002 first.", close_code),
    Case::must("masking/server-masks-nothing", "rfc6455-5.1-05",
        "A server masks no frame.", server_masks_nothing).server(),
    Case::must("masking/client-masks-data", "rfc6455-5.1-01",
        "A client masks data frames, empty ones too.", client_masks_data).client(),
    Case::must("masking/client-masks-pongs", "rfc6455-5.3-01",
        "A client masks its pongs, empty ones too.", client_masks_pongs).client(),
    Case::must("masking/client-masks-close", "rfc6455-5.5.1-05",
        "A client masks its Close frame.", client_masks_close).client(),
    Case::must("masking/keys", "rfc6455-5.3-06",
        "A server unmasks with every kind of key.", keys).server(),
    Case::must("masking/every-length", "rfc6455-6.2-09",
        "A server unmasks payloads of every length modulo 16, also when they come in pieces.", every_length).server(),
    Case::must("masking/new-key-for-each-frame", "rfc6455-5.3-03",
        "A client takes a new key for each frame.", new_key_for_each_frame).client(),
    Case::must("masking/unpredictable-keys", "rfc6455-5.3-04b",
        "A client's key does not show which one comes next.", unpredictable_keys).client(),
    Case::must("masking/every-bit-of-the-key", "rfc6455-5.3-02",
        "All 32 bits of a client's keys are random.", every_bit_of_the_key).client(),
];

fn wrong_mask_bit(_: &Setting) -> Vec<Run> {
    let frames = [
        ("text", Frame::text("a")),
        ("binary", Frame::binary("a")),
        ("empty text", Frame::text("")),
        ("ping", Frame::ping("a")),
        ("empty ping", Frame::ping("")),
        ("pong", Frame::pong("a")),
        ("Close", Frame::close(1000, "")),
        ("empty Close", Frame::new(CLOSE, "")),
        ("16-bit length", Frame::text(text(126))),
    ];
    let single = named(frames, |frame| {
        let frame = frame.clone().masking(Masking::Illegal);
        Script::new().echo("before").frame(frame).fails(&[1002])
    });
    let fragment = named([("continuation", ())], |()| {
        let second = Frame::continuation("b").masking(Masking::Illegal);
        Script::new()
            .frames([Frame::text("a").more(), second])
            .fails(&[1002])
    });
    single.into_iter().chain(fragment).collect()
}

fn close_code(setting: &Setting) -> Vec<Run> {
    with_code(wrong_mask_bit(setting))
}

fn server_masks_nothing(_: &Setting) -> Vec<Run> {
    one(|| everything().expect(Expected::Frames(none_is_masked)))
}

fn client_masks_data(_: &Setting) -> Vec<Run> {
    one(|| {
        everything().expect(Expected::Frames(|frames| {
            all_are_masked(frames, |opcode| opcode < CLOSE)
        }))
    })
}

fn client_masks_pongs(_: &Setting) -> Vec<Run> {
    one(|| {
        everything().expect(Expected::Frames(|frames| {
            all_are_masked(frames, |opcode| opcode > CLOSE)
        }))
    })
}

fn client_masks_close(_: &Setting) -> Vec<Run> {
    one(|| {
        everything().expect(Expected::Frames(|frames| {
            all_are_masked(frames, |opcode| opcode == CLOSE)
        }))
    })
}

/// Every kind of frame that a peer that echoes sends.
fn everything() -> Script {
    Script::new()
        .echo("text")
        .echo("")
        .frame(Frame::binary(binary(300)))
        .binary(binary(300))
        .frame(Frame::ping("ping"))
        .pong("ping")
        .frame(Frame::new(PING, ""))
        .pong("")
        .closes()
}

fn none_is_masked(frames: &[FrameSeen]) -> Result<(), String> {
    match frames.iter().find(|frame| frame.key.is_some()) {
        None => Ok(()),
        Some(frame) => Err(masked_words(frame, "is masked")),
    }
}

fn all_are_masked(frames: &[FrameSeen], concerns: fn(u8) -> bool) -> Result<(), String> {
    let mut concerned = frames.iter().filter(|frame| concerns(frame.opcode));
    match concerned.find(|frame| frame.key.is_none()) {
        None => Ok(()),
        Some(frame) => Err(masked_words(frame, "is not masked")),
    }
}

fn masked_words(frame: &FrameSeen, is: &str) -> String {
    let name = crate::frame::opcode_name(frame.opcode);
    format!("a {name} frame of {} bytes {is}", frame.length)
}

fn keys(_: &Setting) -> Vec<Run> {
    let keys = [
        ("zero", [0; 4]),
        ("all ones", [0xFF; 4]),
        ("four different bytes", [0x01, 0x80, 0x7F, 0xFE]),
        ("the payload's own bytes", *b"abcd"),
    ];
    named(keys, |&key| {
        let frame = Frame::text(text(200)).masking(Masking::Key(key));
        Script::new().frame(frame).text(text(200)).closes()
    })
}

fn every_length(_: &Setting) -> Vec<Run> {
    each([1_usize, 3, 1000], |&piece_bytes| {
        let key = Masking::Key([0x01, 0x23, 0x45, 0x67]);
        (0..=33_usize)
            .fold(Script::new(), |script, length| {
                let frame = Frame::binary(binary(length)).masking(key);
                script.pieces(piece_bytes, [frame]).binary(binary(length))
            })
            .closes()
    })
}

fn new_key_for_each_frame(_: &Setting) -> Vec<Run> {
    one(|| many().expect(Expected::Frames(keys_are_new)))
}

fn unpredictable_keys(_: &Setting) -> Vec<Run> {
    one(|| many().expect(Expected::Frames(steps_are_different)))
}

fn every_bit_of_the_key(_: &Setting) -> Vec<Run> {
    one(|| many().expect(Expected::Frames(bits_are_random)))
}

/// Enough keys for statistics.
fn many() -> Script {
    (0..KEYS)
        .fold(Script::new(), |script, _| script.echo("key"))
        .closes()
}

fn masking_keys(frames: &[FrameSeen]) -> Vec<u32> {
    let keys = frames.iter().filter_map(|frame| frame.key);
    keys.map(u32::from_be_bytes).collect()
}

/// Of 200 random keys two are the same by chance in one of 200,000 runs; four are not.
fn keys_are_new(frames: &[FrameSeen]) -> Result<(), String> {
    let keys = masking_keys(frames);
    let different: HashSet<_> = keys.iter().collect();
    match different.len() + 2 > keys.len() {
        true => Ok(()),
        false => Err(format!(
            "{} frames have {} different keys",
            keys.len(),
            different.len()
        )),
    }
}

/// Counters, and generators whose state is the key, take few different steps.
fn steps_are_different(frames: &[FrameSeen]) -> Result<(), String> {
    let keys = masking_keys(frames);
    for (name, step) in [
        ("difference", u32::wrapping_sub as fn(u32, u32) -> u32),
        ("exclusive or", |next, key| next ^ key),
    ] {
        let steps: Vec<u32> = keys.windows(2).map(|pair| step(pair[1], pair[0])).collect();
        let different: HashSet<_> = steps.iter().collect();
        if different.len() + 2 <= steps.len() {
            let (steps, different) = (steps.len(), different.len());
            return Err(format!(
                "{steps} pairs of keys have {different} values of their {name}"
            ));
        }
    }
    Ok(())
}

/// A random bit has one value 200 times in a row once in 10^60 runs.
fn bits_are_random(frames: &[FrameSeen]) -> Result<(), String> {
    let keys = masking_keys(frames);
    let ever_set = keys.iter().fold(0, |bits, key| bits | key);
    let always_set = keys.iter().fold(u32::MAX, |bits, key| bits & key);
    match (ever_set, always_set) {
        (u32::MAX, 0) => Ok(()),
        _ => Err(format!(
            "constant bits of all keys: {:08x}",
            !ever_set | always_set
        )),
    }
}

const KEYS: usize = 200;
