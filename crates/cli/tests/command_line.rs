//! The built program from outside: arguments, environment, output, exit codes and signals.
//!
//! Every server here listens on a free port of the loopback interface, and every
//! wait for a line has an end.

#![cfg(unix)]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use yamabiko::client::{Client, ClientError, OwnedMessage};
use yamabiko::websocket::Message;
use yamabiko::websocket::deflate::DeflateConfig;
use yamabiko::websocket::frame::CloseCode;

use yamabiko_testing::port::ReservedPort;
use yamabiko_testing::waiting::{
    Deadline, LOOP_TIMEOUT, TIMEOUT, accepted, bounded, eventually, exit_status, joined, output_of,
};

const NAME_AND_VERSION: &str = concat!("yamabiko ", env!("CARGO_PKG_VERSION"));

fn yamabiko(arguments: &[&str]) -> Command {
    let mut command = program();
    command.args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The built program. SIGHUP has its default, whatever the tests run under: below `nohup` a program would
/// inherit that it is ignored. `env` replaces itself by the program.
#[cfg(target_os = "linux")]
fn program() -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_yamabiko")]);
    command
}

#[cfg(not(target_os = "linux"))]
fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_yamabiko"))
}

/// Runs the program to its end.
fn run(arguments: &[&str]) -> Output {
    output(&mut yamabiko(arguments))
}

/// Runs this command to its end.
fn output(command: &mut Command) -> Output {
    output_of(command.spawn().expect("the program starts"), TIMEOUT)
}

/// Exit status and standard error of a run that writes nothing to standard output.
fn failure(output: Output) -> (Option<i32>, String) {
    assert_eq!(output.stdout, b"");
    let message = String::from_utf8(output.stderr).expect("text");
    (output.status.code(), message)
}

/// A running program, which is killed when the value is dropped.
struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Program {
    fn start(arguments: &[&str]) -> Program {
        Program::start_command(&mut yamabiko(arguments))
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
            errors: error_lines_of(child.stderr.take().expect("a pipe")),
            child,
        }
    }

    /// Starts a server, and gives its `IP:PORT` as well.
    fn server(arguments: &[&str]) -> (Program, String) {
        Program::server_at("127.0.0.1:0", arguments)
    }

    fn server_at(listen: &str, arguments: &[&str]) -> (Program, String) {
        let arguments = [arguments, &["--listen", listen]].concat();
        let program = Program::start(&arguments);
        let line = program.line();
        let (_, rest) = line.split_once("://").expect("an address");
        let address = rest.trim_end_matches('/').to_owned();
        (program, address)
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(TIMEOUT).expect("a line")
    }

    /// Skips lines up to this one.
    fn wait_for(&self, wanted: &str) {
        let deadline = Deadline::after(LOOP_TIMEOUT);
        while self.line() != wanted {
            deadline.check(wanted);
        }
    }

    /// The next line of standard error that is none of the log.
    fn error_line(&self) -> Option<String> {
        let mut lines = std::iter::from_fn(|| self.errors.recv_timeout(TIMEOUT).ok());
        lines.find(|line| line.starts_with("yamabiko: "))
    }

    /// Standard error has no other line so far, except those of the log.
    fn has_reported_nothing_more(&self) {
        let mut lines = std::iter::from_fn(|| self.errors.try_recv().ok());
        assert_eq!(lines.find(|line| line.starts_with("yamabiko: ")), None);
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
        exit_status(&mut self.child, TIMEOUT).code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of standard error, without the one about the descriptors of this machine.
fn error_lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let is_of_this_machine = |line: &String| {
        line.starts_with("yamabiko: connections-max is ") && line.contains(" and not 65536: ")
    };
    let (sender, filtered) = channel();
    let lines = lines_of(pipe);
    thread::spawn(move || {
        for line in lines.iter().filter(|line| !is_of_this_machine(line)) {
            let _ = sender.send(line);
        }
    });
    filtered
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
        .read_timeout(TIMEOUT)
        .write_timeout(TIMEOUT);
    builder.connect().expect("it listens")
}

/// A client that is in the room of this URL: it has got its own message.
fn member(url: &str) -> Client {
    let mut client = client(url);
    client.send(Message::Text("here")).expect("open");
    while client.read().expect("open") != Some(OwnedMessage::Text("here".to_owned())) {}
    client
}

/// The server's response to one HTTP request, as text.
fn ask(address: &str, request: &str) -> String {
    let mut stream = bounded(TcpStream::connect(address).expect("it listens"));
    stream.write_all(request.as_bytes()).expect("open");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("an response");
    response
}

// ---------------------------------------------------------------------------
// Arguments and environment
// ---------------------------------------------------------------------------

#[test]
fn version_and_help_are_written_to_standard_output() {
    let version = format!("{NAME_AND_VERSION}\n");
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
    for (arguments, message) in [
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
            "missing <URL>, as in 'yamabiko chat ws://127.0.0.1:8080/chat/lobby' \
             (see 'yamabiko chat --help')",
        ),
        (
            &["--ping-interval", "-3"],
            "--ping-interval '-3': expected 0, or seconds from 0.001 to 86400, such as 10 or 0.25 \
             (see 'yamabiko serve --help')",
        ),
        (
            &["--workers", "1", "--workers", "2"],
            "the argument '--workers <N>' cannot be used multiple times (see 'yamabiko serve --help')",
        ),
        (
            &["bench", "idle", "ws://h/", "--rate", "3"],
            "--rate is not for 'bench idle' (see 'yamabiko bench --help')",
        ),
    ] {
        let reported = failure(run(arguments));
        assert_eq!(reported, (Some(2), format!("yamabiko: {message}\n")));
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
        let reported = failure(output(command.env("YAMABIKO_LISTEN", variable)));
        let message = format!("yamabiko: cannot listen on {listens_on}: address already in use\n");
        assert_eq!(reported, (Some(1), message));
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
            "YAMABIKO_NO_COMPRESS",
            "maybe",
            "expected true or false",
        ),
        (
            "serve",
            "YAMABIKO_LAG_ACTION",
            "wait",
            "expected disconnect, skip or latest",
        ),
    ] {
        let reported = failure(output(yamabiko(&[command]).env(variable, value)));
        assert_eq!(reported.0, Some(2));
        let start = format!("yamabiko: {variable} '{value}': {expected}");
        assert!(reported.1.starts_with(&start), "{}", reported.1);
        let end = format!("(see 'yamabiko {command} --help')\n");
        assert!(
            reported.1.ends_with(&end) && reported.1.lines().count() == 1,
            "{}",
            reported.1
        );
    }
}

#[test]
fn empty_environment_variable_counts_as_not_set() {
    let mut program = yamabiko(&["serve", "--listen", "127.0.0.1:0"]);
    for variable in [
        "WORKERS",
        "NO_COMPRESS",
        "LAG_ACTION",
        "ALLOW_ORIGIN",
        "LISTEN",
    ] {
        program.env(format!("YAMABIKO_{variable}"), "");
    }
    let program = Program::start_command(&mut program);
    assert!(program.line().contains("open http://127.0.0.1:"));
}

#[test]
fn environment_variable_that_is_not_utf_8_is_a_usage_error_that_names_it() {
    let value = OsStr::from_bytes(b"Aki\xff");
    let mut chat = yamabiko(&["chat", "ws://127.0.0.1:9/chat/lobby"]);
    let reported = failure(output(chat.env("YAMABIKO_NAME", value)));
    let message = "yamabiko: YAMABIKO_NAME 'Aki\u{fffd}': expected UTF-8 \
                   (see 'yamabiko chat --help')\n";
    assert_eq!(reported, (Some(2), message.to_owned()));
}

#[test]
fn settings_that_config_prints_are_a_file_that_serve_checks_and_reads() {
    let folder = Folder::new("settings");
    std::fs::create_dir_all(&folder.0).expect("a temporary folder");
    let file = folder.0.join("yamabiko.toml");
    let path = file.to_str().expect("text");
    let printed = run(&["config", "--connections-per-address", "5", "--workers", "1"]);
    assert_eq!(
        (printed.status.code(), &*printed.stderr),
        (Some(0), &b""[..])
    );
    std::fs::write(&file, &printed.stdout).expect("a folder for it");

    let checked = run(&["serve", "--config", path, "--check"]);
    assert_eq!(checked.stdout, b"the settings are valid\n");
    assert_eq!(
        (checked.status.code(), &*checked.stderr),
        (Some(0), &b""[..])
    );

    let (_program, address) = Program::server(&["serve", "--config", path]);
    let five: Vec<TcpStream> = (0..5)
        .map(|_| TcpStream::connect(&address).expect("it listens"))
        .collect();
    let page = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let sixth = ask(&address, page);
    assert!(sixth.starts_with("HTTP/1.1 503 "), "{sixth}");
    assert!(sixth.contains("\r\nRetry-After: "), "{sixth}");
    drop(five);
    eventually("the sixth is served", TIMEOUT, || {
        ask(&address, page).starts_with("HTTP/1.1 200 ")
    });
}

