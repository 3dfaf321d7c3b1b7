"""Config files in and out, by extension."""

from __future__ import annotations

import ast
import runpy
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from ato import formats, xyz
from ato.adict.merge import refuse_frozen
from ato.adict.node import Node
from ato.adict.state import Branch, get_or, set_raw, state_of
from ato.adict.tree import build, fill, place
from ato.compose.reading import read_data_file, require_file
from ato.exceptions import ConfigFileError, ConfigValueError
from ato.formats import Loaded
from ato.provenance import (
    MISSING,
    PLAIN,
    FileSource,
    History,
    Origin,
    Source,
    Write,
    dotted,
    shown_path,
    value_text,
)
from ato.whole_file import write_whole

__all__ = ["fill_composed", "merge_composed", "merge_file", "read_file", "write_file"]


def read_file(file: Path) -> Loaded:
    """Read a config file; the value is a mapping. A `.py` file is executed.

    Raises:
        MissingFileError: no such file.
        ConfigFileError: unknown extension, or the content cannot be read or is no mapping.
    """
    if file.suffix.lower() == ".py":
        require_file(file)
        return _run_python(file)
    return read_data_file(file, "or .py")


def write_file(config: Mapping[Any, Any], file: Path) -> None:
    """Write a config in the format of the extension."""
    write = _WRITERS.get(file.suffix.lower())
    if write is None:
        raise ConfigFileError(
            f"{file}: cannot write a {file.suffix or 'file without extension'}; "
            f"use {' '.join(_WRITERS)}"
        )
    write_whole(file, write(config))


def merge_file(node: Branch, loaded: Loaded, file: Path) -> None:
    """Merge what a file holds deeply into `node`; every write names the line that made it.

    Raises:
        FrozenConfigError: a part that the file would change is frozen; nothing is changed then.
    """
    _refuse_tuples(loaded.value, str(file))
    refuse_frozen(node, loaded.value)
    state = state_of(node)
    history = state.history
    assert history is not None, "a config that loads a file has a history"
    loader = history.source
    by = f"view {loader.text}" if type(loader) is Source else ""
    name = shown_path(str(file.absolute()))
    lines = partial(_named_lines, loaded, state.prefix)
    with history.writing(FileSource(by, name, lines)):
        _merge(node, loaded.value, history)


def _merge(node: Branch, values: Mapping[Any, Any], history: History) -> None:
    state = state_of(node)
    prefix = state.prefix
    for key, value in values.items():
        old = get_or(node, key, MISSING)
        if type(value) in PLAIN and (old is MISSING or type(old) in PLAIN):
            # What `node[key] = value` does, without asking again for each of thousands of keys.
            set_raw(node, key, value)
            history.record(dotted(prefix, key), value, old)
        elif isinstance(value, Mapping) and value:
            if not isinstance(old, Branch):
                if old is not MISSING:
                    del node[key]
                # An empty branch, which is no write: its leaves are.
                old = build((), dotted(prefix, key), state)
                set_raw(node, key, old)
            _merge(old, value, history)
        else:
            node[key] = value


def _refuse_tuples(values: Mapping[Any, Any], where: str) -> None:
    """Refuse keys that `config[key] = value` takes for several, before anything is merged."""
    for key, value in values.items():
        if isinstance(key, tuple):
            raise ConfigValueError(
                f"{where}: the key {key!r} is a tuple, which names several keys of a config; "
                "write a text"
            )
        if isinstance(value, Mapping):
            _refuse_tuples(value, where)


def _named_lines(loaded: Loaded, prefix: str) -> dict[str, int]:
    """The lines of a file's keys by dotted path, as the history of a config calls them."""
    found: dict[str, int] = {}
    _name_lines(loaded.value, prefix, loaded, (), found)
    return found


