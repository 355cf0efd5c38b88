//! The settings of a run, checked before a connection is opened.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use yamabiko::websocket::handshake::{
    ClientHandshake, InvalidRequest, WebSocketUri, hide_credentials,
};

#[cfg(feature = "tls")]
use yamabiko::tls::ClientTls;

use super::error::Error;
use super::payload::{HEAD_BYTES, JSON_BYTES_MIN, Payload};

/// The scenario that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scenario {
    /// A server that broadcasts: all members receive what one member publishes.
    FanOut,
    /// Connections on which nothing is sent.
    Idle,
    /// A server that echoes: a connection receives what it sends, and nothing else.
    Echo,
    /// As fan-out; a share of the members stops reading.
    Slow,
}

/// When a publisher sends.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Pace {
    /// Closed loop: each publisher has this many messages in flight. It sends the next one
    /// when it receives one of them.
    Window(NonZeroU32),
    /// Open loop: this many messages a second of all publishers together, whether earlier
    /// messages have been received or not. Within [`RATES`].
    Rate(f64),
}

/// One run: what is opened, sent and measured. Made by [`Plan::builder`], which checks
/// each setting, and that the settings fit each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub(crate) scenario: Scenario,
    pub(crate) url: WebSocketUri,
    pub(crate) greeting: Greeting,
    /// At least 1.
    pub(crate) connections: u32,
    /// The number of members that publish, the first ones. Fan-out: 1 ≤ publishers ≤ the members
    /// that are not slow; echo: all; idle: 0.
    pub(crate) publishers: u32,
    /// The number of members that stop reading, the last ones.
    pub(crate) slow: u32,
    /// Bytes of each message's payload.
    pub(crate) message_bytes: usize,
    pub(crate) payload: Payload,
    /// Offer permessage-deflate, and fail if it is declined.
    pub(crate) compress: bool,
    pub(crate) pace: Pace,
    pub(crate) binary: bool,
    /// The server does not send a publisher's messages back to it.
    pub(crate) no_echo: bool,
    pub(crate) duration: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) settle: Duration,
    pub(crate) drain: Duration,
    /// 1 ≤ threads ≤ connections.
    pub(crate) threads: u32,
    pub(crate) opening: Opening,
    /// The server's process, to read its CPU time and memory.
    pub(crate) pid: Option<u32>,
    /// Whom it trusts for `wss`; `None`: the authorities of this machine.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<ClientTls>,
}

/// The first bytes of each connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// Name and value; checked.
    fields: Vec<(String, String)>,
    origin: Option<String>,
    subprotocols: Vec<String>,
    /// A text that each connection sends when it is open, to log in or subscribe.
    pub hello: Option<String>,
}

/// How the connections are opened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Opening {
    /// Connections a second; `None`: no limit.
    pub rate: Option<f64>,
    /// The maximum between TCP's SYN and the 101; at least 1.
    pub at_once: u32,
    /// The addresses to connect from, in turn; empty: the system's choice.
    pub source_addresses: Vec<IpAddr>,
    /// For TCP and the handshake of one connection, together.
    pub timeout: Duration,
}

/// The settings of a [`Plan`]. A setting that is not given has its default.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct PlanBuilder {
    scenario: Scenario,
    url: String,
    connections: Option<u32>,
    publishers: Option<u32>,
    slow_percent: Option<u32>,
    message_bytes: Option<usize>,
    payload: Option<Payload>,
    compress: bool,
    pace: Option<Pace>,
    binary: Option<bool>,
    no_echo: bool,
    duration: Duration,
    warm_up: Option<Duration>,
    settle: Duration,
    drain: Option<Duration>,
    threads: u32,
    opening: Opening,
    greeting: Greeting,
    pid: Option<u32>,
    #[cfg(feature = "tls")]
    tls: Option<ClientTls>,
}

