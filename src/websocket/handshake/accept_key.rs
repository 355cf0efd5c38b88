//! Sec-WebSocket-Key and Sec-WebSocket-Accept (RFC 6455 §1.3, §4.2.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The value of Sec-WebSocket-Accept for a value of Sec-WebSocket-Key: 28
/// ASCII characters. Costs one SHA-1 of two blocks, some 100 ns; no
/// allocation.
///
/// ```text
///   nonce   16 random bytes
///   key     24 characters: base64(nonce)
///   accept  28 characters: base64(SHA-1(key ++ GUID))
/// ```
///
/// The key is no secret, and the hash proves no identity. It shows that the server has
/// read the request as a WebSocket handshake: a web server or a cache that an attacker
/// has tricked into accepting the connection would not send it.
///
/// ```
/// use yamabiko::websocket::handshake::accept_key;
///
/// let accept = accept_key("dGhlIHNhbXBsZSBub25jZQ==");
/// assert_eq!(&accept, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &str) -> [u8; 28] {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    //# taking the SHA-1 hash of this concatenated value to obtain a 20-byte
    //# value
    let digest = match key.as_bytes().try_into() {
        Ok(key) => Sha1::digest(with_guid(key)),
        // It is none that a client may send.
        Err(_) => Sha1::new().chain_update(key).chain_update(GUID).finalize(),
    };
    let mut accept = [0; 28];
    STANDARD
        .encode_slice(digest, &mut accept)
        .expect("20 bytes are 28 characters of base64");
    accept
}

/// In one piece, which takes the hash less time than two.
fn with_guid(key: [u8; KEY_BYTES]) -> [u8; KEY_BYTES + GUID.len()] {
    let mut text = [0; KEY_BYTES + GUID.len()];
    let (start, end) = text.split_at_mut(KEY_BYTES);
    start.copy_from_slice(&key);
    end.copy_from_slice(GUID.as_bytes());
    text
}

/// The key that a client sends for its nonce.
pub(super) fn key_of_nonce(nonce: [u8; 16]) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    STANDARD
        .encode_slice(nonce, &mut key)
        .expect("16 bytes are 24 characters of base64");
    key
}

/// Is this the one way to write some 16 bytes in base64? 22 characters of the
/// alphabet carry 132 bits, of which the last four must be zero, and two signs
/// of padding follow.
pub(super) fn is_canonical_key(value: &[u8]) -> bool {
    let Some((characters, b"==")) = value.split_last_chunk::<2>() else {
        return false;
    };
    let last_bits_are_zero = matches!(characters.last(), Some(b'A' | b'Q' | b'g' | b'w'));
    characters.len() == 22 && last_bits_are_zero && characters.iter().all(is_base64_byte)
}

fn is_base64_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

const KEY_BYTES: usize = 24;

/// The text that makes the hash one of WebSocket and of nothing else (§1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[cfg(test)]
mod tests {
    use super::*;

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    //= type=test
    //# taking the SHA-1 hash of this concatenated value to obtain a 20-byte
    //# value
    #[test]
    fn accept_is_the_hash_of_the_key_and_the_guid() {
        let table = [
            ("dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("x3JJHMbDL1EzLkh9GBhXDw==", b"HSmrc0sMlYUkAGmm5OPpG2HaGWk="),
        ];
        for (key, accept) in table {
            assert_eq!(&accept_key(key), accept, "{key}");
        }
    }

    #[test]
    fn key_is_the_nonce_in_base64() {
        let nonce = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
        assert_eq!(&key_of_nonce(nonce), b"AQIDBAUGBwgJCgsMDQ4PEA==");
        assert!(is_canonical_key(&key_of_nonce(nonce)));
    }

    #[test]
    fn key_check_agrees_with_a_decoder() {
        let alphabet: Vec<u8> = (0..=u8::MAX).collect();
        for last in alphabet {
            let mut value = *b"AQIDBAUGBwgJCgsMDQ4PE_==";
            value[21] = last;
            let decoded = STANDARD.decode(value);
            let expected = decoded.is_ok_and(|nonce| nonce.len() == 16);
            assert_eq!(
                is_canonical_key(&value),
                expected,
                "{}",
                last.escape_ascii()
            );
        }
    }

    #[test]
    fn key_of_another_form_is_refused() {
        let table: [&[u8]; 12] = [
            b"",
            b"==",
            b"AQ==",                         // 1 byte
            b"AQIDBAUGBwgJCgsMDQ4PEBESEw==", // 19 bytes
            b"AQIDBAUGBwgJCgsMDQ4PEC==",     // the uncorrected example of §4.1
            b"AQIDBAUGBwgJCgsMDQ4PEA",
            b"AQIDBAUGBwgJCgsMDQ4PEA=",
            b"AQIDBAUGBwgJCgsMDQ4PEA===",
            b"AQIDBAUGBwgJCgsMDQ4PEBE=", // 17 bytes
            b"AQIDBAUGBwgJCgsMDQ4P",     // 15 bytes
            b"AQIDBAUGBwgJ-gsMDQ4PEA==",
            b" QIDBAUGBwgJCgsMDQ4PEA==",
        ];
        for value in table {
            assert!(!is_canonical_key(value), "{}", value.escape_ascii());
        }
    }
}
