"""Code objects where there is no source: a canonical encoding, and the names they load."""

from __future__ import annotations

import dis
import re
import sys
import warnings
from collections.abc import Iterator
from types import CodeType
from typing import Any

from ato.code.digests import bytecode_digest

__all__ = ["INTERPRETER", "compiled_digests", "digest_code", "loaded_names", "qualified_name"]

# Bytecode is compared within one version of one interpreter only, at one level of optimisation.
INTERPRETER = f"{sys.implementation.cache_tag}-{sys.flags.optimize}"

_COMPREHENSION = re.compile(r"<(?:listcomp|setcomp|dictcomp|genexpr)>\.(?:<locals>\.)?")
_LOADS_CONSTANT = frozenset(dis.hasconst)


def digest_code(code: CodeType) -> str:
    """Digest a code object without line numbers, names of locals and docstring."""
    return bytecode_digest((INTERPRETER, _encode(code)))


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


def _encode(code: CodeType) -> tuple[Any, ...]:
    constants = [_encode(c) if isinstance(c, CodeType) else c for c in code.co_consts]
    if constants and isinstance(constants[0], str) and not _loads_first_constant(code.co_code):
        constants[0] = None
    arguments = code.co_argcount + code.co_kwonlyargcount
    return (
        code.co_flags,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_varnames[:arguments],
        len(code.co_freevars),
        len(code.co_cellvars),
        code.co_names,
        tuple(constants),
        code.co_code,
        code.co_exceptiontable,
    )


def _loads_first_constant(instructions: bytes) -> bool:
    """A docstring is the first constant and is loaded by no instruction."""
    for at in range(0, len(instructions), 2):
        loads = instructions[at] in _LOADS_CONSTANT and instructions[at + 1] == 0
        if loads and not (at and instructions[at - 2] == dis.EXTENDED_ARG):
            return True
    return False
