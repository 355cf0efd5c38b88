//! What a reader of the log is offered: contiguous slices, spans left out.
//!
//! ```text
//!   log       | chunk 7                | chunk 8              |
//!                 ^cursor    [span]                       head^
//!   slices        |----1----|      |-2-|----------3-----------|
//! ```
//!
//! A [`Span`] is a run of records that one member does not get, such as what
//! it said itself. Nearly every backlog has no span and lies in one chunk:
//! then it is one slice, and one `write`.

use std::collections::VecDeque;

use super::chunk::Chunk;
use super::log::Log;
use super::spans::Span;

/// What a member is offered at once: everything from its cursor to the head,
/// or as much of it as lies in [`Backlog::SLICES_MAX`] contiguous pieces.
///
/// Never empty. It starts inside a record if the last write to this member was
/// cut short there, and always ends at the end of a record.
#[derive(Clone, Copy, Debug)]
pub struct Backlog<'a> {
    first: &'a [u8],
    rest: Slices<'a>,
    /// Of all slices together.
    bytes: usize,
}

impl<'a> Backlog<'a> {
    /// Slices offered at once at most: few enough for an array on the stack,
    /// and with full chunks 1 MiB, more than a socket takes.
    pub const SLICES_MAX: usize = 16;

    pub(super) fn new(mut slices: Slices<'a>) -> Backlog<'a> {
        let first = slices.next().unwrap_or(&[]);
        Backlog {
            first,
            rest: slices,
            bytes: first.len() + slices.map(<[u8]>::len).sum::<usize>(),
        }
    }

    /// The bytes of all slices together.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The whole backlog if it is one slice, as it nearly always is.
    pub fn contiguous(&self) -> Option<&'a [u8]> {
        (self.first.len() == self.bytes).then_some(self.first)
    }

    /// The slices in order, at most [`Backlog::SLICES_MAX`], none empty.
    pub fn slices(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        std::iter::once(self.first).chain(self.rest)
    }
}

/// The contiguous pieces of a log from a position on, see
/// [`Log::slices`].
#[derive(Clone, Copy, Debug)]
pub struct Slices<'a> {
    log: &'a Log,
    /// The index of the chunk with the byte at `position`.
    chunk: usize,
    position: u64,
    /// What is left out, of which `spans[span]` is the first after `position`.
    spans: &'a VecDeque<Span>,
    span: usize,
    /// How many slices may still come.
    left: usize,
}

impl<'a> Slices<'a> {
    /// `spans` lie behind `from`.
    pub(super) fn new(
        log: &'a Log,
        from: u64,
        spans: &'a VecDeque<Span>,
        slices_max: usize,
    ) -> Slices<'a> {
        let position = from.max(log.tail());
        Slices {
            log,
            chunk: log.index_of(position),
            position,
            spans,
            span: 0,
            left: slices_max,
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
