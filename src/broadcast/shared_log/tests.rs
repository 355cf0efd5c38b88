//! The rules of a shared log, with sinks instead of sockets.

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
fn backlog_of(shared: &mut SharedLog, id: SubscriptionId) -> Vec<u8> {
    let mut bytes = Vec::new();
    shared.flush_one(id, &mut pool(), |_, backlog| {
        bytes = backlog.slices().collect::<Vec<_>>().concat();
        0
    });
    bytes
}

#[test]
fn many_records_are_one_slice_and_one_write() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    shared.subscribe(1);
    shared.append(b"one", &mut pool);
    shared.append(b"two", &mut pool);
    let mut writes = Vec::new();
    shared.flush(&mut pool, |key, backlog| {
        writes.push((key, backlog.contiguous().map(<[u8]>::to_vec)));
        backlog.bytes()
    });
    assert_eq!(writes, [(1, Some(b"onetwo".to_vec()))]);
}

#[test]
fn flush_without_new_records_offers_nothing() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    shared.subscribe(1);
    shared.flush(&mut pool, |_, _| unreachable!("nothing was published"));
    shared.append(b"one", &mut pool);
    shared.flush(&mut pool, all);
    shared.flush(&mut pool, |_, _| unreachable!("all was written"));
}

#[test]
fn subscription_receives_records_from_its_start_on() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    shared.append(b"early", &mut pool);
    let late = shared.subscribe(1);
    shared.append(b"late", &mut pool);
    assert_eq!(backlog_of(&mut shared, late), b"late");
}

#[test]
fn log_without_subscriptions_keeps_no_records() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    shared.append(b"hello", &mut pool);
    shared.flush(&mut pool, all);
    assert_eq!((shared.log().held_bytes(), pool.lent()), (0, 0));
}

#[test]
fn flush_leaves_out_a_blocked_subscription_until_flush_one() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    let id = shared.subscribe(1);
    shared.append(b"one", &mut pool);
    shared.flush(&mut pool, at_most(2));
    shared.append(b"two", &mut pool);
    shared.flush(&mut pool, |_, _| unreachable!("it is blocked"));
    assert_eq!(shared.blocked(), 1);

    assert!(shared.flush_one(id, &mut pool, all));
    shared.append(b"three", &mut pool);
    let mut offered = 0;
    shared.flush(&mut pool, |_, backlog| {
        offered = backlog.bytes();
        offered
    });
    assert_eq!((offered, shared.blocked()), (5, 0));
}

#[test]
fn more_slices_than_are_offered_at_once_are_offered_in_turn() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    shared.subscribe(1);
    for _ in 0..=Backlog::SLICES_MAX {
        shared.append(&[7; 10], &mut pool);
    }
    let mut offers = Vec::new();
    shared.flush(&mut pool, |_, backlog| {
        offers.push(backlog.slices().count());
        backlog.bytes()
    });
    assert_eq!(offers, [Backlog::SLICES_MAX, 1]);
    assert_eq!((shared.blocked(), shared.log().held_bytes()), (0, 0));
}

#[test]
fn accepting_more_than_offered_is_accepting_all() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    let id = shared.subscribe(1);
    shared.append(b"one", &mut pool);
    shared.flush(&mut pool, |_, _| usize::MAX);
    assert_eq!(
        shared.lag(id),
        Some(Lag {
            bytes: 0,
            records: 0
        })
    );
}

#[test]
fn cursor_at_the_head_is_moved_over_an_excluded_record() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    let sender = shared.subscribe(1);
    shared.append_except(sender, b"own", &mut pool);
    shared.append_except(sender, b"too", &mut pool);
    assert!(shared.exclusions.of(sender.slot()).is_empty());
    shared.flush(&mut pool, |_, _| unreachable!("there is nothing for it"));
    assert_eq!(shared.log().held_bytes(), 0);
}

#[test]
fn cursor_behind_the_head_skips_the_excluded_records_only() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    let sender = shared.subscribe(1);
    shared.append(b"a", &mut pool);
    shared.append_except(sender, b"-", &mut pool);
    shared.append_except(sender, b"-", &mut pool);
    shared.append(b"b", &mut pool);
    shared.append_except(sender, b"-", &mut pool);
    assert_eq!(shared.exclusions.of(sender.slot()).len(), 2);
    assert_eq!(backlog_of(&mut shared, sender), b"ab");
    assert!(shared.flush_one(sender, &mut pool, all));
    assert!(shared.exclusions.of(sender.slot()).is_empty());
}

