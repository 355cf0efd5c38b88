//! A connection's first request: a WebSocket, a page, or a refusal.
//!
//! Every answer but 101 ends the connection; there is no keep-alive to hold open
//! and no body to read.

use super::compressor::{willing, window_of};
use super::handler::{Admission, Failure, Handler};
use super::panics;
use super::places::Places;
use super::session::{Ending, Established, Opening, Reading, Session, Waiting};
use super::worker::Worker;
use crate::broadcast::WriteQueue;
use crate::reactor::{Io, SocketKey};
use crate::websocket::Connection;
use crate::websocket::deflate::DeflateParameters;
use crate::websocket::frame::CloseCode;
use crate::websocket::handshake::{
    HttpVersion, Refusal, RequestHead, RequestReader, Response, Status, Upgrade,
};
use std::net::SocketAddr;

/// What a complete head leads to.
enum Answer<S> {
    /// A 101, as bytes, the session that it opens, and the compression that it agrees to.
    Switch(S, Option<DeflateParameters>, Vec<u8>),
    /// Any other, after which the connection ends. `head_only`: without its body.
    Http { response: Response, head_only: bool },
}

impl<H: Handler> Worker<H> {
    /// A connection begins: its request is waited for. `refused`: and not read.
    pub(super) fn begin_opening(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        peer_address: SocketAddr,
        refused: bool,
    ) {
        let opening = Opening {
            reader: RequestReader::new(self.config.head_limits),
            head: Vec::new(),
            peer_address,
            refused,
        };
        io.set_deadline(key, io.now().plus(self.config.handshake_timeout));
        self.sessions
            .put(key, Some(Session::Opening(Box::new(opening))));
    }

    /// Bytes of the request's head, and maybe of the first frames behind it.
    pub(super) fn receive_head(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        mut opening: Box<Opening>,
        bytes: &mut [u8],
    ) -> Option<Session<H::Session>> {
        if opening.refused {
            return self.end_with(io, key, &overloaded(), is_head(bytes));
        }
        if opening.head.is_empty() {
            let progress = self.read_head(&mut opening, bytes);
            return match progress {
                Some((answer, taken)) => {
                    self.answer(io, key, &opening, answer, &mut bytes[taken..])
                }
                None => {
                    opening.head.extend_from_slice(bytes);
                    Some(Session::Opening(opening))
                }
            };
        }
        // Bounded: what the reader does not refuse is no longer than a head may
        // be, and a read adds at most one buffer to it.
        let mut head = std::mem::take(&mut opening.head);
        head.extend_from_slice(bytes);
        match self.read_head(&mut opening, &head) {
            Some((answer, taken)) => self.answer(io, key, &opening, answer, &mut head[taken..]),
            None => {
                opening.head = head;
                Some(Session::Opening(opening))
            }
        }
    }

    /// The answer, if the head is complete or wrong already, and how many bytes
    /// the head took.
    fn read_head(
        &mut self,
        opening: &mut Opening,
        bytes: &[u8],
    ) -> Option<(Answer<H::Session>, usize)> {
        match opening.reader.read(bytes) {
            Ok(None) => None,
            Ok(Some((request, taken))) => {
                Some((self.decide(opening.peer_address, &request), taken))
            }
            Err(refusal) => Some((refuse(&refusal, is_head(bytes)), bytes.len())),
        }
    }

    fn decide(
        &mut self,
        peer_address: SocketAddr,
        request: &RequestHead<'_>,
    ) -> Answer<H::Session> {
        // RFC 9110 §7.8: a server ignores the Upgrade field of an HTTP/1.0 request, and may
        // ignore any. HEAD has no other meaning than the head of the answer to GET, and
        // none for a WebSocket.
        let upgrade_counts = request.version() != HttpVersion::Http10 && request.method() != "HEAD";
        if !request.wants_websocket() || !upgrade_counts {
            return self.answer_http(peer_address, request);
        }
        let switched =
            Upgrade::check(request).and_then(|upgrade| self.switch(peer_address, &upgrade));
        switched.unwrap_or_else(|refusal| refuse(&refusal, false))
    }

