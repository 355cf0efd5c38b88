//! A usage error in one line: the option or the environment variable, its value, the
//! expected form, and the help to read.
//!
//! ```text
//! --workers '0': expected a whole number from 1 (see 'yamabiko serve --help')
//! ```

use std::error::Error;
use std::ffi::{OsStr, OsString};

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::environment::variable;

/// The error in these arguments, which begin with the program's name and a command.
pub(super) fn one_line(error: &clap::Error, command: &Command, arguments: &[OsString]) -> String {
    let found = arguments.get(1);
    let found = found.and_then(|name| command.find_subcommand(name));
    let name = found.map(Command::get_name);
    let message = invalid_value(error, arguments).unwrap_or_else(|| first_sentences(error));
    see_help(&message, name.filter(|name| *name != "help"))
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
    let name = argument.split([' ', '=']).next().unwrap_or(argument);
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

/// `a, b or c`
fn alternatives(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// The error and its tips without the usage that follows, in one line.
fn first_sentences(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraphs = text
        .trim_start_matches("error: ")
        .split("\n\n")
        .take_while(|paragraph| {
            !paragraph.starts_with("Usage:") && !paragraph.starts_with("For more information")
        })
        .map(|paragraph| {
            let lines: Vec<&str> = paragraph.lines().map(str::trim).collect();
            lines.join(" ").replace("tip: ", "")
        });
    paragraphs.collect::<Vec<String>>().join("; ")
}
