//! Which connections speak TLS, and how one begins.

use super::config::Config;
use crate::reactor::{Channel, Io, SocketKey};

/// The label of the listeners whose connections speak TLS.
pub(super) const TLS: u8 = 1;

/// Whether the connection's listener is one for TLS.
pub(super) fn speaks_tls(io: &mut Io, key: SocketKey) -> bool {
    io.label(key) == TLS
}

/// The TLS of a new connection.
#[cfg(feature = "tls")]
pub(super) fn channel(config: &Config) -> Option<Box<dyn Channel>> {
    let tls = config.tls.as_ref()?;
    Some(Box::new(tls.session()))
}

#[cfg(not(feature = "tls"))]
pub(super) fn channel(_: &Config) -> Option<Box<dyn Channel>> {
    None
}

/// Whether there is a certificate.
pub(super) fn has_certificate(config: &Config) -> bool {
    channel(config).is_some()
}

/// The response to a request of HTTP that comes on a port for TLS.
pub(super) const TLS_EXPECTED: &str = "this port speaks TLS: use https or wss";
