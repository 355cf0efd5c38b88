//! The server: where the protocol, the fan-out and the event loop meet.
//!
//! ```text
//!                 ┌──────────────────── worker (one thread) ───────────────────┐
//!   clients ◀──▶  │ reactor ──bytes──▶ connection ──messages──▶ handler        │
//!                 │    ▲                   │                       │           │
//!                 │    └── flush ◀── write queue, room logs ◀── send, publish  │
//!                 └─────────────────────────────▲──────────────────────────────┘
//!                                               │ cross-worker messages, in batches
//!                                          other workers
//! ```
//!
//! An application implements [`Handler`] and runs it:
//!
//! ```no_run
//! use yamabiko::server::{Admission, Config, Context, Handler, Message, Refusal, Server, Upgrade};
//!
//! /// Every client receives every message.
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

// Elsewhere: the chat (`chat/`), frames as bytes (`websocket/`), requests and responses as bytes (`http/`), reads and writes of
// sockets (`reactor/`).
//
// The files of this module. Each uses only files above it or in its own row.
//
// | file | what is in it |
// |---|---|
// | `history.rs`, `lag.rs`, `rates.rs`, `failure.rs`, `connection_id.rs`, `listen.rs`, `base_path.rs`, `config.rs`, `not_sent.rs`, `not_accepted.rs`, `records.rs` | public settings and values; where an application keeps records; the token buckets of the rates |
// | `receipt.rs`, `direct.rs` | how another thread learns a result; what it asks of one connection |
// | `close_counts.rs`, `refusal_reason.rs`, `histogram.rs` | how connections end, why requests are refused, how long something takes: as counts |
// | `tls.rs` | which connections speak TLS |
// | `backplane/` | the engine outside the process that orders and keeps the messages of rooms |
// | `cluster/` | what the nodes know of each other, over one room of the engine |
// | `not_published.rs` | whether a message was published |
// | `listeners.rs`, `live_config.rs` | binding the addresses; the settings of a running server, and their replacement |
// | `metrics.rs` | what is counted, and the snapshots that other threads read |
// | `turn_times.rs` | how long turns and deliveries take |
// | `memory.rs` | the memory budget of all workers |
// | `observers.rs` | observers of the bytes of connections |
// | `shutdown.rs`, `panics.rs`, `buffers.rs`, `date.rs`, `lifetimes.rs`, `timers.rs` | the shutdown; panics of the application; buffers to use again; the Date field; ends of connections; the application's timers |
// | `access.rs`, `preface.rs` | the token of a request; the header of the PROXY protocol |
// | `rooms/` | rooms of one worker: logs by encoding, subscriptions, lag |
// | `totals.rs`, `diagnostics.rs` | what each connection has received and sent; what the program's log gets |
// | `room_events.rs`, `workers.rs`, `engine_input.rs`, `fan_out.rs` | messages between workers, and of the engine; a published message's way into the logs |
// | `recipient.rs`, `context.rs`, `request.rs`, `upgrade.rs`, `handler.rs` | the sending side of a connection; what a handler can do; requests of HTTP and for a WebSocket; the trait |
// | `with_fallback.rs` | two applications on one server |
// | `pending.rs`, `environment.rs` | what is to be written; what all connections of a worker share |
// | `opening.rs`, `connection.rs`, `ending.rs` | the three states of a connection |
// | `connections.rs` | the table of connections, where states change |
// | `flush.rs`, `backpressure.rs`, `overload.rs` | writing the queues and logs; stopping to read; freeing memory |
// | `worker.rs` | which part gets which callback, and the order of a turn's end |
// | `connection_handle.rs`, `publisher.rs`, `mod.rs` | one connection, and rooms, for other threads; [`Server`] and its handle |

