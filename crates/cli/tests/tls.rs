//! TLS of the built program: its files, its addresses, and what is wrong with them.

#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use yamabiko_testing::socket::Client;
use yamabiko_testing::tls::{Folder, tunnel};
use yamabiko_testing::waiting::{TIMEOUT, output_of};

fn yamabiko(arguments: &[String]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_yamabiko"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// A server, which ends with its test, and its first line.
struct Server {
    child: Child,
    line: String,
}

impl Server {
    fn start(arguments: &[String]) -> Server {
        let mut child = yamabiko(arguments);
        let output = child.stdout.take().expect("a pipe");
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        read.expect("a line");
        Server { child, line }
    }

    /// The address behind this text of the first line.
    fn address_behind(&self, text: &str) -> SocketAddr {
        let (_, rest) = self.line.split_once(text).expect("an address");
        let end = rest.find(['/', ',', ')', '\n']).unwrap_or(rest.len());
        rest[..end].parse().expect("an address")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn every_address_speaks_tls_except_those_with_http_in_front() {
    let folder = Folder::new("addresses");
    let line = "serve --tls-cert localhost.pem --tls-key localhost.key \
                --listen 127.0.0.1:0 --listen http://127.0.0.1:0";
    let server = Server::start(&folder.arguments(line));
    let secure = server.address_behind("open https://");
    let plain = server.address_behind(", http://");
    let tls = || tunnel::client(secure, folder.authority.client());
    for mut client in [tls(), Client::connect(plain)] {
        client.send(HEALTH);
        assert_eq!(client.read_response().status, 200);
    }
    let subprotocol = "Sec-WebSocket-Protocol: yamabiko.chat.v1\r\n";
    tls().upgraded_with("/chat/hall", subprotocol);
}

#[test]
fn echo_speaks_tls_with_a_key_in_the_file_of_its_certificate() {
    let folder = Folder::new("echo");
    let both = [".pem", ".key"].map(|ending| {
        fs::read_to_string(folder.file(&format!("localhost{ending}"))).expect("it was written")
    });
    folder.write("both.pem", &both.concat());
    let server = Server::start(&folder.arguments("echo --tls-cert both.pem --listen 127.0.0.1:0"));
    let address = server.address_behind("echo on wss://");
    let mut client = tunnel::client(address, folder.authority.client()).upgraded("/");
    client.text("hello");
    assert_eq!(client.read_text(), "hello");
}

#[test]
fn client_gets_the_certificate_of_the_name_that_it_asks_for() {
    let folder = Folder::new("names");
    folder.issue("other.example");
    let line = "echo --listen 127.0.0.1:0 --tls-cert localhost.pem --tls-key localhost.key \
                --tls-cert other.example.pem --tls-key other.example.key";
    let server = Server::start(&folder.arguments(line));
    let config = std::sync::Arc::new(folder.authority.client());
    for name in ["localhost", "other.example"] {
        let address = server.address_behind("wss://");
        tunnel::handshake(address, name, &config).expect("its certificate");
    }
}

#[test]
fn file_that_cannot_be_used_ends_the_program_with_one_line_that_names_it() {
    let folder = Folder::new("wrong");
    folder.issue("other");
    folder.write("empty.pem", "");
    for (line, file, reason) in [
        (
            "--tls-cert missing.pem",
            "missing.pem",
            "cannot read FILE: no such file or directory",
        ),
        (
            "--tls-cert empty.pem",
            "empty.pem",
            "FILE: there is no certificate in it",
        ),
        (
            "--tls-cert localhost.pem",
            "localhost.pem",
            "FILE: there is no private key in it",
        ),
        (
            "--tls-cert localhost.pem --tls-key other.key",
            "other.key",
            "FILE: the key does not fit the certificate in ",
        ),
        (
            "--tls-key other.key",
            "other.key",
            "each --tls-cert has its --tls-key: 0 certificates, 1 keys",
        ),
        (
            "--listen https://127.0.0.1:0",
            "",
            "https://127.0.0.1:0 needs --tls-cert and --tls-key",
        ),
    ] {
        for command in ["serve --check", "serve", "echo"] {
            let child = yamabiko(&folder.arguments(&format!("{command} {line}")));
            let output = output_of(child, TIMEOUT);
            assert_eq!(output.status.code(), Some(1), "{command} {line}");
            let error = String::from_utf8_lossy(&output.stderr);
            let expected = reason.replace("FILE", &folder.file(file));
            assert!(
                error.starts_with(&format!("yamabiko: {expected}")),
                "{error}"
            );
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
    let line = "serve --check --tls-cert localhost.pem --tls-key localhost.key";
    let output = output_of(yamabiko(&folder.arguments(line)), TIMEOUT);
    assert_eq!(output.status.code(), Some(0));
}

/// The lines of a client of the program, whose input ends at once, and its exit code.
fn client(arguments: &[String]) -> (Option<i32>, String, String) {
    let output = output_of(yamabiko(arguments), TIMEOUT);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn chat_speaks_wss_with_a_given_authority_or_without_a_check() {
    let folder = Folder::new("chat");
    folder.write("authority.pem", &folder.authority.pem());
    let line = "serve --tls-cert localhost.pem --tls-key localhost.key --listen 127.0.0.1:0";
    let server = Server::start(&folder.arguments(line));
    let port = server.address_behind("open https://").port();
    let url = format!("wss://localhost:{port}/chat/hall");
    let line = |options: &str| folder.arguments(&format!("chat {url} {options}"));
    let (code, _, error) = client(&line("--ca authority.pem --name Aki"));
    assert_eq!((code, &*error), (Some(0), ""));
    let (code, _, error) = client(&line("--insecure --name Aki"));
    let warning = "yamabiko: --insecure: the certificate of the server is not checked\n";
    assert_eq!((code, &*error), (Some(0), warning));
    // This machine does not trust it.
    let (code, _, error) = client(&line("--name Aki"));
    assert_eq!(code, Some(1));
    assert!(error.starts_with("yamabiko: TLS: "), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    let (code, _, error) = client(&line("--ca localhost.key"));
    let reason = "there is no certificate in it";
    let expected = format!("yamabiko: {}: {reason}\n", folder.file("localhost.key"));
    assert_eq!((code, error), (Some(1), expected));
}

#[test]
fn trace_shows_what_is_inside_tls() {
    let folder = Folder::new("trace");
    folder.write("authority.pem", &folder.authority.pem());
    let line = "serve --tls-cert localhost.pem --tls-key localhost.key --listen 127.0.0.1:0";
    let server = Server::start(&folder.arguments(line));
    let port = server.address_behind("open https://").port();
    let line = format!(
        "trace wss://localhost:{port}/broadcast/hall --ca authority.pem --send hello --seconds 0.2"
    );
    let (code, shown, error) = client(&folder.arguments(&line));
    assert_eq!((code, &*error), (Some(0), ""));
    for part in [
        "GET /broadcast/hall HTTP/1.1",
        "101 Switching Protocols",
        "text, 5 bytes, masked",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
}
