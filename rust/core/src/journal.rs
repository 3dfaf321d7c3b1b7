//! Journals: files that records are appended to, and from which they enter the store later.
//!
//! A journal begins with [`MAGIC`]. Then come records, each a head of three little-endian `u32`
//! (the length of its body, the CRC-32 of those four bytes, the CRC-32 of the body) and the body, whose
//! first byte is its kind. The length has a check of its own so that a record that is not all there
//! yet (the file is shorter than it says) can be told from a damaged one.
//!
//! The body of a row ([`FIRST_ROW`] and above) is a sequence of cells, each a tag byte and its
//! content: nothing, `i64`, `f64`, or `u32` length and UTF-8. [`KEY`] numbers the name of a metric,
//! [`POINTS`] holds the values of one log call; see [`Points`].

pub mod file;
pub mod writer;

use std::collections::TryReserveError;

/// The first bytes of a journal; the last of them is the version of the format.
pub const MAGIC: [u8; 8] = *b"ATOJRNL\x01";

/// The first record: whose journal it is, as JSON.
pub const HEADER: u8 = 0;
/// A number (`u32`) and the name of a metric that has it from here on.
pub const KEY: u8 = 1;
/// Values that were logged in one call.
pub const POINTS: u8 = 2;
/// The last record: nobody will write to this journal again.
pub const END: u8 = 3;
/// The first kind whose body is a row of cells.
pub const FIRST_ROW: u8 = 16;

const HEAD: usize = 12;
/// Larger ones are refused; a length beyond it in a file is damage.
pub const LARGEST: usize = 1 << 30;
/// Stands for "none" among idents and positions.
const NONE: i64 = i64::MIN;

/// One value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Nothing.
    None,
    /// An integer.
    Int(i64),
    /// A float, bit for bit.
    Float(f64),
    /// A text.
    Text(&'a str),
}

/// When and where values are logged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Seconds since 1970.
    pub timestamp: f64,
    /// The user's number of the step.
    pub step: i64,
    /// The call in which they are logged.
    pub ident: Option<i64>,
    /// The sequence number of the next call to complete.
    pub position: Option<i64>,
}

/// The content of a [`POINTS`] record: values in the order of logging, numbered from `sequence`.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a> {
    /// When and where.
    pub moment: Moment,
    /// The number of the first value among the process's values.
    pub sequence: i64,
    values: &'a [u8],
}

impl<'a> Points<'a> {
    const FIXED: usize = 40;
    const EACH: usize = 12;

    /// Read the body after its kind; `None` if it has another size than values can have.
    #[must_use]
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let (fixed, values) = body.split_at_checked(Self::FIXED)?;
        if !values.len().is_multiple_of(Self::EACH) {
            return None;
        }
        let word = |index: usize| -> [u8; 8] {
            let mut word = [0; 8];
            word.copy_from_slice(&fixed[8 * index..8 * index + 8]);
            word
        };
        let optional = |number: i64| (number != NONE).then_some(number);
        Some(Self {
            moment: Moment {
                timestamp: f64::from_le_bytes(word(0)),
                step: i64::from_le_bytes(word(1)),
                ident: optional(i64::from_le_bytes(word(2))),
                position: optional(i64::from_le_bytes(word(3))),
            },
            sequence: i64::from_le_bytes(word(4)),
            values,
        })
    }

    /// The number of each value's key, and the value.
    pub fn values(&self) -> impl Iterator<Item = (u32, f64)> + 'a {
        self.values.chunks_exact(Self::EACH).map(|each| {
            let (mut key, mut value) = ([0; 4], [0; 8]);
            key.copy_from_slice(&each[..4]);
            value.copy_from_slice(&each[4..]);
            (u32::from_le_bytes(key), f64::from_le_bytes(value))
        })
    }
}

/// The number and the name in the body of a [`KEY`] record, after its kind.
#[must_use]
pub fn parse_key(body: &[u8]) -> Option<(u32, &str)> {
    let (number, name) = body.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*number), str::from_utf8(name).ok()?))
}

