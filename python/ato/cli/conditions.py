"""Conditions on runs as the command line has them: `lr=0.1`, `metrics.loss<0.2`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import click

__all__ = ["Condition", "choose"]

_CONDITION = re.compile(r"\s*([^=!<>]+?)\s*(!=|<=|>=|==|=|<|>)\s*(.*?)\s*", re.DOTALL)
_WORDS = {"True": True, "False": False, "None": None}


class Condition(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """A key, a sign and a value; becomes the key and the condition as `SQLFinder` takes it."""

    name = "condition"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[str, Any]]:
        """Read one condition."""
        found = _CONDITION.fullmatch(value)
        if found is None:
            self.fail(
                f"{value!r} is no condition; write a key, one of = != < <= > >=, and a value: "
                "lr=0.1, metrics.loss<0.2",
                param,
                ctx,
            )
        key, sign, text = found.groups()
        if sign in ("=", "==", "!="):
            # `name=1` may mean the text, `lr=1` the number.
            return key, ("not in" if sign == "!=" else "in", [_literal(text), text])
        return key, (sign, _literal(text))


def choose(
    connection: Any,
    runs: Sequence[Any],
    conditions: Sequence[tuple[str, tuple[str, Any]]],
    order_by: str | None,
) -> list[Any]:
    """The runs for which all conditions hold, sorted if an order is given."""
    from ato.db_routers.sql.selection import selected  # SQLAlchemy loads

    # One after the other, since two may be about one key; all are asked about the same runs, so
    # that a key which none of those left has is no error.
    kept = list(runs)
    for key, condition in conditions:
        ids = {run.id for run in selected(connection, runs, {key: condition}, None)}
        kept = [run for run in kept if run.id in ids]
    if order_by is None:
        return kept
    ids = {run.id for run in kept}
    return [run for run in selected(connection, runs, None, order_by) if run.id in ids]


def _literal(text: str) -> Any:
    """The value that a text spells: JSON's words and numbers, Python's too, else the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    try:
        return json.loads(text)
    except ValueError:
        return text
