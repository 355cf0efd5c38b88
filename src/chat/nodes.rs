//! What the nodes of a cluster tell each other of rooms: entries that each node holds, and messages.
//!
//! | key of an entry | value | held by |
//! |---|---|---|
//! | `chat/a/{room}` | [`Fact::Created`] | at least one node |
//! | `chat/b/{room}/{hash of a person}` | [`Fact::Admitted`] | at least one node |
//! | `chat/m/{room}/{key of a name}` | [`MemberEntry`] | each node where the person has a connection |
//! | `chat/s/{room}/{hash of a person or an address}` | [`Fact::Sanction`] | at least one node |
//! | `chat/t/{room}` | [`Fact::Topic`] | at least one node |
//! | `chat/w/{room}` | [`Fact::Slow`] | at least one node |
//!
//! Values are JSON. What another version has written and this one cannot read is ignored. A node that starts learns the entries in the order of their
//! keys, so a created room comes before its members.
//!
//! # Facts
//!
//! A *fact* is part of the rules of a room (`rules.rs`). The node that has decided it holds it, and all nodes remember it. When that node ends, one
//! of the others holds it in its place, so that nodes that start later learn it: it is there as long as one node is. A node that learns a later
//! decision releases its own.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::names::Name;
use super::protocol::json;
use super::room_record::{Bytes, RoomRecord, SanctionRecord, TopicRecord};
use super::sessions::Person;
use crate::server::{Cluster, ClusterEvent};

/// A person of a room on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MemberEntry {
    pub(super) name: Box<str>,
    /// No other person of this node has it, whatever its name.
    pub(super) id: u64,
    /// When the person got this name, in milliseconds since 1970-01-01 UTC.
    pub(super) since: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) person: Option<Person>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) address: Option<IpAddr>,
    #[serde(skip_serializing_if = "is_false", default)]
    pub(super) is_moderator: bool,
    /// The name that the person had before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) was: Option<Box<str>>,
    /// It has followed another part of the person to this name, or has lost the name before: nobody follows it.
    #[serde(skip_serializing_if = "is_false", default)]
    pub(super) follows: bool,
}

/// Part of the rules of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// The room was created. Without its sanctions, its topic, and those that were let in.
    Created(Box<RoomRecord>),
    /// A session was let in.
    Admitted(Admitted),
    /// A moderator has set or lifted a sanction.
    Sanction(SanctionRecord),
    Slow(Slow),
    /// An empty text removes it.
    Topic(TopicRecord),
}

/// A session that was let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Admitted {
    /// Of the room: a later room of its name does not let the session in.
    pub(super) secret: Bytes<16>,
    pub(super) person: Person,
    /// When, in milliseconds since 1970-01-01 UTC.
    pub(super) at: u64,
}

/// The slow mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slow {
    pub(super) seconds: u64,
    /// When it was set, in milliseconds since 1970-01-01 UTC.
    pub(super) at: u64,
}

impl Fact {
    fn key(&self, room: &str) -> String {
        match self {
            Fact::Created(_) => format!("{CREATED}{room}"),
            Fact::Admitted(admitted) => format!("{ADMITTED}{room}/{}", hash(&admitted.person)),
            Fact::Sanction(sanction) => {
                let kind = if sanction.is_ban { "ban" } else { "mute" };
                let address = sanction.address.map(|address| address.to_string());
                let who = match &sanction.person {
                    Some(person) => format!("{kind} {person}"),
                    None => format!("{kind} address {}", address.unwrap_or_default()),
                };
                format!("{SANCTION}{room}/{}", hash(&who))
            }
            Fact::Topic(_) => format!("{TOPIC}{room}"),
            Fact::Slow(_) => format!("{SLOW}{room}"),
        }
    }

    fn value(&self) -> String {
        match self {
            Fact::Created(record) => json(record),
            Fact::Admitted(admitted) => json(admitted),
            Fact::Sanction(sanction) => json(sanction),
            Fact::Topic(topic) => json(topic),
            Fact::Slow(slow) => json(slow),
        }
    }

