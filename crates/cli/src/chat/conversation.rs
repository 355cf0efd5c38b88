//! One connection's worth of chat: what the server says, in lines for the screen.

use std::borrow::Cow;

use yamabiko::chat::{ClientMessage, Complaint, ErrorCode, SUBPROTOCOL, ServerMessage};
use yamabiko::client::{Backoff, Client, ClientError, Ended, OwnedMessage, Writer};
use yamabiko::websocket::Message;
use yamabiko::websocket::frame::CloseCode;

use super::desk::{Desk, Outgoing, Speech};
use super::errors::explain;
use super::screen::Screen;
use super::text::{excerpt, printable};

/// How often a name that is taken is replaced by the server's suggestion.
const NAMES_TRIED_MAX: u32 = 5;

/// Who the user is, from one connection to the next.
#[derive(Debug)]
pub(super) struct Conversation {
    /// The name that the user wants; each connection asks for it first.
    wished: String,
    /// The name on this connection.
    name: String,
    names_tried: u32,
    /// The revision of the list of names that came with the welcome: older
    /// comings and goings are in it already, though they may arrive later.
    revision: u64,
}

/// What to do after a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The user left, or the server is done.
    Done,
    /// Something that trying again will not mend.
    Failed(String),
    /// Something that trying again may mend.
    Lost(String),
}

/// What a message of the server asks for.
#[derive(Debug, PartialEq, Eq)]
enum Reaction {
    Show(String),
    /// We are in the room; show it. The room takes no longer text than this.
    Enter(String, usize),
    /// Try to join under another name; show why.
    Join(String),
    /// A message of ours has come back, under its id and as a line.
    Own(Option<String>, String),
    /// A message of ours was refused: its id, and why.
    Refused(Option<String>, String),
    Nothing,
    Fail(String),
}

impl Conversation {
    pub(super) fn new(name: String) -> Conversation {
        Conversation {
            wished: name.clone(),
            name,
            names_tried: 0,
            revision: 0,
        }
    }

    /// Talks over this connection until it ends.
    pub(super) fn hold(
        &mut self,
        client: Client,
        desk: &Desk,
        screen: &Screen,
        backoff: &mut Backoff,
    ) -> Outcome {
        let speech = match client.subprotocol() {
            Some(SUBPROTOCOL) => Speech::Chat,
            _ => Speech::Bare,
        };
        let (mut reader, mut writer) = client.split();
        desk.arrive(writer.clone(), speech);
        self.begin();
        match speech {
            Speech::Chat => self.join(&mut writer),
            Speech::Bare => desk.may_speak(None),
        }
        let end = loop {
            let reaction = match reader.read() {
                Ok(Some(message)) => self.hear(&message, speech, screen),
                Ok(None) => break Ok(reader.ended()),
                Err(error) => break Err(error),
            };
            match reaction {
                Reaction::Nothing => {}
                Reaction::Show(line) => show(&line, desk, screen),
                Reaction::Enter(line, text_bytes_max) => {
                    backoff.reset();
                    show(&line, desk, screen);
                    desk.may_speak(Some(text_bytes_max));
                }
                Reaction::Join(line) => {
                    show(&line, desk, screen);
                    self.join(&mut writer);
                }
                Reaction::Own(id, line) => {
                    if let Some(line) = own(desk.confirm(id.as_deref()), line, screen) {
                        show(&line, desk, screen);
                    }
                }
                Reaction::Refused(id, why) => {
                    refused(desk.refuse(id.as_deref()), &why, desk, screen);
                }
                Reaction::Fail(why) => {
                    // How that ends changes nothing.
                    let _ = reader.close(CloseCode::NORMAL, "");
                    desk.depart();
                    return Outcome::Failed(why);
                }
            }
        };
        let (unconfirmed, leaving) = (desk.depart(), desk.is_leaving());
        let outcome = outcome(end, leaving, screen.is_for_a_person());
        if outcome != Outcome::Done || !leaving {
            tell_unconfirmed(unconfirmed, desk, screen);
        }
        outcome
    }

