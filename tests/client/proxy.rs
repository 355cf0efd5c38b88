//! The client behind an HTTP proxy, which is a thread with a `TcpListener`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use yamabiko::client::{Client, ClientError, CloseCode, OwnedMessage};
use yamabiko::websocket::handshake::{Proxy, TunnelError, accept_key};
use yamabiko_testing::waiting::{accepted, joined};

fn listening() -> (TcpListener, Proxy) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let proxy = Proxy::parse(&format!("http://aki:51d2@{address}")).expect("a proxy");
    (listener, proxy)
}

/// The head of a request.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("a head of ASCII")
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# then the client SHOULD connect to that proxy and ask it to open a TCP
//# connection to the host given by /host/ and the port given by /port/.
#[test]
fn client_asks_the_proxy_for_a_way_to_the_server_and_speaks_websocket_through_it() {
    let (listener, proxy) = listening();
    let server = thread::spawn(move || {
        let mut stream = accepted(&listener);
        let request = head(&mut stream);
        assert_eq!(
            request,
            "CONNECT name.invalid:8080 HTTP/1.1\r\nHost: name.invalid:8080\r\n\
             Proxy-Authorization: Basic YWtpOjUxZDI=\r\n\r\n"
        );
        let response = b"HTTP/1.1 200 Connection established\r\n\r\n";
        stream.write_all(response).expect("it is read");
        let request = head(&mut stream);
        assert!(request.starts_with("GET /room HTTP/1.1\r\nHost: name.invalid:8080\r\n"));
        assert!(
            !request.contains("Proxy-"),
            "credentials for the server: {request}"
        );
        let key = request.split("Sec-WebSocket-Key: ").nth(1).expect("a key");
        let key = accept_key(key.lines().next().expect("a line"));
        let accept = core::str::from_utf8(&key).expect("ASCII");
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(response.as_bytes()).expect("it is read");
        stream
            .write_all(b"\x81\x02hi\x88\x02\x03\xe8")
            .expect("it is read");
        _ = stream.read(&mut [0; 100]);
    });
    // No resolver knows this name: the proxy resolves it.
    let builder = Client::builder("ws://name.invalid:8080/room").proxy(proxy);
    let mut client = builder.connect().expect("a server");
    assert_eq!(
        client.read().expect("a text"),
        Some(OwnedMessage::from("hi"))
    );
    assert_eq!(client.read().expect("a Close"), None);
    let code = client.ended().and_then(|ended| ended.received?.code());
    assert_eq!(code, Some(CloseCode::NORMAL));
    joined("the server", server);
}

#[test]
fn response_of_a_proxy_that_refuses_is_reported() {
    let (listener, proxy) = listening();
    let server = thread::spawn(move || {
        let mut stream = accepted(&listener);
        head(&mut stream);
        let response = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(response).expect("it is read");
    });
    let error = Client::builder("ws://name.invalid/").proxy(proxy).connect();
    let Err(ClientError::Proxy(TunnelError::Refused(response))) = error else {
        panic!("{error:?}");
    };
    assert_eq!(response.status, 407);
    joined("the server", server);
}
