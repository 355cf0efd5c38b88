//! The built program from outside: arguments, environment, output, exit codes and signals.
//!
//! Every server here listens on a free port of the loopback interface, and every
//! wait for a line has an end.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use yamabiko::client::{Client, ClientError, OwnedMessage};
use yamabiko::websocket::Message;
use yamabiko::websocket::deflate::DeflateConfig;
use yamabiko::websocket::frame::CloseCode;

use yamabiko_testing::waiting::{
    Deadline, LOOP_PATIENCE, PATIENCE, accepted, bounded, exit_status, joined, output_of,
};

fn yamabiko(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_yamabiko"));
    command.args(words).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program to its end.
fn run(words: &[&str]) -> Output {
    output(&mut yamabiko(words))
}

/// The same, as this command says; what it says of no pipe goes through one.
fn output(command: &mut Command) -> Output {
    output_of(command.spawn().expect("the program starts"), PATIENCE)
}

/// Exit code and standard error, of a run that says nothing on standard output.
fn failure(output: Output) -> (Option<i32>, String) {
    assert_eq!(output.stdout, b"");
    let complaint = String::from_utf8(output.stderr).expect("text");
    (output.status.code(), complaint)
}

/// A program that runs; it is killed when the test is done with it.
struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    complaints: Receiver<String>,
}

impl Program {
    fn start(words: &[&str]) -> Program {
        Program::start_command(&mut yamabiko(words))
    }

    fn start_command(command: &mut Command) -> Program {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        Program {
            input: child.stdin.take(),
            lines: lines_of(child.stdout.take().expect("a pipe")),
            complaints: lines_of(child.stderr.take().expect("a pipe")),
            child,
        }
    }

    /// Starts a server, and gives its `IP:PORT` as well.
    fn server(words: &[&str]) -> (Program, String) {
        let words = [words, &["--listen", "127.0.0.1:0"]].concat();
        let program = Program::start(&words);
        let line = program.line();
        let (_, rest) = line.split_once("://").expect("an address");
        let address = rest.trim_end_matches('/').to_owned();
        (program, address)
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line")
    }

    /// Skips lines up to this one.
    fn wait_for(&self, wanted: &str) {
        let deadline = Deadline::after(LOOP_PATIENCE);
        while self.line() != wanted {
            deadline.check(wanted);
        }
    }

    fn type_line(&mut self, line: &str) {
        let input = self.input.as_mut().expect("not ended");
        writeln!(input, "{line}").expect("it reads");
    }

