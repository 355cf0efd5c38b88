//! Deadlines: every wait of the server is limited, and an idle server does not wake. The deadlines
//! are short here. The tests check the order of events, not durations.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;
use yamabiko::server::Config;
use yamabiko::websocket::frame::Opcode;
#[cfg(target_os = "linux")]
use yamabiko_testing::socket::is_asleep;
use yamabiko_testing::socket::{
    Client, Deadline, Frame, LOOP_TIMEOUT, Report, Running, TIMEOUT, config, eventually, frame,
    in_time, upgrade, with_1_and_3_workers,
};

const SHORT: Duration = Duration::from_millis(40);
const LONG: Duration = Duration::from_secs(3600);

fn with_handshake_timeout(config: Config) -> Config {
    Config {
        handshake_timeout: SHORT,
        ping_interval: None,
        ..config
    }
}

#[test]
fn incomplete_head_is_answered_with_408() {
    with_1_and_3_workers(|config| {
        let server = Running::start(with_handshake_timeout(config));
        // There is no response if no byte arrives before the timeout; then the test tries again.
        let response = in_time("a response to an incomplete head", || {
            let mut client = Client::connect(server.address);
            client.send(&upgrade("/", "")[..60]);
            client.try_read_response()
        });
        response.expect_whole();
        assert_eq!(response.status, 408);
    });
}

#[test]
fn client_that_sends_nothing_is_closed_without_a_response() {
    with_1_and_3_workers(|config| {
        let server = Running::start(with_handshake_timeout(config));
        Client::connect(server.address).expect_end();
    });
}

#[test]
fn single_bytes_do_not_extend_the_handshake_timeout() {
    let server = Running::start(with_handshake_timeout(config(1)));
    let response = in_time("a response to single bytes", || {
        let mut client = Client::connect(server.address);
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
        let pause = Some(Duration::from_millis(4));
        client.stream.set_read_timeout(pause).expect("a span");
        // A field may have 8 KiB: half a minute, if each byte extended the timeout.
        let answered = (0..8000).any(|_| {
            client.send("x");
            client.stream.peek(&mut [0]).is_ok()
        });
        assert!(answered, "the server has read all bytes");
        client
            .stream
            .set_read_timeout(Some(TIMEOUT))
            .expect("a span");
        client.try_read_response()
    });
    assert_eq!(response.status, 408);
}

#[test]
fn handshake_timeout_ends_with_the_handshake() {
    with_1_and_3_workers(|config| {
        let server = Running::start(with_handshake_timeout(config));
        let mut client = Client::open_in_time(server.address);
        // The timeout of a later connection has passed.
        Client::connect(server.address).expect_end();
        client.text("still here");
        assert_eq!(client.read_text(), "still here");
    });
}

fn with_ping_interval(config: Config) -> Config {
    Config {
        ping_interval: Some(SHORT),
        ..config
    }
}

fn pong(ping: &Frame) -> Vec<u8> {
    assert_eq!(ping.opcode, Opcode::Ping);
    frame(Opcode::Pong, &ping.payload)
}

#[test]
fn silent_client_is_pinged_and_stays_open_while_it_answers() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            pong_timeout: LONG,
            ..with_ping_interval(config)
        });
        let mut client = Client::open(server.address);
        let mut pings: Vec<Frame> = Vec::new();
        for _ in 0..5 {
            let ping = client.read_frame();
            client.send(pong(&ping));
            assert!(!pings.contains(&ping), "each ping has a pong of its own");
            pings.push(ping);
        }
        client.text("still here");
        let mut frames = std::iter::from_fn(|| client.next_frame());
        let echo = frames.find(|frame| frame.opcode != Opcode::Ping);
        assert_eq!(echo, Some(Frame::text("still here")));
    });
}

// A client can send a pong only after the message that it was sending when the ping arrived. These
// tests send no pong: a second ping shows that other bytes have extended the deadline.

#[test]
fn each_piece_of_a_frame_extends_the_pong_deadline() {
    with_1_and_3_workers(|config| {
        let server = Running::start(with_ping_interval(config));
        let mut client = Client::open(server.address);
        let upload = frame(Opcode::Binary, &[0xda; 4000]);
        for piece in upload.chunks(1000) {
            assert_eq!(client.read_frame().opcode, Opcode::Ping);
            client.send(piece);
        }
        let mut frames = std::iter::from_fn(|| client.next_frame());
        let echo = frames.find(|frame| frame.opcode != Opcode::Ping);
        assert_eq!(echo.expect("an echo").payload, [0xda; 4000]);
    });
}

