//! The subscriptions of a log: a dense table that a flush walks, and ids that
//! stay valid while the table is reordered.
//!
//! ```text
//!   table      | ready | ready | ready | ready | blocked | blocked |
//!                              ^offered        ^ready
//!   indices    [2, vacant, 0, 5, 1, 3, 4]      slot -> index in the table
//! ```
//!
//! A subscription is *ready* if its socket accepts bytes, and *blocked* if its
//! socket accepted less than it was offered. Ready subscriptions stand before
//! blocked ones. So a flush visits no blocked subscription, and a search for slow
//! ones visits only these. Moving a subscription from one part to the other swaps
//! two entries.
//!
//! A flush may stop in the middle of the ready ones. It has *offered* the first of them what was new; the next flush begins with the others.
//!
//! Cost: 24 bytes for a subscription and 4 for its slot; every operation is O(1).

/// Names one subscription of one log: returned by
/// [`SharedLog::subscribe`](super::SharedLog::subscribe), valid until
/// [`SharedLog::unsubscribe`](super::SharedLog::unsubscribe). After that the log may give the
/// same id to a new subscription; until then the id names no subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptionId(u32);

impl SubscriptionId {
    /// The number of the slot: small, dense, unique among the log's subscriptions.
    pub fn slot(self) -> u32 {
        self.0
    }
}

/// A cursor in the log, for one connection.
#[derive(Debug)]
pub(super) struct Subscription {
    key: u64,
    cursor: u64,
    slot: u32,
}

impl Subscription {
    pub(super) fn id(&self) -> SubscriptionId {
        SubscriptionId(self.slot)
    }

    /// The caller's number for the connection.
    #[inline(always)]
    pub(super) fn key(&self) -> u64 {
        self.key
    }

    /// Everything before this position of the log has been written or is excluded.
    #[inline(always)]
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    #[inline(always)]
    pub(super) fn slot(&self) -> u32 {
        self.slot
    }

    #[inline(always)]
    pub(super) fn move_to(&mut self, position: u64) {
        self.cursor = position;
    }
}

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    table: Vec<Subscription>,
    /// `table[..ready]` are ready, `table[ready..]` are blocked.
    ready: usize,
    /// `table[..offered]` were visited by a flush that has not visited all ready ones. 0 ≤ offered ≤ ready
    offered: usize,
    /// For each slot the index of its subscription in `table`, or `VACANT`.
    indices: Vec<u32>,
    /// The slots without a subscription.
    vacant: Vec<u32>,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// How many are ready: the indices `0..ready()`.
    pub(super) fn ready(&self) -> usize {
        self.ready
    }

    /// How many of the ready ones the current flush has visited: the indices `0..offered()`.
    #[inline(always)]
    pub(super) fn offered(&self) -> usize {
        self.offered
    }

    /// The flush has visited the next one, and it stays ready.
    #[inline(always)]
    pub(super) fn advance_offered(&mut self) {
        self.offered += 1;
    }

    /// The flush has visited all of them.
    pub(super) fn end_offers(&mut self) {
        self.offered = 0;
    }

    pub(super) fn all(&self) -> &[Subscription] {
        &self.table
    }

    pub(super) fn blocked(&self) -> &[Subscription] {
        &self.table[self.ready..]
    }

    /// A new subscription, ready, with its cursor at `cursor`.
    pub(super) fn add(&mut self, key: u64, cursor: u64) -> SubscriptionId {
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.indices.push(VACANT);
            as_number(self.indices.len() - 1)
        });
        let index = self.table.len();
        self.table.push(Subscription { key, cursor, slot });
        self.note_index(index);
        self.unblock(index);
        SubscriptionId(slot)
    }

    pub(super) fn remove(&mut self, mut index: usize) -> Subscription {
        if !self.is_blocked(index) {
            index = self.block(index);
        }
        let subscription = self.table.swap_remove(index);
        if index < self.table.len() {
            self.note_index(index);
        }
        self.indices[subscription.slot as usize] = VACANT;
        self.vacant.push(subscription.slot);
        subscription
    }

    pub(super) fn index(&self, id: SubscriptionId) -> Option<usize> {
        let index = *self.indices.get(id.0 as usize)?;
        (index != VACANT).then_some(index as usize)
    }

    pub(super) fn get(&self, index: usize) -> &Subscription {
        &self.table[index]
    }

    pub(super) fn get_mut(&mut self, index: usize) -> &mut Subscription {
        &mut self.table[index]
    }

    pub(super) fn is_blocked(&self, index: usize) -> bool {
        index >= self.ready
    }

    /// Makes a ready subscription the first blocked one and returns its new index.
    /// The last ready one, and possibly the last offered one, move.
    pub(super) fn block(&mut self, mut index: usize) -> usize {
        if index < self.offered {
            self.offered -= 1;
            self.swap(index, self.offered);
            index = self.offered;
        }
        self.ready -= 1;
        self.swap(index, self.ready);
        self.ready
    }

    /// Makes a blocked subscription the last ready one, which is not offered.
    pub(super) fn unblock(&mut self, index: usize) {
        self.swap(index, self.ready);
        self.ready += 1;
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.table.swap(one, other);
        self.note_index(one);
        self.note_index(other);
    }

    fn note_index(&mut self, index: usize) {
        let slot = self.table[index].slot;
        self.indices[slot as usize] = as_number(index);
    }
}

