//! Secured sockets: a [`Channel`] opens the bytes that a socket receives, and seals those that it
//! sends.
//!
//! ```text
//!   kernel ──▶ ciphertext ──▶ Channel::receive ──▶ the shared read buffer ──▶ received()
//!   kernel ◀── records    ◀── Channel::seal    ◀── at most 32 KiB of a write
//!                 └── what the kernel does not accept stays here: `output`
//! ```
//!
//! The application reads and writes as it does on a plain socket. A write accepts only what is
//! sealed for the next system call: 32 KiB. While sealed bytes wait for the kernel, a write
//! accepts nothing, so the application's own queue or log keeps the rest. FIN follows the last
//! sealed byte and the channel's own end.
//!
//! # Costs
//!
//! A plain socket costs one comparison for each read and each write. A secured one has about 100
//! bytes here besides its channel, and a buffer only while a record has arrived in part (at most
//! 32 KiB) or while the kernel does not accept what is sealed (at most 32 KiB and the overhead
//! of records). [`Io::secured_bytes`](super::Io::secured_bytes) is their sum.
//!
//! Opening a channel can cost the time of a signature. So at most [`HANDSHAKES_PER_TURN_MAX`]
//! reads of channels that are not established are made in a turn. The other sockets are read
//! between them.
//!
//! # Where it stops
//!
//! This file knows no protocol: TLS is one implementation of the trait.

use std::io::{self, ErrorKind, IoSlice};

use super::calls::send;
use super::socket::{ReadOutcome, Socket, SocketKey};

/// What opens and seals the bytes of one socket: see [`Io::secure`](super::Io::secure).
pub trait Channel: Send {
    /// Bytes of the peer: those that an earlier call has not consumed, and further ones. May be
    /// empty, so that the side that speaks first can begin. Calls `opened` with the opened bytes, and
    /// appends to `output` what is to be sent back.
    fn receive(
        &mut self,
        input: &mut [u8],
        opened: &mut dyn FnMut(&[u8]),
        output: &mut Vec<u8>,
    ) -> ChannelInput;

    /// Appends `bytes` to `output`, sealed. `input`: the bytes of the peer that
    /// [`receive`](Channel::receive) has not consumed; they stay. Not called before the channel is
    /// [established](Channel::is_established) or after [`close`](Channel::close).
    ///
    /// # Errors
    /// The channel cannot be used any more. The socket has failed then.
    fn seal(&mut self, input: &mut [u8], bytes: &[u8], output: &mut Vec<u8>) -> io::Result<()>;

    /// Appends to `output` what tells the peer that nothing follows. `input`: as for
    /// [`seal`](Channel::seal).
    fn close(&mut self, input: &mut [u8], output: &mut Vec<u8>);

    /// Whether bytes can be sealed: the opening of the channel is complete.
    fn is_established(&self) -> bool;
}

/// What [`Channel::receive`] has made of its input.
#[derive(Debug)]
pub struct ChannelInput {
    /// So many bytes at the front are done with. The others are passed again, with further ones.
    pub consumed_bytes: usize,
    /// What follows for the channel.
    pub state: ChannelState,
}

/// What follows for a [`Channel`] after input.
#[derive(Debug)]
#[non_exhaustive]
pub enum ChannelState {
    /// More input is awaited.
    Open,
    /// The peer has sent its last byte, and has said so.
    Ended,
    /// The first bytes are of no channel, and nothing was consumed. The socket is plain from now
    /// on, and the application [receives](super::Application::received) these bytes.
    NotSecured,
    /// The peer has broken a rule, or does not accept this side. What was appended to the output
    /// is sent, then [`ended`](super::Application::ended) is called with this error.
    Failed(io::Error),
}

/// The channels of all sockets, by the index of the socket.
#[derive(Default)]
pub(super) struct SecuredSockets {
    slots: Vec<Option<Box<Secured>>>,
    /// The memory of all inputs and outputs.
    bytes: usize,
    /// Reads of channels that are not established that are left in this turn.
    handshakes_left: usize,
    scratch: Scratch,
}

