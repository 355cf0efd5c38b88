//! All endings of a connection, by the server and by the client, as the client and the
//! application observe them (RFC 6455 §5.5.1, §7).

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use yamabiko::server::{
    Admission, CloseCode, Config, ConnectionId, Context, Handler, Message, OnFailure, Refusal,
    Server, Upgrade,
};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::port::ReservedPort;
#[cfg(unix)]
use yamabiko_testing::socket::joined;
use yamabiko_testing::socket::{
    self, Client, Frame, Report, Running, TestServer, config, frame, with_1_and_3_workers,
};

const SHORT: Duration = Duration::from_millis(50);

/// The arguments of the next call of `closed`, without the connection's id.
fn next_closed(server: &Running) -> (bool, u16, String, Option<String>) {
    match server.next_closed() {
        Report::Closed {
            clean,
            code,
            reason,
            failure,
            ..
        } => (clean, code, reason, failure),
        other => panic!("{other:?}"),
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# The server MUST close the underlying TCP connection immediately
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1
//# The underlying TCP connection, in most normal cases, SHOULD be closed
//# first by the server
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1
//# when a server is instructed to _Close the WebSocket Connection_ it SHOULD
//# initiate a TCP Close immediately
#[test]
fn server_echoes_the_close_code_and_closes_tcp_first() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        for (code, reason) in [(1000, "bye"), (0, ""), (1001, ""), (3000, "x"), (4999, "ö")] {
            let mut client = Client::open(server.address);
            client.close(code, reason);
            assert_eq!(client.read_close(), (code, String::new()));
            // The server sends FIN; the client has not sent one.
            client.expect_end();
            let expected = if code == 0 { 1005 } else { code };
            assert_eq!(next_closed(&server), (true, expected, reason.into(), None));
        }
    });
}

#[test]
fn server_sends_the_close_of_the_application() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut client = Client::open(server.address);
        client.text("/close 4000 that is all");
        assert_eq!(client.read_close(), (4000, "that is all".into()));
        client.close(4000, "understood");
        client.expect_end();
        let expected = (true, 4000, "understood".into(), None);
        assert_eq!(next_closed(&server), expected);
    });
}

#[test]
fn reason_too_long_for_a_close_is_cut_between_two_characters() {
    let server = Running::start(config(1));
    let mut client = Client::open(server.address);
    client.text(&format!("/close 4000 x{}", "ö".repeat(100)));
    let (code, reason) = client.read_close();
    assert_eq!((code, reason), (4000, format!("x{}", "ö".repeat(61))));
}

#[test]
fn code_that_only_clients_may_send_is_sent_as_1011() {
    let server = Running::start(config(1));
    let mut client = Client::open(server.address);
    client.text("/close 1010 extensions");
    assert_eq!(client.read_close(), (1011, "extensions".into()));
    client.close(1011, "");
    client.expect_end();
}

#[test]
fn messages_after_the_servers_close_are_not_given_to_the_application() {
    let server = Running::start(config(1));
    let mut client = Client::open(server.address);
    let mut bytes = frame(Opcode::Text, b"/close 4000 bye");
    bytes.extend_from_slice(&frame(Opcode::Text, b"/panic"));
    client.send(bytes);
    assert_eq!(client.read_close().0, 4000);
    client.text("/panic");
    client.close(4000, "");
    client.expect_end();
}

#[test]
fn messages_sent_before_a_close_are_written_before_it_in_their_order() {
    let server = Running::start(config(1));
    let mut client = Client::open(server.address);
    client.join("hall");
    client.text("/send-publish-close hall");
    assert_eq!(client.read_text(), "first");
    assert_eq!(client.read_text(), "second");
    assert_eq!(client.read_close(), (1000, "third".into()));
    client.close(1000, "");
    client.expect_end();

    // The client closes: its messages and its Close are in one packet.
    let mut client = Client::open(server.address);
    client.join("hall");
    let mut bytes = frame(Opcode::Text, b"one");
    bytes.extend_from_slice(&frame(Opcode::Text, b"/publish hall two"));
    bytes.extend_from_slice(&frame(Opcode::Close, &1000u16.to_be_bytes()));
    client.send(bytes);
    assert_eq!(client.read_text(), "one");
    assert_eq!(client.read_text(), "two");
    assert_eq!(client.read_close().0, 1000);
    client.expect_end();
}

