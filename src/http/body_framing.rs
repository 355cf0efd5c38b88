//! How the end of a request's body is found (RFC 9112 §6.3).
//!
//! ```text
//!   Transfer-Encoding   Content-Length     the body
//!   absent              absent             is empty
//!   absent              one number         has this many bytes
//!   chunked             absent             ends with its last chunk
//!   any other combination                  is refused, and the connection ends
//! ```
//!
//! A request whose end two readers find at two places is two different requests: a proxy
//! forwards one, and the server behind it answers another (request smuggling, RFC 9112
//! §11.2). So there is no repair: where RFC 9112 lets a server guess or refuse, it refuses.

use super::content_length::ContentLength;
use super::status::Status;
use super::transfer_coding::TransferCoding;
use super::version::HttpVersion;

/// How the end of a request's body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// After this many bytes; 0 also where no field announces a body.
    Length(u64),
    /// After its last chunk.
    Chunked,
}

/// Why the end of a request's body cannot be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidFraming {
    pub(super) status: Status,
    pub(super) reason: &'static str,
}

impl BodyFraming {
    pub(super) fn of_request(
        version: HttpVersion,
        coding: TransferCoding,
        length: ContentLength,
    ) -> Result<BodyFraming, InvalidFraming> {
        match (coding, length) {
            (TransferCoding::Absent, ContentLength::Invalid) => Err(INVALID_LENGTH),
            (TransferCoding::Absent, ContentLength::Conflicting) => Err(CONFLICTING_LENGTHS),
            (TransferCoding::Absent, ContentLength::TooLarge) => Err(TOO_LARGE),
            (TransferCoding::Absent, ContentLength::Absent) => Ok(BodyFraming::Length(0)),
            (TransferCoding::Absent, ContentLength::Bytes(bytes)) => Ok(BodyFraming::Length(bytes)),
            _ if version == HttpVersion::Http10 => Err(CODING_IN_HTTP_1_0),
            (TransferCoding::Chunked, ContentLength::Absent) => Ok(BodyFraming::Chunked),
            (_, ContentLength::Absent) if coding == TransferCoding::EndUnknown => Err(END_UNKNOWN),
            (_, ContentLength::Absent) => Err(UNKNOWN_CODING),
            _ => Err(CODING_AND_LENGTH),
        }
    }

    /// Whether no byte of a body follows the head.
    pub fn is_empty(self) -> bool {
        self == BodyFraming::Length(0)
    }
}

const INVALID_LENGTH: InvalidFraming = bad_request("Content-Length is not a number");
const CONFLICTING_LENGTHS: InvalidFraming = bad_request("two values of Content-Length differ");
const TOO_LARGE: InvalidFraming = InvalidFraming {
    status: Status::ContentTooLarge,
    reason: "the body is too long",
};
const CODING_IN_HTTP_1_0: InvalidFraming = bad_request("HTTP/1.0 has no Transfer-Encoding");
const END_UNKNOWN: InvalidFraming =
    bad_request("the last transfer coding must be chunked, and only the last");
const UNKNOWN_CODING: InvalidFraming = InvalidFraming {
    status: Status::NotImplemented,
    reason: "chunked is the only transfer coding that is known here",
};
const CODING_AND_LENGTH: InvalidFraming =
    bad_request("a request cannot have both Transfer-Encoding and Content-Length");

const fn bad_request(reason: &'static str) -> InvalidFraming {
    InvalidFraming {
        status: Status::BadRequest,
        reason,
    }
}
