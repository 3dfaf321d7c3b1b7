"""Data files that the project opens."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stores import ask

import ato
from ato import events, fingerprint_file
from ato.db_routers.sql.manager import SQLLogger
from ato.events import FileRecord
from ato.trace import files, runtime_trace, scope_call
from ato.trace.static import register_scope
from projects import TrainingProject, aside, script_project
from recorders import ListRecorder, recording


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test stands in a folder of its own, with a file that is older than any run."""
    monkeypatch.chdir(tmp_path)
    # Pytest's own folder is no project; the folder of these tests is.
    roots = (str(Path(__file__).parent), str(tmp_path))
    monkeypatch.setattr(files, "_roots", lambda: roots)
    (tmp_path / "data.csv").write_text("a,b\n1,2\n3,4\n")
    return tmp_path


def digested(recorder: ListRecorder) -> dict[str, FileRecord]:
    """What the recorder knows in the end, by path."""
    return {file.path: file for file in recorder.files if file.digest is not None}


def gaps(recorder: ListRecorder) -> list[str]:
    """What the run's own record says of files."""
    return [gap for gap in recorder.of("run")[-1].gaps if gap.startswith("files")]


def test_a_file_comes_when_it_is_opened_and_with_its_digest_when_the_run_ends() -> None:
    """Path as given, size and mtime at once; BLAKE3 with the end of the run."""
    with recording() as recorder:
        open("data.csv").close()
        (early,) = recorder.files
    status = os.stat("data.csv")
    assert early == FileRecord("data.csv", status.st_size, status.st_mtime_ns, None, 0, 0)
    assert recorder.files[1:] == [early._replace(digest=fingerprint_file("data.csv").hex)]
    assert gaps(recorder) == []


def test_the_place_of_a_file_is_the_call_that_read_it() -> None:
    """A file that two calls read stands in both, each with the number of the next call."""
    read = runtime_trace(lambda path: Path(path).read_text(), trace_id="read", every=1)
    with recording() as recorder:
        read("data.csv")
        read("data.csv")
    places = [(f.ident, f.position) for f in recorder.files if f.digest is not None]
    assert places == [(call.ident, call.started) for call in recorder.of("read")]


def test_what_a_scope_function_read_before_the_run_opened_counts() -> None:
    """The run that opens inside takes it over, as read at its beginning."""

    def train() -> None: ...

    recorder = ListRecorder()
    with scope_call(register_scope(train)):
        open("data.csv").close()
        run = events.open_run(recorder)
        events.close_run(run)
    (scope,) = [call for call in recorder.calls if call.kind == "scope"]
    assert digested(recorder)["data.csv"][4:] == (scope.ident, 0)


def test_files_are_nobodys_while_nothing_is_open() -> None:
    """What others than the entry script opened before any run or `@scope` function is not in the next."""
    open("data.csv").close()
    with recording() as recorder:
        pass
    assert recorder.files == []


@pytest.mark.parametrize(
    "read",
    [
        pd.read_csv,
        np.genfromtxt,
        lambda path: io.FileIO(path).close(),
        lambda path: os.close(os.open(path, os.O_RDONLY)),
        lambda path: np.memmap(path, mode="r", dtype="u1"),
        lambda path: open(os.fsencode(path)).close(),
        lambda path: open(path, "r+").close(),
    ],
)
def test_what_a_library_opens_for_the_project_counts(read) -> None:
    """The nearest frame outside of libraries decides, however the file is opened."""
    with recording() as recorder:
        read("data.csv")
    assert digested(recorder)["data.csv"].digest == fingerprint_file("data.csv").hex


def test_what_a_traced_library_function_opens_counts() -> None:
    """Ato's own frame around a traced function hides nobody's caller."""
    with recording() as recorder:
        runtime_trace(np.genfromtxt, trace_id="load", every=1)("data.csv")
    assert "data.csv" in digested(recorder)


