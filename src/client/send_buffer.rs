//! Frames that wait for the socket, and the rule which thread may write them.
//!
//! ```text
//!                take_batch()                 batch_written(Ok)
//!     Free ───────────────────▶ Writing ───────────────────────▶ Free
//!      │                            │ batch_written(Err)
//!      └────────────────────────────┴───────────────────────────▶ Broken
//!        flush_now() failed
//! ```
//!
//! Two threads append frames: a writer its messages, the reader its pongs and the
//! answer to a Close. Frames are written whole and in the order in which they were
//! appended:
//!
//! - A **writer** takes all bytes as a batch and writes them without the lock, however
//!   long that takes. Meanwhile the state is `Writing`. Frames that the reader appends
//!   stay here, and the writer takes them as its next batch.
//! - The **reader** writes only while the state is `Free`, and never waits. Bytes that
//!   the kernel does not accept at once stay at the front. So the reader always
//!   continues reading, whatever happens in the other direction.

use std::io;
use std::mem;
use std::sync::Arc;

use super::stream::Stream;
use super::waits::is_timeout;

/// A larger buffer, grown for one large message, is not kept.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// Frames that the kernel has not accepted.
#[derive(Debug, Default)]
pub(super) struct SendBuffer {
    /// Whole frames, except that the front of the first may already be written.
    bytes: Vec<u8>,
    /// The buffer of the last batch, empty, for the next one.
    spare: Vec<u8>,
    socket: Socket,
    /// The error of the write that has failed.
    cause: Option<Arc<io::Error>>,
}

/// Which thread may write to the socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Socket {
    /// The thread that holds the lock: without waiting, or by taking a batch.
    #[default]
    Free,
    /// The thread that has taken a batch; it returns for `bytes`.
    Writing,
    /// None: a write has failed, perhaps inside a frame.
    Broken,
}

impl SendBuffer {
    /// The buffer, to append whole frames to.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Whether a thread is writing a batch.
    pub(super) fn is_writing(&self) -> bool {
        self.socket == Socket::Writing
    }

    /// Whether a write has failed.
    pub(super) fn is_broken(&self) -> bool {
        self.socket == Socket::Broken
    }

    /// Whether bytes wait and no thread is going to write them.
    pub(super) fn is_waiting(&self) -> bool {
        self.socket == Socket::Free && !self.bytes.is_empty()
    }

    /// All waiting bytes, for a thread that writes them without the lock and then calls
    /// [`SendBuffer::batch_written`]. `None`: there is nothing to write.
    pub(super) fn take_batch(&mut self) -> Option<Vec<u8>> {
        if !self.is_waiting() {
            return None;
        }
        self.socket = Socket::Writing;
        let spare = mem::take(&mut self.spare);
        Some(mem::replace(&mut self.bytes, spare))
    }

    /// The error of the write that has failed, if one has.
    pub(super) fn cause(&self) -> Option<Arc<io::Error>> {
        self.cause.clone()
    }

    /// The write of the batch has ended, with this result.
    pub(super) fn batch_written(
        &mut self,
        mut batch: Vec<u8>,
        written: &Result<(), Arc<io::Error>>,
    ) {
        self.socket = Socket::Free;
        if let Err(error) = written {
            // A timeout is reported as one, and is no cause of anything else.
            self.break_off(Some(error.clone()).filter(|error| !is_timeout(error)));
        } else if batch.capacity() <= KEPT_BYTES_MAX {
            batch.clear();
            self.spare = batch;
        }
    }

    /// Writes the bytes that the kernel accepts at once. Does not report a failure: the
    /// next read reports the end of the connection, perhaps after the server's Close.
    pub(super) fn flush_now(&mut self, stream: &Stream) {
        if !self.is_waiting() {
            return;
        }
        match stream.write_now(&self.bytes) {
            Ok(written) => drop(self.bytes.drain(..written)),
            Err(error) => self.break_off(Some(Arc::new(error))),
        }
    }

    /// Discards all bytes; nothing can be sent any more. The first cause is kept.
    pub(super) fn break_off(&mut self, cause: Option<Arc<io::Error>>) {
        self.socket = Socket::Broken;
        self.cause = self.cause.take().or(cause);
        self.bytes = Vec::new();
        self.spare = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_appended_while_a_batch_is_written_follow_it() {
        let mut buffer = SendBuffer::default();
        buffer.bytes.extend_from_slice(b"first");
        let batch = buffer.take_batch().expect("bytes wait");
        assert_eq!(batch, b"first");
        buffer.bytes.extend_from_slice(b"pong");
        assert!(buffer.is_writing() && !buffer.is_waiting());
        assert_eq!(buffer.take_batch(), None);
        buffer.batch_written(batch, &Ok(()));
        assert!(buffer.is_waiting());
        assert_eq!(buffer.take_batch().expect("the rest"), b"pong");
    }

    #[test]
    fn failed_write_ends_all_writing() {
        let mut buffer = SendBuffer::default();
        buffer.bytes.extend_from_slice(b"first");
        let batch = buffer.take_batch().expect("bytes wait");
        buffer.bytes.extend_from_slice(b"pong");
        let broken_pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        buffer.batch_written(batch, &Err(Arc::new(broken_pipe)));
        assert!(buffer.is_broken() && buffer.bytes.is_empty());
        buffer.break_off(Some(Arc::new(io::ErrorKind::ConnectionReset.into())));
        let cause = buffer.cause().map(|error| error.kind());
        assert_eq!(cause, Some(io::ErrorKind::BrokenPipe));
        buffer.bytes.extend_from_slice(b"late");
        assert_eq!(buffer.take_batch(), None);
    }

    #[test]
    fn buffer_is_kept_up_to_its_limit_and_dropped_one_byte_above() {
        for (bytes, kept) in [(KEPT_BYTES_MAX, true), (KEPT_BYTES_MAX + 1, false)] {
            let mut buffer = SendBuffer {
                bytes: Vec::with_capacity(bytes),
                ..SendBuffer::default()
            };
            buffer.bytes.push(0);
            let batch = buffer.take_batch().expect("bytes wait");
            buffer.batch_written(batch, &Ok(()));
            assert_eq!(buffer.spare.capacity() > 0, kept);
        }
    }
}