/// Buffers that all channels use one after the other; without memory before the first one.
#[derive(Default)]
struct Scratch {
    /// [`CIPHERTEXT_BYTES`], when it is used.
    ciphertext: Vec<u8>,
    sealed: Vec<u8>,
    gathered: Vec<u8>,
}

/// One secured socket.
struct Secured {
    channel: Box<dyn Channel>,
    /// Received bytes that are no whole record; at most [`INPUT_BYTES_MAX`].
    input: Vec<u8>,
    /// The application has given `input`: it is opened before the socket is read.
    input_is_new: bool,
    /// Sealed bytes that the kernel has not accepted, from `sent` on.
    output: Vec<u8>,
    /// 0 ≤ sent < output.len(), or both are 0.
    sent: usize,
    /// A write came before the channel was established.
    write_waits: bool,
    writing: Writing,
    /// To be reported when the application has processed the bytes before it.
    end: Option<PeerEnd>,
}

/// How far the end of writing has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    Open,
    /// FIN follows the output.
    Ending,
    Ended,
}

enum PeerEnd {
    Ended,
    Failed(io::Error),
}

/// What became of the output of one socket.
enum Sent {
    All,
    /// The kernel accepts no more at the moment.
    Part,
    Failed(io::Error),
}

// The table.
impl SecuredSockets {
    pub(super) fn begin_turn(&mut self) {
        self.handshakes_left = HANDSHAKES_PER_TURN_MAX;
    }

    /// A socket is secured from now on. `input`: what has come for the channel already. The
    /// channel may begin to speak.
    pub(super) fn insert(
        &mut self,
        key: SocketKey,
        socket: &mut Socket,
        channel: Box<dyn Channel>,
        input: &[u8],
    ) -> Option<io::Error> {
        socket.set_secured(true);
        let mut secured = Secured::new(channel);
        secured.input = input.to_vec();
        secured.input_is_new = !input.is_empty();
        if secured.input_is_new {
            socket.set_readable();
        }
        self.bytes += secured.bytes();
        if self.slots.len() <= key.index() {
            self.slots.resize_with(key.index() + 1, || None);
        }
        let mut output = Vec::new();
        if !secured.input_is_new {
            secured.channel.receive(&mut [], &mut |_| {}, &mut output);
        }
        self.slots[key.index()] = Some(Box::new(secured));
        match self.queue_and_send(key, socket, &output) {
            Sent::Failed(error) => Some(error),
            Sent::All | Sent::Part => None,
        }
    }

    pub(super) fn remove(&mut self, key: SocketKey) {
        if let Some(secured) = self.slots.get_mut(key.index()).and_then(Option::take) {
            self.bytes -= secured.bytes();
        }
    }

    /// The memory of the partly received and of the sealed bytes of all sockets.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The same of one socket.
    pub(super) fn bytes_of(&self, key: SocketKey) -> usize {
        self.get(key).map_or(0, Secured::bytes)
    }

    /// Whether sealed bytes wait for the kernel.
    pub(super) fn has_output(&self, key: SocketKey) -> bool {
        self.get(key).is_some_and(|secured| secured.has_output())
    }

    /// Whether a write came too early and can be made now; true once.
    pub(super) fn take_write_waits(&mut self, key: SocketKey) -> bool {
        let slot = self.slots.get_mut(key.index()).and_then(Option::as_mut);
        slot.is_some_and(|secured| {
            secured.channel.is_established() && std::mem::take(&mut secured.write_waits)
        })
    }

    fn get(&self, key: SocketKey) -> Option<&Secured> {
        self.slots.get(key.index())?.as_deref()
    }
}

// Reading.
impl SecuredSockets {
    /// One read of ciphertext, of about `size` bytes, and its plaintext into `buffer`; repeated while it brings
    /// no plaintext.
    pub(super) fn read(
        &mut self,
        key: SocketKey,
        socket: &mut Socket,
        buffer: &mut [u8],
        size: usize,
    ) -> ReadOutcome {
        if buffer.len() < INPUT_BYTES_MAX {
            let reason = "read_buffer_bytes is too small for secured sockets";
            return ReadOutcome::Failed(socket.broken(io::Error::other(reason)));
        }
        self.scratch.ciphertext.resize(CIPHERTEXT_BYTES, 0);
        loop {
            if let Some(outcome) = self.read_once(key, socket, buffer, size) {
                return outcome;
            }
        }
    }

