//! Tests that run the turns of workers on their own thread: the actions of one turn, and their
//! order.

use super::super::{
    Admission, Config, Context, Handler, LagAction, LagPolicy, Message, Missed, Refusal, Request,
    Response, Server, Status, Upgrade,
};
use super::*;
use crate::http::HttpLimits;
use crate::reactor::Reactor;
use crate::server::flush::FLUSHES_PER_TURN_MAX;
use crate::websocket::deflate::{DeflateConfig, DeflateParameters, DeflatePool};
use crate::websocket::frame::{CloseCode, Opcode, encode};
use crate::websocket::{self, Limits};
use socket2::{Domain, SockRef, Socket, Type};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

/// A server whose turns are run by the test.
struct SteppedServer<H: Handler> {
    workers: Vec<(Reactor<CrossWorkerMessage>, Worker<H>)>,
    handle: super::super::ServerHandle,
    listener: TcpListener,
}

impl<H: Handler> SteppedServer<H> {
    fn new(workers: usize, config: Config, handler: H) -> SteppedServer<H> {
        yamabiko_testing::descriptors::raise_limit();
        let config = Config {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            workers: NonZeroUsize::new(workers).unwrap(),
            ping_interval: None,
            ..config
        };
        let server = Server::bind(config, handler).unwrap();
        SteppedServer {
            workers: server.workers,
            handle: server.handle,
            listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
        }
    }

    /// Runs one turn of this worker. A message wakes it, so that the turn does not sleep.
    fn turn(&mut self, worker: usize) {
        self.handle.workers.wake_all();
        let (reactor, worker) = &mut self.workers[worker];
        reactor.turn(worker).unwrap();
    }

    /// Runs turns of this worker until `is_done` returns true.
    fn turn_until(&mut self, worker: usize, mut is_done: impl FnMut(&mut Self) -> bool) {
        let begun = std::time::Instant::now();
        while !is_done(self) {
            assert!(
                begun.elapsed() < LOOP_TIMEOUT,
                "not within {LOOP_TIMEOUT:?}"
            );
            self.turn(worker);
        }
    }

    /// A client of this worker, after the opening handshake.
    fn client(&mut self, worker: usize) -> TcpStream {
        self.client_with(worker, "")
    }

    /// As `client`, with further field lines in its request.
    fn client_with(&mut self, worker: usize, fields: &str) -> TcpStream {
        let address = self.listener.local_addr().unwrap();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(BUFFER_BYTES).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut client = TcpStream::from(socket);
        client.set_nodelay(true).unwrap();
        client.set_read_timeout(Some(TIMEOUT)).unwrap();
        client.set_write_timeout(Some(TIMEOUT)).unwrap();
        let (stream, _) = self.listener.accept().unwrap();
        SockRef::from(&stream)
            .set_send_buffer_size(BUFFER_BYTES)
            .unwrap();
        self.workers[worker].0.io().adopt(stream).unwrap();
        client.write_all(upgrade(fields).as_bytes()).unwrap();
        let opened = self.handle.metrics().opened;
        self.turn_until(worker, |server| server.handle.metrics().opened > opened);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.extend_from_slice(&byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        client
    }
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(
        true,
        opcode,
        Some([0x37, 0xfa, 0x21, 0x3d]),
        payload,
        &mut bytes,
    );
    bytes
}

fn text(text: &str) -> Vec<u8> {
    frame(Opcode::Text, text.as_bytes())
}

/// The payload of the next frame, which has at most 125 bytes.
fn read_short(client: &mut TcpStream) -> String {
    let mut header = [0; 2];
    client.read_exact(&mut header).expect("a frame");
    let mut payload = vec![0; usize::from(header[1])];
    client.read_exact(&mut payload).expect("a payload");
    String::from_utf8(payload).unwrap()
}

/// The limit of one wait: longer than any single step takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The limit of many turns.
const LOOP_TIMEOUT: Duration = Duration::from_secs(300);
/// A small buffer, so that a client that does not read is behind soon, and stays behind.
const BUFFER_BYTES: usize = 4 << 10;

/// No connection is ended because the machine is slow.
fn patient() -> Config {
    Config {
        handshake_timeout: LOOP_TIMEOUT,
        message_timeout: None,
        close_timeout: LOOP_TIMEOUT,
        write_stall_timeout: None,
        http: HttpLimits {
            body_timeout: LOOP_TIMEOUT,
            idle_timeout: LOOP_TIMEOUT,
            ..HttpLimits::default()
        },
        lag_policy: lag_policy(),
        ..Config::default()
    }
}

fn lag_policy() -> LagPolicy {
    LagPolicy {
        age_max: None,
        ..LagPolicy::default()
    }
}

fn upgrade(fields: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
    )
}

