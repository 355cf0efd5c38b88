//! The program as a node of a cluster.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use yamabiko_testing::waiting::{TIMEOUT, bounded, eventually};

/// A running `yamabiko serve`. It is killed when the value is dropped.
pub struct Node {
    child: Child,
    /// `127.0.0.1:…`
    pub address: String,
}

impl Node {
    /// Starts one with `--cluster` and these arguments, and waits until it is ready.
    pub fn start(redis: &str, arguments: &[&str]) -> Node {
        let node = Node::start_with(&[&["--cluster", redis], arguments].concat());
        node.is_ready();
        node
    }

    /// Starts one with these arguments alone. It may not be ready.
    pub fn start_with(arguments: &[&str]) -> Node {
        let first = [
            "serve",
            "--workers",
            "2",
            "--log-level",
            "off",
            "--listen",
            "127.0.0.1:0",
        ];
        Node::run(&[&first, arguments].concat())
    }

    /// Executes a command of the documentation.
    pub fn start_command(line: &str) -> Node {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words.first(), Some(&"yamabiko"));
        Node::run(&words[1..])
    }

    fn run(arguments: &[&str]) -> Node {
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let output = child.stdout.as_mut().expect("a pipe");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("a line of text");
        let (_, rest) = line.split_once("://").expect("an address");
        let address = rest.split('/').next().expect("an address").to_owned();
        Node { child, address }
    }

    #[track_caller]
    pub fn is_ready(&self) {
        eventually("the node is ready", TIMEOUT, || {
            self.get("/ready").starts_with("HTTP/1.1 200")
        });
    }

    #[track_caller]
    pub fn is_not_ready(&self) {
        eventually("the node is not ready", TIMEOUT, || {
            self.get("/ready").starts_with("HTTP/1.1 503")
        });
    }

    /// The URL of a WebSocket.
    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// The response to a request; empty: there is none.
    pub fn get(&self, path: &str) -> String {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut response = String::new();
        if let Ok(stream) = TcpStream::connect(&self.address) {
            let mut stream = bounded(stream);
            let _ = stream.write_all(request.as_bytes());
            let _ = stream.read_to_string(&mut response);
        }
        response
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_yamabiko");
