//! Where the threads of the chat client meet: is there a connection, which messages
//! wait to be sent on it, which have not come back, and does the user want to leave.
//!
//! ```text
//!            arrive()            may_speak()
//!    Away ────────────▶ Entering ────────────▶ Inside
//!     ▲                     │                     │
//!     └───── depart() ──────┴─────────────────────┘        leave(): at any time
//! ```
//!
//! A message goes from the queue onto the connection, and stays *unconfirmed* until it
//! has come back from the room or was refused. (In a room of plain lines nothing says
//! which line is whose, so nothing is awaited there.)
//!
//! ```text
//!    submit() ─▶ queue ─▶ send_all() ─▶ unconfirmed ─▶ confirm(), refuse()
//!                  ▲          │              │
//!                  └─ failed ─┘              └─ depart(): nobody knows
//! ```

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use yamabiko::chat::ClientMessage;
use yamabiko::client::{ClientError, Writer};
use yamabiko::websocket::Message;
use yamabiko::websocket::frame::CloseCode;

/// How many messages may wait for a connection.
const QUEUE_MESSAGES_MAX: usize = 100;
/// How many bytes may wait, except that one message always may.
const QUEUE_BYTES_MAX: usize = 2 << 20;
/// How many messages are awaited from the room; before more, the oldest is forgotten.
const UNCONFIRMED_MAX: usize = 256;

/// The state that the threads share.
#[derive(Debug, Default)]
pub(super) struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    place: Place,
    leaving: bool,
    /// Nothing more will be submitted: leave when the queue is empty.
    input_ended: bool,
    /// Leave also when the connection goes, whatever waits.
    quitting: bool,
    /// A message is being written to the connection.
    sending: bool,
    /// How many connections have gone.
    departures: u64,
    queue: VecDeque<Outgoing>,
    queue_bytes: usize,
    unconfirmed: VecDeque<Outgoing>,
    next_id: u64,
    /// The longest text that the room takes, as it has said.
    text_bytes_max: Option<usize>,
    /// How many messages were refused, or may be lost.
    failures: u64,
}

#[derive(Debug, Default)]
enum Place {
    /// There is no connection.
    #[default]
    Away,
    /// Connected, and not in the room yet.
    Entering(Writer, Speech),
    /// Messages can be sent.
    Inside(Writer, Speech),
}

/// How a text becomes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    /// As a message of the chat protocol.
    Chat,
    /// As it is.
    Bare,
}

/// A message of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    id: u64,
    pub(super) text: String,
    /// It was entered while there was no connection, or its first connection failed.
    pub(super) waited: bool,
}

/// What became of a message that was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Submitted {
    /// There is a connection, and the message is on its way.
    OnItsWay,
    /// There is none now; so many messages wait for it.
    Waits(usize),
    /// Too much waits already.
    QueueFull,
    /// The room takes no text of more than so many bytes.
    TooLong(usize),
}

impl Desk {
    /// There is a connection. If the user has left meanwhile, it is closed.
    pub(super) fn arrive(&self, mut writer: Writer, speech: Speech) {
        let mut state = self.lock();
        if state.leaving {
            drop(state);
            return close(&mut writer);
        }
        state.place = Place::Entering(writer, speech);
    }

    /// From now on messages can be sent; none longer than this.
    pub(super) fn may_speak(&self, text_bytes_max: Option<usize>) {
        let mut state = self.lock();
        state.text_bytes_max = text_bytes_max;
        if let Place::Entering(writer, speech) = mem::take(&mut state.place) {
            state.place = Place::Inside(writer, speech);
        }
        self.changed.notify_all();
    }

    /// The connection is gone. Returns the messages that had been sent and had not
    /// come back.
    pub(super) fn depart(&self) -> VecDeque<Outgoing> {
        // A write to a connection that is gone does not last.
        let mut state = self
            .changed
            .wait_while(self.lock(), |state| state.sending)
            .unwrap_or_else(PoisonError::into_inner);
        state.place = Place::Away;
        state.departures += 1;
        state.leaving |= state.quitting;
        let unconfirmed = mem::take(&mut state.unconfirmed);
        drop(state);
        self.changed.notify_all();
        unconfirmed
    }

    /// The user leaves: begins the closing handshake where there is a connection.
    pub(super) fn leave(&self) {
        let mut state = self.lock();
        state.leaving = true;
        let place = mem::take(&mut state.place);
        drop(state);
        self.changed.notify_all();
        if let Place::Entering(mut writer, _) | Place::Inside(mut writer, _) = place {
            close(&mut writer);
        }
    }

    /// Nothing more will be submitted: leaves when all has been sent.
    pub(super) fn end_input(&self) {
        self.lock().input_ended = true;
        self.changed.notify_all();
    }

    /// The user leaves when what waits has been sent; at once if there is no connection.
    pub(super) fn quit(&self) {
        let mut state = self.lock();
        if !matches!(state.place, Place::Inside(..)) {
            drop(state);
            return self.leave();
        }
        state.quitting = true;
        state.input_ended = true;
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.lock().leaving
    }

