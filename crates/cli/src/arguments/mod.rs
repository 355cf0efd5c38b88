//! The command line as one [`Command`]: read by `clap` from arguments and environment
//! variables, over no defaults of its own. An option that is not given stays `None`, and
//! the layer that it is for has the default.
//!
//! | file | content |
//! |---|---|
//! | `mod.rs` | the commands, and how arguments become one |
//! | `settings.rs`, `access.rs` | the settings of the servers; who may use the WebSockets of `serve` |
//! | `bench.rs` | the arguments of `bench` |
//! | `values.rs` | the forms of values |
//! | `environment.rs` | an environment variable for each option |
//! | `file.rs` | the settings file of `serve` |
//! | `error.rs` | a usage error in one line |
//! | `help.rs` | the texts below the options |

mod access;
mod bench;
mod environment;
mod error;
mod file;
mod help;
mod settings;
pub(crate) mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use yamabiko::server::Config;

pub(super) use bench::BenchArguments;
pub(super) use error::see_help;
pub(super) use settings::{EchoSettings, ServeSettings, effective};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "yamabiko",
    version,
    about = "a WebSocket broadcast server, chat and client (RFC 6455)",
    override_usage = "yamabiko [COMMAND] [OPTIONS]",
    after_help = help::YAMABIKO,
    propagate_version = true,
    max_term_width = 80
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// The command that the user has named, with its settings.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub(super) enum Command {
    /// the chat server and its page; the default
    #[command(after_help = help::SERVE, after_long_help = help::SERVE_LONG)]
    Serve(ServeSettings),
    /// the settings of serve in effect, as a TOML file
    #[command(after_help = help::CONFIG)]
    Config(ServeSettings),
    /// a server that sends every message back, for tests and load
    #[command(after_help = help::ECHO, after_long_help = help::ECHO_LONG)]
    Echo(EchoSettings),
    /// a terminal client of the chat
    #[command(after_help = help::CHAT, after_long_help = help::CHAT_LONG)]
    Chat(ChatSettings),
    /// load on any WebSocket server, measured and checked
    Bench(Box<BenchArguments>),
    /// shell completions, on standard output
    Completions {
        /// The shell that is to complete
        shell: Shell,
    },
    /// manual pages of the program and its commands
    Man {
        /// Directory to write to; it is created if there is none
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

/// The arguments of `chat`.
#[derive(Args, Clone, Debug, PartialEq)]
pub(super) struct ChatSettings {
    /// The room, such as ws://127.0.0.1:8080/chat/lobby
    // The client reads the URI: its errors are better than any of ours.
    pub url: String,
    /// The user's name in the room
    #[arg(long)]
    pub name: Option<String>,
}

/// A command line that is no command to obey.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stop {
    /// The help, for standard output.
    Help(String),
    /// Name and version.
    Version,
    /// A usage error in one line.
    Usage(String),
}

/// Reads the arguments after the program's name, and environment variables.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Stop> {
    let arguments = with_command(arguments);
    let command = &mut with_plain_help_command(command());
    let mut matches = matches(command, &arguments)?;
    if let Some(merged) = file::with_file(command, &arguments, &matches).map_err(Stop::Usage)? {
        matches = self::matches(command, &merged)?;
    }
    CommandLine::from_arg_matches(&matches)
        .map(|line| line.command)
        .map_err(|error| Stop::Usage(error::one_line(&error, command, &arguments)))
}

fn matches(command: &mut clap::Command, arguments: &[OsString]) -> Result<ArgMatches, Stop> {
    let matches = command.try_get_matches_from_mut(arguments);
    matches.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp => Stop::Help(error.render().to_string()),
        ErrorKind::DisplayVersion => Stop::Version,
        _ => Stop::Usage(error::one_line(&error, command, arguments)),
    })
}

/// The program's name in front, and `serve` where no command is named.
fn with_command(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter().peekable();
    let names_command = arguments.peek().is_some_and(|first| {
        let about_all = ["-h", "--help", "-V", "--version"];
        about_all.iter().any(|flag| first == flag) || !first.as_encoded_bytes().starts_with(b"-")
    });
    let serve = (!names_command).then(|| OsString::from("serve"));
    let program = OsString::from("yamabiko");
    [program]
        .into_iter()
        .chain(serve)
        .chain(arguments)
        .collect()
}

/// The description of `help`, which the parser adds, in the form of the other commands.
fn with_plain_help_command(mut command: clap::Command) -> clap::Command {
    command.build();
    command.mut_subcommand("help", |help| {
        help.about("this text, or the help of a command")
    })
}

/// The command line for shell completions: without a command, the options of `serve` follow.
pub(super) fn completed_command() -> clap::Command {
    let command = command();
    let serve = command.find_subcommand("serve").cloned();
    match serve {
        Some(serve) => command.args(serve.get_arguments()),
        None => command,
    }
}

