//! The body of a response, as far as a client has received it (RFC 9112 §6.3).
//!
//! ```text
//!   Content-Length: 8                     Transfer-Encoding: chunked (chunked.rs)
//!
//!   no room!                              8 CRLF
//!                                         no room! CRLF
//!   neither field: all that comes         0 CRLF            the last chunk
//!   until the server ends TCP             …                 trailer: not looked at
//! ```
//!
//! A function of all bytes that have come, as the readers of the heads are: the same
//! however they were cut. It allocates the body that it returns, at most a number of
//! bytes that the caller chooses. Content codings are left as they are: the client asks for
//! none.

use super::chunked::ChunkedDecoder;
use super::debug::TextOrBytes;
use super::fields::Fields;
use alloc::vec::Vec;
use core::fmt;

/// What has come of a body.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseBody {
    /// The content, without the framing of chunks.
    pub content: Vec<u8>,
    /// Nothing more is to be read: this is all of it, or its framing is broken here.
    pub ended: bool,
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ResponseBody")
            .field("content", &TextOrBytes(&self.content))
            .field("ended", &self.ended)
            .finish()
    }
}

/// What has come of the body of a response with this status and these fields: at most
/// `bytes_max` bytes of it. `bytes` are those behind the head.
pub(super) fn read(
    status: u16,
    fields: Fields<'_>,
    bytes: &[u8],
    bytes_max: usize,
) -> ResponseBody {
    match framing(status, fields) {
        Framing::None => ResponseBody {
            content: Vec::new(),
            ended: true,
        },
        Framing::Length(length) => ResponseBody {
            content: front(bytes, length.min(bytes_max)).to_vec(),
            ended: bytes.len() >= length,
        },
        Framing::Chunked => unchunked(bytes, bytes_max),
        Framing::UntilTheEnd => ResponseBody {
            content: front(bytes, bytes_max).to_vec(),
            ended: false,
        },
    }
}

/// RFC 9112 §6.3, without the cases of HEAD and CONNECT.
fn framing(status: u16, fields: Fields<'_>) -> Framing {
    if matches!(status, 100..=199 | 204 | 304) {
        return Framing::None;
    }
    if let Some(last) = fields.list("Transfer-Encoding").last() {
        return match last.eq_ignore_ascii_case(b"chunked") {
            true => Framing::Chunked,
            false => Framing::UntilTheEnd,
        };
    }
    let mut lengths = fields.list("Content-Length");
    let Some(first) = lengths.next() else {
        return Framing::UntilTheEnd;
    };
    match length(first) {
        Some(length) if lengths.all(|other| other == first) => Framing::Length(length),
        _ => Framing::None,
    }
}

/// How the end of a body is found.
enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilTheEnd,
}

