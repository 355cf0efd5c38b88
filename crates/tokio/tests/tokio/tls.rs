//! `wss` of the client, with a server on tokio and with the library's own server.

use std::future::Future;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use yamabiko::client::{ClientError, Step};
use yamabiko::tls::ClientTls;
use yamabiko::websocket::CloseCode;
use yamabiko_testing::socket::{Running, config};
use yamabiko_testing::tls::Authority;
use yamabiko_tokio::{Acceptor, Connector};

/// A server of one connection, which sends every message back, and its URI.
async fn echo(authority: &Authority) -> (impl Future<Output = ()>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let tls = TlsAcceptor::from(authority.localhost().rustls_config());
    let serve = async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let Ok(stream) = tls.accept(stream).await else {
            return;
        };
        let mut socket = Acceptor::new().accept(stream).await.expect("a request");
        while let Some(message) = socket.read().await.expect("no error") {
            socket.send(message).await.expect("it is open");
        }
    };
    (serve, format!("wss://localhost:{}/", address.port()))
}

fn connector(uri: &str, authority: &Authority) -> Connector {
    let tls = ClientTls::authorities(authority.pem().as_bytes()).expect("an authority");
    Connector::new(uri).expect("a URI").tls(tls)
}

#[tokio::test]
async fn messages_of_all_sizes_go_over_tls_in_both_directions() {
    let authority = Authority::new();
    let (serving, uri) = echo(&authority).await;
    let asking = async {
        let connected = connector(&uri, &authority).connect().await;
        let mut client = connected.expect("a server");
        assert!(client.get_ref().is_secure());
        for bytes in [0, 1, 125, 16_384, 16_385, 1 << 20] {
            let text = "x".repeat(bytes);
            client.send(&text).await.expect("it is open");
            let reply = client.read().await.expect("no error");
            assert_eq!(reply, Some(text.into()));
        }
        let ended = client.close(CloseCode::NORMAL).await.expect("no reason");
        assert!(ended.clean, "{ended:?}");
    };
    tokio::join!(serving, asking);
}

#[tokio::test]
async fn library_server_is_reached_over_tls() {
    let authority = Authority::new();
    let server = Running::start(yamabiko::server::Config {
        tls: Some(authority.localhost()),
        ..config(1)
    });
    let uri = format!("wss://localhost:{}/", server.address.port());
    let connected = connector(&uri, &authority).connect().await;
    let mut client = connected.expect("a server");
    client.send("hello").await.expect("it is open");
    assert_eq!(client.read().await.expect("no error"), Some("hello".into()));
    let ended = client.close(CloseCode::NORMAL).await.expect("no reason");
    assert!(ended.clean, "{ended:?}");
}

#[tokio::test]
async fn server_that_is_not_trusted_is_an_error_of_tls() {
    let authority = Authority::new();
    let (serving, uri) = echo(&authority).await;
    let asking = async {
        let other = Authority::new();
        let connected = connector(&uri, &other).connect().await;
        match connected.expect_err("another authority") {
            ClientError::Tls(error) => assert!(error.is_certificate(), "{error}"),
            error => panic!("{error:?}"),
        }
    };
    tokio::join!(serving, asking);
}

#[tokio::test]
async fn server_that_does_not_answer_the_handshake_of_tls_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let uri = format!("wss://localhost:{port}/");
    let connector = connector(&uri, &Authority::new());
    let connector = connector.handshake_timeout(Duration::from_millis(50));
    let error = connector.connect().await.expect_err("no answer");
    let is_expected = matches!(error, ClientError::TimedOut(Step::OpeningHandshake));
    assert!(is_expected, "{error:?}");
}

#[tokio::test]
async fn server_without_tls_is_an_error_of_tls() {
    let server = Running::start(config(1));
    let uri = format!("wss://localhost:{}/", server.address.port());
    let error = connector(&uri, &Authority::new()).connect().await;
    let error = error.expect_err("a response in plain text");
    assert!(matches!(error, ClientError::Tls(_)), "{error:?}");
}
