//! Slow subscribers: the actions of a room's lag policy, their limits and their metrics.

use std::time::Duration;
use yamabiko::server::{Config, LagAction, LagPolicy, Limits};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{
    Client, Frame, Running, TIMEOUT, eventually, frame, some_subscriber_is_behind,
    with_1_and_3_workers,
};

fn is_big(frame: &Frame) -> bool {
    *frame == Frame::big()
}

/// Publishes at the speed of a reader until a slow subscriber has skipped messages.
fn publish_until_messages_are_skipped(
    server: &Running,
    room: &str,
    clients: [&mut Client; 2],
) -> u64 {
    server.publish_until(room, clients, "messages are skipped", |handle| {
        handle.metrics().skipped > 0
    })
}

fn number_after(prefix: &str, text: &str) -> Option<u64> {
    let rest = text.strip_prefix(prefix)?;
    rest.split(' ').next()?.parse().ok()
}

/// Reads the messages of a slow subscriber, and the numbers of missed ones, until their sum is
/// the number of published messages.
fn read_account(subscriber: &mut Client, published: u64) -> (Vec<String>, u64) {
    let (mut big, mut missed, mut texts) = (0, 0, Vec::new());
    while big + missed + (texts.len() as u64) < published {
        let frame = subscriber.read_frame();
        if is_big(&frame) {
            big += 1;
            continue;
        }
        assert_eq!(frame.opcode, Opcode::Text, "a message is torn");
        let text = String::from_utf8(frame.payload).expect("text is UTF-8");
        match number_after("missed ", &text) {
            Some(number) => missed += number,
            None => texts.push(text),
        }
    }
    (texts, missed)
}

#[test]
fn skip_action_reports_the_number_of_missed_messages_and_goes_on() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut slow = Client::open_narrow(server.address);
        slow.join("skip");
        let mut reader = server.subscribers(1, "skip").remove(0);
        let mut publisher = Client::open(server.address);
        let published =
            publish_until_messages_are_skipped(&server, "skip", [&mut publisher, &mut reader]);
        let (_, missed) = read_account(&mut slow, published);
        assert!(missed > 0);
        publisher.text("/publish skip and it goes on");
        assert_eq!(slow.read_text(), "and it goes on");
        slow.text("still here");
        assert_eq!(slow.read_text(), "still here");
    });
}

#[test]
fn latest_action_keeps_only_the_newest_message() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut slow = Client::open_narrow(server.address);
        slow.join("latest");
        let mut reader = server.subscribers(1, "latest").remove(0);
        let mut publisher = Client::open(server.address);
        let published =
            publish_until_messages_are_skipped(&server, "latest", [&mut publisher, &mut reader]);
        // The sockets were full before, so no part of the last two can have been written.
        for text in ["last but one", "the last"] {
            publisher.text(&format!("/publish latest {text}"));
            assert_eq!(reader.read_text(), text);
        }
        // The slow subscriber's worker has appended them, too, before this client reads.
        eventually(
            "the slow subscriber's worker has the last two messages",
            TIMEOUT,
            || server.handle.metrics().deliveries >= 2 * (published + 2),
        );
        let (texts, missed) = read_account(&mut slow, published + 2);
        assert!(missed > 0);
        assert_eq!(texts, ["the last"]);
    });
}

#[test]
fn every_delivery_is_counted_as_taken_skipped_or_abandoned() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut slow = Client::open_narrow(server.address);
        slow.join("skip");
        let mut reader = server.subscribers(1, "skip").remove(0);
        let mut publisher = Client::open(server.address);
        let published =
            publish_until_messages_are_skipped(&server, "skip", [&mut publisher, &mut reader]);
        eventually("only the slow one is behind", TIMEOUT, || {
            let lags = server.handle.lags();
            lags.iter().map(|lag| lag.behind).sum::<usize>() <= 1
        });
        let (_, missed) = read_account(&mut slow, published);
        slow.text("metrics are published at the end of a turn");
        slow.read_text();
        reader.text("on this worker too");
        reader.read_text();
        let metrics = server.handle.metrics();
        assert_eq!(metrics.deliveries, 2 * published);
        assert_eq!(metrics.skipped, missed);
        assert_eq!((metrics.abandoned, metrics.disconnected), (0, 0));
        assert_eq!((metrics.opened, metrics.closed), (3, 0));
    });
}

