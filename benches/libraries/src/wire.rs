//! A replacement for a socket: frames that can always be read.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::input::{Kind, READ_BYTES, frame, messages_in_a_read};

/// The bytes of one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Up to 64 KiB: many bytes have arrived, and reads end anywhere in a message.
    Batched,
    /// At most one message: the client waits for an answer before it continues.
    OneByOne,
}

/// The same frame over and over.
pub struct Wire {
    kind: Kind,
    payload_bytes: usize,
    frame_bytes: usize,
    arrival: Arrival,
    /// Whole frames.
    lap: Vec<u8>,
    /// 0 ≤ at < lap.len()
    at: usize,
}

impl Wire {
    pub fn new(kind: Kind, payload_bytes: usize, arrival: Arrival) -> Wire {
        let frame = frame(kind, payload_bytes);
        Wire {
            kind,
            payload_bytes,
            frame_bytes: frame.len(),
            arrival,
            lap: frame.repeat(messages_in_a_read(payload_bytes) + 1),
            at: 0,
        }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// Copies the bytes of one read into `buffer`.
    pub fn take(&mut self, buffer: &mut [u8]) -> usize {
        let taken = self.next_read(buffer.len());
        buffer[..taken.len()].copy_from_slice(taken);
        let count = taken.len();
        self.advance(count);
        count
    }

    /// Appends the bytes of one read to `buffer`.
    pub fn append(&mut self, buffer: &mut BytesMut) {
        let taken = self.next_read(usize::MAX);
        buffer.extend_from_slice(taken);
        let count = taken.len();
        self.advance(count);
    }

    fn next_read(&self, bytes_max: usize) -> &[u8] {
        let bytes_max = bytes_max.min(match self.arrival {
            Arrival::Batched => READ_BYTES,
            Arrival::OneByOne => (self.frame_bytes - self.at % self.frame_bytes).min(READ_BYTES),
        });
        let rest = &self.lap[self.at..];
        &rest[..rest.len().min(bytes_max)]
    }

    fn advance(&mut self, count: usize) {
        self.at += count;
        if self.at == self.lap.len() {
            self.at = 0;
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.take(buffer))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let taken = self.next_read(buffer.remaining());
        buffer.put_slice(taken);
        let count = taken.len();
        self.advance(count);
        Poll::Ready(Ok(()))
    }
}

// No frame needs an answer, so that nothing is written.
impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
