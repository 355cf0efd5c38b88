//! Masking keys in bulk.
//!
//! Each frame needs a key that nobody can predict (RFC 6455 §5.3), from a load
//! generator too: what it sends may pass a proxy. One system call fetches 1,024
//! of them.

use std::io;

use super::error::Error;

/// Keys from the operating system, by the kilobyte.
pub(super) struct Keys {
    pool: Box<[u8; POOL_BYTES]>,
    used: usize,
}

impl Keys {
    /// # Errors
    /// The operating system has no randomness.
    pub(super) fn new() -> Result<Keys, Error> {
        let mut keys = Keys {
            pool: Box::new([0; POOL_BYTES]),
            used: 0,
        };
        fill(&mut keys.pool[..])?;
        Ok(keys)
    }

    /// A key that has not been used.
    ///
    /// # Panics
    /// If the operating system gave random bytes before, and gives none now.
    pub(super) fn next_key(&mut self) -> [u8; 4] {
        if let Some(key) = self.pool[self.used..].first_chunk() {
            self.used += key.len();
            return *key;
        }
        fill(&mut self.pool[..]).expect("the operating system gives random bytes");
        self.used = 0;
        self.next_key()
    }
}

/// Fills `bytes` with randomness of the operating system.
///
/// # Errors
/// It has none.
pub(super) fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|error| Error::Randomness(io::Error::other(error.to_string())))
}

const POOL_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn keys_do_not_repeat_when_the_pool_is_filled_again() {
        let mut keys = Keys::new().expect("randomness");
        let drawn: HashSet<_> = (0..POOL_BYTES).map(|_| keys.next_key()).collect();
        // 4,096 draws from 2³²: ten equal ones do not happen by chance.
        assert!(drawn.len() > POOL_BYTES - 10, "{}", drawn.len());
    }
}
