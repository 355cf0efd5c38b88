//! One connection of the chat: from the server's messages to lines on the screen.

use std::time::{Duration, Instant};

use yamabiko::chat::{ClientMessage, Enter, SUBPROTOCOL, SUBPROTOCOL_V2};
use yamabiko::client::{Backoff, Client, ClientError, OwnedMessage, Reader, Step, Writer};
use yamabiko::websocket::Message;
use yamabiko::websocket::frame::CloseCode;

use super::ending::{Outcome, outcome};
use super::json::json_line;
use super::members::Members;
use super::room::{Reaction, Room};
use super::screen::Screen;
use super::shared::{Format, Outgoing, Shared};
use super::text::excerpt;

/// How many messages of the past a person gets.
const HISTORY_MESSAGES: u64 = 50;

/// How long the server may take from the opened connection until the user is in the room.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// What the user wants, and the room, from one connection to the next.
#[derive(Debug)]
pub(super) struct Conversation {
    /// The name that the user wants. Each connection requests it first.
    wanted_name: String,
    room: Room,
    /// The connection speaks version 2 of the protocol.
    has_history: bool,
    /// This program, as a tab of its user.
    tab: String,
    keys: Keys,
    join_timeout: Duration,
}

/// What opens a private room.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) password: Option<String>,
    pub(super) invitation: Option<String>,
}

impl Conversation {
    /// `tab`: a random text of 16 to 64 bytes.
    pub(super) fn new(name: String, tab: String, keys: Keys, members: Members) -> Conversation {
        Conversation {
            wanted_name: name,
            room: Room::new(members),
            has_history: false,
            tab,
            keys,
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
        self.room.begin(&self.wanted_name);
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
                Ok(Some(message)) => self.handle(&message, format, shared, screen),
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
                Reaction::Renamed(name, line) => {
                    self.wanted_name = name;
                    show(&line, shared, screen);
                }
                Reaction::Join(line) => {
                    show(&line, shared, screen);
                    self.join(&mut writer, screen);
                }
                Reaction::Own(id, line) => {
                    let confirmed = shared.confirm(id.as_deref());
                    screen.set_under_way(|| shared.has_unconfirmed());
                    if let Some(line) = own(confirmed, line, screen) {
                        show(&line, shared, screen);
                    }
                }
                Reaction::Refused(id, why) => {
                    let message = shared.refuse(id.as_deref());
                    screen.set_under_way(|| shared.has_unconfirmed());
                    refused(message, &why, shared, screen);
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
        screen.set_under_way(|| shared.has_unconfirmed());
        let outcome = outcome(end, leaving, screen.waits_for_the_server());
        if outcome != Outcome::Done || !leaving {
            report_unconfirmed(unconfirmed, shared, screen);
        }
        outcome
    }

    /// The next read reports an error.
    fn join(&self, writer: &mut Writer, screen: &Screen) {
        let request = match self.has_history {
            true => ClientMessage::Enter(Box::new(self.enter(screen))),
            false => ClientMessage::Join {
                name: self.room.name().into(),
            },
        };
        let _ = writer.send(Message::Text(&request.to_json()));
    }

    /// A program gets no messages from before its start, and nobody gets a message twice.
    fn enter(&self, screen: &Screen) -> Enter<'_> {
        let mut enter = Enter::new(self.room.name());
        enter.session = self.room.session().map(Into::into);
        enter.tab = Some(self.tab.as_str().into());
        enter.password = self.keys.password.as_deref().map(Into::into);
        enter.invitation = self.keys.invitation.as_deref().map(Into::into);
        match self.room.position() {
            Some(position) => enter.after = Some(position.into()),
            None if screen.is_for_a_person() => enter.history = Some(HISTORY_MESSAGES),
            None => {}
        }
        enter
    }

    fn handle(
        &mut self,
        message: &OwnedMessage,
        format: Format,
        shared: &Shared,
        screen: &Screen,
    ) -> Reaction {
        if screen.show_json(|| json_line(message, format)).is_err() {
            shared.leave();
        }
        match (message, format) {
            (OwnedMessage::Text(json), Format::Chat) => match serde_json::from_str(json) {
                Ok(message) => self.room.react(message, screen),
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
    let text = message.map(|message| message.entered());
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

#[cfg(test)]
mod tests {
    use super::super::shared::Kind;
    use super::*;
    use yamabiko::server::{Admission, Context, Handler, Refusal, Upgrade};
    use yamabiko_testing::socket::{TestServer, config};

    fn aki() -> Conversation {
        Conversation::new(
            "Aki".to_owned(),
            "tab".repeat(8),
            Keys::default(),
            Members::default(),
        )
    }

    fn waited(text: &str) -> Option<Outgoing> {
        let shared = Shared::default();
        shared.submit(text, Kind::Text);
        shared.unsent().pop_front()
    }

    #[test]
    fn own_message_is_on_a_terminal_already_and_is_shown_elsewhere() {
        let line = "<Aki> yo".to_owned();
        let (terminal, piped) = (Screen::plain(true, true), Screen::plain(false, false));
        assert_eq!(own(None, line.clone(), &terminal), None);
        assert_eq!(own(None, line.clone(), &piped), Some(line.clone()));
        let told = Some(r#"* sent: "yo""#.to_owned());
        assert_eq!(own(waited("yo"), line, &terminal), told);
    }

    #[test]
    fn person_asks_for_the_past_and_a_program_does_not() {
        let conversation = aki();
        let [person, program] =
            [true, false].map(|person| conversation.enter(&Screen::plain(person, person)).history);
        assert_eq!((person, program), (Some(HISTORY_MESSAGES), None));
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
}
