//! The reactor on real sockets of the loopback interface.
//!
//! A [`Probe`] is the application of every test: it records its callbacks, executes the
//! closures of the test, and runs each closure that is sent to it. Some tests run the reactor
//! in a thread; tests of the order within turns make the turns one by one.

use std::collections::HashMap;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;
use yamabiko::reactor::{
    Application, End, Full, Io, ListenOptions, Mailbox, PeerAddress, Reactor, ReactorConfig,
    SocketKey, listen, listen_with,
};
use yamabiko::time::Timestamp;
use yamabiko_testing::waiting::{TIMEOUT, accepted, bounded, eventually, joined};

// Bytes in and out.

#[test]
fn echo_to_slow_readers_returns_every_byte_in_order_with_bounded_memory() {
    const CLIENTS: usize = 3;
    const BYTES: usize = 24 << 20;
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut reactor = Reactor::new(ReactorConfig {
        listeners: vec![listener.into()],
        read_buffer_bytes: Echo::BACKLOG_BYTES_MAX,
        ..ReactorConfig::default()
    })
    .unwrap();
    let mailbox = reactor.mailbox();
    let blocked = Arc::new(AtomicUsize::new(0));
    let mut echo = Echo {
        blocked: Arc::clone(&blocked),
        ..Echo::default()
    };
    let running = thread::spawn(move || {
        reactor.run(&mut echo).unwrap();
        assert_eq!(reactor.io().sockets(), 0);
    });

    let clients: Vec<TcpStream> = (0..CLIENTS).map(|_| connect_narrow(address)).collect();
    let write_all = |(number, client): (usize, &TcpStream)| {
        let mut writer = client.try_clone().unwrap();
        thread::spawn(move || {
            writer.write_all(&pattern(number, BYTES)).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        })
    };
    let writing: Vec<JoinHandle<()>> = clients.iter().enumerate().map(write_all).collect();
    // No client reads before its echo had to wait: a paused socket is not read again.
    eventually("each client's echo waits for it", TIMEOUT, || {
        blocked.load(Ordering::Relaxed) >= CLIENTS
    });
    let reading = clients.into_iter().enumerate().map(|(number, mut client)| {
        thread::spawn(move || {
            let mut got = vec![0; BYTES];
            client.read_exact(&mut got).unwrap();
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
            assert!(got == pattern(number, BYTES), "the echo differs");
        })
    });
    for client in writing.into_iter().chain(reading.collect::<Vec<_>>()) {
        joined("the end of a client", client);
    }
    mailbox.send(()).unwrap();
    joined("the end of the reactor", running);
}

/// Fills the sockets that it adopts, and writes 16 KiB to each that can be written again.
#[derive(Default)]
struct Refill {
    adopted: Vec<SocketKey>,
    refilled: usize,
}

impl Refill {
    /// As many as a call costs besides: four calls use up a turn's budget of 128 KiB.
    const BYTES: usize = 16 << 10;
}

impl Application for Refill {
    type Message = ();

    fn opened(&mut self, io: &mut Io, key: SocketKey, _: PeerAddress) {
        while io.write(key, &[0; 64 << 10]) == 64 << 10 {}
        self.adopted.push(key);
    }

    fn received(&mut self, _: &mut Io, _: SocketKey, _: &mut [u8]) {}

    fn ended(&mut self, _: &mut Io, _: SocketKey, _: End) {}

    fn writable(&mut self, io: &mut Io, key: SocketKey) {
        assert_eq!(io.write(key, &[1; Refill::BYTES]), Refill::BYTES);
        self.refilled += 1;
    }
}

#[test]
fn sockets_that_can_be_written_again_are_served_up_to_a_budget_and_the_others_in_later_turns() {
    const SOCKETS: usize = 40;
    let mut reactor = Reactor::<()>::new(ReactorConfig::default()).unwrap();
    let mut refill = Refill::default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peers = Vec::new();
    for _ in 0..SOCKETS {
        peers.push(connect_narrow(listener.local_addr().unwrap()));
        let stream = accepted(&listener);
        SockRef::from(&stream)
            .set_send_buffer_size(64 << 10)
            .unwrap();
        reactor.io().adopt(stream).unwrap();
    }
    reactor.turn(&mut refill).unwrap();
    assert_eq!(refill.adopted.len(), SOCKETS);
    for peer in &mut peers {
        peer.set_nonblocking(true).unwrap();
        eventually("the peer has read everything", TIMEOUT, || {
            while peer.read(&mut [0; 64 << 10]).is_ok() {}
            peer.peek(&mut [0])
                .is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        });
    }
    let mailbox = reactor.mailbox();
    let (mut turns, mut most) = (0, 0);
    while refill.refilled < SOCKETS {
        // What the kernel still holds arrives meanwhile.
        for peer in &mut peers {
            while peer.read(&mut [0; 64 << 10]).is_ok() {}
        }
        mailbox.send(()).unwrap();
        let before = refill.refilled;
        reactor.turn(&mut refill).unwrap();
        most = most.max(refill.refilled - before);
        turns += 1;
        assert!(turns < 100_000, "not all become writable");
    }
    assert_eq!(most, 4);
}

#[test]
fn turn_accepts_sixteen_connections_and_the_next_one_the_seventeenth() {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut reactor = Reactor::<()>::new(ReactorConfig {
        listeners: vec![listener.into()],
        ..ReactorConfig::default()
    })
    .unwrap();
    let mut echo = Echo::default();
    // Connected, so they are in the backlog.
    let _clients: Vec<_> = (0..17)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    reactor.turn(&mut echo).unwrap();
    assert_eq!(reactor.io().sockets(), 16);
    reactor.turn(&mut echo).unwrap();
    assert_eq!(reactor.io().sockets(), 17);
}

/// Lends a buffer as soon as a read has filled the shared one.
#[derive(Default)]
struct Lender {
    bytes: Vec<u8>,
    /// What can be lent of `bytes`.
    lends: usize,
    lent_bytes: usize,
    largest_turn: usize,
    turn_bytes: usize,
    ended: bool,
}

impl Application for Lender {
    type Message = ();

    fn opened(&mut self, _: &mut Io, _: SocketKey, _: PeerAddress) {}

    fn received(&mut self, _: &mut Io, _: SocketKey, bytes: &mut [u8]) {
        self.bytes.extend_from_slice(bytes);
        self.turn_bytes += bytes.len();
    }

    fn lend(&mut self, _: SocketKey) -> Option<&mut Vec<u8>> {
        self.bytes.shrink_to_fit();
        self.bytes.reserve_exact(self.lends);
        (self.lends > 0).then_some(&mut self.bytes)
    }

    fn filled(&mut self, _: &mut Io, _: SocketKey, count: usize) {
        self.lent_bytes += count;
        self.turn_bytes += count;
    }

    fn ended(&mut self, io: &mut Io, key: SocketKey, end: End) {
        assert!(matches!(end, End::Eof), "{end:?}");
        self.ended = true;
        io.close(key);
    }

    fn turn_ended(&mut self, io: &mut Io) {
        self.largest_turn = self.largest_turn.max(self.turn_bytes);
        self.turn_bytes = 0;
        if self.ended {
            io.stop();
        }
    }
}

#[test]
fn bytes_behind_a_full_read_go_into_a_lent_buffer_within_the_budget() {
    const BYTES: usize = 4 << 20;
    for (lends, is_used) in [
        (0, false),
        (100_000, true),
        (192 << 10, true),
        (193 << 10, false),
    ] {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let config = ReactorConfig {
            listeners: vec![listener.into()],
            ..ReactorConfig::default()
        };
        let mut reactor = Reactor::new(config).unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        let writing = thread::spawn(move || client.write_all(&pattern(3, BYTES)).unwrap());
        let mut lender = Lender {
            lends,
            ..Lender::default()
        };
        let running = thread::spawn(move || {
            reactor.run(&mut lender).unwrap();
            lender
        });
        joined("all is written", writing);
        let lender = joined("the end of the client", running);
        assert!(lender.bytes == pattern(3, BYTES));
        assert!(lender.largest_turn <= 256 << 10, "{}", lender.largest_turn);
        // A kernel may never have more than one read's bytes.
        assert!(is_used || lender.lent_bytes == 0, "{lends}");
    }
}

