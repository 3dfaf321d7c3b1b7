//! Code objects of Python for the encoder of the core.

use ato_core::bytecode::{self, Code, Constant, Opcodes};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple, PyType};

use crate::errors::CoreError;
use crate::values::{encoded, hex};

/// Fingerprint a code object under `ato bytecode v1`: 64 hexadecimal digits.
#[pyfunction]
pub fn digest_bytecode(
    code: &Bound<'_, PyAny>,
    interpreter: &str,
    kinds: &[u8],
    flags: &[u8],
    halves: &[u8],
    reduce: &Bound<'_, PyAny>,
) -> PyResult<String> {
    let opcodes = Opcodes::new(kinds, flags, halves).map_err(CoreError)?;
    let read = read(code, &code.get_type(), reduce)?;
    let digest = bytecode::digest(&read, interpreter, &opcodes).map_err(CoreError)?;
    Ok(hex(&digest))
}

// CO_VARARGS and CO_VARKEYWORDS: a parameter more each.
const REST: [u32; 2] = [0x4, 0x8];

fn read(
    code: &Bound<'_, PyAny>,
    class: &Bound<'_, PyType>,
    reduce: &Bound<'_, PyAny>,
) -> PyResult<Code> {
    let py = code.py();
    let flags: u32 = code.getattr(intern!(py, "co_flags"))?.extract()?;
    let positional: usize = code.getattr(intern!(py, "co_argcount"))?.extract()?;
    let keyword_only: usize = code.getattr(intern!(py, "co_kwonlyargcount"))?.extract()?;
    let rest = REST.iter().filter(|flag| flags & **flag != 0).count();
    let mut slots: Vec<String> = code.getattr(intern!(py, "co_varnames"))?.extract()?;
    let cellvars: Vec<String> = code.getattr(intern!(py, "co_cellvars"))?.extract()?;
    let freevars: Vec<String> = code.getattr(intern!(py, "co_freevars"))?.extract()?;
    let mut cells: Vec<bool> = slots.iter().map(|name| cellvars.contains(name)).collect();
    let own: Vec<String> = cellvars
        .into_iter()
        .filter(|name| !slots.contains(name))
        .collect();
    let free = freevars.len();
    slots.extend(own);
    slots.extend(freevars);
    cells.resize(slots.len(), true);
    let constants = code.getattr(intern!(py, "co_consts"))?;
    let constants = constants
        .cast::<PyTuple>()?
        .iter()
        .enumerate()
        .map(|(index, constant)| {
            if constant.is_instance(class)? {
                return Ok(Constant::Code(Box::new(read(&constant, class, reduce)?)));
            }
            let path = format!("code.co_consts[{index}]");
            Ok(Constant::Value(encoded(&constant, reduce, &path)?))
        })
        .collect::<PyResult<_>>()?;
    Ok(Code {
        flags,
        positional_only: code.getattr(intern!(py, "co_posonlyargcount"))?.extract()?,
        keyword_only,
        parameters: positional + keyword_only + rest,
        slots,
        cells,
        free,
        names: code.getattr(intern!(py, "co_names"))?.extract()?,
        constants,
        instructions: bytes(&code.getattr(intern!(py, "co_code"))?)?,
        exceptions: bytes(&code.getattr(intern!(py, "co_exceptiontable"))?)?,
    })
}

fn bytes(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    Ok(value.cast::<PyBytes>()?.as_bytes().to_vec())
}
