"""Values merged over each other, with every write to every leaf."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ato.compose.interpolation import is_interpolation
from ato.compose.keys import list_index
from ato.compose.resolution import (
    Path,
    Resolution,
    dotted_path,
    is_mandatory,
    unknown_path,
)
from ato.exceptions import ConfigTypeError, UnknownKeyError
from ato.provenance import Origin, Write, value_text

__all__ = ["Layers"]

# Gives the origin of the value at a path of texts, inside of what is merged.
OriginOf = Callable[[tuple[str, ...]], Origin]


class Layers:
    """A config that grows by merging; OmegaConf's rules.

    Mappings merge key by key, anything else replaces what was there. `???` replaces nothing. Where
    a mapping meets a reference to another one (`${base}`), it merges into a copy of that.
    """

    def __init__(self) -> None:
        self.values: dict[Any, Any] = {}
        self._log: dict[Path, list[tuple[Any, Origin]]] = {}

    def merge(self, values: Mapping[Any, Any], origin: OriginOf, above: Path = ()) -> None:
        """Merge `values` at the key `above`, which comes into being where it is not there.

        Raises:
            ConfigTypeError: a mapping meets a list, or a list a mapping.
        """
        for key in reversed(above):
            values = {key: values}
        self._merge(self.values, values, (), (), lambda path: origin(path[len(above) :]))

    def set(self, path: Path, value: Any, origin: Origin) -> None:
        """Merge one value at `path`, whose keys may be indexes of lists.

        Raises:
            ConfigTypeError: something else than a mapping stands on the way there.
            UnknownKeyError: a list has no such index.
        """
        target, above = self._walked(path[:-1], origin)
        if isinstance(target, list):
            target[self._index(target, above, path[-1], origin)] = value
            while above and above not in self._log:
                above = above[:-1]
            self._note(above, None, origin)
        else:
            self._merge(target, {path[-1]: value}, above, (), lambda _: origin)

    def delete(self, path: Path, origin: Origin | None = None) -> None:
        """Remove what stands at `path`.

        Raises:
            UnknownKeyError: there is no such key, and it was asked for, by `origin`.
        """
        *above, last = path
        target: Any = self.values
        for key in above:
            target = target.get(key) if isinstance(target, dict) else None
        if isinstance(target, dict) and last in target:
            del target[last]
            self._forget(path)
        elif isinstance(target, list):
            raise UnknownKeyError(
                f"{origin.place if origin else ''}: cannot delete {dotted_path(path)!r}: items of "
                f"a list are not removed one by one; override {dotted_path(path[:-1])!r} as a whole"
            )
        elif origin is not None:
            raise unknown_path(self.values, dotted_path(path), f"{origin.place}: cannot delete: ")

    def place(self, path: Path) -> str:
        """Return file and line of what stands at `path`."""
        origin = self._origin(path)
        return origin.place if origin is not None else ""

    def mandatory(self) -> Iterator[Path]:
        """Go through the paths whose value is still `???`."""
        return (path for path, value in _leaves(self.values, ()) if is_mandatory(value))

    def resolved(self) -> tuple[dict[Any, Any], dict[tuple[str, ...], list[Write]]]:
        """Return the values without interpolations, and the writes to each leaf."""
        resolution = Resolution(self.values, self.place)
        values = resolution.value()
        writes = {}
        derived = _derived(resolution.references)
        for path, value in _leaves(values, (), lists=False):
            log = self._log.get(path)
            if log is None:
                origin = self._origin(path)
                assert origin is not None, "every value comes from somewhere"
                log = [(value, origin)]
            writes[tuple(map(str, path))] = _as_writes(log, value, derived(path))
        return values, writes

    def _origin(self, path: Path) -> Origin | None:
        for length in range(len(path), 0, -1):
            log = self._log.get(path[:length])
            if log:
                return log[-1][1]
        return None

    def _merge(
        self,
        target: dict[Any, Any],
        values: Mapping[Any, Any],
        path: Path,
        inside: tuple[str, ...],
        origin: OriginOf,
    ) -> None:
        for key, value in values.items():
            below, inner = (*path, key), (*inside, str(key))
            if isinstance(value, Mapping):
                branch = self._branch(target, below, key)
                self._refuse_mix(target, below, value, origin(inner))
                if branch is None:
                    if key in target:
                        self._forget(below)
                    branch = target[key] = {}
                    self._note(below, {}, origin(inner))
                self._merge(branch, value, below, inner, origin)
            elif key not in target or not is_mandatory(value):
                self._refuse_mix(target, below, value, origin(inner))
                if isinstance(target.get(key), dict):
                    self._forget(below)
                target[key] = _copied(value)
                self._note(below, value, origin(inner))

    def _refuse_mix(
        self, target: dict[Any, Any], path: Path, value: object, origin: Origin
    ) -> None:
        """A list in the place of a mapping, or the other way round, is a slip and no choice."""
        there = target.get(path[-1])
        if {type(there), dict if isinstance(value, Mapping) else type(value)} == {dict, list}:
            raise self._mixed(path, there, value, origin)

    def _mixed(self, path: Path, there: object, value: object, origin: Origin) -> ConfigTypeError:
        is_, was = ("list" if isinstance(one, list) else "mapping" for one in (value, there))
        return ConfigTypeError(
            f"{origin.place}: a {is_} cannot be merged into {dotted_path(path)!r}, which is a "
            f"{was} already ({self.place(path)}); rename one of them"
        )

    def _walked(self, path: Path, origin: Origin) -> tuple[Any, Path]:
        target: Any = self.values
        walked: Path = ()
        for key in path:
            target, walked = self._entered(target, walked, key, origin)
        return target, walked

    def _branch(self, target: dict[Any, Any], path: Path, key: Any) -> dict[Any, Any] | None:
        """Return the mapping at a key, put in the place of a reference to it where it is one."""
        branch = target.get(key)
        if is_interpolation(branch):
            found = Resolution(self.values, self.place).target(path)
            branch = target[key] = _copied(found) if isinstance(found, dict) else branch
        return branch if isinstance(branch, dict) else None

    def _entered(self, target: Any, path: Path, key: str, origin: Origin) -> tuple[Any, Path]:
        if isinstance(target, list):
            index = self._index(target, path, key, origin)
            return target[index], (*path, index)
        below = (*path, key)
        branch = self._branch(target, below, key)
        if branch is None:
            there = target.get(key)
            if isinstance(there, list):
                return there, below
            if there is not None and not is_mandatory(there):
                raise ConfigTypeError(
                    f"{origin.place}: cannot write below {dotted_path(below)!r}: it is "
                    f"{value_text(there)} ({self.place(below)})"
                )
            branch = target[key] = {}
            self._note(below, {}, origin)
        return branch, below

    def _index(self, target: list[Any], path: Path, key: str, origin: Origin) -> int:
        index = list_index(key, len(target))
        if index is None:
            raise UnknownKeyError(
                f"{origin.place}: no item {key:.80} in {dotted_path(path)!r} "
                f"({self.place(path)}); the list has {len(target)}"
            )
        return index

    def _note(self, path: Path, value: Any, origin: Origin) -> None:
        self._log.setdefault(path, []).append((_copied(value), origin))

    def _forget(self, path: Path) -> None:
        for other in [other for other in self._log if other[: len(path)] == path]:
            del self._log[other]


def _leaves(value: Any, path: Path, *, lists: bool = True) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key), lists=lists)
    elif isinstance(value, list) and lists:
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index), lists=lists)
    elif path:
        yield path, value


def _copied(value: Any) -> Any:
    """Copy the containers; what they hold may be anything, and is the caller's."""
    if type(value) is dict:
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if type(value) is list else value


def _derived(references: Mapping[Path, list[str]]) -> Callable[[Path], tuple[str, ...]]:
    """Return what gives the keys that a leaf was derived from.

    They stand in its own text, in one inside it (a list's items), or in one above it, where a
    reference to a mapping was.
    """
    inside: dict[Path, list[str]] = {}
    for place, names in references.items():
        for length in range(len(place)):
            inside.setdefault(place[:length], []).extend(names)

    def of(path: Path) -> tuple[str, ...]:
        found = dict.fromkeys(inside.get(path, ()))
        for length in range(len(path) + 1):
            found.update(dict.fromkeys(references.get(path[:length], ())))
        return tuple(found)

    return of


def _as_writes(log: list[tuple[Any, Origin]], value: Any, derived: tuple[str, ...]) -> list[Write]:
    writes = []
    before: str | None = None
    for given, origin in [*log[:-1], (value, log[-1][1])]:
        text = value_text(given)
        writes.append(Write(text, type(given).__name__, origin, before))
        before = text
    last = writes[-1]
    writes[-1] = Write(last.value_text, last.type, last.origin, last.replaced_text, derived)
    return writes
