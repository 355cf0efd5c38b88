//! The first inputs of the fuzzer: for each target some named inputs that show rules of RFC 6455.
//! This command writes the files in `fuzz/seeds/` from this list; do not edit them:
//!
//! ```text
//! TEST_WRITE_SEEDS=1 cargo test --test fuzz_seeds
//! ```
//!
//! A file whose name begins with `found-` is not in this list: the fuzzer found it, and it is kept
//! as a regression test.

use super::Role;
use super::wire::{
    BINARY, CLOSE, CONTINUATION, LengthForm, PING, PONG, RESERVED_OPCODES, RFC_KEY, TEXT, WireFrame,
};

/// One file: `fuzz/seeds/<target>/<name>`.
#[derive(Debug)]
pub struct Seed {
    pub target: &'static str,
    pub name: String,
    pub input: Vec<u8>,
}

/// All seeds.
pub fn catalogue() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (role, target) in [
        (Role::Server, "connection_server"),
        (Role::Client, "connection_client"),
    ] {
        for (name, limits, lengths, frames) in sessions() {
            let wire: Vec<u8> = frames.into_iter().flat_map(|f| f.bytes_to(role)).collect();
            let input = with_lengths(&[limits], lengths, &wire);
            seeds.push(Seed {
                target,
                name: name.to_owned(),
                input,
            });
        }
    }
    seeds.extend(frame_decoder_seeds());
    seeds.extend(utf8_seeds());
    seeds.extend(round_trip_seeds());
    seeds.extend(request_seeds());
    seeds.extend(response_seeds());
    seeds.extend(negotiation_seeds());
    let http = super::http_requests::seeds::seeds();
    seeds.extend(http.map(|(name, input)| seed("http_requests", name, input)));
    let inflate = super::inflate::seeds().into_iter();
    seeds.extend(inflate.map(|(name, input)| seed("inflate", name, input)));
    let pieces = super::pieces::seeds().into_iter();
    seeds.extend(pieces.map(|(name, input)| seed("pieces", name, input)));
    let proxy = super::proxy_header::seeds().into_iter();
    seeds.extend(proxy.map(|(name, input)| seed("proxy_header", name, input)));
    let messages = super::pusher::messages_seeds().into_iter();
    seeds.extend(messages.map(|(name, input)| seed("pusher_messages", name, input)));
    let requests = super::pusher::api_seeds().into_iter();
    seeds.extend(requests.map(|(name, input)| seed("pusher_api", name, input)));
    seeds.extend(super::resume::seeds().map(|(name, input)| seed("resume", &name, input)));
    seeds.extend(super::fan_out::seeds::seeds().map(|(name, input)| seed("fan_out", name, input)));
    seeds
}

fn seed(target: &'static str, name: &str, input: Vec<u8>) -> Seed {
    Seed {
        target,
        name: name.to_owned(),
        input,
    }
}

/// `head | n | n lengths | input`, the layout of `properties/mod.rs`.
fn with_lengths(head: &[u8], lengths: &[u8], input: &[u8]) -> Vec<u8> {
    [head, &[lengths.len() as u8], lengths, input].concat()
}

const WHOLE: &[u8] = &[];
const BYTE_BY_BYTE: &[u8] = &[1];
const UNEVEN: &[u8] = &[3, 1, 4, 1, 5, 0, 9, 2, 6];

/// The selectors of `limits_of`.
const DEFAULT: u8 = 0;
const SMALL: u8 = 1;
const TINY: u8 = 2;

// ── Sessions ────────────────────────────────────────────────────────────────

