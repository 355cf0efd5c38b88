//! Replacements for a socket: [`Wire`], from which frames can always be read, [`Drain`],
//! which takes everything, and [`Script`], which plays the other end of a handshake.

use std::cell::Cell;
use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
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

    /// Appends the bytes of one read to `buffer`, as many as it has room for.
    pub fn fill(&mut self, buffer: &mut Vec<u8>) {
        let taken = self.next_read(buffer.capacity() - buffer.len());
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

/// The messages of one flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// As many as 64 KiB hold, and at least one.
    Batched,
    /// One.
    OneByOne,
}

impl Departure {
    pub fn messages(self, payload_bytes: usize) -> usize {
        match self {
            Departure::Batched => messages_in_a_read(payload_bytes),
            Departure::OneByOne => 1,
        }
    }
}

/// Copies what is written into a buffer of its own, slice behind slice and write behind write, as
/// a kernel does, and counts it. When the buffer is full it begins again: its memory is that of a
/// socket, whatever is written at a time.
pub struct Drain {
    buffer: Box<Buffer>,
    /// 0 ≤ at < READ_BYTES
    at: usize,
    bytes: Rc<Cell<usize>>,
}

/// As a kernel's pages: where it begins makes no difference between two libraries.
#[repr(align(4096))]
struct Buffer([u8; READ_BYTES]);

impl Default for Drain {
    fn default() -> Drain {
        Drain {
            buffer: Box::new(Buffer([0; READ_BYTES])),
            at: 0,
            bytes: Rc::default(),
        }
    }
}

impl Drain {
    pub fn put(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = &mut self.buffer.0[self.at..];
            let (now, later) = rest.split_at(rest.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.at = (self.at + now.len()) % READ_BYTES;
            rest = later;
        }
        self.bytes.set(self.bytes.get() + bytes.len());
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Their number, also when the Drain is out of reach.
    pub fn counter(&self) -> Rc<Cell<usize>> {
        self.bytes.clone()
    }
}

impl Write for Drain {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        for bytes in slices {
            self.put(bytes);
        }
        Ok(slices.iter().map(|bytes| bytes.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncWrite for Drain {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.put(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        for bytes in slices {
            self.put(bytes);
        }
        Poll::Ready(Ok(slices.iter().map(|bytes| bytes.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

// Some of the libraries ask for a stream that can be read, though they only write here.
impl Read for Drain {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}

impl AsyncRead for Drain {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Has one text to be read, at once, and takes everything that is written.
pub struct Script {
    text: &'static [u8],
    written: usize,
}

impl Script {
    pub fn new(text: &'static [u8]) -> Script {
        Script { text, written: 0 }
    }

    /// Bytes that were written so far.
    pub fn written(&self) -> usize {
        self.written
    }
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.text.read(buffer)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (now, later) = self.text.split_at(self.text.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.text = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
