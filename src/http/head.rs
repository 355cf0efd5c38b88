//! The line scanner that both roles share: finds where the lines of an HTTP
//! head end, as the bytes arrive, and refuses the head at the first byte that
//! cannot be part of one (RFC 9112 §2.2, §5).
//!
//! ```text
//!   CRLF                              leading empty lines: few, requests only
//!   GET /chat HTTP/1.1 CRLF           the start line
//!   Host: example.com CRLF            field lines
//!   Upgrade: websocket CRLF
//!   CRLF                              the empty line
//!   81 85 37 fa …                     the first frame: not ours to look at
//! ```
//!
//! The caller hands in everything that has come so far, each time from the
//! first byte. The scanner remembers where the unfinished line begins and how
//! far that line was searched, and no byte is searched twice: a head that
//! comes one byte at a time costs as much as one that comes whole, and its
//! outcome is the same. Nothing is copied or allocated.
//!
//! It knows lines, the syntax of fields and the bounds; what a start line or a
//! field means is for `request.rs` and `received_response.rs`.

use super::head_limits::HeadLimits;
use super::token::{find, is_control, is_token};
use core::fmt;

/// Why bytes are no HTTP head, for requests and responses alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// The request line or status line passes `request_line_bytes_max`.
    StartLineTooLong,
    /// A field line passes `field_bytes_max`.
    FieldTooLong,
    /// The head passes `head_bytes_max`.
    HeadTooLong,
    /// There are more than `fields_max` field lines.
    TooManyFields,
    /// There are more than `leading_empty_lines_max` empty lines in front.
    TooManyEmptyLines,
    /// A carriage return that no line feed follows (RFC 9112 §2.2).
    BareCarriageReturn,
    /// A line feed that no carriage return precedes.
    BareLineFeed,
    /// NUL or another control character; a tab in a value is none.
    ControlCharacter,
    /// A field line that begins with white space (RFC 9112 §2.2, §5.2).
    LineFolded,
    /// A field line without a colon.
    MissingColon,
    /// White space between a field's name and its colon (RFC 9112 §5.1).
    WhitespaceBeforeColon,
    /// A field name that is no token.
    InvalidFieldName,
    /// A status line other than `HTTP/1.x SP 3DIGIT [SP [reason]]` (RFC 9112 §4).
    InvalidStatusLine,
}

impl HeadError {
    /// The broken rule in one line.
    pub fn reason(self) -> &'static str {
        match self {
            HeadError::StartLineTooLong => "the first line is too long",
            HeadError::FieldTooLong => "a field line is too long",
            HeadError::HeadTooLong => "the head is too long",
            HeadError::TooManyFields => "the head has too many fields",
            HeadError::TooManyEmptyLines => "too many empty lines before the first line",
            HeadError::BareCarriageReturn => "a carriage return without a line feed",
            HeadError::BareLineFeed => "a line feed without a carriage return",
            HeadError::ControlCharacter => "a control character in the head",
            HeadError::LineFolded => "a field line begins with white space",
            HeadError::MissingColon => "a field line has no colon",
            HeadError::WhitespaceBeforeColon => "white space between a field's name and its colon",
            HeadError::InvalidFieldName => "a field name is not a token",
            HeadError::InvalidStatusLine => "the status line is malformed",
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason())
    }
}

impl core::error::Error for HeadError {}

/// Where the parts of a complete head lie in the bytes that were read.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLayout {
    pub(super) start_line: Span,
    /// The field lines, each with its CRLF, without the empty line.
    pub(super) fields: Span,
    /// Everything up to and with the empty line.
    pub(super) head_bytes: usize,
}

/// A range of the bytes that were read; kept instead of a slice, because the
/// caller's buffer may move between two calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: usize,
    end: usize,
}

impl Span {
    /// The bytes of this span; empty if the caller took bytes back.
    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start..self.end).unwrap_or_default()
    }
}

/// See the head of this file.
#[derive(Clone, Debug)]
pub(super) struct HeadScanner {
    limits: HeadLimits,
    /// Where the line begins that is not complete yet.
    line_start: usize,
    /// `line_start ≤ scanned`: no line ends before this byte.
    scanned: usize,
    part: Part,
}

/// ```text
///   StartLine ──line──► Fields ──empty line──► End
///    └──┘ empty line     └──┘ field line
/// ```
#[derive(Clone, Copy, Debug)]
enum Part {
    StartLine { empty_lines: usize },
    Fields { start_line: Span, fields: usize },
    End(HeadLayout),
}

impl HeadScanner {
    pub(super) fn new(limits: HeadLimits) -> Self {
        HeadScanner {
            limits,
            line_start: 0,
            scanned: 0,
            part: Part::StartLine { empty_lines: 0 },
        }
    }

