//! A run from its beginning to its end.
//!
//! ```text
//!   open ─▶ settle ─▶ warm up ─▶ measure ─▶ drain ─▶ slow ones read ─▶ close
//!                              CPU┘      └CPU
//!   memory└before  └connected                     └after
//! ```
//!
//! The coordinator sleeps most of the time. The load's threads have the times of the phases
//! and keep to them. A command carries only information that they do not have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use yamabiko::reactor::{Mailbox, Reactor, ReactorConfig};

use super::commands::{Command, Event, Links, Outcome};
use super::error::Error;
use super::interrupt::Interrupt;
use super::load::Load;
use super::opening::{self, Opening};
use super::pacer::{PacedThread, Pacer};
use super::partition::{Partition, index};
use super::payload::Template;
use super::plan::{Pace, Plan};
use super::process::{self, Process};
use super::progress::{Phase, Progress};
use super::quiet_timeout::QuietTimeout;
use super::randomness;
use super::recorder::histogram;
use super::report::{Latency, Report};
use super::time::{Clock, Schedule, Timeline, nanos};

/// Runs a plan: opens the connections, sends and checks the messages, closes the connections,
/// and returns the report. Blocks until then.
///
/// `progress` is called on this thread at every change, and at least every 50 ms; it has
/// to return soon, because the next phase waits for it. `interrupt` ends the run early.
///
/// A server that fails under the load also leads to a report: see [`Report::failure`].
///
/// # Errors
/// Nothing could be measured. Wrong settings are errors of
/// [`PlanBuilder::build`](crate::PlanBuilder::build), and not of this function.
pub fn run(
    plan: &Plan,
    interrupt: &Interrupt,
    mut progress: impl FnMut(Progress),
) -> Result<Report, Error> {
    check_open_files(plan)?;
    let server = plan.pid.map(|pid| Process { pid });
    let before = server.map(Process::resident_bytes).transpose()?;
    let addresses = opening::resolve(&plan.url)?;
    let mut coordinator = Coordinator::new(plan, interrupt, &mut progress)?;
    let mut report = Report::new(plan);
    coordinator.open(addresses, server, &mut report)?;
    coordinator.settle();
    // From here on the load may end the server. The report then lacks the part about the
    // server's process.
    let resident = || server.and_then(|server| server.resident_bytes().ok());
    let connected = resident();
    let measured = coordinator.measure(server)?;
    let totals = coordinator.drain();
    coordinator.let_slow_members_read();
    let after = resident();
    report.cut_short = coordinator.cut_short();
    let outcome = coordinator.finish()?;
    report.enter(plan, &outcome, &totals, measured.time);
    report.load = measured.load_cpu.map(|cpu| report.cost(cpu));
    let cost = measured.server_cpu.map(|cpu| report.cost(cpu));
    if let (Some(process), Some(cost)) = (server, cost) {
        let resident_bytes = [before, connected, after].map(Option::unwrap_or_default);
        report.enter_server(process.pid, cost, resident_bytes);
    }
    Ok(report)
}

struct Coordinator<'a> {
    plan: &'a Plan,
    interrupt: &'a Interrupt,
    progress: &'a mut dyn FnMut(Progress),
    clock: Clock,
    mailboxes: Vec<Mailbox<Command>>,
    ticks: Vec<Arc<AtomicBool>>,
    threads: Vec<JoinHandle<Result<Outcome, Error>>>,
    sender: Sender<Event>,
    events: Receiver<Event>,
    received: Arc<AtomicU64>,
    /// Members whose connections have ended early.
    ended: u32,
    /// A thread has failed to take in a connection.
    failure: Option<Error>,
}

/// Measured values.
struct Measured {
    time: Duration,
    /// `None`: it could not be read.
    server_cpu: Option<Duration>,
    load_cpu: Option<Duration>,
}

