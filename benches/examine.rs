//! Order-free digest, summary and sketch beside the digest, in one walk.

mod memory;

use std::hint::black_box;

use ato_core::examine::{Request, examine};
use ato_core::tensor::{Algorithm, Elements};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// 64 MB of float32, as rows of 256.
const SHAPE: [usize; 2] = [62_500, 256];
const ITEM: usize = 4;

fn questions(criterion: &mut Criterion) {
    let memory = memory::filled(SHAPE[0] * SHAPE[1] * ITEM);
    // Numbers between 0 and 1, and none that is not finite.
    let numbers: Vec<u8> = memory
        .bytes()
        .chunks_exact(ITEM)
        .flat_map(|bytes| (f32::from(bytes[0]) / 256.0).to_le_bytes())
        .collect();
    let item = ITEM.cast_signed();
    let strides = [SHAPE[1].cast_signed() * item, item];
    let elements = Elements::new(&numbers, 0, &SHAPE, &strides, ITEM, 1).unwrap();
    let mut group = criterion.benchmark_group("64 MB as (62500, 256)");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(numbers.len() as u64));
    let questions = [
        ("digest", false, false, false),
        ("rows", true, false, false),
        ("summary", false, true, false),
        ("sketch", false, false, true),
        ("all", true, true, true),
    ];
    for (name, order_free, summary, sketch) in questions {
        let request = Request {
            dtype: "float32",
            shape: &SHAPE,
            algorithm: Algorithm::Xxh3,
            order_free,
            summary,
            sketch,
        };
        let found = examine(&elements, &request);
        assert_eq!(found.order_free.is_some(), order_free);
        assert_eq!(
            found.sketch.map(|sketch| sketch.excluded),
            sketch.then_some(0)
        );
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(examine(&elements, &request).digest.root));
        });
    }
    group.finish();
}

criterion_group!(benches, questions);
criterion_main!(benches);
