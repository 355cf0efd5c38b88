//! `cargo run --release`, in this folder: nanoseconds for one message, or for one
//! handshake, as tables.
//!
//! The libraries take turns of a few milliseconds, so that other load on the machine affects
//! all of them alike; the number is the median of a library's turns. The first argument
//! selects a table, further ones select rows: `cargo run --release -- receive ascii one`.

use std::time::{Duration, Instant};

use yamabiko_libraries::input::{Kind, SIZES, frame_bytes};
use yamabiko_libraries::open::{LIBRARIES, ROWS};
use yamabiko_libraries::receive::{RECEIVERS, Receiver};
use yamabiko_libraries::send::{Plan, Role, SENDERS};
use yamabiko_libraries::{Arrival, Departure, Wire};

const TURN: Duration = Duration::from_millis(4);
const TURNS: usize = 61;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (table, words) = arguments
        .split_first()
        .map_or((None, &[][..]), |(table, words)| {
            (Some(table.as_str()), words)
        });
    let is_wanted = |row: &str| words.iter().all(|word| row.to_lowercase().contains(word));
    match table {
        Some("receive") => receive(is_wanted),
        Some("send") => send(is_wanted),
        Some("open") => open(is_wanted),
        None => {
            receive(is_wanted);
            send(is_wanted);
            open(is_wanted);
        }
        Some(other) => panic!("there is no table {other}, only receive, send, open"),
    }
}

fn receive(is_wanted: impl Fn(&str) -> bool) {
    head("arrival, payload", &RECEIVERS.map(|(name, _)| name));
    for (arrival, sizes) in [
        (Arrival::Batched, &SIZES[..]),
        (Arrival::OneByOne, &SIZES[..3]),
    ] {
        for kind in Kind::ALL {
            for &size in sizes {
                let row = format!("{arrival:?}, {} {size} B", kind.name());
                if is_wanted(&row) {
                    line(&row, &receivers(kind, size, arrival).map(Some));
                }
            }
        }
    }
}

/// A text costs what binary data costs: it is known to be a text.
fn send(is_wanted: impl Fn(&str) -> bool) {
    head("role, departure, payload", &SENDERS.map(|(name, _)| name));
    for role in Role::ALL {
        for (departure, sizes) in [
            (Departure::Batched, &SIZES[..3]),
            (Departure::OneByOne, &SIZES[..]),
        ] {
            for &payload_bytes in sizes {
                let row = format!("{role:?}, {departure:?}, binary {payload_bytes} B");
                if is_wanted(&row) {
                    let plan = Plan::new(role, Kind::Binary, payload_bytes, departure);
                    line(&row, &senders(&plan));
                }
            }
        }
    }
}

fn open(is_wanted: impl Fn(&str) -> bool) {
    head("handshake", &LIBRARIES);
    for (row, handshakes) in ROWS {
        if is_wanted(row) {
            let mut turns: Vec<_> = handshakes
                .iter()
                .flatten()
                .map(|open| move |times| (0..times).for_each(|_| open()))
                .collect();
            let mut medians = medians(&mut turns).into_iter();
            line(
                row,
                &handshakes.map(|open| open.and_then(|_| medians.next())),
            );
        }
    }
}

/// Nanoseconds for one message, for each receiver.
fn receivers(kind: Kind, size: usize, arrival: Arrival) -> [f64; RECEIVERS.len()] {
    let mut turns = RECEIVERS.map(|(_, make)| {
        let mut receiver: Box<dyn Receiver> = make(Wire::new(kind, size, arrival));
        move |messages| assert_eq!(receiver.receive(messages), messages * size)
    });
    medians(&mut turns).try_into().expect("one for each")
}

/// Nanoseconds for one message, for each sender that can do it.
fn senders(plan: &Plan) -> [Option<f64>; SENDERS.len()] {
    let unmasked = match plan.role {
        Role::Server => 4,
        Role::Client => 0,
    };
    let bytes = frame_bytes(plan.payload_bytes) - unmasked;
    let made = SENDERS.map(|(_, make)| make(plan.clone()));
    let can_send = made.each_ref().map(Option::is_some);
    let mut turns: Vec<_> = made
        .into_iter()
        .flatten()
        .map(|mut sender| move |messages| assert_eq!(sender.send(messages), messages * bytes))
        .collect();
    let mut medians = medians(&mut turns).into_iter();
    can_send.map(|can_send| can_send.then(|| medians.next()).flatten())
}

/// Nanoseconds for one time of each of these, which take turns.
fn medians(works: &mut [impl FnMut(usize)]) -> Vec<f64> {
    let times = times_of_a_turn(&mut works[0]);
    let mut turns = vec![Vec::with_capacity(TURNS); works.len()];
    for _ in 0..TURNS {
        for (work, turns) in works.iter_mut().zip(&mut turns) {
            let begun = Instant::now();
            work(times);
            turns.push(begun.elapsed().as_nanos() as f64 / times as f64);
        }
    }
    let median = |mut turns: Vec<f64>| {
        turns.sort_by(f64::total_cmp);
        turns[TURNS / 2]
    };
    turns.into_iter().map(median).collect()
}

/// How often `work` is done in a turn.
fn times_of_a_turn(work: &mut impl FnMut(usize)) -> usize {
    let mut times = 1;
    loop {
        let begun = Instant::now();
        work(times);
        if begun.elapsed() >= TURN {
            return times;
        }
        times *= 2;
    }
}

fn head(first: &str, names: &[&str]) {
    println!("| {first} | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
}

fn line(row: &str, nanoseconds: &[Option<f64>]) {
    let cells: Vec<String> = nanoseconds.iter().copied().map(cell).collect();
    println!("| {row} | {} |", cells.join(" | "));
}

/// To three figures at least: a difference of 3 % has to be visible.
fn cell(nanoseconds: Option<f64>) -> String {
    match nanoseconds {
        None => "–".to_owned(),
        Some(few @ ..10.0) => format!("{few:.2}"),
        Some(some @ ..100.0) => format!("{some:.1}"),
        Some(many) => format!("{many:.0}"),
    }
}
