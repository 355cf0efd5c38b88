//! Who may not write in a room, or not enter it, and until when.
//!
//! A sanction is on a person: by its session, and without one by its address. A ban is also on the address, because a new session costs
//! nothing. So a ban can meet other people behind the same address, and it ends by itself after at most 24 hours.
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
}

impl Sanctions {
    /// Adds a sanction, or changes its end. An end in the past removes it.
    pub(super) fn set(&mut self, who: &Identity, sanction: Sanction, until: u64, now: u64) {
        self.0.retain(|entry| {
            entry.until > now && !(entry.sanction == sanction && entry.is_on_person(who))
        });
        if until <= now {
            return;
        }
        if self.0.len() == SANCTIONS_MAX {
            let first = self
                .0
                .iter()
                .enumerate()
                .min_by_key(|(_, entry)| entry.until);
            if let Some(first) = first.map(|(index, _)| index) {
                self.0.swap_remove(first);
            }
        }
        self.0.push(Entry {
            who: who.clone(),
            sanction,
            until,
        });
    }

    pub(super) fn record(&self) -> Vec<SanctionRecord> {
        let record = |entry: &Entry| SanctionRecord {
            person: entry.who.session.clone(),
            address: entry.who.address,
            is_ban: entry.sanction == Sanction::Ban,
            until: entry.until,
        };
        self.0.iter().map(record).collect()
    }

    /// The sanctions of a record.
    pub(super) fn of(record: Vec<SanctionRecord>) -> Sanctions {
        let entry = |record: SanctionRecord| Entry {
            who: Identity {
                session: record.person,
                address: record.address,
            },
            sanction: match record.is_ban {
                true => Sanction::Ban,
                false => Sanction::Mute,
            },
            until: record.until,
        };
        Sanctions(record.into_iter().take(SANCTIONS_MAX).map(entry).collect())
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

    fn until(&self, now: u64, matches: impl Fn(&Entry) -> bool) -> u64 {
        let found = self
            .0
            .iter()
            .filter(|entry| entry.until > now && matches(entry));
        found.map(|entry| entry.until).max().unwrap_or(0)
    }
}

impl Entry {
    fn is_on_person(&self, who: &Identity) -> bool {
        match (&self.who.session, &who.session) {
            (Some(one), Some(other)) => one == other,
            (None, None) => self.who.address.is_some() && self.who.address == who.address,
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
    fn later_sanction_replaces_the_earlier_one_and_an_end_in_the_past_removes_it() {
        let mut sanctions = Sanctions::default();
        for until in [500, 300] {
            sanctions.set(&person("a", 1), Sanction::Mute, until, 0);
        }
        assert_eq!(sanctions.muted_until(&person("a", 1), 0), 300);
        sanctions.set(&person("a", 1), Sanction::Mute, 0, 100);
        assert!(sanctions.0.is_empty());
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
