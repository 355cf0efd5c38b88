//! Random bytes of the operating system.

use std::io;

use yamabiko::websocket::KeyBatch;

use super::error::Error;

/// Masking keys for the connections of one thread.
pub(super) type Keys = KeyBatch<fn(&mut [u8])>;

/// Masking keys. Each frame needs one that cannot be predicted (RFC 6455 §5.3), also a
/// load generator's: its frames may pass a proxy.
///
/// # Errors
/// The operating system returns no random bytes.
pub(super) fn keys() -> Result<Keys, Error> {
    fill(&mut [0; 4])?;
    Ok(KeyBatch::new(KEYS_PER_BATCH, |bytes| {
        fill(bytes).expect("the operating system returns random bytes");
    }))
}

/// Fills `bytes` with random bytes.
///
/// # Errors
/// The operating system returns none.
pub(super) fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|error| Error::Randomness(io::Error::other(error.to_string())))
}

/// The number of keys that one system call provides.
const KEYS_PER_BATCH: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use yamabiko::websocket::MaskingKeys;

    #[test]
    fn keys_do_not_repeat_within_or_across_batches() {
        let mut keys = keys().expect("random bytes");
        let drawn: HashSet<_> = (0..4 * KEYS_PER_BATCH).map(|_| keys.next_key()).collect();
        // Ten equal keys among 4,096 of 2³² do not occur by chance.
        assert!(drawn.len() > 4 * KEYS_PER_BATCH - 10, "{}", drawn.len());
    }
}
