//! Long messages that are compressed in steps: when they come, in which order, and to whom.

use crate::broadcast::{Backlog, FlushBudget};
use crate::reactor::SocketKey;
use crate::server::lag::LagPolicy;
use crate::server::rooms::{
    PublisherWait, RoomTable, SharedMessage, SharedRooms, Subscription, Subscriptions,
};
use crate::time::Timestamp;
use crate::websocket::Message;
use crate::websocket::deflate::{DeflateConfig, WindowBits};
use std::collections::HashMap;
use std::sync::Arc;
use yamabiko_testing::deflate::letters;

/// What a turn compresses.
const STEP_BYTES: usize = 4 << 10;

/// A room table, its members, and what each of them has received.
struct Hall {
    rooms: RoomTable,
    members: HashMap<u64, Subscriptions>,
    received: HashMap<u64, Vec<u8>>,
}

impl Hall {
    fn new() -> Hall {
        Hall {
            rooms: RoomTable::new(
                Arc::new(|_: &str| LagPolicy::default()),
                SharedRooms::default(),
                Arc::default(),
                Some(DeflateConfig::default()),
            ),
            members: HashMap::new(),
            received: HashMap::new(),
        }
    }

    fn join(&mut self, member: u64, window: Option<WindowBits>) -> Subscription {
        let key = SocketKey::from_bits(member);
        let subscriptions = self.members.entry(member).or_default();
        let joined = self.rooms.subscribe("hall", key, window, subscriptions);
        joined.expect("there is no limit");
        subscriptions.as_slice()[0]
    }

    fn leave(&mut self, member: u64) {
        let subscriptions = self.members.remove(&member).unwrap_or_default();
        for &subscription in subscriptions.as_slice() {
            assert!(self.rooms.unsubscribe(subscription).is_none());
        }
    }

    fn publish(&mut self, payload: &[u8], except: Option<Subscription>) {
        self.rooms
            .append_local("hall", Message::Binary(payload), except);
    }

    /// The end of a turn, in which every socket takes all.
    fn end_turn(&mut self) {
        self.rooms.compress_owed(STEP_BYTES);
        self.flush();
    }

    fn flush(&mut self) {
        let dirty = self.rooms.take_dirty();
        for &log in &dirty {
            let write = |member: u64, backlog: Backlog<'_>| {
                let received = self.received.entry(member).or_default();
                backlog
                    .slices()
                    .for_each(|slice| received.extend_from_slice(slice));
                backlog.bytes()
            };
            let mut budget = FlushBudget::UNLIMITED;
            assert!(self.rooms.flush(log, Timestamp(0), &mut budget, write));
        }
        self.rooms.reuse_dirty(dirty);
    }

    /// Ends turns until nothing is owed. Returns how many.
    fn end_turns(&mut self) -> usize {
        let mut turns = 0;
        while self.rooms.owes_messages() {
            self.end_turn();
            turns += 1;
        }
        self.flush();
        turns
    }

    /// The frames that a member has received: whether each is compressed, and its payload's length.
    fn frames(&self, member: u64) -> Vec<(bool, usize)> {
        let mut rest = self.received.get(&member).map_or(&[][..], Vec::as_slice);
        let mut frames = Vec::new();
        while let [first, length, ..] = *rest {
            let (header_bytes, payload_bytes) = match length {
                126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
                127 => {
                    let length: [u8; 8] = rest[2..10].try_into().expect("8 bytes");
                    (10, u64::from_be_bytes(length) as usize)
                }
                length => (2, usize::from(length)),
            };
            frames.push((first & 0x40 != 0, payload_bytes));
            rest = &rest[header_bytes + payload_bytes..];
        }
        frames
    }
}

const DEFLATE: Option<WindowBits> = Some(WindowBits::MAX);

