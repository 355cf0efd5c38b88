//! A server that takes over from another one, and one that a service manager starts: no connection is refused or reset.
//!
//! `TEST_RESTARTS=50 cargo test --release --test restarts` makes so many restarts instead of three, and then checks that no
//! connection has taken a second.

#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use yamabiko::client::Client;
use yamabiko::websocket::Message;
use yamabiko::websocket::frame::CloseCode;
use yamabiko_testing::waiting::{TIMEOUT, bounded, eventually, exit_status};

/// A folder that is removed with its files.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("yamabiko-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running server. It is killed when the value is dropped.
struct Server {
    child: Child,
    /// Its first line.
    line: String,
}

impl Server {
    /// Waits until it is ready.
    fn start(arguments: &[&str]) -> Server {
        Server::start_command(Command::new(PROGRAM).args(arguments).stdin(Stdio::null()))
    }

    fn start_command(command: &mut Command) -> Server {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let output = child.stdout.as_mut().expect("a pipe");
        let read = BufReader::new(output).read_line(&mut line);
        read.expect("a line of text");
        let line = line.trim_end().to_owned();
        Server { child, line }
    }

    /// The address behind `://`.
    fn address(&self) -> String {
        let (_, rest) = self.line.split_once("://").expect("an address");
        rest.split('/').next().expect("an address").to_owned()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("kill exists").success());
    }

    /// Its exit status, and what it has written on standard error.
    fn ended(&mut self) -> (Option<i32>, String) {
        let status = exit_status(&mut self.child, TIMEOUT);
        let mut errors = String::new();
        let output = self.child.stderr.as_mut().expect("a pipe");
        output.read_to_string(&mut errors).expect("text");
        (status.code(), errors)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_yamabiko");

fn ask(stream: impl Read + Write) -> std::io::Result<String> {
    let mut stream = stream;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}

fn is_healthy(address: &str) -> bool {
    let stream = bounded(TcpStream::connect(address).expect("a server listens"));
    ask(stream).is_ok_and(|response| response.ends_with("\r\n\r\nok\n"))
}

#[test]
fn successor_serves_the_same_address_and_the_predecessor_closes_with_1012() {
    let folder = Folder::new("successor");
    let path = folder.path("takeover");
    let mut server = Server::start(&[
        "echo",
        "--workers",
        "2",
        "--listen",
        "127.0.0.1:0",
        "--takeover",
        &path,
    ]);
    let address = server.address();
    // Fewer workers than sockets, more, and as many.
    for workers in ["1", "3", "2"] {
        let mut client = Client::connect(&format!("ws://{address}/")).expect("a server");
        let new = Server::start(&[
            "echo",
            "--workers",
            workers,
            "--listen",
            &address,
            "--takeover",
            &path,
        ]);
        assert_eq!(new.address(), address);
        assert_eq!(client.read().expect("a clean end"), None);
        assert_eq!(client.ended().expect("it has").code(), 1012);
        let mut old = std::mem::replace(&mut server, new);
        let stopped = "yamabiko: stopped: 1 connections closed, 0 lost, 0 cut off\n";
        let (status, errors) = old.ended();
        assert_eq!(status, Some(0));
        // A system with few descriptors makes the server say so first.
        assert!(errors.ends_with(stopped), "{errors}");
        // Each worker accepts, whoever has made the sockets.
        let mut clients: Vec<_> = (0..12)
            .map(|_| Client::connect(&format!("ws://{address}/")).expect("a server"))
            .collect();
        for client in &mut clients {
            client.send(Message::Text("here")).expect("open");
            assert!(client.read().expect("open").is_some());
        }
        for mut client in clients {
            client.close((CloseCode::NORMAL, "")).expect("open");
        }
    }
    server.signal("TERM");
    assert_eq!(server.ended().0, Some(0));
    assert!(!Path::new(&path).exists(), "the file is removed at the end");
    TcpStream::connect(&address).expect_err("no server listens any more");
}

#[test]
fn no_connection_is_refused_or_reset_while_servers_are_restarted() {
    let restarts = std::env::var("TEST_RESTARTS").ok();
    let restarts: usize = restarts.map_or(3, |text| text.parse().expect("a number"));
    let folder = Folder::new("restarts");
    let path = folder.path("takeover");
    let arguments = |listen: &str| {
        let fixed = ["serve", "--workers", "2", "--drain", "0.2", "--takeover"].map(str::to_owned);
        [
            &fixed[..],
            &[path.clone(), "--listen".into(), listen.into()],
        ]
        .concat()
    };
    let start = |listen: &str| {
        let arguments = arguments(listen);
        Server::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let mut server = start("127.0.0.1:0");
    let address = server.address();
    let results: Vec<Result<Duration, String>> = thread::scope(|scope| {
        let address = &address;
        let clients = [(); CLIENTS].map(|()| {
            let (end, ended) = channel::<()>();
            let client = scope.spawn(move || connect_until(&ended, address));
            (end, client)
        });
        for _ in 0..restarts {
            let url = format!("ws://{address}/broadcast/x");
            let members = [(); 10].map(|()| Client::connect(&url).expect("a server"));
            let new = start(address);
            let mut old = std::mem::replace(&mut server, new);
            // Each answers its Close at once: the server cuts off who does not.
            let members = members.map(|mut member| {
                scope.spawn(move || {
                    assert_eq!(member.read().expect("a clean end"), None);
                    assert_eq!(member.ended().expect("it has").code(), 1012);
                })
            });
            for member in members {
                member.join().expect("no member panics");
            }
            let (status, errors) = old.ended();
            assert_eq!(status, Some(0), "{errors}");
        }
        clients
            .into_iter()
            .flat_map(|(end, client)| {
                drop(end);
                client.join().expect("no client panics")
            })
            .collect()
    });
    let failures: Vec<_> = results
        .iter()
        .filter_map(|result| result.as_ref().err())
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {}: {failures:?}",
        failures.len(),
        results.len()
    );
    assert!(
        results.len() >= restarts,
        "clients have connected all the time"
    );
    let slowest = results.iter().flatten().max().copied().unwrap_or_default();
    eprintln!(
        "{restarts} restarts, {} connections, the slowest took {slowest:?}",
        results.len()
    );
    if restarts > 3 {
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    }
}

/// Clients that connect at the same time, each this often.
const CLIENTS: usize = 5;
const INTERVAL: Duration = Duration::from_millis(10);

/// Connects at an even rate until the end comes: in turn a request of HTTP, and a WebSocket. Each connection's time, or its failure.
fn connect_until(end: &Receiver<()>, address: &str) -> Vec<Result<Duration, String>> {
    let (mut results, mut next) = (Vec::new(), Instant::now());
    loop {
        let begun = Instant::now();
        let served = match results.len() % 2 {
            0 => request(address),
            _ => websocket(address),
        };
        results.push(served.map(|()| begun.elapsed()));
        next += INTERVAL;
        let pause = next.saturating_duration_since(Instant::now());
        if end.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
            return results;
        }
    }
}

