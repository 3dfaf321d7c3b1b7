"""Listing, comparing and looking into runs: `ato runs`, `diff`, `code`, `doctor`, `db`, `artifacts`."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import chdir, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from stores import logger_for

from ato.cli import main, tables
from explained_pages import HOSTILE, edited_project, hostile_db


def ato(*arguments: str, folder: Path, status: int = 0, **variables: str) -> Result:
    """Run `ato` in a folder, in this process, and check its exit status."""
    with chdir(folder):
        environment = {"ATO_DB": None, "FORCE_COLOR": None, **variables}
        done = CliRunner().invoke(main, arguments, env=environment, prog_name="ato")
    assert done.exit_code == status, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def process(*arguments: str, folder: Path, **variables: str) -> str:
    """What `ato` prints as a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k not in ("ATO_DB", "FORCE_COLOR")}
    done = subprocess.run(
        [sys.executable, "-m", "ato", *arguments],
        cwd=folder,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        encoding=variables.get("PYTHONIOENCODING", "utf-8"),
        check=True,
        timeout=300,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project with two runs, the second with an edited helper."""
    return edited_project(tmp_path_factory.mktemp("edited")).folder


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of four runs in two projects."""
    folder = tmp_path_factory.mktemp("sweep")
    for number, (lr, name) in enumerate([(0.1, "a"), (0.2, "b"), (0.1, "c"), (0.3, "d")]):
        project = "first" if number < 3 else "second"
        logger = logger_for(folder / "experiments.db", project, lr=lr, model={"kind": name})
        logger.run(name=f"run-{name}", tags=["odd"] if number % 2 else None)
        logger.log_metric("loss", [0.5, 0.25, float("nan"), 0.75][number], 0)
        logger.finish()
    return folder


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ((), [1, 2, 3, 4]),
        (("--where", "lr=0.1"), [1, 3]),
        (("--where", "lr!=0.1"), [2, 4]),
        (("--where", "lr>0.1", "--where", "lr<0.3"), [2]),
        (("--where", "model.kind=b"), [2]),
        (("--where", "metrics.loss<0.6"), [1, 2]),
        (("--where", "name=run-c"), [3]),
        (("--sort", "metrics.loss"), [2, 1, 4, 3]),
        (("--sort", "-metrics.loss"), [4, 1, 2, 3]),
        (("--sort", "-lr", "--limit", "2"), [4, 2]),
        (("--limit", "2"), [3, 4]),
        (("--project", "first", "--limit", "1"), [3]),
        (("--tag", "odd"), [2, 4]),
        (("--tag", "odd", "--status", "completed", "--project", "second"), [4]),
    ],
)
def test_runs_are_chosen_and_sorted(
    sweep: Path, arguments: tuple[str, ...], ids: list[int]
) -> None:
    """`ato runs` lists the runs that are asked for, in the order asked for; NaN comes last."""
    rows = json.loads(ato("runs", "--json", *arguments, folder=sweep).stdout)
    assert [row["id"] for row in rows] == ids


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--where", "lr"), "'lr' is no condition; write a key, one of = != < <= > >="),
        (("--where", "lrr=1"), "has a config key 'lrr'"),
        (("--sort", "metrics.los"), "has a metric 'los'"),
    ],
)
def test_wrong_conditions_are_one_message(
    sweep: Path, arguments: tuple[str, ...], message: str
) -> None:
    """A condition that is none, or is about nothing, says what there is; the status is 2."""
    assert message in ato("runs", *arguments, folder=sweep, status=2).stderr


def test_diff_shows_everything_that_differs(edited: Path) -> None:
    """`ato diff` has config with origins, code with its class, metrics and command lines."""
    text = ato("diff", "1", "2", folder=edited, COLUMNS="200").stdout
    for part in (
        "workers  2",
        "view defaults, train.py:12",
        "command line: workers=4 (argument 1)",
        "train.noise  constant  train.py:1",
        "+     return value + random.random() * 0.3",
        "weight",
        "python train.py workers=4",
    ):
        assert part in text
    assert "Cause" not in text
    found = json.loads(ato("diff", "1", "2", "--json", folder=edited).stdout)
    assert [row["subject"] for row in found["config"]] == ["workers"]
    assert (found["config"][0]["a"], found["config"][0]["b"]) == (2, 4)
    assert {row["subject"] for row in found["metrics"]} == {"weight", "square", "final"}
    assert "nothing that was recorded differs" in ato("diff", "1", "1", folder=edited).stdout


def test_code_shows_source_and_what_it_reaches(edited: Path) -> None:
    """`ato code` has both sources of a traced function, its fingerprints, and what it reaches."""
    details = json.loads(ato("code", "1", "train.batch", "--json", folder=edited).stdout)
    assert details["source"].rstrip().endswith("return [noise(step), noise(step)]")
    assert "def batch" in details["normalised"]
    assert [(unit["depth"], unit["subject"]) for unit in details["reaches"]] == [(1, "train.noise")]
    text = ato("code", "1", "batch", folder=edited).stdout
    assert details["logic"] in text
    assert "train.noise  function  train.py:" in text
    error = ato("code", "1", "train.bach", folder=edited, status=2).stderr
    assert "run 1 has no trace 'train.bach'; there is 'train.batch'" in error


