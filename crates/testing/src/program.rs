//! The program `yamabiko` as a process, for tests of clients that it must survive: its memory, its
//! descriptors, its log and its panics.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::socket::Client;
#[cfg(feature = "tls")]
use crate::tls::{Folder, tunnel};
use crate::waiting::{TIMEOUT, eventually};

/// A running program. It is killed when the value is dropped.
pub struct Program {
    child: Child,
    /// A path that takes WebSockets and sends each message back.
    echo_path: &'static str,
    /// The first IP address that it listens on.
    pub address: SocketAddr,
    /// All of them.
    pub addresses: Vec<SocketAddr>,
    /// The file in place of `{socket}` in the options.
    pub socket: PathBuf,
    errors: Arc<Mutex<Errors>>,
    /// Open descriptors without a client.
    descriptors_idle: usize,
    /// The files in place of `{cert}` and `{key}` in the options: then its addresses speak TLS.
    #[cfg(feature = "tls")]
    pub tls: Option<Folder>,
}

/// What the program has written to standard error.
#[derive(Default)]
struct Errors {
    /// The newest lines, at most [`LINES_MAX`].
    lines: VecDeque<String>,
    /// Lines that report a panic.
    panics: Vec<String>,
}

impl Program {
    /// Starts the file with a command (`serve` or `echo`) and options, on any free port. `{socket}` in an option becomes the path
    /// of a file that no other program uses, `{cert}` and `{key}` (feature `tls`) those of a certificate for `localhost`.
    pub fn start(file: impl AsRef<OsStr>, arguments: &[&str]) -> Program {
        let socket = unused_path();
        let path = socket.to_str().expect("text");
        #[cfg(feature = "tls")]
        let tls = arguments.contains(&"{cert}").then(|| folder_for(&socket));
        let options = arguments.iter().map(|option| {
            let option = option.replace("{socket}", path);
            #[cfg(feature = "tls")]
            let option = match &tls {
                Some(folder) => option
                    .replace("{cert}", &folder.file("localhost.pem"))
                    .replace("{key}", &folder.file("localhost.key")),
                None => option,
            };
            option
        });
        let mut child = Command::new(file)
            .args(options)
            .args(["--listen", "127.0.0.1:0"])
            // On a busy machine a client may wait longer than the usual 25 s for its next step, and expects no ping then.
            .env("YAMABIKO_PING_INTERVAL", "300")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let errors = Arc::default();
        collect_errors(child.stderr.take().expect("a pipe"), Arc::clone(&errors));
        let addresses = addresses_of(child.stdout.take().expect("a pipe"));
        let program = Program {
            descriptors_idle: descriptors_of(&child),
            child,
            echo_path: match arguments.first() {
                Some(&"serve") => "/broadcast/fresh",
                _ => "/",
            },
            address: addresses[0],
            addresses,
            socket,
            errors,
            #[cfg(feature = "tls")]
            tls,
        };
        // Memory that the program allocates once is allocated now.
        program.serves_a_fresh_client();
        program
    }

    /// Fails if the program has ended or reported a panic.
    pub fn is_healthy(&mut self) {
        let panics = locked(&self.errors).panics.clone();
        assert!(panics.is_empty(), "the program panicked: {panics:?}");
        let ended = self.child.try_wait().expect("our child");
        assert_eq!(ended, None, "the program has ended");
    }

    /// The first line of standard error that has this text, as soon as there is one.
    pub fn error_line(&self, text: &str) -> String {
        let mut found = None;
        eventually(text, TIMEOUT, || {
            let errors = locked(&self.errors);
            found = errors
                .lines
                .iter()
                .find(|line| line.contains(text))
                .cloned();
            found.is_some()
        });
        found.expect("it was found")
    }

    /// A new client gets the message back that it sends.
    pub fn serves_a_fresh_client(&self) {
        let mut client = self.connect().upgraded(self.echo_path);
        client.text("fresh");
        assert_eq!(client.read_text(), "fresh");
    }

