//! Decompressing messages (RFC 7692 §7.2.2).
//!
//! ```text
//!                  16 KiB              32 KiB            64 KiB
//! compressed ──▶ ┌─────────┐       ┌──────────┐        ┌─────────┐
//! bytes, from    │ waiting │──────▶│ library  │──────▶ │  block  │──▶ the message,
//! the caller's   └─────────┘       └──────────┘        └─────────┘    text checked
//! buffer  ───────────────────────────▲ the rest, or all if it is all here
//! ```
//!
//! A decompressor of the library has 47 KiB. A connection that has begun a compressed
//! message should not have one for a single byte. So the first bytes wait as they are. A
//! decompressor is taken from the pool when the message is complete, or when more than
//! 16 KiB of it have come.
//!
//! A pool can have a step ([`DeflatePool::in_steps`]): then at most so much is inflated at
//! once. What the library has not taken stays with the caller, or waits.
//!
//! Between messages a connection with context takeover keeps the bytes of the window and
//! a few more: as many as have come, at most five quarters of the size agreed on. They are
//! given to the decompressor of the next message: 0.7 µs when they are 32 KiB. The same
//! happens where a stream ends inside a message (BFINAL), with the window at that place.

use super::history::History;
use super::inflated::{InflateError, Inflated};
use super::inflater::{INFLATER_BYTES, Inflater};
use super::pool::DeflatePool;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;

/// A compressed message that is under way.
#[derive(Debug)]
pub(crate) struct CompressedMessage {
    /// Received and not inflated, from `waiting_taken` on: 0 ≤ waiting ≤ [`WAITING_BYTES_MAX`].
    waiting: Vec<u8>,
    /// 0 ≤ waiting_taken < waiting.len(), or both are 0.
    waiting_taken: usize,
    /// A step has ended, and there may be more output.
    has_more: bool,
    inflater: Option<Box<Inflater>>,
    history: History,
    /// The most bytes that the message may have when it is inflated.
    bytes_max: usize,
    pool: DeflatePool,
}

impl CompressedMessage {
    pub(crate) fn new(history: History, bytes_max: usize, pool: &DeflatePool) -> Self {
        CompressedMessage {
            waiting: Vec::new(),
            waiting_taken: 0,
            has_more: false,
            inflater: None,
            history,
            bytes_max,
            pool: pool.clone(),
        }
    }

    /// The most bytes that the message may have, now that more of it is announced. It never
    /// becomes less.
    pub(crate) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// The memory of what waits, of the window and of the decompressor.
    pub(crate) fn held_bytes(&self) -> usize {
        let inflater_bytes = match self.inflater {
            Some(_) => INFLATER_BYTES,
            None => 0,
        };
        self.waiting.capacity() + self.history.capacity() + inflater_bytes
    }

    /// Whether there may be more output of what has been taken: [`CompressedMessage::push`] is to be called again, with the
    /// bytes that it has not taken, or with none.
    pub(crate) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Takes the next compressed bytes; `last` if no more will come. Returns how many were taken: all, unless it
    /// [has more](CompressedMessage::has_more).
    //= https://www.rfc-editor.org/rfc/rfc7692#section-6.2
    //# An endpoint MUST use the following algorithm to receive a message in
    //# the form of a compressed message.
    pub(crate) fn push<I: Inflated>(
        &mut self,
        bytes: &[u8],
        last: bool,
        inflated: &mut I,
    ) -> Result<usize, I::Error> {
        let may_wait = self.waiting.len() + bytes.len() <= WAITING_BYTES_MAX;
        if may_wait && !last && self.inflater.is_none() {
            self.waiting.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let mut step_bytes = self.pool.step_bytes();
        let is_used_up = self.inflate_waiting(inflated, &mut step_bytes)?;
        let taken = match is_used_up {
            true => self.inflate(bytes, inflated, &mut step_bytes)?,
            false => 0,
        };
        self.has_more = step_bytes == 0;
        Ok(taken)
    }

    /// The message is complete, and all of it is inflated: checks that it was whole. A
    /// message without a byte never is.
    pub(crate) fn finish(&mut self) -> Result<(), InflateError> {
        let mut inflater = self.inflater.take().ok_or(InflateError::Corrupt)?;
        let whole = inflater.end();
        self.pool.give_inflater(inflater);
        whole
    }

    /// What the next message may refer to, now that this one is complete.
    pub(crate) fn history_behind(&mut self, message: &[u8]) -> History {
        let mut history = mem::take(&mut self.history);
        history.push(message);
        history
    }

    #[cfg(test)]
    pub(crate) fn has_a_decompressor(&self) -> bool {
        self.inflater.is_some()
    }

    /// Inflates the bytes that wait. False: the step has ended before.
    fn inflate_waiting<I: Inflated>(
        &mut self,
        inflated: &mut I,
        step_bytes: &mut usize,
    ) -> Result<bool, I::Error> {
        if self.waiting.is_empty() {
            return Ok(true);
        }
        let waiting = mem::take(&mut self.waiting);
        let from = mem::take(&mut self.waiting_taken);
        let taken = from + self.inflate(&waiting[from..], inflated, step_bytes)?;
        let is_used_up = taken == waiting.len();
        if !is_used_up {
            (self.waiting, self.waiting_taken) = (waiting, taken);
        }
        Ok(is_used_up)
    }

    fn inflate<I: Inflated>(
        &mut self,
        bytes: &[u8],
        inflated: &mut I,
        step_bytes: &mut usize,
    ) -> Result<usize, I::Error> {
        if bytes.is_empty() && !self.has_more {
            return Ok(0);
        }
        let inflater = match &mut self.inflater {
            Some(inflater) => inflater,
            None => {
                let inflater = self.inflater.insert(self.pool.take_inflater());
                inflater.begin(self.history.window())?;
                inflater
            }
        };
        let (history, bytes_max) = (&self.history, self.bytes_max);
        self.pool.with_block(|block| {
            inflater.inflate(bytes, history, bytes_max, inflated, block, step_bytes)
        })
    }
}

impl Drop for CompressedMessage {
    fn drop(&mut self) {
        if let Some(inflater) = self.inflater.take() {
            self.pool.give_inflater(inflater);
        }
    }
}

/// Compressed bytes that may wait for the rest of their message: a third of the size of a
/// decompressor.
const WAITING_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::deflate::{DeflateContext, WindowBits};

