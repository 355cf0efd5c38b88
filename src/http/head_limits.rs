//! The limits of an HTTP head: how much an unknown peer may make us read before the
//! handshake is decided. Nothing here is allocated; the bounds protect the
//! buffer in which the caller collects the bytes, and the time spent on them.

/// How much of an HTTP head is read before it is refused.
///
/// The lengths are in bytes and leave out the CRLF that ends a line, except
/// `head_bytes_max`, which counts everything from the first byte to the empty
/// line that ends the head. A value at its bound is accepted, one past it is
/// refused with the HTTP status beside the limit.
///
/// ```
/// use yamabiko::http::HeadLimits;
///
/// let limits = HeadLimits { head_bytes_max: 4096, ..HeadLimits::default() };
/// assert_eq!(limits.fields_max, 100);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the request line or status line; 414 beyond. Default 8 KiB:
    /// RFC 9112 §3 recommends at least 8000.
    pub request_line_bytes_max: usize,
    /// Bytes of one field line, name and white space included; 431 beyond.
    /// Default 8 KiB, which holds a browser's largest cookies.
    pub field_bytes_max: usize,
    /// Bytes of the whole head; 431 beyond. Default 16 KiB.
    pub head_bytes_max: usize,
    /// Field lines; 431 beyond. Default 100; browsers send about 15.
    pub fields_max: usize,
    /// Empty lines in front of a request line, which RFC 9112 §2.2 asks a
    /// server to ignore; 400 beyond. Default 2. A response may have none.
    pub leading_empty_lines_max: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        HeadLimits {
            request_line_bytes_max: 8 * 1024,
            field_bytes_max: 8 * 1024,
            head_bytes_max: 16 * 1024,
            fields_max: 100,
            leading_empty_lines_max: 2,
        }
    }
}
