//! What a handler can do: send to its client, join and leave rooms, publish to rooms, and close the connection.

use super::connection_handle::ConnectionHandle;
use super::connection_id::ConnectionId;
use super::fan_out::{ExceptedConnection, FanOut};
use super::history::Replay;
use super::not_sent::NotSent;
use super::recipient::Recipient;
use super::rooms::NotJoined;
use super::timers::{TIMERS_MAX, Timers, TooManyTimers};
use super::workers::MarkPurpose;
use crate::reactor::{PeerAddress, SocketKey};
use crate::websocket::frame::{CloseCode, CloseFrame};
use crate::websocket::{AsMessage, Fragment, Message};
use std::fmt;
use std::time::Duration;

/// The connection that a [`Handler`](super::Handler)'s method was called for.
///
/// Nothing here blocks or makes a system call. All messages that are sent and published in a turn of the worker are written
/// together when it ends.
pub struct Context<'a> {
    key: SocketKey,
    /// Whether messages may still be sent to this client.
    open: bool,
    backlog_bytes_max: usize,
    recipient: &'a mut Recipient,
    fan_out: &'a mut FanOut,
    timers: &'a mut Timers,
    /// The handler wants the connection to be closed.
    close: Option<CloseFrame<'static>>,
}

/// The parts of the server that a handler changes.
pub(super) struct ActsOn<'a> {
    pub(super) recipient: &'a mut Recipient,
    pub(super) fan_out: &'a mut FanOut,
    pub(super) timers: &'a mut Timers,
}

impl<'a> Context<'a> {
    /// `open`: whether messages may still be sent to this client. Called in one place, `Environment::call`.
    #[inline(always)]
    pub(super) fn new(
        key: SocketKey,
        open: bool,
        backlog_bytes_max: usize,
        acts_on: ActsOn<'a>,
    ) -> Context<'a> {
        let ActsOn {
            recipient,
            fan_out,
            timers,
        } = acts_on;
        Context {
            key,
            open,
            backlog_bytes_max,
            recipient,
            fan_out,
            timers,
            close: None,
        }
    }

    /// What the handler wants to be done when it has returned.
    #[inline(always)]
    pub(super) fn into_close_request(self) -> Option<CloseFrame<'static>> {
        self.close
    }
}

