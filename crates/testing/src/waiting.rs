//! Waiting for a fact, with a bound. A test never waits for time to pass: it says
//! what must become true, and fails with those words when it does not.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::panic::resume_unwind;
use std::process::{Child, ExitStatus, Output};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The bound of a wait: longer than any one thing takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The bound of a loop whose steps are work, each of them bounded by itself.
pub const LOOP_PATIENCE: Duration = Duration::from_secs(300);

/// How often [`eventually`] looks.
const STEP: Duration = Duration::from_millis(1);

/// Waits until `condition` holds; fails with `what` when it does not within `bound`.
#[track_caller]
pub fn eventually(what: &str, bound: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Deadline::after(bound);
    while !condition() {
        deadline.check(what);
        thread::park_timeout(STEP);
    }
}

/// The bound of a loop whose steps wait by themselves, such as one that reads until
/// a certain frame comes.
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

/// The result of a thread that must end. Its panic becomes the test's own.
#[track_caller]
pub fn joined<T>(what: &str, thread: JoinHandle<T>) -> T {
    eventually(what, PATIENCE, || thread.is_finished());
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// The next connection, with a bound for it, for each read and for each write.
#[track_caller]
pub fn accepted(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).expect("a listener");
    let mut accepted = None;
    eventually("a connection", PATIENCE, || {
        accepted = listener.accept().ok();
        accepted.is_some()
    });
    listener.set_nonblocking(false).expect("a listener");
    let (stream, _) = accepted.expect("it was waited for");
    stream.set_nonblocking(false).expect("open");
    bounded(stream)
}

/// The same stream, with a bound for each read and each write.
pub fn bounded(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("open");
    stream.set_write_timeout(Some(PATIENCE)).expect("open");
    stream
}

/// Exit status and output of a program that must end; it is killed when it does not.
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

/// The exit status of a program that must end; it is killed when it does not.
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

/// Where Linux tells of this thread: `/proc/<process>/task/<thread>`.
#[cfg(target_os = "linux")]
pub fn own_thread() -> String {
    let name = std::fs::read_link("/proc/thread-self").expect("this is Linux");
    format!("/proc/{}", name.display())
}

/// Whether a thread of this process, as [`own_thread`] names it, waits in the kernel.
#[cfg(target_os = "linux")]
pub fn is_asleep(thread: &str) -> bool {
    let status = std::fs::read_to_string(format!("{thread}/status"));
    let status = status.expect("the thread runs");
    status.lines().any(|line| line.starts_with("State:\tS"))
}
