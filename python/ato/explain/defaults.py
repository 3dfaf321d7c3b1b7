"""Edits of a default that are a config key's own origin: one cause, and not code besides.

`add_argument("--lr", default=0.1)` and a field `lr: float = 0.1` of a dataclass stand in the code and
act through the config. Where such literals are all that an edit of a unit changed, and the keys that
they are the defaults of changed with them, the edit is told as those keys. So is the edit of a file
that was read as config.
"""

from __future__ import annotations

import ast
import textwrap
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ato.db_routers.sql.reading import Unit, writes
from ato.explain.changes import Changes
from ato.explain.load import Run

__all__ = ["tell_edited_defaults"]

_FIELD_MAKERS = frozenset({"dataclass", "define", "frozen", "mutable", "attrs", "s"})
_CONFIG_FILES = (".yaml", ".yml", ".json", ".toml", ".ini", ".cfg")
_FIELD_BASES = frozenset({"BaseModel", "BaseSettings"})


@dataclass(frozen=True)
class _Default:
    """A literal default in the source: of which name, its value, how to speak of it, and where.

    A field's says by itself nothing about the config, as an argument's does.
    """

    name: str
    value: object
    label: str
    file: str
    line: int
    is_field: bool = False

    @property
    def origin(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{self.label}, {place}"


class _Edit(NamedTuple):
    """Where the default of a key stood in each run, if it was the value there."""

    origin_a: str | None
    origin_b: str | None


def tell_edited_defaults(a: Run, b: Run, changes: Changes) -> None:
    """Find the changes of code and of files that are changes of config keys: `changes.as_config`."""
    edits: dict[str, dict[str, _Edit]] = {}
    for unit, change in changes.code.items():
        old, new = a.graph.units[changes.moved.get(unit, unit)], b.graph.units[unit]
        if len(old) == len(new) == 1:
            edits[change.subject] = _edits(a, b, changes, old[0], new[0])
    claims = Counter(key for found in edits.values() for key in found)
    for subject, found in edits.items():
        # A key has one default: where two edits look like it, neither is known to be.
        if found and all(claims[key] == 1 for key in found):
            changes.as_config["code", subject] = list(found)
            for key, edit in found.items():
                _name_origin(changes, key, edit)
    for path in changes.data:
        keys = [
            key
            for key in changes.config
            if any(_is_from(run.config.get(key), path) for run in (a, b))
        ]
        if keys:
            changes.as_config["data", path] = keys
    _suppose_sources(changes)


def _suppose_sources(changes: Changes) -> None:
    """Where a plain mapping is the config, its keys do not say who set them. Those that no flag and
    no edited default set came from an edited config file, if there is one; or, if no code was edited
    either, from the keys that were set."""
    told = {key for keys in changes.as_config.values() for key in keys}
    unknown = [
        key
        for key in sorted(changes.unwatched - told)
        if changes.config[key].origin_a is None and changes.config[key].origin_b is None
    ]
    if not unknown:
        return
    files = [
        path
        for path, change in changes.data.items()
        if path.endswith(_CONFIG_FILES) and change.kind == "content"
    ]
    for path in files:
        if ("data", path) not in changes.as_config:
            changes.as_config["data", path] = unknown
    given = sorted(changes.unwatched - set(unknown))
    edited = any(
        ("code", change.subject) not in changes.as_config for change in changes.code.values()
    )
    if given and not files and not edited:
        changes.supposed = set(unknown)
        changes.derived.update(dict.fromkeys(unknown, given))


def _edits(a: Run, b: Run, changes: Changes, old: Unit, new: Unit) -> dict[str, _Edit]:
    """The changed config keys that an edited unit holds the defaults of, if it differs in nothing
    else."""
    left, right = _read(a, old), _read(b, new)
    if left is None or right is None or left.rest != right.rest:
        return {}
    edited = [
        (before, after)
        for before, after in zip(left.defaults, right.defaults, strict=True)
        if type(before.value) is not type(after.value) or before.value != after.value
    ]
    found: dict[str, _Edit] = {}
    for before, after in edited:
        keys = [
            key
            for key in changes.config
            if _tail(key) == before.name and _is_default(a, b, key, before, after)
        ]
        if not keys:
            return {}
        for key in keys:
            found[key] = _Edit(
                before.origin if _holds(a, key, before) else None,
                after.origin if _holds(b, key, after) else None,
            )
    return found


@dataclass(frozen=True)
class _Reading:
    """The defaults of a unit, and all the rest of it as text."""

    defaults: list[_Default]
    rest: str


def _read(run: Run, unit: Unit) -> _Reading | None:
    # The normalised form, so that cosmetic edits beside it do not count.
    with suppress(SyntaxError):
        tree = ast.parse(unit.normalised)
        if unit.kind == "value":
            return _read_field(run, unit, tree)
        taking = _Defaults(unit.file)
        rest = ast.dump(taking.visit(tree))
        lines = {(d.name, repr(d.value)): d.line for d in _placed(unit)}
        placed = [replace(d, line=lines.get((d.name, repr(d.value)), 0)) for d in taking.found]
        return _Reading(placed, rest)
    return None


def _read_field(run: Run, unit: Unit, tree: ast.Module) -> _Reading | None:
    """The literal that a class of fields gives one of them, as `lr: float = 0.1`."""
    owner, _, name = unit.name.rpartition(".")
    holders = run.graph.units.get((unit.module, owner), [])
    if not owner or not any(_makes_fields(holder) for holder in holders):
        return None
    match tree.body:
        case [ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) as statement]:
            if target != name or not _is_literal(value):
                return None
            literal = ast.literal_eval(value)
            default = _Default(
                name, literal, f"default of {unit.name}", unit.file, unit.line, is_field=True
            )
            statement.value = None
            return _Reading([default], ast.dump(tree))
    return None


