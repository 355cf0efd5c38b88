//! A message that the engine is to take, and its receipt.

use super::message::BackplaneMessage;
use crate::server::history::{Position, RoomHistory};
use crate::server::not_published::NotPublished;
use std::fmt;
use std::sync::Arc;

/// A message that the engine is to take, with the duty to answer it, once: see [`Backplane`](super::Backplane).
pub struct BackplanePublication {
    room: Arc<str>,
    history: Option<RoomHistory>,
    message: BackplaneMessage,
    /// `None`: it is answered.
    answer: Option<Answer>,
}

/// What is done with the answer.
pub(in crate::server) type Answer = Box<dyn FnOnce(Result<Position, NotPublished>) + Send + Sync>;

impl BackplanePublication {
    pub(in crate::server) fn new(
        room: Arc<str>,
        history: Option<RoomHistory>,
        message: BackplaneMessage,
        answer: Answer,
    ) -> BackplanePublication {
        BackplanePublication {
            room,
            history,
            message,
            answer: Some(answer),
        }
    }

    /// The room that it is published to.
    pub fn room(&self) -> &str {
        &self.room
    }

    /// How much of its messages the room keeps. `None`: nothing.
    pub fn history(&self) -> Option<RoomHistory> {
        self.history
    }

    /// The message.
    pub fn message(&self) -> &BackplaneMessage {
        &self.message
    }

    /// The memory that it takes.
    pub fn bytes(&self) -> usize {
        self.room.len() + self.message.bytes()
    }

    /// The engine has the message, at this place in the room's order. Its publisher is told.
    pub fn taken(mut self, position: Position) {
        self.answer(Ok(position));
    }

    /// The engine does not take the message, and never will. Its publisher is told the reason.
    pub fn refuse(mut self, reason: NotPublished) {
        self.answer(Err(reason));
    }

    fn answer(&mut self, result: Result<Position, NotPublished>) {
        if let Some(answer) = self.answer.take() {
            answer(result);
        }
    }
}

/// A publication that is dropped without an answer has an unknown result.
impl Drop for BackplanePublication {
    fn drop(&mut self) {
        self.answer(Err(NotPublished::Unknown));
    }
}

impl fmt::Debug for BackplanePublication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackplanePublication")
            .field("room", &self.room)
            .field("id", &self.message.id())
            .finish_non_exhaustive()
    }
}
