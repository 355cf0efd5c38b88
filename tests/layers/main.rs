//! The layers: which modules, crates and parts of the standard library each folder may use.
//!
//! Each folder of `src/` is a layer, and so is each crate in `crates/`. The table
//! below lists the modules, crates and parts of the standard library that its code may
//! name. The test parses the code (`use` lines and full paths, without comments,
//! strings and test modules), resolves imported and relative names, and fails if a
//! layer names something that its row does not allow. It also fails if files, or the
//! modules at the top of a package, use each other in a circle.
//!
//! Limits: the test reads names, not types. It does not find a type that a layer
//! receives as a value and never names, or a name that a macro creates.

mod circles;
mod code;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use circles::Files;
use code::{Code, Named};

/// The paths that the code of one folder may name; `name` is the path of the folder in the project. The longest
/// listed prefix of a path decides; a path without a listed prefix is not allowed.
struct Layer {
    name: &'static str,
    may: &'static [&'static str],
    must_not: &'static [&'static str],
}

#[rustfmt::skip]
const LAYERS: [Layer; 27] = [
    // Sans-IO: the same bytes in give the same bytes out, on any machine. Maps
    // that hash with a random seed would break that, too.
    Layer {
        name: "src/websocket",
        may: &[
            "crate::websocket", "crate::http", "crate::time", "crate::read_buffer", "core", "alloc",
            "core::time::Duration", "fearless_simd", "sha1", "base64", "simdutf8", "http", "percent_encoding",
        ],
        must_not: &[
            "crate::time::Clock",
            "std::net", "std::io", "std::fs", "std::os", "std::env", "std::process",
            "std::thread", "std::time", "core::time", "std::print!", "std::sync::Mutex",
            "std::sync::RwLock", "std::sync::mpsc", "std::hash::RandomState",
            "std::collections::HashMap", "std::collections::HashSet",
            "std::collections::hash_map", "std::collections::hash_set",
        ],
    },
    // Sans-IO, too: messages of HTTP, which know neither frames nor sockets.
    Layer {
        name: "src/http",
        may: &[
            "crate::http", "crate::time", "core", "alloc", "core::time::Duration", "sha1", "http", "percent_encoding",
            "form_urlencoded",
        ],
        must_not: &["crate::time::Clock", "core::time"],
    },
    // Files that are compressed once.
    Layer {
        name: "src/http/gzip.rs",
        may: &["crate::http", "core", "alloc", "zlib_rs"],
        must_not: &["core::time"],
    },
    // A leaf: it knows neither messages nor connections. Its pool is shared by them.
    Layer {
        name: "src/websocket/deflate",
        may: &["crate::websocket::deflate", "std", "core", "alloc", "zlib_rs"],
        must_not: &[
            "std::net", "std::io", "std::fs", "std::os", "std::env", "std::process",
            "std::thread", "std::time", "core::time", "std::print!", "std::sync::RwLock",
            "std::sync::mpsc", "std::hash::RandomState", "std::collections::HashMap",
            "std::collections::HashSet", "std::collections::hash_map",
            "std::collections::hash_set",
        ],
    },
    // Sans-IO, too: what a proxy tells of a client.
    Layer {
        name: "src/proxy",
        may: &["crate::proxy", "crate::http", "core", "alloc"],
        must_not: &["core::time"],
    },
    // Sans-IO, too: what a request's token grants at a time that is an input.
    Layer {
        name: "src/tokens",
        may: &[
            "crate::tokens", "crate::http", "std", "core", "alloc", "base64", "ed25519_dalek", "hmac",
            "jsonwebtoken", "serde", "serde_json", "sha2", "signature", "subtle",
        ],
        must_not: &[
            "std::net", "std::io", "std::fs", "std::os", "std::env", "std::process", "std::thread",
            "std::time::Instant", "std::time::SystemTime::now", "std::print!",
            "jsonwebtoken::get_current_timestamp",
        ],
    },
    // Bytes, and positions in them.
    Layer {
        name: "src/read_buffer.rs",
        may: &["crate::read_buffer", "core", "alloc"],
        must_not: &["core::time"],
    },
    // Sans-IO, too: TLS of one connection. Random bytes and the time of a ticket are rustls' own.
    Layer {
        name: "src/tls",
        may: &["crate::tls", "std", "core", "rustls", "rustls_native_certs"],
        must_not: &[
            "std::net", "std::io", "std::fs", "std::os", "std::env", "std::process", "std::thread", "std::time",
            "core::time", "std::print!",
        ],
    },
    // The one place where TLS meets the event loop.
    Layer {
        name: "src/tls/channel.rs",
        may: &["crate::tls", "crate::reactor", "std", "core"],
        must_not: &["std::net", "std::fs", "std::os", "std::env", "std::process", "std::thread", "std::time"],
    },
    // A point in time, and the one clock that the layers with input and output read.
    Layer {
        name: "src/time.rs",
        may: &["crate::time", "std", "core"],
        must_not: &[
            "std::net", "std::io", "std::fs", "std::os", "std::env", "std::process", "std::thread",
            "std::print!",
        ],
    },
    // The bytes of a connection, for a program that shows them.
    Layer {
        name: "src/traffic.rs",
        may: &["crate::traffic", "core"],
        must_not: &["core::time"],
    },
    // Bytes and positions in them.
    Layer {
        name: "src/broadcast",
        may: &["crate::broadcast", "std", "core", "alloc", "std::io::IoSlice"],
        must_not: &[
            "std::net", "std::io", "std::fs", "std::os", "std::env", "std::process",
            "std::thread", "std::time", "core::time", "std::print!",
        ],
    },
    // Bytes and time: for the server, the only one who calls the operating system.
    Layer {
        name: "src/reactor",
        may: &[
            "crate::reactor", "crate::time", "crate::read_buffer", "std", "core", "alloc", "mio", "rustix", "socket2",
            // The list of the process's own descriptors.
            "std::fs::read_dir",
        ],
        must_not: &["std::fs", "std::env", "std::process", "std::print!"],
    },
    // The file of a Unix socket.
    Layer {
        name: "src/reactor/unix_socket.rs",
        may: &["crate::reactor", "std", "core", "alloc", "socket2"],
        must_not: &["std::env", "std::process", "std::print!"],
    },
    // Where they meet: addresses, and a listener to hand on; no calls of its own.
    Layer {
        name: "src/server",
        may: &[
            "crate::server", "crate::websocket", "crate::http", "crate::broadcast", "crate::reactor", "crate::time",
            "crate::tokens", "crate::proxy", "crate::tls", "crate::traffic",
            "httpdate", "tracing", "std", "core", "alloc", "std::net::SocketAddr", "std::net::SocketAddrV4",
            "std::time::SystemTime", "std::net::SocketAddrV6", "std::net::IpAddr", "std::net::Ipv4Addr",
            "std::net::Ipv6Addr", "std::net::TcpListener",
        ],
        must_not: &[
            "std::net", "std::net::TcpListener::bind", "std::fs", "std::env",
            "std::process", "std::time::Instant", "std::time::SystemTime::now", "crate::time::Clock",
        ],
    },
    // An application like any other: the server's public handler trait, no wire.
    Layer {
        name: "src/chat",
        may: &[
            "crate::chat", "crate::server", "crate::tokens", "std", "core", "alloc", "serde", "serde_json",
            "icu_casemap", "icu_properties", "unicode_normalization", "unicode_security",
            "std::net::SocketAddr", "std::net::IpAddr", "std::net::Ipv6Addr", "argon2", "base64", "getrandom", "hmac", "sha2",
        ],
        // A thread compares passwords.
        must_not: &["std::net", "std::fs", "std::env", "std::process", "std::print!"],
    },
    // The same core over a blocking socket.
    Layer {
        name: "src/client",
        may: &[
            "crate::client", "crate::websocket", "crate::time", "crate::tls", "crate::traffic", "crate::read_buffer", "std", "core",
            "alloc", "getrandom", "httpdate", "rustix",
        ],
        must_not: &["std::fs", "std::env", "std::process", "std::print!"],
    },
    // The load generator: an application on the event loop, beside the server. Its
    // caller has the arguments, the signals and the terminal.
    Layer {
        name: "crates/load/src",
        may: &[
            "crate", "yamabiko::reactor", "yamabiko::tls", "yamabiko::websocket", "std", "core", "alloc",
            "getrandom", "hdrhistogram", "procfs_core", "serde", "socket2", "zlib_rs", "std::process::id",
        ],
        must_not: &[
            "std::env", "std::process", "std::print!", "std::io::stdin", "std::io::stdout",
            "std::io::stderr",
        ],
    },
    // The conformance suite: sockets and bytes, and nothing of what it tests.
    Layer {
        name: "crates/conform/src",
        may: &[
            "crate", "std", "core", "alloc", "base64", "getrandom", "mio", "rustls", "serde", "serde_json", "sha1", "socket2",
        ],
        must_not: &[
            "std::env", "std::process", "std::print!", "std::io::stdin", "std::io::stdout",
            "std::io::stderr",
        ],
    },
    // The same core on asynchronous streams: the runtime has the sockets and the clock.
    Layer {
        name: "crates/tokio/src",
        may: &[
            "crate", "yamabiko", "std", "core", "alloc", "tokio", "futures_core", "futures_sink", "futures_io", "http", "hyper",
            "hyper_util", "axum_core", "tokio_rustls",
        ],
        must_not: &[
            "yamabiko::server", "yamabiko::reactor", "yamabiko::broadcast", "yamabiko::chat",
            "std::net::TcpStream", "std::net::TcpListener", "std::fs", "std::env", "std::process", "std::thread",
            "std::print!",
        ],
    },
    // The playground: an application, which also holds both ends of a connection without I/O.
    Layer {
        name: "crates/playground/src",
        may: &[
            "crate", "yamabiko::server", "yamabiko::http", "yamabiko::websocket", "std", "core", "alloc", "base64", "serde",
            "serde_json",
        ],
        must_not: &[
            "std::net", "std::fs", "std::env", "std::process", "std::thread", "std::print!", "std::io",
        ],
    },
    // The server of Pusher clients: an application like the chat. Threads wait for what is due later.
    Layer {
        name: "crates/pusher/src",
        may: &[
            "crate", "yamabiko::server", "yamabiko::http", "std", "core", "alloc", "getrandom", "hmac", "rustls",
            "rustls_native_certs", "serde", "serde_json", "sha2", "subtle", "tracing", "ureq",
        ],
        must_not: &[
            "std::net", "std::fs", "std::env", "std::process", "std::print!", "std::io::stdin", "std::io::stdout",
            "std::io::stderr",
        ],
    },
    // The backplane on Redis: threads and sockets of its own, by a client crate.
    Layer {
        name: "crates/redis/src",
        may: &["crate", "yamabiko::server", "std", "core", "alloc", "getrandom", "redis"],
        must_not: &[
            "std::net", "std::fs", "std::env", "std::process", "std::print!", "std::io::stdin", "std::io::stdout",
            "std::io::stderr",
        ],
    },
    // The data file: a backplane of the server. Its threads wait for the disk.
    Layer {
        name: "crates/sqlite/src",
        may: &["crate", "yamabiko::server", "std", "core", "alloc", "rusqlite"],
        must_not: &[
            "std::net", "std::env", "std::process", "std::print!", "std::io::stdin", "std::io::stdout",
            "std::io::stderr",
        ],
    },
    // Its tests use files and servers.
    Layer {
        name: "crates/sqlite/src/tests",
        may: &["crate", "yamabiko", "yamabiko_testing", "std", "core", "alloc", "rusqlite", "proptest"],
        must_not: &[],
    },
    // The program, which knows the libraries by their names.
    Layer {
        name: "crates/cli/src",
        may: &[
            "crate", "yamabiko", "yamabiko_conform", "yamabiko_load", "yamabiko_playground", "yamabiko_pusher", "yamabiko_redis", "yamabiko_sqlite", "std", "core", "alloc", "clap", "clap_complete", "clap_mangen",
            "signal_hook", "procfs_core", "ctrlc", "indicatif", "serde_json", "getrandom", "httpdate", "crossterm", "jiff",
            "toml", "unicode_segmentation", "unicode_width", "nix", "tracing", "tracing_subscriber", "prometheus_client",
            "listenfd", "sd_notify", "rustix", "zlib_rs",
        ],
        must_not: &["yamabiko::reactor", "yamabiko::broadcast"],
    },
    // The harness of the tests, which may look everywhere.
    Layer {
        name: "crates/testing/src",
        may: &[
            "crate", "yamabiko", "yamabiko_pusher", "yamabiko_testing", "std", "core", "alloc", "rcgen", "rustls", "socket2", "zlib_rs",
        ],
        must_not: &[],
    },
];

