//! A WebSocket server that does with each message what a test says.
//!
//! One thread for each connection reads; whoever has a message takes the one
//! lock and lets the test's function write to whom it likes. It speaks the
//! protocol by the crate's own core, but its frames go out as they are told.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use yamabiko::websocket::deflate::DeflateConfig;
use yamabiko::websocket::handshake::{HeadLimits, RequestReader, Upgrade};
use yamabiko::websocket::{Connection, Event, Limits};

/// A server on a port of its own, for as long as the process lives.
pub struct Fake {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// What is done with a message of a member.
type Behaviour = Box<dyn FnMut(&mut Post, usize, &[u8]) + Send>;

struct State {
    post: Post,
    behaviour: Behaviour,
    peers: Vec<String>,
    requests: Vec<String>,
    pongs: usize,
    /// Agrees to permessage-deflate; its messages are then for the test to
    /// compress.
    deflate: Option<DeflateConfig>,
}

/// The members, in the order of the load's numbers, and what may be sent to them.
pub struct Post {
    members: Vec<Option<TcpStream>>,
    kept: Vec<u8>,
}

impl Fake {
    /// `behaviour` is given each message, with the member that sent it. With
    /// these tests connections are opened one after the other, so that members
    /// have the numbers that the load knows them by.
    pub fn start(behaviour: impl FnMut(&mut Post, usize, &[u8]) + Send + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State {
            post: Post {
                members: Vec::new(),
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

    /// From now on it agrees to permessage-deflate.
    pub fn compressing(self) -> Fake {
        self.state.lock().expect("sound").deflate = Some(DeflateConfig::default());
        self
    }

    /// The URL, and the flag that makes members come in order.
    pub fn url(&self) -> String {
        format!("ws://{}/ --opening-at-once 1", self.address)
    }

    /// The IP addresses of all who have connected.
    pub fn peers(&self) -> Vec<String> {
        self.state.lock().expect("sound").peers.clone()
    }

    /// The heads of all requests.
    pub fn requests(&self) -> Vec<String> {
        self.state.lock().expect("sound").requests.clone()
    }

    /// How many pongs have come.
    pub fn pongs(&self) -> usize {
        self.state.lock().expect("sound").pongs
    }
}

impl Post {
    /// All numbers.
    pub fn members(&self) -> std::ops::Range<usize> {
        0..self.members.len()
    }

    /// Sends a text message.
    pub fn text(&mut self, member: usize, payload: &[u8]) {
        self.frame(member, true, 0x1, payload);
    }

    /// Sends a frame with these bits. That the member has gone is its business.
    pub fn frame(&mut self, member: usize, fin: bool, opcode: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).expect("short messages");
        assert!(length < 126);
        let mut frame = vec![u8::from(fin) << 7 | opcode, length];
        frame.extend_from_slice(payload);
        if let Some(Some(stream)) = self.members.get_mut(member) {
            let _ = stream.write_all(&frame);
        }
    }

    /// Ends TCP without a Close.
    pub fn hang_up(&mut self, member: usize) {
        if let Some(stream) = self.members.get_mut(member).and_then(Option::take) {
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
    let Some(member) = shake_hands(&mut stream, state) else {
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
                post,
                behaviour,
                pongs,
                ..
            } = &mut *state;
            match event {
                Event::Text(text) => behaviour(post, member, text.as_bytes()),
                Event::Pong(_) => *pongs += 1,
                Event::Close(_) => post.hang_up(member),
                _ => {}
            }
        }
    }
}

fn shake_hands(stream: &mut TcpStream, state: &Mutex<State>) -> Option<usize> {
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
        let deflate = state
            .deflate
            .and_then(|config| upgrade.choose_deflate(&config));
        let mut answer = Vec::new();
        upgrade
            .write_response(None, deflate.as_ref(), &mut answer)
            .expect("an answer");
        state.peers.push(stream.peer_addr().ok()?.ip().to_string());
        state
            .requests
            .push(String::from_utf8_lossy(&head).into_owned());
        stream.write_all(&answer).ok()?;
        state.post.members.push(Some(stream.try_clone().ok()?));
        return Some(state.post.members.len() - 1);
    }
}