impl<'a> Coordinator<'a> {
    fn new(
        plan: &'a Plan,
        interrupt: &'a Interrupt,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Result<Coordinator<'a>, Error> {
        let (sender, events) = channel();
        let mut coordinator = Coordinator {
            plan,
            interrupt,
            progress,
            clock: Clock::start(),
            mailboxes: Vec::new(),
            ticks: Vec::new(),
            threads: Vec::new(),
            sender,
            events,
            received: Arc::new(AtomicU64::new(0)),
            ended: 0,
            failure: None,
        };
        let mut run = [0; 4];
        randomness::fill(&mut run)?;
        let template = Template::new(plan.payload, u32::from_ne_bytes(run), plan.message_bytes);
        for thread in 0..plan.threads {
            coordinator.start_thread(thread, template.clone())?;
        }
        Ok(coordinator)
    }

    fn start_thread(&mut self, thread: u32, template: Template) -> Result<(), Error> {
        let mut reactor = Reactor::new(ReactorConfig {
            mailbox_capacity: index(self.plan.connections) + ORDERS_MAX,
            ..ReactorConfig::default()
        })
        .map_err(Error::EventLoop)?;
        let links = Links {
            events: self.sender.clone(),
            received: Arc::clone(&self.received),
            tick_waits: Arc::new(AtomicBool::new(false)),
        };
        self.mailboxes.push(reactor.mailbox());
        self.ticks.push(Arc::clone(&links.tick_waits));
        let partition = Partition::new(self.plan.clone(), thread);
        let load = Load::new(partition, self.clock, template, links)?;
        let thread = thread::Builder::new()
            .name(format!("load-{thread}"))
            .spawn(move || load.run(&mut reactor))
            .map_err(Error::Thread)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Whether the run has to end early.
    fn cut_short(&self) -> bool {
        self.interrupt.is_raised() || self.ended >= self.plan.connections || self.failure.is_some()
    }

    fn send_all(&self, command: impl Fn() -> Command) {
        for mailbox in &self.mailboxes {
            // The mailbox has room for all of them: see `start_thread`.
            let _ = mailbox.send(command());
        }
    }

    fn report_progress(&mut self, phase: Phase) {
        let received = self.received.load(Ordering::Relaxed);
        (self.progress)(Progress { phase, received });
    }

    /// The next event, or `None` after [`GLANCE`] without, and after a failure.
    fn next_event(&mut self, phase: Phase) -> Option<Event> {
        self.report_progress(phase);
        let event = self.events.recv_timeout(GLANCE).ok()?;
        match event {
            Event::Ended => self.ended += 1,
            // Also behind the event that the last connection is open: its thread takes it in after that.
            Event::NotOpened(error) => {
                self.failure = Some(error);
                return None;
            }
            _ => {}
        }
        Some(event)
    }

    /// Waits, unless the run is ended early.
    fn wait_until(&mut self, phase: impl Fn(Duration) -> Phase, at_ns: u64) {
        while !self.cut_short() {
            let left = self.clock.until(at_ns);
            if left.is_zero() {
                return;
            }
            if left < GLANCE {
                thread::sleep(left);
                continue;
            }
            self.next_event(phase(left));
        }
    }
}

/// The phases, in order.
impl Coordinator<'_> {
    fn open(
        &mut self,
        addresses: Vec<std::net::SocketAddr>,
        server: Option<Process>,
        report: &mut Report,
    ) -> Result<(), Error> {
        let cpu_before = cpu_time(server);
        let started = Instant::now();
        let (mailboxes, sender) = (self.mailboxes.clone(), self.sender.clone());
        let opening = Opening::start(self.plan, addresses, mailboxes, sender)?;
        let (mut opened, mut latency) = (0, histogram());
        let connections = u64::from(self.plan.connections);
        while opened < connections && !self.cut_short() {
            let phase = Phase::Opening {
                opened,
                connections,
            };
            if let Some(Event::Opened(took)) = self.next_event(phase) {
                opened += 1;
                latency.saturating_record(nanos(took));
            }
        }
        opening.stop();
        if let Some(error) = self.failure.take() {
            return Err(Error::Opening {
                opened,
                connections,
                source: Box::new(error),
            });
        }
        report.opening.connections = opened;
        report.opening.seconds = started.elapsed().as_secs_f64();
        report.opening.latency_us = Latency::of(&latency);
        let micros = |cpu: Duration| 1e6 * cpu.as_secs_f64() / opened.max(1) as f64;
        report.opening.server_us_per_connection = spent(cpu_before, cpu_time(server)).map(micros);
        Ok(())
    }

    /// A server may send the 101 first and subscribe the connection after it.
    fn settle(&mut self) {
        let settled_ns = self.clock.now_ns().saturating_add(nanos(self.plan.settle));
        self.wait_until(|left| Phase::Settling { left }, settled_ns);
    }

    fn measure(&mut self, server: Option<Process>) -> Result<Measured, Error> {
        let start_ns = self.clock.now_ns().saturating_add(LEAD_NS);
        let from_ns = start_ns.saturating_add(nanos(self.plan.warm_up));
        let timeline = Timeline {
            start_ns,
            from_ns,
            to_ns: from_ns.saturating_add(nanos(self.plan.duration)),
        };
        let pacer = self.begin(timeline)?;
        self.wait_until(|left| Phase::WarmingUp { left }, from_ns);
        let watched = [server, Some(Process::this())];
        let before = watched.map(cpu_time);
        if self.plan.slow > 0 {
            self.send_all(|| Command::Stall);
        }
        self.wait_until(|left| Phase::Measuring { left }, timeline.to_ns);
        let at_ns = self.clock.now_ns().min(timeline.to_ns);
        let [server_cpu, load_cpu] = watched.map(cpu_time);
        drop(pacer);
        self.send_all(|| Command::Stop { at_ns });
        Ok(Measured {
            time: Duration::from_nanos(at_ns.saturating_sub(from_ns)),
            server_cpu: spent(before[0], server_cpu),
            load_cpu: spent(before[1], load_cpu),
        })
    }

    /// No thread may receive a message before it has the times: all of them get the
    /// times, confirm, and then start.
    fn begin(&mut self, timeline: Timeline) -> Result<Option<Pacer>, Error> {
        self.send_all(|| Command::Measure(timeline));
        let mut ready = 0;
        while ready < self.mailboxes.len() && !self.cut_short() {
            if let Some(Event::Ready) = self.next_event(Phase::Starting) {
                ready += 1;
            }
        }
        self.wait_until(|_| Phase::Starting, timeline.start_ns);
        if self.cut_short() {
            return Ok(None);
        }
        self.send_all(|| Command::Begin);
        let Pace::Rate(rate) = self.plan.pace else {
            return Ok(None);
        };
        let schedule = Schedule::new(timeline.start_ns, rate);
        let threads: Vec<PacedThread> = self
            .mailboxes
            .iter()
            .cloned()
            .zip(self.ticks.clone())
            .collect();
        Pacer::start(self.clock, schedule, timeline, threads).map(Some)
    }

    /// Waits for the messages in flight. Returns the number of messages that each publisher
    /// was to send.
    fn drain(&mut self) -> Vec<u32> {
        let mut totals = vec![0; index(self.plan.publishers)];
        let (mut answers, mut drained) = (0, 0);
        let mut quiet_timeout = QuietTimeout::new(self.plan.drain);
        let threads = self.mailboxes.len();
        while drained < threads && quiet_timeout.lasts(self.received.load(Ordering::Relaxed)) {
            match self.next_event(Phase::Draining) {
                Some(Event::Totals(of_thread)) => {
                    answers += 1;
                    for (publisher, total) in of_thread {
                        if let Some(place) = totals.get_mut(index(publisher)) {
                            *place = total;
                        }
                    }
                    if answers == threads {
                        let totals: Arc<[u32]> = totals.clone().into();
                        self.send_all(|| Command::Expect(Arc::clone(&totals)));
                    }
                }
                Some(Event::Drained) => drained += 1,
                _ => {}
            }
        }
        totals
    }

    /// They receive their backlog, or the server has closed their connections.
    fn let_slow_members_read(&mut self) {
        if self.plan.slow == 0 {
            return;
        }
        self.send_all(|| Command::Resume);
        let mut quiet_timeout = QuietTimeout::new(self.plan.drain.min(SLOW_SILENCE));
        let mut ended = self.ended;
        while quiet_timeout.lasts(self.received.load(Ordering::Relaxed) + u64::from(ended)) {
            self.next_event(Phase::CatchingUp);
            ended = self.ended;
        }
    }

    fn finish(&mut self) -> Result<Outcome, Error> {
        self.report_progress(Phase::Closing);
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let outcomes: Result<Vec<_>, _> = self.end_threads().into_iter().collect();
        Ok(Outcome::of_all(outcomes?))
    }

    fn end_threads(&mut self) -> Vec<Result<Outcome, Error>> {
        self.send_all(|| Command::Finish);
        let threads = std::mem::take(&mut self.threads).into_iter();
        threads
            .map(|thread| thread.join().unwrap_or(Err(Error::Panicked)))
            .collect()
    }
}

/// No thread of the load outlives the run, even if the run fails.
impl Drop for Coordinator<'_> {
    fn drop(&mut self) {
        self.end_threads();
    }
}

/// Each connection needs an open file, and so does the rest of the process.
fn check_open_files(plan: &Plan) -> Result<(), Error> {
    let needed = u64::from(plan.connections) + FILES_BESIDE;
    match process::open_files_limits() {
        Some((soft, hard)) if soft < needed => Err(Error::OpenFiles {
            connections: plan.connections,
            needed,
            allowed: soft,
            allowed_max: hard,
        }),
        _ => Ok(()),
    }
}

fn cpu_time(process: Option<Process>) -> Option<Duration> {
    process?.cpu_time().ok()
}

fn spent(before: Option<Duration>, after: Option<Duration>) -> Option<Duration> {
    Some(after?.saturating_sub(before?))
}

/// Time for all threads to get ready.
const LEAD_NS: u64 = 20_000_000;
/// The maximum wait for an event. Then the coordinator checks the time and the interrupt.
const GLANCE: Duration = Duration::from_millis(50);
/// Slow members that receive nothing for this time have caught up.
const SLOW_SILENCE: Duration = Duration::from_secs(1);
/// Room in a mailbox for commands other than [`Command::Member`].
const ORDERS_MAX: usize = 64;
/// Standard streams, epoll, wakers, and files that libraries open.
const FILES_BESIDE: u64 = 24;