/// The commands with their options, environment variables and defaults.
pub(super) fn command() -> clap::Command {
    let mut serve = settings::defaults(&Config::default(), "pages of the same host");
    serve.extend(access::AccessSettings::defaults());
    let echo = settings::defaults(
        &settings::echo_defaults(),
        "every page on a loopback address, otherwise pages of the same host",
    );
    let chat = [("name", "guest and a number".to_owned())];
    CommandLine::command()
        .help_template(help::template("yamabiko"))
        .mut_subcommand("serve", |command| {
            environment::read(with_defaults(command, &serve))
        })
        .mut_subcommand("config", |command| {
            environment::read(with_defaults(command, &serve))
                .mut_arg("check", |argument| argument.hide(true))
        })
        .mut_subcommand("echo", |command| {
            environment::read(with_defaults(command, &echo))
        })
        .mut_subcommand("chat", |command| {
            environment::read(with_defaults(command, &chat))
        })
        .mut_subcommand("bench", |command| {
            with_defaults(command, &bench::defaults())
        })
        .mut_subcommands(|command| {
            let template = help::template(&format!("yamabiko {}", command.get_name()));
            command.help_template(template).mut_args(|argument| {
                let takes_value = argument.get_action().takes_values();
                match argument.is_positional() {
                    true => argument,
                    // As the value of an option, `-3` is a wrong number and no other option.
                    false => argument.allow_hyphen_values(takes_value),
                }
            })
        })
}

