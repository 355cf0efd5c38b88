//! The settings file of `serve`: TOML whose keys are the names of the options.
//!
//! ```toml
//! listen = "0.0.0.0:8080"
//! connections-per-address = 20
//! message-bytes-max = "64KiB"
//! allow-origin = ["https://example.org", "https://*.example.com"]
//! no-compress = true
//! ```
//!
//! A key becomes the option of that name, unless the command line or the environment sets it. So a file has the same values, the
//! same checks and the same errors as the options.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::{Table, Value};

use super::{error, table};
use crate::output::in_sentence;

/// The arguments, and behind them those of the settings file that these arguments or the environment name. `None`: they name
/// none.
///
/// # Errors
/// The file, and what is wrong in it, in one line.
pub(super) fn with_file(
    command: &Command,
    arguments: &[OsString],
    matches: &ArgMatches,
) -> Result<Option<Vec<OsString>>, String> {
    let Some((name, matches)) = matches.subcommand() else {
        return Ok(None);
    };
    let path = matches.try_get_one::<PathBuf>(FILE).ok().flatten();
    let (Some(path), Some(subcommand)) = (path, command.find_subcommand(name)) else {
        return Ok(None);
    };
    let in_file = |reason: String| format!("{}: {reason}", path.display());
    let mut merged = arguments.to_vec();
    for (key, value) in read(path)? {
        let option = option(subcommand, &key).map_err(in_file)?;
        let given = arguments_of(option, &key, &value).map_err(in_file)?;
        check(command, &given).map_err(in_file)?;
        if !is_set(option, matches) {
            merged.extend(given);
        }
    }
    Ok(Some(merged))
}

fn read(path: &Path) -> Result<Table, String> {
    let text = read_text(path)
        .map_err(|error| format!("cannot read {}: {}", path.display(), in_sentence(&error)))?;
    text.parse().map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let (line, key) = place(&text, start);
        let reason = error.message().lines().collect::<Vec<_>>().join(", ");
        format!("{}:{line}: {key}{reason}", path.display())
    })
}

/// The whole file, if it is not longer than any settings file.
fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 <= FILE_BYTES_MAX {
        true => Ok(text),
        false => Err(io::Error::other("a settings file has at most 1 MiB")),
    }
}

/// The line of this byte, and the key of the setting there with a colon, if there is one.
fn place(text: &str, start: usize) -> (usize, String) {
    let before = text.get(..start).unwrap_or(text);
    let line = 1 + before.matches('\n').count();
    let content = text.lines().nth(line - 1).unwrap_or_default();
    let key = content.split_once('=').map_or("", |(key, _)| key.trim());
    let is_key = |key: &str| {
        let mut characters = key.chars();
        !key.is_empty() && characters.all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    match key.trim_matches('"') {
        key if is_key(key) => (line, format!("{key}: ")),
        _ => (line, String::new()),
    }
}

/// The option of this name.
fn option<'a>(command: &'a Command, key: &str) -> Result<&'a Arg, String> {
    let named = |name: &str| {
        command.get_arguments().find(|option| {
            let id = option.get_id().as_str();
            option.get_long() == Some(name) && ![FILE, CHECK, "help", "version"].contains(&id)
        })
    };
    let with_hyphens = key.replace('_', "-");
    named(key).ok_or_else(|| match named(&with_hyphens) {
        Some(_) => format!("there is no setting '{key}'; it is written '{with_hyphens}'"),
        None => format!("there is no setting '{key}' (see 'yamabiko serve --help')"),
    })
}

