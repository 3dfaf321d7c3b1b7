"""The values that a Python config sees: those of its bases, and names of packages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ato.compose.openmm.layers import Layer, merged, unknown
from ato.exceptions import ConfigTypeError

__all__ = ["Branch", "Imported", "plain"]


class Branch(dict[Any, Any]):
    """A mapping of a base as a config sees it: keys are attributes too, and `update` is deep."""

    __slots__ = ()

    @classmethod
    def of(cls, value: Any) -> Any:
        """Copy nested values; every mapping becomes a branch."""
        if isinstance(value, dict):
            branch = cls()
            for key, item in value.items():
                dict.__setitem__(branch, key, cls.of(item))
            return branch
        if type(value) in (list, tuple):
            return type(value)(map(cls.of, value))
        return value

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        if name.startswith("__"):
            raise AttributeError(name)
        raise unknown(name, self)

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __setitem__(self, key: Any, value: Any) -> None:
        # A copy, as in OpenMMLab: what the config does to its own value later is not seen here.
        dict.__setitem__(self, key, Branch.of(value))

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise unknown(name, self)
        del self[name]

    def __missing__(self, key: Any) -> Any:
        raise unknown(str(key), self)

    def copy(self) -> Branch:
        """Return a copy; what is below is shared."""
        return Branch(self)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Return the value of `key`, after setting it to a copy of `default` if there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *mappings: Any, **items: Any) -> None:
        """Take over items; mappings merge into the mappings that are there."""
        for given in (*map(dict, mappings), items):
            for key, value in given.items():
                old = self.get(key)
                if isinstance(old, Branch) and isinstance(value, dict):
                    old.update(value)
                else:
                    self[key] = value

    def merge(self, other: Mapping[Any, Any]) -> None:
        """Merge as a file over its base: `_delete_` replaces, indexes change items of a list."""
        found = merged(Layer(plain(self)), Layer(plain(other)))
        self.clear()
        self.update(found.values)


class Imported:
    """Something of another package that a config names without importing it."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __getattr__(self, name: str) -> Imported:
        if name.startswith("__"):
            raise AttributeError(name)
        return Imported(f"{self._path}.{name}")

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Refuse: nothing was imported."""
        raise ConfigTypeError(
            f"{self._path} is not imported while the config is read, so it cannot be called; "
            "write dict(type=…, …) and let it be built later"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Imported) and self._path == other._path

    def __hash__(self) -> int:
        return hash(self._path)

    def __repr__(self) -> str:
        return self._path


def plain(value: Any) -> Any:
    """Copy nested values down to plain dicts; what was imported lazily becomes its dotted name."""
    if isinstance(value, Imported):
        return repr(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(map(plain, value))
    return value
