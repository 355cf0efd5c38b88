//! The thread of a webhook: batches of events, requests, and their repetition.
//!
//! A request that gets no 2xx, or no answer in ten seconds, is sent again: after one second, two, four and so on, for five minutes.
//! Then its events are given up. Events that come meanwhile wait in the queue.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::diagnostics::{self, RequestFailed, Why};
use super::event::WebhookEvent;
use super::queue::{Queue, Taken};
use super::target::{InvalidWebhook, Webhook};
use super::undoing::Undoing;
use crate::signature::Secret;
use crate::wire::json;

/// The body of a request.
#[derive(Serialize)]
struct Body<'a> {
    time_ms: u64,
    events: &'a [WebhookEvent],
}

/// What the thread has.
pub(super) struct Sender {
    target: Webhook,
    app: String,
    key: String,
    secret: Secret,
    queue: Arc<Queue>,
    undoing: Undoing,
    agent: ureq::Agent,
}

/// The HTTP client of a webhook.
///
/// # Errors
/// [`InvalidWebhook::Authorities`]: it needs TLS, and this machine trusts no authority.
pub(super) fn agent(target: &Webhook) -> Result<ureq::Agent, InvalidWebhook> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(REQUEST_TIMEOUT))
        .max_redirects(0)
        .http_status_as_error(false)
        .user_agent(concat!("yamabiko/", env!("CARGO_PKG_VERSION")));
    #[cfg(feature = "tls")]
    let config = match target.trusted() {
        Some(authorities) => {
            config.tls_config(authorities.tls().map_err(InvalidWebhook::Authorities)?)
        }
        None => config,
    };
    #[cfg(not(feature = "tls"))]
    let _ = target;
    Ok(config.build().into())
}

impl Sender {
    pub(super) fn new(
        target: Webhook,
        agent: ureq::Agent,
        app: String,
        key: String,
        secret: Secret,
        queue: Arc<Queue>,
    ) -> Sender {
        Sender {
            target,
            app,
            key,
            secret,
            queue,
            undoing: Undoing::default(),
            agent,
        }
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread.
    pub(super) fn start(mut self) -> io::Result<()> {
        let thread = thread::Builder::new().name("pusher-webhook".to_owned());
        thread.spawn(move || self.run()).map(drop)
    }

    fn run(&mut self) {
        while let Some(batch) = self.next_batch() {
            if !self.deliver(&batch) {
                return;
            }
        }
    }

    /// The events of the next request. `None`: there will be none.
    fn next_batch(&mut self) -> Option<Vec<WebhookEvent>> {
        let mut batch = vec![self.next_event(None)??];
        if !self.target.is_batched() {
            return Some(batch);
        }
        let end = Instant::now() + BATCH_TIME;
        while batch.len() < BATCH_EVENTS_MAX {
            match self.next_event(Some(end)) {
                Some(Some(event)) => batch.push(event),
                // The time is over, or the queue is closed: what is there is sent.
                _ => break,
            }
        }
        Some(batch)
    }

    /// The next event that is to be told, until this time. `Some(None)`: none has come. `None`: none will come.
    fn next_event(&mut self, until: Option<Instant>) -> Option<Option<WebhookEvent>> {
        loop {
            let now = Instant::now();
            if let Some(event) = self.undoing.take_due(now) {
                return Some(Some(event));
            }
            // Ends that wait have a bound, too: beyond it no further events are taken.
            if self.undoing.is_full() {
                let due = self.undoing.next_due().unwrap_or(now);
                if self.queue.pause(due.saturating_duration_since(now)) {
                    return None;
                }
                continue;
            }
            let next = [until, self.undoing.next_due()];
            match self.queue.take(next.into_iter().flatten().min()) {
                Taken::Closed => return None,
                Taken::Event(event, teller) => {
                    if let Some(event) = self.undoing.pass(event, teller, Instant::now()) {
                        return Some(Some(event));
                    }
                }
                Taken::Nothing if until.is_some_and(|until| until <= Instant::now()) => {
                    return Some(None);
                }
                Taken::Nothing => {}
            }
        }
    }

    /// Sends a batch until it is taken or given up. False: the queue is closed.
    fn deliver(&self, batch: &[WebhookEvent]) -> bool {
        let mut repetition = Repetition::new(Instant::now());
        while let Err(why) = self.send(batch) {
            self.queue.count_failed_request();
            let next_pause = repetition.next_pause(Instant::now());
            diagnostics::request_failed(&RequestFailed {
                app: &self.app,
                host: self.target.host(),
                why: &why,
                events: batch.len(),
                attempts: repetition.attempts,
                next_pause,
            });
            let Some(pause) = next_pause else {
                self.queue.count_given_up(batch.len());
                return true;
            };
            if self.queue.pause(pause) {
                return false;
            }
        }
        self.queue.count_sent(batch.len());
        true
    }

    /// Sends a batch once.
    ///
    /// # Errors
    /// The web server has not taken it.
    fn send(&self, batch: &[WebhookEvent]) -> Result<(), Why> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let time_ms = since.map_or(0, |since| since.as_millis());
        let body = json(&Body {
            time_ms: u64::try_from(time_ms).unwrap_or(u64::MAX),
            events: batch,
        });
        let request = self
            .agent
            .post(self.target.url())
            .content_type("application/json")
            .header("X-Pusher-Key", &self.key)
            .header("X-Pusher-Signature", self.secret.sign(&[&body]));
        let mut response = request.send(&body).map_err(|error| why(&error))?;
        // A body that was read to its end leaves the connection to the next request.
        let body = response.body_mut().with_config();
        let _ = body.limit(RESPONSE_BYTES_MAX).read_to_vec();
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(Why::Status(status.as_u16())),
        }
    }
}

