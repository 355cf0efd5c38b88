//! A set of a worker's logs.
//!
//! A vector holds the logs of the set, and a second one the position of each log in it. So adding, removing and asking are
//! O(1), taking all of them is O(their number), and a set in steady use does not allocate. It costs 4 bytes for each log
//! of the worker, and 4 for each log in the set.

/// Names a log in the [`RoomTable`](super::RoomTable) of one worker; a later log may get the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogId(u32);

impl LogId {
    /// No log has this one: each has a subscription with a socket, and there are far fewer sockets.
    pub(super) const NONE: LogId = LogId(u32::MAX);

    pub(super) fn new(index: usize) -> LogId {
        // As for `NONE`, there are far fewer.
        LogId(index as u32)
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Each log at most once, in no particular order.
#[derive(Debug, Default)]
pub(super) struct LogSet {
    logs: Vec<LogId>,
    /// By log: its position in `logs`, or [`ABSENT`].
    positions: Vec<u32>,
}

impl LogSet {
    pub(super) fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Adds a log, unless it is in the set.
    #[inline]
    pub(super) fn insert(&mut self, log: LogId) {
        let index = log.index();
        if self.positions.len() <= index {
            self.positions.resize(index + 1, ABSENT);
        }
        if self.positions[index] == ABSENT {
            // There are no more logs than indices.
            self.positions[index] = self.logs.len() as u32;
            self.logs.push(log);
        }
    }

    /// Removes a log, if it is in the set.
    pub(super) fn remove(&mut self, log: LogId) {
        let Some(position) = self.positions.get_mut(log.index()) else {
            return;
        };
        let position = std::mem::replace(position, ABSENT);
        if position == ABSENT {
            return;
        }
        self.logs.swap_remove(position as usize);
        if let Some(moved) = self.logs.get(position as usize) {
            self.positions[moved.index()] = position;
        }
    }

    /// Takes all logs out of the set.
    pub(super) fn take(&mut self) -> Vec<LogId> {
        for log in &self.logs {
            self.positions[log.index()] = ABSENT;
        }
        std::mem::take(&mut self.logs)
    }

    /// Takes back the vector that [`LogSet::take`] returned, to use its memory again.
    pub(super) fn reuse(&mut self, mut logs: Vec<LogId>) {
        if self.logs.is_empty() {
            logs.clear();
            self.logs = logs;
        }
    }
}

/// The position of a log that is not in the set.
const ABSENT: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u32),
        Remove(u32),
        Take,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..12u32).prop_map(Step::Insert),
            4 => (0..12u32).prop_map(Step::Remove),
            1 => Just(Step::Take),
        ]
    }

    proptest! {
        #[test]
        fn set_holds_the_same_logs_as_one_of_the_standard_library(
            steps in prop::collection::vec(step(), 0..100)
        ) {
            let (mut logs, mut expected) = (LogSet::default(), BTreeSet::new());
            for step in steps {
                match step {
                    Step::Insert(log) => {
                        let log = LogId(log);
                        logs.insert(log);
                        expected.insert(log);
                    }
                    Step::Remove(log) => {
                        let log = LogId(log);
                        logs.remove(log);
                        expected.remove(&log);
                    }
                    Step::Take => {
                        let taken = logs.take();
                        prop_assert_eq!(taken.len(), expected.len());
                        let all: BTreeSet<_> = taken.iter().copied().collect();
                        prop_assert_eq!(&all, &expected);
                        expected.clear();
                        logs.reuse(taken);
                    }
                }
                prop_assert_eq!(logs.is_empty(), expected.is_empty());
                let held: BTreeSet<_> = logs.logs.iter().copied().collect();
                prop_assert_eq!(&held, &expected);
                prop_assert_eq!(logs.logs.len(), expected.len());
            }
        }
    }
}
