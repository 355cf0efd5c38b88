//! Vacated channels and removed members wait for three seconds: if the channel is occupied again, or the member is back, neither the
//! end nor the new beginning is told. So the reload of a page leaves no trace.
//!
//! In a cluster one node tells each event, and all nodes know of all of them: so an end that one node would tell is undone by a beginning
//! that another one would tell. The other nodes forget an end half a second earlier than its teller tells it: at the border, a
//! beginning is rather told without an end than not at all.
//!
//! A cache channel that keeps no event is told once in three seconds, however many subscribe to it meanwhile.
//!
//! The ends that wait have a limit of bytes. Beyond it the thread takes no further events until the first of them is due.
//!
//! Without a clock: the time goes in, and what is to be sent comes out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::event::WebhookEvent;
use super::queue::Teller;

/// The ends that wait.
#[derive(Debug, Default)]
pub(super) struct Undoing {
    /// When each end is due, with a number for those of the same time.
    due: BTreeMap<(Instant, u64), (WebhookEvent, Teller)>,
    waiting: HashMap<Subject, (Instant, u64)>,
    /// Of the ends in `due`, about.
    bytes: usize,
    next_number: u64,
    /// When a miss of each cache channel was told, of at most [`MISSES_MAX`].
    misses: HashMap<Arc<str>, Instant>,
}

/// A channel, or a member of one.
type Subject = (Arc<str>, Option<Arc<str>>);

impl Undoing {
    /// The event, if it is to be sent now.
    pub(super) fn pass(
        &mut self,
        event: WebhookEvent,
        teller: Teller,
        now: Instant,
    ) -> Option<WebhookEvent> {
        let is_told = teller == Teller::This;
        match subject(&event) {
            None => self.is_new_miss(&event, now).then_some(event),
            Some((subject, true)) => {
                let wait = match teller {
                    Teller::This => WAIT,
                    Teller::OtherNode => WAIT - MARGIN,
                };
                let at = (now + wait, self.next_number);
                self.next_number += 1;
                // The beginning between two ends is not known if the queue had no room for it.
                if let Some(earlier) = self.waiting.insert(subject, at) {
                    self.remove(earlier);
                }
                self.bytes += bytes_of(&event);
                self.due.insert(at, (event, teller));
                None
            }
            Some((subject, false)) => match self.waiting.remove(&subject) {
                Some(at) => {
                    self.remove(at);
                    None
                }
                None => is_told.then_some(event),
            },
        }
    }

    /// Removes an end that is not waited for any more.
    fn remove(&mut self, at: (Instant, u64)) {
        if let Some((event, _)) = self.due.remove(&at) {
            self.bytes -= bytes_of(&event);
        }
    }

    /// Whether the event is no miss of a cache channel, or the first one for a while.
    fn is_new_miss(&mut self, event: &WebhookEvent, now: Instant) -> bool {
        let WebhookEvent::CacheMiss { channel } = event else {
            return true;
        };
        let told = self.misses.get(channel);
        if told.is_some_and(|at| now.duration_since(*at) < WAIT) {
            return false;
        }
        if self.misses.len() >= MISSES_MAX {
            self.misses.clear();
        }
        self.misses.insert(channel.clone(), now);
        true
    }

    /// When the first end is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Takes the first end that is due, and that this node tells.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<WebhookEvent> {
        loop {
            let entry = self.due.first_entry();
            let entry = entry.filter(|entry| entry.key().0 <= now)?;
            let (event, teller) = entry.remove();
            self.bytes -= bytes_of(&event);
            if let Some((subject, _)) = subject(&event) {
                self.waiting.remove(&subject);
            }
            if teller == Teller::This {
                return Some(event);
            }
        }
    }

    /// Whether no further end may wait.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BYTES_MAX
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.due.len()
    }
}

/// The memory that an end takes while it waits, about: its event, and its places in the two maps.
fn bytes_of(event: &WebhookEvent) -> usize {
    event.bytes() + PLACES_BYTES
}

/// What the event ends (true) or begins (false). `None`: neither.
fn subject(event: &WebhookEvent) -> Option<(Subject, bool)> {
    let (channel, user, is_end) = match event {
        WebhookEvent::ChannelOccupied { channel } => (channel, None, false),
        WebhookEvent::ChannelVacated { channel } => (channel, None, true),
        WebhookEvent::MemberAdded { channel, user_id } => (channel, Some(user_id), false),
        WebhookEvent::MemberRemoved { channel, user_id } => (channel, Some(user_id), true),
        _ => return None,
    };
    Some(((channel.clone(), user.cloned()), is_end))
}