mod access;
mod backplane;
mod backpressure;
mod base_path;
mod buffers;
mod close_counts;
mod cluster;
mod config;
mod connection;
mod connection_handle;
mod connection_id;
mod connections;
mod context;
mod date;
mod descriptors;
mod diagnostics;
mod direct;
mod ending;
mod engine_input;
mod environment;
mod failure;
mod fan_out;
mod flush;
mod handler;
mod histogram;
mod history;
mod lag;
mod lifetimes;
mod listen;
mod listeners;
mod live_config;
mod memory;
mod metrics;
mod not_accepted;
mod not_published;
mod not_sent;
mod observers;
mod opening;
mod overload;
mod panics;
mod pending;
mod places;
mod preface;
mod publisher;
mod rates;
mod receipt;
mod recipient;
mod records;
mod refusal_reason;
mod request;
mod room_events;
mod rooms;
mod shutdown;
mod timers;
mod tls;
mod totals;
mod turn_times;
mod upgrade;
mod with_fallback;
mod worker;
mod workers;

pub use crate::http::{
    Body, HeadLimits, HostPattern, Hosts, HttpLimits, InvalidField, InvalidHost, InvalidOrigin,
    OriginPattern, Origins, Refusal, RequestHead, Response, StaticFile, Status,
};
pub use crate::proxy::{ForwardedFields, InvalidNetwork, Network, Proxies};
pub use crate::reactor::{AcceptedConnection, PeerAddress};
pub use crate::traffic::Traffic;
pub use crate::websocket::deflate::{DeflateConfig, WindowBits};
pub use crate::websocket::frame::CloseCode;
pub use crate::websocket::handshake::{percent_decode, percent_encode};
pub use crate::websocket::{
    AsMessage, CloseFrame, Ended, Fragment, Limits, Message, OwnedMessage, Piece, ProtocolError,
    SendError, Side,
};
pub use backplane::{
    Backplane, BackplaneConfig, BackplaneCounts, BackplaneMessage, BackplaneNode,
    BackplanePublication, BackplaneState, EngineCounts, GapNotice, InvalidNodeConnection,
    KeptMessages, NodeConnection, NodeId, NotDelivered,
};
pub use base_path::{BasePath, InvalidBasePath};
pub use close_counts::ClosedBy;
pub use cluster::{Cluster, ClusterEntry, ClusterEvent, NotHeld};
pub use config::{Accept, Config, OnFailure, RoomLimits};
pub use connection_handle::ConnectionHandle;
pub use connection_id::ConnectionId;
pub use context::Context;
pub use failure::Failure;
pub use handler::{Admission, Closed, Handler};
pub use histogram::Histogram;
pub use history::{
    Erasure, Gap, HistoryLimits, InvalidPosition, Position, Replay, Replayed, RoomHistory,
};
pub use lag::{LagAction, LagPolicy, Missed};
pub use listen::{InvalidListenAddress, ListenAddress, ListenAddresses, UnixListen};
pub use listeners::{CannotListen, ListeningSocket};
pub use metrics::{Metrics, RoomLag};
pub use not_accepted::NotAccepted;
pub use not_published::{NotPublished, Published};
pub use not_sent::NotSent;
pub use observers::{ConnectionObserver, Observers};
pub use publisher::{Publication, Publisher};
pub use rates::{Rate, RateAction, RateLimits};
pub use receipt::Receipt;
pub use records::Records;
pub use refusal_reason::RefusalReason;
pub use request::Request;
pub use rooms::NotJoined;
pub use shutdown::Drained;
pub use timers::TooManyTimers;
pub use totals::ConnectionTotals;
pub use upgrade::Upgrade;
pub use with_fallback::{Mount, WithFallback, WithFallbackSession};

use crate::reactor::{ConnectionLimit, Reactor, ReactorConfig};
use backplane::link::Link;
use cluster::{ClusterSink, is_reserved};
use descriptors::SocketLimits;
use engine_input::EngineInput;
use environment::Environment;
use fan_out::{FanOut, GapOf, NodeRooms};
use listeners::Listening;
use live_config::LiveConfig;
use memory::{HeldBytes, MemoryBudget};
use metrics::MetricsSnapshot;
use panics::catch;
use publisher::{SharesFn, SharesOf};
use rooms::{HistoryRules, LagPolicyOf, RoomCensus, RoomTable, SharedRooms};
use shutdown::{Drain, Outlook, Shutdown, Stopping};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use worker::Worker;
use workers::{CrossWorkerMessage, OutboundQueues, Workers};

/// A server that is bound to its addresses and not running yet.
pub struct Server<H: Handler> {
    addresses: ListenAddresses,
    workers: Vec<(Reactor<CrossWorkerMessage>, Worker<H>)>,
    handle: ServerHandle,
    connections_max: usize,
}

