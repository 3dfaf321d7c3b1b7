//! Summary and sketch of the numbers of an array, leaf by leaf.

#![expect(
    clippy::inline_always,
    reason = "the kernel is compiled for the instructions of the function that it is inlined into"
)]

use crate::leaf::{self, LEAF, Level};
use crate::number::{Kind, from_bfloat, from_half};
use crate::sketch::{BUCKETS, LeafSums, Sketch};
use crate::summary::{Lanes, Summary};

/// Leaves whose sums are added before they are added to those of others.
pub(crate) const SPAN: usize = 64;

/// What is measured of an array.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    kind: Kind,
    complex: bool,
    sketch: bool,
    level: Level,
}

/// The sums of a span of leaves.
#[derive(Clone)]
pub(crate) struct Sums {
    summary: Summary,
    sketch: [f64; BUCKETS],
}

impl Sums {
    pub(crate) const NONE: Self = Self {
        summary: Summary::EMPTY,
        sketch: [0.0; BUCKETS],
    };

    /// These sums, and then those of `next`.
    pub(crate) fn join(mut self, next: &Self) -> Self {
        self.summary = self.summary.join(&next.summary);
        for (sum, more) in self.sketch.iter_mut().zip(&next.sketch) {
            *sum += more;
        }
        self
    }
}

impl Measure {
    /// Measure elements of dtype `dtype`, if they are numbers and anything is asked for.
    pub(crate) fn of(dtype: &str, summary: bool, sketch: bool) -> Option<Self> {
        let (kind, parts) = Kind::of(dtype)?;
        let complex = parts == 2;
        let level = leaf::level();
        // Complex numbers have no order, and so no summary.
        (sketch || summary && !complex).then_some(Self {
            kind,
            complex,
            sketch,
            level,
        })
    }

    /// The summary, if numbers of this kind have one.
    pub(crate) fn summary(&self, sums: &Sums) -> Option<Summary> {
        (!self.complex).then_some(sums.summary)
    }

    /// The sketch, if one was asked for.
    pub(crate) fn sketch(&self, sums: &Sums) -> Option<Sketch> {
        self.sketch.then(|| Sketch {
            sums: sums.sketch,
            count: sums.summary.count,
            excluded: sums.summary.excluded(),
            norm: sums.summary.norm(),
        })
    }
}

/// The sums of leaves that follow each other, one leaf at a time.
pub(crate) struct Span {
    measure: Measure,
    group: u64,
    leaf: LeafSums,
    pub sums: Sums,
}

impl Span {
    /// Begin with leaf number `first`.
    pub(crate) fn new(measure: Measure, first: usize) -> Self {
        let groups = LEAF / measure.kind.size() / BUCKETS;
        Self {
            measure,
            group: first as u64 * groups as u64,
            leaf: LeafSums::new(),
            sums: Sums::NONE,
        }
    }

    /// Add the next leaf.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        match self.measure.level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                assert!(is_x86_feature_detected!("avx512f"));
                // SAFETY: the processor has AVX-512F. Nothing else is asked for.
                unsafe { self.add_avx512(bytes) }
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                assert!(is_x86_feature_detected!("avx2"));
                // SAFETY: the processor has AVX2. Nothing else is asked for.
                unsafe { self.add_avx2(bytes) }
            }
            Level::Baseline => self.add_leaf(bytes),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    fn add_avx512(&mut self, bytes: &[u8]) {
        self.add_leaf(bytes);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn add_avx2(&mut self, bytes: &[u8]) {
        self.add_leaf(bytes);
    }

    #[inline(always)]
    fn add_leaf(&mut self, bytes: &[u8]) {
        if self.measure.sketch {
            self.add_kind::<true>(bytes);
        } else {
            self.add_kind::<false>(bytes);
        }
    }

    #[inline(always)]
    fn add_kind<const SKETCH: bool>(&mut self, bytes: &[u8]) {
        match self.measure.kind {
            Kind::Bool => self.add_numbers::<1, SKETCH>(bytes, |[b]| f64::from(u8::from(b != 0))),
            Kind::Int8 => self.add_numbers::<1, SKETCH>(bytes, |b| i8::from_le_bytes(b).into()),
            Kind::Uint8 => self.add_numbers::<1, SKETCH>(bytes, |[b]| b.into()),
            Kind::Int16 => self.add_numbers::<2, SKETCH>(bytes, |b| i16::from_le_bytes(b).into()),
            Kind::Uint16 => self.add_numbers::<2, SKETCH>(bytes, |b| u16::from_le_bytes(b).into()),
            Kind::Int32 => self.add_numbers::<4, SKETCH>(bytes, |b| i32::from_le_bytes(b).into()),
            Kind::Uint32 => self.add_numbers::<4, SKETCH>(bytes, |b| u32::from_le_bytes(b).into()),
            Kind::Int64 => self.add_numbers::<8, SKETCH>(bytes, signed),
            Kind::Uint64 => self.add_numbers::<8, SKETCH>(bytes, unsigned),
            Kind::Float16 => {
                self.add_numbers::<2, SKETCH>(bytes, |b| from_half(u16::from_le_bytes(b)));
            }
            Kind::Bfloat16 => {
                self.add_numbers::<2, SKETCH>(bytes, |b| from_bfloat(u16::from_le_bytes(b)));
            }
            Kind::Float32 => self.add_numbers::<4, SKETCH>(bytes, |b| f32::from_le_bytes(b).into()),
            Kind::Float64 => self.add_numbers::<8, SKETCH>(bytes, f64::from_le_bytes),
            Kind::Float8(table) => {
                self.add_numbers::<1, SKETCH>(bytes, |[b]| table[usize::from(b)]);
            }
        }
    }

    #[inline(always)]
    fn add_numbers<const N: usize, const SKETCH: bool>(
        &mut self,
        bytes: &[u8],
        number: impl Fn([u8; N]) -> f64,
    ) {
        let (groups, rest) = bytes.as_chunks::<N>().0.as_chunks::<BUCKETS>();
        let mut lanes = Lanes::NONE;
        for group in groups {
            let mut values = [0.0; BUCKETS];
            for (value, bytes) in values.iter_mut().zip(group) {
                *value = number(*bytes);
            }
            if !lanes.add_finite(&values) {
                lanes.add_any(&mut values, BUCKETS);
            }
            if SKETCH {
                self.leaf.add(self.group, &values);
            }
            self.group += 1;
        }
        if !rest.is_empty() {
            let mut values = [0.0; BUCKETS];
            for (value, bytes) in values.iter_mut().zip(rest) {
                *value = number(*bytes);
            }
            lanes.add_any(&mut values, rest.len());
            if SKETCH {
                self.leaf.add(self.group, &values);
            }
        }
        self.sums.summary = self.sums.summary.join(&lanes.end());
        if SKETCH {
            self.leaf.end(&mut self.sums.sketch);
        }
    }
}

