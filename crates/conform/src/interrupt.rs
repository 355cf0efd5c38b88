//! Ending a run early, from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends a run early: from another thread, or from a signal handler. Clones are the same
/// interrupt. Connections that are open are finished; the other cases are reported as not
/// run.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// An interrupt that has not been raised.
    pub fn new() -> Interrupt {
        Interrupt::default()
    }

    /// Ends the runs that have this interrupt.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has been raised.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
