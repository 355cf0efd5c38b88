//! Webhooks: what happens in an app's channels, sent to the app's web server by HTTP.
//!
//! ```text
//!   workers ──▶ queue, bounded ──▶ a thread for each webhook: waits for what may be undone ──▶ POST, signed
//!                                                                                        ▲      │ not 2xx
//!                                                                                        └──────┘ again, later and later
//! ```
//!
//! A worker only puts an event into the queue. It never waits: an event that finds no room is discarded and counted. So a web server
//! that hangs costs the bytes of a full queue.
//!
//! | file | content |
//! |---|---|
//! | `target.rs` | the settings of a webhook |
//! | `event.rs` | the events as types |
//! | `queue.rs` | the queue between workers and thread |
//! | `undoing.rs` | vacated channels and removed members wait whether they come back |
//! | `sender.rs` | the thread: batches, requests, repetition |

mod event;
mod queue;
mod sender;
mod target;
mod undoing;

pub(crate) use event::WebhookEvent;
pub(crate) use queue::WebhookCounts;
pub use target::{InvalidWebhook, Webhook, WebhookKind};

use std::io;
use std::sync::Arc;

use crate::signature::Secret;
use queue::Queue;

/// The webhooks of one app.
#[derive(Debug)]
pub(crate) struct Webhooks {
    of_targets: Vec<(Webhook, Arc<Queue>)>,
}

impl Webhooks {
    pub(crate) fn new(targets: &[Webhook]) -> Webhooks {
        let queue = |target: &Webhook| (target.clone(), Arc::new(Queue::new()));
        Webhooks {
            of_targets: targets.iter().map(queue).collect(),
        }
    }

    /// Starts the threads. They end with the app.
    ///
    /// # Errors
    /// The system has no thread.
    pub(crate) fn start(&self, key: &str, secret: &Secret) -> io::Result<()> {
        for (target, queue) in &self.of_targets {
            sender::start(
                target.clone(),
                key.to_owned(),
                secret.clone(),
                queue.clone(),
            )?;
        }
        Ok(())
    }

    /// Something of this kind has happened. Never waits. `event` is called if a webhook wants it.
    pub(crate) fn report(&self, kind: WebhookKind, event: impl FnOnce() -> WebhookEvent) {
        let mut queues = self
            .of_targets
            .iter()
            .filter(|(target, _)| target.wants(kind))
            .map(|(_, queue)| queue);
        if let Some(first) = queues.next() {
            let event = event();
            queues.for_each(|queue| queue.push(event.clone()));
            first.push(event);
        }
    }

    pub(crate) fn counts(&self) -> WebhookCounts {
        let mut sum = WebhookCounts::default();
        for (_, queue) in &self.of_targets {
            let counts = queue.counts();
            sum.sent += counts.sent;
            sum.given_up += counts.given_up;
            sum.discarded += counts.discarded;
        }
        sum
    }
}

impl Drop for Webhooks {
    fn drop(&mut self) {
        self.of_targets.iter().for_each(|(_, queue)| queue.close());
    }
}
