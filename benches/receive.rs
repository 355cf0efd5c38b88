//! The receive path of a server: bytes in, checked messages out.
//!
//! `cargo bench --bench receive`
//!
//! | benchmark | one iteration |
//! |---|---|
//! | `yamabiko` | `Connection::receive` until a read of 64 KiB is used up, or one larger message |
//! | `floor` | on the same bytes what no server can leave out: the XOR, and `simdutf8` for a text. Where each payload begins is known, nothing is asked |
//!
//! The groups `one message in a read` have two calls for a message: the second says
//! that there is no more. In `cut into reads` a message has to be buffered, so the
//! floor is given twice: as above, and with the copy to a buffer that is there
//! already.
//!
//! Throughput is in payload. Other libraries on the same input: `benches/libraries`.

mod input;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use input::{Kind, READ_BYTES, SIZES, floor, frame, messages_in_a_read};
use yamabiko::websocket::{Connection, Event, Limits};

fn reads_full_of_messages(criterion: &mut Criterion) {
    for kind in Kind::ALL {
        let mut group = criterion.benchmark_group(kind.name());
        for size in SIZES {
            let messages = messages_in_a_read(size);
            let mut bytes = frame(kind, size).repeat(messages);
            group.throughput(throughput(messages, size));

            let mut server = Connection::server(Limits::default());
            group.bench_function(BenchmarkId::new("yamabiko", size), |bencher| {
                bencher.iter(|| assert_eq!(receive(&mut server, &mut bytes), messages));
            });
            group.bench_function(BenchmarkId::new("floor", size), |bencher| {
                bencher.iter(|| floor(kind, size, &mut bytes));
            });
        }
        group.finish();
    }
}

fn one_message_in_a_read(criterion: &mut Criterion) {
    for kind in Kind::ALL {
        let mut group =
            criterion.benchmark_group(format!("one message in a read, {}", kind.name()));
        for size in &SIZES[..3] {
            let mut bytes = frame(kind, *size);
            group.throughput(throughput(1, *size));

            let mut server = Connection::server(Limits::default());
            group.bench_function(BenchmarkId::new("yamabiko", size), |bencher| {
                bencher.iter(|| assert_eq!(receive(&mut server, &mut bytes), 1));
            });
            group.bench_function(BenchmarkId::new("floor", size), |bencher| {
                bencher.iter(|| floor(kind, *size, &mut bytes));
            });
        }
        group.finish();
    }
}

fn cut_into_reads(criterion: &mut Criterion) {
    for kind in Kind::ALL {
        let mut group = criterion.benchmark_group(format!("cut into reads, {}", kind.name()));
        for size in &SIZES[3..] {
            let mut bytes = frame(kind, *size);
            group.throughput(throughput(1, *size));

            let mut server = Connection::server(Limits::default());
            group.bench_function(BenchmarkId::new("yamabiko", size), |bencher| {
                bencher.iter(|| {
                    let reads = bytes.chunks_mut(READ_BYTES);
                    let messages: usize = reads.map(|read| receive(&mut server, read)).sum();
                    assert_eq!(messages, 1);
                });
            });
            group.bench_function(BenchmarkId::new("floor", size), |bencher| {
                bencher.iter(|| floor(kind, *size, &mut bytes));
            });
            let mut buffered = Vec::with_capacity(bytes.len());
            group.bench_function(BenchmarkId::new("floor and copy", size), |bencher| {
                bencher.iter(|| {
                    floor(kind, *size, &mut bytes);
                    buffered.clear();
                    buffered.extend_from_slice(black_box(&bytes));
                });
            });
        }
        group.finish();
    }
}

/// Gives a server one read, and counts the messages in it.
fn receive(server: &mut Connection, mut read: &mut [u8]) -> usize {
    let mut replies = Vec::new();
    let mut messages = 0;
    while let Some(event) = server
        .receive(&mut read, &mut replies)
        .expect("the input is legal")
    {
        match event {
            Event::Text(text) => drop(black_box(text)),
            Event::Binary(bytes) => drop(black_box(bytes)),
            other => unreachable!("{other:?}"),
        }
        messages += 1;
    }
    messages
}

fn throughput(messages: usize, size: usize) -> Throughput {
    Throughput::ElementsAndBytes {
        elements: messages as u64,
        bytes: (messages * size) as u64,
    }
}

criterion_group!(
    benches,
    reads_full_of_messages,
    one_message_in_a_read,
    cut_into_reads
);
criterion_main!(benches);
