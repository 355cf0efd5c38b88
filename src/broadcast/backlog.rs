//! The part of the log that one subscription is offered: contiguous slices,
//! without its excluded spans.
//!
//! ```text
//!   log       | chunk 7                | chunk 8              |
//!                 ^cursor    [span]                       head^
//!   slices        |----1----|      |-2-|----------3-----------|
//! ```
//!
//! A [`Span`] is a run of records that one subscription does not receive, such as
//! a publisher's own messages. Nearly every backlog has no span and lies in one
//! chunk: then it is one slice, and one `write`.

use std::collections::VecDeque;

use super::chunk::Chunk;
use super::exclusions::Span;
use super::log::Log;

/// The bytes that a subscription is offered at once: everything from its cursor to
/// the head, or the first [`Backlog::SLICES_MAX`] contiguous pieces of it.
///
/// Never empty. It starts inside a record if the last write to this subscription
/// was partial, and always ends at the end of a record.
#[derive(Clone, Copy, Debug)]
pub struct Backlog<'a> {
    from: u64,
    first: &'a [u8],
    rest: Slices<'a>,
    /// Of all slices together.
    bytes: usize,
}

impl<'a> Backlog<'a> {
    /// Maximum number of slices offered at once: few enough for an array on the
    /// stack; with full chunks 1 MiB, more than a socket accepts.
    pub const SLICES_MAX: usize = 16;

    /// The backlog of a reader at `from`. `spans` begin after `from`.
    pub(super) fn new(log: &'a Log, from: u64, spans: &'a VecDeque<Span>) -> Backlog<'a> {
        let mut slices = Slices::new(log, from, spans);
        let from = slices.position;
        let first = slices.next().unwrap_or(&[]);
        Backlog {
            from,
            first,
            rest: slices,
            bytes: first.len() + slices.map(<[u8]>::len).sum::<usize>(),
        }
    }

    /// The position of the first byte.
    pub(super) fn from(&self) -> u64 {
        self.from
    }

    /// The bytes of all slices together.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The whole backlog if it is one slice, which is nearly always the case.
    pub fn contiguous(&self) -> Option<&'a [u8]> {
        (self.first.len() == self.bytes).then_some(self.first)
    }

    /// The slices in order, at most [`Backlog::SLICES_MAX`], none empty.
    pub fn slices(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        std::iter::once(self.first).chain(self.rest)
    }
}

/// The contiguous pieces of a log from a position on, at most
/// [`Backlog::SLICES_MAX`].
#[derive(Clone, Copy, Debug)]
struct Slices<'a> {
    log: &'a Log,
    /// The index of the chunk with the byte at `position`.
    chunk: usize,
    position: u64,
    /// The excluded spans; `spans[span]` is the first after `position`.
    spans: &'a VecDeque<Span>,
    span: usize,
    /// How many slices may still follow.
    left: usize,
}

impl<'a> Slices<'a> {
    fn new(log: &'a Log, from: u64, spans: &'a VecDeque<Span>) -> Slices<'a> {
        let position = from.max(log.tail());
        Slices {
            log,
            chunk: log.index_of(position),
            position,
            spans,
            span: 0,
            left: Backlog::SLICES_MAX,
        }
    }

    fn move_to(&mut self, position: u64) {
        self.position = position;
        if let Some(span) = self.spans.get(self.span).filter(|s| s.start == position) {
            self.position = span.end;
            self.span += 1;
        }
        while self
            .log
            .chunk(self.chunk)
            .is_some_and(|chunk| chunk.end() <= self.position)
        {
            self.chunk += 1;
        }
    }
}

impl<'a> Iterator for Slices<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let chunk: &'a Chunk = self.log.chunk(self.chunk)?;
        let span_start = self
            .spans
            .get(self.span)
            .map_or(u64::MAX, |span| span.start);
        let until = chunk.end().min(span_start);
        let slice = chunk.between(self.position, until);
        self.move_to(until);
        Some(slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broadcast::exclusions::NO_SPANS;
    use crate::broadcast::{ChunkPool, LogLimits};

    /// Two chunks.
    fn log() -> Log {
        let limits = LogLimits {
            chunk_bytes: 10,
            shared_bytes_min: 4,
        };
        let mut pool = ChunkPool::new(limits, 0);
        let mut log = Log::new();
        log.append_shared((*b"0123456789").into(), &mut pool);
        log.append_shared((*b"abcd").into(), &mut pool);
        log
    }

    fn spans(spans: &[(u64, u64)]) -> VecDeque<Span> {
        spans
            .iter()
            .map(|&(start, end)| Span { start, end })
            .collect()
    }

    fn text(log: &Log, from: u64, excluded: &[(u64, u64)]) -> Vec<String> {
        let spans = spans(excluded);
        let backlog = Backlog::new(log, from, &spans);
        let slices: Vec<&[u8]> = backlog.slices().collect();
        assert_eq!(backlog.from(), from);
        assert_eq!(backlog.bytes(), slices.concat().len());
        assert_eq!(backlog.contiguous().is_some(), slices.len() == 1);
        slices
            .into_iter()
            .map(|slice| String::from_utf8(slice.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn backlog_reaches_from_the_cursor_to_the_head() {
        let log = log();
        assert_eq!(text(&log, 0, &[]), ["0123456789", "abcd"]);
        assert_eq!(text(&log, 9, &[]), ["9", "abcd"]);
        assert_eq!(text(&log, 10, &[]), ["abcd"]);
        assert_eq!(text(&log, 13, &[]), ["d"]);
    }

    #[test]
    fn spans_are_excluded_wherever_chunks_end() {
        let log = log();
        assert_eq!(text(&log, 1, &[(4, 6)]), ["123", "6789", "abcd"]);
        assert_eq!(text(&log, 1, &[(4, 10)]), ["123", "abcd"]);
        assert_eq!(text(&log, 1, &[(4, 12)]), ["123", "cd"]);
        assert_eq!(text(&log, 1, &[(10, 12)]), ["123456789", "cd"]);
        assert_eq!(
            text(&log, 1, &[(2, 4), (6, 8), (12, 14)]),
            ["1", "45", "89", "ab"]
        );
        assert_eq!(text(&log, 1, &[(2, 14)]), ["1"]);
    }

    #[test]
    fn backlog_has_at_most_16_slices() {
        let limits = LogLimits {
            chunk_bytes: 1,
            shared_bytes_min: 1,
        };
        let mut pool = ChunkPool::new(limits, 0);
        let mut log = Log::new();
        for (records, slices) in [(16, 16), (1, 16)] {
            (0..records).for_each(|_| log.append(b"x", &mut pool));
            let backlog = Backlog::new(&log, 0, &NO_SPANS);
            assert_eq!(
                (backlog.slices().count(), backlog.bytes()),
                (slices, slices)
            );
        }
        assert_eq!(log.slices(0).count(), 17);
    }
}
