//! Upgrades in the servers of hyper and axum, over TCP.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use yamabiko::http::{Origins, Refusal, Status};
use yamabiko::websocket::CloseCode;
use yamabiko_tokio::axum::WebSocketUpgrade;
use yamabiko_tokio::hyper::{UpgradedWebSocket, upgrade};
use yamabiko_tokio::{Acceptor, Connector};

async fn echo(mut socket: UpgradedWebSocket) {
    while let Ok(Some(message)) = socket.read().await {
        if socket.send(message).await.is_err() {
            break;
        }
    }
}

/// A server of axum; its address.
async fn axum_server() -> String {
    let plain = async |upgrade: WebSocketUpgrade| -> Response { upgrade.on_upgrade(echo) };
    let chat = async |upgrade: WebSocketUpgrade| -> Response {
        let acceptor = Acceptor::new().subprotocols(["chat"]).origins(Origins::Any);
        upgrade.acceptor(acceptor).on_upgrade(echo)
    };
    let closed = async |upgrade: WebSocketUpgrade| -> Response {
        let refusal = Refusal::new(Status::Forbidden, "members only");
        upgrade.on_upgrade_with(|_, _| Err(refusal), echo)
    };
    let app = Router::new()
        .route("/echo", get(plain))
        .route("/chat", get(chat))
        .route("/closed", get(closed));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// A server of hyper for one connection; its address.
async fn hyper_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let serve = hyper::service::service_fn(async |mut request| {
            let response = match upgrade(&mut request, &Acceptor::new()) {
                Ok((response, socket)) => {
                    tokio::spawn(async move { echo(socket.await.expect("upgraded")).await });
                    response.map(|()| Vec::new())
                }
                Err(refusal) => refusal.to_http(),
            };
            let body = |bytes| http_body_util::Full::new(hyper::body::Bytes::from(bytes));
            Ok::<_, std::convert::Infallible>(response.map(body))
        });
        let stream = hyper_util::rt::TokioIo::new(stream);
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(stream, serve);
        _ = connection.with_upgrades().await;
    });
    address
}

#[tokio::test]
async fn connection_that_hyper_or_axum_has_upgraded_is_a_connection() {
    for address in [axum_server().await, hyper_server().await] {
        let uri = format!("ws://{address}/echo");
        let mut client = yamabiko_tokio::connect(&uri).await.expect("accepted");
        for length in [0, 1, 125, 126, 70_000] {
            let text = "x".repeat(length);
            client.send(&text).await.expect("it is open");
            assert_eq!(client.read().await.expect("no error"), Some(text.into()));
        }
        let ended = client.close(CloseCode::NORMAL).await.expect("no reason");
        assert!(ended.clean, "{ended}");
    }
}

#[tokio::test]
async fn rules_of_the_acceptor_hold_for_an_upgrade() {
    let address = axum_server().await;
    let connector = |path: &str| Connector::new(&format!("ws://{address}/{path}")).expect("a URI");
    let offering = connector("chat").subprotocol("chat").expect("a token");
    let offering = offering.origin("https://a.example").expect("an origin");
    let client = offering.connect().await.expect("accepted");
    assert_eq!(client.subprotocol(), Some("chat"));
    let foreign = connector("echo")
        .origin("https://a.example")
        .expect("an origin");
    for (connector, status, body) in [
        (
            foreign,
            403,
            "pages of the origin https://a.example may not connect",
        ),
        (connector("closed"), 403, "members only"),
        (connector("nowhere"), 404, ""),
    ] {
        let error = connector.connect().await.expect_err("refused");
        let refusal = error.refusal().expect("an HTTP response");
        assert_eq!(refusal.response.status, status);
        assert!(
            refusal.body_text().starts_with(body),
            "{}",
            refusal.body_text()
        );
    }
}

#[tokio::test]
async fn request_without_an_upgrade_gets_426() {
    for address in [axum_server().await, hyper_server().await] {
        let mut stream = TcpStream::connect(address).await.expect("a server");
        let request = b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("it is read");
        let mut response = String::new();
        stream.read_to_string(&mut response).await.expect("text");
        assert!(response.starts_with("HTTP/1.1 426 "), "{response}");
        assert!(response.contains("sec-websocket-version: 13"), "{response}");
    }
}