#[test]
fn partial_write_is_followed_by_writable_and_no_byte_is_lost() {
    let mut reactor = Stepping::new(listening());
    let (mut client, key) = reactor.connected();
    let bytes = pattern(1, 1 << 20);
    let mut sent = fill(reactor.io(), key, &bytes);
    assert_eq!(reactor.io().write(key, b"no room"), 0);

    let target = sent + 5 * bytes.len();
    let reading = thread::spawn(move || {
        let mut got = vec![0; target];
        client.read_exact(&mut got).unwrap();
        got
    });
    while sent < target {
        reactor.until(|seen| *seen == Seen::Writable(key));
        while sent < target {
            let offset = sent % bytes.len();
            let end = bytes.len().min(offset + target - sent);
            let written = reactor.io().write(key, &bytes[offset..end]);
            sent += written;
            if written < end - offset {
                break;
            }
        }
    }
    let got = joined("all bytes", reading);
    assert!(
        got.chunks(bytes.len())
            .all(|piece| bytes.starts_with(piece))
    );
}

#[test]
fn slices_of_any_number_and_size_are_written_without_gaps() {
    let mut reactor = Stepping::new(listening());
    let (mut client, key) = reactor.connected();
    let bytes = pattern(2, 8 << 20);
    // 1,500 empty slices at the front and in between, and more than writev accepts.
    let mut slices = vec![IoSlice::new(&[]); 1500];
    for (number, slice) in bytes.chunks(3001).enumerate() {
        slices.push(IoSlice::new(slice));
        if number % 7 == 0 {
            slices.push(IoSlice::new(&[]));
        }
    }
    let reading = thread::spawn(move || {
        let mut got = vec![0; 8 << 20];
        client.read_exact(&mut got).unwrap();
        got
    });
    let mut rest = &mut slices[..];
    let written = reactor.io().write_slices(key, rest);
    IoSlice::advance_slices(&mut rest, written);
    while !rest.is_empty() {
        reactor.until(|seen| *seen == Seen::Writable(key));
        let written = reactor.io().write_slices(key, rest);
        IoSlice::advance_slices(&mut rest, written);
    }
    assert!(joined("all bytes", reading) == bytes);
    assert_eq!(reactor.io().write_slices(key, &[]), 0);
    assert_eq!(reactor.io().write_slices(key, &[IoSlice::new(&[])]), 0);
}

#[test]
fn flooding_socket_does_not_prevent_reading_another() {
    const BUDGET: usize = 4096;
    let mut reactor = Stepping::new(ReactorConfig {
        read_buffer_bytes: 1024,
        read_budget_bytes: BUDGET,
        ..listening()
    });
    let (mut flood, flood_key) = reactor.connected();
    let (mut other, other_key) = reactor.connected();
    flood.write_all(&pattern(3, 16 * BUDGET)).unwrap();
    other.write_all(b"me too").unwrap();

    let mut from_flood = 0;
    while from_flood < 16 * BUDGET {
        let seen = reactor.turn();
        let in_turn: usize = received(&seen, flood_key).len();
        assert!(in_turn <= BUDGET, "{in_turn} bytes in one turn");
        from_flood += in_turn;
        if !received(&seen, other_key).is_empty() {
            break;
        }
    }
    assert!(from_flood <= 2 * BUDGET, "served after {from_flood} bytes");
    while from_flood < 16 * BUDGET {
        from_flood += received(&reactor.turn(), flood_key).len();
    }
}

#[test]
fn budget_that_is_no_multiple_of_the_buffer_is_exact() {
    let mut reactor = Stepping::new(ReactorConfig {
        read_buffer_bytes: 1000,
        read_budget_bytes: 2500,
        ..listening()
    });
    let (mut client, key) = reactor.connected();
    client.write_all(&pattern(4, 10_000)).unwrap();
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 10_000 {
        sizes.push(received(&reactor.turn(), key).len());
    }
    sizes.retain(|&size| size > 0);
    assert_eq!(sizes, [2500; 4]);
}

