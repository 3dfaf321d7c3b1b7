"""The text answer: the result, the cause, what was ruled out, what is the same, what was not seen."""

from __future__ import annotations

import io
import math

from rich.console import Console
from rich.text import Text

from ato.explain.explanation import Change, Divergence, Explanation, Finding
from ato.explain.render.fitting import fitted, shown

__all__ = ["render_text", "write_text"]

_WIDTH = 100
_FEW = 4
_GROUPS = (
    ("later", "Changed, and acts later"),
    ("ruled_out", "Changed, and ruled out"),
    ("cosmetic", "Cosmetic only"),
)
_HEADLINES = {
    "identical": "No recorded result differs: same outputs, same metrics, same number of calls.",
    "nondeterministic": "Nondeterminism: nothing that was recorded differs, and the output does.",
    "untracked": "No recorded change explains this: what was not watched is the answer.",
}
# The headline of nondeterminism where something differed already when the call began.
_DIFFERENT_INPUTS = "Nondeterminism. What made its inputs differ was not watched."


def render_text(answer: Explanation, *, everything: bool = False) -> str:
    """Render the answer without colour; `everything` prints the lists in full."""
    console = Console(file=io.StringIO(), width=_WIDTH, color_system=None, highlight=False)
    with console.capture() as captured:
        write_text(answer, console, everything=everything)
    return captured.get().rstrip("\n")


def write_text(answer: Explanation, console: Console, *, everything: bool = False) -> None:
    """Print the answer to a console, in colour where it has colours."""
    for line in _lines(answer, everything):
        for part in fitted(shown(line), console):
            console.print(part, soft_wrap=True)


def _lines(answer: Explanation, everything: bool) -> list[Text]:
    lines = [_headline(answer), Text()]
    for label in (answer.run_a, answer.run_b):
        if label.error:
            last = label.error.strip().splitlines()[-1]
            lines.append(Text(f"Run {label.id} {label.status}: {last}", style="red"))
    if answer.verdict == "incomparable":
        return [*lines, Text(f"These runs can't be compared: {answer.reason}")]
    lines += _causes(answer)
    for evidence, title in _GROUPS:
        group = [finding for finding in answer.also_changed if finding.evidence == evidence]
        if group:
            lines += [Text(), Text(title, style="bold"), *_aside(group, everything)]
    lines += [Text(), _labelled("Same", _same(answer))]
    listed = answer.unwatched if everything else answer.unwatched[:_FEW]
    more = len(answer.unwatched) - len(listed)
    rest = [f"{more} more (--all shows them)"] if more else []
    lines.append(_labelled("Not watched", "; ".join([*listed, *rest]) or "nothing known"))
    return lines


def _headline(answer: Explanation) -> Text:
    runs = f"run {answer.run_a.id} → run {answer.run_b.id}"
    result = answer.result
    if result is None:
        return Text(f"{runs}: no metric in both", style="bold")
    delta = result.b - result.a
    shown = f"{result.metric}  {_number(result.a)} → {_number(result.b)}"
    if delta == 0:
        shown += "  (the same)"
    elif math.isfinite(delta):
        shown += f"  ({'+' if delta >= 0 else '−'}{_number(abs(delta))})"
    line = Text(shown, style="bold")
    line.append(f"        {runs}", style="dim")
    return line


def _number(value: float) -> str:
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e5 else f"{value:.6g}"


def _causes(answer: Explanation) -> list[Text]:
    lines: list[Text] = []
    headline = _HEADLINES.get(answer.verdict)
    split = answer.first_divergence
    if answer.verdict == "nondeterministic" and split is not None and split.symptoms:
        headline = _DIFFERENT_INPUTS
    if headline is not None:
        lines.append(Text(headline, style="bold"))
    if answer.verdict == "ambiguous" and len(answer.causes) > 1:
        lines.append(
            Text(f"{len(answer.causes)} changes meet here; none is proven alone.", style="bold")
        )
    for finding in answer.causes:
        lines += _cause(finding)
    if answer.first_divergence is not None:
        lines += _divergence(answer, answer.first_divergence)
    if answer.tests:
        lines += [
            Text(),
            Text("To separate them, make again", "bold"),
        ]
        lines += [Text(f"    {test.run}", no_wrap=True) for test in answer.tests]
    same_result = answer.result is not None and answer.result.a == answer.result.b
    if answer.first_divergence is not None and same_result:
        lines.append(Text("    The metric is the same all the same.", style="dim"))
    return lines


