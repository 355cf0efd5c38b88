//! A connection's first request: a WebSocket, a page, or a refusal.
//!
//! Every response but 101 ends the connection: there is no keep-alive and no request body to read.

use super::config::Config;
use super::connection::Connection;
use super::ending::Ending;
use super::environment::{Environment, Panicked};
use super::handler::Handler;
use super::recipient::Recipient;
use super::rooms::encoding::{negotiable, window_of};
use crate::broadcast::WriteQueue;
use crate::reactor::{Io, SocketKey};
use crate::websocket::handshake::{
    Accepted, HttpVersion, Refusal, RequestHead, RequestReader, Response, Status, Upgrade,
};
use std::net::SocketAddr;

/// A connection whose request's head is arriving.
pub(super) struct Opening {
    reader: RequestReader,
    /// The part of the head that came before, if it did not come in one piece.
    head: Vec<u8>,
    peer_address: SocketAddr,
    /// The server is full: the client gets a 503 for any request.
    refused: bool,
}

/// What has become of the opening handshake.
pub(super) enum Progress<H: Handler> {
    /// The head is not complete.
    Waits,
    /// The WebSocket is open. The last `behind` of the received bytes are its first frames.
    Opens {
        connection: Box<Connection<H>>,
        behind: usize,
    },
    /// An HTTP response was written, and the connection ends.
    Ends(Ending),
}

impl Opening {
    /// A connection begins, and its request is awaited. `refused`: the server is full.
    pub(super) fn new(
        io: &mut Io,
        key: SocketKey,
        peer_address: SocketAddr,
        refused: bool,
        config: &Config,
    ) -> Opening {
        io.set_deadline(key, io.now().plus(config.handshake_timeout));
        Opening {
            reader: RequestReader::new(config.head_limits),
            head: Vec::new(),
            peer_address,
            refused,
        }
    }

    /// Bytes of the request's head, and maybe of the first frames behind it.
    pub(super) fn receive<H: Handler>(
        &mut self,
        io: &Io,
        bytes: &[u8],
        environment: &mut Environment<H>,
    ) -> Progress<H> {
        if self.refused {
            return respond(io, &overloaded(), is_head(bytes), environment);
        }
        // Bounded: the reader refuses a head beyond its limits, and a read adds at most one buffer to it.
        let mut head = std::mem::take(&mut self.head);
        let whole = match head.is_empty() {
            true => bytes,
            false => {
                head.extend_from_slice(bytes);
                &head
            }
        };
        let (outcome, behind) = match self.reader.read(whole) {
            Ok(None) => {
                if head.is_empty() {
                    head.extend_from_slice(bytes);
                }
                self.head = head;
                return Progress::Waits;
            }
            Ok(Some((request, taken))) => {
                let outcome = Outcome::of(&request, self.peer_address, environment);
                (outcome, whole.len() - taken)
            }
            Err(refusal) => (Outcome::refuse(&refusal, is_head(whole)), 0),
        };
        self.conclude(io, outcome, behind, environment)
    }

    fn conclude<H: Handler>(
        &self,
        io: &Io,
        outcome: Outcome<H>,
        behind: usize,
        environment: &mut Environment<H>,
    ) -> Progress<H> {
        match outcome {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.2
            //# To do so, the server MUST simply _Close the WebSocket
            //# Connection_ (Section 7.1.1).
            Outcome::Http {
                response,
                head_only,
            } => respond(io, &response, head_only, environment),
            Outcome::Switch { session, accepted } => {
                let mut response = Vec::new();
                accepted.write_response(&mut response);
                let window = window_of(accepted.deflate());
                let recipient = Recipient::new(self.peer_address, window, response);
                let websocket = accepted.connection(environment.config.limits);
                let connection = Connection::new(websocket, session, recipient, io.now());
                Progress::Opens {
                    connection: Box::new(connection),
                    behind,
                }
            }
        }
    }

    /// The head did not come in time. A client that has sent a part of it gets a 408. One that has sent nothing may not be
    /// speaking HTTP: `None`, the socket is to be closed.
    pub(super) fn timed_out<H: Handler>(
        &self,
        io: &Io,
        environment: &mut Environment<H>,
    ) -> Option<Ending> {
        if self.head.is_empty() {
            return None;
        }
        let refusal = Refusal::new(Status::RequestTimeout, "the request did not come in time");
        let response = refusal.to_response();
        Some(ending_with(io, &response, is_head(&self.head), environment))
    }
}

/// What a complete head leads to.
enum Outcome<H: Handler> {
    /// A 101, and the session.
    Switch {
        session: H::Session,
        accepted: Accepted,
    },
    /// Any other response, after which the connection ends. `head_only`: without its body.
    Http { response: Response, head_only: bool },
}

