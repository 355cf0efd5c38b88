//! The application under the tests: it says everything back, does what words
//! with a slash say, and reports what the server told it.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use yamabiko::server::{
    Admission, CloseCode, Closed, ConnectionId, Context, Handler, LagAction, LagPolicy, Message,
    Missed, NotSent, Refusal, RequestHead, Response, Status, Upgrade,
};

/// What the server has told the application, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Opened(ConnectionId),
    Closed {
        id: ConnectionId,
        clean: bool,
        code: u16,
        reason: String,
        failure: Option<String>,
    },
    /// Somebody has told the application to wait for the test.
    AtTheGate,
}

/// By path: `/` is open to all, `/subprotocols` speaks `chat` if it is offered,
/// `/unoffered` insists on a subprotocol, `/announced/<room>` joins a room and
/// greets it, all else does not exist. Plain HTTP gets a page for `/page`.
pub struct Application {
    tell: Sender<Told>,
    gate: Gate,
}

/// While a test holds this, a worker that was told to wait at it stands still.
pub type Gate = Arc<Mutex<()>>;

/// The room that is greeted when the connection opens.
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
        self.tell(Told::Opened(context.id()));
        if let Some(room) = session {
            let greeting = context.send(Message::Text("welcome"));
            greeting.expect("the connection has just opened");
            context.join(room);
            context.publish(room, Message::Text("someone has come"));
        }
    }

    fn message(&self, session: &mut Session, message: Message<'_>, context: &mut Context<'_>) {
        let command = match message {
            Message::Text(text) => text.strip_prefix('/'),
            Message::Binary(_) => None,
        };
        match command {
            Some("wait-at-the-gate") => {
                self.tell(Told::AtTheGate);
                drop(self.gate.lock());
            }
            Some(words) => obey(words, session, context),
            // A full backlog would be a broken bound: the echo pauses reading.
            None => context.send(message).expect("there is room for an echo"),
        }
    }

    fn closed(&self, session: Session, closed: &Closed<'_>, context: &mut Context<'_>) {
        if let Some(room) = session {
            context.publish(&room, Message::Text("someone has gone"));
        }
        assert_eq!(
            context.send(Message::Text("too late")),
            Err(NotSent::NotOpen)
        );
        self.tell(Told::Closed {
            id: context.id(),
            clean: closed.clean,
            code: closed.code,
            reason: closed.reason.to_owned(),
            failure: closed.failure.map(ToString::to_string),
        });
    }

    /// The client gets the number, and the room `gaps` the name of the room.
    fn missed(&self, _: &mut Session, room: &str, missed: Missed, context: &mut Context<'_>) {
        say(context, &format!("missed {} of {room}", missed.messages));
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

    fn http(&self, request: &RequestHead<'_>) -> Response {
        match request.path() {
            "/page" => Response::text(Status::Ok, PAGE),
            "/dated" => Response::text(Status::Ok, PAGE)
                .field("Date", "Sun, 06 Nov 1994 08:49:37 GMT")
                .expect("a valid field"),
            "/large" => Response::text(Status::Ok, "x".repeat(LARGE_PAGE_BYTES)),
            _ => Refusal::new(Status::NotFound, "there is nothing here").to_response(),
        }
    }
}

impl Application {
    pub fn new(tell: Sender<Told>, gate: Gate) -> Application {
        Application { tell, gate }
    }

    /// The test may be over; then nobody listens.
    fn tell(&self, told: Told) {
        let _ = self.tell.send(told);
    }
}

/// The body of `/page`.
pub const PAGE: &str = "a page\n";

/// Bytes of the body of `/large`: more than a socket takes at once.
pub const LARGE_PAGE_BYTES: usize = 16 << 20;

fn obey(words: &str, session: &mut Session, context: &mut Context<'_>) {
    let mut words = words.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    match word() {
        "id" => say(context, &context.id().to_string()),
        "join" => {
            context.join(word());
            say(context, "joined");
        }
        "leave" => {
            context.leave(word());
            say(context, "left");
        }
        "say" => context.publish(word(), Message::Text(word())),
        "say-bytes" => {
            let bytes = vec![0xda; 10_000 * number(word())];
            context.publish(word(), Message::Binary(&bytes));
        }
        "say-to-others" => context.publish_except(word(), Message::Text(word())),
        // To tell the room that the connection has gone, when it has.
        "farewell" => *session = Some(word().to_owned()),
        "close" => {
            let code = u16::try_from(number(word())).ok().and_then(CloseCode::new);
            context.close(code.expect("a code that may travel"), word());
            assert_eq!(
                context.send(Message::Text("too late")),
                Err(NotSent::NotOpen)
            );
        }
        "last-words" => {
            say(context, "first");
            context.publish(word(), Message::Text("second"));
            context.close(CloseCode::NORMAL, "third");
        }
        "flood" => {
            let bytes = vec![0xf1; number(word())];
            let taken = (0u64..).find(|_| context.send(Message::Binary(&bytes)).is_err());
            let refused = context.send(Message::Binary(&[]));
            assert_eq!(refused, Err(NotSent::BacklogFull));
            assert!(taken.is_some());
        }
        "thread" => {
            #[cfg(target_os = "linux")]
            say(context, &super::own_thread());
        }
        other => panic!("the test asks for {other:?}"),
    }
}

fn say(context: &mut Context<'_>, text: &str) {
    let sent = context.send(Message::Text(text));
    sent.expect("there is room for a word");
}

fn number(word: &str) -> usize {
    word.parse().expect("a number")
}
