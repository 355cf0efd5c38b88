//! A file that is part of the program, served plain or compressed, and not again to a client
//! that has it.
//!
//! ```text
//!   GET                                         200, all of it, ETag: "a1"
//!   GET, Accept-Encoding: gzip                  200, compressed, ETag: "a1-gzip"
//!   GET, If-None-Match: "a1"                    304, no body
//!   HEAD                                        as GET, without the body
//!   any other method                            405, Allow: GET, HEAD
//! ```
//!
//! Two forms are two sequences of bytes, and so have two strong entity tags (RFC 9110 §8.8.3.3).
//! All responses have `Vary: Accept-Encoding`, for caches. A file is
//! compressed once, when the program starts; a response shares its bytes.

use super::accept_encoding::prefers_gzip;
use super::body::Body;
use super::entity_tag::EntityTag;
use super::gzip;
use super::invalid_field::InvalidField;
use super::precondition::Precondition;
use super::refusal::Refusal;
use super::request::RequestHead;
use super::response::Response;
use super::status::Status;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use sha1::{Digest, Sha1};

/// A file of the program.
///
/// ```
/// use yamabiko::http::{HeadLimits, RequestReader, StaticFile, Status};
///
/// let page = StaticFile::new("text/html; charset=utf-8", b"<title>hello</title>")?
///     .field("Cache-Control", "no-cache")?;
/// let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// let (head, _) = RequestReader::new(HeadLimits::default()).read(bytes).unwrap().unwrap();
/// let response = page.respond(&head);
/// assert_eq!(response.status(), Status::Ok);
/// assert_eq!(response.body(), b"<title>hello</title>");
/// # Ok::<(), yamabiko::http::InvalidField>(())
/// ```
#[derive(Clone, Debug)]
pub struct StaticFile {
    plain: Form,
    /// `None`: compressing does not make it shorter.
    compressed: Option<Form>,
    content_type: &'static str,
    fields: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

/// The file as it is sent.
#[derive(Clone, Debug)]
struct Form {
    body: Body,
    /// With its quotation marks.
    entity_tag: String,
}

impl StaticFile {
    /// A file with this media type. Compresses it: some milliseconds for 100 KiB of text.
    ///
    /// # Errors
    ///
    /// [`InvalidField::Value`] if the type is not a legal field value.
    pub fn new(content_type: &'static str, bytes: &'static [u8]) -> Result<Self, InvalidField> {
        Response::new(Status::Ok).content(content_type, bytes)?;
        let hash = hash_of(bytes);
        let compressed = gzip::compress(bytes).map(|bytes| Form {
            body: Arc::<[u8]>::from(bytes).into(),
            entity_tag: format!("\"{hash}-gzip\""),
        });
        Ok(StaticFile {
            plain: Form {
                body: bytes.into(),
                entity_tag: format!("\"{hash}\""),
            },
            compressed,
            content_type,
            fields: Vec::new(),
        })
    }

