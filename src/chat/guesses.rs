//! How often the password of a room may be guessed: by one person, from one address, and by all together.
//!
//! | | at once | then |
//! |---|---|---|
//! | a person, and an address | [`FREE`] wrong ones | the next one after 4 s, 8 s, 16 s … up to 15 minutes, until a right one or an hour without one |
//! | the room | [`ROOM_BURST`] wrong ones | one in 10 s |
//!
//! A session costs nothing, so the address counts, too: of IPv6 the network of 64 bits that one customer has. And there are many addresses,
//! so the room counts. A guess counts as wrong from its beginning, so that many at a time do not get more; a right one takes that back. So
//! people who know the password do not wait for each other. The limit of the room is also one for who knows the password and was not let
//! in yet: an invitation helps. Whoever was let in before needs no password.
//!
//! Without a clock: times are inputs, in milliseconds. Cost: some 60 bytes for each of at most [`GUESSERS_MAX`] guessers of a room.

use std::net::{IpAddr, Ipv6Addr};

use super::sanctions::Identity;
use super::sessions::Person;

/// Wrong passwords in a row after which a guesser has to wait.
const FREE: u32 = 3;
/// The first wait. Each further wrong password doubles it.
const WAIT_MS: u64 = 4_000;
const WAIT_MS_MAX: u64 = 15 * 60 * 1000;
/// A guesser that has not guessed for so long begins anew.
const FORGOTTEN_AFTER_MS: u64 = 60 * 60 * 1000;
/// Wrong passwords of all guessers of a room that may come at once.
const ROOM_BURST: u64 = 30;
/// Then one in this time.
const ROOM_INTERVAL_MS: u64 = 10_000;
/// Beyond it the guesser that has not guessed for longest is forgotten.
const GUESSERS_MAX: usize = 512;

/// The guesses of one room.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    guessers: Vec<Guesser>,
    /// The time up to which the rate of the room is used (the generic cell rate algorithm).
    used_until: u64,
}

#[derive(Debug)]
struct Guesser {
    who: Who,
    /// 1 ≤ wrong
    wrong: u32,
    last_at: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    Person(Person),
    Address(IpAddr),
}

impl Guesses {
    /// Begins a guess, which counts as wrong. Otherwise: after how many milliseconds it may be tried again.
    pub(super) fn begin(&mut self, who: &Identity, now: u64) -> Result<(), u64> {
        self.guessers
            .retain(|guesser| now.saturating_sub(guesser.last_at) < FORGOTTEN_AFTER_MS);
        let waits = names_of(who).filter_map(|who| self.find(&who)?.wait(now));
        let latest = now.saturating_add(ROOM_BURST * ROOM_INTERVAL_MS);
        // A clock that was set back makes nobody wait for longer.
        let used_until = self.used_until.clamp(now, latest) + ROOM_INTERVAL_MS;
        let room = used_until.checked_sub(latest).filter(|wait| *wait > 0);
        if let Some(wait) = waits.chain(room).max() {
            return Err(wait);
        }
        self.used_until = used_until;
        for who in names_of(who) {
            self.count(who, now);
        }
        Ok(())
    }

    /// The guess was right.
    pub(super) fn right(&mut self, who: &Identity) {
        self.used_until = self.used_until.saturating_sub(ROOM_INTERVAL_MS);
        let is_of = |guesser: &Guesser| names_of(who).any(|who| who == guesser.who);
        self.guessers.retain(|guesser| !is_of(guesser));
    }

    /// The guess that has begun is not made after all.
    pub(super) fn take_back(&mut self, who: &Identity) {
        self.used_until = self.used_until.saturating_sub(ROOM_INTERVAL_MS);
        for who in names_of(who) {
            if let Some(guesser) = self.guessers.iter_mut().find(|one| one.who == who) {
                guesser.wrong -= 1;
            }
        }
        self.guessers.retain(|guesser| guesser.wrong > 0);
    }

    fn find(&self, who: &Who) -> Option<&Guesser> {
        self.guessers.iter().find(|guesser| guesser.who == *who)
    }

    fn count(&mut self, who: Who, now: u64) {
        if let Some(guesser) = self.guessers.iter_mut().find(|one| one.who == who) {
            guesser.wrong = guesser.wrong.saturating_add(1);
            guesser.last_at = now;
            return;
        }
        if self.guessers.len() == GUESSERS_MAX {
            let oldest = self.guessers.iter().enumerate();
            let oldest = oldest.min_by_key(|(_, guesser)| guesser.last_at);
            if let Some((index, _)) = oldest {
                self.guessers.swap_remove(index);
            }
        }
        self.guessers.push(Guesser {
            who,
            wrong: 1,
            last_at: now,
        });
    }
}

impl Guesser {
    /// How long it has to wait. `None`: not at all.
    fn wait(&self, now: u64) -> Option<u64> {
        let doublings = self.wrong.checked_sub(FREE)?;
        let factor = 1u64.checked_shl(doublings).unwrap_or(u64::MAX);
        let wait = WAIT_MS.saturating_mul(factor).min(WAIT_MS_MAX);
        let passed = now.saturating_sub(self.last_at);
        wait.checked_sub(passed).filter(|wait| *wait > 0)
    }
}

