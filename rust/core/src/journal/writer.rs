//! Appending to a journal, whatever happens to the disk.

use std::collections::{HashMap, TryReserveError};
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use super::{Cell, Draft, END, FIRST_ROW, HEADER, KEY, MAGIC, Moment, POINTS};

/// What a journal is written to: bytes that only grow, but for a torn end that is cut off.
pub trait Medium {
    /// Append some of `bytes`, at least one; says how many.
    ///
    /// # Errors
    ///
    /// Nothing can be appended now.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Cut off what follows the first `length` bytes.
    ///
    /// # Errors
    ///
    /// It cannot be done now.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is in the file.
    Written,
    /// The file cannot be written at present; it waits in memory.
    Waiting,
    /// It is lost, and counted.
    Dropped,
}

/// How a journal behaves when its file cannot be written.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes of records that may wait in memory.
    pub room: usize,
    /// How long to leave the file alone after a failure.
    pub pause: Duration,
}

/// The writer of one journal.
///
/// A record is in the file, whole, or it waits in memory behind those that came before it; what a
/// failed write left of it at the end of the file is cut off before anything else is written.
pub struct Writer<M> {
    medium: M,
    settings: Settings,
    length: u64,
    torn: bool,
    draft: Draft,
    keys: HashMap<String, u32>,
    sequence: i64,
    // It begins with the header, which belongs to the file and is no record that could be lost.
    waiting: Vec<u8>,
    waiting_records: u64,
    dropped: u64,
    try_again_at: Option<Instant>,
    trouble: Option<io::Error>,
}

impl<M: Medium> Writer<M> {
    /// Begin a journal whose values are numbered from `sequence`.
    ///
    /// # Errors
    ///
    /// There is no memory for the header, or it is too large.
    pub fn new(
        medium: M,
        header: &str,
        sequence: i64,
        settings: Settings,
    ) -> Result<Self, io::Error> {
        let mut draft = Draft::default();
        let mut begun = || -> Result<bool, TryReserveError> {
            draft.put(&MAGIC)?;
            draft.begin(HEADER)?;
            draft.put(header.as_bytes())?;
            Ok(draft.end())
        };
        match begun() {
            Ok(true) => {}
            Ok(false) => return Err(ErrorKind::FileTooLarge.into()),
            Err(_) => return Err(ErrorKind::OutOfMemory.into()),
        }
        let mut writer = Self {
            medium,
            settings,
            length: 0,
            torn: false,
            draft: Draft::default(),
            keys: HashMap::new(),
            sequence,
            waiting: draft.bytes,
            waiting_records: 0,
            dropped: 0,
            try_again_at: None,
            trouble: None,
        };
        writer.write_waiting();
        Ok(writer)
    }

    /// Log the values of one moment: all or none.
    pub fn points(&mut self, moment: &Moment, values: &[(&str, f64)]) -> Kept {
        self.draft.clear();
        let known = self.keys.len();
        // The number of values fits: each takes memory.
        let count = i64::try_from(values.len()).unwrap_or(i64::MAX);
        let kept = match self.draft_points(moment, values) {
            Ok(true) => self.keep(count.unsigned_abs()),
            Ok(false) | Err(_) => self.drop_records(count.unsigned_abs()),
        };
        if kept == Kept::Dropped {
            // Whoever is logged under these names next introduces them again.
            self.keys.retain(|_, number| (*number as usize) < known);
        } else {
            self.sequence += count;
        }
        kept
    }