    /// The room and the fact of an entry.
    fn of<'k>(key: &'k str, value: &[u8]) -> Option<(&'k str, Fact)> {
        let (kind, rest) = key.split_at_checked(CREATED.len())?;
        let room = rest.split_once('/').map_or(rest, |(room, _)| room);
        let fact = match kind {
            CREATED => Fact::Created(serde_json::from_slice(value).ok()?),
            ADMITTED => Fact::Admitted(serde_json::from_slice(value).ok()?),
            SANCTION => Fact::Sanction(serde_json::from_slice(value).ok()?),
            TOPIC => Fact::Topic(serde_json::from_slice(value).ok()?),
            SLOW => Fact::Slow(serde_json::from_slice(value).ok()?),
            _ => return None,
        };
        Some((room, fact))
    }
}

/// A message to all nodes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Notice {
    /// A moderator has removed a person from a room: its parts, each with its node.
    Removed {
        room: Box<str>,
        parts: Vec<(u64, u64)>,
    },
    /// A created room without members has ended: there were too many.
    Ended { room: Box<str>, secret: Bytes<16> },
}

/// The other nodes, as rooms see them. Calls do not wait.
pub(super) trait Others: Send + Sync {
    /// The number of this node.
    fn node(&self) -> u64;
    /// See [`Cluster::hold`]. If this node holds too much, the others do not learn the entry.
    fn hold(&self, key: &str, value: &str);
    /// See [`Cluster::release`].
    fn release(&self, key: &str);
    /// Keys and values of the entries of all nodes whose keys begin like this.
    fn entries(&self, prefix: &str) -> Vec<(Arc<str>, Arc<[u8]>)>;
    /// See [`Cluster::send`]. If too much waits for the engine, the message is lost.
    fn send(&self, message: &str);
}

impl Others for Cluster {
    fn node(&self) -> u64 {
        Cluster::node(self).get()
    }

    fn hold(&self, key: &str, value: &str) {
        let _ = Cluster::hold(self, key, value.as_bytes());
    }

    fn release(&self, key: &str) {
        Cluster::release(self, key);
    }

    fn entries(&self, prefix: &str) -> Vec<(Arc<str>, Arc<[u8]>)> {
        let entries = Cluster::entries(self, prefix).into_iter();
        entries.map(|entry| (entry.key, entry.value)).collect()
    }

    fn send(&self, message: &str) {
        let _ = Cluster::send(self, message.as_bytes());
    }
}

/// What this node tells the others. Without a cluster, nothing.
#[derive(Default)]
pub(super) struct Nodes(OnceLock<Box<dyn Others>>);

impl Nodes {
    pub(super) fn set(&self, others: Box<dyn Others>) {
        // Called once.
        let _ = self.0.set(others);
    }

    pub(super) fn are_there(&self) -> bool {
        self.0.get().is_some()
    }

    /// The number of this node.
    pub(super) fn this(&self) -> u64 {
        self.0.get().map_or(0, |others| others.node())
    }

    pub(super) fn hold_member(&self, room: &str, name: &Name, entry: &MemberEntry) {
        if let Some(others) = self.0.get() {
            others.hold(&member_key(room, name), &json(entry));
        }
    }

    pub(super) fn release_member(&self, room: &str, name: &Name) {
        if let Some(others) = self.0.get() {
            others.release(&member_key(room, name));
        }
    }

    pub(super) fn hold(&self, room: &str, fact: &Fact) {
        if let Some(others) = self.0.get() {
            others.hold(&fact.key(room), &fact.value());
        }
    }

    /// Does nothing if this node does not hold it.
    pub(super) fn release(&self, room: &str, fact: &Fact) {
        if let Some(others) = self.0.get() {
            others.release(&fact.key(room));
        }
    }

    /// What the nodes have decided of a room, but that it was created.
    pub(super) fn facts(&self, room: &str) -> Vec<Fact> {
        let Some(others) = self.0.get() else {
            return Vec::new();
        };
        let kinds = [ADMITTED, SANCTION, TOPIC, SLOW].iter();
        let entries = kinds.flat_map(|kind| others.entries(&format!("{kind}{room}")));
        let facts = entries.filter_map(|(key, value)| {
            let (of_room, fact) = Fact::of(&key, &value)?;
            (of_room == room).then_some(fact)
        });
        facts.collect()
    }

