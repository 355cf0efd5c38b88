//! A message on its way between nodes, and the names of nodes and of their connections.

use crate::reactor::SocketKey;
use crate::server::connection_id::ConnectionId;
use crate::server::history::Erasure;
use crate::websocket::Message;
use crate::websocket::frame::{Opcode, encode};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A message as the backplane keeps and delivers it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BackplaneMessage {
    id: u128,
    except: Option<NodeConnection>,
    is_text: bool,
    /// The frame that is not compressed: nodes append it to their logs. `frame[payload_at..]` is the payload.
    frame: Arc<[u8]>,
    payload_at: usize,
    erases: Option<Arc<Erasure>>,
}

impl BackplaneMessage {
    /// A message that an engine has received or kept. `id`: that of its publication; an engine that does not keep it says 0. Cost: a copy.
    ///
    /// ```
    /// use yamabiko::server::{BackplaneMessage, Message};
    ///
    /// let message = BackplaneMessage::new(7, Message::Text("hello"));
    /// assert!(message.is_text());
    /// assert_eq!(message.payload(), b"hello");
    /// ```
    pub fn new(id: u128, message: Message<'_>) -> BackplaneMessage {
        let payload = message.as_bytes();
        let mut frame = Vec::with_capacity(payload.len() + HEADER_BYTES_MAX);
        encode(true, message.opcode(), None, payload, &mut frame);
        BackplaneMessage {
            id,
            except: None,
            is_text: message.opcode() == Opcode::Text,
            payload_at: frame.len() - payload.len(),
            frame: frame.into(),
            erases: None,
        }
    }

    /// The same message, which one connection does not get.
    #[must_use]
    pub fn with_except(self, except: Option<NodeConnection>) -> BackplaneMessage {
        BackplaneMessage { except, ..self }
    }

    /// The same message, which takes an earlier one of the room out of the history.
    #[must_use]
    pub fn with_erasure(self, erasure: Option<Erasure>) -> BackplaneMessage {
        BackplaneMessage {
            erases: erasure.map(Arc::new),
            ..self
        }
    }

    /// A random number that no other publication has.
    pub fn id(&self) -> u128 {
        self.id
    }

    /// The connection that does not get it, on one of the nodes. Without a meaning for a message that is [loaded](super::BackplaneNode::load).
    pub fn except(&self) -> Option<NodeConnection> {
        self.except
    }

    /// Whether it is a text. Otherwise it is binary.
    pub fn is_text(&self) -> bool {
        self.is_text
    }

    /// Which earlier message of the room it takes out of the history: an engine that keeps messages keeps this text in its place, under the
    /// same offset. It is told once, when the message is published. See [`Handler::erases`](crate::server::Handler::erases).
    pub fn erases(&self) -> Option<&Erasure> {
        self.erases.as_deref()
    }

    /// The payload. That of a text is UTF-8.
    pub fn payload(&self) -> &[u8] {
        self.frame.get(self.payload_at..).unwrap_or(&[])
    }

    /// The memory that it takes, without that of the room's name.
    pub fn bytes(&self) -> usize {
        self.frame.len() + size_of::<Self>()
    }

    /// As a worker has encoded it. `frame[payload_at..]` is the payload.
    pub(in crate::server) fn of_frame(
        id: u128,
        except: Option<NodeConnection>,
        is_text: bool,
        frame: Arc<[u8]>,
        payload_at: usize,
    ) -> BackplaneMessage {
        BackplaneMessage {
            id,
            except,
            is_text,
            frame,
            payload_at,
            erases: None,
        }
    }

    pub(in crate::server) fn frame(&self) -> &Arc<[u8]> {
        &self.frame
    }

    pub(in crate::server) fn payload_at(&self) -> usize {
        self.payload_at
    }
}

/// Names a node for as long as its server runs: a random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u64);

impl NodeId {
    pub(in crate::server) fn new(number: u64) -> NodeId {
        NodeId(number)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Names a connection of any node. Its text form is for the engine, and has no other meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeConnection {
    node: NodeId,
    connection: ConnectionId,
}

impl NodeConnection {
    pub(in crate::server) fn new(node: NodeId, connection: ConnectionId) -> NodeConnection {
        NodeConnection { node, connection }
    }

    /// The node that has the connection.
    pub fn node(self) -> NodeId {
        self.node
    }

    /// The connection, if this node has it.
    pub(in crate::server) fn on(self, node: NodeId) -> Option<ConnectionId> {
        (self.node == node).then_some(self.connection)
    }
}

impl fmt::Display for NodeConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.node, self.connection)
    }
}

impl FromStr for NodeConnection {
    type Err = InvalidNodeConnection;

    fn from_str(text: &str) -> Result<NodeConnection, InvalidNodeConnection> {
        let mut parts = text.split('-');
        let (Some(node), Some(worker), Some(key), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidNodeConnection);
        };
        // `from_str_radix` and `parse` would take a sign.
        let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
        if ![node, worker, key].into_iter().all(is_plain) {
            return Err(InvalidNodeConnection);
        }
        let node = u64::from_str_radix(node, 16).map_err(|_| InvalidNodeConnection)?;
        let worker = worker.parse().map_err(|_| InvalidNodeConnection)?;
        let key = u64::from_str_radix(key, 16).map_err(|_| InvalidNodeConnection)?;
        Ok(NodeConnection {
            node: NodeId(node),
            connection: ConnectionId::new(worker, SocketKey::from_bits(key)),
        })
    }
}

/// A text is no [`NodeConnection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidNodeConnection;

impl fmt::Display for InvalidNodeConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a connection of a node is three numbers with '-' between them")
    }
}

impl std::error::Error for InvalidNodeConnection {}

/// A server's frames have no masking key.
const HEADER_BYTES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn connection_of_a_node_is_read_back_from_its_text(node: u64, worker: usize, key: u64) {
            let connection = ConnectionId::new(worker, SocketKey::from_bits(key));
            let connection = NodeConnection::new(NodeId::new(node), connection);
            prop_assert_eq!(connection.to_string().parse(), Ok(connection));
        }
    }

    #[test]
    fn text_without_three_numbers_is_no_connection_of_a_node() {
        for text in [
            "", "-", "--", "1-2", "1-2-3-4", "+1-2-3", "1-a-3", "1-2-g", "1-2-+3",
        ] {
            assert_eq!(
                text.parse::<NodeConnection>(),
                Err(InvalidNodeConnection),
                "{text}"
            );
        }
    }
}
