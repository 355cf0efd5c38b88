//! [`Io`]: what an application can do with the reactor's sockets and time.
//!
//! Nothing here calls the application back, so no callback ever runs inside
//! another. What a call brings about that the application must hear of (a write
//! that failed, a socket that was handed in) becomes a deferred event, which the
//! turn delivers where it is safe.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};

use super::calls::{has_unsent, send, set_acknowledgement_timeout};
use super::limit::ConnectionLimit;
use super::listener::{Accepted, AcceptedConnection, Acceptor};
use super::socket::{ReadOutcome, SOCKETS_MAX, Slab, Socket, SocketKey};
use super::unread::{Remainder, Unread};
use super::wheel::Wheel;
use crate::time::{Clock, Timestamp};

/// The reactor's sockets, deadlines and clock, as each callback is given them.
///
/// A method given the key of a socket that is closed does nothing, and returns
/// 0 where it returns a count.
pub struct Io {
    poll: Poll,
    clock: Clock,
    now: Timestamp,
    turns: u64,
    sockets: Slab,
    sockets_max: usize,
    limit: Option<ConnectionLimit>,
    /// Open sockets for which `limit` had no place.
    refused: usize,
    wheel: Wheel,
    alarm: Option<Timestamp>,
    acceptor: Option<Acceptor>,
    /// Sockets with bytes to read, each once; some may be closed meanwhile.
    ready: Vec<SocketKey>,
    /// Sockets that had more to read than their share of a turn, each once.
    again: Vec<SocketKey>,
    /// The last turn left these out, for those that had become ready.
    passed_over: bool,
    deferred: VecDeque<Deferred>,
    /// What has been read and left by the application.
    unread: Unread,
    /// What the socket that is being read may still cost in this turn.
    budget: usize,
    /// Of the bytes that are being handed over, how many the application leaves.
    left_bytes: usize,
    stopping: bool,
}

/// An event that is delivered later in the turn.
pub(super) enum Deferred {
    Opened(SocketKey, SocketAddr),
    Failed(SocketKey, io::Error),
}

/// What the application may do.
impl Io {
    /// The time of this turn: read once, when the reactor woke up.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The time of day, read now: for dates that are sent, not for deadlines.
    #[must_use]
    pub fn wall_clock(&self) -> std::time::SystemTime {
        self.clock.wall()
    }

    /// How many turns the reactor has made, this one included. An idle one
    /// makes none.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// How many sockets are open.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// How many of them were [refused](super::Application::refused).
    #[must_use]
    pub fn refused_sockets(&self) -> usize {
        self.refused
    }

    /// Writes `bytes` until the kernel takes no more, and returns how many it
    /// took. Fewer than given: keep the rest, and
    /// [`writable`](super::Application::writable) will say when to go on; until
    /// then a write costs no system call and takes nothing. If the connection
    /// has failed, all writes return 0 and
    /// [`ended`](super::Application::ended) says so later in this turn, or in
    /// the next one without sleeping.
    ///
    /// One `send` call, a second one if the first took a part only. Nothing is
    /// copied or kept here.
    #[inline(always)]
    pub fn write(&mut self, key: SocketKey, bytes: &[u8]) -> usize {
        self.write_with(key, bytes.len(), |stream, written| {
            send(stream, &bytes[written..])
        })
    }

    /// As [`write`](Io::write), of several slices as if they were one. Any
    /// number may be given, empty ones too. One `writev` call for as many as
    /// the system takes at once (1024 on Linux).
    pub fn write_slices(&mut self, key: SocketKey, slices: &[IoSlice<'_>]) -> usize {
        let total = slices.iter().map(|slice| slice.len()).sum();
        self.write_with(key, total, |stream, written| {
            write_from(stream, slices, written)
        })
    }

    #[inline(always)]
    fn write_with(
        &mut self,
        key: SocketKey,
        total: usize,
        write: impl FnMut(&mut TcpStream, usize) -> io::Result<usize>,
    ) -> usize {
        let Some(socket) = self.sockets.get_mut(key) else {
            return 0;
        };
        let (written, failure) = socket.write(total, write);
        if let Some(error) = failure {
            self.deferred.push_back(Deferred::Failed(key, error));
        }
        written
    }

    /// Tells the peer that no more will come (a FIN after what is written).
    /// Reading goes on; writing afterwards is a failure.
    pub fn shutdown_write(&mut self, key: SocketKey) {
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.shutdown_write();
        }
    }

