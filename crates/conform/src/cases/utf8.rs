//! UTF-8 in text messages (RFC 6455 §5.6, §8.1; RFC 3629).
//!
//! ```text
//!   U+0000  to U+007F     0xxxxxxx
//!   U+0080  to U+07FF     110xxxxx 10xxxxxx
//!   U+0800  to U+FFFF     1110xxxx 10xxxxxx 10xxxxxx             not U+D800 to U+DFFF
//!   U+10000 to U+10FFFF   11110xxx 10xxxxxx 10xxxxxx 10xxxxxx
//! ```

use crate::case::{Case, Run, Setting, named, one, with_code};
use crate::frame::Frame;
use crate::script::Script;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::must("utf8/valid", "rfc6455-5.6-01",
        "Characters of every length are accepted, the first and the last of each length too.", valid)
        .old(&["6.1.1", "6.2.1", "6.5.1", "6.6.2", "6.6.5", "6.6.7", "6.6.9", "6.6.11", "6.7.1-4", "6.9.1-4",
            "6.11.1-4", "6.23.1-7"]),
    Case::must("utf8/noncharacters", "rfc6455-5.6-01",
        "Noncharacters such as U+FFFE are valid UTF-8.", noncharacters).old(&["6.22.1-34"]),
    Case::must("utf8/cut-inside-character", "rfc6455-5.6-01",
        "Fragments and segments may be cut inside a character.", cut_inside_character).old(&["6.2.2-4", "6.5.2-5"]),
    Case::must("utf8/control-inside-character", "rfc6455-5.4-09",
        "A ping may stand between two fragments that cut a character.", control_inside_character),
    Case::must("utf8/binary-is-not-checked", "rfc6455-6.2-05",
        "Binary messages may have any bytes.", binary_is_not_checked),
    Case::must("utf8/unexpected-continuation", "rfc6455-8.1-01",
        "Continuation bytes without a start fail the connection.", |_| invalid(UNEXPECTED_CONTINUATION)).old(&["6.12.1-8"]),
    Case::must("utf8/missing-continuation", "rfc6455-8.1-01",
        "A start byte that a continuation byte does not follow fails the connection.", |_| invalid(MISSING_CONTINUATION))
        .old(&["6.13.1-5"]),
    Case::must("utf8/truncated", "rfc6455-8.1-01",
        "A message that ends inside a character fails the connection.", |_| truncated())
        .old(&["6.6.1", "6.6.3-4", "6.6.6", "6.6.8", "6.6.10", "6.14.1-10", "6.15.1"]),
    Case::must("utf8/across-messages", "rfc6455-8.1-01",
        "A character that begins in one message and ends in the next fails the connection.", |_| across_messages()),
    Case::must("utf8/impossible-bytes", "rfc6455-8.1-01",
        "The bytes 0xFE and 0xFF fail the connection.", |_| invalid(IMPOSSIBLE)).old(&["6.16.1-3"]),
    Case::must("utf8/overlong", "rfc6455-8.1-01",
        "A character in more bytes than it needs fails the connection.", |_| invalid(OVERLONG)).old(&["6.17.1-5", "6.18.1-5"]),
    Case::must("utf8/overlong-nul", "rfc6455-8.1-01",
        "U+0000 in more than one byte fails the connection.", |_| invalid(OVERLONG_NUL)).old(&["6.19.1-5"]),
    Case::must("utf8/surrogates", "rfc6455-8.1-01",
        "Surrogates fail the connection, single ones and pairs.", |_| invalid(SURROGATES)).old(&["6.20.1-7", "6.21.1-8"]),
    Case::must("utf8/beyond-10ffff", "rfc6455-8.1-01",
        "Four bytes beyond U+10FFFF fail the connection.", |_| invalid(BEYOND)).old(&["6.10.1", "6.11.5"]),
    Case::must("utf8/five-and-six-bytes", "rfc6455-8.1-01",
        "Sequences of five and six bytes fail the connection.", |_| invalid(FIVE_AND_SIX)).old(&["6.8.1-2", "6.10.2-3"]),
    Case::must("utf8/invalid-in-fragments", "rfc6455-8.1-01",
        "Text that is invalid as a whole fails the connection, however it is fragmented.", |_| invalid_in_fragments())
        .old(&["6.3.1-2"]),
    Case::quality("utf8/fail-fast-frame", "rfc6455-8.1-01",
        "An invalid fragment fails the connection before the message is whole.", |_| fail_fast_frame()).old(&["6.4.1-2"]),
    Case::quality("utf8/fail-fast-segment", "rfc6455-8.1-01",
        "Invalid bytes fail the connection before the frame is whole.", |_| fail_fast_segment()).old(&["6.4.3-4"]),
    Case::should("utf8/close-code", "rfc6455-7.4.1-05",
        "After invalid text the peer sends Close 1007 first.", close_code),
];

