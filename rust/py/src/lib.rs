//! The module `ato._core`: what of Ato is written in Rust, for Python.

mod buffers;
mod bytecode;
mod errors;
mod found;
mod journal;
mod ndarray;
mod values;

use pyo3::pymodule;

/// Fingerprints in format 1; described for Python in `_core.pyi`.
#[pymodule(gil_used = false)]
mod _core {
    #[pymodule_export]
    use crate::buffers::{
        digest_array, digest_arrays, digest_buffer, digest_file, digest_memory, simd_level,
    };
    #[pymodule_export]
    use crate::bytecode::digest_bytecode;
    #[pymodule_export]
    use crate::journal::{Journal, journal_header, journal_is_held, read_journal, read_records};
    #[pymodule_export]
    use crate::values::{digest_structure, digest_value};
}
