//! Random byte streams between two endpoints. Each endpoint receives the messages that the other
//! one sends, however the bytes between them are cut. For any input, an endpoint has the events
//! of the model of RFC 6455 (`yamabiko_testing::properties::model`), however the input is cut.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use yamabiko_testing::properties::round_trip::{Outgoing, Step, play};
use yamabiko_testing::properties::{cut_and_uncut_agree, decode, limits_of, utf8};
use yamabiko_testing::protocol::*;

/// The number of cases is `PROPTEST_CASES`, or 256 if it is not set. Cases that failed are
/// saved beside this file, and run first the next time.
fn config() -> ProptestConfig {
    let file = FileFailurePersistence::Direct("tests/websocket/byte_streams.proptest-regressions");
    ProptestConfig {
        failure_persistence: Some(Box::new(file)),
        ..ProptestConfig::default()
    }
}

// ── The input of a peer ─────────────────────────────────────────────────────

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(Role::Client)]
}

fn bytes(length_max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=length_max)
}

/// Texts with characters of each length.
fn texts() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        Just('a'),
        Just('\u{e9}'),
        Just('\u{20ac}'),
        Just('\u{1f600}'),
        any::<char>(),
    ];
    vec(character, 0..40).prop_map(String::from_iter)
}

/// A valid message in one frame or several, with control frames in between.
fn message() -> impl Strategy<Value = Vec<WireFrame>> {
    let payload = prop_oneof![
        texts().prop_map(|text| (TEXT, text.into_bytes())),
        bytes(150).prop_map(|bytes| (BINARY, bytes)),
    ];
    (payload, 1_usize..200, vec(control_frame(), 0..3)).prop_map(
        |((opcode, payload), fragment_bytes, controls)| {
            let mut frames: Vec<_> = payload
                .chunks(fragment_bytes)
                .map(|part| WireFrame::new(CONTINUATION, part).unfinished())
                .collect();
            if frames.is_empty() {
                frames.push(WireFrame::new(CONTINUATION, b""));
            }
            frames[0].opcode = opcode;
            if let Some(last) = frames.last_mut() {
                last.fin = true;
            }
            for control in controls {
                let at = frames.len() / 2;
                frames.insert(at, control);
            }
            frames
        },
    )
}

fn control_frame() -> impl Strategy<Value = WireFrame> {
    let opcode = prop_oneof![Just(PING), Just(PONG)];
    (opcode, bytes(125)).prop_map(|(opcode, payload)| WireFrame::new(opcode, payload))
}

fn close_frame() -> impl Strategy<Value = WireFrame> {
    let code = prop_oneof![
        Just(1000_u16),
        Just(1001),
        Just(1005),
        Just(4999),
        any::<u16>()
    ];
    prop_oneof![
        Just(WireFrame::new(CLOSE, b"")),
        Just(WireFrame::new(CLOSE, b"\x03")),
        (code.clone(), texts()).prop_map(|(code, text)| {
            WireFrame::close(code, text.chars().take(30).collect::<String>())
        }),
        (code, bytes(20)).prop_map(|(code, bytes)| WireFrame::close(code, bytes)),
    ]
}

/// Any first byte and any payload. Most of these frames break a rule.
fn any_frame() -> impl Strategy<Value = WireFrame> {
    (any::<u8>(), bytes(150)).prop_map(|(first, payload)| WireFrame {
        fin: first & 0x80 != 0,
        rsv: (first >> 4) & 0b111,
        ..WireFrame::new(first & 0x0F, payload)
    })
}

/// The frames of a peer of an endpoint with this role: most are valid, and one may break any
/// rule at any place.
fn session(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let frames = prop_oneof![
        8 => message(),
        4 => control_frame().prop_map(|frame| vec![frame]),
        1 => close_frame().prop_map(|frame| vec![frame]),
        1 => any_frame().prop_map(|frame| vec![frame]),
    ];
    let masked = move |frames: Vec<WireFrame>, key: [u8; 4]| {
        let frames = frames.into_iter().map(|frame| match role {
            Role::Server => frame.masked(key),
            Role::Client => frame,
        });
        frames.flat_map(|frame| frame.bytes()).collect::<Vec<u8>>()
    };
    let valid = (frames, any::<[u8; 4]>());
    let piece = prop_oneof![
        12 => valid.prop_map(move |(frames, key)| masked(frames, key)),
        1 => bytes(30), // no frame at all
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn lengths_of_pieces() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(vec![1]), vec(0_u8..8, 1..6), bytes(6)]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_session_has_the_events_of_the_model_however_it_is_cut(
        (role, session) in role().prop_flat_map(|role| (Just(role), session(role))),
        lengths in lengths_of_pieces(),
        limits in 0_u8..3,
    ) {
        cut_and_uncut_agree(role, limits_of(limits), &lengths, &session);
    }

    #[test]
    fn any_bytes_have_the_events_of_the_model_however_they_are_cut(
        role in role(),
        input in bytes(200),
        lengths in lengths_of_pieces(),
        limits in 0_u8..3,
    ) {
        cut_and_uncut_agree(role, limits_of(limits), &lengths, &input);
    }

    #[test]
    fn truncated_session_has_the_events_of_the_bytes_that_arrived(
        (role, session) in role().prop_flat_map(|role| (Just(role), session(role))),
        end: prop::sample::Index,
    ) {
        let prefix = &session[..end.index(session.len() + 1)];
        cut_and_uncut_agree(role, Limits::default(), &[1], prefix);
    }
}

// ── Two endpoints ───────────────────────────────────────────────────────────

