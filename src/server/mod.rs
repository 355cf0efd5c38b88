//! The server: where the protocol, the fan-out and the event loop meet.
//!
//! ```text
//!                 ┌──────────────── worker (one thread) ───────────────┐
//!   clients ◀──▶  │ reactor ──bytes──▶ session ──events──▶ handler     │
//!                 │    ▲                  │                   │        │
//!                 │    └──── flush ◀── write queue, room logs ◀── publish   │
//!                 └──────────────────────────▲─────────────────────────┘
//!                                            │ mail, in batches
//!                                      other workers
//! ```
//!
//! An application implements [`Handler`] and runs it:
//!
//! ```no_run
//! use yamabiko::server::{Admission, Config, Context, Handler, Message, Refusal, Server, Upgrade};
//!
//! /// Whatever anyone says, everyone hears.
//! struct Megaphone;
//!
//! impl Handler for Megaphone {
//!     type Session = ();
//!
//!     fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
//!         Ok(Admission::new(()))
//!     }
//!     fn opened(&self, _session: &mut (), context: &mut Context<'_>) {
//!         context.join("everyone");
//!     }
//!     fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
//!         context.publish("everyone", message);
//!     }
//! }
//!
//! let server = Server::bind(Config::default(), Megaphone)?;
//! println!("listening on {}", server.local_address());
//! server.run()?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! What is absent: the chat, any parsing, any system call.

mod buffers;
mod compressor;
mod config;
mod context;
mod date;
mod ending;
mod established;
mod handler;
mod lane_set;
mod lanes;
mod mail;
mod metrics;
mod opening;
mod origins;
mod panics;
mod places;
mod publication;
mod publisher;
mod rooms;
mod session;
mod slow;
mod stopping;
mod worker;

pub use crate::websocket::deflate::{DeflateConfig, WindowBits};
pub use crate::websocket::frame::CloseCode;
pub use crate::websocket::handshake::{
    HeadLimits, InvalidField, Refusal, RequestHead, Response, Status, Upgrade,
};
pub use crate::websocket::{Limits, Message, ProtocolError};
pub use config::{Accept, Config, OnFailure};
pub use context::{Context, SendError};
pub use handler::{Admission, Closed, Failure, Handler};
pub use mail::ConnectionId;
pub use metrics::{Metrics, RoomLag};
pub use origins::{InvalidOrigin, OriginPattern, Origins};
pub use publisher::{MailboxFull, Publisher};
pub use slow::{Missed, SlowPolicy, SlowReaders};

use crate::reactor::{ConnectionLimit, Reactor, ReactorConfig, listen};
use mail::{Mail, Mailboxes, Post};
use metrics::Board;
use rooms::{Rooms, SlowReadersOf};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use worker::Worker;

/// A server that is bound to its address and not running yet.
pub struct Server<H: Handler> {
    local_address: SocketAddr,
    workers: Vec<(Reactor<Mail>, Worker<H>)>,
    handle: ServerHandle,
    deflate: Option<DeflateConfig>,
}

impl<H: Handler> Server<H> {
    /// Binds the address and prepares the workers. Clients that connect from
    /// now on wait until [`Server::run`].
    ///
    /// # Errors
    /// The address is in use or not ours, or the system is out of descriptors.
    /// [`Unsupported`](io::ErrorKind::Unsupported): [`Accept::PerWorker`] was asked for,
    /// and this system has no such thing.
    pub fn bind(config: Config, handler: H) -> io::Result<Server<H>> {
        let listeners = listeners(&config)?;
        let local_address = match listeners.first() {
            Some(Some(listener)) => listener.local_addr()?,
            _ => config.listen,
        };
        let connection_limit = ConnectionLimit::new(config.connections_max);
        let mut reactors = Vec::new();
        for listener in listeners {
            reactors.push(Reactor::new(ReactorConfig {
                listener,
                // A worker that cannot be posted to would never stop.
                mailbox_capacity: config.mailbox_capacity.max(1),
                connection_limit: Some(connection_limit.clone()),
                ..ReactorConfig::default()
            })?);
        }
        let mailboxes = reactors.iter().map(Reactor::mailbox);
        let handle = ServerHandle {
            stopping: Arc::new(AtomicBool::new(false)),
            boards: reactors.iter().map(|_| Arc::default()).collect(),
            mailboxes: Mailboxes::new(mailboxes, config.worker_backlog_bytes_max),
        };
        let deflate = config.deflate;
        let workers = staff(reactors, config, handler, &handle);
        Ok(Server {
            deflate,
            local_address,
            workers,
            handle,
        })
    }

    /// Where clients can connect: the port that was taken if port 0 was asked.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Stops the server from another thread.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Stops the server, as [`ServerHandle::shutdown`] does, when something is
    /// written to the other end of `waker`, or that end is closed. For signals: a handler
    /// may write to a socket, and so no thread has to wait for them. A process of one
    /// thread makes its system calls a little faster.
    ///
    /// # Errors
    /// The system cannot watch it.
    ///
    /// ```
    /// # use yamabiko::server::{
    /// #     Admission, Config, Context, Handler, Message, Refusal, Server, Upgrade,
    /// # };
    /// # struct Silent;
    /// # impl Handler for Silent {
    /// #     type Session = ();
    /// #     fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
    /// #         Ok(Admission::new(()))
    /// #     }
    /// #     fn message(&self, _: &mut (), _: Message<'_>, _: &mut Context<'_>) {}
    /// # }
    /// use std::os::unix::net::UnixStream;
    ///
    /// let listen = "127.0.0.1:0".parse().unwrap();
    /// let mut server = Server::bind(Config { listen, ..Config::default() }, Silent)?;
    /// let (waker, signal) = UnixStream::pair()?;
    /// server.shutdown_by(waker)?;
    /// drop(signal); // or a signal handler writes to it
    /// server.run()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(unix)]
    pub fn shutdown_by(&mut self, waker: std::os::unix::net::UnixStream) -> io::Result<()> {
        match self.workers.first_mut() {
            Some((reactor, _)) => reactor.set_waker(waker),
            None => Ok(()),
        }
    }

