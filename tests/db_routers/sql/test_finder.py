from __future__ import annotations

import json
import math
import os
from types import SimpleNamespace

import numpy as np
import pytest
from stores import config_for, finder_for, logger_for

from ato import events
from ato.adict import ADict
from ato.db_routers.sql.manager import SQLFinder, SQLLogger
from ato.events import CallRecord, CodeRecord, Leaf
from ato.exceptions import (
    NoDatabaseError,
    StoreError,
    UnknownKeyError,
    UnknownMetricError,
    UnknownRunError,
)


def _run(path, *, lr=0.1, loss=(), logic="l1", output="o1", project="digits", **options):
    config = {"lr": lr, "model": {"name": "mlp"}}
    with logger_for(path, project, **config) as logger:
        logger.run(**options)
        run = events.current_run()
        code = SimpleNamespace(
            text="t",
            logic=logic,
            deep="d" + logic,
            bytecode=None,
            units=(),
            edges=(),
            gaps=(),
            distributions=(),
        )
        run.recorder.on_code(CodeRecord("train.step", "runtime", code))
        for index in range(2):
            run.recorder.on_call(
                CallRecord(
                    "call",
                    "train.step",
                    index + 1,
                    0,
                    index,
                    run.next_sequence(),
                    0,
                    output={"out": Leaf(f"{output}{index}", "float")},
                )
            )
        for step, value in enumerate(loss):
            logger.log_metric("loss", value, step)
    logger.engine.dispose()


@pytest.fixture
def finder(path):
    _run(path, loss=[3.0, 1.0, 2.0], tags=["base", "cpu"], name="first")
    _run(path, lr=0.2, loss=[math.nan, 2.0, 0.5], logic="l2", tags=["cpu"])
    _run(path, lr="auto", loss=[math.nan], output="o2")
    _run(path, project="other", loss=[9.0])
    finder = finder_for(path)
    yield finder
    finder.engine.dispose()


@pytest.mark.file
def test_a_finder_takes_a_config_a_path_or_a_url(path, finder):
    """The store is named as the logger names it, or directly."""
    for named in (config_for(path), ADict(config_for(path)), path, f"sqlite:///{path}"):
        other = SQLFinder(named)
        assert other.find_run(1).name == "first"
        other.engine.dispose()


def test_where_there_is_no_database_the_first_question_says_so(tmp_path):
    """Naming a store creates nothing; asking where there is none says where it looked."""
    finder = SQLFinder(tmp_path / "absent.db")
    with pytest.raises(NoDatabaseError, match=r"absent\.db"):
        finder.find_run(1)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_none(finder):
    """A project or run that does not exist is `None`, its runs an empty list."""
    assert finder.find_project("nothing") is None
    assert finder.find_run(99) is None
    assert finder.get_runs_in_project("nothing") == []
    assert finder.find_project("digits").name == "digits"


def test_runs_of_a_project(finder):
    """A project's runs come oldest first and can be chosen by status and tags."""
    assert [run.id for run in finder.get_runs_in_project("digits")] == [1, 2, 3]
    assert [r.id for r in finder.get_runs_in_project("digits", tags=["cpu", "base"])] == [1]
    assert [r.id for r in finder.get_runs_in_project("digits", tags=["cpu"], limit=1)] == [2]
    assert [r.id for r in finder.get_runs_in_project("digits", limit=2)] == [2, 3]
    assert [r.id for r in finder.get_runs_in_project("digits", status="completed", limit=1)] == [3]
    assert finder.get_runs_in_project("digits", status="failed") == []


def test_a_run_is_whole_without_its_session(finder):
    """A run's config is read by attribute, its metrics and fingerprints on first use."""
    run = finder.find_run(1)
    assert isinstance(run.config, ADict)
    assert (run.config.lr, run.config.model.name) == (0.1, "mlp")
    assert [(p.key, p.value, p.step) for p in run.metrics] == [
        ("loss", 3.0, 0),
        ("loss", 1.0, 1),
        ("loss", 2.0, 2),
    ]
    assert run.fingerprints == {"train.step": "l1"}
    assert list(run.runtime_fingerprints) == ["train.step"]
    assert run.artifacts == []
    assert run.metrics is run.metrics


