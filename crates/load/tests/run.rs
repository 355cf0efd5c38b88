//! The library from outside: a run with an echo server, its progress, and its end.

use std::error::Error as _;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use yamabiko::server::{Admission, Context, Handler, Message, Refusal, Upgrade};
use yamabiko::websocket::handshake::{
    AcceptOptions, HeadLimits, RequestReader, Upgrade as Handshake,
};
use yamabiko_load::{Error, Interrupt, Phase, Plan, PlanBuilder, Scenario, run};
use yamabiko_testing::port::ReservedPort;
use yamabiko_testing::socket::{TestServer, config};

/// A server that sends every message back.
struct Echo;

impl Handler for Echo {
    type Session = ();

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        let _ = context.send(message);
    }
}

fn echo() -> TestServer {
    TestServer::start(config(1), Echo)
}

fn short(server: &TestServer) -> PlanBuilder {
    Plan::builder(Scenario::Echo, server.url("/"))
        .connections(3)
        .warm_up(Duration::from_millis(60))
        .duration(Duration::from_millis(120))
        .settle(Duration::from_millis(60))
}

#[test]
fn run_reports_each_phase_in_order_and_every_message() {
    let server = echo();
    let plan = short(&server).build().expect("sound");
    let mut phases: Vec<Phase> = Vec::new();
    let mut received = 0;
    let report = run(&plan, &Interrupt::new(), |progress| {
        assert!(progress.received >= received);
        received = progress.received;
        phases.push(progress.phase);
    });
    let report = report.expect("a report");
    assert_eq!(report.failure(), None, "{report}");
    assert!(!report.cut_short);
    let traffic = report.traffic.as_ref().expect("an echo has traffic");
    assert!(traffic.published > 0);
    let latency = traffic.latency_us.as_ref().expect("messages were received");
    assert_eq!(latency.samples, traffic.published);

    let number = |phase: &Phase| match phase {
        Phase::Opening { .. } => 0,
        Phase::Settling { .. } => 1,
        Phase::Starting => 2,
        Phase::WarmingUp { .. } => 3,
        Phase::Measuring { .. } => 4,
        Phase::Draining => 5,
        Phase::CatchingUp => 6,
        Phase::Closing => 7,
        other => panic!("{other:?}"),
    };
    let numbers: Vec<u32> = phases.iter().map(number).collect();
    assert!(numbers.is_sorted(), "{phases:?}");
    assert_eq!(numbers.last(), Some(&7));
}

#[test]
fn interrupt_ends_a_long_run_with_a_report_marked_as_cut_short() {
    let server = echo();
    let plan = short(&server).duration(Duration::from_secs(86_400));
    let plan = plan.build().expect("sound");
    let interrupt = Interrupt::new();
    let report = run(&plan, &interrupt, |progress| {
        if let (Phase::Measuring { .. }, 1..) = (progress.phase, progress.received) {
            interrupt.raise();
        }
    });
    let report = report.expect("a report");
    assert!(report.cut_short && interrupt.is_raised());
    assert_eq!(report.failure(), None, "{report}");
}

#[test]
fn report_is_written_by_serde_and_as_a_table() {
    let server = echo();
    let plan = short(&server).build().expect("sound");
    let report = run(&plan, &Interrupt::new(), |_| {}).expect("a report");
    let json = serde_json::to_value(&report).expect("JSON");
    assert_eq!(json["scenario"], "echo");
    assert_eq!(json["settings"]["connections"], 3);
    assert_eq!(json["checks"]["lost"], 0);
    let table = report.to_string();
    assert!(table.starts_with(&format!("echo {}\n", server.url("/"))));
    assert!(
        table.contains("\n  checked       lost 0, doubled 0,"),
        "{table}"
    );
}

#[test]
fn connections_that_the_server_resets_behind_the_101_have_ended_early() {
    const CONNECTIONS: u32 = 20;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let server = thread::spawn(move || {
        for _ in 0..CONNECTIONS {
            reset_behind_101(listener.accept().expect("a connection").0);
        }
    });
    let plan = Plan::builder(Scenario::FanOut, url)
        .connections(CONNECTIONS)
        .warm_up(Duration::ZERO)
        .duration(Duration::from_millis(60))
        .build();
    let report = run(&plan.expect("sound"), &Interrupt::new(), |_| {}).expect("a run");
    server.join().expect("it has not panicked");
    assert!(report.cut_short);
    let ended = u64::from(CONNECTIONS);
    assert_eq!(report.checks.ended, [(1006, ended)].into());
}

/// Answers the opening handshake, and closes the socket with the request unread: the system sends an RST.
fn reset_behind_101(mut stream: TcpStream) {
    let (mut head, mut bytes) = ([0; 4096], 0);
    while !head[..bytes].ends_with(b"\r\n\r\n") {
        bytes = stream.peek(&mut head).expect("a request");
    }
    let mut reader = RequestReader::new(HeadLimits::default());
    let request = reader.read(&head[..bytes]).expect("a sound request");
    let (request, _) = request.expect("a whole request");
    let upgrade = Handshake::check(&request).expect("an opening handshake");
    let accepted = upgrade.accept(AcceptOptions::default()).expect("no offers");
    let mut response = Vec::new();
    accepted.write_response(&mut response);
    stream.write_all(&response).expect("the client reads");
}

#[test]
fn refused_connection_is_an_error_with_its_cause() {
    let port = ReservedPort::new();
    let plan = Plan::builder(Scenario::Idle, format!("ws://{}/", port.address()));
    let plan = plan.connections(2).build().expect("sound");
    let error = run(&plan, &Interrupt::new(), |_| {}).expect_err("no server listens");
    let Error::Opening {
        opened: 0,
        connections: 2,
        source,
    } = &error
    else {
        panic!("{error:?}");
    };
    assert!(matches!(**source, Error::Connect { .. }), "{source:?}");
    let cause = source
        .source()
        .and_then(|cause| cause.downcast_ref::<io::Error>());
    let kind = cause.map(io::Error::kind);
    assert_eq!(kind, Some(io::ErrorKind::ConnectionRefused));
}
