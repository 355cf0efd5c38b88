//! The closing handshake (RFC 6455 §5.5.1, §7) and the ends of TCP that come without it.

use super::payloads::{binary, text};
use crate::case::{Case, Run, Setting, each, named, one, with_code};
use crate::frame::{CLOSE, Frame};
use crate::script::{Codes, Expected, Script};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::must("closing/handshake", "rfc6455-5.5.1-07",
        "A Close frame is answered by a Close frame.", handshake).old(&["7.1.1", "7.3.3"]),
    Case::must("closing/without-code", "rfc6455-5.5.1-07",
        "A Close frame without a code is answered, without a code that must not be sent.", without_code).old(&["7.3.1"]),
    Case::must("closing/reason", "rfc6455-5.5.1-07", "A Close frame with a reason is answered.", reason).old(&["7.3.4"]),
    Case::must("closing/reason-123", "rfc6455-5.5-01a", "A reason of 123 bytes is accepted.", reason_123).old(&["7.3.5"]),
    Case::must("closing/reason-124", "rfc6455-5.5-01a", "A reason of 124 bytes fails the connection.", reason_124).old(&["7.3.6"]),
    Case::must("closing/body-of-one-byte", "rfc6455-5.5.1-02",
        "A Close frame with a body of one byte fails the connection.", one_byte).old(&["7.3.2"]),
    Case::must("closing/reason-not-utf8", "rfc6455-8.1-01",
        "A reason that is not UTF-8 fails the connection.", reason_not_utf8).old(&["7.5.1"]),
    Case::must("closing/legal-codes", "rfc6455-5.5.1-07",
        "Every code that may be sent is answered.", legal_codes).old(&["7.7.1-13"]),
    Case::should("closing/code-is-echoed", "rfc6455-5.5.1-08",
        "The answer to a Close has its code.", code_is_echoed),
    Case::must("closing/illegal-codes", "rfc6455-7.4.2-01",
        "A code that must not be sent is not sent back, and the connection ends.", illegal_codes).old(&["7.9.1-9"]),
    Case::quality("closing/codes-beyond-4999", "rfc6455-7.4.2-01",
        "A code beyond 4999 ends the connection in one way or another.", codes_beyond).old(&["7.13.1-2"]),
    Case::must("closing/nothing-after-close", "rfc6455-5.5.1-06",
        "After a Close, no message and no ping is answered.", nothing_after_close).old(&["7.1.3-4"]),
    Case::must("closing/second-close", "rfc6455-5.5.1-06", "A second Close is not answered.", second_close).old(&["7.1.2"]),
    Case::quality("closing/message-then-close", "rfc6455-5.5.1-10a",
        "A long message that came before the Close is still echoed.", message_then_close).old(&["7.1.6"]),
    Case::must("closing/server-ends-tcp", "rfc6455-5.5.1-12a",
        "A server ends TCP as soon as both Close frames are sent.", server_ends_tcp).server(),
    Case::should("closing/client-waits-for-end", "rfc6455-5.5.1-12b",
        "A client leaves the end of TCP to the server.", client_waits).client(),
    Case::quality("closing/fin-without-close", "rfc6455-7.1.4-01",
        "A peer whose partner sends FIN without a Close ends its side, too.", fin_without_close),
    Case::must("closing/fin-behind-close", "rfc6455-5.5.1-07",
        "A Close frame that FIN follows at once is answered.", fin_behind_close),
    Case::quality("closing/fin-behind-message", "rfc6455-6.2-05",
        "A message that FIN follows at once is echoed.", fin_behind_message),
    Case::must("closing/fin-inside-frame", "rfc6455-7.1.4-01",
        "A frame that FIN cuts off is not processed, and the connection ends.", fin_inside_frame),
    Case::must("closing/fin-inside-message", "rfc6455-7.1.4-01",
        "A message that FIN cuts off is not processed, and the connection ends.", fin_inside_message),
    Case::quality("closing/reset", "rfc6455-7.1.4-01",
        "A RST at any place leaves the server in service.", reset).server(),
    Case::quality("closing/reset-while-peer-sends", "rfc6455-7.1.4-01",
        "A RST while the server sends a long message leaves it in service.", reset_while_peer_sends).server().heavy(),
    Case::should("closing/failure-ends-tcp", "rfc6455-7.1.1-05a",
        "A server that fails a connection ends TCP, and does not wait for the client.", failure_ends_tcp).server(),
    Case::should("closing/close-code", "rfc6455-7.1.7-03",
        "After an illegal Close frame the peer sends Close 1002 first, after a reason that is not UTF-8 1007.", close_code),
];