#[test]
fn paused_socket_is_not_read_and_a_resumed_one_receives_everything() {
    let mut reactor = Stepping::new(listening());
    let (mut client, key) = reactor.connected();
    reactor.io().pause_reading(key);
    client.write_all(b"while paused").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    // A second client, whose bytes arrive later, shows that turns were made.
    let (mut other, other_key) = reactor.connected();
    other.write_all(b"x").unwrap();
    reactor.until(|seen| matches!(seen, Seen::Received(from, _) if *from == other_key));
    assert_eq!(reactor.history_of(key), [Seen::Opened(key)]);

    reactor.io().resume_reading(key);
    let seen = reactor.turn();
    let expected = [
        Seen::Received(key, b"while paused".to_vec()),
        Seen::Eof(key),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn socket_paused_in_received_keeps_the_rest_for_later() {
    let mut reactor = Stepping::new(ReactorConfig {
        read_buffer_bytes: 100,
        ..listening()
    });
    reactor.probe.on_received = Some(Box::new(|io, key, _| io.pause_reading(key)));
    let (mut client, key) = reactor.connected();
    let bytes = pattern(5, 350);
    client.write_all(&bytes).unwrap();
    let mut got = Vec::new();
    while got.len() < bytes.len() {
        let piece = received(&reactor.turn(), key);
        assert!(piece.len() <= 100);
        got.extend(piece);
        reactor.io().resume_reading(key);
    }
    assert_eq!(got, bytes);
}

// Budgets and bytes left unread.

/// Processes this number of bytes of each read and leaves the rest. Records the bytes that it is
/// given and the bytes that it processes.
fn process(bytes: usize, cost: usize) -> OnReceived {
    Box::new(move |io, _, given| {
        io.charge(cost);
        io.leave_unread(given.len().saturating_sub(bytes));
    })
}

/// The sizes of the pieces that a socket received in one turn.
fn sizes(seen: &[Seen], key: SocketKey) -> Vec<usize> {
    let size = |seen: &Seen| match seen {
        Seen::Received(from, bytes) if *from == key => Some(bytes.len()),
        _ => None,
    };
    seen.iter().filter_map(size).collect()
}

#[test]
fn charged_work_ends_the_turn_of_a_socket_exactly_at_its_budget() {
    // Reads of 100 bytes, each with a further cost, and a budget of 2000.
    for (cost, reads) in [(0, 20), (899, 3), (900, 2), (1899, 2), (1900, 1), (9999, 1)] {
        let mut reactor = Stepping::new(ReactorConfig {
            read_buffer_bytes: 100,
            read_budget_bytes: 2000,
            ..listening()
        });
        reactor.probe.on_received = Some(process(usize::MAX, cost));
        let (mut client, key) = reactor.connected();
        client.write_all(&pattern(6, 2000)).unwrap();
        let seen = until_received(&mut reactor, key);
        assert_eq!(sizes(&seen, key).len(), reads, "cost {cost}");
    }
}

/// The first turn in which this socket received bytes.
fn until_received(reactor: &mut Stepping, key: SocketKey) -> Vec<Seen> {
    for _ in 0..1000 {
        let seen = reactor.turn();
        if !received(&seen, key).is_empty() {
            return seen;
        }
    }
    panic!("no bytes were received");
}

#[test]
fn unread_bytes_are_received_again_first_and_after_the_other_sockets() {
    let mut reactor = Stepping::new(listening());
    reactor.probe.on_received = Some(process(10, 0));
    let (mut first, first_key) = reactor.connected();
    let (mut second, second_key) = reactor.connected();
    first.write_all(b"0123456789abcdefghijklmn").unwrap();
    second.write_all(b"me too").unwrap();
    until_received(&mut reactor, first_key);
    assert_eq!(reactor.io().unread_bytes(), 14);
    first.write_all(b"opq").unwrap();
    let mut others = received(&reactor.probe.seen, second_key);
    let mut pieces = Vec::new();
    while pieces.len() < 3 {
        let seen = reactor.turn();
        others.extend(received(&seen, second_key));
        pieces.extend(seen.iter().filter_map(|seen| match seen {
            Seen::Received(from, bytes) if *from == first_key => Some(bytes.clone()),
            _ => None,
        }));
    }
    assert_eq!(pieces, [&b"abcdefghijklmn"[..], b"klmn", b"opq"]);
    assert_eq!(reactor.io().unread_bytes(), 0);
    let history = reactor.history_of(second_key);
    assert!(history.contains(&Seen::Received(second_key, b"me too".to_vec())));
}

#[test]
fn socket_with_a_used_up_budget_waits_for_eight_turns_of_the_others_but_not_nine() {
    let mut reactor = Stepping::new(listening());
    reactor.probe.on_received = Some(process(1, 0));
    let (mut flood, flood_key) = reactor.connected();
    let (mut other, other_key) = reactor.connected();
    flood.write_all(&pattern(8, 1000)).unwrap();
    until_received(&mut reactor, flood_key);
    let mut turns = Vec::new();
    for _ in 0..18 {
        // Its byte is processed at once: the other socket never leaves bytes.
        other.write_all(b"x").unwrap();
        let seen = until_received(&mut reactor, other_key);
        let order: Vec<_> = seen.iter().filter_map(Seen::key).collect();
        assert_eq!(order[0], other_key, "the others are first");
        turns.push(order.contains(&flood_key));
    }
    let nine = [[false; 8].as_slice(), &[true]].concat();
    assert_eq!(turns, nine.repeat(2));
    // Without others it is read in every turn.
    for _ in 0..3 {
        assert!(!received(&reactor.turn(), flood_key).is_empty());
    }
}

#[test]
fn socket_with_a_used_up_budget_has_a_quarter_of_it_while_others_come_and_the_whole_without() {
    let mut reactor = Stepping::new(ReactorConfig {
        read_buffer_bytes: 100,
        read_budget_bytes: 2000,
        ..listening()
    });
    let (mut flood, flood_key) = reactor.connected();
    let (mut other, other_key) = reactor.connected();
    flood.write_all(&pattern(8, 200_000)).unwrap();
    let bytes = |seen: &[Seen]| sizes(seen, flood_key).iter().sum::<usize>();
    assert_eq!(bytes(&until_received(&mut reactor, flood_key)), 2000);
    let mut amounts = Vec::new();
    while amounts.len() < 3 {
        other.write_all(b"x").unwrap();
        let seen = until_received(&mut reactor, other_key);
        amounts.extend(Some(bytes(&seen)).filter(|&bytes| bytes > 0));
    }
    assert_eq!(amounts, [500; 3]);
    // For a while after the last one.
    let mut alone = Vec::new();
    while alone.last() != Some(&2000) {
        assert!(alone.len() < 32);
        alone.push(bytes(&until_received(&mut reactor, flood_key)));
    }
    assert!(alone.iter().all(|&bytes| bytes == 500 || bytes == 2000));
    assert!(alone.len() > 20);
}

#[test]
fn application_is_called_again_without_bytes_in_the_next_turn_and_before_further_ones() {
    let mut reactor = Stepping::new(listening());
    let mut calls = 0;
    reactor.probe.on_received = Some(Box::new(move |io, _, _| {
        calls += 1;
        if calls <= 2 {
            io.receive_again();
        }
    }));
    let (mut client, key) = reactor.connected();
    client.write_all(b"first").unwrap();
    let seen = until_received(&mut reactor, key);
    assert_eq!(received(&seen, key), b"first");
    client.write_all(b"second").unwrap();
    assert_eq!(sizes(&reactor.turn(), key), [0]);
    assert_eq!(sizes(&reactor.turn(), key)[0], 0);
    while reactor.history_of(key).len() < 5 {
        reactor.turn();
    }
    let pieces = sizes(&reactor.history_of(key), key);
    assert_eq!(pieces, [5, 0, 0, 6]);
}

#[test]
fn application_that_leaves_bytes_and_asks_again_gets_the_bytes() {
    let mut reactor = Stepping::new(listening());
    let mut calls = 0;
    reactor.probe.on_received = Some(Box::new(move |io, _, given| {
        calls += 1;
        if calls == 1 {
            io.leave_unread(given.len() - 2);
            io.receive_again();
        }
    }));
    let (mut client, key) = reactor.connected();
    client.write_all(b"abcdef").unwrap();
    until_received(&mut reactor, key);
    assert_eq!(received(&until_received(&mut reactor, key), key), b"cdef");
}

#[test]
fn socket_that_can_be_written_again_waits_for_one_turn_of_the_others_but_not_two() {
    let mut reactor = Stepping::new(listening());
    let (mut reader, key) = reactor.connected();
    let (mut other, other_key) = reactor.connected();
    // A write is as long as one may be, so the socket waits for its turn.
    let begin_write = |reactor: &mut Stepping| {
        let written = reactor.io().write(key, &[0; 2 * Io::WRITE_BYTES_MAX]);
        assert_eq!(written, Io::WRITE_BYTES_MAX);
    };
    begin_write(&mut reactor);
    let mut turns = Vec::new();
    for _ in 0..4 {
        other.write_all(b"x").unwrap();
        let seen = until_received(&mut reactor, other_key);
        turns.push(seen.contains(&Seen::Writable(key)));
        if turns.ends_with(&[true]) {
            reader
                .read_exact(&mut [0; Io::WRITE_BYTES_MAX])
                .expect("what was written");
            begin_write(&mut reactor);
        }
    }
    assert_eq!(turns, [false, true, false, true]);
    // Without others it is served in every turn.
    assert_eq!(reactor.turn(), [Seen::Writable(key)]);
}

/// Sends 128 KiB more with each read of its bytes, so that the socket always has more to read, and calls `first` in the first read.
fn flood_of(
    client: &TcpStream,
    key: SocketKey,
    first: impl FnOnce() + Send + 'static,
) -> OnReceived {
    let mut client = client.try_clone().unwrap();
    client.set_nonblocking(true).unwrap();
    let mut first = Some(first);
    Box::new(move |_, from, _| {
        if from == key {
            // What the sockets do not take is left out.
            let _ = client.write(&[0; 128 << 10]);
            if let Some(first) = first.take() {
                first();
            }
        }
    })
}

#[test]
fn long_read_ends_after_128_kib_if_another_socket_has_become_ready_and_goes_on_otherwise() {
    for becomes_ready in [true, false] {
        let mut reactor = Stepping::new(listening());
        let (mut flood, flood_key) = reactor.connected();
        let (mut other, other_key) = reactor.connected();
        flood.write_all(&[0; 64 << 10]).unwrap();
        reactor.probe.on_received = Some(flood_of(&flood, flood_key, move || {
            if becomes_ready {
                other.write_all(b"x").unwrap();
            }
            // It stays open.
            std::mem::forget(other);
        }));
        let seen = until_received(&mut reactor, flood_key);
        let bytes = received(&seen, flood_key).len();
        let others = received(&seen, other_key).len();
        assert_eq!(others, 0, "the turn has read the other socket, too");
        match becomes_ready {
            true => assert!((128 << 10..192 << 10).contains(&bytes), "{bytes}"),
            false => assert!(bytes >= 192 << 10, "{bytes}"),
        }
        if becomes_ready {
            let seen = reactor.turn();
            assert_eq!(seen[0], Seen::Received(other_key, b"x".to_vec()));
        }
    }
}

#[cfg(unix)]
#[test]
fn message_and_signal_that_come_during_a_long_read_are_delivered() {
    let mut reactor = Stepping::new(listening());
    let (waker, mut signal) = UnixStream::pair().unwrap();
    reactor.reactor.set_waker(waker).unwrap();
    let (mut flood, flood_key) = reactor.connected();
    flood.write_all(&[0; 64 << 10]).unwrap();
    let mailbox = reactor.reactor.mailbox();
    let delivered = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&delivered);
    reactor.probe.on_received = Some(flood_of(&flood, flood_key, move || {
        let message: Message = Box::new(move |_, io| {
            counted.fetch_add(1, Ordering::Relaxed);
            // From now on only the signal can begin a turn.
            io.pause_reading(flood_key);
        });
        assert!(mailbox.send(message).is_ok());
        signal.write_all(b"!").unwrap();
        std::mem::forget(signal);
    }));
    let seen = until_received(&mut reactor, flood_key);
    assert!(received(&seen, flood_key).len() >= 128 << 10);
    assert_eq!(delivered.load(Ordering::Relaxed), 1, "in the same turn");
    assert!(!seen.contains(&Seen::Woken));
    assert_eq!(reactor.turn(), [Seen::Woken]);
}

#[test]
fn resumed_socket_receives_its_unread_bytes() {
    let mut reactor = Stepping::new(listening());
    reactor.probe.on_received = Some(Box::new(|io, key, given| {
        if given.len() > 4 {
            io.leave_unread(given.len() - 4);
            io.pause_reading(key);
        }
    }));
    let (mut client, key) = reactor.connected();
    client.write_all(b"yamabiko").unwrap();
    until_received(&mut reactor, key);
    reactor.make_other_turns();
    assert_eq!(reactor.history_of(key).len(), 2);
    reactor.io().resume_reading(key);
    assert_eq!(reactor.turn(), [Seen::Received(key, b"biko".to_vec())]);
    assert_eq!(reactor.io().unread_bytes(), 0);
}

#[test]
fn unread_bytes_are_discarded_when_the_socket_is_closed() {
    let mut reactor = Stepping::new(listening());
    reactor.probe.on_received = Some(process(1, 0));
    let (mut client, key) = reactor.connected();
    client.write_all(b"yamabiko").unwrap();
    until_received(&mut reactor, key);
    reactor.io().close(key);
    assert_eq!(reactor.io().unread_bytes(), 0);
    // They are not kept either if the socket is closed at once.
    reactor.probe.on_received = Some(Box::new(|io, key, given| {
        io.close(key);
        io.leave_unread(given.len());
    }));
    let (mut client, key) = reactor.connected();
    client.write_all(b"yamabiko").unwrap();
    until_received(&mut reactor, key);
    assert_eq!(reactor.io().unread_bytes(), 0);
}

#[test]
fn memory_of_unread_bytes_is_bounded() {
    const SOCKETS: usize = 64;
    let mut reactor = Stepping::new(listening());
    reactor.probe.on_received = Some(process(1, 0));
    let mut clients: Vec<_> = (0..SOCKETS).map(|_| reactor.connected()).collect();
    for (client, _) in &mut clients {
        client.write_all(&pattern(7, 100_000)).unwrap();
    }
    let mut most = 0;
    for _ in 0..10 {
        reactor.turn();
        most = most.max(reactor.io().unread_bytes());
    }
    // 1 MiB and a read of 64 KiB, then 4 KiB for each socket.
    let bound = (1 << 20) + (64 << 10) + SOCKETS * (4 << 10);
    assert!((1 << 20) < most && most <= bound, "{most} bytes");
}

// Bytes that stay in the buffer until the next read.

/// Of each `received`: the bytes that had stayed, all bytes, and how many may come behind them.
type Passed = Arc<Mutex<Vec<(usize, Vec<u8>, usize)>>>;

/// Lets all bytes stay, and records what is passed. `then` is called behind it.
fn stay(mut then: impl FnMut(&mut Io, SocketKey) + Send + 'static) -> (Passed, OnReceived) {
    let passed = Passed::default();
    let record = Arc::clone(&passed);
    let on_received = Box::new(move |io: &mut Io, key: SocketKey, given: &mut [u8]| {
        let (stayed, more) = (io.take_stayed_bytes(), io.more_bytes_max());
        record.lock().unwrap().push((stayed, given.to_vec(), more));
        io.await_more(given.len());
        then(io, key);
    });
    (passed, on_received)
}

/// Reads of 100 bytes, and a budget of 250.
fn small_reads() -> ReactorConfig {
    ReactorConfig {
        read_buffer_bytes: 100,
        read_budget_bytes: 250,
        ..listening()
    }
}

/// What is passed in the turn in which so many bytes have come at once.
fn passed_of(bytes: usize) -> Vec<(usize, usize, usize)> {
    let mut reactor = Stepping::new(small_reads());
    let (passed, on_received) = stay(|_, _| {});
    reactor.probe.on_received = Some(on_received);
    let (mut client, key) = reactor.connected();
    client.write_all(&pattern(9, bytes)).unwrap();
    until_received(&mut reactor, key);
    let passed = passed.lock().unwrap();
    let lengths = passed.iter().map(|(stayed, given, more)| {
        assert!(pattern(9, bytes).starts_with(given));
        (*stayed, given.len(), *more)
    });
    lengths.collect()
}

#[test]
fn bytes_that_stay_are_passed_again_with_the_next_read_behind_them() {
    assert_eq!(passed_of(99), [(0, 99, 0)]);
    assert_eq!(
        passed_of(230),
        [(0, 100, 150), (100, 200, 50), (200, 230, 0)]
    );
}

#[test]
fn bytes_that_stay_are_passed_once_more_by_themselves_if_the_socket_has_no_more() {
    assert_eq!(passed_of(100), [(0, 100, 150), (100, 100, 0)]);
    assert_eq!(
        passed_of(200),
        [(0, 100, 150), (100, 200, 50), (200, 200, 0)]
    );
}

#[test]
fn bytes_stay_until_the_budget_of_the_turn_is_used_up_and_no_longer() {
    let turn = [(0, 100, 150), (100, 200, 50), (200, 250, 0)];
    assert_eq!(passed_of(250), turn);
    assert_eq!(passed_of(251), turn);
}

#[test]
fn bytes_that_stay_are_passed_before_the_socket_waits() {
    for charged in [false, true] {
        let mut reactor = Stepping::new(small_reads());
        let (passed, on_received) = stay(move |io, key| match charged {
            true => io.charge(1000),
            false => io.pause_reading(key),
        });
        reactor.probe.on_received = Some(on_received);
        let (mut client, key) = reactor.connected();
        client.write_all(&pattern(9, 300)).unwrap();
        until_received(&mut reactor, key);
        let passed = passed.lock().unwrap();
        let lengths: Vec<_> = passed
            .iter()
            .map(|(stayed, given, more)| (*stayed, given.len(), *more))
            .collect();
        assert_eq!(lengths, [(0, 100, 150), (100, 100, 0)]);
    }
}

#[test]
fn closed_socket_is_not_passed_its_bytes_that_stay_and_neither_is_another_one() {
    let mut reactor = Stepping::new(small_reads());
    let (passed, on_received) = stay(|io, key| io.close(key));
    reactor.probe.on_received = Some(on_received);
    let mut clients: Vec<_> = (0..2).map(|_| reactor.connected()).collect();
    for (client, key) in &mut clients {
        client.write_all(&pattern(9, 300)).unwrap();
        until_received(&mut reactor, *key);
    }
    let passed = passed.lock().unwrap();
    assert_eq!(passed.len(), 2);
    assert!(
        passed
            .iter()
            .all(|(stayed, given, _)| (*stayed, given.len()) == (0, 100))
    );
}

#[test]
fn bytes_that_stayed_can_be_left_for_a_later_turn() {
    let mut reactor = Stepping::new(small_reads());
    reactor.probe.on_received = Some(Box::new(|io, _, given| match io.take_stayed_bytes() {
        0 if given.len() == 100 => io.await_more(60),
        0 => {}
        _ => io.leave_unread(given.len() - 10),
    }));
    let (mut client, key) = reactor.connected();
    let bytes = pattern(9, 130);
    client.write_all(&bytes).unwrap();
    let seen = until_received(&mut reactor, key);
    assert_eq!(received(&seen, key), [&bytes[..100], &bytes[40..]].concat());
    assert_eq!(reactor.io().unread_bytes(), 80);
    assert_eq!(received(&reactor.turn(), key), bytes[50..]);
}

#[test]
fn sockets_resumed_first_are_read_before_all_others_and_in_their_order() {
    let mut reactor = Stepping::new(listening());
    let mut clients: Vec<_> = (0..4).map(|_| reactor.connected()).collect();
    let keys: Vec<_> = clients.iter().map(|(_, key)| *key).collect();
    for key in &keys[2..] {
        reactor.io().pause_reading(*key);
    }
    // All bytes are left, so that the socket is in the list of the next turn.
    reactor.probe.on_received = Some(process(0, 0));
    for (client, _) in &mut clients {
        client.write_all(b"x").unwrap();
    }
    until_received(&mut reactor, keys[0]);
    until_received(&mut reactor, keys[1]);
    reactor.make_other_turns();
    reactor.io().resume_reading_first([keys[3], keys[2]]);
    let seen = reactor.turn();
    let order: Vec<_> = seen.iter().filter_map(Seen::key).collect();
    assert_eq!(order, [keys[3], keys[2]]);
    assert_eq!(reactor.turn().len(), 4);
}

// Endings.

#[test]
fn after_the_peers_end_the_socket_can_be_written_until_it_is_closed() {
    let mut reactor = Stepping::new(listening());
    let (mut client, key) = reactor.connected();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    reactor.until(|seen| *seen == Seen::Eof(key));
    assert_eq!(reactor.io().write(key, b"answer"), 6);
    reactor.make_other_turns();
    reactor.io().close(key);

    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"answer");
    let question = Seen::Received(key, b"question".to_vec());
    let expected = [Seen::Opened(key), question, Seen::Eof(key)];
    assert_eq!(reactor.history_of(key), expected);
}

