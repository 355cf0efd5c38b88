//! What a room has beyond its members: who may enter it, who moderates it, who may not write in it.
//!
//! A room that a person has created has a visibility:
//!
//! | visibility | is in the list of rooms | who may enter |
//! |---|---|---|
//! | listed | yes | everybody |
//! | unlisted | no | everybody who knows its name |
//! | private | no | with its password, with an invitation, or with a session that was let in before |
//!
//! Its creator moderates it. Other rooms, which exist because somebody has entered them, are listed and have no creator. Operators moderate
//! all rooms.
//!
//! The messages of a private room are published under a name that nobody can guess (`/private/` and 128 random bits). So a person who is not
//! admitted cannot subscribe to them, and when the room has ended, a new room of its name does not have its past.
//!
//! # Other nodes
//!
//! The rules are *facts* ([`Fact`]): the room was created, a session was let in, a person is banned. Each one has its time, and of two that are
//! about the same the later one counts; a room that two nodes have created at once is that of the earlier one. So all nodes come to the same
//! rules, in whatever order they learn the facts. [`Rules::take_untold`] has those that this node has decided.
//!
//! Without a clock: times are inputs, in milliseconds since 1970-01-01 UTC.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::guesses::Guesses;
use super::invitations::InvitationKey;
use super::nodes::{Admitted, Fact, Slow};
use super::passwords::HashedPassword;
use super::protocol::Visibility;
use super::room_record::{Bytes, RoomRecord, SanctionRecord};
use super::sanctions::{Age, Identity, Sanction, Sanctions};
use super::sessions::Person;

/// Sessions that a private room remembers to have let in. Beyond it the oldest one needs the password again.
const ADMITTED_MAX: usize = 4096;

/// The rules of one room.
#[derive(Debug, Default)]
pub(super) struct Rules {
    created: Option<Created>,
    sanctions: Sanctions,
    /// Of its password. They are not kept.
    pub(super) guesses: Guesses,
    /// Seconds between two messages of a person. All persons share it.
    slow_seconds: Arc<AtomicU64>,
    /// When the slow mode was set. 0: never.
    slow_at: u64,
    /// They are not as they were kept.
    is_changed: bool,
    /// What the other nodes do not know yet.
    untold: Vec<Untold>,
}

/// What this node has decided.
#[derive(Debug)]
pub(super) enum Untold {
    /// It is so now.
    Fact(Fact),
    /// It is not so any more.
    Over(Fact),
}

/// What the creator of a room has decided, and what a private room needs.
#[derive(Debug)]
struct Created {
    /// The creator.
    owner: Person,
    visibility: Visibility,
    /// `None`: invitations only.
    password: Option<Arc<HashedPassword>>,
    key: InvitationKey,
    key_at: u64,
    secret: [u8; 16],
    at: u64,
    /// Under this name a private room is published: it has the secret.
    topic: Box<str>,
    /// Sessions that were let in, the oldest first.
    admitted: VecDeque<Admission>,
}

/// A session that was let in.
#[derive(Debug)]
struct Admission {
    person: Person,
    /// When, in milliseconds since 1970-01-01 UTC.
    at: u64,
}

/// What a room is created with.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) owner: Person,
    pub(super) visibility: Visibility,
    pub(super) password: Option<Arc<HashedPassword>>,
    pub(super) key: [u8; 32],
    pub(super) secret: [u8; 16],
    /// Milliseconds since 1970-01-01 UTC.
    pub(super) at: u64,
}

/// Whether somebody may enter a room.
#[derive(Clone, Debug)]
pub(super) enum Entrance {
    Open,
    /// With this password. `None`: the room has none, and lets nobody in without an invitation.
    Closed(Option<Arc<HashedPassword>>),
    Banned,
}

impl Rules {
    pub(super) fn of(creation: Creation) -> Rules {
        let mut rules = Rules {
            created: Some(Created::of(creation)),
            is_changed: true,
            ..Rules::default()
        };
        rules.tell_created();
        rules
    }

    /// Those of a room that was kept.
    pub(super) fn kept(record: RoomRecord) -> Rules {
        Rules {
            created: Some(Created::kept(&record)),
            sanctions: Sanctions::of(record.sanctions),
            slow_seconds: Arc::new(record.slow_seconds.into()),
            slow_at: record.slow_at,
            ..Rules::default()
        }
    }

    /// What the other nodes do not know yet. It is expected to be told then.
    pub(super) fn take_untold(&mut self) -> Vec<Untold> {
        std::mem::take(&mut self.untold)
    }

    fn tell_created(&mut self) {
        let fact = self.created.as_ref().map(Created::record);
        let fact = fact.map(|record| Untold::Fact(Fact::Created(Box::new(record))));
        self.untold.extend(fact);
    }

