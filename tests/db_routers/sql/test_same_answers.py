"""SQLite and PostgreSQL give the same answers: the same operations on both, and every query compared.

Collected where a server is installed.
"""

from __future__ import annotations

import math
from itertools import product
from types import SimpleNamespace

import servers
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import finder_for, logger_for

from ato import events
from ato.db_routers.sql.engine import open_store
from ato.events import CallRecord, CodeRecord, Leaf
from ato.exceptions import AtoError

PROJECTS = ("digits", "Zebra", "älter")
KEYS = ("loss", "acc", "val/Loss", "ünusual", "a\0b")
NUMBERS = (0.0, -0.0, 1.5, -2.25, math.nan, math.inf, -math.inf, 1e308, 5e-324, 2.0**53, 3)
WHERE = (
    {},
    {"lr": 0.1},
    {"lr": (">", 0.05)},
    {"model.name": ("in", ["mlp", "Ümlaut"])},
    {"metrics.loss": ("<", 1.0)},
    {"metrics.loss.min": (">=", -3.0)},
    {"status": "failed"},
    {"absent": 1},
)
ORDERS = (None, "lr", "-lr", "metrics.loss", "-metrics.loss", "metrics.acc.max", "-name", "name")
# Every condition with one order, and every order without a condition.
CHOICES = [*((where, "-lr") for where in WHERE), *(({}, order) for order in ORDERS)]


def plain(value):
    """An answer as data that can be compared: NaN is equal to NaN, and 0.0 is not -0.0."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return repr(value.tolist()), str(value.dtype)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return repr(value)


def of_run(run):
    """All that a finder's run says, but for what differs from one recording to the next."""
    return plain(
        {
            "columns": [run.id, run.name, run.status, run.tags, run.notes, run.attempt, run.seeds],
            "hashes": [run.structural_hash, run.value_hash],
            "config": run.config.to_dict(),
            "metrics": [(p.key, p.value, p.step, p.sequence) for p in run.metrics],
            "code": [run.fingerprints, run.runtime_fingerprints],
            "artifacts": [(a.path, a.kind, a.size, a.digest, a.details) for a in run.artifacts],
            "history": {key: len(run.history(key)) for key in run.config},
            "ended": run.end_time is not None,
        }
    )


def answer(ask):
    """What a query gives, or how it fails."""
    try:
        return ask()
    except AtoError as error:
        return type(error).__name__, str(error)


def ids(runs):
    return [run.id for run in runs]


def answers(finder, runs):
    """Every query of a finder, with all arguments that matter."""
    asked = {}
    for project in (*PROJECTS, "absent"):
        asked["project", project] = answer(
            lambda: getattr(finder.find_project(project), "name", None)
        )
        for status, tags, limit in product(
            (None, "completed", "failed", "running", "crashed"),
            (None, ["a"], ["a", "é"]),
            (None, 2),
        ):
            asked["runs", project, status, str(tags), limit] = answer(
                lambda: ids(finder.get_runs_in_project(project, status, tags, limit=limit))
            )
        for where, order in CHOICES:
            asked["runs", project, str(where), order] = answer(
                lambda: ids(finder.get_runs_in_project(project, where=where, order_by=order))
            )
        for key, mode, at in product((*KEYS, "absent"), ("max", "min"), ("best", "last")):
            asked["best", project, key, mode, at] = answer(
                lambda: finder.find_best_run(project, key, mode, at).id
            )
        asked["statistics", project] = answer(
            lambda: finder.get_trace_statistics(project, "train.step")
        )
        asked["table", project] = answer(
            lambda: plain(
                finder.to_dataframe(project, library="pandas")
                .drop(columns=["start_time", "end_time"])
                .to_dict("list")
            )
        )
    asked["projects"] = finder.find_projects()
    for run in (*range(runs + 2), 2**40):
        asked["run", run] = answer(
            lambda: of_run(found) if (found := finder.find_run(run)) else None
        )
        asked["similar", run] = answer(lambda: ids(finder.find_similar_runs(run)))
        for kind in ("static", "runtime"):
            asked["similar", run, kind] = answer(
                lambda: ids(finder.find_similar_runs_by_trace(run, "train.step", kind))
            )
        for key in (*KEYS, "absent"):
            asked["metric", run, key] = answer(
                lambda: [plain(column) for column in finder.get_metrics(run, key)[:2]]
            )
        asked["compare", run] = answer(lambda: plain(finder.compare([1, run])))
    return asked


def record(logger, folder, plan):
    """One run as a plan says: config, words, values, code and how it ends."""
    with_project = logger.for_config({"lr": plan["lr"], "model": {"name": plan["model"]}})
    with_project._project = plan["project"]
    run_id = with_project.run(name=plan["name"], tags=plan["tags"], notes=plan["name"])
    run = events.current_run()
    code = SimpleNamespace(
        text="t",
        logic=plan["logic"],
        deep=f"d{plan['logic']}",
        bytecode=None,
        units=(),
        edges=(),
        gaps=(),
        distributions=(),
    )
    run.recorder.on_code(CodeRecord("train.step", "runtime", code))
    leaf = {"out": Leaf(plan["logic"], "float", summary={"min": math.nan})}
    call = CallRecord("call", "train.step", 1, 0, 0, run.next_sequence(), 0, output=leaf)
    run.recorder.on_call(call)
    for step, (key, value) in enumerate(plan["points"]):
        with_project.log_metric(key, value, step - 2)
    (folder / "weights.bin").write_bytes(b"abc")
    with_project.log_artifact(run_id, folder / "weights.bin", metadata={"lr": plan["lr"]})
    if plan["status"] != "running":
        with_project.finish(plan["status"])
    return with_project


points = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(NUMBERS)), max_size=8)
plans = st.lists(
    st.fixed_dictionaries(
        {
            "project": st.sampled_from(PROJECTS),
            "name": st.sampled_from([None, "base", "Über", "base "]),
            "tags": st.sampled_from([[], ["a"], ["é", "a"]]),
            "lr": st.sampled_from([0.1, 1e-3, 1, "high", None, math.nan]),
            "model": st.sampled_from(["mlp", "Ümlaut", "a\0b"]),
            "logic": st.sampled_from(["one", "two"]),
            "status": st.sampled_from(["completed", "failed", "interrupted", "running"]),
            "points": points,
        }
    ),
    min_size=1,
    max_size=6,
)

if "postgresql" in servers.databases():

    @settings(max_examples=4, deadline=None)
    @given(plans=plans)
    def test_both_databases_give_the_same_answers(tmp_path_factory, plans):
        """Whatever is recorded, no query tells SQLite and PostgreSQL apart; NaN has one place in both."""
        folder = tmp_path_factory.mktemp("same")
        found = []
        for place in (folder / "runs.db", servers.server().new_store()):
            open_store(place, must_exist=False).dispose()
            logger = logger_for(place)
            open_ones = [record(logger, folder, plan) for plan in plans]
            finder = finder_for(place)
            found.append(answers(finder, len(plans)))
            for each in open_ones:
                each.finish()
            finder.engine.dispose()
            logger.engine.dispose()
        own, other = found
        assert own.keys() == other.keys()
        assert {key: (own[key], other[key]) for key in own if own[key] != other[key]} == {}
