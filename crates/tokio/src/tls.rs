//! TLS of a client's connection, by tokio-rustls.

use std::io;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::Error;
use tokio_rustls::rustls::pki_types::ServerName;
use yamabiko::client::ClientError;
use yamabiko::tls::{ClientTls, TlsError};

use crate::client_stream::ClientStream;

/// Performs the TLS handshake for this host: a name, or an IP address (one of IPv6 with brackets).
///
/// # Errors
/// [`ClientError::Tls`]; [`ClientError::EndedInHandshake`] if TCP has failed.
pub(crate) async fn secure(
    tcp: TcpStream,
    host: &str,
    trusted: Option<&ClientTls>,
) -> Result<ClientStream, ClientError> {
    let tls = match trusted {
        Some(tls) => tls.clone(),
        // It reads the files of the operating system.
        None => tokio::task::spawn_blocking(ClientTls::platform)
            .await
            .map_err(|error| ClientError::EndedInHandshake(Some(io::Error::other(error))))?
            .map_err(ClientError::Tls)?,
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let name = ServerName::try_from(bare.unwrap_or(host).to_owned());
    let name = name.map_err(|error| tls_failed(Error::General(error.to_string())))?;
    let connector = TlsConnector::from(tls.rustls_config());
    let opened = connector.connect(name, tcp).await;
    opened.map(ClientStream::tls).map_err(|error| {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
        match cause.cloned() {
            Some(cause) => tls_failed(cause),
            None => ClientError::EndedInHandshake(Some(error)),
        }
    })
}

fn tls_failed(error: Error) -> ClientError {
    ClientError::Tls(TlsError::from(error))
}
