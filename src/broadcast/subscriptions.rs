//! The members of a room: a dense table that a flush walks, and slots that
//! stay valid while the table is rearranged.
//!
//! ```text
//!   table    | ready | ready | ready | ready | blocked | blocked |
//!                                            ^ready
//!   slots    [2, vacant, 0, 5, 1, 3, 4]      slot -> place in the table
//! ```
//!
//! The members whose sockets take bytes stand before those that wait for
//! theirs. So a flush passes no blocked member, and a look for slow ones
//! passes only those. Moving one over the border swaps two places.
//!
//! Cost: 24 bytes for a member and 4 for its slot; every operation is O(1).

/// A member's place in one room: given by [`Room::subscribe`](super::Room::subscribe),
/// valid until [`Room::unsubscribe`](super::Room::unsubscribe). After that the room may
/// give it to another member; while nobody has it, it names no one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptionId(u32);

impl SubscriptionId {
    /// The slot's number: small, dense, unique among a room's members.
    pub fn slot(self) -> u32 {
        self.0
    }
}

#[derive(Debug)]
pub(super) struct Member {
    /// What the layer above knows this member by.
    pub(super) key: u64,
    /// The log's position up to which this member has all that it is to get.
    pub(super) cursor: u64,
    pub(super) slot: u32,
}

impl Member {
    pub(super) fn subscription(&self) -> SubscriptionId {
        SubscriptionId(self.slot)
    }
}

#[derive(Debug, Default)]
pub(super) struct Members {
    table: Vec<Member>,
    /// The first so many of `table` are ready, the others blocked.
    ready: usize,
    /// Where in `table` each slot's member stands, or `VACANT`.
    places: Vec<u32>,
    vacant: Vec<u32>,
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// How many are ready: the places `0..ready()`.
    pub(super) fn ready(&self) -> usize {
        self.ready
    }

    pub(super) fn blocked(&self) -> &[Member] {
        &self.table[self.ready..]
    }

    /// A new member, ready, with its cursor at `cursor`.
    pub(super) fn join(&mut self, key: u64, cursor: u64) -> SubscriptionId {
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.places.push(VACANT);
            as_number(self.places.len() - 1)
        });
        let place = self.table.len();
        self.table.push(Member { key, cursor, slot });
        self.note_place(place);
        self.unblock(place);
        SubscriptionId(slot)
    }

    pub(super) fn leave(&mut self, mut place: usize) -> Member {
        if !self.is_blocked(place) {
            place = self.block(place);
        }
        let member = self.table.swap_remove(place);
        if place < self.table.len() {
            self.note_place(place);
        }
        self.places[member.slot as usize] = VACANT;
        self.vacant.push(member.slot);
        member
    }

    pub(super) fn place(&self, subscription: SubscriptionId) -> Option<usize> {
        let place = *self.places.get(subscription.0 as usize)?;
        (place != VACANT).then_some(place as usize)
    }

    pub(super) fn get(&self, place: usize) -> &Member {
        &self.table[place]
    }

    pub(super) fn get_mut(&mut self, place: usize) -> &mut Member {
        &mut self.table[place]
    }

    pub(super) fn is_blocked(&self, place: usize) -> bool {
        place >= self.ready
    }

    /// Moves a ready member over the border: to the first blocked place, which
    /// is returned. Another ready member takes its place, if there is one.
    pub(super) fn block(&mut self, place: usize) -> usize {
        self.ready -= 1;
        self.swap(place, self.ready);
        self.ready
    }

    /// Moves a blocked member over the border.
    pub(super) fn unblock(&mut self, place: usize) {
        self.swap(place, self.ready);
        self.ready += 1;
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.table.swap(one, other);
        self.note_place(one);
        self.note_place(other);
    }

    fn note_place(&mut self, place: usize) {
        let slot = self.table[place].slot;
        self.places[slot as usize] = as_number(place);
    }
}

const VACANT: u32 = u32::MAX;

/// A place or a slot as it is stored: there are fewer than `u32::MAX`, which
/// would take 120 GB of members.
fn as_number(index: usize) -> u32 {
    let number = u32::try_from(index).unwrap_or(VACANT);
    assert_ne!(number, VACANT, "a room of four thousand million members");
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members_of(keys: std::ops::Range<u64>) -> (Members, Vec<SubscriptionId>) {
        let mut members = Members::default();
        let subscriptions = keys.map(|key| members.join(key, 0)).collect();
        (members, subscriptions)
    }

    fn key(members: &Members, subscription: SubscriptionId) -> Option<u64> {
        members
            .place(subscription)
            .map(|place| members.get(place).key)
    }

    #[test]
    fn a_member_costs_24_bytes() {
        assert_eq!(size_of::<Member>(), 24);
    }

    #[test]
    fn slots_stay_valid_while_others_block_unblock_and_leave() {
        let (mut members, subscriptions) = members_of(0..5);
        members.block(members.place(subscriptions[1]).unwrap());
        members.block(members.place(subscriptions[3]).unwrap());
        members.leave(members.place(subscriptions[0]).unwrap());
        members.unblock(members.place(subscriptions[1]).unwrap());

        assert_eq!(key(&members, subscriptions[0]), None);
        for (index, subscription) in subscriptions.iter().enumerate().skip(1) {
            assert_eq!(key(&members, *subscription), Some(index as u64));
        }
        let blocked: Vec<u64> = members.blocked().iter().map(|member| member.key).collect();
        assert_eq!((blocked, members.ready(), members.len()), (vec![3], 3, 4));
    }

    #[test]
    fn a_slot_left_is_given_to_the_next_to_join() {
        let (mut members, subscriptions) = members_of(0..3);
        members.leave(members.place(subscriptions[1]).unwrap());
        let joined = members.join(7, 0);
        assert_eq!(joined, subscriptions[1]);
        assert_eq!(key(&members, joined), Some(7));
        assert_eq!(members.join(8, 0).slot(), 3);
    }

    #[test]
    fn one_who_joins_is_ready_though_others_are_blocked() {
        let (mut members, subscriptions) = members_of(0..2);
        members.block(members.place(subscriptions[0]).unwrap());
        let joined = members.join(2, 0);
        assert!(!members.is_blocked(members.place(joined).unwrap()));
        assert!(members.is_blocked(members.place(subscriptions[0]).unwrap()));
    }

    #[test]
    fn the_last_blocked_member_can_leave() {
        let (mut members, subscriptions) = members_of(0..2);
        for subscription in &subscriptions {
            members.block(members.place(*subscription).unwrap());
        }
        assert_eq!(
            members.leave(members.place(subscriptions[0]).unwrap()).key,
            0
        );
        assert_eq!(
            members.leave(members.place(subscriptions[1]).unwrap()).key,
            1
        );
        assert_eq!((members.len(), members.ready()), (0, 0));
        assert_eq!(key(&members, subscriptions[0]), None);
    }
}
