"""Two texts of code side by side, line by line, with what differs within a line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

__all__ = ["Line", "Row", "side_by_side"]

_CONTEXT = 3  # equal lines that are shown around a change
_ALIKE = 0.5  # lines less alike than this are marked as wholes
_WORD = re.compile(r"\w+|\s+|.")


@dataclass(frozen=True)
class Line:
    """One line of one side: its number and its parts, each with whether the other side has it not."""

    number: int
    parts: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Row:
    """One line of the table: `folded` counts equal lines that are not shown."""

    kind: Literal["equal", "changed", "removed", "added", "folded"]
    a: Line | None = None
    b: Line | None = None
    folded: int = 0


def side_by_side(a: str, b: str, *, first_a: int = 1, first_b: int = 1) -> list[Row]:
    """Compare two texts; their first lines have the numbers `first_a` and `first_b`."""
    old, new = a.splitlines(), b.splitlines()
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    rows: list[Row] = []
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        left = [(first_a + place, old[place]) for place in range(a0, a1)]
        right = [(first_b + place, new[place]) for place in range(b0, b1)]
        rows += _equal(left, right) if tag == "equal" else _changed(left, right)
    return list(_folded(rows))


def _equal(left: Sequence[tuple[int, str]], right: Sequence[tuple[int, str]]) -> Iterator[Row]:
    for (number_a, text_a), (number_b, text_b) in zip(left, right, strict=True):
        yield Row("equal", _plain(number_a, text_a), _plain(number_b, text_b))


def _changed(left: Sequence[tuple[int, str]], right: Sequence[tuple[int, str]]) -> Iterator[Row]:
    both = min(len(left), len(right))
    for (number_a, text_a), (number_b, text_b) in zip(left, right, strict=False):
        parts_a, parts_b = _parts(text_a, text_b)
        yield Row("changed", Line(number_a, parts_a), Line(number_b, parts_b))
    yield from (Row("removed", a=_plain(*line)) for line in left[both:])
    yield from (Row("added", b=_plain(*line)) for line in right[both:])


def _plain(number: int, text: str) -> Line:
    return Line(number, ((text, False),))


def _parts(a: str, b: str) -> tuple[tuple[tuple[str, bool], ...], tuple[tuple[str, bool], ...]]:
    words_a, words_b = _WORD.findall(a), _WORD.findall(b)
    matcher = SequenceMatcher(None, words_a, words_b, autojunk=False)
    if matcher.ratio() < _ALIKE:
        return ((a, False),), ((b, False),)
    parts_a: list[tuple[str, bool]] = []
    parts_b: list[tuple[str, bool]] = []
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        if a1 > a0:
            parts_a.append(("".join(words_a[a0:a1]), tag != "equal"))
        if b1 > b0:
            parts_b.append(("".join(words_b[b0:b1]), tag != "equal"))
    return tuple(parts_a), tuple(parts_b)


def _folded(rows: Sequence[Row]) -> Iterator[Row]:
    """The rows, with long stretches of equal lines counted."""
    near = {
        place
        for at, row in enumerate(rows)
        if row.kind != "equal"
        for place in range(at - _CONTEXT, at + _CONTEXT + 1)
    }
    count = 0
    for place, row in enumerate(rows):
        if place not in near:
            count += 1
            continue
        if count:
            yield Row("folded", folded=count)
            count = 0
        yield row
    if count:
        yield Row("folded", folded=count)
