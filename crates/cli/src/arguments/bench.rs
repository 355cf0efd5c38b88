//! The arguments of `bench`, and the plan that they make.
//!
//! Each option is a setting of [`PlanBuilder`], which has the defaults and checks that the
//! settings fit each other. Its errors are reported with the names of the options.

use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use yamabiko::tls::ClientTls;
use yamabiko_load::{Error, MESSAGE_BYTES, Pace, Payload, Plan, PlanBuilder, RATES, Scenario};

use super::values::{bytes, seconds, seconds_or_zero, seconds_text};
use crate::output::chain;
use crate::tls::TrustSettings;

/// One run, and how it is shown.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_help = UNITS, after_long_help = DETAILS)]
pub(crate) struct BenchArguments {
    /// What is measured
    #[arg(value_parser = scenarios())]
    pub scenario: Scenario,
    /// The server: ws://HOST[:PORT]/PATH, or wss://
    pub url: String,

    /// Number of connections; each is a member
    #[arg(long, value_name = "N", value_parser = number, help_heading = LOAD)]
    pub connections: Option<u32>,
    /// Number of members that publish (fan-out, slow)
    #[arg(long, value_name = "N", value_parser = number, help_heading = LOAD)]
    pub publishers: Option<u32>,
    /// Bytes of a message, 40 to 16MiB (not idle)
    #[arg(long = "bytes", value_name = "BYTES", value_parser = message_bytes, help_heading = LOAD)]
    pub message_bytes: Option<usize>,
    /// Closed loop: messages of a publisher in flight; it sends the next one when it
    /// receives its own (not idle)
    #[arg(long, value_name = "N", value_parser = window, help_heading = LOAD)]
    pub window: Option<NonZeroU32>,
    /// Open loop: messages a second, of all publishers together (not idle)
    ///
    /// The latency of a message counts from the time at which it was due, however late it
    /// was sent.
    #[arg(long, value_name = "R", value_parser = rate, conflicts_with = "window", help_heading = LOAD)]
    pub rate: Option<f64>,
    /// The content of a message (not idle)
    #[arg(long, value_name = "KIND", value_parser = payloads(), help_heading = LOAD)]
    pub payload: Option<Payload>,
    /// Text messages, the default (not idle)
    #[arg(long, help_heading = LOAD)]
    pub text: bool,
    /// Binary messages (not idle)
    #[arg(long, conflicts_with = "text", help_heading = LOAD)]
    pub binary: bool,
    /// The server does not send messages back to their publisher (fan-out, slow)
    ///
    /// In closed loop, a publisher is then paced by the receipts of another member.
    #[arg(long, help_heading = LOAD)]
    pub no_echo: bool,
    /// Percentage of members that stop reading when the measuring begins, 1 to 99 (slow)
    ///
    /// After a member stops reading, its kernel still accepts up to 64 KiB.
    #[arg(long, value_name = "P", value_parser = percent, help_heading = LOAD)]
    pub slow_percent: Option<u32>,
    /// Seconds that are measured
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = LOAD)]
    pub duration: Option<Duration>,
    /// Seconds of load before the measuring; 0: none (not idle)
    #[arg(long, value_name = "SECONDS", value_parser = seconds_or_zero, help_heading = LOAD)]
    pub warm_up: Option<Duration>,
    /// At the end, wait until nothing has arrived for so many seconds; what is missing then
    /// is lost (not idle)
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = LOAD)]
    pub drain: Option<Duration>,
    /// Threads, each with its share of the members
    #[arg(long, value_name = "N", value_parser = number, help_heading = LOAD)]
    pub threads: Option<u32>,
    /// Offer permessage-deflate (RFC 7692); a server that declines is an error
    ///
    /// The offer is without context takeover. Messages of the server may be compressed;
    /// messages of the load are not.
    #[arg(long, help_heading = LOAD)]
    pub compress: bool,

    /// Connections that are opened in a second
    #[arg(long, value_name = "R", value_parser = rate, help_heading = OPENING)]
    pub connect_rate: Option<f64>,
    /// Connections between SYN and 101; RFC 6455 asks clients for 1
    #[arg(long, value_name = "N", value_parser = number, help_heading = OPENING)]
    pub opening_at_once: Option<u32>,
    /// Seconds for TCP and the opening handshake of one connection
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = OPENING)]
    pub open_timeout: Option<Duration>,
    /// Seconds between the last opening and the load
    #[arg(long, value_name = "SECONDS", value_parser = seconds_or_zero, help_heading = OPENING)]
    pub settle: Option<Duration>,
    /// Connect from N addresses in turn, 127.0.0.2 and following, or from these addresses,
    /// separated by commas: each has some 28,000 ports
    #[arg(long, value_name = "N|IPS", value_parser = addresses, help_heading = OPENING)]
    pub source_addresses: Option<SourceAddresses>,
    /// A header field of the request; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header, help_heading = OPENING)]
    pub headers: Vec<(String, String)>,
    /// The request's Origin
    #[arg(long, value_name = "ORIGIN", help_heading = OPENING)]
    pub origin: Option<String>,
    /// A subprotocol to offer; may be repeated
    #[arg(long = "subprotocol", value_name = "NAME", help_heading = OPENING)]
    pub subprotocols: Vec<String>,
    /// A message that each connection sends when it is open, to log in or to subscribe
    #[arg(long, value_name = "TEXT", help_heading = OPENING)]
    pub hello: Option<String>,

    #[command(flatten)]
    pub trust: TrustSettings,

    /// The server's process on this machine: report its CPU time and memory (Linux)
    #[arg(long, value_name = "PID", value_parser = number, help_heading = OUTPUT)]
    pub pid: Option<u32>,
    /// Report as JSON
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,
    /// Show the progress on standard error; the default if that is a terminal
    #[arg(long, help_heading = OUTPUT)]
    pub progress: bool,
    /// Do not show the progress
    #[arg(long, conflicts_with = "progress", help_heading = OUTPUT)]
    pub no_progress: bool,
}

