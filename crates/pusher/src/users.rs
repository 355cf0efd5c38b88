//! The users of one app who have signed in, with their connections.
//!
//! A user is online from the sign-in of the first connection to the end of the last one. What follows from a change is published under
//! the lock of the table.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use yamabiko::server::{ConnectionId, NodeId};

#[derive(Debug, Default)]
pub(crate) struct Users {
    online: Mutex<Online>,
}

/// The users who are online, while they are locked.
#[derive(Debug, Default)]
pub(crate) struct Online {
    by_id: HashMap<Arc<str>, User>,
}

/// A user who is online: here, on other nodes, or both.
#[derive(Debug, Default)]
struct User {
    connections: Vec<ConnectionId>,
    nodes: Vec<NodeId>,
}

/// What has changed with a connection of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OnlineChange {
    /// The user is online now and was not, or the other way.
    pub(crate) of_user: bool,
    /// It is the first connection of the user on this server, or was the last one.
    pub(crate) on_server: bool,
}

impl Users {
    /// Locks the table. A poisoned lock is used: its steps leave the table whole.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Online> {
        self.online.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connections of a user on this server.
    pub(crate) fn connections(&self, id: &str) -> Vec<ConnectionId> {
        let online = self.lock();
        let user = online.by_id.get(id);
        user.map_or_else(Vec::new, |user| user.connections.clone())
    }
}

impl Online {
    /// A connection signs in.
    pub(crate) fn sign_in(&mut self, id: &Arc<str>, connection: ConnectionId) -> OnlineChange {
        let of_user = !self.contains(id);
        let user = self.by_id.entry(id.clone()).or_default();
        user.connections.push(connection);
        OnlineChange {
            of_user,
            on_server: user.connections.len() == 1,
        }
    }

    /// A connection that has signed in ends.
    pub(crate) fn sign_out(&mut self, id: &Arc<str>, connection: ConnectionId) -> OnlineChange {
        let mut on_server = false;
        let of_user = self.change(id, |user| {
            if let Some(at) = user.connections.iter().position(|one| *one == connection) {
                user.connections.swap_remove(at);
                on_server = user.connections.is_empty();
            }
        });
        OnlineChange { of_user, on_server }
    }

    /// The user is online on another node. True: it was offline.
    pub(crate) fn add_node(&mut self, id: &Arc<str>, node: NodeId) -> bool {
        let is_new = !self.contains(id);
        let user = self.by_id.entry(id.clone()).or_default();
        if !user.nodes.contains(&node) {
            user.nodes.push(node);
        }
        is_new
    }

    /// The user is not online on another node any more. True: it is offline now.
    pub(crate) fn remove_node(&mut self, id: &Arc<str>, node: NodeId) -> bool {
        self.change(id, |user| user.nodes.retain(|other| *other != node))
    }

    /// True: the user is offline now.
    fn change(&mut self, id: &Arc<str>, change: impl FnOnce(&mut User)) -> bool {
        let Entry::Occupied(mut entry) = self.by_id.entry(id.clone()) else {
            return false;
        };
        change(entry.get_mut());
        let is_offline = entry.get().connections.is_empty() && entry.get().nodes.is_empty();
        if is_offline {
            entry.remove();
        }
        is_offline
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }
}
