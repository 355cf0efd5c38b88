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
//! far that line was searched, and no byte is searched twice: the outcome is the
//! same however the head is cut. Nothing is copied or allocated.
//!
//! Two bytes of each line are looked for: the one behind the field's name, and the one
//! that ends the line. `byte_classes.rs` finds both. If the first is a colon and the second
//! the CR of a CRLF, the line is right as it is.
//!
//! It knows lines, the syntax of fields and the bounds; what a start line or a
//! field means is for `request.rs` and `received_response.rs`. They see each line as soon
//! as it is complete ([`Lines`]), so that the fields are walked once.

use super::byte_classes::{ClassifiedBytes, Controls};
use super::fields::Field;
use super::head_limits::HeadLimits;
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

impl HeadLayout {
    fn new(start_line: Span, empty_line: usize) -> Self {
        HeadLayout {
            start_line,
            fields: Span {
                start: start_line.end + CRLF_BYTES,
                end: empty_line,
            },
            head_bytes: empty_line + CRLF_BYTES,
        }
    }
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

/// What a reader does with the lines of a head, as they become complete.
pub(super) trait Lines<'a> {
    type Error: From<HeadError>;

    /// The start line. It is refused before the fields have come.
    fn start_line(&mut self, line: &'a [u8]) -> Result<(), Self::Error>;

    /// A field line.
    fn field(&mut self, field: Field<'a>);
}

/// See the head of this file.
#[derive(Clone, Debug)]
pub(super) struct HeadScanner {
    limits: HeadLimits,
    /// Where the line begins that is not complete yet.
    line_start: usize,
    /// `line_start ≤ scanned`: no line ends before this byte.
    scanned: usize,
    /// Where the name of the field ends in this line, if that is known.
    name_end: Option<usize>,
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
            name_end: None,
            part: Part::StartLine { empty_lines: 0 },
        }
    }

