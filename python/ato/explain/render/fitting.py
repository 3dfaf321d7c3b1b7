"""Lines that fit a terminal: broken between words, under where their text began."""

from __future__ import annotations

import re

from rich.console import Console
from rich.text import Text

from ato.provenance import printable

__all__ = ["fitted", "shown"]

_LABEL = re.compile(r"(?:\S+ )*\S+ {4,}")
_DEEPER = 4  # spaces before what goes on in the next line


def shown(line: Text) -> Text:
    """The line without what would steer a terminal: control characters escaped."""
    plain = printable(line.plain).replace("\n", "\\n").replace("\t", "\\t")
    # Where something had to be escaped, colours would stand at the wrong places.
    return line if plain == line.plain else Text(plain, no_wrap=line.no_wrap)


def fitted(line: Text, console: Console) -> list[Text]:
    """The line as the console has room for it; in a pipe, and where it is to be pasted, as it is."""
    if not console.is_terminal or line.no_wrap or line.cell_len <= console.width:
        return [line]
    plain = line.plain
    start = len(plain) - len(plain.lstrip(" "))
    label = _LABEL.match(plain)
    under = label.end() if label and label.end() <= console.width // 3 else start + _DEEPER
    room = max(console.width - under, 10)
    first, *rest = line.wrap(console, max(console.width, 10))
    if not rest:
        return [first]
    taken = len(first.plain)
    first.rstrip()
    tail = line[taken:] if taken < len(line) else Text()
    tail = tail[len(tail.plain) - len(tail.plain.lstrip(" ")) :]
    more = tail.wrap(console, room)
    for part in more:
        part.rstrip()
    indent = Text(" " * under)
    return [first, *(indent + part for part in more)]