/// Greek and Latin letters of one to three bytes, and one of four.
const SENTENCE: &str = "κόσμε Hello-µ@ßöäüàá-UTF-8!! 山彦 𐎠";

fn valid(_: &Setting) -> Vec<Run> {
    let texts = [
        ("empty", String::new()),
        ("sentence", SENTENCE.to_owned()),
        (
            "first of each length",
            "\0\u{80}\u{800}\u{10000}".to_owned(),
        ),
        (
            "last of each length",
            "\u{7F}\u{7FF}\u{FFFF}\u{10FFFF}".to_owned(),
        ),
        ("around the surrogates", "\u{D7FF}\u{E000}".to_owned()),
        (
            "specials",
            "\u{FFF9}\u{FFFA}\u{FFFB}\u{FFFC}\u{FFFD}".to_owned(),
        ),
        ("byte order mark", "\u{FEFF}a".to_owned()),
        ("NUL inside", "a\0b".to_owned()),
    ];
    let prefixes = SENTENCE.char_indices().map(|(end, _)| {
        let prefix = &SENTENCE[..end];
        Run::new(format!("prefix of {end} bytes"), move || {
            Script::new().echo(prefix).closes()
        })
    });
    named(texts, |text| Script::new().echo(text).closes())
        .into_iter()
        .chain(prefixes)
        .collect()
}

fn noncharacters(_: &Setting) -> Vec<Run> {
    let planes = (0..=0x10_u32).flat_map(|plane| [plane << 16 | 0xFFFE, plane << 16 | 0xFFFF]);
    let characters = planes.chain(0xFDD0..=0xFDEF).filter_map(char::from_u32);
    let script = |character: char| Script::new().echo(character.to_string()).closes();
    characters
        .map(|character| {
            Run::new(format!("U+{:04X}", u32::from(character)), move || {
                script(character)
            })
        })
        .collect()
}

fn cut_inside_character(_: &Setting) -> Vec<Run> {
    vec![
        Run::new("a fragment for each byte", || {
            fragments_of_one(SENTENCE.as_bytes())
                .text(SENTENCE)
                .closes()
        }),
        Run::new("a write for each byte", || {
            Script::new()
                .pieces(1, [Frame::text(SENTENCE)])
                .text(SENTENCE)
                .closes()
        }),
        Run::new("both", || {
            let frames = single_bytes(SENTENCE.as_bytes());
            Script::new().pieces(1, frames).text(SENTENCE).closes()
        }),
        Run::new("an empty fragment inside", || {
            let (first, rest) = "κ".as_bytes().split_at(1);
            let frames = [
                Frame::text(first).more(),
                Frame::continuation("").more(),
                Frame::continuation(rest),
            ];
            Script::new().frames(frames).text("κ").closes()
        }),
    ]
}

fn fragments_of_one(payload: &[u8]) -> Script {
    Script::new().frames(single_bytes(payload))
}

/// A fragment for each byte, and an empty one at the end.
fn single_bytes(payload: &[u8]) -> Vec<Frame> {
    let fragment = |(index, byte): (usize, &u8)| match index {
        0 => Frame::text([*byte]).more(),
        _ => Frame::continuation([*byte]).more(),
    };
    let end = [Frame::continuation("")];
    payload
        .iter()
        .enumerate()
        .map(fragment)
        .chain(end)
        .collect()
}

fn control_inside_character(_: &Setting) -> Vec<Run> {
    one(|| {
        let (first, rest) = "山".as_bytes().split_at(2);
        Script::new()
            .frames([
                Frame::text(first).more(),
                Frame::ping([0xFF]),
                Frame::continuation(rest),
            ])
            .pong([0xFF])
            .text("山")
            .closes()
    })
}

