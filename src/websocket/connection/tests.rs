//! Memory of a connection at each stage of its life, and which payloads are copied.

use super::*;
use crate::websocket::MessageDeflater;
use crate::websocket::deflate::WindowBits;
use crate::websocket::frame;
use alloc::borrow::Cow;
use proptest::collection::vec;
use proptest::prelude::*;

/// A size with pointers of 64 bits, and with pointers of 32 bits.
const fn bytes(of_64_bit: usize, of_32_bit: usize) -> usize {
    if cfg!(target_pointer_width = "64") {
        of_64_bit
    } else {
        of_32_bit
    }
}

#[test]
fn idle_connection_has_88_bytes_and_64_on_32_bit_systems() {
    assert_eq!(size_of::<Connection>(), bytes(88, 64));
}

#[test]
fn message_whole_in_the_input_is_a_slice_of_it() {
    let mut server = Connection::server(Limits::default());
    let mut bytes = *b"\x82\x83\x01\x02\x03\x04abc";
    let range = bytes.as_ptr_range();
    let mut input = &mut bytes[..];
    let event = server.receive(&mut input, &mut Vec::new());
    let Ok(Some(Event::Binary(payload))) = event else {
        unreachable!("{event:?}");
    };
    assert!(range.contains(&payload.as_ptr()));
}

#[test]
fn plain_piece_is_a_slice_of_the_input() {
    for opcode in [Opcode::Binary, Opcode::Text] {
        let mut server = Connection::server(Limits::default()).with_pieces();
        let mut stream = Vec::new();
        frame::encode(true, opcode, Some([1, 2, 3, 4]), &[7; 1000], &mut stream);
        let range = stream.as_ptr_range();
        for mut input in stream.chunks_mut(300) {
            let event = server.receive(&mut input, &mut Vec::new());
            let Ok(Some(Event::Piece(piece))) = event else {
                unreachable!("{event:?}");
            };
            assert!(range.contains(&piece.as_bytes().as_ptr()));
        }
        assert!(is_idle(&server));
    }
}

