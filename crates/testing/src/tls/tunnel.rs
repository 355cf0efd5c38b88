//! A client's end of TLS, by rustls' buffered interface, which the library does not use: plain bytes on one
//! socket, TLS on another.

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::socket::{Client, bounded};

/// Performs the handshake for this name.
pub fn handshake(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> Result<(ClientConnection, TcpStream), std::io::Error> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut tls = ClientConnection::new(config.clone(), name).expect("a configuration");
    let mut stream = bounded(TcpStream::connect(address)?);
    stream.set_nodelay(true)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    Ok((tls, stream))
}

/// How a client sends.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// The most bytes of a write to the server.
    pub write_bytes_max: usize,
    /// The most bytes in a record.
    pub record_bytes_max: usize,
    /// Whether it says that nothing follows, before it ends TCP.
    pub close_notify: bool,
    /// The record that contains these bytes alone is broken.
    pub broken: Option<&'static [u8]>,
}

impl Sending {
    pub const USUAL: Sending = Sending {
        write_bytes_max: usize::MAX,
        record_bytes_max: usize::MAX,
        close_notify: true,
        broken: None,
    };
}

/// A client of plain bytes whose bytes go through TLS to the server.
pub fn client(address: SocketAddr, config: ClientConfig) -> Client {
    client_with(address, config, Sending::USUAL)
}

/// The same, which sends in this way.
pub fn client_with(address: SocketAddr, config: ClientConfig, sending: Sending) -> Client {
    let (tls, stream) = handshake(address, "localhost", &Arc::new(config)).expect("a handshake");
    through_with(tls, stream, sending)
}

/// The same, where each write to the server has at most `piece` bytes.
pub fn client_in_pieces(address: SocketAddr, config: ClientConfig, piece: usize) -> Client {
    let (tls, stream) = handshake(address, "localhost", &Arc::new(config)).expect("a handshake");
    through(tls, stream, piece)
}

/// The same on a connection after its handshake.
pub fn through(tls: ClientConnection, stream: TcpStream, piece: usize) -> Client {
    let sending = Sending {
        write_bytes_max: piece,
        ..Sending::USUAL
    };
    through_with(tls, stream, sending)
}

/// Two threads move the bytes. Neither waits while it holds the lock.
fn through_with(tls: ClientConnection, stream: TcpStream, sending: Sending) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let outer = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("accepted");
    let (inner, _) = listener.accept().expect("a client");
    let tls = Arc::new(Mutex::new(tls));
    let (from_server, to_client) = (clone(&stream), clone(&inner));
    let opening = tls.clone();
    thread::spawn(move || open_all(&opening, from_server, to_client));
    thread::spawn(move || seal_all(&tls, inner, stream, sending));
    Client::of(outer)
}

fn open_all(tls: &Mutex<ClientConnection>, mut server: TcpStream, mut client: TcpStream) {
    // What came with the handshake.
    let mut plain = Vec::new();
    let mut buffer = vec![0; 32 << 10];
    let mut received = 0;
    loop {
        let mut bytes = &buffer[..received];
        {
            let mut tls = tls.lock().expect("no panic");
            while !bytes.is_empty() {
                tls.read_tls(&mut bytes).expect("room");
                if tls.process_new_packets().is_err() {
                    break;
                }
                // Ended, or nothing now.
                let _ = tls.reader().read_to_end(&mut plain);
            }
            let _ = tls.reader().read_to_end(&mut plain);
        }
        if client.write_all(&plain).is_err() {
            return;
        }
        plain.clear();
        received = server.read(&mut buffer).unwrap_or(0);
        if received == 0 {
            let _ = client.shutdown(Shutdown::Write);
            return;
        }
    }
}

fn seal_all(
    tls: &Mutex<ClientConnection>,
    mut client: TcpStream,
    mut server: TcpStream,
    sending: Sending,
) {
    let mut buffer = vec![0; 32 << 10];
    loop {
        let count = client.read(&mut buffer).unwrap_or(0);
        let mut sealed = Vec::new();
        {
            let mut tls = tls.lock().expect("no panic");
            if count == 0 && sending.close_notify {
                tls.send_close_notify();
            }
            for bytes in buffer[..count].chunks(sending.record_bytes_max) {
                tls.writer().write_all(bytes).expect("room");
                while tls.wants_write() {
                    tls.write_tls(&mut sealed).expect("memory");
                }
            }
            while tls.wants_write() {
                tls.write_tls(&mut sealed).expect("memory");
            }
        }
        if sending.broken == Some(&buffer[..count])
            && let Some(last) = sealed.last_mut()
        {
            *last ^= 1;
        }
        for piece in sealed.chunks(sending.write_bytes_max) {
            if server.write_all(piece).is_err() {
                return;
            }
        }
        if count == 0 {
            let _ = server.shutdown(Shutdown::Write);
            return;
        }
    }
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a descriptor")
}
