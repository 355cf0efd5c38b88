//! Passwords of rooms: hashed and compared with Argon2id (RFC 9106), on a thread of its own.
//!
//! ```text
//!   member ──Job──▶ queue of 16 ──▶ thread ──▶ Verdict, which the member looks at every 10 ms
//! ```
//!
//! A comparison takes 19 MiB and some ten milliseconds of a processor, so the event loop must not wait for it. One thread makes them one
//! after the other: all clients together guess no faster than that, and take no more memory than that. A full queue refuses the next
//! one. The thread starts with the first password, and ends with the chat.

use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use argon2::Argon2;

use super::room_record::{Bytes, PasswordRecord};

/// Jobs that wait, at most.
pub(super) const QUEUE_JOBS_MAX: usize = 16;

/// A password as a room keeps it.
#[derive(PartialEq, Eq)]
pub(super) struct HashedPassword {
    salt: [u8; 16],
    hash: [u8; 32],
}

/// What has become of a job. Empty until the thread has done it.
pub(super) type Verdict = Arc<OnceLock<Option<Outcome>>>;

#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// The hash of a new password.
    Hashed(Arc<HashedPassword>),
    /// Whether a password is the right one.
    Compared(bool),
}

/// What the thread is to do with a password.
#[derive(Debug)]
pub(super) enum Work {
    /// With this random salt.
    Hash([u8; 16]),
    Compare(Arc<HashedPassword>),
}

#[derive(Debug)]
struct Job {
    password: Box<str>,
    work: Work,
    verdict: Verdict,
}

/// The queue of the thread.
#[derive(Debug, Default)]
pub(super) struct PasswordThread {
    queue: OnceLock<Option<SyncSender<Job>>>,
}

impl HashedPassword {
    /// The password of a record.
    pub(super) fn of(record: &PasswordRecord) -> HashedPassword {
        HashedPassword {
            salt: record.salt.0,
            hash: record.hash.0,
        }
    }

    pub(super) fn record(&self) -> PasswordRecord {
        PasswordRecord {
            salt: Bytes(self.salt),
            hash: Bytes(self.hash),
        }
    }
}

impl PasswordThread {
    /// Starts a job. `None`: too many are waiting.
    pub(super) fn start(&self, password: &str, work: Work) -> Option<Verdict> {
        let queue = self.queue.get_or_init(start_thread).as_ref()?;
        let verdict = Verdict::default();
        let job = Job {
            password: password.into(),
            work,
            verdict: verdict.clone(),
        };
        queue.try_send(job).ok().map(|()| verdict)
    }
}

/// `None`: the system has no thread for it. Then every password is refused as if the queue were full.
fn start_thread() -> Option<SyncSender<Job>> {
    let (sender, receiver) = sync_channel(QUEUE_JOBS_MAX);
    let thread = thread::Builder::new().name("passwords".to_owned());
    thread.spawn(move || work(receiver)).ok().map(|_| sender)
}

fn work(jobs: Receiver<Job>) {
    for job in jobs {
        // Set once, here.
        let _ = job.verdict.set(done(&job.password, &job.work));
    }
}

/// `None`: there is not enough memory for it.
fn done(password: &str, work: &Work) -> Option<Outcome> {
    match work {
        Work::Hash(salt) => {
            let hash = hash(password, salt)?;
            let hashed = HashedPassword { salt: *salt, hash };
            Some(Outcome::Hashed(Arc::new(hashed)))
        }
        Work::Compare(with) => {
            let hash = hash(password, &with.salt)?;
            let difference = hash.iter().zip(&with.hash);
            let difference = difference.fold(0, |all, (one, other)| all | (one ^ other));
            Some(Outcome::Compared(difference == 0))
        }
    }
}

/// With the parameters that OWASP recommends, which are the defaults of the crate.
fn hash(password: &str, salt: &[u8]) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    let hashed = Argon2::default().hash_password_into(password.as_bytes(), salt, &mut hash);
    hashed.ok().map(|()| hash)
}

/// Nothing of it is shown.
impl fmt::Debug for HashedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashedPassword")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(password: &str) -> Arc<HashedPassword> {
        match done(password, &Work::Hash([7; 16])) {
            Some(Outcome::Hashed(hashed)) => hashed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn right_password_is_told_from_another_one() {
        let kept = hashed("open sesame");
        for (password, is_right) in [("open sesame", true), ("open  sesame", false), ("", false)] {
            let outcome = done(password, &Work::Compare(kept.clone()));
            assert!(matches!(outcome, Some(Outcome::Compared(right)) if right == is_right));
        }
    }

    #[test]
    fn thread_does_jobs_and_a_full_queue_refuses_the_next_one() {
        let passwords = PasswordThread::default();
        // Nobody takes the jobs.
        let (queue, _jobs) = sync_channel(QUEUE_JOBS_MAX);
        passwords.queue.set(Some(queue)).expect("new");
        let start = || passwords.start("x", Work::Hash([0; 16]));
        for _ in 0..QUEUE_JOBS_MAX {
            assert!(start().is_some_and(|verdict| verdict.get().is_none()));
        }
        assert!(start().is_none());
        let passwords = PasswordThread::default();
        let verdict = passwords.start("x", Work::Hash([0; 16])).expect("room");
        yamabiko_testing::waiting::eventually(
            "the hash",
            yamabiko_testing::waiting::TIMEOUT,
            || verdict.get().is_some(),
        );
    }
}
