//! `yamabiko trace`: a connection to any WebSocket server, in words beside its bytes.
//!
//! ```text
//!   client ──traffic──▶ Observer ──items──▶ describe ──▶ standard output
//!                │                                 ▲
//!                └──▶ Recorder ──▶ file ── --replay ┘
//! ```
//!
//! | file | content |
//! |---|---|
//! | `observer.rs` | bytes into heads and frames, and the rules that they break |
//! | `describe.rs` | heads and frames in words |
//! | `inflation.rs` | compressed messages |
//! | `server.rs`, `boundaries.rs` | the connections of a server (`serve --trace`); where frames begin |
//! | `recording.rs` | the bytes of a connection as a file |
//! | `secrets.rs` | what is hidden |
//!
//! The library's client makes the connection, so pings are answered, and TLS is as for `yamabiko chat`. What is shown comes from
//! the bytes alone: also of a server that the client refuses.

mod boundaries;
mod describe;
mod direction;
mod inflation;
mod observer;
mod recording;
mod secrets;
mod server;

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use yamabiko::client::{Client, ClientBuilder, ClientError, CloseCode, Ended, Traffic};
use yamabiko::websocket::Limits;
use yamabiko::websocket::deflate::DeflateConfig;

use super::arguments::TraceArguments;
use super::output::{Failure, chain, in_sentence, print, report_error, visible, without_numbers};
use super::{signals, tls};
use direction::Direction;
use observer::{Item, Observer};
use recording::Recorder;
pub(super) use server::ServerTrace;

/// Shows a connection, or a recorded one.
///
/// # Errors
/// There is no connection, or no recording.
pub(super) fn run(arguments: &TraceArguments) -> Result<(), Failure> {
    match (&arguments.url, &arguments.replay) {
        (Some(url), _) => connect(url, arguments),
        (None, Some(file)) => Ok(replay(file, arguments.bytes())?),
        (None, None) => Err(Failure::Usage(
            "a URL is missing; see 'yamabiko help trace'".to_owned(),
        )),
    }
}

fn connect(url: &str, arguments: &TraceArguments) -> Result<(), Failure> {
    let mut builder = builder(url, arguments);
    if let Some(tls) = tls::trusted(&arguments.trust).map_err(Failure::Failed)? {
        builder = builder.tls(tls);
    }
    let shown = Arc::new(Mutex::new(Trace::new(url, arguments)?));
    let shared = shown.clone();
    let builder = builder.observe(move |traffic| {
        let (direction, bytes) = match traffic {
            Traffic::Sent(bytes) => (Direction::Sent, bytes),
            Traffic::Received(bytes) => (Direction::Received, bytes),
            _ => return,
        };
        locked(&shared).add(direction, bytes);
    });
    let ended = converse(builder, arguments);
    let mut trace = locked(&shown);
    trace.finish()?;
    match ended {
        Ok(Some(ended)) => Ok(print(&format!("{ended}\n"))?),
        Ok(None) => Ok(()),
        Err(error) => Err(Failure::Failed(without_numbers(&chain(&error)))),
    }
}

fn builder(url: &str, arguments: &TraceArguments) -> ClientBuilder {
    // Of any length: nothing is kept of a message.
    let limits = Limits {
        message_bytes_max: usize::MAX,
        fragments_max: u32::MAX,
        ..Limits::default()
    };
    let mut builder = Client::builder(url).limits(limits).pieces();
    for (name, value) in &arguments.fields {
        builder = builder.field(name, value);
    }
    for name in &arguments.subprotocols {
        builder = builder.subprotocol(name);
    }
    if let Some(origin) = &arguments.origin {
        builder = builder.origin(origin);
    }
    match arguments.compress {
        true => builder.deflate(DeflateConfig::default()),
        false => builder,
    }
}

