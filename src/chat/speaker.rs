//! What the connections of one person in a room share: the name under which they publish, how fast they may, and whether they may at all.
//!
//! A text is published without the lock of the room. The lock here is that of one person, so only the person's own connections wait
//! for each other. The name and the sanctions change under the lock of the room and this one together: a thread with the room's
//! lock sees the name that the room's list has.
//!
//! Cost: an allocation for each person, and two more words for each connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::message_rate::{MessageRate, Sent, Wait};
use super::names::Name;

/// A person in a room, as its connections see it.
#[derive(Debug)]
pub(super) struct Speaker {
    state: Mutex<State>,
    /// Seconds between two messages of a person: of the room.
    slow_seconds: Arc<AtomicU64>,
    /// Moderates the room: the slow mode is not for this person.
    pub(super) is_moderator: bool,
}

#[derive(Debug)]
struct State {
    name: Name,
    sent: Sent,
    /// Milliseconds since 1970-01-01 UTC.
    muted_until: u64,
    /// A moderator has removed the person from the room; its connections are being closed.
    is_removed: bool,
}

/// Why a person may not publish now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    Wait(Wait),
    /// For so many milliseconds.
    Muted(u64),
    Removed,
}

impl Speaker {
    pub(super) fn new(name: Name, slow_seconds: Arc<AtomicU64>, is_moderator: bool) -> Speaker {
        Speaker {
            state: Mutex::new(State {
                name,
                sent: Sent::default(),
                muted_until: 0,
                is_removed: false,
            }),
            slow_seconds,
            is_moderator,
        }
    }

    pub(super) fn name(&self) -> Name {
        self.lock().name.clone()
    }

    /// Counts a message at `now`. Returns the name under which it is published.
    pub(super) fn publish(&self, now: u64, rate: Option<MessageRate>) -> Result<Name, Silence> {
        let mut state = self.lock();
        state.may_speak(now)?;
        let slow_seconds = match self.is_moderator {
            true => 0,
            false => self.slow_seconds.load(Ordering::Relaxed),
        };
        let counted = state
            .sent
            .count(now, rate, slow_seconds.saturating_mul(1000));
        counted.map_err(Silence::Wait)?;
        Ok(state.name.clone())
    }

    /// Whether the person may speak, for what is not counted.
    pub(super) fn check(&self, now: u64) -> Result<Name, Silence> {
        let state = self.lock();
        state.may_speak(now)?;
        Ok(state.name.clone())
    }

    /// The caller holds the lock of the room.
    pub(super) fn set_name(&self, name: Name) {
        self.lock().name = name;
    }

    /// The caller holds the lock of the room.
    pub(super) fn set_muted_until(&self, until: u64) {
        self.lock().muted_until = until;
    }

    /// The caller holds the lock of the room.
    pub(super) fn remove(&self) {
        self.lock().is_removed = true;
    }

    /// A poisoned lock is used: the steps under it do not panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn may_speak(&self, now: u64) -> Result<(), Silence> {
        if self.is_removed {
            return Err(Silence::Removed);
        }
        match self.muted_until.saturating_sub(now) {
            0 => Ok(()),
            left => Err(Silence::Muted(left)),
        }
    }
}
