//! Backpressure: clients that do not read, and workers that do not take their messages.
//! A slow client or worker makes its senders wait, or gets an error, or is closed. The other
//! clients are served.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use yamabiko::server::{
    Admission, CloseCode, Config, Context, Handler, LagPolicy, Limits, Message, Refusal, Upgrade,
};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{
    Client, Frame, Report, Running, TIMEOUT, config, eventually, frame, joined,
    some_subscriber_is_behind, with_1_and_3_workers,
};

/// An echo that counts its messages.
struct CountingEcho {
    received_bytes: Arc<AtomicUsize>,
}

impl Handler for CountingEcho {
    type Session = ();

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        let bytes = message.as_bytes().len();
        self.received_bytes.fetch_add(bytes, Ordering::Relaxed);
        context
            .send(message)
            .expect("the server does not read while the write queue is full");
    }
}

const MESSAGES: u32 = 2048;
const MESSAGE_BYTES: usize = 16 << 10;

fn numbered_message(number: u32) -> Vec<u8> {
    let mut payload = vec![number.to_le_bytes()[0]; MESSAGE_BYTES];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    payload
}

#[test]
fn client_that_does_not_read_its_echoes_is_not_read() {
    with_1_and_3_workers(|config| {
        let received_bytes = Arc::new(AtomicUsize::new(0));
        let handler = CountingEcho {
            received_bytes: received_bytes.clone(),
        };
        let (_sender, reports) = channel();
        let server = Running::start_with(config, handler, reports);
        let mut client = Client::open(server.address);
        let wire: Vec<u8> = (0..MESSAGES)
            .flat_map(|number| frame(Opcode::Binary, &numbered_message(number)))
            .collect();

        // The client offers 32 MiB. The echoes of the handler are in the kernel's two buffers (4 MiB,
        // and a small one) and in the write queue (64 KiB, and the echoes of one read).
        let rest = client.write_until_refused(&wire);
        let kept = received_bytes.load(Ordering::Relaxed);
        assert!(kept < 8 << 20, "{kept} bytes are kept for one client");

        let mut writer = client.stream.try_clone().expect("a descriptor");
        thread::scope(|scope| {
            scope.spawn(move || writer.write_all(rest).expect("the server reads again"));
            for number in 0..MESSAGES {
                let payload = client.read_frame().payload;
                assert!(payload == numbered_message(number), "message {number}");
            }
        });
    });
}

/// Replies to each message with many bytes, or closes with 1013 if they cannot be sent.
struct Replier;

const REPLY_BYTES: usize = 140_000;

impl Handler for Replier {
    type Session = ();

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        let number = message.as_bytes()[0];
        let reply = vec![number; REPLY_BYTES];
        if context.send(Message::Binary(&reply)).is_err() {
            context.close((CloseCode::TRY_AGAIN_LATER, "too many replies are waiting"));
        }
    }
}

#[test]
fn client_that_reads_gets_every_reply_to_the_messages_of_one_segment() {
    with_1_and_3_workers(|config| {
        let (_sender, reports) = channel();
        let config = Config {
            backlog_bytes_max: REPLY_BYTES - 1,
            ..config
        };
        let server = Running::start_with(config, Replier, reports);
        // The sockets take none, some or all of the replies at once.
        for mut client in [
            Client::open(server.address),
            Client::open_narrow(server.address),
        ] {
            let requests = 0..60;
            let wire = requests.clone().flat_map(|n| frame(Opcode::Binary, &[n]));
            client.send(wire.collect::<Vec<u8>>());
            for number in requests {
                let reply = client.read_frame();
                assert!(
                    reply.payload == [number; REPLY_BYTES],
                    "{number}: {reply:?}"
                );
            }
        }
    });
}

#[test]
fn client_that_floods_and_reads_nothing_is_not_read_and_is_closed() {
    for opcode in [Opcode::Ping, Opcode::Text] {
        with_1_and_3_workers(|config| {
            let server = Running::start(Config {
                ping_interval: Some(Duration::from_millis(200)),
                pong_timeout: Duration::from_millis(200),
                close_timeout: Duration::from_millis(200),
                ..config
            });
            let client = Client::open_narrow(server.address);
            let mut writer = client.stream.try_clone().expect("a descriptor");
            let wire = frame(opcode, &[b'p'; 125]).repeat(1000);
            // The client floods until it is closed.
            let flood = thread::spawn(move || while writer.write_all(&wire).is_ok() {});
            match server.next_closed() {
                Report::Closed { failure, .. } => assert!(failure.is_some()),
                other => panic!("{other:?}"),
            }
            drop(client);
            joined("the end of the flood", flood);
        });
    }
}

