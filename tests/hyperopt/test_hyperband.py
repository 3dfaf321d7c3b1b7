from __future__ import annotations

import functools
import io
import math
import random
import re

import pytest

import ato
from ato import ADict, HyperBand, Scope
from ato.exceptions import (
    CommandLineError,
    NoResultError,
    SearchOptionError,
    SpaceError,
    TrialResultError,
)
from ato.hyperopt.base import GridSpaceMixIn, HyperOpt
from ato.hyperopt.progress import Progress, result_table

LR = {"param_type": "FLOAT", "param_range": (0.0, 1.0), "num_samples": 100}


def test_the_halving_form_halves_the_whole_grid(scope, spaces):
    """Generations of 20, 6 and … configs, sorted, the survivors being the best of the one before."""
    seen = []
    hyperband = HyperBand(scope, spaces, 0.3, 2)

    @hyperband.main
    def train(config):
        seen.append((config.lr, config.depth, config.__num_halved__))
        return config.lr * config.depth

    best = train()
    assert [len(rung) for rung in best.logs] == [20, 6]
    assert len(seen) == 26  # the winner is not trained again
    for generation, rung in enumerate(best.logs):
        metrics = [config.__metric__ for config in rung]
        assert metrics == sorted(metrics, reverse=True)
        assert all(config.__num_halved__ == generation for config in rung)
    survivors = {(c.lr, c.depth) for c in best.logs[1]}
    assert survivors == {(c.lr, c.depth) for c in best.logs[0][:6]}
    assert best.metric == best.config.__metric__ == 0.1 * 4
    assert (best.config.lr, best.config.depth, best.config.optim.name) == (0.1, 4, "sgd")


def test_the_default_is_the_halving_form_at_three_tenths(scope, spaces):
    """With neither max_budget nor halving_rate, 0.3 of the configs survive."""
    hyperband = HyperBand(scope, spaces)
    assert hyperband.halving_rate == 0.3
    assert hyperband.num_generations() == 2
    assert hyperband.compute_optimized_initial_training_steps(1000) == [300, 1000]


def test_a_grid_below_the_minimum_runs_one_generation(scope):
    """Two configs with num_min_samples=3 are both trained, once."""
    hyperband = HyperBand(scope, {"depth": {"param_type": "INTEGER", "param_range": (1, 2)}})
    best = hyperband.main(lambda config: config.depth)()
    assert [len(rung) for rung in best.logs] == [2]
    assert hyperband.compute_optimized_initial_training_steps(50) == [50]


@pytest.mark.parametrize("size", [1, 2, 3, 9, 10, 11, 34, 35, 100, 300])
def test_the_steps_of_every_generation_can_be_looked_up(scope, size):
    """`steps[config.__num_halved__]` is valid in every trial, whatever the size of the grid."""
    spaces = {"x": {"param_type": "INTEGER", "param_range": (1, size)}}
    hyperband = HyperBand(scope, spaces)
    steps = hyperband.compute_optimized_initial_training_steps(1000)
    used = set()

    @hyperband.main
    def train(config):
        used.add(steps[config.__num_halved__])
        return config.x

    train()
    assert used == set(steps)


def test_min_mode_finds_the_smallest(scope, spaces):
    """With mode='min' the smallest metric wins, and rungs are sorted upwards."""
    best = HyperBand(scope, spaces, mode="min").main(lambda config: config.lr * config.depth)()
    assert best.metric == 1e-4
    metrics = [config.__metric__ for config in best.logs[0]]
    assert metrics == sorted(metrics)


def test_hyperband_proper_gives_budgets(scope, spaces):
    """With max_budget each rung has the budget of Algorithm 1, in the config and in the trial."""
    hyperband = HyperBand(scope, spaces, max_budget=9)
    assert [[tuple(r) for r in b] for b in hyperband.brackets()] == [
        [(9, 1), (3, 3), (1, 9)], [(5, 3), (1, 9)], [(3, 9)],
    ]  # fmt: skip
    seen = []

    @hyperband.main
    def train(config, trial):
        assert config.__budget__ == trial.budget
        assert config.__trial__ == trial.number
        assert config.__num_halved__ == trial.rung
        seen.append((trial.previous_budget, trial.budget))
        return config.lr

    best = train()
    assert sorted(set(seen)) == [(0, 1), (0, 3), (0, 9), (1, 3), (3, 9)]
    assert len(seen) == 22
    assert best.config.__budget__ == 9
    assert len({result.job.trial for rung in best.rungs for result in rung}) == 17


