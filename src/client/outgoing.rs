//! The bytes on their way to the socket, and who is writing them.
//!
//! ```text
//!                take_batch()                 batch_written(Ok)
//!     Free ─────────────────────▶ Busy ─────────────────────────▶ Free
//!      │                            │ batch_written(Err)
//!      └────────────────────────────┴───────────────────────────▶ Broken
//!        flush_now() failed
//! ```
//!
//! Two threads put frames in: a writer its messages, the reader its pongs and the
//! answer to a Close. Frames go out whole and in the order they were put in:
//!
//! - A **writer** takes all the bytes as a batch and writes them with the lock
//!   released, however long that takes. Meanwhile the state is `Busy`: what the
//!   reader adds stays here, and the writer comes back for it.
//! - The **reader** writes only while the state is `Free`, and never waits: what
//!   the kernel does not take at once stays at the front. So a reader always
//!   gets back to reading, whatever the other direction does.

use std::io;
use std::mem;

use super::stream::Stream;

/// A buffer that grew beyond this for one big message is not kept.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// Frames that have not been handed to the kernel.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Whole frames, except that the front of the first may be written already.
    pub(super) bytes: Vec<u8>,
    /// The buffer of the last batch, empty, for the next.
    spare: Vec<u8>,
    socket: Socket,
}

/// Who may write to the socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Socket {
    /// Whoever holds the lock, without waiting, or by taking a batch.
    #[default]
    Free,
    /// The thread that has taken a batch; it will come back for `bytes`.
    Busy,
    /// Nobody: a write has failed, perhaps inside a frame.
    Broken,
}

impl Outgoing {
    pub(super) fn is_busy(&self) -> bool {
        self.socket == Socket::Busy
    }

    pub(super) fn is_broken(&self) -> bool {
        self.socket == Socket::Broken
    }

    /// Bytes wait, and no thread is about to write them.
    pub(super) fn is_left_waiting(&self) -> bool {
        self.socket == Socket::Free && !self.bytes.is_empty()
    }

    /// All the bytes that wait, for a thread that will write them without the
    /// lock and then call [`Outgoing::batch_written`]. `None`: nothing to do.
    pub(super) fn take_batch(&mut self) -> Option<Vec<u8>> {
        if !self.is_left_waiting() {
            return None;
        }
        self.socket = Socket::Busy;
        let spare = mem::take(&mut self.spare);
        Some(mem::replace(&mut self.bytes, spare))
    }

    /// The batch has been written, or has not.
    pub(super) fn batch_written(&mut self, mut batch: Vec<u8>, written: &io::Result<()>) {
        self.socket = Socket::Free;
        if written.is_err() {
            self.break_off();
        } else if batch.capacity() <= KEPT_BYTES_MAX {
            batch.clear();
            self.spare = batch;
        }
    }

    /// Writes what the kernel takes at once. A failure is kept to itself: the
    /// read that follows tells the end of the connection, and may find the
    /// server's Close before it.
    pub(super) fn flush_now(&mut self, stream: &Stream) {
        if !self.is_left_waiting() {
            return;
        }
        match stream.write_now(&self.bytes) {
            Ok(written) => drop(self.bytes.drain(..written)),
            Err(_) => self.break_off(),
        }
    }

    /// Nothing more can be sent.
    pub(super) fn break_off(&mut self) {
        self.socket = Socket::Broken;
        self.bytes = Vec::new();
        self.spare = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_come_while_a_batch_is_written_go_out_after_it() {
        let mut outgoing = Outgoing::default();
        outgoing.bytes.extend_from_slice(b"first");
        let batch = outgoing.take_batch().expect("bytes wait");
        assert_eq!(batch, b"first");
        outgoing.bytes.extend_from_slice(b"pong");
        assert!(outgoing.is_busy() && !outgoing.is_left_waiting());
        assert_eq!(outgoing.take_batch(), None);
        outgoing.batch_written(batch, &Ok(()));
        assert!(outgoing.is_left_waiting());
        assert_eq!(outgoing.take_batch().expect("the rest"), b"pong");
    }

    #[test]
    fn failed_write_ends_all_writing() {
        let mut outgoing = Outgoing::default();
        outgoing.bytes.extend_from_slice(b"first");
        let batch = outgoing.take_batch().expect("bytes wait");
        outgoing.bytes.extend_from_slice(b"pong");
        outgoing.batch_written(batch, &Err(io::ErrorKind::BrokenPipe.into()));
        assert!(outgoing.is_broken() && outgoing.bytes.is_empty());
        outgoing.bytes.extend_from_slice(b"late");
        assert_eq!(outgoing.take_batch(), None);
    }

    #[test]
    fn buffer_is_kept_up_to_its_bound_and_dropped_one_past_it() {
        for (bytes, kept) in [(KEPT_BYTES_MAX, true), (KEPT_BYTES_MAX + 1, false)] {
            let mut outgoing = Outgoing {
                bytes: Vec::with_capacity(bytes),
                ..Outgoing::default()
            };
            outgoing.bytes.push(0);
            let batch = outgoing.take_batch().expect("bytes wait");
            outgoing.batch_written(batch, &Ok(()));
            assert_eq!(outgoing.spare.capacity() > 0, kept);
        }
    }
}
