//! What the two threads and the server's threads share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use yamabiko::server::{BackplaneNode, EngineCounts, RoomHistory};

use crate::queue::{Queue, QueueLimits};
use crate::scripts::Names;
use crate::settings::RedisSettings;
use crate::status::Status;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: RedisSettings,
    pub(crate) names: Names,
    pub(crate) queue: Queue,
    pub(crate) status: Status,
    orders: Orders,
    counters: Counters,
    /// Beats carry the time since then.
    began: Instant,
}

/// The rooms that the server subscribes to and unsubscribes from: the last call for each.
#[derive(Debug, Default)]
struct Orders {
    waiting: Mutex<HashMap<Arc<str>, Order>>,
    /// There are some: asked without the lock.
    exist: AtomicBool,
}

#[derive(Debug)]
pub(crate) enum Order {
    Subscribe {
        history: Option<RoomHistory>,
        /// The room has been unsubscribed from before, so the server has nothing of it.
        is_new: bool,
    },
    Unsubscribe,
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    reads: AtomicU64,
    malformed: AtomicU64,
}

impl Shared {
    pub(crate) fn new(settings: RedisSettings) -> Shared {
        Shared {
            names: Names::new(&settings.prefix),
            queue: Queue::new(QueueLimits {
                publications: settings.queue_publications_max,
                bytes: settings.queue_bytes_max,
            }),
            status: Status::new(settings.ready_within),
            orders: Orders::default(),
            counters: Counters::default(),
            began: Instant::now(),
            settings,
        }
    }

    /// The server subscribes to a room, perhaps again.
    pub(crate) fn subscribe(&self, room: &str, history: Option<RoomHistory>) {
        self.order(room, |before| Order::Subscribe {
            history,
            is_new: match before {
                None => false,
                Some(Order::Unsubscribe) => true,
                Some(Order::Subscribe { is_new, .. }) => is_new,
            },
        });
    }

    /// The server unsubscribes from a room.
    pub(crate) fn unsubscribe(&self, room: &str) {
        self.order(room, |_| Order::Unsubscribe);
    }

    /// What the thread that receives does next, in place of what it has not done yet.
    fn order(&self, room: &str, order: impl FnOnce(Option<Order>) -> Order) {
        let mut waiting = self
            .orders
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let order = order(waiting.remove(room));
        waiting.insert(room.into(), order);
        self.orders.exist.store(true, Ordering::Release);
        drop(waiting);
        self.queue.wake();
    }

    /// Takes all orders.
    pub(crate) fn take_orders(&self) -> HashMap<Arc<str>, Order> {
        if !self.orders.exist.swap(false, Ordering::Acquire) {
            return HashMap::new();
        }
        let mut waiting = self
            .orders
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut waiting)
    }

    /// The name of this node for Redis' list of clients.
    pub(crate) fn name(&self, node: &BackplaneNode) -> String {
        let id = node.id().to_string();
        let name = self.settings.node.as_deref().unwrap_or(&id);
        // Redis takes no spaces there.
        let name = name.chars().map(|one| match one {
            '!'..='~' => one,
            _ => '_',
        });
        format!("{}:{}", self.settings.prefix, name.collect::<String>())
    }

    /// The text of a beat that is sent now.
    pub(crate) fn beat(&self) -> String {
        self.began.elapsed().as_micros().to_string()
    }

    /// A beat has come back.
    pub(crate) fn beat_returned(&self, beat: &[u8]) {
        let sent = str::from_utf8(beat).ok().and_then(|text| text.parse().ok());
        let sent = sent.and_then(|micros| self.began.checked_add(Duration::from_micros(micros)));
        if let Some(sent) = sent {
            self.status.beat(sent);
        }
    }

    pub(crate) fn count_connection(&self) {
        self.counters.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_read(&self) {
        self.counters.reads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_malformed(&self) {
        self.counters.malformed.fetch_add(1, Ordering::Relaxed);
    }

    /// Connections: two, and more after each that was lost. Messages that were missing on a channel were read from the log of their room.
    pub(crate) fn counts(&self) -> EngineCounts {
        let Counters {
            connections,
            reads,
            malformed,
        } = &self.counters;
        let mut counts = EngineCounts::default();
        counts.connections = connections.load(Ordering::Relaxed);
        counts.reads = reads.load(Ordering::Relaxed);
        counts.malformed = malformed.load(Ordering::Relaxed);
        counts.round_trip = self.status.round_trip();
        counts
    }
}

/// How many messages Redis keeps of a room with this history. A node that was away for a moment finds them there, also in a room
/// without history.
pub(crate) fn kept_messages(history: Option<RoomHistory>) -> u64 {
    let messages = history.map_or(0, |history| history.messages_max);
    messages.clamp(KEPT_MESSAGES_MIN, KEPT_MESSAGES_MAX)
}

/// For how many seconds Redis keeps them.
pub(crate) fn kept_seconds(history: Option<RoomHistory>, idle: Duration) -> u64 {
    let age = match history {
        Some(RoomHistory {
            age_max: Some(age), ..
        }) => age,
        Some(RoomHistory { age_max: None, .. }) => idle,
        None => KEPT_TIME_MIN,
    };
    age.max(KEPT_TIME_MIN)
        .min(idle.max(KEPT_TIME_MIN))
        .as_secs()
}

const KEPT_MESSAGES_MIN: u64 = 1000;
const KEPT_MESSAGES_MAX: u64 = 1_000_000;
const KEPT_TIME_MIN: Duration = Duration::from_secs(120);
