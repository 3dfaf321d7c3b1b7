//! Walks over Python values that feed the encoders of the core.

use std::ops::Range;

use ato_core::encode::{self, Digester, Sink, Tag};
use ato_core::scheme::Scheme;
use ato_core::structure::Structure;
use pyo3::buffer::PyUntypedBuffer;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyComplex, PyDict, PyFloat, PyFrozenSet, PyInt, PyList,
    PyMemoryView, PySet, PyString, PyTuple, PyType,
};

use crate::errors::{CoreError, WalkError};

/// Levels of containers and objects below the root; more is taken for a mistake.
const MAX_DEPTH: usize = 1_000;

/// Fingerprint any value under `scheme`: 64 hexadecimal digits.
#[pyfunction]
#[pyo3(signature = (value, scheme, reduce, path = "value", configs = true))]
pub fn digest_value(
    value: &Bound<'_, PyAny>,
    scheme: &str,
    reduce: &Bound<'_, PyAny>,
    path: &str,
    configs: bool,
) -> PyResult<String> {
    let scheme: Scheme = scheme.parse().map_err(CoreError)?;
    let mut digester = Digester::new(scheme);
    Walk::new(reduce, configs)
        .value(&mut digester, value)
        .map_err(|trouble| trouble.into_py(value.py(), path))?;
    Ok(hex(&digester.finish()))
}

/// Fingerprint keys and types of a value, not its scalars: 64 hexadecimal digits.
#[pyfunction]
pub fn digest_structure(value: &Bound<'_, PyAny>, reduce: &Bound<'_, PyAny>) -> PyResult<String> {
    let mut structure = Structure::default();
    Walk::new(reduce, true)
        .structure(&mut structure, value)
        .map_err(|trouble| trouble.into_py(value.py(), "value"))?;
    let mut digester = Digester::new(Scheme::ConfigStructure);
    digester.put(&structure.into_bytes());
    Ok(hex(&digester.finish()))
}

/// The encoding of any value.
pub(crate) fn encoded(
    value: &Bound<'_, PyAny>,
    reduce: &Bound<'_, PyAny>,
    path: &str,
) -> PyResult<Vec<u8>> {
    let mut bytes = Vec::new();
    Walk::new(reduce, false)
        .value(&mut bytes, value)
        .map_err(|trouble| trouble.into_py(value.py(), path))?;
    Ok(bytes)
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8; 32]) -> String {
    digits(bytes).map(char::from).iter().collect()
}

/// The same, as a text of Python's.
pub fn hexadecimal<'py>(py: Python<'py>, bytes: &[u8; 32]) -> Bound<'py, PyString> {
    let digits = digits(bytes);
    PyString::new(py, std::str::from_utf8(&digits).unwrap_or_default())
}

fn digits(bytes: &[u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 64];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ];
    }
    digits
}

/// The exact types that are walked here; every other one is reduced first.
enum Plain<'a, 'py> {
    None,
    Bool(bool),
    Int(&'a Bound<'py, PyInt>),
    Float(f64),
    Complex(&'a Bound<'py, PyComplex>),
    Str(&'a Bound<'py, PyString>),
    Bytes(&'a Bound<'py, PyBytes>),
    ByteArray(&'a Bound<'py, PyByteArray>),
    MemoryView,
    List(&'a Bound<'py, PyList>),
    Tuple(&'a Bound<'py, PyTuple>),
    Set(&'a Bound<'py, PySet>),
    FrozenSet(&'a Bound<'py, PyFrozenSet>),
    Dict(&'a Bound<'py, PyDict>),
}

