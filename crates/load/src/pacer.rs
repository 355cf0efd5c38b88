//! The drummer of an open loop: wakes the load's threads whenever a message is
//! due.
//!
//! A reactor sleeps in whole milliseconds, and a message that waits for the next
//! of them would have its latency spoilt by the load itself. This thread sleeps
//! to some 60 µs and wakes the others by their mailboxes. What it is late is
//! measured (`send_delay`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use yamabiko::reactor::Mailbox;

use super::error::Error;
use super::orders::Order;
use super::time::{Clock, Schedule, Timeline};

/// Drums until it is dropped, or the time is over.
pub(super) struct Pacer {
    stopped: Arc<AtomicBool>,
}

/// A load's thread, and whether a beat is on its way to it.
pub(super) type Drummed = (Mailbox<Order>, Arc<AtomicBool>);

impl Pacer {
    /// # Errors
    /// No thread.
    pub(super) fn start(
        clock: Clock,
        schedule: Schedule,
        timeline: Timeline,
        threads: Vec<Drummed>,
    ) -> Result<Pacer, Error> {
        let stopped = Arc::new(AtomicBool::new(false));
        let pacer = Pacer {
            stopped: Arc::clone(&stopped),
        };
        let drum = move || {
            let mut now_ns = timeline.start_ns;
            while now_ns < timeline.to_ns && !stopped.load(Ordering::Relaxed) {
                threads.iter().for_each(beat);
                let next_ns = schedule.next_ns(now_ns).min(timeline.to_ns);
                thread::sleep(clock.until(next_ns));
                now_ns = clock.now_ns().max(next_ns);
            }
        };
        thread::Builder::new()
            .name("pacer".to_owned())
            .spawn(drum)
            .map_err(Error::Thread)?;
        Ok(pacer)
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// Whether this beat finds its thread or the one before it still waits there
/// comes to the same: the thread sends all that is due.
fn beat((mailbox, waits): &Drummed) {
    if !waits.swap(true, Ordering::Relaxed) && mailbox.post(Order::Tick).is_err() {
        waits.store(false, Ordering::Relaxed);
    }
}
