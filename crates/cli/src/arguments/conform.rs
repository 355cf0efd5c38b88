//! The arguments of `conform`, and the plan that they make.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use yamabiko_conform::{Depth, Level, Plan};

use super::help::example;
use super::trace::field;
use super::values::{bytes, seconds, seconds_text, whole_number};
use crate::tls::TrustSettings;

/// One run of the suite, and how it is reported.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_help = NOTES, after_long_help = DETAILS)]
pub(crate) struct ConformArguments {
    /// Which side is tested
    #[arg(value_parser = roles())]
    pub role: Role,
    /// The server: ws://HOST[:PORT]/PATH, or wss://
    pub url: Option<String>,
    /// Where clients connect to, IP:PORT
    #[arg(long, value_name = "IP:PORT", value_parser = ip_and_port, conflicts_with = "url")]
    pub listen: Option<SocketAddr>,

    /// Header field of each request to a server, NAME:VALUE; may be repeated
    #[arg(long = "header", value_name = "NAME:VALUE", value_parser = field, conflicts_with = "listen", help_heading = REQUEST)]
    pub fields: Vec<(String, String)>,
    /// Subprotocol to offer in each request; may be repeated
    #[arg(long = "subprotocol", value_name = "NAME", conflicts_with = "listen", help_heading = REQUEST)]
    pub subprotocols: Vec<String>,

    #[command(flatten)]
    pub trust: TrustSettings,
    /// Clients connect by wss: the certificate of the suite, in PEM
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        conflicts_with = "url"
    )]
    pub tls_cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Only what takes little time: less than 10 seconds for all cases
    #[arg(long, help_heading = CASES)]
    pub quick: bool,
    /// The longest cases, too: 200,000 messages, and waiting for a minute
    #[arg(long, conflicts_with = "quick", help_heading = CASES)]
    pub full: bool,
    /// Only this case, by its identifier or the Autobahn suite's; '*' stands for any text;
    /// may be repeated
    #[arg(long = "case", value_name = "ID", help_heading = CASES)]
    pub cases: Vec<String>,
    /// Without this case; may be repeated
    #[arg(long = "without", value_name = "ID", help_heading = CASES)]
    pub without: Vec<String>,
    /// The longest message that the peer accepts: cases at this limit and past it
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = CASES)]
    pub message_max: Option<usize>,
    /// Seconds that a server may keep a connection without a whole request, in the case of --full
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "listen", help_heading = CASES)]
    pub silence_max: Option<Duration>,
    /// Servers, or the address for clients, and cases from a configuration file of the Autobahn
    /// suite; index.json is written to its folder
    #[arg(long, value_name = "FILE", conflicts_with = "url", help_heading = CASES)]
    pub spec: Option<PathBuf>,
    /// List the cases, and do nothing else
    #[arg(long, help_heading = CASES)]
    pub list: bool,

    /// Seconds that the peer may take for each thing that is expected of it
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = RUN)]
    pub timeout: Option<Duration>,
    /// End when no client has been connected for so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "url", help_heading = RUN)]
    pub idle: Option<Duration>,
    /// Connections at a time
    #[arg(long, value_name = "N", value_parser = whole_number::<NonZeroUsize>, help_heading = RUN)]
    pub connections: Option<NonZeroUsize>,

    /// Fail if a rule of this level is broken, or of a more binding one
    #[arg(long, value_name = "LEVEL", value_parser = levels(), help_heading = OUTPUT)]
    pub fail_on: Option<Level>,
    /// The peer's name in the report
    #[arg(long, value_name = "NAME", help_heading = OUTPUT)]
    pub agent: Option<String>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub json: Option<PathBuf>,
    /// Write the report as XML for JUnit
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub junit: Option<PathBuf>,
    /// Write the report as a page of HTML
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub html: Option<PathBuf>,
    /// Write the report in the form of the Autobahn suite's index.json
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub index: Option<PathBuf>,
    /// Fail only for cases that did not fail in this earlier report (--json)
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub baseline: Option<PathBuf>,
    /// Show the progress on standard error; the default if that is a terminal
    #[arg(long, help_heading = OUTPUT)]
    pub progress: bool,
    /// Do not show the progress
    #[arg(long, conflicts_with = "progress", help_heading = OUTPUT)]
    pub no_progress: bool,
}

