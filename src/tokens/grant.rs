//! What a token grants.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

/// What the owner of a token may do. A token that is valid may connect.
///
/// ```
/// use yamabiko::tokens::{Grant, InvalidPattern};
///
/// let grant = Grant::new()
///     .subscribe(["/chat/*".parse()?])
///     .publish(["/chat/lobby".parse()?]);
/// assert!(grant.may_subscribe("/chat/tea") && !grant.may_publish("/chat/tea"));
/// # Ok::<(), InvalidPattern>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    subject: Option<String>,
    publish: Vec<RoomPattern>,
    subscribe: Vec<RoomPattern>,
    expires_at: Option<SystemTime>,
}

impl Grant {
    /// To connect, and no room.
    pub fn new() -> Grant {
        Grant::default()
    }

    /// Every room, without an end.
    pub fn every_room() -> Grant {
        let every = || vec![RoomPattern::every_room()];
        Grant {
            publish: every(),
            subscribe: every(),
            ..Grant::default()
        }
    }

    /// For this subject.
    #[must_use]
    pub fn for_subject(mut self, subject: Option<String>) -> Grant {
        self.subject = subject;
        self
    }

    /// Also to publish to these rooms.
    #[must_use]
    pub fn publish(mut self, rooms: impl IntoIterator<Item = RoomPattern>) -> Grant {
        self.publish.extend(rooms);
        self
    }

    /// Also to subscribe to these rooms.
    #[must_use]
    pub fn subscribe(mut self, rooms: impl IntoIterator<Item = RoomPattern>) -> Grant {
        self.subscribe.extend(rooms);
        self
    }

    /// Up to this time; `None`: without an end.
    #[must_use]
    pub fn until(mut self, expires_at: Option<SystemTime>) -> Grant {
        self.expires_at = expires_at;
        self
    }

    /// The claim `sub` of the token.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Whether messages to this room are allowed.
    pub fn may_publish(&self, room: &str) -> bool {
        self.publish.iter().any(|pattern| pattern.matches(room))
    }

    /// Whether a subscription to this room is allowed.
    pub fn may_subscribe(&self, room: &str) -> bool {
        self.subscribe.iter().any(|pattern| pattern.matches(room))
    }

    /// When the token, with the leeway, is no longer valid. `None`: it does not expire.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }
}

/// A room, or all rooms whose names begin with a text: `/broadcast/ticks`, `/chat/team-*`, `*`.
///
/// Names are compared as they are, case included. The server's names of rooms are the application's; those of the program
/// `yamabiko` are `/chat/ROOM` and `/broadcast/ROOM`.
#[derive(Clone, PartialEq, Eq)]
pub struct RoomPattern {
    text: Box<str>,
    is_prefix: bool,
}

/// Why a text is no [`RoomPattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidPattern {
    /// It is empty.
    Empty,
    /// It has more than 256 bytes.
    TooLong,
    /// It has an asterisk that is not its last character.
    Asterisk,
}

impl RoomPattern {
    fn every_room() -> RoomPattern {
        RoomPattern {
            text: "".into(),
            is_prefix: true,
        }
    }

    /// Whether the room is meant.
    pub fn matches(&self, room: &str) -> bool {
        match self.is_prefix {
            true => room.starts_with(&*self.text),
            false => room == &*self.text,
        }
    }
}

impl FromStr for RoomPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<RoomPattern, InvalidPattern> {
        let prefix = text.strip_suffix('*');
        let name = prefix.unwrap_or(text);
        if text.is_empty() {
            return Err(InvalidPattern::Empty);
        }
        if text.len() > PATTERN_BYTES_MAX {
            return Err(InvalidPattern::TooLong);
        }
        if name.contains('*') {
            return Err(InvalidPattern::Asterisk);
        }
        Ok(RoomPattern {
            text: name.into(),
            is_prefix: prefix.is_some(),
        })
    }
}

impl fmt::Display for RoomPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.is_prefix { "*" } else { "" })
    }
}

impl fmt::Debug for RoomPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidPattern::Empty => "the name of a room is not empty",
            InvalidPattern::TooLong => "the name of a room has more than 256 bytes",
            InvalidPattern::Asterisk => "'*' stands for the rest of a name, at its end only",
        })
    }
}

impl std::error::Error for InvalidPattern {}

const PATTERN_BYTES_MAX: usize = 256;
