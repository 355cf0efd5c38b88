//! Tests of the suite: a peer that obeys every rule passes every case, and each case is failed
//! by a peer that breaks its rule, in each role that the case has. There are no exemptions.
//!
//! `docs/conform-mutations.md` shows which cases fail for which mutation.
//! `CONFORM_WRITE=1 cargo test --release --package yamabiko-conform --test mutations each_case`
//! plays every mutation with every case and writes the page: 8 minutes of processor time (two cores of
//! an AMD EPYC, 2026-11-29). Without the variable, the test plays the shortest row of each case.

mod matrix;
mod sloppy;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use matrix::{Matrix, Played};
use sloppy::{ALL, MESSAGE_BYTES_MAX, Mutation, Server};
use yamabiko_conform::{
    Depth, Interrupt, Peer, Plan, Report, Verdict, catalogue, test_clients, test_server,
};

#[test]
fn server_that_obeys_every_rule_passes_every_case() {
    let server = Server::start(None);
    let report = run_server(&server, every_case().patience(Duration::from_secs(5)));
    assert!(report.failed().next().is_none(), "{report}");
    let is_skipped = |case: &yamabiko_conform::CaseReport| case.verdict == Verdict::NotApplicable;
    assert!(!report.cases.iter().any(is_skipped), "{report}");
}

#[test]
fn client_that_obeys_every_rule_passes_every_case() {
    let report = run_clients(None, every_case().patience(Duration::from_secs(5)));
    assert!(report.failed().next().is_none(), "{report}");
    // These need a client that offers less.
    let others = [
        "negotiation/response-not-offered-window",
        "negotiation/response-larger-window",
    ];
    let is_skipped = |case: &yamabiko_conform::CaseReport| {
        case.verdict != Verdict::Pass && !others.contains(&case.id.as_str())
    };
    assert!(!report.cases.iter().any(is_skipped), "{report}");
}

#[test]
fn client_may_name_cases_by_identifier_and_end_the_suite() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let plan = quick().only("control/ping").only("control/ping-payload");
    let suite = thread::spawn(move || test_clients(&plan, listener, &Interrupt::new(), |_| {}));
    let runs = String::from_utf8(sloppy::tell(address, "/getCaseCount")).expect("text");
    let status = |tuple: &str| {
        let target = format!("/getCaseStatus?casetuple={tuple}&agent=a");
        String::from_utf8(sloppy::tell(address, &target)).expect("text")
    };
    assert_eq!(status("2.1"), r#"{"behavior":"UNIMPLEMENTED"}"#);
    // Each connection makes the next run of the case.
    for tuple in ["2.1", "control/ping-payload"] {
        let target = format!("/runCase?casetuple={tuple}&agent=a");
        (0..runs.parse().expect("a number"))
            .for_each(|_: u32| drop(sloppy::run(address, &target, None)));
        assert_eq!(status(tuple), r#"{"behavior":"OK"}"#, "{tuple}");
    }
    drop(sloppy::run(address, "/stopServer", None));
    let reports = suite.join().expect("no panic").expect("cases");
    let is_passed = |case: &yamabiko_conform::CaseReport| case.verdict == Verdict::Pass;
    assert!(reports[0].cases.iter().all(is_passed), "{}", reports[0]);
}

#[test]
fn suite_ends_when_no_client_has_come_for_the_time_of_the_plan() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let plan = quick().idle_max(Duration::from_millis(50));
    let reports = test_clients(&plan, listener, &Interrupt::new(), |_| {}).expect("cases");
    assert!(reports.is_empty());
}

#[test]
fn each_case_is_failed_by_a_peer_that_breaks_its_rule() {
    let matrix = page();
    let proof = matrix.shortest_proof();
    let tasks: Vec<_> = proof
        .iter()
        .flat_map(|(mutation, played)| {
            [Peer::Server, Peer::Client].map(|peer| {
                let played = played.iter().filter(|played| played.peer() == peer);
                (*mutation, peer, played.copied().collect::<Vec<_>>())
            })
        })
        .filter(|(_, _, played)| !played.is_empty())
        .collect();
    let passed = in_parallel(&tasks, |(mutation, peer, played)| {
        let ids = played.iter().map(|played| played.case.as_str());
        let plan = ids.fold(impatient(), Plan::only);
        let failed_here = failed(named(mutation), *peer, plan);
        // Some mutations show only if TCP cuts the bytes in one way: then another one has to.
        let is_failed_elsewhere = |played: &Played| {
            let fails = |other: &str| {
                let plan = impatient().only(&played.case);
                failed(named(other), *peer, plan).contains(played)
            };
            matrix.of(played).into_iter().any(fails)
        };
        let passed = played
            .iter()
            .filter(|played| !failed_here.contains(played) && !is_failed_elsewhere(played));
        passed.map(|played| (*played).clone()).collect::<Vec<_>>()
    });
    let passed: Vec<Played> = passed.concat();
    assert!(
        passed.is_empty(),
        "passed, though the rule is broken: {passed:?}"
    );
}

