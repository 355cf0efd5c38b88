//! The log of `serve` and `echo`: events of the crate `tracing`, one line each, on standard error.
//!
//! ```text
//!   workers ──▶ level ──▶ at most N a second of each kind ──▶ a line ──▶ queue, at most 1 MiB ──▶ thread ──▶ standard error
//!                             └─ the others are counted         └─ beyond it lines are dropped and counted
//! ```
//!
//! | file | content |
//! |---|---|
//! | `rate.rs` | how many lines of a kind there may be in a second |
//! | `line.rs` | an event as text or as JSON; nothing that a client sends can begin a line or reach a terminal unescaped |
//! | `queue.rs` | the lines that wait, and the thread that writes them |
//!
//! A worker never waits for the log. A reader of standard error that is slow, or stops, costs lines and nothing else: their number follows in
//! a line of its own, and is in the metrics. The thread exists while there are lines, so a server that has nothing to report has one
//! thread for each worker, which makes its system calls a little faster.

mod line;
mod queue;
mod rate;

use std::io;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry;

pub(crate) use tracing_subscriber::filter::LevelFilter;

pub(crate) use line::Format;
use line::Line;
use queue::LineQueue;
use rate::Rates;

/// The settings of the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LogSettings {
    pub level: LevelFilter,
    pub format: Format,
    /// Lines of each kind in a second; `None`: no limit.
    pub lines_per_second: Option<NonZeroU32>,
}

impl Default for LogSettings {
    /// Ends of connections; enough lines to see what happens, and too few to fill a disk in a night.
    fn default() -> LogSettings {
        LogSettings {
            level: LevelFilter::INFO,
            format: Format::default(),
            lines_per_second: NonZeroU32::new(100),
        }
    }
}

/// What the log has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LogCounts {
    /// Lines that standard error has taken.
    pub written: u64,
    /// Lines that did not fit into the queue, or that standard error refused.
    pub dropped: u64,
    /// Events of a kind beyond its lines in a second.
    pub suppressed: u64,
}

/// A running log. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Log {
    queue: LineQueue,
    rates: Rates,
}

impl Log {
    /// Takes the events of the whole process from now on. Without a level it takes none.
    ///
    /// # Errors
    /// The process has a log already.
    pub(crate) fn start(settings: LogSettings) -> Result<Log, String> {
        let (log, layer) = Log::new(settings, io::stderr());
        if settings.level != LevelFilter::OFF {
            tracing::subscriber::set_global_default(registry().with(layer))
                .map_err(|error| format!("cannot start the log: {error}"))?;
        }
        Ok(log)
    }

    fn new(settings: LogSettings, output: impl io::Write + Send + 'static) -> (Log, Lines) {
        let rates = Rates::new(settings.lines_per_second.map(NonZeroU32::get));
        let (format, of_writer) = (settings.format, rates.clone());
        // What was not written is reported by the thread that writes.
        let reports = move |dropped: u64| -> Vec<String> {
            let suppressed = of_writer.take_suppressed();
            let mut lines = Vec::new();
            for (kind, count) in suppressed {
                lines.push(Line::suppressed(kind, count).in_format(format));
            }
            if dropped > 0 {
                lines.push(Line::dropped(dropped).in_format(format));
            }
            lines
        };
        let queue = LineQueue::new(output, reports, IDLE);
        let log = Log {
            queue: queue.clone(),
            rates: rates.clone(),
        };
        let layer = Lines {
            level: settings.level,
            format,
            queue,
            rates,
        };
        (log, layer)
    }

    /// What it has done so far.
    pub(crate) fn counts(&self) -> LogCounts {
        let (written, dropped) = self.queue.counts();
        LogCounts {
            written,
            dropped,
            suppressed: self.rates.suppressed(),
        }
    }

    /// Waits until all lines are written, at most a second: nobody may be reading them.
    pub(crate) fn finish(&self) {
        self.queue.finish();
    }
}

/// Turns events into lines.
struct Lines {
    level: LevelFilter,
    format: Format,
    queue: LineQueue,
    rates: Rates,
}

