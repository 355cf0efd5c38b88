//! What a connection keeps to, in either role: [`Options`].

use yamabiko::websocket::Limits;
use yamabiko::websocket::deadlines::Timeouts;

use crate::timer::Timer;

/// Limits, timeouts and timers of connections.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The limits for messages of the peer.
    pub limits: Limits,
    /// Silence, ping and pong, the closing handshake, an unfinished message. They are
    /// enforced while the connection is read. With neither
    /// [`Timeouts::ping`] nor [`Timeouts::message`] an open connection has no timer, and a
    /// message reads no clock: for an application that keeps the time itself.
    pub timeouts: Timeouts,
    /// A send waits while so many bytes or more wait for the stream: 64 KiB if not set. So at
    /// most this, one message and the replies to pings are held for a peer that does not
    /// read.
    pub write_queue_bytes_max: usize,
    /// Messages are handed out in pieces, as they come
    /// ([`Connection::with_pieces`](yamabiko::websocket::Connection::with_pieces)).
    pub pieces: bool,
    /// The timers of the runtime: tokio's if not set.
    pub timer: Timer,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            write_queue_bytes_max: 64 << 10,
            pieces: false,
            timer: Timer::tokio(),
        }
    }
}
