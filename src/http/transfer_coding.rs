//! The value of Transfer-Encoding (RFC 9112 §6.1).
//!
//! Only `chunked` is known here. Compressed bodies are a matter of Content-Encoding; no
//! browser, proxy or tool compresses a request by a transfer coding.

use super::token::list_elements;

/// The meaning of all Transfer-Encoding fields of a request together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TransferCoding {
    #[default]
    Absent,
    /// `chunked`, once and nothing else.
    Chunked,
    /// Other codings, and `chunked` as the last: the end can be found, the content not.
    UnknownThenChunked,
    /// The last coding is not `chunked`, or it is there twice: the end cannot be found.
    EndUnknown,
}

impl TransferCoding {
    /// A further field. A list counts as several fields.
    pub(super) fn add(&mut self, value: &[u8]) {
        let mut codings = list_elements(value).peekable();
        if codings.peek().is_none() {
            *self = TransferCoding::EndUnknown;
        }
        for coding in codings {
            *self = self.and(coding.eq_ignore_ascii_case(b"chunked"));
        }
    }

    fn and(self, is_chunked: bool) -> TransferCoding {
        match (self, is_chunked) {
            (TransferCoding::Absent, true) => TransferCoding::Chunked,
            (TransferCoding::EndUnknown, true) => TransferCoding::UnknownThenChunked,
            // Nothing may follow `chunked`, not even itself.
            _ => TransferCoding::EndUnknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunked_must_be_the_last_coding_and_the_only_one_that_is_known() {
        use TransferCoding::{Absent, Chunked, EndUnknown, UnknownThenChunked};
        let table: [(&[&str], TransferCoding); 13] = [
            (&[], Absent),
            (&["chunked"], Chunked),
            (&["Chunked"], Chunked),
            (&[", chunked ,"], Chunked),
            (&["gzip, chunked"], UnknownThenChunked),
            (&["gzip", "chunked"], UnknownThenChunked),
            (&["identity"], EndUnknown),
            (&["chunked, gzip"], EndUnknown),
            (&["chunked", "identity"], EndUnknown),
            (&["chunked", ""], EndUnknown),
            (&[""], EndUnknown),
            (&["xchunked"], EndUnknown),
            (&["chunked;a=b"], EndUnknown),
        ];
        for (values, expected) in table {
            let mut coding = TransferCoding::default();
            values.iter().for_each(|value| coding.add(value.as_bytes()));
            assert_eq!(coding, expected, "{values:?}");
        }
    }

    #[test]
    fn chunked_twice_has_no_known_end() {
        for values in [&["chunked, chunked"][..], &["chunked", "chunked"]] {
            let mut coding = TransferCoding::default();
            values.iter().for_each(|value| coding.add(value.as_bytes()));
            assert_eq!(coding, TransferCoding::EndUnknown, "{values:?}");
        }
    }
}