impl<S: Subscriber> Layer<S> for Lines {
    /// The answer of [`Lines::enabled`] changes from one second to the next, so it is not kept.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match *metadata.level() <= self.level && metadata.is_event() {
            true => Interest::sometimes(),
            false => Interest::never(),
        }
    }

    /// Asked once for each event, before its fields are evaluated.
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        if *metadata.level() > self.level || !metadata.is_event() {
            return false;
        }
        let second = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let second = second.map_or(0, |since| since.as_secs());
        match self.rates.allow(metadata.name(), second) {
            rate::Decision::Write => true,
            rate::Decision::Suppress { is_first } => {
                if is_first {
                    self.queue.report_later();
                }
                false
            }
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = Line::of(event, SystemTime::now());
        self.queue.push(line.in_format(self.format));
    }
}

/// How long the thread waits for further lines.
const IDLE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// What was written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines, and the counts, of a log that has taken the events of `run`.
    fn log_of(settings: LogSettings, run: impl FnOnce()) -> (Vec<String>, LogCounts) {
        let written = Written::default();
        let (log, layer) = Log::new(settings, written.clone());
        tracing::subscriber::with_default(registry().with(layer), run);
        log.finish();
        let bytes = written.0.lock().expect("no panic").clone();
        let text = String::from_utf8(bytes).expect("text");
        (text.lines().map(str::to_owned).collect(), log.counts())
    }

    const SETTINGS: LogSettings = LogSettings {
        level: LevelFilter::INFO,
        format: Format::Text,
        lines_per_second: None,
    };

    #[test]
    fn event_is_one_line_with_its_fields_in_both_formats() {
        let event = || {
            tracing::info!(
                code = 1000,
                reason = "bye now",
                clean = true,
                room = None::<&str>,
                "closed"
            );
        };
        let (lines, _) = log_of(SETTINGS, event);
        let (time, rest) = lines[0].split_once(' ').expect("a time");
        assert!(time.ends_with('Z') && time.len() == 24, "{time}");
        assert_eq!(rest, "INFO closed code=1000 reason=\"bye now\" clean=true");
        let json = LogSettings {
            format: Format::Json,
            ..SETTINGS
        };
        let (lines, _) = log_of(json, event);
        let value: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
        assert_eq!(value["level"], "info");
        assert_eq!(value["message"], "closed");
        assert_eq!(value["code"], 1000);
        assert_eq!(value["reason"], "bye now");
        assert_eq!(value["clean"], true);
        assert_eq!(value.get("room"), None);
    }

    #[test]
    fn level_hides_what_is_below_it() {
        let (lines, counts) = log_of(SETTINGS, || {
            tracing::debug!("hidden");
            tracing::warn!("shown");
        });
        assert_eq!((lines.len(), counts.written), (1, 1));
        assert!(lines[0].ends_with("WARN shown"), "{lines:?}");
    }

    #[test]
    fn lines_of_a_kind_beyond_the_limit_are_suppressed_counted_and_reported() {
        let settings = LogSettings {
            lines_per_second: NonZeroU32::new(3),
            ..SETTINGS
        };
        let (lines, counts) = log_of(settings, || {
            for _ in 0..1_000 {
                tracing::event!(name: "flood", tracing::Level::INFO, "of one kind");
            }
            tracing::event!(name: "other", tracing::Level::INFO, "of another kind");
        });
        // The loop may go over the end of a second.
        let floods = lines.iter().filter(|line| line.ends_with("of one kind"));
        let floods = floods.count() as u64;
        assert!((3..100).contains(&floods), "{floods}");
        assert_eq!(counts.suppressed, 1_000 - floods);
        assert!(lines.iter().any(|line| line.ends_with("of another kind")));
        let reported = lines.iter().filter_map(|line| {
            let (_, rest) = line.split_once("lines suppressed kind=flood lines=")?;
            rest.parse::<u64>().ok()
        });
        assert_eq!(reported.sum::<u64>(), counts.suppressed, "{lines:?}");
    }
}
