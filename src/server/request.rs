//! A plain HTTP request, as a handler gets it.

use crate::http::{BodyFraming, Fields, RequestHead};
use crate::reactor::PeerAddress;
#[cfg(feature = "tokens")]
use crate::tokens::{Grant, TokenError, Tokens};
use std::borrow::Cow;
#[cfg(feature = "tokens")]
use std::time::SystemTime;

/// A whole request: its head, its body, and the client's address. Valid during the call.
///
/// ```
/// use yamabiko::server::{Request, Response, Status};
///
/// /// `POST /rooms/{room}/messages` takes a text; `GET /rooms/{room}` tells something about it.
/// fn respond(request: &Request<'_>) -> Response {
///     let segments: Vec<_> = request.path_segments().collect();
///     let segments: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
///     match (request.method(), &segments[..]) {
///         ("POST", ["rooms", _room, "messages"]) => match request.text() {
///             Some(_text) => Response::new(Status::Accepted),
///             None => Response::text(Status::UnprocessableContent, "not UTF-8\n"),
///         },
///         ("GET" | "HEAD", ["rooms", room]) => {
///             Response::json(Status::Ok, format!(r#"{{"room":"{room}"}}"#))
///         }
///         _ => Response::text(Status::NotFound, "there is nothing here\n"),
///     }
/// }
/// # let _ = respond;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    head: RequestHead<'a>,
    body: &'a [u8],
    peer_address: PeerAddress,
    /// The server's, and the time of the request.
    #[cfg(feature = "tokens")]
    tokens: Option<(&'a Tokens, SystemTime)>,
}

impl<'a> Request<'a> {
    /// A request of these parts, for instance to test a handler.
    ///
    /// ```
    /// use yamabiko::http::{HttpVersion, OwnedRequest};
    /// use yamabiko::server::Request;
    ///
    /// let fields = [("host", &b"localhost"[..])];
    /// let parts = OwnedRequest::new("GET", "/rooms/a?limit=5", HttpVersion::Http11, fields)?;
    /// let request = Request::new(parts.head()?, b"", ([192, 0, 2, 1], 50_000).into());
    /// assert!(request.path_segments().eq(["rooms", "a"]));
    /// assert_eq!(request.query_value("limit").as_deref(), Some("5"));
    /// # Ok::<(), yamabiko::server::Refusal>(())
    /// ```
    pub fn new(head: RequestHead<'a>, body: &'a [u8], peer_address: PeerAddress) -> Request<'a> {
        Request {
            head,
            body,
            peer_address,
            #[cfg(feature = "tokens")]
            tokens: None,
        }
    }

    /// The same request on a server with these tokens, at this time.
    #[cfg(feature = "tokens")]
    #[must_use]
    pub fn with_tokens(mut self, tokens: &'a Tokens, now: SystemTime) -> Request<'a> {
        self.tokens = Some((tokens, now));
        self
    }

    /// What the token of the request grants. The token is checked when this method is called, so that requests that need no
    /// token are served with any token.
    ///
    /// ```
    /// use yamabiko::server::{Refusal, Request, Response, Status};
    /// use yamabiko::tokens::TokenError;
    ///
    /// fn publish(request: &Request<'_>, room: &str) -> Result<Response, Refusal> {
    ///     if !request.grant()?.may_publish(room) {
    ///         return Err(TokenError::NotAllowed.into());
    ///     }
    ///     Ok(Response::new(Status::Accepted))
    /// }
    /// # let _ = publish;
    /// ```
    ///
    /// # Errors
    /// The token is not valid, or there is none ([`TokenError::Missing`]). Without [`Config::tokens`](super::Config): always
    /// [`TokenError::NoKeys`].
    #[cfg(feature = "tokens")]
    pub fn grant(&self) -> Result<Grant, TokenError> {
        let (tokens, now) = self.tokens.ok_or(TokenError::NoKeys)?;
        let grant = tokens.authenticate(&self.head, now)?;
        grant.ok_or(TokenError::Missing)
    }

    /// The head, with all that is known of it.
    pub fn head(&self) -> &RequestHead<'a> {
        &self.head
    }

    /// The method, a token: `GET` and its like. Case matters.
    pub fn method(&self) -> &'a str {
        self.head.method()
    }

    /// The request target as it was sent.
    pub fn target(&self) -> &'a str {
        self.head.target()
    }

    /// The path, percent-encoded as it was sent. Empty for `OPTIONS *`.
    pub fn path(&self) -> &'a str {
        self.head.path()
    }

    /// The segments of the path, decoded: see [`RequestHead::path_segments`].
    pub fn path_segments(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        self.head.path_segments()
    }

    /// The value of the first pair of the query with this name, decoded: see
    /// [`RequestHead::query_value`].
    pub fn query_value(&self, name: &str) -> Option<Cow<'a, str>> {
        self.head.query_value(name)
    }

    /// The pairs of the query, decoded, in the order in which they were sent.
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        self.head.query_pairs()
    }

    /// The part of the target behind its first question mark.
    pub fn query(&self) -> Option<&'a str> {
        self.head.query()
    }

    /// The header fields.
    pub fn fields(&self) -> Fields<'a> {
        self.head.fields()
    }

    /// The body, at most [`HttpLimits::body_bytes_max`](crate::http::HttpLimits) bytes; empty
    /// if there is none. Content codings are left as they are.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The length of the body that the head tells, before the body comes; 0 if there is none. `None`: the body comes in chunks.
    pub fn body_length(&self) -> Option<u64> {
        match self.head.body_framing() {
            Ok(BodyFraming::Length(bytes)) => Some(bytes),
            Ok(BodyFraming::Chunked) | Err(_) => None,
        }
    }

    /// The body, if it is UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        core::str::from_utf8(self.body).ok()
    }

    /// The address of the client, or of the last proxy: see [`PeerAddress`].
    pub fn peer_address(&self) -> PeerAddress {
        self.peer_address
    }
}
