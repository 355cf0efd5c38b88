//! Sessions: signed texts by which a person is known again after a reload or a lost connection.
//!
//! ```text
//!   s1. base64url( person: 16 random bytes | until: 8 bytes, seconds since 1970 | tag: 16 bytes )
//!                                                                    └─ HMAC-SHA-256-128 of the other two
//! ```
//!
//! The server makes a session for whoever enters without one, and a fresh one of the same person each time that it is shown. Nothing
//! of it is kept: whoever has the text is the person until its time is over. Without the key nobody can make a session, take the one of
//! somebody else from what a room is told, or change its end. The tag is truncated to 128 bits, as RFC 4868 §2.1.1 does.
//!
//! A person is known to the rooms by a text ([`Person`]) that begins with its kind, so that no secret of a client can be the subject of a
//! token or the person of a session:
//!
//! | who | text |
//! |---|---|
//! | an account: the subject of a token | `account` and the subject |
//! | a session of this server | `person` and its random bytes |
//! | a secret that the client has made itself | `secret` and its hash |

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// A session is valid for so long after the server has made it.
pub(super) const SESSION_SECONDS: u64 = 30 * 24 * 3600;

/// Bytes of the secret of a [`SessionKey`]: at least so many.
pub const SESSION_KEY_BYTES_MIN: usize = 32;

/// Who a person is, as rooms compare it.
pub(super) type Person = Box<str>;

/// The key that signs the sessions of the chat: see [`Chat::session_key`](super::Chat::session_key).
///
/// ```
/// use yamabiko::chat::SessionKey;
///
/// assert!(SessionKey::new(b"32 random bytes, from a password manager").is_some());
/// assert!(SessionKey::new(b"too short").is_none());
/// ```
#[derive(Clone)]
pub struct SessionKey(Hmac<Sha256>);

/// A session that is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session {
    person: [u8; PERSON_BYTES],
}

impl SessionKey {
    /// A key from a secret, which should be random. `None`: it has fewer than [`SESSION_KEY_BYTES_MIN`] bytes.
    pub fn new(secret: &[u8]) -> Option<SessionKey> {
        (secret.len() >= SESSION_KEY_BYTES_MIN)
            .then(|| SessionKey::of(Sha256::digest(secret).into()))
    }

    pub(super) fn of(key: [u8; 32]) -> SessionKey {
        // Of the length of a block of SHA-256, as HMAC pads a shorter one.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&key);
        SessionKey(Hmac::new(&block.into()))
    }

    /// The text of a session, and until when it is valid: both for the client. `now`: seconds since 1970-01-01 UTC.
    pub(super) fn issue(&self, session: Session, now: u64) -> (String, u64) {
        let until = now.saturating_add(SESSION_SECONDS);
        let mut bytes = [0; SESSION_BYTES];
        bytes[..PERSON_BYTES].copy_from_slice(&session.person);
        bytes[PERSON_BYTES..SIGNED_BYTES].copy_from_slice(&until.to_be_bytes());
        let tag = self.sign(&bytes[..SIGNED_BYTES]).finalize().into_bytes();
        bytes[SIGNED_BYTES..].copy_from_slice(&tag[..TAG_BYTES]);
        (format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)), until)
    }

    /// The session of this text. `None`: this key has not made it, or its time is over.
    pub(super) fn check(&self, text: &str, now: u64) -> Option<Session> {
        let encoded = text.strip_prefix(PREFIX)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        let (signed, tag) = bytes.split_at_checked(SIGNED_BYTES)?;
        if tag.len() != TAG_BYTES {
            return None;
        }
        self.sign(signed).verify_truncated_left(tag).ok()?;
        let (person, until) = signed.split_at(PERSON_BYTES);
        let until = u64::from_be_bytes(until.try_into().ok()?);
        let person = person.try_into().ok()?;
        (now < until).then_some(Session { person })
    }

    fn sign(&self, signed: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(b"yamabiko.chat session\0");
        mac.update(signed);
        mac
    }
}

