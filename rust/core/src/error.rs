//! Everything that can go wrong below Python, with its message.

use std::fmt;
use std::io;

/// What this crate can fail with.
#[derive(Debug)]
pub enum Error {
    /// A scheme that this version does not know.
    UnknownScheme(String),
    /// An algorithm for arrays that does not exist.
    UnknownAlgorithm(String),
    /// Shape, strides and memory do not belong together; the text says how.
    Layout(&'static str),
    /// Elements of a kind that has no dtype here.
    UnknownFormat(String),
    /// A code object or the tables of its opcodes are impossible; the text says how.
    Bytecode(&'static str),
    /// A file is no journal, or (`true`) one of another version.
    NoJournal(bool),
    /// A file could not be read.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownScheme(name) => write!(
                f,
                "there is no fingerprint scheme {name:?}; the schemes are named in ato's format 1"
            ),
            Self::UnknownAlgorithm(name) => write!(
                f,
                "there is no algorithm {name:?} for arrays; use \"xxh3\" or \"blake3\""
            ),
            Self::Layout(what) => write!(f, "the layout of an array is impossible: {what}"),
            Self::Bytecode(what) => write!(f, "the bytecode is impossible: {what}"),
            Self::UnknownFormat(format) => write!(
                f,
                "elements of the buffer format {format:?} have no dtype; name one"
            ),
            Self::NoJournal(true) => f.write_str(
                "another version of ato wrote this journal; open its store with that version",
            ),
            Self::NoJournal(false) => {
                f.write_str("this file is no journal, or its start is damaged")
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