def _cause(finding: Finding) -> list[Text]:
    change = finding.change
    title = Text()
    title.append(f"Cause ({finding.evidence})", style="bold red")
    title.append(f"   {change.factor}: ")
    title.append(change.subject, style="bold")
    if change.factor == "code" and change.origin_b:
        title.append(f"        {change.origin_b}", style="cyan")
    lines = [title]
    if finding.reason:
        lines.append(Text(f"    {finding.reason}"))
    if finding.via:
        lines.append(Text(f"    {' → '.join(finding.via)}", style="dim"))
    return [*lines, *_change(change)]


def _change(change: Change) -> list[Text]:
    if change.factor == "nondeterminism":
        return [Text(f"    likely source: {change.kind}")]
    if change.diff:
        return [
            Text(f"    {line}", style="red" if line.startswith("-") else "green")
            for line in change.diff.splitlines()
        ]
    if change.factor == "code" and change.a is None and change.b is None:
        return [Text("    its bytecode differs; there is no source to show")]
    lines = [Text(f"    {_or_absent(change.a)} → {_or_absent(change.b)}")]
    sides = (("was", change.a, change.origin_a), ("now", change.b, change.origin_b))
    for side, value, origin in sides:
        if origin and change.factor == "config":
            verb = "deleted" if value is None else "set"
            lines.append(Text(f"    {side} {verb} by {origin}", style="cyan"))
    return lines


def _or_absent(value: str | None) -> str:
    return "(absent)" if value is None else value


def _divergence(answer: Explanation, split: Divergence) -> list[Text]:
    where = "the run" if split.trace_id == "run" else f"{split.trace_id}, call {split.call}"
    what = {"missing": "only one run has it", "outcome": "it ended differently"}.get(
        split.kind, f"{split.path or 'output'} differs ({split.kind})"
    )
    text = f"    First divergence: {where}: {what}"
    if split.relative_distance is not None:
        text += f", relative distance {split.relative_distance:.2g}"
    lines = [Text(text + ".")]
    if split.symptoms:
        few = ", ".join(split.symptoms[:_FEW])
        more = len(split.symptoms) - _FEW
        few += f" and {more} more" if more > 0 else ""
        lines.append(Text(f"    It came in with: {few}."))
    elif answer.verdict == "explained" and split.kind not in ("missing", "outcome"):
        factor = answer.causes[0].change.factor
        held = [name for name, key in _HELD if key != factor]
        lines.append(Text(f"    Same {', same '.join(held)}; other {factor}, other output."))
    return lines


_HELD = (
    ("inputs", "data"),
    ("config reads", "config"),
    ("code", "code"),
    ("random state", "randomness"),
    ("environment", "environment"),
)


def _aside(group: list[Finding], everything: bool) -> list[Text]:
    shown = group if everything else group[:_FEW]
    lines = []
    for finding in shown:
        change = finding.change
        line = Text(f"    {change.factor} ")
        line.append(change.subject, style="bold")
        if change.a is not None or change.b is not None:
            line.append(f"  {_or_absent(change.a)} → {_or_absent(change.b)}")
        details = [
            text
            for text in (
                change.origin_b if change.factor in ("config", "code") else None,
                finding.reason,
            )
            if text
        ]
        line.append(f"    {'; '.join(details)}", style="dim")
        lines.append(line)
    if len(group) > len(shown):
        lines.append(Text(f"    {len(group) - len(shown)} more (--all shows them)", style="dim"))
    return lines


def _same(answer: Explanation) -> str:
    same = answer.same
    return " · ".join(
        (
            _count(same["config"], "config value"),
            _count(same["code"], "piece of code", "pieces of code"),
            f"environment ({_count(same['environment'], 'package')})",
            f"data ({_count(same['data'], 'file')})",
        )
    )


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _labelled(label: str, text: str) -> Text:
    line = Text(label, style="bold")
    line.append(f"    {text}", style="not bold")
    return line
