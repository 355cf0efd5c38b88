//! One connection of the chat: from the server's messages to lines on the screen.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use yamabiko::chat::{
    ClientMessage, Enter, ErrorCode, ErrorReply, PastGap, SUBPROTOCOL, SUBPROTOCOL_V2,
    ServerMessage,
};
use yamabiko::client::{Backoff, Client, ClientError, Ended, OwnedMessage, Reader, Step, Writer};
use yamabiko::websocket::Message;
use yamabiko::websocket::frame::CloseCode;

use super::errors::explain;
use super::screen::Screen;
use super::shared::{Format, Outgoing, Shared};
use super::text::{excerpt, printable};

/// How often a name that is in use is replaced by the server's suggestion.
const NAMES_TRIED_MAX: u32 = 5;

/// How many messages of the past a person gets.
const HISTORY_MESSAGES: u64 = 50;

/// How long the server may take from the opened connection until the user is in the room.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The user's name, kept from one connection to the next.
#[derive(Debug)]
pub(super) struct Conversation {
    /// The name that the user wants. Each connection requests it first.
    wanted_name: String,
    /// The name on this connection.
    name: String,
    names_tried: u32,
    /// The revision of the list of names in the welcome message. Older changes are part of
    /// that list, although they may arrive later.
    revision: u64,
    /// The connection speaks version 2 of the protocol.
    has_history: bool,
    /// The person, and this program as one of its tabs.
    session: String,
    tab: String,
    /// The position of the last message of the room that was shown.
    position: Option<String>,
    /// How many messages of the past are still to come.
    past: u64,
    join_timeout: Duration,
}

/// What follows the end of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The user left, or the server ended the connection normally.
    Done,
    /// An error that another attempt would meet again.
    Failed(String),
    /// An error that another attempt may not meet.
    Lost(String),
}

/// The reaction to a message of the server.
#[derive(Debug, PartialEq, Eq)]
enum Reaction {
    Show(String),
    /// The user is in the room: show it. The number is the longest text that the room accepts.
    Joined(String, usize),
    /// Join under another name, and show the reason.
    Join(String),
    /// The user's own message has come back: its id, and its line.
    Own(Option<String>, String),
    /// The user's message was refused: its id, and the reason.
    Refused(Option<String>, String),
    Nothing,
    Fail(String),
}

impl Conversation {
    /// `session` and `tab`: random texts of 16 to 64 bytes.
    pub(super) fn new(name: String, [session, tab]: [String; 2]) -> Conversation {
        Conversation {
            wanted_name: name.clone(),
            name,
            names_tried: 0,
            revision: 0,
            has_history: false,
            session,
            tab,
            position: None,
            past: 0,
            join_timeout: JOIN_TIMEOUT,
        }
    }

    /// Uses this connection until it ends.
    pub(super) fn run(
        &mut self,
        client: Client,
        shared: &Shared,
        screen: &Screen,
        backoff: &mut Backoff,
    ) -> Outcome {
        let format = match client.subprotocol() {
            Some(SUBPROTOCOL | SUBPROTOCOL_V2) => Format::Chat,
            _ => Format::Plain,
        };
        self.has_history = client.subprotocol() == Some(SUBPROTOCOL_V2);
        let (mut reader, mut writer) = client.split();
        shared.connected(writer.clone(), format);
        self.begin();
        let mut join_deadline = None;
        match format {
            Format::Chat => {
                join_deadline = Some(Instant::now() + self.join_timeout);
                self.join(&mut writer, screen);
            }
            Format::Plain => shared.joined(None),
        }
        let end = loop {
            let reaction = match read(&mut reader, join_deadline) {
                Ok(Some(message)) => self.handle(&message, format, screen),
                Ok(None) => break Ok(reader.ended()),
                Err(error) => break Err(error),
            };
            match reaction {
                Reaction::Nothing => {}
                Reaction::Show(line) => show(&line, shared, screen),
                Reaction::Joined(line, text_bytes_max) => {
                    backoff.reset();
                    join_deadline = None;
                    // The state changes first: a command entered after this line needs it.
                    shared.joined(Some(text_bytes_max));
                    show(&line, shared, screen);
                }
                Reaction::Join(line) => {
                    show(&line, shared, screen);
                    self.join(&mut writer, screen);
                }
                Reaction::Own(id, line) => {
                    if let Some(line) = own(shared.confirm(id.as_deref()), line, screen) {
                        show(&line, shared, screen);
                    }
                }
                Reaction::Refused(id, why) => {
                    refused(shared.refuse(id.as_deref()), &why, shared, screen);
                }
                Reaction::Fail(why) => {
                    // The result of closing changes nothing.
                    let _ = reader.close(CloseCode::NORMAL);
                    shared.disconnected();
                    return Outcome::Failed(why);
                }
            }
        };
        if matches!(end, Err(ClientError::TimedOut(Step::Read))) {
            // Without waiting for the answer: a server that answers nothing else does not answer this.
            let _ = writer.close(CloseCode::NORMAL);
        }
        let (unconfirmed, leaving) = (shared.disconnected(), shared.is_leaving());
        let outcome = outcome(end, leaving, screen.is_for_a_person());
        if outcome != Outcome::Done || !leaving {
            report_unconfirmed(unconfirmed, shared, screen);
        }
        outcome
    }

