//! What the halves of one client share: the stream, the protocol state behind a
//! lock, and the rule who may wait where.
//!
//! The lock is held for computing and for writes that do not wait, never while a
//! thread sleeps in the kernel. So a writer that is blocked (the server does not
//! read) cannot hold up the reader, and the reader's pongs cannot tear a frame.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::{ClientError, Step};
use super::outgoing::Outgoing;
use super::stream::{Stream, is_timeout};
use super::{Ended, FirstClose};
use crate::websocket::frame::CloseReason;
use crate::websocket::{Connection, SendError, State};

/// One connection, as its reader and its writers see it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) stream: Stream,
    protocol: Mutex<Protocol>,
    /// No writer is inside a write any more.
    not_busy: Condvar,
    pub(super) close_timeout: Duration,
}

/// The state behind the lock.
#[derive(Debug)]
pub(super) struct Protocol {
    pub(super) connection: Connection,
    pub(super) outgoing: Outgoing,
    first_close: FirstClose,
    /// When the closing handshake is given up; set when it begins.
    close_deadline: Option<Instant>,
    /// TCP has ended, or has been ended.
    over: bool,
}

impl Shared {
    pub(super) fn new(stream: Stream, connection: Connection, close_timeout: Duration) -> Shared {
        Shared {
            stream,
            protocol: Mutex::new(Protocol {
                connection,
                outgoing: Outgoing::default(),
                first_close: FirstClose::Nobody,
                close_deadline: None,
                over: false,
            }),
            not_busy: Condvar::new(),
            close_timeout,
        }
    }

    /// A panic of the application inside [`read_with`](super::Client::read_with)
    /// leaves the protocol state whole, so poison is no reason to stop.
    pub(super) fn lock(&self) -> MutexGuard<'_, Protocol> {
        self.protocol.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Encodes something and writes it, after everything that was put in before;
    /// waits until the kernel has taken it.
    pub(super) fn transmit(
        &self,
        encode: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), ClientError> {
        let mut protocol = self.lock();
        while protocol.outgoing.is_busy() {
            protocol = self
                .not_busy
                .wait(protocol)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let Protocol {
            connection,
            outgoing,
            ..
        } = &mut *protocol;
        if outgoing.is_broken() && connection.state() == State::Open {
            return Err(ClientError::Lost(None));
        }
        encode(connection, &mut outgoing.bytes).map_err(ClientError::Send)?;
        self.write_batches(protocol)
    }

    /// Puts a Close behind all that waits. Does nothing if one was sent before.
    pub(super) fn start_close(&self, reason: CloseReason<'_>) -> Result<(), ClientError> {
        let mut protocol = self.lock();
        if protocol.over || protocol.connection.state() != State::Open {
            return Ok(());
        }
        let Protocol {
            connection,
            outgoing,
            ..
        } = &mut *protocol;
        connection
            .close(Some(reason), &mut outgoing.bytes)
            .map_err(ClientError::Send)?;
        protocol.closing(FirstClose::Client, self.close_timeout);
        // Nothing but this Close is sent any more, and it has as much time. (If
        // the option cannot be set, the connection is gone.)
        let _ = self.stream.set_write_timeout(Some(self.close_timeout));
        Ok(())
    }

    /// Writes what waits, unless a thread is at it already.
    pub(super) fn write_waiting(&self) -> Result<(), ClientError> {
        self.write_batches(self.lock())
    }

    fn write_batches<'a>(
        &'a self,
        mut protocol: MutexGuard<'a, Protocol>,
    ) -> Result<(), ClientError> {
        while let Some(batch) = protocol.outgoing.take_batch() {
            drop(protocol);
            let written = self.stream.write_all(&batch);
            protocol = self.lock();
            protocol.outgoing.batch_written(batch, &written);
            self.not_busy.notify_all();
            match written {
                Ok(()) => {}
                Err(error) if is_timeout(&error) => {
                    // A frame may be torn: nothing can follow it.
                    self.stream.hang_up();
                    return Err(ClientError::TimedOut(Step::Write));
                }
                Err(error) => return Err(ClientError::Lost(Some(error))),
            }
        }
        Ok(())
    }

    /// TCP is over: no thread stays asleep in it, and nothing is sent any more.
    pub(super) fn hang_up(&self) {
        let mut protocol = self.lock();
        protocol.over = true;
        if !protocol.outgoing.is_busy() {
            protocol.outgoing.break_off();
        }
        drop(protocol);
        self.stream.hang_up();
    }

    /// How the connection has ended, when it has.
    pub(super) fn ended(&self) -> Option<Ended> {
        let protocol = self.lock();
        if !protocol.over {
            return None;
        }
        let ended = protocol.connection.ended();
        Some(Ended {
            clean: ended.clean,
            code: ended.code,
            reason: ended.reason.to_owned(),
            first_close: protocol.first_close,
        })
    }
}

impl Protocol {
    /// A Close was sent or received: the first of the two tells who began, and
    /// from now on the time for the rest is limited.
    pub(super) fn closing(&mut self, by: FirstClose, close_timeout: Duration) {
        if self.first_close == FirstClose::Nobody {
            self.first_close = by;
            self.close_deadline = Instant::now().checked_add(close_timeout);
        }
    }

    pub(super) fn close_deadline(&self) -> Option<Instant> {
        self.close_deadline
    }
}
