//! The steps of a behaviour. A step is data, so that a failure can name it.
//!
//! A step acts on the current client. [`client`] selects another one, and connects it if it is
//! new. A step that sends does not fail if the server has closed the connection: the steps that
//! expect something decide.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown};
use std::sync::Arc;
use std::time::Duration;

use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::inflate::inflate_message;
use yamabiko_testing::program::Program;
use yamabiko_testing::socket::{Client, Response, frame, upgrade};
use yamabiko_testing::tls::tunnel::Sending;
use yamabiko_testing::tls::{Authority, tunnel};

/// The clients of a behaviour.
pub struct Stage<'p> {
    program: &'p Program,
    clients: BTreeMap<usize, Client>,
    /// How many clients have connected, also those that are gone.
    connected: usize,
    current: usize,
    /// The last HTTP response.
    response: Option<Response>,
}

/// One step of a behaviour.
pub enum Step {
    Select {
        client: usize,
        way: Way,
    },
    Send(Vec<u8>),
    SendInSingleBytes(Vec<u8>),
    /// Sends the bytes again and again, until so many are sent or the socket takes no more.
    Flood {
        bytes: Vec<u8>,
        total: usize,
    },
    /// As `Flood`, and reads meanwhile, until the server ends the connection.
    FloodUntilEnd {
        bytes: Vec<u8>,
    },
    Open {
        path: &'static str,
        fields: &'static str,
    },
    HalfClose,
    Reset,
    HangUp,
    Drain,
    /// Expects a Ping and sends a Pong with its payload.
    AnswerPing,
    Group(Vec<Step>),
    Expect(Expected),
    /// A client ends its TLS handshake, because it does not trust the certificate.
    RefuseCertificate,
}

/// How a client connects.
#[derive(Clone, Copy)]
pub enum Way {
    Usual,
    /// With small socket buffers.
    Narrow,
    /// To the program's Unix socket.
    UnixSocket,
    /// The same; the first byte, a `G`, comes with twenty open descriptors.
    UnixSocketWithDescriptors,
    /// To the last of the program's IP addresses.
    LastAddress,
    /// From 127.0.0.3, the address of a proxy.
    FromProxy,
    /// Over TLS 1.3.
    Tls(Sending),
    /// Over TLS 1.2.
    Tls12,
}

