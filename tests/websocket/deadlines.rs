//! The deadlines of a connection: silence, pong, closing handshake, unfinished message. Every rule is checked with
//! simulated time, as server and as client.

use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;
use yamabiko::time::Timestamp;
use yamabiko::websocket::deadlines::{Awaited, Deadlines, Due, Overdue, Timeouts};
use yamabiko_testing::protocol::*;

const TIMEOUTS: Timeouts = Timeouts {
    ping: Some(Duration::from_millis(25)),
    pong: Duration::from_millis(20),
    close: Duration::from_millis(5),
    message: Some(Duration::from_millis(100)),
    message_bytes_per_second_min: 0,
    closing_bytes_max: 1000,
};

/// An endpoint with its deadlines, its one timer and a transport, as a server or a client keeps them.
struct Owner {
    role: Role,
    connection: Connection,
    deadlines: Deadlines,
    timeouts: Timeouts,
    now: Timestamp,
    timer: Option<Timestamp>,
    /// Bytes that the transport has not sent.
    has_unsent: bool,
    /// Whether the transport watches acknowledgements.
    watches: bool,
    output: Vec<u8>,
    overdue: Option<Overdue>,
}

impl Owner {
    fn new(role: Role, timeouts: Timeouts) -> Owner {
        let mut owner = Owner {
            role,
            connection: open(role).connection,
            deadlines: Deadlines::new(Timestamp(0)),
            timeouts,
            now: Timestamp(0),
            timer: None,
            has_unsent: false,
            watches: false,
            output: Vec::new(),
            overdue: None,
        };
        owner.set_timer();
        owner
    }

    fn set_timer(&mut self) {
        self.timer = self.deadlines.deadline(&self.timeouts);
    }

    /// Lets the time pass, millisecond by millisecond.
    fn wait_until(&mut self, at: u64) {
        while self.now < Timestamp(at) {
            self.now = Timestamp(self.now.0 + 1);
            self.run_timer();
        }
    }

    fn run_timer(&mut self) {
        while self.timer.is_some_and(|at| at <= self.now) {
            let has_unsent = self.has_unsent;
            let due = self
                .deadlines
                .handle_timeout(self.now, &self.timeouts, || has_unsent);
            match due {
                Due::Nothing => {}
                Due::Ping => {
                    let pinged = self.connection.ping(b"", &mut self.output);
                    assert_eq!(pinged, Ok(()));
                }
                Due::WatchAcknowledgements => self.watches = true,
                Due::UnwatchAcknowledgements => self.watches = false,
                Due::Fail(overdue) => self.fail(overdue),
                other => panic!("an unknown deadline: {other:?}"),
            }
            self.set_timer();
        }
    }

    fn fail(&mut self, overdue: Overdue) {
        assert_eq!(self.overdue.replace(overdue), None, "reported once");
        if let Some(code) = overdue.close_code() {
            let closed = self.connection.close((code, ""), &mut self.output);
            assert_eq!(closed, Ok(()));
        }
    }

    fn receive(&mut self, bytes: impl AsRef<[u8]>) {
        let mut bytes = bytes.as_ref().to_vec();
        let awaited = self.deadlines.peer_is_alive(self.now);
        self.after_sign_of_life(awaited);
        let mut input = &mut bytes[..];
        loop {
            let before = input.len();
            let event = self.connection.receive(&mut input, &mut self.output);
            let event = event.expect("the peer breaks no rule");
            let is_message = event
                .as_ref()
                .is_some_and(|event| event.message().is_some());
            let is_close = matches!(event, Some(Event::Close(_)));
            let taken = before - input.len();
            if let Err(overdue) = self.deadlines.received_while_closing(taken, &self.timeouts) {
                return self.fail(overdue);
            }
            match event {
                None => break,
                Some(_) if is_message => self.deadlines.message_is_finished(),
                Some(_) if is_close => self.close_has_begun(),
                Some(_) => {}
            }
        }
        if self.connection.has_unfinished_input() {
            let bytes = self.connection.unfinished_message_bytes();
            if self
                .deadlines
                .message_is_unfinished(self.now, bytes, &self.timeouts)
            {
                self.set_timer();
            }
        } else {
            self.deadlines.message_is_finished();
        }
    }

    fn after_sign_of_life(&mut self, awaited: Option<Awaited>) {
        if let Some(awaited) = awaited {
            assert_eq!(self.watches, awaited == Awaited::Acknowledgement);
            self.watches = false;
            self.set_timer();
        }
    }

