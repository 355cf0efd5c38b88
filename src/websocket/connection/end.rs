//! How a connection ends (RFC 6455 §7.1.4 to §7.1.6).

use super::super::error::ProtocolError;
use super::super::frame::{CloseCode, CloseFrame};
use core::fmt;

/// The state of a connection; drawn on the page of [`Connection`](super::Connection).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Messages go both ways.
    Open,
    /// Our Close is written; the peer's is awaited. Its messages still arrive.
    Closing,
    /// Both Closes have been sent and received. TCP is to be closed.
    Closed,
    /// The peer broke a rule. Our Close is written; TCP is to be closed.
    Failed,
    /// The input has ended, and no Close has come from the peer. Nothing more is sent or
    /// received.
    Lost,
}

/// How a connection has ended, asked when TCP has (§7.1.4 to §7.1.6). The default is a
/// connection that was lost before either end had sent a Close.
///
/// | | `first_close` | `received` | `sent` | `clean` |
/// |---|---|---|---|---|
/// | the peer closed | `Peer` | its code | the same code | true |
/// | this end closed, and the peer answered | `Local` | the peer's code | ours | true |
/// | this end closed, and TCP ended before the answer | `Local` | – | ours | false |
/// | the peer broke a rule (`error`) | `Local` | – | the rule's code | false |
/// | TCP ended | – | – | – | false |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// Whether the closing handshake was completed.
    pub clean: bool,
    /// The end that sent the first Close. `None`: neither did.
    pub first_close: Option<Side>,
    /// The first Close that was received.
    pub received: Option<CloseFrame<'static>>,
    /// The Close that this end has sent.
    pub sent: Option<CloseFrame<'static>>,
    /// The rule that the peer broke.
    pub error: Option<ProtocolError>,
}

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// This end.
    Local,
    /// The other end.
    Peer,
}

impl Ended {
    /// The WebSocket connection close code: that of the Close that was received; 1005 if
    /// it had none; 1006 if no Close was received.
    pub fn code(&self) -> u16 {
        match &self.received {
            Some(close) => close.code().map_or(NO_STATUS_RECEIVED, CloseCode::get),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
            //# If _The WebSocket
            //# Connection is Closed_ and no Close control frame was received by the
            //# endpoint (such as could occur if the underlying transport connection
            //# is lost), _The WebSocket Connection Close Code_ is considered to be
            //# 1006.
            None => ABNORMAL_CLOSURE,
        }
    }

    /// The WebSocket connection close reason: that of the Close that was received, or
    /// empty.
    pub fn reason(&self) -> &str {
        self.received.as_ref().map_or("", CloseFrame::reason)
    }
}

/// As it can stand in a log.
///
/// ```
/// # use yamabiko::websocket::{Connection, Limits};
/// let mut client = Connection::client(Limits::default(), || [0; 4]);
/// let mut bytes = *b"\x88\x05\x03\xe9bye"; // a Close
/// client.receive(&mut &mut bytes[..], &mut Vec::new())?;
/// assert_eq!(client.ended().to_string(), "closed by the peer (1001: bye)");
/// # Ok::<(), yamabiko::websocket::ProtocolError>(())
/// ```
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = &self.error {
            return write!(f, "failed: {error}");
        }
        let (side, close) = match self.first_close {
            None => return f.write_str("lost without a Close"),
            Some(Side::Local) => ("this end", &self.sent),
            Some(Side::Peer) => ("the peer", &self.received),
        };
        write!(f, "closed by {side}")?;
        if let Some(close) = close {
            write!(f, " ({close})")?;
        }
        match self.clean {
            true => Ok(()),
            false => f.write_str(", and lost before the other Close"),
        }
    }
}

/// The Closes so far, and why nothing more is received. Exists from the first Close on.
#[derive(Debug, Default)]
pub(super) struct Closing {
    first: Option<Side>,
    received: Option<CloseFrame<'static>>,
    sent: Option<CloseFrame<'static>>,
    end: Option<End>,
}

/// Why nothing more is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The peer's Close has come.
    Closed,
    /// The peer broke a rule.
    Failed(ProtocolError),
    /// The input has ended.
    Lost,
}

impl Closing {
    /// Our Close is written.
    pub(super) fn sent(&mut self, close: &CloseFrame<'_>) {
        self.first.get_or_insert(Side::Local);
        self.sent = Some(close.clone().into_owned());
    }

    /// The peer's Close has come.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.6
    //# _The WebSocket
    //# Connection Close Reason_ is defined as the UTF-8-encoded data
    //# following the status code (Section 7.4) contained in the first Close
    //# control frame received
    pub(super) fn received(&mut self, close: &CloseFrame<'_>) {
        self.first.get_or_insert(Side::Peer);
        self.received = Some(close.clone().into_owned());
    }

    /// The first end counts.
    pub(super) fn finish(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    #[inline]
    pub(super) fn end(&self) -> Option<End> {
        self.end
    }

    pub(super) fn ended(&self) -> Ended {
        Ended {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.4
            //# If the TCP connection was closed after the
            //# WebSocket closing handshake was completed, the WebSocket connection
            //# is said to have been closed _cleanly_.
            clean: self.end == Some(End::Closed),
            first_close: self.first,
            received: self.received.clone(),
            sent: self.sent.clone(),
            error: match self.end {
                Some(End::Failed(error)) => Some(error),
                _ => None,
            },
        }
    }
}

/// Given to the application, never sent: a Close came without a code (§7.4.1).
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
//# If this Close control frame contains no status
//# code, _The WebSocket Connection Close Code_ is considered to be 1005.
const NO_STATUS_RECEIVED: u16 = 1005;
/// Given to the application, never sent: TCP ended without a Close (§7.4.1).
const ABNORMAL_CLOSURE: u16 = 1006;

// Also obeyed by `ended`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.4
//# When the underlying TCP connection is closed, it is said that _The
//# WebSocket Connection is Closed_ and that the WebSocket connection is
//# in the CLOSED state.

// Also obeyed by `reason`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.6
//# If there is no such data in the Close control
//# frame, _The WebSocket Connection Close Reason_ is the empty string.
