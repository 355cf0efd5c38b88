//! Shared by the tests of permessage-deflate: endpoints that have agreed on it, and handwritten
//! compressed frames.

use super::properties::wire::{CONTINUATION, WireFrame};
use super::protocol::{Connection, Endpoint, Limits, Role};
use super::suite_deflate::{Blocks, Token};
use yamabiko::websocket::deflate::{DeflateConfig, DeflateParameters, DeflatePool, WindowBits};

/// RFC 7692 §7.2.3.1: "Hello" in one block with fixed codes.
pub const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
/// §7.2.3.2: "Hello" as a reference to the previous message.
pub const HELLO_AGAIN: &[u8] = b"\xf2\x00\x11\x00\x00";
/// §7.2.3.4: "Hello" in a block with BFINAL.
pub const HELLO_FINAL: &[u8] = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
/// The same without the zero byte that RFC 7692 appends.
pub const HELLO_FINAL_ALONE: &[u8] = b"\xf3\x48\xcd\xc9\xc9\x07\x00";

/// Both endpoints use context takeover and the largest window.
pub const TAKEOVER: DeflateParameters = DeflateParameters {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: WindowBits::MAX,
    client_max_window_bits: WindowBits::MAX,
};

/// Neither endpoint uses context takeover.
pub const NO_TAKEOVER: DeflateParameters = DeflateParameters {
    server_no_context_takeover: true,
    client_no_context_takeover: true,
    ..TAKEOVER
};

/// The configuration of an endpoint that uses everything that was agreed on, and tries to compress
/// every message.
pub const EAGER: DeflateConfig = DeflateConfig {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: WindowBits::MAX,
    client_max_window_bits: WindowBits::MAX,
    level: 6,
    threshold_bytes: 0,
};

/// An endpoint with these parameters, right after the opening handshake.
pub fn agreed(role: Role, parameters: DeflateParameters) -> Endpoint {
    agreed_within(role, parameters, Limits::default())
}

/// As [`agreed`], with these limits.
pub fn agreed_within(role: Role, parameters: DeflateParameters, limits: Limits) -> Endpoint {
    let mut endpoint = Endpoint::new(role, limits);
    let plain = Connection::server(limits);
    let connection = std::mem::replace(&mut endpoint.connection, plain);
    endpoint.connection = connection.with_deflate(parameters, &EAGER, &DeflatePool::default());
    endpoint
}

/// A compressed message in one frame.
pub fn compressed(opcode: u8, payload: impl AsRef<[u8]>) -> WireFrame {
    let mut frame = WireFrame::new(opcode, payload);
    frame.rsv = 0b100;
    frame
}

/// A compressed message, one frame for each piece.
pub fn fragments<P: AsRef<[u8]>>(opcode: u8, pieces: &[P]) -> Vec<WireFrame> {
    let mut frames: Vec<_> = pieces
        .iter()
        .map(|piece| WireFrame::new(CONTINUATION, piece).unfinished())
        .collect();
    frames[0].opcode = opcode;
    frames[0].rsv = 0b100;
    frames.last_mut().unwrap().fin = true;
    frames
}

/// A message's payload that holds these bytes in stored blocks, which do not compress.
pub fn stored(bytes: &[u8]) -> Vec<u8> {
    let blocks = bytes.chunks(65_535);
    let stored = |blocks: Blocks, block| blocks.stored(false, block);
    blocks.fold(Blocks::new(), stored).message()
}

/// Letters of an alphabet of 16: they shrink to about half.
pub fn letters(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        b'a' + (state >> 28) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// A short payload that inflates to this number of zeros, which is not 0: a block with fixed codes,
/// one literal and then matches of 258 bytes at distance 1.
pub fn zeros(bytes: usize) -> Vec<u8> {
    let copy = Token::Copy {
        length: 258,
        distance: 1,
    };
    let (copies, rest) = ((bytes - 1) / 258, (bytes - 1) % 258);
    let mut tokens = vec![Token::Literal(0)];
    tokens.extend(std::iter::repeat_n(copy, copies));
    tokens.extend(std::iter::repeat_n(Token::Literal(0), rest));
    Blocks::new().fixed(false, &tokens).message()
}

/// A message's payload that consists of one match of three bytes at this distance, from 1 to 32,768.
pub fn match_of_three(distance: u16) -> Vec<u8> {
    let copy = Token::Copy {
        length: 3,
        distance,
    };
    Blocks::new().fixed(false, &[copy]).message()
}