/// A frame of a session, for either role.
enum Piece {
    Frame(WireFrame),
    /// Masked for the wrong role.
    WronglyMasked(WireFrame),
    /// A header with a length in this form, and no payload.
    Header(WireFrame, LengthForm, u64),
    /// The first bytes of a header with a length in this form.
    Front(usize, WireFrame, LengthForm, u64),
    Bytes(&'static [u8]),
}

impl Piece {
    fn bytes_to(self, receiver: Role) -> Vec<u8> {
        let mask = |frame: WireFrame, mask: bool| {
            if mask { frame.masked(RFC_KEY) } else { frame }
        };
        let to_server = receiver == Role::Server;
        match self {
            Piece::Frame(frame) => mask(frame, to_server).bytes(),
            Piece::WronglyMasked(frame) => mask(frame, !to_server).bytes(),
            Piece::Header(frame, form, length) => {
                mask(frame, to_server).header_claiming(form, length)
            }
            Piece::Front(bytes, frame, form, length) => {
                let mut front = mask(frame, to_server).header_claiming(form, length);
                front.truncate(bytes);
                front
            }
            Piece::Bytes(bytes) => bytes.to_vec(),
        }
    }
}

fn frame(opcode: u8, payload: impl AsRef<[u8]>) -> Piece {
    Piece::Frame(WireFrame::new(opcode, payload))
}

fn begins(opcode: u8, payload: impl AsRef<[u8]>) -> Piece {
    Piece::Frame(WireFrame::new(opcode, payload).unfinished())
}

fn header(opcode: u8, form: LengthForm, length: u64) -> Piece {
    Piece::Header(WireFrame::new(opcode, b""), form, length)
}

fn front(bytes: usize, opcode: u8, form: LengthForm, length: u64) -> Piece {
    Piece::Front(bytes, WireFrame::new(opcode, b""), form, length)
}

fn close(code: u16, reason: impl AsRef<[u8]>) -> Piece {
    Piece::Frame(WireFrame::close(code, reason))
}

type Session = (&'static str, u8, &'static [u8], Vec<Piece>);

fn sessions() -> Vec<Session> {
    let mut sessions = lawful_sessions();
    sessions.extend(offences());
    sessions
}

fn lawful_sessions() -> Vec<Session> {
    let hello = || {
        vec![
            frame(TEXT, "Hello"),
            begins(TEXT, "Hel"),
            frame(CONTINUATION, "lo"),
            frame(PING, "Hello"),
            frame(PONG, "Hello"),
            frame(BINARY, [0; 256]),
        ]
    };
    let pings_between = || {
        vec![
            begins(TEXT, "\u{20ac}".as_bytes().split_at(1).0),
            frame(PING, "between"),
            begins(CONTINUATION, "\u{20ac}".as_bytes().split_at(1).1),
            frame(PONG, b"\xff"),
            frame(CONTINUATION, "end"),
            close(1000, "bye"),
        ]
    };
    vec![
        ("examples-of-section-5.7", DEFAULT, WHOLE, hello()),
        ("examples-byte-by-byte", DEFAULT, BYTE_BY_BYTE, hello()),
        ("examples-uneven", DEFAULT, UNEVEN, hello()),
        ("control-between-fragments", DEFAULT, WHOLE, pings_between()),
        (
            "control-between-fragments-byte-by-byte",
            DEFAULT,
            BYTE_BY_BYTE,
            pings_between(),
        ),
        (
            "empty-frames",
            TINY,
            UNEVEN,
            vec![frame(TEXT, ""), frame(BINARY, ""), frame(PING, "")],
        ),
        (
            "empty-fragments",
            SMALL,
            BYTE_BY_BYTE,
            vec![
                begins(TEXT, ""),
                begins(CONTINUATION, ""),
                frame(CONTINUATION, ""),
            ],
        ),
        (
            "lengths-at-the-borders",
            DEFAULT,
            &[7, 126, 1],
            vec![
                frame(BINARY, [1; 125]),
                frame(BINARY, [2; 126]),
                frame(BINARY, [3; 127]),
            ],
        ),
        (
            "message-at-the-limit",
            SMALL,
            UNEVEN,
            vec![
                frame(TEXT, [b'x'; 64]),
                begins(TEXT, [b'x'; 32]),
                frame(CONTINUATION, [b'x'; 32]),
            ],
        ),
        (
            "fragments-at-the-limit",
            SMALL,
            UNEVEN,
            vec![
                begins(BINARY, "1"),
                begins(CONTINUATION, "2"),
                begins(CONTINUATION, "3"),
                frame(CONTINUATION, "4"),
            ],
        ),
        (
            "more-pings-than-replies-may-hold",
            SMALL,
            UNEVEN,
            (0..9).map(|i| frame(PING, [b'0' + i; 40])).collect(),
        ),
        (
            "small-ping-behind-one-that-waits",
            SMALL,
            WHOLE,
            vec![
                frame(PING, [b'a'; 105]),
                frame(PING, [b'b'; 92]),
                frame(PING, "newest"),
            ],
        ),
        (
            "characters-of-each-length",
            DEFAULT,
            &[1, 2, 3],
            vec![frame(
                TEXT,
                "a\u{e9}\u{20ac}\u{1f600}\u{10ffff}\u{d7ff}\u{e000}",
            )],
        ),
        ("close-empty", DEFAULT, UNEVEN, vec![frame(CLOSE, "")]),
        (
            "close-4999",
            DEFAULT,
            UNEVEN,
            vec![close(4999, "さようなら")],
        ),
        (
            "data-after-close",
            DEFAULT,
            UNEVEN,
            vec![
                close(1001, ""),
                frame(TEXT, "late"),
                frame(PING, ""),
                Piece::Bytes(b"\xff\xff"),
            ],
        ),
        (
            "close-inside-a-message",
            DEFAULT,
            WHOLE,
            vec![begins(TEXT, "a"), close(1001, "")],
        ),
        (
            "unfinished-header",
            DEFAULT,
            WHOLE,
            vec![Piece::Bytes(b"\x82\xff\x00\x00")],
        ),
        (
            "claim-within-the-limit",
            DEFAULT,
            WHOLE,
            vec![
                header(BINARY, LengthForm::Bits64, 1 << 20),
                Piece::Bytes(b"a few bytes"),
            ],
        ),
        (
            "ping-cut-behind-its-header",
            DEFAULT,
            &[6, 2],
            vec![frame(PING, "Hello"), frame(PONG, "Hello")],
        ),
    ]
}

/// One session for each rule that a peer may break.
fn offences() -> Vec<Session> {
    let (bits16, bits64) = (LengthForm::Bits16, LengthForm::Bits64);
    let reserved = |opcode: u8| vec![frame(opcode, "")];
    let rsv = |rsv: u8| vec![Piece::Frame(WireFrame::new(TEXT, "a").rsv(rsv))];
    let text = |bytes: &'static [u8]| vec![frame(TEXT, bytes)];
    vec![
        (
            "mask-wrong",
            DEFAULT,
            UNEVEN,
            vec![Piece::WronglyMasked(WireFrame::new(TEXT, "Hello"))],
        ),
        ("rsv1", DEFAULT, UNEVEN, rsv(0b100)),
        ("rsv2", DEFAULT, UNEVEN, rsv(0b010)),
        ("rsv3", DEFAULT, UNEVEN, rsv(0b001)),
        ("opcode-3", DEFAULT, UNEVEN, reserved(RESERVED_OPCODES[0])),
        ("opcode-b", DEFAULT, UNEVEN, reserved(RESERVED_OPCODES[5])),
        (
            "length-not-minimal-16",
            DEFAULT,
            UNEVEN,
            vec![header(TEXT, bits16, 125)],
        ),
        (
            "length-not-minimal-64",
            DEFAULT,
            UNEVEN,
            vec![header(TEXT, bits64, 65_535)],
        ),
        (
            "length-with-top-bit",
            DEFAULT,
            UNEVEN,
            vec![header(TEXT, bits64, 1 << 63)],
        ),
        (
            "length-2-to-the-62",
            DEFAULT,
            UNEVEN,
            vec![header(BINARY, bits64, 1 << 62)],
        ),
        (
            "message-past-the-limit",
            SMALL,
            UNEVEN,
            vec![header(TEXT, LengthForm::Bits7, 65)],
        ),
        (
            "fragments-past-the-limit-in-bytes",
            SMALL,
            UNEVEN,
            vec![
                begins(BINARY, [0; 60]),
                header(CONTINUATION, LengthForm::Bits7, 5),
            ],
        ),
        (
            "fragments-past-the-limit",
            TINY,
            UNEVEN,
            vec![begins(TEXT, ""), frame(CONTINUATION, "")],
        ),
        ("ping-fragmented", DEFAULT, UNEVEN, vec![begins(PING, "a")]),
        (
            "ping-too-long",
            DEFAULT,
            UNEVEN,
            vec![header(PING, bits16, 126)],
        ),
        (
            "close-fragmented",
            DEFAULT,
            UNEVEN,
            vec![begins(CLOSE, b"\x03\xe8")],
        ),
        (
            "opcode-3-and-nothing-more",
            DEFAULT,
            WHOLE,
            vec![front(1, RESERVED_OPCODES[0], bits16, 126)],
        ),
        (
            "ping-too-long-and-two-bytes-of-it",
            DEFAULT,
            BYTE_BY_BYTE,
            vec![front(2, PING, bits16, 126)],
        ),
        (
            "length-with-top-bit-and-three-bytes-of-it",
            DEFAULT,
            WHOLE,
            vec![front(3, TEXT, bits64, 1 << 63)],
        ),
        (
            "length-not-minimal-64-and-eight-bytes-of-it",
            DEFAULT,
            UNEVEN,
            vec![front(8, TEXT, bits64, 65_535)],
        ),
        (
            "message-past-the-limit-and-two-bytes-of-it",
            SMALL,
            WHOLE,
            vec![front(2, BINARY, bits16, 126)],
        ),
        (
            "continuation-of-nothing",
            DEFAULT,
            UNEVEN,
            vec![frame(CONTINUATION, "a")],
        ),
        (
            "text-inside-a-text",
            DEFAULT,
            UNEVEN,
            vec![begins(TEXT, "a"), frame(TEXT, "b")],
        ),
        (
            "text-overlong",
            DEFAULT,
            BYTE_BY_BYTE,
            text(b"a\xe0\x80\xaf unseen"),
        ),
        (
            "text-surrogate",
            DEFAULT,
            BYTE_BY_BYTE,
            text(b"a\xed\xa0\x80 unseen"),
        ),
        (
            "text-past-10ffff",
            DEFAULT,
            BYTE_BY_BYTE,
            text(b"a\xf4\x90\x80\x80 unseen"),
        ),
        (
            "text-truncated",
            DEFAULT,
            BYTE_BY_BYTE,
            text(b"a\xf0\x9f\x98"),
        ),
        (
            "text-fails-in-an-unfinished-frame",
            DEFAULT,
            BYTE_BY_BYTE,
            vec![Piece::Frame(WireFrame::new(
                TEXT,
                b"\xed\xa0 and more bytes than are needed",
            ))],
        ),
        (
            "close-one-byte",
            DEFAULT,
            UNEVEN,
            vec![frame(CLOSE, b"\x03")],
        ),
        ("close-999", DEFAULT, UNEVEN, vec![close(999, "")]),
        ("close-1005", DEFAULT, UNEVEN, vec![close(1005, "")]),
        ("close-1006", DEFAULT, UNEVEN, vec![close(1006, "")]),
        ("close-2999", DEFAULT, UNEVEN, vec![close(2999, "")]),
        ("close-5000", DEFAULT, UNEVEN, vec![close(5000, "")]),
        (
            "close-reason-not-utf8",
            DEFAULT,
            UNEVEN,
            vec![close(1000, b"\xc3")],
        ),
    ]
}

// ── The parts ───────────────────────────────────────────────────────────────

/// The sessions that test frames, for a decoder alone.
fn frame_decoder_seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, _, lengths, frames) in sessions() {
        let wanted = [
            "examples",
            "length",
            "rsv",
            "opcode",
            "mask",
            "ping",
            "unfinished",
        ];
        if !wanted.iter().any(|word| name.contains(word)) {
            continue;
        }
        let masked = !name.contains("uneven");
        let role = if masked { Role::Server } else { Role::Client };
        let wire: Vec<u8> = frames.into_iter().flat_map(|f| f.bytes_to(role)).collect();
        let input = with_lengths(&[u8::from(!masked)], lengths, &wire);
        seeds.push(seed("frame_decoder", name, input));
    }
    seeds
}

