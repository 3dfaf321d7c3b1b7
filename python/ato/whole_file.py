"""A file is written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, text: str) -> None:
    """Write UTF-8 text to a sibling file and rename it into place; missing folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    sibling = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        # mkstemp makes files private; a config is as readable as any other file of the user's.
        sibling.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        sibling.replace(path)
    except BaseException:
        sibling.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
