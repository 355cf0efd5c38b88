//! A connection receives from a `ReadBuffer`: the same events as from input of any other form,
//! and no copy of a message that fits into the buffer.

use proptest::prelude::*;
use std::borrow::Cow;
use yamabiko_testing::protocol::{
    Endpoint, Event, Limits, Message, ProtocolError, ReadBuffer, Received, Role, both_roles, open,
    peer,
};

/// Reads so many bytes at most, and returns what is left.
fn read<'w>(buffer: &mut ReadBuffer, wire: &'w [u8], bytes_max: usize) -> &'w [u8] {
    let room = buffer.room();
    let (read, rest) = wire.split_at(room.len().min(wire.len()).min(bytes_max));
    room[..read.len()].copy_from_slice(read);
    buffer.filled(read.len());
    rest
}

fn texts(length: usize) -> String {
    "aé山🗻".chars().cycle().take(length / 3).collect()
}

/// What the peer of an endpoint of this role writes.
fn written_to(role: Role, write: impl FnOnce(&mut Endpoint, &mut Vec<u8>)) -> Vec<u8> {
    let other = match role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    };
    let mut wire = Vec::new();
    write(&mut open(other), &mut wire);
    wire
}

/// Cuts `wire` into pieces of these lengths, which are repeated.
fn cut<'w>(mut wire: &'w [u8], lengths: &[usize]) -> Vec<&'w [u8]> {
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        let (piece, rest) = wire.split_at((*length).min(wire.len()));
        pieces.push(piece);
        wire = rest;
        if wire.is_empty() {
            break;
        }
    }
    pieces
}

/// A source that fills the room, one that brings 64 KiB at most, and one that brings less, for a
/// buffer that has no other connection to serve.
fn message_of_many_reads_is_handed_out_where_it_lies(role: Role) {
    for (bytes_max, expect_more) in [(usize::MAX, false), (64 << 10, false), (1000, true)] {
        let long = texts(1_000_000);
        let wire = [
            peer(role).text(&long),
            peer(role).text("behind"),
            peer(role).binary(&long),
        ]
        .concat();
        let (mut endpoint, mut buffer) = (open(role), ReadBuffer::default());
        let (mut rest, mut received) = (&wire[..], Vec::new());
        while !rest.is_empty() {
            rest = read(&mut buffer, rest, bytes_max);
            if expect_more {
                buffer.expect_more();
            }
            while let Ok(Some(event)) = endpoint
                .connection
                .receive_from(&mut buffer, &mut endpoint.replies)
            {
                let is_borrowed = matches!(
                    event,
                    Event::Text(Cow::Borrowed(_)) | Event::Binary(Cow::Borrowed(_))
                );
                assert!(is_borrowed, "reads of {bytes_max}");
                received.push(Received::from(event));
            }
            assert_eq!(endpoint.connection.held_bytes(), 0);
        }
        let binary = Received::Binary(long.clone().into_bytes());
        let expected = [
            Received::Text(long),
            Received::Text("behind".to_owned()),
            binary,
        ];
        assert!(received == expected, "reads of {bytes_max}");
        assert!(buffer.is_empty());
    }
}
both_roles!(message_of_many_reads_is_handed_out_where_it_lies);

fn text_that_is_not_utf8_fails_when_the_socket_has_no_more(role: Role) {
    let mut wire = peer(role).text("a".repeat(200_000));
    let at = wire.len() - 150_000;
    // With any masking key: two bits of a lead byte that cannot follow.
    wire[at] ^= 0x80;
    wire[at + 1] ^= 0x80;
    let (mut endpoint, mut buffer) = (open(role), ReadBuffer::default());
    let rest = read(&mut buffer, &wire, usize::MAX);
    let event = endpoint
        .connection
        .receive_from(&mut buffer, &mut endpoint.replies);
    assert!(matches!(event, Ok(None)), "the room is full: it waits");
    assert!(!buffer.is_empty());

    read(&mut buffer, rest, 1);
    let event = endpoint
        .connection
        .receive_from(&mut buffer, &mut endpoint.replies);
    assert_eq!(event, Err(ProtocolError::TextNotUtf8));
    assert!(buffer.is_empty());
}
both_roles!(text_that_is_not_utf8_fails_when_the_socket_has_no_more);

fn socket_without_more_leaves_nothing_in_the_buffer(role: Role) {
    let wire = peer(role).text(texts(300_000));
    let (mut endpoint, mut buffer) = (open(role), ReadBuffer::default());
    let mut rest = &wire[..];
    let mut events = Vec::new();
    for bytes_max in [
        usize::MAX,
        usize::MAX,
        10,
        usize::MAX,
        0,
        70_000,
        usize::MAX,
    ] {
        rest = read(&mut buffer, rest, bytes_max);
        let event = endpoint
            .connection
            .receive_from(&mut buffer, &mut endpoint.replies);
        events.extend(event.unwrap().map(Received::from));
        let held_bytes = endpoint.connection.held_bytes();
        assert_eq!(buffer.is_empty(), held_bytes > 0 || rest.is_empty());
        assert!(events.is_empty());
        if held_bytes > 0 {
            break;
        }
    }
    while !rest.is_empty() {
        rest = read(&mut buffer, rest, usize::MAX);
        let event = endpoint
            .connection
            .receive_from(&mut buffer, &mut endpoint.replies);
        events.extend(event.unwrap().map(Received::from));
    }
    assert!(events == [Received::Text(texts(300_000))]);
}
both_roles!(socket_without_more_leaves_nothing_in_the_buffer);