    /// The peer acknowledges some of the bytes that it was slow to take.
    fn acknowledge(&mut self) {
        let awaited = self.deadlines.peer_is_alive(self.now);
        self.after_sign_of_life(awaited);
    }

    fn resume(&mut self) {
        let awaited = self.deadlines.resume(self.now);
        self.after_sign_of_life(awaited);
        self.set_timer();
    }

    fn close(&mut self) {
        let closed = self.connection.close(CloseFrame::EMPTY, &mut self.output);
        assert_eq!(closed, Ok(()));
        self.close_has_begun();
    }

    fn close_has_begun(&mut self) {
        self.deadlines.closing(self.now);
        self.set_timer();
    }

    fn take_output(&mut self) -> Vec<WireFrame> {
        frames_of(self.role, &std::mem::take(&mut self.output))
    }
}

const PING_FRAME: fn() -> WireFrame = || WireFrame::new(PING, "");

// ── Silence and pong ────────────────────────────────────────────────────────

fn silent_peer_is_pinged_and_then_failed_with_1008(role: Role) {
    let mut owner = Owner::new(role, TIMEOUTS);
    owner.wait_until(24);
    assert_eq!(owner.take_output(), []);
    owner.wait_until(25);
    assert_eq!(owner.take_output(), [PING_FRAME()]);
    owner.wait_until(44);
    assert_eq!(owner.overdue, None);
    owner.wait_until(45);
    assert_eq!(owner.overdue, Some(Overdue::Pong));
    assert_eq!(owner.take_output(), [WireFrame::close(1008, "")]);
    assert_eq!(owner.timer, None, "nothing follows");
}
both_roles!(silent_peer_is_pinged_and_then_failed_with_1008);

fn each_byte_of_a_slow_frame_is_a_sign_of_life(role: Role) {
    let mut owner = Owner::new(role, TIMEOUTS);
    for (index, byte) in peer(role).text("slow").into_iter().enumerate() {
        // Each byte arrives just before the deadline of the pong.
        owner.wait_until(44 * (index as u64 + 1));
        if index < 2 {
            owner.receive([byte]);
            assert_eq!(owner.take_output(), [PING_FRAME()]);
        }
    }
    assert_eq!(
        owner.overdue,
        Some(Overdue::Pong),
        "the third byte did not arrive"
    );
}
both_roles!(each_byte_of_a_slow_frame_is_a_sign_of_life);

fn pong_restarts_the_time_until_the_next_ping(role: Role) {
    let mut owner = Owner::new(role, TIMEOUTS);
    for round in 0..5 {
        owner.wait_until(round * 30 + 25);
        assert_eq!(owner.take_output(), [PING_FRAME()]);
        owner.wait_until(round * 30 + 30);
        owner.receive(peer(role).pong(""));
    }
    assert_eq!(owner.overdue, None);
}
both_roles!(pong_restarts_the_time_until_the_next_ping);

#[test]
fn endpoints_that_answer_each_others_pings_live_for_an_hour() {
    let timeouts = Timeouts::default();
    let [mut server, mut client] =
        [Role::Server, Role::Client].map(|role| Owner::new(role, timeouts));
    let mut exchanges = 0;
    for at in (0..3_600_000).step_by(40) {
        for owner in [&mut server, &mut client] {
            owner.now = Timestamp(at);
            owner.run_timer();
        }
        while !(server.output.is_empty() && client.output.is_empty()) {
            exchanges += 1;
            client.receive(std::mem::take(&mut server.output));
            server.receive(std::mem::take(&mut client.output));
        }
    }
    assert_eq!((server.overdue, client.overdue), (None, None));
    // Both are silent for 25 s and ping at the same time: a ping and a pong each way.
    assert_eq!(exchanges, 2 * (3_600_000 / 25_000 - 1));
}

#[test]
fn timer_that_comes_too_early_finds_nothing_due() {
    let mut deadlines = Deadlines::new(Timestamp(0));
    for at in 0..25 {
        let due = deadlines.handle_timeout(Timestamp(at), &TIMEOUTS, || unreachable!());
        assert_eq!(due, Due::Nothing);
    }
}