/// Joins the room that a text names, publishes a binary message to `hall`, and
/// publishes to a room of its choice that a subscriber was too slow.
struct Announcer {
    gaps: &'static str,
}

impl Handler for Announcer {
    type Session = ();

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        match message {
            Message::Text(room) => context.join(room),
            Message::Binary(_) => context.publish("hall", message),
        }
    }

    fn missed(&self, _: &mut (), room: &str, _: Missed, context: &mut Context<'_>) {
        context.publish(self.gaps, Message::Text(&format!("too slow for {room}")));
    }
}

/// A subscriber of `hall` that does not read and has missed something, and a watcher of
/// `gaps`.
fn with_a_slow_subscriber(
    action: LagAction,
    gaps: &'static str,
) -> (SteppedServer<Announcer>, [TcpStream; 2]) {
    let lag_policy = LagPolicy {
        action,
        bytes_max: 1,
        ..lag_policy()
    };
    let config = Config {
        lag_policy,
        ..patient()
    };
    let mut server = SteppedServer::new(1, config, Announcer { gaps });
    let (mut watcher, mut slow) = (server.client(0), server.client(0));
    let mut publisher = server.client(0);
    watcher.write_all(&text("gaps")).unwrap();
    slow.write_all(&text("hall")).unwrap();
    server.turn_until(0, |server| server.handle.metrics().received == 2);
    let message = frame(Opcode::Binary, &[0xda; 100_000]);
    server.turn_until(0, |server| {
        publisher.write_all(&message).unwrap();
        server.handle.metrics().skipped > 0
    });
    (server, [watcher, slow])
}

#[test]
fn message_published_from_missed_is_written_in_the_same_turn() {
    for action in [LagAction::Skip, LagAction::Latest] {
        let (_server, [mut watcher, _slow]) = with_a_slow_subscriber(action, "gaps");
        // No further turn is run.
        assert_eq!(read_short(&mut watcher), "too slow for hall", "{action:?}");
    }
}

#[test]
fn handler_that_always_publishes_from_missed_is_flushed_again_by_an_alarm() {
    // Its own messages are missed, too.
    let (mut server, _clients) = with_a_slow_subscriber(LagAction::Latest, "hall");
    let skipped = server.handle.metrics().skipped;
    assert!(skipped <= 2 * FLUSHES_PER_TURN_MAX as u64, "{skipped}");
    // Nothing wakes the worker but its own alarm.
    let handle = server.handle.clone();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let woken =
            is_done.recv_timeout(TIMEOUT) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if woken {
            handle.workers.wake_all();
        }
        woken
    });
    let (reactor, worker) = &mut server.workers[0];
    // The first turn processes the message of wake_all().
    for _ in 0..3 {
        reactor.turn(worker).unwrap();
    }
    drop(done);
    assert!(!watchdog.join().unwrap(), "no alarm was set");
    assert!(server.handle.metrics().skipped > skipped);
}

/// A message with the number of its client and its own number.
fn numbered(client: u16, number: u16) -> [u8; 100] {
    let mut payload = [0; 100];
    payload[..2].copy_from_slice(&client.to_be_bytes());
    payload[2..4].copy_from_slice(&number.to_be_bytes());
    payload
}

/// Reads messages of [`numbered`] and checks that those of each client are in order.
fn expect_all_in_order(subscriber: &mut TcpStream, clients: u16, messages: u16) {
    let mut next = vec![0; usize::from(clients)];
    for _ in 0..u32::from(clients) * u32::from(messages) {
        let mut frame = [0; 102];
        subscriber.read_exact(&mut frame).expect("a message");
        let client = u16::from_be_bytes([frame[2], frame[3]]);
        let number = u16::from_be_bytes([frame[4], frame[5]]);
        assert_eq!(frame[2..], numbered(client, number));
        assert_eq!(next[usize::from(client)], number, "of client {client}");
        next[usize::from(client)] += 1;
    }
}

