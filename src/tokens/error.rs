//! Why a token is refused, and the response (RFC 6750 §3).

use super::place::TokenPlace;
use crate::http::{Refusal, Status};
use std::fmt;

/// Why a request is refused whose token, or lack of one, is the reason. No variant contains a part of the token.
///
/// `Refusal::from` makes the response: 400 for a request with several tokens, 403 for one that the token does not allow, and 401 for
/// the rest, with `WWW-Authenticate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// The request has no token.
    Missing,
    /// The server has no keys, so no token can be valid.
    NoKeys,
    /// The request has two tokens, or a place for one has two.
    Several {
        /// Where the first one is.
        first: TokenPlace,
        /// Where the second one is.
        second: TokenPlace,
    },
    /// The place for a token has no text of a token.
    Unreadable(TokenPlace),
    /// It has more than 4 KiB.
    TooLong,
    /// It is no shared key, and no key verifies its signature.
    Unknown,
    /// It looks like a JSON Web Token, and its parts cannot be read.
    Malformed,
    /// It is signed by another algorithm than HS256 and EdDSA, or not at all.
    Algorithm,
    /// A claim is missing, has a duplicate or is of the wrong kind.
    Claims,
    /// It was valid until `exp`.
    Expired,
    /// It is valid from `nbf` on.
    NotYetValid,
    /// It is for another audience.
    Audience,
    /// It is from another issuer.
    Issuer,
    /// It is valid, and does not allow this.
    NotAllowed,
}

impl TokenError {
    /// The code of RFC 6750 §3.1. A request without a token gets none.
    fn code(self) -> Option<&'static str> {
        match self {
            TokenError::Missing | TokenError::NoKeys => None,
            TokenError::Several { .. } | TokenError::Unreadable(_) => Some("invalid_request"),
            TokenError::NotAllowed => Some("insufficient_scope"),
            _ => Some("invalid_token"),
        }
    }

    fn status(self) -> Status {
        match self {
            TokenError::Several { .. } | TokenError::Unreadable(_) => Status::BadRequest,
            TokenError::NotAllowed => Status::Forbidden,
            _ => Status::Unauthorized,
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenError::Missing => "a token is needed",
            TokenError::NoKeys => {
                "a token is needed, and this server has no keys; --shared-keys-file, --jwt-keys-file or \
                 --jwt-secret-file (Config::tokens) has them"
            }
            TokenError::Several { first, second } if first == second => {
                return write!(f, "there are two tokens in {first}");
            }
            TokenError::Several { first, second } => {
                return write!(f, "there is a token in {first} and another one in {second}");
            }
            TokenError::Unreadable(place) => {
                return write!(f, "there is no readable token in {place}");
            }
            TokenError::TooLong => "the token has more than 4096 bytes",
            TokenError::Unknown => "no key of this server verifies the token",
            TokenError::Malformed => "the token is malformed",
            TokenError::Algorithm => "the token must be signed by HS256 or EdDSA",
            TokenError::Claims => "a claim of the token is missing, duplicated or of a wrong kind",
            TokenError::Expired => "the token has expired",
            TokenError::NotYetValid => "the token is not valid yet",
            TokenError::Audience => "the token is for another audience",
            TokenError::Issuer => "the token is from another issuer",
            TokenError::NotAllowed => "the token does not allow this",
        })
    }
}

impl std::error::Error for TokenError {}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Refusal {
        let reason = error.to_string();
        let challenge = match error.code() {
            None => "Bearer".to_owned(),
            Some(code) => format!("Bearer error=\"{code}\", error_description=\"{reason}\""),
        };
        let refusal = Refusal::new(error.status(), reason);
        let without_field = refusal.clone();
        // The challenge is printable ASCII.
        let refusal = refusal.field("WWW-Authenticate", challenge);
        refusal.unwrap_or(without_field)
    }
}
