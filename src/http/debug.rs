//! How heads are shown in `Debug`, which is for logs: text as text, and no credentials.

use core::fmt;

/// A string literal, of bytes where they are not UTF-8.
pub(crate) struct TextOrBytes<'a>(pub(crate) &'a [u8]);

impl fmt::Debug for TextOrBytes<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match core::str::from_utf8(self.0) {
            Ok(text) => write!(formatter, "{text:?}"),
            Err(_) => write!(formatter, "b\"{}\"", self.0.escape_ascii()),
        }
    }
}

/// A field as a line, without the value of a credential.
pub(crate) struct FieldLine<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: &'a [u8],
}

impl fmt::Debug for FieldLine<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FieldLine { name, value } = self;
        if has_credentials(name) {
            return write!(formatter, "{name}: [hidden]");
        }
        match core::str::from_utf8(value) {
            Ok(text) => write!(formatter, "{name}: {}", text.escape_debug()),
            Err(_) => write!(formatter, "{name}: {}", value.escape_ascii()),
        }
    }
}

/// Names and values that are text, as a list of lines.
pub(crate) struct FieldLines<'a, N, V>(pub(crate) &'a [(N, V)]);

impl<N: AsRef<str>, V: AsRef<str>> fmt::Debug for FieldLines<'_, N, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.iter().map(|(name, value)| FieldLine {
            name: name.as_ref(),
            value: value.as_ref().as_bytes(),
        });
        formatter.debug_list().entries(lines).finish()
    }
}

/// Whether the values of this field authenticate somebody (RFC 9110 §11, RFC 6265).
/// Sec-WebSocket-Key does not: it is no secret.
fn has_credentials(name: &str) -> bool {
    CREDENTIALS
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

const CREDENTIALS: [&str; 4] = [
    "Authorization",
    "Cookie",
    "Proxy-Authorization",
    "Set-Cookie",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_as_text_and_other_bytes_are_escaped() {
        assert_eq!(format!("{:?}", TextOrBytes("山\n".as_bytes())), r#""山\n""#);
        assert_eq!(format!("{:?}", TextOrBytes(b"a\xff")), r#"b"a\xff""#);
    }

    #[test]
    fn values_of_credentials_are_hidden_whatever_the_case_of_the_name() {
        let fields = [
            ("Accept", "*/*"),
            ("authorization", "Bearer 51d2"),
            ("COOKIE", "session=51d2"),
            ("Proxy-Authorization", "Basic 51d2"),
            ("set-cookie", "session=51d2"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let shown = format!("{:?}", FieldLines(&fields));
        assert!(!shown.contains("51d2"), "{shown}");
        assert!(shown.contains("COOKIE: [hidden]"), "{shown}");
        for shown_value in ["Accept: */*", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="] {
            assert!(shown.contains(shown_value), "{shown}");
        }
    }
}