def test_a_run_from_a_query_of_ones_own_is_whole_too(path):
    """A run loaded through the logger's session reads the rest from that session's store."""
    from ato.db_routers.sql.schema import Experiment

    logger = logger_for(path, lr=0.1)
    logger.run()
    run = logger.session.get(Experiment, 1)
    assert run.config.lr == 0.1
    assert run.metrics == []
    logger.finish()
    logger.session.close()
    logger.engine.dispose()


def test_a_config_keeps_its_history(path, tmp_path):
    """Who set a key is kept with the run."""
    (tmp_path / "config.json").write_text(json.dumps(config_for(path, lr=0.1)))
    config = ADict.from_file(tmp_path / "config.json")
    config.lr = 0.2
    with SQLLogger(config) as logger:
        logger.run()
    logger.engine.dispose()
    finder = finder_for(path)
    run = finder.find_run(1)
    assert [write.value_text for write in run.history("lr")] == ["0.1", "0.2"]
    with pytest.raises(UnknownKeyError, match="no key 'lrr'; there is 'lr'"):
        run.history("lrr")
    finder.engine.dispose()


@pytest.mark.parametrize(
    ("mode", "at", "best"),
    [("max", "best", 1), ("min", "best", 2), ("max", "last", 1), ("min", "last", 2)],
)
def test_the_best_run(finder, mode, at, best):
    """A run counts by its best or its last point."""
    assert finder.find_best_run("digits", "loss", mode, at).id == best


def test_nan_never_wins(path):
    """A run with NaN alone is never the best; one with NaN and numbers counts by its numbers."""
    for loss in ([math.nan], [math.nan, -5.0], [-6.0, math.nan]):
        _run(path, loss=loss)
    finder = finder_for(path)
    assert finder.find_best_run("digits", "loss", "max").id == 2
    assert finder.find_best_run("digits", "loss", "min").id == 3
    assert finder.find_best_run("digits", "loss", "min", at="last").id == 2
    finder.engine.dispose()


def test_a_best_run_must_have_its_subject(finder):
    """Without the project or the metric there is a `LookupError` with the nearest names."""
    with pytest.raises(LookupError, match="no project 'digit'; there is 'digits'"):
        finder.find_best_run("digit", "loss")
    with pytest.raises(LookupError, match="metric 'los'; there is 'loss'"):
        finder.find_best_run("digits", "los")
    with pytest.raises(StoreError, match="mode is 'max' or 'min'"):
        finder.find_best_run("digits", "loss", "highest")


def test_similar_runs_have_the_same_structure(finder):
    """Runs are similar by the keys and types of their config; the run itself is left out."""
    assert [run.id for run in finder.find_similar_runs(1)] == [2, 4]
    assert finder.find_similar_runs(3) == []
    with pytest.raises(UnknownRunError):
        finder.find_similar_runs(99)


def test_similar_runs_by_trace(finder):
    """Runs are similar by the logic of a function, or by what its calls gave."""
    assert [r.id for r in finder.find_similar_runs_by_trace(1, "train.step")] == [3, 4]
    assert [r.id for r in finder.find_similar_runs_by_trace(1, "train.step", "runtime")] == [2, 4]
    with pytest.raises(LookupError, match=r"no static trace 'train\.stp'; there is 'train\.step'"):
        finder.find_similar_runs_by_trace(1, "train.stp")


def test_trace_statistics(finder):
    """The versions of a function in a project are counted, with their first and last run."""
    found = finder.get_trace_statistics("digits", "train.step")
    assert {name: value for name, value in found.items() if name != "versions"} == {
        "project_name": "digits",
        "trace_id": "train.step",
        "static_trace_versions": 2,
        "deep_trace_versions": 2,
        "runtime_trace_versions": 2,
    }
    assert found["versions"]["static"] == [
        {"fingerprint": "l1", "first_run": 1, "last_run": 3, "runs": 2},
        {"fingerprint": "l2", "first_run": 2, "last_run": 2, "runs": 1},
    ]
    with pytest.raises(LookupError, match=r"'train\.step'"):
        finder.get_trace_statistics("digits", "train")