    /// `None`: it brought no plaintext, and there may be more to read.
    fn read_once(
        &mut self,
        key: SocketKey,
        socket: &mut Socket,
        buffer: &mut [u8],
        size: usize,
    ) -> Option<ReadOutcome> {
        if !socket.wants_read() {
            return Some(ReadOutcome::Nothing);
        }
        let Some(secured) = self.slots.get_mut(key.index()).and_then(Option::as_mut) else {
            return Some(ReadOutcome::Nothing);
        };
        if let Some(end) = secured.end.take() {
            return Some(end.into_outcome(socket));
        }
        let kept = secured.input.len();
        if kept >= buffer.len() {
            // What stays in the buffer leaves too little room. It stays readable, for the next turn.
            return Some(ReadOutcome::Nothing);
        }
        if !secured.channel.is_established() {
            if self.handshakes_left == 0 {
                // It stays readable, for the next turn.
                return Some(ReadOutcome::Nothing);
            }
            self.handshakes_left -= 1;
        }
        let ciphertext = &mut self.scratch.ciphertext;
        ciphertext[..kept].copy_from_slice(&secured.input);
        let mut received = kept;
        if !std::mem::take(&mut secured.input_is_new) {
            let room = CIPHERTEXT_BYTES.min(buffer.len());
            let end = room.min(kept.saturating_add(size.max(1)));
            match socket.read(&mut ciphertext[kept..end]) {
                ReadOutcome::Bytes(count) => received += count,
                outcome => return Some(outcome),
            }
        }
        self.open(key, socket, buffer, received)
    }

    /// Opens the first `received` bytes of the ciphertext.
    fn open(
        &mut self,
        key: SocketKey,
        socket: &mut Socket,
        buffer: &mut [u8],
        received: usize,
    ) -> Option<ReadOutcome> {
        let secured = self.slots.get_mut(key.index()).and_then(Option::as_mut)?;
        let Scratch {
            ciphertext, sealed, ..
        } = &mut self.scratch;
        sealed.clear();
        let mut count = 0;
        let mut opened = |bytes: &[u8]| {
            // It is shorter than its ciphertext, for which there is room.
            buffer[count..count + bytes.len()].copy_from_slice(bytes);
            count += bytes.len();
        };
        let input = secured
            .channel
            .receive(&mut ciphertext[..received], &mut opened, sealed);
        if let ChannelState::NotSecured = input.state {
            buffer[..received].copy_from_slice(&ciphertext[..received]);
            self.remove(key);
            socket.set_secured(false);
            return Some(ReadOutcome::Bytes(received));
        }
        let rest = &ciphertext[input.consumed_bytes.min(received)..received];
        let before = secured.bytes();
        secured.input = rest.to_vec();
        self.bytes = self.bytes - before + secured.bytes();
        let end = match input.state {
            ChannelState::Ended => Some(PeerEnd::Ended),
            ChannelState::Failed(error) => Some(PeerEnd::Failed(error)),
            _ if rest.len() > INPUT_BYTES_MAX => {
                let error = io::Error::new(ErrorKind::InvalidData, "a record is too long");
                Some(PeerEnd::Failed(error))
            }
            _ => None,
        };
        self.after_opening(key, socket, count, end)
    }