    /// Adds a field to all responses, for instance `Cache-Control`.
    ///
    /// # Errors
    ///
    /// As [`Response::field`].
    pub fn field(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Result<Self, InvalidField> {
        let (name, value) = (name.into(), value.into());
        Response::new(Status::Ok).field(name.clone(), value.clone())?;
        self.fields.push((name, value));
        Ok(self)
    }

    /// The response to a request for this file.
    pub fn respond(&self, request: &RequestHead<'_>) -> Response {
        if !matches!(request.method(), "GET" | "HEAD") {
            return Refusal::of(Status::MethodNotAllowed, "a file can only be read").to_response();
        }
        let (form, coding) = match &self.compressed {
            Some(compressed) if prefers_gzip(request.fields()) => (compressed, Some("gzip")),
            _ => (&self.plain, None),
        };
        let current = EntityTag::parse(form.entity_tag.as_bytes());
        let response = match Precondition::of(request, current.as_ref()).status() {
            Some(status) => Ok(Response::new(status)),
            None => self.whole(form, coding),
        };
        response
            .and_then(|response| self.with_fields(response, form))
            .unwrap_or_else(|_| Response::new(Status::InternalServerError))
    }

    fn whole(&self, form: &Form, coding: Option<&'static str>) -> Result<Response, InvalidField> {
        let response = Response::new(Status::Ok).content(self.content_type, form.body.clone())?;
        match coding {
            Some(coding) => response.field("Content-Encoding", coding),
            None => Ok(response),
        }
    }

    /// The fields that a 304 has in common with a 200 (RFC 9110 §15.4.5).
    fn with_fields(&self, response: Response, form: &Form) -> Result<Response, InvalidField> {
        let add = |response: Response, (name, value): &(Cow<'static, str>, Cow<'static, str>)| {
            response.field(name.clone(), value.clone())
        };
        let response = self.fields.iter().try_fold(response, add)?;
        response
            .field("ETag", form.entity_tag.clone())?
            .field("Vary", "Accept-Encoding")
    }
}

/// The first 16 hexadecimal digits of the SHA-1: it tells versions of a file apart, and
/// protects nothing.
fn hash_of(bytes: &[u8]) -> String {
    let hash = Sha1::digest(bytes);
    hash.iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::head_limits::HeadLimits;
    use super::super::request::RequestReader;
    use super::*;
    use alloc::borrow::ToOwned;

    const TEXT: &str = "yamabiko yamabiko yamabiko yamabiko yamabiko yamabiko yamabiko";

    fn file() -> StaticFile {
        let file = StaticFile::new("text/plain", TEXT.as_bytes());
        let file = file.and_then(|file| file.field("Cache-Control", "no-cache"));
        file.expect("valid fields")
    }

    fn ask(file: &StaticFile, method: &str, fields: &str) -> Response {
        let bytes = format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut reader = RequestReader::new(HeadLimits::default());
        let read = reader.read(bytes.as_bytes()).expect("a request");
        let (head, _) = read.expect("it is whole");
        file.respond(&head)
    }

    fn field(response: &Response, wanted: &str) -> Option<String> {
        let mut fields = response.fields();
        let field = fields.find(|(name, _)| *name == wanted);
        field.map(|(_, value)| value.into_owned())
    }

    #[test]
    fn form_is_chosen_by_accept_encoding_and_named_by_its_entity_tag() {
        let file = file();
        let plain = ask(&file, "GET", "");
        assert_eq!(plain.body(), TEXT.as_bytes());
        assert_eq!(field(&plain, "Content-Encoding"), None);
        let compressed = ask(&file, "GET", "Accept-Encoding: gzip\r\n");
        assert!(compressed.body().starts_with(b"\x1f\x8b"));
        assert_eq!(
            field(&compressed, "Content-Encoding"),
            Some("gzip".to_owned())
        );
        assert_ne!(field(&plain, "ETag"), field(&compressed, "ETag"));
        for response in [plain, compressed] {
            assert_eq!(response.status(), Status::Ok);
            assert_eq!(field(&response, "Vary"), Some("Accept-Encoding".to_owned()));
            assert_eq!(
                field(&response, "Cache-Control"),
                Some("no-cache".to_owned())
            );
        }
    }

    #[test]
    fn client_that_has_the_file_gets_304_with_the_same_fields() {
        let file = file();
        for accept in ["", "Accept-Encoding: gzip\r\n"] {
            let whole = ask(&file, "GET", accept);
            let tag = field(&whole, "ETag").expect("a tag");
            let condition = format!("{accept}If-None-Match: W/\"x\", {tag}\r\n");
            let response = ask(&file, "GET", &condition);
            assert_eq!(response.status(), Status::NotModified);
            assert_eq!(response.body(), b"");
            for name in ["ETag", "Vary", "Cache-Control"] {
                assert_eq!(field(&response, name), field(&whole, name));
            }
        }
        // The tag of the other form.
        let plain = field(&ask(&file, "GET", ""), "ETag").expect("a tag");
        let condition = format!("Accept-Encoding: gzip\r\nIf-None-Match: {plain}\r\n");
        assert_eq!(ask(&file, "GET", &condition).status(), Status::Ok);
    }

    #[test]
    fn other_conditions_and_methods_are_refused() {
        let file = file();
        let failed = ask(&file, "GET", "If-Match: \"x\"\r\n");
        assert_eq!(failed.status(), Status::PreconditionFailed);
        let not_allowed = ask(&file, "PUT", "");
        assert_eq!(not_allowed.status(), Status::MethodNotAllowed);
        assert_eq!(field(&not_allowed, "Allow"), Some("GET, HEAD".to_owned()));
    }

    #[test]
    fn file_that_does_not_get_shorter_is_served_plain() {
        let file = StaticFile::new("text/plain", b"abc").expect("a valid type");
        let response = ask(&file, "GET", "Accept-Encoding: gzip\r\n");
        assert_eq!(response.body(), b"abc");
        assert_eq!(field(&response, "Content-Encoding"), None);
    }
}
