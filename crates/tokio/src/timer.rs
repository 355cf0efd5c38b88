//! Time, as a runtime gives it: [`Timer`].
//!
//! A connection has one timer at a time: a future that the runtime wakes when the next deadline has come. It is made anew
//! when it has fired, or when a deadline comes earlier; a message does not touch it.

use std::fmt;
use std::future::{self, Future};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use yamabiko::time::Timestamp;

/// A future that is ready when a duration is over.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The clock and the timers of a runtime. The default: tokio's, which needs a runtime with
/// [`enable_time`](tokio::runtime::Builder::enable_time).
///
/// ```
/// use yamabiko_tokio::Timer;
/// # mod async_io { pub struct Timer; impl Timer {
/// #     pub fn after(_: std::time::Duration) -> impl Future<Output = std::time::Instant> {
/// #         std::future::ready(std::time::Instant::now())
/// #     }
/// # } }
///
/// // For smol and async-std:
/// let timer = Timer::new(|duration| Box::pin(async move { _ = async_io::Timer::after(duration).await }));
/// # let _ = timer;
/// ```
#[derive(Clone, Copy)]
pub struct Timer {
    now: fn() -> Instant,
    sleep: fn(Duration) -> Sleep,
}

impl Timer {
    /// The timers of another runtime, with the clock of the standard library.
    pub const fn new(sleep: fn(Duration) -> Sleep) -> Timer {
        Timer {
            now: Instant::now,
            sleep,
        }
    }

    /// The timers of tokio, and its clock, which a test can move.
    pub const fn tokio() -> Timer {
        Timer {
            now: || tokio::time::Instant::now().into_std(),
            sleep: |duration| Box::pin(tokio::time::sleep(duration)),
        }
    }

    #[cfg(feature = "client")]
    pub(crate) fn sleep(self, duration: Duration) -> Sleep {
        (self.sleep)(duration)
    }

    /// The result of `future`, or `None` when `limit` is over before it is ready.
    pub(crate) async fn within<F: Future>(self, limit: Duration, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        let mut sleep = (self.sleep)(limit);
        future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
        })
        .await
    }
}

impl Default for Timer {
    fn default() -> Timer {
        Timer::tokio()
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Timer")
    }
}

/// The time since a connection was made, and its timer.
pub(crate) struct Clock {
    timer: Timer,
    epoch: Instant,
    /// The timer that runs, and when it fires.
    sleep: Option<(Timestamp, Sleep)>,
}

impl Clock {
    /// Its epoch is now.
    pub(crate) fn start(timer: Timer) -> Clock {
        Clock {
            timer,
            epoch: (timer.now)(),
            sleep: None,
        }
    }

    /// Rounded down: a deadline is never taken to have come before it has.
    pub(crate) fn now(&self) -> Timestamp {
        let millis = (self.timer.now)().duration_since(self.epoch).as_millis();
        Timestamp(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// Ready when `at` has come, or a little earlier: then ask again. Cost: nothing is
    /// allocated while `at` only moves back.
    pub(crate) fn poll_until(
        &mut self,
        at: Timestamp,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<()> {
        let fires_too_late = |(fires_at, _): &(Timestamp, Sleep)| *fires_at > at;
        if self.sleep.as_ref().is_none_or(fires_too_late) {
            let wait = at.since(self.now());
            self.sleep = Some((at, (self.timer.sleep)(wait)));
        }
        if let Some((_, sleep)) = &mut self.sleep {
            std::task::ready!(sleep.as_mut().poll(cx));
        }
        self.sleep = None;
        Poll::Ready(())
    }
}
