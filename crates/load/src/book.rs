//! What one thread has measured: each message that its members got is entered
//! here, checked and counted.
//!
//! ```text
//!   Reading ─▶ ledger: next? gap? late? doubled? ─▶ faults
//!                 │
//!                 ├─▶ delivered, if it came while measuring
//!                 └─▶ latency, if it was sent while measuring
//! ```
//!
//! Every delivery has its latency recorded; there is no sampling. That is cheap
//! because the clock is read once for each read of a socket, which brings many
//! messages when there are many, and a histogram's entry is an addition.
//! Members that stop reading on purpose are counted apart.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use hdrhistogram::Histogram;

use super::crew::{Crew, index};
use super::ledger::{Faults, Ledger, Receipt};
use super::payload::{Head, Reading};
use super::time::Timeline;

/// See the [module's text](self).
pub(super) struct Book {
    ledger: Ledger,
    crew: Crew,
    timeline: Timeline,
    tally: Tally,
    /// What is still on its way to members that read, once that is known.
    outstanding: Option<u64>,
    /// All receipts, whenever they came.
    received: u64,
}

/// What has been counted.
pub(super) struct Tally {
    /// Messages sent while measuring.
    pub published: u64,
    /// Messages received while measuring, each at each member.
    pub delivered: u64,
    /// Octets that came while measuring, frame headers included, to members that
    /// read.
    pub received_bytes: u64,
    pub faults: Faults,
    /// Messages of somebody else.
    pub foreign: u64,
    /// From sending to receiving, in nanoseconds.
    pub latency: Histogram<u64>,
    /// Open loop: from when a message was due to when it was written.
    pub send_delay: Histogram<u64>,
    pub pings: u64,
    /// How members ended that should not have: by close code.
    pub ended: BTreeMap<u16, u64>,
    /// The first rule that the server broke.
    pub broken: Option<String>,
    pub slow: SlowTally,
}

/// What happened to members that stopped reading.
#[derive(Clone, Debug, Default)]
pub(super) struct SlowTally {
    pub delivered: u64,
    pub faults: Faults,
    pub ended: BTreeMap<u16, u64>,
}

/// How far the members that are still there have come with one publisher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Members that its messages are for.
    pub members: u64,
    /// The sum of the numbers that they expect next.
    pub next: u64,
    /// The highest of them.
    pub furthest: u32,
}

/// That a member has come further with a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advance {
    pub publisher: u32,
    /// The number that it expects next.
    pub next: u32,
}

impl Book {
    pub(super) fn new(crew: Crew) -> Book {
        Book {
            ledger: Ledger::new(crew.members(), index(crew.plan().publishers_per_member())),
            crew,
            timeline: NEVER,
            tally: Tally::new(),
            outstanding: None,
            received: 0,
        }
    }

    /// What is measured from now on.
    pub(super) fn set_timeline(&mut self, timeline: Timeline) {
        self.timeline = timeline;
    }

    pub(super) fn timeline(&self) -> Timeline {
        self.timeline
    }

    pub(super) fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    pub(super) fn into_tally(self) -> Tally {
        self.tally
    }

    /// Enters that a message which was due then is written now.
    pub(super) fn published(&mut self, due_ns: u64, now_ns: u64) {
        self.tally.published += u64::from(self.timeline.measures(now_ns));
        if self.timeline.measures(due_ns) {
            let delay_ns = now_ns.saturating_sub(due_ns);
            self.tally.send_delay.saturating_record(delay_ns);
        }
    }

    /// Enters that so many octets have come to this member.
    #[inline]
    pub(super) fn came(&mut self, member: usize, bytes: usize, now_ns: u64) {
        if self.timeline.measures(now_ns) && !self.crew.is_slow(member) {
            self.tally.received_bytes += bytes as u64;
        }
    }

    /// All receipts since this was asked last.
    pub(super) fn take_received(&mut self) -> u64 {
        std::mem::take(&mut self.received)
    }

    /// Enters that this member got a message. `None`: no publisher may go on
    /// because of it.
    #[inline]
    pub(super) fn enter(
        &mut self,
        member: usize,
        reading: Reading,
        now_ns: u64,
    ) -> Option<Advance> {
        match reading {
            Reading::Ours(head) => self.enter_ours(member, head, now_ns),
            Reading::Corrupted => {
                self.faults(member).corrupted += 1;
                None
            }
            Reading::Foreign => {
                self.tally.foreign += 1;
                None
            }
        }
    }

