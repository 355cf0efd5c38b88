//! Streams of `futures-io`, on smol and without a runtime of tokio.

use std::time::Duration;

use smol::net::unix::UnixStream;
use yamabiko::websocket::CloseCode;
use yamabiko::websocket::deadlines::{Overdue, Timeouts};
use yamabiko_tokio::{AcceptError, Acceptor, Connector, Error, FuturesIo, Timer};

fn timer() -> Timer {
    Timer::new(|wait| Box::pin(async move { _ = smol::Timer::after(wait).await }))
}

#[test]
fn client_and_server_talk_on_smol() {
    smol::block_on(async {
        let (client, server) = UnixStream::pair().expect("a pair");
        let acceptor = Acceptor::new().timer(timer());
        let serving = smol::spawn(async move {
            let mut server = acceptor.accept(FuturesIo(server)).await.expect("a client");
            while let Some(message) = server.read().await.expect("no error") {
                server.send(message).await.expect("it is open");
            }
            server.ended().expect("it has ended").clean
        });
        let connector = Connector::new("ws://localhost/")
            .expect("a URI")
            .timer(timer());
        let mut client = connector
            .connect_on(FuturesIo(client))
            .await
            .expect("accepted");
        for length in [0, 1000, 1_000_000] {
            let text = "x".repeat(length);
            client.send(&text).await.expect("it is open");
            assert_eq!(client.read().await.expect("no error"), Some(text.into()));
        }
        assert!(
            client
                .close(CloseCode::NORMAL)
                .await
                .expect("no reason")
                .clean
        );
        assert!(serving.await);
    });
}

#[test]
fn deadlines_are_kept_by_the_timers_of_smol() {
    smol::block_on(async {
        let (peer, server) = UnixStream::pair().expect("a pair");
        let short = Duration::from_millis(20);
        let acceptor = Acceptor::new().timer(timer()).handshake_timeout(short);
        let accepted = acceptor.accept(FuturesIo(server)).await;
        assert!(
            matches!(accepted, Err(AcceptError::TimedOut)),
            "{accepted:?}"
        );
        drop(peer);

        let (client, server) = UnixStream::pair().expect("a pair");
        let timeouts = Timeouts {
            ping: Some(short),
            pong: short,
            ..Timeouts::default()
        };
        let acceptor = Acceptor::new().timer(timer()).timeouts(timeouts);
        let connector = Connector::new("ws://localhost/")
            .expect("a URI")
            .timer(timer());
        let serving = smol::spawn(async move { acceptor.accept(FuturesIo(server)).await });
        let client = connector
            .connect_on(FuturesIo(client))
            .await
            .expect("accepted");
        let mut server = serving.await.expect("a client");
        // The client does not read, so it does not answer the ping.
        let read = server.read().await;
        assert!(
            matches!(read, Err(Error::TimedOut(Overdue::Pong))),
            "{read:?}"
        );
        drop(client);
    });
}
