"""Pictures of a search: its rungs, its configs side by side, and which parameters mattered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ato.exceptions import SearchError
from ato.hyperopt.trial import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ato.hyperopt.result import Best

__all__ = ["importance", "plot"]

_LEAST = 4  # trials below which no importance is estimated
_DECADES = 30.0  # a parameter whose values span this factor is drawn on a logarithmic axis


def plot(best: Best, path: str | Path | None = None) -> Figure:
    """Draw rungs, parallel coordinates and importance.

    Args:
        best: what a search found.
        path: where the picture is written, too; its ending says in which format.

    Raises:
        SearchError: matplotlib or Optuna is not installed.
    """
    try:
        from matplotlib.figure import Figure  # an optional dependency
    except ImportError as error:
        raise SearchError("plot needs matplotlib: pip install 'ato-rs[plot]'") from error
    weights, budget = importance(best)
    # No pyplot: that would choose a window system, and keep the figure alive.
    figure = Figure(figsize=(12, 8), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False)[:, 0]
    left, right = above.subplots(1, 2, width_ratios=[2, 1])
    _rungs(left, best)
    _importance(right, weights, budget)
    _parallel(below, best)
    figure.suptitle(f"{best.name}: best {best.metric:.6g} ({best.mode})")
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure


def importance(best: Best) -> tuple[dict[str, float], int | None]:
    """How much each parameter decides whether a config is among the good ones.

    PED-ANOVA (Watanabe et al. 2023) as Optuna computes it, over the rung with the most trials:
    metrics of different budgets are not compared. Parameters that not every trial has are left out.

    Returns:
        Shares that add up to 1, and the budget of the rung; no shares where the trials are too few
        or differ in nothing.

    Raises:
        SearchError: Optuna is not installed.
    """
    try:
        import optuna  # an optional dependency
    except ImportError as error:
        raise SearchError("importance needs Optuna: pip install 'ato-rs[plot]'") from error
    by_budget: dict[int | None, list[Result]] = {}
    for result in _succeeded(best):
        if math.isfinite(result.outcome.metric):
            by_budget.setdefault(result.job.budget or result.job.rung, []).append(result)
    if not by_budget:
        return {}, None
    budget, results = max(by_budget.items(), key=lambda item: len(item[1]))
    columns = {key: values for key, values in _columns(results).items() if len(set(values)) > 1}
    if len(results) < _LEAST or not columns:
        return {}, budget
    ranges = {
        key: optuna.distributions.FloatDistribution(min(values), max(values))
        for key, values in columns.items()
    }
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would announce the study
    try:
        study = optuna.create_study(direction="maximize" if best.mode == "max" else "minimize")
    finally:
        optuna.logging.set_verbosity(verbosity)
    for number, result in enumerate(results):
        study.add_trial(
            optuna.trial.create_trial(
                value=result.outcome.metric,
                params={key: values[number] for key, values in columns.items()},
                distributions=ranges,
            )
        )
    found = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    return {key: float(share) for key, share in found.items()}, budget


def _succeeded(best: Best) -> list[Result]:
    return [result for rung in best.rungs for result in rung if result.succeeded]


def _columns(results: Sequence[Result]) -> dict[str, list[float]]:
    """The values of each parameter that all trials have, as places on an axis."""
    keys = [key for key in results[0].job.values if all(key in r.job.values for r in results)]
    columns = {}
    for key in keys:
        values = [result.job.values[key] for result in results]
        if not _is_numeric(values):
            names = _names(values)
            columns[key] = [float(names.index(str(value))) for value in values]
        elif _is_wide(values):
            columns[key] = [math.log10(value) for value in values]
        else:
            columns[key] = [float(value) for value in values]
    return columns


def _is_numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)


def _is_wide(values: Sequence[Any]) -> bool:
    return bool(min(values) > 0 and max(values) / min(values) > _DECADES)


def _names(values: Sequence[Any]) -> list[str]:
    return sorted({str(value) for value in values})


def _rungs(axes: Any, best: Best) -> None:
    """Each trial's metric from rung to rung; the winner in front."""
    lines: dict[int, list[Result]] = {}
    for result in _succeeded(best):
        lines.setdefault(result.job.trial, []).append(result)
    winner = best.config["__trial__"]
    for trial, results in sorted(lines.items(), key=lambda item: item[0] == winner):
        won = trial == winner
        axes.plot(
            [r.job.rung if r.job.budget is None else r.job.budget for r in results],
            [result.outcome.metric for result in results],
            marker="o",
            markersize=6 if won else 3,
            linewidth=2.5 if won else 0.8,
            alpha=1.0 if won else 0.4,
            color="C3" if won else "C0",
            label=f"trial {trial}" if won else None,
        )
    budgets = sorted({r.job.budget for r in _succeeded(best) if r.job.budget is not None})
    if budgets:
        axes.set_xscale("log")
        axes.set_xticks(budgets, [str(budget) for budget in budgets])
        axes.minorticks_off()
    axes.set(xlabel="budget" if budgets else "generation", ylabel="metric", title="rungs")
    axes.legend(loc="best")


