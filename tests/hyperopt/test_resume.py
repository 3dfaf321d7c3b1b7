from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest
from click.testing import CliRunner
from stores import ask, config_for, finder_for

from ato import HyperBand, SQLLogger
from ato.cli import main
from ato.db_routers.sql.searches import find_search, search_trials
from ato.exceptions import ResumeError, UnknownRunError

# A search whose metric depends on what its checkpoints say, and which may kill itself.
SCRIPT = """
import os, random, signal
from ato import HyperBand, SQLLogger, Scope

scope = Scope()

@scope.observe(default=True)
def defaults(config):
    config.experiment = {"project_name": "sweeps", "sql": {"db_path": os.environ["DB"]}}

hyperband = HyperBand(
    scope,
    {"lr": {"param_type": "FLOAT", "param_range": (0.0, 1.0)}},
    max_budget=9,
    seed=4,
    tracker=SQLLogger(scope.config),
    resume=True,
    processes=int(os.environ.get("PROCESSES", "0")) or None,
    scheduler=os.environ.get("SCHEDULER", "hyperband"),
)
trained = 0

@hyperband.main
def train(config, trial):
    global trained
    trained += 1
    file = trial.checkpoint_dir / "sum.txt"
    total = float(file.read_text()) if file.exists() else 0.0
    for step in range(trial.previous_budget, trial.budget):
        total += config.lr / (step + 1)
        file.write_text(str(total))
        if trained == int(os.environ.get("KILL_AT", "0")) and step == trial.budget - 1:
            os.kill(os.getpid(), signal.SIGKILL)
    with open("trained.txt", "a") as log:
        log.write(f"{trial.number}@{trial.budget}\\n")
    return total

best = train()
print(best.digest, best.metric, best.config.__trial__)
"""


