//! The words behind `bench` as a [`Plan`].
//!
//! A pure function, as [`crate::arguments`] is: it opens nothing. What
//! makes no sense for a scenario is refused, not passed over.

use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use yamabiko::websocket::handshake::WebSocketUri;

use super::payload::{HEAD_BYTES, JSON_BYTES_MIN, Kind};
use super::plan::{Greeting, Opening, Pace, Plan, Scenario};
use crate::arguments::{Command, Given, Topic, bytes, interval, seconds, value};

/// The flags as they were given.
#[derive(Default)]
struct Flags {
    connections: Option<NonZeroU32>,
    publishers: Option<NonZeroU32>,
    bytes: Option<usize>,
    window: Option<NonZeroU32>,
    rate: Option<f64>,
    duration: Option<Duration>,
    /// `Some(None)`: none.
    warm_up: Option<Option<Duration>>,
    settle: Option<Option<Duration>>,
    drain: Option<Duration>,
    binary: Option<bool>,
    payload: Option<Kind>,
    compress: bool,
    no_echo: bool,
    slow_percent: Option<u32>,
    threads: Option<NonZeroU32>,
    connect_rate: Option<f64>,
    opening_at_once: Option<NonZeroU32>,
    open_timeout: Option<Duration>,
    source_addresses: Vec<IpAddr>,
    greeting: Greeting,
    pid: Option<NonZeroU32>,
    json: bool,
    progress: Option<bool>,
    /// The names of all of them, in order.
    given: Given,
}

/// Reads the words behind `bench`.
pub(crate) fn parse(parser: &mut Parser) -> Result<Command, lexopt::Error> {
    let (mut scenario, mut url) = (None, None);
    let mut flags = Flags::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Bench)),
            Arg::Short('V') | Arg::Long("version") => return Ok(Command::Version),
            Arg::Long(flag) => {
                let flag = flag.to_owned();
                read_flag(&flag, parser, &mut flags)?;
                flags.given.add(flag, &["header", "subprotocol"])?;
            }
            Arg::Value(word) if scenario.is_none() => scenario = Some(named(&word.string()?)?),
            Arg::Value(word) if url.is_none() => url = Some(word.string()?),
            other => return Err(other.unexpected()),
        }
    }
    let scenario = scenario.ok_or("bench needs a scenario: fan-out, idle, echo or slow")?;
    let url = url.ok_or("bench needs a URL such as ws://127.0.0.1:8080/broadcast/bench")?;
    let plan = flags.plan(scenario, &url)?;
    Ok(Command::Bench(Box::new(plan)))
}

fn named(word: &str) -> Result<Scenario, String> {
    [
        Scenario::FanOut,
        Scenario::Idle,
        Scenario::Echo,
        Scenario::Slow,
    ]
    .into_iter()
    .find(|scenario| scenario.name() == word)
    .ok_or_else(|| format!("there is no scenario '{word}': fan-out, idle, echo or slow"))
}

fn read_flag(flag: &str, parser: &mut Parser, flags: &mut Flags) -> Result<(), lexopt::Error> {
    match flag {
        "connections" => flags.connections = Some(value(flag, parser, number)?),
        "publishers" => flags.publishers = Some(value(flag, parser, number)?),
        "bytes" => flags.bytes = Some(value(flag, parser, message_bytes)?),
        "window" => flags.window = Some(value(flag, parser, number)?),
        "rate" => flags.rate = Some(value(flag, parser, rate)?),
        "duration" => flags.duration = Some(value(flag, parser, seconds)?),
        "warm-up" => flags.warm_up = Some(value(flag, parser, interval)?),
        "settle" => flags.settle = Some(value(flag, parser, interval)?),
        "drain" => flags.drain = Some(value(flag, parser, seconds)?),
        "text" => flags.binary = Some(false),
        "binary" => flags.binary = Some(true),
        "payload" => flags.payload = Some(value(flag, parser, payload)?),
        "compress" => flags.compress = true,
        "no-echo" => flags.no_echo = true,
        "slow-percent" => flags.slow_percent = Some(value(flag, parser, percent)?),
        "threads" => flags.threads = Some(value(flag, parser, number)?),
        "pid" => flags.pid = Some(value(flag, parser, number)?),
        "json" => flags.json = true,
        "progress" => flags.progress = Some(true),
        "no-progress" => flags.progress = Some(false),
        _ => read_opening_flag(flag, parser, flags)?,
    }
    Ok(())
}

