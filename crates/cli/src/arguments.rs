//! The command line's words as one [`Command`], or the error that names the word
//! that is wrong.
//!
//! A pure function: it reads no environment, opens nothing and prints nothing.
//! What a flag leaves out stays `None`, and the layer that is asked for its
//! default keeps it.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use yamabiko::server::{InvalidOrigin, OriginPattern, SlowPolicy, WindowBits};

use super::bench;
use super::values::{Given, bytes, count, interval, seconds, value};

/// What the user asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Command {
    /// The chat server.
    Serve(ServerOptions),
    /// The echo server.
    Echo(ServerOptions),
    /// The terminal client of the chat.
    Chat(ChatOptions),
    /// The load generator.
    Bench(Box<bench::Options>),
    /// The help text of one topic.
    Help(Topic),
    /// Name and version.
    Version,
}

/// What a help text is about; also where a usage error sends its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    Yamabiko,
    Serve,
    Echo,
    Chat,
    Bench,
}

/// The flags that `serve` and `echo` share. `None`: the server's own default.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ServerOptions {
    pub listen: Option<SocketAddr>,
    pub workers: Option<NonZeroUsize>,
    pub message_bytes_max: Option<usize>,
    pub backlog_bytes_max: Option<usize>,
    pub worker_backlog_bytes_max: Option<usize>,
    pub slow_readers: Option<SlowPolicy>,
    pub slow_messages_max: Option<u64>,
    /// `Some(None)`: however old.
    pub slow_age_max: Option<Option<Duration>>,
    pub gather_delay: Option<Duration>,
    pub connections_max: Option<usize>,
    pub handshake_timeout: Option<Duration>,
    /// `Some(None)`: no pings.
    pub ping_interval: Option<Option<Duration>>,
    pub pong_timeout: Option<Duration>,
    pub close_timeout: Option<Duration>,
    pub drain_timeout: Option<Duration>,
    /// Compresses nothing, whatever the other flags say.
    pub no_compress: bool,
    pub compress_level: Option<u8>,
    pub compress_threshold: Option<usize>,
    /// The window that clients may refer back over.
    pub compress_takeover: Option<WindowBits>,
    /// Further origins whose pages may connect.
    pub allow_origins: Vec<AllowedOrigin>,
}

/// A value of `--allow-origin`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AllowedOrigin {
    /// `*`
    Any,
    Pattern(OriginPattern),
}

/// The words after `chat`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ChatOptions {
    /// Not yet read as a URI: the client's error is better than ours.
    pub url: String,
    pub name: Option<String>,
}

/// A word that cannot be obeyed, and the help text that says what can.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct UsageError {
    message: String,
    topic: Topic,
}

/// Reads the words after the program's name.
pub(super) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut words = words.into_iter().peekable();
    let command = words.next_if(|word| !word.as_encoded_bytes().starts_with(b"-"));
    let parser = &mut Parser::from_args(words);
    match command
        .as_ref()
        .map(|word| word.to_string_lossy())
        .as_deref()
    {
        None => bare(parser),
        Some("serve") => in_topic(Topic::Serve, server_options(parser, Command::Serve)),
        Some("echo") => in_topic(Topic::Echo, server_options(parser, Command::Echo)),
        Some("chat") => in_topic(Topic::Chat, chat_options(parser)),
        Some("bench") => in_topic(Topic::Bench, bench_command(parser)),
        Some("help") => in_topic(Topic::Yamabiko, help_topic(parser)),
        Some(other) => in_topic(
            Topic::Yamabiko,
            Err(format!("there is no command '{other}'").into()),
        ),
    }
}

impl Topic {
    /// The words that print this topic's help.
    pub(super) fn asking_for_help(self) -> &'static str {
        match self {
            Topic::Yamabiko => "yamabiko --help",
            Topic::Serve => "yamabiko serve --help",
            Topic::Echo => "yamabiko echo --help",
            Topic::Chat => "yamabiko chat --help",
            Topic::Bench => "yamabiko bench --help",
        }
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let help = self.topic.asking_for_help();
        write!(formatter, "{} (see '{help}')", self.message)
    }
}

fn in_topic(topic: Topic, result: Result<Command, lexopt::Error>) -> Result<Command, UsageError> {
    result.map_err(|error| UsageError {
        message: error.to_string(),
        topic,
    })
}

/// No command: `serve`, except that `--help` then speaks of everything.
fn bare(parser: &mut Parser) -> Result<Command, UsageError> {
    let command = in_topic(Topic::Serve, server_options(parser, Command::Serve))?;
    Ok(match command {
        Command::Help(_) => Command::Help(Topic::Yamabiko),
        other => other,
    })
}

