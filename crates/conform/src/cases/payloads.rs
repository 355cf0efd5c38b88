//! Payloads of the cases.

/// Letters, so that a report can show them.
pub(super) fn text(length: usize) -> Vec<u8> {
    let letters = (b'a'..=b'z').cycle();
    letters.take(length).collect()
}

/// Every value of a byte, in an order whose period is no power of two: a key that is
/// applied at the wrong place shows.
pub(super) fn binary(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}
