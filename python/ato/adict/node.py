"""One node of a config: what a read reports, what a write records, and where the node stands.

Reading a leaf is on the hot path of every training loop. Reads therefore go through
`__getattribute__`, which finds keys before Python builds the `AttributeError` that `__getattr__`
would wait for; that is three times as fast. Each node keeps what Ato must know about it in one
slotted object.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ato.adict.state import (
    ACTING_NOTES,
    FOR_GOOD,
    NOTES,
    Branch,
    State,
    get_or,
    get_raw,
    set_raw,
    state_of,
)
from ato.adict.structure import plain
from ato.adict.tree import adopted, build, detach, place, recorded_leaves
from ato.events import current_frame, note_read, quiet_reads, reads_are_quiet
from ato.exceptions import (
    ConfigTypeError,
    ConfigValueError,
    FrozenConfigError,
    UnknownKeyError,
)
from ato.fingerprints import value_hex
from ato.provenance import MISSING, PLAIN, History, Source, Write, dotted

__all__ = [
    "Node",
    "attached",
    "frozen_error",
    "handed_out",
    "has_note",
    "join",
    "pairs",
    "record_branch",
    "report_below",
    "report_own",
    "reserve",
    "unknown_key",
    "watched",
]

_get_attribute = dict.__getattribute__
# The names that are methods of a config, and therefore no keys when written as attributes.
_reserved: frozenset[str] = frozenset()


class Node(Branch):
    """A mapping whose keys are attributes too, which reports reads and records writes."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        if name in _reserved:
            return _get_attribute(self, name)
        try:
            value = get_raw(self, name)
        except KeyError:
            return _missing_attribute(self, name)
        if isinstance(value, Branch):
            return value
        state = state_of(self)
        state.reads.add(name)
        history = state.history
        if (history is not None and history.source is not None) or current_frame() is not None:
            _report(state, name, value)
        return value

    def __getitem__(self, key: Any) -> Any:
        if type(key) is tuple:
            return [self[name] for name in key]
        try:
            value = get_raw(self, key)
        except KeyError:
            return _missing(self, key)
        if isinstance(value, Branch):
            return value
        state = state_of(self)
        state.reads.add(key)
        history = state.history
        if (history is not None and history.source is not None) or current_frame() is not None:
            _report(state, key, value)
        return value

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of `key`, or `default` (not the config's own) where there is none."""
        if dict.__contains__(self, key) or has_note(self, key):
            return self[key]
        _report_absent(self, key)
        return default

    def __contains__(self, key: object) -> bool:
        found = dict.__contains__(self, key)
        if found:
            value = get_raw(self, key)
            if not isinstance(value, Branch):
                state = state_of(self)
                state.reads.add(key)
                _report(state, key, value)
        elif has_note(self, key):
            found = True
        else:
            _report_absent(self, key)
        return found

    def __iter__(self) -> Iterator[Any]:
        report_below(self)
        return dict.__iter__(self)

    def __reversed__(self) -> Iterator[Any]:
        report_below(self)
        return dict.__reversed__(self)

    def keys(self) -> Any:
        """Return the keys; every value below counts as read."""
        report_below(self)
        return dict.keys(self)

    def values(self) -> Any:
        """Return the values; every value below counts as read."""
        report_below(self)
        return dict.values(self)

    def items(self) -> Any:
        """Return the items; every value below counts as read."""
        report_below(self)
        return dict.items(self)

    def __eq__(self, other: object) -> bool:
        for side in (self, other):
            if isinstance(side, Node):
                report_below(side)
        with quiet_reads():
            return dict.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        equal = Node.__eq__(self, other)
        return equal if equal is NotImplemented else not equal

    __hash__ = None  # type: ignore[assignment]

    def __setitem__(self, key: Any, value: Any) -> None:
        if type(key) is tuple:
            _set_many(self, key, value)
            return
        state = state_of(self)
        if state.frozen:
            raise frozen_error(state, key)
        if state.pending is not None:
            target = attached(self)
            if target is not self:
                target[key] = value
                return
        if state.notes is not None and key in NOTES:
            state.notes[key] = value
            return
        history = state.history
        if history is None:
            if type(value) not in PLAIN:
                value = adopted(value, dotted(state.prefix, key), state, self)
            set_raw(self, key, value)
            return
        old = get_or(self, key, MISSING)
        path = dotted(state.prefix, key)
        if type(value) in PLAIN and (old is MISSING or type(old) in PLAIN):
            set_raw(self, key, value)
            history.record(path, value, old)
        elif value is not old or not isinstance(old, Branch):
            _set_recorded(self, key, value, _carried_writes(value, history))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _reserved:
            raise ConfigTypeError(
                f"{name!r} is a method of every config; as a key write config[{name!r}] = …"
            )
        self[name] = value

    def __delitem__(self, key: Any) -> None:
        state = state_of(self)
        keys = dict.fromkeys(key) if type(key) is tuple else (key,)
        for name in keys:
            if state.frozen:
                raise frozen_error(state, name)
            if not dict.__contains__(self, name) and not has_note(self, name):
                raise unknown_key(self, name)
        for name in keys:
            if state.notes is not None and state.notes.pop(name, MISSING) is not MISSING:
                continue
            old = dict.pop(self, name)
            if state.history is not None:
                record_branch(state.history, dotted(state.prefix, name), MISSING, old, {})
            elif type(old) not in PLAIN:
                detach(old)

    def __delattr__(self, name: str) -> None:
        del self[name]


def reserve(cls: type[Node]) -> None:
    """Make `cls` the class that mappings become, and its methods' names no attributes for keys."""
    global _reserved  # noqa: PLW0603 (set once, when the class is made)
    Branch.branch_class = cls
    _reserved = frozenset(dir(cls))


def pairs(mapping: Any) -> Iterable[tuple[Any, Any]]:
    """Return the items of a mapping or of an iterable of pairs; a config's without a report."""
    if type(mapping) is dict:
        return mapping.items()
    if isinstance(mapping, Node):
        report_below(mapping)
        return dict.items(mapping)
    if isinstance(mapping, Mapping):
        return mapping.items()
    try:
        found = list(mapping)
    except TypeError:
        found = [None]
    for pair in found:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ConfigTypeError(
                f"a config is made of mappings and pairs (key, value), not of {mapping!r:.80}"
            )
    return found


# -------------------------------------------------------------------- reads


def _report(state: State, key: Any, value: Any) -> None:
    if state.listed:
        return
    history = state.history
    if history is not None and type(history.source) is Source:
        # A view is no code factor: what it reads says what it derived from, and is no read of the
        # call that happened to apply the scope.
        history.source.reads.append((history.name, dotted(state.prefix, key)))
    else:
        name = None if history is None else history.name
        note_read(dotted(state.prefix, key), value, value_hex, name)


def _report_absent(node: Node, key: Any) -> None:
    """A key that is looked for and missing is a fact about the config too."""
    if current_frame() is not None:
        state = state_of(node)
        history = state.history
        if history is None or history.source is None:
            name = None if history is None else history.name
            note_read(dotted(state.prefix, key), MISSING, lambda _: "absent", name)


def report_below(node: Branch) -> None:
    """Report every leaf below a node as read, unless Ato itself is reading."""
    if not reads_are_quiet():
        _report_leaves(node, watched(state_of(node)))


def handed_out(node: Branch) -> dict[Any, Any]:
    """Copy a node down to plain dicts; every leaf below counts as read."""
    if reads_are_quiet():
        return plain(node)  # type: ignore[no-any-return]
    return _handed_out(node, watched(state_of(node)))


def _handed_out(node: Branch, seen: bool) -> dict[Any, Any]:
    content = dict(dict.items(node))
    report_own(state_of(node), content, seen)
    for key, value in content.items():
        if type(value) not in PLAIN:
            branch = isinstance(value, Branch)
            content[key] = _handed_out(value, seen) if branch else plain(value)
    return content


def report_own(state: State, content: dict[Any, Any], seen: bool) -> None:
    """Report every leaf of a node with this state and content as read; those below are not."""
    # Keys of branches get in as well; `accessed_keys` passes over them.
    state.reads.update(content)
    if seen:
        for key, value in content.items():
            if not isinstance(value, Branch):
                _report(state, key, value)


def watched(state: State) -> bool:
    """Whether anybody listens to the reads of a node with this state."""
    history = state.history
    return current_frame() is not None or (history is not None and history.source is not None)


def _report_leaves(node: Branch, seen: bool) -> None:
    state = state_of(node)
    state.reads.update(dict.keys(node))
    for key, value in dict.items(node):
        if isinstance(value, Branch):
            _report_leaves(value, seen)
        elif seen:
            _report(state, key, value)


# -------------------------------------------------------------------- missing keys


def has_note(node: Branch, key: object) -> bool:
    """Whether a search wrote this note on a config."""
    notes = state_of(node).notes
    return notes is not None and key in notes


def _noted(notes: dict[str, Any], key: str) -> Any:
    value = notes[key]
    if key in ACTING_NOTES and current_frame() is not None:
        # No part of the config, and still what the call went by: a trial that trains longer has
        # another result for that reason.
        note_read(key, value, value_hex)
    return value


def _missing_attribute(node: Node, name: str) -> Any:
    notes = state_of(node).notes
    if notes is not None and name in notes:
        return _noted(notes, name)
    if type(node) is not Branch.branch_class and hasattr(type(node), name):
        return _get_attribute(node, name)  # a subclass has methods of its own
    if name.startswith("_"):
        # Python and notebooks ask objects for many such names; none may spring into being.
        raise unknown_key(node, name) from None
    return _missing(node, name)


def _missing(node: Node, key: Any) -> Any:
    state = state_of(node)
    if state.notes is not None and key in state.notes:
        return _noted(state.notes, key)
    if state.default is not MISSING:
        if not callable(state.default):
            return state.default
        node[key] = state.default()
        return get_raw(node, key)
    if state.auto and not state.frozen:
        found = build((), dotted(state.prefix, key), state)
        state_of(found).pending = (node, key)
        return found
    _report_absent(node, key)
    raise unknown_key(node, key) from None


def attached(node: Branch) -> Branch:
    """Attach an auto node to its parent before the first write; return the node that stands there."""
    state = state_of(node)
    if state.pending is None:
        return node
    parent, key = state.pending
    parent = attached(parent)
    existing = get_or(parent, key, MISSING)
    if existing is MISSING:
        if state_of(parent).frozen:
            raise frozen_error(state_of(parent), key)
        set_raw(parent, key, node)
        state.pending = None
        return node
    if not isinstance(existing, Branch):
        raise ConfigTypeError(
            f"cannot write below {state.prefix!r}: it holds a {type(existing).__name__}"
        )
    return existing


def unknown_key(node: Node, key: Any) -> UnknownKeyError:
    """Make the error for a missing key, with whatever is known about where it should come from."""
    state = state_of(node)
    history = state.history
    text = f"no key {key!r}" + (f" in {state.prefix!r}" if state.prefix else "")
    hint = None
    if history is not None and history.hint is not None and isinstance(key, str):
        hint = history.hint(dotted(state.prefix, key))
    near = difflib.get_close_matches(str(key), [str(name) for name in dict.keys(node)], 1)
    if hint is not None:
        text += f"; {hint}"
    elif near:
        text += f"; did you mean {near[0]!r}?"
    elif history is not None and type(history.source) is Source:
        text += (
            f"; before writing below it, make it: config.{dotted(state.prefix, key)} = ADict(…), "
            "or use Scope(config=ADict.auto())"
        )
    return UnknownKeyError(text)


# -------------------------------------------------------------------- writes


def _set_many(node: Node, keys: tuple[Any, ...], values: Any) -> None:
    if not isinstance(values, (list, tuple)) or len(values) != len(keys):
        raise ConfigValueError(f"{len(keys)} keys take a list of as many values, not {values!r}")
    for key, value in zip(keys, values, strict=True):
        node[key] = value


def frozen_error(state: State, key: Any) -> FrozenConfigError:
    """Make the error for a write to a frozen node."""
    path = dotted(state.prefix, key)
    if state.frozen == FOR_GOOD:
        return FrozenConfigError(f"cannot write {path!r}: this config is immutable; clone() it")
    return FrozenConfigError(f"cannot write {path!r}: the config is frozen; defrost() it first")


def join(node: Branch, other: Branch) -> None:
    """Set the items of another config, each with the history that it has there."""
    theirs = state_of(other)
    report_below(other)
    if theirs.history is None:
        for key, value in dict.items(other):
            node[key] = value
        return
    state = state_of(node)
    if state.history is None:
        place(node, state.prefix, History())
    for key, value in dict.items(other):
        if state.frozen:
            raise frozen_error(state, key)
        carried = _writes_below(value, theirs.history, dotted(theirs.prefix, key))
        _set_recorded(node, key, value, carried)


def _set_recorded(node: Branch, key: Any, value: Any, carried: dict[str, list[Write]]) -> None:
    state = state_of(node)
    assert state.history is not None, "only a config with a history records"
    old, path = get_or(node, key, MISSING), dotted(state.prefix, key)
    value = adopted(value, path, state, node)
    set_raw(node, key, value)
    record_branch(state.history, path, value, old, carried)


def _carried_writes(value: Any, into: History) -> dict[str, list[Write]]:
    """The writes that a config brings along from another history, by path below it."""
    if not isinstance(value, Branch):
        return {}
    state = state_of(value)
    if state.history is None or state.history is into:
        return {}
    return _writes_below(value, state.history, state.prefix)


def _writes_below(value: Any, history: History, name: str) -> dict[str, list[Write]]:
    return {
        path[len(name) :].lstrip("."): writes
        for path, _ in recorded_leaves(value, name)
        if (writes := history.writes(path))
    }


def record_branch(
    history: History, path: str, value: Any, old: Any, carried: dict[str, list[Write]]
) -> None:
    """Record a write where a branch or a list comes or goes: leaf by leaf."""
    before = {} if old is MISSING else dict(recorded_leaves(old, path))
    after = {} if value is MISSING else dict(recorded_leaves(value, path))
    for name, gone in before.items():
        if name not in after:
            history.record(name, MISSING, gone)
    for name, leaf in after.items():
        writes = carried.get(name[len(path) :].lstrip("."))
        if writes:
            history.add(name, writes)
        else:
            history.record(name, leaf, before.get(name, MISSING))
    detach(old)
