//! One socket's state, and the slab with all sockets of a reactor.
//!
//! # A socket
//!
//! The kernel reports *edges*: it reports once that there are bytes to read, and not again
//! until all of them have been read. So an edge must be remembered until it is used up. Most
//! of the state serves this:
//!
//! | flag | set by | cleared by |
//! |---|---|---|
//! | `readable` | a read edge | a read that finds no more bytes |
//! | `short_read` | edges that announce the end, or urgent data | never |
//! | `writing` is blocked | a write that the kernel did not accept | the turn that uses a write edge |
//! | `unread` | the application, which left a part of a read | when that part is used up |
//! | `paused` | the application | the application |
//! | `queued` | entering the ready list | leaving it |
//!
//! ```text
//!            read returns 0               write fails
//!   Open ───────────────────► PeerEnded ──────────────► Broken
//!     └────────── read or write fails ──────────────────►
//! ```
//!
//! Write edges are reported from the first write on that the kernel did not accept: most
//! sockets never have one.
//!
//! ```text
//!             WouldBlock              registered           write edge              its turn
//!   Unwatched ──────────► NewlyBlocked ────────► Blocked ─────────────► Writable ─────────► Free
//!                                                   ▲              WouldBlock                │
//!                                                   └────────────────────────────────────────┘
//! ```
//!
//! A turn does not serve all writable sockets if they have much to write. Until a socket is served it stays blocked: what it was
//! to write before has to come first.
//!
//! # The slab
//!
//! A vector of slots; the free slots form a list. A key is the slot's index and its
//! *generation*, which is incremented each time the slot is emptied: a key of a closed socket
//! finds no socket, and never another one. The kernel returns the key with an event, so the
//! same holds for a late event of a closed socket.
//!
//! Cost per socket: a slot of 16 bytes (32 in a debug build, where mio adds a check) and 16
//! in the timer wheel; a test limits the sum to 64 bytes.

use std::io;
use std::net::Shutdown;

use mio::event::Event;
use mio::net::TcpStream;

use super::calls::{receive, receive_into};
use super::limit::LimitReached;

/// Names one socket of one reactor: index and generation. The key of a closed socket names
/// no socket, and using it has no effect. It is not used again before its slot has had 2^32
/// sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketKey(u64);

impl SocketKey {
    /// The key as a number, for code that stores numbers.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The key that [`to_bits`](SocketKey::to_bits) returned. Any other number gives a key
    /// that most likely names no socket.
    #[must_use]
    pub const fn from_bits(bits: u64) -> SocketKey {
        SocketKey(bits)
    }

    /// A small, dense number: less than the largest number of sockets that were open at the
    /// same time. Open sockets have different indices, so a table by index needs no hashing;
    /// a closed socket may have had the same index.
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

    /// What the kernel keeps of the key: all of it, or on a 32-bit system the slot and the
    /// low bits of the generation.
    pub(super) const fn to_token(self) -> mio::Token {
        let generation = (self.generation() as u64) << TOKEN_SLOT_BITS;
        mio::Token((generation | self.slot() as u64) as usize)
    }
}

/// An open socket and its remembered edges.
pub(super) struct Socket {
    stream: TcpStream,
    life: Life,
    paused: bool,
    readable: bool,
    unread: bool,
    short_read: ShortRead,
    writing: Writing,
    queued: bool,
    marks: Marks,
}

/// What is known of a socket besides its edges, in one byte.
///
/// ```text
///   7        3   2      1   0
///  ┌──────────┬──────┬───────┐
///  │  label   │secured│refused│   refused: 0, or the limit that has refused it
///  └──────────┴──────┴───────┘
/// ```
#[derive(Clone, Copy)]
struct Marks(u8);

impl Marks {
    const REFUSED: u8 = 0b11;
    /// It has a [`Channel`](super::Channel).
    const SECURED: u8 = 0b100;
    /// The place of its listener's label.
    const LABEL: u32 = 3;

    fn new(refused_by: Option<LimitReached>, label: u8) -> Marks {
        let refused = match refused_by {
            None => 0,
            Some(LimitReached::Connections) => 1,
            Some(LimitReached::ConnectionsPerAddress) => 2,
            Some(LimitReached::ConnectionsPerSecond) => 3,
        };
        Marks(label << Marks::LABEL | refused)
    }