#[test]
fn without_pings_an_idle_connection_has_no_deadline() {
    let timeouts = Timeouts {
        ping: None,
        ..TIMEOUTS
    };
    assert_eq!(Deadlines::new(Timestamp(0)).deadline(&timeouts), None);
}

// ── A peer that reads slowly ────────────────────────────────────────────────

fn ping_behind_unsent_bytes_is_waited_for_while_the_peer_acknowledges_some(role: Role) {
    let mut owner = Owner::new(role, TIMEOUTS);
    owner.has_unsent = true;
    owner.wait_until(45);
    assert!(owner.watches, "the transport sees to it from now on");
    owner.wait_until(1000);
    assert_eq!((owner.overdue, owner.watches), (None, true));
    owner.acknowledge();
    assert!(!owner.watches);
    owner.take_output();
    owner.wait_until(1025);
    assert_eq!(owner.take_output(), [PING_FRAME()]);
}
both_roles!(ping_behind_unsent_bytes_is_waited_for_while_the_peer_acknowledges_some);

fn time_for_the_pong_begins_again_when_all_is_sent(role: Role) {
    let mut owner = Owner::new(role, TIMEOUTS);
    owner.has_unsent = true;
    owner.wait_until(50);
    owner.has_unsent = false;
    owner.wait_until(65);
    assert!(!owner.watches);
    owner.wait_until(84);
    assert_eq!(owner.overdue, None);
    owner.wait_until(85);
    assert_eq!(owner.overdue, Some(Overdue::Pong));
}
both_roles!(time_for_the_pong_begins_again_when_all_is_sent);

// ── Pause ───────────────────────────────────────────────────────────────────

fn peer_that_is_not_read_is_not_given_up(role: Role) {
    let mut owner = Owner::new(role, TIMEOUTS);
    owner.receive(&peer(role).text("cut")[..3]);
    owner.wait_until(30);
    owner.deadlines.pause(owner.now);
    owner.wait_until(1000);
    assert_eq!(owner.overdue, None);
    owner.resume();
    owner.wait_until(1044);
    assert_eq!(owner.overdue, None);
    owner.wait_until(1045);
    assert_eq!(owner.overdue, Some(Overdue::Pong));
}
both_roles!(peer_that_is_not_read_is_not_given_up);

fn unfinished_message_is_given_up_while_its_sender_is_throttled_but_its_pong_is_not_missed(
    role: Role,
) {
    let mut owner = Owner::new(role, TIMEOUTS);
    owner.receive(&peer(role).text("cut")[..3]);
    owner.wait_until(10);
    owner.deadlines.throttle();
    owner.wait_until(99);
    assert_eq!(owner.overdue, None);
    owner.wait_until(100);
    assert_eq!(owner.overdue, Some(Overdue::Message));
}
both_roles!(
    unfinished_message_is_given_up_while_its_sender_is_throttled_but_its_pong_is_not_missed
);

fn throttled_peer_is_pinged_again_and_again_and_given_up_when_it_is_read_and_silent(role: Role) {
    let mut owner = Owner::new(role, TIMEOUTS);
    owner.deadlines.throttle();
    owner.wait_until(24);
    assert_eq!(owner.take_output(), []);
    for pings in 0..10 {
        owner.wait_until(25 + 20 * pings);
        assert_ne!(owner.take_output(), [], "ping {pings}");
    }
    assert_eq!(owner.overdue, None);
    owner.resume();
    let resumed_at = owner.now.0;
    owner.wait_until(resumed_at + 44);
    assert_eq!(owner.overdue, None);
    owner.wait_until(resumed_at + 45);
    assert_eq!(owner.overdue, Some(Overdue::Pong));
}
both_roles!(throttled_peer_is_pinged_again_and_again_and_given_up_when_it_is_read_and_silent);

fn time_of_an_unfinished_message_stands_still_in_a_pause_and_does_not_begin_again(role: Role) {
    let mut owner = Owner::new(role, TIMEOUTS);
    owner.receive(&peer(role).text("cut")[..3]);
    for pause in 0..9 {
        owner.wait_until(1000 * pause + 10);
        owner.deadlines.pause(owner.now);
        owner.wait_until(1000 * (pause + 1));
        owner.resume();
    }
    // 90 of 100 ms have passed.
    owner.wait_until(9009);
    assert_eq!(owner.overdue, None);
    owner.wait_until(9010);
    assert_eq!(owner.overdue, Some(Overdue::Message));
}
both_roles!(time_of_an_unfinished_message_stands_still_in_a_pause_and_does_not_begin_again);

