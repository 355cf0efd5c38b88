//! TLS for the server and the client, without I/O (RFC 8446, RFC 5246), by rustls.
//!
//! ```text
//!   ServerTls ── certificates, tickets ──┐
//!                                        ├─▶ Session ◀─▶ bytes of the socket
//!   ClientTls ── trusted roots ──────────┘      ▲
//!                                               └──────▶ bytes of HTTP and WebSocket
//! ```
//!
//! A [`Session`] is one connection's TLS: bytes in, bytes out, no socket and no clock of its own.
//! The event loop uses it as a channel (`channel.rs`), the blocking client calls it directly.
//!
//! rustls is used by its unbuffered interface: a session reads records where the socket's bytes
//! lie and keeps no buffer. So a connection at rest holds its keys and little more. docs/tls.md
//! has the numbers, and docs/decisions.md why rustls, and why with ring.
//!
//! Versions 1.2 and 1.3, with the cipher suites of rustls: authenticated encryption with forward
//! secrecy only. There is no renegotiation, no compression, no early data and no client
//! certificate.

mod certificate;
#[cfg(feature = "reactor")]
mod channel;
mod client;
mod error;
mod server;
mod session;

pub use certificate::{Certificate, InvalidCertificate};
pub use client::ClientTls;
pub use error::TlsError;
pub use server::ServerTls;
pub use session::{Received, Session, State};

use rustls::crypto::CryptoProvider;
use std::sync::Arc;

/// The one protocol that is spoken over TLS here (RFC 7301): HTTP/1.1, on which a WebSocket opens.
const ALPN: &[u8] = b"http/1.1";

/// The cryptography, given to rustls by value: nothing is installed for the whole process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
