//! The settings of a data file.

use std::time::Duration;

/// Settings of a data file. See [`SqliteBackplane::open`](crate::SqliteBackplane::open).
///
/// ```
/// use yamabiko_sqlite::{Durability, SqliteSettings};
///
/// let settings = SqliteSettings { durability: Durability::Full, ..SqliteSettings::default() };
/// assert_eq!(settings.file_bytes_max, 1 << 30);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteSettings {
    /// What an acknowledged message survives. Default [`Durability::Normal`].
    pub durability: Durability,
    /// Bytes of the file. Before a message would not fit, the oldest messages of all rooms are dropped. Beside the file there is its
    /// write-ahead log, of about 8 MiB. Default 1 GiB, at least 1 MiB.
    pub file_bytes_max: u64,
    /// Messages that may wait to be written; further ones are refused. Default 16,384.
    pub queue_messages_max: usize,
    /// Bytes of the messages that may wait to be written; further ones are refused. Default 16 MiB.
    pub queue_bytes_max: usize,
    /// The time in which each message is answered. If the disk has not written a message by then, it is refused, or its result is unknown.
    /// Default 5 s.
    pub answer_timeout: Duration,
    /// A room without messages is forgotten when nothing was published to it for so long. The room that gets its name later has
    /// another epoch. Default 30 days.
    pub unused_room_age: Duration,
}

impl Default for SqliteSettings {
    fn default() -> SqliteSettings {
        SqliteSettings {
            durability: Durability::Normal,
            file_bytes_max: 1 << 30,
            queue_messages_max: 16_384,
            queue_bytes_max: 16 << 20,
            answer_timeout: Duration::from_secs(5),
            unused_room_age: Duration::from_secs(30 * 24 * 60 * 60),
        }
    }
}

/// What an acknowledged message survives.
///
/// | | the process is killed | the machine loses power | a batch of messages costs |
/// |---|---|---|---|
/// | `Full` | survives | survives | one `fsync` |
/// | `Normal` | survives | the last seconds may be lost; the file is whole | a write |
/// | `Off` | survives | the last minute may be lost, or the file is damaged | a write; checkpoints cost no `fsync` either |
///
/// If messages may have been lost, all rooms get another epoch: so no offset is used twice in an epoch, and clients learn of
/// the gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Each batch is on the disk before its messages are delivered and acknowledged.
    Full,
    /// Each batch is with the operating system before its messages are delivered and acknowledged.
    #[default]
    Normal,
    /// As `Normal`; the operating system decides alone when it writes to the disk.
    Off,
}

impl Durability {
    /// The value of `PRAGMA synchronous`.
    pub(crate) fn synchronous(self) -> &'static str {
        match self {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
            Durability::Off => "OFF",
        }
    }
}
