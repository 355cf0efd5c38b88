//! What webhooks report to the program's log: through `tracing`, with the feature of that name. Without it the functions are empty.
//!
//! | name of the event | level | when |
//! |---|---|---|
//! | `webhook_failed` | warn | a request got no 2xx, or no response; or its events are given up |
//!
//! The target is `yamabiko`. The web server is named by host and port: the rest of its URL may be secret. There is one event for each
//! failed request, and a request follows the one that failed after a second or more: so a webhook reports at most once in a second.

use std::time::Duration;

/// A request that has failed.
#[cfg_attr(not(feature = "tracing"), allow(dead_code))]
pub(super) struct RequestFailed<'a> {
    /// The id of the app.
    pub(super) app: &'a str,
    pub(super) host: &'a str,
    pub(super) why: &'a Why,
    /// In the request.
    pub(super) events: usize,
    /// Requests with these events so far.
    pub(super) attempts: u32,
    /// Until the next one. `None`: the events are given up.
    pub(super) next_pause: Option<Duration>,
}

/// Why it has failed.
#[cfg_attr(not(feature = "tracing"), allow(dead_code))]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The status of the response.
    Status(u16),
    /// There was no response.
    Error(String),
}

pub(super) fn request_failed(failed: &RequestFailed<'_>) {
    #[cfg(feature = "tracing")]
    {
        let (status, error) = match failed.why {
            Why::Status(status) => (Some(*status), None),
            Why::Error(error) => (None, Some(&**error)),
        };
        macro_rules! failed {
            ($message:literal) => {
                tracing::event!(
                    name: "webhook_failed", target: "yamabiko", tracing::Level::WARN,
                    app = failed.app, host = failed.host, status, error, events = failed.events,
                    attempts = failed.attempts,
                    next_after_seconds = failed.next_pause.map(|pause| pause.as_secs()),
                    $message
                )
            };
        }
        match failed.next_pause {
            Some(_) => failed!("webhook failed, it is sent again"),
            None => failed!("webhook failed, its events are given up"),
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = failed;
}