    /// Waits this long; `true`: the user leaves.
    pub(super) fn leaves_within(&self, pause: Duration) -> bool {
        self.changed
            .wait_timeout_while(self.lock(), pause, |state| !state.leaving)
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .leaving
    }

    /// Takes a message that a person has entered.
    pub(super) fn submit(&self, text: &str) -> Submitted {
        let mut state = self.lock();
        if let Some(max) = state.text_bytes_max.filter(|max| text.len() > *max) {
            return Submitted::TooLong(max);
        }
        if !state.has_room(text) {
            return Submitted::QueueFull;
        }
        let waits = !matches!(state.place, Place::Inside(..));
        state.push(text, waits);
        self.changed.notify_all();
        if waits {
            Submitted::Waits(state.queue.len())
        } else {
            Submitted::OnItsWay
        }
    }

    /// Takes a message of a program, as soon as there is room for it.
    pub(super) fn submit_waiting(&self, text: &str) {
        let mut state = self
            .changed
            .wait_while(self.lock(), |state| !state.leaving && !state.has_room(text))
            .unwrap_or_else(PoisonError::into_inner);
        // After `leave`, what waits is told as not sent.
        let waits = !matches!(state.place, Place::Inside(..));
        state.push(text, waits);
        self.changed.notify_all();
    }

    /// Asks the room who is in it. `false`: there is no connection to one with names.
    pub(super) fn ask_names(&self) -> bool {
        let writer = match &self.lock().place {
            Place::Inside(writer, Speech::Chat) => writer.clone(),
            _ => return false,
        };
        // An error shows in the next read.
        let _ = { writer }.send(Message::Text(&ClientMessage::Names.to_json()));
        true
    }

    /// Sends what is submitted, until the user leaves. `waits` is told of a message that
    /// could not be sent and waits for the next connection.
    pub(super) fn send_all(&self, waits: impl Fn(&Outgoing)) {
        while let Some((mut writer, speech, departures)) = self.next() {
            if let Some(message) = self.take(speech) {
                if send(&mut writer, speech, &message).is_ok() {
                    self.sent();
                } else {
                    waits(&message);
                    self.put_back(message);
                    self.await_departure(departures);
                }
            }
        }
    }

    /// A message has come back from the room.
    pub(super) fn confirm(&self, id: Option<&str>) -> Option<Outgoing> {
        let id: u64 = id?.parse().ok()?;
        let mut state = self.lock();
        let index = state.unconfirmed.iter().position(|sent| sent.id == id)?;
        state.unconfirmed.remove(index)
    }

    /// The room has refused a message.
    pub(super) fn refuse(&self, id: Option<&str>) -> Option<Outgoing> {
        self.fail();
        self.confirm(id)
    }

    /// A message was refused, or may be lost.
    pub(super) fn fail(&self) {
        self.lock().failures += 1;
    }

    pub(super) fn failures(&self) -> u64 {
        self.lock().failures
    }

    /// The messages that were never sent, at the end.
    pub(super) fn unsent(&self) -> VecDeque<Outgoing> {
        mem::take(&mut self.lock().queue)
    }

    /// Waits until there is a message and a connection for it; with how many
    /// connections had gone before this one. `None`: the user leaves.
    fn next(&self) -> Option<(Writer, Speech, u64)> {
        let state = self
            .changed
            .wait_while(self.lock(), |state| !state.leaving && !state.has_work())
            .unwrap_or_else(PoisonError::into_inner);
        if state.leaving {
            return None;
        }
        if state.queue.is_empty() {
            drop(state);
            self.leave();
            return None;
        }
        match &state.place {
            Place::Inside(writer, speech) => Some((writer.clone(), *speech, state.departures)),
            Place::Away | Place::Entering(..) => None,
        }
    }

    /// The next message, which is unconfirmed from now on.
    fn take(&self, speech: Speech) -> Option<Outgoing> {
        let mut state = self.lock();
        let message = state.queue.pop_front()?;
        state.queue_bytes -= message.text.len();
        state.sending = true;
        if speech == Speech::Chat {
            if state.unconfirmed.len() == UNCONFIRMED_MAX {
                state.unconfirmed.pop_front();
            }
            state.unconfirmed.push_back(message.clone());
        }
        drop(state);
        self.changed.notify_all();
        Some(message)
    }

    fn sent(&self) {
        self.lock().sending = false;
        self.changed.notify_all();
    }

    /// It could not be sent: it waits for the next connection.
    fn put_back(&self, message: Outgoing) {
        let mut state = self.lock();
        state.unconfirmed.retain(|sent| sent.id != message.id);
        state.queue_bytes += message.text.len();
        state.queue.push_front(Outgoing {
            waited: true,
            ..message
        });
        state.sending = false;
        drop(state);
        self.changed.notify_all();
    }