def _makes_fields(unit: Unit) -> bool:
    with suppress(SyntaxError):
        match ast.parse(unit.normalised).body:
            case [ast.ClassDef() as made]:
                named = {_last_name(decorator) for decorator in made.decorator_list}
                bases = {_last_name(base) for base in made.bases}
                return bool(named & _FIELD_MAKERS or bases & _FIELD_BASES)
    return False


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


class _Defaults(ast.NodeTransformer):
    """Takes the literal defaults of argparse's arguments out of a tree."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[_Default] = []

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if method == "add_argument":
            name, label = _destination(node)
            for keyword in node.keywords:
                if keyword.arg == "default" and name:
                    self._take(keyword, name, label, node.lineno)
        elif method == "set_defaults":
            for keyword in node.keywords:
                if keyword.arg is not None:
                    self._take(keyword, keyword.arg, keyword.arg, node.lineno)
        return node

    def _take(self, keyword: ast.keyword, name: str, shown: str, line: int) -> None:
        if _is_literal(keyword.value):
            value = ast.literal_eval(keyword.value)
            label = f"argparse default of {shown}"
            self.found.append(_Default(name, value, label, self.file, line))
            keyword.value = ast.Constant(...)


def _destination(call: ast.Call) -> tuple[str, str]:
    """The attribute under which argparse puts an argument, and how the argument is written."""
    flags = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
    texts = [flag for flag in flags if isinstance(flag, str) and flag]
    if not texts or len(flags) != len(call.args):
        return "", ""
    shown = next((text for text in texts if text.startswith("--")), texts[0])
    for keyword in call.keywords:
        if keyword.arg == "dest":
            given = keyword.value.value if isinstance(keyword.value, ast.Constant) else ""
            return (given if isinstance(given, str) else ""), shown
    return shown.lstrip("-").replace("-", "_"), shown


def _placed(unit: Unit) -> list[_Default]:
    """The defaults with their lines in the file, as the source has them."""
    taking = _Defaults(unit.file)
    with suppress(SyntaxError):
        taking.visit(ast.parse(textwrap.dedent(unit.text)))
    return [replace(default, line=unit.line + default.line - 1) for default in taking.found]


def _is_literal(node: ast.expr) -> bool:
    with suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        ast.literal_eval(node)
        return True
    return False


def _tail(key: str) -> str:
    return key.rpartition(".")[2]


def _holds(run: Run, key: str, default: _Default) -> bool:
    """Whether a key has this default as its value; argparse converts a default that is a text."""
    entry = run.config.get(key)
    if entry is None:
        return False
    value = entry["value"]
    if isinstance(default.value, str) and not isinstance(value, str):
        return str(value) == default.value
    plain = list(default.value) if isinstance(default.value, tuple) else default.value
    return bool(plain == value and isinstance(value, bool) == isinstance(plain, bool))


def _is_default(a: Run, b: Run, key: str, before: _Default, after: _Default) -> bool:
    """Whether a key got its value from a default that was edited, in one run at least.

    Its origin says so; where none is known, the value does, and a field's only in both runs.
    """
    held = [_holds(a, key, before), _holds(b, key, after)]
    origins = [w.origin for run in (a, b) for w in writes(run.config.get(key) or {})]
    if not origins:
        return all(held) if before.is_field else any(held)
    places = {(default.file, default.line) for default in (before, after)}
    labels = () if before.is_field else (before.label, after.label)
    return any(held) and any((o.file, o.line) in places or o.text in labels for o in origins)


def _name_origin(changes: Changes, key: str, edit: _Edit) -> None:
    """Say where the values stand, where the config itself does not know."""
    change = changes.config[key]
    changes.config[key] = replace(
        change,
        origin_a=change.origin_a or edit.origin_a,
        origin_b=change.origin_b or edit.origin_b,
    )


def _is_from(entry: dict[str, Any] | None, path: str) -> bool:
    """Whether a key's value was read from a file."""
    history = writes(entry or {})
    if not history or history[-1].origin.kind != "file":
        return False
    file = history[-1].origin.file or ""
    return bool(file) and (path == file or path.endswith(f"/{file}"))
