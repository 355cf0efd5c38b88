//! The program `yamabiko`: words in, one exit code out.
//!
//! [`arguments`] reads the words, [`help`] says what they may be, and each command
//! has a file. A command that fails says why in one line on standard error:
//!
//! | exit status | when |
//! |---|---|
//! | 0 | it was done |
//! | 1 | it could not be done |
//! | 2 | usage error |
//! | 130 | a second signal ended it at once |

#![forbid(unsafe_code)]

mod arguments;
mod bench;
mod chat;
#[cfg(windows)]
mod console;
mod echo;
mod help;
mod output;
mod serve;
mod serving;
#[cfg(unix)]
mod signals;
mod values;

use std::env;
use std::process::ExitCode;

use arguments::Command;
#[cfg(windows)]
use console as signals;
use output::{NAME_AND_VERSION, complain, say};

/// Could not be done.
const FAILURE: u8 = 1;
/// Usage error.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    // The first argument is the program's own name.
    let command = match arguments::parse(env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => return failed(&error.to_string(), USAGE),
    };
    match obey(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => failed(&message, FAILURE),
    }
}

fn failed(message: &str, code: u8) -> ExitCode {
    complain(message);
    ExitCode::from(code)
}

/// `Err`: the line that says what went wrong, without the program's name.
fn obey(command: Command) -> Result<(), String> {
    match command {
        Command::Help(topic) => say(&help::text(topic)),
        Command::Version => say(&format!("{NAME_AND_VERSION}\n")),
        Command::Serve(options) => serve::run(options),
        Command::Echo(options) => echo::run(options),
        Command::Chat(options) => chat::run(options),
        Command::Bench(options) => bench::run(*options),
    }
}
