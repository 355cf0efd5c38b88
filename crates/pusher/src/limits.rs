//! What one app may use, and rates as a state with the time as input.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// The limits of one app. Those that the server has for all connections together, such as
/// [`Config::connections_max`](yamabiko::server::Config), hold besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppLimits {
    /// Open connections. Further ones are closed with 4004. Default `None`: no limit but the server's.
    pub connections_max: Option<u32>,
    /// Channels with subscribers. A subscription that would make one more is refused. Default `None`: no limit but
    /// connections × channels of a connection.
    pub channels_max: Option<u32>,
    /// Channels that one connection is subscribed to. Default 1,000.
    pub channels_per_connection_max: u32,
    /// Bytes of an event's data. A longer event of the HTTP API gets 413, and one of a client is refused. Default 10,240.
    pub event_bytes_max: usize,
    /// Events of the HTTP API per second; a second's worth may come at once. Further ones get 429. An event to several channels
    /// counts once for each. Default `None`: no limit.
    pub events_per_second: Option<NonZeroU32>,
    /// Events of one client per second, a second's worth at once. Further ones are refused with the error 4301. Default 10.
    pub client_events_per_second: NonZeroU32,
    /// Events in a [period](AppLimits::period), of the HTTP API and of clients together; an event to several channels counts
    /// once for each. Further ones get 403, or are refused with the error 4301. Default `None`: they are counted and not limited.
    pub messages_max: Option<u64>,
    /// The period of [`AppLimits::messages_max`]. It begins anew when it has ended. Default: a day.
    pub period: Duration,
    /// Members of a presence channel, each user once. Default 100.
    pub presence_members_max: u32,
    /// Bytes of what a member of a presence channel tells about itself. Default 1,024.
    pub user_info_bytes_max: usize,
    /// Bytes per second that the subscriptions of one connection may cause: members and kept events for the client, changes of the
    /// members for the other subscribers, requests of webhooks. 16 seconds' worth may come at once. Beyond it, the connection
    /// gets no further subscription for a while. Default 256 KiB.
    pub subscription_bytes_per_second: NonZeroU32,
    /// Bytes per second of the lists of channels and users that the HTTP API responds with, 16 seconds' worth at once. Further ones
    /// get 429. Default 4 MiB.
    pub list_bytes_per_second: NonZeroU32,
    /// Bytes of all events that cache channels keep; beyond it the oldest are discarded. Default 64 MiB.
    pub cache_bytes_max: usize,
}

impl Default for AppLimits {
    fn default() -> AppLimits {
        AppLimits {
            connections_max: None,
            channels_max: None,
            channels_per_connection_max: 1000,
            event_bytes_max: 10 << 10,
            events_per_second: None,
            client_events_per_second: const { NonZeroU32::new(10).unwrap() },
            messages_max: None,
            period: Duration::from_secs(24 * 60 * 60),
            presence_members_max: 100,
            user_info_bytes_max: 1 << 10,
            subscription_bytes_per_second: const { NonZeroU32::new(256 << 10).unwrap() },
            list_bytes_per_second: const { NonZeroU32::new(4 << 20).unwrap() },
            cache_bytes_max: 64 << 20,
        }
    }
}

/// Events per second, as the time up to which they are used (the generic cell rate algorithm). A second's worth may come at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    interval: Duration,
    /// `None`: nothing has come.
    used_until: Option<Instant>,
}

impl Rate {
    pub(crate) fn new(per_second: NonZeroU32) -> Rate {
        Rate {
            interval: Duration::from_secs(1) / per_second.get(),
            used_until: None,
        }
    }

    /// Takes so many events. More than a second's worth are taken if nothing has come for a second, and then paid for.
    ///
    /// # Errors
    /// How long to wait for them. None of them is taken.
    pub(crate) fn take(&mut self, events: u32, now: Instant) -> Result<(), Duration> {
        let second = Duration::from_secs(1);
        let used_until = self.used_until.unwrap_or(now).max(now);
        let next = used_until + self.interval * events;
        let latest = now + second.max(self.interval * events);
        if next > latest {
            return Err(next - latest);
        }
        self.used_until = Some(next);
        Ok(())
    }
}

/// Bytes that short requests cause, as a supply that time fills again. The request that empties it is still served: how much it
/// causes is known afterwards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Supply {
    per_second: NonZeroU32,
    /// When it is full again. `None`: it has always been full. It is used up if that is [`SUPPLY_TIME`] away, or more.
    full_at: Option<Instant>,
}

impl Supply {
    /// A whole supply.
    pub(crate) fn new(per_second: NonZeroU32) -> Supply {
        Supply {
            per_second,
            full_at: None,
        }
    }