fn handshake(_: &Setting) -> Vec<Run> {
    vec![
        Run::new("at once", || Script::new().closes()),
        Run::new("after a message", || Script::new().echo("Hello").closes()),
        Run::new("byte by byte", || {
            Script::new()
                .pieces(1, [Frame::close(1000, "bye")])
                .expect(Expected::Close(Codes::Any))
        }),
    ]
}

fn without_code(_: &Setting) -> Vec<Run> {
    one(|| {
        Script::new()
            .frame(Frame::new(CLOSE, ""))
            .expect(Expected::Close(Codes::OneOf(&[1000, 1005])))
    })
}

fn reason(_: &Setting) -> Vec<Run> {
    each(["Hello", "κόσμε 山彦"], |reason| {
        close_with(Frame::close(1000, reason))
    })
}

fn reason_123(_: &Setting) -> Vec<Run> {
    one(|| close_with(Frame::close(1000, text(123))))
}

fn close_with(frame: Frame) -> Script {
    Script::new()
        .frame(frame)
        .expect(Expected::Close(Codes::Any))
        .expect(Expected::NothingElse)
}

fn reason_124(_: &Setting) -> Vec<Run> {
    one(|| {
        Script::new()
            .frame(Frame::close(1000, text(124)))
            .fails_by(&[1002])
    })
}

fn one_byte(_: &Setting) -> Vec<Run> {
    one(|| {
        Script::new()
            .frame(Frame::new(CLOSE, [0x03]))
            .fails_by(&[1002])
    })
}

fn reason_not_utf8(_: &Setting) -> Vec<Run> {
    let reasons: [(_, &[u8]); 3] = [
        ("surrogate", b"\xCE\xBA\xED\xA0\x80edited"),
        ("truncated", b"\xC3"),
        ("overlong", b"a\xC0\xAF"),
    ];
    named(reasons, |reason| {
        Script::new()
            .frame(Frame::close(1000, reason))
            .fails_by(&[1007, 1002])
    })
}

/// Those of RFC 6455 §7.4.1, those registered later, and the ends of the free ranges.
const LEGAL_CODES: [u16; 16] = [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
];

fn legal_codes(_: &Setting) -> Vec<Run> {
    each(LEGAL_CODES, |&code| close_with(Frame::close(code, "")))
}

fn code_is_echoed(_: &Setting) -> Vec<Run> {
    each(LEGAL_CODES, |&code| {
        Script::new()
            .frame(Frame::close(code, ""))
            .expect(Expected::Close(Codes::Exactly(code)))
    })
}

fn illegal_codes(_: &Setting) -> Vec<Run> {
    let codes = [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999];
    each(codes, |&code| {
        Script::new()
            .frame(Frame::close(code, ""))
            .fails_by(&[1002])
    })
}

fn codes_beyond(_: &Setting) -> Vec<Run> {
    each([5000_u16, 65_535], |&code| {
        Script::new().frame(Frame::close(code, "")).fails(&[1002])
    })
}

fn nothing_after_close(_: &Setting) -> Vec<Run> {
    let after = [
        ("text", Frame::text("after")),
        ("ping", Frame::ping("after")),
        ("binary", Frame::binary("after")),
    ];
    named(after, |after| {
        Script::new()
            .frames([Frame::close(1000, ""), after.clone()])
            .expect(Expected::Close(Codes::Any))
            .end_sending()
            .expect(Expected::End)
    })
}

