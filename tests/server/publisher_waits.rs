//! A client that publishes faster than the subscribers of its room read waits for them. It closes no subscriber that reads.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use yamabiko::server::{Admission, Config, Context, Handler, LagPolicy, Message, Refusal, Upgrade};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{
    Client, Deadline, Frame, LOOP_TIMEOUT, Report, Running, frame, with_1_and_3_workers,
};

/// A text joins a room and is published to it; a binary message is published to `hall`.
struct Relay;

impl Handler for Relay {
    type Session = ();

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        match message {
            Message::Text(room) => {
                context.join(room);
                context.publish(room, message);
            }
            Message::Binary(_) => context.publish("hall", message),
        }
    }
}

const MESSAGES: u32 = 4000;
const MESSAGE_BYTES: usize = 10_000;

fn numbered_message(number: u32) -> Vec<u8> {
    let mut payload = vec![0xda; MESSAGE_BYTES];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    payload
}

/// The default policy, with this time for the publishers.
fn waiting(publisher_wait_max: Duration) -> LagPolicy {
    LagPolicy {
        age_max: None,
        publisher_wait_max,
        ..LagPolicy::default()
    }
}

/// Joins a room, and reads up to the proof of that.
fn join(client: &mut Client, room: &str) {
    client.text(room);
    while client.read_frame() != Frame::text(room) {}
}

fn read_all(subscriber: &mut Client) {
    for number in 0..MESSAGES {
        let frame = loop {
            // The others have joined, too.
            match subscriber.read_frame() {
                frame if frame.opcode == Opcode::Text => {}
                frame => break frame,
            }
        };
        assert!(frame.payload == numbered_message(number), "{number}");
    }
}

#[test]
fn publisher_waits_for_subscribers_that_are_behind_and_closes_none() {
    with_1_and_3_workers(|config| {
        let (_sender, reports) = channel();
        let config = Config {
            lag_policy: waiting(Duration::from_secs(3600)),
            ..config
        };
        let server = Running::start_with(config, Relay, reports);
        let mut subscribers: Vec<Client> = (0..4)
            .map(|_| Client::open_narrow(server.address))
            .collect();
        for subscriber in &mut subscribers {
            join(subscriber, "hall");
        }
        let wire: Vec<u8> = (0..MESSAGES)
            .flat_map(|number| frame(Opcode::Binary, &numbered_message(number)))
            .collect();
        // 40 MB, and nobody reads: the sockets take a part of them, and the log a few MiB.
        let mut publisher = Client::open(server.address);
        let rest = publisher.write_until_refused(&wire);
        assert!(!rest.is_empty(), "the publisher does not wait");
        let behind = server.handle.lags().iter().map(|lag| lag.bytes).max();
        assert!(behind.unwrap_or(0) <= 8 << 20, "{behind:?}");
        // Clients that publish to another room do not wait.
        let mut witness = Client::open(server.address);
        for _ in 0..10 {
            join(&mut witness, "garden");
        }
        thread::scope(|scope| {
            let mut writer = publisher.stream.try_clone().expect("a descriptor");
            scope.spawn(move || writer.write_all(rest).expect("the server reads again"));
            for subscriber in &mut subscribers {
                scope.spawn(move || read_all(subscriber));
            }
        });
        assert_eq!(server.handle.metrics().disconnected, 0);
    });
}

#[test]
fn subscriber_that_reads_nothing_is_waited_for_and_then_disconnected() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            lag_policy: waiting(Duration::from_millis(100)),
            ..config
        });
        let mut slow = Client::open_narrow(server.address);
        slow.join("hall");
        let mut reader = server.subscribers(1, "hall").remove(0);
        let mut publisher = Client::open(server.address);
        let clients = [&mut publisher, &mut reader];
        server.publish_until("hall", clients, "it is disconnected", |handle| {
            handle.metrics().disconnected > 0
        });
        match server.next_closed() {
            Report::Closed {
                failure: Some(failure),
                ..
            } => assert!(failure.starts_with("too slow"), "{failure}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(slow.read_until_close().0, 1013);
        reader.text("/publish hall and on it goes");
        assert_eq!(reader.read_text(), "and on it goes");
        assert_eq!(server.handle.metrics().disconnected, 1);
    });
}

#[test]
fn subscriber_that_reads_slowly_holds_the_publishers_for_its_time_in_all_and_is_then_disconnected()
{
    with_1_and_3_workers(|config| {
        let (_sender, reports) = channel();
        // Each single wait is short: the subscriber reads all the time.
        let lag_policy = LagPolicy {
            publisher_wait_rate_min: 0,
            ..waiting(Duration::from_millis(200))
        };
        let config = Config {
            lag_policy,
            ..config
        };
        let server = Running::start_with(config, Relay, reports);
        let mut slow = Client::open_narrow(server.address);
        join(&mut slow, "hall");
        let mut witness = Client::open(server.address);
        join(&mut witness, "garden");
        let wire = frame(Opcode::Binary, &numbered_message(0)).repeat(100);
        let publisher = Client::open(server.address);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream = &publisher.stream;
                while !is_over.load(Ordering::Relaxed) {
                    stream.write_all(&wire).expect("the server reads again");
                }
            });
            let deadline = Deadline::after(LOOP_TIMEOUT);
            while slow.read_frame().opcode == Opcode::Binary {
                // So that it reads more slowly than the others publish, and nobody waits for it in another room.
                (0..20).for_each(|_| join(&mut witness, "garden"));
                deadline.check("the slow subscriber is disconnected");
            }
            is_over.store(true, Ordering::Relaxed);
        });
        assert_eq!(server.handle.metrics().disconnected, 1);
    });
}

#[test]
fn subscriber_that_leaves_or_ends_is_waited_for_no_longer() {
    with_1_and_3_workers(|config| {
        let (_sender, reports) = channel();
        let config = Config {
            lag_policy: waiting(Duration::from_secs(3600)),
            ..config
        };
        let server = Running::start_with(config, Relay, reports);
        let mut slow = Client::open_narrow(server.address);
        join(&mut slow, "hall");
        let wire = frame(Opcode::Binary, &numbered_message(0)).repeat(MESSAGES as usize);
        let mut publisher = Client::open(server.address);
        let rest = publisher.write_until_refused(&wire);
        assert!(!rest.is_empty(), "the publisher does not wait");
        slow.reset();
        let written = publisher.stream.write_all(rest);
        written.expect("the server reads again");
        join(&mut publisher, "garden");
    });
}
