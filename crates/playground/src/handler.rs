//! The handler of the paths of the playground.
//!
//! A page lets its visitor send any bytes to the core, and keeps up to [`SESSIONS_MAX`] sessions of some memory. Both are bounded, but a
//! public server has no reason to offer it: by default only clients of this machine get it. Such a client has a loopback address, and asks
//! for a loopback name; the name tells a browser of this machine from a proxy on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use yamabiko::http::Hosts;
use yamabiko::server::{
    Admission, CloseCode, Context, Handler, Message, Mount, Origins, PeerAddress, Refusal, Request,
    RequestHead, Response, Status, Upgrade,
};

use crate::limits::{COMMAND_BYTES_MAX, SESSIONS_MAX};
use crate::messages::Report;
use crate::page::{PATH, Page, WIRE};
use crate::session::Session;

/// The playground at `/playground/`. [`WithFallback`](yamabiko::server::WithFallback) gives all other paths to another application.
///
/// ```no_run
/// use yamabiko::server::{Config, Server};
/// use yamabiko_playground::Playground;
///
/// Server::bind(Config::default(), Playground::new())?.run()?; // http://127.0.0.1:8080/playground/
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Playground {
    page: Page,
    public: bool,
    sessions: Arc<AtomicUsize>,
}

/// What is kept for a connection.
#[derive(Debug)]
pub struct PlaygroundSession {
    session: Box<Session>,
    /// Held until the session ends.
    _permit: Permit,
}

/// One of the [`SESSIONS_MAX`] sessions.
#[derive(Debug)]
struct Permit(Arc<AtomicUsize>);

impl Playground {
    /// For clients of this machine. Compresses the files of the page: some milliseconds.
    pub fn new() -> Playground {
        Playground {
            page: Page::new(),
            public: false,
            sessions: Arc::default(),
        }
    }

    /// For every client.
    #[must_use]
    pub fn public(mut self) -> Playground {
        self.public = true;
        self
    }

    fn check_client(&self, peer: PeerAddress, request: &RequestHead<'_>) -> Result<(), Refusal> {
        let is_local = peer.is_local() && Hosts::Loopback.allow(request.host());
        match self.public || is_local {
            true => Ok(()),
            false => Err(Refusal::new(
                Status::Forbidden,
                "the playground is for clients of this machine; --playground-public opens it to all",
            )),
        }
    }

    fn permit(&self) -> Result<Permit, Refusal> {
        let take = |sessions: usize| (sessions < SESSIONS_MAX).then_some(sessions + 1);
        let taken = self
            .sessions
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        match taken {
            Ok(_) => Ok(Permit(Arc::clone(&self.sessions))),
            Err(_) => Err(Refusal::new(
                Status::ServiceUnavailable,
                format!("the playground has {SESSIONS_MAX} visitors, its limit"),
            )),
        }
    }
}

impl Default for Playground {
    fn default() -> Playground {
        Playground::new()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn is_ours(path: &str) -> bool {
    path.strip_prefix(PATH)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The request as a text that the page can edit. Credentials are left out, also from the query; so are fields that are too long to be read.
fn request_text(head: &RequestHead<'_>) -> String {
    let mut text = format!("{} {} HTTP/1.1\r\n", head.method(), head.path());
    for field in head.fields().iter() {
        let is_secret = SECRET_FIELDS.iter().any(|name| field.is(name));
        let Some(value) = field
            .text()
            .filter(|value| !is_secret && value.len() <= FIELD_BYTES_MAX)
        else {
            continue;
        };
        if text.len() + value.len() <= REQUEST_BYTES_MAX {
            text.push_str(&format!("{}: {value}\r\n", field.name()));
        }
    }
    text + "\r\n"
}

const SECRET_FIELDS: [&str; 3] = ["cookie", "authorization", "proxy-authorization"];
const FIELD_BYTES_MAX: usize = 512;
const REQUEST_BYTES_MAX: usize = 4 << 10;

fn send(report: &Report, context: &mut Context<'_>) {
    // A report has texts, numbers and lists only.
    let Ok(text) = serde_json::to_string(report) else {
        return;
    };
    // An error: the page is closing, or reads too slowly. The server acts on both.
    let _ = context.send(Message::Text(&text));
}

fn execute(session: &mut Session, message: Message<'_>, context: &mut Context<'_>) {
    let Some(command) = message.as_text() else {
        return context.close((CloseCode::UNSUPPORTED_DATA, "commands are JSON texts"));
    };
    if command.len() > COMMAND_BYTES_MAX {
        return context.close((CloseCode::MESSAGE_TOO_BIG, "the command is too long"));
    }
    if !session.allows(Instant::now()) {
        return context.close((CloseCode::POLICY_VIOLATION, "too many commands per second"));
    }
    send(&session.execute(command), context);
}

impl Handler for Playground {
    type Session = PlaygroundSession;

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<PlaygroundSession>, Refusal> {
        self.check_client(request.peer_address(), request.request())?;
        if request.path() != WIRE {
            return Err(Refusal::new(Status::NotFound, "there is nothing here"));
        }
        let permit = self.permit()?;
        let session = Session::new(request_text(request.request()), Instant::now());
        Ok(Admission::new(PlaygroundSession {
            session: Box::new(session),
            _permit: permit,
        }))
    }

    fn opened(&self, page: &mut PlaygroundSession, context: &mut Context<'_>) {
        send(&page.session.welcome(), context);
    }

    fn message(
        &self,
        page: &mut PlaygroundSession,
        message: Message<'_>,
        context: &mut Context<'_>,
    ) {
        execute(&mut page.session, message, context);
    }

    fn origins(&self, _: &RequestHead<'_>) -> Option<Origins> {
        Some(Origins::SameHost)
    }

    fn http(&self, request: &Request<'_>) -> Response {
        match self.check_client(request.peer_address(), request.head()) {
            Ok(()) if request.path() == WIRE => Refusal::upgrade_required().to_response(),
            Ok(()) => self.page.respond(request.head()),
            Err(refusal) => refusal.to_response(),
        }
    }
}

impl Mount for Playground {
    fn takes(&self, request: &RequestHead<'_>) -> bool {
        is_ours(request.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use yamabiko::http::{HttpVersion, OwnedRequest};

    #[test]
    fn credentials_and_long_fields_are_not_in_the_text_of_the_request() {
        let long = "a".repeat(FIELD_BYTES_MAX + 1);
        let fields = [
            ("Host", &b"localhost"[..]),
            ("Cookie", b"secret"),
            ("authorization", b"secret"),
            ("X-Long", long.as_bytes()),
            ("X-Short", b"kept"),
        ];
        let request = OwnedRequest::new(
            "GET",
            "/playground/wire?token=secret",
            HttpVersion::Http11,
            fields,
        );
        let request = request.expect("a request");
        let text = request_text(&request.head().expect("a head"));
        let expected = "GET /playground/wire HTTP/1.1\r\nHost: localhost\r\nX-Short: kept\r\n\r\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn paths_of_other_applications_are_not_taken() {
        for (path, ours) in [
            ("/playground", true),
            ("/playground/", true),
            ("/playground/x", true),
            ("/playgrounds", false),
            ("/", false),
        ] {
            assert_eq!(is_ours(path), ours, "{path}");
        }
    }

    #[test]
    fn permits_end_at_the_limit_and_come_back() {
        let playground = Playground::new();
        let permits: Vec<Permit> = (0..SESSIONS_MAX)
            .map(|_| playground.permit().expect("one is free"))
            .collect();
        assert!(playground.permit().is_err());
        drop(permits);
        assert!(playground.permit().is_ok());
    }
}
