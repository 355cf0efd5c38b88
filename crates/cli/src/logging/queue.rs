//! The lines that wait, and the thread that writes them.
//!
//! ```text
//!   push ──▶ lines that wait: at most 1 MiB ──▶ thread: takes all, writes them, waits a second for more ──▶ ends
//!     └─ no room: dropped and counted
//! ```
//!
//! `push` holds a lock for the time of an append, and never while something is written. The thread begins with the first line and ends when
//! there was none for a second (`idle`).

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A queue of lines. Cheap to clone.
#[derive(Clone)]
pub(super) struct LineQueue(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    output: Mutex<Box<dyn Write + Send>>,
    /// The lines that report what was not written; the argument is how many lines were dropped.
    reports: Box<dyn Fn(u64) -> Vec<String> + Send + Sync>,
    /// The thread ends when there was no line for so long; what was not written is reported this often.
    idle: Duration,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    /// Of `lines`: 0 ≤ bytes ≤ BYTES_MAX
    bytes: usize,
    /// A thread writes, or waits for lines.
    has_thread: bool,
    /// Lines are being written.
    is_writing: bool,
    /// Something is to be reported within a second.
    must_report: bool,
    /// The program ends: the thread waits for no further lines.
    ends: bool,
    written: u64,
    dropped: u64,
    /// Of `dropped`: not reported yet.
    unreported: u64,
}

impl LineQueue {
    pub(super) fn new(
        output: impl Write + Send + 'static,
        reports: impl Fn(u64) -> Vec<String> + Send + Sync + 'static,
        idle: Duration,
    ) -> LineQueue {
        LineQueue(Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            output: Mutex::new(Box::new(output)),
            reports: Box::new(reports),
            idle,
        }))
    }

    /// Adds a line, without its end. Never waits: if there is no room, the line is dropped.
    pub(super) fn push(&self, line: String) {
        let mut state = self.0.lock();
        if state.bytes + line.len() > BYTES_MAX {
            state.drop_line();
            return;
        }
        state.bytes += line.len();
        state.lines.push(line);
        self.wake(state);
    }

    /// Something was not written: the thread reports it within a second.
    pub(super) fn report_later(&self) {
        let mut state = self.0.lock();
        state.must_report = true;
        self.wake(state);
    }

    /// Lines that were written, and that were dropped.
    pub(super) fn counts(&self) -> (u64, u64) {
        let state = self.0.lock();
        (state.written, state.dropped)
    }

    /// Waits until all lines are written, and what was not written is reported; at most for a second: nobody may be reading them.
    pub(super) fn finish(&self) {
        self.finish_within(FINISH_TIMEOUT);
    }

    fn finish_within(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let mut state = self.0.lock();
        state.ends = true;
        if state.has_work() {
            self.wake(state);
            state = self.0.lock();
        }
        while state.has_work() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.0.wait(state, left);
        }
    }

    /// Starts the thread, or wakes it.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if state.has_thread {
            return self.0.changed.notify_all();
        }
        state.has_thread = true;
        drop(state);
        let shared = self.0.clone();
        let thread = thread::Builder::new().name("log".to_owned());
        if thread.spawn(move || shared.write_lines()).is_err() {
            let mut state = self.0.lock();
            state.has_thread = false;
            state.drop_all();
        }
    }
}

impl State {
    fn has_work(&self) -> bool {
        self.is_writing || !self.lines.is_empty() || self.must_report
    }

    fn drop_line(&mut self) {
        self.dropped += 1;
        self.unreported += 1;
        self.must_report = true;
    }

