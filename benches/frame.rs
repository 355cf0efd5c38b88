//! The parts of a frame: its header, read and written; its mask.
//!
//! `cargo bench --bench frame`
//!
//! `mask` stands beside the loop that the RFC describes and beside `memcpy` of the
//! same bytes, which reads and writes as much and calculates nothing.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use yamabiko::websocket::frame::{FrameHeader, Opcode, encode, mask, mask_byte_by_byte};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

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
    for size in [16, 125, 1 << 10, 64 << 10, 1 << 20] {
        group.throughput(Throughput::Bytes(size as u64));
        let mut payload = vec![0x55; size];
        group.bench_function(BenchmarkId::new("mask", size), |bencher| {
            bencher.iter(|| mask(black_box(&mut payload), black_box(KEY), 0));
        });
        group.bench_function(BenchmarkId::new("byte by byte", size), |bencher| {
            bencher.iter(|| mask_byte_by_byte(black_box(&mut payload), black_box(KEY), 0));
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
    for size in [16, 125, 1 << 10, 64 << 10] {
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
    }
    group.finish();
}

criterion_group!(benches, header, masking, whole_frame);
criterion_main!(benches);
