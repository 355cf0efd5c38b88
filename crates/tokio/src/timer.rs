//! Time, as a runtime gives it: [`Timer`].
//!
//! A connection has one timer at a time: a future that the runtime wakes when the next deadline has come. It is made anew
//! when it has fired, or when a deadline comes earlier. A message does not touch it: while the same task waits and the
//! timer cannot have fired, the timer is not polled.

use std::fmt;
use std::future::{self, Future};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use yamabiko::time::Timestamp;

/// A future that is ready when a duration is over, and not earlier.
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
    running: Option<Running>,
}

/// A timer that has been polled, and was not ready.
struct Running {
    fires_at: Timestamp,
    sleep: Sleep,
    /// The task that it wakes.
    wakes: Waker,
}

impl Clock {
    /// Its epoch is now.
    pub(crate) fn start(timer: Timer) -> Clock {
        Clock {
            timer,
            epoch: (timer.now)(),
            running: None,
        }
    }

    /// Rounded down: a deadline is never taken to have come before it has.
    pub(crate) fn now(&self) -> Timestamp {
        let millis = (self.timer.now)().duration_since(self.epoch).as_millis();
        Timestamp(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// Ready when `at` has come, or a little earlier: then ask again. `now`: the time now.
    /// Cost: nothing is allocated, and the timer is not polled, while `at` only moves back.
    pub(crate) fn poll_until(
        &mut self,
        at: Timestamp,
        now: Timestamp,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        match &mut self.running {
            Some(running) if running.fires_at <= at => {
                if now < running.fires_at && running.wakes.will_wake(cx.waker()) {
                    return Poll::Pending;
                }
                running.wakes.clone_from(cx.waker());
            }
            _ => {
                self.running = Some(Running {
                    fires_at: at,
                    sleep: (self.timer.sleep)(at.since(now)),
                    wakes: cx.waker().clone(),
                });
            }
        }
        if let Some(running) = &mut self.running {
            ready!(running.sleep.as_mut().poll(cx));
        }
        self.running = None;
        Poll::Ready(())
    }
}
