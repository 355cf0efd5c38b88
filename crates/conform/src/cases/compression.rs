//! Compressed messages (RFC 7692 §6 and §7.2). A peer that does not agree on permessage-deflate
//! makes the cases not applicable.

use super::payloads::{Kind, text};
use crate::case::{Case, Depth, Run, Setting, each, named, one};
use crate::deflate::{Blocks, Token};
use crate::extension::{ClientWindow, Parameters};
use crate::frame::{BINARY, Frame, TEXT};
use crate::script::{Codes, CompressedRule, Expected, Script};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    // What the peer inflates.
    Case::must("compression/data", "rfc7692-6.2-01",
        "Compressed messages of every kind of data and any length are echoed.", data)
        .old(&["12.1.1-10", "12.2.1-10", "12.3.1-10", "12.4.1-10", "12.5.1-10"]).heavy(),
    Case::must("compression/data-in-fragments", "rfc7692-6.2-01",
        "Compressed messages in fragments of 256 bytes are echoed.", data_in_fragments)
        .old(&["12.1.11-18", "12.2.11-18", "12.3.11-18", "12.4.11-18", "12.5.11-18"]).heavy(),
    Case::must("compression/parameters", "rfc7692-5-22",
        "Compressed messages are echoed whatever parameters were agreed.", parameters)
        .old(&["13.1.1-18", "13.2.1-18", "13.3.1-18", "13.4.1-18", "13.5.1-18", "13.6.1-18", "13.7.1-18"]).heavy(),
    Case::must("compression/any-block", "rfc7692-7.2.1-05",
        "A message is inflated whatever the type of its block: stored, fixed or dynamic.", |_| any_block()),
    Case::must("compression/several-blocks", "rfc7692-7.2.1-04",
        "A message may have several blocks, empty ones too.", |_| several_blocks()),
    Case::must("compression/final-block", "rfc7692-7.2.1-06",
        "A message may end with a block with the BFINAL bit, and another message follows.", |_| final_block()),
    Case::quality("compression/blocks-behind-final", "rfc7692-7.2.1-06",
        "Blocks behind one with the BFINAL bit belong to the message.", |_| blocks_behind_final()),
    Case::must("compression/empty-message", "rfc7692-7.2.1-01",
        "An empty compressed message is echoed.", |_| empty_message()),
    Case::must("compression/uncompressed-message", "rfc7692-6.2-02",
        "Messages without RSV1 are not inflated.", |_| uncompressed_message()),
    Case::must("compression/fragments", "rfc7692-6.2-01",
        "A compressed message may be cut into fragments anywhere, empty ones too.", |_| fragments()),
    Case::must("compression/control-between", "rfc7692-6-01",
        "Control frames between compressed fragments are not compressed, and are answered.", |_| control_between()),
    Case::must("compression/close-between", "rfc7692-6-01",
        "A Close between compressed fragments is answered; the message is not echoed.", |_| close_between()),
    Case::must("compression/takeover-of-server", "rfc7692-7.2.2-06",
        "A server inflates a message that refers to the one before it.", |_| takeover()).server(),
    Case::must("compression/takeover-of-client", "rfc7692-7.2.2-04",
        "A client inflates a message that refers to the one before it.", |_| takeover()).client(),
    Case::must("compression/takeover-over-uncompressed", "rfc7692-7.2.3.2-01",
        "Messages without RSV1 do not change the window.", |_| takeover_over_uncompressed()),
    Case::must("compression/whole-window-of-server", "rfc7692-7.2.2-11",
        "Without a smaller window a server follows references over 32,768 bytes.", |_| whole_window()).server(),
    Case::must("compression/whole-window-of-client", "rfc7692-7.2.2-09",
        "Without a smaller window a client follows references over 32,768 bytes.", |_| whole_window()).client(),
    Case::must("compression/agreed-window-of-server", "rfc7692-7.2.2-10",
        "A server follows references over all of the window that it agreed to.", |_| agreed_windows()).server(),
    Case::must("compression/agreed-window-of-client", "rfc7692-7.2.2-08",
        "A client follows references over all of the window that was agreed.", |_| agreed_windows()).client(),
    // What the peer compresses.
    Case::must("compression/no-takeover-by-server", "rfc7692-7.2.1-13",
        "After server_no_context_takeover no message of the server refers to an earlier one.", |_| peer_no_takeover()).server(),
    Case::must("compression/no-takeover-by-client", "rfc7692-7.2.1-10",
        "After client_no_context_takeover no message of the client refers to an earlier one.", |_| peer_no_takeover()).client(),
    Case::must("compression/window-by-server", "rfc7692-7.2.1-17",
        "No reference of a server is longer than the agreed window, from 2^8 to 2^15 bytes.", |_| peer_windows()).server(),
    Case::must("compression/window-by-client", "rfc7692-7.2.1-15",
        "No reference of a client is longer than the agreed window, from 2^8 to 2^15 bytes.", |_| peer_windows()).client(),
    Case::must("compression/peer-removes-tail", "rfc7692-7.2.1-03",
        "The peer removes 00 00 ff ff from the end of its messages.", |_| peer_removes_tail()),
    Case::must("compression/peer-marks-first-frames", "rfc7692-6.1-03",
        "The peer sets RSV1 in the first frame of a message alone.", |_| peer_marks_first_frames()),
    // What fails the connection.
    Case::must("compression/rsv1-in-continuation", "rfc7692-6.1-04",
        "RSV1 in a continuation frame fails the connection.", |_| rsv1_in_continuation()),
    Case::must("compression/rsv1-in-control", "rfc7692-6.1-04",
        "RSV1 in a control frame fails the connection.", |_| rsv1_in_control()),
    Case::must("compression/other-reserved-bits", "rfc6455-5.2-03",
        "RSV2 and RSV3 fail the connection, with RSV1 and without.", |_| other_reserved_bits()),
    Case::must("compression/corrupt", "rfc7692-7.2.2-02",
        "A message that is no DEFLATE fails the connection.", |_| corrupt()),
    Case::quality("compression/truncated", "rfc7692-7.2.2-02",
        "A message that ends inside a block fails the connection.", |_| truncated()),
    Case::must("compression/not-utf-8", "rfc7692-6.1-06",
        "A text that is not UTF-8 when it is inflated fails the connection.", |_| not_utf8()),
    Case::should("compression/close-code", "rfc6455-7.1.7-03",
        "After a frame or a message that is illegal the peer sends Close 1002 or 1007 first.", |_| close_code()),
    // Limits.
    Case::must("compression/at-message-max", "rfc6455-10.4-02",
        "A compressed message that inflates to the peer's limit is echoed (--message-max).", at_message_max),
    Case::must("compression/past-message-max", "rfc6455-10.4-01",
        "A compressed message that inflates to one byte more than the peer's limit fails the connection (--message-max).",
        past_message_max),
    Case::quality("compression/bomb", "rfc6455-10.4-01",
        "A message of 256 KiB that inflates to 256 MiB fails the connection, and others are served.", |_| bomb()).heavy(),
    Case::quality("compression/many-blocks", "rfc6455-10.4-01",
        "A message of 100,000 empty blocks is echoed or fails the connection, and others are served.", |_| many_blocks()).heavy(),
];

