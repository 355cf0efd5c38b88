//! Tests of the suite: a peer that obeys every rule passes every case, and each case is failed
//! by a peer that breaks its rule.
//!
//! `docs/conform-mutations.md` shows which cases fail for which mutation.
//! `CONFORM_WRITE=1 cargo test --release --package yamabiko-conform --test mutations` writes
//! it, in some minutes; `CONFORM_WRITE=new` plays only what has no row yet: new mutations, and new
//! cases with every mutation. Without the variable, the test plays one mutation of each case.

mod matrix;
mod sloppy;

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use matrix::Matrix;
use sloppy::{ALL, MESSAGE_BYTES_MAX, Mutation, Server};
use yamabiko_conform::{
    Depth, Interrupt, Peer, Plan, Report, Verdict, catalogue, test_clients, test_server,
};

#[test]
fn server_that_obeys_every_rule_passes_every_case() {
    let server = Server::start(None);
    let report = run_server(&server, quick().patience(Duration::from_secs(5)));
    assert!(report.failed().next().is_none(), "{report}");
    let is_skipped = |case: &yamabiko_conform::CaseReport| case.verdict == Verdict::NotApplicable;
    assert!(!report.cases.iter().any(is_skipped), "{report}");
}

#[test]
fn client_that_obeys_every_rule_passes_every_case() {
    let report = run_clients(None, quick().patience(Duration::from_secs(5)));
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
fn each_case_is_failed_by_a_peer_that_breaks_its_rule() {
    if let Some(mode) = std::env::var_os("CONFORM_WRITE") {
        let known = match mode == "new" {
            true => matrix::read(),
            false => Matrix::default(),
        };
        matrix::write(&completed(known));
    }
    let matrix = matrix::read();
    let mut cases = catalogue(&quick(), Peer::Server).ids();
    cases.extend(catalogue(&quick(), Peer::Client).ids());
    let unfailed: Vec<_> = cases.iter().filter(|id| !matrix.is_failed(id)).collect();
    assert!(unfailed.is_empty(), "no mutation fails {unfailed:?}");
    let mut passed = Vec::new();
    for (mutation, cases) in matrix.shortest_proof() {
        let plan = cases.iter().fold(impatient(), Plan::only);
        let failed_here = failed(named(mutation), plan);
        // Some mutations show only if TCP cuts the bytes in one way: then another one has to.
        passed.extend(cases.into_iter().filter(|id| {
            let fails = |other: &str| failed(named(other), impatient().only(id)).contains(id);
            !failed_here.contains(id) && !matrix.others(id, mutation).into_iter().any(fails)
        }));
    }
    assert!(
        passed.is_empty(),
        "passed, though the rule is broken: {passed:?}"
    );
}

fn named(name: &str) -> Mutation {
    let mutation = ALL.iter().find(|known| known.name() == name);
    *mutation.unwrap_or_else(|| panic!("{name:?} is no mutation"))
}

/// Every mutation with all cases that are not known, some at a time.
fn completed(known: Matrix) -> Matrix {
    let mut cases = catalogue(&quick(), Peer::Server).ids();
    cases.extend(catalogue(&quick(), Peer::Client).ids());
    cases.retain(|id| !known.is_failed(id));
    let of_known = cases.iter().fold(impatient(), Plan::only);
    let plan = |mutation: Mutation| match known.has(mutation.name()) {
        true if cases.is_empty() => None,
        true => Some(of_known.clone()),
        false => Some(impatient()),
    };
    let next = std::sync::Mutex::new(ALL.iter());
    let matrix = std::sync::Mutex::new(known.clone());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(&mutation) = next.lock().expect("no panic").next() else {
                        return;
                    };
                    let failed = plan(mutation).map(|plan| failed_twice(mutation, plan));
                    matrix
                        .lock()
                        .expect("no panic")
                        .add(mutation.name(), failed.unwrap_or_default());
                }
            });
        }
    });
    matrix.into_inner().expect("no panic")
}

/// The cases that fail, and do so again with more patience: a busy machine is no fault.
fn failed_twice(mutation: Mutation, plan: Plan) -> Vec<String> {
    let first = failed(mutation, plan);
    let plan = impatient().patience(Duration::from_secs(1));
    match first.is_empty() {
        true => first,
        false => failed(mutation, first.iter().fold(plan, Plan::only)),
    }
}

/// The cases that fail, in either role.
fn failed(mutation: Mutation, plan: Plan) -> Vec<String> {
    let mut failed = Vec::new();
    if !matches!(mutation, Mutation::Client(_)) && names_any(&plan, Peer::Server) {
        let server = Server::start(Some(mutation));
        let report = run_server(&server, plan.clone());
        failed.extend(report.failed().map(|case| case.id.clone()));
    }
    if !matches!(mutation, Mutation::Server(_)) && names_any(&plan, Peer::Client) {
        let report = run_clients(Some(mutation), plan);
        failed.extend(report.failed().map(|case| case.id.clone()));
    }
    failed.sort();
    failed.dedup();
    failed
}

fn names_any(plan: &Plan, peer: Peer) -> bool {
    !catalogue(plan, peer).ids().is_empty()
}

fn quick() -> Plan {
    Plan::new()
        .depth(Depth::Quick)
        .message_bytes_max(MESSAGE_BYTES_MAX)
}

/// A peer that does not react costs time.
fn impatient() -> Plan {
    quick().patience(Duration::from_millis(200))
}

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
