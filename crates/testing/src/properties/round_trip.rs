//! A client and a server, connected by a wire that carries any number of bytes at a time. For all
//! actions of the two applications, each receives the other's messages whole and in order, and
//! neither connection fails.

use super::session::{Received, counting_keys};
use super::{CloseCode, CloseFrame, Connection, Fragment, Limits, Message, Role, SendError, State};
use std::collections::VecDeque;

/// The next action of an application or of the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Send(Role, Outgoing),
    /// A message in fragments. If `pings` is set, its sender also sends a Ping between two
    /// fragments.
    Fragments {
        from: Role,
        text: bool,
        parts: Vec<Vec<u8>>,
        pings: bool,
    },
    Close(Role, Option<u16>),
    /// The wire carries at most this number of bytes to this side.
    Carry(Role, usize),
}

/// An owned message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

/// Executes the steps that are encoded in a fuzzer's input.
pub fn round_trip(data: &[u8]) {
    play(&steps(data));
}

/// Executes the steps and delivers all remaining bytes. Then compares the messages that each side
/// received with the messages that the other side sent.
pub fn play(steps: &[Step]) {
    let mut server = Side::new(Role::Server);
    let mut client = Side::new(Role::Client);
    for step in steps {
        match step {
            Step::Carry(Role::Server, bytes) => server.receive(&mut client, *bytes),
            Step::Carry(Role::Client, bytes) => client.receive(&mut server, *bytes),
            Step::Send(Role::Server, sent) => server.send(sent),
            Step::Send(Role::Client, sent) => client.send(sent),
            Step::Close(Role::Server, code) => server.close(*code),
            Step::Close(Role::Client, code) => client.close(*code),
            Step::Fragments {
                from,
                text,
                parts,
                pings,
            } => match from {
                Role::Server => server.send_in_fragments(*text, parts, *pings),
                Role::Client => client.send_in_fragments(*text, parts, *pings),
            },
        }
    }
    // The remaining bytes, the replies to them, and the Close that answers a Close.
    for _ in 0..3 {
        server.receive(&mut client, usize::MAX);
        client.receive(&mut server, usize::MAX);
    }
    assert!(server.wire.is_empty() && client.wire.is_empty());
    received_all_that_was_sent(&server, &client);
    received_all_that_was_sent(&client, &server);
    closed_together(&server, &client);
}

struct Side {
    connection: Connection,
    /// Bytes in flight to the other side.
    wire: VecDeque<u8>,
    sent: Vec<Received>,
    received: Vec<Received>,
    has_closed: bool,
}

impl Side {
    fn new(role: Role) -> Side {
        let connection = match role {
            Role::Server => Connection::server(Limits::default()),
            Role::Client => Connection::client(Limits::default(), counting_keys()),
        };
        Side {
            connection,
            wire: VecDeque::new(),
            sent: Vec::new(),
            received: Vec::new(),
            has_closed: false,
        }
    }

    fn send(&mut self, sent: &Outgoing) {
        let mut output = Vec::new();
        let (connection, output_mut) = (&mut self.connection, &mut output);
        let (sent, event) = match sent {
            Outgoing::Text(text) => (
                connection.send(Message::Text(text), output_mut),
                Received::Text(text.clone()),
            ),
            Outgoing::Binary(bytes) => (
                connection.send(Message::Binary(bytes), output_mut),
                Received::Binary(bytes.clone()),
            ),
            Outgoing::Ping(bytes) => (
                connection.ping(bytes, output_mut),
                Received::Ping(bytes.clone()),
            ),
            Outgoing::Pong(bytes) => (
                connection.pong(bytes, output_mut),
                Received::Pong(bytes.clone()),
            ),
        };
        self.sent(sent, output, event);
    }

    fn send_in_fragments(&mut self, text: bool, parts: &[Vec<u8>], pings: bool) {
        let whole = parts.concat();
        let event = match String::from_utf8(whole.clone()) {
            Ok(whole) if text => Received::Text(whole),
            _ => Received::Binary(whole),
        };
        let is_text = matches!(event, Received::Text(_));
        for (i, part) in parts.iter().enumerate() {
            let last = i + 1 == parts.len();
            let fragment = if is_text {
                Fragment::text(part)
            } else {
                Fragment::binary(part)
            };
            let mut output = Vec::new();
            let sent = self
                .connection
                .send_fragment(fragment.last_if(last), &mut output);
            if last {
                self.sent(sent, output, event.clone());
            } else {
                self.wire.extend(output);
            }
            if pings && !last {
                self.send(&Outgoing::Ping(part[..part.len().min(125)].to_vec()));
            }
        }
    }

