//! The assignment of members to threads: member `m` belongs to thread `m` modulo the number
//! of threads. A thread knows its own members by a dense index.
//!
//! ```text
//!   number of a member   0  1  2  3  4  5  6     publisher 2 is member 2
//!   its thread, of 3     0  1  2  0  1  2  0
//!   its index there      0  0  0  1  1  1  2
//! ```

use super::plan::{Plan, Scenario};

/// The members of one thread.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    plan: Plan,
    thread: u32,
}

impl Partition {
    /// The members of one thread: 0 ≤ thread < plan.threads.
    pub(super) fn new(plan: Plan, thread: u32) -> Partition {
        Partition { plan, thread }
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The number of members.
    pub(super) fn members(&self) -> usize {
        index((self.plan.connections - self.thread).div_ceil(self.plan.threads))
    }

    /// The number among all members of the member with this index.
    pub(super) fn number(&self, member: usize) -> u32 {
        // The plan has fewer members than a u32 can count.
        member as u32 * self.plan.threads + self.thread
    }

    /// The index of a member, by its number among all; `None`: it belongs to another
    /// thread.
    pub(super) fn member(&self, number: u32) -> Option<usize> {
        (number % self.plan.threads == self.thread).then(|| index(number / self.plan.threads))
    }

    pub(super) fn is_slow(&self, member: usize) -> bool {
        self.plan.slow > 0 && self.plan.is_slow(self.number(member))
    }

    /// The publishers whose messages this member receives, each with its column in the
    /// tracker.
    pub(super) fn publishers_of(&self, member: usize) -> impl Iterator<Item = (usize, u32)> {
        let publishers = match self.plan.scenario {
            Scenario::Echo => self.number(member)..self.number(member) + 1,
            _ => 0..self.plan.publishers,
        };
        publishers.filter_map(move |publisher| Some((self.column(member, publisher)?, publisher)))
    }

    /// The tracker's column of a publisher; `None`: its messages are not for this
    /// member.
    #[inline]
    pub(super) fn column(&self, member: usize, publisher: u32) -> Option<usize> {
        match self.plan.scenario {
            Scenario::Echo => (publisher == self.number(member)).then_some(0),
            _ if self.plan.no_echo && publisher == self.number(member) => None,
            _ => Some(index(publisher)),
        }
    }
}

/// Indices are at least 32 bits wide: the reactor requires it.
pub(super) const fn index(number: u32) -> usize {
    number as usize
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::plan;
    use super::*;

    #[test]
    fn members_are_distributed_over_the_threads_in_turn() {
        let plan = plan(Scenario::FanOut, |plan| plan.connections(7).threads(3));
        let mut numbers = Vec::new();
        for thread in 0..3 {
            let partition = Partition::new(plan.clone(), thread);
            numbers.extend((0..partition.members()).map(|member| partition.number(member)));
            for number in 0..7 {
                let member = partition.member(number);
                assert_eq!(
                    member.map(|member| partition.number(member)),
                    member.map(|_| number)
                );
            }
        }
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6]);
    }
}