/// The options' defaults behind their help.
fn with_defaults(command: clap::Command, defaults: &[(&'static str, String)]) -> clap::Command {
    command.mut_args(|argument| {
        // Without it an option that takes no value is off.
        if !argument.get_action().takes_values() {
            return argument;
        }
        let found = defaults.iter().find(|(id, _)| argument.get_id() == id);
        let Some((_, default)) = found else {
            return argument;
        };
        let text = argument.get_help().map(ToString::to_string);
        let long = argument.get_long_help().map(ToString::to_string);
        let argument = argument.help(format!("{} [default: {default}]", text.unwrap_or_default()));
        match long {
            Some(long) => argument.long_help(format!("{long}\n\n[default: {default}]")),
            None => argument,
        }
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::settings::ServerSettings;
    use super::*;

    pub(crate) fn parse_line(line: &str) -> Result<Command, Stop> {
        parse(line.split_whitespace().map(OsString::from))
    }

    pub(crate) fn server(line: &str) -> ServerSettings {
        match parse_line(line) {
            Ok(Command::Serve(settings)) => settings.server,
            other => panic!("{line}: {other:?}"),
        }
    }

    pub(crate) fn error(line: &str) -> String {
        match parse_line(line) {
            Err(Stop::Usage(message)) => message,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn help(line: &str) -> String {
        match parse_line(line) {
            Err(Stop::Help(text)) => text,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn description_of_the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn program_without_a_command_is_serve_with_every_default() {
        assert_eq!(parse_line(""), Ok(Command::Serve(ServeSettings::default())));
        assert_eq!(parse_line("serve"), parse_line(""));
        assert_eq!(
            parse_line("echo"),
            Ok(Command::Echo(EchoSettings::default()))
        );
    }

    #[test]
    fn options_without_a_command_belong_to_serve() {
        let line = "--listen 127.0.0.1:0 --workers=3";
        assert_eq!(parse_line(line), parse_line(&format!("serve {line}")));
        let settings = server(line);
        assert_eq!(settings.listen, [([127, 0, 0, 1], 0).into()]);
        assert_eq!(settings.workers, std::num::NonZeroUsize::new(3));
    }

    #[test]
    fn option_that_is_given_twice_is_an_error_unless_it_may_be_repeated() {
        for line in [
            "serve --workers 1 --workers 2",
            "echo --ping-interval 1 --ping-interval=2",
            "chat ws://h/ --name A --name B",
            "bench echo ws://h/ --bytes 64 --bytes 65",
            "bench echo ws://h/ --json --json",
        ] {
            let error = error(line);
            assert!(
                error.contains("cannot be used multiple times (see"),
                "{error}"
            );
        }
        let listen = server("--listen :1 --listen [::1]:2,unix:/run/x").listen;
        assert_eq!(listen.len(), 3);
        let origins = server("--allow-origin null --allow-origin *").allow_origins;
        assert_eq!(origins.len(), 2);
        assert_eq!(server("--allow-origin null,*").allow_origins, origins);
    }

    #[test]
    fn options_that_contradict_each_other_are_an_error() {
        for (line, one, other) in [
            ("bench echo ws://h/ --text --binary", "--text", "--binary"),
            (
                "bench echo ws://h/ --no-progress --progress",
                "--progress",
                "--no-progress",
            ),
            (
                "bench echo ws://h/ --window 3 --rate 3",
                "--window",
                "--rate",
            ),
        ] {
            let error = error(line);
            assert!(error.contains("cannot be used with"), "{error}");
            assert!(error.contains(one) && error.contains(other), "{error}");
        }
    }

    #[test]
    fn chat_takes_one_url_and_a_name() {
        let chat = ChatSettings {
            url: "ws://h/chat/a".into(),
            name: Some("Aki".into()),
        };
        for line in [
            "chat ws://h/chat/a --name Aki",
            "chat --name=Aki ws://h/chat/a",
        ] {
            assert_eq!(parse_line(line), Ok(Command::Chat(chat.clone())));
        }
        assert!(error("chat ws://a ws://b").starts_with("unexpected argument 'ws://b' found"));
    }

    #[test]
    fn help_is_about_the_command_that_was_named() {
        for (line, about) in [
            ("--help", "yamabiko: a WebSocket broadcast server"),
            ("-h", "yamabiko: a WebSocket broadcast server"),
            ("help", "yamabiko: a WebSocket broadcast server"),
            ("serve -h", "yamabiko serve: the chat server"),
            ("help serve", "yamabiko serve: the chat server"),
            ("echo --workers 2 --help", "yamabiko echo: a server that"),
            ("help echo", "yamabiko echo: a server that"),
            ("chat --help", "yamabiko chat: a terminal client"),
            ("help chat", "yamabiko chat: a terminal client"),
            ("bench --help", "yamabiko bench: load on any"),
            ("bench fan-out -h", "yamabiko bench: load on any"),
            ("help bench", "yamabiko bench: load on any"),
            ("config -h", "yamabiko config: the settings of serve"),
            ("completions -h", "yamabiko completions: "),
            ("man -h", "yamabiko man: "),
        ] {
            assert!(help(line).starts_with(about), "{line}: {}", help(line));
        }
    }

    #[test]
    fn every_command_in_the_help_is_described_in_the_same_form() {
        let text = help("--help");
        let (_, commands) = text.split_once("Commands:\n").expect("a list");
        let (commands, _) = commands.split_once("\n\n").expect("an end");
        for line in commands.lines() {
            let about = line.trim().split_once("  ").expect("a description").1;
            assert!(about.trim().starts_with(char::is_lowercase), "{line}");
        }
        assert!(commands.contains("  help         this text, or the help of a command"));
    }

    #[test]
    fn version_is_asked_for_anywhere() {
        for line in [
            "--version",
            "-V",
            "serve --version",
            "echo -V",
            "chat -V",
            "bench -V",
        ] {
            assert_eq!(parse_line(line), Err(Stop::Version), "{line}");
        }
    }

    #[test]
    fn every_line_of_the_help_fits_a_terminal_and_the_text_ends_in_a_line_break() {
        for name in [
            "",
            "serve",
            "config",
            "echo",
            "chat",
            "bench",
            "completions",
            "man",
        ] {
            for flag in ["-h", "--help"] {
                let text = help(format!("{name} {flag}").trim());
                assert!(text.ends_with('\n'));
                for line in text.lines() {
                    assert!(line.chars().count() <= 80, "{line}");
                }
            }
        }
    }

    #[test]
    fn every_option_has_a_help_text() {
        for command in command().get_subcommands() {
            for argument in command.get_arguments() {
                let text = argument.get_help().map(ToString::to_string);
                let name = argument.get_id();
                assert!(text.is_some_and(|text| !text.is_empty()), "{name}");
            }
        }
    }

    #[test]
    fn error_names_the_argument_and_the_help_that_explains_it() {
        for (line, expected) in [
            (
                "sing",
                "unrecognized subcommand 'sing' (see 'yamabiko --help')",
            ),
            (
                "serv",
                "unrecognized subcommand 'serv'; a similar subcommand exists: 'serve' (see 'yamabiko --help')",
            ),
            (
                "help sing",
                "unrecognized subcommand 'sing' (see 'yamabiko --help')",
            ),
            (
                "--sing",
                "unexpected argument '--sing' found (see 'yamabiko serve --help')",
            ),
            (
                "echo --sing=1",
                "unexpected argument '--sing' found (see 'yamabiko echo --help')",
            ),
            (
                "echo -x",
                "unexpected argument '-x' found (see 'yamabiko echo --help')",
            ),
            (
                "serve 8080",
                "unexpected argument '8080' found (see 'yamabiko serve --help')",
            ),
            (
                "serve --listen",
                "a value is required for '--listen <ADDRESS>' but none was supplied (see 'yamabiko serve --help')",
            ),
            (
                "--workers 0",
                "--workers '0': expected a whole number from 1 (see 'yamabiko serve --help')",
            ),
            (
                "--lag-action wait",
                "--lag-action 'wait': expected disconnect, skip or latest (see 'yamabiko serve --help')",
            ),
            (
                "completions sh",
                "SHELL 'sh': expected bash, elvish, fish, powershell or zsh (see 'yamabiko completions --help')",
            ),
        ] {
            assert_eq!(error(line), expected, "{line}");
        }
    }

    #[test]
    fn error_about_a_missing_argument_has_an_example() {
        let url = "yamabiko chat ws://127.0.0.1:8080/chat/lobby";
        let load = "yamabiko bench fan-out ws://127.0.0.1:8080/broadcast/bench";
        for (line, missing, example) in [
            ("chat", "<URL>", url),
            ("chat --name Aki", "<URL>", url),
            ("bench", "<SCENARIO> <URL>", load),
            ("bench echo", "<URL>", load),
            ("completions", "<SHELL>", "yamabiko completions bash"),
            ("man", "<DIR>", "yamabiko man ./man1"),
        ] {
            let command = line.split(' ').next().expect("a command");
            let expected =
                format!("missing {missing}, as in '{example}' (see 'yamabiko {command} --help')");
            assert_eq!(error(line), expected);
            assert!(parse_line(&example.replacen("yamabiko ", "", 1)).is_ok());
        }
    }

    #[test]
    fn tip_for_an_unknown_option_names_an_option_that_exists() {
        let help = "(see 'yamabiko chat --help')";
        for (line, expected) in [
            (
                "chat ws://h/ --bad",
                format!("unexpected argument '--bad' found {help}"),
            ),
            (
                "chat --bad",
                format!("unexpected argument '--bad' found {help}"),
            ),
            (
                "chat --nam Aki ws://h/",
                format!(
                    "unexpected argument '--nam' found; a similar argument exists: '--name' {help}"
                ),
            ),
        ] {
            assert_eq!(error(line), expected);
        }
    }

    #[test]
    fn completions_offer_the_options_of_serve_without_a_command() {
        let command = completed_command();
        let serve = command.find_subcommand("serve").expect("a command");
        for option in serve.get_arguments() {
            let same = |other: &clap::Arg| other.get_long() == option.get_long();
            assert!(command.get_arguments().any(same), "{:?}", option.get_long());
        }
        command.debug_assert();
    }

    #[test]
    fn value_out_of_range_is_refused() {
        for line in [
            "--listen 8080",
            "--listen example.org:8080",
            "--listen --workers",
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
            "--compress-level 0",
            "--compress-level 10",
            "--compress-takeover 7",
            "--compress-takeover 16",
            "--allow-origin example.org",
            "--allow-origin https://example.org/",
            "--allow-origin https://",
            "--allow-host a:80",
            "--allow-host *.",
            "--broadcast closed",
            "--token-leeway -1",
        ] {
            let (option, value) = line.split_once(' ').expect("option and value");
            let start = format!("{option} '{value}': ");
            assert!(error(line).starts_with(&start), "{line}: {}", error(line));
        }
    }

    #[cfg(unix)]
    #[test]
    fn argument_that_is_not_utf_8_is_an_error_that_names_its_option() {
        use std::os::unix::ffi::OsStringExt;
        let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let name_of_user = vec![
            "chat".into(),
            "ws://h/".into(),
            "--name".into(),
            bytes(b"\xff"),
        ];
        for (arguments, name) in [
            (vec!["chat".into(), bytes(b"\xff")], "argument"),
            (vec!["--listen".into(), bytes(b"\xff")], "--listen"),
            (vec![bytes(b"--listen=\xff")], "--listen"),
            (name_of_user, "--name"),
        ] {
            let Err(Stop::Usage(message)) = parse(arguments) else {
                panic!("{name}: a usage error");
            };
            let expected = format!("{name} '\u{fffd}': expected UTF-8 (see 'yamabiko ");
            assert!(message.starts_with(&expected), "{message}");
        }
        assert!(matches!(parse([bytes(b"\xff")]), Err(Stop::Usage(_))));
    }

    #[test]
    fn option_of_a_server_or_of_the_chat_has_an_environment_variable() {
        let command = command();
        for name in ["serve", "echo", "chat"] {
            let found = command.find_subcommand(name).expect(name);
            for option in found.get_arguments().filter(|found| !found.is_positional()) {
                let long = option.get_long().expect("a long name");
                let variable = option.get_env().expect(long).to_str().expect("ASCII");
                assert_eq!(variable, environment::variable(long));
            }
        }
        assert_eq!(
            environment::variable("ping-interval"),
            "YAMABIKO_PING_INTERVAL"
        );
    }
}