/// What `value` is, the commonest kinds first.
fn plain<'a, 'py>(value: &'a Bound<'py, PyAny>, configs: bool) -> Option<Plain<'a, 'py>> {
    if let Ok(value) = value.cast_exact::<PyString>() {
        return Some(Plain::Str(value));
    }
    if let Ok(value) = value.cast_exact::<PyInt>() {
        return Some(Plain::Int(value));
    }
    if let Ok(value) = value.cast_exact::<PyFloat>() {
        return Some(Plain::Float(value.value()));
    }
    if let Ok(value) = value.cast_exact::<PyDict>() {
        return Some(Plain::Dict(value));
    }
    if let Ok(value) = value.cast_exact::<PyList>() {
        return Some(Plain::List(value));
    }
    if let Ok(value) = value.cast_exact::<PyTuple>() {
        return Some(Plain::Tuple(value));
    }
    if let Ok(value) = value.cast_exact::<PyBool>() {
        return Some(Plain::Bool(value.is_true()));
    }
    if value.is_none() {
        return Some(Plain::None);
    }
    plain_and_rare(value).or_else(|| if configs { config(value) } else { None })
}

fn plain_and_rare<'a, 'py>(value: &'a Bound<'py, PyAny>) -> Option<Plain<'a, 'py>> {
    if let Ok(value) = value.cast_exact::<PyBytes>() {
        return Some(Plain::Bytes(value));
    }
    if let Ok(value) = value.cast_exact::<PyComplex>() {
        return Some(Plain::Complex(value));
    }
    if let Ok(value) = value.cast_exact::<PySet>() {
        return Some(Plain::Set(value));
    }
    if let Ok(value) = value.cast_exact::<PyFrozenSet>() {
        return Some(Plain::FrozenSet(value));
    }
    if let Ok(value) = value.cast_exact::<PyByteArray>() {
        return Some(Plain::ByteArray(value));
    }
    if value.cast_exact::<PyMemoryView>().is_ok() {
        return Some(Plain::MemoryView);
    }
    None
}

fn config<'a, 'py>(value: &'a Bound<'py, PyAny>) -> Option<Plain<'a, 'py>> {
    value
        .cast::<PyDict>()
        .ok()
        .filter(|value| is_config(value))
        .map(Plain::Dict)
}

/// Whether a dict of another type is an `ADict`, which is walked as the plain mapping that it is.
///
/// Where the class was never imported there can be no instance; it is never imported from here.
fn is_config(value: &Bound<'_, PyDict>) -> bool {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = value.py();
    let class = CLASS.get_or_try_init(py, || -> PyResult<_> {
        let modules = py
            .import(intern!(py, "sys"))?
            .getattr(intern!(py, "modules"))?;
        let module = modules.get_item("ato.adict")?;
        Ok(module.getattr("ADict")?.cast_into::<PyType>()?.unbind())
    });
    class.is_ok_and(|class| value.get_type().is(class))
}

/// A value whose items are being walked, and how deep it stands.
struct Ancestor {
    identity: usize,
    depth: usize,
}

struct Walk<'a, 'py> {
    reduce: &'a Bound<'py, PyAny>,
    /// Whether a config is walked as the mapping that it is; else `reduce` answers for it.
    configs: bool,
    ancestors: Vec<Ancestor>,
    depth: usize,
}

impl<'a, 'py> Walk<'a, 'py> {
    fn new(reduce: &'a Bound<'py, PyAny>, configs: bool) -> Self {
        Self {
            reduce,
            configs,
            ancestors: Vec::new(),
            depth: 0,
        }
    }

    /// The depth at which an ancestor stands that `value` is itself.
    fn met(&self, value: &Bound<'_, PyAny>) -> Option<usize> {
        let identity = value.as_ptr() as usize;
        self.ancestors
            .iter()
            .find(|ancestor| ancestor.identity == identity)
            .map(|ancestor| ancestor.depth)
    }

    /// Do `work` on what `value` holds, one level deeper unless the content stands in its place.
    fn inside<R>(
        &mut self,
        value: &Bound<'_, PyAny>,
        levels: usize,
        work: impl FnOnce(&mut Self) -> Result<R, WalkError>,
    ) -> Result<R, WalkError> {
        // Contents that stand in their object's place add no level, but must end somewhere too.
        if self.depth + levels > MAX_DEPTH || self.ancestors.len() > 2 * MAX_DEPTH {
            return Err(WalkError::too_deep());
        }
        self.ancestors.push(Ancestor {
            identity: value.as_ptr() as usize,
            depth: self.depth,
        });
        self.depth += levels;
        let result = work(self);
        self.depth -= levels;
        self.ancestors.pop();
        result
    }

