//! Why the server refused a connection or a request.

use crate::reactor::LimitReached;
use std::fmt;

/// Why a connection or a request was refused before it became a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalReason {
    /// [`Config::connections_max`](super::Config), or the descriptors of the process.
    Connections,
    /// It had sent no request, and gave its place to a new one: the server is full ([`Config::connections_max`](super::Config)).
    Replaced,
    /// [`Config::connections_per_address`](super::Config).
    ConnectionsPerAddress,
    /// [`Config::connections_per_second`](super::Config).
    ConnectionsPerSecond,
    /// [`Config::memory_bytes_max`](super::Config).
    Memory,
    /// A named proxy began the connection without a valid header of the PROXY protocol.
    ProxyHeader,
    /// The request breaks a rule or a limit of HTTP.
    Request,
    /// The request did not come in time.
    Timeout,
    /// The request is for a host that is not among [`Config::hosts`](super::Config).
    Host,
    /// The upgrade request breaks a rule of RFC 6455.
    Handshake,
    /// The page has an origin that is not among [`Config::origins`](super::Config).
    Origin,
    /// The token is missing or not valid ([`Config::tokens`](super::Config)).
    Token,
    /// [`Handler::admit`](super::Handler::admit) refused it.
    Application,
    /// A method of the handler panicked.
    Panic,
}

impl RefusalReason {
    /// All reasons.
    pub const ALL: [RefusalReason; 14] = [
        RefusalReason::Connections,
        RefusalReason::Replaced,
        RefusalReason::ConnectionsPerAddress,
        RefusalReason::ConnectionsPerSecond,
        RefusalReason::Memory,
        RefusalReason::ProxyHeader,
        RefusalReason::Request,
        RefusalReason::Timeout,
        RefusalReason::Host,
        RefusalReason::Handshake,
        RefusalReason::Origin,
        RefusalReason::Token,
        RefusalReason::Application,
        RefusalReason::Panic,
    ];

    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            RefusalReason::Connections => "connections",
            RefusalReason::Replaced => "replaced",
            RefusalReason::ConnectionsPerAddress => "connections_per_address",
            RefusalReason::ConnectionsPerSecond => "connections_per_second",
            RefusalReason::Memory => "memory",
            RefusalReason::ProxyHeader => "proxy_header",
            RefusalReason::Request => "request",
            RefusalReason::Timeout => "timeout",
            RefusalReason::Host => "host",
            RefusalReason::Handshake => "handshake",
            RefusalReason::Origin => "origin",
            RefusalReason::Token => "token",
            RefusalReason::Application => "application",
            RefusalReason::Panic => "panic",
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

impl From<LimitReached> for RefusalReason {
    fn from(limit: LimitReached) -> RefusalReason {
        match limit {
            LimitReached::Connections => RefusalReason::Connections,
            LimitReached::ConnectionsPerAddress => RefusalReason::ConnectionsPerAddress,
            LimitReached::ConnectionsPerSecond => RefusalReason::ConnectionsPerSecond,
        }
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place_and_a_name_of_its_own() {
        for (index, reason) in RefusalReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index, "{reason}");
            let same = RefusalReason::ALL
                .iter()
                .filter(|other| other.name() == reason.name());
            assert_eq!(same.count(), 1, "{reason}");
        }
    }
}