def test_why_alone_names_the_run_that_it_compares_with(edited: Path) -> None:
    """`ato why A` compares with the nearest earlier run, and says which that is."""
    text = ato("why", "2", folder=edited).stdout
    assert text.startswith("The nearest earlier run is 1 (before).\n")
    assert "Cause (proven)   code: train.noise" in text
    assert json.loads(ato("why", "2", "--format", "json", folder=edited).stdout)["run_a"]["id"] == 1


def test_why_writes_a_page(edited: Path) -> None:
    """`--format html --output` writes a page, and prints nothing."""
    done = ato("why", "1", "2", "--format", "html", "--output", "why.html", folder=edited)
    assert done.stdout == ""
    page = (edited / "why.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")


def test_doctor_looks_at_everything(edited: Path, tmp_path: Path) -> None:
    """`ato doctor` lists program, store, journals and libraries; with no store yet that is a note."""
    found = {c["name"]: c for c in json.loads(ato("doctor", "--json", folder=edited).stdout)}
    assert found["store"]["found"] == f"{edited / 'experiments.db'} (the default)"
    assert "2 runs in 1 projects" in found["schema"]["found"]
    assert {"rust core", "sqlite", "journals", "cache", "sqlalchemy", "torch"} <= found.keys()
    assert all(check["state"] == "well" for check in found.values())
    found = {c["name"]: c for c in json.loads(ato("doctor", "--json", folder=tmp_path).stdout)}
    assert found["store"]["state"] == "note"
    assert list(tmp_path.iterdir()) == []


def test_doctor_says_what_is_wrong(tmp_path: Path) -> None:
    """A damaged store and a cache that cannot be written are named with what to do; status 1."""
    (tmp_path / "experiments.db").write_text("no database, but long enough to have been one " * 9)
    (tmp_path / "cache").write_text("a file where a folder should be")
    variables = {"ATO_CACHE_DIR": str(tmp_path / "cache")}
    text = ato("doctor", folder=tmp_path, status=1, **variables).stdout
    assert "is not a database" in text
    assert "cannot be written" in text
    assert "ATO_CACHE_DIR" in text
    assert "2 wrong" in text


def test_completion_knows_runs_and_projects(sweep: Path) -> None:
    """A shell is offered commands, runs by id and name, and projects; without a store nothing."""

    def offered(words: str, folder: Path = sweep) -> list[str]:
        position = str(len(words.split(" ")) - 1)
        text = process(
            folder=folder, _ATO_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=position
        )
        return [line.partition(",")[2] for line in text.splitlines() if line]

    assert offered("ato sh") == ["show"]
    assert offered("ato show run-") == ["run-d", "run-c", "run-b", "run-a"]
    assert offered("ato why 1 l") == ["latest"]
    assert offered("ato runs --project s") == ["second"]
    assert offered("ato show ", sweep.parent) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str, tmp_path: Path) -> None:
    """`ato completion SHELL` prints the script and how to keep it."""
    text = ato("completion", shell, folder=tmp_path).stdout
    assert text.startswith("# For every new shell:")
    assert "_ATO_COMPLETE" in text


