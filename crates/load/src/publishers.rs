//! The messages of each publisher: how many, and when.
//!
//! ```text
//!   closed loop                           open loop
//!
//!   sent ──┐ ≤ window                     due ── by the schedule
//!          ▼                               │
//!   returned ── received again            sent ── as many as the socket takes
//! ```
//!
//! A publisher is the member of the same number. In closed loop it has a window of
//! messages in flight, and sends the next one when it receives one of them: the load
//! never exceeds the server's capacity. In open loop, messages are due by the
//! [`Schedule`], in turn for each publisher of the run.
//!
//! If the server does not send a publisher's messages back to it, the receipts of
//! another member of the same thread pace it.

use super::partition::{Partition, index};
use super::payload::{Head, SEQUENCE_MAX};
use super::plan::Pace;
use super::recorder::Advance;
use super::time::{Schedule, Timeline};

/// The messages of a publisher over the whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// Its number among all.
    pub publisher: u32,
    pub messages: u32,
    /// Its connection has ended early, so that the server may lack its last messages.
    pub gone: bool,
}

/// The publishers of one thread.
#[derive(Debug)]
pub(super) struct Publishers {
    partition: Partition,
    list: Vec<Publisher>,
    /// For each member, the number of the publisher that it paces.
    paces: Vec<Option<u32>>,
    /// Publishers that may have something to send, each once.
    ready: Vec<usize>,
    timeline: Option<Timeline>,
    /// Open loop.
    schedule: Option<Schedule>,
    /// The next message of the run that is due, of any publisher.
    next_due: u64,
}

#[derive(Clone, Debug, Default)]
struct Publisher {
    /// Messages that were handed to the socket: the next sequence number.
    sent: u32,
    /// Closed loop: returned ≤ sent.
    returned: u32,
    /// Open loop: sent ≤ due.
    due: u32,
    ready: bool,
    gone: bool,
}

impl Publishers {
    pub(super) fn new(partition: Partition) -> Publishers {
        let count = (0..partition.members())
            .take_while(|&member| partition.number(member) < partition.plan().publishers)
            .count();
        Publishers {
            list: vec![Publisher::default(); count],
            paces: paces(&partition, count),
            partition,
            ready: Vec::new(),
            timeline: None,
            schedule: None,
            next_due: 0,
        }
    }

    /// Starts the load.
    pub(super) fn begin(&mut self, timeline: Timeline) {
        self.timeline = Some(timeline);
        match self.partition.plan().pace {
            Pace::Rate(rate) => self.schedule = Some(Schedule::new(timeline.start_ns, rate)),
            Pace::Window(_) => (0..self.list.len()).for_each(|publisher| self.queue(publisher)),
        }
    }

    /// Ends the load: messages that are due later are not sent.
    pub(super) fn stop(&mut self, at_ns: u64) {
        if let Some(timeline) = &mut self.timeline {
            timeline.to_ns = timeline.to_ns.min(at_ns);
        }
        self.tick(at_ns);
    }

    /// Open loop: time has passed.
    pub(super) fn tick(&mut self, now_ns: u64) {
        let (Some(schedule), Some(timeline)) = (self.schedule, self.timeline) else {
            return;
        };
        let all = u64::from(self.partition.plan().publishers);
        loop {
            let due_ns = schedule.due_ns(self.next_due);
            if all == 0 || due_ns > now_ns || due_ns >= timeline.to_ns {
                return;
            }
            // The remainder is less than `all`, which is a u32.
            let number = (self.next_due % all) as u32;
            self.next_due += 1;
            if let Some(publisher) = self.partition.member(number) {
                self.list[publisher].due = self.list[publisher].due.saturating_add(1);
                self.queue(publisher);
            }
        }
    }

    /// Closed loop: a member has received further messages of a publisher.
    #[inline]
    pub(super) fn advanced(&mut self, member: usize, advance: Advance) {
        if self.paces[member] != Some(advance.publisher) {
            return;
        }
        // It paces a publisher of this thread: see `paces`.
        let publisher = index(advance.publisher / self.partition.plan().threads);
        if let Some(paced) = self.list.get_mut(publisher) {
            paced.returned = advance.next.min(paced.sent);
            self.queue(publisher);
        }
    }

    /// The next publisher that may have something to send.
    pub(super) fn next_ready(&mut self) -> Option<usize> {
        let publisher = self.ready.pop()?;
        self.list[publisher].ready = false;
        Some(publisher)
    }