#[test]
fn pieces_make_neither_a_connection_nor_an_event_larger() {
    assert_eq!(size_of::<Connection>(), bytes(88, 64));
    assert_eq!(size_of::<super::super::piece::Piece<'_>>(), bytes(24, 12));
    assert!(size_of::<Event<'_>>() <= size_of::<CloseFrame<'_>>() + 8);
}

#[test]
fn compressed_message_in_pieces_keeps_a_decompressor_while_it_is_under_way_only() {
    let (limits, pool) = (Limits::default(), DeflatePool::default());
    let server = Connection::server(limits).with_inflate(NO_TAKEOVER, &pool);
    let mut server = server.with_pieces();
    let mut stream = *b"\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\x00"; // "Hello"
    let (mut first, mut second) = stream.split_at_mut(9);
    let mut replies = Vec::new();
    let event = server.receive(&mut first, &mut replies);
    assert!(matches!(event, Ok(Some(Event::Piece(piece))) if piece.as_text() == Some("He")));
    assert!(server.receiver.has_a_decompressor());
    let event = server.receive(&mut second, &mut replies);
    assert!(matches!(event, Ok(Some(Event::Piece(piece))) if piece.is_last()));
    assert!(!server.receiver.has_a_decompressor() && is_idle(&server));
}

#[test]
fn buffer_of_a_message_goes_to_the_application_with_the_event() {
    let mut server = Connection::server(Limits::default());
    let mut stream = Vec::new();
    frame::encode(
        true,
        Opcode::Binary,
        Some([1, 2, 3, 4]),
        &[7; 1000],
        &mut stream,
    );
    let (mut first, mut second) = stream.split_at_mut(500);
    let mut replies = Vec::new();
    assert_eq!(server.receive(&mut first, &mut replies), Ok(None));
    assert!(server.receiver.has_unfinished_input());
    let event = server.receive(&mut second, &mut replies);
    let Ok(Some(Event::Binary(Cow::Owned(bytes)))) = event else {
        unreachable!("{event:?}");
    };
    assert_eq!((&bytes[..], bytes.capacity()), (&[7; 1000][..], 1000));
    assert!(is_idle(&server));
}

#[test]
fn memory_of_an_unfinished_message_goes_back_when_the_connection_ends() {
    for (last, ends) in [
        (&b"\x88\x80\0\0\0\0"[..], State::Closed),
        (b"\x83\x80\0\0\0\0", State::Failed),
    ] {
        let mut server = Connection::server(Limits::default());
        let mut stream = [b"\x02\x81\0\0\0\0a\x89\x82\0\0\0\0bc", last].concat();
        let (mut first, mut second) = stream.split_at_mut(14);
        let mut replies = Vec::new();
        assert_eq!(server.receive(&mut first, &mut replies), Ok(None));
        assert!(server.receiver.has_unfinished_input() && server.receiver.has_rare_state());
        while let Ok(Some(_)) = server.receive(&mut second, &mut replies) {}
        assert_eq!(server.state(), ends);
        assert!(!server.receiver.has_unfinished_input() && !server.receiver.has_rare_state());
    }
}

#[test]
fn memory_of_a_control_frame_that_came_in_pieces_goes_to_the_application() {
    let mut server = Connection::server(Limits::default());
    let mut stream = *b"\x89\x83\0\0\0\0abc";
    let (mut first, mut second) = stream.split_at_mut(7);
    let mut replies = Vec::new();
    assert_eq!(server.receive(&mut first, &mut replies), Ok(None));
    assert!(server.receiver.has_rare_state());
    assert_eq!(
        server.receive(&mut second, &mut replies),
        Ok(Some(Event::Ping(b"abc".into())))
    );
    assert!(is_idle(&server));
}

fn is_idle(connection: &Connection) -> bool {
    connection.receiver.is_idle()
}

#[test]
fn control_frame_cut_behind_its_header_leaves_nothing_behind() {
    for stream in [&b"\x89\x83\0\0\0\0abc"[..], b"\x8a\x83\0\0\0\0abc"] {
        let mut server = Connection::server(Limits::default());
        let mut stream = stream.to_vec();
        let (mut header, mut payload) = stream.split_at_mut(6);
        let mut replies = Vec::new();
        assert_eq!(server.receive(&mut header, &mut replies), Ok(None));
        assert!(!server.receiver.has_rare_state());
        let event = server.receive(&mut payload, &mut replies);
        let Ok(Some(Event::Ping(received) | Event::Pong(received))) = event else {
            unreachable!("{event:?}");
        };
        assert_eq!(*received, *b"abc");
        assert_eq!(server.receive(&mut payload, &mut replies), Ok(None));
        assert!(is_idle(&server));
    }
}

/// A server whose replies are full, so that a ping with 8 bytes waits.
fn with_a_ping_that_waits(replies: &mut Vec<u8>) -> Connection {
    let mut server = Connection::server(Limits {
        unsent_reply_bytes_max: 10,
        ..Limits::default()
    });
    let mut pings = *b"\x89\x80\0\0\0\0\x89\x88\0\0\0\0waiting!";
    let input = &mut &mut pings[..];
    assert_eq!(
        server.receive(input, replies),
        Ok(Some(Event::Ping(b"".into())))
    );
    let waiting = server.receive(input, replies);
    assert_eq!(waiting, Ok(Some(Event::Ping(b"waiting!".into()))));
    assert!(server.receiver.has_rare_state());
    server
}

#[test]
fn ping_that_is_answered_later_leaves_nothing_behind() {
    let mut replies = Vec::new();
    let mut server = with_a_ping_that_waits(&mut replies);
    replies.clear();
    server.resume_replies(&mut replies);
    assert_eq!(replies, b"\x8a\x08waiting!");
    assert!(is_idle(&server));
}

#[test]
fn ping_that_a_later_ping_replaces_leaves_nothing_behind() {
    let mut replies = Vec::new();
    let mut server = with_a_ping_that_waits(&mut replies);
    let mut shorter = *b"\x89\x81\0\0\0\0s";
    let input = &mut &mut shorter[..];
    let event = server.receive(input, &mut replies);
    assert_eq!(event, Ok(Some(Event::Ping(b"s".into()))));
    assert_eq!(replies, b"\x8a\0\x8a\x01s");
    assert!(is_idle(&server));
}

/// A whole message or control frame on the wire, compressed where `deflater` is
/// there; some messages in two fragments, with a ping between them.
fn write(
    (opcode, length, in_fragments): (Opcode, usize, bool),
    deflater: &mut Option<MessageDeflater>,
    wire: &mut Vec<u8>,
) {
    let key = Some([1, 2, 3, 4]);
    let payload = vec![b'a'; length];
    if opcode.is_control() {
        let length = length.min(125);
        return frame::encode(true, opcode, key, &payload[..length], wire);
    }
    let start = wire.len();
    if let Some(deflater) = deflater {
        let message = Message::Binary(&payload);
        if deflater.write_frame(message, WindowBits::MAX, wire) {
            // Frames of a server have no mask; a key of zeros changes nothing.
            let key_at = start + if wire[start + 1] < 126 { 2 } else { 4 };
            wire[start + 1] |= 0b1000_0000;
            wire.splice(key_at..key_at, [0; 4]);
            return;
        }
    }
    if !in_fragments {
        return frame::encode(true, opcode, key, &payload, wire);
    }
    let (first, second) = payload.split_at(length / 2);
    frame::encode(false, opcode, key, first, wire);
    frame::encode(true, Opcode::Ping, key, b"between", wire);
    frame::encode(true, Opcode::Continuation, key, second, wire);
}

/// Miri takes a minute for a message of 40,000 bytes.
const MESSAGE_BYTES_MAX: usize = if cfg!(miri) { 400 } else { 40_000 };

proptest! {
    /// However the input is cut, and whenever the replies are sent.
    #[test]
    fn connection_holds_nothing_when_all_that_came_is_complete(
        sent in vec((opcode(), 0..MESSAGE_BYTES_MAX, any::<bool>()), 0..6),
        cuts in vec(prop_oneof![0..20_usize, 0..30_000_usize], 1..20),
        flushed in vec(any::<bool>(), 1..20),
        compressed: bool,
        unsent_reply_bytes_max in prop_oneof![Just(0), 0..300_u32],
    ) {
        let mut server = Connection::server(Limits {
            unsent_reply_bytes_max,
            ..Limits::default()
        });
        let mut deflater = None;
        if compressed {
            server = server.with_inflate(NO_TAKEOVER, &DeflatePool::default());
            deflater = Some(MessageDeflater::new(1));
        }
        let mut wire = Vec::new();
        for message in sent {
            write(message, &mut deflater, &mut wire);
        }
        let mut replies = Vec::new();
        let mut rest = &mut wire[..];
        let mut turns = cuts.iter().cycle().zip(flushed.iter().cycle());
        while !rest.is_empty() {
            let Some((&cut, &flushed)) = turns.next() else { unreachable!("cycle") };
            let (mut piece, behind) = rest.split_at_mut(cut.max(1).min(rest.len()));
            rest = behind;
            loop {
                match server.receive(&mut piece, &mut replies) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => return Err(TestCaseError::fail(error.to_string())),
                }
            }
            if flushed {
                replies.clear();
                server.resume_replies(&mut replies);
            }
        }
        replies.clear();
        server.resume_replies(&mut replies);
        prop_assert!(is_idle(&server));
    }
}