#[test]
fn end_without_bytes_is_reported_after_a_short_read() {
    let mut reactor = Stepping::new(listening());
    let (mut client, key) = reactor.connected();
    client.write_all(b"bytes").unwrap();
    reactor.until(|seen| matches!(seen, Seen::Received(..)));
    drop(client);
    reactor.until(|seen| *seen == Seen::Eof(key));
}

#[test]
fn shutdown_write_sends_fin_and_leaves_reading_open() {
    let mut reactor = Stepping::new(listening());
    let (mut client, key) = reactor.connected();
    assert_eq!(reactor.io().write(key, b"last bytes"), 10);
    reactor.io().shutdown_write(key);
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"last bytes");
    client.write_all(b"reply").unwrap();
    reactor.until(|seen| *seen == Seen::Received(key, b"reply".to_vec()));
}

#[test]
fn reset_ends_the_socket_once_and_closes_it() {
    let mut reactor = Stepping::new(listening());
    let (mut client, key) = reactor.connected();
    client.write_all(b"half a mess").unwrap();
    reactor.until(|seen| matches!(seen, Seen::Received(..)));
    reset(client);
    reactor.until(|seen| *seen == Seen::Failed(key, ErrorKind::ConnectionReset));
    assert_eq!(reactor.io().sockets(), 0);
    assert_eq!(reactor.io().write(key, b"anyone?"), 0);
    reactor.make_other_turns();
    assert_eq!(reactor.history_of(key).len(), 3);
}

