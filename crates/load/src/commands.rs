//! Commands from the coordinator to the load's threads, and events back.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::error::Error;
use super::publishers::Sent;
use super::recorder::{Standing, Tally};
use super::secure::Secured;
use super::time::Timeline;

/// A command to a thread.
pub(super) enum Command {
    /// Take this open member. `surplus`: the bytes after the head of the response.
    Member {
        number: u32,
        stream: TcpStream,
        /// For `wss`.
        secured: Option<Secured>,
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
    /// The totals of all publishers: report when all messages have arrived.
    Expect(Arc<[u32]>),
    /// The slow members read again.
    Resume,
    /// Close all connections; the run is over.
    Finish,
}

/// An event for the coordinator.
#[derive(Debug)]
pub(super) enum Event {
    /// A connection is open; it took this time.
    Opened(Duration),
    /// A connection could not be opened.
    NotOpened(Error),
    /// A thread has received the times to measure within.
    Ready,
    /// The connection of a member has ended early.
    Ended,
    /// By publisher number: the messages that each publisher sends in the whole run.
    Totals(Vec<(u32, u32)>),
    /// The members of a thread have received all messages.
    Drained,
}

/// State that a thread shares with the coordinator and the pacer.
#[derive(Clone, Debug)]
pub(super) struct Links {
    pub events: Sender<Event>,
    /// Messages that all threads have received so far.
    pub received: Arc<AtomicU64>,
    /// A [`Command::Tick`] is in flight to this thread, which needs no second one.
    pub tick_waits: Arc<AtomicBool>,
}

/// The result of a thread.
pub(super) struct Outcome {
    pub tally: Tally,
    /// The messages that each publisher has sent, in no order.
    pub sent: Vec<Sent>,
    /// The progress of the members that read, by publisher.
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
