//! Two connected ends, and streams that make a task wait wherever it can.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use yamabiko::websocket::{Connection, Limits};
use yamabiko_tokio::{Options, WebSocket};

/// A client and a server on a pipe that holds `bytes` in each direction.
pub fn connected(bytes: usize) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    connected_with(bytes, Options::default())
}

pub fn connected_with(
    bytes: usize,
    options: Options,
) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (client, server) = tokio::io::duplex(bytes);
    (
        WebSocket::client(client, client_connection(), options),
        WebSocket::server(server, Connection::server(Limits::default()), options),
    )
}

pub fn client_connection() -> Connection {
    let mut key = 0_u32;
    let keys = move || {
        key = key.wrapping_add(0x9e37_79b9);
        key.to_ne_bytes()
    };
    Connection::client(Limits::default(), keys)
}

/// The output of a future, or `None` if it is not ready after so many polls: it is dropped then.
pub async fn drop_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polls_left = polls;
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if polls_left <= 1 => Poll::Ready(None),
        Poll::Pending => {
            polls_left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// A stream that is not ready at every second call, and takes or gives a few bytes at a time.
#[derive(Debug)]
pub struct Hesitant<T> {
    stream: T,
    random: Random,
    was_ready: [bool; 4],
}

impl<T> Hesitant<T> {
    pub fn new(stream: T, seed: u64) -> Hesitant<T> {
        Hesitant {
            stream,
            random: Random(seed),
            was_ready: [true; 4],
        }
    }

    fn hesitate(&mut self, call: usize, cx: &Context<'_>) -> Poll<()> {
        self.was_ready[call] = !self.was_ready[call];
        if self.was_ready[call] {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn length(&mut self, max: usize) -> usize {
        let length = 1 + self.random.below(300);
        length.min(max)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Hesitant<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        std::task::ready!(self.hesitate(0, cx));
        let length = self.length(buffer.remaining());
        let mut part = buffer.take(length);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut part);
        let count = part.filled().len();
        buffer.advance(count);
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Hesitant<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        std::task::ready!(self.hesitate(1, cx));
        let length = self.length(bytes.len());
        Pin::new(&mut self.stream).poll_write(cx, &bytes[..length])
    }

    /// The bytes that it takes can end in any of the slices.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        std::task::ready!(self.hesitate(1, cx));
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        let length = self.length(all.len());
        Pin::new(&mut self.stream).poll_write(cx, &all[..length])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.hesitate(2, cx));
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.hesitate(3, cx));
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A sequence of numbers that is the same in each run (SplitMix64).
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % bound) as usize
    }
}
