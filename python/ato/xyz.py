"""XYZ: a config as indented text, the form that `manual` and `print` show.

    lr: 0.1
    model:
        depth: 50
    layers:
        0) 64
        1) 128

Scalars are spelled as in Python (`None`, `True`, `0.1`, `inf`); a text that would read as
something else is quoted as in JSON. `#` after a blank begins a comment.
"""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ato.exceptions import ConfigFileError, ConfigTypeError
from ato.provenance import dotted
from ato.whole_file import write_whole

__all__ = ["dump", "dumps", "load", "loads", "loads_with_lines"]

_INDENT = "    "
_KEY = re.compile(r'(?P<key>[A-Za-z_][\w.-]*|"(?:[^"\\]|\\.)*"):(?:[ \t]+(?P<rest>.*)|$)')
_ITEM = re.compile(r"(?P<index>\d+)\)(?:[ \t]+(?P<rest>.*)|$)")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_WORDS = {
    "None": None,
    "True": True,
    "False": False,
    "inf": float("inf"),
    "-inf": float("-inf"),
    "nan": float("nan"),
}
# Python neither writes nor reads the decimal digits of an integer of more bits than about this.
_LONGEST_DECIMAL = 2000
_NUMBER = re.compile(r"[+-]?(\d|\.\d)[\w.+-]*")


def dumps(
    value: object,
    *,
    quote: bool = True,
    comment: Callable[[tuple[Any, ...]], str | None] | None = None,
) -> str:
    """Render a JSON-like value.

    Args:
        value: nested mappings with text keys, lists and tuples, and scalars.
        quote: quote texts that would read as something else; without it the result is for reading.
        comment: asked for each key and item with its path, in which the items of lists are ints;
            what it gives stands behind it.

    Raises:
        ConfigTypeError: for a value or key that XYZ has no form for, with its path.
    """
    lines = _Writer(quote, comment).lines(value, "", ())
    return "\n".join(lines)


def loads(text: str) -> Any:
    """Read XYZ text; raise `ConfigFileError` with the line that cannot be read."""
    return loads_with_lines(text)[0]


def loads_with_lines(text: str, name: str = "<text>") -> tuple[Any, dict[tuple[str, ...], int]]:
    """Read XYZ text, and say on which line each key stands."""
    reader = _Reader(text, name)
    try:
        return reader.document(), reader.key_lines
    except RecursionError:
        raise ConfigFileError(f"{name}: nested too deeply") from None


def dump(value: object, path: str | Path) -> None:
    """Write XYZ text to a file, whole or not at all."""
    write_whole(Path(path), dumps(value) + "\n")


def load(path: str | Path) -> Any:
    """Read an XYZ file."""
    return loads_with_lines(Path(path).read_text(encoding="utf-8"), str(path))[0]


class _Writer:
    def __init__(
        self, quote: bool, comment: Callable[[tuple[Any, ...]], str | None] | None
    ) -> None:
        self.quote = quote
        self.comment = comment

    def lines(self, value: object, indent: str, path: tuple[Any, ...]) -> list[str]:
        if isinstance(value, dict) and value:
            found: list[str] = []
            for key, item in dict.items(value):
                found += self.entry(f"{self.key(key, path)}:", item, indent, (*path, key))
            return found
        if isinstance(value, (list, tuple)) and value:
            found = []
            for index, item in enumerate(value):
                found += self.entry(f"{index})", item, indent, (*path, index))
            return found
        return [indent + self.scalar(value, path, top=not path)]

    def entry(self, head: str, value: object, indent: str, path: tuple[Any, ...]) -> list[str]:
        comment = self.comment(path) if self.comment is not None else None
        behind = f"  # {comment}" if comment else ""
        if isinstance(value, (dict, list, tuple)) and value:
            return [f"{indent}{head}{behind}", *self.lines(value, indent + _INDENT, path)]
        return [f"{indent}{head} {self.scalar(value, path)}{behind}"]

    def key(self, key: object, path: tuple[Any, ...]) -> str:
        if not isinstance(key, str):
            where = _dotted(path) or "the top level"
            raise ConfigTypeError(
                f"XYZ keys are texts; {key!r} at {where} is of type {type(key).__name__}"
            )
        return key if re.fullmatch(r"[A-Za-z_][\w.-]*", key) else _json_text(key)

    def scalar(self, value: object, path: tuple[Any, ...], *, top: bool = False) -> str:
        if isinstance(value, str):
            if not self.quote:
                return value
            bare = not top and value.isprintable() and _reads_as_itself(value)
            return value if bare else _json_text(value)
        if isinstance(value, (dict, list, tuple)):
            return "{}" if isinstance(value, dict) else "[]"
        if type(value) is int and value.bit_length() > _LONGEST_DECIMAL:
            return hex(value)
        if value is None or type(value) in (bool, int, float):
            return repr(value)
        if not self.quote:
            return str(value)
        raise ConfigTypeError(
            f"{_dotted(path) or 'value'}: XYZ has no form for a value of type {type(value).__name__}; "
            "store a number, a text or None in its place"
        )


