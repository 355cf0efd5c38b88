//! The bytes that wait for the stream, and the tasks that wait for that: [`WriteQueue`].
//!
//! Two tasks can write one stream: the one that sends messages, and the one that reads, which answers pings. A stream
//! wakes only the task that polled it last. So a task that has to wait while the other one waits
//! registers a waker of both, and a future that is dropped while it waits takes no wake-up with it.
//!
//! A message is in the queue as a whole or not at all, and the queue outlives every future. So a future that is dropped
//! at any point neither cuts a message nor sends it twice.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::AsyncWrite;

use crate::buffers;

/// What the task does that waits for the stream. One task of each kind is remembered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Half {
    /// It reads.
    Reader,
    /// It sends.
    Writer,
}

/// Bytes in their order. 0 ≤ `written` ≤ `bytes.len()`.
#[derive(Debug, Default)]
pub(crate) struct WriteQueue {
    bytes: Vec<u8>,
    /// So many bytes at the front have been written.
    written: usize,
    /// The stream may have a buffer of its own that is not flushed.
    unflushed: bool,
    /// The tasks that wait until all is written, by [`Half`].
    waiting: [Option<Waker>; 2],
    /// Nothing is written any more; the error of the stream, if it was one.
    broken: Option<Option<Arc<io::Error>>>,
}

impl WriteQueue {
    /// Where the core appends replies, if there are any.
    #[inline]
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Where the core appends a frame.
    #[inline]
    pub(crate) fn bytes_for_frame(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            buffers::take_bytes(&mut self.bytes);
        }
        &mut self.bytes
    }

    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Why nothing is written any more, if that is so.
    pub(crate) fn broken(&self) -> Option<&Option<Arc<io::Error>>> {
        self.broken.as_ref()
    }

    /// Discards all bytes, and those that will come; wakes all tasks that wait.
    pub(crate) fn break_off(&mut self, error: Option<io::Error>) {
        self.broken.get_or_insert(error.map(Arc::new));
        self.bytes = Vec::new();
        self.written = 0;
        self.unflushed = false;
        let waiting = self.waiting.iter_mut().filter_map(Option::take);
        waiting.for_each(Waker::wake);
    }

    /// Whether nothing waits, neither here nor in a buffer of the stream.
    #[inline]
    pub(crate) fn is_flushed(&self) -> bool {
        self.len() == 0 && !self.unflushed
    }

    /// Writes what waits and `behind` in one call, without a copy, as far as the stream takes
    /// it at once. The rest waits.
    pub(crate) fn write_with(
        &mut self,
        stream: Pin<&mut impl AsyncWrite>,
        behind: &[u8],
        cx: &mut Context<'_>,
    ) {
        let waiting = self.len();
        let slices = [
            IoSlice::new(&self.bytes[self.written..]),
            IoSlice::new(behind),
        ];
        let count = match stream.poll_write_vectored(cx, &slices) {
            Poll::Pending => 0,
            Poll::Ready(Ok(0)) => return self.break_off(Some(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Err(error)) => return self.break_off(Some(error)),
            Poll::Ready(Ok(count)) => {
                self.advance(count.min(waiting));
                count
            }
        };
        let rest = behind.get(count.saturating_sub(waiting)..);
        if let Some(rest @ [_, ..]) = rest {
            self.bytes_for_frame().extend_from_slice(rest);
        }
    }

    /// Whether a task waits for the stream.
    pub(crate) fn is_blocked(&self) -> bool {
        self.waiting.iter().any(Option::is_some)
    }

    /// Writes what waits. Ready: all is written, or nothing can be written any more.
    pub(crate) fn poll_write(
        &mut self,
        stream: Pin<&mut impl AsyncWrite>,
        half: Half,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.broken.is_some() {
            self.bytes.clear();
        }
        match self.is_flushed() {
            true => Poll::Ready(()),
            false => self.poll_write_rest(stream, half, cx),
        }
    }

    fn poll_write_rest(
        &mut self,
        mut stream: Pin<&mut impl AsyncWrite>,
        half: Half,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.try_write(stream.as_mut(), cx).is_pending() {
            // The stream wakes this task alone; the other one may wait, too.
            let Some(both) = self.wait(half, cx.waker()) else {
                return Poll::Pending;
            };
            let cx = &mut Context::from_waker(&both);
            std::task::ready!(self.try_write(stream, cx));
        }
        self.wake_other(cx.waker());
        Poll::Ready(())
    }

    fn try_write(
        &mut self,
        mut stream: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        while self.len() > 0 {
            let unwritten = &self.bytes[self.written..];
            match std::task::ready!(stream.as_mut().poll_write(cx, unwritten)) {
                Ok(0) => self.break_off(Some(io::ErrorKind::WriteZero.into())),
                Ok(count) => self.advance(count),
                Err(error) => self.break_off(Some(error)),
            }
        }
        if self.unflushed {
            let flushed = std::task::ready!(stream.poll_flush(cx));
            self.unflushed = false;
            if let Err(error) = flushed {
                self.break_off(Some(error));
            }
        }
        Poll::Ready(())
    }

    /// So many bytes have been written. The rest is moved to the front when it is the
    /// smaller part, so that a byte is moved once on average.
    fn advance(&mut self, count: usize) {
        self.written += count;
        self.unflushed = true;
        if self.written >= self.bytes.len() {
            self.written = 0;
            buffers::give_back_bytes(&mut self.bytes);
        } else if self.written > self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }

    /// This task waits. Returns the waker to register if another one waits already.
    fn wait(&mut self, half: Half, waker: &Waker) -> Option<Waker> {
        let slot = &mut self.waiting[half as usize];
        if !slot.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
        match &self.waiting {
            [Some(reader), Some(writer)] if !reader.will_wake(writer) => {
                let both = Both(reader.clone(), writer.clone());
                Some(Waker::from(Arc::new(both)))
            }
            _ => None,
        }
    }

    /// All is written: wakes the other task, if it waits.
    fn wake_other(&mut self, this: &Waker) {
        let waiting = self.waiting.iter_mut().filter_map(Option::take);
        let others = waiting.filter(|waker| !waker.will_wake(this));
        others.for_each(Waker::wake);
    }
}

/// Two tasks as one.
struct Both(Waker, Waker);

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake_by_ref();
        self.1.wake_by_ref();
    }
}
