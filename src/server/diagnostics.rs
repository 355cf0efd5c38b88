//! What the server reports to the program's log: through `tracing`, with the feature of that name. Without it the functions are empty.
//!
//! | name of the event | level | when |
//! |---|---|---|
//! | `connection_opened` | debug | a WebSocket is open |
//! | `connection_closed` | info; warn if a limit ended it; error after a panic | a WebSocket has ended |
//! | `request_refused` | warn for a host or an origin, otherwise info | a request is answered by a refusal |
//! | `connection_refused` | warn | a connection is beyond a limit, or a named proxy sent no header |
//! | `client_slowed` | info | a client exceeds a rate and is not read for a while |
//! | `messages_skipped` | info | a subscriber was too slow, and messages were skipped |
//! | `handler_panicked` | error | a method of the application panicked |
//! | `backplane_changed` | warn, or info when it is ready again | the engine of the backplane cannot be reached, or can again |
//! | `messages_missing` | warn | messages of a room of the backplane are missing, and its subscribers are told |
//!
//! All have the target `yamabiko`. The path of a request is without its query, and no header field but Host and Origin is in an event:
//! tokens, cookies and subprotocols never are. Texts of clients are fields of the type text and unchanged: the subscriber has to escape
//! control characters.
//!
//! Cost: nothing for a message. An event that no subscriber wants costs one comparison.

use super::backplane::BackplaneState;
#[cfg(feature = "tracing")]
use super::close_counts::{ClosedBy, code_of, first_close};
use super::failure::Failure;
use super::history::Position;
use super::lag::Missed;
use super::rates::Rate;
use super::refusal_reason::RefusalReason;
use super::totals::ConnectionTotals;
use crate::http::{Refusal, RequestHead};
use crate::reactor::PeerAddress;
#[cfg(feature = "tracing")]
use crate::websocket::CloseFrame;
use crate::websocket::Ended;
#[cfg(feature = "tracing")]
use tracing::Level;

/// The end of a WebSocket connection.
#[cfg_attr(not(feature = "tracing"), allow(dead_code))]
pub(super) struct ConnectionClosed<'a> {
    pub(super) address: PeerAddress,
    pub(super) ended: &'a Ended,
    pub(super) failure: Option<&'a Failure>,
    pub(super) totals: Option<&'a ConnectionTotals>,
    pub(super) room: Option<&'a str>,
}

/// A request that is refused.
#[cfg_attr(not(feature = "tracing"), allow(dead_code))]
pub(super) struct RequestRefused<'a> {
    pub(super) address: PeerAddress,
    pub(super) reason: RefusalReason,
    pub(super) refusal: &'a Refusal,
    /// `None`: it is no valid request.
    pub(super) head: Option<&'a RequestHead<'a>>,
    /// As the client, or a named proxy, tells it.
    pub(super) host: Option<&'a str>,
}

