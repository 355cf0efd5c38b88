//! Rates: how much one client may send per second, as token buckets.
//!
//! ```text
//!   tokens per second ──▶ ┌────────┐
//!                         │ bucket │ at most `burst` seconds' worth
//!                         └────────┘ ──▶ a message, a byte … takes one
//!   empty: the client is not read until there is a token again, or it is closed
//! ```
//!
//! A connection has one bucket for each [`Rate`]. What has come is always processed and always paid for, so a bucket can be
//! overdrawn: a message of 1 MiB takes a million tokens, and the client waits until they have come. So in the long run no
//! client exceeds its rate, and nothing of it is lost.
//!
//! Waiting means that the server does not read the socket. What the client sends stays in the kernel, and TCP makes the client
//! wait.
//!
//! Without input, output or clock: `now` goes in, and whether to wait, and until when, comes out. It costs nothing if no rate is
//! limited, not even memory. If one is, each connection costs 56 bytes, in a table by the socket's index.

use crate::time::Timestamp;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// The rates that each connection may keep up. Default: none is limited, because only the application knows how much its clients
/// send.
///
/// ```
/// use std::num::NonZeroU32;
/// use yamabiko::server::{Config, RateLimits};
///
/// let rates = RateLimits { messages: NonZeroU32::new(20), ..RateLimits::default() };
/// let config = Config { rates, ..Config::default() };
/// # drop(config);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Messages per second.
    pub messages: Option<NonZeroU32>,
    /// Bytes per second, as they come, with all frame headers.
    pub bytes: Option<NonZeroU32>,
    /// Bytes of compressed messages per second after they are inflated. A few bytes on the wire can be many for the receivers.
    pub inflated_bytes: Option<NonZeroU32>,
    /// Pings and pongs per second.
    pub control_frames: Option<NonZeroU32>,
    /// Calls of [`Context::join`](super::Context::join) per second that subscribe the connection to a room, and of
    /// [`Context::refuse_join`](super::Context::refuse_join).
    pub joins: Option<NonZeroU32>,
    /// How much a client may send at once after a pause: as much as in this time at its rate, at least one message (byte, and so on).
    /// Default 10 s.
    pub burst: Duration,
    /// What happens beyond a rate.
    pub action: RateAction,
}

/// What happens to a client that exceeds a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RateAction {
    /// The client is not read until it is within the rate again. Meanwhile it does not miss a pong, but the time of an unfinished
    /// message goes on: such a message has as much more time as its own bytes take at the rate.
    #[default]
    Wait,
    /// Its connection is closed with 1008. The reason names the rate.
    Close,
}

/// Something that a client can do too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rate {
    /// [`RateLimits::messages`]
    Messages,
    /// [`RateLimits::bytes`]
    Bytes,
    /// [`RateLimits::inflated_bytes`]
    InflatedBytes,
    /// [`RateLimits::control_frames`]
    ControlFrames,
    /// [`RateLimits::joins`]
    Joins,
}

impl Default for RateLimits {
    fn default() -> RateLimits {
        RateLimits {
            messages: None,
            bytes: None,
            inflated_bytes: None,
            control_frames: None,
            joins: None,
            burst: Duration::from_secs(10),
            action: RateAction::Wait,
        }
    }
}

impl RateLimits {
    fn is_limited(&self) -> bool {
        Rate::ALL
            .iter()
            .any(|&rate| self.per_second(rate).is_some())
    }

    fn per_second(&self, rate: Rate) -> Option<NonZeroU32> {
        match rate {
            Rate::Messages => self.messages,
            Rate::Bytes => self.bytes,
            Rate::InflatedBytes => self.inflated_bytes,
            Rate::ControlFrames => self.control_frames,
            Rate::Joins => self.joins,
        }
    }

    /// What a full bucket holds, in thousandths of a token.
    fn full(&self, rate: Rate) -> i64 {
        let per_second = self.per_second(rate).map_or(0, NonZeroU32::get);
        let burst_millis = i64::try_from(self.burst.as_millis()).unwrap_or(i64::MAX);
        i64::from(per_second)
            .saturating_mul(burst_millis)
            .clamp(TOKEN, LEVEL_MAX)
    }
}