def _dotted(path: tuple[Any, ...]) -> str:
    return functools.reduce(dotted, path, "")


def _json_text(text: str) -> str:
    # ASCII, so that every line break in the text is escaped, those that only Unicode knows too.
    return json.dumps(text)


def _reads_as_itself(text: str) -> bool:
    if not text or text != text.strip() or text[0] in '"#' or " #" in text or "\t#" in text:
        return False
    return text not in ("{}", "[]") and _plain_scalar(text) is text


def _plain_scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.fullmatch(text):
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text
        return value if type(value) in (int, float) else text
    return text


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    indent: int
    text: str


class _Reader:
    """Reads lines with a recursive descent over their indentation."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.key_lines: dict[tuple[str, ...], int] = {}
        self.position = 0
        self.lines: list[_Line] = []
        for number, line in enumerate(text.split("\n"), 1):
            stripped = line.strip(" \t\r")
            if stripped and not stripped.startswith("#"):
                indent = len(line) - len(line.lstrip(" \t"))
                self.lines.append(_Line(number, indent, stripped))

    def document(self) -> Any:
        if not self.lines:
            return {}
        first = self.lines[0]
        if _KEY.fullmatch(first.text) or _ITEM.fullmatch(first.text):
            value = self.block(first.indent, ())
        else:
            self.position = 1
            value = self.value(first.text, first)
        if self.position < len(self.lines):
            raise self.error(self.lines[self.position], "the indentation fits no line above")
        return value

    def block(self, indent: int, path: tuple[str, ...]) -> Any:
        if _ITEM.fullmatch(self.lines[self.position].text):
            return self.items(indent, path)
        found: dict[str, Any] = {}
        while (line := self.next_at(indent)) is not None:
            match = _KEY.fullmatch(line.text)
            if match is None:
                raise self.error(line, "expected 'key: value'")
            key = match["key"]
            key = self.quoted(key, line) if key.startswith('"') else key
            if key in found:
                raise self.error(line, f"the key {key!r} stands twice")
            self.key_lines[*path, key] = line.number
            found[key] = self.below(match["rest"], line, (*path, key))
        return found

    def items(self, indent: int, path: tuple[str, ...]) -> list[Any]:
        found: list[Any] = []
        while (line := self.next_at(indent)) is not None:
            match = _ITEM.fullmatch(line.text)
            if match is None or int(match["index"]) != len(found):
                raise self.error(line, f"expected item '{len(found)}) …'")
            found.append(self.below(match["rest"], line, (*path, match["index"])))
        return found

    def next_at(self, indent: int) -> _Line | None:
        if self.position == len(self.lines) or self.lines[self.position].indent < indent:
            return None
        line = self.lines[self.position]
        if line.indent > indent:
            raise self.error(line, "indented deeper than the line above allows")
        return line

    def below(self, rest: str | None, line: _Line, path: tuple[str, ...]) -> Any:
        self.position += 1
        if rest is not None and not rest.startswith("#"):
            return self.value(rest, line)
        if self.position == len(self.lines) or self.lines[self.position].indent <= line.indent:
            raise self.error(line, 'a value is missing; an empty text is written ""')
        return self.block(self.lines[self.position].indent, path)

    def value(self, text: str, line: _Line) -> Any:
        if text.startswith('"'):
            quoted = _QUOTED.match(text)
            if quoted is None or re.fullmatch(r"([ \t]+#.*)?", text[quoted.end() :]) is None:
                raise self.error(line, f"the quotes do not close: {text}")
            return self.quoted(quoted[0], line)
        text = re.split(r"[ \t]#", text, maxsplit=1)[0].rstrip(" \t")
        if text in ("{}", "[]"):
            return {} if text == "{}" else []
        return _plain_scalar(text)

    def quoted(self, text: str, line: _Line) -> str:
        try:
            found: str = json.loads(text)
        except json.JSONDecodeError as error:
            raise self.error(line, f"{error.msg} (a text is quoted as in JSON)") from None
        return found

    def error(self, line: _Line, message: str) -> ConfigFileError:
        return ConfigFileError(f"{self.name}:{line.number}: {message}: {line.text}")
