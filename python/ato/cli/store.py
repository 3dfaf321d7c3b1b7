"""`ato db` and `ato artifacts`: upgrading, checking and moving a store, verifying artifacts."""

from __future__ import annotations

import click

__all__ = ["artifacts", "db"]


@click.group()
def db() -> None:
    """Upgrade, check, export and import a store."""


@click.group()
def artifacts() -> None:
    """Verify the files that runs logged."""
