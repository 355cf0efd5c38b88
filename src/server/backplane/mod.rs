//! The backplane: a place outside the event loops where the messages of rooms are put in order, numbered and kept.
//!
//! Without one, which is the default, a room's owner does that in memory (`fan_out.rs`, `rooms/history.rs`). With one, an *engine*
//! does it: a database on this machine, so that messages survive the server, or a service that several servers share, so that
//! they share rooms. Each server is then a *node*.
//!
//! ```text
//!   node 1                                                    node 2
//!   handler ─ publish ─▶ owner of the room                    owner of the room ─▶ logs ─▶ subscribers
//!                          │       ▲                                ▲
//!                  Backplane::publish   BackplaneNode::deliver      │
//!                          ▼       │                                │
//!                     ┌──────────── engine ─────────────────────────┴──┐
//!                     │ puts the messages of a room in order, numbers  │
//!                     │ them, keeps the newest, gives them to all nodes│
//!                     └────────────────────────────────────────────────┘
//! ```
//!
//! | file | what is in it |
//! |---|---|
//! | `engine.rs` | [`Backplane`]: the trait of engines, and what they must guarantee |
//! | `node.rs` | [`BackplaneNode`]: what an engine calls |
//! | `message.rs` | [`BackplaneMessage`]: a message on its way between nodes, and names of nodes and their connections |
//! | `publication.rs` | [`BackplanePublication`]: a message that is to be taken, and its receipt |
//! | `state.rs` | [`BackplaneState`]: whether the engine can be reached; what the node has counted |
//! | `gap.rs` | [`GapNotice`]: what subscribers get where messages are missing |
//! | `config.rs` | [`BackplaneConfig`]: the engine and its times |
//! | `link.rs` | what all threads of a node share about its engine: its name and the counts |
//! | `owned.rs` | the rooms that a worker owns: what is subscribed to, loaded, and waited for |
//!
//! The way of a message through the workers is in `fan_out.rs`, and the server's side of [`BackplaneNode`] in `engine_input.rs`.

mod config;
mod engine;
mod gap;
pub(super) mod link;
mod message;
mod node;
pub(super) mod owned;
mod publication;
mod state;

pub use config::BackplaneConfig;
pub use engine::Backplane;
pub use gap::GapNotice;
pub use message::{BackplaneMessage, InvalidNodeConnection, NodeConnection, NodeId};
pub(super) use node::NodeSink;
pub use node::{BackplaneNode, KeptMessages, NotDelivered};
pub(super) use publication::Answer;
pub use publication::BackplanePublication;
pub use state::{BackplaneCounts, BackplaneState, EngineCounts};