    /// The number of messages that it may send now.
    pub(super) fn allowed(&self, publisher: usize, now_ns: u64) -> u32 {
        let (Some(publisher), Some(timeline)) = (self.list.get(publisher), self.timeline) else {
            return 0;
        };
        let allowed = match self.partition.plan().pace {
            Pace::Window(_) if now_ns >= timeline.to_ns => 0,
            Pace::Window(window) => window
                .get()
                .saturating_sub(publisher.sent - publisher.returned),
            Pace::Rate(_) => publisher.due - publisher.sent,
        };
        allowed.min(SEQUENCE_MAX - publisher.sent)
    }

    /// The head of its next message, of which there is one more
    /// [`allowed`](Publishers::allowed). It counts as sent.
    pub(super) fn next_head(&mut self, publisher: usize, now_ns: u64) -> Head {
        let number = self.partition.number(publisher);
        let sequence = self.list[publisher].sent;
        self.list[publisher].sent += 1;
        let turn = u64::from(sequence) * u64::from(self.partition.plan().publishers);
        Head {
            publisher: number,
            sequence,
            sent_ns: match self.schedule {
                Some(schedule) => schedule.due_ns(turn + u64::from(number)),
                None => now_ns,
            },
        }
    }

    /// Its connection has ended: it sends nothing more.
    pub(super) fn gone(&mut self, publisher: usize) {
        if let Some(publisher) = self.list.get_mut(publisher) {
            publisher.gone = true;
        }
    }

    /// By number: the messages that each will have sent at the end, after
    /// [`stop`](Publishers::stop).
    pub(super) fn totals(&self) -> Vec<(u32, u32)> {
        let total = |publisher: &Publisher| match publisher.gone {
            true => publisher.sent,
            false => publisher.sent.max(publisher.due),
        };
        self.numbered()
            .map(|(number, publisher)| (number, total(publisher)))
            .collect()
    }

    /// The messages that each has sent.
    pub(super) fn sent(&self) -> Vec<Sent> {
        self.numbered()
            .map(|(number, publisher)| Sent {
                publisher: number,
                messages: publisher.sent,
                gone: publisher.gone,
            })
            .collect()
    }

    fn numbered(&self) -> impl Iterator<Item = (u32, &Publisher)> {
        let publishers = self.list.iter().enumerate();
        publishers.map(|(place, publisher)| (self.partition.number(place), publisher))
    }

    fn queue(&mut self, publisher: usize) {
        if !std::mem::replace(&mut self.list[publisher].ready, true) {
            self.ready.push(publisher);
        }
    }
}