/// The files of the library's root, which only declare the modules.
const OUTSIDE: [&str; 1] = ["src/lib.rs"];

#[test]
fn no_layer_names_a_path_that_its_row_does_not_allow() {
    let mut violations = Vec::new();
    let mut seen = BTreeSet::new();
    for package in Package::all() {
        for (file, text) in package.files() {
            if let Some(layer) = find_layer(&file) {
                seen.insert(layer.name);
                violations.extend(layer.violations(&file, &text, &package));
            }
        }
    }
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
    for layer in &LAYERS {
        assert!(seen.contains(layer.name), "{} has no code", layer.name);
    }
}

#[test]
fn every_file_of_the_code_is_in_a_layer() {
    for package in Package::all() {
        for (file, _) in package.files() {
            assert!(
                OUTSIDE.contains(&&*file) || find_layer(&file).is_some(),
                "{file} is in no layer"
            );
        }
    }
}

/// With global state, the same input could have different results.
#[test]
fn sans_io_layers_have_no_globals() {
    let mut globals = Vec::new();
    for package in Package::all() {
        for (file, text) in package.files() {
            let sans_io = ["src/websocket/", "src/http/", "src/broadcast/"];
            if sans_io.iter().any(|folder| file.starts_with(folder)) {
                let named = package.read(&file, &text).globals.into_iter();
                globals.extend(named.map(|global| format!("{file}: {}", global.path)));
            }
        }
    }
    assert_eq!(globals, [""; 0]);
}

