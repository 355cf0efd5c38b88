//! Invitations to a private room: texts that let their owner in for a time, without the password.
//!
//! ```text
//!   6a51b2c0 . 8f3c…91        until when (seconds since 1970, hexadecimal), and HMAC-SHA-256 of it
//! ```
//!
//! They are signed with a key that the room alone has, and nothing of them is kept. Another key makes all earlier ones void: that is
//! how they are revoked. The key is random and is kept with the room.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The longest time that an invitation is valid.
pub(super) const INVITATION_SECONDS_MAX: u64 = 30 * 24 * 3600;
/// Bytes of an invitation as text: at most so many.
pub(super) const INVITATION_BYTES_MAX: usize = 16 + 1 + 2 * SIGNATURE_BYTES;

/// The key of a room's invitations.
pub(super) struct InvitationKey {
    random: [u8; 32],
    mac: Hmac<Sha256>,
}

impl InvitationKey {
    pub(super) fn new(random: [u8; 32]) -> InvitationKey {
        // Of the length of a block of SHA-256, as HMAC pads a shorter one.
        let mut key = [0; 64];
        key[..32].copy_from_slice(&random);
        InvitationKey {
            random,
            mac: Hmac::new(&key.into()),
        }
    }

    /// For a record: the bytes that make this key again.
    pub(super) fn bytes(&self) -> [u8; 32] {
        self.random
    }

    /// An invitation up to this time, in seconds since 1970-01-01 UTC.
    pub(super) fn invitation(&self, until: u64) -> String {
        let mut text = format!("{until:x}.");
        for byte in self.sign(until).finalize().into_bytes() {
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }

    /// Whether the invitation is one of this key, and valid at this time.
    pub(super) fn accepts(&self, invitation: &str, now: u64) -> bool {
        let Some((until, code)) = invitation.split_once('.') else {
            return false;
        };
        let (Ok(until), Some(code)) = (u64::from_str_radix(until, 16), bytes_of(code)) else {
            return false;
        };
        now < until && self.sign(until).verify_slice(&code).is_ok()
    }

    fn sign(&self, until: u64) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(&until.to_be_bytes());
        mac
    }
}

/// The key is not shown.
impl std::fmt::Debug for InvitationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InvitationKey")
    }
}

const SIGNATURE_BYTES: usize = 32;

fn bytes_of(hexadecimal: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    let digits = hexadecimal.as_bytes();
    if digits.len() != 2 * SIGNATURE_BYTES {
        return None;
    }
    let mut bytes = [0; SIGNATURE_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invitation_is_accepted_until_its_time_by_its_own_key_alone() {
        let key = InvitationKey::new([7; 32]);
        let invitation = key.invitation(1000);
        assert!(key.accepts(&invitation, 999));
        assert!(!key.accepts(&invitation, 1000));
        assert!(!InvitationKey::new([8; 32]).accepts(&invitation, 999));
        assert!(key.invitation(u64::MAX).len() <= INVITATION_BYTES_MAX);
    }

    #[test]
    fn invitation_that_was_changed_is_refused() {
        let key = InvitationKey::new([7; 32]);
        let invitation = key.invitation(1000);
        let later = invitation.replacen("3e8.", "fff.", 1);
        for changed in [
            "",
            ".",
            "3e8",
            "3e8.",
            "x.y",
            &later,
            &invitation[..invitation.len() - 2],
        ] {
            assert!(!key.accepts(changed, 0), "{changed}");
        }
    }
}
