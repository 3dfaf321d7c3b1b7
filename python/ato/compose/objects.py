"""Dataclasses, models, namespaces and other objects that hold settings, as plain values.

None of the libraries is imported: whoever has an object of theirs has imported them.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Container, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

from ato.compose.omegaconf import is_omegaconf
from ato.exceptions import ConfigTypeError, ConfigValueError
from ato.provenance import Origin, caller, dotted, shown_path

__all__ = ["plain_object"]

_SUPPORTED = (
    "dataclasses, pydantic models, attrs classes, named tuples, argparse.Namespace, "
    "SimpleNamespace, ml_collections.ConfigDict and mappings"
)
_NONE: Any = object()


class _Field(NamedTuple):
    """A field's value, and its declared default (or `_NONE` where it has no plain one)."""

    value: Any
    default: Any = _NONE


def plain_object(value: Any) -> tuple[dict[Any, Any], dict[tuple[str, ...], Origin]]:
    """Return an object's fields as nested dicts, and where each of them comes from.

    Raises:
        ConfigTypeError: the object is of no kind that has fields.
        ConfigValueError: it contains itself, or a field of it cannot be read; the message has the
            path.
    """
    reader = _reader(value)
    if is_omegaconf(value):
        raise ConfigTypeError(f"a {type(value).__name__} is OmegaConf's: use ADict.from_omegaconf")
    if reader is None:
        named = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        hint = "; make an instance of it" if isinstance(value, type) else ""
        raise ConfigTypeError(f"from_object takes {_SUPPORTED}, not {named}{hint}")
    walk = _Walk(Origin("code", f"from_object({type(value).__name__})", *caller()))
    try:
        return walk.fields(value, reader, "", ()), walk.origins
    except RecursionError:
        raise ConfigValueError(
            f"a {type(value).__name__} is nested too deeply, or a list in it contains itself; "
            "a config is a tree, so leave that part out"
        ) from None


class _Walk:
    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.origins: dict[tuple[str, ...], Origin] = {}
        self._open: dict[int, str] = {}

    def fields(self, value: Any, read: _Reader, name: str, path: tuple[str, ...]) -> dict[Any, Any]:
        if id(value) in self._open:
            first = self._open[id(value)] or "the object"
            raise ConfigValueError(
                f"{name}: contains {first} itself again; a config is a tree, so leave one out"
            )
        self._open[id(value)] = name
        found = {}
        try:
            given = read(value)
        except RecursionError:
            raise  # where it is named after the whole object
        except Exception as error:
            raise ConfigValueError(
                f"{name or 'the object'}: the fields of a {type(value).__name__} cannot be read: "
                f"{type(error).__name__}: {error}"
            ) from error
        for key, field in given.items():
            below = (*path, str(key))
            if path == () or below[:-1] in self.origins:
                self.origins[below] = self._field_origin(value, key, field)
            found[key] = self.value(field.value, dotted(name, key), below)
        del self._open[id(value)]
        return found

    def value(self, value: Any, name: str, path: tuple[str, ...]) -> Any:
        """Convert what has fields, in lists and tuples as well; all else stays what it is."""
        read = _reader(value)
        # A named tuple inside of a config is a value (a size, a point); at the top it is the config.
        if read is not None and read is not _named_tuple:
            return self.fields(value, read, name, path)
        if type(value) in (list, tuple):
            return type(value)(
                self.value(item, f"{name}[{index}]", (*path, str(index)))
                for index, item in enumerate(value)
            )
        return value

    def _field_origin(self, holder: Any, key: Any, field: _Field) -> Origin:
        """A value that equals the declared default is the default, whoever wrote it out."""
        if field.default is _NONE or not _same(field.value, field.default):
            return self.origin
        kind = type(holder)
        return Origin("default", f"default of {kind.__name__}.{key}", *_declared(kind, str(key)))


_Reader = Callable[[Any], Mapping[Any, _Field]]


def _reader(value: Any) -> _Reader | None:
    """Return what reads the fields of a value of this kind."""
    if isinstance(value, type):
        return None
    if isinstance(value, Mapping):
        return _mapping
    if dataclasses.is_dataclass(value):
        return _dataclass
    if isinstance(value, (argparse.Namespace, SimpleNamespace)):
        return _namespace
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _named_tuple
    if hasattr(type(value), "__attrs_attrs__"):
        return _attrs
    for module, name, read in _FOREIGN:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(value, kind):
            old = read is _pydantic and not hasattr(kind, "model_fields")
            return _pydantic_1 if old else read
    return None


