//! Records that some subscriptions do not receive: runs of records that their
//! cursors jump over, such as a publisher's own messages while it was behind.
//!
//! Cost: none while no subscription has an excluded span. A span costs 16 bytes
//! for one subscription until its cursor has passed. Adjacent spans are merged, so
//! there is at most one span for every two records from the cursor to the head.

use std::collections::{BTreeMap, VecDeque};

/// A run of whole records, from one position to another, that one subscription
/// does not receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The spans of a subscription that receives everything.
pub(super) static NO_SPANS: VecDeque<Span> = VecDeque::new();

/// The excluded spans of all subscriptions of a log, by slot.
#[derive(Debug, Default)]
pub(super) struct Exclusions {
    /// Each list is in order, has gaps between its spans, is not empty, and begins
    /// after the subscription's cursor.
    by_slot: BTreeMap<u32, VecDeque<Span>>,
}

impl Exclusions {
    pub(super) fn of(&self, slot: u32) -> &VecDeque<Span> {
        if self.by_slot.is_empty() {
            return &NO_SPANS;
        }
        self.by_slot.get(&slot).unwrap_or(&NO_SPANS)
    }

    /// Excludes `span`, which begins after the subscription's cursor and not
    /// before the end of any other span of this subscription.
    pub(super) fn exclude(&mut self, slot: u32, span: Span) {
        let spans = self.by_slot.entry(slot).or_default();
        match spans.back_mut().filter(|last| last.end == span.start) {
            Some(last) => last.end = span.end,
            None => spans.push_back(span),
        }
    }

    /// The position of a cursor after it has moved over `bytes` that are not
    /// excluded: never the start of a span, but its end.
    pub(super) fn step(&mut self, slot: u32, cursor: u64, bytes: u64) -> u64 {
        let mut cursor = cursor + bytes;
        if self.by_slot.is_empty() {
            return cursor;
        }
        let Some(spans) = self.by_slot.get_mut(&slot) else {
            return cursor;
        };
        while let Some(span) = spans.front().filter(|span| span.start <= cursor) {
            cursor += span.end - span.start;
            spans.pop_front();
        }
        if spans.is_empty() {
            self.by_slot.remove(&slot);
        }
        cursor
    }

    /// Discards the spans that end at or before `position`.
    pub(super) fn discard_before(&mut self, slot: u32, position: u64) {
        let Some(spans) = self.by_slot.get_mut(&slot) else {
            return;
        };
        spans.retain(|span| span.end > position);
        if spans.is_empty() {
            self.by_slot.remove(&slot);
        }
    }

    /// Discards all spans of a subscription.
    pub(super) fn discard(&mut self, slot: u32) {
        self.by_slot.remove(&slot);
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
    fn adjacent_spans_are_merged() {
        let mut exclusions = Exclusions::default();
        exclusions.exclude(SLOT, span(10, 20));
        exclusions.exclude(SLOT, span(20, 25));
        exclusions.exclude(SLOT, span(30, 35));
        assert_eq!(*exclusions.of(SLOT), [span(10, 25), span(30, 35)]);
        assert!(exclusions.of(SLOT + 1).is_empty());
    }

    #[test]
    fn cursor_jumps_over_each_span_that_it_reaches() {
        for (bytes, cursor) in [
            (0, 0),
            (9, 9),
            (10, 20),
            (11, 21),
            (14, 24),
            (15, 35),
            (16, 36),
        ] {
            let mut exclusions = Exclusions::default();
            exclusions.exclude(SLOT, span(10, 20));
            exclusions.exclude(SLOT, span(25, 35));
            assert_eq!(exclusions.step(SLOT, 0, bytes), cursor, "{bytes} bytes");
            assert_eq!(exclusions.step(SLOT + 1, 0, bytes), bytes);
        }
    }

    #[test]
    fn passed_spans_are_discarded() {
        let mut exclusions = Exclusions::default();
        exclusions.exclude(SLOT, span(10, 20));
        exclusions.exclude(SLOT, span(25, 35));
        exclusions.step(SLOT, 0, 10);
        assert_eq!(*exclusions.of(SLOT), [span(25, 35)]);
        exclusions.step(SLOT, 20, 5);
        assert!(exclusions.by_slot.is_empty());
    }

    #[test]
    fn discarding_keeps_spans_that_end_later() {
        let mut exclusions = Exclusions::default();
        exclusions.exclude(SLOT, span(10, 20));
        exclusions.exclude(SLOT, span(25, 35));
        exclusions.discard_before(SLOT, 20);
        assert_eq!(*exclusions.of(SLOT), [span(25, 35)]);
        exclusions.discard_before(SLOT, 35);
        assert!(exclusions.by_slot.is_empty());
    }
}