    /// Closes the socket, with its deadline: from now on there is no callback
    /// for this key, whatever the kernel may have reported already.
    ///
    /// What has been written still goes out. But if bytes from the peer have
    /// not been read, the kernel resets the connection, and the peer may lose
    /// what it has not read yet: where that matters, call
    /// [`shutdown_write`](Io::shutdown_write) and close after
    /// [`ended`](super::Application::ended).
    pub fn close(&mut self, key: SocketKey) {
        let Some(mut socket) = self.sockets.remove(key) else {
            return;
        };
        if !socket.has_place() {
            self.refused -= 1;
        } else if let Some(limit) = &self.limit {
            limit.give_back();
        }
        self.wheel.clear(key.slot());
        drop(self.unread.take(key));
        // Dropping it would be enough, but for a descriptor that its former
        // owner duplicated. A failure means that the kernel has forgotten it.
        let _ = self.poll.registry().deregister(socket.stream_mut());
        if let Some(acceptor) = &mut self.acceptor {
            acceptor.gate.socket_closed();
        }
    }

    /// Takes a connected stream from outside into the reactor, as if it had
    /// been accepted: it counts among the sockets, gets `TCP_NODELAY`, and
    /// [`opened`](super::Application::opened) is called for it before any other
    /// callback, in this turn or (without sleeping) the next. It can be written
    /// to at once.
    ///
    /// # Errors
    ///
    /// As many sockets are open as may be, here or in all reactors that share the limit,
    /// the stream is not connected, or the system cannot watch it. The stream is then
    /// closed.
    pub fn adopt(&mut self, stream: std::net::TcpStream) -> io::Result<SocketKey> {
        if !self.has_room() {
            return Err(no_room());
        }
        let peer = stream.peer_addr()?;
        stream.set_nonblocking(true)?;
        if !self.take_place() {
            return Err(io::Error::other("the connection limit is reached"));
        }
        let key = self.insert(TcpStream::from_std(stream), true)?;
        self.deferred.push_back(Deferred::Opened(key, peer));
        Ok(key)
    }

    /// As [`adopt`](Io::adopt), of a connection that another reactor
    /// [accepted](super::Application::accepted): beyond the limit that they share it is
    /// [`refused`](super::Application::refused), as it would have been there.
    ///
    /// # Errors
    ///
    /// As many sockets are open here as may be, or the system cannot watch it. The
    /// connection is then closed.
    pub fn adopt_accepted(&mut self, connection: AcceptedConnection) -> io::Result<SocketKey> {
        if !self.has_room() {
            return Err(no_room());
        }
        let has_place = self.take_place();
        let key = self.insert(connection.stream, has_place)?;
        self.deferred
            .push_back(Deferred::Opened(key, connection.peer));
        Ok(key)
    }

