//! Messages, control frames and the closing handshake, between two connections.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use yamabiko::websocket::deadlines::Overdue;
use yamabiko::websocket::{
    CloseCode, Connection, Event, Fragment, Limits, OwnedMessage, ProtocolError, SendError, Side,
};
use yamabiko_tokio::{AcceptError, Error, Options, WebSocket};

use crate::pipe::{client_connection, connected, connected_with};

#[tokio::test]
async fn client_and_server_receive_each_others_messages() {
    let (mut client, mut server) = connected(1 << 16);
    client.send("Hello").await.expect("it is open");
    client.send([1, 2, 3]).await.expect("it is open");
    assert_eq!(server.read().await.expect("a text"), Some("Hello".into()));
    let bytes = OwnedMessage::Binary(vec![1, 2, 3]);
    assert_eq!(server.read().await.expect("bytes"), Some(bytes));
    server.send("やまびこ").await.expect("it is open");
    assert_eq!(
        client.read().await.expect("a text"),
        Some("やまびこ".into())
    );
}

#[tokio::test]
async fn each_side_can_close_and_both_report_the_same_end() {
    for client_closes in [true, false] {
        let (client, server) = connected(1 << 16);
        let (mut closing, mut answering) = match client_closes {
            true => (client, server),
            false => (server, client),
        };
        let (ended, read) = tokio::join!(
            closing.close((CloseCode::GOING_AWAY, "bye")),
            answering.read()
        );
        let ended = ended.expect("a short reason");
        assert_eq!((ended.clean, ended.first_close), (true, Some(Side::Local)));
        assert_eq!(read.expect("a clean end"), None);
        let ended = answering.ended().expect("it has ended");
        assert_eq!((ended.code(), ended.reason()), (1001, "bye"));
        assert_eq!(ended.first_close, Some(Side::Peer));
        // After the end each operation reports it.
        assert_eq!(answering.read().await.expect("a clean end"), None);
        let sent = answering.send("late").await;
        assert!(
            matches!(sent, Err(Error::Send(SendError::NotOpen))),
            "{sent:?}"
        );
        assert!(closing.close(CloseCode::NORMAL).await.expect("again").clean);
    }
}

#[tokio::test]
async fn messages_before_the_close_are_received() {
    let (client, mut server) = connected(1 << 16);
    let (mut reader, mut writer) = client.split();
    writer.close(CloseCode::NORMAL).await.expect("no reason");
    server.send("one").await.expect("it is open");
    server.feed("two").await.expect("it is open");
    let ended = async { server.read().await.expect("a clean end") };
    let reading = async {
        let mut received = Vec::new();
        while let Some(message) = reader.read().await.expect("a clean end") {
            received.push(message);
        }
        received
    };
    let (end, received) = tokio::join!(ended, reading);
    assert_eq!(end, None);
    assert_eq!(received, [OwnedMessage::from("one"), "two".into()]);
}

#[tokio::test]
async fn pings_are_answered_while_a_task_reads() {
    let (mut client, mut server) = connected(1 << 16);
    client.ping(b"there?").await.expect("it is open");
    let asking = async {
        let pong = client.read_with(|event| match event {
            Event::Pong(payload) => payload.into_owned(),
            other => panic!("{other:?}"),
        });
        let pong = pong.await.expect("no error").expect("it is open");
        client.close(CloseCode::NORMAL).await.expect("no reason");
        pong
    };
    let (pong, ended) = tokio::join!(asking, server.read());
    assert_eq!(pong, b"there?");
    assert_eq!(ended.expect("a clean end"), None);
}

#[tokio::test]
async fn message_passes_in_fragments_and_in_pieces() {
    let mut options = Options::default();
    options.pieces = true;
    let (mut client, mut server) = connected_with(1000, options);
    let sending = async {
        for (part, is_last) in [("Hel", false), ("lo ", false), ("there", true)] {
            let fragment = Fragment::text(part.as_bytes()).last_if(is_last);
            client.send_fragment(fragment).await.expect("it is open");
        }
        let other = client.send_fragment(Fragment::binary(b"").last()).await;
        other.expect("a message of its own");
    };
    let receiving = async {
        let read = server.read().await;
        assert!(matches!(read, Err(Error::InPieces)), "{read:?}");
        let (mut text, mut is_last) = (Vec::new(), false);
        while !is_last {
            let piece = server.read_with(|event| match event {
                Event::Piece(piece) => (piece.as_bytes().to_vec(), piece.is_last()),
                other => panic!("{other:?}"),
            });
            let (bytes, last) = piece.await.expect("no error").expect("it is open");
            text.extend(bytes);
            is_last = last;
        }
        text
    };
    assert_eq!(tokio::join!(sending, receiving).1, b"Hello there");
}

#[tokio::test]
async fn connection_is_a_stream_and_a_sink() {
    let (client, server) = connected(1 << 16);
    let (stream, sink) = client.split();
    let echo = async {
        let (to_client, from_client) = StreamExt::split(server);
        from_client.forward(to_client).await
    };
    let texts: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let sending = async {
        let mut messages = futures_util::stream::iter(texts.clone()).map(Ok);
        let mut sink = sink;
        sink.send_all(&mut messages).await.expect("it is open");
        sink
    };
    let receiving = async {
        let mut stream = stream;
        let mut received = Vec::new();
        while received.len() < texts.len() {
            let message = stream.next().await.expect("more").expect("no error");
            received.push(message.to_string());
        }
        assert_eq!(received, texts);
        stream
    };
    let ends = async {
        let (mut sink, mut stream) = tokio::join!(sending, receiving);
        SinkExt::<&str>::close(&mut sink).await.expect("it is open");
        assert!(stream.next().await.is_none());
        assert!(stream.next().await.is_none());
    };
    let ((), echoed) = tokio::join!(ends, echo);
    echoed.expect("a clean end");
}

