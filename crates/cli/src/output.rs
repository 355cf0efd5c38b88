//! Output of the program, and errors of the operating system in its sentences.

use std::error::Error;
use std::io::{self, Write};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use yamabiko::websocket::handshake::hide_credentials;

/// Name and version, as the program prints them.
pub(crate) const NAME_AND_VERSION: &str = concat!("yamabiko ", env!("CARGO_PKG_VERSION"));

/// The exit status after a second signal: 128 and the number of SIGINT, as shells have it.
pub(crate) const INTERRUPTED: i32 = INTERRUPTED_STATUS as i32;

const INTERRUPTED_STATUS: u8 = 130;

/// The exit status of a server that has cut off connections at the end of its drain.
const CUT: u8 = 3;

/// Why a command did not succeed: one line, without the program's name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    Failed(String),
    Usage(String),
    /// A server has cut off connections at its end.
    Cut(String),
    /// A second signal has ended a server at once.
    Interrupted(String),
}

impl Failure {
    pub(crate) fn message(&self) -> &str {
        match self {
            Failure::Failed(message)
            | Failure::Usage(message)
            | Failure::Cut(message)
            | Failure::Interrupted(message) => message,
        }
    }

    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Failure::Failed(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Cut(_) => CUT,
            Failure::Interrupted(_) => INTERRUPTED_STATUS,
        }
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure::Failed(message)
    }
}

/// Prints to standard output. A reader that has gone (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Result<(), String> {
    let mut output = io::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!(
            "cannot write to standard output: {}",
            in_sentence(&error)
        )),
        _ => Ok(()),
    }
}

/// Prints one line on standard error. If that is closed, the exit status remains. If it takes nothing for a second, the line is left
/// out: a pipe that is full and that nobody reads must not keep the program from its end. A token of a URL among the arguments is
/// not printed.
pub(crate) fn report_error(message: &str) {
    let has_token = message.contains("access_token=");
    let message = match has_token {
        true => hide_credentials(message),
        false => message.to_owned(),
    };
    let line = format!("yamabiko: {}", visible(&message));
    let (done, written) = channel::<()>();
    let write = move || {
        report_line(&line);
        drop(done);
    };
    if thread::Builder::new().spawn(write).is_ok() {
        // It ends when the line is written.
        let _ = written.recv_timeout(REPORT_TIMEOUT);
    }
}

const REPORT_TIMEOUT: Duration = Duration::from_secs(1);

/// A message with its control characters escaped: names and values of a user cannot add lines, or move the cursor.
pub(crate) fn visible(message: &str) -> String {
    let mut visible = String::with_capacity(message.len());
    for character in message.chars() {
        match character.is_control() {
            true => visible.extend(character.escape_default()),
            false => visible.push(character),
        }
    }
    visible
}

/// Prints one line on standard error, without the program's name.
pub(crate) fn report_line(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// An error and its causes in one line, separated by colons.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = match error.downcast_ref::<io::Error>() {
            Some(error) => in_sentence(error),
            None => error.to_string(),
        };
        line = format!("{line}: {text}");
        cause = error.source();
    }
    line
}

/// An error of the operating system as part of a sentence: `address already in
/// use`. A first word in capitals stays, as in `TLS: …`.
pub(crate) fn in_sentence(error: &io::Error) -> String {
    let text = without_numbers(&error.to_string());
    let mut characters = text.chars();
    let first = characters.next();
    let is_capitals = characters.clone().next().is_some_and(char::is_uppercase);
    match first {
        Some(first) if !is_capitals => first.to_lowercase().chain(characters).collect(),
        _ => text,
    }
}

/// A message without the numbers that the standard library appends: ` (os error 98)`.
pub(crate) fn without_numbers(message: &str) -> String {
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
    fn control_characters_of_an_error_are_escaped() {
        assert_eq!(visible("a\nb\u{1b}[31mé\t"), "a\\nb\\u{1b}[31mé\\t");
        assert_eq!(visible("no setting 'x\\y'"), "no setting 'x\\y'");
    }

    #[test]
    fn errors_of_the_system_read_as_part_of_a_sentence() {
        let error = io::Error::other("Address already in use (os error 98)");
        assert_eq!(in_sentence(&error), "address already in use");
        let error = io::Error::other("TLS: bad certificate");
        assert_eq!(in_sentence(&error), "TLS: bad certificate");
        let message = "to a: No (os error 1); to b: Not (os error 22)";
        assert_eq!(without_numbers(message), "to a: No; to b: Not");
        assert_eq!(without_numbers(""), "");
    }
}
