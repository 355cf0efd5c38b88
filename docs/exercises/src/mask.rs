//! Exercise 1: masking (RFC 6455 §5.3).

/// XORs each byte of `payload` with a byte of `key`, which repeats after four bytes.
///
/// `offset`: how many bytes of the frame's payload came before this part. So masking `"Hel"`
/// with offset 0 and `"lo"` with offset 3 gives the same bytes as `"Hello"` with offset 0.
pub fn mask(payload: &mut [u8], key: [u8; 4], offset: usize) {
    let _ = (payload, key, offset);
    unimplemented!("exercise 1")
}
