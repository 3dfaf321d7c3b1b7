"""A config file as plain values, by its extension; nothing that it says is executed."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from ato import formats, xyz
from ato.exceptions import ConfigFileError, MissingFileError
from ato.formats import Loaded

__all__ = ["EXTENSIONS", "read_data_file", "require_file"]


def read_data_file(file: Path, others: str = "") -> Loaded:
    """Read a .yaml, .yml, .json, .toml or .xyz file; an empty one is an empty mapping.

    Args:
        file: its path.
        others: what the caller reads besides, for the message on an unknown extension.

    Raises:
        MissingFileError: no such file; the message names the nearest.
        ConfigFileError: unknown extension, or the content cannot be read or is no mapping.
    """
    read = _READERS.get(file.suffix.lower())
    if read is None:
        raise ConfigFileError(
            f"{file}: cannot read a {file.suffix or 'file without extension'}; "
            f"use {' '.join((*_READERS, others)).strip()}"
        )
    require_file(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigFileError(f"{file}: not UTF-8 text: {error.reason}") from None
    loaded = read(text, str(file))
    if loaded.value is None:
        return Loaded({}, {})
    if not isinstance(loaded.value, dict):
        raise ConfigFileError(
            f"{file}: holds a {type(loaded.value).__name__}; a config file holds a mapping"
        )
    return loaded


def require_file(file: Path) -> None:
    """Raise `MissingFileError` where there is no such file."""
    if file.is_file():
        return
    if file.is_dir():
        raise MissingFileError(f"{file} is a folder; name the config file in it")
    beside = [other.name for other in file.parent.iterdir()] if file.parent.is_dir() else []
    near = difflib.get_close_matches(file.name, beside, 1)
    hint = f"; did you mean {str(file.parent / near[0])!r}?" if near else ""
    raise MissingFileError(f"no such config file: {file}{hint}")


def _read_xyz(text: str, name: str) -> Loaded:
    return Loaded(*xyz.loads_with_lines(text, name))


_READERS: dict[str, Callable[[str, str], Loaded]] = {
    ".json": formats.read_json,
    ".yaml": formats.read_yaml,
    ".yml": formats.read_yaml,
    ".toml": formats.read_toml,
    ".xyz": _read_xyz,
}
EXTENSIONS = tuple(_READERS)
