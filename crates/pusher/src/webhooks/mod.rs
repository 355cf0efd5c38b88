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
//! | `authorities.rs` | which web servers are trusted over https |
//! | `event.rs` | the events as types |
//! | `queue.rs` | the queue between workers and thread |
//! | `undoing.rs` | vacated channels and removed members wait whether they come back |
//! | `sender.rs` | the thread: batches, requests, repetition |
//! | `diagnostics.rs` | what the program's log is told |

#[cfg(feature = "tls")]
mod authorities;
mod diagnostics;
mod event;
mod queue;
mod sender;
mod target;
mod undoing;

pub(crate) use event::WebhookEvent;
pub(crate) use queue::{Teller, WebhookCounts};
pub use target::{InvalidWebhook, Webhook, WebhookKind};

use std::io;
use std::sync::Arc;

use crate::signature::Secret;
use queue::Queue;

/// What one request of a webhook costs, where work is counted in bytes: a thousand of them are what one connection may cause at
/// once.
pub(crate) const WEBHOOK_REQUEST_BYTES: usize = 4 << 10;

/// The webhooks of one app.
#[derive(Debug)]
pub(crate) struct Webhooks {
    all: Vec<Running>,
}

/// One webhook.
#[derive(Debug)]
struct Running {
    target: Webhook,
    agent: ureq::Agent,
    queue: Arc<Queue>,
}

impl Webhooks {
    /// # Errors
    /// [`InvalidWebhook::Authorities`]: this machine trusts no authority, and one of them needs some.
    pub(crate) fn new(targets: &[Webhook]) -> Result<Webhooks, InvalidWebhook> {
        let running = |target: &Webhook| {
            Ok(Running {
                agent: sender::agent(target)?,
                target: target.clone(),
                queue: Arc::new(Queue::new()),
            })
        };
        Ok(Webhooks {
            all: targets.iter().map(running).collect::<Result<_, _>>()?,
        })
    }

    /// Starts the threads, for the app with this id and key. They end with the app.
    ///
    /// # Errors
    /// The system has no thread.
    pub(crate) fn start(&self, id: &str, key: &str, secret: &Secret) -> io::Result<()> {
        for running in &self.all {
            let sender = sender::Sender::new(
                running.target.clone(),
                running.agent.clone(),
                id.to_owned(),
                key.to_owned(),
                secret.clone(),
                running.queue.clone(),
            );
            sender.start()?;
        }
        Ok(())
    }

    /// Something of this kind has happened. Never waits. `event` is called if a webhook wants it. Returns how many want it.
    pub(crate) fn report(&self, kind: WebhookKind, event: impl FnOnce() -> WebhookEvent) -> usize {
        self.report_by(Teller::This, kind, event)
    }

    /// The same, if another node of the cluster may tell the web server.
    pub(crate) fn report_by(
        &self,
        teller: Teller,
        kind: WebhookKind,
        event: impl FnOnce() -> WebhookEvent,
    ) -> usize {
        let wanting = || self.all.iter().filter(|running| running.target.wants(kind));
        let count = wanting().count();
        if count > 0 {
            let event = event();
            wanting().for_each(|running| running.queue.push(event.clone(), teller));
        }
        count
    }

    pub(crate) fn counts(&self) -> WebhookCounts {
        let mut sum = WebhookCounts::default();
        for running in &self.all {
            let counts = running.queue.counts();
            sum.sent += counts.sent;
            sum.requests_failed += counts.requests_failed;
            sum.given_up += counts.given_up;
            sum.discarded += counts.discarded;
        }
        sum
    }
}

impl Drop for Webhooks {
    fn drop(&mut self) {
        self.all.iter().for_each(|running| running.queue.close());
    }
}
