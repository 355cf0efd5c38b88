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
use std::fs;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use toml::{Table, Value};

use super::error;
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
    let text = fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {}", path.display(), in_sentence(&error)))?;
    text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().map_or("", |span| &text[..span.start]);
        let line = 1 + before.matches('\n').count();
        let reason = error.message().lines().next().unwrap_or_default();
        format!("{}:{line}: {reason}", path.display())
    })
}

/// The option of this name. Underscores are as good as hyphens.
fn option<'a>(command: &'a Command, key: &str) -> Result<&'a Arg, String> {
    let long = key.replace('_', "-");
    let is_setting = |option: &&Arg| {
        let id = option.get_id().as_str();
        option.get_long() == Some(&long) && ![FILE, CHECK, "help", "version"].contains(&id)
    };
    command
        .get_arguments()
        .find(is_setting)
        .ok_or_else(|| format!("there is no setting '{key}' (see 'yamabiko serve --help')"))
}

/// The arguments that set the option to this value.
fn arguments_of(option: &Arg, key: &str, value: &Value) -> Result<Vec<OsString>, String> {
    let long = option.get_long().unwrap_or_default();
    if !option.get_action().takes_values() {
        return match value {
            Value::Boolean(true) => Ok(vec![format!("--{long}").into()]),
            Value::Boolean(false) => Ok(Vec::new()),
            _ => Err(format!("{key}: expected true or false")),
        };
    }
    let values = match value {
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    let argument = |value: &Value| {
        let text = match value {
            Value::String(text) => text.clone(),
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

#[cfg(test)]
mod tests {
    use super::super::settings::ServeSettings;
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
        let text = "listen = \"127.0.0.1:9\"\nworkers = 3 # a comment\nmessage_bytes_max = \"64KiB\"\n\
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
        let file = File::new("off", "no_compress = false");
        assert!(!file.settings("").server.no_compress);
    }

    #[test]
    fn wrong_file_is_an_error_of_one_line_that_names_what_is_wrong() {
        for (name, text, expected) in [
            (
                "value",
                "workers = 0",
                "F: workers '0': expected a whole number from 1 (see 'yamabiko serve --help')",
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
        ] {
            assert_eq!(File::new(name, text).error(), expected);
        }
        let error = File::new("syntax", "workers = 1\nlisten = 127.0.0.1:9\n").error();
        assert!(
            error.starts_with("F:2: ") && !error.contains('\n'),
            "{error}"
        );
        let error = File::new("twice", "workers = [1, 2]").error();
        assert!(error.contains("cannot be used multiple times"), "{error}");
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
