//! Journals as files: who writes one holds a lock on it, which its death takes away.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use super::writer::Medium;
use super::{HEADER, MAGIC, Next, Records};
use crate::Error;

/// A journal's file, made when it is first written to, and again tried when that failed.
///
/// The lock belongs to the open file, which a forked child shares: [`JournalFile::abandon`] is how
/// the child lets go of it.
pub struct JournalFile {
    path: PathBuf,
    file: Option<ManuallyDrop<File>>,
    process: u32,
    descriptor: Arc<AtomicI32>,
}

impl JournalFile {
    /// The journal at `path`, where there is no file yet. Its descriptor is noted in `descriptor`.
    #[must_use]
    pub fn new(path: PathBuf, descriptor: Arc<AtomicI32>) -> Self {
        descriptor.store(-1, Ordering::Relaxed);
        Self {
            path,
            file: None,
            process: std::process::id(),
            descriptor,
        }
    }

    /// Close the descriptor of a parent's journal in its forked child, without unlocking it.
    ///
    /// The thread that was writing does not exist in the child, and its mutex is never let go of;
    /// so this goes past both.
    #[cfg(unix)]
    pub fn abandon(descriptor: &AtomicI32) {
        use std::os::fd::{FromRawFd, OwnedFd};
        let descriptor = descriptor.swap(-1, Ordering::Relaxed);
        if descriptor >= 0 {
            // SAFETY: the descriptor was open when the child was forked, and a `JournalFile` of
            // another process never touches its own again. This does not guarantee that the file
            // is written whole: that is the parent's to do.
            drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
        }
    }

    fn open(&mut self) -> io::Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => ManuallyDrop::new(create(&self.path)?),
        };
        #[cfg(unix)]
        {
            use std::os::fd::AsRawFd;
            self.descriptor.store(file.as_raw_fd(), Ordering::Relaxed);
        }
        Ok(self.file.insert(file))
    }
}

impl Medium for JournalFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open()?.write(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length))?;
        Ok(())
    }
}

impl Drop for JournalFile {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else {
            return;
        };
        // In a forked child the descriptor is closed already, and may be another file's by now.
        if self.process == std::process::id() {
            self.descriptor.store(-1, Ordering::Relaxed);
            drop(ManuallyDrop::into_inner(file));
        }
    }
}

/// Make and lock the file. It gets its name when it is locked: nobody sees it free.
fn create(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let file = open_to_write(Path::new(&fresh))?;
    let named = lock(&file).and_then(|()| fs::rename(&fresh, path));
    if let Err(error) = named {
        let _ = fs::remove_file(&fresh);
        return Err(error);
    }
    Ok(file)
}

#[cfg(not(windows))]
fn open_to_write(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(not(windows))]
fn lock(file: &File) -> io::Result<()> {
    file.lock()
}

/// Whether the process that writes the journal at `path` is there: whether its lock is held.
///
/// # Errors
///
/// The file cannot be opened.
#[cfg(not(windows))]
pub fn is_held(path: &Path) -> io::Result<bool> {
    // A shared lock, so that two who look at once do not take each other for the writer.
    match File::open(path)?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

// A lock of a file on Windows keeps readers out. Not to share the right to write does not.
#[cfg(windows)]
fn open_to_write(path: &Path) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt;
    const SHARE_READ_AND_DELETE: u32 = 1 | 4;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .share_mode(SHARE_READ_AND_DELETE)
        .open(path)
}

#[cfg(windows)]
#[allow(clippy::unnecessary_wraps)]
fn lock(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Whether the process that writes the journal at `path` is there.
///
/// # Errors
///
/// The file cannot be opened for another reason.
#[cfg(windows)]
pub fn is_held(path: &Path) -> io::Result<bool> {
    const SHARING_VIOLATION: i32 = 32;
    match OpenOptions::new().write(true).open(path) {
        Ok(_) => Ok(false),
        Err(error) if error.raw_os_error() == Some(SHARING_VIOLATION) => Ok(true),
        Err(error) => Err(error),
    }
}

/// How a part of a journal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// There is more in the file.
    More,
    /// With the file.
    Whole,
    /// Before a record of which the rest is not there.
    Torn,
    /// Before something that was never written as a record.
    Damaged,
}

/// Whole records of a journal, one after the other.
pub struct Part {
    /// They, without the journal's first bytes.
    pub bytes: Vec<u8>,
    /// Where they begin in the file.
    pub offset: u64,
    /// How they end.
    pub ending: Ending,
}

