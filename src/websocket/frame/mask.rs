//! Masking: XOR with a four-byte key that the client draws for each frame
//! (RFC 6455 §5.3).
//!
//! The same function masks and unmasks. [`MaskingKeys`](crate::websocket::MaskingKeys)
//! explains why clients mask.
//!
//! ```text
//! payload             method
//! under 16 bytes      4 bytes at a time
//! under WIDE_FROM     32 or 16 bytes at a time, with the vectors that every processor of
//!                     the target has (16 bytes on x86-64 and AArch64)
//! under ALIGNED_FROM  32 bytes at a time, with wider vectors if there are any (`wide.rs`)
//! longer              128 bytes at a time, with the same vectors, at aligned addresses
//! ```
//!
//! The last piece overlaps the piece before it, so that no rest is left for smaller steps:
//!
//! ```text
//! |----- 32 -----|----- 32 -----|
//!                         |----- 32 -----|   read before it is written the first time
//! ```
//!
//! A payload that is copied is masked on its way, but for the lengths for which two passes are
//! faster:
//!
//! ```text
//! payload                    method
//! under WIDE_FROM            16 bytes at a time
//! under COPIED_FIRST_FROM    64 bytes at a time
//! under COPIED_ALIGNED_FROM  `memcpy`, and then masked in place
//! longer                     256 bytes at a time, with wider vectors, at aligned addresses
//! ```
//!
//! [`mask_byte_by_byte`] is the RFC's sentence as code, and the oracle of the tests.
//! A vector that lies in two lines of the cache takes twice the time. So the pieces of a long
//! payload begin at aligned addresses, and its first piece overlaps as the last one does.
//!
//! docs/decisions.md has the measurements behind the widths; `cargo bench --bench frame`
//! repeats them.

use super::wide::Wide;
use alloc::vec::Vec;

/// Masks or unmasks `payload` in place.
///
/// `offset` is how many bytes of the frame's payload came before this piece,
/// so that a frame may be handled in pieces of any size.
///
/// Cost: one pass. With the feature `std`, an x86 processor with AVX2 handles long
/// payloads 32 bytes at a time. The choice is made at run time, and costs short payloads
/// nothing.
///
/// ```
/// use yamabiko::websocket::frame::mask;
///
/// let key = [0x37, 0xfa, 0x21, 0x3d];
/// let mut payload = *b"Hello";
/// mask(&mut payload[..2], key, 0);
/// mask(&mut payload[2..], key, 2);
/// assert_eq!(payload, [0x7f, 0x9f, 0x4d, 0x51, 0x58]); // RFC 6455 §5.7
/// ```
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
//# The masking does not affect the length of the "Payload data".
#[inline]
pub fn mask(payload: &mut [u8], masking_key: [u8; 4], offset: usize) {
    let key = rotate(masking_key, offset);
    match payload.len() {
        ..WIDE_FROM => mask_short(payload, key),
        _ => mask_long(payload, key),
    }
}

/// Appends `payload` to `output`, masked.
///
/// Cost: one pass, or a copy and a pass over bytes in the nearest cache; for long payloads little
/// more than that of the copy alone.
#[inline]
pub(crate) fn append_masked(payload: &[u8], key: [u8; 4], output: &mut Vec<u8>) {
    match payload.len() {
        ..WIDE_FROM => append_short(payload, key, output),
        WIDE_FROM..COPIED_FIRST_FROM => append_medium(payload, key, output),
        COPIED_FIRST_FROM..COPIED_ALIGNED_FROM => append_then_mask(payload, key, output),
        _ => append_long(payload, key, output),
    }
}

/// The same as [`mask`], in the form of the RFC: one byte after the other.
pub fn mask_byte_by_byte(payload: &mut [u8], masking_key: [u8; 4], offset: usize) {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
    //# Octet i of the transformed data ("transformed-octet-i") is the XOR of
    //# octet i of the original data ("original-octet-i") with octet at index
    //# i modulo 4 of the masking key
    for (i, byte) in payload.iter_mut().enumerate() {
        *byte ^= masking_key[(offset % 4 + i) % 4];
    }
}

