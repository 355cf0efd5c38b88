//! Web servers that receive webhooks: over http, over https.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

#[cfg(feature = "tls")]
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use yamabiko_testing::waiting::TIMEOUT;

/// A request as the web server receives it.
#[derive(Debug)]
pub struct Received {
    /// The lines of the head.
    pub head: Vec<String>,
    pub body: String,
    /// The number of the connection, from 0.
    pub connection: usize,
}

/// A web server that answers each request with the next of these statuses, and with 200 when they are used up.
pub fn web_server(statuses: &'static [u16]) -> (String, Receiver<Received>) {
    let mut statuses = statuses.iter().copied();
    web_server_that(move |stream: &mut dyn Write| answer(stream, statuses.next().unwrap_or(200)))
}

/// A web server that answers each request so. After an error it closes the connection.
pub fn web_server_that(answers: impl Answers) -> (String, Receiver<Received>) {
    let (address, requests) = start(|stream| stream, answers);
    (url_of(address), requests)
}

/// What a web server does when it has read a request.
pub trait Answers: FnMut(&mut dyn Write) -> io::Result<()> + Send + 'static {}

impl<A: FnMut(&mut dyn Write) -> io::Result<()> + Send + 'static> Answers for A {}

fn answer(stream: &mut dyn Write, status: u16) -> io::Result<()> {
    let response = format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nok");
    stream.write_all(response.as_bytes())
}

/// The same over https, at `localhost`. All of its answers are 200.
#[cfg(feature = "tls")]
pub fn https_web_server(config: ServerConfig) -> (String, Receiver<Received>) {
    let config = Arc::new(config);
    let secure = move |stream| {
        let session = ServerConnection::new(config.clone()).expect("settings of TLS");
        StreamOwned::new(session, stream)
    };
    let (address, requests) = start(secure, |stream: &mut dyn Write| answer(stream, 200));
    let url = format!("https://localhost:{}/webhooks?x=1", address.port());
    (url, requests)
}

fn start<S: Read + Write>(
    secure: impl Fn(TcpStream) -> S + Send + 'static,
    mut answers: impl Answers,
) -> (SocketAddr, Receiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for (connection, stream) in listener.incoming().enumerate() {
            let mut stream = secure(stream.expect("a connection"));
            serve(&mut stream, connection, &mut answers, &sender);
        }
    });
    (address, receiver)
}

/// Answers the requests of a connection until it ends.
fn serve(
    stream: &mut (impl Read + Write),
    connection: usize,
    answers: &mut impl Answers,
    sender: &Sender<Received>,
) {
    while let Some(mut received) = read_request(stream) {
        received.connection = connection;
        // First: an answer may be without end.
        if sender.send(received).is_err() {
            break;
        }
        let written = answers(stream);
        if written.and_then(|()| stream.flush()).is_err() {
            break;
        }
    }
}

pub fn url_of(address: SocketAddr) -> String {
    format!("http://{address}/webhooks?x=1")
}

fn read_request(stream: &mut impl Read) -> Option<Received> {
    let mut bytes = Vec::new();
    let end = loop {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
        if bytes.ends_with(b"\r\n\r\n") {
            break bytes.len();
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("ASCII");
    let head: Vec<String> = head.lines().map(str::to_owned).collect();
    let length = field(&head, "content-length")?.parse().expect("a number");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).expect("UTF-8");
    Some(Received {
        head,
        body,
        connection: 0,
    })
}

pub fn field(head: &[String], name: &str) -> Option<String> {
    let fields = head.iter().filter_map(|line| line.split_once(": "));
    let mut found = fields.filter(|(other, _)| other.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.to_owned())
}

impl Received {
    pub fn events(&self) -> Vec<Value> {
        let body: Value = serde_json::from_str(&self.body).expect("JSON");
        assert!(body["time_ms"].is_u64(), "{body}");
        body["events"].as_array().expect("a list").clone()
    }
}

#[track_caller]
pub fn next(receiver: &Receiver<Received>) -> Received {
    receiver.recv_timeout(TIMEOUT).expect("a request")
}

/// The only event of the next request.
#[track_caller]
pub fn next_event(receiver: &Receiver<Received>) -> Value {
    let events = next(receiver).events();
    assert_eq!(events.len(), 1, "{events:?}");
    events[0].clone()
}
