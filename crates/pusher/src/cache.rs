//! The last event of each cache channel, for 30 minutes, also while nobody is subscribed.
//!
//! An event is published, and kept, under one lock. A new subscriber's copy and its place in the order of the channel's events are
//! taken under the same lock: it gets the kept event, and then every later one once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The kept events of one app.
#[derive(Debug)]
pub(crate) struct Cache {
    kept: Mutex<Kept>,
}

/// The kept events, while they are locked.
#[derive(Debug)]
pub(crate) struct Kept {
    by_channel: HashMap<Arc<str>, Event>,
    /// The order in which the events came. The number of an event that was replaced is no longer in the map.
    order: VecDeque<(u64, Arc<str>)>,
    next_number: u64,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Event {
    number: u64,
    kept_at: Instant,
    /// The whole message.
    message: Arc<str>,
    data: Arc<str>,
}

/// A kept event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CachedEvent {
    /// The message as subscribers get it.
    pub(crate) message: Arc<str>,
    pub(crate) data: Arc<str>,
    /// How long it is kept from now.
    pub(crate) ttl: Duration,
}

impl Cache {
    /// `bytes_max`: of all events together.
    pub(crate) fn new(bytes_max: usize) -> Cache {
        Cache {
            kept: Mutex::new(Kept {
                by_channel: HashMap::new(),
                order: VecDeque::new(),
                next_number: 0,
                bytes: 0,
                bytes_max,
            }),
        }
    }

    /// Locks the kept events. A poisoned lock is used: its steps leave the table whole.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Keeps an event instead of the channel's last one. The oldest are discarded if all together exceed their limit.
    pub(crate) fn keep(&mut self, channel: &str, message: &str, data: &str, now: Instant) {
        let channel: Arc<str> = channel.into();
        let event = Event {
            number: self.next_number,
            kept_at: now,
            message: message.into(),
            data: data.into(),
        };
        self.next_number += 1;
        self.discard(&channel);
        self.bytes += event.bytes(&channel);
        self.order.push_back((event.number, channel.clone()));
        self.by_channel.insert(channel, event);
        self.discard_old(now);
    }

    pub(crate) fn get(&mut self, channel: &str, now: Instant) -> Option<CachedEvent> {
        self.discard_old(now);
        let event = self.by_channel.get(channel)?;
        Some(CachedEvent {
            message: event.message.clone(),
            data: event.data.clone(),
            ttl: KEPT_FOR.saturating_sub(now.duration_since(event.kept_at)),
        })
    }

    /// Discards what is too old or too much.
    fn discard_old(&mut self, now: Instant) {
        while let Some((number, channel)) = self.order.front().cloned() {
            let event = self.by_channel.get(&channel);
            let is_due = |event: &Event| {
                self.bytes > self.bytes_max || now.duration_since(event.kept_at) >= KEPT_FOR
            };
            match event.filter(|event| event.number == number) {
                Some(event) if is_due(event) => self.discard(&channel),
                Some(_) => break,
                None => {}
            }
            self.order.pop_front();
        }
        // Each event that was replaced leaves a number.
        if self.order.len() > 2 * self.by_channel.len() + IDLE_NUMBERS {
            let by_channel = &self.by_channel;
            let is_kept = |number: u64, channel: &str| {
                let event = by_channel.get(channel);
                event.is_some_and(|event| event.number == number)
            };
            self.order
                .retain(|(number, channel)| is_kept(*number, channel));
        }
    }

    fn discard(&mut self, channel: &str) {
        if let Some((channel, event)) = self.by_channel.remove_entry(channel) {
            self.bytes -= event.bytes(&channel);
        }
    }
}

impl Event {
    fn bytes(&self, channel: &str) -> usize {
        self.message.len() + self.data.len() + channel.len() + size_of::<Event>()
    }
}

/// How long an event is kept.
const KEPT_FOR: Duration = Duration::from_secs(30 * 60);
/// Numbers of replaced events that are not looked for.
const IDLE_NUMBERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_event_is_kept_for_30_minutes() {
        let cache = Cache::new(1 << 20);
        let mut kept = cache.lock();
        let start = Instant::now();
        kept.keep("cache-a", "M1", "D1", start);
        kept.keep("cache-a", "M2", "D2", start + Duration::from_secs(1));
        let event = kept
            .get("cache-a", start + Duration::from_secs(2))
            .expect("kept");
        assert_eq!(
            (&*event.message, &*event.data, event.ttl.as_secs()),
            ("M2", "D2", 1799)
        );
        assert!(kept.get("cache-b", start).is_none());
        let last = start + Duration::from_secs(1) + KEPT_FOR - Duration::from_millis(1);
        assert!(kept.get("cache-a", last).is_some());
        assert!(
            kept.get("cache-a", last + Duration::from_millis(1))
                .is_none()
        );
        assert_eq!(
            (kept.bytes, kept.order.len(), kept.by_channel.len()),
            (0, 0, 0)
        );
    }

    #[test]
    fn oldest_events_are_discarded_beyond_the_limit() {
        let one = "cache-a".len() + 2 + size_of::<Event>();
        let cache = Cache::new(2 * one);
        let mut kept = cache.lock();
        let now = Instant::now();
        for channel in ["cache-a", "cache-b", "cache-a", "cache-c"] {
            kept.keep(channel, "M", "D", now);
            assert!(kept.bytes <= 2 * one);
        }
        assert!(kept.get("cache-b", now).is_none(), "the oldest");
        assert!(kept.get("cache-a", now).is_some() && kept.get("cache-c", now).is_some());
    }

    #[test]
    fn channel_with_many_events_costs_what_one_costs() {
        let cache = Cache::new(1 << 20);
        let mut kept = cache.lock();
        for number in 0..10_000 {
            kept.keep("cache-a", "M", &number.to_string(), Instant::now());
        }
        assert_eq!(kept.by_channel.len(), 1);
        assert!(kept.order.len() <= 2 + IDLE_NUMBERS);
    }
}
