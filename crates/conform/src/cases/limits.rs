//! Large messages, many messages and many fragments. The RFC gives no numbers, so the level
//! is quality; the Autobahn suite expects these sizes.

use super::payloads::{binary, text};
use crate::case::{Case, Depth, Run, Setting, each, named, one};
use crate::frame::{CONTINUATION, Frame, LengthForm};
use crate::script::{Expected, Script};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::quality("limits/text-sizes", "rfc6455-10.4-02", "Text messages up to 16 MiB are echoed.", text_sizes).old(&["9.1.1-6"]).heavy(),
    Case::quality("limits/binary-sizes", "rfc6455-10.4-02", "Binary messages up to 16 MiB are echoed.", binary_sizes)
        .old(&["9.2.1-6"]).heavy(),
    Case::quality("limits/text-fragments", "rfc6455-5.4-10",
        "A text message of 4 MiB is echoed, whatever the length of its fragments.", text_fragments).old(&["9.3.1-9"]).heavy(),
    Case::quality("limits/binary-fragments", "rfc6455-5.4-10",
        "A binary message of 4 MiB is echoed, whatever the length of its fragments.", binary_fragments).old(&["9.4.1-9"]).heavy(),
    Case::quality("limits/text-pieces", "rfc6455-6.2-01",
        "A text message of 1 MiB is echoed, whatever the size of its writes.", text_pieces).old(&["9.5.1-6"]).heavy(),
    Case::quality("limits/binary-pieces", "rfc6455-6.2-01",
        "A binary message of 1 MiB is echoed, whatever the size of its writes.", binary_pieces).old(&["9.6.1-6"]).heavy(),
    Case::must("limits/text-round-trips", "rfc6455-6.2-06", "1,000 text messages are echoed one by one.", text_round_trips)
        .old(&["9.7.1-6"]).heavy(),
    Case::must("limits/binary-round-trips", "rfc6455-6.2-06", "1,000 binary messages are echoed one by one.", binary_round_trips)
        .old(&["9.8.1-6"]).heavy(),
    Case::must("limits/many-messages", "rfc6455-6.2-06", "200,000 messages on one connection are echoed.", many_messages).full().heavy(),
    Case::must("limits/at-message-max", "rfc6455-10.4-02",
        "A message of the peer's limit is echoed (--message-max).", at_message_max),
    Case::must("limits/past-message-max", "rfc6455-10.4-01",
        "A message one byte longer than the peer's limit fails the connection (--message-max).", past_message_max),
    Case::should("limits/claimed-length", "rfc6455-10.4-02",
        "A frame that claims 2^40 bytes fails the connection before these come.", claimed_length),
    Case::should("limits/endless-message", "rfc6455-10.4-02",
        "A message that never ends fails the connection: after 256 MiB, or 4 times --message-max.", endless_message).heavy(),
    Case::should("limits/close-code", "rfc6455-7.4.1-06",
        "After a message that is too long the peer sends Close 1009 (--message-max).", close_code),
];

fn text_sizes(setting: &Setting) -> Vec<Run> {
    each(sizes(setting), |&size| {
        Script::new().echo(text(size)).closes()
    })
}

fn binary_sizes(setting: &Setting) -> Vec<Run> {
    each(sizes(setting), |&size| {
        let payload = binary(size);
        Script::new()
            .frame(Frame::binary(&payload))
            .binary(&payload)
            .closes()
    })
}

fn sizes(setting: &Setting) -> Vec<usize> {
    let sizes = [64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20, 16 << 20];
    let count = if setting.depth == Depth::Quick {
        3
    } else {
        sizes.len()
    };
    sizes[..count].to_vec()
}

fn text_fragments(setting: &Setting) -> Vec<Run> {
    fragmented(setting, |size, bytes| {
        let payload = text(size);
        Script::new()
            .frames(fragments(Frame::text, &payload, bytes))
            .text(&payload)
            .closes()
    })
}

fn binary_fragments(setting: &Setting) -> Vec<Run> {
    fragmented(setting, |size, bytes| {
        let payload = binary(size);
        Script::new()
            .frames(fragments(Frame::binary, &payload, bytes))
            .binary(&payload)
            .closes()
    })
}

/// Runs with the size of the message and that of its fragments, from 64 bytes to all of it.
fn fragmented(setting: &Setting, script: fn(usize, usize) -> Script) -> Vec<Run> {
    let (size, fragments) = match setting.depth {
        Depth::Quick => (1 << 20, vec![64 << 10, 1 << 20]),
        _ => (
            4 << 20,
            (3..=11).map(|exponent| 1 << (2 * exponent)).collect(),
        ),
    };
    let run = |bytes: usize| Run::new(bytes, move || script(size, bytes));
    fragments.into_iter().map(run).collect()
}

fn fragments(first: fn(Vec<u8>) -> Frame, payload: &[u8], bytes: usize) -> Vec<Frame> {
    let count = payload.len().div_ceil(bytes);
    let fragment = |(index, part): (usize, &[u8])| {
        let frame = match index {
            0 => first(part.to_vec()),
            _ => Frame::continuation(part),
        };
        if index + 1 < count {
            frame.more()
        } else {
            frame
        }
    };
    payload.chunks(bytes).enumerate().map(fragment).collect()
}

