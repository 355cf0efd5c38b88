//! The settings of `serve` and `echo`: options and environment variables fill them, and they
//! are applied to the server's own defaults. [`ServerSettings`] are the settings of both. A
//! setting without effect on `echo`, which has no rooms, is in [`ServeSettings`] alone.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use yamabiko::server::{
    Config, DeflateConfig, ForwardedFields, Hosts, LagAction, Limits, ListenAddress,
    ListenAddresses, Origins, Proxies, RateAction, UnixListen, WindowBits,
};

use super::access::{ACCESS, AccessSettings};
use super::values::{
    AllowedHost, AllowedOrigin, Budget, Interval, Mode, NamedProxy, Optional, Owner, address,
    budget, bytes, bytes_per_second, count, host, interval, is_set, level, mode, optional, origin,
    owner, per_second, proxy, rate, ratio, seconds, unsent_bytes, window_bits, workers,
};

/// The settings of `serve`.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct ServeSettings {
    #[command(flatten)]
    pub server: ServerSettings,
    #[command(flatten)]
    pub rooms: RoomSettings,
    #[command(flatten)]
    pub access: AccessSettings,
    /// File with settings, in TOML: keys are the names of the options
    #[arg(long = "config", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Check all settings and end
    #[arg(long, value_parser = is_set)]
    pub check: bool,
}

/// The settings of `echo`.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct EchoSettings {
    #[command(flatten)]
    pub server: ServerSettings,
    /// Bytes that may wait in the write queue of one client
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = LIMITS)]
    pub backlog_bytes_max: Option<usize>,
}

