//! The bytes of a connection, for a program that shows them.

/// Bytes between client and server, as this end sees them; of a TLS connection those inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Traffic<'a> {
    /// This end has sent them.
    Sent(&'a [u8]),
    /// This end has received them.
    Received(&'a [u8]),
}
