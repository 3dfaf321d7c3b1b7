"""What every test and every error owes the reader."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import ato.exceptions

TESTS = Path(__file__).parent
FILES = sorted(TESTS.rglob("test_*.py"))


def error_kinds() -> list[str]:
    """The errors that are raised, without those that only group them."""
    kinds = [
        kind
        for kind in vars(ato.exceptions).values()
        if isinstance(kind, type) and issubclass(kind, ato.exceptions.AtoError)
    ]
    return sorted(kind.__name__ for kind in kinds if not kind.__subclasses__())


def test_every_test_says_in_one_docstring_what_it_shows() -> None:
    """No test function stands without a docstring."""
    silent = [
        f"{file.relative_to(TESTS)}:{node.lineno} {node.name}"
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test_")
        and ast.get_docstring(node) is None
    ]
    assert silent == []


@pytest.mark.parametrize("kind", error_kinds())
def test_every_kind_of_error_is_provoked_by_a_test(kind: str) -> None:
    """Each error of `ato.exceptions` is named by a test of the part that raises it."""
    named = re.compile(rf"\b{kind}\b")
    others = [file for file in FILES if file != Path(__file__)]
    assert any(named.search(file.read_text(encoding="utf-8")) for file in others)


def test_the_tree_of_errors_in_the_docstring_is_the_real_one() -> None:
    """`ato.exceptions` opens with every error it has, and with no other."""
    text = ato.exceptions.__doc__ or ""
    drawn = set(re.findall(r"[├└]── (\w+)", text)) | {"AtoError"}
    real = {
        name
        for name, kind in vars(ato.exceptions).items()
        if isinstance(kind, type) and issubclass(kind, ato.exceptions.AtoError)
    }
    assert drawn == real