#[test]
fn client_that_does_not_read_its_pongs_is_not_read_and_gets_all_of_them_later() {
    let server = Running::start(Config {
        ping_interval: None,
        ..config(1)
    });
    let mut client = Client::open_narrow(server.address);
    let pings = 100_000u32;
    let payload = |number: u32| [&number.to_be_bytes()[..], &[0; 121]].concat();
    let wire: Vec<u8> = (0..pings)
        .flat_map(|number| frame(Opcode::Ping, &payload(number)))
        .collect();
    let rest = client.write_until_refused(&wire);
    assert!(!rest.is_empty(), "12 MiB of pings were read");
    let mut writer = client.stream.try_clone().expect("a descriptor");
    thread::scope(|scope| {
        scope.spawn(move || writer.write_all(rest).expect("the server reads again"));
        for number in 0..pings {
            let pong = client.read_frame();
            assert_eq!(pong.opcode, Opcode::Pong);
            assert!(pong.payload == payload(number), "{number}: {pong:?}");
        }
    });
}

#[test]
fn send_fails_when_too_many_bytes_wait_for_the_client() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            backlog_bytes_max: 1000,
            ..config
        });
        let mut client = Client::open(server.address);
        // Frames of 100 bytes: ten are at the limit, the eleventh is past it.
        client.text("/flood 98");
        for _ in 0..11 {
            assert_eq!(client.read_frame().payload, [0xf1; 98]);
        }
        client.text("and then it has room again");
        assert_eq!(client.read_text(), "and then it has room again");
    });
}

#[test]
fn subscriber_that_stops_reading_is_closed_with_1013_and_others_are_served() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            backlog_bytes_max: 64 << 10,
            lag_policy: LagPolicy {
                bytes_max: 64 << 10,
                ..config.lag_policy
            },
            limits: Limits {
                message_bytes_max: 256 << 10,
                ..Limits::default()
            },
            ..config
        });
        let mut slow = Client::open_narrow(server.address);
        slow.join("hall");
        let mut reader = server.subscribers(1, "hall").remove(0);
        let mut publisher = Client::open(server.address);
        let clients = [&mut publisher, &mut reader];
        let closed = "the slow subscriber is disconnected";
        let published = server.publish_until("hall", clients, closed, |handle| {
            handle.metrics().disconnected > 0
        });

        // It has received whole messages, and then a Close.
        let mut whole = 0;
        let close = loop {
            let frame = slow.read_frame();
            if frame.opcode == Opcode::Close {
                break frame;
            }
            assert!(frame == Frame::big(), "{frame:?}");
            whole += 1;
        };
        assert!(0 < whole && whole < published, "{whole} of {published}");
        assert_eq!(close.payload[..2], 1013u16.to_be_bytes());
        slow.send(frame(Opcode::Close, &close.payload[..2]));
        slow.expect_end();
        match server.next_closed() {
            Report::Closed {
                failure: Some(failure),
                ..
            } => assert!(failure.starts_with("too slow")),
            other => panic!("{other:?}"),
        }
        reader.text("/publish hall and on it goes");
        assert_eq!(reader.read_text(), "and on it goes");
    });
}

#[test]
fn subscriber_that_was_slow_within_the_limits_gets_every_message_later() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            backlog_bytes_max: 64 << 20,
            lag_policy: LagPolicy {
                bytes_max: 64 << 20,
                ..config.lag_policy
            },
            ..config
        });
        let mut slow = Client::open_narrow(server.address);
        slow.join("hall");
        slow.join("garden");
        let mut reader = server.subscribers(1, "hall").remove(0);
        let mut publisher = Client::open(server.address);
        let clients = [&mut publisher, &mut reader];
        let behind = "the slow subscriber is behind";
        let published = server.publish_until("hall", clients, behind, some_subscriber_is_behind);
        reader.text("/publish garden meanwhile in the garden");
        slow.text("an echo goes out between two messages");
        let (mut big, mut texts) = (0, Vec::new());
        while big < published || texts.len() < 2 {
            let frame = slow.read_frame();
            match frame.opcode {
                Opcode::Text => texts.push(frame),
                _ => {
                    assert!(frame == Frame::big());
                    big += 1;
                }
            }
        }
        assert!(texts.contains(&Frame::text("meanwhile in the garden")));
        assert_eq!((big, texts.len()), (published, 2));
    });
}

