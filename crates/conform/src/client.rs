//! Tests clients: they connect to the suite, by the paths of the Autobahn suite.
//!
//! | path | answer |
//! |---|---|
//! | `/getCaseCount` | a text message with the number of runs |
//! | `/getCaseInfo?case=N` | JSON: `id` and `description` of run N, from 1 |
//! | `/runCase?case=N&agent=A` | the run: the client sends every message back |
//! | `/getCaseStatus?case=N&agent=A` | JSON: `behavior`, one of `OK`, `FAILED`, `NON-STRICT`, `UNIMPLEMENTED` |
//! | `/updateReports?agent=A` | the end of the session of this client |
//! | `/stopServer` | the same |
//!
//! A run is one connection, so what these paths call a case is a run here. `casetuple=ID` in place
//! of `case=N` names a case by an identifier; each connection makes the next of its runs.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::case::{Level, Task};
use crate::error::Error;
use crate::frame::Frame;
use crate::http::Head;
use crate::interrupt::Interrupt;
use crate::peer::Peer;
use crate::plan::Plan;
use crate::player::{ANSWER_PATIENCE, Asked, Endpoint, Outcome, play_client};
use crate::progress::Progress;
use crate::report::{Report, RunResult, decisive};
use crate::script::{Codes, Expected, Script};
use crate::socket::Socket;
use crate::suite::Suite;
use crate::transport::Tls;

/// Runs the cases of the plan with the clients that connect to this listener, until one of them
/// asks for `/updateReports`, the interrupt is raised, or none has been connected for
/// [`Plan::idle_max`]. One report for each agent.
///
/// # Errors
/// The plan names no case, or the operating system does not let the suite listen.
pub fn test_clients(
    plan: &Plan,
    listener: TcpListener,
    interrupt: &Interrupt,
    report: impl FnMut(Progress) + Send,
) -> Result<Vec<Report>, Error> {
    let suite = Suite::new(plan, Peer::Client)?;
    let address = listener.local_addr().map_err(Error::Accept)?;
    let tls = plan.accept_tls.as_ref();
    let tls = tls.map(|config| Tls::Server(config.0.clone()));
    let desk = Desk {
        plan,
        suite: &suite,
        address,
        tls,
        started: Instant::now(),
        agents: Mutex::new(BTreeMap::new()),
        recorded: Condvar::new(),
        keys: Mutex::new(HashSet::new()),
        is_done: AtomicBool::new(false),
        open: AtomicUsize::new(0),
        report: Mutex::new(report),
    };
    desk.listen(listener, interrupt).map_err(Error::Accept)?;
    Ok(desk.reports())
}

/// The number of runs that clients are asked for.
///
/// # Errors
/// The plan names no case.
pub fn client_runs(plan: &Plan) -> Result<usize, Error> {
    Suite::new(plan, Peer::Client).map(|suite| suite.tasks().len())
}

/// What the threads of all connections share.
struct Desk<'a, F> {
    plan: &'a Plan,
    suite: &'a Suite,
    address: SocketAddr,
    /// For `wss`.
    tls: Option<Tls>,
    started: Instant,
    /// The runs of each agent.
    agents: Mutex<BTreeMap<String, Runs>>,
    /// There is a new result.
    recorded: Condvar,
    /// The keys of all requests.
    keys: Mutex<HashSet<String>>,
    is_done: AtomicBool,
    /// Connections that are open.
    open: AtomicUsize,
    report: Mutex<F>,
}

/// The runs of one agent.
#[derive(Default)]
struct Runs {
    /// Each run that a connection has been given, as its case and its place there. A run is
    /// played to its end after its client has left, while the next connection comes.
    begun: HashSet<(usize, usize)>,
    results: Vec<RunResult>,
}

impl Runs {
    fn has_result(&self, &(case, run): &(usize, usize)) -> bool {
        let mut results = self.results.iter();
        results.any(|result| (result.case, result.run) == (case, run))
    }
}

/// The parameters of a request.
#[derive(Debug, Default, PartialEq)]
struct Query {
    path: String,
    /// Counted from 1.
    case: Option<usize>,
    /// An identifier of this suite or of the Autobahn suite.
    tuple: Option<String>,
    agent: String,
}

