//! The chunked transfer coding, decoded as it arrives (RFC 9112 §7.1).
//!
//! ```text
//!   5;note=x CRLF     size in hexadecimal digits, extensions: checked and ignored
//!   no ro CRLF        as many bytes of content
//!   3 CRLF
//!   om! CRLF
//!   0 CRLF            the last chunk
//!   Digest: x CRLF    the trailer section: checked and discarded
//!   CRLF
//! ```
//!
//! One byte of the framing is one step of a state machine, so that nothing is kept but a number
//! and a state, and the result is the same however the bytes were cut. The content is not
//! copied: [`ChunkedDecoder::decode`] returns slices of the input.
//!
//! The framing has bounds: 256 bytes for the line of a chunk, and a bound for all lines and
//! trailers together, because a client may send a line of 256 bytes for each byte of content.

use super::token::{is_control, is_token_byte};

/// Decodes one body.
///
/// ```text
///             ┌──── CR ────────────────────────────────┐
///   Size ─────┼─ ; ─► Extension ── CR ───────────────► SizeEnd ── LF ──┬─► Content ─► ContentEnd ─► Size
///             └─ SP ► Space ─ ; ► Extension            (any of them)   │ size > 0
///                                                                      └─► Trailer ── CR ─► LastEnd ─ LF ─► Done
///                                                                 size = 0   │  ▲
///                                                                            ▼  └─ LF ─ TrailerEnd ◄─ CR ─┐
///                                                                          TrailerName ── : ──► TrailerValue
/// ```
#[derive(Clone, Debug)]
pub(super) struct ChunkedDecoder {
    state: State,
    /// Of the chunk whose line is read, or the bytes of it that have not come yet.
    size: u64,
    /// Bytes of the current line of a chunk, without its end. ≤ [`CHUNK_LINE_BYTES_MAX`]
    line_bytes: usize,
    /// Bytes of content that may still be announced.
    content_room: u64,
    /// Bytes of framing that may still come.
    framing_room: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    SizeStart,
    Size,
    /// Behind a size: spaces before a semicolon or before the line's end.
    Space,
    Extension,
    /// Behind the CR of a chunk's line.
    SizeEnd,
    Content,
    /// Behind the content: CR.
    ContentEnd,
    /// LF.
    ContentLineFeed,
    /// At the start of a line of the trailer section.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    /// Behind the CR of the empty line that ends the body.
    LastEnd,
    Done,
}

/// Why bytes are no chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkedError {
    /// The bytes break the grammar.
    Malformed,
    /// The line of a chunk passes [`CHUNK_LINE_BYTES_MAX`].
    LineTooLong,
    /// Lines and trailers together pass their bound.
    FramingTooLong,
    /// The chunks announce more content than is wanted.
    ContentTooLong,
}

impl ChunkedDecoder {
    /// `content_bytes_max` and `framing_bytes_max`: the bounds for content and for all else.
    pub(super) fn new(content_bytes_max: u64, framing_bytes_max: u64) -> Self {
        ChunkedDecoder {
            state: State::SizeStart,
            size: 0,
            line_bytes: 0,
            content_room: content_bytes_max,
            framing_room: framing_bytes_max,
        }
    }