    #[inline]
    fn enter_ours(&mut self, member: usize, head: Head, now_ns: u64) -> Option<Advance> {
        let Some(column) = self.crew.column(member, head.publisher) else {
            self.faults(member).misdelivered += 1;
            return None;
        };
        let Some(receipt) = self.ledger.enter(member, column, head.sequence) else {
            self.faults(member).corrupted += 1;
            return None;
        };
        if receipt != Receipt::Next {
            self.faults(member).count(receipt);
            if receipt == Receipt::Doubled {
                return None;
            }
        }
        self.received += 1;
        self.measure(member, head, now_ns);
        let advance = match receipt {
            Receipt::Next => 1,
            Receipt::Gap(missing) => u64::from(missing) + 1,
            Receipt::Late | Receipt::Doubled => return None,
        };
        self.arrived(member, advance);
        Some(Advance {
            publisher: head.publisher,
            next: head.sequence + 1,
        })
    }

    #[inline]
    fn measure(&mut self, member: usize, head: Head, now_ns: u64) {
        let delivered = u64::from(self.timeline.measures(now_ns));
        if self.crew.is_slow(member) {
            self.tally.slow.delivered += delivered;
            return;
        }
        self.tally.delivered += delivered;
        if self.timeline.measures(head.sent_ns) {
            let latency_ns = now_ns.saturating_sub(head.sent_ns);
            self.tally.latency.saturating_record(latency_ns);
        }
    }

    fn faults(&mut self, member: usize) -> &mut Faults {
        match self.crew.is_slow(member) {
            true => &mut self.tally.slow.faults,
            false => &mut self.tally.faults,
        }
    }

    /// Counts a member that ended before its time; `1006`: without a Close.
    pub(super) fn count_ended(&mut self, member: usize, code: u16) {
        let ended = match self.crew.is_slow(member) {
            true => &mut self.tally.slow.ended,
            false => &mut self.tally.ended,
        };
        *ended.entry(code).or_default() += 1;
    }
}

/// What is still on its way.
impl Book {
    /// From now on [`drained`](Book::drained) is known: publisher `p` sends
    /// `goals[p]` messages in all, to the members for which `is_open` holds.
    pub(super) fn expect(&mut self, goals: &[u32], is_open: impl Fn(usize) -> bool) {
        let members = (0..self.crew.members())
            .filter(|&member| !self.crew.is_slow(member) && is_open(member));
        let outstanding = members
            .map(|member| self.outstanding_of(member, goals))
            .sum();
        self.outstanding = Some(outstanding);
    }

    /// Nothing more will come to this member.
    pub(super) fn give_up(&mut self, member: usize, goals: &[u32]) {
        if !self.crew.is_slow(member) {
            let of_member = self.outstanding_of(member, goals);
            self.arrived(member, of_member);
        }
    }

    /// Is all there that members which read are to get?
    pub(super) fn drained(&self) -> bool {
        self.outstanding == Some(0)
    }

    #[inline]
    fn arrived(&mut self, member: usize, count: u64) {
        if let Some(outstanding) = &mut self.outstanding {
            if !self.crew.is_slow(member) {
                *outstanding = outstanding.saturating_sub(count);
            }
        }
    }

    fn outstanding_of(&self, member: usize, goals: &[u32]) -> u64 {
        let publishers = self.crew.publishers_of(member);
        let missing = publishers.map(|(column, publisher)| {
            let goal = goals.get(index(publisher)).copied().unwrap_or_default();
            u64::from(goal.saturating_sub(self.ledger.next(member, column)))
        });
        missing.sum()
    }

    /// For each publisher: how far those of the members have come for which
    /// `counts` holds.
    pub(super) fn standings(&self, counts: impl Fn(usize) -> bool) -> Vec<Standing> {
        let mut standings = vec![Standing::default(); index(self.crew.plan().publishers)];
        for member in (0..self.crew.members()).filter(|&member| counts(member)) {
            for (column, publisher) in self.crew.publishers_of(member) {
                if let Some(standing) = standings.get_mut(index(publisher)) {
                    *standing += Standing::of(self.ledger.next(member, column));
                }
            }
        }
        standings
    }
}