def test_the_seed_decides_the_trials(scope, spaces):
    """The same seed gives the same digest, another seed another; `random` is left alone."""
    random.seed(5)
    before = random.getstate()
    digests = [
        HyperBand(scope, spaces, max_budget=9, seed=seed).main(lambda config: config.lr)().digest
        for seed in (1, 1, 2)
    ]
    assert digests[0] == digests[1] != digests[2]
    assert random.getstate() == before


def test_asha_promotes_the_best_of_each_rung(scope, spaces):
    """ASHA trains all configs at the least budget and about one in eta of a rung further."""
    hyperband = HyperBand(scope, spaces, max_budget=27, scheduler="asha", n_samples=30)
    best = hyperband.main(lambda config, trial: config.lr + trial.budget / 1000)()
    sizes = [len(rung) for rung in best.rungs]
    assert sizes[0] == 30
    assert len(sizes) == 4
    assert all(b <= a // 2 for a, b in zip(sizes, sizes[1:], strict=False))
    assert best.config.__budget__ == 27
    assert best.config.lr == max(config.lr for config in best.logs[0])


def test_one_bracket_of_halving_has_n_samples(scope, spaces):
    """scheduler='halving' is one bracket that begins with n_samples configs."""
    hyperband = HyperBand(scope, spaces, max_budget=9, scheduler="halving", n_samples=20)
    assert [tuple(rung) for rung in hyperband.brackets()[0]] == [(20, 1), (6, 3), (2, 9)]
    best = hyperband.main(lambda config: config.lr)()
    assert [len(rung) for rung in best.rungs] == [20, 6, 2]


def test_the_grid_can_be_sampled(scope, spaces):
    """sampler='grid' takes points of the grid, none twice in a bracket, no more than there are."""
    hyperband = HyperBand(
        scope, {"depth": spaces["depth"]}, max_budget=9, scheduler="halving", sampler="grid"
    )
    best = hyperband.main(lambda config: config.depth)()
    assert sorted(config.depth for config in best.logs[0]) == [1, 2, 3, 4]
    assert best.config.depth == 4
    whole = HyperBand(scope, {"depth": spaces["depth"]}, max_budget=81, sampler="grid")
    assert [bracket[0].configs for bracket in whole.brackets()] == [4, 4, 4, 4, 4]


def test_a_function_can_be_the_sampler(scope, spaces):
    """A sampler of one's own gives the values of each trial, and mistakes name the trial."""

    def sampler(trial, generator):
        return {"lr": generator.random(), "depth": trial}

    hyperband = HyperBand(scope, spaces, max_budget=3, sampler=sampler)
    best = hyperband.main(lambda config: config.depth)()
    assert best.config.depth == 4
    for wrong, message in [
        ({"lr": 1}, "no 'depth' for trial 0"),
        ({"lr": 1, "depth": 1, "x": 2}, "'x', which is not searched"),
        (3, "gave 3 for trial 0"),
    ]:
        broken = HyperBand(scope, spaces, max_budget=3, sampler=lambda *_, wrong=wrong: wrong)
        with pytest.raises(SpaceError, match=message):
            broken.main(lambda config: 1)()


def test_views_and_command_line_apply_below_the_searched_values(scope, spaces):
    """A named view and a token reach every trial; the searched values stand above them."""

    @scope.observe
    def wide(config):
        config.lr = 9.0
        config.optim.decay = 0.25

    scope.apply(["wide", "optim.name=adam"])
    best = HyperBand(scope, spaces).main(lambda config: config.lr)()
    for rung in best.logs:
        assert all((c.optim.name, c.optim.decay) == ("adam", 0.25) for c in rung)
        assert all(c.lr <= 0.1 for c in rung)
    assert str(best.config.history("lr")[-1].origin) == f"search trial {best.config.__trial__}"
    assert scope.config.lr == 9.0


def test_a_token_for_a_searched_key_is_an_error(scope, spaces):
    """A command line that sets what is searched is refused before anything is trained."""
    scope.apply(["lr=0.1"])
    train = HyperBand(scope, spaces).main(lambda config: pytest.fail("trained"))
    with pytest.raises(CommandLineError, match=r"lr=0.1.*'lr' is searched"):
        train()


def test_inner_functions_of_the_scope_see_the_trial_s_config(scope, spaces):
    """Functions that @scope decorates, and scope.config, have the trial's config inside a trial."""

    @scope
    def rate(config):
        return config.lr

    hyperband = HyperBand(scope, spaces)

    @hyperband.main
    @scope
    def train(config):
        assert scope.config is config
        return rate()

    assert train().metric == 0.1
    assert scope.config.lr == 0.5


def test_arguments_of_the_call_reach_every_trial(scope, spaces):
    """What the search is called with is passed on to the function."""
    hyperband = HyperBand(scope, spaces)

    @hyperband.main
    def train(config, data, trial, *, factor=1):
        return config.lr * len(data) * factor

    assert train([1, 2, 3], factor=10).metric == pytest.approx(3.0)


def test_a_scope_around_the_search_changes_nothing(scope, spaces):
    """@scope above @hyperband.main does not hand the common config to the trials."""
    hyperband = HyperBand(scope, spaces)

    @scope
    @hyperband.main
    def train(config):
        return config.lr

    assert train().metric == 0.1


def test_trials_do_not_share_what_their_configs_hold(scope, spaces):
    """A list that one trial appends to is another in the next trial."""

    @scope.observe(default=True)
    def lists(config):
        config.sizes = [1]

    def train(config):
        config.sizes.append(2)
        return len(config.sizes)

    assert HyperBand(scope, spaces).main(train)().metric == 2


def test_survivors_continue_and_losers_are_deleted(scope, spaces, tmp_path):
    """A survivor finds what it wrote; after each rung only survivors and the best have a folder."""
    folder = tmp_path / "checkpoints"
    hyperband = HyperBand(scope, spaces, max_budget=9, checkpoints=folder)
    folders = []

    @hyperband.main
    def train(config, trial):
        file = trial.checkpoint_dir / "steps.txt"
        done = int(file.read_text()) if file.exists() else 0
        assert done == trial.previous_budget
        assert config.__checkpoint__ == str(trial.checkpoint_dir)
        file.write_text(str(trial.budget))
        folders.append(len(list(folder.iterdir())))
        return config.lr

    best = train()
    assert max(folders) <= 9 + 1
    assert [path.name for path in folder.iterdir()] == [f"trial-{best.config.__trial__}"]
    assert (best.checkpoint_dir / "steps.txt").read_text() == "9"


def test_without_checkpoints_no_folder_is_made(scope, spaces, tmp_path):
    """A function that asks for no folder leaves none behind."""
    folder = tmp_path / "checkpoints"
    best = HyperBand(scope, spaces, checkpoints=folder).main(lambda config: config.lr)()
    assert not folder.exists()
    assert best.checkpoint_dir is None


@pytest.mark.parametrize("mode", ["max", "min"])
def test_failures_rank_last_and_brackets_shrink(scope, spaces, mode):
    """NaN and exceptions are kept with their reason, rank last and never go on."""

    def train(config, trial):
        if config.depth == 1:
            return math.nan
        if config.depth == 2:
            raise ValueError("out of memory")
        if config.depth == 3:
            raise SystemExit(3)
        return config.lr

    best = HyperBand(scope, spaces, halving_rate=0.5, mode=mode).main(train)()
    assert [len(rung) for rung in best.rungs] == [20, 5, 5]  # 10 were to go on
    first = best.rungs[0]
    assert [r.succeeded for r in first] == [True] * 5 + [False] * 15
    errors = {r.job.values["depth"]: r.outcome.error for r in first if not r.succeeded}
    assert "returned NaN" in errors[1]
    assert 'raise ValueError("out of memory")' in errors[2]
    assert "SystemExit: 3" in errors[3]
    assert math.isnan(best.logs[0][-1].__metric__)
    assert best.config.depth == 4
    assert len(best.failures) == 15


def test_a_search_in_which_all_fails_says_why(scope, spaces):
    """Where every trial fails the error has the first one's traceback."""

    def train(config):
        raise ValueError("no data")

    with pytest.raises(NoResultError, match=r"(?s)trial 0 .*ValueError: no data"):
        HyperBand(scope, spaces, max_budget=9).main(train)()


@pytest.mark.parametrize("returned", [None, "0.5", [1.0], 1j])
def test_what_is_no_number_is_an_error_that_names_the_trial(scope, spaces, returned):
    """A function that returns no number is told so, with the trial and its values."""
    train = HyperBand(scope, spaces).main(lambda config: returned)
    with pytest.raises(TrialResultError, match=r"trial 0 \(rung 0: lr=0.0001, depth=1\) returned"):
        train()


def test_numbers_of_numpy_and_infinities_are_metrics(scope, spaces):
    """A NumPy scalar is a number, and minus infinity a very bad one."""
    numpy = pytest.importorskip("numpy")

    def train(config):
        return numpy.float32(config.lr) if config.depth > 1 else -math.inf

    best = HyperBand(scope, spaces).main(train)()
    assert best.metric == pytest.approx(0.1)
    assert best.failures == []


def test_ctrl_c_ends_a_search_with_what_is_known(scope, spaces):
    """Ctrl-C in the seventh trial returns the best of six; with nothing known it goes through."""
    calls = []

    def train(config):
        calls.append(config.lr)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return config.lr

    best = HyperBand(scope, spaces).main(train)()
    assert best.interrupted
    assert [len(rung) for rung in best.logs] == [6]
    assert best.metric == max(calls[:6])

    def stopped(config):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        HyperBand(scope, spaces).main(stopped)()


def test_reports_are_kept(scope, spaces):
    """What a trial reports on the way stands in its result; what is no number is an error there."""

    def train(config, trial):
        for step in range(3):
            trial.report(step, config.lr * step)
        return config.lr

    best = HyperBand(scope, {"lr": spaces["lr"]}).main(train)()
    assert best.rungs[0][0].outcome.reports == [(0, 0.0), (1, 0.1), (2, 0.2)]
    failing = HyperBand(scope, {"lr": spaces["lr"]}).main(
        lambda config, trial: trial.report(0, "x")
    )
    with pytest.raises(NoResultError, match="MetricTypeError"):
        failing()


WRONG = [
    ({"max_budget": 9, "halving_rate": 0.3}, "two forms"),
    ({"halving_rate": 1.5}, "halving_rate"),
    ({"max_budget": 0}, "max_budget"),
    ({"max_budget": 9.5}, "max_budget"),
    ({"eta": 1}, "eta"),
    ({"num_min_samples": 0}, "num_min_samples"),
    ({"mode": "best"}, "mode"),
    ({"scheduler": "hyper"}, "scheduler"),
    ({"variant": "book"}, "variant"),
    ({"seed": "x"}, "seed"),
    ({"n_samples": 5}, "max_budget"),
    ({"scheduler": "asha"}, "max_budget"),
    ({"max_budget": 9, "n_samples": 5}, "n_samples"),
    ({"max_budget": 9, "scheduler": "asha", "n_samples": 0}, "n_samples"),
    ({"resume": True}, "tracker"),
    ({"tracker": 3}, "tracker"),
    ({"trial_timeout": -1}, "trial_timeout"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_options_are_errors_that_name_them(scope, spaces, options, message):
    """Options that are wrong or contradict each other are refused when the search is made."""
    with pytest.raises(SearchOptionError, match=message):
        HyperBand(scope, spaces, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trial_timeout": 5.0}, "processes"),
        ({"processes": 0}, "processes"),
        ({"executor": 3}, "executor"),
        ({"executor": 3, "processes": 2}, "not both"),
        ({"max_budget": 9, "sampler": 3}, "sampler"),
    ],
)
def test_wrong_engines_are_errors_before_anything_runs(scope, spaces, options, message):
    """Options of where and what to run are refused before the first trial."""
    train = HyperBand(scope, spaces, **options).main(lambda config: pytest.fail("trained"))
    with pytest.raises(SearchOptionError, match=message):
        train()


def test_a_search_needs_a_scope(spaces):
    """A config instead of a scope is an error that says so."""
    with pytest.raises(SearchOptionError, match="config of a Scope"):
        HyperBand(ADict(lr=1), spaces)


def test_steps_are_a_matter_of_the_halving_form(scope, spaces):
    """Where the search has budgets, the error points to them; steps are positive integers."""
    with pytest.raises(SearchOptionError, match="__budget__"):
        HyperBand(scope, spaces, max_budget=9).compute_optimized_initial_training_steps(100)
    with pytest.raises(SearchOptionError, match="max_steps"):
        HyperBand(scope, spaces).compute_optimized_initial_training_steps(0)


def test_the_schedule_is_printed_before_anything_runs(scope, spaces, capsys):
    """`schedule()` prints brackets, trials and both total budgets."""
    HyperBand(scope, spaces, max_budget=81).schedule()
    printed = capsys.readouterr().out
    assert "81@1  27@3  9@9  3@27  1@81" in printed
    assert "143 configs" in printed
    assert "1,902 from scratch" in printed
    HyperBand(scope, spaces).schedule()
    assert re.search(r"bracket 0 +20 +6\n", capsys.readouterr().out)


def test_a_search_of_one_s_own_derives_from_hyperopt(scope, spaces):
    """A random search over the shuffled grid, as the documentation writes it."""

    class RandomSearch(GridSpaceMixIn, HyperOpt):
        def main(self, func):
            @functools.wraps(func)
            def launch(*args, **kwargs):
                grid = self.prepare_distributions(self.config, self.search_spaces)
                random.Random(0).shuffle(grid)
                tried = grid[:10]
                for config in tried:
                    config.__metric__ = func(config, *args, **kwargs)
                return max(tried, key=lambda config: config.__metric__)

            return launch

    search = RandomSearch(scope, spaces, tracker=None, mode="max")
    assert search.scope is scope
    assert search.search_spaces is spaces
    assert search.tracker is None
    assert search.mode == "max"
    assert search.config is scope.config
    best = search.main(lambda config: config.lr * config.depth)()
    assert best.__metric__ == best.lr * best.depth
    with pytest.raises(NotImplementedError, match="main"):
        HyperOpt(scope, spaces).main(lambda config: 1)


def test_conditional_spaces_are_searched(scope):
    """A parameter of one optimizer is drawn in the trials of that optimizer only."""
    spaces = {
        "optim.name": {"param_type": "CATEGORY", "categories": ["sgd", "adam"]},
        "optim.momentum": lambda config: (
            {"param_type": "FLOAT", "param_range": (0, 1)} if config.optim.name == "sgd" else None
        ),
    }
    best = HyperBand(scope, spaces, max_budget=9).main(
        lambda config: config.optim.get("momentum", -1.0)
    )()
    assert best.config.optim.name == "sgd"
    assert {len(r.job.values) for rung in best.rungs for r in rung} == {1, 2}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_sees_a_line_and_a_table(scope, spaces, monkeypatch):
    """On a terminal a line says rung, running, best and remaining budget, and a table the best."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    lines = []
    show = Progress.line
    monkeypatch.setattr(Progress, "line", lambda self, s: lines.append(show(self, s)) or lines[-1])
    monkeypatch.setattr("ato.hyperopt.progress._PAUSE", 0.0)
    best = HyperBand(scope, spaces, max_budget=9).main(lambda config: config.lr)()
    assert re.fullmatch(
        r"<lambda>: rung 1 · 9/22 trained · 1 running · best 0\.\d+ \(trial \d\) · budget left 69",
        lines[9],
    )
    assert f"{best.metric:.6g}" in terminal.getvalue()
    assert "17 trials" in terminal.getvalue()
    assert result_table(best).row_count == 10


def test_nothing_is_printed_where_there_is_no_terminal(scope, spaces, capfd):
    """In a pipe a search is silent."""
    HyperBand(scope, spaces, max_budget=9).main(lambda config: config.lr)()
    assert capfd.readouterr() == ("", "")


def test_the_search_is_exported(scope):
    """`ato.HyperBand` is the class of `ato.hyperopt.hyperband`."""
    from ato.hyperopt.hyperband import HyperBand as same

    assert ato.HyperBand is same
    assert Scope is ato.Scope


def hartmann(x):
    """Hartmann's function of three variables, negated: its largest value is 3.86278."""
    scale = [1.0, 1.2, 3.0, 3.2]
    width = [[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]]
    centre = [
        [0.3689, 0.1170, 0.2673],
        [0.4699, 0.4387, 0.7470],
        [0.1091, 0.8732, 0.5547],
        [0.0381, 0.5743, 0.8828],
    ]
    return sum(
        s * math.exp(-sum(w * (v - c) ** 2 for w, v, c in zip(ws, x, cs, strict=True)))
        for s, ws, cs in zip(scale, width, centre, strict=True)
    )


def test_hyperband_reaches_the_top_tenth_where_small_budgets_mislead(scope):
    """In each of 20 seeds it finds the top 10 % of a function whose bias decays with the budget."""
    keys = ("x", "y", "z")
    spaces = {key: {"param_type": "FLOAT", "param_range": (0.0, 1.0)} for key in keys}
    generator = random.Random(0)
    drawn = sorted(hartmann([generator.random() for _ in keys]) for _ in range(20_000))
    top = drawn[int(0.9 * len(drawn))]

    def train(config, trial):
        point = [config[key] for key in keys]
        # It prefers the wrong corner, and is as large as the function at the least budget.
        bias = 4.0 * (1 - (trial.budget - 1) / 80) / trial.budget
        return hartmann(point) + bias * (point[0] + point[1]) / 2

    for seed in range(20):
        best = HyperBand(scope, spaces, max_budget=81, seed=seed).main(train)()
        found = hartmann([best.config[key] for key in keys])
        assert found >= top, f"seed {seed}: {found:.3f} < {top:.3f}"