fn binary_is_not_checked(_: &Setting) -> Vec<Run> {
    one(|| {
        let payload: Vec<u8> = (0..=255).rev().collect();
        Script::new()
            .frame(Frame::binary(&payload))
            .binary(&payload)
            .frames([Frame::binary([0xC0]).more(), Frame::continuation([0xFF])])
            .binary([0xC0, 0xFF])
            .closes()
    })
}

type Sequences = &'static [(&'static str, &'static [u8])];

#[rustfmt::skip]
const UNEXPECTED_CONTINUATION: Sequences = &[
    ("80", b"\x80"), ("BF", b"\xBF"), ("80 BF", b"\x80\xBF"), ("80 BF 80", b"\x80\xBF\x80"),
    ("80 BF 80 BF", b"\x80\xBF\x80\xBF"), ("after a character", b"\xC2\x80\x80"), ("between letters", b"a\x9Fb"),
    ("81 to BE", b"\x81\x8F\x90\xA0\xB0\xBE"),
];
#[rustfmt::skip]
const MISSING_CONTINUATION: Sequences = &[
    ("C2 and a space", b"\xC2 "), ("DF and a space", b"\xDF "), ("E1 and a space", b"\xE1 "), ("EF BF and a space", b"\xEF\xBF "),
    ("F1 80 80 and a space", b"\xF1\x80\x80 "), ("F4 and a space", b"\xF4 "), ("two starts", b"\xC2\xC2\x80"),
    ("a start inside a character", b"\xE1\x80\xE1\x80\x80"),
];
#[rustfmt::skip]
const TRUNCATED: Sequences = &[
    ("1 of 2", b"\xDF"), ("1 of 3", b"\xE1"), ("2 of 3", b"\xEF\xBF"), ("1 of 4", b"\xF1"), ("2 of 4", b"\xF1\x80"),
    ("3 of 4", b"\xF4\x8F\xBF"), ("after letters", b"abc\xC3"), ("2 of 5", b"\xF8\x88"), ("several", b"\xC3\xE1\x80\xF1\x80\x80"),
];
#[rustfmt::skip]
const IMPOSSIBLE: Sequences = &[
    ("FE", b"\xFE"), ("FF", b"\xFF"), ("FE FE FF FF", b"\xFE\xFE\xFF\xFF"), ("between letters", b"a\xFFb"),
];
#[rustfmt::skip]
const OVERLONG: Sequences = &[
    ("a slash in 2", b"\xC0\xAF"), ("a slash in 3", b"\xE0\x80\xAF"), ("a slash in 4", b"\xF0\x80\x80\xAF"),
    ("U+007F in 2", b"\xC1\xBF"), ("U+07FF in 3", b"\xE0\x9F\xBF"), ("U+FFFF in 4", b"\xF0\x8F\xBF\xBF"),
    ("a slash in 5", b"\xF8\x80\x80\x80\xAF"), ("a slash in 6", b"\xFC\x80\x80\x80\x80\xAF"),
    ("U+1FFFFF in 5", b"\xF8\x87\xBF\xBF\xBF"), ("U+3FFFFFF in 6", b"\xFC\x83\xBF\xBF\xBF\xBF"),
];
#[rustfmt::skip]
const OVERLONG_NUL: Sequences = &[
    ("in 2", b"\xC0\x80"), ("in 3", b"\xE0\x80\x80"), ("in 4", b"\xF0\x80\x80\x80"), ("in 5", b"\xF8\x80\x80\x80\x80"),
    ("in 6", b"\xFC\x80\x80\x80\x80\x80"),
];
#[rustfmt::skip]
const SURROGATES: Sequences = &[
    ("U+D800", b"\xED\xA0\x80"), ("U+DB7F", b"\xED\xAD\xBF"), ("U+DB80", b"\xED\xAE\x80"), ("U+DBFF", b"\xED\xAF\xBF"),
    ("U+DC00", b"\xED\xB0\x80"), ("U+DF80", b"\xED\xBE\x80"), ("U+DFFF", b"\xED\xBF\xBF"),
    ("U+D800 U+DC00", b"\xED\xA0\x80\xED\xB0\x80"), ("U+D800 U+DFFF", b"\xED\xA0\x80\xED\xBF\xBF"),
    ("U+DBFF U+DC00", b"\xED\xAF\xBF\xED\xB0\x80"), ("U+DBFF U+DFFF", b"\xED\xAF\xBF\xED\xBF\xBF"),
    ("after a sentence", b"\xCE\xBA\xE1\xBD\xB9\xED\xA0\x80edited"),
];
const BEYOND: Sequences = &[
    ("U+110000", b"\xF4\x90\x80\x80"),
    ("U+13FFFF", b"\xF4\xBF\xBF\xBF"),
    ("U+140000", b"\xF5\x80\x80\x80"),
    ("U+1FFFFF", b"\xF7\xBF\xBF\xBF"),
];
const FIVE_AND_SIX: Sequences = &[
    ("first of 5", b"\xF8\x88\x80\x80\x80"),
    ("last of 5", b"\xFB\xBF\xBF\xBF\xBF"),
    ("first of 6", b"\xFC\x84\x80\x80\x80\x80"),
    ("last of 6", b"\xFD\xBF\xBF\xBF\xBF\xBF"),
];

