//! Decompressing messages (RFC 7692 §7.2.2).
//!
//! ```text
//!                  16 KiB              32 KiB            64 KiB
//! compressed ──▶ ┌─────────┐       ┌──────────┐        ┌─────────┐
//! octets, from   │ waiting │──────▶│ library  │──────▶ │  block  │──▶ the message,
//! the caller's   └─────────┘       └──────────┘        └─────────┘    text checked
//! buffer  ───────────────────────────▲ the rest, or all if it is all here
//! ```
//!
//! A decompressor of the library has 47 KiB. A connection that has begun a
//! compressed message should not own one for a single octet, so the first octets
//! wait as they are: a decompressor is taken from the thread's pool when the
//! message is complete, or when it is longer than what may wait.
//!
//! Between messages a connection with context takeover keeps the octets of the
//! window and a few more: as many as have come, at most five quarters of the size
//! agreed on. They are given to whichever decompressor has the next message: 0.7 µs
//! when they are 32 KiB. The same happens wherever a stream ends inside a message
//! (BFINAL), with the window as it is there.
//!
//! How much comes out is asked before the library goes on, in blocks: a message is
//! refused at the first octet that is over the limit, whatever is still packed.

use super::super::assembler::Payload;
use super::super::error::ProtocolError;
use super::compress::TAIL;
use super::{WindowBits, pool};
use std::{fmt, mem};
use zlib_rs::{Inflate, InflateError, InflateFlush, Status};

/// A compressed message that is under way.
#[derive(Debug)]
pub(crate) struct CompressedMessage {
    /// What has come and is not inflated: 0 ≤ waiting ≤ [`WAITING_BYTES_MAX`].
    waiting: Vec<u8>,
    inflater: Option<Box<Inflater>>,
    history: History,
    /// The most that the message may be when it is inflated.
    bytes_max: usize,
}

impl CompressedMessage {
    pub(crate) fn new(history: History, bytes_max: usize) -> CompressedMessage {
        CompressedMessage {
            waiting: Vec::new(),
            inflater: None,
            history,
            bytes_max,
        }
    }

    /// Takes the next compressed octets; `last` if no more will come.
    //= https://www.rfc-editor.org/rfc/rfc7692#section-6.2
    //# An endpoint MUST use the following algorithm to receive a message in
    //# the form of a compressed message.
    pub(crate) fn push(
        &mut self,
        octets: &[u8],
        last: bool,
        payload: &mut Payload,
    ) -> Result<(), ProtocolError> {
        let may_wait = self.waiting.len() + octets.len() <= WAITING_BYTES_MAX;
        if may_wait && !last && self.inflater.is_none() {
            self.waiting.extend_from_slice(octets);
            return Ok(());
        }
        self.inflate_waiting(payload)?;
        self.inflate(octets, payload)
    }

    /// The message is complete: inflates what waits, and sees that it was whole. One
    /// without an octet never is.
    pub(crate) fn finish(&mut self, payload: &mut Payload) -> Result<(), ProtocolError> {
        self.inflate_waiting(payload)?;
        let mut inflater = self
            .inflater
            .take()
            .ok_or(ProtocolError::CompressedDataCorrupt)?;
        let whole = inflater.end();
        pool::give_inflater(inflater);
        whole
    }

    /// What the next message may refer to, now that this one is complete.
    pub(crate) fn history_behind(&mut self, payload: &[u8]) -> History {
        let mut history = mem::take(&mut self.history);
        history.push(payload);
        history
    }

    #[cfg(test)]
    pub(crate) fn has_a_decompressor(&self) -> bool {
        self.inflater.is_some()
    }

    fn inflate_waiting(&mut self, payload: &mut Payload) -> Result<(), ProtocolError> {
        let waiting = mem::take(&mut self.waiting);
        self.inflate(&waiting, payload)
    }

    fn inflate(&mut self, octets: &[u8], payload: &mut Payload) -> Result<(), ProtocolError> {
        if octets.is_empty() {
            return Ok(());
        }
        let inflater = match &mut self.inflater {
            Some(inflater) => inflater,
            None => {
                let inflater = self.inflater.insert(pool::take_inflater());
                inflater.start([self.history.window(), &[], &[]])?;
                inflater
            }
        };
        let (history, bytes_max) = (&self.history, self.bytes_max);
        pool::with_block(|block| inflater.inflate(octets, history, bytes_max, payload, block))
    }
}

