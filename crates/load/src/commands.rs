//! Commands from the coordinator to the load's threads, and events back.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::error::Error;
use super::publishers::Sent;
use super::recorder::{Standing, Tally};
use super::time::Timeline;

/// What a thread is to do.
pub(super) enum Command {
    /// Take this member. It is open; `surplus` is what came behind the response's head.
    Member {
        number: u32,
        stream: TcpStream,
        surplus: Vec<u8>,
    },
    /// Measure within these times, and confirm with [`Event::Ready`].
    Measure(Timeline),
    /// Start to publish.
    Begin,
    /// Open loop: a message may be due.
    Tick,
    /// The slow members stop reading.
    Stall,
    /// Publish nothing that is due at this time or later, and report the totals.
    Stop { at_ns: u64 },
    /// These are the totals of all publishers: report when all messages have come.
    Expect(Arc<[u32]>),
    /// The slow members read again.
    Resume,
    /// Close all connections; the run is over.
    Finish,
}

/// What the coordinator learns.
#[derive(Debug)]
pub(super) enum Event {
    /// A connection is open; it took this time.
    Opened(Duration),
    /// A connection could not be opened.
    NotOpened(Error),
    /// A thread has the times to measure within.
    Ready,
    /// A member's connection has ended too early.
    Ended,
    /// For publishers by number: how many messages each sends in the whole run.
    Totals(Vec<(u32, u32)>),
    /// All messages have come to the members of a thread.
    Drained,
}

/// What a thread shares with the coordinator and the pacer.
#[derive(Clone, Debug)]
pub(super) struct Links {
    pub events: Sender<Event>,
    /// Messages that all threads have received so far.
    pub received: Arc<AtomicU64>,
    /// A [`Command::Tick`] is on its way to this thread: no second one is needed.
    pub tick_waits: Arc<AtomicBool>,
}

/// The result of a thread.
pub(super) struct Outcome {
    pub tally: Tally,
    /// What each publisher has sent, in no order.
    pub sent: Vec<Sent>,
    /// How far the members that read have come, by publisher.
    pub standings: Vec<Standing>,
    /// The same for the slow members.
    pub slow_standings: Vec<Standing>,
}

impl Outcome {
    /// The results of all threads in one. There is at least one thread.
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
