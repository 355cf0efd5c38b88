//! Shared by the tests of permessage-deflate: endpoints that have agreed on it, and handwritten
//! compressed frames.

use super::properties::wire::{CONTINUATION, WireFrame};
use super::protocol::{Connection, Endpoint, Limits, Role};
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
    let mut payload = Vec::new();
    for block in bytes.chunks(65_535) {
        let length = block.len() as u16;
        payload.push(0);
        payload.extend(length.to_le_bytes());
        payload.extend((!length).to_le_bytes());
        payload.extend(block);
    }
    payload.push(0);
    payload
}

/// A short payload that inflates to this number of zeros: a block with fixed codes, one literal
/// and then matches of 258 bytes at distance 1, which are 00000001 01000111 in reverse.
pub fn zeros(bytes: usize) -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.put(0b010, 3); // BFINAL 0, BTYPE 01, lowest bit first
    bits.put_reversed(0x30, 8); // the literal 0
    for _ in 0..(bytes - 1) / 258 {
        bits.put_reversed(0b1100_0101, 8); // length 258
        bits.put_reversed(0, 5); // distance 1
    }
    for _ in 0..(bytes - 1) % 258 {
        bits.put_reversed(0x30, 8);
    }
    bits.put(0, 7); // the end of the block
    bits.put(0b000, 3);
    bits.bytes
}

/// A message's payload that consists of one match of three bytes at this distance.
pub fn match_of_three(distance_symbol: usize, extra: usize, extra_bits: usize) -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.put(0b010, 3);
    bits.put_reversed(1, 7); // length 3
    bits.put_reversed(distance_symbol, 5);
    bits.put(extra, extra_bits);
    bits.put(0, 7);
    bits.put(0b000, 3);
    bits.bytes
}

#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    bits: usize,
}

impl BitWriter {
    fn put(&mut self, value: usize, count: usize) {
        for place in 0..count {
            if self.bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = (value >> place & 1) as u8;
            *self.bytes.last_mut().unwrap() |= bit << (self.bits % 8);
            self.bits += 1;
        }
    }

    /// Writes a Huffman code, the highest bit first.
    fn put_reversed(&mut self, code: usize, count: usize) {
        for place in (0..count).rev() {
            self.put(code >> place & 1, 1);
        }
    }
}
