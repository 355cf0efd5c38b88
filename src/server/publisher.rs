//! Publishing from outside every connection: a price feed, a finished job, a message that came another way.

use super::cluster::{Cluster, ClusterSink};
use super::connection_handle::ConnectionHandle;
use super::connection_id::ConnectionId;
use super::direct::{DirectAction, DirectRequest};
use super::not_published::{NotPublished, Published};
use super::receipt::Receipt;
use super::rooms::encoding::is_compressible;
use super::rooms::{Outcome, RoomCensus, SharedMessage};
use super::workers::Workers;
use crate::websocket::deflate::DeflateConfig;
use crate::websocket::{AsMessage, CloseFrame, Message};
use std::fmt;
use std::sync::Arc;

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
    shares: SharesOf,
    cluster: Option<ClusterSink>,
    /// No worker refuses its messages.
    insists: bool,
}

/// Which rooms are of the backplane.
#[derive(Clone, Default)]
pub(super) struct SharesOf(Option<Arc<SharesFn>>);

pub(super) type SharesFn = dyn Fn(&str) -> bool + Send + Sync;

impl SharesOf {
    pub(super) fn new(shares: Arc<SharesFn>) -> SharesOf {
        SharesOf(Some(shares))
    }

    pub(super) fn contain(&self, room: &str) -> bool {
        self.0.as_ref().is_some_and(|shares| shares(room))
    }
}

impl fmt::Debug for SharesOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharesOf")
    }
}

impl Publisher {
    pub(super) fn new(
        workers: Workers,
        deflate: Option<DeflateConfig>,
        census: RoomCensus,
        shares: SharesOf,
        cluster: Option<ClusterSink>,
    ) -> Publisher {
        Publisher {
            workers,
            deflate,
            census,
            shares,
            cluster,
            insists: false,
        }
    }

    /// The same publisher for [`Handler::cluster_event`](super::Handler::cluster_event): none of its calls fails because a worker is behind.
    /// So it can publish under the lock that gives the changes of an application their order, and no change is lost. Instead, the server
    /// waits behind each event until the workers have taken what is on the way to them, for up to 5 s, and the engine waits meanwhile. On
    /// another thread nobody waits, and what it publishes has no bound.
    #[must_use]
    pub fn insisting(&self) -> Publisher {
        Publisher {
            insists: true,
            ..self.clone()
        }
    }

    /// The other nodes of this server. `None`: it has none, because there is no [backplane](super::Backplane) that servers share.
    ///
    /// The first call begins to follow what the nodes hold. An application calls it in [`Handler::bound`](super::Handler::bound), so that
    /// its method [`cluster_event`](super::Handler::cluster_event) is told of all of it.
    pub fn cluster(&self) -> Option<Cluster> {
        self.cluster.as_ref().and_then(ClusterSink::cluster)
    }

    /// Publishes a message to all subscribers of a room, on all workers. The messages of
    /// one thread keep their order, and all subscribers get the room's messages in the same order.
    ///
    /// In a room of the [backplane](super::Backplane) the message is on its way to the engine then, which may refuse it:
    /// [`Publisher::publish_acknowledged`] tells that.
    ///
    /// Cost: one copy, a lock, and a wake-up of the worker that owns the room if it sleeps.
    ///
    /// # Errors
    /// [`NotPublished::WorkerBehind`]: that worker does not keep up. [`NotPublished::BackplaneBehind`]: the engine does not.
    pub fn publish(&self, room: &str, message: impl AsMessage) -> Result<(), NotPublished> {
        self.check(room)?;
        let message = self.shared(room, message.as_message(), None);
        published(self.workers.publish(message, self.insists))
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
        self.check(room)?;
        let message = self.shared(room, message.as_message(), Some(except));
        published(self.workers.publish(message, self.insists))
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
    /// As [`Publisher::publish`]. [`NotPublished::Uncounted`]: it is a room of the backplane.
    pub fn publish_counted(
        &self,
        room: &str,
        message: impl AsMessage,
    ) -> Result<Receipt<u64>, NotPublished> {
        if self.shares.contain(room) {
            return Err(NotPublished::Uncounted);
        }
        let (outcome, receipt) = Outcome::reached();
        let message = self.shared(room, message.as_message(), None);
        published(
            self.workers
                .publish(message.with_outcome(outcome), self.insists),
        )?;
        Ok(receipt)
    }

    /// As [`Publisher::publish`]; the receipt tells when the message has its place in the room's order, or that it has none. In a room of
    /// the [backplane](super::Backplane) that is when the engine has it.
    ///
    /// ```
    /// use yamabiko::server::{NotPublished, Publisher};
    ///
    /// /// Returns when the order is kept.
    /// fn order(publisher: &Publisher, order: &str) -> Result<(), NotPublished> {
    ///     publisher.publish_acknowledged("orders", order)?.wait()?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub fn publish_acknowledged(
        &self,
        room: &str,
        message: impl AsMessage,
    ) -> Result<Receipt<Result<Published, NotPublished>>, NotPublished> {
        self.check(room)?;
        let (outcome, receipt) = Outcome::receipt();
        let message = self.shared(room, message.as_message(), None);
        published(
            self.workers
                .publish(message.with_outcome(outcome), self.insists),
        )?;
        Ok(receipt)
    }

    /// The engine takes a message of a room of the backplane.
    fn check(&self, room: &str) -> Result<(), NotPublished> {
        match self.workers.engine_is_behind() && self.shares.contain(room) {
            true => Err(NotPublished::BackplaneBehind),
            false => Ok(()),
        }
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
    /// As [`Publisher::publish`], for one of the rooms. None of the messages was published.
    pub fn publish_all<'m>(
        &self,
        publications: impl IntoIterator<Item = Publication<'m>>,
    ) -> Result<(), NotPublished> {
        let shared = |publication: Publication<'m>| {
            self.check(publication.room)?;
            Ok(self.shared(publication.room, publication.message, publication.except))
        };
        let messages = publications.into_iter().map(shared);
        let messages = messages.collect::<Result<_, NotPublished>>()?;
        published(self.workers.publish_all(messages, self.insists))
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
        if self.insists {
            self.workers.request_now(request);
            return Ok(());
        }
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
        false => Err(NotPublished::WorkerBehind),
    }
}
