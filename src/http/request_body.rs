//! The body of a request, as it arrives: by Content-Length or in chunks, within bounds.
//!
//! The content grows with the bytes that have come, never with the length that was announced.
//! A length past the bound is refused before the first byte of the body.

use super::body_framing::BodyFraming;
use super::chunked::{ChunkedDecoder, ChunkedError};
use super::limits::HttpLimits;
use super::refusal::Refusal;
use super::status::Status;
use alloc::vec::Vec;

/// What has come of a body.
#[derive(Clone, Debug)]
pub(super) struct RequestBody {
    framing: Framing,
    /// ≤ `body_bytes_max`
    content: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Framing {
    /// So many bytes are missing.
    Length {
        missing: usize,
    },
    Chunked(ChunkedDecoder),
}

impl RequestBody {
    /// A body that begins.
    ///
    /// # Errors
    ///
    /// 413: its length is past the bound.
    pub(super) fn new(framing: BodyFraming, limits: &HttpLimits) -> Result<Self, Refusal> {
        let framing = match framing {
            BodyFraming::Chunked => Framing::Chunked(ChunkedDecoder::new(
                limits.body_bytes_max as u64,
                limits.chunk_framing_bytes_max as u64,
            )),
            BodyFraming::Length(bytes) => match usize::try_from(bytes) {
                Ok(missing) if missing <= limits.body_bytes_max => Framing::Length { missing },
                _ => return Err(TOO_LONG),
            },
        };
        let content = Vec::new();
        Ok(RequestBody { framing, content })
    }

    /// Takes its bytes off the input. True: it is whole, and the rest of the input is not
    /// part of it.
    ///
    /// # Errors
    ///
    /// 400: the framing is broken. 413: it is too long.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<bool, Refusal> {
        match &mut self.framing {
            Framing::Length { missing } => {
                let (part, rest) = input.split_at((*missing).min(input.len()));
                self.content.extend_from_slice(part);
                *missing -= part.len();
                *input = rest;
                Ok(*missing == 0)
            }
            Framing::Chunked(decoder) => {
                while let Some(part) = decoder.decode(input)? {
                    self.content.extend_from_slice(part);
                }
                Ok(decoder.is_done())
            }
        }
    }

    /// Its memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.content.capacity()
    }

    /// The content that has come.
    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }
}

impl From<ChunkedError> for Refusal {
    fn from(error: ChunkedError) -> Refusal {
        match error {
            ChunkedError::Malformed => {
                Refusal::of(Status::BadRequest, "the framing of a chunk is malformed")
            }
            ChunkedError::LineTooLong => {
                Refusal::of(Status::BadRequest, "the line of a chunk is too long")
            }
            ChunkedError::FramingTooLong => Refusal::of(
                Status::ContentTooLarge,
                "the lines and trailers of the chunks are too long",
            ),
            ChunkedError::ContentTooLong => TOO_LONG,
        }
    }
}

const TOO_LONG: Refusal = Refusal::of(Status::ContentTooLarge, "the body is too long");

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HttpLimits = HttpLimits {
        body_bytes_max: 5,
        chunk_framing_bytes_max: 100,
        body_timeout: core::time::Duration::ZERO,
        idle_timeout: core::time::Duration::ZERO,
        requests_max: 1,
        requests_per_second: None,
        pipelined_requests_max: 1,
    };

    fn read(framing: BodyFraming, bytes: &[u8]) -> Result<(Vec<u8>, bool, usize), Status> {
        let mut body = RequestBody::new(framing, &LIMITS).map_err(|refusal| refusal.status())?;
        let mut input = bytes;
        let whole = body.read(&mut input).map_err(|refusal| refusal.status())?;
        Ok((body.content().to_vec(), whole, input.len()))
    }

    #[test]
    fn length_is_accepted_at_the_bound_and_refused_one_past_it() {
        let five = BodyFraming::Length(5);
        assert_eq!(read(five, b"hello!"), Ok((b"hello".to_vec(), true, 1)));
        assert_eq!(read(five, b"hell"), Ok((b"hell".to_vec(), false, 0)));
        for too_long in [6, u64::MAX] {
            let refused = read(BodyFraming::Length(too_long), b"");
            assert_eq!(refused, Err(Status::ContentTooLarge));
        }
    }

    #[test]
    fn chunks_are_accepted_at_the_bound_and_refused_one_past_it() {
        let chunked = BodyFraming::Chunked;
        let whole = read(chunked, b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n!");
        assert_eq!(whole, Ok((b"hello".to_vec(), true, 1)));
        let refused = read(chunked, b"2\r\nhe\r\n4\r\n");
        assert_eq!(refused, Err(Status::ContentTooLarge));
        assert_eq!(read(chunked, b"x\r\n"), Err(Status::BadRequest));
    }

    #[test]
    fn announced_length_takes_no_memory() {
        let limits = HttpLimits::default();
        let length = BodyFraming::Length(limits.body_bytes_max as u64);
        let mut body = RequestBody::new(length, &limits).expect("at the bound");
        assert_eq!(body.content.capacity(), 0);
        body.read(&mut &b"ab"[..]).expect("two bytes");
        assert!(body.content.capacity() < 100);
    }
}