def test_what_a_library_reads_while_it_is_imported_is_no_data(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code, the system's, the interpreter's and installed files are left out as well."""
    package = folder / "site-packages"
    package.mkdir()
    (package / "vendored.py").write_text("with open('data.csv') as f: f.read()")
    (package / "table.txt").write_text("1")
    (folder / "mine.py").write_text("x = 1")
    monkeypatch.syspath_prepend(package)
    with recording() as recorder:
        import vendored

        open(vendored.__file__).close()
        for path in (
            package / "table.txt",
            "mine.py",
            "/etc/hosts",
            "/proc/self/stat",
            os.__file__,
        ):
            open(path, "rb").close()
    assert recorder.files == []


def test_a_project_below_a_folder_of_the_system_has_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """`/usr/src/app` is the place of many projects in containers."""
    monkeypatch.setattr(files, "_roots", lambda: ("/usr/src/app",))
    assert not files._is_folder_left_out("/usr/src/app/data")
    assert files._is_folder_left_out("/usr/share/dict")


def test_a_file_that_the_run_wrote_is_no_input() -> None:
    """A checkpoint that is read again is said to be the run's own, also under its last name."""
    with recording() as recorder:
        Path("a.txt").write_text("1")
        Path("part").write_text("1")
        os.replace("part", "b.txt")
        for name in ("a.txt", "b.txt", "a.txt"):
            Path(name).read_text()
    assert recorder.files == []
    assert gaps(recorder) == [
        "files: a.txt, b.txt: written while the run was open, and no input of it"
    ]


def test_a_file_that_changed_in_between_is_marked(folder: Path) -> None:
    """What was read is gone when digests are taken; no other content's is taken for it."""
    with recording() as recorder:
        open("data.csv").close()
        Path("data.csv").write_text("another")
    assert digested(recorder) == {}
    assert gaps(recorder) == [
        "files: data.csv: changed after the run read it, before it was digested"
    ]


def test_a_file_of_two_names_is_one() -> None:
    """It goes under the name that came first."""
    os.symlink("data.csv", "link.csv")
    with recording() as recorder:
        for name in ("data.csv", os.path.abspath("data.csv"), "./data.csv", "link.csv"):
            open(name).close()
    assert [file.path for file in recorder.files] == ["data.csv"] * 2


def test_a_relative_path_is_another_file_in_another_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current folder may change while a run is open."""
    (folder / "other").mkdir()
    (folder / "other" / "data.csv").write_text("5")
    with recording() as recorder:
        open("data.csv").close()
        monkeypatch.chdir("other")
        open("data.csv").close()
    assert [file.size for file in recorder.files if file.digest] == [12, 1]


def test_a_folder_of_many_files_is_one_listing(folder: Path) -> None:
    """Beyond 1,000 files names, sizes and mtimes are compared, and the run says so."""

    def listing() -> FileRecord:
        with recording() as recorder:
            for path in paths:
                open(path).close()
                open(path).close()
        assert len(recorder.files) == files.FOLDER_LIMIT + 1
        (said,) = gaps(recorder)
        assert said.startswith(
            "files: the 1,001 files of many/ are compared by name, size and mtime;"
        )
        return digested(recorder)["many/"]

    (folder / "many").mkdir()
    paths = [Path("many", f"{number}.txt") for number in range(files.FOLDER_LIMIT + 1)]
    for path in paths:
        path.write_text("1")
    first, again = listing(), listing()
    assert first == again
    assert first.size == 1001
    paths[7].write_text("22")
    assert listing().digest != first.digest


def test_digests_of_large_files_are_cached(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file that is as it was is not read again; one that was written anew is."""
    monkeypatch.setenv("ATO_CACHE_DIR", str(folder / "cache"))
    large = folder / "large.bin"
    large.write_bytes(bytes(files.CACHED_FROM))
    os.utime(large, ns=(1, 1))
    taken = []
    monkeypatch.setattr(
        files, "fingerprint_file", lambda path: taken.append(path) or fingerprint_file(path)
    )

    def digest() -> str | None:
        with recording() as recorder:
            open(large, "rb").close()
        return digested(recorder)[str(large)].digest

    assert digest() == digest() == fingerprint_file(large).hex
    assert len(taken) == 1
    large.write_bytes(bytes(files.CACHED_FROM - 1) + b"1")
    os.utime(large, ns=(1, 1))
    assert digest() == fingerprint_file(large).hex
    assert len(taken) == 2


def test_threads_read_files_of_the_run() -> None:
    """A new thread inherits the process's run."""
    with recording() as recorder:
        thread = threading.Thread(target=lambda: open("data.csv").close())
        thread.start()
        thread.join()
    assert digested(recorder)["data.csv"].ident == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forked_workers_read_files_of_the_call_that_forked_them(folder: Path) -> None:
    """What a DataLoader's workers open stands where they were started."""
    Path("other.csv").write_text("5")

    def load() -> None:
        pid = os.fork()
        if pid == 0:
            open("data.csv").close()
            open("other.csv", "r").close()
            open("made.csv", "w").close()
            os._exit(0)
        os.waitpid(pid, 0)

    with recording() as recorder:
        runtime_trace(load, trace_id="load", every=1)()
    (call,) = recorder.of("load")
    found = digested(recorder)
    assert {path: file.ident for path, file in found.items()} == {
        "data.csv": call.ident,
        "other.csv": call.ident,
    }


def test_an_open_that_fails_is_the_callers_error_alone() -> None:
    """A path that is not there, none at all or a folder is told by `open`, and by nobody else."""
    with recording() as recorder:
        for path, kind in (("absent", FileNotFoundError), ("a\0b", ValueError), (".", OSError)):
            with pytest.raises(kind):
                open(path)
        with pytest.raises(FileNotFoundError):
            open("odd\udce9")
    assert recorder.files == []
    assert gaps(recorder) == []


SCRIPT = """
import csv
from pathlib import Path

from ato.db_routers.sql.manager import SQLLogger
from ato.scope import Scope

scope = Scope()


@scope.observe(default=True)
def defaults(config):
    config.data = "data/x.csv"
    config.scale = 1.0


@scope.runtime_trace()
def load(path):
    with open(path, newline="") as file:
        return [float(row[0]) for row in csv.reader(file)]


@scope.runtime_trace()
def total(rows, scale):
    return sum(rows) * scale


@scope
def train(config):
    logger = SQLLogger(config)
    logger.run()
    rows = load(config.data)
    result = total(rows, config.scale)
    if Path("extra.txt").exists():
        result += float(Path("extra.txt").read_text())
    Path("late.txt").read_text()
    logger.log_metric("total", total([result], 1.0), 0)
    logger.finish()


if __name__ == "__main__":
    train()
"""


@pytest.fixture
def project(folder: Path) -> Iterator[TrainingProject]:
    """A script that reads data files, run once."""
    place = folder / "project"
    (place / "data").mkdir(parents=True)
    (place / "data" / "x.csv").write_text("1\n2\n3\n")
    (place / "late.txt").write_text("late")
    project = script_project(place, SCRIPT)
    project.run()
    return project


def causes(project: TrainingProject) -> list[tuple[str, str, str]]:
    """Factor, subject and evidence of what made run 2 another."""
    return [(f.change.factor, f.change.subject, f.evidence) for f in project.why().causes]


def test_changed_content_of_a_file_is_the_cause(project: TrainingProject) -> None:
    """It is named by the path that the script gave."""
    project.edit("data/x.csv", "3", "4")
    project.run()
    assert causes(project) == [("data", "data/x.csv", "proven")]


def test_reordered_rows_of_a_file_are_the_cause(project: TrainingProject) -> None:
    """The first call that gives other rows is the one that read it."""
    (project.folder / "data" / "x.csv").write_text("3\n2\n1\n")
    project.run()
    assert causes(project) == [("data", "data/x.csv", "proven")]


def test_a_file_that_was_only_written_again_changed_nothing(project: TrainingProject) -> None:
    """The same content at another time is the same data."""
    (project.folder / "data" / "x.csv").write_text("1\n2\n3\n")
    project.run()
    answer = project.why()
    assert answer.verdict == "identical"
    assert answer.also_changed == ()


def test_a_file_that_a_changed_key_leads_to_is_an_effect(project: TrainingProject) -> None:
    """The key is the cause; each file was read by one of the runs only."""
    (project.folder / "data" / "y.csv").write_text("5\n")
    project.run("data=data/y.csv")
    assert causes(project) == [("config", "data", "proven")]
    found = aside(project.why(), "data/y.csv")
    assert (found.evidence, found.reason) == (
        "ruled_out",
        "read by one of the runs only: an effect",
    )


def test_the_same_data_at_another_path_is_the_same(project: TrainingProject) -> None:
    """A copy under another name is no change of data."""
    (project.folder / "data" / "y.csv").write_text("1\n2\n3\n")
    project.run("data=data/y.csv")
    answer = project.why()
    assert answer.verdict == "identical"
    assert [f.change.factor for f in answer.also_changed] == ["config"]


def test_a_file_that_only_one_run_found_is_the_cause(project: TrainingProject) -> None:
    """Where nothing else differs, that it is there is what changed."""
    (project.folder / "extra.txt").write_text("0.5")
    project.run()
    assert causes(project) == [("data", "extra.txt", "proven")]


def test_a_file_that_is_read_later_acts_later(project: TrainingProject) -> None:
    """One that is read after the runs part is no cause."""
    (project.folder / "late.txt").write_text("LATE")
    project.run("scale=2.0")
    assert causes(project) == [("config", "scale", "proven")]
    assert aside(project.why(), "late.txt").evidence == "later"


def test_a_file_that_only_equal_calls_read_is_ruled_out(project: TrainingProject) -> None:
    """A file read by a call that gave the same in both runs is out before they part."""
    (project.folder / "data" / "x.csv").write_text("1.0\n2.0\n3.0\n")
    project.run("scale=2.0")
    assert causes(project) == [("config", "scale", "proven")]
    assert aside(project.why(), "data/x.csv").evidence == "ruled_out"


def test_a_file_that_is_logged_and_opened_is_one(project: TrainingProject) -> None:
    """`log_input` and the hook find the same file, under whichever path."""
    project.edit(
        "train.py",
        "rows = load(config.data)",
        "logger.log_input(Path(config.data).resolve())\n    rows = load(config.data)",
    )
    project.run()
    project.edit("data/x.csv", "3", "4")
    project.run()
    (cause,) = project.why(2, 3).causes
    assert (cause.change.subject, cause.evidence) == (
        str((project.folder / "data" / "x.csv").resolve()),
        "proven",
    )


def test_watching_can_be_turned_off(folder: Path) -> None:
    """`watch_files=False` leaves files to `log_input`, and the run says so."""
    logger = SQLLogger({"experiment": {"sql": {"db_path": "runs.db"}}}, watch_files=False)
    for _ in range(2):
        logger.run()
        open("data.csv").close()
        logger.finish()
    gap = "run: files: only those named with log_input are known (watch_files=False)"
    assert gap in ato.why(1, 2, db="runs.db").unwatched


def test_a_killed_run_has_files_too(project: TrainingProject) -> None:
    """Without digests, size and mtime are compared; where only the mtime differs, nobody knows."""
    project.edit("train.py", "    logger.finish()", "    import os\n    os._exit(0)")
    project.run()
    assert "data" not in {f.change.factor for f in project.why().also_changed}
    (project.folder / "data" / "x.csv").write_text("1\n2\n3\n")
    project.run()
    assert "the content of data/x.csv: it was not digested, and its mtime differs" in (
        project.why(2, 3).unwatched
    )


def test_the_stores_own_files_are_no_data(folder: Path) -> None:
    """A script that copies its database, or looks at it, reads no data."""
    logger = SQLLogger({"experiment": {"sql": {"db_path": "runs.db"}}})
    for _ in range(2):
        logger.run()
        for name in ("runs.db", "data.csv"):
            open(name, "rb").close()
        logger.finish()
    with logger.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT DISTINCT path FROM inputs").fetchall()
    assert rows == [("data.csv",)]


def test_the_body_of_the_script_is_one_function_more(folder: Path) -> None:
    """What a script's body read before its run is data; what a line after `-c` read is not: that is
    how workers of pools and of test runners begin."""
    body = """
from ato import SQLLogger
open("data.csv").close()
with SQLLogger({}) as logger:
    logger.run()
"""
    Path("train.py").write_text(body)
    for arguments in (["train.py"], ["-c", body]):
        subprocess.run([sys.executable, *arguments], check=True, timeout=60)
    assert ask("experiments.db", "SELECT DISTINCT run_id, path FROM inputs") == [(1, "data.csv")]