fn names_of(who: &Identity) -> impl Iterator<Item = Who> + '_ {
    let person = who.session.clone().map(Who::Person);
    let address = who.address.map(|address| Who::Address(network_of(address)));
    person.into_iter().chain(address)
}

/// An address of IPv4, or the 64 bits of IPv6 that are one customer's.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(person: &str, address: &str) -> Identity {
        Identity {
            session: (!person.is_empty()).then(|| person.into()),
            address: address.parse().ok(),
        }
    }

    /// A guesser that no other one has anything in common with.
    fn other(number: u64) -> Identity {
        who(&number.to_string(), "")
    }

    #[test]
    fn guesser_may_be_wrong_free_times_and_waits_twice_as_long_after_each_further_one() {
        let mut guesses = Guesses::default();
        let bo = who("bo", "192.0.2.1");
        let mut now = 1_000_000;
        for _ in 0..FREE {
            assert_eq!(guesses.begin(&bo, now), Ok(()));
        }
        for wait in [4_000, 8_000, 16_000] {
            assert_eq!(guesses.begin(&bo, now), Err(wait));
            assert_eq!(guesses.begin(&bo, now + wait - 1), Err(1));
            now += wait;
            assert_eq!(guesses.begin(&bo, now), Ok(()));
        }
        for _ in 0..60 {
            now += WAIT_MS_MAX;
            assert_eq!(guesses.begin(&bo, now), Ok(()));
        }
        assert_eq!(guesses.begin(&bo, now), Err(WAIT_MS_MAX));
        assert_eq!(guesses.begin(&bo, now + FORGOTTEN_AFTER_MS), Ok(()));
        assert_eq!(guesses.begin(&bo, now + FORGOTTEN_AFTER_MS), Ok(()));
    }

    #[test]
    fn neither_a_new_session_nor_another_address_of_the_network_begins_anew() {
        let mut guesses = Guesses::default();
        for number in 0..u64::from(FREE) {
            let person = number.to_string();
            assert_eq!(guesses.begin(&who(&person, "2001:db8::1"), 0), Ok(()));
        }
        assert_eq!(guesses.begin(&who("new", "2001:db8::9:9"), 0), Err(WAIT_MS));
        assert_eq!(guesses.begin(&who("new", "2001:db8:0:1::1"), 0), Ok(()));
        // And a person is the same behind another address.
        for _ in 1..FREE {
            assert_eq!(guesses.begin(&who("new", ""), 0), Ok(()));
        }
        assert_eq!(guesses.begin(&who("new", "192.0.2.7"), 0), Err(WAIT_MS));
        assert_eq!(
            network_of("::ffff:192.0.2.7".parse().unwrap()).to_string(),
            "192.0.2.7"
        );
    }

    #[test]
    fn room_takes_room_burst_wrong_ones_and_then_one_in_each_interval() {
        let mut guesses = Guesses::default();
        let now = 1_000_000;
        for number in 0..ROOM_BURST {
            assert_eq!(guesses.begin(&other(number), now), Ok(()));
        }
        assert_eq!(guesses.begin(&other(99), now), Err(ROOM_INTERVAL_MS));
        assert_eq!(
            guesses.begin(&other(99), now + ROOM_INTERVAL_MS - 1),
            Err(1)
        );
        assert_eq!(guesses.begin(&other(99), now + ROOM_INTERVAL_MS), Ok(()));
        assert_eq!(
            guesses.begin(&other(98), now + ROOM_INTERVAL_MS),
            Err(ROOM_INTERVAL_MS)
        );
        // A clock that was set back locks nobody out for longer than the burst takes.
        assert_eq!(guesses.begin(&other(97), 0), Err(ROOM_INTERVAL_MS));
    }

    #[test]
    fn right_passwords_and_those_that_were_not_compared_do_not_count() {
        let mut guesses = Guesses::default();
        for number in 0..3 * ROOM_BURST {
            assert_eq!(guesses.begin(&other(number), 0), Ok(()));
            match number % 2 {
                0 => guesses.right(&other(number)),
                _ => guesses.take_back(&other(number)),
            }
        }
        assert!(guesses.guessers.is_empty());
        let bo = who("bo", "");
        for _ in 0..FREE {
            assert_eq!(guesses.begin(&bo, 0), Ok(()));
        }
        guesses.right(&bo);
        assert_eq!(guesses.begin(&bo, 0), Ok(()));
    }

    #[test]
    fn room_remembers_guessers_max_and_forgets_the_oldest() {
        let mut guesses = Guesses::default();
        for number in 0..=GUESSERS_MAX as u64 {
            guesses.count(Who::Person(number.to_string().into()), number);
        }
        assert_eq!(guesses.guessers.len(), GUESSERS_MAX);
        let knows = |number: usize| {
            guesses
                .find(&Who::Person(number.to_string().into()))
                .is_some()
        };
        assert!(!knows(0) && knows(1) && knows(GUESSERS_MAX));
    }
}