#[test]
fn subscriber_that_leaves_during_a_message_gets_the_rest_of_it() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            backlog_bytes_max: 64 << 20,
            lag_policy: LagPolicy {
                bytes_max: 64 << 20,
                ..config.lag_policy
            },
            ..config
        });
        let mut slow = Client::open_narrow(server.address);
        slow.join("hall");
        let mut reader = server.subscribers(1, "hall").remove(0);
        let mut publisher = Client::open(server.address);
        let clients = [&mut publisher, &mut reader];
        let behind = "the slow subscriber is behind";
        let published = server.publish_until("hall", clients, behind, some_subscriber_is_behind);
        // The client reads nothing until the server has processed both commands.
        // In one write: behind the reply to the first, which waits, the server might not read on.
        let commands = ["/leave hall", "/close 4000 bye"];
        slow.send(
            commands
                .map(|text| frame(Opcode::Text, text.as_bytes()))
                .concat(),
        );
        // Two clients have joined, too.
        eventually("both are received", TIMEOUT, || {
            server.handle.metrics().received == 2 + published + 2
        });
        let mut whole = 0;
        let next = loop {
            let frame = slow.read_frame();
            if frame != Frame::big() {
                break frame;
            }
            whole += 1;
        };
        assert!(0 < whole && whole < published, "{whole} of {published}");
        assert_eq!(next, Frame::text("left"));
        assert_eq!(slow.read_close().0, 4000);
    });
}

#[test]
fn client_that_was_paused_for_its_write_queue_and_then_for_workers_is_read_again() {
    let server = Running::start(Config {
        ping_interval: None,
        ..config(3)
    });
    let mut clients = server.clients_of_each_worker(3, 2);
    let mut blocked = clients.remove(1).remove(0);
    blocked.join("hall");
    let mut publisher = clients.remove(0).remove(0);
    publisher.join("hall");
    let mut echoer = (0..1000)
        .map(|_| Client::open_narrow(server.address))
        .find_map(|mut client| (client.worker() == 0).then_some(client))
        .expect("the kernel gives a client to each worker");

    // Its echoes fill the write queue, so that the server does not read it.
    let echo = frame(Opcode::Binary, &vec![0xec; 30_000]);
    let echoes = 600;
    let wire = echo.repeat(echoes);
    let rest = echoer.write_until_refused(&wire);
    assert!(!rest.is_empty());
    // Another worker is blocked, and cross-worker messages for it wait.
    let lock = server.worker_lock.lock().expect("no thread panics");
    blocked.text("/wait-for-lock");
    server.wait_for_report(|report| *report == Report::WaitsForLock);
    for _ in 0..20 {
        publisher.text("/publish-bytes 10 hall");
    }
    // Now its echoes are written, but it must not cause more cross-worker messages.
    echoer.read_until_blocked();
    drop(lock);

    thread::scope(|scope| {
        let mut writer = echoer.stream.try_clone().expect("a descriptor");
        scope.spawn(move || writer.write_all(rest).expect("the server reads again"));
        for _ in 0..echoes {
            assert_eq!(echoer.read_frame().payload.len(), 30_000);
        }
    });
    for client in [&mut publisher, &mut blocked] {
        for _ in 0..20 {
            assert!(client.read_frame() == Frame::big());
        }
    }
}

#[test]
fn publisher_gets_an_error_when_the_worker_takes_no_messages() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        // The limit of a client's write queue does not matter here.
        let server = Running::start(Config {
            backlog_bytes_max: 0,
            ..config
        });
        let mut subscribers = server.subscriber_of_each_worker(workers, "hall");
        let lock = server.worker_lock.lock().expect("no thread panics");
        for subscriber in &mut subscribers {
            subscriber.text("/wait-for-lock");
            server.wait_for_report(|report| *report == Report::WaitsForLock);
        }
        // 3 MiB may be in flight with a message of this length: 32 of them are past that.
        let big = Frame::big().payload;
        let message = Message::Binary(&big);
        let publish = || server.publisher.publish("hall", message);
        let published = (0..100).take_while(|_| publish() == Ok(())).count();
        assert_eq!((published, publish().is_err()), (31, true));
        drop(lock);
        for subscriber in &mut subscribers {
            for _ in 0..published {
                assert!(subscriber.read_frame() == Frame::big());
            }
            subscriber.text("read as before");
            assert_eq!(subscriber.read_text(), "read as before");
        }
    });
}
