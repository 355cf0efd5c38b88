//! The settings of `serve` and `echo`, and the configuration that they make.
//!
//! [`Settings`] has the value of each row of the table (`table.rs`): most are fields of the server's [`Config`], and some make
//! a field together.

use clap::Args;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;
use yamabiko::server::{
    Config, DeflateConfig, ForwardedFields, HistoryLimits, HostPattern, Hosts, Limits,
    ListenAddress, Network, OriginPattern, Origins, Proxies, RoomHistory, UnixListen, WindowBits,
};
use yamabiko_playground::Playground;

use super::access::AccessSettings;
use super::apps::AppSettings;
#[cfg(feature = "cluster")]
use super::cluster::ClusterSettings;
#[cfg(feature = "data")]
use super::data::DataSettings;
use super::values::{Allowed, Mode, NamedProxy, Owner, SHOWN_BYTES, SHOWN_BYTES_MAX, is_set};
use crate::logging::{LevelFilter, LogSettings};
use crate::monitoring::MonitoringSettings;
use crate::tls::TlsFiles;

/// The settings of `serve`.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct ServeSettings {
    #[command(flatten)]
    pub settings: Settings,
    /// File with settings, in TOML: keys are the names of the options [default: none]
    #[arg(long = "config", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Check all settings and end
    #[arg(long, value_parser = is_set)]
    pub check: bool,
}

/// The settings of `echo`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EchoSettings(pub Settings);

/// The value of each row of the table: the server's configuration, and what it is made of besides.
#[derive(Clone)]
pub(crate) struct Settings {
    pub config: Config,
    pub listen: Vec<ListenAddress>,
    pub restarts: Restarts,
    pub unix_mode: Option<Mode>,
    pub unix_owner: Option<Owner>,
    pub tls_certs: Vec<PathBuf>,
    pub tls_keys: Vec<PathBuf>,
    pub no_compress: bool,
    pub compression: DeflateConfig,
    pub compress_takeover: Option<WindowBits>,
    pub allow_origins: Vec<Allowed<OriginPattern>>,
    pub allow_hosts: Vec<Allowed<HostPattern>>,
    pub proxies: Vec<NamedProxy>,
    pub proxy_fields: ForwardedFields,
    pub proxy_protocol: bool,
    pub access: AccessSettings,
    pub log: LogSettings,
    pub monitoring: MonitoringSettings,
    pub trace: TraceSettings,
    pub apps: AppSettings,
    pub playground: PlaygroundSettings,
    pub history: HistorySettings,
    #[cfg(feature = "cluster")]
    pub cluster: ClusterSettings,
    #[cfg(feature = "data")]
    pub data: DataSettings,
    /// The settings are those of `echo`.
    pub is_echo: bool,
}

/// The page that takes a WebSocket apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PlaygroundSettings {
    pub enabled: bool,
    /// Also for clients of other machines.
    pub public: bool,
}

impl PlaygroundSettings {
    /// The playground, if it is on.
    pub(crate) fn build(&self) -> Option<Playground> {
        let playground = self.enabled.then(Playground::new)?;
        Some(match self.public {
            true => playground.public(),
            false => playground,
        })
    }
}

/// How much the rooms of the chat keep of their messages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HistorySettings {
    /// `None`: nothing is kept.
    pub messages: Option<NonZeroU64>,
    pub bytes: usize,
    pub age: Option<Duration>,
    pub rooms: usize,
    pub bytes_of_all: usize,
}

impl Default for HistorySettings {
    fn default() -> HistorySettings {
        let (room, all) = (RoomHistory::default(), HistoryLimits::default());
        HistorySettings {
            messages: NonZeroU64::new(room.messages_max),
            bytes: usize::try_from(room.bytes_max).unwrap_or(usize::MAX),
            age: room.age_max,
            rooms: all.rooms_max,
            bytes_of_all: usize::try_from(all.bytes_max).unwrap_or(usize::MAX),
        }
    }
}

