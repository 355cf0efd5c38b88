//! [`Io`]: what an application can do with the reactor's sockets and time.
//!
//! No method calls the application, so callbacks never nest. An event that a method causes (a
//! write failed, a socket was adopted) is deferred: the turn delivers it later, see
//! [the turn](super#the-turn).

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};

use super::calls::{
    SocketOptions, has_unsent, send, set_acknowledgement_timeout, set_unsent_bytes_max,
};
use super::channel::{Channel, SECURED_WRITE_BYTES_MAX, SecuredSockets};
use super::limit::{ConnectionLimit, CountedConnections, LimitReached};
use super::listener::{Accepted, AcceptedConnection, Acceptors, LISTENERS_MAX};
use super::peer_address::PeerAddress;
use super::shares::{Budget, Shares};
use super::socket::{ReadOutcome, SOCKETS_MAX, Slab, Socket, SocketKey};
use super::unread::{Unread, UnreadRest};
use super::wheel::Wheel;
use crate::time::{Clock, Timestamp};

/// The reactor's sockets, deadlines and clock; an argument of each callback.
///
/// A method that is given the key of a closed socket does nothing, and returns 0 if it
/// returns a count.
pub struct Io {
    poll: Poll,
    clock: Clock,
    now: Timestamp,
    /// The same to the nanosecond.
    woken_at: Instant,
    turns: u64,
    sockets: Slab,
    sockets_max: usize,
    /// Of a socket that is adopted; the others have it from their listener.
    options: SocketOptions,
    counted: CountedConnections,
    /// Open sockets that are not among `counted`: they were refused.
    refused: usize,
    wheel: Wheel,
    alarm: Option<Timestamp>,
    acceptors: Acceptors,
    /// Sockets with bytes to read, each once; some may have been closed.
    ready: Vec<SocketKey>,
    /// Sockets that had more to read than their budget of a turn, each once.
    again: Vec<SocketKey>,
    /// This turn serves no `writable` socket, because others have become ready to be read.
    postpones_writes: bool,
    shares: Shares,
    /// Of the sockets that this turn reads, those from here on are of `again`.
    again_from: usize,
    /// Sockets that can be written again, and that the application has not been told of, each once.
    writable: VecDeque<SocketKey>,
    /// Messages wait that the application has not taken.
    messages_wait: bool,
    /// An event of the mailbox, and one of the waker, that the turn has not used.
    mailbox_edge: bool,
    waker_edge: bool,
    /// For the events that come in the middle of a turn; empty between two looks.
    early_events: Events,
    /// Bytes that were written, and calls of `write`; both wrap around.
    written_bytes: u64,
    writes: u64,
    /// Those of the written bytes that were sealed; wraps around.
    sealed_bytes: u64,
    /// Bytes that were read; wraps around.
    read_bytes: u64,
    /// The same when the turn began.
    read_bytes_before: u64,
    /// How many sockets this turn reads.
    sockets_read: usize,
    deferred: VecDeque<Deferred>,
    /// Bytes that were read and that the application left.
    unread: Unread,
    secured: SecuredSockets,
    /// The remaining budget of the socket that is being read, in bytes.
    budget: usize,
    has_short_budget: bool,
    /// What it has read since the last look for other sockets. Bytes of a secured socket count three times.
    step_bytes: usize,
    /// How many of the bytes in the current `received` the application leaves.
    left_bytes: usize,
    /// The application is called again in a later turn, with these bytes or without any.
    is_received_again: bool,
    /// How many of them stay in the buffer, for the next read.
    staying_bytes: usize,
    /// How many of the first of them have stayed in the buffer before.
    stayed_bytes: usize,
    /// How many bytes further reads may bring behind them, if the budget lets them.
    room_bytes: usize,
    stopping: bool,
}

/// An event that is delivered later in the turn.
pub(super) enum Deferred {
    Opened(SocketKey, PeerAddress),
    Failed(SocketKey, io::Error),
    /// The peer has sent its last byte, and the socket is paused.
    EndHidden(SocketKey),
}

/// For the application.
impl Io {
    /// The time of this turn: read once, when the reactor wakes up.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The current time of day: for dates that are sent, not for deadlines.
    #[must_use]
    pub fn wall_clock(&self) -> std::time::SystemTime {
        self.clock.wall()
    }

    /// The number of turns, including this one. An idle reactor makes none.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// The number of open sockets.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// How long this turn has taken so far. Cost: it reads the clock.
    #[must_use]
    pub fn elapsed_in_turn(&self) -> Duration {
        self.woken_at.elapsed()
    }

    /// Bytes that the kernel has taken of all sockets; wraps around.
    #[must_use]
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Calls of [`write`](Io::write) and [`write_slices`](Io::write_slices), nearly always one system call each; wraps
    /// around.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// Bytes that have come from all sockets; wraps around.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// What this turn's reads have cost, in bytes of writes: 2 KiB for each socket, and a quarter of their bytes.
    // Only the server divides its turns.
    #[cfg_attr(not(feature = "server"), allow(dead_code))]
    #[must_use]
    pub(crate) fn read_cost_of_turn(&self) -> usize {
        let bytes = self.read_bytes.wrapping_sub(self.read_bytes_before) as usize;
        let sockets = self.sockets_read.saturating_mul(SOCKET_READ_COST_BYTES);
        sockets.saturating_add(bytes / READ_BYTES_PER_WRITTEN)
    }

    /// Looks for events in the middle of a turn, without sleeping: for an application that does long work in steps, and ends it early
    /// if others wait. Returns the sockets that have become ready to be read since the last look; the next turn reads them first. Cost:
    /// one `epoll_wait`.
    #[must_use]
    pub(crate) fn poll_ready(&mut self) -> &[SocketKey] {
        let known = self.ready.len();
        let mut events = std::mem::replace(&mut self.early_events, Events::with_capacity(0));
        // After an error, as when a signal comes, there is nothing in it.
        if self.poll.poll(&mut events, Some(Duration::ZERO)).is_ok() {
            for event in &events {
                self.take_event(event);
            }
        }
        events.clear();
        self.early_events = events;
        &self.ready[known..]
    }

    /// The limit that a [refused](super::Application::refused) socket was beyond. `None`: it was not refused.
    #[must_use]
    pub fn refused_by(&mut self, key: SocketKey) -> Option<LimitReached> {
        self.sockets.get_mut(key)?.refused_by()
    }

    /// The number of open sockets that were [refused](super::Application::refused).
    #[must_use]
    pub fn refused_sockets(&self) -> usize {
        self.refused
    }

    /// Counts a [refused](super::Application::refused) socket, which is like one that was [opened](super::Application::opened) from
    /// now on: the application has closed another one for it. False: the limit does not allow it, and nothing has changed.
    #[must_use]
    pub fn admit_refused(&mut self, key: SocketKey, peer: PeerAddress) -> bool {
        let Some(socket) = self.sockets.get_mut(key).filter(|socket| !socket.counted()) else {
            return false;
        };
        if self.counted.acquire(peer, self.now).is_err() {
            return false;
        }
        socket.set_counted();
        self.refused -= 1;
        self.counted.opened(key.index(), peer);
        true
    }

