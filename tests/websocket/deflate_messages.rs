//! RFC 7692 §7.2: compression and decompression of messages, beginning with the RFC's own
//! examples (§7.2.3).

use yamabiko::websocket::MessageDeflater;
use yamabiko::websocket::deflate::{DeflateConfig, DeflateParameters, DeflatePool, WindowBits};
use yamabiko_testing::deflate::{
    EAGER, HELLO, HELLO_AGAIN, HELLO_FINAL, HELLO_FINAL_ALONE, NO_TAKEOVER, TAKEOVER, agreed,
    agreed_within, compressed, fragments, match_of_three, stored, zeros,
};
use yamabiko_testing::inflate::inflate_message;
use yamabiko_testing::protocol::{
    BINARY, CONTINUATION, Connection, Endpoint, Fragment, Limits, Message, Received, Role, TEXT,
    WireFrame, binary, both_roles, cut, decode_all, fails_after, frames_of, limits, peer, ping,
    text,
};

const CORRUPT: u16 = 1007;
const POLICY_VIOLATION: u16 = 1008;
const TOO_BIG: u16 = 1009;

/// The events of the endpoint for these payloads, each in one frame.
fn receives(mut endpoint: Endpoint, payloads: &[&[u8]]) -> Vec<Received> {
    let peer = peer(endpoint.role);
    let frames = payloads.iter().map(|payload| compressed(TEXT, payload));
    let wire: Vec<u8> = frames.flat_map(|frame| peer.frame(frame)).collect();
    endpoint.receive(wire)
}

fn fails(code: u16, endpoint: Endpoint, payload: impl AsRef<[u8]>) {
    let wire = peer(endpoint.role).frame(compressed(BINARY, payload));
    fails_after(&[], code, endpoint, wire);
}

/// The one frame that the endpoint sends for this message, with RSV1 or without.
fn sends(endpoint: &mut Endpoint, message: Message<'_>) -> WireFrame {
    let mut output = Vec::new();
    endpoint.connection.send(message, &mut output).unwrap();
    let [frame] = &decode_all(&output)[..] else {
        panic!("one message is one frame");
    };
    assert_eq!(frame.masking_key.is_some(), endpoint.role == Role::Client);
    frame.clone()
}

// ── §7.2.3: the RFC's examples ──────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//= type=test
//# Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the
//# payload of the message.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//= type=test
//# Decompress the resulting data using DEFLATE.
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.2
//= type=test
//# An endpoint MUST use the following algorithm to receive a message in
//# the form of a compressed message.
fn one_compressed_block_is_inflated(role: Role) {
    let whole = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";
    assert_eq!(decode_all(whole), [compressed(TEXT, HELLO)]);
    for parameters in [TAKEOVER, NO_TAKEOVER] {
        assert_eq!(
            receives(agreed(role, parameters), &[HELLO]),
            [text("Hello")]
        );
    }
    let in_two = b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00";
    let frames = fragments(TEXT, &[&HELLO[..3], &HELLO[3..]]);
    assert_eq!(decode_all(in_two), frames);
    let wire = frames.into_iter().flat_map(|frame| peer(role).frame(frame));
    let wire: Vec<u8> = wire.collect();
    assert_eq!(agreed(role, TAKEOVER).receive(&wire), [text("Hello")]);
    let bytes = cut(&wire, &[1]);
    assert_eq!(
        agreed(role, TAKEOVER).receive_in_pieces(bytes),
        [text("Hello")]
    );
}
both_roles!(one_compressed_block_is_inflated);

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//= type=test
//# Otherwise, the client MUST decompress
//# each new message using the LZ77 sliding window used to process the
//# last compressed message.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//= type=test
//# Otherwise, the server MUST decompress
//# each new message using the LZ77 sliding window used to process the
//# last compressed message.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.2
//= type=test
//# Note that even if some uncompressed messages (with the RSV1 bit
//# unset) are inserted between the two "Hello" messages, they don't
//# affect the LZ77 sliding window.
fn message_may_refer_to_the_last_compressed_one(role: Role) {
    let hellos = [text("Hello"), text("Hello"), text("Hello")];
    let payloads = [HELLO, HELLO_AGAIN, HELLO_AGAIN];
    assert_eq!(receives(agreed(role, TAKEOVER), &payloads), hellos);

    let mut endpoint = agreed(role, TAKEOVER);
    endpoint.receive(peer(role).frame(compressed(TEXT, HELLO)));
    endpoint.receive(peer(role).text("plain"));
    let again = peer(role).frame(compressed(TEXT, HELLO_AGAIN));
    assert_eq!(endpoint.receive(again), [text("Hello")]);
}
both_roles!(message_may_refer_to_the_last_compressed_one);

