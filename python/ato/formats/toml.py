"""TOML, by `tomllib` and `tomli-w`, with the line of each key."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from ato.exceptions import ConfigFileError, ConfigValueError
from ato.formats._plain import TIMES, Loaded, plain
from ato.provenance import dotted

__all__ = ["dump_toml", "read_toml"]

_KEY_PART = re.compile(r"""[ \t]*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))[ \t]*""")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE = re.compile(r"[^\s,\]}#]+(?: (?=\d\d:)[^\s,\]}#]+)?")


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
    except RecursionError:
        raise ConfigFileError(f"{name}: nested too deeply") from None
    except ValueError as error:
        # An integer of more digits than Python reads is a plain ValueError.
        raise ConfigFileError(f"{name}: not TOML: {error}") from None
    return Loaded(value, _Lines(text).lines)


def dump_toml(value: object) -> str:
    """Render a mapping as TOML.

    Raises:
        ConfigValueError: TOML has no form for `None`; the message has the path.
        ConfigTypeError: a value that TOML has no form for.
    """
    import tomli_w  # loads on first use: most programs write no TOML

    found = plain(value, "TOML", TIMES)
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
            _refuse_none(item, dotted(path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_none(item, f"{path}[{index}]")


class _Lines:
    """Finds the line of each header and each key, in a text that is known to be TOML."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines: dict[tuple[str, ...], int] = {}
        # How many elements each array of tables has so far: a header below it means the last one.
        self.elements: dict[tuple[str, ...], int] = {}
        # The line of the position that was reached last; positions only grow.
        self.reached, self.number = 0, 1
        self.statements()

    def statements(self) -> None:
        table: tuple[str, ...] = ()
        position = self.skip(0, " \t\r\n")
        while position < len(self.text):
            if self.text[position] == "[":
                table, position = self.header(position)
            else:
                position = self.pair(table, position)
            position = self.skip(position, " \t\r\n")

    def header(self, position: int) -> tuple[tuple[str, ...], int]:
        several = self.text.startswith("[[", position)
        parts, after = _key_parts(self.text, position + 1 + several)
        table: tuple[str, ...] = ()
        for number, part in enumerate(parts):
            table = (*table, part)
            if several and number == len(parts) - 1:
                self.elements[table] = self.elements.get(table, 0) + 1
            self.note(table, position)
            if table in self.elements:
                table = (*table, str(self.elements[table] - 1))
                self.note(table, position)
        return table, after + 1 + several

    def pair(self, table: tuple[str, ...], position: int) -> int:
        """Note a `key = value`; return the position behind it."""
        parts, after = _key_parts(self.text, position)
        for part in parts:
            table = (*table, part)
            self.note(table, position)
        return self.value(table, self.skip(after + 1, " \t"))  # behind the equals sign

    def value(self, path: tuple[str, ...], position: int) -> int:
        text = self.text
        if text[position] == "[":
            index, position = 0, self.skip(position + 1, " \t\r\n")
            while text[position] != "]":
                position = self.skip(self.value((*path, str(index)), position), " \t\r\n,")
                index += 1
            return position + 1
        if text[position] == "{":
            position = self.skip(position + 1, " \t\r\n")
            while text[position] != "}":
                position = self.skip(self.pair(path, position), " \t\r\n,")
            return position + 1
        match = _STRING.match(text, position) or _BARE.match(text, position)
        assert match is not None, "a value of TOML is a bracket, a text or a bare word"
        return match.end()

    def skip(self, position: int, blanks: str) -> int:
        """Pass over blanks and comments."""
        while position < len(self.text):
            if self.text[position] == "#":
                end = self.text.find("\n", position)
                position = len(self.text) if end < 0 else end
            elif self.text[position] in blanks:
                position += 1
            else:
                break
        return position

    def note(self, path: tuple[str, ...], position: int) -> None:
        self.number += self.text.count("\n", self.reached, position)
        self.reached = position
        self.lines.setdefault(path, self.number)


def _key_parts(text: str, position: int) -> tuple[list[str], int]:
    parts: list[str] = []
    while (match := _KEY_PART.match(text, position)) is not None:
        quoted, literal, bare = match.groups()
        if bare is not None or literal is not None:
            parts.append(literal if bare is None else bare)
        else:
            # Escapes in a quoted key are TOML's own; its parser reads them.
            parts.append(next(iter(tomllib.loads(f'"{quoted}" = 0'))))
        position = match.end()
        if not text.startswith(".", position):
            break
        position += 1
    return parts, position