/// The addresses that are connected from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SourceAddresses(Vec<IpAddr>);

const LOAD: &str = "Load";
const OPENING: &str = "Opening";
const OUTPUT: &str = "Output";

macro_rules! units {
    () => {
        "\
Bytes are written as 65536, 64KiB or 1MiB; seconds may have decimals: 0.25. Scenarios in \
brackets: the option is for these alone, 'not idle' for all others. Environment variables do \
not set options of bench. docs/bench.md explains closed loop, open loop and the report."
    };
}

const UNITS: &str = units!();

const DETAILS: &str = concat!(
    units!(),
    "

Every message carries its publisher, its number and its time in 40 bytes, as text. Every number \
is checked at every member: a message that is lost, doubled, out of order or changed makes the \
exit status 1. The latency of every delivery is measured, from sending to receiving; nothing is \
sampled. Messages of others in the same room are not counted.

Ctrl-C ends the measuring and prints the report so far. Exit status: 0 success; 1 the server \
failed, or there was none; 2 usage error.

Examples:
  yamabiko bench fan-out ws://127.0.0.1:8080/broadcast/bench --connections 1000
  yamabiko bench echo ws://127.0.0.1:9001/ --rate 5000 --connections 50
  yamabiko bench idle ws://127.0.0.1:8080/broadcast/bench --connections 10000 \\
      --pid $(pgrep -x yamabiko)"
);

impl BenchArguments {
    /// The plan of these arguments. `tls`: whom it trusts, if they say so.
    ///
    /// # Errors
    /// A usage error: a setting that does not fit the scenario or another setting.
    pub(crate) fn plan(&self, tls: Option<ClientTls>) -> Result<Plan, String> {
        let plan = self.set_opening(self.set_load(Plan::builder(self.scenario, &self.url)));
        let plan = set(plan, tls, PlanBuilder::tls);
        plan.build().map_err(|error| self.explain(&error))
    }

    /// Whether the progress is shown. `None`: if standard error is a terminal.
    pub(crate) fn shows_progress(&self) -> Option<bool> {
        (self.progress || self.no_progress).then_some(self.progress)
    }

    fn set_load(&self, plan: PlanBuilder) -> PlanBuilder {
        let plan = set(plan, self.connections, PlanBuilder::connections);
        let plan = set(plan, self.publishers, PlanBuilder::publishers);
        let plan = set(plan, self.message_bytes, PlanBuilder::message_bytes);
        let plan = set(plan, self.window.map(Pace::Window), PlanBuilder::pace);
        let plan = set(plan, self.rate.map(Pace::Rate), PlanBuilder::pace);
        let plan = set(plan, self.payload, PlanBuilder::payload);
        let binary = (self.text || self.binary).then_some(self.binary);
        let plan = set(plan, binary, PlanBuilder::binary);
        let plan = set_if(plan, self.no_echo, PlanBuilder::no_echo);
        let plan = set(plan, self.slow_percent, PlanBuilder::slow_percent);
        let plan = set(plan, self.duration, PlanBuilder::duration);
        let warm_up = self.warm_up;
        let plan = set(plan, warm_up, PlanBuilder::warm_up);
        let plan = set(plan, self.drain, PlanBuilder::drain);
        let plan = set(plan, self.threads, PlanBuilder::threads);
        let plan = set_if(plan, self.compress, PlanBuilder::compress);
        set(plan, self.pid, PlanBuilder::pid)
    }

