//! The settings of a connection: what the request contains, limits, compression,
//! timeouts.

use std::fmt;
use std::time::Duration;

use super::error::ClientError;
use super::secure::Secure;
use super::traffic::TrafficObserver;
use crate::websocket::Limits;
use crate::websocket::deadlines::Timeouts;
use crate::websocket::deflate::{DeflateConfig, DeflatePool};
use crate::websocket::handshake::{ClientHandshake, Proxy, WebSocketUri};

/// What a [`ClientBuilder`](super::ClientBuilder) collects.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) subprotocols: Vec<String>,
    pub(super) fields: RequestFields,
    pub(super) origin: Option<String>,
    pub(super) limits: Limits,
    pub(super) deflate: Option<DeflateConfig>,
    pub(super) deflate_pool: DeflatePool,
    /// Messages are handed out in pieces.
    pub(super) in_pieces: bool,
    pub(super) timeouts: ClientTimeouts,
    pub(super) proxy: Option<Proxy>,
    pub(super) observer: TrafficObserver,
    /// `None`: what this machine trusts.
    #[cfg(feature = "tls")]
    pub(super) tls: Option<crate::tls::ClientTls>,
}

impl Options {
    /// How a connection to this URI is secured.
    #[cfg(feature = "tls")]
    pub(super) fn secure(&self, uri: &WebSocketUri) -> Result<Secure, ClientError> {
        match (uri.secure(), &self.tls) {
            (false, _) => Ok(Secure::No),
            (true, Some(tls)) => Ok(Secure::Tls(tls.clone())),
            (true, None) => crate::tls::ClientTls::platform()
                .map(Secure::Tls)
                .map_err(ClientError::Tls),
        }
    }

    #[cfg(not(feature = "tls"))]
    pub(super) fn secure(&self, uri: &WebSocketUri) -> Result<Secure, ClientError> {
        match uri.secure() {
            false => Ok(Secure::No),
            true => Err(ClientError::TlsNotSupported),
        }
    }
}

/// Further header fields: name and value.
#[derive(Clone, Default)]
pub(super) struct RequestFields(Vec<(String, String)>);

impl RequestFields {
    pub(super) fn push(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }
}

/// The names: a value can be a credential.
impl fmt::Debug for RequestFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

/// How long a client waits; `None`: without limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientTimeouts {
    /// For the resolution of the host's name.
    pub(super) resolve: Duration,
    /// For the TCP connection to one address.
    pub(super) connect: Duration,
    /// For the opening handshake.
    pub(super) handshake: Duration,
    /// For a message.
    pub(super) read: Option<Duration>,
    /// For the kernel to accept a frame.
    pub(super) write: Option<Duration>,
    /// For the closing handshake.
    pub(super) close: Duration,
    /// Silence before a ping, and then for an answer. `None`: no pings.
    pub(super) keep_alive: Option<(Duration, Duration)>,
}

impl ClientTimeouts {
    /// Those of an open connection.
    pub(super) fn deadlines(&self) -> Timeouts {
        let standard = Timeouts::default();
        Timeouts {
            ping: self.keep_alive.map(|(ping, _)| ping),
            pong: self.keep_alive.map_or(standard.pong, |(_, pong)| pong),
            close: self.close,
            ..standard
        }
    }
}

impl Default for ClientTimeouts {
    fn default() -> ClientTimeouts {
        ClientTimeouts {
            resolve: Duration::from_secs(10),
            connect: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            read: None,
            write: None,
            close: Duration::from_secs(5),
            keep_alive: None,
        }
    }
}

impl Options {
    /// The opening handshake with these settings.
    pub(super) fn handshake(
        &self,
        uri: &WebSocketUri,
        nonce: [u8; 16],
    ) -> Result<ClientHandshake, ClientError> {
        let mut handshake = ClientHandshake::new(uri, nonce);
        for name in &self.subprotocols {
            handshake = handshake.subprotocol(name)?;
        }
        for (name, value) in &self.fields.0 {
            handshake = handshake.field(name, value)?;
        }
        if let Some(origin) = &self.origin {
            handshake = handshake.origin(origin)?;
        }
        if let Some(config) = self.deflate {
            handshake = handshake.deflate(config).deflate_pool(&self.deflate_pool);
        }
        Ok(handshake)
    }
}