    /// Everything that another node must know to have the same rules.
    pub(super) fn facts(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        if let Some(created) = &self.created {
            facts.push(Fact::Created(Box::new(created.record())));
            let admitted = created.admitted.iter();
            facts.extend(admitted.map(|admission| created.admitted(admission)));
        }
        facts.extend(self.sanctions.record().into_iter().map(Fact::Sanction));
        facts.extend(self.slow().map(Fact::Slow));
        facts
    }

    fn slow(&self) -> Option<Slow> {
        (self.slow_at > 0).then(|| Slow {
            seconds: self.slow_seconds.load(Ordering::Relaxed),
            at: self.slow_at,
        })
    }

    /// Whether they are to be kept anew, which is then expected.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// What is kept of a created room, without its topic. `None`: nobody has created it.
    pub(super) fn record(&self) -> Option<RoomRecord> {
        let created = self.created.as_ref()?;
        Some(RoomRecord {
            admitted: created.persons().cloned().collect(),
            sanctions: self.sanctions.record(),
            slow_seconds: self.slow_seconds.load(Ordering::Relaxed),
            slow_at: self.slow_at,
            ..created.record()
        })
    }

    /// Whether the room is kept without members.
    pub(super) fn is_created(&self) -> bool {
        self.created.is_some()
    }

    pub(super) fn visibility(&self) -> Visibility {
        let created = self.created.as_ref();
        created.map_or(Visibility::Listed, |created| created.visibility)
    }

    /// The name under which a private room is published.
    pub(super) fn private_topic(&self) -> Option<&str> {
        let created = self.created.as_ref()?;
        (created.visibility == Visibility::Private).then_some(&*created.topic)
    }

    pub(super) fn is_owner(&self, session: Option<&str>) -> bool {
        let owner = self.created.as_ref().map(|created| &*created.owner);
        owner.is_some_and(|owner| Some(owner) == session)
    }

    /// Whether this person may enter. A valid invitation lets its session in for good.
    pub(super) fn entrance(
        &mut self,
        who: &Identity,
        is_operator: bool,
        invitation: Option<&str>,
        now: u64,
    ) -> Entrance {
        let is_moderator = is_operator || self.is_owner(who.session.as_deref());
        if !is_moderator && self.sanctions.banned_until(who, now) > 0 {
            return Entrance::Banned;
        }
        let Some(created) = &self.created else {
            return Entrance::Open;
        };
        let session = who.session.as_ref();
        let is_admitted = session.is_some_and(|session| created.has_admitted(session));
        if created.visibility != Visibility::Private || is_moderator || is_admitted {
            return Entrance::Open;
        }
        if invitation.is_some_and(|invitation| created.key.accepts(invitation, now / 1000)) {
            self.admit(session.cloned(), now);
            return Entrance::Open;
        }
        Entrance::Closed(created.password.clone())
    }

    /// This session was let in, and need not show the password again.
    pub(super) fn admit(&mut self, session: Option<Person>, now: u64) {
        let (Some(created), Some(person)) = (&mut self.created, session) else {
            return;
        };
        if created.has_admitted(&person) {
            return;
        }
        let admission = Admission { person, at: now };
        self.untold.push(Untold::Fact(created.admitted(&admission)));
        let oldest = created.admit(admission);
        let over = oldest.map(|oldest| Untold::Over(created.admitted(&oldest)));
        self.untold.extend(over);
        self.is_changed = true;
    }

    /// An invitation up to this time, in seconds. `None`: the room is not private.
    pub(super) fn invitation(&self, until: u64) -> Option<String> {
        self.private_topic()?;
        let created = self.created.as_ref()?;
        Some(created.key.invitation(until))
    }

    /// Makes all invitations void. Returns whether the room is private.
    pub(super) fn revoke_invitations(&mut self, key: [u8; 32], now: u64) -> bool {
        if self.private_topic().is_none() {
            return false;
        }
        if let Some(created) = &mut self.created {
            created.key = InvitationKey::new(key);
            created.key_at = now;
        }
        self.is_changed = true;
        self.tell_created();
        true
    }

    /// Sets or ends a sanction. A person that is banned from a private room needs the password again.
    pub(super) fn sanction(&mut self, who: &Identity, sanction: Sanction, until: u64, now: u64) {
        let decided = self.sanctions.set(who, sanction, until, now);
        self.is_changed = true;
        let over = decided.over.into_iter().map(Fact::Sanction);
        self.untold.extend(over.map(Untold::Over));
        if let Some(decision) = decided.decision {
            self.forget_banned(&decision);
            self.untold.push(Untold::Fact(Fact::Sanction(decision)));
        }
    }

