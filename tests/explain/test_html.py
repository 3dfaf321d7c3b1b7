"""The answer as a page of HTML, and in a notebook."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from ato.explain import explain, load_runs
from ato.explain.load import MetricPoint
from ato.explain.render.html import render_html
from ato.explain.render.html.charts import curves, draw
from ato.explain.render.html.code import side_by_side
from explained_pages import HOSTILE, Page, edited_project, hostile_db, page_of


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of two runs of which the second has an edited helper."""
    return edited_project(tmp_path_factory.mktemp("page")).folder / "experiments.db"


@pytest.fixture(scope="module")
def page(db: Path) -> Page:
    """The page about them."""
    return Page(page_of(db)[1])


def test_the_page_begins_with_the_answer(page: Page) -> None:
    """The first section has the metric in both runs, the verdict, the cause and where they part."""
    answer = page.sections["answer"]
    assert re.search(r"final\s+[-\d.]+\s*→\s*[-\d.]+", answer)
    assert "explained" in answer
    assert "train.noise" in answer
    assert "-     return value + random.random() * 0.1" in answer
    assert "+     return value + random.random() * 0.3" in answer
    assert "First divergence: train.batch, call 0" in answer


def test_the_page_has_the_curves_of_every_metric(page: Page) -> None:
    """Each metric has a picture with both runs and the divergence; one point is two numbers."""
    labels = [value for _, name, value in page.attributes if name == "aria-label"]
    assert labels == ["weight, both runs", "square, both runs"]
    classes = [value for tag, name, value in page.attributes if (tag, name) == ("g", "class")]
    for side in ("series series-a", "series series-b", "series parted"):
        assert classes.count(side) >= 2
    assert re.search(r"final\s+[-\d.]+\s*→\s*[-\d.]+", page.sections["metrics"])


def test_the_page_has_the_config_with_its_origins(page: Page) -> None:
    """A changed key stands with both values, who set them, what lost, and the judgement."""
    config = page.sections["config"]
    assert "workers" in config
    assert "set by view defaults, train.py:12" in config
    assert "set by the command line: workers=4 (argument 1)" in config
    assert "ruled out" in config
    assert "read by no call" in config
    assert "lr" not in re.findall(r"\w+", config)


def test_the_page_has_code_side_by_side(page: Page) -> None:
    """The changed function stands twice, with what differs within the line marked."""
    assert "train.noise" in page.sections["code"]
    assert "<mark>3</mark>" in page.html
    assert "<mark>1</mark>" in page.html


def test_the_page_has_the_calls_with_equal_ones_folded(page: Page) -> None:
    """The calls are a tree: the first divergence alone, what follows it by function."""
    calls = re.sub(r"\s+", " ", page.sections["calls"])
    assert "train.batch call 0 first divergence other output: values" in calls
    assert "train.batch 7 calls, 1 to 7 other output: values" in calls
    assert "train.update 8 calls, 0 to 7 other output: values" in calls


def test_the_page_asks_for_nothing(page: Page) -> None:
    """There is no script, nothing to load, and a policy that forbids both."""
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(page.elements)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert not [name for _, name, _ in page.attributes if name in ("src", "href", "xlink:href")]
    assert not re.search(r"https?:|url\(|@import", page.html)
    policies = [value for _, name, value in page.attributes if name == "content"]
    assert "default-src 'none'; style-src 'unsafe-inline'" in policies


def test_the_page_is_the_same_each_time(db: Path) -> None:
    """No date and no number of chance: the page of two runs can be compared with itself."""
    assert page_of(db)[1] == page_of(db)[1]


def test_what_users_name_is_text(tmp_path: Path) -> None:
    """Markup in names, keys, values, metrics and paths is shown, and means nothing."""
    answer, html = page_of(hostile_db(tmp_path))
    for text in (html, f"<div>{answer._repr_html_()}</div>"):
        found = Page(text)
        assert not {"script", "img", "b>"} & set(found.elements)
        assert not [name for _, name, _ in found.attributes if name.startswith("on")]
        assert HOSTILE in found.text
        assert "{{7*7}}" in found.text
    whole = Page(html)
    assert "data <b>.csv" in whole.sections["data"]
    assert f"{HOSTILE}, both runs" in [value for _, _, value in whole.attributes]


