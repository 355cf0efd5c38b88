//! An endpoint that receives compressed messages (RFC 7692 §7.2.2) is compared with the DEFLATE
//! library and `std`, which process a whole message at once and check the limit afterwards.
//!
//! ```text
//! inflate  | flags | limit | windows | n | n lengths of pieces | messages ...
//!            │││
//!            ││└ the endpoint is a client
//!            │└─ without context takeover
//!            └── every message is sent again by our own compressor
//!
//! a message | 0 0 0 0 . . . . | length, two bytes | payload of this length
//!             fragments   ││││
//!               less one  │││└ text
//!                         ││└─ compressed
//!                         │└── a Ping between the fragments
//!                         └─── long: compressed, in one frame, after a stored block
//! ```
//!
//! A long message is inflated while it arrives, any other message when it is complete.

use yamabiko::websocket::MessageDeflater;
use yamabiko::websocket::deflate::{DeflateConfig, DeflateParameters, DeflatePool, WindowBits};
use zlib_rs::{Inflate, InflateFlush, Status};

use super::input::take_lengths;
use super::session::{Endpoint, Received, cut};
use super::wire::{BINARY, CONTINUATION, PING, PONG, RFC_KEY, TEXT, WireFrame};
use super::{Connection, Limits, Message, Role};

/// Events and failure equal those of the naive implementation, however the input is cut.
pub fn inflate(data: &[u8]) {
    let [flags, limit, windows, rest @ ..] = data else {
        return;
    };
    if data.len() > INPUT_BYTES_MAX {
        return;
    }
    let (lengths, rest) = take_lengths(rest);
    let role = match flags & 1 {
        0 => Role::Server,
        _ => Role::Client,
    };
    let parameters = parameters(*flags, *windows);
    let limits = limits_of(*limit);
    let sent = messages(rest, flags & 4 != 0);

    let wire: Vec<u8> = sent.iter().flat_map(|sent| sent.wire(role)).collect();
    let expected = expected(role, parameters, &limits, &sent);
    let mut uncut = endpoint(role, parameters, limits);
    assert_eq!(uncut.receive(&wire), expected);
    let mut pieces = endpoint(role, parameters, limits);
    assert_eq!(pieces.receive_in_pieces(cut(&wire, lengths)), expected);
    assert_eq!(uncut.replies, pieces.replies);
    let pings = expected
        .iter()
        .filter(|event| matches!(event, Received::Ping(_)));
    let replies = uncut.take_replies();
    let pongs = replies.iter().filter(|reply| reply.opcode == PONG);
    assert_eq!(pongs.count(), pings.count());
}

/// Less than an endpoint buffers before it inflates, so that an invalid message fails at its end.
/// The model does not know at which byte a long message fails: it is sent without Pings.
pub(super) const INPUT_BYTES_MAX: usize = 8 << 10;

/// The length of the block that makes a message long: more than an endpoint buffers.
const LONG_BLOCK_BYTES: u16 = 17_000;

/// The maximum of long messages in an input. The flag has no effect on further messages.
const LONG_MESSAGES_MAX: usize = 2;

pub(super) fn limits_of(limit: u8) -> Limits {
    Limits {
        message_bytes_max: [1 << 20, 40_000, 300, 5][usize::from(limit % 4)],
        inflate_ratio_max: u32::MAX,
        ..Limits::default()
    }
}

pub(super) fn parameters(flags: u8, windows: u8) -> DeflateParameters {
    let bits = |nibble: u8| WindowBits::new(8 + nibble % 8).expect("8 to 15");
    DeflateParameters {
        server_no_context_takeover: flags & 2 != 0,
        client_no_context_takeover: flags & 2 != 0,
        server_max_window_bits: bits(windows),
        client_max_window_bits: bits(windows >> 4),
    }
}

pub(super) fn endpoint(role: Role, parameters: DeflateParameters, limits: Limits) -> Endpoint {
    let mut endpoint = Endpoint::new(role, limits);
    let plain = Connection::server(limits);
    let plain = std::mem::replace(&mut endpoint.connection, plain);
    endpoint.connection = plain.with_deflate(
        parameters,
        &DeflateConfig::default(),
        &DeflatePool::default(),
    );
    endpoint
}