#[test]
fn each_message_extends_the_pong_deadline() {
    with_1_and_3_workers(|config| {
        let server = Running::start(with_ping_interval(config));
        let mut client = Client::open(server.address);
        for _ in 0..5 {
            assert_eq!(client.read_frame().opcode, Opcode::Ping);
            client.text("a message, and no pong");
            assert_eq!(client.read_text(), "a message, and no pong");
        }
        // So does a pong that answers no ping (RFC 6455 §5.5.3).
        for _ in 0..5 {
            assert_eq!(client.read_frame().opcode, Opcode::Ping);
            client.send(frame(Opcode::Pong, b"unsolicited"));
        }
    });
}

#[test]
fn half_messages_with_a_byte_now_and_then_end_with_1008() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            message_timeout: Some(SHORT),
            // More than all of the rest that is sent.
            message_bytes_per_second_min: 1 << 20,
            ..config
        });
        let message = frame(Opcode::Binary, &[0xda; 1 << 20]);
        let (half, rest) = message.split_at(512 << 10);
        let mut clients: Vec<Client> = (0..20).map(|_| Client::open(server.address)).collect();
        clients.iter_mut().for_each(|client| client.send(half));
        for client in &mut clients {
            let pause = Some(Duration::from_millis(4));
            client.stream.set_read_timeout(pause).expect("a span");
            let ended = rest[..8000].chunks(1).any(|byte| {
                client.send(byte);
                client.stream.peek(&mut [0]).is_ok()
            });
            assert!(ended, "the server has read all bytes");
            client
                .stream
                .set_read_timeout(Some(TIMEOUT))
                .expect("a span");
            let reason = "a message was not completed in time".to_owned();
            assert_eq!(client.read_close(), (1008, reason));
        }
        // A message that comes at once has no deadline.
        let mut client = Client::open(server.address);
        client.text("whole");
        assert_eq!(client.read_text(), "whole");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn pong_deadline_begins_when_a_slow_reader_has_taken_the_bytes_before_the_ping() {
    let server = Running::start(Config {
        pong_timeout: Duration::from_secs(5),
        backlog_bytes_max: 3 << 20,
        ..with_ping_interval(config(1))
    });
    // The pings of a server without deadlines tell that time has passed.
    let without_deadlines = Running::start(Config {
        ping_interval: Some(Duration::from_millis(100)),
        ..config(1)
    });
    let mut slow = Client::open_narrow(server.address);
    slow.text("/flood 65536");
    // The ping is behind 3 MiB. The client takes twice the pong timeout to get there.
    let mut pacer = Client::open(without_deadlines.address);
    for _ in 0..35 {
        for _ in 0..3 {
            let ping = pacer.read_frame();
            pacer.send(pong(&ping));
        }
        assert_eq!(slow.read_frame().opcode, Opcode::Binary);
    }
    let mut frames = std::iter::from_fn(|| slow.next_frame());
    let ping = frames.find(|frame| frame.opcode != Opcode::Binary);
    slow.send(pong(&ping.expect("a ping")));
    slow.text("still here");
    let mut frames = std::iter::from_fn(|| slow.next_frame());
    let echo = frames.find(|frame| frame.opcode != Opcode::Ping);
    assert_eq!(echo, Some(Frame::text("still here")));
}

