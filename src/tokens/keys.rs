//! Keys of JSON Web Tokens as they are written: JWK sets (RFC 7517) and PEM.

use super::invalid_keys::InvalidKeys;
use super::jwt::JwtKey;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse,
};

/// The keys of a JWK set, of a JWK, or of a public key in PEM.
pub(super) fn parse(text: &str) -> Result<Vec<JwtKey>, InvalidKeys> {
    let text = text.trim();
    if text.starts_with("-----BEGIN ") {
        return Ok(vec![JwtKey::ed25519(&pem(text)?, None)?]);
    }
    let jwks = match serde_json::from_str::<JwkSet>(text) {
        Ok(set) => set.keys,
        Err(_) => vec![serde_json::from_str::<Jwk>(text).map_err(|_| InvalidKeys::Format)?],
    };
    let keys = jwks.iter().filter_map(|jwk| key(jwk).transpose());
    let keys: Vec<JwtKey> = keys.collect::<Result<_, _>>()?;
    match keys.is_empty() {
        true => Err(InvalidKeys::NoKey),
        false => Ok(keys),
    }
}

/// `None`: a key for something else (RFC 7517 §5: such keys are ignored).
fn key(jwk: &Jwk) -> Result<Option<JwtKey>, InvalidKeys> {
    if matches!(jwk.common.public_key_use, Some(ref r#use) if *r#use != PublicKeyUse::Signature) {
        return Ok(None);
    }
    let id = jwk.common.key_id.clone();
    let key = match (&jwk.algorithm, jwk.common.key_algorithm) {
        (AlgorithmParameters::OctetKey(oct), None | Some(KeyAlgorithm::HS256)) => {
            let secret = URL_SAFE_NO_PAD.decode(&oct.value);
            JwtKey::hs256(&secret.map_err(|_| InvalidKeys::SecretTooShort)?, id)?
        }
        (AlgorithmParameters::OctetKeyPair(pair), None | Some(KeyAlgorithm::EdDSA))
            if pair.curve == EllipticCurve::Ed25519 =>
        {
            let key = URL_SAFE_NO_PAD.decode(&pair.x);
            JwtKey::ed25519(&key.map_err(|_| InvalidKeys::Ed25519)?, id)?
        }
        _ => return Ok(None),
    };
    Ok(Some(key))
}

/// The key in `-----BEGIN PUBLIC KEY-----`: its last 32 bytes (RFC 8410 §4), behind a beginning that is always the same.
fn pem(text: &str) -> Result<Vec<u8>, InvalidKeys> {
    let body = text
        .strip_prefix("-----BEGIN PUBLIC KEY-----")
        .and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----"))
        .ok_or(InvalidKeys::Format)?;
    let body: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| InvalidKeys::Format)?;
    let key = der.strip_prefix(ED25519_DER).ok_or(InvalidKeys::Ed25519)?;
    Ok(key.to_vec())
}

/// SEQUENCE (42 bytes), SEQUENCE (5 bytes), OBJECT IDENTIFIER 1.3.101.112, BIT STRING (33 bytes), no unused bits.
const ED25519_DER: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
