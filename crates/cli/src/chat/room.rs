//! The room as its messages tell it to this user: who is in it, what it has shown already, and which line each message becomes.
//!
//! ```text
//!   message of the server ──▶ Room::react ──▶ Reaction: a line, and what it means for the connection
//! ```
//!
//! Without a connection and without a screen, so that the tests need neither.

use std::borrow::Cow;

use jiff::civil::Date;
use yamabiko::chat::{ErrorCode, ErrorReply, Past, PastGap, ServerMessage, Topic};

use super::members::Members;
use super::screen::Screen;
use super::text::{mentions, printable};

/// How often a name that is in use is replaced by the server's suggestion.
pub(super) const NAMES_TRIED_MAX: u32 = 5;

/// The room of one connection, and what is kept from one connection to the next: the position and the session.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The user's name on this connection.
    name: String,
    names_tried: u32,
    /// The revision of the list of names in which the user's name is this one.
    name_revision: u64,
    /// The revision of the list in the welcome. Older changes are part of that list, although they may arrive later.
    welcomed_at: u64,
    members: Members,
    /// The position of the last message of the room that was shown.
    position: Option<String>,
    /// The session that the server has given this user.
    session: Option<String>,
    /// How many messages of the past are still to come.
    past: u64,
    /// The day of the last message.
    day: Option<Date>,
}

/// The reaction to a message of the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    Show(String),
    /// The user is in the room: show it. The number is the longest text that the room accepts.
    Joined(String, usize),
    /// The user has this name now: show it.
    Renamed(String, String),
    /// Join under another name, and show the reason.
    Join(String),
    /// The user's own message has come back: its id, and its line.
    Own(Option<String>, String),
    /// The user's message was refused: its id, and the reason.
    Refused(Option<String>, String),
    Nothing,
    Fail(String),
}

impl Room {
    /// `members` gets the names of those who are in the room.
    pub(super) fn new(members: Members) -> Room {
        Room {
            members,
            ..Room::default()
        }
    }