#[test]
fn no_modules_at_the_top_of_a_package_need_each_other_in_a_circle() {
    let circles: Vec<String> = Package::all()
        .iter()
        .flat_map(|package| package.read_all().module_circles())
        .collect();
    assert!(circles.is_empty(), "\n{}", circles.join("\n"));
}

#[test]
fn no_files_need_each_other_in_a_circle_except_the_listed_ones() {
    let mut circles = Vec::new();
    for package in Package::all() {
        circles.extend(package.read_all().circles());
    }
    let file_of = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    let in_circles: BTreeSet<String> = circles.iter().map(|line| file_of(line)).collect();
    let listed = include_str!("circles_to_open.txt").lines();
    let listed: BTreeSet<String> = listed.map(str::to_owned).collect();
    circles.retain(|line| !listed.contains(&file_of(line)));
    assert!(circles.is_empty(), "\n{}", circles.join("\n"));
    let opened: Vec<&String> = listed.difference(&in_circles).collect();
    assert!(
        opened.is_empty(),
        "no longer in a circle, remove from the list: {opened:?}"
    );
}

/// A package of the workspace that has layers.
struct Package {
    /// The path of its code in the project: `crates/cli/src`.
    source: String,
    /// The crates that a path may begin with: those of the standard library, `yamabiko`,
    /// and the dependencies.
    crates: Vec<String>,
}

