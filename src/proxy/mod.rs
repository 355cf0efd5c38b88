//! Proxies: what a program between the client and this server tells about the client, and when that is believed.
//!
//! ```text
//!   client ──▶ proxy ──▶ server      the socket's other end is the proxy
//!
//!   PROXY protocol     a header in front of the first request      header.rs
//!   X-Forwarded-For    fields of each request                      forwarded.rs
//!   Forwarded          the same in one field (RFC 7239)            forwarded.rs
//! ```
//!
//! Any client can send these fields and this header. So they count only from the addresses that [`Proxies`] names, and only those
//! that the operator says the proxies set: a proxy that sets `X-Forwarded-For` passes `Forwarded` on as it came from the client.
//!
//! Several proxies in a row each append the address that they see. The list is read from its end, past the named proxies: the
//! first address that is not one of them was seen by a proxy that is believed, and what stands before it may be invented.
//!
//! Without I/O. The cost is a walk over the fields of a request from a named proxy.

mod crc32c;
mod forwarded;
mod header;
mod network;

pub use forwarded::ForwardedRequest;
pub use header::{InvalidHeader, ProxyHeader};
pub use network::{InvalidNetwork, Network};

use crate::http::RequestHead;
use alloc::vec::Vec;
use core::net::IpAddr;

/// The proxies whose word about a client counts, and how they give it. The default names none.
///
/// ```
/// use yamabiko::proxy::{InvalidNetwork, Proxies};
///
/// let proxies = Proxies::new(["10.0.0.0/8".parse()?, "::1".parse()?]);
/// assert!(proxies.contain("10.1.2.3".parse().unwrap()));
/// assert!(!proxies.contain("192.0.2.1".parse().unwrap()));
/// # Ok::<(), InvalidNetwork>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    networks: Vec<Network>,
    unix: bool,
    fields: ForwardedFields,
    proxy_protocol: bool,
}

/// The fields that a proxy sets in each request, replacing or extending those of the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedFields {
    /// `X-Forwarded-For` and, if it is there, `X-Forwarded-Host`.
    #[default]
    XForwarded,
    /// `Forwarded`, with its parameters `for` and `host` (RFC 7239).
    Forwarded,
    /// None: the proxy works below HTTP.
    None,
}

impl Proxies {
    /// The proxies in these networks.
    pub fn new(networks: impl IntoIterator<Item = Network>) -> Proxies {
        Proxies {
            networks: networks.into_iter().collect(),
            ..Proxies::default()
        }
    }

    /// Whether what connects to a Unix socket of the server is a proxy, too.
    #[must_use]
    pub fn unix(mut self, is_proxy: bool) -> Proxies {
        self.unix = is_proxy;
        self
    }

    /// The fields that the proxies set. Default: [`ForwardedFields::XForwarded`].
    #[must_use]
    pub fn fields(mut self, fields: ForwardedFields) -> Proxies {
        self.fields = fields;
        self
    }

    /// Whether each connection of a proxy begins with a [`ProxyHeader`]. Then one without it is closed. Default: no.
    #[must_use]
    pub fn proxy_protocol(mut self, is_used: bool) -> Proxies {
        self.proxy_protocol = is_used;
        self
    }

    /// The networks of the proxies.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// As it was set by [`Proxies::unix`].
    pub fn include_unix(&self) -> bool {
        self.unix
    }

    /// As it was set by [`Proxies::fields`].
    pub fn set_fields(&self) -> ForwardedFields {
        self.fields
    }

    /// As it was set by [`Proxies::proxy_protocol`].
    pub fn use_proxy_protocol(&self) -> bool {
        self.proxy_protocol
    }

    /// Whether this is the address of a proxy.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(address))
    }

    /// Whether the other end of a connection is a proxy. `None`: it is connected to a Unix socket.
    pub fn contain_peer(&self, address: Option<IpAddr>) -> bool {
        address.map_or(self.unix, |address| self.contain(address))
    }

    /// Whether a connection of this other end begins with a [`ProxyHeader`].
    pub fn expect_header(&self, peer: Option<IpAddr>) -> bool {
        self.proxy_protocol && self.contain_peer(peer)
    }

    /// What a request tells that came from this address (of the socket's other end, or of its [`ProxyHeader`]).
    pub fn read<'a>(
        &self,
        request: &RequestHead<'a>,
        peer: Option<IpAddr>,
    ) -> ForwardedRequest<'a> {
        if !self.contain_peer(peer) {
            return ForwardedRequest::default();
        }
        let is_proxy = |address| self.contain(address);
        match self.fields {
            ForwardedFields::XForwarded => forwarded::x_forwarded(request.fields(), is_proxy),
            ForwardedFields::Forwarded => forwarded::forwarded(request.fields(), is_proxy),
            ForwardedFields::None => ForwardedRequest::default(),
        }
    }
}