    fn set_opening(&self, plan: PlanBuilder) -> PlanBuilder {
        let plan = set(plan, self.connect_rate, PlanBuilder::connect_rate);
        let plan = set(plan, self.opening_at_once, PlanBuilder::opening_at_once);
        let plan = set(plan, self.open_timeout, PlanBuilder::open_timeout);
        let settle = self.settle;
        let plan = set(plan, settle, PlanBuilder::settle);
        let addresses = self.source_addresses.clone().map(|addresses| addresses.0);
        let plan = set(plan, addresses, PlanBuilder::source_addresses);
        let add_header =
            |plan: PlanBuilder, (name, value): &(String, String)| plan.header(name, value);
        let plan = self.headers.iter().fold(plan, add_header);
        let plan = set(plan, self.origin.as_ref(), PlanBuilder::origin);
        let plan = self
            .subprotocols
            .iter()
            .fold(plan, PlanBuilder::subprotocol);
        set(plan, self.hello.as_ref(), PlanBuilder::hello)
    }

    /// The error in a plan, in terms of the options.
    fn explain(&self, error: &Error) -> String {
        match error {
            Error::InvalidSetting {
                setting,
                value,
                reason,
            } => {
                let option = self.option_of(setting);
                match value.is_empty() {
                    true => format!("--{option}: {reason}"),
                    false => format!("--{option} {value}: {reason}"),
                }
            }
            Error::UnusedSetting { setting, scenario } => {
                let option = self.option_of(setting);
                format!("--{option} is not for 'bench {scenario}'")
            }
            error => chain(error),
        }
    }

    /// The option that this setting came from.
    fn option_of(&self, setting: &str) -> String {
        match setting {
            "message_bytes" => "bytes".to_owned(),
            "pace" if self.rate.is_some() => "rate".to_owned(),
            "pace" => "window".to_owned(),
            "binary" if self.text => "text".to_owned(),
            _ => setting.replace('_', "-"),
        }
    }
}

fn set<T>(
    plan: PlanBuilder,
    value: Option<T>,
    method: fn(PlanBuilder, T) -> PlanBuilder,
) -> PlanBuilder {
    match value {
        Some(value) => method(plan, value),
        None => plan,
    }
}

fn set_if(
    plan: PlanBuilder,
    is_given: bool,
    method: fn(PlanBuilder) -> PlanBuilder,
) -> PlanBuilder {
    if is_given { method(plan) } else { plan }
}

/// The defaults that the help names: the argument's name and its value.
pub(crate) fn defaults() -> Vec<(&'static str, String)> {
    let plan = |scenario| Plan::builder(scenario, "ws://127.0.0.1/");
    let (slow, json, idle) = (
        plan(Scenario::Slow).build(),
        plan(Scenario::Slow).payload(Payload::Json).build(),
        plan(Scenario::Idle).build(),
    );
    // A plan of defaults alone is always sound.
    let (Ok(slow), Ok(json), Ok(idle)) = (slow, json, idle) else {
        return Vec::new();
    };
    let mut defaults = vec![
        (
            "connections",
            format!("{}; idle: {}", slow.connections(), idle.connections()),
        ),
        ("publishers", slow.publishers().to_string()),
        (
            "message_bytes",
            format!("{}; json: {}", slow.message_bytes(), json.message_bytes()),
        ),
        ("payload", "letters".to_owned()),
        (
            "slow_percent",
            (100 * slow.slow_members() / slow.connections()).to_string(),
        ),
        ("duration", seconds_text(slow.duration())),
        ("warm_up", seconds_text(slow.warm_up())),
        ("drain", seconds_text(slow.drain())),
        ("threads", slow.threads().to_string()),
        ("connect_rate", "no limit".to_owned()),
        ("opening_at_once", slow.opening_at_once().to_string()),
        ("open_timeout", seconds_text(slow.open_timeout())),
        ("settle", seconds_text(slow.settle())),
    ];
    if let Pace::Window(messages) = slow.pace() {
        defaults.push(("window", messages.to_string()));
    }
    defaults
}

