"""Encode statements: those of functions, and those of a module between its definitions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import libcst as cst

from ato.code.bindings import flat, name_mutated_by, names_bound_by, statements_of
from ato.code.naming import Encoding, Naming
from ato.code.references import ImportTarget, Scope, children, dotted, import_targets

__all__ = ["Statements", "is_plain_import"]


class Statements(Naming):
    """The part of the pass over a file that encodes what stands inside definitions."""

    def __init__(self) -> None:
        super().__init__()
        self.mutating: set[int] = set()

    @abstractmethod
    def define_block(self, node: cst.FunctionDef | cst.ClassDef, qualified: str) -> int:
        """Describe a nested function or class, and give its index."""

    def signature(self, params: cst.Parameters, inner: Scope) -> Encoding:
        """Encode parameters with their defaults, and bind them in the scope of the function."""
        groups: list[tuple[str, Sequence[cst.Param]]] = [
            ("positional only", params.posonly_params),
            ("positional", params.params),
            ("rest", [params.star_arg] if isinstance(params.star_arg, cst.Param) else []),
            ("keyword only", params.kwonly_params),
            ("keywords", [params.star_kwarg] if params.star_kwarg is not None else []),
        ]
        encoded = []
        for kind, group in groups:
            for param in group:
                default = None if param.default is None else self.encode(param.default)
                encoded.append((kind, param.name.value, default))
                inner.parameters.add(param.name.value)
        return tuple(encoded)

    def suite(self, node: Any, prefix: str | None = None) -> Encoding:
        """Encode the statements of a block."""
        if prefix is None:
            return self.statements(statements_of(node))
        with self.inside(self.scope, prefix):
            return self.statements(statements_of(node))

    def statements(self, body: Iterable[cst.CSTNode]) -> Encoding:
        """Encode statements; those that do nothing are left out."""
        encoded = (self.statement(node) for node in body)
        return tuple(encoding for encoding in encoded if encoding is not None)

    def statement(self, node: Any) -> Encoding | None:
        """Encode a statement; `None` for one that does nothing."""
        match node:
            case cst.Expr(value=cst.SimpleString() | cst.ConcatenatedString()):
                value = self.encode(node.value)
                return None if value[0] == "constant" else value
            case cst.Expr():
                return ("evaluate", self.encode(node.value))
            case cst.Pass() | cst.Global() | cst.Nonlocal():
                return None
            case cst.Assign():
                targets = tuple(self.encode(target.target) for target in node.targets)
                return ("assign", targets, self.encode(node.value))
            case cst.AnnAssign():
                if node.value is None:
                    return None
                return ("assign", (self.encode(node.target),), self.encode(node.value))
            case cst.FunctionDef() | cst.ClassDef():
                index = self.define_block(node, self.prefix + node.name.value)
                return ("define", self.name(node.name.value), self.placeholder(index))
            case cst.Import() | cst.ImportFrom():
                return self.import_statement(node)
        return self.compound(node, self.suite)

    def compound(self, node: Any, suite: Callable[[Any], Encoding]) -> Encoding:
        """Encode a statement that holds others, whose blocks `suite` encodes."""
        if isinstance(node, cst.If):
            return self.branches(node, suite)
        parts: list[Any] = [type(node).__name__]
        for name, child in children(node):
            if isinstance(child, cst.BaseSuite):
                parts.append((name, suite(child)))
            elif name in ("handlers", "cases"):
                parts.append((name, tuple(self.compound(item, suite) for item in child)))
            elif isinstance(child, (cst.Else, cst.Finally)):
                parts.append((name, suite(child.body)))
            elif name == "orelse":
                parts.append((name, self.compound(child, suite)))
            else:
                parts.append((name, self.part(child)))
        return tuple(parts)

    def branches(self, node: cst.If, suite: Callable[[Any], Encoding]) -> Encoding:
        """An `if` with all its `elif`: flat, however many there are."""
        arms = []
        rest: Any = node
        while isinstance(rest, cst.If):
            arms.append((self.encode(rest.test), suite(rest.body)))
            rest = rest.orelse
        return ("if", tuple(arms), () if rest is None else suite(rest.body))

    def import_statement(self, node: cst.Import | cst.ImportFrom) -> Encoding | None:
        """Encode an import by what it brings in; the order of `from m import a, b` is nothing."""
        if isinstance(node, cst.ImportFrom) and dotted(node.module) == "__future__":
            return None
        found: list[Encoding] = []
        targets = list(import_targets(node))
        if isinstance(node, cst.ImportFrom):
            targets.sort()
        for name, target in targets:
            found.append((target, ("star",) if name == "*" else self.name(name)))
        if isinstance(node, cst.Import):
            # `import a.b` binds `a` and loads `a.b`.
            found.append(tuple(dotted(alias.name) for alias in node.names))
        return ("import", *found)

    def module_statements(self, body: Iterable[cst.CSTNode]) -> Encoding:
        """Module-level code; a statement that binds names is those names' own, and stands by them."""
        found: list[Encoding] = []
        for statement in flat(body):
            match statement:
                case cst.FunctionDef() | cst.ClassDef():
                    continue
                case cst.If() | cst.While() | cst.Try() | cst.TryStar() | cst.Match():
                    found.append(self.compound(statement, self.module_suite))
                    continue
            names = names_bound_by(statement)
            if id(statement) in self.mutating:
                names = (name_mutated_by(statement),)
            if isinstance(statement, (cst.Import, cst.ImportFrom)):
                targets = [t for t in import_targets(statement) if t[0] != "*"]
                names = tuple(sorted(name for name, t in targets if not is_plain_import(name, t)))
            if names:
                for name in names:
                    self.refer(name, ())
                found.append(("binds", names))
                if isinstance(statement, (cst.For, cst.With)):
                    found.append(self.module_suite(statement.body))
                    if isinstance(statement, cst.For) and statement.orelse is not None:
                        found.append(self.module_suite(statement.orelse.body))
            elif isinstance(statement, (cst.For, cst.With)):
                found.append(self.compound(statement, self.module_suite))
            elif (encoding := self.statement(statement)) is not None:
                found.append(encoding)
        return tuple(found)

    def module_suite(self, node: Any) -> Encoding:
        """The statements of a block at module level."""
        return self.module_statements(statements_of(node))

    def sequence(self, nodes: Iterable[cst.CSTNode]) -> Encoding:
        """Encode nodes one by one."""
        return tuple(self.encode(node) for node in nodes)

    def part(self, value: Any) -> Any:
        """Encode whatever stands in a field of a node."""
        if isinstance(value, cst.CSTNode):
            return self.encode(value)
        if isinstance(value, (list, tuple)):
            return tuple(self.part(item) for item in value)
        return value


def is_plain_import(name: str, target: ImportTarget) -> bool:
    """`import data` says all by its name; `from data import a` and `import data as d` do not."""
    return target == (0, name, None) or target[1] == "__future__"