/// The agreement that most peers know: a server may demand a smaller window.
fn agreed() -> Script {
    Script::deflate(Parameters {
        client_max_window_bits: ClientWindow::Absent,
        ..Parameters::default()
    })
}

/// A message in one frame with this payload, RSV1 set.
fn compressed(payload: Vec<u8>) -> Frame {
    Frame::text(payload).rsv(RSV1)
}

fn literals(text: &[u8]) -> Vec<Token> {
    text.iter().map(|&byte| Token::Literal(byte)).collect()
}

fn hello() -> Vec<u8> {
    Blocks::new().fixed(false, &literals(b"Hello")).message()
}

// ---- what the peer inflates ----

fn data(setting: &Setting) -> Vec<Run> {
    let sizes = match setting.depth {
        Depth::Quick => vec![16, 1024, 32 << 10],
        _ => vec![
            16,
            64,
            256,
            1 << 10,
            4 << 10,
            8 << 10,
            16 << 10,
            32 << 10,
            64 << 10,
            128 << 10,
        ],
    };
    of_kinds(setting, &sizes, usize::MAX)
}

fn data_in_fragments(setting: &Setting) -> Vec<Run> {
    let sizes = match setting.depth {
        Depth::Quick => vec![8 << 10],
        _ => vec![8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10],
    };
    of_kinds(setting, &sizes, 256)
}

