//! A backplane on Redis for yamabiko's server: several servers share their rooms.
//!
//! Each server is a *node*. Redis 7 puts the messages of a room in order, numbers them and keeps the newest; every node writes them
//! to its own subscribers. `docs/cluster.md` of the repository has what that promises in which failure, and how to run it.
//!
//! # How it works
//!
//! ```text
//!   workers ─ publish ─▶ queue ─▶ sender ──── EVALSHA publish.lua ────▶ Redis: record and log of the room, channel
//!                                   │                                     │
//!                                   └── PUBLISH beat ──▶ own channel ──┐  │ messages of channels, answers
//!                                                                      ▼  ▼
//!   workers ◀─ deliver, load, gap ──────────── sequence ◀──────────── receiver ──── SUBSCRIBE, EVALSHA read.lua
//! ```
//!
//! - A room has a *record* (a hash: epoch, last offset, the last message of each node), a *log* (a stream whose ids are the
//!   offsets) and a *channel*. One script does all that a publication needs, in one step: it drops what it has had, numbers,
//!   appends and publishes.
//! - Pub/sub loses messages, so every node checks that each offset is the last plus one, and reads the log otherwise; and it
//!   compares its positions with those on Redis, each room every 5 s.
//! - The *generation* is the process of Redis. When it is another one than that in which a room was numbered last, the room begins a new epoch:
//!   after a restart or a failover no offset of an epoch can name two messages.
//!
//! | file | content |
//! |---|---|
//! | `settings.rs` | where Redis is; bounds and times |
//! | `backplane.rs` | the backplane and its threads |
//! | `queue.rs`, `shared.rs`, `status.rs` | what the threads share: publications, orders, whether Redis can be reached |
//! | `sender.rs` | the thread that publishes |
//! | `receiver.rs`, `sequence.rs` | the thread that receives; where it is in the sequence of each room, without I/O |
//! | `link.rs`, `command.rs`, `scripts.rs`, `scripts/` | one connection; commands as bytes; the scripts |
//! | `envelope.rs`, `backoff.rs` | messages as bytes; pauses between connections |
//!
//! # What it costs
//!
//! Two threads and two connections for a node. On Redis a message costs one script call for all messages that a node publishes to
//! the room at the same time, and a room about 300 bytes and what its log keeps. A message of a room goes once to each node that
//! has a subscriber there.
//!
//! # Where it stops
//!
//! It is for one Redis with its replicas, not for Redis Cluster. What Redis has acknowledged and has lost by a crash is lost
//! (`appendfsync always` of Redis narrows that); nobody takes the new messages for the old ones.

#![forbid(unsafe_code)]

mod backoff;
mod backplane;
mod command;
mod envelope;
mod link;
mod queue;
mod receiver;
mod scripts;
mod sender;
mod sequence;
mod settings;
mod shared;
mod status;

pub use backplane::RedisBackplane;
pub use settings::{InvalidRedisSettings, InvalidRedisUrl, RedisSettings, RedisUrl};

/// The README's example is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
