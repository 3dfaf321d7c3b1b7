//! Canonical encoding of a code object of a thousand instructions, without Python.

use std::hint::black_box;

use ato_core::bytecode::{Code, Constant, Kind, Opcodes, digest};
use ato_core::encode;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const LOAD: u8 = 1;
const CONSTANT: u8 = 2;
const NAME: u8 = 3;
const FORWARD: u8 = 4;
const NOTHING: u8 = 5;
const ROUNDS: usize = 200;

fn opcodes() -> Opcodes {
    let mut kinds = [Kind::Plain as u8; 256];
    for (opcode, kind) in [
        (0, Kind::Cache),
        (LOAD, Kind::Load),
        (CONSTANT, Kind::Constant),
        (NAME, Kind::Name),
        (FORWARD, Kind::Forward),
        (NOTHING, Kind::Nothing),
    ] {
        kinds[usize::from(opcode)] = kind as u8;
    }
    Opcodes::new(&kinds, &[0; 256], &[]).expect("the tables fit")
}

fn code(padding: &[u8]) -> Code {
    let mut constant = Vec::new();
    encode::float(&mut constant, 0.5);
    let round = [LOAD, 0, NAME, 1, 0, 0, CONSTANT, 0, FORWARD, 0, 9, 9];
    let mut instructions = padding.to_vec();
    instructions.extend(round.repeat(ROUNDS));
    Code {
        flags: 3,
        positional_only: 0,
        keyword_only: 0,
        parameters: 1,
        slots: vec!["x".to_owned(), "total".to_owned()],
        cells: vec![false, true],
        free: 0,
        names: vec!["data".to_owned(), "learning_rate".to_owned()],
        constants: vec![Constant::Value(constant)],
        instructions,
        exceptions: Vec::new(),
    }
}

fn encoding(criterion: &mut Criterion) {
    let opcodes = opcodes();
    let plain = code(&[]);
    let answer = digest(&plain, "bench", &opcodes).expect("the code is possible");
    assert_eq!(
        answer,
        digest(&code(&[NOTHING, 0]), "bench", &opcodes).expect("the code is possible")
    );
    let mut group = criterion.benchmark_group("bytecode");
    group.throughput(Throughput::Bytes(plain.instructions.len() as u64));
    group.bench_function("1,000 instructions", |bencher| {
        bencher.iter(|| digest(black_box(&plain), "bench", &opcodes));
    });
    group.finish();
}

criterion_group!(benches, encoding);
criterion_main!(benches);
