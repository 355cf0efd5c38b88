//! Observers of the bytes of connections, for a program that shows them.
//!
//! ```text
//!   kernel ──▶ (TLS) ──▶ ObservedChannel ──▶ HTTP, WebSocket
//!   kernel ◀── (TLS) ◀──        │        ◀──
//!                               └──▶ ConnectionObserver
//! ```
//!
//! An observed connection has a channel of the event loop that passes all bytes on as they are. A connection that nobody
//! observes has none, so it costs nothing. An observed one costs a copy of each byte, and what its observer does.

use super::panics;
use crate::reactor::{Channel, ChannelInput, ChannelState, PeerAddress};
use crate::traffic::Traffic;
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Chooses the connections whose bytes are observed: see [`Config::observers`](super::Config). Cheap to clone.
///
/// ```
/// use std::ops::ControlFlow;
/// use std::sync::mpsc;
/// use yamabiko::server::{Config, Observers, Traffic};
///
/// let (sender, received) = mpsc::channel();
/// let observers = Observers::new(move |address| {
///     let sender = sender.clone();
///     Some(move |traffic: Traffic<'_>| {
///         if let Traffic::Received(bytes) = traffic {
///             // An error: nobody reads them any more.
///             let _ = sender.send((address, bytes.to_vec()));
///         }
///         ControlFlow::Continue(())
///     })
/// });
/// let config = Config { observers: Some(observers), ..Config::default() };
/// # drop((config, received));
/// ```
#[derive(Clone)]
pub struct Observers(Arc<Begin>);

type Begin = dyn Fn(PeerAddress) -> Option<Box<dyn ConnectionObserver>> + Send + Sync;

/// Sees the bytes of one connection, from its first request on. It is dropped when the connection ends.
///
/// It is called on the worker's thread, so it must not block. If it panics, it is dropped, and the connection goes on.
pub trait ConnectionObserver: Send + 'static {
    /// Further bytes. Those that are sent have been accepted for the next system call. `Break`: the rest is not of interest,
    /// and the observer is dropped.
    fn observe(&mut self, traffic: Traffic<'_>) -> ControlFlow<()>;
}

impl<F: FnMut(Traffic<'_>) -> ControlFlow<()> + Send + 'static> ConnectionObserver for F {
    fn observe(&mut self, traffic: Traffic<'_>) -> ControlFlow<()> {
        self(traffic)
    }
}

impl Observers {
    /// `begin` is called for each connection, with its address: of the socket's other end, or as the PROXY protocol tells it.
    /// `None`: the connection is not observed.
    pub fn new<O: ConnectionObserver>(
        begin: impl Fn(PeerAddress) -> Option<O> + Send + Sync + 'static,
    ) -> Observers {
        Observers(Arc::new(move |address| match begin(address) {
            Some(observer) => Some(Box::new(observer)),
            None => None,
        }))
    }

    /// A channel that an observer sees. `inner`: TLS. Without an observer it is `inner` alone.
    pub(super) fn channel(
        &self,
        address: PeerAddress,
        inner: Option<Box<dyn Channel>>,
    ) -> Option<Box<dyn Channel>> {
        let observer = panics::catch(|| (self.0)(address)).ok().flatten();
        match observer {
            None => inner,
            observer => Some(Box::new(ObservedChannel {
                inner,
                observer,
                is_new: true,
            })),
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observers")
    }
}

/// Passes bytes on, and shows them to an observer.
struct ObservedChannel {
    /// TLS.
    inner: Option<Box<dyn Channel>>,
    observer: Option<Box<dyn ConnectionObserver>>,
    /// Nothing was passed on yet.
    is_new: bool,
}

impl Channel for ObservedChannel {
    fn receive(
        &mut self,
        input: &mut [u8],
        opened: &mut dyn FnMut(&[u8]),
        output: &mut Vec<u8>,
    ) -> ChannelInput {
        let observer = &mut self.observer;
        if let Some(inner) = &mut self.inner {
            let mut opened = |bytes: &[u8]| {
                observe(observer, Traffic::Received(bytes));
                opened(bytes);
            };
            return inner.receive(input, &mut opened, output);
        }
        observe(observer, Traffic::Received(input));
        if observer.is_none() && self.is_new {
            // The first bytes are not of interest: the socket needs no channel.
            return ChannelInput {
                consumed_bytes: 0,
                state: ChannelState::NotSecured,
            };
        }
        self.is_new &= input.is_empty();
        opened(input);
        ChannelInput {
            consumed_bytes: input.len(),
            state: ChannelState::Open,
        }
    }

    fn seal(&mut self, input: &mut [u8], bytes: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.inner {
            Some(inner) => inner.seal(input, bytes, output)?,
            None => output.extend_from_slice(bytes),
        }
        self.is_new = false;
        observe(&mut self.observer, Traffic::Sent(bytes));
        Ok(())
    }

    fn close(&mut self, input: &mut [u8], output: &mut Vec<u8>) {
        if let Some(inner) = &mut self.inner {
            inner.close(input, output);
        }
    }

    fn is_established(&self) -> bool {
        let inner = self.inner.as_ref();
        inner.is_none_or(|inner| inner.is_established())
    }
}

/// Calls the observer, and drops it if it has seen enough, or panics.
fn observe(observer: &mut Option<Box<dyn ConnectionObserver>>, traffic: Traffic<'_>) {
    let (Traffic::Sent(bytes) | Traffic::Received(bytes)) = traffic;
    let Some(current) = observer.as_mut().filter(|_| !bytes.is_empty()) else {
        return;
    };
    if !matches!(
        panics::catch(|| current.observe(traffic)),
        Ok(ControlFlow::Continue(()))
    ) {
        *observer = None;
    }
}