impl Drop for CompressedMessage {
    fn drop(&mut self) {
        if let Some(inflater) = self.inflater.take() {
            pool::give_inflater(inflater);
        }
    }
}

/// The library's decompressor.
pub(crate) struct Inflater {
    inflate: Inflate,
}

impl Inflater {
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
    //# Otherwise, the client MUST use a
    //# 32,768-byte LZ77 sliding window to decompress received messages.
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
    //# Otherwise, the server MUST use a
    //# 32,768-byte LZ77 sliding window to decompress received messages.
    pub(crate) fn new() -> Inflater {
        Inflater {
            inflate: Inflate::new(false, WindowBits::MAX.get()),
        }
    }

    /// Begins a stream behind these octets.
    fn start(&mut self, earlier: [&[u8]; 3]) -> Result<(), ProtocolError> {
        self.inflate.reset(false);
        for octets in earlier.into_iter().filter(|octets| !octets.is_empty()) {
            let set = self.inflate.set_dictionary(octets);
            set.map_err(|_| ProtocolError::CompressedDataCorrupt)?;
        }
        Ok(())
    }

    /// Inflates all of `octets`, at least one, to the end of `payload`, by way of
    /// `block`.
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
    //# Decompress the resulting data using DEFLATE.
    fn inflate(
        &mut self,
        mut octets: &[u8],
        history: &History,
        bytes_max: usize,
        payload: &mut Payload,
        block: &mut [u8],
    ) -> Result<(), ProtocolError> {
        loop {
            let room = bytes_max - payload.bytes();
            // One octet more than may come, to see that it does.
            let block_bytes = block.len().min(room.saturating_add(1));
            let step = self.step(octets, &mut block[..block_bytes]);
            octets = &octets[step.taken..];
            // What came before an error is looked at before it, as it would have
            // been if it had come alone.
            payload.grow(&block[..step.written.min(room)], bytes_max)?;
            if step.written > room {
                return Err(ProtocolError::MessageTooBig);
            }
            match step.status {
                Err(_) => return Err(ProtocolError::CompressedDataCorrupt),
                //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
                //# An endpoint MAY use both DEFLATE blocks with the "BFINAL" bit set
                //# to 0 and DEFLATE blocks with the "BFINAL" bit set to 1.
                Ok(Status::StreamEnd) => {
                    let (gathered, cut) = payload.octets();
                    let gathered = last_of(gathered, WINDOW_BYTES_MAX);
                    let earlier = last_of(history.window(), WINDOW_BYTES_MAX - gathered.len());
                    self.start([earlier, gathered, cut])?;
                    if octets.is_empty() {
                        return Ok(());
                    }
                }
                // A full block: there may be more to come, also of what is read.
                Ok(_) if step.written == block_bytes => {}
                Ok(_) => return Ok(()),
            }
        }
    }

    /// The message is complete. It is whole if what has come and the four octets that
    /// the sender has removed end with an empty block, behind which a last one can
    /// follow. Where a stream has ended (BFINAL) and nothing has come behind it, they
    /// do not: they are the beginning of a block that is cut.
    fn end(&mut self) -> Result<(), ProtocolError> {
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
        //# Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the
        //# payload of the message.
        let step = self.step(&TAIL_AND_LAST_BLOCK, &mut [0]);
        let all_taken = step.taken == TAIL_AND_LAST_BLOCK.len();
        match (step.status, step.written) {
            (Ok(Status::StreamEnd), 0) if all_taken => Ok(()),
            _ => Err(ProtocolError::CompressedDataCorrupt),
        }
    }

    /// One call of the library.
    fn step(&mut self, octets: &[u8], room: &mut [u8]) -> Step {
        let (taken, written) = (self.inflate.total_in(), self.inflate.total_out());
        let flush = InflateFlush::SyncFlush;
        let status = self.inflate.decompress(octets, room, flush);
        Step {
            taken: (self.inflate.total_in() - taken) as usize,
            written: (self.inflate.total_out() - written) as usize,
            status,
        }
    }
}

/// What one call of the library has done.
struct Step {
    taken: usize,
    written: usize,
    status: Result<Status, InflateError>,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inflater")
    }
}

