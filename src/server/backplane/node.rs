//! What an engine calls: the server as a node.

use super::message::{BackplaneMessage, NodeId};
use crate::server::history::Position;
use std::fmt;
use std::sync::Arc;

/// The server as its engine sees it. Cheap to clone, for any thread. No call waits: a server that is behind takes nothing, and the
/// engine's thread tries again a millisecond later. That is the backpressure to the engine.
///
/// Calls for one room are made by one thread at a time, in the order of the room. Once the server has stopped, everything is
/// taken and dropped.
#[derive(Clone)]
pub struct BackplaneNode(Arc<dyn NodeSink>);

/// The server's side of a [`BackplaneNode`].
pub(in crate::server) trait NodeSink: Send + Sync {
    fn id(&self) -> NodeId;
    fn load(&self, room: &str, kept: KeptMessages) -> Result<(), KeptMessages>;
    fn deliver(&self, room: &str, first: Position, messages: &[BackplaneMessage]) -> usize;
    fn gap(&self, room: &str, position: Position) -> bool;
    fn state_changed(&self);
}

/// What an engine keeps of a room.
#[derive(Clone, Debug)]
pub struct KeptMessages {
    /// The place behind the newest message that the room has had. Offset 0: it has had none in this epoch.
    pub head: Position,
    /// The newest messages up to there, none missing among them, in their order. Fewer than the history of the room are fine: if the
    /// engine cannot read them, none.
    pub messages: Vec<BackplaneMessage>,
}

impl BackplaneNode {
    pub(in crate::server) fn new(sink: Arc<dyn NodeSink>) -> BackplaneNode {
        BackplaneNode(sink)
    }

    /// The name of this node: another one after each start of a server.
    pub fn id(&self) -> NodeId {
        self.0.id()
    }

    /// Answers [`Backplane::subscribe`](super::Backplane::subscribe), or tells again where a room is, after a lost connection for instance. The
    /// first time, the messages are the past of the room. Later the node delivers those of them that it does not have; if messages are missing before them, or the
    /// epoch is another one, it tells its subscribers of a gap. A head that is not beyond what the node has changes nothing.
    ///
    /// # Errors
    /// The server is behind. The messages are given back: try again.
    pub fn load(&self, room: &str, kept: KeptMessages) -> Result<(), KeptMessages> {
        self.0.load(room, kept)
    }

    /// The next messages of a room that has been loaded, in their order. `first`: the place behind the first of them; each next one
    /// has the next offset.
    ///
    /// # Errors
    /// The server is behind, and has taken only the first [`NotDelivered::taken`] messages: try again with the others.
    pub fn deliver(
        &self,
        room: &str,
        first: Position,
        messages: &[BackplaneMessage],
    ) -> Result<(), NotDelivered> {
        match self.0.deliver(room, first, messages) {
            taken if taken < messages.len() => Err(NotDelivered { taken }),
            _ => Ok(()),
        }
    }

    /// Messages of a room are missing: what comes next is behind this place. All subscribers on this node are told, and the messages
    /// that the node keeps from before are dropped.
    ///
    /// # Errors
    /// The server is behind: try again.
    pub fn gap(&self, room: &str, position: Position) -> Result<(), NotDelivered> {
        match self.0.gap(room, position) {
            true => Ok(()),
            false => Err(NotDelivered { taken: 0 }),
        }
    }

    /// [`Backplane::state`](super::Backplane::state) has changed.
    pub fn state_changed(&self) {
        self.0.state_changed();
    }
}

impl fmt::Debug for BackplaneNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BackplaneNode").field(&self.id()).finish()
    }
}

/// The server is behind and has not taken all messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotDelivered {
    /// How many of them it has taken.
    pub taken: usize,
}

impl fmt::Display for NotDelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server does not keep up with the messages of the backplane")
    }
}

impl std::error::Error for NotDelivered {}