    /// Writes `bytes` until the kernel accepts no more, and returns how many it accepted. If
    /// these are fewer, keep the rest and continue in
    /// [`writable`](super::Application::writable); until then a write returns 0 without a
    /// system call. If the connection has failed, all writes return 0, and
    /// [`ended`](super::Application::ended) is called later in this turn, or in the next one
    /// without sleeping.
    ///
    /// At most [`WRITE_BYTES_MAX`](Io::WRITE_BYTES_MAX) are accepted at once, of a [secured](Io::secure) socket half as many, so that a long write
    /// does not delay the other sockets; [`writable`](super::Application::writable) follows when it is this socket's turn again.
    ///
    /// One `send` call, and a second one if the first was partial. Nothing is copied or kept
    /// here.
    #[inline(always)]
    pub fn write(&mut self, key: SocketKey, bytes: &[u8]) -> usize {
        if self.is_secured(key) {
            return self.write_secured(key, &[IoSlice::new(bytes)]);
        }
        let offered = bytes.len().min(Io::WRITE_BYTES_MAX);
        self.write_with(key, offered, bytes.len(), |stream, written| {
            send(stream, &bytes[written..offered])
        })
    }

    /// As [`write`](Io::write), of several slices as if they were one. Any number is allowed,
    /// also empty slices. One `writev` call for as many as the system accepts at once (1024 on
    /// Linux). More bytes than one write may have are left out by whole slices.
    pub fn write_slices(&mut self, key: SocketKey, slices: &[IoSlice<'_>]) -> usize {
        if self.is_secured(key) {
            return self.write_secured(key, slices);
        }
        let total = slices.iter().map(|slice| slice.len()).sum();
        if total <= Io::WRITE_BYTES_MAX {
            return self.write_with(key, total, total, |stream, written| {
                write_from(stream, slices, written)
            });
        }
        let (count, offered) = within_one_write(slices);
        if count == 0 {
            // The first one with any bytes is too long.
            let first = slices.iter().find(|slice| !slice.is_empty());
            return first.map_or(0, |first| self.write(key, first));
        }
        self.write_with(key, offered, total, |stream, written| {
            write_from(stream, &slices[..count], written)
        })
    }

    /// The most that one call of [`write`](Io::write) accepts: 100 µs on the machine where 1 MiB takes 1.6 ms.
    pub const WRITE_BYTES_MAX: usize = 64 << 10;

    /// Offers `offered` bytes of `total`.
    #[inline(always)]
    fn write_with(
        &mut self,
        key: SocketKey,
        offered: usize,
        total: usize,
        write: impl FnMut(&mut TcpStream, usize) -> io::Result<usize>,
    ) -> usize {
        let Some(socket) = self.sockets.get_mut(key) else {
            return 0;
        };
        let (written, failure) = socket.write(offered, write);
        self.written_bytes = self.written_bytes.wrapping_add(written as u64);
        self.writes = self.writes.wrapping_add(1);
        if written < total {
            match written == offered {
                true => self.pace(key),
                false => self.not_written(key, failure),
            }
        }
        written
    }

    /// A write was as long as one may be, and more is to be written.
    #[cold]
    fn pace(&mut self, key: SocketKey) {
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.pace();
            self.writable.push_back(key);
        }
    }

    /// Whether the kernel accepts bytes, and the socket waits until [`writable`](super::Application::writable) is called for it: others
    /// are served first.
    #[must_use]
    pub fn awaits_turn(&mut self, key: SocketKey) -> bool {
        let socket = self.sockets.get_mut(key);
        socket.is_some_and(|socket| socket.awaits_turn())
    }

    /// The socket may be written again at once, although its last write was as long as one may be: for its last bytes. False: the kernel
    /// accepts no more, or that write was shorter.
    pub fn write_on(&mut self, key: SocketKey) -> bool {
        self.sockets.get_mut(key).is_some_and(Socket::end_pace)
    }

    /// A write was partial, because the kernel accepts no more or the connection has failed.
    #[cold]
    fn not_written(&mut self, key: SocketKey, failure: Option<io::Error>) {
        let failure = failure.or_else(|| self.watch_writable(key).err());
        if let Some(error) = failure {
            self.deferred.push_back(Deferred::Failed(key, error));
        }
    }

    /// Registers a socket for write edges, if the kernel has accepted all its writes so far. It
    /// stays registered.
    fn watch_writable(&mut self, key: SocketKey) -> io::Result<()> {
        let Some(socket) = self.sockets.get_mut(key) else {
            return Ok(());
        };
        if !socket.begin_watching() {
            return Ok(());
        }
        let (token, interests) = (key.to_token(), READABLE | Interest::WRITABLE);
        let stream = socket.stream_mut();
        let registered = self.poll.registry().reregister(stream, token, interests);
        // Without write edges the socket would stay blocked for ever.
        registered.map_err(|error| socket.broken(error))
    }

    /// Ends writing: sends FIN after the written bytes. Reading continues; a write afterwards
    /// fails.
    ///
    /// Of a [secured](Io::secure) socket: FIN follows the sealed bytes and the channel's end.
    pub fn shutdown_write(&mut self, key: SocketKey) {
        match self.sockets.get_mut(key) {
            Some(socket) if socket.is_secured() => {
                let failure = self.secured.shutdown(key, socket);
                self.after_secured(key, failure);
            }
            Some(socket) => socket.shutdown_write(),
            None => {}
        }
    }

    /// Closes the socket and removes its deadline. There is no further callback for this key,
    /// even if the kernel has already reported an event.
    ///
    /// The written bytes are still sent. But if bytes from the peer have not been read, the
    /// kernel resets the connection, and the peer may lose bytes that it has not read yet. To
    /// avoid this, call [`shutdown_write`](Io::shutdown_write), and close after
    /// [`ended`](super::Application::ended).
    ///
    /// Sealed bytes of a [secured](Io::secure) socket that the kernel has not accepted
    /// ([`has_sealed`](Io::has_sealed)) are lost. If there are none, the channel's end is sent.
    pub fn close(&mut self, key: SocketKey) {
        let Some(mut socket) = self.sockets.remove(key) else {
            return;
        };
        if socket.is_secured() {
            // An error means that the connection has ended.
            let _ = self.secured.shutdown(key, &mut socket);
            self.secured.remove(key);
        }
        if !socket.counted() {
            self.refused -= 1;
        } else {
            self.counted.closed(key.index());
        }
        self.wheel.clear(key.slot());
        drop(self.unread.take(key));
        // Closing the descriptor deregisters it, unless it was duplicated before it was
        // adopted. An error means that it is not registered any more.
        let _ = self.poll.registry().deregister(socket.stream_mut());
        self.acceptors.socket_closed();
    }

    /// Adds a connected stream to the reactor as if it had been accepted here: it counts as a
    /// socket and gets `TCP_NODELAY`, and [`opened`](super::Application::opened) is its first
    /// callback, in this turn or (without sleeping) the next. It can be written at once.
    ///
    /// # Errors
    ///
    /// The maximum number of sockets is open in this reactor, or in all reactors that share
    /// the limit; the stream is not connected; or the system cannot register it. The stream
    /// is then closed.
    pub fn adopt(&mut self, stream: std::net::TcpStream) -> io::Result<SocketKey> {
        if !self.has_room() {
            return Err(no_room());
        }
        let AcceptedConnection { stream, peer, .. } = stream.try_into()?;
        set_options(&stream, self.options);
        if self.counted.acquire(peer, self.now).is_err() {
            return Err(io::Error::other("the connection limit is reached"));
        }
        let key = self.insert(stream, peer, None, 0)?;
        self.deferred.push_back(Deferred::Opened(key, peer));
        Ok(key)
    }

