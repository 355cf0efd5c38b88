//! Fan-out: one published message, written once for all subscribers.
//!
//! A [`SharedLog`] has one append-only [`Log`] and, for each subscription, a cursor in it
//! instead of a queue. Appending costs the same for ten subscriptions and for ten
//! thousand. At the end of each turn of the event loop a flush offers each
//! subscription the bytes between its cursor and the head. These are mostly one
//! contiguous slice, so one system call, whatever the number of records in the batch.
//!
//! ```text
//!                                     flush: write(key, log[cursor..head])
//!   append --> | log ................ |  --> subscription 1  cursor = head
//!              ^         ^            |  --> subscription 2  cursor = head
//!            tail  subscription 3   head  --x subscription 3  blocked: not offered
//! ```
//!
//! This layer knows bytes and *records*, which are indivisible runs of bytes. It does
//! not know frames, sockets, clocks or threads: `write` is a closure, a connection is
//! a number. A log and its pool belong to one thread.
//!
//! The module is a part of the server. It is public with the feature `internals` only, for its
//! tests and benchmarks, and may change in any release.
//!
//! `cargo bench --bench fan_out` measures the cost of a flush without the system
//! calls.

// The files of this module:
//
// | file | contents |
// |---|---|
// | `limits.rs` | the limits, with their reasons |
// | `chunk.rs` | [`ChunkPool`]: the memory, in chunks of whole records |
// | `log.rs` | [`Log`]: chunks at absolute positions |
// | `exclusions.rs` | records that a subscription does not receive |
// | `backlog.rs` | [`Backlog`]: the log from a cursor to the head |
// | `subscriptions.rs` | [`SubscriptionId`]: the dense table of cursors |
// | `shared_log/` | [`SharedLog`]: append, flush, slow subscriptions |
// | `write_queue.rs` | [`WriteQueue`], [`Remainder`]: one connection's own bytes |

mod backlog;
mod chunk;
mod exclusions;
mod limits;
mod log;
mod shared_log;
mod subscriptions;
mod write_queue;

pub use backlog::Backlog;
pub use chunk::ChunkPool;
pub use limits::{LagLimits, LogLimits};
pub use log::Log;
pub use shared_log::{FlushBudget, Lag, SharedLog, Skipped};
pub use subscriptions::SubscriptionId;
pub use write_queue::{Remainder, WriteQueue};
