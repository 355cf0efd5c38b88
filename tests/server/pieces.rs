//! Messages that the server receives in pieces (`Admission::pieces`, `Handler::piece`) and sends in fragments
//! (`Context::send_fragment`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use yamabiko::server::{
    Admission, CloseCode, Config, Context, DeflateConfig, Fragment, Handler, LagPolicy, Limits,
    Message, NotSent, Piece, Refusal, SendError, Upgrade,
};
use yamabiko::websocket::Connection;
use yamabiko::websocket::deflate::{DeflateParameters, DeflatePool};
use yamabiko::websocket::frame::{Opcode, encode};
use yamabiko_testing::socket::{
    Client, TIMEOUT, TestServer, config, eventually, frame, with_1_and_3_workers,
};

/// Counts bytes. A text "close" in a piece closes the connection.
struct Uploads;

/// The pieces of the message so far, their bytes, and the longest of them.
#[derive(Default)]
struct Upload {
    pieces: usize,
    bytes: usize,
    longest: usize,
}

impl Handler for Uploads {
    type Session = Upload;

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<Upload>, Refusal> {
        let admission = Admission::new(Upload::default());
        Ok(match request.request().path() {
            "/whole" => admission,
            _ => admission.pieces(Limits {
                message_bytes_max: 4 << 20,
                inflate_ratio_max: u32::MAX,
                ..Limits::default()
            }),
        })
    }

    fn message(&self, _: &mut Upload, message: Message<'_>, context: &mut Context<'_>) {
        send(context, &format!("whole: {}", message.as_bytes().len()));
    }

    fn piece(&self, upload: &mut Upload, piece: &Piece<'_>, context: &mut Context<'_>) {
        assert_eq!(piece.is_first(), upload.pieces == 0);
        upload.pieces += 1;
        upload.bytes += piece.as_bytes().len();
        upload.longest = upload.longest.max(piece.as_bytes().len());
        if piece.as_text() == Some("close") {
            context.close((CloseCode::NORMAL, "enough"));
        }
        if piece.is_last() {
            assert!(upload.longest <= 64 << 10);
            send(context, &format!("in pieces: {}", upload.bytes));
            *upload = Upload::default();
        }
    }
}

fn send(context: &mut Context<'_>, text: &str) {
    let sent = context.send(Message::Text(text));
    sent.expect("the write queue takes a short text");
}

#[test]
fn message_of_any_length_is_received_in_pieces() {
    with_1_and_3_workers(|config| {
        let server = TestServer::start(config, Uploads);
        let mut client = Client::open(server.address);
        for bytes in [0, 1, 65_536, 1 << 20, 4 << 20] {
            client.send(frame(Opcode::Binary, &vec![7; bytes]));
            assert_eq!(client.read_text(), format!("in pieces: {bytes}"));
        }
        client.close(1000, "");
        assert_eq!(client.read_frame().opcode, Opcode::Close);
        client.expect_end();
        assert_eq!(
            server.handle.metrics().received,
            5,
            "messages, and not pieces"
        );
    });
}

#[test]
fn fragments_and_pings_between_them_are_received_in_pieces() {
    let server = TestServer::start(config(1), Uploads);
    let mut client = Client::open(server.address);
    let mut connection = Connection::client(Limits::default(), || [9, 8, 7, 6]);
    let mut wire = Vec::new();
    let text = "山彦".repeat(100_000);
    for part in text.as_bytes().chunks(50_001) {
        let part = Fragment::text(part);
        connection.send_fragment(part, &mut wire).unwrap();
        connection.ping(b"between", &mut wire).unwrap();
    }
    connection
        .send_fragment(Fragment::text(b"").last(), &mut wire)
        .unwrap();
    client.send(wire);
    for _ in 0..text.len().div_ceil(50_001) {
        assert_eq!(client.read_frame().opcode, Opcode::Pong);
    }
    assert_eq!(client.read_text(), format!("in pieces: {}", text.len()));
}

#[test]
fn limits_of_pieces_do_not_change_those_of_other_connections() {
    let server = TestServer::start(config(1), Uploads);
    for (path, bytes, code) in [
        ("/", (4 << 20) + 1, 1009_u16),
        ("/whole", (1 << 20) + 1, 1009),
    ] {
        let mut client = Client::connect(server.address).upgraded(path);
        client.send(frame(Opcode::Binary, b"few"));
        let kind = if path == "/" { "in pieces" } else { "whole" };
        assert_eq!(client.read_text(), format!("{kind}: 3"));
        // The header is enough.
        let mut header = Vec::new();
        encode(
            true,
            Opcode::Binary,
            Some([0; 4]),
            &vec![0; bytes],
            &mut header,
        );
        client.send(&header[..14]);
        let close = client.read_frame();
        assert_eq!(close.opcode, Opcode::Close);
        assert_eq!(close.payload[..2], code.to_be_bytes());
    }
}

