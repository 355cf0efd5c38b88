//! What the thread that reads from the server keeps of the room for the thread that reads keys: the names of the members, for
//! completing them, the topic, and where the last messages are, for deleting them.

use std::collections::VecDeque;
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
    /// The name and the position of each of the last [`MESSAGES_MAX`] messages, the newest last.
    messages: VecDeque<(String, String)>,
}

/// Messages that can be deleted by the name of their sender.
const MESSAGES_MAX: usize = 1_000;

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

    /// A new connection, which knows nothing yet but the messages that were shown.
    pub(super) fn clear(&self) {
        let mut known = self.lock();
        *known = Known {
            messages: std::mem::take(&mut known.messages),
            ..Known::default()
        };
    }

    /// A message of this member was shown.
    pub(super) fn said(&self, name: &str, position: &str) {
        let mut known = self.lock();
        if known.messages.len() == MESSAGES_MAX {
            known.messages.pop_front();
        }
        known
            .messages
            .push_back((name.to_owned(), position.to_owned()));
    }

    /// The message at this position was deleted.
    pub(super) fn deleted(&self, position: &str) {
        self.lock().messages.retain(|(_, kept)| kept != position);
    }

    /// The position of the newest message of this member.
    pub(super) fn newest_message_of(&self, name: &str) -> Option<String> {
        let name = name.to_lowercase();
        let known = self.lock();
        let mut newest = known.messages.iter().rev();
        let found = newest.find(|(of, _)| of.to_lowercase() == name);
        found.map(|(_, position)| position.clone())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_message_of_a_member_is_known_until_it_is_deleted_or_messages_max_came_behind_it() {
        let members = Members::default();
        for (name, position) in [("Bo", "x-1"), ("Aki", "x-2"), ("Bo", "x-3")] {
            members.said(name, position);
        }
        members.clear();
        let newest = |name| members.newest_message_of(name);
        assert_eq!(newest("bo").as_deref(), Some("x-3"));
        members.deleted("x-3");
        assert_eq!(newest("Bo").as_deref(), Some("x-1"));
        for number in 0..MESSAGES_MAX - 2 {
            members.said("Cy", &format!("y-{number}"));
        }
        assert!(newest("Bo").is_some());
        members.said("Cy", "z");
        assert_eq!(newest("Bo"), None);
        assert_eq!(newest("Dan"), None);
    }
}