#[test]
fn page_has_each_case_in_each_of_its_roles_and_each_mutation_and_nothing_else() {
    let matrix = page();
    let write = format!("'{}' writes the page", matrix::COMMAND);
    let all = all();
    let failed = matrix.failed();
    let unfailed: Vec<_> = all
        .iter()
        .filter(|played| !failed.contains(played))
        .collect();
    assert!(
        unfailed.is_empty(),
        "no mutation fails {unfailed:?}; {write}"
    );
    let unknown: Vec<_> = failed
        .into_iter()
        .filter(|played| !all.contains(played))
        .collect();
    assert!(unknown.is_empty(), "no such cases: {unknown:?}; {write}");
    let of_page: Vec<&str> = matrix.rows().map(|(mutation, _)| mutation).collect();
    let known: BTreeSet<&str> = ALL.iter().map(|mutation| mutation.name()).collect();
    assert_eq!(known.len(), ALL.len(), "two mutations have one name");
    assert_eq!(of_page, Vec::from_iter(known), "{write}");
    let is_harmless = |(mutation, count)| (count == 0).then_some(mutation);
    let harmless: Vec<_> = matrix.rows().filter_map(is_harmless).collect();
    assert!(
        harmless.is_empty(),
        "no case fails for {harmless:?}; {write}"
    );
    assert!(
        matrix.page(&all) == matrix::read(),
        "the page has another form; {write}"
    );
}

#[test]
fn names_of_mutations_in_the_peers_are_those_of_the_list() {
    for source in sloppy::SOURCES {
        let calls = source
            .split("is(\"")
            .skip(1)
            .chain(source.split("is_in(mutation, \"").skip(1));
        for name in calls.filter_map(|rest| rest.split('"').next()) {
            assert!(ALL.iter().any(|mutation| mutation.name() == name), "{name}");
        }
    }
}

/// The matrix of the page, which is written first if the variable asks for it.
fn page() -> Matrix {
    static WRITTEN: OnceLock<()> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        if std::env::var_os("CONFORM_WRITE").is_some() {
            let page = whole().page(&all());
            std::fs::write(matrix::path(), page).expect("the page can be written");
        }
    });
    Matrix::of_page(&matrix::read(), &all())
}

/// All cases, in their roles.
fn all() -> BTreeSet<Played> {
    let of = |peer| {
        let cases = catalogue(&every_case(), peer).ids();
        cases.into_iter().map(move |case| Played::new(case, peer))
    };
    of(Peer::Server).chain(of(Peer::Client)).collect()
}

fn named(name: &str) -> Mutation {
    let mutation = ALL.iter().find(|known| known.name() == name);
    *mutation.unwrap_or_else(|| panic!("{name:?} is no mutation"))
}

/// Every mutation with every case.
fn whole() -> Matrix {
    let tasks: Vec<(Mutation, Peer)> = ALL
        .iter()
        .flat_map(|&mutation| [Peer::Server, Peer::Client].map(|peer| (mutation, peer)))
        .filter(|(mutation, peer)| mutation.is_of(*peer))
        .collect();
    let failed = in_parallel(&tasks, |&(mutation, peer)| {
        (mutation.name(), failed_twice(mutation, peer))
    });
    let mut matrix = Matrix::default();
    for (mutation, failed) in failed {
        matrix.add(mutation, failed);
    }
    matrix
}

/// The results for all items, several at a time: a run waits most of its time.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, results) = (Mutex::new(items.iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..RUNS_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(item) = next.lock().expect("no panic").next() else {
                        return;
                    };
                    let result = work(item);
                    results.lock().expect("no panic").push(result);
                }
            });
        }
    });
    results.into_inner().expect("no panic")
}

/// The cases that fail, and do so again with more patience: a busy machine is no fault.
fn failed_twice(mutation: Mutation, peer: Peer) -> BTreeSet<Played> {
    let first = failed(mutation, peer, impatient_with(every_case()));
    let plan = impatient().patience(Duration::from_secs(1));
    match first.is_empty() {
        true => first,
        false => {
            let ids = first.iter().map(|played| played.case.as_str());
            failed(mutation, peer, ids.fold(plan, Plan::only))
        }
    }
}

/// The cases of a plan that fail with a peer in this role.
fn failed(mutation: Mutation, peer: Peer, plan: Plan) -> BTreeSet<Played> {
    let report = match peer {
        Peer::Server => run_server(&Server::start(Some(mutation)), plan),
        Peer::Client => run_clients(Some(mutation), plan),
    };
    let failed = report.failed();
    failed.map(|case| Played::new(&case.id, peer)).collect()
}

/// The cases of a quick run.
fn quick() -> Plan {
    Plan::new()
        .depth(Depth::Quick)
        .message_bytes_max(MESSAGE_BYTES_MAX)
}

/// Those, and the cases that only a full run has.
fn every_case() -> Plan {
    let full = Plan::new().depth(Depth::Full);
    let ids = [Peer::Server, Peer::Client].map(|peer| catalogue(&full, peer).ids());
    ids.into_iter().flatten().fold(quick(), Plan::only)
}

/// A plan for single cases. A peer that does not react costs time.
fn impatient() -> Plan {
    impatient_with(quick())
}

fn impatient_with(plan: Plan) -> Plan {
    plan.patience(Duration::from_millis(200))
        .silence_max(4 * sloppy::REQUEST_WAIT)
}

const RUNS_AT_ONCE: usize = 4;

fn run_server(server: &Server, plan: Plan) -> Report {
    let url = format!("ws://{}/", server.address);
    let report = test_server(&plan, &url, &Interrupt::new(), |_| {});
    report.unwrap_or_else(|error| panic!("{:?}: {error}", server.mutation))
}

fn run_clients(mutation: Option<Mutation>, plan: Plan) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let client = thread::spawn(move || sloppy::run_client(address, mutation));
    let reports = test_clients(&plan, listener, &Interrupt::new(), |_| {}).expect("cases");
    // Only now are the connections closed that it leaves open.
    drop(client.join().expect("the client ends"));
    reports
        .into_iter()
        .next()
        .unwrap_or_else(|| panic!("no run came from {mutation:?}"))
}