fn reference_to_an_earlier_message_fails_without_context_takeover(role: Role) {
    let mut endpoint = agreed(role, NO_TAKEOVER);
    endpoint.receive(peer(role).frame(compressed(TEXT, HELLO)));
    fails(CORRUPT, endpoint, HELLO_AGAIN);
    fails(CORRUPT, agreed(role, TAKEOVER), HELLO_AGAIN);
}
both_roles!(reference_to_an_earlier_message_fails_without_context_takeover);

fn stored_block_is_read(role: Role) {
    let payload = b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00";
    assert_eq!(payload[..], stored(b"Hello"));
    // A later message may refer to a stored block too.
    let received = receives(agreed(role, TAKEOVER), &[payload, HELLO_AGAIN]);
    assert_eq!(received, [text("Hello"), text("Hello")]);
}
both_roles!(stored_block_is_read);

fn block_with_bfinal_may_be_followed_by_others(role: Role) {
    for parameters in [TAKEOVER, NO_TAKEOVER] {
        let endpoint = || agreed(role, parameters);
        let received = receives(endpoint(), &[HELLO_FINAL, HELLO_FINAL]);
        assert_eq!(received, [text("Hello"), text("Hello")]);
        // A second stream in the same message, and one that refers to the first.
        let two = [HELLO_FINAL_ALONE, HELLO].concat();
        assert_eq!(receives(endpoint(), &[&two]), [text("HelloHello")]);
        let across = [HELLO_FINAL_ALONE, HELLO_AGAIN].concat();
        assert_eq!(receives(endpoint(), &[&across]), [text("HelloHello")]);
    }
    // The window remains after the end of a stream, in this message and in the next.
    let across = [HELLO_FINAL_ALONE, HELLO_AGAIN].concat();
    let final_again = b"\xf3\x00\x11\x00\x00";
    let received = receives(
        agreed(role, TAKEOVER),
        &[HELLO_FINAL, final_again, &across, HELLO_AGAIN],
    );
    let hello = || text("Hello");
    assert_eq!(received, [hello(), hello(), text("HelloHello"), hello()]);
}
both_roles!(block_with_bfinal_may_be_followed_by_others);

/// Streams of two bytes without content, and a message behind them.
fn streams_end_in_a_message_up_to_the_limit_and_one_more_is_an_error(role: Role) {
    let payload =
        |streams: usize, filler: &[u8]| [filler, &b"\x03\x00".repeat(streams), HELLO].concat();
    let endpoint = || agreed(role, NO_TAKEOVER);
    assert_eq!(receives(endpoint(), &[&payload(8, b"")]), [text("Hello")]);
    // 128 bytes allow two more.
    let mut filler = stored(&[b'-'; 107]);
    filler.pop();
    let expected = "-".repeat(107) + "Hello";
    let received = receives(endpoint(), &[&payload(10, &filler)]);
    assert_eq!(received, [text(&expected)]);
    for payload in [payload(9, b""), payload(11, &filler)] {
        fails(POLICY_VIOLATION, endpoint(), payload);
    }
}
both_roles!(streams_end_in_a_message_up_to_the_limit_and_one_more_is_an_error);

