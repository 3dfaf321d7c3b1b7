"""A file is written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["write_whole"]

# It can only be read by setting it, for a moment, for all threads: so once, before there are many.
_UMASK = os.umask(0o077)
os.umask(_UMASK)


def write_whole(path: Path, text: str) -> None:
    """Write UTF-8 text to a sibling file and rename it into place; missing folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    sibling = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        # mkstemp makes files private; a config is as readable as any other file of the user's.
        sibling.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_UMASK)
        sibling.replace(path)
    except BaseException:
        sibling.unlink(missing_ok=True)
        raise