    pub(super) fn send(&self, notice: &Notice) {
        if let Some(others) = self.0.get() {
            others.send(&format!("{MESSAGE}{}", json(notice)));
        }
    }
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Nodes").field(&self.this()).finish()
    }
}

/// Something that a node has told of a room.
#[derive(Debug)]
pub(super) struct Told<'e> {
    pub(super) node: u64,
    pub(super) room: Cow<'e, str>,
    pub(super) what: What<'e>,
}

#[derive(Debug)]
pub(super) enum What<'e> {
    /// It holds the entry of a person.
    MemberHeld(MemberEntry),
    /// It does not hold the entry with the key of this name any more.
    MemberReleased(&'e str),
    /// It has decided this, or holds it in the place of another node.
    Fact(Fact),
    /// The last node that has held this has ended, and this node holds it in its place.
    Orphaned(Fact),
    /// Its moderator has removed a person: its parts.
    Removed(Vec<(u64, u64)>),
    /// The room with this secret has ended.
    Ended(Bytes<16>),
}

impl<'e> Told<'e> {
    /// `None`: it is not about a room of the chat, or cannot be read.
    pub(super) fn of(event: &'e ClusterEvent) -> Option<Told<'e>> {
        match event {
            ClusterEvent::Held { entry, .. } => {
                Told::of_held(entry.node.get(), &entry.key, &entry.value)
            }
            ClusterEvent::Released {
                entry, is_teller, ..
            } => {
                let is_orphaned = *is_teller && event.is_last();
                Told::of_released(entry.node.get(), &entry.key, &entry.value, is_orphaned)
            }
            ClusterEvent::Message { from, payload } => Told::of_message(from.get(), payload),
        }
    }

    pub(super) fn of_held(node: u64, key: &'e str, value: &[u8]) -> Option<Told<'e>> {
        let (room, what) = match room_and_name(key) {
            Some((room, name)) => {
                let entry: MemberEntry = serde_json::from_slice(value).ok()?;
                let parsed = Name::parse(&entry.name);
                if parsed.is_ok_and(|of_entry| of_entry.key() != name) {
                    return None;
                }
                (room, What::MemberHeld(entry))
            }
            None => {
                let (room, fact) = Fact::of(key, value)?;
                (room, What::Fact(fact))
            }
        };
        let room = room.into();
        Some(Told { node, room, what })
    }

    /// `is_orphaned`: no node holds it any more, and this one has to know.
    pub(super) fn of_released(
        node: u64,
        key: &'e str,
        value: &[u8],
        is_orphaned: bool,
    ) -> Option<Told<'e>> {
        let (room, what) = match room_and_name(key) {
            Some((room, name)) => (room, What::MemberReleased(name)),
            None if is_orphaned => {
                let (room, fact) = Fact::of(key, value)?;
                (room, What::Orphaned(fact))
            }
            None => return None,
        };
        let room = room.into();
        Some(Told { node, room, what })
    }

    pub(super) fn of_message(node: u64, payload: &[u8]) -> Option<Told<'e>> {
        let json = payload.strip_prefix(MESSAGE.as_bytes())?;
        let (room, what) = match serde_json::from_slice(json).ok()? {
            Notice::Removed { room, parts } => (room, What::Removed(parts)),
            Notice::Ended { room, secret } => (room, What::Ended(secret)),
        };
        let room = String::from(room).into();
        Some(Told { node, room, what })
    }
}

/// The name of a room has no `/`.
fn room_and_name(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix(MEMBER)?.split_once('/')
}

fn member_key(room: &str, name: &Name) -> String {
    format!("{MEMBER}{room}/{}", name.key())
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A key has a limit, and a person none.
fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(text.as_bytes())[..16])
}

// In the order in which a node that starts learns them.
const CREATED: &str = "chat/a/";
const ADMITTED: &str = "chat/b/";
const MEMBER: &str = "chat/m/";
const SANCTION: &str = "chat/s/";
const TOPIC: &str = "chat/t/";
const SLOW: &str = "chat/w/";
const MESSAGE: &str = "chat/";

#[cfg(test)]
mod tests;
