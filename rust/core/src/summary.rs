//! What the numbers of an array look like: enough to see at which call the first NaN came up.

use rayon::prelude::*;

use crate::leaf::LEAF;
use crate::pool;
use crate::walk::Elements;

/// From here on an array is summarised on several threads, as it is digested.
const PARALLEL: usize = 1 << 20;

/// Sums that run side by side, so that the processor need not wait for one addition to begin the
/// next. Their number is part of the result's last bits, and so the same on every machine.
const LANES: usize = 8;

/// Bytes that are gathered at a time from an array that is not contiguous.
const BLOCK: usize = 16 * LEAF;

/// Count and size of an array's numbers.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// All elements.
    pub count: usize,
    /// Elements that are not a number.
    pub nan: usize,
    /// Elements that are positive infinity.
    pub positive: usize,
    /// Elements that are negative infinity.
    pub negative: usize,
    /// The smallest finite element, NaN if there is none.
    pub min: f64,
    /// The largest finite element, NaN if there is none.
    pub max: f64,
    /// The sum of the finite elements.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
}

impl Summary {
    const EMPTY: Self = Self {
        count: 0,
        nan: 0,
        positive: 0,
        negative: 0,
        min: f64::NAN,
        max: f64::NAN,
        sum: 0.0,
        squares: 0.0,
    };

    /// The mean of the finite elements, NaN if there is none.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count above 2^53 does not fit in memory"
    )]
    pub fn mean(&self) -> f64 {
        self.sum / (self.count - self.nan - self.positive - self.negative) as f64
    }

    /// The Euclidean norm of the finite elements; infinite where a square overflows.
    #[must_use]
    pub fn norm(&self) -> f64 {
        self.squares.sqrt()
    }

    fn join(self, other: &Self) -> Self {
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

/// Summarise an array of dtype `dtype`; nothing for one whose elements are not real numbers.
///
/// The sums are taken leaf by leaf and then in order, so that they are the same on any number of
/// threads.
#[must_use]
pub fn summarise(elements: &Elements, dtype: &str) -> Option<Summary> {
    let of_leaf: fn(&[u8]) -> Summary = match dtype {
        "bool" => |bytes| leaf(bytes, |[byte]: [u8; 1]| f64::from(u8::from(byte != 0))),
        "int8" => |bytes| leaf(bytes, |b| f64::from(i8::from_le_bytes(b))),
        "uint8" => |bytes| leaf(bytes, |b| f64::from(u8::from_le_bytes(b))),
        "int16" => |bytes| leaf(bytes, |b| f64::from(i16::from_le_bytes(b))),
        "uint16" => |bytes| leaf(bytes, |b| f64::from(u16::from_le_bytes(b))),
        "int32" => |bytes| leaf(bytes, |b| f64::from(i32::from_le_bytes(b))),
        "uint32" => |bytes| leaf(bytes, |b| f64::from(u32::from_le_bytes(b))),
        "int64" => |bytes| leaf(bytes, |b| rounded(i128::from(i64::from_le_bytes(b)))),
        "uint64" => |bytes| {
            leaf(bytes, |b: [u8; 8]| {
                rounded(i128::from(u64::from_le_bytes(b)))
            })
        },
        "float16" => |bytes| leaf(bytes, |b| from_half(u16::from_le_bytes(b))),
        "bfloat16" => |bytes| {
            leaf(bytes, |b| {
                f64::from(f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))
            })
        },
        "float32" => |bytes| leaf(bytes, |b| f64::from(f32::from_le_bytes(b))),
        "float64" => |bytes| leaf(bytes, f64::from_le_bytes),
        _ => return None,
    };
    let of_block = |bytes: &[u8]| bytes.chunks(LEAF).map(of_leaf).collect::<Vec<_>>();
    let leaves: Vec<Summary> = match elements.contiguous() {
        Some(bytes) if bytes.len() >= PARALLEL => {
            pool::run(|| bytes.par_chunks(LEAF).map(of_leaf).collect())
        }
        Some(bytes) => of_block(bytes),
        None => {
            let mut block = vec![0; BLOCK.min(elements.size())];
            let mut leaves = Vec::with_capacity(elements.size().div_ceil(LEAF));
            for from in (0..elements.size()).step_by(BLOCK) {
                let length = BLOCK.min(elements.size() - from);
                elements.read(from, &mut block[..length]);
                leaves.extend(of_block(&block[..length]));
            }
            leaves
        }
    };
    Some(leaves.iter().fold(Summary::EMPTY, Summary::join))
}

