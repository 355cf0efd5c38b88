//! Receiving, for a connection in one value and for the half of a split one: [`Input`].

use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use yamabiko::websocket::{Event, OwnedMessage, ReadBuffer};

use crate::buffers::{self, Buffer};
use crate::endpoint::{Endpoint, More};
use crate::error::Error;

/// A way to the endpoint: borrowed, or behind a lock.
pub(crate) trait Access {
    type Stream: AsyncRead + AsyncWrite + Unpin;

    /// Calls `f` with the endpoint. Nothing waits in `f`.
    fn with<R>(&mut self, f: impl FnOnce(&mut Endpoint<Self::Stream>) -> R) -> R;
}

impl<T: AsyncRead + AsyncWrite + Unpin> Access for Endpoint<T> {
    type Stream = T;

    fn with<R>(&mut self, f: impl FnOnce(&mut Endpoint<T>) -> R) -> R {
        f(self)
    }
}

/// The receiving side of a connection: the bytes that it has read and not received.
#[derive(Debug, Default)]
pub(crate) struct Input {
    /// `None`: nothing is left.
    buffer: Option<Buffer>,
    /// As a [`Stream`](futures_core::Stream) it has ended.
    is_terminated: bool,
}

impl Input {
    /// The bytes that came behind the head of the opening handshake.
    pub(crate) fn new(surplus: &[u8]) -> Input {
        if surplus.is_empty() {
            return Input::default();
        }
        let mut buffer = buffers::take();
        // The opening handshake reads less at a time than a buffer has room for.
        let room = buffer.room();
        let count = surplus.len().min(room.len());
        room[..count].copy_from_slice(&surplus[..count]);
        buffer.filled(count);
        Input {
            buffer: Some(buffer),
            is_terminated: false,
        }
    }

    /// Waits for an event that `take` makes something of. It gets the endpoint's access, too,
    /// so that it can reply. `None`: the closing handshake is complete.
    pub(crate) fn poll<A: Access, R>(
        &mut self,
        access: &mut A,
        cx: &mut Context<'_>,
        take: &mut impl FnMut(&mut A, Event<'_>) -> Option<R>,
    ) -> Poll<Result<Option<R>, Error>> {
        let mut buffer = self.buffer.take().unwrap_or_else(buffers::take);
        let result = poll_event(&mut buffer, access, cx, take);
        if !buffer.is_empty() {
            self.buffer = Some(buffer);
        } else {
            buffers::give_back(buffer);
        }
        result
    }

    /// Waits for a whole message.
    pub(crate) fn poll_message<A: Access>(
        &mut self,
        access: &mut A,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<OwnedMessage>, Error>> {
        if access.with(|endpoint| endpoint.in_pieces()) {
            return Poll::Ready(Err(Error::InPieces));
        }
        self.poll(access, cx, &mut |_, event| event.into_message())
    }

    /// Whole messages as a stream. An error that ends the connection is the last item.
    pub(crate) fn poll_next<A: Access>(
        &mut self,
        access: &mut A,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<OwnedMessage, Error>>> {
        if self.is_terminated {
            return Poll::Ready(None);
        }
        let item = ready!(self.poll_message(access, cx)).transpose();
        self.is_terminated = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }

    /// Discards what comes, to the end of the connection, also that of the stream of messages.
    pub(crate) fn poll_discard<A: Access>(
        &mut self,
        access: &mut A,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let ended = ready!(self.poll(access, cx, &mut |_, _| None::<()>));
        self.is_terminated = true;
        Poll::Ready(ended.map(drop))
    }

    /// Whether the stream of messages has ended.
    pub(crate) fn is_terminated(&self) -> bool {
        self.is_terminated
    }
}

fn poll_event<A: Access, R>(
    buffer: &mut ReadBuffer,
    access: &mut A,
    cx: &mut Context<'_>,
    take: &mut impl FnMut(&mut A, Event<'_>) -> Option<R>,
) -> Poll<Result<Option<R>, Error>> {
    loop {
        while !buffer.is_empty()
            && let Some(event) = access.with(|endpoint| endpoint.receive(buffer))
        {
            if let Some(taken) = take(access, event) {
                return Poll::Ready(Ok(Some(taken)));
            }
        }
        match ready!(access.with(|endpoint| endpoint.poll_more(cx, buffer))) {
            More::Bytes => {}
            More::Nothing => {
                *buffer = ReadBuffer::default();
                let result = access.with(|endpoint| endpoint.result());
                return Poll::Ready(result.map(|()| None));
            }
        }
    }
}