impl Package {
    fn all() -> Vec<Package> {
        let mut folders = vec![String::new()];
        for entry in fs::read_dir(project().join("crates")).expect("crates/ can be listed") {
            let name = entry.expect("crates/ can be listed").file_name();
            folders.push(format!("crates/{}/", name.to_string_lossy()));
        }
        folders.iter().map(|folder| Package::of(folder)).collect()
    }

    fn of(folder: &str) -> Package {
        let manifest = project().join(folder).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).expect("there is a manifest");
        let mut crates = ["std", "core", "alloc", "yamabiko"]
            .map(String::from)
            .to_vec();
        let mut is_dependency = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                // Includes the dependencies of one target: `[target.'cfg(unix)'.dependencies]`.
                is_dependency = line == "[dependencies]" || line.ends_with(".dependencies]");
            } else if let Some((name, _)) = line.split_once(" = ").filter(|_| is_dependency) {
                crates.push(name.replace('-', "_"));
            }
        }
        Package {
            source: format!("{folder}src"),
            crates,
        }
    }

    /// The package that the file is in.
    fn around(file: &str) -> Package {
        let (folder, _) = file.split_once("src/").expect("it is in a package");
        Package::of(folder)
    }

    /// The path in the project and the text of every `.rs` file of the code.
    fn files(&self) -> Vec<(String, String)> {
        let with_text = |path: PathBuf| {
            let file = path.strip_prefix(project()).expect("it is in the project");
            let text = fs::read_to_string(&path).expect("a source file can be read");
            (file.display().to_string(), text)
        };
        let files = rust_files(&project().join(&self.source));
        files.into_iter().map(with_text).collect()
    }

    /// All files of the package.
    fn read_all(&self) -> Files {
        let read = |(file, text): (String, String)| {
            let code = self.read(&file, &text);
            (file, code)
        };
        Files::new(&self.source, self.files().into_iter().map(read).collect())
    }

    fn read(&self, file: &str, text: &str) -> Code {
        let below = file
            .strip_prefix(&*self.source)
            .expect("it is in the package");
        Code::read(below.trim_start_matches('/'), text, &self.crates)
    }
}

