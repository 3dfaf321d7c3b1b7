//! Digests of memory that Python objects own, and of files.

#![expect(
    clippy::needless_pass_by_value,
    reason = "PyO3 converts arguments into values of the function's own"
)]

use std::ffi::CStr;
use std::path::PathBuf;
use std::slice;

use ato_core::examine::{examine, examine_many};
use ato_core::tensor::{self, Elements};
use ato_core::{Error, file, leaf};
use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::errors::{self, CoreError};
use crate::found::Wanted;
use crate::ndarray::Ndarray;
use crate::values::hex;

/// From here on other Python threads may run meanwhile. Hashing 64 KiB takes about 5 µs; giving the
/// interpreter up and taking it back costs some 0.1 µs alone, and up to a switch interval (5 ms)
/// where another thread wants it, which small arrays should not wait for.
const RELEASE: usize = 64 << 10;

/// Digest the dtype, shape and elements of a NumPy array or torch tensor.
///
/// The digest does not depend on the memory layout: a view, an array in Fortran order, one of the
/// other byte order, and the torch tensor on the same memory all have the same one. The class of
/// `x`, and what a subclass adds, does not count. Elements count by their bytes: -0.0 differs from
/// 0.0, and one NaN from another.
///
/// Args:
///     x: an array of numbers, truth values, dates or fixed strings.
///     algorithm: `"xxh3"` for speed, `"blake3"` where an adversary matters.
///     order_free: whether to digest the rows along axis 0 without their order, too.
///     summary: whether to summarise the numbers.
///     sketch: whether to sketch the numbers, for `relative_distance`.
///     leaves: whether to return the digests of the leaves.
///
/// Returns:
///     An `ArrayDigest`; the elements are read once, whatever is asked for, if they are contiguous.
///
/// Raises:
///     UnsupportedValueError: `x` is no array, or its elements are Python objects, records or long
///         doubles (whose bytes hold padding that nobody sets), or it has no memory of its own to
///         read (a `meta` tensor, a sparse one).
///     ValueError: there is no such algorithm.
#[pyfunction]
#[expect(
    clippy::doc_markdown,
    reason = "the words are Python's documentation, not Rust's"
)]
#[pyo3(signature = (
    x, *, algorithm = "xxh3", order_free = false, summary = false, sketch = false, leaves = false
))]
#[expect(
    clippy::fn_params_excessive_bools,
    reason = "they are keywords in Python"
)]
pub fn digest_array<'py>(
    x: &Bound<'py, PyAny>,
    algorithm: &str,
    order_free: bool,
    summary: bool,
    sketch: bool,
    leaves: bool,
) -> PyResult<Bound<'py, PyAny>> {
    static OTHERS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = x.py();
    if let Some(array) = Ndarray::of(x) {
        let wanted = Wanted {
            algorithm: algorithm.parse().map_err(CoreError)?,
            order_free,
            summary,
            sketch,
            leaves,
        };
        if let Some(size) = wanted.small(&array) {
            // SAFETY: as below; elements in C order without gaps are one block.
            let bytes = unsafe { memory_at(array.address, size) };
            let root = tensor::digest_leaf(bytes, array.dtype, array.shape);
            return wanted.plain(py, &root, array.dtype, array.shape);
        }
        // SAFETY: the array is held by `x`, and with it its memory. Not guaranteed: that nobody
        // writes to it meanwhile, see `digest_buffer`.
        let elements = unsafe { elements_of(&array) }?;
        return digest(py, &elements, array.dtype, array.shape, wanted);
    }
    let others = OTHERS.import(py, "ato.fingerprints.arrays", "digest_other")?;
    others.call1((x, algorithm, order_free, summary, sketch, leaves))
}