    /// Reads on. `None`: the empty line has not come yet, or is not among the
    /// bytes any more because the caller took some back. `lines` is shown each line that
    /// this call completes. After an error every call with the same bytes gives the same
    /// error.
    #[inline]
    pub(super) fn read<'a, L: Lines<'a>>(
        &mut self,
        bytes: &'a [u8],
        lines: &mut L,
    ) -> Result<Option<HeadLayout>, L::Error> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-10.7
        //# Incoming data MUST always be validated by both clients and servers.
        let mut classified = ClassifiedBytes::new(self.within_bound(bytes));
        loop {
            self.read_usual_fields(bytes, &mut classified, lines);
            if let Part::End(layout) = self.part {
                let is_whole = layout.head_bytes <= bytes.len();
                return Ok(is_whole.then_some(layout));
            }
            let Some(line) = self.next_line(bytes, &mut classified)? else {
                return Ok(None);
            };
            self.part = self.part_after(line, bytes, lines)?;
            self.line_start = line.end + CRLF_BYTES;
            self.scanned = self.line_start;
            self.name_end = None;
        }
    }

    /// Takes field lines that are complete and break no rule, and the empty line behind them:
    /// nearly all lines, and without the questions that the others need. The first other line is
    /// left to [`HeadScanner::next_line`].
    #[inline]
    fn read_usual_fields<'a, L: Lines<'a>>(
        &mut self,
        bytes: &'a [u8],
        classified: &mut ClassifiedBytes<'_>,
        lines: &mut L,
    ) {
        let Part::Fields {
            mut fields,
            start_line,
        } = self.part
        else {
            return;
        };
        if self.scanned != self.line_start {
            return;
        }
        let mut start = self.line_start;
        let Some(mut controls) = classified.controls(start) else {
            return;
        };
        let bytes = &bytes[..bytes.len().min(self.limits.head_bytes_max)];
        let line_bytes_max = self.limits.field_bytes_max;
        while fields < self.limits.fields_max {
            let Some((field, end)) = usual_field(bytes, start, line_bytes_max, &mut controls)
            else {
                break;
            };
            lines.field(field);
            start = end;
            fields += 1;
        }
        self.part = match bytes.get(start..start + CRLF_BYTES) {
            Some(b"\r\n") => Part::End(HeadLayout::new(start_line, start)),
            _ => Part::Fields { start_line, fields },
        };
        self.line_start = start;
        self.scanned = start;
    }

    /// Where the start line begins, behind the empty lines that have come.
    pub(super) fn start_line_start(&self) -> usize {
        match self.part {
            Part::StartLine { .. } => self.line_start,
            Part::Fields { start_line, .. } => start_line.start,
            Part::End(layout) => layout.start_line.start,
        }
    }

    /// The bytes that decide: one past the bound of the head shows that it is too long.
    fn within_bound<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let bytes_max = self.limits.head_bytes_max.saturating_add(1);
        &bytes[..bytes.len().min(bytes_max)]
    }

    /// What the line that has just been completed leads to.
    #[inline]
    fn part_after<'a, L: Lines<'a>>(
        &self,
        line: Span,
        bytes: &'a [u8],
        lines: &mut L,
    ) -> Result<Part, L::Error> {
        let text = line.of(bytes);
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
                lines.start_line(text)?;
                Ok(Part::Fields {
                    start_line: line,
                    fields: 0,
                })
            }
            Part::Fields { start_line, .. } if text.is_empty() => {
                Ok(Part::End(HeadLayout::new(start_line, line.start)))
            }
            Part::Fields { start_line, fields } => {
                let name_end = self.name_end.unwrap_or(line.end);
                lines.field(field(text, name_end - line.start)?);
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
    #[inline]
    fn next_line(
        &mut self,
        bytes: &[u8],
        classified: &mut ClassifiedBytes<'_>,
    ) -> Result<Option<Span>, HeadError> {
        self.check_first_byte(bytes)?;
        let (bound, too_long) = self.bound();
        match self.line_end(classified) {
            Some(end) if end <= bound => self.line_ending_at(bytes, end),
            _ if bytes.len() > bound => Err(too_long),
            _ => {
                self.scanned = self.scanned.max(bytes.len());
                Ok(None)
            }
        }
    }

    /// The first control character of the line, and where the name of its field ends.
    #[inline]
    fn line_end(&mut self, classified: &mut ClassifiedBytes<'_>) -> Option<usize> {
        if self.name_end.is_none() && matches!(self.part, Part::Fields { .. }) {
            self.name_end = classified.next_not_in_token(self.scanned);
        }
        let from = self
            .name_end
            .map_or(self.scanned, |name_end| name_end.max(self.scanned));
        classified.next_control(from)
    }

    /// `end` is the first control character of the line: it must be its CRLF.
    fn line_ending_at(&mut self, bytes: &[u8], end: usize) -> Result<Option<Span>, HeadError> {
        self.scanned = end;
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

/// The field line that begins here, and where the next one begins. `None`: it is not complete,
/// breaks a rule, ends the head, or is very long.
#[inline(always)]
fn usual_field<'a>(
    bytes: &'a [u8],
    start: usize,
    line_bytes_max: usize,
    controls: &mut Controls<'_>,
) -> Option<(Field<'a>, usize)> {
    let (_cr, lf) = (controls.next()?, controls.next()?);
    let line = bytes.get(start..=lf)?.strip_suffix(b"\r\n")?;
    let name_end = controls.near_end_of_token(start)?;
    let field = field(line, name_end - start).ok()?;
    (line.len() <= line_bytes_max).then_some((field, lf + 1))
}

/// `field-line = field-name ":" OWS field-value OWS` (RFC 9112 §5). The value
/// is right as it stands: the scanner has let no control character through. Before
/// `name_end`, all is a token.
#[inline]
fn field(line: &[u8], name_end: usize) -> Result<Field<'_>, HeadError> {
    match line.split_at_checked(name_end) {
        Some((name, [b':', value @ ..])) if !name.is_empty() => Ok(Field::new(name, value)),
        _ => Err(broken_rule(line)),
    }
}

/// Why this is no field line.
#[cold]
fn broken_rule(line: &[u8]) -> HeadError {
    let Some(colon) = line.iter().position(|&byte| byte == b':') else {
        return HeadError::MissingColon;
    };
    match line[..colon] {
        [.., b' ' | b'\t'] => HeadError::WhitespaceBeforeColon,
        _ => HeadError::InvalidFieldName,
    }
}

const CRLF_BYTES: usize = 2;