/// The publisher that each member paces: itself, or without echo the publisher before it
/// among the members of this thread that read.
fn paces(partition: &Partition, publishers: usize) -> Vec<Option<u32>> {
    let mut paces = vec![None; partition.members()];
    let reading = (0..partition.members())
        .filter(|&member| !partition.is_slow(member))
        .count();
    for publisher in 0..publishers {
        let listener = match partition.plan().no_echo {
            true => (publisher + 1) % reading,
            false => publisher,
        };
        paces[listener] = Some(partition.number(publisher));
    }
    paces
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::{plan, window};
    use super::super::plan::{Plan, Scenario};
    use super::*;

    fn begun(plan: Plan, thread: u32) -> Publishers {
        let mut publishers = Publishers::new(Partition::new(plan, thread));
        publishers.begin(Timeline {
            start_ns: 0,
            from_ns: 0,
            to_ns: 1_000_000_000,
        });
        publishers
    }

    fn send(publishers: &mut Publishers, publisher: usize, count: u32) -> Vec<Head> {
        assert!(publishers.allowed(publisher, 5) >= count);
        (0..count)
            .map(|_| publishers.next_head(publisher, 5))
            .collect()
    }

    fn sent(messages: u32, gone: bool) -> Sent {
        Sent {
            publisher: 0,
            messages,
            gone,
        }
    }

    fn advance_to(publishers: &mut Publishers, member: usize, publisher: u32, next: u32) {
        publishers.advanced(member, Advance { publisher, next });
    }

    #[test]
    fn window_is_filled_and_then_refilled_as_messages_return() {
        let mut publishers = begun(
            plan(Scenario::FanOut, |plan| plan.publishers(2).pace(window(3))),
            0,
        );
        assert_eq!(publishers.next_ready(), Some(1));
        assert_eq!(publishers.next_ready(), Some(0));
        assert_eq!(publishers.next_ready(), None);
        let heads = send(&mut publishers, 1, 3);
        assert_eq!(
            (heads[2].publisher, heads[2].sequence, heads[2].sent_ns),
            (1, 2, 5)
        );
        assert_eq!(publishers.allowed(1, 5), 0);
        advance_to(&mut publishers, 1, 1, 2);
        assert_eq!(publishers.next_ready(), Some(1));
        assert_eq!(publishers.allowed(1, 5), 2);
    }

    #[test]
    fn publisher_is_paced_by_its_own_receipts_only() {
        let mut publishers = begun(
            plan(Scenario::FanOut, |plan| plan.publishers(2).pace(window(1))),
            0,
        );
        send(&mut publishers, 0, 1);
        while publishers.next_ready().is_some() {}
        advance_to(&mut publishers, 1, 0, 1);
        advance_to(&mut publishers, 5, 0, 1);
        assert_eq!(
            (publishers.allowed(0, 5), publishers.next_ready()),
            (0, None)
        );
        advance_to(&mut publishers, 0, 0, 1);
        assert_eq!(
            (publishers.allowed(0, 5), publishers.next_ready()),
            (1, Some(0))
        );
    }

    #[test]
    fn without_echo_another_member_paces_a_publisher() {
        let mut publishers = begun(
            plan(Scenario::FanOut, |plan| {
                plan.connections(4)
                    .publishers(4)
                    .pace(window(1))
                    .no_echo()
                    .threads(2)
            }),
            1,
        );
        // The members of this thread are 1 and 3.
        send(&mut publishers, 1, 1);
        advance_to(&mut publishers, 1, 3, 1);
        assert_eq!(publishers.allowed(1, 5), 0);
        advance_to(&mut publishers, 0, 3, 1);
        assert_eq!(publishers.allowed(1, 5), 1);
    }

    #[test]
    fn number_that_was_never_sent_opens_no_window() {
        let mut publishers = begun(plan(Scenario::Echo, |plan| plan.pace(window(2))), 0);
        send(&mut publishers, 0, 1);
        advance_to(&mut publishers, 0, 0, 77);
        assert_eq!(publishers.allowed(0, 5), 2);
    }

    #[test]
    fn nothing_is_sent_after_the_end() {
        let mut publishers = begun(plan(Scenario::Echo, |plan| plan.pace(window(2))), 0);
        assert_eq!(publishers.allowed(0, 999_999_999), 2);
        assert_eq!(publishers.allowed(0, 1_000_000_000), 0);
        publishers.stop(500);
        assert_eq!(publishers.allowed(0, 500), 0);
    }

    #[test]
    fn publishers_share_a_rate_in_turn_and_each_message_carries_its_due_time() {
        // One message each 100 ms, of publishers 0, 1, 2, 0, …; this thread has 1.
        let mut publishers = begun(
            plan(Scenario::FanOut, |plan| {
                plan.publishers(3).pace(Pace::Rate(10.0)).threads(3)
            }),
            1,
        );
        publishers.tick(99_000_000);
        assert_eq!(
            (publishers.allowed(0, 0), publishers.next_ready()),
            (0, None)
        );
        publishers.tick(450_000_000);
        assert_eq!(publishers.next_ready(), Some(0));
        assert_eq!(publishers.allowed(0, 0), 2);
        let due: Vec<_> = send(&mut publishers, 0, 2)
            .iter()
            .map(|head| head.sent_ns)
            .collect();
        assert_eq!(due, [100_000_000, 400_000_000]);
        assert_eq!(publishers.allowed(0, 0), 0);
    }

    #[test]
    fn messages_due_before_the_end_are_sent_after_it_if_they_had_to_wait() {
        let mut publishers = begun(
            plan(Scenario::FanOut, |plan| {
                plan.publishers(1).pace(Pace::Rate(10.0))
            }),
            0,
        );
        publishers.tick(150_000_000);
        send(&mut publishers, 0, 1);
        publishers.stop(300_000_000);
        // Due at 0, 100 and 200 ms; a message due at 300 ms is not sent.
        assert_eq!(publishers.totals(), [(0, 3)]);
        assert_eq!(publishers.sent(), [sent(1, false)]);
        publishers.tick(900_000_000);
        assert_eq!(publishers.totals(), [(0, 3)]);
        publishers.gone(0);
        assert_eq!(publishers.totals(), [(0, 1)]);
        assert_eq!(publishers.sent(), [sent(1, true)]);
    }
}
