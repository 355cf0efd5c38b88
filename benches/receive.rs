//! The receive path of a server: bytes in, checked messages out.
//!
//! `cargo bench --bench receive`
//!
//! | benchmark | one iteration |
//! |---|---|
//! | `yamabiko` | `Connection::receive` until a read of 64 KiB is used up, or one larger message |
//! | `floor` | on the same bytes what no server can leave out, by the fastest means that is known (`input/floor.rs`) |
//!
//! The groups `one message in a read` have two calls for a message: the second says
//! that there is no more. In `cut into reads` a message has to be buffered; its floor
//! masks while it copies to a buffer that is there already.
//!
//! The group `cycles` is for a comparison with numbers that are given in cycles. Its
//! benchmark `clock` takes 3,000 cycles: a thousand multiplications, each of which needs
//! the result of the one before it.
//!
//! Throughput is in payload. Other libraries on the same input: `benches/libraries`.

mod input;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use input::{KEY, mask_at_full_width};
use input::{Kind, READ_BYTES, SIZES, floor, floor_copying, frame, messages_in_a_read};
use yamabiko::websocket::frame::mask;
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
            let mut message = vec![0; *size];
            group.bench_function(BenchmarkId::new("floor", size), |bencher| {
                bencher.iter(|| floor_copying(kind, *size, black_box(&bytes), &mut message));
            });
        }
        group.finish();
    }
}

fn cycles(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cycles");
    group.bench_function("clock", |bencher| {
        bencher.iter(|| (0..1000).fold(black_box(3_u64), |x, _| x.wrapping_mul(x)));
    });

    let (kind, size) = (Kind::Ascii, 128);
    let messages = messages_in_a_read(size);
    let mut bytes = frame(kind, size).repeat(messages);
    group.throughput(throughput(messages, size));
    let mut server = Connection::server(Limits::default());
    group.bench_function(BenchmarkId::new("text, yamabiko", size), |bencher| {
        bencher.iter(|| assert_eq!(receive(&mut server, &mut bytes), messages));
    });
    group.bench_function(BenchmarkId::new("text, floor", size), |bencher| {
        bencher.iter(|| floor(kind, size, &mut bytes));
    });

    let mut payload = vec![0x55; 1 << 10];
    group.throughput(throughput(1, payload.len()));
    let size = payload.len();
    group.bench_function(BenchmarkId::new("mask, yamabiko", size), |bencher| {
        bencher.iter(|| mask(black_box(&mut payload), black_box(KEY), 0));
    });
    group.bench_function(BenchmarkId::new("mask, floor", size), |bencher| {
        bencher.iter(|| mask_at_full_width(black_box(&mut payload)));
    });
    group.finish();
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
            Event::Text(text) => drop(black_box(&text[..])),
            Event::Binary(bytes) => drop(black_box(&bytes[..])),
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
    cut_into_reads,
    cycles
);
criterion_main!(benches);
