//! An environment variable for each option: its name, and how the command reads it.

/// Each option of this command can be set by its environment variable.
pub(super) fn read(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| match argument.get_long() {
        Some(long) => {
            let variable = variable(long);
            // The text below the options has the rule.
            argument.env(variable).hide_env(true)
        }
        None => argument,
    })
}

/// `YAMABIKO_PING_INTERVAL` for `ping-interval`.
pub(super) fn variable(long: &str) -> String {
    format!("YAMABIKO_{}", long.replace('-', "_").to_uppercase())
}