def test_control_characters_are_shown_escaped(tmp_path: Path) -> None:
    """Nothing on the page turns text around, ends it, or cannot be encoded."""
    _, html = page_of(hostile_db(tmp_path))
    assert "a\\x1b[31mb\\0c\\u202ed" in html
    assert "\x1b" not in html
    assert "\x00" not in html
    html.encode("utf-8")


def test_runs_that_cannot_be_compared(db: Path, tmp_path: Path) -> None:
    """The page says why, with the curves that there are, and judges nothing."""
    first, second = load_runs(1, 2, db=str(db))
    second = replace(second, schemes=frozenset({"ato code-logic v0"}))
    answer = explain(first, second)
    found = Page(render_html(answer, first, second))
    assert "can't be compared" in found.sections["answer"]
    assert "metrics" in found.sections
    assert not {"config", "code", "calls"} & found.sections.keys()


def test_identical_runs(db: Path) -> None:
    """A run against itself has an answer and curves, and nothing that differs."""
    _, html = page_of(db, 1, 1)
    found = Page(html)
    assert "No recorded result differs" in found.sections["answer"]
    assert not {"config", "code", "environment", "data"} & found.sections.keys()
    calls = re.sub(r"\s+", " ", found.sections["calls"])
    assert "equal, with 17 calls inside" in calls


def test_a_notebook_shows_the_answer(db: Path) -> None:
    """An explanation in a cell is the answer alone: small, and with a style of its own."""
    answer, _ = page_of(db)
    html = answer._repr_html_()
    found = Page(html)
    assert "train.noise" in found.text
    assert "workers" in found.text
    assert len(html) < 20_000
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    rules = re.sub(r"@media[^{]*\{|\}\s*\}", "", style[1])
    selectors = [rule.split("{")[0] for rule in rules.split("\n") if "{" in rule]
    assert all(
        part.strip().startswith((".ato", ".page"))
        for selector in selectors
        for part in selector.split(",")
    )


def points(values: list[float]) -> list[MetricPoint]:
    return [MetricPoint("loss", value, step, 0, step, step) for step, value in enumerate(values)]


def test_nan_is_a_gap_and_a_word() -> None:
    """A value that cannot be drawn interrupts the curve; where it came first is said."""
    found = curves("loss", points([1, 2, math.nan, 4]), points([1, 2, 3, math.inf]), 1.0)
    assert found.not_numbers == ("run A is nan at step 2", "run B is inf at step 3")
    assert found.parted == 2
    svg = draw(found, width=400, height=200)
    assert "nan" not in svg
    assert "inf" not in svg


def test_long_curves_are_thinned_to_their_extremes() -> None:
    """A million points become a small picture that still has the highest and the lowest."""
    values = [math.sin(step / 1000) for step in range(100_000)]
    values[31_337] = 7.5
    svg = draw(curves("loss", points(values), points(values), None), width=400, height=200)
    assert len(svg) < 60_000
    assert ">7<" in svg or ">7.5<" in svg or ">6<" in svg


def test_long_equal_stretches_of_code_are_folded() -> None:
    """Three equal lines stand around a change; the others are counted."""
    old = [f"line {number}" for number in range(1, 41)]
    new = [*old[:19], "line twenty", *old[20:], "added"]
    rows = side_by_side("\n".join(old), "\n".join(new), first_a=10, first_b=20)
    assert [row.kind for row in rows] == [
        "folded", "equal", "equal", "equal", "changed", "equal", "equal", "equal", "folded",
        "equal", "equal", "equal", "added",
    ]  # fmt: skip
    assert [row.folded for row in rows if row.kind == "folded"] == [16, 14]
    changed = rows[4]
    assert changed.a is not None
    assert changed.b is not None
    assert (changed.a.number, changed.b.number) == (29, 39)
    assert changed.b.parts == (("line ", False), ("twenty", True))