#[test]
fn handler_that_closes_gets_no_further_piece() {
    let server = TestServer::start(config(1), Uploads);
    let mut client = Client::open(server.address);
    let mut wire = Vec::new();
    encode(false, Opcode::Text, Some([0; 4]), b"close", &mut wire);
    encode(true, Opcode::Continuation, Some([0; 4]), b"late", &mut wire);
    client.send(wire);
    let close = client.read_frame();
    assert_eq!(
        (close.opcode, &close.payload[2..]),
        (Opcode::Close, &b"enough"[..])
    );
    client.close(1000, "");
    client.expect_end();
}

#[test]
fn compressed_message_is_received_in_pieces_of_a_block() {
    let config = Config {
        deflate: Some(DeflateConfig::default()),
        ..config(1)
    };
    let server = TestServer::start(config, Uploads);
    let mut client = Client::connect(server.address).offering("permessage-deflate");
    let agreed = DeflateParameters {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        ..DeflateParameters::default()
    };
    let deflate = DeflateConfig::default();
    let mut connection = Connection::client(Limits::default(), || [0; 4]);
    connection = connection.with_deflate(agreed, &deflate, &DeflatePool::default());
    for bytes in [4 << 20, 1000, 4 << 20] {
        let (zeros, mut wire) = (vec![0; bytes], Vec::new());
        connection.send(Message::Binary(&zeros), &mut wire).unwrap();
        assert!(wire.len() < bytes / 10);
        client.send(wire);
        assert_eq!(client.read_text(), format!("in pieces: {bytes}"));
    }
    let (zeros, mut wire) = (vec![0; (4 << 20) + 1], Vec::new());
    connection.send(Message::Binary(&zeros), &mut wire).unwrap();
    client.send(wire);
    let close = client.read_frame();
    assert_eq!(close.payload[..2], 1009_u16.to_be_bytes());
}

/// Sends a message in fragments as the client says: `begin`, `more` and `end` are its fragments,
/// and a message for the room is published.
struct Fragments;

impl Handler for Fragments {
    type Session = ();

    fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn opened(&self, _: &mut (), context: &mut Context<'_>) {
        context.join("room");
    }

    fn message(&self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        let fragment = Fragment::text(message.as_bytes());
        match message.as_text() {
            Some("begin" | "more") => {
                assert_eq!(context.send_fragment(fragment), Ok(()));
                assert_eq!(context.send("whole"), Err(NotSent::MessageUnderWay));
                let other_type = context.send_fragment(Fragment::binary(b"x"));
                let expected = NotSent::Fragment(SendError::FragmentOfOtherType);
                assert_eq!(other_type, Err(expected));
            }
            Some("end") => assert_eq!(context.send_fragment(fragment.last()), Ok(())),
            Some("close") => {
                context.close(CloseCode::NORMAL);
                assert_eq!(context.send_fragment(fragment), Err(NotSent::NotOpen));
            }
            Some("rejoin") => {
                context.leave("room");
                context.join("room");
                context.join("another room");
            }
            Some(other) => context.publish("room", other),
            None => context.publish("another room", message),
        }
    }
}

fn next(client: &mut Client) -> (bool, Opcode, String) {
    let frame = client.read_frame();
    let text = String::from_utf8(frame.payload).expect("a text");
    (frame.fin, frame.opcode, text)
}

fn first(text: &str) -> (bool, Opcode, String) {
    (false, Opcode::Text, text.to_owned())
}

fn continued(fin: bool, text: &str) -> (bool, Opcode, String) {
    (fin, Opcode::Continuation, text.to_owned())
}

