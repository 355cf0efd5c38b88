//! What rooms keep, at each limit and one past it.

use crate::broadcast::{Backlog, FlushBudget};
use crate::reactor::SocketKey;
use crate::server::backplane::BackplaneMessage;
use crate::server::config::RoomLimits;
use crate::server::history::{Gap, HistoryLimits, Position, Replay, Replayed, RoomHistory};
use crate::server::lag::LagPolicy;
use crate::server::rooms::{
    HistoryRules, RoomCensus, RoomTable, SharedMessage, SharedRooms, Subscriptions,
};
use crate::time::Timestamp;
use crate::websocket::Message;
use crate::websocket::deflate::{DeflateConfig, WindowBits};
use std::sync::Arc;
use std::time::Duration;
use yamabiko_testing::deflate::letters;

const EPOCH: u64 = 7;
const DEFLATE: Option<WindowBits> = Some(WindowBits::MAX);

/// Each frame has two bytes of header.
const FRAME: u64 = 5;

fn rooms(limits: HistoryLimits, history: RoomHistory) -> RoomTable {
    let rules = HistoryRules {
        limits,
        epoch: EPOCH,
        of_room: Box::new(move |room| (!room.starts_with('!')).then_some(history)),
        erases: Box::new(|_, _| None),
        numbered: Box::new(|_, _, _| None),
        shares: Some(Box::new(|room| room.starts_with("shared"))),
    };
    RoomTable::new(
        Arc::new(|_: &str| LagPolicy::default()),
        SharedRooms::new(RoomCensus::new(RoomLimits::default(), false), Some(rules)),
        Arc::default(),
        Some(DeflateConfig::default()),
    )
}

fn keeping(history: RoomHistory) -> RoomTable {
    rooms(HistoryLimits::default(), history)
}

fn publish(rooms: &mut RoomTable, room: &str, messages: usize) {
    for _ in 0..messages {
        rooms.append_local(room, Message::Text("abc"), None);
    }
}

/// The end of a turn, in which every socket takes all.
fn end_turn(rooms: &mut RoomTable, now: u64) {
    let now = Timestamp(now);
    let dirty = rooms.take_dirty();
    for &log in &dirty {
        let mut budget = FlushBudget::UNLIMITED;
        assert!(rooms.flush(log, now, &mut budget, |_, backlog| backlog.bytes()));
        if rooms.keeps(log) {
            assert!(rooms.catch_up(log, now, &mut budget, |_, backlog| backlog.bytes()));
        }
    }
    rooms.reuse_dirty(dirty);
    rooms.take_due(now);
}

/// Joins with this cursor, and leaves again. Returns how it began, and how many bytes it was offered.
fn look(
    rooms: &mut RoomTable,
    room: &str,
    replay: Replay,
    window: Option<WindowBits>,
) -> (Replayed, usize) {
    let (mut subscriptions, key) = (Subscriptions::default(), SocketKey::from_bits(99));
    let head = rooms.history_head(room);
    let replayed = rooms.subscribe_from(room, replay, head, key, window, &mut subscriptions);
    let mut bytes = 0;
    let dirty = rooms.take_dirty();
    for &log in &dirty {
        let mut budget = FlushBudget::UNLIMITED;
        let mut take = |_, backlog: Backlog<'_>| {
            bytes += backlog.bytes();
            backlog.bytes()
        };
        rooms.flush(log, Timestamp(0), &mut budget, &mut take);
        if rooms.keeps(log) {
            rooms.catch_up(log, Timestamp(0), &mut budget, &mut take);
        }
    }
    for &subscription in subscriptions.as_slice() {
        assert!(rooms.unsubscribe(subscription).is_none());
    }
    (replayed.expect("there is no limit"), bytes)
}

fn latest(rooms: &mut RoomTable, room: &str) -> u64 {
    let (replayed, bytes) = look(rooms, room, Replay::Latest(u64::MAX), None);
    assert_eq!(bytes as u64, FRAME * replayed.messages);
    replayed.messages
}

fn after(rooms: &mut RoomTable, room: &str, offset: u64) -> (u64, Gap) {
    let replay = Replay::After(Position::new(EPOCH, offset));
    let (replayed, _) = look(rooms, room, replay, None);
    (replayed.messages, replayed.gap)
}

