//! What the benchmarks of the receive path are given: frames as a browser masks
//! them, in one buffer; and the least that any receiver has to do with them.
//!
//! ```text
//! | header | key | payload ^ key | header | key | payload ^ key | ...
//! ```
//!
//! A receiver unmasks in place, so a benchmark that gives it the same buffer again
//! gives it what it has unmasked. [`KEY`] is chosen so that this is no harm: masked
//! or not, the payload is valid text of the same kind. No copy has to restore the
//! buffer, and what is measured is the receiver alone.

// Each benchmark needs another part of it.
#![allow(dead_code, unused_imports)]

mod floor;

use yamabiko::websocket::frame::{Opcode, encode};

pub use floor::{copy_masked, floor, floor_copying, mask_at_full_width};

/// What the payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// English: one byte for a character.
    Ascii,
    /// Japanese: three bytes for a character.
    MultiByte,
    /// The bytes of `Ascii`, which nobody has to check.
    Binary,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Ascii, Kind::MultiByte, Kind::Binary];

    pub const fn name(self) -> &'static str {
        match self {
            Kind::Ascii => "ascii",
            Kind::MultiByte => "multi-byte",
            Kind::Binary => "binary",
        }
    }
}

/// Bytes of payload: a chat's word, the longest with a 7-bit length, and so on up
/// to the largest message that the default limits take.
pub const SIZES: [usize; 5] = [16, 125, 1 << 10, 64 << 10, 1 << 20];

/// Four different bytes below 16 that lead from each lead byte in [`JAPANESE`]
/// to another one without a condition of its own (E0 and ED have one).
pub const KEY: [u8; 4] = [0x0a, 0x01, 0x06, 0x02];

const ENGLISH: &str = "The quick brown fox jumps over the lazy dog. ";
const JAPANESE: &str = "山彦は返す声を聞く";

/// A payload of exactly this many bytes.
pub fn payload(kind: Kind, bytes: usize) -> Vec<u8> {
    let (text, character_bytes) = match kind {
        Kind::Ascii | Kind::Binary => (ENGLISH, 1),
        Kind::MultiByte => (JAPANESE, 3),
    };
    let whole = bytes - bytes % character_bytes;
    let mut payload: Vec<u8> = text.bytes().cycle().take(whole).collect();
    payload.resize(bytes, b'.');
    payload
}

/// One message in one frame of a client.
pub fn frame(kind: Kind, payload_bytes: usize) -> Vec<u8> {
    let payload = payload(kind, payload_bytes);
    let mut frame = Vec::new();
    let opcode = match kind {
        Kind::Binary => Opcode::Binary,
        _ => Opcode::Text,
    };
    encode(true, opcode, Some(KEY), &payload, &mut frame);
    let masked = frame.split_off(frame.len() - payload_bytes);
    assert!(std::str::from_utf8(&masked).is_ok(), "KEY keeps text valid");
    frame.extend(masked);
    assert_eq!(frame.len(), frame_bytes(payload_bytes));
    frame
}

/// The length of a masked frame (RFC 6455 §5.2).
pub const fn frame_bytes(payload_bytes: usize) -> usize {
    match payload_bytes {
        0..=125 => 6 + payload_bytes,
        126..=65_535 => 8 + payload_bytes,
        _ => 14 + payload_bytes,
    }
}

/// As many messages as a read of 64 KiB may bring, and at least one.
pub fn messages_in_a_read(payload_bytes: usize) -> usize {
    (READ_BYTES / frame_bytes(payload_bytes)).max(1)
}

/// What the server reads from a socket at once.
pub const READ_BYTES: usize = 64 << 10;