    /// §4.2.2: the origin, the application, the subprotocol, the extension; then the
    /// 101.
    fn switch(
        &mut self,
        peer_address: SocketAddr,
        upgrade: &Upgrade<'_>,
    ) -> Result<Answer<H::Session>, Refusal> {
        let host = upgrade.request().host().unwrap_or_default();
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# If the server does not wish to accept this connection, it MUST return
        //# an appropriate HTTP error code (e.g., 403 Forbidden) and abort the
        //# WebSocket handshake described in this section.
        if !self.config.origins.allow(upgrade.origin(), host) {
            return Err(forbidden(upgrade.origin().unwrap_or_default(), host));
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# If the requested service is not available, the server MUST send an
        //# appropriate HTTP error code (such as 404 Not Found) and abort the
        //# WebSocket handshake.
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# If the server provides multiple services, then the value should be
        //# derived from the resource name given in the client's handshake
        let Admission {
            session,
            subprotocol,
        } = panics::catch(|| self.handler.admit(upgrade))
            .unwrap_or_else(|failure| Err(self.panicked(peer_address, &failure)))?;
        let deflate = self.config.deflate.as_ref().map(willing);
        let deflate = deflate.and_then(|config| upgrade.choose_deflate(&config));
        let mut output = Vec::new();
        if upgrade
            .write_response(subprotocol, deflate.as_ref(), &mut output)
            .is_err()
        {
            if let Err(failure) = panics::catch(|| drop(session)) {
                self.report(peer_address, &failure);
            }
            let reason = "the application chose a subprotocol that was not offered";
            return Err(Refusal::new(Status::InternalServerError, reason));
        }
        Ok(Answer::Switch(session, deflate, output))
    }

    fn answer_http(
        &mut self,
        peer_address: SocketAddr,
        request: &RequestHead<'_>,
    ) -> Answer<H::Session> {
        let head_only = match request.method() {
            "GET" => false,
            "HEAD" => true,
            _ => {
                let refusal = Refusal::new(Status::MethodNotAllowed, "only GET and HEAD");
                return refuse(&refusal, false);
            }
        };
        if request.body_announced() {
            let reason = "a request with a body is not served here";
            return refuse(&Refusal::new(Status::BadRequest, reason), head_only);
        }
        let response = panics::catch(|| self.handler.http(request))
            .unwrap_or_else(|failure| self.panicked(peer_address, &failure).to_response());
        Answer::Http {
            response,
            head_only,
        }
    }

    /// The response where a method has panicked that was to give one.
    fn panicked(&mut self, peer_address: SocketAddr, failure: &Failure) -> Refusal {
        self.report(peer_address, failure);
        Refusal::new(Status::InternalServerError, "internal error")
    }

    fn answer(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        opening: &Opening,
        answer: Answer<H::Session>,
        behind: &mut [u8],
    ) -> Option<Session<H::Session>> {
        match answer {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.2
            //# To do so, the server MUST simply _Close the WebSocket
            //# Connection_ (Section 7.1.1).
            Answer::Http {
                response,
                head_only,
            } => self.end_with(io, key, &response, head_only),
            Answer::Switch(session, deflate, output) => {
                let mut write_queue = WriteQueue::new();
                *write_queue.buffer() = output;
                let mut connection =
                    self.establish(io, key, opening, session, deflate, write_queue);
                let called = self.call(io, key, &mut connection, |handler, session, context| {
                    handler.opened(session, context);
                });
                match called {
                    Ok(()) => self.receive_frames(io, key, connection, behind),
                    Err(failure) => {
                        self.fail(io, key, connection, CloseCode::INTERNAL_ERROR, failure)
                    }
                }
            }
        }
    }

    fn establish(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        opening: &Opening,
        session: H::Session,
        deflate: Option<DeflateParameters>,
        write_queue: WriteQueue,
    ) -> Box<Established<H::Session>> {
        let mut connection = Box::new(Established {
            connection: self.connection(deflate),
            session,
            write_queue,
            places: Places::default(),
            peer_address: opening.peer_address.into(),
            heard_at: io.now(),
            waiting: Waiting::Nothing,
            reading: Reading::Reads,
            window: window_of(deflate.as_ref()),
        });
        self.rooms.metrics.opened += 1;
        self.wait_for_silence(io, key, &mut connection);
        connection
    }

    fn connection(&self, deflate: Option<DeflateParameters>) -> Connection {
        let connection = Connection::server(self.config.limits);
        match deflate {
            // What is sent is compressed by the worker.
            Some(agreed) => connection.with_inflate(agreed),
            None => connection,
        }
    }

    /// The head did not come in time. A client that has sent part of one is
    /// told so; one that has sent nothing may not be speaking HTTP at all.
    pub(super) fn opening_timed_out(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        opening: &Opening,
    ) -> Option<Session<H::Session>> {
        if opening.head.is_empty() {
            io.close(key);
            return None;
        }
        let refusal = Refusal::new(Status::RequestTimeout, "the request did not come in time");
        self.end_with(io, key, &refusal.to_response(), is_head(&opening.head))
    }

    /// Sends a plain HTTP answer, dated, as the connection's last bytes.
    fn end_with(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        response: &Response,
        head_only: bool,
    ) -> Option<Session<H::Session>> {
        let mut write_queue = WriteQueue::new();
        let date = self.date.at(io.wall_clock());
        response.write_with_date(date, head_only, write_queue.buffer());
        self.begin_ending(io, key, Ending::new(write_queue))
    }
}

/// 403, such that the operator who reads it knows what to set. Both values have been
/// checked to be printable, and the answer is plain text.
fn forbidden(origin: &str, host: &str) -> Refusal {
    let (origin, host) = (shortened(origin), shortened(host));
    let reason = format!(
        "pages of the origin {origin} may not connect to the host {host}; \
         --allow-origin (Config::origins) lets further origins in"
    );
    Refusal::new(Status::Forbidden, reason)
}

/// The beginning of a value that is longer than any real origin.
fn shortened(value: &str) -> String {
    const BYTES_MAX: usize = 300;
    match value.get(..BYTES_MAX) {
        Some(beginning) if value.len() > BYTES_MAX => format!("{beginning}..."),
        _ => value.to_owned(),
    }
}

/// 503, to whatever is asked by a client for whom there is no place. It is sent when the
/// first bytes have come, and not before: an answer that nobody has asked for is an error
/// to many clients.
fn overloaded() -> Response {
    Response::text(
        Status::ServiceUnavailable,
        "too many connections are open\n",
    )
    .field("Retry-After", RETRY_AFTER_SECONDS)
    .unwrap_or_else(|_| Response::new(Status::ServiceUnavailable))
}

/// Long enough for some connections to end, short enough to wait for.
const RETRY_AFTER_SECONDS: &str = "5";

fn refuse<S>(refusal: &Refusal, head_only: bool) -> Answer<S> {
    Answer::Http {
        response: refusal.to_response(),
        head_only,
    }
}

/// Whether a head, however malformed it may be behind that, begins as a HEAD request:
/// its answer has no body (RFC 9110 §9.3.2).
/// Empty lines before the request are skipped, as the parser skips them (RFC 9112 §2.2).
fn is_head(bytes: &[u8]) -> bool {
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let begin = bytes.iter().take_while(|byte| is_line_end(byte)).count();
    bytes[begin..].starts_with(b"HEAD ")
}