    /// On a new connection: the name that the user wants may be free again.
    fn begin(&mut self) {
        self.name.clone_from(&self.wished);
        self.names_tried = 0;
        self.revision = 0;
    }

    /// An error shows in the next read.
    fn join(&self, writer: &mut Writer) {
        let name = self.name.as_str().into();
        let _ = writer.send(Message::Text(&ClientMessage::Join { name }.to_json()));
    }

    fn hear(&mut self, message: &OwnedMessage, speech: Speech, screen: &Screen) -> Reaction {
        match (message, speech) {
            (OwnedMessage::Text(json), Speech::Chat) => match serde_json::from_str(json) {
                Ok(message) => self.react(message, screen),
                Err(_) => Reaction::Show("! the server said what the chat does not know".into()),
            },
            (OwnedMessage::Text(text), Speech::Bare) => Reaction::Show(screen.text(text)),
            (OwnedMessage::Binary(bytes), _) => {
                Reaction::Show(format!("! binary message of {} bytes", bytes.len()))
            }
        }
    }

    fn react(&mut self, message: ServerMessage<'_>, screen: &Screen) -> Reaction {
        match message {
            ServerMessage::Welcome {
                you,
                room,
                count,
                revision,
                limits,
                ..
            } => {
                self.name = you.into_owned();
                self.revision = revision;
                let (name, room) = (printable(&self.name), printable(&room));
                let line = format!("* you are {name} in {room}; {count} here");
                Reaction::Enter(line, limits.text_bytes_max)
            }
            ServerMessage::Message { id, from, text, .. } => {
                let line = format!("<{}> {}", printable(&from), screen.text(&text));
                if from == self.name {
                    Reaction::Own(id.map(Cow::into_owned), line)
                } else {
                    Reaction::Show(line)
                }
            }
            ServerMessage::Joined { revision, .. } | ServerMessage::Left { revision, .. }
                if revision <= self.revision =>
            {
                Reaction::Nothing
            }
            ServerMessage::Joined { name, .. } => {
                Reaction::Show(format!("* {} is here", printable(&name)))
            }
            ServerMessage::Left { name, .. } => {
                Reaction::Show(format!("* {} has left", printable(&name)))
            }
            ServerMessage::Missed { messages } => Reaction::Show(format!(
                "* you read too slowly and have missed {messages} messages"
            )),
            ServerMessage::Error(complaint) => self.complained(*complaint),
            ServerMessage::Names { names, count, .. } => Reaction::Show(here(&names, count)),
            ServerMessage::Unknown => Reaction::Nothing,
        }
    }

    /// A name that is taken is replaced; any other fault of a join ends the visit.
    fn complained(&mut self, complaint: Complaint<'_>) -> Reaction {
        let text = printable(&complaint.text);
        if complaint.about.as_deref() != Some("join") {
            return Reaction::Refused(complaint.id.map(Cow::into_owned), text);
        }
        match complaint.suggestion {
            Some(suggestion)
                if complaint.code == ErrorCode::NameTaken && self.names_tried < NAMES_TRIED_MAX =>
            {
                self.names_tried += 1;
                self.name = suggestion.into_owned();
                Reaction::Join(format!("! {text}"))
            }
            _ => Reaction::Fail(format!("cannot join as {}: {text}", printable(&self.name))),
        }
    }
}

/// A screen that is gone (`| head`) is a reason to leave.
fn show(line: &str, desk: &Desk, screen: &Screen) {
    if screen.show(line).is_err() {
        desk.leave();
    }
}