fn read_opening_flag(
    flag: &str,
    parser: &mut Parser,
    flags: &mut Flags,
) -> Result<(), lexopt::Error> {
    let greeting = &mut flags.greeting;
    match flag {
        "connect-rate" => flags.connect_rate = Some(value(flag, parser, rate)?),
        "opening-at-once" => flags.opening_at_once = Some(value(flag, parser, number)?),
        "open-timeout" => flags.open_timeout = Some(value(flag, parser, seconds)?),
        "source-addresses" => flags.source_addresses = value(flag, parser, addresses)?,
        "header" => greeting.fields.push(value(flag, parser, field)?),
        "origin" => greeting.origin = Some(parser.value()?.string()?),
        "subprotocol" => greeting.subprotocols.push(parser.value()?.string()?),
        "hello" => greeting.hello = Some(parser.value()?.string()?),
        _ => return Err(Arg::Long(flag).unexpected()),
    }
    Ok(())
}

impl Flags {
    fn plan(self, scenario: Scenario, url: &str) -> Result<Plan, String> {
        self.check_scenario(scenario)?;
        self.check_opposites()?;
        let url = websocket_url(url)?;
        self.greeting
            .handshake(&url, [0; 16])
            .map_err(|error| error.to_string())?;
        let connections = self
            .connections
            .map_or(default_connections(scenario), NonZeroU32::get);
        let slow = self.slow_members(scenario, connections)?;
        let fast = connections - slow;
        let threads = self.threads.map_or(1, NonZeroU32::get);
        if threads > connections {
            return Err(format!("--threads {threads}: more than connections"));
        }
        if self.no_echo && fast < threads.saturating_mul(2) {
            return Err("--no-echo needs two members that read for each thread".to_owned());
        }
        let payload = self.payload.unwrap_or(Kind::Letters);
        Ok(Plan {
            scenario,
            connections,
            publishers: self.publishing_members(scenario, fast)?,
            slow,
            message_bytes: self.message_bytes(payload)?,
            payload,
            compress: self.compress,
            pace: self.pace()?,
            binary: self.binary.unwrap_or(false),
            no_echo: self.no_echo,
            duration: self.duration.unwrap_or(Duration::from_secs(10)),
            warm_up: self
                .warm_up
                .unwrap_or_else(|| default_warm_up(scenario))
                .unwrap_or_default(),
            settle: self
                .settle
                .map_or(Duration::from_millis(200), Option::unwrap_or_default),
            drain: self.drain.unwrap_or(Duration::from_secs(5)),
            threads,
            opening: Opening {
                rate: self.connect_rate,
                at_once: self.opening_at_once.unwrap_or(OPENING_AT_ONCE),
                source_addresses: self.source_addresses,
                timeout: self.open_timeout.unwrap_or(Duration::from_secs(10)),
            },
            pid: self.pid.map(NonZeroU32::get),
            json: self.json,
            progress: self.progress,
            greeting: self.greeting,
            url,
        })
    }

    /// No flag that this scenario has no use for.
    fn check_scenario(&self, scenario: Scenario) -> Result<(), String> {
        let useless: &[&str] = match scenario {
            Scenario::Slow => &[],
            Scenario::FanOut => &["slow-percent"],
            Scenario::Echo => &["slow-percent", "publishers", "no-echo"],
            Scenario::Idle => &[
                "slow-percent",
                "publishers",
                "no-echo",
                "bytes",
                "payload",
                "window",
                "rate",
                "text",
                "binary",
                "drain",
                "warm-up",
            ],
        };
        match self.given.iter().find(|flag| useless.contains(flag)) {
            Some(flag) => Err(format!("--{flag} is not for 'bench {}'", scenario.name())),
            None => Ok(()),
        }
    }

    /// Of two flags that say the opposite of each other, not both.
    fn check_opposites(&self) -> Result<(), String> {
        for (one, other) in [("text", "binary"), ("progress", "no-progress")] {
            if [one, other]
                .iter()
                .all(|flag| self.given.iter().any(|given| given == *flag))
            {
                return Err(format!("either --{one} or --{other}"));
            }
        }
        Ok(())
    }

