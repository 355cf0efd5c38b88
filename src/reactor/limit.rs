//! A limit of connections that several reactors share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The maximum number of open connections of all reactors that share it: see
/// [`ReactorConfig::connection_limit`](super::ReactorConfig). Clones are the same limit. A
/// connection is counted when it is accepted or adopted, and no longer when its socket is
/// closed: one atomic operation each.
#[derive(Clone, Debug)]
pub struct ConnectionLimit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    /// 0 ≤ open ≤ max
    open: AtomicUsize,
}

impl ConnectionLimit {
    /// A limit without open connections.
    #[must_use]
    pub fn new(max: usize) -> ConnectionLimit {
        let open = AtomicUsize::new(0);
        ConnectionLimit(Arc::new(Shared { max, open }))
    }

    /// How many connections are counted.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// Counts one more connection, if the limit allows it. The count protects no other
    /// memory, so the order of these operations does not matter.
    pub(super) fn acquire(&self) -> bool {
        let one_more = |open| (open < self.0.max).then_some(open + 1);
        let open = &self.0.open;
        open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .is_ok()
    }

    /// A counted connection has ended.
    pub(super) fn release(&self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_counts_up_to_its_maximum_and_down_once_for_each_connection() {
        let limit = ConnectionLimit::new(2);
        let same = limit.clone();
        assert!(limit.acquire() && same.acquire());
        assert!(!limit.acquire() && !same.acquire());
        same.release();
        assert_eq!(limit.open(), 1);
        assert!(limit.acquire() && !limit.acquire());
        assert!(!ConnectionLimit::new(0).acquire());
    }

    #[test]
    fn threads_together_do_not_exceed_the_limit() {
        let limit = ConnectionLimit::new(1000);
        let acquired: usize = std::thread::scope(|scope| {
            let acquire_all = || (0..1000).filter(|_| limit.acquire()).count();
            let threads = [(); 3].map(|()| scope.spawn(acquire_all));
            threads.map(|thread| thread.join().unwrap()).iter().sum()
        });
        assert_eq!((acquired, limit.open()), (1000, 1000));
    }
}
