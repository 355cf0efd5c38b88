//! What workers tell each other, and who they are.
//!
//! Each room has a home: the worker that puts its messages in order. A message
//! published elsewhere goes there first, and from there to every worker; all of
//! them append in that order, so that everyone in a room hears the same
//! conversation. Mail is collected during a turn and posted once, in a batch.

use crate::reactor::{Mailbox, SocketKey};
use std::fmt;
use std::sync::Arc;

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
    /// The server stops.
    Stop,
}

/// A message on its way between workers: encoded once, shared by all.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) room: Arc<str>,
    pub(super) frame: Arc<[u8]>,
    pub(super) except: Option<ConnectionId>,
}

/// A worker's outgoing mail.
pub(super) struct Post {
    mailboxes: Vec<Mailbox<Mail>>,
    /// For each worker, what is not posted yet; own place always empty.
    waiting: Vec<Vec<Mail>>,
    /// More than this waiting for one worker is congestion.
    waiting_max: usize,
}

impl Post {
    pub(super) fn new(mailboxes: Vec<Mailbox<Mail>>, waiting_max: usize) -> Post {
        let waiting = mailboxes.iter().map(|_| Vec::new()).collect();
        Post {
            mailboxes,
            waiting,
            waiting_max,
        }
    }

    pub(super) fn workers(&self) -> usize {
        self.mailboxes.len()
    }

    pub(super) fn send(&mut self, worker: usize, mail: Mail) {
        if let Some(waiting) = self.waiting.get_mut(worker) {
            waiting.push(mail);
        }
    }

    pub(super) fn send_to_others(&mut self, own: usize, published: &Published) {
        for worker in (0..self.workers()).filter(|&worker| worker != own) {
            self.send(worker, Mail::Deliver(published.clone()));
        }
    }

    /// Posts what the mailboxes have room for. The rest waits, in its order.
    /// Returns whether something does.
    pub(super) fn flush(&mut self) -> bool {
        for (mailbox, waiting) in self.mailboxes.iter().zip(&mut self.waiting) {
            if !waiting.is_empty() {
                mailbox.post_batch(waiting);
            }
        }
        self.waiting.iter().any(|waiting| !waiting.is_empty())
    }

    /// Whether so much waits that no more should be read from clients.
    pub(super) fn is_congested(&self) -> bool {
        self.waiting
            .iter()
            .any(|waiting| waiting.len() > self.waiting_max)
    }
}
