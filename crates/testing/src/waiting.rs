//! Waiting for a condition, with a time limit. A test never waits for a fixed time. It names the
//! condition, and fails with this name if the condition does not become true.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::panic::resume_unwind;
use std::process::{Child, ExitStatus, Output};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The limit of one wait: longer than any single step takes on a busy machine.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// The limit of a loop of many steps that each have their own limit.
pub const LOOP_TIMEOUT: Duration = Duration::from_secs(300);

/// The time between two checks of [`eventually`].
const STEP: Duration = Duration::from_millis(1);

/// Waits until `condition` holds. Fails with `what` if it does not within `bound`.
#[track_caller]
pub fn eventually(what: &str, bound: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Deadline::after(bound);
    while !condition() {
        deadline.check(what);
        thread::park_timeout(STEP);
    }
}

/// The time limit of a loop whose steps wait themselves, such as a loop that reads until a certain
/// frame arrives.
pub struct Deadline {
    begun: Instant,
    bound: Duration,
}

impl Deadline {
    pub fn after(bound: Duration) -> Deadline {
        Deadline {
            begun: Instant::now(),
            bound,
        }
    }

    /// Fails with `what` when the time is over.
    #[track_caller]
    pub fn check(&self, what: &str) {
        assert!(!self.is_over(), "not within {:?}: {what}", self.bound);
    }

    fn is_over(&self) -> bool {
        self.begun.elapsed() >= self.bound
    }
}

/// The result of a thread that must end. A panic of the thread fails the test.
#[track_caller]
pub fn joined<T>(what: &str, thread: JoinHandle<T>) -> T {
    eventually(what, TIMEOUT, || thread.is_finished());
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// The next connection. Limits the wait for it and the time of each read and write.
#[track_caller]
pub fn accepted(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).expect("a listener");
    let mut accepted = None;
    eventually("a connection", TIMEOUT, || {
        accepted = listener.accept().ok();
        accepted.is_some()
    });
    listener.set_nonblocking(false).expect("a listener");
    let (stream, _) = accepted.expect("eventually() has returned");
    stream.set_nonblocking(false).expect("open");
    bounded(stream)
}

/// Limits the time of each read and each write of the stream.
pub fn bounded(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(TIMEOUT)).expect("open");
    stream.set_write_timeout(Some(TIMEOUT)).expect("open");
    stream
}

/// Exit status and output of a program that must end. It is killed if it does not end in time.
#[track_caller]
pub fn output_of(mut child: Child, bound: Duration) -> Output {
    let stdout = child.stdout.take().map(read_to_end);
    let stderr = child.stderr.take().map(read_to_end);
    let status = exit_status(&mut child, bound);
    let bytes = |pipe: Option<JoinHandle<Vec<u8>>>| {
        let read = pipe.map(|pipe| joined("the end of the program's output", pipe));
        read.unwrap_or_default()
    };
    Output {
        status,
        stdout: bytes(stdout),
        stderr: bytes(stderr),
    }
}

/// The exit status of a program that must end. It is killed if it does not end in time.
#[track_caller]
pub fn exit_status(child: &mut Child, bound: Duration) -> ExitStatus {
    let deadline = Deadline::after(bound);
    loop {
        if let Some(status) = child.try_wait().expect("our child") {
            return status;
        }
        if deadline.is_over() {
            let _ = child.kill();
        }
        deadline.check("the end of the program");
        thread::park_timeout(STEP);
    }
}

fn read_to_end(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe");
        bytes
    })
}

/// The folder of this thread in Linux's `/proc`: `/proc/<process>/task/<thread>`.
#[cfg(target_os = "linux")]
pub fn own_thread() -> String {
    let name = std::fs::read_link("/proc/thread-self").expect("this is Linux");
    format!("/proc/{}", name.display())
}

/// Whether a thread sleeps in the kernel. `thread` is the result of [`own_thread`].
#[cfg(target_os = "linux")]
pub fn is_asleep(thread: &str) -> bool {
    let status = std::fs::read_to_string(format!("{thread}/status"));
    let status = status.expect("the thread runs");
    status.lines().any(|line| line.starts_with("State:\tS"))
}
