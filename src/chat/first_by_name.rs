//! The first of many rooms in the order of their names, in memory for those alone.

use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct FirstByName<T> {
    max: usize,
    total: usize,
    /// At most `max`.
    first: BTreeMap<Box<str>, T>,
}

impl<T> FirstByName<T> {
    pub(super) fn new(max: usize) -> FirstByName<T> {
        FirstByName {
            max,
            total: 0,
            first: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, name: &str, value: T) {
        self.total += 1;
        let is_full = self.first.len() >= self.max;
        let last = self.first.last_key_value();
        if is_full && last.is_none_or(|(last, _)| name > &**last) {
            return;
        }
        self.first.insert(name.into(), value);
        if self.first.len() > self.max {
            self.first.pop_last();
        }
    }

    /// How many were added, and the first of them.
    pub(super) fn finish(self) -> (usize, Vec<(Box<str>, T)>) {
        (self.total, self.first.into_iter().collect())
    }
}
