//! Reading the elements of an array in C order, whatever its strides, a block at a time.

use crate::leaf::LEAF;
use crate::{Error, gather};

/// Source columns that are read together where neighbours in memory belong to different rows. More
/// would be evicted before the next row uses them: columns that lie a power of two apart share one
/// set of the first-level cache, which holds 8 to 12 lines.
const COLUMNS: usize = 8;

/// Bytes that neighbouring rows are taken to share: two cache lines, because a row seldom begins
/// where a line does.
const SHARED: usize = 128;

/// Bytes between leaves that are gathered together: 16 KiB apart they would share one set of the
/// first-level cache.
pub(crate) const PAD: usize = 64;

/// The memory of an array and how its elements lie in it.
pub struct Elements<'a> {
    memory: &'a [u8],
    origin: usize,
    dims: Vec<Dim>,
    item: usize,
    swap: usize,
    count: usize,
}

#[derive(Clone, Copy)]
struct Dim {
    size: usize,
    stride: isize,
}

/// Rows that are neighbours in memory and lie apart in C order.
pub(crate) struct Rows {
    /// Bytes of a row.
    pub bytes: usize,
    /// All rows.
    pub count: usize,
    /// Rows in a sequence of neighbours.
    pub axis: usize,
    /// Neighbours that are read together.
    pub together: usize,
}

/// A piece of a row: elements `from..to` of the row that begins at `base`, to be written at `at`.
struct Part {
    base: isize,
    from: usize,
    to: usize,
    at: usize,
}

/// The bytes that elements of `item` bytes reach, relative to the first element.
///
/// Returns how many bytes lie before the first element, and how many in all.
///
/// # Errors
///
/// Shape and strides differ in length, or the bytes cannot be counted.
pub fn extent(shape: &[usize], strides: &[isize], item: usize) -> Result<(usize, usize), Error> {
    if shape.len() != strides.len() {
        return Err(Error::Layout("shape and strides differ in length"));
    }
    if shape.contains(&0) {
        return Ok((0, 0));
    }
    let too_far = Error::Layout("its elements lie further apart than memory reaches");
    let (mut before, mut after) = (0usize, item);
    for (size, stride) in shape.iter().zip(strides) {
        let Some(reach) = stride.unsigned_abs().checked_mul(size - 1) else {
            return Err(too_far);
        };
        let side = if *stride < 0 { &mut before } else { &mut after };
        let Some(sum) = side.checked_add(reach) else {
            return Err(too_far);
        };
        *side = sum;
    }
    match before.checked_add(after) {
        Some(length) if isize::try_from(length).is_ok() => Ok((before, length)),
        _ => Err(too_far),
    }
}

impl<'a> Elements<'a> {
    /// Describe an array.
    ///
    /// `origin` is where in `memory` the first element lies, `strides` are in bytes, `swap` is the
    /// size of the units whose bytes are to be reversed (half an item for complex numbers), or 1.
    ///
    /// # Errors
    ///
    /// An element would lie outside of `memory`, or the numbers contradict each other.
    pub fn new(
        memory: &'a [u8],
        origin: usize,
        shape: &[usize],
        strides: &[isize],
        item: usize,
        swap: usize,
    ) -> Result<Self, Error> {
        if swap == 0 || (item != 0 && !item.is_multiple_of(swap)) {
            return Err(Error::Layout("an item is not made of whole units"));
        }
        let (before, length) = extent(shape, strides, item)?;
        let inside =
            origin >= before && memory.len() - (origin - before).min(memory.len()) >= length;
        if !inside {
            return Err(Error::Layout("an element lies outside of the memory given"));
        }
        let count = shape
            .iter()
            .try_fold(1usize, |product, size| product.checked_mul(*size))
            .filter(|count| count.checked_mul(item).is_some())
            .ok_or(Error::Layout("it has more bytes than can be counted"))?;
        Ok(Self {
            memory,
            origin,
            dims: merged(shape, strides),
            item,
            swap,
            count,
        })
    }

    /// Bytes of all elements.
    #[must_use]
    pub fn size(&self) -> usize {
        self.count * self.item
    }

