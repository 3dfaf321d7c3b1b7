//! Digests of whole arrays: contiguous, strided and transposed, with both algorithms.

mod memory;

use std::hint::black_box;

use ato_core::examine::{Request, examine};
use ato_core::tensor::{Algorithm, Elements, digest, root};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// 64 MiB of float32.
const SIDE: usize = 4096;
const ITEM: usize = 4;

fn arrays(criterion: &mut Criterion) {
    let memory = memory::filled(SIDE * SIDE * ITEM);
    let row = (SIDE * ITEM).cast_signed();
    let item = ITEM.cast_signed();
    let layouts: [(&str, [usize; 2], [isize; 2], usize); 4] = [
        ("contiguous", [SIDE, SIDE], [row, item], 1),
        ("every second column", [SIDE, SIDE / 2], [row, 2 * item], 1),
        ("transposed", [SIDE, SIDE], [item, row], 1),
        ("byte-swapped", [SIDE, SIDE], [row, item], 4),
    ];
    let mut group = criterion.benchmark_group("64 MiB");
    group.sample_size(10);
    for (name, shape, strides, swap) in layouts {
        let elements = Elements::new(memory.bytes(), 0, &shape, &strides, ITEM, swap).unwrap();
        let mut copy = vec![0; elements.size()];
        elements.read(0, &mut copy);
        let plain = [(shape[1] * ITEM).cast_signed(), item];
        let plain = Elements::new(&copy, 0, &shape, &plain, ITEM, 1).unwrap();
        group.throughput(Throughput::Bytes(elements.size() as u64));
        for algorithm in [Algorithm::Xxh3, Algorithm::Blake3] {
            let expected = digest(&plain, "float32", &shape, algorithm).root;
            assert_eq!(
                digest(&elements, "float32", &shape, algorithm).root,
                expected
            );
            group.bench_function(format!("{name} {algorithm:?}"), |bencher| {
                bencher.iter(|| black_box(digest(&elements, "float32", &shape, algorithm).root));
            });
        }
    }
    let elements = Elements::new(memory.bytes(), 0, &[SIDE * SIDE], &[item], ITEM, 1).unwrap();
    let all = Request {
        dtype: "float32",
        shape: &[SIDE * SIDE],
        algorithm: Algorithm::Xxh3,
        order_free: false,
        summary: true,
        sketch: false,
    };
    assert!(examine(&elements, &all).summary.is_some());
    group.bench_function("digest and summary", |bencher| {
        bencher.iter(|| black_box(examine(&elements, &all).summary));
    });
    group.finish();
    let leaves = memory::filled(4096 * 16);
    criterion.bench_function("root of 4,096 leaves", |bencher| {
        bencher.iter(|| root("float32", &[SIDE, SIDE], SIDE * SIDE * ITEM, leaves.bytes()));
    });
}

criterion_group!(benches, arrays);
criterion_main!(benches);
