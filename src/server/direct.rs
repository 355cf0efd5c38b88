//! What other threads ask of one connection: a message for its client, or its end.

use super::connection_id::ConnectionId;
use super::not_sent::NotSent;
use super::receipt::{Receipt, Reply, receipt};
use crate::websocket::{CloseFrame, OwnedMessage};

/// Something for one connection, on its way to the worker that has it.
#[derive(Debug)]
pub(super) struct DirectRequest {
    connection: ConnectionId,
    action: DirectAction,
    reply: Reply<Result<(), NotSent>>,
}

/// What is to be done with the connection.
#[derive(Debug)]
pub(super) enum DirectAction {
    Send(OwnedMessage),
    Close(CloseFrame<'static>),
}

impl DirectRequest {
    /// The request, and how its sender learns the result. A connection that has ended, and a server that has ended, are the
    /// same result.
    pub(super) fn new(
        connection: ConnectionId,
        action: DirectAction,
    ) -> (Box<DirectRequest>, Receipt<Result<(), NotSent>>) {
        let (reply, receipt) = receipt(Err(NotSent::NotOpen));
        let request = DirectRequest {
            connection,
            action,
            reply,
        };
        (Box::new(request), receipt)
    }

    pub(super) fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// The memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let payload = match &self.action {
            DirectAction::Send(message) => message.as_bytes().len(),
            DirectAction::Close(_) => 0,
        };
        payload + size_of::<Self>()
    }

    /// Does the action, and tells its sender the result.
    pub(super) fn done_by(mut self, act: impl FnOnce(DirectAction) -> Result<(), NotSent>) {
        self.reply.set(act(self.action));
    }

    /// The worker's mailbox has no room for it.
    pub(super) fn refuse(mut self) {
        self.reply.set(Err(NotSent::WorkerBehind));
    }
}