/// The side that is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

/// The address of the Autobahn suite.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9001);

const REQUEST: &str = "Request";
const CASES: &str = "Cases";
const RUN: &str = "Run";
const OUTPUT: &str = "Output";

macro_rules! notes {
    () => {
        "\
A server must send every message back, as 'yamabiko echo' does. A client connects to the suite, \
asks for the number of runs, and sends every message of each run back, as clients in the \
Autobahn suite do; the suite ends when the client asks for the reports. docs/conform.md has the rules \
of the cases and recipes for continuous integration. Environment variables do not set options of \
conform."
    };
}

const NOTES: &str = notes!();

const DETAILS: &str = concat!(
    notes!(),
    "

A case checks one rule. Its level is must, should (both: the RFC's word) or quality (no rule of \
the RFC; a robust peer does it). Each failure is reported with the sentence of the RFC, with what \
was sent and received, and with a command that runs this case alone.

Exit status: 0 no case of the level --fail-on or a more binding one has failed; 1 such a case has \
failed, or there was no peer; 2 usage error.

Examples:
  yamabiko conform server ws://127.0.0.1:9001/
  yamabiko conform server ws://127.0.0.1:9001/ --quick --json report.json
  yamabiko conform server ws://127.0.0.1:9001/ --case 'utf8/*' --case 7.9.3
  yamabiko conform server wss://localhost:9001/chat --insecure --subprotocol chat.v1
  yamabiko conform client --listen 127.0.0.1:9001
  yamabiko conform client --list"
);

impl ConformArguments {
    /// The plan of these arguments.
    pub(crate) fn plan(&self) -> Plan {
        let depth = match (self.quick, self.full) {
            (true, _) => Depth::Quick,
            (_, true) => Depth::Full,
            _ => Depth::Default,
        };
        let plan = Plan::new().depth(depth);
        let plan = self.cases.iter().fold(plan, Plan::only);
        let plan = self.without.iter().fold(plan, Plan::except);
        let plan = self.fields.iter().fold(plan, |plan, (name, value)| {
            plan.field(name.as_str(), value.as_str())
        });
        let plan = match self.subprotocols.is_empty() {
            true => plan,
            false => plan.field("Sec-WebSocket-Protocol", self.subprotocols.join(", ")),
        };
        let plan = set(plan, self.message_max, Plan::message_bytes_max);
        let plan = set(plan, self.silence_max, Plan::silence_max);
        let plan = set(plan, self.timeout, Plan::patience);
        let plan = set(plan, self.idle, Plan::idle_max);
        let plan = set(plan, self.connections.map(NonZeroUsize::get), Plan::at_once);
        set(plan, self.agent.as_ref(), Plan::agent)
    }

    /// The URL of the server.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn server_url(&self) -> Result<&str, String> {
        let missing = || {
            let example = example("conform").unwrap_or_default();
            format!("missing <URL>, as in '{example}'")
        };
        self.url.as_deref().ok_or_else(missing)
    }

    /// Whether the server is one of `wss`.
    pub(crate) fn needs_tls(&self) -> bool {
        let url = self.url.as_deref().unwrap_or_default();
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("wss"))
    }

    /// The options on which the result of a single case depends, as they are written behind the
    /// other arguments of a command.
    pub(crate) fn case_options(&self) -> String {
        let file = |file: &Option<PathBuf>| Some(shell_word(&file.as_ref()?.display().to_string()));
        let time = |time: Option<Duration>| Some(seconds_text(time?));
        let values = [
            (
                "--message-max",
                self.message_max.map(|bytes| bytes.to_string()),
            ),
            ("--silence-max", time(self.silence_max)),
            ("--timeout", time(self.timeout)),
            ("--ca", file(&self.trust.ca)),
            ("--tls-cert", file(&self.tls_cert)),
            ("--tls-key", file(&self.tls_key)),
        ];
        let flags = [
            ("--quick", self.quick),
            ("--full", self.full),
            ("--insecure", self.trust.insecure),
        ];
        // The value can be a secret, and a report is published.
        let fields = self.fields.iter();
        let fields = fields.map(|(name, _)| ("--header", shell_word(&format!("{name}: [hidden]"))));
        let offers = self.subprotocols.iter();
        let offers = offers.map(|name| ("--subprotocol", shell_word(name)));
        let request = fields
            .chain(offers)
            .map(|(option, value)| (option, Some(value)));
        let values = request
            .chain(values)
            .filter_map(|(option, value)| Some(format!(" {option} {}", value?)));
        let flags = flags
            .into_iter()
            .filter(|(_, is_given)| *is_given)
            .map(|(option, _)| format!(" {option}"));
        values.chain(flags).collect()
    }

    /// The address that clients connect to; `named` is that of a configuration file.
    pub(crate) fn listens_on(&self, named: Option<SocketAddr>) -> SocketAddr {
        self.listen.or(named).unwrap_or(DEFAULT_LISTEN)
    }

    /// The level from which on a broken rule makes the run fail.
    pub(crate) fn fails_on(&self) -> Level {
        self.fail_on.unwrap_or(Level::Must)
    }

    /// Whether the progress is shown. `None`: if standard error is a terminal.
    pub(crate) fn shows_progress(&self) -> Option<bool> {
        (self.progress || self.no_progress).then_some(self.progress)
    }
}

