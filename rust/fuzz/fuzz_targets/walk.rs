//! Any shape and strides: what is read, digested and measured is what the elements in C order give,
//! and a layout that leaves its memory is an error.
#![no_main]

use arbitrary::Arbitrary;
use ato_core::examine::{Found, Request, examine};
use ato_core::tensor::{Algorithm, Elements};
use libfuzzer_sys::fuzz_target;

const DTYPES: [(&str, usize, usize); 10] = [
    ("uint8", 1, 1),
    ("float8_e5m2", 1, 1),
    ("bfloat16", 2, 2),
    ("float16", 2, 2),
    ("bytes3", 3, 1),
    ("float32", 4, 4),
    ("float64", 8, 8),
    ("complex64", 8, 4),
    ("complex128", 16, 8),
    ("str5", 20, 4),
];

/// Elements that an array of this test has at most.
const MOST: usize = 1 << 18;

#[derive(Arbitrary, Debug)]
struct Case {
    dtype: u8,
    axes: Vec<(u16, i16)>,
    origin: u32,
    memory: u32,
    swap: bool,
    from: u32,
    length: u16,
    seed: u64,
    blake3: bool,
}

/// The elements in C order, one at a time.
fn plain(memory: &[u8], origin: usize, shape: &[usize], strides: &[isize], item: usize) -> Vec<u8> {
    let Some((&size, inner)) = shape.split_first() else {
        return memory[origin..origin + item].to_vec();
    };
    (0..size)
        .flat_map(|index| {
            let origin = origin.wrapping_add_signed(index.cast_signed() * strides[0]);
            plain(memory, origin, inner, &strides[1..], item)
        })
        .collect()
}

fn bits(found: &Found) -> String {
    format!(
        "{:?} {:?} {:?} {:?} {:?}",
        found.digest.root, found.digest.leaves, found.order_free, found.summary, found.sketch
    )
}

fuzz_target!(|case: Case| {
    let (dtype, item, unit) = DTYPES[usize::from(case.dtype) % DTYPES.len()];
    let axes = &case.axes[..case.axes.len().min(5)];
    let shape: Vec<usize> = axes.iter().map(|axis| usize::from(axis.0)).collect();
    let strides: Vec<isize> = axes.iter().map(|axis| axis.1.into()).collect();
    let count = shape
        .iter()
        .try_fold(1usize, |all, size| all.checked_mul(*size));
    if count.is_none_or(|count| count > MOST) {
        return;
    }
    let mut state = case.seed | 1;
    let memory: Vec<u8> = (0..case.memory % (1 << 20))
        .map(|_| {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            state.to_be_bytes()[0]
        })
        .collect();
    let swap = if case.swap { unit } else { 1 };
    let origin = case.origin as usize;
    let Ok(elements) = Elements::new(&memory, origin, &shape, &strides, item, swap) else {
        return;
    };
    let mut expected = if count == Some(0) {
        Vec::new()
    } else {
        plain(&memory, origin, &shape, &strides, item)
    };
    expected.chunks_exact_mut(swap).for_each(<[u8]>::reverse);
    assert_eq!(elements.size(), expected.len());
    let from = case.from as usize % (expected.len() + 1);
    let length = usize::from(case.length).min(expected.len() - from);
    let mut block = vec![0; length];
    elements.read(from, &mut block);
    assert_eq!(block, expected[from..from + length]);

    let flat = [expected.len() / item];
    let step = [item.cast_signed()];
    let copy = Elements::new(&expected, 0, &flat, &step, item, 1).unwrap();
    let request = Request {
        dtype,
        shape: &shape,
        algorithm: if case.blake3 {
            Algorithm::Blake3
        } else {
            Algorithm::Xxh3
        },
        order_free: true,
        summary: true,
        sketch: true,
    };
    assert_eq!(
        bits(&examine(&elements, &request)),
        bits(&examine(&copy, &request))
    );
});