    impl Inflated for Vec<u8> {
        type Error = InflateError;

        fn parts(&self) -> (&[u8], &[u8]) {
            (self, &[])
        }

        fn add(&mut self, bytes: &[u8], bytes_max: usize) -> Result<(), InflateError> {
            self.extend_from_slice(bytes);
            assert!(self.len() <= bytes_max);
            Ok(())
        }
    }

    fn message(bytes_max: usize) -> CompressedMessage {
        CompressedMessage::new(History::default(), bytes_max, &DeflatePool::default())
    }

    #[test]
    fn bytes_wait_up_to_the_limit_and_one_more_takes_a_decompressor() {
        // A stored block of 65,535 zeros, of which not all have come.
        let mut bytes = vec![0; WAITING_BYTES_MAX + 1];
        bytes[1..3].fill(0xff);
        for first in [0, 1, 5000, WAITING_BYTES_MAX] {
            let (mut message, mut inflated) = (message(1 << 20), Vec::new());
            let (now, then) = bytes[..WAITING_BYTES_MAX].split_at(first);
            for piece in [now, then] {
                assert_eq!(message.push(piece, false, &mut inflated), Ok(piece.len()));
            }
            assert_eq!(message.waiting.len(), WAITING_BYTES_MAX);
            assert!(message.inflater.is_none());

            let one_more = &bytes[WAITING_BYTES_MAX..];
            assert_eq!(message.push(one_more, false, &mut inflated), Ok(1));
            assert_eq!(message.waiting.capacity(), 0);
            assert!(message.inflater.is_some());
            assert_eq!(inflated.len(), bytes.len() - 5);
        }
    }

    #[test]
    fn message_that_is_all_here_does_not_wait() {
        let (mut message, mut inflated) = (message(5), Vec::new());
        let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
        assert_eq!(message.push(hello, true, &mut inflated), Ok(7));
        assert_eq!(message.waiting.capacity(), 0);
        assert_eq!(inflated, b"Hello");
        // Its decompressor goes back as soon as it is known to be whole.
        assert_eq!(message.finish(), Ok(()));
        assert!(message.inflater.is_none());
    }

    /// The most that one push has inflated, and the number of pushes until nothing is left.
    fn pushes(
        message: &mut CompressedMessage,
        mut bytes: &[u8],
        inflated: &mut Vec<u8>,
    ) -> (usize, usize) {
        let (mut longest, mut count) = (0, 0);
        loop {
            let before = inflated.len();
            let taken = message.push(bytes, true, inflated).unwrap();
            bytes = &bytes[taken..];
            longest = longest.max(inflated.len() - before);
            count += 1;
            if !message.has_more() {
                assert!(bytes.is_empty());
                return (longest, count);
            }
        }
    }

    #[test]
    fn step_inflates_no_byte_more_than_it_may_whether_bytes_wait_or_not() {
        let zeros = vec![0; 10_000];
        let mut bomb = Vec::new();
        let mut context = DeflateContext::new(1, WindowBits::MAX);
        assert!(context.compress(&zeros, &mut bomb));
        for waits in [0, 1, bomb.len() - 1, bomb.len()] {
            for step_bytes in [1_000, 999, 9_999, 10_000, 10_001] {
                let pool = DeflatePool::in_steps(step_bytes);
                let mut message = CompressedMessage::new(History::default(), 1 << 20, &pool);
                let mut inflated = Vec::new();
                assert_eq!(
                    message.push(&bomb[..waits], false, &mut inflated),
                    Ok(waits)
                );
                assert!(inflated.is_empty() && !message.has_more());
                let (longest, count) = pushes(&mut message, &bomb[waits..], &mut inflated);
                assert_eq!(longest, step_bytes.min(zeros.len()));
                // Whether that was all shows only when it goes on.
                assert_eq!(count, zeros.len() / step_bytes + 1);
                assert_eq!(message.finish(), Ok(()));
                assert_eq!((message.waiting.capacity(), &inflated), (0, &zeros));
            }
        }
    }

    #[test]
    fn limit_of_a_message_is_exact_in_steps() {
        let mut bomb = Vec::new();
        let mut context = DeflateContext::new(1, WindowBits::MAX);
        assert!(context.compress(&[0; 3_000], &mut bomb));
        for (bytes_max, is_within) in [(3_000, true), (2_999, false)] {
            for step_bytes in [1, 1_000, 2_999, 3_000] {
                let pool = DeflatePool::in_steps(step_bytes);
                let mut message = CompressedMessage::new(History::default(), bytes_max, &pool);
                let (mut inflated, mut rest) = (Vec::new(), &bomb[..]);
                let result = loop {
                    match message.push(rest, true, &mut inflated) {
                        Ok(taken) => rest = &rest[taken..],
                        Err(error) => break Err(error),
                    }
                    if !message.has_more() {
                        break Ok(());
                    }
                };
                let expected = match is_within {
                    true => Ok(()),
                    false => Err(InflateError::TooLong),
                };
                assert_eq!((result, inflated.len()), (expected, bytes_max));
            }
        }
    }
}
