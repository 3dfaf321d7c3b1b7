from __future__ import annotations

import sys

import pytest
from matplotlib.image import imread

from ato import HyperBand
from ato.exceptions import SearchError
from ato.hyperopt.plots import importance


def best_of(scope, spaces, function=lambda config: -abs(config.lr - 0.01), **options):
    return HyperBand(scope, spaces, **options).main(function)()


def texts(figure):
    return {text.get_text() for text in figure.findobj(lambda each: hasattr(each, "get_text"))}


def test_the_picture_shows_rungs_importance_and_configs(scope, spaces, tmp_path):
    """One figure has the three parts and the winner, and is written where asked."""
    spaces["kind"] = {"param_type": "CATEGORY", "categories": ["small", "large"]}
    best = best_of(scope, spaces, max_budget=9)
    figure = best.plot(tmp_path / "search.png")
    shown = texts(figure)
    assert {"rungs", "importance at budget 1", "small", "large", "lr", "depth"} <= shown
    assert f"trial {best.config['__trial__']}" in shown
    assert imread(tmp_path / "search.png").std() > 0.05


def test_importance_finds_the_parameter_that_matters(scope, spaces):
    """Of a metric that only the learning rate moves, nearly all of the importance is its own."""
    shares, budget = importance(best_of(scope, spaces, max_budget=27))
    assert budget == 1
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["lr"] > 0.8


def test_halving_searches_conditions_and_few_trials_have_pictures_too(scope, spaces):
    """Generations without budgets, parameters that some trials lack, and two trials can be drawn."""
    assert "generation" in texts(best_of(scope, spaces).plot())
    spaces["depth"] = lambda config: (
        {"param_type": "INTEGER", "param_range": (1, 3)} if config.lr < 0.01 else None
    )
    assert "depth" not in importance(best_of(scope, spaces))[0]
    few = {"depth": {"param_type": "INTEGER", "param_range": (1, 2)}}
    assert "too few trials" in texts(best_of(scope, few, lambda config: config.depth).plot())


def test_without_the_libraries_it_says_which_extra_has_them(scope, spaces, monkeypatch):
    """Where matplotlib or Optuna cannot be imported, the error names what to install."""
    best = best_of(scope, spaces)
    for name in ("matplotlib.figure", "optuna"):
        with monkeypatch.context() as context:
            context.setitem(sys.modules, name, None)
            with pytest.raises(SearchError, match=r"ato-rs\[plot\]"):
                best.plot()
