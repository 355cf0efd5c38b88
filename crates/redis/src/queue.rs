//! The publications that wait for the thread that sends them: workers put them in and never wait.
//!
//! Bounds: [`QueueLimits`]. Beyond them a publication is refused with [`NotPublished::BackplaneBehind`], so nothing that is in the
//! queue is reordered or dropped. What the thread has taken and Redis has not answered still counts.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use yamabiko::server::{BackplanePublication, NotPublished};

/// How much may wait for Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    pub(crate) publications: usize,
    pub(crate) bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Queue {
    limits: QueueLimits,
    state: Mutex<State>,
    /// There is something to do, or the queue is closed.
    changed: Condvar,
}

/// `publications` and `bytes` count what is in the queue, and what was taken and is not done.
#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    publications: usize,
    bytes: usize,
    /// The thread that receives is to be woken.
    wake: bool,
    /// Redis cannot be reached for so long that nothing waits for it any more.
    gone: bool,
    closed: bool,
}

/// A publication, and since when it waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) publication: BackplanePublication,
    pub(crate) since: Instant,
}

/// What the thread is to do.
#[derive(Debug)]
pub(crate) struct Taken {
    /// In the order in which they came.
    pub(crate) publications: Vec<Waiting>,
    pub(crate) wake: bool,
    pub(crate) closed: bool,
}

impl State {
    /// Why a publication is not taken. `None`: it is.
    fn refusal(
        &self,
        limits: &QueueLimits,
        publication: &BackplanePublication,
    ) -> Option<NotPublished> {
        if self.gone || self.closed {
            return Some(NotPublished::BackplaneGone);
        }
        let is_full = self.publications >= limits.publications
            || self.bytes.saturating_add(publication.bytes()) > limits.bytes;
        is_full.then_some(NotPublished::BackplaneBehind)
    }

    fn add(&mut self, waiting: Waiting) {
        self.publications += 1;
        self.bytes += waiting.publication.bytes();
        self.waiting.push_back(waiting);
    }
}

impl Queue {
    pub(crate) fn new(limits: QueueLimits) -> Queue {
        Queue {
            limits,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Adds publications, or refuses them. The thread that sends them is woken once.
    pub(crate) fn push(&self, publications: &mut dyn Iterator<Item = BackplanePublication>) {
        let since = Instant::now();
        // They are answered without the lock.
        let mut refused = Vec::new();
        let mut state = self.lock();
        for publication in publications {
            match state.refusal(&self.limits, &publication) {
                Some(reason) => refused.push((publication, reason)),
                None => state.add(Waiting { publication, since }),
            }
        }
        let has_some = !state.waiting.is_empty();
        drop(state);
        if has_some {
            self.changed.notify_one();
        }
        for (publication, reason) in refused {
            publication.refuse(reason);
        }
    }

    /// The thread that receives is to be woken.
    pub(crate) fn wake(&self) {
        self.lock().wake = true;
        self.changed.notify_one();
    }

    /// Takes publications of at most so many bytes, or one; waits until there is something to do, but not beyond this time.
    pub(crate) fn take(&self, publications_max: usize, bytes_max: usize, until: Instant) -> Taken {
        let mut state = self.lock();
        while state.waiting.is_empty() && !state.wake && !state.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut publications = Vec::new();
        let mut bytes = 0;
        while let Some(next) = state.waiting.front() {
            bytes += next.publication.bytes();
            let is_full = publications.len() >= publications_max || bytes > bytes_max;
            if is_full && !publications.is_empty() {
                break;
            }
            publications.extend(state.waiting.pop_front());
        }
        Taken {
            publications,
            wake: std::mem::take(&mut state.wake),
            closed: state.closed,
        }
    }

    /// Takes those that wait since before this time: Redis is gone for too long.
    pub(crate) fn take_older(&self, than: Instant) -> Vec<Waiting> {
        let mut state = self.lock();
        let older = state.waiting.partition_point(|one| one.since < than);
        state.waiting.drain(..older).collect()
    }

    /// Publications that were taken have been answered.
    pub(crate) fn done(&self, publications: usize, bytes: usize) {
        let mut state = self.lock();
        state.publications = state.publications.saturating_sub(publications);
        state.bytes = state.bytes.saturating_sub(bytes);
    }

    /// From now on everything is refused, or taken again.
    pub(crate) fn set_gone(&self, gone: bool) {
        self.lock().gone = gone;
    }

    /// Waits for this long, or until the queue is closed.
    pub(crate) fn pause(&self, time: Duration) {
        let state = self.lock();
        let is_open = |state: &mut State| !state.closed;
        drop(self.changed.wait_timeout_while(state, time, is_open));
    }

    /// The server has stopped: nothing more is taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// A poisoned lock is used: each step leaves the state whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
