//! The users of one app who have signed in, with their connections.
//!
//! A user is online from the sign-in of the first connection to the end of the last one. What follows from a change is published under
//! the lock of the table.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use yamabiko::server::ConnectionId;

#[derive(Debug, Default)]
pub(crate) struct Users {
    online: Mutex<Online>,
}

/// The users who are online, while they are locked.
#[derive(Debug, Default)]
pub(crate) struct Online {
    /// No user without a connection.
    by_id: HashMap<Arc<str>, Vec<ConnectionId>>,
}

impl Users {
    /// Locks the table. A poisoned lock is used: its steps leave the table whole.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Online> {
        self.online.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connections of a user.
    pub(crate) fn connections(&self, id: &str) -> Vec<ConnectionId> {
        self.lock().by_id.get(id).cloned().unwrap_or_default()
    }
}

impl Online {
    /// A connection signs in. True: the user was offline.
    pub(crate) fn sign_in(&mut self, id: &Arc<str>, connection: ConnectionId) -> bool {
        let connections = self.by_id.entry(id.clone()).or_default();
        connections.push(connection);
        connections.len() == 1
    }

    /// A connection that has signed in ends. True: the user is offline now.
    pub(crate) fn sign_out(&mut self, id: &Arc<str>, connection: ConnectionId) -> bool {
        let Entry::Occupied(mut entry) = self.by_id.entry(id.clone()) else {
            return false;
        };
        let connections = entry.get_mut();
        if let Some(at) = connections.iter().position(|other| *other == connection) {
            connections.swap_remove(at);
        }
        let is_offline = connections.is_empty();
        if is_offline {
            entry.remove();
        }
        is_offline
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }
}
