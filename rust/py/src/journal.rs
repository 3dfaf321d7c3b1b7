//! Journals for Python: logging, and reading back.

use std::path::PathBuf;
use std::sync::atomic::AtomicI32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ato_core::Error;
use ato_core::journal::file::{self, Ending, JournalFile};
use ato_core::journal::writer::{Kept, Settings, Writer};
use ato_core::journal::{self, Cell, END, FIRST_ROW, KEY, Moment, Next, POINTS, Points, Records};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::errors::of_file;

// What the calls that log answer; `_core.pyi` says it in words.
const WRITTEN: u8 = 0;
const UNSUITED: u8 = 1;
const WAITING: u8 = 2;
const DROPPED: u8 = 3;
const CLOSED: u8 = 4;
const LARGE: u8 = 5;

/// A row above this is written without the GIL. A smaller one is in the kernel's memory sooner than
/// another thread would give the GIL back (up to 5 ms).
const LONG: usize = 1 << 20;

/// One process's journal of one run.
#[pyclass(frozen, module = "ato._core")]
pub struct Journal {
    path: PathBuf,
    process: u32,
    descriptor: Arc<AtomicI32>,
    state: Mutex<State>,
}

struct State {
    writer: Writer<JournalFile>,
    is_open: bool,
    // At this length the journal says `LARGE`, and again when it has grown by as much.
    mark: u64,
    step: u64,
}

#[pymethods]
impl Journal {
    #[new]
    #[pyo3(signature = (path, header, *, sequence=0, room=1 << 26, pause=1.0, mark=1 << 26))]
    fn new(
        path: PathBuf,
        header: &str,
        sequence: i64,
        room: usize,
        pause: f64,
        mark: u64,
    ) -> PyResult<Self> {
        let pause = Duration::try_from_secs_f64(pause)
            .map_err(|error| PyValueError::new_err(format!("pause: {error}")))?;
        let descriptor = Arc::new(AtomicI32::new(-1));
        let medium = JournalFile::new(path.clone(), Arc::clone(&descriptor));
        let writer = Writer::new(medium, header, sequence, Settings { room, pause })?;
        Ok(Self {
            path,
            process: std::process::id(),
            descriptor,
            state: Mutex::new(State {
                writer,
                is_open: true,
                mark,
                step: mark,
            }),
        })
    }

    fn log_metric(
        &self,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        step: &Bound<'_, PyAny>,
        ident: Option<i64>,
        position: Option<i64>,
    ) -> u8 {
        let Some((key, value, step)) = plain_key(key).and_then(|key| {
            let value = plain_number(value)?;
            Some((key, value, plain_step(step)?))
        }) else {
            return UNSUITED;
        };
        let moment = now(step, ident, position);
        self.keep(|writer| writer.points(&moment, &[(key, value)]))
    }

    fn log_metrics(
        &self,
        metrics: &Bound<'_, PyAny>,
        step: &Bound<'_, PyAny>,
        ident: Option<i64>,
        position: Option<i64>,
    ) -> u8 {
        let (Ok(metrics), Some(step)) = (metrics.cast_exact::<PyDict>(), plain_step(step)) else {
            return UNSUITED;
        };
        let items = metrics.items();
        let mut pairs = Vec::with_capacity(items.len());
        for item in items.iter() {
            let Ok(pair) = item.cast_into::<PyTuple>() else {
                return UNSUITED;
            };
            let (Ok(key), Ok(value)) = (pair.get_item(0), pair.get_item(1)) else {
                return UNSUITED;
            };
            let Some(value) = plain_number(&value) else {
                return UNSUITED;
            };
            pairs.push((key, value));
        }
        let mut values = Vec::with_capacity(pairs.len());
        for (key, value) in &pairs {
            let Some(key) = plain_key(key) else {
                return UNSUITED;
            };
            values.push((key, *value));
        }
        if values.is_empty() {
            return WRITTEN;
        }
        let moment = now(step, ident, position);
        self.keep(|writer| writer.points(&moment, &values))
    }

