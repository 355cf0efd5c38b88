//! Futures that are dropped at every await: nothing is lost, cut or doubled.

use tokio::task::yield_now;
use yamabiko::websocket::{CloseCode, Connection, Limits};
use yamabiko_tokio::{Error, Options, WebSocket};

use crate::pipe::{Hesitant, Random, client_connection, connected, drop_after};

const MESSAGES: usize = 10_000;

/// The message with this number: of various lengths, some longer than a pipe and a write queue.
fn message(number: usize) -> String {
    let length = match number % 1000 {
        999 => 100_000,
        rest => rest % 200,
    };
    format!("{number} {}", "x".repeat(length))
}

fn options() -> Options {
    let mut options = Options::default();
    options.write_queue_bytes_max = 500;
    options
}

/// Sends each message by futures that are dropped after one to four polls.
async fn send_all<T>(mut socket: WebSocket<T>, seed: u64)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut random = Random(seed);
    for number in 0..MESSAGES {
        while drop_after(1 + random.below(4), socket.ready())
            .await
            .is_none()
        {
            yield_now().await;
        }
        socket.push(message(number)).expect("it is open");
        if random.below(3) == 0 {
            _ = drop_after(1 + random.below(4), socket.flush()).await;
        }
    }
    loop {
        match drop_after(1 + random.below(4), socket.close(CloseCode::NORMAL)).await {
            Some(ended) => return assert!(ended.expect("a short reason").clean),
            None => yield_now().await,
        }
    }
}

/// Receives all messages by futures that are dropped after one to four polls.
async fn receive_all<T>(mut socket: WebSocket<T>, seed: u64)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut random = Random(seed);
    let mut received = 0;
    loop {
        match drop_after(1 + random.below(4), socket.read()).await {
            None => yield_now().await,
            Some(Ok(Some(text))) => {
                assert!(text.as_text() == Some(&message(received)), "{received}");
                received += 1;
            }
            Some(Ok(None)) => break,
            Some(Err(error)) => panic!("{error}"),
        }
    }
    assert_eq!(received, MESSAGES);
}

