//! Lag in the table of rooms, checked against a look at every log. Histories are in `tests/history.rs`, messages that are compressed in
//! steps in `tests/owed.rs`.

mod history;
mod owed;

use super::*;
use crate::server::lag::LagAction;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

const AGE_MAX: Duration = Duration::from_millis(160);
const MEMBERS: u64 = 6;

fn rooms() -> RoomTable {
    let policy = LagPolicy {
        action: LagAction::Skip,
        bytes_max: 300,
        age_max: Some(AGE_MAX),
        ..LagPolicy::default()
    };
    let policy_of = Arc::new(move |_: &str| policy);
    RoomTable::new(
        policy_of,
        SharedRooms::default(),
        Arc::default(),
        Some(DeflateConfig::default()),
    )
}

/// What the end of a turn does with the rooms; `take` is how many bytes a socket takes.
fn end_turn(
    rooms: &mut RoomTable,
    now: Timestamp,
    mut take: impl FnMut(u64, Backlog<'_>) -> usize,
) {
    let dirty = rooms.take_dirty();
    for &log in &dirty {
        rooms.flush(log, now, &mut { FlushBudget::UNLIMITED }, &mut take);
        if rooms.keeps(log) {
            rooms.catch_up(log, now, &mut { FlushBudget::UNLIMITED }, &mut take);
        }
        skip_too_slow(rooms, log, now);
    }
    rooms.reuse_dirty(dirty);
    for log in rooms.take_due(now) {
        skip_too_slow(rooms, log, now);
    }
    rooms.publish_lags();
}

fn skip_too_slow(rooms: &mut RoomTable, log: LogId, now: Timestamp) {
    let mut found = Vec::new();
    rooms.find_too_slow(log, now, &mut found);
    for slow in found {
        let _ = rooms.skip(slow.subscription, false);
    }
}

/// The next due time and the lags, found by looking at every log.
fn expected(rooms: &RoomTable) -> (Option<Timestamp>, Vec<RoomLag>) {
    let behind = || {
        let logs = rooms.logs.iter().flatten();
        logs.filter(|log| log.shared.blocked() > 0)
    };
    let due = behind().filter_map(|log| log.lag.age_due(AGE_MAX)).min();
    let names: BTreeSet<_> = behind().map(|log| log.name.clone()).collect();
    let lags = names.iter().filter_map(|name| rooms.room_lag(name));
    (due, lags.collect())
}

fn published(rooms: &RoomTable) -> (Option<Timestamp>, Vec<RoomLag>) {
    let mut lags = MetricsSnapshot::lags(std::slice::from_ref(&rooms.snapshot));
    lags.sort_by(|one, other| one.room.cmp(&other.room));
    (rooms.next_due(), lags)
}

#[derive(Clone, Debug)]
enum Step {
    Subscribe {
        member: u64,
        room: usize,
    },
    Unsubscribe {
        member: u64,
        room: usize,
    },
    Publish {
        room: usize,
    },
    Writable {
        member: u64,
    },
    /// So many milliseconds pass, and these members' sockets take nothing.
    Turn {
        passed: u64,
        blocked: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (member, room) = (0..MEMBERS, 0..ROOMS.len());
    prop_oneof![
        3 => (member.clone(), room.clone()).prop_map(|(member, room)| Step::Subscribe { member, room }),
        2 => (member.clone(), room.clone()).prop_map(|(member, room)| Step::Unsubscribe { member, room }),
        6 => room.prop_map(|room| Step::Publish { room }),
        2 => member.prop_map(|member| Step::Writable { member }),
        6 => (0..100u64, 0..1u64 << MEMBERS).prop_map(|(passed, blocked)| Step::Turn { passed, blocked }),
    ]
}

const ROOMS: [&str; 3] = ["hall", "garden", "attic"];

proptest! {
    #[test]
    fn published_lags_and_the_next_due_time_are_those_that_a_look_at_every_log_finds(
        steps in prop::collection::vec(step(), 0..120)
    ) {
        let (mut rooms, mut now) = (rooms(), Timestamp(0));
        let mut subscriptions: Vec<Subscriptions> =
                (0..MEMBERS).map(|_| Subscriptions::default()).collect();
        for step in steps {
            match step {
                Step::Subscribe { member, room } => {
                    let window = (member % 2 == 0).then_some(WindowBits::MAX);
                    let key = SocketKey::from_bits(member);
                    let subscriptions = &mut subscriptions[member as usize];
                    rooms.subscribe(ROOMS[room], key, window, subscriptions).expect("no limit");
                }
                Step::Unsubscribe { member, room } => {
                    let subscriptions = &mut subscriptions[member as usize];
                    if let Some(subscription) = rooms.subscription_in(ROOMS[room], subscriptions) {
                        subscriptions.remove(subscription);
                        let _ = rooms.unsubscribe(subscription);
                    }
                }
                Step::Publish { room } => {
                    rooms.append_local(ROOMS[room], Message::Binary(&[7; 100]), None);
                }
                Step::Writable { member } => {
                    for &subscription in subscriptions[member as usize].as_slice() {
                        rooms.flush_one(subscription, |_, rest| rest.bytes());
                    }
                }
                Step::Turn { passed, blocked } => {
                    now = now.plus(Duration::from_millis(passed));
                    end_turn(&mut rooms, now, |member, backlog| {
                        let takes = blocked & (1 << member) == 0;
                        if takes { backlog.bytes() } else { 0 }
                    });
                    prop_assert_eq!(published(&rooms), expected(&rooms));
                }
            }
        }
    }
}

#[test]
fn turn_without_changes_looks_at_no_log_however_many_are_watched() {
    let mut rooms = rooms();
    let mut subscriptions = Subscriptions::default();
    let lags =
        |rooms: &RoomTable| MetricsSnapshot::lags(std::slice::from_ref(&rooms.snapshot)).len();
    for number in 0..1000 {
        let name = number.to_string();
        let key = SocketKey::from_bits(0);
        rooms
            .subscribe(&name, key, None, &mut subscriptions)
            .expect("no limit");
        rooms.append_local(&name, Message::Text("behind"), None);
    }
    end_turn(&mut rooms, Timestamp(0), |_, _| 0);
    assert_eq!(lags(&rooms), 1000);
    assert!(!rooms.lag_watch.has_changes());
    assert_eq!(rooms.take_due(Timestamp(0)), []);
    // One of them has caught up: it alone is looked at.
    let subscription = subscriptions.as_slice()[500];
    rooms.flush_one(subscription, |_, rest| rest.bytes());
    assert_eq!(rooms.lag_watch.changed(), [subscription.log]);
    rooms.publish_lags();
    assert_eq!((lags(&rooms), rooms.lag_watch.due_logs()), (999, 999));
    // All end at once, and nothing is left of them.
    for &subscription in subscriptions.as_slice() {
        let _ = rooms.unsubscribe(subscription);
    }
    assert_eq!((lags(&rooms), rooms.lag_watch.due_logs()), (0, 0));
    assert!(!rooms.lag_watch.has_changes() && !rooms.is_dirty());
}

/// A log with this lag policy, one subscription, and messages of 100 bytes (102 with their header) that wait for it.
fn behind(policy: LagPolicy, messages: usize, now: Timestamp) -> (RoomTable, LogId) {
    let mut rooms = RoomTable::new(
        Arc::new(move |_: &str| policy),
        SharedRooms::default(),
        Arc::default(),
        None,
    );
    let mut subscriptions = Subscriptions::default();
    let key = SocketKey::from_bits(7);
    rooms
        .subscribe("hall", key, None, &mut subscriptions)
        .expect("no limit");
    for _ in 0..messages {
        rooms.append_local("hall", Message::Binary(&[7; 100]), None);
    }
    let dirty = rooms.take_dirty();
    rooms.flush(dirty[0], now, &mut { FlushBudget::UNLIMITED }, |_, _| 0);
    (rooms, dirty[0])
}

fn is_too_slow(rooms: &mut RoomTable, log: LogId, now: Timestamp) -> bool {
    let mut found = Vec::new();
    rooms.find_too_slow(log, now, &mut found);
    assert!(found.iter().all(|slow| slow.key == SocketKey::from_bits(7)));
    !found.is_empty()
}

#[test]
fn subscription_is_too_slow_past_each_limit_and_not_at_it() {
    let unlimited = LagPolicy {
        bytes_max: u64::MAX,
        messages_max: None,
        age_max: None,
        publisher_wait_max: Duration::ZERO,
        ..LagPolicy::default()
    };
    let now = Timestamp(1000);
    let bytes = |bytes_max| LagPolicy {
        bytes_max,
        ..unlimited
    };
    let messages = |messages_max| LagPolicy {
        messages_max: Some(messages_max),
        ..unlimited
    };
    for (policy, expected) in [
        (bytes(306), false),
        (bytes(305), true),
        (messages(3), false),
        (messages(2), true),
    ] {
        let (mut rooms, log) = behind(policy, 3, now);
        assert_eq!(is_too_slow(&mut rooms, log, now), expected, "{policy:?}");
    }
    let age = LagPolicy {
        age_max: Some(AGE_MAX),
        ..unlimited
    };
    let (mut rooms, log) = behind(age, 1, now);
    assert_eq!(rooms.next_due(), Some(Timestamp(1161)));
    assert!(!is_too_slow(&mut rooms, log, Timestamp(1160)));
    assert_eq!(rooms.take_due(Timestamp(1160)), []);
    assert_eq!(rooms.take_due(Timestamp(1161)), [log]);
    assert!(is_too_slow(&mut rooms, log, Timestamp(1161)));
}

#[test]
fn single_long_message_is_no_lag() {
    let policy = LagPolicy {
        bytes_max: 1,
        ..LagPolicy::default()
    };
    let (mut rooms, log) = behind(policy, 1, Timestamp(0));
    assert!(!is_too_slow(&mut rooms, log, Timestamp(0)));
}

#[test]
fn latest_action_keeps_only_the_newest_message() {
    let policy = LagPolicy {
        action: LagAction::Latest,
        ..LagPolicy::default()
    };
    let (mut rooms, log) = behind(policy, 1, Timestamp(0));
    assert!(!is_too_slow(&mut rooms, log, Timestamp(0)));
    let (mut rooms, log) = behind(policy, 2, Timestamp(0));
    let mut found = Vec::new();
    rooms.find_too_slow(log, Timestamp(0), &mut found);
    let skipped = rooms.skip(found[0].subscription, true);
    assert_eq!((skipped.records, skipped.bytes), (1, 102));
}

/// A policy whose limit is four messages: half of it are two, and a quarter is one.
const WAITING: LagPolicy = LagPolicy {
    action: LagAction::Disconnect,
    bytes_max: 4 * 102,
    messages_max: None,
    age_max: None,
    publisher_wait_max: Duration::from_millis(500),
    publisher_wait_rate_min: 0,
};

fn publishers_wait(rooms: &RoomTable) -> bool {
    rooms.lag_watch.backpressure().on("hall").is_some()
}

#[test]
fn publishers_wait_past_half_of_a_limit_and_not_at_it() {
    let by_messages = LagPolicy {
        bytes_max: u64::MAX,
        messages_max: Some(4),
        ..WAITING
    };
    for policy in [WAITING, by_messages] {
        for (messages, expected) in [(2, false), (3, true)] {
            let (mut rooms, log) = behind(policy, messages, Timestamp(0));
            assert!(!is_too_slow(&mut rooms, log, Timestamp(0)));
            assert_eq!(publishers_wait(&rooms), expected, "{messages}: {policy:?}");
        }
    }
    // With these there is nothing to wait for.
    let skip = LagPolicy {
        action: LagAction::Skip,
        ..WAITING
    };
    let never = LagPolicy {
        publisher_wait_max: Duration::ZERO,
        ..WAITING
    };
    for policy in [skip, never] {
        let (mut rooms, log) = behind(policy, 3, Timestamp(0));
        is_too_slow(&mut rooms, log, Timestamp(0));
        assert!(!publishers_wait(&rooms), "{policy:?}");
    }
}

#[test]
fn publishers_go_on_when_a_quarter_of_the_limit_is_left_or_the_subscription_ends() {
    for (taken, expected) in [(203, true), (204, false)] {
        let (mut rooms, log) = behind(WAITING, 3, Timestamp(0));
        is_too_slow(&mut rooms, log, Timestamp(0));
        let id = subscription_of(&rooms, log);
        rooms.flush_one(id, |_, _| taken);
        assert_eq!(rooms.update_waits(Timestamp(0)), !expected);
        assert_eq!(publishers_wait(&rooms), expected, "{taken}");
    }
    let (mut rooms, log) = behind(WAITING, 3, Timestamp(0));
    is_too_slow(&mut rooms, log, Timestamp(0));
    let id = subscription_of(&rooms, log);
    let _ = rooms.unsubscribe(id);
    assert!(rooms.update_waits(Timestamp(0)) && !publishers_wait(&rooms));
    assert!(!rooms.update_waits(Timestamp(0)), "once");
}

/// The one subscription of the log.
fn subscription_of(rooms: &RoomTable, log: LogId) -> Subscription {
    let log_limits = crate::broadcast::LagLimits {
        bytes: 0,
        ..crate::broadcast::LagLimits::default()
    };
    let shared = &log_of(&rooms.logs, log).expect("a log").shared;
    let id = shared.lagging(&log_limits).next().expect("it is behind");
    Subscription { log, id }
}

#[test]
fn subscription_beyond_a_limit_is_spared_while_publishers_wait_for_it_and_not_longer() {
    let (mut rooms, log) = behind(WAITING, 5, Timestamp(1000));
    assert!(!is_too_slow(&mut rooms, log, Timestamp(1000)));
    assert_eq!(rooms.next_due(), Some(Timestamp(1501)));
    assert!(!is_too_slow(&mut rooms, log, Timestamp(1500)) && publishers_wait(&rooms));
    assert_eq!(rooms.take_due(Timestamp(1500)), []);
    assert_eq!(rooms.take_due(Timestamp(1501)), [log]);
    assert!(is_too_slow(&mut rooms, log, Timestamp(1501)));
    assert!(!publishers_wait(&rooms) && rooms.update_waits(Timestamp(1501)));
    // Within the limit it stays, and nobody waits for it.
    let (mut rooms, log) = behind(WAITING, 4, Timestamp(1000));
    assert!(!is_too_slow(&mut rooms, log, Timestamp(1000)));
    assert!(!is_too_slow(&mut rooms, log, Timestamp(1501)));
    assert!(!publishers_wait(&rooms));
    assert_eq!(rooms.next_due(), None);
}

#[test]
fn publisher_waits_from_1_mib_of_a_room_on_that_is_not_offered_and_not_with_one_byte_less() {
    for (missing, waits) in [(1, false), (0, true)] {
        let (mut rooms, _) = behind(WAITING, 1, Timestamp(0));
        let header_bytes = 10;
        let payload = vec![7; (1 << 20) - header_bytes - missing];
        rooms.append_local("hall", Message::Binary(&payload), None);
        assert_eq!(rooms.unflushed_bytes(), (1 << 20) - missing as u64);
        assert_eq!(rooms.take_publisher_wait().is_some(), waits);
        assert_eq!(rooms.takes_messages(), !waits);
    }
}

/// When the publishers will have waited long enough for the one subscription.
fn wait_ends_at(rooms: &RoomTable) -> Option<Timestamp> {
    let due = rooms.next_due()?;
    publishers_wait(rooms).then(|| Timestamp(due.0 - 1))
}

/// Publishes so many messages, and the subscription takes none of them.
fn fall_behind(rooms: &mut RoomTable, log: LogId, messages: usize, now: Timestamp) {
    for _ in 0..messages {
        rooms.append_local("hall", Message::Binary(&[7; 100]), None);
    }
    for dirty in rooms.take_dirty() {
        rooms.flush(dirty, now, &mut { FlushBudget::UNLIMITED }, |_, _| 0);
    }
    is_too_slow(rooms, log, now);
}

/// The subscription takes so many bytes.
fn take(rooms: &mut RoomTable, log: LogId, bytes: usize, now: Timestamp) {
    let id = subscription_of(rooms, log);
    rooms.flush_one(id, |_, _| bytes);
    rooms.update_waits(now);
}

#[test]
fn publishers_wait_again_for_the_time_that_is_left_and_a_used_time_comes_back_in_four_times_as_long()
 {
    let (mut rooms, log) = behind(WAITING, 3, Timestamp(1000));
    is_too_slow(&mut rooms, log, Timestamp(1000));
    assert_eq!(wait_ends_at(&rooms), Some(Timestamp(1500)));
    // It catches up after 300 ms, and is behind again at once.
    take(&mut rooms, log, 204, Timestamp(1300));
    assert_eq!(wait_ends_at(&rooms), None);
    fall_behind(&mut rooms, log, 2, Timestamp(1300));
    assert_eq!(wait_ends_at(&rooms), Some(Timestamp(1500)));
    // One millisecond past it the publishers go on, until it has caught up; to read a part is not enough.
    assert!(!is_too_slow(&mut rooms, log, Timestamp(1501)));
    assert_eq!(wait_ends_at(&rooms), None);
    take(&mut rooms, log, 100, Timestamp(1900));
    assert_eq!(wait_ends_at(&rooms), None);
    take(&mut rooms, log, 104, Timestamp(2000));
    // 401 ms give 100 ms, of which one is missing.
    fall_behind(&mut rooms, log, 2, Timestamp(2404));
    assert_eq!(wait_ends_at(&rooms), Some(Timestamp(2404 + 100)));
    take(&mut rooms, log, 204, Timestamp(2404));
    // It has no more than all of it, however long that takes.
    fall_behind(&mut rooms, log, 2, Timestamp(90_000));
    assert_eq!(wait_ends_at(&rooms), Some(Timestamp(90_500)));
}

#[test]
fn bytes_that_a_subscription_takes_give_it_the_time_that_they_take_at_the_least_rate() {
    let policy = LagPolicy {
        // A tenth of a second for each message.
        publisher_wait_rate_min: 1020,
        ..WAITING
    };
    let (mut rooms, log) = behind(policy, 30, Timestamp(1000));
    is_too_slow(&mut rooms, log, Timestamp(1000));
    for (now, ends_at) in [(1100, 1500 + 100), (1200, 1700), (1300, 1800)] {
        take(&mut rooms, log, 102, Timestamp(now));
        assert_eq!(wait_ends_at(&rooms), Some(Timestamp(ends_at)), "{now}");
    }
    // At this rate they wait as long as that takes; below it the time ends.
    for message in 1..20 {
        take(&mut rooms, log, 102, Timestamp(1300 + 100 * message));
    }
    assert_eq!(wait_ends_at(&rooms), Some(Timestamp(3200 + 500)));
    take(&mut rooms, log, 101, Timestamp(3700));
    assert_eq!(wait_ends_at(&rooms), Some(Timestamp(3799)));
    is_too_slow(&mut rooms, log, Timestamp(3800));
    assert_eq!(wait_ends_at(&rooms), None);
}

#[test]
fn subscription_is_spared_up_to_eight_times_a_limit_and_not_past_it() {
    for (messages, expected) in [(32, false), (33, true)] {
        let (mut rooms, log) = behind(WAITING, messages, Timestamp(0));
        assert_eq!(is_too_slow(&mut rooms, log, Timestamp(0)), expected);
    }
}

#[test]
fn publishers_of_a_room_go_on_when_none_of_its_logs_makes_them_wait() {
    let backpressure = RoomBackpressure::default();
    let (hall, garden) = (Arc::from("hall"), Arc::from("garden"));
    for room in [&hall, &hall, &garden] {
        backpressure.begin(room);
    }
    assert!(!backpressure.end("hall") && backpressure.on("hall").is_some());
    assert!(backpressure.end("hall") && backpressure.on("hall").is_none());
    assert!(backpressure.on("garden").is_some());
    assert!(backpressure.end("garden") && backpressure.on("garden").is_none());
    assert_eq!(backpressure.ends(), 2);
}
