//! Frames (RFC 6455 §5.1, §5.2, §5.5): the frames that an endpoint writes, and the headers that
//! it refuses. Every rule is checked as server and as client.

use yamabiko_testing::properties;
use yamabiko_testing::protocol::*;

/// The two lengths at each border of the three encodings of §5.2.
const BORDER_LENGTHS: [(u64, LengthForm); 7] = [
    (0, LengthForm::Bits7),
    (1, LengthForm::Bits7),
    (125, LengthForm::Bits7),
    (126, LengthForm::Bits16),
    (127, LengthForm::Bits16),
    (65_535, LengthForm::Bits16),
    (65_536, LengthForm::Bits64),
];

// ── Who masks (§5.1) ────────────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//# The server MUST close the connection upon receiving a frame that is not masked.
#[test]
fn server_fails_connection_on_unmasked_frame() {
    for opcode in [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] {
        fails_with(1002, Role::Server, WireFrame::new(opcode, b"").bytes());
        fails_with(1002, Role::Server, WireFrame::new(opcode, b"ab").bytes());
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//# A client MUST close a connection if it detects a masked frame.
#[test]
fn client_fails_connection_on_masked_frame() {
    for opcode in [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] {
        for payload in [&b""[..], b"ab"] {
            let frame = WireFrame::new(opcode, payload).masked(RFC_KEY);
            fails_with(1002, Role::Client, frame.bytes());
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//# In this case, a server MAY send a Close frame with a status code of 1002 (protocol error)
#[test]
fn server_sends_its_close_before_the_payload_of_an_unmasked_frame_arrives() {
    let header = WireFrame::new(TEXT, b"").header_claiming(LengthForm::Bits16, 1000);
    fails_with(1002, Role::Server, header);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//# In this case, it MAY use the status code 1002 (protocol error)
#[test]
fn client_sends_its_close_before_the_payload_of_a_masked_frame_arrives() {
    let frame = WireFrame::new(TEXT, b"").masked(RFC_KEY);
    fails_with(
        1002,
        Role::Client,
        frame.header_claiming(LengthForm::Bits16, 1000),
    );
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//# A server MUST NOT mask any frames that it sends to the client.
#[test]
fn server_masks_no_frame() {
    for frame in every_kind_of_frame_from(Role::Server) {
        assert_eq!(frame.masking_key, None, "{frame:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//# a client MUST mask all frames that it sends to the server
#[test]
fn client_masks_every_frame() {
    for frame in every_kind_of_frame_from(Role::Client) {
        assert!(frame.masking_key.is_some(), "{frame:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//# masking is done whether or not the WebSocket Protocol is running over TLS
#[test]
fn client_masks_frames_for_any_transport() {
    // The core does not know the transport: it always masks.
    let connection = || Connection::client(Limits::default(), counting_keys());
    let (mut first, mut second) = (Vec::new(), Vec::new());
    assert_eq!(connection().send(Message::Text("a"), &mut first), Ok(()));
    assert_eq!(connection().send(Message::Text("a"), &mut second), Ok(()));
    assert_eq!(first, second);
    assert!(decode_all(&first)[0].masking_key.is_some());
}

/// One frame of each kind that an endpoint writes: for its application, as a reply, and in a
/// failure.
fn every_kind_of_frame_from(role: Role) -> Vec<WireFrame> {
    let mut output = Vec::new();
    let mut endpoint = open(role);
    for message in [
        Message::Text("Hello"),
        Message::Text(""),
        Message::Binary(b"Hello"),
    ] {
        assert_eq!(endpoint.connection.send(message, &mut output), Ok(()));
    }
    assert_eq!(endpoint.connection.ping(b"Hello", &mut output), Ok(()));
    assert_eq!(endpoint.connection.pong(b"Hello", &mut output), Ok(()));
    for (fragment, last) in [("Hel", false), ("l", false), ("o", true)] {
        let fragment = Fragment::text(fragment.as_bytes());
        let sent = endpoint
            .connection
            .send_fragment(fragment.last_if(last), &mut output);
        assert_eq!(sent, Ok(()));
    }
    endpoint.receive(peer(role).ping("Hello"));
    output.append(&mut endpoint.replies);
    let closed = endpoint
        .connection
        .close((CloseCode::NORMAL, "Hello"), &mut output);
    assert_eq!(closed, Ok(()));

    let mut answering = open(role);
    answering.receive(peer(role).close(1000, ""));
    output.append(&mut answering.replies);

    let mut failing = open(role);
    failing.receive(peer(role).frame(WireFrame::new(0x3, b"")));
    output.append(&mut failing.replies);

    let frames = decode_all(&output);
    assert_eq!(frames.len(), 12);
    frames
}

// ── Reserved bits and opcodes (§5.2) ────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# If a nonzero value is received and none of the negotiated extensions defines the meaning of
//# such a nonzero value, the receiving endpoint MUST _Fail the WebSocket Connection_.
both_roles!(fails_connection_on_each_reserved_bit);
fn fails_connection_on_each_reserved_bit(role: Role) {
    for rsv in 0b001..=0b111 {
        for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
            let frame = WireFrame::new(opcode, b"").rsv(rsv);
            fails_with(1002, role, peer(role).frame(frame));
        }
        let mut in_a_message = open(role);
        assert_eq!(in_a_message.receive(peer(role).text_begins("a")), []);
        let continuation = WireFrame::new(CONTINUATION, b"").rsv(rsv);
        fails_after(&[], 1002, in_a_message, peer(role).frame(continuation));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# MUST be 0 unless an extension is negotiated that defines meanings for non-zero values.
both_roles!(writes_no_reserved_bit);
fn writes_no_reserved_bit(role: Role) {
    for frame in every_kind_of_frame_from(role) {
        assert_eq!(frame.rsv, 0b000, "{frame:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# frame-rsv1 = %x0 / %x1 ; 1 bit in length, MUST be 0 unless ; negotiated otherwise
both_roles!(fails_connection_on_rsv1);
fn fails_connection_on_rsv1(role: Role) {
    let frame = WireFrame::new(TEXT, b"Hello").rsv(0b100);
    fails_with(1002, role, peer(role).frame(frame));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# frame-rsv2 = %x0 / %x1 ; 1 bit in length, MUST be 0 unless ; negotiated otherwise
both_roles!(fails_connection_on_rsv2);
fn fails_connection_on_rsv2(role: Role) {
    let frame = WireFrame::new(TEXT, b"Hello").rsv(0b010);
    fails_with(1002, role, peer(role).frame(frame));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# frame-rsv3 = %x0 / %x1 ; 1 bit in length, MUST be 0 unless ; negotiated otherwise
both_roles!(fails_connection_on_rsv3);
fn fails_connection_on_rsv3(role: Role) {
    let frame = WireFrame::new(TEXT, b"Hello").rsv(0b001);
    fails_with(1002, role, peer(role).frame(frame));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.8
//# The endpoints of a connection MUST negotiate the use of any extensions during the
//# opening handshake.
both_roles!(fails_connection_on_a_frame_of_an_extension_that_was_not_negotiated);
fn fails_connection_on_a_frame_of_an_extension_that_was_not_negotiated(role: Role) {
    // "Hello" as permessage-deflate would send it (RFC 7692 §7.2.3.1).
    let deflated = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let frame = WireFrame::new(TEXT, deflated).rsv(0b100);
    fails_with(1002, role, peer(role).frame(frame));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_.
both_roles!(fails_connection_on_each_reserved_opcode);
fn fails_connection_on_each_reserved_opcode(role: Role) {
    for opcode in RESERVED_OPCODES {
        fails_with(1002, role, peer(role).frame(WireFrame::new(opcode, b"")));
        fails_with(1002, role, peer(role).frame(WireFrame::new(opcode, b"ab")));
        let unfinished = WireFrame::new(opcode, b"").unfinished();
        fails_with(1002, role, peer(role).frame(unfinished));
        assert_eq!(Opcode::from_bits(opcode), None);
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# the type for all fragments in a message MUST be either text, binary, or one of the reserved
//# opcodes.
both_roles!(fails_connection_on_a_reserved_opcode_inside_a_message);
fn fails_connection_on_a_reserved_opcode_inside_a_message(role: Role) {
    for opcode in RESERVED_OPCODES {
        let mut endpoint = open(role);
        assert_eq!(endpoint.receive(peer(role).binary_begins("a")), []);
        let bytes = peer(role).frame(WireFrame::new(opcode, b"a"));
        fails_after(&[], 1002, endpoint, bytes);
    }
}

#[test]
fn opcodes_are_the_six_of_the_registry() {
    let registry = [
        (CONTINUATION, Opcode::Continuation, false),
        (TEXT, Opcode::Text, false),
        (BINARY, Opcode::Binary, false),
        (CLOSE, Opcode::Close, true),
        (PING, Opcode::Ping, true),
        (PONG, Opcode::Pong, true),
    ];
    for (bits, opcode, control) in registry {
        assert_eq!(Opcode::from_bits(bits), Some(opcode));
        assert_eq!(opcode.bits(), bits);
        assert_eq!(opcode.is_control(), control);
    }
    assert!((0x10..=0xFF).all(|bits| Opcode::from_bits(bits).is_none()));
}

// ── Payload length (§5.2) ───────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# Multibyte length quantities are expressed in network byte order.
both_roles!(accepts_messages_of_every_border_length);
fn accepts_messages_of_every_border_length(role: Role) {
    for (length, form) in BORDER_LENGTHS {
        let payload = vec![b'x'; length as usize];
        let frame = WireFrame::new(BINARY, &payload);
        assert_eq!(LengthForm::minimal(length), form);
        let bytes = peer(role).frame(frame);
        assert_eq!(open(role).receive(&bytes), [binary(&payload)]);
        // Cut in two pieces at each place in the header and near it.
        for at in 0..bytes.len().min(16) {
            let pieces = [&bytes[..at], &bytes[at..]];
            assert_eq!(open(role).receive_in_pieces(pieces), [binary(&payload)]);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# the minimal number of bytes MUST be used to encode the length
both_roles!(writes_every_length_in_its_shortest_form);
fn writes_every_length_in_its_shortest_form(role: Role) {
    for (length, _) in BORDER_LENGTHS {
        let payload = vec![0xA5; length as usize];
        // `sent` decodes the frame and asserts the shortest encoding.
        let frame = sent(&mut open(role), Message::Binary(&payload));
        assert_eq!(frame, WireFrame::new(BINARY, &payload));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# the minimal number of bytes MUST be used to encode the length, for example, the length of a
//# 124-byte-long string can't be encoded as the sequence 126, 0, 124.
both_roles!(fails_connection_on_a_length_that_is_not_minimal);
fn fails_connection_on_a_length_that_is_not_minimal(role: Role) {
    for length in [0_u64, 1, 124, 125] {
        let frame = peer(role).masking(WireFrame::new(BINARY, vec![0; length as usize]));
        fails_with(1002, role, frame.bytes_in_form(LengthForm::Bits16));
    }
    for length in [0_u64, 125, 126, 65_535] {
        let frame = peer(role).masking(WireFrame::new(BINARY, vec![0; length as usize]));
        fails_with(1002, role, frame.bytes_in_form(LengthForm::Bits64));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# the following 8 bytes interpreted as a 64-bit unsigned integer (the most significant bit MUST
//# be 0) are the payload length.
both_roles!(fails_connection_on_a_64_bit_length_with_the_top_bit_set);
fn fails_connection_on_a_64_bit_length_with_the_top_bit_set(role: Role) {
    // The limit allows this length, so the endpoint refuses the encoding.
    for length in [1 << 63, (1 << 63) + 1, u64::MAX] {
        let endpoint = Endpoint::new(role, limits(usize::MAX, u32::MAX, 0));
        let frame = peer(role).masking(WireFrame::new(BINARY, b""));
        let header = frame.header_claiming(LengthForm::Bits64, length);
        fails_after(&[], 1002, endpoint, header);
    }
}

// ── The byte that decides ───────────────────────────────────────────────────

/// Passes a header to an endpoint byte by byte. The endpoint must fail exactly at the byte
/// `deciding`, and with the same result if the whole header arrives at once.
#[track_caller]
fn fails_at_byte(deciding: usize, code: u16, open: impl Fn() -> Endpoint, header: &[u8]) {
    let (before, decided) = (&header[..deciding - 1], &header[..deciding]);
    let mut cut = open();
    assert_eq!(cut.receive_in_pieces(before.chunks(1)), [], "{before:x?}");
    assert_eq!(cut.connection.state(), State::Open);
    assert_eq!(cut.replies, b"");
    let last_byte = &decided[deciding - 1..];
    assert_eq!(cut.receive(last_byte), [Received::Failed(code)]);

    for bytes in [header, decided] {
        let mut whole = open();
        assert_eq!(whole.receive(bytes), [Received::Failed(code)], "{bytes:x?}");
        let close = |endpoint: &mut Endpoint| endpoint.take_replies();
        let mut again = open();
        again.receive_in_pieces(bytes.chunks(1));
        assert_eq!(close(&mut whole), close(&mut again), "{bytes:x?}");
    }
    fails_after(&[], code, open(), decided);
}

fn header(role: Role, frame: WireFrame, form: LengthForm, length: u64) -> Vec<u8> {
    peer(role).masking(frame).header_claiming(form, length)
}

// Every invalid first byte, followed by valid bytes or by further faults.
both_roles!(header_is_refused_at_its_first_byte);
fn header_is_refused_at_its_first_byte(role: Role) {
    let (bits16, bits64) = (LengthForm::Bits16, LengthForm::Bits64);
    let mut illegal = Vec::new();
    for opcode in RESERVED_OPCODES {
        illegal.push((false, WireFrame::new(opcode, b"")));
    }
    for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
        illegal.extend((1..8).map(|rsv| (false, WireFrame::new(opcode, b"").rsv(rsv))));
    }
    for opcode in [CLOSE, PING, PONG] {
        illegal.push((false, WireFrame::new(opcode, b"").unfinished()));
        illegal.push((true, WireFrame::new(opcode, b"").unfinished()));
    }
    illegal.push((false, WireFrame::new(CONTINUATION, b"")));
    illegal.push((true, WireFrame::new(TEXT, b"")));
    illegal.push((true, WireFrame::new(BINARY, b"").unfinished()));
    illegal.extend((1..8).map(|rsv| (true, WireFrame::new(CONTINUATION, b"").rsv(rsv))));
    for (in_a_message, frame) in illegal {
        let start = || {
            let mut endpoint = open(role);
            if in_a_message {
                assert_eq!(endpoint.receive(peer(role).text_begins("a")), []);
            }
            endpoint
        };
        let wrongly_masked = match role {
            Role::Server => frame.clone().unmasked(),
            Role::Client => frame.clone().masked(RFC_KEY),
        };
        for header in [
            header(role, frame.clone(), LengthForm::Bits7, 5),
            header(role, frame.clone(), bits16, 5),
            header(role, frame.clone(), bits64, u64::MAX),
            wrongly_masked.header_claiming(bits64, 5),
        ] {
            fails_at_byte(1, 1002, start, &header);
        }
    }
}

both_roles!(fragment_over_the_limit_is_refused_at_its_first_byte);
fn fragment_over_the_limit_is_refused_at_its_first_byte(role: Role) {
    let start = || {
        let mut endpoint = Endpoint::new(role, limits(1000, 1, 1000));
        assert_eq!(endpoint.receive(peer(role).text_begins("a")), []);
        endpoint
    };
    for length in [0, 125] {
        let frame = WireFrame::new(CONTINUATION, b"");
        let header = header(role, frame, LengthForm::Bits7, length);
        fails_at_byte(1, 1008, start, &header);
    }
}

both_roles!(header_is_refused_at_its_second_byte);
fn header_is_refused_at_its_second_byte(role: Role) {
    let start = || open(role);
    for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
        let frame = WireFrame::new(opcode, b"");
        let wrongly_masked = match role {
            Role::Server => frame.unmasked(),
            Role::Client => frame.masked(RFC_KEY),
        };
        for (length, form) in BORDER_LENGTHS {
            let header = wrongly_masked.header_claiming(form, length);
            fails_at_byte(2, 1002, start, &header);
        }
        let not_minimal = wrongly_masked.header_claiming(LengthForm::Bits16, 5);
        fails_at_byte(2, 1002, start, &not_minimal);
    }
    for opcode in [CLOSE, PING, PONG] {
        for (form, length) in [
            (LengthForm::Bits16, 126),
            (LengthForm::Bits16, 125),
            (LengthForm::Bits64, 65_536),
            (LengthForm::Bits64, u64::MAX),
        ] {
            let header = header(role, WireFrame::new(opcode, b""), form, length);
            fails_at_byte(2, 1002, start, &header);
        }
    }
    // The body of a Close has a code of two bytes, or is empty.
    let close = header(role, WireFrame::new(CLOSE, b""), LengthForm::Bits7, 1);
    fails_at_byte(2, 1002, start, &close);
}

both_roles!(length_is_refused_at_the_byte_that_decides);
fn length_is_refused_at_the_byte_that_decides(role: Role) {
    let no_limit = || Endpoint::new(role, limits(usize::MAX, u32::MAX, 1000));
    let frame = || WireFrame::new(BINARY, b"");
    let header = |form, length| header(role, frame(), form, length);
    let (bits16, bits64) = (LengthForm::Bits16, LengthForm::Bits64);
    for length in [1 << 63, u64::MAX] {
        fails_at_byte(3, 1002, no_limit, &header(bits64, length));
    }
    for length in [0, 125] {
        fails_at_byte(4, 1002, no_limit, &header(bits16, length));
    }
    for length in [0, 125, 126, 65_535] {
        fails_at_byte(8, 1002, no_limit, &header(bits64, length));
    }
}

both_roles!(message_too_big_is_refused_at_the_byte_that_decides);
fn message_too_big_is_refused_at_the_byte_that_decides(role: Role) {
    let (bits7, bits16, bits64) = (LengthForm::Bits7, LengthForm::Bits16, LengthForm::Bits64);
    for (limit, form, length, deciding) in [
        (99, bits7, 100, 2),
        (125, bits16, 126, 2),
        (255, bits16, 256, 3),
        (300, bits16, 0x012D, 4),
        (65_535, bits64, 65_536, 2),
        (1 << 20, bits64, (1 << 20) + 1, 10),
        (1 << 20, bits64, 1 << 62, 3),
        (1 << 20, bits64, 1 << 21, 8),
    ] {
        let start = || Endpoint::new(role, limits(limit, 4, 1000));
        let header = header(role, WireFrame::new(BINARY, b""), form, length);
        fails_at_byte(deciding, 1009, start, &header);
    }
}

#[test]
fn header_is_refused_at_the_byte_that_makes_it_invalid() {
    use FrameError::{LengthNotMinimal, LengthOver63Bits, ReservedOpcode};
    for (front, error) in [
        (&b"\x83"[..], ReservedOpcode(3)),
        (b"\x82\x7f\x80", LengthOver63Bits),
        (b"\x82\x7e\x00\x7d", LengthNotMinimal),
        (b"\x82\x7f\x00\x00\x00\x00\x00\x00", LengthNotMinimal),
    ] {
        let (_, before) = front.split_last().expect("not empty");
        assert_eq!(FrameHeader::parse(before), Ok(None));
        assert_eq!(FrameHeader::parse(front), Err(error));
    }
}

both_roles!(decoder_refuses_a_header_at_the_byte_that_decides);
fn decoder_refuses_a_header_at_the_byte_that_decides(role: Role) {
    use FrameError as Error;
    let masked = peer(role).masking(WireFrame::new(TEXT, b"")).bytes()[1];
    for (front, error) in [
        (&[0x87][..], Error::ReservedOpcode(7)),
        (&[0xA1], Error::ReservedBits(0b010)),
        (&[0x09], Error::ControlFrameFragmented),
        (&[0x89, masked | 126], Error::ControlFrameTooLong),
        (&[0x89, masked | 127], Error::ControlFrameTooLong),
        (&[0x81, masked | 126, 0, 125], Error::LengthNotMinimal),
        (&[0x81, masked | 127, 0x80], Error::LengthOver63Bits),
        (
            &[0x81, masked | 127, 0, 0, 0, 0, 0, 0],
            Error::LengthNotMinimal,
        ),
    ] {
        let (last, before) = front.split_last().expect("not empty");
        let bytewise: Vec<_> = before.chunks(1).collect();
        assert_eq!(properties::decode(role, &bytewise), (vec![], None));
        let mut whole = front.to_vec();
        whole.extend([0; 20]);
        for pieces in [&[before, &[*last]][..], &[front], &[&whole]] {
            let (frames, failure) = properties::decode(role, pieces);
            assert_eq!((frames, failure), (vec![], Some(error)));
        }
    }
}

both_roles!(check_names_the_first_rule_that_a_header_breaks);
fn check_names_the_first_rule_that_a_header_breaks(role: Role) {
    use FrameError as Error;
    let (masked, wrongly_masked, wrong_mask) = match role {
        Role::Server => (Some(RFC_KEY), None, Error::NotMasked),
        Role::Client => (None, Some(RFC_KEY), Error::Masked),
    };
    let valid = |opcode, payload_length| FrameHeader {
        fin: true,
        rsv: 0b000,
        opcode,
        masking_key: masked,
        payload_length,
    };
    let ping = valid(Opcode::Ping, 125);
    let text = valid(Opcode::Text, u64::MAX >> 1);
    let fragment = FrameHeader { fin: false, ..text };
    for header in [ping, text, fragment, valid(Opcode::Continuation, 0)] {
        assert_eq!(header.check(role), Ok(()));
        for rsv in 0b001..=0b111 {
            let header = FrameHeader { rsv, ..header };
            assert_eq!(header.check(role), Err(Error::ReservedBits(rsv)));
        }
        let masking_key = wrongly_masked;
        let header = FrameHeader {
            masking_key,
            ..header
        };
        assert_eq!(header.check(role), Err(wrong_mask));
    }
    for opcode in [Opcode::Close, Opcode::Ping, Opcode::Pong] {
        let long = valid(opcode, 126);
        assert_eq!(long.check(role), Err(Error::ControlFrameTooLong));
        let fragmented = FrameHeader { fin: false, ..long };
        assert_eq!(fragmented.check(role), Err(Error::ControlFrameFragmented));
    }
}

both_roles!(decoder_reports_the_number_of_remaining_payload_bytes);
fn decoder_reports_the_number_of_remaining_payload_bytes(role: Role) {
    let mut bytes = peer(role).binary([7; 200]);
    let header_bytes = bytes.len() - 200;
    let mut decoder = FrameDecoder::new(role);
    let (header, mut payload) = bytes.split_at_mut(header_bytes);
    for byte in header.chunks_mut(1) {
        assert_eq!(decoder.remaining(), None, "between frames, or in a header");
        assert!(decoder.next(&mut &mut byte[..]).is_ok());
    }
    assert_eq!(decoder.remaining(), Some(200));
    for (piece, remaining) in [(1, 199), (150, 49), (49, 0)] {
        let (mut front, rest) = payload.split_at_mut(piece);
        assert!(matches!(
            decoder.next(&mut front),
            Ok(Some(FramePart::Payload(_)))
        ));
        assert_eq!(decoder.remaining(), Some(remaining));
        payload = rest;
    }
    assert_eq!(decoder.next(&mut payload), Ok(Some(FramePart::End)));
    assert_eq!(decoder.remaining(), None);
}

both_roles!(decoder_repeats_its_error_for_any_further_input);
fn decoder_repeats_its_error_for_any_further_input(role: Role) {
    for form in [LengthForm::Bits7, LengthForm::Bits16, LengthForm::Bits64] {
        let length = match form {
            LengthForm::Bits7 => 5,
            LengthForm::Bits16 => 126,
            LengthForm::Bits64 => 65_536,
        };
        for key in [None, Some(RFC_KEY)] {
            let frame = WireFrame {
                masking_key: key,
                ..WireFrame::new(PING, b"").unfinished()
            };
            let header = frame.header_claiming(form, length);
            for arrived in 1..=header.len() {
                let mut decoder = FrameDecoder::new(role);
                let mut front = header[..arrived].to_vec();
                let error = decoder.next(&mut &mut front[..]);
                assert_eq!(error, Err(FrameError::ControlFrameFragmented));
                for _ in 0..3 {
                    let mut more = *b"\x81\x05Hello\x81\x05Hello";
                    assert_eq!(decoder.next(&mut &mut more[..]), error);
                    assert_eq!(decoder.next(&mut &mut more[..1]), error);
                }
            }
        }
    }
}

// ── The header alone ────────────────────────────────────────────────────────

#[test]
fn parser_needs_more_bytes_for_every_incomplete_header() {
    for (length, form) in BORDER_LENGTHS {
        for key in [None, Some(RFC_KEY)] {
            let masking_key = key;
            let frame = WireFrame {
                masking_key,
                ..WireFrame::new(TEXT, b"")
            };
            let bytes = frame.header_claiming(form, length);
            for at in 0..bytes.len() {
                assert_eq!(FrameHeader::parse(&bytes[..at]), Ok(None));
            }
            let header = FrameHeader {
                fin: true,
                rsv: 0b000,
                opcode: Opcode::Text,
                masking_key,
                payload_length: length,
            };
            let length_of_header = bytes.len();
            assert_eq!(
                FrameHeader::parse(&bytes),
                Ok(Some((header, length_of_header)))
            );
            let more = [&bytes[..], b"payload"].concat();
            assert_eq!(
                FrameHeader::parse(&more),
                Ok(Some((header, length_of_header)))
            );
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//# Incoming data MUST be parsed as WebSocket frames as defined in Section 5.2.
#[test]
fn each_part_of_the_first_byte_has_its_own_bits() {
    for fin in [false, true] {
        for (opcode, bits) in [(Opcode::Text, TEXT), (Opcode::Continuation, CONTINUATION)] {
            let first = if fin { 0b1000_0000 | bits } else { bits };
            let parsed = FrameHeader::parse(&[first, 0b0000_0111]);
            let header = FrameHeader {
                fin,
                rsv: 0b000,
                opcode,
                masking_key: None,
                payload_length: 7,
            };
            assert_eq!(parsed, Ok(Some((header, 2))));
            let mut encoded = Vec::new();
            header.encode(&mut encoded);
            assert_eq!(encoded, [first, 0b0000_0111]);
        }
    }
}

both_roles!(decoder_returns_a_payload_as_it_arrives_without_buffering_it);
fn decoder_returns_a_payload_as_it_arrives_without_buffering_it(role: Role) {
    let payload = b"a payload that is not buffered";
    let bytes = peer(role).binary(payload);
    for length in 1..=bytes.len() {
        let pieces: Vec<_> = bytes.chunks(length).collect();
        let (frames, error) = properties::decode(role, &pieces);
        assert_eq!(error, None);
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].header.opcode, Opcode::Binary);
        assert_eq!(frames[0].payload, payload);
        assert!(frames[0].ended);
    }
}