fn message_that_is_longer_than_the_buffer_is_buffered_by_the_connection(role: Role) {
    let wire = peer(role).binary([7; 300_000]);
    let (mut endpoint, mut buffer) = (open(role), ReadBuffer::new(200_000));
    let (mut rest, mut events) = (&wire[..], Vec::new());
    while !rest.is_empty() {
        rest = read(&mut buffer, rest, usize::MAX);
        let event = endpoint
            .connection
            .receive_from(&mut buffer, &mut endpoint.replies);
        events.extend(event.unwrap().map(Received::from));
        assert!(buffer.is_empty());
    }
    assert!(events == [Received::Binary(vec![7; 300_000])]);
}
both_roles!(message_that_is_longer_than_the_buffer_is_buffered_by_the_connection);

fn message_over_the_limit_fails_at_its_header(role: Role) {
    let wire = peer(role).binary([7; 100_000]);
    let limits = Limits {
        message_bytes_max: 99_999,
        ..Limits::default()
    };
    let (mut endpoint, mut buffer) = (Endpoint::new(role, limits), ReadBuffer::default());
    read(&mut buffer, &wire, usize::MAX);
    let event = endpoint
        .connection
        .receive_from(&mut buffer, &mut endpoint.replies);
    assert_eq!(event, Err(ProtocolError::MessageTooBig));
}
both_roles!(message_over_the_limit_fails_at_its_header);

fn nothing_is_received_from_the_buffer_after_the_end(role: Role) {
    let wire = peer(role).binary([7; 100_000]);
    let (mut endpoint, mut buffer) = (open(role), ReadBuffer::default());
    let rest = read(&mut buffer, &wire, usize::MAX);
    let receive = |endpoint: &mut Endpoint, buffer: &mut ReadBuffer| {
        let event = endpoint
            .connection
            .receive_from(buffer, &mut endpoint.replies);
        assert!(matches!(event, Ok(None)));
    };
    receive(&mut endpoint, &mut buffer);
    assert!(!buffer.is_empty());
    endpoint.connection.end_of_input();
    read(&mut buffer, rest, usize::MAX);
    receive(&mut endpoint, &mut buffer);
    assert!(buffer.is_empty());
}
both_roles!(nothing_is_received_from_the_buffer_after_the_end);

proptest! {
    #[test]
    fn events_from_a_buffer_are_those_of_whole_input(
        messages in prop::collection::vec(
            (prop_oneof![0..300_usize, 0..150_000_usize], any::<bool>(), any::<bool>()),
            1..4,
        ),
        reads in prop::collection::vec(prop_oneof![1..100_usize, 1000..100_000_usize], 1..6),
        broken in proptest::option::of(0..400_000_usize),
        expects_more: bool,
    ) {
        // A test of bytes that come one at a time takes too long with so many.
        prop_assume!(reads.iter().sum::<usize>() / reads.len() > 500);
        for role in [Role::Server, Role::Client] {
            let mut wire = written_to(role, |sender, wire| {
                for (length, is_text, ping) in &messages {
                    let text = texts(*length);
                    let message = match is_text {
                        true => Message::Text(&text),
                        false => Message::Binary(text.as_bytes()),
                    };
                    sender.connection.send(message, wire).unwrap();
                    if *ping {
                        sender.connection.ping(b"between", wire).unwrap();
                    }
                }
            });
            // Any byte, also one of a header.
            if let Some(byte) = broken.and_then(|place| wire.get_mut(place)) {
                *byte ^= 0x80;
            }
            let mut whole = open(role);
            let mut buffered = open(role);
            prop_assert!(buffered.read_in_pieces(cut(&wire, &reads), !expects_more) == whole.receive(&wire));
            prop_assert_eq!(&buffered.replies, &whole.replies);
            prop_assert_eq!(buffered.connection.ended(), whole.connection.ended());
        }
    }
}

/// Reads the first `first_bytes` of a message alone, then the rest. `None`: the message was handed out.
fn failure_of_a_message_cut_at(
    role: Role,
    limits: Limits,
    message: &[u8],
    first_bytes: usize,
) -> Option<ProtocolError> {
    let mut endpoint = Endpoint::new(role, limits);
    let mut buffer = ReadBuffer::default();
    let (first, rest) = message.split_at(first_bytes);
    for (bytes, more) in [(first, true), (rest, false)] {
        assert!(read(&mut buffer, bytes, usize::MAX).is_empty());
        if more {
            buffer.expect_more();
        }
        let received = endpoint
            .connection
            .receive_from(&mut buffer, &mut endpoint.replies);
        match received {
            Ok(event) => assert_eq!(event.is_some(), !more),
            Err(error) => return Some(error),
        }
    }
    None
}

/// A whole header is not seen before its last byte, so the limit is asked in each of the reads.
fn limit_of_a_message_holds_wherever_its_frame_is_cut(role: Role) {
    let limits = Limits {
        message_bytes_max: 300,
        ..Limits::default()
    };
    for (length, expected) in [(300, None), (301, Some(ProtocolError::MessageTooBig))] {
        let message = peer(role).binary(vec![7; length]);
        for first_bytes in 1..message.len() {
            let failure = failure_of_a_message_cut_at(role, limits, &message, first_bytes);
            assert_eq!(failure, expected, "{length} bytes, cut at {first_bytes}");
        }
    }
}
both_roles!(limit_of_a_message_holds_wherever_its_frame_is_cut);
