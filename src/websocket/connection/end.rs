//! How a connection ends (RFC 6455 §7.1.4 to §7.1.6).

use super::super::error::ProtocolError;
use super::super::frame::{CloseCode, CloseReason};

/// The state of a connection; drawn on the page of [`Connection`](super::Connection).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Messages go both ways.
    Open,
    /// Our Close is written; the peer's is awaited. Its messages still arrive.
    Closing,
    /// Both Closes have been sent and received. TCP is to be closed.
    Closed,
    /// The peer broke a rule. Our Close is written; TCP is to be closed.
    Failed,
}

/// How a connection has ended, asked when TCP has (§7.1.4 to §7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended<'a> {
    /// Whether the closing handshake was completed.
    pub clean: bool,
    /// The code of the first Close received; 1005 if it had none; 1006 if no
    /// Close was received.
    pub code: u16,
    /// The reason in that Close; empty if there was none.
    pub reason: &'a str,
}

/// Why nothing more is received.
#[derive(Debug)]
pub(super) enum End {
    /// The first Close that came.
    Closed {
        code: Option<CloseCode>,
        reason: Box<str>,
    },
    /// A rule that the peer broke.
    Failed(ProtocolError),
}

impl End {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.6
    //# _The WebSocket
    //# Connection Close Reason_ is defined as the UTF-8-encoded data
    //# following the status code (Section 7.4) contained in the first Close
    //# control frame received
    pub(super) fn closed(close: Option<&CloseReason<'_>>) -> End {
        End::Closed {
            code: close.map(|close| close.code),
            reason: close.map_or("", |close| &close.reason).into(),
        }
    }
}

impl<'a> Ended<'a> {
    /// `None`: nothing has ended but TCP.
    pub(super) fn new(end: Option<&'a End>) -> Ended<'a> {
        match end {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.4
            //# If the TCP connection was closed after the
            //# WebSocket closing handshake was completed, the WebSocket connection
            //# is said to have been closed _cleanly_.
            Some(End::Closed { code, reason }) => Ended {
                clean: true,
                code: code.map_or(NO_STATUS_RECEIVED, CloseCode::get),
                reason,
            },
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
            //# If _The WebSocket
            //# Connection is Closed_ and no Close control frame was received by the
            //# endpoint (such as could occur if the underlying transport connection
            //# is lost), _The WebSocket Connection Close Code_ is considered to be
            //# 1006.
            Some(End::Failed(_)) | None => Ended {
                clean: false,
                code: ABNORMAL_CLOSURE,
                reason: "",
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

// Also obeyed by `new`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.4
//# When the underlying TCP connection is closed, it is said that _The
//# WebSocket Connection is Closed_ and that the WebSocket connection is
//# in the CLOSED state.

// Also obeyed by `closed`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.6
//# If there is no such data in the Close control
//# frame, _The WebSocket Connection Close Reason_ is the empty string.
