//! The elements of an array as numbers: every dtype that has some, exact in binary64 (integers beyond
//! 2^53 are rounded).

#![expect(
    clippy::inline_always,
    reason = "a conversion is compiled for the instructions of the kernel that it is inlined into"
)]

/// How the bytes of an array are read as real numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Bool,
    Int8,
    Uint8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Uint64,
    Float16,
    Bfloat16,
    Float32,
    Float64,
    /// A float of one byte, by the table of its 256 values.
    Float8(&'static [f64; 256]),
}

impl Kind {
    /// Kind and count of the numbers in an element of dtype `dtype`; a complex element is two.
    pub(crate) fn of(dtype: &str) -> Option<(Self, usize)> {
        let kind = match dtype {
            "bool" => Self::Bool,
            "int8" => Self::Int8,
            "uint8" => Self::Uint8,
            "int16" => Self::Int16,
            "uint16" => Self::Uint16,
            "int32" => Self::Int32,
            "uint32" => Self::Uint32,
            "int64" => Self::Int64,
            "uint64" => Self::Uint64,
            "float16" => Self::Float16,
            "bfloat16" => Self::Bfloat16,
            "float32" => Self::Float32,
            "float64" => Self::Float64,
            "complex32" => return Some((Self::Float16, 2)),
            "complex64" => return Some((Self::Float32, 2)),
            "complex128" => return Some((Self::Float64, 2)),
            "float8_e3m4" => Self::Float8(&E3M4),
            "float8_e4m3" => Self::Float8(&E4M3),
            "float8_e4m3b11fnuz" => Self::Float8(&E4M3B11FNUZ),
            "float8_e4m3fn" => Self::Float8(&E4M3FN),
            "float8_e4m3fnuz" => Self::Float8(&E4M3FNUZ),
            "float8_e5m2" => Self::Float8(&E5M2),
            "float8_e5m2fnuz" => Self::Float8(&E5M2FNUZ),
            "float8_e8m0fnu" => Self::Float8(&E8M0FNU),
            _ => return None,
        };
        Some((kind, 1))
    }

    /// Bytes of a number.
    pub(crate) const fn size(self) -> usize {
        match self {
            Self::Bool | Self::Int8 | Self::Uint8 | Self::Float8(_) => 1,
            Self::Int16 | Self::Uint16 | Self::Float16 | Self::Bfloat16 => 2,
            Self::Int32 | Self::Uint32 | Self::Float32 => 4,
            Self::Int64 | Self::Uint64 | Self::Float64 => 8,
        }
    }
}

/// A binary16: 1 bit of sign, 5 of exponent, 10 of fraction.
///
/// Through binary32 and without branches, so that a compiler can take many at a time; a subnormal one
/// is made of its integer, because a thread may have been told to take subnormal inputs for zero.
#[inline(always)]
pub(crate) fn from_half(bits: u16) -> f64 {
    let bits = u32::from(bits);
    let magnitude = (bits & 0x7fff) << 13;
    let shift = if bits & 0x7c00 == 0x7c00 { 224 } else { 112 };
    let normal = f32::from_bits(magnitude + (shift << 23));
    #[expect(clippy::cast_precision_loss, reason = "a fraction has ten bits")]
    let subnormal = (bits & 0x3ff) as f32 * f32::from_bits((127 - 24) << 23);
    let value = if bits & 0x7c00 == 0 {
        subnormal
    } else {
        normal
    };
    f64::from(f32::from_bits(value.to_bits() | (bits & 0x8000) << 16))
}

/// A bfloat16: the upper half of a binary32.
#[inline(always)]
pub(crate) fn from_bfloat(bits: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(bits) << 16))
}

/// What the bit patterns of a float of one byte mean that are no ordinary numbers.
#[derive(Clone, Copy)]
enum Special {
    /// As in IEEE 754: the largest exponent is infinity and NaN.
    Ieee,
    /// No infinity; NaN where all bits but the sign are set.
    AllOnes,
    /// No infinity and no negative zero, whose pattern is NaN.
    NegativeZero,
}

static E3M4: [f64; 256] = table(4, 3, Special::Ieee);
static E4M3: [f64; 256] = table(3, 7, Special::Ieee);
static E4M3FN: [f64; 256] = table(3, 7, Special::AllOnes);
static E4M3FNUZ: [f64; 256] = table(3, 8, Special::NegativeZero);
static E4M3B11FNUZ: [f64; 256] = table(3, 11, Special::NegativeZero);
static E5M2: [f64; 256] = table(2, 15, Special::Ieee);
static E5M2FNUZ: [f64; 256] = table(2, 16, Special::NegativeZero);
static E8M0FNU: [f64; 256] = powers();

#[expect(clippy::cast_sign_loss, reason = "a biased exponent is positive")]
const fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// Every value of a float with a sign, `width` bits of fraction, and the rest of exponent,
/// which is `zero` for 1.
const fn table(width: i32, zero: i32, special: Special) -> [f64; 256] {
    let mut values = [0.0; 256];
    let largest = 0x7f >> width;
    let mut bits: u8 = 0;
    loop {
        let magnitude = bits & 0x7f;
        let exponent = (magnitude >> width) as i32;
        let part = (magnitude & ((1 << width) - 1)) as f64 * power_of_two(-width);
        let value = match special {
            Special::Ieee if exponent == largest && part == 0.0 => f64::INFINITY,
            Special::Ieee if exponent == largest => f64::NAN,
            Special::AllOnes if magnitude == 0x7f => f64::NAN,
            Special::NegativeZero if bits == 0x80 => f64::NAN,
            _ if exponent == 0 => part * power_of_two(1 - zero),
            _ => (1.0 + part) * power_of_two(exponent - zero),
        };
        values[bits as usize] = if bits >= 0x80 { -value } else { value };
        if bits == u8::MAX {
            return values;
        }
        bits += 1;
    }
}

/// The values of a byte that is an exponent and nothing else.
const fn powers() -> [f64; 256] {
    let mut values = [f64::NAN; 256];
    let mut bits: u8 = 0;
    while bits < u8::MAX {
        values[bits as usize] = power_of_two(bits as i32 - 127);
        bits += 1;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_have_their_values() {
        let cases = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x0001, power_of_two(-24)),
            (0x83ff, -1023.0 * power_of_two(-24)),
            (0x8000, -0.0),
            (0x7bff, 65504.0),
            (0xfc00, f64::NEG_INFINITY),
        ];
        for (bits, value) in cases {
            assert_eq!(from_half(bits).to_bits(), f64::to_bits(value));
        }
        assert!(from_half(0x7e00).is_nan());
    }

    #[test]
    fn floats_of_one_byte_have_their_values() {
        let cases = [
            (&E4M3FN, 0x7e, 448.0),
            (&E4M3FN, 0x81, -(power_of_two(-9))),
            (&E5M2, 0x7b, 57344.0),
            (&E5M2, 0xfc, f64::NEG_INFINITY),
            (&E4M3FNUZ, 0x7f, 240.0),
            (&E3M4, 0x6f, 15.5),
            (&E8M0FNU, 0, power_of_two(-127)),
            (&E8M0FNU, 254, power_of_two(127)),
        ];
        for (table, bits, value) in cases {
            assert_eq!(table[bits].to_bits(), f64::to_bits(value));
        }
        assert!(E4M3FN[0x7f].is_nan());
        assert!(E5M2FNUZ[0x80].is_nan());
    }
}
