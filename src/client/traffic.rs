//! The bytes of a connection, for a program that shows them.

use std::fmt;
use std::sync::Arc;

/// Bytes on their way between client and server; of a TLS connection those inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Traffic<'a> {
    /// The kernel has taken them.
    Sent(&'a [u8]),
    /// They have come.
    Received(&'a [u8]),
}

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