    /// # Errors
    /// It is used up: how long until it is no longer.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Duration> {
        let missing = self.full_at.unwrap_or(now).saturating_duration_since(now);
        match missing < SUPPLY_TIME {
            true => Ok(()),
            false => Err(missing - SUPPLY_TIME),
        }
    }

    /// A request that was served has caused so many bytes.
    pub(crate) fn spend(&mut self, bytes: usize, now: Instant) {
        let nanos = bytes as u128 * NANOS_PER_SECOND / u128::from(self.per_second.get());
        let time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let full_at = self.full_at.unwrap_or(now).max(now);
        self.full_at = Some(full_at.checked_add(time).unwrap_or(full_at));
    }
}

/// A supply is what so much time brings.
const SUPPLY_TIME: Duration = Duration::from_secs(16);
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Events in a period.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    max: Option<u64>,
    period: Duration,
    began: Option<Instant>,
    used: u64,
}

impl Quota {
    pub(crate) fn new(limits: &AppLimits) -> Quota {
        Quota {
            max: limits.messages_max,
            period: limits.period,
            began: None,
            used: 0,
        }
    }

    /// Counts so many events. False: they would exceed the limit, and none is counted.
    pub(crate) fn take(&mut self, events: u64, now: Instant) -> bool {
        self.begin_if_ended(now);
        let used = self.used.saturating_add(events);
        if self.max.is_some_and(|max| used > max) {
            return false;
        }
        self.used = used;
        true
    }

    /// Events of the period so far.
    pub(crate) fn used(&mut self, now: Instant) -> u64 {
        self.begin_if_ended(now);
        self.used
    }

    fn begin_if_ended(&mut self, now: Instant) {
        let has_ended = |began: Instant| now.duration_since(began) >= self.period;
        if self.began.is_none_or(has_ended) {
            self.began = Some(now);
            self.used = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_of_the_rate_comes_at_once_and_then_one_event_in_each_interval() {
        let mut rate = Rate::new(NonZeroU32::new(10).expect("not zero"));
        let start = Instant::now();
        let mut at = |millis| rate.take(1, start + Duration::from_millis(millis));
        for _ in 0..10 {
            assert_eq!(at(0), Ok(()));
        }
        assert_eq!(at(0), Err(Duration::from_millis(100)));
        assert_eq!(at(99), Err(Duration::from_millis(1)));
        assert_eq!(at(100), Ok(()));
        assert!(at(101).is_err());
    }

    #[test]
    fn more_than_a_second_s_worth_comes_after_a_pause_and_is_paid_for() {
        let mut rate = Rate::new(NonZeroU32::new(10).expect("not zero"));
        let start = Instant::now();
        assert_eq!(rate.take(100, start), Ok(()));
        assert_eq!(rate.take(1, start), Err(Duration::from_millis(9100)));
        assert_eq!(rate.take(100, start + Duration::from_secs(10)), Ok(()));
    }

    #[test]
    fn supply_has_16_seconds_worth_at_once_and_nothing_past_it() {
        let mut supply = Supply::new(NonZeroU32::new(1000).expect("not zero"));
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        supply.spend(15_999, at(0));
        assert_eq!(supply.check(at(0)), Ok(()));
        supply.spend(1, at(0));
        assert_eq!(supply.check(at(0)), Err(Duration::ZERO));
        assert_eq!(supply.check(at(1)), Ok(()));
        // What empties it is served whole, and the rest is missing.
        supply.spend(501, at(1));
        assert_eq!(supply.check(at(1)), Err(Duration::from_millis(500)));
        assert!(supply.check(at(501)).is_err() && supply.check(at(502)).is_ok());
    }

    #[test]
    fn supply_fills_again_to_its_maximum_and_not_past_it() {
        let mut supply = Supply::new(NonZeroU32::MIN);
        let start = Instant::now();
        supply.spend(16, start);
        let later = start + Duration::from_secs(24 * 60 * 60);
        assert_eq!(supply.check(later), Ok(()));
        supply.spend(16, later);
        assert!(supply.check(later).is_err());
        // The longest request does no harm.
        supply.spend(usize::MAX, later);
        assert!(supply.check(later).is_err());
    }

    #[test]
    fn period_ends_and_begins_anew() {
        let limits = AppLimits {
            messages_max: Some(3),
            period: Duration::from_secs(60),
            ..AppLimits::default()
        };
        let mut quota = Quota::new(&limits);
        let start = Instant::now();
        assert!(quota.take(2, start));
        assert!(!quota.take(2, start));
        assert!(quota.take(1, start));
        assert!(!quota.take(1, start + Duration::from_millis(59_999)));
        assert_eq!(quota.used(start), 3);
        assert!(quota.take(3, start + Duration::from_secs(60)));
        assert!(!quota.take(u64::MAX, start + Duration::from_secs(60)));
    }
}