/// An error of the HTTP client, without the URL: it may have a password.
fn why(error: &ureq::Error) -> Why {
    Why::Error(match error {
        ureq::Error::BadUri(_) => "the URL cannot be used".to_owned(),
        ureq::Error::Timeout(_) => format!("no response in {} s", REQUEST_TIMEOUT.as_secs()),
        ureq::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    })
}

/// When a request is sent again. The time is an input.
#[derive(Debug)]
struct Repetition {
    began: Instant,
    /// Requests that have failed.
    attempts: u32,
    next_pause: Duration,
}

impl Repetition {
    fn new(now: Instant) -> Repetition {
        Repetition {
            began: now,
            attempts: 0,
            next_pause: FIRST_PAUSE,
        }
    }

    /// The request has failed: how long to wait. `None`: it is given up.
    fn next_pause(&mut self, now: Instant) -> Option<Duration> {
        self.attempts += 1;
        let pause = self.next_pause;
        self.next_pause *= 2;
        let again_after = now.duration_since(self.began) + pause;
        (again_after <= GIVEN_UP_AFTER).then_some(pause)
    }
}

/// How long events are collected, and how many, for one request.
const BATCH_TIME: Duration = Duration::from_millis(250);
const BATCH_EVENTS_MAX: usize = 20;
/// For the whole request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Of the body of a response: a longer one costs the next request a new connection.
const RESPONSE_BYTES_MAX: u64 = 16 << 10;
/// The pause before the first repetition; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Then the events are given up.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(5 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_is_repeated_after_longer_and_longer_pauses_for_five_minutes() {
        let mut now = Instant::now();
        let mut repetition = Repetition::new(now);
        let mut pauses = Vec::new();
        while let Some(pause) = repetition.next_pause(now) {
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128]);
        assert_eq!(repetition.attempts, 9);
    }

    #[test]
    fn repetition_at_five_minutes_is_made_and_one_past_them_is_not() {
        let start = Instant::now();
        let failed_at = |millis| {
            let mut repetition = Repetition::new(start);
            repetition.next_pause(start + Duration::from_millis(millis))
        };
        assert_eq!(failed_at(299_000), Some(FIRST_PAUSE));
        assert_eq!(failed_at(299_001), None);
    }
}