/// The settings of every server. A setting that is `None` has the default of the server that
/// it is applied to.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct ServerSettings {
    /// Address to listen on; ':8080' is all IPv4 addresses; may be repeated
    ///
    /// IP:PORT, localhost:PORT, :PORT (all IPv4 addresses), [::]:PORT (all addresses) or
    /// unix:PATH. Port 0 takes any free port. Several are separated by commas.
    #[arg(long, value_name = "ADDRESS", value_parser = address, value_delimiter = ',')]
    pub listen: Vec<ListenAddress>,
    /// Mode of the files of Unix sockets: a client needs the permission to write
    #[arg(long, value_name = "MODE", value_parser = optional(mode))]
    pub unix_mode: Option<Optional<Mode>>,
    /// Owner of the files of Unix sockets: USER, USER:GROUP or :GROUP
    #[arg(long, value_name = "OWNER", value_parser = optional(owner))]
    pub unix_owner: Option<Optional<Owner>>,
    /// Threads, each with its own event loop
    #[arg(long, value_name = "N", value_parser = workers)]
    pub workers: Option<NonZeroUsize>,

    /// Maximum open connections; further ones get 503
    #[arg(long, value_name = "N", value_parser = count, help_heading = LIMITS)]
    pub connections_max: Option<NonZeroUsize>,
    /// Open connections of one address, or of one /64 of IPv6; further ones get 503
    #[arg(long, value_name = "N", value_parser = optional(count), help_heading = LIMITS)]
    pub connections_per_address: Option<Optional<NonZeroUsize>>,
    /// New connections per second; further ones get 503
    #[arg(long, value_name = "N", value_parser = optional(per_second), help_heading = LIMITS)]
    pub connections_per_second: Option<Optional<NonZeroU32>>,
    /// Longest message; a longer one closes its connection with 1009
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = LIMITS)]
    pub message_bytes_max: Option<usize>,
    /// Memory for what clients make the server hold; beyond it the largest end with 1013; 0: no budget
    #[arg(long, value_name = "BYTES", value_parser = budget, help_heading = LIMITS)]
    pub memory_bytes_max: Option<Budget>,
    /// Bytes that each byte of a compressed message may become; 1032: no limit
    #[arg(long, value_name = "N", value_parser = ratio, help_heading = LIMITS)]
    pub inflate_ratio_max: Option<u32>,

    /// Bytes that the kernel keeps unsent for one client (Linux)
    ///
    /// Beyond that they wait in the server, where the limits for slow clients count them.
    /// Without this option the kernel keeps up to some MiB.
    #[arg(long, value_name = "BYTES", value_parser = optional(unsent_bytes), help_heading = LIMITS)]
    pub unsent_bytes_max: Option<Optional<NonZeroU32>>,

    /// Longest body of an HTTP request; a longer one gets 413
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = HTTP)]
    pub http_body_bytes_max: Option<usize>,
    /// Bytes of an HTTP body for the sizes of its chunks; more get 413
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = HTTP)]
    pub http_chunk_framing_bytes_max: Option<usize>,
    /// Seconds for the body of an HTTP request
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = HTTP)]
    pub http_body_timeout: Option<Duration>,
    /// Seconds until the next HTTP request of a connection begins
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = HTTP)]
    pub http_idle_timeout: Option<Duration>,
    /// HTTP requests on one connection
    #[arg(long, value_name = "N", value_parser = count, help_heading = HTTP)]
    pub http_requests_max: Option<NonZeroUsize>,
    /// HTTP requests that are answered before the client takes the responses
    #[arg(long, value_name = "N", value_parser = count, help_heading = HTTP)]
    pub http_pipelined_requests_max: Option<NonZeroUsize>,

    /// Seconds for the whole opening handshake
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = TIMES)]
    pub handshake_timeout: Option<Duration>,
    /// Seconds of silence before a ping; 0: no pings
    #[arg(long, value_name = "SECONDS", value_parser = interval, help_heading = TIMES)]
    pub ping_interval: Option<Interval>,
    /// Seconds to wait for an answer to a ping
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = TIMES)]
    pub pong_timeout: Option<Duration>,
    /// Seconds for one message, and again for each part at the least rate; 0: any time
    #[arg(long, value_name = "SECONDS", value_parser = interval, help_heading = TIMES)]
    pub message_timeout: Option<Interval>,
    /// Bytes per second at which an unfinished message must come; 0: no rate extends its time
    #[arg(long, value_name = "BYTES", value_parser = rate, help_heading = TIMES)]
    pub message_rate_min: Option<u32>,
    /// Seconds for the closing handshake of a connection
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = TIMES)]
    pub close_timeout: Option<Duration>,
    /// Seconds for the end of all connections at shutdown
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = TIMES)]
    pub drain_timeout: Option<Duration>,

    /// Messages that one client may send per second
    #[arg(long, value_name = "N", value_parser = optional(per_second), help_heading = RATES)]
    pub messages_per_second: Option<Optional<NonZeroU32>>,
    /// Bytes that one client may send per second
    #[arg(long, value_name = "BYTES", value_parser = optional(bytes_per_second), help_heading = RATES)]
    pub bytes_per_second: Option<Optional<NonZeroU32>>,
    /// Bytes per second of one client's compressed messages, after they are inflated
    #[arg(long, value_name = "BYTES", value_parser = optional(bytes_per_second), help_heading = RATES)]
    pub inflated_bytes_per_second: Option<Optional<NonZeroU32>>,
    /// Pings and pongs that one client may send per second
    #[arg(long, value_name = "N", value_parser = optional(per_second), help_heading = RATES)]
    pub control_frames_per_second: Option<Optional<NonZeroU32>>,
    /// Seconds' worth of its rate that a client may send at once
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = RATES)]
    pub rate_burst: Option<Duration>,
    /// Action for a client that exceeds a rate
    #[arg(long, value_name = "ACTION", value_parser = rate_actions(), help_heading = RATES)]
    pub rate_action: Option<RateAction>,

    /// Compress nothing
    ///
    /// Without it the server compresses messages for clients that offer permessage-deflate
    /// (RFC 7692).
    #[arg(long, value_name = "BOOL", value_parser = is_set, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = COMPRESSION)]
    pub no_compress: Option<bool>,
    /// Level of compression, from 1 (fastest) to 9 (smallest result)
    #[arg(long, value_name = "LEVEL", value_parser = level, help_heading = COMPRESSION)]
    pub compress_level: Option<u8>,
    /// Shortest message that is compressed
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = COMPRESSION)]
    pub compress_threshold: Option<usize>,
    /// Let clients refer back to their earlier messages: a window of 2^BITS bytes, 8 to 15
    ///
    /// Clients then send less, and each connection costs 2^BITS bytes of memory (32 KiB for
    /// a client that cannot limit its window).
    #[arg(long, value_name = "BITS", value_parser = optional(window_bits), help_heading = COMPRESSION)]
    pub compress_takeover: Option<Optional<WindowBits>>,

    /// Let pages of this origin connect, too; may be repeated
    ///
    /// An origin is written https://example.org; 'https://*.example.org' is all its
    /// subdomains, and '*' is every page. Several are separated by commas. Clients that are
    /// not browsers send no origin and may always connect.
    #[arg(long = "allow-origin", value_name = "ORIGIN", value_parser = origin, value_delimiter = ',', help_heading = ACCESS)]
    pub allow_origins: Vec<AllowedOrigin>,
    /// Answer requests for this host, too; may be repeated
    ///
    /// A host is a name or an address, without a port; '*.example.org' is all names below
    /// example.org, and '*' is every host. Several are separated by commas. Loopback names
    /// are always answered. A request for any other host gets 421.
    #[arg(long = "allow-host", value_name = "HOST", value_parser = host, value_delimiter = ',', help_heading = ACCESS)]
    pub allow_hosts: Vec<AllowedHost>,
    /// Believe this proxy about its clients; may be repeated
    ///
    /// An address or a network such as 10.0.0.0/8; 'unix' is what connects to a Unix socket.
    /// Several are separated by commas. The address that a proxy names then counts for
    /// --connections-per-address, and the proxy itself does not.
    #[arg(long = "proxy", value_name = "NETWORK", value_parser = proxy, value_delimiter = ',', help_heading = ACCESS)]
    pub proxies: Vec<NamedProxy>,
    /// Fields in which the proxies name their clients
    #[arg(long, value_name = "FIELDS", value_parser = proxy_fields(), help_heading = ACCESS)]
    pub proxy_fields: Option<ForwardedFields>,
    /// The proxies begin each connection with a header of the PROXY protocol
    #[arg(long, value_name = "BOOL", value_parser = is_set, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = ACCESS)]
    pub proxy_protocol: Option<bool>,
}