    fn append(&self, py: Python<'_>, kind: u8, cells: &Bound<'_, PyTuple>) -> PyResult<u8> {
        if kind < FIRST_ROW {
            return Err(PyValueError::new_err(format!(
                "the kind of a row is {FIRST_ROW} or more"
            )));
        }
        let objects: Vec<_> = cells.iter().collect();
        let mut row = Vec::with_capacity(objects.len());
        let mut size = 0;
        for object in &objects {
            let cell = cell(object)?;
            if let Cell::Text(text) = cell {
                size += text.len();
            }
            row.push(cell);
        }
        if size <= LONG {
            return Ok(self.keep(|writer| writer.row(kind, row)));
        }
        // The mutex is taken and let go of without the GIL, so that nobody waits for both.
        Ok(py.detach(|| self.keep(|writer| writer.row(kind, row))))
    }

    fn number_from(&self, sequence: i64) {
        self.state().writer.number_from(sequence);
    }

    #[getter]
    fn closed(&self) -> bool {
        self.process != std::process::id() || !self.state().is_open
    }

    fn close(&self, py: Python<'_>) {
        if self.process != std::process::id() {
            return;
        }
        py.detach(|| {
            let mut state = self.state();
            if std::mem::replace(&mut state.is_open, false) {
                state.writer.close();
            }
        });
    }

    fn take_waiting<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let waiting = if self.process == std::process::id() {
            self.state().writer.take_waiting()
        } else {
            Vec::new()
        };
        let start = usize::from(waiting.starts_with(&journal::MAGIC)) * journal::MAGIC.len();
        PyBytes::new(py, &waiting[start..])
    }

    #[cfg_attr(not(unix), expect(clippy::unused_self))]
    fn abandon(&self) {
        #[cfg(unix)]
        if self.process != std::process::id() {
            JournalFile::abandon(&self.descriptor);
        }
    }

    #[getter]
    fn path(&self) -> PathBuf {
        self.path.clone()
    }

    #[getter]
    fn length(&self) -> u64 {
        self.state().writer.length()
    }

    #[getter]
    fn sequence(&self) -> i64 {
        self.state().writer.sequence()
    }

    #[getter]
    fn waiting(&self) -> u64 {
        self.state().writer.waiting()
    }

    #[getter]
    fn dropped(&self) -> u64 {
        self.state().writer.dropped()
    }

    #[getter]
    fn trouble(&self) -> Option<String> {
        self.state().writer.trouble().map(ToString::to_string)
    }
}

impl Journal {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, write: impl FnOnce(&mut Writer<JournalFile>) -> Kept) -> u8 {
        // Before the mutex: in a forked child the thread that held it may not exist.
        if self.process != std::process::id() {
            return CLOSED;
        }
        let mut state = self.state();
        if !state.is_open {
            return CLOSED;
        }
        match write(&mut state.writer) {
            Kept::Written if state.writer.length() >= state.mark => {
                state.mark = state.writer.length() + state.step;
                LARGE
            }
            Kept::Written => WRITTEN,
            Kept::Waiting => WAITING,
            Kept::Dropped => DROPPED,
        }
    }
}

fn now(step: i64, ident: Option<i64>, position: Option<i64>) -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Moment {
        timestamp: since.map_or(0.0, |since| since.as_secs_f64()),
        step,
        ident,
        position,
    }
}

/// A text that a database takes as it is.
fn plain_key<'a>(key: &'a Bound<'_, PyAny>) -> Option<&'a str> {
    let key = key.cast_exact::<PyString>().ok()?.to_str().ok()?;
    (!key.contains('\0')).then_some(key)
}

fn plain_number(value: &Bound<'_, PyAny>) -> Option<f64> {
    if let Ok(value) = value.cast_exact::<PyFloat>() {
        return Some(value.value());
    }
    value.cast_exact::<PyInt>().ok()?.extract().ok()
}

fn plain_step(step: &Bound<'_, PyAny>) -> Option<i64> {
    step.cast_exact::<PyInt>().ok()?.extract().ok()
}

fn cell<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Cell<'a>> {
    if value.is_none() {
        Ok(Cell::None)
    } else if let Ok(text) = value.cast::<PyString>() {
        Ok(Cell::Text(text.to_str()?))
    } else if let Ok(number) = value.cast::<PyInt>() {
        Ok(Cell::Int(number.extract()?))
    } else if let Ok(number) = value.cast::<PyFloat>() {
        Ok(Cell::Float(number.value()))
    } else {
        Err(PyTypeError::new_err(format!(
            "a cell is None, int, float or str, not {}",
            value.get_type().name()?
        )))
    }
}