#[test]
fn room_keeps_messages_up_to_their_number_and_not_one_more() {
    let mut rooms = keeping(RoomHistory {
        messages_max: 4,
        ..RoomHistory::default()
    });
    publish(&mut rooms, "hall", 4);
    assert_eq!(latest(&mut rooms, "hall"), 4);
    publish(&mut rooms, "hall", 1);
    assert_eq!(latest(&mut rooms, "hall"), 4);
    assert_eq!(after(&mut rooms, "hall", 1), (4, Gap::None));
    assert_eq!(after(&mut rooms, "hall", 0), (4, Gap::Forgotten));
    assert_eq!(after(&mut rooms, "hall", 5), (0, Gap::None));
    assert_eq!(after(&mut rooms, "hall", 6), (4, Gap::Forgotten));
}

#[test]
fn room_keeps_messages_up_to_their_bytes_and_not_one_more() {
    for (bytes_max, expected) in [(4 * FRAME - 1, 3), (4 * FRAME, 4), (4 * FRAME + 1, 4)] {
        let mut rooms = keeping(RoomHistory {
            bytes_max,
            ..RoomHistory::default()
        });
        publish(&mut rooms, "hall", 9);
        assert_eq!(latest(&mut rooms, "hall"), expected);
    }
    let mut none = keeping(RoomHistory {
        bytes_max: 0,
        ..RoomHistory::default()
    });
    publish(&mut none, "hall", 2);
    assert_eq!(after(&mut none, "hall", 1), (0, Gap::Forgotten));
    assert_eq!(after(&mut none, "hall", 2), (0, Gap::None));
}

#[test]
fn messages_are_dropped_past_their_age_and_not_at_it() {
    let mut rooms = keeping(RoomHistory {
        age_max: Some(Duration::from_millis(160)),
        ..RoomHistory::default()
    });
    publish(&mut rooms, "hall", 3);
    end_turn(&mut rooms, 1000);
    assert_eq!(rooms.next_due(), Some(Timestamp(1161)));
    publish(&mut rooms, "hall", 2);
    end_turn(&mut rooms, 1100);
    end_turn(&mut rooms, 1160);
    assert_eq!(latest(&mut rooms, "hall"), 5);
    end_turn(&mut rooms, 1161);
    assert_eq!(latest(&mut rooms, "hall"), 2);
    assert_eq!(rooms.next_due(), Some(Timestamp(1261)));
    end_turn(&mut rooms, 1261);
    assert_eq!((latest(&mut rooms, "hall"), rooms.next_due()), (0, None));
    assert_eq!(after(&mut rooms, "hall", 4), (0, Gap::Forgotten));
    assert_eq!(after(&mut rooms, "hall", 5), (0, Gap::None));
}

#[test]
fn rooms_without_subscribers_are_forgotten_beyond_their_limit_and_no_offset_is_used_twice() {
    let limits = HistoryLimits {
        rooms_max: 2,
        ..HistoryLimits::default()
    };
    let mut rooms = rooms(limits, RoomHistory::default());
    publish(&mut rooms, "hall", 5);
    publish(&mut rooms, "garden", 1);
    assert_eq!(after(&mut rooms, "hall", 0), (5, Gap::None));
    publish(&mut rooms, "attic", 1);
    // "garden" has been unused for longest: "hall" has just had a subscriber.
    assert_eq!(latest(&mut rooms, "hall"), 5);
    assert_eq!(latest(&mut rooms, "garden"), 0);
    publish(&mut rooms, "cellar", 1);
    publish(&mut rooms, "roof", 1);
    publish(&mut rooms, "hall", 1);
    let (replayed, _) = look(&mut rooms, "hall", Replay::Latest(9), None);
    assert!(replayed.position.offset() >= 5, "{replayed:?}");
    assert_eq!(after(&mut rooms, "hall", 4), (1, Gap::Forgotten));
    assert_eq!(rooms.counts().0.rooms, 0);
}