#[test]
fn both_sides_may_close_at_once() {
    let server = Running::start(config(1));
    let mut client = Client::open(server.address);
    let mut bytes = frame(Opcode::Text, b"/close 4000 server");
    bytes.extend_from_slice(&frame(Opcode::Close, &4001u16.to_be_bytes()));
    client.send(bytes);
    assert_eq!(client.read_close(), (4000, "server".into()));
    client.expect_end();
    assert_eq!(next_closed(&server), (true, 4001, String::new(), None));
}

#[test]
fn closed_reports_1006_when_tcp_ends_without_a_close() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        drop(Client::open(server.address));
        let failure = Some("TCP ended without a Close".to_owned());
        assert_eq!(next_closed(&server), (false, 1006, String::new(), failure));
    });
}

#[test]
fn client_that_sends_fin_after_its_message_gets_the_reply() {
    let server = Running::start(config(1));
    let mut client = Client::open(server.address);
    client.text("a last message");
    client.end_output();
    assert_eq!(client.read_text(), "a last message");
    client.expect_end();
}

#[test]
fn closed_reports_a_reset() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let client = Client::open(server.address);
        client.reset();
        let (clean, code, _, failure) = next_closed(&server);
        assert_eq!((clean, code), (false, 1006));
        let failure = failure.expect("a failure");
        assert!(failure.contains("reset"), "{failure}");
    });
}

/// Input that breaks a rule, with the close code of the server and the section of the rule.
fn violations() -> [(u16, &'static str, &'static [u8]); 6] {
    [
        (1002, "§5.1", b"\x81\x05Hello"),
        (1002, "§5.2", b"\xc1\x80\0\0\0\0"),
        (1002, "§5.2", b"\x83\x80\0\0\0\0"),
        (1002, "§5.4", b"\x80\x80\0\0\0\0"),
        (1007, "§8.1", b"\x81\x81\0\0\0\0\xff"),
        (1009, "§10.4", b"\x82\xff\0\0\0\0\0\x10\0\x01\0\0\0\0"),
    ]
}

static FAILURES_LOGGED: AtomicUsize = AtomicUsize::new(0);

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
//# the server MUST _Close the WebSocket Connection_, and SHOULD log the
//# problem.
#[test]
fn broken_rule_is_reported_to_client_application_and_on_failure() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            on_failure: Some(OnFailure::new(|address, failure| {
                assert!(
                    address.ip().is_some_and(|ip| ip.is_loopback())
                        && !failure.to_string().is_empty()
                );
                FAILURES_LOGGED.fetch_add(1, Ordering::Relaxed);
            })),
            ..config
        });
        let logged_before = FAILURES_LOGGED.load(Ordering::Relaxed);
        for (code, rule, bytes) in violations() {
            let mut client = Client::open(server.address);
            client.send(bytes);
            assert_eq!(client.read_close().0, code, "{rule}");
            client.expect_end();
            let (clean, reported, _, failure) = next_closed(&server);
            assert_eq!((clean, reported), (false, 1006), "{rule}");
            let failure = failure.expect("a failure");
            assert!(failure.contains(rule), "{failure} instead of {rule}");
        }
        let logged = FAILURES_LOGGED.load(Ordering::Relaxed) - logged_before;
        assert_eq!(logged, violations().len());
    });
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1
//# An endpoint SHOULD use a method that cleanly closes the TCP connection,
//# as well as the TLS session, if applicable, discarding any trailing bytes
//# that may have been received.
#[test]
fn close_arrives_although_megabytes_of_input_follow() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        for (code, rule, bytes) in violations() {
            let mut client = Client::open(server.address);
            client.text("echo");
            client.send(bytes);
            client.send(vec![0x82; 4 << 20]);
            assert_eq!(client.read_text(), "echo");
            assert_eq!(client.read_close().0, code, "{rule}");
            client.expect_end();
        }
    });
}

