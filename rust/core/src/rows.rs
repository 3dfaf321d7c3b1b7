//! The order-free digest: the rows of an array, whatever order they stand in.
//!
//! A row is what lies at one index of axis 0: its element bytes in C order, little-endian. An array
//! without axes is one row. The sum of the rows' XXH3-128 (seed 0), modulo 2^128, does not depend on
//! their order; the digest is the BLAKE3 key derivation, under `ato rows v1`, of the value encoding
//! (see [`crate::encode`]) of the tuple `(dtype, shape, byte length, sum)`: text, tuple of integers,
//! integer, and the sum's 16 bytes, big-endian. So the number of rows and their shape count too: an
//! array without rows has the sum 0, and one of three rows without elements three times that of
//! nothing.
//!
//! Against accidents only, like the leaves: who can choose rows can make two sets of them collide.

use crate::encode;
use crate::leaf;
use crate::pool;
use crate::scheme::Scheme;
use crate::tensor::head;
use crate::walk::Elements;

use twox_hash::XxHash3_128;

/// Bytes of the rows that are gathered together from an array that is not contiguous; a longer row is
/// gathered in pieces of so many.
const GATHERED: usize = 256 << 10;

/// The order-free digest of an array whose rows have the sum `sum`.
#[must_use]
pub fn root(dtype: &str, shape: &[usize], bytes: usize, sum: u128) -> [u8; 32] {
    let mut head = head(4, dtype, shape, bytes);
    encode::bytes(&mut head, &sum.to_be_bytes());
    *Scheme::Rows.hasher().update(&head).finalize().as_bytes()
}

/// How the bytes of an array are cut into rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    /// Bytes of a row.
    pub bytes: usize,
    pub count: usize,
}

impl Rows {
    /// The rows of an array of `bytes` bytes.
    pub(crate) fn of(shape: &[usize], bytes: usize) -> Self {
        let count = shape.first().copied().unwrap_or(1);
        let bytes = bytes.checked_div(count).unwrap_or(0);
        Self { bytes, count }
    }

    /// The sum of rows without elements, which no walk meets.
    pub(crate) fn of_nothing(self) -> u128 {
        digest(&[]).wrapping_mul(self.count as u128)
    }
}

fn digest(row: &[u8]) -> u128 {
    u128::from_be_bytes(leaf::digest(row))
}

/// The rows of contiguous bytes that begin in one stretch of them, summed while the stretch is hot.
pub(crate) struct Summed<'a> {
    bytes: &'a [u8],
    size: usize,
    next: usize,
    until: usize,
    pub sum: u128,
}

impl<'a> Summed<'a> {
    /// The rows of `bytes` that begin in `from..until`.
    pub(crate) fn new(bytes: &'a [u8], rows: Rows, from: usize, until: usize) -> Self {
        let size = rows.bytes.max(1);
        Self {
            bytes,
            size,
            next: from.div_ceil(size) * size,
            until,
            sum: 0,
        }
    }

    /// Add the rows that end before `end`, or all that are left if the stretch ends there.
    pub(crate) fn advance(&mut self, end: usize) {
        let end = if end < self.until {
            end / self.size * self.size
        } else {
            self.until.div_ceil(self.size) * self.size
        };
        if end <= self.next {
            return;
        }
        for row in self.bytes[self.next..end].chunks_exact(self.size) {
            self.sum = self.sum.wrapping_add(digest(row));
        }
        self.next = end;
    }
}

/// The sum of the rows of an array that is walked for nothing else.
pub(crate) fn sum(elements: &Elements, rows: Rows, parallel: usize) -> u128 {
    if rows.bytes == 0 {
        return rows.of_nothing();
    }
    let together = (GATHERED / rows.bytes).clamp(1, rows.count);
    let part = |group: usize| {
        let first = group * together;
        let count = together.min(rows.count - first);
        rows_sum(elements, rows.bytes, first * rows.bytes, count)
    };
    let groups = rows.count.div_ceil(together);
    if elements.size() < parallel {
        return (0..groups).map(part).fold(0, u128::wrapping_add);
    }
    let sums = pool::map((0..groups).collect(), part);
    sums.into_iter().fold(0, u128::wrapping_add)
}

fn rows_sum(elements: &Elements, size: usize, from: usize, count: usize) -> u128 {
    if let Some(bytes) = elements.contiguous() {
        let rows = bytes[from..from + count * size].chunks_exact(size);
        return rows.map(digest).fold(0, u128::wrapping_add);
    }
    let mut block = vec![0; GATHERED.min(count * size)];
    if size <= GATHERED {
        elements.read(from, &mut block);
        let rows = block.chunks_exact(size);
        return rows.map(digest).fold(0, u128::wrapping_add);
    }
    let mut hasher = XxHash3_128::new();
    for at in (0..size).step_by(GATHERED) {
        let piece = &mut block[..GATHERED.min(size - at)];
        elements.read(from + at, piece);
        hasher.write(piece);
    }
    hasher.finish_128()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows that are shorter and longer than a leaf, a span and what is gathered at a time.
    #[test]
    fn rows_are_summed_alike_in_one_walk_and_alone_and_in_any_order() {
        for (count, size) in [
            (1000, 24),
            (3, 300_000),
            (70, 20_000),
            (2, 1_200_000),
            (9, 1),
        ] {
            let bytes: Vec<u8> = (0..=250).cycle().take(count * size).collect();
            let shape = [count, size];
            let rows = Rows::of(&shape, bytes.len());
            let expected = bytes.chunks(size).map(digest).fold(0, u128::wrapping_add);
            let plain = [size.cast_signed(), 1];
            let elements = Elements::new(&bytes, 0, &shape, &plain, 1, 1).unwrap();
            assert_eq!(sum(&elements, rows, usize::MAX), expected);
            // Backwards: another layout, and the same rows.
            let last = (count - 1) * size;
            let turned = [-size.cast_signed(), 1];
            let elements = Elements::new(&bytes, last, &shape, &turned, 1, 1).unwrap();
            assert_eq!(sum(&elements, rows, 0), expected);
            for stretch in [size, 100_000, bytes.len()] {
                let found = (0..bytes.len()).step_by(stretch).map(|from| {
                    let until = bytes.len().min(from + stretch);
                    let mut summed = Summed::new(&bytes, rows, from, until);
                    for end in (from..until).step_by(7000).skip(1).chain([until]) {
                        summed.advance(end);
                    }
                    summed.sum
                });
                assert_eq!(
                    found.fold(0, u128::wrapping_add),
                    expected,
                    "{count} of {size}"
                );
            }
        }
    }

    #[test]
    fn rows_without_elements_count() {
        let none = Elements::new(&[], 0, &[3, 0], &[1, 1], 1, 1).unwrap();
        let rows = Rows::of(&[3, 0], 0);
        assert_eq!(sum(&none, rows, 0), digest(&[]).wrapping_mul(3));
        assert_ne!(root("x", &[3, 0], 0, 0), root("x", &[2, 0], 0, 0));
    }
}
