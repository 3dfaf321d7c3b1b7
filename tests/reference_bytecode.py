"""The canonical encoding of code objects once more, slow and plain, on top of `dis`.

The rules stand in `rust/core/src/bytecode.rs`, which reads the instructions by itself.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any

from reference_encoder import container, derive, encode, item

__all__ = ["bytecode_digest"]

_COUNTING_FLAGS = 0x3AF
_ABOUT_CLASSES = ("__doc__", "__qualname__", "__firstlineno__", "__static_attributes__")
_NOTHING = ("NOP", "MAKE_CELL", "COPY_FREE_VARS", "CACHE")


def bytecode_digest(code: CodeType, interpreter: str) -> str:
    """What `ato.code.bytecode.digest_code` gives."""
    encoded = container("tuple", [encode(interpreter), _code(code, {}, [])])
    return derive("ato bytecode v1", encoded)


def _code(code: CodeType, outside: dict[str, object], numbers: list[object]) -> bytes:
    cells: dict[str, object] = {name: object() for name in code.co_cellvars}
    for name in code.co_freevars:
        cells[name] = outside[name] if name in outside else object()
    steps = list(_steps(code))
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    written = [part for step in steps for part in _parts(step, code, cells, numbers, steps)]
    return item("object", b"code") + container(
        "tuple",
        [
            encode(code.co_flags & _COUNTING_FLAGS),
            encode((code.co_posonlyargcount, code.co_kwonlyargcount)),
            encode(code.co_varnames[:count]),
            container("list", written),
            encode(_handlers(code, steps)),
        ],
    )


def _steps(code: CodeType) -> Iterator[dis.Instruction]:
    kept: list[dis.Instruction] = []
    for step in dis.get_instructions(code):
        if step.opname == "STORE_NAME" and step.argval in _ABOUT_CLASSES:
            if kept[-1].opname == "LOAD_CONST":
                kept.pop()
                continue
        if step.opname not in (*_NOTHING, "EXTENDED_ARG"):
            kept.append(step)
    yield from kept


def _parts(
    step: dis.Instruction,
    code: CodeType,
    cells: dict[str, object],
    numbers: list[object],
    steps: list[dis.Instruction],
) -> Iterator[bytes]:
    def slot(name: str, load: bool) -> bytes:
        if name not in cells:
            return encode(code.co_varnames.index(name))
        if load:
            return encode(None)
        if cells[name] not in numbers:
            numbers.append(cells[name])
        return item("object", b"cell") + encode(numbers.index(cells[name]))

    loads = sys.version_info >= (3, 13) and step.opname.startswith("LOAD_FAST")
    if isinstance(step.argval, tuple) and step.opcode in dis.haslocal:
        halves = (step.opname[: step.opname.index("_FAST") + 5], step.opname.split("FAST_")[1])
        for half, name in zip(halves, step.argval, strict=True):
            opcode = encode(dis.opmap[half])
            yield container("tuple", [opcode, slot(name, half == "LOAD_FAST")])
        return
    argument = step.arg if step.arg is not None else 0
    if isinstance(step.argval, CodeType):
        operand = _code(step.argval, cells, numbers)
    elif step.opcode in dis.hasconst:
        operand = encode(code.co_consts[argument], _reduce)
    elif step.opcode in dis.hasname:
        bits = _name_bits(step.opname)
        operand = encode((argument & ((1 << bits) - 1), code.co_names[argument >> bits]))
    elif step.opname == "LOAD_CLOSURE":
        operand = encode(None)
    elif step.opcode in dis.haslocal or step.opcode in dis.hasfree:
        operand = slot(step.argval, loads and step.opname == "LOAD_FAST")
    elif step.opcode in dis.hasjrel:
        operand = encode(_number(step.argval, steps))
    else:
        operand = encode(argument if step.opcode >= dis.HAVE_ARGUMENT else _raw(code, step))
    yield container("tuple", [encode(step.opcode), operand])


def _raw(code: CodeType, step: dis.Instruction) -> int:
    """The argument of an instruction that takes none."""
    return code.co_code[step.offset + 1]


def _name_bits(name: str) -> int:
    if name == "LOAD_GLOBAL":
        return 1
    if sys.version_info >= (3, 12):
        return {"LOAD_ATTR": 1, "LOAD_SUPER_ATTR": 2}.get(name, 0)
    return 0


def _number(offset: int, steps: list[dis.Instruction]) -> int:
    """The number of the first step at or after an offset in bytes."""
    number = 0
    for step in steps:
        if step.offset >= offset:
            break
        both = isinstance(step.argval, tuple) and step.opcode in dis.haslocal
        number += 2 if both else 1
    return number


def _handlers(code: CodeType, steps: list[dis.Instruction]) -> list[tuple[int, int, int, int]]:
    found: list[tuple[int, int, int, int]] = []
    for start, end, target, depth, lasti in _exception_table(code.co_exceptiontable):
        first, last = _number(start, steps), _number(end, steps)
        entry = (first, last, _number(target, steps), depth << 1 | lasti)
        if first == last:
            continue
        if found and found[-1][1] == first and found[-1][2:] == entry[2:]:
            entry = (found.pop()[0], *entry[1:])
        found.append(entry)
    return found


def _exception_table(table: bytes) -> Iterator[tuple[int, int, int, int, bool]]:
    bits = [f"{byte & 63:06b}" for byte in table]
    numbers: list[int] = []
    gathered = ""
    for byte, six in zip(table, bits, strict=True):
        gathered += six
        if not byte & 64:
            numbers.append(int(gathered, 2))
            gathered = ""
    for at in range(0, len(numbers), 4):
        start, length, target, kind = numbers[at : at + 4]
        yield 2 * start, 2 * (start + length), 2 * target, kind >> 1, bool(kind & 1)


def _reduce(value: Any) -> tuple[str, Any]:
    if value is ...:
        return "ellipsis", None
    assert type(value) is slice
    return "slice", (value.start, value.stop, value.step)