fn text_pieces(setting: &Setting) -> Vec<Run> {
    each(piece_sizes(setting), |&bytes| {
        let payload = text(1 << 20);
        Script::new()
            .pieces(bytes, [Frame::text(&payload)])
            .text(&payload)
            .closes()
    })
}

fn binary_pieces(setting: &Setting) -> Vec<Run> {
    each(piece_sizes(setting), |&bytes| {
        let payload = binary(1 << 20);
        Script::new()
            .pieces(bytes, [Frame::binary(&payload)])
            .binary(&payload)
            .closes()
    })
}

fn piece_sizes(setting: &Setting) -> Vec<usize> {
    match setting.depth {
        Depth::Quick => vec![4096],
        _ => vec![128, 256, 512, 1024, 2048, 4096],
    }
}

fn text_round_trips(setting: &Setting) -> Vec<Run> {
    round_trips(setting, |script, size| script.echo(text(size)))
}

fn binary_round_trips(setting: &Setting) -> Vec<Run> {
    round_trips(setting, |script, size| {
        script
            .frame(Frame::binary(binary(size)))
            .binary(binary(size))
    })
}

fn round_trips(setting: &Setting, step: fn(Script, usize) -> Script) -> Vec<Run> {
    let (count, sizes) = match setting.depth {
        Depth::Quick => (100, vec![0, 64, 1024]),
        _ => (1000, vec![0, 16, 64, 256, 1024, 4096]),
    };
    let script = move |size| {
        (0..count)
            .fold(Script::new(), |script, _| step(script, size))
            .closes()
    };
    let run = |size: usize| Run::new(size, move || script(size));
    sizes.into_iter().map(run).collect()
}

fn many_messages(_: &Setting) -> Vec<Run> {
    one(|| {
        let payload = binary(32);
        let batch = |script: Script, _| {
            let expected = Expected::Messages {
                count: 1000,
                payload: payload.clone(),
            };
            script
                .repeat(Frame::binary(&payload), 1000)
                .expect(expected)
        };
        (0..200).fold(Script::new(), batch).closes()
    })
}

/// Without the option there is nothing to run.
fn with_max(setting: &Setting, more: usize, end: fn(Script, Vec<u8>) -> Script) -> Vec<Run> {
    let length = setting.message_bytes_max.map(|max| max + more);
    let whole = move |length| {
        let payload = text(length);
        end(Script::new().frame(Frame::text(&payload)), payload)
    };
    let in_fragments = move |length| {
        let payload = text(length);
        let frames = fragments(Frame::text, &payload, length.div_ceil(3).max(1));
        end(Script::new().frames(frames), payload)
    };
    let runs = |length: usize| {
        [
            Run::new("one frame", move || whole(length)),
            Run::new("three fragments", move || in_fragments(length)),
        ]
    };
    length.into_iter().flat_map(runs).collect()
}

fn at_message_max(setting: &Setting) -> Vec<Run> {
    with_max(setting, 0, |script, payload| script.text(payload).closes())
}

fn past_message_max(setting: &Setting) -> Vec<Run> {
    with_max(setting, 1, |script, _| script.fails(&[1009]))
}

fn claimed_length(_: &Setting) -> Vec<Run> {
    const CODES: &[u16] = &[1002, 1009];
    let claims = [
        ("2^40", 1_u64 << 40),
        ("2^62", 1 << 62),
        ("2^63 - 1", (1 << 63) - 1),
    ];
    let in_fragment = |&length: &u64| {
        let second = Frame::new(CONTINUATION, "b").length(LengthForm::Claimed(length));
        let frames = [Frame::binary("a").more(), second];
        Script::new().frames(frames).fails(CODES)
    };
    let in_frame = |&length: &u64| {
        let frame = Frame::binary("begun").length(LengthForm::Claimed(length));
        Script::new().frame(frame).fails(CODES)
    };
    let mut runs = named(claims, in_frame);
    runs.extend(named([("2^40 in a fragment", 1_u64 << 40)], in_fragment));
    runs
}

/// A quick run needs the option: peers have limits up to 100 MiB.
fn endless_message(setting: &Setting) -> Vec<Run> {
    let bytes_max = match (setting.message_bytes_max, setting.depth) {
        (Some(max), _) => Some(max.saturating_mul(4)),
        (None, Depth::Quick) => None,
        (None, _) => Some(256 << 20),
    };
    let script = move |bytes_max: usize| {
        let fragment = binary(64 << 10);
        Script::new()
            .frame(Frame::binary(&fragment).more())
            .flood(Frame::continuation(fragment).more(), bytes_max)
            .fails(&[1009])
    };
    let run = |bytes_max| Run::new("", move || script(bytes_max));
    bytes_max.into_iter().map(run).collect()
}

fn close_code(setting: &Setting) -> Vec<Run> {
    with_max(setting, 1, |script, _| script.fails(&[1009]).with_code())
}
