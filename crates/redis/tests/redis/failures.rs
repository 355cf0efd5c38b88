//! What fails elsewhere: lost messages, answers that do not come, a Redis that comes back with less than it had.

use std::time::{Duration, Instant};

use yamabiko::server::Backplane;
use yamabiko_redis::RedisSettings;
use yamabiko_testing::network::Network;
use yamabiko_testing::redis::Redis;
use yamabiko_testing::socket::{TIMEOUT, eventually, in_time};

use crate::node::Node;

/// A connection is given up after a second and a half of silence.
fn impatient(url: &str) -> RedisSettings {
    RedisSettings {
        silence_max: Duration::from_millis(1500),
        ..RedisSettings::new(url.parse().expect("a URL"))
    }
}

/// The subscriber's connection is closed as Redis does it when a node does not keep up.
#[test]
fn messages_that_pub_sub_has_lost_are_read_from_the_log() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let (one, other) = (Node::start(&redis.url()), Node::start(&redis.url()));
    let (mut publisher, mut member) = (one.client("hall"), other.member("hall"));
    for round in 0..20 {
        let before = publisher.publish(&format!("{round} before"));
        redis.command("CLIENT KILL TYPE pubsub");
        publisher.publish(&format!("{round} after"));
        assert_eq!(member.next(), (before, format!("{round} before")));
        assert_eq!(member.next(), (before.plus(1), format!("{round} after")));
    }
}

/// A message that never was on the channel: another program has written it to the log, as a lost one looks.
#[test]
fn last_message_that_is_lost_is_found_by_comparing_the_positions() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let node = Node::start(&redis.url());
    let mut member = node.member("hall");
    let first = member.publish("first");
    assert_eq!(member.next(), (first, "first".to_owned()));
    let reads = node.backplane.counts().reads;
    // An empty text: the length of the rest, and the kind.
    redis.command(r#"XADD yamabiko:log:/hall 2-1 m "\x00\x00\x00\x05\x01lost""#);
    redis.command("HSET yamabiko:room:/hall offset 2");
    assert_eq!(member.next(), (first.plus(1), "lost".to_owned()));
    assert_eq!(
        node.backplane.counts().reads,
        reads,
        "it was found by the check alone"
    );
}

/// Redis executes what it was told, and its answer is lost: the node asks again over the next connection.
#[test]
fn message_whose_answer_is_lost_is_published_once() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let network = Network::to(redis.address());
    let far = Node::start_with(impatient(&format!("redis://{}", network.address)), 1);
    far.is_ready();
    let near = Node::start(&redis.url());
    let (mut publisher, mut member) = (far.client("hall"), near.member("hall"));
    let first = publisher.publish("first");
    assert_eq!(member.next(), (first, "first".to_owned()));
    let mut before = 0;
    // If the node waits for the answer to something else when that is lost, it sends nothing more until the network is whole.
    in_time("Redis has a message whose answer is lost", || {
        network.cut_answers();
        publisher.text("second");
        publisher.text("third");
        let (begun, wait) = (Instant::now(), Duration::from_secs(1));
        let has_it = || redis.number("XLEN yamabiko:log:/hall") > before + 1;
        let mut is_there = has_it();
        while !is_there && begun.elapsed() < wait {
            is_there = has_it();
        }
        network.mend();
        let taken = [publisher.line(), publisher.line()];
        let expected = [1, 2].map(|place| format!("taken {}", first.plus(before + place)));
        assert_eq!(taken, expected);
        before += 2;
        is_there.then_some(())
    });
    let last = publisher.publish("last");
    assert_eq!(last, first.plus(before + 1), "nothing was numbered twice");
    for _ in 0..before / 2 {
        assert_eq!(member.texts(2), ["second", "third"]);
    }
    assert_eq!(member.texts(1), ["last"]);
}

#[test]
fn node_that_was_cut_off_gets_all_that_it_has_missed() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let network = Network::to(redis.address());
    let far = Node::start_with(impatient(&format!("redis://{}", network.address)), 1);
    far.is_ready();
    let near = Node::start(&redis.url());
    let (mut publisher, mut member) = (near.client("hall"), far.member("hall"));
    publisher.publish("whole");
    assert_eq!(member.texts(1), ["whole"]);
    network.cut();
    for number in 0..100 {
        publisher.publish(&number.to_string());
    }
    far.is_not_ready();
    network.mend();
    let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(member.texts(100), expected);
    far.is_ready();
}