fn whole(text: &str) -> (bool, Opcode, String) {
    (true, Opcode::Text, text.to_owned())
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# The fragments of one message MUST NOT be interleaved between the
//# fragments of another message unless an extension has been negotiated
//# that can interpret the interleaving.
#[test]
fn messages_of_rooms_wait_until_a_message_in_fragments_has_ended() {
    with_1_and_3_workers(|config| {
        let server = TestServer::start(config, Fragments);
        let mut client = Client::open(server.address).expecting_fragments();
        let mut other = Client::open(server.address);
        for round in 0..3 {
            client.text("begin");
            assert_eq!(next(&mut client), first("begin"));
            for number in 0..5 {
                let text = format!("round {round}, message {number}");
                other.text(&text);
                assert_eq!(next(&mut other), whole(&text));
            }
            client.text("more");
            assert_eq!(next(&mut client), continued(false, "more"));
            client.text("end");
            assert_eq!(next(&mut client), continued(true, "end"));
            for number in 0..5 {
                let text = format!("round {round}, message {number}");
                assert_eq!(next(&mut client), whole(&text));
            }
        }
    });
}

#[test]
fn room_that_is_joined_between_two_fragments_waits_too() {
    let server = TestServer::start(config(1), Fragments);
    let mut client = Client::open(server.address).expecting_fragments();
    let mut other = Client::open(server.address);
    client.text("begin");
    assert_eq!(next(&mut client), first("begin"));
    client.text("rejoin");
    // The answer shows that the rooms have been joined.
    client.text("more");
    assert_eq!(next(&mut client), continued(false, "more"));
    other.send(frame(Opcode::Binary, b"another"));
    other.text("for all");
    assert_eq!(next(&mut other), whole("for all"));
    client.text("end");
    assert_eq!(next(&mut client), continued(true, "end"));
    let mut texts = [next(&mut client).2, next(&mut client).2];
    texts.sort();
    assert_eq!(texts, ["another", "for all"]);
}

#[test]
fn message_in_fragments_that_one_message_of_the_client_causes_is_not_interleaved() {
    let server = TestServer::start(config(1), Fragments);
    let mut client = Client::open(server.address).expecting_fragments();
    let wire: Vec<u8> = ["for all", "begin", "for all", "end", "for all"]
        .into_iter()
        .flat_map(|text| frame(Opcode::Text, text.as_bytes()))
        .collect();
    client.send(wire);
    let mut received: Vec<_> = (0..5).map(|_| next(&mut client)).collect();
    let begin = received.iter().position(|one| *one == first("begin"));
    let begin = begin.expect("the first fragment");
    assert_eq!(received.remove(begin + 1), continued(true, "end"));
    received.remove(begin);
    assert_eq!(
        received,
        [whole("for all"), whole("for all"), whole("for all")]
    );
}

#[test]
fn client_in_a_message_in_fragments_is_slow_for_its_rooms() {
    let config = Config {
        lag_policy: LagPolicy {
            bytes_max: 1000,
            ..LagPolicy::default()
        },
        ..config(1)
    };
    let server = TestServer::start(config, Fragments);
    let mut client = Client::open(server.address).expecting_fragments();
    let mut other = Client::open(server.address);
    client.text("begin");
    assert_eq!(next(&mut client), first("begin"));
    for _ in 0..2 {
        other.text(&"x".repeat(600));
        next(&mut other);
    }
    assert_eq!(client.read_close().0, 1013);
    client.expect_end();
}

#[test]
fn handler_can_close_between_two_fragments() {
    let server = TestServer::start(config(1), Fragments);
    let mut client = Client::open(server.address).expecting_fragments();
    client.text("begin");
    assert_eq!(next(&mut client), first("begin"));
    let mut other = Client::open(server.address);
    other.text("for all");
    assert_eq!(next(&mut other), whole("for all"));
    client.text("close");
    assert_eq!(client.read_close().0, 1000);
}

/// An echo of pieces.
struct SendsOn;

impl Handler for SendsOn {
    type Session = ();

    fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()).pieces(Limits {
            message_bytes_max: 64 << 20,
            ..Limits::default()
        }))
    }

    fn message(&self, _: &mut (), _: Message<'_>, _: &mut Context<'_>) {}

    fn piece(&self, _: &mut (), piece: &Piece<'_>, context: &mut Context<'_>) {
        let sent = context.send_fragment(Fragment::from(piece));
        assert_eq!(
            sent,
            Ok(()),
            "a client that sends is read no faster than it takes"
        );
    }
}

#[test]
fn pieces_are_sent_on_as_fragments_of_one_message() {
    let server = TestServer::start(config(1), SendsOn);
    for opcode in [Opcode::Text, Opcode::Binary] {
        let mut client = Client::open(server.address).expecting_fragments();
        let message = "山彦".repeat(400_000);
        for message in [&message[..], "short", ""] {
            client.send(frame(opcode, message.as_bytes()));
            let mut received = Vec::new();
            loop {
                let fragment = client.read_frame();
                let expected = match received.is_empty() {
                    true => opcode,
                    false => Opcode::Continuation,
                };
                assert_eq!(fragment.opcode, expected);
                received.extend(fragment.payload);
                if fragment.fin {
                    break;
                }
            }
            assert_eq!(received, message.as_bytes());
        }
    }
}

/// Sends as many bytes as a text asks for, in one message, each fragment when the client has taken the one before it.
struct Downloads {
    /// How often the handler was told that nothing waits.
    drained: Arc<AtomicUsize>,
}

const FRAGMENT_BYTES: usize = 64 << 10;