/// After the end of a stream, the window has the bytes of this message and, if there is room,
/// of the messages before.
fn window_reaches_across_the_end_of_a_stream(role: Role) {
    let bytes: Vec<u8> = (0..80_000_u32)
        .map(|i| (i.wrapping_mul(i) >> 9) as u8)
        .collect();
    let farthest = match_of_three(32_768);
    for ahead_of_end in [0, 1, 100, 32_767, 32_768, 32_769, 40_000] {
        let (earlier, last) = bytes[..32_768 + ahead_of_end].split_at(32_768);
        let mut stream = match last {
            [] => b"\x00\x00\x00\xff\xff\x00".to_vec(),
            _ => stored(last),
        };
        stream.pop();
        stream[0] = 1; // BFINAL
        let payloads = [stored(earlier), [stream, farthest.clone()].concat()];
        let frames = payloads.iter().map(|payload| compressed(BINARY, payload));
        let wire: Vec<u8> = frames.flat_map(|frame| peer(role).frame(frame)).collect();
        let far = &bytes[ahead_of_end..ahead_of_end + 3];
        let expected = [binary(earlier), binary([last, far].concat())];
        assert_eq!(agreed(role, TAKEOVER).receive(wire), expected);
    }
}
both_roles!(window_reaches_across_the_end_of_a_stream);

/// A character that the end of a stream divides is in the window too.
fn stream_may_end_inside_a_character(role: Role) {
    // A stored block with BFINAL: "aaa", and two thirds of 山.
    let first = b"\x01\x05\x00\xfa\xff\x61\x61\x61\xe5\xb1";
    // A stored block with its last third, and the rest by reference: 山 again.
    let second = [&b"\x00\x01\x00\xfe\xff\xb1"[..], &match_of_three(3)].concat();
    let payload = [&first[..], &second].concat();
    let received = receives(agreed(role, NO_TAKEOVER), &[&payload]);
    assert_eq!(received, [text("aaa山山")]);
}
both_roles!(stream_may_end_inside_a_character);

fn two_blocks_in_one_message_are_read(role: Role) {
    let payload = b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";
    assert_eq!(
        receives(agreed(role, NO_TAKEOVER), &[payload]),
        [text("Hello")]
    );
}
both_roles!(two_blocks_in_one_message_are_read);

fn empty_messages_and_empty_fragments_are_read(role: Role) {
    let nothing: [&[u8]; 2] = [b"\x00", b"\x00"];
    assert_eq!(
        receives(agreed(role, TAKEOVER), &nothing),
        [text(""), text("")]
    );

    // §7.2.3.6: the sender had flushed all data before it knew the end of the message.
    let flushed = [HELLO, &[0x00, 0x00, 0xff, 0xff]].concat();
    for pieces in [
        vec![&flushed[..], b"\x00"],
        vec![b"", HELLO, b""],
        vec![b"", b"", &HELLO[..1], b"", &HELLO[1..]],
    ] {
        let frames = fragments(TEXT, &pieces).into_iter();
        let wire: Vec<u8> = frames.flat_map(|frame| peer(role).frame(frame)).collect();
        assert_eq!(agreed(role, TAKEOVER).receive(wire), [text("Hello")]);
    }
}
both_roles!(empty_messages_and_empty_fragments_are_read);

// ── Invalid data ────────────────────────────────────────────────────────────

fn payload_that_is_not_deflate_fails_with_1007(role: Role) {
    let reserved_block_type = b"\x07\x00";
    let wrong_complement = b"\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00";
    let no_symbol = b"\xff\xff\xff\xff\x00";
    let too_far_back = match_of_three(1);
    let corrupt: [&[u8]; 4] = [
        reserved_block_type,
        wrong_complement,
        no_symbol,
        &too_far_back,
    ];
    for payload in corrupt {
        fails(CORRUPT, agreed(role, NO_TAKEOVER), payload);
        fails(CORRUPT, agreed(role, TAKEOVER), payload);
    }
}
both_roles!(payload_that_is_not_deflate_fails_with_1007);

fn truncated_message_fails_with_1007(role: Role) {
    let long = stored(&[7; 40]);
    for whole in [HELLO, HELLO_FINAL, &long] {
        for length in 0..whole.len() {
            // One byte of zeros is an empty message.
            if whole[..length] != *b"\x00" {
                fails(CORRUPT, agreed(role, NO_TAKEOVER), &whole[..length]);
                fails(CORRUPT, agreed(role, TAKEOVER), &whole[..length]);
            }
        }
    }
}
both_roles!(truncated_message_fails_with_1007);

