//! The digest of an array: dtype, shape and elements in C order, little-endian.
//!
//! With XXH3-128 leaves, the root is the BLAKE3 key derivation, under `ato tensor v1`, of the value
//! encoding (see [`crate::encode`]) of the tuple
//! `(dtype, shape, byte length, leaf size, leaf digests)`: text, tuple of integers, two integers,
//! bytes. With BLAKE3 it is, under `ato tensor-blake3 v1`, that of `(dtype, shape, byte length,
//! elements)`, with the elements as bytes.

use std::str::FromStr;

use crate::walk::PAD;
pub use crate::walk::{Elements, extent};

use crate::encode::{self, Tag};
use crate::leaf::{self, LEAF};
use crate::scheme::Scheme;
use crate::{Error, pool};

/// From here on leaves are hashed on several threads. Waking the pool takes 10 to 20 µs, hashing
/// 1 MiB from memory about 100 µs.
pub(crate) const PARALLEL: usize = 1 << 20;

/// Leaves that a thread takes at a time, so that one which is interrupted does not hold up the rest.
const BATCH: usize = 32;

/// Bytes of the buffers into which strided arrays are gathered, for all threads together.
const BUFFERS: usize = 1 << 20;

/// Threads that gather strided arrays: with more, each would have a buffer that is too small for
/// reading neighbouring rows together.
const WALKERS: usize = 4;

/// Leaves that a buffer holds at most, so that it stays in a processor's second-level cache, where
/// neighbouring rows are read together; and where they are not, so that it stays in the first-level one.
const GATHERED: usize = 32;
const IN_TURN: usize = 1;

/// BLAKE3's documentation advises threads from 128 KiB on.
const PARALLEL_BLAKE3: usize = 128 << 10;

/// How the bytes of an array are digested.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// Fast, against accidents.
    Xxh3,
    /// Also against an adversary.
    Blake3,
}

impl FromStr for Algorithm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "xxh3" => Ok(Self::Xxh3),
            "blake3" => Ok(Self::Blake3),
            _ => Err(Error::UnknownAlgorithm(name.to_owned())),
        }
    }
}

/// The digest of an array.
pub struct TensorDigest {
    /// The root.
    pub root: [u8; 32],
    /// The digests of the leaves, one after the other; none where BLAKE3 was asked for.
    pub leaves: Vec<u8>,
}

/// Digest an array.
#[must_use]
pub fn digest(
    elements: &Elements,
    dtype: &str,
    shape: &[usize],
    algorithm: Algorithm,
) -> TensorDigest {
    match algorithm {
        Algorithm::Xxh3 => {
            let leaves = leaves(elements);
            let root = root(dtype, shape, elements.size(), &leaves);
            TensorDigest { root, leaves }
        }
        Algorithm::Blake3 => TensorDigest {
            root: blake3(elements, dtype, shape),
            leaves: Vec::new(),
        },
    }
}

/// The digest, by XXH3-128, of an array whose elements are `bytes` and fill no more than one leaf.
///
/// What [`digest`] gives, without the memory that several leaves and any strides ask for.
#[must_use]
pub fn digest_leaf(bytes: &[u8], dtype: &str, shape: &[usize]) -> [u8; 32] {
    debug_assert!(bytes.len() <= LEAF);
    if bytes.is_empty() {
        return root(dtype, shape, 0, &[]);
    }
    root(dtype, shape, bytes.len(), &leaf::digest(bytes))
}

/// The root over the digests of leaves, wherever those were made.
#[must_use]
pub fn root(dtype: &str, shape: &[usize], bytes: usize, leaves: &[u8]) -> [u8; 32] {
    let mut head = head(5, dtype, shape, bytes);
    encode::integer(&mut head, signed(LEAF));
    encode::bytes(&mut head, leaves);
    *Scheme::Tensor.hasher().update(&head).finalize().as_bytes()
}

pub(crate) fn head(items: usize, dtype: &str, shape: &[usize], bytes: usize) -> Vec<u8> {
    let mut head = Vec::with_capacity(256);
    encode::header(&mut head, Tag::Tuple, items);
    encode::text(&mut head, dtype);
    encode::header(&mut head, Tag::Tuple, shape.len());
    for size in shape {
        encode::integer(&mut head, signed(*size));
    }
    encode::integer(&mut head, signed(bytes));
    head
}

/// Sizes of what fits in memory fit 63 bits; a broadcast axis of more is not a size that exists.
fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn leaves(elements: &Elements) -> Vec<u8> {
    let Some(bytes) = elements.contiguous() else {
        return strided_leaves(elements);
    };
    let mut leaves = vec![0; bytes.len().div_ceil(LEAF) * leaf::DIGEST];
    if bytes.len() < PARALLEL {
        contiguous_leaves(bytes, &mut leaves);
    } else {
        let parts = leaves
            .chunks_mut(BATCH * leaf::DIGEST)
            .zip(bytes.chunks(BATCH * LEAF));
        pool::map(parts.collect(), |(digests, bytes)| {
            contiguous_leaves(bytes, digests);
        });
    }
    leaves
}

fn contiguous_leaves(bytes: &[u8], digests: &mut [u8]) {
    for (digest, leaf) in digests
        .chunks_exact_mut(leaf::DIGEST)
        .zip(bytes.chunks(LEAF))
    {
        digest.copy_from_slice(&leaf::digest(leaf));
    }
}