/// A value of the command line as a shell reads it back.
fn shell_word(value: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:@%,=".contains(letter);
    match value.chars().all(is_plain) && !value.is_empty() {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\'', r"'\''")),
    }
}

fn set<T>(plan: Plan, value: Option<T>, method: fn(Plan, T) -> Plan) -> Plan {
    match value {
        Some(value) => method(plan, value),
        None => plan,
    }
}

/// The defaults that the help names: the argument's name and its value.
pub(crate) fn defaults() -> Vec<(&'static str, String)> {
    vec![
        ("timeout", "2".to_owned()),
        ("silence_max", "60".to_owned()),
        ("connections", "32".to_owned()),
        ("fail_on", "must".to_owned()),
        (
            "agent",
            "its URL, or the name that it gives itself".to_owned(),
        ),
        ("listen", DEFAULT_LISTEN.to_string()),
    ]
}

fn ip_and_port(value: &str) -> Result<SocketAddr, String> {
    value
        .parse()
        .map_err(|_| "expected IP:PORT, such as 127.0.0.1:9001".to_owned())
}

fn roles() -> impl TypedValueParser<Value = Role> {
    let named = |name, help| PossibleValue::new(name).help(help);
    PossibleValuesParser::new([
        named("server", "a server that echoes: the suite connects to it"),
        named("client", "a client that echoes: it connects to the suite"),
    ])
    .map(|name| match name.as_str() {
        "server" => Role::Server,
        _ => Role::Client,
    })
}

