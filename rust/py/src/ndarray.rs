//! What an array of NumPy's says of its memory, read where NumPy keeps it.
//!
//! The buffer protocol costs 0.2 µs an array and Python's attributes more than 1 µs, where 1 KB is
//! digested in 0.1 µs. The first fields of an array and of a dtype are part of NumPy's binary
//! interface: every extension module compiled against it has their places built in, from 1.7 to 2.x.
//! They are believed once they were found to agree with what Python is told of an array made for
//! that; else, arrays are read by the buffer protocol.

use std::os::raw::{c_char, c_int};
use std::{ptr, slice};

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

#[repr(C)]
struct ArrayFields {
    head: ffi::PyObject,
    data: *mut c_char,
    axes: c_int,
    shape: *mut isize,
    strides: *mut isize,
    base: *mut ffi::PyObject,
    dtype: *mut DtypeFields,
}

#[repr(C)]
struct DtypeFields {
    head: ffi::PyObject,
    scalar: *mut ffi::PyTypeObject,
    kind: c_char,
    code: c_char,
    byteorder: c_char,
    flags: c_char,
    number: c_int,
}

/// A plain array of numbers.
pub struct Ndarray<'a> {
    pub address: usize,
    pub shape: &'a [usize],
    /// In bytes.
    pub strides: &'a [isize],
    pub dtype: &'static str,
    pub item: usize,
    /// Bytes whose order is to be reversed, or 1.
    pub swap: usize,
}

/// `numpy.ndarray`, where NumPy was imported and its arrays may be read.
struct Numpy {
    class: Py<PyType>,
    readable: bool,
}

impl<'a> Ndarray<'a> {
    /// Read `value` if it is an array, of no subclass, of numbers or truth values.
    pub fn of(value: &'a Bound<'_, PyAny>) -> Option<Self> {
        let numpy = numpy(value.py())?;
        if !numpy.readable || value.get_type_ptr() != numpy.class.as_ptr().cast() {
            return None;
        }
        // SAFETY: the object is an instance of `numpy.ndarray` itself, whose fields were found to be
        // these; `value` holds it. Not guaranteed: that nobody resizes the array or sets its shape in
        // place meanwhile, which NumPy itself calls unsafe where others hold a reference.
        unsafe { Self::fields(value) }
    }

    /// The size in bytes, if the elements lie in C order without gaps, as they are digested.
    pub fn contiguous(&self) -> Option<usize> {
        let mut size = self.item;
        for (&axis, &stride) in self.shape.iter().zip(self.strides).rev() {
            if axis != 1 && stride.cast_unsigned() != size {
                return None;
            }
            size = size.checked_mul(axis)?;
        }
        (self.swap == 1).then_some(size)
    }

    /// # Safety
    ///
    /// `value` must be an instance of `numpy.ndarray`, laid out as `ArrayFields` says.
    unsafe fn fields(value: &'a Bound<'_, PyAny>) -> Option<Self> {
        let fields = value.as_ptr().cast::<ArrayFields>();
        // SAFETY: by the caller's promise the fields are there.
        let array = unsafe { &*fields };
        // SAFETY: an array always has a dtype.
        let dtype = unsafe { &*array.dtype };
        let (name, item) = named(dtype.number)?;
        let parts = if matches!(dtype.number, 14 | 15) {
            2
        } else {
            1
        };
        let foreign = if cfg!(target_endian = "big") {
            b'<'
        } else {
            b'>'
        };
        let swapped = dtype.byteorder.cast_unsigned() == foreign
            || cfg!(target_endian = "big") && dtype.byteorder.cast_unsigned() == b'=';
        let axes = usize::try_from(array.axes).ok()?;
        let (shape, strides): (&[usize], &[isize]) = if axes == 0 {
            (&[], &[])
        } else {
            // SAFETY: NumPy keeps as many sizes as there are axes; none is negative.
            let shape = unsafe { slice::from_raw_parts(array.shape.cast(), axes) };
            // SAFETY: and as many strides.
            (shape, unsafe { slice::from_raw_parts(array.strides, axes) })
        };
        Some(Self {
            address: array.data as usize,
            shape,
            strides,
            dtype: name,
            item,
            swap: if swapped { item / parts } else { 1 },
        })
    }
}

