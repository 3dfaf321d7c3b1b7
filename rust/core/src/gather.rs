//! Copies of elements that lie at equal distances, with the instructions of the processor.

#![expect(
    clippy::inline_always,
    reason = "the kernel is compiled for the instructions of the function that it is inlined into"
)]

use crate::leaf::{self, Level};

/// Copy the first `N` of every `step` bytes of `source`, until `run` is full.
///
/// `source` begins with the first element; behind the last one it may end before the step does.
pub(crate) fn copy<const N: usize>(source: &[u8], step: usize, run: &mut [[u8; N]]) {
    match leaf::level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => {
            assert!(is_x86_feature_detected!("avx512f"));
            // SAFETY: the processor has AVX-512F. Nothing else is asked for.
            unsafe { copy_avx512(source, step, run) }
        }
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => {
            assert!(is_x86_feature_detected!("avx2"));
            // SAFETY: the processor has AVX2. Nothing else is asked for.
            unsafe { copy_avx2(source, step, run) }
        }
        Level::Baseline => copy_any(source, step, run),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn copy_avx512<const N: usize>(source: &[u8], step: usize, run: &mut [[u8; N]]) {
    copy_any(source, step, run);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn copy_avx2<const N: usize>(source: &[u8], step: usize, run: &mut [[u8; N]]) {
    copy_any(source, step, run);
}

/// Every second element, the commonest case, is the lower half of an integer, which there are vector
/// instructions for; steps that are known to the compiler are faster than others.
#[inline(always)]
fn copy_any<const N: usize>(source: &[u8], step: usize, run: &mut [[u8; N]]) {
    match (N, step) {
        (1, 2) => copy_steps::<N, 2>(source, run, |from, to| {
            to.copy_from_slice(&low(u16::from_le_bytes(*from).into())[..N]);
        }),
        (2, 4) => copy_steps::<N, 4>(source, run, |from, to| {
            to.copy_from_slice(&low(u32::from_le_bytes(*from).into())[..N]);
        }),
        (4, 8) => copy_steps::<N, 8>(source, run, |from, to| {
            to.copy_from_slice(&low(u64::from_le_bytes(*from))[..N]);
        }),
        (4, 12) => copy_steps::<N, 12>(source, run, first),
        (4 | 8, 16) => copy_steps::<N, 16>(source, run, first),
        (8, 24) => copy_steps::<N, 24>(source, run, first),
        (8 | 16, 32) => copy_steps::<N, 32>(source, run, first),
        _ => {
            let sources = source.chunks(step.max(N));
            for (to, from) in run.iter_mut().zip(sources) {
                to.copy_from_slice(&from[..N]);
            }
        }
    }
}

#[inline(always)]
fn low(value: u64) -> [u8; 8] {
    value.to_le_bytes()
}

#[inline(always)]
fn first<const N: usize, const STEP: usize>(from: &[u8; STEP], to: &mut [u8; N]) {
    to.copy_from_slice(&from[..N]);
}

#[inline(always)]
fn copy_steps<const N: usize, const STEP: usize>(
    source: &[u8],
    run: &mut [[u8; N]],
    one: impl Fn(&[u8; STEP], &mut [u8; N]),
) {
    let (steps, rest) = source.as_chunks::<STEP>();
    let (whole, last) = run.split_at_mut(steps.len().min(run.len()));
    for (to, from) in whole.iter_mut().zip(steps) {
        one(from, to);
    }
    if let [to] = last {
        to.copy_from_slice(&rest[..N]);
    }
}