/// The cells in the body of a row, after its kind; ends early where it is none.
pub fn parse_row(mut body: &[u8]) -> impl Iterator<Item = Cell<'_>> {
    std::iter::from_fn(move || {
        let (tag, rest) = body.split_first()?;
        let (cell, rest) = match tag {
            0 => (Cell::None, rest),
            1 => {
                let (number, rest) = rest.split_first_chunk::<8>()?;
                (Cell::Int(i64::from_le_bytes(*number)), rest)
            }
            2 => {
                let (number, rest) = rest.split_first_chunk::<8>()?;
                (Cell::Float(f64::from_le_bytes(*number)), rest)
            }
            3 => {
                let (length, rest) = rest.split_first_chunk::<4>()?;
                let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
                (Cell::Text(str::from_utf8(text).ok()?), rest)
            }
            _ => return None,
        };
        body = rest;
        Some(cell)
    })
}

/// How the bytes go on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next<'a> {
    /// With a whole record, whose kind and body are these.
    Record(u8, &'a [u8]),
    /// Not at all.
    Nothing,
    /// With a record of so many bytes, head included, of which not all are there.
    Torn(usize),
    /// With something that was never written as a record.
    Damaged,
}

/// The records in `bytes`, which begin with one.
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    /// Begin at the first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where the next record begins.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// The next record, of which only a whole one is passed over.
    pub fn step(&mut self) -> Next<'a> {
        let rest = &self.bytes[self.at..];
        if rest.is_empty() {
            return Next::Nothing;
        }
        let Some((head, rest)) = rest.split_first_chunk::<HEAD>() else {
            return Next::Torn(HEAD);
        };
        let word = |index: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&head[4 * index..4 * index + 4]);
            u32::from_le_bytes(word)
        };
        let length = word(0) as usize;
        if crc32fast::hash(&head[..4]) != word(1) || length == 0 || length > LARGEST {
            return Next::Damaged;
        }
        let Some((body, _)) = rest.split_at_checked(length) else {
            return Next::Torn(HEAD + length);
        };
        if crc32fast::hash(body) != word(2) {
            return Next::Damaged;
        }
        self.at += HEAD + length;
        Next::Record(body[0], &body[1..])
    }
}

/// Records on their way: whole ones, and perhaps one that is being put together.
///
/// Every growth may be refused: whoever logs must not be ended by a shortage of memory.
#[derive(Default)]
pub struct Draft {
    bytes: Vec<u8>,
    start: usize,
}

