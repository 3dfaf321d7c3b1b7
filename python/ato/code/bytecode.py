"""Code objects where there is no source: a canonical encoding, and the names they load."""

from __future__ import annotations

import dis
import re
import sys
import warnings
from collections.abc import Iterator
from types import CodeType
from typing import Any

from ato._core import digest_bytecode
from ato.exceptions import UnsupportedValueError

__all__ = ["INTERPRETER", "compiled_digests", "digest_code", "loaded_names", "qualified_name"]

# Bytecode is compared within one version of one interpreter only, at one level of optimisation.
INTERPRETER = f"{sys.implementation.cache_tag}-{sys.flags.optimize}"

_COMPREHENSION = re.compile(r"<(?:listcomp|setcomp|dictcomp|genexpr)>\.(?:<locals>\.)?")


def _kinds() -> bytes:
    """What each opcode does with its argument, by the numbers of `Kind` in the Rust core."""
    kinds = bytearray(256)
    for opcode, name in enumerate(dis.opname[:256]):
        kinds[opcode] = _kind(opcode, name)
    return bytes(kinds)


def _kind(opcode: int, name: str) -> int:
    if name in _BY_NAME:
        return _BY_NAME[name]
    if opcode in dis.hasconst:
        return 1
    if opcode in dis.hasname:
        return 2
    if opcode in dis.haslocal:
        return 5 if len(_halves(name)) > 1 else 4
    if opcode in dis.hasfree:
        return 6
    if opcode in dis.hasjrel:
        return 9 if "BACKWARD" in name else 8
    return 0


def _halves(name: str) -> list[str]:
    """The opcodes that one stands for: `STORE_FAST_LOAD_FAST` for two."""
    return re.findall(r"[A-Z]+_FAST(?=_LOAD|_STORE|$)", name)


# Since 3.13, a nested function's cells are loaded as local variables are.
_LOADS_CLOSURES = sys.version_info >= (3, 13)
_BY_NAME = {
    "STORE_NAME": 3,
    "LOAD_CLOSURE": 7,
    "EXTENDED_ARG": 10,
    "NOP": 11,
    "MAKE_CELL": 11,
    "COPY_FREE_VARS": 11,
    "CACHE": 12,
    **({"LOAD_FAST": 13} if _LOADS_CLOSURES else {}),
}
_KINDS = _kinds()
_HALVES = bytes(
    number
    for opcode, name in enumerate(dis.opname[:256])
    if _KINDS[opcode] == 5
    for number in (opcode, *(dis.opmap[half] for half in _halves(name)))
)
# The lowest bits of these arguments are no part of the name's number.
_FLAGS = {"LOAD_GLOBAL": 1}
if sys.version_info >= (3, 12):
    _FLAGS |= {"LOAD_ATTR": 1, "LOAD_SUPER_ATTR": 2}
_FLAG_BITS = bytes(_FLAGS.get(name, 0) for name in dis.opname[:256])


def digest_code(code: CodeType) -> str:
    """Digest a code object without line numbers, names of locals and docstring."""
    return digest_bytecode(code, INTERPRETER, _KINDS, _FLAG_BITS, _HALVES, _reduce_constant)


def compiled_digests(text: str, path: str) -> dict[str, list[str]]:
    """Compile a file and digest each function in it, by `qualified name:first line`.

    Raises:
        SyntaxError: the text cannot be compiled by itself, as some notebook cells can't.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = compile(text, path, "exec", dont_inherit=True)
    found: dict[str, list[str]] = {}
    for code in _nested(module):
        found.setdefault(f"{qualified_name(code)}:{code.co_firstlineno}", []).append(
            digest_code(code)
        )
    return found


def loaded_names(code: CodeType) -> tuple[list[str], list[str]]:
    """The global names that a code object loads, with attributes, and the modules it imports."""
    chains: list[str] = []
    modules: list[str] = []
    for part in (code, *_nested(code)):
        chain: list[str] = []
        for step in dis.get_instructions(part):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                chain = [step.argval]
                chains.append(step.argval)
            elif chain and step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                chain.append(step.argval)
                chains[-1] = ".".join(chain)
            else:
                chain = []
            if step.opname == "IMPORT_NAME":
                modules.append(step.argval)
    return list(dict.fromkeys(chains)), list(dict.fromkeys(modules))


def qualified_name(code: CodeType) -> str:
    """The qualified name without the comprehensions around it, which newer Pythons inline."""
    return _COMPREHENSION.sub("", code.co_qualname)


def _nested(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _nested(constant)


def _reduce_constant(value: object) -> tuple[str, Any]:
    # The compiler makes two constants that are no plain values: `...` and, in newer Pythons, slices.
    if value is ...:
        return "ellipsis", None
    if type(value) is slice:
        return "slice", (value.start, value.stop, value.step)
    raise UnsupportedValueError(
        f"cannot fingerprint a {type(value).__qualname__} as a constant of code; only what the "
        "compiler makes is encoded"
    )