fn opcode() -> impl Strategy<Value = Opcode> {
    prop::sample::select(vec![
        Opcode::Text,
        Opcode::Binary,
        Opcode::Ping,
        Opcode::Pong,
    ])
}

// Compression.

const TAKEOVER: DeflateParameters = DeflateParameters {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: WindowBits::MAX,
    client_max_window_bits: WindowBits::MAX,
};

const NO_TAKEOVER: DeflateParameters = DeflateParameters {
    server_no_context_takeover: true,
    client_no_context_takeover: true,
    ..TAKEOVER
};

/// A server and a client that have sent the same to each other.
fn after_a_message(agreed: DeflateParameters) -> [Connection; 2] {
    let config = DeflateConfig {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        ..DeflateConfig::default()
    };
    let (limits, pool) = (Limits::default(), DeflatePool::default());
    let mut server = Connection::server(limits).with_deflate(agreed, &config, &pool);
    let client = Connection::client(limits, || [0; 4]);
    let mut client = client.with_deflate(agreed, &config, &pool);
    transfer(&mut server, &mut client);
    transfer(&mut client, &mut server);
    [server, client]
}

fn transfer(sender: &mut Connection, receiver: &mut Connection) {
    let (mut wire, mut replies) = (Vec::new(), Vec::new());
    let message = Message::Binary(&[0; 1000]);
    assert_eq!(sender.send(message, &mut wire), Ok(()));
    assert!(wire.len() < 100);
    let input = &mut &mut wire[..];
    let received = receiver.receive(input, &mut replies);
    assert_eq!(received, Ok(Some(Event::Binary(vec![0; 1000].into()))));
    assert_eq!(receiver.receive(input, &mut replies), Ok(None));
}

