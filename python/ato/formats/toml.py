"""TOML, by `tomllib` and `tomli-w`, with the line of each key."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from ato.exceptions import ConfigFileError, ConfigValueError
from ato.formats._plain import Loaded, plain

__all__ = ["dump_toml", "read_toml"]

_KEY_PART = re.compile(r"""[ \t]*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))[ \t]*""")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)


def read_toml(text: str, name: str) -> Loaded:
    """Read TOML text.

    Raises:
        ConfigFileError: with `name` and the line.
    """
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = re.search(r"line (\d+)", message)
        line = place[1] if place else text.rstrip("\n").count("\n") + 1
        raise ConfigFileError(f"{name}:{line}: not TOML: {message}") from None
    return Loaded(value, _key_lines(text))


def dump_toml(value: object) -> str:
    """Render a mapping as TOML.

    Raises:
        ConfigValueError: TOML has no form for `None`; the message has the path.
        ConfigTypeError: a value that TOML has no form for.
    """
    import tomli_w  # loads on first use: most programs write no TOML

    found = plain(value, "TOML", times=True)
    if not isinstance(found, dict):
        raise ConfigValueError("a TOML file holds a mapping")
    _refuse_none(found, "")
    return tomli_w.dumps(found)


def _refuse_none(value: Any, path: str) -> None:
    if value is None:
        raise ConfigValueError(
            f"{path}: TOML has no form for None; remove the key, or use YAML, JSON or XYZ"
        )
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_none(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_none(item, f"{path}[{index}]")


def _key_lines(text: str) -> dict[tuple[str, ...], int]:
    """Find the line of each header and each key, in a text that is known to be TOML."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    position, number = 0, 1
    while position < len(text):
        character = text[position]
        if character in " \t\r\n":
            number += character == "\n"
            position += 1
            continue
        if character == "#":
            position = _line_end(text, position)
            continue
        header = character == "["
        path, after = _dotted(text, position + (text.startswith("[[", position) + header))
        table = path if header else table
        full = path if header else table + path
        for length in range(1, len(full) + 1):
            lines.setdefault(full[:length], number)
        end = _line_end(text, after) if header else _statement_end(text, after)
        number += text.count("\n", position, end)
        position = end
    return lines


def _dotted(text: str, position: int) -> tuple[tuple[str, ...], int]:
    parts: list[str] = []
    while (match := _KEY_PART.match(text, position)) is not None:
        quoted, literal, bare = match.groups()
        # Escapes in a quoted key are TOML's own; its parser reads them.
        parts.append(bare or literal or next(iter(tomllib.loads(f'"{quoted or ""}" = 0'))))
        position = match.end()
        if not text.startswith(".", position):
            break
        position += 1
    return tuple(parts), position


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _statement_end(text: str, position: int) -> int:
    """Skip a value: to the end of the line, outside of strings, brackets and comments."""
    depth = 0
    while position < len(text):
        character = text[position]
        if character in "\"'":
            match = _STRING.match(text, position)
            position = match.end() if match else position + 1
            continue
        if character == "#":
            position = _line_end(text, position)
            continue
        if character == "\n" and depth == 0:
            return position
        depth += (character in "[{") - (character in "]}")
        position += 1
    return position
