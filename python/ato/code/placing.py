"""Definitions as they stand in the source, put into the graph of code."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING

from ato.code.definitions import Definition
from ato.code.graph import Decoration, Node
from ato.code.kinds import is_ato
from ato.code.modules import MISSING, Module
from ato.code.source import Source

if TYPE_CHECKING:
    from ato.code.walk import Walk

__all__ = ["Placing"]


class Placing:
    """The part of a walk that takes over what the source says."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk

    def static(self, module: Module, source: Source, definition: Definition) -> Node:
        """The node of a definition that is known by its source only."""
        kind = "function" if definition.kind == "lambda" else definition.kind
        node = self.walk.node_of(module, definition.name, kind, source.path)
        self.walk.todo.append(lambda: self.place(node, module, source, definition, None))
        return node

    def place(
        self,
        node: Node,
        module: Module,
        source: Source,
        definition: Definition,
        fn: FunctionType | None,
    ) -> None:
        """Add what stands in the source, and follow the names in it."""
        place = (source.path, definition.line, definition.column or 0)
        if (node.key, place) in self.walk.stated:
            return
        self.walk.stated[node.key, place] = (source, definition)
        node.parts[place] = definition.own
        node.text[place] = source.lines(definition)
        node.normalised[place] = definition.normalised
        node.line = min(node.line, definition.line) if node.line else definition.line
        # A class and a function meet what they name when they are called; a value met it once, unless
        # there is a lambda in it.
        at_call = definition.kind in ("function", "lambda", "class") or _has_lambda(
            source, definition
        )
        for gap in definition.gaps:
            node.gaps.add(f"{node.key[0]}.{node.key[1]}: {gap}")
        for chain in definition.references:
            self.walk.names.follow(node, module, chain, at_call)
        for level, name, attribute, attributes in definition.imports:
            label = f"import {'.' * level}{name} {attribute or ''}"
            self.walk.names.follow_import(
                node, label, module, (level, name, attribute), attributes, at_call
            )
        for class_name, attribute, through_super in definition.members:
            self.walk.names.follow_member(
                node, module, source, class_name, attribute, through_super
            )
        if definition.kind != "class" and source.definitions is not None:
            for number, index in enumerate(definition.nested):
                nested = source.definitions.definitions[index]
                node.link(f"nested {number}", self.static(module, source, nested))
        if definition.kind == "class" and source.definitions is not None and fn is None:
            self._members(node, module, source, definition)
        self._decorators(node, module, definition, place)
        self._attributes(node, module, source, definition)

    def _attributes(
        self, node: Node, module: Module, source: Source, definition: Definition
    ) -> None:
        """What the file sets on a function or class from outside of it."""
        if definition.kind in ("function", "class") and source.definitions is not None:
            for index in module.binding(definition.name).attributes:
                attribute = source.definitions.definitions[index]
                owner = module.lookup(definition.name)
                held = getattr(owner, "__dict__", {}).get(attribute.name.partition(".")[2], MISSING)
                node.link(
                    attribute.name,
                    self.walk.classes.attribute(module, source, attribute, owner, held),
                )

    def _members(self, node: Node, module: Module, source: Source, definition: Definition) -> None:
        """The members of a class that is not loaded, or is made anew by each call of a function."""
        if module.lookup(definition.name) is not MISSING:
            return
        for index in definition.nested:
            nested = source.definitions.definitions[index]  # type: ignore[union-attr]
            node.link(nested.name.rpartition(".")[2], self.static(module, source, nested))

    def _decorators(
        self, node: Node, module: Module, definition: Definition, place: tuple[str, int, int]
    ) -> None:
        for number, decorator in enumerate(definition.decorators):
            root = decorator.callee.partition(".")[0]
            value = module.value(root) if root else MISSING
            if decorator.from_ato or (value is not MISSING and is_ato(value)):
                continue
            label = f"decorator {decorator.callee}"
            if decorator.callee in decorator.references:
                # Its arguments are in the closure of what it returned, or in its own encoding.
                self.walk.names.follow(node, module, decorator.callee, at_call=False, label=label)
            for level, name, attribute, after in decorator.imports:
                target = (level, name, attribute)
                self.walk.names.follow_import(node, label, module, target, after, at_call=False)
            made = [key for at, key in node.edges if at == label]
            node.decorators[*place, number] = Decoration(
                decorator.logic, decorator.callee, made[0] if made else None
            )
        value = module.lookup(definition.name)
        if definition.decorators and isinstance(value, FunctionType) and not is_ato(value):
            # A decorator that does not say what it wraps: what it made stands under the name.
            wrapper = self.walk.function(node, value)
            if wrapper is not None and wrapper is not node:
                node.link("wrapper", wrapper)


def _has_lambda(source: Source, definition: Definition) -> bool:
    """Whether a lambda's names stand among those of the statement that it is a part of."""
    return source.definitions is not None and any(
        inner.holder is not None and source.definitions.definitions[inner.holder] is definition
        for inner in source.definitions.definitions
    )