#[test]
fn pong_deadline_is_suspended_while_the_client_is_paused_for_other_workers() {
    let second = Duration::from_secs(1);
    let server = Running::start(Config {
        ping_interval: Some(second / 5),
        pong_timeout: second,
        handshake_timeout: 2 * second,
        ..config(2)
    });
    let mut blocked = client_of_worker(&server, 1);
    let mut publisher = client_of_worker(&server, 0);
    let lock = server.worker_lock.lock().expect("no thread panics");
    blocked.text("/wait-for-lock");
    server.wait_for_report(|report| *report == Report::WaitsForLock);
    for room in ["hall", "garden"] {
        publisher.text(&format!("/publish-bytes 200 {room}"));
    }
    // From here on the server does not read it: too many bytes wait for the other worker.
    let ping = publisher.read_frame();
    publisher.send(pong(&ping));
    publisher.text("not read yet");
    // Connections that open after the ping have a later deadline, and it comes on this worker
    // only: the other one is blocked.
    let later: Vec<Client> = (0..32).map(|_| Client::connect(server.address)).collect();
    for client in &later {
        client.stream.set_nonblocking(true).expect("an open socket");
    }
    eventually("a later deadline has expired", TIMEOUT, || {
        later
            .iter()
            .any(|client| matches!(client.stream.peek(&mut [0]), Ok(0)))
    });
    drop(lock);
    let mut frames = std::iter::from_fn(|| publisher.next_frame());
    let echo = frames.find(|frame| frame.opcode != Opcode::Ping);
    assert_eq!(echo, Some(Frame::text("not read yet")));
}

/// A client that this worker serves.
fn client_of_worker(server: &Running, worker: usize) -> Client {
    for _ in 0..1000 {
        let client = Client::open(server.address);
        let opened = server.wait_for_report(|report| matches!(report, Report::Opened(_)));
        let Report::Opened(id) = opened else { continue };
        if id.to_string().starts_with(&format!("{worker}-")) {
            return client;
        }
    }
    panic!("worker {worker} gets no client from the kernel");
}

