//! Pings and pongs (RFC 6455 §5.5.2, §5.5.3), and the two rules of all control frames:
//! at most 125 bytes, never fragmented (§5.5).

use super::payloads::{binary, text};
use crate::case::{Case, Run, Setting, each, named, one, with_code};
use crate::frame::{CLOSE, Frame, LengthForm};
use crate::script::{Expected, Script};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::must("control/ping", "rfc6455-5.5.2-02", "A ping is answered.", ping).old(&["2.1"]),
    Case::must("control/ping-payload", "rfc6455-5.5.3-01",
        "A pong has the payload of the ping, whatever bytes these are.", ping_payload).old(&["2.2-3"]),
    Case::must("control/ping-125", "rfc6455-5.5-01a", "A ping of 125 bytes is answered.", ping_125).old(&["2.4", "2.6"]),
    Case::must("control/over-125", "rfc6455-5.5-01a",
        "A control frame of 126 bytes fails the connection.", over_125).old(&["2.5"]),
    Case::must("control/claims-over-125", "rfc6455-5.5-01a",
        "A control frame that claims more bytes than ever come fails the connection.", claims_over_125),
    Case::quality("control/length-not-minimal", "rfc6455-5.2-07",
        "A control frame whose length is not in the shortest form fails the connection.", length_not_minimal),
    Case::must("control/fragmented", "rfc6455-5.4-06",
        "A fragmented control frame fails the connection.", fragmented).old(&["5.1-2"]),
    Case::must("control/unsolicited-pong", "rfc6455-5.5.3-04",
        "A pong that nobody asked for is not answered.", unsolicited_pong).old(&["2.7-9"]),
    Case::must("control/pongs-in-order", "rfc6455-5.5.3-01",
        "Ten pings in a row are answered in order; the last one always.", pongs_in_order).old(&["2.10-11"]),
    Case::must("control/ping-between-messages", "rfc6455-5.5.2-02",
        "Pings and messages do not disturb each other.", ping_between_messages),
    Case::should("control/pong-before-rest-of-message", "rfc6455-5.5.2-03",
        "A ping is answered before the rest of a message has come.", pong_before_rest),
    Case::should("control/close-code", "rfc6455-7.1.7-03",
        "After an illegal control frame the peer sends Close 1002 first.", close_code),
];

fn ping(_: &Setting) -> Vec<Run> {
    one(|| Script::new().frame(Frame::ping("")).pong("").closes())
}

fn ping_payload(_: &Setting) -> Vec<Run> {
    let payloads = [
        ("text", b"Hello, world!".to_vec()),
        (
            "not UTF-8",
            vec![0x00, 0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0x00, 0xFF],
        ),
        ("one byte", vec![0]),
        ("124 bytes", binary(124)),
    ];
    named(payloads, |payload| {
        Script::new()
            .frame(Frame::ping(payload))
            .pong(payload)
            .closes()
    })
}

fn ping_125(_: &Setting) -> Vec<Run> {
    vec![
        Run::new("one write", || {
            Script::new()
                .frame(Frame::ping(text(125)))
                .pong(text(125))
                .closes()
        }),
        Run::new("byte by byte", || {
            Script::new()
                .pieces(1, [Frame::ping(text(125))])
                .pong(text(125))
                .closes()
        }),
    ]
}

fn over_125(_: &Setting) -> Vec<Run> {
    let frames = [
        ("ping", Frame::ping(text(126))),
        ("pong", Frame::pong(text(126))),
        ("Close", Frame::close(1000, text(124))),
        ("ping of 65536", Frame::ping(text(65_536))),
    ];
    named(frames, |frame| {
        Script::new().frame(frame.clone()).fails(&[1002])
    })
}

/// No limit lets a peer wait for so many bytes.
fn claims_over_125(_: &Setting) -> Vec<Run> {
    let claimed = LengthForm::Claimed(1 << 40);
    let frames = [
        ("ping", Frame::ping("").length(claimed)),
        ("pong", Frame::pong("").length(claimed)),
        ("Close", Frame::close(1000, "").length(claimed)),
    ];
    named(frames, |frame| {
        Script::new().frame(frame.clone()).fails(&[1002, 1009])
    })
}

/// The RFC demands the shortest form of a sender, and is silent about a receiver.
fn length_not_minimal(_: &Setting) -> Vec<Run> {
    let frames = [
        ("ping, 16 bits", Frame::ping("").length(LengthForm::Bits16)),
        ("ping, 64 bits", Frame::ping("").length(LengthForm::Bits64)),
        (
            "Close, 64 bits",
            Frame::close(1000, "").length(LengthForm::Bits64),
        ),
    ];
    named(frames, |frame| {
        Script::new().frame(frame.clone()).fails(&[1002])
    })
}

fn fragmented(_: &Setting) -> Vec<Run> {
    let frames = [
        (
            "ping",
            vec![Frame::ping("a").more(), Frame::continuation("b")],
        ),
        (
            "pong",
            vec![Frame::pong("a").more(), Frame::continuation("b")],
        ),
        ("Close", vec![Frame::close(1000, "").more()]),
        ("empty Close", vec![Frame::new(CLOSE, "").more()]),
        ("ping alone", vec![Frame::ping("").more()]),
        (
            "inside a message",
            vec![Frame::text("a").more(), Frame::ping("").more()],
        ),
    ];
    named(frames, |frames| {
        Script::new().frames(frames.clone()).fails(&[1002])
    })
}

/// The answer to the ping comes next, so nothing has answered the pong.
fn unsolicited_pong(_: &Setting) -> Vec<Run> {
    each(["", "pong"], |payload| {
        Script::new()
            .frames([Frame::pong(payload), Frame::ping("ping")])
            .pong("ping")
            .echo("text")
            .closes()
    })
}

fn pongs_in_order(_: &Setting) -> Vec<Run> {
    let payloads = || (0..10).map(|number| format!("ping {number}").into_bytes());
    let pings = move || payloads().map(Frame::ping);
    vec![
        Run::new("one write", move || {
            let expected = Expected::PongsUntil(payloads().collect());
            Script::new().frames(pings()).expect(expected).closes()
        }),
        Run::new("byte by byte", move || {
            let expected = Expected::PongsUntil(payloads().collect());
            Script::new().pieces(1, pings()).expect(expected).closes()
        }),
    ]
}

fn ping_between_messages(_: &Setting) -> Vec<Run> {
    one(|| {
        Script::new()
            .frames([
                Frame::text("one"),
                Frame::ping("1"),
                Frame::binary("two"),
                Frame::ping("2"),
            ])
            .text("one")
            .binary("two")
            .expect(Expected::PongsUntil(vec![b"1".to_vec(), b"2".to_vec()]))
            .closes()
    })
}

fn pong_before_rest(_: &Setting) -> Vec<Run> {
    one(|| {
        Script::new()
            .frames([Frame::text("first").more(), Frame::ping("now")])
            .pong("now")
            .frame(Frame::continuation(" last"))
            .text("first last")
            .closes()
    })
}

fn close_code(setting: &Setting) -> Vec<Run> {
    let faults = [over_125, fragmented];
    with_code(faults.into_iter().flat_map(|runs| runs(setting)))
}
