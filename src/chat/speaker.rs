//! What the connections of one person in a room share: the name under which they publish.
//!
//! A text is published without the lock of the room. The lock here is that of one person, so only the person's own connections wait
//! for each other. The name changes under the lock of the room and this one together: whoever holds the room's lock sees the name
//! that the room's list has.
//!
//! Cost: an allocation for each person, and two more words for each connection.

use std::sync::{Mutex, PoisonError};

use super::names::Name;

/// A person in a room, as its connections see it.
#[derive(Debug)]
pub(super) struct Speaker {
    name: Mutex<Name>,
}

impl Speaker {
    pub(super) fn new(name: Name) -> Speaker {
        Speaker {
            name: Mutex::new(name),
        }
    }

    pub(super) fn name(&self) -> Name {
        // A poisoned lock is used: the steps under it do not panic.
        self.name
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The caller holds the lock of the room.
    pub(super) fn set_name(&self, name: Name) {
        *self.name.lock().unwrap_or_else(PoisonError::into_inner) = name;
    }
}