    /// Kind and content of an object.
    fn reduced(
        &self,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<(Bound<'py, PyString>, Bound<'py, PyAny>)> {
        self.reduce.call1((value,))?.extract()
    }

    fn value<S: Sink>(&mut self, sink: &mut S, value: &Bound<'py, PyAny>) -> Result<(), WalkError> {
        let Some(plain) = plain(value, self.configs) else {
            return self.object(sink, value);
        };
        match plain {
            Plain::Str(value) => text(sink, value)?,
            Plain::Int(value) => integer(sink, value)?,
            Plain::Float(value) => encode::float(sink, value),
            Plain::Bool(value) => encode::boolean(sink, value),
            Plain::None => encode::none(sink),
            Plain::Complex(value) => encode::complex(sink, value.real(), value.imag()),
            Plain::Bytes(value) => encode::bytes(sink, value.as_bytes()),
            Plain::ByteArray(value) => encode::bytes(sink, &value.to_vec()),
            Plain::MemoryView => memory(sink, value)?,
            container => return self.container(sink, value, &container),
        }
        Ok(())
    }

    fn object<S: Sink>(
        &mut self,
        sink: &mut S,
        value: &Bound<'py, PyAny>,
    ) -> Result<(), WalkError> {
        if let Some(depth) = self.met(value) {
            encode::ancestor(sink, depth);
            return Ok(());
        }
        let (kind, content) = self.reduced(value)?;
        let kind = kind.to_str()?;
        let levels = usize::from(!kind.is_empty());
        if levels > 0 {
            encode::object(sink, kind);
        }
        self.inside(value, levels, |walk| walk.value(sink, &content))
    }

    fn container<S: Sink>(
        &mut self,
        sink: &mut S,
        value: &Bound<'py, PyAny>,
        plain: &Plain<'_, 'py>,
    ) -> Result<(), WalkError> {
        if let Some(depth) = self.met(value) {
            encode::ancestor(sink, depth);
            return Ok(());
        }
        self.inside(value, 1, |walk| match plain {
            Plain::List(items) => {
                encode::header(sink, Tag::List, items.len());
                walk.list(items, |walk, item| walk.value(sink, item))
            }
            Plain::Tuple(items) => {
                encode::header(sink, Tag::Tuple, items.len());
                walk.tuple(items, |walk, item| walk.value(sink, item))
            }
            Plain::Set(items) => walk.set(sink, Tag::Set, items.iter().collect()),
            Plain::FrozenSet(items) => walk.set(sink, Tag::FrozenSet, items.iter().collect()),
            Plain::Dict(items) => walk.dict(sink, items),
            _ => Ok(()), // scalars have no items
        })
    }

    fn list(
        &mut self,
        items: &Bound<'py, PyList>,
        mut each: impl FnMut(&mut Self, &Bound<'py, PyAny>) -> Result<(), WalkError>,
    ) -> Result<(), WalkError> {
        let length = items.len();
        for (index, item) in items.iter().enumerate() {
            each(self, &item).map_err(|trouble| trouble.in_item(index))?;
            // The length is already written; reducing an item may run the user's code.
            if items.len() != length {
                return Err(WalkError::changed());
            }
        }
        Ok(())
    }

    fn tuple(
        &mut self,
        items: &Bound<'py, PyTuple>,
        mut each: impl FnMut(&mut Self, &Bound<'py, PyAny>) -> Result<(), WalkError>,
    ) -> Result<(), WalkError> {
        for (index, item) in items.iter().enumerate() {
            each(self, &item).map_err(|trouble| trouble.in_item(index))?;
        }
        Ok(())
    }

    fn set<S: Sink>(
        &mut self,
        sink: &mut S,
        tag: Tag,
        items: Vec<Bound<'py, PyAny>>,
    ) -> Result<(), WalkError> {
        let mut bytes = Vec::new();
        let mut ranges = Vec::with_capacity(items.len());
        for item in items {
            let start = bytes.len();
            self.value(&mut bytes, &item).map_err(WalkError::in_set)?;
            ranges.push(start..bytes.len());
        }
        ranges.sort_unstable_by(|a, b| bytes[a.clone()].cmp(&bytes[b.clone()]));
        encode::header(sink, tag, ranges.len());
        for range in ranges {
            sink.put(&bytes[range]);
        }
        Ok(())
    }

    fn dict<S: Sink>(&mut self, sink: &mut S, dict: &Bound<'py, PyDict>) -> Result<(), WalkError> {
        let entries = self.entries(dict)?;
        encode::header(sink, Tag::Dict, entries.sorted.len());
        for group in entries.groups() {
            let key = entries.key(&group[0]);
            if let [entry] = group {
                sink.put(key);
                self.value(sink, &entry.value)
                    .map_err(|trouble| trouble.in_entry(&entry.name))?;
                continue;
            }
            // Two keys can be unequal and have one encoding (two NaNs): their values decide.
            let mut values = Vec::with_capacity(group.len());
            for entry in group {
                let mut bytes = Vec::new();
                self.value(&mut bytes, &entry.value)
                    .map_err(|trouble| trouble.in_entry(&entry.name))?;
                values.push(bytes);
            }
            values.sort_unstable();
            for value in values {
                sink.put(key);
                sink.put(&value);
            }
        }
        Ok(())
    }

    /// The entries of a mapping in the order of their encoded keys.
    fn entries(&mut self, dict: &Bound<'py, PyDict>) -> Result<Entries<'py>, WalkError> {
        // Taken before any key is reduced: that may run the user's code, which may change the dict.
        let items: Vec<_> = dict.iter().collect();
        let mut keys = Vec::with_capacity(32 * items.len());
        let mut sorted = Vec::with_capacity(items.len());
        for (name, value) in items {
            let start = keys.len();
            self.value(&mut keys, &name).map_err(WalkError::in_key)?;
            let key = start..keys.len();
            sorted.push(Entry { key, name, value });
        }
        sorted.sort_by(|a, b| keys[a.key.clone()].cmp(&keys[b.key.clone()]));
        Ok(Entries { keys, sorted })
    }

    fn structure(
        &mut self,
        structure: &mut Structure,
        value: &Bound<'py, PyAny>,
    ) -> Result<(), WalkError> {
        let plain = if let Ok(mapping) = value.cast::<PyDict>() {
            Some(Plain::Dict(mapping))
        } else {
            plain(value, self.configs)
        };
        let tag = match &plain {
            Some(Plain::None) => Tag::None,
            Some(Plain::Bool(_)) => Tag::Bool,
            Some(Plain::Int(_)) => Tag::Int,
            Some(Plain::Float(_)) => Tag::Float,
            Some(Plain::Complex(_)) => Tag::Complex,
            Some(Plain::Str(_)) => Tag::Str,
            Some(Plain::Bytes(_) | Plain::ByteArray(_) | Plain::MemoryView) => Tag::Bytes,
            _ => return self.nested_structure(structure, value, plain.as_ref()),
        };
        structure.scalar(tag);
        Ok(())
    }

    fn nested_structure(
        &mut self,
        structure: &mut Structure,
        value: &Bound<'py, PyAny>,
        plain: Option<&Plain<'_, 'py>>,
    ) -> Result<(), WalkError> {
        if let Some(depth) = self.met(value) {
            structure.ancestor(depth);
            return Ok(());
        }
        let Some(plain) = plain else {
            let (kind, content) = self.reduced(value)?;
            let kind = kind.to_str()?;
            let levels = usize::from(!kind.is_empty());
            if levels > 0 {
                structure.object(kind);
            }
            return self.inside(value, levels, |walk| walk.structure(structure, &content));
        };
        self.inside(value, 1, |walk| match plain {
            Plain::Dict(items) => walk.mapping_structure(structure, items),
            Plain::List(items) => {
                let mut written = structure.begin(Tag::List);
                walk.list(items, |walk, item| {
                    walk.structure(structure, item)?;
                    structure.end_item(&mut written);
                    Ok(())
                })?;
                structure.end(&written);
                Ok(())
            }
            Plain::Tuple(items) => {
                let mut written = structure.begin(Tag::Tuple);
                walk.tuple(items, |walk, item| {
                    walk.structure(structure, item)?;
                    structure.end_item(&mut written);
                    Ok(())
                })?;
                structure.end(&written);
                Ok(())
            }
            Plain::Set(items) => walk.set_structure(structure, Tag::Set, items.iter().collect()),
            Plain::FrozenSet(items) => {
                walk.set_structure(structure, Tag::FrozenSet, items.iter().collect())
            }
            _ => Ok(()), // scalars are written by the caller
        })
    }

    fn mapping_structure(
        &mut self,
        structure: &mut Structure,
        dict: &Bound<'py, PyDict>,
    ) -> Result<(), WalkError> {
        let entries = self.entries(dict)?;
        structure.mapping(entries.sorted.len());
        for entry in &entries.sorted {
            structure.key(entries.key(entry));
            self.structure(structure, &entry.value)
                .map_err(|trouble| trouble.in_entry(&entry.name))?;
        }
        Ok(())
    }

    fn set_structure(
        &mut self,
        structure: &mut Structure,
        tag: Tag,
        items: Vec<Bound<'py, PyAny>>,
    ) -> Result<(), WalkError> {
        let mut written = structure.begin(tag);
        let mut ends = Vec::with_capacity(items.len());
        for item in items {
            self.structure(structure, &item)
                .map_err(WalkError::in_set)?;
            ends.push(structure.position());
        }
        structure.end_set(&mut written, &ends);
        Ok(())
    }
}

struct Entry<'py> {
    key: Range<usize>,
    name: Bound<'py, PyAny>,
    value: Bound<'py, PyAny>,
}

struct Entries<'py> {
    keys: Vec<u8>,
    sorted: Vec<Entry<'py>>,
}

impl<'py> Entries<'py> {
    fn key(&self, entry: &Entry<'py>) -> &[u8] {
        &self.keys[entry.key.clone()]
    }

    /// Entries whose keys have one encoding.
    fn groups(&self) -> impl Iterator<Item = &[Entry<'py>]> {
        self.sorted
            .chunk_by(|first, second| self.key(first) == self.key(second))
    }
}

fn text(sink: &mut impl Sink, value: &Bound<'_, PyString>) -> PyResult<()> {
    if let Ok(text) = value.to_str() {
        encode::text(sink, text);
        return Ok(());
    }
    let encoded = value.call_method1("encode", ("utf-8", "surrogatepass"))?;
    encode::surrogate_text(sink, encoded.cast::<PyBytes>()?.as_bytes());
    Ok(())
}

fn integer(sink: &mut impl Sink, value: &Bound<'_, PyInt>) -> PyResult<()> {
    if let Ok(small) = value.extract::<i64>() {
        encode::integer(sink, small);
        return Ok(());
    }
    let bits: usize = value.call_method0("bit_length")?.extract()?;
    let signed = PyDict::new(value.py());
    signed.set_item("signed", true)?;
    let encoded = value.call_method("to_bytes", (bits / 8 + 1, "little"), Some(&signed))?;
    encode::big_integer(sink, encoded.cast::<PyBytes>()?.as_bytes());
    Ok(())
}

fn memory(sink: &mut impl Sink, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let buffer = PyUntypedBuffer::get(value)?;
    encode::header(sink, Tag::Bytes, buffer.len_bytes());
    let bytes = value.call_method0("tobytes")?;
    sink.put(bytes.cast::<PyBytes>()?.as_bytes());
    Ok(())
}
