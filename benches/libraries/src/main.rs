//! `cargo run --release`, in this folder: nanoseconds for one message as a table.
//!
//! The libraries take turns of a few milliseconds, so that other load on the machine affects
//! all of them alike; the number is the median of a library's turns. Arguments select rows: `cargo run --release -- ascii one`.

use std::time::{Duration, Instant};

use yamabiko_libraries::input::{Kind, SIZES};
use yamabiko_libraries::{Arrival, RECEIVERS, Receiver, Wire};

const TURN: Duration = Duration::from_millis(4);
const TURNS: usize = 61;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let names = RECEIVERS.map(|(name, _)| name);
    println!("| arrival, payload | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
    for (arrival, sizes) in [
        (Arrival::Batched, &SIZES[..]),
        (Arrival::OneByOne, &SIZES[..3]),
    ] {
        for kind in Kind::ALL {
            for &size in sizes {
                let row = format!("{arrival:?}, {} {size} B", kind.name());
                if words.iter().all(|word| row.to_lowercase().contains(word)) {
                    let cells = medians(kind, size, arrival).map(in_three_figures);
                    println!("| {row} | {} |", cells.join(" | "));
                }
            }
        }
    }
}

/// Nanoseconds for one message, for each receiver.
fn medians(kind: Kind, size: usize, arrival: Arrival) -> [f64; RECEIVERS.len()] {
    let mut receivers = RECEIVERS.map(|(_, make)| make(Wire::new(kind, size, arrival)));
    let mut turns = RECEIVERS.map(|_| Vec::with_capacity(TURNS));
    let messages = messages_of_a_turn(&mut *receivers[0], size);
    for _ in 0..TURNS {
        for (receiver, turns) in receivers.iter_mut().zip(&mut turns) {
            let begun = Instant::now();
            assert_eq!(receiver.receive(messages), messages * size);
            turns.push(begun.elapsed().as_nanos() as f64 / messages as f64);
        }
    }
    turns.map(|mut turns| {
        turns.sort_by(f64::total_cmp);
        turns[TURNS / 2]
    })
}

/// The number of messages in a turn.
fn messages_of_a_turn(receiver: &mut dyn Receiver, size: usize) -> usize {
    let mut messages = 1;
    loop {
        let begun = Instant::now();
        assert_eq!(receiver.receive(messages), messages * size);
        if begun.elapsed() >= TURN {
            return messages;
        }
        messages *= 2;
    }
}

fn in_three_figures(nanoseconds: f64) -> String {
    match nanoseconds {
        ..10.0 => format!("{nanoseconds:.1}"),
        _ => format!("{nanoseconds:.0}"),
    }
}
