//! The opening handshake of both roles over TCP.

use std::io;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use yamabiko::client::{ClientError, Step};
use yamabiko::http::{Refusal, Status};
use yamabiko::websocket::CloseCode;
use yamabiko::websocket::deflate::{DeflateConfig, DeflatePool};
use yamabiko::websocket::handshake::Proxy;
use yamabiko_testing::port::ReservedPort;
use yamabiko_tokio::{AcceptError, Acceptor, Connector, WebSocket};

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, format!("ws://{address}/room?a=b"))
}

async fn accepted(
    listener: &TcpListener,
    acceptor: &Acceptor,
) -> Result<WebSocket<TcpStream>, AcceptError> {
    let (stream, _) = listener.accept().await.expect("a client");
    acceptor.accept(stream).await
}

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[tokio::test]
async fn both_sides_agree_on_subprotocol_and_compression() {
    let (listener, uri) = listener().await;
    let config = DeflateConfig::default();
    let acceptor = Acceptor::new()
        .subprotocols(["b", "a"])
        .deflate(config, DeflatePool::default());
    let connector = Connector::new(&uri).expect("a URI");
    let connector = connector.subprotocol("a").expect("a token");
    let connector = connector.deflate(config, &DeflatePool::default());
    let serving = async {
        let mut server = accepted(&listener, &acceptor).await.expect("a client");
        assert_eq!(server.subprotocol(), Some("a"));
        assert!(server.deflate().is_some());
        while let Some(message) = server.read().await.expect("no error") {
            server.send(message).await.expect("it is open");
        }
    };
    let asking = async {
        let mut client = connector.connect().await.expect("a server");
        assert_eq!(client.subprotocol(), Some("a"));
        let fields = client.response_fields().expect("a client has them");
        assert_eq!(fields.text("Upgrade"), Some("websocket"));
        let text = "mountain ".repeat(1000);
        client.send(&text).await.expect("it is open");
        let reply = client.read().await.expect("no error");
        assert_eq!(reply, Some(text.into()));
        client.close(CloseCode::NORMAL).await.expect("no reason")
    };
    let ((), ended) = tokio::join!(serving, asking);
    assert!(ended.clean);
}

#[tokio::test]
async fn application_sees_the_request_adds_fields_and_refuses() {
    let (listener, uri) = listener().await;
    let acceptor = Acceptor::new();
    let serving = async {
        for _ in 0..2 {
            let (stream, _) = listener.accept().await.expect("a client");
            let accepted = acceptor.accept_with(stream, |upgrade, options| {
                if upgrade.query() == Some("a=b") {
                    return Ok(options.field("X-Room", "1")?);
                }
                let refusal = Refusal::new(Status::ServiceUnavailable, "full");
                Err(refusal.field("Retry-After", "7")?)
            });
            _ = accepted.await;
        }
    };
    let asking = async {
        let client = yamabiko_tokio::connect(&uri).await.expect("accepted");
        let fields = client.response_fields().expect("a client has them");
        assert_eq!(fields.text("X-Room"), Some("1"));
        let refused = yamabiko_tokio::connect(&uri.replace("a=b", "")).await;
        let error = refused.expect_err("refused");
        let refusal = error.refusal().expect("an HTTP response");
        assert_eq!(refusal.response.status, 503);
        assert_eq!(refusal.field("Retry-After").as_deref(), Some("7"));
        assert_eq!(refusal.body_text(), "full\n");
    };
    tokio::join!(serving, asking);
}

#[tokio::test]
async fn page_of_another_origin_is_refused() {
    let (listener, uri) = listener().await;
    let acceptor = Acceptor::new();
    let connector = Connector::new(&uri).expect("a URI");
    let connector = connector.origin("https://evil.example").expect("an origin");
    let (accepted, connected) = tokio::join!(accepted(&listener, &acceptor), connector.connect());
    assert!(
        matches!(accepted, Err(AcceptError::Refused(_))),
        "{accepted:?}"
    );
    let refused = connected.expect_err("refused");
    assert_eq!(
        refused.refusal().map(|refusal| refusal.response.status),
        Some(403)
    );
}

#[tokio::test]
async fn frames_in_one_segment_with_the_heads_are_received() {
    let (mut peer, stream) = tokio::io::duplex(1 << 16);
    let frames = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"; // RFC 6455 §5.7
    peer.write_all(&[REQUEST, frames].concat())
        .await
        .expect("room");
    let mut server = yamabiko_tokio::accept(stream).await.expect("a client");
    assert_eq!(server.read().await.expect("a text"), Some("Hello".into()));
}

#[tokio::test]
async fn request_is_the_same_however_it_is_cut() {
    let (mut peer, stream) = tokio::io::duplex(1 << 16);
    let writing = async {
        for byte in REQUEST {
            peer.write_all(&[*byte]).await.expect("room");
            tokio::task::yield_now().await;
        }
    };
    let (accepted, ()) = tokio::join!(yamabiko_tokio::accept(stream), writing);
    accepted.expect("a client");
}

