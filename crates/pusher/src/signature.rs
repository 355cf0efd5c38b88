//! Signatures: HMAC-SHA256 under an app's secret, in lower-case hexadecimal.
//!
//! | of | what is signed |
//! |---|---|
//! | a private channel | `socket_id:channel` |
//! | a presence channel, or any with channel data | `socket_id:channel:channel_data` |
//! | a user who signs in | `socket_id::user::user_data` |
//! | a request of the HTTP API | `METHOD\nPATH\nk1=v1&k2=v2`, the parameters in order |
//! | a webhook | its body |
//!
//! A client's authorisation is the app's key, a colon and the signature. All comparisons take the same time wherever the first
//! difference is.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// The secret of an app.
#[derive(Clone)]
pub(crate) struct Secret(Hmac<Sha256>);

impl Secret {
    pub(crate) fn new(secret: &str) -> Secret {
        let hmac = Hmac::new_from_slice(secret.as_bytes());
        Secret(hmac.expect("a key of HMAC may have any length: RFC 2104 §2"))
    }

    /// The signature of these parts, one behind the other.
    pub(crate) fn sign(&self, parts: &[&str]) -> String {
        let mut hmac = self.0.clone();
        parts.iter().for_each(|part| hmac.update(part.as_bytes()));
        hexadecimal(&hmac.finalize().into_bytes())
    }

    /// Whether a signature is that of these parts.
    pub(crate) fn verify(&self, signature: &str, parts: &[&str]) -> bool {
        equal(signature, &self.sign(parts))
    }

    /// Whether an authorisation is this key and the signature of these parts.
    pub(crate) fn verify_authorisation(&self, auth: &str, key: &str, parts: &[&str]) -> bool {
        equal(auth, &format!("{key}:{}", self.sign(parts)))
    }
}

/// The MD5 digest of a body, which requests of the API carry.
pub(crate) fn md5(body: &[u8]) -> String {
    hexadecimal(&Md5::digest(body))
}

/// Compares in a time that depends on the lengths alone.
pub(crate) fn equal(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    let digits = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
    bytes.iter().flat_map(digits).collect()
}

/// The secret is in no log.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "278d425bdf160c739803";
    const SECRET: &str = "7ad3773142a6692b25b8";

    /// The examples of the protocol's documentation.
    #[test]
    fn signatures_are_those_of_the_documentation() {
        let secret = Secret::new(SECRET);
        for (parts, signature) in [
            (
                &["1234.1234", ":", "private-foobar"][..],
                "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4",
            ),
            (
                &[
                    "1234.1234:presence-foobar:",
                    r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#,
                ],
                "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80",
            ),
            (
                &["1234.1234", "::user::", r#"{"id":"12345"}"#],
                "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba",
            ),
        ] {
            assert_eq!(secret.sign(parts), signature);
            assert!(secret.verify(signature, parts));
            assert!(secret.verify_authorisation(&format!("{KEY}:{signature}"), KEY, parts));
        }
    }

    #[test]
    fn authorisation_is_wrong_if_any_part_of_it_is() {
        let secret = Secret::new(SECRET);
        let parts = ["1.2:private-a"];
        let signature = secret.sign(&parts);
        for auth in [
            String::new(),
            signature.clone(),
            format!("{KEY}:"),
            format!("x{KEY}:{signature}"),
            format!("{KEY}:{signature}0"),
            format!("{KEY}:{}", &signature[1..]),
            format!("{KEY}:{}", signature.to_uppercase()),
            format!("{KEY}:{}", secret.sign(&["1.2:private-b"])),
            format!("{KEY}:{}", Secret::new("other").sign(&parts)),
        ] {
            assert!(!secret.verify_authorisation(&auth, KEY, &parts), "{auth}");
        }
    }

    #[test]
    fn digest_of_a_body_is_md5() {
        let body = br#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
        assert_eq!(md5(body), "ec365a775a4cd0599faeb73354201b6f");
        assert_eq!(md5(b""), "d41d8cd98f00b204e9800998ecf8427e");
    }
}
