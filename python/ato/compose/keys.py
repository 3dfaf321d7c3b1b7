"""Keys that users write: indexes of lists, and the nearest of those there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = ["did_you_mean", "is_index", "list_index"]


def is_index(key: object) -> bool:
    """Whether a key is written as an index of a list: decimal digits, or an int of that kind."""
    if isinstance(key, str):
        return key.isascii() and key.isdecimal()
    return type(key) is int and key >= 0


def list_index(key: object, length: int) -> int | None:
    """Return the index of a list of this length that `key` is, or None where it is none."""
    # By its digits first: Python refuses to read numbers of thousands of them.
    if not is_index(key) or (isinstance(key, str) and len(key.lstrip("0")) > len(str(length))):
        return None
    index = int(key)  # type: ignore[call-overload]
    return index if index < length else None


def did_you_mean(key: object, names: Iterable[Any]) -> str:
    """Return `; did you mean 'lr'?` for the name that is nearest to a key, or an empty text."""
    near = difflib.get_close_matches(str(key), [str(name) for name in names], 1)
    return f"; did you mean {near[0]!r}?" if near else ""