impl Plan {
    /// A plan for this scenario, with the server at this URL (`ws://HOST[:PORT]/PATH`, or `wss://` with the feature `tls`).
    pub fn builder(scenario: Scenario, url: impl Into<String>) -> PlanBuilder {
        PlanBuilder {
            scenario,
            url: url.into(),
            connections: None,
            publishers: None,
            slow_percent: None,
            message_bytes: None,
            payload: None,
            compress: false,
            pace: None,
            binary: None,
            no_echo: false,
            duration: Duration::from_secs(10),
            warm_up: None,
            settle: Duration::from_millis(200),
            drain: None,
            threads: 1,
            opening: Opening {
                rate: None,
                at_once: OPENING_AT_ONCE,
                source_addresses: Vec::new(),
                timeout: Duration::from_secs(10),
            },
            greeting: Greeting::default(),
            pid: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// What is measured.
    pub fn scenario(&self) -> Scenario {
        self.scenario
    }

    /// The number of connections.
    pub fn connections(&self) -> u32 {
        self.connections
    }

    /// The number of members that publish: the first ones.
    pub fn publishers(&self) -> u32 {
        self.publishers
    }

    /// The number of members that stop reading: the last ones.
    pub fn slow_members(&self) -> u32 {
        self.slow
    }

    /// Bytes of each message.
    pub fn message_bytes(&self) -> usize {
        self.message_bytes
    }

    /// When a publisher sends.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Time that is measured.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Time of load before that.
    pub fn warm_up(&self) -> Duration {
        self.warm_up
    }

    /// Time between the last connection and the load.
    pub fn settle(&self) -> Duration {
        self.settle
    }

    /// Time without a message after which missing messages count as lost.
    pub fn drain(&self) -> Duration {
        self.drain
    }

    /// Threads of the load.
    pub fn threads(&self) -> u32 {
        self.threads
    }

    /// The number of connections that are opened at the same time.
    pub fn opening_at_once(&self) -> u32 {
        self.opening.at_once
    }

    /// Time for TCP and the handshake of one connection, together.
    pub fn open_timeout(&self) -> Duration {
        self.opening.timeout
    }

    /// Members that read to the end.
    pub(crate) fn fast(&self) -> u32 {
        self.connections - self.slow
    }

    /// Whether this member stops reading.
    pub(crate) fn is_slow(&self, member: u32) -> bool {
        member >= self.fast()
    }

    /// The number of publishers whose messages each member counts.
    pub(crate) fn publishers_per_member(&self) -> u32 {
        match self.scenario {
            Scenario::Echo => 1,
            _ => self.publishers,
        }
    }
}

/// The load.
impl PlanBuilder {
    /// Connections, the members: at least 1. Default: 1,000 for idle, else 100.
    pub fn connections(mut self, count: u32) -> PlanBuilder {
        self.connections = Some(count);
        self
    }

    /// The number of members that publish: at least 1, and at most the members that read.
    /// Default: 10, or all members that read. Fan-out and slow only; in an echo all publish.
    pub fn publishers(mut self, count: u32) -> PlanBuilder {
        self.publishers = Some(count);
        self
    }

    /// The share of the members that stops reading when the measuring begins, within
    /// 1 to 99 percent; at least one member does. Default: 10. Slow only.
    pub fn slow_percent(mut self, percent: u32) -> PlanBuilder {
        self.slow_percent = Some(percent);
        self
    }

    /// Bytes of a message, within [`MESSAGE_BYTES`]. Default: 64, as JSON 1,024.
    pub fn message_bytes(mut self, bytes: usize) -> PlanBuilder {
        self.message_bytes = Some(bytes);
        self
    }

    /// The content of a message. Default: [`Payload::Letters`].
    pub fn payload(mut self, payload: Payload) -> PlanBuilder {
        self.payload = Some(payload);
        self
    }

    /// Sends binary messages (`true`) or texts (`false`, the default).
    pub fn binary(mut self, binary: bool) -> PlanBuilder {
        self.binary = Some(binary);
        self
    }

    /// When a publisher sends. Default: a window of 64.
    pub fn pace(mut self, pace: Pace) -> PlanBuilder {
        self.pace = Some(pace);
        self
    }

    /// The server does not send a publisher's messages back to it: in closed loop the
    /// receipts of another member pace it. Fan-out and slow only.
    pub fn no_echo(mut self) -> PlanBuilder {
        self.no_echo = true;
        self
    }

    /// Offers permessage-deflate (RFC 7692) without context takeover: messages of the
    /// server may be compressed, and those of the load are not. A server that declines
    /// is an error.
    pub fn compress(mut self) -> PlanBuilder {
        self.compress = true;
        self
    }

    /// Time that is measured, more than 0. Default: 10 s.
    pub fn duration(mut self, duration: Duration) -> PlanBuilder {
        self.duration = duration;
        self
    }

    /// Time of load before that. Default: 2 s. Not for idle.
    pub fn warm_up(mut self, warm_up: Duration) -> PlanBuilder {
        self.warm_up = Some(warm_up);
        self
    }

    /// Time between the last connection and the load. Default: 200 ms.
    pub fn settle(mut self, settle: Duration) -> PlanBuilder {
        self.settle = settle;
        self
    }

    /// Time without a message, at the end, after which missing messages count as lost. Default: 5 s. Not for idle.
    pub fn drain(mut self, drain: Duration) -> PlanBuilder {
        self.drain = Some(drain);
        self
    }

    /// Threads, each with its share of the members: at least 1, and no more than
    /// members. Default: 1.
    pub fn threads(mut self, count: u32) -> PlanBuilder {
        self.threads = count;
        self
    }

    /// The server's process on this machine: its CPU time and resident memory are
    /// reported (Linux).
    pub fn pid(mut self, pid: u32) -> PlanBuilder {
        self.pid = Some(pid);
        self
    }
}

/// The opening of the connections.
impl PlanBuilder {
    /// Connections that are opened in a second, within [`RATES`]. Default: no limit.
    pub fn connect_rate(mut self, per_second: f64) -> PlanBuilder {
        self.opening.rate = Some(per_second);
        self
    }

    /// Connections that are opened at the same time: at least 1, which RFC 6455 §4.1
    /// requires of clients. Default: 32.
    pub fn opening_at_once(mut self, count: u32) -> PlanBuilder {
        self.opening.at_once = count;
        self
    }

    /// Time for TCP and the opening handshake of one connection, together, more than 0.
    /// Default: 10 s.
    pub fn open_timeout(mut self, timeout: Duration) -> PlanBuilder {
        self.opening.timeout = timeout;
        self
    }

    /// The addresses to connect from, in turn: each has some 28,000 ports. Default: the
    /// system's choice.
    pub fn source_addresses(mut self, addresses: Vec<IpAddr>) -> PlanBuilder {
        self.opening.source_addresses = addresses;
        self
    }

    /// Adds a header field to the request.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> PlanBuilder {
        self.greeting.fields.push((name.into(), value.into()));
        self
    }

    /// The request's Origin.
    pub fn origin(mut self, origin: impl Into<String>) -> PlanBuilder {
        self.greeting.origin = Some(origin.into());
        self
    }

    /// Whom the load trusts for `wss`. Default: the authorities that this machine trusts.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ClientTls) -> PlanBuilder {
        self.tls = Some(tls);
        self
    }

