//! Measures of a slow subscription: how far it is behind, and what it has skipped.

use std::collections::VecDeque;

use crate::broadcast::exclusions::Span;
use crate::broadcast::log::Log;
use crate::broadcast::write_queue::Remainder;

/// How far a subscription is behind, see [`SharedLog::lag`](super::SharedLog::lag).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Bytes of the log from its cursor to the head.
    pub bytes: u64,
    /// Records in this part, including a partly written one.
    pub records: u64,
}

/// The records that a subscription has skipped, see
/// [`SharedLog::skip_to_end`](super::SharedLog::skip_to_end).
#[derive(Debug, Default)]
#[must_use = "a partly written record has to be finished"]
pub struct Skipped {
    /// Bytes of the records that were skipped completely.
    pub bytes: u64,
    /// How many records were skipped completely.
    pub records: u64,
    /// The rest of the partly written record: it has to be written before anything
    /// else is written to this connection.
    pub remainder: Option<Remainder>,
}

/// The records from `cursor` to `to`, without the excluded `spans`.
pub(super) fn skipped_between(log: &Log, spans: &VecDeque<Span>, cursor: u64, to: u64) -> Skipped {
    let mut bytes = to - cursor;
    let mut records = log.records_between(cursor, to);
    for span in spans.iter().filter(|span| span.end <= to) {
        bytes -= span.end - span.start;
        records -= log.records_between(span.start, span.end);
    }
    Skipped {
        bytes,
        records,
        remainder: None,
    }
}