/// The key is not shown.
impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey")
    }
}

impl Session {
    /// The session of a new person.
    pub(super) fn new(random: [u8; PERSON_BYTES]) -> Session {
        Session { person: random }
    }

    pub(super) fn person(&self) -> Person {
        format!("person {}", URL_SAFE_NO_PAD.encode(self.person)).into()
    }
}

/// Whether a text claims to be a session of a server. Otherwise it is a secret that a client has made.
pub(super) fn is_signed(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// The person with this secret of its own. The secret itself is kept nowhere.
pub(super) fn person_of_secret(secret: &str) -> Person {
    let hash = Sha256::digest(secret.as_bytes());
    format!("secret {}", URL_SAFE_NO_PAD.encode(&hash[..PERSON_BYTES])).into()
}

/// The person with this account.
pub(super) fn person_of_account(subject: &str) -> Person {
    format!("account {subject}").into()
}

const PREFIX: &str = "s1.";
const PERSON_BYTES: usize = 16;
const SIGNED_BYTES: usize = PERSON_BYTES + 8;
const TAG_BYTES: usize = 16;
const SESSION_BYTES: usize = SIGNED_BYTES + TAG_BYTES;

#[cfg(test)]
mod tests {
    use super::super::protocol::{SECRET_BYTES_MAX, SECRET_BYTES_MIN};
    use super::*;

    const AIKO: Session = Session { person: [7; 16] };

    fn key(byte: u8) -> SessionKey {
        SessionKey::of([byte; 32])
    }

    #[test]
    fn session_is_its_person_until_its_time_and_under_its_key_alone() {
        let (text, until) = key(1).issue(AIKO, 1000);
        assert_eq!(until, 1000 + SESSION_SECONDS);
        assert_eq!(key(1).check(&text, until - 1), Some(AIKO));
        assert_eq!(key(1).check(&text, until), None);
        assert_eq!(key(2).check(&text, 1000), None);
        assert!((SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&text.len()));
    }

    #[test]
    fn session_with_any_changed_character_is_refused() {
        let (text, _) = key(1).issue(AIKO, 1000);
        for index in 0..text.len() {
            for other in ["A", "B", "_", ".", "="] {
                let mut changed = text.clone();
                changed.replace_range(index..=index, other);
                if changed != text {
                    assert_eq!(key(1).check(&changed, 1000), None, "{changed}");
                }
            }
        }
        for cut in 0..text.len() {
            assert_eq!(key(1).check(&text[..cut], 1000), None, "{cut}");
        }
        assert_eq!(key(1).check(&format!("{text}A"), 1000), None);
    }

    #[test]
    fn secret_has_session_key_bytes_min_and_no_less() {
        assert!(SessionKey::new(&[7; SESSION_KEY_BYTES_MIN]).is_some());
        assert!(SessionKey::new(&[7; SESSION_KEY_BYTES_MIN - 1]).is_none());
    }

    #[test]
    fn end_of_a_session_cannot_be_moved() {
        let (earlier, _) = key(1).issue(AIKO, 1000);
        let (later, _) = key(1).issue(AIKO, 2000);
        // The end of one, with the tag of the other.
        let bytes = |text: &str| {
            URL_SAFE_NO_PAD
                .decode(&text[PREFIX.len()..])
                .expect("its own")
        };
        let moved = [
            &bytes(&later)[..SIGNED_BYTES],
            &bytes(&earlier)[SIGNED_BYTES..],
        ]
        .concat();
        let moved = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(moved));
        assert_eq!(key(1).check(&moved, 1000), None);
    }

    #[test]
    fn persons_of_different_kinds_are_never_the_same() {
        let session = AIKO.person();
        let id = session.strip_prefix("person ").expect("its kind");
        assert_ne!(person_of_secret(id), session);
        assert_ne!(person_of_secret(&session), session);
        assert_ne!(person_of_account(id), session);
        assert_ne!(
            person_of_secret("account alice-and-bob"),
            person_of_account("alice-and-bob")
        );
    }
}
