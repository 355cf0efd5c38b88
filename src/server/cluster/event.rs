//! What an application is told of the other nodes.

use crate::server::backplane::NodeId;
use std::sync::Arc;

/// An entry that a node holds: see [`Cluster::hold`](super::Cluster::hold). Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterEntry {
    /// Several nodes may hold entries with one key.
    pub key: Arc<str>,
    /// The node that holds it.
    pub node: NodeId,
    /// Its value.
    pub value: Arc<[u8]>,
}

/// What has changed in the cluster: see [`Handler::cluster_event`](crate::server::Handler::cluster_event).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClusterEvent {
    /// A node, perhaps this one, holds an entry that it has not held, or with another value.
    Held {
        /// The entry.
        entry: ClusterEntry,
        /// The value before. `None`: the node has not held it.
        before: Option<Arc<[u8]>>,
        /// How many nodes hold an entry with this key now.
        holders: usize,
        /// This node tells others outside the cluster, a web server for instance. It is true on one node.
        is_teller: bool,
    },
    /// A node does not hold an entry any more.
    Released {
        /// The entry, with its last value.
        entry: ClusterEntry,
        /// How many nodes hold an entry with this key now.
        holders: usize,
        /// As in [`ClusterEvent::Held`].
        is_teller: bool,
    },
    /// A node, perhaps this one, has sent a message: see [`Cluster::send`](super::Cluster::send).
    Message {
        /// The node that has sent it.
        from: NodeId,
        /// The message.
        payload: Arc<[u8]>,
    },
}

impl ClusterEvent {
    /// The entry is the first one with its key in the cluster.
    pub fn is_first(&self) -> bool {
        matches!(
            self,
            ClusterEvent::Held {
                before: None,
                holders: 1,
                ..
            }
        )
    }

    /// The entry was the last one with its key in the cluster.
    pub fn is_last(&self) -> bool {
        matches!(self, ClusterEvent::Released { holders: 0, .. })
    }
}
