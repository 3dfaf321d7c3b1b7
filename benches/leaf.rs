//! XXH3-128 of leaves, at every level of instructions that this machine has.

mod memory;

use ato_core::leaf::{LEAF, Level};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use twox_hash::XxHash3_128;

fn leaves(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("leaf");
    for length in [64, 241, 1024, LEAF] {
        let memory = memory::filled(length);
        let data = memory.bytes();
        let expected = XxHash3_128::oneshot(data).to_be_bytes();
        group.throughput(Throughput::Bytes(length as u64));
        for level in Level::available() {
            assert_eq!(level.digest(data), expected);
            group.bench_function(BenchmarkId::new(level.name(), length), |bencher| {
                bencher.iter(|| level.digest(black_box(data)));
            });
        }
        group.bench_function(BenchmarkId::new("twox-hash", length), |bencher| {
            bencher.iter(|| XxHash3_128::oneshot(black_box(data)));
        });
    }
    group.finish();
}

criterion_group!(benches, leaves);
criterion_main!(benches);
