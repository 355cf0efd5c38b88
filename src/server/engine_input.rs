//! The server's side of [`BackplaneNode`](super::BackplaneNode): what the engine tells, on its way to the owners of the rooms.
//!
//! The engine's thread sends to the mailbox of the owner, as a [`Publisher`](super::Publisher) does, and finds it full when the owner
//! does not keep up.

use super::backplane::link::Link;
use super::backplane::{Backplane, BackplaneMessage, KeptMessages, NodeId, NodeSink};
use super::cluster::{CLUSTER_ROOM, ClusterSink, WeakClusterSink};
use super::diagnostics;
use super::history::Position;
use super::room_events::EngineEvent;
use super::workers::Workers;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// Where the engine's calls go.
pub(super) struct EngineInput {
    link: Arc<Link>,
    workers: Workers,
    cluster: Option<WeakClusterSink>,
    /// The engine has the node, which has this.
    engine: Weak<dyn Backplane>,
    /// As it was reported last.
    was_ready: AtomicBool,
}

impl EngineInput {
    pub(super) fn new(
        link: Arc<Link>,
        workers: Workers,
        cluster: Option<&ClusterSink>,
        engine: &Arc<dyn Backplane>,
    ) -> EngineInput {
        EngineInput {
            link,
            workers,
            cluster: cluster.map(ClusterSink::downgrade),
            engine: Arc::downgrade(engine),
            was_ready: AtomicBool::new(true),
        }
    }
}

impl EngineInput {
    /// What is of the room of the cluster is done here, and goes to no worker. True: it is of that room.
    fn is_of_cluster(&self, room: &str, tell: impl FnOnce(ClusterSink)) -> bool {
        if room != CLUSTER_ROOM {
            return false;
        }
        if let Some(cluster) = self.cluster.as_ref().and_then(WeakClusterSink::upgrade) {
            tell(cluster);
        }
        true
    }
}

impl NodeSink for EngineInput {
    fn id(&self) -> NodeId {
        self.link.node()
    }

    fn load(&self, room: &str, kept: KeptMessages) -> Result<(), KeptMessages> {
        if self.is_of_cluster(room, |cluster| cluster.loaded(&kept)) {
            return Ok(());
        }
        let room = room.into();
        match self.workers.tell_owner(EngineEvent::Load { room, kept }) {
            Err(EngineEvent::Load { kept, .. }) => Err(kept),
            _ => Ok(()),
        }
    }

    fn deliver(&self, room: &str, first: Position, messages: &[BackplaneMessage]) -> usize {
        if self.is_of_cluster(room, |cluster| cluster.delivered(first, messages)) {
            return messages.len();
        }
        self.workers.deliver(room, first, messages)
    }

    fn gap(&self, room: &str, position: Position) -> bool {
        if self.is_of_cluster(room, |cluster| cluster.gap(position)) {
            return true;
        }
        let room = room.into();
        self.workers
            .tell_owner(EngineEvent::Gap { room, position })
            .is_ok()
    }

    fn state_changed(&self) {
        let Some(engine) = self.engine.upgrade() else {
            return;
        };
        let state = engine.state();
        if self.was_ready.swap(state.is_ready, Ordering::Relaxed) != state.is_ready {
            diagnostics::backplane_changed(&state);
        }
    }
}
