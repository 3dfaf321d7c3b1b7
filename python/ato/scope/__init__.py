"""Scope: a config put together from views, the command line and lazy views, with its history.

`Scope` is one config; `MultiScope` gives a function several, each with its own names.
"""

from __future__ import annotations

from ato.scope.multi import MultiScope
from ato.scope.single import Scope

__all__ = ["MultiScope", "Scope"]
