//! The least that any receiver has to do: the XOR and, for a text, the check of UTF-8,
//! each by the fastest means that is known, for frames whose positions are known
//! beforehand. No header is read, and nothing is asked.
//!
//! The whole loop is compiled for vectors of 32 bytes and chosen once for all frames, so
//! that the choice costs nothing. A payload is masked 128 bytes at a time, then 32, and its
//! last 32 or 16 bytes at once, over bytes that the step before has masked already. One of
//! [`ALIGNED_FROM`] bytes or more is masked at aligned addresses. The
//! key does not change and every length is the same, so that the processor predicts every
//! branch.

use std::hint::black_box;

use super::{KEY, Kind, frame_bytes};

/// The XOR in place, and the check of a text. `frames` have payloads of so many bytes, at
/// their ends.
pub fn floor(kind: Kind, payload_bytes: usize, frames: &mut [u8]) {
    match payload_bytes {
        ..ALIGNED_FROM => mask_and_check::<false>(kind, payload_bytes, frames),
        _ => mask_and_check::<true>(kind, payload_bytes, frames),
    }
}

#[inline(always)]
fn mask_and_check<const ALIGNED: bool>(kind: Kind, payload_bytes: usize, frames: &mut [u8]) {
    at_full_width(
        #[inline(always)]
        || {
            for frame in frames.chunks_exact_mut(frame_bytes(payload_bytes)) {
                let payload = &mut frame[frame_bytes(payload_bytes) - payload_bytes..];
                match ALIGNED {
                    false => xor(payload),
                    true => xor_aligned(payload),
                }
                check(kind, payload);
            }
        },
    );
}

/// The same for one frame whose payload has to end up in `message`: the copy masks.
pub fn floor_copying(kind: Kind, payload_bytes: usize, frame: &[u8], message: &mut [u8]) {
    copy_masked(&frame[frame.len() - payload_bytes..], message);
    check(kind, message);
}

/// Masks in place, as [`floor`] does.
pub fn mask_at_full_width(payload: &mut [u8]) {
    let is_short = payload.len() < ALIGNED_FROM;
    at_full_width(
        #[inline(always)]
        || match is_short {
            true => xor(payload),
            false => xor_aligned(payload),
        },
    );
}

/// Masks on the way from `payload` to `message`, which has the same length.
pub fn copy_masked(payload: &[u8], message: &mut [u8]) {
    at_full_width(
        #[inline(always)]
        || {
            let (pieces, rest) = payload.as_chunks::<128>();
            let (masked_pieces, masked_rest) = message.as_chunks_mut::<128>();
            for (masked, piece) in masked_pieces.iter_mut().zip(pieces) {
                *masked = masked_piece(piece, 0);
            }
            masked_rest.copy_from_slice(rest);
            xor(masked_rest);
        },
    );
}

/// Runs `work` with the widest vectors that are of use: 32 bytes on x86.
#[inline(always)]
fn at_full_width<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = fearless_simd::Level::new().as_avx2() {
        return fearless_simd::Simd::vectorize(avx2, work);
    }
    work()
}

#[inline(always)]
fn check(kind: Kind, payload: &[u8]) {
    match kind {
        Kind::Binary => drop(black_box(payload)),
        _ => drop(black_box(simdutf8::basic::from_utf8(payload))),
    }
}

#[inline(always)]
fn xor(payload: &mut [u8]) {
    let done = xor_over_end::<32>(payload)
        || xor_over_end::<16>(payload)
        || xor_over_end::<8>(payload)
        || xor_over_end::<4>(payload);
    if !done {
        payload
            .iter_mut()
            .zip(KEY)
            .for_each(|(byte, key)| *byte ^= key);
    }
}

/// In vectors that lie in one line of the cache each.
#[inline(always)]
fn xor_aligned(payload: &mut [u8]) {
    let front = payload.as_ptr().align_offset(32).min(32);
    let first = masked_piece(&payload.first_chunk::<32>().copied().unwrap_or([0; 32]), 0);
    let end = payload.len();
    let last = masked_piece(&payload.last_chunk::<64>().copied().unwrap_or([0; 64]), end);
    for piece in payload[front..].as_chunks_mut::<64>().0 {
        *piece = masked_piece(piece, front);
    }
    payload[..32].copy_from_slice(&first);
    payload[end - 64..].copy_from_slice(&last);
}

/// From this length on aligned addresses are worth their overlaps.
const ALIGNED_FROM: usize = 1 << 10;

/// `false`: the payload is shorter than `BYTES`.
#[inline(always)]
fn xor_over_end<const BYTES: usize>(payload: &mut [u8]) -> bool {
    let length = payload.len();
    let Some(&end) = payload.last_chunk::<BYTES>() else {
        return false;
    };
    let (long, rest) = payload.as_chunks_mut::<128>();
    for piece in long {
        *piece = masked_piece(piece, 0);
    }
    for piece in rest.as_chunks_mut::<BYTES>().0 {
        *piece = masked_piece(piece, 0);
    }
    if let Some(last) = payload.last_chunk_mut() {
        *last = masked_piece(&end, length);
    }
    true
}

/// `offset`: that of the piece in the payload, or any number with the same last two bits.
#[inline(always)]
fn masked_piece<const BYTES: usize>(piece: &[u8; BYTES], offset: usize) -> [u8; BYTES] {
    let key = u32::from_le_bytes(KEY).rotate_right(8 * (offset % 4) as u32);
    let mut masked = *piece;
    for word in masked.as_chunks_mut::<4>().0 {
        *word = (u32::from_le_bytes(*word) ^ key).to_le_bytes();
    }
    masked
}
