//! Rooms of a thousand to a million subscriptions, without sockets: time and memory of a
//! subscription.
//!
//! `cargo bench --bench scale --features internals` for all sizes; the program alone, as `benches/scale.py` runs it
//! for docs/scale.md: `scale SUBSCRIPTIONS RECORDS TURNS`.
//!
//! There are always a million subscriptions, in as many rooms as the size of a room gives. So
//! the memory of all sizes is equally far above the noise, and none fits into the processor's
//! caches. A turn of a room appends its records, each with the bytes of a small message, and
//! flushes to every subscription; in place of each socket is a counter. One subscription in a
//! hundred takes half of what it is offered, and the rest when its socket "becomes writable".
//!
//! Where it stops: no system call is made, so this is what yamabiko's fan-out adds to the
//! kernel's cost, and no more. The memory is the growth of the process.

use std::env;
use std::hint::black_box;
use std::time::Instant;

use yamabiko::broadcast::{Backlog, ChunkPool, LogLimits, SharedLog, SubscriptionId};

const ALL_SUBSCRIPTIONS: u64 = 1_000_000;
const RECORD_BYTES: usize = 66;
const SLOW_ONE_IN: u64 = 100;

fn main() {
    // Cargo adds options of its own.
    let numbers = env::args().filter_map(|argument| argument.parse().ok());
    match numbers.collect::<Vec<u64>>()[..] {
        [subscriptions, records, turns] => println!("{}", measure(subscriptions, records, turns)),
        _ => {
            for subscriptions in [1_000, 10_000, 100_000, 1_000_000] {
                println!("{subscriptions}: {}", measure(subscriptions, 1, 20));
            }
        }
    }
}

/// Nanoseconds for a subscription in a turn, and bytes for a subscription, as JSON. The bytes
/// are `null` on a system without `/proc`.
fn measure(subscriptions: u64, records: u64, turns: u64) -> String {
    let before = resident_bytes();
    let count = (ALL_SUBSCRIPTIONS / subscriptions).max(1);
    let mut pool = ChunkPool::new(LogLimits::default(), 16);
    let mut rooms: Vec<Room> = (0..count).map(|_| Room::new(subscriptions)).collect();
    // The first turn is not measured: it touches all memory.
    rooms.iter_mut().for_each(|room| room.turn(1, &mut pool));
    let begun = Instant::now();
    for _ in 0..turns {
        for room in &mut rooms {
            room.turn(records, &mut pool);
        }
    }
    let visits = (turns.max(1) * count * subscriptions) as f64;
    let ns = begun.elapsed().as_nanos() as f64 / visits;
    let grown = before.zip(resident_bytes());
    let bytes = grown.map(|(before, after)| {
        let bytes = after.saturating_sub(before) as f64;
        format!("{:.1}", bytes / (count * subscriptions) as f64)
    });
    let delivered: u64 = rooms.iter().map(|room| room.delivered_bytes).sum();
    assert_eq!(
        delivered,
        (1 + turns * records) * RECORD_BYTES as u64 * count * subscriptions,
        "every subscription has received every byte"
    );
    let bytes = bytes.unwrap_or_else(|| "null".to_owned());
    format!("{{\"nanoseconds\": {ns:.2}, \"bytes\": {bytes}}}")
}

/// A log, and the counter in place of the sockets.
struct Room {
    shared: SharedLog,
    slow: Vec<SubscriptionId>,
    delivered_bytes: u64,
}

impl Room {
    fn new(subscriptions: u64) -> Room {
        let mut shared = SharedLog::new();
        let mut slow = Vec::new();
        for key in 0..subscriptions {
            let id = shared.subscribe(key);
            if key % SLOW_ONE_IN == 0 {
                slow.push(id);
            }
        }
        Room {
            shared,
            slow,
            delivered_bytes: 0,
        }
    }

    fn turn(&mut self, records: u64, pool: &mut ChunkPool) {
        let Room {
            shared,
            slow,
            delivered_bytes,
        } = self;
        for _ in 0..records {
            shared.append(black_box(&[0x55; RECORD_BYTES]), pool);
        }
        let mut take = |bytes: usize| {
            *delivered_bytes += bytes as u64;
            bytes
        };
        shared.flush(pool, |key, backlog| match key % SLOW_ONE_IN {
            0 => take(offered(backlog) / 2),
            _ => take(offered(backlog)),
        });
        for &id in slow.iter() {
            shared.flush_one(id, pool, |_, backlog| take(offered(backlog)));
        }
    }
}

/// The bytes of the backlog, as a socket would be given them.
fn offered(backlog: Backlog<'_>) -> usize {
    match backlog.contiguous() {
        Some(bytes) => black_box(bytes).len(),
        None => backlog.slices().map(|bytes| black_box(bytes).len()).sum(),
    }
}

/// The memory of this process, from Linux's `/proc`, whose unit is a page of 4 KiB.
fn resident_bytes() -> Option<u64> {
    let sizes = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = sizes.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
