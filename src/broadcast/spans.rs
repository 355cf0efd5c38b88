//! What some members are not to get: runs of records that their cursors jump
//! over, such as what they said themselves while they were behind.
//!
//! Cost: none while nobody has a span. A span costs 16 bytes for one member
//! until its cursor has passed; those without a gap between them are merged,
//! so there are never more than half as many as records from cursor to head.

use std::collections::{BTreeMap, VecDeque};

/// A run of whole records, from one position to another, that one member is
/// not to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The spans of a member who gets everything.
pub(super) static NO_SPANS: VecDeque<Span> = VecDeque::new();

/// The spans of all members of a room, by slot.
#[derive(Debug, Default)]
pub(super) struct Spans {
    /// Each list is in order, with gaps between its spans, not empty, and lies
    /// wholly behind the member's cursor.
    of: BTreeMap<u32, VecDeque<Span>>,
}

impl Spans {
    pub(super) fn of(&self, slot: u32) -> &VecDeque<Span> {
        if self.of.is_empty() {
            return &NO_SPANS;
        }
        self.of.get(&slot).unwrap_or(&NO_SPANS)
    }

    /// Leaves out `span`, which begins behind the member's cursor and not
    /// before any other span of this member ends.
    pub(super) fn leave_out(&mut self, slot: u32, span: Span) {
        let spans = self.of.entry(slot).or_default();
        match spans.back_mut().filter(|last| last.end == span.start) {
            Some(last) => last.end = span.end,
            None => spans.push_back(span),
        }
    }

    /// Where a cursor stands after it has moved over `bytes` that are not left
    /// out: never at the start of a span, but behind it.
    pub(super) fn step(&mut self, slot: u32, cursor: u64, bytes: u64) -> u64 {
        let mut cursor = cursor + bytes;
        if self.of.is_empty() {
            return cursor;
        }
        let Some(spans) = self.of.get_mut(&slot) else {
            return cursor;
        };
        while let Some(span) = spans.front().filter(|span| span.start <= cursor) {
            cursor += span.end - span.start;
            spans.pop_front();
        }
        if spans.is_empty() {
            self.of.remove(&slot);
        }
        cursor
    }

    /// Drops the spans before `position`.
    pub(super) fn forget_before(&mut self, slot: u32, position: u64) {
        let Some(spans) = self.of.get_mut(&slot) else {
            return;
        };
        spans.retain(|span| span.end > position);
        if spans.is_empty() {
            self.of.remove(&slot);
        }
    }

    pub(super) fn forget(&mut self, slot: u32) {
        self.of.remove(&slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: u32 = 3;

    fn span(start: u64, end: u64) -> Span {
        Span { start, end }
    }

    #[test]
    fn adjacent_spans_are_one() {
        let mut spans = Spans::default();
        spans.leave_out(SLOT, span(10, 20));
        spans.leave_out(SLOT, span(20, 25));
        spans.leave_out(SLOT, span(30, 35));
        assert_eq!(*spans.of(SLOT), [span(10, 25), span(30, 35)]);
        assert!(spans.of(SLOT + 1).is_empty());
    }

    #[test]
    fn a_step_jumps_over_each_span_it_reaches() {
        for (bytes, cursor) in [
            (0, 0),
            (9, 9),
            (10, 20),
            (11, 21),
            (14, 24),
            (15, 35),
            (16, 36),
        ] {
            let mut spans = Spans::default();
            spans.leave_out(SLOT, span(10, 20));
            spans.leave_out(SLOT, span(25, 35));
            assert_eq!(spans.step(SLOT, 0, bytes), cursor, "{bytes} bytes");
            assert_eq!(spans.step(SLOT + 1, 0, bytes), bytes);
        }
    }

    #[test]
    fn spans_that_were_passed_are_forgotten() {
        let mut spans = Spans::default();
        spans.leave_out(SLOT, span(10, 20));
        spans.leave_out(SLOT, span(25, 35));
        spans.step(SLOT, 0, 10);
        assert_eq!(*spans.of(SLOT), [span(25, 35)]);
        spans.step(SLOT, 20, 5);
        assert!(spans.of.is_empty());
    }

    #[test]
    fn forgetting_keeps_what_ends_later() {
        let mut spans = Spans::default();
        spans.leave_out(SLOT, span(10, 20));
        spans.leave_out(SLOT, span(25, 35));
        spans.forget_before(SLOT, 20);
        assert_eq!(*spans.of(SLOT), [span(25, 35)]);
        spans.forget_before(SLOT, 35);
        assert!(spans.of.is_empty());
    }
}
