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
//! Without a clock: times are inputs, in milliseconds since 1970-01-01 UTC.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::guesses::Guesses;
use super::invitations::InvitationKey;
use super::passwords::HashedPassword;
use super::protocol::Visibility;
use super::room_record::{Bytes, RoomRecord};
use super::sanctions::{Identity, Sanction, Sanctions};
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
    /// They are not as they were kept.
    is_changed: bool,
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
    secret: [u8; 16],
    /// Under this name a private room is published: it has the secret.
    topic: Box<str>,
    /// Sessions that were let in, the oldest first.
    admitted: VecDeque<Person>,
}

/// What a room is created with.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) owner: Person,
    pub(super) visibility: Visibility,
    pub(super) password: Option<Arc<HashedPassword>>,
    pub(super) key: [u8; 32],
    pub(super) secret: [u8; 16],
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
        Rules {
            created: Some(Created::of(creation)),
            is_changed: true,
            ..Rules::default()
        }
    }

    /// Those of a room that was kept.
    pub(super) fn kept(record: RoomRecord) -> Rules {
        let password = record.password.as_ref().map(HashedPassword::of);
        let creation = Creation {
            owner: record.owner,
            visibility: record.visibility,
            password: password.map(Arc::new),
            key: record.key.0,
            secret: record.secret.0,
        };
        let admitted = record.admitted.into_iter().take(ADMITTED_MAX);
        let created = Created {
            admitted: admitted.collect(),
            ..Created::of(creation)
        };
        Rules {
            created: Some(created),
            sanctions: Sanctions::of(record.sanctions),
            slow_seconds: Arc::new(record.slow_seconds.into()),
            ..Rules::default()
        }
    }

    /// Whether they are to be kept anew, which is then expected.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// What is kept of a created room, without its topic. `None`: nobody has created it.
    pub(super) fn record(&self) -> Option<RoomRecord> {
        let created = self.created.as_ref()?;
        Some(RoomRecord {
            owner: created.owner.clone(),
            visibility: created.visibility,
            password: created.password.as_ref().map(|password| password.record()),
            key: Bytes(created.key.bytes()),
            secret: Bytes(created.secret),
            admitted: created.admitted.iter().cloned().collect(),
            sanctions: self.sanctions.record(),
            slow_seconds: self.slow_seconds.load(Ordering::Relaxed),
            topic: None,
            topic_revision: 0,
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
        let is_admitted = session.is_some_and(|session| created.admitted.contains(session));
        if created.visibility != Visibility::Private || is_moderator || is_admitted {
            return Entrance::Open;
        }
        if invitation.is_some_and(|invitation| created.key.accepts(invitation, now / 1000)) {
            self.admit(session.cloned());
            return Entrance::Open;
        }
        Entrance::Closed(created.password.clone())
    }

    /// This session was let in, and need not show the password again.
    pub(super) fn admit(&mut self, session: Option<Person>) {
        let (Some(created), Some(session)) = (&mut self.created, session) else {
            return;
        };
        if created.admitted.contains(&session) {
            return;
        }
        if created.admitted.len() == ADMITTED_MAX {
            created.admitted.pop_front();
        }
        created.admitted.push_back(session);
        self.is_changed = true;
    }

    /// An invitation up to this time, in seconds. `None`: the room is not private.
    pub(super) fn invitation(&self, until: u64) -> Option<String> {
        self.private_topic()?;
        let created = self.created.as_ref()?;
        Some(created.key.invitation(until))
    }

    /// Makes all invitations void. Returns whether the room is private.
    pub(super) fn revoke_invitations(&mut self, key: [u8; 32]) -> bool {
        let is_private = self.private_topic().is_some();
        if let Some(created) = &mut self.created {
            created.key = InvitationKey::new(key);
        }
        self.is_changed = true;
        is_private
    }

    /// Sets or ends a sanction. A person that is banned from a private room needs the password again.
    pub(super) fn sanction(&mut self, who: &Identity, sanction: Sanction, until: u64, now: u64) {
        self.sanctions.set(who, sanction, until, now);
        self.is_changed = true;
        if let (Some(created), Sanction::Ban) = (&mut self.created, sanction) {
            created
                .admitted
                .retain(|session| Some(session) != who.session.as_ref());
        }
    }

    pub(super) fn muted_until(&self, who: &Identity, now: u64) -> u64 {
        self.sanctions.muted_until(who, now)
    }

    pub(super) fn slow_seconds(&self) -> &Arc<AtomicU64> {
        &self.slow_seconds
    }

    pub(super) fn set_slow_seconds(&mut self, seconds: u64) {
        self.is_changed = true;
        self.slow_seconds.store(seconds, Ordering::Relaxed);
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
            secret: creation.secret,
            topic: topic.into(),
            admitted: VecDeque::new(),
        }
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
        rules.admit(Some("guest".into()));
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
        assert!(rules.revoke_invitations([9; 32]));
        assert!(!may_enter(&mut rules, "other", Some(&invitation), 0));
        assert!(may_enter(&mut rules, "guest", None, 200_000));
        assert!(Rules::default().invitation(100).is_none());
    }

    #[test]
    fn banned_person_is_not_let_in_and_needs_the_password_again_later() {
        let mut rules = private();
        rules.admit(Some("guest".into()));
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
            rules.admit(Some(number.to_string().into()));
        }
        assert!(!may_enter(&mut rules, "0", None, 0));
        assert!(may_enter(&mut rules, "1", None, 0));
        assert!(may_enter(&mut rules, &ADMITTED_MAX.to_string(), None, 0));
    }
}