#[test]
fn client_that_never_stops_sending_after_the_close_is_disconnected() {
    let server = Running::start(config(1));
    let mut client = Client::open(server.address);
    client.send(b"\x81\x05Hello");
    let junk = vec![0x82; 1 << 20];
    let refused = (0..1000).find(|_| client.stream.write_all(&junk).is_err());
    assert!(refused.is_some(), "a gigabyte was read after the end");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# The server MUST close the underlying TCP connection immediately
#[test]
fn unanswered_close_ends_the_connection_after_the_close_timeout() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            close_timeout: SHORT,
            ..config
        });
        let mut client = Client::open(server.address);
        client.text("/close 4000 bye");
        assert_eq!(client.read_close().0, 4000);
        client.text("something else");
        client.expect_gone();
        let failure = "the closing handshake was not answered in time".to_owned();
        let expected = (false, 1006, String::new(), Some(failure));
        assert_eq!(next_closed(&server), expected);
    });
}

/// Checks that each `opened` is followed by exactly one `closed`, and that there is no other.
fn expect_each_closed_once(reports: &[Report], connections: usize) {
    let mut open = BTreeSet::<ConnectionId>::new();
    let mut opened = 0;
    for report in reports {
        match report {
            Report::Opened(id) => {
                assert!(open.insert(*id), "{id} has opened twice");
                opened += 1;
            }
            Report::Closed { id, .. } => assert!(open.remove(id), "{id} was not open"),
            Report::WaitsForLock => {}
        }
    }
    assert!(open.is_empty(), "{open:?} have not closed");
    assert_eq!(opened, connections);
}

#[test]
fn closed_is_called_once_for_each_opened_connection_and_every_ending() {
    with_1_and_3_workers(|config| {
        let mut server = Running::start(Config {
            close_timeout: SHORT,
            drain_timeout: SHORT,
            ..config
        });
        let mut held = Vec::new();
        for _ in 0..5 {
            let mut client = Client::open(server.address);
            client.close(1000, "");
            client.read_close();
            client.expect_end();
            drop(Client::open(server.address));
            Client::open(server.address).reset();
            let mut client = Client::open(server.address);
            client.send(b"\x81\x05Hello");
            client.read_close();
            let mut client = Client::open(server.address);
            client.text("/close 4000 bye");
            client.expect_gone();
            held.push(Client::open(server.address));
        }
        let reports = server.remaining_reports();
        expect_each_closed_once(&reports, 30);
        drop(held);
    });
}

#[test]
fn shutdown_sends_1001_to_all_and_returns_when_all_have_answered() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        let port = ReservedPort::new();
        let mut server = Running::start(Config {
            listen: port.address().into(),
            ..config
        });
        let mut clients = server.clients_of_each_worker(workers, 2).concat_all();
        let connections = clients.len();
        server.shutdown();
        for client in &mut clients {
            assert_eq!(client.read_close(), (1001, "the server is stopping".into()));
        }
        // Every worker has stopped accepting before it sent the Close.
        TcpStream::connect(server.address).expect_err("no server listens any more");
        server.shutdown();
        for client in &mut clients {
            client.close(1001, "");
            client.expect_end();
        }
        drop(clients);
        expect_each_closed_once(&server.remaining_reports(), connections);
        server.shutdown();
    });
}

#[test]
fn shutdown_closes_a_client_that_never_answers_after_the_drain_timeout() {
    with_1_and_3_workers(|config| {
        let mut server = Running::start(Config {
            drain_timeout: SHORT,
            close_timeout: Duration::from_secs(3600),
            ..config
        });
        let clients: Vec<_> = (0..6).map(|_| Client::open(server.address)).collect();
        let half_open = Client::connect(server.address);
        // These clients never answer: `run` returns at the drain timeout.
        let reports = server.remaining_reports();
        expect_each_closed_once(&reports, clients.len());
        let gone = "the closing handshake was not answered in time".to_owned();
        let failed = reports.iter().filter(|report| match report {
            Report::Closed { failure, .. } => failure.as_ref() == Some(&gone),
            _ => false,
        });
        assert_eq!(failed.count(), clients.len());
        drop(half_open);
    });
}

