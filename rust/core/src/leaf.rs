//! Leaves: an array's bytes in pieces of 16 KiB, each by its XXH3-128.
//!
//! XXH3 as its specification gives it, for seed 0 and the default secret
//! (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>). Inputs up to 240 bytes are
//! left to `twox-hash`. Longer ones are hashed here: that crate is as fast in the cache, but does not
//! ask for data ahead, and leaf by leaf reaches two thirds of the C library's speed from memory.
//! There is one kernel, plain arithmetic on arrays of eight numbers, which the compiler turns into
//! vector instructions once for each level.

#![expect(
    clippy::inline_always,
    reason = "the kernel is compiled for the instructions of the function that it is inlined into"
)]

use std::sync::OnceLock;

use twox_hash::XxHash3_128;

/// Bytes in a leaf; the last one of an array may be shorter.
pub const LEAF: usize = 16 << 10;

/// Bytes in the digest of a leaf.
pub const DIGEST: usize = 16;

/// Up to here XXH3 has other algorithms, for short inputs.
const SHORT: usize = 240;

const STRIPE: usize = 64;
const STRIPES: usize = 16;
const BLOCK: usize = STRIPE * STRIPES;
const LANES: usize = 8;

/// Bytes between what is hashed and what is asked for. Of 512 B to 48 KiB, measured on a Xeon with
/// DDR5: nearer loses up to a third where the data comes from memory, farther up to a tenth.
const AHEAD: usize = 16 << 10;

const PRIME32_1: u64 = 0x9E37_79B1;
const PRIME32_2: u64 = 0x85EB_CA77;
const PRIME32_3: u64 = 0xC2B2_AE3D;
const PRIME64_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME64_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PRIME64_3: u64 = 0x1656_67B1_9E37_79F9;
const PRIME64_4: u64 = 0x85EB_CA77_C2B2_AE63;
const PRIME64_5: u64 = 0x27D4_EB2F_1656_67C5;
const PRIME_MIX: u64 = 0x1656_6791_9E37_79F9;

/// XXH3's default secret.
const SECRET: [u8; 192] = [
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
];

/// The digest of one leaf: XXH3-128 with seed 0, big-endian.
#[must_use]
pub fn digest(leaf: &[u8]) -> [u8; DIGEST] {
    level().digest(leaf)
}

/// The instructions that leaves are hashed with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// 512-bit vectors, where the processor has them.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 256-bit vectors, where the processor has them.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What every processor of the platform has: SSE2, NEON, or no vectors.
    Baseline,
}

impl Level {
    /// The levels that this processor has, the best first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                levels.push(Self::Avx512);
            }
            if is_x86_feature_detected!("avx2") {
                levels.push(Self::Avx2);
            }
        }
        levels.push(Self::Baseline);
        levels
    }

    /// The name of the instructions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Baseline => "sse2",
            #[cfg(target_arch = "aarch64")]
            Self::Baseline => "neon",
            #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
            Self::Baseline => "scalar",
        }
    }

    /// The digest of one leaf with these instructions.
    ///
    /// # Panics
    ///
    /// The processor does not have them.
    #[must_use]
    pub fn digest(self, leaf: &[u8]) -> [u8; DIGEST] {
        if leaf.len() <= SHORT {
            return XxHash3_128::oneshot(leaf).to_be_bytes();
        }
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                assert!(is_x86_feature_detected!("avx512f"));
                // SAFETY: the processor has AVX-512F. Nothing else is asked for.
                unsafe { long_avx512(leaf) }
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                assert!(is_x86_feature_detected!("avx2"));
                // SAFETY: the processor has AVX2. Nothing else is asked for.
                unsafe { long_avx2(leaf) }
            }
            Self::Baseline => long(leaf),
        }
    }
}

