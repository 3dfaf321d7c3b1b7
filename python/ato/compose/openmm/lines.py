"""Which line of a Python config writes which key, as far as the source shows it."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from ato.compose.openmm.layers import PathKeys

__all__ = ["key_lines", "stored_names"]

_BASE = "_base_"
_MERGING = frozenset({"update", "merge"})


def key_lines(module: ast.Module) -> dict[PathKeys, int]:
    """Return path → line of the statement, or the key in it, that wrote there last.

    Literals (`{'lr': 0.1}`), calls of `dict`, item and attribute targets and `update` calls are
    followed; `_base_.model` is the key `model`.
    """
    lines: dict[PathKeys, int] = {}
    for statement in _statements(module.body):
        _note(statement, lines)
    return lines


def stored_names(module: ast.Module) -> frozenset[str]:
    """Return the names that the file itself gives a value."""
    return frozenset(
        part.id
        for statement in _statements(module.body)
        if not isinstance(statement, (ast.FunctionDef, ast.ClassDef))
        for part in ast.walk(statement)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    )


def _statements(body: Iterable[ast.stmt]) -> Iterable[ast.stmt]:
    """Give the statements of a module, those inside `if`, `for`, `with` and `try` too."""
    for statement in body:
        yield statement
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        for block in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, block, ()))
        for handler in getattr(statement, "handlers", ()):
            yield from _statements(handler.body)


def _note(statement: ast.stmt, lines: dict[PathKeys, int]) -> None:
    match statement:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                _note_target(target, value, lines)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            _note_target(target, value, lines)
        case ast.AugAssign(target=target) | ast.For(target=target):
            _note_target(target, None, lines)
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            lines[(name,)] = statement.lineno
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr=called)) as call):
            path = _path(owner)
            if path is not None and called in _MERGING:
                for argument in call.args:
                    _note_value(argument, path, lines)
                _note_keywords(call.keywords, path, lines)


def _note_target(target: ast.expr, value: ast.expr | None, lines: dict[PathKeys, int]) -> None:
    if isinstance(target, (ast.Tuple, ast.List)):
        for one in target.elts:
            _note_target(one, None, lines)
        return
    path = _path(target)
    if not path:
        return
    for known in [known for known in lines if known[: len(path)] == path]:
        del lines[known]
    lines[path] = target.lineno
    if value is not None:
        _note_value(value, path, lines)


def _note_value(value: ast.expr, path: PathKeys, lines: dict[PathKeys, int]) -> None:
    match value:
        case ast.Dict(keys=keys, values=values):
            for key, item in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant):
                    below = (*path, str(key.value))
                    lines[below] = key.lineno
                    _note_value(item, below, lines)
        case ast.Call(func=ast.Name(id="dict"), keywords=keywords):
            _note_keywords(keywords, path, lines)


def _note_keywords(keywords: list[ast.keyword], path: PathKeys, lines: dict[PathKeys, int]) -> None:
    for keyword in keywords:
        if keyword.arg is not None:
            below = (*path, keyword.arg)
            lines[below] = keyword.lineno
            _note_value(keyword.value, below, lines)


def _path(target: ast.expr) -> PathKeys | None:
    """Return the path of `a`, `a.b`, `a['b']` and `_base_.a.b`; None of anything else."""
    match target:
        case ast.Name(id=name):
            return () if name == _BASE else (name,)
        case ast.Attribute(value=owner, attr=key):
            above = _path(owner)
        case ast.Subscript(value=owner, slice=ast.Constant(value=key)):
            above = _path(owner)
        case _:
            return None
    return None if above is None else (*above, str(key))
