//! The inner connection: both ends as the core has them, and the bytes between them.
//!
//! ```text
//!   bytes of the page, as the client ──▶ server: events, an echo, replies ──▶ client: events, replies ──▶ …
//!   bytes of the page, as the server ──▶ client: events, replies ──▶ server …
//! ```
//!
//! The page is the hand of an end: what it sends in the name of an end has not been sent by the [`Connection`] of that end. That one is only
//! told of a legal Close, which changes its state. Replies, pongs and Closes, are carried on until both ends are quiet. That ends: a client
//! sends no message by itself, a pong is not answered, and each end sends one Close at most.
//!
//! After the closing handshake, or a broken rule, the server closes TCP (RFC 6455 §7.1.1).

use yamabiko::websocket::{Connection, Event, Limits, Message, ProtocolError, State};

use crate::dissect::dissect;
use crate::limits::{DESCRIBED_MAX, FRAGMENTS_MAX, MESSAGE_BYTES_MAX};
use crate::messages::{End, EndReport, Ends, ErrorReport, EventReport, Step};

/// The masking key of every frame: that of the RFC's examples, so that a reader recognises it. A real client draws each key at random.
pub(crate) const MASKING_KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Small enough to be exceeded by hand.
pub(crate) fn limits() -> Limits {
    Limits {
        message_bytes_max: MESSAGE_BYTES_MAX,
        fragments_max: FRAGMENTS_MAX,
        ..Limits::default()
    }
}

/// Both ends of an open connection.
#[derive(Debug)]
pub(crate) struct Wire {
    client: Connection,
    server: Connection,
    /// Whether RSV1 has a meaning.
    compressed: bool,
    tcp_open: bool,
    /// The beginning of a frame that is not complete, by its sender. Each is at most a header and [`MESSAGE_BYTES_MAX`]: its
    /// receiver fails at the header of a longer one.
    unfinished_of_client: Vec<u8>,
    unfinished_of_server: Vec<u8>,
}

