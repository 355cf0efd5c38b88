//! Files compressed with gzip (RFC 1952), once, before they are served.

use alloc::vec;
use alloc::vec::Vec;
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Status};

/// The bytes compressed as far as possible. `None`: that does not make them shorter.
pub(super) fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    let config = DeflateConfig {
        level: 9,
        window_bits: GZIP_WINDOW_BITS,
        ..DeflateConfig::default()
    };
    // A result of the same length would be of no use.
    let mut output = vec![0; bytes.len()];
    let mut deflate = Deflate::new_with_config(config);
    let status = deflate.compress(bytes, &mut output, DeflateFlush::Finish);
    if !matches!(status, Ok(Status::StreamEnd)) {
        return None;
    }
    output.truncate(usize::try_from(deflate.total_out()).ok()?);
    output.shrink_to_fit();
    Some(output)
}

/// The largest window, and 16 for the header and trailer of gzip.
const GZIP_WINDOW_BITS: i32 = 15 + 16;

#[cfg(test)]
mod tests {
    use super::*;
    use zlib_rs::{InflateConfig, decompress_slice};

    #[test]
    fn compressed_bytes_are_shorter_and_inflate_to_the_same_bytes() {
        let bytes = b"one mountain calls, every mountain answers. ".repeat(50);
        let compressed = compress(&bytes).expect("it repeats itself");
        assert!(compressed.starts_with(b"\x1f\x8b\x08"));
        let mut inflated = vec![0; bytes.len()];
        let config = InflateConfig {
            window_bits: GZIP_WINDOW_BITS,
        };
        let (inflated, _) = decompress_slice(&mut inflated, &compressed, config);
        assert_eq!(inflated, bytes);
    }

    #[test]
    fn bytes_that_do_not_get_shorter_are_not_compressed() {
        assert_eq!(compress(b""), None);
        assert_eq!(compress(b"abc"), None);
    }
}
