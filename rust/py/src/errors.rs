//! What Python sees when something goes wrong.

use std::fmt::Write;
use std::path::Path;

use ato_core::Error;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// An error of the core on its way to Python.
///
/// `PyErr` and the core's error both come from elsewhere, so `From` needs a type of this crate.
pub struct CoreError(pub Error);

impl From<Error> for CoreError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<CoreError> for PyErr {
    fn from(CoreError(error): CoreError) -> Self {
        match error {
            Error::Io(error) => error.into(),
            other => PyValueError::new_err(other.to_string()),
        }
    }
}

/// An error met in the file at `path`: with errno, text and file name, as Python's own `open` has it.
pub fn of_file(py: Python<'_>, error: Error, path: &Path) -> PyErr {
    let Error::Io(error) = error else {
        return CoreError(error).into();
    };
    let Some(code) = error.raw_os_error() else {
        return error.into();
    };
    if cfg!(windows) {
        // Python makes an errno of the fourth argument, and takes no notice of the first.
        return PyOSError::new_err((0, error.to_string(), path.as_os_str().to_owned(), code));
    }
    let text = py
        .import("os")
        .and_then(|os| os.call_method1("strerror", (code,)))
        .map_or_else(|_| error.to_string(), |text| text.to_string());
    PyOSError::new_err((code, text, path.as_os_str().to_owned()))
}

/// Why a value could not be walked, and where. The way to it is noted from the inside out.
///
/// Boxed, because every level of a walk carries a result.
pub struct WalkError(Box<Trouble>);

struct Trouble {
    cause: Cause,
    steps: Vec<String>,
}

enum Cause {
    TooDeep,
    Changed,
    Raised(PyErr),
}

impl WalkError {
    /// The value is nested too deeply.
    pub fn too_deep() -> Self {
        Cause::TooDeep.into()
    }

    /// The value was changed, by a method of its own or by another thread, while it was read.
    pub fn changed() -> Self {
        Cause::Changed.into()
    }

    /// Note that the trouble came from the item `[index]`.
    pub fn in_item(mut self, index: usize) -> Self {
        self.0.steps.push(format!("[{index}]"));
        self
    }

    /// Note that the trouble came from an item of a set, which has no name.
    pub fn in_set(mut self) -> Self {
        self.0.steps.push("{…}".to_owned());
        self
    }

    /// Note that the trouble came from a key of a mapping.
    pub fn in_key(mut self) -> Self {
        self.0.steps.push(".keys()".to_owned());
        self
    }

    /// Note that the trouble came from the value under `key`.
    pub fn in_entry(mut self, key: &Bound<'_, PyAny>) -> Self {
        self.0.steps.push(step(key));
        self
    }

    /// The Python error, with the path to the value where it is one of Ato's own.
    pub fn into_py(self, py: Python<'_>, root: &str) -> PyErr {
        let path = self.path(root);
        match self.0.cause {
            Cause::TooDeep => ours(
                py,
                "DepthError",
                format!(
                    "{path}: values are nested more than 1,000 levels deep; pass a flatter one, or \
                     implement __ato_fingerprint__ on a class on the way"
                ),
            ),
            Cause::Changed => ours(
                py,
                "UnsupportedValueError",
                format!("{path}: changed while it was being fingerprinted; pass a copy"),
            ),
            Cause::Raised(error) => with_path(py, error, &path),
        }
    }

    fn path(&self, root: &str) -> String {
        // Of a very long path the beginning and the end say where to look.
        const SHOWN: usize = 20;
        let mut path = root.to_owned();
        let left_out = self.0.steps.len().saturating_sub(SHOWN);
        for (index, step) in self.0.steps.iter().rev().enumerate() {
            if left_out > 0 && index == SHOWN / 2 {
                let _ = write!(path, "…({left_out} more)…");
            }
            if index < SHOWN / 2 || index >= SHOWN / 2 + left_out {
                path.push_str(step);
            }
        }
        path
    }
}

impl From<Cause> for WalkError {
    fn from(cause: Cause) -> Self {
        let steps = Vec::new();
        Self(Box::new(Trouble { cause, steps }))
    }
}

impl From<PyErr> for WalkError {
    fn from(error: PyErr) -> Self {
        Cause::Raised(error).into()
    }
}

/// How an entry is reached: `.key` where the key is an identifier, else `[key]`.
fn step(key: &Bound<'_, PyAny>) -> String {
    if let Ok(text) = key.cast_exact::<PyString>() {
        let identifier = text.call_method0("isidentifier");
        if identifier.is_ok_and(|answer| answer.is_truthy().unwrap_or(false)) {
            return format!(".{text}");
        }
    }
    key.repr()
        .map_or_else(|_| "[?]".to_owned(), |shown| format!("[{shown}]"))
}

/// An error of `ato.exceptions`.
fn ours(py: Python<'_>, class: &str, message: String) -> PyErr {
    let error = py
        .import("ato.exceptions")
        .and_then(|module| module.getattr(class))
        .and_then(|class| class.call1((message,)));
    match error {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// `error` with the path in front of its message, if it says that a value has no fingerprint.
fn with_path(py: Python<'_>, error: PyErr, path: &str) -> PyErr {
    let ours_is = py
        .import("ato.exceptions")
        .and_then(|module| module.getattr("UnsupportedValueError"))
        .is_ok_and(|class| error.matches(py, class).unwrap_or(false));
    if !ours_is {
        return error;
    }
    let told = ours(
        py,
        "UnsupportedValueError",
        format!("{path}: {}", error.value(py)),
    );
    told.set_cause(py, Some(error));
    told
}
