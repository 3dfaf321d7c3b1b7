"""The key that somebody means by another name, and what may safely be shown of what they typed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping

from ato.provenance import printable

__all__ = ["documented_as", "nearest", "nearest_key", "printable", "shown"]

_CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[^\W_]+")
# A single letter or `of` stands in too many descriptions to mean any one of them.
_SHORTEST_ALIAS = 3
_LONGEST = 80
# Below it names share their letters by chance, as `late0` and `after` do.
_LEAST_ALIKE = 0.65


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that is nearest to another one, capitals aside."""
    by_folded: dict[str, str] = {}
    for each in names:
        by_folded.setdefault(each.casefold(), each)
    near = difflib.get_close_matches(name.casefold(), by_folded, 1, _LEAST_ALIKE)
    return by_folded[near[0]] if near else None


def documented_as(name: str, documented: Mapping[str, str]) -> str | None:
    """The key whose manual calls it by this name: `learning_rate` is the key of "Learning rate"."""
    words = _words(name.rpartition(".")[2])
    if len("".join(words)) < _SHORTEST_ALIAS:
        return None
    texts = {key: _words(text) for key, text in documented.items()}
    for key, text in texts.items():
        if text[: len(words)] == words:
            return key
    found = [
        key
        for key, text in texts.items()
        if any(text[at : at + len(words)] == words for at in range(len(text)))
    ]
    # A word that stands in several descriptions says nothing.
    return found[0] if len(found) == 1 else None


def nearest_key(name: str, keys: Collection[str], documented: Mapping[str, str]) -> str | None:
    """The key that is meant by `name`: itself, as its manual calls it, or the nearest in spelling."""
    if name in keys:
        return name
    found = documented_as(name, documented) or nearest(name, keys)
    if found is None and "." not in name:
        # `depth` alone, where there is one `model.depth`.
        ends = [key for key in keys if key.rpartition(".")[2].casefold() == name.casefold()]
        found = ends[0] if len(ends) == 1 else None
    return found


def shown(text: str) -> str:
    """A text as one short line of a message shows it."""
    line = printable(text[:_LONGEST]).replace("\n", "\\n").replace("\t", "\\t")
    cut = len(text) > _LONGEST or len(line) > _LONGEST
    return line[: _LONGEST - 1] + "…" if cut else line


def _words(text: str) -> list[str]:
    return _WORD.findall(_CAMEL_CASE.sub(" ", text).casefold())
