"""JSON, by the standard library, with the line of each key."""

from __future__ import annotations

import json
import re
from typing import Any

from ato.exceptions import ConfigFileError
from ato.formats._plain import Loaded, plain

__all__ = ["dump_json", "read_json"]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|\n')


def read_json(text: str, name: str) -> Loaded:
    """Read JSON text; a key that stands twice in one object is an error.

    Raises:
        ConfigFileError: with `name` and the line.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigFileError(f"{name}:{error.lineno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise ConfigFileError(f"{name}: nested too deeply") from None
    except ValueError as error:
        # An integer of more digits than Python reads is a plain ValueError.
        raise ConfigFileError(f"{name}: not JSON: {error}") from None
    return Loaded(value, _key_lines(text, name))


def dump_json(value: object) -> str:
    """Render a value as indented JSON; NaN and infinities as Python's `json` spells them."""
    return json.dumps(plain(value, "JSON"), indent=2, ensure_ascii=False) + "\n"


def _key_lines(text: str, name: str) -> dict[tuple[str, ...], int]:
    """Find the line of every key, in a text that is known to be JSON."""
    lines: dict[tuple[str, ...], int] = {}
    # One entry for each open bracket: the name under which the present item stands, an object's
    # last key or a list's index.
    path: list[Any] = []
    pending: str | None = None
    number = 1
    for match in _TOKEN.finditer(text):
        mark = match[0]
        if mark == "\n":
            number += 1
        elif mark in "{[":
            path.append("" if mark == "{" else 0)
        elif mark in "}]":
            path.pop()
        elif mark == "," and isinstance(path[-1], int):
            path[-1] += 1
        elif mark[0] == '"':
            pending = mark
        elif mark == ":" and pending is not None:
            path[-1] = json.loads(pending)
            place = tuple(str(part) for part in path)
            if place in lines:
                raise ConfigFileError(
                    f"{name}:{number}: the key {path[-1]!r} stands twice, first on line "
                    f"{lines[place]}"
                )
            lines[place] = number
    return lines
