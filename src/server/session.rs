//! One connection, from its first byte to its last.
//!
//! ```text
//!   TCP accepted        101 sent                        both Closes, a failure
//!  ────────────▶ Opening ───────▶ Established ──────────────────────┐
//!                   │                                               ▼
//!                   └──────────── an HTTP answer ────────────▶ Ending ───▶ gone
//! ```
//!
//! What the states hold is boxed, so that a place in the worker's table is two
//! words. `Ending` writes what is left, says FIN, and reads on for a bounded
//! while: to close a socket that has unread bytes makes the kernel send a reset,
//! and that can erase the answer before the client has read it.

use super::places::Places;
use crate::broadcast::WriteQueue;
use crate::reactor::SocketKey;
use crate::time::Timestamp;
use crate::websocket::Connection;
use crate::websocket::deflate::WindowBits;
use crate::websocket::handshake::RequestReader;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

/// The state of one connection; drawn above.
pub(super) enum Session<S> {
    Opening(Box<Opening>),
    Established(Box<Established<S>>),
    Ending(Box<Ending>),
}

/// The request's head is arriving.
pub(super) struct Opening {
    pub(super) reader: RequestReader,
    /// What has come so far, if it did not come in one piece.
    pub(super) head: Vec<u8>,
    pub(super) peer_address: SocketAddr,
    /// There is no place for it: it gets a 503, whatever it asks.
    pub(super) refused: bool,
}

/// A WebSocket.
pub(super) struct Established<S> {
    pub(super) connection: Connection,
    pub(super) session: S,
    /// Replies and direct messages that are not written yet.
    pub(super) write_queue: WriteQueue,
    pub(super) places: Places,
    pub(super) peer_address: PeerAddress,
    /// When the client last showed that it is alive: bytes came from it, or a socket that
    /// was full took more, because the client has acknowledged some. Also when we began to
    /// read it again.
    pub(super) heard_at: Timestamp,
    pub(super) waiting: Waiting,
    pub(super) reading: Reading,
    /// For what is sent compressed, if that was agreed on.
    pub(super) window: Option<WindowBits>,
}

/// Where the client is, in half the room of a [`SocketAddr`] for IPv4.
#[derive(Clone, Debug)]
pub(super) enum PeerAddress {
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> PeerAddress {
        match address {
            SocketAddr::V4(address) => PeerAddress::V4(address),
            SocketAddr::V6(address) => PeerAddress::V6(Box::new(address)),
        }
    }
}

impl PeerAddress {
    pub(super) fn get(&self) -> SocketAddr {
        match self {
            PeerAddress::V4(address) => SocketAddr::V4(*address),
            PeerAddress::V6(address) => SocketAddr::V6(**address),
        }
    }
}

/// What the connection's one deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// For silence.
    Nothing,
    /// For a sign of life after a ping, of which the pong is one.
    Pong,
    /// The same, while bytes that the client has not taken yet are before the ping. The
    /// kernel sees to it that their number falls.
    Acknowledgement,
    /// For the client's Close, of which `read_bytes` have been read since ours that are
    /// something else.
    Close { read_bytes: u32 },
}

/// Whether the connection's messages are read, or wait in the kernel.
///
/// ```text
///   Reads ─────────▶ AwaitsWriteQueue    own bytes pile up
///   AwaitsWriteQueue ──▶ Reads           own bytes are out
///   Reads ─────────▶ AwaitsMail      it is to be read, but cross-worker messages
///                                    pile up
///   AwaitsMail ────▶ Reads           they are taken
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Reads,
    /// The client reads too slowly what is sent to it alone.
    AwaitsWriteQueue,
    /// Other workers take their mail too slowly. It is in `Worker::congested`.
    AwaitsMail,
}

/// The last bytes are on their way out.
pub(super) struct Ending {
    pub(super) write_queue: WriteQueue,
    /// Whether the client has said FIN, so that only writing is left.
    pub(super) client_ended: bool,
    /// What has been read and thrown away.
    pub(super) discarded_bytes: usize,
}

impl Ending {
    pub(super) fn new(write_queue: WriteQueue) -> Ending {
        Ending {
            write_queue,
            client_ended: false,
            discarded_bytes: 0,
        }
    }
}

/// The connections of one worker, by the index of their socket.
pub(super) struct Sessions<S> {
    slots: Vec<Option<(SocketKey, Session<S>)>>,
    count: usize,
}

impl<S> Sessions<S> {
    pub(super) fn new() -> Sessions<S> {
        Sessions {
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

    /// Takes the session out, to be changed and put back.
    pub(super) fn take(&mut self, key: SocketKey) -> Option<Session<S>> {
        let slot = self.slots.get_mut(key.index())?;
        let (_, session) = slot.take_if(|(owner, _)| *owner == key)?;
        self.count -= 1;
        Some(session)
    }

    /// Puts a session in; `None` leaves the place empty.
    pub(super) fn put(&mut self, key: SocketKey, session: Option<Session<S>>) {
        let Some(session) = session else { return };
        if self.slots.len() <= key.index() {
            self.slots.resize_with(key.index() + 1, || None);
        }
        self.slots[key.index()] = Some((key, session));
        self.count += 1;
    }

    /// An established session, where it is.
    pub(super) fn established(&mut self, key: SocketKey) -> Option<&mut Established<S>> {
        match self.slots.get_mut(key.index())? {
            Some((owner, Session::Established(established))) if *owner == key => Some(established),
            _ => None,
        }
    }
}
