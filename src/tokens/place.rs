//! The places of a request that can have a token, and the names by which they are found.

use std::fmt;

/// The name of the cookie that may be a token.
pub const COOKIE: &str = "yamabiko_token";

/// The name of the query's pair that may be a token (RFC 6750 §2.3).
pub const QUERY_PARAMETER: &str = "access_token";

/// The beginning of an offered subprotocol whose rest is a token. The server never selects it, since its response would repeat the
/// token.
pub const SUBPROTOCOL_PREFIX: &str = "yamabiko.token.";

/// The subprotocol that a server selects if a client offers it beside one with [`SUBPROTOCOL_PREFIX`], and the handler selects
/// none. A browser fails a connection whose response selects none of the subprotocols that it has offered.
pub const SUBPROTOCOL: &str = "yamabiko.token";

/// A place of a request that can have a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenPlace {
    /// The field Authorization, with the scheme Bearer.
    Authorization,
    /// The cookie [`COOKIE`].
    Cookie,
    /// A subprotocol that begins with [`SUBPROTOCOL_PREFIX`].
    Subprotocol,
    /// The pair [`QUERY_PARAMETER`] of the query.
    Query,
}

impl fmt::Display for TokenPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenPlace::Authorization => "the field Authorization",
            TokenPlace::Cookie => "the cookie yamabiko_token",
            TokenPlace::Subprotocol => "the field Sec-WebSocket-Protocol",
            TokenPlace::Query => "the query",
        })
    }
}