fn request(address: &str) -> Result<(), String> {
    let stream = TcpStream::connect(address).map_err(|error| format!("connect: {error}"))?;
    match ask(bounded(stream)) {
        Ok(response) if response.ends_with("\r\n\r\nok\n") => Ok(()),
        Ok(response) => Err(format!("response: {response}")),
        Err(error) => Err(format!("request: {error}")),
    }
}

/// A WebSocket is served if it opens: a server that stops may close it at once.
fn websocket(address: &str) -> Result<(), String> {
    let client = Client::connect(&format!("ws://{address}/broadcast/x"));
    client
        .map(drop)
        .map_err(|error| format!("WebSocket: {error}"))
}

#[test]
fn predecessor_serves_on_if_its_successor_cannot_start() {
    let folder = Folder::new("failing");
    let path = folder.path("takeover");
    let unix = folder.path("http.sock");
    let listen = format!("127.0.0.1:0,unix:{unix}");
    let mut old = Server::start(&["serve", "--listen", &listen, "--takeover", &path]);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("bound");
    let address = old.address();
    let listen = format!("{address},unix:{unix},{taken}");
    let failed = Command::new(PROGRAM)
        .args(["serve", "--listen", &listen, "--takeover", &path])
        .output()
        .expect("the program starts");
    assert_eq!(failed.status.code(), Some(1));
    assert!(is_healthy(&address));
    let stream = UnixStream::connect(&unix).expect("the file is there");
    assert!(ask(stream).expect("a response").ends_with("ok\n"));
    // It is told by a thread of its own.
    let (sender, lines) = channel();
    let errors = BufReader::new(old.child.stderr.take().expect("a pipe"));
    thread::spawn(move || {
        let mut lines = errors.lines().map_while(Result::ok);
        while lines.next().is_some_and(|line| sender.send(line).is_ok()) {}
    });
    eventually("the reason is told", TIMEOUT, || {
        let line = lines.recv_timeout(TIMEOUT).expect("a line");
        line.contains("no server has taken over")
    });
    old.signal("TERM");
    let status = exit_status(&mut old.child, TIMEOUT);
    assert_eq!(status.code(), Some(0));
}

