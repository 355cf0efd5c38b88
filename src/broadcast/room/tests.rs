//! The rules of a room, with sinks instead of sockets.

use super::*;
use crate::broadcast::LogLimits;

const LIMITS: LogLimits = LogLimits {
    chunk_bytes: 64,
    shared_bytes_min: 10,
};

fn pool() -> ChunkPool {
    ChunkPool::new(LIMITS, 2)
}

fn all(_: u64, backlog: Backlog<'_>) -> usize {
    backlog.bytes()
}

fn nothing(_: u64, _: Backlog<'_>) -> usize {
    0
}

/// Accepts at most so many bytes of each backlog.
fn at_most(bytes: usize) -> impl FnMut(u64, Backlog<'_>) -> usize {
    move |_, backlog| backlog.bytes().min(bytes)
}

/// The bytes that a subscription is offered by a flush of it alone.
fn backlog_of(room: &mut Room, id: SubscriptionId) -> Vec<u8> {
    let mut bytes = Vec::new();
    room.flush_one(id, &mut pool(), |_, backlog| {
        bytes = backlog.slices().collect::<Vec<_>>().concat();
        0
    });
    bytes
}

#[test]
fn many_records_are_one_slice_and_one_write() {
    let (mut room, mut pool) = (Room::new(), pool());
    room.subscribe(1);
    room.append(b"one", &mut pool);
    room.append(b"two", &mut pool);
    let mut writes = Vec::new();
    room.flush(&mut pool, |key, backlog| {
        writes.push((key, backlog.contiguous().map(<[u8]>::to_vec)));
        backlog.bytes()
    });
    assert_eq!(writes, [(1, Some(b"onetwo".to_vec()))]);
}

#[test]
fn flush_without_new_records_offers_nothing() {
    let (mut room, mut pool) = (Room::new(), pool());
    room.subscribe(1);
    room.flush(&mut pool, |_, _| unreachable!("nothing was published"));
    room.append(b"one", &mut pool);
    room.flush(&mut pool, all);
    room.flush(&mut pool, |_, _| unreachable!("all was written"));
}

#[test]
fn subscription_receives_records_from_its_start_on() {
    let (mut room, mut pool) = (Room::new(), pool());
    room.append(b"early", &mut pool);
    let late = room.subscribe(1);
    room.append(b"late", &mut pool);
    assert_eq!(backlog_of(&mut room, late), b"late");
}

#[test]
fn room_without_subscriptions_keeps_no_records() {
    let (mut room, mut pool) = (Room::new(), pool());
    room.append(b"hello", &mut pool);
    room.flush(&mut pool, all);
    assert_eq!((room.log().held_bytes(), pool.lent()), (0, 0));
}

#[test]
fn flush_leaves_out_a_blocked_subscription_until_flush_one() {
    let (mut room, mut pool) = (Room::new(), pool());
    let id = room.subscribe(1);
    room.append(b"one", &mut pool);
    room.flush(&mut pool, at_most(2));
    room.append(b"two", &mut pool);
    room.flush(&mut pool, |_, _| unreachable!("it is blocked"));
    assert_eq!(room.blocked(), 1);

    assert!(room.flush_one(id, &mut pool, all));
    room.append(b"three", &mut pool);
    let mut offered = 0;
    room.flush(&mut pool, |_, backlog| {
        offered = backlog.bytes();
        offered
    });
    assert_eq!((offered, room.blocked()), (5, 0));
}

#[test]
fn more_slices_than_are_offered_at_once_are_offered_in_turn() {
    let (mut room, mut pool) = (Room::new(), pool());
    room.subscribe(1);
    for _ in 0..=Backlog::SLICES_MAX {
        room.append(&[7; 10], &mut pool);
    }
    let mut offers = Vec::new();
    room.flush(&mut pool, |_, backlog| {
        offers.push(backlog.slices().count());
        backlog.bytes()
    });
    assert_eq!(offers, [Backlog::SLICES_MAX, 1]);
    assert_eq!((room.blocked(), room.log().held_bytes()), (0, 0));
}

#[test]
fn accepting_more_than_offered_is_accepting_all() {
    let (mut room, mut pool) = (Room::new(), pool());
    let id = room.subscribe(1);
    room.append(b"one", &mut pool);
    room.flush(&mut pool, |_, _| usize::MAX);
    assert_eq!(
        room.lag(id),
        Some(Lag {
            bytes: 0,
            records: 0
        })
    );
}

#[test]
fn cursor_at_the_head_is_moved_over_an_excluded_record() {
    let (mut room, mut pool) = (Room::new(), pool());
    let sender = room.subscribe(1);
    room.append_except(sender, b"own", &mut pool);
    room.append_except(sender, b"too", &mut pool);
    assert!(room.exclusions.of(sender.slot()).is_empty());
    room.flush(&mut pool, |_, _| unreachable!("there is nothing for it"));
    assert_eq!(room.log().held_bytes(), 0);
}

