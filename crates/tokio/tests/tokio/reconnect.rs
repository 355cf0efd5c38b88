//! The client that connects again, against a server that is killed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use yamabiko::client::{Backoff, ClientError, Received};
use yamabiko::websocket::{CloseCode, OwnedMessage, SendError};
use yamabiko_tokio::{Connector, ReconnectingClient, accept};

use crate::pipe::drop_after;

async fn listening() -> (TcpListener, ReconnectingClient) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let uri = format!("ws://{}/", listener.local_addr().expect("an address"));
    let millisecond = Duration::from_millis(1);
    let backoff = Backoff::with_bounds(millisecond, 5 * millisecond);
    let connector = Connector::new(&uri).expect("a URI");
    (
        listener,
        ReconnectingClient::new(connector).backoff(backoff),
    )
}

/// Each read is dropped after some polls, and the connection is killed ten times.
#[tokio::test]
async fn no_confirmed_message_is_lost_when_the_server_is_killed_ten_times() {
    const MESSAGES: usize = 1_000;
    let (listener, client) = listening().await;
    let received = Arc::new(Mutex::new(Vec::new()));
    let at_server = Arc::clone(&received);
    let server = tokio::spawn(async move {
        for kill in 0..=10 {
            let (stream, _) = listener.accept().await.expect("a client");
            let mut socket = accept(stream).await.expect("a client");
            let mut left = match kill {
                10 => usize::MAX,
                kill => 4 + 7 * kill,
            };
            // The first message is that of the hook.
            while let Ok(Some(message)) = socket.read().await {
                at_server
                    .lock()
                    .expect("no panic")
                    .push(message.to_string());
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
    });
    let mut client = client.on_open(|socket| socket.push("subscribe"));
    let (mut next, mut confirmed, mut opened) = (0, 0, 0);
    while next < MESSAGES || client.unconfirmed() > 0 {
        if client.is_open() && next < MESSAGES && client.unconfirmed() < 20 {
            match client.send(format!("message {next}")).await {
                Ok(()) => next += 1,
                Err(ClientError::Send(SendError::NotOpen)) => {}
                Err(error) => panic!("{error}"),
            }
            continue;
        }
        match drop_after(2, client.read()).await {
            None => tokio::task::yield_now().await,
            Some(Ok(Some(Received::Opened { unconfirmed }))) => {
                opened += 1;
                for message in unconfirmed {
                    client.send(message).await.expect("it is open");
                }
            }
            Some(Ok(Some(Received::Confirmed(count)))) => confirmed += count,
            Some(received) => panic!("{received:?}"),
        }
    }
    client.close(CloseCode::NORMAL).await.expect("no reason");
    server.await.expect("no panic");
    assert_eq!((confirmed, opened), (MESSAGES, 11));
    let received = received.lock().expect("no panic");
    let subscribed = received.iter().filter(|message| *message == "subscribe");
    assert_eq!(subscribed.count(), 11);
    let mut missing = (0..MESSAGES).map(|number| format!("message {number}"));
    assert_eq!(missing.find(|message| !received.contains(message)), None);
}

#[tokio::test]
async fn client_stops_at_401_403_and_404() {
    for status in [401, 403, 404] {
        let (listener, mut client) = listening().await;
        let responding = async {
            let (mut stream, _) = listener.accept().await.expect("a client");
            _ = stream.read(&mut [0; 1000]).await.expect("a request");
            let response = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
            stream
                .write_all(response.as_bytes())
                .await
                .expect("it is read");
            stream
        };
        let (read, _stream) = tokio::join!(client.read(), responding);
        let error = read.expect_err("refused");
        let refusal = error.refusal().expect("an HTTP response");
        assert_eq!(refusal.response.status, status);
    }
}

#[tokio::test]
async fn normal_closure_by_the_server_ends_the_client_and_a_restart_does_not() {
    let (listener, mut client) = listening().await;
    let serving = async {
        for code in [CloseCode::GOING_AWAY, CloseCode::NORMAL] {
            let (stream, _) = listener.accept().await.expect("a client");
            let mut socket = accept(stream).await.expect("a client");
            assert!(socket.close(code).await.expect("no reason").clean);
        }
    };
    let reading = async {
        for _ in 0..2 {
            let received = client.read().await.expect("a server");
            let opened = Received::Opened {
                unconfirmed: Vec::new(),
            };
            assert_eq!(received, Some(opened));
        }
        assert_eq!(client.read().await.expect("it was closed"), None);
    };
    tokio::join!(serving, reading);
    assert_eq!(client.ended().map(|ended| ended.code()), Some(1000));
    let sent = client.send(OwnedMessage::from("late")).await;
    assert!(
        matches!(sent, Err(ClientError::Send(SendError::NotOpen))),
        "{sent:?}"
    );
}