fn unfinished_message_gets_the_time_that_it_takes_at_the_allowed_rate(role: Role) {
    let mut owner = Owner::new(role, TIMEOUTS);
    owner.receive(&peer(role).text("cut")[..3]);
    owner.deadlines.throttle();
    owner.deadlines.extend_message(Duration::from_millis(70));
    owner.wait_until(169);
    assert_eq!(owner.overdue, None);
    owner.wait_until(170);
    assert_eq!(owner.overdue, Some(Overdue::Message));
}
both_roles!(unfinished_message_gets_the_time_that_it_takes_at_the_allowed_rate);

fn closing_handshake_is_given_up_also_when_it_is_not_read(role: Role) {
    let mut owner = Owner::new(role, TIMEOUTS);
    owner.deadlines.pause(owner.now);
    owner.close();
    owner.wait_until(5);
    assert_eq!(owner.overdue, Some(Overdue::Close));
}
both_roles!(closing_handshake_is_given_up_also_when_it_is_not_read);

// ── Closing handshake ───────────────────────────────────────────────────────

fn close_that_is_not_answered_is_given_up_whatever_else_comes(role: Role) {
    let mut owner = Owner::new(role, TIMEOUTS);
    owner.wait_until(10);
    owner.close();
    owner.take_output();
    for at in 11..15 {
        owner.wait_until(at);
        owner.receive(peer(role).text("not a Close"));
    }
    assert_eq!(owner.overdue, None);
    owner.wait_until(15);
    assert_eq!(owner.overdue, Some(Overdue::Close));
    assert_eq!(owner.take_output(), [], "there is no second Close");
}
both_roles!(close_that_is_not_answered_is_given_up_whatever_else_comes);

fn time_of_the_closing_handshake_begins_with_the_first_close(role: Role) {
    let mut owner = Owner::new(role, TIMEOUTS);
    owner.close();
    owner.wait_until(4);
    owner.receive(peer(role).close(1000, ""));
    owner.wait_until(5);
    assert_eq!(owner.overdue, Some(Overdue::Close), "TCP has not ended");

    let mut owner = Owner::new(role, TIMEOUTS);
    owner.wait_until(3);
    owner.receive(peer(role).close(1000, ""));
    owner.wait_until(7);
    assert_eq!(owner.overdue, None);
    owner.wait_until(8);
    assert_eq!(owner.overdue, Some(Overdue::Close));
}
both_roles!(time_of_the_closing_handshake_begins_with_the_first_close);

fn bytes_after_our_close_have_a_limit(role: Role) {
    let mut owner = Owner::new(role, TIMEOUTS);
    owner.receive(peer(role).binary([0; 2000]));
    assert_eq!(owner.overdue, None, "before the Close they do not count");
    owner.close();
    let frame = peer(role).binary([0; 90]);
    for _ in 0..1000 / frame.len() {
        owner.receive(&frame);
    }
    owner.receive(&frame[..1000 % frame.len()]);
    assert_eq!(owner.overdue, None, "at the limit");
    let next = &frame[1000 % frame.len()..][..1];
    owner.receive(next);
    assert_eq!(owner.overdue, Some(Overdue::Close), "one past it");
    assert_eq!(owner.deadlines.deadline(&owner.timeouts), None);
}
both_roles!(bytes_after_our_close_have_a_limit);

// ── Unfinished message ──────────────────────────────────────────────────────

fn message_that_comes_byte_by_byte_has_a_time_limit(role: Role) {
    let mut owner = Owner::new(role, TIMEOUTS);
    let message = peer(role).binary([0; 100]);
    for (index, &byte) in message.iter().take(99).enumerate() {
        owner.wait_until(7 + index as u64);
        owner.receive([byte]);
    }
    owner.wait_until(106);
    assert_eq!(owner.overdue, None);
    owner.wait_until(107);
    assert_eq!(owner.overdue, Some(Overdue::Message));
    let frames = owner.take_output();
    assert_eq!(frames, [WireFrame::close(1008, "")]);
}
both_roles!(message_that_comes_byte_by_byte_has_a_time_limit);