    /// Sends what the channel has answered, and decides what the application gets.
    fn after_opening(
        &mut self,
        key: SocketKey,
        socket: &mut Socket,
        count: usize,
        end: Option<PeerEnd>,
    ) -> Option<ReadOutcome> {
        let answer = std::mem::take(&mut self.scratch.sealed);
        let sent = self.queue_and_send(key, socket, &answer);
        self.scratch.sealed = answer;
        if let (Sent::Failed(error), None) = (sent, &end) {
            return Some(ReadOutcome::Failed(error));
        }
        if let Some(PeerEnd::Failed(_)) = &end {
            self.discard_input(socket);
        }
        match (count, end) {
            (0, None) => None,
            (0, Some(end)) => Some(end.into_outcome(socket)),
            (_, end) => {
                let secured = self.slots.get_mut(key.index()).and_then(Option::as_mut)?;
                if end.is_some() {
                    // No edge follows for it.
                    socket.set_readable();
                }
                secured.end = end;
                Some(ReadOutcome::Bytes(count))
            }
        }
    }

    /// Closing a socket with unread input makes the kernel reset the connection, which can discard
    /// the channel's last words.
    fn discard_input(&mut self, socket: &mut Socket) {
        socket.shutdown_write();
        socket.read(&mut self.scratch.ciphertext);
    }
}