/// By §7.2.1, each message ends with the header of an empty stored block. So no message is
/// empty, and no message ends with a block with BFINAL.
fn compressed_message_without_the_block_at_its_end_fails_with_1007(role: Role) {
    for parameters in [TAKEOVER, NO_TAKEOVER] {
        let long = [&stored(&[7; 20_000])[..20_005], b"\x03\x00"].concat();
        for payload in [b"", HELLO_FINAL_ALONE, b"\x03\x00", &long] {
            let endpoint = || agreed(role, parameters);
            fails(CORRUPT, endpoint(), payload);
            for pieces in [vec![b"", payload], vec![payload, b"", b""]] {
                let frames = fragments(BINARY, &pieces).into_iter();
                let wire: Vec<u8> = frames.flat_map(|frame| peer(role).frame(frame)).collect();
                fails_after(&[], CORRUPT, endpoint(), wire);
            }
            // With the block, the message is complete.
            let whole = [payload, b"\x00"].concat();
            assert_eq!(receives(endpoint(), &[&whole]).len(), 1);
        }
    }
}
both_roles!(compressed_message_without_the_block_at_its_end_fails_with_1007);

//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//= type=test
//# At the receiver, the payload data portion after
//# decompression is subject to the constraints for the original data
//# type again.
fn inflated_text_must_be_utf_8(role: Role) {
    let texts: [(&[u8], bool); 5] = [
        ("山彦は返す".as_bytes(), true),
        (b"\xe5\xb1", false),
        (b"a\xc0b", false),
        (b"\xed\xa0\x80", false),
        (b"ok\xff", false),
    ];
    for (bytes, legal) in texts {
        let payload = stored(bytes);
        for length in 1..=payload.len() {
            let frames = fragments(TEXT, &[&payload[..length], &payload[length..]]);
            let frames = frames.into_iter();
            let wire: Vec<u8> = frames.flat_map(|frame| peer(role).frame(frame)).collect();
            if legal {
                let expected = [text(std::str::from_utf8(bytes).unwrap())];
                assert_eq!(agreed(role, NO_TAKEOVER).receive(wire), expected);
            } else {
                fails_after(&[], CORRUPT, agreed(role, NO_TAKEOVER), wire);
            }
        }
        // A binary message may have any bytes.
        let wire = peer(role).frame(compressed(BINARY, &payload));
        assert_eq!(agreed(role, NO_TAKEOVER).receive(wire), [binary(bytes)]);
    }
}
both_roles!(inflated_text_must_be_utf_8);

// ── Limits ──────────────────────────────────────────────────────────────────

fn message_may_inflate_to_its_limit_and_not_one_byte_more(role: Role) {
    for limit in [
        0,
        1,
        5,
        257,
        16_384,
        40_000,
        65_535,
        65_536,
        65_537,
        1 << 20,
    ] {
        let within = || agreed_within(role, NO_TAKEOVER, limits(limit, 9, 200));
        let at = match limit {
            0 => stored(b""),
            _ => zeros(limit),
        };
        let wire = peer(role).frame(compressed(BINARY, at));
        assert_eq!(within().receive(wire), [binary(vec![0; limit])]);
        fails(TOO_BIG, within(), zeros(limit + 1));
        if limit < 20_000 {
            fails(TOO_BIG, within(), stored(&vec![1; limit + 1]));
        }
    }
}
both_roles!(message_may_inflate_to_its_limit_and_not_one_byte_more);

/// A payload of so many bytes that inflates to this number of zeros: empty blocks, up to four zeros as they are, and
/// the rest compressed.
fn zeros_within(compressed_bytes: usize, bytes: usize) -> Vec<u8> {
    let mut deflater = MessageDeflater::new(9);
    let header_bytes = 4;
    for stored_bytes in 0..5 {
        let mut frame = Vec::new();
        let message = vec![0; bytes - stored_bytes];
        assert!(deflater.write_frame(Message::Binary(&message), WindowBits::MAX, &mut frame));
        let payload = &frame[header_bytes..];
        let length = [stored_bytes as u8, 0, !stored_bytes as u8, 0xff];
        let block = [&[0][..], &length, &vec![0; stored_bytes]].concat();
        let missing = compressed_bytes - payload.len() - block.len();
        if missing.is_multiple_of(5) {
            let empty_blocks = b"\x00\x00\x00\xff\xff".repeat(missing / 5);
            return [&empty_blocks[..], &block, payload].concat();
        }
    }
    unreachable!("one of five lengths in succession is a multiple of five");
}