fn utf8_seeds() -> Vec<Seed> {
    let texts: [(&str, &[u8], &[u8]); 16] = [
        ("empty", WHOLE, b""),
        ("ascii-wide", &[64, 1], &[b'a'; 200]),
        (
            "each-length",
            BYTE_BY_BYTE,
            "a\u{e9}\u{20ac}\u{1f600}".as_bytes(),
        ),
        (
            "borders",
            UNEVEN,
            "\0\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}".as_bytes(),
        ),
        (
            "around-the-surrogates",
            BYTE_BY_BYTE,
            "\u{d7ff}\u{e000}".as_bytes(),
        ),
        ("continuation-alone", BYTE_BY_BYTE, b"a\x80"),
        ("overlong-two", BYTE_BY_BYTE, b"\xc1\xbf"),
        ("overlong-three", BYTE_BY_BYTE, b"\xe0\x9f\xbf"),
        ("overlong-four", BYTE_BY_BYTE, b"\xf0\x8f\xbf\xbf"),
        ("surrogate", BYTE_BY_BYTE, b"\xed\xa0\x80"),
        ("past-the-last", BYTE_BY_BYTE, b"\xf4\x90\x80\x80"),
        ("f5", BYTE_BY_BYTE, b"\xf5\x80\x80\x80"),
        ("ff", BYTE_BY_BYTE, b"\xff"),
        ("truncated", BYTE_BY_BYTE, b"abc\xf0\x9f\x98"),
        ("lead-after-lead", &[2], b"a\xf0\x9f\xf0\x9f"),
        ("late-error-in-a-wide-step", &[128], &LATE_ERROR),
    ];
    texts
        .into_iter()
        .map(|(name, lengths, text)| seed("utf8", name, with_lengths(&[], lengths, text)))
        .collect()
}