/// A message as it is sent.
pub(super) struct Outgoing {
    text: bool,
    compressed: bool,
    pings: bool,
    fragments: usize,
    payload: Vec<u8>,
}

impl Outgoing {
    pub(super) fn wire(&self, receiver: Role) -> Vec<u8> {
        let mut wire = Vec::new();
        for (number, piece) in self.pieces().into_iter().enumerate() {
            let opcode = match (number, self.text) {
                (0, true) => TEXT,
                (0, false) => BINARY,
                _ => CONTINUATION,
            };
            let mut frame = WireFrame::new(opcode, piece);
            frame.fin = number + 1 == self.fragments;
            frame.rsv = if self.compressed && number == 0 {
                0b100
            } else {
                0
            };
            let ping = self.pings.then(|| WireFrame::new(PING, [number as u8]));
            for frame in [Some(frame), ping].into_iter().flatten() {
                let frame = match receiver {
                    Role::Server => frame.masked(RFC_KEY),
                    Role::Client => frame,
                };
                wire.extend(frame.bytes());
            }
        }
        wire
    }

    fn make_long(&mut self) {
        let (length, complement) = (LONG_BLOCK_BYTES, !LONG_BLOCK_BYTES);
        let bytes = [b'a'; LONG_BLOCK_BYTES as usize];
        let head = [length.to_le_bytes(), complement.to_le_bytes()].concat();
        let payload = [&[0], &head[..], &bytes, &self.payload].concat();
        *self = Outgoing {
            text: self.text,
            compressed: true,
            pings: false,
            fragments: 1,
            payload,
        };
    }

    /// The payload in pieces, one for each fragment. Some are empty if it is short.
    fn pieces(&self) -> Vec<&[u8]> {
        let length = self.payload.len().div_ceil(self.fragments);
        let bound = |number: usize| (number * length).min(self.payload.len());
        (0..self.fragments)
            .map(|number| &self.payload[bound(number)..bound(number + 1)])
            .collect()
    }
}

pub(super) fn messages(mut data: &[u8], again: bool) -> Vec<Outgoing> {
    let mut deflater = MessageDeflater::new(data.len() as u8);
    let (mut messages, mut long_messages) = (Vec::new(), 0);
    while let [head, high, low, rest @ ..] = data {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        data = rest;
        let mut sent = Outgoing {
            text: head & 1 != 0,
            compressed: head & 2 != 0,
            pings: head & 4 != 0,
            fragments: 1 + usize::from(head >> 4),
            payload: payload.to_vec(),
        };
        if head & 8 != 0 && long_messages < LONG_MESSAGES_MAX {
            sent.make_long();
            long_messages += 1;
        }
        messages.push(sent);
        let mut frame = Vec::new();
        let message = Message::Binary(payload);
        if again && deflater.write_frame(message, WindowBits::MAX, &mut frame) {
            messages.push(Outgoing {
                text: false,
                compressed: true,
                pings: false,
                fragments: 1,
                payload: frame.split_off(if frame[1] < 126 { 2 } else { 4 }),
            });
        }
    }
    messages
}

/// The events that the endpoint must report.
fn expected(
    role: Role,
    parameters: DeflateParameters,
    limits: &Limits,
    sent: &[Outgoing],
) -> Vec<Received> {
    let (fresh, window) = match role {
        Role::Server => (
            parameters.client_no_context_takeover,
            parameters.client_max_window_bits,
        ),
        Role::Client => (
            parameters.server_no_context_takeover,
            parameters.server_max_window_bits,
        ),
    };
    let (mut events, mut earlier) = (Vec::new(), Vec::new());
    for sent in sent {
        let mut announced = 0;
        let bytes_max = match sent.compressed {
            true => limits.message_bytes_max * 5 / 4 + 1024,
            false => limits.message_bytes_max,
        };
        let mut ping = None;
        for (number, piece) in sent.pieces().into_iter().enumerate() {
            events.extend(ping.take());
            announced += piece.len();
            if announced > bytes_max {
                events.push(Received::Failed(1009));
                return events;
            }
            let so_far = &sent.payload[..announced];
            if !sent.compressed && sent.text && is_invalid_text(so_far) {
                events.push(Received::Failed(1007));
                return events;
            }
            ping = sent.pings.then(|| Received::Ping(vec![number as u8]));
        }
        match received(sent, &earlier, limits.message_bytes_max) {
            Ok(bytes) => {
                events.push(match sent.text {
                    true => Received::Text(String::from_utf8(bytes.clone()).expect("checked")),
                    false => Received::Binary(bytes.clone()),
                });
                if sent.compressed && !fresh {
                    earlier.extend(bytes);
                    let behind = earlier.len().saturating_sub(window.window_bytes());
                    earlier.drain(..behind);
                }
            }
            Err(code) => {
                events.push(Received::Failed(code));
                return events;
            }
        }
        events.extend(ping);
    }
    events
}