#[test]
fn file_of_a_unix_socket_goes_over_to_the_successor() {
    let folder = Folder::new("unix");
    let path = folder.path("takeover");
    let unix = folder.path("http.sock");
    let listen = format!("unix:{unix}");
    let arguments = ["serve", "--listen", &listen, "--takeover", &path];
    let mut old = Server::start(&arguments);
    let mut new = Server::start(&arguments);
    assert_eq!(old.ended().0, Some(0));
    let stream = UnixStream::connect(&unix).expect("the file is there");
    assert!(ask(stream).expect("a response").ends_with("ok\n"));
    new.signal("TERM");
    let (status, errors) = new.ended();
    assert_eq!(status, Some(0), "{errors}");
    assert!(!Path::new(&unix).exists(), "{errors}");
}

#[test]
fn addresses_for_operators_go_over_to_the_successor() {
    let folder = Folder::new("operators");
    let path = folder.path("takeover");
    let start = |listen: &str, admin: &str| {
        let arguments = ["serve", "--listen", listen, "--admin-listen", admin];
        Server::start(&[&arguments[..], &["--takeover", &path]].concat())
    };
    let mut old = start("127.0.0.1:0", "127.0.0.1:0");
    let (_, admin) = old.line.split_once("(for operators: ").expect("an address");
    let admin = admin.trim_end_matches(')').to_owned();
    let new = start(&old.address(), &admin);
    assert_eq!(old.ended().0, Some(0));
    assert!(
        new.line.ends_with(&format!("(for operators: {admin})")),
        "{}",
        new.line
    );
    assert!(is_healthy(&new.address()) && is_healthy(&admin));
}

#[test]
fn file_that_is_no_socket_is_kept_and_the_server_does_not_start() {
    let folder = Folder::new("no-socket");
    let path = folder.path("takeover");
    std::fs::write(&path, "a file").expect("a file");
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--takeover", &path];
    let failed = Command::new(PROGRAM)
        .args(arguments)
        .output()
        .expect("the program starts");
    assert_eq!(failed.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&failed.stderr);
    assert!(
        errors.contains("yamabiko: cannot take over by "),
        "{errors}"
    );
    assert_eq!(std::fs::read_to_string(&path).expect("kept"), "a file");
}

/// Starts a server as a service manager does: with this socket as descriptor 3.
fn activated(socket: OwnedFd, arguments: &[&str]) -> Server {
    let script = r#"exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", PROGRAM]).args(arguments);
    Server::start_command(command.stdin(Stdio::from(socket)))
}

#[test]
fn socket_of_the_service_manager_takes_the_place_of_listen_and_outlives_the_server() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("bound").to_string();
    for workers in ["1", "3"] {
        let copy = socket.try_clone().expect("a copy");
        let mut server = activated(copy.into(), &["serve", "--workers", workers]);
        assert_eq!(server.address(), address);
        assert!(is_healthy(&address));
        server.signal("TERM");
        assert_eq!(server.ended().0, Some(0));
        // This one waits for the next server.
        let waiting = TcpStream::connect(&address).expect("the socket listens");
        let copy = socket.try_clone().expect("a copy");
        let _next = activated(copy.into(), &["serve"]);
        assert!(ask(bounded(waiting)).expect("a response").ends_with("ok\n"));
    }
}

#[test]
fn file_of_the_service_managers_unix_socket_stays() {
    let folder = Folder::new("managed");
    let unix = folder.path("http.sock");
    let socket = UnixListener::bind(&unix).expect("a socket");
    let mut server = activated(socket.into(), &["serve"]);
    assert!(
        server.line.ends_with(&format!("listening on unix:{unix}")),
        "{}",
        server.line
    );
    let stream = UnixStream::connect(&unix).expect("it listens");
    assert!(ask(stream).expect("a response").ends_with("ok\n"));
    server.signal("TERM");
    assert_eq!(server.ended().0, Some(0));
    assert!(Path::new(&unix).exists());
}

#[test]
fn service_manager_is_told_when_the_server_is_ready_alive_and_stopping() {
    let folder = Folder::new("notify");
    let path = folder.path("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(TIMEOUT)).expect("a span");
    let mut command = Command::new(PROGRAM);
    command
        .args(["serve", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null());
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "20000");
    let mut server = Server::start_command(&mut command);
    let receive = || {
        let mut message = [0; 256];
        let length = manager.recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..length])
            .trim_end()
            .to_owned()
    };
    assert_eq!(receive(), "READY=1");
    assert_eq!(receive(), "WATCHDOG=1");
    server.signal("TERM");
    eventually("the server is stopping", TIMEOUT, || {
        receive() == "STOPPING=1"
    });
    assert_eq!(server.ended().0, Some(0));
}
