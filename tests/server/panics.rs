//! A panic in a handler ends the connection that it was called for, and no other.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use yamabiko::server::{
    Admission, Closed, Config, Context, Handler, LagAction, LagPolicy, Message, Missed, OnFailure,
    Refusal, Request, Response, Upgrade,
};
use yamabiko_testing::socket::{
    self, Client, GET, Running, TIMEOUT, eventually, upgrade, with_1_and_3_workers,
};

/// Panics in the method that a path or a message names. Publishes every other text to the room
/// `everyone`.
struct Fragile {
    closed: Sender<String>,
}

/// The path that the session was opened with.
struct Session(&'static str);

impl Handler for Fragile {
    type Session = Session;

    fn admit(&self, upgrade: &Upgrade<'_>) -> Result<Admission<Session>, Refusal> {
        Ok(Admission::new(Session(match upgrade.request().target() {
            "/admit" => panic!("in admit"),
            "/opened" => "/opened",
            "/closed" => "/closed",
            "/drop" => "/drop",
            "/slow" => "/slow",
            _ => "/",
        })))
    }

    fn opened(&self, session: &mut Session, context: &mut Context<'_>) {
        context.join("everyone");
        if session.0 == "/opened" {
            let _ = context.send(Message::Text("sent before the panic"));
            context.publish("everyone", Message::Text("published before the panic"));
            panic!("in opened");
        }
    }

    fn message(&self, _session: &mut Session, message: Message<'_>, context: &mut Context<'_>) {
        match message {
            Message::Text("panic") => {
                let _ = context.send(Message::Text("sent before the panic"));
                panic!("in message");
            }
            Message::Text("policy") => context.join("a room whose policy panics"),
            Message::Text(_) => context.publish("everyone", message),
            Message::Binary(_) => context.publish("flood", message),
        }
    }

    fn missed(&self, _: &mut Session, _: &str, _: Missed, _: &mut Context<'_>) {
        panic!("in missed");
    }

    fn lag_policy(&self, room: &str) -> Option<LagPolicy> {
        assert_ne!(room, "a room whose policy panics", "in lag_policy");
        None
    }

    fn closed(&self, session: Session, closed: &Closed<'_>, _context: &mut Context<'_>) {
        let failure = closed.failure.map(ToString::to_string);
        let _ = self.closed.send(failure.unwrap_or_default());
        assert_ne!(session.0, "/closed", "in closed");
    }

    fn http_head(&self, request: &Request<'_>) -> Result<(), Refusal> {
        assert_ne!(request.target(), "/http_head", "in http_head");
        Ok(())
    }

    fn http(&self, request: &Request<'_>) -> Response {
        assert_ne!(request.target(), "/http", "in http");
        Refusal::new(yamabiko::server::Status::NotFound, "nothing here").to_response()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        assert_ne!(self.0, "/drop", "in drop");
    }
}

/// A server, the failures that `closed` receives, and the failures that `on_failure` receives.
struct Fixture {
    server: Running,
    closed: Receiver<String>,
    failures: Receiver<String>,
}

impl Fixture {
    fn start(config: Config) -> Fixture {
        let (closed, closed_calls) = channel();
        let (failed, failures) = channel();
        let config = Config {
            on_failure: Some(OnFailure::new(move |address, failure| {
                assert!(address.ip().is_some_and(|ip| ip.is_loopback()));
                let _ = failed.send(failure.to_string());
            })),
            ..config
        };
        let mut server = Running::start_with(config, Fragile { closed }, channel().1);
        server.may_panic();
        Fixture {
            server,
            closed: closed_calls,
            failures,
        }
    }

    fn client(&self, path: &str) -> Client {
        Client::connect(self.server.address).upgraded(path)
    }

    fn next_failure(&self) -> String {
        self.failures
            .recv_timeout(TIMEOUT)
            .expect("a failure is reported")
    }

    fn next_closed(&self) -> String {
        self.closed
            .recv_timeout(TIMEOUT)
            .expect("closed() is called")
    }

    fn expect_panics(&self, count: u64) {
        eventually("the panic is counted", TIMEOUT, || {
            self.server.handle.metrics().panics == count
        });
    }
}

fn panicked(place: &str) -> String {
    format!("a handler has panicked: {place}")
}

#[test]
fn panic_in_message_ends_only_that_connection_with_1011() {
    with_1_and_3_workers(|config| {
        let fixture = Fixture::start(config);
        let mut other = fixture.client("/");
        let mut victim = fixture.client("/");
        // Both are subscribed, and both are served.
        victim.text("here");
        assert_eq!(other.read_text(), "here");
        assert_eq!(victim.read_text(), "here");

        victim.text("panic");
        assert_eq!(victim.read_text(), "sent before the panic");
        let (code, reason) = victim.read_close();
        assert_eq!((code, &*reason), (1011, "internal error"));
        victim.expect_end();
        assert_eq!(fixture.next_failure(), panicked("in message"));
        assert_eq!(fixture.next_closed(), panicked("in message"));
        fixture.expect_panics(1);

        // The others go on, and the ended connection has left the room.
        other.text("still here");
        assert_eq!(other.read_text(), "still here");
        let metrics = fixture.server.handle.metrics();
        assert_eq!((metrics.opened, metrics.closed), (2, 1));
    });
}

#[test]
fn panic_in_opened_comes_after_the_101_and_keeps_earlier_publications() {
    with_1_and_3_workers(|config| {
        let fixture = Fixture::start(config);
        let mut other = fixture.client("/");
        other.text("joined");
        assert_eq!(other.read_text(), "joined");
        let mut victim = fixture.client("/opened");
        assert_eq!(victim.read_text(), "sent before the panic");
        assert_eq!(victim.read_until_close().0, 1011);
        assert_eq!(other.read_text(), "published before the panic");
        assert_eq!(fixture.next_failure(), panicked("in opened"));
        assert_eq!(fixture.next_closed(), panicked("in opened"));
        fixture.expect_panics(1);
    });
}

#[test]
fn panic_in_admit_or_http_is_answered_with_500() {
    let fixture = Fixture::start(socket::config(1));
    for (request, place) in [
        (upgrade("/admit", ""), "in admit"),
        (GET.replace("GET / ", "GET /http "), "in http"),
        (
            "POST /http_head HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n".to_owned(),
            "in http_head",
        ),
    ] {
        let mut client = Client::connect(fixture.server.address);
        client.send(&request);
        let response = client.read_response();
        assert_eq!(response.status, 500, "{place}");
        response.expect_whole();
        assert!(!String::from_utf8_lossy(&response.body).contains(place));
        assert!(fixture.next_failure().contains(place));
    }
    fixture.expect_panics(3);
    let mut client = fixture.client("/");
    client.text("served");
    assert_eq!(client.read_text(), "served");
}

#[test]
fn panic_in_closed_or_in_dropping_a_session_is_reported_and_ends_nothing_else() {
    let fixture = Fixture::start(socket::config(1));
    let mut other = fixture.client("/");
    for (path, place) in [("/closed", "in closed"), ("/drop", "in drop")] {
        let mut client = fixture.client(path);
        client.close(1000, "");
        client.read_close();
        assert_eq!(fixture.next_closed(), "");
        let failure = fixture.next_failure();
        assert!(failure.contains(place), "{failure}");
    }
    fixture.expect_panics(2);
    other.text("served");
    assert_eq!(other.read_text(), "served");
}

#[test]
fn panic_in_lag_policy_ends_the_connection_and_damages_no_room() {
    let fixture = Fixture::start(socket::config(1));
    let mut other = fixture.client("/");
    let mut victim = fixture.client("/");
    victim.text("policy");
    assert_eq!(victim.read_close().0, 1011);
    assert!(fixture.next_failure().contains("in lag_policy"));
    other.text("served");
    assert_eq!(other.read_text(), "served");
    fixture.expect_panics(1);
}

#[test]
fn panic_in_missed_ends_the_slow_connection_and_the_room_goes_on() {
    let lag_policy = LagPolicy {
        action: LagAction::Skip,
        bytes_max: 1,
        ..LagPolicy::default()
    };
    let fixture = Fixture::start(Config {
        lag_policy,
        ..socket::config(1)
    });
    let mut slow = Client::connect_narrow(fixture.server.address).upgraded("/slow");
    let mut publisher = fixture.client("/");
    // The slow subscriber does not read the messages of the room.
    let long = "x".repeat(64 << 10);
    eventually("the slow subscriber has missed something", TIMEOUT, || {
        publisher.text(&long);
        assert_eq!(publisher.read_text(), long);
        fixture.server.handle.metrics().panics > 0
    });
    assert!(fixture.next_failure().contains("in missed"));
    assert!(fixture.next_closed().contains("in missed"));
    // The partly written message is finished, then the Close comes.
    assert_eq!(slow.read_until_close().0, 1011);
    publisher.text("served");
    assert_eq!(publisher.read_text(), "served");
}

#[test]
fn panic_in_on_failure_is_counted_and_ignored() {
    let (closed, _reports) = channel();
    let config = Config {
        on_failure: Some(OnFailure::new(|_, _| panic!("in on_failure"))),
        pong_timeout: Duration::from_secs(60),
        ..socket::config(1)
    };
    let mut server = Running::start_with(config, Fragile { closed }, channel().1);
    server.may_panic();
    let mut victim = Client::connect(server.address).upgraded("/");
    victim.text("panic");
    victim.read_text();
    assert_eq!(victim.read_close().0, 1011);
    eventually("both panics are counted", TIMEOUT, || {
        server.handle.metrics().panics == 2
    });
    let mut other = Client::connect(server.address).upgraded("/");
    other.text("served");
    assert_eq!(other.read_text(), "served");
}