    /// `None`: the [`ConnectionLimit`](super::ConnectionLimit) counts it.
    fn refused_by(self) -> Option<LimitReached> {
        match self.0 & Marks::REFUSED {
            0 => None,
            1 => Some(LimitReached::Connections),
            2 => Some(LimitReached::ConnectionsPerAddress),
            _ => Some(LimitReached::ConnectionsPerSecond),
        }
    }

    #[inline(always)]
    fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }
}

/// The largest label of a listener: a socket has five bits for it.
pub(super) const LABEL_MAX: u8 = u8::MAX >> Marks::LABEL;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// The kernel has accepted all writes so far. Write edges are not reported.
    Unwatched,
    /// The kernel has not accepted a write for the first time: register the socket for write
    /// edges.
    NewlyBlocked,
    /// A write edge will follow.
    Blocked,
    /// The kernel accepts bytes again, and the application does not know yet.
    Writable,
    /// Write edges are reported, and the kernel accepts bytes.
    Free,
    /// The kernel accepts bytes, and so do we when the socket's turn comes again: the last write was as long as one may be.
    /// `watched`: write edges are reported.
    Paced { watched: bool },
}

/// What a read means that brings fewer bytes than it could.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ShortRead {
    /// The kernel has no more.
    IsAll,
    /// A read ends where urgent data (TCP) or descriptors (Unix sockets) are between the bytes, and there may be more behind them.
    MayEndEarly,
    /// The peer's end has been announced. It follows these bytes without another edge.
    BeforeTheEnd,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Open,
    /// The peer has sent its last byte; writing is possible.
    PeerEnded,
    Broken,
}

/// The result of a read.
pub(super) enum ReadOutcome {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing now: all bytes are read, or the socket is paused, ended or broken.
    Nothing,
    /// The peer has sent its last byte. Reported once.
    Ended,
    Failed(io::Error),
}

impl Socket {
    /// `label`: of its listener, at most [`LABEL_MAX`].
    pub(super) fn new(stream: TcpStream, refused_by: Option<LimitReached>, label: u8) -> Socket {
        Socket {
            marks: Marks::new(refused_by, label),
            stream,
            life: Life::Open,
            paused: false,
            readable: false,
            unread: false,
            short_read: ShortRead::IsAll,
            writing: Writing::Unwatched,
            queued: false,
        }
    }

    pub(super) fn counted(&self) -> bool {
        self.refused_by().is_none()
    }

    pub(super) fn refused_by(&self) -> Option<LimitReached> {
        self.marks.refused_by()
    }

    /// The [`ConnectionLimit`](super::ConnectionLimit) counts it now.
    pub(super) fn set_counted(&mut self) {
        self.marks.0 &= !Marks::REFUSED;
    }

    /// Whether a channel opens and seals its bytes.
    #[inline(always)]
    pub(super) fn is_secured(&self) -> bool {
        self.marks.has(Marks::SECURED)
    }

    pub(super) fn set_secured(&mut self, secured: bool) {
        match secured {
            true => self.marks.0 |= Marks::SECURED,
            false => self.marks.0 &= !Marks::SECURED,
        }
    }

    pub(super) fn label(&self) -> u8 {
        self.marks.0 >> Marks::LABEL
    }

    pub(super) fn stream_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Remembers the edges of an event. True: a blocked writer can continue, when its turn comes ([`Socket::end_block`]).
    pub(super) fn take_edges(&mut self, event: &Event) -> bool {
        let closed = event.is_read_closed() || event.is_error();
        if closed {
            self.short_read = ShortRead::BeforeTheEnd;
        } else if event.is_priority() {
            self.reads_end_early();
        }
        self.readable |= event.is_readable() || closed;
        let writable = event.is_writable() || event.is_write_closed() || event.is_error();
        let waits = matches!(self.writing, Writing::Blocked | Writing::NewlyBlocked);
        if !writable || !waits {
            return false;
        }
        self.writing = Writing::Writable;
        true
    }

    /// The turn of a writable socket has come. False: it is broken.
    pub(super) fn end_block(&mut self) -> bool {
        self.end_pace();
        self.life != Life::Broken
    }

    /// The kernel accepts bytes, and the application may write again. False: it does not, or may already.
    pub(super) fn end_pace(&mut self) -> bool {
        self.writing = match self.writing {
            Writing::Writable | Writing::Paced { watched: true } => Writing::Free,
            Writing::Paced { watched: false } => Writing::Unwatched,
            Writing::Unwatched | Writing::NewlyBlocked | Writing::Blocked | Writing::Free => {
                return false;
            }
        };
        true
    }