#[test]
fn messages_wait_in_the_kernel_in_order_while_another_worker_takes_none() {
    const CLIENTS: u16 = 40;
    const MESSAGES: u16 = 500;
    let config = Config {
        worker_backlog_bytes_max: 4 << 10,
        lag_policy: LagPolicy {
            bytes_max: u64::MAX,
            ..lag_policy()
        },
        ..patient()
    };
    let mut server = SteppedServer::new(2, config, Announcer { gaps: "gaps" });
    let mut subscriber = server.client(1);
    subscriber.write_all(&text("hall")).unwrap();
    server.turn_until(1, |server| server.handle.metrics().received == 1);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.client(0)).collect();
    for (number, client) in (0..CLIENTS).zip(&mut clients) {
        let messages = (0..MESSAGES).map(|message| numbered(number, message));
        let wire = messages.flat_map(|payload| frame(Opcode::Binary, &payload));
        client.write_all(&wire.collect::<Vec<u8>>()).unwrap();
    }
    // The other worker does not run.
    for _ in 0..10 {
        server.turn(0);
        let held = held_bytes(&mut server);
        assert!(held <= READ_BUFFER_BYTES, "{held} bytes are held");
    }
    let reader =
        std::thread::spawn(move || expect_all_in_order(&mut subscriber, CLIENTS, MESSAGES));
    let all = u64::from(CLIENTS) * u64::from(MESSAGES);
    server.turn_until(1, |server| {
        server.turn(0);
        server.handle.metrics().deliveries == all || reader.is_finished()
    });
    server.turn_until(1, |_| reader.is_finished());
    reader.join().unwrap();
    assert_eq!(held_bytes(&mut server), 0);
    drop(clients);
}

/// Bytes that worker 0 has read and not processed.
fn held_bytes<H: Handler>(server: &mut SteppedServer<H>) -> usize {
    server.workers[0].0.io().unread_bytes()
}

/// The maximum of one read.
const READ_BUFFER_BYTES: usize = 64 << 10;

/// Records the first byte of each message, in the order in which they are handled. Replies to
/// messages that begin with `?`. A message that begins with `c` closes its connection.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<u8>>>);

impl Handler for Recorder {
    type Session = ();

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        let first = message.as_bytes().first().copied().unwrap_or_default();
        match first {
            b'?' => context.send(message).expect("the write queue takes a byte"),
            b'c' => context.close((CloseCode::NORMAL, "as was asked")),
            _ => {}
        }
        self.0.lock().unwrap().push(first);
    }
}

impl Recorder {
    /// The number of messages of one kind that were handled before the first one of the other kind.
    fn before(&self, kind: u8, other: u8) -> Option<usize> {
        let handled = self.0.lock().unwrap();
        let end = handled.iter().position(|&first| first == other)?;
        Some(
            handled[..end]
                .iter()
                .filter(|&&first| first == kind)
                .count(),
        )
    }

    fn count(&self, kind: u8) -> usize {
        let handled = self.0.lock().unwrap();
        handled.iter().filter(|&&first| first == kind).count()
    }
}

#[test]
fn share_of_a_turn_counts_messages_at_the_limit_and_past_it() {
    // Each message costs MESSAGE_COST_BYTES until 256 KiB are used. The messages of a read that
    // are not processed cost their length.
    let cases = [
        (b'h', 63, 63),
        (b'h', 64, 64),
        (b'h', 65, 64),
        (b'h', 8000, 51),
        (b'?', 32, 32),
        (b'?', 33, 32),
    ];
    for (kind, sent, in_first_turn) in cases {
        let recorder = Recorder::default();
        let mut server = SteppedServer::new(1, patient(), recorder.clone());
        let mut client = server.client(0);
        let wire = frame(Opcode::Binary, &[kind]).repeat(sent);
        client.write_all(&wire).unwrap();
        server.turn_until(0, |_| recorder.count(kind) > 0);
        assert_eq!(recorder.count(kind), in_first_turn, "of {sent}");
        server.turn_until(0, |_| recorder.count(kind) == sent);
    }
}

#[test]
fn flood_of_messages_does_not_delay_other_clients() {
    let recorder = Recorder::default();
    let mut server = SteppedServer::new(1, patient(), recorder.clone());
    let (mut hostile, mut other) = (server.client(0), server.client(0));
    let flood = 8000;
    hostile.write_all(&text("h").repeat(flood)).unwrap();
    other.write_all(&text("o")).unwrap();
    server.turn_until(0, |_| recorder.count(b'o') > 0);
    let before = recorder.before(b'h', b'o').unwrap();
    assert!(before <= 64, "{before} messages before another client's");
    server.turn_until(0, |_| recorder.count(b'h') == flood);
    assert_eq!(held_bytes(&mut server), 0);
}

const DEFLATE: &str =
    "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n";

fn with_deflate() -> Config {
    Config {
        deflate: Some(super::super::DeflateConfig::default()),
        limits: Limits {
            inflate_ratio_max: u32::MAX,
            ..Limits::default()
        },
        ..patient()
    }
}

/// A compressed message of equal bytes, which is far shorter than its content.
fn bomb(byte: u8, bytes: usize) -> Vec<u8> {
    let config = DeflateConfig {
        level: 9,
        ..DeflateConfig::default()
    };
    let (agreed, pool) = (DeflateParameters::default(), DeflatePool::default());
    let client = websocket::Connection::client(Limits::default(), || [0; 4]);
    let mut client = client.with_deflate(agreed, &config, &pool);
    let mut wire = Vec::new();
    let sent = client.send(Message::Binary(&vec![byte; bytes]), &mut wire);
    sent.expect("the connection is open");
    wire
}

