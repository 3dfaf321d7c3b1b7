"""How often `ato why` names the planted cause first: the tables of the tests, counted.

A row of the result is the share of pairs whose first cause is the planted one (or that name none
where none was planted), with what is left in the note.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from benches.measure import Row

TESTS = Path(__file__).parent.parent / "tests"
TABLES = {
    "torch project": "planted_torch.TORCH",
    "other programs": "planted_shapes.SHAPED",
    "everyday programs": "planted_everyday.EVERYDAY_CAUSES",
}


def rows() -> Iterator[Row]:
    """Ask each table of planted causes."""
    sys.path.insert(0, str(TESTS))  # the tables, and the programs in which they plant
    for name, place in TABLES.items():
        module, _, table = place.partition(".")
        yield _share(name, getattr(import_module(module), table))


def _share(name: str, table: tuple[Any, ...]) -> Row:
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, row in enumerate(table):
            answer = row.ask(Path(scratch, "baselines"), Path(scratch, str(number)))
            if not row.is_first(answer):
                wrong.append(row.name)
    return Row(
        f"rank-1 accuracy of planted causes, {name}",
        (len(table) - len(wrong)) / len(table),
        "of 1",
        f"{len(table)} pairs",
        0.95,
        at_least=True,
        note=f"not first: {', '.join(wrong)}" if wrong else "",
    )
