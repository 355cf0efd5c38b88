//! The state behind the lock of [`Shared`](super::shared::Shared): the protocol core,
//! the bytes to send, and the deadline of the closing handshake.
//!
//! Nothing here waits. Writes to the socket are those that the kernel accepts at once.

use std::io;
use std::time::{Duration, Instant};

use super::ended::{Ended, FirstClose};
use super::error::ClientError;
use super::read_buffer::ReadBuffer;
use super::send_buffer::SendBuffer;
use super::stream::Stream;
use crate::websocket::frame::CloseReason;
use crate::websocket::{Connection, Event, ProtocolError, SendError, State};

/// One connection as both halves see it.
#[derive(Debug)]
pub(super) struct Protocol {
    connection: Connection,
    send_buffer: SendBuffer,
    first_close: FirstClose,
    close_timeout: Duration,
    /// The end of the closing handshake; set when it begins.
    close_deadline: Option<Instant>,
    /// TCP has ended, or this client has ended it.
    over: bool,
}

/// The result of [`Protocol::decode`].
pub(super) enum Decoded<R> {
    /// An event that the caller wanted.
    Wanted(R),
    /// No such event: more bytes are needed.
    NeedsBytes,
    /// The server's Close.
    Close,
    /// The server broke a rule.
    Broken(ProtocolError),
}

impl Protocol {
    pub(super) fn new(connection: Connection, close_timeout: Duration) -> Protocol {
        Protocol {
            connection,
            send_buffer: SendBuffer::default(),
            first_close: FirstClose::Nobody,
            close_timeout,
            close_deadline: None,
            over: false,
        }
    }

    /// Decodes the bytes in `buffer` up to an event for which `handle` returns a value.
    /// Sends the replies that the kernel accepts at once.
    ///
    /// An event has left the buffer when `handle` is called: if that panics, the event
    /// is not decoded again.
    pub(super) fn decode<R>(
        &mut self,
        buffer: &mut ReadBuffer,
        stream: &Stream,
        handle: &mut impl FnMut(Event<'_>) -> Option<R>,
    ) -> Decoded<R> {
        let (mut input, start) = buffer.unread();
        let end = *start + input.len();
        loop {
            let replies = self.send_buffer.bytes();
            let received = self.connection.receive(&mut input, replies);
            *start = end - input.len();
            let event = match received {
                Err(error) => return Decoded::Broken(error),
                Ok(None) => return Decoded::NeedsBytes,
                Ok(Some(Event::Close(_))) => {
                    self.closing(FirstClose::Server);
                    return Decoded::Close;
                }
                Ok(Some(event)) => event,
            };
            // A sequence of pings is answered by one write.
            if input.is_empty() || !matches!(event, Event::Ping(_)) {
                self.send_buffer.flush_now(stream);
            }
            if let Some(result) = handle(event) {
                return Decoded::Wanted(result);
            }
        }
    }

    /// Appends a frame to the send buffer.
    pub(super) fn encode(
        &mut self,
        encode: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), ClientError> {
        if self.send_buffer.is_broken() && self.connection.state() == State::Open {
            return Err(ClientError::Lost(None));
        }
        encode(&mut self.connection, self.send_buffer.bytes()).map_err(ClientError::Send)
    }

    /// Appends a Close to the send buffer; returns whether it did. It does not if the
    /// closing handshake has begun.
    pub(super) fn start_close(&mut self, reason: CloseReason<'_>) -> Result<bool, ClientError> {
        if self.over || self.connection.state() != State::Open {
            return Ok(false);
        }
        self.connection
            .close(Some(reason), self.send_buffer.bytes())
            .map_err(ClientError::Send)?;
        self.closing(FirstClose::Client);
        Ok(true)
    }

    /// `by` sent a Close. The first one decides which side began, and starts the time
    /// for the closing handshake.
    pub(super) fn closing(&mut self, by: FirstClose) {
        if self.first_close == FirstClose::Nobody {
            self.first_close = by;
            self.close_deadline = Instant::now().checked_add(self.close_timeout);
        }
    }

    pub(super) fn close_deadline(&self) -> Option<Instant> {
        self.close_deadline
    }

    /// Sends the replies that the kernel accepts at once. Returns whether some are left
    /// that no writer is going to send.
    pub(super) fn flush_replies(&mut self, stream: &Stream) -> bool {
        self.send_buffer.flush_now(stream);
        self.connection.resume_replies(self.send_buffer.bytes());
        self.send_buffer.flush_now(stream);
        self.send_buffer.is_waiting()
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
    pub(super) fn batch_written(&mut self, batch: Vec<u8>, written: &io::Result<()>) {
        self.send_buffer.batch_written(batch, written);
    }

    /// TCP has ended: nothing is sent any more.
    pub(super) fn end(&mut self) {
        self.over = true;
        if !self.send_buffer.is_writing() {
            self.send_buffer.break_off();
        }
    }

    /// How the connection has ended, if it has.
    pub(super) fn ended(&self) -> Option<Ended> {
        if !self.over {
            return None;
        }
        let ended = self.connection.ended();
        Some(Ended {
            clean: ended.clean,
            code: ended.code,
            reason: ended.reason.to_owned(),
            first_close: self.first_close,
        })
    }
}