    /// As [`adopt`](Io::adopt), of a connection that another reactor
    /// [accepted](super::Application::accepted), or another part of the program. Beyond the shared limit it is
    /// [`refused`](super::Application::refused), as it would have been there.
    ///
    /// # Errors
    ///
    /// The maximum number of sockets is open in this reactor, or the system cannot register
    /// it. The connection is then closed.
    pub fn adopt_accepted(&mut self, connection: AcceptedConnection) -> io::Result<SocketKey> {
        if !self.has_room() {
            return Err(no_room());
        }
        let peer = connection.peer;
        if !connection.has_options {
            set_options(&connection.stream, self.options);
        }
        let refused_by = self.counted.acquire(peer, self.now).err();
        let key = self.insert(connection.stream, peer, refused_by, connection.label)?;
        self.deferred.push_back(Deferred::Opened(key, peer));
        Ok(key)
    }

    /// The connection is of another other end than its socket shows, such as a client of the proxy at that address:
    /// from now on the [limit of each address](super::ConnectionLimit::per_address) counts it for that one. False: that address has its
    /// maximum already, and nothing has changed.
    pub fn count_for(&mut self, key: SocketKey, peer: PeerAddress) -> bool {
        // One that was refused is not counted at all.
        !self.is_counted(key) || self.counted.count_for(key.index(), peer)
    }

    /// Stops reading. When the kernel's buffer is full, the peer has to wait. A failure of the
    /// connection is reported only when it is read or written again.
    pub fn pause_reading(&mut self, key: SocketKey) {
        let socket = self.sockets.get_mut(key);
        if socket.is_some_and(|socket| !socket.set_paused(true)) {
            self.report_hidden_end(key);
        }
    }

    /// The peer has sent its last byte, and the application does not read so far.
    #[inline]
    fn report_hidden_end(&mut self, key: SocketKey) {
        let socket = self.sockets.get_mut(key);
        if socket.is_some_and(|socket| socket.hides_end()) {
            self.deferred.push_back(Deferred::EndHidden(key));
        }
    }

    /// Continues reading, beginning with the bytes that have arrived meanwhile.
    pub fn resume_reading(&mut self, key: SocketKey) {
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.set_paused(false);
        }
        self.queue(key);
    }

    /// As [`resume_reading`](Io::resume_reading), of sockets that have waited: they are read in
    /// this order, and before all other ready sockets.
    pub fn resume_reading_first(&mut self, keys: impl IntoIterator<Item = SocketKey>) {
        let others = std::mem::take(&mut self.ready);
        for key in keys {
            self.resume_reading(key);
        }
        self.ready.extend(others);
    }

    /// Charges the socket that is being read for further work, as if it had read so many more
    /// bytes in this turn.
    #[inline]
    pub fn charge(&mut self, bytes: usize) {
        self.budget = self.budget.saturating_sub(bytes);
    }

    /// Whether the socket that is being read has budget left in this turn. If not, the
    /// application [leaves](Io::leave_unread) the bytes that it has not processed.
    #[must_use]
    #[inline]
    pub fn has_budget(&self) -> bool {
        self.budget > 0
    }

    /// In [`received`](super::Application::received): the application has not processed the
    /// last `count` bytes. They are passed to `received` again, before any further bytes of
    /// this socket, when it is read again: after the other ready sockets, or when it is
    /// resumed. Costs a copy of these bytes. They are discarded when the socket is closed or
    /// has failed.
    pub fn leave_unread(&mut self, count: usize) {
        self.left_bytes = count;
    }

    /// In [`received`](super::Application::received): it is called again when the socket is read again, with the bytes that it
    /// [leaves](Io::leave_unread) or without any, before further bytes: for an application that has work of what it
    /// has processed left over. Not in [`filled`](super::Application::filled).
    pub fn receive_again(&mut self) {
        self.is_received_again = true;
    }

    /// In [`received`](super::Application::received): how many bytes of this socket may still
    /// come in this turn behind those that were passed. 0: the socket had no more, its budget
    /// is used up, or the buffer is full.
    #[must_use]
    #[inline]
    pub fn more_bytes_max(&self) -> usize {
        self.room_bytes.min(self.budget)
    }

    /// In [`received`](super::Application::received): the last `count` bytes are the beginning
    /// of something that is not whole. They stay where they are, the next read comes behind
    /// them, and both are passed together. If the socket has no more in this turn, they are
    /// passed once more by themselves, and [`Io::more_bytes_max`] is 0.
    ///
    /// Not if it is 0 now: then they are taken as processed.
    #[inline]
    pub fn await_more(&mut self, count: usize) {
        if self.room_bytes > 0 {
            self.staying_bytes = count;
        }
    }

    /// In [`received`](super::Application::received): how many of the first bytes have been
    /// passed before, and have [stayed](Io::await_more). 0 when it is called again.
    #[inline]
    pub fn take_stayed_bytes(&mut self) -> usize {
        std::mem::take(&mut self.stayed_bytes)
    }

    /// The memory of the unread bytes of all sockets.
    #[must_use]
    pub fn unread_bytes(&self) -> usize {
        self.unread.bytes()
    }

    /// Secures a socket: from now on `channel` opens what comes from the peer and seals what is
    /// written. `received`: bytes of the peer that were received already and are for the channel.
    /// The reads of the reactor must have 32 KiB
    /// ([`ReactorConfig::read_buffer_bytes`](super::ReactorConfig::read_buffer_bytes)).
    ///
    /// A write returns 0 until the channel is established;
    /// [`writable`](super::Application::writable) is called then.
    pub fn secure(&mut self, key: SocketKey, channel: Box<dyn Channel>, received: &[u8]) {
        let Some(socket) = self.sockets.get_mut(key) else {
            return;
        };
        let failure = self.secured.insert(key, socket, channel, received);
        self.after_secured(key, failure);
        self.queue(key);
    }

    /// Whether the socket is [secured](Io::secure).
    #[inline(always)]
    pub fn is_secured(&mut self, key: SocketKey) -> bool {
        let socket = self.sockets.get_mut(key);
        socket.is_some_and(|socket| socket.is_secured())
    }

    /// Whether bytes of a [secured](Io::secure) socket are sealed and wait for the kernel.
    #[must_use]
    pub fn has_sealed(&self, key: SocketKey) -> bool {
        self.secured.has_output(key)
    }

    /// The memory of secured sockets besides their channels: records that have arrived in part, and sealed bytes that wait for
    /// the kernel.
    #[must_use]
    pub fn secured_bytes(&self) -> usize {
        self.secured.bytes()
    }

    /// The same of one socket.
    #[must_use]
    pub fn secured_bytes_of(&self, key: SocketKey) -> usize {
        self.secured.bytes_of(key)
    }

    /// The [label](super::Listener::with_label) of the listener that has accepted the socket; 0 for one that was adopted.
    pub fn label(&mut self, key: SocketKey) -> u8 {
        self.sockets.get_mut(key).map_or(0, |socket| socket.label())
    }

    /// Whether written bytes have not been sent, because the peer or the path to it accepts no
    /// more at the moment. Always false on systems other than Linux, which cannot tell. Costs
    /// some system calls: use it when a deadline has come, not for each message.
    pub fn has_unsent(&mut self, key: SocketKey) -> bool {
        if self.secured.has_output(key) {
            return true;
        }
        let socket = self.sockets.get_mut(key);
        socket.is_some_and(|socket| has_unsent(socket.stream_mut()).unwrap_or(false))
    }

    /// Makes the kernel end the connection if it could not send for `timeout`, or if nothing
    /// that it sent was acknowledged; [`ended`](super::Application::ended) then reports "timed
    /// out". In whole milliseconds, and not before the kernel's next attempt to send. `None`:
    /// that of [`ReactorConfig`](super::ReactorConfig), which also counts if it is shorter. Returns false on systems other than Linux, which do not support
    /// it.
    pub fn set_acknowledgement_timeout(
        &mut self,
        key: SocketKey,
        timeout: Option<Duration>,
    ) -> bool {
        let timeouts = [timeout, self.options.acknowledgement_timeout];
        let timeout = timeouts.into_iter().flatten().min();
        let socket = self.sockets.get_mut(key);
        socket.is_some_and(|socket| set_acknowledgement_timeout(socket.stream_mut(), timeout))
    }

    /// Sets the socket's only deadline and replaces an earlier one. At `at`, or in the first
    /// turn after it, [`timer`](super::Application::timer) is called once; if `at` has passed,
    /// in the next turn. O(1), no allocation.
    pub fn set_deadline(&mut self, key: SocketKey, at: Timestamp) {
        if self.sockets.contains(key) {
            self.wheel.set(key.slot(), at);
        }
    }

    /// Removes the socket's deadline: its timer is not called. O(1).
    pub fn clear_deadline(&mut self, key: SocketKey) {
        if self.sockets.contains(key) {
            self.wheel.clear(key.slot());
        }
    }

    /// Sets, moves or (with `None`) removes the application's own deadline, at which
    /// [`alarm`](super::Application::alarm) is called once.
    pub fn set_alarm(&mut self, at: Option<Timestamp>) {
        self.alarm = at;
    }

    /// Closes the listeners: the system refuses new connections and resets those in the
    /// backlog. The files of Unix sockets are removed. Open sockets stay.
    pub fn stop_accepting(&mut self) {
        self.acceptors.close(self.poll.registry(), false);
    }

    /// As [`stop_accepting`](Io::stop_accepting), when another program has copies of the listeners: it accepts the connections
    /// in the backlog, and the files of Unix sockets stay.
    pub fn leave_accepting(&mut self) {
        self.acceptors.close(self.poll.registry(), true);
    }

    /// Makes [`run`](super::Reactor::run) return at the end of this turn, after the messages that were sent before this call.
    /// They are followed by one more call of [`turn_ended`](super::Application::turn_ended). Sockets stay open, and later messages
    /// wait, until the reactor runs again or is dropped.
    pub fn stop(&mut self) {
        self.stopping = true;
    }
}

