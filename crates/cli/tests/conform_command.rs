//! `yamabiko conform` from outside: exit statuses, the table, the report as JSON.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};

use yamabiko::client::Client;
use yamabiko::tls::ClientTls;
use yamabiko_testing::port::ReservedPort;
use yamabiko_testing::tls::Folder as Certificates;
use yamabiko_testing::waiting::{TIMEOUT, exit_status, output_of};

/// An echo server, which is killed when the value is dropped.
struct Echo {
    child: Child,
    url: String,
}

impl Echo {
    fn start() -> Echo {
        Echo::with(&[])
    }

    fn with(arguments: &[&str]) -> Echo {
        let arguments = [&["echo", "--listen", "127.0.0.1:0"], arguments].concat();
        let mut child = yamabiko(&arguments).spawn().expect("it starts");
        let output = child.stdout.take().expect("a pipe");
        let line = BufReader::new(output).lines().next();
        let line = line.expect("a line").expect("text");
        let (_, url) = line.split_once(" on ").expect("an address");
        Echo {
            url: url.to_owned(),
            child,
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn yamabiko(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_yamabiko"));
    command.args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn conform(arguments: &[&str]) -> Output {
    let arguments = [&["conform"], arguments].concat();
    output_of(yamabiko(&arguments).spawn().expect("it starts"), TIMEOUT)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn echo_server_of_the_program_passes() {
    let echo = Echo::start();
    let output = conform(&[
        "server",
        &echo.url,
        "--quick",
        "--case",
        "framing/*",
        "--case",
        "control/*",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let table = text(&output.stdout);
    assert!(
        table.starts_with("yamabiko conform server ws://127.0.0.1:"),
        "{table}"
    );
    assert!(table.contains("  framing             11 of 11"), "{table}");
}

#[test]
fn broken_rule_is_reported_with_its_sentence_and_ends_with_1() {
    let echo = Echo::start();
    let path = std::env::temp_dir().join(format!("yamabiko-conform-{}.json", std::process::id()));
    let json = path.to_str().expect("text");
    // The limit of this server is another one, so it accepts a message past it.
    let arguments = [
        "server",
        &echo.url,
        "--case",
        "limits/past*",
        "--message-max",
        "100",
        "--json",
        json,
    ];
    let output = conform(&arguments);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "yamabiko: 1 case of level must failed\n"
    );
    let table = text(&output.stdout);
    for expected in [
        "FAIL must limits/past-message-max: ",
        "RFC 6455 §10.4: \"Implementations that have",
        "2 of 2 connections, first 'one frame': expected that the peer fails the connection",
        "suite: text, 101 bytes \"abc",
        "alone: yamabiko conform server ws://127.0.0.1:",
    ] {
        assert!(table.contains(expected), "{expected}: {table}");
    }
    let report = std::fs::read_to_string(&path).expect("a report");
    std::fs::remove_file(&path).expect("it exists");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["cases"][0]["verdict"], "fail");
    assert_eq!(report["counts"]["must"]["fail"], 1);
}

#[test]
fn only_new_failures_count_against_a_baseline_and_each_form_of_the_report_is_written() {
    let echo = Echo::start();
    let folder = Folder::new();
    let file = |name: &str| folder.0.join(name).to_str().expect("text").to_owned();
    let case = [
        "server",
        &echo.url,
        "--case",
        "limits/past*",
        "--message-max",
        "100",
    ];
    let (json, junit, html, index) = (
        file("a.json"),
        file("a.xml"),
        file("a.html"),
        file("i.json"),
    );
    let files = [
        "--json", &json, "--junit", &junit, "--html", &html, "--index", &index,
    ];
    assert_eq!(
        conform(&[&case[..], &files].concat()).status.code(),
        Some(1)
    );
    let again = conform(&[&case[..], &["--baseline", &json]].concat());
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    for (path, expected) in [
        (&junit, "<failure type=\"must\""),
        (&html, "<td>limits/past-message-max</td>"),
        (&index, "\"behavior\": \"FAILED\""),
    ] {
        let written = std::fs::read_to_string(path).expect("a report");
        assert!(written.contains(expected), "{written}");
    }
}

#[test]
fn file_of_the_autobahn_suite_names_servers_cases_and_the_folder_of_the_index() {
    let echo = Echo::start();
    let folder = Folder::new();
    let (spec, reports) = (folder.0.join("spec.json"), folder.0.join("reports"));
    let content = serde_json::json!({
        "outdir": reports, "servers": [{ "agent": "ours", "url": echo.url }],
        "cases": ["2.*"], "exclude-cases": ["2.5"],
    });
    std::fs::write(&spec, content.to_string()).expect("a new file");
    let output = conform(&["server", "--spec", spec.to_str().expect("text")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let index = std::fs::read_to_string(reports.join("index.json")).expect("an index");
    let index: serde_json::Value = serde_json::from_str(&index).expect("JSON");
    assert_eq!(index["ours"]["control/ping"]["behavior"], "OK");
    assert!(index["ours"]["control/over-125"].is_null());
}

/// A folder, which is removed when the value is dropped.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Folder {
        let unique = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let unique = unique.expect("after 1970").as_nanos();
        let name = format!("yamabiko-conform-{}-{unique}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).expect("a new folder");
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn only_rules_of_the_level_to_fail_on_count() {
    let echo = Echo::start();
    let case = [
        "server",
        &echo.url,
        "--case",
        "limits/close-code",
        "--message-max",
        "100",
    ];
    assert_eq!(conform(&case).status.code(), Some(0));
    let strict = [&case[..], &["--fail-on", "should"]].concat();
    assert_eq!(conform(&strict).status.code(), Some(1));
}

#[test]
fn without_a_server_the_exit_status_is_1_and_with_a_wrong_argument_2() {
    let port = ReservedPort::new();
    let url = format!("ws://{}/", port.address());
    for (arguments, status, message) in [
        (
            &["server", &url][..],
            1,
            "yamabiko: cannot connect to 127.0.0.1:",
        ),
        (
            &["server", "http://h/"],
            2,
            "yamabiko: 'http://h/' is not ws://HOST[:PORT]/PATH or wss://… (see",
        ),
        (
            &["server", &url, "--case", "none"],
            2,
            "yamabiko: no case has such a name",
        ),
    ] {
        let output = conform(arguments);
        assert_eq!(output.status.code(), Some(status));
        assert!(
            text(&output.stderr).starts_with(message),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn cases_are_the_same_over_tls() {
    let certificates = Certificates::new("conform-server");
    certificates.write("ca.pem", &certificates.authority.pem());
    let file = |name| certificates.file(name);
    let (certificate, key) = (file("localhost.pem"), file("localhost.key"));
    let echo = Echo::with(&["--tls-cert", &certificate, "--tls-key", &key]);
    let url = echo.url.replace("127.0.0.1", "localhost");
    let cases = ["--quick", "--case", "framing/*", "--case", "closing/*"];
    let case = |more: &[&str]| conform(&[&["server", &url], &cases[..], more].concat());
    for trust in [&["--ca", &file("ca.pem")][..], &["--insecure"]] {
        let output = case(trust);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
        let table = text(&output.stdout);
        assert!(
            table.starts_with("yamabiko conform server wss://"),
            "{table}"
        );
    }
    let other = Certificates::new("conform-other");
    other.write("ca.pem", &other.authority.pem());
    // This machine does not trust the authority, either.
    for trust in [&["--ca", &other.file("ca.pem")][..], &[]] {
        let output = case(trust);
        let shown = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{shown}");
        assert!(shown.contains("certificate"), "{shown}");
    }
}

#[test]
fn certificate_of_an_authority_is_refused_with_the_cure() {
    let certificates = Certificates::new("conform-authority");
    certificates.write("ca.pem", &certificates.authority.pem());
    let issued = certificates.authority.issue_authority(&["localhost"]);
    certificates.write("localhost.pem", &issued.certificate);
    certificates.write("localhost.key", &issued.key);
    let file = |name| certificates.file(name);
    let (certificate, key) = (file("localhost.pem"), file("localhost.key"));
    let echo = Echo::with(&["--tls-cert", &certificate, "--tls-key", &key]);
    let url = echo.url.replace("127.0.0.1", "localhost");
    let output = conform(&["server", &url, "--quick", "--ca", &file("ca.pem")]);
    let shown = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    let cure = "basicConstraints=critical,CA:FALSE";
    assert!(shown.contains(cure), "{shown}");
}

#[test]
fn client_of_the_library_passes() {
    client_passes(&[], &|url| Client::connect(url).ok());
}

#[test]
fn client_of_the_library_passes_over_tls() {
    let certificates = Certificates::new("conform-client");
    let (certificate, key) = (
        certificates.file("localhost.pem"),
        certificates.file("localhost.key"),
    );
    let tls = ClientTls::authorities(certificates.authority.pem().as_bytes()).expect("PEM");
    client_passes(&["--tls-cert", &certificate, "--tls-key", &key], &|url| {
        let url = url.replace("127.0.0.1", "localhost");
        Client::builder(&url).tls(tls.clone()).connect().ok()
    });
}

fn client_passes(arguments: &[&str], connect: &dyn Fn(&str) -> Option<Client>) {
    let client = [
        "conform",
        "client",
        "--listen",
        "127.0.0.1:0",
        "--case",
        "control/*",
    ];
    let mut suite = yamabiko(&[&client[..], arguments].concat())
        .spawn()
        .expect("it starts");
    let mut output = BufReader::new(suite.stdout.take().expect("a pipe"));
    let mut line = String::new();
    output.read_line(&mut line).expect("text");
    let (runs, url) = line
        .trim_end()
        .split_once(" runs for clients on ")
        .expect("an address");
    let runs: u32 = runs
        .trim_start_matches("yamabiko conform: ")
        .parse()
        .expect("a number");
    for run in 1..=runs {
        if let Some(mut client) = connect(&format!("{url}/runCase?case={run}&agent=ours")) {
            while let Ok(Some(message)) = client.read() {
                let _ = client.send(message.as_message());
            }
        }
    }
    let mut client = connect(&format!("{url}/updateReports?agent=ours")).expect("it listens");
    assert!(client.read().is_ok_and(|message| message.is_none()));
    let mut table = String::new();
    output.read_to_string(&mut table).expect("text");
    assert!(
        table.starts_with("yamabiko conform client ours: 12 cases"),
        "{table}"
    );
    assert_eq!(exit_status(&mut suite, TIMEOUT).code(), Some(0), "{table}");
}

#[test]
fn list_has_a_line_for_each_case() {
    let output = conform(&["server", "--list", "--case", "7.9.3"]);
    let line = text(&output.stdout);
    assert!(line.starts_with("closing/illegal-codes "), "{line}");
    assert!(line.ends_with("[7.9.1-9]\n"), "{line}");
}
