//! An environment variable for each option: its name, and how the command reads it.

use std::env;

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

/// `YAMABIKO_PING_INTERVAL` for `ping-interval`.
pub(super) fn variable(long: &str) -> String {
    format!("YAMABIKO_{}", long.replace('-', "_").to_uppercase())
}
