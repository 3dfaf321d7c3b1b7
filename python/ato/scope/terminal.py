"""What a scope says: texts on stdout, coloured where a person reads them, and notes on stderr."""

from __future__ import annotations

import os
import sys
from typing import Literal, TextIO

from ato.scope import registry
from ato.scope.suggestions import printable

__all__ = ["say", "write"]

# What stands out in `manual`, `manual KEY` and `print`; no other text is touched.
_STYLES = (
    (r"^-{50}$", "dim"),
    (r'^\[Scope ".*"\]$|^\[\w+\]$', "bold magenta"),
    (r"^\((?:The Applying Order of Views|User Manuals)\)$", "bold"),
    (r"\(CLI Inputs\)| → ", "dim"),
    (r"^ *(?:[\w.\[\]'-]+(?= = )|[\w.-]+:(?= |$)|\d+\)(?= |$))", "cyan"),
    (r"(?<= = ).+$", "bold green"),
    (r"  # .*$|^  (?:set|deleted) by .*$", "green"),
    (r"^  over .*$", "dim"),
    (r"^  manual: .*$", "italic"),
)


def write(text: str) -> None:
    """Write to stdout: exactly the text in a pipe or file, with colours in a terminal.

    Control characters are escaped. `NO_COLOR` and `TERM=dumb` are respected.
    """
    text = printable(text)
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        _write_coloured(text)
    else:
        _write_plain(text, sys.stdout)


def say(kind: Literal["note", "error"], text: str) -> None:
    """Write one line to stderr, with the program's name."""
    line = f"{registry.program_name()}: {kind}: {text}".replace("\n", "\\n")
    _write_plain(printable(line), sys.stderr)


def _write_plain(text: str, stream: TextIO) -> None:
    try:
        stream.write(f"{text}\n")
    except UnicodeEncodeError:  # `→` in a terminal or pipe that knows no Unicode
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def _write_coloured(text: str) -> None:
    from rich.console import Console  # loads for terminals only
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    for line in text.split("\n"):
        shown = Text(line)
        for pattern, style in _STYLES:
            shown.highlight_regex(pattern, style)
        console.print(shown)
