//! The cost of fan-out without the system calls: append and flush, with a counting sink in
//! place of each socket.
//!
//! `cargo bench --bench fan_out`
//!
//! One iteration is one turn of the event loop: it appends the records, then flushes to every
//! subscription. The throughput is in delivered records per second (records × subscriptions);
//! the time of one iteration divided by the number of subscriptions is the cost of a
//! subscription per turn. `naive queues` is the usual design: each subscription has a queue of
//! references, and there is a sink call for each record.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use yamabiko::broadcast::{Backlog, ChunkPool, LogLimits, Room, SubscriptionId};

struct Turn {
    subscriptions: u64,
    records: usize,
    bytes: usize,
}

const TURNS: [Turn; 7] = [
    turn(10, 1, 64),
    turn(1000, 1, 64),
    turn(1000, 64, 64),
    turn(1000, 640, 64),
    turn(1000, 640, 1024),
    turn(1000, 1, 16_384),
    turn(10_000, 1, 64),
];

const fn turn(subscriptions: u64, records: usize, bytes: usize) -> Turn {
    Turn {
        subscriptions,
        records,
        bytes,
    }
}

/// As the server: the bytes of one slice, or of several.
fn count(sink: &mut u64, backlog: Backlog<'_>) -> usize {
    match backlog.contiguous() {
        Some(bytes) => *sink += black_box(bytes).len() as u64,
        None => backlog
            .slices()
            .for_each(|bytes| *sink += black_box(bytes).len() as u64),
    }
    backlog.bytes()
}

fn room_of(subscriptions: u64) -> (Room, ChunkPool, Vec<SubscriptionId>) {
    let mut room = Room::new();
    let subscriptions = (0..subscriptions).map(|key| room.subscribe(key)).collect();
    (
        room,
        ChunkPool::new(LogLimits::default(), 16),
        subscriptions,
    )
}

fn log_and_cursors(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log and cursors");
    for turn in &TURNS {
        let record = vec![0x55; turn.bytes];
        let (mut room, mut pool, _) = room_of(turn.subscriptions);
        let mut sink = 0;
        group.throughput(Throughput::Elements(
            turn.subscriptions * turn.records as u64,
        ));
        group.bench_function(name(turn), |bencher| {
            bencher.iter(|| {
                for _ in 0..turn.records {
                    room.append(black_box(&record), &mut pool);
                }
                room.flush(&mut pool, |_, backlog| count(&mut sink, backlog));
            });
        });
    }
    group.finish();
}

/// Ten of a thousand subscribers publish 64 records each, and do not receive their own.
fn excluding_the_sender(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("excluding the sender");
    let turn = turn(1000, 640, 64);
    let record = vec![0x55; turn.bytes];
    let (mut room, mut pool, subscriptions) = room_of(turn.subscriptions);
    let mut sink = 0;
    group.throughput(Throughput::Elements(
        turn.subscriptions * turn.records as u64,
    ));
    group.bench_function(name(&turn), |bencher| {
        bencher.iter(|| {
            for sender in subscriptions.iter().step_by(100) {
                for _ in 0..64 {
                    room.append_except(*sender, black_box(&record), &mut pool);
                }
            }
            room.flush(&mut pool, |_, backlog| count(&mut sink, backlog));
        });
    });
    group.finish();
}

/// Every socket accepts half of the offered bytes, then becomes writable.
fn blocked_subscriptions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("blocked subscriptions");
    let turn = turn(1000, 64, 64);
    let record = vec![0x55; turn.bytes];
    let (mut room, mut pool, subscriptions) = room_of(turn.subscriptions);
    let mut sink = 0;
    group.throughput(Throughput::Elements(
        turn.subscriptions * turn.records as u64,
    ));
    group.bench_function(name(&turn), |bencher| {
        bencher.iter(|| {
            for _ in 0..turn.records {
                room.append(black_box(&record), &mut pool);
            }
            room.flush(&mut pool, |_, backlog| count(&mut sink, backlog) / 2);
            for id in &subscriptions {
                room.flush_one(*id, &mut pool, |_, backlog| count(&mut sink, backlog));
            }
        });
    });
    group.finish();
}

fn naive_queues(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("naive queues");
    for turn in &TURNS {
        let record = vec![0x55; turn.bytes];
        let mut queues = vec![VecDeque::<Arc<[u8]>>::new(); turn.subscriptions as usize];
        let mut sink = 0;
        group.throughput(Throughput::Elements(
            turn.subscriptions * turn.records as u64,
        ));
        group.bench_function(name(turn), |bencher| {
            bencher.iter(|| {
                for _ in 0..turn.records {
                    let shared: Arc<[u8]> = black_box(&record).as_slice().into();
                    for queue in &mut queues {
                        queue.push_back(Arc::clone(&shared));
                    }
                }
                for queue in &mut queues {
                    for record in queue.drain(..) {
                        sink += black_box(&record).len() as u64;
                    }
                }
            });
        });
    }
    group.finish();
}

fn name(turn: &Turn) -> BenchmarkId {
    let Turn {
        subscriptions,
        records,
        bytes,
    } = turn;
    BenchmarkId::from_parameter(format!(
        "{subscriptions} subscriptions, {records} records of {bytes} B"
    ))
}

criterion_group!(
    benches,
    log_and_cursors,
    excluding_the_sender,
    blocked_subscriptions,
    naive_queues
);
criterion_main!(benches);
