//! Who may not write in a room, or not enter it, and until when.
//!
//! A sanction is on a person: by its session, and without one by its address. A ban is also on the address, because a new session costs
//! nothing. So a ban can meet other people behind the same address, and it ends by itself after at most 24 hours.
//!
//! A sanction that was lifted is remembered until its time would have been over, so that nodes of a cluster know which of two decisions is the later one.
//!
//! Without a clock: the time is an input, in milliseconds since 1970-01-01 UTC. A room has at most [`SANCTIONS_MAX`]; the one that ends
//! first makes room for a further one.

use std::net::IpAddr;

use super::room_record::SanctionRecord;
use super::sessions::Person;

/// Of one room.
pub(super) const SANCTIONS_MAX: usize = 256;
/// The longest time.
pub(super) const SANCTION_SECONDS_MAX: u64 = 24 * 3600;

/// Who a person is for sanctions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// `None`: the connection is a person of its own.
    pub(super) session: Option<Person>,
    pub(super) address: Option<IpAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sanction {
    /// May read.
    Mute,
    /// May not enter.
    Ban,
}

#[derive(Debug, Default)]
pub(super) struct Sanctions(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    who: Identity,
    sanction: Sanction,
    until: u64,
    at: u64,
    /// until ≤ kept_until
    kept_until: u64,
}

/// A decision, and those that are forgotten with it because they are over.
#[derive(Debug, Default)]
pub(super) struct Decided {
    pub(super) decision: Option<SanctionRecord>,
    pub(super) over: Vec<SanctionRecord>,
}

/// What a decision is beside the one that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    Newer,
    Same,
    Older,
}

impl Age {
    /// Of what tells decisions apart, their times first. `None`: nothing is known.
    pub(super) fn of<T: Ord>(at: T, known: Option<T>) -> Age {
        match known {
            Some(known) if known > at => Age::Older,
            Some(known) if known == at => Age::Same,
            _ => Age::Newer,
        }
    }
}

impl Sanctions {
    /// Adds a sanction, or changes its end. An end in the past lifts it.
    pub(super) fn set(
        &mut self,
        who: &Identity,
        sanction: Sanction,
        until: u64,
        now: u64,
    ) -> Decided {
        let mut entry = Entry {
            who: who.clone(),
            sanction,
            until,
            at: now,
            kept_until: until,
        };
        if let Some(known) = self.0.iter().find(|known| known.is_same(&entry)) {
            entry.kept_until = entry.kept_until.max(known.kept_until);
        }
        self.put(entry, now)
    }

    /// Another node has decided this, or this node before.
    pub(super) fn learn(&mut self, record: &SanctionRecord, now: u64) -> Age {
        let entry = Entry::of(record.clone());
        let known = self.0.iter().find(|known| known.is_same(&entry));
        let age = Age::of(
            (entry.at, entry.until),
            known.map(|known| (known.at, known.until)),
        );
        if age == Age::Newer {
            self.put(entry, now);
        }
        age
    }

    fn put(&mut self, entry: Entry, now: u64) -> Decided {
        let mut decided = Decided::default();
        self.0.retain(|known| {
            if known.is_same(&entry) {
                return false;
            }
            let stays = known.kept_until > now;
            if !stays {
                decided.over.push(known.record());
            }
            stays
        });
        if entry.kept_until <= now {
            return decided;
        }
        if self.0.len() == SANCTIONS_MAX {
            let first = self
                .0
                .iter()
                .enumerate()
                .min_by_key(|(_, entry)| entry.kept_until);
            if let Some(first) = first.map(|(index, _)| index) {
                decided.over.push(self.0.swap_remove(first).record());
            }
        }
        decided.decision = Some(entry.record());
        self.0.push(entry);
        decided
    }

    pub(super) fn record(&self) -> Vec<SanctionRecord> {
        self.0.iter().map(Entry::record).collect()
    }

    /// The sanctions of a record.
    pub(super) fn of(record: Vec<SanctionRecord>) -> Sanctions {
        let first = record.into_iter().take(SANCTIONS_MAX);
        Sanctions(first.map(Entry::of).collect())
    }

    /// Until when this person is muted. 0: it is not.
    pub(super) fn muted_until(&self, who: &Identity, now: u64) -> u64 {
        self.until(now, |entry| {
            entry.sanction == Sanction::Mute && entry.is_on_person(who)
        })
    }

    /// Until when this person may not enter. 0: it may.
    pub(super) fn banned_until(&self, who: &Identity, now: u64) -> u64 {
        self.until(now, |entry| {
            let same_address = entry.who.address.is_some() && entry.who.address == who.address;
            entry.sanction == Sanction::Ban && (entry.is_on_person(who) || same_address)
        })
    }

    /// When it was decided last that this person is banned, or not any more.
    pub(super) fn banned_at(&self, person: &Person) -> Option<u64> {
        let is_ban = |entry: &&Entry| {
            entry.sanction == Sanction::Ban && entry.who.session.as_ref() == Some(person)
        };
        self.0.iter().find(is_ban).map(|entry| entry.at)
    }

    fn until(&self, now: u64, matches: impl Fn(&Entry) -> bool) -> u64 {
        let found = self
            .0
            .iter()
            .filter(|entry| entry.until > now && matches(entry));
        found.map(|entry| entry.until).max().unwrap_or(0)
    }
}

