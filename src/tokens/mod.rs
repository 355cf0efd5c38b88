//! Tokens: who a client is, and what it may do, shown by a text that it sends with its request.
//!
//! ```text
//!   request ─▶ credential.rs ─▶ a token ─┬─▶ shared_key.rs   is it one of the keys?
//!              one of four places         └─▶ jwt.rs          signature, then claims ─▶ Grant
//! ```
//!
//! [`Tokens`] holds the keys. It takes a request, or a token, and the time, and returns a [`Grant`]: the
//! subject, the rooms to publish to and to subscribe to, and the end of it all. It does no input or output and reads no clock.
//!
//! # The two kinds of tokens
//!
//! - A **JSON Web Token** (RFC 7519), signed by HS256 or EdDSA (Ed25519). Another program issues it; `exp` is
//!   required. The key decides which algorithm a signature is checked by, never the token: `none`, and a
//!   signature by HS256 with the bytes of a public key, are refused. Keys are rotated by having several,
//!   each with its `kid`.
//! - A **shared key**: a random text that the client sends as it is, for scripts. Only its SHA-256 is kept, and it is compared with
//!   each key in constant time.
//!
//! # Where a token is
//!
//! | place | form |
//! |---|---|
//! | field `Authorization` | `Bearer TOKEN` |
//! | field `Cookie` | [`COOKIE`]`=TOKEN` |
//! | field `Sec-WebSocket-Protocol` | one of the offered subprotocols is [`SUBPROTOCOL_PREFIX`] and the token: a page can set no other field |
//! | query | [`QUERY_PARAMETER`]`=TOKEN`; `Debug` of a request hides it |
//!
//! A request with two tokens is refused: two programs on its way could believe two different ones (RFC 6750 §2).
//!
//! # Claims
//!
//! | claim | effect |
//! |---|---|
//! | `exp` | required: the token, and a connection that was opened with it, end then |
//! | `nbf` | the token is not valid before |
//! | `aud`, `iss` | must be those of [`Tokens::audience`] and [`Tokens::issuer`]; a token with `aud` is refused where none is set |
//! | `sub` | [`Grant::subject`] |
//! | `publish`, `subscribe` | the rooms: [`RoomPattern`]s, as a list or a text. Without the claim: no room |
//!
//! Costs: about 1 µs for a shared key or HS256 and 50 µs for EdDSA, with one key. Nothing is allocated for a request without a token.

mod claims;
mod credential;
mod crypto;
mod error;
mod grant;
mod invalid_keys;
mod jwt;
mod keys;
mod place;
mod shared_key;

pub use error::TokenError;
pub use grant::{Grant, InvalidPattern, RoomPattern};
pub use invalid_keys::InvalidKeys;
pub use place::{COOKIE, QUERY_PARAMETER, SUBPROTOCOL, SUBPROTOCOL_PREFIX, TokenPlace};

use crate::http::RequestHead;
use claims::Expectations;
use jwt::JwtKey;
use shared_key::SharedKey;
use std::time::{Duration, SystemTime};

/// The keys and rules by which tokens are checked: see the [module's text](self).
///
/// ```
/// use std::time::SystemTime;
/// use yamabiko::tokens::{TokenError, Tokens};
///
/// let tokens = Tokens::new()
///     .shared_keys("Tr6vZ1q8yXw0sB4k publish=/broadcast/ticks\n")?
///     .hs256_secret(b"a secret of at least 32 random bytes")?
///     .audience("chat.example");
///
/// let grant = tokens.verify(b"Tr6vZ1q8yXw0sB4k", SystemTime::now())?;
/// assert!(grant.may_publish("/broadcast/ticks"));
/// assert!(!grant.may_subscribe("/broadcast/ticks"));
/// assert_eq!(tokens.verify(b"guessed", SystemTime::now()), Err(TokenError::Unknown));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tokens {
    jwt_keys: Vec<JwtKey>,
    shared_keys: Vec<SharedKey>,
    expectations: Expectations,
    is_optional: bool,
}

impl Tokens {
    /// Without keys, so that every token is refused. A leeway of 30 s.
    pub fn new() -> Tokens {
        Tokens {
            jwt_keys: Vec::new(),
            shared_keys: Vec::new(),
            expectations: Expectations::default(),
            is_optional: false,
        }
    }