/// The settings of rooms.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct RoomSettings {
    /// Bytes in flight to one worker; above it no worker reads from its clients
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = LIMITS)]
    pub worker_backlog_bytes_max: Option<usize>,
    /// Seconds to collect messages before they are written together; 0: none
    #[arg(long, value_name = "SECONDS", value_parser = interval, help_heading = TIMES)]
    pub batch_delay: Option<Interval>,

    /// Rooms that one client may join per second
    #[arg(long, value_name = "N", value_parser = optional(per_second), help_heading = RATES)]
    pub joins_per_second: Option<Optional<NonZeroU32>>,

    /// Limit for the waiting messages of a room, and again for the client's own write queue
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = LAG)]
    pub backlog_bytes_max: Option<usize>,
    /// Messages of a room that may wait for one client
    #[arg(long, value_name = "N", value_parser = optional(count), help_heading = LAG)]
    pub lag_messages_max: Option<Optional<NonZeroUsize>>,
    /// Seconds that a message may wait for one client; 0: no limit
    #[arg(long, value_name = "SECONDS", value_parser = interval, help_heading = LAG)]
    pub lag_age_max: Option<Interval>,
    /// Action for a client that is too slow for a room
    #[arg(long, value_name = "ACTION", value_parser = actions(), help_heading = LAG)]
    pub lag_action: Option<LagAction>,
}