fn strided_leaves(elements: &Elements) -> Vec<u8> {
    let order = leaf_order(elements);
    let most = if elements.rows().is_some() {
        GATHERED
    } else {
        IN_TURN
    };
    let mut leaves = vec![0; order.len() * leaf::DIGEST];
    let digests: Vec<Vec<u8>> = if elements.size() < PARALLEL {
        vec![gathered_leaves(elements, &order, most)]
    } else {
        let walkers = pool::threads().min(WALKERS);
        let share = order.len().div_ceil(walkers);
        let together = (BUFFERS / (LEAF + PAD) / walkers).min(most);
        pool::map(order.chunks(share).collect(), |order| {
            gathered_leaves(elements, order, together)
        })
    };
    let digests = digests
        .iter()
        .flat_map(|part| part.chunks_exact(leaf::DIGEST));
    for (leaf, digest) in order.into_iter().zip(digests) {
        let at = leaf * leaf::DIGEST;
        leaves[at..at + leaf::DIGEST].copy_from_slice(digest);
    }
    leaves
}

/// The order in which the leaves of a strided array are gathered.
///
/// Where rows that are neighbours in memory are longer than a leaf, reading them one after the
/// other would fetch every cache line once for each of its elements. So leaves that begin at about
/// the same column of such rows come together.
fn leaf_order(elements: &Elements) -> Vec<usize> {
    let count = elements.size().div_ceil(LEAF);
    let Some(rows) = elements.rows().filter(|rows| rows.bytes >= LEAF) else {
        return (0..count).collect();
    };
    let begin = |row: usize| (row * rows.bytes).div_ceil(LEAF);
    let mut order = Vec::with_capacity(count);
    for first in (0..rows.count).step_by(rows.axis) {
        for low in (first..first + rows.axis).step_by(rows.together) {
            let high = (low + rows.together).min(first + rows.axis);
            for nth in 0..=rows.bytes / LEAF {
                let leaves = (low..high).map(|row| (begin(row) + nth, begin(row + 1)));
                order.extend(
                    leaves
                        .filter(|(leaf, end)| leaf < end)
                        .map(|(leaf, _)| leaf),
                );
            }
        }
    }
    order
}

/// The digests of some leaves of a strided array, gathered so many at a time.
fn gathered_leaves(elements: &Elements, order: &[usize], together: usize) -> Vec<u8> {
    let mut block = vec![0; together.min(order.len()) * (LEAF + PAD)];
    let mut digests = Vec::with_capacity(order.len() * leaf::DIGEST);
    for group in order.chunks(together) {
        let pitch = elements.read_leaves(group, &mut block);
        for (index, leaf) in group.iter().enumerate() {
            let length = LEAF.min(elements.size() - leaf * LEAF);
            let bytes = &block[index * pitch..index * pitch + length];
            digests.extend_from_slice(&leaf::digest(bytes));
        }
    }
    digests
}

fn blake3(elements: &Elements, dtype: &str, shape: &[usize]) -> [u8; 32] {
    let mut hasher = Scheme::TensorBlake3.hasher();
    let mut head = head(4, dtype, shape, elements.size());
    encode::header(&mut head, Tag::Bytes, elements.size());
    hasher.update(&head);
    let mut update = |bytes: &[u8]| {
        if bytes.len() < PARALLEL_BLAKE3 {
            hasher.update(bytes);
        } else {
            pool::update(&mut hasher, bytes);
        }
    };
    if let Some(bytes) = elements.contiguous() {
        update(bytes);
    } else {
        let mut block = vec![0; BUFFERS.min(elements.size())];
        for from in (0..elements.size()).step_by(BUFFERS) {
            let length = BUFFERS.min(elements.size() - from);
            elements.read(from, &mut block[..length]);
            update(&block[..length]);
        }
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both orders of two axes, with rows shorter and longer than a leaf.
    #[test]
    fn transposed_arrays_have_the_leaves_of_their_copies() {
        for (rows, columns, item) in [
            (3000, 40, 4),
            (37, 9001, 4),
            (1030, 1025, 8),
            (70, 70_000, 1),
        ] {
            let bytes = rows * columns * item;
            let memory: Vec<u8> = (0..=250).cycle().take(bytes).collect();
            let strides = [item.cast_signed(), (columns * item).cast_signed()];
            let shape = [columns, rows];
            let turned = Elements::new(&memory, 0, &shape, &strides, item, 1).unwrap();
            let mut copy = vec![0; bytes];
            turned.read(0, &mut copy);
            let strides = [(rows * item).cast_signed(), item.cast_signed()];
            let plain = Elements::new(&copy, 0, &shape, &strides, item, 1).unwrap();
            assert!(plain.contiguous().is_some());
            for algorithm in [Algorithm::Xxh3, Algorithm::Blake3] {
                let found = digest(&turned, "x", &shape, algorithm);
                let expected = digest(&plain, "x", &shape, algorithm);
                assert_eq!(found.leaves, expected.leaves);
                assert_eq!(found.root, expected.root);
            }
        }
    }

    #[test]
    fn an_order_of_leaves_has_each_leaf_once() {
        let memory = vec![0; 5_000_000];
        for (shape, strides) in [
            ([100_usize, 50_000], [1_isize, 100]),
            ([7, 20_000], [1, 30]),
            ([50_000, 100], [1, 50_000]),
        ] {
            let elements = Elements::new(&memory, 0, &shape, &strides, 1, 1).unwrap();
            let mut order = leaf_order(&elements);
            order.sort_unstable();
            let count = elements.size().div_ceil(LEAF);
            assert_eq!(order, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_unknown_algorithm_is_an_error_that_names_it() {
        let error = "md5".parse::<Algorithm>().unwrap_err();
        assert!(error.to_string().contains("md5"));
    }
}
