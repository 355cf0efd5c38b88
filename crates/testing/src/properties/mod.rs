//! Properties that hold for every input: one function for each fuzz target. The targets in
//! `fuzz/fuzz_targets/` call it with the inputs of libFuzzer. `tests/fuzz_seeds.rs` calls it with
//! the files of `fuzz/seeds/`, so that `cargo test` on a stable compiler replays them.
//!
//! | file | content |
//! |---|---|
//! | `wire.rs` | handwritten frames, from the diagram in RFC 6455 §5.2 |
//! | `model.rs` | a model of a receiving endpoint, as simple as possible |
//! | `session.rs` | a `Connection` under test, with its events and replies |
//! | `handshake.rs` | the heads of a request and of a response |
//! | `http_requests.rs` | the requests of an HTTP connection |
//! | `inflate.rs` | compressed messages, compared with the DEFLATE library |
//! | `proxy_header.rs` | the header of the PROXY protocol |
//! | `pusher.rs` | messages and the HTTP API of Pusher clients |
//! | `pieces.rs` | messages in pieces, compared with whole ones |
//! | `negotiation.rs` | the negotiation of permessage-deflate |
//! | `round_trip.rs` | a client and a server, connected by a wire that cuts anywhere |
//! | `fan_out.rs` | a room and a queue for each of its members |
//! | `resume.rs` | a client that comes back again and again, over sockets |
//! | `seeds.rs` | the first inputs of the fuzzer |
//! | `input.rs` | the first bytes of an input |
//! | `mod.rs` | the properties |
//!
//! The input of a property is a sequence of bytes. The first bytes select how the rest is used:
//!
//! ```text
//! request_head      | limits | n | n lengths of pieces | a request ...
//! response_head     | limits | n | n lengths of pieces | a response ...
//! http_requests     | limits | n | n lengths of pieces | requests ...
//! inflate           | flags | limit | windows | n | n lengths of pieces | messages ...
//! pieces          | flags | limit | windows | n | n lengths of pieces | messages ...
//! deflate_negotiation | flags | windows | windows | offers LF response ...
//! proxy_header      | bytes of a connection ...
//! pusher_messages   | a message of a client ...
//! pusher_api        | path and query | LF | body ...
//! connection_*      | limits | n | n lengths of pieces | bytes from the peer ...
//! frame_decoder     | role   | n | n lengths of pieces | bytes from the peer ...
//! utf8              |          n | n lengths of pieces | bytes of a text ...
//! round_trip        | steps, one or more bytes each ...
//! fan_out           | limits and end | steps, one or more bytes each ...
//! resume            | workers and limit | steps, one byte each ...
//! ```

pub mod fan_out;
pub mod handshake;
pub mod http_requests;
pub mod inflate;
pub mod input;
pub mod model;
pub mod negotiation;
pub mod pieces;
pub mod proxy_header;
pub mod pusher;
pub mod resume;
pub mod round_trip;
pub mod seeds;
pub mod session;
pub mod wire;

pub use yamabiko::websocket::frame::{
    CloseCode, FrameDecoder, FrameError, FrameHeader, FramePart, Opcode, Role, mask,
};
pub use yamabiko::websocket::utf8::Utf8Validator;
pub use yamabiko::websocket::{
    CloseFrame, Connection, Ended, Event, Fragment, Limits, Message, Piece, ProtocolError,
    ReadBuffer, SendError, Side, State,
};

use self::input::take_lengths;
pub use self::input::{limits, limits_of};
use self::model::{End, expected};
use self::session::{Endpoint, Received, cut, frames_of};
use self::wire::{CLOSE, PONG, WireFrame, split_header};

/// Accepts any bytes. Panics if the property does not hold.
pub type Property = fn(&[u8]);

/// Every property, with the name of its fuzz target.
pub const ALL: &[(&str, Property)] = &[
    ("request_head", handshake::request_head),
    ("response_head", handshake::response_head),
    ("http_requests", http_requests::http_requests),
    ("inflate", inflate::inflate),
    ("pieces", pieces::pieces),
    ("proxy_header", proxy_header::proxy_header),
    ("pusher_messages", pusher::pusher_messages),
    ("pusher_api", pusher::pusher_api),
    ("deflate_negotiation", negotiation::deflate_negotiation),
    ("frame_decoder", frame_decoder),
    ("connection_server", connection_server),
    ("connection_client", connection_client),
    ("utf8", utf8),
    ("round_trip", round_trip::round_trip),
    ("fan_out", fan_out::fan_out),
    ("resume", resume::resume),
];