#[test]
fn room_with_a_subscriber_is_not_forgotten() {
    let limits = HistoryLimits {
        rooms_max: 1,
        ..HistoryLimits::default()
    };
    let mut rooms = rooms(limits, RoomHistory::default());
    let mut subscriptions = Subscriptions::default();
    let key = SocketKey::from_bits(1);
    let joined = rooms.subscribe("hall", key, None, &mut subscriptions);
    joined.expect("there is no limit");
    publish(&mut rooms, "hall", 3);
    for room in ["garden", "attic", "cellar"] {
        publish(&mut rooms, room, 1);
    }
    assert_eq!(rooms.counts().0.rooms, 1);
    assert_eq!(after(&mut rooms, "hall", 0), (3, Gap::None));
}

#[test]
fn room_that_was_published_to_longest_ago_loses_its_messages_beyond_the_bytes_of_all() {
    let limits = HistoryLimits {
        bytes_max: 6 * FRAME,
        ..HistoryLimits::default()
    };
    let mut rooms = rooms(limits, RoomHistory::default());
    publish(&mut rooms, "hall", 3);
    publish(&mut rooms, "garden", 3);
    assert_eq!(
        (latest(&mut rooms, "hall"), latest(&mut rooms, "garden")),
        (3, 3)
    );
    publish(&mut rooms, "garden", 1);
    assert_eq!(
        (latest(&mut rooms, "hall"), latest(&mut rooms, "garden")),
        (0, 4)
    );
    // Its offsets go on.
    assert_eq!(after(&mut rooms, "hall", 2), (0, Gap::Forgotten));
    assert_eq!(after(&mut rooms, "hall", 3), (0, Gap::None));
    publish(&mut rooms, "garden", 3);
    assert_eq!(latest(&mut rooms, "garden"), 0, "alone too much");
}

#[test]
fn log_of_another_encoding_begins_with_what_the_room_keeps() {
    let mut rooms = keeping(RoomHistory {
        messages_max: 3,
        ..RoomHistory::default()
    });
    publish(&mut rooms, "hall", 5);
    end_turn(&mut rooms, 0);
    for window in [None, Some(WindowBits::MAX), Some(WindowBits::MIN), None] {
        let (replayed, bytes) = look(&mut rooms, "hall", Replay::Latest(9), window);
        assert_eq!((replayed.messages, bytes as u64), (3, 3 * FRAME));
    }
}

#[test]
fn memory_of_forgotten_messages_is_freed() {
    let mut rooms = keeping(RoomHistory {
        bytes_max: 20_000,
        ..RoomHistory::default()
    });
    for turn in 0..100 {
        publish(&mut rooms, "hall", 500);
        end_turn(&mut rooms, turn);
    }
    // Chunks of 8 KiB, with the one that is begun and the one of which a part is dropped.
    assert!(
        rooms.pools.keeping.lent() <= 4,
        "{}",
        rooms.pools.keeping.lent()
    );
    publish(&mut rooms, "!live", 500);
    end_turn(&mut rooms, 100);
    assert_eq!(rooms.pools.usual.lent(), 0);
}

/// A worker that is not the room's owner learns from the mark where the room is.
#[test]
fn worker_that_has_forgotten_a_room_does_not_take_its_place_for_the_owners() {
    let mut rooms = keeping(RoomHistory::default());
    let (mut subscriptions, key) = (Subscriptions::default(), SocketKey::from_bits(1));
    let replay = Replay::After(Position::new(EPOCH, 40));
    let replayed = rooms.subscribe_from(
        "hall",
        replay,
        Some(Position::new(EPOCH, 41)),
        key,
        None,
        &mut subscriptions,
    );
    let replayed = replayed.expect("there is no limit");
    assert_eq!(
        (replayed.position.offset(), replayed.gap),
        (41, Gap::Forgotten)
    );
}

/// A message of the backplane.
fn shared(room: &str, epoch: u64, offset: u64) -> SharedMessage {
    let message = BackplaneMessage::new(0, Message::Text("abc"));
    let position = Position::new(epoch, offset);
    SharedMessage::of_backplane(room.into(), position, &message, None, true)
}

