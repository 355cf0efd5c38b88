//! One endpoint under test: a [`Connection`] with its events and its output.

use super::wire::{WireFrame, decode_all};
use super::{CloseCode, Connection, Event, Limits, ReadBuffer, Role};

/// An owned event of `receive`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    /// The connection failed, with this close code.
    Failed(u16),
}

impl From<Event<'_>> for Received {
    fn from(event: Event<'_>) -> Received {
        match event {
            Event::Text(text) => Received::Text(text.into_owned()),
            Event::Binary(bytes) => Received::Binary(bytes.into_owned()),
            Event::Ping(payload) => Received::Ping(payload.into_owned()),
            Event::Pong(payload) => Received::Pong(payload.into_owned()),
            Event::Close(close) => {
                let body = |code: CloseCode| (code.get(), close.reason().to_owned());
                Received::Close(close.code().map(body))
            }
            other => unreachable!("an event that no test knows: {other:?}"),
        }
    }
}

/// A connection and its output.
pub struct Endpoint {
    pub role: Role,
    pub connection: Connection,
    /// The replies to received frames, without sent messages.
    pub replies: Vec<u8>,
}

impl Endpoint {
    pub fn new(role: Role, limits: Limits) -> Endpoint {
        let connection = match role {
            Role::Server => Connection::server(limits),
            Role::Client => Connection::client(limits, counting_keys()),
        };
        Endpoint {
            role,
            connection,
            replies: Vec::new(),
        }
    }

    /// Gives `bytes` to the endpoint in one piece and returns its events. The last one is
    /// `Received::Failed` if the bytes are illegal.
    pub fn receive(&mut self, bytes: impl AsRef<[u8]>) -> Vec<Received> {
        let mut bytes = bytes.as_ref().to_vec();
        let events_max = bytes.len() / 2 + 1;
        let mut input = &mut bytes[..];
        let mut received = Vec::new();
        loop {
            match self.connection.receive(&mut input, &mut self.replies) {
                Ok(Some(event)) => received.push(Received::from(event)),
                Ok(None) => {
                    assert!(input.is_empty(), "`None` means that all input was taken");
                    return received;
                }
                Err(error) => {
                    assert!(input.is_empty(), "what follows a failure is dropped");
                    received.push(Received::Failed(error.close_code().get()));
                    return received;
                }
            }
            assert!(
                received.len() <= events_max,
                "a frame has two bytes or more"
            );
        }
    }

    /// Gives the endpoint bytes in several pieces.
    pub fn receive_in_pieces<P: AsRef<[u8]>>(
        &mut self,
        pieces: impl IntoIterator<Item = P>,
    ) -> Vec<Received> {
        let mut received = Vec::new();
        for piece in pieces {
            received.extend(self.receive(piece));
            if let Some(Received::Failed(_)) = received.last() {
                break;
            }
        }
        received
    }

    /// Reads the bytes of each piece into a [`ReadBuffer`]. `is_dry`: after each piece there is
    /// nothing more to read for now; otherwise only after the last one.
    pub fn read_in_pieces<P: AsRef<[u8]>>(
        &mut self,
        pieces: impl IntoIterator<Item = P>,
        is_dry: bool,
    ) -> Vec<Received> {
        let (mut buffer, mut received) = (ReadBuffer::default(), Vec::new());
        for piece in pieces {
            let mut rest = piece.as_ref();
            while !rest.is_empty() {
                let room = buffer.room();
                let (read, behind) = rest.split_at(room.len().min(rest.len()));
                room[..read.len()].copy_from_slice(read);
                buffer.filled(read.len());
                if !is_dry {
                    buffer.expect_more();
                }
                rest = behind;
                self.receive_from(&mut buffer, &mut received);
                if let Some(Received::Failed(_)) = received.last() {
                    return received;
                }
            }
        }
        buffer.room();
        buffer.filled(0);
        self.receive_from(&mut buffer, &mut received);
        assert!(buffer.is_empty(), "all is received when there is no more");
        received
    }

    fn receive_from(&mut self, buffer: &mut ReadBuffer, received: &mut Vec<Received>) {
        loop {
            match self.connection.receive_from(buffer, &mut self.replies) {
                Ok(Some(event)) => received.push(Received::from(event)),
                Ok(None) => return,
                Err(error) => {
                    assert!(buffer.is_empty(), "what follows a failure is dropped");
                    return received.push(Received::Failed(error.close_code().get()));
                }
            }
        }
    }

    /// Removes and returns the replies so far, as frames. Checks that they are masked as the role
    /// requires.
    pub fn take_replies(&mut self) -> Vec<WireFrame> {
        frames_of(self.role, &std::mem::take(&mut self.replies))
    }
}

/// The frames in `bytes`, written by an endpoint of this role. Checks that they are masked as the
/// role requires, and removes the masking keys, so that a test expects the same frames for both
/// roles.
pub fn frames_of(role: Role, bytes: &[u8]) -> Vec<WireFrame> {
    let frames = decode_all(bytes);
    for frame in &frames {
        assert_eq!(
            frame.masking_key.is_some(),
            role == Role::Client,
            "a client masks, a server does not: {frame:?}"
        );
        assert_eq!(frame.rsv, 0b000, "no extension is negotiated: {frame:?}");
    }
    frames.into_iter().map(WireFrame::unmasked).collect()
}

/// Predictable masking keys: two consecutive keys differ, and the bytes of a key differ.
pub fn counting_keys() -> impl FnMut() -> [u8; 4] + Send {
    let mut drawn = 0_u8;
    move || {
        drawn = drawn.wrapping_add(1);
        [drawn, !drawn, drawn ^ 0x55, drawn.wrapping_add(0x0F)]
    }
}

/// Cuts `bytes` into pieces of these lengths, which are repeated. A length of 0 is an empty piece.
/// If all lengths are 0, `bytes` stay whole.
pub fn cut<'a>(mut bytes: &'a [u8], lengths: &[u8]) -> Vec<&'a [u8]> {
    if lengths.iter().all(|&length| length == 0) {
        return vec![bytes];
    }
    let mut pieces = Vec::new();
    for &length in lengths.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at(usize::from(length).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}
