//! What the subscribers of a room get where messages are missing.

use crate::websocket::OwnedMessage;

/// What the subscribers of a room of the backplane get where messages are missing: see [`Handler::gap`](crate::server::Handler::gap).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapNotice {
    /// Their connections are closed with 1013, so that they connect again and begin anew.
    Disconnect,
    /// This message, in the place of the missing ones. It has no offset and is not kept.
    Message(OwnedMessage),
    /// Nothing: for messages of which some may be missing unannounced.
    Nothing,
}
