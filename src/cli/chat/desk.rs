//! Where the threads of the chat client meet: is there a connection, may lines be
//! sent on it, and does the user want to leave.
//!
//! ```text
//!            arrive()            may_speak()
//!    Away ────────────▶ Entering ────────────▶ Inside
//!     ▲                     │                     │
//!     └───── depart() ──────┴─────────────────────┘        leave(): at any time
//! ```

use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use yamabiko::chat::ClientMessage;
use yamabiko::client::Writer;
use yamabiko::websocket::Message;
use yamabiko::websocket::frame::CloseCode;

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
    /// How many connections have gone.
    departures: u64,
}

#[derive(Debug, Default)]
enum Place {
    /// There is no connection.
    #[default]
    Away,
    /// Connected, and not in the room yet.
    Entering(Writer, Speech),
    /// Lines can be sent.
    Inside(Writer, Speech),
}

/// How a line becomes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    /// As a message of the chat protocol.
    Chat,
    /// As it is.
    Bare,
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

    /// From now on lines can be sent.
    pub(super) fn may_speak(&self) {
        let mut state = self.lock();
        if let Place::Entering(writer, speech) = mem::take(&mut state.place) {
            state.place = Place::Inside(writer, speech);
        }
        self.changed.notify_all();
    }

    /// The connection is gone.
    pub(super) fn depart(&self) {
        let mut state = self.lock();
        state.place = Place::Away;
        state.departures += 1;
        drop(state);
        self.changed.notify_all();
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

    /// Sends a line, as soon as there is a connection that takes it. Blank lines
    /// say nothing.
    pub(super) fn say(&self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        while let Some((mut writer, speech, departures)) = self.writer() {
            let sent = match speech {
                Speech::Bare => writer.send(Message::Text(line)),
                Speech::Chat => {
                    let text = line.into();
                    let json = ClientMessage::Message { text }.to_json();
                    writer.send(Message::Text(&json))
                }
            };
            if sent.is_ok() {
                return;
            }
            self.await_departure(departures);
        }
    }

    /// A send has failed: the reader will find out why, and the connection go.
    fn await_departure(&self, departures: u64) {
        let waiting = |state: &mut State| !state.leaving && state.departures == departures;
        let state = self.changed.wait_while(self.lock(), waiting);
        drop(state.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until lines can be sent; with how many connections had gone before
    /// this one. `None`: the user leaves.
    fn writer(&self) -> Option<(Writer, Speech, u64)> {
        let state = self
            .changed
            .wait_while(self.lock(), |state| {
                !state.leaving && !matches!(state.place, Place::Inside(..))
            })
            .unwrap_or_else(PoisonError::into_inner);
        match &state.place {
            Place::Inside(writer, speech) => Some((writer.clone(), *speech, state.departures)),
            Place::Away | Place::Entering(..) => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reader waits for the rest of the closing handshake; if the Close cannot
/// even be sent, it sees that too.
fn close(writer: &mut Writer) {
    let _ = writer.close(CloseCode::NORMAL, "");
}
