"""Compare two deep fingerprints: which units differ by themselves, and in what way."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from ato.code.model import CodeFingerprint, Unit

__all__ = ["ChangeKind", "UnitChange", "changed_units", "kind_of_change", "renamed_units"]

ChangeKind = Literal["logic", "constant", "dependency", "rename", "cosmetic", "added", "removed"]


class _Compared(Protocol):
    """What is compared of a unit: a fingerprint's own, or one that a store has kept."""

    @property
    def module(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def normalised(self) -> str: ...
    @property
    def logic(self) -> str: ...
    @property
    def deep(self) -> str: ...
    @property
    def value(self) -> str | None: ...


_U = TypeVar("_U", bound=_Compared)


@dataclass(frozen=True)
class UnitChange:
    """One unit that differs between two fingerprints.

    `subject` names it as it is afterwards: `data.augment`; of a distribution that only one side
    reaches it is the distribution's name, and there is no unit. `kind` is

    - `logic`: it computes something else;
    - `constant`: only literals in it differ, or what a module-level name, a class attribute, a
      closure or a decorator's argument holds;
    - `dependency`: it imports something else, or a distribution is reached by one side only;
    - `rename`: it has another name or stands in another module, or names a unit that has;
    - `cosmetic`: it is written otherwise and computes the same;
    - `added`, `removed`: only one side reaches it.
    """

    kind: ChangeKind
    subject: str
    before: Unit | None
    after: Unit | None


def changed_units(before: CodeFingerprint, after: CodeFingerprint) -> tuple[UnitChange, ...]:
    """The functions, classes and values whose own logic, value or text differs.

    A unit is charged with what stands in itself, so that those found are the innermost ones: not
    the callers of a changed function, nor the function around it or its class. A value that the same
    statement now binds to another one is left out if something that it is made from has changed.
    They come in the order in which `after` reaches them, then those that are gone, then distributions.
    """
    old = {(unit.module, unit.name): unit for unit in before.units}
    new = {(unit.module, unit.name): unit for unit in after.units}
    gone = [unit for key, unit in old.items() if key not in new]
    come = [unit for key, unit in new.items() if key not in old]
    renamed = renamed_units(gone, come)
    first, now_first = before.units[0], after.units[0]
    if first in gone and now_first in come and first.logic == now_first.logic:
        renamed[now_first.module, now_first.name] = first  # the two that are compared
    found: list[UnitChange] = []
    for key, unit in new.items():
        previous = old.get(key) or renamed.get(key)
        if previous is None:
            found.append(UnitChange("added", unit.subject, None, unit))
        elif key not in old:
            if not _around(unit.name) or (unit.module, _around(unit.name)) not in renamed:
                found.append(UnitChange("rename", unit.subject, previous, unit))
        elif kind := kind_of_change(previous, unit, {u.name: n for (_, n), u in renamed.items()}):
            found.append(UnitChange(kind, unit.subject, previous, unit))
    matched = {(unit.module, unit.name) for unit in renamed.values()}
    left = [unit for unit in gone if (unit.module, unit.name) not in matched]
    found += [UnitChange("removed", unit.subject, unit, None) for unit in left]
    found = [change for change in found if not _is_derived(change, found, after)]
    libraries = sorted({*before.distributions} ^ {*after.distributions})
    return (*found, *(UnitChange("dependency", name, None, None) for name in libraries))


def kind_of_change(
    before: _Compared, after: _Compared, renamed: dict[str, str] | None = None
) -> ChangeKind | None:
    """How a unit differs by itself; `None` where only what it reaches does, or nothing.

    `renamed` gives the new names of units that were renamed, by their old ones.
    """
    if (before.logic, before.value) == (after.logic, after.value):
        return "cosmetic" if _is_cosmetic(before, after) else None
    if before.normalised == after.normalised:
        return "constant"  # the text is the same, and so what it holds is not
    try:
        trees = [ast.parse(unit.normalised) for unit in (before, after)]
    except (SyntaxError, RecursionError):
        return "logic"  # it is not written in a way that this Python reads
    kinds = _differences(trees[0], trees[1])
    if kinds <= {"constant"}:
        return "constant"
    if kinds <= {"import"}:
        return "dependency"
    if renamed and _differences(trees[0], trees[1], renamed) == set():
        return "rename"
    return "logic"


def _is_cosmetic(before: _Compared, after: _Compared) -> bool:
    """Whether texts of one logic differ in their writing only.

    The text of a script's body or a class holds functions that are judged by themselves, that of a
    function its decorators, whose arguments count where they are held.
    """
    if before.text == after.text or before.kind == "module":
        return False
    written_alike = before.kind == "function" and before.normalised == after.normalised
    return before.deep == after.deep or written_alike


def renamed_units(gone: Iterable[_U], come: Iterable[_U]) -> dict[tuple[str, str], _U]:
    """What each new unit was before, where one that is gone has its logic and no other one has."""
    gone, come = list(gone), list(come)
    found: dict[tuple[str, str], _U] = {}
    for unit in come:
        alike = [other for other in gone if (other.kind, other.logic) == (unit.kind, unit.logic)]
        same_now = [other for other in come if (other.kind, other.logic) == (unit.kind, unit.logic)]
        if len(alike) == len(same_now) == 1:
            found[unit.module, unit.name] = alike[0]
    return found


def _around(name: str) -> str:
    """The qualified name of the function or class around a unit."""
    return name.rpartition(".")[0].removesuffix(".<locals>")


def _is_derived(change: UnitChange, changes: list[UnitChange], after: CodeFingerprint) -> bool:
    """Whether a value follows from others: one statement, another outcome, and a cause below."""
    unit, previous = change.after, change.before
    if change.kind != "constant" or unit is None or previous is None or unit.kind != "value":
        return False
    if previous.normalised != unit.normalised:
        return False
    causes = {
        (other.after.module, other.after.name)
        for other in changes
        if other.after is not None
        and other.kind not in ("cosmetic", "rename")
        and (other.before is None or other.before.normalised != other.after.normalised)
    }
    return any((reached.module, reached.name) in causes for reached in _below(unit, after))


def _below(unit: Unit, code: CodeFingerprint) -> Iterator[Unit]:
    start = code.units.index(unit)
    queue, seen = [start], {start}
    for at in queue:
        for source, target in code.edges:
            if source == at and target not in seen:
                seen.add(target)
                queue.append(target)
                yield code.units[target]


# How two trees differ at one place.
_Difference = Literal["constant", "import", "other"]


def _differences(
    before: ast.AST, after: ast.AST, renamed: dict[str, str] | None = None
) -> set[_Difference]:
    """The kinds of places in which two texts differ, names of locals aside."""
    numbers: tuple[dict[str, int], dict[str, int]] = (_locals(before), _locals(after))
    found: set[_Difference] = set()
    stack: list[tuple[Any, Any]] = [(before, after)]
    while stack:
        left, right = stack.pop()
        if type(left) is not type(right):
            return {"other"}
        match left:
            case ast.Constant():
                if (type(left.value), left.value) != (type(right.value), right.value):
                    found.add("constant")
            case ast.Import() | ast.ImportFrom():
                if ast.dump(left) != ast.dump(right):
                    found.add("import")
            case ast.AST():
                stack.extend(zip(_fields(left), _fields(right), strict=True))
            case list():
                if len(left) != len(right):
                    return {"other"}
                stack.extend(zip(left, right, strict=True))
            case str():
                if not _same_name(left, right, numbers, renamed or {}):
                    return {"other"}
            case _:
                if left != right:
                    return {"other"}
    return found


def _fields(node: ast.AST) -> list[Any]:
    return [getattr(node, name, None) for name in node._fields]


def _same_name(
    left: str, right: str, numbers: tuple[dict[str, int], dict[str, int]], renamed: dict[str, str]
) -> bool:
    at = numbers[0].get(left), numbers[1].get(right)
    if at != (None, None):
        return at[0] == at[1]
    return left == right or renamed.get(left) == right


def _locals(tree: ast.AST) -> dict[str, int]:
    """The names that a function binds, by first appearance; those of the function itself too."""
    found: dict[str, int] = {}
    outside: set[str] = set()
    for node in _in_functions(tree):
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            outside.update(node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.setdefault(node.id, len(found))
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.setdefault(node.name, len(found))
    return {name: number for name, number in found.items() if name not in outside}


def _in_functions(tree: ast.AST) -> Iterable[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from ast.walk(node)
