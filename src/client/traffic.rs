//! What observes the bytes of a connection.

use std::fmt;
use std::sync::Arc;

use crate::traffic::Traffic;

/// What is called for them, if anything.
#[derive(Clone, Default)]
pub(super) struct TrafficObserver(Option<Arc<Observe>>);

type Observe = dyn Fn(Traffic<'_>) + Send + Sync;

impl TrafficObserver {
    pub(super) fn new(observe: impl Fn(Traffic<'_>) + Send + Sync + 'static) -> TrafficObserver {
        TrafficObserver(Some(Arc::new(observe)))
    }

    pub(super) fn observe(&self, traffic: Traffic<'_>) {
        if let Some(observe) = &self.0 {
            observe(traffic);
        }
    }
}

impl fmt::Debug for TrafficObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.0.is_some() { "set" } else { "none" };
        f.write_str(text)
    }
}