/// Of two subscriptions, since only the one that is behind has spans.
#[test]
fn empty_record_changes_nothing_and_leaves_no_span() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    let ids = [shared.subscribe(1), shared.subscribe(2)];
    shared.append(b"a", &mut pool);
    shared.flush(
        &mut pool,
        |key, backlog| if key == 1 { 0 } else { backlog.bytes() },
    );
    for id in ids {
        shared.append_except(id, b"", &mut pool);
        assert!(shared.exclusions.of(id.slot()).is_empty());
    }
    assert_eq!((shared.pending_bytes(), shared.log().records()), (0, 1));
    assert_eq!(backlog_of(&mut shared, ids[0]), b"a");
}

#[test]
fn log_is_empty_when_all_subscriptions_have_ended() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    assert_eq!((shared.len(), shared.is_empty()), (0, true));
    let ids = [shared.subscribe(1), shared.subscribe(2)];
    assert_eq!((shared.len(), shared.is_empty()), (2, false));
    for (id, left) in ids.into_iter().zip([1, 0]) {
        shared.unsubscribe(id, &mut pool);
        assert_eq!((shared.len(), shared.is_empty()), (left, left == 0));
    }
}

#[test]
fn ended_subscription_frees_its_spans_and_chunks() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    let id = shared.subscribe(1);
    shared.append(b"a", &mut pool);
    shared.append_except(id, b"-", &mut pool);
    shared.flush(&mut pool, nothing);
    assert_eq!(pool.lent(), 1);
    shared.unsubscribe(id, &mut pool);
    shared.unsubscribe(id, &mut pool);
    assert_eq!((pool.lent(), shared.len()), (0, 0));

    let next = shared.subscribe(2);
    assert_eq!(next, id);
    shared.append(b"b", &mut pool);
    assert_eq!(backlog_of(&mut shared, next), b"b");
}

#[test]
fn finish_record_offers_one_record_only() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    let id = shared.subscribe(1);
    shared.append(b"one", &mut pool);
    shared.append(b"two", &mut pool);
    shared.flush(&mut pool, at_most(1));
    assert!(shared.unfinished(id));
    let half = |_, rest: &[u8]| {
        assert_eq!(rest, b"ne");
        1
    };
    assert!(!shared.finish_record(id, &mut pool, half));
    assert!(shared.finish_record(id, &mut pool, |_, rest| rest.len()));
    assert!(!shared.unfinished(id));
    assert_eq!(shared.blocked(), 1);
    assert_eq!(backlog_of(&mut shared, id), b"two");
}

#[test]
fn rest_of_a_small_record_is_copied() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    let id = shared.subscribe(1);
    shared.append(b"one", &mut pool);
    shared.flush(&mut pool, at_most(1));
    let remainder = shared.take_remainder(id, &mut pool).unwrap();
    assert_eq!(remainder.bytes(), b"ne");
    assert!(shared.take_remainder(id, &mut pool).is_none());
    assert_eq!((shared.blocked(), pool.lent()), (0, 0));
}

#[test]
fn rest_of_a_large_record_is_a_reference() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    let id = shared.subscribe(1);
    let record: Arc<[u8]> = (*b"a large record").into();
    shared.append_shared(Arc::clone(&record), &mut pool);
    shared.flush(&mut pool, at_most(8));
    let remainder = shared.take_remainder(id, &mut pool).unwrap();
    assert_eq!(remainder.bytes(), b"record");
    assert_eq!(remainder.bytes().as_ptr(), record[8..].as_ptr());
    assert_eq!(shared.log().held_bytes(), 0);
}

#[test]
fn rests_of_a_large_encoded_record_share_one_copy() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    let ids = [shared.subscribe(1), shared.subscribe(2)];
    shared.append(b"a large record", &mut pool);
    shared.flush(&mut pool, at_most(8));
    let rests = ids.map(|id| shared.take_remainder(id, &mut pool).unwrap());
    assert_eq!(rests[0].bytes(), b"record");
    assert_eq!(rests[0].bytes().as_ptr(), rests[1].bytes().as_ptr());
}

