//! The state that the threads of the chat client share: the connection, the messages that
//! wait to be sent, the messages that are unconfirmed, and whether the user leaves.
//!
//! ```text
//!                connected()          joined()
//!    Disconnected ────────▶ Joining ────────▶ Joined
//!         ▲                    │                 │
//!         └─ disconnected() ───┴─────────────────┘        leave(): at any time
//! ```
//!
//! A message goes from the queue to the connection. It is *unconfirmed* until the room has
//! sent it back or refused it. (A room of plain lines does not name the sender of a line, so
//! that nothing is unconfirmed there.)
//!
//! ```text
//!    submit() ─▶ queue ─▶ send_all() ─▶ unconfirmed ─▶ confirm(), refuse()
//!                  ▲          │              │
//!                  └─ failed ─┘              └─ disconnected(): may be lost
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

/// Maximum number of messages that wait for a connection.
const QUEUE_MESSAGES_MAX: usize = 100;
/// Maximum number of bytes that wait; one message of any length may always wait.
const QUEUE_BYTES_MAX: usize = 2 << 20;
/// Maximum number of unconfirmed messages; beyond it the oldest is no longer unconfirmed.
const UNCONFIRMED_MAX: usize = 256;

/// See the [module's text](self).
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    leaving: bool,
    /// The input has ended: leave when the queue is empty.
    input_ended: bool,
    /// Leave when the connection ends, even if messages are queued.
    quitting: bool,
    /// A message is being written to the connection.
    sending: bool,
    /// The number of connections that have ended.
    disconnections: u64,
    queue: VecDeque<Outgoing>,
    queue_bytes: usize,
    unconfirmed: VecDeque<Outgoing>,
    next_id: u64,
    /// The longest text that the room accepts, by its own statement.
    text_bytes_max: Option<usize>,
    /// The number of messages that were refused or may be lost.
    failures: u64,
}

#[derive(Debug, Default)]
enum Phase {
    /// There is no connection.
    #[default]
    Disconnected,
    /// Connected, and not yet in the room.
    Joining(Writer, Format),
    /// Messages can be sent.
    Joined(Writer, Format),
}

/// How a text becomes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A message of the chat protocol.
    Chat,
    /// The text itself.
    Plain,
}

/// A message of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    id: u64,
    pub(super) text: String,
    kind: Kind,
    /// It was entered without a connection, or the first attempt to send it failed.
    pub(super) waited: bool,
}

/// Whether a message is a text, or says what the user does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Text,
    Action,
}

/// The result of submitting a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Submitted {
    /// It is sent at once.
    Accepted,
    /// There is no connection; this many messages are queued.
    Queued(usize),
    /// Too many messages or bytes are queued.
    QueueFull,
    /// The room accepts no text of more than this many bytes.
    TooLong(usize),
}

impl Shared {
    /// There is a connection. It is closed if the user has left meanwhile.
    pub(super) fn connected(&self, mut writer: Writer, format: Format) {
        let mut state = self.lock();
        if state.leaving {
            drop(state);
            return close(&mut writer);
        }
        state.phase = Phase::Joining(writer, format);
    }

    /// Messages can be sent, up to this length.
    pub(super) fn joined(&self, text_bytes_max: Option<usize>) {
        let mut state = self.lock();
        state.text_bytes_max = text_bytes_max;
        if let Phase::Joining(writer, format) = mem::take(&mut state.phase) {
            state.phase = Phase::Joined(writer, format);
        }
        self.changed.notify_all();
    }

    /// The connection has ended. Returns the unconfirmed messages.
    pub(super) fn disconnected(&self) -> VecDeque<Outgoing> {
        // A write to a connection that has ended returns soon.
        let mut state = self
            .changed
            .wait_while(self.lock(), |state| state.sending)
            .unwrap_or_else(PoisonError::into_inner);
        state.phase = Phase::Disconnected;
        state.disconnections += 1;
        state.leaving |= state.quitting;
        let unconfirmed = mem::take(&mut state.unconfirmed);
        drop(state);
        self.changed.notify_all();
        unconfirmed
    }

    /// The user leaves: starts the closing handshake of the connection, if there is one.
    pub(super) fn leave(&self) {
        let mut state = self.lock();
        state.leaving = true;
        let phase = mem::take(&mut state.phase);
        drop(state);
        self.changed.notify_all();
        if let Phase::Joining(mut writer, _) | Phase::Joined(mut writer, _) = phase {
            close(&mut writer);
        }
    }

    /// The input has ended: leaves when everything has been sent.
    pub(super) fn end_input(&self) {
        self.lock().input_ended = true;
        self.changed.notify_all();
    }

