//! What a handler can do with the connection that it is called for, and through
//! it with the rooms.

use super::mail::ConnectionId;
use super::places::Places;
use super::publication::write_frame;
use super::rooms::Rooms;
use crate::broadcast::WriteQueue;
use crate::websocket::Message;
use crate::websocket::deflate::WindowBits;
use crate::websocket::frame::CloseCode;
use std::fmt;
use std::net::SocketAddr;

/// The connection that a [`Handler`](super::Handler)'s method was called for.
///
/// Nothing here blocks or makes a system call: what is sent and published goes
/// out together when the worker's turn ends.
pub struct Context<'a> {
    pub(super) id: ConnectionId,
    pub(super) peer_address: SocketAddr,
    /// Whether messages may still be sent to this client.
    pub(super) open: bool,
    pub(super) backlog_bytes_max: usize,
    /// For what is sent compressed, if that was agreed on.
    pub(super) window: Option<WindowBits>,
    pub(super) write_queue: &'a mut WriteQueue,
    pub(super) places: &'a mut Places,
    pub(super) rooms: &'a mut Rooms,
    pub(super) close: Option<(CloseCode, String)>,
}

/// Why a message was not sent to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The connection is closing or closed.
    NotOpen,
    /// [`Config::backlog_bytes_max`](super::Config) are waiting for it already.
    BacklogFull,
}

impl Context<'_> {
    /// Names the connection.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Where the client is.
    pub fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }

    /// Sends a message to this client alone. It may overtake what was published
    /// in the same turn. Cost: one copy, or compressing it where
    /// [`Config::deflate`](super::Config) and the client ask for that.
    ///
    /// # Errors
    /// The connection is closing, or too much is waiting for it already. The
    /// bound is looked at before the message is added, so that a message of any
    /// size can be sent to a client that keeps up.
    pub fn send(&mut self, message: Message<'_>) -> Result<(), SendError> {
        if !self.open {
            return Err(SendError::NotOpen);
        }
        if self.write_queue.bytes() > self.backlog_bytes_max {
            return Err(SendError::BacklogFull);
        }
        match self.rooms.compress_for(self.window, message) {
            Some(frame) => self.write_queue.push(frame),
            None => write_frame(message, self.write_queue.buffer()),
        }
        Ok(())
    }

    /// Takes this connection into a room; no effect if it is there. From now on
    /// it gets what is published there, by whomever; maybe also what was just
    /// published, and is on its way from another worker.
    pub fn join(&mut self, room: &str) {
        if self.open {
            self.rooms.join(room, self.id.key, self.window, self.places);
        }
    }

    /// Lets this connection leave a room; no effect if it is not there. What was
    /// published in this turn and is not written yet, it misses.
    pub fn leave(&mut self, room: &str) {
        if let Some(place) = self.rooms.place_in(room, self.places) {
            self.places.remove(place);
            if let Some(rest) = self.rooms.leave(place) {
                self.write_queue.finish_first(rest);
            }
        }
    }

    /// Says something to everyone in a room, this connection included if it is
    /// there. Everyone gets a room's messages in the same order. Cost: one copy
    /// into the room's log, however many members there are; if some of them take
    /// compression, also compressing it once.
    ///
    /// With several workers the message is put in order by the worker that owns the room,
    /// so this connection's own copy comes a turn later. If the client's Close follows in
    /// the same segment, its connection has ended before that: all others get the message,
    /// and the client does not get its own copy.
    pub fn publish(&mut self, room: &str, message: Message<'_>) {
        self.rooms.publish(room, message, None);
    }

    /// As [`Context::publish`], to everyone but this connection.
    pub fn publish_except(&mut self, room: &str, message: Message<'_>) {
        let place = self.rooms.place_in(room, self.places);
        self.rooms.publish(room, message, Some((self.id, place)));
    }

    /// Closes the connection when the handler returns: it leaves its rooms, the
    /// client gets a Close with this code and these words (cut at 123 bytes),
    /// and its messages are no longer handed over. 1010, which only clients may
    /// send, goes out as 1011. Of several calls the first one counts.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        self.open = false;
        self.close.get_or_insert_with(|| (code, reason.to_owned()));
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::NotOpen => "the connection is closing",
            SendError::BacklogFull => "too much is waiting for the client already",
        })
    }
}

impl std::error::Error for SendError {}
