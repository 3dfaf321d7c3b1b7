"""ADict: the config that a scope fills, a mapping with attribute access."""

from __future__ import annotations

from ato.adict.config import ADict

__all__ = ["ADict"]
