//! Saying something in a room from outside every connection: a price feed, a
//! job that is done, a message that came by another way.

use super::compressor::is_worth_it;
use super::mail::Mailboxes;
use super::publication::Published;
use super::rooms::home;
use crate::websocket::Message;
use crate::websocket::deflate::DeflateConfig;
use std::fmt;

/// Publishes from any thread of the program. Cheap to clone.
///
/// ```
/// use yamabiko::server::{Message, Publisher};
///
/// fn announce(publisher: &Publisher, price: u32) {
///     if publisher.publish("prices", Message::Text(&price.to_string())).is_err() {
///         eprintln!("the server is behind; this price is left out");
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Publisher {
    mailboxes: Mailboxes,
    deflate: Option<DeflateConfig>,
}

/// The message was not published: the room's worker has not fetched its mail
/// yet, and that is [`Config::mailbox_capacity`](super::Config) messages or
/// more than `worker_backlog_bytes_max` bytes. Nothing was lost on the way; try again,
/// or leave this one out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxFull;

impl Publisher {
    pub(super) fn new(mailboxes: Mailboxes, deflate: Option<DeflateConfig>) -> Publisher {
        Publisher { mailboxes, deflate }
    }

    /// Says something to everyone in the room, on all workers. The messages of
    /// one thread keep their order, and all members get the room's in the same.
    ///
    /// Cost: one copy, a lock, and a wake-up of the room's worker if it sleeps.
    ///
    /// # Errors
    /// [`MailboxFull`]: the worker does not keep up.
    pub fn publish(&self, room: &str, message: Message<'_>) -> Result<(), MailboxFull> {
        let compressible = is_worth_it(self.deflate.as_ref(), message.as_bytes().len());
        let published = Published::new(room, message, None, compressible);
        let home = home(room, self.mailboxes.workers());
        match self.mailboxes.publish(home, published) {
            true => Ok(()),
            false => Err(MailboxFull),
        }
    }
}

impl fmt::Display for MailboxFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the room's worker does not keep up with its mail")
    }
}

impl std::error::Error for MailboxFull {}
