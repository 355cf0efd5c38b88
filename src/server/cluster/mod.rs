//! What the nodes of a cluster know of each other: entries that each node holds, and messages to all nodes.
//!
//! Messages of rooms travel by the [backplane](super::Backplane) already. An application also has state: who is in a channel, which user
//! is online, who is banned. Each node *holds* entries, a key with a value, and every node has the entries of all nodes.
//!
//! ```text
//!   node 1                                                          node 2
//!   hold(key, value) ─▶ keeper ─▶ engine: one room, its log ─▶ directory ─▶ Handler::cluster_event
//!                                  │
//!                                  └─▶ directory of node 1 ─▶ Handler::cluster_event
//! ```
//!
//! All of it is one room of the engine ([`CLUSTER_ROOM`]), so all nodes see the same changes in the same order, node 1 included. Nothing
//! else is asked of an engine. The room goes from the engine's thread to the directory directly; no event loop has it.
//!
//! | file | what is in it |
//! |---|---|
//! | `directory.rs` | the entries of all nodes, without I/O and without a clock: operations of the log in, events and operations out |
//! | `operation.rs` | operations as bytes |
//! | `event.rs` | [`ClusterEvent`]: what an application is told |
//! | `keeper.rs` | the thread that publishes, its engine, and the handle [`Cluster`] |
//!
//! # A node that ends
//!
//! Each node publishes a *beat* every second. A node of which nothing has come while ten beats of another node came back is declared
//! gone, by an operation in the log: its entries end at the same place of the order on all nodes. Beats that do not come back do
//! not count, so an engine that stands still makes no node gone. A node that ends by itself says so, and its entries end at once. A node
//! that was declared gone and is not announces all its entries again.
//!
//! # After a gap
//!
//! Operations can be missing: the engine has lost them, or a node was away for too long. Then the node asks all others to announce what
//! they hold, and announces its own when it knows theirs. It does the same when it starts. Meanwhile it publishes no entry: so it
//! knows whether it is the first one that holds a key.
//!
//! # Cost
//!
//! Each node has all entries in memory, once, and gets each change. Several changes that come together are one message.

mod directory;
mod event;
mod keeper;
mod operation;

pub use event::{ClusterEntry, ClusterEvent};
pub use keeper::{Cluster, NotHeld};
pub(super) use keeper::{ClusterSink, WeakClusterSink};

/// The room of the engine that has the operations. No room of an application has this name: [`is_reserved`].
pub(super) const CLUSTER_ROOM: &str = "\u{1}cluster";

/// Whether a room is not one of applications. Such a room never reaches the engine from a worker.
pub(super) fn is_reserved(room: &str) -> bool {
    room == CLUSTER_ROOM
}
