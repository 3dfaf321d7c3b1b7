//! What was found about an array, as Python gets it: an `ArrayDigest`.

use ato_core::examine::{Found, Request};
use ato_core::leaf::LEAF;
use ato_core::sketch::Sketch;
use ato_core::summary::Summary;
use ato_core::tensor::Algorithm;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple, PyType};

use crate::ndarray::Ndarray;
use crate::values::hexadecimal;

/// Which answers the caller asked for.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a keyword in Python")]
pub struct Wanted {
    pub algorithm: Algorithm,
    pub order_free: bool,
    pub summary: bool,
    pub sketch: bool,
    pub leaves: bool,
}

impl Wanted {
    /// The request of an array of this dtype and shape.
    pub fn of<'a>(self, dtype: &'a str, shape: &'a [usize]) -> Request<'a> {
        Request {
            dtype,
            shape,
            algorithm: self.algorithm,
            order_free: self.order_free,
            summary: self.summary,
            sketch: self.sketch,
        }
    }

    /// The size of an array, if it is one leaf of bytes and its digest is all that is wanted.
    pub fn small(self, array: &Ndarray<'_>) -> Option<usize> {
        let more = self.order_free || self.summary || self.sketch || self.leaves;
        if more || self.algorithm != Algorithm::Xxh3 {
            return None;
        }
        array.contiguous().filter(|size| *size <= LEAF)
    }

    /// The `ArrayDigest` of an array of which only the digest is wanted.
    pub fn plain<'py>(
        self,
        py: Python<'py>,
        root: &[u8; 32],
        dtype: &str,
        shape: &[usize],
    ) -> PyResult<Bound<'py, PyAny>> {
        array_digest(
            py,
            [
                hexadecimal(py, root).into_any(),
                self.scheme(py),
                name(py, dtype),
                PyTuple::new(py, shape)?.into_any(),
                none(py),
                none(py),
                none(py),
                none(py),
            ],
        )
    }

    fn scheme(self, py: Python<'_>) -> Bound<'_, PyAny> {
        let scheme = match self.algorithm {
            Algorithm::Xxh3 => intern!(py, "ato tensor v1"),
            Algorithm::Blake3 => intern!(py, "ato tensor-blake3 v1"),
        };
        scheme.clone().into_any()
    }

    /// The `ArrayDigest` of what was found.
    pub fn told<'py>(
        self,
        py: Python<'py>,
        found: &Found,
        dtype: &str,
        shape: &[usize],
    ) -> PyResult<Bound<'py, PyAny>> {
        let shape = PyTuple::new(py, shape)?.into_any();
        let leaves = match (self.leaves, self.algorithm) {
            (true, Algorithm::Xxh3) => PyBytes::new(py, &found.digest.leaves).into_any(),
            _ => none(py),
        };
        let summary = match &found.summary {
            Some(summary) => numbers(py, summary)?.into_any(),
            None => none(py),
        };
        let order_free = match &found.order_free {
            Some(digest) => hexadecimal(py, digest).into_any(),
            None => none(py),
        };
        let sketch = match &found.sketch {
            Some(sketch) => sums(py, sketch, &shape)?,
            None => none(py),
        };
        array_digest(
            py,
            [
                hexadecimal(py, &found.digest.root).into_any(),
                self.scheme(py),
                name(py, dtype),
                shape,
                leaves,
                summary,
                order_free,
                sketch,
            ],
        )
    }
}

fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

/// The name of a dtype; the commonest are not made anew.
fn name<'py>(py: Python<'py>, dtype: &str) -> Bound<'py, PyAny> {
    let name = match dtype {
        "float32" => intern!(py, "float32"),
        "float64" => intern!(py, "float64"),
        "int64" => intern!(py, "int64"),
        _ => return PyString::new(py, dtype).into_any(),
    };
    name.clone().into_any()
}

/// An instance of `ato.fingerprints.types.ArrayDigest`, a named tuple of these fields.
///
/// Made as `tuple.__new__` makes one, because a call of the class takes longer than 1 KB to digest.
fn array_digest<'py, const N: usize>(
    py: Python<'py>,
    fields: [Bound<'py, PyAny>; N],
) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = CLASS.import(py, "ato.fingerprints.types", "ArrayDigest")?;
    // SAFETY: the class is a subclass of tuple without slots of its own, whose instances are
    // allocated with their number of items; the result is a new reference, or null with an error set.
    let made = unsafe { ffi::PyType_GenericAlloc(class.as_type_ptr(), N.cast_signed()) };
    // SAFETY: the reference is this function's own, or null.
    let made = unsafe { Bound::from_owned_ptr_or_err(py, made)? };
    for (index, field) in (0..).zip(fields) {
        // SAFETY: the tuple was just made, is known to nobody else, and has `N` items; each is set
        // once, with a reference that is given away.
        unsafe { ffi::PyTuple_SetItem(made.as_ptr(), index, field.into_ptr()) };
    }
    Ok(made)
}

fn numbers<'py>(py: Python<'py>, found: &Summary) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    told.set_item(intern!(py, "count"), found.count)?;
    told.set_item(intern!(py, "nan"), found.nan)?;
    told.set_item(intern!(py, "posinf"), found.positive)?;
    told.set_item(intern!(py, "neginf"), found.negative)?;
    told.set_item(intern!(py, "min"), found.min)?;
    told.set_item(intern!(py, "max"), found.max)?;
    told.set_item(intern!(py, "mean"), found.mean())?;
    told.set_item(intern!(py, "norm"), found.norm())?;
    Ok(told)
}

fn sums<'py>(
    py: Python<'py>,
    found: &Sketch,
    shape: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = CLASS.import(py, "ato.fingerprints.sketches", "Sketch")?;
    let sums = PyTuple::new(py, found.sums)?;
    class.call1((sums, shape, found.count, found.excluded, found.norm))
}
