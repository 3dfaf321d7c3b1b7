"""Text that every database takes."""

from __future__ import annotations

import os

__all__ = ["as_text"]


def as_text(value: str | os.PathLike[str]) -> str:
    r"""The text itself; odd bytes of a file name become `\udcff`, a NUL `\0`."""
    return os.fspath(value).encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
