//! The measurements of one thread: it checks and counts each message that its members
//! receive.
//!
//! ```text
//!   Reading ─▶ tracker: next? gap? late? doubled? ─▶ faults
//!                 │
//!                 ├─▶ delivered, if it arrived while measuring
//!                 └─▶ latency, if it was sent while measuring
//! ```
//!
//! The latency of every delivery is recorded; there is no sampling. That is cheap: the
//! clock is read once for each read of a socket, which brings many messages under load, and
//! recording is one addition in a histogram. Members that stop reading on purpose are
//! counted separately.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use hdrhistogram::Histogram;

use super::delivery_tracker::{DeliveryTracker, Faults, Receipt};
use super::partition::{Partition, index};
use super::payload::{Head, Reading};
use super::time::Timeline;

/// See the [module's text](self).
pub(super) struct Recorder {
    tracker: DeliveryTracker,
    partition: Partition,
    timeline: Timeline,
    tally: Tally,
    /// Messages that the reading members still have to receive, when that is known.
    outstanding: Option<u64>,
    /// Messages received since the last call of `take_received`, in any phase.
    received: u64,
}

/// Counted values.
pub(super) struct Tally {
    /// Messages sent while measuring.
    pub published: u64,
    /// Messages received while measuring, each at each member.
    pub delivered: u64,
    /// Bytes that reading members received while measuring, frame headers included.
    pub received_bytes: u64,
    pub faults: Faults,
    /// Messages that are not of this run.
    pub foreign: u64,
    /// From sending to receiving a message, in nanoseconds.
    pub latency: Histogram<u64>,
    /// Open loop: from when a message was due to when it was written.
    pub send_delay: Histogram<u64>,
    pub pings: u64,
    /// Connections that ended early, by close code.
    pub ended: BTreeMap<u16, u64>,
    /// The first rule that the server broke.
    pub broken: Option<String>,
    pub slow: SlowTally,
}

/// The results of the members that stopped reading.
#[derive(Clone, Debug, Default)]
pub(super) struct SlowTally {
    pub delivered: u64,
    pub faults: Faults,
    pub ended: BTreeMap<u16, u64>,
}

/// The progress of the open members with the messages of one publisher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Members that its messages are for.
    pub members: u64,
    /// The sum of the sequence numbers that they expect next.
    pub next: u64,
    /// The highest of them.
    pub furthest: u32,
}

/// A member has received further messages of a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advance {
    pub publisher: u32,
    /// The sequence number that it expects next.
    pub next: u32,
}

impl Recorder {
    pub(super) fn new(partition: Partition) -> Recorder {
        Recorder {
            tracker: DeliveryTracker::new(
                partition.members(),
                index(partition.plan().publishers_per_member()),
            ),
            partition,
            timeline: NEVER,
            tally: Tally::new(),
            outstanding: None,
            received: 0,
        }
    }

    /// Sets the times to measure within.
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

    /// Records the times at which a message was due and was written.
    pub(super) fn published(&mut self, due_ns: u64, now_ns: u64) {
        self.tally.published += u64::from(self.timeline.measures(now_ns));
        if self.timeline.measures(due_ns) {
            let delay_ns = now_ns.saturating_sub(due_ns);
            self.tally.send_delay.saturating_record(delay_ns);
        }
    }

    /// Records the bytes that a member has received.
    #[inline]
    pub(super) fn record_bytes(&mut self, member: usize, bytes: usize, now_ns: u64) {
        if self.timeline.measures(now_ns) && !self.partition.is_slow(member) {
            self.tally.received_bytes += bytes as u64;
        }
    }

    /// Messages received since the last call.
    pub(super) fn take_received(&mut self) -> u64 {
        std::mem::take(&mut self.received)
    }

