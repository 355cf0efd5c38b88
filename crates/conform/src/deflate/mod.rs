//! DEFLATE (RFC 1951) for the messages of permessage-deflate (RFC 7692 §7.2), written for this
//! suite: the reader measures how far back a peer refers, and the writer makes every block
//! that is legal, and some that are not. A library does neither. The peers of this suite's tests and the
//! tests of `yamabiko` (`crates/testing`) compile this folder as their own.
//!
//! ```text
//!   Blocks        tokens chosen by a case ─▶ bytes
//!   Compressor    payload ─▶ tokens within a window ─▶ Blocks
//!   Inflater      bytes ─▶ payload, distances
//! ```

mod blocks;
mod code;
mod compressor;
mod inflater;

pub(crate) use blocks::{Blocks, Token};
pub(crate) use compressor::Compressor;
pub(crate) use inflater::{InflateError, Inflater};

/// The longest window, and the longest distance (RFC 1951 §2).
pub(crate) const WINDOW_BYTES_MAX: usize = 1 << 15;

/// What RFC 7692 §7.2.1 removes from the end of a compressed message: an empty stored block
/// without its first byte.
pub(crate) const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &[u8]) -> Vec<u8> {
        text.iter()
            .map(|&byte| Token::Literal(byte))
            .collect::<Vec<_>>()
            .fixed()
    }

    trait Fixed {
        fn fixed(self) -> Vec<u8>;
    }

    impl Fixed for Vec<Token> {
        fn fixed(self) -> Vec<u8> {
            Blocks::new().fixed(false, &self).message()
        }
    }

    fn inflated(bytes: &[u8]) -> Vec<u8> {
        let inflated = Inflater::default().message(bytes, 1 << 20);
        inflated.expect("it can be inflated").bytes
    }

    #[test]
    fn examples_of_the_rfc_are_written_and_read() {
        let fixed = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(message(b"Hello"), fixed);
        assert_eq!(inflated(&fixed), b"Hello");
        let stored = [
            0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
        ];
        assert_eq!(Blocks::new().stored(false, b"Hello").message(), stored);
        assert_eq!(inflated(&stored), b"Hello");
        let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        assert_eq!(inflated(&last), b"Hello");
        let two = [
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ];
        assert_eq!(inflated(&two), b"Hello");
        assert_eq!(inflated(&[0x00]), b"");
    }

    #[test]
    fn second_message_refers_to_the_first_one() {
        let mut compressor = Compressor::new(15, true);
        let mut inflater = Inflater::default();
        let first = compressor.message(b"Hello");
        let second = compressor.message(b"Hello");
        assert_eq!(inflater.message(&first, 5).expect("legal").reach, 0);
        let second = inflater.message(&second, 5).expect("legal");
        assert_eq!(second.bytes, b"Hello");
        assert_eq!((second.reach, second.distance_max), (5, 5));
        let of_the_rfc = inflater
            .message(&[0xf2, 0x00, 0x11, 0x00, 0x00], 5)
            .expect("legal");
        assert_eq!(
            (of_the_rfc.bytes.as_slice(), of_the_rfc.reach),
            (b"Hello".as_slice(), 4)
        );
    }

    #[test]
    fn distances_are_those_that_the_writer_chose() {
        let payload: Vec<u8> = (0..70_000_u32)
            .map(|number| (number / 300 * 7 + number % 300) as u8)
            .collect();
        for bits in 8..=15 {
            let bytes = Compressor::new(bits, false).message(&payload);
            let inflated = Inflater::default()
                .message(&bytes, payload.len())
                .expect("legal");
            assert_eq!(inflated.bytes, payload);
            assert!(inflated.distance_max <= 1 << bits && inflated.distance_max > 0);
        }
    }

    /// Another implementation of both directions, zlib-rs, understands this one.
    #[test]
    fn zlib_reads_what_is_written_and_its_bytes_are_read() {
        use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush};
        let texts = [
            vec![],
            b"a".to_vec(),
            b"ab".repeat(40_000),
            (0..=255).cycle().take(5000).collect(),
        ];
        for text in texts {
            for level in 0..=9 {
                let mut bytes = vec![0; text.len() + 1000];
                let mut deflate = Deflate::new(level, false, 15);
                deflate
                    .compress(&text, &mut bytes, DeflateFlush::SyncFlush)
                    .expect("it compresses");
                bytes.truncate(deflate.total_out() as usize);
                let message = bytes.strip_suffix(&TAIL).unwrap_or(&[0]);
                assert_eq!(inflated(message), text);
            }
            let mut bytes = Compressor::new(15, false).message(&text);
            bytes.extend(TAIL);
            let mut output = vec![0; text.len() + 1];
            let mut inflate = Inflate::new(false, 15);
            inflate
                .decompress(&bytes, &mut output, InflateFlush::SyncFlush)
                .expect("it inflates");
            output.truncate(inflate.total_out() as usize);
            assert_eq!(output, text);
        }
    }

    #[test]
    fn what_is_no_deflate_is_an_error() {
        let error = |bytes: &[u8]| Inflater::default().message(bytes, 100).err();
        let corrupt = |bytes: &[u8]| matches!(error(bytes), Some(InflateError::Corrupt(_)));
        assert!(corrupt(&[0x06]), "block type 3");
        assert!(
            corrupt(&[0x00, 0x05, 0x00, 0x00, 0x00]),
            "lengths that do not match"
        );
        assert!(
            corrupt(
                &vec![Token::Copy {
                    length: 3,
                    distance: 1
                }]
                .fixed()
            ),
            "a distance before the first byte"
        );
        assert!(corrupt(&[0xf2, 0x48]), "an end inside a block");
        let long = vec![Token::Literal(0); 101].fixed();
        assert_eq!(error(&long), Some(InflateError::TooLong));
        assert_eq!(inflated(&vec![Token::Literal(0); 100].fixed()), [0; 100]);
    }
}