// Writing.
impl SecuredSockets {
    /// Seals and writes until `total` bytes of the slices are accepted, or the kernel accepts no more.
    /// Returns how many were accepted, and the failure, if one occurred.
    pub(super) fn write(
        &mut self,
        key: SocketKey,
        socket: &mut Socket,
        total: usize,
        slices: &[IoSlice<'_>],
    ) -> (usize, Option<io::Error>) {
        let mut accepted = 0;
        loop {
            match self.queue_and_send(key, socket, &[]) {
                Sent::Failed(error) => return (accepted, Some(error)),
                Sent::Part => return (accepted, None),
                Sent::All if accepted == total || !self.can_seal(key, socket) => {
                    return (accepted, None);
                }
                Sent::All => {}
            }
            match self.seal(key, slices, accepted, total) {
                Ok(count) => accepted += count,
                Err(error) => return (accepted, Some(socket.broken(error))),
            }
            let sealed = std::mem::take(&mut self.scratch.sealed);
            let sent = self.queue_and_send(key, socket, &sealed);
            self.scratch.sealed = sealed;
            if let Sent::Failed(error) = sent {
                return (accepted, Some(error));
            }
        }
    }

    /// Whether bytes can be sealed: the channel is established, and its end was not sent.
    fn can_seal(&mut self, key: SocketKey, socket: &Socket) -> bool {
        let Some(secured) = self.slots.get_mut(key.index()).and_then(Option::as_mut) else {
            return false;
        };
        if !secured.channel.is_established() {
            secured.write_waits = true;
            return false;
        }
        secured.writing == Writing::Open && socket.can_write()
    }

    /// Seals the next part of the slices, from `accepted` on, into the scratch buffer: as few records as hold it, at most
    /// [`RECORDS_PER_WRITE`]. Returns its length.
    fn seal(
        &mut self,
        key: SocketKey,
        slices: &[IoSlice<'_>],
        accepted: usize,
        total: usize,
    ) -> io::Result<usize> {
        let Scratch {
            sealed, gathered, ..
        } = &mut self.scratch;
        sealed.clear();
        let Some(secured) = self.slots.get_mut(key.index()).and_then(Option::as_mut) else {
            return Ok(0);
        };
        let mut at = accepted;
        for _ in 0..RECORDS_PER_WRITE {
            if at == total {
                break;
            }
            let record = next_record(slices, at, gathered);
            let record = &record[..record.len().min(total - at)];
            secured.channel.seal(&mut secured.input, record, sealed)?;
            at += record.len();
        }
        Ok(at - accepted)
    }

    /// Ends writing: the channel's end and FIN follow what is sealed.
    pub(super) fn shutdown(&mut self, key: SocketKey, socket: &mut Socket) -> Option<io::Error> {
        let secured = self.slots.get_mut(key.index()).and_then(Option::as_mut)?;
        let mut end = Vec::new();
        if secured.writing == Writing::Open {
            secured.writing = Writing::Ending;
            secured.channel.close(&mut secured.input, &mut end);
        }
        match self.queue_and_send(key, socket, &end) {
            Sent::Failed(error) => Some(error),
            Sent::All | Sent::Part => None,
        }
    }

    /// The kernel accepts bytes again.
    pub(super) fn send_output(&mut self, key: SocketKey, socket: &mut Socket) -> Option<io::Error> {
        match self.queue_and_send(key, socket, &[]) {
            Sent::Failed(error) => Some(error),
            Sent::All | Sent::Part => None,
        }
    }

    /// Sends what waits, then `bytes`; keeps what the kernel does not accept.
    fn queue_and_send(&mut self, key: SocketKey, socket: &mut Socket, bytes: &[u8]) -> Sent {
        let Some(secured) = self.slots.get_mut(key.index()).and_then(Option::as_mut) else {
            return Sent::All;
        };
        let before = secured.bytes();
        let sent = secured.send(socket, bytes);
        self.bytes = self.bytes - before + secured.bytes();
        sent
    }
}

impl Secured {
    fn new(channel: Box<dyn Channel>) -> Secured {
        Secured {
            channel,
            input: Vec::new(),
            input_is_new: false,
            output: Vec::new(),
            sent: 0,
            write_waits: false,
            writing: Writing::Open,
            end: None,
        }
    }

    fn bytes(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    fn has_output(&self) -> bool {
        self.sent < self.output.len()
    }

    fn send(&mut self, socket: &mut Socket, bytes: &[u8]) -> Sent {
        let failure = match self.has_output() {
            true => self.send_waiting(socket, bytes),
            false => self.send_new(socket, bytes),
        };
        match failure {
            Some(error) => Sent::Failed(error),
            None if self.has_output() => Sent::Part,
            None => {
                if self.writing == Writing::Ending {
                    self.writing = Writing::Ended;
                    socket.shutdown_write();
                }
                Sent::All
            }
        }
    }

    fn send_waiting(&mut self, socket: &mut Socket, bytes: &[u8]) -> Option<io::Error> {
        self.output.extend_from_slice(bytes);
        let waiting = &self.output[self.sent..];
        let (count, failure) = write(socket, waiting);
        self.sent += count;
        if self.sent == self.output.len() {
            (self.output, self.sent) = (Vec::new(), 0);
        }
        let too_long = self.output.len() > OUTPUT_BYTES_MAX;
        let reason = "the peer makes this side answer, and does not read";
        failure.or_else(|| too_long.then(|| socket.broken(io::Error::other(reason))))
    }

    fn send_new(&mut self, socket: &mut Socket, bytes: &[u8]) -> Option<io::Error> {
        let (count, failure) = write(socket, bytes);
        if count < bytes.len() {
            self.output = bytes[count..].to_vec();
        }
        failure
    }
}

impl PeerEnd {
    fn into_outcome(self, socket: &mut Socket) -> ReadOutcome {
        match self {
            PeerEnd::Ended => {
                socket.end_reading();
                ReadOutcome::Ended
            }
            PeerEnd::Failed(error) => ReadOutcome::Failed(socket.broken(error)),
        }
    }
}

#[inline(always)]
fn write(socket: &mut Socket, bytes: &[u8]) -> (usize, Option<io::Error>) {
    socket.write(bytes.len(), |stream, written| {
        send(stream, &bytes[written..])
    })
}

/// The bytes of the slices from `at` on that one record holds: a part of one slice if it fills the record or is the last one, else a copy
/// of several.
fn next_record<'a>(
    slices: &'a [IoSlice<'_>],
    mut at: usize,
    gathered: &'a mut Vec<u8>,
) -> &'a [u8] {
    let mut rest = slices;
    while let Some((first, others)) = rest.split_first().filter(|(first, _)| at >= first.len()) {
        at -= first.len();
        rest = others;
    }
    let Some((first, others)) = rest.split_first() else {
        return &[];
    };
    let first = &first[at..];
    if first.len() >= RECORD_BYTES_MAX || others.iter().all(|slice| slice.is_empty()) {
        return &first[..first.len().min(RECORD_BYTES_MAX)];
    }
    gathered.clear();
    gathered.extend_from_slice(first);
    for slice in others {
        let room = RECORD_BYTES_MAX - gathered.len();
        gathered.extend_from_slice(&slice[..slice.len().min(room)]);
    }
    gathered
}