impl<H: Handler> Server<H> {
    /// Binds the addresses and prepares the workers. Clients that connect from
    /// now on wait until [`Server::run`].
    ///
    /// # Errors
    /// An address is in use or is not an address of this host ([`CannotListen`] names it), or the system is out of descriptors.
    /// [`Unsupported`](io::ErrorKind::Unsupported): the configuration has [`Accept::PerWorker`],
    /// which this system cannot do.
    pub fn bind(config: Config, handler: H) -> io::Result<Server<H>> {
        Server::bind_with(config, handler, Vec::new())
    }

    /// As [`Server::bind`], with sockets that listen already. An address of [`Config::listen`] on which one of them listens is not
    /// bound; port 0 is any port on which one of them listens. Sockets of other addresses are closed.
    ///
    /// Another server that has copies of the same sockets goes on accepting until it stops. So a server can take over from
    /// another one, in the same process or in another one, and no connection is refused:
    ///
    /// ```
    /// # use yamabiko::server::{Admission, Config, Context, Handler, Message, Refusal, Server, Upgrade};
    /// # use std::time::Duration;
    /// # struct Silent;
    /// # impl Handler for Silent {
    /// #     type Session = ();
    /// #     fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
    /// #         Ok(Admission::new(()))
    /// #     }
    /// #     fn message(&self, _: &mut (), _: Message<'_>, _: &mut Context<'_>) {}
    /// # }
    /// let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    /// let old = Server::bind(config.clone(), Silent)?;
    /// let new = Server::bind_with(config, Silent, old.listening_sockets()?)?;
    /// assert_eq!(new.local_address(), old.local_address());
    /// old.handle().drain_for_successor(Duration::from_secs(30));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Server::bind`].
    pub fn bind_with(
        config: Config,
        handler: H,
        sockets: Vec<ListeningSocket>,
    ) -> io::Result<Server<H>> {
        let listening = Listening::bind(&config, sockets)?;
        Server::build(config, handler, listening)
    }

    /// A server that listens on no address, whatever [`Config::listen`] says. It serves the streams that the program hands in, until it is
    /// told to stop:
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use std::thread;
    /// # use yamabiko::client::Client;
    /// # use yamabiko::server::{Admission, Config, Context, Handler, Message, Refusal, Server, Upgrade};
    /// # struct Echo;
    /// # impl Handler for Echo {
    /// #     type Session = ();
    /// #     fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
    /// #         Ok(Admission::new(()))
    /// #     }
    /// #     fn message(&self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
    /// #         _ = context.send(message);
    /// #     }
    /// # }
    ///
    /// let server = Server::without_listeners(Config::default(), Echo)?;
    /// let handle = server.handle();
    /// let running = thread::spawn(move || server.run());
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?; // it can be anything that accepts
    /// let address = listener.local_addr()?;
    /// let client = thread::spawn(move || {
    ///     let mut client = Client::connect(&format!("ws://{address}/"))?;
    ///     client.send("hello")?;
    ///     client.read()
    /// });
    /// let (stream, _) = listener.accept()?;
    /// handle.accept(stream)?;
    /// assert_eq!(client.join().unwrap()?, Some("hello".into()));
    ///
    /// handle.shutdown();
    /// running.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The system is out of descriptors.
    pub fn without_listeners(config: Config, handler: H) -> io::Result<Server<H>> {
        let listen = ListenAddresses::default();
        let config = Config { listen, ..config };
        let listening = Listening::nowhere(&config);
        Server::build(config, handler, listening)
    }

