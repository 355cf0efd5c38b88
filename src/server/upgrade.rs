//! A request for a WebSocket, as a handler gets it.

use super::access::Granted;
use crate::http::{Refusal, RequestHead};
use crate::reactor::PeerAddress;
#[cfg(feature = "tokens")]
use crate::tokens::Grant;
use crate::websocket::handshake;
use std::ops::Deref;

/// A correct upgrade request, with the client's address and what its token grants. It has all methods of
/// [`handshake::Upgrade`]. Valid during the call.
///
/// ```
/// use yamabiko::server::{Refusal, Status, Upgrade};
///
/// fn check(request: &Upgrade<'_>) -> Result<(), Refusal> {
///     match (request.path(), request.peer_address().is_local()) {
///         ("/admin", false) => Err(Refusal::new(Status::Forbidden, "only from this machine")),
///         _ => Ok(()),
///     }
/// }
/// # let _ = check;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Upgrade<'a> {
    upgrade: handshake::Upgrade<'a>,
    peer_address: PeerAddress,
    #[cfg(feature = "tokens")]
    grant: Option<&'a Grant>,
}

impl<'a> Upgrade<'a> {
    /// Checks a request as the server does, without its token: to test a handler.
    ///
    /// ```
    /// use yamabiko::http::{HttpVersion, OwnedRequest};
    /// use yamabiko::server::Upgrade;
    ///
    /// let fields = [
    ///     ("host", &b"localhost"[..]),
    ///     ("upgrade", b"websocket"),
    ///     ("connection", b"Upgrade"),
    ///     ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ///     ("sec-websocket-version", b"13"),
    /// ];
    /// let request = OwnedRequest::new("GET", "/chat", HttpVersion::Http11, fields)?;
    /// let upgrade = Upgrade::check(&request.head()?, ([192, 0, 2, 1], 50_000).into())?;
    /// assert_eq!(upgrade.path(), "/chat");
    /// # Ok::<(), yamabiko::server::Refusal>(())
    /// ```
    ///
    /// # Errors
    /// As [`handshake::Upgrade::check`].
    pub fn check(head: &RequestHead<'a>, peer_address: PeerAddress) -> Result<Self, Refusal> {
        Ok(Upgrade {
            upgrade: handshake::Upgrade::check(head)?,
            peer_address,
            #[cfg(feature = "tokens")]
            grant: None,
        })
    }

    /// With what its token grants.
    #[cfg(feature = "tokens")]
    #[must_use]
    pub fn with_grant(mut self, grant: Option<&'a Grant>) -> Self {
        self.grant = grant;
        self
    }

    #[cfg(feature = "tokens")]
    pub(super) fn granted(self, granted: &'a Granted) -> Self {
        self.with_grant(granted.grant())
    }

    #[cfg(not(feature = "tokens"))]
    pub(super) fn granted(self, _: &'a Granted) -> Self {
        self
    }

    /// The address of the client.
    pub fn peer_address(&self) -> PeerAddress {
        self.peer_address
    }

    /// What the token of the request grants. `None`: the server has no [`Config::tokens`](super::Config), or they are
    /// [optional](crate::tokens::Tokens::optional) and the request has none.
    #[cfg(feature = "tokens")]
    pub fn grant(&self) -> Option<&'a Grant> {
        self.grant
    }
}

impl<'a> Deref for Upgrade<'a> {
    type Target = handshake::Upgrade<'a>;

    fn deref(&self) -> &handshake::Upgrade<'a> {
        &self.upgrade
    }
}