/// What an end did with some bytes.
#[derive(Default)]
struct Received {
    events: Vec<EventReport>,
    omitted_events: usize,
    error: Option<ErrorReport>,
    output: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(client: Connection, server: Connection, compressed: bool) -> Wire {
        Wire {
            client,
            server,
            compressed,
            tcp_open: true,
            unfinished_of_client: Vec::new(),
            unfinished_of_server: Vec::new(),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.tcp_open
    }

    /// Whether RSV1 has a meaning on it.
    pub(crate) fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Carries bytes that the page sends in place of `from`, and the answers to them.
    pub(crate) fn carry(&mut self, from: End, bytes: Vec<u8>) -> Vec<Step> {
        let (mut from, mut bytes, mut automatic) = (from, bytes, false);
        let mut steps = Vec::new();
        loop {
            let (step, output) = self.carry_once(from, &bytes, automatic);
            steps.push(step);
            if output.is_empty() {
                break;
            }
            (from, bytes, automatic) = (from.other(), output, true);
        }
        self.close_tcp_if_done();
        steps
    }

    /// TCP ends without a Close.
    pub(crate) fn cut(&mut self) {
        self.tcp_open = false;
        self.client.end_of_input();
        self.server.end_of_input();
    }

    pub(crate) fn ends(&self) -> Ends {
        Ends {
            client: self.end(&self.client),
            server: self.end(&self.server),
            tcp_open: self.tcp_open,
        }
    }

    fn carry_once(&mut self, from: End, bytes: &[u8], automatic: bool) -> (Step, Vec<u8>) {
        let receiver = self.connection(from.other());
        let read = matches!(receiver.state(), State::Open | State::Closing);
        let received = match read {
            true => receive(receiver, from, bytes),
            false => Received::default(),
        };
        let mut all = std::mem::take(self.unfinished_of(from));
        all.extend_from_slice(bytes);
        let dissection = dissect(from, &all, self.compressed);
        if read && received.error.is_none() {
            all.drain(..all.len() - dissection.unfinished_bytes);
            *self.unfinished_of(from) = all;
        }
        if let Some(close) = dissection.close.filter(|_| !automatic) {
            // Its state changes; the bytes are those of the page. An end that is not open stays as it is.
            let _ = self.connection(from).close(close, &mut Vec::new());
        }
        let step = Step {
            from,
            automatic,
            frames: dissection.frames,
            omitted_bytes: dissection.omitted_bytes,
            read,
            events: received.events,
            omitted_events: received.omitted_events,
            error: received.error,
            client: state_name(&self.client),
            server: state_name(&self.server),
        };
        (step, received.output)
    }

    fn close_tcp_if_done(&mut self) {
        if matches!(self.server.state(), State::Closed | State::Failed) {
            self.tcp_open = false;
            self.client.end_of_input();
            self.server.end_of_input();
        }
    }

    fn connection(&mut self, end: End) -> &mut Connection {
        match end {
            End::Client => &mut self.client,
            End::Server => &mut self.server,
        }
    }

    fn unfinished_of(&mut self, end: End) -> &mut Vec<u8> {
        match end {
            End::Client => &mut self.unfinished_of_client,
            End::Server => &mut self.unfinished_of_server,
        }
    }

    fn end(&self, connection: &Connection) -> EndReport {
        let ended = (!self.tcp_open).then(|| connection.ended());
        EndReport {
            state: state_name(connection),
            code: ended.as_ref().map(|ended| ended.code()),
            ended: ended.map(|ended| ended.to_string()),
        }
    }
}

/// The events of an end. A server sends each message back.
fn receive(receiver: &mut Connection, from: End, bytes: &[u8]) -> Received {
    let mut received = Received::default();
    let mut bytes = bytes.to_vec();
    let mut input = &mut bytes[..];
    loop {
        match receiver.receive(&mut input, &mut received.output) {
            Ok(None) => return received,
            Ok(Some(event)) => {
                if let (End::Client, Some(message)) = (from, event.message()) {
                    // Not while the server is closing.
                    let _ = receiver.send(message, &mut received.output);
                }
                received.add(&event);
            }
            Err(error) => {
                received.error = Some(error_report(error));
                return received;
            }
        }
    }
}

impl Received {
    fn add(&mut self, event: &Event<'_>) {
        match self.events.len() < DESCRIBED_MAX {
            true => self.events.push(event_report(event)),
            false => self.omitted_events += 1,
        }
    }
}

fn event_report(event: &Event<'_>) -> EventReport {
    let (name, text) = match event {
        Event::Ping(payload) => ("ping", String::from_utf8_lossy(payload).into_owned()),
        Event::Pong(payload) => ("pong", String::from_utf8_lossy(payload).into_owned()),
        Event::Close(close) => (
            "close",
            close_text(close.code().map(|code| code.get()), close.reason()),
        ),
        other => match other.message() {
            Some(Message::Text(text)) => ("text", text.to_owned()),
            Some(Message::Binary(bytes)) => ("binary", crate::hexadecimal::written(bytes)),
            None => ("event", String::new()),
        },
    };
    EventReport { event: name, text }
}

fn close_text(code: Option<u16>, reason: &str) -> String {
    match (code, reason) {
        (None, _) => "without a code".to_owned(),
        (Some(code), "") => code.to_string(),
        (Some(code), reason) => format!("{code}: {reason}"),
    }
}

fn error_report(error: ProtocolError) -> ErrorReport {
    ErrorReport {
        text: error.to_string(),
        close_code: error.close_code().get(),
        rule: error.rule().into(),
    }
}

fn state_name(connection: &Connection) -> &'static str {
    match connection.state() {
        State::Open => "open",
        State::Closing => "closing",
        State::Closed => "closed",
        State::Failed => "failed",
        _ => "lost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use yamabiko::websocket::frame::{Opcode, encode};

    fn wire() -> Wire {
        let client = Connection::client(limits(), || MASKING_KEY);
        Wire::new(client, Connection::server(limits()), false)
    }

    fn masked(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(fin, opcode, Some(MASKING_KEY), payload, &mut bytes);
        bytes
    }

    fn states(ends: &Ends) -> (&'static str, &'static str, bool) {
        (ends.client.state, ends.server.state, ends.tcp_open)
    }

    #[test]
    fn a_text_comes_back_and_both_ends_report_it() {
        let mut wire = wire();
        let steps = wire.carry(End::Client, masked(true, Opcode::Text, b"Hello"));
        assert_eq!(steps.len(), 2);
        assert_eq!((steps[0].from, steps[0].automatic), (End::Client, false));
        assert_eq!((steps[1].from, steps[1].automatic), (End::Server, true));
        assert_eq!(steps[1].frames[0].bytes, "81 05 48 65 6c 6c 6f");
        for step in &steps {
            assert_eq!(
                (step.events[0].event, &*step.events[0].text),
                ("text", "Hello")
            );
        }
        assert_eq!(states(&wire.ends()), ("open", "open", true));
    }

    #[test]
    fn a_close_of_the_page_moves_both_ends_and_then_tcp_ends() {
        let mut wire = wire();
        let steps = wire.carry(End::Client, masked(true, Opcode::Close, b"\x03\xe8"));
        assert_eq!((steps[0].client, steps[0].server), ("closing", "closed"));
        assert_eq!((steps[1].client, steps[1].server), ("closed", "closed"));
        let ends = wire.ends();
        assert_eq!(states(&ends), ("closed", "closed", false));
        assert_eq!(
            (ends.client.code, ends.server.code),
            (Some(1000), Some(1000))
        );
    }

    #[test]
    fn a_close_of_the_server_is_answered_by_the_client() {
        let mut wire = wire();
        let steps = wire.carry(End::Server, b"\x88\x02\x03\xe9".to_vec());
        assert_eq!(steps.len(), 2);
        assert_eq!((steps[0].client, steps[0].server), ("closed", "closing"));
        assert_eq!(states(&wire.ends()), ("closed", "closed", false));
    }

    #[test]
    fn a_broken_frame_fails_its_receiver_with_the_sentence_of_the_rfc() {
        let mut wire = wire();
        let steps = wire.carry(End::Client, b"\x81\x05Hello".to_vec());
        let error = steps[0].error.as_ref().expect("it is not masked");
        assert_eq!((error.close_code, error.rule.section), (1002, "5.1"));
        assert_eq!(steps[0].server, "failed");
        assert_eq!(steps[1].events[0].event, "close");
        // The client answers the Close, and the server reads no more.
        assert!(!steps[2].read && steps[2].events.is_empty());
        let ends = wire.ends();
        assert_eq!(states(&ends), ("closed", "failed", false));
        assert_eq!(
            (ends.client.code, ends.server.code),
            (Some(1002), Some(1006))
        );
    }

    #[test]
    fn a_client_fails_at_a_masked_frame_and_the_server_answers_its_close() {
        let mut wire = wire();
        let steps = wire.carry(End::Server, masked(true, Opcode::Text, b"Hello"));
        assert_eq!(
            steps[0].error.as_ref().map(|error| error.rule.section),
            Some("5.1")
        );
        assert_eq!(states(&wire.ends()), ("failed", "closed", false));
    }

    #[test]
    fn a_frame_that_is_cut_is_shown_whole_with_its_rest() {
        let mut wire = wire();
        let bytes = masked(true, Opcode::Text, b"Hello");
        let first = wire.carry(End::Client, bytes[..7].to_vec());
        assert_eq!((first.len(), first[0].frames[0].missing_bytes), (1, 4));
        let second = wire.carry(End::Client, bytes[7..].to_vec());
        assert_eq!(
            second[0].frames[0].bytes,
            crate::hexadecimal::written(&bytes)
        );
        assert_eq!(second[1].events[0].text, "Hello");
    }

    #[test]
    fn limits_of_the_inner_connection_hold_at_the_bound_and_past_it() {
        let longest = vec![b'a'; MESSAGE_BYTES_MAX];
        let mut wire = wire();
        let steps = wire.carry(End::Client, masked(true, Opcode::Text, &longest));
        assert!(steps[0].error.is_none());
        let header = b"\x82\xfe\x10\x01\x37\xfa\x21\x3d".to_vec();
        let steps = wire.carry(End::Client, header);
        let error = steps[0].error.as_ref().expect("too long");
        assert_eq!((error.close_code, error.rule.section), (1009, "10.4"));
    }

    #[test]
    fn unfinished_bytes_are_bounded_by_the_longest_message() {
        let mut wire = wire();
        let bytes = masked(true, Opcode::Binary, &vec![0; MESSAGE_BYTES_MAX]);
        for some in bytes[..bytes.len() - 1].chunks(100) {
            wire.carry(End::Client, some.to_vec());
        }
        assert_eq!(wire.unfinished_of_client.len(), bytes.len() - 1);
        wire.carry(End::Client, bytes[bytes.len() - 1..].to_vec());
        assert!(wire.unfinished_of_client.is_empty());
        wire.carry(End::Client, b"\x81\x05Hello".to_vec());
        assert!(
            wire.unfinished_of_client.is_empty(),
            "the server reads no more"
        );
    }

    #[test]
    fn an_end_of_tcp_without_a_close_is_lost_with_1006() {
        let mut wire = wire();
        wire.cut();
        let ends = wire.ends();
        assert_eq!(states(&ends), ("lost", "lost", false));
        assert_eq!(
            (ends.client.code, ends.server.code),
            (Some(1006), Some(1006))
        );
    }
}