/// Digest many arrays, sharing all of them among all threads; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (
    arrays, *, algorithm = "xxh3", order_free = false, summary = false, sketch = false,
    leaves = false
))]
#[expect(
    clippy::fn_params_excessive_bools,
    reason = "they are keywords in Python"
)]
pub fn digest_arrays<'py>(
    py: Python<'py>,
    arrays: Vec<Bound<'py, PyAny>>,
    algorithm: &str,
    order_free: bool,
    summary: bool,
    sketch: bool,
    leaves: bool,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    static MEMORY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let wanted = Wanted {
        algorithm: algorithm.parse().map_err(CoreError)?,
        order_free,
        summary,
        sketch,
        leaves,
    };
    let mut memories: Vec<Option<Memory>> = Vec::with_capacity(arrays.len());
    for array in &arrays {
        memories.push(match Ndarray::of(array) {
            Some(_) => None,
            None => MEMORY
                .import(py, "ato.fingerprints.arrays", "memory_of")?
                .call1((array,))?
                .extract()?,
        });
    }
    // From here on no code of Python's runs before all elements are read.
    let mut places = Vec::new();
    let mut requests = Vec::with_capacity(arrays.len());
    for (place, (array, memory)) in arrays.iter().zip(&memories).enumerate() {
        let (elements, dtype, shape) = if let Some(memory) = memory {
            let (address, size, origin, dtype, item, unit, shape, strides, _) = memory;
            // SAFETY: as in `digest_memory`; what holds the memory is part of its description.
            let elements =
                unsafe { elements_in(*address, *size, *origin, *item, *unit, shape, strides) };
            (elements, dtype.as_str(), shape.as_slice())
        } else if let Some(array) = Ndarray::of(array) {
            // SAFETY: as in `digest_array`.
            (unsafe { elements_of(&array) }, array.dtype, array.shape)
        } else {
            continue;
        };
        // What cannot be read is refused below, with its reason.
        if let Ok(elements) = elements {
            places.push(place);
            requests.push((elements, wanted.of(dtype, shape)));
        }
    }
    let found = py.detach(|| examine_many(&requests));
    let mut digests: Vec<Option<Bound<'py, PyAny>>> = vec![None; arrays.len()];
    for ((found, place), (_, request)) in found.iter().zip(places).zip(&requests) {
        digests[place] = Some(wanted.told(py, found, request.dtype, request.shape)?);
    }
    let alone = |array| digest_array(array, algorithm, order_free, summary, sketch, leaves);
    let digests = digests.into_iter().zip(&arrays);
    digests
        .map(|(digest, array)| digest.map_or_else(|| alone(array), Ok))
        .collect()
}

/// The arguments of `digest_memory`, and what keeps the memory.
type Memory = (
    usize,
    usize,
    usize,
    String,
    usize,
    usize,
    Vec<usize>,
    Vec<isize>,
    Py<PyAny>,
);

/// The elements of a tensor: `origin` and strides count elements.
///
/// # Safety
///
/// `size` bytes must be readable at `address` for as long as the elements are used.
unsafe fn elements_in<'a>(
    address: usize,
    size: usize,
    origin: usize,
    item: usize,
    unit: usize,
    shape: &[usize],
    strides: &[isize],
) -> PyResult<Elements<'a>> {
    let strides = strides
        .iter()
        .map(|stride| stride.checked_mul(item.cast_signed()))
        .collect::<Option<Vec<_>>>()
        .ok_or(CoreError(Error::Layout("a stride is larger than memory")))?;
    if address == 0 && size != 0 {
        return Err(CoreError(Error::Layout("it has no memory")).into());
    }
    let origin = origin
        .checked_mul(item)
        .ok_or(CoreError(Error::Layout("it begins beyond all memory")))?;
    // SAFETY: the caller's promise.
    let memory = unsafe { memory_at(address, size) };
    let swap = if cfg!(target_endian = "big") { unit } else { 1 };
    Ok(Elements::new(memory, origin, shape, &strides, item, swap).map_err(CoreError)?)
}

/// The elements of an array.
///
/// # Safety
///
/// Its memory must be readable for as long as they are used.
unsafe fn elements_of<'a>(array: &Ndarray<'a>) -> PyResult<Elements<'a>> {
    let Ndarray {
        shape,
        strides,
        item,
        swap,
        ..
    } = *array;
    let (before, length) = tensor::extent(shape, strides, item).map_err(CoreError)?;
    // SAFETY: the caller's promise; shape and strides of an array stay inside of its memory.
    let memory = unsafe { memory_at(array.address - before, length) };
    Ok(Elements::new(memory, before, shape, strides, item, swap).map_err(CoreError)?)
}

/// Digest an object with the buffer protocol; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (
    buffer, *, algorithm = "xxh3", dtype = None, shape = None, order_free = false,
    summary = false, sketch = false, leaves = false
))]
#[expect(
    clippy::fn_params_excessive_bools,
    clippy::too_many_arguments,
    reason = "they are keywords in Python"
)]
pub fn digest_buffer<'py>(
    buffer: &Bound<'py, PyAny>,
    algorithm: &str,
    dtype: Option<&str>,
    shape: Option<Vec<usize>>,
    order_free: bool,
    summary: bool,
    sketch: bool,
    leaves: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let view = PyUntypedBuffer::get(buffer)?;
    if view.suboffsets().is_some() {
        return Err(CoreError(Error::Layout("its rows are reached through pointers")).into());
    }
    let format = Format::of(view.format(), view.item_size()).ok_or_else(|| {
        let format = view.format().to_string_lossy().into_owned();
        CoreError(Error::UnknownFormat(format))
    })?;
    let item = view.item_size();
    let (before, length) = tensor::extent(view.shape(), view.strides(), item).map_err(CoreError)?;
    // SAFETY: the exporter of a buffer promises that the elements which shape, strides and item
    // size name are readable at `buf_ptr` until the view is released, and the view lives until the
    // end of this function. Not guaranteed: that nobody else writes to them meanwhile. A digest of
    // memory that changes under it is that of no one moment; nothing else depends on the bytes.
    let memory = unsafe { memory_at(view.buf_ptr() as usize - before, length) };
    let elements = Elements::new(
        memory,
        before,
        view.shape(),
        view.strides(),
        item,
        if format.big_endian { format.unit } else { 1 },
    )
    .map_err(CoreError)?;
    let wanted = Wanted {
        algorithm: algorithm.parse().map_err(CoreError)?,
        order_free,
        summary,
        sketch,
        leaves,
    };
    let shape = shape.as_deref().unwrap_or_else(|| view.shape());
    digest(
        buffer.py(),
        &elements,
        dtype.unwrap_or(&format.dtype),
        shape,
        wanted,
    )
}

