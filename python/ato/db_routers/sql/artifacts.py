"""Files as the store knows them: a file by its bytes, a directory by its tree, else a reference."""

from __future__ import annotations

import glob
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ato.db_routers.sql.text import as_text
from ato.exceptions import StoreError
from ato.fingerprints import fingerprint_file, value_hex

__all__ = ["artifact_rows", "input_row"]


def artifact_rows(
    path: str | os.PathLike[str], data_type: str | None, metadata: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """The rows of `schema.Artifact` for a file, a directory, a pattern or a reference.

    A path that does not exist, or a URL, is a reference without digest, and a warning says so.

    Raises:
        StoreError: a pattern that no file matches.
    """
    name = os.fspath(path)
    return [
        {
            **_described(match),
            "path": as_text(match),
            "data_type": data_type,
            "metadata": dict(metadata or {}),
            "timestamp": time.time(),
        }
        for match in _matches(name)
    ]


def input_row(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The row of `schema.Input` for a file or directory, as it is now.

    Raises:
        FileNotFoundError: there is none.
    """
    stat = Path(path).stat()
    found = _described(os.fspath(path))
    return {
        "path": as_text(path),
        "size": found["size"],
        "mtime": stat.st_mtime_ns,
        "digest": found["digest"],
    }


def _matches(name: str) -> list[str]:
    if "://" in name or os.path.lexists(name) or not glob.has_magic(name):
        return [name]
    # `Path.glob` takes no absolute pattern.
    found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207
    if not found:
        raise StoreError(f"no file matches {name!r} in {Path.cwd()}; nothing was logged")
    return found


def _described(name: str) -> dict[str, Any]:
    path = Path(name)
    reference = {"kind": "reference", "size": None, "digest": None, "tree": None}
    if "://" in name:
        why = "it is a URL"
    elif path.is_file():
        size, digest = _size_and_digest(path)
        return {"kind": "file", "size": size, "digest": digest, "tree": None}
    elif path.is_dir():
        return _described_directory(path)
    else:
        why = "it is no file or folder" if path.exists() else "there is no such file"
    warnings.warn(
        f"artifact {name!r} is recorded as a reference, without digest: {why}",
        RuntimeWarning,
        stacklevel=5,
    )
    return reference


def _described_directory(folder: Path) -> dict[str, Any]:
    tree: dict[str, list[Any]] = {}
    # Links to folders are not followed: they may lead back here.
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.is_file():
                tree[as_text(path.relative_to(folder).as_posix())] = list(_size_and_digest(path))
    listing = {name: tree[name] for name in sorted(tree)}
    return {
        "kind": "directory",
        "size": sum(size for size, _ in listing.values()),
        "digest": value_hex(listing),
        "tree": listing,
    }


def _size_and_digest(path: Path) -> tuple[int, str]:
    return path.stat().st_size, fingerprint_file(path).hex
