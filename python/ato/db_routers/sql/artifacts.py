"""Files as the store knows them: a file by its bytes, a directory by its tree, else a reference."""

from __future__ import annotations

import csv
import glob
import io
import json
import os
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ato.db_routers.sql.text import as_text
from ato.exceptions import StoreError
from ato.fingerprints import fingerprint_file, value_hex

__all__ = ["artifact_rows", "figure_bytes", "input_row", "made_row", "table_bytes"]

# Takes a file and returns the number of its bytes and their BLAKE3.
Taker = Callable[[Path], tuple[int, str]]


def artifact_rows(
    path: str | os.PathLike[str],
    data_type: str | None,
    metadata: Mapping[str, Any] | None,
    keep: Taker | None = None,
    *,
    strict: bool = True,
) -> list[dict[str, Any]]:
    """The rows of `schema.Artifact` for a file, a directory, a pattern or a reference.

    A path that does not exist, or a URL, is a reference without digest, and a warning says so.
    With `keep` every file is given to it, which keeps the bytes and returns their number and digest.
    Where it cannot, a warning says so, and an artifact is logged without its bytes.

    Raises:
        StoreError: a pattern that no file matches; where it is strict, `keep` fails.
    """
    name = os.fspath(path)
    failures: list[StoreError] = []

    def take(file: Path) -> tuple[int, str]:
        if keep is None or failures:
            return _size_and_digest(file)
        try:
            return keep(file)
        except StoreError as error:
            if strict:
                raise
            failures.append(error)
            warnings.warn(
                f"{error}; {name!r} is logged without its bytes", RuntimeWarning, stacklevel=6
            )
            return _size_and_digest(file)

    return [
        {
            **(found := _described(match, take)),
            "kept": keep is not None and not failures and found["digest"] is not None,
            "path": as_text(match),
            "data_type": data_type,
            "metadata": _plain(metadata),
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
    found = _described(os.fspath(path), _size_and_digest)
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


def made_row(
    name: str, data_type: str, metadata: Mapping[str, Any] | None, size: int, digest: str
) -> dict[str, Any]:
    """The row of what has no file but the kept one: a table, a figure."""
    return {
        "kind": "file",
        "size": size,
        "digest": digest,
        "tree": None,
        "kept": True,
        "path": as_text(name),
        "data_type": data_type,
        "metadata": _plain(metadata),
        "timestamp": time.time(),
    }


def _plain(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Metadata as JSON has it: scalars of NumPy and torch are numbers, anything else is a text."""
    named = {as_text(str(key)): value for key, value in (metadata or {}).items()}
    plain: dict[str, Any] = json.loads(json.dumps(named, default=_as_json, skipkeys=True))
    return plain


def _as_json(value: Any) -> Any:
    plain = value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else None
    return plain if isinstance(plain, (bool, int, float, str)) else as_text(str(value))


def table_bytes(table: Any) -> bytes:
    """A table as CSV: a frame of pandas or polars, a mapping of columns, or a list of mappings.

    Raises:
        StoreError: it is none of these.
    """
    if hasattr(table, "to_csv"):
        return str(table.to_csv(index=False)).encode()
    if hasattr(table, "write_csv"):
        return str(table.write_csv()).encode()
    rows = table
    if isinstance(table, Mapping):
        try:
            rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
        except (TypeError, ValueError) as error:
            raise StoreError(f"the columns of a table are lists of one length: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise StoreError(
            "a table is a frame of pandas or polars, a mapping of columns or a list of mappings, "
            f"not {type(table).__name__}"
        )
    file = io.StringIO(newline="")
    columns = dict.fromkeys(key for row in rows for key in row) or dict.fromkeys(
        table if isinstance(table, Mapping) else ()
    )
    writer = csv.DictWriter(file, list(columns))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def figure_bytes(figure: Any) -> bytes:
    """A figure of matplotlib (or whatever has `savefig`) as PNG.

    Raises:
        StoreError: it is none.
    """
    if not hasattr(figure, "savefig"):
        raise StoreError(
            f"a figure is one of matplotlib (it has savefig), not {type(figure).__name__}; "
            "log a file with log_artifact"
        )
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _described(name: str, take: Taker) -> dict[str, Any]:
    path = Path(name)
    reference = {"kind": "reference", "size": None, "digest": None, "tree": None}
    if "://" in name:
        why = "it is a URL"
    elif path.is_file():
        size, digest = take(path)
        return {"kind": "file", "size": size, "digest": digest, "tree": None}
    elif path.is_dir():
        return _described_directory(path, take)
    else:
        why = "it is no file or folder" if path.exists() else "there is no such file"
    warnings.warn(
        f"artifact {name!r} is recorded as a reference, without digest: {why}",
        RuntimeWarning,
        stacklevel=5,
    )
    return reference


def _described_directory(folder: Path, take: Taker) -> dict[str, Any]:
    tree: dict[str, list[Any]] = {}
    # Links to folders are not followed: they may lead back here.
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.is_file():
                tree[as_text(path.relative_to(folder).as_posix())] = list(take(path))
    listing = {name: tree[name] for name in sorted(tree)}
    return {
        "kind": "directory",
        "size": sum(size for size, _ in listing.values()),
        "digest": value_hex(listing),
        "tree": listing,
    }


def _size_and_digest(path: Path) -> tuple[int, str]:
    return path.stat().st_size, fingerprint_file(path).hex