/// The plaintext of one record: the maximum of TLS (RFC 8446 §5.1), so that a message needs as few records as possible.
const RECORD_BYTES_MAX: usize = 16 << 10;
/// Records that are sealed for one system call: the most that waits for a reader that has become slow is their length.
const RECORDS_PER_WRITE: usize = 2;
/// The most that one write accepts, half of what one to a plain socket does: to seal a byte costs as much as to write it.
pub(super) const SECURED_WRITE_BYTES_MAX: usize = RECORDS_PER_WRITE * RECORD_BYTES_MAX;
/// The size of a read: four records with their headers, as a plain read.
const CIPHERTEXT_BYTES: usize = 64 << 10;
/// The most that is kept of what a peer has sent and that is no whole record, or no whole message of a handshake.
const INPUT_BYTES_MAX: usize = 32 << 10;
/// The most that waits for the kernel. Four records and what the channel itself has to say are less.
const OUTPUT_BYTES_MAX: usize = 80 << 10;
/// Each may sign with RSA, the longest step of a worker. More handshakes than this wait for the next turn.
const HANDSHAKES_PER_TURN_MAX: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    /// Records are a length of four bytes and as many bytes, which are inverted. The first record of a peer establishes the
    /// channel, and answers it. An empty record ends it.
    #[derive(Default)]
    struct Inverting {
        established: bool,
    }

    fn record(bytes: &[u8]) -> Vec<u8> {
        let mut record = (bytes.len() as u32).to_be_bytes().to_vec();
        record.extend(bytes.iter().map(|byte| !byte));
        record
    }

    impl Channel for Inverting {
        fn receive(
            &mut self,
            input: &mut [u8],
            opened: &mut dyn FnMut(&[u8]),
            output: &mut Vec<u8>,
        ) -> ChannelInput {
            let mut consumed_bytes = 0;
            let mut state = ChannelState::Open;
            while let Some((length, rest)) = input[consumed_bytes..].split_first_chunk::<4>() {
                if length[0] == b'G' {
                    state = ChannelState::NotSecured;
                    break;
                }
                let length = u32::from_be_bytes(*length) as usize;
                let Some(bytes) = rest.get(..length) else {
                    break;
                };
                consumed_bytes += 4 + length;
                if !std::mem::replace(&mut self.established, true) {
                    output.extend(record(b"welcome"));
                } else if length == 0 {
                    state = ChannelState::Ended;
                    break;
                }
                opened(&bytes.iter().map(|byte| !byte).collect::<Vec<_>>());
            }
            ChannelInput {
                consumed_bytes,
                state,
            }
        }

        fn seal(&mut self, _: &mut [u8], bytes: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
            output.extend(record(bytes));
            Ok(())
        }

        fn close(&mut self, _: &mut [u8], output: &mut Vec<u8>) {
            output.extend(record(b""));
        }

        fn is_established(&self) -> bool {
            self.established
        }
    }

    struct Secured {
        sockets: SecuredSockets,
        socket: Socket,
        peer: TcpStream,
        buffer: Vec<u8>,
    }

    const KEY: SocketKey = SocketKey::from_bits(3);

    impl Secured {
        fn new() -> Secured {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            peer.set_read_timeout(Some(std::time::Duration::from_secs(30)))
                .unwrap();
            let (stream, _) = listener.accept().unwrap();
            stream.set_nonblocking(true).unwrap();
            let mut socket = Socket::new(mio::net::TcpStream::from_std(stream), None, 0);
            let mut sockets = SecuredSockets::default();
            sockets.begin_turn();
            let channel = Box::new(Inverting::default());
            assert!(sockets.insert(KEY, &mut socket, channel, &[]).is_none());
            Secured {
                sockets,
                socket,
                peer,
                buffer: vec![0; CIPHERTEXT_BYTES],
            }
        }

        fn established() -> Secured {
            let mut secured = Secured::new();
            assert_eq!(secured.receive(&record(b"hello")), b"hello");
            let mut welcome = vec![0; 11];
            secured.peer.read_exact(&mut welcome).unwrap();
            assert_eq!(welcome, record(b"welcome"));
            secured
        }

        /// What the application gets when the peer has sent this. The kernel may take a moment.
        fn receive(&mut self, bytes: &[u8]) -> Vec<u8> {
            self.peer.write_all(bytes).unwrap();
            loop {
                match self.read() {
                    ReadOutcome::Bytes(count) => return self.buffer[..count].to_vec(),
                    ReadOutcome::Nothing => std::thread::yield_now(),
                    ReadOutcome::Ended => panic!("it has ended"),
                    ReadOutcome::Failed(error) => panic!("{error}"),
                }
            }
        }

        fn read(&mut self) -> ReadOutcome {
            self.socket.set_readable();
            self.sockets
                .read(KEY, &mut self.socket, &mut self.buffer, CIPHERTEXT_BYTES)
        }

        fn write(&mut self, slices: &[&[u8]]) -> usize {
            let slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
            let total = slices.iter().map(|slice| slice.len()).sum();
            let written = self.sockets.write(KEY, &mut self.socket, total, &slices);
            assert!(written.1.is_none());
            written.0
        }
    }

    #[test]
    fn several_slices_are_one_record_and_a_long_one_is_not_copied() {
        let long = vec![7; RECORD_BYTES_MAX + 1];
        let texts: [&[u8]; 5] = [b"", b"yama", b"", b"biko", &long];
        let slices = texts.map(IoSlice::new);
        let mut gathered = Vec::new();
        let first = next_record(&slices, 0, &mut gathered);
        assert_eq!(first.len(), RECORD_BYTES_MAX);
        assert_eq!(&first[..9], b"yamabiko\x07");
        let second = next_record(&slices, 8, &mut gathered);
        assert_eq!(
            (second.len(), second.as_ptr()),
            (RECORD_BYTES_MAX, long.as_ptr())
        );
        assert_eq!(
            next_record(&slices, 8 + RECORD_BYTES_MAX, &mut gathered),
            [7]
        );
        assert_eq!(
            next_record(&slices, 9 + RECORD_BYTES_MAX, &mut gathered),
            b""
        );
    }

    #[test]
    fn bytes_are_opened_and_sealed_and_nothing_is_held_between_records() {
        let mut secured = Secured::established();
        let parts = record(b"in parts");
        secured.peer.write_all(&parts[..5]).unwrap();
        while secured.sockets.bytes() == 0 {
            assert!(matches!(secured.read(), ReadOutcome::Nothing));
        }
        assert_eq!(secured.receive(&parts[5..]), b"in parts");
        assert_eq!(secured.write(&[b"yama", b"biko"]), 8);
        let mut sealed = vec![0; 12];
        secured.peer.read_exact(&mut sealed).unwrap();
        assert_eq!(sealed, record(b"yamabiko"));
        assert_eq!(
            (secured.sockets.bytes(), secured.sockets.bytes_of(KEY)),
            (0, 0)
        );
    }

    #[test]
    fn write_before_the_handshake_is_not_accepted_and_reported_when_it_can_be_repeated() {
        let mut secured = Secured::new();
        assert_eq!(secured.write(&[b"too early"]), 0);
        assert!(!secured.sockets.take_write_waits(KEY));
        secured.receive(&record(b"hello"));
        assert!(secured.sockets.take_write_waits(KEY));
        assert!(!secured.sockets.take_write_waits(KEY));
        assert_eq!(secured.write(&[b"now"]), 3);
    }

    #[test]
    fn only_some_handshakes_are_read_in_a_turn() {
        let mut secured = Secured::new();
        secured.sockets.handshakes_left = 0;
        secured.peer.write_all(&record(b"hello")).unwrap();
        assert!(matches!(secured.read(), ReadOutcome::Nothing));
        assert!(secured.socket.wants_read());
        secured.sockets.begin_turn();
        assert_eq!(secured.sockets.handshakes_left, HANDSHAKES_PER_TURN_MAX);
        assert_eq!(secured.receive(b""), b"hello");
        assert_eq!(secured.sockets.handshakes_left, HANDSHAKES_PER_TURN_MAX - 1);
        // An established channel is read in any case.
        secured.sockets.handshakes_left = 0;
        assert_eq!(secured.receive(&record(b"more")), b"more");
    }

    #[test]
    fn unfinished_record_is_kept_up_to_the_limit_and_one_byte_more_fails() {
        for (kept, fails) in [(INPUT_BYTES_MAX, false), (INPUT_BYTES_MAX + 1, true)] {
            let mut secured = Secured::established();
            let unfinished = &record(&vec![7; 2 * INPUT_BYTES_MAX])[..kept];
            let (sender, receiver) = (secured.peer.try_clone().unwrap(), unfinished.to_vec());
            let sending = std::thread::spawn(move || (&sender).write_all(&receiver).unwrap());
            let failed = loop {
                match secured.read() {
                    ReadOutcome::Failed(error) => break error.kind() == ErrorKind::InvalidData,
                    _ if sending.is_finished() && secured.sockets.bytes() == kept && !fails => {
                        break false;
                    }
                    _ => std::thread::yield_now(),
                }
            };
            sending.join().unwrap();
            assert_eq!(failed, fails, "{kept}");
        }
    }

    #[test]
    fn slow_reader_holds_at_most_the_records_of_one_write_and_gets_fin_behind_them() {
        let mut secured = Secured::established();
        let bytes = vec![7; 1 << 20];
        let mut accepted = 0;
        while !secured.sockets.has_output(KEY) {
            accepted += secured.write(&[&bytes]);
        }
        let most = RECORDS_PER_WRITE * (RECORD_BYTES_MAX + 4);
        assert!(
            secured.sockets.bytes() <= most,
            "{}",
            secured.sockets.bytes()
        );
        assert_eq!(secured.write(&[b"more"]), 0);
        assert!(secured.sockets.shutdown(KEY, &mut secured.socket).is_none());
        let mut peer = secured.peer.try_clone().unwrap();
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            all
        });
        while secured.sockets.has_output(KEY) {
            secured.socket.unblock();
            let failure = secured.sockets.send_output(KEY, &mut secured.socket);
            assert!(failure.is_none());
        }
        let all = reading.join().unwrap();
        assert!(all.ends_with(&record(b"")));
        assert!(all.len() > accepted);
        assert_eq!(secured.sockets.bytes(), 0);
    }

    #[test]
    fn answers_that_a_peer_does_not_read_are_limited() {
        let mut secured = Secured::established();
        let bytes = vec![7; 1 << 20];
        while !secured.sockets.has_output(KEY) {
            secured.write(&[&bytes]);
        }
        let held = secured.sockets.get(KEY).unwrap().output.len();
        let answer = vec![7; OUTPUT_BYTES_MAX - held];
        let sent = |secured: &mut Secured, bytes: &[u8]| {
            secured
                .sockets
                .queue_and_send(KEY, &mut secured.socket, bytes)
        };
        assert!(matches!(sent(&mut secured, &answer), Sent::Part));
        assert!(matches!(sent(&mut secured, &[7]), Sent::Failed(_)));
    }

    #[test]
    fn end_of_the_peer_is_reported_behind_its_last_bytes() {
        let mut secured = Secured::established();
        let last = [record(b"last"), record(b"")].concat();
        assert_eq!(secured.receive(&last), b"last");
        // Without a further edge.
        let read = secured.sockets.read(
            KEY,
            &mut secured.socket,
            &mut secured.buffer,
            CIPHERTEXT_BYTES,
        );
        assert!(matches!(read, ReadOutcome::Ended));
        // This side may still write.
        assert_eq!(secured.write(&[b"reply"]), 5);
    }

    #[test]
    fn socket_whose_first_bytes_are_of_no_channel_is_plain() {
        let mut secured = Secured::new();
        assert_eq!(secured.receive(b"GET / HTTP/1.1"), b"GET / HTTP/1.1");
        assert!(!secured.socket.is_secured());
        assert_eq!(secured.sockets.bytes(), 0);
    }
}
