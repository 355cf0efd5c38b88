//! Tests a server: many connections at a time, each with one run of a case.
//!
//! A server can end in the middle. When [`FAILURES_IN_A_ROW`] runs have failed one after the other, the suite checks whether the server still
//! echoes. If it does not, the other runs would say nothing, and take up to the time limit each: they are reported as not run.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;

use crate::case::Task;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::peer::Peer;
use crate::plan::Plan;
use crate::player::{Endpoint, Outcome, play_server};
use crate::progress::Progress;
use crate::report::{Report, RunResult};
use crate::script::Script;
use crate::suite::Suite;
use crate::transport::Tls;
use crate::url::{Url, printable};

/// Runs the cases of the plan against the echo server at this URL, and calls `report` after
/// each connection.
///
/// # Errors
/// There is no WebSocket server that echoes, or the plan names no case.
pub fn test_server(
    plan: &Plan,
    url: &str,
    interrupt: &Interrupt,
    mut report: impl FnMut(Progress),
) -> Result<Report, Error> {
    let started = Instant::now();
    let suite = Suite::new(plan, Peer::Server)?;
    let endpoint = endpoint(plan, &Url::parse(url)?)?;
    probe(&endpoint)?;
    let (results, ended) = run(plan, &suite, &endpoint, interrupt, &mut report)?;
    let agent = plan.agent.clone().unwrap_or_else(|| printable(url));
    let seconds = started.elapsed().as_secs_f64();
    let cases = suite.reports(results);
    let report = Report::new(
        Peer::Server,
        agent,
        printable(url),
        &plan.options,
        seconds,
        cases,
    );
    Ok(report.ended_by(ended))
}

fn endpoint(plan: &Plan, url: &Url) -> Result<Endpoint, Error> {
    let addresses = (url.host.as_str(), url.port).to_socket_addrs();
    let addresses = addresses.map_err(|error| Error::Resolve(url.host.clone(), error))?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    Ok(Endpoint {
        peer: Peer::Server,
        address: first_that_connects(&addresses, plan.patience, &url.host)?,
        host: url.authority.clone(),
        target: url.target.clone(),
        fields: plan.fields.clone().into(),
        patience: plan.patience,
        message_bytes_max: plan.answer_bytes_max(),
        tls: url.is_secure.then(|| tls(plan, url)).transpose()?,
    })
}

/// What secures the connections to a server of `wss`.
fn tls(plan: &Plan, url: &Url) -> Result<Tls, Error> {
    let config = plan.tls.as_ref().ok_or(Error::Secure)?;
    let name = ServerName::try_from(url.host.clone());
    let name = name.map_err(|_| Error::Url(url.authority.clone()))?;
    Ok(Tls::Client(config.0.clone(), name))
}

/// A name such as `localhost` can have an address on which nobody listens.
fn first_that_connects(
    addresses: &[SocketAddr],
    timeout: Duration,
    host: &str,
) -> Result<SocketAddr, Error> {
    let mut error = Error::Resolve(host.to_owned(), std::io::ErrorKind::NotFound.into());
    for &address in addresses {
        match std::net::TcpStream::connect_timeout(&address, timeout) {
            Ok(_) => return Ok(address),
            Err(cause) => error = Error::Connect(address, cause),
        }
    }
    Err(error)
}

/// The suite says nothing about a server that does not echo at all.
fn probe(endpoint: &Endpoint) -> Result<(), Error> {
    let endpoint = Endpoint {
        patience: endpoint.patience.max(PROBE_PATIENCE),
        ..endpoint.clone()
    };
    match play_server(&Script::new().echo("Hello"), &endpoint).outcome {
        Outcome::Pass => Ok(()),
        Outcome::Fail(words) | Outcome::NotApplicable(words) => Err(Error::NotEcho(words)),
    }
}

/// The results, and why the server ended the run, if it did.
fn run(
    plan: &Plan,
    suite: &Suite,
    endpoint: &Endpoint,
    interrupt: &Interrupt,
    report: &mut impl FnMut(Progress),
) -> Result<(Vec<RunResult>, Option<Error>), Error> {
    let lost = AtomicBool::new(false);
    let is_over = || interrupt.is_raised() || lost.load(Ordering::Relaxed);
    let runs = suite.tasks().len();
    let queue = Queue::new(suite);
    // A thread waits until its result is taken: none is far ahead when the server is lost.
    let (sender, receiver) = mpsc::sync_channel(0);
    let work = |sender: mpsc::SyncSender<RunResult>, takes_heavy: bool| {
        while let Some(task) = queue.next(takes_heavy).filter(|_| !is_over()) {
            let _ = sender.send(play(task, endpoint));
        }
    };
    thread::scope(|scope| {
        for number in 0..plan.at_once.min(runs) {
            let sender = sender.clone();
            let thread = thread::Builder::new().stack_size(STACK_BYTES);
            let work = move || work(sender, number < HEAVY_AT_ONCE);
            thread.spawn_scoped(scope, work).map_err(Error::Thread)?;
        }
        drop(sender);
        let (mut results, mut ended) = (Vec::new(), None);
        let mut failures_in_a_row = 0;
        for result in receiver {
            failures_in_a_row = match result.played.outcome {
                Outcome::Fail(_) => failures_in_a_row + 1,
                Outcome::Pass | Outcome::NotApplicable(_) => 0,
            };
            results.push(result);
            report(Progress {
                done: results.len(),
                runs,
            });
            if failures_in_a_row == FAILURES_IN_A_ROW && ended.is_none() {
                failures_in_a_row = 0;
                ended = probe(endpoint).err();
                lost.store(ended.is_some(), Ordering::Relaxed);
            }
        }
        Ok((results, ended))
    })
}

fn play(task: &Task, endpoint: &Endpoint) -> RunResult {
    let started = Instant::now();
    RunResult {
        case: task.case,
        run: task.run,
        label: task.script.label.clone(),
        played: play_server(&task.script.script(), endpoint),
        duration: started.elapsed(),
    }
}

/// The runs that no thread has taken yet.
struct Queue<'a> {
    heavy: Vec<&'a Task>,
    light: Vec<&'a Task>,
    next_heavy: AtomicUsize,
    next_light: AtomicUsize,
}

impl<'a> Queue<'a> {
    fn new(suite: &'a Suite) -> Queue<'a> {
        let (heavy, light) = suite.tasks().iter().partition(|task| suite.is_heavy(task));
        Queue {
            heavy,
            light,
            next_heavy: AtomicUsize::new(0),
            next_light: AtomicUsize::new(0),
        }
    }

    /// The next run; a thread that takes heavy ones takes these first.
    fn next(&self, takes_heavy: bool) -> Option<&'a Task> {
        let take = |tasks: &[&'a Task], next: &AtomicUsize| {
            tasks.get(next.fetch_add(1, Ordering::Relaxed)).copied()
        };
        let heavy = takes_heavy.then(|| take(&self.heavy, &self.next_heavy));
        heavy
            .flatten()
            .or_else(|| take(&self.light, &self.next_light))
    }
}

/// Runs that fail one after the other until the suite checks that the server still echoes.
const FAILURES_IN_A_ROW: u32 = 32;
/// A server that has just been started may be slow once.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);
/// Connections at a time that move megabytes: more of them only wait for each other.
const HEAVY_AT_ONCE: usize = 2;
/// Of a thread that plays scripts; a script may play another one inside.
const STACK_BYTES: usize = 512 << 10;
