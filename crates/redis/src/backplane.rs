//! The backplane of a server, and its threads.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use yamabiko::server::{
    Backplane, BackplaneNode, BackplanePublication, BackplaneState, EngineCounts, RoomHistory,
};

use crate::receiver::Receiver;
use crate::sender::Sender;
use crate::settings::{InvalidRedisSettings, RedisSettings};
use crate::shared::Shared;

/// A backplane on Redis: servers with the same Redis and the same [prefix](RedisSettings::prefix) share their rooms.
///
/// ```no_run
/// use std::sync::Arc;
/// use yamabiko::server::{BackplaneConfig, Config};
/// use yamabiko_redis::{RedisBackplane, RedisSettings};
///
/// let settings = RedisSettings::new("redis://10.0.0.5".parse()?);
/// let backplane = RedisBackplane::new(settings)?;
/// let config = Config {
///     backplane: Some(BackplaneConfig::new(Arc::new(backplane))),
///     ..Config::default()
/// };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RedisBackplane {
    shared: Arc<Shared>,
    /// The thread that publishes, from [`Backplane::start`] to [`Backplane::stop`].
    sender: Mutex<Option<JoinHandle<()>>>,
}

impl RedisBackplane {
    /// Nothing is connected before the server is bound. A Redis that cannot be reached is no error: the server begins not ready.
    ///
    /// # Errors
    /// The settings cannot be used: [`RedisSettings::authorities`] are no certificates, or are for an address without TLS.
    pub fn new(settings: RedisSettings) -> Result<RedisBackplane, InvalidRedisSettings> {
        settings
            .client()
            .map_err(|error| InvalidRedisSettings::of(&error))?;
        Ok(RedisBackplane {
            shared: Arc::new(Shared::new(settings)),
            sender: Mutex::default(),
        })
    }
}

impl Backplane for RedisBackplane {
    fn start(&self, node: BackplaneNode) {
        let receiver = Receiver::new(self.shared.clone(), node.clone());
        let sender = Sender::new(self.shared.clone(), node);
        let receiver = thread::Builder::new()
            .name("redis-receiver".to_owned())
            .spawn(|| receiver.run());
        let sender = thread::Builder::new()
            .name("redis-sender".to_owned())
            .spawn(|| sender.run());
        match (receiver, sender) {
            (Ok(_), Ok(sender)) => {
                let mut running = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
                *running = Some(sender);
            }
            (Err(error), _) | (_, Err(error)) => {
                self.shared.queue.close();
                self.shared
                    .status
                    .lost(&format!("the system has no thread for Redis: {error}"));
            }
        }
    }

    fn publish(&self, publication: BackplanePublication) {
        self.publish_all(&mut std::iter::once(publication));
    }

    /// What comes together is published together, if it is not too much for one [batch](crate).
    fn publish_all(&self, publications: &mut dyn Iterator<Item = BackplanePublication>) {
        self.shared.queue.push(publications);
    }

    fn subscribe(&self, room: &str, history: Option<RoomHistory>) {
        self.shared.subscribe(room, history);
    }

    fn unsubscribe(&self, room: &str) {
        self.shared.unsubscribe(room);
    }

    fn state(&self) -> BackplaneState {
        self.shared.status.now()
    }

    fn counts(&self) -> EngineCounts {
        self.shared.counts()
    }

    /// Waits until Redis has answered what it was given, or for twice [`RedisSettings::silence_max`].
    fn stop(&self) {
        self.shared.queue.close();
        let mut running = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        // Its waits have limits. The other thread ends when its connection brings something, or not.
        if let Some(sender) = running.take() {
            let _ = sender.join();
        }
    }
}

/// A backplane that was never stopped.
impl Drop for RedisBackplane {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

impl fmt::Debug for RedisBackplane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackplane")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}
