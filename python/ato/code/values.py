"""Module-level values: the statements that bind them, and what they hold now."""

from __future__ import annotations

import functools
from enum import Enum
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ato.code.digests import logic_digest
from ato.code.graph import Key, Node, State
from ato.code.held import (
    SEARCHED,
    Content,
    bounded,
    cell_value,
    global_value,
    is_data,
    is_state,
)
from ato.code.kinds import PLAIN_CONTAINERS, is_ato, is_plain, items_of, no_state
from ato.code.modules import MISSING, Module

if TYPE_CHECKING:
    from ato.code.walk import Walk

__all__ = ["Values"]

_VALUE_WIDTH = 80


class Values:
    """The part of a walk that looks into values."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self._valued: set[Key] = set()

    def named(self, module: Module, name: str, hold: bool = True) -> Node:
        """The node of a module-level name that is no function and no class.

        With `hold` the present value counts too: itself if it is plain, else the code that it holds.
        """
        key = (module.name, name)
        node = self.walk.node_of(module, name, "value", module.path or "")
        value = module.value(name)
        binding = module.binding(name)
        if hold and key not in self.walk.held:
            self.walk.held.add(key)
            imported = binding.value is not None and not binding.assigned
            # What an import brings in is followed by whoever names it.
            if module.rebinds(name):
                self.walk.todo.append(lambda: self._hold_state(node, module, name, value))
            elif value is not MISSING and not imported and not is_ato(value):
                self.walk.todo.append(lambda: self._hold_global(node, module, name, value))
        if key in self._valued:
            return node
        self._valued.add(key)
        source = module.source
        if binding.value is None or source is None or source.definitions is None:
            node.parts["", 0, 0] = logic_digest(("unbound in its file", name))
        else:
            definition = source.definitions.definitions[binding.value]
            self.walk.todo.append(
                lambda: self.walk.placing.place(node, module, source, definition, None)
            )
        return node

    def _hold_global(self, node: Node, module: Module, name: str, value: Any) -> None:
        content = self.hold(node, value)
        if content[0] == "code" and self._tells_all(value):
            # `inner = closed(3)`: the 3 is charged to the function that holds it, and only there.
            node.told_by = logic_digest(("holds", content))
        if is_state(content):
            self._read_state(node, module, name)

    def _hold_state(self, node: Node, module: Module, name: str, value: Any) -> None:
        """A name that functions rebind is state, also where it is unbound or plain at present."""
        if is_ato(value):
            return
        if value is not MISSING:
            self.walk.reach(node, "holds", value)
        self._read_state(node, module, name)

    def _read_state(self, node: Node, module: Module, name: str) -> None:
        if module.namespace is not None:
            get = functools.partial(global_value, module.namespace, name)
            node.states.append(State(name, "global", get))

    def _tells_all(self, value: Any) -> bool:
        """Whether a closure of the project's is seen whole: function, plain values, other code."""
        if not isinstance(value, FunctionType) or not value.__closure__:
            return False
        held = [cell_value(cell) for cell in value.__closure__]
        return self.walk.is_own(value) and all(
            is_plain(item) or isinstance(item, (FunctionType, type)) for item in held
        )

    def hold(self, node: Node, value: Any) -> Content:
        """A value's node has the plain value itself, and the code that the value holds."""
        content = self.walk.reach(node, "holds", value)
        if content[0] == "plain":
            node.contents.add(content[1])
            text = repr(value)
            node.value = text if len(text) <= _VALUE_WIDTH else f"{text[: _VALUE_WIDTH - 1]}…"
        return content

    def search(self, holder: Node, label: str, value: Any, at_call: bool) -> Content:
        """Look for functions and classes inside containers and instances."""
        if no_state(value):
            self.walk.reach(holder, f"{label} is", type(value), at_call)
            return ("member", value.name) if isinstance(value, Enum) else ("no state",)
        state = False
        found = 0
        seen: set[int] = set()
        queue: list[tuple[str, Any, bool]] = [(label, value, True)]
        for path, item, mutable in queue:
            if is_plain(item):
                state = state or mutable
                continue
            if id(item) in seen:
                continue
            seen.add(id(item))
            found += 1
            if found > SEARCHED:
                holder.gaps.add(
                    f"{holder.key[0]}.{holder.key[1]}: too large to be searched for code"
                )
                break
            if is_data(item):
                self.walk.seen.thing(item)
            inside = items_of(item)
            if inside is None and not is_data(item):
                state = is_state(self.walk.reach(holder, path, item, at_call)) or state
                continue
            if inside is not None:
                queue.extend(bounded(path, inside, not isinstance(item, (tuple, frozenset))))
                state = state or (not item and not isinstance(item, (tuple, frozenset)))
            if type(item) not in PLAIN_CONTAINERS:
                state = True
                self.walk.reach(holder, f"{path} is", type(item), at_call)
                own = getattr(item, "__dict__", None)
                if isinstance(own, dict):
                    queue.extend(bounded(path, iter(own.items()), False))
        return ("state",) if state else ("holds code",)
