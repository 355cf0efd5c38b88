//! Subscriptions that begin in the past: what each has still to catch up, and the order in which they are served.
//!
//! ```text
//!   log        | kept: all cursors have passed it |
//!                       ^ subscribe_from           ^ head: "until"
//!                       └──── is catching up ──────┘
//! ```
//!
//! While a subscription catches up, the records before the head of that time are no lag: the log keeps them anyway. The lag counts
//! from `until` on, as for a subscription that began there.
//!
//! Cost: 16 bytes and an entry of two tables for each subscription that is catching up, nothing for the others.

use super::SubscriptionId;
use std::collections::{HashMap, HashSet, VecDeque};

/// The subscriptions of one log that are catching up.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    /// Where the log's head was when each of them began.
    until: HashMap<SubscriptionId, u64>,
    /// Those that have not been offered anything, or have taken all that was offered, in turn. Some may have ended.
    queue: VecDeque<SubscriptionId>,
    /// The same, so that each of them is in the queue once.
    queued: HashSet<SubscriptionId>,
}

impl CatchUp {
    pub(super) fn begin(&mut self, id: SubscriptionId, until: u64) {
        self.until.insert(id, until);
        self.queue(id);
    }

    /// The subscription is to be offered more.
    pub(super) fn queue(&mut self, id: SubscriptionId) {
        if self.queued.insert(id) {
            self.queue.push_back(id);
        }
    }

    /// Takes the next one that is to be offered something.
    pub(super) fn next(&mut self) -> Option<SubscriptionId> {
        let id = self.queue.pop_front()?;
        self.queued.remove(&id);
        Some(id)
    }

    /// Whether one is to be offered something.
    #[inline(always)]
    pub(super) fn waits(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The cursor of a subscription has moved.
    pub(super) fn moved(&mut self, id: SubscriptionId, cursor: u64) {
        if self.until.get(&id).is_some_and(|until| cursor >= *until) {
            self.until.remove(&id);
        }
    }

    /// A subscription has ended. A later one may get its id.
    pub(super) fn end(&mut self, id: SubscriptionId) {
        self.until.remove(&id);
    }

    /// From where on records count as lag for a subscription with this cursor.
    pub(super) fn lags_from(&self, id: SubscriptionId, cursor: u64) -> u64 {
        match self.until.is_empty() {
            true => cursor,
            false => self
                .until
                .get(&id)
                .map_or(cursor, |until| cursor.max(*until)),
        }
    }
}