/// Read whole records of the journal at `path` from `offset` on: as many as `most` bytes hold, and
/// one at least where there is one.
///
/// # Errors
///
/// The file cannot be read, or is no journal of this version.
pub fn read(path: &Path, offset: u64, most: usize) -> Result<Part, Error> {
    let mut file = File::open(path)?;
    let mut magic = Vec::new();
    (&mut file)
        .take(MAGIC.len() as u64)
        .read_to_end(&mut magic)?;
    if magic.len() < MAGIC.len() && MAGIC.starts_with(&magic) {
        // Its writer had no time for more.
        return Ok(Part {
            bytes: Vec::new(),
            offset: 0,
            ending: if magic.is_empty() {
                Ending::Whole
            } else {
                Ending::Torn
            },
        });
    }
    if magic != MAGIC {
        return Err(Error::NoJournal(magic.starts_with(&MAGIC[..7])));
    }
    let offset = offset.max(MAGIC.len() as u64);
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    let mut wanted = most;
    loop {
        let missing = wanted.saturating_sub(bytes.len()) as u64;
        let read = (&mut file).take(missing).read_to_end(&mut bytes)? as u64;
        let mut records = Records::new(&bytes);
        let ending = loop {
            match records.step() {
                Next::Record(..) => {}
                other => break other,
            }
        };
        let at = records.at();
        let ending = match ending {
            // What was asked for came, so that there may be more.
            Next::Torn(size) if read == missing && at == 0 && size > wanted => {
                wanted = size;
                continue;
            }
            Next::Nothing | Next::Torn(_) if read == missing => Ending::More,
            Next::Nothing | Next::Record(..) => Ending::Whole,
            Next::Torn(_) => Ending::Torn,
            Next::Damaged => Ending::Damaged,
        };
        bytes.truncate(at);
        return Ok(Part {
            bytes,
            offset,
            ending,
        });
    }
}

/// The header of the journal at `path`; `None` while it is not all there.
///
/// # Errors
///
/// The file cannot be read, or is no journal of this version, or is damaged before it begins.
pub fn header(path: &Path) -> Result<Option<String>, Error> {
    let part = read(path, 0, 1)?;
    match Records::new(&part.bytes).step() {
        Next::Record(HEADER, text) => match str::from_utf8(text) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(Error::NoJournal(false)),
        },
        _ if part.ending == Ending::Damaged => Err(Error::NoJournal(false)),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::writer::{Kept, Settings, Writer};
    use crate::journal::{Cell, FIRST_ROW};
    use std::time::Duration;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ato-{name}-{}", std::process::id()));
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn writer(path: &Path) -> Writer<JournalFile> {
        let medium = JournalFile::new(path.to_owned(), Arc::default());
        let settings = Settings {
            room: 1 << 20,
            pause: Duration::ZERO,
        };
        Writer::new(medium, "{\"run\":1}", 0, settings).unwrap()
    }

    #[test]
    fn a_journal_is_held_as_long_as_its_writer_lives() {
        let folder = Folder::new("held");
        let path = folder.0.join("one.journal");
        let mut journal = writer(&path);
        assert!(is_held(&path).unwrap());
        assert_eq!(journal.row(FIRST_ROW, [Cell::Int(1)]), Kept::Written);
        assert!(is_held(&path).unwrap());
        drop(journal);
        assert!(!is_held(&path).unwrap());
        assert_eq!(header(&path).unwrap().unwrap(), "{\"run\":1}");
    }

    #[test]
    fn parts_of_any_size_give_all_records() {
        let folder = Folder::new("parts");
        let path = folder.0.join("one.journal");
        let mut journal = writer(&path);
        let long = "x".repeat(5000);
        for number in 0..50 {
            let text = if number % 7 == 0 { long.as_str() } else { "y" };
            journal.row(FIRST_ROW, [Cell::Int(number), Cell::Text(text)]);
        }
        for most in [1, 13, 100, 4999, 5100, 1 << 20] {
            let (mut offset, mut count) = (0, 0);
            loop {
                let part = read(&path, offset, most).unwrap();
                let mut records = Records::new(&part.bytes);
                while let Next::Record(kind, _) = records.step() {
                    count += u32::from(kind == FIRST_ROW);
                }
                offset = part.offset + part.bytes.len() as u64;
                if part.ending != Ending::More {
                    assert_eq!(part.ending, Ending::Whole);
                    break;
                }
            }
            assert_eq!(
                (count, offset),
                (50, journal.length()),
                "{most} bytes at a time"
            );
        }
    }

    #[test]
    fn what_is_no_journal_is_refused() {
        let folder = Folder::new("other");
        fs::create_dir_all(&folder.0).unwrap();
        let path = folder.0.join("one.journal");
        for (content, message) in [
            (&b"SQLite format 3"[..], "no journal"),
            (b"ATOJRNL\x02........", "another version"),
            (b"ATOJRNL\x01garbage that is longer", "no journal"),
        ] {
            fs::write(&path, content).unwrap();
            let error = header(&path).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        for begun in [&b""[..], b"ATO", &MAGIC, b"ATOJRNL\x01\x05"] {
            fs::write(&path, begun).unwrap();
            assert_eq!(header(&path).unwrap(), None);
        }
        assert!(matches!(header(&folder.0.join("none")), Err(Error::Io(_))));
    }
}