/// The innermost folder of the table that contains the file.
fn find_layer(file: &str) -> Option<&'static Layer> {
    let around = |layer: &&Layer| Path::new(file).starts_with(layer.name);
    LAYERS
        .iter()
        .filter(around)
        .max_by_key(|layer| layer.name.len())
}

fn layer_of(file: &str) -> &'static Layer {
    find_layer(file).expect("the file is in a layer")
}

impl Layer {
    /// The paths that the layer names and must not name, each at its first line.
    fn violations(&self, file: &str, text: &str, package: &Package) -> Vec<String> {
        let mut forbidden: Vec<(usize, String)> = Vec::new();
        for Named { line, path, .. } in package.read(file, text).paths {
            let reported = forbidden.iter().any(|(_, known)| is_prefix(known, &path));
            if !reported && !self.allows(&path) {
                forbidden.push((line, path));
            }
        }
        forbidden
            .into_iter()
            .map(|(line, path)| format!("{file}:{line}: {} must not name {path}", self.name))
            .collect()
    }

    fn allows(&self, path: &str) -> bool {
        let longest = |list: &[&str]| {
            let prefixes = list.iter().filter(|prefix| is_prefix(prefix, path));
            prefixes.map(|prefix| prefix.len()).max()
        };
        // `None`, which is no prefix, is less than any length.
        longest(self.may) > longest(self.must_not)
    }
}

