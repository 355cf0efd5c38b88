//! The halves of a connection in two tasks.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use yamabiko::websocket::{CloseCode, Connection, Limits};
use yamabiko_tokio::{Options, WebSocket};

use crate::pipe::connected;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halves_in_two_tasks_send_and_receive_at_the_same_time() {
    const MESSAGES: usize = 10_000;
    let (client, server) = connected(5000);
    let mut tasks = Vec::new();
    for socket in [client, server] {
        let (mut reader, mut writer) = socket.split();
        let sending = tokio::spawn(async move {
            for number in 0..MESSAGES {
                writer.send(number.to_string()).await.expect("it is open");
            }
            writer
        });
        let receiving = tokio::spawn(async move {
            for number in 0..MESSAGES {
                let text = reader.read().await.expect("no error").expect("open");
                assert_eq!(text.as_text(), Some(&*number.to_string()));
            }
            reader
        });
        tasks.push((sending, receiving));
    }
    let mut ends = Vec::new();
    for (sending, receiving) in tasks {
        let writer = sending.await.expect("no panic");
        ends.push((writer, receiving.await.expect("no panic")));
    }
    let (mut server_writer, mut server_reader) = ends.pop().expect("the server");
    let (mut client_writer, mut client_reader) = ends.pop().expect("the client");
    client_writer.close(CloseCode::NORMAL).await.expect("open");
    let (client_end, server_end) = tokio::join!(client_reader.read(), server_reader.read());
    assert_eq!(client_end.expect("a clean end"), None);
    assert_eq!(server_end.expect("a clean end"), None);
    assert!(server_writer.send("late").await.is_err());
}

/// A stream wakes the task that polled it last. Here that is the writer, whose future is dropped.
#[tokio::test(start_paused = true)]
async fn reader_writes_its_replies_after_a_future_of_the_writer_was_dropped() {
    let (mut peer, server) = tokio::io::duplex(8);
    let connection = Connection::server(Limits::default());
    let server = WebSocket::server(server, connection, Options::default());
    let (mut reader, mut writer) = server.split();
    let reading = tokio::spawn(async move { reader.read().await });
    let working = async {
        peer.write_all(b"\x89\x80\0\0\0\0").await.expect("room"); // a ping
        tokio::task::yield_now().await;
        {
            // Fills the pipe, waits for it, and is dropped.
            let mut send = pin!(writer.send([0; 100]));
            poll_fn(|cx| {
                assert!(send.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        peer.write_all(b"\x89\x80\0\0\0\0").await.expect("room");
        tokio::task::yield_now().await;
        let mut bytes = vec![0; 2 + 102 + 2]; // a pong, the message, a pong
        peer.read_exact(&mut bytes).await.expect("all of them");
        assert_eq!(
            (&bytes[..2], &bytes[104..]),
            (&b"\x8a\0"[..], &b"\x8a\0"[..])
        );
    };
    timeout(Duration::from_secs(10), working)
        .await
        .expect("no task waits for ever");
    drop(peer);
    assert!(reading.await.expect("no panic").is_err());
}

/// And here it is the reader, which is dropped.
#[tokio::test(start_paused = true)]
async fn writer_goes_on_after_the_reader_was_dropped() {
    let (mut peer, server) = tokio::io::duplex(8);
    let connection = Connection::server(Limits::default());
    let server = WebSocket::server(server, connection, Options::default());
    let (mut reader, mut writer) = server.split();
    let sending = tokio::spawn(async move { writer.send([0; 100]).await });
    tokio::task::yield_now().await;
    {
        let mut read = pin!(reader.read());
        poll_fn(|cx| {
            assert!(read.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    drop(reader);
    let mut bytes = vec![0; 102];
    let reading = peer.read_exact(&mut bytes);
    timeout(Duration::from_secs(10), reading)
        .await
        .expect("no task waits for ever")
        .expect("all of them");
    sending.await.expect("no panic").expect("it is open");
}