#[tokio::test(start_paused = true)]
async fn client_that_sends_no_request_is_given_up() {
    let (mut peer, stream) = tokio::io::duplex(1 << 16);
    peer.write_all(&REQUEST[..100]).await.expect("room");
    let accepted = yamabiko_tokio::accept(stream).await;
    assert!(
        matches!(accepted, Err(AcceptError::TimedOut)),
        "{accepted:?}"
    );
    let ended = yamabiko_tokio::accept(ended(b"GET / HT")).await;
    assert!(matches!(ended, Err(AcceptError::Ended(None))), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn server_that_does_not_respond_is_given_up() {
    let (peer, stream) = tokio::io::duplex(1 << 16);
    let connector = Connector::new("ws://a/").expect("a URI");
    let connector = connector.handshake_timeout(Duration::from_secs(3));
    let connected = connector.connect_on(stream).await;
    let timed_out = ClientError::TimedOut(Step::OpeningHandshake);
    assert_eq!(
        connected.expect_err("no response").to_string(),
        timed_out.to_string()
    );
    drop(peer);
    let connected = connector.connect_on(ended(b"HTTP/1.1 101 Swi")).await;
    assert!(
        matches!(connected, Err(ClientError::EndedInHandshake(_))),
        "{connected:?}"
    );
}

#[tokio::test]
async fn name_without_an_address_and_closed_port_are_told_apart() {
    let unknown = yamabiko_tokio::connect("ws://name.invalid/").await;
    assert!(
        matches!(unknown, Err(ClientError::Resolve { .. })),
        "{unknown:?}"
    );
    let port = ReservedPort::new();
    let closed = yamabiko_tokio::connect(&format!("ws://{}/", port.address())).await;
    let Err(ClientError::Connect(attempts)) = closed else {
        panic!("{closed:?}");
    };
    assert_eq!(attempts[0].1.kind(), io::ErrorKind::ConnectionRefused);
    let wrong = yamabiko_tokio::connect("http://a/").await;
    assert!(matches!(wrong, Err(ClientError::Uri(_))), "{wrong:?}");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# There MUST be no more than one connection in a CONNECTING state.
#[tokio::test]
async fn clients_connect_to_one_address_one_after_the_other_and_to_another_one_at_once() {
    let (listener, uri) = listener().await;
    let other = TcpListener::bind("127.0.0.2:0").await;
    let (first, second) = (Connector::new(&uri), Connector::new(&uri));
    let (first, second) = (first.expect("a URI"), second.expect("a URI"));
    let waiting = tokio::spawn(async move { first.connect().await });
    let (mut held, _) = listener.accept().await.expect("the first client");
    let waiting_too = tokio::spawn(async move { second.connect().await });
    // Systems other than Linux have no further loopback addresses.
    if let Ok(other) = other {
        let uri = format!("ws://{}/", other.local_addr().expect("an address"));
        let acceptor = Acceptor::new();
        let (_, connected) =
            tokio::join!(accepted(&other, &acceptor), yamabiko_tokio::connect(&uri));
        connected.expect("another address does not wait");
    }
    let mut request = vec![0; 100];
    held.read_exact(&mut request).await.expect("a request");
    // The second task has run meanwhile: it would have connected.
    tokio::task::yield_now().await;
    let no_second = std::future::poll_fn(|cx| Poll::Ready(listener.poll_accept(cx).is_pending()));
    assert!(
        no_second.await,
        "two connections were in the state CONNECTING"
    );
    drop(held);
    assert!(waiting.await.expect("no panic").is_err());
    let acceptor = Acceptor::new();
    accepted(&listener, &acceptor)
        .await
        .expect("the second client");
    waiting_too.await.expect("no panic").expect("accepted");
}

#[tokio::test]
async fn client_speaks_websocket_through_a_proxy() {
    let (listener, uri) = listener().await;
    let authority = uri.trim_start_matches("ws://").split('/').next();
    let proxy = format!("http://{}", authority.expect("an authority"));
    let proxy = Proxy::parse(&proxy).expect("a proxy");
    let connector = Connector::new("ws://name.invalid/")
        .expect("a URI")
        .proxy(proxy);
    let proxying = async {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut request = [0; 100];
        let count = stream.read(&mut request).await.expect("a request");
        assert!(request[..count].starts_with(b"CONNECT name.invalid:80 HTTP/1.1\r\n"));
        stream
            .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
            .await
            .expect("it is read");
        let mut server = yamabiko_tokio::accept(stream).await.expect("a client");
        server.send("hi").await.expect("it is open");
        server
    };
    let (connected, _server) = tokio::join!(connector.connect(), proxying);
    let mut client = connected.expect("a server");
    assert_eq!(client.read().await.expect("a text"), Some("hi".into()));
}

/// A stream with these bytes and its end.
fn ended(bytes: &[u8]) -> DuplexStream {
    let (mut peer, stream) = tokio::io::duplex(1 << 16);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut write = std::pin::pin!(peer.write_all(bytes));
    assert!(write.as_mut().poll(&mut context).is_ready());
    drop(peer);
    stream
}
