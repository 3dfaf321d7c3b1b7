"""The headline of the text answer."""

from __future__ import annotations

import pytest

from ato.cli.output import console
from ato.explain.explanation import Divergence, Explanation, RunLabel
from ato.explain.render.text import render_text

SAME = {"config": 1, "code": 1, "environment": 1, "data": 0}


def answer(**fields: object) -> str:
    runs = {
        f"run_{side}": RunLabel(number, None, "default", "completed")
        for number, side in enumerate("ab", 1)
    }
    return render_text(Explanation(**runs, same=SAME, **fields))


def test_identical_runs_may_have_changed_in_what_gave_no_other_result() -> None:
    """The headline of identical runs speaks of results only: config or code may differ."""
    assert "No recorded result differs: same outputs" in answer(verdict="identical")


@pytest.mark.parametrize(
    ("symptoms", "headline"),
    [
        ((), "Nondeterminism: nothing that was recorded differs, and the output does."),
        (("weight",), "Nondeterminism. What made its inputs differ was not watched."),
    ],
)
def test_nondeterminism_says_whether_the_inputs_differed(
    symptoms: tuple[str, ...], headline: str
) -> None:
    """Where a call came in with other inputs, its headline does not say that nothing differs."""
    split = Divergence("train.step", 0, 0, "output", "values", symptoms=symptoms)
    text = answer(verdict="nondeterministic", first_divergence=split)
    assert headline in text
    assert ("It came in with: weight." in text) == bool(symptoms)


def test_no_color_leaves_no_escape_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that was asked for no colour gets no bold and no dim text either."""
    monkeypatch.setenv("TERM", "xterm-256color")
    rendered = {}
    for asked in ("", "1"):
        monkeypatch.setenv("NO_COLOR", asked)
        out = console(force_terminal=True, width=80)
        with out.capture() as captured:
            out.print("Cause", style="bold red")
        rendered[asked] = captured.get()
    assert "\x1b[" in rendered[""]
    assert rendered["1"] == "Cause\n"
