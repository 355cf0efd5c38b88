//! What all threads of a node share about its engine: the node's name, ids for publications, and counts.

use super::message::NodeId;
use super::state::BackplaneCounts;
use crate::server::history::Position;
use crate::server::not_published::NotPublished;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A node's side of its engine. The counts are read one by one, so they may be of slightly different times.
#[derive(Debug)]
pub(in crate::server) struct Link {
    node: NodeId,
    /// The number of the last publication.
    publications: AtomicU64,
    published: AtomicU64,
    refused: AtomicU64,
    delivered: AtomicU64,
    duplicates: AtomicU64,
    gaps: AtomicU64,
    pending: AtomicU64,
    pending_bytes: AtomicUsize,
    rooms: AtomicU64,
}

impl Link {
    pub(in crate::server) fn new() -> Link {
        Link {
            node: NodeId::new(RandomState::new().hash_one("node")),
            publications: AtomicU64::new(0),
            published: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            gaps: AtomicU64::new(0),
            pending: AtomicU64::new(0),
            pending_bytes: AtomicUsize::new(0),
            rooms: AtomicU64::new(0),
        }
    }

    pub(in crate::server) fn node(&self) -> NodeId {
        self.node
    }

    /// A number for a publication that no other one has.
    pub(in crate::server) fn next_id(&self) -> u128 {
        let number = self.publications.fetch_add(1, Ordering::Relaxed);
        u128::from(self.node.get()) << 64 | u128::from(number)
    }

    /// A message of so many bytes begins its way to the engine.
    pub(in crate::server) fn begins(&self, bytes: usize) {
        self.pending.fetch_add(1, Ordering::Relaxed);
        self.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The engine has answered it.
    pub(in crate::server) fn ends(&self, bytes: usize, result: Result<Position, NotPublished>) {
        self.pending.fetch_sub(1, Ordering::Relaxed);
        self.pending_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let count = match result {
            Ok(_) => &self.published,
            Err(_) => &self.refused,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes of the messages that the engine has not answered.
    pub(in crate::server) fn pending_bytes(&self) -> usize {
        self.pending_bytes.load(Ordering::Relaxed)
    }

    /// The engine has told messages of a room that is wanted here, of which the room has had the first ones.
    pub(in crate::server) fn count_delivered(&self, known: usize, messages: usize) {
        let new = messages.saturating_sub(known);
        self.delivered.fetch_add(new as u64, Ordering::Relaxed);
        self.duplicates.fetch_add(known as u64, Ordering::Relaxed);
    }

    pub(in crate::server) fn count_gap(&self) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
    }

    /// An owner has subscribed to `now` rooms instead of `before`.
    pub(in crate::server) fn rooms_changed(&self, before: u64, now: u64) {
        self.rooms
            .fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }

    pub(in crate::server) fn counts(&self) -> BackplaneCounts {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        BackplaneCounts {
            published: load(&self.published),
            refused: load(&self.refused),
            delivered: load(&self.delivered),
            duplicates: load(&self.duplicates),
            gaps: load(&self.gaps),
            pending: load(&self.pending),
            pending_bytes: self.pending_bytes() as u64,
            rooms: load(&self.rooms),
            ..BackplaneCounts::default()
        }
    }
}
