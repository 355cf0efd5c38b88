//! The sending side of one connection: its write queue and its subscriptions.
//!
//! The write queue holds the bytes for this client alone: pongs, direct messages, the Close. It may overtake messages that wait
//! in a room, but only between two frames. The queue is written before the rooms. A full socket takes no bytes until epoll
//! reports it writable, so nothing of a room can get into the middle of a queued frame.

use super::history::{Position, Replay, Replayed};
use super::rooms::{NotJoined, RoomTable, Subscriptions, write_fragment, write_frame};
use crate::broadcast::{Backlog, Remainder, WriteQueue};
use crate::reactor::{Io, PeerAddress, SocketKey};
use crate::websocket::deflate::WindowBits;
use crate::websocket::{Fragment, FragmentedMessage, Message, SendError};
use std::io::IoSlice;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

/// One client to send to.
pub(super) struct Recipient {
    peer_address: CompactAddress,
    queue: WriteQueue,
    subscriptions: Subscriptions,
    /// For compressed messages, if compression was agreed on.
    window: Option<WindowBits>,
    /// The message that is sent in fragments. Until it ends, no frame of a room can be written.
    message: FragmentedMessage,
    /// It has ended, and what the rooms have is to be written.
    rooms_wait: bool,
    /// The client is not read until its queue is short.
    is_paused: bool,
    /// The handler wants to know when the queue is empty.
    notifies_drained: bool,
    /// What the memory budget has counted for the connection, in bytes.
    counted_bytes: u32,
}

impl Recipient {
    /// `response`: the first bytes to send.
    pub(super) fn new(
        peer_address: PeerAddress,
        window: Option<WindowBits>,
        response: Vec<u8>,
    ) -> Recipient {
        let mut queue = WriteQueue::new();
        *queue.buffer() = response;
        Recipient {
            peer_address: peer_address.into(),
            queue,
            subscriptions: Subscriptions::default(),
            window,
            message: FragmentedMessage::default(),
            rooms_wait: false,
            is_paused: false,
            notifies_drained: false,
            counted_bytes: 0,
        }
    }

    pub(super) fn peer_address(&self) -> PeerAddress {
        self.peer_address.get()
    }

    #[inline(always)]
    pub(super) fn has_compression(&self) -> bool {
        self.window.is_some()
    }

    pub(super) fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    /// Bytes that wait for this client alone.
    #[inline(always)]
    pub(super) fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// The memory of the queue.
    #[inline(always)]
    pub(super) fn held_bytes(&self) -> usize {
        self.queue.held_bytes()
    }

    /// Whether the memory budget has counted anything for the connection.
    #[inline(always)]
    pub(super) fn is_counted(&self) -> bool {
        self.counted_bytes > 0
    }

    /// The connection holds so many bytes now. Returns how many were counted before and are now, if that has changed.
    #[inline(always)]
    pub(super) fn count_held(&mut self, held_bytes: usize) -> Option<(usize, usize)> {
        let now = u32::try_from(held_bytes).unwrap_or(u32::MAX);
        if now == self.counted_bytes {
            return None;
        }
        let before = std::mem::replace(&mut self.counted_bytes, now);
        Some((before as usize, now as usize))
    }