impl HistorySettings {
    /// What each room keeps.
    pub(crate) fn of_room(&self) -> Option<RoomHistory> {
        Some(RoomHistory {
            messages_max: self.messages?.get(),
            bytes_max: self.bytes as u64,
            age_max: self.age,
        })
    }

    /// What all of them keep together.
    fn of_all(&self) -> Option<HistoryLimits> {
        self.messages.map(|_| HistoryLimits {
            rooms_max: self.rooms,
            bytes_max: self.bytes_of_all as u64,
        })
    }
}

/// How a server ends, and how another one takes over from it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Restarts {
    /// The time over which SIGTERM, or a successor, closes the connections.
    pub drain: Duration,
    /// The Unix socket at which a successor asks for the listening sockets.
    pub takeover: Option<PathBuf>,
}

/// The connections whose bytes are printed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TraceSettings {
    /// All that ask for a WebSocket.
    pub all: bool,
    /// Those of these addresses; empty: of all.
    pub addresses: Vec<Network>,
    /// Those to these rooms; empty: to all.
    pub rooms: Vec<String>,
    /// Of each payload.
    pub shown_bytes: usize,
}

impl TraceSettings {
    /// Whether anything is traced.
    pub(crate) fn is_on(&self) -> bool {
        self.all || !self.addresses.is_empty() || !self.rooms.is_empty()
    }

    /// How much of a payload is shown.
    pub(crate) fn shown_bytes(&self) -> usize {
        self.shown_bytes.min(SHOWN_BYTES_MAX)
    }
}

impl Default for TraceSettings {
    fn default() -> TraceSettings {
        TraceSettings {
            all: false,
            addresses: Vec::new(),
            rooms: Vec::new(),
            shown_bytes: SHOWN_BYTES,
        }
    }
}

impl ServeSettings {
    /// The configuration of `serve`. One setting limits both what waits for a client alone and what waits for it in a room.
    pub(crate) fn config(self) -> Config {
        let history = self.settings.history.of_all();
        let mut config = self.settings.config();
        config.lag_policy.bytes_max = config.backlog_bytes_max as u64;
        config.history = history;
        config
    }
}

impl EchoSettings {
    /// The configuration of `echo`. On a loopback address pages of every origin may connect if no origin is named, also
    /// those of a file (`Origin: null`): a test page can be anywhere, and this server sends a page only what the page has
    /// sent.
    pub(crate) fn config(self) -> Config {
        let names_origins = !self.0.allow_origins.is_empty();
        let mut config = self.0.config();
        if !names_origins && config.listen.are_local() {
            config.origins = Origins::Any;
        }
        config
    }
}

impl Settings {
    /// Of a server with this configuration, before any option.
    fn of(config: Config) -> Settings {
        Settings {
            listen: config.listen.as_slice().to_vec(),
            config,
            restarts: Restarts::default(),
            unix_mode: None,
            unix_owner: None,
            tls_certs: Vec::new(),
            tls_keys: Vec::new(),
            no_compress: false,
            compression: DeflateConfig::default(),
            compress_takeover: None,
            allow_origins: Vec::new(),
            allow_hosts: Vec::new(),
            proxies: Vec::new(),
            proxy_fields: ForwardedFields::default(),
            proxy_protocol: false,
            access: AccessSettings::default(),
            log: LogSettings::default(),
            monitoring: MonitoringSettings::default(),
            trace: TraceSettings::default(),
            apps: AppSettings::default(),
            playground: PlaygroundSettings::default(),
            history: HistorySettings::default(),
            #[cfg(feature = "cluster")]
            cluster: ClusterSettings::default(),
            #[cfg(feature = "data")]
            data: DataSettings::default(),
            is_echo: false,
        }
    }

    /// The same, with what the keys decide about the paths where nothing is set.
    pub(super) fn resolved(self) -> Settings {
        Settings {
            access: self.access.resolved(),
            ..self
        }
    }

