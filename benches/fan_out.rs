//! What fan-out costs beside the system calls: append and flush, with a sink
//! that only counts in place of each socket.
//!
//! `cargo bench --bench fan_out`
//!
//! One iteration is one turn of the event loop: so many records are appended,
//! then every member is flushed. The throughput is in delivered records per
//! second (records × members); the time of one divided by the members is what
//! a member costs per turn. `naive queues` is what this replaces: each
//! member has a queue of references, and a sink call for each record.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use yamabiko::broadcast::{Backlog, ChunkPool, LogLimits, Room, SubscriptionId};

struct Turn {
    members: u64,
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

const fn turn(members: u64, records: usize, bytes: usize) -> Turn {
    Turn {
        members,
        records,
        bytes,
    }
}

/// As the server does it: bytes of one slice, or of several.
fn count(sink: &mut u64, backlog: Backlog<'_>) -> usize {
    match backlog.contiguous() {
        Some(bytes) => *sink += black_box(bytes).len() as u64,
        None => backlog
            .slices()
            .for_each(|bytes| *sink += black_box(bytes).len() as u64),
    }
    backlog.bytes()
}

fn room_of(members: u64) -> (Room, ChunkPool, Vec<SubscriptionId>) {
    let mut room = Room::new();
    let subscriptions = (0..members).map(|key| room.subscribe(key)).collect();
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
        let (mut room, mut pool, _) = room_of(turn.members);
        let mut sink = 0;
        group.throughput(Throughput::Elements(turn.members * turn.records as u64));
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

/// Ten members of a thousand speak in turn, 64 records each, and do not get
/// what they said themselves.
fn leaving_out_the_sender(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("leaving out the sender");
    let turn = turn(1000, 640, 64);
    let record = vec![0x55; turn.bytes];
    let (mut room, mut pool, subscriptions) = room_of(turn.members);
    let mut sink = 0;
    group.throughput(Throughput::Elements(turn.members * turn.records as u64));
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

/// Every socket takes half of what it is offered, then becomes writable.
fn blocked_members(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("blocked members");
    let turn = turn(1000, 64, 64);
    let record = vec![0x55; turn.bytes];
    let (mut room, mut pool, subscriptions) = room_of(turn.members);
    let mut sink = 0;
    group.throughput(Throughput::Elements(turn.members * turn.records as u64));
    group.bench_function(name(&turn), |bencher| {
        bencher.iter(|| {
            for _ in 0..turn.records {
                room.append(black_box(&record), &mut pool);
            }
            room.flush(&mut pool, |_, backlog| count(&mut sink, backlog) / 2);
            for member in &subscriptions {
                room.flush_one(*member, &mut pool, |_, backlog| count(&mut sink, backlog));
            }
        });
    });
    group.finish();
}

fn naive_queues(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("naive queues");
    for turn in &TURNS {
        let record = vec![0x55; turn.bytes];
        let mut queues = vec![VecDeque::<Arc<[u8]>>::new(); turn.members as usize];
        let mut sink = 0;
        group.throughput(Throughput::Elements(turn.members * turn.records as u64));
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
        members,
        records,
        bytes,
    } = turn;
    BenchmarkId::from_parameter(format!("{members} members, {records} records of {bytes} B"))
}

criterion_group!(
    benches,
    log_and_cursors,
    leaving_out_the_sender,
    blocked_members,
    naive_queues
);
criterion_main!(benches);
