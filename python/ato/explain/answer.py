"""Putting the answer together: the verdict, the cause, the rest, and what was not watched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ato.exceptions import UnknownMetricError
from ato.explain.aside import also_changed
from ato.explain.attribute import find_causes
from ato.explain.comparison import Comparison
from ato.explain.explanation import Divergence, Explanation, Finding, Result, Verdict
from ato.explain.load import Run
from ato.explain.reruns import separating_runs

__all__ = ["explain"]

_UNTRACED = "calls: none was traced at run time in both runs, so that no cause can be proven"


def explain(a: Run, b: Run, metric: str | None = None) -> Explanation:
    """Compare two runs and name the cause of their first divergence.

    Raises:
        UnknownMetricError: `metric` was logged by neither run, or by one only.
    """
    reason = _incomparable(a, b)
    if reason is not None:
        return Explanation(a.label, b.label, "incomparable", reason=reason)
    result = _result(a, b, metric)
    return _answer(Comparison(a, b), result)


def _incomparable(a: Run, b: Run) -> str | None:
    if a.schemes and b.schemes and not a.schemes & b.schemes:
        return (
            f"their code was recorded with different schemes ({', '.join(sorted(a.schemes))}; "
            f"{', '.join(sorted(b.schemes))}), whose fingerprints say nothing about each other. "
            "Record one of the two again with this version of Ato."
        )
    if _names(a) & _names(b):
        return None
    return (
        "they have no traced function and no entry script in common "
        f"({', '.join(sorted(_names(a))) or 'none'}; {', '.join(sorted(_names(b))) or 'none'})"
    )


def _names(run: Run) -> set[str]:
    names = {root.trace_id for root in run.graph.roots if root.role not in ("main", "passed")}
    names |= {f"script {root.key[0]}" for root in run.graph.roots if root.role == "main"}
    # The interpreter comes first; where it was given options, the script is among what follows.
    scripts = [word for word in run.command[1:] if word.endswith(".py")]
    return names | {f"script {Path(word).stem}" for word in scripts[:1]}


def _result(a: Run, b: Run, metric: str | None) -> Result | None:
    last_a = {point.key: point for point in a.metrics}
    last_b = {point.key: point for point in b.metrics}
    if metric is not None:
        if metric not in last_a or metric not in last_b:
            known = ", ".join(sorted(last_a.keys() & last_b.keys())) or "none"
            raise UnknownMetricError(f"no metric {metric!r} in both runs; both have: {known}")
        return Result(metric, last_a[metric].value, last_b[metric].value)
    common = [key for key in last_b if key in last_a]
    if not common:
        return None
    key = max(common, key=lambda key: last_b[key].order)
    return Result(key, last_a[key].value, last_b[key].value)


def _answer(comparison: Comparison, result: Result | None) -> Explanation:
    causes = find_causes(comparison)
    findings = causes.findings()
    named: set[tuple[str, str]] = {(f.change.factor, f.change.subject) for f in findings}
    return Explanation(
        comparison.a.label,
        comparison.b.label,
        _verdict(comparison, findings),
        result,
        tuple(findings),
        tuple(also_changed(comparison, named)),
        _same(comparison),
        _divergence(comparison, causes.symptoms),
        tuple(separating_runs(comparison.a, comparison.b, findings)),
        tuple(_unwatched(comparison)),
    )


def _verdict(comparison: Comparison, findings: list[Finding]) -> Verdict:
    if comparison.split is None:
        return "identical"
    if not findings:
        return "untracked"
    if findings[0].change.factor == "nondeterminism":
        return "nondeterministic"
    return "explained" if findings[0].evidence == "proven" else "ambiguous"


def _divergence(comparison: Comparison, symptoms: list[str]) -> Divergence | None:
    split = comparison.split
    if split is None:
        return None
    record = (split.call or split.stretch).any
    by_metric = split.metric is not None
    sequence = int(min(split.until_a, split.until_b)) if by_metric else record.sequence
    difference = split.difference
    return Divergence(
        record.trace_id,
        record.index,
        sequence,
        difference.path,
        difference.kind,
        difference.distance,
        difference.error,
        tuple(symptoms),
    )


def _same(comparison: Comparison) -> dict[str, int]:
    a, b, changes = comparison.a, comparison.b, comparison.changes
    installed_a = (a.environment.get("distributions") or {}).keys()
    installed_b = (b.environment.get("distributions") or {}).keys()
    files = {f.path for f in a.inputs} & {f.path for f in b.inputs}
    return {
        "config": len((a.config.keys() & b.config.keys()) - changes.config.keys()),
        "code": len((a.graph.units.keys() & b.graph.units.keys()) - changes.code.keys()),
        "environment": len((installed_a & installed_b) - changes.distributions.keys()),
        "data": len(files - changes.data.keys() - set(changes.undigested)),
    }


def _unwatched(comparison: Comparison) -> Iterator[str]:
    runs = (comparison.a, comparison.b)
    if not comparison.traced:
        yield _UNTRACED
    for run in runs:
        if run.label.cut_short:
            yield f"what ended run {run.label.id} ({run.label.status})"
    for trace_id in sorted(comparison.a.traced ^ comparison.b.traced):
        run = comparison.a if trace_id in comparison.a.traced else comparison.b
        yield f"calls of {trace_id}: traced in run {run.label.id} only"
    if comparison.changes.unwatched:
        yield "config reads: the config is not one that a scope hands to its functions"
    for subject in comparison.changes.volatile:
        yield f"{subject}: its value is another one in every process"
    for name in sorted(comparison.clocked):
        yield f"attributes named {name}: set from the clock"
    for path in comparison.changes.undigested:
        yield f"the content of {path}: it was not digested, and its mtime differs"
    gaps = {gap for run in runs for root in run.graph.roots for gap in root.gaps}
    gaps |= {f"{form.trace_id}: {gap}" for run in runs for form in run.forms for gap in form.gaps}
    yield from sorted(gaps)
    for key in sorted(
        {key for run in runs for key, entry in run.config.items() if entry.get("gap")}
    ):
        yield f"config {key}: its value has no fingerprint"
    for name in sorted({name for run in runs for form in run.forms for name in form.skipped}):
        yield f"calls of {name} that its schedule skips"
    yield "files that are opened without Python (HDF5, databases, other processes)"
