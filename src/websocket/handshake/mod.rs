//! The opening handshake, both roles, without I/O (RFC 6455 §4).
//!
//! A WebSocket connection begins as an HTTP/1.1 GET that asks to be upgraded,
//! and becomes one with the server's 101. Before it has decided, an endpoint
//! reads bytes from an unknown peer; so this is the strictest part of the crate.
//!
//! ```text
//!   server   bytes ─ RequestReader ─► RequestHead ─ Upgrade::check ─► Upgrade ─ accept ─► Accepted
//!                         │                │                             │                  │
//!                         └── Refusal ─────┼──────── Refusal ────────────┘           101, Connection
//!                                          └─► Response                           plain HTTP
//!
//!   client   WebSocketUri ─► ClientHandshake ─ write_request ─► bytes
//!            bytes ─ receive ─► Established ─► Connection
//! ```
//!
//! Another HTTP stack can read and write the heads: [`OwnedRequest`] takes the parts of a
//! request, [`Accepted::fields`] gives those of the response;
//! [`ClientHandshake::fields`] and [`ClientHandshake::receive_head`] are the same for a
//! client. With the feature `http` all four work on the types of the crate `http`.
//!
//! The readers are functions of everything that has come so far. They can be
//! called after each byte, remember how far they have looked, allocate nothing
//! and give the same result however the bytes were cut. The caller keeps the
//! buffer, at most [`HeadLimits::head_bytes_max`] bytes of which are a head.
//!
//! The messages are those of HTTP ([`http`](mod@crate::http)), whose types are named here, too.
//!
//! Not included, because they need I/O or a decision of the application: the TCP connection
//! and TLS, one attempt at a time for each host (§4.1), time limits, IDNA, and which origins
//! and paths are served.

// The files of this module:
//
// | file | content |
// |---|---|
// | `upgrade.rs` | is it a WebSocket handshake (§4.2.1), and is it accepted (§4.2.2) |
// | `accepted.rs`, `agreement.rs` | the 101; what was agreed on, and the connection |
// | `accept_key.rs`, `subprotocol.rs`, `extensions.rs` | the values of three fields |
// | `permessage_deflate.rs` | the offers and agreements of both roles (RFC 7692 §5, §7.1) |
// | `uri.rs` | `ws:` and `wss:` (§3) |
// | `client.rs`, `established.rs` | the client's request; the check of the response to it (§4.1) |
// | `client_error.rs` | the rules that a response can break |
// | `proxy.rs` | the way through an HTTP proxy (§4.1) |

mod accept_key;
mod accepted;
mod agreement;
mod client;
mod client_error;
mod established;
mod extensions;
mod permessage_deflate;
mod proxy;
mod subprotocol;
mod upgrade;
mod uri;

pub use crate::http::{
    Field, Fields, HeadError, HeadLimits, HttpResponse, HttpVersion, InvalidField, OwnedFields,
    OwnedRequest, Refusal, RequestHead, RequestReader, Response, ResponseBody, Status,
};
pub use accept_key::accept_key;
pub use accepted::{AcceptOptions, Accepted};
pub use client::{ClientHandshake, InvalidRequest};
pub use client_error::ClientHandshakeError;
pub use established::Established;
pub use extensions::Extension;
pub use permessage_deflate::DEFLATE_REQUIRED;
pub use proxy::{Proxy, ProxyTunnel, TunnelError};
pub use subprotocol::SUBPROTOCOLS_MAX;
pub use upgrade::{NotOffered, Upgrade};
pub use uri::{UriError, WebSocketUri, hide_credentials, percent_decode, percent_encode};
