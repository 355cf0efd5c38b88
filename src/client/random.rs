//! Random bytes from the operating system, for a client on any I/O.
//!
//! A script must be able to foresee neither the key of a frame nor the nonce of a handshake (RFC 6455 §10.3), so both come
//! from the operating system and not from a generator whose next number follows from the last.
//!
//! ```
//! use yamabiko::client::random;
//! use yamabiko::websocket::handshake::{ClientHandshake, WebSocketUri};
//! use yamabiko::websocket::{Connection, Limits};
//!
//! let uri = WebSocketUri::parse("ws://127.0.0.1:9001/")?;
//! let handshake = ClientHandshake::new(&uri, random::nonce()?);
//! // After the handshake:
//! let connection = Connection::client(Limits::default(), random::masking_keys());
//! # drop((handshake, connection));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::io;

use super::error::ClientError;
use crate::websocket::{KeyBatch, MaskingKeys};

/// The sixteen random bytes of `Sec-WebSocket-Key`.
///
/// # Errors
/// [`ClientError::Randomness`].
pub fn nonce() -> Result<[u8; 16], ClientError> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(failed)?;
    Ok(nonce)
}

/// Masking keys; one system call provides 64 of them.
///
/// # Panics
/// The source panics if the operating system fails when a key is needed. There is no safe way to continue: a predictable key lets a
/// script choose the bytes on the wire. [`nonce`] has shown before that it returns random bytes.
pub fn masking_keys() -> impl MaskingKeys + 'static {
    KeyBatch::new(KEYS_PER_BATCH, |bytes: &mut [u8]| {
        getrandom::fill(bytes).expect("the operating system returns random bytes");
    })
}

/// A random number, for [`Backoff::next_delay_after`](super::Backoff::next_delay_after).
///
/// # Errors
/// [`ClientError::Randomness`].
pub fn number() -> Result<u64, ClientError> {
    getrandom::u64().map_err(failed)
}

fn failed(error: getrandom::Error) -> ClientError {
    ClientError::Randomness(io::Error::other(error.to_string()))
}

/// They take 256 bytes.
const KEYS_PER_BATCH: usize = 64;
