//! For the tests of the protocol core: handwritten frames, an endpoint under test, and a macro that
//! checks one rule as server and as client.
//!
//! The types are those of the fuzz targets ([`crate::properties`]). This module adds short names:
//!
//! ```text
//! let mut endpoint = open(role);
//! assert_eq!(endpoint.receive(peer(role).text("Hello")), [text("Hello")]);
//! ```

pub use crate::both_roles;
pub use crate::properties::handshake::write_response;
pub use crate::properties::session::{Endpoint, Received, counting_keys, cut, frames_of};
pub use crate::properties::wire::{
    BINARY, CLOSE, CONTINUATION, LengthForm, PING, PONG, RESERVED_OPCODES, RFC_KEY, TEXT,
    WireFrame, decode_all,
};
pub use crate::properties::{
    CloseCode, CloseFrame, Connection, Ended, Event, Fragment, FrameDecoder, FrameError,
    FrameHeader, FramePart, Limits, Message, Opcode, ProtocolError, ReadBuffer, Role, SendError,
    Side, State, Utf8Validator, limits, mask,
};

/// Runs `fn rule(role: Role)` as two tests: `rule::as_server` and `rule::as_client`.
#[macro_export]
macro_rules! both_roles {
    ($rule:ident) => {
        mod $rule {
            use $crate::protocol::Role;

            #[test]
            fn as_server() {
                super::$rule(Role::Server);
            }

            #[test]
            fn as_client() {
                super::$rule(Role::Client);
            }
        }
    };
}

/// An endpoint of this role, right after the opening handshake.
pub fn open(role: Role) -> Endpoint {
    Endpoint::new(role, Limits::default())
}

/// The peer of an endpoint of this role. It masks its frames if the endpoint is a server.
pub const fn peer(role: Role) -> Peer {
    Peer { role }
}

/// Writes frames as the peer of an endpoint of `role`: masked for a server, unmasked for a client.
#[derive(Clone, Copy)]
pub struct Peer {
    role: Role,
}

impl Peer {
    /// The bytes of the frame with the correct mask. Everything else may be illegal.
    pub fn frame(self, frame: WireFrame) -> Vec<u8> {
        self.masking(frame).bytes()
    }

    /// The frame with the mask that this peer must use.
    pub fn masking(self, frame: WireFrame) -> WireFrame {
        match self.role {
            Role::Server => frame.masked(RFC_KEY),
            Role::Client => frame.unmasked(),
        }
    }

    /// A header that claims this payload length, without the payload.
    pub fn header(self, frame: WireFrame, length: u64) -> Vec<u8> {
        self.masking(frame)
            .header_claiming(LengthForm::minimal(length), length)
    }

    pub fn text(self, payload: impl AsRef<[u8]>) -> Vec<u8> {
        self.frame(WireFrame::new(TEXT, payload))
    }

    pub fn binary(self, payload: impl AsRef<[u8]>) -> Vec<u8> {
        self.frame(WireFrame::new(BINARY, payload))
    }

    /// The first frame of a fragmented text message.
    pub fn text_begins(self, payload: impl AsRef<[u8]>) -> Vec<u8> {
        self.frame(WireFrame::new(TEXT, payload).unfinished())
    }

    /// The first frame of a fragmented binary message.
    pub fn binary_begins(self, payload: impl AsRef<[u8]>) -> Vec<u8> {
        self.frame(WireFrame::new(BINARY, payload).unfinished())
    }

    /// A continuation frame that is not the last.
    pub fn goes_on(self, payload: impl AsRef<[u8]>) -> Vec<u8> {
        self.frame(WireFrame::new(CONTINUATION, payload).unfinished())
    }

    /// The last frame of a fragmented message.
    pub fn ends(self, payload: impl AsRef<[u8]>) -> Vec<u8> {
        self.frame(WireFrame::new(CONTINUATION, payload))
    }

    pub fn ping(self, payload: impl AsRef<[u8]>) -> Vec<u8> {
        self.frame(WireFrame::new(PING, payload))
    }

    pub fn pong(self, payload: impl AsRef<[u8]>) -> Vec<u8> {
        self.frame(WireFrame::new(PONG, payload))
    }

    pub fn close(self, code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
        self.frame(WireFrame::close(code, reason))
    }

    pub fn close_empty(self) -> Vec<u8> {
        self.frame(WireFrame::new(CLOSE, b""))
    }
}

pub fn text(text: impl Into<String>) -> Received {
    Received::Text(text.into())
}

pub fn binary(bytes: impl AsRef<[u8]>) -> Received {
    Received::Binary(bytes.as_ref().to_vec())
}

pub fn ping(payload: impl AsRef<[u8]>) -> Received {
    Received::Ping(payload.as_ref().to_vec())
}

pub fn pong(payload: impl AsRef<[u8]>) -> Received {
    Received::Pong(payload.as_ref().to_vec())
}

pub fn close(code: u16, reason: &str) -> Received {
    Received::Close(Some((code, reason.to_owned())))
}

/// The single frame that `Connection::send` writes for this message, unmasked.
pub fn sent(endpoint: &mut Endpoint, message: Message<'_>) -> WireFrame {
    sent_by(endpoint, |connection, output| {
        connection.send(message, output)
    })
}

/// The single frame that the endpoint writes in `send`.
pub fn sent_by(
    endpoint: &mut Endpoint,
    send: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
) -> WireFrame {
    let mut output = Vec::new();
    assert_eq!(send(&mut endpoint.connection, &mut output), Ok(()));
    let [frame] = &frames_of(endpoint.role, &output)[..] else {
        panic!("not exactly one frame: {output:x?}");
    };
    frame.clone()
}

/// Gives `bytes` to a new endpoint. It must fail at once with this code, send it in one Close
/// frame, and send and process nothing afterwards.
#[track_caller]
pub fn fails_with(code: u16, role: Role, bytes: impl AsRef<[u8]>) {
    fails_after(&[], code, open(role), bytes);
}

/// As [`fails_with`], for an endpoint with earlier input. Before the failure it reports these events.
#[track_caller]
pub fn fails_after(
    events: &[Received],
    code: u16,
    mut endpoint: Endpoint,
    bytes: impl AsRef<[u8]>,
) {
    let bytes = bytes.as_ref();
    let received = endpoint.receive(bytes);
    let (failure, before) = received.split_last().expect("an event or a failure");
    assert_eq!(before, events);
    assert_eq!(*failure, Received::Failed(code), "for {bytes:x?}");

    let replies = endpoint.take_replies();
    let last = replies.last().expect("a failure sends a Close");
    assert_eq!(last.close_body().map(|body| body.0), Some(code));
    let closes = replies.iter().filter(|frame| frame.opcode == CLOSE).count();
    assert_eq!(closes, 1);
    is_dead(endpoint, code);
}

/// §7.1.7: an endpoint that has failed processes nothing and sends nothing.
#[track_caller]
pub fn is_dead(mut endpoint: Endpoint, code: u16) {
    let peer = peer(endpoint.role);
    assert_eq!(endpoint.connection.state(), State::Failed);
    assert!(!endpoint.connection.ended().clean);
    for bytes in [peer.text("more"), peer.ping(""), peer.close(1000, "")] {
        assert_eq!(endpoint.receive(bytes), [Received::Failed(code)]);
    }
    assert_eq!(endpoint.replies, b"", "nothing follows the Close");

    let mut output = Vec::new();
    let sent = endpoint.connection.send(Message::Text("late"), &mut output);
    assert!(sent.is_err());
    endpoint.connection.resume_replies(&mut output);
    assert_eq!(output, b"", "nothing follows the Close");
}