    /// Stops reading: the kernel's buffer fills up, and then the peer must
    /// wait. A failure of the connection also shows only when it is read or
    /// written again.
    pub fn pause_reading(&mut self, key: SocketKey) {
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.set_paused(true);
        }
    }

    /// Goes on reading, with what has arrived meanwhile first.
    pub fn resume_reading(&mut self, key: SocketKey) {
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.set_paused(false);
        }
        self.queue(key);
    }

    /// As [`resume_reading`](Io::resume_reading), of sockets that have waited: they
    /// are read in this order, and before all others that are ready.
    pub fn resume_reading_first(&mut self, keys: impl IntoIterator<Item = SocketKey>) {
        let others = std::mem::take(&mut self.ready);
        for key in keys {
            self.resume_reading(key);
        }
        self.ready.extend(others);
    }

    /// Charges the socket that is being read for work that its bytes do not show, as
    /// if it had read so many more in this turn.
    #[inline]
    pub fn charge(&mut self, bytes: usize) {
        self.budget = self.budget.saturating_sub(bytes);
    }

    /// Whether the socket that is being read may go on in this turn. If not, the
    /// application [leaves](Io::leave_unread) what it has not looked at.
    #[must_use]
    #[inline]
    pub fn has_budget(&self) -> bool {
        self.budget > 0
    }

    /// In [`received`](super::Application::received): the last `count` of the bytes
    /// have not been looked at. They are given again, before any others of this
    /// socket, when it is its turn again: behind the others that are ready, or
    /// when it is no longer paused. A copy of these bytes. They are
    /// forgotten when the socket is closed or has failed.
    pub fn leave_unread(&mut self, count: usize) {
        self.left_bytes = count;
    }

    /// The memory that bytes hold which were left unread, all sockets together.
    #[must_use]
    pub fn unread_bytes(&self) -> usize {
        self.unread.bytes()
    }

    /// Whether bytes that were written have not been sent, because the peer (or the path to
    /// it) takes no more for now. False where the system cannot tell: elsewhere than on
    /// Linux. Four system calls: to be asked when a deadline has come, not for a message.
    pub fn has_unsent(&mut self, key: SocketKey) -> bool {
        let socket = self.sockets.get_mut(key);
        socket.is_some_and(|socket| has_unsent(socket.stream_mut()).unwrap_or(false))
    }

    /// Has the kernel end the connection when for so long it could not send, or nothing of
    /// what it sent was acknowledged; [`ended`](super::Application::ended) then says
    /// "timed out". In whole milliseconds, and no sooner than the kernel's next attempt to
    /// send. `None`: as the system does by itself. Returns false where there is no such
    /// thing (elsewhere than on Linux).
    pub fn set_acknowledgement_timeout(
        &mut self,
        key: SocketKey,
        timeout: Option<Duration>,
    ) -> bool {
        let socket = self.sockets.get_mut(key);
        socket.is_some_and(|socket| set_acknowledgement_timeout(socket.stream_mut(), timeout))
    }

    /// Sets the socket's one deadline, in place of any other. At `at`, or in
    /// the first turn after it, [`timer`](super::Application::timer) is called
    /// once; if `at` has passed, in the next turn. O(1), no allocation.
    pub fn set_deadline(&mut self, key: SocketKey, at: Timestamp) {
        if self.sockets.contains(key) {
            self.wheel.set(key.slot(), at);
        }
    }

    /// Takes the socket's deadline away: its timer will not be called. O(1).
    pub fn clear_deadline(&mut self, key: SocketKey) {
        if self.sockets.contains(key) {
            self.wheel.clear(key.slot());
        }
    }

    /// Sets, moves or (with `None`) takes away the application's own deadline,
    /// on which [`alarm`](super::Application::alarm) is called once.
    pub fn set_alarm(&mut self, at: Option<Timestamp>) {
        self.alarm = at;
    }

    /// Closes the listener: new connections are refused by the system, and
    /// those that it still holds in its backlog are reset. Open sockets stay.
    pub fn stop_accepting(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.deregister(self.poll.registry());
        }
    }

    /// [`run`](super::Reactor::run) returns when this turn has ended. Sockets
    /// stay open, and messages and deferred events wait, until the reactor is run
    /// again or dropped.
    pub fn stop(&mut self) {
        self.stopping = true;
    }
}

/// What the turn does.
impl Io {
    pub(super) fn new(
        poll: Poll,
        acceptor: Option<Acceptor>,
        connections_max: usize,
        limit: Option<ConnectionLimit>,
    ) -> Io {
        Io {
            limit,
            refused: 0,
            poll,
            clock: Clock::start(),
            now: Timestamp(0),
            turns: 0,
            sockets: Slab::new(),
            sockets_max: connections_max.min(SOCKETS_MAX),
            wheel: Wheel::new(),
            alarm: None,
            acceptor,
            ready: Vec::new(),
            again: Vec::new(),
            passed_over: false,
            deferred: VecDeque::new(),
            unread: Unread::default(),
            budget: 0,
            left_bytes: 0,
            stopping: false,
        }
    }

