//! Every setting of the server, with unit, default and reason.

use super::failure::Failure;
use super::lag::LagPolicy;
use super::origins::Origins;
use crate::websocket::Limits;
use crate::websocket::deflate::DeflateConfig;
use crate::websocket::handshake::HeadLimits;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
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
/// With [`Config::deflate`] set, messages of at least `threshold_bytes` go
/// compressed to clients that offer it, if they shrink: once for all members of a
/// room, whatever the number of members and workers. What the settings mean to a
/// server:
///
/// | setting | effect | memory |
/// |---|---|---|
/// | `server_no_context_takeover` | always on: a frame that many share cannot refer to what one of them got before | none for a connection; 273 KiB for a worker that compresses |
/// | `client_no_context_takeover` | clients do the same | none for an idle connection; off: up to 32 KiB for each that has sent a compressed message |
/// | `server_max_window_bits` | members who can take only less share a second frame, for windows of 512 octets; those of 256 get rooms' messages as they are | up to 208 KiB more for a worker with such members |
/// | `client_max_window_bits` | bounds what clients refer back to | 2^bits octets instead of 32 KiB, with the above off |
/// | `level` | smaller results, for more time | none |
/// | `threshold_bytes` | shorter messages are not tried | none |
///
/// What comes compressed is held to [`Config::limits`] while it is inflated: one
/// byte too many ends the connection with 1009, however small it was on the wire.
///
/// ```
/// use yamabiko::server::{Config, DeflateConfig};
///
/// let config = Config { deflate: Some(DeflateConfig::default()), ..Config::default() };
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Default `127.0.0.1:8080`; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Event loops, one thread each. Default: the cores.
    pub workers: NonZeroUsize,
    /// How connections come to the workers. Default: [`Accept::PerWorker`] on Linux,
    /// [`Accept::Shared`] elsewhere. Nothing else depends on it.
    pub accept: Accept,
    /// Bounds of one connection's messages. Default: messages of up to 1 MiB.
    pub limits: Limits,
    /// Bounds of a request's head. Default: 16 KiB in all.
    pub head_limits: HeadLimits,
    /// From the TCP connection to the end of the request's head. Default 10 s,
    /// in all and not for each byte, so that a trickle does not hold a place.
    pub handshake_timeout: Duration,
    /// Silence after which a ping is sent. Default 25 s: below the 30 and 60 s
    /// after which proxies and NATs drop what is idle. `None`: no pings.
    pub ping_interval: Option<Duration>,
    /// After a ping, for a sign of life: any byte that comes. Default 20 s. The time begins
    /// when the ping has been sent. While bytes are before it that a slow client has not
    /// taken yet, the connection ends when none of them is acknowledged for this long (on
    /// Linux; elsewhere when the kernel takes none of what waits). The time stands still
    /// while the client is not read because other workers are busy.
    pub pong_timeout: Duration,
    /// For the answer to our Close; and at the end, for the client to take
    /// what is left and to say FIN after ours. Default 5 s.
    pub close_timeout: Duration,
    /// For all connections to end after [`ServerHandle::shutdown`](super::ServerHandle).
    /// Default 5 s.
    pub drain_timeout: Duration,
    /// Bytes sent to one client alone that may wait for it. Default 1 MiB. From 64 KiB
    /// on the client is not read, so only what is sent because of one message, or
    /// outside [`Handler::message`](super::Handler::message), can come to it.
    pub backlog_bytes_max: usize,
    /// Bytes of cross-worker messages that may be on the way to one worker. Beyond
    /// it the other workers read no client until they have been taken, and
    /// [`Publisher::publish`](super::Publisher::publish) fails. Default 1 MiB.
    pub worker_backlog_bytes_max: usize,
    /// How far a subscriber may be behind in a room, and what happens beyond that.
    /// Default: 1 MiB and 30 s, then its connection is closed with 1013.
    pub lag_policy: LagPolicy,
    /// How long published messages wait before they are written, so that
    /// more of them go out in one write. Default 0: until the worker has read
    /// all that has come. In whole milliseconds; each message is up to this much
    /// later. Worth it for rooms with many messages per second from many
    /// clients, and never needed: under load, turns get longer by themselves.
    pub batch_delay: Duration,
    /// Open connections, all workers together. Default 65,536. Further ones get a 503 with
    /// `Retry-After`, up to 256 at a time on each worker; beyond that they are closed.
    pub connections_max: usize,
    /// Messages from the other workers that one worker keeps until its next
    /// turn. Default 65,536; more wait where they come from. At least 1.
    pub mailbox_capacity: usize,
    /// Compression (permessage-deflate, RFC 7692) for clients that offer it. Default
    /// `None`: none. What each setting costs stands in the table above.
    pub deflate: Option<DeflateConfig>,
    /// Whose pages may connect. Default: pages of the same host.
    pub origins: Origins,
    /// Called for each connection that was ended before its time, and for each panic in
    /// a handler. Default `None`.
    pub on_failure: Option<OnFailure>,
}

/// What is called for each connection that was ended before its time, and for each panic
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

type Report = dyn Fn(SocketAddr, &Failure) + Send + Sync;

impl OnFailure {
    /// Calls this function with the client's address and the failure.
    pub fn new(function: impl Fn(SocketAddr, &Failure) + Send + Sync + 'static) -> OnFailure {
        OnFailure(Arc::new(function))
    }

    pub(super) fn call(&self, peer_address: SocketAddr, failure: &Failure) {
        (self.0)(peer_address, failure);
    }
}

impl fmt::Debug for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnFailure")
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            accept: Accept::default(),
            limits: Limits::default(),
            head_limits: HeadLimits::default(),
            handshake_timeout: Duration::from_secs(10),
            ping_interval: Some(Duration::from_secs(25)),
            pong_timeout: Duration::from_secs(20),
            close_timeout: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(5),
            backlog_bytes_max: 1 << 20,
            worker_backlog_bytes_max: 1 << 20,
            lag_policy: LagPolicy::default(),
            batch_delay: Duration::ZERO,
            connections_max: 1 << 16,
            mailbox_capacity: 1 << 16,
            deflate: None,
            origins: Origins::default(),
            on_failure: None,
        }
    }
}

/// How connections come to the workers, if there are several.
///
/// ```
/// use yamabiko::server::{Accept, Config};
///
/// // Anywhere: connections are spread evenly, also when there are few.
/// let config = Config { accept: Accept::Shared, ..Config::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Each worker has a listener of its own on the address (`SO_REUSEPORT`), and the kernel
    /// gives each connection to one of them, by a hash of its addresses. Accepting is as
    /// parallel as serving; of few connections, one worker may get most. Linux spreads them.
    /// macOS and other systems of the BSD family have the option but may give all connections
    /// to one worker. Where there is no such option (Windows, Solaris, illumos),
    /// [`Server::bind`](super::Server::bind) fails with
    /// [`Unsupported`](std::io::ErrorKind::Unsupported).
    PerWorker,
    /// The first worker has the only listener, and the workers serve in turn: each gets as
    /// many connections as any other, but for one. Costs a cross-worker message for each
    /// connection. One whose turn it is and whose mailbox is full is passed over: the first
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