/// A WebSocket is open.
pub(super) fn connection_opened(address: PeerAddress) {
    #[cfg(feature = "tracing")]
    tracing::event!(
        name: "connection_opened", target: TARGET, Level::DEBUG, %address, "connection opened"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = address;
}

/// A WebSocket has ended.
pub(super) fn connection_closed(closed: &ConnectionClosed<'_>) {
    #[cfg(feature = "tracing")]
    {
        let ConnectionClosed {
            address,
            ended,
            failure,
            totals,
            room,
        } = closed;
        let reason = first_close(ended).map(CloseFrame::reason);
        let seconds = totals.map(|totals| totals.open_for.as_secs_f64());
        macro_rules! closed {
            ($level:expr) => {
                tracing::event!(
                    name: "connection_closed", target: TARGET, $level,
                    by = ClosedBy::of(ended).name(),
                    code = code_of(ended),
                    reason = reason.filter(|reason| !reason.is_empty()),
                    failure = failure.map(Failure::name),
                    detail = failure.map(tracing::field::display),
                    clean = ended.clean,
                    seconds,
                    messages_received = totals.map(|totals| totals.messages_received),
                    bytes_received = totals.map(|totals| totals.bytes_received),
                    messages_sent = totals.map(|totals| totals.messages_sent),
                    bytes_sent = totals.map(|totals| totals.bytes_sent),
                    %address,
                    room,
                    "connection closed"
                )
            };
        }
        match failure {
            Some(Failure::Panicked { .. }) => closed!(Level::ERROR),
            Some(Failure::TooSlow { .. } | Failure::TooFast { .. } | Failure::Overloaded) => {
                closed!(Level::WARN);
            }
            _ => closed!(Level::INFO),
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = closed;
}

/// A request is answered by a refusal.
pub(super) fn request_refused(refused: &RequestRefused<'_>) {
    #[cfg(feature = "tracing")]
    {
        let RequestRefused {
            address,
            reason,
            refusal,
            head,
            host,
        } = refused;
        let origin = head.and_then(|head| head.fields().get("Origin"));
        let origin = origin.map(String::from_utf8_lossy);
        macro_rules! refused {
            ($level:expr) => {
                tracing::event!(
                    name: "request_refused", target: TARGET, $level,
                    reason = reason.name(),
                    status = refusal.status().code(),
                    detail = refusal.reason(),
                    method = head.map(|head| head.method()),
                    path = head.map(|head| head.path()),
                    host,
                    origin = origin.as_deref(),
                    %address,
                    "request refused"
                )
            };
        }
        match reason {
            RefusalReason::Host | RefusalReason::Origin => refused!(Level::WARN),
            _ => refused!(Level::INFO),
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = refused;
}

/// A connection is beyond a limit, or a named proxy sent no header.
pub(super) fn connection_refused(address: PeerAddress, reason: RefusalReason) {
    #[cfg(feature = "tracing")]
    tracing::event!(
        name: "connection_refused", target: TARGET, Level::WARN,
        reason = reason.name(), setting = setting_of(reason), %address, "connection refused"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (address, reason);
}

/// The setting that an operator may change.
#[cfg(feature = "tracing")]
fn setting_of(reason: RefusalReason) -> Option<&'static str> {
    Some(match reason {
        RefusalReason::Connections | RefusalReason::Replaced => {
            "--connections-max (Config::connections_max)"
        }
        RefusalReason::ConnectionsPerAddress => {
            "--connections-per-address (Config::connections_per_address)"
        }
        RefusalReason::ConnectionsPerSecond => {
            "--connections-per-second (Config::connections_per_second)"
        }
        RefusalReason::Memory => "--memory-bytes-max (Config::memory_bytes_max)",
        RefusalReason::ProxyHeader => "--proxy-protocol (Proxies::proxy_protocol)",
        _ => return None,
    })
}

/// A client exceeds a rate and is not read for a while.
pub(super) fn client_slowed(address: PeerAddress, rate: Rate) {
    #[cfg(feature = "tracing")]
    tracing::event!(
        name: "client_slowed", target: TARGET, Level::INFO,
        %rate, %address, "client slowed: it exceeds a rate"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (address, rate);
}

/// A subscriber was too slow, and messages were skipped.
pub(super) fn messages_skipped(address: PeerAddress, room: &str, missed: Missed) {
    #[cfg(feature = "tracing")]
    tracing::event!(
        name: "messages_skipped", target: TARGET, Level::INFO,
        messages = missed.messages, bytes = missed.bytes, room, %address,
        "messages skipped: the subscriber is too slow"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (address, room, missed);
}

/// A method of the application panicked.
pub(super) fn handler_panicked(address: PeerAddress, failure: &Failure) {
    #[cfg(feature = "tracing")]
    tracing::event!(
        name: "handler_panicked", target: TARGET, Level::ERROR,
        detail = %failure, %address, "a handler has panicked"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (address, failure);
}

/// The engine of the backplane cannot be reached, or can again.
pub(super) fn backplane_changed(state: &BackplaneState) {
    #[cfg(feature = "tracing")]
    match state.is_ready {
        true => tracing::event!(
            name: "backplane_changed", target: TARGET, Level::INFO, "the backplane is ready"
        ),
        false => tracing::event!(
            name: "backplane_changed", target: TARGET, Level::WARN,
            reason = state.reason.as_deref(), "the backplane is not ready"
        ),
    }
    #[cfg(not(feature = "tracing"))]
    let _ = state;
}

/// Messages of a room of the backplane are missing in front of this place.
pub(super) fn messages_missing(room: &str, position: Position) {
    #[cfg(feature = "tracing")]
    tracing::event!(
        name: "messages_missing", target: TARGET, Level::WARN,
        room, %position, "messages of a room are missing"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (room, position);
}

#[cfg(feature = "tracing")]
const TARGET: &str = "yamabiko";