#[inline(always)]
#[expect(
    clippy::cast_precision_loss,
    reason = "numbers are measured in binary64"
)]
fn signed(bytes: [u8; 8]) -> f64 {
    i64::from_le_bytes(bytes) as f64
}

#[inline(always)]
#[expect(
    clippy::cast_precision_loss,
    reason = "numbers are measured in binary64"
)]
fn unsigned(bytes: [u8; 8]) -> f64 {
    u64::from_le_bytes(bytes) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DTYPES: [&str; 16] = [
        "bool",
        "int8",
        "uint8",
        "int16",
        "uint16",
        "int32",
        "uint32",
        "int64",
        "uint64",
        "float16",
        "bfloat16",
        "float32",
        "float64",
        "complex64",
        "float8_e4m3fn",
        "float8_e5m2",
    ];

    fn measured(dtype: &str, bytes: &[u8], level: Level) -> (Summary, [u64; BUCKETS]) {
        let measure = Measure::of(dtype, true, true).unwrap();
        let mut span = Span::new(Measure { level, ..measure }, 5);
        bytes.chunks(LEAF).for_each(|leaf| span.add(leaf));
        (span.sums.summary, span.sums.sketch.map(f64::to_bits))
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let mut state = 1_u64;
        let data: Vec<u8> = (0..LEAF + 5000)
            .map(|_| {
                state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                state.to_be_bytes()[0]
            })
            .collect();
        // Small exponents: groups without and with what is not finite.
        let calm: Vec<u8> = data.iter().map(|byte| byte & 0x3f).collect();
        for dtype in DTYPES {
            for bytes in [
                &data[..],
                &calm,
                &data[..LEAF],
                &calm[..72],
                &calm[..8],
                &[],
            ] {
                let expected = measured(dtype, bytes, Level::Baseline);
                for level in Level::available() {
                    let found = measured(dtype, bytes, level);
                    assert_eq!(found.1, expected.1, "{dtype} {level:?}");
                    assert_eq!(format!("{:?}", found.0), format!("{:?}", expected.0));
                }
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_counted_and_left_out() {
        let values = [1.0, f64::NAN, -3.0, f64::INFINITY, f64::NEG_INFINITY, 2.0];
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value: &f64| value.to_le_bytes())
            .collect();
        let (summary, sums) = measured("float64", &bytes, leaf::level());
        let counts = (
            summary.count,
            summary.nan,
            summary.positive,
            summary.negative,
        );
        assert_eq!(counts, (6, 1, 1, 1));
        let told = [summary.min, summary.max, summary.mean(), summary.norm()];
        assert_eq!(
            told.map(f64::to_bits),
            [-3.0, 2.0, 0.0, 14f64.sqrt()].map(f64::to_bits)
        );
        let mut sizes: Vec<f64> = sums.iter().map(|sum| f64::from_bits(*sum).abs()).collect();
        sizes.sort_by(f64::total_cmp);
        assert_eq!(sizes[BUCKETS - 4..], [0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn what_is_no_number_or_not_asked_for_is_not_measured() {
        assert!(Measure::of("str3", true, true).is_none());
        assert!(Measure::of("float32", false, false).is_none());
        assert!(Measure::of("complex64", true, false).is_none());
    }
}
