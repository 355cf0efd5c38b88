//! What a case does on one connection: a list of steps, as data.
//!
//! ```text
//!   Script::new().frame(Frame::text("a").rsv(4)).fails(&[1002])
//!   ──────┬────── ──────────────┬────────────── ───────┬──────
//!     opening                 send                  expect
//! ```
//!
//! A script does not know its role: the suite masks as a client and does not as a server.

use std::time::Duration;

use crate::extension::{Agreed, Parameters};
use crate::frame::Frame;
use crate::http::{Head, Template};
use crate::reader::{CompressedSeen, FrameSeen};
use crate::words::alternatives;

/// The steps of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub opening: Opening,
    pub steps: Vec<Step>,
    /// A connection that fails needs a Close frame with one of the codes.
    pub needs_code: bool,
}

/// How the connection is opened.
#[derive(Clone, Debug)]
pub(crate) enum Opening {
    /// The legal opening handshake, without extensions.
    Standard,
    /// With permessage-deflate: an offer to a server; for a client, additions to what it
    /// offers. A peer that does not agree makes the case not applicable.
    Deflate(Parameters),
    /// By the steps themselves.
    ByHand,
}

/// One step of a script.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Writes these items.
    Send {
        items: Vec<Item>,
        cut: Cut,
    },
    /// Sends this frame again and again, until the peer ends the connection or has been sent so
    /// many bytes.
    Flood {
        frame: Frame,
        bytes_max: usize,
    },
    Expect(Expected),
    /// Sends FIN.
    EndSending,
    /// Ends the connection by RST. Nothing can follow but a fresh connection.
    Reset,
    /// Stops or resumes reading.
    Pause(bool),
}

/// How bytes are written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// In one call.
    Whole,
    /// In pieces of so many bytes.
    Pieces(usize),
    /// In two pieces, the first of so many bytes.
    At(usize),
}

/// Something to send.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Frame(Frame),
    /// A frame without its last bytes.
    Part {
        frame: Frame,
        missing: usize,
    },
    /// The same frame again and again.
    Repeat {
        frame: Frame,
        count: usize,
    },
    /// A message, compressed as it was agreed, in fragments of so many bytes.
    Compressed {
        opcode: u8,
        payload: Vec<u8>,
        fragment_bytes: usize,
    },
    /// Any bytes, with what they are in words.
    Bytes(Vec<u8>, &'static str),
    Head(Template),
}