fn sent() -> impl Strategy<Value = Outgoing> {
    prop_oneof![
        texts().prop_map(Outgoing::Text),
        bytes(300).prop_map(Outgoing::Binary),
        bytes(125).prop_map(Outgoing::Ping),
        bytes(125).prop_map(Outgoing::Pong),
        // Both longer encodings of a length.
        (126_usize..70_000).prop_map(|length| Outgoing::Binary(vec![0x5A; length])),
    ]
}

/// A text or bytes, cut into parts at any byte, empty parts included.
fn fragments() -> impl Strategy<Value = (bool, Vec<Vec<u8>>)> {
    let payload = prop_oneof![
        texts().prop_map(|text| (true, text.into_bytes())),
        bytes(200).prop_map(|bytes| (false, bytes)),
    ];
    (payload, vec(0_u8..12, 0..6)).prop_map(|((text, payload), lengths)| {
        let parts = cut(&payload, &lengths).into_iter();
        let mut parts: Vec<_> = parts.map(<[u8]>::to_vec).collect();
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        (text, parts)
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (role(), sent()).prop_map(|(from, sent)| Step::Send(from, sent)),
        4 => (role(), fragments(), any::<bool>()).prop_map(|(from, (text, parts), pings)| {
            Step::Fragments { from, text, parts, pings }
        }),
        8 => (role(), 0_usize..400).prop_map(|(to, bytes)| Step::Carry(to, bytes)),
        1 => (role(), prop::option::of(3000_u16..5000)).prop_map(|(from, code)| {
            Step::Close(from, code)
        }),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn client_and_server_receive_each_others_messages(steps in vec(step(), 0..30)) {
        play(&steps);
    }

    #[test]
    fn message_is_the_same_in_any_fragments(
        from in role(),
        (text, parts) in fragments(),
        lengths in lengths_of_pieces(),
    ) {
        let mut sender = open(from);
        let mut wire = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            let last = i + 1 == parts.len();
            let fragment = if text { Fragment::text(part) } else { Fragment::binary(part) };
            let sent = sender.connection.send_fragment(fragment.last_if(last), &mut wire);
            prop_assert_eq!(sent, Ok(()));
        }
        let whole = parts.concat();
        let expected = match String::from_utf8(whole.clone()) {
            Ok(whole) if text => Received::Text(whole),
            _ => Received::Binary(whole),
        };
        let to = if from == Role::Server { Role::Client } else { Role::Server };
        let mut receiver = open(to);
        let received = receiver.receive_in_pieces(cut(&wire, &lengths));
        prop_assert_eq!(received, [expected]);
    }
}

// ── Parts ───────────────────────────────────────────────────────────────────

fn header() -> impl Strategy<Value = FrameHeader> {
    let length = prop_oneof![
        0_u64..=130,
        65_530_u64..=65_540,
        any::<u64>().prop_map(|length| length >> 1),
        Just(u64::MAX >> 1),
    ];
    let data = prop_oneof![
        Just(Opcode::Continuation),
        Just(Opcode::Text),
        Just(Opcode::Binary)
    ];
    let control = prop_oneof![Just(Opcode::Close), Just(Opcode::Ping), Just(Opcode::Pong)];
    let opcode_and_form = prop_oneof![
        (data, any::<bool>(), length),
        (control, Just(true), 0_u64..=125),
    ];
    (opcode_and_form, any::<Option<[u8; 4]>>()).prop_map(
        |((opcode, fin, payload_length), masking_key)| FrameHeader {
            fin,
            rsv: 0b000,
            opcode,
            masking_key,
            payload_length,
        },
    )
}

/// Bytes that are partly UTF-8.
fn nearly_utf8() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => texts().prop_map(String::into_bytes),
        1 => bytes(3),
        1 => vec(prop_oneof![0x80..=0xBF_u8, 0xC0..=0xFF_u8], 0..4),
        1 => Just(vec![b'a'; 70]),
    ];
    vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn header_that_is_encoded_is_the_header_that_is_parsed(header in header()) {
        let mut encoded = Vec::new();
        header.encode(&mut encoded);
        let length = encoded.len();
        prop_assert_eq!(FrameHeader::parse(&encoded), Ok(Some((header, length))));
        for at in 0..length {
            prop_assert_eq!(FrameHeader::parse(&encoded[..at]), Ok(None));
        }
    }

    #[test]
    fn decoder_returns_the_frames_on_the_wire_however_they_are_cut(
        role in role(),
        messages in vec(message(), 0..4),
        lengths in lengths_of_pieces(),
    ) {
        let frames = messages.concat();
        let wire: Vec<u8> = frames.iter().flat_map(|f| peer(role).frame(f.clone())).collect();
        let (decoded, error) = decode(role, &cut(&wire, &lengths));
        prop_assert_eq!(error, None);
        prop_assert_eq!(decoded.len(), frames.len());
        for (decoded, frame) in decoded.iter().zip(&frames) {
            prop_assert!(decoded.ended);
            prop_assert_eq!(&decoded.payload, &frame.payload);
            prop_assert_eq!(decoded.header.opcode.bits(), frame.opcode);
            prop_assert_eq!(decoded.header.fin, frame.fin);
        }
    }

    #[test]
    fn validator_agrees_with_the_standard_library_at_every_cut(
        input in nearly_utf8(),
        lengths in lengths_of_pieces(),
    ) {
        let spec = [&[lengths.len() as u8][..], &lengths, &input].concat();
        utf8(&spec);
        let one_by_one = [&[1, 1][..], &input].concat();
        utf8(&one_by_one);
    }
}
