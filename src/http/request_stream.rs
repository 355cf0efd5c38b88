//! The requests of one connection, one after the other (RFC 9112 §9.3), without I/O.
//!
//! ```text
//!                  first byte      empty line      last byte
//!   bytes ─► Idle ───────────► Head ─────────► Body ────────► Whole ─► a response
//!             ▲                  Progress::Head      Progress::Request     │
//!             └──────────────────── next() ────────────────────────────────┘
//!
//!   deadline   idle_timeout     head_timeout   body_timeout   none: it is the server's turn
//! ```
//!
//! The caller feeds bytes as they come, answers each [`Progress::Request`], and calls
//! [`RequestStream::next`]. Bytes of the next request stay in its input meanwhile, so that
//! pipelined requests are answered in order. The events do not depend on how the bytes are cut.
//!
//! Time is an input: `now` goes in, and [`RequestStream::deadline`] comes out. Each
//! deadline is for a whole part of a request (its head, its body). A byte that comes does not
//! extend it, so that a client cannot hold a connection by sending slowly. On a new connection
//! the time for the head begins immediately.
//!
//! Memory: a head within [`HeadLimits`], and a body within [`HttpLimits`], as far as they have
//! come. Between two requests nothing is held.
//!
//! Left to the caller: the responses, and how many may wait to be written.

use super::head::HeadLayout;
use super::head_limits::HeadLimits;
use super::limits::HttpLimits;
use super::persistence::Persistence;
use super::refusal::Refusal;
use super::request::{RequestHead, RequestReader};
use super::request_body::RequestBody;
use super::status::Status;
use crate::time::Timestamp;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

/// Reads the requests of one connection: see the [module's text](super).
///
/// ```
/// use std::time::Duration;
/// use yamabiko::http::{HeadLimits, HttpLimits, Progress, RequestStream};
/// use yamabiko::time::Timestamp;
///
/// let (now, timeout) = (Timestamp(0), Duration::from_secs(10));
/// let mut requests =
///     RequestStream::new(HeadLimits::default(), HttpLimits::default(), timeout, now);
/// let mut input = &b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi\
///     GET /b HTTP/1.1\r\nHost: h\r\n\r\n"[..];
/// let mut answered = Vec::new();
/// loop {
///     match requests.receive(&mut input, now).unwrap() {
///         Progress::Incomplete => break, // until more bytes come
///         Progress::Head(_) => {}        // a chance to refuse a request before its body
///         Progress::Request { head, body, .. } => {
///             answered.push((head.path().to_owned(), body.to_vec()));
///             requests.next(now);
///         }
///         _ => {}
///     }
/// }
/// assert_eq!(answered, [("/a".to_owned(), b"hi".to_vec()), ("/b".to_owned(), Vec::new())]);
/// ```
#[derive(Clone, Debug)]
pub struct RequestStream {
    head_limits: HeadLimits,
    limits: HttpLimits,
    head_timeout: Duration,
    reader: RequestReader,
    /// What has come of the head. ≤ `head_bytes_max` + 1
    head: Vec<u8>,
    phase: Phase,
    /// The heads that have come.
    requests: usize,
    rate: RequestRate,
    deadline: Option<Timestamp>,
}

/// What has come of the current request.
#[derive(Clone, Debug)]
enum Phase {
    /// Nothing.
    Idle,
    /// A part of its head, in `RequestStream::head`.
    Head,
    /// Its head, and all or a part of its body.
    Body {
        layout: HeadLayout,
        body: RequestBody,
    },
}

/// What bytes have led to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// All input is consumed, and more is needed.
    Incomplete,
    /// The head has come. Its body follows, if it has one; a client that
    /// [`expects_continue`](RequestHead::expects_continue) waits for
    /// [`CONTINUE`](super::CONTINUE) or for a final response. An upgrade ends HTTP here: the
    /// rest of the input is not HTTP.
    Head(RequestHead<'a>),
    /// The request is whole and is to be answered. Then call [`RequestStream::next`].
    Request {
        /// Its head.
        head: RequestHead<'a>,
        /// The content of its body, without the framing of chunks.
        body: &'a [u8],
        /// What becomes of the connection after the response.
        persistence: Persistence,
    },
}