#[test]
fn inflated_bytes_are_charged_and_others_are_served_between_two_large_messages() {
    let recorder = Recorder::default();
    let mut server = SteppedServer::new(1, with_deflate(), recorder.clone());
    let (mut hostile, mut other) = (server.client_with(0, DEFLATE), server.client(0));
    let bomb = bomb(b'h', 1 << 20);
    assert!(bomb.len() < 1100);
    hostile.write_all(&bomb.repeat(50)).unwrap();
    other.write_all(&text("o")).unwrap();
    server.turn_until(0, |_| recorder.count(b'o') > 0);
    assert!(recorder.before(b'h', b'o') <= Some(1));
    server.turn_until(0, |_| recorder.count(b'h') == 50);
}

/// How many bytes of the unfinished message of the only connection are inflated.
fn inflated_bytes<H: Handler>(server: &mut SteppedServer<H>) -> usize {
    let connections = &mut server.workers[0].1.connections;
    let key = connections.keys()[0];
    connections
        .open_mut(key)
        .map_or(0, |one| one.unfinished_inflated_bytes())
}

#[test]
fn turn_inflates_64_kib_of_a_message_and_no_byte_more_although_all_of_it_has_come() {
    const BYTES: usize = 1 << 20;
    let whole = bomb(b'h', BYTES);
    // The same in two fragments, of which the last one is empty: nothing comes that could bring what is left.
    let mut fragments = whole.clone();
    fragments[0] &= 0b0111_1111;
    let mut last = frame(Opcode::Continuation, b"");
    last[0] |= 0b1000_0000;
    fragments.extend(last);
    for wire in [whole, fragments] {
        let recorder = Recorder::default();
        let mut server = SteppedServer::new(1, with_deflate(), recorder.clone());
        let mut client = server.client_with(0, DEFLATE);
        client.write_all(&wire).unwrap();
        let mut before = 0;
        while recorder.count(b'h') == 0 {
            server.turn(0);
            let inflated = inflated_bytes(&mut server);
            // Zero: nothing has come, or the message is handed over.
            if inflated > 0 {
                assert_eq!(inflated, before + (64 << 10));
                before = inflated;
            }
        }
        assert!(before >= BYTES - (64 << 10));
        assert_eq!(held_bytes(&mut server), 0);
    }
}

#[test]
fn other_clients_are_served_while_one_message_is_inflated() {
    let recorder = Recorder::default();
    let mut server = SteppedServer::new(1, with_deflate(), recorder.clone());
    let (mut hostile, mut other) = (server.client_with(0, DEFLATE), server.client(0));
    hostile.write_all(&bomb(b'h', 1 << 20)).unwrap();
    for number in 1..=12 {
        other.write_all(&text("o")).unwrap();
        server.turn_until(0, |_| recorder.count(b'o') == number);
    }
    assert_eq!(
        recorder.count(b'h'),
        0,
        "the message was inflated in one go"
    );
    server.turn_until(0, |_| recorder.count(b'h') == 1);
}

#[test]
fn compressed_bytes_are_charged_more_and_others_are_served_during_a_hostile_message() {
    let recorder = Recorder::default();
    let mut server = SteppedServer::new(1, with_deflate(), recorder.clone());
    let (mut hostile, mut other) = (server.client_with(0, DEFLATE), server.client(0));
    // Empty blocks of five bytes each: work for the receiver, and nothing inflated.
    let mut payload = [0, 0, 0, 0xff, 0xff].repeat(10 << 10);
    payload.push(0x00); // the block of which the sender has removed the end
    let mut wire = frame(Opcode::Binary, &payload);
    wire[0] |= 0b0100_0000;
    hostile.write_all(&wire).unwrap();
    for number in 1..=12 {
        other.write_all(&text("o")).unwrap();
        server.turn_until(0, |_| recorder.count(b'o') == number);
    }
    assert_eq!(recorder.count(0), 0, "the message was inflated in one go");
    server.turn_until(0, |_| recorder.count(0) == 1);
}

#[test]
fn bytes_after_our_close_are_read_up_to_the_limit_and_one_more_ends_the_connection() {
    let mut server = SteppedServer::new(1, patient(), Recorder::default());
    let mut client = server.client(0);
    client.write_all(&text("close")).unwrap();
    server.turn_until(0, |server| server.handle.metrics().received == 1);
    let (reactor, worker) = &mut server.workers[0];
    let key = worker.connections.keys()[0];
    let header_bytes = 14;
    let frame = frame(Opcode::Binary, &vec![0; (1 << 20) - header_bytes]);
    assert_eq!(frame.len(), 1 << 20);
    for _ in 0..64 {
        worker.received(reactor.io(), key, &mut frame.clone());
    }
    assert_eq!((worker.connections.len(), reactor.io().sockets()), (1, 1));
    worker.received(reactor.io(), key, &mut frame[..1].to_vec());
    assert_eq!((worker.connections.len(), reactor.io().sockets()), (0, 0));
    assert_eq!(worker.environment.metrics(reactor.io()).closed, 1);
}

