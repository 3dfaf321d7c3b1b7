"""Names in a file that is being encoded: what each refers to, and what it is written as."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import libcst as cst

from ato.code.definitions import Decorator, Definition
from ato.code.digests import logic_digest
from ato.code.references import ImportTarget, Scope, dotted

__all__ = ["Encoding", "Naming"]

Encoding = tuple[Any, ...]


class Writer:
    """A definition that is being encoded, and the numbers of its locals."""

    def __init__(
        self, definition: Definition, index: int, outer: Writer | None, method: str | None
    ) -> None:
        self.definition = definition
        self.index = index
        self.outer = outer
        self.method = method
        self.numbers: dict[tuple[Scope, str], int] = {}

    def is_own_name(self, name: str) -> bool:
        """Whether a global name is that of the function or class that is being written."""
        writer: Writer | None = self
        while writer is not None:
            definition = writer.definition
            if definition.name == name and definition.kind in ("function", "class"):
                return True
            writer = writer.outer
        return False


class Naming(ABC):
    """Where the pass over a file stands, and what has been noted there."""

    def __init__(self) -> None:
        self.definitions: list[Definition] = []
        self.scope = Scope("module", None, None)
        self.prefix = ""
        self.in_decorator = False
        self.ato_names: set[str] = set()
        self.writer: Writer = None  # type: ignore[assignment]  # set by `writing`, always inside one

    @abstractmethod
    def encode(self, node: cst.CSTNode) -> Any:
        """Encode an expression."""

    @contextmanager
    def writing(
        self, definition: Definition, scope: Scope, method: str | None = None
    ) -> Iterator[int]:
        """Write a definition, whose index is given; inside the block, names belong to it."""
        index = len(self.definitions)
        self.definitions.append(definition)
        outer, outer_scope = self.writer, self.scope
        self.writer, self.scope = Writer(definition, index, outer, method), scope
        scope.owner = self.writer
        try:
            yield index
        finally:
            self.writer, self.scope = outer, outer_scope

    @contextmanager
    def inside(self, scope: Scope, prefix: str | None = None) -> Iterator[None]:
        """Stand in another scope, and before other qualified names."""
        outer, outer_prefix = self.scope, self.prefix
        self.scope = scope
        if prefix is not None:
            self.prefix = prefix
        try:
            yield
        finally:
            self.scope, self.prefix = outer, outer_prefix

    def name(self, name: str, attributes: tuple[str, ...] = ()) -> Encoding:
        """Encode a name, and note what it and the attributes after it refer to."""
        scope = self.scope.find(name)
        writer = self.writer
        if scope is None:
            self.refer(name, attributes)
            return ("own name",) if writer.is_own_name(name) else ("global", name)
        if scope.kind == "class":
            return ("member", name)
        if name in scope.imports:
            self.note_import(scope.imports[name], attributes)
        if attributes and name == scope.receiver:
            self.member(scope.class_name, attributes[0], through_super=False)
        if scope.owner is writer:
            if name in scope.parameters:
                return ("parameter", name)
            key = (scope, name)
            return ("local", writer.numbers.setdefault(key, len(writer.numbers)))
        return self.captured(scope, name)

    def captured(self, scope: Scope, name: str) -> Encoding:
        """A name of an enclosing function: a parameter by name, a local by order of appearance."""
        writer = self.writer
        names = writer.definition.captured
        if name not in names:
            names.append(name)
        if self.scope.kind == "header":
            writer.definition.defaults_capture = True
        if name in scope.parameters:
            return ("captured parameter", name)
        key = (scope, name)
        return ("captured", writer.numbers.setdefault(key, len(writer.numbers)))

    def refer(self, name: str, attributes: tuple[str, ...]) -> None:
        """Note a global name with the attributes after it."""
        chain = ".".join((name, *attributes))
        references = self.writer.definition.references
        if chain not in references:
            references.append(chain)

    def note_import(self, target: ImportTarget, attributes: Sequence[str]) -> None:
        """Note that a module is imported here, and which of its attributes is used."""
        entry = [*target, list(attributes)]
        if entry not in self.writer.definition.imports:
            self.writer.definition.imports.append(entry)

    def member(self, class_name: str | None, attribute: str, through_super: bool) -> None:
        """Note an attribute of a method's first parameter, or of `super()`."""
        entry = [class_name, attribute, through_super]
        if class_name is not None and entry not in self.writer.definition.members:
            self.writer.definition.members.append(entry)

    def placeholder(self, index: int) -> Encoding:
        """What stands for a nested function: which names of this one it takes."""
        nested = self.definitions[index]
        self.writer.definition.nested.append(index)
        taken = []
        for name in nested.captured:
            encoding = self.name(name)
            if encoding[0] in ("local", "captured"):
                taken.append(encoding)
        return ("nested", nested.kind, tuple(taken))

    def gap(self, text: str) -> None:
        """Note what cannot be followed."""
        gaps = self.writer.definition.gaps
        if text not in gaps:
            gaps.append(text)

    @contextmanager
    def unnoted(self) -> Iterator[None]:
        """Encode without noting references: annotations are read by no one."""
        definition = self.writer.definition
        kept = (list(definition.references), list(definition.imports), list(definition.gaps))
        try:
            yield
        finally:
            definition.references, definition.imports, definition.gaps = kept

    def quiet(self, node: cst.CSTNode) -> Any:
        """Encode without noting what it refers to."""
        with self.unnoted():
            return self.encode(node)

    def decorator(self, node: cst.BaseExpression) -> Decorator:
        """Encode a decorator by itself: it is not part of the function's own logic."""
        definition = self.writer.definition
        kept = (definition.references, definition.imports)
        definition.references, definition.imports = [], []
        self.in_decorator = True
        logic = logic_digest(self.encode(node))
        self.in_decorator = False
        callee = dotted(node.func if isinstance(node, cst.Call) else node)
        root = callee.partition(".")[0]
        found = Decorator(
            logic, callee, root in self.ato_names, definition.references, definition.imports
        )
        definition.references, definition.imports = kept
        return found