    /// A send has failed: the reader will find out why, and the connection go.
    fn await_departure(&self, departures: u64) {
        let waiting = |state: &mut State| !state.leaving && state.departures == departures;
        let state = self.changed.wait_while(self.lock(), waiting);
        drop(state.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, text: &str) -> bool {
        self.queue.is_empty()
            || self.queue.len() < QUEUE_MESSAGES_MAX
                && self.queue_bytes + text.len() <= QUEUE_BYTES_MAX
    }

    fn push(&mut self, text: &str, waited: bool) {
        self.queue_bytes += text.len();
        self.queue.push_back(Outgoing {
            id: self.next_id,
            text: text.to_owned(),
            waited,
        });
        self.next_id += 1;
    }

    /// A message can be sent, or all have been.
    fn has_work(&self) -> bool {
        if self.queue.is_empty() {
            self.input_ended
        } else {
            matches!(self.place, Place::Inside(..))
        }
    }
}

fn send(writer: &mut Writer, speech: Speech, message: &Outgoing) -> Result<(), ClientError> {
    let Outgoing { id, text, .. } = message;
    match speech {
        Speech::Bare => writer.send(Message::Text(text)),
        Speech::Chat => {
            let json = json!({"type": "message", "text": text, "id": id.to_string()});
            writer.send(Message::Text(&json.to_string()))
        }
    }
}

/// The reader waits for the rest of the closing handshake; if the Close cannot
/// even be sent, it sees that too.
fn close(writer: &mut Writer) {
    let _ = writer.close(CloseCode::NORMAL, "");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_without_a_connection_waits_and_is_told_so() {
        let desk = Desk::default();
        assert_eq!(desk.submit("one"), Submitted::Waits(1));
        assert_eq!(desk.submit("two"), Submitted::Waits(2));
        let unsent: Vec<String> = desk.unsent().into_iter().map(|sent| sent.text).collect();
        assert_eq!(unsent, ["one", "two"]);
    }

    #[test]
    fn queue_takes_messages_up_to_its_bound_and_refuses_one_past_it() {
        let desk = Desk::default();
        for number in 1..=QUEUE_MESSAGES_MAX {
            assert_eq!(desk.submit("x"), Submitted::Waits(number));
        }
        assert_eq!(desk.submit("x"), Submitted::QueueFull);
    }

    #[test]
    fn queue_takes_bytes_up_to_its_bound_and_one_message_always() {
        let desk = Desk::default();
        let half = "x".repeat(QUEUE_BYTES_MAX / 2);
        assert_eq!(desk.submit(&half), Submitted::Waits(1));
        assert_eq!(desk.submit(&half), Submitted::Waits(2));
        assert_eq!(desk.submit("x"), Submitted::QueueFull);
        desk.unsent();
        let desk = Desk::default();
        let long = "x".repeat(QUEUE_BYTES_MAX + 1);
        assert_eq!(desk.submit(&long), Submitted::Waits(1));
        assert_eq!(desk.submit("x"), Submitted::QueueFull);
    }

    #[test]
    fn text_that_the_room_does_not_take_is_refused_before_it_is_sent() {
        let desk = Desk::default();
        desk.may_speak(Some(3));
        assert_eq!(desk.submit("four"), Submitted::TooLong(3));
        assert_eq!(desk.submit("two"), Submitted::Waits(1));
    }

    #[test]
    fn message_is_unconfirmed_until_it_comes_back_or_is_refused_or_the_connection_goes() {
        let desk = Desk::default();
        for text in ["one", "two", "three"] {
            desk.submit(text);
            desk.take(Speech::Chat);
            desk.sent();
        }
        assert_eq!(
            desk.confirm(Some("0")).map(|sent| sent.text),
            Some("one".into())
        );
        assert_eq!(desk.confirm(Some("0")), None, "once");
        let refused = desk.refuse(Some("1")).map(|sent| sent.text);
        assert_eq!((refused, desk.failures()), (Some("two".into()), 1));
        assert_eq!(desk.refuse(Some("of somebody else")), None);
        let lost = desk.depart();
        assert_eq!((lost.len(), lost[0].text.as_str()), (1, "three"));
        assert!(desk.depart().is_empty());
    }

    #[test]
    fn message_that_could_not_be_sent_is_the_next_again() {
        let desk = Desk::default();
        desk.submit("one");
        desk.submit("two");
        let message = desk.take(Speech::Chat).expect("one");
        desk.put_back(message);
        assert!(desk.depart().is_empty());
        let unsent = desk.unsent();
        assert_eq!(unsent[0].text, "one");
        assert!(unsent[0].waited);
    }

    #[test]
    fn oldest_unconfirmed_message_is_forgotten_beyond_the_bound() {
        let desk = Desk::default();
        for _ in 0..=UNCONFIRMED_MAX {
            desk.submit("x");
            desk.take(Speech::Chat);
            desk.sent();
        }
        assert_eq!(desk.confirm(Some("0")), None);
        assert_eq!(desk.depart().len(), UNCONFIRMED_MAX);
    }
}