impl RequestStream {
    /// A connection begins. `head_timeout`: the time for the head of each request, of the first
    /// one from now on.
    pub fn new(
        head_limits: HeadLimits,
        limits: HttpLimits,
        head_timeout: Duration,
        now: Timestamp,
    ) -> RequestStream {
        RequestStream {
            head_limits,
            limits,
            head_timeout,
            reader: RequestReader::new(head_limits),
            head: Vec::new(),
            phase: Phase::Idle,
            requests: 0,
            rate: RequestRate::new(limits.requests_per_second, now),
            deadline: Some(now.plus(head_timeout)),
        }
    }

    /// Takes bytes off the input, up to the next event.
    ///
    /// # Errors
    ///
    /// The refusal to respond with: 400 for bytes that are no request and for a body whose end
    /// cannot be found, 413, 414, 429 and 431 beyond the limits, 417 for an unknown expectation, 501
    /// for an unknown transfer coding, 505 for another version than HTTP/1. The response is the
    /// last one of the connection, because the beginning of the next request is unknown. See
    /// [`RequestStream::method_is_head`] for its body.
    pub fn receive<'a>(
        &'a mut self,
        input: &mut &[u8],
        now: Timestamp,
    ) -> Result<Progress<'a>, Refusal> {
        let is_complete = match &mut self.phase {
            Phase::Idle | Phase::Head => return self.receive_head(input, now),
            Phase::Body { body, .. } => body.read(input),
        };
        match is_complete? {
            true => self.whole_request(),
            false => Ok(Progress::Incomplete),
        }
    }

    /// The response to the request has been made; the next request is awaited.
    pub fn next(&mut self, now: Timestamp) {
        self.reader = RequestReader::new(self.head_limits);
        self.head = Vec::new();
        self.phase = Phase::Idle;
        self.await_next(now);
    }

    /// The client has taken all responses: if nothing of a next request has come, the time in
    /// which it has to begin starts now.
    pub fn responses_written(&mut self, now: Timestamp) {
        if matches!(self.phase, Phase::Idle) && self.requests > 0 {
            self.await_next(now);
        }
    }

    /// When [`RequestStream::timed_out`] is to be asked. `None`: nothing is awaited.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// The deadline has come. Returns the response to a request of which a part has come; the
    /// connection ends with it. `None`: nothing has come, and the connection is to be closed
    /// without a response. The client may not even speak HTTP.
    pub fn timed_out(&self) -> Option<Refusal> {
        let reason = match self.phase {
            Phase::Idle => return None,
            Phase::Head => "the request did not come in time",
            Phase::Body { .. } => "the body did not come in time",
        };
        Some(Refusal::of(Status::RequestTimeout, reason))
    }

    /// Whether a request has been answered, and nothing of a further one has come: the connection can be
    /// closed without refusing a request.
    pub fn is_between_requests(&self) -> bool {
        matches!(self.phase, Phase::Idle) && self.requests > 0
    }

    /// How long the server has waited for a request, or for the rest of its head: of the first request since the connection began,
    /// of a further one since the last response or since its first byte. `None`: the head of a request has come.
    pub fn head_awaited_for(&self, now: Timestamp) -> Option<Duration> {
        let time_limit = match self.phase {
            Phase::Idle if self.requests > 0 => self.limits.idle_timeout,
            Phase::Idle | Phase::Head => self.head_timeout,
            Phase::Body { .. } => return None,
        };
        let rest = self.deadline?.since(now);
        Some(time_limit.saturating_sub(rest))
    }

    /// The memory of the current request.
    pub fn held_bytes(&self) -> usize {
        let body_bytes = match &self.phase {
            Phase::Body { body, .. } => body.held_bytes(),
            Phase::Idle | Phase::Head => 0,
        };
        self.head.capacity() + body_bytes
    }

    /// Whether the current request, as far as it has come, is a HEAD: the response to it has
    /// no body.
    pub fn method_is_head(&self) -> bool {
        self.reader.method_is_head(&self.head)
    }

    fn await_next(&mut self, now: Timestamp) {
        self.deadline = Some(now.plus(self.limits.idle_timeout));
    }
}

