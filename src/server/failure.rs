//! Failures: why the server ended a connection before the closing handshake was complete.

use super::rates::Rate;
use crate::websocket::ProtocolError;
use std::{fmt, io};

/// Why a connection failed: it ended before its closing handshake was complete, or a method of the handler panicked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The client broke a rule. It got a Close with the rule's code.
    Protocol(ProtocolError),
    /// After a ping, no byte came from the client for [`Config::pong_timeout`](super::Config).
    PongTimeout,
    /// A message of the client was not completed in time, and did not come at the least rate: see
    /// [`Config::message_timeout`](super::Config). The client got a Close with 1008.
    MessageTimeout,
    /// The client did not answer our Close within [`Config::close_timeout`](super::Config), or within `drain_timeout` when
    /// the server stops, or it sent 64 MiB of other data instead.
    CloseTimeout,
    /// The client read too slowly: it is beyond a limit of the [`LagPolicy`](super::LagPolicy).
    TooSlow {
        /// How many bytes of a room's log were waiting for it.
        bytes: u64,
    },
    /// The client sent more than a rate of [`Config::rates`](super::Config) allows, and the action is
    /// [`RateAction::Close`](super::RateAction). It got a Close with 1008.
    TooFast {
        /// The rate.
        rate: Rate,
    },
    /// The server had used up its memory budget ([`Config::memory_bytes_max`](super::Config)), and this connection had the
    /// longest unfinished message, or was the slowest reader. It got a Close with 1013, unless it took nothing.
    Overloaded,
    /// TCP ended without a Close.
    EndOfInput,
    /// TCP failed.
    Transport(io::Error),
    /// TLS failed: the client does not accept the certificate, offers nothing that this server speaks, or has broken a rule.
    Tls(io::Error),
    /// A method of the [`Handler`](super::Handler) panicked.
    Panicked {
        /// The text of the panic. It is not sent to the client.
        message: String,
    },
}

impl Failure {
    /// The names of all kinds of failures, in the order of [`Failure::index`].
    pub(super) const NAMES: [&'static str; 11] = [
        "protocol",
        "pong_timeout",
        "message_timeout",
        "close_timeout",
        "too_slow",
        "too_fast",
        "overloaded",
        "end_of_input",
        "transport",
        "panic",
        "tls",
    ];

    /// The name of its kind, in logs and metrics: `protocol`, `pong_timeout`, `too_slow` and their like.
    pub fn name(&self) -> &'static str {
        Failure::NAMES[self.index()]
    }

    pub(super) fn index(&self) -> usize {
        match self {
            Failure::Protocol(_) => 0,
            Failure::PongTimeout => 1,
            Failure::MessageTimeout => 2,
            Failure::CloseTimeout => 3,
            Failure::TooSlow { .. } => 4,
            Failure::TooFast { .. } => 5,
            Failure::Overloaded => 6,
            Failure::EndOfInput => 7,
            Failure::Transport(_) => 8,
            Failure::Panicked { .. } => 9,
            Failure::Tls(_) => 10,
        }
    }

    /// A socket has failed.
    pub(super) fn of_socket(error: io::Error) -> Failure {
        match is_tls(&error) {
            true => Failure::Tls(error),
            false => Failure::Transport(error),
        }
    }
}

#[cfg(feature = "tls")]
fn is_tls(error: &io::Error) -> bool {
    let cause = error.get_ref();
    cause.is_some_and(|cause| cause.is::<crate::tls::TlsError>())
}

#[cfg(not(feature = "tls"))]
fn is_tls(_: &io::Error) -> bool {
    false
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Protocol(error) => error.fmt(f),
            Failure::PongTimeout => f.write_str("no pong came in time"),
            Failure::MessageTimeout => f.write_str("a message was not completed in time"),
            Failure::CloseTimeout => f.write_str("the closing handshake was not answered in time"),
            Failure::TooSlow { bytes } => write!(f, "too slow: {bytes} bytes behind"),
            Failure::TooFast { rate } => write!(f, "too fast: too many {rate} in a second"),
            Failure::Overloaded => f.write_str("the server has no memory left"),
            Failure::EndOfInput => f.write_str("TCP ended without a Close"),
            Failure::Transport(error) | Failure::Tls(error) => error.fmt(f),
            Failure::Panicked { message } => write!(f, "a handler has panicked: {message}"),
        }
    }
}

/// The cause that `Display` does not tell.
impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Failure::Protocol(error) => error.source(),
            Failure::Transport(error) | Failure::Tls(error) => error.source(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::frame::FrameError;
    use std::error::Error;

    #[test]
    fn every_kind_of_failure_has_a_name_of_its_own() {
        let mut names = Failure::NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Failure::NAMES.len());
        assert_eq!(
            Failure::Panicked {
                message: String::new()
            }
            .name(),
            "panic"
        );
    }

    #[test]
    fn failure_tells_its_cause_once() {
        let rule = ProtocolError::Frame(FrameError::ReservedOpcode(3));
        let failure = Failure::Protocol(rule);
        assert_eq!(failure.to_string(), rule.to_string());
        assert!(failure.source().is_none());
        assert!(Failure::EndOfInput.source().is_none());
    }
}