/// A server has the same events, failure and replies, however its input is cut, and they equal
/// those of the model of the RFC.
pub fn connection_server(data: &[u8]) {
    connection(Role::Server, data);
}

/// As [`connection_server`], for a client.
pub fn connection_client(data: &[u8]) {
    connection(Role::Client, data);
}

fn connection(role: Role, data: &[u8]) {
    let Some((&selector, rest)) = data.split_first() else {
        return;
    };
    let (lengths, input) = take_lengths(rest);
    cut_and_uncut_agree(role, limits_of(selector), lengths, input);
}

/// Runs one session with whole input, with input in pieces, and with pieces in a buffer, and
/// compares them with the model.
pub fn cut_and_uncut_agree(role: Role, limits: Limits, lengths: &[u8], input: &[u8]) {
    let mut uncut = Endpoint::new(role, limits);
    let events = uncut.receive(input);

    let mut pieces = Endpoint::new(role, limits);
    let events_of_pieces = pieces.receive_in_pieces(cut(input, lengths));
    assert_eq!(events, events_of_pieces, "the same events for any cutting");
    assert_eq!(
        uncut.replies, pieces.replies,
        "the same replies for any cutting"
    );
    assert_eq!(uncut.connection.state(), pieces.connection.state());
    assert_eq!(uncut.connection.ended(), pieces.connection.ended());

    for is_dry in [false, true] {
        let mut buffered = Endpoint::new(role, limits);
        let events_of_buffer = buffered.read_in_pieces(cut(input, lengths), is_dry);
        assert_eq!(events, events_of_buffer, "the same events from a buffer");
        assert_eq!(uncut.replies, buffered.replies);
        assert_eq!(uncut.connection.ended(), buffered.connection.ended());
    }

    as_the_model_expects(&mut uncut, limits, input, events);
}

fn as_the_model_expects(
    endpoint: &mut Endpoint,
    limits: Limits,
    input: &[u8],
    mut events: Vec<Received>,
) {
    let expected = expected(endpoint.role, limits, input);
    let failure = match events.last() {
        Some(&Received::Failed(code)) => {
            events.pop();
            Some(code)
        }
        _ => None,
    };
    let bytes_held = endpoint.replies.len();
    let replies = frames_of(endpoint.role, &endpoint.replies);
    assert_eq!(events, expected.events);
    match (&expected.end, failure) {
        (End::Open, None) => assert_eq!(endpoint.connection.state(), State::Open),
        (End::Closed, None) => assert_eq!(endpoint.connection.state(), State::Closed),
        (End::Failed(codes), Some(code)) => {
            assert!(codes.contains(&code), "{code} is none of {codes:?}");
            has_failed(endpoint, &replies, code);
        }
        (end, failure) => panic!("expected {end:?}, the connection's failure is {failure:?}"),
    }
    assert!(
        bytes_held <= limits.unsent_reply_bytes_max as usize + PONG_AND_CLOSE_BYTES_MAX,
        "{bytes_held} bytes of replies are held"
    );
    owed_replies_are_given(endpoint, limits, &expected, replies);
}

/// The replies end with one Close for the failure, and the connection sends and receives nothing
/// afterwards.
fn has_failed(endpoint: &mut Endpoint, replies: &[WireFrame], code: u16) {
    assert_eq!(endpoint.connection.state(), State::Failed);
    assert!(!endpoint.connection.ended().clean);
    let last = replies.last().expect("a failure sends a Close");
    assert_eq!(last.opcode, CLOSE);
    assert_eq!(last.close_body().map(|body| body.0), Some(code));

    let written = endpoint.replies.len();
    assert_eq!(endpoint.receive([0x89, 0x00]), [Received::Failed(code)]);
    assert_eq!(endpoint.replies.len(), written, "nothing follows the Close");
}

