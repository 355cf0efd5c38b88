//! Shared keys: texts that a client sends as they are.
//!
//! Of a key only its SHA-256 is kept. A token is hashed, and the hash is compared with all of them: neither the length of a key,
//! nor how much of it was guessed, nor which one it is can be told by the time that it takes.

use super::grant::{Grant, RoomPattern};
use super::invalid_keys::InvalidKeys;
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// A key, as its hash, and what it grants.
#[derive(Clone)]
pub(super) struct SharedKey {
    hash: [u8; 32],
    grant: Grant,
}

/// Without the hash, by which guesses could be checked.
impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedKey")
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}

/// What the token grants, if it is one of the keys.
pub(super) fn find(keys: &[SharedKey], token: &[u8]) -> Option<Grant> {
    if keys.is_empty() {
        return None;
    }
    let hash: [u8; 32] = Sha256::digest(token).into();
    let (mut found, mut at) = (Choice::from(0), 0u32);
    for (index, key) in (0u32..).zip(keys) {
        let is_equal = key.hash.ct_eq(&hash);
        at.conditional_assign(&index, is_equal);
        found |= is_equal;
    }
    let key = keys.get(at as usize).filter(|_| bool::from(found));
    key.map(|key| key.grant.clone())
}

/// The keys of a text, one on each line.
pub(super) fn parse(text: &str) -> Result<Vec<SharedKey>, InvalidKeys> {
    let lines = (1..).zip(text.lines().map(str::trim));
    let keys = lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| parse_line(number, line));
    let keys: Vec<SharedKey> = keys.collect::<Result<_, _>>()?;
    match keys.is_empty() {
        true => Err(InvalidKeys::NoKey),
        false => Ok(keys),
    }
}

fn parse_line(line: usize, text: &str) -> Result<SharedKey, InvalidKeys> {
    let mut words = text.split_ascii_whitespace();
    let key = words.next().unwrap_or_default();
    if !(KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&key.len())
        || !key.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(InvalidKeys::SharedKey { line });
    }
    let mut rooms = words.peekable();
    let mut grant = match rooms.peek() {
        None => Grant::every_room(),
        Some(_) => Grant::new(),
    };
    for word in rooms {
        let (right, patterns) = word.split_once('=').unwrap_or_default();
        let patterns = patterns.split(',').map(str::parse);
        let patterns: Vec<RoomPattern> = patterns
            .collect::<Result<_, _>>()
            .map_err(|_| InvalidKeys::Rooms { line })?;
        grant = match right {
            "publish" => grant.publish(patterns),
            "subscribe" => grant.subscribe(patterns),
            _ => return Err(InvalidKeys::Rooms { line }),
        };
    }
    Ok(SharedKey {
        hash: Sha256::digest(key).into(),
        grant,
    })
}

/// 16 random characters of Base64 cannot be guessed over a network.
const KEY_BYTES_MIN: usize = 16;

const KEY_BYTES_MAX: usize = 256;