#[test]
fn id_of_an_ended_subscription_has_no_effect() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    let gone = shared.subscribe(1);
    shared.subscribe(2);
    shared.unsubscribe(gone, &mut pool);
    shared.append_except(gone, b"hello", &mut pool);
    assert!(shared.flush_one(gone, &mut pool, |_, _| unreachable!("it has ended")));
    assert!(shared.finish_record(gone, &mut pool, |_, _| unreachable!("it has ended")));
    assert!(!shared.unfinished(gone));
    assert!(shared.take_remainder(gone, &mut pool).is_none());
    assert_eq!(shared.skip_to_end(gone, &mut pool).records, 0);
    assert_eq!(shared.skip_to_latest(gone, &mut pool).records, 0);
    assert_eq!((shared.lag(gone), shared.key(gone)), (None, None));
}

#[test]
fn dissolved_log_returns_its_memory() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    shared.subscribe(1);
    for _ in 0..9 {
        shared.append(b"record", &mut pool);
    }
    shared.flush(&mut pool, nothing);
    shared.append(b"pending", &mut pool);
    assert_eq!(pool.lent(), 3);
    shared.dissolve(&mut pool);
    assert_eq!((pool.lent(), pool.idle()), (0, 2));
}

// Slow subscriptions.

#[test]
fn subscription_lags_beyond_a_limit_and_not_at_it() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    let slow = shared.subscribe(1);
    shared.append(b"one", &mut pool);
    shared.append(b"three", &mut pool);
    shared.flush(&mut pool, nothing);
    shared.subscribe(2);
    let lagging = |bytes, records| {
        let limits = LagLimits {
            bytes,
            records,
            position: 0,
        };
        shared.lagging(&limits).collect::<Vec<_>>()
    };
    assert_eq!(lagging(8, 2), []);
    assert_eq!(lagging(7, 2), [slow]);
    assert_eq!(lagging(8, 1), [slow]);
    assert_eq!(lagging(0, 0), [slow]);
}

/// The log reaches further back than the limits, because of another subscription.
#[test]
fn subscription_at_a_limit_does_not_lag_beside_one_that_does() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    let ids = [shared.subscribe(1), shared.subscribe(2)];
    shared.append(b"one", &mut pool);
    shared.append(b"three", &mut pool);
    shared.flush(&mut pool, |key, _| if key == 1 { 0 } else { 3 });
    for (bytes, records) in [(5, 9), (9, 1), (7, 1)] {
        let limits = LagLimits {
            bytes,
            records,
            position: 0,
        };
        assert_eq!(shared.lagging(&limits).collect::<Vec<_>>(), [ids[0]]);
    }
}

#[test]
fn ready_subscription_does_not_lag_however_much_is_pending() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    shared.subscribe(1);
    shared.append(b"one", &mut pool);
    let limits = LagLimits {
        bytes: 0,
        records: 0,
        position: 0,
    };
    assert_eq!(shared.lagging(&limits).count(), 0);
    assert_eq!(shared.pending_bytes(), 3);
}

#[test]
fn skipping_to_the_end_leaves_the_rest_of_a_partly_written_record() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    let id = shared.subscribe(1);
    shared.append(b"one", &mut pool);
    shared.append(b"three", &mut pool);
    shared.append_except(id, b"left out", &mut pool);
    shared.append(b"six", &mut pool);
    shared.flush(&mut pool, at_most(1));
    let skipped = shared.skip_to_end(id, &mut pool);
    assert_eq!((skipped.bytes, skipped.records), (8, 2));
    assert_eq!(skipped.remainder.unwrap().bytes(), b"ne");
    assert_eq!((shared.blocked(), pool.lent()), (0, 0));
}

#[test]
fn skipping_to_the_latest_leaves_the_newest_record_that_is_not_excluded() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    let id = shared.subscribe(1);
    for record in [b"one", b"two"] {
        shared.append(record, &mut pool);
    }
    shared.append_except(id, b"own", &mut pool);
    shared.flush(&mut pool, nothing);
    let skipped = shared.skip_to_latest(id, &mut pool);
    assert_eq!((skipped.bytes, skipped.records), (3, 1));
    assert!(skipped.remainder.is_none());
    assert_eq!(
        (backlog_of(&mut shared, id), shared.blocked()),
        (b"two".to_vec(), 1)
    );
}

#[test]
fn skipping_to_the_latest_keeps_the_newest_if_it_is_partly_written() {
    let (mut shared, mut pool) = (SharedLog::new(), pool());
    let id = shared.subscribe(1);
    shared.append(b"one", &mut pool);
    shared.flush(&mut pool, at_most(1));
    let skipped = shared.skip_to_latest(id, &mut pool);
    assert_eq!((skipped.bytes, skipped.records), (0, 0));
    assert!(skipped.remainder.is_none() && shared.unfinished(id));
}
