//! Canonical encoding and structure of a config of 200 leaves, without Python.

use std::hint::black_box;

use ato_core::encode::{self, Digester, Sink, Tag};
use ato_core::scheme::Scheme;
use ato_core::structure::Structure;
use criterion::{Criterion, criterion_group, criterion_main};

const GROUPS: usize = 10;
const LEAVES: u32 = 20;

fn config(sink: &mut impl Sink) {
    encode::header(sink, Tag::Dict, GROUPS);
    for group in 0..GROUPS {
        encode::text(sink, &format!("group{group}"));
        encode::header(sink, Tag::Dict, LEAVES as usize);
        for leaf in 0..LEAVES {
            encode::text(sink, "learning_rate");
            match leaf % 4 {
                0 => encode::integer(sink, leaf.into()),
                1 => encode::float(sink, 0.5),
                2 => encode::text(sink, "resnet"),
                _ => encode::boolean(sink, true),
            }
        }
    }
}

fn structure() -> Vec<u8> {
    let mut structure = Structure::default();
    let mut key = Vec::new();
    encode::text(&mut key, "learning_rate");
    structure.mapping(GROUPS);
    for _ in 0..GROUPS {
        structure.key(&key);
        let mut items = structure.begin(Tag::List);
        for leaf in 0..LEAVES {
            structure.scalar([Tag::Int, Tag::Float][leaf as usize % 2]);
            structure.end_item(&mut items);
        }
        structure.end(&items);
    }
    structure.into_bytes()
}

fn encoding(criterion: &mut Criterion) {
    let mut whole = Vec::new();
    config(&mut whole);
    let mut digester = Digester::new(Scheme::Value);
    config(&mut digester);
    assert_eq!(
        digester.finish(),
        blake3::derive_key("ato value v1", &whole)
    );
    let mut group = criterion.benchmark_group("200 leaves");
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            let mut digester = Digester::new(Scheme::Value);
            config(&mut digester);
            black_box(digester.finish())
        });
    });
    group.bench_function("structure", |bencher| {
        bencher.iter(|| black_box(structure()));
    });
    group.bench_function("one number", |bencher| {
        bencher.iter(|| {
            let mut digester = Digester::new(Scheme::Value);
            encode::float(&mut digester, black_box(0.5));
            black_box(digester.finish())
        });
    });
    group.finish();
}

criterion_group!(benches, encoding);
criterion_main!(benches);