/// The best level of this processor.
#[must_use]
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| Level::available()[0])
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn long_avx512(data: &[u8]) -> [u8; DIGEST] {
    long(data)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn long_avx2(data: &[u8]) -> [u8; DIGEST] {
    long(data)
}

type Lanes = [u64; LANES];

/// XXH3-128 of more than 240 bytes. Inlined into each level, and compiled for its instructions.
#[inline(always)]
fn long(data: &[u8]) -> [u8; DIGEST] {
    let mut sums: Lanes = [
        PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1,
    ];
    // The last stripe is always taken from the end, and so a whole last block counts as partial.
    let (blocks, rest) = data.split_at((data.len() - 1) / BLOCK * BLOCK);
    for block in blocks.chunks_exact(BLOCK) {
        for (index, stripe) in block.as_chunks::<STRIPE>().0.iter().enumerate() {
            prefetch(stripe.as_ptr());
            accumulate(&mut sums, stripe, index * 8);
        }
        scramble(&mut sums);
    }
    let (stripes, _) = rest[..rest.len() - 1].as_chunks::<STRIPE>();
    for (index, stripe) in stripes.iter().enumerate() {
        accumulate(&mut sums, stripe, index * 8);
    }
    if let Some(last) = data.last_chunk::<STRIPE>() {
        accumulate(&mut sums, last, SECRET.len() - STRIPE - 7);
    }
    let length = data.len() as u64;
    let low = merged(&sums, 11, length.wrapping_mul(PRIME64_1));
    let high = merged(
        &sums,
        SECRET.len() - STRIPE - 11,
        !length.wrapping_mul(PRIME64_2),
    );
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}

/// Ask for what comes soon after `place`, in the next leaf where this one ends before: leaves are
/// hashed one after the other, and the processor's own prefetching starts anew at every page.
#[inline(always)]
fn prefetch(place: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let ahead = place.wrapping_add(AHEAD).cast();
        // SAFETY: SSE is part of x86-64; prefetching from any address, mapped or not, has no effect
        // but on caches.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = place;
}

/// Eight numbers, little-endian.
#[inline(always)]
fn lanes(bytes: &[u8; STRIPE]) -> Lanes {
    let (numbers, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|lane| u64::from_le_bytes(numbers[lane]))
}

#[inline(always)]
fn secret(from: usize) -> Lanes {
    let mut bytes = [0; STRIPE];
    bytes.copy_from_slice(&SECRET[from..from + STRIPE]);
    lanes(&bytes)
}

#[inline(always)]
fn accumulate(sums: &mut Lanes, stripe: &[u8; STRIPE], from: usize) {
    let data = lanes(stripe);
    let secret = secret(from);
    for lane in 0..LANES {
        let key = data[lane] ^ secret[lane];
        let product = (key & 0xffff_ffff).wrapping_mul(key >> 32);
        sums[lane] = sums[lane]
            .wrapping_add(product)
            .wrapping_add(data[lane ^ 1]);
    }
}

#[inline(always)]
fn scramble(sums: &mut Lanes) {
    let secret = secret(SECRET.len() - STRIPE);
    for lane in 0..LANES {
        let sum = sums[lane];
        sums[lane] = (sum ^ sum >> 47 ^ secret[lane]).wrapping_mul(PRIME32_1);
    }
}

#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the halves of a product are wanted"
)]
fn merged(sums: &Lanes, from: usize, start: u64) -> u64 {
    let secret = secret(from);
    let mut sum = start;
    for pair in (0..LANES).step_by(2) {
        let product =
            u128::from(sums[pair] ^ secret[pair]) * u128::from(sums[pair + 1] ^ secret[pair + 1]);
        sum = sum.wrapping_add(product as u64 ^ (product >> 64) as u64);
    }
    sum ^= sum >> 37;
    sum = sum.wrapping_mul(PRIME_MIX);
    sum ^ sum >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_gives_the_digest_of_xxh3() {
        let data: Vec<u8> = (0..LEAF + 64)
            .map(|index| u8::try_from(index * index % 251).unwrap())
            .collect();
        let around = [0, 1, 63, 64, 65, 128, 239, 240, 241, 255, 256, 257];
        let around_blocks = (1..=16).flat_map(|block| {
            [-65, -64, -1, 0, 1, 64, 65].map(move |by| (block * BLOCK).saturating_add_signed(by))
        });
        for length in around.into_iter().chain(around_blocks).chain(241..520) {
            // Vectors are loaded from wherever an array begins.
            for offset in [0, 1, 8, 31] {
                let leaf = &data[offset..][..length.min(LEAF)];
                let expected = XxHash3_128::oneshot(leaf).to_be_bytes();
                for level in Level::available() {
                    assert_eq!(level.digest(leaf), expected, "{level:?}, {length} bytes");
                }
            }
        }
    }

    #[test]
    fn the_best_level_is_chosen() {
        assert_eq!(level(), Level::available()[0]);
        assert!(!level().name().is_empty());
    }
}