/// A page of `docs/`.
fn page(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/");
    std::fs::read_to_string(format!("{folder}{name}")).expect(name)
}

/// A setting of `serve` as `yamabiko config` prints it.
struct Setting {
    key: String,
    default: String,
    /// The reason of the default; may be empty.
    reason: String,
}

/// The settings of `serve` without any that is set.
fn settings() -> Vec<Setting> {
    let printed = run(&["config"]);
    let text = String::from_utf8(printed.stdout).expect("text");
    let paragraphs = text.split("\n\n");
    paragraphs.filter_map(setting_of).collect()
}

fn setting_of(paragraph: &str) -> Option<Setting> {
    let (comment, setting) = paragraph.trim_end().rsplit_once('\n')?;
    let (key, default) = setting.split_once(" = ")?;
    let reason = comment.split_once("\n# Reason of the default: ");
    Some(Setting {
        key: key.to_owned(),
        default: default.trim_matches('"').to_owned(),
        reason: reason.map_or("", |(_, reason)| reason).to_owned(),
    })
}

/// A value of a settings file as `docs/limits.md` writes it.
fn as_documented(key: &str, value: &str) -> String {
    let is_time = ["-timeout", "-interval", "-burst", "-age-max", "-wait-max"];
    match value {
        "none" => "off".to_owned(),
        value if is_time.iter().any(|end| key.ends_with(end)) => format!("{value} s"),
        value => match value.find(|c: char| !c.is_ascii_digit()) {
            // 64KiB
            Some(unit) => format!("{} {}", &value[..unit], &value[unit..]),
            None if value.len() > 3 => {
                let (thousands, rest) = value.split_at(value.len() - 3);
                format!("{thousands},{rest}")
            }
            None => value.to_owned(),
        },
    }
}

#[test]
fn page_about_limits_has_the_defaults_of_the_program_and_their_reasons() {
    let page = page("limits.md");
    let (limits, _) = page
        .split_once("## The tests of each limit")
        .expect("a section");
    let rows: Vec<&str> = limits
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let mut compared = 0;
    for Setting {
        key,
        default,
        reason,
    } in settings()
    {
        let row = rows
            .iter()
            .find(|row| row.starts_with(&format!("| `{key}` |")));
        let cells: Vec<&str> =
            row.map_or(Vec::new(), |row| row.split('|').map(str::trim).collect());
        let [_, _, documented, _, why, ..] = cells[..] else {
            assert_eq!(reason, "", "{key} has no row");
            continue;
        };
        let expected = as_documented(&key, &default);
        assert!(documented.starts_with(&expected), "{key}: {expected}");
        assert!(why.contains(&reason), "{key}: {reason}");
        compared += 1;
    }
    // Limits that are no settings are in parentheses.
    assert_eq!(compared, rows.len());
}

#[test]
fn every_setting_is_in_the_pages_for_operators() {
    let pages = [
        "limits.md",
        "operating.md",
        "access.md",
        "monitoring.md",
        "restart.md",
        "pusher.md",
        "deploy.md",
        "cluster.md",
    ]
    .map(page)
    .concat();
    for Setting { key, .. } in settings() {
        let is_named = [format!("`{key}`"), format!("--{key}"), format!("{key} =")];
        assert!(is_named.iter().any(|name| pages.contains(name)), "{key}");
    }
}

#[test]
fn misspelt_environment_variable_is_reported_and_an_error_of_check() {
    let mut checked = yamabiko(&["serve", "--check"]);
    let reported = failure(output(checked.env("YAMABIKO_PING_INTERVALL", "3")));
    let message = "yamabiko: no option has the environment variable YAMABIKO_PING_INTERVALL\n";
    assert_eq!(reported, (Some(2), message.to_owned()));
    let mut printed = yamabiko(&["config"]);
    let printed = output(printed.env("YAMABIKO_PING_INTERVALL", "3"));
    assert_eq!(printed.status.code(), Some(0));
    assert_eq!(printed.stderr, message.as_bytes());
}

#[test]
fn settings_file_without_an_end_is_an_error() {
    let reported = failure(run(&["serve", "--config", "/dev/zero", "--check"]));
    let message = "yamabiko: cannot read /dev/zero: a settings file has at most 1 MiB\n";
    assert_eq!(reported, (Some(2), message.to_owned()));
}

#[test]
fn wrong_settings_file_is_one_line_that_names_the_setting_and_exit_code_2() {
    let folder = Folder::new("wrong-settings");
    std::fs::create_dir_all(&folder.0).expect("a temporary folder");
    let file = folder.0.join("yamabiko.toml");
    let path = file.to_str().expect("text");
    for (text, reason) in [
        (
            "workers = 0",
            "workers '0': expected a whole number from 1 to 1024 (see 'yamabiko serve --help')",
        ),
        (
            "wrokers = 1",
            "there is no setting 'wrokers' (see 'yamabiko serve --help')",
        ),
    ] {
        std::fs::write(&file, text).expect("a folder for it");
        for arguments in [
            &["serve", "--config", path][..],
            &["serve", "--config", path, "--check"],
            &["--config", path],
            &["config", "--config", path],
        ] {
            let expected = format!("yamabiko: {path}: {reason}\n");
            assert_eq!(failure(run(arguments)), (Some(2), expected));
        }
    }
}

#[test]
fn settings_file_that_cannot_be_read_is_one_line_and_exit_code_2() {
    let folder = Folder::new("unreadable-settings");
    std::fs::create_dir_all(&folder.0).expect("a temporary folder");
    let not_text = folder.0.join("not-text.toml");
    std::fs::write(&not_text, b"workers = 1 # \xff").expect("a folder for it");
    for (path, reason) in [
        (folder.0.join("none.toml"), "no such file or directory"),
        (folder.0.clone(), "is a directory"),
        (not_text, "stream did not contain valid UTF-8"),
    ] {
        let path = path.to_str().expect("text");
        let expected = format!("yamabiko: cannot read {path}: {reason}\n");
        assert_eq!(
            failure(run(&["serve", "--config", path])),
            (Some(2), expected)
        );
    }
}

/// The file is read once: at the start.
#[test]
fn settings_file_that_becomes_wrong_changes_no_running_server_and_stops_the_next_start() {
    let folder = Folder::new("changed-settings");
    std::fs::create_dir_all(&folder.0).expect("a temporary folder");
    let file = folder.0.join("yamabiko.toml");
    let path = file.to_str().expect("text");
    std::fs::write(&file, "workers = 1\nconnections-max = 2").expect("a folder for it");
    let (mut server, address) = Program::server(&["serve", "--config", path]);
    let page = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for change in ["connections-max = 0", "wrokers = 1", "connections-max = ["] {
        std::fs::write(&file, change).expect("a folder for it");
        assert!(ask(&address, page).starts_with("HTTP/1.1 200 "));
        let (code, message) = failure(run(&["serve", "--config", path, "--check"]));
        assert_eq!(
            (code, message.matches('\n').count()),
            (Some(2), 1),
            "{message}"
        );
    }
    std::fs::remove_file(&file).expect("the file");
    assert!(ask(&address, page).starts_with("HTTP/1.1 200 "));
    let open: Vec<TcpStream> = (0..2)
        .map(|_| TcpStream::connect(&address).expect("it listens"))
        .collect();
    assert!(ask(&address, page).starts_with("HTTP/1.1 503 "));
    drop(open);
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
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
    let output = output_of(child, TIMEOUT);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}

#[test]
fn bash_completes_the_options_of_serve_without_a_command() {
    let folder = Folder::new("completions");
    std::fs::create_dir(&folder.0).expect("a new folder");
    let script = folder.0.join("yamabiko.bash");
    std::fs::write(&script, run(&["completions", "bash"]).stdout).expect("a new file");
    let complete = r#"
        source "$0" || exit
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _yamabiko yamabiko "${@: -1}" "${@: -2:1}"
        echo "${COMPREPLY[@]}""#;
    for (words, expected) in [
        (&["yamabiko", "--ping"][..], "--ping-interval\n"),
        (&["yamabiko", "--lag-action", "s"], "skip\n"),
        (&["yamabiko", "ser"], "serve\n"),
        (&["yamabiko", "bench", "--slow"], "--slow-percent\n"),
    ] {
        let mut bash = Command::new("bash");
        bash.args(["-c", complete]).arg(&script).args(words);
        bash.stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A system without bash needs none.
        let Ok(child) = bash.spawn() else {
            return;
        };
        let output = output_of(child, TIMEOUT);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            expected,
            "{output:?}"
        );
    }
}

