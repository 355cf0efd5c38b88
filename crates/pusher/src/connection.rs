//! One connection of a client: its socket id, its subscriptions, the user who has signed in.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use yamabiko::server::{CloseCode, CloseFrame, Context, NotSent};

use crate::app_state::AppState;
use crate::limits::{Rate, Supply};
use crate::name::ChannelName;
use crate::socket_id::SocketId;
use crate::wire::{OVER_CAPACITY, ServerMessage};

/// What is kept for an open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) app: Arc<AppState>,
    pub(crate) socket_id: SocketId,
    pub(crate) subscriptions: HashMap<ChannelName, Subscription>,
    pub(crate) user: Option<User>,
    pub(crate) client_events: Rate,
    /// What its subscriptions may cause.
    pub(crate) subscription_bytes: Supply,
    marks: u64,
}

/// A connection in a channel.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// Of a presence channel: the member that the connection is.
    pub(crate) member: Option<Arc<str>>,
    /// It has not begun for the client.
    pub(crate) pending: Option<Box<Pending>>,
}

/// What a subscription begins with, when the channel's messages in front of it have come.
#[derive(Debug)]
pub(crate) struct Pending {
    /// The mark in the order of the channel's messages.
    pub(crate) mark: u64,
    pub(crate) messages: Vec<String>,
}

/// A user who has signed in.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) id: Arc<str>,
    pub(crate) info: Option<Box<RawValue>>,
}

impl Connection {
    pub(crate) fn new(app: Arc<AppState>, socket_id: SocketId) -> Connection {
        let limits = app.app.app_limits();
        Connection {
            client_events: Rate::new(limits.client_events_per_second),
            subscription_bytes: Supply::new(limits.subscription_bytes_per_second),
            app,
            socket_id,
            subscriptions: HashMap::new(),
            user: None,
            marks: 0,
        }
    }

    /// A number that this connection has not used for a mark.
    pub(crate) fn next_mark(&mut self) -> u64 {
        self.marks += 1;
        self.marks
    }
}

/// Sends a message to the client. If too much waits for it already, its connection is closed: no message is lost without notice.
pub(crate) fn send(context: &mut Context<'_>, json: &str) {
    if context.send(json) == Err(NotSent::BacklogFull) {
        context.close(close_frame(
            OVER_CAPACITY,
            "too many messages are waiting for this client",
        ));
    }
}

/// Tells an error, and closes the connection with its code. Clients of protocol 5 and older read the message, later ones the code.
pub(crate) fn fail(context: &mut Context<'_>, code: u16, reason: &str) {
    send(context, &ServerMessage::error(reason, Some(code), None));
    context.close(close_frame(code, reason));
}

pub(crate) fn close_frame(code: u16, reason: &str) -> CloseFrame<'_> {
    // All codes of the protocol are from 4000 to 4999.
    let code = CloseCode::new(code).unwrap_or(CloseCode::INTERNAL_ERROR);
    CloseFrame::new(code, reason)
}