    /// A new client, over TLS if the program speaks it.
    fn connect(&self) -> Client {
        #[cfg(feature = "tls")]
        if let Some(folder) = &self.tls {
            return tunnel::client(self.address, folder.authority.client());
        }
        Client::connect(self.address)
    }

    /// Fails if more descriptors stay open than those of so many clients.
    pub fn closes_all_descriptors_but(&self, clients: usize) {
        eventually("all descriptors of clients are closed", TIMEOUT, || {
            descriptors_of(&self.child) <= self.descriptors_idle + clients
        });
    }

    /// Fails if more descriptors are open now than those of so many clients.
    pub fn has_at_most_descriptors_of(&self, clients: usize) {
        let open = descriptors_of(&self.child);
        let max = self.descriptors_idle + clients;
        assert!(open <= max, "{open} descriptors, and the limit is {max}");
    }

    /// The memory in use, in bytes, and from now on the peak is counted anew.
    pub fn start_counting_memory(&self) -> usize {
        // proc(5): 5 sets the peak to the current value.
        if MEASURES {
            let written = std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
            written.expect("the process is ours");
        }
        self.memory_bytes()
    }

    /// The memory in use, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.status_bytes("VmRSS:")
    }

    /// The peak of the memory in use since then, in bytes.
    pub fn memory_bytes_peak(&self) -> usize {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, name: &str) -> usize {
        if !MEASURES {
            return 0;
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the program runs");
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        let number = value.and_then(|value| value.trim().strip_suffix(" kB"));
        let kibibytes = number.and_then(|number| number.parse::<usize>().ok());
        kibibytes.expect("the value is given in kB") << 10
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A program that is killed leaves the file of its socket.
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// A folder that no other program uses: it is named after the program's socket.
#[cfg(feature = "tls")]
fn folder_for(socket: &std::path::Path) -> Folder {
    let name = socket.file_stem().and_then(OsStr::to_str);
    Folder::new(name.expect("text"))
}

/// A path in the temporary directory that is short enough for a Unix socket.
fn unused_path() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    std::env::temp_dir().join(format!("yamabiko-{process}-{number}.sock"))
}

fn descriptors_of(process: &Child) -> usize {
    if !MEASURES {
        return 0;
    }
    let folder = std::fs::read_dir(format!("/proc/{}/fd", process.id()));
    folder.expect("the process runs").count()
}

/// Memory and descriptors of another process are read from `/proc`. Elsewhere they are 0.
const MEASURES: bool = cfg!(target_os = "linux");

/// The addresses in the program's first line: `… http://127.0.0.1:4000/`, or behind that
/// `(listening on 127.0.0.1:4000, unix:/run/x, 127.0.0.2:4001)`.
fn addresses_of(output: impl Read) -> Vec<SocketAddr> {
    let mut line = String::new();
    let read = BufReader::new(output).read_line(&mut line);
    read.expect("a line of text");
    let (_, rest) = line.split_once("://").expect("a line with an address");
    let (first, rest) = rest.split_once('/').expect("the end of the address");
    let all = rest
        .split_once("(listening on ")
        .map_or(first, |(_, all)| all);
    let addresses = all.trim_end().trim_end_matches(')').split(", ");
    let addresses: Vec<SocketAddr> = addresses.filter_map(|text| text.parse().ok()).collect();
    assert!(!addresses.is_empty(), "{line}");
    addresses
}

fn collect_errors(output: impl Read + Send + 'static, errors: Arc<Mutex<Errors>>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let mut errors = locked(&errors);
            if line.contains("panicked") {
                errors.panics.push(line.clone());
            }
            if errors.lines.len() == LINES_MAX {
                errors.lines.pop_front();
            }
            errors.lines.push_back(line);
        }
    });
}

/// So many lines of standard error are kept.
const LINES_MAX: usize = 1_000;

/// A failed behaviour does not fail the others.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