impl Tally {
    pub(super) fn new() -> Tally {
        Tally {
            published: 0,
            delivered: 0,
            received_bytes: 0,
            faults: Faults::default(),
            foreign: 0,
            latency: histogram(),
            send_delay: histogram(),
            pings: 0,
            ended: BTreeMap::new(),
            broken: None,
            slow: SlowTally::default(),
        }
    }

    /// Adds what another thread has counted.
    pub(super) fn add(&mut self, other: Tally) {
        self.published += other.published;
        self.delivered += other.delivered;
        self.received_bytes += other.received_bytes;
        self.faults += other.faults;
        self.foreign += other.foreign;
        for (ours, theirs) in [
            (&mut self.latency, &other.latency),
            (&mut self.send_delay, &other.send_delay),
        ] {
            ours.add(theirs)
                .expect("all histograms have the same bounds");
        }
        self.pings += other.pings;
        add_counts(&mut self.ended, other.ended);
        self.broken = self.broken.take().or(other.broken);
        self.slow += other.slow;
    }
}

impl AddAssign for SlowTally {
    fn add_assign(&mut self, other: SlowTally) {
        self.delivered += other.delivered;
        self.faults += other.faults;
        add_counts(&mut self.ended, other.ended);
    }
}

impl Standing {
    /// Of one member.
    fn of(next: u32) -> Standing {
        Standing {
            members: 1,
            next: u64::from(next),
            furthest: next,
        }
    }
}

impl AddAssign for Standing {
    fn add_assign(&mut self, other: Standing) {
        self.members += other.members;
        self.next += other.next;
        self.furthest = self.furthest.max(other.furthest);
    }
}

fn add_counts(counts: &mut BTreeMap<u16, u64>, other: BTreeMap<u16, u64>) {
    for (code, count) in other {
        *counts.entry(code).or_default() += count;
    }
}

/// From 100 ns to an hour, to three digits.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(100, 3_600_000_000_000, 3).expect("the bounds are in order")
}

/// Nothing is measured yet.
const NEVER: Timeline = Timeline {
    start_ns: u64::MAX,
    from_ns: u64::MAX,
    to_ns: u64::MAX,
};

#[cfg(test)]
mod tests {
    use super::super::plan::tests::plan;
    use super::super::plan::{Plan, Scenario};
    use super::*;

    fn book(plan: Plan, thread: u32) -> Book {
        let mut book = Book::new(Crew::new(plan, thread));
        book.set_timeline(Timeline {
            start_ns: 0,
            from_ns: 100,
            to_ns: 200,
        });
        book
    }

    fn ours(publisher: u32, sequence: u32, sent_ns: u64) -> Reading {
        Reading::Ours(Head {
            publisher,
            sequence,
            sent_ns,
        })
    }

    #[test]
    fn deliveries_count_by_when_they_come_and_latencies_by_when_they_were_sent() {
        let mut book = book(plan(Scenario::FanOut, |plan| plan), 0);
        for (sequence, (sent_ns, came_ns)) in
            [(50, 99), (99, 100), (100, 199), (199, 900), (200, 901)]
                .into_iter()
                .enumerate()
        {
            let sequence = u32::try_from(sequence).expect("few");
            book.enter(0, ours(0, sequence, sent_ns), came_ns);
        }
        let tally = book.into_tally();
        assert_eq!(tally.delivered, 2);
        assert_eq!(tally.latency.len(), 2);
        assert_eq!(tally.faults, Faults::default());
    }

    #[test]
    fn octets_count_while_measuring_and_at_members_that_read() {
        let mut book = book(
            plan(Scenario::Slow, |plan| plan.connections(10).slow_percent(10)),
            0,
        );
        for (member, at_ns) in [(0, 99), (0, 100), (1, 199), (9, 150), (0, 200)] {
            book.came(member, 50, at_ns);
        }
        assert_eq!(book.into_tally().received_bytes, 100);
    }

    #[test]
    fn an_advance_is_told_once_for_each_step_forward() {
        let mut book = book(plan(Scenario::FanOut, |plan| plan), 0);
        let advance = |next| Some(Advance { publisher: 4, next });
        assert_eq!(book.enter(1, ours(4, 0, 0), 0), advance(1));
        assert_eq!(book.enter(1, ours(4, 0, 0), 0), None);
        assert_eq!(book.enter(1, ours(4, 2, 0), 0), advance(3));
        assert_eq!(book.enter(1, ours(4, 1, 0), 0), None);
        let faults = book.into_tally().faults;
        assert_eq!(
            (faults.lost, faults.doubled, faults.out_of_order),
            (0, 1, 1)
        );
    }