impl Rate {
    const ALL: [Rate; 5] = [
        Rate::Messages,
        Rate::Bytes,
        Rate::InflatedBytes,
        Rate::ControlFrames,
        Rate::Joins,
    ];
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rate::Messages => "messages",
            Rate::Bytes => "bytes",
            Rate::InflatedBytes => "inflated bytes",
            Rate::ControlFrames => "pings and pongs",
            Rate::Joins => "joins",
        })
    }
}

/// The buckets of all connections of one worker.
#[derive(Debug)]
pub(super) struct Rates {
    limits: RateLimits,
    is_limited: bool,
    /// By the index of the socket; empty if no rate is limited.
    buckets: Vec<Buckets>,
    /// What the connection that is being received has done and not paid for.
    unpaid: Unpaid,
    /// What has come of its unfinished message, in this call.
    unfinished: Unfinished,
}

/// A part of an unfinished message.
#[derive(Clone, Copy, Debug, Default)]
struct Unfinished {
    bytes: usize,
    inflated_bytes: usize,
}

/// What a connection has done and not paid for.
#[derive(Clone, Copy, Debug, Default)]
struct Unpaid {
    messages: usize,
    bytes: usize,
    inflated_bytes: usize,
    control_frames: usize,
    joins: usize,
}

/// A rate that a connection exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Excess {
    /// The one with the longest wait.
    pub(super) rate: Rate,
    /// When the connection is within all rates again.
    pub(super) until: Timestamp,
}

impl Rates {
    pub(super) fn new(limits: RateLimits) -> Rates {
        Rates {
            limits,
            is_limited: limits.is_limited(),
            buckets: Vec::new(),
            unpaid: Unpaid::default(),
            unfinished: Unfinished::default(),
        }
    }

    /// Other limits hold from now on, also for open connections. What these have used so far counts.
    pub(super) fn replace_limits(&mut self, limits: RateLimits) {
        self.limits = limits;
        self.is_limited = limits.is_limited();
    }

    /// Whether anything is limited. If not, nothing has to be paid for.
    #[inline(always)]
    pub(super) fn is_limited(&self) -> bool {
        self.is_limited
    }

    pub(super) fn action(&self) -> RateAction {
        self.limits.action
    }

    /// A connection has opened: its buckets are full.
    pub(super) fn opened(&mut self, index: usize, now: Timestamp) {
        let full = Buckets::full(&self.limits, now);
        // The limits may have been others when an earlier connection had this index.
        if let Some(buckets) = self.buckets.get_mut(index) {
            *buckets = full;
        } else if self.is_limited {
            self.buckets.resize(index + 1, full);
        }
    }

