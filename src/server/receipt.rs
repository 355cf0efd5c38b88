//! Receipts: how a thread that is no worker learns what a worker has done for it.
//!
//! ```text
//!   any thread                                    a worker
//!   ConnectionHandle::send ──── message, Reply ───▶ does it, and sets the result
//!   Receipt ◀────────────────────────────────────── drops the Reply
//! ```
//!
//! A [`Reply`] that is dropped tells the result that it has. So a receipt always gets one, also when the server ends with the
//! message still in a mailbox.
//!
//! Cost: an allocation, and a lock on each side.

use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The result of something that a worker does for another thread. A thread waits for it ([`Receipt::wait`]), and a task awaits
/// it: it is a future of any executor. Dropping it has no effect on what the worker does.
///
/// A [`Handler`](super::Handler) must not wait for it: the worker that would do it may be its own.
#[derive(Debug)]
pub struct Receipt<T> {
    shared: Arc<Shared<T>>,
}

/// The worker's side of a receipt, with the result that it tells when it is dropped.
#[derive(Debug)]
pub(super) struct Reply<T> {
    result: Option<T>,
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    told: Condvar,
}

#[derive(Debug)]
enum State<T> {
    Waits(Option<Waker>),
    Told(T),
    /// The result was taken.
    Taken,
}

/// A receipt, and the reply that tells `result` unless another one is set.
pub(super) fn receipt<T>(result: T) -> (Reply<T>, Receipt<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State::Waits(None)),
        told: Condvar::new(),
    });
    let reply = Reply {
        result: Some(result),
        shared: shared.clone(),
    };
    (reply, Receipt { shared })
}

impl<T> Reply<T> {
    /// The result that is told when the reply is dropped.
    pub(super) fn set(&mut self, result: T) {
        self.result = Some(result);
    }

    /// The result so far.
    pub(super) fn result_mut(&mut self) -> Option<&mut T> {
        self.result.as_mut()
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let Some(result) = self.result.take() else {
            return;
        };
        let before = std::mem::replace(&mut *self.shared.lock(), State::Told(result));
        self.shared.told.notify_all();
        if let State::Waits(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<T> Receipt<T> {
    /// Waits for the result.
    pub fn wait(self) -> T {
        loop {
            let woken = self
                .shared
                .told
                .wait_while(self.shared.lock(), |state| state.waits());
            let mut state = woken.unwrap_or_else(PoisonError::into_inner);
            if let Some(result) = state.take() {
                return result;
            }
        }
    }

    /// Waits for the result for at most this long.
    ///
    /// # Errors
    /// It has not come. The receipt is given back, to wait again.
    pub fn wait_timeout(self, timeout: Duration) -> Result<T, Receipt<T>> {
        let woken = self
            .shared
            .told
            .wait_timeout_while(self.shared.lock(), timeout, |state| state.waits());
        let (mut state, _) = woken.unwrap_or_else(PoisonError::into_inner);
        let result = state.take();
        drop(state);
        result.ok_or(self)
    }
}

/// Ready once, with the result. After that it stays pending, and waiting for it does not end.
impl<T> Future for Receipt<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut state = self.shared.lock();
        match state.take() {
            Some(result) => Poll::Ready(result),
            None => {
                if let State::Waits(waker) = &mut *state {
                    *waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

impl<T> Shared<T> {
    // The state is changed in one step, so a panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn waits(&self) -> bool {
        !matches!(self, State::Told(_))
    }

    fn take(&mut self) -> Option<T> {
        if self.waits() {
            return None;
        }
        match std::mem::replace(self, State::Taken) {
            State::Told(result) => Some(result),
            State::Waits(_) | State::Taken => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::thread;

    #[test]
    fn reply_tells_the_result_that_was_set_last_when_it_is_dropped() {
        let (mut reply, receipt) = receipt(1);
        reply.set(2);
        drop(reply);
        assert_eq!(receipt.wait(), 2);
    }

    #[test]
    fn reply_that_is_dropped_unset_tells_its_first_result() {
        let (reply, receipt) = receipt("nothing was done");
        drop(reply);
        assert_eq!(receipt.wait(), "nothing was done");
    }

    #[test]
    fn waiting_ends_when_another_thread_tells_the_result() {
        let (reply, receipt) = receipt(7);
        let waits = thread::spawn(move || receipt.wait());
        drop(reply);
        assert_eq!(waits.join().unwrap(), 7);
    }

    #[test]
    fn receipt_is_given_back_when_the_result_has_not_come_in_time() {
        let (reply, receipt) = receipt(7);
        let receipt = receipt.wait_timeout(Duration::from_millis(1)).unwrap_err();
        drop(reply);
        assert_eq!(receipt.wait_timeout(Duration::ZERO).unwrap(), 7);
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn task_that_polls_a_receipt_is_woken_once_and_gets_the_result_once() {
        let (reply, mut receipt) = receipt(7);
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let mut context = Context::from_waker(&waker);
        let mut poll = || Pin::new(&mut receipt).poll(&mut context);
        assert!(poll().is_pending());
        assert!(poll().is_pending());
        drop(reply);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert_eq!(poll(), Poll::Ready(7));
        assert!(poll().is_pending());
    }
}