/// How many clients have something to read.
fn readable(clients: &[TcpStream]) -> usize {
    let has_bytes = |client: &&TcpStream| {
        client.set_nonblocking(true).unwrap();
        let peeked = client.peek(&mut [0]);
        client.set_nonblocking(false).unwrap();
        peeked.is_ok_and(|count| count > 0)
    };
    clients.iter().filter(has_bytes).count()
}

/// A client publishes for so many members of `hall`.
fn with_members<H: Handler>(
    count: u64,
    handler: H,
) -> (SteppedServer<H>, Vec<TcpStream>, [TcpStream; 2]) {
    let config = Config {
        lag_policy: LagPolicy {
            bytes_max: u64::MAX,
            ..lag_policy()
        },
        ..patient()
    };
    let mut server = SteppedServer::new(1, config, handler);
    let mut members: Vec<_> = (0..count).map(|_| server.client(0)).collect();
    for member in &mut members {
        member.write_all(&text("hall")).unwrap();
    }
    let others = [server.client(0), server.client(0)];
    server.turn_until(0, |server| server.handle.metrics().received == count);
    (server, members, others)
}

#[test]
fn message_to_many_is_written_in_parts_and_others_are_served_between_them() {
    // The budget of a turn is 96 short messages.
    let announcer = Announcer { gaps: "gaps" };
    let (mut server, members, [mut publisher, mut other]) = with_members(200, announcer);
    let wide = frame(Opcode::Binary, b"wide");
    publisher.write_all(&wide).unwrap();
    server.turn_until(0, |server| server.handle.metrics().received == 201);
    assert_eq!(readable(&members), 96);
    other.write_all(&frame(Opcode::Ping, b"served")).unwrap();
    server.turn(0);
    assert_eq!(read_short(&mut other), "served");
    assert_eq!(readable(&members), 192);
    // What is published meanwhile reaches all, too.
    publisher.write_all(&wide).unwrap();
    for _ in 0..4 {
        server.turn(0);
    }
    for mut member in members {
        assert_eq!(read_short(&mut member), "wide");
        assert_eq!(read_short(&mut member), "wide");
    }
}

#[test]
fn message_to_96_members_is_written_in_one_turn_and_the_97th_gets_it_in_the_next() {
    for members in [96, 97] {
        let announcer = Announcer { gaps: "gaps" };
        let (mut server, clients, [mut publisher, _]) = with_members(members, announcer);
        publisher
            .write_all(&frame(Opcode::Binary, b"wide"))
            .unwrap();
        server.turn_until(0, |server| server.handle.metrics().received == members + 1);
        assert_eq!(readable(&clients), 96, "of {members}");
        server.turn(0);
        assert_eq!(readable(&clients) as u64, members);
    }
}

/// As [`Announcer`]. With the first binary message another client sends a ping, which arrives before the turn writes anything.
struct Prompter {
    announcer: Announcer,
    other: Arc<Mutex<Option<TcpStream>>>,
}

impl Prompter {
    fn new(other: &Arc<Mutex<Option<TcpStream>>>) -> Prompter {
        Prompter {
            announcer: Announcer { gaps: "gaps" },
            other: Arc::clone(other),
        }
    }
}

impl Handler for Prompter {
    type Session = ();

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        self.announcer.admit(request)
    }

    fn message(&self, session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        if let Message::Binary(_) = message
            && let Some(mut other) = self.other.lock().unwrap().take()
        {
            other.write_all(&frame(Opcode::Ping, b"served")).unwrap();
        }
        self.announcer.message(session, message, context);
    }
}

#[test]
fn flush_ends_after_a_step_if_a_client_of_another_room_has_become_ready() {
    // A step is 32 short messages. For a client of the room itself the flush does not end.
    for (room, in_first_turn) in [("garden", 32), ("hall", 96)] {
        let prompted = Arc::default();
        let prompter = Prompter::new(&prompted);
        let (mut server, members, [mut publisher, mut other]) = with_members(200, prompter);
        other.write_all(&text(room)).unwrap();
        server.turn_until(0, |server| server.handle.metrics().received == 201);
        *prompted.lock().unwrap() = Some(other.try_clone().unwrap());
        publisher
            .write_all(&frame(Opcode::Binary, b"wide"))
            .unwrap();
        server.turn_until(0, |server| server.handle.metrics().received == 202);
        assert_eq!(readable(&members), in_first_turn, "{room}");
        server.turn(0);
        if room == "garden" {
            assert_eq!(read_short(&mut other), "served");
        }
        for _ in 0..3 {
            server.turn(0);
        }
        for mut member in members {
            assert_eq!(read_short(&mut member), "wide");
        }
    }
}