/// The key as the byte at `offset` sees it first.
#[inline]
pub(super) fn rotate(masking_key: [u8; 4], offset: usize) -> [u8; 4] {
    // One instruction, which rotating the array is only when it is inlined.
    let key = u32::from_le_bytes(masking_key);
    key.rotate_right(8 * (offset % 4) as u32).to_le_bytes()
}

#[inline]
fn mask_short(payload: &mut [u8], key: [u8; 4]) {
    if !mask_in_pieces::<32>(payload, key, None) && !mask_in_pieces::<16>(payload, key, None) {
        mask_words(payload, key);
    }
}

// Out of the way of short payloads, whose path is inlined.
#[inline(never)]
fn mask_long(payload: &mut [u8], key: [u8; 4]) {
    match Wide::find() {
        Some(wide) => wide.run(
            #[inline(always)]
            || mask_in_vectors(payload, key, Some(wide)),
        ),
        None => mask_in_vectors(payload, key, None),
    }
}

/// At least [`WIDE_FROM`] bytes.
#[inline(always)]
fn mask_in_vectors(payload: &mut [u8], key: [u8; 4], wide: Option<Wide>) {
    match payload.len() {
        ..ALIGNED_FROM => {
            mask_in_pieces::<VECTOR>(payload, key, wide);
        }
        _ => mask_aligned(payload, key, wide),
    }
}

/// Masks in pieces that begin at addresses that are multiples of [`VECTOR`]: no vector lies in
/// two lines of the cache. The first and the last piece overlap the others. The payload is at
/// least twice as long as a piece.
#[inline(always)]
fn mask_aligned(payload: &mut [u8], key: [u8; 4], wide: Option<Wide>) {
    let front_bytes = bytes_to_alignment(payload.as_ptr());
    let (Some(&(mut first)), Some(&(mut last))) = (
        payload.first_chunk::<VECTOR>(),
        payload.last_chunk::<PIECE>(),
    ) else {
        return mask_words(payload, key);
    };
    mask_words(&mut first, key);
    mask_words(&mut last, rotate(key, payload.len()));
    let aligned_key = rotate(key, front_bytes);
    let (pairs, rest) = payload[front_bytes..].as_chunks_mut::<{ 2 * PIECE }>();
    mask_pieces(pairs, aligned_key, wide);
    if let Some(piece) = rest.first_chunk_mut::<PIECE>() {
        mask_words(piece, aligned_key);
    }
    // These bytes have all been masked alike by now, or not at all.
    if let Some(front) = payload.first_chunk_mut() {
        *front = first;
    }
    if let Some(end) = payload.last_chunk_mut() {
        *end = last;
    }
}

/// How many bytes lie before the next address that is a multiple of [`VECTOR`].
#[inline(always)]
fn bytes_to_alignment(address: *const u8) -> usize {
    match address.align_offset(VECTOR) {
        bytes @ ..VECTOR => bytes,
        _ => 0, // An address that is not known, as in an interpreter.
    }
}

/// Less than [`WIDE_FROM`] bytes.
#[inline]
fn append_short(payload: &[u8], key: [u8; 4], output: &mut Vec<u8>) {
    let rest = append_pieces::<16>(payload, key, output);
    append_rest(payload, rest, key, output);
}

// Out of the way of shorter payloads, whose path is inlined.
#[inline(never)]
fn append_medium(payload: &[u8], key: [u8; 4], output: &mut Vec<u8>) {
    let rest = append_pieces::<64>(payload, key, output);
    let rest = append_pieces::<16>(rest, key, output);
    append_rest(payload, rest, key, output);
}

/// What is left of the payload behind pieces of 16 bytes: the last piece overlaps the one before
/// it. The output is not masked in place: its last bytes were just written, in other pieces than
/// those in which they would be read.
#[inline(always)]
fn append_rest(payload: &[u8], rest: &[u8], key: [u8; 4], output: &mut Vec<u8>) {
    match payload.last_chunk::<16>() {
        Some(&(mut last)) if !rest.is_empty() => {
            mask_words(&mut last, rotate(key, payload.len()));
            output.truncate(output.len() - (last.len() - rest.len()));
            output.extend_from_slice(&last);
        }
        _ => append_few(rest, key, output),
    }
}

