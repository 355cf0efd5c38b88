//! Asynchronous code without a runtime: what it waits for is always there.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use futures_sink::Sink;

/// The outcome of a future that never has to wait.
pub fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing has to be waited for"),
    }
}

/// The next item of a stream that does not end.
pub async fn next<S: Stream + Unpin>(stream: &mut S) -> S::Item {
    let next = std::future::poll_fn(|context| Pin::new(&mut *stream).poll_next(context));
    next.await.expect("the stream does not end")
}

/// Gives an item to a sink, which may keep it until it is flushed.
pub fn feed<I, S: Sink<I> + Unpin>(sink: &mut S, item: I) -> Result<(), S::Error> {
    at_once(std::future::poll_fn(|context| {
        Pin::new(&mut *sink).poll_ready(context)
    }))?;
    Pin::new(sink).start_send(item)
}

/// Writes what the sink keeps.
pub fn flush<I, S: Sink<I> + Unpin>(sink: &mut S) -> Result<(), S::Error> {
    at_once(std::future::poll_fn(|context| {
        Pin::new(&mut *sink).poll_flush(context)
    }))
}