def _name_lines(
    value: Any, name: str, loaded: Loaded, path: tuple[str, ...], found: dict[str, int]
) -> None:
    line = loaded.line(path)
    if line is not None:
        found[name] = line
    if isinstance(value, Mapping):
        for key, item in value.items():
            _name_lines(item, dotted(name, key), loaded, (*path, str(key)), found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _name_lines(item, f"{name}[{index}]", loaded, (*path, str(index)), found)


def fill_composed(
    node: Node,
    values: Mapping[Any, Any],
    origins: Mapping[tuple[str, ...], Origin | Sequence[Write]],
) -> None:
    """Put composed values into a new node, with where each of them comes from.

    Args:
        node: an empty root.
        values: plain nested values.
        origins: path of keys (as texts) → the origin of what stands there and below, or all the
            writes to that leaf, oldest first. A path without an entry takes that of the nearest
            one above it.
    """
    history = History()
    fill(node, values.items(), state_of(node))
    place(node, "", history)
    _note_origins(history, node, origins, "", ())


def merge_composed(
    node: Branch,
    values: Mapping[Any, Any],
    writes: Mapping[tuple[str, ...], Sequence[Write]],
) -> None:
    """Merge composed values deeply into a node that has a history.

    Args:
        node: what they are merged into.
        values: plain nested values.
        writes: path of each leaf (keys as texts) → the writes to it, oldest first.

    Raises:
        FrozenConfigError: a part that would change is frozen; nothing is changed then.
    """
    _refuse_tuples(values, "the loaded config")
    refuse_frozen(node, values)
    history = state_of(node).history
    assert history is not None, "a config that loads a file has a history"
    loader = history.source
    by = f"view {loader.text}" if type(loader) is Source else ""
    _merge_composed(node, values, writes, history, by, ())


def _merge_composed(
    node: Branch,
    values: Mapping[Any, Any],
    writes: Mapping[tuple[str, ...], Sequence[Write]],
    history: History,
    by: str,
    path: tuple[str, ...],
) -> None:
    state = state_of(node)
    for key, value in values.items():
        below, name = (*path, str(key)), dotted(state.prefix, key)
        if isinstance(value, Mapping) and value:
            old = get_or(node, key, MISSING)
            if not isinstance(old, Branch):
                if old is not MISSING:
                    del node[key]
                old = build((), name, state)
                set_raw(node, key, old)
            _merge_composed(old, value, writes, history, by, below)
            continue
        *earlier, last = (
            replace(write, origin=replace(write.origin, text=by)) for write in writes[below]
        )
        history.add(name, earlier)
        with history.writing(last.origin):
            node[key] = value


def _note_origins(
    history: History,
    values: dict[Any, Any],
    origins: Mapping[tuple[str, ...], Origin | Sequence[Write]],
    prefix: str,
    path: tuple[str, ...],
) -> None:
    for key, value in dict.items(values):
        below, name = (*path, str(key)), dotted(prefix, key)
        if isinstance(value, dict) and value:
            _note_origins(history, value, origins, name, below)
            continue
        found = next(
            (origins[below[:n]] for n in range(len(below), 0, -1) if below[:n] in origins), None
        )
        if isinstance(found, Origin):
            kind = "dict" if isinstance(value, dict) else type(value).__name__
            history.add(name, [Write(value_text(value), kind, found)])
        elif found is not None:
            history.add(name, found)


def _run_python(file: Path) -> Loaded:
    """Execute a config written in Python; its variables are the config."""
    try:
        names = runpy.run_path(str(file))
    except SyntaxError as error:
        raise ConfigFileError(f"{error.filename}:{error.lineno}: {error.msg}") from None
    except (Exception, SystemExit) as error:
        line = next(
            (
                step.lineno
                for step in traceback.extract_tb(error.__traceback__)[::-1]
                if step.filename == str(file)
            ),
            None,
        )
        where = file if line is None else f"{file}:{line}"
        raise ConfigFileError(f"{where}: {type(error).__name__}: {error}") from error
    values = {
        key: value
        for key, value in names.items()
        if not key.startswith("__") and not isinstance(value, (ModuleType, FunctionType, type))
    }
    lines: dict[tuple[str, ...], int] = {}
    for statement in ast.parse(file.read_bytes()).body:
        for part in ast.walk(statement):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                lines[(part.id,)] = part.lineno
    return Loaded(values, lines)


def _write_xyz(config: object) -> str:
    return xyz.dumps(config) + "\n"


_WRITERS: dict[str, Callable[[object], str]] = {
    ".json": formats.dump_json,
    ".yaml": formats.dump_yaml,
    ".yml": formats.dump_yaml,
    ".toml": formats.dump_toml,
    ".xyz": _write_xyz,
}
