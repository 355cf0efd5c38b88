//! The settings of a running server, and their replacement.
//!
//! ```text
//!   ServerHandle::replace_config ──▶ what cannot change is kept ──▶ version n + 1
//!                                                                      ▲
//!   each worker, at the end of a turn: is there a newer version? ──────┘
//! ```
//!
//! It costs a worker one load in each turn. A new version wakes all workers.

use super::config::Config;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The settings that are in effect, for all workers.
#[derive(Debug)]
pub(super) struct LiveConfig {
    current: RwLock<Arc<Config>>,
    version: AtomicU64,
}

impl LiveConfig {
    pub(super) fn new(config: Config) -> LiveConfig {
        LiveConfig {
            current: RwLock::new(Arc::new(config)),
            version: AtomicU64::new(0),
        }
    }

    pub(super) fn current(&self) -> Arc<Config> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// These settings are in effect from now on, besides those that cannot change. Returns the names of these, where they differ.
    pub(super) fn replace(&self, config: Config) -> Vec<&'static str> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let (config, kept) = keep_what_cannot_change(config, &current);
        *current = Arc::new(config);
        // While the lock is held, so that no worker misses the later of two versions.
        self.version.fetch_add(1, Ordering::Release);
        kept
    }
}

/// The version of the settings that a worker has.
#[derive(Debug)]
pub(super) struct Follower {
    live: Arc<LiveConfig>,
    version: u64,
}

impl Follower {
    pub(super) fn new(live: Arc<LiveConfig>) -> Follower {
        Follower { live, version: 0 }
    }

    /// The settings, if there is a newer version than at the last call.
    pub(super) fn newer(&mut self) -> Option<Arc<Config>> {
        let version = self.live.version.load(Ordering::Acquire);
        if version == self.version {
            return None;
        }
        self.version = version;
        Some(self.live.current())
    }
}

/// The settings for a server that runs with others, and the names of those that differ and are kept: sockets, threads, tables
/// and logs have been made for them.
fn keep_what_cannot_change(mut config: Config, running: &Config) -> (Config, Vec<&'static str>) {
    let mut kept = Vec::new();
    macro_rules! keep {
        ($($field:ident),* $(,)?) => {$(
            if config.$field != running.$field {
                kept.push(stringify!($field));
                config.$field.clone_from(&running.$field);
            }
        )*};
    }
    keep!(
        listen,
        workers,
        accept,
        worker_backlog_bytes_max,
        unsent_bytes_max,
        connections_max,
        connections_per_address,
        connections_per_second,
        connection_totals,
        count_subscribers,
        rooms,
        history,
        backplane,
        write_stall_timeout,
        mailbox_capacity,
        deflate,
        proxies,
    );
    #[cfg(feature = "tls")]
    if config.tls.is_some() != running.tls.is_some() {
        kept.push("tls");
        config.tls.clone_from(&running.tls);
    }
    (config, kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;
    use std::time::Duration;

    #[test]
    fn what_cannot_change_is_kept_and_named() {
        let live = LiveConfig::new(Config::default());
        let three = NonZeroUsize::new(3).expect("it is not 0");
        let kept = live.replace(Config {
            listen: ([127, 0, 0, 1], 1).into(),
            workers: three.saturating_mul(1000.try_into().expect("it is not 0")),
            rooms: crate::server::RoomLimits {
                rooms_max: Some(three),
                ..crate::server::RoomLimits::default()
            },
            close_timeout: Duration::from_secs(9),
            ..Config::default()
        });
        assert_eq!(kept, ["listen", "workers", "rooms"]);
        let current = live.current();
        assert_eq!(current.listen, Config::default().listen);
        assert_eq!(current.rooms, Config::default().rooms);
        assert_eq!(current.close_timeout, Duration::from_secs(9));
        assert_eq!(live.replace(Config::default()), Vec::<&str>::new());
    }

    #[test]
    fn worker_gets_the_newest_settings_once() {
        let live = Arc::new(LiveConfig::new(Config::default()));
        let mut follower = Follower::new(live.clone());
        assert!(follower.newer().is_none());
        for seconds in [7, 8] {
            live.replace(Config {
                close_timeout: Duration::from_secs(seconds),
                ..Config::default()
            });
        }
        let newer = follower.newer().expect("a newer version");
        assert_eq!(newer.close_timeout, Duration::from_secs(8));
        assert!(follower.newer().is_none());
    }
}
