//! The sending half of a client.

use std::sync::Arc;
use std::time::Duration;

use super::error::ClientError;
use super::shared::Shared;
use crate::websocket::frame::CloseFrame;
use crate::websocket::{AsMessage, Ended, Fragment};

/// The sending half of a [`Client`](super::Client). Clones send over the same
/// connection, from any number of threads; each message is sent whole.
///
/// A send returns when the kernel has accepted the message. If the server does not read,
/// the send waits; the [`Reader`](super::Reader) continues meanwhile.
#[derive(Clone, Debug)]
pub struct Writer {
    shared: Arc<Shared>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Writer {
        Writer { shared }
    }

    /// Sends a message in one frame. Costs one copy of the payload, which is masked in
    /// the copy.
    ///
    /// # Errors
    /// As [`Client::send`](super::Client::send).
    pub fn send(&mut self, message: impl AsMessage) -> Result<(), ClientError> {
        let message = message.as_message();
        self.shared
            .transmit(|connection, output| connection.send(message, output))
    }

    /// Sends one fragment of a message. Until the last fragment ([`Fragment::last`]), this
    /// writer and its clones can send only pings.
    ///
    /// # Errors
    /// As [`Client::send`](super::Client::send), and
    /// [`SendError`](crate::websocket::SendError) for a fragment of the wrong type, or
    /// text that is not UTF-8.
    pub fn send_fragment(&mut self, fragment: Fragment<'_>) -> Result<(), ClientError> {
        self.shared
            .transmit(|connection, output| connection.send_fragment(fragment, output))
    }

    /// Sends a ping with at most 125 bytes. Its pong is an event of
    /// [`Reader::read_with`](super::Reader::read_with).
    ///
    /// # Errors
    /// As [`Client::ping`](super::Client::ping).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.shared
            .transmit(|connection, output| connection.ping(payload, output))
    }

    /// Begins the closing handshake: sends a Close and returns. Nothing can be sent after
    /// it. The reader receives the messages that are under way and then `None`. If the
    /// server's Close has not arrived within the close timeout, the reader gets
    /// [`ClientError::TimedOut`] with [`Step::ClosingHandshake`](super::Step).
    ///
    /// Does nothing if the closing handshake has begun.
    ///
    /// # Errors
    /// [`ClientError::Send`]: the reason has more than 123 bytes.
    /// [`ClientError::Lost`], [`ClientError::TimedOut`]: the Close could not be
    /// sent; the connection is lost.
    pub fn close<'f>(&mut self, close: impl Into<CloseFrame<'f>>) -> Result<(), ClientError> {
        self.shared.start_close(close.into())?;
        self.shared.write_waiting()
    }

    /// Whether messages can be sent: no Close has been sent or received, and TCP has not
    /// ended. Messages of the server still come while this end closes, so a loop that answers
    /// them asks first.
    /// Another thread can begin to close between this call and a send, which then fails with
    /// [`SendError::NotOpen`](crate::websocket::SendError::NotOpen).
    pub fn is_open(&self) -> bool {
        self.shared.is_open()
    }

    /// How the connection has ended; `None` while it is open.
    pub fn ended(&self) -> Option<Ended> {
        self.shared.ended()
    }

    /// How long a send waits while the server does not read; `None`: without limit.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn set_write_timeout(&mut self, timeout: Option<Duration>) -> std::io::Result<()> {
        self.shared.stream().set_write_timeout(timeout)
    }
}
