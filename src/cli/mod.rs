//! The command line: words in, one exit code out.
//!
//! [`arguments`] reads the words, [`help`] says what they may be, and each command
//! has a file. A command that fails says why in one line on standard error:
//!
//! | exit status | when |
//! |---|---|
//! | 0 | it was done |
//! | 1 | it could not be done |
//! | 2 | the words make no sense |
//! | 130 | a second signal ended it at once |

mod arguments;
mod help;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use arguments::Command;

/// Could not be done.
const FAILURE: u8 = 1;
/// The words make no sense.
const USAGE: u8 = 2;

/// Runs the command that the arguments name; the first is the program's own name.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let command = match arguments::parse(arguments.skip(1)) {
        Ok(command) => command,
        Err(error) => return complain(&error.to_string(), USAGE),
    };
    match obey(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => complain(&message, FAILURE),
    }
}

/// `Err`: the line that says what went wrong, without the program's name.
fn obey(command: Command) -> Result<(), String> {
    match command {
        Command::Help(topic) => say(&help::text(topic)),
        Command::Version => say(concat!("yamabiko ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Serve(_) | Command::Echo(_) | Command::Chat(_) => Ok(()),
    }
}

/// Prints to standard output. That nobody reads it (`| head`) is no failure.
fn say(text: &str) -> Result<(), String> {
    let mut output = io::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}

/// One line on standard error. If that is closed too, the exit code must do.
fn complain(message: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "yamabiko: {message}");
    ExitCode::from(code)
}