#[test]
fn subscriber_that_reads_nothing_is_closed_when_messages_are_too_old() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            lag_policy: LagPolicy {
                action: LagAction::Disconnect,
                bytes_max: u64::MAX,
                messages_max: None,
                age_max: Some(Duration::from_millis(200)),
                publisher_wait_max: Duration::ZERO,
                ..LagPolicy::default()
            },
            ping_interval: None,
            ..config
        });
        let mut slow = Client::open_narrow(server.address);
        slow.join("hall");
        let mut reader = server.subscribers(1, "hall").remove(0);
        let mut publisher = Client::open(server.address);
        let clients = [&mut publisher, &mut reader];
        let behind = "the slow subscriber is behind or disconnected";
        let published = server.publish_until("hall", clients, behind, |handle| {
            some_subscriber_is_behind(handle) || handle.metrics().disconnected > 0
        });
        // No further message is published: only time passes.
        eventually("the slow subscriber is disconnected", TIMEOUT, || {
            server.handle.metrics().disconnected > 0
        });
        let mut whole = 0;
        let close = loop {
            let frame = slow.read_frame();
            match frame.opcode {
                Opcode::Close => break frame,
                _ => assert!(is_big(&frame)),
            }
            whole += 1;
        };
        assert!(whole < published);
        assert_eq!(close.payload[..2], 1013u16.to_be_bytes());
        slow.send(frame(Opcode::Close, &close.payload[..2]));
        slow.expect_end();
    });
}

#[test]
fn single_message_above_the_limit_does_not_count_as_lag() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            lag_policy: LagPolicy {
                bytes_max: 1,
                ..config.lag_policy
            },
            limits: Limits {
                message_bytes_max: 64 << 20,
                ..Limits::default()
            },
            ..config
        });
        let mut slow = Client::open_narrow(server.address);
        slow.join("hall");
        let mut publisher = Client::open(server.address);
        let bytes = 1200 * 10_000; // more than the sockets take
        publisher.text("/publish-bytes 1200 hall");
        let frame = slow.read_frame();
        assert_eq!(frame.payload.len(), bytes);
        slow.text("still here");
        assert_eq!(slow.read_text(), "still here");
    });
}

#[test]
fn delayed_batch_is_written_later_and_whole() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            batch_delay: Duration::from_millis(20),
            ..config
        });
        let mut subscribers = server.subscribers(3, "hall");
        let mut publisher = Client::open(server.address);
        for number in 0..50 {
            publisher.text(&format!("/publish hall {number}"));
        }
        for subscriber in &mut subscribers {
            for number in 0..50 {
                assert_eq!(subscriber.read_text(), number.to_string());
            }
        }
    });
}

#[test]
fn message_published_from_missed_or_closed_arrives_without_another_event() {
    for (action, expected) in [
        (LagAction::Disconnect, "someone has left"),
        (LagAction::Skip, "too slow for hall"),
        (LagAction::Latest, "too slow for hall"),
    ] {
        with_1_and_3_workers(|config| {
            let server = Running::start(Config {
                lag_policy: LagPolicy {
                    action,
                    bytes_max: u64::MAX,
                    messages_max: None,
                    age_max: Some(Duration::from_millis(200)),
                    publisher_wait_max: Duration::ZERO,
                    ..LagPolicy::default()
                },
                close_timeout: Duration::from_millis(200),
                ping_interval: None,
                ..config
            });
            let mut watchers = server.subscribers(8, "gaps");
            let mut slow = Client::open_narrow(server.address);
            slow.text("/publish-when-closed gaps");
            slow.join("hall");
            let mut reader = server.subscribers(1, "hall").remove(0);
            let mut publisher = Client::open(server.address);
            let clients = [&mut publisher, &mut reader];
            let behind = "the slow client is behind or has missed messages";
            server.publish_until("hall", clients, behind, |handle| {
                let metrics = handle.metrics();
                some_subscriber_is_behind(handle) || metrics.skipped + metrics.disconnected > 0
            });
            // No further message is published: only time passes.
            for watcher in &mut watchers {
                assert_eq!(watcher.read_text(), expected, "{action:?}");
            }
        });
    }
}