    /// The kernel has accepted as much as one write may have. The socket's turn comes again.
    pub(super) fn pace(&mut self) {
        let watched = self.writing == Writing::Free;
        self.writing = Writing::Paced { watched };
    }

    /// Whether the kernel accepts bytes, and the socket waits for its turn to be written.
    pub(super) fn awaits_turn(&self) -> bool {
        matches!(self.writing, Writing::Writable | Writing::Paced { .. })
    }

    #[inline(always)]
    fn is_blocked(&self) -> bool {
        matches!(
            self.writing,
            Writing::Blocked | Writing::NewlyBlocked | Writing::Writable | Writing::Paced { .. }
        )
    }

    /// As if a write edge had come and been used.
    #[cfg(test)]
    pub(super) fn unblock(&mut self) {
        self.writing = Writing::Free;
    }

    /// Whether the socket has to be registered for write edges, which the caller then does.
    pub(super) fn begin_watching(&mut self) -> bool {
        let begins = self.writing == Writing::NewlyBlocked;
        if begins {
            self.writing = Writing::Blocked;
        }
        begins
    }

    /// Readable, not paused, and open.
    #[inline]
    pub(super) fn wants_read(&self) -> bool {
        (self.readable || self.unread) && !self.paused && self.life == Life::Open
    }

    /// Whether the peer has sent its last byte, and the socket is paused before that.
    #[inline]
    pub(super) fn hides_end(&self) -> bool {
        self.short_read == ShortRead::BeforeTheEnd && self.paused && self.life == Life::Open
    }

    /// From now on a short read does not mean that the kernel has no more.
    pub(super) fn reads_end_early(&mut self) {
        if self.short_read == ShortRead::IsAll {
            self.short_read = ShortRead::MayEndEarly;
        }
    }

    pub(super) fn set_unread(&mut self, unread: bool) {
        self.unread = unread;
    }

    /// There is something to read although the kernel has nothing: what a channel has kept.
    pub(super) fn set_readable(&mut self) {
        self.readable = true;
    }

    /// The peer has said that it has sent its last byte, before the kernel did.
    pub(super) fn end_reading(&mut self) {
        self.life = Life::PeerEnded;
    }

    /// Whether a write would reach the kernel.
    pub(super) fn can_write(&self) -> bool {
        !self.is_blocked() && self.life != Life::Broken
    }

    /// Returns whether it was paused before.
    pub(super) fn set_paused(&mut self, paused: bool) -> bool {
        std::mem::replace(&mut self.paused, paused)
    }

