//! The parts of a frame: its header, read and written; its mask.
//!
//! `cargo bench --bench frame`
//!
//! `mask` stands beside the loop that the RFC describes, the floor (`input/floor.rs`), and
//! `memcpy` of the same bytes, which reads and writes as much and calculates nothing. A
//! client masks while it copies: `encode a frame` has the same neighbours.

mod input;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use input::{KEY, copy_masked, mask_at_full_width};
use yamabiko::websocket::frame::{FrameHeader, Opcode, encode, mask, mask_byte_by_byte};

/// One for each form of the length.
const LENGTHS: [u64; 3] = [125, 65_535, 65_536];

fn header(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("header");
    for payload_length in LENGTHS {
        let header = FrameHeader {
            fin: true,
            rsv: 0b000,
            opcode: Opcode::Text,
            masking_key: Some(KEY),
            payload_length,
        };
        let mut bytes = Vec::new();
        header.encode(&mut bytes);

        let parse = BenchmarkId::new("parse", bytes.len());
        group.bench_function(parse, |bencher| {
            bencher.iter(|| FrameHeader::parse(black_box(&bytes)));
        });
        let mut output = Vec::with_capacity(FrameHeader::BYTES_MAX);
        group.bench_function(BenchmarkId::new("encode", bytes.len()), |bencher| {
            bencher.iter(|| {
                output.clear();
                black_box(&header).encode(&mut output);
            });
        });
    }
    group.finish();
}

fn masking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("masking");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let mut payload = vec![0x55; size];
        group.bench_function(BenchmarkId::new("mask", size), |bencher| {
            bencher.iter(|| mask(black_box(&mut payload), black_box(KEY), 0));
        });
        group.bench_function(BenchmarkId::new("byte by byte", size), |bencher| {
            bencher.iter(|| mask_byte_by_byte(black_box(&mut payload), black_box(KEY), 0));
        });
        group.bench_function(BenchmarkId::new("floor", size), |bencher| {
            bencher.iter(|| mask_at_full_width(black_box(&mut payload)));
        });
        let source = payload.clone();
        group.bench_function(BenchmarkId::new("memcpy", size), |bencher| {
            bencher.iter(|| black_box(&mut payload).copy_from_slice(black_box(&source)));
        });
    }
    group.finish();
}

/// What a server and what a client does to send a message.
fn whole_frame(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode a frame");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let payload = vec![0x55; size];
        let mut output = Vec::with_capacity(FrameHeader::BYTES_MAX + size);
        for (name, masking_key) in [("server", None), ("client", Some(KEY))] {
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| {
                    output.clear();
                    let payload = black_box(&payload);
                    encode(true, Opcode::Binary, masking_key, payload, &mut output);
                });
            });
        }
        let mut message = vec![0; size];
        group.bench_function(BenchmarkId::new("floor", size), |bencher| {
            bencher.iter(|| copy_masked(black_box(&payload), black_box(&mut message)));
        });
        group.bench_function(BenchmarkId::new("memcpy", size), |bencher| {
            bencher.iter(|| black_box(&mut message).copy_from_slice(black_box(&payload)));
        });
    }
    group.finish();
}

const SIZES: [usize; 8] = [16, 64, 125, 128, 1 << 10, 16 << 10, 64 << 10, 1 << 20];

criterion_group!(benches, header, masking, whole_frame);
criterion_main!(benches);
