//! The delay before the next attempt to reconnect (RFC 6455 §7.2.3).
//!
//! A server that goes down loses all of its clients at once. If each of them reconnected
//! immediately, and again immediately after each failure, the server could not recover.
//!
//! ```text
//! attempt    delay drawn from           with the default bounds
//!    0       0      ..  first_max         0 ..   5 s
//!    1       first  .. 2 first            5 ..  10 s
//!    2       2 first .. 4 first          10 ..  20 s
//!    n       half the ceiling .. ceiling, until the ceiling is delay_max
//! ```
//!
//! The first delay spreads the clients over the whole interval. Each later delay has a
//! random half (the clients stay spread) and a fixed half (the delay grows).
//!
//! There is no clock and no randomness here: the caller draws the number and sleeps.

use std::time::Duration;

/// The delays between attempts to reconnect: a random first delay, then truncated binary
/// exponential backoff with jitter.
///
/// ```
/// use std::time::Duration;
/// use yamabiko::client::Backoff;
///
/// let mut backoff = Backoff::new();
/// let random = 0x8000_0000; // use a random number: `getrandom::u32()?`
/// assert_eq!(backoff.next_delay(random), Duration::from_millis(2_500));
/// assert_eq!(backoff.next_delay(random), Duration::from_millis(7_500));
/// backoff.reset(); // a connection was opened, and a message arrived
/// assert!(backoff.next_delay(random) < Duration::from_secs(5));
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    first_max: Duration,
    delay_max: Duration,
    /// The longest delay of the previous attempt; `None`: there was none.
    ceiling: Option<Duration>,
}

impl Backoff {
    /// The first delay is up to 5 seconds, later ones up to 2 minutes.
    pub fn new() -> Backoff {
        Backoff::with_bounds(Duration::from_secs(5), Duration::from_secs(120))
    }

    /// The first delay is up to `first_max`, all delays up to `delay_max`.
    pub fn with_bounds(first_max: Duration, delay_max: Duration) -> Backoff {
        Backoff {
            first_max: first_max.min(delay_max),
            delay_max,
            ceiling: None,
        }
    }

    /// The delay before the next attempt. `random` is uniform over its 2³² values; it need
    /// not be secret.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3
    //# To prevent this, clients SHOULD use some form of backoff when trying to
    //# reconnect after abnormal closures as described in this section.
    pub fn next_delay(&mut self, random: u32) -> Duration {
        let Some(before) = self.ceiling else {
            self.ceiling = Some(self.first_max);
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3
            //# The first reconnect attempt SHOULD be delayed by a random amount of time.
            return share(self.first_max, random);
        };
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3
        //# subsequent reconnect attempts SHOULD be delayed by increasingly longer amounts of time
        let ceiling = before.saturating_mul(2).min(self.delay_max);
        self.ceiling = Some(ceiling);
        let half = ceiling / 2;
        half + share(half, random)
    }

    /// As [`Backoff::next_delay`], but not before `asked` has passed, which the server has requested
    /// ([`Retry::After`](super::Retry::After)). Up to the first delay's maximum is added to that,
    /// because the server may have requested it of all its clients. `random` is uniform over its
    /// 2⁶⁴ values.
    pub fn next_delay_after(&mut self, asked: Duration, random: u64) -> Duration {
        let (high, low) = ((random >> 32) as u32, random as u32);
        let delay = self.next_delay(high);
        match asked <= delay {
            true => delay,
            false => asked + share(self.first_max, low),
        }
    }

    /// Discards the failures: the next delay is a first one. Call it when a message has
    /// arrived, not when the connection opens: a server that accepts connections and then
    /// fails needs the backoff most.
    pub fn reset(&mut self) {
        self.ceiling = None;
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff::new()
    }
}

/// `random / 2³²` of the duration: from zero to slightly less than the duration.
fn share(duration: Duration, random: u32) -> Duration {
    // At most 2⁹⁴ nanoseconds times 2³²: no overflow, and the result is rounded down.
    let nanoseconds = (duration.as_nanos() * u128::from(random)) >> 32;
    let seconds = u64::try_from(nanoseconds / 1_000_000_000).unwrap_or(u64::MAX);
    let rest = u32::try_from(nanoseconds % 1_000_000_000).unwrap_or(0);
    Duration::new(seconds, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: u32 = 0;
    const MOST: u32 = u32::MAX;

    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3
    //= type=test
    //# The first reconnect attempt SHOULD be delayed by a random amount of time.
    #[test]
    fn first_delay_spreads_from_zero_to_five_seconds() {
        assert_eq!(Backoff::new().next_delay(LEAST), Duration::ZERO);
        let longest = Backoff::new().next_delay(MOST);
        assert!(longest > Duration::from_millis(4_999) && longest < Duration::from_secs(5));
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3
    //= type=test
    //# subsequent reconnect attempts SHOULD be delayed by increasingly longer amounts of time
    #[test]
    fn shortest_delay_after_a_failure_is_not_below_the_longest_delay_before_it() {
        let (mut lucky, mut unlucky) = (Backoff::new(), Backoff::new());
        lucky.next_delay(LEAST);
        let mut longest_before = unlucky.next_delay(MOST);
        for _ in 0..4 {
            let shortest = lucky.next_delay(LEAST);
            assert!(
                shortest >= longest_before,
                "{shortest:?} {longest_before:?}"
            );
            longest_before = unlucky.next_delay(MOST);
            assert!(longest_before > shortest);
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3
    //= type=test
    //# To prevent this, clients SHOULD use some form of backoff when trying to
    //# reconnect after abnormal closures as described in this section.
    #[test]
    fn delay_is_truncated_and_stays_random_after_a_thousand_failures() {
        let mut backoff = Backoff::with_bounds(Duration::from_secs(1), Duration::from_secs(60));
        for _ in 0..1_000 {
            assert!(backoff.next_delay(MOST) < Duration::from_secs(60));
        }
        assert_eq!(backoff.next_delay(LEAST), Duration::from_secs(30));
    }

    #[test]
    fn delay_after_a_reset_is_a_first_delay() {
        let mut backoff = Backoff::new();
        backoff.next_delay(MOST);
        backoff.next_delay(MOST);
        backoff.reset();
        assert_eq!(backoff.next_delay(LEAST), Duration::ZERO);
    }

    #[test]
    fn lower_of_two_contradicting_bounds_holds() {
        let mut backoff = Backoff::with_bounds(Duration::from_secs(9), Duration::from_secs(1));
        assert!(backoff.next_delay(MOST) < Duration::from_secs(1));
        assert_eq!(backoff.next_delay(LEAST), Duration::from_millis(500));
        let mut endless = Backoff::with_bounds(Duration::MAX, Duration::MAX);
        endless.next_delay(LEAST);
        assert_eq!(endless.next_delay(LEAST), Duration::MAX / 2);
    }

    #[test]
    fn delay_is_not_shorter_than_the_server_asks_and_spread_behind_it() {
        let minute = Duration::from_secs(60);
        for random in [0, u64::MAX] {
            let delay = Backoff::new().next_delay_after(minute, random);
            assert!(delay >= minute && delay < minute + Duration::from_secs(5));
        }
        let own = Backoff::new().next_delay_after(Duration::ZERO, u64::MAX);
        assert_eq!(own, Backoff::new().next_delay(MOST));
    }
}