const LIMITS: &str = "Limits";
const HTTP: &str = "HTTP";
const RATES: &str = "Rates of each client";
const LAG: &str = "Slow clients";
const TIMES: &str = "Times";
const COMPRESSION: &str = "Compression";

impl ServeSettings {
    /// The configuration of `serve`.
    pub(crate) fn config(self) -> Config {
        self.rooms.apply_to(self.server.apply_to(Config::default()))
    }
}

impl EchoSettings {
    /// The configuration of `echo`. On a loopback address pages of every origin may connect if no origin is named, also
    /// those of a file (`Origin: null`): a test page can be anywhere, and this server sends a page only what the page has
    /// sent.
    pub(crate) fn config(self) -> Config {
        let names_origins = !self.server.allow_origins.is_empty();
        let mut config = self.server.apply_to(echo_defaults());
        set(&mut config.backlog_bytes_max, self.backlog_bytes_max);
        if !names_origins && config.listen.are_local() {
            config.origins = Origins::Any;
        }
        config
    }
}

impl RoomSettings {
    /// The configuration with these settings over its own.
    fn apply_to(self, mut config: Config) -> Config {
        let RoomSettings {
            worker_backlog_bytes_max,
            batch_delay,
            joins_per_second,
            backlog_bytes_max,
            lag_messages_max,
            lag_age_max,
            lag_action,
        } = self;
        set(
            &mut config.worker_backlog_bytes_max,
            worker_backlog_bytes_max,
        );
        set(&mut config.batch_delay, batch_delay.map(Interval::or_zero));
        set(&mut config.backlog_bytes_max, backlog_bytes_max);
        set_optional(&mut config.rates.joins, joins_per_second);
        let lag = &mut config.lag_policy;
        set(
            &mut lag.bytes_max,
            backlog_bytes_max.map(|bytes| bytes as u64),
        );
        set(
            &mut lag.messages_max,
            lag_messages_max.map(|max| max.0.map(|count| count.get() as u64)),
        );
        set(&mut lag.age_max, lag_age_max.map(|interval| interval.0));
        set(&mut lag.action, lag_action);
        config
    }
}

