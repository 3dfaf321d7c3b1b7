"""The program `ato`."""

from __future__ import annotations

from ato.cli.commands import main

__all__ = ["main"]
