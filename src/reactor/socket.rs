//! One socket's state, and the slab in which a reactor keeps them all.
//!
//! # A socket
//!
//! The kernel reports *edges*: "there is something to read now", once, and
//! nothing again until all of it has been read. What an edge said must
//! therefore be remembered until it has been used up, and that is most of what
//! is here:
//!
//! | flag | raised by | lowered by |
//! |---|---|---|
//! | `readable` | a read edge | a read that finds no more |
//! | `read_closed` | an edge that announces the end | never: the end stays |
//! | `write_blocked` | a write that finds no room | a write edge |
//! | `unread` | a read of which the application leaves some | when that is used up |
//! | `paused` | the application | the application |
//! | `queued` | joining the ready list | leaving it |
//!
//! ```text
//!            read gives 0                 write fails
//!   Open ───────────────────► PeerEnded ──────────────► Broken
//!     └────────── read or write fails ──────────────────►
//! ```
//!
//! # The slab
//!
//! A vector of slots and, through the free ones, a list. A key is the slot's
//! index and its *generation*, which goes up each time that the slot is
//! emptied: a key that outlived its socket finds nothing, never a stranger.
//! The key is what the kernel hands back with an event, so the same holds for
//! an event that outlived its socket.
//!
//! Cost per socket: a slot of 16 bytes (32 in a debug build, where mio carries
//! a check along) and 16 in the timer wheel; a test holds both to 64 bytes.

use std::io;
use std::net::Shutdown;

use mio::event::Event;
use mio::net::TcpStream;

use super::calls::receive;

/// Names one socket of one reactor: index and generation. A key whose socket is
/// closed names nothing; to use it is harmless, and it is not used again before
/// its slot has been through 2^32 sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketKey(u64);

impl SocketKey {
    /// The key as a number, for places that keep numbers.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The key that [`to_bits`](SocketKey::to_bits) gave. Any other number
    /// makes a key that most likely names nothing.
    #[must_use]
    pub const fn from_bits(bits: u64) -> SocketKey {
        SocketKey(bits)
    }

    /// Small and dense: the lowest free one is not promised, but none is larger
    /// than the most sockets that were ever open together. Two sockets that are
    /// open have different indices, so a table by index needs no hashing; a
    /// socket that was closed may have had the same one.
    #[must_use]
    pub const fn index(self) -> usize {
        self.slot() as usize
    }

    pub(super) const fn slot(self) -> u32 {
        (self.0 & u32::MAX as u64) as u32
    }

    const fn generation(self) -> u32 {
        (self.0 >> u32::BITS) as u32
    }

    const fn new(slot: u32, generation: u32) -> SocketKey {
        SocketKey((generation as u64) << u32::BITS | slot as u64)
    }

    /// A token is as wide as a key: see the assertion at the end of this file.
    pub(super) const fn from_token(token: mio::Token) -> SocketKey {
        SocketKey(token.0 as u64)
    }

    pub(super) const fn to_token(self) -> mio::Token {
        mio::Token(self.0 as usize)
    }
}

/// An open socket and what its edges have said.
pub(super) struct Socket {
    stream: TcpStream,
    life: Life,
    paused: bool,
    readable: bool,
    unread: bool,
    read_closed: bool,
    write_blocked: bool,
    queued: bool,
    /// Whether it counts among those that a limit allows.
    has_place: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Open,
    /// The peer has sent its last byte; it can still be written to.
    PeerEnded,
    Broken,
}

/// What a read came to.
pub(super) enum ReadOutcome {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing now: all is read, or the socket is paused, ended or broken.
    Nothing,
    /// The peer has sent its last byte. Said once.
    Ended,
    Failed(io::Error),
}

impl Socket {
    pub(super) fn new(stream: TcpStream, has_place: bool) -> Socket {
        Socket {
            has_place,
            stream,
            life: Life::Open,
            paused: false,
            readable: false,
            unread: false,
            read_closed: false,
            write_blocked: false,
            queued: false,
        }
    }

    pub(super) fn has_place(&self) -> bool {
        self.has_place
    }

