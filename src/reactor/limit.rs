//! A bound on connections that several reactors share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many connections may be open in all reactors that share it: see
/// [`ReactorConfig::connection_limit`](super::ReactorConfig). Cheap to clone; clones are
/// the same limit. A connection takes its place when it is accepted or adopted and gives
/// it back when its socket is closed, one atomic operation each.
#[derive(Clone, Debug)]
pub struct ConnectionLimit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    /// 0 ≤ open ≤ max
    open: AtomicUsize,
}

impl ConnectionLimit {
    /// A limit of which nothing is taken.
    #[must_use]
    pub fn new(max: usize) -> ConnectionLimit {
        let open = AtomicUsize::new(0);
        ConnectionLimit(Arc::new(Shared { max, open }))
    }

    /// How many places are taken.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// Takes a place, if there is one. Nothing is guarded by the count: any order will do.
    pub(super) fn take(&self) -> bool {
        let one_more = |open| (open < self.0.max).then_some(open + 1);
        let open = &self.0.open;
        open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .is_ok()
    }

    /// Gives back a place that was taken.
    pub(super) fn give_back(&self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_places_are_taken_as_there_are_and_each_is_given_back_once() {
        let limit = ConnectionLimit::new(2);
        let same = limit.clone();
        assert!(limit.take() && same.take());
        assert!(!limit.take() && !same.take());
        same.give_back();
        assert_eq!(limit.open(), 1);
        assert!(limit.take() && !limit.take());
        assert!(!ConnectionLimit::new(0).take());
    }

    #[test]
    fn threads_together_take_no_more_than_there_are() {
        let limit = ConnectionLimit::new(1000);
        let taken: usize = std::thread::scope(|scope| {
            let take_all = || (0..1000).filter(|_| limit.take()).count();
            let threads = [(); 3].map(|()| scope.spawn(take_all));
            threads.map(|thread| thread.join().unwrap()).iter().sum()
        });
        assert_eq!((taken, limit.open()), (1000, 1000));
    }
}