fn of_kinds(setting: &Setting, sizes: &[usize], fragment_bytes: usize) -> Vec<Run> {
    let count = |size| messages(setting.depth, size);
    let run = |kind: Kind, size: usize| {
        let count = count(size);
        Run::new(format!("{kind}, {size}"), move || {
            exchange(agreed(), kind, size, count, fragment_bytes)
        })
    };
    let kinds = Kind::ALL.into_iter();
    kinds
        .flat_map(|kind| sizes.iter().map(move |&size| run(kind, size)))
        .collect()
}

/// The number of messages of this length: the Autobahn suite sends 1,000.
fn messages(depth: Depth, size: usize) -> usize {
    match depth {
        Depth::Quick => 5,
        Depth::Default => ((1 << 20) / size).clamp(4, 100),
        Depth::Full => 1000,
    }
}

/// Messages one by one, each with other data of a kind.
fn exchange(
    script: Script,
    kind: Kind,
    size: usize,
    count: usize,
    fragment_bytes: usize,
) -> Script {
    let opcode = if kind.is_text() { TEXT } else { BINARY };
    let message = |script: Script, number| {
        let payload = kind.payload(number, size);
        let script = script.compressed(opcode, payload.as_slice(), fragment_bytes);
        match kind.is_text() {
            true => script.text(payload),
            false => script.binary(payload),
        }
    };
    (0..count).fold(script, message).closes()
}

fn parameters(setting: &Setting) -> Vec<Run> {
    let no_takeover = Parameters {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        ..Parameters::default()
    };
    let window = |bits| Parameters {
        server_max_window_bits: Some(bits),
        ..Parameters::default()
    };
    let sets = [
        ("none", Parameters::default()),
        ("no takeover", no_takeover),
        ("windows of 2^9", window(9)),
        ("windows of 2^15", window(15)),
        (
            "no takeover, windows of 2^9",
            Parameters {
                server_max_window_bits: Some(9),
                ..no_takeover
            },
        ),
        (
            "no takeover, windows of 2^15",
            Parameters {
                server_max_window_bits: Some(15),
                ..no_takeover
            },
        ),
        (
            "no takeover by the server",
            Parameters {
                client_no_context_takeover: false,
                ..no_takeover
            },
        ),
    ];
    let sizes = match setting.depth {
        Depth::Quick => vec![4 << 10],
        _ => vec![64, 4 << 10, 64 << 10],
    };
    let depth = setting.depth;
    let run = |(label, parameters): (&'static str, Parameters), size: usize| {
        Run::new(format!("{label}, {size}"), move || {
            let script = Script::deflate(parameters);
            exchange(script, Kind::Words, size, messages(depth, size), usize::MAX)
        })
    };
    let sets = sets.into_iter();
    sets.flat_map(|set| sizes.clone().into_iter().map(move |size| run(set, size)))
        .collect()
}

