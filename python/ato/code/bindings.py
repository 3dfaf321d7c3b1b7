"""Which names the statements of a module or class body bind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import libcst as cst

from ato.code.references import Scope, bind_statements, dotted

__all__ = [
    "Bound",
    "attribute_set_by",
    "every_statement",
    "field_name",
    "flat",
    "name_mutated_by",
    "names_bound_by",
    "paired_value",
    "statements_of",
]


_CLAUSES = (cst.Else, cst.Finally, cst.ExceptHandler, cst.ExceptStarHandler, cst.MatchCase)


class Bound(NamedTuple):
    """A statement with the names that it binds, in order; it is charged to the first of them."""

    names: tuple[str, ...]
    statement: Any


def flat(body: Iterable[Any]) -> Iterator[Any]:
    """The statements of a block, several on one line taken apart."""
    for node in body:
        if isinstance(node, cst.SimpleStatementLine):
            yield from node.body
        else:
            yield node


def statements_of(suite: Any) -> Iterator[Any]:
    """The statements of an indented or one-line suite."""
    return flat(suite.body)


def every_statement(body: Iterable[Any]) -> Iterator[Any]:
    """The statements of a block and of the `if`, `for`, `with` and `try` in it, in source order."""
    for node in flat(body):
        yield node
        if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
            continue
        for name in ("body", "handlers", "cases", "orelse", "finalbody"):
            part = getattr(node, name, None)
            for item in part if isinstance(part, (list, tuple)) else [part]:
                yield from _inner(item)


def _inner(part: Any) -> Iterator[Any]:
    if isinstance(part, cst.BaseSuite):
        yield from every_statement(part.body)
    elif isinstance(part, cst.If):
        yield from every_statement([part])
    elif isinstance(part, _CLAUSES):
        yield from every_statement(part.body.body)


def names_bound_by(node: Any) -> tuple[str, ...]:
    """The names that one statement binds by itself: no imports, functions and classes."""
    scope = Scope("module", None, None)
    match node:
        case cst.AnnAssign(value=None):
            return ()
        case (
            cst.Assign()
            | cst.AnnAssign()
            | cst.AugAssign()
            | cst.NamedExpr()
            | cst.Expr()
            | cst.TypeAlias()
        ):
            bind_statements(scope, [node], walrus=True)
        case cst.For():
            bind_statements(scope, [cst.Del(node.target)], walrus=False)
        case cst.With():
            targets = [item.asname.name for item in node.items if item.asname is not None]
            bind_statements(scope, [cst.Del(target) for target in targets], walrus=False)
    return tuple(scope.bound)


def name_mutated_by(node: Any) -> str:
    """The name at the root of `TABLE[0] = 1`, `config.x += 1` or `del TABLE[0]`; else empty."""
    match node:
        case cst.Assign():
            target: Any = node.targets[0].target
        case cst.AnnAssign() | cst.AugAssign() | cst.Del():
            target = node.target
        case _:
            return ""
    if isinstance(target, cst.Name):
        return ""
    while isinstance(target, (cst.Attribute, cst.Subscript)):
        target = target.value
    return target.value if isinstance(target, cst.Name) else ""


def attribute_set_by(node: Any) -> str:
    """`Net.rate` for `Net.rate = 1`; empty for a statement that sets no attribute of a name."""
    match node:
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Attribute() as target)]):
            pass
        case cst.AnnAssign(target=cst.Attribute() as target):
            pass
        case cst.AugAssign(target=cst.Attribute() as target):
            pass
        case _:
            return ""
    path = dotted(target)
    return path if path.count(".") == 1 else ""


def field_name(node: Any) -> str:
    """The one attribute that a statement of a class body binds; empty if it does anything else."""
    match node:
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))]):
            return str(name)
        case (
            cst.AnnAssign(target=cst.Name(value=name)) | cst.AugAssign(target=cst.Name(value=name))
        ):
            return str(name)
    return ""


def paired_value(node: Any, name: str) -> cst.BaseExpression | None:
    """What `name` gets in `a, b = 1, 2`, where each name has an expression of its own."""
    match node:
        case cst.Assign(
            targets=[cst.AssignTarget(target=cst.Tuple(elements=left))],
            value=cst.Tuple(elements=right),
        ) if len(left) == len(right):
            pass
        case _:
            return None
    if any(isinstance(element, cst.StarredElement) for element in [*left, *right]):
        return None
    for target, value in zip(left, right, strict=True):
        if isinstance(target.value, cst.Name) and target.value.value == name:
            return value.value
    return None