#[test]
fn flush_looks_only_now_and_then_for_clients_of_other_rooms_when_16_looks_have_been_in_vain() {
    let prompted = Arc::default();
    let (mut server, mut members, [mut publisher, mut other]) =
        with_members(200, Prompter::new(&prompted));
    other.write_all(&text("garden")).unwrap();
    server.turn_until(0, |server| server.handle.metrics().received == 201);
    let wide = frame(Opcode::Binary, b"wide");
    // Each message takes 96, 96 and 8 writes, with two looks in each of the first two turns.
    for received in 202..=205 {
        publisher.write_all(&wide).unwrap();
        server.turn_until(0, |server| server.handle.metrics().received == received);
        server.turn(0);
        server.turn(0);
        for member in &mut members {
            assert_eq!(read_short(member), "wide");
        }
    }
    *prompted.lock().unwrap() = Some(other.try_clone().unwrap());
    publisher.write_all(&wide).unwrap();
    server.turn_until(0, |server| server.handle.metrics().received == 206);
    assert_eq!(readable(&members), 96);
    // The next turn reads it first.
    server.turn(0);
    assert_eq!(read_short(&mut other), "served");
}

#[test]
fn flush_goes_on_as_long_as_the_reads_of_its_turn_have_cost_though_others_are_ready() {
    let prompted = Arc::default();
    let (mut server, members, [mut publisher, other]) = with_members(200, Prompter::new(&prompted));
    let mut busy: Vec<_> = (0..40).map(|_| server.client(0)).collect();
    *prompted.lock().unwrap() = Some(other);
    // With the publisher 41 sockets are read in the turn: 82 KiB, more than a step and less than two.
    for client in &mut busy {
        client.write_all(&frame(Opcode::Pong, b"")).unwrap();
    }
    publisher
        .write_all(&frame(Opcode::Binary, b"wide"))
        .unwrap();
    server.turn_until(0, |server| server.handle.metrics().received == 201);
    assert_eq!(readable(&members), 64);
}

#[test]
fn sixteen_subscribers_that_are_too_slow_are_disconnected_in_a_turn_and_the_others_in_later_ones() {
    let config = Config {
        lag_policy: LagPolicy {
            bytes_max: 1,
            publisher_wait_max: Duration::ZERO,
            ..lag_policy()
        },
        ..patient()
    };
    let mut server = SteppedServer::new(1, config, Announcer { gaps: "gaps" });
    let mut members: Vec<_> = (0..40).map(|_| server.client(0)).collect();
    for member in &mut members {
        member.write_all(&text("hall")).unwrap();
    }
    let mut publisher = server.client(0);
    server.turn_until(0, |server| server.handle.metrics().received == 40);
    // More than a socket takes.
    let message = frame(Opcode::Binary, &[0xda; 1_000_000]);
    let writing = write_behind(publisher.try_clone().unwrap(), message.repeat(8));
    let (mut disconnected, mut most) = (0, 0);
    server.turn_until(0, |server| {
        let now = server.handle.metrics().disconnected;
        most = most.max(now - disconnected);
        disconnected = now;
        now == 40
    });
    // Fewer, if the flush of a turn has ended early: 40 in three turns or more.
    assert!(most <= 16, "{most}");
    server.turn_until(0, |_| writing.is_finished());
    writing.join().unwrap();
    publisher.write_all(&text("gaps")).unwrap();
}

/// Writes all bytes on a thread of its own, which returns the client.
fn write_behind(mut client: TcpStream, bytes: Vec<u8>) -> std::thread::JoinHandle<TcpStream> {
    std::thread::spawn(move || {
        client.write_all(&bytes).unwrap();
        client
    })
}

#[test]
fn bytes_behind_the_end_are_discarded_up_to_64_kib_in_a_turn_and_before_a_pause() {
    let announcer = Announcer { gaps: "gaps" };
    let mut server = SteppedServer::new(1, patient(), announcer);
    let mut client = server.client(0);
    // A frame without a mask ends the connection.
    client.write_all(&[0x80, 0x00]).unwrap();
    server.turn_until(0, |server| server.handle.metrics().closed == 1);
    let before = server.workers[0].0.io().read_bytes();
    let (all, max) = (1 << 20, 64 << 10);
    let writing = write_behind(client, vec![0; all as usize]);
    let (mut read, mut most) = (0, 0);
    let mut of_milliseconds = HashMap::new();
    server.turn_until(0, |server| {
        let io = server.workers[0].0.io();
        let now = io.read_bytes() - before;
        most = most.max(now - read);
        *of_milliseconds.entry(io.now()).or_default() += now - read;
        read = now;
        read == all
    });
    assert!(most <= max, "{most}");
    // A pause follows the read that makes 64 KiB full.
    let most = of_milliseconds.into_values().max().unwrap_or(0);
    assert!(most < 2 * max, "{most}");
    writing.join().unwrap();
}

