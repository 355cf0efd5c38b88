//! What engines, owners and workers tell each other about rooms of the backplane, and how publishers are told of their messages.

use super::backplane::{BackplaneMessage, GapNotice, KeptMessages};
use super::connection_id::ConnectionId;
use super::history::Position;
use super::not_published::{NotPublished, Published};
use super::rooms::SharedMessage;
use std::sync::Arc;

/// From the engine to the owner of a room.
#[derive(Debug)]
pub(super) enum EngineEvent {
    /// What the engine keeps.
    Load { room: Arc<str>, kept: KeptMessages },
    /// Messages are missing in front of this place.
    Gap { room: Arc<str>, position: Position },
}

/// From the engine to the owner of a room: its next messages. What they have in common is here once, so that the two threads do not
/// both count the references to the name.
#[derive(Debug)]
pub(super) struct EngineMessages {
    pub(super) room: Arc<str>,
    /// The place behind the first one. Each next one has the next offset.
    pub(super) first: Position,
    pub(super) messages: Vec<BackplaneMessage>,
    /// The memory that they take.
    pub(super) bytes: usize,
}

/// From the owner of a room to all workers, in the room's order.
#[derive(Debug)]
pub(super) enum RoomEvent {
    /// The room begins with these messages of its past.
    Load {
        room: Arc<str>,
        head: Position,
        messages: Vec<SharedMessage>,
    },
    /// Messages are missing in front of this place.
    Gap {
        room: Arc<str>,
        position: Position,
        notice: Notice,
    },
}

/// A [`GapNotice`], as workers append it.
#[derive(Debug)]
pub(super) enum Notice {
    Disconnect,
    Message(SharedMessage),
    Nothing,
}

/// From a worker to the owner of a room.
#[derive(Clone, Debug)]
pub(super) struct RoomUse {
    pub(super) room: Arc<str>,
    pub(super) worker: usize,
    pub(super) change: UseChange,
}

/// How a worker uses a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UseChange {
    /// It has its first subscriber.
    Begins,
    /// It has lost its last one.
    Ends,
    /// A client that was to join the room has done that, or has ended.
    Joined,
}

/// To the worker of a connection: what has become of a message that it has published.
#[derive(Debug)]
pub(super) struct Acknowledgement {
    pub(super) connection: ConnectionId,
    pub(super) room: Arc<str>,
    pub(super) number: Option<u64>,
    pub(super) result: Result<Published, NotPublished>,
}

impl EngineEvent {
    pub(super) fn room(&self) -> &Arc<str> {
        match self {
            EngineEvent::Load { room, .. } | EngineEvent::Gap { room, .. } => room,
        }
    }

    /// The memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let messages = match self {
            EngineEvent::Load { kept, .. } => kept.messages.iter().map(|kept| kept.bytes()).sum(),
            EngineEvent::Gap { .. } => 0,
        };
        self.room().len() + size_of::<Self>() + messages
    }
}

impl RoomEvent {
    pub(super) fn room(&self) -> &Arc<str> {
        match self {
            RoomEvent::Load { room, .. } | RoomEvent::Gap { room, .. } => room,
        }
    }

    /// The memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let messages = match self {
            RoomEvent::Load { messages, .. } => messages.iter().map(SharedMessage::bytes).sum(),
            RoomEvent::Gap {
                notice: Notice::Message(message),
                ..
            } => message.bytes(),
            RoomEvent::Gap { .. } => 0,
        };
        self.room().len() + size_of::<Self>() + messages
    }

    /// Whether the room's subscribers are to be disconnected.
    pub(super) fn disconnects(&self) -> bool {
        let notice = match self {
            RoomEvent::Load { .. } => return false,
            RoomEvent::Gap { notice, .. } => notice,
        };
        matches!(notice, Notice::Disconnect)
    }
}

impl Notice {
    /// `compressible`: whether a message of so many bytes is compressed.
    pub(super) fn new(
        room: &str,
        notice: GapNotice,
        compressible: impl FnOnce(usize) -> bool,
    ) -> Notice {
        match notice {
            GapNotice::Disconnect => Notice::Disconnect,
            GapNotice::Nothing => Notice::Nothing,
            GapNotice::Message(message) => {
                let compressible = compressible(message.as_bytes().len());
                let message = SharedMessage::new(room, message.as_message(), None, compressible);
                Notice::Message(message)
            }
        }
    }
}

impl RoomUse {
    pub(super) fn bytes(&self) -> usize {
        self.room.len() + size_of::<Self>()
    }
}

impl Acknowledgement {
    pub(super) fn bytes(&self) -> usize {
        self.room.len() + size_of::<Self>()
    }
}
