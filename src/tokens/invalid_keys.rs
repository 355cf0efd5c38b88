//! Why keys cannot be used.

use std::fmt;

/// Why keys cannot be used. No variant contains a part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidKeys {
    /// It is neither a JWK set nor a JWK nor a public key of Ed25519 in PEM.
    Format,
    /// A secret of HS256 has fewer than 32 bytes, or is not written in Base64url.
    SecretTooShort,
    /// It is no public key of Ed25519.
    Ed25519,
    /// There is no key that can be used.
    NoKey,
    /// There are too many keys.
    TooMany,
    /// A line of shared keys has a key that is too short, too long or not of visible ASCII characters.
    SharedKey {
        /// From 1.
        line: usize,
    },
    /// A line of shared keys has, behind its key, something else than `publish=` or `subscribe=` and patterns of rooms.
    Rooms {
        /// From 1.
        line: usize,
    },
}

impl fmt::Display for InvalidKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidKeys::Format => {
                "expected a JWK set in JSON, or a public key of Ed25519 in PEM"
            }
            InvalidKeys::SecretTooShort => "a secret of HS256 needs at least 32 bytes",
            InvalidKeys::Ed25519 => "expected a public key of Ed25519",
            InvalidKeys::NoKey => "there is no key for HS256 or EdDSA, and no shared key",
            InvalidKeys::TooMany => "too many keys: at most 16 for JSON Web Tokens, and 1024 shared ones",
            InvalidKeys::SharedKey { line } => {
                return write!(
                    f,
                    "line {line}: a shared key has 16 to 256 visible ASCII characters"
                );
            }
            InvalidKeys::Rooms { line } => {
                return write!(
                    f,
                    "line {line}: behind the key, expected publish= or subscribe= and rooms such as /chat/*"
                );
            }
        })
    }
}

impl std::error::Error for InvalidKeys {}