#[test]
fn client_that_acknowledges_nothing_is_disconnected() {
    with_1_and_3_workers(|config| {
        // The kernel accepts all of the first backlog. A part of the second one waits in the write
        // queue.
        for backlog_bytes_max in [1 << 20, 16 << 20] {
            let server = Running::start(Config {
                backlog_bytes_max,
                pong_timeout: SHORT,
                ..with_ping_interval(config.clone())
            });
            let mut client = Client::open_narrow(server.address);
            client.text("/flood 65536");
            match server.next_closed() {
                Report::Closed { failure, .. } => assert!(failure.is_some()),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn closed_is_called_at_the_pong_deadline_before_the_close_is_answered() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            pong_timeout: SHORT,
            close_timeout: LONG,
            ..with_ping_interval(config)
        });
        // The client reads nothing and never answers the Close.
        let _lost = Client::open(server.address);
        match server.next_closed() {
            Report::Closed { failure, .. } => {
                assert_eq!(failure.as_deref(), Some("no pong came in time"));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn closed_reports_a_missing_pong() {
    with_1_and_3_workers(|config| {
        let silent_to_pings = Config {
            pong_timeout: SHORT,
            ..with_ping_interval(config)
        };
        let next_closed = |server: &Running| match server.next_closed() {
            Report::Closed {
                clean,
                code,
                failure,
                ..
            } => (clean, code, failure.expect("a failure")),
            other => panic!("{other:?}"),
        };
        let failure = "no pong came in time".to_owned();
        // The first client never answers the Close, the second one does.
        let server = Running::start(Config {
            close_timeout: SHORT,
            ..silent_to_pings.clone()
        });
        let mut dead = Client::open(server.address);
        assert_eq!(dead.read_until_close().0, 1008);
        dead.expect_gone();
        assert_eq!(next_closed(&server), (false, 1006, failure.clone()));

        let server = Running::start(silent_to_pings);
        let mut late = Client::open(server.address);
        assert_eq!(late.read_until_close().0, 1008);
        late.close(1008, "");
        late.expect_end();
        assert_eq!(next_closed(&server), (false, 1006, failure));
    });
}

#[test]
fn client_that_sends_no_fin_after_the_end_is_closed() {
    let server = Running::start(Config {
        close_timeout: SHORT,
        ..config(1)
    });
    let mut client = Client::open(server.address);
    client.close(1000, "");
    client.read_close();
    client.expect_end();
    // A closed socket answers with a reset, an open one takes all bytes.
    let mut refused = None;
    eventually("a reset", TIMEOUT, || {
        refused = client.stream.write_all(b"x").err();
        refused.is_some()
    });
    assert!(matches!(
        refused.expect("it was waited for").kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
    ));
}

#[test]
fn client_that_does_not_take_its_response_is_closed() {
    let server = Running::start(Config {
        close_timeout: SHORT,
        ..config(1)
    });
    let mut client = Client::connect_narrow(server.address);
    client.send("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // Two timeouts of later connections have expired.
    for _ in 0..2 {
        let mut other = Client::open(server.address);
        other.text("/close 4000 bye");
        other.expect_gone();
    }
    let (mut taken, mut buffer) = (0, vec![0; 1 << 20]);
    let deadline = Deadline::after(LOOP_TIMEOUT);
    while let Ok(count @ 1..) = client.stream.read(&mut buffer) {
        deadline.check("the end of a part of the page");
        taken += count;
    }
    assert!(taken < 16 << 20, "the server has kept the whole page");
}

#[cfg(target_os = "linux")]
mod idle {
    use super::*;

    /// The number of context switches of this thread. It does not change while the thread sleeps.
    fn switches(thread: &str) -> u64 {
        let status = std::fs::read_to_string(format!("{thread}/status"));
        let status = status.expect("the thread runs");
        let counts = status
            .lines()
            .filter(|line| line.contains("_ctxt_switches"));
        let counts = counts.filter_map(|line| line.rsplit('\t').next()?.parse::<u64>().ok());
        counts.sum()
    }

    /// The thread of each worker. A client of the worker asks for it.
    fn threads(clients: &mut [Vec<Client>]) -> Vec<String> {
        let ask = |client: &mut Client| {
            client.text("/thread");
            client.read_text()
        };
        clients
            .iter_mut()
            .map(|of_worker| ask(&mut of_worker[0]))
            .collect()
    }

    #[test]
    fn idle_server_makes_no_turns_and_sends_pings_only_if_configured() {
        with_1_and_3_workers(|config| {
            for ping_interval in [None, Some(LONG)] {
                let workers = config.workers.get();
                let server = Running::start(Config {
                    ping_interval,
                    ..config.clone()
                });
                let mut clients = server.clients_of_each_worker(workers, 2);
                let threads = threads(&mut clients);
                let count = || threads.iter().map(|thread| switches(thread)).sum::<u64>();
                // The last turn may not have ended yet.
                let mut before = 0;
                eventually("all workers sleep", TIMEOUT, || {
                    before = count();
                    threads.iter().all(|thread| is_asleep(thread)) && before == count()
                });
                // Enough time for a periodic wake-up to show.
                clients[0][0].expect_silence(Duration::from_millis(150));
                assert_eq!(count(), before, "a worker woke up");
            }
        });
    }
}

#[test]
fn connection_that_has_reached_its_lifetime_is_closed_with_1001_though_it_is_active() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            connection_lifetime_max: Some(SHORT),
            ..config
        });
        let mut client = Client::open(server.address);
        let deadline = Deadline::after(LOOP_TIMEOUT);
        let close = loop {
            client.text("active");
            let frame = client.read_frame();
            if frame.opcode == Opcode::Close {
                break frame;
            }
            assert_eq!(frame, Frame::text("active"));
            deadline.check("the end of its lifetime");
        };
        assert_eq!(close.payload[..2], 1001u16.to_be_bytes());
        client.close(1001, "");
        client.expect_end();
    });
}

#[test]
fn connection_within_its_lifetime_stays() {
    let server = Running::start(Config {
        connection_lifetime_max: Some(LONG),
        ..config(1)
    });
    let mut client = Client::open(server.address);
    client.text("still here");
    assert_eq!(client.read_text(), "still here");
}

/// Without pings, and with nothing in the server's own queues that has a deadline.
#[cfg(target_os = "linux")]
#[test]
fn client_that_acknowledges_nothing_ends_without_pings() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            ping_interval: None,
            write_stall_timeout: Some(SHORT),
            ..config
        });
        let mut client = Client::open_narrow(server.address);
        // Its echoes fill the buffers of both sockets. It writes until it is reset.
        let wire = frame(Opcode::Binary, &[0xec; 60_000]).repeat(300);
        client.stream.write_all(&wire).expect_err("a reset");
        match server.next_closed() {
            Report::Closed {
                failure: Some(failure),
                ..
            } => assert!(failure.contains("timed out"), "{failure}"),
            other => panic!("{other:?}"),
        }
    });
}
