//! RFC 6455 §5.4, §6.2: messages that are received in pieces, as they come, with the rules of
//! whole messages.

use proptest::prelude::*;
use yamabiko::websocket::Piece;
use yamabiko::websocket::deflate::{DeflateParameters, WindowBits};
use yamabiko_testing::deflate::{
    HELLO, HELLO_AGAIN, HELLO_FINAL, HELLO_FINAL_ALONE, NO_TAKEOVER, TAKEOVER, agreed_within,
    compressed, fragments, stored, zeros,
};
use yamabiko_testing::properties::pieces::any_cutting_gives_the_messages;
use yamabiko_testing::protocol::{
    BINARY, CONTINUATION, CloseCode, Connection, Endpoint, Event, Fragment, Limits, PING,
    ProtocolError, Role, State, TEXT, WireFrame, both_roles, limits, peer,
};

/// An endpoint that hands out pieces.
fn in_pieces(role: Role, limits: Limits) -> Endpoint {
    handing_out_pieces(Endpoint::new(role, limits))
}

fn handing_out_pieces(mut endpoint: Endpoint) -> Endpoint {
    let plain = Connection::server(Limits::default());
    let connection = std::mem::replace(&mut endpoint.connection, plain);
    endpoint.connection = connection.with_pieces();
    endpoint
}

/// What a test compares of an event.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    /// A piece, and whether it is the first and the last one.
    Part(Box<Seen>, bool, bool),
    Ping,
    Failed(ProtocolError),
}

fn text(text: &str, is_first: bool, is_last: bool) -> Seen {
    Seen::Part(Box::new(Seen::Text(text.to_owned())), is_first, is_last)
}

fn binary(bytes: &[u8], is_first: bool, is_last: bool) -> Seen {
    Seen::Part(Box::new(Seen::Binary(bytes.to_owned())), is_first, is_last)
}

fn seen(piece: &Piece<'_>) -> Seen {
    let content = match piece.as_text() {
        Some(text) => Seen::Text(text.to_owned()),
        None => Seen::Binary(piece.as_bytes().to_owned()),
    };
    Seen::Part(Box::new(content), piece.is_first(), piece.is_last())
}

/// All events of these bytes.
fn receive(endpoint: &mut Endpoint, bytes: impl AsRef<[u8]>) -> Vec<Seen> {
    let mut bytes = bytes.as_ref().to_vec();
    let (mut input, mut events) = (&mut bytes[..], Vec::new());
    loop {
        let received = endpoint
            .connection
            .receive(&mut input, &mut endpoint.replies);
        match received {
            Ok(Some(Event::Piece(piece))) => events.push(seen(&piece)),
            Ok(Some(Event::Ping(_))) => events.push(Seen::Ping),
            Ok(Some(other)) => panic!("{other:?}"),
            Ok(None) => return events,
            Err(error) => {
                events.push(Seen::Failed(error));
                return events;
            }
        }
    }
}

fn message_that_comes_whole_is_one_piece(role: Role) {
    let mut endpoint = in_pieces(role, Limits::default());
    let wire = [
        peer(role).text("Hello"),
        peer(role).binary(b"yamabiko"),
        peer(role).text(""),
    ]
    .concat();
    let expected = [
        text("Hello", true, true),
        binary(b"yamabiko", true, true),
        text("", true, true),
    ];
    assert_eq!(receive(&mut endpoint, wire), expected);
}
both_roles!(message_that_comes_whole_is_one_piece);

fn pieces_are_handed_out_as_they_come_with_control_frames_between(role: Role) {
    let mut endpoint = in_pieces(role, Limits::default());
    let peer = peer(role);
    let first = peer.binary_begins(b"abc");
    let (front, rest) = first.split_at(first.len() - 1);
    assert_eq!(receive(&mut endpoint, front), [binary(b"ab", true, false)]);
    assert!(endpoint.connection.has_unfinished_input());
    assert_eq!(receive(&mut endpoint, rest), [binary(b"c", false, false)]);
    assert_eq!(receive(&mut endpoint, peer.ping("?")), [Seen::Ping]);
    assert_eq!(receive(&mut endpoint, peer.goes_on("")), []);
    let last = [peer.goes_on("d"), peer.ends("")].concat();
    let expected = [binary(b"d", false, false), binary(b"", false, true)];
    assert_eq!(receive(&mut endpoint, last), expected);
    assert!(!endpoint.connection.has_unfinished_input());
    assert_eq!(endpoint.take_replies().len(), 1);
}
both_roles!(pieces_are_handed_out_as_they_come_with_control_frames_between);

