//! The bytes of a connection: TCP, or TLS over TCP. No call waits, except for the handshake of TLS.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, OtherError, ServerConfig,
    ServerConnection,
};

/// How connections of `wss` are secured, by the side of the suite.
#[derive(Clone, Debug)]
pub(crate) enum Tls {
    /// With the name of the certificate that is expected.
    Client(Arc<ClientConfig>, ServerName<'static>),
    Server(Arc<ServerConfig>),
}

/// See the [module's text](self).
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<Secured>),
}

/// TLS over TCP.
pub(crate) struct Secured {
    tcp: TcpStream,
    tls: Connection,
    /// Nothing can be written any more.
    is_broken: bool,
}

impl Tls {
    /// The TLS of a new connection.
    fn connection(&self) -> Result<Connection, rustls::Error> {
        match self {
            Tls::Client(config, name) => {
                let connection = ClientConnection::new(config.clone(), name.clone());
                connection.map(Connection::from)
            }
            Tls::Server(config) => ServerConnection::new(config.clone()).map(Connection::from),
        }
    }
}

impl Transport {
    pub(crate) fn plain(stream: std::net::TcpStream) -> io::Result<Transport> {
        stream.set_nonblocking(true)?;
        Ok(Transport::Plain(TcpStream::from_std(stream)))
    }

    /// Performs the handshake; each wait in it has this limit.
    ///
    /// # Errors
    /// The peer is not trusted, or breaks a rule of TLS; or those of the operating system.
    pub(crate) fn secured(
        mut stream: std::net::TcpStream,
        tls: &Tls,
        timeout: Duration,
    ) -> io::Result<Transport> {
        let mut connection = tls.connection().map_err(io::Error::other)?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).map_err(explained)?;
        }
        stream.set_nonblocking(true)?;
        Ok(Transport::Tls(Box::new(Secured {
            tcp: TcpStream::from_std(stream),
            tls: connection,
            is_broken: false,
        })))
    }

    /// Gives bytes to the kernel, or to TLS. How many were taken.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(tcp) => tcp.write(bytes),
            Transport::Tls(secured) => secured.write(bytes),
        }
    }

    /// Gives to the kernel what TLS has sealed; whether that was anything.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Transport::Plain(_) => Ok(false),
            Transport::Tls(secured) => secured.flush(),
        }
    }

    /// Whether sealed bytes wait for the kernel.
    pub(crate) fn has_sealed(&self) -> bool {
        match self {
            Transport::Plain(_) => false,
            Transport::Tls(secured) => secured.tls.wants_write() && !secured.is_broken,
        }
    }

    /// What has come; 0: nothing follows.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(tcp) => tcp.read(buffer),
            Transport::Tls(secured) => secured.read(buffer),
        }
    }

    /// Sends FIN, and before it what TLS has for that. The peer may go on sending.
    pub(crate) fn end_sending(&mut self) {
        if let Transport::Tls(secured) = self {
            secured.tls.send_close_notify();
            // An error: the connection is gone, which reading reports.
            let _ = secured.flush();
        }
        let _ = self.tcp().shutdown(Shutdown::Write);
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Transport::Plain(tcp) => tcp,
            Transport::Tls(secured) => &secured.tcp,
        }
    }

    pub(crate) fn tcp_mut(&mut self) -> &mut TcpStream {
        match self {
            Transport::Plain(tcp) => tcp,
            Transport::Tls(secured) => &mut secured.tcp,
        }
    }
}

/// The error of a handshake. The operating system names the end of a wait as if the socket did not wait, and rustls names
/// only its own rule for a certificate of an authority.
fn explained(error: io::Error) -> io::Error {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    match (error.kind(), tls) {
        (ErrorKind::WouldBlock | ErrorKind::TimedOut, _) => io::Error::new(
            ErrorKind::TimedOut,
            "the peer does not go on with the handshake of TLS",
        ),
        (
            kind,
            Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(reason)))),
        ) if reason.to_string() == "CaUsedAsEndEntity" => io::Error::new(
            kind,
            "the certificate is one of an authority (CA:TRUE), and not one of a server: issue one with CA:FALSE \
             (openssl req: -addext basicConstraints=critical,CA:FALSE)",
        ),
        _ => error,
    }
}

impl Secured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let count = self.tls.writer().write(bytes)?;
        self.flush()?;
        match count {
            // Its buffer is full.
            0 if !bytes.is_empty() => Err(ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<bool> {
        let mut is_any = false;
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.tcp) {
                Ok(_) => is_any = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_broken = true;
                    return Err(error);
                }
            }
        }
        Ok(is_any)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // FIN without a close_notify, which many servers send.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            self.tls.read_tls(&mut self.tcp)?;
            let processed = self.tls.process_new_packets();
            // An alert, or an answer to the peer's new keys.
            let _ = self.flush();
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }
}

impl fmt::Debug for Secured {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Secured").field(&self.tcp).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use rustls::RootCertStore;

    use super::*;

    #[test]
    fn peer_that_is_silent_in_the_handshake_of_tls_is_told_as_such() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has both versions")
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let stream = TcpStream::connect(address).expect("it listens");
        let tls = Tls::Client(Arc::new(config), name);
        let error = Transport::secured(stream, &tls, Duration::from_millis(10));
        let error = error.expect_err("nobody answers");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(
            error.to_string(),
            "the peer does not go on with the handshake of TLS"
        );
    }
}
