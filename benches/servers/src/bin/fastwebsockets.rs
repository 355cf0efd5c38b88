//! Broadcast and echo on fastwebsockets.
//!
//! hyper handles the upgrade, and `FragmentCollector` reassembles and validates messages, as
//! the library's documentation recommends. The two halves of a connection are used separately
//! (`unstable-split`), with the plain socket instead of hyper's boxed one. The library writes
//! each frame separately; `WriteBuffer` makes one write of all frames of a turn.

use std::cell::RefCell;
use std::future::{Future, poll_fn, ready};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{
    FragmentCollectorRead, Frame, OpCode, Payload, Role, WebSocketError, WebSocketWrite,
    after_handshake_split,
};
use futures_util::{FutureExt, Sink};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::spawn_local;
use yamabiko_servers::hub::{Hub, Library};
use yamabiko_servers::serve::{Mode, serve};
use yamabiko_servers::write_buffer::WriteBuffer;

fn main() -> io::Result<()> {
    serve(|mode| {
        let hub = Hub::start(Library {
            data_bytes: |message: &Message| Some(message.payload.len()),
            disconnect: Writer::disconnect,
        });
        move |stream| accept(stream, mode, Rc::clone(&hub))
    })
}

type Room = Rc<Hub<Writer, Message>>;

/// The HTTP part of a connection. It ends after the upgrade.
async fn accept(stream: TcpStream, mode: Mode, hub: Room) {
    let service = service_fn(|mut request: Request<Incoming>| {
        let upgraded = upgrade(&mut request);
        let hub = Rc::clone(&hub);
        ready(upgraded.map(|(response, socket)| {
            spawn_local(tokio::task::unconstrained(connection(socket, mode, hub)));
            response
        }))
    });
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

async fn connection(upgrading: UpgradeFut, mode: Mode, hub: Room) {
    let Ok(socket) = upgrading.await else {
        return;
    };
    let upgraded: Upgraded = socket.into_inner().into_inner();
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        return;
    };
    // The clients of this benchmark send nothing before they have received the response.
    if !parts.read_buf.is_empty() {
        return;
    }
    let (read_half, write_half) = parts.io.into_inner().into_split();
    let (reader, writer) =
        after_handshake_split(read_half, WriteBuffer::new(write_half), Role::Server);
    let reader = FragmentCollectorRead::new(reader);
    let writer = Rc::new(RefCell::new(Writer::new(writer)));
    match mode {
        Mode::Broadcast => {
            let number = hub.join(Rc::clone(&writer));
            read(
                reader,
                writer,
                |message, _| hub.publish(message),
                || hub.reader_polled(),
            )
            .await;
            hub.leave(number);
        }
        Mode::Echo => {
            let reply = |message, writer: &RefCell<Writer>| {
                let _ = Pin::new(&mut *writer.borrow_mut()).start_send(message);
            };
            read(reader, writer, reply, || {}).await;
        }
    }
}

/// Passes each message on. Flushes the replies when no more messages have arrived.
async fn read(
    mut reader: FragmentCollectorRead<OwnedReadHalf>,
    writer: Rc<RefCell<Writer>>,
    received: impl Fn(Message, &RefCell<Writer>),
    polled: impl Fn(),
) {
    loop {
        let mut obliged = |frame: Frame<'_>| ready(writer.borrow_mut().write(frame));
        let mut next = pin!(reader.read_frame(&mut obliged));
        let frame = poll_fn(|context| match next.as_mut().poll(context) {
            Poll::Pending => {
                polled();
                match writer.borrow_mut().poll_idle(context) {
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    _ => Poll::Pending,
                }
            }
            frame => frame,
        })
        .await;
        let Ok(frame) = frame else {
            return;
        };
        match frame.opcode {
            OpCode::Text | OpCode::Binary => {
                let message = Message {
                    opcode: frame.opcode,
                    payload: match frame.payload {
                        Payload::Bytes(payload) => payload.freeze(),
                        payload => Bytes::from(payload.to_vec()),
                    },
                };
                received(message, &writer);
            }
            OpCode::Close => {
                let _ = poll_fn(|context| Pin::new(&mut *writer.borrow_mut()).poll_flush(context))
                    .await;
                return;
            }
            _ => {}
        }
    }
}

#[derive(Clone)]
struct Message {
    opcode: OpCode,
    payload: Bytes,
}

/// The writing half as a `Sink`: writing a frame never waits, because [`WriteBuffer`]
/// accepts it until the flush. If the buffer is full, the client is too far behind.
struct Writer {
    inner: WebSocketWrite<WriteBuffer<OwnedWriteHalf>>,
    is_disconnected: bool,
    /// Wakes the reader after a disconnection.
    reader: Option<Waker>,
}

impl Writer {
    fn new(inner: WebSocketWrite<WriteBuffer<OwnedWriteHalf>>) -> Writer {
        Writer {
            inner,
            is_disconnected: false,
            reader: None,
        }
    }

    fn write(&mut self, frame: Frame<'_>) -> Result<(), WebSocketError> {
        // The payload does not live as long as `'f` of `write_frame` requires.
        let frame = Frame::new(frame.fin, frame.opcode, None, frame.payload);
        self.inner
            .write_frame(frame)
            .now_or_never()
            .unwrap_or(Err(WebSocketError::ConnectionClosed))
    }

    /// The reader has read all messages that have arrived.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        if self.is_disconnected {
            return Poll::Ready(Err(WebSocketError::ConnectionClosed));
        }
        match &self.reader {
            Some(reader) if reader.will_wake(context.waker()) => {}
            _ => self.reader = Some(context.waker().clone()),
        }
        Pin::new(self).poll_flush(context)
    }

    fn disconnect(&mut self) {
        self.is_disconnected = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Sink<Message> for Writer {
    type Error = WebSocketError;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), WebSocketError> {
        let payload = Payload::Borrowed(&message.payload);
        self.write(Frame::new(true, message.opcode, None, payload))
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), WebSocketError>> {
        pin!(self.inner.flush()).poll(context)
    }

    fn poll_close(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), WebSocketError>> {
        self.poll_flush(context)
    }
}