#[test]
fn cursor_behind_the_head_skips_the_excluded_records_only() {
    let (mut room, mut pool) = (Room::new(), pool());
    let sender = room.subscribe(1);
    room.append(b"a", &mut pool);
    room.append_except(sender, b"-", &mut pool);
    room.append_except(sender, b"-", &mut pool);
    room.append(b"b", &mut pool);
    room.append_except(sender, b"-", &mut pool);
    assert_eq!(room.exclusions.of(sender.slot()).len(), 2);
    assert_eq!(backlog_of(&mut room, sender), b"ab");
    assert!(room.flush_one(sender, &mut pool, all));
    assert!(room.exclusions.of(sender.slot()).is_empty());
}

/// Of two subscriptions, since only the one that is behind has spans.
#[test]
fn empty_record_changes_nothing_and_leaves_no_span() {
    let (mut room, mut pool) = (Room::new(), pool());
    let ids = [room.subscribe(1), room.subscribe(2)];
    room.append(b"a", &mut pool);
    room.flush(
        &mut pool,
        |key, backlog| if key == 1 { 0 } else { backlog.bytes() },
    );
    for id in ids {
        room.append_except(id, b"", &mut pool);
        assert!(room.exclusions.of(id.slot()).is_empty());
    }
    assert_eq!((room.pending_bytes(), room.log().records()), (0, 1));
    assert_eq!(backlog_of(&mut room, ids[0]), b"a");
}

#[test]
fn room_is_empty_when_all_subscriptions_have_ended() {
    let (mut room, mut pool) = (Room::new(), pool());
    assert_eq!((room.len(), room.is_empty()), (0, true));
    let ids = [room.subscribe(1), room.subscribe(2)];
    assert_eq!((room.len(), room.is_empty()), (2, false));
    for (id, left) in ids.into_iter().zip([1, 0]) {
        room.unsubscribe(id, &mut pool);
        assert_eq!((room.len(), room.is_empty()), (left, left == 0));
    }
}

#[test]
fn ended_subscription_frees_its_spans_and_chunks() {
    let (mut room, mut pool) = (Room::new(), pool());
    let id = room.subscribe(1);
    room.append(b"a", &mut pool);
    room.append_except(id, b"-", &mut pool);
    room.flush(&mut pool, nothing);
    assert_eq!(pool.lent(), 1);
    room.unsubscribe(id, &mut pool);
    room.unsubscribe(id, &mut pool);
    assert_eq!((pool.lent(), room.len()), (0, 0));

    let next = room.subscribe(2);
    assert_eq!(next, id);
    room.append(b"b", &mut pool);
    assert_eq!(backlog_of(&mut room, next), b"b");
}

#[test]
fn finish_record_offers_one_record_only() {
    let (mut room, mut pool) = (Room::new(), pool());
    let id = room.subscribe(1);
    room.append(b"one", &mut pool);
    room.append(b"two", &mut pool);
    room.flush(&mut pool, at_most(1));
    assert!(room.unfinished(id));
    let half = |_, rest: &[u8]| {
        assert_eq!(rest, b"ne");
        1
    };
    assert!(!room.finish_record(id, &mut pool, half));
    assert!(room.finish_record(id, &mut pool, |_, rest| rest.len()));
    assert!(!room.unfinished(id));
    assert_eq!(room.blocked(), 1);
    assert_eq!(backlog_of(&mut room, id), b"two");
}

#[test]
fn rest_of_a_small_record_is_copied() {
    let (mut room, mut pool) = (Room::new(), pool());
    let id = room.subscribe(1);
    room.append(b"one", &mut pool);
    room.flush(&mut pool, at_most(1));
    let remainder = room.take_remainder(id, &mut pool).unwrap();
    assert_eq!(remainder.bytes(), b"ne");
    assert!(room.take_remainder(id, &mut pool).is_none());
    assert_eq!((room.blocked(), pool.lent()), (0, 0));
}

#[test]
fn rest_of_a_large_record_is_a_reference() {
    let (mut room, mut pool) = (Room::new(), pool());
    let id = room.subscribe(1);
    let record: Arc<[u8]> = (*b"a large record").into();
    room.append_shared(Arc::clone(&record), &mut pool);
    room.flush(&mut pool, at_most(8));
    let remainder = room.take_remainder(id, &mut pool).unwrap();
    assert_eq!(remainder.bytes(), b"record");
    assert_eq!(remainder.bytes().as_ptr(), record[8..].as_ptr());
    assert_eq!(room.log().held_bytes(), 0);
}

#[test]
fn rests_of_a_large_encoded_record_share_one_copy() {
    let (mut room, mut pool) = (Room::new(), pool());
    let ids = [room.subscribe(1), room.subscribe(2)];
    room.append(b"a large record", &mut pool);
    room.flush(&mut pool, at_most(8));
    let rests = ids.map(|id| room.take_remainder(id, &mut pool).unwrap());
    assert_eq!(rests[0].bytes(), b"record");
    assert_eq!(rests[0].bytes().as_ptr(), rests[1].bytes().as_ptr());
}