    fn end_input(&mut self) {
        self.input = None;
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("kill exists").success());
    }

    fn exit_code(&mut self) -> Option<i32> {
        exit_status(&mut self.child, PATIENCE).code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// A client whose reads and writes have a bound.
fn client(url: &str) -> Client {
    let builder = Client::builder(url)
        .read_timeout(PATIENCE)
        .write_timeout(PATIENCE);
    builder.connect().expect("it listens")
}

/// What the server answers to one HTTP request, as text.
fn ask(address: &str, request: &str) -> String {
    let mut stream = bounded(TcpStream::connect(address).expect("it listens"));
    stream.write_all(request.as_bytes()).expect("open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

// ---------------------------------------------------------------------------
// Arguments and environment
// ---------------------------------------------------------------------------

#[test]
fn version_and_help_are_written_to_standard_output() {
    let version = concat!("yamabiko ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(run(&["--version"]).stdout, version.as_bytes());
    for (arguments, first_line) in [
        (&["--help"][..], "yamabiko: a WebSocket broadcast server"),
        (&["help"], "yamabiko: a WebSocket broadcast server"),
        (&["serve", "--help"], "yamabiko serve: the chat server"),
        (&["help", "echo"], "yamabiko echo: a server that sends"),
        (&["chat", "-h"], "yamabiko chat: a terminal client"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0));
        assert!(
            output.stdout.starts_with(first_line.as_bytes()),
            "{arguments:?}"
        );
        assert_eq!(output.stderr, b"");
    }
}

#[test]
fn usage_error_is_one_line_and_exit_code_2() {
    for (arguments, complaint) in [
        (
            &["sing"][..],
            "unrecognized subcommand 'sing' (see 'yamabiko --help')",
        ),
        (
            &["--sing"],
            "unexpected argument '--sing' found (see 'yamabiko serve --help')",
        ),
        (
            &["echo", "x"],
            "unexpected argument 'x' found (see 'yamabiko echo --help')",
        ),
        (
            &["chat"],
            "the following required arguments were not provided: <URL> (see 'yamabiko chat --help')",
        ),
        (
            &["--ping-interval", "-3"],
            "--ping-interval '-3': expected seconds from 0.001 to 86400, such as 10 or 0.25 \
             (see 'yamabiko serve --help')",
        ),
        (
            &["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:1"],
            "the argument '--listen <IP:PORT>' cannot be used multiple times (see 'yamabiko serve --help')",
        ),
        (
            &["bench", "idle", "ws://h/", "--rate", "3"],
            "--rate is not for 'bench idle' (see 'yamabiko bench --help')",
        ),
    ] {
        let told = failure(run(arguments));
        assert_eq!(told, (Some(2), format!("yamabiko: {complaint}\n")));
    }
}

#[test]
fn environment_variable_is_a_setting_that_an_option_overrides() {
    let mut program = yamabiko(&["serve"]);
    program.env("YAMABIKO_LISTEN", "127.0.0.1:0");
    program.env("YAMABIKO_NO_COMPRESS", "true");
    program.env("YAMABIKO_ALLOW_ORIGIN", "https://one.example,null");
    let program = Program::start_command(&mut program);
    let line = program.line();
    let (_, url) = line.split_once("://").expect("an address");
    let address = url.trim_end_matches('/');
    for origin in ["https://one.example", "null"] {
        assert_eq!(connect_from(address, origin), 101, "{origin}");
    }
    let offer = Client::builder(&format!("ws://{address}/chat/lobby"));
    let client = offer.deflate(DeflateConfig::default()).connect();
    assert_eq!(client.expect("it listens").deflate(), None);
    // The address is in use: the program says which one it has tried.
    for (arguments, listens_on) in [
        (&["echo"][..], address),
        (&["echo", "--listen", address], address),
    ] {
        let mut command = yamabiko(arguments);
        let variable = match arguments {
            ["echo"] => listens_on,
            _ => "not read",
        };
        let told = failure(output(command.env("YAMABIKO_LISTEN", variable)));
        let complaint =
            format!("yamabiko: cannot listen on {listens_on}: address already in use\n");
        assert_eq!(told, (Some(1), complaint));
    }
}

#[test]
fn wrong_environment_variable_is_a_usage_error_that_names_it() {
    for (command, variable, value, expected) in [
        ("serve", "YAMABIKO_LISTEN", "8080", "expected IP:PORT"),
        (
            "echo",
            "YAMABIKO_WORKERS",
            "0",
            "expected a whole number from 1",
        ),
        (
            "serve",
            "YAMABIKO_WORKERS",
            "",
            "expected a whole number from 1",
        ),
        (
            "serve",
            "YAMABIKO_NO_COMPRESS",
            "maybe",
            "expected true or false",
        ),
        (
            "serve",
            "YAMABIKO_SLOW_READERS",
            "wait",
            "expected disconnect, skip or latest",
        ),
    ] {
        let told = failure(output(yamabiko(&[command]).env(variable, value)));
        assert_eq!(told.0, Some(2));
        let start = format!("yamabiko: {variable} '{value}': {expected}");
        assert!(told.1.starts_with(&start), "{}", told.1);
        let end = format!("(see 'yamabiko {command} --help')\n");
        assert!(
            told.1.ends_with(&end) && told.1.lines().count() == 1,
            "{}",
            told.1
        );
    }
}

#[test]
fn completions_for_each_shell_name_commands_and_options() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
        let script = String::from_utf8(output.stdout).expect("text");
        for name in ["serve", "bench", "ping-interval", "slow-percent"] {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
}

#[test]
fn bash_accepts_its_completions() {
    let script = run(&["completions", "bash"]).stdout;
    let mut bash = Command::new("bash");
    bash.arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped());
    // A system without bash needs none.
    let Ok(mut child) = bash.spawn() else {
        return;
    };
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(&script).expect("it reads");
    drop(input);
    let output = output_of(child, PATIENCE);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}

/// A folder that is removed when the test is done with it.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("yamabiko-{name}-{}", std::process::id());
        Folder(std::env::temp_dir().join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn manual_has_a_page_for_each_command_with_all_its_options() {
    let folder = Folder::new("manual");
    let output = run(&["man", folder.0.to_str().expect("text")]);
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
    for (page, texts) in [
        ("yamabiko", &["yamabiko", "serve", "bench"][..]),
        ("yamabiko-serve", &["ping\\-interval", "127.0.0.1:8080"]),
        ("yamabiko-echo", &["ping\\-interval", "127.0.0.1:9001"]),
        ("yamabiko-chat", &["name", "/who"]),
        ("yamabiko-bench", &["slow\\-percent", "fan\\-out"]),
        ("yamabiko-completions", &["zsh"]),
        ("yamabiko-man", &["DIR"]),
    ] {
        let path = folder.0.join(format!("{page}.1"));
        let text = std::fs::read_to_string(&path).expect(page);
        for expected in texts {
            assert!(text.contains(expected), "{page}: {expected}");
        }
        assert_eq!(formatting_warnings(&path), "", "{page}");
    }
}

/// What the formatter of manual pages complains about, if this system has one.
fn formatting_warnings(page: &std::path::Path) -> String {
    let mut groff = Command::new("groff");
    groff.args(["-man", "-ww", "-z", "-Tutf8"]).arg(page);
    groff.stdout(Stdio::null()).stderr(Stdio::piped());
    match groff.spawn() {
        Ok(child) => String::from_utf8(output_of(child, PATIENCE).stderr).expect("text"),
        Err(_) => String::new(),
    }
}

#[test]
fn manual_that_cannot_be_written_is_one_line_and_exit_code_1() {
    let (code, complaint) = failure(run(&["man", "/dev/null/manual"]));
    let expected = "yamabiko: cannot write to /dev/null/manual: not a directory\n";
    assert_eq!((code, &*complaint), (Some(1), expected));
}

#[test]
fn closed_standard_output_is_no_panic() {
    let (reader, writer) = UnixStream::pair().expect("a pair");
    drop(reader);
    let output = output(yamabiko(&["--help"]).stdout(OwnedFd::from(writer)));
    assert_eq!(failure(output), (Some(0), String::new()));
}

#[cfg(target_os = "linux")]
#[test]
fn full_standard_output_is_one_line_and_exit_code_1() {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let output = output(yamabiko(&["--help"]).stdout(full.expect("Linux has it")));
    let complaint = "yamabiko: cannot write to standard output: no space left on device\n";
    assert_eq!(failure(output), (Some(1), complaint.to_owned()));
}

// ---------------------------------------------------------------------------
// Servers
// ---------------------------------------------------------------------------

#[test]
fn port_in_use_is_one_line_and_exit_code_1() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    for command in ["serve", "echo"] {
        for workers in ["1", "2"] {
            let words = [command, "--listen", &address, "--workers", workers];
            let complaint =
                format!("yamabiko: cannot listen on {address}: address already in use\n");
            assert_eq!(failure(run(&words)), (Some(1), complaint));
        }
    }
}

#[test]
fn bare_program_serves_the_page_and_the_chat() {
    let (mut server, address) = Program::server(&["--workers", "2"]);
    let page = ask(
        &address,
        &format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n"),
    );
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("text/html"), "{page}");
    Client::connect(&format!("ws://{address}/chat/lobby")).expect("the chat");
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn first_line_names_program_version_and_address() {
    for (command, says) in [("serve", "open http"), ("echo", "echo on ws")] {
        let program = Program::start(&[command, "--listen", "127.0.0.1:0"]);
        let line = program.line();
        let version = env!("CARGO_PKG_VERSION");
        let start = format!("yamabiko {version}: {says}://127.0.0.1:");
        let rest = line.strip_prefix(&start).expect(&line);
        let port: u16 = rest.trim_end_matches('/').parse().expect(&line);
        assert_ne!(port, 0);
    }
}

#[test]
fn signal_ends_a_server_gracefully_with_1001_for_everyone() {
    for signal in ["INT", "TERM", "HUP"] {
        let (mut server, address) = Program::server(&["echo"]);
        let mut client = client(&format!("ws://{address}/"));
        server.signal(signal);
        assert_eq!(client.read().expect("a clean end"), None);
        let ended = client.ended().expect("it has");
        assert_eq!((ended.clean, ended.code), (true, 1001));
        assert_eq!(server.exit_code(), Some(0));
    }
}

/// A server, and a client that never answers its Close and so holds up its end, after the
/// Close has come: the first signal was obeyed.
fn server_held_up_after(signal: &str) -> (Program, TcpStream) {
    let timeouts = ["--drain-timeout", "600", "--close-timeout", "600"];
    let (server, address) = Program::server(&[&["echo"][..], &timeouts].concat());
    let mut mute = bounded(TcpStream::connect(&address).expect("it listens"));
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13";
    write!(
        mute,
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n\r\n"
    )
    .expect("open");
    let mut heard = Vec::new();
    let mut hear_until = |end: &[u8]| {
        while !heard.ends_with(end) {
            let mut octet = [0];
            mute.read_exact(&mut octet).expect("more to hear");
            heard.extend_from_slice(&octet);
        }
    };
    hear_until(b"\r\n\r\n");
    server.signal(signal);
    hear_until(b"\x03\xe9"); // the code in the Close
    (server, mute)
}

#[test]
fn second_signal_ends_a_server_at_once_with_130() {
    for signal in ["INT", "HUP"] {
        let (mut server, _mute) = server_held_up_after(signal);
        server.signal("INT");
        assert_eq!(server.exit_code(), Some(130));
    }
}

// The shell and the kernel both send one when a terminal closes.
#[cfg(target_os = "linux")]
#[test]
fn second_hangup_does_not_cut_the_closing_short() {
    let (mut server, mute) = server_held_up_after("HUP");
    server.signal("HUP");
    // A server that still runs answers this, and ends when the client is gone.
    drop(mute);
    assert_eq!(server.exit_code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn hangup_that_nohup_ignores_stays_ignored() {
    let words = [
        env!("CARGO_BIN_EXE_yamabiko"),
        "echo",
        "--listen",
        "127.0.0.1:0",
    ];
    let mut server = Program::start_command(Command::new("nohup").args(words));
    let line = server.line();
    let (_, rest) = line.split_once("://").expect("an address");
    server.signal("HUP");
    let mut client = client(&format!("ws://{rest}"));
    client.send(Message::Text("still here")).expect("open");
    assert!(client.read().expect("open").is_some());
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn first_line_names_an_address_that_can_be_opened() {
    let program = Program::start(&["serve", "--listen", "0.0.0.0:0"]);
    let line = program.line();
    let (_, url) = line.split_once("open http://").expect(&line);
    let (address, rest) = url.split_once('/').expect(&line);
    let port = address.strip_prefix("127.0.0.1:").expect(&line);
    assert_eq!(rest, format!(" (listening on 0.0.0.0:{port})"));
    let page = ask(address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
}

#[test]
fn echo_sends_back_messages_up_to_its_limit() {
    let (_server, address) = Program::server(&["echo", "--message-bytes-max", "64KiB"]);
    let mut client = client(&format!("ws://{address}/"));
    client.send(Message::Text("やまびこ")).expect("open");
    let echo = client.read().expect("open");
    assert_eq!(echo, Some(OwnedMessage::Text("やまびこ".to_owned())));
    let longest = vec![0x5a; 64 << 10];
    client.send(Message::Binary(&longest)).expect("open");
    assert!(client.read().expect("open") == Some(OwnedMessage::Binary(longest)));
    client
        .send(Message::Binary(&[0; (64 << 10) + 1]))
        .expect("open");
    assert!(!matches!(client.read(), Ok(Some(_))), "one past it");
    assert_eq!(client.ended().expect("it has").code, 1009);
}

#[test]
fn servers_compress_for_clients_that_offer_it_unless_they_are_told_not_to() {
    let agreed = |flags: &[&str]| {
        let (_server, address) = Program::server(flags);
        let uri = format!("ws://{address}/chat/lobby");
        let offer = DeflateConfig {
            client_no_context_takeover: false,
            ..DeflateConfig::default()
        };
        let client = Client::builder(&uri).deflate(offer).connect();
        client.expect("it listens").deflate()
    };
    for command in ["serve", "echo"] {
        let by_default = agreed(&[command]).expect("compression");
        assert!(by_default.server_no_context_takeover);
        assert!(by_default.client_no_context_takeover);
        let takeover = agreed(&[command, "--compress-takeover", "11"]).expect("compression");
        assert!(takeover.server_no_context_takeover);
        assert!(!takeover.client_no_context_takeover);
        assert_eq!(takeover.client_max_window_bits.get(), 11);
        assert_eq!(agreed(&[command, "--no-compress"]), None);
    }
}

/// The status of the answer to a handshake of a page of this origin.
fn connect_from(address: &str, origin: &str) -> u16 {
    let uri = format!("ws://{address}/chat/lobby");
    match Client::builder(&uri).origin(origin).connect() {
        Ok(_) => 101,
        Err(ClientError::Refused(refusal)) => refusal.response.status,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn pages_of_other_sites_are_refused_unless_they_are_allowed() {
    let connect = connect_from;
    let (_server, address) = Program::server(&["serve"]);
    assert_eq!(connect(&address, &format!("http://{address}")), 101);
    assert_eq!(connect(&address, "https://evil.example"), 403);
    let allow = ["serve", "--allow-origin", "https://app.example"];
    let (_server, address) = Program::server(&allow);
    assert_eq!(connect(&address, "https://app.example"), 101);
    assert_eq!(connect(&address, "https://evil.example"), 403);
    let (_server, address) = Program::server(&["serve", "--allow-origin", "*"]);
    assert_eq!(connect(&address, "https://evil.example"), 101);
}

#[test]
fn allow_origin_takes_subdomains_and_ignores_case_and_default_port() {
    let (_server, address) = Program::server(&[
        "serve",
        "--allow-origin",
        "https://*.example.org",
        "--allow-origin",
        "HTTPS://App.Example:443",
    ]);
    for (origin, status) in [
        ("https://a.example.org", 101),
        ("https://a.b.example.org", 101),
        ("https://example.org", 403),
        ("https://evilexample.org", 403),
        ("http://a.example.org", 403),
        ("https://a.example.org:8443", 403),
        ("https://app.example", 101),
        ("https://app.example:8443", 403),
    ] {
        assert_eq!(connect_from(&address, origin), status, "{origin}");
    }
}

#[test]
fn refusal_of_an_origin_names_origin_host_and_flag() {
    let (_server, address) = Program::server(&["serve"]);
    let request = format!(
        "GET /chat/lobby HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\nOrigin: https://evil.example\r\n\r\n"
    );
    let answer = ask(&address, &request);
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    for named in ["https://evil.example", &address, "--allow-origin"] {
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        assert!(body.contains(named), "{named}: {answer}");
    }
}

#[test]
fn origin_that_no_page_can_have_is_a_usage_error() {
    for origin in [
        "https://*.*.example.org",
        "https://a*.example.org",
        "https://*",
        "https://example.org:*",
        "https://example.org:65536",
        "https://example.org:0",
        "https://user@example.org",
        "https://exam ple.org",
        "https://b\u{fc}cher.example",
        "https://127.1",
        "https://[::1",
        "wss://example.org",
        "*.example.org",
    ] {
        // Should the origin be taken, the address ends the program.
        let words = ["serve", "--allow-origin", origin, "--listen", "-"];
        let (code, complaint) = failure(run(&words));
        let named = format!("yamabiko: --allow-origin '{origin}': ");
        assert!(complaint.starts_with(&named), "{origin}: {complaint}");
        assert_eq!(code, Some(2));
    }
}

#[test]
fn echo_on_loopback_takes_pages_of_any_origin_unless_origins_are_named() {
    let (_server, address) = Program::server(&["echo"]);
    for origin in ["null", "https://evil.example"] {
        assert_eq!(connect_from(&address, origin), 101, "{origin}");
    }
    let named = ["echo", "--allow-origin", "https://app.example"];
    let (_server, address) = Program::server(&named);
    assert_eq!(connect_from(&address, "null"), 403);
    assert_eq!(connect_from(&address, "https://app.example"), 101);
}

// ---------------------------------------------------------------------------
// The chat client
// ---------------------------------------------------------------------------

#[test]
fn chat_says_what_is_typed_and_shows_what_others_say() {
    let (_server, address) = Program::server(&["serve"]);
    let url = format!("ws://{address}/chat/lobby");
    let mut bo = Program::start(&["chat", &url, "--name", "Bo"]);
    assert_eq!(bo.line(), "* you are Bo in lobby; 1 here");
    let mut aki = Program::start(&["chat", "--name", "Aki", &url]);
    assert_eq!(aki.line(), "* you are Aki in lobby; 2 here");
    assert_eq!(bo.line(), "* Aki is here");
    aki.type_line("");
    aki.type_line("yo-ho! 山彦");
    assert_eq!(bo.line(), "<Aki> yo-ho! 山彦");
    assert_eq!(aki.line(), "<Aki> yo-ho! 山彦");
    aki.end_input();
    assert_eq!(aki.exit_code(), Some(0));
    bo.wait_for("* Aki has left");
    bo.signal("INT");
    assert_eq!(bo.exit_code(), Some(0));
}

#[test]
fn chat_says_all_of_a_short_input_before_it_leaves() {
    let (_server, address) = Program::server(&["serve"]);
    let url = format!("ws://{address}/chat/lobby");
    let bo = Program::start(&["chat", &url, "--name", "Bo"]);
    assert_eq!(bo.line(), "* you are Bo in lobby; 1 here");
    let mut aki = Program::start(&["chat", &url, "--name", "Aki"]);
    aki.type_line("one");
    aki.type_line("two");
    aki.end_input();
    assert_eq!(aki.exit_code(), Some(0));
    for line in ["* Aki is here", "<Aki> one", "<Aki> two", "* Aki has left"] {
        assert_eq!(bo.line(), line);
    }
}

#[test]
fn chat_takes_another_name_when_its_own_is_taken() {
    let (_server, address) = Program::server(&["serve"]);
    let url = format!("ws://{address}/chat/lobby");
    let first = Program::start(&["chat", &url, "--name", "Bo"]);
    assert_eq!(first.line(), "* you are Bo in lobby; 1 here");
    let second = Program::start(&["chat", &url, "--name", "Bo"]);
    assert!(second.line().starts_with("! "));
    let line = second.line();
    assert!(
        line.starts_with("* you are Bo") && line.ends_with(" in lobby; 2 here"),
        "{line}"
    );
    let guest = Program::start(&["chat", &url]);
    assert!(guest.line().starts_with("* you are guest-"));
}

#[test]
fn chat_speaks_plain_lines_in_a_broadcast_room() {
    let (_server, address) = Program::server(&["serve"]);
    let url = format!("ws://{address}/broadcast/ticks");
    let mut one = Program::start(&["chat", &url]);
    let mut other = client(&url);
    one.type_line("tick");
    assert_eq!(one.line(), "tick");
    // It may have joined after the first one.
    one.type_line("tock");
    while other.read().expect("open") != Some(OwnedMessage::Text("tock".to_owned())) {}
    other.send(Message::Binary(&[1, 2, 3])).expect("open");
    one.wait_for("! binary message of 3 bytes");
    other.close(CloseCode::NORMAL, "").expect("short");
}

#[test]
fn chat_that_cannot_connect_is_one_line_and_exit_code_1() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let refused = format!("cannot connect to {address}: Connection refused");
    let (_server, server) = Program::server(&["serve"]);
    let nowhere = format!("ws://{server}/nowhere");
    for (url, complaint) in [
        (&*format!("ws://{address}/chat/lobby"), &*refused),
        ("wss://127.0.0.1/", "wss is not supported yet: no TLS"),
        (
            "lobby",
            "the URI does not begin with ws:// or wss:// (RFC 6455 §3)",
        ),
        (
            &nowhere,
            "the server answered 404 Not Found: there is no WebSocket at this path",
        ),
    ] {
        let told = failure(run(&["chat", url]));
        assert_eq!(told, (Some(1), format!("yamabiko: {complaint}\n")));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3
//= type=test
//# To prevent this, clients SHOULD use some form of backoff when trying to
//# reconnect after abnormal closures as described in this section.
#[test]
fn chat_comes_back_after_a_pause_when_the_server_has_restarted() {
    let (mut server, address) = Program::server(&["serve"]);
    let url = format!("ws://{address}/chat/lobby");
    let mut aki = Program::start(&["chat", &url, "--name", "Aki"]);
    assert_eq!(aki.line(), "* you are Aki in lobby; 1 here");
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    let _server = Program::start(&["serve", "--listen", &address]);
    let notice = aki.complaints.recv_timeout(PATIENCE).expect("a notice");
    let goes = "yamabiko: the server closed the connection: it goes away (1001); again in ";
    let pause = notice.strip_prefix(goes).expect(&notice);
    let seconds: f64 = pause.trim_end_matches(" s").parse().expect(&notice);
    assert!((0.0..=5.0).contains(&seconds), "{notice}");
    aki.type_line("still here");
    assert_eq!(aki.line(), "* you are Aki in lobby; 1 here");
    assert_eq!(aki.line(), "<Aki> still here");
    aki.end_input();
    assert_eq!(aki.exit_code(), Some(0));
}

/// Runs `yamabiko chat` with this input to its end.
fn chat_with_input(url: &str, input: &[u8]) -> Output {
    let mut child = yamabiko(&["chat", url, "--name", "Aki"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    // It may end before it has read all.
    let writing = thread::spawn(move || drop(pipe.write_all(&input)));
    let output = output_of(child, PATIENCE);
    joined("the end of the input", writing);
    output
}

fn complaints(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

#[test]
fn long_line_of_input_is_cut_between_two_characters() {
    let (_server, address) = Program::server(&["serve"]);
    let url = format!("ws://{address}/broadcast/x");
    let mut other = client(&url);
    let line = format!("a{}", "é".repeat(40_000));
    let output = chat_with_input(&url, line.as_bytes());
    assert_eq!(
        (complaints(&output), output.status.code()),
        (String::new(), Some(0))
    );
    let mut heard = String::new();
    while heard.len() < line.len() {
        let Some(OwnedMessage::Text(text)) = other.read().expect("in time") else {
            panic!("a text");
        };
        assert!(text.len() <= 64 << 10);
        heard.push_str(&text);
    }
    assert!(heard == line);
}

#[test]
fn input_that_is_no_utf8_is_told_once_on_standard_error() {
    let (_server, address) = Program::server(&["serve"]);
    let url = format!("ws://{address}/chat/lobby");
    let bo = Program::start(&["chat", &url, "--name", "Bo"]);
    assert_eq!(bo.line(), "* you are Bo in lobby; 1 here");
    let output = chat_with_input(&url, b"caf\xe9\n\xff\n");
    assert_eq!(
        complaints(&output),
        "yamabiko: the input has bytes that are not UTF-8; each such place is sent as U+FFFD\n"
    );
    assert_eq!(output.status.code(), Some(0));
    bo.wait_for("<Aki> caf\u{fffd}");
}

/// Answers one request at this address, after the server that was there has gone.
fn answer_once(address: &str, answer: &'static str) -> thread::JoinHandle<()> {
    let listener = TcpListener::bind(address).expect("free again");
    thread::spawn(move || {
        let mut stream = accepted(&listener);
        let mut request = [0; 4_096];
        let _ = stream.read(&mut request);
        stream.write_all(answer.as_bytes()).expect("open");
    })
}

/// A chat whose server has gone, and answers with this when it comes back.
fn chat_that_comes_back_to(answer: &'static str) -> Program {
    let (mut server, address) = Program::server(&["serve"]);
    let url = format!("ws://{address}/chat/lobby");
    let aki = Program::start(&["chat", &url, "--name", "Aki"]);
    assert_eq!(aki.line(), "* you are Aki in lobby; 1 here");
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    let answering = answer_once(&address, answer);
    let lost = aki.complaints.recv_timeout(PATIENCE).expect("a notice");
    assert!(lost.contains("(1001); again in "), "{lost}");
    joined("the answer", answering);
    aki
}

#[test]
fn refusal_on_return_that_would_come_again_ends_the_chat_with_its_reason() {
    for (answer, reason) in [
        (
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 7\r\n\r\nno pass",
            "the server answered 401 Unauthorized: no pass",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
            "the server answered 403 Forbidden",
        ),
    ] {
        let mut aki = chat_that_comes_back_to(answer);
        let told = aki.complaints.recv_timeout(PATIENCE).expect("the reason");
        assert_eq!(told, format!("yamabiko: {reason}"));
        assert_eq!(aki.exit_code(), Some(1));
    }
}

#[test]
fn retry_after_of_the_server_is_the_least_pause() {
    let answer = "HTTP/1.1 503 Busy\r\nRetry-After: 600\r\nContent-Length: 0\r\n\r\n";
    let mut aki = chat_that_comes_back_to(answer);
    let told = aki.complaints.recv_timeout(PATIENCE).expect("a notice");
    let (reason, pause) = told.split_once("; again in ").expect(&told);
    assert_eq!(reason, "yamabiko: the server answered 503 Busy");
    let seconds: f64 = pause.trim_end_matches(" s").parse().expect(&told);
    assert!((600.0..=605.0).contains(&seconds), "{told}");
    aki.signal("INT");
    assert_eq!(aki.exit_code(), Some(0));
}

#[test]
fn redirection_is_not_followed_and_its_location_is_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    drop(listener);
    let answering = answer_once(
        &address,
        "HTTP/1.1 301 Moved Permanently\r\nLocation: https://example.org/\u{9b}x\r\n\
         Content-Length: 0\r\n\r\n",
    );
    let told = failure(run(&["chat", &format!("ws://{address}/chat/lobby")]));
    let location = r"https://example.org/\u{9b}x";
    let complaint =
        format!("yamabiko: the server answered 301 Moved Permanently, Location: {location}\n");
    assert_eq!(told, (Some(1), complaint));
    joined("the answer", answering);
}

#[test]
fn chat_asks_for_the_wished_name_first_each_time_it_comes_back() {
    let (mut server, address) = Program::server(&["serve"]);
    let url = format!("ws://{address}/chat/lobby");
    let mut holder = Program::start(&["chat", &url, "--name", "Aki"]);
    assert_eq!(holder.line(), "* you are Aki in lobby; 1 here");
    let aki = Program::start(&["chat", &url, "--name", "Aki"]);
    aki.wait_for("* you are Aki 2 in lobby; 2 here");
    holder.end_input();
    assert_eq!(holder.exit_code(), Some(0));
    aki.wait_for("* Aki has left");
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    let _server = Program::start(&["serve", "--listen", &address]);
    aki.wait_for("* you are Aki in lobby; 1 here");
}

#[test]
fn close_code_of_the_server_is_told_to_a_program_with_status_1() {
    let (_server, address) = Program::server(&["serve", "--message-bytes-max", "1000"]);
    for room in ["broadcast", "chat"] {
        let url = format!("ws://{address}/{room}/x");
        let output = chat_with_input(&url, &[b'x'; 5_000]);
        let told = complaints(&output);
        let last = "yamabiko: the server closed the connection: \
                    a message was too long for it (1009)\n";
        assert!(told.ends_with(last), "{told}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn refused_line_of_a_program_is_told_on_standard_error_with_status_1() {
    let (_server, address) = Program::server(&["serve"]);
    let url = format!("ws://{address}/chat/lobby");
    let long = "x".repeat(5_000);
    for (line, why) in [
        (long.as_str(), "4096 bytes"),
        ("a\x07", "control characters"),
    ] {
        let output = chat_with_input(&url, format!("{line}\nfine\n").as_bytes());
        let told = complaints(&output);
        assert!(
            told.contains(why) && told.contains("Not sent: \""),
            "{told}"
        );
        let last = "yamabiko: messages that were refused, or may be lost: 1\n";
        assert!(told.ends_with(last), "{told}");
        assert_eq!(output.status.code(), Some(1));
        assert!(!String::from_utf8_lossy(&output.stdout).contains('!'));
    }
}

#[test]
fn line_of_a_program_that_begins_with_a_slash_is_said_as_it_is() {
    let (_server, address) = Program::server(&["serve"]);
    let url = format!("ws://{address}/chat/lobby");
    let bo = Program::start(&["chat", &url, "--name", "Bo"]);
    assert_eq!(bo.line(), "* you are Bo in lobby; 1 here");
    let output = chat_with_input(&url, b"/var/log is full\n//quit\n");
    assert_eq!(
        (complaints(&output), output.status.code()),
        (String::new(), Some(0))
    );
    bo.wait_for("<Aki> /var/log is full");
    bo.wait_for("<Aki> //quit");
}
