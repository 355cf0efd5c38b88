//! The command line as one [`Command`]: read by `clap` from arguments and environment
//! variables, over no defaults of its own. An option that is not given stays `None`, and
//! the layer that it is for has the default.
//!
//! | file | content |
//! |---|---|
//! | `mod.rs` | the commands, and how arguments become one |
//! | `table.rs`, `setting.rs` | the table of the settings of the servers; a row of it, and its option |
//! | `settings.rs` | the values of these settings, and the configuration that they make |
//! | `access.rs` | who may use the WebSockets of `serve`: the tokens |
//! | `apps.rs` | the apps of Pusher clients |
//! | `cluster.rs` | the node of a cluster |
//! | `data.rs` | the file that keeps the messages of rooms |
//! | `effective.rs`, `changes.rs` | the settings in effect as a file; what has changed when they are read again |
//! | `bench.rs`, `conform.rs`, `trace.rs` | the arguments of `bench`, `conform` and `trace` |
//! | `values.rs` | the forms of values |
//! | `environment.rs` | an environment variable for each option |
//! | `file.rs` | the settings file of `serve` |
//! | `error.rs` | a usage error in one line |
//! | `help.rs` | the texts below the options |

mod access;
mod apps;
mod bench;
mod changes;
mod chat;
#[cfg(feature = "cluster")]
mod cluster;
mod conform;
#[cfg(feature = "data")]
mod data;
mod effective;
mod environment;
mod error;
mod file;
mod help;
mod setting;
mod settings;
mod table;
mod trace;
pub(crate) mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

pub(super) use bench::BenchArguments;
pub(super) use changes::Changes;
pub(super) use chat::ChatSettings;
pub(super) use conform::{ConformArguments, Role};
pub(super) use effective::effective;
pub(super) use error::see_help;
pub(super) use settings::{EchoSettings, Restarts, ServeSettings, Settings, TraceSettings};
pub(super) use trace::TraceArguments;

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
    /// a conformance suite for any WebSocket server or client
    Conform(Box<ConformArguments>),
    /// a connection to any server, shown frame by frame
    Trace(Box<TraceArguments>),
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

/// The environment variables that begin as those of options, and that no option has: one line for each.
pub(super) fn unknown_variables() -> Vec<String> {
    let unknown = environment::unknown(&command()).into_iter();
    unknown
        .map(|name| format!("no option has the environment variable {name}"))
        .collect()
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
    let chat = [("name", "guest and a number".to_owned())];
    CommandLine::command()
        .help_template(help::template("yamabiko"))
        .mut_subcommand("serve", environment::read)
        .mut_subcommand("config", |command| {
            environment::read(command).mut_arg("check", |argument| argument.hide(true))
        })
        .mut_subcommand("echo", environment::read)
        .mut_subcommand("chat", |command| {
            environment::read(with_defaults(command, &chat))
        })
        .mut_subcommand("bench", |command| {
            with_defaults(command, &bench::defaults())
        })
        .mut_subcommand("conform", |command| {
            with_defaults(command, &conform::defaults())
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
pub(crate) mod tests;
