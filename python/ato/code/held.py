"""What live objects hold: the contents of cells, containers and instances."""

from __future__ import annotations

import functools
from types import FunctionType, MethodType, ModuleType
from typing import Any
from weakref import ReferenceType

from ato.code.kinds import code_parts, is_ato, is_builtin, is_plain, no_state
from ato.code.modules import MISSING

__all__ = [
    "MADE_BY_PYTHON",
    "SEARCHED",
    "Content",
    "attribute_value",
    "bounded",
    "cell_content",
    "cell_value",
    "default_value",
    "defaults_of",
    "global_value",
    "has_source",
    "is_data",
    "is_state",
    "mangled",
    "name_of",
]

# What a live object adds to whoever holds it: ("plain", digest), ("code", name), ("state",), ….
Content = tuple[Any, ...]

# So many objects inside one value are searched for code; a training script's data may hold millions.
SEARCHED = 5_000

MADE_BY_PYTHON = frozenset({"__module__", "__qualname__", "__doc__", "__firstlineno__"})


def is_data(value: Any) -> bool:
    """Whether a value is searched from the outside: an instance that is not itself code."""
    if isinstance(value, (FunctionType, type, MethodType, ModuleType, functools.partial)):
        return False
    if code_parts(value) is not None or is_builtin(value) or no_state(value) or is_ato(value):
        return False
    return "__wrapped__" not in getattr(value, "__dict__", {})


def bounded(path: str, items: Any, mutable: bool) -> list[tuple[str, Any, bool]]:
    """The items of a container, plain ones (of which there may be millions) told by one of them."""
    found: list[tuple[str, Any, bool]] = []
    plain = False
    for name, item in items:
        if is_plain(item):
            if not plain:
                found.append((name, item, mutable))
            plain = True
            continue
        found.append((f"{path}{name}", item, mutable))
        if len(found) > SEARCHED:
            break
    return found


def is_state(content: Content) -> bool:
    """Whether a content says that there is mutable data."""
    if content[0] == "state":
        return True
    return any(isinstance(part, tuple) and part and is_state(part) for part in content)


def cell_value(cell: Any) -> Any:
    """What a closure's cell holds, or `MISSING`."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def cell_content(cell: Any, name: str) -> object:
    """What a closure's cell holds; LookupError where it is empty."""
    value = cell_value(cell)
    if value is MISSING:
        raise LookupError(f"the closure variable {name} is not bound any more")
    return value


def default_value(holder: ReferenceType[FunctionType], parameter: str) -> object:
    """The default of a parameter; LookupError where it has none any more."""
    fn = holder()
    if fn is None:
        raise LookupError(f"the function with the default {parameter} is gone")
    return defaults_of(fn)[parameter]


def defaults_of(fn: FunctionType) -> dict[str, object]:
    """The defaults of a function by parameter, positional ones first."""
    code = fn.__code__
    given = fn.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(given) : code.co_argcount]
    return {**dict(zip(names, given, strict=True)), **(fn.__kwdefaults__ or {})}


def attribute_value(holder: ReferenceType[Any], name: str) -> object:
    """What a class or function holds under a name; LookupError where it holds nothing."""
    owner = holder()
    if owner is None:
        raise LookupError(f"what had the attribute {name} is gone")
    value: object = vars(owner)[name]
    return value


def global_value(namespace: dict[str, Any], name: str) -> object:
    """What a global is bound to; LookupError where it is not."""
    return namespace[name]


def name_of(value: Any) -> str:
    """How a callable calls itself."""
    return str(getattr(value, "__qualname__", type(value).__qualname__))


def mangled(class_name: str, attribute: str) -> str:
    """The name under which a class keeps a private attribute: `_Net__rate`."""
    if not attribute.startswith("__") or attribute.endswith("__"):
        return attribute
    return f"_{class_name.rpartition('.')[2].lstrip('_')}{attribute}"


def has_source(value: Any) -> bool:
    """Whether a member that no statement of the class binds was written by somebody in a file."""
    for part in code_parts(value) or [value]:
        # A dataclass makes methods from text, and wraps some in a function that has a file.
        while hasattr(part, "__wrapped__"):
            part = part.__wrapped__
        if isinstance(part, FunctionType) and not part.__code__.co_filename.startswith("<"):
            return True
    return False