    /// At least one member, and at least one that is not, stops reading.
    fn slow_members(&self, scenario: Scenario, connections: u32) -> Result<u32, String> {
        if scenario != Scenario::Slow {
            return Ok(0);
        }
        if connections < 2 {
            return Err("'bench slow' needs two connections".to_owned());
        }
        let percent = u64::from(self.slow_percent.unwrap_or(10));
        let slow = (u64::from(connections) * percent).div_ceil(100);
        Ok(u32::try_from(slow)
            .unwrap_or(connections)
            .min(connections - 1))
    }

    fn publishing_members(&self, scenario: Scenario, fast: u32) -> Result<u32, String> {
        match (scenario, self.publishers.map(NonZeroU32::get)) {
            (Scenario::Idle, _) => Ok(0),
            (Scenario::Echo, _) => Ok(fast),
            (_, None) => Ok(fast.min(10)),
            (_, Some(publishers)) if publishers <= fast => Ok(publishers),
            (_, Some(publishers)) => Err(format!(
                "--publishers {publishers}: there are {fast} members that read"
            )),
        }
    }

    fn message_bytes(&self, payload: Kind) -> Result<usize, String> {
        match (payload, self.bytes) {
            (Kind::Letters, bytes) => Ok(bytes.unwrap_or(64)),
            (Kind::Json, None) => Ok(1024),
            (Kind::Json, Some(bytes)) if bytes >= JSON_BYTES_MIN => Ok(bytes),
            (Kind::Json, Some(bytes)) => Err(format!(
                "--bytes {bytes}: the shortest JSON message has {JSON_BYTES_MIN}"
            )),
        }
    }

    fn pace(&self) -> Result<Pace, String> {
        match (self.window, self.rate) {
            (Some(_), Some(_)) => Err("either --window or --rate".to_owned()),
            (_, Some(rate)) => Ok(Pace::Rate(rate)),
            (window, None) => Ok(Pace::Window(window.unwrap_or(WINDOW))),
        }
    }
}

fn default_connections(scenario: Scenario) -> u32 {
    match scenario {
        Scenario::Idle => 1_000,
        _ => 100,
    }
}

fn default_warm_up(scenario: Scenario) -> Option<Duration> {
    match scenario {
        Scenario::Idle => None,
        _ => Some(Duration::from_secs(2)),
    }
}

fn websocket_url(word: &str) -> Result<WebSocketUri, String> {
    let url = WebSocketUri::parse(word).map_err(|error| format!("'{word}': {error}"))?;
    if url.secure() {
        return Err(format!(
            "'{word}': wss is not spoken here; load what is behind the proxy"
        ));
    }
    Ok(url)
}

fn number(word: &str) -> Result<NonZeroU32, String> {
    word.parse()
        .map_err(|_| "expected a whole number from 1".to_owned())
}

fn message_bytes(word: &str) -> Result<usize, String> {
    match bytes(word)? {
        bytes @ HEAD_BYTES..=MESSAGE_BYTES_MAX => Ok(bytes),
        _ => Err(format!("expected {HEAD_BYTES} bytes to 16MiB")),
    }
}

fn payload(word: &str) -> Result<Kind, String> {
    match word {
        "letters" => Ok(Kind::Letters),
        "json" => Ok(Kind::Json),
        _ => Err("expected letters or json".to_owned()),
    }
}