def test_metrics_come_as_arrays(finder):
    """A metric's points are three arrays in the order of logging."""
    found = finder.get_metrics(2, "loss")
    assert found.steps.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(found.values, [math.nan, 2.0, 0.5])
    assert (found.steps.dtype, found.values.dtype) == (np.int64, np.float64)
    assert len(found.timestamps) == 3
    with pytest.raises(LookupError, match="run 1 has no metric 'acc'; there is 'loss'"):
        finder.get_metrics(1, "acc")
    with pytest.raises(LookupError, match="no run 99"):
        finder.get_metrics(99, "loss")


def test_runs_are_compared_side_by_side(finder):
    """A comparison has what differs of config and code, and the last value of every metric."""
    found = finder.compare([1, 2])
    assert found == {
        "runs": [1, 2],
        "config": {"lr": [0.1, 0.2]},
        "metrics": {"loss": [2.0, 0.5]},
        "code": {"train.step": ["l1", "l2"]},
    }


def test_a_run_whose_process_is_gone_has_crashed(path):
    """A run that says running without its process is crashed, and is found as such."""
    logger = logger_for(path)
    logger.run()
    finder = finder_for(path)
    assert finder.find_run(1).status == "running"
    child = os.fork()
    if child == 0:
        logger_for(path).run()
        os._exit(0)
    os.waitpid(child, 0)
    assert finder.find_run(2).status == "crashed"
    assert [r.id for r in finder.get_runs_in_project("digits", status="crashed")] == [2]
    assert [r.id for r in finder.get_runs_in_project("digits", status="running")] == [1]
    finder.engine.dispose()
    logger.finish()
    logger.engine.dispose()


@pytest.fixture
def searched(path):
    """Six runs: of learning rates and depths, with a loss and an accuracy that not all have."""
    for number, (lr, depth) in enumerate([(0.1, 18), (0.1, 50), (0.2, 101), ("auto", 50)]):
        config = {"lr": lr, "model": {"depth": depth}, "betas": (0.9, 0.99), "name": f"c{number}"}
        with logger_for(path, **config) as logger:
            logger.run(name=f"run-{number}")
            if number != 1:
                for step, value in enumerate([5.0 - number, 1.0 + number]):
                    logger.log_metric("loss", value, step)
            if number == 2:
                logger.log_metric("val.acc", 0.5, 0)
            if number == 3:
                logger.log_metric("loss", math.nan, 9)
        logger.engine.dispose()
    finder = finder_for(path)
    yield finder
    finder.engine.dispose()


WHERE = [
    ({"lr": 0.1}, [1, 2]),
    ({"lr": "auto"}, [4]),
    ({"model.depth": (">", 50)}, [3]),
    ({"model.depth": (">=", 50), "lr": ("!=", "auto")}, [2, 3]),
    ({"model.depth": ("in", [18, 101])}, [1, 3]),
    ({"lr": ("not in", [0.1, 0.2])}, [4]),
    ({"lr": ("<", 1)}, [1, 2, 3]),  # a text is not less than a number
    ({"betas": (0.9, 0.99)}, [1, 2, 3, 4]),
    ({"betas": ("contains", 0.9)}, [1, 2, 3, 4]),
    ({"metrics.loss": (">", 1.5)}, [3]),  # NaN is not
    ({"metrics.loss.min": ("<=", 2)}, [1, 4]),
    ({"metrics.loss.max": (">", 4)}, [1]),
    ({"metrics.val.acc": 0.5}, [3]),
    ({"name": "run-2"}, [3]),
    ({"config.name": "c3"}, [4]),
    ({"status": "failed"}, []),
    ({"duration": (">=", 0)}, [1, 2, 3, 4]),
]


def test_runs_where_something_holds(searched):
    """Runs are chosen by config keys, metrics and what their rows say; all conditions must hold."""
    for where, ids in WHERE:
        found = [run.id for run in searched.get_runs_in_project("digits", where=where)]
        assert found == ids, where


