//! Conditional requests (RFC 9110 §13): a client that has a version of a resource asks for
//! another one only (`If-None-Match`), or changes the version only that it knows (`If-Match`).
//!
//! The other three conditions need a date of the last change, which no resource here has; such
//! a server ignores them (RFC 9110 §13.1.3, §13.1.4, §13.1.5).

use super::entity_tag::{EntityTag, tags_of};
use super::fields::Fields;
use super::request::RequestHead;
use super::status::Status;

/// What the conditions of a request lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precondition {
    /// There is none, or it holds: the request is to be answered.
    Holds,
    /// The client has this version: 304.
    NotModified,
    /// The condition does not hold: 412.
    Failed,
}

impl Precondition {
    /// Evaluates the conditions of a request for a resource whose version has this tag, in the
    /// order of RFC 9110 §13.2.2. `None`: the resource does not exist.
    ///
    /// ```
    /// use yamabiko::http::{EntityTag, HeadLimits, Precondition, RequestReader};
    ///
    /// let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"v7\"\r\n\r\n";
    /// let (head, _) = RequestReader::new(HeadLimits::default()).read(bytes)?.unwrap();
    /// let current = EntityTag::parse(b"\"v7\"");
    /// assert_eq!(Precondition::of(&head, current.as_ref()), Precondition::NotModified);
    /// # Ok::<(), yamabiko::http::Refusal>(())
    /// ```
    pub fn of(request: &RequestHead<'_>, current: Option<&EntityTag<'_>>) -> Precondition {
        let fields = request.fields();
        let same_bytes =
            |tag: EntityTag<'_>, current: &EntityTag<'_>| tag.matches_strongly(current);
        if lists(fields, "If-Match", current, same_bytes) == Some(false) {
            return Precondition::Failed;
        }
        let same_meaning =
            |tag: EntityTag<'_>, current: &EntityTag<'_>| tag.matches_weakly(current);
        match lists(fields, "If-None-Match", current, same_meaning) {
            Some(true) if matches!(request.method(), "GET" | "HEAD") => Precondition::NotModified,
            Some(true) => Precondition::Failed,
            Some(false) | None => Precondition::Holds,
        }
    }

    /// The status to respond with, if the request is not to be answered otherwise.
    pub fn status(self) -> Option<Status> {
        match self {
            Precondition::Holds => None,
            Precondition::NotModified => Some(Status::NotModified),
            Precondition::Failed => Some(Status::PreconditionFailed),
        }
    }
}

/// Whether the fields of this name list the tag, or `*`. `None`: there is no such field.
fn lists(
    fields: Fields<'_>,
    name: &str,
    current: Option<&EntityTag<'_>>,
    matches: impl Fn(EntityTag<'_>, &EntityTag<'_>) -> bool,
) -> Option<bool> {
    let first = fields.get(name)?;
    let Some(current) = current else {
        return Some(false);
    };
    let mut tags = fields.get_all(name).flat_map(tags_of);
    Some(first == b"*" || tags.any(|tag| matches(tag, current)))
}

#[cfg(test)]
mod tests {
    use super::super::head_limits::HeadLimits;
    use super::super::request::RequestReader;
    use super::*;

    fn evaluate(method: &str, fields: &str, current: Option<&str>) -> Precondition {
        let bytes = alloc::format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut reader = RequestReader::new(HeadLimits::default());
        let read = reader.read(bytes.as_bytes()).expect("a request");
        let (head, _) = read.expect("it is whole");
        let current = current.map(|text| EntityTag::parse(text.as_bytes()).expect("a tag"));
        Precondition::of(&head, current.as_ref())
    }

    #[test]
    fn condition_holds_or_gives_304_or_412() {
        use Precondition::{Failed, Holds, NotModified};
        let table = [
            ("GET", "", Some("\"1\""), Holds),
            (
                "GET",
                "If-None-Match: \"1\"\r\n",
                Some("\"1\""),
                NotModified,
            ),
            (
                "HEAD",
                "If-None-Match: W/\"1\"\r\n",
                Some("\"1\""),
                NotModified,
            ),
            (
                "GET",
                "If-None-Match: \"0\", \"1\"\r\n",
                Some("W/\"1\""),
                NotModified,
            ),
            (
                "GET",
                "If-None-Match: \"0\"\r\nIf-None-Match: \"1\"\r\n",
                Some("\"1\""),
                NotModified,
            ),
            ("GET", "If-None-Match: *\r\n", Some("\"1\""), NotModified),
            ("GET", "If-None-Match: *\r\n", None, Holds),
            ("GET", "If-None-Match: \"2\"\r\n", Some("\"1\""), Holds),
            ("GET", "If-None-Match: 1\r\n", Some("\"1\""), Holds),
            ("PUT", "If-None-Match: *\r\n", Some("\"1\""), Failed),
            ("PUT", "If-Match: \"1\"\r\n", Some("\"1\""), Holds),
            ("PUT", "If-Match: *\r\n", Some("\"1\""), Holds),
            ("PUT", "If-Match: *\r\n", None, Failed),
            ("PUT", "If-Match: \"2\"\r\n", Some("\"1\""), Failed),
            ("PUT", "If-Match: W/\"1\"\r\n", Some("W/\"1\""), Failed),
            ("PUT", "If-Match: 1\r\n", Some("\"1\""), Failed),
            (
                "GET",
                "If-Match: \"2\"\r\nIf-None-Match: \"1\"\r\n",
                Some("\"1\""),
                Failed,
            ),
        ];
        for (method, fields, current, expected) in table {
            let result = evaluate(method, fields, current);
            assert_eq!(result, expected, "{method} {fields:?} {current:?}");
        }
    }
}
