//! History: the newest messages of a room, kept for subscribers that come later or come back.
//!
//! ```text
//!   offset     … 40   41   42   43   44   45            of the room's messages, in their order
//!                   │ kept: the limits of the room     │
//!                   └─ 41 … 45                         ▲ new messages
//!   join_from(After(43))      44  45  and the new ones
//!   join_from(Latest(3))      43  44  45  and the new ones
//!   join_from(After(12))      a gap, then 41 … 45  and the new ones
//! ```
//!
//! The messages are kept in the room's log (`rooms/history.rs`), and a subscriber that comes back is a cursor into its past. This
//! file has the values of the public interface.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How much a room keeps of its messages: those that are within all three limits. See [`Handler::history`](super::Handler::history).
///
/// ```
/// use std::time::Duration;
/// use yamabiko::server::RoomHistory;
///
/// let history = RoomHistory { age_max: Some(Duration::from_secs(60)), ..RoomHistory::default() };
/// assert_eq!((history.messages_max, history.bytes_max), (1000, 1 << 20));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomHistory {
    /// Messages. Default 1,000.
    pub messages_max: u64,
    /// Bytes of the messages as they are sent without compression, frame headers included. Default 1 MiB.
    pub bytes_max: u64,
    /// Age. A message is dropped up to a sixteenth of this later. Default 24 hours. `None`: no limit.
    pub age_max: Option<Duration>,
}

impl RoomHistory {
    /// Whether the room keeps messages.
    pub(in crate::server) fn keeps(&self) -> bool {
        self.messages_max > 0
    }
}

impl Default for RoomHistory {
    fn default() -> RoomHistory {
        RoomHistory {
            messages_max: 1000,
            bytes_max: 1 << 20,
            age_max: Some(Duration::from_secs(24 * 60 * 60)),
        }
    }
}

/// How much all rooms together may keep. See [`Config::history`](super::Config).
///
/// Each worker has a copy of each history, so that its subscribers read it without a lock. A room whose subscribers take
/// compression has another copy for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Rooms that have a history and no subscriber. Beyond it the room that has been unused for longest is forgotten. Each takes up
    /// to 12 KiB besides its messages. Default 4,096.
    pub rooms_max: usize,
    /// Bytes of all kept messages, counted as [`RoomHistory::bytes_max`] counts them. Beyond it the room loses its history that
    /// was published to longest ago. Default 64 MiB.
    pub bytes_max: u64,
}

impl Default for HistoryLimits {
    fn default() -> HistoryLimits {
        HistoryLimits {
            rooms_max: 4096,
            bytes_max: 64 << 20,
        }
    }
}

/// A place between two messages of a room: behind the message with this offset.
///
/// Offsets rise by one with each message of the room, and begin again when the server does. The *epoch* tells these sequences apart:
/// it is another one after each start. A position always has both. Its text form is `epoch-offset`, the epoch in 16
/// hexadecimal digits.
///
/// ```
/// use yamabiko::server::Position;
///
/// let position: Position = "00a1b2c3d4e5f607-42".parse()?;
/// assert_eq!(position.offset(), 42);
/// assert_eq!(position.to_string(), "00a1b2c3d4e5f607-42");
/// assert!("42".parse::<Position>().is_err());
/// # Ok::<(), yamabiko::server::InvalidPosition>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    epoch: u64,
    offset: u64,
}

impl Position {
    /// The place behind the message with this offset, in this epoch: for a [`Backplane`](super::Backplane), which numbers messages by itself.
    pub const fn new(epoch: u64, offset: u64) -> Position {
        Position { epoch, offset }
    }

    /// Which sequence the offset belongs to.
    pub fn epoch(self) -> u64 {
        self.epoch
    }

    /// The offset of the message in front of this place; 0 before the first one.
    pub fn offset(self) -> u64 {
        self.offset
    }

    /// The place that is so many messages later.
    #[must_use]
    pub fn plus(self, messages: u64) -> Position {
        Position {
            epoch: self.epoch,
            offset: self.offset.saturating_add(messages),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.epoch, self.offset)
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Position, InvalidPosition> {
        let (epoch, offset) = text.split_once('-').ok_or(InvalidPosition)?;
        let is_hexadecimal = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        if epoch.len() != EPOCH_DIGITS || !epoch.bytes().all(is_hexadecimal) {
            return Err(InvalidPosition);
        }
        // `parse` would take a sign.
        if !offset.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(InvalidPosition);
        }
        Ok(Position {
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| InvalidPosition)?,
            offset: offset.parse().map_err(|_| InvalidPosition)?,
        })
    }
}

/// A text is no [`Position`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidPosition;

impl fmt::Display for InvalidPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a position is an epoch of 16 hexadecimal digits, '-', and an offset")
    }
}

impl std::error::Error for InvalidPosition {}

/// Where a subscription begins: see [`Context::join_from`](super::Context::join_from).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replay {
    /// With the newest messages that are kept, at most so many.
    Latest(u64),
    /// Behind this place: for a client that comes back.
    After(Position),
}

/// How a subscription has begun: see [`Handler::joined`](super::Handler::joined).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replayed {
    /// The place in front of the first message that follows.
    pub position: Position,
    /// How many messages of the past follow. The messages that are published from now on come behind them.
    pub messages: u64,
    /// Whether messages are missing between the place that was asked for and [`Replayed::position`].
    pub gap: Gap,
}

/// Whether messages of the past are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gap {
    /// None is missing: every message behind the place that was asked for follows. Always so with [`Replay::Latest`].
    None,
    /// Messages behind that place may be gone, by the limits of the history. All that are kept follow.
    Forgotten,
    /// The place belongs to another epoch, so the server cannot tell what is missing. All messages that are kept follow.
    OtherEpoch,
}

/// A message of the past is to be erased: see [`Handler::erases`](super::Handler::erases).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Erasure {
    /// The place behind the message.
    pub position: Position,
    /// The text in its place, which keeps the message's offset. It is filled up with spaces to the length of the message.
    pub instead: String,
}

impl Erasure {
    /// Erases the message in front of this place. This text is in its place.
    pub fn new(position: Position, instead: impl Into<String>) -> Erasure {
        Erasure {
            position,
            instead: instead.into(),
        }
    }
}

const EPOCH_DIGITS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn position_is_read_back_from_its_text(epoch: u64, offset: u64) {
            let position = Position::new(epoch, offset);
            prop_assert_eq!(position.to_string().parse(), Ok(position));
        }
    }

    #[test]
    fn text_without_an_epoch_or_without_an_offset_is_no_position() {
        for text in [
            "",
            "-",
            "7",
            "00a1b2c3d4e5f607",
            "00a1b2c3d4e5f607-",
            "00a1b2c3d4e5f607-+7",
            "00a1b2c3d4e5f607--7",
            "00a1b2c3d4e5f607-18446744073709551616",
            "00A1B2C3D4E5F607-7",
            "0a1b2c3d4e5f607-7",
            "+0a1b2c3d4e5f607-7",
            "00a1b2c3d4e5f607-7 ",
        ] {
            assert_eq!(text.parse::<Position>(), Err(InvalidPosition), "{text}");
        }
    }
}