    /// Sleeps until there is something to do, reads the clock, and brings all
    /// that depends on it up to date.
    pub(super) fn sleep(&mut self, events: &mut Events) -> io::Result<()> {
        loop {
            let timeout = self.time_to_sleep();
            match self.poll.poll(events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        }
        self.turns += 1;
        self.now = self.clock.now();
        self.wheel.advance(self.now);
        if let Some(acceptor) = &mut self.acceptor {
            acceptor.gate.advance(self.now);
        }
        Ok(())
    }

    /// Zero if there is work left; `None`, for ever, if nothing is pending.
    fn time_to_sleep(&self) -> Option<Duration> {
        if !(self.ready.is_empty() && self.again.is_empty() && self.deferred.is_empty()) {
            return Some(Duration::ZERO);
        }
        let attempt = self.acceptor.as_ref().and_then(|a| a.gate.next_attempt());
        [self.wheel.next_deadline(), self.alarm, attempt]
            .into_iter()
            .flatten()
            .min()
            .map(|at| self.clock.until(at).min(SLEEP_MAX))
    }

    /// Remembers what an event says of its socket. True: call `writable`.
    pub(super) fn take_edges(&mut self, key: SocketKey, event: &Event) -> bool {
        let Some(socket) = self.sockets.get_mut(key) else {
            return false;
        };
        let writable = socket.take_edges(event);
        self.queue(key);
        writable
    }

    pub(super) fn listener_edge(&mut self) {
        if let Some(acceptor) = &mut self.acceptor {
            acceptor.gate.edge();
        }
    }

    /// The next connection, which is not watched yet.
    pub(super) fn accept(&mut self) -> Accepted<AcceptedConnection> {
        let room = self.has_room();
        match &mut self.acceptor {
            Some(acceptor) => acceptor.accept(self.now, room),
            None => Accepted::Nothing,
        }
    }

    /// Watches a connection that was accepted here.
    pub(super) fn take_in(&mut self, connection: AcceptedConnection) -> Option<SocketKey> {
        let has_place = self.take_place();
        if let Ok(key) = self.insert(connection.stream, has_place) {
            return Some(key);
        }
        // The kernel cannot watch one socket more; this one is lost.
        if let Some(acceptor) = &mut self.acceptor {
            acceptor.gate.back_off(self.now);
        }
        None
    }

    fn has_room(&self) -> bool {
        self.sockets.len() < self.sockets_max
    }

    /// True also if there is no limit.
    fn take_place(&self) -> bool {
        self.limit.as_ref().is_none_or(ConnectionLimit::take)
    }

    /// Whether there was a place for this socket when it came.
    pub(super) fn has_place(&mut self, key: SocketKey) -> bool {
        self.sockets
            .get_mut(key)
            .is_some_and(|socket| socket.has_place())
    }

    /// The one place where a socket comes in: watched for both directions, for
    /// as long as it lives. `has_place`: what `take_place` said. If it cannot be watched,
    /// the place is given back.
    fn insert(&mut self, mut stream: TcpStream, has_place: bool) -> io::Result<SocketKey> {
        // Small messages are not to wait for one another. A failure means that
        // the connection has ended already, which reading will show.
        let _ = stream.set_nodelay(true);
        let key = self.sockets.next_key();
        let interests = Interest::READABLE | Interest::WRITABLE;
        let registered = self
            .registry()
            .register(&mut stream, key.to_token(), interests);
        if let Err(error) = registered {
            if let Some(limit) = self.limit.as_ref().filter(|_| has_place) {
                limit.give_back();
            }
            return Err(error);
        }
        self.sockets.insert(Socket::new(stream, has_place));
        self.refused += usize::from(!has_place);
        Ok(key)
    }

    pub(super) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Puts the socket on the ready list, if it wants to be read and is not
    /// there yet.
    pub(super) fn queue(&mut self, key: SocketKey) {
        if self.sockets.get_mut(key).is_some_and(Socket::enter_queue) {
            self.ready.push(key);
        }
    }

    /// Puts the socket, which has had its share of this turn, behind those that become
    /// ready, if it wants to be read on.
    pub(super) fn queue_again(&mut self, key: SocketKey) {
        if self.sockets.get_mut(key).is_some_and(Socket::enter_queue) {
            self.again.push(key);
        }
    }

    /// Moves to `reading`, which is empty, the sockets that are to be read in this turn.
    /// While some become ready, those with more than their share have every second turn:
    /// what the others bring is answered before that.
    pub(super) fn take_ready(&mut self, reading: &mut Vec<SocketKey>) {
        std::mem::swap(&mut self.ready, reading);
        self.passed_over = !(reading.is_empty() || self.again.is_empty() || self.passed_over);
        if !self.passed_over {
            reading.append(&mut self.again);
        }
    }

    pub(super) fn leave_queue(&mut self, key: SocketKey) {
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.leave_queue();
        }
    }

