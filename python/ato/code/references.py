"""Scopes and names: what a name in a function's source refers to, resolved without running it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import libcst as cst

from ato.code.literals import string_value

__all__ = [
    "ImportTarget",
    "Scope",
    "bind_statements",
    "children",
    "dotted",
    "import_targets",
    "imported_by_call",
    "text_of",
]

# (level, module, name): `from ..a import b` is (2, "a", "b"), `import a.b as c` is (0, "a.b", None).
ImportTarget = tuple[int, str, str | None]

ScopeKind = Literal["module", "class", "function", "comprehension", "header"]

# What the layout of the source puts into the tree, and what is no part of the computation.
_LAYOUT = frozenset(
    {
        "lpar", "rpar", "lbracket", "rbracket", "lbrace", "rbrace", "comma", "semicolon", "equal",
        "colon", "dot", "leading_lines", "lines_after_decorators", "header", "footer", "indent",
        "trailing_whitespace", "first_colon", "second_colon", "trailing_comma", "separator",
        "posonly_ind", "star_ind",
    }
)  # fmt: skip


@dataclass(eq=False)
class Scope:
    """The names that one block binds. `owner` is whatever definition the block belongs to.

    A `header` stands between a function and the block around it: decorators and defaults are
    evaluated there, so that a class body, otherwise invisible from inside, is seen.
    """

    kind: ScopeKind
    parent: Scope | None
    owner: Any
    # In source order: a statement that binds several names is charged to the first.
    bound: dict[str, None] = field(default_factory=dict)
    parameters: set[str] = field(default_factory=set)
    global_names: set[str] = field(default_factory=set)
    nonlocal_names: set[str] = field(default_factory=set)
    imports: dict[str, ImportTarget] = field(default_factory=dict)
    # The first parameter of a method, and the class it is a method of.
    receiver: str | None = None
    class_name: str | None = None

    def find(self, name: str) -> Scope | None:
        """The scope of a function, comprehension or class that binds `name`; `None`: it is global."""
        scope: Scope | None = self
        sees_class = True
        while scope is not None and scope.kind != "module":
            if scope.kind != "class" or sees_class:
                if name in scope.global_names:
                    return None
                if (name in scope.bound or name in scope.parameters) and (
                    name not in scope.nonlocal_names
                ):
                    return scope
            if scope.kind != "header":
                sees_class = False
            scope = scope.parent
        return None


_fields: dict[type[cst.CSTNode], tuple[str, ...]] = {}


def _field_names(node_type: type[cst.CSTNode]) -> tuple[str, ...]:
    if node_type not in _fields:
        names = [f.name for f in fields(node_type)]
        _fields[node_type] = tuple(
            name for name in names if name not in _LAYOUT and not name.startswith("whitespace")
        )
    return _fields[node_type]


def children(node: cst.CSTNode) -> Iterator[tuple[str, Any]]:
    """The fields of a node that are more than layout, where they are present."""
    for name in _field_names(type(node)):
        value = getattr(node, name)
        if value is not None and not isinstance(value, cst.MaybeSentinel):
            yield name, value


def dotted(node: cst.BaseExpression | None) -> str:
    """Write `a.b.c` for a chain of attributes that begins with a name; empty for anything else."""
    parts: list[str] = []
    while isinstance(node, cst.Attribute):
        parts.append(node.attr.value)
        node = node.value
    if not isinstance(node, cst.Name):
        return ""
    return ".".join([node.value, *reversed(parts)])


def import_targets(node: cst.Import | cst.ImportFrom) -> Iterator[tuple[str, ImportTarget]]:
    """Each name that an import binds, with what it stands for; `*` for a star import."""
    if isinstance(node, cst.Import):
        for alias in node.names:
            path = dotted(alias.name)
            if alias.asname is not None:
                yield dotted(alias.asname.name), (0, path, None)
            else:
                yield path.partition(".")[0], (0, path.partition(".")[0], None)
        return
    level, module = len(node.relative), dotted(node.module)
    if isinstance(node.names, cst.ImportStar):
        yield "*", (level, module, "*")
        return
    for alias in node.names:
        name = dotted(alias.name)
        yield dotted(alias.asname.name) if alias.asname else name, (level, module, name)


def text_of(node: cst.BaseExpression) -> str | None:
    """The text of a plain string literal; `None` for anything else."""
    if not isinstance(node, cst.SimpleString):
        return None
    value = string_value(node)
    return value if isinstance(value, str) else None


def imported_by_call(node: cst.CSTNode) -> ImportTarget | None:
    """What `import_module("data")` or `__import__("data")` brings in, if the name is a literal."""
    if not isinstance(node, cst.Call) or not node.args:
        return None
    function = dotted(node.func)
    name = text_of(node.args[0].value)
    if not name or not (function == "__import__" or function.endswith("import_module")):
        return None
    module = name.lstrip(".")
    if function == "__import__":
        module = module.partition(".")[0]  # `__import__("a.b")` is `a`
    return len(name) - len(name.lstrip(".")), module, None


def bind_statements(scope: Scope, body: Iterable[cst.CSTNode], walrus: bool) -> None:
    """Collect into `scope` the names that the statements of a block bind.

    `walrus` says whether the file has a `:=` at all; expressions are searched only then.
    """
    for node in body:
        _bind(scope, node, walrus)


def _bind(scope: Scope, node: Any, walrus: bool) -> None:
    match node:
        case cst.FunctionDef() | cst.ClassDef():
            scope.bound[node.name.value] = None
            if walrus:
                _bind_walrus(scope, [node.decorators, getattr(node, "params", None)])
            return
        case cst.SimpleStatementLine() | cst.IndentedBlock() | cst.SimpleStatementSuite():
            bind_statements(scope, node.body, walrus)
            return
        case cst.Import() | cst.ImportFrom():
            for name, target in import_targets(node):
                scope.bound[name] = None
                scope.imports[name] = target
            return
        case cst.Global():
            scope.global_names.update(item.name.value for item in node.names)
            return
        case cst.Nonlocal():
            scope.nonlocal_names.update(item.name.value for item in node.names)
            return
    _bind_targets(scope, node)
    for name, child in children(node):
        if name in ("body", "orelse", "finalbody", "handlers", "cases") and not isinstance(
            child, cst.BaseExpression
        ):
            bind_statements(scope, child if isinstance(child, (list, tuple)) else [child], walrus)
        elif walrus:
            _bind_walrus(scope, child)


def _bind_targets(scope: Scope, node: Any) -> None:
    match node:
        case cst.Assign():
            imported = imported_by_call(node.value)
            for target in node.targets:
                _bind_target(scope, target.target)
                if imported is not None and isinstance(target.target, cst.Name):
                    scope.imports[target.target.value] = imported
        case cst.AnnAssign() | cst.AugAssign() | cst.For() | cst.Del():
            _bind_target(scope, node.target)
        case cst.With():
            for item in node.items:
                if item.asname is not None:
                    _bind_target(scope, item.asname.name)
        case cst.ExceptHandler() | cst.ExceptStarHandler():
            if node.name is not None:
                _bind_target(scope, node.name.name)
        case cst.MatchCase():
            _bind_pattern(scope, node.pattern)
        case cst.TypeAlias():
            scope.bound[node.name.value] = None


def _bind_target(scope: Scope, target: Any) -> None:
    match target:
        case cst.Name():
            scope.bound[target.value] = None
        case cst.Tuple() | cst.List():
            for element in target.elements:
                _bind_target(scope, element.value)


def _bind_pattern(scope: Scope, pattern: Any) -> None:
    match pattern:
        case cst.MatchAs() | cst.MatchStar() if pattern.name is not None:
            scope.bound[pattern.name.value] = None
        case cst.MatchMapping() if pattern.rest is not None:
            scope.bound[pattern.rest.value] = None
    for _, child in children(pattern):
        for part in child if isinstance(child, (list, tuple)) else [child]:
            if isinstance(part, cst.CSTNode) and not isinstance(part, cst.BaseExpression):
                _bind_pattern(scope, part)


def _bind_walrus(scope: Scope, node: Any) -> None:
    """A `:=` binds in the function around it, through comprehensions but not through lambdas."""
    if isinstance(node, (list, tuple)):
        for part in node:
            _bind_walrus(scope, part)
    elif isinstance(node, cst.NamedExpr):
        _bind_target(scope, node.target)
        _bind_walrus(scope, node.value)
    elif isinstance(node, cst.CSTNode) and not isinstance(node, cst.Lambda):
        for _, child in children(node):
            _bind_walrus(scope, child)