/// The octets that the next message of a peer with context takeover may refer to.
///
/// A peer that refers further back than agreed is not caught as long as the octets
/// are still there: within a message all distances up to 32 KiB work.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// At most a quarter more than the window, so that not each message has to
    /// move all of it.
    octets: Vec<u8>,
    /// 0 for a peer without context takeover.
    window_bytes: usize,
}

impl History {
    /// Of a peer that has sent nothing. Nothing is allocated.
    pub(crate) fn new(context_takeover: bool, window_bits: WindowBits) -> History {
        History {
            octets: Vec::new(),
            window_bytes: match context_takeover {
                true => window_bits.window_bytes(),
                false => 0,
            },
        }
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.octets.capacity()
    }

    /// The last octets of all messages.
    fn window(&self) -> &[u8] {
        last_of(&self.octets, self.window_bytes)
    }

    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
    //# Otherwise, the client MUST decompress
    //# each new message using the LZ77 sliding window used to process the
    //# last compressed message.
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
    //# Otherwise, the server MUST decompress
    //# each new message using the LZ77 sliding window used to process the
    //# last compressed message.
    pub(crate) fn push(&mut self, message: &[u8]) {
        if self.window_bytes == 0 {
            return;
        }
        let new = last_of(message, self.window_bytes);
        let bytes_max = self.window_bytes + self.window_bytes / 4;
        let bytes = self.octets.len() + new.len();
        if bytes > bytes_max {
            let kept = self.window_bytes - new.len();
            self.octets.drain(..self.octets.len() - kept);
        }
        let bytes = self.octets.len() + new.len();
        if bytes > self.octets.capacity() {
            let doubled = (2 * self.octets.len()).clamp(bytes, bytes_max);
            self.octets.reserve_exact(doubled - self.octets.len());
        }
        self.octets.extend_from_slice(new);
    }
}

/// So many of these octets, the last ones; all, if there are fewer.
fn last_of(octets: &[u8], bytes_max: usize) -> &[u8] {
    &octets[octets.len().saturating_sub(bytes_max)..]
}

/// What a decompressor can be given to refer to.
const WINDOW_BYTES_MAX: usize = WindowBits::MAX.window_bytes();

/// Compressed octets that may wait for the rest of their message: a third of what a
/// decompressor costs.
const WAITING_BYTES_MAX: usize = 16 << 10;

/// The library writes so much at once. It has all but long messages in one call,
/// and is a tenth faster with 64 KiB of JSON than in four.
pub(super) const BLOCK_BYTES: usize = 64 << 10;

/// What the sender has removed, and behind it an empty block that ends the stream
/// (BFINAL, fixed codes, end of block).
const TAIL_AND_LAST_BLOCK: [u8; 6] = [TAIL[0], TAIL[1], TAIL[2], TAIL[3], 0b011, 0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_octets_wait_and_one_more_takes_a_decompressor() {
        // A stored block of 65,535 zeros, of which not all have come.
        let mut octets = vec![0; WAITING_BYTES_MAX + 1];
        octets[1..3].fill(0xff);
        for first in [0, 1, 5000, WAITING_BYTES_MAX] {
            let mut message = CompressedMessage::new(History::default(), 1 << 20);
            let mut payload = Payload::Binary(Vec::new());
            let (now, then) = octets[..WAITING_BYTES_MAX].split_at(first);
            for piece in [now, then] {
                assert_eq!(message.push(piece, false, &mut payload), Ok(()));
            }
            assert_eq!(message.waiting.len(), WAITING_BYTES_MAX);
            assert!(message.inflater.is_none());

            let one_more = &octets[WAITING_BYTES_MAX..];
            assert_eq!(message.push(one_more, false, &mut payload), Ok(()));
            assert_eq!(message.waiting.capacity(), 0);
            assert!(message.inflater.is_some());
            assert_eq!(payload.bytes(), octets.len() - 5);
        }
    }

    #[test]
    fn a_message_that_is_all_here_does_not_wait() {
        let mut message = CompressedMessage::new(History::default(), 5);
        let mut payload = Payload::Binary(Vec::new());
        let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
        assert_eq!(message.push(hello, true, &mut payload), Ok(()));
        assert_eq!(message.waiting.capacity(), 0);
        assert_eq!(payload.octets().0, b"Hello");
        // Its decompressor goes back as soon as it is known to be whole.
        assert_eq!(message.finish(&mut payload), Ok(()));
        assert!(message.inflater.is_none());
    }
}