fn each_message_has_the_time_limit_for_itself(role: Role) {
    let mut owner = Owner::new(role, TIMEOUTS);
    let message = peer(role).text("Hello");
    let (first, second) = message.split_at(4);
    owner.receive(first);
    for at in (90..900).step_by(90) {
        // The end of one message and the beginning of the next, with signs of life between.
        for before in [60, 30, 0] {
            owner.wait_until(at - before);
            if before > 0 {
                owner.acknowledge();
            }
        }
        owner.receive([second, first].concat());
    }
    assert_eq!(owner.overdue, None);
}
both_roles!(each_message_has_the_time_limit_for_itself);

/// 20 bytes in each 100 ms.
const WITH_RATE: Timeouts = Timeouts {
    message_bytes_per_second_min: 200,
    ..TIMEOUTS
};

fn message_may_take_long_if_it_comes_at_the_least_rate(role: Role) {
    let mut owner = Owner::new(role, WITH_RATE);
    let message = peer(role).binary([0; 120]);
    let (header, payload) = message.split_at(message.len() - 120);
    owner.receive(header);
    for (piece, at) in payload.chunks(20).zip((99..).step_by(99)) {
        for before in [80, 60, 40, 20, 0] {
            owner.wait_until(at - before);
            owner.acknowledge();
        }
        owner.receive(piece);
    }
    assert_eq!(owner.overdue, None);
    assert!(!owner.connection.has_unfinished_input());
}
both_roles!(message_may_take_long_if_it_comes_at_the_least_rate);

fn message_that_comes_one_byte_below_the_least_rate_is_given_up(role: Role) {
    for (bytes, survives) in [(20, true), (19, false)] {
        let mut owner = Owner::new(role, WITH_RATE);
        let message = peer(role).binary([0; 1000]);
        // Half of it comes at once, and that does not help later.
        let (first, rest) = message.split_at(500);
        owner.receive(first);
        for (index, byte) in rest.iter().take(bytes).enumerate() {
            owner.wait_until(4 * (index as u64 + 1));
            owner.receive([*byte]);
        }
        for at in [99, 101] {
            owner.wait_until(at);
            owner.acknowledge();
        }
        assert_eq!(owner.overdue.is_none(), survives, "{bytes} bytes");
    }
}
both_roles!(message_that_comes_one_byte_below_the_least_rate_is_given_up);

fn pings_between_fragments_are_no_progress_of_the_message(role: Role) {
    let mut owner = Owner::new(role, WITH_RATE);
    owner.receive(peer(role).binary_begins([0; 50]));
    for at in (4..100).step_by(4) {
        owner.wait_until(at);
        owner.receive(peer(role).ping([0; 125]));
    }
    assert_eq!(owner.overdue, None);
    owner.wait_until(100);
    assert_eq!(owner.overdue, Some(Overdue::Message));
}
both_roles!(pings_between_fragments_are_no_progress_of_the_message);

#[test]
fn default_time_of_a_message_is_30_s_for_each_30_kib() {
    let timeouts = Timeouts::default();
    let mut deadlines = Deadlines::new(Timestamp(0));
    deadlines.message_is_unfinished(Timestamp(0), 1, &timeouts);
    let overdue = |deadlines: &mut Deadlines, at| {
        let due = deadlines.handle_timeout(Timestamp(at), &timeouts, || false);
        due == Due::Fail(Overdue::Message)
    };
    deadlines.message_is_unfinished(Timestamp(29_999), 30 << 10, &timeouts);
    assert!(!overdue(&mut deadlines.clone(), 29_999));
    assert!(overdue(&mut deadlines.clone(), 30_000), "a byte is missing");
    deadlines.message_is_unfinished(Timestamp(29_999), (30 << 10) + 1, &timeouts);
    let _ = deadlines.peer_is_alive(Timestamp(50_000));
    assert!(!overdue(&mut deadlines.clone(), 59_998));
    assert!(overdue(&mut deadlines, 59_999));
}

#[test]
fn message_stands_from_its_first_byte_or_its_last_progress_on() {
    let timeouts = WITH_RATE;
    let mut deadlines = Deadlines::new(Timestamp(0));
    let stands =
        |deadlines: &Deadlines, at| deadlines.message_stands_for(Timestamp(at)).as_millis();
    assert_eq!(stands(&deadlines, 50), 0);
    deadlines.message_is_unfinished(Timestamp(50), 1, &timeouts);
    assert_eq!(stands(&deadlines, 60), 10);
    deadlines.message_is_unfinished(Timestamp(60), 2, &timeouts);
    assert_eq!(stands(&deadlines, 60), 10);
    deadlines.message_is_unfinished(Timestamp(60), 10_000, &timeouts);
    assert_eq!(stands(&deadlines, 65), 5);
    deadlines.pause(Timestamp(65));
    assert_eq!(stands(&deadlines, 90), 0);
    let _ = deadlines.resume(Timestamp(100));
    assert_eq!(stands(&deadlines, 100), 5);
    deadlines.message_is_finished();
    assert_eq!(stands(&deadlines, 200), 0);
}

