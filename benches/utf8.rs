//! The cost of `Utf8Validator`, compared with `simdutf8`, which it uses.
//!
//! `cargo bench --bench utf8`
//!
//! In `pieces of ...`, the same text is pushed in pieces. Pieces of 1000 bytes usually end
//! inside a character of three bytes.

mod input;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use input::{Kind, SIZES, payload};
use yamabiko::websocket::utf8::{InvalidUtf8, Utf8Validator};

fn whole(criterion: &mut Criterion) {
    for kind in [Kind::Ascii, Kind::MultiByte] {
        let mut group = criterion.benchmark_group(format!("whole, {}", kind.name()));
        for size in SIZES {
            let text = payload(kind, size);
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new("Utf8Validator", size), |bencher| {
                bencher.iter(|| validate(black_box(&text), size));
            });
            group.bench_function(BenchmarkId::new("simdutf8", size), |bencher| {
                bencher.iter(|| simdutf8::basic::from_utf8(black_box(&text)).is_ok());
            });
            group.bench_function(BenchmarkId::new("std", size), |bencher| {
                bencher.iter(|| std::str::from_utf8(black_box(&text)).is_ok());
            });
        }
        group.finish();
    }
}

fn in_pieces(criterion: &mut Criterion) {
    const SIZE: usize = 64 << 10;
    for kind in [Kind::Ascii, Kind::MultiByte] {
        let mut group = criterion.benchmark_group(format!("in pieces, {}", kind.name()));
        let text = payload(kind, SIZE);
        group.throughput(Throughput::Bytes(SIZE as u64));
        for piece_bytes in [10, 100, 1000, 16 << 10] {
            let name = BenchmarkId::new("pieces of", piece_bytes);
            group.bench_function(name, |bencher| {
                bencher.iter(|| validate(black_box(&text), piece_bytes));
            });
        }
        group.finish();
    }
}

fn validate(text: &[u8], piece_bytes: usize) -> Result<(), InvalidUtf8> {
    let mut validator = Utf8Validator::default();
    for piece in text.chunks(piece_bytes) {
        validator.push(piece)?;
    }
    validator.finish()
}

criterion_group!(benches, whole, in_pieces);
criterion_main!(benches);
