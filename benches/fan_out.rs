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

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use yamabiko::broadcast::{Backlog, ChunkPool, LogLimits, SharedLog, SubscriptionId};

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

/// A log with its subscriptions, and the sink of all sockets.
struct Fixture {
    shared: SharedLog,
    pool: ChunkPool,
    ids: Vec<SubscriptionId>,
    record: Vec<u8>,
    sink: u64,
}

impl Fixture {
    fn new(turn: &Turn) -> Fixture {
        let mut shared = SharedLog::new();
        let ids = (0..turn.subscriptions).map(|key| shared.subscribe(key));
        Fixture {
            ids: ids.collect(),
            shared,
            pool: ChunkPool::new(LogLimits::default(), 16),
            record: vec![0x55; turn.bytes],
            sink: 0,
        }
    }

    fn append(&mut self, records: usize) {
        for _ in 0..records {
            self.shared.append(black_box(&self.record), &mut self.pool);
        }
    }

    /// Each socket accepts one part in `parts` of the offered bytes.
    fn flush(&mut self, parts: usize) {
        let sink = &mut self.sink;
        self.shared
            .flush(&mut self.pool, |_, backlog| count(sink, backlog) / parts);
    }
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn measure(group: &mut Group<'_>, turn: &Turn, mut one_turn: impl FnMut()) {
    let deliveries = turn.subscriptions * turn.records as u64;
    group.throughput(Throughput::Elements(deliveries));
    group.bench_function(name(turn), |bencher| bencher.iter(&mut one_turn));
}

fn log_and_cursors(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log and cursors");
    for turn in &TURNS {
        let mut fixture = Fixture::new(turn);
        measure(&mut group, turn, || {
            fixture.append(turn.records);
            fixture.flush(1);
        });
    }
    group.finish();
}

/// Ten of a thousand subscribers publish 64 records each, and do not receive their own.
fn excluding_the_sender(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("excluding the sender");
    let turn = turn(1000, 640, 64);
    let mut fixture = Fixture::new(&turn);
    measure(&mut group, &turn, || {
        for sender in fixture.ids.iter().step_by(100) {
            for _ in 0..64 {
                let record = black_box(&fixture.record);
                fixture
                    .shared
                    .append_except(*sender, record, &mut fixture.pool);
            }
        }
        fixture.flush(1);
    });
    group.finish();
}

/// Every socket accepts half of the offered bytes, then becomes writable.
fn blocked_subscriptions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("blocked subscriptions");
    let turn = turn(1000, 64, 64);
    let mut fixture = Fixture::new(&turn);
    measure(&mut group, &turn, || {
        fixture.append(turn.records);
        fixture.flush(2);
        let Fixture {
            shared,
            pool,
            ids,
            sink,
            ..
        } = &mut fixture;
        for id in ids {
            shared.flush_one(*id, pool, |_, backlog| count(sink, backlog));
        }
    });
    group.finish();
}

fn naive_queues(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("naive queues");
    for turn in &TURNS {
        let record = vec![0x55; turn.bytes];
        let mut queues = vec![VecDeque::<Arc<[u8]>>::new(); turn.subscriptions as usize];
        let mut sink = 0;
        measure(&mut group, turn, || {
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