    /// A connection is received.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        if self.is_limited {
            self.unpaid = Unpaid::default();
            self.unfinished = Unfinished::default();
        }
    }

    /// A message has come. `inflated_bytes`: its length, if it came compressed.
    #[inline(always)]
    pub(super) fn count_message(&mut self, inflated_bytes: usize) {
        self.unpaid.messages += 1;
        self.unpaid.inflated_bytes = self.unpaid.inflated_bytes.saturating_add(inflated_bytes);
    }

    /// A piece of a message has come, with so many inflated bytes.
    #[inline(always)]
    pub(super) fn count_inflated(&mut self, bytes: usize) {
        self.unpaid.inflated_bytes = self.unpaid.inflated_bytes.saturating_add(bytes);
        self.unfinished.inflated_bytes = self.unfinished.inflated_bytes.saturating_add(bytes);
    }

    /// So many bytes of a message have come that is unfinished.
    pub(super) fn count_unfinished(&mut self, bytes: usize) {
        self.unfinished.bytes = self.unfinished.bytes.saturating_add(bytes);
    }

    /// No message is unfinished.
    pub(super) fn forget_unfinished(&mut self) {
        self.unfinished = Unfinished::default();
    }

    /// The time that what has come of the unfinished message takes at the allowed rates, if they make a client wait: so much longer the
    /// message may take. What else the client sends gives it no time.
    pub(super) fn unfinished_time(&self) -> Option<Duration> {
        if !self.is_limited || self.limits.action != RateAction::Wait {
            return None;
        }
        let millis = |count: usize, per_second: Option<NonZeroU32>| {
            let per_second = per_second.map_or(u64::MAX, |rate| rate.get().into());
            (count as u64).saturating_mul(1000) / per_second
        };
        let bytes = millis(self.unfinished.bytes, self.limits.bytes);
        let inflated = millis(self.unfinished.inflated_bytes, self.limits.inflated_bytes);
        Some(Duration::from_millis(bytes.max(inflated)))
    }

    /// A ping or a pong has come.
    #[inline(always)]
    pub(super) fn count_control_frame(&mut self) {
        self.unpaid.control_frames += 1;
    }

    /// Takes the tokens for what was counted since the last call, and for these bytes and joins. `None`: the connection is within
    /// all rates. With [`RateAction::Wait`] it exceeds one when its last token is taken, so that the next message waits; with
    /// [`RateAction::Close`] when it has taken one more.
    pub(super) fn pay(
        &mut self,
        index: usize,
        bytes: usize,
        joins: usize,
        now: Timestamp,
    ) -> Option<Excess> {
        let unpaid = Unpaid {
            bytes,
            joins,
            ..std::mem::take(&mut self.unpaid)
        };
        if self.is_limited && self.buckets.len() <= index {
            // It was open before anything was limited.
            let full = Buckets::full(&self.limits, now);
            self.buckets.resize(index + 1, full);
        }
        let buckets = self.buckets.get_mut(index)?;
        buckets.refill(&self.limits, now);
        buckets.take(&unpaid);
        let least = match self.limits.action {
            RateAction::Wait => TOKEN,
            RateAction::Close => 0,
        };
        buckets.excess(&self.limits, least)
    }

    /// The connection is not read until it is within all rates. False: it waits already.
    pub(super) fn begin_wait(&mut self, index: usize) -> bool {
        let buckets = self.buckets.get_mut(index);
        buckets.is_some_and(|buckets| !std::mem::replace(&mut buckets.waits, true))
    }

    /// When the connection is to be read again, if it waits.
    pub(super) fn wait_ends_at(&self, index: usize) -> Option<Timestamp> {
        let buckets = self.buckets.get(index).filter(|buckets| buckets.waits)?;
        let excess = buckets.excess(&self.limits, TOKEN);
        Some(excess.map_or(buckets.at, |excess| excess.until))
    }

    /// True: the connection has waited until now, and is to be read again.
    pub(super) fn end_wait_if_due(&mut self, index: usize, now: Timestamp) -> bool {
        self.wait_ends_at(index).is_some_and(|at| at <= now) && self.end_wait(index)
    }

    /// True: the connection has waited, and is to be read again, because it closes.
    pub(super) fn end_wait(&mut self, index: usize) -> bool {
        let buckets = self.buckets.get_mut(index);
        buckets.is_some_and(|buckets| std::mem::take(&mut buckets.waits))
    }
}

/// The buckets of one connection.
#[derive(Clone, Copy, Debug)]
struct Buckets {
    /// The time of the levels.
    at: Timestamp,
    /// In thousandths of a token, so that each millisecond brings a whole number. Below 0: overdrawn.
    levels: [i64; Rate::ALL.len()],
    /// The connection is not read.
    waits: bool,
}

impl Buckets {
    fn full(limits: &RateLimits, now: Timestamp) -> Buckets {
        Buckets {
            at: now,
            levels: Rate::ALL.map(|rate| limits.full(rate)),
            waits: false,
        }
    }

    fn refill(&mut self, limits: &RateLimits, now: Timestamp) {
        let millis = i64::try_from(now.since(self.at).as_millis()).unwrap_or(i64::MAX);
        self.at = now;
        for (level, rate) in self.levels.iter_mut().zip(Rate::ALL) {
            let per_second = limits.per_second(rate).map_or(0, NonZeroU32::get);
            let tokens = millis.saturating_mul(per_second.into());
            *level = level.saturating_add(tokens).min(limits.full(rate));
        }
    }

    fn take(&mut self, unpaid: &Unpaid) {
        // In the order of `Rate::ALL`.
        let counts = [
            unpaid.messages,
            unpaid.bytes,
            unpaid.inflated_bytes,
            unpaid.control_frames,
            unpaid.joins,
        ];
        for (level, count) in self.levels.iter_mut().zip(counts) {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            *level = level.saturating_sub(count.saturating_mul(TOKEN));
        }
    }

