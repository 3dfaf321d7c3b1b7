"""What kind of thing a live object is to the walk: plain data, code, Ato's own, or state."""

from __future__ import annotations

import functools
import logging
import sys
from collections import deque
from collections.abc import Iterator
from enum import Enum
from types import (
    BuiltinFunctionType,
    FunctionType,
    MappingProxyType,
    MethodDescriptorType,
    WrapperDescriptorType,
)
from typing import Any

__all__ = [
    "PLAIN_CONTAINERS",
    "ato_trace_id",
    "code_parts",
    "is_ato",
    "is_builtin",
    "is_plain",
    "items_of",
    "no_state",
    "only_scalars",
    "wrapped_by_ato",
]

_SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes, type(...)})
_MANY = 1_000
PLAIN_CONTAINERS = (dict, list, tuple, set, frozenset)
_CONTAINERS = (dict, list, tuple, set, frozenset, deque, MappingProxyType)


def is_plain(value: object) -> bool:
    """Numbers, strings, bytes, None, and tuples and frozensets of them: data that cannot change."""
    kind = type(value)
    if kind in _SCALARS:
        return kind is not type(...)
    if kind is tuple or kind is frozenset:
        return all(is_plain(item) for item in value)  # type: ignore[attr-defined]
    return False


def is_ato(value: object) -> bool:
    """Ato's own functions, classes and modules, and instances of its classes (scopes, configs)."""
    if isinstance(value, (FunctionType, type)):
        return _from_ato(value.__module__) if isinstance(value, type) else _ato_function(value)
    if isinstance(value, type(sys)):
        return _from_ato(value.__name__)
    if _own(value).get("__ato_kind__") in ("view", "manual"):
        return True
    return any(_from_ato(base.__module__) for base in type(value).__mro__)


def _own(value: Any) -> Any:
    """An object's own attributes, without asking its `__getattr__`."""
    return getattr(value, "__dict__", {})


def _ato_function(fn: FunctionType) -> bool:
    if fn.__dict__.get("__ato_kind__") in ("view", "manual"):
        return True
    return _from_ato(fn.__globals__.get("__name__"))


def _from_ato(module: object) -> bool:
    return isinstance(module, str) and (module == "ato" or module.startswith("ato."))


def wrapped_by_ato(value: Any) -> Any:
    """What one of Ato's wrappers wraps; `None` if `value` is no such wrapper.

    Another decorator's wrapper may carry Ato's markers too: `functools.wraps` copies them.
    """
    own = _own(value)
    if own.get("__ato_kind__") not in ("runtime", "scope") or "__wrapped__" not in own:
        return None
    module = (
        value.__globals__.get("__name__")
        if isinstance(value, FunctionType)
        else type(value).__module__
    )
    return own["__wrapped__"] if _from_ato(module) else None


def ato_trace_id(value: Any) -> str | None:
    """The trace id of a runtime tracer's wrapper."""
    return value.__ato_trace_id__ if value.__ato_kind__ == "runtime" else None


def is_builtin(value: object) -> bool:
    """Functions and methods that are written in C."""
    return isinstance(value, (BuiltinFunctionType, MethodDescriptorType, WrapperDescriptorType))


def no_state(value: object) -> bool:
    """Things that hold no data of the computation, or none that a run could change."""
    return isinstance(value, (Enum, logging.Logger, logging.LoggerAdapter, logging.Handler))


def code_parts(value: Any) -> list[Any] | None:
    """The functions behind a descriptor; `None` if `value` is none."""
    if isinstance(value, (staticmethod, classmethod)):
        return [value.__func__]
    if isinstance(value, property):
        return [part for part in (value.fget, value.fset, value.fdel) if part is not None]
    if isinstance(value, functools.cached_property):
        return [value.func]
    if isinstance(value, functools.partialmethod):
        return [functools.partial(value.func, *value.args, **value.keywords)]
    if isinstance(value, functools.singledispatchmethod):
        return [value.func, *value.dispatcher.registry.values()]
    return None


def items_of(value: Any) -> Iterator[tuple[str, Any]] | None:
    """What a container holds, with a label for each; `None` for anything else."""
    if not isinstance(value, _CONTAINERS):
        return None
    if len(value) > _MANY and only_scalars(value):
        # A table of a million numbers holds no code; one number stands for all.
        return iter([("[…]", 0)])
    if isinstance(value, (dict, MappingProxyType)):
        return _entries(value)
    return (
        ("[]" if isinstance(value, (set, frozenset)) else f"[{n}]", v) for n, v in enumerate(value)
    )


def only_scalars(value: Any) -> bool:
    """Whether a container holds numbers, texts and the like and nothing else."""
    items = value.values() if isinstance(value, (dict, MappingProxyType)) else value
    return set(map(type, items)) <= _SCALARS


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    for number, (key, item) in enumerate(list(value.items())):
        yield (f"[{key!r}]" if is_plain(key) else f"[key {number}]"), item
        if not is_plain(key):
            yield f"[key {number}] itself", key