#[tokio::test]
async fn futures_dropped_at_every_await_lose_and_double_no_message() {
    for client_sends in [true, false] {
        let (client, server) = tokio::io::duplex(1000);
        let (client, server) = (Hesitant::new(client, 1), Hesitant::new(server, 2));
        let client = WebSocket::client(client, client_connection(), options());
        let server = WebSocket::server(server, Connection::server(Limits::default()), options());
        let (from, to) = match client_sends {
            true => (client, server),
            false => (server, client),
        };
        tokio::join!(send_all(from, 3), receive_all(to, 4));
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn futures_dropped_at_every_await_lose_and_double_no_message_over_tls() {
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::{TlsAcceptor, TlsConnector};
    use yamabiko::tls::ClientTls;

    let authority = yamabiko_testing::tls::Authority::new();
    let trusted = ClientTls::authorities(authority.pem().as_bytes()).expect("an authority");
    let connector = TlsConnector::from(trusted.rustls_config());
    let acceptor = TlsAcceptor::from(authority.localhost().rustls_config());
    for client_sends in [true, false] {
        let (client, server) = tokio::io::duplex(20_000);
        let (client, server) = (Hesitant::new(client, 7), Hesitant::new(server, 8));
        let name = ServerName::try_from("localhost").expect("a name");
        let (client, server) =
            tokio::join!(connector.connect(name, client), acceptor.accept(server));
        let (client, server) = (client.expect("trusted"), server.expect("a client"));
        let client = WebSocket::client(client, client_connection(), options());
        let server = WebSocket::server(server, Connection::server(Limits::default()), options());
        match client_sends {
            true => _ = tokio::join!(send_all(client, 9), receive_all(server, 10)),
            false => _ = tokio::join!(send_all(server, 9), receive_all(client, 10)),
        }
    }
}

#[tokio::test]
async fn replies_of_reads_that_are_dropped_are_sent_once_and_whole() {
    let (client, server) = tokio::io::duplex(1000);
    let server = Hesitant::new(server, 11);
    let client = WebSocket::client(client, client_connection(), options());
    let mut server = WebSocket::server(server, Connection::server(Limits::default()), options());
    let (reader, mut writer) = client.split();
    let asking = async {
        for number in 0..MESSAGES {
            writer.send(message(number)).await.expect("it is open");
        }
        writer.close(CloseCode::NORMAL).await.expect("no reason");
    };
    let echoing = async {
        let mut random = Random(12);
        loop {
            let echoed = server.read_and_reply(|event, replies| {
                if let Some(message) = event.message() {
                    replies.send(message).expect("it is open");
                }
            });
            match drop_after(1 + random.below(4), echoed).await {
                None => yield_now().await,
                Some(echoed) => match echoed.expect("no error") {
                    Some(()) => {}
                    None => break,
                },
            }
        }
    };
    let receiving = async {
        let mut reader = reader;
        let mut received = 0;
        while let Some(text) = reader.read().await.expect("no error") {
            assert!(text.as_text() == Some(&message(received)), "{received}");
            received += 1;
        }
        received
    };
    assert_eq!(tokio::join!(asking, echoing, receiving).2, MESSAGES);
}

#[tokio::test]
async fn dropped_send_sends_the_message_whole_or_not_at_all_and_never_twice() {
    let (client, server) = tokio::io::duplex(300);
    let client = Hesitant::new(client, 5);
    let mut client = WebSocket::client(client, client_connection(), options());
    let mut server = WebSocket::server(server, Connection::server(Limits::default()), options());
    let sending = async {
        let mut random = Random(6);
        let mut completed = Vec::new();
        for number in 0..MESSAGES {
            let sent = drop_after(1 + random.below(6), client.send(message(number))).await;
            match sent {
                Some(sent) => {
                    sent.expect("it is open");
                    completed.push(number);
                }
                None => yield_now().await,
            }
        }
        let ended = client.close(CloseCode::NORMAL).await.expect("no reason");
        assert!(ended.clean);
        completed
    };
    let receiving = async {
        let mut received = Vec::new();
        while let Some(text) = server.read().await.expect("no error") {
            let text = text.as_text().expect("a text").to_owned();
            let number = text.split(' ').next().expect("a number").parse();
            let number: usize = number.expect("a number");
            assert!(text == message(number), "{number} is not whole");
            received.push(number);
        }
        received
    };
    let (completed, received) = tokio::join!(sending, receiving);
    assert!(received.is_sorted_by(|one, next| one < next));
    let lost = completed
        .iter()
        .find(|number| received.binary_search(number).is_err());
    assert_eq!(
        lost, None,
        "a send was completed and its message was not received"
    );
    assert!(completed.len() < MESSAGES, "no future was dropped");
}

#[tokio::test]
async fn select_between_reading_and_sending_loses_no_message() {
    let (mut client, mut server) = connected(200);
    let (outgoing, mut queue) = tokio::sync::mpsc::channel(1);
    let feeding = async move {
        for number in 0..MESSAGES / 10 {
            outgoing
                .send(message(number))
                .await
                .expect("it is received");
            yield_now().await;
        }
    };
    let talking = async {
        let (mut sent, mut returned) = (0, 0);
        while returned < MESSAGES / 10 {
            tokio::select! {
                biased;
                text = queue.recv(), if sent == returned => {
                    client.feed(text.expect("more to send")).await.expect("it is open");
                    sent += 1;
                }
                text = client.read() => {
                    let text = text.expect("no error").expect("it is open");
                    assert!(text.as_text() == Some(&message(returned)));
                    returned += 1;
                }
            }
        }
        client.close(CloseCode::NORMAL).await.expect("no reason")
    };
    let echoing = async {
        while let Some(text) = server.read().await.expect("no error") {
            server.send(text).await?;
        }
        Ok::<(), Error>(())
    };
    let ((), ended, echoed) = tokio::join!(feeding, talking, echoing);
    assert!(ended.clean);
    echoed.expect("no error");
}
