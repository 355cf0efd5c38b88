//! Masking (RFC 6455 §5.3, §10.3).

use proptest::prelude::*;
use std::sync::{Arc, Mutex};
use yamabiko_testing::protocol::*;

/// A client with the masking keys `1, 2, 3 ...`, and the list of the keys that it has drawn.
fn client_with_a_record_of_its_keys() -> (Endpoint, Arc<Mutex<Vec<[u8; 4]>>>) {
    let drawn = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&drawn);
    let mut count = 0_u32;
    let keys = move || {
        count += 1;
        record.lock().unwrap().push(count.to_be_bytes());
        count.to_be_bytes()
    };
    let client = Endpoint {
        role: Role::Client,
        connection: Connection::client(Limits::default(), keys),
        replies: Vec::new(),
    };
    (client, drawn)
}

/// The frames of a client that has written one of every kind, and the keys that it has drawn.
fn frames_and_keys() -> (Vec<WireFrame>, Vec<[u8; 4]>) {
    let (mut client, drawn) = client_with_a_record_of_its_keys();
    let mut output = Vec::new();
    for _ in 0..3 {
        let message = Message::Text("the same text");
        assert_eq!(client.connection.send(message, &mut output), Ok(()));
    }
    for last in [false, false, true] {
        let fragment = Fragment::binary(b"the same bytes");
        let sent = client
            .connection
            .send_fragment(fragment.last_if(last), &mut output);
        assert_eq!(sent, Ok(()));
    }
    let server = peer(Role::Client);
    let pings = [server.ping("once"), server.ping("twice")].concat();
    assert_eq!(client.receive(pings), [ping("once"), ping("twice")]);
    output.append(&mut client.replies);
    client.receive(server.close(1000, ""));
    output.append(&mut client.replies);
    let drawn = drawn.lock().unwrap().clone();
    (decode_all(&output), drawn)
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
//# the client MUST pick a fresh masking key from the set of allowed 32-bit values.
#[test]
fn client_draws_a_fresh_masking_key_for_each_frame() {
    let (frames, drawn) = frames_and_keys();
    let used: Vec<_> = frames.iter().map(|frame| frame.masking_key).collect();
    let drawn: Vec<_> = drawn.into_iter().map(Some).collect();
    assert_eq!(used.len(), 9);
    assert_eq!(used, drawn, "one key for each frame, in order");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
//# The masking key is a 32-bit value chosen at random by the client.
#[test]
fn all_32_bits_of_a_masking_key_reach_the_wire() {
    for bit in 0..32 {
        let key = (1_u32 << bit).to_be_bytes();
        let mut client = Connection::client(Limits::default(), move || key);
        let mut output = Vec::new();
        assert_eq!(client.send(Message::Text("Hello"), &mut output), Ok(()));
        let frames = decode_all(&output);
        assert_eq!(frames, [WireFrame::new(TEXT, b"Hello").masked(key)]);
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
//# A masked frame MUST have the field frame-masked set to 1, as defined in Section 5.2.
#[test]
fn masked_frame_has_the_mask_bit_set() {
    let mut client = Connection::client(Limits::default(), || RFC_KEY);
    let mut output = Vec::new();
    assert_eq!(client.send(Message::Text("Hello"), &mut output), Ok(()));
    // The bytes of §5.7: 0x85 is the mask bit and a length of 5.
    assert_eq!(output, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
//# the masking key MUST be derived from a strong source of entropy
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
//# the masking key for a given frame MUST NOT make it simple for a server/proxy to predict the
//# masking key for a subsequent frame.
#[test]
fn client_uses_the_given_keys_unchanged() {
    // The core has no source of entropy; the caller passes one. Each key is used unchanged, so
    // the keys on the wire are as unpredictable as the source.
    let (frames, drawn) = frames_and_keys();
    assert_eq!((frames.len(), drawn.len()), (9, 9));
    for (frame, key) in frames.iter().zip(drawn) {
        assert_eq!(frame.masking_key, Some(key));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-10.3
//# Clients MUST choose a new masking key for each frame, using an algorithm that cannot be
//# predicted by end applications that provide data.
#[test]
fn key_does_not_depend_on_the_data_that_it_masks() {
    let keys_for = |payloads: [&[u8]; 3]| {
        let mut client = Connection::client(Limits::default(), counting_keys());
        let mut output = Vec::new();
        for payload in payloads {
            let sent = client.send(Message::Binary(payload), &mut output);
            assert_eq!(sent, Ok(()));
        }
        let frames = decode_all(&output).into_iter();
        frames.map(|frame| frame.masking_key).collect::<Vec<_>>()
    };
    let keys = keys_for([b"", b"", b""]);
    assert_eq!(keys, keys_for([b"one", b"another", &[0xFF; 1000]]));
    assert!(keys[0] != keys[1] && keys[1] != keys[2]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-10.3
//# new or changed data must be sent in a new frame and thus with a new masking key.
#[test]
fn data_sent_again_is_sent_in_a_new_frame_with_a_new_key() {
    let (frames, _) = frames_and_keys();
    assert_eq!(frames[0].payload, frames[1].payload);
    assert_ne!(frames[0].masking_key, frames[1].masking_key);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-10.3
//# once the transmission of a frame from a client has begun, the payload (application-supplied
//# data) of that frame must not be capable of being modified by the application.
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.3
//# once transmission of a frame begins, the contents must not be modifiable by the remote script
#[test]
fn frame_keeps_its_contents_when_the_application_changes_its_data() {
    let mut client = Connection::client(Limits::default(), counting_keys());
    let mut data = b"before".to_vec();
    let mut output = Vec::new();
    assert_eq!(client.send(Message::Binary(&data), &mut output), Ok(()));
    data.copy_from_slice(b"after!");
    assert_eq!(decode_all(&output)[0].payload, b"before");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//# A server MUST remove masking for data frames received from a client as described in Section 5.3.
#[test]
fn server_unmasks_with_any_key_however_the_input_is_cut() {
    let payload: Vec<u8> = (0..=255).collect();
    for key in [[0; 4], RFC_KEY, [0xFF; 4], [1, 0, 0, 0], [0, 0, 0, 1]] {
        let bytes = WireFrame::new(BINARY, &payload).masked(key).bytes();
        for length in 1..=9 {
            let mut server = open(Role::Server);
            let received = server.receive_in_pieces(bytes.chunks(length));
            assert_eq!(received, [binary(&payload)]);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
//# The payload length, indicated in the framing as frame-payload-length, does NOT include the
//# length of the masking key.
#[test]
fn payload_length_does_not_include_the_masking_key() {
    for length in [0, 1, 4, 125, 126, 65_535, 65_536] {
        let payload = vec![7; length];
        let frame = sent(&mut open(Role::Client), Message::Binary(&payload));
        // `sent` parses the header, the key and the payload; no byte is left over.
        assert_eq!(frame.payload, payload);
        let bytes = WireFrame::new(BINARY, &payload).masked(RFC_KEY).bytes();
        assert_eq!(open(Role::Server).receive(bytes), [binary(&payload)]);
    }
}

/// The rule of §5.3, byte by byte, for comparison with the fast code.
fn masked_by_the_rule(payload: &[u8], key: [u8; 4], offset: usize) -> Vec<u8> {
    let bytes = payload.iter().enumerate();
    bytes.map(|(i, o)| o ^ key[(offset + i) % 4]).collect()
}

proptest! {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
    //# Octet i of the transformed data ("transformed-octet-i") is the XOR of octet i of the original
    //# data ("original-octet-i") with octet at index i modulo 4 of the masking key
    #[test]
    fn mask_equals_the_rule_of_the_rfc_at_any_offset_and_alignment(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        skip in 0_usize..40,
        key: [u8; 4],
        offset in 0_usize..1000,
    ) {
        let mut masked = bytes.clone();
        let skip = skip.min(bytes.len()); // another alignment in memory
        mask(&mut masked[skip..], key, offset);
        prop_assert_eq!(&masked[..skip], &bytes[..skip]);
        prop_assert_eq!(&masked[skip..], &masked_by_the_rule(&bytes[skip..], key, offset));
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
    //# The masking does not affect the length of the "Payload data".
    #[test]
    fn masking_twice_is_the_identity_and_keeps_the_length(
        bytes in prop::collection::vec(any::<u8>(), 0..300), key: [u8; 4], offset: u8,
    ) {
        let mut twice = bytes.clone();
        mask(&mut twice, key, usize::from(offset));
        mask(&mut twice, key, usize::from(offset));
        prop_assert_eq!(&twice, &bytes);
        let frame = sent(&mut open(Role::Client), Message::Binary(&bytes));
        prop_assert_eq!(frame.payload.len(), bytes.len());
    }

    #[test]
    fn masking_in_pieces_is_masking_at_once(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        lengths in prop::collection::vec(any::<u8>(), 1..8),
        key: [u8; 4],
    ) {
        let mut offset = 0;
        let mut in_pieces = Vec::new();
        for piece in cut(&bytes, &lengths) {
            let mut piece = piece.to_vec();
            mask(&mut piece, key, offset);
            offset += piece.len();
            in_pieces.extend(piece);
        }
        prop_assert_eq!(in_pieces, masked_by_the_rule(&bytes, key, 0));
    }
}
