//! Every limit of the playground, with its reason.

/// Pages at the same time; a further one gets 503. A session with compression has some 600 KiB.
pub(crate) const SESSIONS_MAX: usize = 64;

/// Bytes of one command; a longer one closes the outer connection with 1009. Room for [`SENT_BYTES_MAX`] in hexadecimal with spaces.
pub(crate) const COMMAND_BYTES_MAX: usize = 16 << 10;

/// Bytes that one command carries over the inner connection.
pub(crate) const SENT_BYTES_MAX: usize = 4 << 10;

/// Bytes of a message of the inner connection, so that a page can go beyond the limit with few bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// Fragments of a message of the inner connection.
pub(crate) const FRAGMENTS_MAX: u32 = 16;

/// Frames, and events, that one step of a report describes; further ones are counted.
pub(crate) const DESCRIBED_MAX: usize = 64;

/// Commands per second of one page, and how many may come at once. Beyond it the outer connection is closed with 1008.
pub(crate) const COMMANDS_PER_SECOND: u32 = 20;
pub(crate) const COMMANDS_AT_ONCE: u32 = 60;
