//! What the nodes of a cluster tell each other of rooms: entries that each node holds, and messages.
//!
//! | key of an entry | value | held by |
//! |---|---|---|
//! | `chat/m/{room}/{key of a name}` | [`MemberEntry`] | each node where the person has a connection |
//!
//! Values are JSON. What another version has written and this one cannot read is ignored.

use std::fmt;
use std::net::IpAddr;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::names::Name;
use super::protocol::json;
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

/// The other nodes, as rooms see them. Calls do not wait.
pub(super) trait Others: Send + Sync {
    /// The number of this node.
    fn node(&self) -> u64;
    /// See [`Cluster::hold`]. If this node holds too much, the others do not learn the entry.
    fn hold(&self, key: &str, value: &str);
    /// See [`Cluster::release`].
    fn release(&self, key: &str);
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
    pub(super) room: &'e str,
    pub(super) what: What<'e>,
}

#[derive(Debug)]
pub(super) enum What<'e> {
    /// It holds the entry of a person.
    MemberHeld(MemberEntry),
    /// It does not hold the entry with the key of this name any more.
    MemberReleased(&'e str),
}

impl<'e> Told<'e> {
    /// `None`: it is not about a room of the chat, or cannot be read.
    pub(super) fn of(event: &'e ClusterEvent) -> Option<Told<'e>> {
        match event {
            ClusterEvent::Held { entry, .. } => {
                Told::of_held(entry.node.get(), &entry.key, &entry.value)
            }
            ClusterEvent::Released { entry, .. } => Told::of_released(entry.node.get(), &entry.key),
            _ => None,
        }
    }

    pub(super) fn of_held(node: u64, key: &'e str, value: &[u8]) -> Option<Told<'e>> {
        let (room, name) = room_and_name(key)?;
        let entry: MemberEntry = serde_json::from_slice(value).ok()?;
        let is_of_key = Name::parse(&entry.name).is_ok_and(|of_entry| of_entry.key() == name);
        is_of_key.then_some(Told {
            node,
            room,
            what: What::MemberHeld(entry),
        })
    }

    pub(super) fn of_released(node: u64, key: &'e str) -> Option<Told<'e>> {
        let (room, name) = room_and_name(key)?;
        Some(Told {
            node,
            room,
            what: What::MemberReleased(name),
        })
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

const MEMBER: &str = "chat/m/";

#[cfg(test)]
mod tests;