#[test]
fn ended_connection_that_was_paused_is_closed_at_its_close_timeout() {
    let announcer = Announcer { gaps: "gaps" };
    let config = Config {
        close_timeout: Duration::from_millis(50),
        ..patient()
    };
    let mut server = SteppedServer::new(1, config, announcer);
    let mut client = server.client(0);
    // A frame without a mask ends the connection, and the bytes behind it bring a pause.
    let mut bytes = vec![0x80, 0x00];
    bytes.resize(66 << 10, 0);
    client.write_all(&bytes).unwrap();
    // The client never sends FIN.
    server.turn_until(0, |server| server.workers[0].0.io().sockets() == 0);
    assert_eq!(server.handle.metrics().closed, 1);
}

/// Answers every request with 20,000 bytes.
struct LongResponses;

impl Handler for LongResponses {
    type Session = ();

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn message(&self, _: &mut (), _: Message<'_>, _: &mut Context<'_>) {}

    fn http(&self, _: &Request<'_>) -> Response {
        Response::text(Status::Ok, "x".repeat(20_000))
    }
}

#[test]
fn responses_to_one_client_are_64_kib_in_a_turn_and_the_one_that_exceeds_them() {
    let mut server = SteppedServer::new(1, patient(), LongResponses);
    let mut client = TcpStream::connect(server.listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(TIMEOUT)).unwrap();
    let (stream, _) = server.listener.accept().unwrap();
    server.workers[0].0.io().adopt(stream).unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.write_all(&request.repeat(10)).unwrap();
    let mut reader = client.try_clone().unwrap();
    let reading = std::thread::spawn(move || {
        // The heads are more.
        reader.read_exact(&mut vec![0; 200_000]).unwrap();
    });
    let mut requests = 0;
    server.turn_until(0, |server| {
        let now = server.handle.metrics().requests;
        // 20,000 bytes and a head cost 80 KiB, so the fourth one exceeds 256 KiB.
        assert!(now - requests <= 4, "{}", now - requests);
        requests = now;
        requests == 10
    });
    server.turn_until(0, |_| reading.is_finished());
    reading.join().unwrap();
}

/// Joins the room that a text names. For each binary message it publishes 600,000 bytes to `hall`.
struct Amplifier;

impl Handler for Amplifier {
    type Session = ();

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        match message {
            Message::Text(room) => context.join(room),
            Message::Binary(_) => context.publish("hall", Message::Binary(&[0xda; 600_000])),
        }
    }
}

#[test]
fn publisher_waits_while_1_mib_of_its_room_is_not_offered_to_all_and_nobody_else_does() {
    let (mut server, _members, [mut publisher, mut other]) = with_members(200, Amplifier);
    let received = |server: &SteppedServer<Amplifier>| server.handle.metrics().received - 200;
    let message = frame(Opcode::Binary, b"amplify");
    publisher.write_all(&message.repeat(3)).unwrap();
    server.turn_until(0, |server| received(server) == 2);
    // The first message is not offered to all, so 1.2 MB are pending.
    server.turn(0);
    assert_eq!(received(&server), 2);
    other.write_all(&text("garden")).unwrap();
    server.turn(0);
    assert_eq!(received(&server), 3, "another client is served");
    server.turn_until(0, |server| received(server) == 4);
}

/// Replies with as many bytes as the message says, and joins as many rooms. Counts the messages.
#[derive(Clone, Default)]
struct Replier(Arc<Mutex<usize>>);

impl Replier {
    fn handled(&self) -> usize {
        *self.0.lock().unwrap()
    }
}

impl Handler for Replier {
    type Session = ();

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        *self.0.lock().unwrap() += 1;
        match message {
            Message::Text(room) => context.join(room),
            Message::Binary(length) => {
                let length: [u8; 4] = length.try_into().expect("a number of four bytes");
                let reply = vec![0xda; u32::from_be_bytes(length) as usize];
                context
                    .send(Message::Binary(&reply))
                    .expect("the write queue has room");
            }
        }
    }
}

/// A request for a reply of so many bytes, with its header.
fn request_for(reply_bytes: usize) -> Vec<u8> {
    let header_bytes = match reply_bytes {
        0..=127 => 2,
        128..=65_539 => 4,
        _ => 10,
    };
    let payload_bytes = u32::try_from(reply_bytes - header_bytes).unwrap();
    frame(Opcode::Binary, &payload_bytes.to_be_bytes())
}