/// Flushes all logs. Returns how many bytes each subscriber was offered, by its key.
fn offered(rooms: &mut RoomTable) -> Vec<(u64, usize)> {
    let mut offered = Vec::new();
    let dirty = rooms.take_dirty();
    for &log in &dirty {
        let mut budget = FlushBudget::UNLIMITED;
        let mut take = |key, backlog: Backlog<'_>| {
            offered.push((key, backlog.bytes()));
            backlog.bytes()
        };
        rooms.flush(log, Timestamp(0), &mut budget, &mut take);
        if rooms.keeps(log) {
            rooms.catch_up(log, Timestamp(0), &mut budget, &mut take);
        }
    }
    rooms.reuse_dirty(dirty);
    offered.sort_unstable();
    offered
}

#[test]
fn subscribers_of_a_room_that_is_loaded_get_what_comes_and_later_ones_get_the_past() {
    let (mut rooms, room) = (keeping(RoomHistory::default()), "shared");
    let windows = [None, Some(WindowBits::MAX), WindowBits::new(9)];
    let mut all: Vec<Subscriptions> = Vec::new();
    for (window, key) in windows.into_iter().zip(0..) {
        let (mut subscriptions, key) = (Subscriptions::default(), SocketKey::from_bits(key));
        let subscribed = rooms.subscribe(room, key, window, &mut subscriptions);
        subscribed.expect("there is no limit");
        all.push(subscriptions);
    }
    assert_eq!(rooms.take_use_changes(), [(room.into(), true)]);
    let past: Vec<_> = (8..=9).map(|offset| shared(room, 3, offset)).collect();
    rooms.load(room, Position::new(3, 9), &past);
    assert_eq!(offered(&mut rooms), []);
    assert_eq!(rooms.deliveries(), 0);
    rooms.append_shared(&shared(room, 3, 10), None);
    let frame = FRAME as usize;
    assert_eq!(offered(&mut rooms), [(0, frame), (1, frame), (2, frame)]);
    let after = |offset| Replay::After(Position::new(3, offset));
    assert_eq!(look(&mut rooms, room, after(7), None).1, 3 * frame);
    let (replayed, bytes) = look(&mut rooms, room, after(6), None);
    assert_eq!((replayed.gap, bytes), (Gap::Forgotten, 3 * frame));
    for subscription in all.iter().flat_map(|one| one.as_slice()) {
        assert!(rooms.unsubscribe(*subscription).is_none());
    }
    assert_eq!(rooms.take_use_changes(), [(room.into(), false)]);
}

#[test]
fn room_keeps_nothing_from_before_a_gap_and_its_subscribers_get_the_notice() {
    let (mut rooms, room) = (keeping(RoomHistory::default()), "shared");
    let (mut subscriptions, key) = (Subscriptions::default(), SocketKey::from_bits(4));
    let subscribed = rooms.subscribe(room, key, None, &mut subscriptions);
    subscribed.expect("there is no limit");
    rooms.load(room, Position::new(3, 0), &[]);
    rooms.append_shared(&shared(room, 3, 1), None);
    let notice = SharedMessage::new(room, Message::Text("gap"), None, false);
    rooms.interrupt(room, Position::new(5, 40), Some(&notice));
    rooms.append_shared(&shared(room, 5, 41), None);
    let frame = FRAME as usize;
    assert_eq!(offered(&mut rooms), [(4, 3 * frame)]);
    let from = |epoch, offset| Replay::After(Position::new(epoch, offset));
    let (replayed, bytes) = look(&mut rooms, room, from(5, 40), None);
    assert_eq!((replayed.gap, bytes), (Gap::None, frame));
    let (replayed, bytes) = look(&mut rooms, room, from(3, 1), None);
    assert_eq!((replayed.gap, bytes), (Gap::OtherEpoch, frame));
}

#[test]
fn room_of_the_backplane_that_keeps_nothing_has_positions_all_the_same() {
    let (mut rooms, room) = (keeping(RoomHistory::default()), "shared!");
    let mut nothing = rooms_without_history();
    for rooms in [&mut rooms, &mut nothing] {
        rooms.load(room, Position::new(3, 7), &[]);
        rooms.append_shared(&shared(room, 3, 8), None);
        assert_eq!(rooms.position(room), Some(Position::new(3, 8)));
    }
    let (replayed, bytes) = look(&mut nothing, room, Replay::Latest(9), None);
    assert_eq!((replayed.position, bytes), (Position::new(3, 8), 0));
}

