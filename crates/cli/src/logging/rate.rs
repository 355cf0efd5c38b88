//! How many lines of a kind there may be in a second. A kind is the name of an event, so there are as many as the code has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The lines of each kind in the current second. Cheap to clone.
#[derive(Clone)]
pub(super) struct Rates {
    /// `None`: no limit.
    max: Option<u32>,
    kinds: Arc<Mutex<Kinds>>,
}

#[derive(Default)]
struct Kinds {
    by_name: HashMap<&'static str, Kind>,
    suppressed: u64,
}

#[derive(Default)]
struct Kind {
    second: u64,
    lines: u32,
    /// Not reported yet.
    suppressed: u64,
}

/// What becomes of an event.
#[derive(Debug, PartialEq)]
pub(super) enum Decision {
    Write,
    /// `is_first`: of those that are to be reported.
    Suppress {
        is_first: bool,
    },
}

impl Rates {
    pub(super) fn new(max: Option<u32>) -> Rates {
        Rates {
            max,
            kinds: Arc::default(),
        }
    }

    /// Decides about an event of this kind.
    pub(super) fn allow(&self, name: &'static str, second: u64) -> Decision {
        let Some(max) = self.max else {
            return Decision::Write;
        };
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.by_name.entry(name).or_default();
        if kind.second != second {
            (kind.second, kind.lines) = (second, 0);
        }
        if kind.lines < max {
            kind.lines += 1;
            return Decision::Write;
        }
        kind.suppressed += 1;
        let is_first = kind.suppressed == 1;
        kinds.suppressed += 1;
        Decision::Suppress { is_first }
    }

    /// Takes the kinds with suppressed lines, and how many these are since the last call.
    pub(super) fn take_suppressed(&self) -> Vec<(&'static str, u64)> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = kinds.by_name.iter_mut().filter_map(|(name, kind)| {
            let count = std::mem::take(&mut kind.suppressed);
            (count > 0).then_some((*name, count))
        });
        taken.collect()
    }

    /// All suppressed lines so far.
    pub(super) fn suppressed(&self) -> u64 {
        let kinds = self.kinds.lock();
        kinds.unwrap_or_else(PoisonError::into_inner).suppressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_lines_in_each_second_and_not_one_more() {
        let rates = Rates::new(Some(2));
        for second in [10, 11] {
            for kind in ["a", "b"] {
                assert_eq!(rates.allow(kind, second), Decision::Write);
                assert_eq!(rates.allow(kind, second), Decision::Write);
                let suppressed = rates.allow(kind, second);
                let is_first = second == 10;
                assert_eq!(suppressed, Decision::Suppress { is_first });
            }
        }
        let mut suppressed = rates.take_suppressed();
        suppressed.sort_unstable();
        assert_eq!(suppressed, [("a", 2), ("b", 2)]);
        assert_eq!(rates.take_suppressed(), []);
        assert_eq!(rates.suppressed(), 4);
        let is_first = true;
        assert_eq!(rates.allow("a", 11), Decision::Suppress { is_first });
    }

    #[test]
    fn there_is_no_limit_without_a_maximum() {
        let rates = Rates::new(None);
        assert!((0..10_000).all(|_| rates.allow("a", 1) == Decision::Write));
        assert_eq!(rates.suppressed(), 0);
    }
}
