"""Merging into a config: planned first, so that an error leaves the config as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ato.adict.node import frozen_error, pairs
from ato.adict.state import Branch, get_or, state_of
from ato.adict.tree import adopted
from ato.provenance import MISSING, PLAIN, dotted

__all__ = ["add_absent", "merge", "merge_like_mm", "refuse_frozen"]

# Node by node, what is to be set there.
_Plan = list[tuple[Branch, dict[Any, Any]]]
_Items = Iterable[tuple[Any, Any]]


def merge(node: Branch, given: Iterable[_Items], *, deep: bool) -> None:
    """Set items; where `deep`, mappings merge into the branches that are there."""
    _apply(_update_below if deep else _update, node, given)


def add_absent(node: Branch, given: Iterable[_Items], *, deep: bool) -> None:
    """Set the items whose keys are missing; where `deep`, inside of branches too."""
    _apply(_add_below if deep else _add, node, given)


def merge_like_mm(node: Branch, given: Iterable[_Items]) -> None:
    """Merge deeply; a mapping with a true `_delete_` replaces the branch."""
    _apply(_update_like_mm, node, given)


def refuse_frozen(node: Branch, values: Mapping[Any, Any]) -> None:
    """Raise `FrozenConfigError` if a deep merge of `values` meets a frozen node."""
    state = state_of(node)
    for key, value in values.items():
        branch = get_or(node, key) if isinstance(value, Mapping) else None
        if isinstance(branch, Branch):
            refuse_frozen(branch, value)
        elif state.frozen:
            raise frozen_error(state, key)


def _apply(
    plan: Callable[[_Plan, Branch, _Items], None], node: Branch, given: Iterable[_Items]
) -> None:
    for items in given:
        planned: _Plan = []
        plan(planned, node, items)
        for target, values in planned:
            state = state_of(target)
            if values and state.frozen:
                raise frozen_error(state, next(iter(values)))
        for target, values in planned:
            _set(target, values)


def _set(node: Branch, values: dict[Any, Any]) -> None:
    state = state_of(node)
    if state.history is not None or state.pending is not None or state.notes is not None:
        for key, value in values.items():
            node[key] = value
        return
    for key, value in values.items():
        if type(value) not in PLAIN:
            values[key] = adopted(value, dotted(state.prefix, key), state, node)
    dict.update(node, values)


def _update(planned: _Plan, node: Branch, items: _Items) -> None:
    planned.append((node, dict(items)))


def _update_below(planned: _Plan, node: Branch, items: _Items) -> None:
    own: dict[Any, Any] = {}
    planned.append((node, own))
    for key, value in items:
        if type(value) not in PLAIN and isinstance(value, (dict, Mapping)):
            branch = get_or(node, key)
            if isinstance(branch, Branch):
                _update_below(planned, branch, pairs(value))
                continue
        own[key] = value


def _add(planned: _Plan, node: Branch, items: _Items) -> None:
    own: dict[Any, Any] = {}
    planned.append((node, own))
    for key, value in items:
        if not dict.__contains__(node, key):
            own.setdefault(key, value)


def _add_below(planned: _Plan, node: Branch, items: _Items) -> None:
    own: dict[Any, Any] = {}
    planned.append((node, own))
    for key, value in items:
        branch = get_or(node, key, MISSING)
        if branch is MISSING:
            own.setdefault(key, value)
        elif isinstance(branch, Branch) and isinstance(value, Mapping):
            _add_below(planned, branch, pairs(value))


def _update_like_mm(planned: _Plan, node: Branch, items: _Items) -> None:
    own: dict[Any, Any] = {}
    planned.append((node, own))
    for key, value in items:
        if not isinstance(value, Mapping):
            own[key] = value
            continue
        branch = get_or(node, key)
        if isinstance(branch, Branch) and not value.get("_delete_", False):
            inner = [(name, item) for name, item in pairs(value) if name != "_delete_"]
            _update_like_mm(planned, branch, inner)
        else:
            own[key] = _without_delete(value)


def _without_delete(mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    return {
        key: _without_delete(value) if isinstance(value, Mapping) else value
        for key, value in pairs(mapping)
        if key != "_delete_"
    }
