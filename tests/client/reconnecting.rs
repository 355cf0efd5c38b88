//! The client that connects again, against a server that is killed.
//!
//! The server is a thread on the protocol core. A kill closes the socket over unread bytes, as the
//! end of a process does.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use yamabiko::client::{
    Backoff, Client, ClientError, CloseCode, OwnedMessage, Received, ReconnectingClient,
};
use yamabiko::websocket::handshake::{AcceptOptions, HeadLimits, RequestReader, Upgrade};
use yamabiko::websocket::{Connection, Limits};
use yamabiko_testing::waiting::{TIMEOUT, accepted, joined};

/// Accepts the opening handshake.
fn opened(listener: &TcpListener) -> (TcpStream, Connection) {
    let mut stream = accepted(listener);
    let (mut bytes, mut response) = (Vec::new(), Vec::new());
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request");
        bytes.push(byte[0]);
        let mut reader = RequestReader::new(HeadLimits::default());
        if let Some((request, _)) = reader.read(&bytes).expect("a request") {
            let upgrade = Upgrade::check(&request).expect("an upgrade");
            let accepted = upgrade.accept(AcceptOptions::default()).expect("accepted");
            accepted.write_response(&mut response);
            stream.write_all(&response).expect("it is read");
            return (stream, accepted.connection(Limits::default()));
        }
    }
}

/// Receives messages until there are `count`, or until the client closes, and appends them to
/// `received`; answers pings and a Close.
fn receive(
    stream: &mut TcpStream,
    connection: &mut Connection,
    count: usize,
    received: &Mutex<Vec<String>>,
) {
    let (mut bytes, mut output) = (vec![0; 4096], Vec::new());
    let mut left = count;
    while connection.is_open() && left > 0 {
        let read = stream.read(&mut bytes).expect("the client sends");
        assert!(read > 0, "the client has ended TCP");
        let mut input = &mut bytes[..read];
        while let Some(event) = connection.receive(&mut input, &mut output).expect("legal") {
            if let Some(message) = event.message() {
                received.lock().expect("no panic").push(message.to_string());
                left = left.saturating_sub(1);
            }
        }
        stream.write_all(&output).expect("the client reads");
        output.clear();
    }
}

fn reconnecting(uri: &str) -> ReconnectingClient {
    let builder = Client::builder(uri).read_timeout(TIMEOUT);
    let millisecond = Duration::from_millis(1);
    ReconnectingClient::new(builder).backoff(Backoff::with_bounds(millisecond, 5 * millisecond))
}

fn listening() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let uri = format!("ws://{}/", listener.local_addr().expect("bound"));
    (listener, uri)
}

#[test]
fn no_confirmed_message_is_lost_when_the_server_is_killed_ten_times() {
    const MESSAGES: usize = 1_000;
    let (listener, uri) = listening();
    let received = Arc::new(Mutex::new(Vec::new()));
    let at_server = Arc::clone(&received);
    let server = thread::spawn(move || {
        for kill in 0..10 {
            let (mut stream, mut connection) = opened(&listener);
            receive(&mut stream, &mut connection, 3 + 7 * kill, &at_server);
        }
        let (mut stream, mut connection) = opened(&listener);
        receive(&mut stream, &mut connection, usize::MAX, &at_server);
    });

    let opened = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&opened);
    let mut client = reconnecting(&uri).on_open(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    let (mut next, mut confirmed, mut again) = (0, 0, 0);
    while next < MESSAGES || client.unconfirmed() > 0 {
        if client.is_open() && next < MESSAGES && client.unconfirmed() < 20 {
            client.send(format!("message {next}")).expect("it is open");
            next += 1;
            continue;
        }
        match client.read().expect("it connects again") {
            Some(Received::Opened { unconfirmed }) => {
                again += unconfirmed.len();
                for message in unconfirmed {
                    client.send(message).expect("it is open");
                }
            }
            Some(Received::Confirmed(count)) => confirmed += count,
            received => panic!("{received:?}"),
        }
    }
    assert_eq!(confirmed, MESSAGES);
    assert!(
        again > 0,
        "no message was unconfirmed when the server was killed"
    );
    client.close(CloseCode::NORMAL).expect("no reason");
    joined("the server", server);
    assert_eq!(opened.load(Ordering::Relaxed), 11);
    let received = received.lock().expect("no panic");
    let mut missing = (0..MESSAGES).map(|number| format!("message {number}"));
    assert_eq!(missing.find(|message| !received.contains(message)), None);
}

