//! Ending a run early, from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends a run early: from another thread, or from a signal handler. Clones are the same
/// interrupt.
///
/// The measurements until then are reported, with
/// [`cut_short`](crate::Report::cut_short) set. The run notices within 50 ms, and then
/// still waits for the messages in flight.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// An interrupt that has not been raised.
    pub fn new() -> Interrupt {
        Interrupt::default()
    }

    /// Ends the runs that have this interrupt. A later run ends as soon as it begins. A second
    /// call has no effect.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has been raised.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
