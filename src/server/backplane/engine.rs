//! The trait of engines, and what they must guarantee.

use super::node::BackplaneNode;
use super::publication::BackplanePublication;
use super::state::{BackplaneState, EngineCounts};
use crate::server::history::RoomHistory;

/// An engine that puts the messages of rooms in order, numbers them and keeps them, for one server or for several.
///
/// The methods are called on the threads of the event loops: they must not block and must not wait for the engine. An
/// implementation has threads of its own that talk to its engine, and tells the server by the [`BackplaneNode`] that
/// [`start`](Backplane::start) gets.
///
/// # What an engine must guarantee
///
/// 1. **One order.** The messages of a room are one sequence, the same at every node. The messages of one node keep the order in which
///    `publish` got them.
/// 2. **Numbers.** Each message has the offset of the one before it plus one. An offset of an epoch never names two messages. An
///    engine that cannot be sure of that begins a new epoch: after it has lost messages that it had acknowledged, after a
///    restart from an older copy, after a failover to a replica that may be behind. Epochs are random, so that no two are equal.
/// 3. **No hole without a notice.** After [`BackplaneNode::load`] the node gets every message of the room behind the loaded ones, in
///    order, by [`BackplaneNode::deliver`]. A message that the engine cannot give any more is told by
///    [`BackplaneNode::gap`] before the ones behind it. The node checks this: offsets that do not follow are a gap, and
///    offsets that it has are dropped. So an engine that is not sure may deliver again, or [load](BackplaneNode::load) again.
/// 4. **Each publication is answered,** once, in a bounded time: [`taken`](BackplanePublication::taken) when the engine has the message as
///    durably as its settings say, otherwise [`refuse`](BackplanePublication::refuse). Dropping it means
///    [`Unknown`](crate::server::NotPublished::Unknown). The server does not read its clients while too many bytes are unanswered, so an engine that does
///    not answer must refuse after some seconds.
/// 5. **No duplicate.** The server gives each publication once, with an id of its own. An engine that sends one again by itself,
///    because it does not know whether it has arrived, makes sure by the id that the message gets one offset.
/// 6. **Bounds.** The queue to the engine has a limit; beyond it publications are refused with
///    [`BackplaneBehind`](crate::server::NotPublished::BackplaneBehind).
///
/// A message is kept and delivered as it was published: [`Handler::numbered`](crate::server::Handler::numbered) writes the position into it at each
/// node. The engine stores the payload, whether it is a text, and while messages are on their way also
/// [`BackplaneMessage::except`](super::BackplaneMessage::except).
///
/// # Rooms
///
/// A node subscribes to a room when the room gets its first subscriber there, and unsubscribes some time after the last one has gone.
/// The two calls for one room may come close together: the last one counts. An engine answers each `subscribe` by `load`, and from then on
/// delivers. A node that has subscribed does so again when a client is ahead of it: then the engine loads again. Messages can be published to a room that no node has subscribed to.
///
/// # How other engines fit
///
/// *NATS JetStream*: a stream for each room, because its sequence counts all subjects of a stream, and offsets must not have holes.
/// `Nats-Msg-Id` is the id of the publication (guarantee 5, within the stream's duplicate window). The sequence in the `PubAck` is the offset, and the
/// time at which the stream was created, hashed, is the epoch. `MaxMsgs`, `MaxBytes` and `MaxAge` of the stream are the
/// [`RoomHistory`]. `load` reads the stream's state and its last messages; an ordered consumer that begins behind them delivers. When it is made
/// anew after a lost message, it begins behind the last offset that was delivered. With a replicated stream an acknowledged message
/// survives the failure of a server; with one replica the engine must compare the last sequence after each reconnection.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::{Mutex, OnceLock};
/// use yamabiko::server::{
///     Backplane, BackplaneMessage, BackplaneNode, BackplanePublication, BackplaneState, KeptMessages, Position, RoomHistory,
/// };
///
/// /// Keeps the messages of one server in memory, without any limit. `deliver` and `load` can be refused when the server is
/// /// behind; a real engine has a thread that tries again.
/// #[derive(Default)]
/// struct InMemory {
///     node: OnceLock<BackplaneNode>,
///     rooms: Mutex<HashMap<String, Vec<BackplaneMessage>>>,
/// }
///
/// const EPOCH: u64 = 7;
///
/// impl Backplane for InMemory {
///     fn start(&self, node: BackplaneNode) {
///         let _ = self.node.set(node);
///     }
///     fn publish(&self, publication: BackplanePublication) {
///         let mut rooms = self.rooms.lock().unwrap();
///         let kept = rooms.entry(publication.room().to_owned()).or_default();
///         kept.push(publication.message().clone());
///         let position = Position::new(EPOCH, kept.len() as u64);
///         if let Some(node) = self.node.get() {
///             let _ = node.deliver(publication.room(), position, &[publication.message().clone()]);
///         }
///         publication.taken(position);
///     }
///     fn subscribe(&self, room: &str, history: Option<RoomHistory>) {
///         let most = history.map_or(0, |history| history.messages_max as usize);
///         let rooms = self.rooms.lock().unwrap();
///         let all = rooms.get(room).map_or(&[][..], Vec::as_slice);
///         let kept = KeptMessages {
///             head: Position::new(EPOCH, all.len() as u64),
///             messages: all[all.len().saturating_sub(most)..].to_vec(),
///         };
///         if let Some(node) = self.node.get() {
///             let _ = node.load(room, kept);
///         }
///     }
///     fn unsubscribe(&self, _room: &str) {}
///     fn state(&self) -> BackplaneState {
///         BackplaneState::ready()
///     }
/// }
/// ```
pub trait Backplane: Send + Sync + 'static {
    /// The server is bound. Called once, before all other methods. One value of this trait belongs to one server.
    fn start(&self, node: BackplaneNode);

    /// Takes a message. It comes back by [`BackplaneNode::deliver`] at every node that has subscribed to the room, this one included,
    /// when the engine has it. A publication that cannot be taken is [refused](BackplanePublication::refuse) here or later.
    fn publish(&self, publication: BackplanePublication);

    /// Takes messages of one moment, in this order, as [`publish`](Backplane::publish) does with each of them: an engine can take them
    /// under one lock, and publish those of a room together. Default: one after the other.
    fn publish_all(&self, publications: &mut dyn Iterator<Item = BackplanePublication>) {
        for publication in publications {
            self.publish(publication);
        }
    }

    /// This node wants the messages of a room. `history`: how much of it the node keeps, and how much [`BackplaneNode::load`] brings at most;
    /// `None`: nothing.
    fn subscribe(&self, room: &str, history: Option<RoomHistory>);

    /// This node does not want them any more. Messages that are delivered all the same are dropped.
    fn unsubscribe(&self, room: &str);

    /// Whether the engine can be reached. Called often, from any thread, so it must be cheap. When it changes, the engine calls
    /// [`BackplaneNode::state_changed`].
    fn state(&self) -> BackplaneState;

    /// What the engine has counted itself, for metrics. Called from any thread. Default: nothing.
    fn counts(&self) -> EngineCounts {
        EngineCounts::default()
    }

    /// Whether other servers use the same rooms. If not, the engine only keeps messages: then only rooms with history are rooms of the
    /// backplane, and the messages of all others are put in order in memory, as without one. Default: yes.
    fn is_shared(&self) -> bool {
        true
    }

    /// The server has stopped: no other method follows. The engine answers what it has taken, in a bounded time; this call may wait
    /// for that. Default: nothing is done.
    fn stop(&self) {}
}