    fn drop_all(&mut self) {
        self.bytes = 0;
        for _ in 0..std::mem::take(&mut self.lines).len() {
            self.drop_line();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, time);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The thread.
    fn write_lines(&self) {
        let mut report_at = None;
        loop {
            let mut state = self.lock();
            if state.lines.is_empty() {
                let began = Instant::now();
                while state.lines.is_empty() && !state.ends && began.elapsed() < self.idle {
                    let left = self.idle.saturating_sub(began.elapsed());
                    state = self.wait(state, left);
                }
            }
            let lines = std::mem::take(&mut state.lines);
            state.bytes = 0;
            if lines.is_empty() && !state.must_report {
                state.has_thread = false;
                return;
            }
            state.is_writing = true;
            let is_due = report_at.is_none_or(|at: Instant| at.elapsed() >= self.idle);
            let is_due = is_due || state.ends;
            drop(state);
            if lines.is_empty() || is_due {
                report_at = Some(Instant::now());
                self.write(lines);
            } else {
                self.output(&lines);
            }
            self.lock().is_writing = false;
            self.changed.notify_all();
        }
    }

    /// Writes these lines, and reports what was not written.
    fn write(&self, mut lines: Vec<String>) {
        let mut state = self.lock();
        let dropped = std::mem::take(&mut state.unreported);
        let must_report = std::mem::take(&mut state.must_report);
        drop(state);
        if must_report {
            lines.extend((self.reports)(dropped));
        }
        self.output(&lines);
    }

    fn output(&self, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        let mut bytes = lines.join("\n").into_bytes();
        bytes.push(b'\n');
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let written = output.write_all(&bytes).and_then(|()| output.flush());
        drop(output);
        let mut state = self.lock();
        match written {
            Ok(()) => state.written += lines.len() as u64,
            // Standard error is closed, or its device is full.
            Err(_) => state.dropped += lines.len() as u64,
        }
    }
}

/// The bytes of all lines that wait: some thousands of lines.
const BYTES_MAX: usize = 1 << 20;

/// How long the end of the program waits for the lines.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use yamabiko_testing::waiting::{TIMEOUT, eventually};

    /// An output that takes each write when the test allows it.
    struct Gate {
        allowed: Receiver<()>,
        written: Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.allowed.recv().map_err(io::Error::other)?;
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.written.send(text).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gate() -> (LineQueue, Sender<()>, Receiver<String>) {
        let (allow, allowed) = channel();
        let (written, lines) = channel();
        let reports = |dropped| vec![format!("dropped {dropped}")];
        let queue = LineQueue::new(Gate { allowed, written }, reports, Duration::from_millis(1));
        (queue, allow, lines)
    }

    fn next(lines: &Receiver<String>) -> String {
        lines.recv_timeout(TIMEOUT).expect("lines are written")
    }

    #[test]
    fn lines_wait_up_to_the_limit_while_nobody_reads_and_one_more_is_dropped_and_reported() {
        let (queue, allow, lines) = gate();
        queue.push("first".to_owned());
        // The thread has taken the first line when nothing waits.
        eventually("the first line is taken", TIMEOUT, || {
            queue.0.lock().lines.is_empty()
        });
        let half = "x".repeat(BYTES_MAX / 2);
        queue.push(half.clone());
        queue.push(half);
        assert_eq!(queue.counts().1, 0);
        queue.push("y".to_owned());
        queue.push("z".to_owned());
        assert_eq!(queue.counts().1, 2);
        (0..9).for_each(|_| allow.send(()).expect("the thread writes"));
        assert_eq!(next(&lines), "first\n");
        let rest = next(&lines);
        assert!(rest.len() > BYTES_MAX, "{}", rest.len());
        let report = match rest.strip_suffix("dropped 2\n") {
            Some(_) => "dropped 2\n".to_owned(),
            None => next(&lines),
        };
        assert_eq!(report, "dropped 2\n");
        // The thread has ended, or will, and the next line is written.
        queue.push("last".to_owned());
        assert_eq!(next(&lines), "last\n");
    }

    #[test]
    fn thread_ends_without_lines_and_begins_again() {
        let (queue, allow, lines) = gate();
        for text in ["one", "two"] {
            queue.push(text.to_owned());
            allow.send(()).expect("the thread writes");
            assert_eq!(next(&lines), format!("{text}\n"));
            eventually("the thread ends", TIMEOUT, || !queue.0.lock().has_thread);
        }
        assert_eq!(queue.counts(), (2, 0));
    }

    #[test]
    fn end_waits_for_lines_and_reports_and_for_no_reader_that_stands_still() {
        let (queue, allow, lines) = gate();
        queue.push("first".to_owned());
        eventually("the first line is taken", TIMEOUT, || {
            queue.0.lock().lines.is_empty()
        });
        queue.push("x".repeat(BYTES_MAX));
        queue.push("one too many".to_owned());
        // Nothing is read.
        queue.finish_within(Duration::from_millis(10));
        assert!(queue.0.lock().has_work());
        (0..9).for_each(|_| allow.send(()).expect("the thread writes"));
        queue.finish_within(TIMEOUT);
        assert!(!queue.0.lock().has_work());
        assert_eq!(next(&lines), "first\n");
        assert!(next(&lines).ends_with("x\ndropped 1\n"));
    }

    #[test]
    fn output_that_is_closed_costs_lines_and_nothing_else() {
        let (queue, allow, _) = gate();
        drop(allow);
        queue.push("lost".to_owned());
        queue.finish_within(TIMEOUT);
        assert_eq!(queue.counts(), (0, 1));
    }
}
