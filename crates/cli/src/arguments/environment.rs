//! An environment variable for each option: its name, and how the command reads it.

use std::env;

use super::access::SECRETS;
use super::chat::TOKEN;

/// Each option of this command can be set by its environment variable. An empty variable
/// counts as not set: that is how a script or a unit file takes a setting back.
pub(super) fn read(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| {
        let variable = argument.get_long().map(variable);
        let is_empty = |name: &String| env::var_os(name).is_some_and(|value| value.is_empty());
        match variable.filter(|name| !is_empty(name)) {
            // The text below the options has the rule.
            Some(variable) => argument.env(variable).hide_env(true),
            None => argument,
        }
    })
}

/// The environment variables that begin as ours and that no command reads: misspelt ones. Empty variables count as not set.
pub(super) fn unknown(command: &clap::Command) -> Vec<String> {
    let set = env::vars_os().filter(|(_, value)| !value.is_empty());
    let names = set.filter_map(|(name, _)| name.into_string().ok());
    unknown_of(command, names)
}

fn unknown_of(command: &clap::Command, names: impl Iterator<Item = String>) -> Vec<String> {
    let mut options = Vec::new();
    for command in command.get_subcommands() {
        options.extend(
            command
                .get_arguments()
                .filter_map(|option| option.get_long()),
        );
    }
    let known: Vec<String> = options.into_iter().map(variable).collect();
    let mut unknown: Vec<String> = names
        .filter(|name| name.starts_with(PREFIX))
        .filter(|name| !known.contains(name) && !SECRETS.contains(&name.as_str()) && name != TOKEN)
        .collect();
    unknown.sort_unstable();
    unknown
}

/// `YAMABIKO_PING_INTERVAL` for `ping-interval`.
pub(super) fn variable(long: &str) -> String {
    format!("{PREFIX}{}", long.replace('-', "_").to_uppercase())
}

const PREFIX: &str = "YAMABIKO_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_that_no_command_reads_is_unknown() {
        let names = [
            "YAMABIKO_PING_INTERVAL",
            "YAMABIKO_NAME",
            "YAMABIKO_JWT_SECRET",
            "YAMABIKO_TOKEN",
            "YAMABIKO_PING_INTERVALL",
            "PATH",
            "YAMABIKO_LISTENS",
        ];
        let found = unknown_of(
            &crate::arguments::command(),
            names.map(str::to_owned).into_iter(),
        );
        assert_eq!(found, ["YAMABIKO_LISTENS", "YAMABIKO_PING_INTERVALL"]);
    }
}