fn compressed_bytes_become_at_most_256_times_as_many_and_not_one_byte_more(role: Role) {
    let limits = Limits {
        inflate_ratio_max: Limits::SERVER_INFLATE_RATIO_MAX,
        ..Limits::default()
    };
    let any = || agreed_within(role, NO_TAKEOVER, limits);
    let bytes_max = 1_033 * 256;
    let at = zeros_within(1_033, bytes_max);
    assert_eq!(at.len(), 1_033);
    let wire = peer(role).frame(compressed(BINARY, &at));
    let expected = [binary(vec![0; bytes_max])];
    assert_eq!(any().receive(&wire), expected);
    assert_eq!(any().receive_in_pieces(wire.chunks(1)), expected);
    let one_past = zeros_within(1_033, bytes_max + 1);
    fails(TOO_BIG, any(), &one_past);
    // Of 1,033 bytes that could be 1 MiB.
    fails(TOO_BIG, any(), zeros_within(1_033, 1_000_000));

    // The bytes that the headers announce count, also in fragments.
    let frames = fragments(BINARY, &at.chunks(100).collect::<Vec<_>>());
    let wire: Vec<u8> = frames
        .into_iter()
        .flat_map(|f| peer(role).frame(f))
        .collect();
    assert_eq!(any().receive_in_pieces(wire.chunks(7)), expected);
    let frames = fragments(BINARY, &one_past.chunks(100).collect::<Vec<_>>());
    let wire: Vec<u8> = frames
        .into_iter()
        .flat_map(|f| peer(role).frame(f))
        .collect();
    fails_after(&[], TOO_BIG, any(), wire);

    // Any message may become 64 KiB.
    let mut short = Vec::new();
    let free = vec![0; 64 << 10];
    assert!(MessageDeflater::new(9).write_frame(
        Message::Binary(&free),
        WindowBits::MAX,
        &mut short
    ));
    assert!(short.len() < 100);
    let wire = peer(role).frame(compressed(BINARY, &short[2..]));
    assert_eq!(any().receive(wire), [binary(free)]);
}
both_roles!(compressed_bytes_become_at_most_256_times_as_many_and_not_one_byte_more);

fn compressed_bytes_have_their_own_limit(role: Role) {
    let limit = 1000;
    let announced_max = limit + limit / 4 + 1024;
    let within = || agreed_within(role, NO_TAKEOVER, limits(limit, 9, 200));
    // Empty blocks, which inflate to no bytes, and a short block.
    let empty_blocks = b"\x00\x00\x00\xff\xff".repeat(announced_max / 5 - 1);
    let at = [empty_blocks, stored(b"abc")].concat();
    assert_eq!(at.len(), announced_max);
    let wire = peer(role).frame(compressed(BINARY, &at));
    assert_eq!(within().receive(wire), [binary(b"abc")]);

    // The header alone is refused, before the payload arrives.
    let header = |bytes: usize| peer(role).header(compressed(BINARY, b""), bytes as u64);
    assert_eq!(within().receive(header(announced_max)), []);
    fails_after(&[], TOO_BIG, within(), header(announced_max + 1));

    // The limit is for all fragments together.
    let in_two = fragments(BINARY, &[&at[..2000], &at[2000..]]);
    let [first, second] = &in_two[..] else {
        unreachable!("two pieces");
    };
    let after_first = || {
        let mut endpoint = within();
        assert_eq!(endpoint.receive(peer(role).frame(first.clone())), []);
        endpoint
    };
    let wire = peer(role).frame(second.clone());
    assert_eq!(after_first().receive(wire), [binary(b"abc")]);
    let one_more = second.payload.len() as u64 + 1;
    let header = peer(role).header(second.clone(), one_more);
    fails_after(&[], TOO_BIG, after_first(), header);

    // A plain message has only the limit for messages.
    let plain = peer(role).header(WireFrame::new(BINARY, b""), limit as u64 + 1);
    fails_after(&[], TOO_BIG, within(), plain);
}
both_roles!(compressed_bytes_have_their_own_limit);

