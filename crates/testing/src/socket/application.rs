//! The application of the tests. It echoes each message, executes text messages that begin
//! with a slash as commands, and reports calls of the server to the test.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use yamabiko::server::{
    Admission, CloseCode, Closed, ConnectionId, Context, Handler, LagAction, LagPolicy, Message,
    Missed, NotSent, Refusal, Request, Response, StaticFile, Status, Upgrade,
};

/// A call of the application that it reports to the test. Reports arrive in the order of the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    Opened(ConnectionId),
    Closed {
        id: ConnectionId,
        clean: bool,
        code: u16,
        reason: String,
        failure: Option<String>,
    },
    /// The command `/wait-for-lock` begins to wait.
    WaitsForLock,
}

/// The path selects the behavior: `/` admits every client, `/subprotocols` accepts the
/// subprotocols `superchat` and `chat`, `/unoffered` always selects one that the client did
/// not offer, `/announced/<room>` joins a room and publishes to it. Other paths get 404.
/// Plain HTTP requests get a page for `/page`, a file with an entity tag for `/file`, their own
/// body for `/echo`, and the client's address for `/peer`. A full server answers `/health`.
pub struct Application {
    reports: Sender<Report>,
    worker_lock: WorkerLock,
    file: StaticFile,
}

/// The command `/wait-for-lock` blocks its worker while the test holds this lock.
pub type WorkerLock = Arc<Mutex<()>>;

/// A room: the application publishes to it when the connection has opened and when it has closed.
pub type Session = Option<String>;

impl Handler for Application {
    type Session = Session;

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<Session>, Refusal> {
        let path = request.request().path();
        match path {
            "/" => Ok(Admission::new(None)),
            "/subprotocols" => {
                let chosen = request.choose_subprotocol(&["superchat", "chat"]);
                Ok(Admission::new(None).subprotocol(chosen))
            }
            "/unoffered" => Ok(Admission::new(None).subprotocol(Some("unoffered"))),
            _ => match path.strip_prefix("/announced/") {
                Some(room) => Ok(Admission::new(Some(room.to_owned()))),
                None => Err(Refusal::new(Status::NotFound, "no such service")),
            },
        }
    }

    fn opened(&self, session: &mut Session, context: &mut Context<'_>) {
        self.report(Report::Opened(context.id()));
        if let Some(room) = session {
            let greeting = context.send(Message::Text("welcome"));
            greeting.expect("the connection has just opened");
            context.join(room);
            context.publish(room, Message::Text("someone has joined"));
        }
    }

    fn message(&self, session: &mut Session, message: Message<'_>, context: &mut Context<'_>) {
        let command = match message {
            Message::Text(text) => text.strip_prefix('/'),
            Message::Binary(_) => None,
        };
        match command {
            Some("wait-for-lock") => {
                self.report(Report::WaitsForLock);
                drop(self.worker_lock.lock());
            }
            Some(command) => execute(command, session, context),
            // The server does not read while the write queue is full, so this cannot fail.
            None => context
                .send(message)
                .expect("the write queue takes an echo"),
        }
    }

    fn closed(&self, session: Session, closed: &Closed<'_>, context: &mut Context<'_>) {
        if let Some(room) = session {
            context.publish(&room, Message::Text("someone has left"));
        }
        assert_eq!(
            context.send(Message::Text("too late")),
            Err(NotSent::NotOpen)
        );
        self.report(Report::Closed {
            id: context.id(),
            clean: closed.ended.clean,
            code: closed.ended.code(),
            reason: closed.ended.reason().to_owned(),
            failure: closed.failure.map(ToString::to_string),
        });
    }

    /// Sends the number of missed messages to the client, and publishes the name of the room to
    /// the room `gaps`.
    fn missed(&self, _: &mut Session, room: &str, missed: Missed, context: &mut Context<'_>) {
        send_text(context, &format!("missed {} of {room}", missed.messages));
        context.publish("gaps", Message::Text(&format!("too slow for {room}")));
    }

    /// The rooms `skip` and `latest` have the action of their name. All others have the default policy.
    fn lag_policy(&self, room: &str) -> Option<LagPolicy> {
        let action = match room {
            "skip" => LagAction::Skip,
            "latest" => LagAction::Latest,
            _ => return None,
        };
        let bytes_max = 64 << 10;
        Some(LagPolicy {
            action,
            bytes_max,
            ..LagPolicy::default()
        })
    }