impl Entry {
    fn of(record: SanctionRecord) -> Entry {
        Entry {
            who: Identity {
                session: record.person,
                address: record.address,
            },
            sanction: match record.is_ban {
                true => Sanction::Ban,
                false => Sanction::Mute,
            },
            until: record.until,
            at: record.at,
            kept_until: record.kept_until.max(record.until),
        }
    }

    fn record(&self) -> SanctionRecord {
        SanctionRecord {
            person: self.who.session.clone(),
            address: self.who.address,
            is_ban: self.sanction == Sanction::Ban,
            until: self.until,
            at: self.at,
            kept_until: self.kept_until,
        }
    }

    fn is_on_person(&self, who: &Identity) -> bool {
        self.who.is_same_person(who)
    }

    /// It takes the place of the other one.
    fn is_same(&self, other: &Entry) -> bool {
        self.sanction == other.sanction && self.is_on_person(&other.who)
    }
}

impl Identity {
    /// The same session, or the same address if neither has one.
    pub(super) fn is_same_person(&self, other: &Identity) -> bool {
        match (&self.session, &other.session) {
            (Some(one), Some(other)) => one == other,
            (None, None) => self.address.is_some() && self.address == other.address,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(session: &str, host: u8) -> Identity {
        Identity {
            session: (!session.is_empty()).then(|| session.into()),
            address: Some(IpAddr::from([192, 0, 2, host])),
        }
    }

    #[test]
    fn mute_is_on_the_session_and_without_one_on_the_address() {
        let mut sanctions = Sanctions::default();
        sanctions.set(&person("a", 1), Sanction::Mute, 500, 0);
        assert_eq!(sanctions.muted_until(&person("a", 2), 499), 500);
        assert_eq!(sanctions.muted_until(&person("a", 1), 500), 0);
        assert_eq!(sanctions.muted_until(&person("b", 1), 0), 0);
        assert_eq!(sanctions.banned_until(&person("a", 1), 0), 0);
        sanctions.set(&person("", 3), Sanction::Mute, 500, 0);
        assert_eq!(sanctions.muted_until(&person("", 3), 0), 500);
        assert_eq!(sanctions.muted_until(&person("c", 3), 0), 0);
    }

    #[test]
    fn ban_is_also_on_the_address() {
        let mut sanctions = Sanctions::default();
        sanctions.set(&person("a", 1), Sanction::Ban, 500, 0);
        assert_eq!(sanctions.banned_until(&person("b", 1), 0), 500);
        assert_eq!(sanctions.banned_until(&person("a", 2), 0), 500);
        assert_eq!(sanctions.banned_until(&person("b", 2), 0), 0);
    }

    #[test]
    fn later_sanction_replaces_the_earlier_one_and_an_end_in_the_past_lifts_it() {
        let mut sanctions = Sanctions::default();
        for until in [500, 300] {
            sanctions.set(&person("a", 1), Sanction::Mute, until, 0);
        }
        assert_eq!(sanctions.muted_until(&person("a", 1), 0), 300);
        sanctions.set(&person("a", 1), Sanction::Mute, 0, 100);
        assert_eq!(sanctions.muted_until(&person("a", 1), 100), 0);
        // It is forgotten when the first decision would have been over.
        sanctions.set(&person("b", 1), Sanction::Mute, 900, 499);
        assert_eq!(sanctions.0.len(), 2);
        let decided = sanctions.set(&person("b", 1), Sanction::Mute, 900, 500);
        assert_eq!((sanctions.0.len(), decided.over.len()), (1, 1));
        // What nobody has decided is not lifted.
        let decided = sanctions.set(&person("c", 1), Sanction::Mute, 0, 500);
        assert!(decided.decision.is_none());
    }

    #[test]
    fn later_decision_counts_in_whichever_order_nodes_learn_them() {
        let decide = |until, now| {
            let decided = Sanctions::default().set(&person("a", 1), Sanction::Ban, until, now);
            decided.decision.expect("it is not over")
        };
        let [ban, longer] = [decide(500, 1), decide(900, 2)];
        for order in [[&ban, &longer, &ban], [&longer, &ban, &longer]] {
            let mut sanctions = Sanctions::default();
            let ages = order.map(|decision| sanctions.learn(decision, 3));
            assert_eq!(ages[0], Age::Newer);
            assert_eq!(
                ages[2],
                if order[2] == &ban {
                    Age::Older
                } else {
                    Age::Same
                }
            );
            assert_eq!(sanctions.banned_until(&person("b", 1), 3), 900);
        }
        let mut sanctions = Sanctions::default();
        sanctions.learn(&longer, 3);
        let lifted = sanctions.set(&person("a", 1), Sanction::Ban, 0, 4);
        let lifted = lifted.decision.expect("it is remembered");
        let mut other = Sanctions::default();
        for decision in [&lifted, &longer, &ban] {
            other.learn(decision, 5);
        }
        assert_eq!(other.banned_until(&person("a", 1), 5), 0);
    }

    #[test]
    fn room_has_sanctions_max_and_the_one_that_ends_first_makes_room() {
        let mut sanctions = Sanctions::default();
        for number in 0..=SANCTIONS_MAX {
            let who = person(&number.to_string(), 1);
            sanctions.set(&who, Sanction::Mute, 1000 + number as u64, 0);
        }
        assert_eq!(sanctions.0.len(), SANCTIONS_MAX);
        assert_eq!(sanctions.muted_until(&person("0", 1), 0), 0);
        assert_eq!(sanctions.muted_until(&person("1", 1), 0), 1001);
    }
}
