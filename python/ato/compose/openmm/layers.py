"""What a config file and its bases come to: values, and every write to each leaf.

A leaf is what is no mapping, or an empty one: a list is one leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ato.compose.keys import did_you_mean, is_index, list_index
from ato.exceptions import ConfigFileError, UnknownKeyError
from ato.provenance import PLAIN, Origin, Write, value_text

__all__ = ["Layer", "PathKeys", "item_at", "leaves", "merged", "revised", "together", "unknown"]

PathKeys = tuple[str, ...]
_DELETE = "_delete_"


@dataclass(slots=True)
class Layer:
    """The values of a file with its bases, plain dicts, and path of a leaf → its writes.

    `imports` are the names that a Python file imported lazily; they are no values.
    """

    values: dict[Any, Any] = field(default_factory=dict)
    writes: dict[PathKeys, tuple[Write, ...]] = field(default_factory=dict)
    imports: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def written(cls, values: dict[Any, Any], origin: Callable[[PathKeys], Origin]) -> Layer:
        """Make the layer of one file."""
        return revised(cls(), values, origin)

    def place(self, path: PathKeys) -> str:
        """Return the `file:line` of a path: of its last write, or the first one below it."""
        for known, writes in self.writes.items():
            if known[: len(path)] == path:
                return writes[-1].origin.place
        return ""


def leaves(values: Mapping[Any, Any], path: PathKeys = ()) -> Iterator[tuple[PathKeys, Any]]:
    """Give every leaf with its path."""
    for key, value in values.items():
        below = (*path, str(key))
        if isinstance(value, dict) and value:
            yield from leaves(value, below)
        else:
            yield below, value


def revised(
    before: Layer,
    values: dict[Any, Any],
    origin: Callable[[PathKeys], Origin],
    rewritten: frozenset[str] = frozenset(),
) -> Layer:
    """Return the layer of `values`: what differs from `before` was written by `origin` of its path.

    Everything below a top-level name in `rewritten` counts as written, equal or not.
    """
    old = dict(leaves(before.values))
    after = Layer(values)
    for path, value in leaves(values):
        earlier = before.writes.get(path, ())
        if path in old and path[0] not in rewritten and _same(old[path], value):
            after.writes[path] = earlier
        else:
            after.writes[path] = (*earlier, _write(value, origin(path), earlier))
    return after


def together(layers: list[Layer], place: str) -> Layer:
    """Put the bases of one file side by side.

    Raises:
        ConfigFileError: a key stands in two of them.
    """
    whole = Layer()
    for layer in layers:
        for key in layer.values:
            if key in whole.values:
                path = (str(key),)
                raise ConfigFileError(
                    f"{place}: the key {key!r} stands in two bases, {whole.place(path)} and "
                    f"{layer.place(path)}; remove it from one, or let one be the base of the other"
                )
        whole.values.update(layer.values)
        whole.writes.update(layer.writes)
    return whole


def merged(base: Layer, child: Layer) -> Layer:
    """Merge `child` deeply over `base`.

    A mapping with a true `_delete_` replaces what it meets. Where a list stands in the base, a
    mapping whose keys are indexes changes its items.

    Raises:
        ConfigFileError: a mapping meets something else, or an index is out of range.
    """
    merge = _Merge(base, child)
    whole = Layer(merge.mappings(base.values, child.values, ()))
    for path, value in leaves(whole.values):
        earlier = base.writes.get(path, ())
        own = child.writes.get(path, ())
        if earlier and len(path) > 1 and path[-1] == _DELETE:
            own = ()  # what the child says there is an order to this merge, and no value
        if path in merge.made:
            own = (_write(value, merge.made[path], ()),)
        if earlier and own:
            own = (replace(own[0], replaced_text=earlier[-1].value_text), *own[1:])
        whole.writes[path] = (*earlier, *own)
    return whole


class _Merge:
    def __init__(self, base: Layer, child: Layer) -> None:
        self.base = base
        self.child = child
        # The leaves that are no leaf of the child, with who made them: lists of the base of which
        # an item changed, and mappings that `_delete_` alone left empty.
        self.made: dict[PathKeys, Origin] = {}

    def mappings(self, old: dict[Any, Any], new: dict[Any, Any], path: PathKeys) -> dict[Any, Any]:
        result = dict(old)
        for key, value in new.items():
            result[key] = self.value(old[key], value, (*path, str(key))) if key in old else value
        return result

    def value(self, old: Any, new: Any, path: PathKeys) -> Any:
        if not isinstance(new, dict):
            return new
        kept = {key: item for key, item in new.items() if key != _DELETE}
        if new.get(_DELETE, False):
            if not kept:
                self.made[path] = self._origin(path)
            return kept
        if isinstance(old, dict):
            return self.mappings(old, kept, path)
        if isinstance(old, (list, tuple)) and kept and all(map(is_index, kept)):
            return self.items(old, kept, path)
        raise ConfigFileError(
            f"{self.child.place(path)}: {'.'.join(path)} is a mapping here and "
            f"{'None' if old is None else f'a {type(old).__name__}'} in {self.base.place(path)}; "
            f"write {_DELETE}=True into the mapping to put it in the place of the other"
        )

    def items(
        self, old: list[Any] | tuple[Any, ...], new: dict[Any, Any], path: PathKeys
    ) -> list[Any] | tuple[Any, ...]:
        items = list(old)
        for key, value in new.items():
            below = (*path, str(key))
            index = list_index(key, len(items))
            if index is None:
                raise ConfigFileError(
                    f"{self.child.place(below)}: {'.'.join(path)} has no item {key!s:.80}; the list in "
                    f"{self.base.place(path)} has {len(items)}"
                )
            items[index] = self.value(items[index], value, below)
        self.made[path] = self._origin(path)
        return items if isinstance(old, list) else tuple(items)

    def _origin(self, path: PathKeys) -> Origin:
        return next(
            writes[-1].origin
            for known, writes in self.child.writes.items()
            if known[: len(path)] == path
        )


def item_at(values: Any, path: str, name: str) -> Any:
    """Return what stands at a dotted path, in which a number is an index of a list.

    Raises:
        UnknownKeyError: nothing does; the message has the nearest key.
    """
    value = values
    for part in path.split("."):
        if isinstance(value, (list, tuple)) and is_index(part):
            index = list_index(part, len(value))
            if index is None:
                raise UnknownKeyError(
                    f"{name}.{path:.80}: no item {part:.80}; the list has {len(value)}"
                )
            value = value[index]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            raise unknown(part, value, f"{name}.{path}: ")
    return value


def unknown(key: str, mapping: Any, before: str = "") -> UnknownKeyError:
    """Make the error for a key that a mapping does not have."""
    if not isinstance(mapping, dict):
        return UnknownKeyError(f"{before}no key {key!r}: a {type(mapping).__name__} has no keys")
    hint = did_you_mean(key, mapping) or f"; there is {', '.join(map(str, mapping)) or 'none'}"
    return UnknownKeyError(f"{before}no key {key!r}{hint}")


def _write(value: Any, origin: Origin, earlier: tuple[Write, ...]) -> Write:
    replaced = earlier[-1].value_text if earlier else None
    return Write(value_text(value), type(value).__name__, origin, replaced)


def _same(a: Any, b: Any) -> bool:
    """Whether two leaves are equal in value and type; objects of other kinds if they are one."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    return type(a) in PLAIN and bool(a == b)
