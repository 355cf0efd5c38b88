//! What workers tell each other, and who they are.
//!
//! Each room has a home: the worker that puts its messages in order. A message
//! published elsewhere goes there first, and from there to every worker; all of
//! them append in that order, so that everyone in a room hears the same
//! conversation. Mail is collected during a turn and posted once, in a batch.
//!
//! A worker cannot refuse mail, so its senders must not send more than it takes:
//! all of them see how many bytes are on the way to it, and when these are too
//! many they read no more from the clients that publish.

use super::publication::Published;
use crate::reactor::{AcceptedConnection, Full, Mailbox, SocketKey};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Names one connection for as long as the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    pub(super) worker: usize,
    pub(super) key: SocketKey,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:x}", self.worker, self.key.to_bits())
    }
}

/// One piece of mail.
#[derive(Debug)]
pub(super) enum Mail {
    /// To the room's home: put this in order.
    Publish(Published),
    /// From the room's home: this comes next.
    Deliver(Published),
    /// From the worker with the only listener: serve this connection.
    Serve(AcceptedConnection),
    /// The server stops: look at the flag. If there is no room for this, other
    /// mail wakes the worker as well.
    Wake,
}

/// The ways to all workers, for everyone who sends mail. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Mailboxes {
    mailboxes: Arc<[Mailbox<Mail>]>,
    /// Bytes posted to each worker that it has not taken yet.
    on_the_way: Arc<[AtomicUsize]>,
    /// More than this on the way to one worker is congestion.
    on_the_way_bytes_max: usize,
}

impl Mailboxes {
    pub(super) fn new(
        mailboxes: impl Iterator<Item = Mailbox<Mail>>,
        on_the_way_bytes_max: usize,
    ) -> Mailboxes {
        let mailboxes: Arc<[_]> = mailboxes.collect();
        Mailboxes {
            on_the_way: mailboxes.iter().map(|_| AtomicUsize::new(0)).collect(),
            mailboxes,
            on_the_way_bytes_max,
        }
    }

    pub(super) fn workers(&self) -> usize {
        self.mailboxes.len()
    }

    pub(super) fn wake_all(&self) {
        for mailbox in self.mailboxes.iter() {
            // A full one has woken its worker already.
            let _ = mailbox.send(Mail::Wake);
        }
    }

    /// From outside the workers, to the room's home. False: not posted, there is
    /// too much already.
    pub(super) fn publish(&self, home: usize, published: Published) -> bool {
        let (Some(mailbox), Some(on_the_way)) =
            (self.mailboxes.get(home), self.on_the_way.get(home))
        else {
            return false;
        };
        let bytes = published.bytes();
        if on_the_way.fetch_add(bytes, Ordering::Relaxed) <= self.on_the_way_bytes_max
            && mailbox.send(Mail::Publish(published)).is_ok()
        {
            return true;
        }
        on_the_way.fetch_sub(bytes, Ordering::Relaxed);
        false
    }
}

/// A worker's mail.
pub(super) struct Post {
    own: usize,
    mailboxes: Mailboxes,
    outgoing: Vec<Outgoing>,
    /// Bytes that this worker has taken in this turn.
    taken_bytes: usize,
}

/// What is not posted yet, for one worker; nothing for oneself.
#[derive(Default)]
struct Outgoing {
    waiting: Vec<Mail>,
    /// Bytes that do not count as on the way yet.
    new_bytes: usize,
}

impl Post {
    pub(super) fn new(own: usize, mailboxes: Mailboxes) -> Post {
        let outgoing = std::iter::repeat_with(Outgoing::default);
        Post {
            own,
            outgoing: outgoing.take(mailboxes.workers()).collect(),
            mailboxes,
            taken_bytes: 0,
        }
    }

    pub(super) fn workers(&self) -> usize {
        self.mailboxes.workers()
    }

    pub(super) fn wake_all(&self) {
        self.mailboxes.wake_all();
    }

    /// Has another worker serve a connection. Given back: this one has to, because the
    /// worker's mailbox is full or the worker is this one. Posted at once, so that never more
    /// connections wait for a worker than its mailbox takes.
    pub(super) fn hand_over(
        &self,
        worker: usize,
        connection: AcceptedConnection,
    ) -> Option<AcceptedConnection> {
        let mailbox = self.mailboxes.mailboxes.get(worker);
        let Some(mailbox) = mailbox.filter(|_| worker != self.own) else {
            return Some(connection);
        };
        match mailbox.send(Mail::Serve(connection)) {
            Err(Full(Mail::Serve(connection))) => Some(connection),
            _ => None,
        }
    }

    /// To the room's home, which is another worker.
    pub(super) fn send_home(&mut self, worker: usize, published: Published) {
        if let Some(outgoing) = self.outgoing.get_mut(worker) {
            outgoing.new_bytes += published.bytes();
            outgoing.waiting.push(Mail::Publish(published));
        }
    }

    /// From the room's home to all others.
    pub(super) fn send_to_others(&mut self, published: &Published) {
        for (worker, outgoing) in self.outgoing.iter_mut().enumerate() {
            if worker != self.own {
                outgoing.new_bytes += published.bytes();
                outgoing.waiting.push(Mail::Deliver(published.clone()));
            }
        }
    }

    /// This has come, and is no longer on the way.
    pub(super) fn take(&mut self, published: &Published) {
        self.taken_bytes += published.bytes();
    }

    /// Posts what the mailboxes have room for. The rest waits, in its order.
    /// Returns whether something does.
    pub(super) fn flush(&mut self) -> bool {
        let Mailboxes {
            mailboxes,
            on_the_way,
            ..
        } = &self.mailboxes;
        if let Some(own) = on_the_way.get(self.own) {
            own.fetch_sub(self.taken_bytes, Ordering::Relaxed);
            self.taken_bytes = 0;
        }
        let ways = mailboxes.iter().zip(on_the_way.iter());
        let mut rest_waits = false;
        for (outgoing, (mailbox, on_the_way)) in self.outgoing.iter_mut().zip(ways) {
            if outgoing.waiting.is_empty() {
                continue;
            }
            // Before the mail can be taken, so that no count falls below zero.
            on_the_way.fetch_add(outgoing.new_bytes, Ordering::Relaxed);
            outgoing.new_bytes = 0;
            mailbox.send_batch(&mut outgoing.waiting);
            rest_waits |= !outgoing.waiting.is_empty();
        }
        rest_waits
    }

    /// Whether so much waits to be posted to some worker that the rest of what has
    /// been read should wait, too. Cost: a comparison for each worker.
    pub(super) fn is_full(&self) -> bool {
        let bytes_max = self.mailboxes.on_the_way_bytes_max;
        self.outgoing
            .iter()
            .any(|outgoing| outgoing.new_bytes > bytes_max)
    }

    /// Whether so much is on the way to some worker that no more should be read
    /// from clients.
    pub(super) fn is_congested(&self) -> bool {
        let on_the_way = self.mailboxes.on_the_way.iter();
        let bytes = self.outgoing.iter().zip(on_the_way);
        bytes
            .map(|(outgoing, posted)| outgoing.new_bytes + posted.load(Ordering::Relaxed))
            .any(|bytes| bytes > self.mailboxes.on_the_way_bytes_max)
    }
}