#[test]
fn message_of_16_kib_is_compressed_at_once_and_one_byte_more_in_steps_of_4_kib() {
    for (bytes, turns) in [(16 << 10, 0), ((16 << 10) + 1, 5), (20 << 10, 5)] {
        let mut hall = Hall::new();
        hall.join(1, DEFLATE);
        let before = hall.rooms.compressed_bytes();
        hall.publish(&letters(bytes), None);
        for turn in 0..turns {
            assert_eq!(hall.frames(1), [], "turn {turn}");
            assert!(hall.rooms.owes_messages());
            let before = hall.rooms.compressed_bytes();
            hall.end_turn();
            let step = (bytes - turn * STEP_BYTES).min(STEP_BYTES);
            assert_eq!(hall.rooms.compressed_bytes() - before, step);
        }
        hall.end_turn();
        assert!(!hall.rooms.owes_messages());
        let frames = hall.frames(1);
        assert!(matches!(frames[..], [(true, length)] if length < bytes * 3 / 4));
        assert_eq!(hall.rooms.compressed_bytes() - before, bytes);
    }
}

#[test]
fn subscriber_without_compression_gets_a_long_message_at_once() {
    let mut hall = Hall::new();
    hall.join(1, None);
    hall.join(2, DEFLATE);
    hall.publish(&letters(40_000), None);
    hall.flush();
    assert_eq!(hall.frames(1), [(false, 40_000)]);
    assert_eq!(hall.frames(2), []);
    assert_eq!(hall.end_turns(), 11);
    assert_eq!(hall.frames(1).len(), 1);
    assert_eq!(hall.frames(2).len(), 1);
}

#[test]
fn messages_behind_a_long_one_come_behind_it_in_every_encoding() {
    let narrow = WindowBits::new(9);
    let mut hall = Hall::new();
    hall.join(1, DEFLATE);
    hall.join(2, narrow);
    hall.publish(b"1", None);
    hall.publish(&letters(40_000), None);
    hall.publish(b"22", None);
    hall.end_turn();
    hall.publish(b"333", None);
    hall.publish(&letters(30_000), None);
    hall.publish(b"4444", None);
    hall.end_turns();
    for member in [1, 2] {
        let frames = hall.frames(member);
        let is_compressed: Vec<bool> = frames.iter().map(|frame| frame.0).collect();
        assert_eq!(is_compressed, [false, true, false, false, true, false]);
        assert!(frames[1].1 > frames[4].1);
        let short = [frames[0].1, frames[2].1, frames[3].1, frames[5].1];
        assert_eq!(short, [1, 2, 3, 4]);
    }
}

#[test]
fn long_message_that_does_not_shrink_comes_as_it_is() {
    let mut hall = Hall::new();
    hall.join(1, DEFLATE);
    let mut state = 7u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let noise: Vec<u8> = std::iter::repeat_with(next).take(50_000).collect();
    hall.publish(&noise, None);
    hall.publish(b"behind it", None);
    hall.end_turns();
    assert_eq!(hall.frames(1), [(false, 50_000), (false, 9)]);
}

#[test]
fn excepted_subscription_gets_no_long_message_and_one_with_its_id_does() {
    let mut hall = Hall::new();
    let excepted = hall.join(1, DEFLATE);
    hall.join(2, DEFLATE);
    hall.publish(&letters(20_000), Some(excepted));
    hall.end_turns();
    assert_eq!((hall.frames(1).len(), hall.frames(2).len()), (0, 1));
    // The excepted one ends before the message is ready.
    hall.publish(&letters(20_000), Some(excepted));
    hall.leave(1);
    assert_eq!(hall.join(3, DEFLATE), excepted);
    hall.publish(b"to all", None);
    hall.end_turns();
    assert_eq!((hall.frames(2).len(), hall.frames(3).len()), (3, 2));
}

#[test]
fn nothing_is_owed_to_a_room_without_subscribers() {
    let mut hall = Hall::new();
    hall.join(1, DEFLATE);
    hall.publish(&letters(20_000), None);
    hall.end_turn();
    assert!(hall.rooms.unflushed_bytes() > 20_000);
    hall.leave(1);
    assert!(!hall.rooms.owes_messages());
    assert_eq!(hall.rooms.unflushed_bytes(), 0);
    hall.join(2, DEFLATE);
    hall.publish(b"later", None);
    hall.end_turn();
    assert_eq!(hall.frames(2), [(false, 5)]);
}

