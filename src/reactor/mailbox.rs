//! Mailboxes: other threads send messages to a reactor.
//!
//! ```text
//!   send ──┐                                          ┌─ message()
//!   send ──┼─► [ at most `capacity` ] ──swap──► batch ┼─ message()
//!   send ──┘    the first one wakes                   └─ message()
//! ```
//!
//! A mailbox is one vector behind one mutex. The thread that sends into an empty
//! mailbox wakes the reactor; until the reactor collects, further messages cost
//! no wake. The reactor swaps the full vector for an empty one under one lock,
//! and delivers the batch without it. So the cost of a message falls as the rate
//! rises, which is the case for workers that publish to each other.
//!
//! Bounds: at most `capacity` messages wait, and as many again can be in the batch
//! that is being delivered; [`Mailbox::send_all`] may exceed that, and its callers have
//! a limit of their own. Nothing is dropped: a message that finds no room is
//! returned to the sender. Two messages of one thread arrive in their order. Both
//! vectors keep their memory, so a mailbox in steady use does not allocate.
//!
//! Messages to a reactor that was dropped are dropped, so that a connection or
//! another resource in them does not stay open as long as the mailbox exists.
//!
//! Where it stops: there are no replies (put a mailbox into the message), and the
//! sender does not learn that the reactor is gone.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sending end, cheap to clone and to move to other threads. See
/// [`Reactor::mailbox`](super::Reactor::mailbox).
///
/// ```
/// use yamabiko::reactor::{Full, Reactor, ReactorConfig};
///
/// let config = ReactorConfig { mailbox_capacity: 1, ..ReactorConfig::default() };
/// let reactor: Reactor<&str> = Reactor::new(config)?;
/// let mailbox = reactor.mailbox();
/// assert_eq!(mailbox.send("first"), Ok(()));
/// assert_eq!(mailbox.send("second"), Err(Full("second")));
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
    /// 0 ≤ length ≤ capacity, if nobody uses `send_all`.
    messages: Vec<M>,
    /// The reactor has been woken since it last collected.
    woken: bool,
    /// The reactor is gone: `messages` stays empty.
    closed: bool,
}

/// The mailbox is full; the error returns the message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Full<M>(
    /// The message that was not sent.
    pub M,
);