    /// Also accepts JSON Web Tokens that these keys verify: a JWK set or a JWK (RFC 7517), or a public key in PEM as
    /// OpenSSL writes it. Keys of other kinds than `oct` (HS256) and `OKP` with the curve Ed25519 (EdDSA) are ignored.
    ///
    /// A token that names a key by `kid` is verified by the keys of this name, and by those without a name. One that names
    /// none is verified by all keys of its algorithm.
    ///
    /// # Errors
    /// The text is none of these, a key is malformed or too short, there is no key of a known kind, or there would be more than 16.
    pub fn jwt_keys(mut self, text: &str) -> Result<Tokens, InvalidKeys> {
        self.add_jwt_keys(keys::parse(text)?)?;
        Ok(self)
    }

    /// Also accepts JSON Web Tokens signed by HS256 with this secret.
    ///
    /// # Errors
    /// It has fewer than 32 bytes (RFC 7518 §3.2).
    pub fn hs256_secret(mut self, secret: &[u8]) -> Result<Tokens, InvalidKeys> {
        self.add_jwt_keys(vec![JwtKey::hs256(secret, None)?])?;
        Ok(self)
    }

    fn add_jwt_keys(&mut self, keys: Vec<JwtKey>) -> Result<(), InvalidKeys> {
        self.jwt_keys.extend(keys);
        match self.jwt_keys.len() <= KEYS_MAX {
            true => Ok(()),
            false => Err(InvalidKeys::TooMany),
        }
    }

    /// Also accepts these keys as tokens, one on each line. Without more a key grants every room; with `publish=` or
    /// `subscribe=` and patterns of rooms, separated by commas, it grants those. Empty lines and lines that begin with `#`
    /// are skipped.
    ///
    /// ```text
    /// # for the script that publishes prices
    /// Tr6vZ1q8yXw0sB4k publish=/broadcast/prices,/broadcast/news-*
    /// ```
    ///
    /// # Errors
    /// The line that is wrong: a key of fewer than 16 or more than 256 visible ASCII characters, an unknown word, or a
    /// pattern that is none. Or there is no key, or there would be more than 1,024.
    pub fn shared_keys(mut self, text: &str) -> Result<Tokens, InvalidKeys> {
        self.shared_keys.extend(shared_key::parse(text)?);
        match self.shared_keys.len() <= SHARED_KEYS_MAX {
            true => Ok(self),
            false => Err(InvalidKeys::TooMany),
        }
    }

    /// A JSON Web Token must be for this audience (`aud`).
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Tokens {
        self.expectations.audience = Some(audience.into());
        self
    }

    /// A JSON Web Token must be from this issuer (`iss`).
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Tokens {
        self.expectations.issuer = Some(issuer.into());
        self
    }

    /// How far the clocks of the issuer and of this server may differ: a token is valid this much before `nbf` and after `exp`.
    /// Default: 30 s.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Tokens {
        self.expectations.leeway = leeway;
        self
    }

    /// Whether a server admits WebSockets without a token, for a handler that looks at
    /// each request's grant. A wrong token is refused all the same. Default: false.
    #[must_use]
    pub fn optional(mut self, is_optional: bool) -> Tokens {
        self.is_optional = is_optional;
        self
    }

    /// As it was set by [`Tokens::optional`].
    pub fn is_optional(&self) -> bool {
        self.is_optional
    }

    /// Checks the token of a request. `Ok(None)`: it has none.
    ///
    /// # Errors
    /// The token is not valid at this time, or there are two. `Refusal::from` makes the response.
    pub fn authenticate(
        &self,
        request: &RequestHead<'_>,
        now: SystemTime,
    ) -> Result<Option<Grant>, TokenError> {
        match credential::find(request)? {
            Some(token) => self.verify(&token, now).map(Some),
            None => Ok(None),
        }
    }

    /// Checks a token.
    ///
    /// # Errors
    /// It is not valid at this time.
    pub fn verify(&self, token: &[u8], now: SystemTime) -> Result<Grant, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        if let Some(grant) = shared_key::find(&self.shared_keys, token) {
            return Ok(grant);
        }
        if self.jwt_keys.is_empty() {
            return Err(TokenError::Unknown);
        }
        jwt::verify(token, &self.jwt_keys)?.check(&self.expectations, now)
    }
}

impl Default for Tokens {
    fn default() -> Tokens {
        Tokens::new()
    }
}

/// A token of 4 KiB has hundreds of rooms. Longer ones are refused before they are decoded.
const TOKEN_BYTES_MAX: usize = 4 << 10;

/// Each may have to be tried for one token.
const KEYS_MAX: usize = 16;

/// All are compared with each token.
const SHARED_KEYS_MAX: usize = 1 << 10;

#[cfg(test)]
mod tests;