    /// The user leaves when the queue has been sent; at once if there is no connection.
    pub(super) fn quit(&self) {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Joined(..)) {
            drop(state);
            return self.leave();
        }
        state.quitting = true;
        state.input_ended = true;
        drop(state);
        self.changed.notify_all();
    }

    /// Messages are on their way: they were sent, and have not come back yet.
    pub(super) fn has_unconfirmed(&self) -> bool {
        !self.lock().unconfirmed.is_empty()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.lock().leaving
    }

    /// Waits for this long. `true`: the user leaves.
    pub(super) fn wait_to_leave(&self, pause: Duration) -> bool {
        self.changed
            .wait_timeout_while(self.lock(), pause, |state| !state.leaving)
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .leaving
    }

    /// Accepts a message that a person has entered.
    pub(super) fn submit(&self, text: &str, kind: Kind) -> Submitted {
        let mut state = self.lock();
        if let Some(max) = state.text_bytes_max.filter(|max| text.len() > *max) {
            return Submitted::TooLong(max);
        }
        if !state.has_room(text) {
            return Submitted::QueueFull;
        }
        let waits = !matches!(state.phase, Phase::Joined(..));
        state.push(text, kind, waits);
        self.changed.notify_all();
        if waits {
            Submitted::Queued(state.queue.len())
        } else {
            Submitted::Accepted
        }
    }

    /// Accepts a message of a program, after waiting for room in the queue.
    pub(super) fn submit_when_possible(&self, text: &str) {
        let mut state = self
            .changed
            .wait_while(self.lock(), |state| !state.leaving && !state.has_room(text))
            .unwrap_or_else(PoisonError::into_inner);
        // After `leave`, queued messages are reported as not sent.
        let waits = !matches!(state.phase, Phase::Joined(..));
        state.push(text, Kind::Text, waits);
        self.changed.notify_all();
    }

    /// Sends a request whose answer is shown. `false`: there is no connection to a room of the chat.
    pub(super) fn request(&self, request: &ClientMessage<'_>) -> bool {
        let writer = match &self.lock().phase {
            Phase::Joined(writer, Format::Chat) => writer.clone(),
            _ => return false,
        };
        // An error shows in the next read.
        let _ = { writer }.send(Message::Text(&request.to_json()));
        true
    }

    /// Sends the submitted messages, until the user leaves. `sent` is called behind each of them, `requeued` for a message
    /// that could not be sent and waits for the next connection.
    pub(super) fn send_all(&self, sent: impl Fn(), requeued: impl Fn(&Outgoing)) {
        while let Some((mut writer, format, disconnections)) = self.next() {
            if let Some(message) = self.take(format) {
                if send(&mut writer, format, &message).is_ok() {
                    self.sent();
                    sent();
                } else {
                    requeued(&message);
                    self.put_back(message);
                    self.await_disconnection(disconnections);
                }
            }
        }
    }

    /// The room has sent a message back.
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

    /// Waits for a message and a connection. Also returns the number of connections that
    /// ended before this one. `None`: the user leaves.
    fn next(&self) -> Option<(Writer, Format, u64)> {
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
        match &state.phase {
            Phase::Joined(writer, format) => Some((writer.clone(), *format, state.disconnections)),
            Phase::Disconnected | Phase::Joining(..) => None,
        }
    }

    /// Takes the next message, which becomes unconfirmed.
    fn take(&self, format: Format) -> Option<Outgoing> {
        let mut state = self.lock();
        let message = state.queue.pop_front()?;
        state.queue_bytes -= message.text.len();
        state.sending = true;
        if format == Format::Chat {
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

    /// A message that could not be sent waits for the next connection.
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

    /// After a failed send: waits until the reader reports the end of the connection.
    fn await_disconnection(&self, disconnections: u64) {
        let waiting = |state: &mut State| !state.leaving && state.disconnections == disconnections;
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

    fn push(&mut self, text: &str, kind: Kind, waited: bool) {
        self.queue_bytes += text.len();
        self.queue.push_back(Outgoing {
            id: self.next_id,
            text: text.to_owned(),
            kind,
            waited,
        });
        self.next_id += 1;
    }

    /// A message can be sent, or all messages have been sent.
    fn has_work(&self) -> bool {
        if self.queue.is_empty() {
            self.input_ended
        } else {
            matches!(self.phase, Phase::Joined(..))
        }
    }
}

impl Outgoing {
    /// The line by which a person enters it.
    pub(super) fn entered(&self) -> String {
        match self.kind {
            Kind::Action => format!("/me {}", self.text),
            Kind::Text if self.text.trim_start().starts_with('/') => {
                format!("/{}", self.text.trim_start())
            }
            Kind::Text => self.text.clone(),
        }
    }

    /// The message for a room without the chat protocol.
    fn plain(&self) -> String {
        match self.kind {
            Kind::Text => self.text.clone(),
            Kind::Action => format!("* {}", self.text),
        }
    }
}

fn send(writer: &mut Writer, format: Format, message: &Outgoing) -> Result<(), ClientError> {
    let Outgoing { id, text, .. } = message;
    match format {
        Format::Plain => writer.send(Message::Text(&message.plain())),
        Format::Chat => {
            let kind = match message.kind {
                Kind::Text => "message",
                Kind::Action => "action",
            };
            let json = json!({"type": kind, "text": text, "id": id.to_string()});
            writer.send(Message::Text(&json.to_string()))
        }
    }
}

/// The reader waits for the rest of the closing handshake, and notices a Close that could
/// not be sent.
fn close(writer: &mut Writer) {
    let _ = writer.close(CloseCode::NORMAL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_without_a_connection_is_queued_and_reported_as_queued() {
        let shared = Shared::default();
        assert_eq!(shared.submit("one", Kind::Text), Submitted::Queued(1));
        assert_eq!(shared.submit("two", Kind::Text), Submitted::Queued(2));
        let unsent: Vec<String> = shared.unsent().into_iter().map(|sent| sent.text).collect();
        assert_eq!(unsent, ["one", "two"]);
    }

    #[test]
    fn queue_accepts_messages_up_to_its_limit_and_refuses_the_next() {
        let shared = Shared::default();
        for number in 1..=QUEUE_MESSAGES_MAX {
            assert_eq!(shared.submit("x", Kind::Text), Submitted::Queued(number));
        }
        assert_eq!(shared.submit("x", Kind::Text), Submitted::QueueFull);
    }

    #[test]
    fn queue_accepts_bytes_up_to_its_limit_and_always_one_message() {
        let shared = Shared::default();
        let half = "x".repeat(QUEUE_BYTES_MAX / 2);
        assert_eq!(shared.submit(&half, Kind::Text), Submitted::Queued(1));
        assert_eq!(shared.submit(&half, Kind::Text), Submitted::Queued(2));
        assert_eq!(shared.submit("x", Kind::Text), Submitted::QueueFull);
        shared.unsent();
        let shared = Shared::default();
        let long = "x".repeat(QUEUE_BYTES_MAX + 1);
        assert_eq!(shared.submit(&long, Kind::Text), Submitted::Queued(1));
        assert_eq!(shared.submit("x", Kind::Text), Submitted::QueueFull);
    }

    #[test]
    fn text_that_is_too_long_for_the_room_is_refused_before_it_is_sent() {
        let shared = Shared::default();
        shared.joined(Some(3));
        assert_eq!(shared.submit("four", Kind::Text), Submitted::TooLong(3));
        assert_eq!(shared.submit("two", Kind::Text), Submitted::Queued(1));
    }

    #[test]
    fn message_is_unconfirmed_until_it_is_returned_or_refused_or_the_connection_ends() {
        let shared = Shared::default();
        for text in ["one", "two", "three"] {
            shared.submit(text, Kind::Text);
            shared.take(Format::Chat);
            shared.sent();
        }
        assert_eq!(
            shared.confirm(Some("0")).map(|sent| sent.text),
            Some("one".into())
        );
        assert_eq!(shared.confirm(Some("0")), None, "once");
        let refused = shared.refuse(Some("1")).map(|sent| sent.text);
        assert_eq!((refused, shared.failures()), (Some("two".into()), 1));
        assert_eq!(shared.refuse(Some("of another member")), None);
        let lost = shared.disconnected();
        assert_eq!((lost.len(), lost[0].text.as_str()), (1, "three"));
        assert!(shared.disconnected().is_empty());
    }

    #[test]
    fn message_that_could_not_be_sent_is_sent_next() {
        let shared = Shared::default();
        shared.submit("one", Kind::Text);
        shared.submit("two", Kind::Text);
        let message = shared.take(Format::Chat).expect("one");
        shared.put_back(message);
        assert!(shared.disconnected().is_empty());
        let unsent = shared.unsent();
        assert_eq!(unsent[0].text, "one");
        assert!(unsent[0].waited);
    }

    #[test]
    fn oldest_unconfirmed_message_is_dropped_beyond_the_limit() {
        let shared = Shared::default();
        for _ in 0..=UNCONFIRMED_MAX {
            shared.submit("x", Kind::Text);
            shared.take(Format::Chat);
            shared.sent();
        }
        assert_eq!(shared.confirm(Some("0")), None);
        assert_eq!(shared.disconnected().len(), UNCONFIRMED_MAX);
    }
}
