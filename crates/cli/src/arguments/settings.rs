//! The settings of `serve` and `echo`: options and environment variables fill them, and they
//! are applied to the server's own defaults. [`ServerSettings`] are the settings of both. A
//! setting without effect on `echo`, which has no rooms, is in [`ServeSettings`] alone.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use yamabiko::server::{
    Config, DeflateConfig, Hosts, LagAction, Limits, ListenAddress, ListenAddresses, Origins,
    RateAction, UnixListen, WindowBits,
};

use super::access::{ACCESS, AccessSettings, NONE};
use super::values::{
    AllowedHost, AllowedOrigin, Budget, Interval, Mode, Owner, address, budget, bytes,
    bytes_per_second, bytes_text, count, host, interval, is_set, level, mode, origin, owner,
    per_second, rate, ratio, seconds, seconds_text, unsent_bytes, window_bits,
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
    #[arg(long, value_name = "MODE", value_parser = mode)]
    pub unix_mode: Option<Mode>,
    /// Owner of the files of Unix sockets: USER, USER:GROUP or :GROUP
    #[arg(long, value_name = "OWNER", value_parser = owner)]
    pub unix_owner: Option<Owner>,
    /// Threads, each with its own event loop
    #[arg(long, value_name = "N", value_parser = count)]
    pub workers: Option<NonZeroUsize>,

    /// Maximum open connections; further ones get 503
    #[arg(long, value_name = "N", value_parser = count, help_heading = LIMITS)]
    pub connections_max: Option<NonZeroUsize>,
    /// Open connections of one address, or of one /64 of IPv6; further ones get 503
    #[arg(long, value_name = "N", value_parser = count, help_heading = LIMITS)]
    pub connections_per_address: Option<NonZeroUsize>,
    /// New connections per second; further ones get 503
    #[arg(long, value_name = "N", value_parser = per_second, help_heading = LIMITS)]
    pub connections_per_second: Option<NonZeroU32>,
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
    #[arg(long, value_name = "BYTES", value_parser = unsent_bytes, help_heading = LIMITS)]
    pub unsent_bytes_max: Option<NonZeroU32>,

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
    #[arg(long, value_name = "N", value_parser = per_second, help_heading = RATES)]
    pub messages_per_second: Option<NonZeroU32>,
    /// Bytes that one client may send per second
    #[arg(long, value_name = "BYTES", value_parser = bytes_per_second, help_heading = RATES)]
    pub bytes_per_second: Option<NonZeroU32>,
    /// Bytes per second of one client's compressed messages, after they are inflated
    #[arg(long, value_name = "BYTES", value_parser = bytes_per_second, help_heading = RATES)]
    pub inflated_bytes_per_second: Option<NonZeroU32>,
    /// Pings and pongs that one client may send per second
    #[arg(long, value_name = "N", value_parser = per_second, help_heading = RATES)]
    pub control_frames_per_second: Option<NonZeroU32>,
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
    #[arg(long, value_parser = is_set, help_heading = COMPRESSION)]
    pub no_compress: bool,
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
    #[arg(long, value_name = "BITS", value_parser = window_bits, help_heading = COMPRESSION)]
    pub compress_takeover: Option<WindowBits>,

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
    #[arg(long, value_name = "N", value_parser = per_second, help_heading = RATES)]
    pub joins_per_second: Option<NonZeroU32>,

    /// Limit for the waiting messages of a room, and again for the client's own write queue
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = LAG)]
    pub backlog_bytes_max: Option<usize>,
    /// Messages of a room that may wait for one client
    #[arg(long, value_name = "N", value_parser = count, help_heading = LAG)]
    pub lag_messages_max: Option<NonZeroUsize>,
    /// Seconds that a message may wait for one client; 0: no limit
    #[arg(long, value_name = "SECONDS", value_parser = interval, help_heading = LAG)]
    pub lag_age_max: Option<Interval>,
    /// Action for a client that is too slow for a room
    #[arg(long, value_name = "ACTION", value_parser = actions(), help_heading = LAG)]
    pub lag_action: Option<LagAction>,
}

