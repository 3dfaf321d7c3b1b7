//! The canonical encoding of values, format 1.
//!
//! An item is `tag (1 byte), length (u64, little-endian), payload`. For scalars the length counts
//! the payload's bytes; for containers it counts the items that follow. So no two different values
//! have one encoding, and none is the beginning of another.
//!
//! | item | payload |
//! |---|---|
//! | none | nothing |
//! | bool | one byte, 0 or 1 |
//! | int | two's complement, little-endian, ⌊bits ÷ 8⌋ + 1 bytes, where bits is the size of the magnitude |
//! | float | 8 bytes, IEEE 754, little-endian; every NaN is `0x7ff8000000000000` |
//! | complex | two floats, 16 bytes |
//! | str | UTF-8; lone surrogates as the three bytes that UTF-8 would give them |
//! | bytes | the bytes |
//! | list, tuple | the items |
//! | set, frozenset | the items' encodings in ascending order of their bytes |
//! | dict | key and value, entry by entry, in ascending order of the keys' encodings (then the values') |
//! | object | UTF-8 of its kind, and after it one item, the content |
//! | ancestor | u64, little-endian: how many levels below the root the value stands that is met again |

use blake3::Hasher;

use crate::scheme::Scheme;

/// The first byte of every item.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Tag {
    /// Python's `None`.
    None = 0,
    /// A truth value.
    Bool = 1,
    /// An integer of any size.
    Int = 2,
    /// A binary64.
    Float = 3,
    /// Two binary64.
    Complex = 4,
    /// Text.
    Str = 5,
    /// Bytes, whatever kind of object holds them.
    Bytes = 6,
    /// A mutable sequence.
    List = 7,
    /// An immutable sequence.
    Tuple = 8,
    /// A mutable set.
    Set = 9,
    /// An immutable set.
    FrozenSet = 10,
    /// A mapping.
    Dict = 11,
    /// A value of any other type: its kind and its content.
    Object = 12,
    /// A value that contains itself.
    Ancestor = 13,
}

/// Bytes in front of an item's payload.
pub const HEADER: usize = 9;

const CANONICAL_NAN: u64 = 0x7ff8_0000_0000_0000;

/// Where an encoding goes: a buffer that is to be sorted, or straight into a digest.
pub trait Sink {
    /// Append bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A digest that is fed piece by piece.
pub struct Digester {
    hasher: Hasher,
    pending: Vec<u8>,
}

impl Digester {
    // BLAKE3 hashes up to 16 chunks of 1 KiB side by side (AVX-512); a multiple of that keeps it
    // from being fed in pieces of a few bytes, and small values from touching it more than once.
    const PENDING: usize = 16 << 10;

    /// Begin a digest under `scheme`.
    #[must_use]
    pub fn new(scheme: Scheme) -> Self {
        Self {
            hasher: scheme.hasher(),
            pending: Vec::with_capacity(256),
        }
    }

    /// The digest of everything that was put.
    #[must_use]
    pub fn finish(mut self) -> [u8; 32] {
        self.hasher.update(&self.pending);
        *self.hasher.finalize().as_bytes()
    }
}

impl Sink for Digester {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        if self.pending.len() + bytes.len() > Self::PENDING {
            self.hasher.update(&self.pending);
            self.pending.clear();
            if bytes.len() >= Self::PENDING {
                self.hasher.update(bytes);
                return;
            }
        }
        self.pending.extend_from_slice(bytes);
    }
}

/// Write tag and length; as many payload bytes, or items, must follow.
#[inline]
pub fn header(sink: &mut impl Sink, tag: Tag, length: usize) {
    let mut bytes = [tag as u8; HEADER];
    bytes[1..].copy_from_slice(&(length as u64).to_le_bytes());
    sink.put(&bytes);
}

#[inline]
fn item(sink: &mut impl Sink, tag: Tag, payload: &[u8]) {
    header(sink, tag, payload.len());
    sink.put(payload);
}

/// Write a `None`.
pub fn none(sink: &mut impl Sink) {
    header(sink, Tag::None, 0);
}

