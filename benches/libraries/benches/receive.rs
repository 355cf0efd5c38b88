//! `cargo bench --bench receive`, in this folder: each library separately, with
//! criterion's statistics. On a busy machine the table of `cargo run --release` compares
//! better: there the libraries take turns.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use yamabiko_libraries::input::{Kind, SIZES, messages_in_a_read};
use yamabiko_libraries::receive::RECEIVERS;
use yamabiko_libraries::{Arrival, Wire};

fn batched(criterion: &mut Criterion) {
    receive(criterion, Arrival::Batched, &SIZES);
}

fn one_by_one(criterion: &mut Criterion) {
    receive(criterion, Arrival::OneByOne, &SIZES[..3]);
}

fn receive(criterion: &mut Criterion, arrival: Arrival, sizes: &[usize]) {
    for kind in Kind::ALL {
        for &size in sizes {
            let mut group =
                criterion.benchmark_group(format!("{arrival:?} {} {size}", kind.name()));
            let messages = messages_in_a_read(size);
            group.throughput(Throughput::Elements(messages as u64));
            for (name, make) in RECEIVERS {
                let mut receiver = make(Wire::new(kind, size, arrival));
                group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                    bencher.iter(|| receiver.receive(messages));
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, batched, one_by_one);
criterion_main!(benches);