/// 127 letters and a lone continuation byte.
const LATE_ERROR: [u8; 128] = {
    let mut text = [b'a'; 128];
    text[127] = 0xBF;
    text
};

/// Steps of `round_trip.rs`: `0 server, 1 client`, plus twice the kind.
fn round_trip_seeds() -> Vec<Seed> {
    let (server, client) = (0, 1);
    let [
        text,
        binary,
        ping,
        pong,
        fragments,
        with_pings,
        close,
        carry,
    ] = [0, 2, 4, 6, 8, 10, 12, 14].map(|kind: u8| kind);
    let short = |head: u8, payload: &[u8]| [&[head, payload.len() as u8], payload].concat();
    let steps: [(&str, Vec<Vec<u8>>); 8] = [
        ("nothing", vec![]),
        (
            "hello",
            vec![
                short(client | text, b"Hello"),
                short(server | text, b"Hello"),
            ],
        ),
        (
            "both-send-at-once",
            vec![
                short(client | binary, &[7; 200]),
                vec![server | carry, 100],
                short(server | binary, &[8; 130]),
                vec![client | carry, 3],
                vec![server | carry, 255],
            ],
        ),
        (
            "pings-and-pongs",
            vec![
                short(client | ping, b"?"),
                short(server | ping, b"!"),
                vec![server | carry, 1],
                short(server | pong, b"unasked"),
            ],
        ),
        (
            "fragments-of-one-byte",
            vec![short(
                client | fragments | 0b1_0000,
                "\u{20ac}\u{1f600}".as_bytes(),
            )],
        ),
        (
            "fragments-with-pings",
            vec![short(
                server | with_pings | 0b0110_0000,
                b"sixteen bytes ..",
            )],
        ),
        (
            "closes-cross",
            vec![
                short(client | text, b"last words"),
                vec![client | close, 1],
                vec![server | close, 0],
                short(server | text, b"too late"),
            ],
        ),
        (
            "close-overtakes-nothing",
            vec![
                short(server | text, b"on its way"),
                vec![server | close, 255],
                vec![client | carry, 5],
                short(client | text, b"sent before it is read."),
            ],
        ),
    ];
    steps
        .into_iter()
        .map(|(name, steps)| seed("round_trip", name, steps.concat()))
        .collect()
}

