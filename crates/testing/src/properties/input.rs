//! The first bytes of an input: limits, and the lengths of pieces.

use yamabiko::websocket::Limits;

/// The limits that the first byte of a session selects. A short input can reach the small ones.
pub fn limits_of(selector: u8) -> Limits {
    match selector % 3 {
        0 => Limits::default(),
        1 => limits(64, 4, 200),
        _ => limits(0, 1, 131),
    }
}

/// Limits without that of the ratio of compressed messages.
pub fn limits(
    message_bytes_max: usize,
    fragments_max: u32,
    unsent_reply_bytes_max: usize,
) -> Limits {
    Limits {
        message_bytes_max,
        inflate_ratio_max: u32::MAX,
        fragments_max,
        unsent_reply_bytes_max: u32::try_from(unsent_reply_bytes_max).unwrap_or(u32::MAX),
    }
}

/// Removes the lengths of the pieces from the front of an input.
pub fn take_lengths(data: &[u8]) -> (&[u8], &[u8]) {
    match data.split_first() {
        Some((&count, rest)) => rest.split_at(usize::from(count).min(rest.len())),
        None => (&[], &[]),
    }
}