#[test]
fn failed_write_accepts_no_more_bytes_and_ends_the_socket_in_the_same_turn() {
    let mut reactor = Stepping::new(listening());
    let (client, key) = reactor.connected();
    // Paused, so that the write detects the failure.
    reactor.io().pause_reading(key);
    reset(client);
    reactor.send(move |_, io| {
        while io.write(key, &[0; 1024]) > 0 {}
        assert_eq!(io.write(key, b"more"), 0);
        assert_eq!(io.write_slices(key, &[IoSlice::new(b"more")]), 0);
    });
    let seen = reactor.turn();
    assert!(matches!(seen[..], [Seen::Failed(failed, _)] if failed == key));
    assert_eq!(reactor.io().sockets(), 0);
}

#[test]
fn failed_write_in_turn_ended_ends_the_socket_in_the_next_turn_without_sleeping() {
    let mut reactor = Stepping::new(listening());
    let (client, key) = reactor.connected();
    reactor.io().pause_reading(key);
    reset(client);
    reactor.make_other_turns();
    reactor.probe.on_turn_ended = Some(Box::new(move |io| while io.write(key, &[0; 1024]) > 0 {}));
    reactor.send(|_, _| {});
    assert_eq!(reactor.turn(), []);
    // Nothing else is pending: the watchdog would end a turn that sleeps.
    let seen = reactor.turn();
    assert!(matches!(seen[..], [Seen::Failed(failed, _)] if failed == key));
}

#[test]
fn failed_write_after_the_peers_end_is_reported_too() {
    let mut reactor = Stepping::new(listening());
    let (client, key) = reactor.connected();
    client.shutdown(Shutdown::Write).unwrap();
    reactor.until(|seen| *seen == Seen::Eof(key));
    reset(client);
    reactor.send(move |_, io| while io.write(key, &[0; 1024]) > 0 {});
    reactor.until(|seen| matches!(seen, Seen::Failed(failed, _) if *failed == key));
    assert_eq!(reactor.io().sockets(), 0);
}

#[test]
fn reset_is_reported_to_a_blocked_writer() {
    let mut reactor = Stepping::new(listening());
    let (client, key) = reactor.connected();
    reactor.io().pause_reading(key);
    fill(reactor.io(), key, &[0; 65_536]);
    reset(client);
    reactor.until(|seen| *seen == Seen::Writable(key));
    assert_eq!(reactor.io().write(key, b"anyone?"), 0);
    reactor.until(|seen| matches!(seen, Seen::Failed(failed, _) if *failed == key));
}

// Keys.

#[test]
fn key_of_a_closed_socket_never_reaches_the_next_one_in_its_slot() {
    let mut reactor = Stepping::new(listening());
    let (_first, old) = reactor.connected();
    reactor.io().set_deadline(old, Timestamp(0));
    reactor.io().close(old);
    let (mut client, new) = reactor.connected();
    assert_eq!(old.index(), new.index());
    assert_ne!(old, new);

    let io = reactor.io();
    assert_eq!(io.write(old, b"to whom?"), 0);
    io.pause_reading(old);
    io.shutdown_write(old);
    io.set_deadline(old, Timestamp(0));
    io.close(old);
    assert_eq!(io.sockets(), 1);
    assert_eq!(io.write(new, b"to you"), 6);
    let mut got = [0; 6];
    client.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"to you");
    client.write_all(b"thanks").unwrap();
    reactor.until(|seen| *seen == Seen::Received(new, b"thanks".to_vec()));
    assert_eq!(reactor.history_of(old), [Seen::Opened(old)]);
}

#[test]
fn event_of_a_socket_closed_in_the_same_turn_is_discarded() {
    let mut reactor = Stepping::new(listening());
    let (mut client_a, a) = reactor.connected();
    let (mut client_b, b) = reactor.connected();
    let (peer, handed_in) = connection();
    // The socket that is read first closes the other one; its slot is used again.
    let mut handed_in = Some(handed_in);
    reactor.probe.on_received = Some(Box::new(move |io, key, _| {
        if let Some(stream) = handed_in.take() {
            let other = if key == a { b } else { a };
            io.close(other);
            let new = io.adopt(stream).unwrap();
            assert_eq!(new.index(), other.index());
        }
    }));
    client_a.write_all(b"a").unwrap();
    client_b.write_all(b"b").unwrap();
    let mut seen = reactor.turn();
    while !seen.iter().any(|seen| matches!(seen, Seen::Opened(_))) {
        seen.extend(reactor.turn());
    }
    let senders: Vec<SocketKey> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Received(key, _) => Some(*key),
            _ => None,
        })
        .collect();
    assert_eq!(senders.len(), 1, "{seen:?}");
    drop(peer);
}

// Time.

#[test]
fn timers_are_called_in_the_order_of_their_deadlines_and_not_early() {
    let mut reactor = Stepping::new(listening());
    let sockets: Vec<(TcpStream, SocketKey)> = (0..4).map(|_| reactor.connected()).collect();
    let [a, b, c, d] = [0, 1, 2, 3].map(|number: usize| sockets[number].1);
    let start = reactor.io().now();
    let at = |millis| start.plus(Duration::from_millis(millis));
    let io = reactor.io();
    io.set_deadline(a, at(30));
    io.set_deadline(b, at(10));
    io.set_deadline(c, at(20));
    io.set_deadline(d, at(15));
    io.clear_deadline(d);
    let mut timers = Vec::new();
    while timers.len() < 3 {
        let seen = reactor.turn();
        let now = reactor.io().now();
        for seen in seen {
            if let Seen::Timer(key) = seen {
                timers.push((key, now));
            }
        }
    }
    let keys: Vec<SocketKey> = timers.iter().map(|&(key, _)| key).collect();
    assert_eq!(keys, [b, c, a]);
    for (&(_, now), due) in timers.iter().zip([10, 20, 30]) {
        assert!(now >= at(due));
    }
}

#[test]
fn deadline_is_moved_by_setting_it_again_and_removed_with_its_socket() {
    let mut reactor = Stepping::new(listening());
    let (_moved_client, moved) = reactor.connected();
    let (_closed_client, closed) = reactor.connected();
    let start = reactor.io().now();
    let io = reactor.io();
    io.set_deadline(moved, start.plus(Duration::from_millis(5)));
    io.set_deadline(moved, start.plus(Duration::from_millis(40)));
    io.set_deadline(closed, start.plus(Duration::from_millis(10)));
    io.close(closed);
    reactor.until(|seen| matches!(seen, Seen::Timer(_)));
    assert!(reactor.io().now() >= start.plus(Duration::from_millis(40)));
    assert_eq!(reactor.history_of(closed), [Seen::Opened(closed)]);
    let timers = |seen: &&Seen| matches!(seen, Seen::Timer(_));
    assert_eq!(reactor.history_of(moved).iter().filter(timers).count(), 1);
}

