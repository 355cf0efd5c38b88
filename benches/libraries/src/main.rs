//! `cargo run --release`, in this folder: nanoseconds for one message, or for one
//! handshake, as tables.
//!
//! The libraries take turns of a few milliseconds, so that other load on the machine affects
//! all of them alike; the number is the median of a library's turns. They are set up anew in
//! each round, in another order: to be the first, and to lie at other addresses, makes a
//! difference of up to 4 %. A table is measured in several passes, so that each row has turns
//! at several times. The first argument selects a table, further ones select rows:
//! `cargo run --release -- receive ascii one`.

use std::time::{Duration, Instant};

use yamabiko_libraries::input::{Kind, SIZES, frame_bytes};
use yamabiko_libraries::open::{self, LIBRARIES, ROWS};
use yamabiko_libraries::receive::{RECEIVERS, Receiver};
use yamabiko_libraries::send::{Plan, Role, SENDERS};
use yamabiko_libraries::{Arrival, Departure, Wire};

const TURN: Duration = Duration::from_millis(4);
const PASSES: usize = 3;
/// As many as there are libraries: each is the first once.
const ROUNDS: usize = RECEIVERS.len();
const TURNS_OF_A_ROUND: usize = 3;

/// What a library does so many times.
type Work = Box<dyn FnMut(usize)>;

/// A row of a table.
struct Row {
    name: String,
    /// Sets a library up. `None`: it cannot do this.
    make: Box<dyn Fn(usize) -> Option<Work>>,
}

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
    let mut rows = Vec::new();
    for (arrival, sizes) in [
        (Arrival::Batched, &SIZES[..]),
        (Arrival::OneByOne, &SIZES[..3]),
    ] {
        for kind in Kind::ALL {
            for &size in sizes {
                let name = format!("{arrival:?}, {} {size} B", kind.name());
                rows.push(receive_row(name, kind, size, arrival));
            }
        }
    }
    table("arrival, payload", &RECEIVERS.map(first), rows, is_wanted);
}

/// A text costs what binary data costs: it is known to be a text.
fn send(is_wanted: impl Fn(&str) -> bool) {
    let mut rows = Vec::new();
    for role in Role::ALL {
        for (departure, sizes) in [
            (Departure::Batched, &SIZES[..3]),
            (Departure::OneByOne, &SIZES[..]),
        ] {
            for &payload_bytes in sizes {
                let name = format!("{role:?}, {departure:?}, binary {payload_bytes} B");
                let plan = Plan::new(role, Kind::Binary, payload_bytes, departure);
                rows.push(send_row(name, plan));
            }
        }
    }
    let names = SENDERS.map(first);
    table("role, departure, payload", &names, rows, is_wanted);
}

fn open(is_wanted: impl Fn(&str) -> bool) {
    let row = |(name, handshakes): open::Row| Row {
        name: name.to_owned(),
        make: Box::new(move |index| {
            let open = handshakes[index]?;
            Some(Box::new(move |times| (0..times).for_each(|_| open())))
        }),
    };
    let rows = ROWS.map(row).into();
    table("handshake", &LIBRARIES, rows, is_wanted);
}

fn receive_row(name: String, kind: Kind, size: usize, arrival: Arrival) -> Row {
    let make = move |index: usize| -> Option<Work> {
        let (_, make) = RECEIVERS[index];
        let mut receiver: Box<dyn Receiver> = make(Wire::new(kind, size, arrival));
        Some(Box::new(move |messages| {
            assert_eq!(receiver.receive(messages), messages * size)
        }))
    };
    Row {
        name,
        make: Box::new(make),
    }
}

fn send_row(name: String, plan: Plan) -> Row {
    let unmasked = match plan.role {
        Role::Server => 4,
        Role::Client => 0,
    };
    let bytes = frame_bytes(plan.payload_bytes) - unmasked;
    let make = move |index: usize| -> Option<Work> {
        let (_, make) = SENDERS[index];
        let mut sender = make(plan.clone())?;
        Some(Box::new(move |messages| {
            assert_eq!(sender.send(messages), messages * bytes)
        }))
    };
    Row {
        name,
        make: Box::new(make),
    }
}

fn first<T>((name, _): (&'static str, T)) -> &'static str {
    name
}

/// Measures the wanted rows, and prints them.
fn table(first: &str, names: &[&str], rows: Vec<Row>, is_wanted: impl Fn(&str) -> bool) {
    let rows: Vec<Row> = rows
        .into_iter()
        .filter(|row| is_wanted(&row.name))
        .collect();
    let mut turns = vec![vec![Vec::new(); names.len()]; rows.len()];
    for _ in 0..PASSES {
        for (row, turns) in rows.iter().zip(&mut turns) {
            take_turns(&row.make, turns);
        }
    }
    head(first, names);
    for (row, turns) in rows.iter().zip(turns) {
        let medians: Vec<_> = turns.into_iter().map(median).collect();
        line(&row.name, &medians);
    }
}

/// Appends the nanoseconds for one time, of each turn of each library.
fn take_turns(make: &dyn Fn(usize) -> Option<Work>, turns: &mut [Vec<f64>]) {
    let mut times = None;
    for round in 0..ROUNDS {
        let order = (0..turns.len()).map(|place| (place + round) % turns.len());
        let made = order.filter_map(|index| Some((index, make(index)?)));
        let mut works: Vec<(usize, Work)> = made.collect();
        for _ in 0..TURNS_OF_A_ROUND {
            for (index, work) in &mut works {
                let times = *times.get_or_insert_with(|| times_of_a_turn(work));
                let begun = Instant::now();
                work(times);
                turns[*index].push(begun.elapsed().as_nanos() as f64 / times as f64);
            }
        }
    }
}

fn median(mut turns: Vec<f64>) -> Option<f64> {
    turns.sort_by(f64::total_cmp);
    turns.get(turns.len() / 2).copied()
}

/// How often `work` is done in a turn.
fn times_of_a_turn(work: &mut Work) -> usize {
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
