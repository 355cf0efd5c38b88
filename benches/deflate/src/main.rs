//! `cargo run --release`, in this folder, prints tables of the cost of each library.
//!
//! The libraries take turns of a few milliseconds, so that other work of the machine affects all
//! of them equally. A number is the median of a library's turns. Arguments select rows:
//! `cargo run --release -- inflate 1024`. Memory is measured in a separate process for each
//! library (Linux).

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use yamabiko_deflate_libraries::{LIBRARIES, Library, message};

const SIZES: [usize; 3] = [256, 1024, 65_536];
const LEVELS: [u8; 2] = [1, 6];
const TURN: Duration = Duration::from_millis(4);
const TURNS: usize = 61;
/// The number of states; with so many, the memory of the program itself is negligible.
const STATES: usize = 400;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [memory, name, what] = &arguments[..] {
        if memory == "memory-of" {
            return println!("{}", memory_of_state(name, what));
        }
    }
    let is_wanted = |row: &str| arguments.iter().all(|part| row.contains(part.as_str()));
    times(&is_wanted);
    lengths(&is_wanted);
    memory(&is_wanted);
}

fn times(is_wanted: &dyn Fn(&str) -> bool) {
    heading("Microseconds for one message");
    for level in LEVELS {
        for bytes in SIZES {
            row(
                is_wanted,
                &format!("deflate, level {level}, {bytes} B"),
                || medians(|library| deflating(library, level, bytes)).map(in_three_figures),
            );
        }
    }
    for level in LEVELS {
        for bytes in SIZES {
            // All libraries inflate the payload that zlib-rs has compressed.
            row(
                is_wanted,
                &format!("inflate, of level {level}, {bytes} B"),
                || medians(|library| inflating(library, level, bytes)).map(in_three_figures),
            );
        }
    }
}

fn lengths(is_wanted: &dyn Fn(&str) -> bool) {
    heading("Bytes of a compressed message");
    for level in LEVELS {
        for bytes in SIZES {
            row(
                is_wanted,
                &format!("length, level {level}, {bytes} B"),
                || {
                    let message = message::json(bytes);
                    LIBRARIES.map(|library| compressed(library, level, &message).len().to_string())
                },
            );
        }
    }
}

fn memory(is_wanted: &dyn Fn(&str) -> bool) {
    heading("KiB of resident memory for a state that has had a message of 1 KiB");
    for what in ["deflate 1", "deflate 6", "inflate"] {
        row(is_wanted, &format!("memory, {what}"), || {
            LIBRARIES.map(|library| {
                let bytes = memory_in_a_separate_process(library.name, what);
                bytes.map_or("–".to_owned(), |bytes| in_three_figures(bytes / 1024.0))
            })
        });
    }
}

fn heading(text: &str) {
    let names = LIBRARIES.map(|library| library.name);
    println!("\n{text}:\n\n|  | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
}

fn row<const CELLS: usize>(
    is_wanted: &dyn Fn(&str) -> bool,
    name: &str,
    cells: impl FnOnce() -> [String; CELLS],
) {
    if is_wanted(name) {
        println!("| {name} | {} |", cells().join(" | "));
    }
}

/// A function that does the measured work once.
type Work = Box<dyn FnMut()>;

fn deflating(library: Library, level: u8, bytes: usize) -> Work {
    let mut state = (library.deflating)(level);
    let message = message::json(bytes);
    let mut output = vec![0; bytes + 1024];
    Box::new(move || assert!(state.deflate(&message, &mut output) > 0))
}

fn inflating(library: Library, level: u8, bytes: usize) -> Work {
    let mut state = (library.inflating)();
    let message = message::json(bytes);
    let payload = compressed(LIBRARIES[0], level, &message);
    let mut output = vec![0; message.len() + 1];
    Box::new(move || assert_eq!(state.inflate(&payload, &mut output), message.len()))
}

fn compressed(library: Library, level: u8, message: &[u8]) -> Vec<u8> {
    let mut payload = vec![0; message.len() + 1024];
    let length = (library.deflating)(level).deflate(message, &mut payload);
    payload.truncate(length);
    payload
}

/// The median time of each library, in microseconds.
fn medians(work: impl Fn(Library) -> Work) -> [f64; LIBRARIES.len()] {
    let mut work = LIBRARIES.map(work);
    let times = work.each_mut().map(times_of_a_turn);
    let mut turns = LIBRARIES.map(|_| Vec::with_capacity(TURNS));
    for _ in 0..TURNS {
        for ((work, turns), times) in work.iter_mut().zip(&mut turns).zip(times) {
            let begun = Instant::now();
            (0..times).for_each(|_| work());
            turns.push(1e6 * begun.elapsed().as_secs_f64() / f64::from(times));
        }
    }
    turns.map(|mut turns| {
        turns.sort_by(f64::total_cmp);
        turns[TURNS / 2]
    })
}

/// The number of repetitions that make a turn long enough.
fn times_of_a_turn(work: &mut Work) -> u32 {
    let mut times = 1;
    loop {
        let begun = Instant::now();
        (0..times).for_each(|_| work());
        if begun.elapsed() >= TURN {
            return times;
        }
        times *= 2;
    }
}

fn memory_in_a_separate_process(name: &str, what: &str) -> Option<f64> {
    let program = std::env::current_exe().ok()?;
    let mut command = Command::new(program);
    let output = command.args(["memory-of", name, what]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// The number of bytes, or an error message.
fn memory_of_state(name: &str, what: &str) -> String {
    let Some(library) = LIBRARIES.into_iter().find(|library| library.name == name) else {
        return format!("there is no library {name}");
    };
    let message = message::json(1024);
    let payload = compressed(library, 1, &message);
    let mut output = vec![0; 2048];
    let bytes = match what {
        "inflate" => growth_for_each(|| {
            let mut state = (library.inflating)();
            state.inflate(&payload, &mut output);
            state
        }),
        _ => growth_for_each(|| {
            let level = if what == "deflate 1" { 1 } else { 6 };
            let mut state = (library.deflating)(level);
            state.deflate(&message, &mut output);
            state
        }),
    };
    bytes.map_or("there is no /proc".to_owned(), |bytes| bytes.to_string())
}

/// The growth of resident memory for each state, if many are kept.
fn growth_for_each<State>(mut state: impl FnMut() -> State) -> Option<u64> {
    // The library allocates some memory only once; the first state causes that.
    drop(state());
    let before = resident_bytes()?;
    let states: Vec<State> = (0..STATES).map(|_| state()).collect();
    let after = resident_bytes()?;
    drop(states);
    Some(after.saturating_sub(before) / STATES as u64)
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

fn in_three_figures(number: f64) -> String {
    match number {
        ..10.0 => format!("{number:.2}"),
        10.0..100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}
