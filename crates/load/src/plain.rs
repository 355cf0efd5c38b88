//! The stream of a connection while it is opened, without the feature `tls`. `secure.rs` is the one with it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use yamabiko::reactor::{Io, SocketKey};
use yamabiko::websocket::handshake::hide_credentials;

use super::error::Error;
use super::plan::Plan;

/// Nobody: no connection is secured.
pub(super) struct Trust;

/// # Errors
/// The URL begins with `wss`.
pub(super) fn trust(plan: &Plan) -> Result<Trust, Error> {
    match plan.url.secure() {
        true => Err(Error::Secure {
            url: hide_credentials(&plan.url.to_string()),
        }),
        false => Ok(Trust),
    }
}

/// A connection that is being opened.
pub(super) struct Stream(TcpStream);

/// There is none.
pub(super) enum Secured {}

impl Stream {
    /// # Errors
    /// None.
    pub(super) fn open(
        tcp: TcpStream,
        _trust: &Trust,
        _host: &str,
        _left: impl Fn() -> io::Result<Duration>,
    ) -> io::Result<Stream> {
        Ok(Stream(tcp))
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// What has come, at least one byte. The limits of the handshake bound the number of these bytes.
    pub(super) fn read_some(&mut self, timeout: Duration) -> io::Result<Vec<u8>> {
        let mut bytes = [0; 4096];
        self.0.set_read_timeout(Some(timeout))?;
        match self.0.read(&mut bytes)? {
            0 => Err(io::Error::other("the server ended the connection")),
            count => Ok(bytes[..count].to_vec()),
        }
    }

    pub(super) fn into_parts(self) -> (TcpStream, Option<Secured>) {
        (self.0, None)
    }
}

impl Secured {
    pub(super) fn take_over(self, _io: &mut Io, _key: SocketKey) {
        match self {}
    }
}