    pub(super) fn stream_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Remembers what an event says. True: a writer that was blocked may go on.
    pub(super) fn take_edges(&mut self, event: &Event) -> bool {
        let closed = event.is_read_closed() || event.is_error();
        self.read_closed |= closed;
        self.readable |= event.is_readable() || closed;
        let writable = event.is_writable() || event.is_write_closed() || event.is_error();
        let was_blocked = self.write_blocked && writable && self.life != Life::Broken;
        self.write_blocked &= !writable;
        was_blocked
    }

    /// Whether a read is due: an edge or an earlier read is not used up, and nobody
    /// minds.
    #[inline]
    pub(super) fn wants_read(&self) -> bool {
        (self.readable || self.unread) && !self.paused && self.life == Life::Open
    }

    pub(super) fn set_unread(&mut self, unread: bool) {
        self.unread = unread;
    }

    pub(super) fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// True: it was not in the ready list, wants to be, and now is.
    pub(super) fn enter_queue(&mut self) -> bool {
        let enters = self.wants_read() && !self.queued;
        self.queued |= enters;
        enters
    }

    pub(super) fn leave_queue(&mut self) {
        self.queued = false;
    }

    /// One read into `buffer`, which is not empty.
    ///
    /// Fewer bytes than there was room for means that the kernel has no more,
    /// and the read that would only say so is saved: half of the read calls of
    /// a server with small messages. When the end has been announced it is
    /// behind those bytes, and there will be no further edge: then read on.
    #[inline(always)]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> ReadOutcome {
        if !self.wants_read() {
            return ReadOutcome::Nothing;
        }
        match retry_interrupted(|| receive(&self.stream, buffer)) {
            Ok(0) => {
                self.life = Life::PeerEnded;
                ReadOutcome::Ended
            }
            Ok(count) => {
                let drained = SHORT_READ_MEANS_DRAINED && count < buffer.len();
                self.readable = !drained || self.read_closed;
                ReadOutcome::Bytes(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                ReadOutcome::Nothing
            }
            Err(error) => {
                self.life = Life::Broken;
                ReadOutcome::Failed(error)
            }
        }
    }