// ── Handshakes ──────────────────────────────────────────────────────────────

/// The request of §1.3, followed by a frame.
const REQUEST: &str = "GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: http://example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n\
    \u{1}\u{2}\u{3}";

fn request_seeds() -> Vec<Seed> {
    let edits: [(&str, &str, &str); 27] = [
        ("host-missing", "Host: server.example.com\r\n", ""),
        ("host-twice", "Host:", "Host: a\r\nHost:"),
        ("upgrade-missing", "Upgrade: websocket\r\n", ""),
        (
            "upgrade-list",
            "Upgrade: websocket",
            "Upgrade: h2c, WebSocket",
        ),
        (
            "connection-list",
            "Connection: Upgrade",
            "connection: keep-alive ,\tupgrade",
        ),
        ("connection-missing", "Connection: Upgrade\r\n", ""),
        (
            "key-missing",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "",
        ),
        (
            "key-twice",
            "Origin: http://example.com",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ),
        (
            "key-too-short",
            "dGhlIHNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZQ==",
        ),
        ("key-with-spare-bits", "25jZQ==", "25jZR=="),
        ("version-8", "Version: 13", "Version: 8"),
        (
            "version-twice",
            "Version: 13",
            "Version: 13\r\nSec-WebSocket-Version: 13",
        ),
        ("version-missing", "Sec-WebSocket-Version: 13\r\n", ""),
        ("subprotocol-twice", "chat, superchat", "chat, chat"),
        (
            "subprotocol-not-a-token",
            "chat, superchat",
            "chat, \"superchat\"",
        ),
        (
            "extensions",
            "Origin:",
            "Sec-WebSocket-Extensions: permessage-deflate; x=\"1\"\r\nOrigin:",
        ),
        ("method-post", "GET ", "POST "),
        ("http-1.0", "HTTP/1.1", "HTTP/1.0"),
        ("http-1.2", "HTTP/1.1", "HTTP/1.2"),
        ("http-2", "HTTP/1.1", "HTTP/2.0"),
        (
            "target-absolute",
            "GET /chat",
            "GET http://other.example:8080/chat?a=b",
        ),
        ("target-with-a-space", "GET /chat", "GET /ch at"),
        ("body-announced", "Origin:", "Content-Length: 5\r\nOrigin:"),
        (
            "line-feed-alone",
            "Upgrade: websocket\r\n",
            "Upgrade: websocket\n",
        ),
        (
            "line-folded",
            "Upgrade: websocket",
            "Upgrade:\r\n websocket",
        ),
        ("space-before-colon", "Upgrade:", "Upgrade :"),
        (
            "nul-in-a-value",
            "http://example.com",
            "http://\0example.com",
        ),
    ];
    let request = |name: &str, selector: u8, lengths: &[u8], text: &str| {
        let input = with_lengths(&[selector], lengths, text.as_bytes());
        seed("request_head", name, input)
    };
    let mut seeds = vec![
        request("example-of-section-1.3", 0, WHOLE, REQUEST),
        request("example-byte-by-byte", 0, BYTE_BY_BYTE, REQUEST),
        request("example-in-small-limits", 1, UNEVEN, REQUEST),
        request(
            "plain-http",
            0,
            UNEVEN,
            "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n",
        ),
        request(
            "smallest",
            1,
            BYTE_BY_BYTE,
            "\r\nGET / HTTP/1.1\r\nHost:\r\n\r\n",
        ),
        request(
            "line-too-long",
            1,
            UNEVEN,
            "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ),
        request(
            "too-many-empty-lines",
            1,
            UNEVEN,
            "\r\n\r\n\r\nGET / HTTP/1.1\r\n",
        ),
        request(
            "tls-client-hello",
            0,
            UNEVEN,
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}",
        ),
    ];
    for (name, from, to) in edits {
        let edited = REQUEST.replacen(from, to, 1);
        assert_ne!(edited, REQUEST, "{name} edits nothing");
        seeds.push(request(name, 0, UNEVEN, &edited));
    }
    seeds
}