impl ServerSettings {
    /// The configuration with these settings over its own.
    fn apply_to(self, mut config: Config) -> Config {
        let deflate = self.deflate();
        set(&mut config.listen, self.listen_addresses());
        let ServerSettings {
            listen: _,
            unix_mode: _,
            unix_owner: _,
            workers,
            connections_max,
            connections_per_address,
            connections_per_second,
            message_bytes_max,
            memory_bytes_max,
            inflate_ratio_max,
            unsent_bytes_max,
            http_body_bytes_max,
            http_chunk_framing_bytes_max,
            http_body_timeout,
            http_idle_timeout,
            http_requests_max,
            http_pipelined_requests_max,
            handshake_timeout,
            ping_interval,
            pong_timeout,
            message_timeout,
            message_rate_min,
            close_timeout,
            drain_timeout,
            messages_per_second,
            bytes_per_second,
            inflated_bytes_per_second,
            control_frames_per_second,
            rate_burst,
            rate_action,
            no_compress: _,
            compress_level: _,
            compress_threshold: _,
            compress_takeover: _,
            allow_origins,
            allow_hosts,
            proxies,
            proxy_fields,
            proxy_protocol,
        } = self;
        config.deflate = deflate;
        set(&mut config.workers, workers);
        set(
            &mut config.connections_max,
            connections_max.map(NonZeroUsize::get),
        );
        set_optional(&mut config.connections_per_address, connections_per_address);
        set_optional(&mut config.connections_per_second, connections_per_second);
        set(&mut config.limits.message_bytes_max, message_bytes_max);
        set(
            &mut config.memory_bytes_max,
            memory_bytes_max.map(|budget| budget.0),
        );
        set(&mut config.limits.inflate_ratio_max, inflate_ratio_max);
        set_optional(&mut config.unsent_bytes_max, unsent_bytes_max);
        let http = &mut config.http;
        set(&mut http.body_bytes_max, http_body_bytes_max);
        set(
            &mut http.chunk_framing_bytes_max,
            http_chunk_framing_bytes_max,
        );
        set(&mut http.body_timeout, http_body_timeout);
        set(&mut http.idle_timeout, http_idle_timeout);
        set(
            &mut http.requests_max,
            http_requests_max.map(NonZeroUsize::get),
        );
        set(
            &mut http.pipelined_requests_max,
            http_pipelined_requests_max.map(NonZeroUsize::get),
        );
        set(&mut config.handshake_timeout, handshake_timeout);
        set(
            &mut config.ping_interval,
            ping_interval.map(|interval| interval.0),
        );
        set(&mut config.pong_timeout, pong_timeout);
        set(
            &mut config.message_timeout,
            message_timeout.map(|interval| interval.0),
        );
        set(&mut config.message_bytes_per_second_min, message_rate_min);
        set(&mut config.close_timeout, close_timeout);
        set(&mut config.drain_timeout, drain_timeout);
        set(&mut config.origins, origins(allow_origins));
        set(&mut config.hosts, hosts(allow_hosts).map(Some));
        config.proxies = named_proxies(&proxies)
            .fields(proxy_fields.unwrap_or_default())
            .proxy_protocol(proxy_protocol.unwrap_or(false));
        let rates = &mut config.rates;
        set_optional(&mut rates.messages, messages_per_second);
        set_optional(&mut rates.bytes, bytes_per_second);
        set_optional(&mut rates.inflated_bytes, inflated_bytes_per_second);
        set_optional(&mut rates.control_frames, control_frames_per_second);
        set(&mut rates.burst, rate_burst);
        set(&mut rates.action, rate_action);
        config
    }

    /// `None`: no address is given.
    fn listen_addresses(&self) -> Option<ListenAddresses> {
        let mode = self.unix_mode.and_then(|mode| mode.0);
        let owner = self.unix_owner.and_then(|owner| owner.0);
        let given = self.listen.iter().cloned().map(|address| match address {
            ListenAddress::Unix(socket) => ListenAddress::Unix(UnixListen {
                mode: mode.map(|mode| mode.0),
                owner: owner.and_then(|owner| owner.user),
                group: owner.and_then(|owner| owner.group),
                ..socket
            }),
            address => address,
        });
        Some(given.collect()).filter(|_| !self.listen.is_empty())
    }

    /// Compression: on by default.
    fn deflate(&self) -> Option<DeflateConfig> {
        Some(self.compression()).filter(|_| self.no_compress != Some(true))
    }

    /// How the server compresses, if it does.
    pub(super) fn compression(&self) -> DeflateConfig {
        let takeover = self.compress_takeover.and_then(|takeover| takeover.0);
        let mut deflate = DeflateConfig::default();
        set(&mut deflate.level, self.compress_level);
        set(&mut deflate.threshold_bytes, self.compress_threshold);
        set(&mut deflate.client_max_window_bits, takeover);
        deflate.client_no_context_takeover = takeover.is_none();
        deflate
    }
}

/// The defaults of `echo`. Messages of up to 16 MiB: the Autobahn suite sends them. Compressed
/// messages of any ratio: a test may send one byte a million times. No memory budget: a load test decides what it sends.
pub(super) fn echo_defaults() -> Config {
    Config {
        listen: ([127, 0, 0, 1], 9001).into(),
        limits: Limits {
            message_bytes_max: 16 << 20,
            inflate_ratio_max: INFLATE_RATIO_UNLIMITED,
            ..Limits::default()
        },
        backlog_bytes_max: 64 << 20,
        memory_bytes_max: None,
        ..Config::default()
    }
}

