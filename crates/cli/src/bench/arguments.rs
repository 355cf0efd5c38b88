//! The words behind `bench` as [`Options`].
//!
//! A pure function, as [`crate::arguments`] is: it opens nothing. Each flag is a
//! setting of the plan, which checks what the settings say of each other; its errors
//! are told in terms of the flags.

use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU32, NonZeroUsize};

use lexopt::{Arg, Parser, ValueExt};
use yamabiko_load::{Error, MESSAGE_BYTES, Pace, Payload, Plan, PlanBuilder, RATES, Scenario};

use crate::output::chain;
use crate::values::{Given, bytes, interval, seconds, value};

/// What the words behind `bench` ask for.
#[derive(Debug)]
pub(crate) enum Parsed {
    Run(Box<Options>),
    Help,
    Version,
}

/// One run, and how it is shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub plan: Plan,
    /// The report as JSON, not as a table.
    pub json: bool,
    /// `None`: if standard error is a terminal.
    pub progress: Option<bool>,
}

/// The flags as they were given.
#[derive(Default)]
struct Flags {
    settings: Vec<Setting>,
    json: bool,
    progress: Option<bool>,
    given: Given,
}

/// What a flag changes in the plan.
type Setting = Box<dyn FnOnce(PlanBuilder) -> PlanBuilder>;

/// Reads the words behind `bench`.
pub(crate) fn parse(parser: &mut Parser) -> Result<Parsed, lexopt::Error> {
    let (mut scenario, mut url) = (None, None);
    let mut flags = Flags::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Parsed::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(Parsed::Version),
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
    Ok(Parsed::Run(Box::new(flags.options(scenario, url)?)))
}

fn named(word: &str) -> Result<Scenario, String> {
    Scenario::ALL
        .into_iter()
        .find(|scenario| scenario.name() == word)
        .ok_or_else(|| format!("there is no scenario '{word}': fan-out, idle, echo or slow"))
}

fn read_flag(flag: &str, parser: &mut Parser, flags: &mut Flags) -> Result<(), lexopt::Error> {
    match flag {
        "json" => flags.json = true,
        "progress" => flags.progress = Some(true),
        "no-progress" => flags.progress = Some(false),
        _ => {
            let setting = match load_setting(flag, parser)? {
                Some(setting) => Some(setting),
                None => opening_setting(flag, parser)?,
            };
            let setting = setting.ok_or_else(|| Arg::Long(flag).unexpected())?;
            flags.settings.push(setting);
        }
    }
    Ok(())
}

/// `None`: no such flag.
fn load_setting(flag: &str, parser: &mut Parser) -> Result<Option<Setting>, lexopt::Error> {
    Ok(Some(match flag {
        "connections" => set(value(flag, parser, number)?, PlanBuilder::connections),
        "publishers" => set(value(flag, parser, number)?, PlanBuilder::publishers),
        "bytes" => set(
            value(flag, parser, message_bytes)?,
            PlanBuilder::message_bytes,
        ),
        "window" => set(value(flag, parser, window)?, PlanBuilder::pace),
        "rate" => set(Pace::Rate(value(flag, parser, rate)?), PlanBuilder::pace),
        "duration" => set(value(flag, parser, seconds)?, PlanBuilder::duration),
        "warm-up" => set(
            value(flag, parser, interval)?.unwrap_or_default(),
            PlanBuilder::warm_up,
        ),
        "settle" => set(
            value(flag, parser, interval)?.unwrap_or_default(),
            PlanBuilder::settle,
        ),
        "drain" => set(value(flag, parser, seconds)?, PlanBuilder::drain),
        "text" => set(false, PlanBuilder::binary),
        "binary" => set(true, PlanBuilder::binary),
        "payload" => set(value(flag, parser, payload)?, PlanBuilder::payload),
        "compress" => Box::new(PlanBuilder::compress),
        "no-echo" => Box::new(PlanBuilder::no_echo),
        "slow-percent" => set(value(flag, parser, percent)?, PlanBuilder::slow_percent),
        "threads" => set(value(flag, parser, number)?, PlanBuilder::threads),
        "pid" => set(value(flag, parser, number)?, PlanBuilder::pid),
        _ => return Ok(None),
    }))
}

/// `None`: no such flag.
fn opening_setting(flag: &str, parser: &mut Parser) -> Result<Option<Setting>, lexopt::Error> {
    Ok(Some(match flag {
        "connect-rate" => set(value(flag, parser, rate)?, PlanBuilder::connect_rate),
        "opening-at-once" => set(value(flag, parser, number)?, PlanBuilder::opening_at_once),
        "open-timeout" => set(value(flag, parser, seconds)?, PlanBuilder::open_timeout),
        "source-addresses" => set(
            value(flag, parser, addresses)?,
            PlanBuilder::source_addresses,
        ),
        "header" => set(value(flag, parser, field)?, |plan, (name, value)| {
            plan.header(name, value)
        }),
        "origin" => set(parser.value()?.string()?, PlanBuilder::origin),
        "subprotocol" => set(parser.value()?.string()?, PlanBuilder::subprotocol),
        "hello" => set(parser.value()?.string()?, PlanBuilder::hello),
        _ => return Ok(None),
    }))
}

