//! A line that a person enters: a message, or a command.
//!
//! A line that begins with `/` is a command and is never sent to the room, even if there is
//! no such command: a typing error must not be published. `//` sends a text that begins with
//! one slash.

/// A line that was entered at a terminal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// White space only.
    Blank,
    /// A message to the room.
    Message(&'a str),
    /// A message that says what the user does.
    Action(&'a str),
    /// Changes the user's name.
    Nick(&'a str),
    /// Sets the topic; `-` removes it. `None`: shows it.
    Topic(Option<&'a str>),
    Help,
    /// Asks for the names of the members of the room.
    Who,
    Quit,
    /// A command without the text that it needs: how it is written.
    Incomplete(&'static str),
    /// A command that does not exist: its name, without the slash.
    Unknown(&'a str),
}

pub(super) const HELP: &str = "\
* /help  this text
* /who   the names of the members of the room
* /me TEXT     say what you do
* /nick NAME   change your name
* /topic       the topic; /topic TEXT sets it, /topic - removes it
* /quit  leave the room, as Ctrl-D and Ctrl-C do
* //...  send a text that begins with one slash
* Tab completes commands and names. Arrow up brings back earlier lines;
* Alt-Enter begins a new line.";

/// The commands, without the slash.
pub(super) const COMMANDS: [&str; 6] = ["help", "me", "nick", "quit", "topic", "who"];

impl Entry<'_> {
    pub(super) fn read(text: &str) -> Entry<'_> {
        let start = text.trim_start();
        if start.is_empty() {
            return Entry::Blank;
        }
        let Some(command) = start.strip_prefix('/') else {
            return Entry::Message(text);
        };
        if command.starts_with('/') {
            return Entry::Message(command);
        }
        let (name, rest) = match command.split_once(char::is_whitespace) {
            Some((name, rest)) => (name, rest.trim()),
            None => (command, ""),
        };
        match name.to_lowercase().as_str() {
            "me" if rest.is_empty() => Entry::Incomplete("/me TEXT"),
            "me" => Entry::Action(rest),
            "nick" if rest.is_empty() => Entry::Incomplete("/nick NAME"),
            "nick" => Entry::Nick(rest),
            "topic" => Entry::Topic((!rest.is_empty()).then_some(rest)),
            "help" => Entry::Help,
            "who" => Entry::Who,
            "quit" => Entry::Quit,
            _ => Entry::Unknown(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_that_begins_with_a_slash_is_a_command_and_never_a_message() {
        for (text, entry) in [
            ("/help", Entry::Help),
            ("/WHO", Entry::Who),
            ("  /quit now", Entry::Quit),
            ("/nick  Bo 2 ", Entry::Nick("Bo 2")),
            ("/nick", Entry::Incomplete("/nick NAME")),
            ("/me\nwaves", Entry::Action("waves")),
            ("/me ", Entry::Incomplete("/me TEXT")),
            ("/topic", Entry::Topic(None)),
            ("/topic tea at 4", Entry::Topic(Some("tea at 4"))),
            ("/shout x", Entry::Unknown("shout")),
            ("/etc/hosts", Entry::Unknown("etc/hosts")),
            ("/", Entry::Unknown("")),
            ("/ x", Entry::Unknown("")),
        ] {
            assert_eq!(Entry::read(text), entry, "{text}");
        }
    }

    #[test]
    fn two_slashes_send_a_text_that_begins_with_one() {
        assert_eq!(Entry::read("//me waves"), Entry::Message("/me waves"));
        assert_eq!(Entry::read("///"), Entry::Message("//"));
    }

    #[test]
    fn other_lines_are_sent_unchanged_and_blank_lines_are_not_sent() {
        assert_eq!(Entry::read(" and/or "), Entry::Message(" and/or "));
        assert_eq!(Entry::read(" \t\n"), Entry::Blank);
    }
}