impl<F: FnMut(Progress) + Send> Desk<'_, F> {
    fn listen(&self, listener: TcpListener, interrupt: &Interrupt) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let mut listener = mio::net::TcpListener::from_std(listener);
        let mut poll = Poll::new()?;
        let mut events = Events::with_capacity(4);
        poll.registry()
            .register(&mut listener, Token(0), Interest::READABLE)?;
        let mut used = Instant::now();
        thread::scope(|scope| {
            while !self.is_done.load(Ordering::Acquire) && !interrupt.is_raised() {
                match listener.accept() {
                    Ok((stream, _)) if self.open.load(Ordering::Relaxed) < CONNECTIONS_MAX => {
                        self.open.fetch_add(1, Ordering::Relaxed);
                        let thread = thread::Builder::new().stack_size(STACK_BYTES);
                        thread.spawn_scoped(scope, || self.serve(stream.into()))?;
                    }
                    // One client does not need so many: the connection is dropped.
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        if self.open.load(Ordering::Relaxed) > 0 {
                            used = Instant::now();
                        } else if used.elapsed() > self.plan.idle_max {
                            return Ok(());
                        }
                        poll.poll(&mut events, Some(CHECK_INTERVAL))
                            .or_else(interrupted)?;
                    }
                    Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
    }

    fn serve(&self, stream: TcpStream) {
        if let Ok(socket) = Socket::new(stream, self.tls.as_ref(), self.plan.patience) {
            self.answer(socket);
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn answer(&self, mut socket: Socket) {
        let Some(mut asked) = read_request(&mut socket, self.plan.patience) else {
            return;
        };
        let key = asked.head.values("sec-websocket-key").concat();
        asked.is_key_new = locked(&self.keys).insert(key);
        let query = Query::of(asked.head.target().unwrap_or_default());
        let task = match query.path.as_str() {
            "/runCase" => self.begin(&query),
            _ => self.task(&query, &locked(&self.agents)),
        };
        match (query.path.as_str(), task) {
            ("/runCase", Some(task)) => self.run(&query, task, socket, asked),
            ("/getCaseCount", _) => self.tell(socket, asked, &self.suite.tasks().len().to_string()),
            ("/getCaseInfo", Some(task)) => self.tell(socket, asked, &self.info(task)),
            ("/getCaseStatus", Some(task)) => self.tell(socket, asked, &self.status(&query, task)),
            ("/updateReports" | "/stopServer", _) => {
                self.play(&Script::new().closes(), socket, asked);
                self.is_done.store(true, Ordering::Release);
            }
            _ => {
                self.play(&Script::not_found(), socket, asked);
            }
        }
    }

    /// The run that a request names, which begins.
    fn begin(&self, query: &Query) -> Option<&Task> {
        let mut agents = locked(&self.agents);
        let task = self.task(query, &agents)?;
        let runs = agents.entry(query.agent.clone()).or_default();
        runs.begun.insert(place(task));
        Some(task)
    }

    /// The run that a request names: by its number, or the next one of a case.
    fn task(&self, query: &Query, agents: &BTreeMap<String, Runs>) -> Option<&Task> {
        let tasks = self.suite.tasks();
        let Some(id) = &query.tuple else {
            return tasks.get(query.case?.checked_sub(1)?);
        };
        let named = || {
            let has_name = |task: &&Task| self.suite.case(task).has_name(id);
            tasks.iter().filter(has_name)
        };
        let runs = agents.get(&query.agent);
        let is_begun = |task: &&Task| runs.is_some_and(|runs| runs.begun.contains(&place(task)));
        let next = named().find(|task| !is_begun(task));
        next.or_else(|| named().next())
    }

    fn run(&self, query: &Query, task: &Task, socket: Socket, asked: Asked) {
        let started = Instant::now();
        let result = RunResult {
            case: task.case,
            run: task.run,
            label: task.script.label.clone(),
            played: self.play(&task.script.script(), socket, asked),
            duration: started.elapsed(),
        };
        let mut agents = locked(&self.agents);
        let results = &mut agents.entry(query.agent.clone()).or_default().results;
        // A client that repeats a run is judged by the last time.
        results.retain(|known| !known.is_of(task));
        results.push(result);
        let progress = Progress {
            done: results.len(),
            runs: self.suite.tasks().len(),
        };
        drop(agents);
        self.recorded.notify_all();
        locked(&self.report)(progress);
    }

    fn play(&self, script: &Script, socket: Socket, asked: Asked) -> crate::player::Played {
        let endpoint = Endpoint {
            peer: Peer::Client,
            address: self.address,
            tls: self.tls.clone(),
            host: self.address.to_string(),
            target: String::new(),
            fields: [].into(),
            patience: self.plan.patience,
            message_bytes_max: self.plan.answer_bytes_max(),
        };
        play_client(script, &endpoint, socket, asked)
    }

    /// Sends one message and closes.
    fn tell(&self, socket: Socket, asked: Asked, text: &str) {
        let script = Script::new()
            .frame(Frame::text(text))
            .frame(Frame::close(1000, ""))
            .expect(Expected::Close(Codes::Any));
        self.play(&script, socket, asked);
    }

    fn info(&self, task: &Task) -> String {
        let case = self.suite.case(task);
        let id = match task.script.label.as_str() {
            "" => case.id.to_owned(),
            label => format!("{} ({label})", case.id),
        };
        serde_json::json!({ "id": id, "description": case.title }).to_string()
    }

    fn status(&self, query: &Query, task: &Task) -> String {
        let is_asked = |case: usize, run: usize| match query.tuple {
            Some(_) => case == task.case,
            None => (case, run) == place(task),
        };
        let is_played = |agents: &mut BTreeMap<String, Runs>| {
            let runs = agents.get(&query.agent);
            let is_played = |runs: &Runs| {
                let mut begun = runs.begun.iter();
                begun.any(|begun| is_asked(begun.0, begun.1) && !runs.has_result(begun))
            };
            runs.is_some_and(is_played)
        };
        let waited = self
            .recorded
            .wait_timeout_while(locked(&self.agents), STATUS_WAIT, is_played);
        let (agents, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let results = agents
            .get(&query.agent)
            .map_or(&[][..], |runs| &runs.results);
        let results = results
            .iter()
            .filter(|result| is_asked(result.case, result.run));
        let results: Vec<RunResult> = results.cloned().collect();
        drop(agents);
        let is_must = self.suite.case(task).level == Level::Must;
        let behavior = match decisive(&results).map(|result| &result.played.outcome) {
            Some(Outcome::Pass) => "OK",
            Some(Outcome::Fail(_)) if is_must => "FAILED",
            Some(Outcome::Fail(_)) => "NON-STRICT",
            Some(Outcome::NotApplicable(_)) | None => "UNIMPLEMENTED",
        };
        serde_json::json!({ "behavior": behavior }).to_string()
    }

    fn reports(self) -> Vec<Report> {
        let seconds = self.started.elapsed().as_secs_f64();
        let agents = self.agents.into_inner();
        let agents = agents.unwrap_or_else(PoisonError::into_inner);
        let report = |(agent, runs): (String, Runs)| {
            let agent = self.plan.agent.clone().unwrap_or(agent);
            let cases = self.suite.reports(runs.results);
            Report::new(
                Peer::Client,
                agent,
                self.address.to_string(),
                &self.plan.options,
                seconds,
                cases,
            )
        };
        let has_results = |(_, runs): &(String, Runs)| !runs.results.is_empty();
        agents.into_iter().filter(has_results).map(report).collect()
    }
}

impl Query {
    fn of(target: &str) -> Query {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut parsed = Query {
            path: path.to_owned(),
            ..Query::default()
        };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "case" => parsed.case = value.parse().ok(),
                "casetuple" => parsed.tuple = Some(percent_decoded(value).trim().to_owned()),
                "agent" => parsed.agent = percent_decoded(value),
                _ => {}
            }
        }
        parsed
    }
}

/// The request of a client; `None`: it sends none in time, or something else.
fn read_request(socket: &mut Socket, patience: Duration) -> Option<Asked> {
    let mut input = Vec::new();
    let until = Instant::now() + patience * ANSWER_PATIENCE;
    loop {
        if let Some((head, bytes)) = Head::parse(&input).ok()? {
            let surplus = input.split_off(bytes);
            return Some(Asked {
                head,
                surplus,
                is_key_new: false,
            });
        }
        let is_moved = socket.exchange(&mut input, until.min(Instant::now() + patience));
        if !is_moved.unwrap_or(false) || socket.ended().is_some() || Instant::now() > until {
            return None;
        }
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let hexadecimal = behind
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let decoded = hexadecimal.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match decoded.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn interrupted(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}

/// A run by its case and its place there.
fn place(task: &Task) -> (usize, usize) {
    (task.case, task.run)
}

/// A thread that panicked leaves whole values behind.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|error| error.into_inner())
}

/// How long a request for the status of a run waits for the end of it.
const STATUS_WAIT: Duration = Duration::from_secs(1);
/// Connections of clients at a time.
const CONNECTIONS_MAX: usize = 64;
/// How long it takes until an interrupt is noticed.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// Of a thread that plays scripts; a script may play another one inside.
const STACK_BYTES: usize = 512 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_of_a_client_is_read() {
        let query = Query::of("/runCase?case=12&agent=a%20b%2Fc+d");
        assert_eq!((query.path.as_str(), query.case), ("/runCase", Some(12)));
        assert_eq!(query.agent, "a b/c d");
        let query = Query::of("/runCase?casetuple=7.9.3%20&agent=a");
        assert_eq!((query.tuple.as_deref(), query.case), (Some("7.9.3"), None));
        assert_eq!(Query::of("/updateReports").agent, "");
        assert_eq!(Query::of("/runCase?case=x&agent=%zz").agent, "%zz");
    }
}
