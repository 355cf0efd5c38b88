//! How bytes that are nearly always text are shown in `Debug`.

use core::fmt;

/// A string literal, of bytes where they are not UTF-8.
pub(super) struct TextOrBytes<'a>(pub(super) &'a [u8]);

impl fmt::Debug for TextOrBytes<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match core::str::from_utf8(self.0) {
            Ok(text) => write!(formatter, "{text:?}"),
            Err(_) => write!(formatter, "b\"{}\"", self.0.escape_ascii()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_as_text_and_other_bytes_are_escaped() {
        assert_eq!(format!("{:?}", TextOrBytes("山\n".as_bytes())), r#""山\n""#);
        assert_eq!(format!("{:?}", TextOrBytes(b"a\xff")), r#"b"a\xff""#);
    }
}