    /// Adds a subprotocol to offer.
    pub fn subprotocol(mut self, name: impl Into<String>) -> PlanBuilder {
        self.greeting.subprotocols.push(name.into());
        self
    }

    /// A text message that each connection sends when it is open, to log in or to
    /// subscribe.
    pub fn hello(mut self, text: impl Into<String>) -> PlanBuilder {
        self.greeting.hello = Some(text.into());
        self
    }
}

/// The check.
impl PlanBuilder {
    /// The plan, with its defaults filled in.
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::Secure`] and [`Error::Request`] for a request that
    /// cannot be sent, [`Error::InvalidSetting`] for a value out of range or one that
    /// does not fit the others, [`Error::UnusedSetting`] for a setting that the
    /// scenario does not use.
    pub fn build(self) -> Result<Plan, Error> {
        self.check_use()?;
        let url = websocket_url(&self.url)?;
        self.greeting
            .handshake(&url, [0; 16])
            .map_err(Error::Request)?;
        self.check_ranges()?;
        let scenario = self.scenario;
        let connections = self.connections.unwrap_or(default_connections(scenario));
        let slow = self.slow_of(connections)?;
        let fast = connections - slow;
        self.check_threads(connections, fast)?;
        let payload = self.payload.unwrap_or(Payload::Letters);
        Ok(Plan {
            scenario,
            url,
            connections,
            publishers: self.publishers_of(fast)?,
            slow,
            message_bytes: self.message_bytes_of(payload)?,
            payload,
            compress: self.compress,
            pace: self.pace.unwrap_or(Pace::Window(WINDOW)),
            binary: self.binary.unwrap_or(false),
            no_echo: self.no_echo,
            duration: self.duration,
            warm_up: self.warm_up.unwrap_or(default_warm_up(scenario)),
            settle: self.settle,
            drain: self.drain.unwrap_or(Duration::from_secs(5)),
            threads: self.threads,
            opening: self.opening,
            greeting: self.greeting,
            pid: self.pid,
            #[cfg(feature = "tls")]
            tls: self.tls,
        })
    }

    /// Refuses a setting that this scenario does not use.
    fn check_use(&self) -> Result<(), Error> {
        let publishes = self.scenario != Scenario::Idle;
        let fans_out = matches!(self.scenario, Scenario::FanOut | Scenario::Slow);
        for (setting, is_set, is_used) in [
            (
                "slow_percent",
                self.slow_percent.is_some(),
                self.scenario == Scenario::Slow,
            ),
            ("publishers", self.publishers.is_some(), fans_out),
            ("no_echo", self.no_echo, fans_out),
            ("message_bytes", self.message_bytes.is_some(), publishes),
            ("payload", self.payload.is_some(), publishes),
            ("pace", self.pace.is_some(), publishes),
            ("binary", self.binary.is_some(), publishes),
            ("drain", self.drain.is_some(), publishes),
            ("warm_up", self.warm_up.is_some(), publishes),
        ] {
            if is_set && !is_used {
                let scenario = self.scenario.name();
                return Err(Error::UnusedSetting { setting, scenario });
            }
        }
        Ok(())
    }

    /// Checks each setting by itself.
    fn check_ranges(&self) -> Result<(), Error> {
        let at_least_1 = |setting, value: Option<u32>| match value {
            Some(0) => Err(invalid(setting, "0", "expected at least 1")),
            _ => Ok(()),
        };
        at_least_1("connections", self.connections)?;
        at_least_1("publishers", self.publishers)?;
        at_least_1("threads", Some(self.threads))?;
        at_least_1("opening_at_once", Some(self.opening.at_once))?;
        if let Some(percent) = self
            .slow_percent
            .filter(|percent| !(1..=99).contains(percent))
        {
            return Err(invalid("slow_percent", percent, "expected 1 to 99"));
        }
        let pace = match self.pace {
            Some(Pace::Rate(rate)) => Some(rate),
            _ => None,
        };
        for (setting, rate) in [("pace", pace), ("connect_rate", self.opening.rate)] {
            if let Some(rate) = rate.filter(|rate| !RATES.contains(rate)) {
                let (from, to) = RATES.into_inner();
                let reason = format!("expected {from} to {to} a second");
                return Err(invalid(setting, rate, reason));
            }
        }
        for (setting, time, min) in [
            ("duration", Some(self.duration), Duration::from_nanos(1)),
            ("warm_up", self.warm_up, Duration::ZERO),
            ("settle", Some(self.settle), Duration::ZERO),
            ("drain", self.drain, Duration::ZERO),
            (
                "open_timeout",
                Some(self.opening.timeout),
                Duration::from_nanos(1),
            ),
        ] {
            if let Some(time) = time.filter(|time| !(min..=TIME_MAX).contains(time)) {
                let reason = match min.is_zero() {
                    true => "expected at most a day",
                    false => "expected more than 0 and at most a day",
                };
                return Err(invalid(setting, format!("{time:?}"), reason));
            }
        }
        Ok(())
    }

    fn check_threads(&self, connections: u32, fast: u32) -> Result<(), Error> {
        if self.threads > connections {
            return Err(invalid("threads", self.threads, "more than connections"));
        }
        if self.no_echo && fast < self.threads.saturating_mul(2) {
            let reason = "two members that read are needed for each thread";
            return Err(invalid("no_echo", "", reason));
        }
        Ok(())
    }

    /// At least one member stops reading, and at least one reads.
    fn slow_of(&self, connections: u32) -> Result<u32, Error> {
        if self.scenario != Scenario::Slow {
            return Ok(0);
        }
        if connections < 2 {
            let reason = "the scenario slow needs two";
            return Err(invalid("connections", connections, reason));
        }
        let percent = u64::from(self.slow_percent.unwrap_or(10));
        let slow = (u64::from(connections) * percent).div_ceil(100);
        Ok(u32::try_from(slow)
            .unwrap_or(connections)
            .min(connections - 1))
    }

    fn publishers_of(&self, fast: u32) -> Result<u32, Error> {
        match (self.scenario, self.publishers) {
            (Scenario::Idle, _) => Ok(0),
            (Scenario::Echo, _) => Ok(fast),
            (_, None) => Ok(fast.min(10)),
            (_, Some(publishers)) if publishers <= fast => Ok(publishers),
            (_, Some(publishers)) => {
                let reason = format!("there are {fast} members that read");
                Err(invalid("publishers", publishers, reason))
            }
        }
    }

    fn message_bytes_of(&self, payload: Payload) -> Result<usize, Error> {
        let bytes = match (payload, self.message_bytes) {
            (Payload::Letters, bytes) => bytes.unwrap_or(64),
            (Payload::Json, bytes) => bytes.unwrap_or(1024),
        };
        if !MESSAGE_BYTES.contains(&bytes) {
            let (from, to) = MESSAGE_BYTES.into_inner();
            let reason = format!("expected {from} to {to} bytes");
            return Err(invalid("message_bytes", bytes, reason));
        }
        if payload == Payload::Json && bytes < JSON_BYTES_MIN {
            let reason = format!("the shortest JSON message has {JSON_BYTES_MIN}");
            return Err(invalid("message_bytes", bytes, reason));
        }
        Ok(bytes)
    }
}

impl Greeting {
    /// A handshake with this URL and 16 unpredictable bytes.
    ///
    /// # Errors
    /// A field, origin or subprotocol that must not be sent.
    pub(crate) fn handshake(
        &self,
        url: &WebSocketUri,
        nonce: [u8; 16],
    ) -> Result<ClientHandshake, InvalidRequest> {
        let mut handshake = ClientHandshake::new(url, nonce);
        for (name, value) in &self.fields {
            handshake = handshake.field(name, value)?;
        }
        for name in &self.subprotocols {
            handshake = handshake.subprotocol(name)?;
        }
        match &self.origin {
            Some(origin) => handshake.origin(origin),
            None => Ok(handshake),
        }
    }
}

impl Scenario {
    /// All of them.
    pub const ALL: [Scenario; 4] = [
        Scenario::FanOut,
        Scenario::Idle,
        Scenario::Echo,
        Scenario::Slow,
    ];

    /// The name: `fan-out`, `idle`, `echo` or `slow`.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::FanOut => "fan-out",
            Scenario::Idle => "idle",
            Scenario::Echo => "echo",
            Scenario::Slow => "slow",
        }
    }
}

fn websocket_url(text: &str) -> Result<WebSocketUri, Error> {
    let url = || hide_credentials(text);
    match WebSocketUri::parse(text) {
        Ok(uri) if uri.secure() && !cfg!(feature = "tls") => Err(Error::Secure { url: url() }),
        Ok(uri) => Ok(uri),
        Err(source) => Err(Error::Url { url: url(), source }),
    }
}

fn default_connections(scenario: Scenario) -> u32 {
    match scenario {
        Scenario::Idle => 1_000,
        _ => 100,
    }
}

fn default_warm_up(scenario: Scenario) -> Duration {
    match scenario {
        Scenario::Idle => Duration::ZERO,
        _ => Duration::from_secs(2),
    }
}

fn invalid(setting: &'static str, value: impl ToString, reason: impl Into<String>) -> Error {
    Error::InvalidSetting {
        setting,
        value: value.to_string(),
        reason: reason.into(),
    }
}

/// The allowed bytes of a message: at least its head, at most 16 MiB.
pub const MESSAGE_BYTES: RangeInclusive<usize> = HEAD_BYTES..=16 << 20;
/// Messages or connections a second.
pub const RATES: RangeInclusive<f64> = 0.001..=100_000_000.0;
/// A day.
const TIME_MAX: Duration = Duration::from_secs(86_400);
/// Enough to keep every server busy, and few enough for its buffers.
const WINDOW: NonZeroU32 = NonZeroU32::new(64).expect("it is not 0");
/// Enough to hide a round trip, and less than any server's backlog.
const OPENING_AT_ONCE: u32 = 32;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const URL: &str = "ws://127.0.0.1:9/";

    /// A plan for a server that is never used.
    pub fn plan(scenario: Scenario, adjust: impl FnOnce(PlanBuilder) -> PlanBuilder) -> Plan {
        adjust(Plan::builder(scenario, URL)).build().expect("sound")
    }

    /// A window of this many messages.
    pub fn window(messages: u32) -> Pace {
        Pace::Window(NonZeroU32::new(messages).expect("at least 1"))
    }

    fn error(scenario: Scenario, adjust: impl FnOnce(PlanBuilder) -> PlanBuilder) -> String {
        let plan = adjust(Plan::builder(scenario, URL)).build();
        plan.expect_err("refused").to_string()
    }

    #[test]
    fn every_scenario_has_its_defaults() {
        let fan_out = plan(Scenario::FanOut, |plan| plan);
        assert_eq!(
            (fan_out.connections, fan_out.publishers, fan_out.slow),
            (100, 10, 0)
        );
        assert_eq!(fan_out.pace, Pace::Window(WINDOW));
        assert_eq!((fan_out.message_bytes, fan_out.binary), (64, false));
        assert_eq!(fan_out.warm_up, Duration::from_secs(2));
        let idle = plan(Scenario::Idle, |plan| plan);
        assert_eq!((idle.connections, idle.publishers), (1_000, 0));
        assert_eq!(idle.warm_up, Duration::ZERO);
        let echo = plan(Scenario::Echo, |plan| plan);
        assert_eq!((echo.connections, echo.publishers), (100, 100));
        let slow = plan(Scenario::Slow, |plan| plan);
        assert_eq!(
            (slow.connections, slow.publishers, slow.slow),
            (100, 10, 10)
        );
    }

    #[test]
    fn json_message_has_a_kibibyte_unless_another_length_is_set() {
        let bytes = |payload| plan(Scenario::Echo, |plan| plan.payload(payload)).message_bytes;
        assert_eq!(bytes(Payload::Json), 1024);
        assert_eq!(bytes(Payload::Letters), 64);
        let json =
            |bytes| move |plan: PlanBuilder| plan.payload(Payload::Json).message_bytes(bytes);
        let shortest = plan(Scenario::Echo, json(JSON_BYTES_MIN));
        assert_eq!(shortest.message_bytes, JSON_BYTES_MIN);
        let shorter = error(Scenario::Echo, json(JSON_BYTES_MIN - 1));
        assert!(shorter.contains("the shortest JSON message"), "{shorter}");
    }

    #[test]
    fn fewer_members_than_ten_all_publish() {
        let few = plan(Scenario::FanOut, |plan| plan.connections(3));
        assert_eq!(few.publishers, 3);
        let slow = plan(Scenario::Slow, |plan| plan.connections(2).slow_percent(99));
        assert_eq!((slow.slow, slow.publishers), (1, 1));
    }

    #[test]
    fn values_are_accepted_at_their_limit_and_refused_past_it() {
        type Adjust = fn(PlanBuilder) -> PlanBuilder;
        let cases: [(&str, Adjust, Adjust); 14] = [
            ("connections", |p| p.connections(0), |p| p.connections(2)),
            ("publishers", |p| p.publishers(0), |p| p.publishers(1)),
            ("publishers", |p| p.publishers(91), |p| p.publishers(90)),
            ("threads", |p| p.threads(0), |p| p.threads(1)),
            ("threads", |p| p.threads(101), |p| p.threads(100)),
            (
                "opening_at_once",
                |p| p.opening_at_once(0),
                |p| p.opening_at_once(1),
            ),
            ("slow_percent", |p| p.slow_percent(0), |p| p.slow_percent(1)),
            (
                "slow_percent",
                |p| p.slow_percent(100),
                |p| p.slow_percent(99).publishers(1),
            ),
            (
                "message_bytes",
                |p| p.message_bytes(39),
                |p| p.message_bytes(40),
            ),
            (
                "message_bytes",
                |p| p.message_bytes((16 << 20) + 1),
                |p| p.message_bytes(16 << 20),
            ),
            (
                "pace",
                |p| p.pace(Pace::Rate(f64::NAN)),
                |p| p.pace(Pace::Rate(0.001)),
            ),
            (
                "connect_rate",
                |p| p.connect_rate(1e8 + 1.0),
                |p| p.connect_rate(1e8),
            ),
            (
                "duration",
                |p| p.duration(Duration::ZERO),
                |p| p.duration(Duration::from_nanos(1)),
            ),
            (
                "open_timeout",
                |p| p.open_timeout(TIME_MAX + Duration::from_nanos(1)),
                |p| p.open_timeout(TIME_MAX),
            ),
        ];
        for (setting, outside, inside) in cases {
            let message = error(Scenario::Slow, outside);
            assert!(message.starts_with(setting), "{setting}: {message}");
            plan(Scenario::Slow, inside);
        }
    }

    #[test]
    fn settings_that_do_not_fit_each_other_or_the_scenario_are_refused() {
        let fan_out = |adjust: fn(PlanBuilder) -> PlanBuilder| error(Scenario::FanOut, adjust);
        assert_eq!(
            fan_out(|plan| plan.publishers(101)),
            "publishers 101: there are 100 members that read"
        );
        assert_eq!(
            fan_out(|plan| plan.connections(3).threads(2).no_echo()),
            "no_echo: two members that read are needed for each thread"
        );
        assert_eq!(
            fan_out(|plan| plan.slow_percent(3)),
            "slow_percent is not for the scenario fan-out"
        );
        assert_eq!(
            error(Scenario::Slow, |plan| plan.connections(1)),
            "connections 1: the scenario slow needs two"
        );
        assert_eq!(
            error(Scenario::Idle, |plan| plan.pace(window(3))),
            "pace is not for the scenario idle"
        );
        assert_eq!(
            error(Scenario::Echo, |plan| plan.no_echo()),
            "no_echo is not for the scenario echo"
        );
    }

    #[test]
    fn urls_and_fields_that_cannot_be_sent_are_refused() {
        let url = |url: &str| Plan::builder(Scenario::Idle, url).build();
        assert!(matches!(url("http://h/"), Err(Error::Url { .. })));
        #[cfg(not(feature = "tls"))]
        assert!(matches!(url("wss://h/"), Err(Error::Secure { .. })));
        let host = Plan::builder(Scenario::Idle, URL).header("Host", "a");
        assert!(matches!(host.build(), Err(Error::Request(_))));
    }

    #[test]
    fn last_members_are_the_slow_ones() {
        let plan = plan(Scenario::Slow, |plan| plan.connections(10).slow_percent(20));
        let slow: Vec<_> = (0..10).filter(|&member| plan.is_slow(member)).collect();
        assert_eq!((slow, plan.fast()), (vec![8, 9], 8));
    }

    #[test]
    fn request_contains_the_configured_header_fields() {
        let plan = Plan::builder(Scenario::Idle, "ws://127.0.0.1:9/a")
            .header("X-A", "b")
            .origin("https://a.example")
            .subprotocol("c")
            .subprotocol("d")
            .build()
            .expect("sound");
        let handshake = plan.greeting.handshake(&plan.url, [0; 16]).expect("valid");
        let mut request = Vec::new();
        handshake.write_request(&mut request);
        let request = String::from_utf8(request).expect("ASCII");
        assert!(request.starts_with("GET /a HTTP/1.1\r\nHost: 127.0.0.1:9\r\n"));
        for line in [
            "X-A: b",
            "Origin: https://a.example",
            "Sec-WebSocket-Protocol: c, d",
        ] {
            assert!(request.contains(&format!("\r\n{line}\r\n")), "{request}");
        }
    }
}