    /// The elements as they lie in memory, where that is already what is to be digested.
    #[must_use]
    pub fn contiguous(&self) -> Option<&'a [u8]> {
        if self.size() == 0 {
            return Some(&[]);
        }
        let plain = match self.dims.as_slice() {
            [] => true,
            [dim] => dim.stride.unsigned_abs() == self.item && dim.stride > 0,
            _ => false,
        };
        let end = self.origin + self.size();
        (plain && self.swap == 1).then(|| &self.memory[self.origin..end])
    }

    /// The rows that are neighbours in memory and lie apart in C order, if there are such.
    #[must_use]
    pub(crate) fn rows(&self) -> Option<Rows> {
        let axis = self.crossed()?;
        let Dim { size, stride } = self.dims[axis];
        let row = self.after(axis);
        LEAF.is_multiple_of(self.item).then_some(Rows {
            bytes: row * self.item,
            count: self.count / row,
            axis: size,
            together: (SHARED / stride.unsigned_abs()).min(size),
        })
    }

    /// Write bytes `from..from + block.len()` of the elements in C order into `block`.
    pub fn read(&self, from: usize, block: &mut [u8]) {
        if block.is_empty() {
            return;
        }
        // A block may begin and end inside an element.
        let (first, skip) = (from / self.item, from % self.item);
        let last = (from + block.len()).div_ceil(self.item);
        let whole = (last - first) * self.item;
        if skip == 0 && whole == block.len() {
            self.gather(first, block);
            self.swap_units(block);
        } else {
            let mut elements = vec![0; whole];
            self.gather(first, &mut elements);
            self.swap_units(&mut elements);
            block.copy_from_slice(&elements[skip..skip + block.len()]);
        }
    }

    /// Gather some leaves into `block`, and return how far apart they lie in it.
    pub(crate) fn read_leaves(&self, leaves: &[usize], block: &mut [u8]) -> usize {
        let (Some(first), Some(last)) = (leaves.first(), leaves.last()) else {
            return LEAF;
        };
        if leaves.windows(2).all(|pair| pair[0] + 1 == pair[1]) {
            let length = self.size().min((last + 1) * LEAF) - first * LEAF;
            self.read(first * LEAF, &mut block[..length]);
            return LEAF;
        }
        let pitch = LEAF + PAD;
        let Some(axis) = self.crossed() else {
            unreachable!("leaves are gathered out of order for crossed axes only")
        };
        let mut parts = Vec::with_capacity(2 * leaves.len());
        for (index, leaf) in leaves.iter().enumerate() {
            let from = leaf * LEAF / self.item;
            let to = self.count.min(from + LEAF / self.item);
            self.split(axis, from, to, index * pitch, &mut parts);
        }
        // The leaves reach over the ends of their rows at different columns; what follows in the
        // next rows comes last, so that the columns before are still shared.
        parts.sort_by_key(|part| part.from == 0);
        self.copy_parts(axis, &parts, block);
        self.swap_units(block);
        pitch
    }

    fn swap_units(&self, bytes: &mut [u8]) {
        match self.swap {
            1 => {}
            2 => reverse_units::<2>(bytes),
            4 => reverse_units::<4>(bytes),
            8 => reverse_units::<8>(bytes),
            unit => bytes.chunks_exact_mut(unit).for_each(<[u8]>::reverse),
        }
    }

    /// Elements between neighbours along `axis` in C order.
    fn after(&self, axis: usize) -> usize {
        self.dims[axis + 1..].iter().map(|dim| dim.size).product()
    }

    /// The axis along which neighbours share cache lines, if that is not the last one.
    fn crossed(&self) -> Option<usize> {
        let last = self.dims.last()?;
        let (axis, nearest) = self
            .dims
            .iter()
            .enumerate()
            .filter(|(_, dim)| dim.stride != 0)
            .min_by_key(|(_, dim)| dim.stride.unsigned_abs())?;
        let shares = nearest.stride.unsigned_abs() <= 32 && last.stride.unsigned_abs() >= 64;
        (shares && axis + 1 < self.dims.len()).then_some(axis)
    }

    /// Copy elements in C order, beginning with number `first`, until `block` is full.
    fn gather(&self, first: usize, block: &mut [u8]) {
        let count = block.len() / self.item;
        if let Some(axis) = self.crossed() {
            let mut parts = Vec::new();
            self.split(axis, first, first + count, 0, &mut parts);
            self.copy_parts(axis, &parts, block);
            return;
        }
        let Some((inner, outer)) = self.dims.split_last() else {
            block.copy_from_slice(&self.memory[self.origin..self.origin + self.item]);
            return;
        };
        let mut cursor = Cursor::new(outer, first / inner.size);
        let mut column = first % inner.size;
        let mut rest = block;
        while !rest.is_empty() {
            let take = (inner.size - column).min(rest.len() / self.item);
            let (run, after) = rest.split_at_mut(take * self.item);
            let start = self.at(cursor.offset + inner.stride * column.cast_signed());
            self.copy_run(start, inner.stride, run);
            rest = after;
            column = 0;
            cursor.advance();
        }
    }

    /// Where in `memory` an element lies that is `offset` bytes from the first.
    fn at(&self, offset: isize) -> usize {
        self.origin.wrapping_add_signed(offset)
    }

    fn copy_run(&self, start: usize, stride: isize, run: &mut [u8]) {
        if stride.cast_unsigned() == self.item {
            run.copy_from_slice(&self.memory[start..start + run.len()]);
            return;
        }
        match self.item {
            1 => copy_strided::<1>(self.memory, start, stride, run),
            2 => copy_strided::<2>(self.memory, start, stride, run),
            4 => copy_strided::<4>(self.memory, start, stride, run),
            8 => copy_strided::<8>(self.memory, start, stride, run),
            16 => copy_strided::<16>(self.memory, start, stride, run),
            item => {
                let mut at = start;
                for element in run.chunks_exact_mut(item) {
                    element.copy_from_slice(&self.memory[at..at + item]);
                    at = at.wrapping_add_signed(stride);
                }
            }
        }
    }

    /// Cut elements `first..last` of C order at the ends of the rows along `axis`.
    fn split(&self, axis: usize, first: usize, last: usize, at: usize, parts: &mut Vec<Part>) {
        let row = self.after(axis);
        let mut cursor = Cursor::new(&self.dims[..=axis], first / row);
        let (mut element, mut at) = (first, at);
        while element < last {
            let from = element % row;
            let to = row.min(from + last - element);
            parts.push(Part {
                base: cursor.offset,
                from,
                to,
                at,
            });
            element += to - from;
            at += (to - from) * self.item;
            cursor.advance();
        }
    }

    /// Copy parts of rows, as many rows at a time as share cache lines.
    fn copy_parts(&self, axis: usize, parts: &[Part], block: &mut [u8]) {
        let together = SHARED / self.dims[axis].stride.unsigned_abs();
        for parts in parts.chunks(together) {
            match self.item {
                1 => self.copy_columns::<1>(axis, parts, block),
                2 => self.copy_columns::<2>(axis, parts, block),
                4 => self.copy_columns::<4>(axis, parts, block),
                8 => self.copy_columns::<8>(axis, parts, block),
                16 => self.copy_columns::<16>(axis, parts, block),
                _ => self.copy_rows(axis, parts, block),
            }
        }
    }

    fn copy_columns<const N: usize>(&self, axis: usize, parts: &[Part], block: &mut [u8]) {
        let from = parts.iter().map(|part| part.from).min().unwrap_or(0);
        let to = parts.iter().map(|part| part.to).max().unwrap_or(0);
        let mut cursor = Cursor::new(&self.dims[axis + 1..], from);
        let mut column = from;
        while column < to {
            let width = COLUMNS.min(to - column);
            let mut offsets = [0isize; COLUMNS];
            for offset in &mut offsets[..width] {
                *offset = cursor.offset;
                cursor.advance();
            }
            for part in parts {
                let low = column.max(part.from);
                let high = (column + width).min(part.to);
                if low >= high {
                    continue;
                }
                let row = self.at(part.base);
                let at = part.at + (low - part.from) * N;
                let targets = block[at..at + (high - low) * N].chunks_exact_mut(N);
                for (target, offset) in targets.zip(&offsets[low - column..high - column]) {
                    let source = row.wrapping_add_signed(*offset);
                    target.copy_from_slice(&self.memory[source..source.wrapping_add(N)]);
                }
            }
            column += width;
        }
    }

    fn copy_rows(&self, axis: usize, parts: &[Part], block: &mut [u8]) {
        for part in parts {
            let mut cursor = Cursor::new(&self.dims[axis + 1..], part.from);
            let end = part.at + (part.to - part.from) * self.item;
            for target in block[part.at..end].chunks_exact_mut(self.item) {
                let source = self.at(part.base + cursor.offset);
                target.copy_from_slice(&self.memory[source..source + self.item]);
                cursor.advance();
            }
        }
    }
}

