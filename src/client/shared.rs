//! The state that the halves of one client share: the stream, and the protocol behind
//! a lock.
//!
//! A thread holds the lock for computation and for writes that do not wait, never while
//! it sleeps in a system call. So a writer that waits (the server does not read) does
//! not block the reader, and the reader's pongs cannot get into the middle of a frame.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::{ClientError, Step};
use super::protocol::Protocol;
use super::stream::Stream;
use super::waits::is_timeout;
use crate::time::{Clock, Timestamp};
use crate::websocket::deadlines::Timeouts;
use crate::websocket::frame::CloseFrame;
use crate::websocket::{Connection, Ended, SendError};

/// One connection, shared by its reader and its writers.
#[derive(Debug)]
pub(super) struct Shared {
    stream: Stream,
    clock: Clock,
    protocol: Mutex<Protocol>,
    /// Signalled when a writer has written its batch.
    batch_written: Condvar,
    close_timeout: Duration,
}

impl Shared {
    pub(super) fn new(stream: Stream, connection: Connection, timeouts: Timeouts) -> Shared {
        let clock = Clock::start();
        let protocol = Protocol::new(connection, timeouts, clock.now());
        Shared {
            stream,
            clock,
            protocol: Mutex::new(protocol),
            batch_written: Condvar::new(),
            close_timeout: timeouts.close,
        }
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The time since the connection was opened.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn close_timeout(&self) -> Duration {
        self.close_timeout
    }

    /// A poisoned lock is used: the application's code never runs under it, and the protocol
    /// state is consistent whenever it is released.
    pub(super) fn lock(&self) -> MutexGuard<'_, Protocol> {
        self.protocol.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Encodes a frame and writes it after all waiting bytes; returns when the kernel
    /// has accepted it.
    pub(super) fn transmit(
        &self,
        encode: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), ClientError> {
        let mut protocol = self.lock();
        while protocol.is_writing() {
            protocol = self
                .batch_written
                .wait(protocol)
                .unwrap_or_else(PoisonError::into_inner);
        }
        protocol.encode(encode)?;
        self.write_batches(protocol)
    }

    /// Appends a Close after all waiting bytes, unless the closing handshake has begun.
    pub(super) fn start_close(&self, close: CloseFrame<'_>) -> Result<(), ClientError> {
        if self.lock().start_close(close, self.now())? {
            // This Close is the last frame, and it has as much time. An error means
            // that the connection has ended.
            let _ = self.stream.set_write_timeout(Some(self.close_timeout));
        }
        Ok(())
    }

    /// Writes the waiting bytes, unless another thread is writing.
    pub(super) fn write_waiting(&self) -> Result<(), ClientError> {
        self.write_batches(self.lock())
    }

    fn write_batches<'a>(
        &'a self,
        mut protocol: MutexGuard<'a, Protocol>,
    ) -> Result<(), ClientError> {
        while let Some(batch) = protocol.take_batch() {
            drop(protocol);
            let written = self.stream.write_all(&batch).map_err(Arc::new);
            protocol = self.lock();
            protocol.batch_written(batch, &written);
            self.batch_written.notify_all();
            match written {
                Ok(()) => {}
                Err(error) if is_timeout(&error) => {
                    // A frame may be incomplete: no frame can follow it.
                    self.stream.shut_down();
                    return Err(ClientError::TimedOut(Step::Write));
                }
                Err(error) => return Err(ClientError::Lost(Some(error))),
            }
        }
        Ok(())
    }

    /// Ends TCP: threads that sleep in a read or write wake up, and nothing is sent any
    /// more.
    pub(super) fn shut_down(&self) {
        let mut protocol = self.lock();
        protocol.end();
        if !protocol.is_writing() {
            self.stream.close();
        }
        drop(protocol);
        self.stream.shut_down();
    }

    /// Whether messages can be sent.
    pub(super) fn is_open(&self) -> bool {
        self.lock().is_open()
    }

    /// How the connection has ended, if it has.
    pub(super) fn ended(&self) -> Option<Ended> {
        self.lock().ended()
    }
}
