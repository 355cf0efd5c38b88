//! What a run is: every setting, checked, before anything is opened.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use yamabiko::websocket::handshake::{ClientHandshake, InvalidRequest, WebSocketUri};

use super::payload::Kind;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    /// What one member says, all members hear.
    FanOut,
    /// Connections that say nothing.
    Idle,
    /// What a connection says, it alone hears.
    Echo,
    /// As fan-out; a share of the members stops reading.
    Slow,
}

/// When a publisher sends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// Closed loop: so many messages of each publisher are on their way; when
    /// one comes back the next is sent.
    Window(NonZeroU32),
    /// Open loop: so many messages a second of all publishers together, whether
    /// those before them have come back or not.
    Rate(f64),
}

/// One run. Made by [`super::arguments`], which sees to what the fields say of
/// each other.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(super) scenario: Scenario,
    pub(super) url: WebSocketUri,
    pub(super) greeting: Greeting,
    /// At least 1.
    pub(super) connections: u32,
    /// The first so many members publish. Fan-out: 1 ≤ publishers ≤ the members
    /// that are not slow; echo: all; idle: 0.
    pub(super) publishers: u32,
    /// The last so many members stop reading.
    pub(super) slow: u32,
    /// Octets of each message's payload.
    pub(super) message_bytes: usize,
    pub(super) payload: Kind,
    /// Offer permessage-deflate, and open nothing where it is declined.
    pub(super) compress: bool,
    pub(super) pace: Pace,
    pub(super) binary: bool,
    /// Publishers do not hear themselves.
    pub(super) no_echo: bool,
    pub(super) duration: Duration,
    pub(super) warm_up: Duration,
    pub(super) settle: Duration,
    pub(super) drain: Duration,
    /// 1 ≤ threads ≤ connections.
    pub(super) threads: u32,
    pub(super) opening: Opening,
    /// The server's process, to read its CPU time and memory.
    pub(super) pid: Option<u32>,
    pub(super) json: bool,
    /// `None`: if standard error is a terminal.
    pub(super) progress: Option<bool>,
}

/// What each connection says first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Greeting {
    /// Name and value; checked.
    pub fields: Vec<(String, String)>,
    pub origin: Option<String>,
    pub subprotocols: Vec<String>,
    /// A text that each connection sends when it is open, to log in or subscribe.
    pub hello: Option<String>,
}

/// How the connections are opened.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Opening {
    /// Connections a second; `None`: as fast as it goes.
    pub rate: Option<f64>,
    /// At most so many are between TCP's SYN and the 101.
    pub at_once: NonZeroU32,
    /// The addresses to connect from, in turn; empty: the system's choice.
    pub source_addresses: Vec<IpAddr>,
    /// For TCP and the handshake of one connection, together.
    pub timeout: Duration,
}

impl Plan {
    /// Members that read to the end.
    pub(super) fn fast(&self) -> u32 {
        self.connections - self.slow
    }

    /// Is this member one of those that stop reading?
    pub(super) fn is_slow(&self, member: u32) -> bool {
        member >= self.fast()
    }

    /// Publishers of whom each member keeps count.
    pub(super) fn publishers_per_member(&self) -> u32 {
        match self.scenario {
            Scenario::Echo => 1,
            _ => self.publishers,
        }
    }
}

impl Greeting {
    /// A handshake with this URL, with 16 bytes that nobody can predict.
    ///
    /// # Errors
    /// A field, origin or subprotocol that may not be sent.
    pub(super) fn handshake(
        &self,
        url: &WebSocketUri,
        nonce: [u8; 16],
    ) -> Result<ClientHandshake, InvalidRequest> {
        let mut handshake = ClientHandshake::new(url, nonce);
        for (name, value) in &self.fields {
            handshake = handshake.field(name, value)?;
        }
        for name in &self.subprotocols {
            handshake = handshake.subprotocol(name)?;
        }
        match &self.origin {
            Some(origin) => handshake.origin(origin),
            None => Ok(handshake),
        }
    }
}

impl Scenario {
    /// The word on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Scenario::FanOut => "fan-out",
            Scenario::Idle => "idle",
            Scenario::Echo => "echo",
            Scenario::Slow => "slow",
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::arguments::{self, Command};

    /// The plan that these words make.
    pub fn plan(line: &str) -> Plan {
        match arguments::parse(line.split_whitespace().map(Into::into)) {
            Ok(Command::Bench(plan)) => *plan,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_last_members_are_the_slow_ones() {
        let plan = plan("bench slow ws://127.0.0.1:9/ --connections 10 --slow-percent 20");
        let slow: Vec<_> = (0..10).filter(|&member| plan.is_slow(member)).collect();
        assert_eq!((slow, plan.fast()), (vec![8, 9], 8));
    }

    #[test]
    fn the_handshake_asks_for_what_was_given() {
        let plan = plan(
            "bench idle ws://127.0.0.1:9/a --header X-A:b --origin https://a.example \
             --subprotocol c --subprotocol d",
        );
        let handshake = plan.greeting.handshake(&plan.url, [0; 16]).expect("valid");
        let mut request = Vec::new();
        handshake.write_request(&mut request);
        let request = String::from_utf8(request).expect("ASCII");
        assert!(request.starts_with("GET /a HTTP/1.1\r\nHost: 127.0.0.1:9\r\n"));
        for line in [
            "X-A: b",
            "Origin: https://a.example",
            "Sec-WebSocket-Protocol: c, d",
        ] {
            assert!(request.contains(&format!("\r\n{line}\r\n")), "{request}");
        }
    }
}