fn scenarios() -> impl TypedValueParser<Value = Scenario> {
    let named = |scenario: Scenario| {
        PossibleValue::new(scenario.name()).help(match scenario {
            Scenario::FanOut => {
                "a server that broadcasts: every member receives what one publishes"
            }
            Scenario::Slow => "as fan-out, and a share of the members stops reading",
            Scenario::Echo => "a server that echoes: a connection receives only its own messages",
            Scenario::Idle => "connections that send nothing",
            _ => "",
        })
    };
    PossibleValuesParser::new(Scenario::ALL.map(named)).try_map(|name| {
        let found = Scenario::ALL
            .into_iter()
            .find(|scenario| scenario.name() == name);
        found.ok_or("no such scenario")
    })
}

fn payloads() -> impl TypedValueParser<Value = Payload> {
    let named = |name, help| PossibleValue::new(name).help(help);
    PossibleValuesParser::new([
        named("letters", "letters behind the head of 40 bytes"),
        named(
            "json",
            "a JSON document with the head in it, to be compressed",
        ),
    ])
    .map(|name| match name.as_str() {
        "json" => Payload::Json,
        _ => Payload::Letters,
    })
}

fn number(value: &str) -> Result<u32, String> {
    window(value).map(NonZeroU32::get)
}

fn window(value: &str) -> Result<NonZeroU32, String> {
    value
        .parse()
        .map_err(|_| "expected a whole number from 1".to_owned())
}

fn message_bytes(value: &str) -> Result<usize, String> {
    let bytes = bytes(value)?;
    match MESSAGE_BYTES.contains(&bytes) {
        true => Ok(bytes),
        false => Err(format!("expected {} bytes to 16MiB", MESSAGE_BYTES.start())),
    }
}

fn rate(value: &str) -> Result<f64, String> {
    match value.parse() {
        Ok(rate) if RATES.contains(&rate) => Ok(rate),
        _ => Err("expected a number a second, such as 5000 or 0.5".to_owned()),
    }
}

fn percent(value: &str) -> Result<u32, String> {
    match value.parse() {
        Ok(percent @ 1..=99) => Ok(percent),
        _ => Err("expected a whole number from 1 to 99".to_owned()),
    }
}

