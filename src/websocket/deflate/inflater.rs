//! The library's decompressor, and the limit of its output (RFC 7692 §7.2.2).
//!
//! The size is compared with the limit before the library goes on, block by block: a
//! message is refused at the first byte over the limit, whatever is still compressed.
//! In the same way it stops where a step ends, because a few bytes can inflate to a
//! thousand times their number.

use super::WindowBits;
use super::compress::TAIL;
use super::history::{History, last_of};
use super::inflated::{InflateError, Inflated};
use zlib_rs::{Inflate, InflateFlush, Status};

/// The library's decompressor.
pub(crate) struct Inflater {
    inflate: Inflate,
    /// Of the message under way: streams that have ended, each of which costs as much as 100 bytes of text or more.
    streams: u64,
    /// Of the message under way: compressed bytes.
    taken: u64,
}

impl Inflater {
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
    //# Otherwise, the server MUST use a
    //# 32,768-byte LZ77 sliding window to decompress received messages.
    pub(crate) fn new() -> Inflater {
        Inflater {
            inflate: Inflate::new(false, WindowBits::MAX.get()),
            streams: 0,
            taken: 0,
        }
    }

    /// Begins a message, behind the window of earlier ones.
    pub(super) fn begin(&mut self, window: &[u8]) -> Result<(), InflateError> {
        (self.streams, self.taken) = (0, 0);
        self.start([window, &[], &[]])
    }

    /// A stream has ended inside the message.
    fn count_stream(&mut self) -> Result<(), InflateError> {
        self.streams += 1;
        match self.streams <= STREAMS_MAX + self.taken / BYTES_PER_STREAM {
            true => Ok(()),
            false => Err(InflateError::TooManyStreams),
        }
    }

    /// Begins a stream behind these bytes.
    fn start(&mut self, earlier: [&[u8]; 3]) -> Result<(), InflateError> {
        self.inflate.reset(false);
        for bytes in earlier.into_iter().filter(|bytes| !bytes.is_empty()) {
            let set = self.inflate.set_dictionary(bytes);
            set.map_err(|_| InflateError::Corrupt)?;
        }
        Ok(())
    }

    /// Inflates `bytes` through `block`, at most `step_bytes`, which become less by what was inflated. Returns how
    /// many of `bytes` were taken: all, unless the step is over. If it is, there may be more output, also
    /// of bytes that were taken.
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
    //# Decompress the resulting data using DEFLATE.
    pub(super) fn inflate<I: Inflated>(
        &mut self,
        bytes: &[u8],
        history: &History,
        bytes_max: usize,
        inflated: &mut I,
        block: &mut [u8],
        step_bytes: &mut usize,
    ) -> Result<usize, I::Error> {
        let mut taken = 0;
        while *step_bytes > 0 {
            let room = bytes_max - inflated_bytes(inflated);
            // One byte more than may come, to see that it does.
            let block_bytes = block.len().min(room.saturating_add(1)).min(*step_bytes);
            let step = self.step(&bytes[taken..], &mut block[..block_bytes]);
            taken += step.taken;
            *step_bytes -= step.written;
            // Bytes before an error are checked before it, as they would have been if
            // they had come alone.
            inflated.add(&block[..step.written.min(room)], bytes_max)?;
            if step.written > room {
                return Err(InflateError::TooLong.into());
            }
            match step.status {
                Err(_) => return Err(InflateError::Corrupt.into()),
                //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
                //# An endpoint MAY use both DEFLATE blocks with the "BFINAL" bit set
                //# to 0 and DEFLATE blocks with the "BFINAL" bit set to 1.
                Ok(Status::StreamEnd) => {
                    self.count_stream()?;
                    let (first, second) = inflated.parts();
                    let first = last_of(first, WINDOW_BYTES_MAX);
                    let earlier = last_of(history.window(), WINDOW_BYTES_MAX - first.len());
                    self.start([earlier, first, second])?;
                    if taken == bytes.len() {
                        return Ok(taken);
                    }
                }
                // A full block: there may be more output, also of bytes taken.
                Ok(_) if step.written == block_bytes => {}
                Ok(_) => return Ok(bytes.len()),
            }
        }
        Ok(taken)
    }