fn message_may_take_any_time_if_the_limit_is_switched_off(role: Role) {
    let timeouts = Timeouts {
        message: None,
        ..TIMEOUTS
    };
    let mut owner = Owner::new(role, timeouts);
    for (index, &byte) in peer(role).binary([0; 200]).iter().enumerate() {
        owner.wait_until(20 * index as u64);
        owner.receive([byte]);
    }
    assert_eq!(owner.overdue, None);
}
both_roles!(message_may_take_any_time_if_the_limit_is_switched_off);

// ── Any order of events, compared with counters ─────────────────────────────

/// An event between two milliseconds.
#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u8),
    SignOfLife,
    Unsent(bool),
    Pause,
    Throttle,
    Resume,
    /// So many bytes of it more than at the step before.
    MessageIsUnfinished(u8),
    MessageIsFinished,
    Closing,
    Received(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..60_u8).prop_map(Step::Wait),
        4 => Just(Step::SignOfLife),
        2 => any::<bool>().prop_map(Step::Unsent),
        1 => Just(Step::Pause),
        1 => Just(Step::Throttle),
        2 => Just(Step::Resume),
        3 => (0..20_u8).prop_map(Step::MessageIsUnfinished),
        2 => Just(Step::MessageIsFinished),
        1 => Just(Step::Closing),
        1 => (0..600_u16).prop_map(Step::Received),
    ]
}

/// The same rules with one counter for each, which every millisecond increments.
#[derive(Debug, Default)]
struct Counters {
    silence: u64,
    /// Since the ping, if one is unanswered.
    pong: Option<u64>,
    watches: bool,
    closing: Option<u64>,
    closing_bytes: u64,
    message: Option<u64>,
    /// Bytes of the message since its counter began.
    message_bytes: u64,
    paused: bool,
    throttled: bool,
    over: bool,
}

impl Counters {
    fn message_is_unfinished(&mut self, new_bytes: u8, timeouts: &Timeouts) {
        if self.closing.is_some() || self.over {
            return;
        }
        self.message_bytes += u64::from(new_bytes);
        let millis = timeouts.message.unwrap_or_default().as_millis() as u64;
        let rate = u64::from(timeouts.message_bytes_per_second_min);
        let goes_on = rate > 0 && self.message_bytes >= (rate * millis).div_ceil(1000).max(1);
        if self.message.is_none() || goes_on {
            self.message = Some(0);
            self.message_bytes = 0;
        }
    }

    /// One millisecond passes; what is due at its end.
    fn tick(&mut self, timeouts: &Timeouts, has_unsent: bool) -> Vec<Due> {
        let millis = |timeout: Duration| timeout.as_millis() as u64;
        let mut due = Vec::new();
        if self.over {
            return due;
        }
        if let Some(closing) = &mut self.closing {
            *closing += 1;
            if *closing == millis(timeouts.close) {
                due.push(Due::Fail(Overdue::Close));
            }
            self.over = !due.is_empty();
            return due;
        }
        if let (Some(message), false) = (&mut self.message, self.paused) {
            *message += 1;
            if timeouts.message.map(millis) == Some(*message) {
                self.over = true;
                return vec![Due::Fail(Overdue::Message)];
            }
        }
        let Some(pong) = &mut self.pong else {
            self.silence += 1;
            if timeouts.ping.map(millis) == Some(self.silence) {
                self.pong = Some(0);
                due.push(Due::Ping);
            }
            return due;
        };
        if self.paused {
            return due;
        }
        *pong += 1;
        if *pong == millis(timeouts.pong) {
            *pong = 0;
            match (self.watches, has_unsent) {
                (true, true) => {}
                (false, true) => due.push(Due::WatchAcknowledgements),
                (true, false) => due.push(Due::UnwatchAcknowledgements),
                (false, false) if self.throttled => due.push(Due::Ping),
                (false, false) => {
                    self.over = true;
                    due.push(Due::Fail(Overdue::Pong));
                }
            }
            self.watches = has_unsent;
        }
        due
    }