fn character_that_is_cut_waits_for_its_rest(role: Role) {
    let mut endpoint = in_pieces(role, Limits::default());
    let peer = peer(role);
    let mountain = "a山b".as_bytes();
    let steps = [
        (
            peer.text_begins(&mountain[..2]),
            vec![text("a", true, false)],
        ),
        (peer.goes_on(&mountain[2..3]), vec![]),
        (
            peer.goes_on(&mountain[3..]),
            vec![text("山", false, false), text("b", false, false)],
        ),
        (peer.goes_on(b"\xc3"), vec![]),
        (peer.ends(b"\xa9"), vec![text("é", false, true)]),
    ];
    for (wire, expected) in steps {
        assert_eq!(receive(&mut endpoint, wire), expected);
    }
}
both_roles!(character_that_is_cut_waits_for_its_rest);

fn text_fails_at_the_first_impossible_byte_and_at_a_cut_end(role: Role) {
    let mut endpoint = in_pieces(role, Limits::default());
    let wire = peer(role).text_begins(b"ab\xe5\xb1c");
    let (front, rest) = wire.split_at(wire.len() - 1);
    assert_eq!(receive(&mut endpoint, front), [text("ab", true, false)]);
    let failed = [Seen::Failed(ProtocolError::TextNotUtf8)];
    assert_eq!(receive(&mut endpoint, rest), failed);
    assert_eq!(endpoint.connection.state(), State::Failed);

    let mut endpoint = in_pieces(role, Limits::default());
    assert_eq!(receive(&mut endpoint, peer(role).text(b"\xe5\xb1")), failed);
}
both_roles!(text_fails_at_the_first_impossible_byte_and_at_a_cut_end);

fn limits_count_the_message_and_not_its_pieces(role: Role) {
    let peer = peer(role);
    let begun = peer.binary_begins(b"abc");
    let at_the_limit = [&begun[..], &peer.ends("de")].concat();
    let mut endpoint = in_pieces(role, limits(5, 2, 100));
    let expected = [binary(b"abc", true, false), binary(b"de", false, true)];
    assert_eq!(receive(&mut endpoint, at_the_limit), expected);
    for (frames, error) in [
        (peer.ends("def"), ProtocolError::MessageTooBig),
        (
            [peer.goes_on(""), peer.ends("")].concat(),
            ProtocolError::TooManyFragments,
        ),
        (peer.text(""), ProtocolError::MessageInsideMessage),
    ] {
        let mut endpoint = in_pieces(role, limits(5, 2, 100));
        assert_eq!(
            receive(&mut endpoint, &begun),
            [binary(b"abc", true, false)]
        );
        assert_eq!(receive(&mut endpoint, frames), [Seen::Failed(error)]);
    }
    let mut endpoint = in_pieces(role, limits(5, 2, 100));
    let lone = Seen::Failed(ProtocolError::ContinuationWithoutMessage);
    assert_eq!(receive(&mut endpoint, peer.ends("")), [lone]);
}
both_roles!(limits_count_the_message_and_not_its_pieces);

/// Of a frame of half the address space, as many bytes as a test can wait for.
fn frame_of_half_the_address_space_needs_no_buffer(role: Role) {
    let bytes = usize::MAX / 2;
    let limits = limits(bytes, 1, 100);
    let mut endpoint = in_pieces(role, limits);
    let frame = peer(role).masking(WireFrame::new(BINARY, ""));
    let header = peer(role).header(frame, bytes as u64);
    assert_eq!(receive(&mut endpoint, header), []);
    let mut block = vec![7; 64 << 10];
    for number in 0..64 {
        let mut input = &mut block[..];
        let received = endpoint
            .connection
            .receive(&mut input, &mut endpoint.replies);
        let Ok(Some(Event::Piece(piece))) = received else {
            panic!("{received:?}");
        };
        assert_eq!(piece.as_bytes().len(), 64 << 10);
        assert_eq!((piece.is_first(), piece.is_last()), (number == 0, false));
        assert!(input.is_empty());
    }
}
both_roles!(frame_of_half_the_address_space_needs_no_buffer);

