//! CRC-32C (Castagnoli, RFC 9260 appendix A), with which a header of the PROXY protocol can be protected.
//!
//! One bit after the other: a header has at most some hundred bytes and comes once for each connection, so a table would not pay.

/// The checksum of these parts, one after the other.
pub(super) fn crc32c(parts: &[&[u8]]) -> u32 {
    let bytes = parts.iter().copied().flatten();
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            let divisor = if crc & 1 == 1 { POLYNOMIAL } else { 0 };
            crc >> 1 ^ divisor
        })
    })
}

/// x³² + x²⁸ + x²⁷ + … + 1, its lowest power in the highest bit.
const POLYNOMIAL: u32 = 0x82F6_3B78;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720 appendix B.4, and the check value of the usual lists.
    #[test]
    fn known_checksums() {
        let rising: [u8; 32] = core::array::from_fn(|index| index as u8);
        for (bytes, checksum) in [
            (&b""[..], 0),
            (b"123456789", 0xE306_9283),
            (&[0; 32], 0x8A91_36AA),
            (&[0xff; 32], 0x62A8_AB43),
            (&rising, 0x46DD_794E),
        ] {
            assert_eq!(crc32c(&[bytes]), checksum, "{bytes:?}");
            let (first, second) = bytes.split_at(bytes.len() / 3);
            assert_eq!(crc32c(&[first, second]), checksum);
        }
    }
}