fn second_close(_: &Setting) -> Vec<Run> {
    one(|| {
        Script::new()
            .frames([Frame::close(1000, ""), Frame::close(1000, "again")])
            .expect(Expected::Close(Codes::Any))
            .end_sending()
            .expect(Expected::End)
    })
}

fn message_then_close(_: &Setting) -> Vec<Run> {
    one(|| {
        let payload = text(256 << 10);
        Script::new()
            .frames([Frame::text(&payload), Frame::close(1000, "")])
            .text(&payload)
            .expect(Expected::Close(Codes::Any))
    })
}

fn server_ends_tcp(_: &Setting) -> Vec<Run> {
    one(|| Script::new().echo("Hello").closes().expect(Expected::End))
}

fn client_waits(_: &Setting) -> Vec<Run> {
    one(|| Script::new().echo("Hello").closes().expect(Expected::NoEnd))
}

fn fin_without_close(_: &Setting) -> Vec<Run> {
    vec![
        Run::new("at once", || {
            Script::new().end_sending().expect(Expected::End)
        }),
        Run::new("after a message", || {
            Script::new().echo("a").end_sending().expect(Expected::End)
        }),
    ]
}

fn fin_behind_close(_: &Setting) -> Vec<Run> {
    let close = |script: Script| {
        script
            .frame(Frame::close(1000, "bye"))
            .end_sending()
            .expect(Expected::Close(Codes::Any))
            .expect(Expected::End)
    };
    vec![
        Run::new("at once", move || close(Script::new())),
        Run::new("after a message", move || close(Script::new().echo("a"))),
    ]
}

fn fin_behind_message(_: &Setting) -> Vec<Run> {
    each(["one frame", "two fragments"], |frames| {
        let script = match *frames {
            "one frame" => Script::new().frame(Frame::text("last")),
            _ => Script::new().frames([Frame::text("la").more(), Frame::continuation("st")]),
        };
        script.end_sending().text("last").expect(Expected::End)
    })
}

fn fin_inside_frame(_: &Setting) -> Vec<Run> {
    let missing = [
        ("inside the payload", 3),
        ("before the last byte", 1),
        ("behind the header", 200),
        ("inside the length", 204),
    ];
    named(missing, |&missing| {
        let script = Script::new()
            .echo("before")
            .part(Frame::text(text(200)), missing);
        script.end_sending().expect(Expected::End)
    })
}

fn fin_inside_message(_: &Setting) -> Vec<Run> {
    one(|| {
        Script::new()
            .frame(Frame::text("begun").more())
            .end_sending()
            .expect(Expected::End)
    })
}

fn reset(_: &Setting) -> Vec<Run> {
    let frames = [
        ("after a message", Frame::text("whole")),
        ("inside a message", Frame::text("begun").more()),
        ("after a Close", Frame::close(1000, "")),
        ("after an illegal frame", Frame::text("a").rsv(1)),
    ];
    named(frames, |frame| {
        Script::new()
            .frame(frame.clone())
            .reset()
            .expect(Expected::FreshConnection)
    })
}

/// 8 MiB are more than the kernel takes while nobody reads.
fn reset_while_peer_sends(_: &Setting) -> Vec<Run> {
    one(|| {
        Script::new()
            .repeat(Frame::binary(binary(1 << 20)), 8)
            .expect(Expected::Begun)
            .reset()
            .expect(Expected::FreshConnection)
    })
}

fn failure_ends_tcp(_: &Setting) -> Vec<Run> {
    let faults = [
        ("illegal frame", Frame::text("a").rsv(1)),
        ("text that is not UTF-8", Frame::text([0xFF])),
        ("illegal Close", Frame::new(CLOSE, [0x03])),
    ];
    named(faults, |fault| {
        Script::new().frame(fault.clone()).expect(Expected::End)
    })
}

fn close_code(setting: &Setting) -> Vec<Run> {
    let faults = [one_byte, reason_124, reason_not_utf8, illegal_codes];
    with_code(faults.into_iter().flat_map(|runs| runs(setting)))
}
