//! Fragmented messages (RFC 6455 §5.4).

use super::payloads::{binary, text};
use crate::case::{Case, Run, Setting, each, named, one, with_code};
use crate::frame::{CONTINUATION, Frame};
use crate::script::{Codes, Expected, Script};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::must("fragmentation/two-fragments", "rfc6455-5.4-11",
        "A message in two fragments is echoed, however TCP cuts it.", two_fragments).old(&["5.3-5"]),
    Case::must("fragmentation/ping-between", "rfc6455-5.4-09",
        "A ping between two fragments is answered, and the message is whole.", ping_between).old(&["5.6-8", "5.19-20"]),
    Case::must("fragmentation/pong-between", "rfc6455-5.4-09",
        "A pong between two fragments changes nothing.", pong_between),
    Case::must("fragmentation/close-between", "rfc6455-5.5.1-07",
        "A Close between two fragments is answered; the message is not echoed.", close_between).old(&["7.1.5"]),
    Case::must("fragmentation/empty-fragments", "rfc6455-5.4-04",
        "Fragments without payload are legal: first, middle, last, and all.", empty_fragments).old(&["6.1.2-3"]),
    Case::must("fragmentation/many-fragments", "rfc6455-5.4-04",
        "A message in 100 fragments is echoed, however long they are.", many_fragments).old(&["10.1.1"]),
    Case::must("fragmentation/type-of-first-fragment", "rfc6455-6.2-05",
        "The first fragment alone tells whether a message is text or binary.", type_of_first_fragment),
    Case::must("fragmentation/messages-in-a-row", "rfc6455-6.2-06",
        "After the last fragment a new message begins.", messages_in_a_row),
    Case::must("fragmentation/continuation-of-nothing", "rfc6455-5.4-03",
        "A continuation frame with nothing to continue fails the connection.", continuation_of_nothing)
        .old(&["5.9-15"]),
    Case::must("fragmentation/continuation-first-in-message", "rfc6455-5.4-03",
        "A message that begins with a continuation frame fails the connection.", continuation_first).old(&["5.16-17"]),
    Case::must("fragmentation/message-inside-message", "rfc6455-5.4-08",
        "A new message inside a fragmented one fails the connection.", message_inside_message).old(&["5.18"]),
    Case::quality("fragmentation/message-before-fault", "rfc6455-6.2-05",
        "A fragmented message that came before an illegal continuation is still echoed.", message_before_fault)
        .old(&["5.15"]),
    Case::should("fragmentation/close-code", "rfc6455-7.1.7-03",
        "After illegal fragments the peer sends Close 1002 first.", close_code),
];

fn two_fragments(_: &Setting) -> Vec<Run> {
    let text_message = named([("text", 0_usize), ("text byte by byte", 1)], |&piece| {
        cut(
            piece,
            [Frame::text("frag").more(), Frame::continuation("ment")],
        )
        .text("fragment")
        .closes()
    });
    let binary_message = named([("binary", 0), ("binary in pieces of 7", 7)], |&piece| {
        let payload = binary(40);
        let frames = [
            Frame::binary(&payload[..20]).more(),
            Frame::continuation(&payload[20..]),
        ];
        cut(piece, frames).binary(&payload).closes()
    });
    let separate = named([("two writes", ())], |()| {
        Script::new()
            .frame(Frame::text("frag").more())
            .frame(Frame::continuation("ment"))
            .text("fragment")
            .closes()
    });
    text_message
        .into_iter()
        .chain(binary_message)
        .chain(separate)
        .collect()
}

/// The frames in one write, or in pieces.
fn cut(piece_bytes: usize, frames: [Frame; 2]) -> Script {
    match piece_bytes {
        0 => Script::new().frames(frames),
        bytes => Script::new().pieces(bytes, frames),
    }
}

fn ping_between(_: &Setting) -> Vec<Run> {
    let frames = || {
        [
            Frame::text("frag").more(),
            Frame::ping("ping"),
            Frame::continuation("ment"),
        ]
    };
    vec![
        Run::new("one write", move || {
            Script::new()
                .frames(frames())
                .pong("ping")
                .text("fragment")
                .closes()
        }),
        Run::new("byte by byte", move || {
            Script::new()
                .pieces(1, frames())
                .pong("ping")
                .text("fragment")
                .closes()
        }),
        Run::new("pong before the rest", || {
            Script::new()
                .frame(Frame::text("frag").more())
                .frame(Frame::ping("first"))
                .pong("first")
                .frame(Frame::continuation("me").more())
                .frame(Frame::ping("second"))
                .pong("second")
                .frame(Frame::continuation("nt"))
                .text("fragment")
                .closes()
        }),
    ]
}

fn pong_between(_: &Setting) -> Vec<Run> {
    each(["", "pong"], |payload| {
        Script::new()
            .frames([
                Frame::text("frag").more(),
                Frame::pong(payload),
                Frame::continuation("ment"),
            ])
            .text("fragment")
            .closes()
    })
}