impl Draft {
    /// All bytes so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begin anew; a buffer that grew beyond measure is given back.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(1 << 20);
    }

    /// Begin a record.
    ///
    /// # Errors
    ///
    /// There is no memory, like everywhere below.
    pub fn begin(&mut self, kind: u8) -> Result<(), TryReserveError> {
        self.start = self.bytes.len();
        self.put(&[0; HEAD])?;
        self.put(&[kind])
    }

    /// Go on with the record.
    ///
    /// # Errors
    ///
    /// There is no memory.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), TryReserveError> {
        self.bytes.try_reserve(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Go on with a cell.
    ///
    /// # Errors
    ///
    /// There is no memory.
    pub fn put_cell(&mut self, cell: Cell<'_>) -> Result<(), TryReserveError> {
        match cell {
            Cell::None => self.put(&[0]),
            Cell::Int(number) => {
                self.put(&[1])?;
                self.put(&number.to_le_bytes())
            }
            Cell::Float(number) => {
                self.put(&[2])?;
                self.put(&number.to_le_bytes())
            }
            Cell::Text(text) => {
                self.put(&[3])?;
                // A text that does not fit makes the record larger than `LARGEST`.
                self.put(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes())?;
                self.put(text.as_bytes())
            }
        }
    }

    /// Go on with the fixed part of a [`POINTS`] record.
    fn put_moment(&mut self, moment: &Moment, sequence: i64) -> Result<(), TryReserveError> {
        let mut fixed = [0; Points::FIXED];
        let words = [
            moment.timestamp.to_le_bytes(),
            moment.step.to_le_bytes(),
            moment.ident.unwrap_or(NONE).to_le_bytes(),
            moment.position.unwrap_or(NONE).to_le_bytes(),
            sequence.to_le_bytes(),
        ];
        for (place, word) in fixed.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word);
        }
        self.put(&fixed)
    }

    /// End the record: fill in its head. One that is too large is taken back: `false`.
    pub fn end(&mut self) -> bool {
        let length = self.bytes.len() - self.start - HEAD;
        let Some(size) = u32::try_from(length).ok().filter(|_| length <= LARGEST) else {
            self.bytes.truncate(self.start);
            return false;
        };
        let (head, body) = self.bytes[self.start..].split_at_mut(HEAD);
        let size = size.to_le_bytes();
        head[..4].copy_from_slice(&size);
        head[4..8].copy_from_slice(&crc32fast::hash(&size).to_le_bytes());
        head[8..].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Draft {
        let mut draft = Draft::default();
        draft.begin(KEY).unwrap();
        draft.put(&0_u32.to_le_bytes()).unwrap();
        draft.put("loss".as_bytes()).unwrap();
        assert!(draft.end());
        draft.begin(POINTS).unwrap();
        let moment = Moment {
            timestamp: 1.5,
            step: -3,
            ident: None,
            position: Some(7),
        };
        draft.put_moment(&moment, 9).unwrap();
        draft.put(&0_u32.to_le_bytes()).unwrap();
        draft.put(&0.25_f64.to_le_bytes()).unwrap();
        assert!(draft.end());
        draft.begin(FIRST_ROW).unwrap();
        for cell in CELLS {
            draft.put_cell(cell).unwrap();
        }
        assert!(draft.end());
        draft
    }

    const CELLS: [Cell<'static>; 5] = [
        Cell::None,
        Cell::Int(i64::MIN),
        Cell::Float(-0.0),
        Cell::Text(""),
        Cell::Text("é"),
    ];

    fn whole(bytes: &[u8]) -> (usize, Next<'_>) {
        let mut records = Records::new(bytes);
        let mut count = 0;
        loop {
            match records.step() {
                Next::Record(..) => count += 1,
                other => return (count, other),
            }
        }
    }

    #[test]
    fn records_come_back_as_they_were() {
        let draft = sample();
        let mut records = Records::new(draft.bytes());
        let Next::Record(KEY, body) = records.step() else {
            panic!("no key");
        };
        assert_eq!(parse_key(body), Some((0, "loss")));
        let Next::Record(POINTS, body) = records.step() else {
            panic!("no points");
        };
        let points = Points::parse(body).unwrap();
        assert_eq!((points.sequence, points.moment.step), (9, -3));
        assert_eq!(
            (points.moment.ident, points.moment.position),
            (None, Some(7))
        );
        assert_eq!(points.values().collect::<Vec<_>>(), [(0, 0.25)]);
        let Next::Record(FIRST_ROW, body) = records.step() else {
            panic!("no row");
        };
        assert_eq!(parse_row(body).collect::<Vec<_>>(), CELLS);
        assert_eq!(records.step(), Next::Nothing);
    }

    #[test]
    fn what_is_cut_off_is_torn_and_what_stands_before_is_whole() {
        let draft = sample();
        let bytes = draft.bytes();
        let mut ends = vec![0];
        let mut records = Records::new(bytes);
        while let Next::Record(..) = records.step() {
            ends.push(records.at());
        }
        for length in 0..bytes.len() {
            let (count, ending) = whole(&bytes[..length]);
            assert_eq!(count, ends.iter().filter(|end| **end <= length).count() - 1);
            if ends.contains(&length) {
                assert_eq!(ending, Next::Nothing);
            } else {
                assert!(matches!(ending, Next::Torn(_)), "{length}: {ending:?}");
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let draft = sample();
        let total = whole(draft.bytes()).0;
        for bit in 0..8 * draft.bytes().len() {
            let mut bytes = draft.bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (count, ending) = whole(&bytes);
            assert!(count < total);
            assert_eq!(ending, Next::Damaged, "bit {bit}");
        }
    }

    #[test]
    fn no_bytes_are_too_odd_to_read() {
        let draft = sample();
        for at in 0..draft.bytes().len() {
            let rest = &draft.bytes()[at..];
            let _ = (
                Points::parse(rest),
                parse_key(rest),
                parse_row(rest).count(),
            );
            let _ = whole(rest);
        }
        assert_eq!(whole(&[0; 64]).1, Next::Damaged);
    }
}