    /// A socket's part of the turn begins.
    #[inline(always)]
    pub(super) fn begin_budget(&mut self, bytes: usize) {
        self.budget = bytes;
    }

    #[inline(always)]
    pub(super) fn budget(&self) -> usize {
        self.budget
    }

    /// The most that is read at once: little while much has been left unread already.
    #[inline(always)]
    pub(super) fn read_size(&self, buffer_bytes: usize) -> usize {
        let size = self.budget.min(buffer_bytes);
        match self.unread.bytes() <= UNREAD_BYTES_MAX {
            true => size,
            false => size.min(SMALL_READ_BYTES),
        }
    }

    /// So many bytes are handed over.
    #[inline(always)]
    pub(super) fn begin_received(&mut self, count: usize) {
        self.charge(count);
        self.left_bytes = 0;
    }

    /// How many of them the application has left.
    #[inline(always)]
    pub(super) fn left_unread(&self, count: usize) -> usize {
        self.left_bytes.min(count)
    }

    /// Keeps what the application has left of a read.
    pub(super) fn keep_unread(&mut self, key: SocketKey, left: &[u8]) {
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.set_unread(true);
            self.unread.keep(key, left);
        }
    }

    /// What the application has left of an earlier read, if the socket may be read.
    #[inline(always)]
    pub(super) fn take_unread(&mut self, key: SocketKey) -> Option<Remainder> {
        if self.unread.bytes() == 0 {
            return None;
        }
        let socket = self
            .sockets
            .get_mut(key)
            .filter(|socket| socket.wants_read())?;
        socket.set_unread(false);
        self.unread.take(key)
    }

    /// Keeps what is left of it now, if anything is.
    pub(super) fn put_unread(&mut self, key: SocketKey, remainder: Remainder) {
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.set_unread(!remainder.is_empty());
            self.unread.put(key, remainder);
        }
    }

    #[inline(always)]
    pub(super) fn read(&mut self, key: SocketKey, buffer: &mut [u8]) -> ReadOutcome {
        match self.sockets.get_mut(key) {
            Some(socket) => socket.read(buffer),
            None => ReadOutcome::Nothing,
        }
    }

    /// The next deferred event of a socket that is still open.
    pub(super) fn next_deferred(&mut self) -> Option<Deferred> {
        while let Some(deferred) = self.deferred.pop_front() {
            let (Deferred::Opened(key, _) | Deferred::Failed(key, _)) = &deferred;
            if self.sockets.contains(*key) {
                return Some(deferred);
            }
        }
        None
    }

    /// The next socket whose deadline has come.
    pub(super) fn next_due(&mut self) -> Option<SocketKey> {
        let index = self.wheel.pop_due()?;
        self.sockets.key_at(index)
    }

    /// True, once: the application's own deadline has come.
    pub(super) fn take_alarm(&mut self) -> bool {
        let come = self.alarm.is_some_and(|at| at <= self.now);
        if come {
            self.alarm = None;
        }
        come
    }

    /// True, once: the application has called [`stop`](Io::stop).
    pub(super) fn take_stop(&mut self) -> bool {
        std::mem::take(&mut self.stopping)
    }
}

/// Sockets that are still open give their places back.
impl Drop for Io {
    fn drop(&mut self) {
        if let Some(limit) = &self.limit {
            for _ in self.refused..self.sockets.len() {
                limit.give_back();
            }
        }
    }
}

fn no_room() -> io::Error {
    io::Error::other("connections_max sockets are open")
}

/// Writes what follows the first `written` bytes of `slices`, of which there
/// are more. A slice that was cut is finished alone: it is cut where the kernel
/// had no more room, and so it is rare.
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

