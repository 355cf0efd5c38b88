//! A Redis of one test: the program `redis-server` on a free port, with its data in a folder of its own.
//!
//! A test without the program is skipped, with a line on standard error; with the environment variable `TEST_NEEDS_REDIS` it fails.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::port::ReservedPort;
use crate::waiting::{TIMEOUT, bounded, eventually};

/// A running Redis. It is killed when the value is dropped, and its data is removed.
pub struct Redis {
    child: Child,
    port: ReservedPort,
    folder: PathBuf,
    options: Vec<String>,
    password: Option<String>,
}

impl Redis {
    /// Starts one with these options, such as `["--appendonly", "yes"]`. It writes nothing to its disk unless they say so.
    /// `None`: there is no such program.
    pub fn start(options: &[&str]) -> Option<Redis> {
        let folder = unused_folder();
        fs::create_dir_all(&folder).expect("a temporary folder");
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let password = options
            .iter()
            .skip_while(|option| *option != "--requirepass")
            .nth(1);
        let mut redis = Redis {
            password: password.cloned(),
            port: ReservedPort::new(),
            child: spawn(&folder, 0, &options)?,
            folder,
            options,
        };
        // The first one has only shown that there is a program.
        redis.kill();
        redis.run();
        Some(redis)
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// `redis://127.0.0.1:…`
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// The folder with its data.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port, with what its folder has, and waits until it answers.
    pub fn run(&mut self) {
        // A program that is no test may have the port for a moment.
        eventually("Redis answers", TIMEOUT, || {
            if self.child.try_wait().expect("our child").is_some() {
                let child = spawn(&self.folder, self.port.number(), &self.options);
                self.child = child.expect("the program is there");
            }
            self.try_command("PING")
                .is_some_and(|answer| answer == "+PONG")
        });
    }

    /// Sends a signal to it: `STOP` and `CONT`.
    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Executes a command, and returns the first line of its answer.
    pub fn command(&self, command: &str) -> String {
        let answer = self.try_command(command);
        answer.unwrap_or_else(|| panic!("Redis answers {command}"))
    }

    /// Executes a command, and returns the lines of its answer, which is one text.
    pub fn lines(&self, command: &str) -> Vec<String> {
        let mut lines = self.answer(command).expect("Redis answers");
        let length = lines.next().and_then(Result::ok).expect("a length");
        let length: usize = length
            .strip_prefix('$')
            .and_then(|length| length.parse().ok())
            .expect("a text");
        let mut taken = 0;
        let text = lines.map_while(Result::ok).take_while(|line| {
            taken += line.len() + 1;
            taken <= length + 1
        });
        text.collect()
    }

    fn try_command(&self, command: &str) -> Option<String> {
        self.answer(command)?.next()?.ok()
    }

    /// The lines of the answer, and of nothing behind it.
    fn answer(&self, command: &str) -> Option<Lines<BufReader<TcpStream>>> {
        let mut stream = bounded(TcpStream::connect(self.address()).ok()?);
        let authenticated = match &self.password {
            Some(password) => format!("AUTH {password}\r\n{command}\r\n"),
            None => format!("{command}\r\n"),
        };
        stream.write_all(authenticated.as_bytes()).ok()?;
        let mut lines = BufReader::new(stream).lines();
        if self.password.is_some() {
            lines.next()?.ok()?;
        }
        Some(lines)
    }

    /// The number in the answer `:7` of a command.
    pub fn number(&self, command: &str) -> u64 {
        let answer = self.command(command);
        let number = answer
            .strip_prefix(':')
            .and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("{command} is answered with a number: {answer}"))
    }

    /// Writes a snapshot of its data, as a copy with this name.
    pub fn snapshot(&self, name: &str) {
        assert_eq!(self.command("SAVE"), "+OK");
        let copied = fs::copy(self.folder.join("dump.rdb"), self.folder.join(name));
        copied.expect("the snapshot is there");
    }

    /// Puts a snapshot in the place of the data: the next start has it.
    pub fn restore(&self, name: &str) {
        let copied = fs::copy(self.folder.join(name), self.folder.join("dump.rdb"));
        copied.expect("the copy is there");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Sends a signal to a process of ours.
fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &id]).status();
    assert!(sent.expect("kill exists").success(), "the process is there");
}

/// `None`: there is no such program, and the test is skipped.
fn spawn(folder: &Path, port: u16, options: &[String]) -> Option<Child> {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--dir", &folder.to_string_lossy()])
        .args(["--save", "", "--logfile", "log", "--daemonize", "no"])
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    match command.spawn() {
        Ok(child) => Some(child),
        Err(error) => {
            let needed = std::env::var_os("TEST_NEEDS_REDIS").is_some();
            assert!(!needed, "redis-server cannot be started: {error}");
            eprintln!("skipped: redis-server cannot be started on this host: {error}");
            None
        }
    }
}

fn unused_folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    std::env::temp_dir().join(format!("yamabiko-redis-{process}-{number}"))
}