/// For the turn.
impl Io {
    #[cfg(unix)]
    pub(super) fn own_files(&mut self) {
        self.acceptors.own_files();
    }

    #[cfg(unix)]
    pub(super) fn copies_of_listeners(&self) -> io::Result<Vec<super::Listener>> {
        self.acceptors.copies()
    }

    pub(super) fn new(
        poll: Poll,
        acceptors: Acceptors,
        connections_max: usize,
        limit: Option<ConnectionLimit>,
        options: SocketOptions,
    ) -> Io {
        Io {
            options,
            counted: CountedConnections::new(limit),
            refused: 0,
            poll,
            clock: Clock::start(),
            now: Timestamp(0),
            woken_at: Instant::now(),
            turns: 0,
            sockets: Slab::new(),
            sockets_max: connections_max.min(SOCKETS_MAX),
            wheel: Wheel::new(),
            alarm: None,
            acceptors,
            ready: Vec::new(),
            again: Vec::new(),
            postpones_writes: false,
            shares: Shares::default(),
            again_from: 0,
            writable: VecDeque::new(),
            messages_wait: false,
            mailbox_edge: false,
            waker_edge: false,
            early_events: Events::with_capacity(EARLY_EVENTS_MAX),
            written_bytes: 0,
            writes: 0,
            sealed_bytes: 0,
            read_bytes: 0,
            read_bytes_before: 0,
            sockets_read: 0,
            deferred: VecDeque::new(),
            unread: Unread::default(),
            secured: SecuredSockets::default(),
            budget: 0,
            has_short_budget: false,
            step_bytes: 0,
            left_bytes: 0,
            is_received_again: false,
            staying_bytes: 0,
            stayed_bytes: 0,
            room_bytes: 0,
            stopping: false,
        }
    }

