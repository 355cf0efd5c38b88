//! Publishing from outside every connection: a price feed, a finished job, a message that came another way.

use super::connection_handle::ConnectionHandle;
use super::connection_id::ConnectionId;
use super::direct::{DirectAction, DirectRequest};
use super::receipt::Receipt;
use super::rooms::encoding::is_compressible;
use super::rooms::{Reach, RoomCensus, SharedMessage};
use super::workers::Workers;
use crate::websocket::deflate::DeflateConfig;
use crate::websocket::{AsMessage, CloseFrame, Message};
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
    census: RoomCensus,
}

/// The message was not published: the worker that owns the room has not taken
/// [`Config::mailbox_capacity`](super::Config) cross-worker messages yet, or more than
/// `worker_backlog_bytes_max` bytes of them. Nothing is lost on the way: try again, or leave this message out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotPublished;

impl Publisher {
    pub(super) fn new(
        workers: Workers,
        deflate: Option<DeflateConfig>,
        census: RoomCensus,
    ) -> Publisher {
        Publisher {
            workers,
            deflate,
            census,
        }
    }

    /// Publishes a message to all subscribers of a room, on all workers. The messages of
    /// one thread keep their order, and all subscribers get the room's messages in the same order.
    ///
    /// Cost: one copy, a lock, and a wake-up of the worker that owns the room if it sleeps.
    ///
    /// # Errors
    /// [`NotPublished`]: that worker does not keep up.
    pub fn publish(&self, room: &str, message: impl AsMessage) -> Result<(), NotPublished> {
        let message = self.shared(room, message.as_message(), None);
        published(self.workers.publish(message))
    }

    /// As [`Publisher::publish`], to all subscribers but one connection: for a request that the client of that connection has
    /// made another way, and that knows its result already.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub fn publish_except(
        &self,
        room: &str,
        message: impl AsMessage,
        except: ConnectionId,
    ) -> Result<(), NotPublished> {
        let message = self.shared(room, message.as_message(), Some(except));
        published(self.workers.publish(message))
    }

    /// As [`Publisher::publish`]; the receipt tells how many subscribers the message was published to, on all workers. Each of
    /// them gets it unless its connection ends before, or its lag policy lets it skip messages.
    ///
    /// ```
    /// use yamabiko::server::{NotPublished, Publisher};
    ///
    /// /// Calls a device that subscribes to a room of its own name. False: it is not connected.
    /// fn call(publisher: &Publisher, device: &str) -> Result<bool, NotPublished> {
    ///     let reached = publisher.publish_counted(device, "call home")?.wait();
    ///     Ok(reached > 0)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub fn publish_counted(
        &self,
        room: &str,
        message: impl AsMessage,
    ) -> Result<Receipt<u64>, NotPublished> {
        let (reach, receipt) = Reach::new();
        let message = self.shared(room, message.as_message(), None);
        published(self.workers.publish(message.counted_by(reach)))?;
        Ok(receipt)
    }

    /// How many connections subscribe to a room, on all workers. `None`: nobody counts them
    /// ([`Config::count_subscribers`](super::Config)). Cost: a lock that all workers share.
    pub fn subscribers(&self, room: &str) -> Option<usize> {
        self.census.members(room)
    }

    /// A handle for one connection. It does nothing for a connection that has ended.
    pub fn connection(&self, id: ConnectionId) -> ConnectionHandle {
        ConnectionHandle::new(id, self.workers.clone())
    }

    /// Publishes all of these messages, or none of them. Cost: as [`Publisher::publish`] for each, with a lock and a wake-up for
    /// each owner of a room.
    ///
    /// ```
    /// use yamabiko::server::{Message, NotPublished, Publication, Publisher};
    ///
    /// fn announce(publisher: &Publisher, price: &str) -> Result<(), NotPublished> {
    ///     publisher.publish_all(["prices", "archive"].map(|room| Publication {
    ///         room,
    ///         message: Message::Text(price),
    ///         except: None,
    ///     }))
    /// }
    /// ```
    ///
    /// # Errors
    /// [`NotPublished`]: the worker that owns one of the rooms does not keep up. None of the messages was published.
    pub fn publish_all<'m>(
        &self,
        publications: impl IntoIterator<Item = Publication<'m>>,
    ) -> Result<(), NotPublished> {
        let shared = |publication: Publication<'m>| {
            self.shared(publication.room, publication.message, publication.except)
        };
        let messages = publications.into_iter().map(shared).collect();
        published(self.workers.publish_all(messages))
    }

    /// Closes a connection, as [`Context::close`](super::Context::close) does. Does nothing if it has ended. This call does not
    /// wait. [`ConnectionHandle::close`] also tells the result.
    ///
    /// # Errors
    /// [`NotPublished`]: the worker that has the connection does not keep up, and the connection stays open.
    pub fn close<'f>(
        &self,
        connection: ConnectionId,
        close: impl Into<CloseFrame<'f>>,
    ) -> Result<(), NotPublished> {
        let action = DirectAction::Close(close.into().into_owned());
        let (request, _) = DirectRequest::new(connection, action);
        published(self.workers.request(request).is_ok())
    }

    fn shared(
        &self,
        room: &str,
        message: Message<'_>,
        except: Option<ConnectionId>,
    ) -> SharedMessage {
        let compressible = is_compressible(self.deflate.as_ref(), message.as_bytes().len());
        SharedMessage::new(room, message, except, compressible)
    }
}

/// One of several messages that are published together.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'m> {
    /// The room that it is published to.
    pub room: &'m str,
    /// The message.
    pub message: Message<'m>,
    /// A connection that does not receive it.
    pub except: Option<ConnectionId>,
}

fn published(done: bool) -> Result<(), NotPublished> {
    match done {
        true => Ok(()),
        false => Err(NotPublished),
    }
}

impl fmt::Display for NotPublished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the worker that owns the room does not keep up with its messages")
    }
}

impl std::error::Error for NotPublished {}
