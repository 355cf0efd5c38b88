//! Compressors and decompressors that no message needs at the moment.
//!
//! They are large, and a message needs them for microseconds. A connection takes one for as long as a message needs it,
//! and an idle connection has none. The bounds are those of what is kept: a message that finds the pool empty gets a new
//! one.

use super::compress::Deflater;
use super::inflater::{BLOCK_BYTES, Inflater};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use std::sync::{Arc, Mutex};

/// Compressors and decompressors for connections to share. Clones are the same pool.
///
/// Give the connections of one thread one pool. It never waits: a connection of another
/// thread that finds it in use makes a compressor or a decompressor of its own.
///
/// It keeps up to 4 decompressors of 47 KiB, a block of 64 KiB, and a compressor of 273
/// KiB or more (see the [costs](super#what-it-costs)). An unused pool is one small
/// allocation.
///
/// ```
/// use yamabiko::websocket::deflate::{DeflateParameters, DeflatePool};
/// use yamabiko::websocket::{Connection, Limits};
///
/// let pool = DeflatePool::default();
/// let agreed = DeflateParameters::default();
/// let connections = [(); 100].map(|()| {
///     Connection::server(Limits::default()).with_inflate(agreed, &pool)
/// });
/// # drop(connections);
/// ```
#[derive(Clone, Default)]
pub struct DeflatePool {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    kept: Mutex<Kept>,
    /// The most of a whole message that is inflated at once. `None`: all that has come of it.
    step_bytes: Option<usize>,
}

#[derive(Default)]
struct Kept {
    /// 0 ≤ length ≤ [`INFLATERS_MAX`]; boxed as they are handed out.
    #[allow(clippy::vec_box)]
    inflaters: Vec<Box<Inflater>>,
    /// [`BLOCK_BYTES`], into which the library inflates.
    block: Option<Box<[u8]>>,
    deflater: Option<Deflater>,
}

impl DeflatePool {
    /// A pool that no other connection shares.
    pub(crate) fn for_one_connection() -> Option<DeflatePool> {
        Some(DeflatePool::default())
    }

    /// A pool whose connections inflate at most so much of a message at once: for one thread that serves many of them. They stop in the
    /// middle of a message ([`Connection::inflates_on`](crate::websocket::Connection::inflates_on)). Not 0.
    #[cfg_attr(not(feature = "server"), allow(dead_code))]
    pub(crate) fn in_steps(step_bytes: usize) -> DeflatePool {
        let shared = Shared {
            step_bytes: Some(step_bytes),
            ..Shared::default()
        };
        DeflatePool {
            shared: shared.into(),
        }
    }

    pub(super) fn step_bytes(&self) -> usize {
        self.shared.step_bytes.unwrap_or(usize::MAX)
    }

    pub(super) fn take_inflater(&self) -> Box<Inflater> {
        let kept = self.with_kept(|kept| kept.inflaters.pop());
        kept.flatten().unwrap_or_else(|| Box::new(Inflater::new()))
    }

    pub(super) fn give_inflater(&self, inflater: Box<Inflater>) {
        self.with_kept(|kept| {
            if kept.inflaters.len() < INFLATERS_MAX {
                kept.inflaters.push(inflater);
            }
        });
    }

    /// Lends a block.
    pub(super) fn with_block<T>(&self, work: impl FnOnce(&mut [u8]) -> T) -> T {
        let kept = self.with_kept(|kept| kept.block.take()).flatten();
        let mut block = kept.unwrap_or_else(|| vec![0; BLOCK_BYTES].into_boxed_slice());
        let done = work(&mut block);
        self.with_kept(|kept| kept.block = Some(block));
        done
    }

    /// Lends a compressor of this level.
    pub(crate) fn with_deflater<T>(&self, level: u8, work: impl FnOnce(&mut Deflater) -> T) -> T {
        let kept = self.with_kept(|kept| kept.deflater.take()).flatten();
        let mut deflater = match kept {
            Some(deflater) if deflater.level() == level => deflater,
            _ => Deflater::new(level),
        };
        let done = work(&mut deflater);
        self.with_kept(|kept| kept.deflater = Some(deflater));
        done
    }

    #[cfg(test)]
    pub(super) fn decompressors(&self) -> usize {
        self.with_kept(|kept| kept.inflaters.len()).unwrap_or(0)
    }

    /// `None`: another thread is using the pool at this moment. The lock is held for a
    /// move, never for the work of a compressor.
    fn with_kept<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> Option<T> {
        self.shared
            .kept
            .try_lock()
            .ok()
            .map(|mut kept| work(&mut kept))
    }
}

/// Equal if they are the same pool.
impl PartialEq for DeflatePool {
    fn eq(&self, other: &DeflatePool) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for DeflatePool {}

impl fmt::Debug for DeflatePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeflatePool")
    }
}

/// Decompressors that a pool keeps: 47 KiB each. One is enough unless long messages of
/// several connections are under way.
const INFLATERS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pool_keeps_four_decompressors_and_no_more() {
        let pool = DeflatePool::default();
        let taken: Vec<_> = (0..=INFLATERS_MAX).map(|_| pool.take_inflater()).collect();
        taken.into_iter().for_each(|one| pool.give_inflater(one));
        let kept = || pool.with_kept(|kept| kept.inflaters.len());
        assert_eq!(kept(), Some(INFLATERS_MAX));
        let inflater = pool.take_inflater();
        assert_eq!(kept(), Some(INFLATERS_MAX - 1));
        drop(inflater);
    }

    #[test]
    fn pool_keeps_one_compressor_of_the_level_that_was_asked_for_last() {
        let pool = DeflatePool::default();
        pool.with_deflater(3, |deflater| assert_eq!(deflater.level(), 3));
        pool.with_deflater(5, |deflater| assert_eq!(deflater.level(), 5));
        let kept = pool.with_kept(|kept| kept.deflater.as_ref().map(Deflater::level));
        assert_eq!(kept, Some(Some(5)));
    }

    #[test]
    fn pool_that_another_thread_is_using_is_not_waited_for() {
        let pool = DeflatePool::default();
        pool.give_inflater(pool.take_inflater());
        let in_use = pool.shared.kept.lock();
        let inflater = pool.take_inflater();
        pool.give_inflater(inflater);
        drop(in_use);
        assert_eq!(pool.with_kept(|kept| kept.inflaters.len()), Some(1));
    }
}