const VACANT: u32 = u32::MAX;

/// An index or a slot as it is stored: there are fewer than `u32::MAX`, since so
/// many subscriptions would take 120 GB.
fn as_number(index: usize) -> u32 {
    let number = u32::try_from(index).unwrap_or(VACANT);
    assert_ne!(number, VACANT, "a log has 2^32 - 1 subscriptions");
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriptions_of(keys: std::ops::Range<u64>) -> (Subscriptions, Vec<SubscriptionId>) {
        let mut subscriptions = Subscriptions::default();
        let ids = keys.map(|key| subscriptions.add(key, 0)).collect();
        (subscriptions, ids)
    }

    fn index(subscriptions: &Subscriptions, id: SubscriptionId) -> usize {
        subscriptions.index(id).expect("the id is in use")
    }

    fn key(subscriptions: &Subscriptions, id: SubscriptionId) -> Option<u64> {
        let index = subscriptions.index(id)?;
        Some(subscriptions.get(index).key)
    }

    #[test]
    fn subscription_takes_24_bytes_and_20_on_32_bit_systems() {
        let expected = if cfg!(target_pointer_width = "64") {
            24
        } else {
            20
        };
        assert_eq!(size_of::<Subscription>(), expected);
    }

    #[test]
    fn ids_stay_valid_while_others_are_blocked_unblocked_and_removed() {
        let (mut subscriptions, ids) = subscriptions_of(0..5);
        subscriptions.block(index(&subscriptions, ids[1]));
        subscriptions.block(index(&subscriptions, ids[3]));
        subscriptions.remove(index(&subscriptions, ids[0]));
        subscriptions.unblock(index(&subscriptions, ids[1]));

        assert_eq!(key(&subscriptions, ids[0]), None);
        for (number, id) in ids.iter().enumerate().skip(1) {
            assert_eq!(key(&subscriptions, *id), Some(number as u64));
        }
        let blocked: Vec<u64> = subscriptions.blocked().iter().map(|one| one.key).collect();
        assert_eq!(
            (blocked, subscriptions.ready(), subscriptions.len()),
            (vec![3], 3, 4)
        );
    }

    #[test]
    fn offered_ones_stay_before_the_others_while_any_are_blocked_removed_and_added() {
        let (mut subscriptions, ids) = subscriptions_of(0..6);
        (0..3).for_each(|_| subscriptions.advance_offered());
        let offered = |subscriptions: &Subscriptions| {
            let table = &subscriptions.table[..subscriptions.offered()];
            let mut keys: Vec<u64> = table.iter().map(|one| one.key).collect();
            keys.sort_unstable();
            keys
        };
        assert_eq!(offered(&subscriptions), [0, 1, 2]);
        subscriptions.block(index(&subscriptions, ids[1]));
        subscriptions.block(index(&subscriptions, ids[4]));
        assert_eq!(offered(&subscriptions), [0, 2]);
        subscriptions.unblock(index(&subscriptions, ids[1]));
        subscriptions.remove(index(&subscriptions, ids[0]));
        subscriptions.remove(index(&subscriptions, ids[5]));
        subscriptions.add(7, 0);
        assert_eq!(offered(&subscriptions), [2]);
        assert_eq!((subscriptions.ready(), subscriptions.len()), (4, 5));
        for id in [1, 2, 3, 4] {
            assert_eq!(key(&subscriptions, ids[id]), Some(id as u64));
        }
        subscriptions.end_offers();
        assert!(offered(&subscriptions).is_empty());
    }

    #[test]
    fn removed_id_is_given_to_the_next_subscription() {
        let (mut subscriptions, ids) = subscriptions_of(0..3);
        subscriptions.remove(index(&subscriptions, ids[1]));
        let added = subscriptions.add(7, 0);
        assert_eq!(added, ids[1]);
        assert_eq!(key(&subscriptions, added), Some(7));
        assert_eq!(subscriptions.add(8, 0).slot(), 3);
    }

    #[test]
    fn new_subscription_is_ready_while_others_are_blocked() {
        let (mut subscriptions, ids) = subscriptions_of(0..2);
        subscriptions.block(index(&subscriptions, ids[0]));
        let added = subscriptions.add(2, 0);
        assert!(!subscriptions.is_blocked(index(&subscriptions, added)));
        assert!(subscriptions.is_blocked(index(&subscriptions, ids[0])));
    }

    #[test]
    fn last_blocked_subscription_can_be_removed() {
        let (mut subscriptions, ids) = subscriptions_of(0..2);
        for id in &ids {
            subscriptions.block(index(&subscriptions, *id));
        }
        for (number, id) in ids.iter().enumerate() {
            let removed = subscriptions.remove(index(&subscriptions, *id));
            assert_eq!(removed.key, number as u64);
        }
        assert_eq!((subscriptions.len(), subscriptions.ready()), (0, 0));
        assert_eq!(key(&subscriptions, ids[0]), None);
    }
}
