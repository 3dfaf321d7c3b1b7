//! The formats of Ato's fingerprints, without Python.
//!
//! What is written here decides which two values are the same. A change of any encoding is a new
//! version of its scheme, never an edit of the old one.

pub mod bytecode;
pub mod encode;
pub mod error;
pub mod examine;
pub mod file;
mod gather;
pub mod journal;
pub mod leaf;
mod measure;
mod number;
mod pool;
pub mod rows;
pub mod scheme;
pub mod sketch;
pub mod structure;
pub mod summary;
pub mod tensor;
mod walk;

pub use error::Error;
