//! What is kept of the chat when the server ends: created rooms, and the key of sessions, as [`Records`].
//!
//! | name of the record | text |
//! |---|---|
//! | `chat/room/{room}` | a [`RoomRecord`] as JSON |
//! | `chat/session-key` | the key, as base64url |
//!
//! A room is written anew at each change of its rules or its topic, under its lock: so the last record is its last state. There are as
//! many records as created rooms: those with members, and at most 1,024 without. A record that this version cannot read is left alone.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::protocol::{Visibility, json};
use super::sessions::Person;
use crate::server::Records;

/// A created room without its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RoomRecord {
    pub(super) owner: Person,
    pub(super) visibility: Visibility,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) password: Option<PasswordRecord>,
    /// Of its invitations.
    pub(super) key: Bytes<32>,
    /// In the name under which it is published.
    pub(super) secret: Bytes<16>,
    /// When it was created, and when its key was set, in milliseconds since 1970-01-01 UTC.
    #[serde(default)]
    pub(super) created_at: u64,
    #[serde(default)]
    pub(super) key_at: u64,
    /// The oldest first.
    pub(super) admitted: Vec<Person>,
    pub(super) sanctions: Vec<SanctionRecord>,
    pub(super) slow_seconds: u64,
    /// When the slow mode was set.
    #[serde(default)]
    pub(super) slow_at: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) topic: Option<TopicRecord>,
    /// How often the topic was set.
    pub(super) topic_revision: u64,
}

/// A password as Argon2id has hashed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PasswordRecord {
    pub(super) salt: Bytes<16>,
    pub(super) hash: Bytes<32>,
}

/// Who may not write, or not enter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SanctionRecord {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) person: Option<Person>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) address: Option<std::net::IpAddr>,
    pub(super) is_ban: bool,
    pub(super) until: u64,
    /// When a moderator has decided this.
    #[serde(default)]
    pub(super) at: u64,
    /// The latest end that the sanction has had: so long it is remembered that it was lifted.
    #[serde(default)]
    pub(super) kept_until: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TopicRecord {
    pub(super) text: Box<str>,
    pub(super) by: Box<str>,
    pub(super) time: u64,
    pub(super) revision: u64,
}

/// Bytes, in JSON as a text in base64url.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes<const LENGTH: usize>(pub(super) [u8; LENGTH]);

/// Where the records are, if they are anywhere.
#[derive(Default)]
pub(super) struct Shelf(Option<Arc<dyn Records>>);

/// What was kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// In the order of their last changes.
    pub(super) rooms: Vec<(Box<str>, RoomRecord)>,
    pub(super) session_key: Option<[u8; 32]>,
}

impl Shelf {
    pub(super) fn new(records: Arc<dyn Records>) -> Shelf {
        Shelf(Some(records))
    }

    pub(super) fn load(&self) -> Kept {
        let mut kept = Kept::default();
        let records = self.0.as_ref().map(|records| records.load());
        for (name, text) in records.into_iter().flatten() {
            if name == SESSION_KEY {
                kept.session_key = Bytes::of(&text).map(|Bytes(key)| key);
            } else if let Some(room) = name.strip_prefix(ROOM)
                && let Some(record) = RoomRecord::of(&text)
            {
                kept.rooms.push((room.into(), record));
            }
        }
        kept
    }

    /// `record`: called if there is a place for it.
    pub(super) fn put_room(&self, room: &str, record: impl FnOnce() -> Option<RoomRecord>) {
        if let Some(records) = &self.0
            && let Some(record) = record()
        {
            records.put(&format!("{ROOM}{room}"), &json(&record));
        }
    }

    pub(super) fn remove_room(&self, room: &str) {
        if let Some(records) = &self.0 {
            records.remove(&format!("{ROOM}{room}"));
        }
    }

    pub(super) fn put_session_key(&self, key: [u8; 32]) {
        if let Some(records) = &self.0 {
            records.put(SESSION_KEY, &Bytes(key).to_string());
        }
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shelf")
    }
}

impl RoomRecord {
    /// `None`: it is not one of this version.
    fn of(text: &str) -> Option<RoomRecord> {
        let record: RoomRecord = serde_json::from_str(text).ok()?;
        (record.visibility != Visibility::Unknown).then_some(record)
    }
}

impl<const LENGTH: usize> Bytes<LENGTH> {
    fn of(text: &str) -> Option<Bytes<LENGTH>> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Bytes(bytes.try_into().ok()?))
    }
}

impl<const LENGTH: usize> fmt::Display for Bytes<LENGTH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// They are secrets, and not shown.
impl<const LENGTH: usize> fmt::Debug for Bytes<LENGTH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{LENGTH} bytes")
    }
}

impl<const LENGTH: usize> Serialize for Bytes<LENGTH> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const LENGTH: usize> Deserialize<'de> for Bytes<LENGTH> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Bytes::of(&text).ok_or_else(|| serde::de::Error::custom("not as many bytes in base64url"))
    }
}

const ROOM: &str = "chat/room/";
const SESSION_KEY: &str = "chat/session-key";

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    /// Records in memory.
    #[derive(Default)]
    pub(in super::super) struct InMemory(Mutex<BTreeMap<String, String>>);

    impl Records for InMemory {
        fn load(&self) -> Vec<(String, String)> {
            self.0.lock().unwrap().clone().into_iter().collect()
        }

        fn put(&self, name: &str, text: &str) {
            self.0.lock().unwrap().insert(name.into(), text.into());
        }

        fn remove(&self, name: &str) {
            self.0.lock().unwrap().remove(name);
        }
    }

    #[test]
    fn record_that_this_version_cannot_read_is_left_alone() {
        let records = Arc::new(InMemory::default());
        let shelf = Shelf::new(records.clone());
        let whole = r#"{"owner":"person a","visibility":"VISIBILITY","key":"KEY","secret":"AAAAAAAAAAAAAAAAAAAAAA","admitted":[],"sanctions":[],"slow_seconds":0,"topic_revision":0}"#;
        let whole = whole.replace("KEY", &"A".repeat(43));
        for (room, text) in [
            ("good", whole.replace("VISIBILITY", "unlisted")),
            ("later", whole.replace("VISIBILITY", "moonlit")),
            (
                "short",
                whole
                    .replace("VISIBILITY", "listed")
                    .replace("AAAAA\"", "\""),
            ),
            ("broken", "{".to_owned()),
        ] {
            records.put(&format!("{ROOM}{room}"), &text);
        }
        records.put(SESSION_KEY, "short");
        records.put("something else", "x");
        let kept = shelf.load();
        let names: Vec<&str> = kept.rooms.iter().map(|(name, _)| &**name).collect();
        assert_eq!((names, kept.session_key), (vec!["good"], None));
        assert_eq!(records.0.lock().unwrap().len(), 6);
        shelf.put_session_key([7; 32]);
        assert_eq!(shelf.load().session_key, Some([7; 32]));
    }
}