    fn build(mut config: Config, handler: H, listening: Listening) -> io::Result<Server<H>> {
        let Listening {
            of_workers,
            addresses,
            accept,
            ..
        } = listening;
        config.accept = accept;
        let socket_limits = SocketLimits::new(config.connections_max, config.workers.get());
        let connection_limit = ConnectionLimit::new(socket_limits.connections_max)
            .per_address(config.connections_per_address)
            .except(not_of_proxies(&config.proxies))
            .per_second(config.connections_per_second);
        let mut reactors = Vec::new();
        for listeners in of_workers {
            reactors.push(Reactor::new(ReactorConfig {
                listeners,
                // A worker that gets no message would never stop.
                mailbox_capacity: config.mailbox_capacity.max(1),
                connection_limit: Some(connection_limit.clone()),
                unsent_bytes_max: config.unsent_bytes_max.map(NonZeroU32::get),
                acknowledgement_timeout: config.write_stall_timeout,
                ..ReactorConfig::default()
            })?);
        }
        let handler = Arc::new(handler);
        let link = config.backplane.is_some().then(|| Arc::new(Link::new()));
        let mailboxes = reactors.iter().map(Reactor::mailbox);
        let workers = Workers::new(mailboxes, config.worker_backlog_bytes_max, link.clone());
        let cluster = cluster_of(&config, link.as_ref(), &workers, &handler);
        let handle = ServerHandle {
            stopping: Arc::new(Stopping::new(reactors.len())),
            unready: Arc::new(AtomicBool::new(false)),
            snapshots: reactors.iter().map(|_| Arc::default()).collect(),
            held: HeldBytes::new(reactors.len()),
            workers,
            shares: shares_of(&config, &handler),
            link,
            cluster,
            next_to_serve: Arc::default(),
            census: RoomCensus::new(config.rooms, config.count_subscribers),
            deflate: config.deflate,
            config: Arc::new(LiveConfig::new(config)),
        };
        handle.start_engine();
        handler.bound(handle.publisher());
        let refusals_max = socket_limits.refusals_max;
        let workers = build_workers(reactors, refusals_max, &handler, &handle);
        Ok(Server {
            connections_max: socket_limits.connections_max,
            addresses,
            workers,
            handle,
        })
    }

    /// The first IP address that the server listens on, with the port that the system chose for port 0. For a server
    /// that listens on no IP address: 0.0.0.0 with port 0, which is no address to connect to.
    pub fn local_address(&self) -> SocketAddr {
        let unspecified = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        self.addresses.first_ip().unwrap_or(unspecified)
    }

    /// All addresses that the server listens on, with the ports that the system chose for port 0; those that speak TLS are
    /// [`ListenAddress::Https`].
    pub fn local_addresses(&self) -> &ListenAddresses {
        &self.addresses
    }

    /// The connections that can be open at a time: [`Config::connections_max`], or fewer if the process has too few
    /// descriptors for them ([`Config::descriptors`]).
    pub fn connections_max(&self) -> usize {
        self.connections_max
    }

    /// The files of Unix sockets that have listened already ([`Server::bind_with`]) belong to this server from now on: it removes
    /// them when it stops. For a successor, when the server before it has left them. A service manager keeps its own.
    #[cfg(unix)]
    pub fn own_files(&mut self) {
        for (reactor, _) in &mut self.workers {
            reactor.own_files();
        }
    }

    /// A copy of each socket that the server listens on, for a successor. While a copy is open, the system takes connections
    /// for it, also when the server has stopped: close the copies if no successor accepts them.
    ///
    /// # Errors
    /// The system has no more descriptors.
    #[cfg(unix)]
    pub fn listening_sockets(&self) -> io::Result<Vec<ListeningSocket>> {
        let mut sockets = Vec::new();
        for (reactor, _) in &self.workers {
            for listener in reactor.copies_of_listeners()? {
                sockets.push(ListeningSocket::new(listener)?);
            }
        }
        Ok(sockets)
    }

    /// A handle that other threads use to stop the server and to read its metrics.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Stops the server, as [`ServerHandle::shutdown`] does, when something is
    /// written to the other end of `waker`, or that end is closed. For signals: a signal handler
    /// may write to a socket, so no thread has to wait for signals. So the process can have
    /// one thread, which makes its system calls a little faster.
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
        let handle = self.handle();
        self.on_wake(waker, move || handle.shutdown())
    }

    /// Calls a function when something is written to the other end of `waker`, or that end is closed: on the thread of the
    /// first worker, so it must not block. For signals that do not all mean the same: see [`Server::shutdown_by`]. Replaces a
    /// function and a waker that were set before.
    ///
    /// # Errors
    /// The system cannot watch it.
    #[cfg(unix)]
    pub fn on_wake(
        &mut self,
        waker: std::os::unix::net::UnixStream,
        woken: impl FnMut() + Send + 'static,
    ) -> io::Result<()> {
        let Some((reactor, worker)) = self.workers.first_mut() else {
            return Ok(());
        };
        worker.set_on_wake(Box::new(woken));
        reactor.set_waker(waker)
    }

    /// A handle that publishes from any thread.
    pub fn publisher(&self) -> Publisher {
        self.handle.publisher()
    }

    /// Serves until [`ServerHandle::shutdown`]: the first worker on this thread, each other one
    /// on a thread of its own. If one of them ends, all end.
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
        let ended = run_workers(workers, handle.clone());
        handle.stop_engine();
        ended
    }
}