ORDERS = [
    ("metrics.loss", [1, 3, 2, 4]),
    ("-metrics.loss", [3, 1, 2, 4]),
    ("metrics.loss.min", [1, 4, 3, 2]),
    ("-model.depth", [3, 2, 4, 1]),
    (["model.depth", "-id"], [1, 4, 2, 3]),
    (["-model.depth", "id"], [3, 2, 4, 1]),
    ("lr", [1, 2, 3, 4]),
    ("-start_time", [4, 3, 2, 1]),
    ("-name", [4, 3, 2, 1]),
]


def test_runs_in_an_order(searched):
    """Runs come in the order asked for; what a run lacks, and NaN, is last in either direction."""
    for order_by, ids in ORDERS:
        found = [run.id for run in searched.get_runs_in_project("digits", order_by=order_by)]
        assert found == ids, order_by
        first = searched.get_runs_in_project("digits", order_by=order_by, limit=2)
        assert [run.id for run in first] == ids[:2]


def test_what_no_run_has_is_named_with_the_nearest(searched):
    """A key or metric that no run of the project has is an error; so is what is no condition."""
    with pytest.raises(UnknownKeyError, match=r"key 'model.dept'; there is 'model.depth'"):
        searched.get_runs_in_project("digits", where={"model.dept": 1})
    with pytest.raises(UnknownMetricError, match=r"metric 'los'; there is 'loss'"):
        searched.get_runs_in_project("digits", order_by="metrics.los")
    with pytest.raises(StoreError, match=r"where\['lr'\] is \('~', 1\); a condition is"):
        searched.get_runs_in_project("digits", where={"lr": ("~", 1)})
    assert searched.get_runs_in_project("nothing", where={"lr": 1}, order_by="lr") == []


def test_runs_as_a_table(searched):
    """A project's runs are a table of either library, configs and last values of metrics in it."""
    for library in ("pandas", "polars"):
        _check_table(searched, library)
    with pytest.raises(UnknownRunError, match="no project 'digit'"):
        searched.to_dataframe("digit")
    with pytest.raises(StoreError, match="'pandas' or 'polars', not 'dask'"):
        searched.to_dataframe("digits", library="dask")


def _check_table(searched, library):
    frame = searched.to_dataframe("digits", order_by="-id", library=library)
    assert type(frame).__module__.startswith(library)
    assert list(frame["id"]) == [4, 3, 2, 1]
    assert list(frame["config.model.depth"]) == [50, 101, 50, 18]
    assert [str(lr) for lr in frame["config.lr"]] == ["auto", "0.2", "0.1", "0.1"]
    assert list(frame["metrics.loss"])[1] == 3.0
    assert list(frame["metrics.val.acc"])[1] == 0.5
    assert len(searched.to_dataframe("digits", where={"lr": "auto"})) == 1


@pytest.mark.parametrize(
    "name", ["'; DROP TABLE runs; --", "%s", ":name", "a\0b", "\udcff", '"', "\\"]
)
def test_a_hostile_name_is_a_name(path, name):
    """Whatever a project, a metric, a tag, a key or a run is called, it is found under that name."""
    with logger_for(path, name, **{name: 1, "lr": 0.1}) as logger:
        run_id = logger.run(tags=[name], name=name, notes=name)
        logger.log_metric(name, 0.5, 0)
    logger.engine.dispose()
    finder = finder_for(path)
    assert finder.find_project(name) is not None
    assert finder.find_best_run(name, name).id == run_id
    assert finder.get_metrics(run_id, name).values.tolist() == [0.5]
    assert [run.id for run in finder.get_runs_in_project(name, tags=[name])] == [run_id]
    assert finder.get_runs_in_project(name, where={f"config.{name}": 1})[0].tags == [name]
    with pytest.raises(LookupError):
        finder.get_trace_statistics(name, name)
    with pytest.raises(LookupError):
        finder.find_best_run(name + "x", name)
    assert finder.find_run(10**30) is None
    finder.engine.dispose()
