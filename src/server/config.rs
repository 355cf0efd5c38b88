//! Every setting of the server, with unit, default and reason.

use super::backplane::BackplaneConfig;
use super::base_path::BasePath;
use super::descriptors::SocketLimits;
use super::failure::Failure;
use super::history::HistoryLimits;
use super::lag::LagPolicy;
use super::listen::ListenAddresses;
use super::observers::Observers;
use super::rates::RateLimits;
use crate::http::{HeadLimits, Hosts, HttpLimits, Origins};
use crate::proxy::Proxies;
use crate::reactor::PeerAddress;
#[cfg(feature = "tls")]
use crate::tls::ServerTls;
#[cfg(feature = "tokens")]
use crate::tokens::Tokens;
use crate::websocket::Limits;
use crate::websocket::deadlines::Timeouts;
use crate::websocket::deflate::DeflateConfig;
use std::fmt;
use std::net::Ipv4Addr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

/// The server's settings. Start from `Config::default()`.
///
/// ```
/// use std::time::Duration;
/// use yamabiko::server::Config;
///
/// let config = Config { ping_interval: Some(Duration::from_secs(55)), ..Config::default() };
/// assert_eq!(config.close_timeout, Duration::from_secs(5));
/// ```
///
/// # Compression
/// With [`Config::deflate`] set, messages of at least `threshold_bytes` are sent
/// compressed to clients that offer it, if that makes them shorter. A room's message is compressed
/// once, whatever the number of subscribers and workers, and once more for subscribers with
/// smaller windows if it has more than 512 bytes; one of more than 16 KiB in steps, among other work.
/// A message to one client is compressed in one go. The settings mean to a server:
///
/// | setting | effect | memory |
/// |---|---|---|
/// | `server_no_context_takeover` | always on: a frame for many subscribers cannot refer to the earlier messages of one of them | none for a connection; 273 KiB for a worker that compresses |
/// | `client_no_context_takeover` | clients do not refer to earlier messages either | none for an idle connection; without this setting up to 32 KiB for each that has sent a compressed message |
/// | `server_max_window_bits` | subscribers with smaller windows share a second frame, for windows of 512 bytes; those with 256 bytes get rooms' messages uncompressed | up to 208 KiB more for a worker with such subscribers |
/// | `client_max_window_bits` | limits how far back clients refer | 2^bits bytes instead of 32 KiB, without `client_no_context_takeover` |
/// | `level` | smaller results, for more time | none |
/// | `threshold_bytes` | shorter messages are not compressed | none |
///
/// [`Config::limits`] also hold for compressed messages from clients, while they are inflated: one
/// byte too many ends the connection with 1009, however short the message was on the wire.
///
/// ```
/// use yamabiko::server::{Config, DeflateConfig};
///
/// let config = Config { deflate: Some(DeflateConfig::default()), ..Config::default() };
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// The addresses to listen on, at least one and at most 512. Default `127.0.0.1:8080`; port 0: the system chooses one.
    /// `"127.0.0.1:8080".parse()`, `([127, 0, 0, 1], 8080).into()` and [`UnixListen::into`](super::UnixListen) make one;
    /// several are collected.
    pub listen: ListenAddresses,
    /// Event loops, one thread each. Default: one for each core.
    pub workers: NonZeroUsize,
    /// How connections are given to the workers. Default: [`Accept::PerWorker`] on Linux,
    /// [`Accept::Shared`] elsewhere. Nothing else depends on it.
    pub accept: Accept,
    /// Limits of one connection's messages. Default: messages of up to 1 MiB, and
    /// [`Limits::SERVER_INFLATE_RATIO_MAX`].
    pub limits: Limits,
    /// Limits of a request's head. Default: 16 KiB in all.
    pub head_limits: HeadLimits,
    /// Limits of plain HTTP: bodies, requests on a connection, and times. Default: bodies of up to 1 MiB.
    pub http: HttpLimits,
    /// The time from the TCP connection to the end of the first request's head; and from the first byte
    /// of each further head to its end. Default 10 s,
    /// in all and not for each byte, so that a client cannot keep a connection open by sending slowly.
    pub handshake_timeout: Duration,
    /// The time of silence after which a ping is sent. Default 25 s: below the 30 and 60 s
    /// after which proxies and NATs drop idle connections. `None`: no pings.
    pub ping_interval: Option<Duration>,
    /// The time in which a sign of life must follow a ping: any byte from the client. Default 20 s.
    ///
    /// - The time begins when the ping has been sent.
    /// - While a slow client has not taken the bytes before the ping, the connection ends when
    ///   none of them is acknowledged for this long. (On systems other than Linux: when the
    ///   kernel takes none of the waiting bytes.)
    /// - The time stands still while the client is not read because a worker is behind.
    pub pong_timeout: Duration,
    /// The time for one message of a client, from its first byte to its last. It begins again
    /// with each part of the message that comes at [`Config::message_bytes_per_second_min`] or
    /// faster. Default 30 s, so that the memory of a message is not held for a client that
    /// sends a byte now and then. It stands still while the client is not read because a worker
    /// is behind. While the client waits for its rate ([`Config::rates`]) it goes on, and is longer by the
    /// time that the bytes of the message take at that rate. `None`: a message may take any time, for applications whose clients send the
    /// fragments of a message over minutes.
    pub message_timeout: Option<Duration>,
    /// The least rate of an unfinished message, in bytes per second; fragments count, pings
    /// between them do not. Default 1,024, so 30 KiB in each 30 s: a fourth of what the slowest
    /// mobile links bring. 0: each message must be whole within [`Config::message_timeout`].
    pub message_bytes_per_second_min: u32,
    /// The time for the answer to our Close; and at the end, the time in which the client takes
    /// the remaining bytes, and sends FIN after ours. Default 5 s.
    pub close_timeout: Duration,
    /// The time in which all connections end after [`ServerHandle::shutdown`](super::ServerHandle).
    /// Default 5 s.
    pub drain_timeout: Duration,
    /// Maximum bytes in the write queue of one client. Default 1 MiB. With 64 KiB in the queue
    /// the client is not read. So only a handler that sends much for one message, or sends
    /// outside [`Handler::message`](super::Handler::message), reaches this limit.
    pub backlog_bytes_max: usize,
    /// The memory budget of the process for what clients make it hold: unfinished messages,
    /// write queues, windows of compression, the logs that slow subscribers hold, the histories of rooms, and messages that the
    /// backplane has not answered. From seven
    /// eighths of it on, new connections get 503, and messages that have stood still for a second
    /// make room for the next ones. Beyond it, histories are dropped, and then the longest unfinished messages and
    /// the slowest readers end with 1013, until a sixteenth is free; all other connections go on.
    /// Default 1 GiB: a thousand messages of the longest kind. `None`: no budget.
    pub memory_bytes_max: Option<usize>,
    /// The bytes of cross-worker messages that may be in flight to one worker. Above
    /// it no worker reads a client until that worker has taken them, and
    /// [`Publisher::publish`](super::Publisher::publish) and
    /// [`publish_all`](super::Publisher::publish_all) fail, except that a publication is taken while
    /// there are three times as much with it, and one of up to a sixteenth of this while there are
    /// four times as much: so a large one refuses neither another one nor the small ones behind it.
    /// Default 1 MiB.
    pub worker_backlog_bytes_max: usize,
    /// How far a subscriber may be behind in a room, and what happens beyond that.
    /// Default: 1 MiB and 30 s, then its connection is closed with 1013.
    pub lag_policy: LagPolicy,
    /// How much each client may send per second. Default: no limit. A client beyond it is not
    /// read for a while, or its connection is closed.
    pub rates: RateLimits,
    /// How many bytes of one connection the kernel keeps that it has not sent (Linux only:
    /// `TCP_NOTSENT_LOWAT`). Default `None`: what fits into the socket's send buffer, up to some MiB.
    ///
    /// These bytes are behind what [`Config::lag_policy`] counts. With a limit, a client that does
    /// not read is found out sooner and costs the kernel less memory, and
    /// [`LagAction::Latest`](super::LagAction) sends newer messages. A limit that is much shorter
    /// than a batch costs more system calls: 128 KiB cost a tenth more CPU with batches of 40 KiB,
    /// and 512 KiB cost 3 % (four rounds on a busy machine).
    pub unsent_bytes_max: Option<NonZeroU32>,
    /// How long published messages wait before they are written, so that
    /// more of them go out in one write. Default 0: they are written when the worker
    /// has read all that has come. In whole milliseconds; each message is up to this
    /// much later. Useful for rooms with many messages per second from many
    /// clients, and never needed: under load, turns get longer by themselves.
    pub batch_delay: Duration,
    /// Open connections, all workers together. Default 65,536. Further ones get a 503 with
    /// `Retry-After`, up to 256 at a time on each worker; any more are closed. If the process has
    /// fewer descriptors, fewer connections are open, so that some are left for these responses.
    pub connections_max: usize,
    /// Open connections of one IPv4 address, or of one /64 of IPv6 addresses, all workers
    /// together. Further ones get the same 503. Connections of [`Config::proxies`] count for the client that the proxy names,
    /// once it is known, and Unix sockets not at all. Default `None`: no limit, because all clients
    /// behind a proxy, or behind the address translation of a company or a mobile network,
    /// have one address. With a limit, loopback addresses have it, too.
    pub connections_per_address: Option<NonZeroUsize>,
    /// New connections per second, all workers together; as many at once after a pause of a
    /// second. Further ones get the same 503. Default `None`: no limit, because after a restart
    /// all clients come back at once.
    pub connections_per_second: Option<NonZeroU32>,
    /// Whether what each connection receives and sends is counted: [`Closed::totals`](super::Closed), and the lines of the log that
    /// report ends of connections. Costs 40 bytes for each connection and 16 for each subscription; a delivery costs nothing. Default `false`.
    pub connection_totals: bool,
    /// Whether the subscribers of each room are counted over all workers, for [`Publisher::subscribers`](super::Publisher) and
    /// [`Context::subscribers`](super::Context). Each join and leave then takes a lock that all workers share. They are counted
    /// anyway if [`RoomLimits::rooms_max`] or [`RoomLimits::members_max`] is set. Default: no.
    pub count_subscribers: bool,
    /// How many rooms there may be, with how many members. Default: no limit, and 4,096 rooms of one connection.
    pub rooms: RoomLimits,
    /// How much the rooms may keep of their messages, all rooms together. [`Handler::history`](super::Handler::history) tells which
    /// rooms do, and how much each. Default `None`: no room keeps messages.
    pub history: Option<HistoryLimits>,
    /// The engine that puts the messages of rooms in order and keeps them, outside this process: for messages that survive it, or for
    /// rooms that several servers share. [`Handler::shares`](super::Handler::shares) tells which rooms. Default `None`: each room is of this
    /// server alone, and in memory.
    pub backplane: Option<BackplaneConfig>,
    /// How long a connection may stay open, from its opening handshake on. Then the client gets a Close with 1001, whether it is
    /// active or not, and may connect again: to this server or to another one behind the same address. Default `None`: no limit.
    pub connection_lifetime_max: Option<Duration>,
    /// A connection ends if bytes for it wait in the kernel and the client acknowledges none of them for this long, because it
    /// is gone, or because it does not read (Linux only: `TCP_USER_TIMEOUT`; not for Unix sockets). This holds without pings,
    /// too. Default 60 s; [`Config::pong_timeout`] ends such a connection earlier if pings are sent. `None`: no limit.
    pub write_stall_timeout: Option<Duration>,
    /// The messages from other workers that one worker keeps until its next
    /// turn. Default 65,536; more wait on the sending worker. At least 1.
    pub mailbox_capacity: usize,
    /// Compression (permessage-deflate, RFC 7692) for clients that offer it. Default
    /// `None`: none. The table above has the cost of each setting.
    pub deflate: Option<DeflateConfig>,
    /// The origins whose pages may connect. Default: pages of the same host.
    pub origins: Origins,
    /// The names of this server. Any request for another name gets 421. Default `None`: loopback
    /// names ([`Hosts::Loopback`]) if all IP addresses that the server listens on are loopback addresses, otherwise every name.
    /// A Unix socket answers for every name then, because no browser connects to it.
    pub hosts: Option<Hosts>,
    /// The path below which the server serves, such as `/talk`, for a proxy that passes the path of a request on unchanged. The
    /// application sees the rest of the path. Requests elsewhere get 404. Default: the root.
    pub base_path: BasePath,
    /// The proxies in front of the server, whose word about a client's address and host counts. Default: none, so that
    /// `X-Forwarded-For` and its like have no effect.
    pub proxies: Proxies,
    /// The keys and rules of the tokens by which clients show what they may do. A WebSocket without a valid token is refused
    /// with 401, unless tokens are [optional](Tokens::optional); its connection is closed with 3000 when its
    /// token expires. [`Upgrade::grant`](super::Upgrade::grant) has what the token grants: the handler decides about rooms. For
    /// plain HTTP the handler asks [`Request::grant`](super::Request::grant). Default `None`: no tokens.
    #[cfg(feature = "tokens")]
    pub tokens: Option<Tokens>,
    /// The certificates for TLS. With them each [`ListenAddress::Ip`](super::ListenAddress) speaks TLS: `https` and
    /// `wss` instead of `http` and `ws`. [`ListenAddress::Http`](super::ListenAddress) and Unix sockets stay plain. The TLS handshake
    /// is a part of the opening handshake: [`Config::handshake_timeout`] is for both. Default `None`: no TLS.
    #[cfg(feature = "tls")]
    pub tls: Option<ServerTls>,
    /// Observers of the bytes of connections, for a program that shows them. A connection without an observer costs nothing
    /// more. Default `None`.
    pub observers: Option<Observers>,
    /// Called for each connection that failed, and for each panic in a handler. Default `None`.
    pub on_failure: Option<OnFailure>,
}