/// Name and bytes of NumPy's dtypes of numbers, by their numbers.
fn named(number: c_int) -> Option<(&'static str, usize)> {
    const LONG: usize = size_of::<std::os::raw::c_long>();
    Some(match number {
        0 => ("bool", 1),
        1 => ("int8", 1),
        2 => ("uint8", 1),
        3 => ("int16", 2),
        4 => ("uint16", 2),
        5 => ("int32", 4),
        6 => ("uint32", 4),
        7 if LONG == 4 => ("int32", 4),
        8 if LONG == 4 => ("uint32", 4),
        7 | 9 => ("int64", 8),
        8 | 10 => ("uint64", 8),
        11 => ("float32", 4),
        12 => ("float64", 8),
        14 => ("complex64", 8),
        15 => ("complex128", 16),
        23 => ("float16", 2),
        _ => return None,
    })
}

/// NumPy, if this process has imported it: it is never imported from here.
fn numpy(py: Python<'_>) -> Option<&Numpy> {
    static NUMPY: PyOnceLock<Numpy> = PyOnceLock::new();
    if let Some(found) = NUMPY.get(py) {
        return Some(found);
    }
    let modules = py.import(intern!(py, "sys")).ok()?;
    let modules = modules.getattr(intern!(py, "modules")).ok()?;
    let numpy = modules.get_item(intern!(py, "numpy")).ok()?;
    let class = numpy.getattr(intern!(py, "ndarray")).ok()?;
    let class = class.cast_into::<PyType>().ok()?;
    let readable = agrees(&numpy, &class).unwrap_or(false);
    let found = Numpy {
        class: class.unbind(),
        readable,
    };
    let _ = NUMPY.set(py, found);
    NUMPY.get(py)
}

/// Whether the fields of some arrays say what Python is told.
fn agrees(numpy: &Bound<'_, PyAny>, class: &Bound<'_, PyType>) -> PyResult<bool> {
    let whole = numpy.call_method1("zeros", ((3, 4, 2), ">c8"))?;
    let turned = whole.getattr("T")?;
    let flat = numpy.call_method1("zeros", (5, "?"))?;
    for array in [whole, turned, flat] {
        if !array.get_type().is(class) || array.get_type().getattr("__basicsize__")?.lt(88)? {
            return Ok(false);
        }
        let interface = array.getattr("__array_interface__")?;
        let address: (usize, bool) = interface.get_item("data")?.extract()?;
        let shape: Vec<usize> = array.getattr("shape")?.extract()?;
        let strides: Vec<isize> = array.getattr("strides")?.extract()?;
        let name: String = array.getattr("dtype")?.getattr("name")?.extract()?;
        let number: c_int = array.getattr("dtype")?.getattr("num")?.extract()?;
        let fields = array.as_ptr().cast::<ArrayFields>();
        // SAFETY: an object of this size has as many bytes, and any bits are values of these types.
        // Its pointers are not followed before they agree with what NumPy says.
        let told = unsafe { &*fields };
        let (data, axes, dtype) = (told.data, told.axes, told.dtype);
        if data as usize != address.0
            || usize::try_from(axes).ok() != Some(shape.len())
            || !ptr::eq(dtype.cast(), array.getattr("dtype")?.as_ptr())
        {
            return Ok(false);
        }
        // SAFETY: address and number of axes were those of this array, and the dtype is its own.
        let Some(found) = (unsafe { Ndarray::fields(&array) }) else {
            return Ok(false);
        };
        let swap = if name == "complex64" { 4 } else { 1 };
        let swap = if cfg!(target_endian = "big") { 1 } else { swap };
        let named = named(number) == Some((found.dtype, found.item));
        if !named
            || found.dtype != name
            || found.swap != swap
            || found.shape != shape
            || found.strides != strides
        {
            return Ok(false);
        }
    }
    Ok(true)
}