/// In two passes: the second one finds the bytes in the nearest cache.
// Out of the way of short payloads, whose path is inlined.
#[inline(never)]
fn append_then_mask(payload: &[u8], key: [u8; 4], output: &mut Vec<u8>) {
    let before = output.len();
    output.extend_from_slice(payload);
    mask_long(&mut output[before..], key);
}

/// Less than 16 bytes.
#[inline]
fn append_few(payload: &[u8], key: [u8; 4], output: &mut Vec<u8>) {
    let rest = append_pieces::<4>(payload, key, output);
    for (byte, key) in rest.iter().zip(key) {
        output.push(byte ^ key);
    }
}

// Out of the way of short payloads, whose path is inlined.
#[inline(never)]
fn append_long(payload: &[u8], key: [u8; 4], output: &mut Vec<u8>) {
    output.reserve(payload.len());
    match Wide::find() {
        Some(wide) => wide.run(
            #[inline(always)]
            || append_in_vectors(payload, key, output),
        ),
        None => append_in_vectors(payload, key, output),
    }
}

/// A header ends at any address. So the first vector is cut at an address from which on no vector
/// lies in two lines of the cache. The last one overlaps the vector before it. The payload is at
/// least as long as a vector.
#[inline(always)]
fn append_in_vectors(payload: &[u8], key: [u8; 4], output: &mut Vec<u8>) {
    let end = output.as_ptr().wrapping_add(output.len());
    let front_bytes = bytes_to_alignment(end);
    let (Some(&(mut first)), Some(&(mut last))) = (
        payload.first_chunk::<VECTOR>(),
        payload.last_chunk::<VECTOR>(),
    ) else {
        return append_medium(payload, key, output);
    };
    mask_words(&mut first, key);
    mask_words(&mut last, rotate(key, payload.len()));
    let before = output.len();
    output.extend_from_slice(&first);
    output.truncate(before + front_bytes);
    let aligned_key = rotate(key, front_bytes);
    let rest = append_pieces::<COPIED_PIECE>(&payload[front_bytes..], aligned_key, output);
    append_pieces::<VECTOR>(rest, aligned_key, output);
    output.truncate(before + payload.len() - VECTOR);
    output.extend_from_slice(&last);
}

/// Masks in pieces of so many bytes, a multiple of four. `false`: the payload is shorter
/// than one piece, and nothing is done.
// Always inlined, so that its vectors are as wide as the caller's may be.
#[inline(always)]
fn mask_in_pieces<const BYTES: usize>(
    payload: &mut [u8],
    key: [u8; 4],
    wide: Option<Wide>,
) -> bool {
    let Some(&(mut last)) = payload.last_chunk::<BYTES>() else {
        return false;
    };
    mask_words(&mut last, rotate(key, payload.len()));
    mask_pieces(payload.as_chunks_mut::<BYTES>().0, key, wide);
    if let Some(end) = payload.last_chunk_mut() {
        *end = last;
    }
    true
}

/// Masks pieces of so many bytes, a multiple of four.
#[inline(always)]
fn mask_pieces<const BYTES: usize>(pieces: &mut [[u8; BYTES]], key: [u8; 4], wide: Option<Wide>) {
    match wide {
        Some(wide) => wide.mask(pieces, key),
        None => {
            for piece in pieces {
                mask_words(piece, key);
            }
        }
    }
}

/// Appends the pieces of so many bytes, a multiple of four, and gives the rest.
#[inline(always)]
fn append_pieces<'p, const BYTES: usize>(
    payload: &'p [u8],
    key: [u8; 4],
    output: &mut Vec<u8>,
) -> &'p [u8] {
    let (pieces, rest) = payload.as_chunks::<BYTES>();
    for &(mut piece) in pieces {
        mask_words(&mut piece, key);
        output.extend_from_slice(&piece);
    }
    rest
}