#[test]
fn id_of_an_ended_subscription_has_no_effect() {
    let (mut room, mut pool) = (Room::new(), pool());
    let gone = room.subscribe(1);
    room.subscribe(2);
    room.unsubscribe(gone, &mut pool);
    room.append_except(gone, b"hello", &mut pool);
    assert!(room.flush_one(gone, &mut pool, |_, _| unreachable!("it has ended")));
    assert!(room.finish_record(gone, &mut pool, |_, _| unreachable!("it has ended")));
    assert!(!room.unfinished(gone));
    assert!(room.take_remainder(gone, &mut pool).is_none());
    assert_eq!(room.skip_to_end(gone, &mut pool).records, 0);
    assert_eq!(room.skip_to_latest(gone, &mut pool).records, 0);
    assert_eq!((room.lag(gone), room.key(gone)), (None, None));
}

#[test]
fn dissolved_room_returns_its_memory() {
    let (mut room, mut pool) = (Room::new(), pool());
    room.subscribe(1);
    for _ in 0..9 {
        room.append(b"record", &mut pool);
    }
    room.flush(&mut pool, nothing);
    room.append(b"pending", &mut pool);
    assert_eq!(pool.lent(), 3);
    room.dissolve(&mut pool);
    assert_eq!((pool.lent(), pool.idle()), (0, 2));
}

// Slow subscriptions.

#[test]
fn subscription_lags_beyond_a_limit_and_not_at_it() {
    let (mut room, mut pool) = (Room::new(), pool());
    let slow = room.subscribe(1);
    room.append(b"one", &mut pool);
    room.append(b"three", &mut pool);
    room.flush(&mut pool, nothing);
    room.subscribe(2);
    let lagging = |bytes, records| {
        let limits = LagLimits {
            bytes,
            records,
            position: 0,
        };
        room.lagging(&limits).collect::<Vec<_>>()
    };
    assert_eq!(lagging(8, 2), []);
    assert_eq!(lagging(7, 2), [slow]);
    assert_eq!(lagging(8, 1), [slow]);
    assert_eq!(lagging(0, 0), [slow]);
}

/// The log reaches further back than the limits, because of another subscription.
#[test]
fn subscription_at_a_limit_does_not_lag_beside_one_that_does() {
    let (mut room, mut pool) = (Room::new(), pool());
    let ids = [room.subscribe(1), room.subscribe(2)];
    room.append(b"one", &mut pool);
    room.append(b"three", &mut pool);
    room.flush(&mut pool, |key, _| if key == 1 { 0 } else { 3 });
    for (bytes, records) in [(5, 9), (9, 1), (7, 1)] {
        let limits = LagLimits {
            bytes,
            records,
            position: 0,
        };
        assert_eq!(room.lagging(&limits).collect::<Vec<_>>(), [ids[0]]);
    }
}

#[test]
fn ready_subscription_does_not_lag_however_much_is_pending() {
    let (mut room, mut pool) = (Room::new(), pool());
    room.subscribe(1);
    room.append(b"one", &mut pool);
    let limits = LagLimits {
        bytes: 0,
        records: 0,
        position: 0,
    };
    assert_eq!(room.lagging(&limits).count(), 0);
    assert_eq!(room.pending_bytes(), 3);
}

#[test]
fn skipping_to_the_end_leaves_the_rest_of_a_partly_written_record() {
    let (mut room, mut pool) = (Room::new(), pool());
    let id = room.subscribe(1);
    room.append(b"one", &mut pool);
    room.append(b"three", &mut pool);
    room.append_except(id, b"left out", &mut pool);
    room.append(b"six", &mut pool);
    room.flush(&mut pool, at_most(1));
    let skipped = room.skip_to_end(id, &mut pool);
    assert_eq!((skipped.bytes, skipped.records), (8, 2));
    assert_eq!(skipped.remainder.unwrap().bytes(), b"ne");
    assert_eq!((room.blocked(), pool.lent()), (0, 0));
}

#[test]
fn skipping_to_the_latest_leaves_the_newest_record_that_is_not_excluded() {
    let (mut room, mut pool) = (Room::new(), pool());
    let id = room.subscribe(1);
    for record in [b"one", b"two"] {
        room.append(record, &mut pool);
    }
    room.append_except(id, b"own", &mut pool);
    room.flush(&mut pool, nothing);
    let skipped = room.skip_to_latest(id, &mut pool);
    assert_eq!((skipped.bytes, skipped.records), (3, 1));
    assert!(skipped.remainder.is_none());
    assert_eq!(
        (backlog_of(&mut room, id), room.blocked()),
        (b"two".to_vec(), 1)
    );
}

#[test]
fn skipping_to_the_latest_keeps_the_newest_if_it_is_partly_written() {
    let (mut room, mut pool) = (Room::new(), pool());
    let id = room.subscribe(1);
    room.append(b"one", &mut pool);
    room.flush(&mut pool, at_most(1));
    let skipped = room.skip_to_latest(id, &mut pool);
    assert_eq!((skipped.bytes, skipped.records), (0, 0));
    assert!(skipped.remainder.is_none() && room.unfinished(id));
}
