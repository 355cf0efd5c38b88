//! Frames: the pieces of a WebSocket's stream of bytes
//! (RFC 6455 §5.2 to §5.5 and §7.4).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
//! |I|S|S|S|  (4)  |A|     (7)     |             (16/64)           |
//! |N|V|V|V|       |S|             |   (if payload len==126/127)   |
//! | |1|2|3|       |K|             |                               |
//! +-+-+-+-+-------+-+-------------+ - - - - - - - - - - - - - - - +
//! |     Extended payload length continued, if payload len == 127  |
//! + - - - - - - - - - - - - - - - +-------------------------------+
//! |                               |Masking-key, if MASK set to 1  |
//! +-------------------------------+-------------------------------+
//! | Masking-key (continued)       |          Payload Data         |
//! +-------------------------------- - - - - - - - - - - - - - - - +
//! ```
//!
//! This is the lower of the two public levels: it knows single frames, not
//! messages. [`Connection`](crate::websocket::Connection) is built on it.

// The files of this module:
//
// | file | content |
// |---|---|
// | `opcode.rs` | the kinds of frames |
// | `header.rs` | the 2 to 14 bytes before the payload, read, checked and written |
// | `mask.rs`, `wide.rs` | XOR with the masking key, resumable at any byte; the vectors for it |
// | `close.rs` | the body of a Close frame: code and reason |
// | `decoder.rs` | a streaming reader that holds back no payload |

mod close;
mod decoder;
mod header;
mod mask;
mod opcode;
mod wide;

use alloc::vec::Vec;
pub use close::{CloseCode, CloseFrame};
pub use decoder::{FrameDecoder, FramePart};
pub use header::{FrameError, FrameHeader, Role};
pub use mask::mask;
// The test of `mask`, and its place in the benchmarks.
#[doc(hidden)]
pub use mask::mask_byte_by_byte;
pub use opcode::Opcode;

pub(crate) use close::CloseBodyError;
pub(crate) use decoder::{FrameState, PlainFront};
pub(crate) use decoder::{offer_payload, payload_within, skip_payload, take_front};
pub(crate) use decoder::{take_masked_payload, take_payload};
pub(crate) use header::FrameRules;

pub(crate) use mask::append_masked;

/// Appends one whole frame to `output`: header, then the payload, masked when
/// there is a masking key.
///
/// The cost is one copy of the payload, and its masking when there is a key: for a long payload
/// little more than the copy alone.
/// It does not check whether the frame is legal at this point of a connection.
///
/// ```
/// use yamabiko::websocket::frame::{Opcode, encode};
///
/// let mut output = Vec::new();
/// encode(true, Opcode::Text, None, b"Hello", &mut output);
/// assert_eq!(output, b"\x81\x05Hello");
/// ```
pub fn encode(
    fin: bool,
    opcode: Opcode,
    masking_key: Option<[u8; 4]>,
    payload: &[u8],
    output: &mut Vec<u8>,
) {
    encode_inline(fin, opcode, masking_key, payload, output);
}

/// [`encode`], inlined into the send path.
#[inline(always)]
pub(crate) fn encode_inline(
    fin: bool,
    opcode: Opcode,
    masking_key: Option<[u8; 4]>,
    payload: &[u8],
    output: &mut Vec<u8>,
) {
    let header = FrameHeader {
        fin,
        rsv: 0b000,
        opcode,
        masking_key,
        payload_length: payload.len() as u64,
    };
    header.encode_inline(output);
    //= https://www.rfc-editor.org/rfc/rfc6455#section-10.3
    //= type=implication
    //# the payload
    //# (application-supplied data) of that frame must not be capable of being
    //# modified by the application.
    match masking_key {
        None => output.extend_from_slice(payload),
        Some(key) => append_masked(payload, key, output),
    }
}

// Also obeyed by `encode_inline`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.3
//= type=implication
//# new or changed data must be
//# sent in a new frame and thus with a new masking key.
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.3
//= type=implication
//# once transmission of a frame begins, the contents must not
//# be modifiable by the remote script (application).