    /// Sleeps until there is work, reads the clock, and updates everything that depends on
    /// the time.
    pub(super) fn sleep(&mut self, events: &mut Events) -> io::Result<()> {
        loop {
            let timeout = self.time_to_sleep();
            match self.poll.poll(events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        }
        self.turns += 1;
        self.read_bytes_before = self.read_bytes;
        self.secured.begin_turn();
        self.woken_at = Instant::now();
        self.now = self.clock.at(self.woken_at);
        self.wheel.advance(self.now);
        self.acceptors.advance(self.now);
        Ok(())
    }

    /// Zero if there is work; `None` (without limit) if nothing is pending.
    fn time_to_sleep(&self) -> Option<Duration> {
        let has_ready = !(self.ready.is_empty() && self.again.is_empty());
        if has_ready
            || self.messages_wait
            || self.mailbox_edge
            || self.waker_edge
            || !(self.writable.is_empty() && self.deferred.is_empty())
        {
            return Some(Duration::ZERO);
        }
        let attempt = self.acceptors.next_attempt();
        [self.wheel.next_deadline(), self.alarm, attempt]
            .into_iter()
            .flatten()
            .min()
            .map(|at| self.clock.until(at).min(SLEEP_MAX))
    }

    /// Remembers an event.
    pub(super) fn take_event(&mut self, event: &Event) {
        match event.token() {
            MAILBOX => self.mailbox_edge = true,
            WAKER => self.waker_edge = true,
            token if token.0 > LISTENERS_ABOVE => self.acceptors.edge(FIRST_LISTENER, token),
            _ => self.take_edges(event),
        }
    }

    /// Whether the mailbox may have messages; true once for each event.
    pub(super) fn take_mailbox_edge(&mut self) -> bool {
        std::mem::take(&mut self.mailbox_edge)
    }

    /// Whether the waker has woken the reactor; true once for each event.
    pub(super) fn take_waker_edge(&mut self) -> bool {
        std::mem::take(&mut self.waker_edge)
    }

    /// Remembers the edges of a socket's event.
    fn take_edges(&mut self, event: &Event) {
        let Some(key) = self.sockets.key_of(event.token()) else {
            return;
        };
        let writable = self
            .sockets
            .get_mut(key)
            .is_some_and(|socket| socket.take_edges(event));
        self.queue(key);
        self.report_hidden_end(key);
        if writable {
            self.writable.push_back(key);
        }
    }

    /// The next socket for which to call `writable`.
    pub(super) fn next_writable(&mut self) -> Option<SocketKey> {
        while let Some(key) = self.writable.pop_front() {
            if self.sockets.get_mut(key).is_some_and(Socket::end_block) {
                self.send_sealed(key);
                return Some(key);
            }
        }
        None
    }

    /// What all writes have cost so far: their bytes, twice if they were sealed, and [`WRITE_CALL_COST_BYTES`] each; wraps around.
    pub(super) fn write_cost(&self) -> usize {
        let calls = (self.writes as usize).wrapping_mul(WRITE_CALL_COST_BYTES);
        let bytes = self.written_bytes.wrapping_add(self.sealed_bytes) as usize;
        bytes.wrapping_add(calls)
    }

    /// Whether the application has not taken all of its messages, so that the next turn begins at once.
    pub(super) fn set_messages_wait(&mut self, wait: bool) {
        self.messages_wait = wait;
    }

    /// The next connection, which is not registered yet.
    pub(super) fn accept(&mut self) -> Accepted<AcceptedConnection> {
        let room = self.has_room();
        self.acceptors.accept(self.now, room)
    }

    /// Registers a connection that was accepted here.
    pub(super) fn register(&mut self, connection: AcceptedConnection) -> Option<SocketKey> {
        let peer = connection.peer;
        let refused_by = self.counted.acquire(peer, self.now).err();
        let AcceptedConnection { stream, label, .. } = connection;
        if let Ok(key) = self.insert(stream, peer, refused_by, label) {
            return Some(key);
        }
        // The kernel cannot register another socket; this connection is lost.
        self.acceptors.back_off(self.now);
        None
    }

    fn has_room(&self) -> bool {
        self.sockets.len() < self.sockets_max
    }

    /// Whether the limit counts this socket; if not, it was refused.
    pub(super) fn is_counted(&mut self, key: SocketKey) -> bool {
        self.sockets
            .get_mut(key)
            .is_some_and(|socket| socket.counted())
    }

    /// The one place where a socket is added: registered for reading as long as it is open, and
    /// for writing from its first blocked write on. `refused_by`: the limit that does not allow it. If the
    /// socket cannot be registered, the count is released.
    fn insert(
        &mut self,
        mut stream: TcpStream,
        peer: PeerAddress,
        refused_by: Option<LimitReached>,
        label: u8,
    ) -> io::Result<SocketKey> {
        let key = self.sockets.next_key();
        let registered = self
            .registry()
            .register(&mut stream, key.to_token(), READABLE);
        if let Err(error) = registered {
            if refused_by.is_none() {
                self.counted.release(peer);
            }
            return Err(error);
        }
        let mut socket = Socket::new(stream, refused_by, label);
        if peer == PeerAddress::Unix {
            socket.reads_end_early();
        }
        self.sockets.insert(socket);
        match refused_by {
            None => self.counted.opened(key.index(), peer),
            Some(_) => self.refused += 1,
        }
        Ok(key)
    }

    pub(super) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Adds the socket to the ready list, if it wants to be read and is not in the list.
    pub(super) fn queue(&mut self, key: SocketKey) {
        if self.sockets.get_mut(key).is_some_and(Socket::enter_queue) {
            self.ready.push(key);
        }
    }

    /// Adds a socket that has used its budget of this turn to the list behind the sockets that
    /// become ready, if it wants to be read again.
    pub(super) fn queue_again(&mut self, key: SocketKey) {
        if self.sockets.get_mut(key).is_some_and(Socket::enter_queue) {
            self.again.push(key);
        }
    }

    /// Decides whether this turn does long work. While other sockets become ready, sockets that can be written again are served in every
    /// second turn only, and sockets that have used their budget are read again when the others have had some turns ([`Shares`]): the
    /// others are answered first, and a turn of theirs is short.
    pub(super) fn order_work(&mut self) {
        let has_ready = self.has_ready();
        self.postpones_writes = has_ready && !self.writable.is_empty() && !self.postpones_writes;
        self.shares.begin_turn(has_ready, !self.again.is_empty());
    }

    /// Whether this turn serves no socket that can be written again.
    pub(super) fn postpones_writes(&self) -> bool {
        self.postpones_writes
    }

    /// Whether sockets have become ready that the turn has not read.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Moves the sockets that are read in this turn to `reading`, which is empty.
    pub(super) fn take_ready(&mut self, reading: &mut Vec<SocketKey>) {
        std::mem::swap(&mut self.ready, reading);
        self.again_from = reading.len();
        if self.shares.reads_them() {
            reading.append(&mut self.again);
        }
        self.sockets_read = reading.len();
    }

    /// The budget of a socket that this turn reads, by its place among them.
    #[inline(always)]
    pub(super) fn budget_of(&self, place: usize, bytes: usize) -> Budget {
        match place < self.again_from {
            true => Budget::whole(bytes),
            false => self.shares.budget_of_them(bytes),
        }
    }

    pub(super) fn leave_queue(&mut self, key: SocketKey) {
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.leave_queue();
        }
    }

    /// Sets the budget of the socket that is read next.
    #[inline(always)]
    pub(super) fn begin_budget(&mut self, budget: Budget) {
        self.budget = budget.bytes;
        self.has_short_budget = budget.is_short;
        self.step_bytes = 0;
    }

    /// Whether the socket that is being read has read so much that it is time to look for others; true once.
    #[inline(always)]
    pub(super) fn take_step(&mut self) -> bool {
        let is_over = self.step_bytes >= READ_STEP_BYTES;
        if is_over {
            self.step_bytes = 0;
        }
        is_over
    }

    #[inline(always)]
    pub(super) fn budget(&self) -> usize {
        self.budget
    }

    /// The size of the next read: small while many bytes are unread.
    #[inline(always)]
    pub(super) fn read_size(&self, buffer_bytes: usize) -> usize {
        let size = self.budget.min(buffer_bytes);
        match self.unread.bytes() <= UNREAD_BYTES_MAX {
            true => size,
            false => size.min(SMALL_READ_BYTES),
        }
    }

    /// `count` bytes are passed to the application. Behind `stayed` others that were passed
    /// before, and with room for so many more.
    #[inline(always)]
    pub(super) fn begin_received(&mut self, count: usize, stayed: usize, room_bytes: usize) {
        self.charge(count);
        self.left_bytes = 0;
        self.is_received_again = false;
        self.staying_bytes = 0;
        self.stayed_bytes = stayed;
        self.room_bytes = room_bytes;
    }

    /// How many of the bytes that were passed stay in the buffer.
    #[inline(always)]
    pub(super) fn staying_bytes(&self) -> usize {
        self.staying_bytes
    }

    /// How many of them the application has left.
    #[inline(always)]
    pub(super) fn left_unread(&self, count: usize) -> usize {
        self.left_bytes.min(count)
    }

    /// Whether the application is called again.
    #[inline(always)]
    pub(super) fn is_received_again(&self) -> bool {
        self.is_received_again
    }

    /// Whether the socket is open.
    pub(super) fn is_open(&mut self, key: SocketKey) -> bool {
        self.sockets.contains(key)
    }