    /// A new connection, on which the user wants this name.
    pub(super) fn begin(&mut self, name: &str) {
        self.members.clear();
        *self = Room {
            name: name.to_owned(),
            position: self.position.take(),
            session: self.session.take(),
            day: self.day,
            members: self.members.clone(),
            ..Room::default()
        };
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn position(&self) -> Option<&str> {
        self.position.as_deref()
    }

    pub(super) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    pub(super) fn react(&mut self, message: ServerMessage<'_>, screen: &Screen) -> Reaction {
        let is_past = self.place(&message);
        if !is_past {
            self.members.apply(&message);
        }
        match message {
            ServerMessage::Welcome {
                you,
                room,
                count,
                revision,
                limits,
                history,
                topic,
                session,
                ..
            } => {
                self.session = session.map(Cow::into_owned).or(self.session.take());
                self.name = you.into_owned();
                self.name_revision = revision;
                self.welcomed_at = revision;
                self.enter_past(history, screen);
                let entered = self.entered(&room, count, topic, screen);
                Reaction::Joined(entered, limits.text_bytes_max)
            }
            ServerMessage::Message {
                id,
                from,
                text,
                time,
                action,
                position,
                ..
            } => {
                if let Some(position) = position {
                    self.members.said(&from, &position);
                }
                let line = self.line(&from, &text, time, action, screen);
                if from == self.name && !is_past {
                    Reaction::Own(id.map(Cow::into_owned), line)
                } else {
                    Reaction::Show(line)
                }
            }
            ServerMessage::Joined {
                name,
                revision,
                was,
                ..
            } => match was {
                Some(was) => self.renamed(&was, &name, revision, is_past, screen),
                None => self.changed(&name, revision, is_past, "is here", screen),
            },
            ServerMessage::Left { to: Some(_), .. } => Reaction::Nothing,
            ServerMessage::Left { name, revision, .. } => {
                self.changed(&name, revision, is_past, "has left", screen)
            }
            ServerMessage::Topic {
                text, by, revision, ..
            } => self.set_topic(&text, &by, revision, is_past, screen),
            ServerMessage::Moderated {
                action,
                by,
                name,
                seconds,
                target,
                ..
            } => {
                if let Some(target) = target {
                    self.members.deleted(&target);
                }
                note(&moderation(&action, &by, name.as_deref(), seconds), screen)
            }
            ServerMessage::Invitation {
                invitation, until, ..
            } => {
                let day = screen.style().day(until);
                let until = day.map_or_else(String::new, |day| format!(" until {day}"));
                note(
                    &format!(
                        "whoever has this invitation may enter{until}: {}",
                        printable(&invitation)
                    ),
                    screen,
                )
            }
            ServerMessage::Missed { messages } => note(
                &format!("this client read too slowly: {messages} messages were skipped"),
                screen,
            ),
            ServerMessage::Error(reply) => self.handle_error(*reply),
            ServerMessage::Names { names, count, .. } => note(&members(&names, count), screen),
            // Of a later version.
            _ => Reaction::Nothing,
        }
    }

    /// Keeps the position of a message of the room. Returns whether it is one of the past: its changes of the names and of the
    /// topic are in the welcome already.
    fn place(&mut self, message: &ServerMessage<'_>) -> bool {
        let (ServerMessage::Message { position, .. }
        | ServerMessage::Joined { position, .. }
        | ServerMessage::Left { position, .. }
        | ServerMessage::Topic { position, .. }
        | ServerMessage::Moderated { position, .. }
        | ServerMessage::Deleted { position }) = message
        else {
            return false;
        };
        // Those of the past have one.
        let Some(position) = position else {
            return false;
        };
        self.position = Some(position.to_string());
        let is_past = self.past > 0;
        self.past = self.past.saturating_sub(1);
        is_past
    }

    fn enter_past(&mut self, history: Option<Past<'_>>, screen: &Screen) {
        let Some(past) = history else { return };
        self.past = past.messages;
        self.position = Some(past.position.into_owned());
        if past.gap != PastGap::None {
            screen.notice("messages that were sent meanwhile may be missing");
        }
    }

    fn entered(
        &self,
        room: &str,
        count: usize,
        topic: Option<Topic<'_>>,
        screen: &Screen,
    ) -> String {
        let (name, room) = (printable(&self.name), printable(room));
        let mut line = format!("* you are {name} in {room}; {count} here");
        if let Some(topic) = topic {
            self.members.set_topic(&topic.text, topic.revision);
            line.push_str(&format!("\n* {}", self.members.topic()));
        }
        screen.style().note(&line)
    }

    /// A message as a line, behind a line with its day if that is another one than of the message before.
    fn line(&mut self, from: &str, text: &str, time: u64, action: bool, screen: &Screen) -> String {
        let style = screen.style();
        let day = match (self.day, style.day(time)) {
            (Some(before), Some(day)) if before != day => style.note(&format!("* {day}")) + "\n",
            _ => String::new(),
        };
        self.day = style.day(time).or(self.day);
        let name = style.name(&printable(from));
        let mut text = screen.text(text);
        if from != self.name && mentions(&text, &self.name) {
            text = style.mention(&text);
        }
        let clock = style.time(time);
        match action {
            true => format!("{day}{clock}* {name} {text}"),
            false => format!("{day}{clock}<{name}> {text}"),
        }
    }

    /// A change of the names, unless the list in the welcome message has it.
    fn changed(
        &self,
        name: &str,
        revision: u64,
        is_past: bool,
        verb: &str,
        screen: &Screen,
    ) -> Reaction {
        match is_past || revision <= self.welcomed_at {
            true => Reaction::Nothing,
            false => note(&format!("{} {verb}", printable(name)), screen),
        }
    }

    fn renamed(
        &mut self,
        was: &str,
        name: &str,
        revision: u64,
        is_past: bool,
        screen: &Screen,
    ) -> Reaction {
        if is_past || revision <= self.welcomed_at {
            return Reaction::Nothing;
        }
        let line = format!("* {} is now {}", printable(was), printable(name));
        let line = screen.style().note(&line);
        // Of two changes that come in the wrong order, the later one counts.
        if was != self.name || revision <= self.name_revision {
            return Reaction::Show(line);
        }
        self.name = name.to_owned();
        self.name_revision = revision;
        Reaction::Renamed(name.to_owned(), line)
    }

    fn set_topic(
        &self,
        text: &str,
        by: &str,
        revision: u64,
        is_past: bool,
        screen: &Screen,
    ) -> Reaction {
        if is_past || !self.members.set_topic(text, revision) {
            return Reaction::Nothing;
        }
        let by = printable(by);
        match text.is_empty() {
            true => note(&format!("{by} has removed the topic"), screen),
            false => note(
                &format!("{by} has set the topic: {}", printable(text)),
                screen,
            ),
        }
    }

    /// A name that is in use is replaced. Any other error of joining ends the connection.
    fn handle_error(&mut self, reply: ErrorReply<'_>) -> Reaction {
        let text = printable(&reply.text);
        if !matches!(reply.about.as_deref(), Some("join" | "enter")) {
            return match reply.about.as_deref() {
                Some(
                    "rename" | "topic" | "names" | "mute" | "kick" | "ban" | "delete" | "slow"
                    | "invite" | "revoke",
                ) => Reaction::Show(format!("! {text}")),
                _ => Reaction::Refused(reply.id.map(Cow::into_owned), text),
            };
        }
        match reply.suggestion {
            Some(suggestion)
                if reply.code == ErrorCode::NameTaken && self.names_tried < NAMES_TRIED_MAX =>
            {
                self.names_tried += 1;
                self.name = suggestion.into_owned();
                Reaction::Join(format!("! {text}"))
            }
            _ => Reaction::Fail(format!("cannot join as {}: {text}", printable(&self.name))),
        }
    }
}

/// A line that is no message of a member.
fn note(line: &str, screen: &Screen) -> Reaction {
    Reaction::Show(screen.style().note(&format!("* {line}")))
}

/// What a moderator has done, as a line. A deleted message stays on the terminal: it has scrolled up.
fn moderation(action: &str, by: &str, name: Option<&str>, seconds: Option<u64>) -> String {
    let by = printable(by);
    let name = printable(name.unwrap_or_default());
    match (action, seconds.unwrap_or_default()) {
        ("mute", 0) => format!("{by} lets {name} write again"),
        ("mute", seconds) => format!("{by} has muted {name} for {seconds} seconds"),
        ("ban", seconds) => format!("{by} has banned {name} for {seconds} seconds"),
        ("kick", _) => format!("{by} has removed {name}"),
        ("slow", 0) => format!("{by} has ended slow mode"),
        ("slow", seconds) => format!("{by} has set slow mode: a message in {seconds} seconds"),
        ("delete", _) => format!("{by} has deleted a message"),
        ("revoke", _) => format!("{by} has made all invitations void"),
        (other, _) => format!("{by}: {}", printable(other)),
    }
}

/// The members of the room, as a line.
fn members(names: &[Cow<'_, str>], count: usize) -> String {
    let listed: Vec<String> = names.iter().map(|name| printable(name)).collect();
    let more = match count.saturating_sub(listed.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{count} here: {}{more}", listed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn react_on(screen: &Screen, room: &mut Room, json: &str) -> Reaction {
        room.react(serde_json::from_str(json).expect(json), screen)
    }

    /// On a terminal without colours and times.
    fn react(room: &mut Room, json: &str) -> Reaction {
        react_on(&Screen::plain(true, true), room, json)
    }

    fn aki() -> Room {
        let mut room = Room::default();
        room.begin("Aki");
        room
    }

    fn shown(line: &str) -> Reaction {
        Reaction::Show(line.to_owned())
    }

    #[test]
    fn message_of_another_member_is_a_line_and_the_users_own_has_its_id() {
        let from =
            |name| format!(r#"{{"type":"message","id":"3","from":"{name}","text":"yo","time":7}}"#);
        assert_eq!(react(&mut aki(), &from("Bo")), shown("<Bo> yo"));
        let own = Reaction::Own(Some("3".to_owned()), "<Aki> yo".to_owned());
        assert_eq!(react(&mut aki(), &from("Aki")), own);
    }

    #[test]
    fn messages_of_others_cannot_control_the_terminal() {
        let json =
            r#"{"type":"message","from":"B\u001bo\n","text":"\u001b[2J\n\u202ex\r","time":7}"#;
        let line = "<B\\u{1b}o\\u{a}> \\u{1b}[2J\n  \\u{202e}x\\u{d}";
        assert_eq!(react(&mut aki(), json), shown(line));
        let piped = Screen::plain(false, false);
        let line = r"<B\u{1b}o\u{a}> \u{1b}[2J\u{a}\u{202e}x\u{d}";
        assert_eq!(react_on(&piped, &mut aki(), json), shown(line));
    }

    #[test]
    fn action_has_a_star_in_front_of_the_name() {
        let json = r#"{"type":"message","from":"Bo","text":"waves","time":7,"action":true}"#;
        assert_eq!(react(&mut aki(), json), shown("* Bo waves"));
    }

    #[test]
    fn line_has_the_time_of_its_message_and_another_day_a_line_in_front() {
        let screen = Screen::styled(super::super::style::tests::colourful());
        let message = |time: u64| {
            format!(r#"{{"type":"message","from":"Bo","text":"yo Aki","time":{time}}}"#)
        };
        let mut room = aki();
        let mut line = |time| match react_on(&screen, &mut room, &message(time)) {
            Reaction::Show(line) => line,
            other => panic!("{other:?}"),
        };
        let noon = 1_767_268_800_000;
        let first = line(noon);
        assert!(
            first.contains("12:00") && first.contains("\x1b[1;7myo Aki"),
            "{first:?}"
        );
        assert!(!line(noon + 60_000).contains("2026-01-01"));
        assert!(line(noon + 86_400_000).contains("* 2026-01-02"));
    }

    fn welcome(name: &str, revision: u64) -> String {
        let limits = r#"{"name_characters_max":32,"text_bytes_max":9,"message_bytes_max":1}"#;
        format!(
            r#"{{"type":"welcome","you":"{name}","room":"r","names":["Aki","Bo"],"count":2,"revision":{revision},"limits":{limits}}}"#
        )
    }

    #[test]
    fn joins_and_leaves_that_the_welcome_contains_are_not_shown_again() {
        let mut room = aki();
        let entered = Reaction::Joined("* you are Aki in r; 2 here".to_owned(), 9);
        assert_eq!(react(&mut room, &welcome("Aki", 5)), entered);
        let late = r#"{"type":"joined","name":"Bo","revision":5}"#;
        assert_eq!(react(&mut room, late), Reaction::Nothing);
        let news = r#"{"type":"left","name":"Bo","revision":6}"#;
        let gone = Reaction::Show("* Bo has left".to_owned());
        assert_eq!(react(&mut room, news), gone);
    }

    #[test]
    fn messages_of_the_past_are_shown_and_their_changes_of_names_are_not() {
        let mut room = aki();
        let history = r#","history":{"position":"00a1b2c3d4e5f607-3","messages":2,"gap":"none"}}"#;
        react(
            &mut room,
            &welcome("Aki", 5).replace("}}", &format!("}}{history}")),
        );
        // Of the past, so it is not on the screen yet.
        let own = r#"{"type":"message","id":"3","from":"Aki","text":"yo","time":7,"position":"00a1b2c3d4e5f607-4"}"#;
        assert_eq!(react(&mut room, own), shown("<Aki> yo"));
        // In a cluster a new change of the names can come in between: it has no position.
        let news = r#"{"type":"joined","name":"Dan","revision":6}"#;
        assert_eq!(react(&mut room, news), shown("* Dan is here"));
        // Its revision is from before a restart of the server.
        let change =
            r#"{"type":"joined","name":"Chie","revision":99,"position":"00a1b2c3d4e5f607-5"}"#;
        assert_eq!(react(&mut room, change), Reaction::Nothing);
        assert_eq!(room.members.names(), ["Aki", "Bo", "Dan"]);
        let own = own.replace("-4", "-6");
        let is_own = Reaction::Own(Some("3".to_owned()), "<Aki> yo".to_owned());
        assert_eq!(react(&mut room, &own), is_own);
        room.begin("Aki");
        assert_eq!(room.position(), Some("00a1b2c3d4e5f607-6"));
    }

    #[test]
    fn new_names_of_others_and_of_the_user_are_shown_and_the_later_one_counts() {
        let mut room = aki();
        react(&mut room, &welcome("Aki", 5));
        let left = r#"{"type":"left","name":"Aki","revision":8,"to":"Cy"}"#;
        assert_eq!(react(&mut room, left), Reaction::Nothing);
        let joined = r#"{"type":"joined","name":"Cy","revision":9,"was":"Aki"}"#;
        let renamed = Reaction::Renamed("Cy".to_owned(), "* Aki is now Cy".to_owned());
        assert_eq!(react(&mut room, joined), renamed);
        // Somebody else had this name before, and this change was overtaken.
        let other = r#"{"type":"joined","name":"Dan","revision":7,"was":"Cy"}"#;
        assert_eq!(react(&mut room, other), shown("* Cy is now Dan"));
        assert_eq!(room.name(), "Cy");
    }

    #[test]
    fn topic_is_in_the_welcome_and_changes_with_its_revision() {
        let mut room = aki();
        let topic = r#","topic":{"text":"tea","by":"Bo","time":7,"revision":3}}"#;
        let entered = react(
            &mut room,
            &welcome("Aki", 5).replace("}}", &format!("}}{topic}")),
        );
        let line = "* you are Aki in r; 2 here\n* topic: tea".to_owned();
        assert_eq!(entered, Reaction::Joined(line, 9));
        let set = |text: &str, revision: u64| {
            format!(
                r#"{{"type":"topic","text":"{text}","by":"Bo","time":7,"revision":{revision}}}"#
            )
        };
        assert_eq!(react(&mut room, &set("old", 2)), Reaction::Nothing);
        let line = "* Bo has set the topic: coffee";
        assert_eq!(react(&mut room, &set("coffee", 4)), shown(line));
        assert_eq!(room.members.topic(), "topic: coffee");
        react(&mut room, &set("", 5));
        assert_eq!(room.members.topic(), "the room has no topic");
    }

    #[test]
    fn acts_of_moderators_are_lines() {
        for (fields, line) in [
            (
                r#""action":"mute","name":"Bo","seconds":60"#,
                "* Aiko has muted Bo for 60 seconds",
            ),
            (
                r#""action":"mute","name":"Bo","seconds":0"#,
                "* Aiko lets Bo write again",
            ),
            (r#""action":"kick","name":"Bo""#, "* Aiko has removed Bo"),
            (
                r#""action":"delete","target":"x-1""#,
                "* Aiko has deleted a message",
            ),
            (r#""action":"new\u001b""#, r"* Aiko: new\u{1b}"),
        ] {
            let json = format!(r#"{{"type":"moderated","by":"Aiko",{fields}}}"#);
            assert_eq!(react(&mut aki(), &json), shown(line));
        }
    }

    const TAKEN: &str = r#"{"type":"error","code":"name_taken","text":"Taken.","about":"join","field":"name","suggestion":"Aki2"}"#;

    #[test]
    fn name_in_use_is_replaced_by_the_suggestion_up_to_a_limit() {
        let mut room = aki();
        for _ in 0..NAMES_TRIED_MAX {
            let again = Reaction::Join("! Taken.".to_owned());
            assert_eq!(react(&mut room, TAKEN), again);
        }
        assert_eq!(room.name, "Aki2");
        let enough = Reaction::Fail("cannot join as Aki2: Taken.".to_owned());
        assert_eq!(react(&mut room, TAKEN), enough);
    }

    #[test]
    fn each_connection_requests_the_wanted_name_first() {
        let mut room = aki();
        for _ in 0..2 {
            assert_eq!(room.name, "Aki");
            react(&mut room, TAKEN);
            react(&mut room, &welcome("Aki2", 5));
            assert_eq!(room.name, "Aki2");
            room.begin("Aki");
        }
        assert_eq!(room.name, "Aki");
        // A restarted server counts its revisions anew.
        assert_eq!(room.welcomed_at, 0);
    }

    #[test]
    fn names_are_listed_with_the_number_of_the_others() {
        let json = r#"{"type":"names","names":["Aki","B\u001bo"],"count":2,"revision":9}"#;
        let listed = Reaction::Show(r"* 2 here: Aki, B\u{1b}o".to_owned());
        assert_eq!(react(&mut aki(), json), listed);
        let json = r#"{"type":"names","names":["Aki"],"count":1001,"revision":9}"#;
        let listed = Reaction::Show("* 1001 here: Aki and 1000 more".to_owned());
        assert_eq!(react(&mut aki(), json), listed);
    }

    #[test]
    fn error_about_a_message_names_it_and_an_error_about_the_name_ends_the_connection() {
        let long = r#"{"type":"error","id":"7","code":"text_too_long","text":"Too long.","about":"message"}"#;
        let refused = Reaction::Refused(Some("7".to_owned()), "Too long.".to_owned());
        assert_eq!(react(&mut aki(), long), refused);
        let name = r#"{"type":"error","code":"name_invalid","text":"No.","about":"join"}"#;
        let fail = Reaction::Fail("cannot join as Aki: No.".to_owned());
        assert_eq!(react(&mut aki(), name), fail);
    }
}
