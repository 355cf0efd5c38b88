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
    Help,
    /// Asks for the names of the members of the room.
    Who,
    Quit,
    /// A command that does not exist: its name, without the slash.
    Unknown(&'a str),
}

pub(super) const HELP: &str = "\
* /help  this text
* /who   the names of the members of the room
* /quit  leave the room, as Ctrl-D and Ctrl-C do
* //...  send a text that begins with one slash
* Arrow up brings back earlier lines; Alt-Enter begins a new line.";

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
        let name = command.split(char::is_whitespace).next().unwrap_or("");
        match name.to_lowercase().as_str() {
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
            ("/nick Bo", Entry::Unknown("nick")),
            ("/me\nwaves", Entry::Unknown("me")),
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
