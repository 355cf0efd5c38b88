//! `PROGRAM PORT MODE`, and the line that a ready server prints.

use std::io::Write;
use std::net::SocketAddr;
use std::process;

/// The bytes that may wait for one client in user space, besides the library's own buffer;
/// beyond it the client is disconnected. The same for every server here,
/// and yamabiko's default.
pub const BACKLOG_BYTES_MAX: usize = 1 << 20;

/// The arguments.
pub struct Arguments {
    /// 0: any free port.
    pub port: u16,
    /// One of the server's modes.
    pub mode: String,
}

impl Arguments {
    /// Ends the process with a usage line if the arguments are wrong.
    pub fn from_command_line(modes: &[&str]) -> Arguments {
        let mut words = std::env::args().skip(1);
        let port = words.next().and_then(|word| word.parse().ok());
        let mode = words.next().filter(|word| modes.contains(&word.as_str()));
        match (port, mode) {
            (Some(port), Some(mode)) => Arguments { port, mode },
            _ => {
                eprintln!("usage: PROGRAM PORT {}", modes.join("|"));
                process::exit(2);
            }
        }
    }
}

/// Prints `ready 127.0.0.1:PORT`, which the harness waits for.
pub fn announce(address: SocketAddr) {
    println!("ready {address}");
    // A pipe is not flushed at the end of a line.
    let _ = std::io::stdout().flush();
}
