"""Copies of a config in this process, and by pickle."""

from __future__ import annotations

import copy
from typing import Any

from ato.adict.node import report_own, watched
from ato.adict.state import Branch, State, set_raw, set_state, state_of
from ato.adict.tree import blank
from ato.events import reads_are_quiet
from ato.provenance import MISSING, PLAIN

__all__ = ["copy_of", "reduced", "restore"]


def copy_of(node: Branch, memo: dict[int, Any], *, deep: bool) -> Any:
    """Copy a node and the branches below; a copy can be written to, also where the node was frozen."""
    known = memo.get(id(node))
    if known is not None:
        return known
    copied = memo[id(node)] = blank(type(node))
    state = state_of(node)
    history = None if state.history is None else copy.deepcopy(state.history, memo)
    new = State(state.prefix, history, state.auto)
    new.default, new.listed = state.default, state.listed
    new.notes = None if state.notes is None else dict(state.notes)
    set_state(copied, new)
    for key, value in dict.items(node):
        if isinstance(value, Branch):
            value = copy_of(value, memo, deep=deep)
        elif deep and type(value) not in PLAIN:
            value = copy.deepcopy(value, memo)
        set_raw(copied, key, value)
    return copied


def reduced(node: Branch) -> tuple[Any, ...]:
    """Take a node apart for pickle: how to make it, and what `restore` takes."""
    # Not `dict.copy`: of a subclass that can be iterated otherwise, it asks for the keys.
    content = dict(dict.items(node))
    state = state_of(node)
    # Whoever receives the pickle may read everything, and nobody would see it. The branches
    # report their own leaves when their turn comes.
    if not reads_are_quiet():
        report_own(state, content, watched(state))
    special = state.frozen or state.auto or state.listed or state.default is not MISSING
    if special or state.notes is not None:
        flags = (state.frozen, state.auto, state.listed, state.default, state.notes)
        return blank, (type(node),), (content, state.prefix, state.history, *flags)
    if state.history is not None:
        return blank, (type(node),), (content, state.prefix, state.history)
    return blank, (type(node),), (content, state.prefix)


def restore(node: Branch, pickled: tuple[Any, ...]) -> None:
    """Put a node together from what `reduced` gave."""
    state = State(pickled[1], pickled[2] if len(pickled) > 2 else None)
    if len(pickled) > 3:
        state.frozen, state.auto, state.listed, state.default, state.notes = pickled[3:]
    set_state(node, state)
    dict.update(node, pickled[0])
