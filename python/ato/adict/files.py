"""Config files in and out, by extension."""

from __future__ import annotations

import ast
import difflib
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from ato import formats, xyz
from ato.adict.node import Node, get_or, state_of
from ato.exceptions import ConfigFileError, MissingFileError
from ato.formats import Loaded
from ato.provenance import Origin, Source, shown_path
from ato.whole_file import write_whole

__all__ = ["merge_file", "read_file", "write_file"]


def read_file(file: Path) -> Loaded:
    """Read a config file; the value is a mapping.

    Raises:
        MissingFileError: no such file.
        ConfigFileError: unknown extension, or the content cannot be read or is no mapping.
    """
    suffix = file.suffix.lower()
    if suffix not in _READERS and suffix != ".py":
        known = " ".join([*_READERS, ".py"])
        raise ConfigFileError(
            f"{file}: cannot read a {suffix or 'file without extension'}; use {known}"
        )
    if not file.is_file():
        raise _missing(file)
    if suffix == ".py":
        return _run_python(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigFileError(f"{file}: not UTF-8 text: {error.reason}") from None
    loaded = _READERS[suffix](text, str(file))
    if loaded.value is None:
        return Loaded({}, {})
    if not isinstance(loaded.value, dict):
        raise ConfigFileError(
            f"{file}: holds a {type(loaded.value).__name__}; a config file holds a mapping"
        )
    return loaded


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


def _missing(file: Path) -> MissingFileError:
    beside = [other.name for other in file.parent.iterdir()] if file.parent.is_dir() else []
    near = difflib.get_close_matches(file.name, beside, 1)
    hint = f"; did you mean {str(file.parent / near[0])!r}?" if near else ""
    return MissingFileError(f"no such config file: {file}{hint}")


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


def _read_xyz(text: str, name: str) -> Loaded:
    return Loaded(*xyz.loads_with_lines(text, name))


def _write_xyz(config: object) -> str:
    return xyz.dumps(config) + "\n"


_READERS: dict[str, Callable[[str, str], Loaded]] = {
    ".json": formats.read_json,
    ".yaml": formats.read_yaml,
    ".yml": formats.read_yaml,
    ".toml": formats.read_toml,
    ".xyz": _read_xyz,
}
_WRITERS: dict[str, Callable[[object], str]] = {
    ".json": formats.dump_json,
    ".yaml": formats.dump_yaml,
    ".yml": formats.dump_yaml,
    ".toml": formats.dump_toml,
    ".xyz": _write_xyz,
}