/// Sends the messages, and reads until the end.
fn converse(
    builder: ClientBuilder,
    arguments: &TraceArguments,
) -> Result<Option<Ended>, ClientError> {
    let (mut reader, mut writer) = builder.connect()?.split();
    let mut closing = writer.clone();
    let close = move || {
        // It may have ended already.
        let _ = closing.close(CloseCode::NORMAL);
    };
    if let Err(message) = signals::on_first(close.clone()) {
        report_error(&message);
    }
    if let Some(time) = arguments.seconds {
        let mut close = close;
        thread::spawn(move || {
            thread::sleep(time);
            close();
        });
    }
    for text in &arguments.messages {
        writer.send(text.as_str())?;
    }
    while reader.read_with(|_| ())?.is_some() {}
    Ok(reader.ended())
}

/// Prints a recorded connection.
fn replay(file: &Path, shown_bytes: usize) -> Result<(), String> {
    let cannot = |reason: String| format!("{}: {reason}", file.display());
    let input = File::open(file).map_err(|error| cannot(in_sentence(&error)))?;
    let (url, parts) = recording::read(BufReader::new(input)).map_err(cannot)?;
    print(&format!("{}\n\n", visible(&url)))?;
    let mut observer = Observer::new(shown_bytes);
    for part in parts {
        let part = part.map_err(cannot)?;
        print(&text_of(
            &mut observer,
            part.at,
            part.direction,
            &part.bytes,
            shown_bytes,
        ))?;
    }
    Ok(())
}

/// The lines of what is complete with these bytes.
fn text_of(
    observer: &mut Observer,
    at: Duration,
    direction: Direction,
    bytes: &[u8],
    shown_bytes: usize,
) -> String {
    let mut items = Vec::new();
    observer.receive(direction, bytes, |item| items.push(item));
    render(at, direction, &items, observer, shown_bytes)
        .iter()
        .flat_map(|line| [line.as_str(), "\n"])
        .collect()
}

/// The lines of these items.
fn render(
    at: Duration,
    direction: Direction,
    items: &[Item],
    observer: &Observer,
    shown_bytes: usize,
) -> Vec<String> {
    let lines = |item| describe::lines(at, direction, item, observer, shown_bytes);
    items.iter().flat_map(lines).collect()
}

/// What is shown of a connection, and where it is recorded.
struct Trace {
    observer: Observer,
    began: Instant,
    shown_bytes: usize,
    recorder: Option<Recorder<BufWriter<File>>>,
    /// The first error of the output.
    failed: Option<String>,
}

impl Trace {
    fn new(url: &str, arguments: &TraceArguments) -> Result<Trace, String> {
        let create = |path: &std::path::PathBuf| {
            let cannot =
                |error| format!("cannot write {}: {}", path.display(), in_sentence(&error));
            let file = File::create(path).map_err(cannot)?;
            Recorder::begin(BufWriter::new(file), url).map_err(cannot)
        };
        Ok(Trace {
            observer: Observer::new(arguments.bytes()),
            began: Instant::now(),
            shown_bytes: arguments.bytes(),
            recorder: arguments.record.as_ref().map(create).transpose()?,
            failed: None,
        })
    }

    fn add(&mut self, direction: Direction, bytes: &[u8]) {
        let at = self.began.elapsed();
        let text = text_of(&mut self.observer, at, direction, bytes, self.shown_bytes);
        if self.failed.is_none() {
            self.failed = print(&text).err();
        }
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = recorder.add(at, direction, bytes)
        {
            self.recorder = None;
            self.failed = Some(format!(
                "cannot write the recording: {}",
                in_sentence(&error)
            ));
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        if let Some(recorder) = &mut self.recorder {
            let flushed = recorder.flush();
            flushed
                .map_err(|error| format!("cannot write the recording: {}", in_sentence(&error)))?;
            if recorder.is_cut() {
                report_error("the recording has the first 64 MiB");
            }
        }
        self.failed.take().map_or(Ok(()), Err)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
