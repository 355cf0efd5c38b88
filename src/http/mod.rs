//! HTTP/1.1, without I/O (RFC 9112; what messages mean: RFC 9110).
//!
//! A server reads the requests of a connection one after the other, and writes a response to
//! each. A client reads the response that refuses its WebSocket. The opening handshake
//! ([`websocket::handshake`](crate::websocket::handshake)) stands on this layer.
//!
//! ```text
//!   server   bytes ─► RequestStream ─┬─ Head ────► an upgrade: HTTP ends here
//!                                    ├─ Request ─► the application ─► Response ─┐
//!                                    └─ an error ─► Refusal ─► Response ────────┴─► write_with ─► bytes
//!
//!   client   bytes ─► HttpResponse: status, fields, body
//! ```
//!
//! # Two readers, one meaning
//!
//! A request passes several programs: proxies, this server, logs. If two of them find its end at
//! different bytes, the rest of one request is the beginning of another one for the second
//! program only. An attacker can so slip a request past a check (request smuggling, RFC 9112
//! §11.2). Therefore nothing is repaired here: line ends are CRLF, one field names one length, a
//! transfer coding excludes a length, a chunk's size is digits, and each violation is answered
//! with 400 and the end of the connection. `tests/server/smuggling.rs` is the list.
//!
//! # Bounds
//!
//! [`HeadLimits`] bounds heads; [`HttpLimits`] bodies, the framing of chunks, requests on a
//! connection, and times. Memory grows with the bytes that have come, never with a length that
//! was announced. Time is an input (`now`), and deadlines are an output.
//!
//! # Where it stops
//!
//! Responses are complete in memory: the server sends no chunks. Not here: sockets, routing,
//! proxies' methods (CONNECT), content negotiation beyond gzip, byte ranges, HTTP/2.

// The files of this module:
//
// | file | content |
// |---|---|
// | `request_stream.rs` | the requests of a connection: states, deadlines, limits |
// | `request.rs`, `version.rs`, `target.rs`, `authority.rs`, `query.rs` | a request's head; its path and query, decoded |
// | `head.rs`, `byte_classes.rs`, `fields.rs`, `token.rs` | the lines of a head, incrementally and in bounds, for both roles |
// | `known_fields.rs` | the fields of a request that HTTP itself and the upgrade act on; their values: `content_length.rs`, `transfer_coding.rs`, `expectation.rs`, `persistence.rs` |
// | `body_framing.rs`, `request_body.rs`, `chunked.rs` | where a body ends, and what has come of it |
// | `response.rs`, `status.rs`, `body.rs`, `refusal.rs`, `invalid_field.rs` | responses, and the rules for an application's fields |
// | `entity_tag.rs`, `precondition.rs`, `accept_encoding.rs` | conditional requests, and content codings |
// | `origins.rs`, `hosts.rs` | which pages may connect, and by which names of this server |
// | `static_file.rs`, `gzip.rs` | files of the program, compressed beforehand |
// | `received_response.rs`, `response_body.rs` | a response, as a client reads it |
// | `head_limits.rs`, `limits.rs` | the bounds |
// | `debug.rs`, `http_types.rs` | text as text in `Debug`; fields on the types of the crate `http` |

#[cfg(feature = "server")]
mod accept_encoding;
pub(crate) mod added_fields;
pub(crate) mod authority;
mod body;
mod body_framing;
mod byte_classes;
mod chunked;
mod content_length;
pub(crate) mod debug;
mod entity_tag;
mod expectation;
pub(crate) mod fields;
#[cfg(feature = "server")]
mod gzip;
mod head;
mod head_limits;
mod hosts;
#[cfg(feature = "http")]
pub(crate) mod http_types;
mod invalid_field;
pub(crate) mod known_fields;
mod limits;
mod origins;
mod persistence;
mod precondition;
mod query;
pub(crate) mod received_response;
mod refusal;
mod request;
mod request_body;
mod request_stream;
pub(crate) mod response;
mod response_body;
#[cfg(feature = "server")]
mod static_file;
mod status;
mod target;
pub(crate) mod token;
mod transfer_coding;
mod version;

pub use body::Body;
pub use body_framing::BodyFraming;
pub use entity_tag::EntityTag;
pub use expectation::CONTINUE;
pub use fields::{Field, Fields, OwnedFields};
pub use head::HeadError;
pub use head_limits::HeadLimits;
pub use hosts::{HostPattern, Hosts, InvalidHost};
pub use invalid_field::InvalidField;
pub use limits::HttpLimits;
pub use origins::{InvalidOrigin, OriginPattern, Origins};
pub use persistence::Persistence;
pub use precondition::Precondition;
pub use received_response::HttpResponse;
pub use refusal::Refusal;
pub use request::{OwnedRequest, RequestHead, RequestReader};
pub use request_stream::{Progress, RequestStream};
pub use response::{Response, WriteOptions};
pub use response_body::ResponseBody;
#[cfg(feature = "server")]
pub use static_file::StaticFile;
pub use status::Status;
pub use version::HttpVersion;