    /// Starts a new connection: the wanted name may be free again.
    fn begin(&mut self) {
        self.name.clone_from(&self.wanted_name);
        self.names_tried = 0;
        self.revision = 0;
        self.past = 0;
    }

    /// The next read reports an error.
    fn join(&self, writer: &mut Writer, screen: &Screen) {
        let request = match self.has_history {
            true => ClientMessage::Enter(Box::new(self.enter(screen))),
            false => ClientMessage::Join {
                name: self.name.as_str().into(),
            },
        };
        let _ = writer.send(Message::Text(&request.to_json()));
    }

    /// A program gets no messages from before its start, and nobody gets a message twice.
    fn enter(&self, screen: &Screen) -> Enter<'_> {
        let mut enter = Enter::new(self.name.as_str());
        enter.session = Some(self.session.as_str().into());
        enter.tab = Some(self.tab.as_str().into());
        match &self.position {
            Some(position) => enter.after = Some(position.into()),
            None if screen.is_for_a_person() => enter.history = Some(HISTORY_MESSAGES),
            None => {}
        }
        enter
    }

    /// A message of the room has come, which has this position. Returns whether it is one of the past.
    fn place(&mut self, position: Option<Cow<'_, str>>) -> bool {
        if let Some(position) = position {
            self.position = Some(position.into_owned());
        }
        let is_past = self.past > 0;
        self.past = self.past.saturating_sub(1);
        is_past
    }

    fn handle(&mut self, message: &OwnedMessage, format: Format, screen: &Screen) -> Reaction {
        match (message, format) {
            (OwnedMessage::Text(json), Format::Chat) => match serde_json::from_str(json) {
                Ok(message) => self.react(message, screen),
                Err(_) => Reaction::Show(
                    "! the server sent a message that is not of the chat protocol".into(),
                ),
            },
            (OwnedMessage::Text(text), Format::Plain) => Reaction::Show(screen.text(text)),
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
                history,
                ..
            } => {
                self.name = you.into_owned();
                self.revision = revision;
                let (name, room) = (printable(&self.name), printable(&room));
                let line = format!("* you are {name} in {room}; {count} here");
                if let Some(past) = history {
                    self.past = past.messages;
                    self.position = Some(past.position.into_owned());
                    if past.gap != PastGap::None {
                        screen.notice("messages that were sent meanwhile may be missing");
                    }
                }
                Reaction::Joined(line, limits.text_bytes_max)
            }
            ServerMessage::Message {
                id,
                from,
                text,
                position,
                ..
            } => {
                let is_past = self.place(position);
                let line = format!("<{}> {}", printable(&from), screen.text(&text));
                if from == self.name && !is_past {
                    Reaction::Own(id.map(Cow::into_owned), line)
                } else {
                    Reaction::Show(line)
                }
            }
            ServerMessage::Joined {
                name,
                revision,
                position,
            } => {
                self.place(position);
                self.change(revision, || format!("* {} is here", printable(&name)))
            }
            ServerMessage::Left {
                name,
                revision,
                position,
                ..
            } => {
                self.place(position);
                self.change(revision, || format!("* {} has left", printable(&name)))
            }
            ServerMessage::Missed { messages } => Reaction::Show(format!(
                "* this client read too slowly: {messages} messages were skipped"
            )),
            ServerMessage::Error(reply) => self.handle_error(*reply),
            ServerMessage::Names { names, count, .. } => Reaction::Show(members(&names, count)),
            // Of a later version.
            _ => Reaction::Nothing,
        }
    }

    /// A change of the names, unless the list in the welcome message has it.
    fn change(&self, revision: u64, line: impl FnOnce() -> String) -> Reaction {
        match revision > self.revision {
            true => Reaction::Show(line()),
            false => Reaction::Nothing,
        }
    }

    /// A name that is in use is replaced. Any other error of joining ends the connection.
    fn handle_error(&mut self, reply: ErrorReply<'_>) -> Reaction {
        let text = printable(&reply.text);
        if !matches!(reply.about.as_deref(), Some("join" | "enter")) {
            return Reaction::Refused(reply.id.map(Cow::into_owned), text);
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

/// Waits for the next message, until the deadline.
fn read(
    reader: &mut Reader,
    deadline: Option<Instant>,
) -> Result<Option<OwnedMessage>, ClientError> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    if left.is_some_and(|left| left.is_zero()) {
        return Err(ClientError::TimedOut(Step::Read));
    }
    reader.set_read_timeout(left);
    reader.read()
}

/// Leaves if the screen is gone (`| head`).
fn show(line: &str, shared: &Shared, screen: &Screen) {
    if screen.show(line).is_err() {
        shared.leave();
    }
}

/// The members of the room, as a line.
fn members(names: &[Cow<'_, str>], count: usize) -> String {
    let listed: Vec<String> = names.iter().map(|name| printable(name)).collect();
    let more = match count.saturating_sub(listed.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("* {count} here: {}{more}", listed.join(", "))
}

/// The user's own message has come back. A terminal shows it already; only a message that had
/// waited for a connection is reported.
fn own(confirmed: Option<Outgoing>, line: String, screen: &Screen) -> Option<String> {
    if !screen.shows_what_is_typed() {
        return Some(line);
    }
    confirmed
        .filter(|message| message.waited)
        .map(|message| format!("* sent: {}", excerpt(&message.text)))
}

/// The user's message was refused. On a terminal its text goes back to the prompt; a program
/// finds the reason on standard error.
fn refused(message: Option<Outgoing>, why: &str, shared: &Shared, screen: &Screen) {
    let text = message.map(|message| message.text);
    let place = text.as_deref().map_or("", |text| screen.give_back(text));
    let which = text.map_or_else(String::new, |text| format!(": {}", excerpt(&text)));
    if screen.is_for_a_person() {
        show(&format!("! {why} Not sent{which}{place}"), shared, screen);
    } else {
        screen.notice(&format!("{why} Not sent{which}"));
    }
}

/// The connection has ended, and these messages had not come back: they may be lost.
fn report_unconfirmed(
    messages: impl IntoIterator<Item = Outgoing>,
    shared: &Shared,
    screen: &Screen,
) {
    for message in messages {
        shared.fail();
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
        // No Close: the user left before the connection was used.
        Ok(None) if leaving => Outcome::Done,
        Ok(ended) => {
            let code = ended.map_or(1006, |ended| ended.code());
            closed_by_server(code, leaving, is_for_a_person)
        }
        Err(ClientError::TimedOut(Step::Read)) => not_joined(leaving, is_for_a_person),
        Err(error) if leaving => Outcome::Failed(explain(&error)),
        Err(ClientError::Lost(cause)) => Outcome::Lost(explain(&ClientError::Lost(cause))),
        Err(error) => Outcome::Failed(explain(&error)),
    }
}

/// The deadline of joining has passed. A program gets the error at once, as for a close code
/// that says that the server cannot serve now.
fn not_joined(leaving: bool, is_for_a_person: bool) -> Outcome {
    let why = "the server does not answer the request to join".to_owned();
    match is_for_a_person && !leaving {
        true => Outcome::Lost(why),
        false => Outcome::Failed(why),
    }
}

/// Decides by the server's close code whether to connect again. For a person, a temporary
/// condition is worth waiting; a program gets the error at once, because a message that it
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
        // 1008: also of a server that has had no sign of life, because the network or this machine was away.
        1008 | 1011..=1013 if is_for_a_person && !leaving => Outcome::Lost(why),
        _ => Outcome::Failed(why),
    }
}

/// The meaning of a close code (§7.4.1 and the registry of §11.7), for the user.
fn meaning(code: u16) -> &'static str {
    match code {
        1001 => "it is going away",
        1002 => "this client broke the protocol",
        1003 => "it does not take this type of data",
        1006 => "it sent no close code",
        1007 => "a message did not match its type",
        1008 => "no sign of life came from here, or something is against its rules",
        1009 => "a message was too long for it",
        1010 => "it requires an extension",
        1011 => "it has an internal error",
        1012 => "it is restarting",
        1013 => "it is overloaded, or this client reads too slowly",
        1014 => "a server behind it sent an invalid response",
        3000 => "this client is not authorized",
        3003 => "this client is forbidden",
        3008 => "this client took too long",
        _ => "its own code",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use yamabiko::server::{Admission, Context, Handler, Refusal, Upgrade};
    use yamabiko::websocket::CloseFrame;
    use yamabiko_testing::socket::{TestServer, config};

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
        Conversation::new(
            "Aki".to_owned(),
            ["session", "tab"].map(|text| text.repeat(8)),
        )
    }

    fn waited(text: &str) -> Option<Outgoing> {
        let shared = Shared::default();
        shared.submit(text);
        shared.unsent().pop_front()
    }

    #[test]
    fn messages_of_others_are_shown_and_own_messages_are_on_the_screen_already() {
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
    fn messages_of_others_cannot_control_the_terminal() {
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
    fn joins_and_leaves_that_the_welcome_contains_are_not_shown_again() {
        let mut conversation = aki();
        let entered = Reaction::Joined("* you are Aki in r; 2 here".to_owned(), 9);
        assert_eq!(react(&mut conversation, &welcome("Aki", 5)), entered);
        let late = r#"{"type":"joined","name":"Bo","revision":5}"#;
        assert_eq!(react(&mut conversation, late), Reaction::Nothing);
        let news = r#"{"type":"left","name":"Bo","revision":6}"#;
        let gone = Reaction::Show("* Bo has left".to_owned());
        assert_eq!(react(&mut conversation, news), gone);
    }

    #[test]
    fn client_comes_back_behind_the_last_message_that_it_has_shown() {
        let mut conversation = aki();
        let terminal = Screen::plain(true, true);
        assert_eq!(
            conversation.enter(&terminal).history,
            Some(HISTORY_MESSAGES)
        );
        let program = Screen::plain(false, false);
        assert_eq!(conversation.enter(&program).history, None);
        let history = r#","history":{"position":"00a1b2c3d4e5f607-3","messages":2,"gap":"none"}}"#;
        let entered = welcome("Aki", 5).replace("}}", &format!("}}{history}"));
        let line = Reaction::Joined("* you are Aki in r; 2 here".to_owned(), 9);
        assert_eq!(react(&mut conversation, &entered), line);
        // Of the past, so it is not on the screen yet.
        let own = r#"{"type":"message","id":"3","from":"Aki","text":"yo","time":7,"position":"00a1b2c3d4e5f607-4"}"#;
        assert_eq!(
            react(&mut conversation, own),
            Reaction::Show("<Aki> yo".to_owned())
        );
        let change =
            r#"{"type":"joined","name":"Bo","revision":4,"position":"00a1b2c3d4e5f607-5"}"#;
        assert_eq!(react(&mut conversation, change), Reaction::Nothing);
        let own = own.replace("-4", "-6");
        let is_own = Reaction::Own(Some("3".to_owned()), "<Aki> yo".to_owned());
        assert_eq!(react(&mut conversation, &own), is_own);
        conversation.begin();
        let again = conversation.enter(&program);
        assert_eq!(
            (again.after.as_deref(), again.history),
            (Some("00a1b2c3d4e5f607-6"), None)
        );
    }

    const TAKEN: &str = r#"{"type":"error","code":"name_taken","text":"Taken.","about":"join","field":"name","suggestion":"Aki2"}"#;

    #[test]
    fn name_in_use_is_replaced_by_the_suggestion_up_to_a_limit() {
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
    fn each_connection_requests_the_wanted_name_first() {
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

    fn ended(code: u16) -> Result<Option<Ended>, ClientError> {
        let code_of_close = CloseCode::new(code);
        let close = code_of_close.map(|code| CloseFrame::new(code, "text of the server"));
        let mut ended = Ended::default();
        // A Close without a code is 1005. The other codes that no Close can have stand for none.
        ended.received = match code {
            1005 => Some(CloseFrame::EMPTY),
            _ => close,
        };
        Ok(Some(ended))
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
    //= type=test
    //# As the data is not guaranteed to be human readable, clients MUST NOT show it to end users.
    #[test]
    fn close_is_reported_by_its_code_and_not_by_its_reason() {
        let told = |code| outcome(ended(code), false, true);
        assert_eq!(told(1000), Outcome::Done);
        let again = "the server closed the connection: it is restarting (1012)";
        assert_eq!(told(1012), Outcome::Lost(again.to_owned()));
        let never = "the server closed the connection: its own code (4321)";
        assert_eq!(told(4321), Outcome::Failed(never.to_owned()));
    }

    #[test]
    fn every_close_code_except_1000_1001_and_1005_is_a_failure_for_a_program() {
        for code in (1000..=1015).chain([3000, 3003, 3008, 3999, 4000, 4999]) {
            let fails = |leaving, person| {
                matches!(outcome(ended(code), leaving, person), Outcome::Failed(_))
            };
            let is_failure = !matches!(code, 1000 | 1001 | 1005);
            assert_eq!(fails(false, false), is_failure, "{code}");
            assert_eq!(fails(true, false), is_failure, "{code}");
            assert_eq!(fails(true, true), is_failure, "{code}");
            let passes = matches!(code, 1008 | 1011..=1013);
            assert_eq!(fails(false, true), is_failure && !passes, "{code}");
        }
        assert_eq!(outcome(ended(1001), true, false), Outcome::Done);
        assert!(matches!(
            outcome(ended(1001), false, false),
            Outcome::Lost(_)
        ));
    }

    /// Accepts the subprotocol of the chat, and never answers a message.
    struct Silent;

    impl Handler for Silent {
        type Session = ();

        fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
            let chosen = request.choose_subprotocol(&[SUBPROTOCOL]);
            Ok(Admission::new(()).subprotocol(chosen))
        }

        fn message(&self, _: &mut (), _: Message<'_>, _: &mut Context<'_>) {}
    }

    #[test]
    fn server_that_does_not_answer_the_request_to_join_is_left_at_the_deadline() {
        let server = TestServer::start(config(1), Silent);
        let no_answer = "the server does not answer the request to join".to_owned();
        for (is_for_a_person, expected) in [
            (true, Outcome::Lost(no_answer.clone())),
            (false, Outcome::Failed(no_answer)),
        ] {
            let client = Client::builder(&server.url("/chat/lobby")).subprotocol(SUBPROTOCOL);
            let client = client.connect().expect("it listens");
            let mut conversation = Conversation {
                join_timeout: Duration::from_millis(10),
                ..aki()
            };
            let screen = Screen::plain(is_for_a_person, is_for_a_person);
            let (shared, backoff) = (Shared::default(), &mut Backoff::new());
            let outcome = conversation.run(client, &shared, &screen, backoff);
            assert_eq!(outcome, expected);
        }
    }

    #[test]
    fn lost_connection_is_tried_again_and_a_protocol_error_is_not() {
        let lost = outcome(Err(ClientError::Lost(None)), false, false);
        assert!(matches!(lost, Outcome::Lost(_)));
        let rule = yamabiko::websocket::ProtocolError::TextNotUtf8;
        let failed = outcome(Err(ClientError::Protocol(rule)), false, false);
        assert!(matches!(failed, Outcome::Failed(_)));
        assert_eq!(outcome(Ok(None), true, false), Outcome::Done);
    }
}