    /// The files of the certificates.
    pub(crate) fn tls_files(&self) -> TlsFiles {
        TlsFiles::new(self.tls_certs.clone(), self.tls_keys.clone())
    }

    /// The configuration, with the settings that are no fields of it put together.
    fn config(self) -> Config {
        Config {
            listen: self.listen_addresses().collect(),
            deflate: (!self.no_compress).then(|| self.deflate()),
            origins: origins(&self.allow_origins),
            hosts: hosts(&self.allow_hosts),
            proxies: named_proxies(&self.proxies)
                .fields(self.proxy_fields)
                .proxy_protocol(self.proxy_protocol),
            connection_totals: self.log.level >= LevelFilter::INFO,
            ..self.config
        }
    }

    /// The addresses, those of Unix sockets with the mode and the owner of their files.
    fn listen_addresses(&self) -> impl Iterator<Item = ListenAddress> {
        let owner = self.unix_owner;
        self.listen
            .iter()
            .cloned()
            .map(move |address| match address {
                ListenAddress::Unix(socket) => ListenAddress::Unix(UnixListen {
                    mode: self.unix_mode.map(|mode| mode.0),
                    owner: owner.and_then(|owner| owner.user),
                    group: owner.and_then(|owner| owner.group),
                    ..socket
                }),
                address => address,
            })
    }

    /// How the server compresses, if it does.
    fn deflate(&self) -> DeflateConfig {
        let default = self.compression.client_max_window_bits;
        DeflateConfig {
            client_no_context_takeover: self.compress_takeover.is_none(),
            client_max_window_bits: self.compress_takeover.unwrap_or(default),
            ..self.compression
        }
    }
}

impl Default for Settings {
    /// The defaults of `serve`.
    fn default() -> Settings {
        Settings::of(Config::default())
    }
}

impl Default for EchoSettings {
    /// Messages of up to 16 MiB: the Autobahn suite sends them. Compressed messages of any ratio: a test may send one byte a
    /// million times. No memory budget: a load test decides what it sends.
    fn default() -> EchoSettings {
        let config = Config {
            listen: ([127, 0, 0, 1], 9001).into(),
            limits: Limits {
                message_bytes_max: 16 << 20,
                inflate_ratio_max: INFLATE_RATIO_UNLIMITED,
                ..Limits::default()
            },
            backlog_bytes_max: 64 << 20,
            memory_bytes_max: None,
            ..Config::default()
        };
        EchoSettings(Settings {
            is_echo: true,
            ..Settings::of(config)
        })
    }
}

fn origins(allowed: &[Allowed<OriginPattern>]) -> Origins {
    match patterns(allowed) {
        None => Origins::Any,
        Some(none) if none.is_empty() => Origins::SameHost,
        Some(patterns) => Origins::SameHostAnd(patterns),
    }
}

/// `None`: no host is given.
fn hosts(allowed: &[Allowed<HostPattern>]) -> Option<Hosts> {
    (!allowed.is_empty()).then(|| patterns(allowed).map_or(Hosts::Any, Hosts::LoopbackAnd))
}

/// `None`: one of them is `*`.
fn patterns<T: Clone>(allowed: &[Allowed<T>]) -> Option<Vec<T>> {
    let pattern = |allowed: &Allowed<T>| match allowed {
        Allowed::Any => None,
        Allowed::Pattern(pattern) => Some(pattern.clone()),
    };
    allowed.iter().map(pattern).collect()
}

fn named_proxies(named: &[NamedProxy]) -> Proxies {
    let networks = named.iter().filter_map(|proxy| match proxy {
        NamedProxy::Network(network) => Some(*network),
        NamedProxy::Unix => None,
    });
    Proxies::new(networks).unix(named.contains(&NamedProxy::Unix))
}

/// DEFLATE reaches no more.
const INFLATE_RATIO_UNLIMITED: u32 = 1032;

#[cfg(test)]
mod tests;
