//! Values of HTTP as an application uses them: statuses, bodies, targets, and the framing of a
//! request's body.

use std::borrow::Cow;
use std::sync::Arc;

use yamabiko::http::{
    Body, BodyFraming, EntityTag, HeadLimits, HttpVersion, InvalidField, Refusal, RequestHead,
    RequestReader, Response, Status,
};

const STATUSES: [Status; 32] = [
    Status::Ok,
    Status::Created,
    Status::Accepted,
    Status::NoContent,
    Status::MovedPermanently,
    Status::Found,
    Status::SeeOther,
    Status::NotModified,
    Status::TemporaryRedirect,
    Status::PermanentRedirect,
    Status::BadRequest,
    Status::Unauthorized,
    Status::Forbidden,
    Status::NotFound,
    Status::MethodNotAllowed,
    Status::RequestTimeout,
    Status::Conflict,
    Status::Gone,
    Status::PreconditionFailed,
    Status::ContentTooLarge,
    Status::UriTooLong,
    Status::UnsupportedMediaType,
    Status::ExpectationFailed,
    Status::UnprocessableContent,
    Status::UpgradeRequired,
    Status::TooManyRequests,
    Status::RequestHeaderFieldsTooLarge,
    Status::InternalServerError,
    Status::NotImplemented,
    Status::BadGateway,
    Status::ServiceUnavailable,
    Status::HttpVersionNotSupported,
];

#[test]
fn each_status_is_written_with_its_code_and_reason_phrase() {
    let mut codes: Vec<_> = STATUSES.iter().map(|status| status.code()).collect();
    assert!(codes.is_sorted(), "{codes:?}");
    codes.dedup();
    assert_eq!(codes.len(), STATUSES.len());
    for status in STATUSES {
        let mut written = Vec::new();
        Response::new(status).write(&mut written);
        let line = format!("HTTP/1.1 {} {}\r\n", status.code(), status.reason_phrase());
        assert!(written.starts_with(line.as_bytes()), "{status}");
    }
}

#[test]
fn body_has_the_bytes_that_it_was_made_of() {
    let bodies: [Body; 7] = [
        b"abc".into(),
        "abc".into(),
        b"abc".to_vec().into(),
        "abc".to_owned().into(),
        Cow::<'static, str>::Owned("abc".to_owned()).into(),
        Cow::Borrowed(&b"abc"[..]).into(),
        Arc::<[u8]>::from(&b"abc"[..]).into(),
    ];
    for body in &bodies {
        assert_eq!(&**body, b"abc");
        assert_eq!(*body, bodies[0]);
    }
    assert_eq!(
        Body::from(Cow::<'static, [u8]>::Owned(vec![1])),
        vec![1].into()
    );
}

#[test]
fn response_with_json_has_its_media_type_and_length() {
    let mut written = Vec::new();
    Response::json(Status::Created, r#"{"a":1}"#).write(&mut written);
    let written = String::from_utf8(written).expect("text");
    assert!(
        written.contains("Content-Type: application/json\r\n"),
        "{written}"
    );
    assert!(written.contains("Content-Length: 7\r\n"), "{written}");
    assert!(written.ends_with("\r\n\r\n{\"a\":1}"), "{written}");
}

#[test]
fn invalid_field_of_the_application_becomes_500_and_names_the_rule() {
    for (field, part) in [
        (InvalidField::Name, "token"),
        (InvalidField::Value, "value"),
        (InvalidField::Reserved, "set"),
    ] {
        assert!(field.to_string().contains(part), "{field}");
        let refusal = Refusal::from(field);
        assert_eq!(refusal.status(), Status::InternalServerError);
        assert!(refusal.to_string().contains("the application"), "{refusal}");
    }
}

/// Reads a request with these lines behind the request line.
fn with_head<T>(line: &str, fields: &str, test: impl FnOnce(RequestHead<'_>) -> T) -> T {
    let bytes = format!("{line}\r\nHost: localhost\r\n{fields}\r\n");
    let mut reader = RequestReader::new(HeadLimits::default());
    let (head, _) = reader
        .read(bytes.as_bytes())
        .expect("valid")
        .expect("whole");
    test(head)
}

#[test]
fn target_is_read_as_segments_and_pairs() {
    with_head("GET /a%20b/%C3%A9?x=1&y&x=a+b HTTP/1.0", "", |head| {
        assert!(head.path_segments().eq(["a b", "é"]));
        let pairs: Vec<_> = head.query_pairs().collect();
        let expected = [("x", "1"), ("y", ""), ("x", "a b")];
        assert!(
            pairs
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .eq(expected)
        );
        assert_eq!(head.query_value("x").as_deref(), Some("1"));
        assert_eq!(head.query_value("z"), None);
        assert_eq!(head.version(), HttpVersion::Http10);
    });
}

#[test]
fn framing_of_a_body_is_empty_only_without_bytes_behind_the_head() {
    for (fields, framing, empty) in [
        ("", BodyFraming::Length(0), true),
        ("Content-Length: 0\r\n", BodyFraming::Length(0), true),
        ("Content-Length: 5\r\n", BodyFraming::Length(5), false),
        (
            "Transfer-Encoding: chunked\r\n",
            BodyFraming::Chunked,
            false,
        ),
    ] {
        with_head("POST / HTTP/1.1", fields, |head| {
            assert_eq!(head.body_framing().ok(), Some(framing), "{fields:?}");
            assert_eq!(framing.is_empty(), empty, "{fields:?}");
            assert_eq!(head.body_announced(), !empty, "{fields:?}");
        });
    }
}

#[test]
fn body_whose_end_cannot_be_found_is_refused_by_the_rule() {
    for (line, fields, status) in [
        ("POST / HTTP/1.1", "Content-Length: x\r\n", 400),
        (
            "POST / HTTP/1.1",
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1",
            "Content-Length: 99999999999999999999\r\n",
            413,
        ),
        ("POST / HTTP/1.0", "Transfer-Encoding: chunked\r\n", 400),
        (
            "POST / HTTP/1.1",
            "Transfer-Encoding: chunked, gzip\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1",
            "Transfer-Encoding: gzip, chunked\r\n",
            501,
        ),
        (
            "POST / HTTP/1.1",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            400,
        ),
    ] {
        with_head(line, fields, |head| {
            let refused = head
                .body_framing()
                .map_err(|refusal| refusal.status().code());
            assert_eq!(refused, Err(status), "{fields:?}");
            assert!(head.body_announced(), "{fields:?}");
        });
    }
}

#[test]
fn entity_tags_are_compared_strongly_or_weakly() {
    let tag = |text: &'static str| EntityTag::parse(text.as_bytes()).expect("a tag");
    assert!(tag("\"a\"").matches_strongly(&tag("\"a\"")));
    assert!(!tag("W/\"a\"").matches_strongly(&tag("\"a\"")));
    assert!(tag("W/\"a\"").matches_weakly(&tag("\"a\"")));
    assert!(tag("W/\"a\"").is_weak() && !tag("\"a\"").is_weak());
    assert_eq!(EntityTag::parse(b"a"), None);
}
