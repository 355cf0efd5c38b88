//! Redis is gone, stopped, or refuses: what clients and operators see, and that it heals by itself.

use std::time::Duration;

use yamabiko_redis::RedisSettings;
use yamabiko_testing::redis::Redis;
use yamabiko_testing::socket::{TIMEOUT, eventually};

use crate::node::Node;

fn settings(redis: &Redis) -> RedisSettings {
    RedisSettings::new(redis.url().parse().expect("a URL"))
}

#[test]
fn members_stay_and_publications_are_refused_while_redis_is_gone() {
    let Some(mut redis) = Redis::start(&["--appendonly", "yes"]) else {
        return;
    };
    let settings = RedisSettings {
        publish_wait: Duration::from_millis(200),
        ..settings(&redis)
    };
    let node = Node::start_with(settings, 1);
    node.is_ready();
    let mut member = node.member("hall");
    member.publish("before");
    assert_eq!(member.texts(1), ["before"]);
    redis.kill();
    node.is_not_ready();
    member.text("meanwhile");
    let line = member.answer();
    assert!(
        line == "refused BackplaneGone" || line == "refused Unknown",
        "{line}"
    );
    // From now on at once.
    member.text("again");
    assert_eq!(member.answer(), "refused BackplaneGone");
    redis.run();
    node.is_ready();
    // The epoch is another one.
    member.gap();
    member.publish("after");
}

#[test]
fn queue_is_refused_past_its_limit_and_nothing_of_it_is_lost_or_reordered() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let settings = RedisSettings {
        queue_publications_max: 10,
        silence_max: TIMEOUT,
        publish_wait: TIMEOUT,
        ..settings(&redis)
    };
    let node = Node::start_with(settings, 1);
    node.is_ready();
    let mut publisher = node.client("hall");
    let first = publisher.publish("0");
    redis.signal("STOP");
    for number in 1..=11 {
        publisher.text(&number.to_string());
    }
    // The eleventh is past the limit, and the others wait.
    assert_eq!(publisher.answer(), "refused BackplaneBehind");
    redis.signal("CONT");
    for place in 1..=10 {
        assert_eq!(publisher.line(), format!("taken {}", first.plus(place)));
    }
    let mut late = node.client("hall");
    late.text("latest 100");
    assert!(late.line().contains(" 11 None"));
    let expected: Vec<String> = (0..=10).map(|number| number.to_string()).collect();
    assert_eq!(late.texts(11), expected);
}

/// Its connections stay open and it takes new ones: only a round trip shows that it does nothing.
#[test]
fn node_of_a_redis_that_is_stopped_is_not_ready_and_heals_without_loss() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let settings = RedisSettings {
        ready_within: Duration::from_millis(700),
        ..settings(&redis)
    };
    let node = Node::start_with(settings, 1);
    node.is_ready();
    let mut member = node.member("hall");
    let first = member.publish("first");
    assert_eq!(member.next(), (first, "first".to_owned()));
    redis.signal("STOP");
    member.text("second");
    node.is_not_ready();
    let state = node.server.handle.backplane_state().expect("a backplane");
    assert!(state.reason.is_some_and(|reason| !reason.is_empty()));
    redis.signal("CONT");
    node.is_ready();
    let mut lines = [member.line(), member.line()];
    lines.sort();
    assert_eq!(
        lines,
        [
            format!("{} second", first.plus(1)),
            format!("taken {}", first.plus(1))
        ]
    );
}

#[test]
fn message_that_redis_has_no_memory_for_is_refused_and_told() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let node = Node::start(&redis.url());
    let mut member = node.member("hall");
    member.publish("first");
    assert_eq!(member.texts(1), ["first"]);
    assert_eq!(redis.command("CONFIG SET maxmemory 1"), "+OK");
    member.text("second");
    assert_eq!(member.answer(), "refused BackplaneRefused");
    assert_eq!(redis.command("CONFIG SET maxmemory 0"), "+OK");
    member.publish("third");
    assert_eq!(member.texts(1), ["third"]);
}

#[test]
fn scripts_that_redis_has_forgotten_are_loaded_again() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let node = Node::start(&redis.url());
    let mut member = node.member("hall");
    member.publish("first");
    assert_eq!(redis.command("SCRIPT FLUSH"), "+OK");
    member.publish("second");
}

#[test]
fn password_is_needed_and_a_wrong_one_is_told_without_it() {
    let Some(redis) = Redis::start(&["--requirepass", "se:cret"]) else {
        return;
    };
    let right = settings(&redis);
    let right = RedisSettings {
        url: right.url.clone().with_password("se:cret"),
        ..right
    };
    let node = Node::start_with(right, 1);
    node.is_ready();
    node.client("hall").publish("known");
    let wrong = settings(&redis);
    let wrong = RedisSettings {
        url: wrong.url.clone().with_password("other"),
        ..wrong
    };
    let node = Node::start_with(wrong, 1);
    eventually("the reason is told", TIMEOUT, || {
        let state = node.server.handle.backplane_state().expect("a backplane");
        let reason = state.reason.unwrap_or_default();
        assert!(!reason.contains("other"), "{reason}");
        !state.is_ready && reason.contains("password")
    });
}

/// A node that was started before its Redis.
#[test]
fn node_becomes_ready_when_redis_does() {
    let Some(mut redis) = Redis::start(&[]) else {
        return;
    };
    redis.kill();
    let node = Node::start_with(settings(&redis), 1);
    node.is_not_ready();
    redis.run();
    node.is_ready();
    node.client("hall").publish("first");
}

/// Publications that Redis has not answered when the server stops are answered first.
#[test]
fn server_that_stops_has_sent_what_it_was_given() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let node = Node::start(&redis.url());
    for number in 0..100 {
        let published = node.server.publisher.publish("/hall", number.to_string());
        published.expect("there is room");
    }
    drop(node);
    assert_eq!(redis.number("XLEN yamabiko:log:/hall"), 100);
}

#[test]
fn record_and_log_of_a_room_that_is_not_used_are_forgotten() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let settings = RedisSettings {
        room_idle: Duration::from_secs(1000),
        ..settings(&redis)
    };
    let node = Node::start_with(settings, 1);
    node.is_ready();
    node.client("hall").publish("first");
    for key in ["room", "log"] {
        let seconds = redis.number(&format!("TTL yamabiko:{key}:/hall"));
        assert!((900..=1000).contains(&seconds), "{key}: {seconds}");
    }
}
