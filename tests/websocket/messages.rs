//! Messages (RFC 6455 §5.6, §6) and UTF-8 in them (§8.1). Every rule is checked as
//! server and as client.

use yamabiko::websocket::deflate::{DeflateConfig, DeflateParameters, DeflatePool};
use yamabiko_testing::protocol::*;

// ── Sending (§6.1) ──────────────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# an endpoint MUST perform the following steps.
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# An endpoint MUST encapsulate the /data/ in a WebSocket frame as defined in Section 5.2.
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# The frame(s) that have been formed MUST be transmitted over the underlying network connection.
both_roles!(message_is_appended_to_the_output_as_one_frame);
fn message_is_appended_to_the_output_as_one_frame(role: Role) {
    let mut connection = open(role).connection;
    let mut output = b"what was there before".to_vec();
    let before = output.len();
    assert_eq!(connection.send(Message::Text("Hello"), &mut output), Ok(()));
    assert_eq!(output[..before], *b"what was there before");
    let frames = frames_of(role, &output[before..]);
    assert_eq!(frames, [WireFrame::new(TEXT, "Hello")]);
}

both_roles!(message_without_its_copy_has_the_same_bytes_on_the_wire);
fn message_without_its_copy_has_the_same_bytes_on_the_wire(role: Role) {
    for bytes in [0, 125, 126, 65_535, 65_536] {
        let payload = vec![7; bytes];
        let message = Message::Binary(&payload);
        let (mut copied, mut output) = (Vec::new(), Vec::new());
        assert_eq!(open(role).connection.send(message, &mut copied), Ok(()));
        let behind = open(role).connection.send_vectored(message, &mut output);
        let behind = behind.expect("the connection is open");
        assert_eq!([&output, behind].concat(), copied);
        // A server does not copy; a client has to, because it masks.
        let expected = if role == Role::Server { bytes } else { 0 };
        assert_eq!(behind.len(), expected);
    }
}

both_roles!(compressed_message_is_never_returned_without_a_copy);
fn compressed_message_is_never_returned_without_a_copy(role: Role) {
    let connection = open(role).connection;
    let (agreed, config) = (DeflateParameters::default(), DeflateConfig::default());
    let mut connection = connection.with_deflate(agreed, &config, &DeflatePool::default());
    for text in ["short", &"long enough to be compressed ".repeat(20)] {
        let mut output = Vec::new();
        let behind = connection.send_vectored(Message::Text(text), &mut output);
        assert_eq!(behind, Ok(&b""[..]));
        assert_eq!(output[0] & 0b0000_1111, TEXT);
    }
}