    /// A person that was banned after it was let in is not let in any more.
    fn forget_banned(&mut self, decision: &SanctionRecord) {
        let Some(created) = self.created.as_mut().filter(|_| decision.is_ban) else {
            return;
        };
        let is_over = |admission: &Admission| {
            Some(&admission.person) == decision.person.as_ref() && admission.at <= decision.at
        };
        let at = created.admitted.iter().position(is_over);
        if let Some(over) = at.and_then(|at| created.admitted.remove(at)) {
            self.untold.push(Untold::Over(created.admitted(&over)));
        }
    }

    pub(super) fn muted_until(&self, who: &Identity, now: u64) -> u64 {
        self.sanctions.muted_until(who, now)
    }

    pub(super) fn slow_seconds(&self) -> &Arc<AtomicU64> {
        &self.slow_seconds
    }

    pub(super) fn set_slow_seconds(&mut self, seconds: u64, now: u64) {
        self.is_changed = true;
        self.slow_seconds.store(seconds, Ordering::Relaxed);
        self.slow_at = now;
        self.untold
            .extend(self.slow().map(Fact::Slow).map(Untold::Fact));
    }
}

// What other nodes have decided.
impl Rules {
    /// A node has created the room, or made its invitations void.
    pub(super) fn learn_created(&mut self, record: &RoomRecord) -> Age {
        let known = self.created.as_mut();
        let age = match known {
            Some(known) if known.secret == record.secret.0 => {
                let age = Age::of(record.key_at, Some(known.key_at));
                if age == Age::Newer {
                    known.key = InvitationKey::new(record.key.0);
                    known.key_at = record.key_at;
                }
                age
            }
            // The first room of a name stays.
            Some(known) if (known.at, known.secret) < (record.created_at, record.secret.0) => {
                Age::Older
            }
            known => {
                if let Some(known) = known {
                    let over = known.admitted.iter().map(|over| known.admitted(over));
                    self.untold.extend(over.map(Untold::Over));
                }
                self.created = Some(Created::kept(record));
                Age::Newer
            }
        };
        self.is_changed |= age == Age::Newer;
        age
    }

    /// A node has let a session in. It has not if the person was banned later.
    pub(super) fn learn_admitted(&mut self, admitted: &Admitted) -> Age {
        let banned_at = self.sanctions.banned_at(&admitted.person);
        let Some(created) = &mut self.created else {
            return Age::Older;
        };
        let is_of_room = created.secret == admitted.secret.0;
        if !is_of_room || banned_at.is_some_and(|at| at >= admitted.at) {
            return Age::Older;
        }
        let mut known = created.admitted.iter_mut();
        let known = known.find(|known| known.person == admitted.person);
        let age = Age::of(admitted.at, known.as_ref().map(|known| known.at));
        if age != Age::Newer {
            return age;
        }
        match known {
            Some(known) => known.at = admitted.at,
            None => drop(created.admit(Admission {
                person: admitted.person.clone(),
                at: admitted.at,
            })),
        }
        self.is_changed = true;
        Age::Newer
    }

    pub(super) fn learn_sanction(&mut self, record: &SanctionRecord, now: u64) -> Age {
        let age = self.sanctions.learn(record, now);
        if age == Age::Newer {
            self.is_changed = true;
            self.forget_banned(record);
        }
        age
    }

    pub(super) fn learn_slow(&mut self, slow: Slow) -> Age {
        let seconds = self.slow_seconds.load(Ordering::Relaxed);
        let age = Age::of((slow.at, slow.seconds), Some((self.slow_at, seconds)));
        if age == Age::Newer {
            self.slow_seconds.store(slow.seconds, Ordering::Relaxed);
            self.slow_at = slow.at;
            self.is_changed = true;
        }
        age
    }

    /// Whether the room is the one with this secret.
    pub(super) fn has_secret(&self, secret: Bytes<16>) -> bool {
        let created = self.created.as_ref();
        created.is_some_and(|created| created.secret == secret.0)
    }

    /// What a node knows that has the room with this name: whether it is that of another one.
    pub(super) fn secret(&self) -> Option<Bytes<16>> {
        self.created.as_ref().map(|created| Bytes(created.secret))
    }
}

impl Created {
    fn of(creation: Creation) -> Created {
        let mut topic = PRIVATE_PREFIX.to_owned();
        for byte in creation.secret {
            topic.push_str(&format!("{byte:02x}"));
        }
        Created {
            owner: creation.owner,
            visibility: creation.visibility,
            password: creation.password,
            key: InvitationKey::new(creation.key),
            key_at: creation.at,
            secret: creation.secret,
            at: creation.at,
            topic: topic.into(),
            admitted: VecDeque::new(),
        }
    }