    fn sign_of_life(&mut self) -> Option<Awaited> {
        if self.closing.is_some() || self.over {
            return None;
        }
        self.silence = 0;
        let watches = std::mem::take(&mut self.watches);
        self.pong.take().map(|_| match watches {
            true => Awaited::Acknowledgement,
            false => Awaited::Pong,
        })
    }
}

/// Deadlines with a timer that is set only when the documentation says so.
struct Timed {
    deadlines: Deadlines,
    timer: Option<Timestamp>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A pause in the middle of a wait for a pong restarts that wait, and the counters only stand still. No difference
    /// can be seen, because the end of the pause is a sign of life.
    #[test]
    fn deadlines_equal_counters_of_milliseconds_in_any_order_of_events(
        steps in vec(step(), 1..60),
        ping in prop::option::of(1..50_u64),
        pong in 1..50_u64,
        close in 1..50_u64,
        message in prop::option::of(1..90_u64),
        rate in prop_oneof![Just(0), 1..500_u32],
    ) {
        let timeouts = Timeouts {
            ping: ping.map(Duration::from_millis),
            pong: Duration::from_millis(pong),
            close: Duration::from_millis(close),
            message: message.map(Duration::from_millis),
            message_bytes_per_second_min: rate,
            closing_bytes_max: 1000,
        };
        let mut now = Timestamp(0);
        let deadlines = Deadlines::new(now);
        let timer = deadlines.deadline(&timeouts);
        let mut timed = Timed { deadlines, timer };
        let mut counters = Counters::default();
        let mut has_unsent = false;
        // Near the number at which it wraps around.
        let mut message_bytes = u32::MAX as usize - 30;
        for step in steps {
            let set_timer = match step {
                Step::Wait(millis) => {
                    for _ in 0..millis {
                        now = Timestamp(now.0 + 1);
                        let expected = counters.tick(&timeouts, has_unsent);
                        let mut due = Vec::new();
                        while timed.timer.is_some_and(|at| at <= now) {
                            due.push(timed.deadlines.handle_timeout(now, &timeouts, || has_unsent));
                            timed.timer = timed.deadlines.deadline(&timeouts);
                        }
                        due.retain(|due| *due != Due::Nothing);
                        prop_assert_eq!(due, expected, "at {:?}", now);
                    }
                    false
                }
                Step::SignOfLife => {
                    let awaited = timed.deadlines.peer_is_alive(now);
                    prop_assert_eq!(awaited, counters.sign_of_life());
                    awaited.is_some()
                }
                Step::Unsent(unsent) => {
                    has_unsent = unsent;
                    false
                }
                Step::Pause => {
                    timed.deadlines.pause(now);
                    counters.paused = true;
                    false
                }
                Step::Throttle => {
                    timed.deadlines.throttle();
                    counters.throttled = true;
                    false
                }
                Step::Resume => {
                    let awaited = timed.deadlines.resume(now);
                    prop_assert_eq!(awaited, counters.sign_of_life());
                    counters.paused = false;
                    counters.throttled = false;
                    true
                }
                Step::MessageIsUnfinished(new_bytes) => {
                    // With 32 bits this goes around, and only the difference counts.
                    message_bytes = message_bytes.wrapping_add(usize::from(new_bytes));
                    counters.message_is_unfinished(new_bytes, &timeouts);
                    timed.deadlines.message_is_unfinished(now, message_bytes, &timeouts)
                }
                Step::MessageIsFinished => {
                    timed.deadlines.message_is_finished();
                    counters.message = None;
                    false
                }
                Step::Closing => {
                    timed.deadlines.closing(now);
                    if !counters.over {
                        counters.closing.get_or_insert(0);
                    }
                    true
                }
                Step::Received(bytes) => {
                    let within = timed.deadlines.received_while_closing(bytes.into(), &timeouts);
                    if counters.closing.is_some() && !counters.over {
                        counters.closing_bytes += u64::from(bytes);
                        counters.over = counters.closing_bytes > 1000;
                        prop_assert_eq!(within.is_err(), counters.over);
                    } else {
                        prop_assert_eq!(within, Ok(()));
                    }
                    false
                }
            };
            if set_timer {
                timed.timer = timed.deadlines.deadline(&timeouts);
            }
        }
    }
}
