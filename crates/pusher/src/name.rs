//! Names of channels, and what the beginning of a name says about the channel.
//!
//! | the name begins with | authorisation | presence | cache |
//! |---|---|---|---|
//! | nothing below | no | | |
//! | `private-`, `private-encrypted-` | yes | | |
//! | `presence-` | yes | yes | |
//! | `cache-` after one of these, or alone | as without it | as without it | yes |
//! | `#server-to-user-` and the id of a user | signed in as this user | | |
//!
//! A kind is decided by the beginning alone: `xcache-a` is public, and has no cache.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::wire::{CHANNEL_NAME_CHARACTERS_MAX, USER_ID_CHARACTERS_MAX};

/// A valid name of a channel. Cheap to clone: one allocation has the name of the server's room, which ends with it.
#[derive(Clone, Debug)]
pub(crate) struct ChannelName {
    room: Arc<str>,
    starts_at: u32,
    kind: ChannelKind,
}

/// What the name says about a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChannelKind {
    pub(crate) access: ChannelAccess,
    pub(crate) has_cache: bool,
}

/// Who may subscribe to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelAccess {
    Public,
    /// A connection with an authorisation. Also of encrypted channels: the server only passes their events on.
    Private,
    /// The same, and the subscribers see each other.
    Presence,
    /// The connections of one user, who has signed in.
    User,
}

impl ChannelName {
    /// `room_prefix`: what the name of the server's room begins with.
    ///
    /// # Errors
    /// Why this is no name of a channel.
    pub(crate) fn parse(name: &str, room_prefix: &str) -> Result<ChannelName, &'static str> {
        let kind = ChannelKind::of(name)?;
        Ok(ChannelName {
            room: format!("{room_prefix}{name}").into(),
            // Both have a limit that is far below.
            starts_at: u32::try_from(room_prefix.len()).unwrap_or(u32::MAX),
            kind,
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.room[self.starts_at as usize..]
    }

    /// The server's room with the subscribers of the channel.
    pub(crate) fn room(&self) -> &str {
        &self.room
    }

    pub(crate) fn kind(&self) -> ChannelKind {
        self.kind
    }

    /// Of the channel of a user: the id.
    pub(crate) fn user(&self) -> Option<&str> {
        self.as_str().strip_prefix(USER)
    }
}

impl ChannelKind {
    /// # Errors
    /// Why this is no name of a channel.
    pub(crate) fn of(name: &str) -> Result<ChannelKind, &'static str> {
        if let Some(id) = name.strip_prefix(USER) {
            return match id.is_empty() || id.chars().count() > USER_ID_CHARACTERS_MAX {
                true => Err("the id of the user must have 1 to 128 characters"),
                false => Ok(ChannelKind::new(ChannelAccess::User, false)),
            };
        }
        if name.is_empty() {
            return Err("the name of a channel must not be empty");
        }
        if !name.bytes().all(is_in_names) {
            return Err("the name of a channel has letters, digits and _-=@,.; only");
        }
        if name.len() > CHANNEL_NAME_CHARACTERS_MAX {
            return Err("the name of a channel has at most 200 characters");
        }
        let mut kinds = KINDS.iter();
        let found = kinds.find(|(prefix, ..)| name.starts_with(prefix));
        let &(_, access, has_cache) = found.unwrap_or(&("", ChannelAccess::Public, false));
        Ok(ChannelKind::new(access, has_cache))
    }

    fn new(access: ChannelAccess, has_cache: bool) -> ChannelKind {
        ChannelKind { access, has_cache }
    }

    /// Whether the events of the channel are ordered by the engine of a cluster. Those of a cache channel go to each node, which orders
    /// them with its copy of the last one.
    pub(crate) fn is_shared(self) -> bool {
        !self.has_cache
    }

    pub(crate) fn has_presence(self) -> bool {
        self.access == ChannelAccess::Presence
    }
}

fn is_in_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-=@,.;".contains(&byte)
}

/// Compared by the channel's name, so that a map can be asked by it. Names of several apps are never in one map.
impl PartialEq for ChannelName {
    fn eq(&self, other: &ChannelName) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for ChannelName {}

impl Hash for ChannelName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

/// The channel of a user.
const USER: &str = "#server-to-user-";

/// The longest prefix first.
const KINDS: [(&str, ChannelAccess, bool); 8] = [
    ("private-encrypted-cache-", ChannelAccess::Private, true),
    ("private-encrypted-", ChannelAccess::Private, false),
    ("private-cache-", ChannelAccess::Private, true),
    ("private-", ChannelAccess::Private, false),
    ("presence-cache-", ChannelAccess::Presence, true),
    ("presence-", ChannelAccess::Presence, false),
    ("cache-", ChannelAccess::Public, true),
    ("", ChannelAccess::Public, false),
];

#[cfg(test)]
mod tests {
    use super::*;
    use ChannelAccess::{Presence, Private, Public, User};

    #[test]
    fn beginning_of_the_name_decides_the_kind() {
        for (name, access, has_cache) in [
            ("news", Public, false),
            ("xcache-a", Public, false),
            ("xprivate-a", Public, false),
            ("PRIVATE-a", Public, false),
            ("cache-a", Public, true),
            ("cache-private-a", Public, true),
            ("private-a", Private, false),
            ("private-cache-a", Private, true),
            ("private-xcache-a", Private, false),
            ("private-encrypted-a", Private, false),
            ("private-encrypted-cache-a", Private, true),
            ("presence-a", Presence, false),
            ("presence-cache-a", Presence, true),
            ("presence-", Presence, false),
            ("#server-to-user-\u{e9} \"1\"", User, false),
        ] {
            let kind = ChannelKind::of(name).expect(name);
            assert_eq!(kind, ChannelKind { access, has_cache }, "{name}");
        }
    }

    #[test]
    fn name_has_listed_characters_and_at_most_200() {
        for name in ["a", "A-z_0=@,.;", &"a".repeat(200)] {
            assert!(ChannelKind::of(name).is_ok(), "{name}");
        }
        let long = format!("#server-to-user-{}", "\u{e9}".repeat(128));
        assert!(ChannelKind::of(&long).is_ok());
        for name in [
            "",
            "a b",
            "a/b",
            "a:b",
            "\u{e9}",
            "#a",
            "#server-to-user-",
            &"a".repeat(201),
            &format!("{long}x"),
        ] {
            assert!(ChannelKind::of(name).is_err(), "{name}");
        }
    }

    #[test]
    fn map_of_names_is_asked_by_text() {
        let name = ChannelName::parse("news", "/apps/1/channels/").expect("a name");
        assert_eq!(
            (name.as_str(), name.room()),
            ("news", "/apps/1/channels/news")
        );
        let names = std::collections::HashSet::from([name]);
        assert!(names.contains("news") && !names.contains("/apps/1/channels/news"));
    }
}