/// A folder, which is removed when the value is dropped.
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
        (
            "yamabiko",
            &["yamabiko", "serve", "bench", ".SH EXAMPLES"][..],
        ),
        (
            "yamabiko-serve",
            &[
                "ping\\-interval",
                "127.0.0.1:8080",
                ".SH PATHS",
                ".SH NOTES",
            ],
        ),
        ("yamabiko-config", &["ping\\-interval", "TOML"]),
        ("yamabiko-echo", &["ping\\-interval", "127.0.0.1:9001"]),
        ("yamabiko-chat", &["name", "/who"]),
        ("yamabiko-bench", &["slow\\-percent", "fan\\-out"]),
        ("yamabiko-conform", &["fail\\-on", "utf8/"]),
        ("yamabiko-completions", &["zsh"]),
        ("yamabiko-man", &["DIR"]),
    ] {
        let path = folder.0.join(format!("{page}.1"));
        let text = std::fs::read_to_string(&path).expect(page);
        for expected in texts {
            assert!(text.contains(expected), "{page}: {expected}");
        }
        let footer = format!(".TH {page} 1  \"{NAME_AND_VERSION}\" \"Manual of yamabiko\"\n");
        assert!(text.contains(&footer) && !text.contains("EXTRA"), "{text}");
        assert_eq!(formatting_warnings(&path), "", "{page}");
    }
}

/// What the formatter of manual pages complains about, if this system has one.
fn formatting_warnings(page: &std::path::Path) -> String {
    let mut groff = Command::new("groff");
    groff.args(["-man", "-ww", "-z", "-Tutf8"]).arg(page);
    groff.stdout(Stdio::null()).stderr(Stdio::piped());
    match groff.spawn() {
        Ok(child) => String::from_utf8(output_of(child, TIMEOUT).stderr).expect("text"),
        Err(_) => String::new(),
    }
}

#[test]
fn manual_that_cannot_be_written_is_one_line_and_exit_code_1() {
    let (code, message) = failure(run(&["man", "/dev/null/manual"]));
    let expected = "yamabiko: cannot write to /dev/null/manual: not a directory\n";
    assert_eq!((code, &*message), (Some(1), expected));
}

#[test]
fn closed_standard_output_is_no_failure() {
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
    let message = "yamabiko: cannot write to standard output: no space left on device\n";
    assert_eq!(failure(output), (Some(1), message.to_owned()));
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
            let arguments = [command, "--listen", &address, "--workers", workers];
            let message = format!("yamabiko: cannot listen on {address}: address already in use\n");
            assert_eq!(failure(run(&arguments)), (Some(1), message));
        }
    }
}