/// Each Ping has its Pong, in order. Beyond the limit only the newest Ping waits for
/// `resume_replies`. The Close is answered with its own code.
fn owed_replies_are_given(
    endpoint: &mut Endpoint,
    limits: Limits,
    expected: &model::Expected,
    replies: Vec<WireFrame>,
) {
    let is_pong = |frame: &WireFrame| frame.opcode == PONG;
    let (owed, _): (Vec<_>, Vec<_>) = expected.replies.iter().cloned().partition(is_pong);
    let (mut given, closes): (Vec<_>, Vec<_>) = replies.into_iter().partition(is_pong);

    if endpoint.connection.state() == State::Open {
        assert_eq!(closes, []);
        endpoint.replies.clear();
        endpoint.connection.resume_replies(&mut endpoint.replies);
        let resumed = endpoint.take_replies();
        assert!(resumed.len() <= 1, "only the newest Ping is answered later");
        given.extend(resumed);
        assert_eq!(given.last(), owed.last(), "the newest Ping is answered");
    } else {
        assert_eq!(closes.len(), 1, "one Close and nothing else: {closes:?}");
    }
    if expected.end == End::Closed {
        let answer = expected.replies.last().expect("a Close is answered");
        let code_of = |frame: &WireFrame| frame.close_body().map(|body| body.0);
        assert_eq!(code_of(&closes[0]), code_of(answer), "the code is echoed");
    }
    let bytes_owed: usize = owed.iter().map(|pong| pong.payload.len() + 6).sum();
    if bytes_owed <= limits.unsent_reply_bytes_max as usize {
        assert_eq!(given, owed, "every Ping has its own Pong");
    } else {
        assert!(is_subsequence(&given, &owed), "{given:?} out of {owed:?}");
    }
}

fn is_subsequence<T: PartialEq>(part: &[T], whole: &[T]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|item| whole.any(|other| other == item))
}

/// The length of the longest Pong and the longest Close, both masked.
const PONG_AND_CLOSE_BYTES_MAX: usize = 2 * (2 + 4 + 125);

/// An endpoint keeps the received part of one message and a small constant, but never allocates
/// the length that a header claims. `live_bytes` returns the number of heap bytes in use.
pub fn memory_is_bounded(role: Role, data: &[u8], live_bytes: fn() -> usize) {
    let Some((&selector, rest)) = data.split_first() else {
        return;
    };
    let limits = limits_of(selector);
    let (lengths, input) = take_lengths(rest);
    let mut endpoint = Endpoint::new(role, limits);
    let (mut came, mut held) = (0, 0);
    for piece in cut(input, lengths) {
        came += piece.len();
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        loop {
            let before = live_bytes() - endpoint.replies.capacity();
            let connection = &mut endpoint.connection;
            let more = matches!(
                connection.receive(&mut rest, &mut endpoint.replies),
                Ok(Some(_))
            );
            held += live_bytes() - endpoint.replies.capacity();
            held -= before;
            let bound = 2 * came.min(limits.message_bytes_max) + CONTROL_STATE_BYTES_MAX;
            assert!(held <= bound, "{held} bytes for {came} received bytes");
            if !more {
                break;
            }
        }
    }
    let expected = expected(role, limits, input);
    if expected.end == End::Open && expected.idle {
        let before = live_bytes();
        let mut replies = Vec::new();
        endpoint.connection.resume_replies(&mut replies);
        held += live_bytes() - replies.capacity();
        held -= before;
        assert_eq!(held, 0, "an idle connection holds nothing");
    }
}

/// A waiting ping, an incomplete control frame and the reason of a Close: at most 125 bytes each,
/// in buffers that may have grown by doubling.
const CONTROL_STATE_BYTES_MAX: usize = 1024;

/// A `FrameDecoder` returns the same headers and payloads, however its input is cut, and they equal
/// those on the wire.
pub fn frame_decoder(data: &[u8]) {
    let Some((&selector, rest)) = data.split_first() else {
        return;
    };
    let role = if selector % 2 == 0 {
        Role::Server
    } else {
        Role::Client
    };
    let (lengths, input) = take_lengths(rest);
    let uncut = decode(role, &[input]);
    assert_eq!(uncut, decode(role, &cut(input, lengths)));
    decoded_as_on_the_wire(&uncut, input);
    header_is_what_was_parsed(input);
}

