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

use crate::reactor::{Mailbox, SocketKey};
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
#[derive(Clone, Debug)]
pub(super) enum Mail {
    /// To the room's home: put this in order.
    Publish(Published),
    /// From the room's home: this comes next.
    Deliver(Published),
    /// The server stops: look at the flag. If there is no room for this, other
    /// mail wakes the worker as well.
    Wake,
}

/// A message on its way between workers: encoded once, shared by all.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) room: Arc<str>,
    pub(super) frame: Arc<[u8]>,
    pub(super) except: Option<ConnectionId>,
}

impl Published {
    /// What it costs to keep.
    fn bytes(&self) -> usize {
        self.frame.len() + self.room.len() + size_of::<Mail>()
    }
}

/// Bytes of mail that each worker has not taken yet. Shared by all.
pub(super) type OnTheWay = Arc<[AtomicUsize]>;

/// A worker's mail.
pub(super) struct Post {
    mailboxes: Vec<Mailbox<Mail>>,
    outgoing: Vec<Outgoing>,
    on_the_way: OnTheWay,
    /// More than this on the way to one worker is congestion.
    on_the_way_bytes_max: usize,
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
    pub(super) fn new(
        mailboxes: Vec<Mailbox<Mail>>,
        on_the_way: OnTheWay,
        on_the_way_bytes_max: usize,
    ) -> Post {
        Post {
            outgoing: mailboxes.iter().map(|_| Outgoing::default()).collect(),
            mailboxes,
            on_the_way,
            on_the_way_bytes_max,
            taken_bytes: 0,
        }
    }

    pub(super) fn workers(&self) -> usize {
        self.mailboxes.len()
    }

    /// To the room's home, which is another worker.
    pub(super) fn send_home(&mut self, worker: usize, published: Published) {
        if let Some(outgoing) = self.outgoing.get_mut(worker) {
            outgoing.new_bytes += published.bytes();
            outgoing.waiting.push(Mail::Publish(published));
        }
    }

    /// From the room's home to all others.
    pub(super) fn send_to_others(&mut self, own: usize, published: &Published) {
        for (worker, outgoing) in self.outgoing.iter_mut().enumerate() {
            if worker != own {
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
    pub(super) fn flush(&mut self, own: usize) -> bool {
        if let Some(on_the_way) = self.on_the_way.get(own) {
            on_the_way.fetch_sub(self.taken_bytes, Ordering::Relaxed);
            self.taken_bytes = 0;
        }
        let mut rest_waits = false;
        for (worker, outgoing) in self.outgoing.iter_mut().enumerate() {
            if outgoing.waiting.is_empty() {
                continue;
            }
            // Before the mail can be taken, so that no count falls below zero.
            self.on_the_way[worker].fetch_add(outgoing.new_bytes, Ordering::Relaxed);
            outgoing.new_bytes = 0;
            self.mailboxes[worker].post_batch(&mut outgoing.waiting);
            rest_waits |= !outgoing.waiting.is_empty();
        }
        rest_waits
    }

    /// Whether so much is on the way to some worker that no more should be read
    /// from clients.
    pub(super) fn is_congested(&self) -> bool {
        let bytes = self.outgoing.iter().zip(self.on_the_way.iter());
        bytes
            .map(|(outgoing, posted)| outgoing.new_bytes + posted.load(Ordering::Relaxed))
            .any(|bytes| bytes > self.on_the_way_bytes_max)
    }
}