    /// Records a message that a member has received. `None`: no publisher may continue
    /// because of it.
    #[inline]
    pub(super) fn record(
        &mut self,
        member: usize,
        reading: Reading,
        now_ns: u64,
    ) -> Option<Advance> {
        match reading {
            Reading::Ours(head) => self.record_ours(member, head, now_ns),
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
    fn record_ours(&mut self, member: usize, head: Head, now_ns: u64) -> Option<Advance> {
        let Some(column) = self.partition.column(member, head.publisher) else {
            self.faults(member).misdelivered += 1;
            return None;
        };
        let Some(receipt) = self.tracker.record(member, column, head.sequence) else {
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
        if self.partition.is_slow(member) {
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
        match self.partition.is_slow(member) {
            true => &mut self.tally.slow.faults,
            false => &mut self.tally.faults,
        }
    }

    /// Counts a connection that ended early; `1006`: without a Close frame.
    pub(super) fn count_ended(&mut self, member: usize, code: u16) {
        let ended = match self.partition.is_slow(member) {
            true => &mut self.tally.slow.ended,
            false => &mut self.tally.ended,
        };
        *ended.entry(code).or_default() += 1;
    }
}

/// Messages in flight.
impl Recorder {
    /// Makes [`drained`](Recorder::drained) known: publisher `p` sends
    /// `totals[p]` messages in all, to the members for which `is_open` holds.
    pub(super) fn expect(&mut self, totals: &[u32], is_open: impl Fn(usize) -> bool) {
        let members = (0..self.partition.members())
            .filter(|&member| !self.partition.is_slow(member) && is_open(member));
        let outstanding = members
            .map(|member| self.outstanding_of(member, totals))
            .sum();
        self.outstanding = Some(outstanding);
    }

    /// This member receives nothing more.
    pub(super) fn give_up(&mut self, member: usize, totals: &[u32]) {
        if !self.partition.is_slow(member) {
            let of_member = self.outstanding_of(member, totals);
            self.arrived(member, of_member);
        }
    }

    /// Whether the reading members have received all messages.
    pub(super) fn drained(&self) -> bool {
        self.outstanding == Some(0)
    }

    #[inline]
    fn arrived(&mut self, member: usize, count: u64) {
        if let Some(outstanding) = &mut self.outstanding
            && !self.partition.is_slow(member)
        {
            *outstanding = outstanding.saturating_sub(count);
        }
    }

    fn outstanding_of(&self, member: usize, totals: &[u32]) -> u64 {
        let publishers = self.partition.publishers_of(member);
        let missing = publishers.map(|(column, publisher)| {
            let total = totals.get(index(publisher)).copied().unwrap_or_default();
            u64::from(total.saturating_sub(self.tracker.next(member, column)))
        });
        missing.sum()
    }

    /// For each publisher: the progress of the members for which `counts` holds.
    pub(super) fn standings(&self, counts: impl Fn(usize) -> bool) -> Vec<Standing> {
        let mut standings = vec![Standing::default(); index(self.partition.plan().publishers)];
        for member in (0..self.partition.members()).filter(|&member| counts(member)) {
            for (column, publisher) in self.partition.publishers_of(member) {
                if let Some(standing) = standings.get_mut(index(publisher)) {
                    *standing += Standing::of(self.tracker.next(member, column));
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

    /// Adds the counts of another thread.
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

    fn recorder(plan: Plan, thread: u32) -> Recorder {
        let mut recorder = Recorder::new(Partition::new(plan, thread));
        recorder.set_timeline(Timeline {
            start_ns: 0,
            from_ns: 100,
            to_ns: 200,
        });
        recorder
    }

    fn ours(publisher: u32, sequence: u32, sent_ns: u64) -> Reading {
        Reading::Ours(Head {
            publisher,
            sequence,
            sent_ns,
        })
    }

    #[test]
    fn deliveries_are_counted_by_their_arrival_and_latencies_by_their_sending() {
        let mut recorder = recorder(plan(Scenario::FanOut, |plan| plan), 0);
        for (sequence, (sent_ns, came_ns)) in
            [(50, 99), (99, 100), (100, 199), (199, 900), (200, 901)]
                .into_iter()
                .enumerate()
        {
            let sequence = u32::try_from(sequence).expect("few");
            recorder.record(0, ours(0, sequence, sent_ns), came_ns);
        }
        let tally = recorder.into_tally();
        assert_eq!(tally.delivered, 2);
        assert_eq!(tally.latency.len(), 2);
        assert_eq!(tally.faults, Faults::default());
    }

    #[test]
    fn bytes_are_counted_while_measuring_and_at_members_that_read() {
        let mut recorder = recorder(
            plan(Scenario::Slow, |plan| plan.connections(10).slow_percent(10)),
            0,
        );
        for (member, at_ns) in [(0, 99), (0, 100), (1, 199), (9, 150), (0, 200)] {
            recorder.record_bytes(member, 50, at_ns);
        }
        assert_eq!(recorder.into_tally().received_bytes, 100);
    }

    #[test]
    fn each_step_forward_is_returned_as_an_advance_once() {
        let mut recorder = recorder(plan(Scenario::FanOut, |plan| plan), 0);
        let advance = |next| Some(Advance { publisher: 4, next });
        assert_eq!(recorder.record(1, ours(4, 0, 0), 0), advance(1));
        assert_eq!(recorder.record(1, ours(4, 0, 0), 0), None);
        assert_eq!(recorder.record(1, ours(4, 2, 0), 0), advance(3));
        assert_eq!(recorder.record(1, ours(4, 1, 0), 0), None);
        let faults = recorder.into_tally().faults;
        assert_eq!(
            (faults.lost, faults.doubled, faults.out_of_order),
            (0, 1, 1)
        );
    }

    #[test]
    fn echo_to_another_connection_is_misdelivered() {
        let mut recorder = recorder(plan(Scenario::Echo, |plan| plan.threads(2)), 1);
        assert!(recorder.record(3, ours(7, 0, 0), 0).is_some());
        assert_eq!(recorder.record(3, ours(6, 0, 0), 0), None);
        assert_eq!(recorder.into_tally().faults.misdelivered, 1);
    }

    #[test]
    fn message_of_an_unknown_publisher_is_corrupted() {
        let mut recorder = recorder(plan(Scenario::FanOut, |plan| plan.publishers(2)), 0);
        assert_eq!(recorder.record(0, ours(2, 0, 0), 0), None);
        assert_eq!(recorder.record(0, Reading::Corrupted, 0), None);
        assert_eq!(recorder.record(0, Reading::Foreign, 0), None);
        let tally = recorder.into_tally();
        assert_eq!((tally.faults.corrupted, tally.foreign), (2, 1));
    }

    #[test]
    fn messages_missed_by_slow_members_are_counted_separately() {
        let mut recorder = recorder(
            plan(Scenario::Slow, |plan| plan.connections(10).slow_percent(20)),
            0,
        );
        for member in [7, 8] {
            recorder.record(member, ours(0, 3, 150), 150);
            recorder.count_ended(member, 1013);
        }
        let tally = recorder.into_tally();
        assert_eq!((tally.delivered, tally.slow.delivered), (1, 1));
        assert_eq!((tally.faults.lost, tally.slow.faults.lost), (3, 3));
        assert_eq!((tally.ended[&1013], tally.slow.ended[&1013]), (1, 1));
        assert_eq!(tally.latency.len(), 1);
    }

    #[test]
    fn run_is_drained_when_every_remaining_member_has_received_all_messages() {
        let mut recorder = recorder(
            plan(Scenario::Slow, |plan| {
                plan.connections(4).publishers(2).slow_percent(25)
            }),
            0,
        );
        recorder.record(0, ours(0, 0, 0), 0);
        // Member 1 has ended; member 3 is slow; 0 and 2 lack 1 and 2 messages.
        let totals = [1, 1];
        recorder.expect(&totals, |member| member != 1);
        recorder.record(0, ours(1, 0, 0), 0);
        recorder.record(3, ours(1, 0, 0), 0);
        assert!(!recorder.drained());
        recorder.record(2, ours(0, 0, 0), 0);
        assert!(!recorder.drained());
        recorder.give_up(2, &totals);
        assert!(recorder.drained());
    }

    #[test]
    fn publisher_without_echo_does_not_wait_for_its_own_messages() {
        let mut recorder = recorder(
            plan(Scenario::FanOut, |plan| {
                plan.connections(2).publishers(1).no_echo()
            }),
            0,
        );
        recorder.expect(&[1], |_| true);
        recorder.record(1, ours(0, 0, 0), 0);
        assert!(recorder.drained());
        assert_eq!(recorder.standings(|_| true), [Standing::of(1)]);
        assert_eq!(recorder.record(0, ours(0, 0, 0), 0), None);
        assert_eq!(recorder.into_tally().faults.misdelivered, 1);
    }

    #[test]
    fn histogram_has_a_fixed_size() {
        let bytes = histogram().distinct_values() * size_of::<u64>();
        assert!(bytes <= 256 << 10, "{bytes}");
    }

    #[test]
    fn tallies_of_two_threads_are_added() {
        let mut first = recorder(plan(Scenario::FanOut, |plan| plan), 0);
        first.record(0, ours(0, 0, 100), 101);
        first.count_ended(0, 1006);
        let mut second = recorder(plan(Scenario::FanOut, |plan| plan), 0);
        second.record(0, ours(0, 1, 100), 101);
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