/// Each sequence as a message of its own.
fn invalid(sequences: Sequences) -> Vec<Run> {
    named(sequences.iter().copied(), |payload| {
        Script::new().frame(Frame::text(payload)).fails(&[1007])
    })
}

/// The sequences, and each prefix of a sentence that ends inside a character.
fn truncated() -> Vec<Run> {
    let ends = (1..SENTENCE.len()).filter(|&end| !SENTENCE.is_char_boundary(end));
    let prefixes = ends.map(|end| {
        let prefix = &SENTENCE.as_bytes()[..end];
        Run::new(format!("prefix of {end} bytes"), move || {
            Script::new().frame(Frame::text(prefix)).fails(&[1007])
        })
    });
    invalid(TRUNCATED).into_iter().chain(prefixes).collect()
}

fn across_messages() -> Vec<Run> {
    one(|| {
        Script::new()
            .frames([Frame::text([0xC3]), Frame::text([0xA4])])
            .fails(&[1007])
    })
}

fn invalid_in_fragments() -> Vec<Run> {
    const PAYLOAD: &[u8] = b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xED\xA0\x80edited";
    vec![
        Run::new("a fragment for each byte", || {
            fragments_of_one(PAYLOAD).fails(&[1007])
        }),
        Run::new("an overlong slash in two fragments", || {
            Script::new()
                .frames([Frame::text([0xC0]).more(), Frame::continuation([0xAF])])
                .fails(&[1007])
        }),
        Run::new("the end missing in the last fragment", || {
            Script::new()
                .frames([Frame::text("a").more(), Frame::continuation([0xC3])])
                .fails(&[1007])
        }),
        Run::new("in the second fragment, with a ping before", || {
            Script::new()
                .frames([Frame::text([0xE5]).more(), Frame::ping("a")])
                .pong("a")
                .frame(Frame::continuation([0xE5, 0xB1]))
                .fails(&[1007])
        }),
    ]
}

fn fail_fast_frame() -> Vec<Run> {
    vec![
        Run::new("second fragment", || {
            Script::new()
                .frame(Frame::text("κόσμε").more())
                .frame(Frame::continuation([0xF4, 0x90, 0x80, 0x80]).more())
                .fails(&[1007])
        }),
        Run::new("first byte that cannot be", || {
            Script::new()
                .frame(Frame::text([b'a', 0xF5]).more())
                .fails(&[1007])
        }),
    ]
}

const AND_MORE: &[u8] = b" and more text";

/// The end of the frame is never sent.
fn fail_fast_segment() -> Vec<Run> {
    named(
        [
            ("F4 90 of a longer frame", &[0xF4_u8, 0x90][..]),
            ("FF of a longer frame", &[0xFF]),
        ],
        |bytes| {
            let payload = [b"text ", *bytes, AND_MORE].concat();
            Script::new()
                .part(Frame::text(&payload), AND_MORE.len())
                .fails(&[1007])
        },
    )
}

fn close_code(_: &Setting) -> Vec<Run> {
    let sequences = [
        UNEXPECTED_CONTINUATION,
        MISSING_CONTINUATION,
        IMPOSSIBLE,
        OVERLONG,
        OVERLONG_NUL,
        SURROGATES,
        BEYOND,
        FIVE_AND_SIX,
    ];
    let invalid = sequences.into_iter().flat_map(invalid);
    with_code(
        invalid
            .chain(truncated())
            .chain(across_messages())
            .chain(invalid_in_fragments()),
    )
}