impl<H: Handler> Outcome<H> {
    fn of(
        request: &RequestHead<'_>,
        peer_address: SocketAddr,
        environment: &mut Environment<H>,
    ) -> Outcome<H> {
        // RFC 9110 §7.8: a server ignores the Upgrade field of an HTTP/1.0 request, and may
        // ignore any. HEAD asks for the head of the response to GET, and has no meaning for a WebSocket.
        let upgrade_counts = request.version() != HttpVersion::Http10 && request.method() != "HEAD";
        if !request.wants_websocket() || !upgrade_counts {
            return Outcome::of_http(request, peer_address, environment);
        }
        let switched = Upgrade::check(request)
            .and_then(|upgrade| Outcome::switch(&upgrade, peer_address, environment));
        switched.unwrap_or_else(|refusal| Outcome::refuse(&refusal, false))
    }

    /// §4.2.2: the origin, the application, the subprotocol, the extension; then the 101.
    fn switch(
        upgrade: &Upgrade<'_>,
        peer_address: SocketAddr,
        environment: &mut Environment<H>,
    ) -> Result<Outcome<H>, Refusal> {
        let host = upgrade.request().host().unwrap_or_default();
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# If the server does not wish to accept this connection, it MUST return
        //# an appropriate HTTP error code (e.g., 403 Forbidden) and abort the
        //# WebSocket handshake described in this section.
        if !environment.config.origins.allow(upgrade.origin(), host) {
            return Err(forbidden(upgrade.origin().unwrap_or_default(), host));
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# If the server provides multiple services, then the value should be
        //# derived from the resource name given in the client's handshake
        let admitted = environment.ask(peer_address, |handler| handler.admit(upgrade));
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# If the requested service is not available, the server MUST send an
        //# appropriate HTTP error code (such as 404 Not Found) and abort the
        //# WebSocket handshake.
        let (session, options) = admitted.map_err(internal_error)??.into_parts();
        let mut options = options.deflate_pool(&environment.deflate_pool);
        if let Some(config) = &environment.config.deflate {
            // The worker compresses what is sent.
            options = options.inflate_only(negotiable(config));
        }
        match upgrade.accept(options) {
            Ok(accepted) => Ok(Outcome::Switch { session, accepted }),
            Err(error) => {
                // Dropping it runs the application's code.
                let _ = environment.ask(peer_address, |_| drop(session));
                Err(error.into())
            }
        }
    }

    fn of_http(
        request: &RequestHead<'_>,
        peer_address: SocketAddr,
        environment: &mut Environment<H>,
    ) -> Outcome<H> {
        let head_only = match request.method() {
            "GET" => false,
            "HEAD" => true,
            _ => {
                let refusal = Refusal::new(Status::MethodNotAllowed, "only GET and HEAD");
                return Outcome::refuse(&refusal, false);
            }
        };
        if request.body_announced() {
            let reason = "a request with a body is not served here";
            return Outcome::refuse(&Refusal::new(Status::BadRequest, reason), head_only);
        }
        let response = environment
            .ask(peer_address, |handler| handler.http(request))
            .unwrap_or_else(|panicked| internal_error(panicked).to_response());
        Outcome::Http {
            response,
            head_only,
        }
    }

    fn refuse(refusal: &Refusal, head_only: bool) -> Outcome<H> {
        Outcome::Http {
            response: refusal.to_response(),
            head_only,
        }
    }
}

fn respond<H: Handler>(
    io: &Io,
    response: &Response,
    head_only: bool,
    environment: &mut Environment<H>,
) -> Progress<H> {
    Progress::Ends(ending_with(io, response, head_only, environment))
}

/// The response, with the date, is the connection's last bytes.
fn ending_with<H: Handler>(
    io: &Io,
    response: &Response,
    head_only: bool,
    environment: &mut Environment<H>,
) -> Ending {
    let mut queue = WriteQueue::new();
    environment.write_response(io, response, head_only, queue.buffer());
    Ending::new(queue)
}

/// The response where a method panicked that was to return one.
fn internal_error(_: Panicked) -> Refusal {
    Refusal::new(Status::InternalServerError, "internal error")
}

/// 403, with the setting that an operator has to change. Both values are known to be
/// printable, and the response is plain text.
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

/// 503, for any request when the server is full. It is sent when the first bytes have come and
/// not before: to many clients a response without a request is an error.
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

/// Whether a head, however malformed it may be behind that, begins as a HEAD request:
/// the response has no body (RFC 9110 §9.3.2).
/// Empty lines before the request are skipped, as the parser skips them (RFC 9112 §2.2).
fn is_head(bytes: &[u8]) -> bool {
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let begin = bytes.iter().take_while(|byte| is_line_end(byte)).count();
    bytes[begin..].starts_with(b"HEAD ")
}