both_roles!(message_without_its_copy_is_refused_like_any_other);
fn message_without_its_copy_is_refused_like_any_other(role: Role) {
    let (mut connection, mut output) = (open(role).connection, Vec::new());
    let begun = connection.send_fragment(Fragment::text(b"a"), &mut output);
    assert_eq!(begun, Ok(()));
    let (before, message) = (output.clone(), Message::Text("b"));
    let refused = connection.send_vectored(message, &mut output);
    assert_eq!(refused, Err(SendError::MessageUnderWay));
    assert_eq!(output, before);
    assert_eq!(connection.close(CloseFrame::EMPTY, &mut output), Ok(()));
    let refused = connection.send_vectored(message, &mut output);
    assert_eq!(refused, Err(SendError::NotOpen));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# The opcode (frame-opcode) of the first frame containing the data MUST be set to the appropriate
//# value from Section 5.2
both_roles!(opcode_decides_whether_a_message_is_text_or_binary);
fn opcode_decides_whether_a_message_is_text_or_binary(role: Role) {
    let mut endpoint = open(role);
    assert_eq!(sent(&mut endpoint, Message::Text("a")).opcode, TEXT);
    assert_eq!(sent(&mut endpoint, Message::Binary(b"a")).opcode, BINARY);

    let mut output = Vec::new();
    for fragment in [Fragment::text(b"a"), Fragment::binary(b"a")] {
        let connection = &mut endpoint.connection;
        let first = connection.send_fragment(fragment, &mut output);
        let last = connection.send_fragment(fragment.last(), &mut output);
        assert_eq!((first, last), (Ok(()), Ok(())));
    }
    let frames = frames_of(role, &output);
    let opcodes: Vec<_> = frames.iter().map(|frame| frame.opcode).collect();
    assert_eq!(opcodes, [TEXT, CONTINUATION, BINARY, CONTINUATION]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# The FIN bit (frame-fin) of the last frame containing the data MUST be set to 1 as defined in
//# Section 5.2.
both_roles!(fin_is_set_on_the_last_frame_and_on_no_other);
fn fin_is_set_on_the_last_frame_and_on_no_other(role: Role) {
    let mut endpoint = open(role);
    assert!(sent(&mut endpoint, Message::Text("whole")).fin);

    let mut output = Vec::new();
    for last in [false, false, true] {
        let fragment = Fragment::binary(b"part");
        let sent = endpoint
            .connection
            .send_fragment(fragment.last_if(last), &mut output);
        assert_eq!(sent, Ok(()));
    }
    let frames = frames_of(role, &output);
    let fins: Vec<_> = frames.iter().map(|frame| frame.fin).collect();
    assert_eq!(fins, [false, false, true]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# the endpoint MAY alternately encapsulate the data in a series of frames as defined in Section 5.4.
both_roles!(message_may_be_sent_before_its_data_is_complete);
fn message_may_be_sent_before_its_data_is_complete(role: Role) {
    let mut connection = open(role).connection;
    for part in ["one ", "two "] {
        let mut output = Vec::new();
        let fragment = Fragment::text(part.as_bytes());
        assert_eq!(connection.send_fragment(fragment, &mut output), Ok(()));
        assert_eq!(frames_of(role, &output)[0].payload, part.as_bytes());
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# If the data is being sent by the client, the frame(s) MUST be masked as defined in Section 5.3.
#[test]
fn client_masks_a_message_whole_or_in_fragments() {
    let mut client = Connection::client(Limits::default(), || RFC_KEY);
    let mut output = Vec::new();
    assert_eq!(client.send(Message::Text("Hello"), &mut output), Ok(()));
    for last in [false, true] {
        let fragment = Fragment::text(b"Hello");
        assert_eq!(
            client.send_fragment(fragment.last_if(last), &mut output),
            Ok(())
        );
    }
    let masked = b"\x7f\x9f\x4d\x51\x58"; // "Hello" under RFC_KEY, §5.7
    assert_eq!(output.windows(5).filter(|w| w == masked).count(), 3);
    assert_eq!(output.windows(5).filter(|w| w == b"Hello").count(), 0);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# The endpoint MUST ensure the WebSocket connection is in the OPEN state
both_roles!(sends_no_message_unless_the_connection_is_open);
fn sends_no_message_unless_the_connection_is_open(role: Role) {
    let peer = peer(role);
    let closing = |endpoint: &mut Endpoint| {
        let mut output = Vec::new();
        let closed = endpoint.connection.close(CloseFrame::EMPTY, &mut output);
        assert_eq!(closed, Ok(()));
    };
    let closed = |endpoint: &mut Endpoint| drop(endpoint.receive(peer.close_empty()));
    let failed = |endpoint: &mut Endpoint| drop(endpoint.receive(peer.ends("")));
    let mut endpoints = [open(role), open(role), open(role)];
    closing(&mut endpoints[0]);
    closed(&mut endpoints[1]);
    failed(&mut endpoints[2]);
    let states = endpoints.each_ref().map(|e| e.connection.state());
    assert_eq!(states, [State::Closing, State::Closed, State::Failed]);
    endpoints.iter_mut().for_each(sends_nothing);
}

fn sends_nothing(endpoint: &mut Endpoint) {
    let connection = &mut endpoint.connection;
    let mut output = Vec::new();
    for message in [Message::Text("a"), Message::Binary(b"a")] {
        let sent = connection.send(message, &mut output);
        assert_eq!(sent, Err(SendError::NotOpen));
    }
    for fragment in [Fragment::text(b"a"), Fragment::binary(b"a")] {
        let sent = connection.send_fragment(fragment.last(), &mut output);
        assert_eq!(sent, Err(SendError::NotOpen));
    }
    assert_eq!(output, b"");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# If at any point the state of the WebSocket connection changes, the endpoint MUST abort the
//# following steps.
both_roles!(fragmented_message_ends_unfinished_when_the_peer_closes);
fn fragmented_message_ends_unfinished_when_the_peer_closes(role: Role) {
    let mut endpoint = open(role);
    let mut output = Vec::new();
    let fragment = Fragment::text(b"a");
    let first = endpoint.connection.send_fragment(fragment, &mut output);
    assert_eq!(first, Ok(()));
    endpoint.receive(peer(role).close(1000, ""));
    sends_nothing(&mut endpoint);
}

// ── Receiving (§6.2) ────────────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//# the endpoint MUST note the /type/ of the data as defined by the opcode (frame-opcode) from
//# Section 5.2.
both_roles!(message_has_the_type_of_its_first_frame);
fn message_has_the_type_of_its_first_frame(role: Role) {
    let peer = peer(role);
    let mut endpoint = open(role);
    assert_eq!(endpoint.receive(peer.text("a")), [text("a")]);
    assert_eq!(endpoint.receive(peer.binary("a")), [binary("a")]);
    let bytes = [peer.text_begins("a"), peer.ends("b")].concat();
    assert_eq!(endpoint.receive(bytes), [text("ab")]);
    let bytes = [peer.binary_begins("a"), peer.ends("b")].concat();
    assert_eq!(endpoint.receive(bytes), [binary("ab")]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//# the "Application data" of the subsequent data frames is concatenated to form the /data/.
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//# it is said that _A WebSocket Message Has Been Received_ with data /data/
both_roles!(message_is_received_when_its_last_frame_has_arrived_and_not_before);
fn message_is_received_when_its_last_frame_has_arrived_and_not_before(role: Role) {
    let peer = peer(role);
    let mut endpoint = open(role);
    assert_eq!(endpoint.receive(peer.text_begins("1")), []);
    assert_eq!(endpoint.receive(peer.goes_on("2")), []);
    let last = peer.ends("34");
    let (all_but_one_byte, byte) = last.split_at(last.len() - 1);
    assert_eq!(endpoint.receive(all_but_one_byte), []);
    assert_eq!(endpoint.receive(byte), [text("1234")]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//# Subsequent data frames MUST be interpreted as belonging to a new WebSocket message.
both_roles!(frames_after_a_message_belong_to_a_new_one);
fn frames_after_a_message_belong_to_a_new_one(role: Role) {
    let peer = peer(role);
    let bytes = [
        peer.text_begins("a"),
        peer.ends("b"),
        peer.binary("c"),
        peer.text(""),
        peer.binary_begins(""),
        peer.ends("d"),
    ];
    let events = [text("ab"), binary("c"), text(""), binary("d")];
    assert_eq!(open(role).receive(bytes.concat()), events);
}

both_roles!(messages_are_the_same_when_bytes_arrive_one_at_a_time);
fn messages_are_the_same_when_bytes_arrive_one_at_a_time(role: Role) {
    let peer = peer(role);
    let bytes = [
        peer.text("Hello"),
        peer.binary([0; 300]),
        peer.text_begins("\u{1f600}"),
        peer.ping("?"),
        peer.ends("\u{e9}"),
        peer.text(""),
    ]
    .concat();
    let events = [
        text("Hello"),
        binary([0; 300]),
        ping("?"),
        text("\u{1f600}\u{e9}"),
        text(""),
    ];
    assert_eq!(open(role).receive_in_pieces(bytes.chunks(1)), events);
}

both_roles!(message_that_is_whole_in_the_input_is_a_slice_of_it);
fn message_that_is_whole_in_the_input_is_a_slice_of_it(role: Role) {
    for message in [peer(role).text("in place"), peer(role).binary("in place")] {
        let mut bytes = message;
        let range = bytes.as_ptr_range();
        let mut input = &mut bytes[..];
        let mut endpoint = open(role);
        let event = endpoint
            .connection
            .receive(&mut input, &mut endpoint.replies);
        let payload = match event {
            Ok(Some(event)) => event,
            other => panic!("{other:?}"),
        };
        let payload = payload.message().expect("a message").as_bytes();
        assert_eq!(payload, b"in place");
        assert!(range.contains(&payload.as_ptr()), "no copy was made");
    }
}

// ── UTF-8 (§5.6, §8.1) ──────────────────────────────────────────────────────

/// Bytes that are not UTF-8 (RFC 3629 §3, §4), with the number of bytes before the first
/// impossible one.
const NOT_UTF8: &[(&str, &[u8], usize)] = &[
    ("a continuation byte alone", b"\x80", 0),
    ("the last continuation byte alone", b"\xbf", 0),
    ("two continuation bytes", b"\x80\xbf", 0),
    ("a lead byte followed by ASCII", b"\xc3a", 1),
    ("a lead byte of three followed by ASCII", b"\xe2\x82a", 2),
    ("a lead byte of four followed by ASCII", b"\xf0\x9f\x98a", 3),
    ("a lead byte after a lead byte", b"\xc3\xc3", 1),
    ("one continuation byte too many", b"\xc3\xa9\xa9", 2),
    ("overlong NUL in two bytes", b"\xc0\x80", 0),
    ("overlong slash in two bytes", b"\xc0\xaf", 0),
    ("the longest overlong of two bytes", b"\xc1\xbf", 0),
    ("overlong NUL in three bytes", b"\xe0\x80\x80", 1),
    ("overlong slash in three bytes", b"\xe0\x80\xaf", 1),
    ("the longest overlong of three bytes", b"\xe0\x9f\xbf", 1),
    ("overlong NUL in four bytes", b"\xf0\x80\x80\x80", 1),
    ("the longest overlong of four bytes", b"\xf0\x8f\xbf\xbf", 1),
    ("the first surrogate, U+D800", b"\xed\xa0\x80", 1),
    ("the last high surrogate, U+DBFF", b"\xed\xaf\xbf", 1),
    ("the first low surrogate, U+DC00", b"\xed\xb0\x80", 1),
    ("the last surrogate, U+DFFF", b"\xed\xbf\xbf", 1),
    (
        "a pair of surrogates (CESU-8)",
        b"\xed\xa1\x8c\xed\xbe\xb4",
        1,
    ),
    ("U+110000, one past the last", b"\xf4\x90\x80\x80", 1),
    ("U+13FFFF", b"\xf4\xbf\xbf\xbf", 1),
    ("U+140000", b"\xf5\x80\x80\x80", 0),
    ("U+1FFFFF", b"\xf7\xbf\xbf\xbf", 0),
    ("five bytes", b"\xf8\x88\x80\x80\x80", 0),
    ("six bytes", b"\xfc\x84\x80\x80\x80\x80", 0),
    ("0xFE", b"\xfe", 0),
    ("0xFF", b"\xff", 0),
    ("UTF-16 with a byte order mark", b"\xff\xfeH\x00", 0),
    ("Latin-1", b"caf\xe9 noir", 4),
    (
        "Autobahn's: Greek, then a surrogate, then ASCII",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        12,
    ),
];

/// The beginning of a sequence, and nothing after it.
const TRUNCATED: &[&[u8]] = &[
    b"\xc2",
    b"\xdf",
    b"\xe0",
    b"\xe0\xa0",
    b"\xed\x9f",
    b"\xef\xbf",
    b"\xf0\x90",
    b"\xf0\x9f\x98",
    b"\xf4\x8f\xbf",
    b"Hello \xe2\x82",
];

/// The characters at the borders of the ranges of UTF-8.
const BORDERS: &[&str] = &[
    "\0",
    "\u{7f}",
    "\u{80}",
    "\u{7ff}",
    "\u{800}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{feff}", // a byte order mark is a character
    "\u{fffd}",
    "\u{fffe}", // a noncharacter is a scalar value all the same
    "\u{ffff}",
    "\u{10000}",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
    "\u{10ffff}",
];

//= https://www.rfc-editor.org/rfc/rfc6455#section-8.1
//# When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in
//# fact, a valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
//# 1007 indicates that an endpoint is terminating the connection because it has received data within
//# a message that was not consistent with the type of the message
both_roles!(fails_connection_on_a_text_that_is_not_utf8);
fn fails_connection_on_a_text_that_is_not_utf8(role: Role) {
    let vectors = NOT_UTF8.iter().map(|(_, bytes, _)| *bytes);
    for bytes in vectors.chain(TRUNCATED.iter().copied()) {
        fails_with(1007, role, peer(role).text(bytes));
        // Far from the beginning of a text, where a validator reads several bytes at once.
        let long = [&[b'a'; 1000][..], bytes].concat();
        fails_with(1007, role, peer(role).text(long));
        let surrounded = [&[b'a'; 61][..], bytes, &[b'z'; 61]].concat();
        fails_with(1007, role, peer(role).text(surrounded));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-8.1
//# This rule applies both during the opening handshake and during subsequent data exchange.
both_roles!(fails_connection_on_a_fragmented_text_that_is_not_utf8);
fn fails_connection_on_a_fragmented_text_that_is_not_utf8(role: Role) {
    let peer = peer(role);
    for (_, bytes, _) in NOT_UTF8 {
        for at in 0..=bytes.len() {
            let (first, last) = bytes.split_at(at);
            let frames = [peer.text_begins(first), peer.ends(last)];
            fails_with(1007, role, frames.concat());
        }
    }
}

both_roles!(text_fails_at_the_first_impossible_byte_of_an_unfinished_frame);
fn text_fails_at_the_first_impossible_byte_of_an_unfinished_frame(role: Role) {
    for (what, bytes, possible) in NOT_UTF8 {
        // The header announces 100 more bytes, which never arrive.
        let payload = [bytes, &[b'x'; 100][..]].concat();
        let frame = peer(role).text(&payload);
        let header_bytes = frame.len() - payload.len();
        let (possible, rest) = frame.split_at(header_bytes + possible);

        let mut endpoint = open(role);
        assert_eq!(endpoint.receive(possible), [], "{what}: too early");
        fails_after(&[], 1007, endpoint, &rest[..1]);
        // The result is the same if the bytes arrive one at a time.
        let mut endpoint = open(role);
        let received = endpoint.receive_in_pieces(possible.chunks(1));
        assert_eq!(received, [], "{what}: too early");
        fails_after(&[], 1007, endpoint, &rest[..1]);
    }
}

both_roles!(text_fails_at_the_first_impossible_byte_of_an_unfinished_message);
fn text_fails_at_the_first_impossible_byte_of_an_unfinished_message(role: Role) {
    let peer = peer(role);
    for (what, bytes, possible) in NOT_UTF8 {
        let mut endpoint = open(role);
        assert_eq!(endpoint.receive(peer.text_begins("")), []);
        for byte in &bytes[..*possible] {
            let received = endpoint.receive(peer.goes_on([*byte]));
            assert_eq!(received, [], "{what}: too early");
        }
        let impossible = peer.goes_on([bytes[*possible]]);
        fails_after(&[], 1007, endpoint, impossible);
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.6
//# the whole message MUST contain valid UTF-8.
both_roles!(truncated_text_fails_when_its_message_ends_and_not_before);
fn truncated_text_fails_when_its_message_ends_and_not_before(role: Role) {
    let peer = peer(role);
    for bytes in TRUNCATED {
        let mut endpoint = open(role);
        assert_eq!(endpoint.receive(peer.text_begins(bytes)), []);
        assert_eq!(endpoint.receive(peer.goes_on("")), []);
        fails_after(&[], 1007, endpoint, peer.ends(""));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.6
//# a particular text frame might include a partial UTF-8 sequence; however, the whole message MUST
//# contain valid UTF-8.
both_roles!(character_may_be_split_between_fragments_and_reads_at_any_byte);
fn character_may_be_split_between_fragments_and_reads_at_any_byte(role: Role) {
    let peer = peer(role);
    for border in BORDERS {
        let whole = format!("a{border}{border}z");
        for at in 0..=whole.len() {
            let (first, last) = whole.as_bytes().split_at(at);
            let bytes = [peer.text_begins(first), peer.ends(last)].concat();
            assert_eq!(open(role).receive(&bytes), [text(&*whole)]);
            let received = open(role).receive_in_pieces(bytes.chunks(1));
            assert_eq!(received, [text(&*whole)]);

            let frame = peer.text(&whole);
            let at = frame.len() - whole.len() + at;
            let pieces = [&frame[..at], &frame[at..]];
            let received = open(role).receive_in_pieces(pieces);
            assert_eq!(received, [text(&*whole)]);
        }
    }
}

both_roles!(control_frame_inside_a_character_leaves_it_whole);
fn control_frame_inside_a_character_leaves_it_whole(role: Role) {
    let peer = peer(role);
    let bytes = [
        peer.text_begins(b"\xf0\x9f"),
        peer.ping(b"\xff\xfe"),
        peer.ends(b"\x98\x80"),
    ];
    let events = [ping(b"\xff\xfe"), text("\u{1f600}")];
    assert_eq!(open(role).receive(bytes.concat()), events);
}

both_roles!(utf8_is_validated_in_texts_only);
fn utf8_is_validated_in_texts_only(role: Role) {
    let peer = peer(role);
    for (_, bytes, _) in NOT_UTF8 {
        assert_eq!(open(role).receive(peer.binary(bytes)), [binary(bytes)]);
        assert_eq!(open(role).receive(peer.ping(bytes)), [ping(bytes)]);
        assert_eq!(open(role).receive(peer.pong(bytes)), [pong(bytes)]);
    }
    // A text does not change the validation of a later message.
    let mut endpoint = open(role);
    assert_eq!(endpoint.receive(peer.text("\u{e9}")), [text("\u{e9}")]);
    assert_eq!(endpoint.receive(peer.binary(b"\xff")), [binary(b"\xff")]);
    assert_eq!(endpoint.receive(peer.text("\u{e9}")), [text("\u{e9}")]);
}

both_roles!(application_cannot_send_a_text_in_fragments_that_is_not_utf8);
fn application_cannot_send_a_text_in_fragments_that_is_not_utf8(role: Role) {
    for (what, bytes, _) in NOT_UTF8 {
        let mut output = Vec::new();
        let mut connection = open(role).connection;
        let fragment = Fragment::text(bytes);
        let sent = connection.send_fragment(fragment, &mut output);
        assert_eq!(sent, Err(SendError::TextNotUtf8), "{what}");
        assert_eq!(output, b"");
    }
    for bytes in TRUNCATED {
        let mut output = Vec::new();
        let mut connection = open(role).connection;
        let fragment = Fragment::text(bytes);
        let sent = connection.send_fragment(fragment, &mut output);
        assert_eq!(sent, Ok(()), "it may still become UTF-8");
        let written = output.len();
        let sent = connection.send_fragment(Fragment::text(b"").last(), &mut output);
        assert_eq!(sent, Err(SendError::TextNotUtf8));
        assert_eq!(output.len(), written);
    }
}

#[test]
fn validator_decides_every_vector_however_it_is_cut() {
    for (what, bytes, possible) in NOT_UTF8 {
        for at in 0..=bytes.len() {
            let mut validator = Utf8Validator::default();
            let first = validator.push(&bytes[..at]);
            assert_eq!(first.is_ok(), at <= *possible, "{what}, cut at {at}");
            if first.is_ok() {
                assert!(validator.push(&bytes[at..]).is_err(), "{what}");
            }
        }
    }
    for bytes in TRUNCATED {
        let mut validator = Utf8Validator::default();
        assert!(validator.push(bytes).is_ok());
        assert!(validator.finish().is_err());
    }
    for border in BORDERS {
        let mut validator = Utf8Validator::default();
        for byte in border.as_bytes() {
            assert!(validator.push(&[*byte]).is_ok());
        }
        assert!(validator.finish().is_ok());
    }
}
