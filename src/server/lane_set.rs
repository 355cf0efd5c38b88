//! A set of lanes, each by its index in the worker's table.
//!
//! The lanes are in a vector, and for each lane it is known where: to add, to remove and
//! to ask are O(1), to take all is O(their number), and a set in steady use does not
//! allocate. 4 bytes for each lane of the table, and 4 for each in the set.

/// Each lane at most once, in no order that matters.
#[derive(Debug, Default)]
pub(super) struct LaneSet {
    lanes: Vec<u32>,
    /// By lane: where in `lanes` it is, or [`NOWHERE`].
    positions: Vec<u32>,
}

impl LaneSet {
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Adds a lane; no effect if it is in the set.
    #[inline]
    pub(super) fn insert(&mut self, lane: u32) {
        let index = lane as usize;
        if self.positions.len() <= index {
            self.positions.resize(index + 1, NOWHERE);
        }
        if self.positions[index] == NOWHERE {
            // There are no more lanes than indices.
            self.positions[index] = self.lanes.len() as u32;
            self.lanes.push(lane);
        }
    }

    /// Takes a lane out; no effect if it is not in the set.
    pub(super) fn remove(&mut self, lane: u32) {
        let Some(position) = self.positions.get_mut(lane as usize) else {
            return;
        };
        let position = std::mem::replace(position, NOWHERE);
        if position == NOWHERE {
            return;
        }
        self.lanes.swap_remove(position as usize);
        if let Some(&moved) = self.lanes.get(position as usize) {
            self.positions[moved as usize] = position;
        }
    }

    /// Takes all of them out.
    pub(super) fn take(&mut self) -> Vec<u32> {
        for &lane in &self.lanes {
            self.positions[lane as usize] = NOWHERE;
        }
        std::mem::take(&mut self.lanes)
    }

    /// Gives the vector back that [`LaneSet::take`] gave, for its memory.
    pub(super) fn reuse(&mut self, mut lanes: Vec<u32>) {
        if self.lanes.is_empty() {
            lanes.clear();
            self.lanes = lanes;
        }
    }
}

/// No lane is here: a lane has a member with a socket, and there are far fewer.
const NOWHERE: u32 = u32::MAX;

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
        fn it_holds_what_the_standard_library_s_set_holds(
            steps in prop::collection::vec(step(), 0..100)
        ) {
            let (mut lanes, mut expected) = (LaneSet::default(), BTreeSet::new());
            for step in steps {
                match step {
                    Step::Insert(lane) => {
                        lanes.insert(lane);
                        expected.insert(lane);
                    }
                    Step::Remove(lane) => {
                        lanes.remove(lane);
                        expected.remove(&lane);
                    }
                    Step::Take => {
                        let taken = lanes.take();
                        prop_assert_eq!(taken.len(), expected.len());
                        let all: BTreeSet<_> = taken.iter().copied().collect();
                        prop_assert_eq!(&all, &expected);
                        expected.clear();
                        lanes.reuse(taken);
                    }
                }
                prop_assert_eq!(lanes.is_empty(), expected.is_empty());
                let held: BTreeSet<_> = lanes.lanes.iter().copied().collect();
                prop_assert_eq!(&held, &expected);
                prop_assert_eq!(lanes.lanes.len(), expected.len());
            }
        }
    }
}