/// The response of §1.3, followed by a frame.
const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    Sec-WebSocket-Protocol: chat\r\n\r\n\
    \u{1}\u{2}\u{3}";

fn response_seeds() -> Vec<Seed> {
    let edits: [(&str, &str, &str); 21] = [
        ("accept-wrong", "s3pPLMBi", "S3PpLMBi"),
        (
            "accept-missing",
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            "",
        ),
        (
            "accept-twice",
            "Upgrade: w",
            "Sec-WebSocket-Accept: x\r\nUpgrade: w",
        ),
        ("upgrade-missing", "Upgrade: websocket\r\n", ""),
        ("upgrade-other", "Upgrade: websocket", "Upgrade: h2c"),
        (
            "upgrade-other-case",
            "Upgrade: websocket",
            "Upgrade: WebSocket",
        ),
        ("connection-missing", "Connection: Upgrade\r\n", ""),
        (
            "connection-list",
            "Connection: Upgrade",
            "Connection: keep-alive, upgrade",
        ),
        (
            "subprotocol-not-offered",
            "Protocol: chat",
            "Protocol: news",
        ),
        (
            "subprotocol-twice",
            "Protocol: chat",
            "Protocol: chat\r\nSec-WebSocket-Protocol: chat",
        ),
        (
            "subprotocol-missing",
            "Sec-WebSocket-Protocol: chat\r\n",
            "",
        ),
        (
            "extension-not-offered",
            "Upgrade: w",
            "Sec-WebSocket-Extensions: x\r\nUpgrade: w",
        ),
        ("status-200", "101 Switching Protocols", "200 OK"),
        (
            "status-302",
            "101 Switching Protocols",
            "302 Found\r\nLocation: /elsewhere",
        ),
        ("status-without-reason", "101 Switching Protocols", "101 "),
        ("status-alone", "101 Switching Protocols", "101"),
        (
            "extensions-empty",
            "Upgrade: w",
            "Sec-WebSocket-Extensions: ,\r\nUpgrade: w",
        ),
        ("http-1.0", "HTTP/1.1", "HTTP/1.0"),
        ("http-1.2", "HTTP/1.1", "HTTP/1.2"),
        (
            "interim-answer-first",
            "HTTP/1.1 101",
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101",
        ),
        ("line-feed-alone", "websocket\r\n", "websocket\n"),
    ];
    let answer = |name: &str, selector: u8, lengths: &[u8], text: &str| {
        let input = with_lengths(&[selector], lengths, text.as_bytes());
        seed("response_head", name, input)
    };
    let mut seeds = vec![
        answer("example-of-section-1.3", 0, WHOLE, ANSWER),
        answer("example-byte-by-byte", 0, BYTE_BY_BYTE, ANSWER),
        answer("example-in-small-limits", 1, UNEVEN, ANSWER),
        answer("no-http", 0, UNEVEN, "SSH-2.0-OpenSSH_9.6\r\n"),
        answer("refusal-in-chunks", 0, UNEVEN, CHUNKED),
        answer(
            "refusal-in-chunks-and-small-limits",
            1,
            BYTE_BY_BYTE,
            CHUNKED,
        ),
        answer(
            "refusal-in-broken-chunks",
            0,
            UNEVEN,
            &CHUNKED.replace("5;", "g;"),
        ),
        answer(
            "refusal-in-chunks-of-a-huge-size",
            0,
            UNEVEN,
            &CHUNKED.replace("5;", "ffffffffffffffffff;"),
        ),
        answer(
            "refusal-in-chunks-with-the-longest-line",
            0,
            BYTE_BY_BYTE,
            &CHUNKED.replace("5;x=\"y\"", &format!("5;{:x<254}", "")),
        ),
        answer(
            "refusal-with-a-length",
            0,
            UNEVEN,
            "HTTP/1.1 404\r\nContent-Length: 8, 8\r\n\r\nno room!behind it",
        ),
        answer(
            "refusal-with-two-lengths",
            0,
            UNEVEN,
            "HTTP/1.1 404 no\r\nContent-Length: 8\r\nContent-Length: 9\r\n\r\nno room!",
        ),
        answer(
            "refusal-until-the-end",
            1,
            UNEVEN,
            "HTTP/1.1 503 Busy\r\nRetry-After: 9\r\n\r\nno room",
        ),
        answer(
            "refusal-without-a-body",
            0,
            UNEVEN,
            "HTTP/1.1 304 \r\n\r\nbehind it",
        ),
    ];
    for (name, from, to) in edits {
        let edited = ANSWER.replacen(from, to, 1);
        assert_ne!(edited, ANSWER, "{name} edits nothing");
        seeds.push(answer(name, 0, UNEVEN, &edited));
    }
    seeds
}