fn rate(word: &str) -> Result<f64, String> {
    match word.parse() {
        Ok(rate) if (0.001..=100_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("expected a number a second, such as 5000 or 0.5".to_owned()),
    }
}

fn percent(word: &str) -> Result<u32, String> {
    match word.parse() {
        Ok(percent @ 1..=99) => Ok(percent),
        _ => Err("expected a whole number from 1 to 99".to_owned()),
    }
}

fn field(word: &str) -> Result<(String, String), String> {
    let (name, value) = word
        .split_once(':')
        .ok_or_else(|| "expected a field such as 'Cookie: a=b'".to_owned())?;
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// A number of loopback addresses, from 127.0.0.2 on, or the addresses
/// themselves.
fn addresses(word: &str) -> Result<Vec<IpAddr>, String> {
    let wanted = || "expected a number up to 65000, or addresses with commas between".to_owned();
    if let Ok(count) = word.parse::<NonZeroUsize>() {
        let first = u32::from(Ipv4Addr::new(127, 0, 0, 2));
        return match count.get() {
            count @ 1..=65_000 => Ok((first..)
                .take(count)
                .map(|bits| Ipv4Addr::from(bits).into())
                .collect()),
            _ => Err(wanted()),
        };
    }
    word.split(',')
        .map(|address| address.trim().parse().map_err(|_| wanted()))
        .collect()
}

/// Keeps every server busy, and few enough for its buffers.
const WINDOW: NonZeroU32 = NonZeroU32::new(64).expect("it is not 0");
/// Enough to hide a round trip, and less than any server's backlog.
const OPENING_AT_ONCE: NonZeroU32 = NonZeroU32::new(32).expect("it is not 0");
const MESSAGE_BYTES_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::super::plan::tests::plan;
    use super::*;
    use crate::arguments;

    const URL: &str = "ws://127.0.0.1:9/room";

    fn error(line: &str) -> String {
        arguments::parse(line.split_whitespace().map(Into::into))
            .expect_err(line)
            .to_string()
    }

    #[test]
    fn every_scenario_has_its_defaults() {
        let fan_out = plan(&format!("bench fan-out {URL}"));
        assert_eq!(
            (fan_out.connections, fan_out.publishers, fan_out.slow),
            (100, 10, 0)
        );
        assert_eq!(fan_out.pace, Pace::Window(WINDOW));
        assert_eq!((fan_out.message_bytes, fan_out.binary), (64, false));
        assert_eq!(fan_out.warm_up, Duration::from_secs(2));
        let idle = plan(&format!("bench idle {URL}"));
        assert_eq!((idle.connections, idle.publishers), (1_000, 0));
        assert_eq!(idle.warm_up, Duration::ZERO);
        let echo = plan(&format!("bench echo {URL}"));
        assert_eq!((echo.connections, echo.publishers), (100, 100));
        let slow = plan(&format!("bench slow {URL}"));
        assert_eq!(
            (slow.connections, slow.publishers, slow.slow),
            (100, 10, 10)
        );
    }

    #[test]
    fn every_flag_reaches_its_setting() {
        let plan = plan(&format!(
            "bench slow --connections 50 --publishers 5 --bytes 1KiB --rate 250.5 --duration 3 \
             --warm-up 0 --settle 0.5 --drain 2 --binary --no-echo --slow-percent 25 --threads 2 \
             --connect-rate 100 --opening-at-once 1 --open-timeout 4 --source-addresses 2 \
             --header Cookie:a=b --origin https://a.example --subprotocol x --hello hi --pid 7 \
             --json --no-progress --payload json --compress {URL}"
        ));
        let expected = Plan {
            scenario: Scenario::Slow,
            url: WebSocketUri::parse(URL).expect("a URL"),
            greeting: Greeting {
                fields: vec![("Cookie".into(), "a=b".into())],
                origin: Some("https://a.example".into()),
                subprotocols: vec!["x".into()],
                hello: Some("hi".into()),
            },
            connections: 50,
            publishers: 5,
            slow: 13,
            message_bytes: 1024,
            payload: Kind::Json,
            compress: true,
            pace: Pace::Rate(250.5),
            binary: true,
            no_echo: true,
            duration: Duration::from_secs(3),
            warm_up: Duration::ZERO,
            settle: Duration::from_millis(500),
            drain: Duration::from_secs(2),
            threads: 2,
            opening: Opening {
                rate: Some(100.0),
                at_once: NonZeroU32::MIN,
                source_addresses: vec![
                    Ipv4Addr::new(127, 0, 0, 2).into(),
                    Ipv4Addr::new(127, 0, 0, 3).into(),
                ],
                timeout: Duration::from_secs(4),
            },
            pid: Some(7),
            json: true,
            progress: Some(false),
        };
        assert_eq!(plan, expected);
    }

    #[test]
    fn a_json_message_has_a_kibibyte_unless_another_length_is_asked_for() {
        let bytes = |flags: &str| plan(&format!("bench echo {URL} {flags}")).message_bytes;
        assert_eq!(bytes("--payload json"), 1024);
        assert_eq!(bytes("--payload letters"), 64);
        let shortest = format!("--payload json --bytes {JSON_BYTES_MIN}");
        assert_eq!(bytes(&shortest), JSON_BYTES_MIN);
        let shorter = format!(
            "bench echo {URL} --payload json --bytes {}",
            JSON_BYTES_MIN - 1
        );
        assert!(error(&shorter).contains("the shortest JSON message"));
    }

    #[test]
    fn fewer_members_than_ten_all_publish() {
        assert_eq!(
            plan(&format!("bench fan-out {URL} --connections 3")).publishers,
            3
        );
        let slow = plan(&format!(
            "bench slow {URL} --connections 2 --slow-percent 99"
        ));
        assert_eq!((slow.slow, slow.publishers), (1, 1));
    }

    #[test]
    fn source_addresses_may_be_written_out() {
        let plan = plan(&format!("bench idle {URL} --source-addresses 10.0.0.1,::1"));
        let expected: [IpAddr; 2] = [
            Ipv4Addr::new(10, 0, 0, 1).into(),
            "::1".parse().expect("an IP"),
        ];
        assert_eq!(plan.opening.source_addresses, expected);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (line, expected) in [
            (
                "bench",
                "bench needs a scenario: fan-out, idle, echo or slow",
            ),
            ("bench fan-out", "bench needs a URL such as ws://"),
            ("bench sing ws://h/", "there is no scenario 'sing'"),
            (
                "bench idle ws://h/ ws://h/",
                "unexpected argument \"ws://h/\"",
            ),
            (
                "bench idle http://h/",
                "'http://h/': the URI does not begin with ws://",
            ),
            ("bench idle wss://h/", "'wss://h/': wss is not spoken here"),
            (
                "bench idle ws://h/ --window 3",
                "--window is not for 'bench idle'",
            ),
            (
                "bench echo ws://h/ --no-echo",
                "--no-echo is not for 'bench echo'",
            ),
            (
                "bench fan-out ws://h/ --slow-percent 3",
                "--slow-percent is not for 'bench fan-out'",
            ),
            (
                "bench echo ws://h/ --window 3 --rate 3",
                "either --window or --rate",
            ),
            (
                "bench echo ws://h/ --bytes 39",
                "--bytes '39': expected 40 bytes to 16MiB",
            ),
            (
                "bench echo ws://h/ --payload xml",
                "--payload 'xml': expected letters or json",
            ),
            (
                "bench idle ws://h/ --payload json",
                "--payload is not for 'bench idle'",
            ),
            (
                "bench echo ws://h/ --bytes 17MiB",
                "--bytes '17MiB': expected",
            ),
            (
                "bench echo ws://h/ --rate 0",
                "--rate '0': expected a number a second",
            ),
            ("bench echo ws://h/ --rate nan", "--rate 'nan': expected"),
            (
                "bench fan-out ws://h/ --publishers 101",
                "--publishers 101: there are 100 members",
            ),
            (
                "bench echo ws://h/ --threads 101",
                "--threads 101: more than connections",
            ),
            (
                "bench slow ws://h/ --connections 1",
                "'bench slow' needs two connections",
            ),
            (
                "bench slow ws://h/ --slow-percent 100",
                "--slow-percent '100': expected",
            ),
            (
                "bench fan-out ws://h/ --connections 1 --no-echo",
                "--no-echo needs two members",
            ),
            (
                "bench echo ws://h/ --source-addresses 65001",
                "--source-addresses '65001': expected",
            ),
            (
                "bench echo ws://h/ --source-addresses a",
                "--source-addresses 'a': expected",
            ),
            (
                "bench echo ws://h/ --header Cookie",
                "--header 'Cookie': expected a field",
            ),
            ("bench echo ws://h/ --header Host:a", "the field is set by"),
            (
                "bench echo ws://h/ --pid 0",
                "--pid '0': expected a whole number",
            ),
            ("bench echo ws://h/ --sing", "invalid option '--sing'"),
        ] {
            let error = error(line);
            assert!(error.starts_with(expected), "{line}: {error}");
            assert!(error.ends_with("(see 'yamabiko bench --help')"), "{error}");
        }
    }

    #[test]
    fn help_is_asked_for_in_three_ways() {
        for line in ["bench --help", "bench fan-out -h", "help bench"] {
            let words = line.split_whitespace().map(Into::into);
            assert_eq!(
                arguments::parse(words),
                Ok(Command::Help(Topic::Bench)),
                "{line}"
            );
        }
    }
}
