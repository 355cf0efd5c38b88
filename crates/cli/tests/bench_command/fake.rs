//! A WebSocket server whose reaction to each message is part of a test.
//!
//! One thread for each connection reads. For each message it takes the one lock and calls
//! the test's function, which writes to any members. Reading is yamabiko's core; frames are
//! written as the test gives them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use yamabiko::websocket::deflate::DeflateConfig;
use yamabiko::websocket::handshake::{AcceptOptions, HeadLimits, RequestReader, Upgrade};
use yamabiko::websocket::{Connection, Event, Limits};

/// A server on a free port, until the process ends.
pub struct Fake {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// The reaction to a message of a member.
type Behaviour = Box<dyn FnMut(&mut Members, usize, &[u8]) + Send>;

struct State {
    members: Members,
    behaviour: Behaviour,
    peers: Vec<String>,
    requests: Vec<String>,
    pongs: usize,
    /// Accepts permessage-deflate. The test then compresses the messages.
    deflate: Option<DeflateConfig>,
}

/// The members in the order of the load's numbers, and frames to them.
pub struct Members {
    streams: Vec<Option<TcpStream>>,
    kept: Vec<u8>,
}

impl Fake {
    /// Calls `behaviour` with each message and the member that sent it. The tests open
    /// connections one after the other, so that members have the load's numbers.
    pub fn start(behaviour: impl FnMut(&mut Members, usize, &[u8]) + Send + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State {
            members: Members {
                streams: Vec::new(),
                kept: Vec::new(),
            },
            behaviour: Box::new(behaviour),
            peers: Vec::new(),
            requests: Vec::new(),
            pongs: 0,
            deflate: None,
        }));
        let fake = Fake {
            address,
            state: Arc::clone(&state),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                thread::spawn(move || serve(stream, &state));
            }
        });
        fake
    }

    /// Makes the server accept permessage-deflate.
    pub fn compressing(self) -> Fake {
        self.state.lock().expect("sound").deflate = Some(DeflateConfig::default());
        self
    }

    /// The URL, and the option that opens connections in order.
    pub fn url(&self) -> String {
        format!("ws://{}/ --opening-at-once 1", self.address)
    }

    /// The IP addresses of all connections.
    pub fn peers(&self) -> Vec<String> {
        self.state.lock().expect("sound").peers.clone()
    }

    /// The heads of all requests.
    pub fn requests(&self) -> Vec<String> {
        self.state.lock().expect("sound").requests.clone()
    }

    /// The number of pongs that have arrived.
    pub fn pongs(&self) -> usize {
        self.state.lock().expect("sound").pongs
    }
}

impl Members {
    /// All numbers.
    pub fn numbers(&self) -> std::ops::Range<usize> {
        0..self.streams.len()
    }

    /// Sends a text message.
    pub fn text(&mut self, member: usize, payload: &[u8]) {
        self.frame(member, true, 0x1, payload);
    }

    /// Sends a frame with these bits. A member that is gone is ignored.
    pub fn frame(&mut self, member: usize, fin: bool, opcode: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).expect("short messages");
        assert!(length < 126);
        let mut frame = vec![u8::from(fin) << 7 | opcode, length];
        frame.extend_from_slice(payload);
        if let Some(Some(stream)) = self.streams.get_mut(member) {
            let _ = stream.write_all(&frame);
        }
    }

    /// Ends TCP without a Close.
    pub fn hang_up(&mut self, member: usize) {
        if let Some(stream) = self.streams.get_mut(member).and_then(Option::take) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Holds a payload back.
    pub fn keep(&mut self, payload: &[u8]) {
        self.kept = payload.to_vec();
    }

    /// The payload that was held back.
    pub fn kept(&self) -> Vec<u8> {
        self.kept.clone()
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let Some(member) = open(&mut stream, state) else {
        return;
    };
    let mut connection = Connection::server(Limits::default());
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        let mut input = &mut bytes[..count];
        let mut replies = Vec::new();
        while let Ok(Some(event)) = connection.receive(&mut input, &mut replies) {
            let mut state = state.lock().expect("sound");
            let State {
                members,
                behaviour,
                pongs,
                ..
            } = &mut *state;
            match event {
                Event::Text(text) => behaviour(members, member, text.as_bytes()),
                Event::Pong(_) => *pongs += 1,
                Event::Close(_) => members.hang_up(member),
                _ => {}
            }
        }
    }
}

fn open(stream: &mut TcpStream, state: &Mutex<State>) -> Option<usize> {
    let mut head = Vec::new();
    let mut reader = RequestReader::new(HeadLimits::default());
    loop {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).ok().filter(|&count| count > 0)?;
        head.extend_from_slice(&bytes[..count]);
        let Some((request, _)) = reader.read(&head).expect("a request") else {
            continue;
        };
        let upgrade = Upgrade::check(&request).expect("an upgrade");
        let mut state = state.lock().expect("sound");
        let mut options = AcceptOptions::default();
        if let Some(config) = state.deflate {
            options = options.deflate(config);
        }
        let mut response = Vec::new();
        let accepted = upgrade.accept(options).expect("a response");
        accepted.write_response(&mut response);
        state.peers.push(stream.peer_addr().ok()?.ip().to_string());
        state
            .requests
            .push(String::from_utf8_lossy(&head).into_owned());
        stream.write_all(&response).ok()?;
        state.members.streams.push(Some(stream.try_clone().ok()?));
        return Some(state.members.streams.len() - 1);
    }
}
