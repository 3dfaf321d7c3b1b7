"""What stands on the page, and the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from rich.text import Text

from ato import __version__
from ato.db_routers.sql.reading import Unit, key_text
from ato.explain.comparison import Comparison
from ato.explain.explanation import Change, Explanation, Finding
from ato.explain.load import Run
from ato.explain.render import text as words
from ato.explain.render.html.calls import Branch, call_tree
from ato.explain.render.html.charts import Curves, curves, draw
from ato.explain.render.html.code import Row, side_by_side
from ato.provenance import printable

__all__ = ["render_compact", "render_html"]

_CHARTS = 24
_LONGEST = 2000  # characters of a value


@dataclass(frozen=True)
class _Judged:
    """A change with what was said about it, if anything."""

    change: Change
    evidence: str | None
    reason: str | None


@dataclass(frozen=True)
class _ConfigRow:
    judged: _Judged
    a: str | None
    b: str | None
    history_a: str | None
    history_b: str | None


@dataclass(frozen=True)
class _CodeBlock:
    judged: _Judged
    kind: str
    place_a: str
    place_b: str
    rows: list[Row]


def render_html(answer: Explanation, a: Run, b: Run) -> str:
    """Render the answer, and what was recorded of the two runs that differs, as one page.

    The page asks the network for nothing and has no script.
    """
    comparable = answer.verdict != "incomparable"
    comparison = Comparison(a, b) if comparable else None
    return _template("page.html.jinja").render(
        **_common(answer),
        a=a,
        b=b,
        charts=_charts(answer, comparison, a, b),
        config=[] if comparison is None else _config_rows(answer, comparison),
        code=[] if comparison is None else _code_blocks(answer, comparison),
        environment=[] if comparison is None else _environment_rows(answer, comparison),
        data=[] if comparison is None else _data_rows(answer, comparison),
        tree=None if comparison is None else _tree(comparison),
        version=__version__,
    )


def render_compact(answer: Explanation) -> str:
    """Render the answer alone, for the output of a notebook's cell."""
    return _template("compact.html.jinja").render(**_common(answer))


def _common(answer: Explanation) -> dict[str, Any]:
    return {
        "answer": answer,
        "headline": words._HEADLINES.get(answer.verdict),
        "divergence": _sentences(answer),
        "same": words._same(answer) if answer.same else None,
        "number": words._number,
        "style": Markup(_source("style.css")),  # noqa: S704 (our own file)
    }


def _sentences(answer: Explanation) -> list[str]:
    if answer.first_divergence is None:
        return []
    lines: list[Text] = words._divergence(answer, answer.first_divergence)
    return [line.plain.strip() for line in lines]


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("ato.explain.render.html", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )


def _template(name: str) -> Template:
    return _environment().get_template(name)


def _source(name: str) -> str:
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _shown(value: object) -> object:
    """Escape control characters, which could turn a line around or end the document."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(value)
    return "" if value is None else value


def _charts(
    answer: Explanation, comparison: Comparison | None, a: Run, b: Run
) -> list[tuple[Curves, Markup | None]]:
    names = list(dict.fromkeys(point.key for run in (a, b) for point in run.metrics))
    asked = None if answer.result is None else answer.result.metric
    names.sort(key=lambda name: name != asked)
    parted = None
    if comparison is not None and comparison.split is not None:
        parted = comparison.split.until_a
    shown: list[tuple[Curves, Markup | None]] = []
    for name in names[:_CHARTS]:
        of_a, of_b = ([p for p in run.metrics if p.key == name] for run in (a, b))
        found = curves(name, of_a, of_b, parted)
        size = {"width": 1040, "height": 260} if name == asked else {"width": 510, "height": 190}
        # pygal escapes every text that it writes.
        svg = Markup(draw(found, **size)) if found.drawable else None  # noqa: S704
        shown.append((found, svg))
    return shown


def _judged(answer: Explanation, changes: Iterable[Change]) -> list[_Judged]:
    said: dict[tuple[str, str], Finding] = {
        (finding.change.factor, finding.change.subject): finding
        for finding in (*answer.also_changed, *answer.causes)
    }
    rows = []
    for change in changes:
        finding = said.get((change.factor, change.subject))
        evidence, reason = (None, None) if finding is None else (finding.evidence, finding.reason)
        rows.append(_Judged(change, evidence, reason))
    # Causes come first.
    order = ("proven", "possible", "later", None, "ruled_out", "cosmetic")
    return sorted(rows, key=lambda row: order.index(row.evidence))


def _config_rows(answer: Explanation, comparison: Comparison) -> list[_ConfigRow]:
    a, b = comparison.a, comparison.b
    rows = []
    for judged in _judged(answer, comparison.changes.config.values()):
        key = judged.change.subject
        left, right = a.config.get(key), b.config.get(key)
        rows.append(
            _ConfigRow(
                judged,
                _value(left),
                _value(right),
                _history(key, left or a.deleted.get(key)),
                _history(key, right or b.deleted.get(key)),
            )
        )
    return rows


def _value(entry: dict[str, Any] | None) -> str | None:
    if entry is None:
        return None
    shown = "(secret)" if entry.get("secret") else repr(entry.get("value"))
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"


def _history(key: str, entry: dict[str, Any] | None) -> str | None:
    if entry is None or not entry.get("history"):
        return None
    return "\n".join(line.strip() for line in key_text(key, entry).splitlines()[1:])


def _code_blocks(answer: Explanation, comparison: Comparison) -> list[_CodeBlock]:
    changes = comparison.changes
    units = {
        change.subject: key for key, change in (*changes.code.items(), *changes.cosmetic.items())
    }
    blocks = []
    for judged in _judged(answer, (*changes.code.values(), *changes.cosmetic.values())):
        key = units[judged.change.subject]
        before = comparison.a.graph.units[changes.moved.get(key, key)]
        left, right = _sides(before, comparison.b.graph.units[key])
        if left.kind == "value" and left.text == right.text:
            rows = side_by_side(f"{left.name} = {left.value}", f"{right.name} = {right.value}")
        else:
            rows = side_by_side(left.text, right.text, first_a=left.line, first_b=right.line)
        place_a, place_b = (f"{unit.file}:{unit.line}" for unit in (left, right))
        blocks.append(_CodeBlock(judged, right.kind, place_a, place_b, rows))
    return blocks


def _sides(old: list[Unit], new: list[Unit]) -> tuple[Unit, Unit]:
    """Of units under one name, the ones that the other run does not have."""
    logic_old, logic_new = {unit.logic for unit in old}, {unit.logic for unit in new}
    left = next((unit for unit in old if unit.logic not in logic_new), old[0])
    right = next((unit for unit in new if unit.logic not in logic_old), new[0])
    return left, right


def _environment_rows(answer: Explanation, comparison: Comparison) -> list[_Judged]:
    changes = comparison.changes
    return _judged(answer, (*changes.distributions.values(), *changes.machine.values()))


def _data_rows(answer: Explanation, comparison: Comparison) -> list[_Judged]:
    return _judged(answer, comparison.changes.data.values())


def _tree(comparison: Comparison) -> Branch | None:
    if not comparison.top.children:
        return None
    split = comparison.split
    return call_tree(comparison.top, None if split is None else split.call or split.stretch)