const CHUNKED: &str = "HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n\
    5;x=\"y\"\r\nno ro\r\n3\r\nom!\r\n0\r\nTrailer: x\r\n\r\nbehind it";

/// `flags | server's windows | client's windows | offers LF response`, the layout of
/// `negotiation.rs`.
fn negotiation_seeds() -> Vec<Seed> {
    const NO_DEMANDS: [u8; 3] = [0b0000, 0x77, 0x77];
    const NO_TAKEOVER: [u8; 3] = [0b1111, 0x77, 0x77];
    const SMALL_SERVER: [u8; 3] = [0b0001, 0x12, 0x77];
    const SMALL_CLIENT: [u8; 3] = [0b0100, 0x77, 0x21];
    let texts: [(&str, [u8; 3], &str, &str); 24] = [
        ("simplest", NO_DEMANDS, "D", "D"),
        ("browser", NO_TAKEOVER, "D; CB", "D; SN; CN"),
        ("window-asked-for", NO_DEMANDS, "D; CB; SB=10", "D; SB=10"),
        ("with-a-fallback", NO_DEMANDS, "D; CB; SB=10, D; CB", "D"),
        (
            "fallback-of-a-malformed-one",
            NO_TAKEOVER,
            "D; SB, D; CB=9",
            "D; SN; SN",
        ),
        (
            "all-four",
            SMALL_SERVER,
            "D; SN; CN; SB=8; CB=8",
            "D; SN; CN; SB=8; CB=8",
        ),
        (
            "other-order",
            SMALL_CLIENT,
            "D;CB=15;SB=15;CN;SN",
            "D;CB=15;SB=9;CN;SN",
        ),
        (
            "quoted",
            SMALL_SERVER,
            "D; SB=\"12\"; CB=\"9\"",
            "D; CB=\"1\\1\"",
        ),
        ("hint-below-the-window", SMALL_SERVER, "D; CB=8", "D; CB=14"),
        ("window-not-offered", SMALL_SERVER, "D; SN", "D; CB"),
        ("window-too-large", SMALL_CLIENT, "D; SB=9", "D; SN; SB=10"),
        ("window-unasked", SMALL_CLIENT, "D", "D; SN; SB=8"),
        ("takeover-not-declined", NO_TAKEOVER, "D; CN", "D; CN"),
        ("unknown-parameter", NO_DEMANDS, "D; x, D; x=1", "D; x"),
        (
            "parameter-twice",
            NO_DEMANDS,
            "D; CB; CB, D; SN; SN",
            "D; CB=9; CB=9",
        ),
        (
            "value-where-none-may-be",
            NO_DEMANDS,
            "D; SN=1, D; CN=8",
            "D; CN=1",
        ),
        ("value-missing", NO_DEMANDS, "D; SB", "D; SB"),
        (
            "leading-zero",
            NO_DEMANDS,
            "D; SB=08, D; CB=010",
            "D; SB=09",
        ),
        (
            "window-too-small",
            NO_DEMANDS,
            "D; SB=7, D; CB=7",
            "D; CB=7",
        ),
        (
            "window-past-the-largest",
            NO_DEMANDS,
            "D; SB=16, D; CB=16",
            "D; SB=16",
        ),
        ("accepted-twice", NO_DEMANDS, "D, D, D", "D, D"),
        ("other-extensions", NO_DEMANDS, "x; y=\"z\", D, x", "D, x"),
        (
            "other-case",
            NO_DEMANDS,
            "Permessage-Deflate, D; Sn",
            "Permessage-Deflate",
        ),
        (
            "not-offered",
            NO_DEMANDS,
            "permessage-foo; x=10, permessage-bar",
            "permessage-foo",
        ),
    ];
    let in_full = |text: &str| {
        let names = [
            ("D", "permessage-deflate"),
            ("SN", "server_no_context_takeover"),
            ("CN", "client_no_context_takeover"),
            ("SB", "server_max_window_bits"),
            ("CB", "client_max_window_bits"),
        ];
        let mut in_full = String::new();
        for word in text.split_inclusive(|c: char| !c.is_ascii_alphabetic()) {
            let letters = word.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
            let name = names.iter().find(|(short, _)| *short == letters);
            in_full += name.map_or(letters, |(_, name)| name);
            in_full += &word[letters.len()..];
        }
        in_full
    };
    texts
        .into_iter()
        .map(|(name, configs, offers, answer)| {
            let text = format!("{}\n{}", in_full(offers), in_full(answer));
            let input = [&configs, text.as_bytes()].concat();
            seed("deflate_negotiation", name, input)
        })
        .collect()
}