/// A frame, as far as it was received.
#[derive(Debug, PartialEq)]
pub struct Decoded {
    pub header: FrameHeader,
    pub payload: Vec<u8>,
    pub ended: bool,
}

/// All frames that a decoder returns for these pieces, and its error.
pub fn decode(role: Role, pieces: &[&[u8]]) -> (Vec<Decoded>, Option<FrameError>) {
    let mut decoder = FrameDecoder::new(role);
    let (mut frames, mut failure) = (Vec::new(), None);
    for piece in pieces {
        let mut piece = piece.to_vec();
        let decoded = decode_piece(&mut decoder, &mut piece, &mut frames);
        if failure.is_some() {
            assert_eq!(decoded.err(), failure, "the same error comes again");
        } else {
            failure = decoded.err();
        }
    }
    (frames, failure)
}

fn decode_piece(
    decoder: &mut FrameDecoder,
    mut input: &mut [u8],
    frames: &mut Vec<Decoded>,
) -> Result<(), FrameError> {
    while let Some(part) = decoder.next(&mut input)? {
        match part {
            FramePart::Header(header) => frames.push(Decoded {
                header,
                payload: Vec::new(),
                ended: false,
            }),
            FramePart::Payload(bytes) => {
                let frame = frames.last_mut().expect("a payload follows a header");
                assert!(!frame.ended && !bytes.is_empty());
                frame.payload.extend_from_slice(bytes);
            }
            FramePart::End => {
                let frame = frames.last_mut().expect("an end follows a header");
                assert!(!frame.ended);
                frame.ended = true;
            }
            other => panic!("an unknown part: {other:?}"),
        }
    }
    assert!(input.is_empty(), "`None` means that all input was taken");
    Ok(())
}

fn decoded_as_on_the_wire((frames, error): &(Vec<Decoded>, Option<FrameError>), input: &[u8]) {
    let mut input = input;
    for frame in frames {
        let (header, rest) = split_header(input).expect("a header that was decoded");
        let came = rest.len().min(header.payload_length as usize);
        let (masked, rest) = rest.split_at(came);
        assert_eq!(frame.header.fin, header.fin);
        assert_eq!(frame.header.rsv, header.rsv);
        assert_eq!(frame.header.opcode.bits(), header.opcode);
        assert_eq!(frame.header.masking_key, header.masking_key);
        assert_eq!(frame.header.payload_length, header.payload_length);
        assert_eq!(frame.ended, came as u64 == header.payload_length);
        assert_eq!(frame.payload.len(), came);
        let key = header.masking_key.unwrap_or_default();
        for (i, (plain, masked)) in frame.payload.iter().zip(masked).enumerate() {
            assert_eq!(plain ^ key[i % 4], *masked);
        }
        input = rest;
    }
    assert!(
        error.is_some() || input.is_empty() || split_header(input).is_none(),
        "a whole header was left undecoded"
    );
}

/// parse(encode(header)) == header, and encode(parse(bytes)) == bytes.
fn header_is_what_was_parsed(input: &[u8]) {
    if let Ok(Some((header, length))) = FrameHeader::parse(input) {
        let mut encoded = Vec::new();
        header.encode(&mut encoded);
        assert_eq!(encoded, input[..length]);
        assert_eq!(FrameHeader::parse(&encoded), Ok(Some((header, length))));
    }
}

/// A `Utf8Validator` agrees with the standard library for all bytes and all cuts. It fails exactly
/// at the push that contains the first invalid byte.
pub fn utf8(data: &[u8]) {
    let (lengths, input) = take_lengths(data);
    let mut validator = Utf8Validator::default();
    let mut came = 0;
    for piece in cut(input, lengths) {
        came += piece.len();
        let pushed = validator.push(piece);
        let so_far = std::str::from_utf8(&input[..came]);
        let impossible = so_far.is_err_and(|error| error.error_len().is_some());
        assert_eq!(
            pushed.is_err(),
            impossible,
            "after {came} bytes of {input:x?}"
        );
        if impossible {
            return;
        }
        assert_eq!(validator.finish().is_ok(), so_far.is_ok());
    }
}
