"""The answer: what `ato why` found, as plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Change", "Divergence", "Explanation", "Finding", "Result", "RunLabel", "Test"]

Factor = Literal["config", "code", "data", "environment", "randomness", "nondeterminism"]
Verdict = Literal[
    "identical", "explained", "ambiguous", "nondeterministic", "untracked", "incomparable"
]
Evidence = Literal["proven", "possible", "ruled_out", "later", "cosmetic"]

SCHEMA = 1


@dataclass(frozen=True)
class Change:
    """One recorded thing that differs between two runs, before any judgement.

    `a` and `b` are short renderings of the two sides, `diff` the lines of code that differ;
    `origin_a` and `origin_b` say who set a config value, or where the code stands.
    """

    factor: Factor
    subject: str
    kind: str
    a: str | None = None
    b: str | None = None
    diff: str | None = None
    origin_a: str | None = None
    origin_b: str | None = None


@dataclass(frozen=True)
class Finding:
    """A change with the judgement on it."""

    change: Change
    evidence: Evidence
    via: tuple[str, ...] = ()
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Render as the JSON answer holds it, without the rank."""
        change = self.change
        fields: dict[str, Any] = {
            "factor": change.factor,
            "subject": change.subject,
            "evidence": self.evidence,
            "kind": change.kind,
            "change": {
                "a": change.a,
                "b": change.b,
                "diff": change.diff,
                "origin_a": change.origin_a,
                "origin_b": change.origin_b,
            },
            "via": list(self.via),
        }
        if self.reason is not None:
            fields["reason"] = self.reason
        return fields


@dataclass(frozen=True)
class Divergence:
    """Where the two runs part first.

    `sequence` counts the calls completed before it in the first run; `path` is the leaf that
    differs. `relative_distance` is |a − b| / |a|, known here for scalars.
    """

    trace_id: str
    call: int
    sequence: int
    path: str | None
    kind: str
    relative_distance: float | None = None
    standard_error: float | None = None
    symptoms: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Render as the JSON answer holds it."""
        return {
            "trace_id": self.trace_id,
            "call": self.call,
            "sequence": self.sequence,
            "path": self.path,
            "kind": self.kind,
            "relative_distance": self.relative_distance,
            "standard_error": self.standard_error,
            "symptoms": list(self.symptoms),
        }


@dataclass(frozen=True)
class Test:
    """A re-run that would separate causes: what it changes, what it holds, and how to make it.

    `run` says which run is made again and how, with the command that can be pasted if there is one.
    """

    hold: tuple[str, ...]
    change: tuple[str, ...]
    run: str

    __test__ = False  # the name is the field's; pytest would collect it


@dataclass(frozen=True)
class Result:
    """The metric that is asked about, by its last point in each run."""

    metric: str
    a: float
    b: float

    def to_dict(self) -> dict[str, Any]:
        """Render as the JSON answer holds it."""
        values = {"a": self.a, "b": self.b, "delta": self.b - self.a}
        # JSON has no NaN and no infinity; their names are what a reader expects to see.
        shown = {name: v if math.isfinite(v) else str(v) for name, v in values.items()}
        return {"metric": self.metric, **shown}


@dataclass(frozen=True)
class RunLabel:
    """How the answer names a run."""

    id: int
    name: str | None
    project: str
    status: str
    error: str | None = None

    @property
    def cut_short(self) -> bool:
        """Whether the run did not come to an end of its own."""
        return self.status in ("crashed", "interrupted", "running")

    def to_dict(self) -> dict[str, Any]:
        """Render as the JSON answer holds it."""
        return {"id": self.id, "name": self.name, "project": self.project, "status": self.status}


@dataclass(frozen=True)
class Explanation:
    """Why two runs differ: the verdict, the causes, and what was ruled out or not watched."""

    run_a: RunLabel
    run_b: RunLabel
    verdict: Verdict
    result: Result | None = None
    causes: tuple[Finding, ...] = ()
    also_changed: tuple[Finding, ...] = ()
    same: dict[str, int] = field(default_factory=dict)
    first_divergence: Divergence | None = None
    tests: tuple[Test, ...] = ()
    unwatched: tuple[str, ...] = ()
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON-ready data, `schema` 1."""
        fields = {
            "schema": SCHEMA,
            "run_a": self.run_a.to_dict(),
            "run_b": self.run_b.to_dict(),
            "result": None if self.result is None else self.result.to_dict(),
            "verdict": self.verdict,
            "causes": [
                {"rank": rank, **finding.to_dict()} for rank, finding in enumerate(self.causes, 1)
            ],
            "also_changed": [finding.to_dict() for finding in self.also_changed],
            "same": dict(self.same),
            "first_divergence": (
                None if self.first_divergence is None else self.first_divergence.to_dict()
            ),
            "tests": [
                {"hold": list(test.hold), "change": list(test.change), "run": test.run}
                for test in self.tests
            ],
            "unwatched": list(self.unwatched),
        }
        if self.reason is not None:
            fields["reason"] = self.reason
        return fields

    def __str__(self) -> str:
        from ato.explain.render.text import render_text  # rendering is only loaded when asked for

        return render_text(self)

    def _repr_html_(self) -> str:
        from ato.explain.render.html import render_compact  # notebooks only

        return render_compact(self)
