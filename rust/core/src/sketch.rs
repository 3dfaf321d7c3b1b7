//! A sketch: 64 sums of an array's numbers with random signs, from which the distance of two arrays
//! is estimated when neither is there any more.
//!
//! A count sketch (Charikar, Chen and Farach-Colton, "Finding frequent items in data streams", 2002),
//! read as a norm estimate in the way of Alon, Matias and Szegedy (1996): number *i* is added, with
//! sign *s(i)*, to bucket *h(i)*. For two arrays of one shape the sum over the buckets of the squared
//! differences has the expectation ‖a−b‖², and a standard deviation of at most √(2/64) of it.
//!
//! Numbers are counted in C order; a complex element is two, real part first. 64 neighbours, numbers
//! 64*g*.. to 64*g* + 63, are a *group* and share two random words:
//!
//! - bit *l* of `mix(A + (g + 1) · 0x9E3779B97F4A7C15)` is set where number *l* of the group is
//!   subtracted;
//! - the upper six bits *p* of `mix(B + (g + 1) · 0x9E3779B97F4A7C15)` place number *l* into bucket
//!   *l* XOR *p*, so that no two numbers of a group meet;
//!
//! where `mix` is the finaliser of `SplitMix64`, arithmetic is modulo 2^64, and `A` and `B` are the first
//! two words, little-endian, of the digest of nothing under `ato sketch v1`.
//!
//! The sums are binary64 and have one order. In a leaf, the numbers of one bucket that have one
//! *p* mod 8 are added in the order of their index; the eight sums, in the order of *p* mod 8, are the
//! leaf's. 64 leaves that follow each other are a *span*: their sums are added in order, and then
//! those of the spans. Each addition begins at 0. What is not finite counts as 0.

#![expect(
    clippy::inline_always,
    reason = "the kernel is compiled for the instructions of the function that it is inlined into"
)]

use std::sync::OnceLock;

use crate::scheme::Scheme;

/// Sums in a sketch, and numbers in a group.
pub const BUCKETS: usize = 64;

/// Sums of a leaf that are kept apart, by the lower bits of where a group's numbers go: then eight
/// numbers that lie side by side are added to eight sums that lie side by side.
const CLASSES: usize = 8;

/// What can be told of an array's distance to another one.
#[derive(Clone, Copy, Debug)]
pub struct Sketch {
    /// The sums.
    pub sums: [f64; BUCKETS],
    /// Numbers of the array, two for a complex element.
    pub count: usize,
    /// Numbers among them that are not finite, and were taken for 0.
    pub excluded: usize,
    /// The Euclidean norm of the others.
    pub norm: f64,
}

/// The sums of one leaf in the making.
pub(crate) struct LeafSums {
    classes: [[f64; BUCKETS]; CLASSES],
    signs: u64,
    places: u64,
}

impl LeafSums {
    pub(crate) fn new() -> Self {
        static SEEDS: OnceLock<(u64, u64)> = OnceLock::new();
        let (signs, places) = *SEEDS.get_or_init(seeds);
        Self {
            classes: [[0.0; BUCKETS]; CLASSES],
            signs,
            places,
        }
    }

    /// Add the numbers of group number `group`.
    #[inline(always)]
    pub(crate) fn add(&mut self, group: u64, values: &[f64; BUCKETS]) {
        let signs = word(self.signs, group);
        let place = (word(self.places, group) >> 58) as usize;
        let class = &mut self.classes[place % CLASSES];
        let (sums, _) = class.as_chunks_mut::<CLASSES>();
        let (values, _) = values.as_chunks::<CLASSES>();
        for (row, values) in values.iter().enumerate() {
            let sums = &mut sums[row ^ (place / CLASSES)];
            for lane in 0..CLASSES {
                let sign = (signs >> (row * CLASSES + lane)) << 63;
                sums[lane] += f64::from_bits(values[lane].to_bits() ^ sign);
            }
        }
    }

    /// Add the leaf's sums to `sums`, and begin another leaf.
    #[inline(always)]
    pub(crate) fn end(&mut self, sums: &mut [f64; BUCKETS]) {
        let mut leaf = [0.0; BUCKETS];
        for (class, found) in self.classes.iter_mut().enumerate() {
            for (bucket, sum) in leaf.iter_mut().enumerate() {
                *sum += found[bucket ^ class];
            }
            *found = [0.0; BUCKETS];
        }
        for (sum, of_leaf) in sums.iter_mut().zip(leaf) {
            *sum += of_leaf;
        }
    }
}

fn seeds() -> (u64, u64) {
    let digest = Scheme::Sketch.hasher().finalize();
    let (words, _) = digest.as_bytes().as_chunks::<8>();
    (u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1]))
}

/// The random word of group number `group`.
#[inline(always)]
fn word(seed: u64, group: u64) -> u64 {
    let step = group.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut mixed = seed.wrapping_add(step);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}