    /// Publishes from threads that serve no connection.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(self.handle.mailboxes.clone(), self.deflate)
    }

    /// Serves until [`ServerHandle::shutdown`], the first worker on this thread
    /// and the others on threads of their own. If one of them ends, so do all.
    ///
    /// # Errors
    /// A thread cannot be started, or the system's polling fails.
    ///
    /// # Panics
    /// The server itself has a fault. The other workers have been shut down. (A panic in
    /// a handler ends one connection, see [`Handler`].)
    pub fn run(self) -> io::Result<()> {
        let Server {
            workers, handle, ..
        } = self;
        thread::scope(|scope| {
            let mut workers = workers.into_iter().enumerate();
            let first = workers.next();
            let mut threads = Vec::new();
            for (index, (mut reactor, mut worker)) in workers {
                let stop_all = StopAll(handle.clone());
                let named = thread::Builder::new().name(format!("yamabiko-{index}"));
                threads.push(named.spawn_scoped(scope, move || {
                    let _stop_all = stop_all;
                    reactor.run(&mut worker)
                })?);
            }
            let mut result = Ok(());
            if let Some((_, (mut reactor, mut worker))) = first {
                let _stop_all = StopAll(handle);
                result = reactor.run(&mut worker);
            }
            for thread in threads {
                let ended = thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                result = result.and(ended);
            }
            result
        })
    }
}

/// Reaches a running server from other threads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    stopping: Arc<AtomicBool>,
    mailboxes: Mailboxes,
    boards: Arc<[Arc<Board>]>,
}

impl ServerHandle {
    /// Stops the server gracefully: no new connections, a Close with 1001 to
    /// every client, and a wait for them of at most
    /// [`Config::drain_timeout`]. Then [`Server::run`] returns. Does not wait
    /// itself; calling it again changes nothing.
    pub fn shutdown(&self) {
        self.stopping.store(true, Ordering::Release);
        self.mailboxes.wake_all();
    }

    /// What the server has done so far; what a worker does in its current turn
    /// is not in it yet. Cost: a few loads for each worker.
    pub fn metrics(&self) -> Metrics {
        Board::sum(&self.boards)
    }

    /// The rooms in which somebody is behind, for each worker. Cost: a lock and
    /// a copy for each worker.
    pub fn lags(&self) -> Vec<RoomLag> {
        Board::lags(&self.boards)
    }
}

/// Ends the other workers when one has ended, in whatever way, also when its
/// thread could not be started: half a server is none.
struct StopAll(ServerHandle);

impl Drop for StopAll {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

/// Gives each event loop the worker that it is run for.
fn staff<H: Handler>(
    reactors: Vec<Reactor<Mail>>,
    config: Config,
    handler: H,
    handle: &ServerHandle,
) -> Vec<(Reactor<Mail>, Worker<H>)> {
    let (config, handler) = (Arc::new(config), Arc::new(handler));
    let asked = (config.clone(), handler.clone());
    let slow_readers: SlowReadersOf = Arc::new(move |room| {
        let (config, handler) = &asked;
        handler.slow_readers(room).unwrap_or(config.slow_readers)
    });
    let worker = |(index, reactor): (usize, _)| {
        let post = Post::new(index, handle.mailboxes.clone());
        let board = handle.boards.get(index).cloned().unwrap_or_default();
        let rooms = Rooms::new(index, post, board, slow_readers.clone(), config.deflate);
        let stopping = handle.stopping.clone();
        let worker = Worker::new(index, handler.clone(), config.clone(), rooms, stopping);
        (reactor, worker)
    };
    reactors.into_iter().enumerate().map(worker).collect()
}

/// The listener of each worker, if it has one: see [`Accept`]. Two reactors cannot watch one
/// listener: whether a copy of its descriptor is watched on its own differs between systems,
/// and with edges each would have to accept until nothing is left, which is no fair share.
fn listeners(config: &Config) -> io::Result<Vec<Option<TcpListener>>> {
    let workers = config.workers.get();
    if workers == 1 || config.accept == Accept::Shared {
        let first = listen(config.listen, false)?;
        let others = std::iter::repeat_with(|| None).take(workers - 1);
        return Ok(std::iter::once(Some(first)).chain(others).collect());
    }
    // With SO_REUSEPORT another server's socket would not be in the way: ask
    // without it first, so that a port in use is an error.
    drop(listen(config.listen, false)?);
    let first = listen(config.listen, true)?;
    let address = first.local_addr()?;
    let mut listeners = vec![Some(first)];
    for _ in 1..workers {
        listeners.push(Some(listen(address, true)?));
    }
    Ok(listeners)
}
