//! What the thread that reads from the server keeps of the room for the thread that reads keys: the names of the members, for
//! completing them, and the topic.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use yamabiko::chat::{Presence, ServerMessage};

use super::text::printable;

/// A copy is the same room.
#[derive(Clone, Debug, Default)]
pub(super) struct Members(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    presence: Presence,
    topic: String,
    /// A topic with a lower number is older.
    topic_revision: u64,
}

impl Members {
    /// A message of the room that is not one of the past.
    pub(super) fn apply(&self, message: &ServerMessage<'_>) {
        self.lock().presence.apply(message);
    }

    /// Returns whether the topic is newer than the known one.
    pub(super) fn set_topic(&self, topic: &str, revision: u64) -> bool {
        let mut known = self.lock();
        if revision <= known.topic_revision {
            return false;
        }
        known.topic = topic.to_owned();
        known.topic_revision = revision;
        true
    }

    /// A new connection, which knows nothing yet.
    pub(super) fn clear(&self) {
        *self.lock() = Known::default();
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.lock().presence.names().map(str::to_owned).collect()
    }

    /// The topic, as a line.
    pub(super) fn topic(&self) -> String {
        let known = self.lock();
        match known.topic.is_empty() {
            true => "the room has no topic".to_owned(),
            false => format!("topic: {}", printable(&known.topic)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