/// Whether a connection has a compressor, and the room for what it keeps of messages.
fn kept(connection: &Connection) -> (bool, usize) {
    assert!(!connection.receiver.has_unfinished_input());
    let history = connection.receiver.history_capacity();
    (connection.sender.has_compressor(), history)
}

#[test]
fn idle_connection_without_context_takeover_keeps_nothing_of_a_message() {
    for connection in after_a_message(NO_TAKEOVER) {
        assert_eq!(kept(&connection), (false, 0));
        assert!(is_idle(&connection));
    }
    assert_eq!(size_of::<Compression>(), bytes(32, 16));
    assert_eq!(size_of::<receiver::RareState>(), bytes(80, 40));
}

#[test]
fn connection_that_only_inflates_sends_messages_as_they_are_and_keeps_nothing() {
    let config = DeflateConfig::default();
    for client_no_context_takeover in [true, false] {
        let agreed = DeflateParameters {
            client_no_context_takeover,
            ..TAKEOVER
        };
        let (limits, pool) = (Limits::default(), DeflatePool::default());
        let mut server = Connection::server(limits).with_inflate(agreed, &pool);
        let client = Connection::client(limits, || [0; 4]);
        let mut client = client.with_deflate(agreed, &config, &pool);
        transfer(&mut client, &mut server);
        transfer(&mut client, &mut server);
        assert_eq!(is_idle(&server), client_no_context_takeover);
        let mut wire = Vec::new();
        assert_eq!(server.send(Message::Binary(&[0; 1000]), &mut wire), Ok(()));
        assert_eq!(wire.len(), 1004);
    }
}

/// "Hello" in a stored block, in a frame of which part has come, and in fragments of
/// which one has come.
#[test]
fn unfinished_compressed_message_has_no_decompressor() {
    let frame = b"\xc1\x8b\0\0\0\0\x00\x05\x00\xfa\xffHello\x00";
    let fragments = b"\x41\x8a\0\0\0\0\x00\x05\x00\xfa\xffHello\x80\x81\0\0\0\0\x00";
    for (stream, cut) in [(&frame[..], 16), (fragments, 16), (fragments, 22)] {
        let limits = Limits::default();
        let pool = DeflatePool::default();
        let mut server = Connection::server(limits).with_inflate(TAKEOVER, &pool);
        let mut stream = stream.to_vec();
        let (mut first, mut second) = stream.split_at_mut(cut);
        let mut replies = Vec::new();
        assert_eq!(server.receive(&mut first, &mut replies), Ok(None));
        assert!(server.receiver.has_unfinished_input());
        assert!(!server.receiver.has_a_decompressor());
        let event = server.receive(&mut second, &mut replies);
        assert_eq!(event, Ok(Some(Event::Text("Hello".into()))));
    }
}

#[test]
fn with_context_takeover_a_connection_keeps_the_window_and_a_compressor() {
    for connection in after_a_message(TAKEOVER) {
        assert_eq!(kept(&connection), (true, 1000));
    }
}