fn rooms_without_history() -> RoomTable {
    let rules = HistoryRules {
        limits: HistoryLimits::default(),
        epoch: EPOCH,
        of_room: Box::new(|_| None),
        erases: Box::new(|_, _| None),
        numbered: Box::new(|_, _, _| None),
        shares: Some(Box::new(|_| true)),
    };
    RoomTable::new(
        Arc::new(|_: &str| LagPolicy::default()),
        SharedRooms::new(RoomCensus::new(RoomLimits::default(), false), Some(rules)),
        Arc::default(),
        None,
    )
}

#[test]
fn histories_that_were_published_to_longest_ago_are_dropped_until_enough_is_free() {
    let mut rooms = keeping(RoomHistory::default());
    for room in ["a", "b", "c"] {
        publish(&mut rooms, room, 2);
    }
    assert_eq!(rooms.kept_bytes() as u64, 6 * FRAME);
    assert_eq!(
        rooms.drop_histories(2 * FRAME as usize + 1) as u64,
        4 * FRAME
    );
    assert_eq!(rooms.kept_bytes() as u64, 2 * FRAME);
    let kept = ["a", "b", "c"].map(|room| latest(&mut rooms, room));
    assert_eq!(kept, [0, 0, 2]);
    assert_eq!(rooms.drop_histories(usize::MAX) as u64, 2 * FRAME);
    assert_eq!(rooms.drop_histories(1), 0);
}

#[test]
fn member_that_begins_in_front_of_a_message_that_is_being_compressed_gets_it_in_its_order_when_it_is_ready()
 {
    // The log owes messages 3 and 4.
    for (after, is_owed) in [(0, true), (2, true), (3, false), (4, false)] {
        let mut rooms = keeping(RoomHistory::default());
        let mut first = Subscriptions::default();
        let key = SocketKey::from_bits(1);
        let joined = rooms.subscribe("hall", key, DEFLATE, &mut first);
        joined.expect("there is no limit");
        publish(&mut rooms, "hall", 2);
        let long = letters(100_000);
        rooms.append_local("hall", Message::Binary(&long), None);
        publish(&mut rooms, "hall", 1);
        let before = rooms.deliveries();
        let (mut second, key) = (Subscriptions::default(), SocketKey::from_bits(2));
        let head = rooms.history_head("hall");
        let replay = Replay::After(Position::new(EPOCH, after));
        let replayed = rooms.subscribe_from("hall", replay, head, key, DEFLATE, &mut second);
        assert_eq!(replayed.expect("there is no limit").messages, 4 - after);
        assert_eq!(rooms.owes_messages(), is_owed, "behind {after}");
        assert_eq!(rooms.deliveries() - before, 4 - after);
        publish(&mut rooms, "hall", 1);
        while rooms.owes_messages() {
            rooms.compress_owed(4096);
        }
        let received = received_by(&mut rooms, 2);
        // The short messages, with their headers, and the long one.
        let short = received.windows(3).filter(|bytes| bytes == b"abc").count();
        assert_eq!(
            short as u64,
            [4, 3, 2, 2, 1][after as usize],
            "behind {after}"
        );
        assert_eq!(received.len() > 1000, after < 3, "behind {after}");
    }
}

/// What a member is offered.
fn received_by(rooms: &mut RoomTable, member: u64) -> Vec<u8> {
    let mut received = Vec::new();
    let dirty = rooms.take_dirty();
    for &log in &dirty {
        let mut budget = FlushBudget::UNLIMITED;
        let mut take = |key, backlog: Backlog<'_>| {
            if key == member {
                let slices = backlog.slices();
                slices.for_each(|slice| received.extend_from_slice(slice));
            }
            backlog.bytes()
        };
        rooms.flush(log, Timestamp(0), &mut budget, &mut take);
        if rooms.keeps(log) {
            rooms.catch_up(log, Timestamp(0), &mut budget, &mut take);
        }
    }
    rooms.reuse_dirty(dirty);
    received
}
