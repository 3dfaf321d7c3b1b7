"""Printing: tables and texts that fit the terminal, JSON, and output that knows no Unicode."""

from __future__ import annotations

import codecs
import json
import os
import sys
from typing import Any

import click

from ato.provenance import printable

__all__ = ["Program", "console", "one_line", "prepare_output", "print_json", "print_text"]

# What stands for the signs that the answers use where the output cannot show them.
_ASCII = {"→": "->", "−": "-", "…": "...", "·": "|", "⋯": "...", "×": "x", "–": "-", "≠": "!="}

_PIPE_WIDTH = 1000


class Program(click.Group):
    """A group of commands whose output suits whoever reads it, and may be cut off by them."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program; a reader that has seen enough (`ato runs | head`) is no error."""
        prepare_output()
        # `python -m ato` is the same program, to its messages and to a shell that completes.
        kwargs.setdefault("prog_name", "ato")
        try:
            try:
                return super().main(*args, **kwargs)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            # Nothing may be written any more, not even what is still buffered.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)


def prepare_output() -> None:
    """Let what an output's encoding cannot show stand there in another form, and not end the program."""
    codecs.register_error("ato.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="ato.plain")


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    shown = "".join(_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in bad)
    return shown, error.end


def console(**options: Any) -> Any:
    """A console that prints names as they are: none of them is markup."""
    from rich.console import Console  # loads for what is printed as a table only

    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        # Who reads a pipe (`grep`, a file) wants each row in one line.
        options.setdefault("width", _PIPE_WIDTH)
    if os.environ.get("NO_COLOR"):
        options.setdefault("color_system", None)  # without it, bold would be left
    return Console(highlight=False, markup=False, emoji=False, **options)


def one_line(text: object) -> str:
    """A name, value or path for a line of output: control characters escaped, in one line."""
    return printable(str(text)).replace("\n", "\\n").replace("\t", "\\t")


def print_json(data: Any) -> None:
    """Print data as JSON, in the letters that the output knows."""
    unicode = (sys.stdout.encoding or "").lower().replace("_", "-") in ("utf-8", "utf8")
    print_text(json.dumps(data, indent=2, ensure_ascii=not unicode, default=str))


def print_text(text: str) -> None:
    """Print a text as it is; `click.echo` would write UTF-8 to an output that asked for ASCII."""
    sys.stdout.write(f"{text}\n")
