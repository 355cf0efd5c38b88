//! Publishing from outside every connection: a price feed, a finished job, a message that came another way.

use super::rooms::SharedMessage;
use super::rooms::encoding::is_compressible;
use super::workers::Workers;
use crate::websocket::AsMessage;
use crate::websocket::deflate::DeflateConfig;
use std::fmt;

/// Publishes from any thread of the program. Cheap to clone.
///
/// ```
/// use yamabiko::server::Publisher;
///
/// fn announce(publisher: &Publisher, price: u32) {
///     if publisher.publish("prices", price.to_string()).is_err() {
///         eprintln!("the server is behind; this price is left out");
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Publisher {
    workers: Workers,
    deflate: Option<DeflateConfig>,
}

/// The message was not published: the worker that owns the room has not taken
/// [`Config::mailbox_capacity`](super::Config) cross-worker messages yet, or more than
/// `worker_backlog_bytes_max` bytes of them. Nothing is lost on the way: try again, or leave this message out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotPublished;

impl Publisher {
    pub(super) fn new(workers: Workers, deflate: Option<DeflateConfig>) -> Publisher {
        Publisher { workers, deflate }
    }

    /// Publishes a message to all subscribers of a room, on all workers. The messages of
    /// one thread keep their order, and all subscribers get the room's messages in the same order.
    ///
    /// Cost: one copy, a lock, and a wake-up of the worker that owns the room if it sleeps.
    ///
    /// # Errors
    /// [`NotPublished`]: that worker does not keep up.
    pub fn publish(&self, room: &str, message: impl AsMessage) -> Result<(), NotPublished> {
        let message = message.as_message();
        let compressible = is_compressible(self.deflate.as_ref(), message.as_bytes().len());
        let message = SharedMessage::new(room, message, None, compressible);
        match self.workers.publish(message) {
            true => Ok(()),
            false => Err(NotPublished),
        }
    }
}

impl fmt::Display for NotPublished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the worker that owns the room does not keep up with its messages")
    }
}

impl std::error::Error for NotPublished {}