    /// Inflates from the front of `bytes` until they are used up or `block` is full, at most
    /// `room` bytes and one more, which is an error. `window` gets what is inflated.
    pub(super) fn fill(
        &mut self,
        bytes: &[u8],
        window: &mut History,
        room: usize,
        block: &mut [u8],
    ) -> Filled {
        let block_bytes = block.len().min(room.saturating_add(1));
        let (mut taken, mut written) = (0, 0);
        let result = loop {
            let step = self.step(&bytes[taken..], &mut block[written..block_bytes]);
            window.push(&block[written..written + step.written]);
            taken += step.taken;
            written += step.written;
            if written > room {
                break Err(InflateError::TooLong);
            }
            let is_used_up = taken == bytes.len();
            match step.status {
                Err(_) => break Err(InflateError::Corrupt),
                Ok(Status::StreamEnd) => match self.next_stream(window) {
                    Ok(()) if is_used_up => break Ok(false),
                    Ok(()) if written < block_bytes => {}
                    started => break started.map(|()| true),
                },
                Ok(_) if written == block_bytes => break Ok(true),
                Ok(_) if is_used_up => break Ok(false),
                // The library takes all bytes for which there is room.
                Ok(_) => break Err(InflateError::Corrupt),
            }
        };
        Filled {
            taken,
            written,
            is_full: result == Ok(true),
            result: result.map(|_| ()),
        }
    }

    /// A stream has ended inside the message: the next one may refer to what it has brought.
    fn next_stream(&mut self, window: &History) -> Result<(), InflateError> {
        self.count_stream()?;
        self.start([window.window(), &[], &[]])
    }

    /// The message is complete. It is whole if what has come and the four bytes that
    /// the sender has removed end with an empty block, behind which a last one can
    /// follow. Where a stream has ended (BFINAL) and nothing has come behind it, they
    /// do not: they are the beginning of a block that is cut.
    pub(super) fn end(&mut self) -> Result<(), InflateError> {
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
        //# Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the
        //# payload of the message.
        let step = self.step(&TAIL_AND_LAST_BLOCK, &mut [0]);
        let all_taken = step.taken == TAIL_AND_LAST_BLOCK.len();
        match (step.status, step.written) {
            (Ok(Status::StreamEnd), 0) if all_taken => Ok(()),
            _ => Err(InflateError::Corrupt),
        }
    }

    /// One call of the library.
    fn step(&mut self, bytes: &[u8], room: &mut [u8]) -> Step {
        let (taken, written) = (self.inflate.total_in(), self.inflate.total_out());
        let flush = InflateFlush::SyncFlush;
        let status = self.inflate.decompress(bytes, room, flush);
        let taken = self.inflate.total_in() - taken;
        self.taken += taken;
        Step {
            taken: taken as usize,
            written: (self.inflate.total_out() - written) as usize,
            status,
        }
    }
}

/// What [`Inflater::fill`] has done.
pub(super) struct Filled {
    pub(super) taken: usize,
    pub(super) written: usize,
    /// There may be more output, also of bytes that have been taken.
    pub(super) is_full: bool,
    /// An error behind what was written.
    pub(super) result: Result<(), InflateError>,
}

/// What one call of the library has done.
struct Step {
    taken: usize,
    written: usize,
    status: Result<Status, zlib_rs::InflateError>,
}

impl core::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Inflater")
    }
}

fn inflated_bytes(inflated: &impl Inflated) -> usize {
    let (first, second) = inflated.parts();
    first.len() + second.len()
}

/// Streams that may end in a message besides those that its length allows. A sender that ends a stream (BFINAL) does so once for
/// each message or fragment.
pub(super) const STREAMS_MAX: u64 = 8;

/// Compressed bytes for which one stream more may end in a message.
pub(super) const BYTES_PER_STREAM: u64 = 64;

/// What a decompressor can be given to refer to.
const WINDOW_BYTES_MAX: usize = WindowBits::MAX.window_bytes();

/// The memory of a decompressor of the library, about.
pub(super) const INFLATER_BYTES: usize = 47 << 10;

/// The library writes so much at once. It has all but long messages in one call,
/// and is a tenth faster with 64 KiB of JSON than in four.
pub(super) const BLOCK_BYTES: usize = 64 << 10;

/// What the sender has removed, and behind it an empty block that ends the stream
/// (BFINAL, fixed codes, end of block).
const TAIL_AND_LAST_BLOCK: [u8; 6] = [TAIL[0], TAIL[1], TAIL[2], TAIL[3], 0b011, 0];

// Also obeyed by `new`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
//# Otherwise, the client MUST use a
//# 32,768-byte LZ77 sliding window to decompress received messages.
