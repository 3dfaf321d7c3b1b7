"""The program `ato`: its answers, its errors, its exit status."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ato import SQLLogger, why
from ato.exceptions import UnknownMetricError


def ato(
    *arguments: str, folder: Path, status: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `ato` in a folder and check its exit status."""
    environment = {key: value for key, value in os.environ.items() if key != "ATO_DB"}
    done = subprocess.run(
        [sys.executable, "-m", "ato", *arguments],
        cwd=folder,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder with a store of two runs that differ in one config value."""
    for lr in (0.1, 0.2):
        config = {
            "lr": lr,
            "experiment": {"sql": {"db_path": str(tmp_path / "experiments.db")}},
        }
        with SQLLogger(config) as logger:
            logger.run(name=f"lr-{lr}")
            logger.log_metric("loss", 1 - lr, 0)
    return tmp_path


def test_why_answers_in_text(store: Path) -> None:
    """`ato why 1 2` prints the metric, the cause and what was not watched, without colour codes."""
    text = ato("why", "1", "2", folder=store).stdout
    assert text.startswith("loss  0.9000 → 0.8000  (−0.1000)        run 1 → run 2\n")
    assert "Cause (possible)   config: lr" in text
    assert "0.1 → 0.2" in text
    assert "Not watched" in text
    assert "\x1b" not in text


def test_why_answers_in_json(store: Path) -> None:
    """The JSON answer has schema 1 and the fields that programs rely on."""
    answer = json.loads(ato("why", "1", "2", "--format", "json", folder=store).stdout)
    assert answer["schema"] == 1
    assert answer["verdict"] == "ambiguous"
    assert answer["result"] == {
        "metric": "loss",
        "a": 0.9,
        "b": 0.8,
        "delta": pytest.approx(-0.1),
    }
    (cause,) = answer["causes"]
    assert cause["rank"] == 1
    assert cause["factor"] == "config"
    assert cause["subject"] == "lr"
    assert cause["evidence"] == "possible"
    assert set(cause["change"]) == {"a", "b", "diff", "origin_a", "origin_b"}
    assert set(answer) >= {
        "run_a",
        "run_b",
        "also_changed",
        "same",
        "first_divergence",
        "tests",
        "unwatched",
    }


def test_runs_are_named_by_id_latest_and_name(store: Path) -> None:
    """Ids, `latest`, `latest~1` and unique names mean the same runs."""
    answers = {
        ato("why", a, b, folder=store).stdout
        for a, b in [("1", "2"), ("latest~1", "latest"), ("lr-0.1", "lr-0.2")]
    }
    assert len(answers) == 1


def test_the_answer_can_be_written_to_a_file(store: Path) -> None:
    """`--output` writes what would have been printed."""
    printed = ato("why", "1", "2", folder=store).stdout
    done = ato("why", "1", "2", "--output", "answer.txt", folder=store)
    assert done.stdout == ""
    assert (store / "answer.txt").read_text(encoding="utf-8") == printed


def test_a_file_that_cannot_be_written_is_one_message(store: Path) -> None:
    """Where `--output` cannot be written the message names the path, and the status is 2."""
    path = store / "nowhere" / "answer.txt"
    error = ato("why", "1", "2", "--output", str(path), folder=store, status=2).stderr
    assert error == f"ato: {path}: No such file or directory\n"


def test_the_demo_wants_a_folder(tmp_path: Path) -> None:
    """`ato demo --folder` with the path of a file is a usage error."""
    file = tmp_path / "file"
    file.touch()
    assert "is a file" in ato("demo", "--folder", str(file), folder=tmp_path, status=2).stderr


def test_the_store_is_named_by_option_or_variable(store: Path, tmp_path_factory) -> None:
    """`--db` and `ATO_DB` name the store from any folder."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    path = str(store / "experiments.db")
    by_option = ato("why", "1", "2", "--db", path, folder=elsewhere).stdout
    by_variable = ato("why", "1", "2", folder=elsewhere, ATO_DB=path).stdout
    assert by_option == by_variable == ato("why", "1", "2", folder=store).stdout


def test_runs_lists_what_is_there(store: Path) -> None:
    """`ato runs` prints a line for each run, `--json` the same as data."""
    text = ato("runs", folder=store).stdout
    assert "lr-0.1" in text
    assert "completed" in text
    rows = json.loads(ato("runs", "--json", folder=store).stdout)
    assert [row["id"] for row in rows] == [1, 2]
    assert rows[1]["metrics"] == {"loss": 0.8}
    assert [
        r["id"] for r in json.loads(ato("runs", "--json", "--limit", "1", folder=store).stdout)
    ] == [2]


def test_names_are_printed_as_they_are(tmp_path: Path) -> None:
    """Square brackets and colons in names, metrics and errors are text, and not markup."""
    names = ["[/x]", "[red]x", ":smile:"]
    for name in names:
        config = {
            name: 1,
            "experiment": {
                "project_name": name,
                "sql": {"db_path": str(tmp_path / "experiments.db")},
            },
        }
        with SQLLogger(config) as logger:
            logger.run(name=name)
            logger.log_metric(f"{name}loss", 1, 0)
    wide = {"COLUMNS": "200"}
    text = ato("runs", folder=tmp_path, **wide).stdout
    for number, name in enumerate(names, 1):
        row = text.splitlines()[number].split()
        assert row[:3] == [str(number), name, name]
        assert f"{name}loss" in row
        shown = ato("show", str(number), folder=tmp_path, **wide).stdout
        assert shown.startswith(f"run {number} ({name})  project {name}, completed\n")
        assert f"{name}loss " in shown


def test_runs_shows_the_value_logged_last(tmp_path: Path) -> None:
    """Each run shows its own metrics, with the value logged last, whatever its step; NaN is `nan`."""
    config = {"experiment": {"sql": {"db_path": str(tmp_path / "experiments.db")}}}
    with SQLLogger(config) as logger:
        logger.run()
        for value, step in [(0.5, 7), (0.25, 3)]:
            logger.log_metric("loss", value, step)
        logger.run()
        logger.log_metrics({"loss": float("nan"), "size": float("inf")}, 0)
        logger.run()
    rows = json.loads(ato("runs", "--json", folder=tmp_path).stdout)
    assert [row["metrics"] for row in rows] == [{"loss": 0.25}, {"loss": "nan", "size": "inf"}, {}]
    assert "loss nan  size inf" in ato("runs", folder=tmp_path, COLUMNS="200").stdout


def test_runs_are_filtered_by_status(store: Path) -> None:
    """`--status` lists the runs that have it; one that does not exist is a usage error."""
    completed = json.loads(ato("runs", "--json", "--status", "completed", folder=store).stdout)
    assert [row["id"] for row in completed] == [1, 2]
    assert json.loads(ato("runs", "--json", "--status", "crashed", folder=store).stdout) == []
    error = ato("runs", "--status", "foo", folder=store, status=2).stderr
    assert "'interrupted'" in error


def test_show_prints_one_run(store: Path) -> None:
    """`ato show` prints config, metrics and code of a run, `--json` the same as data."""
    text = ato("show", "lr-0.2", folder=store).stdout
    assert "run 2 (lr-0.2)" in text
    assert "0.2" in text
    details = json.loads(ato("show", "2", "--json", folder=store).stdout)
    assert details["config"]["lr"]["value"] == 0.2
    assert details["metrics"] == {"loss": [[0, 0.8]]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("why", "1", "9"), "there is no run 9; the nearest ids: 1, 2"),
        (("why", "1", "lr-0.3"), "there is no run 'lr-0.3'; the nearest names: 'lr-0.2', 'lr-0.1'"),
        (("why", "1", "2", "--metric", "acc"), "no metric 'acc' in both runs; both have: loss"),
        (("show", "9"), "there is no run 9"),
        (("runs", "--project", "x"), "there is no project 'x'; there is: default"),
    ],
)
def test_what_is_not_there_is_one_message_and_status_2(
    store: Path, arguments: tuple[str, ...], message: str
) -> None:
    """An unknown run, metric or project is said in one line that names what there is."""
    error = ato(*arguments, folder=store, status=2).stderr
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", [("why", "1", "2"), ("runs",), ("show", "1")])
def test_without_a_store_the_message_says_where_it_looked(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Where there is no database the message names the path and what to do, and creates nothing."""
    error = ato(*command, folder=tmp_path, status=2).stderr
    assert str(tmp_path / "experiments.db") in error
    assert "record a run first" in error
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_said_so(tmp_path: Path) -> None:
    """A text file under the store's name is refused in one message."""
    (tmp_path / "experiments.db").write_text("not a database, only some text that is long enough")
    error = ato("why", "1", "2", folder=tmp_path, status=2).stderr
    assert "is not a database" in error


def test_runs_of_different_schemes_are_incomparable(store: Path) -> None:
    """Code fingerprints of another scheme say nothing: exit status 1 and the reason."""
    script = (
        "from ato import SQLLogger\nl = SQLLogger({'lr': 1})\nl.run()\nl.log_metric('m', 1, 0)\n"
    )
    (store / "train.py").write_text(script)
    for _ in range(2):
        subprocess.run([sys.executable, "train.py"], cwd=store, check=True)
    with sqlite3.connect(store / "experiments.db") as connection:
        changed = connection.execute(
            "UPDATE fingerprints SET scheme = 'ato code-logic v0' WHERE run_id = 3"
        )
        assert changed.rowcount > 0
    connection.close()
    text = ato("why", "3", "4", folder=store, status=1).stdout
    assert "can't be compared" in text
    assert "ato code-logic v0" in text


def test_runs_of_different_scripts_are_incomparable(store: Path) -> None:
    """Two runs without a traced function or an entry script in common are not compared."""
    for name in ("one.py", "other.py"):
        (store / name).write_text("from ato import SQLLogger\nSQLLogger({'lr': 1}).run()\n")
        subprocess.run([sys.executable, name], cwd=store, check=True)
    text = ato("why", "3", "4", folder=store, status=1).stdout
    assert "no traced function and no entry script in common" in text


def test_wrong_arguments_have_status_2(tmp_path: Path) -> None:
    """An unknown command or option is a usage error."""
    assert "No such command" in ato("wy", "1", folder=tmp_path, status=2).stderr
    assert "Usage" in ato("why", folder=tmp_path, status=2).stderr


def test_the_demo_trains_twice_and_names_its_own_edit(tmp_path: Path) -> None:
    """`ato demo` ends with a proven cause, which is the edit that it announced."""
    text = ato("demo", "--folder", str(tmp_path / "digits"), folder=tmp_path).stdout
    assert "+ return images + noise * 1.0" in text
    assert "Cause (proven)   code: data.augment" in text
    assert str(tmp_path / "digits") in text
    assert (tmp_path / "digits" / "experiments.db").exists()
    error = ato("demo", "--folder", str(tmp_path / "digits"), folder=tmp_path, status=1).stderr
    assert "is not empty" in error


def test_an_unknown_metric_is_a_lookup_error(store: Path) -> None:
    """`ato.why` raises an error that is Ato's and a LookupError."""
    with pytest.raises(UnknownMetricError, match="both have: loss") as caught:
        why(1, 2, db=str(store / "experiments.db"), metric="acc")
    assert isinstance(caught.value, LookupError)