impl<M> Mailbox<M> {
    pub(super) fn new(capacity: usize, waker: mio::Waker) -> Mailbox<M> {
        let waiting = Waiting {
            messages: Vec::new(),
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

    /// Sends one message, which
    /// [`Application::message`](super::Application::message) receives on the
    /// reactor's thread. Costs a lock, and a wake if the mailbox was empty.
    ///
    /// # Errors
    ///
    /// [`Full`] returns the message: the reactor does not keep up. Wait and try
    /// again, or count the message and drop it.
    pub fn send(&self, message: M) -> Result<(), Full<M>> {
        let mut waiting = self.lock();
        if waiting.closed {
            // Not under the lock: dropping the message may send another one.
            drop(waiting);
            drop(message);
            return Ok(());
        }
        if waiting.messages.len() >= self.shared.capacity {
            return Err(Full(message));
        }
        waiting.messages.push(message);
        self.wake(waiting);
        Ok(())
    }

    /// Sends messages from the front of `batch` while there is room, under one
    /// lock and with at most one wake. The others stay in `batch`. Returns how
    /// many were sent.
    pub fn send_batch(&self, batch: &mut Vec<M>) -> usize {
        let mut waiting = self.lock();
        if waiting.closed {
            drop(waiting);
            return batch.drain(..).count();
        }
        let room = self.shared.capacity.saturating_sub(waiting.messages.len());
        let sent = room.min(batch.len());
        if sent > 0 {
            waiting.messages.extend(batch.drain(..sent));
            self.wake(waiting);
        }
        sent
    }

    /// Sends all of these messages, also beyond the capacity, under one lock and with at most
    /// one wake: for senders that another measure stops when the reactor does not keep up, and
    /// that cannot take a message back.
    pub fn send_all(&self, messages: impl IntoIterator<Item = M>) {
        let mut waiting = self.lock();
        if waiting.closed {
            drop(waiting);
            messages.into_iter().for_each(drop);
            return;
        }
        let before = waiting.messages.len();
        waiting.messages.extend(messages);
        if waiting.messages.len() > before {
            self.wake(waiting);
        }
    }

    /// Whether as many messages wait as the mailbox takes.
    pub fn is_full(&self) -> bool {
        self.lock().messages.len() >= self.shared.capacity
    }

    /// Moves all waiting messages into `batch`, which is empty; its memory
    /// becomes the mailbox's next vector.
    pub(super) fn collect(&self, batch: &mut Vec<M>) {
        let mut waiting = self.lock();
        waiting.woken = false;
        std::mem::swap(&mut waiting.messages, batch);
    }

    /// The reactor is gone: drops the waiting messages, and every message sent from now on.
    pub(super) fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        let messages = std::mem::take(&mut waiting.messages);
        drop(waiting);
        drop(messages);
    }

    /// Wakes the reactor once per batch, after unlocking, to avoid contention. If
    /// the wake fails, the next message tries again.
    fn wake(&self, mut waiting: MutexGuard<'_, Waiting<M>>) {
        if std::mem::replace(&mut waiting.woken, true) {
            return;
        }
        drop(waiting);
        if self.shared.waker.wake().is_err() {
            self.lock().woken = false;
        }
    }

    /// A poisoned lock is used: only pushes and swaps happen under it, and a panic
    /// in one of them leaves the vector intact.
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
            .field("waiting", &self.lock().messages.len())
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
    fn mailbox_takes_its_capacity_and_returns_one_message_more() {
        let (_poll, mailbox) = mailbox(3);
        for message in 0..3 {
            assert_eq!(mailbox.send(message), Ok(()));
        }
        assert_eq!(mailbox.send(3), Err(Full(3)));
        let mut batch = Vec::new();
        mailbox.collect(&mut batch);
        assert_eq!(batch, [0, 1, 2]);
        assert_eq!(mailbox.send(3), Ok(()));
    }

    #[test]
    fn batch_is_sent_while_there_is_room_and_the_rest_stays() {
        let (_poll, mailbox) = mailbox(3);
        assert_eq!(mailbox.send(0), Ok(()));
        let mut batch = vec![1, 2, 3, 4];
        assert_eq!(mailbox.send_batch(&mut batch), 2);
        assert_eq!(batch, [3, 4]);
        assert_eq!(mailbox.send_batch(&mut batch), 0);
        assert_eq!(batch, [3, 4]);
        let mut collected = Vec::new();
        mailbox.collect(&mut collected);
        assert_eq!(collected, [0, 1, 2]);
    }

    #[test]
    fn only_the_first_message_of_a_batch_wakes() {
        let (mut poll, mailbox) = mailbox(8);
        assert_eq!(mailbox.send(0), Ok(()));
        assert_eq!(wakes(&mut poll), 1);
        assert_eq!(mailbox.send(1), Ok(()));
        assert_eq!(mailbox.send_batch(&mut vec![2, 3]), 2);
        assert_eq!(wakes(&mut poll), 0);
        mailbox.collect(&mut Vec::new());
        assert_eq!(mailbox.send(4), Ok(()));
        assert_eq!(wakes(&mut poll), 1);
    }

    #[test]
    fn messages_for_a_reactor_that_is_gone_are_dropped() {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(0)).unwrap();
        let mailbox = Mailbox::new(2, waker);
        let message = Arc::new(());
        for _ in 0..2 {
            assert_eq!(mailbox.send(Arc::clone(&message)), Ok(()));
        }
        mailbox.close();
        assert_eq!(Arc::strong_count(&message), 1);
        for _ in 0..3 {
            assert_eq!(mailbox.send(Arc::clone(&message)), Ok(()));
        }
        let mut batch = vec![Arc::clone(&message); 3];
        assert_eq!(mailbox.send_batch(&mut batch), 3);
        assert!(batch.is_empty());
        assert_eq!(Arc::strong_count(&message), 1);
    }

    #[test]
    fn empty_batch_does_not_wake() {
        let (mut poll, mailbox) = mailbox(8);
        assert_eq!(mailbox.send_batch(&mut Vec::new()), 0);
        assert_eq!(wakes(&mut poll), 0);
    }
}
