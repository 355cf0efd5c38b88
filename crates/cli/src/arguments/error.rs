//! A usage error in one line: the option or the environment variable, its value, the
//! expected form, and the help to read.
//!
//! ```text
//! --workers '0': expected a whole number from 1 (see 'yamabiko serve --help')
//! missing <URL>, as in 'yamabiko chat ws://127.0.0.1:8080/chat/lobby' (see …)
//! ```

use std::env;
use std::error::Error;
use std::ffi::{OsStr, OsString};

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::environment::variable;
use super::help::example;

/// The error in these arguments, which begin with the program's name and a command.
pub(super) fn one_line(error: &clap::Error, command: &Command, arguments: &[OsString]) -> String {
    let named = arguments.get(1);
    let named = named.and_then(|name| command.find_subcommand(name));
    let named = named.filter(|command| command.get_name() != "help");
    let message = invalid_value(error, arguments)
        .or_else(|| missing_argument(error, named?))
        .or_else(|| not_utf_8(error, named?, arguments))
        .unwrap_or_else(|| first_sentences(error));
    see_help(&message, named.map(Command::get_name))
}

/// A usage error, and the help of the command that it is about.
pub(crate) fn see_help(message: &str, command: Option<&str>) -> String {
    match command {
        Some(command) => format!("{message} (see 'yamabiko {command} --help')"),
        None => format!("{message} (see 'yamabiko --help')"),
    }
}

/// A value that cannot be read; `None`: the error is of another kind.
fn invalid_value(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    if !matches!(
        error.kind(),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation
    ) {
        return None;
    }
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let value = text(ContextKind::InvalidValue)?;
    let expected = match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(reason), _) => reason.to_string(),
        // No value at all has no list either.
        (None, Some(ContextValue::Strings(names))) if !names.is_empty() && !value.is_empty() => {
            format!("expected {}", alternatives(names))
        }
        _ => return None,
    };
    let name = setting(text(ContextKind::InvalidArg)?, arguments);
    Some(format!("{name} '{value}': {expected}"))
}

/// `--listen <IP:PORT>` as `--listen`, and `<SCENARIO>` as `SCENARIO`. An option that is not
/// among the arguments has its value from an environment variable.
fn setting(argument: &str, arguments: &[OsString]) -> String {
    let name = argument.split([' ', '=', '[']).next().unwrap_or(argument);
    let is_given = |given: &OsStr| {
        let rest = given
            .as_encoded_bytes()
            .strip_prefix(name.as_bytes())
            .map(|rest| rest.first());
        matches!(rest, Some(None | Some(b'=')))
    };
    match name.strip_prefix("--") {
        Some(long) if !arguments.iter().any(|given| is_given(given)) => variable(long),
        _ => name.trim_matches(['<', '>', '[', ']']).to_owned(),
    }
}

/// Arguments that the command needs, and a command line that has them.
fn missing_argument(error: &clap::Error, command: &Command) -> Option<String> {
    let missing = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(names))) => names.join(" "),
        _ => return None,
    };
    let example = example(command.get_name())?;
    Some(format!("missing {missing}, as in '{example}'"))
}

/// A value that is not UTF-8. The parser's error does not say where it stands.
fn not_utf_8(error: &clap::Error, command: &Command, arguments: &[OsString]) -> Option<String> {
    if error.kind() != ErrorKind::InvalidUtf8 {
        return None;
    }
    let (name, value) =
        argument_not_utf_8(command, arguments).or_else(|| variable_not_utf_8(command))?;
    Some(format!("{name} '{value}': expected UTF-8"))
}

/// The first argument that is not UTF-8: its option, and its value with replacements.
fn argument_not_utf_8(command: &Command, arguments: &[OsString]) -> Option<(String, String)> {
    let index = arguments
        .iter()
        .position(|given| given.to_str().is_none())?;
    let given = arguments[index].to_string_lossy();
    if let Some((name, value)) = given.split_once('=').filter(|_| given.starts_with("--")) {
        return Some((name.to_owned(), value.to_owned()));
    }
    let before = index
        .checked_sub(1)
        .and_then(|index| arguments[index].to_str());
    let option = before.filter(|before| takes_value(command, before));
    let name = option.unwrap_or("argument").to_owned();
    Some((name, given.into_owned()))
}

/// Whether this argument is an option whose value is the next argument.
fn takes_value(command: &Command, argument: &str) -> bool {
    let long = argument.strip_prefix("--");
    let mut options = command
        .get_arguments()
        .filter(|option| !option.is_positional());
    options.any(|option| option.get_long() == long && option.get_action().takes_values())
}

/// The first environment variable of the command that is not UTF-8, and its value with
/// replacements.
fn variable_not_utf_8(command: &Command) -> Option<(String, String)> {
    command.get_arguments().find_map(|option| {
        let name = option.get_env()?;
        let value = env::var_os(name).filter(|value| value.to_str().is_none())?;
        let text = |text: &OsStr| text.to_string_lossy().into_owned();
        Some((text(name), text(&value)))
    })
}

/// `a, b or c`
fn alternatives(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// The error and its tips without the usage that follows, in one line. The tip to pass an
/// unknown option as a value is left out: no value of ours begins with a hyphen.
fn first_sentences(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraphs = text
        .trim_start_matches("error: ")
        .split("\n\n")
        .take_while(|paragraph| {
            !paragraph.starts_with("Usage:") && !paragraph.starts_with("For more information")
        })
        .filter(|paragraph| !paragraph.trim_start().starts_with("tip: to pass "))
        .map(|paragraph| {
            let lines: Vec<&str> = paragraph.lines().map(str::trim).collect();
            lines.join(" ").replace("tip: ", "")
        });
    paragraphs.collect::<Vec<String>>().join("; ")
}
