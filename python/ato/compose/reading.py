"""A config file as plain values, by its extension; nothing that it says is executed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ato import formats, xyz
from ato.compose.keys import did_you_mean
from ato.exceptions import ConfigFileError, ConfigTypeError, MissingFileError
from ato.formats import Loaded

__all__ = ["EXTENSIONS", "as_path", "is_file", "read_data_file", "read_text", "require_file"]


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
    loaded = read(read_text(file, str(file)), str(file))
    if loaded.value is None:
        return Loaded({}, {})
    if not isinstance(loaded.value, dict):
        raise ConfigFileError(
            f"{file}: holds a {type(loaded.value).__name__}; a config file holds a mapping"
        )
    return loaded


def as_path(path: object) -> Path:
    """Return a path that a user gave; raise `ConfigTypeError` where it is none."""
    if not isinstance(path, (str, os.PathLike)):
        raise ConfigTypeError(f"a path is a text or a Path, not {path!r:.80}")
    return Path(path)


def is_file(file: Path) -> bool:
    """Whether there is such a file; a name that no file can have is none."""
    try:
        return file.is_file()
    except OSError:  # a name that is too long
        return False


def require_file(file: Path) -> None:
    """Raise `MissingFileError` where there is no such file."""
    if is_file(file):
        return
    if os.path.isdir(file):  # noqa: PTH112 (says False where a name is too long)
        raise MissingFileError(f"{file} is a folder; name the config file in it")
    if os.path.islink(file):  # noqa: PTH114 (likewise)
        raise MissingFileError(f"{file} is a link that leads to no file; mend it")
    folder = file.parent
    beside = [other.name for other in folder.iterdir()] if os.path.isdir(folder) else []  # noqa: PTH112
    raise MissingFileError(f"no such config file: {file}{did_you_mean(file.name, beside)}")


def read_text(file: Path, name: str) -> str:
    """Read a text file; `name` is what messages call it.

    Raises:
        ConfigFileError: it is not UTF-8, or the system does not let it be read.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigFileError(f"{name}: not UTF-8 text: {error.reason}; save it as UTF-8") from None
    except OSError as error:
        raise ConfigFileError(f"{name}: cannot be read: {error.strerror}") from error


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
