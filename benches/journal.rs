//! What it takes to log a value, and to read values back.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ato_core::journal::file::{self, JournalFile};
use ato_core::journal::writer::{Settings, Writer};
use ato_core::journal::{Moment, Records};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const VALUES: u64 = 100_000;

fn writer(path: PathBuf) -> Writer<JournalFile> {
    let _ = std::fs::remove_file(&path);
    let settings = Settings {
        room: 1 << 26,
        pause: Duration::from_secs(1),
    };
    Writer::new(JournalFile::new(path, Arc::default()), "{}", 0, settings).expect("memory")
}

fn log(writer: &mut Writer<JournalFile>, step: i64, values: &[(&str, f64)]) {
    let moment = Moment {
        timestamp: 1.0,
        step,
        ident: Some(0),
        position: Some(step),
    };
    black_box(writer.points(&moment, values));
}

fn journals(criterion: &mut Criterion) {
    let path = std::env::temp_dir().join(format!("ato-bench-{}.journal", std::process::id()));
    let names: Vec<String> = (0..20).map(|number| format!("metric_{number}")).collect();
    let values: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 0.5)).collect();
    let mut group = criterion.benchmark_group("journal");
    for count in [1, 20] {
        group.bench_function(format!("log {count}"), |bencher| {
            bencher.iter_batched_ref(
                || writer(path.clone()),
                |writer| {
                    for step in 0..100 {
                        log(writer, step, &values[..count]);
                    }
                },
                BatchSize::PerIteration,
            );
        });
    }
    let mut journal = writer(path.clone());
    for step in 0..VALUES {
        log(&mut journal, step.cast_signed(), &values[..1]);
    }
    group.throughput(Throughput::Elements(VALUES));
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            let part = file::read(&path, 0, usize::MAX >> 1).expect("readable");
            black_box(Records::new(&part.bytes).step());
        });
    });
    group.finish();
    drop(journal);
    let _ = std::fs::remove_file(&path);
}

criterion_group!(benches, journals);
criterion_main!(benches);
