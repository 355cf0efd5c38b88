//! Reaching one connection from any thread: the answer of a finished job, a command of an operator.

use super::connection_id::ConnectionId;
use super::direct::{DirectAction, DirectRequest};
use super::not_sent::NotSent;
use super::receipt::Receipt;
use super::workers::Workers;
use crate::websocket::{AsMessage, CloseFrame};

/// One connection, for any thread of the program: [`Context::handle`](super::Context::handle), or
/// [`Publisher::connection`](super::Publisher::connection) by its name. Cheap to clone, and valid also when the connection has
/// ended: then each message comes back as [`NotSent::NotOpen`], and reaches no other connection.
///
/// ```
/// use std::thread;
/// use yamabiko::server::{Context, Message};
///
/// /// In a handler: a long task runs on a thread, so that the event loop goes on.
/// fn message(message: Message<'_>, context: &mut Context<'_>) {
///     let (text, client) = (message.to_string(), context.handle());
///     thread::spawn(move || {
///         let answer = text.to_uppercase();
///         if let Err(error) = client.send(answer).wait() {
///             eprintln!("{} did not get its answer: {error}", client.id());
///         }
///     });
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ConnectionHandle {
    id: ConnectionId,
    workers: Workers,
}

impl ConnectionHandle {
    pub(super) fn new(id: ConnectionId, workers: Workers) -> ConnectionHandle {
        ConnectionHandle { id, workers }
    }

    /// The connection's name.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Sends a message to this client alone, as [`Context::send`](super::Context::send) does. This call does not wait; the
    /// receipt tells whether the message is in the connection's write queue, from which it goes out as fast as the client
    /// takes it. The messages of one thread to one connection keep their order.
    ///
    /// The receipt has one of these errors: [`NotSent::NotOpen`] (the connection, or the server, has ended),
    /// [`NotSent::BacklogFull`], [`NotSent::MessageUnderWay`], and [`NotSent::WorkerBehind`]: the worker has not taken
    /// [`Config::mailbox_capacity`](super::Config) messages of other threads, or more than `worker_backlog_bytes_max` bytes
    /// of them.
    ///
    /// Cost: two copies, two allocations, a lock, and a wake-up of the connection's worker if it sleeps.
    pub fn send(&self, message: impl AsMessage) -> Receipt<Result<(), NotSent>> {
        let message = message.as_message().into_owned();
        self.request(DirectAction::Send(message))
    }

    /// Closes the connection, as [`Context::close`](super::Context::close) does. This call does not wait; the receipt tells
    /// that the closing handshake has begun. [`Handler::closed`](super::Handler::closed) tells its end.
    ///
    /// The receipt has one of these errors: [`NotSent::NotOpen`] (the connection is closing already, or has ended), and
    /// [`NotSent::WorkerBehind`].
    pub fn close<'f>(&self, close: impl Into<CloseFrame<'f>>) -> Receipt<Result<(), NotSent>> {
        self.request(DirectAction::Close(close.into().into_owned()))
    }

    fn request(&self, action: DirectAction) -> Receipt<Result<(), NotSent>> {
        let (request, receipt) = DirectRequest::new(self.id, action);
        if let Err(request) = self.workers.request(request) {
            request.refuse();
        }
        receipt
    }
}
