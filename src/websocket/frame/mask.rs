//! Masking: XOR with a four-byte key that the client draws for each frame
//! (RFC 6455 §5.3).
//!
//! The same function masks and unmasks. [`MaskingKeys`](crate::websocket::MaskingKeys)
//! explains why clients mask.
//!
//! [`mask_byte_by_byte`] is the RFC's sentence as code, and the test of the
//! fast one. [`mask`] takes four bytes at a time, the length of the key, and
//! the compiler makes vector instructions of it: ten times faster on 1 KiB.
//! Blocks written out by hand have been no faster at any size, and slower on
//! short payloads (`cargo bench --bench frame`).

/// Masks or unmasks `payload` in place.
///
/// `offset` is how many bytes of the frame's payload came before this piece,
/// so that a frame may be handled in pieces of any size.
///
/// ```
/// use yamabiko::websocket::frame::mask;
///
/// let key = [0x37, 0xfa, 0x21, 0x3d];
/// let mut payload = *b"Hello";
/// mask(&mut payload[..2], key, 0);
/// mask(&mut payload[2..], key, 2);
/// assert_eq!(payload, [0x7f, 0x9f, 0x4d, 0x51, 0x58]); // RFC 6455 §5.7
/// ```
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
//# The masking does not affect the length of the "Payload data".
pub fn mask(payload: &mut [u8], masking_key: [u8; 4], offset: usize) {
    let key = rotate(masking_key, offset);
    let key_word = u32::from_ne_bytes(key);
    let mut words = payload.chunks_exact_mut(4);
    for word in &mut words {
        if let [a, b, c, d] = *word {
            let masked = u32::from_ne_bytes([a, b, c, d]) ^ key_word;
            word.copy_from_slice(&masked.to_ne_bytes());
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// The same as [`mask`], in the form of the RFC: one byte after the other.
pub fn mask_byte_by_byte(payload: &mut [u8], masking_key: [u8; 4], offset: usize) {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
    //# Octet i of the transformed data ("transformed-octet-i") is the XOR of
    //# octet i of the original data ("original-octet-i") with octet at index
    //# i modulo 4 of the masking key
    for (i, byte) in payload.iter_mut().enumerate() {
        *byte ^= masking_key[(offset % 4 + i) % 4];
    }
}

/// The key as the byte at `offset` sees it first.
#[inline]
pub(super) fn rotate(masking_key: [u8; 4], offset: usize) -> [u8; 4] {
    // One instruction, which rotating the array is only when it is inlined.
    let key = u32::from_le_bytes(masking_key);
    key.rotate_right(8 * (offset % 4) as u32).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fast_masking_equals_the_obvious_loop(
            payload in prop::collection::vec(any::<u8>(), 0..300),
            key: [u8; 4],
            offset: usize,
        ) {
            let (mut fast, mut obvious) = (payload.clone(), payload);
            mask(&mut fast, key, offset);
            mask_byte_by_byte(&mut obvious, key, offset);
            prop_assert_eq!(fast, obvious);
        }
    }
}