/// It fails before the end of the message, and before the end of the frame.
fn long_message_fails_at_the_byte_that_exceeds_its_limit(role: Role) {
    let limit = 40_000;
    for bytes in [limit, limit + 1] {
        let mut endpoint = agreed_within(role, NO_TAKEOVER, limits(limit, 9, 200));
        let payload = stored(&vec![7; bytes]);
        let mut wire = peer(role).frame(compressed(BINARY, &payload));
        // Without its last byte, the message is not complete.
        let end = wire.split_off(wire.len() - 1);
        if bytes > limit {
            fails_after(&[], TOO_BIG, endpoint, wire);
        } else {
            assert_eq!(endpoint.receive(wire), []);
            assert_eq!(endpoint.receive(end), [binary(vec![7; limit])]);
        }
    }
}
both_roles!(long_message_fails_at_the_byte_that_exceeds_its_limit);

/// A long message is inflated while it arrives, a short one when it is complete. The events
/// are the same, however the input is cut.
fn long_message_has_the_same_events_however_it_is_cut(role: Role) {
    let bytes: Vec<u8> = (0..100_000_u32)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    let payload = stored(&bytes);
    let frames = fragments(BINARY, &payload.chunks(30_000).collect::<Vec<_>>());
    let mut wire = Vec::new();
    for frame in frames {
        wire.extend(peer(role).frame(frame));
        wire.extend(peer(role).ping("between"));
    }
    let events = [
        ping("between"),
        ping("between"),
        ping("between"),
        binary(&bytes),
        ping("between"),
    ];
    for lengths in [&[][..], &[1], &[250], &[255, 3, 0, 17]] {
        let mut endpoint = agreed(role, TAKEOVER);
        assert_eq!(endpoint.receive_in_pieces(cut(&wire, lengths)), events);
        let again = peer(role).frame(compressed(BINARY, match_of_three(3)));
        assert_eq!(endpoint.receive(again), [binary(&bytes[99_997..])]);
    }
}
both_roles!(long_message_has_the_same_events_however_it_is_cut);

// ── Windows of the peer ─────────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//= type=test
//# Otherwise, the client MUST use a
//# 32,768-byte LZ77 sliding window to decompress received messages.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//= type=test
//# Otherwise, the server MUST use a
//# 32,768-byte LZ77 sliding window to decompress received messages.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//= type=test
//# Note that even if the client has included
//# the "client_no_context_takeover" extension parameter in its offer,
//# the server MUST decompress each new message using the LZ77 sliding
//# window used to process the last compressed message if the "agreed
//# parameters" don't contain the "client_no_context_takeover" extension
//# parameter.
fn match_may_reach_to_the_far_end_of_the_window(role: Role) {
    let bytes: Vec<u8> = (0..32_768_u32)
        .map(|i| (i.wrapping_mul(i) >> 9) as u8)
        .collect();
    // Symbol 29 begins at 24,577 and has 13 extra bits.
    let far = match_of_three(32_768);
    for messages in [
        vec![bytes.clone()],
        bytes.chunks(900).map(<[u8]>::to_vec).collect(),
    ] {
        let mut endpoint = agreed(role, TAKEOVER);
        for message in &messages {
            endpoint.receive(peer(role).frame(compressed(BINARY, stored(message))));
        }
        // Three bytes from the far end of the window, which then moves on by three bytes.
        for start in [0, 3, 6] {
            let wire = peer(role).frame(compressed(BINARY, &far));
            assert_eq!(endpoint.receive(wire), [binary(&bytes[start..start + 3])]);
        }
    }
}
both_roles!(match_may_reach_to_the_far_end_of_the_window);

/// Documented with `Connection::with_deflate`'s receiver: what is gone is gone, what
/// is still there is not refused.
fn smaller_window_holds_no_earlier_messages_beyond_it(role: Role) {
    let small = DeflateParameters {
        server_max_window_bits: WindowBits::new(9).unwrap(),
        client_max_window_bits: WindowBits::new(9).unwrap(),
        ..TAKEOVER
    };
    // Symbols 17 and 18 begin at 385 (7 extra bits) and 513 (8).
    let (at_512, at_513) = (match_of_three(512), match_of_three(513));
    let bytes: Vec<u8> = (0..600_u32).map(|i| (i / 7) as u8).collect();
    let first = || {
        let mut endpoint = agreed(role, small);
        endpoint.receive(peer(role).frame(compressed(BINARY, stored(&bytes))));
        endpoint
    };
    let wire = peer(role).frame(compressed(BINARY, at_512));
    assert_eq!(first().receive(wire), [binary(&bytes[88..91])]);
    fails(CORRUPT, first(), &at_513);
    let block = &stored(&bytes)[..605];
    let in_one_message = [block, &at_513].concat();
    let received = first().receive(peer(role).frame(compressed(BINARY, in_one_message)));
    assert_eq!(received, [binary([&bytes[..], &bytes[87..90]].concat())]);
}
both_roles!(smaller_window_holds_no_earlier_messages_beyond_it);