/// The message's bytes, or the close code of the first error: invalid UTF-8, a byte past the limit,
/// too many streams, or data that cannot be inflated.
fn received(sent: &Outgoing, earlier: &[u8], bytes_max: usize) -> Result<Vec<u8>, u16> {
    let (bytes, end) = match sent.compressed {
        true => inflated(earlier, &sent.payload, bytes_max + 1),
        false => (sent.payload.clone(), End::Whole),
    };
    let within = &bytes[..bytes.len().min(bytes_max)];
    if sent.text && is_invalid_text(within) {
        return Err(1007);
    }
    if bytes.len() > bytes_max {
        return Err(1009);
    }
    match end {
        End::TooManyStreams => return Err(1008),
        End::Cut => return Err(1007),
        End::Whole => {}
    }
    if sent.text && std::str::from_utf8(&bytes).is_err() {
        return Err(1007);
    }
    Ok(bytes)
}

/// How the compressed data of a message ends.
#[derive(PartialEq)]
enum End {
    Whole,
    /// It is incomplete, corrupt or too long.
    Cut,
    TooManyStreams,
}

/// Whether it is invalid UTF-8 that no further bytes can complete.
fn is_invalid_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_some())
}

/// The library's result for a payload and its tail, up to a maximum of bytes, and how it ends.
fn inflated(earlier: &[u8], payload: &[u8], bytes_max: usize) -> (Vec<u8>, End) {
    let (mut bytes, mut streams) = (Vec::new(), 0);
    let mut rest = payload;
    while !rest.is_empty() {
        let behind = [earlier, &bytes].concat();
        let mut library = Inflate::new(false, 15);
        let window = &behind[behind.len().saturating_sub(32_768)..];
        library.set_dictionary(window).expect("there is no header");
        let mut output = vec![0; bytes_max - bytes.len()];
        let status = library.decompress(rest, &mut output, InflateFlush::SyncFlush);
        bytes.extend(&output[..library.total_out() as usize]);
        if bytes.len() == bytes_max {
            return (bytes, End::Cut);
        }
        rest = &rest[library.total_in() as usize..];
        match status {
            Ok(Status::StreamEnd) => {
                streams += 1;
                if streams > 8 + (payload.len() - rest.len()) / 64 {
                    return (bytes, End::TooManyStreams);
                }
            }
            Ok(_) if is_between_blocks(&mut library) => return (bytes, End::Whole),
            Ok(_) | Err(_) => return (bytes, End::Cut),
        }
    }
    // No incomplete block that the tail could complete.
    (bytes, End::Cut)
}

/// Whether the tail that the receiver appends (§7.2.2) is an empty stored block here. If it is, a
/// stored block with the text "a" can follow.
fn is_between_blocks(library: &mut Inflate) -> bool {
    let tail_and_a = b"\x00\x00\xff\xff\x01\x01\x00\xfe\xffa";
    let mut output = [0; 2];
    let status = library.decompress(tail_and_a, &mut output, InflateFlush::SyncFlush);
    status == Ok(Status::StreamEnd) && output == *b"a\0"
}

/// A seed: its name, the head, the lengths of the pieces, and the head and payload of each message.
type Story<'a> = (&'static str, [u8; 3], &'a [u8], Vec<(u8, &'a [u8])>);