#[test]
fn program_without_a_command_serves_the_page_and_the_chat() {
    let (mut server, address) = Program::server(&["--workers", "2"]);
    let page = ask(
        &address,
        &format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"),
    );
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("text/html"), "{page}");
    Client::connect(&format!("ws://{address}/chat/lobby")).expect("the chat");
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn every_server_answers_the_paths_of_monitoring() {
    for command in ["serve", "echo"] {
        let (_server, address) = Program::server(&[command]);
        let get = |path| {
            let fields = "Host: localhost\r\nConnection: close";
            ask(
                &address,
                &format!("GET {path} HTTP/1.1\r\n{fields}\r\n\r\n"),
            )
        };
        let version = env!("CARGO_PKG_VERSION");
        let version = format!("{{\"name\":\"yamabiko\",\"version\":\"{version}\"}}\n");
        for (path, text) in [
            ("/health", "ok\n"),
            ("/ready", "ready\n"),
            ("/version", &version),
        ] {
            let response = get(path);
            assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
            assert!(response.ends_with(text), "{response}");
        }
    }
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
fn signal_ends_a_server_gracefully_with_1001_for_each_connection() {
    for signal in ["INT", "TERM", "HUP"] {
        let (mut server, address) = Program::server(&["echo"]);
        let mut client = client(&format!("ws://{address}/"));
        server.signal(signal);
        assert_eq!(client.read().expect("a clean end"), None);
        let ended = client.ended().expect("it has");
        assert_eq!((ended.clean, ended.code()), (true, 1001));
        assert_eq!(server.exit_code(), Some(0));
    }
}

/// A server after its first signal, and a client that has received its Close and never
/// answers, so that the server does not end yet.
fn server_delayed_after(signal: &str) -> (Program, TcpStream) {
    let timeouts = ["--drain-timeout", "600", "--close-timeout", "600"];
    let (server, address) = Program::server(&[&["echo"][..], &timeouts].concat());
    let mut mute = bounded(TcpStream::connect(&address).expect("it listens"));
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13";
    write!(
        mute,
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n\r\n"
    )
    .expect("open");
    let mut received = Vec::new();
    let mut read_until = |end: &[u8]| {
        while !received.ends_with(end) {
            let mut byte = [0];
            mute.read_exact(&mut byte).expect("more bytes");
            received.extend_from_slice(&byte);
        }
    };
    read_until(b"\r\n\r\n");
    server.signal(signal);
    read_until(b"\x03\xe9"); // the code in the Close
    (server, mute)
}

#[test]
fn second_signal_ends_a_server_at_once_with_130_and_says_what_was_cut_off() {
    for (signal, second) in [("INT", "INT"), ("HUP", "INT"), ("TERM", "TERM")] {
        let (mut server, _mute) = server_delayed_after(signal);
        server.signal(second);
        assert_eq!(server.exit_code(), Some(130));
        let expected = "yamabiko: stopped at once: 0 connections closed, 0 lost, 1 cut off";
        assert_eq!(server.error_line().as_deref(), Some(expected));
    }
}

/// `DRAIN_CLIENTS=1000 cargo test --test command_line drain -- --nocapture` closes so many connections over 5 s instead of
/// 20 over 0.3 s, and prints and checks how they are spread.
#[test]
fn termination_closes_connections_over_the_time_of_drain_and_counts_them() {
    let many = std::env::var("DRAIN_CLIENTS").ok();
    let many: Option<usize> = many.map(|count| count.parse().expect("a number"));
    let (count, drain) = many.map_or((20, "0.3"), |count| (count, "5"));
    let (mut server, address) = Program::server(&["echo", "--drain", drain, "--workers", "2"]);
    let url = format!("ws://{address}/");
    let clients: Vec<_> = (0..count).map(|_| client(&url)).collect();
    let began = Instant::now();
    server.signal("TERM");
    let waiting = clients.into_iter().map(|mut client| {
        thread::spawn(move || {
            assert_eq!(client.read().expect("a clean end"), None);
            assert_eq!(client.ended().expect("it has").code(), 1001);
            began.elapsed()
        })
    });
    let waiting: Vec<_> = waiting.collect();
    let closed = waiting.into_iter().map(|thread| joined("a client", thread));
    let closed: Vec<Duration> = closed.collect();
    if many.is_some() {
        check_curve(&closed);
    }
    assert_eq!(server.exit_code(), Some(0));
    let expected = format!("yamabiko: stopped: {count} connections closed, 0 lost, 0 cut off");
    assert_eq!(server.error_line(), Some(expected));
}

/// Each of five seconds has its fifth of the closes, within a third of it.
fn check_curve(closed: &[Duration]) {
    let second = Duration::from_secs(1);
    let counts: Vec<usize> = (0..5)
        .map(|index| {
            let (begin, end) = (second * index, second * (index + 1));
            let is_within = |at: &&Duration| (begin..end).contains(*at);
            closed.iter().filter(is_within).count()
        })
        .collect();
    println!("closes in each second: {counts:?}");
    let expected = closed.len() / 5;
    let is_even = |count: &usize| count.abs_diff(expected) <= expected / 3;
    assert!(counts.iter().all(is_even), "{counts:?}");
}

#[test]
fn interrupt_does_not_wait_for_the_time_of_drain() {
    let (mut server, address) = Program::server(&["echo", "--drain", "86400"]);
    let mut client = client(&format!("ws://{address}/"));
    server.signal("INT");
    assert_eq!(client.read().expect("a clean end"), None);
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn server_that_cuts_connections_off_says_how_many_and_ends_with_3() {
    let timeouts = ["--drain-timeout", "0.2", "--close-timeout", "600"];
    let (mut server, address) = Program::server(&[&["echo"][..], &timeouts].concat());
    // It does not read, so it does not answer the Close.
    let mute = client(&format!("ws://{address}/"));
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(3));
    let expected = "yamabiko: stopped: 0 connections closed, 0 lost, 1 cut off";
    assert_eq!(server.error_line().as_deref(), Some(expected));
    drop(mute);
}

// Shell and kernel both send SIGHUP when a terminal closes.
#[cfg(target_os = "linux")]
#[test]
fn second_hangup_does_not_end_the_server_at_once() {
    let (mut server, mute) = server_delayed_after("HUP");
    server.signal("HUP");
    // A server that still runs ends when the client is gone.
    drop(mute);
    assert_eq!(server.exit_code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn hangup_that_nohup_ignores_stays_ignored() {
    let arguments = [
        env!("CARGO_BIN_EXE_yamabiko"),
        "echo",
        "--listen",
        "127.0.0.1:0",
    ];
    let mut server = Program::start_command(Command::new("nohup").args(arguments));
    let line = server.line();
    let (_, rest) = line.split_once("://").expect("an address");
    server.signal("HUP");
    let mut client = client(&format!("ws://{rest}"));
    client.send(Message::Text("still here")).expect("open");
    assert!(client.read().expect("open").is_some());
    // It would not answer the Close.
    drop(client);
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn first_line_names_an_address_that_can_be_opened() {
    for listen in ["0.0.0.0:0", ":0", "localhost:0"] {
        let program = Program::start(&["serve", "--listen", listen]);
        let line = program.line();
        let (_, url) = line.split_once("open http://").expect(&line);
        let (address, rest) = url.split_once('/').expect(&line);
        let port = address.strip_prefix("127.0.0.1:").expect(&line);
        match listen {
            "localhost:0" => assert_eq!(rest, ""),
            _ => assert_eq!(rest, format!(" (listening on 0.0.0.0:{port})")),
        }
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let page = ask(address, request);
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    }
}

#[test]
fn every_address_is_listened_on_and_named_in_the_first_line() {
    let folder = Folder::new("listen");
    std::fs::create_dir_all(&folder.0).expect("a temporary folder");
    let path = folder.0.join("x.sock");
    let unix = format!("unix:{}", path.display());
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.1:0",
        "--listen",
        &unix,
    ];
    let mut program = Program::start(&[&arguments[..], &["--unix-mode", "606"]].concat());
    let line = program.line();
    let (_, url) = line.split_once("open http://").expect(&line);
    let (address, rest) = url.split_once("/ (listening on ").expect(&line);
    let addresses: Vec<&str> = rest.trim_end_matches(')').split(", ").collect();
    assert_eq!((addresses.len(), addresses[0]), (3, address));
    assert_eq!(addresses[2], unix);
    let request = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for address in &addresses[..2] {
        assert!(ask(address, request).ends_with("\r\n\r\nok\n"));
    }
    let mut stream = UnixStream::connect(&path).expect("it listens");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a time");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("text");
    assert!(response.ends_with("\r\n\r\nok\n"), "{response}");
    let metadata = std::fs::metadata(&path).expect("a socket");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o606);
    program.signal("TERM");
    assert_eq!(program.exit_code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn first_line_of_a_server_on_a_unix_socket_alone_names_it() {
    let folder = Folder::new("unix-only");
    std::fs::create_dir_all(&folder.0).expect("a temporary folder");
    let unix = format!("unix:{}", folder.0.join("x.sock").display());
    let program = Program::start(&["echo", "--listen", &unix]);
    let expected = format!("{NAME_AND_VERSION}: listening on {unix}");
    assert_eq!(program.line(), expected);
    let taken = failure(run(&["serve", "--listen", &unix]));
    let message = format!("yamabiko: cannot listen on {unix}: address in use\n");
    assert_eq!(taken, (Some(1), message));
}

/// The next line of the log with this text. It is read as JSON.
fn logged(server: &Program, text: &str) -> serde_json::Value {
    let deadline = Deadline::after(LOOP_TIMEOUT);
    loop {
        deadline.check(text);
        let line = server.errors.recv_timeout(TIMEOUT).expect(text);
        if line.contains(text) {
            return serde_json::from_str(&line).expect(&line);
        }
    }
}

#[test]
fn end_of_a_connection_is_one_line_with_who_closed_and_how_much_it_sent() {
    let (server, address) = Program::server(&["serve", "--log-format", "json"]);
    let started = logged(&server, "server started");
    assert_eq!(started["addresses"], address);
    let mut client = client(&format!("ws://{address}/broadcast/x?token=secret"));
    client.send(Message::Text("hello")).expect("open");
    let back = client.read().expect("open");
    assert_eq!(back, Some(OwnedMessage::Text("hello".to_owned())));
    // The reason tries to begin a line, and to clear a terminal.
    let reason = "bye\r\n{}\u{1b}[2J";
    let close = (CloseCode::GOING_AWAY, reason);
    client.close(close).expect("a clean end");
    let line = logged(&server, "connection closed");
    for (field, value) in [("by", "client"), ("level", "info"), ("reason", reason)] {
        assert_eq!(line[field], value, "{line}");
    }
    assert_eq!(
        (&line["code"], &line["clean"]),
        (&1001.into(), &true.into())
    );
    assert_eq!(line["room"], "/broadcast/x");
    assert_eq!(
        (&line["messages_received"], &line["messages_sent"]),
        (&1.into(), &1.into())
    );
    assert_eq!(line["bytes_sent"], 7);
    assert!(
        line["seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds < 600.0)
    );
    assert!(
        line["address"]
            .as_str()
            .is_some_and(|address| address.starts_with("127.0.0.1:"))
    );
}

#[test]
fn refusal_is_one_line_with_what_was_compared_and_no_secret() {
    let (server, address) = Program::server(&["serve", "--log-format", "json"]);
    let mut stream = bounded(TcpStream::connect(&address).expect("it listens"));
    write!(
        stream,
        "GET /chat/lobby?token=secret HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nOrigin: https://other.example\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: token=secret\r\n\
         Authorization: Bearer secret\r\nSec-WebSocket-Protocol: token.secret\r\n\r\n"
    )
    .expect("open");
    let line = logged(&server, "request refused");
    for (field, value) in [
        ("reason", "origin"),
        ("level", "warn"),
        ("origin", "https://other.example"),
        ("host", &address),
        ("path", "/chat/lobby"),
        ("method", "GET"),
    ] {
        assert_eq!(line[field], value, "{line}");
    }
    assert_eq!(line["status"], 403);
    let text = line.to_string();
    assert!(
        text.contains("--allow-origin") && !text.contains("secret"),
        "{text}"
    );
}

#[test]
fn connection_beyond_a_limit_is_a_line_that_names_the_setting() {
    let arguments = [
        "serve",
        "--log-level",
        "warn",
        "--log-format",
        "json",
        "--connections-max",
        "1",
    ];
    let (server, address) = Program::server(&arguments);
    let _only = client(&format!("ws://{address}/broadcast/x"));
    let response = ask(&address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
    let line = logged(&server, "connection refused");
    assert_eq!(line["reason"], "connections");
    let setting = line["setting"].as_str().unwrap_or_default();
    assert!(setting.starts_with("--connections-max"), "{line}");
}

#[test]
fn metrics_are_on_the_addresses_for_operators_and_not_on_the_others() {
    let get = |address: &str, path: &str| {
        let fields = "Host: localhost\r\nConnection: close";
        ask(address, &format!("GET {path} HTTP/1.1\r\n{fields}\r\n\r\n"))
    };
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    let mut server = Program::start(&arguments);
    let line = server.line();
    let (public, admin) = line.split_once("/ (for operators: ").expect(&line);
    let (_, public) = public.split_once("://").expect(&line);
    let admin = admin.trim_end_matches(')');
    let mut client = client(&format!("ws://{public}/broadcast/x"));
    client.send(Message::Text("hello")).expect("open");
    assert!(client.read().expect("open").is_some());
    eventually("the delivery is counted", TIMEOUT, || {
        let metrics = get(admin, "/metrics");
        let has = |sample: &str| metrics.lines().any(|line| line == sample);
        metrics.starts_with("HTTP/1.1 200 ")
            && has("yamabiko_deliveries_total 1")
            && has("yamabiko_websockets 1.0")
            && has("yamabiko_delivery_seconds_count 1")
            && has("# EOF")
    });
    for path in ["/metrics", "/version"] {
        let response = get(public, path);
        assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
    }
    for path in ["/ready", "/version"] {
        let response = get(admin, path);
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    }
    client.close(CloseCode::NORMAL).expect("a clean end");
    server.signal("INT");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn metrics_are_on_the_same_addresses_if_that_is_asked_for() {
    for (arguments, status) in [(&["echo", "--metrics"][..], 200), (&["echo"], 404)] {
        let (_server, address) = Program::server(arguments);
        let fields = "Host: localhost\r\nConnection: close";
        let response = ask(
            &address,
            &format!("GET /metrics HTTP/1.1\r\n{fields}\r\n\r\n"),
        );
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{response}"
        );
    }
}

#[test]
fn trace_shows_a_connection_and_its_recording_shows_the_same_without_secrets() {
    let (_server, address) = Program::server(&["echo"]);
    let file = std::env::temp_dir().join(format!("yamabiko-trace-{}", std::process::id()));
    let path = file.to_str().expect("text");
    let url = format!("ws://{address}/?token=secret");
    let arguments = [
        "trace",
        &url,
        "--send",
        "hello",
        "--record",
        path,
        "--header",
        "Cookie: id=secret",
    ];
    let mut tracing = Program::start(&arguments);
    // It is ended when the echo has come, however long that takes.
    let until_echo = traced_until(&tracing, "text, 5 bytes, not masked (§5.6)");
    tracing.signal("INT");
    let after_echo = traced_until(&tracing, "closed by this end (1000)");
    let status = tracing.exit_code();
    let shown = [until_echo, after_echo].concat();
    let replayed = run(&["trace", "--replay", path]);
    let recording = std::fs::read_to_string(&file).expect("a recording");
    std::fs::remove_file(&file).expect("it is there");
    assert_eq!((status, replayed.status.code()), (Some(0), Some(0)));
    let replayed = String::from_utf8(replayed.stdout).expect("text");
    for text in [
        "→ GET /?token=****** HTTP/1.1",
        "Cookie: *********",
        "right: SHA-1 of the key",
        "text, 5 bytes, masked with",
        "\"hello\"",
        "text, 5 bytes, not masked (§5.6)",
        "1000: the purpose is fulfilled (§7.4.1)",
    ] {
        assert!(shown.contains(text), "{text}\n{shown}");
    }
    assert!(!shown.contains("secret"), "{shown}");
    assert!(!recording.contains("736563726574") && !recording.contains("secret"));
    let (shown, end) = shown.trim_end().rsplit_once('\n').expect("lines");
    assert_eq!(end, "closed by this end (1000)");
    let (url, replayed) = replayed.split_once("\n\n").expect("lines");
    assert_eq!(url, format!("ws://{address}/?token=******"));
    assert_eq!(replayed.trim_end(), shown.trim_end());
}

#[test]
fn trace_closes_the_connection_after_the_seconds_that_were_asked_for() {
    let (_server, address) = Program::server(&["echo"]);
    let url = format!("ws://{address}/");
    let shown = run(&["trace", &url, "--seconds", "0.1"]);
    assert_eq!(shown.status.code(), Some(0));
    let shown = String::from_utf8(shown.stdout).expect("text");
    assert!(shown.ends_with("closed by this end (1000)\n"), "{shown}");
}

/// The lines of a trace up to the one that contains this.
fn traced_until(server: &Program, wanted: &str) -> String {
    let deadline = Deadline::after(LOOP_TIMEOUT);
    let mut text = String::new();
    while !text.contains(wanted) {
        deadline.check(&format!("{wanted}\n{text}"));
        text.push_str(&server.line());
        text.push('\n');
    }
    text
}

#[test]
fn server_prints_the_connections_that_it_traces_as_trace_does() {
    let (server, address) = Program::server(&["echo", "--trace"]);
    let compressing = Client::builder(&format!("ws://{address}/?token=secret"))
        .deflate(DeflateConfig::default())
        .field("Cookie", "id=secret");
    let mut client = compressing.connect().expect("it listens");
    let page = ask(&address, "GET /health HTTP/1.0\r\n\r\n");
    assert!(page.ends_with("ok\n"), "{page}");
    let text = "hello ".repeat(50);
    client.send(text.as_str()).expect("open");
    assert!(client.read().expect("an echo").is_some());
    client.close(CloseCode::NORMAL).expect("open");
    let shown = traced_until(&server, "ended");
    for part in [
        "connection of 127.0.0.1:",
        "→ GET /?token=****** HTTP/1.1",
        "Cookie: *********",
        "← HTTP/1.1 101 Switching Protocols",
        "text, compressed (RFC 7692), ",
        "inflated, 300 bytes: \"hello hello ",
        "1000: the purpose is fulfilled (§7.4.1)",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert!(shown.lines().all(|line| line.starts_with("#1 ")), "{shown}");
    assert_eq!(shown.matches("inflated, 300 bytes").count(), 2, "{shown}");
    assert!(
        !shown.contains("secret") && !shown.contains("#2"),
        "{shown}"
    );
}

#[test]
fn server_traces_the_named_room_alone() {
    let (server, address) = Program::server(&["serve", "--trace-room", "ridge"]);
    let rooms = ["hall", "ridge"].map(|room| format!("ws://{address}/broadcast/{room}"));
    for url in &rooms {
        let mut client = client(url);
        client.send(Message::Text(url)).expect("open");
        client.close(CloseCode::NORMAL).expect("open");
        while client.read().expect("a clean end").is_some() {}
    }
    let shown = traced_until(&server, "ended");
    assert!(
        shown.contains("/broadcast/ridge") && !shown.contains("/broadcast/hall"),
        "{shown}"
    );
}

#[test]
fn trace_that_nobody_reads_costs_parts_of_it_and_no_message() {
    // Standard output is a pipe that is read up to the first line alone.
    let arguments = [
        "echo",
        "--listen",
        "127.0.0.1:0",
        "--trace",
        "--trace-bytes",
        "1MiB",
    ];
    let mut child = yamabiko(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    let (_, url) = line.trim_end().split_once("echo on ").expect("a URL");
    let mut client = client(url);
    let message = vec![7; 1 << 20];
    // Twice what may wait for the output, in each direction.
    for _ in 0..8 {
        client.send(Message::Binary(&message)).expect("open");
        let received = client.read().expect("an echo").expect("open");
        assert_eq!(received.as_bytes().len(), message.len());
    }
    let mut program = Program {
        input: None,
        errors: error_lines_of(child.stderr.take().expect("a pipe")),
        lines: lines_of(std::io::empty()),
        child,
    };
    program.signal("TERM");
    assert_eq!(client.read().expect("a clean end"), None);
    assert_eq!(program.exit_code(), Some(0));
    let reported = program.error_line().expect("a line");
    assert!(reported.contains("the trace has left out "), "{reported}");
    drop(output);
}

#[test]
fn trace_without_a_url_or_of_no_recording_is_one_line() {
    let (status, message) = failure(run(&["trace"]));
    assert_eq!((status, message.lines().count()), (Some(2), 1), "{message}");
    let (status, message) = failure(run(&["trace", "--replay", "/dev/null"]));
    assert_eq!(status, Some(1));
    assert_eq!(message, "yamabiko: /dev/null: the file is empty\n");
}

#[test]
fn log_that_is_off_has_no_line() {
    let (mut server, address) = Program::server(&["echo", "--log-level", "off"]);
    drop(client(&format!("ws://{address}/")));
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    assert!(server.errors.recv_timeout(TIMEOUT).is_err());
}

#[test]
fn log_that_nobody_reads_costs_lines_and_no_answer() {
    let arguments = ["--listen", "127.0.0.1:0", "--log-lines-per-second", "none"];
    // Standard error is a pipe that is never read.
    let mut child = yamabiko(&[&["echo"][..], &arguments].concat());
    let mut child = child.spawn().expect("the program starts");
    let lines = lines_of(child.stdout.take().expect("a pipe"));
    let line = lines.recv_timeout(TIMEOUT).expect("a line");
    let (_, rest) = line.split_once("://").expect("an address");
    let address = rest.trim_end_matches('/');
    // Far more lines than a pipe holds.
    for _ in 0..1_000 {
        let response = ask(address, "GET / HTTP/1.0\r\nHost: a b\r\n\r\n");
        assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    }
    // A server that has closed connections reports that at its end.
    let mut open = client(&format!("ws://{address}/"));
    let mut program = Program {
        input: None,
        errors: lines_of(std::io::empty()),
        lines,
        child,
    };
    program.signal("TERM");
    assert_eq!(open.read().expect("a clean end"), None);
    assert_eq!(program.exit_code(), Some(0));
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
    assert_eq!(client.ended().expect("it has").code(), 1009);
}

/// The status of the response to a request, or `None` if there is none.
#[cfg(unix)]
fn status(stream: &mut TcpStream, request: &str) -> Option<String> {
    stream.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    stream.write_all(request.as_bytes()).ok()?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    let status = head.strip_prefix(b"HTTP/1.1 ")?;
    String::from_utf8(status.to_vec()).ok()
}

#[cfg(unix)]
#[test]
fn server_with_few_descriptors_answers_every_client_and_its_monitoring() {
    for workers in ["1", "2"] {
        let program = env!("CARGO_BIN_EXE_yamabiko");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!(
            "ulimit -n 100; exec {program} serve --listen 127.0.0.1:0 --workers {workers}"
        ));
        let server = Program::start_command(&mut shell);
        let line = server.line();
        let (_, rest) = line.split_once("://").expect("an address");
        let address = rest.trim_end_matches('/').to_owned();
        let upgrade = "GET /broadcast/x HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\n\r\n";
        let health = "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
        let connect = || TcpStream::connect(&address).expect("a connection");
        let mut open = Vec::new();
        let mut refused = 0;
        for _ in 0..150 {
            let mut stream = connect();
            match status(&mut stream, upgrade).as_deref() {
                Some("101") => open.push(stream),
                Some("503") => refused += 1,
                other => panic!("{other:?} after {} connections", open.len()),
            }
        }
        assert!(
            open.len() > 40 && refused > 40,
            "{} and {refused}",
            open.len()
        );
        assert_eq!(status(&mut connect(), health).as_deref(), Some("200"));
        let ready = "GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
        assert_eq!(status(&mut connect(), ready).as_deref(), Some("503"));
        open.truncate(open.len() - 10);
        eventually("new connections are served again", TIMEOUT, || {
            status(&mut connect(), upgrade).as_deref() == Some("101")
        });
    }
}

/// A server that a shell starts with these limits of open files.
fn server_with_descriptors(limits: &str, options: &str) -> Program {
    let program = env!("CARGO_BIN_EXE_yamabiko");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!(
        "{limits}; exec {program} serve --listen 127.0.0.1:0 --workers 1 {options}"
    ));
    Program::start_command(&mut shell)
}

#[cfg(target_os = "linux")]
#[test]
fn soft_limit_of_descriptors_is_raised_as_far_as_the_connections_need() {
    let limits = "ulimit -Sn 100; ulimit -Hn 3000";
    let server = server_with_descriptors(limits, "--connections-max 300");
    server.line();
    let limits = format!("/proc/{}/limits", server.child.id());
    let limits = std::fs::read_to_string(limits).expect("Linux has it");
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers = files.expect("a limit").split_whitespace().skip(3);
    let numbers: Vec<u32> = numbers
        .take(2)
        .map(|text| text.parse().expect(text))
        .collect();
    assert!((560..=700).contains(&numbers[0]), "{numbers:?}");
    assert_eq!(numbers[1], 3000);
    server.has_reported_nothing_more();
}

#[test]
fn number_of_connections_that_the_descriptors_do_not_allow_is_lowered_and_reported_in_one_line() {
    let server = server_with_descriptors("ulimit -n 100", "--connections-max 300");
    let reported = server.errors.recv_timeout(TIMEOUT).expect("a line");
    let (number, rest) = reported
        .strip_prefix("yamabiko: connections-max is ")
        .and_then(|rest| rest.split_once(" and not 300: "))
        .expect(&reported);
    let number: u32 = number.parse().expect(&reported);
    assert!((40..100).contains(&number), "{reported}");
    assert!(
        rest.starts_with("the limit of open files is too low"),
        "{reported}"
    );
    server.line();
    server.has_reported_nothing_more();
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

/// The status of the response to the handshake of a page of this origin.
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
fn allow_origin_accepts_subdomains_and_ignores_case_and_default_port() {
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
fn refusal_of_an_origin_names_origin_host_and_option() {
    let (_server, address) = Program::server(&["serve"]);
    let request = format!(
        "GET /chat/lobby HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\nOrigin: https://evil.example\r\n\r\n"
    );
    let response = ask(&address, &request);
    assert!(
        response.starts_with("HTTP/1.1 403 Forbidden\r\n"),
        "{response}"
    );
    for named in ["https://evil.example", &address, "--allow-origin"] {
        let (_, body) = response.split_once("\r\n\r\n").expect("a body");
        assert!(body.contains(named), "{named}: {response}");
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
        // If the origin were accepted, the wrong address would end the program.
        let arguments = ["serve", "--allow-origin", origin, "--listen", "-"];
        let (code, message) = failure(run(&arguments));
        let named = format!("yamabiko: --allow-origin '{origin}': ");
        assert!(message.starts_with(&named), "{origin}: {message}");
        assert_eq!(code, Some(2));
    }
}

#[test]
fn echo_on_loopback_accepts_pages_of_any_origin_unless_origins_are_named() {
    let (_server, address) = Program::server(&["echo"]);
    for origin in ["null", "https://evil.example"] {
        assert_eq!(connect_from(&address, origin), 101, "{origin}");
    }
    let named = ["echo", "--allow-origin", "https://app.example"];
    let (_server, address) = Program::server(&named);
    assert_eq!(connect_from(&address, "null"), 403);
    assert_eq!(connect_from(&address, "https://app.example"), 101);
}

#[test]
fn request_for_another_host_is_refused_unless_it_is_allowed() {
    let status = |address: &str, host: &str| {
        let request = format!("GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let response = ask(address, &request);
        response[9..12].parse::<u16>().expect("a status")
    };
    for command in ["serve", "echo"] {
        let (_server, address) = Program::server(&[command]);
        assert_eq!(status(&address, "evil.example:8080"), 421, "{command}");
        assert_ne!(status(&address, "localhost:8080"), 421, "{command}");
    }
    let (_server, address) =
        Program::server(&["serve", "--allow-host", "chat.example,*.example.org"]);
    assert_eq!(status(&address, "chat.example"), 200);
    assert_eq!(status(&address, "a.example.org:81"), 200);
    assert_eq!(status(&address, "evil.example"), 421);
    let (_server, address) = Program::server(&["serve", "--allow-host", "*"]);
    assert_eq!(status(&address, "evil.example"), 200);
}

#[test]
fn address_that_a_named_proxy_tells_counts_for_its_limit() {
    let limited = ["serve", "--connections-per-address", "1"];
    let open = |address: &str, client: &str| {
        let builder = Client::builder(&format!("ws://{address}/chat/lobby"));
        match builder.field("X-Forwarded-For", client).connect() {
            Ok(client) => Ok(client),
            Err(ClientError::Refused(refusal)) => Err(refusal.response.status),
            Err(error) => panic!("{error}"),
        }
    };
    let (_server, address) = Program::server(&[&limited[..], &["--proxy", "127.0.0.1"]].concat());
    let _first = open(&address, "192.0.2.1").expect("the first of its address");
    let _second = open(&address, "192.0.2.2").expect("the first of its address");
    assert_eq!(open(&address, "192.0.2.1").err(), Some(503));
    // Without a named proxy the field has no effect, and the limit holds for loopback addresses, too.
    let (_server, address) = Program::server(&limited);
    let _first = open(&address, "192.0.2.1").expect("the first of its address");
    assert_eq!(open(&address, "192.0.2.2").err(), Some(503));
}

#[test]
fn keys_in_a_file_or_in_the_environment_are_needed_to_connect() {
    let path = std::env::temp_dir().join(format!("yamabiko-keys-{}", std::process::id()));
    std::fs::write(&path, "0123456789abcdef\n").expect("a file");
    let file = path.to_str().expect("UTF-8");
    let connect = |address: &str, token: Option<&str>| {
        let mut builder = Client::builder(&format!("ws://{address}/broadcast/a"));
        if let Some(token) = token {
            builder = builder.field("Authorization", &format!("Bearer {token}"));
        }
        match builder.connect() {
            Ok(_) => 101,
            Err(ClientError::Refused(refusal)) => refusal.response.status,
            Err(error) => panic!("{error}"),
        }
    };
    let (_server, address) = Program::server(&["serve", "--shared-keys-file", file]);
    assert_eq!(connect(&address, None), 401);
    assert_eq!(connect(&address, Some("0123456789abcdef")), 101);
    let open = ["serve", "--shared-keys-file", file, "--broadcast", "open"];
    let (_server, address) = Program::server(&open);
    assert_eq!(connect(&address, None), 101);
    let mut command = yamabiko(&["serve", "--listen", "127.0.0.1:0", "--broadcast", "token"]);
    command.env("YAMABIKO_SHARED_KEYS", "fedcba9876543210");
    let server = Program::start_command(&mut command);
    let line = server.line();
    let (_, rest) = line.split_once("://").expect("an address");
    let address = rest.trim_end_matches('/');
    assert_eq!(connect(address, None), 401);
    assert_eq!(connect(address, Some("fedcba9876543210")), 101);
    std::fs::remove_file(&path).expect("it is there");
}

#[test]
fn wrong_keys_are_an_error_at_start_that_does_not_show_them() {
    let mut command = yamabiko(&["serve", "--check"]);
    command.env("YAMABIKO_JWT_SECRET", "short-secret");
    let (code, message) = failure(output(&mut command));
    assert_eq!(code, Some(1));
    assert!(message.contains("YAMABIKO_JWT_SECRET") && !message.contains("short-secret"));
    let (code, message) = failure(run(&[
        "serve",
        "--check",
        "--jwt-keys-file",
        "/nowhere/keys",
    ]));
    assert_eq!(code, Some(1));
    assert!(message.contains("cannot read /nowhere/keys: "), "{message}");
    let (_, message) = failure(run(&["serve", "--check", "--broadcast", "token"]));
    assert!(message.contains("--shared-keys-file"), "{message}");
}

// ---------------------------------------------------------------------------
// The chat client
// ---------------------------------------------------------------------------

#[test]
fn chat_sends_typed_lines_and_shows_messages_of_others() {
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
fn chat_sends_all_of_a_short_input_before_it_leaves() {
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
fn chat_uses_another_name_when_its_name_is_in_use() {
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
fn chat_sends_and_shows_plain_lines_in_a_broadcast_room() {
    let (_server, address) = Program::server(&["serve"]);
    let url = format!("ws://{address}/broadcast/ticks");
    let mut one = Program::start(&["chat", &url]);
    one.type_line("tick");
    assert_eq!(one.line(), "tick");
    let mut other = member(&url);
    assert_eq!(one.line(), "here");
    one.type_line("tock");
    let received = other.read().expect("open");
    assert_eq!(received, Some(OwnedMessage::Text("tock".to_owned())));
    other.send(Message::Binary(&[1, 2, 3])).expect("open");
    one.wait_for("! binary message of 3 bytes");
    other.close(CloseCode::NORMAL).expect("short");
}

#[test]
fn chat_that_only_listens_shows_each_message_as_json_and_does_not_read_its_input() {
    let (_server, address) = Program::server(&["serve"]);
    // The address of the page, and that of its host.
    let page = format!("http://{address}/#tea");
    let host = format!("{address}/tea");
    let listener = Program::start(&["chat", &page, "--listen-only", "--json"]);
    let read = |line: String| serde_json::from_str::<serde_json::Value>(&line).expect("JSON");
    let welcome = read(listener.line());
    assert_eq!(
        (&welcome["type"], &welcome["room"]),
        (&"welcome".into(), &"tea".into())
    );
    let output = chat_with_input(&host, "yo-ho! 山彦\n".as_bytes());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(read(listener.line())["type"], "joined");
    let message = read(listener.line());
    assert_eq!(
        (&message["from"], &message["text"]),
        (&"Aki".into(), &"yo-ho! 山彦".into())
    );
    assert!(
        message["position"].is_string() && message["time"].is_u64(),
        "{message}"
    );
    assert_eq!(read(listener.line())["type"], "left");
}

#[test]
fn chat_offers_compression_unless_it_is_told_not_to() {
    for (options, is_offered) in [(&[][..], true), (&["--no-compress"], false)] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let url = format!("ws://{address}/chat/a");
        let arguments: Vec<&str> = ["chat", &url].iter().chain(options).copied().collect();
        let _chat = Program::start(&arguments);
        let mut request = [0; 4_096];
        let length = accepted(&listener).read(&mut request).expect("a request");
        let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
        assert!(request.ends_with("\r\n\r\n"), "{request}");
        let offer = "sec-websocket-extensions: permessage-deflate";
        assert_eq!(request.contains(offer), is_offered, "{request}");
    }
}

#[test]
fn chat_sends_the_token_the_origin_the_fields_and_the_subprotocol_that_it_is_given() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let token = Folder::new("token");
    std::fs::create_dir_all(&token.0).expect("a folder");
    let file = token.0.join("token");
    std::fs::write(&file, "a-token-of-the-operator\n").expect("a file");
    let file = file.to_str().expect("UTF-8");
    let url = format!("ws://{address}/chat/a");
    let arguments = [
        "chat",
        &url,
        "--token-file",
        file,
        "--header",
        "X-Team: red",
        "--origin",
        "https://a.example",
        "--subprotocol",
        "mqtt",
    ];
    let _chat = Program::start(&arguments);
    let mut request = [0; 4_096];
    let length = accepted(&listener).read(&mut request).expect("a request");
    let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
    for field in [
        "authorization: bearer a-token-of-the-operator",
        "x-team: red",
        "origin: https://a.example",
        "sec-websocket-protocol: mqtt",
    ] {
        assert!(
            request.contains(&format!("{field}\r\n")),
            "{field}: {request}"
        );
    }
    assert!(!request.contains("yamabiko.chat"));
}

#[test]
fn chat_that_cannot_connect_is_one_line_and_exit_code_1() {
    let port = ReservedPort::new();
    let address = port.address();
    let refused = format!("cannot connect to {address}: connection refused");
    let (_server, server) = Program::server(&["serve"]);
    let nowhere = format!("ws://{server}/nowhere");
    for (url, message) in [
        (&*format!("ws://{address}/chat/lobby"), &*refused),
        (
            "lobby",
            "the URI does not begin with ws:// or wss:// (RFC 6455 §3)",
        ),
        (
            &nowhere,
            "the server answered 404 Not Found: there is no WebSocket at this path",
        ),
    ] {
        let reported = failure(run(&["chat", url]));
        assert_eq!(reported, (Some(1), format!("yamabiko: {message}\n")));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3
//= type=test
//# To prevent this, clients SHOULD use some form of backoff when trying to
//# reconnect after abnormal closures as described in this section.
#[test]
fn chat_connects_again_after_a_pause_when_the_server_has_restarted() {
    let port = ReservedPort::new();
    let address = port.address().to_string();
    let (mut server, _) = Program::server_at(&address, &["serve"]);
    let url = format!("ws://{address}/chat/lobby");
    let mut aki = Program::start(&["chat", &url, "--name", "Aki"]);
    assert_eq!(aki.line(), "* you are Aki in lobby; 1 here");
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    let _server = Program::start(&["serve", "--listen", &address]);
    let notice = aki.errors.recv_timeout(TIMEOUT).expect("a notice");
    let goes = "yamabiko: the server closed the connection: it is going away (1001); again in ";
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
    // The program may end before it has read everything.
    let writing = thread::spawn(move || drop(pipe.write_all(&input)));
    let output = output_of(child, TIMEOUT);
    joined("the end of the input", writing);
    output
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

#[test]
fn long_line_of_input_is_cut_between_two_characters() {
    let (_server, address) = Program::server(&["serve"]);
    let url = format!("ws://{address}/broadcast/x");
    let mut other = member(&url);
    let line = format!("a{}", "é".repeat(40_000));
    let output = chat_with_input(&url, line.as_bytes());
    assert_eq!(
        (errors(&output), output.status.code()),
        (String::new(), Some(0))
    );
    let mut received = String::new();
    while received.len() < line.len() {
        let Some(OwnedMessage::Text(text)) = other.read().expect("in time") else {
            panic!("a text");
        };
        assert!(text.len() <= 64 << 10);
        received.push_str(&text);
    }
    assert!(received == line);
}

#[test]
fn input_that_is_not_utf8_is_reported_once_on_standard_error() {
    let (_server, address) = Program::server(&["serve"]);
    let url = format!("ws://{address}/chat/lobby");
    let bo = Program::start(&["chat", &url, "--name", "Bo"]);
    assert_eq!(bo.line(), "* you are Bo in lobby; 1 here");
    let output = chat_with_input(&url, b"caf\xe9\n\xff\n");
    assert_eq!(
        errors(&output),
        "yamabiko: the input has bytes that are not UTF-8; each such place is sent as U+FFFD\n"
    );
    assert_eq!(output.status.code(), Some(0));
    bo.wait_for("<Aki> caf\u{fffd}");
}

/// Responds to one request at this address, after the server has ended.
fn respond_once(address: &str, response: &'static str) -> thread::JoinHandle<()> {
    let listener = TcpListener::bind(address).expect("free again");
    thread::spawn(move || {
        let mut stream = accepted(&listener);
        let mut request = [0; 4_096];
        let _ = stream.read(&mut request);
        stream.write_all(response.as_bytes()).expect("open");
    })
}

/// A chat whose server has ended; its next connection gets this response.
fn chat_that_reconnects_to(response: &'static str) -> Program {
    let port = ReservedPort::new();
    let address = port.address().to_string();
    let (mut server, _) = Program::server_at(&address, &["serve"]);
    let url = format!("ws://{address}/chat/lobby");
    let aki = Program::start(&["chat", &url, "--name", "Aki"]);
    assert_eq!(aki.line(), "* you are Aki in lobby; 1 here");
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    let answering = respond_once(&address, response);
    let lost = aki.errors.recv_timeout(TIMEOUT).expect("a notice");
    assert!(lost.contains("(1001); again in "), "{lost}");
    joined("the response", answering);
    aki
}

/// What a chat tells next, except of attempts that came before anybody listened again.
fn notice(chat: &Program) -> String {
    let deadline = Deadline::after(LOOP_TIMEOUT);
    loop {
        let notice = chat.errors.recv_timeout(TIMEOUT).expect("a notice");
        if !notice.contains(": connection refused; again in ") {
            return notice;
        }
        deadline.check("another notice");
    }
}

#[test]
fn permanent_refusal_of_a_new_connection_ends_the_chat_with_its_reason() {
    for (response, reason) in [
        (
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 7\r\n\r\nno pass",
            "the server answered 401 Unauthorized: no pass",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
            "the server answered 403 Forbidden",
        ),
    ] {
        let mut aki = chat_that_reconnects_to(response);
        let reported = notice(&aki);
        assert_eq!(reported, format!("yamabiko: {reason}"));
        assert_eq!(aki.exit_code(), Some(1));
    }
}

#[test]
fn retry_after_of_the_server_is_the_shortest_pause() {
    let response = "HTTP/1.1 503 Busy\r\nRetry-After: 600\r\nContent-Length: 0\r\n\r\n";
    let mut aki = chat_that_reconnects_to(response);
    let reported = notice(&aki);
    let (reason, pause) = reported.split_once("; again in ").expect(&reported);
    assert_eq!(reason, "yamabiko: the server answered 503 Busy");
    let seconds: f64 = pause.trim_end_matches(" s").parse().expect(&reported);
    assert!((600.0..=605.0).contains(&seconds), "{reported}");
    aki.signal("INT");
    assert_eq!(aki.exit_code(), Some(0));
}

#[test]
fn end_of_the_input_ends_the_wait_for_a_new_connection() {
    let response = "HTTP/1.1 503 Busy\r\nRetry-After: 600\r\nContent-Length: 0\r\n\r\n";
    let mut aki = chat_that_reconnects_to(response);
    let reported = notice(&aki);
    assert!(reported.contains("; again in 60"), "{reported}");
    aki.end_input();
    assert_eq!(aki.exit_code(), Some(0));
}

#[test]
fn line_that_waits_for_a_new_connection_is_reported_as_not_sent_when_the_chat_is_ended() {
    let response = "HTTP/1.1 503 Busy\r\nRetry-After: 600\r\nContent-Length: 0\r\n\r\n";
    let mut aki = chat_that_reconnects_to(response);
    let reported = notice(&aki);
    assert!(reported.contains("; again in 60"), "{reported}");
    aki.type_line("hello");
    // More than a pipe and one read hold. So when it is written, the chat has read on behind the first line, and has that one in its queue.
    aki.type_line(&"x".repeat(80 << 10));
    aki.signal("INT");
    assert_eq!(aki.exit_code(), Some(1));
    let reported = aki.errors.recv_timeout(TIMEOUT).expect("a notice");
    assert_eq!(reported, "yamabiko: not sent: \"hello\"");
}

#[test]
fn token_in_a_url_is_never_printed() {
    let token = "Tr6vZ1q8yXw0sB4k";
    let (_server, address) = Program::server(&["serve"]);
    for (command, url) in [
        (
            "chat",
            format!("ws://{address}/nowhere?access_token={token}"),
        ),
        (
            "chat",
            format!("ws://{address}/broadcast/x?access_token={token}"),
        ),
        ("chat", format!("wss://127.0.0.1:1/?access_token={token}")),
        ("chat", format!("ws://h h/?access_token={token}#x")),
        ("chat", format!("ws://u:{token}@127.0.0.1:1/")),
        ("bench echo", format!("ws://h h/?access_token={token}")),
        ("bench echo", format!("wss://h h/?access_token={token}")),
        ("bench echo", format!("ws://u:{token}@127.0.0.1:1/")),
        (
            "bench echo",
            format!("ws://127.0.0.1:1/?access_token={token}"),
        ),
        ("bench echo --bad", format!("ws://h/?access_token={token}")),
        (
            "bench echo ws://h/",
            format!("ws://h/?access_token={token}"),
        ),
        ("chat ws://h/", format!("ws://h/?access_token={token}")),
        ("conform server", format!("ws://h h/?access_token={token}")),
        (
            "conform server",
            format!("ws://127.0.0.1:1/?access_token={token}"),
        ),
    ] {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.push(&url);
        let printed = run(&arguments);
        let all = [printed.stdout, printed.stderr].concat();
        let all = String::from_utf8(all).expect("text");
        assert!(!all.contains(token), "{command} {url}: {all}");
    }
}

#[test]
fn redirection_is_not_followed_and_its_location_is_shown() {
    let port = ReservedPort::new();
    let address = port.address().to_string();
    let answering = respond_once(
        &address,
        "HTTP/1.1 301 Moved Permanently\r\nLocation: https://example.org/\u{9b}x\r\n\
         Content-Length: 0\r\n\r\n",
    );
    let reported = failure(run(&["chat", &format!("ws://{address}/chat/lobby")]));
    let location = r"https://example.org/\u{9b}x";
    let message =
        format!("yamabiko: the server answered 301 Moved Permanently, Location: {location}\n");
    assert_eq!(reported, (Some(1), message));
    joined("the response", answering);
}

#[test]
fn chat_requests_the_wanted_name_first_on_each_new_connection() {
    let port = ReservedPort::new();
    let address = port.address().to_string();
    let (mut server, _) = Program::server_at(&address, &["serve"]);
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
fn close_code_of_the_server_is_reported_to_a_program_with_status_1() {
    let (_server, address) = Program::server(&["serve", "--message-bytes-max", "1000"]);
    for room in ["broadcast", "chat"] {
        let url = format!("ws://{address}/{room}/x");
        let output = chat_with_input(&url, &[b'x'; 5_000]);
        let reported = errors(&output);
        let last = "yamabiko: the server closed the connection: \
                    a message was too long for it (1009)\n";
        assert!(reported.ends_with(last), "{reported}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn refused_line_of_a_program_is_reported_on_standard_error_with_status_1() {
    let (_server, address) = Program::server(&["serve"]);
    let url = format!("ws://{address}/chat/lobby");
    let long = "x".repeat(5_000);
    for (line, why) in [
        (long.as_str(), "4096 bytes"),
        ("a\x07", "control characters"),
    ] {
        let output = chat_with_input(&url, format!("{line}\nfine\n").as_bytes());
        let reported = errors(&output);
        assert!(
            reported.contains(why) && reported.contains("Not sent: \""),
            "{reported}"
        );
        let last = "yamabiko: messages that were refused, or may be lost: 1\n";
        assert!(reported.ends_with(last), "{reported}");
        assert_eq!(output.status.code(), Some(1));
        assert!(!String::from_utf8_lossy(&output.stdout).contains('!'));
    }
}

#[test]
fn line_of_a_program_that_begins_with_a_slash_is_sent_unchanged() {
    let (_server, address) = Program::server(&["serve"]);
    let url = format!("ws://{address}/chat/lobby");
    let bo = Program::start(&["chat", &url, "--name", "Bo"]);
    assert_eq!(bo.line(), "* you are Bo in lobby; 1 here");
    let output = chat_with_input(&url, b"/var/log is full\n//quit\n");
    assert_eq!(
        (errors(&output), output.status.code()),
        (String::new(), Some(0))
    );
    bo.wait_for("<Aki> /var/log is full");
    bo.wait_for("<Aki> //quit");
}