// ── Sending ─────────────────────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//= type=test
//# Compress all the octets of the payload of the message using
//# DEFLATE.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//= type=test
//# If the resulting data does not end with an empty DEFLATE block
//# with no compression (the "BTYPE" bits are set to 00), append an
//# empty DEFLATE block with no compression to the tail end.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//= type=test
//# Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//= type=test
//# If the "agreed parameters" contain the "client_no_context_takeover"
//# extension parameter, the client MUST start compressing each new
//# message with an empty LZ77 sliding window.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//= type=test
//# If the "agreed parameters" contain the "server_no_context_takeover"
//# extension parameter, the server MUST start compressing each new
//# message with an empty LZ77 sliding window.
fn equal_messages_are_equal_frames_without_context_takeover(role: Role) {
    let words = "mountain echo, ".repeat(10);
    let mut endpoint = agreed(role, NO_TAKEOVER);
    let first = sends(&mut endpoint, Message::Text(&words));
    assert_eq!(first.rsv, 0b100);
    assert_eq!(inflate_message(b"", &first.payload).bytes, words.as_bytes());
    let second = sends(&mut endpoint, Message::Text(&words));
    assert_eq!(second.payload, first.payload);
}
both_roles!(equal_messages_are_equal_frames_without_context_takeover);

fn message_refers_to_earlier_ones_with_context_takeover(role: Role) {
    let words: String = (0..60).map(|i| format!("{:x} ", i * i * 7919)).collect();
    let mut endpoint = agreed(role, TAKEOVER);
    let first = sends(&mut endpoint, Message::Text(&words));
    let second = sends(&mut endpoint, Message::Text(&words));
    assert!(second.payload.len() * 8 < first.payload.len());
    let inflated = inflate_message(words.as_bytes(), &second.payload);
    assert_eq!(inflated.bytes, words.as_bytes());

    // An endpoint may work without context takeover, also if other endpoints have written its
    // frames.
    let modest = DeflateConfig {
        threshold_bytes: 0,
        level: 6,
        ..DeflateConfig::default()
    };
    let plain = Endpoint::new(role, Limits::default()).connection;
    let mut unwilling = agreed(role, TAKEOVER);
    unwilling.connection = plain.with_deflate(TAKEOVER, &modest, &DeflatePool::default());
    endpoint.connection.forget_deflate_context();
    for endpoint in [&mut unwilling, &mut endpoint] {
        assert_eq!(
            sends(endpoint, Message::Text(&words)).payload,
            first.payload
        );
    }
}
both_roles!(message_refers_to_earlier_ones_with_context_takeover);

//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//= type=test
//# An endpoint MUST use the following algorithm to send a message in the
//# form of an uncompressed message.
fn message_that_would_not_become_shorter_is_sent_plain_and_not_referred_to(role: Role) {
    // No three bytes occur twice in the message.
    let noise: Vec<u8> = (0..=255_u8).map(|byte| byte.wrapping_mul(167)).collect();
    let twice = noise.repeat(2);
    for parameters in [TAKEOVER, NO_TAKEOVER] {
        let mut endpoint = agreed(role, parameters);
        let plain = sends(&mut endpoint, Message::Binary(&noise));
        assert_eq!((plain.rsv, &plain.payload), (0b000, &noise));
        // If this message referred to it, the peer could not read it.
        let behind = sends(&mut endpoint, Message::Binary(&twice));
        assert_eq!(behind.rsv, 0b100);
        assert_eq!(inflate_message(b"", &behind.payload).bytes, twice);
    }
}
both_roles!(message_that_would_not_become_shorter_is_sent_plain_and_not_referred_to);