fn piece_is_sent_on_as_a_fragment(role: Role) {
    let mut endpoint = in_pieces(role, Limits::default());
    let mut wire = [peer(role).text_begins("yama"), peer(role).ends("biko")].concat();
    let (mut input, mut output) = (&mut wire[..], Vec::new());
    while let Some(event) = endpoint
        .connection
        .receive(&mut input, &mut output)
        .unwrap()
    {
        let Event::Piece(piece) = event else {
            panic!("{event:?}");
        };
        let sent = endpoint
            .connection
            .send_fragment((&piece).into(), &mut output);
        assert_eq!(sent, Ok(()));
    }
    let frames = yamabiko_testing::protocol::frames_of(role, &output);
    let expected = [
        WireFrame::new(TEXT, "yama").unfinished(),
        WireFrame::new(CONTINUATION, "biko"),
    ];
    assert_eq!(frames, expected);
}
both_roles!(piece_is_sent_on_as_a_fragment);

fn close_in_the_middle_of_a_message_is_answered(role: Role) {
    let mut endpoint = in_pieces(role, Limits::default());
    receive(&mut endpoint, peer(role).text_begins("half"));
    let mut wire = peer(role).close(1000, "");
    let event = endpoint
        .connection
        .receive(&mut &mut wire[..], &mut endpoint.replies);
    let Ok(Some(Event::Close(close))) = event else {
        panic!("{event:?}");
    };
    assert_eq!(close.code(), Some(CloseCode::NORMAL));
    assert_eq!(endpoint.connection.state(), State::Closed);
    assert!(!endpoint.connection.has_unfinished_input());
}
both_roles!(close_in_the_middle_of_a_message_is_answered);

// Compression.