    #[test]
    fn an_echo_to_another_connection_is_misdelivered() {
        let mut book = book(plan(Scenario::Echo, |plan| plan.threads(2)), 1);
        assert!(book.enter(3, ours(7, 0, 0), 0).is_some());
        assert_eq!(book.enter(3, ours(6, 0, 0), 0), None);
        assert_eq!(book.into_tally().faults.misdelivered, 1);
    }

    #[test]
    fn a_publisher_that_does_not_exist_is_a_corruption() {
        let mut book = book(plan(Scenario::FanOut, |plan| plan.publishers(2)), 0);
        assert_eq!(book.enter(0, ours(2, 0, 0), 0), None);
        assert_eq!(book.enter(0, Reading::Corrupted, 0), None);
        assert_eq!(book.enter(0, Reading::Foreign, 0), None);
        let tally = book.into_tally();
        assert_eq!((tally.faults.corrupted, tally.foreign), (2, 1));
    }

    #[test]
    fn what_slow_members_miss_is_counted_apart() {
        let mut book = book(
            plan(Scenario::Slow, |plan| plan.connections(10).slow_percent(20)),
            0,
        );
        for member in [7, 8] {
            book.enter(member, ours(0, 3, 150), 150);
            book.count_ended(member, 1013);
        }
        let tally = book.into_tally();
        assert_eq!((tally.delivered, tally.slow.delivered), (1, 1));
        assert_eq!((tally.faults.lost, tally.slow.faults.lost), (3, 3));
        assert_eq!((tally.ended[&1013], tally.slow.ended[&1013]), (1, 1));
        assert_eq!(tally.latency.len(), 1);
    }

    #[test]
    fn the_run_is_drained_when_every_member_that_is_left_has_everything() {
        let mut book = book(
            plan(Scenario::Slow, |plan| {
                plan.connections(4).publishers(2).slow_percent(25)
            }),
            0,
        );
        book.enter(0, ours(0, 0, 0), 0);
        // Member 1 is gone; member 3 is slow; 0 and 2 lack 1 and 2 messages.
        let goals = [1, 1];
        book.expect(&goals, |member| member != 1);
        book.enter(0, ours(1, 0, 0), 0);
        book.enter(3, ours(1, 0, 0), 0);
        assert!(!book.drained());
        book.enter(2, ours(0, 0, 0), 0);
        assert!(!book.drained());
        book.give_up(2, &goals);
        assert!(book.drained());
    }

    #[test]
    fn a_publisher_without_echo_does_not_wait_for_itself() {
        let mut book = book(
            plan(Scenario::FanOut, |plan| {
                plan.connections(2).publishers(1).no_echo()
            }),
            0,
        );
        book.expect(&[1], |_| true);
        book.enter(1, ours(0, 0, 0), 0);
        assert!(book.drained());
        assert_eq!(book.standings(|_| true), [Standing::of(1)]);
        assert_eq!(book.enter(0, ours(0, 0, 0), 0), None);
        assert_eq!(book.into_tally().faults.misdelivered, 1);
    }

    #[test]
    fn a_histogram_takes_no_more_than_its_kilobytes() {
        let bytes = histogram().distinct_values() * size_of::<u64>();
        assert!(bytes <= 256 << 10, "{bytes}");
    }

    #[test]
    fn tallies_of_two_threads_are_one() {
        let mut first = book(plan(Scenario::FanOut, |plan| plan), 0);
        first.enter(0, ours(0, 0, 100), 101);
        first.count_ended(0, 1006);
        let mut second = book(plan(Scenario::FanOut, |plan| plan), 0);
        second.enter(0, ours(0, 1, 100), 101);
        second.count_ended(0, 1006);
        second.tally_mut().broken = Some("a rule".to_owned());
        let mut tally = first.into_tally();
        tally.add(second.into_tally());
        assert_eq!(
            (tally.delivered, tally.latency.len(), tally.faults.lost),
            (2, 2, 1)
        );
        assert_eq!(tally.ended[&1006], 2);
        assert_eq!(tally.broken.as_deref(), Some("a rule"));
    }
}
