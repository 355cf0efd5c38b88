//! The engine of a server, and its times.

use super::engine::Backplane;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The backplane of a server: see [`Config::backplane`](crate::server::Config). Cheap to clone.
#[derive(Clone)]
pub struct BackplaneConfig {
    /// The engine.
    pub engine: Arc<dyn Backplane>,
    /// How long a client waits that joins a room by [`Context::join_from`](crate::server::Context::join_from), and a message that is published to the room, until the
    /// engine has told what the room has. Then the join fails, and the message is refused. Default 10 s.
    pub load_timeout: Duration,
    /// How long a node stays subscribed to a room that has lost its last subscriber there. Default 10 s, so that a client whose connection
    /// was lost finds the room as it was.
    pub unsubscribe_after: Duration,
    /// How often a node of a [`Cluster`](crate::server::Cluster) shows the others that it is there. A node that is not is known to be gone
    /// after 10 to 15 times this. Default 1 s. All nodes have the same.
    pub beat: Duration,
}

impl BackplaneConfig {
    /// This engine, with the default times.
    pub fn new(engine: Arc<dyn Backplane>) -> BackplaneConfig {
        BackplaneConfig {
            engine,
            load_timeout: Duration::from_secs(10),
            unsubscribe_after: Duration::from_secs(10),
            beat: Duration::from_secs(1),
        }
    }
}

/// The same engine with the same times.
impl PartialEq for BackplaneConfig {
    fn eq(&self, other: &BackplaneConfig) -> bool {
        Arc::ptr_eq(&self.engine, &other.engine)
            && self.load_timeout == other.load_timeout
            && self.unsubscribe_after == other.unsubscribe_after
            && self.beat == other.beat
    }
}

impl fmt::Debug for BackplaneConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackplaneConfig")
            .field("load_timeout", &self.load_timeout)
            .field("unsubscribe_after", &self.unsubscribe_after)
            .field("beat", &self.beat)
            .finish_non_exhaustive()
    }
}