/// The content up to the last chunk. Where the framing is broken, the body ends.
fn unchunked(mut bytes: &[u8], bytes_max: usize) -> ResponseBody {
    let mut decoder = ChunkedDecoder::new(u64::MAX, u64::MAX);
    let mut content = Vec::new();
    let broken = loop {
        match decoder.decode(&mut bytes) {
            Ok(Some(part)) => content.extend_from_slice(front(part, bytes_max - content.len())),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    let ended = broken || decoder.content_has_ended();
    ResponseBody { content, ended }
}

/// A number in decimal digits and nothing else; one over `usize::MAX` is `usize::MAX`.
fn length(digits: &[u8]) -> Option<usize> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = core::str::from_utf8(digits).ok()?;
    Some(digits.parse().unwrap_or(usize::MAX))
}

fn front(bytes: &[u8], bytes_max: usize) -> &[u8] {
    &bytes[..bytes.len().min(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::super::chunked::CHUNK_LINE_BYTES_MAX;
    use super::super::fields::OwnedFields;
    use super::super::received_response::HttpResponse;

    fn answer(status: u16, fields: &[(&str, &str)]) -> HttpResponse {
        let fields = fields.iter();
        HttpResponse {
            status,
            reason: String::new(),
            fields: OwnedFields::new(fields.map(|(name, value)| (*name, value.as_bytes())))
                .expect("valid fields"),
            head_bytes: 0,
        }
    }

    fn chunked(bytes: impl AsRef<[u8]>, bytes_max: usize) -> (String, bool) {
        let answer = answer(400, &[("transfer-encoding", "Chunked")]);
        let body = answer.body(bytes.as_ref(), bytes_max);
        let content = String::from_utf8(body.content).expect("text");
        (content, body.ended)
    }

    #[test]
    fn chunked_body_ends_with_its_last_chunk() {
        let whole = "5\r\nno ro\r\n03;a=\"b\";c\r\nom!\r\n000\r\n";
        for end in 0..whole.len() {
            let (content, ended) = chunked(&whole[..end], 100);
            assert!("no room!".starts_with(&content), "{content}");
            assert!(!ended, "{end}");
        }
        for behind in ["", "\r\n", "Trailer: x\r\n\r\nHTTP/1.1 200 OK"] {
            let bytes = format!("{whole}{behind}");
            assert_eq!(chunked(bytes, 100), ("no room!".to_owned(), true));
        }
        assert_eq!(chunked("0\r\n", 100), (String::new(), true));
        // Hexadecimal, in either case, and with white space behind it.
        let twenty_six = format!("1a \r\n{0}\r\n1A\t;\r\n{0}\r\n0\r\n", "x".repeat(26));
        assert_eq!(chunked(twenty_six, 100), ("x".repeat(52), true));
    }

    #[test]
    fn chunked_body_ends_where_its_framing_is_broken() {
        for line in ["", ";", "x", "-1", "+1", " 1", "0x1", "1 2", "1=", "1\r2"] {
            let bytes = format!("2\r\nok\r\n{line}\r\nz\r\n0\r\n");
            assert_eq!(chunked(bytes, 100), ("ok".to_owned(), true), "{line:?}");
        }
        assert_eq!(chunked("2\r\nokay\r\n", 100), ("ok".to_owned(), true));
        assert_eq!(chunked("2\r\nok\rx", 100), ("ok".to_owned(), true));
        assert_eq!(chunked("2\nok\n0\n", 100), (String::new(), true));
    }

    #[test]
    fn line_of_a_chunk_has_a_bound() {
        let line = |bytes: usize| format!("1;{}\r\na", "x".repeat(bytes - 2));
        let (longest, too_long) = (line(CHUNK_LINE_BYTES_MAX), line(CHUNK_LINE_BYTES_MAX + 1));
        assert_eq!(chunked(&longest, 100), ("a".to_owned(), false));
        assert_eq!(chunked(&too_long, 100), (String::new(), true));
        // Wherever the line is cut, between CR and LF too.
        let step = if cfg!(miri) { 50 } else { 1 };
        for end in (0..longest.len()).step_by(step) {
            assert_eq!(chunked(&longest[..end], 100), (String::new(), false));
        }
        let unfinished = "1".repeat(CHUNK_LINE_BYTES_MAX + 1);
        assert!(chunked(&unfinished, 100).1);
        assert!(!chunked(&unfinished[1..], 100).1);
    }

    #[test]
    fn content_has_a_bound_and_a_huge_size_allocates_nothing() {
        let bytes = "3\r\nabc\r\n3\r\ndef\r\n0\r\n";
        for bytes_max in 0..6 {
            assert_eq!(chunked(bytes, bytes_max).0, "abcdef"[..bytes_max]);
        }
        assert_eq!(chunked(bytes, 6), ("abcdef".to_owned(), true));
        for size in ["ffffffffffffffff", "1ffffffffffffffff"] {
            let bytes = format!("{size}\r\nabc");
            assert_eq!(chunked(&bytes, 2), ("ab".to_owned(), false));
        }
        let announced = answer(400, &[("Content-Length", "99999999999999999999")]);
        let body = announced.body(b"abc", 2);
        assert_eq!((&body.content[..], body.ended), (&b"ab"[..], false));
        let unknown = answer(400, &[]).body(b"abc", 2);
        assert_eq!((&unknown.content[..], unknown.ended), (&b"ab"[..], false));
    }

    #[test]
    fn end_of_a_body_is_found_by_the_fields() {
        let long = "Content-Length";
        let coding = "Transfer-Encoding";
        type Case<'a> = (u16, &'a [(&'a str, &'a str)], &'a str, bool);
        let table: [Case<'_>; 16] = [
            (400, &[], "3\r\nabc", false),
            (400, &[(long, "0")], "", true),
            (400, &[(long, "1")], "3", true),
            (400, &[(long, "6")], "3\r\nabc", true),
            (400, &[(long, "7")], "3\r\nabc", false),
            (400, &[(long, "1, 1"), (long, "1")], "3", true),
            (400, &[(long, "1"), (long, "2")], "", true),
            (400, &[(long, "1, 2")], "", true),
            (400, &[(long, "+1")], "", true),
            (400, &[(long, "1.0")], "", true),
            (400, &[(coding, "chunked"), (long, "1")], "abc", false),
            (400, &[(coding, "gzip, chunked")], "abc", false),
            (
                400,
                &[(coding, "chunked"), (coding, "gzip")],
                "3\r\nabc",
                false,
            ),
            (204, &[], "", true),
            (304, &[(long, "6")], "", true),
            (199, &[(coding, "chunked")], "", true),
        ];
        for (status, fields, content, ended) in table {
            let body = answer(status, fields).body(b"3\r\nabc", 100);
            assert_eq!(body.content, content.as_bytes(), "{status} {fields:?}");
            assert_eq!(body.ended, ended, "{status} {fields:?}");
        }
    }
}
