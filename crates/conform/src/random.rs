//! Random bytes for keys.

/// Bytes from the operating system. Without them, a fixed pattern: a suite without
/// randomness is still a suite, and its peer is at no risk.
pub(crate) fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0xA5; BYTES];
    let _ = getrandom::fill(&mut bytes);
    bytes
}