#[test]
fn timer_that_sets_a_past_deadline_does_not_prolong_the_turn() {
    let mut reactor = Stepping::new(listening());
    let (_client, key) = reactor.connected();
    reactor.probe.on_timer = Some(Box::new(|io, key| io.set_deadline(key, Timestamp(0))));
    reactor.io().set_deadline(key, Timestamp(0));
    for _ in 0..3 {
        let seen = reactor.turn_with_callbacks();
        assert_eq!(seen, [Seen::Timer(key)]);
    }
}

#[test]
fn timers_that_are_due_together_are_called_in_order_and_at_most_32_in_a_turn() {
    let mut reactor = Stepping::new(listening());
    let sockets: Vec<(TcpStream, SocketKey)> = (0..100).map(|_| reactor.connected()).collect();
    let keys: Vec<SocketKey> = sockets.iter().map(|(_, key)| *key).collect();
    for &key in &keys {
        reactor.io().set_deadline(key, Timestamp(0));
    }
    let mut fired = Vec::new();
    while fired.len() < keys.len() {
        let before = fired.len();
        for seen in reactor.turn() {
            if let Seen::Timer(key) = seen {
                fired.push(key);
            }
        }
        assert!(fired.len() - before <= 32);
    }
    assert_eq!(fired, keys);
}

#[test]
fn alarm_is_called_once_and_can_be_removed() {
    let mut reactor = Stepping::new(listening());
    let at = reactor.io().now().plus(Duration::from_millis(20));
    reactor.io().set_alarm(Some(at));
    reactor.until(|seen| *seen == Seen::Alarm);
    assert!(reactor.io().now() >= at);
    reactor.make_other_turns();
    assert_eq!(reactor.history, [Seen::Alarm]);

    let again = reactor.io().now().plus(Duration::from_millis(5));
    reactor.io().set_alarm(Some(again));
    reactor.io().set_alarm(None);
    let (_client, key) = reactor.connected();
    reactor
        .io()
        .set_deadline(key, again.plus(Duration::from_millis(10)));
    reactor.until(|seen| *seen == Seen::Timer(key));
    let alarms = reactor.history.iter().filter(|seen| **seen == Seen::Alarm);
    assert_eq!(alarms.count(), 1);
}

#[test]
fn idle_reactor_does_not_wake_before_its_next_deadline() {
    let mut reactor = Stepping::new(listening());
    let (_client, key) = reactor.connected();
    // epoll reports once that the new socket is writable.
    reactor.make_other_turns();
    let now = reactor.io().now();
    let (soon, late) = (Duration::from_millis(100), Duration::from_secs(3600));
    reactor.io().set_alarm(Some(now.plus(soon)));
    reactor.io().set_deadline(key, now.plus(late));
    assert_eq!(reactor.turn(), [Seen::Alarm]);
}

#[test]
fn closed_socket_does_not_wake_the_reactor_while_a_duplicate_is_open() {
    let mut reactor = Stepping::new(ReactorConfig::default());
    let (mut peer, stream) = connection();
    let mut duplicate = stream.try_clone().unwrap();
    let key = reactor.io().adopt(stream).unwrap();
    reactor.until(|seen| *seen == Seen::Opened(key));
    reactor.io().close(key);
    peer.write_all(b"psst").unwrap();
    duplicate.set_nonblocking(false).unwrap();
    bounded(duplicate.try_clone().unwrap());
    duplicate.read_exact(&mut [0; 4]).unwrap();
    // The bytes have arrived: if the socket were still registered, the next turn would not
    // wait for the alarm.
    let at = reactor.io().now().plus(Duration::from_millis(100));
    reactor.io().set_alarm(Some(at));
    assert_eq!(reactor.turn(), [Seen::Alarm]);
}

// Messages from other threads.

#[test]
fn messages_of_many_threads_arrive_once_and_in_the_order_of_each_thread() {
    const THREADS: usize = 4;
    const MESSAGES: usize = 5_000;
    let reactor = RunningReactor::start(ReactorConfig {
        mailbox_capacity: 16,
        ..listening()
    });
    let threads: Vec<JoinHandle<()>> = (0..THREADS)
        .map(|thread| {
            let mailbox = reactor.mailbox.clone();
            thread::spawn(move || {
                for number in 0..MESSAGES {
                    let message: Message = Box::new(move |probe, _| {
                        probe.numbers.push((thread, number));
                    });
                    send_until_taken(&mailbox, message);
                }
            })
        })
        .collect();
    for thread in threads {
        joined("all messages of a thread are taken", thread);
    }
    let numbers = reactor.ask(|probe, _| std::mem::take(&mut probe.numbers));
    assert_eq!(numbers.len(), THREADS * MESSAGES);
    for thread in 0..THREADS {
        let of_thread = numbers.iter().filter(|(from, _)| *from == thread);
        assert!(of_thread.map(|&(_, number)| number).eq(0..MESSAGES));
    }
    reactor.stop();
}

#[test]
fn all_waiting_messages_are_delivered_in_one_turn() {
    let mut reactor = Stepping::new(listening());
    for number in 0..1_000 {
        reactor.send(move |probe, _| probe.numbers.push((0, number)));
    }
    let before = reactor.io().turns();
    reactor.turn();
    assert_eq!(reactor.io().turns(), before + 1);
    assert!(reactor.probe.numbers.iter().map(|&(_, n)| n).eq(0..1_000));
}

#[test]
fn messages_for_a_dropped_reactor_are_dropped() {
    let reactor = Reactor::new(listening()).unwrap();
    let mailbox: Mailbox<Arc<()>> = reactor.mailbox();
    let message = Arc::new(());
    mailbox.send(Arc::clone(&message)).unwrap();
    assert_eq!(Arc::strong_count(&message), 2);
    drop(reactor);
    assert_eq!(Arc::strong_count(&message), 1);
    mailbox.send(Arc::clone(&message)).unwrap();
    assert_eq!(Arc::strong_count(&message), 1);
}

/// A read ends where urgent data are, although there are bytes behind them.
#[cfg(target_os = "linux")]
#[test]
fn bytes_behind_urgent_data_are_read_without_a_further_event() {
    let mut reactor = Stepping::new(listening());
    let (mut client, key) = reactor.connected();
    client.write_all(b"before").unwrap();
    SockRef::from(&client).send_out_of_band(b"!").unwrap();
    client.write_all(b"behind").unwrap();
    let received = |reactor: &Stepping| {
        let history = reactor.history_of(key).into_iter();
        let bytes = history.filter_map(|seen| match seen {
            Seen::Received(_, bytes) => Some(bytes),
            _ => None,
        });
        bytes.collect::<Vec<_>>().concat()
    };
    while received(&reactor).len() < b"beforebehind".len() {
        reactor.turn();
    }
    assert_eq!(received(&reactor), b"beforebehind");
}

// The waker.

#[cfg(unix)]
#[test]
fn waker_calls_woken_after_a_write_and_after_its_other_end_is_closed() {
    let mut reactor = Stepping::new(listening());
    let (waker, mut signal) = UnixStream::pair().unwrap();
    reactor.reactor.set_waker(waker).unwrap();
    for bytes in [&b"!"[..], b"!!"] {
        signal.write_all(bytes).unwrap();
        assert_eq!(reactor.turn(), [Seen::Woken]);
    }
    drop(signal);
    assert_eq!(reactor.turn(), [Seen::Woken]);
}

#[cfg(unix)]
#[test]
fn waker_written_before_it_was_set_calls_woken_and_a_replaced_one_does_not() {
    let mut reactor = Stepping::new(listening());
    let (first, mut first_signal) = UnixStream::pair().unwrap();
    let (second, mut second_signal) = UnixStream::pair().unwrap();
    second_signal.write_all(b"!").unwrap();
    reactor.reactor.set_waker(first).unwrap();
    reactor.reactor.set_waker(second).unwrap();
    let broken = first_signal.write_all(b"!").unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::BrokenPipe);
    assert_eq!(reactor.turn(), [Seen::Woken]);
}

// Listening.

