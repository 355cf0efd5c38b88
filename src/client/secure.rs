//! Whether TLS is between TCP and the client.

use std::io;
use std::time::Instant;

use super::error::ClientError;
use super::stream::Stream;
#[cfg(feature = "tls")]
use super::transport::Transport;
use crate::websocket::handshake::WebSocketUri;

/// How the stream of a connection is secured.
pub(super) enum Secure {
    No,
    #[cfg(feature = "tls")]
    Tls(crate::tls::ClientTls),
}

impl Secure {
    /// `failed` makes the error of a socket that has failed meanwhile.
    #[cfg(feature = "tls")]
    pub(super) fn open(
        &self,
        stream: Stream,
        uri: &WebSocketUri,
        deadline: Instant,
        failed: fn(io::Error) -> ClientError,
    ) -> Result<Stream, ClientError> {
        let (tls, tcp) = match (self, stream.into_transport()) {
            (Secure::Tls(tls), Transport::Plain(tcp)) => (tls, tcp),
            (_, transport) => return Ok(Stream::new(transport)),
        };
        let session = tls.session(uri.host()).map_err(ClientError::Tls)?;
        let opened = super::tls::TlsStream::open(tcp, session, deadline);
        let stream = opened.map_err(|error| error.into_client_error(failed))?;
        Ok(Stream::new(Transport::Tls(Box::new(stream))))
    }

    #[cfg(not(feature = "tls"))]
    pub(super) fn open(
        &self,
        stream: Stream,
        _: &WebSocketUri,
        _: Instant,
        _: fn(io::Error) -> ClientError,
    ) -> Result<Stream, ClientError> {
        Ok(stream)
    }
}
