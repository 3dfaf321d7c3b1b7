"""Classes as they are now: their members, bases and the values of their attributes."""

from __future__ import annotations

import functools
import sys
import weakref
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ato.code.definitions import Definition
from ato.code.digests import logic_digest, plain_digest
from ato.code.graph import Node, State
from ato.code.held import (
    MADE_BY_PYTHON,
    Content,
    attribute_value,
    has_source,
    is_state,
    mangled,
    name_of,
)
from ato.code.kinds import is_ato, is_plain
from ato.code.modules import MISSING, Module
from ato.code.project import origin_of
from ato.code.source import Source

if TYPE_CHECKING:
    from ato.code.walk import Walk

__all__ = ["Classes"]


class Classes:
    """The part of a walk that looks into classes."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk

    def reach(self, holder: Node, label: str, klass: type, at_call: bool) -> Content:
        """Refer to a class, and say what it adds to the holder."""
        node = self.node(holder, klass)
        if node is None:
            return ("class", klass.__module__, klass.__qualname__)
        holder.link(label, node, at_call)
        return ("code", *node.key)

    def node(self, holder: Node, klass: type) -> Node | None:
        """The node of a class of the project's; `None` for any other."""
        module = self.module_of(klass)
        if module is None or (
            klass is not self.walk.root_class and self.origin_of(module, klass) != "project"
        ):
            self.walk.external(holder, klass.__module__)
            return None
        key = (module.name, klass.__qualname__)
        if id(klass) in self.walk.met:
            return self.walk.met[id(klass)][1]
        node = self.walk.node_of(module, key[1], "class", module.path or "")
        self.walk.met[id(klass)] = (klass, node)
        self.walk.seen.thing(klass)
        self.walk.todo.append(lambda: self._look_into(node, module, klass))
        return node

    def module_of(self, klass: type) -> Module | None:
        """The module that a class says it is from; `None` if that is not loaded."""
        loaded = sys.modules.get(klass.__module__)
        if loaded is None:
            return None
        return self.walk.modules.of_namespace(vars(loaded), getattr(loaded, "__file__", None) or "")

    def origin_of(self, module: Module, klass: type) -> str:
        """Whose a class is."""
        if module.path is None and klass.__module__ == "__main__":
            return "project"
        return origin_of(klass.__module__, module.path or None, self.walk.roots)

    def _look_into(self, node: Node, module: Module, klass: type) -> None:
        definition = module.definition_named(klass.__qualname__)
        source = module.source
        members = vars(klass)
        stated: set[str] = set()
        if definition is None or source is None or source.definitions is None:
            # Made at run time (a named tuple, `type(...)`), or typed where no source is kept.
            plain = tuple(
                (name, plain_digest(value))
                for name, value in sorted(members.items())
                if is_plain(value) and name not in MADE_BY_PYTHON
            )
            node.parts["", 0, 0] = logic_digest(("class", plain))
        else:
            self.walk.placing.place(node, module, source, definition, None)
            for index in definition.nested:
                nested = source.definitions.definitions[index]
                name = nested.name.rpartition(".")[2]
                stated.update((name, mangled(klass.__qualname__, name)))
                self._member(node, module, source, nested, klass)
        for name, value in members.items():
            if name not in stated and has_source(value):
                self.walk.reach(node, name, value)
        for number, base in enumerate(klass.__bases__):
            if base is not object:
                self.walk.reach(node, f"base {number}", base)
        if type(klass) is not type:
            self.walk.reach(node, "metaclass", type(klass))

    def _member(
        self, node: Node, module: Module, source: Source, nested: Definition, klass: type
    ) -> None:
        name = nested.name.rpartition(".")[2]
        value = vars(klass).get(mangled(klass.__qualname__, name), MISSING)
        if nested.kind == "value":
            node.link(name, self.attribute(module, source, nested, klass, value))
        elif value is MISSING:
            node.link(name, self.walk.placing.static(module, source, nested))
        else:
            self.walk.reach(node, name, value)

    def attribute(
        self, module: Module, source: Source, definition: Definition, owner: Any, value: Any
    ) -> Node:
        """The node of an attribute of a class or function, with the value that it has now."""
        node = self.walk.placing.static(module, source, definition)
        if value is not MISSING and not is_ato(value) and (node.key not in self.walk.held):
            self.walk.held.add(node.key)
            mutable = is_state(self.walk.values.hold(node, value))
            if mutable and isinstance(owner, (type, FunctionType)):
                name = definition.name.rpartition(".")[2]
                get = functools.partial(
                    attribute_value, weakref.ref(owner), mangled(name_of(owner), name)
                )
                node.states.append(State(name, "global", get))
        return node