    /// The next piece of content, never empty. `None`: all of the input is consumed, or the
    /// body has ended and the rest of the input is not part of it.
    ///
    /// # Errors
    ///
    /// After an error the decoder is not to be used again.
    pub(super) fn decode<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<&'a [u8]>, ChunkedError> {
        while self.state != State::Done {
            let Some((&byte, rest)) = input.split_first() else {
                return Ok(None);
            };
            if self.state == State::Content {
                return Ok(Some(self.take_content(input)));
            }
            self.framing_room = self
                .framing_room
                .checked_sub(1)
                .ok_or(ChunkedError::FramingTooLong)?;
            self.state = self.after(byte)?;
            *input = rest;
        }
        Ok(None)
    }

    /// Whether all of the body has come, the trailer section included.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether all of the content has come.
    pub(super) fn content_has_ended(&self) -> bool {
        matches!(
            self.state,
            State::Trailer
                | State::TrailerName
                | State::TrailerValue
                | State::TrailerEnd
                | State::LastEnd
                | State::Done
        )
    }

    fn take_content<'a>(&mut self, input: &mut &'a [u8]) -> &'a [u8] {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let (content, rest) = input.split_at(size.min(input.len()));
        *input = rest;
        // A `usize` has at most 64 bits on all targets.
        self.size -= content.len() as u64;
        if self.size == 0 {
            self.state = State::ContentEnd;
        }
        content
    }

    /// The state behind one byte of framing.
    fn after(&mut self, byte: u8) -> Result<State, ChunkedError> {
        match (self.state, byte) {
            (State::SizeStart | State::Size | State::Space | State::Extension, _) => {
                self.after_line_byte(byte)
            }
            (State::SizeEnd, b'\n') => self.begin_chunk(),
            (State::ContentEnd, b'\r') => Ok(State::ContentLineFeed),
            (State::ContentLineFeed, b'\n') => Ok(State::SizeStart),
            (State::Trailer, b'\r') => Ok(State::LastEnd),
            (State::Trailer, byte) if is_token_byte(byte) => Ok(State::TrailerName),
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerName, byte) if is_token_byte(byte) => Ok(State::TrailerName),
            (State::TrailerValue, b'\r') => Ok(State::TrailerEnd),
            (State::TrailerValue, byte) if !is_control(byte) => Ok(State::TrailerValue),
            (State::TrailerEnd, b'\n') => Ok(State::Trailer),
            (State::LastEnd, b'\n') => Ok(State::Done),
            _ => Err(ChunkedError::Malformed),
        }
    }

    /// The state behind one byte of `chunk-size [ chunk-ext ]`.
    fn after_line_byte(&mut self, byte: u8) -> Result<State, ChunkedError> {
        if byte == b'\r' && self.state != State::SizeStart {
            return Ok(State::SizeEnd);
        }
        if self.line_bytes == CHUNK_LINE_BYTES_MAX {
            return Err(ChunkedError::LineTooLong);
        }
        self.line_bytes += 1;
        match (self.state, byte) {
            (State::SizeStart | State::Size, byte) if byte.is_ascii_hexdigit() => {
                self.add_digit(byte);
                Ok(State::Size)
            }
            (State::Size | State::Space, b' ' | b'\t') => Ok(State::Space),
            (State::Size | State::Space, b';') => Ok(State::Extension),
            (State::Extension, byte) if !is_control(byte) => Ok(State::Extension),
            _ => Err(ChunkedError::Malformed),
        }
    }

    /// A size that a `u64` cannot hold stays at the largest one, which no bound allows.
    fn add_digit(&mut self, digit: u8) {
        let digit = char::from(digit).to_digit(16).unwrap_or_default();
        self.size = self.size.saturating_mul(16).saturating_add(digit.into());
    }

    /// The line of a chunk is complete.
    fn begin_chunk(&mut self) -> Result<State, ChunkedError> {
        self.line_bytes = 0;
        self.content_room = self
            .content_room
            .checked_sub(self.size)
            .ok_or(ChunkedError::ContentTooLong)?;
        match self.size {
            0 => Ok(State::Trailer),
            _ => Ok(State::Content),
        }
    }
}