/// Every `stride` bytes of `memory`, `N` bytes.
fn copy_strided<const N: usize>(memory: &[u8], start: usize, stride: isize, run: &mut [u8]) {
    let (run, _) = run.as_chunks_mut::<N>();
    if stride >= N.cast_signed() {
        // So that it is not asked for each element whether it is inside.
        let step = stride.cast_unsigned();
        let length = run.len().saturating_sub(1) * step + N;
        gather::copy(&memory[start..start + length], step, run);
        return;
    }
    let mut at = start;
    for element in run {
        element.copy_from_slice(&memory[at..at.wrapping_add(N)]);
        at = at.wrapping_add_signed(stride);
    }
}

fn reverse_units<const N: usize>(bytes: &mut [u8]) {
    for unit in bytes.as_chunks_mut::<N>().0 {
        unit.reverse();
    }
}

/// The dimensions without those of size 1, and with those joined that are walked as one.
fn merged(shape: &[usize], strides: &[isize]) -> Vec<Dim> {
    let mut dims: Vec<Dim> = Vec::with_capacity(shape.len());
    for (&size, &stride) in shape.iter().zip(strides) {
        if size == 1 {
            continue;
        }
        let step = isize::try_from(size)
            .ok()
            .and_then(|size| size.checked_mul(stride));
        match dims.last_mut() {
            Some(outer) if step == Some(outer.stride) => {
                outer.size = outer.size.saturating_mul(size);
                outer.stride = stride;
            }
            _ => dims.push(Dim { size, stride }),
        }
    }
    dims
}