/// A function that is called for each connection that failed, and for each panic
/// in a handler: see [`Config::on_failure`]. Cheap to clone.
///
/// It is called on the worker's thread, so it must not block. A panic in it is counted
/// and otherwise ignored.
///
/// ```
/// use std::sync::mpsc;
/// use yamabiko::server::{Config, OnFailure};
///
/// let (sender, failures) = mpsc::channel();
/// let config = Config {
///     on_failure: Some(OnFailure::new(move |address, failure| {
///         let _ = sender.send(format!("{address}: {failure}"));
///     })),
///     ..Config::default()
/// };
/// # drop((config, failures));
/// ```
#[derive(Clone)]
pub struct OnFailure(Arc<Report>);

type Report = dyn Fn(PeerAddress, &Failure) + Send + Sync;

impl OnFailure {
    /// Calls this function with the client's address and the failure.
    pub fn new(function: impl Fn(PeerAddress, &Failure) + Send + Sync + 'static) -> OnFailure {
        OnFailure(Arc::new(function))
    }

    pub(super) fn call(&self, peer_address: PeerAddress, failure: &Failure) {
        (self.0)(peer_address, failure);
    }
}

impl fmt::Debug for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnFailure")
    }
}

impl Config {
    /// The names of this server for a connection of a Unix socket or of an IP address.
    pub(super) fn hosts_for(&self, is_unix: bool) -> &Hosts {
        match &self.hosts {
            Some(hosts) => hosts,
            None if is_unix => &Hosts::Any,
            None if self.listen.are_local() => &Hosts::Loopback,
            None => &Hosts::Any,
        }
    }

