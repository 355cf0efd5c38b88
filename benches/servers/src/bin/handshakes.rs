//! `handshakes IP:PORT RATE SECONDS`: full TLS handshakes with a server, so many begun in each second, whatever it makes of
//! them. Each one is a connection of its own without a ticket, and is ended after the handshake.
//!
//! Prints how many were begun and completed in a second.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use yamabiko::tls::{ClientTls, State};

/// As many as can be waiting for the server at a time.
const THREADS: usize = 128;
const TIMEOUT: Duration = Duration::from_secs(5);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match &*arguments {
        [address, rate, seconds] => (address.parse(), rate.parse(), seconds.parse()),
        _ => usage(),
    };
    let (Ok(address), Ok(rate), Ok(seconds)) = parsed else {
        usage();
    };
    offer(address, rate, seconds);
}

fn usage() -> ! {
    eprintln!("usage: handshakes IP:PORT RATE SECONDS");
    process::exit(2);
}

fn offer(address: SocketAddr, rate: f64, seconds: f64) {
    let (next, completed) = (AtomicU64::new(0), AtomicU64::new(0));
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let due = next.fetch_add(1, Ordering::Relaxed) as f64 / rate;
                    if due >= seconds {
                        return;
                    }
                    thread::sleep(Duration::from_secs_f64(due).saturating_sub(started.elapsed()));
                    if handshake(address).is_ok() {
                        completed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let took = started.elapsed().as_secs_f64();
    let begun = next.into_inner() - THREADS as u64;
    println!(
        "{:.0} begun, {:.0} completed in a second",
        begun as f64 / took,
        completed.into_inner() as f64 / took
    );
}

fn handshake(address: SocketAddr) -> io::Result<()> {
    let mut tcp = TcpStream::connect_timeout(&address, TIMEOUT)?;
    tcp.set_read_timeout(Some(TIMEOUT))?;
    tcp.set_nodelay(true)?;
    // Its own tickets, which are dropped with it: no handshake resumes another one.
    let tls = ClientTls::insecure().map_err(io::Error::other)?;
    let mut session = tls.session("localhost").map_err(io::Error::other)?;
    let (mut input, mut output, mut bytes) = (Vec::new(), Vec::new(), [0; 8192]);
    loop {
        let received = session.receive(&mut input, &mut |_| {}, &mut output);
        input.drain(..received.consumed_bytes);
        tcp.write_all(&output)?;
        output.clear();
        if session.is_established() {
            return Ok(());
        }
        let count = tcp.read(&mut bytes)?;
        if received.state != State::Open || count == 0 {
            return Err(io::Error::other("the server has ended the handshake"));
        }
        input.extend_from_slice(&bytes[..count]);
    }
}