/// Compares whole segments: `std::net` is a prefix of `std::net::TcpStream`, but not of
/// `std::network`.
fn is_prefix(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.rs` file in the folder and its subfolders.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files
}

mod planted {
    //! Tests of the test: it finds invalid code in each layer, and accepts valid code.

    use super::*;

    fn violations(file: &str, code: &str) -> Vec<String> {
        layer_of(file).violations(file, code, &Package::around(file))
    }

    #[test]
    fn each_path_that_is_not_allowed_is_found() {
        for (file, code, path) in [
            (
                "src/websocket/a.rs",
                "use std::net::TcpStream;",
                "std::net::TcpStream",
            ),
            (
                "src/websocket/a.rs",
                "use std::time::Instant;",
                "std::time::Instant",
            ),
            (
                "src/websocket/a.rs",
                "use crate::time::Clock;",
                "crate::time::Clock",
            ),
            (
                "src/websocket/a.rs",
                "fn a() { std::thread::yield_now() }",
                "std::thread::yield_now",
            ),
            (
                "src/websocket/a.rs",
                "fn a() { getrandom::fill(k) }",
                "getrandom::fill",
            ),
            (
                "src/websocket/a.rs",
                "use std::collections::HashMap;",
                "std::collections::HashMap",
            ),
            (
                "src/websocket/a.rs",
                "fn a() { println!(\"x\") }",
                "std::print!",
            ),
            (
                "src/websocket/a.rs",
                "use crate::broadcast::Log;",
                "crate::broadcast::Log",
            ),
            ("src/websocket/a.rs", "use mio::Poll;", "mio::Poll"),
            (
                "src/http/a.rs",
                "use crate::websocket::frame;",
                "crate::websocket::frame",
            ),
            (
                "src/http/a.rs",
                "use std::net::SocketAddr;",
                "std::net::SocketAddr",
            ),
            ("src/http/a.rs", "use zlib_rs::Deflate;", "zlib_rs::Deflate"),
            (
                "src/broadcast/a.rs",
                "use crate::websocket::Message;",
                "crate::websocket::Message",
            ),
            (
                "src/broadcast/a.rs",
                "fn a(s: &mio::net::TcpStream) {}",
                "mio::net::TcpStream",
            ),
            (
                "src/broadcast/a.rs",
                "use std::time::Duration;",
                "std::time::Duration",
            ),
            ("src/broadcast/a.rs", "use crate::chat;", "crate::chat"),
            (
                "src/reactor/a.rs",
                "use crate::websocket::frame;",
                "crate::websocket::frame",
            ),
            (
                "src/reactor/a.rs",
                "use crate::broadcast;",
                "crate::broadcast",
            ),
            (
                "src/reactor/a.rs",
                "type S = crate::server::Server;",
                "crate::server::Server",
            ),
            (
                "src/server/a.rs",
                "use crate::chat::Chat;",
                "crate::chat::Chat",
            ),
            (
                "src/server/a.rs",
                "use std::net::TcpStream;",
                "std::net::TcpStream",
            ),
            ("src/server/a.rs", "use mio::Token;", "mio::Token"),
            (
                "src/chat/a.rs",
                "use crate::websocket::frame;",
                "crate::websocket::frame",
            ),
            (
                "src/chat/a.rs",
                "use crate::reactor::Io;",
                "crate::reactor::Io",
            ),
            (
                "src/client/a.rs",
                "use crate::server::Config;",
                "crate::server::Config",
            ),
            ("src/client/a.rs", "use mio::Poll;", "mio::Poll"),
            (
                "crates/cli/src/a.rs",
                "use yamabiko::reactor::Io;",
                "yamabiko::reactor::Io",
            ),
            (
                "crates/cli/src/bench/a.rs",
                "use yamabiko::broadcast::SharedLog;",
                "yamabiko::broadcast::SharedLog",
            ),
            (
                "crates/load/src/a.rs",
                "use yamabiko::server::Server;",
                "yamabiko::server::Server",
            ),
            (
                "crates/load/src/a.rs",
                "use yamabiko::client::Client;",
                "yamabiko::client::Client",
            ),
            (
                "crates/load/src/a.rs",
                "fn a() { std::env::args() }",
                "std::env::args",
            ),
            (
                "crates/load/src/a.rs",
                "fn a() { eprintln!(\"x\") }",
                "std::print!",
            ),
        ] {
            let layer = layer_of(file).name;
            let expected = format!("{file}:1: {layer} must not name {path}");
            assert_eq!(violations(file, code), [expected], "{code}");
        }
    }

    #[test]
    fn server_may_pass_a_listener_on_and_not_bind_one() {
        let code =
            "use std::net::{SocketAddr, TcpListener};\nstruct S { a: SocketAddr, l: TcpListener }";
        assert_eq!(violations("src/server/a.rs", code), [""; 0]);
        let code = format!("{code}\nfn f() {{ TcpListener::bind(a) }}");
        assert_eq!(
            violations("src/server/a.rs", &code),
            ["src/server/a.rs:3: src/server must not name std::net::TcpListener::bind"]
        );
    }

    #[test]
    fn allowed_paths_are_accepted() {
        for (file, code) in [
            (
                "src/websocket/a.rs",
                "use alloc::borrow::Cow; use super::limits::Limits; use sha1::Sha1;",
            ),
            (
                "src/websocket/frame/a.rs",
                "use super::super::utf8; use crate::websocket::{self, limits};",
            ),
            (
                "src/broadcast/a.rs",
                "use std::io::IoSlice; use std::sync::Arc;",
            ),
            (
                "src/reactor/a.rs",
                "use std::net::TcpListener; use mio::{Poll, Token};",
            ),
            (
                "src/server/a.rs",
                "use crate::{broadcast::SharedLog, reactor::Io, websocket as ws};",
            ),
            (
                "src/chat/a.rs",
                "use crate::server::{Context, Handler}; use serde::Serialize;",
            ),
            (
                "src/client/a.rs",
                "use std::net::TcpStream; use crate::websocket::Connection;",
            ),
            (
                "crates/cli/src/a.rs",
                "use yamabiko::server::Server; fn a() { println!(\"on\") }",
            ),
            (
                "crates/load/src/a.rs",
                "use yamabiko::reactor::Io; use super::plan::Plan;",
            ),
        ] {
            assert_eq!(violations(file, code), [""; 0], "{code}");
        }
    }
}
