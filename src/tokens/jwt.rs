//! JSON Web Tokens: the key, then the signature, then the claims.

use super::claims::Claims;
use super::crypto;
use super::error::TokenError;
use super::invalid_keys::InvalidKeys;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use std::fmt;

/// A key that verifies tokens by one algorithm.
#[derive(Clone)]
pub(super) struct JwtKey {
    /// What `kid` of a token names.
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtKey {
    pub(super) fn hs256(secret: &[u8], id: Option<String>) -> Result<JwtKey, InvalidKeys> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(InvalidKeys::SecretTooShort);
        }
        let key = DecodingKey::from_secret(secret).map_err(|_| InvalidKeys::SecretTooShort)?;
        Ok(JwtKey::new(id, Algorithm::HS256, key))
    }

    pub(super) fn ed25519(key: &[u8], id: Option<String>) -> Result<JwtKey, InvalidKeys> {
        if !crypto::is_ed25519_key(key) {
            return Err(InvalidKeys::Ed25519);
        }
        let key = DecodingKey::from_ed_der(key);
        Ok(JwtKey::new(id, Algorithm::EdDSA, key))
    }

    fn new(id: Option<String>, algorithm: Algorithm, key: DecodingKey) -> JwtKey {
        crypto::install();
        JwtKey { id, algorithm, key }
    }

    /// Whether a token with this header may be verified by this key. The algorithm is the key's, so a public key is never the secret
    /// of an HMAC. What else the header names (`jku`, `jwk`, `x5u`) is not looked at.
    fn is_meant(&self, header: &Header) -> bool {
        let names_another =
            matches!((&header.kid, &self.id), (Some(named), Some(own)) if named != own);
        self.algorithm == header.alg && !names_another
    }
}

/// Without the key.
impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// The claims of a token that one of the keys verifies.
pub(super) fn verify(token: &[u8], keys: &[JwtKey]) -> Result<Claims, TokenError> {
    let header = decode_header(token).map_err(|error| malformed(token, &error))?;
    if !matches!(header.alg, Algorithm::HS256 | Algorithm::EdDSA) {
        return Err(TokenError::Algorithm);
    }
    for key in keys.iter().filter(|key| key.is_meant(&header)) {
        match decode::<Claims>(token, &key.key, &validation(key.algorithm)) {
            Ok(verified) => return Ok(verified.claims),
            Err(error) if is_other_key(&error) => {}
            Err(error) if matches!(error.kind(), ErrorKind::Json(_)) => {
                return Err(TokenError::Claims);
            }
            Err(_) => return Err(TokenError::Malformed),
        }
    }
    Err(TokenError::Unknown)
}

/// The signature alone: the claims are checked with the time as an input (`claims.rs`).
fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

fn is_other_key(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidSignature | ErrorKind::UnsupportedAlgorithm
    )
}

/// What a text is whose header cannot be read. One that has not three parts may be a shared key that is not known.
fn malformed(token: &[u8], error: &Error) -> TokenError {
    let parts = token.split(|byte| *byte == b'.').count();
    match error.kind() {
        _ if parts != 3 => TokenError::Unknown,
        // `none` is no algorithm.
        ErrorKind::Json(error) if error.to_string().contains("unknown variant") => {
            TokenError::Algorithm
        }
        _ => TokenError::Malformed,
    }
}

/// RFC 7518 §3.2: as long as the hash.
const SECRET_BYTES_MIN: usize = 32;