fn close_between(_: &Setting) -> Vec<Run> {
    one(|| {
        Script::new()
            .frames([Frame::text("frag").more(), Frame::close(1000, "")])
            .expect(Expected::Close(Codes::Any))
            .expect(Expected::NothingElse)
    })
}

fn empty_fragments(_: &Setting) -> Vec<Run> {
    let messages: [(_, &[&str]); 5] = [
        ("first", &["", "a"]),
        ("middle", &["a", "", "b"]),
        ("last", &["a", ""]),
        ("all three", &["", "", ""]),
        ("all but one", &["", "", "a", "", ""]),
    ];
    named(messages, |parts| {
        fragmented(parts).text(parts.concat()).closes()
    })
}

/// A text message in these fragments, in one write.
fn fragmented(parts: &[&str]) -> Script {
    let count = parts.len();
    let frame = |(index, part): (usize, &&str)| {
        let frame = match index {
            0 => Frame::text(part),
            _ => Frame::continuation(part),
        };
        if index + 1 < count {
            frame.more()
        } else {
            frame
        }
    };
    Script::new().frames(parts.iter().enumerate().map(frame))
}

fn many_fragments(_: &Setting) -> Vec<Run> {
    each([1_usize, 125, 126, 1300], |&bytes| {
        let payload = text(100 * bytes);
        let parts: Vec<&str> = (0..100)
            .filter_map(|part| std::str::from_utf8(&payload[part * bytes..][..bytes]).ok())
            .collect();
        fragmented(&parts).text(&payload).closes()
    })
}

fn type_of_first_fragment(_: &Setting) -> Vec<Run> {
    one(|| {
        Script::new()
            .frames([Frame::binary([0xFF]).more(), Frame::continuation([0xFE])])
            .binary([0xFF, 0xFE])
            .frames([Frame::text("a").more(), Frame::continuation("b")])
            .text("ab")
            .closes()
    })
}

fn messages_in_a_row(_: &Setting) -> Vec<Run> {
    one(|| {
        Script::new()
            .frames([
                Frame::text("a").more(),
                Frame::continuation("b"),
                Frame::binary("c").more(),
                Frame::continuation("d"),
                Frame::text("e"),
                Frame::text("f").more(),
                Frame::continuation(""),
            ])
            .text("ab")
            .binary("cd")
            .text("e")
            .text("f")
            .closes()
    })
}

fn continuation_of_nothing(_: &Setting) -> Vec<Run> {
    let fin = Frame::continuation("a");
    let frames = [
        ("FIN 1", vec![fin.clone()]),
        ("FIN 0", vec![fin.clone().more()]),
        ("without payload", vec![Frame::new(CONTINUATION, "")]),
    ];
    let first = named(frames.clone(), |frames| {
        Script::new().frames(frames.clone()).fails(&[1002])
    });
    let pieces = named([("byte by byte", ())], |()| {
        Script::new()
            .pieces(1, [Frame::continuation("a")])
            .fails(&[1002])
    });
    let after = named([("after a whole message", ())], |()| {
        Script::new()
            .echo("whole")
            .frame(Frame::continuation("a"))
            .fails(&[1002])
    });
    let after_fragments = named([("after a fragmented message", ())], |()| {
        fragmented(&["a", "b"])
            .text("ab")
            .frame(Frame::continuation("c").more())
            .fails(&[1002])
    });
    first
        .into_iter()
        .chain(pieces)
        .chain(after)
        .chain(after_fragments)
        .collect()
}

fn continuation_first(_: &Setting) -> Vec<Run> {
    named([("FIN 0", true), ("FIN 1", false)], |&more| {
        let first = Frame::continuation("a");
        let first = if more { first.more() } else { first };
        Script::new()
            .frames([first, Frame::text("b").more(), Frame::continuation("c")])
            .fails(&[1002])
    })
}

fn message_inside_message(_: &Setting) -> Vec<Run> {
    let frames = [
        ("text in text", [Frame::text("a").more(), Frame::text("b")]),
        (
            "binary in binary",
            [Frame::binary("a").more(), Frame::binary("b")],
        ),
        (
            "binary in text",
            [Frame::text("a").more(), Frame::binary("b")],
        ),
        (
            "first fragment in text",
            [Frame::text("a").more(), Frame::text("b").more()],
        ),
        (
            "empty text in text",
            [Frame::text("a").more(), Frame::text("")],
        ),
    ];
    named(frames, |frames| {
        Script::new().frames(frames.clone()).fails(&[1002])
    })
}

fn message_before_fault(_: &Setting) -> Vec<Run> {
    one(|| {
        Script::new()
            .frames([
                Frame::text("a").more(),
                Frame::continuation("b"),
                Frame::continuation("c"),
            ])
            .text("ab")
            .fails(&[1002])
    })
}

fn close_code(setting: &Setting) -> Vec<Run> {
    let faults = [continuation_of_nothing, message_inside_message];
    with_code(faults.into_iter().flat_map(|runs| runs(setting)))
}