pub(super) const MAILBOX: Token = Token(usize::MAX);
pub(super) const LISTENER: Token = Token(usize::MAX - 1);
pub(super) const WAKER: Token = Token(usize::MAX - 2);
/// Bytes left unread from which on reads are small, so that many sockets that leave
/// some cannot make the reactor hold a buffer for each.
const UNREAD_BYTES_MAX: usize = 1 << 20;
const SMALL_READ_BYTES: usize = 4 << 10;
/// The kernel counts a sleep in an `i32` of milliseconds, 24 days.
const SLEEP_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn io() -> Io {
        Io::new(Poll::new().unwrap(), None, 1, None)
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
    fn with_nothing_pending_the_sleep_has_no_end() {
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
    fn the_sleep_ends_with_the_nearest_deadline_and_the_kernel_can_count_it() {
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
    fn bytes_that_the_peer_does_not_take_are_unsent_until_it_does() {
        use std::io::Read;
        let mut io = io();
        let (stream, mut peer) = connection();
        let key = io.adopt(stream).unwrap();
        assert!(!io.has_unsent(key));
        assert_eq!(io.write(key, b"taken by the peer's kernel"), 26);
        assert!(!io.has_unsent(key));
        let mut written = 26;
        while !io.has_unsent(key) {
            let count = io.write(key, &[0; 64 << 10]);
            assert!(count > 0, "the kernel is full, and there is nothing unsent");
            written += count;
        }
        peer.read_exact(&mut vec![0; written]).unwrap();
        // Sent and read: its acknowledgements may still be on the way.
        let empty = (0..10_000_000).any(|_| !io.has_unsent(key));
        assert!(empty, "all is read, and something is unsent");
        io.close(key);
        assert!(!io.has_unsent(key));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn acknowledgement_timeout_is_set_and_taken_away() {
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
    fn no_more_sockets_are_adopted_than_there_may_be() {
        let mut io = io();
        let (first, second) = connection();
        let key = io.adopt(first).unwrap();
        assert!(io.adopt(second).is_err());
        assert_eq!(io.sockets(), 1);
        io.close(key);
        assert!(io.adopt(connection().0).is_ok());
    }

    #[test]
    fn reactors_that_share_a_limit_have_its_places_together() {
        let limit = ConnectionLimit::new(2);
        let io = || Io::new(Poll::new().unwrap(), None, 9, Some(limit.clone()));
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
    fn connection_that_another_reactor_accepted_is_refused_where_there_is_no_place() {
        let limit = Some(ConnectionLimit::new(1));
        let mut io = Io::new(Poll::new().unwrap(), None, 2, limit);
        let mut peers = Vec::new();
        let mut accepted = || {
            let (stream, client) = connection();
            let peer = client.local_addr().unwrap();
            peers.push(client);
            let stream = TcpStream::from_std(stream);
            AcceptedConnection { stream, peer }
        };
        let first = io.adopt_accepted(accepted()).unwrap();
        let second = io.adopt_accepted(accepted()).unwrap();
        assert!(io.has_place(first) && !io.has_place(second));
        assert_eq!(io.refused_sockets(), 1);
        // The bound of the reactor's own sockets holds for refused ones, too.
        assert!(io.adopt_accepted(accepted()).is_err());
        io.close(first);
        let third = io.adopt_accepted(accepted()).unwrap();
        assert!(io.has_place(third));
    }

    #[test]
    fn deferred_event_of_a_closed_socket_is_discarded() {
        let mut io = io();
        let key = io.adopt(connection().0).unwrap();
        io.close(key);
        assert!(io.next_deferred().is_none());
    }

    /// Takes at most `.1` bytes at a time, as a socket that is nearly full.
    struct Sips(Vec<u8>, usize);

    impl Write for Sips {
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
    fn slices_cut_anywhere_are_written_to_the_last_byte() {
        let texts: [&[u8]; 6] = [b"", b"yama", b"b", b"", b"iko", b""];
        let slices = texts.map(IoSlice::new);
        for sip in 1..=8 {
            let mut out = Sips(Vec::new(), sip);
            let mut written = 0;
            while written < 8 {
                written += write_from(&mut out, &slices, written).unwrap();
            }
            assert_eq!(out.0, b"yamabiko", "in sips of {sip}");
        }
    }
}
