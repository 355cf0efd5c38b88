//! Rooms in a SQLite file: the messages of a server of [`yamabiko`] survive its restart, and clients resume over it.
//!
//! [`SqliteBackplane`] is also a place for [`Records`](yamabiko::server::Records) of the application, and a [`Backplane`] for one server. It numbers the messages of each room, keeps them in one file within
//! the room's [`RoomHistory`](yamabiko::server::RoomHistory), and acknowledges a message when it is as durable as the setting
//! [`Durability`] says.
//!
//! ```no_run
//! use std::sync::Arc;
//! use yamabiko::server::{BackplaneConfig, Config, HistoryLimits};
//! use yamabiko_sqlite::{SqliteBackplane, SqliteSettings};
//!
//! let data = SqliteBackplane::open("rooms.db", SqliteSettings::default())?;
//! let config = Config {
//!     history: Some(HistoryLimits::default()),
//!     backplane: Some(BackplaneConfig::new(Arc::new(data))),
//!     ..Config::default()
//! };
//! # drop(config);
//! # Ok::<(), yamabiko_sqlite::OpenError>(())
//! ```
//!
//! # How it works
//!
//! ```text
//!   event loops ── publish ──▶ queue ──▶ thread ──▶ one transaction: number, keep ──▶ the file (SQLite, write-ahead log)
//!        ▲                    (bounded)     │
//!        └───────── deliver, acknowledge ◀──┘
//! ```
//!
//! The event loops never wait for the disk. The thread takes all that has come while it wrote: so the more messages come, the
//! fewer transactions each needs.
//!
//! | file | content |
//! |---|---|
//! | `settings.rs`, `error.rs` | settings; why a file cannot be used |
//! | `schema.rs`, `last_run.rs`, `file.rs` | the tables; how the last run has ended; opening and closing the file |
//! | `records.rs` | records of the application, beside the messages |
//! | `room.rs`, `store.rs` | one room; numbering and keeping messages in transactions |
//! | `queue.rs`, `health.rs` | what waits to be written; whether the file takes messages |
//! | `writer.rs`, `backplane.rs` | the thread that owns the file; the trait |
//!
//! # What happens when
//!
//! | | what follows |
//! |---|---|
//! | the process is killed | every acknowledged message is in the file, and each offset has one message; the epochs stay |
//! | the machine loses power | with [`Durability::Full`] the same; otherwise all rooms get another epoch |
//! | the disk is full | messages are refused, and their senders are told; it is tried again each second |
//! | the disk is slow | the clients that publish are not read meanwhile; what is not written within 5 s is refused |
//! | the file reaches its size | the oldest messages of all rooms are dropped |
//!
//! # Where it stops
//!
//! The file belongs to one server: several servers that share rooms need a service. It must be on a disk of this machine,
//! because network file systems do not lock reliably. It is not encrypted.

#![forbid(unsafe_code)]

mod backplane;
#[cfg(test)]
mod before_commit;
mod error;
mod file;
mod health;
mod last_run;
mod queue;
mod records;
mod room;
mod schema;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub use backplane::SqliteBackplane;
pub use error::{OpenError, OpenErrorReason};
pub use settings::{Durability, SqliteSettings};

// For the links of this page.
#[allow(unused_imports)]
use yamabiko::server::Backplane;

/// The README's example is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
