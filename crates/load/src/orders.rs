//! What is said between the conductor and the load's threads.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::book::{Standing, Tally};
use super::error::Error;
use super::publishers::Sent;
use super::time::Timeline;

/// What the conductor wants.
pub(super) enum Order {
    /// A member, open, and what came behind the head of the server's answer.
    Member {
        number: u32,
        stream: TcpStream,
        surplus: Vec<u8>,
    },
    /// Measure what happens in this time, and say when that is understood.
    Measure(Timeline),
    /// Publish.
    Begin,
    /// Open loop: something may be due.
    Tick,
    /// The slow members stop reading.
    Stall,
    /// Publish nothing that is due from then on, and tell the goals.
    Stop { at_ns: u64 },
    /// Each publisher sends so many messages in all: tell when all are there.
    Expect(Arc<[u32]>),
    /// The slow members read again.
    Resume,
    /// Close all connections; the run is over.
    Finish,
}

/// What the conductor is told.
#[derive(Debug)]
pub(super) enum Event {
    /// A connection is open, and it took so long.
    Opened(Duration),
    /// A connection could not be opened, and why.
    NotOpened(Error),
    /// A thread knows what is to be measured.
    Ready,
    /// A member has ended before its time.
    Ended,
    /// For publishers by number: how many messages each sends in all.
    Goals(Vec<(u32, u32)>),
    /// All of them have come.
    Drained,
}

/// What a thread shares with those who watch and drive it.
#[derive(Clone, Debug)]
pub(super) struct Wires {
    pub events: Sender<Event>,
    /// Messages that all threads have received so far.
    pub received: Arc<AtomicU64>,
    /// An [`Order::Tick`] is on its way to this thread: no second is needed.
    pub tick_waits: Arc<AtomicBool>,
}

/// What a thread brings home.
pub(super) struct Outcome {
    pub tally: Tally,
    /// What each publisher has sent, in no order.
    pub sent: Vec<Sent>,
    /// How far the members that read have come, by publisher.
    pub standings: Vec<Standing>,
    /// The same of the slow ones.
    pub slow_standings: Vec<Standing>,
}

impl Outcome {
    /// What all threads have brought home, as one. There is at least one.
    pub(super) fn of_all(outcomes: Vec<Outcome>) -> Outcome {
        let mut outcomes = outcomes.into_iter();
        let mut all = outcomes.next().expect("there is a thread");
        for outcome in outcomes {
            all.tally.add(outcome.tally);
            all.sent.extend(outcome.sent);
            for (ours, theirs) in [
                (&mut all.standings, outcome.standings),
                (&mut all.slow_standings, outcome.slow_standings),
            ] {
                for (standing, other) in ours.iter_mut().zip(theirs) {
                    *standing += other;
                }
            }
        }
        all
    }
}