def test_a_reader_that_leaves_is_no_error(sweep: Path) -> None:
    """`ato runs | head -1` ends quietly."""
    done = subprocess.run(
        f"'{sys.executable}' -m ato show 1 --json | head -c 1; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        cwd=sweep,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "{0\n"
    assert done.stderr == ""


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_an_output_without_unicode_gets_other_signs(edited: Path, encoding: str) -> None:
    """Arrows and minus signs are spelt in ASCII where the output has none; JSON stays JSON."""
    variables = {"PYTHONIOENCODING": encoding}
    assert " -> " in process("why", "1", "2", folder=edited, **variables).splitlines()[0]
    answer = process("why", "1", "2", "--format", "json", folder=edited, **variables)
    assert json.loads(answer)["schema"] == 1


def test_hostile_names_are_printed_as_text(tmp_path: Path) -> None:
    """Control characters in names, keys and values are escaped by every command."""
    db = str(hostile_db(tmp_path))
    for command in (
        ("runs",),
        ("show", "1"),
        ("diff", "1", "2"),
        ("why", "1", "2"),
        ("history", "1", "k"),
    ):
        text = ato(*command, "--db", db, folder=tmp_path, COLUMNS="4000").stdout
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert HOSTILE in ato("show", "1", "--db", db, folder=tmp_path, COLUMNS="4000").stdout
    rows = json.loads(ato("runs", "--json", "--db", db, folder=tmp_path).stdout)
    assert rows[0]["name"] == f"{HOSTILE}1"
    assert [key for key in rows[0]["metrics"] if key != HOSTILE] == [
        "a\x1b[31mb\\0c\u202ed\\udcffe"
    ]


def test_a_store_is_checked_and_exported(edited: Path, tmp_path: Path) -> None:
    """`ato db check` finds a store whole; `ato db export` writes its runs and points."""
    assert "is whole" in ato("db", "check", folder=edited).stdout
    assert "has schema" in ato("db", "upgrade", folder=edited).stdout
    ato("db", "export", str(tmp_path / "csv"), folder=edited)
    lines = (tmp_path / "csv" / "metrics.csv").read_text().splitlines()
    assert lines[0] == "run,key,step,value,timestamp"
    assert len(lines) == 1 + 2 * 17
    ato("db", "export", str(tmp_path / "jsonl"), "--format", "jsonl", folder=edited)
    runs = (tmp_path / "jsonl" / "runs.jsonl").read_text().splitlines()
    assert [json.loads(run)["config.workers"] for run in runs] == [2, 4]


def test_a_damaged_summary_is_found(tmp_path: Path) -> None:
    """`ato db check` names a metric whose summary counts other points than there are; status 1."""
    logger = logger_for(tmp_path / "experiments.db")
    logger.run()
    logger.log_metric("loss", 1, 0)
    logger.finish()
    with closing(sqlite3.connect(tmp_path / "experiments.db")) as connection:
        connection.execute("UPDATE metric_summaries SET count = 7")
        connection.commit()
    text = ato("db", "check", folder=tmp_path, status=1).stdout
    assert "run 1: metric 'loss' has 1 points, its summary counts 7" in text


def test_artifacts_are_verified(tmp_path: Path) -> None:
    """`ato artifacts verify` hashes each file again: same, changed or missing; status 1 if not same."""
    files = [tmp_path / name for name in ("same.bin", "changed.bin", "missing.bin")]
    logger = logger_for(tmp_path / "experiments.db")
    run = logger.run()
    for file in files:
        file.write_text(file.name)
        logger.log_artifact(run, file)
    logger.finish()
    assert ato("artifacts", "verify", "1", folder=tmp_path).stdout.count("same") >= 3
    files[1].write_text("other")
    files[2].unlink()
    done = ato("artifacts", "verify", "1", "--json", folder=tmp_path, status=1)
    assert [item["state"] for item in json.loads(done.stdout)] == ["same", "changed", "missing"]


def test_a_run_on_another_machine_is_shown_with_when_it_was_last_seen(tmp_path: Path) -> None:
    """Of a run that says `running` elsewhere, `runs` and `show` say when it was heard of last."""
    logger = logger_for(tmp_path / "experiments.db")
    logger.run(name="far")
    logger.log_metric("loss", 0.5, 0)
    with closing(sqlite3.connect(tmp_path / "experiments.db")) as connection:
        connection.execute("UPDATE experiments SET host = 'gpu7'")
        connection.commit()
    assert "running, last seen " in ato("runs", folder=tmp_path).stdout
    shown = ato("show", "1", folder=tmp_path).stdout
    assert re.search(r"last seen \d{4}-\d\d-\d\d .* \(\d+ s ago\) on gpu7", shown)
    (row,) = json.loads(ato("runs", "--json", folder=tmp_path).stdout)
    details = json.loads(ato("show", "1", "--json", folder=tmp_path).stdout)
    assert row["host"] == details["host"] == "gpu7"
    assert row["last_seen"] == details["last_seen"] is not None
    logger.finish()
    logger.engine.dispose()
    assert "last seen" not in ato("runs", folder=tmp_path).stdout


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (59, "59 s"), (125, "2 min"), (10800, "3 h"), (172800, "2 d")],
)
def test_times_that_are_past_are_told_in_one_unit(seconds: int, text: str) -> None:
    """How long ago something was is a number and the largest unit that fits."""
    assert tables._ago(datetime.now(UTC) - timedelta(seconds=seconds)) == f"{text} ago"


def test_show_lists_the_files_that_a_run_made(tmp_path: Path) -> None:
    """`ato show` names each artifact with its kind, size and digest; a reference has neither."""
    (tmp_path / "weights.txt").write_text("0.5")
    with logger_for(tmp_path / "experiments.db") as logger:
        run_id = logger.run()
        logger.log_artifact(run_id, tmp_path / "weights.txt")
        with pytest.warns(RuntimeWarning, match="reference"):
            logger.log_artifact(run_id, "s3://bucket/model.pt")
    logger.engine.dispose()
    shown = ato("show", "1", folder=tmp_path, COLUMNS="200").stdout
    assert re.search(r"made .*weights\.txt \(file, 3 bytes\)  BLAKE3 [0-9a-f]{16}", shown)
    assert "made s3://bucket/model.pt (reference)" in shown
    made = json.loads(ato("show", "1", "--json", folder=tmp_path).stdout)["artifacts"]
    assert [artifact["kind"] for artifact in made] == ["file", "reference"]
