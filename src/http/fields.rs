//! Field lines, looked up in place.
//!
//! A head that was read is kept as it came: [`Fields`] is one slice of valid
//! lines and finds names and values anew each time it is asked. That costs a
//! walk over some hundred bytes and saves an allocation for each request.
//! The fields that a reader itself needs are collected in a single walk
//! (`known_fields.rs`).

use super::debug::FieldLine;
use super::invalid_field::InvalidField;
use super::token::{find, is_field_value, is_same, is_token, list_elements};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

/// The field lines of a head, in the order in which they came.
///
/// ```
/// use yamabiko::http::{HeadLimits, RequestReader};
///
/// let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nAccept: x\r\nACCEPT: y, z\r\n\r\n";
/// let (head, _) = RequestReader::new(HeadLimits::default()).read(bytes)?.unwrap();
/// assert_eq!(head.fields().text("host"), Some("a"));
/// assert_eq!(head.fields().get_all("accept").count(), 2);
/// assert_eq!(head.fields().list("accept").last(), Some(&b"z"[..]));
/// # Ok::<(), yamabiko::http::Refusal>(())
/// ```
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    /// Lines that `head.rs` has checked, each with its CRLF.
    lines: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of_checked_lines(lines: &'a [u8]) -> Self {
        Fields { lines }
    }

    /// Every field, in order.
    pub fn iter(self) -> impl Iterator<Item = Field<'a>> {
        let mut lines = self.lines;
        core::iter::from_fn(move || next_field(&mut lines))
    }

    /// The value of the first field of this name, without the white space around it. Case does
    /// not matter in names.
    pub fn get(self, name: &str) -> Option<&'a [u8]> {
        self.get_all(name).next()
    }

    /// The value of each field of this name.
    pub fn get_all(self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |field| field.is(name))
            .map(|field| field.value)
    }

    /// As [`Fields::get`], where the value is text (UTF-8).
    pub fn text(self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(as_text)
    }

    /// The elements of a comma-separated list, over all fields of this name as
    /// if they were one (RFC 9110 §5.3); empty elements are left out. Not for
    /// lists that may hold quoted strings.
    pub fn list(self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).flat_map(list_elements)
    }

    /// The value of a field that must not have a duplicate.
    pub(crate) fn once(self, name: &str) -> Occurrence<'a> {
        let mut occurrence = Occurrence::Absent;
        self.get_all(name).for_each(|value| occurrence.add(value));
        occurrence
    }
}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

/// One field of a head.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

impl<'a> Field<'a> {
    /// A checked name, and what stands behind its colon.
    #[inline]
    pub(super) fn new(name: &'a [u8], value: &'a [u8]) -> Self {
        let value = match value {
            // Nearly always there is one space before the value, and none behind it.
            [b' ', first, .., last] if *first > b' ' && *last > b' ' => &value[1..],
            _ => value.trim_ascii(),
        };
        Field { name, value }
    }

    /// The name as it was sent: a token.
    pub fn name(&self) -> &'a str {
        core::str::from_utf8(self.name).unwrap_or_default()
    }

    /// The length of the name, and its first byte with a letter in lower case: nearly all names
    /// differ in these.
    #[inline]
    pub(crate) fn name_key(&self) -> (usize, u8) {
        let first = self.name.first().map_or(0, |first| first | 0x20);
        (self.name.len(), first)
    }

    /// [`Field::is`] for a name in lower case: see [`is_same`].
    #[inline]
    pub(crate) fn is_lower<const BYTES: usize>(&self, name: &[u8; BYTES]) -> bool {
        is_same(self.name, name)
    }

    /// The value without the white space around it: no control character but
    /// the tab; bytes above ASCII are possible and have no known encoding.
    pub fn value(&self) -> &'a [u8] {
        self.value
    }

    /// The value, where it is text (UTF-8); nearly always it is ASCII.
    pub fn text(&self) -> Option<&'a str> {
        as_text(self.value)
    }

    /// Whether this is the field's name, whatever the case of its letters.
    pub fn is(&self, name: &str) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# all header field names in both HTTP requests and HTTP responses
        //# are case-insensitive.
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// As a line of the head, in which the value of a credential is hidden: Authorization,
/// Proxy-Authorization, Cookie, Set-Cookie.
impl fmt::Debug for Field<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value) = (self.name(), self.value);
        FieldLine { name, value }.fmt(formatter)
    }
}

/// Fields that outlive the bytes they were read from, in one allocation.
///
/// ```
/// use yamabiko::websocket::handshake::{ClientHandshake, WebSocketUri};
///
/// let uri = WebSocketUri::parse("ws://server.example.com/chat").unwrap();
/// let response = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
///     Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
///     Server: example\r\n\r\n";
/// let mut handshake = ClientHandshake::new(&uri, *b"the sample nonce");
/// let established = handshake.receive(response)?.expect("it is whole");
/// assert_eq!(established.fields.as_fields().text("server"), Some("example"));
/// # Ok::<(), yamabiko::websocket::handshake::ClientHandshakeError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OwnedFields {
    /// As in [`Fields`].
    lines: Box<[u8]>,
}

