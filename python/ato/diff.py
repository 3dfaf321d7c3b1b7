"""What differs between two nested mappings, by path."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ato import events
from ato.exceptions import ConfigTypeError, FingerprintError
from ato.fingerprints import value_hex
from ato.provenance import dotted, value_text

__all__ = ["Change", "Diff", "diff", "leaves"]


@dataclass(frozen=True, slots=True)
class Change:
    """A path whose value differs; `kind` is `type` where the types differ too."""

    a: Any
    b: Any
    kind: Literal["value", "type"]


@dataclass(frozen=True, slots=True)
class Diff:
    """The leaves that only one side has, and those that differ, by dotted path.

    True if there is any difference.
    """

    added: dict[str, Any] = field(default_factory=dict)
    removed: dict[str, Any] = field(default_factory=dict)
    changed: dict[str, Change] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def __str__(self) -> str:
        lines = [f"- {path}  {value_text(value)}" for path, value in self.removed.items()]
        lines += [f"+ {path}  {value_text(value)}" for path, value in self.added.items()]
        for path, change in self.changed.items():
            kinds = ""
            if change.kind == "type":
                kinds = f"  ({type(change.a).__name__} → {type(change.b).__name__})"
            lines.append(f"~ {path}  {value_text(change.a)} → {value_text(change.b)}{kinds}")
        return "\n".join(lines)


def diff(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> Diff:
    """Compare two nested mappings leaf by leaf.

    NaN equals NaN, `True` differs from `1`, `0.0` from `-0.0`; arrays and other objects compare by
    fingerprint. What has no fingerprint and is not the same object is reported as changed:
    a difference may be named twice, never missed.

    Raises:
        ConfigTypeError: one of the two is no mapping.
    """
    for side in (a, b):
        if not isinstance(side, Mapping):
            raise ConfigTypeError(f"a diff is of two mappings, not of {side!r:.80}")
    found = Diff()
    with events.quiet_reads():
        left, right = _by_path(a), _by_path(b)
        for path, value in left.items():
            if path not in right:
                found.removed[path] = value
            elif not _same(value, right[path]):
                same_type = type(value) is type(right[path])
                kind: Literal["value", "type"] = "value" if same_type else "type"
                found.changed[path] = Change(value, right[path], kind)
        found.added.update((path, value) for path, value in right.items() if path not in left)
    return found


def leaves(mapping: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Pair every leaf with its dotted path; an empty mapping is a leaf, and so is a list."""
    # A config's own `items` would count as reading every key.
    items = dict.items(mapping) if isinstance(mapping, dict) else mapping.items()
    for key, value in items:
        path = dotted(prefix, key)
        if isinstance(value, Mapping) and value:
            yield from leaves(value, path)
        else:
            yield path, value


def _by_path(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, value in leaves(mapping):
        # Keys of a class whose `repr` says little may share a path; neither may hide the other.
        while path in found:
            path += "'"
        found[path] = value
    return found


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return not a and not b
    if type(a) is not type(b):
        return False
    if isinstance(a, float) and type(a) is float:
        both_nan = math.isnan(a) and math.isnan(b)
        return both_nan or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if a is None or type(a) in (bool, int, str, bytes):
        return bool(a == b)
    try:
        return value_hex(a) == value_hex(b)
    except FingerprintError:
        return a is b
