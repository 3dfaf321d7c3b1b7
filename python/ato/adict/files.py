"""Config files in and out, by extension."""

from __future__ import annotations

import ast
import runpy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from ato import formats, xyz
from ato.adict.node import Node
from ato.adict.state import get_or, state_of
from ato.adict.tree import fill, place
from ato.compose.reading import read_data_file, require_file
from ato.exceptions import ConfigFileError
from ato.formats import Loaded
from ato.provenance import History, Origin, Source, Write, dotted, shown_path, value_text
from ato.whole_file import write_whole

__all__ = ["fill_composed", "merge_file", "read_file", "write_file"]


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


def merge_file(node: Node, loaded: Loaded, file: Path) -> None:
    """Merge what a file holds deeply into `node`; every write names the line that made it."""
    _merge(node, loaded.value, loaded, shown_path(str(file.absolute())), ())


def _merge(
    node: Node, values: Mapping[Any, Any], loaded: Loaded, name: str, path: tuple[str, ...]
) -> None:
    history = state_of(node).history
    assert history is not None, "a config that loads a file has a history"
    loader = history.source
    by = f"view {loader.text}" if type(loader) is Source else ""
    for key, value in values.items():
        below = (*path, str(key))
        origin = Origin("file", by, name, loaded.line(below))
        with history.writing(origin):
            if isinstance(value, Mapping) and value:
                if not isinstance(get_or(node, key), Node):
                    node[key] = {}
            else:
                node[key] = value
        if isinstance(value, Mapping) and value:
            _merge(dict.__getitem__(node, key), value, loaded, name, below)


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
    names = runpy.run_path(str(file))
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