    /// A body for `/private` is refused.
    fn http_head(&self, request: &Request<'_>) -> Result<(), Refusal> {
        assert!(request.body().is_empty());
        match request.path() {
            "/private" => Err(Refusal::new(Status::Unauthorized, "this path has a secret")),
            _ => Ok(()),
        }
    }

    fn http(&self, request: &Request<'_>) -> Response {
        match (request.method(), request.path()) {
            ("GET" | "HEAD" | "POST", "/echo") => Response::new(Status::Ok)
                .content("application/octet-stream", request.body().to_vec())
                .expect("a valid type"),
            ("GET" | "HEAD", "/page") => Response::text(Status::Ok, PAGE),
            ("GET" | "HEAD", "/peer") => {
                Response::text(Status::Ok, request.peer_address().to_string())
            }
            ("GET" | "HEAD", "/dated") => Response::text(Status::Ok, PAGE)
                .field("Date", "Sun, 06 Nov 1994 08:49:37 GMT")
                .expect("a valid field"),
            ("GET" | "HEAD", "/large") => Response::text(Status::Ok, "x".repeat(LARGE_PAGE_BYTES)),
            (_, "/file") => self.file.respond(request.head()),
            ("GET" | "HEAD", _) => {
                Refusal::new(Status::NotFound, "there is nothing here").to_response()
            }
            _ => Refusal::new(Status::MethodNotAllowed, "only GET and HEAD").to_response(),
        }
    }

    fn http_when_full(&self, request: &Request<'_>) -> Option<Response> {
        let is_health = matches!(request.method(), "GET" | "HEAD") && request.path() == "/health";
        is_health.then(|| Response::text(Status::Ok, PAGE))
    }
}

impl Application {
    pub fn new(reports: Sender<Report>, worker_lock: WorkerLock) -> Application {
        let file = StaticFile::new("text/plain", FILE.as_bytes());
        Application {
            reports,
            worker_lock,
            file: file.expect("a valid type"),
        }
    }

    /// Fails without effect when the test is over and has dropped the receiver.
    fn report(&self, report: Report) {
        let _ = self.reports.send(report);
    }
}

/// The body of `/file`: compressing makes it shorter.
pub const FILE: &str = "a file a file a file a file a file a file a file a file a file a file";

/// The body of `/page`.
pub const PAGE: &str = "a page\n";

/// The length of the body of `/large`: more than a socket accepts at once.
pub const LARGE_PAGE_BYTES: usize = 16 << 20;

fn execute(command: &str, session: &mut Session, context: &mut Context<'_>) {
    let mut arguments = command.splitn(3, ' ');
    let mut argument = || arguments.next().unwrap_or_default();
    match argument() {
        "id" => send_text(context, &context.id().to_string()),
        "join" => {
            context.join(argument());
            if context.is_open() {
                send_text(context, "joined");
            }
        }
        "refuse-join" => context.refuse_join(),
        "leave" => {
            context.leave(argument());
            send_text(context, "left");
        }
        "publish" => context.publish(argument(), Message::Text(argument())),
        "publish-bytes" => {
            let bytes = vec![0xda; 10_000 * number(argument())];
            context.publish(argument(), Message::Binary(&bytes));
        }
        "publish-except" => context.publish_except(argument(), Message::Text(argument())),
        // Publishes to the room when the connection has closed.
        "publish-when-closed" => *session = Some(argument().to_owned()),
        "close" => {
            let code = u16::try_from(number(argument()))
                .ok()
                .and_then(CloseCode::new);
            assert!(context.is_open());
            context.close((code.expect("a code that may be sent"), argument()));
            assert!(!context.is_open());
            assert_eq!(
                context.send(Message::Text("too late")),
                Err(NotSent::NotOpen)
            );
        }
        "send-publish-close" => {
            send_text(context, "first");
            context.publish(argument(), Message::Text("second"));
            context.close((CloseCode::NORMAL, "third"));
        }
        "flood" => {
            let bytes = vec![0xf1; number(argument())];
            let taken = (0u64..).find(|_| context.send(Message::Binary(&bytes)).is_err());
            let refused = context.send(Message::Binary(&[]));
            assert_eq!(refused, Err(NotSent::BacklogFull));
            assert!(taken.is_some());
        }
        "thread" => {
            #[cfg(target_os = "linux")]
            send_text(context, &super::own_thread());
        }
        other => panic!("unknown command {other:?}"),
    }
}

fn send_text(context: &mut Context<'_>, text: &str) {
    let sent = context.send(Message::Text(text));
    sent.expect("the write queue takes a short text");
}

fn number(argument: &str) -> usize {
    argument.parse().expect("a number")
}
