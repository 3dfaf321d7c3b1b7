//! Digests of memory that Python objects own, and of files.

#![expect(
    clippy::needless_pass_by_value,
    reason = "PyO3 converts arguments into values of the function's own"
)]

use std::ffi::CStr;
use std::path::PathBuf;
use std::slice;

use ato_core::summary::{Summary, summarise};
use ato_core::tensor::{self, Algorithm, Elements, TensorDigest};
use ato_core::{Error, file, leaf};
use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::{self, CoreError};
use crate::values::hex;

/// From here on other Python threads may run meanwhile. Hashing 64 KiB takes about 5 µs; giving the
/// interpreter up and taking it back costs some 0.1 µs alone, and up to a switch interval (5 ms)
/// where another thread wants it, which small arrays should not wait for.
const RELEASE: usize = 64 << 10;

/// Root in hexadecimal, digests of the leaves, and the summary if one was asked for and there is one.
type Digest<'py> = (String, Bound<'py, PyBytes>, Option<Numbers>);

/// Count, NaN, +inf, -inf, smallest, largest, mean, norm.
type Numbers = (usize, usize, usize, usize, f64, f64, f64, f64);

/// Digest an object with the buffer protocol; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (buffer, algorithm = "xxh3", summary = false, dtype = None, shape = None))]
pub fn digest_buffer<'py>(
    buffer: &Bound<'py, PyAny>,
    algorithm: &str,
    summary: bool,
    dtype: Option<&str>,
    shape: Option<Vec<usize>>,
) -> PyResult<Digest<'py>> {
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
    let request = Request {
        dtype: dtype.unwrap_or(&format.dtype),
        shape: shape.as_deref().unwrap_or_else(|| view.shape()),
        algorithm: algorithm.parse().map_err(CoreError)?,
        summary,
    };
    Ok(digest(buffer.py(), &elements, &request))
}

/// Digest elements in memory; see `_core.pyi`.
#[pyfunction]
#[expect(
    clippy::too_many_arguments,
    reason = "they are what a tensor says of its memory"
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
    summary: bool,
) -> PyResult<Digest<'py>> {
    let strides = strides
        .into_iter()
        .map(|stride| stride.checked_mul(item.cast_signed()))
        .collect::<Option<Vec<_>>>()
        .ok_or(CoreError(Error::Layout("a stride is larger than memory")))?;
    if address == 0 && size != 0 {
        return Err(CoreError(Error::Layout("it has no memory")).into());
    }
    let origin = origin
        .checked_mul(item)
        .ok_or(CoreError(Error::Layout("it begins beyond all memory")))?;
    // SAFETY: the caller promises, by the stub's words, that `size` bytes are readable at `address`
    // and stay so until the call returns; there is one caller, `ato.fingerprints.arrays`, which
    // passes what the storage of a torch tensor, held by it, says of itself. Not guaranteed: that
    // nobody writes to them meanwhile, see `digest_buffer`.
    let memory = unsafe { memory_at(address, size) };
    let swap = if cfg!(target_endian = "big") { unit } else { 1 };
    let elements =
        Elements::new(memory, origin, &shape, &strides, item, swap).map_err(CoreError)?;
    let request = Request {
        dtype,
        shape: &shape,
        algorithm: algorithm.parse().map_err(CoreError)?,
        summary,
    };
    Ok(digest(py, &elements, &request))
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

struct Request<'a> {
    dtype: &'a str,
    shape: &'a [usize],
    algorithm: Algorithm,
    summary: bool,
}

fn digest<'py>(py: Python<'py>, elements: &Elements<'_>, request: &Request<'_>) -> Digest<'py> {
    let work = || {
        let digest = tensor::digest(elements, request.dtype, request.shape, request.algorithm);
        let summary = request.summary.then(|| summarise(elements, request.dtype));
        (digest, summary.flatten())
    };
    let (TensorDigest { root, leaves }, summary) = if elements.size() < RELEASE {
        work()
    } else {
        py.detach(work)
    };
    (
        hex(&root),
        PyBytes::new(py, &leaves),
        summary.as_ref().map(numbers),
    )
}

fn numbers(found: &Summary) -> Numbers {
    (
        found.count,
        found.nan,
        found.positive,
        found.negative,
        found.min,
        found.max,
        found.mean(),
        found.norm(),
    )
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