const LIMITS: &str = "Limits";
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
        config.rates.joins = joins_per_second.or(config.rates.joins);
        let lag = &mut config.lag_policy;
        set(
            &mut lag.bytes_max,
            backlog_bytes_max.map(|bytes| bytes as u64),
        );
        set(
            &mut lag.messages_max,
            lag_messages_max.map(|count| Some(count.get() as u64)),
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
        } = self;
        config.deflate = deflate;
        set(&mut config.workers, workers);
        set(
            &mut config.connections_max,
            connections_max.map(NonZeroUsize::get),
        );
        config.connections_per_address = connections_per_address.or(config.connections_per_address);
        config.connections_per_second = connections_per_second.or(config.connections_per_second);
        set(&mut config.limits.message_bytes_max, message_bytes_max);
        set(
            &mut config.memory_bytes_max,
            memory_bytes_max.map(|budget| budget.0),
        );
        set(&mut config.limits.inflate_ratio_max, inflate_ratio_max);
        set(&mut config.unsent_bytes_max, unsent_bytes_max.map(Some));
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
        let rates = &mut config.rates;
        rates.messages = messages_per_second.or(rates.messages);
        rates.bytes = bytes_per_second.or(rates.bytes);
        rates.inflated_bytes = inflated_bytes_per_second.or(rates.inflated_bytes);
        rates.control_frames = control_frames_per_second.or(rates.control_frames);
        set(&mut rates.burst, rate_burst);
        set(&mut rates.action, rate_action);
        config
    }

    /// `None`: no address is given.
    fn listen_addresses(&self) -> Option<ListenAddresses> {
        let given = self.listen.iter().cloned().map(|address| match address {
            ListenAddress::Unix(socket) => ListenAddress::Unix(UnixListen {
                mode: self.unix_mode.map(|mode| mode.0),
                owner: self.unix_owner.and_then(|owner| owner.user),
                group: self.unix_owner.and_then(|owner| owner.group),
                ..socket
            }),
            address => address,
        });
        Some(given.collect()).filter(|_| !self.listen.is_empty())
    }

    /// Compression: on by default.
    fn deflate(&self) -> Option<DeflateConfig> {
        let mut deflate = DeflateConfig::default();
        set(&mut deflate.level, self.compress_level);
        set(&mut deflate.threshold_bytes, self.compress_threshold);
        set(&mut deflate.client_max_window_bits, self.compress_takeover);
        deflate.client_no_context_takeover = self.compress_takeover.is_none();
        Some(deflate).filter(|_| !self.no_compress)
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

/// The defaults that the help names: the option's name and its value. An option that the
/// command does not have is not used.
pub(super) fn defaults(config: &Config, origins: &str) -> Vec<(&'static str, String)> {
    let mut defaults = values(config);
    for (id, text) in [
        ("workers", "one for each core"),
        ("allow_origins", origins),
        (
            "allow_hosts",
            "on loopback addresses loopback names, otherwise every host",
        ),
        ("file", "none"),
    ] {
        defaults.retain(|(other, _)| *other != id);
        defaults.push((id, text.to_owned()));
    }
    defaults
}

/// Each option with its value in a configuration, as it is written; a text in place of the
/// value if the option is not set.
fn values(config: &Config) -> Vec<(&'static str, String)> {
    let deflate = config.deflate.unwrap_or_default();
    let (lag, rates) = (&config.lag_policy, &config.rates);
    let interval = |time| Interval(time).to_string();
    let takeover = (!deflate.client_no_context_takeover).then_some(deflate.client_max_window_bits);
    let bytes_limit = |rate: Option<NonZeroU32>| {
        rate.map_or(NO_LIMIT.to_owned(), |rate| bytes_text(rate.get() as usize))
    };
    vec![
        ("listen", listen_text(&config.listen)),
        (
            "unix_mode",
            unix_text(config, |socket| socket.mode.map(Mode)),
        ),
        ("unix_owner", unix_text(config, owner_of)),
        ("workers", config.workers.to_string()),
        ("connections_max", config.connections_max.to_string()),
        (
            "connections_per_address",
            limit(config.connections_per_address),
        ),
        (
            "connections_per_second",
            limit(config.connections_per_second),
        ),
        (
            "message_bytes_max",
            bytes_text(config.limits.message_bytes_max),
        ),
        (
            "inflate_ratio_max",
            config.limits.inflate_ratio_max.to_string(),
        ),
        (
            "memory_bytes_max",
            bytes_text(config.memory_bytes_max.unwrap_or(0)),
        ),
        (
            "worker_backlog_bytes_max",
            bytes_text(config.worker_backlog_bytes_max),
        ),
        ("backlog_bytes_max", bytes_text(config.backlog_bytes_max)),
        ("lag_messages_max", limit(lag.messages_max)),
        ("lag_age_max", interval(lag.age_max)),
        ("lag_action", format!("{:?}", lag.action).to_lowercase()),
        ("messages_per_second", limit(rates.messages)),
        ("bytes_per_second", bytes_limit(rates.bytes)),
        (
            "inflated_bytes_per_second",
            bytes_limit(rates.inflated_bytes),
        ),
        ("control_frames_per_second", limit(rates.control_frames)),
        ("joins_per_second", limit(rates.joins)),
        ("rate_burst", seconds_text(rates.burst)),
        ("rate_action", format!("{:?}", rates.action).to_lowercase()),
        ("unsent_bytes_max", bytes_limit(config.unsent_bytes_max)),
        ("handshake_timeout", seconds_text(config.handshake_timeout)),
        ("ping_interval", interval(config.ping_interval)),
        ("pong_timeout", seconds_text(config.pong_timeout)),
        ("message_timeout", interval(config.message_timeout)),
        (
            "message_rate_min",
            bytes_text(config.message_bytes_per_second_min as usize),
        ),
        ("close_timeout", seconds_text(config.close_timeout)),
        ("drain_timeout", seconds_text(config.drain_timeout)),
        ("batch_delay", seconds_text(config.batch_delay)),
        ("no_compress", config.deflate.is_none().to_string()),
        ("compress_level", deflate.level.to_string()),
        ("compress_threshold", deflate.threshold_bytes.to_string()),
        (
            "compress_takeover",
            takeover.map_or(NOT_AT_ALL.to_owned(), |bits| bits.get().to_string()),
        ),
        ("allow_origins", origins_text(&config.origins)),
        ("allow_hosts", hosts_text(config.hosts.as_ref())),
    ]
}

/// A limit that may be missing.
fn limit(limit: Option<impl ToString>) -> String {
    limit.map_or(NO_LIMIT.to_owned(), |limit| limit.to_string())
}

/// One address, or several as they are written in a settings file.
fn listen_text(addresses: &ListenAddresses) -> String {
    match addresses.as_slice() {
        [address] => address.to_string(),
        several => {
            let quoted = several.iter().map(|address| format!("\"{address}\""));
            format!("[{}]", quoted.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A setting of the Unix sockets, which all have the same.
fn unix_text<T: ToString>(config: &Config, of: impl Fn(&UnixListen) -> Option<T>) -> String {
    let mut addresses = config.listen.as_slice().iter();
    let socket = addresses.find_map(|address| match address {
        ListenAddress::Unix(socket) => Some(socket),
        _ => None,
    });
    let text = socket.and_then(of).map(|value| value.to_string());
    text.unwrap_or(BY_THE_SYSTEM.to_owned())
}

fn owner_of(socket: &UnixListen) -> Option<Owner> {
    let UnixListen { owner, group, .. } = *socket;
    let is_set = owner.is_some() || group.is_some();
    is_set.then_some(Owner { user: owner, group })
}

/// The origins as they are written in a settings file.
fn origins_text(origins: &Origins) -> String {
    match origins {
        Origins::Any => "[\"*\"]".to_owned(),
        Origins::SameHostAnd(patterns) => {
            let patterns = patterns.iter().map(|pattern| format!("\"{pattern}\""));
            format!("[{}]", patterns.collect::<Vec<_>>().join(", "))
        }
        _ => "[]".to_owned(),
    }
}

/// The hosts as they are written in a settings file.
fn hosts_text(hosts: Option<&Hosts>) -> String {
    match hosts {
        Some(Hosts::Any) => "[\"*\"]".to_owned(),
        Some(Hosts::LoopbackAnd(patterns)) => {
            let patterns = patterns.iter().map(|pattern| format!("\"{pattern}\""));
            format!("[{}]", patterns.collect::<Vec<_>>().join(", "))
        }
        _ => "[]".to_owned(),
    }
}

/// The settings file that has the same effect as these settings of `serve`, with each option's
/// help as a comment.
pub(crate) fn effective(settings: ServeSettings) -> String {
    let mut values = settings.access.values();
    values.extend(self::values(&settings.config()));
    let command = ServeSettings::augment_args(clap::Command::new("serve"));
    let mut text = String::from(EFFECTIVE);
    let mut heading = None;
    for option in command.get_arguments() {
        let id = option.get_id().as_str();
        let Some((_, value)) = values.iter().find(|(other, _)| *other == id) else {
            continue;
        };
        if heading != option.get_help_heading() {
            heading = option.get_help_heading();
            text.push_str(&format!("\n# ── {} ──\n", heading.unwrap_or_default()));
        }
        let help = option.get_help().map(ToString::to_string);
        let key = option.get_long().unwrap_or_default();
        text.push_str(&format!("\n# {}\n", help.unwrap_or_default()));
        text.push_str(&line(key, value));
    }
    text
}

/// A setting as a line of a settings file; one that is not set as a comment.
fn line(key: &str, value: &str) -> String {
    let is_bare = value.parse::<f64>().is_ok()
        || value.starts_with('[') && value.ends_with(']')
        || ["true", "false"].contains(&value);
    match value {
        NO_LIMIT | NOT_AT_ALL | BY_THE_SYSTEM | NONE => format!("# {key}: {value}\n"),
        value if is_bare || value.starts_with('"') => format!("{key} = {value}\n"),
        value => format!("{key} = \"{value}\"\n"),
    }
}

const EFFECTIVE: &str = "\
# The settings of 'yamabiko serve' as they are in effect. This is a settings file:
# 'yamabiko serve --config FILE' reads it. The command line and environment variables win.
";

const BY_THE_SYSTEM: &str = "as the system sets it";
const NOT_AT_ALL: &str = "not at all";
const NO_LIMIT: &str = "no limit";

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
mod tests {
    use super::*;
    use crate::arguments::Command;
    use crate::arguments::tests::{error, parse_line, server};
    use yamabiko::server::RateLimits;

    fn configured(line: &str) -> Config {
        match parse_line(line) {
            Ok(Command::Serve(settings)) => settings.config(),
            Ok(Command::Echo(settings)) => settings.config(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn every_option_reaches_its_setting() {
        let config = configured(
            "--listen [::1]:9 --workers 2 --message-bytes-max 64KiB --backlog-bytes-max 2MiB \
             --worker-backlog-bytes-max 3MiB --lag-action latest --lag-messages-max 100 \
             --lag-age-max 0 --batch-delay 0.005 --connections-max 7 --unsent-bytes-max 128KiB --connections-per-address 5 --connections-per-second 6 --inflate-ratio-max 100 --memory-bytes-max 3GiB --handshake-timeout 0.25 \
             --ping-interval 20 --pong-timeout 1.5 \
             --message-timeout 9 --message-rate-min 2KiB --close-timeout 1 --drain-timeout 86400 \
             --messages-per-second 20 --bytes-per-second 1MiB --inflated-bytes-per-second 4MiB \
             --control-frames-per-second 2 --joins-per-second 3 --rate-burst 2.5 --rate-action close \
             --compress-level 9 --compress-threshold 1KiB --compress-takeover 12 \
             --allow-origin https://A.example:443 --allow-origin https://*.b.example \
             --allow-origin null",
        );
        assert_eq!(config.listen.to_string(), "[::1]:9");
        assert_eq!(Some(config.workers), NonZeroUsize::new(2));
        assert_eq!(config.limits.message_bytes_max, 65_536);
        assert_eq!(config.limits.inflate_ratio_max, 100);
        assert_eq!(config.memory_bytes_max, Some(3 << 30));
        assert_eq!(config.backlog_bytes_max, 2 << 20);
        assert_eq!(config.worker_backlog_bytes_max, 3 << 20);
        assert_eq!(config.lag_policy.action, LagAction::Latest);
        assert_eq!(config.lag_policy.bytes_max, 2 << 20);
        assert_eq!(config.lag_policy.messages_max, Some(100));
        assert_eq!(config.lag_policy.age_max, None);
        assert_eq!(config.batch_delay, Duration::from_millis(5));
        assert_eq!(config.connections_max, 7);
        assert_eq!(config.connections_per_address, NonZeroUsize::new(5));
        assert_eq!(config.connections_per_second, NonZeroU32::new(6));
        assert_eq!(config.unsent_bytes_max, NonZeroU32::new(128 << 10));
        assert_eq!(config.handshake_timeout, Duration::from_millis(250));
        assert_eq!(config.ping_interval, Some(Duration::from_secs(20)));
        assert_eq!(config.pong_timeout, Duration::from_millis(1_500));
        assert_eq!(config.message_timeout, Some(Duration::from_secs(9)));
        assert_eq!(config.message_bytes_per_second_min, 2048);
        assert_eq!(config.close_timeout, Duration::from_secs(1));
        assert_eq!(config.drain_timeout, Duration::from_secs(86_400));
        let expected = RateLimits {
            messages: NonZeroU32::new(20),
            bytes: NonZeroU32::new(1 << 20),
            inflated_bytes: NonZeroU32::new(4 << 20),
            control_frames: NonZeroU32::new(2),
            joins: NonZeroU32::new(3),
            burst: Duration::from_millis(2_500),
            action: RateAction::Close,
        };
        assert_eq!(config.rates, expected);
        let deflate = config.deflate.expect("compression");
        assert_eq!((deflate.level, deflate.threshold_bytes), (9, 1 << 10));
        assert!(!deflate.client_no_context_takeover);
        assert_eq!(deflate.client_max_window_bits.get(), 12);
        let listed = Origins::same_host_and(["https://a.example", "https://*.b.example", "null"]);
        assert_eq!(Ok(config.origins), listed);
    }

    #[test]
    fn option_without_effect_on_echo_is_refused() {
        for option in [
            "--worker-backlog-bytes-max 1MiB",
            "--batch-delay 0.1",
            "--joins-per-second 9",
            "--lag-messages-max 9",
            "--lag-age-max 9",
            "--lag-action skip",
        ] {
            assert!(parse_line(&format!("serve {option}")).is_ok(), "{option}");
            let error = error(&format!("echo {option}"));
            let name = option.split(' ').next().expect("a name");
            assert!(
                error.starts_with(&format!("unexpected argument '{name}' found")),
                "{error}"
            );
        }
        let config = configured("echo --backlog-bytes-max 2MiB");
        assert_eq!(config.backlog_bytes_max, 2 << 20);
    }

    #[test]
    fn interval_of_0_means_never() {
        assert_eq!(configured("--ping-interval 0").ping_interval, None);
        assert_eq!(server("").ping_interval, None);
        assert_eq!(configured("--message-timeout 0").message_timeout, None);
        assert_eq!(configured("--memory-bytes-max 0").memory_bytes_max, None);
        assert_eq!(configured("--batch-delay 0").batch_delay, Duration::ZERO);
    }

    #[test]
    fn servers_compress_unless_they_are_told_not_to() {
        for line in ["serve", "echo"] {
            assert_eq!(configured(line).deflate, Some(DeflateConfig::default()));
        }
        assert_eq!(configured("--no-compress --compress-level 6").deflate, None);
    }

    #[test]
    fn only_pages_of_the_same_host_may_connect_unless_others_are_allowed() {
        assert_eq!(configured("serve").origins, Origins::SameHost);
        let listening = |address: &str| configured(&format!("echo --listen {address}")).origins;
        assert_eq!(listening("0.0.0.0:0"), Origins::SameHost);
        assert_eq!(listening("127.0.0.1:0"), Origins::Any);
        assert_eq!(listening("[::1]:0"), Origins::Any);
        let listed = configured("echo --allow-origin null").origins;
        assert_eq!(Ok(listed), Origins::same_host_and(["null"]));
        let any = configured("--allow-origin null --allow-origin *");
        assert_eq!(any.origins, Origins::Any);
    }

    /// A default that the help shows is set as an option: nothing changes.
    #[test]
    fn defaults_that_the_help_names_are_those_of_the_server() {
        for (line, config) in [("serve", Config::default()), ("echo", echo_defaults())] {
            let command = crate::arguments::command();
            let found = command.find_subcommand(line).expect(line);
            let has = |id: &str| found.get_arguments().any(|option| option.get_id() == id);
            let values = defaults(&config, "").into_iter().filter(|(id, _)| {
                let described = ["workers", "allow_origins", "file", "no_compress"];
                has(id) && !described.contains(id)
            });
            let values = values
                .filter(|(_, value)| ![NO_LIMIT, NOT_AT_ALL, BY_THE_SYSTEM].contains(&&value[..]));
            let line = values.fold(line.to_owned(), |line, (id, value)| {
                format!("{line} --{} {value}", id.replace('_', "-"))
            });
            let mut expected = configured(line.split(' ').next().expect("a command"));
            // One option sets both.
            if has("lag_action") {
                expected.lag_policy.bytes_max = expected.backlog_bytes_max as u64;
            }
            let found = format!("{:?}", configured(&line));
            assert_eq!(found, format!("{expected:?}"), "{line}");
        }
    }

    /// The file is read as a settings file by `file.rs`, option by option.
    #[test]
    fn effective_settings_are_a_file_with_the_same_effect() {
        for line in [
            "serve",
            "serve --workers 3 --connections-per-address 5 --bytes-per-second 64KiB --no-compress --lag-age-max 0 \
             --allow-origin https://a.example --allow-origin null --lag-messages-max 7 --rate-action close",
            "serve --allow-origin * --compress-takeover 12 --ping-interval 0 --memory-bytes-max 0",
        ] {
            let Ok(Command::Serve(settings)) = parse_line(line) else {
                panic!("{line}");
            };
            let expected = format!("{:?}", settings.clone().config());
            let text = effective(settings);
            let table: toml::Table = text.parse().expect("TOML");
            let mut options = vec!["serve".to_owned()];
            for (key, value) in table {
                match value {
                    toml::Value::Boolean(false) => {}
                    toml::Value::Boolean(true) => options.push(format!("--{key}")),
                    toml::Value::String(text) => options.push(format!("--{key}={text}")),
                    toml::Value::Array(values) => options.extend(
                        values
                            .iter()
                            .map(|value| format!("--{key}={}", value.as_str().expect("a text"))),
                    ),
                    toml::Value::Integer(number) => options.push(format!("--{key}={number}")),
                    toml::Value::Float(number) => options.push(format!("--{key}={number}")),
                    other => panic!("{key}: {other:?}"),
                }
            }
            let found = configured(&options.join(" "));
            assert_eq!(format!("{found:?}"), expected, "{text}");
        }
    }

    #[test]
    fn every_setting_of_serve_is_in_the_effective_settings_with_a_comment() {
        let text = effective(ServeSettings::default());
        let command = crate::arguments::command();
        let serve = command.find_subcommand("serve").expect("serve");
        let not_settings = ["config", "check", "help", "version"];
        for option in serve.get_arguments() {
            let long = option.get_long().expect("an option");
            let is_listed =
                text.contains(&format!("\n{long} = ")) || text.contains(&format!("\n# {long}: "));
            assert_eq!(is_listed, !not_settings.contains(&long), "{long}");
        }
    }

    #[test]
    fn every_setting_has_a_default_in_the_help() {
        let command = crate::arguments::command();
        for name in ["serve", "echo"] {
            let found = command.find_subcommand(name).expect(name);
            for option in found.get_arguments() {
                let help = option.get_help().expect("a text").to_string();
                let takes_value = option.get_action().takes_values();
                assert_eq!(help.contains(" [default: "), takes_value, "{help}");
            }
        }
    }
}
