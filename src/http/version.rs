//! The versions of HTTP that are spoken here (RFC 9110 §2.5).

/// The version of a request that can be answered. Any HTTP/1.x above 1.1 is
/// spoken as 1.1 (RFC 9110 §2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// Has neither an obligatory Host nor Upgrade.
    Http10,
    /// What a WebSocket handshake needs.
    Http11,
}

#[cfg(feature = "http")]
impl HttpVersion {
    /// `None`: not HTTP/1.
    pub(crate) fn of_http(version: http::Version) -> Option<HttpVersion> {
        match version {
            http::Version::HTTP_10 => Some(HttpVersion::Http10),
            http::Version::HTTP_11 => Some(HttpVersion::Http11),
            _ => None,
        }
    }
}
