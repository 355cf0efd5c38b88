//! A frame whose payload is compressed while it is written (RFC 7692 §6.1).

use super::frame::{FrameHeader, Opcode, mask};
use alloc::vec::Vec;

/// Appends a whole message as one frame with RSV1, if `compress` appends its payload.
/// `false`, and nothing is appended: `compress` did not.
///
/// `masking_key` is asked for a key only if there is a frame.
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//# An endpoint MUST use the following algorithm to send a message in the
//# form of a compressed message.
pub(super) fn write(
    opcode: Opcode,
    masking_key: impl FnOnce() -> Option<[u8; 4]>,
    compress: impl FnOnce(&mut Vec<u8>) -> bool,
    output: &mut Vec<u8>,
) -> bool {
    let start = output.len();
    if !compress(output) {
        return false;
    }
    let end = output.len();
    //= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
    //# PMCEs do not change the opcode field.
    let header = FrameHeader {
        fin: true,
        rsv: FrameHeader::RSV1,
        opcode,
        masking_key: masking_key(),
        payload_length: (end - start) as u64,
    };
    if let Some(key) = header.masking_key {
        mask(&mut output[start..], key, 0);
    }
    // The length of the header depends on the length of the payload behind it.
    header.encode(output);
    let header_bytes = output.len() - end;
    output[start..].rotate_right(header_bytes);
    true
}