fn set<T: 'static>(value: T, method: fn(PlanBuilder, T) -> PlanBuilder) -> Setting {
    Box::new(move |plan| method(plan, value))
}

impl Flags {
    fn options(self, scenario: Scenario, url: String) -> Result<Options, String> {
        self.check_opposites()?;
        let plan = Plan::builder(scenario, url);
        let plan = self
            .settings
            .into_iter()
            .fold(plan, |plan, setting| setting(plan));
        Ok(Options {
            plan: plan.build().map_err(|error| explain(&error, &self.given))?,
            json: self.json,
            progress: self.progress,
        })
    }

    /// Of two flags that exclude each other, not both.
    fn check_opposites(&self) -> Result<(), String> {
        for (one, other) in [
            ("text", "binary"),
            ("progress", "no-progress"),
            ("window", "rate"),
        ] {
            if self.given.has(one) && self.given.has(other) {
                return Err(format!("either --{one} or --{other}"));
            }
        }
        Ok(())
    }
}

/// What is wrong with a plan, in terms of the flags that made it.
fn explain(error: &Error, given: &Given) -> String {
    match error {
        Error::InvalidSetting {
            setting,
            value,
            reason,
        } => {
            let flag = flag_of(setting, given);
            match value.is_empty() {
                true => format!("--{flag}: {reason}"),
                false => format!("--{flag} {value}: {reason}"),
            }
        }
        Error::UnusedSetting { setting, scenario } => {
            let flag = flag_of(setting, given);
            format!("--{flag} is not for 'bench {scenario}'")
        }
        error => chain(error),
    }
}

fn flag_of(setting: &str, given: &Given) -> String {
    let flags: &[&str] = match setting {
        "message_bytes" => &["bytes"],
        "pace" => &["window", "rate"],
        "binary" => &["text", "binary"],
        _ => return setting.replace('_', "-"),
    };
    let found = flags.iter().find(|flag| given.has(flag));
    found.unwrap_or(&flags[0]).to_string()
}

fn number(word: &str) -> Result<u32, String> {
    let number: Result<NonZeroU32, _> = word.parse();
    number
        .map(NonZeroU32::get)
        .map_err(|_| "expected a whole number from 1".to_owned())
}

fn window(word: &str) -> Result<Pace, String> {
    let messages = NonZeroU32::new(number(word)?);
    messages
        .map(Pace::Window)
        .ok_or_else(|| "expected a whole number from 1".to_owned())
}

fn message_bytes(word: &str) -> Result<usize, String> {
    let bytes = bytes(word)?;
    match MESSAGE_BYTES.contains(&bytes) {
        true => Ok(bytes),
        false => Err(format!("expected {} bytes to 16MiB", MESSAGE_BYTES.start())),
    }
}

fn payload(word: &str) -> Result<Payload, String> {
    match word {
        "letters" => Ok(Payload::Letters),
        "json" => Ok(Payload::Json),
        _ => Err("expected letters or json".to_owned()),
    }
}

fn rate(word: &str) -> Result<f64, String> {
    match word.parse() {
        Ok(rate) if RATES.contains(&rate) => Ok(rate),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{self, Command, Topic};
    use std::time::Duration;

    const URL: &str = "ws://127.0.0.1:9/room";

    fn options(line: &str) -> Options {
        match arguments::parse(line.split_whitespace().map(Into::into)) {
            Ok(Command::Bench(options)) => *options,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn error(line: &str) -> String {
        arguments::parse(line.split_whitespace().map(Into::into))
            .expect_err(line)
            .to_string()
    }

    #[test]
    fn every_flag_reaches_its_setting() {
        let found = options(&format!(
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
        let expected = Options {
            plan: plan.build().expect("sound"),
            json: true,
            progress: Some(false),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn what_no_flag_says_has_the_defaults_of_the_plan() {
        for scenario in Scenario::ALL {
            let plan = Plan::builder(scenario, URL).build().expect("sound");
            let found = options(&format!("bench {} {URL}", scenario.name()));
            let expected = Options {
                plan,
                json: false,
                progress: None,
            };
            assert_eq!(found, expected);
        }
        let window = options(&format!("bench echo {URL} --text --window 3")).plan;
        let three = NonZeroU32::new(3).expect("it is not 0");
        assert_eq!(window.pace(), Pace::Window(three));
    }

    #[test]
    fn source_addresses_may_be_written_out() {
        let found = options(&format!("bench idle {URL} --source-addresses 10.0.0.1,::1"));
        let addresses: [IpAddr; 2] = [
            Ipv4Addr::new(10, 0, 0, 1).into(),
            "::1".parse().expect("an IP"),
        ];
        let plan = Plan::builder(Scenario::Idle, URL).source_addresses(addresses.into());
        assert_eq!(found.plan, plan.build().expect("sound"));
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
            (
                "bench idle wss://h/",
                "'wss://h/': wss is not supported; load the server behind",
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
