//! What an app has done and has now, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counts of one app. Those that are totals only grow, from the start of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppCounts {
    /// The id of the app.
    pub app: String,
    /// Open connections now.
    pub connections: u64,
    /// Channels with subscribers now.
    pub channels: u64,
    /// Events of the present period, which [`AppLimits::messages_max`](crate::AppLimits) limits.
    pub messages_in_period: u64,
    /// Total: connections that were refused, whatever the reason.
    pub connections_refused: u64,
    /// Total: subscriptions that began.
    pub subscriptions: u64,
    /// Total: subscriptions that were refused.
    pub subscriptions_refused: u64,
    /// Total: events of the HTTP API, one for each channel.
    pub events: u64,
    /// Total: events of clients for other clients.
    pub client_events: u64,
    /// Total: events of clients that were refused.
    pub client_events_refused: u64,
    /// Total: requests of the HTTP API that were refused, whatever the reason.
    pub requests_refused: u64,
    /// Total: events of webhooks that the web server has taken.
    pub webhook_events_sent: u64,
    /// Total: requests of webhooks that got no 2xx, or no response. Each repetition counts.
    pub webhook_requests_failed: u64,
    /// Total: events of webhooks that the web server has not taken for five minutes.
    pub webhook_events_given_up: u64,
    /// Total: events of webhooks that found no room in the queue.
    pub webhook_events_discarded: u64,
}

/// The totals, as the workers count them.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) connections_refused: Total,
    pub(crate) subscriptions: Total,
    pub(crate) subscriptions_refused: Total,
    pub(crate) events: Total,
    pub(crate) client_events: Total,
    pub(crate) client_events_refused: Total,
    pub(crate) requests_refused: Total,
}

/// One total.
#[derive(Debug, Default)]
pub(crate) struct Total(AtomicU64);

impl Total {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
