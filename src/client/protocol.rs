//! The state behind the lock of [`Shared`](super::shared::Shared): the protocol core, its
//! deadlines, and the bytes to send.
//!
//! Nothing here waits, and there is no clock: the time is an argument. Writes to the socket
//! are those that the kernel accepts at once.

use std::io;
use std::sync::Arc;

use super::error::ClientError;
use super::send_buffer::SendBuffer;
use super::stream::Stream;
use crate::read_buffer::{ReadBuffer, Unread};
use crate::time::Timestamp;
use crate::websocket::deadlines::{Deadlines, Due, Overdue, Timeouts};
use crate::websocket::frame::CloseFrame;
use crate::websocket::{Connection, Ended, Event, ProtocolError, SendError, State};

/// One connection as both halves see it.
#[derive(Debug)]
pub(super) struct Protocol {
    connection: Connection,
    send_buffer: SendBuffer,
    /// A client has a deadline for the closing handshake, and one for silence if it keeps the
    /// connection alive.
    deadlines: Deadlines,
    timeouts: Timeouts,
    /// TCP has ended, or this client has ended it.
    over: bool,
}

/// The result of [`Protocol::decode`].
pub(super) enum Decoded<'b> {
    /// The next event; not a Close.
    Event(Event<'b>),
    /// More bytes are needed.
    NeedsBytes,
    /// The server's Close.
    Close,
    /// The server broke a rule.
    Broken(ProtocolError),
}

impl Protocol {
    /// The opening handshake was completed `now`.
    pub(super) fn new(connection: Connection, timeouts: Timeouts, now: Timestamp) -> Protocol {
        Protocol {
            connection,
            send_buffer: SendBuffer::default(),
            deadlines: Deadlines::new(now),
            timeouts,
            over: false,
        }
    }