fn header(value: &str) -> Result<(String, String), String> {
    let (name, value) = value
        .split_once(':')
        .ok_or_else(|| "expected a header field such as 'Cookie: a=b'".to_owned())?;
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// A number of loopback addresses, 127.0.0.2 and following, or the addresses themselves.
fn addresses(value: &str) -> Result<SourceAddresses, String> {
    let wanted = || "expected a number up to 65000, or addresses with commas between".to_owned();
    if let Ok(count) = value.parse::<NonZeroUsize>() {
        let first = u32::from(Ipv4Addr::new(127, 0, 0, 2));
        return match count.get() {
            count @ 1..=65_000 => Ok(SourceAddresses(
                (first..)
                    .take(count)
                    .map(|bits| Ipv4Addr::from(bits).into())
                    .collect(),
            )),
            _ => Err(wanted()),
        };
    }
    let addresses = value
        .split(',')
        .map(|address| address.trim().parse().map_err(|_| wanted()));
    addresses.collect::<Result<_, _>>().map(SourceAddresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::tests::parse_line;
    use crate::arguments::{Command, Stop};

    const URL: &str = "ws://127.0.0.1:9/room";

    fn arguments(line: &str) -> BenchArguments {
        match parse_line(line) {
            Ok(Command::Bench(arguments)) => *arguments,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn plan(line: &str) -> Plan {
        arguments(line).plan(None).expect(line)
    }

    #[test]
    fn every_option_reaches_its_setting() {
        let found = arguments(&format!(
            "bench slow --connections 50 --publishers 5 --bytes 1KiB --rate 250.5 --duration 3 \
             --warm-up 0 --settle 0.5 --drain 2 --binary --no-echo --slow-percent 25 --threads 2 \
             --connect-rate 100 --opening-at-once 1 --open-timeout 4 --source-addresses 2 \
             --header Cookie:a=b --origin https://a.example --subprotocol x --hello hi --pid 7 \
             --json --no-progress --payload json --compress {URL}"
        ));
        let plan = Plan::builder(Scenario::Slow, URL)
            .connections(50)
            .publishers(5)
            .message_bytes(1024)
            .pace(Pace::Rate(250.5))
            .duration(Duration::from_secs(3))
            .warm_up(Duration::ZERO)
            .settle(Duration::from_millis(500))
            .drain(Duration::from_secs(2))
            .binary(true)
            .no_echo()
            .slow_percent(25)
            .threads(2)
            .connect_rate(100.0)
            .opening_at_once(1)
            .open_timeout(Duration::from_secs(4))
            .source_addresses(vec![
                Ipv4Addr::new(127, 0, 0, 2).into(),
                Ipv4Addr::new(127, 0, 0, 3).into(),
            ])
            .header("Cookie", "a=b")
            .origin("https://a.example")
            .subprotocol("x")
            .hello("hi")
            .pid(7)
            .payload(Payload::Json)
            .compress();
        assert_eq!(found.plan(None), Ok(plan.build().expect("sound")));
        assert_eq!((found.json, found.shows_progress()), (true, Some(false)));
    }

    #[test]
    fn setting_without_an_option_has_the_default_of_the_plan() {
        for scenario in Scenario::ALL {
            let expected = Plan::builder(scenario, URL).build().expect("sound");
            let found = arguments(&format!("bench {} {URL}", scenario.name()));
            assert_eq!(found.plan(None), Ok(expected));
            assert_eq!((found.json, found.shows_progress()), (false, None));
        }
        let window = plan(&format!("bench echo {URL} --text --window 3"));
        let three = NonZeroU32::new(3).expect("it is not 0");
        assert_eq!(window.pace(), Pace::Window(three));
    }

    #[test]
    fn source_addresses_may_be_written_out() {
        let found = plan(&format!("bench idle {URL} --source-addresses 10.0.0.1,::1"));
        let addresses: [IpAddr; 2] = [
            Ipv4Addr::new(10, 0, 0, 1).into(),
            "::1".parse().expect("an IP"),
        ];
        let expected = Plan::builder(Scenario::Idle, URL).source_addresses(addresses.into());
        assert_eq!(found, expected.build().expect("sound"));
    }

    #[test]
    fn defaults_that_the_help_names_are_those_of_the_plan() {
        for (scenario, at) in [("slow", 0), ("idle", 1)] {
            let line = defaults().into_iter().fold(
                format!("bench {scenario} {URL}"),
                |line, (id, value)| {
                    let value = value.split("; idle: ").nth(at).unwrap_or(&value).to_owned();
                    let value = value.split(';').next().expect("a value");
                    let option = id.replace("message_bytes", "bytes").replace('_', "-");
                    let is_for_idle =
                        matches!(id, "connections" | "duration" | "threads" | "settle");
                    match value {
                        "no limit" => line,
                        _ if scenario == "idle" && !is_for_idle => line,
                        value => format!("{line} --{option} {value}"),
                    }
                },
            );
            assert_eq!(
                plan(&line),
                plan(&format!("bench {scenario} {URL}")),
                "{line}"
            );
        }
        assert_eq!(defaults().len(), 14);
    }

    #[test]
    fn usage_error_names_the_option_and_its_value() {
        for (line, expected) in [
            (
                "bench",
                "missing <SCENARIO> <URL>, as in 'yamabiko bench fan-out ws:",
            ),
            (
                "bench fan-out",
                "missing <URL>, as in 'yamabiko bench fan-out ws:",
            ),
            (
                "bench sing ws://h/",
                "SCENARIO 'sing': expected fan-out, idle, echo or slow",
            ),
            (
                "bench idle ws://h/ ws://h/",
                "unexpected argument 'ws://h/' found",
            ),
            (
                "bench idle http://h/",
                "'http://h/': the URI does not begin with ws://",
            ),
            (
                "bench idle wss://h/ --ca a --insecure",
                "the argument '--ca <FILE>' cannot be used with '--insecure'",
            ),
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
                "bench idle ws://h/ --rate 3",
                "--rate is not for 'bench idle'",
            ),
            (
                "bench idle ws://h/ --bytes 64",
                "--bytes is not for 'bench idle'",
            ),
            (
                "bench idle ws://h/ --text",
                "--text is not for 'bench idle'",
            ),
            (
                "bench echo ws://h/ --payload json --bytes 40",
                "--bytes 40: the shortest JSON message has ",
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
                "--connections 1: the scenario slow needs two",
            ),
            (
                "bench slow ws://h/ --slow-percent 100",
                "--slow-percent '100': expected",
            ),
            (
                "bench fan-out ws://h/ --connections 1 --no-echo",
                "--no-echo: two members that read are needed",
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
                "--header 'Cookie': expected a header field",
            ),
            ("bench echo ws://h/ --header Host:a", "the field is set by"),
            (
                "bench echo ws://h/ --pid 0",
                "--pid '0': expected a whole number",
            ),
            (
                "bench echo ws://h/ --sing",
                "unexpected argument '--sing' found",
            ),
        ] {
            let error = match parse_line(line) {
                Ok(Command::Bench(arguments)) => arguments.plan(None).expect_err(line),
                Err(Stop::Usage(message)) => message,
                other => panic!("{line}: {other:?}"),
            };
            assert!(error.starts_with(expected), "{line}: {error}");
        }
    }
}