/// The first worker runs on this thread, each other one on a thread of its own. If one of them ends, all end.
fn run_workers<H: Handler>(
    workers: Vec<(Reactor<CrossWorkerMessage>, Worker<H>)>,
    handle: ServerHandle,
) -> io::Result<()> {
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

/// Stops a running server and reads its metrics, from any thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    stopping: Arc<Stopping>,
    /// [`ServerHandle::set_ready`] has been called with `false`.
    unready: Arc<AtomicBool>,
    workers: Workers,
    snapshots: Arc<[Arc<MetricsSnapshot>]>,
    held: HeldBytes,
    /// The worker that serves the next connection of [`ServerHandle::accept`].
    next_to_serve: Arc<AtomicUsize>,
    census: RoomCensus,
    shares: SharesOf,
    /// `None`: there is no backplane.
    link: Option<Arc<Link>>,
    /// `None`: no other server shares the backplane.
    cluster: Option<ClusterSink>,
    deflate: Option<DeflateConfig>,
    config: Arc<LiveConfig>,
}

impl ServerHandle {
    /// A handle that publishes from any thread.
    pub fn publisher(&self) -> Publisher {
        let (workers, census) = (self.workers.clone(), self.census.clone());
        let (shares, cluster) = (self.shares.clone(), self.cluster.clone());
        Publisher::new(workers, self.deflate, census, shares, cluster)
    }

    /// Whether the engine of [`Config::backplane`] can be reached. `None`: there is no backplane.
    pub fn backplane_state(&self) -> Option<BackplaneState> {
        let backplane = self.config.current().backplane.clone();
        backplane.map(|backplane| backplane.engine.state())
    }

    /// What the server has exchanged with the engine of [`Config::backplane`]. `None`: there is no backplane. Cost: a few loads.
    pub fn backplane_counts(&self) -> Option<BackplaneCounts> {
        let engine = self.config.current().backplane.clone()?.engine;
        Some(BackplaneCounts {
            engine: engine.counts(),
            nodes: self.cluster.as_ref().map_or(0, ClusterSink::nodes),
            ..self.link.as_ref()?.counts()
        })
    }

    /// The engine gets this node.
    fn start_engine(&self) {
        let backplane = self.config.current().backplane.clone();
        if let (Some(backplane), Some(link)) = (backplane, &self.link) {
            let (workers, engine) = (self.workers.clone(), &backplane.engine);
            let cluster = self.cluster.as_ref();
            let input = EngineInput::new(link.clone(), workers, cluster, engine);
            engine.start(BackplaneNode::new(Arc::new(input)));
        }
    }