    /// Whether the socket has to be added to the ready list: it wants to be read, and is not
    /// in the list.
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
    /// If fewer bytes arrive than the buffer can hold, the kernel has no more. This saves a
    /// read that would only report `WouldBlock`: half of the read calls of a server with
    /// small messages. If the end has been announced, it follows these bytes without another
    /// edge: then reading continues. It also continues where a read may end early: on a Unix
    /// socket, and when urgent data have come.
    #[inline(always)]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> ReadOutcome {
        self.read_with(buffer.len(), |stream| receive(stream, buffer))
    }

    /// As [`Socket::read`], into the room at the end of `buffer`, which has some.
    pub(super) fn read_into(&mut self, buffer: &mut Vec<u8>) -> ReadOutcome {
        let room = buffer.capacity() - buffer.len();
        self.read_with(room, |stream| receive_into(stream, buffer))
    }

    #[inline(always)]
    fn read_with(
        &mut self,
        size: usize,
        mut receive: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> ReadOutcome {
        if !self.wants_read() {
            return ReadOutcome::Nothing;
        }
        match retry_interrupted(|| receive(&self.stream)) {
            Ok(0) => {
                self.life = Life::PeerEnded;
                ReadOutcome::Ended
            }
            Ok(count) => {
                let drained = SHORT_READ_MEANS_DRAINED && count < size;
                self.readable = !drained || self.short_read != ShortRead::IsAll;
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

    /// Writes until `total` bytes are written or the kernel accepts no more. `write` is given
    /// the stream and the number of bytes written so far. Returns how many bytes the kernel
    /// accepted, and the failure, if one occurred; the socket is broken then.
    ///
    /// A blocked socket is not written before its write edge: a slow reader costs no system
    /// calls.
    #[inline(always)]
    pub(super) fn write(
        &mut self,
        total: usize,
        mut write: impl FnMut(&mut TcpStream, usize) -> io::Result<usize>,
    ) -> (usize, Option<io::Error>) {
        let mut written = 0;
        if self.is_blocked() || self.life == Life::Broken {
            return (written, None);
        }
        while written < total {
            match retry_interrupted(|| write(&mut self.stream, written)) {
                Ok(0) => return (written, Some(self.broken(io::ErrorKind::WriteZero.into()))),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writing = match self.writing {
                        Writing::Unwatched => Writing::NewlyBlocked,
                        _ => Writing::Blocked,
                    };
                    break;
                }
                Err(error) => return (written, Some(self.broken(error))),
            }
        }
        (written, None)
    }

    /// The socket cannot be used any more, because of this error.
    pub(super) fn broken(&mut self, error: io::Error) -> io::Error {
        self.life = Life::Broken;
        error
    }

    /// An error is ignored: the connection has ended, which the next read or write reports.
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

    /// The key of the socket for which the kernel has returned this token with an event.
    ///
    /// A socket that was closed in this turn can have events behind it. Its token names no
    /// socket, or on a 32-bit system its slot's next one if that slot has had 4,096 sockets
    /// in the turn, which has 1,024 events and 64 new connections at most.
    #[inline(always)]
    pub(super) fn key_of(&self, token: mio::Token) -> Option<SocketKey> {
        if TOKEN_HAS_WHOLE_KEY {
            return Some(SocketKey(token.0 as u64));
        }
        let slot = token.0 as u64 & ((1 << TOKEN_SLOT_BITS) - 1);
        let key = self.key_at(slot as u32)?;
        (key.to_token() == token).then_some(key)
    }

    /// The key of the socket that is in this slot.
    pub(super) fn key_at(&self, index: u32) -> Option<SocketKey> {
        let slot = self.slots.get(index as usize)?;
        match slot.content {
            Content::Open(_) => Some(SocketKey::new(index, slot.generation)),
            Content::Free { .. } => None,
        }
    }

    /// The keys of all open sockets.
    pub(super) fn keys(&self) -> Vec<SocketKey> {
        let slots = 0..self.slots.len() as u32;
        slots.filter_map(|index| self.key_at(index)).collect()
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

/// The maximum number of sockets of one reactor: an index, its node in the timer wheel, and
/// the reactor's own tokens (512 listeners and two others) are all different numbers of
/// [`TOKEN_SLOT_BITS`].
pub(super) const SOCKETS_MAX: usize = ((1_u64 << TOKEN_SLOT_BITS) - 1025) as usize;
const NO_SLOT: u32 = u32::MAX;
const _: () = assert!(super::wheel::FIRST_SOCKET < 1024);

/// True where the kernel itself tracks edges. Elsewhere mio emulates them, and renews an edge
/// only after a call has returned `WouldBlock`.
const SHORT_READ_MEANS_DRAINED: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
));

/// A token is a `usize`: the kernel returns it with an event. With 32 bits it has room for
/// 20 bits of the slot, which are a million sockets, and for 12 of the generation.
const TOKEN_SLOT_BITS: u32 = if TOKEN_HAS_WHOLE_KEY { 32 } else { 20 };
const TOKEN_HAS_WHOLE_KEY: bool = usize::BITS >= u64::BITS;

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
        (Socket::new(TcpStream::from_std(ours), None, 0), theirs)
    }

    #[test]
    fn socket_takes_at_most_64_bytes_with_its_node_in_the_wheel() {
        assert!(size_of::<Slot>() + super::super::wheel::BYTES_PER_SOCKET <= 64);
        if cfg!(not(debug_assertions)) {
            assert_eq!(size_of::<Slot>(), 16);
        }
    }

    #[test]
    fn reused_slot_has_another_key() {
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
    fn key_is_the_same_after_conversion_to_a_number() {
        let key = SocketKey::new(7, 0x89AB_CDEF);
        assert_eq!(key.to_bits(), 0x89AB_CDEF_0000_0007);
        assert_eq!(SocketKey::from_bits(key.to_bits()), key);
        assert_eq!((key.index(), key.generation()), (7, 0x89AB_CDEF));
    }

    #[test]
    fn token_names_its_socket_and_not_the_next_one_of_the_slot() {
        let mut slab = Slab::new();
        let [first, second] = [0, 1].map(|_| {
            let key = slab.next_key();
            slab.insert(pair().0);
            key
        });
        assert_eq!(slab.key_of(first.to_token()), Some(first));
        assert_eq!(slab.key_of(second.to_token()), Some(second));
        assert!(slab.remove(first).is_some());
        let next = slab.next_key();
        slab.insert(pair().0);
        assert_eq!(next.index(), first.index());
        assert_eq!(slab.key_of(next.to_token()), Some(next));
        let stale = slab.key_of(first.to_token());
        assert!(stale.is_none_or(|key| !slab.contains(key)));
    }

    #[test]
    fn tokens_of_sockets_differ_from_the_tokens_of_the_reactor() {
        let largest = SocketKey::new(SOCKETS_MAX as u32 - 1, u32::MAX).to_token();
        assert_eq!(largest.0, usize::MAX - 1025);
    }

    #[test]
    fn invented_key_names_no_socket() {
        let mut slab = Slab::new();
        for bits in [0, 1, u64::from(u32::MAX), u64::MAX] {
            assert!(slab.remove(SocketKey::from_bits(bits)).is_none());
        }
        assert_eq!(slab.key_at(0), None);
    }

    #[test]
    fn socket_without_an_edge_is_not_read() {
        let (mut socket, peer) = pair();
        assert!(!socket.wants_read());
        drop(peer);
        assert!(matches!(socket.read(&mut [0; 8]), ReadOutcome::Nothing));
    }

    /// A socket with a read edge, with `bytes` and then the end to read.
    fn ended_after(bytes: &[u8]) -> Socket {
        let (mut socket, mut peer) = pair();
        peer.write_all(bytes).unwrap();
        socket.readable = true;
        socket
    }

    #[test]
    fn short_read_uses_up_the_edge_and_a_full_one_does_not() {
        let mut socket = ended_after(b"12345678");
        assert!(matches!(socket.read(&mut [0; 5]), ReadOutcome::Bytes(5)));
        assert!(socket.wants_read());
        assert!(matches!(socket.read(&mut [0; 5]), ReadOutcome::Bytes(3)));
        assert_eq!(socket.wants_read(), !SHORT_READ_MEANS_DRAINED);
    }

    #[test]
    fn announced_end_is_read_after_a_short_read() {
        let mut socket = ended_after(b"1234");
        socket.short_read = ShortRead::BeforeTheEnd;
        assert!(matches!(socket.read(&mut [0; 5]), ReadOutcome::Bytes(4)));
        assert!(matches!(socket.read(&mut [0; 5]), ReadOutcome::Ended));
        assert!(matches!(socket.read(&mut [0; 5]), ReadOutcome::Nothing));
    }

    #[test]
    fn socket_is_in_the_ready_list_once() {
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
    fn interrupted_call_is_repeated() {
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
    fn interrupted_write_continues_and_a_write_of_0_bytes_breaks_the_socket() {
        let (mut socket, _peer) = pair();
        let mut results = vec![Ok(0), Ok(3), Err(io::ErrorKind::Interrupted.into()), Ok(2)];
        let (written, failure) = socket.write(10, |_, _| results.pop().unwrap());
        assert_eq!(written, 5);
        assert_eq!(failure.unwrap().kind(), io::ErrorKind::WriteZero);
        let (written, failure) = socket.write(10, |_, _| unreachable!("it is broken"));
        assert!(written == 0 && failure.is_none());
    }

    #[test]
    fn blocked_socket_is_not_written_before_its_edge() {
        let (mut socket, _peer) = pair();
        let mut results = vec![Err(io::ErrorKind::WouldBlock.into()), Ok(4)];
        let (written, failure) = socket.write(10, |_, _| results.pop().unwrap());
        assert!(written == 4 && failure.is_none());
        let (written, failure) = socket.write(10, |_, _| unreachable!("it is blocked"));
        assert!(written == 0 && failure.is_none());
    }

    #[test]
    fn socket_is_watched_from_its_first_blocked_write_on() {
        let (mut socket, _peer) = pair();
        let blocked = || Err(io::ErrorKind::WouldBlock.into());
        socket.write(10, |_, _| Ok(10));
        assert!(!socket.begin_watching());
        socket.write(10, |_, _| blocked());
        assert!(socket.begin_watching());
        assert!(!socket.begin_watching(), "once");
        // As after a write edge.
        socket.writing = Writing::Free;
        socket.write(10, |_, _| blocked());
        assert!(!socket.begin_watching());
    }
}