fn levels() -> impl TypedValueParser<Value = Level> {
    let named = |name, help| PossibleValue::new(name).help(help);
    PossibleValuesParser::new([
        named("must", "what the RFC demands"),
        named("should", "also what it recommends"),
        named("quality", "also what it does not mention"),
    ])
    .map(|name| match name.as_str() {
        "must" => Level::Must,
        "should" => Level::Should,
        _ => Level::Quality,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Command;
    use crate::arguments::tests::{error, parse_line};

    fn arguments(line: &str) -> ConformArguments {
        match parse_line(line) {
            Ok(Command::Conform(arguments)) => *arguments,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn every_option_reaches_its_setting() {
        let found = arguments(
            "conform server ws://h/ --quick --case a --case 2.* --without b --message-max 1KiB \
             --silence-max 20 --timeout 0.5 --connections 4 --fail-on should --agent x --no-progress \
             --header Cookie:a=b --subprotocol chat.v2 --subprotocol chat.v1",
        );
        let plan = Plan::new()
            .depth(Depth::Quick)
            .only("a")
            .only("2.*")
            .except("b")
            .field("Cookie", "a=b")
            .field("Sec-WebSocket-Protocol", "chat.v2, chat.v1")
            .message_bytes_max(1024)
            .silence_max(Duration::from_secs(20))
            .patience(Duration::from_millis(500))
            .at_once(4)
            .agent("x");
        assert_eq!(found.plan(), plan);
        assert_eq!(
            (found.fails_on(), found.shows_progress()),
            (Level::Should, Some(false))
        );
    }

    #[test]
    fn defaults_that_the_help_names_are_those_of_the_plan() {
        let found = arguments("conform server ws://h/");
        assert_eq!(found.plan(), Plan::new());
        let line =
            "conform server ws://h/ --timeout 2 --silence-max 60 --connections 32 --fail-on must";
        assert_eq!(arguments(line).plan(), Plan::new());
        assert_eq!(found.fails_on(), arguments(line).fails_on());
    }

    #[test]
    fn clients_may_be_absent_for_a_limited_time() {
        let plan = arguments("conform client --idle 30").plan();
        assert_eq!(plan, Plan::new().idle_max(Duration::from_secs(30)));
        let error = error("conform server ws://h/ --idle 30");
        assert!(error.contains("--idle"), "{error}");
    }

    #[test]
    fn command_of_a_single_case_has_the_options_on_which_its_result_depends() {
        let line = "conform server wss://h/ --quick --message-max 1KiB --timeout 0.5 --silence-max 9 \
            --connections 4 --fail-on should --agent x --no-progress --ca a/b.pem";
        assert_eq!(
            arguments(line).case_options(),
            " --message-max 1024 --silence-max 9 --timeout 0.5 --ca a/b.pem --quick"
        );
        let line = "conform server ws://h/ --header Cookie:a=51d2 --subprotocol chat --timeout 4";
        assert_eq!(
            arguments(line).case_options(),
            " --header 'Cookie: [hidden]' --subprotocol chat --timeout 4"
        );
        let full = arguments("conform server wss://h/ --full --insecure");
        assert_eq!(full.case_options(), " --full --insecure");
        assert_eq!(arguments("conform server ws://h/").case_options(), "");
        assert_eq!(shell_word("a b's.pem"), r"'a b'\''s.pem'");
    }

    #[test]
    fn server_needs_a_url_and_the_list_of_cases_does_not() {
        let error = arguments("conform server")
            .server_url()
            .expect_err("there is none");
        assert!(
            error.starts_with("missing <URL>, as in 'yamabiko conform server ws:"),
            "{error}"
        );
        assert!(arguments("conform server --list").list);
        assert_eq!(
            arguments("conform server ws://h/").server_url(),
            Ok("ws://h/")
        );
    }

    #[test]
    fn usage_error_names_the_option_and_its_value() {
        for (line, expected) in [
            ("conform", "missing <ROLE>"),
            ("conform proxy ws://h/", "ROLE 'proxy': expected"),
            (
                "conform client ws://h/ --listen 127.0.0.1:1",
                "the argument '",
            ),
            (
                "conform server ws://h/ --quick --full",
                "the argument '--quick' cannot be used",
            ),
            (
                "conform server ws://h/ --fail-on may",
                "--fail-on 'may': expected must, should or",
            ),
            (
                "conform client --listen 9001",
                "--listen '9001': expected IP:PORT",
            ),
            (
                "conform server ws://h/ --connections 0",
                "--connections '0': expected",
            ),
        ] {
            let error = error(line);
            assert!(error.starts_with(expected), "{line}: {error}");
        }
    }
}