fn leaf<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Summary {
    let (numbers, _) = bytes.as_chunks::<N>();
    let (rows, rest) = numbers.as_chunks::<LANES>();
    let mut lanes = Lanes::default();
    for row in rows {
        lanes.add(&row.map(&number));
    }
    if !rest.is_empty() {
        // What is not there is not finite, and so leaves no trace in any lane.
        let mut row = [f64::NAN; LANES];
        for (value, bytes) in row.iter_mut().zip(rest) {
            *value = number(*bytes);
        }
        lanes.add(&row);
    }
    let finite = lanes.finite.iter().sum::<u32>() as usize;
    let mut found = Summary {
        count: numbers.len(),
        sum: lanes.sum.iter().sum(),
        squares: lanes.squares.iter().sum(),
        ..Summary::EMPTY
    };
    if finite > 0 {
        found.min = lanes.min.into_iter().fold(f64::INFINITY, f64::min);
        found.max = lanes.max.into_iter().fold(f64::NEG_INFINITY, f64::max);
    }
    if finite < numbers.len() {
        for value in numbers.iter().map(|bytes| number(*bytes)) {
            found.nan += usize::from(value.is_nan());
            found.positive += usize::from(value == f64::INFINITY);
            found.negative += usize::from(value == f64::NEG_INFINITY);
        }
    }
    found
}

struct Lanes {
    sum: [f64; LANES],
    squares: [f64; LANES],
    min: [f64; LANES],
    max: [f64; LANES],
    finite: [u32; LANES],
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            sum: [0.0; LANES],
            squares: [0.0; LANES],
            min: [f64::INFINITY; LANES],
            max: [f64::NEG_INFINITY; LANES],
            finite: [0; LANES],
        }
    }
}

impl Lanes {
    #[inline]
    fn add(&mut self, row: &[f64; LANES]) {
        for (lane, value) in row.iter().copied().enumerate() {
            let finite = value.abs() < f64::INFINITY;
            let kept = if finite { value } else { 0.0 };
            self.sum[lane] += kept;
            self.squares[lane] += kept * kept;
            // Written as comparisons, which are one instruction where `f64::min` is five.
            let low = if finite { value } else { f64::INFINITY };
            let high = if finite { value } else { f64::NEG_INFINITY };
            if low < self.min[lane] {
                self.min[lane] = low;
            }
            if high > self.max[lane] {
                self.max[lane] = high;
            }
            // A leaf has at most 16,384 elements.
            self.finite[lane] = self.finite[lane].wrapping_add(u32::from(finite));
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a summary's numbers are binary64"
)]
fn rounded(value: i128) -> f64 {
    value as f64
}

/// A binary16: 1 bit of sign, 5 of exponent, 10 of fraction.
fn from_half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f64::from(bits & 0x3ff);
    match exponent {
        0 => sign * fraction * 2f64.powi(-24),
        0x1f if fraction == 0.0 => sign * f64::INFINITY,
        0x1f => f64::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_have_their_values() {
        let cases = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x0001, 2f64.powi(-24)),
            (0x7bff, 65504.0),
            (0xfc00, f64::NEG_INFINITY),
        ];
        for (bits, value) in cases {
            assert_eq!(from_half(bits).to_bits(), f64::to_bits(value));
        }
        assert!(from_half(0x7e00).is_nan());
    }

    #[test]
    fn what_is_not_finite_is_counted_and_left_out() {
        let values = [1.0, f64::NAN, -3.0, f64::INFINITY, f64::NEG_INFINITY, 2.0];
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value: &f64| value.to_le_bytes())
            .collect();
        let elements = Elements::new(&bytes, 0, &[6], &[8], 8, 1).unwrap();
        let summary = summarise(&elements, "float64").unwrap();
        assert_eq!(
            (
                summary.count,
                summary.nan,
                summary.positive,
                summary.negative
            ),
            (6, 1, 1, 1)
        );
        let told = [summary.min, summary.max, summary.mean(), summary.norm()];
        let expected = [-3.0, 2.0, 0.0, 14f64.sqrt()];
        assert_eq!(told.map(f64::to_bits), expected.map(f64::to_bits));
    }

    #[test]
    fn an_array_without_numbers_has_no_summary() {
        let elements = Elements::new(&[0; 16], 0, &[2], &[8], 8, 1).unwrap();
        assert!(summarise(&elements, "complex64").is_none());
    }
}