/// Compressed messages, each of which is "Hello".
fn hellos(payloads: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Vec<Run> {
    named(payloads, |payload| {
        agreed()
            .frame(compressed(payload.clone()))
            .text("Hello")
            .closes()
    })
}

fn any_block() -> Vec<Run> {
    let tokens = literals(b"Hello");
    hellos([
        ("fixed", hello()),
        ("stored", Blocks::new().stored(false, b"Hello").message()),
        ("dynamic", Blocks::new().dynamic(false, &tokens).message()),
    ])
}

fn several_blocks() -> Vec<Run> {
    let (first, second) = (literals(b"Hel"), literals(b"lo"));
    hellos([
        (
            "fixed, fixed",
            Blocks::new()
                .fixed(false, &first)
                .fixed(false, &second)
                .message(),
        ),
        (
            "stored, dynamic",
            Blocks::new()
                .stored(false, b"Hel")
                .dynamic(false, &second)
                .message(),
        ),
        (
            "dynamic, stored",
            Blocks::new()
                .dynamic(false, &first)
                .stored(false, b"lo")
                .message(),
        ),
        (
            "an empty one between",
            Blocks::new()
                .fixed(false, &first)
                .stored(false, b"")
                .fixed(false, &second)
                .message(),
        ),
        (
            "an empty one first",
            Blocks::new()
                .fixed(false, &[])
                .fixed(false, &literals(b"Hello"))
                .message(),
        ),
    ])
}

fn final_block() -> Vec<Run> {
    let payloads = [
        (
            "fixed",
            Blocks::new().fixed(true, &literals(b"Hello")).message(),
        ),
        ("stored", Blocks::new().stored(true, b"Hello").message()),
    ];
    named(payloads, |payload| {
        agreed()
            .frames([compressed(payload.clone()), compressed(hello())])
            .text("Hello")
            .text("Hello")
            .closes()
    })
}

fn blocks_behind_final() -> Vec<Run> {
    let (first, second, all) = (literals(b"Hel"), literals(b"lo"), literals(b"Hello"));
    hellos([
        (
            "one",
            Blocks::new()
                .fixed(true, &first)
                .fixed(false, &second)
                .message(),
        ),
        (
            "another final one",
            Blocks::new()
                .fixed(true, &first)
                .fixed(true, &second)
                .message(),
        ),
        (
            "behind an empty one",
            Blocks::new().stored(true, b"").fixed(false, &all).message(),
        ),
    ])
}

fn empty_message() -> Vec<Run> {
    let payloads = [
        ("stored", Blocks::new().message()),
        ("fixed", Blocks::new().fixed(false, &[]).message()),
        ("final", Blocks::new().fixed(true, &[]).message()),
    ];
    named(payloads, |payload| {
        agreed()
            .frames([compressed(payload.clone()), compressed(hello())])
            .text("")
            .text("Hello")
            .closes()
    })
}

fn uncompressed_message() -> Vec<Run> {
    one(|| {
        agreed()
            .echo("plain")
            .frame(compressed(hello()))
            .text("Hello")
            .echo("plain again")
            .closes()
    })
}

/// A message with this payload in fragments of these lengths; the rest is the last one.
fn cut(payload: &[u8], lengths: &[usize]) -> Vec<Frame> {
    let mut rest = payload;
    let mut frames = Vec::new();
    for (place, &length) in lengths.iter().enumerate() {
        let (part, behind) = rest.split_at(length.min(rest.len()));
        frames.push(match place {
            0 => compressed(part.to_vec()).more(),
            _ => Frame::continuation(part).more(),
        });
        rest = behind;
    }
    frames.push(Frame::continuation(rest));
    frames
}

fn fragments() -> Vec<Run> {
    let cuts: [(&str, &[usize]); 8] = [
        ("after 1 byte", &[1]),
        ("after 2 bytes", &[2]),
        ("after 3 bytes", &[3]),
        ("after 6 bytes", &[6]),
        ("an empty one first", &[0]),
        ("an empty one last", &[7]),
        ("empty ones between", &[3, 0, 0]),
        ("each byte", &[1, 1, 1, 1, 1, 1]),
    ];
    named(cuts, |lengths| {
        agreed()
            .frames(cut(&hello(), lengths))
            .text("Hello")
            .closes()
    })
}

fn control_between() -> Vec<Run> {
    let ping = || {
        let frames = cut(&hello(), &[3]);
        [frames[0].clone(), Frame::ping("ping"), frames[1].clone()]
    };
    vec![
        Run::new("ping", move || {
            agreed().frames(ping()).pong("ping").text("Hello").closes()
        }),
        Run::new("ping, byte by byte", move || {
            agreed()
                .pieces(1, ping())
                .pong("ping")
                .text("Hello")
                .closes()
        }),
        Run::new("pong", || {
            let frames = cut(&hello(), &[3]);
            agreed()
                .frames([frames[0].clone(), Frame::pong("pong"), frames[1].clone()])
                .text("Hello")
                .closes()
        }),
    ]
}

fn close_between() -> Vec<Run> {
    one(|| {
        let first = cut(&hello(), &[3]).remove(0);
        agreed()
            .frames([first, Frame::close(1000, "")])
            .expect(Expected::Close(Codes::Any))
            .expect(Expected::NothingElse)
    })
}

/// "Hello" as a copy of five bytes before the message.
fn hello_again() -> Frame {
    let copy = Token::Copy {
        length: 5,
        distance: 5,
    };
    compressed(Blocks::new().fixed(false, &[copy]).message())
}

fn takeover() -> Vec<Run> {
    one(|| {
        agreed()
            .expect(Expected::WholeWindow)
            .frames([compressed(hello()), hello_again(), hello_again()])
            .text("Hello")
            .text("Hello")
            .text("Hello")
            .closes()
    })
}

fn takeover_over_uncompressed() -> Vec<Run> {
    one(|| {
        agreed()
            .expect(Expected::WholeWindow)
            .frames([compressed(hello()), Frame::text("other"), hello_again()])
            .text("Hello")
            .text("other")
            .text("Hello")
            .closes()
    })
}

fn whole_window() -> Vec<Run> {
    let before = named([("in the message before", ())], |()| {
        let first = Kind::Noise.payload(1, 1 << 15);
        let copy = Token::Copy {
            length: 100,
            distance: 1 << 15,
        };
        let second = Blocks::new().fixed(false, &[copy]).message();
        agreed()
            .expect(Expected::WholeWindow)
            .frame(Frame::binary(Blocks::new().stored(false, &first).message()).rsv(RSV1))
            .binary(&first)
            .frame(Frame::binary(second).rsv(RSV1))
            .binary(&first[..100])
            .closes()
    });
    let within = named([("in the message", ())], |()| {
        agreed()
            .expect(Expected::WholeWindow)
            .expect(Expected::EchoAcrossWindow)
    });
    before.into_iter().chain(within).collect()
}

/// A window for each side, where the peer agrees.
fn windows() -> [(&'static str, Parameters); 8] {
    let bits = |bits| Parameters {
        server_max_window_bits: Some(bits),
        client_max_window_bits: ClientWindow::Bits(bits),
        ..Parameters::default()
    };
    [
        ("2^8", bits(8)),
        ("2^9", bits(9)),
        ("2^10", bits(10)),
        ("2^11", bits(11)),
        ("2^12", bits(12)),
        ("2^13", bits(13)),
        ("2^14", bits(14)),
        ("2^15", bits(15)),
    ]
}

fn agreed_windows() -> Vec<Run> {
    named(windows(), |&parameters| {
        Script::deflate(parameters).expect(Expected::EchoAcrossWindow)
    })
}

// ---- what the peer compresses ----

fn peer_no_takeover() -> Vec<Run> {
    let parameters = Parameters {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        ..Parameters::default()
    };
    let rule: CompressedRule = |agreed, messages| {
        let reach = messages.iter().map(|message| message.reach).max();
        match reach {
            Some(1..) if !agreed.takes_over => Err(format!(
                "a message of the peer refers to {} bytes before itself",
                reach.unwrap_or_default()
            )),
            _ => Ok(()),
        }
    };
    named([("", (parameters, rule))], |&(parameters, rule)| {
        let payload = text(500);
        let echo = |script: Script, _| {
            script
                .compressed(TEXT, payload.as_slice(), usize::MAX)
                .text(&payload)
        };
        (0..3)
            .fold(Script::deflate(parameters), echo)
            .expect(Expected::Compressed(rule))
            .closes()
    })
}

fn peer_windows() -> Vec<Run> {
    named(windows(), |&parameters| {
        let rule: CompressedRule = |agreed, messages| {
            let longest = messages.iter().map(|message| message.distance_max).max();
            let window = 1 << agreed.window_bits;
            match longest {
                Some(distance) if distance > window => Err(format!(
                    "a message of the peer refers over {distance} bytes; the window has {window}"
                )),
                _ => Ok(()),
            }
        };
        // Noise comes again at each distance around a window, so that a compressor refers to it.
        let echo = |script: Script, size: usize| {
            let noise = Kind::Noise.payload(size, size);
            let payload = [noise.as_slice(), &noise].concat();
            script
                .compressed(BINARY, payload.as_slice(), usize::MAX)
                .binary(payload)
        };
        [250, 300, 600, 1200, 2500, 5000, 10_000, 20_000]
            .into_iter()
            .fold(Script::deflate(parameters), echo)
            .expect(Expected::Compressed(rule))
            .closes()
    })
}

fn peer_removes_tail() -> Vec<Run> {
    let rule: CompressedRule = |_, messages| match messages.iter().any(|message| message.has_tail) {
        true => Err("a message of the peer ends with 00 00 ff ff".to_owned()),
        false => Ok(()),
    };
    named([("", rule)], |&rule| {
        let payload = text(500);
        agreed()
            .compressed(TEXT, payload.as_slice(), usize::MAX)
            .text(&payload)
            .expect(Expected::Compressed(rule))
            .closes()
    })
}

fn peer_marks_first_frames() -> Vec<Run> {
    one(|| {
        let payload = Kind::Noise.payload(0, 200 << 10);
        agreed()
            .compressed(BINARY, payload.as_slice(), 1 << 10)
            .frame(Frame::ping("ping"))
            .binary(payload)
            .pong("ping")
            .closes()
    })
}

// ---- what fails the connection ----

fn rsv1_in_continuation() -> Vec<Run> {
    named(
        [("of a compressed message", RSV1), ("of another message", 0)],
        |&rsv| {
            let payload = if rsv == RSV1 {
                hello()
            } else {
                b"Hello".to_vec()
            };
            let first = Frame::text(&payload[..3]).rsv(rsv).more();
            agreed()
                .frames([first, Frame::continuation(&payload[3..]).rsv(RSV1)])
                .fails(&[1002])
        },
    )
}

fn rsv1_in_control() -> Vec<Run> {
    let frames = [
        ("ping", Frame::ping("ping")),
        ("pong", Frame::pong("pong")),
        ("Close", Frame::close(1000, "")),
    ];
    named(frames, |frame| {
        agreed().frame(frame.clone().rsv(RSV1)).fails_by(&[1002])
    })
}

fn other_reserved_bits() -> Vec<Run> {
    each(["001", "010", "011", "101", "110", "111"], |bits| {
        let bits = u8::from_str_radix(bits, 2).unwrap_or_default();
        agreed().frame(compressed(hello()).rsv(bits)).fails(&[1002])
    })
}

fn corrupt() -> Vec<Run> {
    let copy = Token::Copy {
        length: 3,
        distance: 9,
    };
    let payloads = [
        ("a block of type 3", Blocks::new().bits(0b110, 3).message()),
        (
            "lengths that do not match",
            vec![
                0x00, 0x05, 0x00, 0x00, 0x00, b'H', b'e', b'l', b'l', b'o', 0x00,
            ],
        ),
        (
            "a distance before the first byte",
            Blocks::new().fixed(false, &[copy]).message(),
        ),
        (
            "a reserved length",
            Blocks::new()
                .bits(0b010, 3)
                .bits(0b0110_0011, 8)
                .bits(0, 5)
                .message(),
        ),
        (
            "a code with too many symbols",
            Blocks::new()
                .bits(0b100, 3)
                .bits(0, 14)
                .bits(0b001_001_001_001, 12)
                .message(),
        ),
        (
            "behind a good block",
            Blocks::new()
                .fixed(false, &literals(b"Hello"))
                .bits(0b110, 3)
                .message(),
        ),
    ];
    named(payloads, |payload| {
        agreed()
            .frame(compressed(payload.clone()))
            .fails(&[1002, 1003, 1007])
    })
}

fn truncated() -> Vec<Run> {
    let literals = literals(b"Hello Hello Hello");
    let half = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    let payloads = [
        (
            "fixed",
            half(Blocks::new().fixed(true, &literals).into_bytes()),
        ),
        (
            "stored",
            half(Blocks::new().stored(false, &[b'a'; 1000]).into_bytes()),
        ),
    ];
    named(payloads, |payload| {
        agreed()
            .frame(compressed(payload.clone()))
            .fails(&[1002, 1003, 1007])
    })
}

fn not_utf8() -> Vec<Run> {
    let texts: [(_, &[u8]); 3] = [
        ("an impossible byte", b"He\xFFllo"),
        ("a surrogate", b"\xED\xA0\x80"),
        ("a character that is cut off", b"Hello\xC3"),
    ];
    named(texts, |text| {
        let payload = Blocks::new().fixed(false, &literals(text)).message();
        agreed().frame(compressed(payload)).fails(&[1007])
    })
}

fn close_code() -> Vec<Run> {
    let faults = [
        rsv1_in_continuation(),
        other_reserved_bits(),
        corrupt(),
        not_utf8(),
    ];
    crate::case::with_code(faults.into_iter().flatten())
}

// ---- limits ----

/// Without the option there is nothing to run.
fn with_max(setting: &Setting, more: usize, end: fn(Script, &[u8]) -> Script) -> Vec<Run> {
    let length = setting.message_bytes_max.map(|max| max + more);
    let run = move |length| {
        Run::new("", move || {
            let payload = text(length);
            end(
                agreed().compressed(TEXT, payload.as_slice(), usize::MAX),
                &payload,
            )
        })
    };
    length.into_iter().map(run).collect()
}

fn at_message_max(setting: &Setting) -> Vec<Run> {
    with_max(setting, 0, |script, payload| script.text(payload).closes())
}

fn past_message_max(setting: &Setting) -> Vec<Run> {
    with_max(setting, 1, |script, _| script.fails(&[1009]))
}

fn bomb() -> Vec<Run> {
    one(|| {
        let mut tokens = vec![Token::Literal(0)];
        let copy = Token::Copy {
            length: 258,
            distance: 1,
        };
        tokens.resize(1 << 20, copy);
        let payload = Blocks::new().dynamic(false, &tokens).message();
        agreed()
            .frame(Frame::binary(payload).rsv(RSV1))
            .fails(&[])
            .expect(Expected::FreshConnection)
    })
}

fn many_blocks() -> Vec<Run> {
    let message = |is_final| {
        let blocks = (0..100_000).fold(Blocks::new(), |blocks, _| blocks.stored(is_final, b""));
        compressed(blocks.fixed(false, &literals(b"Hello")).message())
    };
    vec![
        Run::new("not final", move || {
            agreed()
                .frame(message(false))
                .expect(Expected::MessageOrFailure {
                    is_binary: false,
                    payload: b"Hello".to_vec(),
                })
                .expect(Expected::FreshConnection)
        }),
        // What an implementation makes of blocks behind a final one is another case.
        Run::new("final", move || {
            agreed()
                .frame(message(true))
                .expect(Expected::FreshConnection)
        }),
    ]
}

const RSV1: u8 = 4;