/// The actions of rates by name.
fn rate_actions() -> impl TypedValueParser<Value = RateAction> {
    let named = |name, help| PossibleValue::new(name).help(help);
    PossibleValuesParser::new([
        named("wait", "read nothing of it until it is within the rate"),
        named("close", "close its connection with 1008"),
    ])
    .map(|name| match name.as_str() {
        "close" => RateAction::Close,
        _ => RateAction::Wait,
    })
}

/// The policies by name.
fn actions() -> impl TypedValueParser<Value = LagAction> {
    let named = |name, help| PossibleValue::new(name).help(help);
    PossibleValuesParser::new([
        named(
            "disconnect",
            "beyond one of these limits, close its connection with 1013",
        ),
        named(
            "skip",
            "beyond one of these limits, skip all waiting messages, and report their number",
        ),
        named(
            "latest",
            "as soon as it is behind, keep only the newest message (the limits do not apply)",
        ),
    ])
    .map(|name| match name.as_str() {
        "skip" => LagAction::Skip,
        "latest" => LagAction::Latest,
        _ => LagAction::Disconnect,
    })
}

/// DEFLATE reaches no more.
const INFLATE_RATIO_UNLIMITED: u32 = 1032;

fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *setting = value;
    }
}

/// `Optional(None)`: the setting is switched off.
fn set_optional<T>(setting: &mut Option<T>, given: Option<Optional<T>>) {
    set(setting, given.map(|given| given.0));
}

/// `None`: no origin is given.
fn origins(allowed: Vec<AllowedOrigin>) -> Option<Origins> {
    if allowed.is_empty() {
        return None;
    }
    let pattern = |allowed| match allowed {
        AllowedOrigin::Any => None,
        AllowedOrigin::Pattern(pattern) => Some(pattern),
    };
    let patterns: Option<Vec<_>> = allowed.into_iter().map(pattern).collect();
    Some(patterns.map_or(Origins::Any, Origins::SameHostAnd))
}

fn named_proxies(named: &[NamedProxy]) -> Proxies {
    let networks = named.iter().filter_map(|proxy| match proxy {
        NamedProxy::Network(network) => Some(*network),
        NamedProxy::Unix => None,
    });
    Proxies::new(networks).unix(named.contains(&NamedProxy::Unix))
}

/// The fields of proxies by name.
fn proxy_fields() -> impl TypedValueParser<Value = ForwardedFields> {
    let named = |fields, help| PossibleValue::new(fields_name(fields)).help(help);
    PossibleValuesParser::new([
        named(
            ForwardedFields::XForwarded,
            "X-Forwarded-For and X-Forwarded-Host",
        ),
        named(ForwardedFields::Forwarded, "Forwarded (RFC 7239)"),
        named(
            ForwardedFields::None,
            "no field: the proxy works below HTTP",
        ),
    ])
    .map(|name| match name.as_str() {
        "forwarded" => ForwardedFields::Forwarded,
        "none" => ForwardedFields::None,
        _ => ForwardedFields::XForwarded,
    })
}

pub(super) fn fields_name(fields: ForwardedFields) -> &'static str {
    match fields {
        ForwardedFields::Forwarded => "forwarded",
        ForwardedFields::None => "none",
        _ => "x-forwarded",
    }
}

/// `None`: no host is given.
fn hosts(allowed: Vec<AllowedHost>) -> Option<Hosts> {
    if allowed.is_empty() {
        return None;
    }
    let pattern = |allowed| match allowed {
        AllowedHost::Any => None,
        AllowedHost::Pattern(pattern) => Some(pattern),
    };
    let patterns: Option<Vec<_>> = allowed.into_iter().map(pattern).collect();
    Some(patterns.map_or(Hosts::Any, Hosts::LoopbackAnd))
}

#[cfg(test)]
mod tests;