/// What the server has to do next.
pub enum Expected {
    /// The status of the next HTTP response. `head_only`: the request was a HEAD.
    Status {
        code: u16,
        head_only: bool,
    },
    /// A part of the last response's head or body.
    Contains(&'static str),
    /// A part that the last response does not have.
    Lacks(&'static str),
    /// A field that the last response does not have.
    NoField(&'static str),
    Frame {
        opcode: Opcode,
        payload: Vec<u8>,
    },
    /// A Ping with any payload.
    Ping,
    /// A Pong with this payload; skips frames before it.
    PongEventually(&'static str),
    /// A text message that has this part.
    TextWith(&'static str),
    /// As `TextWith`; skips messages before it.
    TextWithEventually(&'static str),
    /// A Close with this code; `None`: without one.
    Close(Option<u16>),
    /// As `Close`; skips frames before it.
    CloseEventually(u16),
    /// The end of the stream, with FIN and without another byte.
    End,
    /// The end of the connection, with FIN or with a reset, after any bytes.
    Gone,
    /// As `Gone`, without another byte.
    GoneUnread,
    /// The first bytes of a TLS record of this type.
    Record(u8),
    /// A TLS alert that is not sealed; `None`: any.
    Alert(Option<u8>),
    /// The server has closed its descriptors of all clients that are gone. They cannot get an answer.
    Forgotten,
}

/// The client that the next steps are about.
pub fn client(client: usize) -> Step {
    let way = Way::Usual;
    Step::Select { client, way }
}

/// As [`client`], with small socket buffers.
pub fn narrow_client(client: usize) -> Step {
    let way = Way::Narrow;
    Step::Select { client, way }
}

/// As [`client`], which connects to the program's Unix socket.
pub fn client_of_the_unix_socket(client: usize) -> Step {
    let way = Way::UnixSocket;
    Step::Select { client, way }
}

/// As [`client_of_the_unix_socket`], which has sent a `G` and twenty open descriptors with it.
pub fn client_with_descriptors(client: usize) -> Step {
    let way = Way::UnixSocketWithDescriptors;
    Step::Select { client, way }
}

/// As [`client`], which connects to the last IP address that the program listens on.
pub fn client_of_the_last_address(client: usize) -> Step {
    let way = Way::LastAddress;
    Step::Select { client, way }
}

/// As [`client`], which connects from 127.0.0.3.
pub fn proxy_client(client: usize) -> Step {
    let way = Way::FromProxy;
    Step::Select { client, way }
}

/// As [`client`], over TLS 1.3.
pub fn tls_client(client: usize) -> Step {
    over_tls(client, Sending::USUAL)
}

/// As [`client`], over TLS 1.2.
pub fn tls_1_2_client(client: usize) -> Step {
    let way = Way::Tls12;
    Step::Select { client, way }
}

/// As [`tls_client`], whose records have one byte each.
pub fn tls_client_with_records_of_one_byte(client: usize) -> Step {
    let record_bytes_max = 1;
    over_tls(
        client,
        Sending {
            record_bytes_max,
            ..Sending::USUAL
        },
    )
}

/// As [`tls_client`], which sends each byte of its records by itself.
pub fn tls_client_in_single_bytes(client: usize) -> Step {
    let write_bytes_max = 1;
    over_tls(
        client,
        Sending {
            write_bytes_max,
            ..Sending::USUAL
        },
    )
}

/// As [`tls_client`], which ends TCP without a close_notify.
pub fn tls_client_without_close_notify(client: usize) -> Step {
    let close_notify = false;
    over_tls(
        client,
        Sending {
            close_notify,
            ..Sending::USUAL
        },
    )
}

/// As [`tls_client`], which changes a bit in the record of these bytes.
pub fn tls_client_that_breaks(client: usize, bytes: &'static [u8]) -> Step {
    let broken = Some(bytes);
    over_tls(
        client,
        Sending {
            broken,
            ..Sending::USUAL
        },
    )
}

fn over_tls(client: usize, sending: Sending) -> Step {
    let way = Way::Tls(sending);
    Step::Select { client, way }
}

/// A client that does not trust the server's certificate.
pub fn certificate_is_not_accepted() -> Step {
    Step::RefuseCertificate
}

pub fn send(bytes: impl AsRef<[u8]>) -> Step {
    Step::Send(bytes.as_ref().to_vec())
}

pub fn in_single_bytes(bytes: impl AsRef<[u8]>) -> Step {
    Step::SendInSingleBytes(bytes.as_ref().to_vec())
}

pub fn flood(bytes: impl AsRef<[u8]>, total: usize) -> Step {
    let bytes = bytes.as_ref().to_vec();
    Step::Flood { bytes, total }
}

pub fn flood_until_end(bytes: impl AsRef<[u8]>) -> Step {
    let bytes = bytes.as_ref().to_vec();
    Step::FloodUntilEnd { bytes }
}

/// The opening handshake, which the server accepts.
pub fn open(path: &'static str) -> Step {
    Step::Open { path, fields: "" }
}

/// As [`open`], with further fields.
pub fn open_with(path: &'static str, fields: &'static str) -> Step {
    Step::Open { path, fields }
}

/// Sends FIN and can read on.
pub fn half_close() -> Step {
    Step::HalfClose
}

/// Sends RST.
pub fn reset() -> Step {
    Step::Reset
}

/// Closes the socket.
pub fn hang_up() -> Step {
    Step::HangUp
}

/// Reads until no byte arrives for a moment. The bytes are kept.
pub fn drain() -> Step {
    Step::Drain
}

pub fn group(steps: Vec<Step>) -> Step {
    Step::Group(steps)
}

/// For each place at which the bytes can be cut in two, a new client that sends them in two
/// pieces. `then` follows for each.
pub fn at_every_cut(bytes: impl AsRef<[u8]>, then: impl Fn() -> Vec<Step>) -> Step {
    let bytes = bytes.as_ref();
    let steps = (1..bytes.len()).flat_map(|cut| {
        let (first, second) = bytes.split_at(cut);
        let mut steps = vec![client(cut), send(first), send(second)];
        steps.extend(then());
        steps.push(hang_up());
        steps
    });
    group(steps.collect())
}

pub fn status(code: u16) -> Step {
    let head_only = false;
    Step::Expect(Expected::Status { code, head_only })
}

pub fn status_of_head(code: u16) -> Step {
    let head_only = true;
    Step::Expect(Expected::Status { code, head_only })
}

pub fn contains(part: &'static str) -> Step {
    Step::Expect(Expected::Contains(part))
}

pub fn lacks(part: &'static str) -> Step {
    Step::Expect(Expected::Lacks(part))
}

pub fn no_field(name: &'static str) -> Step {
    Step::Expect(Expected::NoField(name))
}

/// A status, after which the server closes the connection.
pub fn refused(code: u16) -> Step {
    group(vec![status(code), contains("Connection: close"), end()])
}

pub fn text(payload: impl AsRef<[u8]>) -> Step {
    expect_frame(Opcode::Text, payload)
}

pub fn binary(payload: impl AsRef<[u8]>) -> Step {
    expect_frame(Opcode::Binary, payload)
}

pub fn pong(payload: impl AsRef<[u8]>) -> Step {
    expect_frame(Opcode::Pong, payload)
}

pub fn pong_eventually(payload: &'static str) -> Step {
    Step::Expect(Expected::PongEventually(payload))
}

pub fn ping() -> Step {
    Step::Expect(Expected::Ping)
}

/// Expects a Ping and sends a Pong with its payload.
pub fn answer_ping() -> Step {
    Step::AnswerPing
}

fn expect_frame(opcode: Opcode, payload: impl AsRef<[u8]>) -> Step {
    let payload = payload.as_ref().to_vec();
    Step::Expect(Expected::Frame { opcode, payload })
}

pub fn text_with(part: &'static str) -> Step {
    Step::Expect(Expected::TextWith(part))
}

pub fn text_with_eventually(part: &'static str) -> Step {
    Step::Expect(Expected::TextWithEventually(part))
}

pub fn close(code: u16) -> Step {
    Step::Expect(Expected::Close(Some(code)))
}

pub fn close_without_code() -> Step {
    Step::Expect(Expected::Close(None))
}

pub fn close_eventually(code: u16) -> Step {
    Step::Expect(Expected::CloseEventually(code))
}

/// The server fails the connection: a Close with this code, then the end.
pub fn fails(code: u16) -> Step {
    group(vec![close(code), end()])
}

pub fn end() -> Step {
    Step::Expect(Expected::End)
}

pub fn gone() -> Step {
    Step::Expect(Expected::Gone)
}

pub fn gone_without_a_byte() -> Step {
    Step::Expect(Expected::GoneUnread)
}

/// The server's part of a TLS handshake begins.
pub fn server_hello() -> Step {
    Step::Expect(Expected::Record(0x16))
}

pub fn alert() -> Step {
    Step::Expect(Expected::Alert(None))
}

pub fn alert_of(description: u8) -> Step {
    Step::Expect(Expected::Alert(Some(description)))
}

/// All clients that are gone are forgotten.
pub fn forgotten() -> Step {
    Step::Expect(Expected::Forgotten)
}

/// Descriptors of the program that no client has: connections to other servers, and files while they are read.
const SPARE_DESCRIPTORS: usize = 8;

impl Stage<'_> {
    pub fn new(program: &Program) -> Stage<'_> {
        Stage {
            program,
            clients: BTreeMap::new(),
            connected: 0,
            current: 0,
            response: None,
        }
    }

    fn client(&mut self) -> &mut Client {
        let (program, connected) = (self.program, &mut self.connected);
        self.clients.entry(self.current).or_insert_with(|| {
            *connected += 1;
            Way::Usual.connect(program)
        })
    }

    fn select(&mut self, client: usize, way: Way) {
        self.current = client;
        let (program, connected) = (self.program, &mut self.connected);
        self.clients.entry(client).or_insert_with(|| {
            *connected += 1;
            way.connect(program)
        });
    }

    fn remove_client(&mut self) -> Client {
        self.client();
        let client = self.clients.remove(&self.current);
        client.expect("it was there, or is connected now")
    }

    /// The program never has more descriptors than one for each client, at whatever step.
    fn descriptors_are_within_the_bound(&self) {
        self.program
            .has_at_most_descriptors_of(self.connected + SPARE_DESCRIPTORS);
    }

    /// Head and body of the last response.
    fn last_response(&self) -> String {
        let response = self.response.as_ref().expect("a status was expected");
        response.head.clone() + &String::from_utf8_lossy(&response.body)
    }

    fn open(&mut self, path: &str, fields: &str) {
        let client = self.client();
        client.send(upgrade(path, fields));
        let head = client.read_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        client.extension = head
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "))
            .map(str::to_owned);
    }
}

impl Way {
    fn connect(self, program: &Program) -> Client {
        let last = program.addresses.last().unwrap_or(&program.address);
        match self {
            Way::Usual => Client::connect(program.address),
            Way::Narrow => Client::connect_narrow(program.address),
            #[cfg(unix)]
            Way::UnixSocket => Client::connect_unix(&program.socket),
            #[cfg(not(unix))]
            Way::UnixSocket => panic!("{} is for Unix", program.socket.display()),
            #[cfg(target_os = "linux")]
            Way::UnixSocketWithDescriptors => connect_with_descriptors(&program.socket),
            #[cfg(not(target_os = "linux"))]
            Way::UnixSocketWithDescriptors => panic!("descriptors are sent on Linux only"),
            Way::LastAddress => Client::connect(*last),
            Way::FromProxy => Client::connect_from(PROXY.into(), program.address),
            Way::Tls(sending) => {
                let config = authority(program).client();
                tunnel::client_with(program.address, config, sending)
            }
            Way::Tls12 => {
                let config = authority(program).client_of_version_1_2();
                tunnel::client(program.address, config)
            }
        }
    }
}

/// Sends a `G` and twenty descriptors (unix(7), SCM_RIGHTS).
#[cfg(target_os = "linux")]
fn connect_with_descriptors(path: &std::path::Path) -> Client {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::mem::MaybeUninit;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    let stream = UnixStream::connect(path).expect("the server accepts");
    let other = stream.try_clone().expect("a descriptor");
    let descriptors = [other.as_fd(); 20];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(20))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let first = [std::io::IoSlice::new(b"G")];
    let sent = sendmsg(&stream, &first, &mut ancillary, SendFlags::empty());
    assert_eq!(sent, Ok(1));
    Client::of_descriptor(stream.into())
}

/// The authority of a program that speaks TLS.
fn authority(program: &Program) -> &Authority {
    let folder = program.tls.as_ref();
    &folder.expect("the program has a certificate").authority
}

/// The bytes at the beginning of a TLS record.
fn read_record_head<const LENGTH: usize>(client: &mut Client) -> [u8; LENGTH] {
    let mut head = [0; LENGTH];
    let read = client.stream.read_exact(&mut head);
    read.expect("a record");
    head
}

/// Every address of 127.0.0.0/8 is one of the machine, on Linux.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

impl Step {
    /// Whether the server has to do something in this step, or after it, that is checked.
    pub fn expects(&self) -> bool {
        match self {
            Step::Open { .. }
            | Step::AnswerPing
            | Step::FloodUntilEnd { .. }
            | Step::Expect(_)
            | Step::RefuseCertificate => true,
            Step::Group(steps) => steps.iter().any(Step::expects),
            Step::Select { .. }
            | Step::Send(_)
            | Step::SendInSingleBytes(_)
            | Step::Flood { .. }
            | Step::HalfClose
            | Step::Reset
            | Step::HangUp
            | Step::Drain => false,
        }
    }

    /// Fails with an assertion.
    pub fn execute(&self, stage: &mut Stage<'_>) {
        self.act(stage);
        stage.descriptors_are_within_the_bound();
    }

    fn act(&self, stage: &mut Stage<'_>) {
        match self {
            Step::Select { client, way } => stage.select(*client, *way),
            Step::Send(bytes) => {
                let _ = stage.client().stream.write_all(bytes);
            }
            Step::SendInSingleBytes(bytes) => {
                let stream = &mut stage.client().stream;
                let _ = bytes.iter().try_for_each(|byte| stream.write_all(&[*byte]));
            }
            Step::Flood { bytes, total } => flood_client(stage.client(), bytes, *total),
            Step::FloodUntilEnd { bytes } => flood_client_until_end(stage.client(), bytes),
            Step::Open { path, fields } => stage.open(path, fields),
            Step::HalfClose => {
                let _ = stage.client().stream.shutdown(Shutdown::Write);
            }
            Step::Reset => stage.remove_client().reset(),
            Step::HangUp => drop(stage.remove_client()),
            Step::Drain => stage.client().read_until_blocked(),
            Step::AnswerPing => {
                let payload = read_ping(stage.client());
                stage.client().send(frame(Opcode::Pong, &payload));
            }
            Step::Group(steps) => {
                for step in steps {
                    step.execute(stage);
                }
            }
            Step::Expect(expected) => expected.check(stage),
            Step::RefuseCertificate => {
                stage.connected += 1;
                let config = Arc::new(Authority::new().client());
                let refused = tunnel::handshake(stage.program.address, "localhost", &config);
                assert!(refused.is_err(), "the certificate is accepted");
            }
        }
    }
}

impl Expected {
    fn check(&self, stage: &mut Stage<'_>) {
        match self {
            Expected::Status { code, head_only } => {
                let response = stage.client().read_one_response(*head_only);
                assert_eq!(response.status, *code, "{}", response.head);
                stage.response = Some(response);
            }
            Expected::Contains(part) => {
                let response = stage.last_response();
                assert!(response.contains(part), "{response}");
            }
            Expected::Lacks(part) => {
                let response = stage.last_response();
                assert!(!response.contains(part), "{response}");
            }
            Expected::NoField(name) => {
                let response = stage.response.as_ref().expect("a status was expected");
                assert_eq!(response.field(name), None);
            }
            Expected::Frame { opcode, payload } => {
                let frame = stage.client().read_frame();
                let sent = match frame.compressed {
                    true => &inflate_message(&[], &frame.payload).bytes,
                    false => &frame.payload,
                };
                assert!(frame.opcode == *opcode && sent == payload, "{frame:?}");
            }
            Expected::Ping => {
                read_ping(stage.client());
            }
            Expected::PongEventually(payload) => {
                let is_expected = |client: &mut Client| {
                    let frame = client.read_frame();
                    frame.opcode == Opcode::Pong && frame.payload == payload.as_bytes()
                };
                while !is_expected(stage.client()) {}
            }
            Expected::TextWith(part) => {
                let text = stage.client().read_text();
                assert!(text.contains(part), "{text}");
            }
            Expected::TextWithEventually(part) => {
                while !stage.client().read_text().contains(part) {}
            }
            Expected::Close(code) => {
                let (sent, reason) = stage.client().read_close();
                assert_eq!(sent, code.unwrap_or(0), "{reason}");
            }
            Expected::CloseEventually(code) => {
                let (sent, reason) = stage.client().read_until_close();
                assert_eq!(sent, *code, "{reason}");
            }
            Expected::End => stage.client().expect_end(),
            Expected::Gone => stage.client().expect_gone(),
            Expected::GoneUnread => {
                let read = stage.client().stream.read(&mut [0; 16]);
                let is_gone = match &read {
                    Ok(count) => *count == 0,
                    Err(error) => error.kind() == ErrorKind::ConnectionReset,
                };
                assert!(is_gone, "{read:?}");
            }
            Expected::Forgotten => stage
                .program
                .closes_all_descriptors_but(stage.clients.len()),
            Expected::Record(kind) => {
                let head = read_record_head::<5>(stage.client());
                assert_eq!(head[0], *kind, "{head:?}");
            }
            Expected::Alert(description) => {
                let record = read_record_head::<7>(stage.client());
                assert_eq!(
                    (record[0], &record[3..5]),
                    (0x15, &[0, 2][..]),
                    "{record:?}"
                );
                assert_eq!(record[6], description.unwrap_or(record[6]));
            }
        }
    }
}

/// The payload of the next frame, which must be a Ping.
fn read_ping(client: &mut Client) -> Vec<u8> {
    let frame = client.read_frame();
    assert_eq!(frame.opcode, Opcode::Ping, "{frame:?}");
    frame.payload
}

/// Writes without waiting for the server: a socket that takes nothing for this time is full.
const FULL_AFTER: Duration = Duration::from_millis(100);

fn flood_client(client: &mut Client, bytes: &[u8], total: usize) {
    let stream = &mut client.stream;
    stream.set_write_timeout(Some(FULL_AFTER)).expect("open");
    let many = bytes.repeat((64 << 10) / bytes.len() + 1);
    let mut left = total;
    while left > 0 {
        match stream.write(&many[..many.len().min(left)]) {
            Ok(count) => left -= count,
            Err(_) => break,
        }
    }
}

/// At most this many bytes: the server must have ended the connection before.
const FLOOD_BYTES_MAX: usize = 1 << 30;

fn flood_client_until_end(client: &mut Client, bytes: &[u8]) {
    let stream = &mut client.stream;
    stream.set_nonblocking(true).expect("open");
    let many = bytes.repeat((64 << 10) / bytes.len() + 1);
    let mut buffer = vec![0; 64 << 10];
    let (mut sent, mut offset) = (0, 0);
    loop {
        assert!(sent < FLOOD_BYTES_MAX, "the server takes bytes without end");
        match stream.write(&many[offset..]) {
            Ok(count) => {
                sent += count;
                offset = (offset + count) % many.len();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(_) => break,
        }
        match stream.read(&mut buffer) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => break,
            Ok(0) => break,
            _ => {}
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Select { client, .. } => write!(f, "selects client {client}"),
            Step::Send(bytes) => write!(f, "sends {}", Beginning(bytes)),
            Step::SendInSingleBytes(bytes) => write!(f, "sends {} in bytes", Beginning(bytes)),
            Step::Flood { bytes, .. } => write!(f, "sends many {}", Beginning(bytes)),
            Step::FloodUntilEnd { bytes } => write!(f, "sends {} until the end", Beginning(bytes)),
            Step::Open { path, fields } => write!(f, "opens {path} {fields:?}"),
            Step::HalfClose => f.write_str("sends FIN"),
            Step::Reset => f.write_str("resets"),
            Step::HangUp => f.write_str("closes the socket"),
            Step::Drain => f.write_str("reads"),
            Step::AnswerPing => f.write_str("answers a Ping"),
            Step::Group(steps) => {
                for (index, step) in steps.iter().take(4).enumerate() {
                    write!(f, "{}{step}", if index > 0 { ", " } else { "" })?;
                }
                Ok(())
            }
            Step::Expect(expected) => write!(f, "expects {expected}"),
            Step::RefuseCertificate => f.write_str("does not trust the certificate"),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Status { code, .. } => write!(f, "status {code}"),
            Expected::Contains(part) => write!(f, "{part:?} in the response"),
            Expected::Lacks(part) => write!(f, "no {part:?} in the response"),
            Expected::NoField(name) => write!(f, "no field {name}"),
            Expected::Frame { opcode, payload } => write!(f, "{opcode:?} {}", Beginning(payload)),
            Expected::Ping => f.write_str("a Ping"),
            Expected::PongEventually(payload) => write!(f, "Pong {payload:?}"),
            Expected::TextWith(part) | Expected::TextWithEventually(part) => {
                write!(f, "a text with {part:?}")
            }
            Expected::Close(Some(code)) | Expected::CloseEventually(code) => {
                write!(f, "Close {code}")
            }
            Expected::Close(None) => f.write_str("Close without a code"),
            Expected::End => f.write_str("FIN"),
            Expected::Gone => f.write_str("the end"),
            Expected::GoneUnread => f.write_str("the end without a byte"),
            Expected::Record(kind) => write!(f, "a TLS record of type {kind}"),
            Expected::Forgotten => f.write_str("no descriptors of clients that are gone"),
            Expected::Alert(None) => f.write_str("a TLS alert"),
            Expected::Alert(Some(description)) => write!(f, "the TLS alert {description}"),
        }
    }
}

/// The first bytes, for a person.
struct Beginning<'a>(&'a [u8]);

impl fmt::Display for Beginning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(40)];
        write!(f, "{} bytes \"{}\"", self.0.len(), shown.escape_ascii())
    }
}