    /// Decodes the next event in `buffer`, and sends the replies that the kernel accepts at
    /// once. The event borrows the buffer and not the protocol state.
    pub(super) fn decode<'b>(
        &mut self,
        buffer: &'b mut ReadBuffer,
        stream: &Stream,
    ) -> Decoded<'b> {
        let Unread {
            mut input,
            start,
            left_bytes,
            more_bytes_max,
        } = buffer.unread();
        let end = *start + input.len();
        let replies = self.send_buffer.bytes();
        let received =
            self.connection
                .receive_or_leave(&mut input, left_bytes, more_bytes_max, replies);
        *start = end - input.len();
        let event = match received {
            Err(error) => return Decoded::Broken(error),
            Ok(None) if more_bytes_max > 0 => return self.read_large(stream),
            Ok(None) => return Decoded::NeedsBytes,
            Ok(Some(Event::Close(_))) => return Decoded::Close,
            Ok(Some(event)) => event,
        };
        // A sequence of pings is answered by one write.
        if input.is_empty() || !matches!(event, Event::Ping(_)) {
            self.send_buffer.flush_now(stream);
        }
        Decoded::Event(event)
    }

    /// Reads what else has arrived of a large frame straight into its message, without
    /// waiting. The end of TCP, or its failure, is found by the next read that waits.
    fn read_large(&mut self, stream: &Stream) -> Decoded<'static> {
        while let Some(buffer) = self.connection.lend() {
            let room = buffer.capacity() - buffer.len();
            let arrived = stream.append_now(buffer).unwrap_or(0);
            if let Some(event) = self.connection.filled() {
                return Decoded::Event(event);
            }
            if arrived < room {
                break;
            }
        }
        Decoded::NeedsBytes
    }

    /// Appends a frame to the send buffer.
    pub(super) fn encode(
        &mut self,
        encode: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), ClientError> {
        let is_lost = matches!(self.connection.state(), State::Open | State::Lost);
        if self.send_buffer.is_broken() && is_lost {
            return Err(ClientError::Lost(self.send_buffer.cause()));
        }
        encode(&mut self.connection, self.send_buffer.bytes()).map_err(ClientError::Send)
    }

    /// Appends a Close to the send buffer; returns whether it did. It does not if the
    /// closing handshake has begun.
    pub(super) fn start_close(
        &mut self,
        close: CloseFrame<'_>,
        now: Timestamp,
    ) -> Result<bool, ClientError> {
        if self.over || self.connection.state() != State::Open {
            return Ok(false);
        }
        self.connection
            .close(close, self.send_buffer.bytes())
            .map_err(ClientError::Send)?;
        self.closing(now);
        Ok(true)
    }

    /// A Close was sent or received. The first one starts the time for the closing
    /// handshake.
    pub(super) fn closing(&mut self, now: Timestamp) {
        self.deadlines.closing(now);
    }

    /// The time at which [`Protocol::handle_timeout`] has to be asked again, if there is one.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.deadlines.deadline(&self.timeouts)
    }

    /// Appends a ping if one is due. What the server has not done in time, once: the connection
    /// is then given up.
    pub(super) fn handle_timeout(&mut self, now: Timestamp) -> Option<Overdue> {
        // While a writer waits for the server, its write timeout decides.
        let has_unsent = || self.send_buffer.is_writing();
        match self
            .deadlines
            .handle_timeout(now, &self.timeouts, has_unsent)
        {
            Due::Ping => {
                // A connection that is not open any more needs no ping.
                _ = self.connection.ping(b"", self.send_buffer.bytes());
                None
            }
            Due::Fail(overdue) => Some(overdue),
            _ => None,
        }
    }

    /// Bytes have come from the server. Cost: nothing without keep-alive.
    pub(super) fn server_is_alive(&mut self, now: impl FnOnce() -> Timestamp) {
        if self.timeouts.ping.is_some() {
            self.deadlines.peer_is_alive(now());
        }
    }

    /// Sends the replies that the kernel accepts at once. Returns whether some are left
    /// that no writer is going to send.
    pub(super) fn flush_replies(&mut self, stream: &Stream) -> bool {
        if !self.is_writing() && stream.has_sealed() {
            // An error is found by the next read.
            let _ = stream.write_now(&[]);
        }
        self.send_buffer.flush_now(stream);
        self.connection.resume_replies(self.send_buffer.bytes());
        self.send_buffer.flush_now(stream);
        self.send_buffer.is_waiting() || !self.is_writing() && stream.has_sealed()
    }

    /// Whether a thread is writing a batch.
    pub(super) fn is_writing(&self) -> bool {
        self.send_buffer.is_writing()
    }

    /// As [`SendBuffer::take_batch`].
    pub(super) fn take_batch(&mut self) -> Option<Vec<u8>> {
        self.send_buffer.take_batch()
    }

    /// As [`SendBuffer::batch_written`].
    pub(super) fn batch_written(&mut self, batch: Vec<u8>, written: &Result<(), Arc<io::Error>>) {
        self.send_buffer.batch_written(batch, written);
    }

    /// TCP has ended: nothing is sent any more.
    pub(super) fn end(&mut self) {
        self.over = true;
        self.connection.end_of_input();
        if !self.send_buffer.is_writing() {
            self.send_buffer.break_off(None);
        }
    }

    /// Whether messages can be sent.
    pub(super) fn is_open(&self) -> bool {
        !self.over && !self.send_buffer.is_broken() && self.connection.is_open()
    }

    /// How the connection has ended, if it has.
    pub(super) fn ended(&self) -> Option<Ended> {
        if !self.over {
            return None;
        }
        Some(self.connection.ended())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::frame::CloseCode;
    use crate::websocket::{Limits, Side};
    use std::time::Duration;

    const CLOSE: Duration = Duration::from_secs(5);
    const NORMAL: CloseFrame<'static> = CloseFrame::new(CloseCode::NORMAL, "");

    fn timeouts(ping: Option<Duration>) -> Timeouts {
        Timeouts {
            ping,
            pong: Duration::from_secs(2),
            close: CLOSE,
            ..Timeouts::default()
        }
    }

    fn opened() -> Protocol {
        let connection = Connection::client(Limits::default(), || [0; 4]);
        Protocol::new(connection, timeouts(None), Timestamp(1_000))
    }

    #[test]
    fn open_connection_has_no_deadline() {
        let mut protocol = opened();
        assert_eq!(protocol.deadline(), None);
        assert_eq!(protocol.handle_timeout(Timestamp(u64::MAX)), None);
    }

    #[test]
    fn closing_handshake_is_overdue_at_the_close_timeout_and_not_before() {
        let mut protocol = opened();
        assert!(
            protocol
                .start_close(NORMAL, Timestamp(3_000))
                .expect("open")
        );
        assert_eq!(protocol.deadline(), Some(Timestamp(8_000)));
        assert_eq!(protocol.handle_timeout(Timestamp(7_999)), None);
        let overdue = protocol.handle_timeout(Timestamp(8_000));
        assert_eq!(overdue, Some(Overdue::Close));
        assert_eq!(protocol.deadline(), None);
        assert_eq!(protocol.handle_timeout(Timestamp(9_000)), None);
    }

    #[test]
    fn first_close_starts_the_time_and_tells_which_side_began() {
        let mut protocol = opened();
        let close = &mut &mut b"\x88\x00".to_vec()[..];
        let received = protocol.connection.receive(close, &mut Vec::new());
        assert_eq!(received, Ok(Some(Event::Close(CloseFrame::EMPTY))));
        protocol.closing(Timestamp(3_000));
        protocol.closing(Timestamp(7_000));
        assert_eq!(protocol.deadline(), Some(Timestamp(8_000)));
        assert_eq!(protocol.ended(), None);
        protocol.end();
        let first_close = protocol.ended().map(|ended| ended.first_close);
        assert_eq!(first_close, Some(Some(Side::Peer)));
    }

    #[test]
    fn second_close_of_this_side_changes_nothing() {
        let mut protocol = opened();
        assert!(
            protocol
                .start_close(NORMAL, Timestamp(3_000))
                .expect("open")
        );
        let waiting = protocol.send_buffer.bytes().clone();
        assert!(
            !protocol
                .start_close(NORMAL, Timestamp(4_000))
                .expect("closing")
        );
        assert_eq!(protocol.deadline(), Some(Timestamp(8_000)));
        assert_eq!(*protocol.send_buffer.bytes(), waiting);
    }

    #[test]
    fn silent_server_gets_a_ping_and_is_given_up_without_an_answer() {
        let connection = Connection::client(Limits::default(), || [0; 4]);
        let ping = timeouts(Some(Duration::from_secs(3)));
        let mut protocol = Protocol::new(connection, ping, Timestamp(1_000));
        protocol.server_is_alive(|| Timestamp(2_000));
        assert_eq!(protocol.handle_timeout(Timestamp(4_999)), None);
        assert!(protocol.send_buffer.bytes().is_empty());
        assert_eq!(protocol.handle_timeout(Timestamp(5_000)), None);
        assert_eq!(protocol.send_buffer.bytes(), b"\x89\x80\0\0\0\0");
        assert_eq!(protocol.handle_timeout(Timestamp(6_999)), None);
        let overdue = protocol.handle_timeout(Timestamp(7_000));
        assert_eq!(overdue, Some(Overdue::Pong));
    }
}
