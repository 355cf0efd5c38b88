//! A stream that collects small writes until `flush`, for libraries that write each frame
//! (or a few slices) separately.
//!
//! Like `tokio::io::BufWriter`, with two differences. The buffer grows with the batch: one
//! write per flush, for any number of frames. A connection has a buffer only while it holds
//! bytes: connections that are flushed one after the other use the same memory, which stays
//! in the caches. A large write into an empty buffer goes to the socket without a copy.
//! Beyond [`BACKLOG_BYTES_MAX`] it accepts no more, as a full socket does.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::arguments::BACKLOG_BYTES_MAX;

/// From this length on, a copy costs more than a separate system call.
const DIRECT_BYTES_MIN: usize = 8 * 1024;

/// Buffers that are kept for the next connection.
const POOLED_BUFFERS_MAX: usize = 8;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// See the module's text.
pub struct WriteBuffer<S> {
    stream: S,
    unsent: Vec<u8>,
}

impl<S> WriteBuffer<S> {
    /// An empty buffer in front of `stream`.
    pub fn new(stream: S) -> WriteBuffer<S> {
        WriteBuffer {
            stream,
            unsent: Vec::new(),
        }
    }

    /// The stream itself.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.unsent.capacity() == 0 {
            self.unsent = POOL.with_borrow_mut(Vec::pop).unwrap_or_default();
        }
        self.unsent.extend_from_slice(bytes);
    }

    fn give_back(&mut self) {
        let mut buffer = mem::take(&mut self.unsent);
        buffer.clear();
        POOL.with_borrow_mut(|pool| {
            if pool.len() < POOLED_BUFFERS_MAX {
                pool.push(buffer);
            }
        });
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteBuffer<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteBuffer<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.unsent.is_empty() && bytes.len() >= DIRECT_BYTES_MIN {
            let written = Pin::new(&mut self.stream).poll_write(context, bytes);
            if written.is_ready() {
                return written;
            }
        }
        if self.unsent.len() >= BACKLOG_BYTES_MAX {
            ready!(self.as_mut().poll_flush(context))?;
        }
        self.append(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let has_large = slices.iter().any(|slice| slice.len() >= DIRECT_BYTES_MIN);
        if self.unsent.is_empty() && has_large {
            let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
            if written.is_ready() {
                return written;
            }
        }
        if self.unsent.len() >= BACKLOG_BYTES_MAX {
            ready!(self.as_mut().poll_flush(context))?;
        }
        let mut bytes = 0;
        for slice in slices {
            self.append(slice);
            bytes += slice.len();
        }
        Poll::Ready(Ok(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while !this.unsent.is_empty() {
            let written = ready!(Pin::new(&mut this.stream).poll_write(context, &this.unsent))?;
            if written == this.unsent.len() {
                this.give_back();
            } else {
                this.unsent.drain(..written);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