fn server_options(
    parser: &mut Parser,
    command: fn(ServerOptions) -> Command,
) -> Result<Command, lexopt::Error> {
    let mut options = ServerOptions::default();
    let mut given = Given::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => {
                return Ok(Command::Help(command_topic(command)));
            }
            Arg::Short('V') | Arg::Long("version") => return Ok(Command::Version),
            Arg::Long(flag) => {
                let flag = flag.to_owned();
                server_flag(&flag, parser, &mut options)?;
                given.add(flag, &["allow-origin"])?;
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(command(options))
}

fn server_flag(
    flag: &str,
    parser: &mut Parser,
    options: &mut ServerOptions,
) -> Result<(), lexopt::Error> {
    match flag {
        "listen" => options.listen = Some(value(flag, parser, address)?),
        "workers" => options.workers = Some(value(flag, parser, count)?),
        "message-bytes-max" => options.message_bytes_max = Some(value(flag, parser, bytes)?),
        "backlog-bytes-max" => options.backlog_bytes_max = Some(value(flag, parser, bytes)?),
        "worker-backlog-bytes-max" => {
            options.worker_backlog_bytes_max = Some(value(flag, parser, bytes)?);
        }
        "slow-readers" => options.slow_readers = Some(value(flag, parser, slow_policy)?),
        "slow-messages-max" => {
            let messages = value(flag, parser, count)?.get();
            options.slow_messages_max = Some(messages as u64);
        }
        "slow-age-max" => options.slow_age_max = Some(value(flag, parser, interval)?),
        "gather-delay" => {
            options.gather_delay = Some(value(flag, parser, interval)?.unwrap_or_default());
        }
        "connections-max" => options.connections_max = Some(value(flag, parser, count)?.get()),
        "handshake-timeout" => options.handshake_timeout = Some(value(flag, parser, seconds)?),
        "ping-interval" => options.ping_interval = Some(value(flag, parser, interval)?),
        "pong-timeout" => options.pong_timeout = Some(value(flag, parser, seconds)?),
        "close-timeout" => options.close_timeout = Some(value(flag, parser, seconds)?),
        "drain-timeout" => options.drain_timeout = Some(value(flag, parser, seconds)?),
        "no-compress" => options.no_compress = true,
        "compress-level" => options.compress_level = Some(value(flag, parser, level)?),
        "compress-threshold" => options.compress_threshold = Some(value(flag, parser, bytes)?),
        "compress-takeover" => {
            options.compress_takeover = Some(value(flag, parser, window_bits)?);
        }
        "allow-origin" => options.allow_origins.push(value(flag, parser, origin)?),
        _ => return Err(Arg::Long(flag).unexpected()),
    }
    Ok(())
}

fn chat_options(parser: &mut Parser) -> Result<Command, lexopt::Error> {
    let mut url = None;
    let mut name = None;
    let mut given = Given::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Chat)),
            Arg::Short('V') | Arg::Long("version") => return Ok(Command::Version),
            Arg::Long("name") => {
                name = Some(parser.value()?.string()?);
                given.add("name".to_owned(), &[])?;
            }
            Arg::Value(word) if url.is_none() => url = Some(word.string()?),
            other => return Err(other.unexpected()),
        }
    }
    let url = url.ok_or("chat needs a URL such as ws://127.0.0.1:8080/chat/lobby")?;
    Ok(Command::Chat(ChatOptions { url, name }))
}

fn bench_command(parser: &mut Parser) -> Result<Command, lexopt::Error> {
    Ok(match bench::parse(parser)? {
        bench::Parsed::Run(options) => Command::Bench(options),
        bench::Parsed::Help => Command::Help(Topic::Bench),
        bench::Parsed::Version => Command::Version,
    })
}

fn help_topic(parser: &mut Parser) -> Result<Command, lexopt::Error> {
    let Some(argument) = parser.next()? else {
        return Ok(Command::Help(Topic::Yamabiko));
    };
    match argument {
        Arg::Value(word) if word == "serve" => Ok(Command::Help(Topic::Serve)),
        Arg::Value(word) if word == "echo" => Ok(Command::Help(Topic::Echo)),
        Arg::Value(word) if word == "chat" => Ok(Command::Help(Topic::Chat)),
        Arg::Value(word) if word == "bench" => Ok(Command::Help(Topic::Bench)),
        other => Err(other.unexpected()),
    }
}

fn command_topic(command: fn(ServerOptions) -> Command) -> Topic {
    match command(ServerOptions::default()) {
        Command::Echo(_) => Topic::Echo,
        _ => Topic::Serve,
    }
}

fn address(word: &str) -> Result<SocketAddr, String> {
    SocketAddr::from_str(word)
        .map_err(|_| "expected IP:PORT such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:0".to_owned())
}