impl Context<'_> {
    /// The connection's name.
    pub fn id(&self) -> ConnectionId {
        ConnectionId::new(self.fan_out.worker(), self.key)
    }

    /// This connection for other threads: to send to it when a job is finished, or to close it.
    pub fn handle(&self) -> ConnectionHandle {
        ConnectionHandle::new(self.id(), self.fan_out.outbound.all_workers().clone())
    }

    /// The client's address.
    pub fn peer_address(&self) -> PeerAddress {
        self.recipient.peer_address()
    }

    /// Sends a message to this client alone. It may overtake messages that were published in the same turn. Cost: one copy, or
    /// compressing it where [`Config::deflate`](super::Config) and the client ask for that: 8 to 40 ms for 1 MiB,
    /// in which the worker serves nobody else.
    ///
    /// # Errors
    /// The connection is closing, too many bytes wait for it already, or a message in fragments is under way. The limit is checked before the message is added, so
    /// that a message of any size can be sent to a client that keeps up.
    #[inline]
    pub fn send(&mut self, message: impl AsMessage) -> Result<(), NotSent> {
        self.send_message(message.as_message())
    }

    fn send_message(&mut self, message: Message<'_>) -> Result<(), NotSent> {
        self.check_sendable()?;
        if self.recipient.is_sending_fragments() {
            return Err(NotSent::MessageUnderWay);
        }
        self.recipient
            .send(message, self.key, &mut self.fan_out.rooms);
        Ok(())
    }

    #[inline(always)]
    fn check_sendable(&self) -> Result<(), NotSent> {
        if !self.open {
            return Err(NotSent::NotOpen);
        }
        if self.recipient.queued_bytes() > self.backlog_bytes_max {
            return Err(NotSent::BacklogFull);
        }
        Ok(())
    }

    /// Sends one fragment of a message to this client alone: for a message that is longer than what is to be held, or that is not
    /// complete yet. The last one ends it ([`Fragment::last`]). Cost: one copy; such a message is never compressed.
    ///
    /// Until the last fragment no other message can be sent to this client, and its rooms' messages wait, as they do for a client
    /// that is slow ([`Config::lag_policy`](super::Config)). The fragments themselves wait in the write queue. A client whose
    /// pieces are sent back ([`Handler::piece`](super::Handler::piece)) is read no faster than it takes them. For what comes from
    /// elsewhere, such as a file, send each fragment when the one before it has been taken
    /// ([`Handler::drained`](super::Handler::drained)).
    ///
    /// ```
    /// use yamabiko::server::{Context, Fragment, Piece};
    ///
    /// /// An echo of messages of any length. In a handler: `Handler::piece`.
    /// fn piece(piece: &Piece<'_>, context: &mut Context<'_>) {
    ///     // An error means that the connection is closing, or that the client is too slow.
    ///     let _ = context.send_fragment(Fragment::from(piece));
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Context::send`], and [`NotSent::Fragment`] for a fragment that cannot follow those before it. The fragment was not
    /// sent, and the message is still under way.
    pub fn send_fragment(&mut self, fragment: Fragment<'_>) -> Result<(), NotSent> {
        self.check_sendable()?;
        let rooms = &mut self.fan_out.rooms;
        self.recipient
            .send_fragment(fragment, self.key, rooms)
            .map_err(NotSent::Fragment)
    }

    /// Bytes that wait for this client alone: messages that were sent to it, replies to its pings. Not the messages of its rooms.
    pub fn queued_bytes(&self) -> usize {
        self.recipient.queued_bytes()
    }

    /// Asks that [`Handler::drained`](super::Handler::drained) is called, once, when nothing waits for this client alone any more:
    /// for a message that is sent in fragments, each when the client has taken the one before it. If nothing waits now, it is
    /// called soon, but not within this call.
    pub fn notify_when_drained(&mut self) {
        self.recipient.notify_drained();
    }

    /// Calls [`Handler::timer`](super::Handler::timer) with this number, once, after this time. A timer of this connection with the
    /// same number is replaced. The timers end with the connection: when it closes, none is called any more.
    ///
    /// The time is exact to a millisecond and to the turn that is under way; `Duration::ZERO` is the next turn. Cost: an entry in a
    /// hash table.
    ///
    /// ```
    /// use std::time::Duration;
    /// use yamabiko::server::{Admission, Context, Handler, Message, Refusal, Upgrade};
    ///
    /// /// Asks a client that writes nothing for a minute whether it is still there.
    /// struct Patience;
    ///
    /// const SILENCE: u32 = 0;
    ///
    /// impl Handler for Patience {
    ///     type Session = ();
    ///
    ///     fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
    ///         Ok(Admission::new(()))
    ///     }
    ///     fn opened(&self, _: &mut (), context: &mut Context<'_>) {
    ///         let _ = context.set_timer(SILENCE, Duration::from_secs(60));
    ///     }
    ///     fn message(&self, session: &mut (), _: Message<'_>, context: &mut Context<'_>) {
    ///         self.opened(session, context);
    ///     }
    ///     fn timer(&self, session: &mut (), _: u32, context: &mut Context<'_>) {
    ///         let _ = context.send("are you still there?");
    ///         self.opened(session, context);
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// The connection has [`TIMERS_MAX`](Context::TIMERS_MAX) other timers. On a connection that is closing this does nothing.
    pub fn set_timer(&mut self, number: u32, after: Duration) -> Result<(), TooManyTimers> {
        match self.open {
            true => self.timers.set(self.key, number, after),
            false => Ok(()),
        }
    }

    /// Removes the timer with this number, if it is set and was not called yet.
    pub fn clear_timer(&mut self, number: u32) {
        self.timers.clear(self.key, number);
    }

    /// How many timers a connection may have at a time.
    pub const TIMERS_MAX: usize = TIMERS_MAX;

    /// Subscribes this connection to a room. Does nothing if it is already subscribed. The connection receives every message
    /// published from now on, and possibly messages that were published shortly before, this connection's own included: with
    /// several workers they may still be on their way through the room's owner.
    ///
    /// Beyond a limit of [`Config::rooms`](super::Config) the connection is closed: with 1008 if it is in too many rooms, otherwise
    /// with 1013. [`Context::try_join`] leaves that to the handler.
    pub fn join(&mut self, room: &str) {
        let Err(error) = self.try_join(room) else {
            return;
        };
        let code = match error {
            NotJoined::InTooManyRooms => CloseCode::POLICY_VIOLATION,
            NotJoined::TooManyRooms | NotJoined::RoomFull | NotJoined::NotLoaded => {
                CloseCode::TRY_AGAIN_LATER
            }
            NotJoined::NotOpen | NotJoined::AlreadyJoined => return,
        };
        self.close((code, error.to_string().as_str()));
    }

    /// As [`Context::join`], for a handler that answers by itself when a limit is reached.
    ///
    /// # Errors
    /// The connection is closing, or a limit of [`Config::rooms`](super::Config) is reached. It is not subscribed, and stays open.
    pub fn try_join(&mut self, room: &str) -> Result<(), NotJoined> {
        if !self.open {
            return Err(NotJoined::NotOpen);
        }
        self.recipient
            .subscribe(room, self.key, &mut self.fan_out.rooms)
    }

    /// Subscribes this connection to a room with history ([`Handler::history`](super::Handler::history)), beginning in the past: for
    /// a client that comes late, or comes back. The connection receives the messages of the past and then every message published
    /// from now on, in the room's order, each once. [`Handler::joined`](super::Handler::joined) is called when the subscription has
    /// begun, before anything of the room is written: it tells where it begins, and whether something is missing.
    ///
    /// The subscription begins a turn later, because the room's owner may be another worker. It is not lost in between: a message
    /// that is published meanwhile is received. If the connection is subscribed by then, `joined` gets
    /// [`NotJoined::AlreadyJoined`].
    ///
    /// Cost: a cursor into the room's log; nothing is copied for this connection. If many connections come back at once, they are
    /// served in turn, within the budget of a turn. What a connection still has to get of the past does not count for
    /// [`Config::lag_policy`](super::Config).
    pub fn join_from(&mut self, room: &str, replay: Replay) {
        let id = self.id();
        let purpose = MarkPurpose::Join { replay, head: None };
        self.fan_out.mark_order(room, id, purpose);
    }

    /// Counts as a join for [`RateLimits::joins`](super::RateLimits): for a join that the application refuses, which costs it as
    /// much as one that it allows.
    pub fn refuse_join(&mut self) {
        self.fan_out.rooms.count_join();
    }

    /// Unsubscribes this connection from a room. Does nothing if it is not subscribed. Messages published in the current turn
    /// that have not been written are not delivered to it.
    pub fn leave(&mut self, room: &str) {
        self.recipient.unsubscribe(room, &mut self.fan_out.rooms);
    }

    /// How many connections subscribe to a room, on all workers. `None`: nobody counts them
    /// ([`Config::count_subscribers`](super::Config)). Cost: a lock that all workers share.
    pub fn subscribers(&self, room: &str) -> Option<usize> {
        self.fan_out.rooms.members(room)
    }

    /// Publishes a message to all subscribers of a room, including this connection if it is subscribed. All subscribers get a
    /// room's messages in the same order. Cost: one copy into each log that the room has on this worker, however many
    /// subscribers there are. If some of them take compression, the message is also compressed once, or a second time for
    /// subscribers with small windows if it has more than 512 bytes. A message of more than 16 KiB is compressed in steps, and its subscribers
    /// with compression get it, and the messages behind it, when it is ready. With several workers: also one frame that they share.
    ///
    /// If another worker owns the room, it puts the message in order, so this connection's own copy comes a turn later. If the
    /// client sends its Close in the same segment, its connection has ended before that: all others get the message, and the
    /// client does not.
    #[inline]
    pub fn publish(&mut self, room: &str, message: impl AsMessage) {
        self.publish_message(room, message.as_message());
    }

    /// As [`Context::publish`], to all subscribers but this connection.
    #[inline]
    pub fn publish_except(&mut self, room: &str, message: impl AsMessage) {
        self.publish_message_except(room, message.as_message());
    }

    /// As [`Context::publish`]; [`Handler::published`](super::Handler::published) is called for this connection, with this number, when the
    /// message has its place in the room's order, or when it is known that it will have none. In a room of the
    /// [backplane](super::Backplane) that is when the engine has it. The connection's own copy may come before that or after it.
    ///
    /// ```
    /// use yamabiko::server::{Admission, Context, Handler, Message, NotPublished, Published, Refusal, Upgrade};
    ///
    /// /// Every client gets every message. The client that has sent it learns whether it was published.
    /// struct Acknowledged;
    ///
    /// impl Handler for Acknowledged {
    ///     /// How many messages the client has sent.
    ///     type Session = u64;
    ///
    ///     fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<u64>, Refusal> {
    ///         Ok(Admission::new(0))
    ///     }
    ///     fn message(&self, sent: &mut u64, message: Message<'_>, context: &mut Context<'_>) {
    ///         *sent += 1;
    ///         context.publish_acknowledged("everyone", message, *sent);
    ///     }
    ///     fn published(
    ///         &self,
    ///         _: &mut u64,
    ///         _room: &str,
    ///         number: Option<u64>,
    ///         published: Result<Published, NotPublished>,
    ///         context: &mut Context<'_>,
    ///     ) {
    ///         let number = number.unwrap_or_default();
    ///         let _ = match published {
    ///             Ok(_) => context.send(format!("published: {number}")),
    ///             Err(error) => context.send(format!("not published: {number}: {error}")),
    ///         };
    ///     }
    /// }
    /// ```
    pub fn publish_acknowledged(&mut self, room: &str, message: impl AsMessage, number: u64) {
        let message = message.as_message();
        self.fan_out
            .publish_acknowledged(room, message, self.key, number);
    }

    /// As [`Context::publish`], with a place in the room's order that is decided before this method returns. An application that
    /// keeps data beside a room, and changes them on several workers under a lock, publishes each change by this method under the
    /// same lock: all subscribers then get the changes in the order in which they were made. Messages of
    /// [`Publisher`](super::Publisher) are in the same order; those of [`Context::publish`] have their place at the latest when
    /// the turn has ended.
    ///
    /// Cost: as [`Publisher::publish`](super::Publisher::publish). The message is written a turn later. It is never refused: when
    /// too many bytes are in flight, this worker's clients are not read.
    pub fn publish_ordered(&mut self, room: &str, message: impl AsMessage) {
        let message = message.as_message();
        self.fan_out.publish_ordered(room, message, self.key);
    }

    /// Marks the present place in a room's order. When all messages that are in front of it have come to this worker,
    /// [`Handler::order_reached`](super::Handler::order_reached) is called for this connection, with this number.
    ///
    /// For a new subscriber that first gets the present state of something and then every change of it, none missed and none
    /// twice: under the lock of the state, copy it and mark the order. In `order_reached`, send the copy and join the room.
    /// Changes are published by [`Context::publish_ordered`] or a [`Publisher`](super::Publisher), under the same lock.
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use yamabiko::server::{Admission, Context, Handler, Message, Refusal, Upgrade};
    ///
    /// /// Every client gets the sum, and then each number that any client adds to it.
    /// #[derive(Default)]
    /// struct Sum(Mutex<i64>);
    ///
    /// impl Handler for Sum {
    ///     /// The sum at the mark.
    ///     type Session = i64;
    ///
    ///     fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<i64>, Refusal> {
    ///         Ok(Admission::new(0))
    ///     }
    ///     fn opened(&self, at_mark: &mut i64, context: &mut Context<'_>) {
    ///         let sum = self.0.lock().unwrap();
    ///         *at_mark = *sum;
    ///         context.mark_order("sum", 0);
    ///     }
    ///     fn order_reached(&self, at_mark: &mut i64, room: &str, _: u64, context: &mut Context<'_>) {
    ///         let _ = context.send(at_mark.to_string());
    ///         context.join(room);
    ///     }
    ///     fn message(&self, _: &mut i64, message: Message<'_>, context: &mut Context<'_>) {
    ///         let Message::Text(text) = message else { return };
    ///         let Ok(number) = text.parse::<i64>() else { return };
    ///         let mut sum = self.0.lock().unwrap();
    ///         *sum = sum.wrapping_add(number);
    ///         context.publish_ordered("sum", message);
    ///     }
    /// }
    /// ```
    pub fn mark_order(&mut self, room: &str, number: u64) {
        let id = self.id();
        self.fan_out.mark_order(room, id, MarkPurpose::Tell(number));
    }

    fn publish_message(&mut self, room: &str, message: Message<'_>) {
        self.fan_out.publish(room, message, self.key, None);
    }

    fn publish_message_except(&mut self, room: &str, message: Message<'_>) {
        let subscriptions = self.recipient.subscriptions();
        let subscription = self.fan_out.rooms.subscription_in(room, subscriptions);
        let except = ExceptedConnection {
            id: self.id(),
            subscription,
        };
        self.fan_out.publish(room, message, self.key, Some(except));
    }

    /// Closes the connection when the handler returns: its subscriptions end, the client gets a Close with this code and
    /// reason (cut at 123 bytes), and the handler gets no more of its messages. 1010, which only clients may send, is sent as
    /// 1011. The first of several calls counts.
    ///
    /// ```
    /// use yamabiko::server::{CloseCode, Context, Message};
    ///
    /// fn message(message: Message<'_>, context: &mut Context<'_>) {
    ///     match message {
    ///         Message::Text("bye") => context.close(CloseCode::NORMAL),
    ///         Message::Text(_) => {}
    ///         Message::Binary(_) => context.close((CloseCode::UNSUPPORTED_DATA, "texts only")),
    ///     }
    /// }
    /// ```
    pub fn close<'f>(&mut self, close: impl Into<CloseFrame<'f>>) {
        self.open = false;
        if self.close.is_none() {
            self.close = Some(close.into().into_owned());
        }
    }

    /// Whether messages can be sent to the client: the connection is not closing.
    pub fn is_open(&self) -> bool {
        self.open
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
