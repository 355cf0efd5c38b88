//! A line that a person enters: a message, or a command.
//!
//! A line that begins with `/` is a command and is never sent to the room, even if there is
//! no such command: a typing error must not be published. `//` sends a text that begins with
//! one slash.

use yamabiko::chat::Moderation;

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
    /// For moderators.
    Moderate(Moderation<'a>),
    /// For moderators: deletes the newest message of this member.
    Delete(&'a str),
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
* For moderators, 0 ends it: /mute NAME MINUTES, /slow SECONDS;
* /kick NAME, /ban NAME MINUTES, /delete NAME (the newest message);
* /invite HOURS, /revoke (makes all invitations void)
* //...  send a text that begins with one slash
* Tab completes commands and names. Arrow up brings back earlier lines;
* Alt-Enter begins a new line.";

/// The commands, without the slash.
pub(super) const COMMANDS: [&str; 13] = [
    "ban", "delete", "help", "invite", "kick", "me", "mute", "nick", "quit", "revoke", "slow",
    "topic", "who",
];

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
            "mute" => match with_number(rest) {
                Some((name, minutes)) => Entry::Moderate(Moderation::Mute {
                    name: name.into(),
                    seconds: minutes * 60,
                }),
                None => Entry::Incomplete("/mute NAME MINUTES"),
            },
            "ban" => match with_number(rest) {
                Some((name, minutes)) => Entry::Moderate(Moderation::Ban {
                    name: name.into(),
                    seconds: minutes * 60,
                }),
                None => Entry::Incomplete("/ban NAME MINUTES"),
            },
            "kick" if rest.is_empty() => Entry::Incomplete("/kick NAME"),
            "kick" => Entry::Moderate(Moderation::Kick { name: rest.into() }),
            "delete" if rest.is_empty() => Entry::Incomplete("/delete NAME"),
            "delete" => Entry::Delete(rest),
            "slow" => match number(rest) {
                Some(seconds) => Entry::Moderate(Moderation::Slow { seconds }),
                None => Entry::Incomplete("/slow SECONDS"),
            },
            "invite" => match number(rest) {
                Some(hours) => Entry::Moderate(Moderation::Invite {
                    seconds: hours * 3600,
                }),
                None => Entry::Incomplete("/invite HOURS"),
            },
            "revoke" => Entry::Moderate(Moderation::Revoke),
            "help" => Entry::Help,
            "who" => Entry::Who,
            "quit" => Entry::Quit,
            _ => Entry::Unknown(name),
        }
    }
}

/// A name, which may have spaces, and the number behind it.
fn with_number(text: &str) -> Option<(&str, u64)> {
    let (name, digits) = text.rsplit_once(char::is_whitespace)?;
    Some((name.trim_end(), number(digits)?))
}

fn number(digits: &str) -> Option<u64> {
    digits.parse::<u32>().ok().map(u64::from)
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
            (
                "/mute Bo 2 10",
                Entry::Moderate(Moderation::Mute {
                    name: "Bo 2".into(),
                    seconds: 600,
                }),
            ),
            ("/mute Bo", Entry::Incomplete("/mute NAME MINUTES")),
            ("/mute Bo -1", Entry::Incomplete("/mute NAME MINUTES")),
            (
                "/BAN Bo 1",
                Entry::Moderate(Moderation::Ban {
                    name: "Bo".into(),
                    seconds: 60,
                }),
            ),
            ("/ban 9", Entry::Incomplete("/ban NAME MINUTES")),
            ("/kick", Entry::Incomplete("/kick NAME")),
            (
                "/kick Bo",
                Entry::Moderate(Moderation::Kick { name: "Bo".into() }),
            ),
            ("/delete", Entry::Incomplete("/delete NAME")),
            ("/delete Bo 2", Entry::Delete("Bo 2")),
            ("/slow 0", Entry::Moderate(Moderation::Slow { seconds: 0 })),
            ("/slow", Entry::Incomplete("/slow SECONDS")),
            (
                "/invite 24",
                Entry::Moderate(Moderation::Invite { seconds: 86_400 }),
            ),
            ("/invite 99999999999", Entry::Incomplete("/invite HOURS")),
            ("/revoke", Entry::Moderate(Moderation::Revoke)),
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