/// How long an end waits.
pub(super) const WAIT: Duration = Duration::from_secs(3);
/// How much earlier other nodes forget it.
const MARGIN: Duration = Duration::from_millis(500);
/// Of the ends that wait, a bit more with the last one.
const BYTES_MAX: usize = 16 << 20;
/// Of the places of an end in the two maps, a quarter of which is empty.
const PLACES_BYTES: usize = 224;
/// Cache channels that are known to have been told.
const MISSES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn occupied() -> WebhookEvent {
        WebhookEvent::ChannelOccupied {
            channel: "a".into(),
        }
    }

    fn vacated() -> WebhookEvent {
        WebhookEvent::ChannelVacated {
            channel: "a".into(),
        }
    }

    fn added(user: &str) -> WebhookEvent {
        WebhookEvent::MemberAdded {
            channel: "a".into(),
            user_id: user.into(),
        }
    }

    fn removed(user: &str) -> WebhookEvent {
        WebhookEvent::MemberRemoved {
            channel: "a".into(),
            user_id: user.into(),
        }
    }

    #[test]
    fn end_is_told_after_three_seconds() {
        let (mut undoing, start) = (Undoing::default(), Instant::now());
        assert_eq!(
            undoing.pass(occupied(), Teller::This, start),
            Some(occupied())
        );
        assert_eq!(undoing.pass(vacated(), Teller::This, start), None);
        assert_eq!(undoing.next_due(), Some(start + WAIT));
        assert_eq!(
            undoing.take_due(start + WAIT - Duration::from_millis(1)),
            None
        );
        assert_eq!(undoing.take_due(start + WAIT), Some(vacated()));
        assert_eq!((undoing.take_due(start + WAIT), undoing.len()), (None, 0));
        assert_eq!(
            undoing.pass(occupied(), Teller::This, start + WAIT),
            Some(occupied())
        );
    }

    #[test]
    fn end_that_is_undone_is_not_told_and_neither_is_the_new_beginning() {
        let (mut undoing, start) = (Undoing::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(undoing.pass(vacated(), Teller::This, start), None);
            assert_eq!(undoing.pass(occupied(), Teller::This, start), None);
        }
        assert_eq!(undoing.next_due(), None);
        undoing.pass(removed("x"), Teller::This, start);
        undoing.pass(removed("y"), Teller::This, start);
        assert_eq!(undoing.pass(added("y"), Teller::This, start), None);
        assert_eq!(
            undoing.pass(added("z"), Teller::This, start),
            Some(added("z"))
        );
        assert_eq!(undoing.take_due(start + WAIT), Some(removed("x")));
        assert_eq!(undoing.len(), 0);
    }

    /// The queue had no room for the beginning between them.
    #[test]
    fn end_that_comes_again_is_told_once_and_undone_by_one_beginning() {
        let (mut undoing, start) = (Undoing::default(), Instant::now());
        let later = start + Duration::from_secs(1);
        undoing.pass(vacated(), Teller::This, start);
        undoing.pass(vacated(), Teller::This, later);
        assert_eq!(undoing.take_due(start + WAIT), None);
        assert_eq!(undoing.take_due(later + WAIT), Some(vacated()));
        assert_eq!(undoing.take_due(later + WAIT), None);
        undoing.pass(vacated(), Teller::This, start);
        undoing.pass(vacated(), Teller::This, later);
        assert_eq!(undoing.pass(occupied(), Teller::This, later), None);
        assert_eq!((undoing.len(), undoing.bytes), (0, 0));
    }

    /// A client chooses the names of channels, and a user may have an id of 512 bytes.
    #[test]
    fn ends_that_wait_take_16_mib_at_most_however_long_their_names_are() {
        for (channel_bytes, user_characters) in [(12, 6), (200, 128)] {
            let start = Instant::now();
            let mut waiting = Undoing::default();
            let mut ends = 0;
            let memory = allocation_counter::measure(|| {
                while !waiting.is_full() {
                    let user = format!("{ends:\u{3042}>user_characters$}");
                    let end = WebhookEvent::MemberRemoved {
                        channel: "a".repeat(channel_bytes).into(),
                        user_id: user.into(),
                    };
                    waiting.pass(end, Teller::This, start);
                    ends += 1;
                }
            });
            assert!(memory.bytes_current < 18 << 20, "{memory:?}");
            assert!(waiting.bytes < BYTES_MAX + 2000, "{}", waiting.bytes);
            assert!(waiting.take_due(start + WAIT).is_some());
            assert!(!waiting.is_full());
            (1..ends).for_each(|_| _ = waiting.take_due(start + WAIT));
            assert_eq!((waiting.len(), waiting.bytes), (0, 0));
        }
    }

    #[test]
    fn miss_of_a_cache_channel_is_told_once_in_three_seconds() {
        let (mut undoing, start) = (Undoing::default(), Instant::now());
        let miss = |channel: &str| WebhookEvent::CacheMiss {
            channel: channel.into(),
        };
        assert_eq!(
            undoing.pass(miss("a"), Teller::This, start),
            Some(miss("a"))
        );
        assert_eq!(undoing.pass(miss("a"), Teller::This, start), None);
        assert_eq!(
            undoing.pass(miss("b"), Teller::This, start),
            Some(miss("b"))
        );
        assert_eq!(
            undoing.pass(miss("a"), Teller::This, start + WAIT),
            Some(miss("a"))
        );
        for number in 0..MISSES_MAX {
            undoing.pass(miss(&number.to_string()), Teller::This, start);
            assert!(undoing.misses.len() <= MISSES_MAX);
        }
    }

    #[test]
    fn end_of_one_node_is_undone_by_a_beginning_of_another_one() {
        let (mut teller, mut other, start) =
            (Undoing::default(), Undoing::default(), Instant::now());
        assert_eq!(teller.pass(vacated(), Teller::This, start), None);
        assert_eq!(other.pass(vacated(), Teller::OtherNode, start), None);
        assert_eq!(teller.pass(occupied(), Teller::OtherNode, start), None);
        assert_eq!(other.pass(occupied(), Teller::This, start), None);
        assert_eq!(
            (teller.take_due(start + WAIT), other.take_due(start + WAIT)),
            (None, None)
        );
        // The other node tells its beginning before the end would be told, and not after it.
        teller.pass(vacated(), Teller::This, start);
        other.pass(vacated(), Teller::OtherNode, start);
        let border = start + WAIT - MARGIN;
        assert_eq!(
            (teller.take_due(border), other.take_due(border)),
            (None, None)
        );
        assert_eq!(teller.pass(occupied(), Teller::OtherNode, border), None);
        assert_eq!(
            other.pass(occupied(), Teller::This, border),
            Some(occupied())
        );
        assert_eq!(teller.take_due(start + WAIT), None);
    }
}
