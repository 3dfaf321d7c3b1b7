"""Metric curves of two runs over each other, as SVG that needs no script and no network."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from ato.explain.load import MetricPoint

__all__ = ["Curves", "curves", "draw"]

# More points than this are no longer told apart at the width of a chart.
_POINTS = 600
# What pygal adds for its own styles and script, which are not used.
_UNUSED = ("defs", "desc", "script", "title")


@dataclass(frozen=True)
class Curves:
    """The points of one metric in both runs, and the step at which the runs had parted.

    `not_numbers` says in words which values cannot be drawn.
    """

    metric: str
    a: tuple[tuple[int, float], ...]
    b: tuple[tuple[int, float], ...]
    parted: int | None
    not_numbers: tuple[str, ...]

    @property
    def drawable(self) -> bool:
        """Whether either run has two finite values, without which there is no curve."""
        return any(sum(math.isfinite(value) for _, value in side) > 1 for side in (self.a, self.b))


def curves(
    metric: str, a: Sequence[MetricPoint], b: Sequence[MetricPoint], parted: float | None
) -> Curves:
    """Arrange the points of one metric; `parted` is the position in run A of the divergence."""
    after = [] if parted is None else [point for point in a if point.position > parted]
    names = (("A", a), ("B", b))
    return Curves(
        metric,
        a=tuple((_step(point), point.value) for point in a),
        b=tuple((_step(point), point.value) for point in b),
        parted=_step(after[0]) if after else None,
        not_numbers=tuple(text for name, side in names if (text := _not_finite(name, side))),
    )


def draw(found: Curves, *, width: int, height: int) -> str:
    """Draw the curves; colours are left to the style sheet (`.series-a`, `.series-b`, `.parted`)."""
    chart = _pygal().XY(
        width=width,
        height=height,
        margin=6,
        css=[],
        js=[],
        show_legend=False,
        show_dots=False,
        disable_xml_declaration=True,
        no_data_text="no finite value",
        max_scale=6,
        min_scale=3,
        truncate_label=-1,
        formatter=_short,
        x_value_formatter=_short,
    )
    # Its own id would be another one in every document.
    chart.uuid = "curves"
    for side, points in (("a", found.a), ("b", found.b)):
        few = _thinned(points)
        chart.add(side, few, show_dots=len(few) <= 30, dots_size=2)
    finite = [value for side in (found.a, found.b) for _, value in side if math.isfinite(value)]
    if found.parted is not None and finite:
        ends = [(found.parted, min(finite)), (found.parted, max(finite))]
        chart.add("parted", ends, show_dots=False)
    return _cleaned(chart.render_tree(), found)


def _pygal() -> Any:
    import pygal  # for pages only

    # It adds a finder for plugins, of which Python 3.11 complains at every import that comes later.
    sys.meta_path[:] = [each for each in sys.meta_path if type(each).__module__ != "pygal"]
    return pygal


def _step(point: MetricPoint) -> int:
    return point.order if point.step is None else point.step


def _not_finite(name: str, points: Sequence[MetricPoint]) -> str | None:
    bad = [point for point in points if not math.isfinite(point.value)]
    if not bad:
        return None
    more = f", {len(bad)} in all" if len(bad) > 1 else ""
    return f"run {name} is {bad[0].value} at step {_step(bad[0])}{more}"


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float | None]]:
    """The lowest and the highest value of each stretch: what a line of this width can show."""
    shown: list[tuple[int, float | None]] = [
        (step, value if math.isfinite(value) else None) for step, value in points
    ]
    if len(shown) <= _POINTS:
        return shown
    size = math.ceil(2 * len(shown) / _POINTS)
    kept: list[tuple[int, float | None]] = []
    for start in range(0, len(shown), size):
        stretch = shown[start : start + size]
        numbers = [(value, place) for place, (_, value) in enumerate(stretch) if value is not None]
        ends = {place for _, place in (min(numbers), max(numbers))} if numbers else {0}
        kept += [stretch[place] for place in sorted(ends)]
    return kept


def _short(value: float | Sequence[float]) -> str:
    # A point comes as a pair: it would be the text of a tooltip, which is not shown.
    return f"{value:.4g}" if isinstance(value, (int, float)) else ""


def _cleaned(svg: ET.Element, found: Curves) -> str:
    """Without styles and what needs a script; with a name for readers that see no pictures."""
    for parent in svg.iter():
        for child in list(parent):
            name = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else None
            classes = child.get("class", "").split() if name else []
            empty = name == "g" and classes == ["dots"] and not len(child)
            if name is None or name in _UNUSED or "tooltip" in classes or empty:
                parent.remove(child)
    # Within HTML no element of a picture has a namespace, nor can two have one id.
    for name in [name for name in svg.attrib if name == "id" or name.startswith("xmlns")]:
        del svg.attrib[name]
    for element in svg.iter():
        element.tag = element.tag.rpartition("}")[2]
        kind = element.get("class", "").split()
        for number, side in enumerate(("series-a", "series-b", "parted")):
            if f"serie-{number}" in kind:
                element.set("class", f"series {side}")
    svg.set("role", "img")
    svg.set("aria-label", f"{found.metric}, both runs")
    return ET.tostring(svg, encoding="unicode", short_empty_elements=False)
