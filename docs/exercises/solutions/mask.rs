//! Exercise 1: masking (RFC 6455 §5.3).

/// XORs each byte of `payload` with a byte of `key`, which repeats after four bytes.
pub fn mask(payload: &mut [u8], key: [u8; 4], offset: usize) {
    for (index, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[(offset + index) % 4];
    }
}
