//! Properties of HTTP connections: a server reads the requests of a connection.

pub mod seeds;

use super::input::take_lengths;
use super::session::cut;
use std::time::Duration;
use yamabiko::http::{HeadLimits, HttpLimits, Persistence, Progress, RequestStream};
use yamabiko::time::Timestamp;

/// The limits that the first byte of an input selects. A short input can reach the small ones.
fn limits_of(selector: u8) -> (HeadLimits, HttpLimits) {
    if selector.is_multiple_of(2) {
        return (HeadLimits::default(), HttpLimits::default());
    }
    let head_limits = HeadLimits {
        request_line_bytes_max: 40,
        field_bytes_max: 50,
        head_bytes_max: 120,
        fields_max: 5,
        leading_empty_lines_max: 1,
    };
    let limits = HttpLimits {
        body_bytes_max: 12,
        chunk_framing_bytes_max: 40,
        requests_max: 3,
        ..HttpLimits::default()
    };
    (head_limits, limits)
}

/// A server receives the same requests and refuses the same bytes, however its input is cut. The
/// requests are within the limits, and each of them is the same when it is written again with a
/// Content-Length.
pub fn http_requests(data: &[u8]) {
    let Some((&selector, rest)) = data.split_first() else {
        return;
    };
    let (lengths, input) = take_lengths(rest);
    let limits = limits_of(selector);
    let uncut = receive(limits, &[input]);
    let pieces = receive(limits, &cut(input, lengths));
    assert_eq!(uncut, pieces, "the same requests for any cutting");
    for request in &uncut.requests {
        assert!(request.body.len() <= limits.1.body_bytes_max);
        is_the_same_when_written_again(request);
    }
}

/// What a server makes of the bytes of a connection.
#[derive(Debug, PartialEq)]
struct Received {
    requests: Vec<Request>,
    end: End,
}

#[derive(Debug, PartialEq)]
enum End {
    /// Nothing, or a part of a request, has come: the status after the timeout.
    Waits(Option<u16>),
    /// The last request closes the connection.
    Closed,
    Refused {
        status: u16,
        reason: String,
        head_only: bool,
    },
}

/// All that an application can see of a request.
#[derive(Clone, Debug, PartialEq)]
struct Request {
    method: String,
    target: String,
    version: &'static str,
    /// Without those that frame the body.
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    expects_continue: bool,
    persistence: Persistence,
}

fn receive((head_limits, limits): (HeadLimits, HttpLimits), pieces: &[&[u8]]) -> Received {
    let now = Timestamp(0);
    let mut stream = RequestStream::new(head_limits, limits, Duration::from_secs(10), now);
    let mut requests = Vec::new();
    let mut heads = 0;
    for piece in pieces {
        let mut input = *piece;
        loop {
            match stream.receive(&mut input, now) {
                Ok(Progress::Incomplete) => break,
                Ok(Progress::Head(_)) => heads += 1,
                Ok(Progress::Request {
                    head,
                    body,
                    persistence,
                }) => {
                    requests.push(request_of(&head, body, persistence));
                    assert_eq!(heads, requests.len(), "each head is shown once");
                    stream.next(now);
                    if persistence == Persistence::Close {
                        let end = End::Closed;
                        return Received { requests, end };
                    }
                }
                Ok(other) => panic!("an unknown step: {other:?}"),
                Err(refusal) => {
                    let end = End::Refused {
                        status: refusal.status().code(),
                        reason: refusal.reason().to_owned(),
                        head_only: stream.method_is_head(),
                    };
                    return Received { requests, end };
                }
            }
        }
        assert!(input.is_empty(), "all input is consumed");
        assert!(stream.deadline().is_some(), "each wait has an end");
    }
    let status = stream.timed_out().map(|refusal| refusal.status().code());
    let end = End::Waits(status);
    Received { requests, end }
}

fn request_of(
    head: &yamabiko::http::RequestHead<'_>,
    body: &[u8],
    persistence: Persistence,
) -> Request {
    let frames_the_body = |name: &str| {
        name.eq_ignore_ascii_case("Content-Length")
            || name.eq_ignore_ascii_case("Transfer-Encoding")
    };
    let fields = head.fields().iter();
    let fields = fields.filter(|field| !frames_the_body(field.name()));
    Request {
        method: head.method().to_owned(),
        target: head.target().to_owned(),
        version: match head.version() {
            yamabiko::http::HttpVersion::Http10 => "HTTP/1.0",
            yamabiko::http::HttpVersion::Http11 => "HTTP/1.1",
        },
        fields: fields
            .map(|field| (field.name().to_owned(), field.value().to_vec()))
            .collect(),
        body: body.to_vec(),
        expects_continue: head.expects_continue(),
        persistence,
    }
}

/// The framing has no meaning for the application, and nothing of it is left in the body.
fn is_the_same_when_written_again(request: &Request) {
    let mut bytes = Vec::new();
    for word in [&request.method, " ", &request.target, " ", request.version] {
        bytes.extend_from_slice(word.as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    for (name, value) in &request.fields {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    let length = format!("Content-Length: {}\r\n\r\n", request.body.len());
    bytes.extend_from_slice(length.as_bytes());
    bytes.extend_from_slice(&request.body);
    let limits = (
        HeadLimits {
            request_line_bytes_max: usize::MAX,
            field_bytes_max: usize::MAX,
            head_bytes_max: usize::MAX,
            fields_max: usize::MAX,
            ..HeadLimits::default()
        },
        HttpLimits::default(),
    );
    let again = receive(limits, &[&bytes]);
    let [other] = &again.requests[..] else {
        panic!("{request:?} became {again:?}");
    };
    let expected = Request {
        // An empty chunked body is announced, an empty one of a length is not.
        expects_continue: request.expects_continue && !request.body.is_empty(),
        // The limit of requests closes a connection, too.
        persistence: other.persistence,
        ..request.clone()
    };
    assert_eq!(other, &expected);
    assert!(request.persistence == other.persistence || request.persistence == Persistence::Close);
}