/// The longest line of a chunk, its extensions included: RFC 9112 §7.1.1 demands a limit, and no
/// known endpoint sends extensions.
pub(super) const CHUNK_LINE_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// The content of all that came, whether the body has ended, and the bytes behind it.
    fn decode(bytes: &str) -> Result<(String, bool, usize), ChunkedError> {
        decode_within(bytes, 100, 1000)
    }

    /// The result is the same whole and one byte at a time.
    fn decode_within(
        bytes: &str,
        content_bytes_max: u64,
        framing_bytes_max: u64,
    ) -> Result<(String, bool, usize), ChunkedError> {
        let new = || ChunkedDecoder::new(content_bytes_max, framing_bytes_max);
        let whole = decode_pieces(new(), &[bytes.as_bytes()]);
        let single: Vec<&[u8]> = bytes.as_bytes().chunks(1).collect();
        assert_eq!(whole, decode_pieces(new(), &single), "{bytes:?}");
        whole
    }

    fn decode_pieces(
        mut decoder: ChunkedDecoder,
        pieces: &[&[u8]],
    ) -> Result<(String, bool, usize), ChunkedError> {
        let (mut content, mut behind) = (Vec::new(), 0);
        for piece in pieces {
            let mut input = *piece;
            while let Some(part) = decoder.decode(&mut input)? {
                assert!(!part.is_empty());
                content.extend_from_slice(part);
            }
            behind += input.len();
        }
        let content = String::from_utf8(content).expect("text");
        Ok((content, decoder.is_done(), behind))
    }

    #[test]
    fn body_is_its_chunks_up_to_the_empty_line() {
        let body = "5;note=x\r\nno ro\r\n3\r\nom!\r\n0\r\nDigest: x\r\nA:\r\n\r\n";
        assert_eq!(decode(body), Ok(("no room!".to_owned(), true, 0)));
        let behind = format!("{body}GET /");
        assert_eq!(decode(&behind), Ok(("no room!".to_owned(), true, 5)));
        for end in 0..body.len() {
            let (content, done, _) = decode(&body[..end]).expect("a beginning");
            assert!("no room!".starts_with(&content) && !done, "{end}");
        }
        assert_eq!(decode("000\r\n\r\n"), Ok((String::new(), true, 0)));
    }

    #[test]
    fn framing_of_another_form_is_refused() {
        for bytes in [
            "\r\n",
            ";\r\n",
            " 1\r\na\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            "1_0\r\n",
            "g\r\n",
            "1 2\r\n",
            "1=\r\n",
            "1\na\n",
            "1\rxa",
            "1;a\nb\r\n",
            "1;a\0\r\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "1\r\na\rx",
            "0\r\n\n",
            "0\r\n : a\r\n\r\n",
            "0\r\n a\r\n\r\n",
            "0\r\na\r\n\r\n",
            "0\r\na : b\r\n\r\n",
            "0\r\na: b\n\r\n",
            "0\r\na: \0\r\n\r\n",
            "0\r\n:\r\n\r\n",
            "0\r\n\rx",
        ] {
            assert_eq!(decode(bytes), Err(ChunkedError::Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn content_is_accepted_at_the_bound_and_refused_one_past_it() {
        let body = "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(
            decode_within(body, 5, 1000),
            Ok(("abcde".to_owned(), true, 0))
        );
        let refused = decode_within(body, 4, 1000);
        assert_eq!(refused, Err(ChunkedError::ContentTooLong));
        // A size beyond all bounds is refused before its content comes.
        for size in [
            "ffffffffffffffff",
            "10000000000000000",
            "FFFFFFFFFFFFFFFFFF",
        ] {
            let refused = decode(&format!("{size}\r\n"));
            assert_eq!(refused, Err(ChunkedError::ContentTooLong), "{size}");
        }
    }

    #[test]
    fn line_of_a_chunk_is_accepted_at_the_bound_and_refused_one_past_it() {
        let body = |bytes: usize| format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(bytes - 2));
        let (longest, too_long) = (body(CHUNK_LINE_BYTES_MAX), body(CHUNK_LINE_BYTES_MAX + 1));
        assert_eq!(decode(&longest), Ok(("a".to_owned(), true, 0)));
        assert_eq!(decode(&too_long), Err(ChunkedError::LineTooLong));
    }

    #[test]
    fn framing_is_accepted_at_the_bound_and_refused_one_past_it() {
        let body = "1\r\na\r\n0\r\nA: b\r\n\r\n";
        let framing_bytes = body.len() as u64 - 1;
        let whole = decode_within(body, 100, framing_bytes);
        assert_eq!(whole, Ok(("a".to_owned(), true, 0)));
        let refused = decode_within(body, 100, framing_bytes - 1);
        assert_eq!(refused, Err(ChunkedError::FramingTooLong));
    }
}