    /// The descriptors that the process needs for as many connections as [`Config::connections_max`], besides those that are
    /// open before the server starts. With fewer the server has fewer connections: [`Server::connections_max`](super::Server).
    ///
    /// ```
    /// use yamabiko::server::Config;
    ///
    /// let config = Config { connections_max: 100_000, ..Config::default() };
    /// assert!(config.descriptors() > 100_000);
    /// ```
    pub fn descriptors(&self) -> usize {
        SocketLimits::descriptors(self.connections_max, self.workers.get())
    }

    /// The part of the settings that the protocol core applies.
    pub(super) fn timeouts(&self) -> Timeouts {
        Timeouts {
            ping: self.ping_interval,
            pong: self.pong_timeout,
            close: self.close_timeout,
            message: self.message_timeout,
            message_bytes_per_second_min: self.message_bytes_per_second_min,
            closing_bytes_max: CLOSING_BYTES_MAX,
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            accept: Accept::default(),
            limits: Limits {
                inflate_ratio_max: Limits::SERVER_INFLATE_RATIO_MAX,
                ..Limits::default()
            },
            head_limits: HeadLimits::default(),
            http: HttpLimits::default(),
            handshake_timeout: Duration::from_secs(10),
            ping_interval: Some(Duration::from_secs(25)),
            pong_timeout: Duration::from_secs(20),
            message_timeout: Some(Duration::from_secs(30)),
            message_bytes_per_second_min: 1 << 10,
            close_timeout: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(5),
            backlog_bytes_max: 1 << 20,
            memory_bytes_max: Some(1 << 30),
            worker_backlog_bytes_max: 1 << 20,
            lag_policy: LagPolicy::default(),
            rates: RateLimits::default(),
            unsent_bytes_max: None,
            batch_delay: Duration::ZERO,
            connections_max: 1 << 16,
            connections_per_address: None,
            connections_per_second: None,
            connection_totals: false,
            count_subscribers: false,
            rooms: RoomLimits::default(),
            history: None,
            backplane: None,
            connection_lifetime_max: None,
            write_stall_timeout: Some(Duration::from_secs(60)),
            mailbox_capacity: 1 << 16,
            deflate: None,
            origins: Origins::default(),
            base_path: BasePath::default(),
            hosts: None,
            proxies: Proxies::default(),
            #[cfg(feature = "tokens")]
            tokens: None,
            #[cfg(feature = "tls")]
            tls: None,
            observers: None,
            on_failure: None,
        }
    }
}