    /// Append a row of cells.
    ///
    /// # Panics
    ///
    /// `kind` is not that of a row.
    pub fn row<'a>(&mut self, kind: u8, cells: impl IntoIterator<Item = Cell<'a>>) -> Kept {
        assert!(
            kind >= FIRST_ROW,
            "the kind of a row is {FIRST_ROW} or more"
        );
        self.draft.clear();
        let drafted = self.draft.begin(kind).and_then(|()| {
            cells
                .into_iter()
                .try_for_each(|cell| self.draft.put_cell(cell))
        });
        if drafted.is_ok() && self.draft.end() {
            self.keep(1)
        } else {
            self.drop_records(1)
        }
    }

    /// Write what waits, now, and end the journal if nothing waits then.
    pub fn close(&mut self) {
        self.try_again_at = None;
        self.write_waiting();
        self.draft.clear();
        if self.waiting.is_empty() && self.draft.begin(END).is_ok() && self.draft.end() {
            // A journal without it is one whose process was killed, which costs its readers a look
            // at the lock, and nothing else.
            let _ = self.write_draft();
        }
    }

    /// Take back what waits in memory: records, after a header if the file does not have it.
    pub fn take_waiting(&mut self) -> Vec<u8> {
        self.waiting_records = 0;
        std::mem::take(&mut self.waiting)
    }

    /// Bytes of whole records in the file.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The number that the next value gets.
    #[must_use]
    pub fn sequence(&self) -> i64 {
        self.sequence
    }

    /// Give up the journal for what it was written to.
    #[must_use]
    pub fn into_medium(self) -> M {
        self.medium
    }

    /// Number the next value.
    pub fn number_from(&mut self, sequence: i64) {
        self.sequence = sequence;
    }

    /// How many records wait in memory.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting_records
    }

    /// How many records are lost.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Why the file could last not be written.
    #[must_use]
    pub fn trouble(&self) -> Option<&io::Error> {
        self.trouble.as_ref()
    }

    fn draft_points(
        &mut self,
        moment: &Moment,
        values: &[(&str, f64)],
    ) -> Result<bool, TryReserveError> {
        for (key, _) in values {
            if !self.keys.contains_key(*key) {
                self.draft_key(key)?;
            }
        }
        self.draft.begin(POINTS)?;
        self.draft.put_moment(moment, self.sequence)?;
        for (key, value) in values {
            self.draft.put(&self.keys[*key].to_le_bytes())?;
            self.draft.put(&value.to_le_bytes())?;
        }
        Ok(self.draft.end())
    }

    /// Give a name its number.
    fn draft_key(&mut self, key: &str) -> Result<(), TryReserveError> {
        let number = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        self.draft.begin(KEY)?;
        self.draft.put(&number.to_le_bytes())?;
        self.draft.put(key.as_bytes())?;
        self.draft.end();
        let mut name = String::new();
        name.try_reserve_exact(key.len())?;
        name.push_str(key);
        self.keys.try_reserve(1)?;
        self.keys.insert(name, number);
        Ok(())
    }

    fn keep(&mut self, records: u64) -> Kept {
        if self.write_waiting() && self.write_draft() {
            return Kept::Written;
        }
        let bytes = self.draft.bytes();
        let fits = self.waiting.len().saturating_add(bytes.len()) <= self.settings.room;
        if !fits || self.waiting.try_reserve(bytes.len()).is_err() {
            return self.drop_records(records);
        }
        self.waiting.extend_from_slice(bytes);
        self.waiting_records += records;
        Kept::Waiting
    }

    fn drop_records(&mut self, records: u64) -> Kept {
        self.dropped += records;
        Kept::Dropped
    }

    /// Whether nothing waits any more.
    fn write_waiting(&mut self) -> bool {
        if self.waiting.is_empty() {
            return true;
        }
        let waiting = std::mem::take(&mut self.waiting);
        let written = self.write(&waiting);
        if written {
            self.waiting_records = 0;
        } else {
            self.waiting = waiting;
        }
        written
    }

    fn write_draft(&mut self) -> bool {
        let draft = std::mem::take(&mut self.draft);
        let written = self.write(draft.bytes());
        self.draft = draft;
        written
    }

    /// Write whole records, unless a failure is not long ago.
    fn write(&mut self, bytes: &[u8]) -> bool {
        if self.try_again_at.is_some_and(|time| Instant::now() < time) {
            return false;
        }
        match self.append(bytes) {
            Ok(()) => {
                self.try_again_at = None;
                self.length += bytes.len() as u64;
                true
            }
            Err(error) => {
                self.trouble = Some(error);
                self.try_again_at = Instant::now().checked_add(self.settings.pause);
                false
            }
        }
    }

    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if self.torn {
            self.medium.cut(self.length)?;
        }
        self.torn = true;
        while !bytes.is_empty() {
            match self.medium.append(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.torn = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Next, Points, Records, parse_key};

    /// A disk on which the operations from number `fail_at` on fail, `failures` of them; a failing
    /// write leaves a part of its bytes behind.
    struct Disk {
        bytes: Vec<u8>,
        operations: u32,
        fail_at: u32,
        failures: u32,
    }

    impl Disk {
        fn fails(&mut self) -> bool {
            self.operations += 1;
            (self.fail_at..self.fail_at + self.failures).contains(&self.operations)
        }
    }

    impl Medium for Disk {
        fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.fails() {
                self.bytes.extend_from_slice(&bytes[..bytes.len() / 2]);
                return Err(ErrorKind::StorageFull.into());
            }
            // Now and then a write takes a part only, or is interrupted before it begins.
            let count = match self.operations % 5 {
                0 => return Err(ErrorKind::Interrupted.into()),
                1 => bytes.len().div_ceil(2),
                _ => bytes.len(),
            };
            self.bytes.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn cut(&mut self, length: u64) -> io::Result<()> {
            if self.fails() {
                return Err(ErrorKind::Other.into());
            }
            self.bytes.truncate(usize::try_from(length).unwrap());
            Ok(())
        }
    }

    const MOMENT: Moment = Moment {
        timestamp: 0.0,
        step: 0,
        ident: None,
        position: None,
    };

    fn writer(fail_at: u32, failures: u32, room: usize) -> Writer<Disk> {
        let disk = Disk {
            bytes: Vec::new(),
            operations: 0,
            fail_at,
            failures,
        };
        let pause = Duration::ZERO;
        Writer::new(disk, "{}", 0, Settings { room, pause }).unwrap()
    }

    /// The values that can be read, by name, and how many rows there are.
    fn content(writer: &Writer<Disk>) -> (Vec<(String, f64)>, usize) {
        let mut keys = Vec::new();
        let mut values = Vec::new();
        let mut rows = 0;
        let begin = MAGIC.len().min(writer.medium.bytes.len());
        let mut records = Records::new(&writer.medium.bytes[begin..]);
        loop {
            match records.step() {
                Next::Record(KEY, body) => {
                    let (number, name) = parse_key(body).unwrap();
                    keys.truncate(number as usize);
                    keys.push(name.to_owned());
                }
                Next::Record(POINTS, body) => {
                    let points = Points::parse(body).unwrap();
                    values.extend(points.values().map(|(k, v)| (keys[k as usize].clone(), v)));
                }
                Next::Record(kind, _) => rows += usize::from(kind == FIRST_ROW),
                Next::Torn(_) | Next::Nothing => return (values, rows),
                Next::Damaged => panic!("damaged"),
            }
        }
    }

    /// Log 20 moments with two values each, one of which has a new name every time, and 20 rows.
    fn log(writer: &mut Writer<Disk>) -> Vec<(String, f64)> {
        let mut kept = Vec::new();
        for number in 0..20 {
            let name = format!("k{number}");
            let values = [("loss", f64::from(number)), (name.as_str(), 0.5)];
            if writer.points(&MOMENT, &values) != Kept::Dropped {
                kept.extend(values.map(|(key, value)| (key.to_owned(), value)));
            }
            writer.row(FIRST_ROW, [Cell::Int(i64::from(number)), Cell::Text("x")]);
        }
        kept
    }

    #[test]
    fn whichever_operation_fails_nothing_is_lost() {
        for failures in [1, 2, 3, 10] {
            for fail_at in 1..100 {
                let mut writer = writer(fail_at, failures, 1 << 20);
                let kept = log(&mut writer);
                writer.medium.failures = 0;
                writer.close();
                let (values, rows) = content(&writer);
                assert_eq!(kept.len(), 40);
                assert_eq!(writer.waiting(), 0);
                assert_eq!((values, rows), (kept, 20), "operation {fail_at}");
                assert_eq!((writer.dropped(), writer.sequence()), (0, 40));
            }
        }
    }

    #[test]
    fn what_is_written_is_there_at_every_moment() {
        for fail_at in 1..60 {
            let mut writer = writer(fail_at, 4, 1 << 20);
            let mut written = 0;
            for number in 0..20 {
                if writer.points(&MOMENT, &[("loss", f64::from(number))]) == Kept::Written {
                    // It stands behind all that waited before it.
                    written = number + 1;
                }
                let expected: Vec<_> = (0..written).map(f64::from).collect();
                let found: Vec<_> = content(&writer).0.into_iter().map(|(_, v)| v).collect();
                assert_eq!(found[..expected.len()], expected);
            }
        }
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        for fail_at in 1..60 {
            for room in [0, 100, 300] {
                let mut writer = writer(fail_at, 12, room);
                let kept = log(&mut writer);
                writer.medium.failures = 0;
                writer.close();
                let (values, rows) = content(&writer);
                let lost = 60 - kept.len() as u64 - rows as u64;
                assert_eq!((values, writer.dropped()), (kept, lost), "{fail_at} {room}");
            }
        }
    }

    #[test]
    fn a_disk_that_stays_full_leaves_what_waits_to_be_taken() {
        let mut writer = writer(3, u32::MAX - 3, 1 << 20);
        let kept = log(&mut writer);
        writer.close();
        assert_eq!(writer.waiting() + content(&writer).0.len() as u64, 60);
        assert!(writer.trouble().is_some());
        let mut all = writer.medium.bytes[..usize::try_from(writer.length()).unwrap()].to_vec();
        all.extend(writer.take_waiting());
        writer.medium.bytes = all;
        assert_eq!(content(&writer), (kept, 20));
    }

    #[test]
    fn a_failure_is_left_alone_for_a_while() {
        let mut writer = writer(1, u32::MAX - 1, 1 << 20);
        writer.settings.pause = Duration::from_secs(3600);
        log(&mut writer);
        let tried = writer.medium.operations;
        log(&mut writer);
        assert!(writer.medium.operations <= tried + 2);
    }
}
