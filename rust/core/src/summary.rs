//! What the numbers of an array look like: enough to see at which call the first NaN came up.
//!
//! Sums are taken in eight lanes, number *i* in lane *i* mod 8. Of the 64 numbers of a group, a lane has
//! eight, which are added in pairs, pairs of pairs and halves; groups are added in order, and at the
//! end of a leaf the lanes. Leaves and spans are added as those of a sketch are, see [`crate::sketch`].

#![expect(
    clippy::inline_always,
    reason = "the kernel is compiled for the instructions of the function that it is inlined into"
)]

use crate::sketch::BUCKETS;

/// Sums that run side by side, so that the processor need not wait for one addition to begin the
/// next. Their number is part of the result's last bits, and so the same on every machine.
const LANES: usize = 8;

/// Count and size of an array's numbers.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// All numbers.
    pub count: usize,
    /// Numbers that are NaN.
    pub nan: usize,
    /// Numbers that are positive infinity.
    pub positive: usize,
    /// Numbers that are negative infinity.
    pub negative: usize,
    /// The smallest finite number, NaN if there is none.
    pub min: f64,
    /// The largest finite number, NaN if there is none.
    pub max: f64,
    /// The sum of the finite numbers.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
}

impl Summary {
    pub(crate) const EMPTY: Self = Self {
        count: 0,
        nan: 0,
        positive: 0,
        negative: 0,
        min: f64::NAN,
        max: f64::NAN,
        sum: 0.0,
        squares: 0.0,
    };

    /// The mean of the finite numbers, NaN if there is none.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count above 2^53 does not fit in memory"
    )]
    pub fn mean(&self) -> f64 {
        self.sum / (self.count - self.excluded()) as f64
    }

    /// The Euclidean norm of the finite numbers; infinite where a square overflows.
    #[must_use]
    pub fn norm(&self) -> f64 {
        self.squares.sqrt()
    }

    /// Numbers that are not finite.
    #[must_use]
    pub fn excluded(&self) -> usize {
        self.nan + self.positive + self.negative
    }

    pub(crate) fn join(self, other: &Self) -> Self {
        Self {
            count: self.count + other.count,
            nan: self.nan + other.nan,
            positive: self.positive + other.positive,
            negative: self.negative + other.negative,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }
}

const ROWS: usize = BUCKETS / LANES;

type Row = [f64; LANES];

#[inline(always)]
fn each(a: &Row, b: &Row, join: impl Fn(f64, f64) -> f64) -> Row {
    let mut joined = [0.0; LANES];
    for lane in 0..LANES {
        joined[lane] = join(a[lane], b[lane]);
    }
    joined
}

/// Join the eight rows of a group in pairs, pairs of pairs and halves.
#[inline(always)]
fn tree(rows: &[Row; ROWS], join: impl Fn(f64, f64) -> f64 + Copy) -> Row {
    let pair = |first: usize| each(&rows[first], &rows[first + 1], join);
    let left = each(&pair(0), &pair(2), join);
    let right = each(&pair(4), &pair(6), join);
    each(&left, &right, join)
}

#[inline(always)]
fn squared(rows: &[Row; ROWS]) -> [Row; ROWS] {
    let mut squares = *rows;
    for row in &mut squares {
        for value in row {
            *value *= *value;
        }
    }
    squares
}

/// The rows of a group.
#[inline(always)]
fn in_rows(values: &[f64; BUCKETS]) -> [Row; ROWS] {
    let mut rows = [[0.0; LANES]; ROWS];
    for (row, values) in rows.iter_mut().zip(values.as_chunks().0) {
        *row = *values;
    }
    rows
}

/// The summary of one leaf in the making.
pub(crate) struct Lanes {
    sum: [f64; LANES],
    squares: [f64; LANES],
    min: [f64; LANES],
    max: [f64; LANES],
    count: usize,
    nan: usize,
    positive: usize,
    negative: usize,
}

impl Lanes {
    pub(crate) const NONE: Self = Self {
        sum: [0.0; LANES],
        squares: [0.0; LANES],
        min: [f64::INFINITY; LANES],
        max: [f64::NEG_INFINITY; LANES],
        count: 0,
        nan: 0,
        positive: 0,
        negative: 0,
    };

    /// Add a whole group, if all of its numbers and the sums of their squares are finite.
    #[inline(always)]
    pub(crate) fn add_finite(&mut self, values: &[f64; BUCKETS]) -> bool {
        let rows = in_rows(values);
        let squares = tree(&squared(&rows), |a, b| a + b);
        let finite = squares.iter().sum::<f64>() < f64::INFINITY;
        if finite {
            self.squares = each(&self.squares, &squares, |a, b| a + b);
            let sums = tree(&rows, |a, b| a + b);
            self.sum = each(&self.sum, &sums, |a, b| a + b);
            // Written as comparisons, which are one instruction where `f64::min` is five.
            let least = |a, b| if b < a { b } else { a };
            self.min = each(&self.min, &tree(&rows, least), least);
            let most = |a, b| if b > a { b } else { a };
            self.max = each(&self.max, &tree(&rows, most), most);
            self.count += BUCKETS;
        }
        finite
    }

    /// Add the first `count` numbers of a group, and set those to 0 that are not finite.
    pub(crate) fn add_any(&mut self, values: &mut [f64; BUCKETS], count: usize) {
        for value in &mut values[..count] {
            if value.is_finite() {
                self.min[0] = self.min[0].min(*value);
                self.max[0] = self.max[0].max(*value);
                continue;
            }
            self.nan += usize::from(value.is_nan());
            self.positive += usize::from(*value == f64::INFINITY);
            self.negative += usize::from(*value == f64::NEG_INFINITY);
            *value = 0.0;
        }
        let rows = in_rows(values);
        let sums = tree(&rows, |a, b| a + b);
        self.sum = each(&self.sum, &sums, |a, b| a + b);
        let squares = tree(&squared(&rows), |a, b| a + b);
        self.squares = each(&self.squares, &squares, |a, b| a + b);
        self.count += count;
    }

    pub(crate) fn end(&self) -> Summary {
        let mut found = Summary {
            count: self.count,
            nan: self.nan,
            positive: self.positive,
            negative: self.negative,
            sum: self.sum.iter().sum(),
            squares: self.squares.iter().sum(),
            ..Summary::EMPTY
        };
        if found.count > found.excluded() {
            found.min = self.min.into_iter().fold(f64::INFINITY, f64::min);
            found.max = self.max.into_iter().fold(f64::NEG_INFINITY, f64::max);
        }
        found
    }
}
