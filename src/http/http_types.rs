//! Fields on the types of the crate `http`, which hyper, axum and others share.
//!
//! ```text
//!   server   http::Request ─ Upgrade::accept_http ─► Accepted ─ to_http ─► http::Response
//!   client   ClientHandshake ─ to_http ─► http::Request
//!            http::Response ─ receive_http ─► Established
//! ```

use alloc::borrow::Cow;
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Names and values, as the handshake takes them.
pub(crate) fn values(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    let fields = headers.iter();
    fields.map(|(name, value)| (name.as_str(), value.as_bytes()))
}

/// Names and values have been checked by the same rules.
pub(crate) fn header_map<'f>(fields: impl Iterator<Item = (&'f str, Cow<'f, str>)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value =
            HeaderValue::from_str(&value).or_else(|_| HeaderValue::from_bytes(value.as_bytes()));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}