    /// All workers have ended.
    fn stop_engine(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.stop();
        }
        if let Some(backplane) = &self.config.current().backplane {
            backplane.engine.stop();
        }
    }

    /// Hands a connected stream to the server: of a listener of the program's own, or of a process that has passed it on. The
    /// server serves it as one that it has accepted: the workers get such streams in turn, and the limits hold for them. Its
    /// client speaks HTTP first, and not TLS. This call does not wait.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::net::{TcpListener, TcpStream};
    /// # use yamabiko::server::{Admission, Config, Context, Handler, Message, Refusal, Server, Upgrade};
    /// # struct Silent;
    /// # impl Handler for Silent {
    /// #     type Session = ();
    /// #     fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
    /// #         Ok(Admission::new(()))
    /// #     }
    /// #     fn message(&self, _: &mut (), _: Message<'_>, _: &mut Context<'_>) {}
    /// # }
    /// # let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    ///
    /// let server = Server::bind(config, Silent)?;
    /// let handle = server.handle();
    /// let running = std::thread::spawn(move || server.run());
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let mut client = TcpStream::connect(listener.local_addr()?)?;
    /// let (stream, _) = listener.accept()?;
    /// handle.accept(stream)?;
    ///
    /// client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    /// let mut response = String::new();
    /// client.read_to_string(&mut response)?;
    /// assert!(response.starts_with("HTTP/1.1 404 Not Found"));
    /// handle.shutdown();
    /// running.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`NotAccepted`]: the stream is not connected, the server is behind or stops. The last two give the connection back.
    pub fn accept<S>(&self, stream: S) -> Result<(), NotAccepted>
    where
        S: TryInto<AcceptedConnection, Error: Into<NotAccepted>>,
    {
        let connection = stream.try_into().map_err(Into::into)?;
        if !self.stopping.sends_connection() {
            return Err(NotAccepted::Stopping(connection));
        }
        let next = self.next_to_serve.fetch_add(1, Ordering::Relaxed);
        let served = self.workers.serve(next % self.workers.count(), connection);
        served.map_err(|connection| {
            if self.stopping.keeps_connection() {
                self.workers.wake_all();
            }
            NotAccepted::Behind(connection)
        })
    }

    /// Stops the server gracefully: no new connections, a Close with 1001 to
    /// every client, and a wait for their answers of at most
    /// [`Config::drain_timeout`]. Then [`Server::run`] returns. This call does not wait.
    /// Calling it again has no effect. During [`ServerHandle::drain`] it closes the remaining connections now.
    pub fn shutdown(&self) {
        self.stopping.request_at_once();
        self.workers.wake_all();
    }

    /// Whether a load balancer should send new clients: the server does not stop, nobody has set it to not ready, and the engine of
    /// [`Config::backplane`] can be reached, if there is one. An application answers a path such as `/ready` with this.
    pub fn is_ready(&self) -> bool {
        let stops = self.unready.load(Ordering::Acquire) || self.stopping.is_requested();
        !stops && self.backplane_state().is_none_or(|state| state.is_ready)
    }

    /// Sets whether the server is ready for new clients. It serves all clients as before: this only changes what
    /// [`ServerHandle::is_ready`] returns, so that load balancers send new clients elsewhere before the server stops.
    ///
    /// ```
    /// # use yamabiko::server::ServerHandle;
    /// fn leave(server: &ServerHandle) {
    ///     server.set_ready(false);
    ///     assert!(!server.is_ready());
    ///     // Later, when the load balancers have noticed:
    ///     server.shutdown();
    /// }
    /// # let _ = leave;
    /// ```
    pub fn set_ready(&self, ready: bool) {
        self.unready.store(!ready, Ordering::Release);
    }

    /// Stops the server gracefully, over a time: no new connections from now on, and a Close with 1001 to each client at a
    /// random time, so that the rate of Closes is even and not all clients come back at once. The last responses of
    /// HTTP connections say `Connection: close`. When the time is over, the server waits for the clients' answers as
    /// [`ServerHandle::shutdown`] does. This call does not wait. The first call counts.
    ///
    /// ```
    /// use std::time::Duration;
    /// use yamabiko::server::ServerHandle;
    ///
    /// fn stop(handle: &ServerHandle) {
    ///     handle.drain(Duration::from_secs(30));
    /// }
    /// ```
    pub fn drain(&self, over: Duration) {
        let outlook = Outlook::Stops;
        self.stopping.request(Drain { over, outlook });
        self.workers.wake_all();
    }

    /// As [`ServerHandle::drain`], when another process serves the same addresses already: each Close has the code 1012
    /// (Service Restart), and a connection that this server has accepted gets its first response.
    pub fn drain_for_successor(&self, over: Duration) {
        let outlook = Outlook::Restarts;
        self.stopping.request(Drain { over, outlook });
        self.workers.wake_all();
    }

    /// The settings that are in effect: to change some of them and [replace](ServerHandle::replace_config) all.
    pub fn config(&self) -> Config {
        Config::clone(&self.config.current())
    }

    /// Replaces the settings of the running server. This call does not wait: each worker takes them at the end of its turn, in a time
    /// that grows with its connections. Returns
    /// the names of the settings that differ from those of the running server and cannot change, which keep their values.
    ///
    /// | settings | hold for |
    /// |---|---|
    /// | times of open connections (pings, messages, closing), rates, limits of write queues, the memory budget, [`Config::drain_timeout`], [`Config::batch_delay`] | all connections, at once |
    /// | limits of messages and of HTTP, [`Config::handshake_timeout`], [`Config::connection_lifetime_max`] | new connections |
    /// | [`Config::origins`], [`Config::hosts`], [`Config::base_path`], `tokens` | further requests. The grant of an open connection stays |
    /// | [`Config::lag_policy`] | rooms that get their first subscription from now on |
    /// | certificates (`tls`; see also `tls::ServerTls::replace`) | new connections |
    /// | [`Config::listen`], [`Config::workers`], [`Config::accept`], [`Config::worker_backlog_bytes_max`], [`Config::unsent_bytes_max`], [`Config::connections_max`], [`Config::connections_per_address`], [`Config::connections_per_second`], [`Config::connection_totals`], [`Config::count_subscribers`], [`Config::rooms`], [`Config::write_stall_timeout`], [`Config::mailbox_capacity`], [`Config::deflate`], [`Config::proxies`], and whether there is TLS | nothing: they cannot change |
    ///
    /// ```
    /// use yamabiko::server::{Config, ServerHandle};
    ///
    /// /// Returns the settings that need a restart.
    /// fn reload(server: &ServerHandle, config: Config) -> Vec<&'static str> {
    ///     server.replace_config(config)
    /// }
    /// ```
    pub fn replace_config(&self, config: Config) -> Vec<&'static str> {
        let kept = self.config.replace(config);
        self.workers.wake_all();
        kept
    }

    /// Ends every connection now, without closing handshakes. Then [`Server::run`] returns. This call does not wait.
    pub fn cut(&self) {
        self.stopping.request_cut();
        self.workers.wake_all();
    }

    /// How connections have ended since the server was told to stop. Read it when [`Server::run`] has returned.
    pub fn drained(&self) -> Drained {
        self.stopping.drained()
    }

    /// What the server has done so far, without the workers' current turns.
    /// Cost: a few loads for each worker.
    pub fn metrics(&self) -> Metrics {
        MetricsSnapshot::sum(&self.snapshots)
    }

    /// The bytes that count for [`Config::memory_bytes_max`], as the workers have published them at the end of their last
    /// turns. Cost: a load for each worker.
    pub fn held_bytes(&self) -> usize {
        self.held.total()
    }

    /// One entry for each worker and each room in which a subscription on this worker is behind. Cost: a lock and
    /// a copy for each worker.
    pub fn lags(&self) -> Vec<RoomLag> {
        MetricsSnapshot::lags(&self.snapshots)
    }
}