/// Write a truth value.
pub fn boolean(sink: &mut impl Sink, value: bool) {
    item(sink, Tag::Bool, &[u8::from(value)]);
}

/// Write an integer that fits 64 bits.
#[inline]
pub fn integer(sink: &mut impl Sink, value: i64) {
    let bits = 64 - value.unsigned_abs().leading_zeros() as usize;
    // The magnitude of -2^63 has 64 bits and so takes nine bytes.
    item(
        sink,
        Tag::Int,
        &i128::from(value).to_le_bytes()[..=bits / 8],
    );
}

/// Write an integer of any size, given as the two's complement that the format asks for.
pub fn big_integer(sink: &mut impl Sink, little_endian: &[u8]) {
    item(sink, Tag::Int, little_endian);
}

/// Write a float.
#[inline]
pub fn float(sink: &mut impl Sink, value: f64) {
    item(sink, Tag::Float, &float_bytes(value));
}

/// Write a complex number.
pub fn complex(sink: &mut impl Sink, real: f64, imag: f64) {
    header(sink, Tag::Complex, 16);
    sink.put(&float_bytes(real));
    sink.put(&float_bytes(imag));
}

/// Write text.
#[inline]
pub fn text(sink: &mut impl Sink, value: &str) {
    item(sink, Tag::Str, value.as_bytes());
}

/// Write text with lone surrogates, already encoded.
pub fn surrogate_text(sink: &mut impl Sink, encoded: &[u8]) {
    item(sink, Tag::Str, encoded);
}

/// Write bytes.
pub fn bytes(sink: &mut impl Sink, value: &[u8]) {
    item(sink, Tag::Bytes, value);
}

/// Write the kind of an object; its content must follow.
pub fn object(sink: &mut impl Sink, kind: &str) {
    item(sink, Tag::Object, kind.as_bytes());
}

/// Write that the value which stands `depth` levels below the root is met again, inside itself.
pub fn ancestor(sink: &mut impl Sink, depth: usize) {
    item(sink, Tag::Ancestor, &(depth as u64).to_le_bytes());
}

fn float_bytes(value: f64) -> [u8; 8] {
    let bits = if value.is_nan() {
        CANONICAL_NAN
    } else {
        value.to_bits()
    };
    bits.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes);
        bytes
    }

    #[test]
    fn integers_take_the_bytes_that_their_magnitude_asks_for() {
        let cases: [(i64, &[u8]); 8] = [
            (0, &[0]),
            (1, &[1]),
            (-1, &[0xff]),
            (127, &[0x7f]),
            (128, &[0x80, 0]),
            (-128, &[0x80, 0xff]),
            (i64::MAX, &[255, 255, 255, 255, 255, 255, 255, 0x7f]),
            (i64::MIN, &[0, 0, 0, 0, 0, 0, 0, 0x80, 0xff]),
        ];
        for (value, payload) in cases {
            let bytes = encoded(|sink| integer(sink, value));
            assert_eq!(bytes[0], Tag::Int as u8);
            assert_eq!(bytes[1..9], (payload.len() as u64).to_le_bytes());
            assert_eq!(&bytes[9..], payload, "{value}");
        }
    }

    #[test]
    fn every_nan_is_one_and_zero_keeps_its_sign() {
        let quiet = encoded(|sink| float(sink, f64::NAN));
        let other = encoded(|sink| float(sink, f64::from_bits(0xfff0_0000_0000_0001)));
        assert_eq!(quiet, other);
        assert_ne!(
            encoded(|sink| float(sink, 0.0)),
            encoded(|sink| float(sink, -0.0))
        );
    }

    #[test]
    fn a_digest_does_not_depend_on_the_pieces_it_is_fed_in() {
        let pieces = [0, 1, 100, 16 << 10, (16 << 10) - 1, 70_000, 3];
        let data = vec![7u8; pieces.iter().sum()];
        let mut digester = Digester::new(Scheme::Value);
        let mut start = 0;
        for length in pieces {
            digester.put(&data[start..start + length]);
            start += length;
        }
        assert_eq!(
            digester.finish(),
            blake3::derive_key(Scheme::Value.context(), &data)
        );
    }
}