#[test]
fn what_a_log_owes_is_appended_at_once_when_a_member_of_it_is_closed() {
    for turns in [0, 1, 10] {
        let mut hall = Hall::new();
        hall.join(1, DEFLATE);
        let before = hall.rooms.compressed_bytes();
        hall.publish(&letters(300_000), None);
        hall.publish(b"behind it", None);
        (0..turns).for_each(|_| hall.end_turn());
        let subscriptions = &hall.members[&1];
        hall.rooms.settle_all(subscriptions);
        assert!(!hall.rooms.owes_messages());
        // Nothing is compressed twice.
        assert_eq!(hall.rooms.compressed_bytes() - before, 300_000);
        hall.flush();
        let frames = hall.frames(1);
        assert!(matches!(frames[..], [(true, _), (false, 9)]));
    }
}

#[test]
fn publisher_waits_from_1_mib_of_a_log_on_that_is_not_compressed() {
    let mut hall = Hall::new();
    let log = hall.join(1, DEFLATE).log;
    let publishes = |hall: &mut Hall, bytes: usize| {
        hall.rooms.forget_publications();
        hall.publish(&letters(bytes), None);
        hall.rooms.take_publisher_wait()
    };
    assert_eq!(publishes(&mut hall, 500_000), None);
    let beside = hall.rooms.unflushed_bytes() as usize - 500_000;
    let missing = (1 << 20) - (500_000 + beside) - beside;
    assert_eq!(publishes(&mut hall, missing - 1), None);
    let wait = publishes(&mut hall, 64);
    assert_eq!(wait, Some(PublisherWait::Flush(log)));
    assert!(!hall.rooms.takes_messages());
    hall.end_turns();
    assert!(!hall.rooms.must_wait(&PublisherWait::Flush(log)));
    assert!(hall.rooms.takes_messages());
}

#[test]
fn logs_that_owe_are_served_in_turn() {
    let mut hall = Hall::new();
    hall.join(1, DEFLATE);
    let subscriptions = hall.members.entry(2).or_default();
    let key = SocketKey::from_bits(2);
    let joined = hall.rooms.subscribe("garden", key, DEFLATE, subscriptions);
    joined.expect("there is no limit");
    // The hall owes ten messages, the garden one.
    for _ in 0..10 {
        hall.publish(&letters(20_000), None);
    }
    let payload = letters(20_000);
    hall.rooms
        .append_local("garden", Message::Binary(&payload), None);
    while hall.frames(2).is_empty() {
        hall.end_turn();
    }
    assert_eq!(hall.frames(1).len(), 1);
}

/// The halls of two workers, each with a subscriber, and a long message for both.
fn halls_of_two_workers() -> ([Hall; 2], SharedMessage) {
    let halls = [1, 2].map(|member| {
        let mut hall = Hall::new();
        hall.join(member, DEFLATE);
        hall
    });
    let payload = letters(30_000);
    let message = SharedMessage::new("hall", Message::Binary(&payload), None, true);
    (halls, message)
}

#[test]
fn one_worker_compresses_a_long_message_and_the_others_wait_for_the_frame() {
    let ([mut first, mut second], message) = halls_of_two_workers();
    for hall in [&mut first, &mut second] {
        hall.rooms.append_shared(&message, None);
        hall.end_turn();
    }
    assert!(first.rooms.can_go_on());
    assert!(second.rooms.owes_messages() && !second.rooms.can_go_on());
    first.end_turns();
    second.end_turn();
    assert!(!second.rooms.owes_messages());
    assert_eq!(second.rooms.compressed_bytes(), 0);
    assert_eq!(first.received[&1], second.received[&2]);
    assert_eq!(second.frames(2).len(), 1);
}

#[test]
fn worker_that_loses_its_last_subscriber_leaves_a_long_message_to_the_next_one() {
    let ([mut first, mut second], message) = halls_of_two_workers();
    for hall in [&mut first, &mut second] {
        hall.rooms.append_shared(&message, None);
        hall.end_turn();
    }
    first.leave(1);
    assert!(!first.rooms.owes_messages());
    second.end_turns();
    assert!(second.rooms.compressed_bytes() >= 30_000);
    assert!(matches!(second.frames(2)[..], [(true, _)]));
}
