"""What parsing found, kept in the user's cache directory under the digest of the text."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["folder", "load", "store"]

# Another number wherever the same text may now give another result.
_VERSION = "code-5"


def load(key: str) -> dict[str, Any] | None:
    """Read an entry; `None` if there is none that can be read."""
    try:
        entry = json.loads(_path(key).read_bytes())
    except (OSError, ValueError):
        # A missing or damaged entry is computed again.
        return None
    return entry if isinstance(entry, dict) else None


def store(key: str, entry: dict[str, Any]) -> None:
    """Write an entry. A cache that cannot be written is not used: nothing depends on it."""
    path = _path(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, sibling = tempfile.mkstemp(dir=path.parent, prefix=f".{key[:8]}-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(entry, file, separators=(",", ":"))
            Path(sibling).replace(path)
        except OSError:
            Path(sibling).unlink()
    except OSError:
        return


def _path(key: str) -> Path:
    return folder() / _VERSION / key[:2] / f"{key}.json"


def folder() -> Path:
    """Where entries are kept: `ATO_CACHE_DIR`, else the platform's place for caches."""
    given = os.environ.get("ATO_CACHE_DIR")
    if given:
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "ato" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "ato"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ato"
