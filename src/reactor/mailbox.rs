//! Mailboxes: how other threads speak to a reactor.
//!
//! ```text
//!   post ──┐                                          ┌─ mail()
//!   post ──┼─► [ at most `capacity` ] ──swap──► batch ┼─ mail()
//!   post ──┘     first one wakes                      └─ mail()
//! ```
//!
//! A mailbox is one vector behind one mutex. Whoever posts into an empty one
//! wakes the reactor; whoever posts after that, until the reactor has come,
//! wakes nobody. The reactor swaps the full vector for an empty one, in one
//! lock, and delivers the batch without it. So the price of a message falls as
//! their rate rises, which is what workers that publish to each other need.
//!
//! Bounds: at most `capacity` wait, and as many again may be in the batch that
//! is being delivered. Nothing is dropped: mail that finds no room is given
//! back. Two posts by one thread arrive in their order; both vectors keep their
//! memory, so a mailbox in steady use does not allocate.
//!
//! Mail for a reactor that was dropped is dropped, too, so that what it holds (a
//! connection, for example) does not stay open for as long as a mailbox lives.
//!
//! What is absent: an answer (send a mailbox along), and news of a reactor that
//! has gone.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The posting end, cheap to clone and to send. See
/// [`Reactor::mailbox`](super::Reactor::mailbox).
///
/// ```
/// use yamabiko::reactor::{Full, Reactor, ReactorConfig};
///
/// let config = ReactorConfig { mailbox_capacity: 1, ..ReactorConfig::default() };
/// let reactor: Reactor<&str> = Reactor::new(config)?;
/// let mailbox = reactor.mailbox();
/// assert_eq!(mailbox.post("first"), Ok(()));
/// assert_eq!(mailbox.post("second"), Err(Full("second")));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Mailbox<M> {
    shared: Arc<Shared<M>>,
}

struct Shared<M> {
    waiting: Mutex<Waiting<M>>,
    capacity: usize,
    waker: mio::Waker,
}

struct Waiting<M> {
    /// 0 ≤ length ≤ capacity
    mail: Vec<M>,
    /// The reactor has been woken since it last came for its mail.
    woken: bool,
    /// The reactor has gone: `mail` stays empty.
    closed: bool,
}

/// The mailbox holds as much as it may; here is the mail back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Full<M>(
    /// What could not be posted.
    pub M,
);

impl<M> Mailbox<M> {
    pub(super) fn new(capacity: usize, waker: mio::Waker) -> Mailbox<M> {
        let waiting = Waiting {
            mail: Vec::new(),
            woken: false,
            closed: false,
        };
        Mailbox {
            shared: Arc::new(Shared {
                waiting: Mutex::new(waiting),
                capacity,
                waker,
            }),
        }
    }

    /// Posts one piece of mail, which
    /// [`Application::mail`](super::Application::mail) receives on the
    /// reactor's thread. Costs a lock, and a wake if it is the first.
    ///
    /// # Errors
    ///
    /// [`Full`] gives the mail back: the reactor does not keep up. Wait, or
    /// count it and let it go.
    pub fn post(&self, mail: M) -> Result<(), Full<M>> {
        let mut waiting = self.lock();
        if waiting.closed {
            // Not under the lock: what it holds may post when it is dropped.
            drop(waiting);
            drop(mail);
            return Ok(());
        }
        if waiting.mail.len() >= self.shared.capacity {
            return Err(Full(mail));
        }
        waiting.mail.push(mail);
        self.wake(waiting);
        Ok(())
    }

    /// Posts as much of `batch` as there is room for, from its front, under one
    /// lock and with at most one wake; what found no room stays in `batch`.
    /// Returns how many were posted.
    pub fn post_batch(&self, batch: &mut Vec<M>) -> usize {
        let mut waiting = self.lock();
        if waiting.closed {
            drop(waiting);
            return batch.drain(..).count();
        }
        let room = self.shared.capacity.saturating_sub(waiting.mail.len());
        let posted = room.min(batch.len());
        if posted > 0 {
            waiting.mail.extend(batch.drain(..posted));
            self.wake(waiting);
        }
        posted
    }

    /// Moves all that waits into `batch`, which is empty, and whose memory
    /// becomes the mailbox's next vector.
    pub(super) fn collect(&self, batch: &mut Vec<M>) {
        let mut waiting = self.lock();
        waiting.woken = false;
        std::mem::swap(&mut waiting.mail, batch);
    }