#[tokio::test]
async fn replies_borrow_what_was_received_and_are_written_together() {
    let (mut client, mut server) = connected(1 << 16);
    for number in 0..50 {
        client.push(number.to_string()).expect("it is open");
    }
    client.flush().await.expect("it is open");
    let echoing = async {
        while let Some(sent) = server
            .read_and_reply(|event, replies| match event.message() {
                Some(message) if replies.is_open() => replies.send(message),
                _ => Ok(()),
            })
            .await
            .expect("no error")
        {
            sent.expect("it is open");
        }
    };
    let receiving = async {
        for number in 0..50 {
            let text = client.read().await.expect("no error").expect("it is open");
            assert_eq!(text.as_text(), Some(&*number.to_string()));
        }
        client.close(CloseCode::NORMAL).await.expect("no reason")
    };
    let ((), ended) = tokio::join!(echoing, receiving);
    assert!(ended.clean);
}

/// Takes everything, and remembers where the second slice of each vectored write lies.
#[derive(Debug, Default)]
struct Recorder {
    behind: Vec<(*const u8, usize)>,
    written: Vec<u8>,
}

impl AsyncRead for Recorder {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Recorder {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.behind.push((slices[1].as_ptr(), slices[1].len()));
        let before = self.written.len();
        for slice in slices {
            self.written.extend_from_slice(slice);
        }
        Poll::Ready(Ok(self.written.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn message_of_16_kib_is_written_from_where_it_lies_and_a_shorter_one_is_copied() {
    const LONG: usize = 16 << 10;
    let connection = Connection::server(Limits::default());
    let mut server = WebSocket::server(Recorder::default(), connection, Options::default());
    let (short, long) = (vec![1; LONG - 1], vec![2; LONG]);
    server.feed(&short).await.expect("it is open");
    server.send(&long).await.expect("it is open");
    server.send(&short).await.expect("it is open");
    let recorder = server.get_ref();
    assert_eq!(recorder.behind, [(long.as_ptr(), LONG)]);
    let header = |length: usize| [&b"\x82\x7e"[..], &(length as u16).to_be_bytes()].concat();
    let frames = [&short, &long, &short].map(|bytes| [header(bytes.len()), bytes.clone()].concat());
    assert!(recorder.written == frames.concat());
}

/// A program prints an error with its sources: no text comes twice.
#[test]
fn error_tells_each_cause_once() {
    let refused = || io::Error::from(io::ErrorKind::ConnectionReset);
    let not_utf8 = ProtocolError::TextNotUtf8;
    let lost = "the connection was lost without a closing handshake";
    for (error, expected) in [
        (
            Error::Protocol(not_utf8),
            format!("the peer broke the protocol: {not_utf8}"),
        ),
        (
            Error::Lost(Some(refused().into())),
            format!("{lost}: {}", refused()),
        ),
        (Error::Lost(None), lost.into()),
        (
            Error::Send(SendError::NotOpen),
            SendError::NotOpen.to_string(),
        ),
        (Error::TimedOut(Overdue::Pong), Overdue::Pong.to_string()),
    ] {
        assert_eq!(with_sources(&error), expected);
    }
    let ended = AcceptError::Ended(Some(refused()));
    let expected = "the client ended the connection during the opening handshake";
    assert_eq!(with_sources(&ended), format!("{expected}: {}", refused()));
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = sources.map(ToString::to_string).collect();
    texts.join(": ")
}

#[tokio::test]
async fn peer_that_breaks_a_rule_gets_the_close_code_and_the_error_is_the_last_item() {
    let (mut peer, server) = tokio::io::duplex(1 << 16);
    let connection = Connection::server(Limits::default());
    let mut server = WebSocket::server(server, connection, Options::default());
    peer.write_all(b"\x81\x01x").await.expect("room"); // not masked
    let reading = async {
        let error = server.next().await.expect("an item").expect_err("a rule");
        assert!(matches!(error, Error::Protocol(_)), "{error:?}");
        assert!(server.next().await.is_none());
        assert!(server.read().await.is_err(), "each further read returns it");
    };
    let watching = async {
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).await.expect("the server ends");
        assert_eq!(bytes[..4], [0x88, bytes[1], 0x03, 0xea]); // Close 1002
        drop(peer);
    };
    tokio::join!(reading, watching);
}

#[tokio::test]
async fn stream_that_ends_without_a_close_is_lost() {
    let (peer, client) = tokio::io::duplex(1 << 16);
    let mut client = WebSocket::client(client, client_connection(), Options::default());
    drop(peer);
    let read = client.read().await;
    assert!(matches!(read, Err(Error::Lost(_))), "{read:?}");
    assert_eq!(client.ended().expect("it has ended").code(), 1006);
    let sent = client.send("late").await;
    assert!(matches!(sent, Err(Error::Lost(_))), "{sent:?}");
}

#[tokio::test]
async fn send_waits_at_the_limit_of_the_write_queue_and_not_one_byte_before() {
    let mut options = Options::default();
    options.write_queue_bytes_max = 100;
    let (peer, server) = tokio::io::duplex(1);
    let connection = Connection::server(Limits::default());
    let mut server = WebSocket::server(server, connection, options);
    server.push([0; 97]).expect("it is open"); // 99 bytes
    let waits = |socket: &mut WebSocket<_>| {
        let mut ready = std::pin::pin!(socket.ready());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        ready.as_mut().poll(&mut context).is_pending()
    };
    assert!(!waits(&mut server));
    server.push("").expect("it is open"); // 101 bytes, of which the pipe takes one
    assert!(waits(&mut server));
    drop(peer);
    assert!(!waits(&mut server));
    assert!(server.send("").await.is_err());
}