    /// The queue's buffer, to append whole frames to.
    #[inline(always)]
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        self.queue.buffer()
    }

    /// Uses this buffer for what is queued next, unless something is queued.
    #[inline(always)]
    pub(super) fn offer_buffer(&mut self, take: impl FnOnce() -> Vec<u8>) {
        if self.queue.is_empty() {
            *self.queue.buffer() = take();
        }
    }

    /// Gives the buffer back, unless something is queued, or the handler wants to know that nothing is.
    #[inline(always)]
    pub(super) fn take_idle_buffer(&mut self) -> Option<Vec<u8>> {
        let is_idle = self.queue.is_empty() && !self.notifies_drained;
        is_idle.then(|| std::mem::take(self.queue.buffer()))
    }

    /// From now on [`Recipient::take_drained`] tells, once, that the queue is empty.
    pub(super) fn notify_drained(&mut self) {
        self.notifies_drained = true;
    }

    /// Whether the handler is to be told that the queue is empty.
    #[inline(always)]
    pub(super) fn take_drained(&mut self) -> bool {
        self.notifies_drained && self.queue.is_empty() && std::mem::take(&mut self.notifies_drained)
    }

    /// Stops reading the client until its queue is short.
    pub(super) fn pause_reading(&mut self, io: &mut Io, key: SocketKey) {
        self.is_paused = true;
        io.pause_reading(key);
    }

    /// The queue is short: reads the client again. False: it was not paused for that.
    #[inline(always)]
    pub(super) fn resume_reading(&mut self, io: &mut Io, key: SocketKey) -> bool {
        if self.is_paused {
            self.is_paused = false;
            io.resume_reading(key);
            return true;
        }
        false
    }

    pub(super) fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Queues a message, compressed if that was agreed on and makes it shorter.
    pub(super) fn send(&mut self, message: Message<'_>, key: SocketKey, rooms: &mut RoomTable) {
        let before = self.queue.bytes();
        match rooms.compress_for(self.window, message) {
            Some(frame) => self.queue.push(frame),
            None => write_frame(message, self.queue.buffer()),
        }
        rooms.count_frame(key, self.queue.bytes() - before, true);
    }

    /// Whether a message in fragments has begun and not ended.
    #[inline(always)]
    pub(super) fn is_sending_fragments(&self) -> bool {
        self.message.is_under_way()
    }

    /// Queues one fragment of a message, uncompressed. From the first one to the last, the rooms write nothing to the client.
    pub(super) fn send_fragment(
        &mut self,
        fragment: Fragment<'_>,
        key: SocketKey,
        rooms: &mut RoomTable,
    ) -> Result<(), SendError> {
        let was_under_way = self.message.is_under_way();
        let opcode = self.message.add(fragment)?;
        let before = self.queue.bytes();
        write_fragment(fragment, opcode, self.queue.buffer());
        let (bytes, is_last) = (self.queue.bytes() - before, !self.message.is_under_way());
        rooms.count_frame(key, bytes, is_last);
        match (was_under_way, self.message.is_under_way()) {
            (false, true) => rooms.hold(key),
            (true, false) => {
                rooms.release(key);
                self.rooms_wait = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a message in fragments has ended, so that what the rooms have is to be written. True once for each message.
    #[inline(always)]
    pub(super) fn take_rooms_wait(&mut self) -> bool {
        std::mem::take(&mut self.rooms_wait)
    }

    /// Puts the rest of a partly written message before all else in the queue.
    pub(super) fn finish_first(&mut self, rest: Remainder) {
        self.queue.finish_first(rest);
    }

    /// Subscribes to a room, unless it is subscribed.
    ///
    /// # Errors
    /// A limit of rooms is reached.
    pub(super) fn subscribe(
        &mut self,
        room: &str,
        key: SocketKey,
        rooms: &mut RoomTable,
    ) -> Result<(), NotJoined> {
        rooms.subscribe(room, key, self.window, &mut self.subscriptions)
    }

    /// Subscribes to a room, beginning in its past. `head`: the place behind the last message that the room's owner has put in order.
    ///
    /// # Errors
    /// It is subscribed already, or a limit of rooms is reached.
    pub(super) fn subscribe_from(
        &mut self,
        room: &str,
        replay: Replay,
        head: Option<Position>,
        key: SocketKey,
        rooms: &mut RoomTable,
    ) -> Result<Replayed, NotJoined> {
        rooms.subscribe_from(
            room,
            replay,
            head,
            key,
            self.window,
            &mut self.subscriptions,
        )
    }

    /// Ends the subscription to a room, if there is one.
    pub(super) fn unsubscribe(&mut self, room: &str, rooms: &mut RoomTable) {
        if let Some(subscription) = rooms.subscription_in(room, &self.subscriptions) {
            self.subscriptions.remove(subscription);
            if let Some(rest) = rooms.unsubscribe(subscription) {
                self.queue.finish_first(rest);
            }
        }
    }

    /// Writes the queue and what the rooms have for this client, as far as the socket takes them at once and in [`LAST_WRITES_MAX`] writes,
    /// and ends all subscriptions. The rest of a message that is partly written goes into the queue.
    pub(super) fn unsubscribe_all(&mut self, io: &mut Io, key: SocketKey, rooms: &mut RoomTable) {
        self.write_last(io, key, rooms);
        let subscriptions = std::mem::take(&mut self.subscriptions);
        if let Some(first) = subscriptions.as_slice().first() {
            rooms.leaves(key, *first);
        }
        for &subscription in subscriptions.as_slice() {
            if let Some(rest) = rooms.unsubscribe(subscription) {
                self.queue.finish_first(rest);
            }
        }
        if self.message.is_under_way() {
            self.message = FragmentedMessage::default();
            rooms.release(key);
        }
    }

    /// Writes the queue and what the rooms have, as far as the socket takes them in a few writes. A client that reads as fast as that
    /// would hold its worker otherwise, for as long as many rooms have something for it.
    fn write_last(&mut self, io: &mut Io, key: SocketKey, rooms: &mut RoomTable) {
        for _ in 0..LAST_WRITES_MAX {
            if self.finish_messages(io, key, rooms) {
                flush_write_queue(io, key, &mut self.queue);
                self.flush_rooms(io, key, rooms);
            }
            if !io.write_on(key) {
                return;
            }
        }
    }

    /// Writes the rest of messages that are partly written. True: nothing is partly written now, and the queue may follow.
    pub(super) fn finish_messages(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        rooms: &mut RoomTable,
    ) -> bool {
        self.subscriptions
            .as_slice()
            .iter()
            .all(|&subscription| rooms.finish_message(subscription, |_, rest| io.write(key, rest)))
    }

    /// Writes the queue, as far as the socket takes it. Returns a buffer to use again, perhaps one without memory.
    #[inline(always)]
    pub(super) fn flush_queue(&mut self, io: &mut Io, key: SocketKey) -> Vec<u8> {
        flush_write_queue(io, key, &mut self.queue)
    }

    /// Writes what the rooms have for this client.
    pub(super) fn flush_rooms(&mut self, io: &mut Io, key: SocketKey, rooms: &mut RoomTable) {
        for &subscription in self.subscriptions.as_slice() {
            rooms.flush_one(subscription, |_, backlog| write_backlog(io, key, backlog));
        }
    }

    /// The queue, with what is still to be written.
    pub(super) fn into_queue(self) -> WriteQueue {
        self.queue
    }
}

/// So many writes, of [`Io::WRITE_BYTES_MAX`] each or of half as much through TLS, are made for what a client gets before its Close: 1.25 MiB, more
/// than a subscriber is behind in one room by default.
const LAST_WRITES_MAX: usize = 20;

/// Writes what the socket takes of a write queue. Returns a buffer to use again, perhaps one without memory.
#[inline(always)]
pub(super) fn flush_write_queue(io: &mut Io, key: SocketKey, queue: &mut WriteQueue) -> Vec<u8> {
    let written = match queue.slices() {
        [[], []] => 0,
        [[], buffer] => io.write(key, buffer),
        [remainder, buffer] => {
            io.write_slices(key, &[IoSlice::new(remainder), IoSlice::new(buffer)])
        }
    };
    queue.advance(written)
}

/// Writes what a subscription has not got: nearly always one slice and one system call. Inlined, as all on the way to that
/// call.
#[inline(always)]
pub(super) fn write_backlog(io: &mut Io, key: SocketKey, backlog: Backlog<'_>) -> usize {
    if let Some(bytes) = backlog.contiguous() {
        return io.write(key, bytes);
    }
    let mut slices = [IoSlice::new(&[]); Backlog::SLICES_MAX];
    let mut count = 0;
    for (place, slice) in slices.iter_mut().zip(backlog.slices()) {
        *place = IoSlice::new(slice);
        count += 1;
    }
    io.write_slices(key, &slices[..count])
}

/// A client's address, in half the size of a [`PeerAddress`] for IPv4.
#[derive(Clone, Debug)]
enum CompactAddress {
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
    Unix,
}

impl From<PeerAddress> for CompactAddress {
    fn from(address: PeerAddress) -> CompactAddress {
        match address.socket_address() {
            Some(SocketAddr::V4(address)) => CompactAddress::V4(address),
            Some(SocketAddr::V6(address)) => CompactAddress::V6(Box::new(address)),
            None => CompactAddress::Unix,
        }
    }
}

impl CompactAddress {
    fn get(&self) -> PeerAddress {
        match self {
            CompactAddress::V4(address) => SocketAddr::V4(*address).into(),
            CompactAddress::V6(address) => SocketAddr::V6(**address).into(),
            CompactAddress::Unix => PeerAddress::Unix,
        }
    }
}