    /// The reactor has gone: drops all mail that waits, and all that is posted from now on.
    pub(super) fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        let mail = std::mem::take(&mut waiting.mail);
        drop(waiting);
        drop(mail);
    }

    /// Wakes the reactor once per batch, with the lock given up: the reactor is
    /// not to wake into a locked door. A wake that fails is left to the next
    /// post to try again.
    fn wake(&self, mut waiting: MutexGuard<'_, Waiting<M>>) {
        if std::mem::replace(&mut waiting.woken, true) {
            return;
        }
        drop(waiting);
        if self.shared.waker.wake().is_err() {
            self.lock().woken = false;
        }
    }

    /// A thread that panicked here left the vector whole: all that happens
    /// under the lock is to push and to swap.
    fn lock(&self) -> MutexGuard<'_, Waiting<M>> {
        self.shared
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Mailbox {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Mailbox")
            .field("waiting", &self.lock().mail.len())
            .field("capacity", &self.shared.capacity)
            .finish()
    }
}

impl<M> fmt::Debug for Full<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Full(..)")
    }
}

impl<M> fmt::Display for Full<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the mailbox is full")
    }
}

impl<M> std::error::Error for Full<M> {}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll, Token, Waker};
    use std::time::Duration;

    fn mailbox(capacity: usize) -> (Poll, Mailbox<u32>) {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(0)).unwrap();
        (poll, Mailbox::new(capacity, waker))
    }

    /// How many events a poll that does not sleep finds.
    fn wakes(poll: &mut Poll) -> usize {
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        events.iter().count()
    }

    #[test]
    fn a_mailbox_takes_its_capacity_and_gives_one_more_back() {
        let (_poll, mailbox) = mailbox(3);
        for mail in 0..3 {
            assert_eq!(mailbox.post(mail), Ok(()));
        }
        assert_eq!(mailbox.post(3), Err(Full(3)));
        let mut batch = Vec::new();
        mailbox.collect(&mut batch);
        assert_eq!(batch, [0, 1, 2]);
        assert_eq!(mailbox.post(3), Ok(()));
    }

    #[test]
    fn a_batch_is_posted_as_far_as_there_is_room_and_the_rest_stays() {
        let (_poll, mailbox) = mailbox(3);
        assert_eq!(mailbox.post(0), Ok(()));
        let mut batch = vec![1, 2, 3, 4];
        assert_eq!(mailbox.post_batch(&mut batch), 2);
        assert_eq!(batch, [3, 4]);
        assert_eq!(mailbox.post_batch(&mut batch), 0);
        assert_eq!(batch, [3, 4]);
        let mut collected = Vec::new();
        mailbox.collect(&mut collected);
        assert_eq!(collected, [0, 1, 2]);
    }

    #[test]
    fn only_the_first_post_of_a_batch_wakes() {
        let (mut poll, mailbox) = mailbox(8);
        assert_eq!(mailbox.post(0), Ok(()));
        assert_eq!(wakes(&mut poll), 1);
        assert_eq!(mailbox.post(1), Ok(()));
        assert_eq!(mailbox.post_batch(&mut vec![2, 3]), 2);
        assert_eq!(wakes(&mut poll), 0);
        mailbox.collect(&mut Vec::new());
        assert_eq!(mailbox.post(4), Ok(()));
        assert_eq!(wakes(&mut poll), 1);
    }

    #[test]
    fn mail_for_a_reactor_that_has_gone_is_dropped() {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(0)).unwrap();
        let mailbox = Mailbox::new(2, waker);
        let mail = Arc::new(());
        for _ in 0..2 {
            assert_eq!(mailbox.post(Arc::clone(&mail)), Ok(()));
        }
        mailbox.close();
        assert_eq!(Arc::strong_count(&mail), 1);
        for _ in 0..3 {
            assert_eq!(mailbox.post(Arc::clone(&mail)), Ok(()));
        }
        let mut batch = vec![Arc::clone(&mail); 3];
        assert_eq!(mailbox.post_batch(&mut batch), 3);
        assert!(batch.is_empty());
        assert_eq!(Arc::strong_count(&mail), 1);
    }

    #[test]
    fn an_empty_batch_wakes_nobody() {
        let (mut poll, mailbox) = mailbox(8);
        assert_eq!(mailbox.post_batch(&mut Vec::new()), 0);
        assert_eq!(wakes(&mut poll), 0);
    }
}
