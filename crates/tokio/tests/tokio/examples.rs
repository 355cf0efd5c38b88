//! The servers in examples/, over TCP. Each is compiled into this test, which runs the part of it that serves one connection.

use std::future::Future;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::Sender;
use tokio::time::timeout;
use yamabiko_tokio::{Acceptor, ClientStream, Connector, WebSocket, connect};

// What only their programs use is not used here.
#[allow(dead_code)]
#[path = "../../examples/axum_chat.rs"]
#[cfg(feature = "axum")]
mod axum_chat;
#[allow(dead_code)]
#[path = "../../examples/chat.rs"]
mod chat;
#[allow(dead_code)]
#[path = "../../examples/echo.rs"]
mod echo;
#[allow(dead_code)]
#[path = "../../examples/fields.rs"]
mod fields;
#[allow(dead_code)]
#[path = "../../examples/hyper_echo.rs"]
#[cfg(feature = "hyper")]
mod hyper_echo;
#[allow(dead_code)]
#[path = "../../examples/interval.rs"]
mod interval;

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, format!("ws://{address}/"))
}

/// A server that serves each connection so, and gets its number; its URI.
async fn serving<F: Future<Output: Send> + Send + 'static>(
    serve: impl Fn(u64, TcpStream) -> F + Send + 'static,
) -> String {
    let (listener, uri) = listener().await;
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.expect("a client");
            tokio::spawn(serve(number, stream));
        }
    });
    uri
}

async fn next(client: &mut WebSocket<ClientStream>) -> String {
    let message = client.read().await.expect("no error");
    message.expect("it is open").to_string()
}

async fn eventually(mut condition: impl FnMut() -> bool) {
    let reached = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(30);
    timeout(limit, reached).await.expect("the condition is met");
}

#[tokio::test]
async fn echo_returns_messages_of_both_kinds() {
    let acceptor = Acceptor::new();
    let uri = serving(move |_, stream| {
        let acceptor = acceptor.clone();
        async move { echo::echo(&acceptor, stream).await }
    });
    let mut client = connect(&uri.await).await.expect("accepted");
    for length in [0, 125, 70_000] {
        let (text, bytes) = ("x".repeat(length), vec![7; length]);
        client.send(&text).await.expect("it is open");
        client.send(&bytes).await.expect("it is open");
        assert_eq!(client.read().await.expect("no error"), Some(text.into()));
        assert_eq!(client.read().await.expect("no error"), Some(bytes.into()));
    }
}

#[tokio::test]
async fn message_of_a_member_of_the_chat_comes_to_the_others() {
    let room = Sender::new(100);
    let of_server = room.clone();
    let uri = serving(move |member, stream| chat::join(member, stream, of_server.clone())).await;
    let mut first = connect(&uri).await.expect("accepted");
    let mut second = connect(&uri).await.expect("accepted");
    // A member is in the room when its connection is open, and that is told to nobody.
    eventually(|| room.receiver_count() == 2).await;
    first.send("hello").await.expect("it is open");
    assert_eq!(next(&mut second).await, "0: hello");
    second.send("hello, too").await.expect("it is open");
    // Its own message did not come.
    assert_eq!(next(&mut first).await, "1: hello, too");
}

#[tokio::test]
async fn interval_counts_seconds_and_replies_meanwhile() {
    let uri = serving(|_, stream| interval::count(stream)).await;
    let mut client = connect(&uri).await.expect("accepted");
    assert_eq!(next(&mut client).await, "0");
    client.send("hello").await.expect("it is open");
    let mut number = 1;
    loop {
        let message = next(&mut client).await;
        if message == "hello" {
            break;
        }
        assert_eq!(message, number.to_string());
        number += 1;
    }
}

#[tokio::test]
async fn fields_refuse_a_client_without_a_token_and_greet_one_that_has_it() {
    let (listener, uri) = listener().await;
    tokio::spawn(fields::serve(listener));
    let uri = format!("{uri}rooms/hut");
    let refused = connect(&uri).await.expect_err("refused");
    assert!(refused.to_string().contains("401"), "{refused}");
    let connector = Connector::new(&uri).expect("a URI");
    let connector = connector.field("Authorization", "Bearer 51d2");
    let connected = connector.expect("a field").connect().await;
    let mut client = connected.expect("accepted");
    let fields = client.response_fields().expect("a response");
    assert_eq!(fields.text("Set-Cookie"), Some("seen=1"));
    assert_eq!(next(&mut client).await, "welcome to /rooms/hut");
}

#[cfg(feature = "hyper")]
#[tokio::test]
async fn hyper_echo_returns_messages_and_refuses_other_requests() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let uri = serving(|_, stream| async {
        let serve = hyper::service::service_fn(hyper_echo::serve);
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(hyper_util::rt::TokioIo::new(stream), serve);
        connection.with_upgrades().await
    });
    let uri = uri.await;
    let mut client = connect(&uri).await.expect("accepted");
    client.send("hello").await.expect("it is open");
    assert_eq!(next(&mut client).await, "hello");
    let address = uri.trim_start_matches("ws://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await.expect("a server");
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("it is open");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("text");
    assert!(response.starts_with("HTTP/1.1 426 "), "{response}");
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn rooms_of_the_axum_chat_are_apart_and_end_with_their_last_member() {
    let (listener, uri) = listener().await;
    let rooms = axum_chat::Rooms::default();
    let app = axum_chat::app(rooms.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let enter = async |path: &str| {
        let uri = format!("{uri}rooms/{path}");
        connect(&uri).await.expect("accepted")
    };
    let mut aki = enter("hut/aki").await;
    aki.send("first").await.expect("it is open");
    assert_eq!(next(&mut aki).await, "aki: first");
    let mut ben = enter("hut/ben").await;
    let mut eve = enter("peak/eve").await;
    for (member, text) in [(&mut eve, "eve: hello"), (&mut ben, "ben: hello")] {
        member.send("hello").await.expect("it is open");
        assert_eq!(next(member).await, text);
    }
    assert_eq!(next(&mut aki).await, "ben: hello");
    drop((aki, ben, eve));
    eventually(|| rooms.0.lock().expect("no panic").is_empty()).await;
}