impl Downloads {
    fn send_next(&self, rest: &mut usize, context: &mut Context<'_>) {
        let bytes = vec![7; FRAGMENT_BYTES.min(*rest)];
        *rest -= bytes.len();
        let fragment = Fragment::binary(&bytes);
        let sent = context.send_fragment(match *rest {
            0 => fragment.last(),
            _ => fragment,
        });
        sent.expect("nothing else waits");
        assert!(context.queued_bytes() <= FRAGMENT_BYTES + 10);
        context.notify_when_drained();
    }
}

impl Handler for Downloads {
    type Session = usize;

    fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<usize>, Refusal> {
        Ok(Admission::new(0))
    }

    fn message(&self, rest: &mut usize, message: Message<'_>, context: &mut Context<'_>) {
        match message.as_text() {
            Some("echo") => send(context, "echo"),
            Some("close") => {
                context.notify_when_drained();
                context.close((CloseCode::NORMAL, ""));
            }
            // Nothing waits: the handler is told that, too.
            Some("tell") => context.notify_when_drained(),
            text => {
                *rest = text.and_then(|text| text.parse().ok()).expect("a number");
                self.send_next(rest, context);
            }
        }
    }

    fn drained(&self, rest: &mut usize, context: &mut Context<'_>) {
        assert_eq!(context.queued_bytes(), 0);
        self.drained.fetch_add(1, Ordering::Relaxed);
        if *rest > 0 {
            self.send_next(rest, context);
        }
    }
}

/// A server of downloads with a write queue of one fragment, and its counter.
fn downloads(config: Config) -> (TestServer, Arc<AtomicUsize>) {
    let drained = Arc::default();
    let application = Downloads {
        drained: Arc::clone(&drained),
    };
    let config = Config {
        backlog_bytes_max: 1,
        ..config
    };
    (TestServer::start(config, application), drained)
}

/// Reads a message in fragments to its end; its bytes.
fn read_fragments(client: &mut Client) -> usize {
    let mut bytes = 0;
    loop {
        let frame = client.read_frame();
        bytes += frame.payload.len();
        if frame.fin {
            return bytes;
        }
    }
}

#[test]
fn message_of_any_length_is_sent_with_the_memory_of_one_fragment() {
    with_1_and_3_workers(|config| {
        let (server, drained) = downloads(config);
        let mut client = Client::open(server.address).expecting_fragments();
        for bytes in [1, FRAGMENT_BYTES, FRAGMENT_BYTES + 1, 64 << 20] {
            drained.store(0, Ordering::Relaxed);
            client.text(&bytes.to_string());
            assert_eq!(read_fragments(&mut client), bytes);
            let fragments = bytes.div_ceil(FRAGMENT_BYTES);
            eventually("all is taken", TIMEOUT, || {
                drained.load(Ordering::Relaxed) == fragments
            });
        }
    });
}

#[test]
fn handler_is_not_told_before_its_client_has_taken_what_waits() {
    const BYTES: usize = 64 << 20;
    let (server, drained) = downloads(config(1));
    let mut slow = Client::open(server.address).expecting_fragments();
    slow.text(&BYTES.to_string());
    // The kernel takes some MiB of it, and then no more.
    eventually("the client is slow", TIMEOUT, || {
        server.handle.held_bytes() > 0
    });
    let mut other = Client::open(server.address);
    for _ in 0..100 {
        other.text("echo");
        assert_eq!(other.read_text(), "echo");
    }
    assert!(drained.load(Ordering::Relaxed) < BYTES / FRAGMENT_BYTES);
    assert!(server.handle.held_bytes() <= 2 * FRAGMENT_BYTES);
    assert_eq!(read_fragments(&mut slow), BYTES);
}

#[test]
fn other_clients_are_served_between_the_fragments_for_a_fast_client() {
    let (server, _) = downloads(config(1));
    let mut fast = Client::open(server.address).expecting_fragments();
    fast.text(&(256 << 20).to_string());
    let mut other = Client::open(server.address);
    for _ in 0..20 {
        fast.read_frame();
        other.text("echo");
        assert_eq!(other.read_text(), "echo");
    }
}

#[test]
fn handler_is_told_once_that_nothing_waits_and_not_when_the_connection_closes() {
    let (server, drained) = downloads(config(1));
    let mut client = Client::open(server.address);
    client.text("tell");
    eventually("told", TIMEOUT, || drained.load(Ordering::Relaxed) == 1);
    client.text("echo");
    assert_eq!(client.read_text(), "echo");
    client.text("close");
    assert_eq!(client.read_until_close().0, 1000);
    client.close(1000, "");
    client.expect_gone();
    assert_eq!(drained.load(Ordering::Relaxed), 1);
}