// The parts of a request.
impl RequestStream {
    fn receive_head<'a>(
        &'a mut self,
        input: &mut &[u8],
        now: Timestamp,
    ) -> Result<Progress<'a>, Refusal> {
        if input.is_empty() {
            return Ok(Progress::Incomplete);
        }
        self.begin_head(now);
        let had_bytes = self.copy_head(input);
        let Some((head, layout)) = self.reader.read_layout(&self.head)? else {
            *input = &[];
            return Ok(Progress::Incomplete);
        };
        let of_head = layout.head_bytes.saturating_sub(had_bytes);
        *input = input.get(of_head..).unwrap_or_default();
        let body = body_of(&head, &self.limits)?;
        if !self.rate.take(self.limits.requests_per_second, now) {
            return Err(too_many_requests());
        }
        self.requests += 1;
        self.phase = Phase::Body { layout, body };
        self.deadline = Some(now.plus(self.limits.body_timeout));
        Ok(Progress::Head(head))
    }

    /// The time for the first head has begun with the connection.
    fn begin_head(&mut self, now: Timestamp) {
        if matches!(self.phase, Phase::Idle) {
            self.phase = Phase::Head;
            if self.requests > 0 {
                self.deadline = Some(now.plus(self.head_timeout));
            }
        }
    }

    /// Copies what may belong to the head: one byte past the limit shows that it is too long.
    /// Returns how many bytes were there before.
    fn copy_head(&mut self, input: &[u8]) -> usize {
        let had_bytes = self.head.len();
        let bytes_max = self.head_limits.head_bytes_max.saturating_add(1);
        let room = bytes_max.saturating_sub(had_bytes);
        let fits = &input[..room.min(input.len())];
        self.head.extend_from_slice(fits);
        had_bytes
    }

    /// The body is whole, too.
    fn whole_request(&mut self) -> Result<Progress<'_>, Refusal> {
        self.deadline = None;
        let Phase::Body { layout, body } = &self.phase else {
            return Ok(Progress::Incomplete);
        };
        let head = RequestHead::parse(&self.head, *layout)?;
        let is_last = self.requests >= self.limits.requests_max;
        Ok(Progress::Request {
            head,
            body: body.content(),
            persistence: match is_last {
                true => Persistence::Close,
                false => head.persistence(),
            },
        })
    }
}

/// How many requests may come at a time: a token bucket that holds those of a second.
#[derive(Clone, Copy, Debug)]
struct RequestRate {
    /// In thousandths of a request, at the time `at`.
    level: u64,
    at: Timestamp,
}

impl RequestRate {
    fn new(per_second: Option<NonZeroU32>, now: Timestamp) -> RequestRate {
        RequestRate {
            level: full_level(per_second),
            at: now,
        }
    }

    /// A request has come. False: it is one too many.
    fn take(&mut self, per_second: Option<NonZeroU32>, now: Timestamp) -> bool {
        let Some(rate) = per_second else {
            return true;
        };
        let millis = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let gained = millis.saturating_mul(rate.get().into());
        let level = self.level.saturating_add(gained);
        (self.level, self.at) = (level.min(full_level(per_second)), now);
        let rest = self.level.checked_sub(REQUEST_LEVEL);
        self.level = rest.unwrap_or(self.level);
        rest.is_some()
    }
}

fn full_level(per_second: Option<NonZeroU32>) -> u64 {
    per_second.map_or(0, |rate| REQUEST_LEVEL * u64::from(rate.get()))
}

/// One request, in the unit of the level.
const REQUEST_LEVEL: u64 = 1000;

/// A whole request comes in a second at any rate.
fn too_many_requests() -> Refusal {
    let refusal = Refusal::of(
        Status::TooManyRequests,
        "too many requests on this connection in a second",
    );
    let without_field = refusal.clone();
    refusal.field("Retry-After", "1").unwrap_or(without_field)
}

fn body_of(head: &RequestHead<'_>, limits: &HttpLimits) -> Result<RequestBody, Refusal> {
    if head.has_unknown_expectation() {
        return Err(UNKNOWN_EXPECTATION);
    }
    RequestBody::new(head.body_framing()?, limits)
}

