//! Compressors and decompressors that nobody is using, for each thread.
//!
//! They are large, and a message has them for microseconds. A connection takes one
//! for as long as a message needs it, and an idle one has none. The bounds are
//! those of what is kept: whoever asks when the pool is empty gets a new one.

use super::compress::MessageDeflater;
use super::inflate::Inflater;
use std::cell::RefCell;

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool::new()) };
}

/// Decompressors that a thread keeps: 64 KiB each. One is enough unless long
/// messages of several connections are under way.
const INFLATERS_MAX: usize = 4;

struct Pool {
    /// 0 ≤ length ≤ [`INFLATERS_MAX`]; boxed as they are handed out.
    #[allow(clippy::vec_box)]
    inflaters: Vec<Box<Inflater>>,
    deflater: Option<MessageDeflater>,
}

impl Pool {
    const fn new() -> Pool {
        Pool {
            inflaters: Vec::new(),
            deflater: None,
        }
    }
}

pub(super) fn take_inflater() -> Box<Inflater> {
    let pooled = with_pool(|pool| pool.inflaters.pop());
    pooled
        .flatten()
        .unwrap_or_else(|| Box::new(Inflater::new()))
}

pub(super) fn give_inflater(inflater: Box<Inflater>) {
    with_pool(|pool| {
        if pool.inflaters.len() < INFLATERS_MAX {
            pool.inflaters.push(inflater);
        }
    });
}

/// Has the thread's compressor do something at this level.
pub(crate) fn with_deflater<T>(level: u8, work: impl FnOnce(&mut MessageDeflater) -> T) -> T {
    let pooled = with_pool(|pool| pool.deflater.take()).flatten();
    let mut deflater = match pooled {
        Some(deflater) if deflater.level() == level => deflater,
        _ => MessageDeflater::new(level),
    };
    let done = work(&mut deflater);
    with_pool(|pool| pool.deflater = Some(deflater));
    done
}

/// `None` when the thread is ending and its pool is gone.
fn with_pool<T>(work: impl FnOnce(&mut Pool) -> T) -> Option<T> {
    POOL.try_with(|pool| work(&mut pool.borrow_mut())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_so_many_decompressors_and_no_more() {
        let taken: Vec<_> = (0..=INFLATERS_MAX).map(|_| take_inflater()).collect();
        taken.into_iter().for_each(give_inflater);
        assert_eq!(with_pool(|pool| pool.inflaters.len()), Some(INFLATERS_MAX));
        take_inflater();
        assert_eq!(
            with_pool(|pool| pool.inflaters.len()),
            Some(INFLATERS_MAX - 1)
        );
    }

    #[test]
    fn a_thread_keeps_one_compressor_of_the_level_that_was_asked_for_last() {
        with_deflater(3, |deflater| assert_eq!(deflater.level(), 3));
        with_deflater(5, |deflater| assert_eq!(deflater.level(), 5));
        let kept = with_pool(|pool| pool.deflater.as_ref().map(MessageDeflater::level));
        assert_eq!(kept, Some(Some(5)));
    }
}