    /// Writes until `total` bytes are out or the kernel takes no more; `write`
    /// is given the stream and how many are out already. Returns how many the
    /// kernel took, and the failure that ended it, if one did: it is the
    /// socket's last.
    ///
    /// A socket that is blocked is not tried before its edge has come: a slow
    /// reader costs no system calls.
    #[inline(always)]
    pub(super) fn write(
        &mut self,
        total: usize,
        mut write: impl FnMut(&mut TcpStream, usize) -> io::Result<usize>,
    ) -> (usize, Option<io::Error>) {
        let mut written = 0;
        if self.write_blocked || self.life == Life::Broken {
            return (written, None);
        }
        while written < total {
            match retry_interrupted(|| write(&mut self.stream, written)) {
                Ok(0) => return (written, Some(self.broken(io::ErrorKind::WriteZero.into()))),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.write_blocked = true;
                    break;
                }
                Err(error) => return (written, Some(self.broken(error))),
            }
        }
        (written, None)
    }

    fn broken(&mut self, error: io::Error) -> io::Error {
        self.life = Life::Broken;
        error
    }

    /// A socket that can no longer be shut down has nothing to say to its peer
    /// either; its end shows where it is read or written.
    pub(super) fn shutdown_write(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

/// The sockets of one reactor, by key.
pub(super) struct Slab {
    slots: Vec<Slot>,
    /// The first free slot, or `NO_SLOT`.
    free: u32,
    /// 0 ≤ open ≤ slots.len()
    open: usize,
}

struct Slot {
    generation: u32,
    content: Content,
}

enum Content {
    Open(Socket),
    Free { next: u32 },
}

impl Slab {
    pub(super) fn new() -> Slab {
        Slab {
            slots: Vec::new(),
            free: NO_SLOT,
            open: 0,
        }
    }

    /// How many sockets are open.
    pub(super) fn len(&self) -> usize {
        self.open
    }

    /// The key that the next [`insert`](Slab::insert) will give.
    pub(super) fn next_key(&self) -> SocketKey {
        match self.slots.get(self.free as usize) {
            Some(slot) => SocketKey::new(self.free, slot.generation),
            // No truncation: there are at most SOCKETS_MAX slots.
            None => SocketKey::new(self.slots.len() as u32, 0),
        }
    }

    /// Puts a socket under [`next_key`](Slab::next_key). The caller keeps
    /// `len()` below [`SOCKETS_MAX`].
    pub(super) fn insert(&mut self, socket: Socket) {
        self.open += 1;
        let content = Content::Open(socket);
        let Some(slot) = self.slots.get_mut(self.free as usize) else {
            self.slots.push(Slot {
                generation: 0,
                content,
            });
            return;
        };
        if let Content::Free { next } = std::mem::replace(&mut slot.content, content) {
            self.free = next;
        }
    }

    #[inline(always)]
    pub(super) fn get_mut(&mut self, key: SocketKey) -> Option<&mut Socket> {
        let slot = self.slots.get_mut(key.index())?;
        match &mut slot.content {
            Content::Open(socket) if slot.generation == key.generation() => Some(socket),
            _ => None,
        }
    }

    pub(super) fn contains(&mut self, key: SocketKey) -> bool {
        self.get_mut(key).is_some()
    }

    /// The key of the socket that is in this slot.
    pub(super) fn key_at(&self, index: u32) -> Option<SocketKey> {
        let slot = self.slots.get(index as usize)?;
        match slot.content {
            Content::Open(_) => Some(SocketKey::new(index, slot.generation)),
            Content::Free { .. } => None,
        }
    }

    pub(super) fn remove(&mut self, key: SocketKey) -> Option<Socket> {
        if !self.contains(key) {
            return None;
        }
        let slot = self.slots.get_mut(key.index())?;
        let free = Content::Free { next: self.free };
        let Content::Open(socket) = std::mem::replace(&mut slot.content, free) else {
            return None;
        };
        slot.generation = slot.generation.wrapping_add(1);
        self.free = key.slot();
        self.open -= 1;
        Some(socket)
    }
}

#[inline(always)]
fn retry_interrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The most sockets of one reactor, so that an index, the timer wheel's place
/// for it, and the reactor's own three tokens are all different `u32`s.
pub(super) const SOCKETS_MAX: usize = (u32::MAX - 1024) as usize;
const NO_SLOT: u32 = u32::MAX;
const _: () = assert!(super::wheel::FIRST_SOCKET < 1024);

/// True where the kernel itself keeps track of edges. Elsewhere mio imitates
/// edges, and renews one only when a call has said `WouldBlock`.
const SHORT_READ_MEANS_DRAINED: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
));

