//! Broadcast and echo on yamabiko-tokio, one task for each connection.
//!
//! Echo replies with what it has received, without a copy before the write queue
//! (`read_and_reply`); all replies to one read are one write. Broadcast uses the hub, as the other
//! libraries with a `Stream` and a `Sink` do. In the mode `echo-without-deadlines` nothing keeps the time of a connection,
//! as with the other libraries.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::{Sink, Stream};
use tokio::net::TcpStream;
use yamabiko_servers::arguments::BACKLOG_BYTES_MAX;
use yamabiko_servers::hub::{self, Hub, Library};
use yamabiko_servers::serve::serve_modes;
use yamabiko_tokio::yamabiko::websocket::deadlines::Timeouts;
use yamabiko_tokio::yamabiko::websocket::{AsMessage, Message, OwnedMessage};
use yamabiko_tokio::{Acceptor, Error, WebSocket};

fn main() -> io::Result<()> {
    serve_modes(&["broadcast", "echo", WITHOUT_DEADLINES], |mode| {
        let hub = Hub::start(Library {
            data_bytes: |message: &Shared| Some(message.0.as_bytes().len()),
            disconnect: |member: &mut Member| hub::shut_down(member.0.get_ref()),
        });
        let acceptor = Acceptor::new().write_queue_bytes_max(BACKLOG_BYTES_MAX);
        let acceptor = match mode {
            WITHOUT_DEADLINES => acceptor.timeouts(Timeouts {
                ping: None,
                message: None,
                ..Timeouts::default()
            }),
            _ => acceptor,
        };
        let broadcasts = mode == "broadcast";
        move |stream| connection(acceptor.clone(), stream, broadcasts, Rc::clone(&hub))
    })
}

const WITHOUT_DEADLINES: &str = "echo-without-deadlines";

async fn connection(
    acceptor: Acceptor,
    stream: TcpStream,
    broadcasts: bool,
    hub: Rc<Hub<Member, Shared>>,
) {
    let Ok(socket) = acceptor.accept(stream).await else {
        return;
    };
    match broadcasts {
        true => hub::broadcast(hub, Member(socket)).await,
        // Every ending is the end of the client.
        false => _ = echo(socket).await,
    }
}

async fn echo(mut socket: WebSocket<TcpStream>) -> Result<(), Error> {
    while let Some(sent) = socket
        .read_and_reply(|event, replies| match event.message() {
            Some(message) if replies.is_open() => replies.send(message),
            _ => Ok(()),
        })
        .await?
    {
        sent?;
    }
    Ok(())
}

/// One message for all members.
#[derive(Clone)]
struct Shared(Rc<OwnedMessage>);

impl AsMessage for Shared {
    fn as_message(&self) -> Message<'_> {
        self.0.as_message()
    }
}

/// A connection whose messages are shared.
struct Member(WebSocket<TcpStream>);

impl Stream for Member {
    type Item = Result<Shared, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.0).poll_next(cx);
        next.map(|item| item.map(|read| read.map(|message| Shared(Rc::new(message)))))
    }
}

impl Sink<Shared> for Member {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Sink::<Shared>::poll_ready(Pin::new(&mut self.0), cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Shared) -> Result<(), Error> {
        self.0.push(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Sink::<Shared>::poll_flush(Pin::new(&mut self.0), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Sink::<Shared>::poll_close(Pin::new(&mut self.0), cx)
    }
}