#[test]
fn shutdown_before_run_returns_at_once() {
    let (sender, _reports) = std::sync::mpsc::channel();
    let server = Server::bind(
        config(3),
        socket::Application::new(sender, socket::WorkerLock::default()),
    )
    .expect("a free port");
    let handle = server.handle();
    handle.shutdown();
    handle.shutdown();
    server.run().expect("polling does not fail");
    for _ in 0..100 {
        handle.shutdown();
    }
}

#[cfg(unix)]
#[test]
fn waker_shuts_every_worker_down() {
    with_1_and_3_workers(|config| {
        let (waker, signal) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
        let (sender, _reports) = std::sync::mpsc::channel();
        let application = socket::Application::new(sender, socket::WorkerLock::default());
        let mut server = Server::bind(config, application).expect("a free port");
        server.shutdown_by(waker).expect("the waker is registered");
        let address = server.local_address();
        let running = std::thread::spawn(|| server.run());
        let mut clients: Vec<_> = (0..12).map(|_| Client::open(address)).collect();
        drop(signal);
        for client in &mut clients {
            assert_eq!(client.read_close(), (1001, "the server is stopping".into()));
            client.close(1001, "");
            client.expect_end();
        }
        drop(clients);
        joined("the end of run()", running).expect("polling does not fail");
    });
}

#[test]
fn port_in_use_is_an_error_with_any_number_of_workers() {
    with_1_and_3_workers(|first| {
        let server = Running::start(first);
        with_1_and_3_workers(|second| {
            let (sender, _reports) = std::sync::mpsc::channel();
            let second = Config {
                listen: server.address.into(),
                ..second
            };
            let bound = Server::bind(
                second,
                socket::Application::new(sender, socket::WorkerLock::default()),
            );
            let error = bound.err().expect("the port is in use");
            assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
        });
    });
}

#[test]
fn close_in_pieces_is_answered_like_a_whole_close() {
    let server = Running::start(config(1));
    let mut client = Client::open(server.address);
    for byte in frame(Opcode::Close, b"\x03\xe8in pieces") {
        client.send([byte]);
    }
    let close = Frame::new(Opcode::Close, vec![0x03, 0xe8]);
    assert_eq!(client.read_frame(), close);
    client.expect_end();
    let expected = (true, 1000, "in pieces".into(), None);
    assert_eq!(next_closed(&server), expected);
}

/// `[[a, b], [c]]` into `[a, b, c]`.
trait ConcatAll<T> {
    fn concat_all(self) -> Vec<T>;
}

impl<T> ConcatAll<T> for Vec<Vec<T>> {
    fn concat_all(self) -> Vec<T> {
        self.into_iter().flatten().collect()
    }
}

/// At each message it publishes [`MESSAGES`] to the room of all, and closes.
struct PublishesAndCloses;

const MESSAGES: usize = 200;
const MESSAGE_BYTES: usize = 64 << 10;

impl Handler for PublishesAndCloses {
    type Session = ();

    fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn opened(&self, (): &mut (), context: &mut Context<'_>) {
        context.join("hall");
    }

    fn message(&self, (): &mut (), _: Message<'_>, context: &mut Context<'_>) {
        let bytes = vec![0xec; MESSAGE_BYTES];
        for _ in 0..MESSAGES {
            context.publish("hall", Message::Binary(&bytes));
        }
        context.close(CloseCode::NORMAL);
    }
}

/// A kernel takes some MiB at once, and more while the client reads.
#[test]
fn client_that_is_closed_gets_what_its_socket_takes_in_some_writes_and_no_more() {
    let mut config = config(1);
    config.lag_policy.bytes_max = 1 << 30;
    let server = TestServer::start(config, PublishesAndCloses);
    let mut client = Client::open(server.address);
    client.text("now");
    let is_message = |frame: &Frame| frame.payload.len() == MESSAGE_BYTES;
    let mut messages = 0;
    let last = loop {
        match client.read_frame() {
            frame if is_message(&frame) => messages += 1,
            frame => break frame,
        }
    };
    assert_eq!(last.opcode, Opcode::Close);
    // 20 writes of 64 KiB, and the rest of the last message.
    assert!((1..=20).contains(&messages), "{messages}");
}