    /// Reads on. `None`: the empty line has not come yet, or is not among the
    /// bytes any more because the caller took some back. The start line is
    /// shown to `check_start_line` as soon as it is complete, so that a wrong
    /// one is refused before the fields have come. After an error every call
    /// with the same bytes gives the same error.
    pub(super) fn read<E: From<HeadError>>(
        &mut self,
        bytes: &[u8],
        check_start_line: impl Fn(&[u8]) -> Result<(), E>,
    ) -> Result<Option<HeadLayout>, E> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-10.7
        //# Incoming data MUST always be validated by both clients and servers.
        loop {
            if let Part::End(layout) = self.part {
                let is_whole = layout.head_bytes <= bytes.len();
                return Ok(is_whole.then_some(layout));
            }
            let Some(line) = self.next_line(bytes)? else {
                return Ok(None);
            };
            self.part = self.part_after(line, line.of(bytes), &check_start_line)?;
            self.line_start = line.end + CRLF_BYTES;
            self.scanned = self.line_start;
        }
    }

    /// Where the start line begins, behind the empty lines that have come.
    pub(super) fn start_line_start(&self) -> usize {
        match self.part {
            Part::StartLine { .. } => self.line_start,
            Part::Fields { start_line, .. } => start_line.start,
            Part::End(layout) => layout.start_line.start,
        }
    }

    /// What the line that has just been completed leads to.
    fn part_after<E: From<HeadError>>(
        &self,
        line: Span,
        text: &[u8],
        check_start_line: impl Fn(&[u8]) -> Result<(), E>,
    ) -> Result<Part, E> {
        match self.part {
            Part::StartLine { empty_lines } if text.is_empty() => {
                if empty_lines >= self.limits.leading_empty_lines_max {
                    return Err(HeadError::TooManyEmptyLines.into());
                }
                Ok(Part::StartLine {
                    empty_lines: empty_lines + 1,
                })
            }
            Part::StartLine { .. } => {
                check_start_line(text)?;
                Ok(Part::Fields {
                    start_line: line,
                    fields: 0,
                })
            }
            Part::Fields { start_line, .. } if text.is_empty() => Ok(Part::End(HeadLayout {
                start_line,
                fields: Span {
                    start: start_line.end + CRLF_BYTES,
                    end: line.start,
                },
                head_bytes: line.end + CRLF_BYTES,
            })),
            Part::Fields { start_line, fields } => {
                check_field_line(text)?;
                Ok(Part::Fields {
                    start_line,
                    fields: fields + 1,
                })
            }
            Part::End(_) => Ok(self.part),
        }
    }

    /// The line that begins at `line_start`, or `None` while its CRLF has not
    /// come.
    fn next_line(&mut self, bytes: &[u8]) -> Result<Option<Span>, HeadError> {
        self.check_first_byte(bytes)?;
        let (bound, too_long) = self.bound();
        let searched_end = bytes.len().min(bound.saturating_add(1));
        let Some(unsearched) = bytes.get(self.scanned..searched_end) else {
            return Ok(None);
        };
        match find(unsearched, is_control) {
            Some(offset) => {
                self.scanned += offset;
                self.line_ending_at(bytes, self.scanned)
            }
            None if searched_end > bound => Err(too_long),
            None => {
                self.scanned = searched_end;
                Ok(None)
            }
        }
    }

    /// `end` is the first control character of the line: it must be its CRLF.
    fn line_ending_at(&self, bytes: &[u8], end: usize) -> Result<Option<Span>, HeadError> {
        let arrived = bytes.get(end..).unwrap_or_default();
        let room = self.limits.head_bytes_max.saturating_sub(end);
        match arrived {
            [_, ..] if room == 0 => Err(HeadError::HeadTooLong),
            [b'\r'] => Ok(None),
            [b'\r', _, ..] if room == 1 => Err(HeadError::HeadTooLong),
            [b'\r', b'\n', ..] => Ok(Some(Span {
                start: self.line_start,
                end,
            })),
            [b'\r', ..] => Err(HeadError::BareCarriageReturn),
            [b'\n', ..] => Err(HeadError::BareLineFeed),
            _ => Err(HeadError::ControlCharacter),
        }
    }

    /// What the first byte of a field line gives away already.
    fn check_first_byte(&self, bytes: &[u8]) -> Result<(), HeadError> {
        let Part::Fields { fields, .. } = self.part else {
            return Ok(());
        };
        match bytes.get(self.line_start) {
            None | Some(b'\r') => Ok(()),
            Some(b' ' | b'\t') => Err(HeadError::LineFolded),
            Some(_) if fields >= self.limits.fields_max => Err(HeadError::TooManyFields),
            Some(_) => Ok(()),
        }
    }

    /// Where no byte of this line may be any more, and the error if one is:
    /// the line's own bound or the head's, whichever comes first.
    fn bound(&self) -> (usize, HeadError) {
        let (line_bytes_max, line_too_long) = match self.part {
            Part::StartLine { .. } => (
                self.limits.request_line_bytes_max,
                HeadError::StartLineTooLong,
            ),
            Part::Fields { .. } | Part::End(_) => {
                (self.limits.field_bytes_max, HeadError::FieldTooLong)
            }
        };
        let line_end_max = self.line_start.saturating_add(line_bytes_max);
        if line_end_max > self.limits.head_bytes_max {
            return (self.limits.head_bytes_max, HeadError::HeadTooLong);
        }
        (line_end_max, line_too_long)
    }
}

/// `field-line = field-name ":" OWS field-value OWS` (RFC 9112 §5). The value
/// is right as it stands: the scanner has let no control character through.
fn check_field_line(line: &[u8]) -> Result<(), HeadError> {
    let colon = line
        .iter()
        .position(|&byte| byte == b':')
        .ok_or(HeadError::MissingColon)?;
    let name = &line[..colon];
    if name.ends_with(b" ") || name.ends_with(b"\t") {
        return Err(HeadError::WhitespaceBeforeColon);
    }
    if !is_token(name) {
        return Err(HeadError::InvalidFieldName);
    }
    Ok(())
}

const CRLF_BYTES: usize = 2;