#[test]
fn client_is_read_while_64_kib_wait_for_it_alone_and_not_with_one_byte_more() {
    for (past, is_read) in [(0, true), (1, false)] {
        let replier = Replier::default();
        let mut server = SteppedServer::new(1, patient(), replier.clone());
        let mut client = server.client(0);
        let mut handled = 0;
        let mut send = |server: &mut SteppedServer<Replier>, wire: Vec<u8>| {
            client.write_all(&wire).unwrap();
            handled += 1;
            server.turn_until(0, |_| replier.handled() == handled);
        };
        // The client reads nothing. The sockets take some KiB.
        while queued_bytes(&mut server) == 0 {
            send(&mut server, request_for(1 << 10));
        }
        let waiting = queued_bytes(&mut server);
        send(&mut server, request_for((64 << 10) + past - waiting));
        assert_eq!(queued_bytes(&mut server), (64 << 10) + past);
        client.write_all(&request_for(2)).unwrap();
        for _ in 0..20 {
            server.turn(0);
        }
        assert_eq!(replier.handled(), handled + usize::from(is_read));
    }
}

/// The write queue of the only connection.
fn queued_bytes<H: Handler>(server: &mut SteppedServer<H>) -> usize {
    let connections = &mut server.workers[0].1.connections;
    let key = connections.keys()[0];
    connections
        .open_mut(key)
        .expect("it is open")
        .queued_bytes()
}

#[test]
fn share_of_a_turn_counts_what_is_compressed_at_the_limit_and_past_it() {
    // A reply of 4 KiB that is compressed costs 136 KiB of 256 KiB, so that the second one uses up the share. Plain
    // it costs 8 KiB.
    for (fields, sent, in_first_turn) in [
        (DEFLATE, 1, 1),
        (DEFLATE, 2, 2),
        (DEFLATE, 3, 2),
        ("", 16, 16),
    ] {
        let replier = Replier::default();
        let mut server = SteppedServer::new(1, with_deflate(), replier.clone());
        let mut client = server.client_with(0, fields);
        client.write_all(&request_for(4100).repeat(sent)).unwrap();
        server.turn_until(0, |_| replier.handled() > 0);
        assert_eq!(replier.handled(), in_first_turn, "of {sent}");
    }
}

#[test]
fn turn_compresses_1_kib_of_a_long_message_and_up_to_4_beside_much_other_work() {
    // The log of members without compression is written in the turn before the first step.
    for (others, range) in [(0, 1024..=1024), (30, 1025..=4096)] {
        let bytes = compressed_in_a_turn(others);
        assert!(range.contains(&bytes), "{bytes} beside {others}");
    }
}

/// The most that one turn compresses of a long message, for a member with compression and others without.
fn compressed_in_a_turn(others: usize) -> usize {
    let replier = Replier::default();
    let mut server = SteppedServer::new(1, with_deflate(), replier.clone());
    let mut member = server.client_with(0, DEFLATE);
    member.write_all(&text("hall")).unwrap();
    let mut others: Vec<_> = (0..others).map(|_| server.client(0)).collect();
    for other in &mut others {
        other.write_all(&text("hall")).unwrap();
    }
    server.turn_until(0, |_| replier.handled() == 1 + others.len());
    let compressed = |server: &SteppedServer<Replier>| {
        let rooms = &server.workers[0].1.environment.fan_out.rooms;
        rooms.compressed_bytes()
    };
    let payload: Vec<u8> = (0..100_000u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 28) as u8)
        .collect();
    let publisher = server.handle.publisher();
    publisher
        .publish("hall", Message::Binary(&payload))
        .unwrap();
    let (mut last, mut most) = (0, 0);
    server.turn_until(0, |server| {
        let now = compressed(server);
        most = most.max(now - last);
        last = now;
        now >= payload.len()
    });
    server.turn(0);
    let mut first = [0];
    member.read_exact(&mut first).unwrap();
    assert_eq!(first, [0b1100_0010]);
    most
}

#[test]
fn share_of_a_turn_counts_joins_at_the_limit_and_past_it() {
    for (sent, in_first_turn) in [(15, 15), (16, 16), (17, 16)] {
        let replier = Replier::default();
        let mut server = SteppedServer::new(1, patient(), replier.clone());
        let mut client = server.client(0);
        let wire: Vec<u8> = (0..sent).flat_map(|room| text(&room.to_string())).collect();
        client.write_all(&wire).unwrap();
        server.turn_until(0, |_| replier.handled() > 0);
        assert_eq!(replier.handled(), in_first_turn, "of {sent}");
        server.turn_until(0, |_| replier.handled() == sent);
    }
}
