//! Wakes the load's threads whenever a message of an open loop is due.
//!
//! A reactor sleeps in whole milliseconds, and that rounding would end up in the
//! latencies. This thread sleeps to within some 60 µs and wakes the others by their
//! mailboxes. Its own delay is measured (`send_delay`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use yamabiko::reactor::Mailbox;

use super::commands::Command;
use super::error::Error;
use super::time::{Clock, Schedule, Timeline};

/// Wakes the threads until it is dropped or the time is over.
pub(super) struct Pacer {
    stopped: Arc<AtomicBool>,
}

/// A thread of the load, and whether a tick is in flight to it.
pub(super) type PacedThread = (Mailbox<Command>, Arc<AtomicBool>);

impl Pacer {
    /// # Errors
    /// No thread.
    pub(super) fn start(
        clock: Clock,
        schedule: Schedule,
        timeline: Timeline,
        threads: Vec<PacedThread>,
    ) -> Result<Pacer, Error> {
        let stopped = Arc::new(AtomicBool::new(false));
        let pacer = Pacer {
            stopped: Arc::clone(&stopped),
        };
        let pace = move || {
            let mut now_ns = timeline.start_ns;
            while now_ns < timeline.to_ns && !stopped.load(Ordering::Relaxed) {
                threads.iter().for_each(wake);
                let next_ns = schedule.next_ns(now_ns).min(timeline.to_ns);
                thread::sleep(clock.until(next_ns));
                now_ns = clock.now_ns().max(next_ns);
            }
        };
        thread::Builder::new()
            .name("pacer".to_owned())
            .spawn(pace)
            .map_err(Error::Thread)?;
        Ok(pacer)
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// A thread that has not handled the previous tick needs no second one: it sends all messages
/// that are due when it handles it.
fn wake((mailbox, waits): &PacedThread) {
    if !waits.swap(true, Ordering::Relaxed) && mailbox.send(Command::Tick).is_err() {
        waits.store(false, Ordering::Relaxed);
    }
}