/// A position in some dimensions, and how far from their beginning it lies in memory.
struct Cursor<'a> {
    dims: &'a [Dim],
    index: Vec<usize>,
    offset: isize,
}

impl<'a> Cursor<'a> {
    fn new(dims: &'a [Dim], position: usize) -> Self {
        let mut index = vec![0; dims.len()];
        let mut offset = 0;
        let mut rest = position;
        for (axis, dim) in dims.iter().enumerate().rev() {
            index[axis] = rest % dim.size;
            rest /= dim.size;
            offset += index[axis].cast_signed() * dim.stride;
        }
        Self {
            dims,
            index,
            offset,
        }
    }

    #[inline]
    fn advance(&mut self) {
        for axis in (0..self.dims.len()).rev() {
            let dim = self.dims[axis];
            self.index[axis] += 1;
            self.offset += dim.stride;
            if self.index[axis] < dim.size {
                return;
            }
            self.index[axis] = 0;
            self.offset -= dim.stride * dim.size.cast_signed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Origin, shape, strides, item and unit.
    type Case = (usize, &'static [usize], &'static [isize], usize, usize);

    /// The elements in C order, one at a time.
    fn plain(
        memory: &[u8],
        origin: usize,
        shape: &[usize],
        strides: &[isize],
        item: usize,
    ) -> Vec<u8> {
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

    #[test]
    fn every_range_of_a_walk_is_that_of_the_elements_in_c_order() {
        let memory: Vec<u8> = (0..=250).cycle().take(1 << 16).collect();
        let cases: [(usize, &[usize], &[isize], usize); 9] = [
            (0, &[], &[], 8),
            (5, &[300], &[7], 4),
            (4000, &[300, 2], &[-12, 3], 3),
            (0, &[40, 30], &[4, 160], 4),
            (4, &[33, 2, 30], &[4, 2000, 133], 4),
            (12_000, &[30, 40], &[-8, -240], 8),
            (0, &[3, 50, 4], &[0, 1, 70], 1),
            (0, &[20, 1, 30], &[16, 999, 320], 16),
            (100, &[17, 19], &[20, 340], 20),
        ];
        for (origin, shape, strides, item) in cases {
            let expected = plain(&memory, origin, shape, strides, item);
            let elements = Elements::new(&memory, origin, shape, strides, item, 1).unwrap();
            assert_eq!(elements.size(), expected.len());
            for from in [0, 1, item, expected.len() / 2, expected.len() - 1] {
                for length in [0, 1, item, 3 * item + 1, expected.len()] {
                    let length = length.min(expected.len() - from);
                    let mut block = vec![0; length];
                    elements.read(from, &mut block);
                    assert_eq!(
                        block,
                        expected[from..from + length],
                        "{shape:?} {strides:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn swapped_units_are_reversed_wherever_a_range_begins() {
        let memory: Vec<u8> = (0..64).collect();
        let elements = Elements::new(&memory, 0, &[8], &[8], 8, 4).unwrap();
        let mut block = [0; 9];
        elements.read(2, &mut block);
        assert_eq!(block, [1, 0, 7, 6, 5, 4, 11, 10, 9]);
        assert!(elements.contiguous().is_none());
    }

    #[test]
    fn a_layout_that_leaves_its_memory_is_an_error() {
        let memory = [0; 64];
        let cases: [Case; 9] = [
            (0, &[9], &[8], 8, 1),
            (1, &[8], &[8], 8, 1),
            (0, &[2], &[-8], 8, 1),
            (80, &[1], &[8], 8, 1),
            (0, &[2, 2], &[8], 8, 1),
            (0, &[3], &[isize::MAX], 8, 1),
            (0, &[1 << 40, 1 << 40], &[0, 0], 8, 1),
            (0, &[8], &[8], 8, 0),
            (0, &[8], &[8], 8, 3),
        ];
        for (origin, shape, strides, item, swap) in cases {
            let result = Elements::new(&memory, origin, shape, strides, item, swap);
            assert!(
                matches!(result, Err(Error::Layout(_))),
                "{shape:?} {strides:?}"
            );
        }
    }
}
