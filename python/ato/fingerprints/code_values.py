"""How functions, classes and callables are taken apart when they are values.

What is the project's own counts by its code, through the code room; what is installed counts by
name, since its version is part of the environment.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from ato.fingerprints.values import Reduced, main_name, type_name

_own: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def is_own(obj: Any) -> bool:
    """Whether a function or class is the project's own; found once for each."""
    written = isinstance(obj, type) or hasattr(obj, "__code__") or hasattr(obj, "__wrapped__")
    if not written:  # in Python, that is
        return False
    if (obj.__module__ or "builtins").partition(".")[0] in sys.stdlib_module_names:
        return False
    known = _own.get(obj)
    if known is None:
        code = import_module("ato.code")  # a room above: it answers for code, and is loaded here
        known = _own[obj] = bool(code.is_project_object(obj))
    return known


def definition(obj: Any) -> Reduced:
    """A function or a class: by its deep fingerprint, or by its name if it is installed code."""
    if is_own(obj):
        return "code", import_module("ato.code").fingerprint_code(obj).deep
    return named_callable(obj)


def named_callable(obj: Any) -> Reduced:
    """Installed code, by name; what a nested function closes over tells it from its siblings."""
    name = qualified_name(obj)
    if "<" not in name:
        return "name", name
    closure = tuple(_contents(cell) for cell in getattr(obj, "__closure__", None) or ())
    defaults = (getattr(obj, "__defaults__", None), getattr(obj, "__kwdefaults__", None))
    return "nested", (name, defaults, closure)


def qualified_name(obj: Any) -> str:
    """Module and qualified name of a function or class."""
    owner = getattr(obj, "__objclass__", None)
    module = getattr(owner or obj, "__module__", None) or "builtins"
    if module == "__main__":
        module = main_name()
    name = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", type(obj).__qualname__)
    return f"{module}.{name}"


def bound_method(obj: Any) -> Reduced:
    """A method and what it is bound to."""
    return "method", {"__func__": obj.__func__, "__self__": obj.__self__}


def builtin_function(obj: Any) -> Reduced:
    """A function written in C, by name, with what it is bound to unless that is a module."""
    owner = getattr(obj, "__self__", None)
    if owner is None or isinstance(owner, ModuleType):
        return "name", qualified_name(obj)
    return "builtin method", (obj.__name__, owner)


def type_method(obj: Any) -> Reduced:
    """A method of a type written in C, such as `str.lower`."""
    return "type method", (type_name(obj.__objclass__), obj.__name__)


def method_wrapper(obj: Any) -> Reduced:
    """A bare `staticmethod` or `classmethod`."""
    return type(obj).__name__, obj.__func__


def partial(obj: Any) -> Reduced:
    """A `functools.partial`: function, arguments and keywords."""
    return "partial", {"func": obj.func, "args": obj.args, "keywords": obj.keywords}


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a cell that was not filled yet
        return ("empty cell",)
