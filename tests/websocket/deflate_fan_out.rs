//! RFC 7692 §7.2.1: messages compressed once for many receivers.

use proptest::prelude::*;
use yamabiko::websocket::MessageDeflater;
use yamabiko::websocket::deflate::WindowBits;
use yamabiko_testing::inflate::{Inflated, inflate_message};
use yamabiko_testing::protocol::{Message, TEXT, WireFrame, decode_all};

const ALL_WINDOWS: std::ops::RangeInclusive<u8> = 8..=15;

fn window(bits: u8) -> WindowBits {
    WindowBits::new(bits).unwrap()
}

/// The one frame, if the message was compressed.
fn compressed(deflater: &mut MessageDeflater, message: Message<'_>, bits: u8) -> Option<WireFrame> {
    let mut output = b"before".to_vec();
    let written = deflater.write_frame(message, window(bits), &mut output);
    assert_eq!(&output[..6], b"before");
    assert_eq!(
        output.len() > 6,
        written,
        "nothing is appended unless written"
    );
    let [frame] = &decode_all(&output[6..])[..] else {
        return None;
    };
    Some(frame.clone())
}

/// Words from a small list. The text is compressible, with matches at long distances.
fn prose(bytes: usize, seed: u32) -> String {
    let mut state = seed | 1;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{:x} ", (state >> 16) % 4001)
    });
    let mut text: String = words.take(bytes / 2).collect();
    text.truncate(bytes);
    text
}

/// Bytes without a pattern.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let byte = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    byte.take(bytes).collect()
}

#[test]
fn hello_is_compressed_as_in_the_rfc() {
    let hellos = "Hello".repeat(4);
    let mut deflater = MessageDeflater::new(6);
    let frame = compressed(&mut deflater, Message::Text(&hellos), 15).unwrap();
    assert_eq!((frame.fin, frame.rsv, frame.opcode), (true, 0b100, TEXT));
    assert_eq!(frame.masking_key, None);
    assert_eq!(
        &frame.payload[..5],
        b"\xf2\x48\xcd\xc9\xc9",
        "the bytes of §7.2.3.1"
    );
    assert_eq!(
        inflate_message(b"", &frame.payload).bytes,
        hellos.as_bytes()
    );
}

#[test]
fn message_that_would_not_become_shorter_is_not_compressed() {
    let mut deflater = MessageDeflater::new(9);
    let random = noise(4000);
    let incompressible = [
        Message::Text(""),
        Message::Binary(b""),
        Message::Text("Hello"),
        Message::Binary(&random[..100]),
        Message::Binary(&random),
    ];
    for message in incompressible {
        assert_eq!(compressed(&mut deflater, message, 15), None, "{message:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
//= type=test
//# An endpoint MUST NOT use an LZ77 sliding window longer than 32,768
//# bytes to compress messages to send.
#[test]
fn no_match_reaches_beyond_the_requested_window() {
    for level in [1, 2, 6, 9] {
        let mut deflater = MessageDeflater::new(level);
        for bits in ALL_WINDOWS {
            let size = window(bits).window_bytes();
            for bytes in [size - 1, size, size + 1, 2 * size + 300] {
                let text = prose(bytes, u32::from(bits));
                let Some(frame) = compressed(&mut deflater, Message::Text(&text), bits) else {
                    assert!(bits == 8 && bytes > 256, "{bytes} bytes, window {bits}");
                    continue;
                };
                let Inflated {
                    bytes: inflated,
                    distance_max,
                } = inflate_message(b"", &frame.payload);
                assert_eq!(inflated, text.as_bytes());
                assert!(distance_max <= size, "{distance_max} in a window of {size}");
                assert!(distance_max > 0, "the text has repetitions");
            }
        }
    }
}

#[test]
fn smallest_window_compresses_messages_of_up_to_256_bytes_only() {
    let mut deflater = MessageDeflater::new(1);
    let zeros = [0; 257];
    assert!(compressed(&mut deflater, Message::Binary(&zeros[..256]), 8).is_some());
    assert_eq!(compressed(&mut deflater, Message::Binary(&zeros), 8), None);
    assert!(compressed(&mut deflater, Message::Binary(&zeros), 9).is_some());
}

#[test]
fn each_message_is_compressed_without_reference_to_earlier_ones() {
    let text = prose(3000, 3);
    let mut deflater = MessageDeflater::new(6);
    let first = compressed(&mut deflater, Message::Text(&text), 15);
    // With any message in between, also one whose compression was abandoned.
    for (other, bits) in [
        (prose(40_000, 5), 15),
        (prose(3000, 9), 9),
        ("x".into(), 15),
    ] {
        compressed(&mut deflater, Message::Text(&other), bits);
        assert_eq!(compressed(&mut deflater, Message::Text(&text), 15), first);
    }
}

/// The library keeps unwritten bytes in its buffer across a reset.
#[test]
fn abandoned_message_does_not_change_the_next_one() {
    let (noise, text) = (noise(70_000), prose(70_000, 11));
    for level in [1, 2, 4, 6, 9] {
        let mut deflater = MessageDeflater::new(level);
        for bytes in (1..20_000).step_by(2977).chain([70_000]) {
            let incompressible = Message::Binary(&noise[..bytes]);
            assert_eq!(compressed(&mut deflater, incompressible, 15), None);
            let frame = compressed(&mut deflater, Message::Text(&text), 15).unwrap();
            let inflated = inflate_message(b"", &frame.payload);
            assert_eq!(inflated.bytes, text.as_bytes());
        }
    }
}

proptest! {
    #[test]
    fn frame_inflates_to_the_message_and_is_shorter(
        pieces in prop::collection::vec((any::<u8>(), 1..300_usize), 0..40),
        noise in prop::collection::vec(any::<u8>(), 0..3000),
        level in 0..=12_u8,
        bits in ALL_WINDOWS,
    ) {
        let runs = pieces.iter().flat_map(|&(byte, times)| vec![byte; times]);
        let (runs, noise_bytes) = (runs.collect::<Vec<u8>>(), noise.len());
        let can_shrink = runs.len() > 1000 && runs.len() > noise_bytes;
        let payload = [runs, noise].concat();
        let mut deflater = MessageDeflater::new(level);
        let frame = compressed(&mut deflater, Message::Binary(&payload), bits);
        prop_assert!(frame.is_some() || !can_shrink || level == 0 || bits == 8);
        if let Some(frame) = frame {
            let inflated = inflate_message(b"", &frame.payload);
            prop_assert!(frame.payload.len() < payload.len());
            prop_assert_eq!(inflated.bytes, payload);
            prop_assert!(inflated.distance_max <= window(bits).window_bytes());
        }
    }
}