#[test]
fn unconfirmed_messages_are_returned_in_order_and_none_is_sent_again_by_itself() {
    let (listener, uri) = listening();
    let received = Arc::new(Mutex::new(Vec::new()));
    let at_server = Arc::clone(&received);
    let server = thread::spawn(move || {
        let (mut stream, _) = opened(&listener);
        // It is killed when it has read one byte.
        stream.read_exact(&mut [0]).expect("a message");
        drop(stream);
        let (mut stream, mut connection) = opened(&listener);
        receive(&mut stream, &mut connection, usize::MAX, &at_server);
    });
    let mut client = reconnecting(&uri);
    assert_eq!(client.read().expect("a server"), opening([]));
    for text in ["one", "two"] {
        client.send(text).expect("it is open");
    }
    assert_eq!(
        client.read().expect("a server again"),
        opening(["one", "two"])
    );
    assert_eq!(client.unconfirmed(), 0);
    client.close(CloseCode::NORMAL).expect("no reason");
    assert_eq!(client.read().expect("it is closed"), None);
    joined("the server", server);
    assert_eq!(*received.lock().expect("no panic"), [""; 0]);
}

fn opening<const COUNT: usize>(unconfirmed: [&str; COUNT]) -> Option<Received> {
    let unconfirmed = unconfirmed.map(OwnedMessage::from).to_vec();
    Some(Received::Opened { unconfirmed })
}

#[test]
fn client_stops_at_401_403_and_404() {
    for status in ["401 Unauthorized", "403 Forbidden", "404 Not Found"] {
        let (listener, uri) = listening();
        let server = thread::spawn(move || respond(&listener, status));
        let error = reconnecting(&uri).read().expect_err("refused");
        let refusal = error.refusal().expect("an HTTP response");
        assert!(status.starts_with(&refusal.response.status.to_string()));
        joined("the server", server);
    }
}

/// Answers one request with another status than 101.
fn respond(listener: &TcpListener, status: &str) {
    let mut stream = accepted(listener);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request");
        head.push(byte[0]);
    }
    let response = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(response.as_bytes()).expect("it is read");
}

#[test]
fn normal_closure_by_the_server_ends_the_client_and_a_restart_does_not() {
    let (listener, uri) = listening();
    let server = thread::spawn(move || {
        for code in [CloseCode::GOING_AWAY, CloseCode::NORMAL] {
            let (mut stream, mut connection) = opened(&listener);
            let mut close = Vec::new();
            connection.close(code, &mut close).expect("it is open");
            stream.write_all(&close).expect("it is read");
            // The client's Close.
            while stream.read(&mut [0; 100]).is_ok_and(|count| count > 0) {}
        }
    });
    let mut client = reconnecting(&uri);
    assert_eq!(client.read().expect("a server"), opening([]));
    assert_eq!(client.read().expect("a server again"), opening([]));
    assert_eq!(client.read().expect("it was closed"), None);
    assert_eq!(client.ended().map(|ended| ended.code()), Some(1000));
    joined("the server", server);
}

#[test]
fn message_beyond_the_limit_of_unconfirmed_bytes_is_not_sent() {
    let (listener, uri) = listening();
    let server = thread::spawn(move || {
        let (mut stream, _) = opened(&listener);
        _ = stream.read_to_end(&mut Vec::new());
    });
    let mut client = reconnecting(&uri).unconfirmed_bytes_max(64 + 3);
    assert_eq!(client.read().expect("a server"), opening([]));
    let sent = client.send("four");
    assert!(
        matches!(sent, Err(ClientError::TooMuchUnconfirmed)),
        "{sent:?}"
    );
    client.send("two").expect("room");
    let sent = client.send("");
    assert!(
        matches!(sent, Err(ClientError::TooMuchUnconfirmed)),
        "{sent:?}"
    );
    drop(client);
    joined("the server", server);
}

#[test]
fn silent_server_is_noticed_by_keep_alive_and_another_connection_is_opened() {
    let (listener, uri) = listening();
    let server = thread::spawn(move || {
        let (silent, _) = opened(&listener);
        let (mut stream, mut connection) = opened(&listener);
        receive(&mut stream, &mut connection, usize::MAX, &Mutex::default());
        drop(silent);
    });
    let (silence, answer) = (Duration::from_millis(30), Duration::from_millis(300));
    let builder = Client::builder(&uri).keep_alive(silence, answer);
    let millisecond = Duration::from_millis(1);
    let mut client =
        ReconnectingClient::new(builder).backoff(Backoff::with_bounds(millisecond, millisecond));
    assert_eq!(client.read().expect("a server"), opening([]));
    assert_eq!(client.read().expect("a server again"), opening([]));
    client.close(CloseCode::NORMAL).expect("no reason");
    joined("the server", server);
}