/// More is missing than Redis keeps.
#[test]
fn gap_is_told_where_the_log_has_no_more_what_was_missed() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let network = Network::to(redis.address());
    let far = Node::start_with(impatient(&format!("redis://{}", network.address)), 1);
    far.is_ready();
    let near = Node::start(&redis.url());
    let (mut publisher, mut member) = (near.client("hall"), far.member("hall"));
    let first = publisher.publish("first");
    assert_eq!(member.next(), (first, "first".to_owned()));
    network.cut();
    let mut last = first;
    for number in 0..1300 {
        last = publisher.publish(&number.to_string());
    }
    network.mend();
    let gap = member.gap();
    assert!(
        first.offset() < gap.offset() && gap.offset() <= 301,
        "{gap}"
    );
    let rest = last.offset() - gap.offset();
    for (offset, _) in (1..).zip(0..rest) {
        assert_eq!(member.next().0, gap.plus(offset));
    }
}

#[test]
fn redis_that_comes_back_from_an_older_snapshot_begins_a_new_epoch() {
    let Some(mut redis) = Redis::start(&[]) else {
        return;
    };
    let (one, other) = (Node::start(&redis.url()), Node::start(&redis.url()));
    let (mut publisher, mut member) = (one.client("hall"), other.member("hall"));
    let first = publisher.publish("first");
    redis.snapshot("older");
    let lost = publisher.publish("lost");
    assert_eq!(member.texts(2), ["first", "lost"]);
    redis.kill();
    redis.restore("older");
    redis.run();
    one.is_ready();
    other.is_ready();
    let gap = member.gap();
    assert_eq!(gap.offset(), first.offset());
    assert_ne!(gap.epoch(), first.epoch());
    // The offset of the lost message names another one, in another epoch.
    let second = publisher.publish("second");
    assert_eq!(
        (second.offset(), second.epoch()),
        (lost.offset(), gap.epoch())
    );
    assert_eq!(member.next(), (second, "second".to_owned()));
    // A client that knows the lost message is not given the other one for it, on any node.
    for node in [&one, &other] {
        let mut back = node.client("hall");
        back.text(&format!("after {lost}"));
        let line = back.line();
        assert!(line.ends_with("OtherEpoch"), "{line}");
    }
}

/// What Redis has acknowledged and kept is delivered, also to nodes that had not got it before Redis ended.
#[test]
fn acknowledged_messages_survive_a_redis_with_a_log_on_its_disk() {
    let options = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(mut redis) = Redis::start(&options) else {
        return;
    };
    let network = Network::to(redis.address());
    let far = Node::start_with(impatient(&format!("redis://{}", network.address)), 1);
    far.is_ready();
    let near = Node::start(&redis.url());
    let (mut publisher, mut member) = (near.client("hall"), far.member("hall"));
    let first = publisher.publish("first");
    assert_eq!(member.next(), (first, "first".to_owned()));
    network.cut();
    let second = publisher.publish("second");
    redis.kill();
    redis.run();
    network.mend();
    near.is_ready();
    assert_eq!(member.next(), (second, "second".to_owned()));
    let line = member.line();
    assert!(line.starts_with("gap "), "the epoch is another one: {line}");
    let third = publisher.publish("third");
    assert_eq!(member.next(), (third, "third".to_owned()));
    assert_ne!(third.epoch(), second.epoch());
}

#[test]
fn rooms_begin_anew_when_all_keys_are_deleted() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let node = Node::start(&redis.url());
    let mut member = node.member("hall");
    let first = member.publish("first");
    assert_eq!(redis.command("FLUSHALL"), "+OK");
    let second = member.publish("second");
    assert_ne!(second.epoch(), first.epoch());
    assert_eq!(second.offset(), 1);
    let mut lines = Vec::new();
    eventually("the new message comes behind a gap", TIMEOUT, || {
        lines.push(member.line());
        lines
            .last()
            .is_some_and(|line| line.starts_with("gap ") || line.ends_with(" second"))
    });
}
