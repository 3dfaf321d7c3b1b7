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
