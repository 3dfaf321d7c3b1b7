"""How nodes are built of what is put in, told where they stand, and gone through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ato.adict.state import Branch, State, set_raw, set_state, state_of
from ato.exceptions import ConfigValueError
from ato.provenance import PLAIN, History, dotted

__all__ = ["adopted", "blank", "build", "detach", "fill", "nodes", "place", "recorded_leaves"]


def blank(cls: type[Branch]) -> Branch:
    """Make a node without calling its `__init__`."""
    return dict.__new__(cls)


def fill(
    node: Branch, items: Iterable[tuple[Any, Any]], state: State, holder: Branch | None = None
) -> None:
    """Put items into a new node, which is to stand below `holder`."""
    prefix = state.prefix
    for key, value in items:
        if type(value) not in PLAIN:
            value = adopted(value, dotted(prefix, key), state, holder)
        set_raw(node, key, value)


def build(
    items: Iterable[tuple[Any, Any]], prefix: str, like: State, holder: Branch | None = None
) -> Branch:
    """Make a node at `prefix` of a config whose history and kind are those of `like`.

    Raises:
        ConfigValueError: a mapping contains itself, or the config in which `holder` stands.
    """
    node = dict.__new__(Branch.branch_class)
    state = State(prefix, like.history, like.auto)
    set_state(node, state)
    try:
        fill(node, items, state, holder)
    except RecursionError:
        raise ConfigValueError(
            f"{prefix[:60]}…: nested too deeply; does a mapping contain itself?"
        ) from None
    return node


def adopted(value: Any, path: str, state: State, holder: Branch | None) -> Any:
    """Convert a value for the place `path` below `holder`, a node with `state`.

    Raises:
        ConfigValueError: the value is a config in which `holder` stands.
    """
    if isinstance(value, Branch):
        own = state_of(value)
        if not own.prefix and own.history is None:
            _refuse_cycle(value, path, holder)
            place(value, path, state.history)
            return value
        copied = build(dict.items(value), path, state, holder)
        state_of(copied).default = own.default
        return copied
    if isinstance(value, Mapping):
        return build(value.items(), path, state, holder)
    if type(value) is list:
        return _adopted_items(value, path, state, holder)
    if isinstance(value, tuple):
        items = _adopted_items(value, path, state, holder)
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _adopted_items(
    values: Iterable[Any], path: str, state: State, holder: Branch | None
) -> list[Any]:
    items = []
    for index, item in enumerate(values):
        if type(item) not in PLAIN:
            item = adopted(item, f"{path}[{index}]", state, holder)
            if isinstance(item, Branch):
                for node in nodes(item):
                    state_of(node).listed = True
        items.append(item)
    return items


def _refuse_cycle(value: Branch, path: str, holder: Branch | None) -> None:
    # A node at the root of its config can only be inside of another by being the other.
    if holder is None or (value is not holder and not state_of(holder).prefix):
        return
    if any(node is holder for node in nodes(value)):
        raise ConfigValueError(f"{path}: a config cannot contain itself; put in a clone")


def place(node: Branch, prefix: str, history: History | None) -> None:
    """Tell a node and those below where they stand now, and who records."""
    state = state_of(node)
    state.prefix = prefix
    state.history = history
    state.pending = None
    for key, value in dict.items(node):
        if type(value) not in PLAIN:
            _place_below(value, dotted(prefix, key), history)


def _place_below(value: Any, path: str, history: History | None) -> None:
    if isinstance(value, Branch):
        place(value, path, history)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _place_below(item, f"{path}[{index}]", history)


def detach(value: Any) -> None:
    """Make the nodes of a value that was taken out free: without a place, and without a record."""
    if isinstance(value, Branch):
        place(value, "", None)
        _unlist(value)
    elif isinstance(value, (list, tuple)):
        for item in value:
            detach(item)


def _unlist(node: Branch) -> None:
    state_of(node).listed = False
    for value in dict.values(node):
        if isinstance(value, Branch):
            _unlist(value)


def nodes(node: Branch) -> Iterator[Any]:
    """Go through a node and all below, those inside lists too."""
    yield node
    for value in dict.values(node):
        if type(value) not in PLAIN:
            yield from _nodes_in(value)


def _nodes_in(value: Any) -> Iterator[Any]:
    if isinstance(value, Branch):
        yield from nodes(value)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _nodes_in(item)


def recorded_leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Pair what the history keeps of a value with its path: leaves, also of mappings in lists.

    A list is a leaf, and so is each leaf of a mapping that stands in it.
    """
    if isinstance(value, Branch) and dict.__len__(value):
        for key, item in dict.items(value):
            if type(item) in PLAIN:
                yield dotted(path, key), item
            else:
                yield from recorded_leaves(item, dotted(path, key))
    else:
        yield path, value
        if isinstance(value, (list, tuple)):
            yield from _listed_leaves(value, path)


def _listed_leaves(values: Iterable[Any], path: str) -> Iterator[tuple[str, Any]]:
    for index, item in enumerate(values):
        if isinstance(item, Branch):
            yield from recorded_leaves(item, f"{path}[{index}]")
        elif isinstance(item, (list, tuple)):
            yield from _listed_leaves(item, f"{path}[{index}]")
