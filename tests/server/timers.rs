//! The timers that a handler sets for its connections.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use yamabiko::server::{
    Admission, CloseCode, Closed, Config, Context, Handler, Message, Refusal, TooManyTimers,
    Upgrade,
};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{
    Client, Frame, TIMEOUT, TestServer, config, frame, with_1_and_3_workers,
};

/// Executes texts: `set NUMBER MILLISECONDS`, `clear NUMBER`, `close`, `fill`, `panic MILLISECONDS`. Each timer sends its number,
/// and timer 9 sets itself again.
struct Timed {
    closed: Sender<()>,
}

const AGAIN: u32 = 9;
const PANICS: u32 = 13;

impl Handler for Timed {
    /// When the last timer was set.
    type Session = Instant;

    fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<Instant>, Refusal> {
        Ok(Admission::new(Instant::now()))
    }

    fn message(&self, set_at: &mut Instant, message: Message<'_>, context: &mut Context<'_>) {
        let text = message.as_text().expect("a text");
        let arguments: Vec<&str> = text.split(' ').collect();
        let number = |index: usize| -> u64 { arguments[index].parse().expect("a number") };
        *set_at = Instant::now();
        match arguments[0] {
            "set" => {
                let after = Duration::from_millis(number(2));
                let set = context.set_timer(number(1) as u32, after);
                set.expect("there are few timers");
            }
            "clear" => context.clear_timer(number(1) as u32),
            "close" => context.close(CloseCode::NORMAL),
            "fill" => {
                for timer in 0..Context::TIMERS_MAX {
                    let set = context.set_timer(timer as u32, TIMEOUT);
                    set.expect("as many as are allowed");
                }
                let one_more = context.set_timer(99, TIMEOUT);
                assert!(matches!(one_more, Err(TooManyTimers { .. })));
                assert_eq!(context.set_timer(0, Duration::ZERO), Ok(()));
            }
            "panic" => {
                let after = Duration::from_millis(number(1));
                context.set_timer(PANICS, after).expect("few timers");
            }
            other => panic!("unknown command {other}"),
        }
    }

    fn timer(&self, _: &mut Instant, number: u32, context: &mut Context<'_>) {
        assert_ne!(number, PANICS, "this timer panics");
        context.send(number.to_string()).expect("the client reads");
        if number == AGAIN {
            context
                .set_timer(AGAIN, Duration::ZERO)
                .expect("few timers");
        }
    }

    fn closed(&self, _: Instant, _: &Closed<'_>, context: &mut Context<'_>) {
        // Has no effect any more.
        context.set_timer(1, Duration::ZERO).expect("no effect");
        let _ = self.closed.send(());
    }
}

fn start(config: Config) -> (TestServer, Receiver<()>) {
    let (sender, closed) = channel();
    (TestServer::start(config, Timed { closed: sender }), closed)
}

#[test]
fn timers_are_called_in_the_order_of_their_time() {
    with_1_and_3_workers(|config| {
        let (server, _closed) = start(config);
        let mut client = Client::open(server.address);
        // In one read, so in one turn: 2 replaces the first 2, and 3 is cleared.
        let texts = [
            "set 1 40",
            "set 2 3600000",
            "set 3 10",
            "set 4 0",
            "set 2 20",
            "clear 3",
        ];
        let frames = texts.map(|text| frame(Opcode::Text, text.as_bytes()));
        client.send(frames.concat());
        assert_eq!(client.read_text(), "4");
        assert_eq!(client.read_text(), "2");
        assert_eq!(client.read_text(), "1");
    });
}

#[test]
fn timer_is_not_called_before_its_time() {
    let (server, _closed) = start(config(1));
    let mut client = Client::open(server.address);
    let begun = Instant::now();
    client.text("set 1 50");
    assert_eq!(client.read_text(), "1");
    // The wheel counts whole milliseconds from the beginning of a turn.
    assert!(begun.elapsed() >= Duration::from_millis(49));
}

#[test]
fn timer_that_sets_itself_again_lets_other_clients_be_served() {
    let (server, _closed) = start(config(1));
    let mut busy = Client::open(server.address);
    busy.text("set 9 0");
    let mut other = Client::open(server.address);
    other.text("set 1 0");
    assert_eq!(other.read_text(), "1");
    for _ in 0..10 {
        assert_eq!(busy.read_text(), "9");
    }
}

#[test]
fn connection_has_as_many_timers_as_are_allowed_and_not_one_more() {
    let (server, _closed) = start(config(1));
    let mut client = Client::open(server.address);
    client.text("fill");
    assert_eq!(client.read_text(), "0");
}

#[test]
fn timer_of_a_connection_that_closes_is_not_called() {
    let (server, closed) = start(config(1));
    let mut client = Client::open(server.address);
    let texts = ["set 1 5", "close"];
    let frames = texts.map(|text| frame(Opcode::Text, text.as_bytes()));
    client.send(frames.concat());
    assert_eq!(client.read_close().0, 1000);
    // Another connection's timer, which is later, is called: so the time of the first one is over.
    let mut other = Client::open(server.address);
    other.text("set 2 20");
    assert_eq!(other.read_text(), "2");
    client.close(1000, "");
    client.expect_end();
    closed.recv_timeout(TIMEOUT).expect("it has closed");
}

#[test]
fn timer_of_an_ended_connection_is_not_called_for_the_next_one_with_its_socket() {
    let (server, closed) = start(config(1));
    let mut client = Client::open(server.address);
    client.text("set 1 10");
    client.text("set 2 0");
    assert_eq!(client.read_text(), "2");
    client.reset();
    closed.recv_timeout(TIMEOUT).expect("it has ended");
    let mut next = Client::open(server.address);
    next.text("set 3 30");
    assert_eq!(next.read_text(), "3");
}

#[test]
fn deadlines_of_the_server_and_timers_of_the_handler_share_the_sockets_deadline() {
    let (server, _closed) = start(Config {
        ping_interval: Some(Duration::from_millis(20)),
        ..config(1)
    });
    let mut client = Client::open(server.address);
    client.text("set 1 60");
    // If both have come when the worker looks, the timer is called first.
    let (mut is_pinged, mut is_called) = (false, false);
    while !(is_pinged && is_called) {
        match client.read_frame() {
            frame if frame.opcode == Opcode::Ping => is_pinged = true,
            frame => {
                assert_eq!(frame, Frame::text("1"));
                is_called = true;
            }
        }
    }
}

#[test]
fn panic_in_a_timer_ends_its_connection_only() {
    let (mut server, closed) = start(config(1));
    server.may_panic();
    let mut client = Client::open(server.address);
    let mut other = Client::open(server.address);
    client.text("panic 1");
    assert_eq!(client.read_close().0, 1011);
    closed.recv_timeout(TIMEOUT).expect("it has ended");
    other.text("set 1 1");
    assert_eq!(other.read_text(), "1");
    assert_eq!(server.handle.metrics().panics, 1);
}