def _mapping(value: Any) -> dict[Any, _Field]:
    return {key: _Field(item) for key, item in value.items()}


def _namespace(value: Any) -> dict[Any, _Field]:
    return {key: _Field(item) for key, item in vars(value).items() if not _is_private(key)}


def _named_tuple(value: Any) -> dict[Any, _Field]:
    defaults = value._field_defaults
    return {
        key: _Field(item, defaults.get(key, _NONE))
        for key, item in zip(value._fields, value, strict=True)
    }


def _dataclass(value: Any) -> dict[Any, _Field]:
    found = {}
    for field in dataclasses.fields(value):
        if _is_private(field.name) or not hasattr(value, field.name):
            continue
        default = _NONE if field.default is dataclasses.MISSING else field.default
        if field.default_factory is not dataclasses.MISSING:
            default = _from_factory(field.default_factory)
        found[field.name] = _Field(getattr(value, field.name), default)
    return found


def _attrs(value: Any) -> dict[Any, _Field]:
    found = {}
    for field in type(value).__attrs_attrs__:
        default = field.default
        if default is sys.modules["attr"].NOTHING or getattr(default, "takes_self", False):
            default = _NONE
        elif hasattr(default, "factory"):
            default = _from_factory(default.factory)
        if not _is_private(field.name) and hasattr(value, field.name):
            found[field.name] = _Field(getattr(value, field.name), default)
    return found


def _pydantic(value: Any) -> dict[Any, _Field]:
    found = _model_fields(value, type(value).model_fields, value.model_fields_set)
    found.update((key, _Field(item)) for key, item in (value.model_extra or {}).items())
    return found


def _pydantic_1(value: Any) -> dict[Any, _Field]:
    fields = type(value).__fields__
    found = _model_fields(value, fields, value.__fields_set__)
    # Of what a model allows besides its fields, its `__dict__` has all.
    found.update((key, _Field(item)) for key, item in vars(value).items() if key not in fields)
    return found


def _model_fields(value: Any, names: Iterable[str], given: Container[str]) -> dict[Any, _Field]:
    return {
        # A model knows what it was given: an equal value that was given is no default.
        key: _Field(item := getattr(value, key), _NONE if key in given else item)
        for key in names
        if hasattr(value, key)
    }


def _config_dict(value: Any) -> dict[Any, _Field]:
    # `items` gives the value that a FieldReference holds, computed ones too.
    return {key: _Field(item) for key, item in value.items()}


# Kinds that need their library: looked for where it was imported already.
_FOREIGN: tuple[tuple[str, str, _Reader], ...] = (
    ("pydantic", "BaseModel", _pydantic),
    ("pydantic.v1", "BaseModel", _pydantic_1),
    ("ml_collections", "ConfigDict", _config_dict),
    ("ml_collections", "FrozenConfigDict", _config_dict),
)


def _declared(kind: type, name: str) -> tuple[str | None, int | None]:
    """Return file and line of a field's declaration, in the class or the one it inherits it from."""
    for base in kind.__mro__:
        if name not in vars(base).get("__annotations__", {}):
            continue
        try:
            file = shown_path(inspect.getsourcefile(base) or "")
            lines, first = inspect.getsourcelines(base)
        except (OSError, TypeError):  # made in a shell, or by code that made its class by code
            return None, None
        declaration = re.compile(rf"\s+{re.escape(name)}\s*[:=]")
        return file, next(
            (n for n, line in enumerate(lines, first) if declaration.match(line)), first
        )
    return None, None


def _is_private(key: object) -> bool:
    return isinstance(key, str) and key.startswith("_")


def _from_factory(factory: Any) -> Any:
    # Of the user's own factories nobody knows what a call does; of these it is known.
    return factory() if factory in (list, dict, tuple, set) else _NONE


def _same(value: Any, default: Any) -> bool:
    if value is default:
        return True
    plain = (bool, int, float, str, bytes, list, dict, tuple, set)
    return type(value) is type(default) and type(value) in plain and bool(value == default)