/// The arguments that set the option to this value.
fn arguments_of(option: &Arg, key: &str, value: &Value) -> Result<Vec<OsString>, String> {
    let long = option.get_long().unwrap_or_default();
    let mut rows = table::table().into_iter();
    if rows.any(|row| row.name == long && row.is_switch()) {
        return match value {
            Value::Boolean(value) => Ok(vec![format!("--{long}={value}").into()]),
            _ => Err(format!("{key}: expected true or false")),
        };
    }
    let values = match value {
        Value::Array(_) if !matches!(option.get_action(), ArgAction::Append) => {
            return Err(format!("{key}: expected one value and no list"));
        }
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    let argument = |value: &Value| {
        let text = match value {
            Value::String(text) => text.clone(),
            // 0o660 is 432: the digits as they are written are lost.
            Value::Integer(_) if long == UNIX_MODE => {
                return Err(format!(
                    "{key}: expected a text in quotation marks, such as \"660\""
                ));
            }
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            _ => {
                return Err(format!(
                    "{key}: expected a number or a text in quotation marks"
                ));
            }
        };
        Ok(OsString::from(format!("--{long}={text}")))
    };
    values.iter().map(argument).collect()
}

/// Whether these options alone are a command line of `serve`.
fn check(command: &Command, given: &[OsString]) -> Result<(), String> {
    let alone = ["yamabiko", "serve"].map(OsString::from);
    let arguments: Vec<OsString> = alone.into_iter().chain(given.iter().cloned()).collect();
    match command.clone().try_get_matches_from(&arguments) {
        Ok(_) => Ok(()),
        Err(error) => {
            let message = error::one_line(&error, command, &arguments);
            Err(message.trim_start_matches("--").to_owned())
        }
    }
}

/// Whether the command line or the environment sets the option.
fn is_set(option: &Arg, matches: &ArgMatches) -> bool {
    let source = matches.value_source(option.get_id().as_str());
    source.is_some_and(|source| source != ValueSource::DefaultValue)
}

/// The option `--config`, which names the file.
const FILE: &str = "file";
/// The option that checks the settings.
const CHECK: &str = "check";
/// A setting whose digits are not a decimal number.
const UNIX_MODE: &str = "unix-mode";
/// More than any settings file has, and little to read.
const FILE_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::super::settings::{ServeSettings, Settings};
    use super::super::{Command, Stop, parse};
    use std::ffi::OsString;
    use std::fs;
    use std::path::PathBuf;

    /// A settings file that is removed at the end of its test.
    struct File(PathBuf);

    impl File {
        fn new(name: &str, text: &str) -> File {
            let directory = std::env::temp_dir();
            let path = directory.join(format!("yamabiko-{}-{name}.toml", std::process::id()));
            fs::write(&path, text).expect("a file in the temporary directory");
            File(path)
        }

        fn parse(&self, options: &str) -> Result<Command, Stop> {
            let mut arguments = vec![OsString::from("serve"), "--config".into()];
            arguments.push(self.0.clone().into());
            arguments.extend(options.split_whitespace().map(OsString::from));
            parse(arguments)
        }

        fn settings(&self, options: &str) -> ServeSettings {
            match self.parse(options) {
                Ok(Command::Serve(settings)) => settings,
                other => panic!("{other:?}"),
            }
        }

        fn error(&self) -> String {
            match self.parse("") {
                Err(Stop::Usage(message)) => message.replace(self.0.to_str().expect("UTF-8"), "F"),
                other => panic!("{other:?}"),
            }
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn keys_of_the_file_are_the_options_and_the_command_line_wins() {
        let text = "listen = \"127.0.0.1:9\"\nworkers = 3 # a comment\nmessage-bytes-max = \"64KiB\"\n\
                    ping-interval = 2.5\nno-compress = true\nlag-action = \"skip\"\n\
                    allow-origin = [\"https://a.example\", \"null\"]\n";
        let file = File::new("keys", text);
        let with_file = file.settings("--workers 1 --close-timeout 9");
        let mut options = parse(
            "serve --listen 127.0.0.1:9 --workers 1 --message-bytes-max 64KiB --ping-interval 2.5 --no-compress \
             --lag-action skip --allow-origin https://a.example --allow-origin null --close-timeout 9"
                .split_whitespace()
                .map(OsString::from),
        );
        if let Ok(Command::Serve(settings)) = &mut options {
            settings.file = Some(file.0.clone());
        }
        assert_eq!(Ok(Command::Serve(with_file)), options);
        let file = File::new("off", "no-compress = false");
        assert!(!file.settings("").settings.no_compress);
        let file = File::new("on", "no-compress = true");
        let overruled = file.settings("--no-compress=false");
        assert!(!overruled.settings.no_compress);
    }

    #[test]
    fn wrong_file_is_an_error_of_one_line_that_names_what_is_wrong() {
        for (name, text, expected) in [
            (
                "value",
                "workers = 0",
                "F: workers '0': expected a whole number from 1 to 1024 (see 'yamabiko serve --help')",
            ),
            (
                "name",
                "wrokers = 1",
                "F: there is no setting 'wrokers' (see 'yamabiko serve --help')",
            ),
            (
                "own-name",
                "config = \"x\"",
                "F: there is no setting 'config' (see 'yamabiko serve --help')",
            ),
            (
                "flag",
                "no-compress = 1",
                "F: no-compress: expected true or false",
            ),
            (
                "kind",
                "workers = true",
                "F: workers: expected a number or a text in quotation marks",
            ),
            (
                "list",
                "message-bytes-max = [1]",
                "F: message-bytes-max: expected one value and no list",
            ),
            (
                "lists",
                "workers = [1, 2]",
                "F: workers: expected one value and no list",
            ),
            (
                "underscore",
                "ping_interval = 1",
                "F: there is no setting 'ping_interval'; it is written 'ping-interval'",
            ),
            (
                "mode",
                "unix-mode = 0o660",
                "F: unix-mode: expected a text in quotation marks, such as \"660\"",
            ),
            (
                "control",
                "\"a\\nb\" = 1",
                "F: there is no setting 'a\nb' (see 'yamabiko serve --help')",
            ),
        ] {
            assert_eq!(File::new(name, text).error(), expected);
        }
        for (name, text, start) in [
            (
                "large",
                "workers = 1\nmessage-bytes-max = 99999999999999999999\n",
                "F:2: message-bytes-max: ",
            ),
            (
                "above",
                "connections-max = 18446744073709551615",
                "F:1: connections-max: ",
            ),
            ("quoted", "listen = \"127.0.0.1:8080\n", "F:1: listen: "),
            ("duplicate", "workers = 1\nworkers = 2", "F:2: "),
            ("no-value", "workers = \n", "F:1: workers: "),
        ] {
            let error = File::new(name, text).error();
            assert!(error.starts_with(start) && !error.contains('\n'), "{error}");
        }
        let error = File::new("syntax", "workers = 1\nlisten = 127.0.0.1:9\n").error();
        assert!(
            error.starts_with("F:2: ") && !error.contains('\n'),
            "{error}"
        );
        let error = File::new("long", &format!("#{}", "x".repeat(1 << 20))).error();
        assert_eq!(error, "cannot read F: a settings file has at most 1 MiB");
        let longest = format!("#{}", "x".repeat((1 << 20) - 1));
        assert_eq!(
            File::new("longest", &longest).settings("").settings,
            Settings::default()
        );
        let missing = parse(["serve", "--config", "/nowhere/yamabiko.toml"].map(OsString::from));
        match missing {
            Err(Stop::Usage(message)) => {
                assert!(
                    message.starts_with("cannot read /nowhere/yamabiko.toml: "),
                    "{message}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}
