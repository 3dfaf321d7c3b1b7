"""What number and string literals denote, whatever way they are written."""

from __future__ import annotations

import ast
import warnings

import libcst as cst

__all__ = ["formatted_text", "number", "string_value"]


def number(node: cst.Integer | cst.Float | cst.Imaginary) -> int | float | complex:
    """The value of a number literal: `1_000` is `1000`, `0x10` is `16`."""
    digits = node.value.replace("_", "")
    if isinstance(node, cst.Integer):
        # `00` is a legal way to write zero that base 0 does not take.
        return int(digits, 0) if digits.strip("0") else 0
    if isinstance(node, cst.Float):
        return float(digits)
    return complex(digits.lower().replace("j", "") + "j")


def string_value(node: cst.SimpleString) -> str | bytes:
    """The value of a string or bytes literal."""
    prefix, quote = node.prefix, node.quote
    if "\\" not in node.value and "b" not in prefix.lower():
        return str(node.value[len(prefix) + len(quote) : -len(quote)])
    return _evaluate(node.value)


def formatted_text(text: str, start: str) -> str:
    """The text between the braces of an f-string; `start` is the prefix with the opening quote."""
    plain = text.replace("{{", "{").replace("}}", "}")
    if "\\" not in plain:
        return plain
    prefix = start.rstrip("'\"")
    quote = start[len(prefix) :]
    kept = "".join(letter for letter in prefix if letter not in "fFtT")
    return str(_evaluate(f"{kept}{quote}{plain}{quote}"))


def _evaluate(literal: str) -> str | bytes:
    with warnings.catch_warnings():
        # A backslash that escapes nothing is the user's to be warned of, when the file is compiled.
        warnings.simplefilter("ignore")
        value: str | bytes = ast.literal_eval(literal)
    return value
