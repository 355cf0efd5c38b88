//! What a person enters: a message, or a command.
//!
//! What begins with `/` is a command and never goes to the room, also if there is no
//! such command: a slip of a finger is not for everyone. `//` says a text that begins
//! with one slash.

/// One thing that was entered at a terminal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// Nothing but white space.
    Blank,
    /// To the room.
    Say(&'a str),
    Help,
    /// Who is in the room?
    Who,
    Quit,
    /// A command that does not exist: its name, without the slash.
    Unknown(&'a str),
}

pub(super) const HELP: &str = "\
* /help  this text
* /who   the names of those in the room
* /quit  leave; so do Ctrl-D and Ctrl-C
* //...  say a text that begins with one slash
* Arrow up brings back what was entered before; Alt-Enter begins a new line.";

impl Entry<'_> {
    pub(super) fn read(text: &str) -> Entry<'_> {
        let start = text.trim_start();
        if start.is_empty() {
            return Entry::Blank;
        }
        let Some(command) = start.strip_prefix('/') else {
            return Entry::Say(text);
        };
        if command.starts_with('/') {
            return Entry::Say(command);
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
    fn what_begins_with_a_slash_is_a_command_and_never_a_message() {
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
    fn two_slashes_say_a_text_that_begins_with_one() {
        assert_eq!(Entry::read("//me waves"), Entry::Say("/me waves"));
        assert_eq!(Entry::read("///"), Entry::Say("//"));
    }

    #[test]
    fn everything_else_is_said_as_it_is_and_blanks_say_nothing() {
        assert_eq!(Entry::read(" and/or "), Entry::Say(" and/or "));
        assert_eq!(Entry::read(" \t\n"), Entry::Blank);
    }
}