/// Ends the other workers when one has ended, in whatever way, also when its
/// thread could not be started: a part of the workers cannot serve alone.
struct StopAll(ServerHandle);

impl Drop for StopAll {
    fn drop(&mut self) {
        self.0.stopping.worker_ended();
        self.0.shutdown();
    }
}

/// The addresses that have no limit of their own: all clients of a proxy have its address.
fn not_of_proxies(proxies: &Proxies) -> impl Fn(IpAddr) -> bool + Send + Sync + 'static {
    let proxies = proxies.clone();
    move |address| proxies.contain(address)
}

/// Builds the worker of each event loop.
fn build_workers<H: Handler>(
    reactors: Vec<Reactor<CrossWorkerMessage>>,
    refusals_max: usize,
    handler: &Arc<H>,
    handle: &ServerHandle,
) -> Vec<(Reactor<CrossWorkerMessage>, Worker<H>)> {
    let config = handle.config.current();
    let (live, asked) = (handle.config.clone(), handler.clone());
    let lag_policy_of: LagPolicyOf = Arc::new(move |room| {
        let of_room = asked.lag_policy(room);
        of_room.unwrap_or_else(|| live.current().lag_policy)
    });
    let asked = handler.clone();
    let gap_of: Arc<GapOf> = Arc::new(move |room, position| {
        catch(|| asked.gap(room, position)).unwrap_or(GapNotice::Disconnect)
    });
    let history = history_rules(&config, handler);
    let shared_rooms = SharedRooms::new(handle.census.clone(), history);
    let worker = |(index, reactor): (usize, _)| {
        let snapshot = handle.snapshots.get(index).cloned().unwrap_or_default();
        let rooms = RoomTable::new(
            lag_policy_of.clone(),
            shared_rooms.clone(),
            snapshot.clone(),
            config.deflate,
        );
        let outbound = OutboundQueues::new(index, handle.workers.clone());
        let node_rooms = || {
            let (backplane, link) = (config.backplane.clone()?, handle.link.clone()?);
            let unused_max = config.history.unwrap_or_default().rooms_max;
            Some(NodeRooms::new(backplane, unused_max, link, gap_of.clone()))
        };
        let environment = Environment::new(
            handler.clone(),
            handle.config.clone(),
            FanOut::new(index, rooms, outbound).with_backplane(node_rooms()),
            Shutdown::new(handle.stopping.clone()),
            MemoryBudget::new(config.memory_bytes_max, handle.held.clone(), index),
            snapshot,
        );
        (reactor, Worker::new(environment, refusals_max))
    };
    reactors.into_iter().enumerate().map(worker).collect()
}

