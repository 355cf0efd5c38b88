//! The opening handshake of each library with the same bytes, without a socket.
//!
//! | row | begins with | ends with |
//! |---|---|---|
//! | server, read the head | the bytes of a browser's request | its fields, found and checked as HTTP |
//! | server, request to 101 | the same | a connection, and the bytes of the response |
//! | client, request and 101 | the address and a nonce | the bytes of the request; then, from those of the response, a connection |
//!
//! A library with a `–` has no such thing: httparse knows no handshake, the other libraries
//! do not show the first step alone, and most clients draw the nonce themselves, so that no
//! response can be ready for them. fastwebsockets leaves the handshake to hyper, and
//! web-socket to its caller.
//!
//! tungstenite and the client row of it include the parsing of the address, as they take
//! it as a text; yamabiko's too.

use std::hint::black_box;

use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use yamabiko::websocket::Limits;
use yamabiko::websocket::handshake::{
    AcceptOptions, ClientHandshake, HeadLimits, RequestReader, Upgrade, WebSocketUri,
};

use crate::at_once::at_once;
use crate::wire::Script;

/// Does one handshake.
pub type Open = fn();

/// The libraries of a row, in the order of the table.
pub const LIBRARIES: [&str; 5] = [
    "yamabiko",
    "httparse",
    "tungstenite",
    "tokio-websockets",
    "sockudo-ws",
];

/// A row's name, and the handshake of each library that has it.
pub type Row = (&'static str, [Option<Open>; LIBRARIES.len()]);

/// All rows.
pub const ROWS: [Row; 3] = [
    (
        "server, read the head",
        [Some(yamabiko_head), Some(httparse_head), None, None, None],
    ),
    (
        "server, request to 101",
        [
            Some(yamabiko_server),
            None,
            Some(tungstenite_server),
            Some(tokio_websockets_server),
            Some(sockudo_server),
        ],
    ),
    (
        "client, request and 101",
        [
            Some(yamabiko_client),
            None,
            Some(tungstenite_client),
            None,
            None,
        ],
    ),
];

fn yamabiko_head() {
    let mut reader = RequestReader::new(HeadLimits::default());
    let read = reader.read(black_box(REQUEST));
    assert!(read.as_ref().is_ok_and(|read| read.is_some()));
    black_box(&read);
}

fn httparse_head() {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(black_box(REQUEST));
    assert!(parsed.is_ok_and(|parsed| parsed.is_complete()));
    black_box(&request);
}

fn yamabiko_server() {
    let mut reader = RequestReader::new(HeadLimits::default());
    let read = reader
        .read(black_box(REQUEST))
        .expect("the request is legal");
    let (head, _) = read.expect("it is all there");
    let upgrade = Upgrade::check(&head).expect("it asks for a WebSocket");
    let accepted = upgrade
        .accept(AcceptOptions::default())
        .expect("nothing is chosen");
    let mut output = Vec::new();
    accepted.write_response(&mut output);
    black_box((accepted.connection(Limits::default()), output));
}

fn tungstenite_server() {
    let accepted = tungstenite::accept(Script::new(black_box(REQUEST)));
    let socket = accepted.expect("the request is legal");
    assert!(black_box(socket).get_ref().written() > 100);
}

fn tokio_websockets_server() {
    let accepted =
        at_once(tokio_websockets::ServerBuilder::new().accept(Script::new(black_box(REQUEST))));
    let (_, socket) = accepted.expect("the request is legal");
    assert!(black_box(socket).get_ref().written() > 100);
}

fn sockudo_server() {
    let config = sockudo_ws::Config::builder()
        .auto_ping(false)
        .idle_timeout(0)
        .build();
    let mut script = Script::new(black_box(REQUEST));
    let opened = at_once(sockudo_ws::handshake::server_handshake(&mut script));
    let opened = opened.expect("the request is legal");
    assert!(script.written() > 100);
    let socket = sockudo_ws::WebSocketStream::server(script, config);
    black_box((socket, opened));
}

fn yamabiko_client() {
    let uri = WebSocketUri::parse(black_box(ADDRESS)).expect("the address is legal");
    let mut handshake = ClientHandshake::new(&uri, *NONCE);
    let mut output = Vec::new();
    handshake.write_request(&mut output);
    let received = handshake.receive(black_box(RESPONSE));
    let established = received
        .expect("the response is legal")
        .expect("it is all there");
    let connection = established.connection(Limits::default(), || [0; 4]);
    black_box((connection, output));
}

fn tungstenite_client() {
    let request = black_box(ADDRESS).into_client_request();
    let mut request = request.expect("the address is legal");
    let key = HeaderValue::from_static(KEY);
    request.headers_mut().insert("Sec-WebSocket-Key", key);
    let opened = tungstenite::client(request, Script::new(black_box(RESPONSE)));
    let (socket, _) = opened.unwrap_or_else(|error| panic!("{error}"));
    assert!(black_box(socket).get_ref().written() > 100);
}

const ADDRESS: &str = "ws://server.example.com:8080/chat?room=echo";

const REQUEST: &[u8] = b"GET /chat?room=echo HTTP/1.1\r\n\
    Host: server.example.com:8080\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: */*\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Origin: http://server.example.com:8080\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Connection: keep-alive, Upgrade\r\n\
    Cookie: session=4f1c2b9a7d6e5f40918273645a6b7c8d; theme=dark\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    Upgrade: websocket\r\n\r\n";

const NONCE: &[u8; 16] = b"the sample nonce";
/// The same in Base64.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\
    Date: Sat, 21 Nov 2026 12:00:00 GMT\r\n\
    Server: example\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