fn short_messages_are_not_compressed(role: Role) {
    let config = DeflateConfig {
        threshold_bytes: 100,
        ..EAGER
    };
    let mut endpoint = Endpoint::new(role, Limits::default());
    let plain = std::mem::replace(
        &mut endpoint.connection,
        Connection::server(Limits::default()),
    );
    endpoint.connection = plain.with_deflate(NO_TAKEOVER, &config, &DeflatePool::default());
    let zeros = [0; 100];
    assert_eq!(
        sends(&mut endpoint, Message::Binary(&zeros[..99])).rsv,
        0b000
    );
    assert_eq!(sends(&mut endpoint, Message::Binary(&zeros)).rsv, 0b100);
}
both_roles!(short_messages_are_not_compressed);

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//= type=test
//# If the "agreed parameters" contain the "client_max_window_bits"
//# extension parameter with a value of w, the client MUST NOT use an
//# LZ77 sliding window longer than the w-th power of 2 bytes to compress
//# messages to send.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//= type=test
//# If the "agreed parameters" contain the "server_max_window_bits"
//# extension parameter with a value of w, the server MUST NOT use an
//# LZ77 sliding window longer than the w-th power of 2 bytes to compress
//# messages to send.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//= type=test
//# Note that even if the client has included in its offer the
//# "client_max_window_bits" extension parameter with a value smaller
//# than one in the "agreed parameters", the client MUST use an LZ77
//# sliding window of a size that conforms the "agreed parameters" to
//# compress messages to send.
fn compressed_messages_keep_to_the_window(role: Role) {
    for bits in 8..=15 {
        let bits = WindowBits::new(bits).unwrap();
        for takeover in [TAKEOVER, NO_TAKEOVER] {
            let parameters = DeflateParameters {
                server_max_window_bits: bits,
                client_max_window_bits: bits,
                ..takeover
            };
            let mut endpoint = agreed(role, parameters);
            let mut earlier = Vec::new();
            for length in [200, 256, 257, 3000, 150, 70_000, 40, 40] {
                let message: Vec<u8> = (0..length as u32)
                    .map(|i| (i.wrapping_mul(i) >> 11) as u8)
                    .collect();
                let frame = sends(&mut endpoint, Message::Binary(&message));
                if frame.rsv == 0b000 {
                    assert_eq!(frame.payload, message);
                    continue;
                }
                let inflated = inflate_message(&earlier, &frame.payload);
                assert_eq!(inflated.bytes, message);
                assert!(inflated.distance_max <= bits.window_bytes());
                earlier.extend(message);
            }
            assert!(!earlier.is_empty(), "some were compressed");
        }
    }
}
both_roles!(compressed_messages_keep_to_the_window);

fn message_in_fragments_is_sent_plain(role: Role) {
    let mut endpoint = agreed(role, TAKEOVER);
    let mut output = Vec::new();
    for last in [false, false, true] {
        let piece = Fragment::binary(&[0; 500]);
        endpoint
            .connection
            .send_fragment(piece.last_if(last), &mut output)
            .unwrap();
    }
    let frames = frames_of(role, &output);
    let piece = WireFrame::new(CONTINUATION, [0; 500]).unfinished();
    let (mut first, mut last) = (piece.clone(), piece.clone());
    first.opcode = BINARY;
    last.fin = true;
    assert_eq!(frames, [first, piece, last]);
}
both_roles!(message_in_fragments_is_sent_plain);

/// A frame for many receivers, between frames of the connection itself.
#[test]
fn shared_frame_is_read_with_and_without_context_takeover() {
    let words = "from the mountain ".repeat(20);
    let mut shared = Vec::new();
    let mut deflater = MessageDeflater::new(6);
    assert!(deflater.write_frame(Message::Text(&words), WindowBits::MAX, &mut shared));
    for parameters in [TAKEOVER, NO_TAKEOVER] {
        let mut server = agreed(Role::Server, parameters);
        let mut client = agreed(Role::Client, parameters);
        for _ in 0..3 {
            let mut wire = Vec::new();
            server.connection.forget_deflate_context();
            server
                .connection
                .send(Message::Text(&words), &mut wire)
                .unwrap();
            wire.extend(&shared);
            assert_eq!(client.receive(&wire), [text(&words), text(&words)]);
        }
    }
}