/// What the rooms ask the application about their histories. A panic of it is no answer.
fn history_rules<H: Handler>(config: &Config, handler: &Arc<H>) -> Option<HistoryRules> {
    let backplane = config.backplane.as_ref();
    if config.history.is_none() && backplane.is_none() {
        return None;
    }
    let (asked, numbers, erases) = (handler.clone(), handler.clone(), handler.clone());
    let keeps = config.history.is_some();
    let limits = config.history.unwrap_or_default();
    Some(HistoryRules {
        limits,
        epoch: RandomState::new().hash_one(limits.rooms_max),
        of_room: Box::new(move |room| {
            let asked = catch(|| asked.history(room)).ok().flatten();
            asked.filter(|_| keeps)
        }),
        numbered: Box::new(move |room, position, message| {
            catch(|| numbers.numbered(room, position, message))
                .ok()
                .flatten()
        }),
        erases: Box::new(move |room, message| {
            catch(|| erases.erases(room, message)).ok().flatten()
        }),
        shares: backplane.map(|backplane| shares_fn(backplane, handler) as Box<_>),
    })
}

/// Which rooms are of the backplane.
fn shares_of<H: Handler>(config: &Config, handler: &Arc<H>) -> SharesOf {
    match &config.backplane {
        Some(backplane) => SharesOf::new(Arc::from(shares_fn(backplane, handler))),
        None => SharesOf::default(),
    }
}

/// The other nodes, if there may be any.
fn cluster_of<H: Handler>(
    config: &Config,
    link: Option<&Arc<Link>>,
    workers: &Workers,
    handler: &Arc<H>,
) -> Option<ClusterSink> {
    let backplane = config.backplane.clone()?;
    if !backplane.engine.is_shared() {
        return None;
    }
    // The handler may have the cluster.
    let (handler, workers) = (Arc::downgrade(handler), workers.clone());
    let on_event = move |event: &ClusterEvent| {
        if let Some(handler) = handler.upgrade() {
            // A panic of the application ends nothing else.
            let _ = catch(|| handler.cluster_event(event));
        }
        workers.wait_until_taken(TAKEN_MILLISECONDS_MAX);
    };
    Some(ClusterSink::new(
        backplane,
        link?.clone(),
        Box::new(on_event),
    ))
}

/// How long the engine waits for workers that are behind with what an application has published for an event of the cluster. After that
/// they hang.
const TAKEN_MILLISECONDS_MAX: u32 = 5000;

/// A panic of the application is no answer: then the room is of the backplane, as by default.
fn shares_fn<H: Handler>(backplane: &BackplaneConfig, handler: &Arc<H>) -> Box<SharesFn> {
    let (is_shared, handler) = (backplane.engine.is_shared(), handler.clone());
    let has_history = |handler: &H, room: &str| handler.history(room).is_some();
    Box::new(move |room| {
        if is_reserved(room) {
            return false;
        }
        let shares = || handler.shares(room) && (is_shared || has_history(&handler, room));
        catch(shares).unwrap_or(true)
    })
}