impl OwnedFields {
    /// Fields that another HTTP stack has read: names and values.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] if a name is no token, or a value holds a control character. White
    /// space around a value is left out.
    pub fn new<'f>(
        fields: impl IntoIterator<Item = (&'f str, &'f [u8])>,
    ) -> Result<OwnedFields, InvalidField> {
        let mut lines = Vec::new();
        for (name, value) in fields {
            let value = value.trim_ascii();
            if !is_token(name.as_bytes()) {
                return Err(InvalidField::Name);
            }
            if !is_field_value(value) {
                return Err(InvalidField::Value);
            }
            lines.extend_from_slice(name.as_bytes());
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value);
            lines.extend_from_slice(b"\r\n");
        }
        let lines = lines.into();
        Ok(OwnedFields { lines })
    }

    /// The same fields, borrowed, to be looked up.
    pub fn as_fields(&self) -> Fields<'_> {
        Fields::of_checked_lines(&self.lines)
    }
}

impl From<Fields<'_>> for OwnedFields {
    fn from(fields: Fields<'_>) -> OwnedFields {
        OwnedFields {
            lines: fields.lines.into(),
        }
    }
}

impl fmt::Debug for OwnedFields {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_fields().fmt(formatter)
    }
}

fn as_text(value: &[u8]) -> Option<&str> {
    core::str::from_utf8(value).ok()
}

/// How often a field is in a head that should have it once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Occurrence<'a> {
    #[default]
    Absent,
    Once(&'a [u8]),
    Repeated,
}

impl<'a> Occurrence<'a> {
    pub(crate) fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Occurrence::Absent => Occurrence::Once(value),
            Occurrence::Once(_) | Occurrence::Repeated => Occurrence::Repeated,
        };
    }
}

/// Cuts the first line off `lines`. In checked lines a CR only ends a line,
/// and the first colon ends the name.
fn next_field<'a>(lines: &mut &'a [u8]) -> Option<Field<'a>> {
    let line_end = find(lines, |byte| byte == b'\r')?;
    let (line, rest) = lines.split_at(line_end);
    *lines = rest.get(2..).unwrap_or_default();
    let colon = line.iter().position(|&byte| byte == b':')?;
    Some(Field::new(&line[..colon], &line[colon + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &str) -> Fields<'_> {
        Fields::of_checked_lines(lines.as_bytes())
    }

    #[test]
    fn names_match_in_any_case_and_values_lose_their_white_space() {
        let fields = fields("a-B: \t x y \t\r\nC:\r\n");
        assert_eq!(fields.get("A-b"), Some(&b"x y"[..]));
        assert_eq!(fields.get("c"), Some(&b""[..]));
        assert_eq!(fields.get("d"), None);
        assert_eq!(fields.iter().next().map(|field| field.name()), Some("a-B"));
    }

    #[test]
    fn fields_of_one_name_are_one_list() {
        let fields = fields("A: 1,,2\r\nB: 9\r\na: ,3\r\n");
        let elements: Vec<&[u8]> = fields.list("A").collect();
        assert_eq!(elements, [b"1", b"2", b"3"]);
    }

    #[test]
    fn occurrence_tells_absent_once_and_repeated_apart() {
        let fields = fields("A: 1\r\nB: 2\r\na: 1\r\n");
        assert_eq!(fields.once("C"), Occurrence::Absent);
        assert_eq!(fields.once("b"), Occurrence::Once(b"2"));
        assert_eq!(fields.once("A"), Occurrence::Repeated);
    }

    #[test]
    fn debug_shows_lines_and_escapes_foreign_bytes() {
        let lines = b"A: \xff\r\n";
        let shown = format!("{:?}", Fields::of_checked_lines(lines));
        assert_eq!(shown, r"[A: \xff]");
        assert_eq!(Fields::of_checked_lines(lines).text("A"), None);
    }

    #[test]
    fn fields_of_another_stack_are_checked() {
        let lines = |name, value: &[u8]| OwnedFields::new([("A", &b"1"[..]), (name, value)]);
        let owned = lines("b", b" x y\xff\t").expect("valid fields");
        assert_eq!(owned.as_fields().get("B"), Some(&b"x y\xff"[..]));
        for name in ["", "a b", "a:", "a\r\nb"] {
            assert_eq!(lines(name, b""), Err(InvalidField::Name), "{name:?}");
        }
        for value in [&b"a\r\nb: c"[..], b"a\nb", b"a\0b"] {
            assert_eq!(lines("b", value), Err(InvalidField::Value));
        }
    }

    #[test]
    fn debug_shows_text_as_text() {
        let lines = "A: 山彦\t\u{202e}x\r\n";
        let owned = OwnedFields::from(fields(lines));
        assert_eq!(format!("{owned:?}"), r"[A: 山彦\t\u{202e}x]");
        assert_eq!(owned.as_fields().text("a"), Some("山彦\t\u{202e}x"));
    }
}
