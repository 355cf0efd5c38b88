//! The table of a worker's connections. Each is in one of three states, and changes its state here only.
//!
//! ```text
//!   TCP accepted        101 queued                      both Closes, or a failure
//!  ────────────▶ Opening ───────▶ Open ─────────────────────────────┐
//!                 │   ▲ │                                           ▼
//!    an HTTP response ┘ └───── the last HTTP response ───────────▶ Ending ───▶ gone
//! ```
//!
//! The worker borrows a connection in place and calls a method of its state. The state is boxed, so that an entry of the table
//! is three words.

use super::connection::{Connection, End};
use super::ending::{Ending, Fate};
use super::environment::Environment;
use super::handler::Handler;
use super::opening::Opening;
use crate::reactor::{Io, SocketKey};
use std::time::Duration;

/// One connection, by its state.
pub(super) enum ConnectionState<H: Handler> {
    /// HTTP requests are arriving.
    Opening(Box<Opening>),
    /// A WebSocket connection.
    Open(Box<Connection<H>>),
    /// The last bytes are on their way out.
    Ending(Box<Ending>),
}

/// The connections of one worker, by the index of their socket.
pub(super) struct Connections<H: Handler> {
    slots: Vec<Option<(SocketKey, ConnectionState<H>)>>,
    count: usize,
}

impl<H: Handler> Connections<H> {
    pub(super) fn new() -> Connections<H> {
        Connections {
            slots: Vec::new(),
            count: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn keys(&self) -> Vec<SocketKey> {
        self.slots.iter().flatten().map(|(key, _)| *key).collect()
    }

    #[inline(always)]
    pub(super) fn get_mut(&mut self, key: SocketKey) -> Option<&mut ConnectionState<H>> {
        match self.slots.get_mut(key.index())? {
            Some((owner, state)) if *owner == key => Some(state),
            _ => None,
        }
    }

    /// The connection, if it is open.
    #[inline(always)]
    pub(super) fn open_mut(&mut self, key: SocketKey) -> Option<&mut Connection<H>> {
        match self.get_mut(key)? {
            ConnectionState::Open(connection) => Some(connection),
            _ => None,
        }
    }
}

// Changes of state.
impl<H: Handler> Connections<H> {
    /// TCP was accepted.
    pub(super) fn insert(&mut self, key: SocketKey, opening: Opening) {
        if self.slots.len() <= key.index() {
            self.slots.resize_with(key.index() + 1, || None);
        }
        self.slots[key.index()] = Some((key, ConnectionState::Opening(Box::new(opening))));
        self.count += 1;
    }

    /// The response 101 was queued.
    pub(super) fn open(&mut self, key: SocketKey, connection: Box<Connection<H>>) {
        if let Some(state) = self.get_mut(key) {
            *state = ConnectionState::Open(connection);
        }
    }

    /// An open connection has ended.
    pub(super) fn end(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        end: End,
        environment: &mut Environment<H>,
    ) {
        if self.open_mut(key).is_none() {
            return;
        }
        let Some(ConnectionState::Open(connection)) = self.remove(key) else {
            return;
        };
        match (*connection).end(io, key, end, environment) {
            Some(ending) => self.insert_ending(io, key, ending, environment.config.close_timeout),
            None => io.close(key),
        }
    }

    /// The last bytes of a connection that was not opened are on their way out.
    pub(super) fn refuse(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        ending: Ending,
        close_timeout: Duration,
    ) {
        self.remove(key);
        self.insert_ending(io, key, ending, close_timeout);
    }

    /// What an ending connection has decided about its socket.
    #[inline(always)]
    pub(super) fn apply(&mut self, io: &mut Io, key: SocketKey, fate: Fate) {
        if fate == Fate::Close {
            self.close(io, key);
        }
    }

    /// The socket is closed now.
    pub(super) fn close(&mut self, io: &mut Io, key: SocketKey) {
        self.remove(key);
        io.close(key);
    }

    fn insert_ending(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        mut ending: Ending,
        close_timeout: Duration,
    ) {
        match ending.begin(io, key, close_timeout) {
            Fate::Close => io.close(key),
            Fate::Stay => {
                // The connection had the slot before.
                self.slots[key.index()] = Some((key, ConnectionState::Ending(Box::new(ending))));
                self.count += 1;
            }
        }
    }

    fn remove(&mut self, key: SocketKey) -> Option<ConnectionState<H>> {
        let slot = self.slots.get_mut(key.index())?;
        let (_, state) = slot.take_if(|(owner, _)| *owner == key)?;
        self.count -= 1;
        Some(state)
    }
}
