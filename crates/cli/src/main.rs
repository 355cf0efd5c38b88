//! The program `yamabiko`: words in, one exit code out.
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

#![forbid(unsafe_code)]

mod arguments;
mod bench;
mod chat;
#[cfg(windows)]
mod console;
mod echo;
mod help;
mod serve;
mod serving;
#[cfg(unix)]
mod signals;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use arguments::Command;
#[cfg(windows)]
use console as signals;

const NAME_AND_VERSION: &str = concat!("yamabiko ", env!("CARGO_PKG_VERSION"));

/// Could not be done.
const FAILURE: u8 = 1;
/// The words make no sense.
const USAGE: u8 = 2;
/// Ended by a second signal: 128 and the number of SIGINT, as shells have it.
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    // The first argument is the program's own name.
    let command = match arguments::parse(env::args_os().skip(1)) {
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
        Command::Version => say(&format!("{NAME_AND_VERSION}\n")),
        Command::Serve(options) => serve::run(options),
        Command::Echo(options) => echo::run(options),
        Command::Chat(options) => chat::run(options),
        Command::Bench(plan) => bench::run(*plan),
    }
}

/// Prints to standard output. That nobody reads it (`| head`) is no failure.
fn say(text: &str) -> Result<(), String> {
    let mut output = io::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!(
            "cannot write to standard output: {}",
            words(&error)
        )),
        _ => Ok(()),
    }
}

/// One line on standard error. If that is closed too, the exit code must do.
fn complain(message: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "yamabiko: {message}");
    ExitCode::from(code)
}

/// An error of the operating system as part of a sentence: `address already in
/// use`.
fn words(error: &io::Error) -> String {
    let text = tidy(&error.to_string());
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => text,
    }
}

/// A message without the numbers that std puts behind it: ` (os error 98)`.
fn tidy(message: &str) -> String {
    let mut pieces = message.split(" (os error ");
    let mut tidied = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        tidied.push_str(piece.split_once(')').map_or("", |(_, rest)| rest));
    }
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_read_as_part_of_a_sentence() {
        let error = io::Error::other("Address already in use (os error 98)");
        assert_eq!(words(&error), "address already in use");
        let message = "to a: No (os error 1); to b: Not (os error 22)";
        assert_eq!(tidy(message), "to a: No; to b: Not");
        assert_eq!(tidy(""), "");
    }
}