/// How many rooms there may be, with how many members. Beyond a limit [`Context::try_join`](super::Context::try_join) fails, and
/// [`Context::join`](super::Context::join) closes the connection.
///
/// ```
/// use std::num::NonZeroUsize;
/// use yamabiko::server::{Config, RoomLimits};
///
/// let rooms = RoomLimits { members_max: NonZeroUsize::new(100), ..RoomLimits::default() };
/// let config = Config { rooms, ..Config::default() };
/// # drop(config);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomLimits {
    /// Rooms with a member, all workers together. Default `None`: no limit, because only the application knows its rooms.
    pub rooms_max: Option<NonZeroUsize>,
    /// Members of one room, all workers together. Default `None`: no limit.
    pub members_max: Option<NonZeroUsize>,
    /// Rooms of one connection. Default 4,096: each costs about 40 bytes, and 300 if nobody else is in it.
    pub of_connection_max: usize,
}

impl Default for RoomLimits {
    fn default() -> RoomLimits {
        RoomLimits {
            rooms_max: None,
            members_max: None,
            of_connection_max: 4096,
        }
    }
}

/// How connections are given to the workers, if there are several.
///
/// ```
/// use yamabiko::server::{Accept, Config};
///
/// // On any system: connections are spread evenly, also when there are few.
/// let config = Config { accept: Accept::Shared, ..Config::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Accept {
    /// Each worker has a listener of its own on the address (`SO_REUSEPORT`), and the kernel
    /// gives each connection to one of them, by a hash of its addresses. Accepting is as
    /// parallel as serving. If there are few connections, one worker may get most of them. Linux spreads them.
    /// macOS and other systems of the BSD family have the option but may give all connections
    /// to one worker. Where there is no such option (Windows, Solaris, illumos),
    /// [`Server::bind`](super::Server::bind) fails with
    /// [`Unsupported`](std::io::ErrorKind::Unsupported).
    PerWorker,
    /// The first worker has the only listener, and gives the connections to the workers in turn:
    /// their numbers of connections differ by one at most. Costs a cross-worker message for each
    /// connection. If the mailbox of a worker is full, the first
    /// worker serves that connection itself.
    Shared,
}

impl Default for Accept {
    fn default() -> Accept {
        match cfg!(any(target_os = "linux", target_os = "android")) {
            true => Accept::PerWorker,
            false => Accept::Shared,
        }
    }
}

/// Bytes that a client may send while its connection is closing: after our Close until its own (`connection.rs`), and again
/// after the last bytes for it were queued (`ending.rs`). Fewer can be on their way in the buffers of two sockets, so only a
/// client that goes on sending gets a RST.
pub(super) const CLOSING_BYTES_MAX: u32 = 64 << 20;