/// What must happen.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// The next message.
    Message { is_binary: bool, payload: Vec<u8> },
    /// The next so many messages are all this one.
    Messages { count: usize, payload: Vec<u8> },
    /// This message, or that the peer fails the connection.
    MessageOrFailure { is_binary: bool, payload: Vec<u8> },
    /// The next pong.
    Pong(Vec<u8>),
    /// A pong for the last of these pings, and in their order for any of the others.
    PongsUntil(Vec<Vec<u8>>),
    /// A pong with `last`, after any number of pongs with `others`.
    PongAfter { last: Vec<u8>, others: Vec<u8> },
    /// The peer has sent the first bytes of its answer.
    Begun,
    /// The peer fails the connection: no message, a Close frame with one of these codes or
    /// none, the end of TCP.
    Failure(&'static [u16]),
    /// The same, but a Close frame must have one of these codes or none.
    FailureBy(&'static [u16]),
    /// A Close frame, after the suite's own.
    Close(Codes),
    /// No message and no pong have arrived that no step expects.
    NothingElse,
    /// The peer ends TCP, and sends nothing before it.
    End,
    /// The peer does not end TCP for a short time.
    NoEnd,
    /// The response has status 101 and these properties.
    Accepted(HeadRule),
    /// Sec-WebSocket-Accept of the response belongs to the key.
    Accept,
    /// The response has status 101; any other one makes the case not applicable, for this
    /// reason.
    AcceptedUnless(&'static str),
    /// The response has status 101, or the request is refused, which ends the script.
    AcceptedOrRefused,
    /// The response has not status 101.
    NotAccepted,
    /// No response until the end of TCP has status 101.
    NothingAccepted,
    /// A response with one of these statuses; empty: any of 4xx and 5xx.
    Refused(&'static [u16], HeadRule),
    /// A property of the client's request.
    Request(HeadRule),
    /// The key of the client's request was in no other request of it.
    NewKey,
    /// The peer sends nothing for a short time.
    Quiet,
    /// A property of all frames so far.
    Frames(FramesRule),
    /// The peer accepts or offers permessage-deflate; otherwise the case does not apply.
    DeflateIsKnown,
    /// The request is refused, or accepted without permessage-deflate.
    DeflateDeclined,
    /// A property of the client's request; a violation is the reason why the case does not
    /// apply.
    RequestHas(HeadRule),
    /// The suite may refer to earlier messages and has a window of 32,768 bytes; otherwise the
    /// case does not apply.
    WholeWindow,
    /// A message with a copy from the farthest place that the agreed window allows comes back.
    EchoAcrossWindow,
    /// A property of all compressed messages so far.
    Compressed(CompressedRule),
    /// A fresh connection is served.
    FreshConnection,
    /// The peer ends TCP within this time.
    EndWithin(Duration),
}

/// A property of a head; the error describes the violation.
pub(crate) type HeadRule = fn(&Head) -> Result<(), String>;

/// A property of all frames of a connection; the error describes the violation.
pub(crate) type FramesRule = fn(&[FrameSeen]) -> Result<(), String>;

/// A property of the peer's compressed messages, by what was agreed.
pub(crate) type CompressedRule = fn(Agreed, &[CompressedSeen]) -> Result<(), String>;

/// The codes that a Close frame of the peer may have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Codes {
    /// Any legal one, or none.
    Any,
    /// One of these; 1005 stands for a Close frame without a code.
    OneOf(&'static [u16]),
    Exactly(u16),
}

impl Script {
    /// A script that begins after the opening handshake.
    pub(crate) fn new() -> Script {
        Script {
            opening: Opening::Standard,
            steps: Vec::new(),
            needs_code: false,
        }
    }

    /// A script that begins when TCP is open.
    pub(crate) fn by_hand() -> Script {
        Script {
            opening: Opening::ByHand,
            ..Script::new()
        }
    }

    /// A script that begins after the agreement on permessage-deflate.
    pub(crate) fn deflate(parameters: Parameters) -> Script {
        Script {
            opening: Opening::Deflate(parameters),
            ..Script::new()
        }
    }

    /// The same, where a failing connection needs a Close frame with the code.
    pub(crate) fn with_code(mut self) -> Script {
        self.needs_code = true;
        self
    }

    /// A response for a path that the suite does not have.
    pub(crate) fn not_found() -> Script {
        const RESPONSE: &str =
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        Script::by_hand().bytes(RESPONSE, "a response")
    }

    fn step(mut self, step: Step) -> Script {
        self.steps.push(step);
        self
    }

    pub(crate) fn frame(self, frame: Frame) -> Script {
        self.frames([frame])
    }

    /// Several frames in one write.
    pub(crate) fn frames(self, frames: impl IntoIterator<Item = Frame>) -> Script {
        let items = frames.into_iter().map(Item::Frame).collect();
        self.step(Step::Send {
            items,
            cut: Cut::Whole,
        })
    }

    /// Frames in writes of so many bytes.
    pub(crate) fn pieces(self, bytes: usize, frames: impl IntoIterator<Item = Frame>) -> Script {
        let items = frames.into_iter().map(Item::Frame).collect();
        self.step(Step::Send {
            items,
            cut: Cut::Pieces(bytes),
        })
    }

    /// A compressed message, in one frame or in fragments of so many bytes.
    pub(crate) fn compressed(
        self,
        opcode: u8,
        payload: impl Into<Vec<u8>>,
        fragment_bytes: usize,
    ) -> Script {
        let items = vec![Item::Compressed {
            opcode,
            payload: payload.into(),
            fragment_bytes,
        }];
        self.step(Step::Send {
            items,
            cut: Cut::Whole,
        })
    }

    /// A frame whose last bytes are never sent.
    pub(crate) fn part(self, frame: Frame, missing: usize) -> Script {
        let items = vec![Item::Part { frame, missing }];
        self.step(Step::Send {
            items,
            cut: Cut::Whole,
        })
    }

    /// The same frame many times in one write.
    pub(crate) fn repeat(self, frame: Frame, count: usize) -> Script {
        let items = vec![Item::Repeat { frame, count }];
        self.step(Step::Send {
            items,
            cut: Cut::Whole,
        })
    }

    /// See [`Step::Flood`].
    pub(crate) fn flood(self, frame: Frame, bytes_max: usize) -> Script {
        self.step(Step::Flood { frame, bytes_max })
    }

    pub(crate) fn bytes(self, bytes: impl Into<Vec<u8>>, words: &'static str) -> Script {
        let items = vec![Item::Bytes(bytes.into(), words)];
        self.step(Step::Send {
            items,
            cut: Cut::Whole,
        })
    }

    pub(crate) fn head(self, head: Template) -> Script {
        let items = vec![Item::Head(head)];
        self.step(Step::Send {
            items,
            cut: Cut::Whole,
        })
    }

    /// A head, and frames behind it, in writes of so many bytes.
    pub(crate) fn head_pieces(self, bytes: usize, head: Template) -> Script {
        let items = vec![Item::Head(head)];
        self.step(Step::Send {
            items,
            cut: Cut::Pieces(bytes),
        })
    }

    /// A head and frames in one write.
    pub(crate) fn head_with(
        self,
        head: Template,
        frames: impl IntoIterator<Item = Frame>,
    ) -> Script {
        let frames = frames.into_iter().map(Item::Frame);
        let items = [Item::Head(head)].into_iter().chain(frames).collect();
        self.step(Step::Send {
            items,
            cut: Cut::Whole,
        })
    }

    /// A head in two writes, the first of so many bytes.
    pub(crate) fn head_cut(self, first_bytes: usize, head: Template) -> Script {
        let items = vec![Item::Head(head)];
        self.step(Step::Send {
            items,
            cut: Cut::At(first_bytes),
        })
    }

    pub(crate) fn end_sending(self) -> Script {
        self.step(Step::EndSending)
    }

    pub(crate) fn reset(self) -> Script {
        self.step(Step::Reset)
    }

    pub(crate) fn pause(self, is_paused: bool) -> Script {
        self.step(Step::Pause(is_paused))
    }

    pub(crate) fn expect(self, expected: Expected) -> Script {
        self.step(Step::Expect(expected))
    }

    pub(crate) fn text(self, payload: impl AsRef<[u8]>) -> Script {
        let payload = payload.as_ref().to_vec();
        self.expect(Expected::Message {
            is_binary: false,
            payload,
        })
    }

    pub(crate) fn binary(self, payload: impl AsRef<[u8]>) -> Script {
        let payload = payload.as_ref().to_vec();
        self.expect(Expected::Message {
            is_binary: true,
            payload,
        })
    }

    pub(crate) fn pong(self, payload: impl AsRef<[u8]>) -> Script {
        self.expect(Expected::Pong(payload.as_ref().to_vec()))
    }

    /// Sends a text message and expects it back.
    pub(crate) fn echo(self, payload: impl AsRef<[u8]>) -> Script {
        let payload = payload.as_ref();
        self.frame(Frame::text(payload)).text(payload)
    }

    pub(crate) fn fails(self, codes: &'static [u16]) -> Script {
        self.expect(Expected::Failure(codes))
    }

    /// The connection fails, and where Close with another code would be an answer, not a failure.
    pub(crate) fn fails_by(self, codes: &'static [u16]) -> Script {
        self.expect(Expected::FailureBy(codes))
    }

    /// The closing handshake with 1000.
    pub(crate) fn closes(self) -> Script {
        self.frame(Frame::close(1000, ""))
            .expect(Expected::Close(Codes::Any))
            .expect(Expected::NothingElse)
    }
}

impl Codes {
    /// What is expected, for a report.
    pub(crate) fn words(self) -> String {
        match self {
            Codes::Any => "any code".to_owned(),
            Codes::OneOf(codes) => alternatives(codes),
            Codes::Exactly(code) => code.to_string(),
        }
    }
}