    /// Keeps the bytes that the application has left of a read.
    pub(super) fn keep_unread(&mut self, key: SocketKey, left: &[u8]) {
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.set_unread(true);
            self.unread.keep(key, left, self.is_received_again);
        }
    }

    /// The bytes that the application has left of an earlier read, if the socket may be read.
    #[inline(always)]
    pub(super) fn take_unread(&mut self, key: SocketKey) -> Option<UnreadRest> {
        if self.unread.is_empty() {
            return None;
        }
        let socket = self
            .sockets
            .get_mut(key)
            .filter(|socket| socket.wants_read())?;
        socket.set_unread(false);
        self.unread.take(key)
    }

    /// Keeps the rest of them, if it is not empty.
    pub(super) fn put_unread(&mut self, key: SocketKey, rest: UnreadRest) {
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.set_unread(!rest.is_used_up());
            self.unread.put(key, rest);
        }
    }

    /// Reads at most `size` bytes. A secured socket reads about as many, and may bring more.
    #[inline(always)]
    pub(super) fn read(&mut self, key: SocketKey, buffer: &mut [u8], size: usize) -> ReadOutcome {
        let outcome = match self.sockets.get_mut(key) {
            Some(socket) if socket.is_secured() => self.read_secured(key, buffer, size),
            Some(socket) => socket.read(&mut buffer[..size]),
            None => return ReadOutcome::Nothing,
        };
        self.count_read(&outcome);
        outcome
    }

    /// As `read`, into the room at the end of `buffer`, which has some. A secured socket is not read in this way.
    pub(super) fn read_into(&mut self, key: SocketKey, buffer: &mut Vec<u8>) -> ReadOutcome {
        let outcome = match self.sockets.get_mut(key) {
            Some(socket) if !socket.is_secured() => socket.read_into(buffer),
            _ => return ReadOutcome::Nothing,
        };
        self.count_read(&outcome);
        outcome
    }

    #[inline(always)]
    fn count_read(&mut self, outcome: &ReadOutcome) {
        if let ReadOutcome::Bytes(count) = outcome {
            self.read_bytes = self.read_bytes.wrapping_add(*count as u64);
            self.step_bytes += count;
        }
    }

    // Out of the way of plain sockets.
    #[inline(never)]
    fn read_secured(&mut self, key: SocketKey, buffer: &mut [u8], size: usize) -> ReadOutcome {
        let Some(socket) = self.sockets.get_mut(key) else {
            return ReadOutcome::Nothing;
        };
        // A read is as many records as a plain one of this budget costs.
        let size = match self.has_short_budget {
            true => size.min(self.budget / (1 + OPENING_COST)).max(1),
            false => size,
        };
        let outcome = self.secured.read(key, socket, buffer, size);
        if let ReadOutcome::Bytes(count) = outcome {
            self.step_bytes += count * OPENING_COST;
            if self.has_short_budget {
                self.charge(count * OPENING_COST);
            }
        }
        self.after_secured(key, None);
        if self.secured.take_write_waits(key) {
            self.writable.push_back(key);
        }
        outcome
    }

    #[inline(never)]
    fn write_secured(&mut self, key: SocketKey, slices: &[IoSlice<'_>]) -> usize {
        let Some(socket) = self.sockets.get_mut(key) else {
            return 0;
        };
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let offered = total.min(SECURED_WRITE_BYTES_MAX);
        let (written, failure) = self.secured.write(key, socket, offered, slices);
        self.written_bytes = self.written_bytes.wrapping_add(written as u64);
        self.sealed_bytes = self.sealed_bytes.wrapping_add(written as u64);
        self.writes = self.writes.wrapping_add(1);
        let is_sent = failure.is_none() && !self.secured.has_output(key);
        match is_sent && written == offered && offered < total {
            true => self.pace(key),
            false => self.after_secured(key, failure),
        }
        written
    }

    /// The kernel accepts bytes again: what is sealed goes first.
    #[inline(always)]
    fn send_sealed(&mut self, key: SocketKey) {
        if let Some(socket) = self.sockets.get_mut(key).filter(|one| one.is_secured()) {
            let failure = self.secured.send_output(key, socket);
            self.after_secured(key, failure);
        }
    }

    /// Something was sent on a secured socket: it has failed, or the kernel did not accept all.
    #[inline(always)]
    fn after_secured(&mut self, key: SocketKey, failure: Option<io::Error>) {
        self.not_written(key, failure);
    }

    /// The next deferred event of a socket that is still open.
    pub(super) fn next_deferred(&mut self) -> Option<Deferred> {
        while let Some(deferred) = self.deferred.pop_front() {
            let (Deferred::Opened(key, _) | Deferred::Failed(key, _) | Deferred::EndHidden(key)) =
                &deferred;
            if self.sockets.contains(*key) {
                return Some(deferred);
            }
        }
        None
    }

    /// The next socket whose deadline is due.
    pub(super) fn next_due(&mut self) -> Option<SocketKey> {
        let index = self.wheel.pop_due()?;
        self.sockets.key_at(index)
    }

    /// Whether the application's own deadline has come; true once.
    pub(super) fn take_alarm(&mut self) -> bool {
        let come = self.alarm.is_some_and(|at| at <= self.now);
        if come {
            self.alarm = None;
        }
        come
    }

    /// Whether the application has called [`stop`](Io::stop); true once.
    pub(super) fn take_stop(&mut self) -> bool {
        std::mem::take(&mut self.stopping)
    }
}

/// Open sockets are no longer counted.
impl Drop for Io {
    fn drop(&mut self) {
        for key in self.sockets.keys() {
            if self.is_counted(key) {
                self.counted.closed(key.index());
            }
        }
    }
}

/// Small messages must not wait for each other. An error means that the connection has ended, which the next read reports, or that
/// this is no TCP, which has no such options.
fn set_options(stream: &TcpStream, options: SocketOptions) {
    let _ = stream.set_nodelay(true);
    let _ = set_unsent_bytes_max(stream, options.unsent_bytes_max);
    if let Some(timeout) = options.acknowledgement_timeout {
        let _ = set_acknowledgement_timeout(stream, Some(timeout));
    }
}

fn no_room() -> io::Error {
    io::Error::other("connections_max sockets are open")
}