const UNKNOWN_EXPECTATION: Refusal = Refusal::of(
    Status::ExpectationFailed,
    "100-continue is the only expectation that is known here",
);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned;
    use alloc::string::String;

    const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
    const BODY_TIMEOUT: Duration = Duration::from_secs(20);
    const IDLE_TIMEOUT: Duration = Duration::from_secs(40);

    const LIMITS: HttpLimits = HttpLimits {
        body_bytes_max: 5,
        chunk_framing_bytes_max: 30,
        body_timeout: BODY_TIMEOUT,
        idle_timeout: IDLE_TIMEOUT,
        requests_max: 3,
        requests_per_second: None,
        pipelined_requests_max: 1,
    };

    #[test]
    fn requests_of_a_second_are_taken_and_one_more_gets_429() {
        let limits = HttpLimits {
            requests_per_second: NonZeroU32::new(2),
            ..HttpLimits::default()
        };
        let begin =
            || RequestStream::new(HeadLimits::default(), limits, HEAD_TIMEOUT, Timestamp(0));
        let get = &b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"[..];
        let receive = |requests: &mut RequestStream, at| {
            let status = requests.receive(&mut { get }, Timestamp(at));
            let status = status.map(|_| ()).map_err(|refusal| refusal.status());
            requests.next(Timestamp(at));
            status
        };
        let too_many = Err(Status::TooManyRequests);
        let mut requests = begin();
        assert_eq!(receive(&mut requests, 0), Ok(()));
        assert_eq!(receive(&mut requests, 0), Ok(()));
        assert_eq!(receive(&mut requests, 499), too_many);
        let mut requests = begin();
        // After a long pause there are two again, and not more.
        for at in [0, 0, 500, 90_000, 90_000] {
            assert_eq!(receive(&mut requests, at), Ok(()), "{at}");
        }
        let refusal = requests.receive(&mut { get }, Timestamp(90_000));
        let response = refusal.expect_err("too many").to_response();
        let mut output = Vec::new();
        response.write(&mut output);
        let text = String::from_utf8(output).expect("a head");
        assert!(text.starts_with("HTTP/1.1 429 "), "{text}");
        assert!(text.contains("\r\nRetry-After: 1\r\n"), "{text}");
    }

    fn stream() -> RequestStream {
        RequestStream::new(HeadLimits::default(), LIMITS, HEAD_TIMEOUT, Timestamp(0))
    }

    /// Paths and bodies of the requests in these bytes.
    fn receive_all(
        requests: &mut RequestStream,
        bytes: &[u8],
        now: Timestamp,
    ) -> Vec<(String, Vec<u8>, Persistence)> {
        let (mut input, mut received) = (bytes, Vec::new());
        loop {
            match requests.receive(&mut input, now).expect("requests") {
                Progress::Incomplete => return received,
                Progress::Head(_) => {}
                Progress::Request {
                    head,
                    body,
                    persistence,
                } => {
                    received.push((head.path().to_owned(), body.to_vec(), persistence));
                    requests.next(now);
                }
            }
        }
    }

    fn post(path: &str, length: usize) -> String {
        alloc::format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n")
    }

    #[test]
    fn connection_ends_after_the_limit_of_requests() {
        let bytes = (post("/a", 1) + "x").repeat(3);
        let received = receive_all(&mut stream(), bytes.as_bytes(), Timestamp(0));
        let persistence: Vec<_> = received.iter().map(|request| request.2).collect();
        use Persistence::{Close, Persist};
        assert_eq!(persistence, [Persist, Persist, Close]);
    }

    #[test]
    fn each_part_of_a_request_has_its_own_deadline() {
        let mut requests = stream();
        let at = |seconds: u64| Timestamp(seconds * 1000);
        // The first head: from the beginning of the connection.
        assert_eq!(requests.deadline(), Some(at(10)));
        receive_all(&mut requests, b"POST /", at(3));
        assert_eq!(requests.deadline(), Some(at(10)));
        receive_all(&mut requests, &post("/", 2).as_bytes()[6..], at(4));
        assert_eq!(requests.deadline(), Some(at(24)));
        // A byte does not extend it.
        receive_all(&mut requests, b"x", at(5));
        assert_eq!(requests.deadline(), Some(at(24)));
        receive_all(&mut requests, b"y", at(6));
        assert_eq!(requests.deadline(), Some(at(46)));
        requests.responses_written(at(7));
        assert_eq!(requests.deadline(), Some(at(47)));
        // The next head: from its first byte.
        receive_all(&mut requests, b"G", at(8));
        assert_eq!(requests.deadline(), Some(at(18)));
        requests.responses_written(at(9));
        assert_eq!(requests.deadline(), Some(at(18)));
    }

    #[test]
    fn head_is_awaited_since_the_beginning_the_last_response_or_its_first_byte() {
        let mut requests = stream();
        let at = |seconds: u64| Timestamp(seconds * 1000);
        let awaited = |requests: &RequestStream, now| {
            let time = requests.head_awaited_for(at(now));
            time.map(|time| time.as_secs())
        };
        assert_eq!(awaited(&requests, 3), Some(3));
        receive_all(&mut requests, b"POST /", at(4));
        assert_eq!(awaited(&requests, 9), Some(9));
        receive_all(&mut requests, &post("/", 2).as_bytes()[6..], at(9));
        assert_eq!(awaited(&requests, 9), None);
        receive_all(&mut requests, b"xy", at(10));
        requests.responses_written(at(12));
        assert_eq!(awaited(&requests, 12), Some(0));
        assert_eq!(awaited(&requests, 32), Some(20));
        receive_all(&mut requests, b"G", at(33));
        assert_eq!(awaited(&requests, 35), Some(2));
    }

    #[test]
    fn nothing_is_awaited_while_a_request_is_answered() {
        let mut requests = stream();
        let mut input = &b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"[..];
        for _ in 0..2 {
            requests
                .receive(&mut input, Timestamp(0))
                .expect("a request");
        }
        assert_eq!(requests.deadline(), None);
        // It stays until the next one is asked for.
        let again = requests
            .receive(&mut input, Timestamp(0))
            .expect("a request");
        assert!(matches!(again, Progress::Request { .. }));
    }

    #[test]
    fn timeout_is_answered_if_a_part_of_a_request_has_come() {
        let timed_out = |bytes: &[u8]| {
            let mut requests = stream();
            receive_all(&mut requests, bytes, Timestamp(0));
            let refusal = requests.timed_out()?;
            Some((refusal.status(), requests.method_is_head()))
        };
        assert_eq!(timed_out(b""), None);
        assert_eq!(timed_out(b"G"), Some((Status::RequestTimeout, false)));
        assert_eq!(timed_out(b"HEAD /"), Some((Status::RequestTimeout, true)));
        let half = post("/", 2) + "x";
        assert_eq!(
            timed_out(half.as_bytes()),
            Some((Status::RequestTimeout, false))
        );
        // The request is answered, and nothing of another one has come.
        assert_eq!(timed_out((half + "y").as_bytes()), None);
    }

    #[test]
    fn head_is_copied_up_to_one_byte_past_its_limit() {
        let head_limits = HeadLimits {
            head_bytes_max: 40,
            ..HeadLimits::default()
        };
        let mut requests = RequestStream::new(head_limits, LIMITS, HEAD_TIMEOUT, Timestamp(0));
        let mut input = &b"GET / HTTP/1.1\r\nHost: a.long.host.name.and.more\r\n\r\n"[..];
        let (mut first, rest) = input.split_at(20);
        let progress = requests.receive(&mut first, Timestamp(0));
        assert!(matches!(progress, Ok(Progress::Incomplete)));
        input = rest;
        let refused = requests.receive(&mut input, Timestamp(0));
        let status = refused.map(|_| ()).map_err(|refusal| refusal.status());
        assert_eq!(status, Err(Status::RequestHeaderFieldsTooLarge));
        assert_eq!(requests.head.len(), 41);
    }

    #[test]
    fn connection_holds_nothing_between_two_requests() {
        let mut requests = stream();
        receive_all(
            &mut requests,
            (post("/", 2) + "xy").as_bytes(),
            Timestamp(0),
        );
        assert_eq!(requests.held_bytes(), 0);
        let half = post("/", 2) + "x";
        receive_all(&mut requests, half.as_bytes(), Timestamp(0));
        assert!((half.len()..2 * half.len()).contains(&requests.held_bytes()));
    }
}