/// The first inputs of the fuzzer.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    const AGAIN: &[u8] = b"\xf2\x00\x11\x00\x00";
    const FINAL: &[u8] = b"\xf3\x48\xcd\xc9\xc9\x07\x00";
    const STORED: &[u8] = b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00";
    const TWO_BLOCKS: &[u8] = b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";
    const HALF_A_CHARACTER: &[u8] = b"\x00\x02\x00\xfd\xff\xe5\xb1\x00";
    const TEXT: u8 = 0b011;
    const IN_THREE_WITH_PINGS: u8 = 0b0010_0111;
    const PLAIN_TEXT: u8 = 0b001;
    const LONG_TEXT: u8 = 0b1011;
    let across = [FINAL, AGAIN].concat();
    let to_earlier = [b"\x03\x00", AGAIN].concat();
    let streams = |count| [&b"\x03\x00".repeat(count), HELLO].concat();
    let (many_streams, too_many_streams) = (streams(8), streams(9));
    let corrupt = [HELLO, b"\x07"].concat();
    let text = b"the mountain echo, the mountain echo, the mountain echo";
    let stories: Vec<Story<'_>> = vec![
        ("one-block", [0, 0, 0xff], &[], vec![(TEXT, HELLO)]),
        (
            "many-streams",
            [0, 0, 0xff],
            &[3],
            vec![(TEXT, &many_streams)],
        ),
        (
            "too-many-streams",
            [0, 0, 0xff],
            &[3],
            vec![(TEXT, &too_many_streams)],
        ),
        (
            "takeover",
            [1, 0, 0xff],
            &[1],
            vec![(TEXT, HELLO), (TEXT, AGAIN)],
        ),
        (
            "no-takeover",
            [2, 0, 0xff],
            &[],
            vec![(TEXT, HELLO), (TEXT, AGAIN)],
        ),
        (
            "stored",
            [0, 3, 0],
            &[3, 1],
            vec![(TEXT, STORED), (TEXT, AGAIN)],
        ),
        (
            "bfinal",
            [0, 0, 0],
            &[],
            vec![(TEXT, &across), (TEXT, AGAIN)],
        ),
        (
            "bfinal-and-earlier",
            [0, 0, 0],
            &[],
            vec![(TEXT, HELLO), (TEXT, &to_earlier)],
        ),
        (
            "two-blocks",
            [3, 2, 0x77],
            &[2],
            vec![(IN_THREE_WITH_PINGS, TWO_BLOCKS)],
        ),
        (
            "empty",
            [0, 3, 0],
            &[],
            vec![(TEXT, b"\0"), (IN_THREE_WITH_PINGS, b"\0"), (TEXT, b"")],
        ),
        (
            "no-byte",
            [0, 3, 0],
            &[],
            vec![(PLAIN_TEXT, b""), (IN_THREE_WITH_PINGS, b"")],
        ),
        (
            "bfinal-and-nothing-behind-it",
            [1, 0, 0],
            &[],
            vec![(TEXT, HELLO), (TEXT, FINAL)],
        ),
        ("corrupt", [0, 0, 0], &[], vec![(TEXT, &corrupt)]),
        ("cut-short", [0, 0, 0], &[], vec![(TEXT, &HELLO[..4])]),
        (
            "half-a-character",
            [1, 0, 0],
            &[1],
            vec![(TEXT, HALF_A_CHARACTER)],
        ),
        (
            "long",
            [0, 1, 0xff],
            &[250],
            vec![(LONG_TEXT, HELLO), (LONG_TEXT, AGAIN), (TEXT, AGAIN)],
        ),
        (
            "long-and-cut-short",
            [1, 0, 0],
            &[255, 7],
            vec![(LONG_TEXT, &HELLO[..4])],
        ),
        (
            "long-and-too-big",
            [3, 2, 0],
            &[100],
            vec![(LONG_TEXT, HELLO)],
        ),
        (
            "our-own",
            [4, 2, 0],
            &[],
            vec![(PLAIN_TEXT, text), (PLAIN_TEXT, text)],
        ),
        (
            "too-big",
            [4, 3, 0],
            &[7],
            vec![(0, text), (PLAIN_TEXT, text)],
        ),
    ];
    let input = |head: [u8; 3], lengths: &[u8], messages: Vec<(u8, &[u8])>| {
        let mut input = [&head[..], &[lengths.len() as u8], lengths].concat();
        for (head, payload) in messages {
            input.push(head);
            input.extend((payload.len() as u16).to_be_bytes());
            input.extend(payload);
        }
        input
    };
    stories
        .into_iter()
        .map(|(name, head, lengths, messages)| (name, input(head, lengths, messages)))
        .collect()
}