fn compressed_pieces(role: Role, parameters: DeflateParameters) -> Endpoint {
    handing_out_pieces(agreed_within(role, parameters, Limits::default()))
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//= type=test
//# Otherwise, the server MUST decompress
//# each new message using the LZ77 sliding window used to process the
//# last compressed message.
fn window_of_earlier_messages_outlives_their_pieces(role: Role) {
    let mut endpoint = compressed_pieces(role, TAKEOVER);
    // The third has a stream that ends (BFINAL) inside it.
    for payload in [HELLO, HELLO_AGAIN, HELLO_FINAL, HELLO_AGAIN] {
        let wire = peer(role).frame(compressed(TEXT, payload));
        assert_eq!(receive(&mut endpoint, wire), [text("Hello", true, true)]);
    }

    let mut endpoint = compressed_pieces(role, NO_TAKEOVER);
    let corrupt = [Seen::Failed(ProtocolError::CompressedDataCorrupt)];
    let wire = peer(role).frame(compressed(TEXT, HELLO));
    assert_eq!(receive(&mut endpoint, wire), [text("Hello", true, true)]);
    let wire = peer(role).frame(compressed(TEXT, HELLO_AGAIN));
    assert_eq!(receive(&mut endpoint, wire), corrupt);
}
both_roles!(window_of_earlier_messages_outlives_their_pieces);

fn compressed_piece_is_handed_out_before_its_message_ends(role: Role) {
    let mut endpoint = compressed_pieces(role, NO_TAKEOVER);
    let frames = fragments(BINARY, &[&stored(b"first")[..10], &[], &stored(b"second")]);
    let expected = [
        vec![binary(b"first", true, false)],
        vec![],
        vec![binary(b"second", false, true)],
    ];
    for (frame, expected) in frames.into_iter().zip(expected) {
        assert_eq!(receive(&mut endpoint, peer(role).frame(frame)), expected);
        receive(&mut endpoint, peer(role).frame(WireFrame::new(PING, "")));
    }
    assert_eq!(endpoint.take_replies().len(), 3);
}
both_roles!(compressed_piece_is_handed_out_before_its_message_ends);

fn bytes_that_inflate_to_far_more_come_in_blocks(role: Role) {
    const BYTES: usize = 1 << 20;
    for (message_bytes_max, fails) in [(BYTES, false), (BYTES - 1, true)] {
        let limits = limits(message_bytes_max, 2, 100);
        let mut endpoint = handing_out_pieces(agreed_within(role, NO_TAKEOVER, limits));
        let mut wire = peer(role).frame(compressed(BINARY, zeros(BYTES)));
        assert!(wire.len() < BYTES / 100);
        let (mut input, mut bytes, mut ended) = (&mut wire[..], 0, false);
        let result = loop {
            let replies = &mut endpoint.replies;
            match endpoint.connection.receive(&mut input, replies) {
                Ok(Some(Event::Piece(piece))) => {
                    assert!(piece.as_bytes().len() <= 64 << 10 && !ended);
                    bytes += piece.as_bytes().len();
                    ended = piece.is_last();
                }
                Ok(None) => break Ok(()),
                Ok(other) => panic!("{other:?}"),
                Err(error) => break Err(error),
            }
        };
        match fails {
            false => assert_eq!((result, bytes, ended), (Ok(()), BYTES, true)),
            true => assert_eq!((result, ended), (Err(ProtocolError::MessageTooBig), false)),
        }
    }
}
both_roles!(bytes_that_inflate_to_far_more_come_in_blocks);

fn compressed_message_that_is_cut_short_has_no_last_piece(role: Role) {
    let corrupt = Seen::Failed(ProtocolError::CompressedDataCorrupt);
    for payload in [&HELLO[..4], HELLO_FINAL_ALONE, b"", b"\x07"] {
        let mut endpoint = compressed_pieces(role, TAKEOVER);
        let wire = peer(role).frame(compressed(TEXT, payload));
        assert_eq!(receive(&mut endpoint, wire).last(), Some(&corrupt));
    }
}
both_roles!(compressed_message_that_is_cut_short_has_no_last_piece);

// Any message, any cutting.

/// A message of the peer, or a Ping.
#[derive(Clone, Debug)]
enum Sent {
    Whole { text: bool, bytes: Vec<u8> },
    InFragments(Vec<Vec<u8>>),
    Ping,
}

fn sent() -> impl Strategy<Value = Sent> {
    // Much that comes again, so that it is compressed.
    let bytes = || {
        (any::<u8>(), 1..90_u8, 0..40_000_usize).prop_map(|(first, step, length)| {
            let byte = |place: usize| first.wrapping_add((place % 17) as u8).wrapping_mul(step);
            (0..length).map(byte).collect::<Vec<u8>>()
        })
    };
    prop_oneof![
        (any::<bool>(), bytes()).prop_map(|(text, bytes)| Sent::Whole { text, bytes }),
        prop::collection::vec(bytes(), 1..4).prop_map(Sent::InFragments),
        Just(Sent::Ping),
    ]
}

impl Sent {
    fn write(&self, connection: &mut Connection, wire: &mut Vec<u8>) {
        let written = match self {
            Sent::Whole { text: true, bytes } => {
                let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
                connection.send(text.as_str(), wire)
            }
            Sent::Whole { text: false, bytes } => connection.send(bytes, wire),
            Sent::InFragments(parts) => {
                for (number, part) in parts.iter().enumerate() {
                    let last = number + 1 == parts.len();
                    let part = Fragment::binary(part);
                    connection.send_fragment(part.last_if(last), wire).unwrap();
                    connection.ping(b"between", wire).unwrap();
                }
                Ok(())
            }
            Sent::Ping => connection.ping(b"", wire),
        };
        assert_eq!(written, Ok(()));
    }
}

proptest! {
    #[test]
    fn pieces_joined_are_the_whole_messages_for_any_cutting(
        sent in prop::collection::vec(sent(), 1..5),
        lengths in prop::collection::vec(any::<u8>(), 0..6),
        takes_over: bool,
        is_plain: bool,
        bits in 9..=15_u8,
        message_bytes_max in prop_oneof![Just(1 << 20), 0..50_000_usize],
    ) {
        let window = WindowBits::new(bits).unwrap();
        let parameters = DeflateParameters {
            server_max_window_bits: window,
            client_max_window_bits: window,
            ..if takes_over { TAKEOVER } else { NO_TAKEOVER }
        };
        for (from, to) in [(Role::Server, Role::Client), (Role::Client, Role::Server)] {
            let limits = Limits { message_bytes_max, ..Limits::default() };
            let made = |role, limits| match is_plain {
                true => Endpoint::new(role, limits),
                false => agreed_within(role, parameters, limits),
            };
            let (mut sender, mut wire) = (made(from, Limits::default()), Vec::new());
            sent.iter().for_each(|sent| sent.write(&mut sender.connection, &mut wire));
            any_cutting_gives_the_messages(|| made(to, limits), is_plain, &lengths, &wire);
        }
    }

    /// Mostly illegal ones.
    #[test]
    fn any_bytes_of_a_peer_give_the_same_messages_and_the_same_failure(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        first in prop::sample::select(vec![0x01_u8, 0x02, 0x81, 0x82, 0x89]),
        lengths in prop::collection::vec(0..9_u8, 0..6),
    ) {
        let wire = [&[first], &bytes[..]].concat();
        for role in [Role::Server, Role::Client] {
            let made = || Endpoint::new(role, limits(100, 4, 200));
            any_cutting_gives_the_messages(made, true, &lengths, &wire);
        }
    }
}