/// What is done with readers that are too slow.
fn slow_policy(word: &str) -> Result<SlowPolicy, String> {
    match word {
        "disconnect" => Ok(SlowPolicy::Disconnect),
        "skip" => Ok(SlowPolicy::Skip),
        "latest" => Ok(SlowPolicy::Latest),
        _ => Err("expected disconnect, skip or latest".to_owned()),
    }
}

/// How hard a compressor tries.
fn level(word: &str) -> Result<u8, String> {
    match word.parse() {
        Ok(level @ 1..=9) => Ok(level),
        _ => Err("expected a level from 1, the fastest, to 9, the smallest result".to_owned()),
    }
}

fn window_bits(word: &str) -> Result<WindowBits, String> {
    let bits = word.parse().ok().and_then(WindowBits::new);
    bits.ok_or_else(|| "expected a window from 8 (256 bytes) to 15 (32 KiB)".to_owned())
}

/// An origin as a browser writes it in `Origin`, all subdomains of one, `null`, or `*`
/// for all of them.
fn origin(word: &str) -> Result<AllowedOrigin, String> {
    match word {
        "*" => Ok(AllowedOrigin::Any),
        _ => word
            .parse()
            .map(AllowedOrigin::Pattern)
            .map_err(|error: InvalidOrigin| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(line: &str) -> Result<Command, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn server(line: &str) -> ServerOptions {
        match parse_words(line) {
            Ok(Command::Serve(options) | Command::Echo(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn error(line: &str) -> String {
        parse_words(line).expect_err(line).to_string()
    }

    #[test]
    fn bare_program_is_serve_with_every_default() {
        assert_eq!(
            parse_words(""),
            Ok(Command::Serve(ServerOptions::default()))
        );
        assert_eq!(parse_words("serve"), parse_words(""));
        assert_eq!(
            parse_words("echo"),
            Ok(Command::Echo(ServerOptions::default()))
        );
    }

    #[test]
    fn flags_without_a_command_belong_to_serve() {
        let options = server("--listen 127.0.0.1:0 --workers=3");
        assert_eq!(
            options.listen,
            Some("127.0.0.1:0".parse().expect("an address"))
        );
        assert_eq!(options.workers, NonZeroUsize::new(3));
    }

    #[test]
    fn every_server_flag_reaches_its_field() {
        let expected = ServerOptions {
            listen: Some("[::1]:9".parse().expect("an address")),
            workers: NonZeroUsize::new(2),
            message_bytes_max: Some(65_536),
            backlog_bytes_max: Some(2 << 20),
            worker_backlog_bytes_max: Some(3 << 20),
            slow_readers: Some(SlowPolicy::Latest),
            slow_messages_max: Some(100),
            slow_age_max: Some(None),
            gather_delay: Some(Duration::from_millis(5)),
            connections_max: Some(7),
            handshake_timeout: Some(Duration::from_millis(250)),
            ping_interval: Some(Some(Duration::from_secs(20))),
            pong_timeout: Some(Duration::from_millis(1_500)),
            close_timeout: Some(Duration::from_secs(1)),
            drain_timeout: Some(Duration::from_secs(86_400)),
            no_compress: true,
            compress_level: Some(9),
            compress_threshold: Some(1 << 10),
            compress_takeover: WindowBits::new(12),
            allow_origins: ["https://a.example", "https://*.b.example", "null"]
                .map(|origin| AllowedOrigin::Pattern(origin.parse().expect("an origin")))
                .into_iter()
                .chain([AllowedOrigin::Any])
                .collect(),
        };
        let line = "echo --listen [::1]:9 --workers 2 --message-bytes-max 64KiB \
             --backlog-bytes-max 2MiB --worker-backlog-bytes-max 3MiB --slow-readers latest --slow-messages-max 100 \
             --slow-age-max 0 --gather-delay 0.005 --connections-max 7 --handshake-timeout 0.25 \
             --ping-interval 20 --pong-timeout 1.5 --close-timeout 1 --drain-timeout 86400 \
             --no-compress --compress-level 9 --compress-threshold 1KiB --compress-takeover 12 \
             --allow-origin https://A.example:443 --allow-origin https://*.b.example \
             --allow-origin null --allow-origin *";
        assert_eq!(server(line), expected);
    }

    #[test]
    fn flag_that_is_given_twice_is_an_error_unless_it_may_be_repeated() {
        for (line, expected) in [
            (
                "serve --workers 1 --workers 2",
                "--workers is given twice (see 'yamabiko serve --help')",
            ),
            (
                "echo --listen 127.0.0.1:0 --listen=[::1]:0",
                "--listen is given twice (see 'yamabiko echo --help')",
            ),
            (
                "chat ws://h/ --name A --name B",
                "--name is given twice (see 'yamabiko chat --help')",
            ),
            (
                "bench echo ws://h/ --bytes 64 --bytes 65",
                "--bytes is given twice (see 'yamabiko bench --help')",
            ),
            (
                "bench echo ws://h/ --text --binary",
                "either --text or --binary (see 'yamabiko bench --help')",
            ),
            (
                "bench echo ws://h/ --no-progress --progress",
                "either --progress or --no-progress (see 'yamabiko bench --help')",
            ),
        ] {
            assert_eq!(error(line), expected, "{line}");
        }
        let origins = server("--allow-origin null --allow-origin *").allow_origins;
        assert_eq!(origins.len(), 2);
    }

    #[test]
    fn ping_interval_of_0_means_no_pings() {
        assert_eq!(server("--ping-interval 0").ping_interval, Some(None));
        assert_eq!(server("").ping_interval, None);
    }

    #[test]
    fn chat_takes_one_url_and_a_name() {
        let chat = ChatOptions {
            url: "ws://h/chat/a".into(),
            name: Some("Aki".into()),
        };
        assert_eq!(
            parse_words("chat ws://h/chat/a --name Aki"),
            Ok(Command::Chat(chat.clone()))
        );
        assert_eq!(
            parse_words("chat --name=Aki ws://h/chat/a"),
            Ok(Command::Chat(chat))
        );
        assert!(error("chat").starts_with("chat needs a URL such as ws://"));
        assert!(error("chat ws://a ws://b").starts_with("unexpected argument \"ws://b\""));
    }

    #[test]
    fn help_is_about_the_command_that_was_named() {
        for (line, topic) in [
            ("--help", Topic::Yamabiko),
            ("-h", Topic::Yamabiko),
            ("help", Topic::Yamabiko),
            ("serve -h", Topic::Serve),
            ("help serve", Topic::Serve),
            ("echo --workers 2 --help", Topic::Echo),
            ("help echo", Topic::Echo),
            ("chat --help", Topic::Chat),
            ("help chat", Topic::Chat),
        ] {
            assert_eq!(parse_words(line), Ok(Command::Help(topic)), "{line}");
        }
    }

    #[test]
    fn version_is_asked_for_anywhere() {
        for line in ["--version", "-V", "serve --version", "echo -V", "chat -V"] {
            assert_eq!(parse_words(line), Ok(Command::Version), "{line}");
        }
    }

    #[test]
    fn error_names_the_word_and_the_help_that_explains_it() {
        for (line, expected) in [
            ("sing", "there is no command 'sing' (see 'yamabiko --help')"),
            (
                "help sing",
                "unexpected argument \"sing\" (see 'yamabiko --help')",
            ),
            (
                "--sing",
                "invalid option '--sing' (see 'yamabiko serve --help')",
            ),
            (
                "echo --sing=1",
                "invalid option '--sing' (see 'yamabiko echo --help')",
            ),
            (
                "echo -x",
                "invalid option '-x' (see 'yamabiko echo --help')",
            ),
            (
                "serve 8080",
                "unexpected argument \"8080\" (see 'yamabiko serve --help')",
            ),
            (
                "serve --listen",
                "missing argument for option '--listen' (see 'yamabiko serve --help')",
            ),
            (
                "--workers 0",
                "--workers '0': expected a whole number from 1 (see 'yamabiko serve --help')",
            ),
        ] {
            assert_eq!(error(line), expected, "{line}");
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for line in [
            "--listen 8080",
            "--listen localhost:8080",
            "--workers -1",
            "--workers two",
            "--message-bytes-max 1KB",
            "--message-bytes-max 0KiB",
            "--message-bytes-max 18446744073709551615KiB",
            "--ping-interval 0.0",
            "--pong-timeout 0",
            "--ping-interval -1",
            "--ping-interval nan",
            "--ping-interval inf",
            "--ping-interval 86400.1",
            "--allow-origin example.org",
            "--allow-origin https://example.org/",
            "--allow-origin https://",
        ] {
            let flag = line.split_once(' ').expect("flag and value").0;
            assert!(error(line).starts_with(flag), "{line}: {}", error(line));
        }
    }

    #[cfg(unix)]
    #[test]
    fn word_that_is_no_text_is_an_error_and_no_panic() {
        use std::os::unix::ffi::OsStringExt;
        let garbage = || OsString::from_vec(vec![0xff, 0xfe]);
        assert!(parse([garbage()]).is_err());
        assert!(parse(["chat".into(), garbage()]).is_err());
        assert!(parse(["--listen".into(), garbage()]).is_err());
    }
}