#[test]
fn address_is_bound_twice_with_reuse_port_and_once_without() {
    let any = "127.0.0.1:0".parse().unwrap();
    let shared = ListenOptions {
        reuse_port: true,
        ..ListenOptions::default()
    };
    let first = listen_with(any, shared).unwrap();
    let address = first.local_addr().unwrap();
    let second = listen_with(address, shared).unwrap();
    assert_eq!(second.local_addr().unwrap(), address);

    let alone = listen(any).unwrap();
    let error = listen(alone.local_addr().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

#[test]
fn listening_on_ipv6_loopback_accepts() {
    let Ok(listener) = listen("[::1]:0".parse().unwrap()) else {
        // This machine has no IPv6; listen returns an error and does not panic.
        return;
    };
    let mut reactor = Stepping::new(ReactorConfig {
        listeners: vec![listener.into()],
        ..ReactorConfig::default()
    });
    let (_client, key) = reactor.connected();
    assert_eq!(reactor.history_of(key), [Seen::Opened(key)]);
}

#[test]
fn connection_beyond_the_maximum_waits_until_one_is_closed() {
    let mut reactor = Stepping::new(ReactorConfig {
        connections_max: 2,
        ..listening()
    });
    let (_first, first) = reactor.connected();
    let (_second, _) = reactor.connected();
    let mut third = connect(reactor.address);
    third.write_all(b"patience").unwrap();
    reactor.make_other_turns();
    assert_eq!(reactor.io().sockets(), 2);

    reactor.io().close(first);
    reactor.until(|seen| matches!(seen, Seen::Received(_, bytes) if bytes == b"patience"));
    assert_eq!(reactor.io().sockets(), 2);
}

#[test]
fn at_most_64_connections_are_accepted_per_turn() {
    const FLOOD: usize = 150;
    let mut reactor = Stepping::new(listening());
    let clients: Vec<TcpStream> = (0..FLOOD).map(|_| connect(reactor.address)).collect();
    let mut per_turn = Vec::new();
    while per_turn.iter().sum::<usize>() < FLOOD {
        let opened = |seen: &&Seen| matches!(seen, Seen::Opened(_));
        per_turn.push(reactor.turn().iter().filter(opened).count());
    }
    assert!(per_turn.iter().all(|&count| count <= 64), "{per_turn:?}");
    assert_eq!(reactor.io().sockets(), clients.len());
}

#[test]
fn adopted_sockets_do_not_delay_small_writes() {
    let mut reactor = Stepping::new(listening());
    let (peer, stream) = connection();
    let copy = stream.try_clone().unwrap();
    assert!(!copy.nodelay().unwrap());
    reactor.io().adopt(stream).unwrap();
    assert!(copy.nodelay().unwrap());
    drop(peer);
}

#[test]
fn stop_accepting_closes_the_listener_and_keeps_the_sockets() {
    let mut reactor = Stepping::new(listening());
    let (mut client, key) = reactor.connected();
    reactor.io().stop_accepting();
    let error = TcpStream::connect(reactor.address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    client.write_all(b"still here").unwrap();
    reactor.until(|seen| *seen == Seen::Received(key, b"still here".to_vec()));
}

#[test]
fn adopted_socket_is_opened_first_and_works_without_a_listener() {
    let mut reactor = Stepping::new(ReactorConfig::default());
    let (mut peer, stream) = connection();
    peer.write_all(b"hello").unwrap();
    let key = reactor.io().adopt(stream).unwrap();
    reactor.io().set_deadline(key, Timestamp(0));
    assert_eq!(reactor.io().write(key, b"early"), 5);
    reactor.until(|seen| *seen == Seen::Received(key, b"hello".to_vec()));
    assert_eq!(reactor.history_of(key)[0], Seen::Opened(key));
    let mut got = [0; 5];
    peer.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"early");
}

#[test]
fn unconnected_stream_is_not_adopted() {
    let mut reactor = Stepping::new(ReactorConfig::default());
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    assert!(reactor.io().adopt(socket.into()).is_err());
    assert_eq!(reactor.io().sockets(), 0);
}

#[test]
fn stop_ends_the_run_after_the_turn_and_it_can_run_again() {
    let mut reactor = Stepping::new(ReactorConfig::default());
    for _ in 0..2 {
        let before = reactor.io().turns();
        reactor.send(|_, io| io.stop());
        reactor.send(|probe, _| probe.numbers.push((0, 0)));
        reactor.reactor.run(&mut reactor.probe).unwrap();
        assert_eq!(reactor.io().turns(), before + 1);
    }
    assert_eq!(reactor.probe.numbers.len(), 2);
}

/// It stops behind its messages, as another thread sends one.
struct SendsAtItsEnd {
    mailbox: Mailbox<()>,
    messages: usize,
    turns_ended: usize,
}

impl Application for SendsAtItsEnd {
    type Message = ();
    fn opened(&mut self, _: &mut Io, _: SocketKey, _: PeerAddress) {}
    fn received(&mut self, _: &mut Io, _: SocketKey, _: &mut [u8]) {}
    fn ended(&mut self, _: &mut Io, _: SocketKey, _: End) {}

    fn message(&mut self, _: &mut Io, (): ()) {
        self.messages += 1;
    }

    fn turn_ended(&mut self, io: &mut Io) {
        self.turns_ended += 1;
        self.mailbox.send(()).unwrap();
        io.stop();
    }
}

#[test]
fn message_that_was_sent_before_the_stop_is_delivered_and_a_later_one_waits() {
    let mut reactor = Reactor::new(ReactorConfig::default()).unwrap();
    let mailbox = reactor.mailbox();
    mailbox.send(()).unwrap();
    let mut application = SendsAtItsEnd {
        mailbox,
        messages: 0,
        turns_ended: 0,
    };
    for run in 1..=2 {
        reactor.run(&mut application).unwrap();
        assert_eq!(application.messages, 2 * run);
        assert_eq!(application.turns_ended, 2 * run);
        assert_eq!(reactor.io().turns(), run as u64);
    }
}

#[test]
fn sizes_of_zero_are_rejected() {
    for (read_buffer_bytes, read_budget_bytes) in [(0, 1), (1, 0)] {
        let result = Reactor::<()>::new(ReactorConfig {
            read_buffer_bytes,
            read_budget_bytes,
            ..ReactorConfig::default()
        });
        let error = result.err().expect("a size is zero");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

// The application under test, and what it records.

/// A callback of the probe.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Opened(SocketKey),
    Received(SocketKey, Vec<u8>),
    Eof(SocketKey),
    Failed(SocketKey, ErrorKind),
    Writable(SocketKey),
    Timer(SocketKey),
    Alarm,
    Woken,
}

impl Seen {
    fn key(&self) -> Option<SocketKey> {
        match self {
            Seen::Opened(key)
            | Seen::Received(key, _)
            | Seen::Eof(key)
            | Seen::Failed(key, _)
            | Seen::Writable(key)
            | Seen::Timer(key) => Some(*key),
            Seen::Alarm | Seen::Woken => None,
        }
    }
}

type Message = Box<dyn FnOnce(&mut Probe, &mut Io) + Send>;
type OnReceived = Box<dyn FnMut(&mut Io, SocketKey, &mut [u8]) + Send>;
type OnTimer = Box<dyn FnMut(&mut Io, SocketKey) + Send>;
type OnTurnEnded = Box<dyn FnMut(&mut Io) + Send>;

/// Records each callback and then executes the closure for it.
#[derive(Default)]
struct Probe {
    seen: Vec<Seen>,
    numbers: Vec<(usize, usize)>,
    on_received: Option<OnReceived>,
    on_timer: Option<OnTimer>,
    on_turn_ended: Option<OnTurnEnded>,
}

impl Application for Probe {
    type Message = Message;

    fn opened(&mut self, _: &mut Io, key: SocketKey, _: PeerAddress) {
        self.seen.push(Seen::Opened(key));
    }

    fn received(&mut self, io: &mut Io, key: SocketKey, bytes: &mut [u8]) {
        self.seen.push(Seen::Received(key, bytes.to_vec()));
        if let Some(then) = &mut self.on_received {
            then(io, key, bytes);
        }
    }

    fn ended(&mut self, _: &mut Io, key: SocketKey, end: End) {
        self.seen.push(match end {
            End::Eof => Seen::Eof(key),
            End::Failed(error) => Seen::Failed(key, error.kind()),
            other => panic!("an unknown end: {other:?}"),
        });
    }

    fn writable(&mut self, _: &mut Io, key: SocketKey) {
        self.seen.push(Seen::Writable(key));
    }

    fn timer(&mut self, io: &mut Io, key: SocketKey) {
        self.seen.push(Seen::Timer(key));
        if let Some(then) = &mut self.on_timer {
            then(io, key);
        }
    }

    fn alarm(&mut self, _: &mut Io) {
        self.seen.push(Seen::Alarm);
    }

    fn woken(&mut self, _: &mut Io) {
        self.seen.push(Seen::Woken);
    }

    fn message(&mut self, io: &mut Io, message: Message) {
        message(self, io);
    }

    fn turn_ended(&mut self, io: &mut Io) {
        if let Some(then) = &mut self.on_turn_ended {
            then(io);
        }
    }
}

/// Sends everything back. It keeps the bytes that a socket does not accept, and does not read
/// this socket meanwhile: so it never keeps more than one buffer.
#[derive(Default)]
struct Echo {
    backlogs: HashMap<SocketKey, Vec<u8>>,
    /// The number of partial writes.
    blocked: Arc<AtomicUsize>,
}

impl Echo {
    const BACKLOG_BYTES_MAX: usize = 32 * 1024;
}

impl Application for Echo {
    type Message = ();

    fn opened(&mut self, _: &mut Io, key: SocketKey, peer: PeerAddress) {
        assert!(peer.ip().unwrap().is_loopback());
        assert!(self.backlogs.insert(key, Vec::new()).is_none());
    }

    fn received(&mut self, io: &mut Io, key: SocketKey, bytes: &mut [u8]) {
        let backlog = self.backlogs.get_mut(&key).unwrap();
        assert!(backlog.is_empty(), "a paused socket was read");
        let written = io.write(key, bytes);
        if written < bytes.len() {
            backlog.extend_from_slice(&bytes[written..]);
            assert!(backlog.len() <= Echo::BACKLOG_BYTES_MAX);
            io.pause_reading(key);
            self.blocked.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn writable(&mut self, io: &mut Io, key: SocketKey) {
        let backlog = self.backlogs.get_mut(&key).unwrap();
        let written = io.write(key, backlog);
        backlog.drain(..written);
        if backlog.is_empty() {
            io.resume_reading(key);
        }
    }

    fn ended(&mut self, io: &mut Io, key: SocketKey, end: End) {
        assert!(matches!(end, End::Eof), "{end:?}");
        assert_eq!(self.backlogs.remove(&key), Some(Vec::new()));
        io.close(key);
    }

    fn message(&mut self, io: &mut Io, (): ()) {
        io.stop();
    }
}

// Reactors for the tests.

/// A reactor whose turns the test makes. A turn that sleeps without limit is ended by a panic,
/// [`TIMEOUT`] after the beginning.
struct Stepping {
    reactor: Reactor<Message>,
    probe: Probe,
    address: SocketAddr,
    /// All recorded callbacks, in their order.
    history: Vec<Seen>,
    /// Dropped with the test, which ends the watchdog.
    _done: Sender<()>,
}

impl Stepping {
    fn new(config: ReactorConfig) -> Stepping {
        let address = address_of(&config);
        let reactor = Reactor::new(config).unwrap();
        Stepping {
            _done: watch(reactor.mailbox()),
            reactor,
            probe: Probe::default(),
            address,
            history: Vec::new(),
        }
    }

    fn io(&mut self) -> &mut Io {
        self.reactor.io()
    }

    fn send(&self, message: impl FnOnce(&mut Probe, &mut Io) + Send + 'static) {
        self.reactor.mailbox().send(Box::new(message)).unwrap();
    }

    /// Makes one turn and returns its callbacks.
    fn turn(&mut self) -> Vec<Seen> {
        self.reactor.turn(&mut self.probe).unwrap();
        let seen = std::mem::take(&mut self.probe.seen);
        self.history.extend(seen.iter().cloned());
        seen
    }

    /// Makes turns until one has callbacks.
    fn turn_with_callbacks(&mut self) -> Vec<Seen> {
        loop {
            let seen = self.turn();
            if !seen.is_empty() {
                return seen;
            }
        }
    }

    /// Makes turns until the wanted callback.
    fn until(&mut self, wanted: impl Fn(&Seen) -> bool) -> Seen {
        loop {
            if let Some(seen) = self.turn().into_iter().find(&wanted) {
                return seen;
            }
        }
    }

    /// Makes a few turns without work for the sockets.
    fn make_other_turns(&mut self) {
        for _ in 0..3 {
            self.send(|_, _| {});
            self.turn();
        }
    }

    /// A client and the key of its connection in the reactor.
    fn connected(&mut self) -> (TcpStream, SocketKey) {
        let client = connect(self.address);
        let opened = self.until(|seen| matches!(seen, Seen::Opened(_)));
        (client, opened.key().unwrap())
    }

    fn history_of(&self, key: SocketKey) -> Vec<Seen> {
        let of_key = |seen: &&Seen| seen.key() == Some(key);
        self.history.iter().filter(of_key).cloned().collect()
    }
}

/// A reactor that runs in a thread of its own.
struct RunningReactor {
    mailbox: Mailbox<Message>,
    thread: JoinHandle<()>,
}

impl RunningReactor {
    fn start(config: ReactorConfig) -> RunningReactor {
        let mut reactor = Reactor::new(config).unwrap();
        RunningReactor {
            mailbox: reactor.mailbox(),
            thread: thread::spawn(move || reactor.run(&mut Probe::default()).unwrap()),
        }
    }

    /// Runs `question` inside the reactor, after all earlier messages, and waits for its
    /// result.
    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Probe, &mut Io) -> T + Send + 'static,
    ) -> T {
        let (sender, answer): (Sender<T>, Receiver<T>) = channel();
        let message: Message = Box::new(move |probe, io| {
            sender.send(question(probe, io)).unwrap();
        });
        send_until_taken(&self.mailbox, message);
        answer.recv_timeout(TIMEOUT).expect("no answer")
    }

    fn stop(self) {
        self.ask(|_, io| io.stop());
        joined("the end of the reactor", self.thread);
    }
}

/// Sends to a mailbox that may be full until the reactor has taken messages from it.
fn send_until_taken(mailbox: &Mailbox<Message>, message: Message) {
    let mut message = Some(message);
    eventually("room in the mailbox", TIMEOUT, || {
        let sent = message.take().map(|message| mailbox.send(message));
        if let Some(Err(Full(back))) = sent {
            message = Some(back);
        }
        message.is_none()
    });
}

fn watch(mailbox: Mailbox<Message>) -> Sender<()> {
    let (done, is_done) = channel();
    thread::spawn(move || {
        if is_done.recv_timeout(TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            let _ = mailbox.send(Box::new(|_, _| panic!("the reactor sleeps")));
        }
    });
    done
}

fn loopback_listener() -> TcpListener {
    listen("127.0.0.1:0".parse().unwrap()).unwrap()
}

fn listening() -> ReactorConfig {
    ReactorConfig {
        listeners: vec![loopback_listener().into()],
        ..ReactorConfig::default()
    }
}

/// The address of the listener; an unused address if there is none.
fn address_of(config: &ReactorConfig) -> SocketAddr {
    let listener = config.listeners.first();
    let address = listener.and_then(|listener| listener.local_address().unwrap());
    address.unwrap_or_else(|| "127.0.0.1:0".parse().unwrap())
}

/// A connection without a reactor: a peer, and the stream to adopt.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (accepted(&listener), stream)
}

/// A client whose reads and writes have a timeout.
fn connect(address: SocketAddr) -> TcpStream {
    bounded(TcpStream::connect(address).unwrap())
}

/// A client with a small receive buffer.
fn connect_narrow(address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    socket.connect(&address.into()).unwrap();
    bounded(socket.into())
}

/// Ends a connection with a reset instead of an orderly end.
fn reset(client: TcpStream) {
    SockRef::from(&client)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// Writes `bytes` repeatedly until the kernel accepts no more.
fn fill(io: &mut Io, key: SocketKey, bytes: &[u8]) -> usize {
    let mut sent = 0;
    loop {
        let written = io.write(key, bytes);
        sent += written;
        if written < bytes.len() {
            return sent;
        }
    }
}

/// The bytes that a socket received, in their order.
fn received(seen: &[Seen], from: SocketKey) -> Vec<u8> {
    let mut bytes = Vec::new();
    for seen in seen {
        if let Seen::Received(key, piece) = seen
            && *key == from
        {
            bytes.extend(piece);
        }
    }
    bytes
}

/// Bytes in which a gap, a repetition or an exchange is visible.
fn pattern(seed: usize, length: usize) -> Vec<u8> {
    let mut state = seed as u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}