/// Writes the part of `slices` after the first `written` bytes; it is not empty. A partly
/// written slice is completed by a call of its own, which is rare: the kernel had no more
/// room.
fn write_from(
    stream: &mut impl Write,
    slices: &[IoSlice<'_>],
    written: usize,
) -> io::Result<usize> {
    let (mut rest, mut cut) = (slices, written);
    while let Some((first, others)) = rest.split_first() {
        if cut < first.len() {
            break;
        }
        cut -= first.len();
        rest = others;
    }
    match rest.first() {
        Some(first) if cut > 0 => stream.write(&first[cut..]),
        _ => stream.write_vectored(rest),
    }
}

/// How many of the slices, from the first on, one write may have, and their bytes.
fn within_one_write(slices: &[IoSlice<'_>]) -> (usize, usize) {
    let mut bytes = 0;
    for (count, slice) in slices.iter().enumerate() {
        if bytes + slice.len() > Io::WRITE_BYTES_MAX {
            // Empty ones in front are no write.
            return (if bytes == 0 { 0 } else { count }, bytes);
        }
        bytes += slice.len();
    }
    (slices.len(), bytes)
}

/// What a write costs besides its bytes: a short one on the loopback interface takes 4 µs, as long as copying 16 KiB.
pub(super) const WRITE_CALL_COST_BYTES: usize = 16 << 10;

/// What it costs to read one socket, besides its bytes: as much as a short write.
const SOCKET_READ_COST_BYTES: usize = 2 << 10;

/// Bytes that are read in the time of one that is written: a write on the loopback interface brings its bytes to the receiver, too.
const READ_BYTES_PER_WRITTEN: usize = 4;

/// What one socket reads before the turn looks for others that have become ready: up to 100 µs. Not less, so that a message of 64 KiB with its
/// header is whole in the shared buffer.
const READ_STEP_BYTES: usize = 128 << 10;

/// What it costs to open a byte of a secured socket, in bytes that are read.
const OPENING_COST: usize = 2;

/// Events of one look in the middle of a turn; further ones follow with the next.
const EARLY_EVENTS_MAX: usize = 64;

/// The work after which a turn looks for sockets that have become ready: 100 µs.
pub(super) const STEP_COST_BYTES: usize = 64 << 10;

pub(super) const MAILBOX: Token = Token(usize::MAX);
pub(super) const WAKER: Token = Token(usize::MAX - 1);
/// Of the first listener; the others have the tokens below it.
pub(super) const FIRST_LISTENER: Token = Token(usize::MAX - 2);
/// The tokens of listeners are above this number, and those of sockets below it.
pub(super) const LISTENERS_ABOVE: usize = FIRST_LISTENER.0 - LISTENERS_MAX;
/// With more unread bytes than this, reads are small: otherwise many sockets that leave bytes
/// could make the reactor hold a buffer for each of them.
const UNREAD_BYTES_MAX: usize = 1 << 20;
const SMALL_READ_BYTES: usize = 4 << 10;

/// Bytes to read, and where the system tells it, urgent data among them.
#[cfg(any(target_os = "linux", target_os = "android"))]
const READABLE: Interest = Interest::READABLE.add(Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const READABLE: Interest = Interest::READABLE;

/// The kernel counts a sleep in an `i32` of milliseconds: at most 24 days.
const SLEEP_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::super::channel::{ChannelInput, ChannelState};
    use super::*;
    use std::num::NonZeroUsize;

    fn io() -> Io {
        Io::new(
            Poll::new().unwrap(),
            Acceptors::default(),
            1,
            None,
            SocketOptions::default(),
        )
    }

    fn connection() -> (std::net::TcpStream, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (peer, _) = listener.accept().unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        (stream, peer)
    }

    #[test]
    fn sleep_without_pending_work_has_no_timeout() {
        let mut io = io();
        assert_eq!(io.time_to_sleep(), None);
        let (stream, _peer) = connection();
        let key = io.adopt(stream).unwrap();
        assert!(io.next_deferred().is_some());
        assert_eq!(io.time_to_sleep(), None);
        io.set_deadline(key, Timestamp(60_000));
        assert!(io.time_to_sleep().is_some());
        io.clear_deadline(key);
        assert_eq!(io.time_to_sleep(), None);
        io.set_deadline(key, Timestamp(60_000));
        io.close(key);
        assert_eq!(io.time_to_sleep(), None);
    }

    #[test]
    fn sleep_ends_at_the_nearest_deadline_and_fits_the_kernels_range() {
        let mut io = io();
        io.set_alarm(Some(Timestamp(u64::MAX)));
        assert_eq!(io.time_to_sleep(), Some(SLEEP_MAX));
        assert!(SLEEP_MAX.as_millis() < i32::MAX as u128);
        let (stream, _peer) = connection();
        let key = io.adopt(stream).unwrap();
        assert_eq!(io.time_to_sleep(), Some(Duration::ZERO));
        assert!(io.next_deferred().is_some());
        io.set_deadline(key, Timestamp(60_000));
        assert!(io.time_to_sleep().unwrap() <= Duration::from_secs(60));
        io.set_alarm(Some(Timestamp(0)));
        assert_eq!(io.time_to_sleep(), Some(Duration::ZERO));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn bytes_are_unsent_until_the_peer_reads() {
        use std::io::Read;
        let mut io = io();
        let (stream, mut peer) = connection();
        let key = io.adopt(stream).unwrap();
        assert!(!io.has_unsent(key));
        assert_eq!(io.write(key, b"accepted by the peer kernel"), 27);
        assert!(!io.has_unsent(key));
        let mut written = 27;
        while !io.has_unsent(key) {
            let count = io.write(key, &[0; 64 << 10]);
            assert!(count > 0, "the kernel is full and no bytes are unsent");
            written += count;
        }
        peer.read_exact(&mut vec![0; written]).unwrap();
        // Sent and read: the acknowledgements may still be on the way.
        let empty = (0..10_000_000).any(|_| !io.has_unsent(key));
        assert!(empty, "all bytes are read and some are unsent");
        io.close(key);
        assert!(!io.has_unsent(key));
    }

    #[test]
    fn long_write_is_accepted_in_parts_each_when_the_socket_has_its_turn() {
        use std::io::Read;
        let mut io = io();
        let (stream, mut peer) = connection();
        let key = io.adopt(stream).unwrap();
        let max = Io::WRITE_BYTES_MAX;
        let mut take = |bytes: usize| peer.read_exact(&mut vec![0; bytes]).unwrap();
        assert_eq!(io.write(key, &vec![1; max]), max);
        assert!(io.next_writable().is_none(), "it was not too long");
        take(max);
        assert_eq!(io.write(key, &vec![2; max + 1]), max);
        take(max);
        // The kernel accepts more, and the others come first.
        assert_eq!((io.write(key, &[2]), io.awaits_turn(key)), (0, true));
        assert_eq!(io.time_to_sleep(), Some(Duration::ZERO));
        assert_eq!(io.next_writable(), Some(key));
        assert_eq!(io.write(key, &[2]), 1);
        // Of several slices, those that fit in; of one that is too long, a part.
        let (half, long) = (vec![3; max / 2], vec![4; max + 1]);
        let slices = [&half, &half, &long].map(|slice| IoSlice::new(slice));
        assert_eq!(io.write_slices(key, &slices), max);
        take(max + 1);
        assert!(io.write_on(key), "at once, for the last bytes");
        assert!(!io.write_on(key));
        let slices = [IoSlice::new(&[]), slices[2]];
        assert_eq!(io.write_slices(key, &slices), max);
        take(max);
        assert!(io.next_writable().is_some());
        assert_eq!(io.write_slices(key, &[IoSlice::new(&[4])]), 1);
    }

    /// Seals a byte as itself.
    struct Unchanged;

    impl Channel for Unchanged {
        fn receive(
            &mut self,
            input: &mut [u8],
            opened: &mut dyn FnMut(&[u8]),
            _: &mut Vec<u8>,
        ) -> ChannelInput {
            opened(input);
            ChannelInput {
                consumed_bytes: input.len(),
                state: ChannelState::Open,
            }
        }

        fn seal(&mut self, _: &mut [u8], bytes: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
            output.extend_from_slice(bytes);
            Ok(())
        }

        fn close(&mut self, _: &mut [u8], _: &mut Vec<u8>) {}

        fn is_established(&self) -> bool {
            true
        }
    }

    #[test]
    fn long_write_of_a_secured_socket_is_accepted_in_parts_of_half_the_length() {
        use std::io::Read;
        let mut io = io();
        let (stream, mut peer) = connection();
        let key = io.adopt(stream).unwrap();
        io.secure(key, Box::new(Unchanged), b"");
        let max = SECURED_WRITE_BYTES_MAX;
        let mut take = |bytes: usize| peer.read_exact(&mut vec![0; bytes]).unwrap();
        assert_eq!(io.write(key, &vec![1; max]), max);
        assert!(io.next_writable().is_none(), "it was not too long");
        take(max);
        assert_eq!(io.write(key, &vec![2; max + 1]), max);
        take(max);
        assert_eq!((io.write(key, &[2]), io.awaits_turn(key)), (0, true));
        assert_eq!(io.next_writable(), Some(key));
        // A part of several slices, wherever one of them ends.
        let (short, long) = (vec![3; 7], vec![4; max]);
        let slices = [&short, &long].map(|slice| IoSlice::new(slice));
        assert_eq!(io.write_slices(key, &slices), max);
        assert!(io.write_on(key), "at once, for the last bytes");
        assert_eq!(io.write(key, &[5; 7]), 7);
        take(max + 7);
        // What is sealed and not sent is no turn of the others: the kernel reports when it accepts more.
        while !io.has_sealed(key) {
            io.write(key, &long);
            io.write_on(key);
        }
        assert!(!io.awaits_turn(key));
        assert_eq!(io.write(key, &[6]), 0);
    }

    #[test]
    fn step_of_reads_of_a_secured_socket_is_a_third_of_that_of_a_plain_one() {
        let max = 64 << 10;
        for (is_secured, step) in [
            (true, READ_STEP_BYTES / (1 + OPENING_COST)),
            (false, READ_STEP_BYTES),
        ] {
            let mut io = io();
            let (stream, peer) = connection();
            let key = io.adopt(stream).unwrap();
            if is_secured {
                io.secure(key, Box::new(Unchanged), b"");
            }
            let mut stream = peer.try_clone().unwrap();
            let writing = std::thread::spawn(move || {
                // It may fail: not all is read.
                let _ = stream.write_all(&vec![7; 2 * max]);
            });
            let mut buffer = vec![0; max];
            let mut read = 0;
            io.begin_budget(Budget::whole(usize::MAX));
            while !io.take_step() {
                let socket = io.sockets.get_mut(key).unwrap();
                socket.set_readable();
                if let ReadOutcome::Bytes(count) = io.read(key, &mut buffer, max) {
                    read += count;
                }
            }
            assert!((step..step + max).contains(&read), "{read}");
            assert!(!io.take_step(), "true once");
            io.close(key);
            drop(peer);
            writing.join().unwrap();
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn acknowledgement_timeout_is_the_shorter_one_of_the_socket_and_of_the_reactor() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let mut io = io();
        io.options.acknowledgement_timeout = seconds(60);
        let (stream, _peer) = connection();
        let key = io.adopt(stream).unwrap();
        for (timeout, expected) in [
            (None, seconds(60)),
            (seconds(20), seconds(20)),
            (seconds(70), seconds(60)),
            (None, seconds(60)),
        ] {
            assert!(io.set_acknowledgement_timeout(key, timeout));
            let socket = io.sockets.get_mut(key).unwrap();
            let socket = socket2::SockRef::from(&*socket.stream_mut());
            assert_eq!(socket.tcp_user_timeout().unwrap(), expected);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn limit_of_unsent_bytes_makes_the_kernel_accept_less_for_a_peer_that_does_not_read() {
        let accepted_with = |limit| {
            let mut io = io();
            io.options.unsent_bytes_max = limit;
            let (stream, _peer) = connection();
            let same = stream.try_clone().unwrap();
            let key = io.adopt(stream).unwrap();
            let chunk = [0; 16 << 10];
            let writes = std::iter::repeat_with(|| io.write(key, &chunk));
            let accepted: usize = writes.take_while(|&written| written == chunk.len()).sum();
            // The question does not change the limit.
            assert!(io.has_unsent(key));
            let socket = socket2::SockRef::from(&same);
            assert_eq!(socket.tcp_notsent_lowat().unwrap(), limit.unwrap_or(0));
            accepted
        };
        assert!(accepted_with(Some(16 << 10)) < accepted_with(None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn acknowledgement_timeout_is_set_and_removed() {
        let mut io = io();
        let (stream, _peer) = connection();
        let timeout = |stream: &std::net::TcpStream| {
            socket2::SockRef::from(stream).tcp_user_timeout().unwrap()
        };
        let same = stream.try_clone().unwrap();
        let key = io.adopt(stream).unwrap();
        let second = Duration::from_secs(1);
        assert!(io.set_acknowledgement_timeout(key, Some(second)));
        assert_eq!(timeout(&same), Some(second));
        assert!(io.set_acknowledgement_timeout(key, None));
        assert_eq!(timeout(&same), None);
        io.close(key);
        assert!(!io.set_acknowledgement_timeout(key, Some(second)));
    }

    #[test]
    fn adopt_fails_at_the_maximum_number_of_sockets() {
        let mut io = io();
        let (first, second) = connection();
        let key = io.adopt(first).unwrap();
        assert!(io.adopt(second).is_err());
        assert_eq!(io.sockets(), 1);
        io.close(key);
        assert!(io.adopt(connection().0).is_ok());
    }

    #[test]
    fn reactors_with_a_shared_limit_are_limited_together() {
        let limit = ConnectionLimit::new(2);
        let io = || {
            Io::new(
                Poll::new().unwrap(),
                Acceptors::default(),
                9,
                Some(limit.clone()),
                SocketOptions::default(),
            )
        };
        let (mut one, mut other) = (io(), io());
        let key = one.adopt(connection().0).unwrap();
        assert!(other.adopt(connection().0).is_ok());
        assert!(one.adopt(connection().0).is_err());
        one.close(key);
        one.close(key);
        assert_eq!(limit.open(), 1);
        assert!(other.adopt(connection().0).is_ok());
        assert!(other.adopt(connection().0).is_err());
        drop(other);
        assert_eq!(limit.open(), 0);
    }

    #[test]
    fn connections_of_an_address_are_counted_while_they_are_open_in_any_reactor() {
        let limit = ConnectionLimit::new(9).per_address(NonZeroUsize::new(2));
        let io = || {
            Io::new(
                Poll::new().unwrap(),
                Acceptors::default(),
                9,
                Some(limit.clone()),
                SocketOptions::default(),
            )
        };
        let (mut one, mut other) = (io(), io());
        let key = one.adopt(connection().0).unwrap();
        assert!(other.adopt(connection().0).is_ok());
        assert!(one.adopt(connection().0).is_err());
        one.close(key);
        one.close(key);
        assert!(one.adopt(connection().0).is_ok());
        assert!(other.adopt(connection().0).is_err());
        drop(other);
        assert!(one.adopt(connection().0).is_ok());
        assert!(one.adopt(connection().0).is_err());
    }

    #[test]
    fn connection_that_another_reactor_accepted_is_refused_beyond_the_limit() {
        let limit = Some(ConnectionLimit::new(1));
        let mut io = Io::new(
            Poll::new().unwrap(),
            Acceptors::default(),
            2,
            limit,
            SocketOptions::default(),
        );
        let mut peers = Vec::new();
        let mut accepted = || {
            let (stream, client) = connection();
            let peer = client.local_addr().unwrap().into();
            peers.push(client);
            let stream = TcpStream::from_std(stream);
            AcceptedConnection {
                stream,
                peer,
                label: 0,
                has_options: true,
            }
        };
        let first = io.adopt_accepted(accepted()).unwrap();
        let second = io.adopt_accepted(accepted()).unwrap();
        assert!(io.is_counted(first) && !io.is_counted(second));
        assert_eq!(io.refused_sockets(), 1);
        // The limit of the reactor's own sockets includes refused ones.
        assert!(io.adopt_accepted(accepted()).is_err());
        io.close(first);
        let third = io.adopt_accepted(accepted()).unwrap();
        assert!(io.is_counted(third));
    }

    #[test]
    fn deferred_event_of_a_closed_socket_is_discarded() {
        let mut io = io();
        let key = io.adopt(connection().0).unwrap();
        io.close(key);
        assert!(io.next_deferred().is_none());
    }

    /// Accepts at most `.1` bytes at a time, as a nearly full socket.
    struct NearlyFull(Vec<u8>, usize);

    impl Write for NearlyFull {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.1);
            self.0.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            self.write(&bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn slices_are_written_completely_by_partial_writes() {
        let texts: [&[u8]; 6] = [b"", b"yama", b"b", b"", b"iko", b""];
        let slices = texts.map(IoSlice::new);
        for at_once in 1..=8 {
            let mut out = NearlyFull(Vec::new(), at_once);
            let mut written = 0;
            while written < 8 {
                written += write_from(&mut out, &slices, written).unwrap();
            }
            assert_eq!(out.0, b"yamabiko", "{at_once} bytes at a time");
        }
    }
}