def _importance(axes: Any, weights: dict[str, float], budget: int | None) -> None:
    axes.set_title("importance" if budget is None else f"importance at budget {budget}")
    if not weights:
        axes.text(0.5, 0.5, "too few trials", ha="center", va="center")
        axes.set_axis_off()
        return
    keys = sorted(weights, key=lambda key: weights[key])
    bars = axes.barh(keys, [weights[key] for key in keys])
    axes.bar_label(bars, [f"{weights[key]:.0%}" for key in keys], padding=3)
    axes.set_xlim(0, 1.15)
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def _parallel(figure: Any, best: Best) -> None:
    """Each trial at its largest budget, as a line across one axis a parameter."""
    furthest: dict[int, Result] = {}
    for result in _succeeded(best):
        furthest[result.job.trial] = result
    results = [r for r in furthest.values() if math.isfinite(r.outcome.metric)]
    columns = _columns(results) if results else {}
    host = figure.subplots()
    host.set_title("configs, by the metric at their largest budget")
    if not columns:
        host.text(0.5, 0.5, "no parameter that every trial has", ha="center", va="center")
        host.set_axis_off()
        return
    from matplotlib import colormaps  # loaded already
    from matplotlib.colors import Normalize

    metrics = [result.outcome.metric for result in results]
    scale, colours = Normalize(min(metrics), max(metrics)), colormaps["viridis"]
    spans = {key: (min(values), max(values)) for key, values in columns.items()}
    winner = best.config["__trial__"]
    order = sorted(
        range(len(results)),
        key=lambda i: (
            results[i].job.trial == winner,
            metrics[i] * (1 if best.mode == "max" else -1),
        ),
    )
    for number in order:
        won = results[number].job.trial == winner
        host.plot(
            range(len(columns)),
            [_placed(values[number], spans[key]) for key, values in columns.items()],
            color="C3" if won else colours(scale(metrics[number])),
            linewidth=3 if won else 1,
            alpha=1.0 if won else 0.7,
        )
    for place, key in enumerate(columns):
        host.axvline(place, color="0.3", linewidth=1)
        for height, text in _ticks([r.job.values[key] for r in results], spans[key]):
            host.annotate(
                text,
                (place, height),
                xytext=(4, 0),
                textcoords="offset points",
                bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 1},
                fontsize=8,
            )
    host.set_xticks(range(len(columns)), list(columns))
    host.set_yticks([])
    host.set_xlim(-0.1, len(columns) - 1 + 0.3)
    host.spines[:].set_visible(False)
    from matplotlib.cm import ScalarMappable

    figure.colorbar(ScalarMappable(scale, colours), ax=host, label="metric", pad=0.01)


def _placed(value: float, span: tuple[float, float]) -> float:
    low, high = span
    return 0.5 if low == high else (value - low) / (high - low)


def _ticks(values: Sequence[Any], span: tuple[float, float]) -> list[tuple[float, str]]:
    if not _is_numeric(values):
        return [(_placed(place, span), name) for place, name in enumerate(_names(values))]
    low, high = min(values), max(values)
    if low == high:
        return [(0.5, f"{low:.3g}")]
    middle = math.sqrt(low * high) if _is_wide(values) else (low + high) / 2
    return [(0.0, f"{low:.3g}"), (0.5, f"{middle:.3g}"), (1.0, f"{high:.3g}")]
