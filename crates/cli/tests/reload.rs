//! SIGHUP with `--config`: a running server takes new settings and certificates, and no connection ends.

#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use yamabiko_testing::socket::Client;
use yamabiko_testing::tls::{Folder, tunnel};
use yamabiko_testing::waiting::{Deadline, LOOP_TIMEOUT, TIMEOUT, exit_status};

/// A server on any free port, which ends with its test.
struct Server {
    child: Child,
    address: SocketAddr,
    /// The lines of standard error.
    log: Receiver<String>,
}

impl Server {
    fn start(arguments: &[String]) -> Server {
        Server::start_command(Command::new(env!("CARGO_BIN_EXE_yamabiko")).args(arguments))
    }

    fn start_command(command: &mut Command) -> Server {
        let mut child = command
            .args(["--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (sender, log) = channel();
        let errors = BufReader::new(child.stderr.take().expect("a pipe"));
        thread::spawn(move || {
            let mut lines = errors.lines().map_while(Result::ok);
            while lines.next().is_some_and(|line| sender.send(line).is_ok()) {}
        });
        let mut line = String::new();
        let output = BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line);
        output.expect("a line");
        let (_, address) = line.split_once("://").expect("an address");
        Server {
            address: address
                .trim_end()
                .trim_end_matches('/')
                .parse()
                .expect("an address"),
            child,
            log,
        }
    }

    fn hang_up(&self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", "HUP", &id]).status();
        assert!(sent.expect("kill exists").success());
    }

    /// What the log says of the next reload.
    fn reloaded(&self) -> String {
        let deadline = Deadline::after(LOOP_TIMEOUT);
        loop {
            deadline.check("a line about the reload");
            let line = self.log.recv_timeout(TIMEOUT).expect("a line");
            if let Some((_, text)) = line.split_once(" settings ") {
                return text.to_owned();
            }
        }
    }

    fn reload(&self) -> String {
        self.hang_up();
        self.reloaded()
    }

    fn client(&self) -> Client {
        Client::connect(self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn echoes(client: &mut Client, text: &str) {
    client.text(text);
    assert_eq!(client.read_text(), text);
}

/// The certificate that a new connection gets.
fn certificate(server: &Server, folder: &Folder) -> Vec<u8> {
    let config = Arc::new(folder.authority.client());
    let (tls, _) = tunnel::handshake(server.address, "localhost", &config).expect("a handshake");
    let shown = tls.peer_certificates().expect("a certificate");
    shown[0].to_vec()
}

#[test]
fn new_connections_get_the_new_certificate_and_open_ones_go_on() {
    let folder = Folder::new("reload");
    folder.write("settings.toml", "");
    let line = "serve --config settings.toml --tls-cert localhost.pem --tls-key localhost.key";
    let server = Server::start(&folder.arguments(line));
    let mut open =
        tunnel::client(server.address, folder.authority.client()).upgraded("/broadcast/a");
    echoes(&mut open, "before");
    let old = certificate(&server, &folder);
    assert_eq!(certificate(&server, &folder), old);
    folder.issue("localhost");
    assert_eq!(server.reload(), "reloaded");
    assert_ne!(certificate(&server, &folder), old);
    echoes(&mut open, "after");
}

#[test]
fn wrong_file_changes_nothing_and_is_one_line_of_the_log() {
    let folder = Folder::new("reload-wrong");
    folder.issue("other.example");
    folder.write("settings.toml", "message-bytes-max = 100");
    let line = "serve --config settings.toml --tls-cert localhost.pem --tls-key localhost.key";
    let server = Server::start(&folder.arguments(line));
    let old = certificate(&server, &folder);
    let refused = |expected: &str| {
        let text = server.reload();
        let start = "not reloaded, nothing has changed reason=";
        assert!(text.starts_with(start) && text.contains(expected), "{text}");
    };
    folder.write(
        "settings.toml",
        "message-bytes-max = 0.5\nping-interval = 3",
    );
    refused("settings.toml: message-bytes-max '0.5': expected ");
    folder.write("settings.toml", "message-bytes-max = 5");
    folder.write(
        "localhost.key",
        &std::fs::read_to_string(folder.file("other.example.key")).expect("it is there"),
    );
    refused("the key does not fit the certificate in ");
    folder.write("localhost.pem", "");
    refused("localhost.pem: there is no certificate in it");
    assert_eq!(certificate(&server, &folder), old);
    let mut client =
        tunnel::client(server.address, folder.authority.client()).upgraded("/broadcast/a");
    echoes(&mut client, "longer than five");
}

#[test]
fn settings_file_that_is_a_pipe_is_not_read_again() {
    let folder = Folder::new("reload-pipe");
    let path = folder.file("settings.toml");
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo exists").success());
    let writer = thread::spawn({
        let path = path.clone();
        move || std::fs::write(path, "message-bytes-max = 5")
    });
    let server = Server::start(&folder.arguments("serve --config settings.toml"));
    writer.join().expect("no panic").expect("the server reads");
    let text = server.reload();
    assert!(
        text.ends_with("settings.toml is no file that can be read again\""),
        "{text}"
    );
    std::fs::remove_file(&path).expect("the pipe");
    folder.write("settings.toml", "ping-interval = 7");
    let text = server.reload();
    assert!(text.contains("ping-interval"), "{text}");
}

#[test]
fn new_settings_hold_and_those_that_need_a_restart_are_named() {
    let folder = Folder::new("reload-settings");
    folder.write("settings.toml", "");
    let server = Server::start(&folder.arguments("serve --config settings.toml"));
    let mut open = server.client().upgraded("/broadcast/a");
    folder.write(
        "settings.toml",
        "message-bytes-max = 5\nworkers = 9\nallow-origin = \"https://a.example\"\nbytes-per-second = 1000000",
    );
    let expected = "reloaded, some need a restart \
                    changed=\"message-bytes-max, bytes-per-second, allow-origin\" needs_restart=workers";
    assert_eq!(server.reload(), expected);
    // Limits of messages are for new connections, rates for all.
    echoes(&mut open, "longer than five");
    let fields = "Origin: https://a.example\r\n";
    let mut new = server.client().upgraded_with("/broadcast/a", fields);
    echoes(&mut new, "short");
    new.text("longer");
    assert_eq!(new.read_until_close().0, 1009);
    folder.write("settings.toml", "");
    let expected = "reloaded changed=\"message-bytes-max, bytes-per-second, allow-origin\"";
    assert_eq!(server.reload(), expected);
    let mut new = server.client().upgraded("/broadcast/b");
    echoes(&mut new, "longer than five");
}

#[test]
fn keys_of_tokens_are_read_again_and_open_connections_keep_their_grant() {
    let folder = Folder::new("reload-keys");
    let (old, new) = ["a", "b"].map(|letter| letter.repeat(32)).into();
    folder.write("settings.toml", "");
    folder.write("keys.key", &old);
    let line = "serve --config settings.toml --shared-keys-file keys.key";
    let server = Server::start(&folder.arguments(line));
    let bearer = |key: &str| format!("Authorization: Bearer {key}\r\n");
    let mut open = server.client().upgraded_with("/broadcast/a", &bearer(&old));
    folder.write("keys.key", &new);
    assert_eq!(server.reload(), "reloaded");
    echoes(&mut open, "with the old key");
    let mut client = server.client().upgraded_with("/broadcast/a", &bearer(&new));
    echoes(&mut client, "with the new key");
    let mut refused = server.client();
    refused.send(yamabiko_testing::socket::upgrade(
        "/broadcast/a",
        &bearer(&old),
    ));
    assert_eq!(refused.read_response().status, 401);
}

#[test]
fn hangup_reads_settings_also_under_nohup_and_ends_a_server_without_them() {
    let folder = Folder::new("reload-nohup");
    folder.write("settings.toml", "");
    let program = env!("CARGO_BIN_EXE_yamabiko");
    let arguments = folder.arguments("serve --config settings.toml");
    let server = Server::start_command(Command::new("nohup").arg(program).args(arguments));
    assert_eq!(server.reload(), "reloaded");
    let mut without = Command::new("env");
    without.args(["--default-signal=HUP", program, "serve"]);
    let mut server = Server::start_command(&mut without);
    server.hang_up();
    assert_eq!(exit_status(&mut server.child, TIMEOUT).code(), Some(0));
}

#[test]
fn service_manager_is_told_when_the_settings_are_read() {
    let folder = Folder::new("reload-notify");
    folder.write("settings.toml", "");
    let path = folder.file("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(TIMEOUT)).expect("a time");
    let next = || {
        let mut bytes = [0; 256];
        let count = socket.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_yamabiko"));
    command.env("NOTIFY_SOCKET", &path);
    let arguments = folder.arguments("serve --config settings.toml");
    let server = Server::start_command(command.args(arguments));
    assert_eq!(next().trim_end(), "READY=1");
    server.hang_up();
    assert!(next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(next().trim_end(), "READY=1");
}
