"""The `${…}` language of OmegaConf: read and evaluated in one pass, by recursive descent.

- a key, absolute, relative or computed: `${a.b}`, `${a[0]}`, `${.sibling}`, `${..b}`, `${a.${b}}`
- a resolver with arguments: `${oc.env:HOME,/root}`, `${oc.select:a,[1, x]}`
- text around it, and the result is a text: `run_${a}_${b}`
- a backslash before it, and it is a text that begins with `${`
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

from ato.exceptions import ConfigValueError

__all__ = ["Lookup", "evaluate", "evaluate_element", "is_interpolation", "split_key"]

_OPEN = "${"
_KEY_NAME = re.compile(r"""[^\\{}()\[\]:.\s'"$]+|\$(?!\{)""")
_INT = re.compile(r"[+-]?(?:0|[1-9][0-9]*(?:_[0-9]+)*)")
_FLOAT = re.compile(
    r"[+-]?(?:(?:[0-9]+(?:_[0-9]+)*\.(?:[0-9]+(?:_[0-9]+)*)?|\.[0-9]+(?:_[0-9]+)*)"
    r"(?:[eE][+-]?[0-9]+)?|[0-9]+(?:_[0-9]+)*[eE][+-]?[0-9]+|inf|nan)",
    re.IGNORECASE,
)
_WORDS = {"true": True, "false": False, "null": None}
_BLANK = " \t"
_ESCAPABLE = "\\()[]{}:=, \t"


class Lookup(Protocol):
    """What an expression asks of the config in which it stands."""

    def key(self, up: int, keys: Sequence[str]) -> Any:
        """Return what stands at `keys`, from the root or, with `up` dots, from a container above."""

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """Return what a resolver gives."""

    def plain(self, value: Any) -> Any:
        """Return the value itself where `key` gave a stand-in for it."""


def is_interpolation(value: object) -> bool:
    """Whether a value is a text with a `${`, an escaped one too."""
    return isinstance(value, str) and _OPEN in value


def evaluate(text: str, lookup: Lookup) -> Any:
    """Return the value of a text with interpolations.

    A text that is one interpolation gives what that gives (of any type), any other a text.

    Raises:
        ConfigValueError: the text cannot be read, with what was expected and where.
    """
    return _Reader(text, lookup).template()


def evaluate_element(text: str, lookup: Lookup) -> Any:
    """Return the value of a text written as an argument: `10`, `[1, a]`, `{a: ${b}}`."""
    reader = _Reader(text, lookup)
    found = reader.element("")
    if reader.at < len(text):
        reader.fail("the end")
    return lookup.plain(found)


def split_key(text: str) -> tuple[int, list[str]]:
    """Split a key as a text: `..a.b[0]` → 2 dots, `['a', 'b', '0']`."""
    up = len(text) - len(text.lstrip("."))
    parts = [part for part in re.split(r"[.\[\]]+", text[up:]) if part]
    return up, parts


class _Reader:
    def __init__(self, text: str, lookup: Lookup) -> None:
        self.text = text
        self.lookup = lookup
        self.at = 0

    # ---------------------------------------------------------------- texts with interpolations

    def template(self) -> Any:
        parts = self.pieces(None)
        if len(parts) == 1:
            return parts[0]
        return self.joined(parts)

    def quoted(self) -> Any:
        quote = self.text[self.at]
        self.at += 1
        parts = self.pieces(quote)
        self.expect(quote)
        return self.joined(parts)

    def pieces(self, quote: str | None) -> list[Any]:
        """Read up to the closing quote or the end; the text between interpolations is unescaped.

        A backslash means something in front of `${` and of the quote only.
        """
        parts: list[Any] = []
        text = self.text
        while self.at < len(text) and text[self.at] != quote:
            start = self.at
            while self.at < len(text) and text[self.at] == "\\":
                self.at += 1
            slashes = self.at - start
            opens = text.startswith(_OPEN, self.at)
            if slashes and (opens or (quote is not None and text.startswith(quote, self.at))):
                parts += ["\\" * (slashes // 2)] if slashes > 1 else []
                if slashes % 2:
                    length = len(_OPEN) if opens else 1
                    parts.append(text[self.at : self.at + length])
                    self.at += length
                continue
            if slashes:
                parts.append("\\" * slashes)
            elif opens:
                parts.append(self.interpolation())
            else:
                parts.append(text[self.at])
                self.at += 1
        return parts

    def joined(self, parts: Sequence[Any]) -> str:
        return "".join(str(self.lookup.plain(part)) for part in parts)

    # ---------------------------------------------------------------- one interpolation

    def interpolation(self) -> Any:
        self.expect(_OPEN)
        self.blanks()
        up = 0
        while self.peek() == ".":
            self.at += 1
            up += 1
        keys, brackets = self.key_path()
        self.blanks()
        if self.peek() == ":" and not up and not brackets:
            self.at += 1
            name = ".".join(keys)
            return self.lookup.call(name, self.sequence("}"))
        self.expect("}")
        return self.lookup.key(up, keys)

    def key_path(self) -> tuple[list[str], bool]:
        keys: list[str] = []
        brackets = False
        while True:
            if self.peek() == "[":
                brackets = True
                self.at += 1
                keys.append(self.key_part())
                self.expect("]")
            elif not keys or self.peek() == ".":
                self.at += bool(keys)
                keys.append(self.key_part())
            else:
                return keys, brackets

    def key_part(self) -> str:
        if self.text.startswith(_OPEN, self.at):
            return str(self.lookup.plain(self.interpolation()))
        match = _KEY_NAME.match(self.text, self.at)
        if match is None:
            self.fail("a key")
        name = ""
        while match is not None:
            name += match[0]
            self.at = match.end()
            match = _KEY_NAME.match(self.text, self.at)
        return name

    # ---------------------------------------------------------------- arguments

    def sequence(self, end: str) -> list[Any]:
        """Read arguments up to and with the mark `end`; between two commas stands an empty text."""
        items: list[Any] = []
        self.blanks()
        if self.peek() == end:
            self.at += 1
            return items
        while True:
            self.blanks()
            items.append("" if self.peek() in (",", end) else self.element(f",{end}"))
            self.blanks()
            if self.peek() != ",":
                self.expect(end)
                return items
            self.at += 1

    def element(self, ends: str) -> Any:
        self.blanks()
        mark = self.peek()
        if mark == "[":
            self.at += 1
            found: Any = [self.lookup.plain(item) for item in self.sequence("]")]
        elif mark == "{":
            found = self.mapping()
        elif mark in ("'", '"'):
            found = self.quoted()
        else:
            return self.primitive(ends)
        self.blanks()
        return found

    def mapping(self) -> dict[Any, Any]:
        self.expect("{")
        found: dict[Any, Any] = {}
        self.blanks()
        while self.peek() != "}":
            key = self.lookup.plain(self.primitive(":"))
            self.expect(":")
            found[key] = self.lookup.plain(self.element(",}"))
            if self.peek() != ",":
                break
            self.at += 1
            self.blanks()
        self.expect("}")
        return found

    def primitive(self, ends: str) -> Any:
        """Read an unquoted word, number or interpolation; blanks around it don't count."""
        parts: list[Any] = []
        raw = ""
        escaped = False
        while self.at < len(self.text) and self.text[self.at] not in ends:
            mark = self.text[self.at]
            if self.text.startswith(_OPEN, self.at):
                parts += [*raw, self.interpolation()]
                raw = ""
                continue
            if mark == "\\" and self.text[self.at + 1 : self.at + 2] in tuple(_ESCAPABLE):
                escaped = True
                parts += [*raw, self.text[self.at + 1]]
                raw = ""
                self.at += 2
                continue
            if mark in "'\"{}[]()":
                self.fail("a value (quote a text that holds this mark)")
            raw += mark
            self.at += 1
        if not parts:
            return _scalar(raw.strip(_BLANK))
        trailing = raw.rstrip(_BLANK)
        parts += [trailing] if trailing else []
        return parts[0] if len(parts) == 1 and not escaped else self.joined(parts)

    # ---------------------------------------------------------------- characters

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def blanks(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in _BLANK:
            self.at += 1

    def expect(self, mark: str) -> None:
        if not self.text.startswith(mark, self.at):
            self.fail(repr(mark))
        self.at += len(mark)

    def fail(self, expected: str) -> NoReturn:
        found = repr(self.peek()) if self.at < len(self.text) else "the end"
        raise ConfigValueError(
            f"cannot read {self.text!r:.200}: expected {expected} at character {self.at + 1}, not {found}"
        )


def _scalar(word: str) -> Any:
    lower = word.lower()
    if lower in _WORDS:
        return _WORDS[lower]
    if _INT.fullmatch(word):
        try:
            return int(word)
        except ValueError:
            raise ConfigValueError(
                f"cannot read {word[:20]}…: a number of {len(word)} digits; quote it"
            ) from None
    if _FLOAT.fullmatch(word):
        return float(word)
    return word
