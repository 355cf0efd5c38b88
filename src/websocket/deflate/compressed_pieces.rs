//! Decompressing a message that is handed out in pieces (RFC 7692 §7.2.2).
//!
//! ```text
//!                    47 KiB            64 KiB, the pool's
//! compressed ──▶ ┌──────────┐        ┌─────────┐
//! bytes          │ library  │──────▶ │  block  │──▶ a piece
//!                └──────────┘        └────┬────┘
//!                     ▲                   ▼ its last 32 KiB
//!                     │              ┌─────────┐
//!                     └───────────── │ window  │   where a stream ends inside the message,
//!                      what it may   └─────────┘   and for the next message
//!                      refer to
//! ```
//!
//! Nothing waits: what has come is inflated, and what is inflated is handed out. So such a
//! message has a decompressor from its first byte on, and a window of its own, because its
//! pieces are gone: up to 40 KiB. It stops after each block. What it has not taken of the
//! compressed bytes stays where it is.

use super::WindowBits;
use super::history::History;
use super::inflated::{InflateError, Inflation};
use super::inflater::{INFLATER_BYTES, Inflater};
use super::pool::DeflatePool;
use alloc::boxed::Box;

/// A compressed message that is under way, and whose pieces are handed out.
#[derive(Debug)]
pub(crate) struct CompressedPieces {
    inflater: Option<Box<Inflater>>,
    /// The last bytes before this message, to be replaced at its end.
    history: History,
    /// The last bytes so far, with those of earlier messages.
    window: History,
    /// Bytes that have been inflated: 0 ≤ inflated_bytes ≤ bytes_max.
    inflated_bytes: usize,
    bytes_max: usize,
    pool: DeflatePool,
}

impl CompressedPieces {
    pub(crate) fn new(history: History, bytes_max: usize, pool: &DeflatePool) -> Self {
        let mut window = History::new(true, WindowBits::MAX);
        window.push(history.window());
        CompressedPieces {
            inflater: None,
            history,
            window,
            inflated_bytes: 0,
            bytes_max,
            pool: pool.clone(),
        }
    }

    /// The most bytes that the message may have, now that more of it is announced. It never
    /// becomes less.
    pub(crate) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// The memory of the windows and of the decompressor.
    pub(crate) fn held_bytes(&self) -> usize {
        let inflater_bytes = match self.inflater {
            Some(_) => INFLATER_BYTES,
            None => 0,
        };
        self.history.capacity() + self.window.capacity() + inflater_bytes
    }

    /// Inflates from the front of `bytes` until they or a block are used up, and passes the
    /// block to `with`. With no bytes: the output that is left.
    pub(crate) fn inflate<T>(
        &mut self,
        bytes: &[u8],
        with: impl FnOnce(&[u8]) -> T,
    ) -> Inflation<T> {
        let inflater = match &mut self.inflater {
            Some(inflater) => inflater,
            None if bytes.is_empty() => return Inflation::nothing(with(&[])),
            None => {
                let mut inflater = self.pool.take_inflater();
                if let Err(error) = inflater.begin(self.window.window()) {
                    return Inflation::failed(with(&[]), error);
                }
                self.inflater.insert(inflater)
            }
        };
        let (window, room) = (
            &mut self.window,
            self.bytes_max.saturating_sub(self.inflated_bytes),
        );
        let (filled, used) = self.pool.with_block(|block| {
            let filled = inflater.fill(bytes, window, room, block);
            let used = with(&block[..filled.written.min(room)]);
            (filled, used)
        });
        self.inflated_bytes += filled.written.min(room);
        Inflation {
            taken: filled.taken,
            has_more: filled.is_full,
            used,
            result: filled.result,
        }
    }

    /// The message is complete: checks that it was whole, and gives what the next message
    /// may refer to. A message without a byte never is whole.
    pub(crate) fn finish(mut self) -> Result<History, InflateError> {
        let inflater = self.inflater.as_mut().ok_or(InflateError::Corrupt)?;
        inflater.end()?;
        let mut history = core::mem::take(&mut self.history);
        history.replace(self.window.window());
        Ok(history)
    }
}

impl Drop for CompressedPieces {
    fn drop(&mut self) {
        if let Some(inflater) = self.inflater.take() {
            self.pool.give_inflater(inflater);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::deflate::DeflateContext;

    fn compressed(bytes: &[u8]) -> Vec<u8> {
        let mut compressed = Vec::new();
        assert!(DeflateContext::new(1, WindowBits::MAX).compress(bytes, &mut compressed));
        compressed
    }

    /// All pieces, and the longest of them.
    fn pieces(message: &mut CompressedPieces, mut bytes: &[u8]) -> (Vec<u8>, usize) {
        let (mut joined, mut longest) = (Vec::new(), 0);
        loop {
            let step = message.inflate(bytes, <[u8]>::to_vec);
            assert_eq!(step.result, Ok(()));
            bytes = &bytes[step.taken..];
            longest = longest.max(step.used.len());
            joined.extend(step.used);
            if bytes.is_empty() && !step.has_more {
                return (joined, longest);
            }
        }
    }

    #[test]
    fn message_of_a_mebibyte_passes_through_a_block_and_a_window() {
        let pool = DeflatePool::default();
        // Miri takes an hour for all of them.
        let bytes: Vec<u8> = (0..1_u32 << if cfg!(miri) { 12 } else { 20 })
            .map(|i| ((i / 3) ^ (i >> 12)) as u8)
            .collect();
        let mut message = CompressedPieces::new(History::default(), 1 << 20, &pool);
        let (joined, longest) = pieces(&mut message, &compressed(&bytes));
        assert!(joined == bytes && longest <= 64 << 10);
        assert!(message.window.capacity() <= 40 << 10);
        assert!(message.finish().is_ok());
    }

    #[test]
    fn limit_of_the_message_is_exact() {
        let pool = DeflatePool::default();
        // Miri takes minutes for more than a block.
        let (bytes, limits): (usize, &[usize]) = match cfg!(miri) {
            true => (3_000, &[3_000, 2_999, 5]),
            false => (100_000, &[100_000, 99_999, 65_536, 65_535, 5]),
        };
        let bomb = compressed(&vec![0; bytes]);
        for &bytes_max in limits {
            let mut message = CompressedPieces::new(History::default(), bytes_max, &pool);
            let (mut rest, mut joined) = (&bomb[..], 0);
            let result = loop {
                let step = message.inflate(rest, <[u8]>::len);
                rest = &rest[step.taken..];
                joined += step.used;
                if step.result.is_err() || rest.is_empty() && !step.has_more {
                    break step.result;
                }
            };
            assert_eq!(joined, bytes_max);
            assert_eq!(result.is_ok(), bytes_max == bytes);
        }
    }

    #[test]
    fn decompressor_goes_back_to_the_pool_with_the_message() {
        let pool = DeflatePool::default();
        let mut message = CompressedPieces::new(History::default(), 100, &pool);
        assert!(message.inflate(&[], <[u8]>::is_empty).used);
        assert!(message.inflater.is_none());
        pieces(&mut message, &compressed(&[7; 100]));
        assert!(message.inflater.is_some());
        assert!(message.finish().is_ok());
        assert_eq!(pool.decompressors(), 1);
    }
}