    fn kept(record: &RoomRecord) -> Created {
        let password = record.password.as_ref().map(HashedPassword::of);
        let admitted = record.admitted.iter().take(ADMITTED_MAX);
        let admission = |person: &Person| Admission {
            person: person.clone(),
            at: record.created_at,
        };
        Created {
            admitted: admitted.map(admission).collect(),
            key_at: record.key_at,
            ..Created::of(Creation {
                owner: record.owner.clone(),
                visibility: record.visibility,
                password: password.map(Arc::new),
                key: record.key.0,
                secret: record.secret.0,
                at: record.created_at,
            })
        }
    }

    /// What does not change with its members and its moderators.
    fn record(&self) -> RoomRecord {
        RoomRecord {
            owner: self.owner.clone(),
            visibility: self.visibility,
            password: self.password.as_ref().map(|password| password.record()),
            key: Bytes(self.key.bytes()),
            key_at: self.key_at,
            secret: Bytes(self.secret),
            created_at: self.at,
            admitted: Vec::new(),
            sanctions: Vec::new(),
            slow_seconds: 0,
            slow_at: 0,
            topic: None,
            topic_revision: 0,
        }
    }

    fn persons(&self) -> impl Iterator<Item = &Person> {
        self.admitted.iter().map(|admission| &admission.person)
    }

    fn has_admitted(&self, person: &Person) -> bool {
        self.persons().any(|admitted| admitted == person)
    }

    /// Returns the one that is forgotten instead.
    fn admit(&mut self, admission: Admission) -> Option<Admission> {
        let is_full = self.admitted.len() == ADMITTED_MAX;
        let oldest = is_full.then(|| self.admitted.pop_front()).flatten();
        self.admitted.push_back(admission);
        oldest
    }

    fn admitted(&self, admission: &Admission) -> Fact {
        Fact::Admitted(Admitted {
            secret: Bytes(self.secret),
            person: admission.person.clone(),
            at: admission.at,
        })
    }
}

/// The rooms of the chat and those of `/broadcast` are topics of one server; the path
/// distinguishes them.
pub(super) const TOPIC_PREFIX: &str = "/chat/";
/// The server's names of private rooms begin with it.
pub(super) const PRIVATE_PREFIX: &str = "/private/";

#[cfg(test)]
mod tests {
    use super::*;

    fn private() -> Rules {
        Rules::of(Creation {
            owner: "owner".into(),
            visibility: Visibility::Private,
            password: None,
            key: [1; 32],
            secret: [2; 16],
            at: 7,
        })
    }

    fn person(session: &str) -> Identity {
        Identity {
            session: Some(session.into()),
            address: None,
        }
    }

    fn may_enter(rules: &mut Rules, session: &str, invitation: Option<&str>, now: u64) -> bool {
        let entrance = rules.entrance(&person(session), false, invitation, now);
        matches!(entrance, Entrance::Open)
    }

    #[test]
    fn private_room_lets_in_its_owner_an_operator_and_who_was_let_in_before() {
        let mut rules = private();
        assert!(may_enter(&mut rules, "owner", None, 0));
        assert!(!may_enter(&mut rules, "guest", None, 0));
        let operator = rules.entrance(&person("guest"), true, None, 0);
        assert!(matches!(operator, Entrance::Open));
        rules.admit(Some("guest".into()), 0);
        assert!(may_enter(&mut rules, "guest", None, 0));
        assert_eq!(
            rules.private_topic(),
            Some("/private/02020202020202020202020202020202")
        );
    }

    #[test]
    fn invitation_lets_a_session_in_for_good_until_it_is_revoked_or_has_ended() {
        let mut rules = private();
        let invitation = rules.invitation(100).expect("private");
        assert!(!may_enter(&mut rules, "late", Some(&invitation), 100_000));
        assert!(may_enter(&mut rules, "guest", Some(&invitation), 99_999));
        assert!(rules.revoke_invitations([9; 32], 50));
        assert!(!may_enter(&mut rules, "other", Some(&invitation), 0));
        assert!(may_enter(&mut rules, "guest", None, 200_000));
        assert!(Rules::default().invitation(100).is_none());
    }

    #[test]
    fn banned_person_is_not_let_in_and_needs_the_password_again_later() {
        let mut rules = private();
        rules.admit(Some("guest".into()), 0);
        rules.sanction(&person("guest"), Sanction::Ban, 500, 0);
        let banned = rules.entrance(&person("guest"), false, None, 499);
        assert!(matches!(banned, Entrance::Banned));
        let later = rules.entrance(&person("guest"), false, None, 500);
        assert!(matches!(later, Entrance::Closed(None)));
    }

    #[test]
    fn room_remembers_admitted_max_sessions() {
        let mut rules = private();
        for number in 0..=ADMITTED_MAX {
            rules.admit(Some(number.to_string().into()), 0);
        }
        assert!(!may_enter(&mut rules, "0", None, 0));
        assert!(may_enter(&mut rules, "1", None, 0));
        assert!(may_enter(&mut rules, &ADMITTED_MAX.to_string(), None, 0));
    }
}
