//! `PROGRAM PORT MODE`, and the line that a ready server prints.

use std::io::Write;
use std::net::SocketAddr;
use std::process;

/// The maximum number of bytes that wait for one client in user space, without the library's
/// own buffer. A client with more is disconnected. All servers here have the same limit, which
/// is also yamabiko's default.
pub const BACKLOG_BYTES_MAX: usize = 1 << 20;

/// The arguments of the program.
pub struct Arguments {
    /// 0 selects a free port.
    pub port: u16,
    /// One of the server's modes.
    pub mode: String,
}

impl Arguments {
    /// Ends the process with a usage line if the arguments are wrong.
    pub fn from_command_line(modes: &[&str]) -> Arguments {
        let mut arguments = std::env::args().skip(1);
        let port = arguments.next().and_then(|port| port.parse().ok());
        let mode = arguments
            .next()
            .filter(|mode| modes.contains(&mode.as_str()));
        match (port, mode) {
            (Some(port), Some(mode)) => Arguments { port, mode },
            _ => {
                eprintln!("usage: PROGRAM PORT {}", modes.join("|"));
                process::exit(2);
            }
        }
    }
}

/// Prints `ready 127.0.0.1:PORT`, for which `measure.py` waits.
pub fn announce(address: SocketAddr) {
    println!("ready {address}");
    // The line would stay in the buffer if standard output is a pipe.
    let _ = std::io::stdout().flush();
}