/// Whether the process that writes the journal at `path` is there.
#[pyfunction]
#[expect(clippy::needless_pass_by_value)] // what Python gives is made into one
pub fn journal_is_held(py: Python<'_>, path: PathBuf) -> PyResult<bool> {
    file::is_held(&path).map_err(|error| of_file(py, Error::Io(error), &path))
}

/// The header of the journal at `path`.
#[pyfunction]
#[expect(clippy::needless_pass_by_value)] // what Python gives is made into one
pub fn journal_header(py: Python<'_>, path: PathBuf) -> PyResult<Option<String>> {
    file::header(&path).map_err(|error| of_file(py, error, &path))
}

/// Keys, points, rows, the offset after them, and how they end.
type Content<'py> = (
    Bound<'py, PyList>,
    Bound<'py, PyList>,
    Bound<'py, PyList>,
    u64,
    &'static str,
);

/// Read whole records of the journal at `path`.
#[pyfunction]
#[expect(clippy::needless_pass_by_value)] // what Python gives is made into one
pub fn read_journal(
    py: Python<'_>,
    path: PathBuf,
    offset: u64,
    most: usize,
) -> PyResult<Content<'_>> {
    let part = py
        .detach(|| file::read(&path, offset, most))
        .map_err(|error| of_file(py, error, &path))?;
    let ending = match part.ending {
        Ending::More => "more",
        Ending::Whole => "whole",
        Ending::Torn => "torn",
        Ending::Damaged => "damaged",
    };
    let (keys, points, rows, length, ended) = content(py, &part.bytes)?;
    let damaged = length < part.bytes.len() && !ended;
    let end = part.offset + length as u64;
    let ending = match (ended, damaged) {
        (true, _) => "ended",
        (_, true) => "damaged",
        _ => ending,
    };
    Ok((keys, points, rows, end, ending))
}

/// Read the whole records in `records`.
#[pyfunction]
pub fn read_records<'py>(py: Python<'py>, records: &[u8]) -> PyResult<Content<'py>> {
    let (keys, points, rows, length, _) = content(py, records)?;
    let ending = if length == records.len() {
        "whole"
    } else {
        "damaged"
    };
    Ok((keys, points, rows, length as u64, ending))
}

type Lists<'py> = (
    Bound<'py, PyList>,
    Bound<'py, PyList>,
    Bound<'py, PyList>,
    usize,
    bool,
);

/// The records in `bytes`, up to the first that is none or the last of all, where that is, and
/// whether it is the last.
fn content<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Lists<'py>> {
    let (keys, points, rows) = (PyList::empty(py), PyList::empty(py), PyList::empty(py));
    let mut records = Records::new(bytes);
    loop {
        let at = records.at();
        match records.step() {
            Next::Record(KEY, body) => match journal::parse_key(body) {
                Some(key) => keys.append(key)?,
                None => return Ok((keys, points, rows, at, false)),
            },
            Next::Record(POINTS, body) => match Points::parse(body) {
                Some(found) => add_points(py, &points, &found)?,
                None => return Ok((keys, points, rows, at, false)),
            },
            Next::Record(kind, body) if kind >= FIRST_ROW => {
                let cells = journal::parse_row(body)
                    .map(|cell| match cell {
                        Cell::None => Ok(py.None().into_bound(py)),
                        Cell::Int(number) => number.into_bound_py_any(py),
                        Cell::Float(number) => number.into_bound_py_any(py),
                        Cell::Text(text) => text.into_bound_py_any(py),
                    })
                    .collect::<PyResult<Vec<_>>>()?;
                rows.append((kind, PyTuple::new(py, cells)?))?;
            }
            Next::Record(END, _) => return Ok((keys, points, rows, at, true)),
            Next::Record(..) => {}
            Next::Nothing | Next::Torn(_) | Next::Damaged => {
                return Ok((keys, points, rows, at, false));
            }
        }
    }
}

fn add_points(py: Python<'_>, points: &Bound<'_, PyList>, found: &Points<'_>) -> PyResult<()> {
    let moment = found.moment;
    for (number, (key, value)) in (found.sequence..).zip(found.values()) {
        // The store has no NaN.
        let value = (!value.is_nan()).then_some(value);
        let (ident, position) = (moment.ident, moment.position);
        let point = (
            number,
            key,
            value,
            moment.step,
            moment.timestamp,
            ident,
            position,
        );
        points.append(point.into_pyobject(py)?)?;
    }
    Ok(())
}