/// Four bytes at a time, the length of the key; the compiler makes vectors of them.
#[inline(always)]
fn mask_words(bytes: &mut [u8], key: [u8; 4]) {
    let key_word = u32::from_ne_bytes(key);
    let (words, rest) = bytes.as_chunks_mut();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ key_word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// From this length on a payload is worth the question whether the processor has wide
/// vectors. The check of a text reads whole vectors from here on, and would wait for two narrow
/// ones that have just been written.
const WIDE_FROM: usize = 64;

/// From this length on aligned addresses are worth their overlaps: of 1000 bytes that begin
/// anywhere they take a third off the time.
const ALIGNED_FROM: usize = 256;

/// The bytes of the widest vectors that are used.
const VECTOR: usize = 32;

/// Two or four vectors. The loop takes two pieces at a time: then it has 11 instructions for 128
/// bytes with vectors of 32, and 14 with one piece.
const PIECE: usize = 64;

/// From this length on `memcpy` and then masking in place are faster than a copy in the pieces of
/// a `Vec`: behind other frames, 500 bytes take a third less.
const COPIED_FIRST_FROM: usize = 256;

/// From this length on a second pass costs more than the pieces of a `Vec`.
const COPIED_ALIGNED_FROM: usize = 1600;

/// A `Vec` checks its capacity for each piece, so that these pieces are longer.
const COPIED_PIECE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Payloads on both sides of each border between two methods.
    fn payload() -> impl Strategy<Value = Vec<u8>> {
        // Miri takes minutes to make thousands of random bytes.
        let (short, long) = match cfg!(miri) {
            true => (0..100, COPIED_ALIGNED_FROM..COPIED_ALIGNED_FROM + 1),
            false => (0..COPIED_ALIGNED_FROM + 70, 4000..9000),
        };
        prop_oneof![
            prop::collection::vec(any::<u8>(), short),
            prop::collection::vec(any::<u8>(), ALIGNED_FROM..ALIGNED_FROM + 1),
            prop::collection::vec(any::<u8>(), long),
        ]
    }

    proptest! {
        /// `start`: the payload begins at any address.
        #[test]
        fn fast_masking_equals_the_obvious_loop(
            payload in payload(),
            start in 0..64_usize,
            key: [u8; 4],
            offset: usize,
        ) {
            let (mut fast, mut obvious) = (payload.clone(), payload);
            let start = start.min(fast.len());
            mask(&mut fast[start..], key, offset);
            mask_byte_by_byte(&mut obvious[start..], key, offset);
            prop_assert_eq!(fast, obvious);
        }

        #[test]
        fn masking_while_copying_equals_copying_and_then_masking(
            payload in payload(),
            before in prop::collection::vec(any::<u8>(), 0..20),
            key: [u8; 4],
        ) {
            let mut at_once = before.clone();
            append_masked(&payload, key, &mut at_once);
            let mut obvious = [before.clone(), payload].concat();
            mask_byte_by_byte(&mut obvious[before.len()..], key, 0);
            prop_assert_eq!(at_once, obvious);
        }
    }

    /// Each length up to those of the longest pieces, and so each remainder.
    #[test]
    fn every_short_length_is_masked_whole() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        // Miri takes minutes for all lengths.
        for length in (0..COPIED_ALIGNED_FROM + 70).step_by(if cfg!(miri) { 97 } else { 1 }) {
            let mut fast: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let (payload, mut obvious) = (fast.clone(), fast.clone());
            mask(&mut fast, key, 1);
            mask_byte_by_byte(&mut obvious, key, 1);
            assert_eq!(fast, obvious, "{length} bytes");
            let mut copied = Vec::new();
            append_masked(&payload, rotate(key, 1), &mut copied);
            assert_eq!(copied, obvious, "{length} bytes copied");
        }
    }

    /// What a processor without wide vectors does.
    #[test]
    fn long_payloads_are_masked_alike_without_wide_vectors() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for length in [WIDE_FROM, ALIGNED_FROM - 1, ALIGNED_FROM, 1000, 1001, 5127] {
            let payload: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let (mut fast, mut obvious) = (payload.clone(), payload.clone());
            mask_in_vectors(&mut fast, key, None);
            mask_byte_by_byte(&mut obvious, key, 0);
            assert_eq!(fast, obvious, "{length} bytes");
            let mut copied = vec![1; 7];
            append_in_vectors(&payload, key, &mut copied);
            assert_eq!(copied[7..], obvious, "{length} bytes copied");
        }
    }
}