/// Digest elements in memory; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (
    address, size, origin, dtype, item, unit, shape, strides, *, algorithm = "xxh3",
    order_free = false, summary = false, sketch = false, leaves = false
))]
#[expect(
    clippy::fn_params_excessive_bools,
    clippy::too_many_arguments,
    reason = "they are what a tensor says of its memory, and keywords in Python"
)]
pub fn digest_memory<'py>(
    py: Python<'py>,
    address: usize,
    size: usize,
    origin: usize,
    dtype: &str,
    item: usize,
    unit: usize,
    shape: Vec<usize>,
    strides: Vec<isize>,
    algorithm: &str,
    order_free: bool,
    summary: bool,
    sketch: bool,
    leaves: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let wanted = Wanted {
        algorithm: algorithm.parse().map_err(CoreError)?,
        order_free,
        summary,
        sketch,
        leaves,
    };
    // SAFETY: the caller promises, by the stub's words, that the memory stays readable until the call
    // returns; there is one caller, `ato.fingerprints.arrays`, which passes what the storage of a
    // torch tensor, held by it, says of itself. Not guaranteed: that nobody writes to it meanwhile,
    // see `digest_buffer`.
    let elements = unsafe { elements_in(address, size, origin, item, unit, &shape, &strides) }?;
    digest(py, &elements, dtype, &shape, wanted)
}

/// Digest a file: plain BLAKE3, as `b3sum` prints it.
#[pyfunction]
pub fn digest_file(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    let digest = py
        .detach(|| file::digest(&path))
        .map_err(|error| errors::of_file(py, error, &path))?;
    Ok(hex(&digest))
}

/// The instructions with which leaves are hashed on this machine.
#[pyfunction]
pub fn simd_level() -> &'static str {
    leaf::level().name()
}

/// Examine an array, without the interpreter where that takes long enough.
fn digest<'py>(
    py: Python<'py>,
    elements: &Elements<'_>,
    dtype: &str,
    shape: &[usize],
    wanted: Wanted,
) -> PyResult<Bound<'py, PyAny>> {
    let request = wanted.of(dtype, shape);
    let found = if elements.size() < RELEASE {
        examine(elements, &request)
    } else {
        py.detach(|| examine(elements, &request))
    };
    wanted.told(py, &found, dtype, shape)
}

/// The `length` bytes that begin at `address`.
///
/// # Safety
///
/// They must be readable for as long as the slice is used.
unsafe fn memory_at<'a>(address: usize, length: usize) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    let start = std::ptr::with_exposed_provenance(address);
    // SAFETY: the caller's promise; memory of some length is never at address 0.
    unsafe { slice::from_raw_parts(start, length) }
}

/// What a format of the buffer protocol means.
struct Format {
    dtype: String,
    /// Bytes that are reversed together where the order of bytes is another.
    unit: usize,
    big_endian: bool,
}

impl Format {
    /// The meaning of a format of the `struct` module, if it is one of numbers or fixed strings.
    fn of(format: &CStr, item: usize) -> Option<Self> {
        let format = format.to_str().ok()?;
        let (big_endian, code) = match format.as_bytes().first()? {
            b'>' | b'!' => (true, &format[1..]),
            b'<' => (false, &format[1..]),
            b'@' | b'=' => (cfg!(target_endian = "big"), &format[1..]),
            _ => (cfg!(target_endian = "big"), format),
        };
        let code = code.trim_start_matches(|first: char| first.is_ascii_digit());
        let bits = item * 8;
        let (dtype, unit) = match code {
            "?" => ("bool".to_owned(), 1),
            "b" | "h" | "i" | "l" | "q" | "n" => (format!("int{bits}"), item),
            "B" | "H" | "I" | "L" | "Q" | "N" => (format!("uint{bits}"), item),
            "e" | "f" | "d" => (format!("float{bits}"), item),
            "Zf" | "Zd" => (format!("complex{bits}"), item / 2),
            "s" => (format!("bytes{item}"), 1),
            "w" => (format!("str{}", item / 4), 4),
            _ => return None,
        };
        Some(Self {
            dtype,
            unit,
            big_endian,
        })
    }
}
