"""What files of every format have in common."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, NamedTuple

from ato.exceptions import ConfigTypeError
from ato.provenance import dotted

__all__ = ["SCALARS", "TIMES", "Loaded", "plain"]

SCALARS = (type(None), bool, int, float, str)
TIMES = (dt.datetime, dt.date, dt.time)


class Loaded(NamedTuple):
    """A file's value, and for each path of keys the line (from 1) on which the key stands."""

    value: Any
    lines: dict[tuple[str, ...], int]

    def line(self, path: tuple[str, ...]) -> int | None:
        """Return the line of a key, or of the nearest key above it whose line is known."""
        for length in range(len(path), 0, -1):
            found = self.lines.get(path[:length])
            if found is not None:
                return found
        return None


def plain(
    value: object,
    form: str,
    more: tuple[type, ...] = (),
    *,
    keys: tuple[type, ...] = (str,),
    path: str = "",
) -> Any:
    """Copy a value down to what the format `form` can hold; tuples become lists.

    Args:
        value: nested mappings, lists and tuples of scalars.
        form: the format's name, for the message.
        more: the types of what it has a form for beside None, numbers and texts.
        keys: the types that a key may have.
        path: the dotted path to `value`, for the message.

    Raises:
        ConfigTypeError: for anything else, with the path to it.
    """
    if type(value) in SCALARS or type(value) in more:
        return value
    if isinstance(value, Mapping):
        items = dict.items(value) if isinstance(value, dict) else value.items()
        found = {}
        for key, item in items:
            if type(key) not in keys and not isinstance(key, str):
                known = "texts" if keys == (str,) else "texts, numbers and dates"
                raise ConfigTypeError(
                    f"{path or 'the config'}: {form} keys are {known}, and {key!r} is of type "
                    f"{type(key).__name__}"
                )
            found[key] = plain(item, form, more, keys=keys, path=dotted(path, key))
        return found
    if isinstance(value, (list, tuple)):
        return [
            plain(item, form, more, keys=keys, path=f"{path}[{index}]")
            for index, item in enumerate(value)
        ]
    raise ConfigTypeError(
        f"{path or 'value'}: {form} has no form for a value of type {type(value).__name__}; "
        "store a number, a text or a list of them in its place"
    )