    /// Of the limited rates whose bucket has less than `least`, the one whose next token comes last.
    fn excess(&self, limits: &RateLimits, least: i64) -> Option<Excess> {
        let waits = self
            .levels
            .iter()
            .zip(Rate::ALL)
            .filter_map(|(&level, rate)| {
                let per_second = limits.per_second(rate)?;
                if level >= least {
                    return None;
                }
                let missing = TOKEN.saturating_sub(level).unsigned_abs();
                Some((missing.div_ceil(per_second.get().into()), rate))
            });
        let (millis, rate) = waits.max_by_key(|&(millis, _)| millis)?;
        let until = self.at.plus(Duration::from_millis(millis));
        Some(Excess { rate, until })
    }
}

/// One token, in the unit of the levels.
const TOKEN: i64 = 1000;

/// Far from the ends of an `i64`.
const LEVEL_MAX: i64 = i64::MAX / 4;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(5_000);

    fn limits(messages_per_second: u32, burst_millis: u64) -> RateLimits {
        RateLimits {
            messages: NonZeroU32::new(messages_per_second),
            burst: Duration::from_millis(burst_millis),
            ..RateLimits::default()
        }
    }

    fn opened(limits: RateLimits) -> Rates {
        let mut rates = Rates::new(limits);
        rates.opened(0, NOW);
        rates
    }

    /// The connection sends so many messages. Until when it has to wait.
    fn send(rates: &mut Rates, messages: usize, now: u64) -> Option<u64> {
        rates.unpaid.messages = messages;
        let excess = rates.pay(0, 0, 0, Timestamp(now));
        excess.map(|excess| excess.until.0)
    }

    #[test]
    fn burst_is_allowed_and_the_next_message_waits_for_a_token() {
        // 10 in a second, so one in each 100 ms; 3 at once.
        let mut rates = opened(limits(10, 300));
        assert_eq!(send(&mut rates, 2, 5_000), None);
        assert_eq!(send(&mut rates, 1, 5_000), Some(5_100));
        assert_eq!(send(&mut rates, 0, 5_099), Some(5_100));
        assert_eq!(send(&mut rates, 0, 5_100), None);
        assert_eq!(send(&mut rates, 1, 5_100), Some(5_200));
    }

    #[test]
    fn connection_that_is_to_be_closed_may_take_its_last_token_and_no_more() {
        let mut rates = opened(RateLimits {
            action: RateAction::Close,
            ..limits(10, 300)
        });
        assert_eq!(send(&mut rates, 3, 5_000), None);
        assert!(send(&mut rates, 1, 5_099).is_some());
    }

    #[test]
    fn bucket_holds_no_more_than_the_burst_however_long_the_pause() {
        let mut rates = opened(limits(10, 300));
        let later = u64::MAX / 2;
        assert_eq!(send(&mut rates, 2, later), None);
        assert_eq!(send(&mut rates, 1, later), Some(later + 100));
    }

    #[test]
    fn overdrawn_bucket_waits_for_all_that_was_taken() {
        let mut rates = opened(limits(10, 300));
        assert_eq!(send(&mut rates, 103, 5_000), Some(15_100));
        assert_eq!(send(&mut rates, 0, 15_099), Some(15_100));
        assert_eq!(send(&mut rates, 0, 15_100), None);
        // No client can take so much that a number overflows.
        assert!(send(&mut rates, usize::MAX, 15_100).is_some());
        assert!(send(&mut rates, usize::MAX, 15_100).is_some());
    }

    #[test]
    fn each_rate_has_its_own_bucket_and_the_longest_wait_counts() {
        let (one, two) = (NonZeroU32::new(1), NonZeroU32::new(2));
        let mut rates = opened(RateLimits {
            messages: two,
            bytes: two,
            inflated_bytes: two,
            control_frames: one,
            joins: two,
            burst: Duration::ZERO,
            action: RateAction::Wait,
        });
        let mut pay = |bytes, joins, rate, millis| {
            let until = NOW.plus(Duration::from_millis(millis));
            let excess = rates.pay(0, bytes, joins, NOW);
            assert_eq!(excess, Some(Excess { rate, until }));
        };
        pay(1, 0, Rate::Bytes, 500);
        pay(0, 2, Rate::Joins, 1000);
        rates.count_message(0);
        rates.count_message(3);
        let mut pay = |rate, millis| {
            let until = NOW.plus(Duration::from_millis(millis));
            let excess = rates.pay(0, 0, 0, NOW);
            assert_eq!(excess, Some(Excess { rate, until }));
        };
        pay(Rate::InflatedBytes, 1500);
        (0..2).for_each(|_| rates.count_control_frame());
        let excess = rates.pay(0, 0, 0, NOW).expect("a wait");
        assert_eq!(
            (excess.rate, excess.until),
            (Rate::ControlFrames, Timestamp(7_000))
        );
    }

    #[test]
    fn unfinished_message_gets_the_time_of_its_own_bytes_and_of_nothing_else() {
        let limits = RateLimits {
            bytes: NonZeroU32::new(1000),
            inflated_bytes: NonZeroU32::new(4000),
            control_frames: NonZeroU32::new(1),
            ..RateLimits::default()
        };
        let mut rates = opened(limits);
        let time = |rates: &Rates| rates.unfinished_time().expect("a limit").as_millis();
        rates.begin();
        (0..9).for_each(|_| rates.count_control_frame());
        rates.pay(0, 90_000, 0, NOW);
        assert_eq!(time(&rates), 0);
        rates.count_unfinished(1500);
        rates.count_unfinished(500);
        assert_eq!(time(&rates), 2000);
        rates.count_inflated(12_000);
        assert_eq!(time(&rates), 3000);
        rates.forget_unfinished();
        assert_eq!(time(&rates), 0);
        rates.count_unfinished(100);
        rates.begin();
        assert_eq!(time(&rates), 0);
        let closing = RateLimits {
            action: RateAction::Close,
            ..limits
        };
        assert_eq!(opened(closing).unfinished_time(), None);
        assert_eq!(opened(RateLimits::default()).unfinished_time(), None);
    }

    #[test]
    fn connection_waits_until_the_time_and_not_longer() {
        let mut rates = opened(limits(10, 300));
        assert_eq!(rates.wait_ends_at(0), None);
        assert_eq!(send(&mut rates, 4, 5_000), Some(5_200));
        assert!(rates.begin_wait(0) && !rates.begin_wait(0));
        assert_eq!(rates.wait_ends_at(0), Some(Timestamp(5_200)));
        assert!(!rates.end_wait_if_due(0, Timestamp(5_199)));
        assert!(rates.end_wait_if_due(0, Timestamp(5_200)));
        assert!(!rates.end_wait_if_due(0, Timestamp(5_200)), "once");
        assert!(rates.begin_wait(0));
        assert!(rates.end_wait(0) && !rates.end_wait(0));
    }

    #[test]
    fn connection_that_opens_has_full_buckets_in_the_place_of_an_earlier_one() {
        let mut rates = opened(limits(1, 1000));
        assert!(send(&mut rates, 9, 5_000).is_some());
        assert!(rates.begin_wait(0));
        rates.opened(3, NOW);
        assert_eq!(rates.pay(2, 0, 0, NOW), None);
        rates.opened(0, NOW);
        assert_eq!(rates.wait_ends_at(0), None);
        assert_eq!(send(&mut rates, 0, 5_000), None);
    }

    #[test]
    fn other_limits_hold_for_open_connections_too() {
        let mut rates = opened(RateLimits::default());
        rates.replace_limits(limits(1, 1000));
        assert!(send(&mut rates, 9, 5_000).is_some());
        assert!(rates.begin_wait(0));
        assert!(
            rates
                .wait_ends_at(0)
                .is_some_and(|at| at > NOW.plus(Duration::from_secs(1)))
        );
        rates.replace_limits(RateLimits::default());
        assert!(rates.end_wait_if_due(0, NOW.plus(Duration::from_secs(6))));
        // What is left of it is nothing of the next connection's.
        rates.replace_limits(limits(1, 1000));
        assert!(send(&mut rates, 9, 5_000).is_some());
        rates.begin_wait(0);
        rates.replace_limits(RateLimits::default());
        rates.opened(0, NOW);
        assert_eq!(rates.wait_ends_at(0), None);
    }

    #[test]
    fn unlimited_rates_cost_nothing() {
        let mut rates = opened(RateLimits::default());
        assert!(!rates.is_limited());
        assert_eq!(send(&mut rates, 1_000_000, 5_000), None);
        assert_eq!(rates.buckets.capacity(), 0);
        let expected = if cfg!(target_pointer_width = "64") {
            56
        } else {
            52
        };
        assert_eq!(size_of::<Buckets>(), expected);
    }
}
