//! The command line: words in, one exit code out.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command that the arguments name.
pub fn run(_arguments: impl Iterator<Item = OsString>) -> ExitCode {
    ExitCode::SUCCESS
}
