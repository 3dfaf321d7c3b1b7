"""The JSON answer, key by key: programs rely on schema 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from explained_pages import edited_project, hostile_db, page_of

NUMBER = (int, float, str)  # NaN and infinities are their names
TEXT = (str, type(None))
RUN = {"id": int, "name": TEXT, "project": str, "status": str}
CHANGE = {"a": TEXT, "b": TEXT, "diff": TEXT, "origin_a": TEXT, "origin_b": TEXT}
FINDING = {
    "factor": str,
    "subject": str,
    "evidence": str,
    "kind": str,
    "change": CHANGE,
    "via": [str],
}
DIVERGENCE = {
    "trace_id": str,
    "call": int,
    "sequence": int,
    "path": TEXT,
    "kind": str,
    "relative_distance": (int, float, type(None)),
    "standard_error": (int, float, type(None)),
}
FACTORS = {"config", "code", "data", "environment", "randomness", "nondeterminism"}
VERDICTS = {
    "identical", "explained", "ambiguous", "nondeterministic", "untracked", "incomparable",
}  # fmt: skip


def check(value: Any, shape: Any, path: str = "answer") -> None:
    """A value has all keys of a shape, each of its type; keys that came later are allowed."""
    if isinstance(shape, dict):
        assert isinstance(value, dict), path
        for key, inner in shape.items():
            assert key in value, f"{path}.{key}"
            check(value[key], inner, f"{path}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list), path
        for number, item in enumerate(value):
            check(item, shape[0], f"{path}[{number}]")
    else:
        assert isinstance(value, shape), f"{path} is {value!r}"


def check_answer(answer: dict[str, Any]) -> None:
    shape = {
        "schema": int, "run_a": RUN, "run_b": RUN, "verdict": str,
        "causes": [{"rank": int, **FINDING}],
        "also_changed": [{**FINDING, "reason": str}],
        "same": {"config": int, "code": int, "environment": int, "data": int},
        "tests": [{"hold": [str], "change": [str]}],
        "unwatched": [str],
    }  # fmt: skip
    check(answer, shape)
    assert answer["schema"] == 1
    assert answer["verdict"] in VERDICTS
    assert [cause["rank"] for cause in answer["causes"]] == list(
        range(1, len(answer["causes"]) + 1)
    )
    assert {cause["evidence"] for cause in answer["causes"]} <= {"proven", "possible"}
    aside = answer["also_changed"]
    assert {finding["evidence"] for finding in aside} <= {"ruled_out", "later", "cosmetic"}
    assert {finding["factor"] for finding in [*answer["causes"], *aside]} <= FACTORS
    if answer["result"] is not None:
        check(answer["result"], {"metric": str, "a": NUMBER, "b": NUMBER, "delta": NUMBER})
    if answer["first_divergence"] is not None:
        check(answer["first_divergence"], DIVERGENCE)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of two runs of which the second has an edited helper."""
    return edited_project(tmp_path_factory.mktemp("json")).folder / "experiments.db"


@pytest.mark.parametrize(("a", "b", "verdict"), [(1, 2, "explained"), (1, 1, "identical")])
def test_every_key_is_there_with_its_type(db: Path, a: int, b: int, verdict: str) -> None:
    """An explained and an identical pair have all keys of schema 1, and survive JSON."""
    answer = page_of(db, a, b)[0].to_dict()
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    check_answer(answer)
    assert answer["verdict"] == verdict
    assert (answer["first_divergence"] is None) == (verdict == "identical")


def test_hostile_runs_have_the_same_shape(tmp_path: Path) -> None:
    """Runs without traces and with strange names keep to the schema."""
    answer = page_of(hostile_db(tmp_path))[0].to_dict()
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    check_answer(answer)
    assert answer["causes"]