// A key must fit into what the kernel hands back with an event.
const _: () = assert!(
    usize::BITS == u64::BITS,
    "the reactor is for 64-bit machines"
);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream as StdTcpStream};

    /// A socket of the slab, and its peer.
    fn pair() -> (Socket, StdTcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = StdTcpStream::connect(listener.local_addr().unwrap()).unwrap();
        ours.set_nonblocking(true).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        (Socket::new(TcpStream::from_std(ours), true), theirs)
    }

    #[test]
    fn a_socket_takes_at_most_64_bytes_with_its_place_in_the_wheel() {
        assert!(size_of::<Slot>() + super::super::wheel::BYTES_PER_SOCKET <= 64);
        if cfg!(not(debug_assertions)) {
            assert_eq!(size_of::<Slot>(), 16);
        }
    }

    #[test]
    fn a_slot_that_is_used_again_has_another_key() {
        let mut slab = Slab::new();
        let first = slab.next_key();
        slab.insert(pair().0);
        assert_eq!(slab.len(), 1);
        assert!(slab.remove(first).is_some());
        assert_eq!(slab.len(), 0);
        let second = slab.next_key();
        slab.insert(pair().0);

        assert_eq!(first.index(), second.index());
        assert_ne!(first, second);
        assert!(!slab.contains(first));
        assert!(slab.remove(first).is_none());
        assert!(slab.contains(second));
        assert_eq!(slab.key_at(second.slot()), Some(second));
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn free_slots_are_used_before_new_ones() {
        let mut slab = Slab::new();
        let keys: Vec<SocketKey> = (0..4)
            .map(|_| {
                let key = slab.next_key();
                slab.insert(pair().0);
                key
            })
            .collect();
        assert!(slab.remove(keys[1]).is_some());
        assert!(slab.remove(keys[3]).is_some());
        let mut again: Vec<usize> = (0..3)
            .map(|_| {
                let key = slab.next_key();
                slab.insert(pair().0);
                key.index()
            })
            .collect();
        again.sort_unstable();
        assert_eq!(again, [1, 3, 4]);
    }

    #[test]
    fn a_key_survives_being_a_number_and_a_token() {
        let key = SocketKey::new(7, 0x89AB_CDEF);
        assert_eq!(key.to_bits(), 0x89AB_CDEF_0000_0007);
        assert_eq!(SocketKey::from_bits(key.to_bits()), key);
        assert_eq!(SocketKey::from_token(key.to_token()), key);
        assert_eq!((key.index(), key.generation()), (7, 0x89AB_CDEF));
    }

    #[test]
    fn a_key_from_nowhere_names_nothing() {
        let mut slab = Slab::new();
        for bits in [0, 1, u64::from(u32::MAX), u64::MAX] {
            assert!(slab.remove(SocketKey::from_bits(bits)).is_none());
        }
        assert_eq!(slab.key_at(0), None);
    }

    #[test]
    fn a_socket_without_an_edge_is_not_read() {
        let (mut socket, peer) = pair();
        assert!(!socket.wants_read());
        drop(peer);
        assert!(matches!(socket.read(&mut [0; 8]), ReadOutcome::Nothing));
    }

    /// A socket whose edge has come, with `bytes` and then the end to read.
    fn ended_after(bytes: &[u8]) -> Socket {
        let (mut socket, mut peer) = pair();
        peer.write_all(bytes).unwrap();
        socket.readable = true;
        socket
    }

    #[test]
    fn a_short_read_uses_the_edge_up_and_a_full_one_does_not() {
        let mut socket = ended_after(b"12345678");
        assert!(matches!(socket.read(&mut [0; 5]), ReadOutcome::Bytes(5)));
        assert!(socket.wants_read());
        assert!(matches!(socket.read(&mut [0; 5]), ReadOutcome::Bytes(3)));
        assert_eq!(socket.wants_read(), !SHORT_READ_MEANS_DRAINED);
    }

    #[test]
    fn an_announced_end_is_read_although_the_read_before_it_was_short() {
        let mut socket = ended_after(b"1234");
        socket.read_closed = true;
        assert!(matches!(socket.read(&mut [0; 5]), ReadOutcome::Bytes(4)));
        assert!(matches!(socket.read(&mut [0; 5]), ReadOutcome::Ended));
        assert!(matches!(socket.read(&mut [0; 5]), ReadOutcome::Nothing));
    }

    #[test]
    fn a_socket_stands_in_the_ready_list_once() {
        let mut socket = ended_after(b"");
        assert!(socket.enter_queue());
        assert!(!socket.enter_queue());
        socket.leave_queue();
        assert!(socket.enter_queue());
        socket.leave_queue();
        socket.set_paused(true);
        assert!(!socket.enter_queue());
    }

    #[test]
    fn an_interrupted_call_is_made_again() {
        let mut calls = 0;
        let result = retry_interrupted(|| {
            calls += 1;
            if calls < 3 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            Ok(calls)
        });
        assert_eq!(result.unwrap(), 3);
    }

    #[test]
    fn an_interrupted_write_goes_on_and_a_write_of_nothing_breaks_the_socket() {
        let (mut socket, _peer) = pair();
        let mut answers = vec![Ok(0), Ok(3), Err(io::ErrorKind::Interrupted.into()), Ok(2)];
        let (written, failure) = socket.write(10, |_, _| answers.pop().unwrap());
        assert_eq!(written, 5);
        assert_eq!(failure.unwrap().kind(), io::ErrorKind::WriteZero);
        let (written, failure) = socket.write(10, |_, _| unreachable!("it is broken"));
        assert!(written == 0 && failure.is_none());
    }

    #[test]
    fn a_blocked_socket_is_not_tried_again_before_its_edge() {
        let (mut socket, _peer) = pair();
        let mut answers = vec![Err(io::ErrorKind::WouldBlock.into()), Ok(4)];
        let (written, failure) = socket.write(10, |_, _| answers.pop().unwrap());
        assert!(written == 4 && failure.is_none());
        let (written, failure) = socket.write(10, |_, _| unreachable!("it is blocked"));
        assert!(written == 0 && failure.is_none());
    }
}