def run(folder, **variables):
    folder.mkdir(exist_ok=True)
    (folder / "sweep.py").write_text(SCRIPT)
    return subprocess.run(
        [sys.executable, "sweep.py"],
        cwd=folder,
        env={**os.environ, "DB": str(folder / "runs.db"), **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """What an unbroken search of each kind prints, and its folder."""
    folder = tmp_path_factory.mktemp("unbroken")
    found = {}
    for scheduler in ("hyperband", "asha"):
        done = run(folder / scheduler, SCHEDULER=scheduler)
        assert done.returncode == 0, done.stderr
        found[scheduler] = (done.stdout, folder / scheduler)
    return found


@pytest.mark.parametrize("scheduler", ["hyperband", "asha"])
def test_a_search_that_is_killed_at_every_tenth_trial_ends_as_an_unbroken_one(
    tmp_path, scheduler, unbroken
):
    """Killed again and again and resumed: same digest, no training repeated, none lost."""
    printed, whole = unbroken[scheduler]
    kills = 0
    while True:
        done = run(tmp_path / "broken", SCHEDULER=scheduler, KILL_AT="10")
        if done.returncode == 0:
            break
        assert done.returncode == -9, done.stderr
        kills += 1
    assert kills == (2 if scheduler == "hyperband" else 1)
    assert done.stdout == printed
    trained = (tmp_path / "broken" / "trained.txt").read_text().split()
    assert sorted(trained) == sorted((whole / "trained.txt").read_text().split())
    assert len(set(trained)) == len(trained)
    rows = ask(tmp_path / "broken" / "runs.db", "SELECT trial, rung, metric FROM search_trials")
    assert sorted(rows) == sorted(
        ask(whole / "runs.db", "SELECT trial, rung, metric FROM search_trials")
    )
    assert ask(tmp_path / "broken" / "runs.db", "SELECT status FROM searches") == [("completed",)]
    if scheduler == "hyperband":
        kept = tmp_path / "broken" / "runs.db.checkpoints" / "train-1"
        (file,) = [path for path in kept.rglob("*") if path.is_file()]
        assert file.read_text() == printed.split()[1]


def test_processes_store_the_same_search(tmp_path, unbroken):
    """With two processes the stored search has the digest of the one that ran inline."""
    there = run(tmp_path / "there", PROCESSES="2")
    assert there.returncode == 0, there.stderr
    assert there.stdout == unbroken["hyperband"][0]


@pytest.fixture
def tracked(scope, spaces, tmp_path):
    """Make a search whose trials are stored in `runs.db`."""
    tracker = SQLLogger(config_for(tmp_path / "runs.db"))

    def make(**options):
        options = {"max_budget": 3, "tracker": tracker, "name": "sweep", **options}
        return HyperBand(scope, spaces, **options)

    yield make
    tracker.engine.dispose()


def test_every_trial_is_a_run_of_one_search(tracked, tmp_path):
    """Runs have the trial's config with who set it, its reports, its result, and a name."""

    def train(config, trial):
        trial.report(0, 0.25)
        if config.depth == 1:
            raise ValueError("diverged")
        return config.lr

    best = tracked().main(train)()
    finder = finder_for(tmp_path / "runs.db")
    runs = finder.get_runs_in_project("digits")
    assert len(runs) == sum(map(len, best.rungs))
    (winner,) = [run for run in runs if run.id == best.run_id]
    assert winner.name == f"sweep-1/{best.config.__trial__}.{best.config.__num_halved__}"
    assert winner.tags == ["search:sweep-1"]
    assert winner.config.lr == best.config.lr
    assert str(winner.history("lr")[-1].origin) == f"search trial {best.config.__trial__}"
    assert [(p.key, p.value) for p in winner.metrics] == [("metric", 0.25), ("metric", best.metric)]
    assert {run.structural_hash for run in runs} == {winner.structural_hash}
    failed = [run for run in runs if run.status == "failed"]
    assert {run.config.depth for run in failed} == {1}
    assert "diverged" in failed[0].error
    assert len(failed) == len(best.failures)


def test_without_a_tracker_nothing_is_stored(scope, spaces, tmp_path, monkeypatch):
    """A search without a tracker leaves no file."""
    monkeypatch.chdir(tmp_path)
    HyperBand(scope, spaces, max_budget=3).main(lambda config: config.lr)()
    assert list(tmp_path.iterdir()) == []


def test_a_complete_search_answers_again_without_training(tracked):
    """resume=True after the end gives the same best; resume=False begins anew."""
    first = tracked().main(lambda config: config.lr)()
    again = tracked(resume=True).main(lambda config: pytest.fail("trained"))()
    assert again.digest == first.digest
    assert again.run_id == first.run_id
    anew = tracked().main(lambda config: config.lr)()
    assert anew.digest == first.digest
    assert anew.run_id != first.run_id


def test_ctrl_c_can_be_resumed(tracked, tmp_path):
    """A search that Ctrl-C ended goes on where it was; its status says so in between."""
    counted = []

    def train(config):
        counted.append(config.lr)
        if len(counted) == 4:
            raise KeyboardInterrupt
        return config.lr

    interrupted = tracked().main(train)()
    assert interrupted.interrupted
    assert ask(tmp_path / "runs.db", "SELECT status FROM searches") == [("interrupted",)]
    assert ask(tmp_path / "runs.db", "SELECT status FROM experiments WHERE id = 4") == [
        ("interrupted",)
    ]
    whole = tracked(resume=True).main(train)()
    plain = tracked(tracker=None).main(lambda config: config.lr)()
    assert whole.digest == plain.digest
    assert len(counted) == sum(map(len, whole.rungs)) + 1


def test_the_number_of_trials_is_a_total(tracked):
    """A resumed search with more samples trains only what is missing."""
    options = {"scheduler": "asha", "max_budget": 9}
    tracked(n_samples=6, **options).main(lambda config: config.lr)()
    new = []

    def train(config, trial):
        if trial.budget == 1:
            new.append(trial.number)
        return config.lr

    best = tracked(n_samples=10, resume=True, **options).main(train)()
    assert new == [6, 7, 8, 9]
    assert len(best.rungs[0]) == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [({"seed": 9}, "seed: 0 → 9"), ({"max_budget": 9}, "max_budget: 3 → 9")],
)
def test_a_search_with_other_settings_cannot_go_on(tracked, options, message):
    """What is different now is named: an option, a space, a value of the common config."""
    tracked().main(lambda config: config.lr)()
    with pytest.raises(ResumeError, match=message):
        tracked(resume=True, **options).main(lambda config: config.lr)()


def test_another_common_config_is_another_search(tracked, scope):
    """A value that no search varies, and that changed since, is named when resuming."""
    tracked().main(lambda config: config.lr)()
    scope.apply(["optim.name=adam"])
    with pytest.raises(ResumeError, match="config optim.name: 'sgd' → 'adam'"):
        tracked(resume=True).main(lambda config: config.lr)()


def test_a_sampler_that_does_not_repeat_itself_cannot_go_on(tracked):
    """Other values for a stored trial are an error that names it."""
    offset = 0.0

    def sampler(trial, generator):
        return {"lr": trial + offset, "depth": 1}

    tracked(sampler=sampler).main(lambda config: config.lr)()
    offset = 0.5
    with pytest.raises(ResumeError, match="trial 0 .* had other values"):
        tracked(sampler=sampler, resume=True).main(lambda config: config.lr)()


def test_stored_searches_are_found_by_name_and_id(tracked, tmp_path):
    """`find_search` knows ids, names and `latest`; an unknown one lists those that there are."""
    best = tracked().main(lambda config: config.lr)()
    engine = finder_for(tmp_path / "runs.db").engine
    assert find_search(engine, "sweep").id == find_search(engine, "1").id == 1
    assert find_search(engine, "latest").status == "completed"
    records = search_trials(engine, 1)
    assert len(records) == sum(map(len, best.rungs))
    with pytest.raises(UnknownRunError, match=r"no search 'other'.*1 \(sweep\)"):
        find_search(engine, "other")
    engine.dispose()


def ato(folder, *arguments, status=0):
    done = CliRunner().invoke(main, [*arguments, "--db", str(folder / "runs.db")])
    assert done.exit_code == status, done.output
    return done.output


def test_the_program_shows_the_trials_of_a_search(tracked, tmp_path):
    """`ato trials` lists searches, `ato trials sweep` its trials, the best first, as JSON too."""

    def train(config):
        if config.depth == 1:
            raise ValueError("diverged")
        return config.lr

    best = tracked().main(train)()
    assert "sweep" in ato(tmp_path, "trials")
    assert json.loads(ato(tmp_path, "trials", "--json"))[0]["name"] == "sweep"
    table = ato(tmp_path, "trials", "sweep")
    assert f"{best.metric:.6g}" in table
    assert "failed: ValueError" in table
    details = json.loads(ato(tmp_path, "trials", "latest", "--json"))
    assert details["status"] == "completed"
    assert details["trials"][0]["metric"] == best.metric
    assert details["trials"][0]["run"] == best.run_id
    assert details["trials"][0]["values"] == {"lr": best.config.lr, "depth": best.config.depth}
    assert details["trials"][-1]["metric"] is None
    assert "no search 'nothing'" in ato(tmp_path, "trials", "nothing", status=2)


def test_two_trials_are_explained(tmp_path):
    """`ato why` between trials names the searched values, and between rungs the budget."""
    import ato as package

    script = """
    from ato import HyperBand, SQLLogger, Scope

    scope = Scope()

    @scope.observe(default=True)
    def defaults(config):
        config.unused = 1
        config.experiment = {"sql": {"db_path": "runs.db"}}

    hyperband = HyperBand(
        scope,
        {
            "lr": {"param_type": "FLOAT", "param_range": (0.1, 1.0)},
            "unused": {"param_type": "INTEGER", "param_range": (1, 1000)},
        },
        max_budget=3,
        tracker=SQLLogger(scope.config),
    )

    @scope.runtime_trace
    def loss(lr, budget):
        return lr / budget

    @hyperband.main
    def train(config, trial):
        return -loss(config.lr, trial.budget)

    train()
    """
    (tmp_path / "train.py").write_text(textwrap.dedent(script))
    subprocess.run([sys.executable, "train.py"], cwd=tmp_path, check=True, timeout=60)
    store = str(tmp_path / "runs.db")
    answer = package.why("train-1/0.0", "train-1/1.0", db=store)
    (cause,) = answer.causes
    assert (cause.change.subject, cause.evidence) == ("lr", "proven")
    assert "search trial 0" in str(answer)
    assert all("train.py" not in test.run for test in answer.tests)
    assert "search trial 1" in str(answer)
    (aside,) = [f for f in answer.also_changed if f.change.subject == "unused"]
    assert aside.evidence == "ruled_out"
    (promoted,) = ask(store, "SELECT trial FROM search_trials WHERE rung = 1")[0]
    answer = package.why(f"train-1/{promoted}.0", f"train-1/{promoted}.1", db=store)
    assert [(f.change.subject, f.evidence) for f in answer.causes] == [("__budget__", "proven")]
