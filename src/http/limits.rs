//! The limits of HTTP connections: how much a client may send, and how long it may take.

use core::num::NonZeroU32;
use core::time::Duration;

/// How much one connection may ask for by HTTP, and in what time. The head has limits of its
/// own ([`HeadLimits`](super::HeadLimits)).
///
/// A value at its bound is accepted, one past it is refused with the status beside it.
///
/// ```
/// use yamabiko::http::HttpLimits;
///
/// let limits = HttpLimits { body_bytes_max: 4096, ..HttpLimits::default() };
/// assert_eq!(limits.pipelined_requests_max, 16);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Bytes of a request's body, without the framing of chunks; 413 beyond. Default 1 MiB,
    /// as for a WebSocket message. Memory is taken as the bytes come.
    pub body_bytes_max: usize,
    /// Bytes of all lines and trailers of a chunked body together; 413 beyond. Default 64 KiB:
    /// enough for a body of 1 MiB in chunks of 128 bytes.
    pub chunk_framing_bytes_max: usize,
    /// The time from the end of the head to the end of the body; 408 beyond. Default 30 s, in
    /// all and not for each byte.
    pub body_timeout: Duration,
    /// The time in which the next request has to begin; then the connection is closed. Default
    /// 30 s: a page and its files come within a second.
    pub idle_timeout: Duration,
    /// Requests on one connection; the response to the last one closes it. Default 1000.
    pub requests_max: usize,
    /// Requests on one connection per second, as many at once after a pause of a second; 429 with `Retry-After` beyond, and the
    /// connection ends. Default `None`: no limit, because a page loads all its files at once.
    pub requests_per_second: Option<NonZeroU32>,
    /// Requests that are answered before the client has taken the responses to the earlier
    /// ones; then it is not read until it has. Default 16. At least 1.
    pub pipelined_requests_max: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        HttpLimits {
            body_bytes_max: 1 << 20,
            chunk_framing_bytes_max: 64 << 10,
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            requests_max: 1000,
            requests_per_second: None,
            pipelined_requests_max: 16,
        }
    }
}
