//! Fan-out: to say one thing to many is to write it down once.
//!
//! A [`Room`] has one append-only [`Log`] and, for each member, a cursor in it
//! instead of a queue. Appending costs the same for ten members and for ten
//! thousand. At the end of each turn of the event loop a flush offers every
//! member what lies between its cursor and the head: mostly one contiguous
//! slice, so one system call, however many records have gathered.
//!
//! ```text
//!                                     flush: write(member, log[cursor..head])
//!   append --> | log ................ |  --> member 1  cursor = head
//!              ^         ^            |  --> member 2  cursor = head
//!            tail     member 3      head  -/- member 3  blocked: skipped until writable
//! ```
//!
//! This layer knows bytes and *records*, indivisible runs of them, and never a
//! frame, a socket, a clock or a thread: `write` is a closure, a member is a
//! number. Everything here belongs to one thread.
//!
//! | file | what is in it |
//! |---|---|
//! | `limits.rs` | every bound, with its reason |
//! | `chunk.rs` | [`ChunkPool`]: the memory, in chunks of whole records |
//! | `log.rs` | [`Log`]: chunks at absolute positions |
//! | `backlog.rs` | [`Backlog`], [`Slices`]: reading the log from a position |
//! | `spans.rs` | what one member is not to get |
//! | `subscriptions.rs` | [`SubscriptionId`]: the dense table of cursors |
//! | `room/` | [`Room`]: append, flush; who lags and what it may miss |
//! | `write_queue.rs` | [`WriteQueue`], [`Remainder`]: one connection's own bytes |
//!
//! What a flush costs beside the system calls is measured by
//! `cargo bench --bench fan_out`.

mod backlog;
mod chunk;
mod limits;
mod log;
mod room;
mod spans;
mod subscriptions;
mod write_queue;

pub use backlog::{Backlog, Slices};
pub use chunk::ChunkPool;
pub use limits::{LagLimits, LogLimits};
pub use log::Log;
pub use room::{Lag, Room, Skipped};
pub use subscriptions::SubscriptionId;
pub use write_queue::{Remainder, WriteQueue};