/// Who is in the room, as a line.
fn here(names: &[Cow<'_, str>], count: usize) -> String {
    let listed: Vec<String> = names.iter().map(|name| printable(name)).collect();
    let more = match count.saturating_sub(listed.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("* {count} here: {}{more}", listed.join(", "))
}

/// A message of ours has come back. On a terminal it is to be seen already; if it had
/// waited for a connection, its author wants to know.
fn own(confirmed: Option<Outgoing>, line: String, screen: &Screen) -> Option<String> {
    if !screen.shows_what_is_typed() {
        return Some(line);
    }
    confirmed
        .filter(|message| message.waited)
        .map(|message| format!("* sent: {}", excerpt(&message.text)))
}

/// A message of ours was not carried out: on a terminal its text goes back to where it
/// was typed, and a program finds the reason on standard error.
fn refused(message: Option<Outgoing>, why: &str, desk: &Desk, screen: &Screen) {
    let text = message.map(|message| message.text);
    let place = text.as_deref().map_or("", |text| screen.give_back(text));
    let which = text.map_or_else(String::new, |text| format!(": {}", excerpt(&text)));
    if screen.is_for_a_person() {
        show(&format!("! {why} Not sent{which}{place}"), desk, screen);
    } else {
        screen.notice(&format!("{why} Not sent{which}"));
    }
}

/// The connection has gone, and these messages had not come back: perhaps they were
/// lost with it, perhaps only their return was.
fn tell_unconfirmed(messages: impl IntoIterator<Item = Outgoing>, desk: &Desk, screen: &Screen) {
    for message in messages {
        desk.fail();
        screen.notice(&format!(
            "the connection ended before this came back from the room, so it may be lost: {}",
            excerpt(&message.text)
        ));
    }
}

fn outcome(
    end: Result<Option<Ended>, ClientError>,
    leaving: bool,
    is_for_a_person: bool,
) -> Outcome {
    match end {
        // Nothing closed it: the user left before it was used.
        Ok(None) if leaving => Outcome::Done,
        Ok(ended) => {
            let code = ended.map_or(1006, |ended| ended.code);
            closed_by_server(code, leaving, is_for_a_person)
        }
        Err(error) if leaving => Outcome::Failed(explain(&error)),
        Err(ClientError::Lost(cause)) => Outcome::Lost(explain(&ClientError::Lost(cause))),
        Err(error) => Outcome::Failed(explain(&error)),
    }
}

/// The server closed the connection: by its code, is it worth to come back? A person who
/// stays may wait for what passes; a program is told at once, since something that it
/// sent may be lost.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# As the data is not guaranteed to be human readable, clients MUST NOT show it to end users.
fn closed_by_server(code: u16, leaving: bool, is_for_a_person: bool) -> Outcome {
    let why = format!(
        "the server closed the connection: {} ({code})",
        meaning(code)
    );
    match code {
        1000 | 1005 => Outcome::Done,
        1001 if leaving => Outcome::Done,
        1001 => Outcome::Lost(why),
        1011..=1013 if is_for_a_person && !leaving => Outcome::Lost(why),
        _ => Outcome::Failed(why),
    }
}

/// What a close code says (§7.4.1 and the registry of §11.7), in words for the user.
fn meaning(code: u16) -> &'static str {
    match code {
        1001 => "it goes away",
        1002 => "this client broke the protocol",
        1003 => "it does not take this type of data",
        1006 => "it sent no close code",
        1007 => "a message was not what its type says",
        1008 => "something here is against its rules",
        1009 => "a message was too long for it",
        1010 => "it lacks an extension",
        1011 => "it met an error",
        1012 => "it restarts",
        1013 => "it is overloaded, or this client reads too slowly",
        1014 => "a server behind it gave a wrong answer",
        3000 => "this client is not authorized",
        3003 => "this client is not allowed in",
        3008 => "this client took too long",
        _ => "it gave a code",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: (bool, bool) = (true, true);
    const PIPES: (bool, bool) = (false, false);

    fn react_on(screen: (bool, bool), conversation: &mut Conversation, json: &str) -> Reaction {
        let message = serde_json::from_str(json).expect(json);
        conversation.react(message, &Screen::plain(screen.0, screen.1))
    }

    fn react(conversation: &mut Conversation, json: &str) -> Reaction {
        react_on(TERMINAL, conversation, json)
    }

    fn aki() -> Conversation {
        Conversation::new("Aki".to_owned())
    }

    fn waited(text: &str) -> Option<Outgoing> {
        let desk = Desk::default();
        desk.submit(text);
        desk.unsent().pop_front()
    }

    #[test]
    fn messages_of_others_are_shown_and_own_ones_are_on_the_screen_already() {
        let from =
            |name| format!(r#"{{"type":"message","id":"3","from":"{name}","text":"yo","time":7}}"#);
        let mut conversation = aki();
        let shown = Reaction::Show("<Bo> yo".to_owned());
        assert_eq!(react(&mut conversation, &from("Bo")), shown);
        let line = "<Aki> yo".to_owned();
        let own_one = Reaction::Own(Some("3".to_owned()), line.clone());
        assert_eq!(react(&mut conversation, &from("Aki")), own_one);
        let (terminal, piped) = (Screen::plain(true, true), Screen::plain(false, false));
        assert_eq!(own(None, line.clone(), &terminal), None);
        assert_eq!(own(None, line.clone(), &piped), Some(line.clone()));
        let told = Some(r#"* sent: "yo""#.to_owned());
        assert_eq!(own(waited("yo"), line, &terminal), told);
    }

    #[test]
    fn what_others_say_cannot_command_the_terminal() {
        let json =
            r#"{"type":"message","from":"B\u001bo\n","text":"\u001b[2J\n\u202ex\r","time":7}"#;
        let shown = "<B\\u{1b}o\\u{a}> \\u{1b}[2J\n  \\u{202e}x\\u{d}".to_owned();
        assert_eq!(react(&mut aki(), json), Reaction::Show(shown));
        let piped = r"<B\u{1b}o\u{a}> \u{1b}[2J\u{a}\u{202e}x\u{d}".to_owned();
        assert_eq!(react_on(PIPES, &mut aki(), json), Reaction::Show(piped));
    }

    fn welcome(name: &str, revision: u64) -> String {
        let limits = r#"{"name_characters_max":32,"text_bytes_max":9,"message_bytes_max":1}"#;
        format!(
            r#"{{"type":"welcome","you":"{name}","room":"r","names":["Aki","Bo"],"count":2,"revision":{revision},"limits":{limits}}}"#
        )
    }

    #[test]
    fn comings_and_goings_that_the_welcome_knew_are_not_told_again() {
        let mut conversation = aki();
        let entered = Reaction::Enter("* you are Aki in r; 2 here".to_owned(), 9);
        assert_eq!(react(&mut conversation, &welcome("Aki", 5)), entered);
        let late = r#"{"type":"joined","name":"Bo","revision":5}"#;
        assert_eq!(react(&mut conversation, late), Reaction::Nothing);
        let news = r#"{"type":"left","name":"Bo","revision":6}"#;
        let gone = Reaction::Show("* Bo has left".to_owned());
        assert_eq!(react(&mut conversation, news), gone);
    }

    const TAKEN: &str = r#"{"type":"error","code":"name_taken","text":"Taken.","about":"join","field":"name","suggestion":"Aki2"}"#;

    #[test]
    fn name_that_is_taken_is_replaced_by_the_suggestion_a_few_times() {
        let mut conversation = aki();
        for _ in 0..NAMES_TRIED_MAX {
            let again = Reaction::Join("! Taken.".to_owned());
            assert_eq!(react(&mut conversation, TAKEN), again);
        }
        assert_eq!(conversation.name, "Aki2");
        let enough = Reaction::Fail("cannot join as Aki2: Taken.".to_owned());
        assert_eq!(react(&mut conversation, TAKEN), enough);
    }

    #[test]
    fn each_connection_asks_for_the_wished_name_first() {
        let mut conversation = aki();
        for _ in 0..2 {
            conversation.begin();
            assert_eq!(conversation.name, "Aki");
            react(&mut conversation, TAKEN);
            react(&mut conversation, &welcome("Aki2", 5));
            assert_eq!(conversation.name, "Aki2");
        }
        conversation.begin();
        assert_eq!(conversation.name, "Aki");
        // A restarted server counts its revisions anew.
        assert_eq!(conversation.revision, 0);
    }

    #[test]
    fn names_are_listed_with_how_many_are_not() {
        let json = r#"{"type":"names","names":["Aki","B\u001bo"],"count":2,"revision":9}"#;
        let listed = Reaction::Show(r"* 2 here: Aki, B\u{1b}o".to_owned());
        assert_eq!(react(&mut aki(), json), listed);
        let json = r#"{"type":"names","names":["Aki"],"count":1001,"revision":9}"#;
        let listed = Reaction::Show("* 1001 here: Aki and 1000 more".to_owned());
        assert_eq!(react(&mut aki(), json), listed);
    }

    #[test]
    fn complaint_about_a_message_names_it_and_one_about_the_name_ends_the_visit() {
        let long = r#"{"type":"error","id":"7","code":"text_too_long","text":"Too long.","about":"message"}"#;
        let refused = Reaction::Refused(Some("7".to_owned()), "Too long.".to_owned());
        assert_eq!(react(&mut aki(), long), refused);
        let name = r#"{"type":"error","code":"name_invalid","text":"No.","about":"join"}"#;
        let fail = Reaction::Fail("cannot join as Aki: No.".to_owned());
        assert_eq!(react(&mut aki(), name), fail);
    }

    fn ended(code: u16) -> Result<Option<Ended>, ClientError> {
        Ok(Some(Ended {
            clean: true,
            code,
            reason: "words of the server".to_owned(),
            first_close: yamabiko::client::FirstClose::Server,
        }))
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
    //= type=test
    //# As the data is not guaranteed to be human readable, clients MUST NOT show it to end users.
    #[test]
    fn close_is_told_by_its_code_and_not_by_the_servers_words() {
        let told = |code| outcome(ended(code), false, true);
        assert_eq!(told(1000), Outcome::Done);
        let again = "the server closed the connection: it restarts (1012)";
        assert_eq!(told(1012), Outcome::Lost(again.to_owned()));
        let never = "the server closed the connection: it gave a code (4321)";
        assert_eq!(told(4321), Outcome::Failed(never.to_owned()));
    }

    #[test]
    fn every_close_code_but_1000_1001_and_1005_fails_a_program_also_one_that_is_leaving() {
        for code in (1000..=1015).chain([3000, 3003, 3008, 3999, 4000, 4999]) {
            let fails = |leaving, person| {
                matches!(outcome(ended(code), leaving, person), Outcome::Failed(_))
            };
            let is_failure = !matches!(code, 1000 | 1001 | 1005);
            assert_eq!(fails(false, false), is_failure, "{code}");
            assert_eq!(fails(true, false), is_failure, "{code}");
            assert_eq!(fails(true, true), is_failure, "{code}");
            let passes = matches!(code, 1011..=1013);
            assert_eq!(fails(false, true), is_failure && !passes, "{code}");
        }
        assert_eq!(outcome(ended(1001), true, false), Outcome::Done);
        assert!(matches!(
            outcome(ended(1001), false, false),
            Outcome::Lost(_)
        ));
    }

    #[test]
    fn lost_connection_is_worth_another_try_and_a_broken_protocol_is_not() {
        let lost = outcome(Err(ClientError::Lost(None)), false, false);
        assert!(matches!(lost, Outcome::Lost(_)));
        let rule = yamabiko::websocket::ProtocolError::TextNotUtf8;
        let failed = outcome(Err(ClientError::Protocol(rule)), false, false);
        assert!(matches!(failed, Outcome::Failed(_)));
        assert_eq!(outcome(Ok(None), true, false), Outcome::Done);
    }
}