    /// A side can send messages before its Close, and none after it.
    fn sent(&mut self, sent: Result<(), SendError>, output: Vec<u8>, event: Received) {
        if self.connection.state() == State::Open {
            assert_eq!(sent, Ok(()));
        }
        match sent {
            Ok(()) => self.sent.push(event),
            Err(_) => assert_eq!(output, b"", "what is refused leaves no bytes"),
        }
        self.wire.extend(output);
    }

    fn close(&mut self, code: Option<u16>) {
        let code = code.and_then(CloseCode::new);
        let close = code.map_or(CloseFrame::EMPTY, |code| CloseFrame::new(code, "good bye"));
        let was_open = self.connection.state() == State::Open;
        let mut output = Vec::new();
        let closed = self.connection.close(close, &mut output);
        assert_eq!(closed.is_ok(), was_open, "one Close from each side");
        assert_eq!(output.is_empty(), !was_open);
        if was_open {
            let event = code.map(|code| (code.get(), "good bye".to_owned()));
            self.sent.push(Received::Close(event));
            self.has_closed = true;
        }
        self.wire.extend(output);
    }

    fn receive(&mut self, other: &mut Side, bytes_max: usize) {
        let carried = bytes_max.min(other.wire.len());
        let mut bytes: Vec<u8> = other.wire.drain(..carried).collect();
        let mut input = &mut bytes[..];
        let mut replies = Vec::new();
        loop {
            let event = self.connection.receive(&mut input, &mut replies);
            match event.expect("two of our own understand each other") {
                Some(event) => self.received.push(Received::from(event)),
                None => break,
            }
        }
        self.wire.extend(replies);
    }
}

/// All messages that were sent were received, in order. A side that has closed may stop
/// reading data, so that it need only have received the first ones. The other side's
/// automatic replies (Pong, Close) are received though its application sent nothing.
fn received_all_that_was_sent(receiver: &Side, sender: &Side) {
    let data = |received: &&Received| matches!(received, Received::Text(_) | Received::Binary(_));
    let sent: Vec<_> = sender.sent.iter().filter(data).collect();
    let received: Vec<_> = receiver.received.iter().filter(data).collect();
    if receiver.has_closed {
        assert!(sent.starts_with(&received), "{received:?} of {sent:?}");
    } else {
        assert_eq!(received, sent);
        let ping = |received: &&Received| matches!(received, Received::Ping(_));
        let pings_sent: Vec<_> = sender.sent.iter().filter(ping).collect();
        let pings_received: Vec<_> = receiver.received.iter().filter(ping).collect();
        assert_eq!(pings_received, pings_sent);
    }
}

/// Either no side has closed, or both have closed and report a clean end.
fn closed_together(server: &Side, client: &Side) {
    let states = (server.connection.state(), client.connection.state());
    if server.has_closed || client.has_closed {
        assert_eq!(states, (State::Closed, State::Closed));
        assert!(server.connection.ended().clean);
        assert!(client.connection.ended().clean);
    } else {
        assert_eq!(states, (State::Open, State::Open));
    }
}

/// Decodes steps from bytes: the action, the side, a length, and this number of bytes.
///
/// ```text
/// | 0 0 0 0 0 0 | from | ... |   the low bit is the side, the next three bits are the action
/// ```
fn steps(mut data: &[u8]) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some((&head, rest)) = data.split_first() {
        let from = if head & 1 == 0 {
            Role::Server
        } else {
            Role::Client
        };
        let (count, rest) = match rest.split_first() {
            Some((&count, rest)) => (usize::from(count), rest),
            None => (0, rest),
        };
        let (argument, rest) = match (head >> 1) & 0b111 {
            6 | 7 => (&[][..], rest),
            _ => rest.split_at(count.min(rest.len())),
        };
        let text = || String::from_utf8_lossy(argument).into_owned();
        let control = argument[..argument.len().min(125)].to_vec();
        steps.push(match (head >> 1) & 0b111 {
            0 => Step::Send(from, Outgoing::Text(text())),
            1 => Step::Send(from, Outgoing::Binary(argument.to_vec())),
            2 => Step::Send(from, Outgoing::Ping(control)),
            3 => Step::Send(from, Outgoing::Pong(control)),
            4 | 5 => Step::Fragments {
                from,
                text: head & 0b1_0000 != 0,
                parts: fragments(argument, usize::from(head >> 5)),
                pings: (head >> 1) & 0b111 == 5,
            },
            6 => Step::Close(from, (count > 0).then_some(2999 + count as u16)),
            _ => Step::Carry(from, count),
        });
        data = rest;
    }
    steps
}

fn fragments(bytes: &[u8], length: usize) -> Vec<Vec<u8>> {
    let mut parts: Vec<_> = bytes.chunks(length + 1).map(<[u8]>::to_vec).collect();
    parts.push(Vec::new()); // the last fragment may be empty
    parts
}
