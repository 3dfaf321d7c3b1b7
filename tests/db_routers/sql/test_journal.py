"""What journals hold, how it enters the store, and what happens when a disk or a file fails."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import warnings
from contextlib import closing, suppress
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from stores import ask, config_for, finder_for, kill, logger_for, run_script, start_script

from ato._core import Journal, journal_header, journal_is_held, read_journal, read_records
from ato.db_routers.sql import drain as drain_module
from ato.db_routers.sql import journals
from ato.db_routers.sql import recorder as recorder_module
from ato.db_routers.sql.drain import drain
from ato.db_routers.sql.manager import SQLLogger
from ato.db_routers.sql.reading import load_run
from ato.exceptions import MetricTypeError, StoreError

try:
    import resource
except ImportError:  # Windows has none, and no limits
    resource = None

KILLED = """
import os, sys
from ato.db_routers.sql.manager import SQLLogger
logger = SQLLogger({"experiment": {"sql": {"db_path": os.environ["DB"]}}})
logger.run()
for step in range(int(sys.argv[1])):
    logger.log_metrics({"loss": step / 4, "acc": float("nan")}, step)
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def store(tmp_path):
    """The path of a store in a file."""
    return tmp_path / "runs.db"


def journal_files(store):
    return sorted((store.parent / f"{store.name}.journals").glob("*"))


def losses(store, run_id=1):
    finder = finder_for(store)
    found = [p.value for p in finder.find_run(run_id).metrics if p.key == "loss"]
    finder.engine.dispose()
    return found


def killed(tmp_path, steps=10):
    """The journal of a run whose process was killed after so many steps."""
    code, _, errors = run_script(tmp_path, KILLED, str(steps))
    assert (code, errors) == (-9, "")
    (journal,) = journal_files(tmp_path / "runs.db")
    return journal


def test_a_journal_gives_back_what_was_logged(tmp_path):
    """Values, names and rows are read as they were written, NaN as None; the header says whose."""
    path = str(tmp_path / "one.journal")
    journal = Journal(path, '{"run": 1}', sequence=5)
    assert journal.log_metric("loss", 0.5, 1, None, None) == 0
    assert journal.log_metrics({"loss": float("nan"), "n": 2**60}, 2, 3, 4) == 0
    assert journal.append(16, (None, -(2**63), 0.1, "é")) == 0
    assert journal_is_held(path)
    journal.close()
    keys, points, rows, end, ending = read_journal(path, 0, 1 << 20)
    assert keys == [(0, "loss"), (1, "n")]
    assert [(p[0], p[1], p[2], p[3], p[5], p[6]) for p in points] == [
        (5, 0, 0.5, 1, None, None),
        (6, 0, None, 2, 3, 4),
        (7, 1, 2.0**60, 2, 3, 4),
    ]
    assert rows == [(16, (None, -(2**63), 0.1, "é"))]
    assert (ending, journal_header(path)) == ("ended", '{"run": 1}')
    assert read_journal(path, end, 1 << 20)[1:] == ([], [], end, "ended")


@pytest.mark.parametrize(
    "arguments",
    [
        (1, 0.5, 0),
        ("a\0b", 0.5, 0),
        ("\udcff", 0.5, 0),
        ("loss", "high", 0),
        ("loss", True, 0),
        ("loss", 10**400, 0),
        ("loss", 0.5, 2**63),
        ("loss", 0.5, 1.5),
    ],
)
def test_what_is_not_of_the_plain_types_is_left_to_the_caller(tmp_path, arguments):
    """Whatever needs a look is answered with 1, and nothing is written."""
    journal = Journal(str(tmp_path / "one.journal"), "{}")
    before = journal.length
    key, value, step = arguments
    assert journal.log_metric(key, value, step, None, None) == 1
    assert journal.log_metrics({"other": 1.0, key: value}, step, None, None) == 1
    assert (journal.length, journal.sequence) == (before, 0)


def test_a_row_of_other_things_is_refused(tmp_path):
    """Cells are None, int, float and str, kinds 16 and more."""
    journal = Journal(str(tmp_path / "one.journal"), "{}")
    with pytest.raises(TypeError, match="a cell is None, int, float or str, not list"):
        journal.append(16, ([],))
    with pytest.raises(ValueError, match="16 or more"):
        journal.append(2, ())
    with pytest.raises(ValueError):
        Journal(str(tmp_path / "two.journal"), "{}", pause=-1.0)


def test_a_closed_journal_says_so(tmp_path):
    """After its end a journal takes nothing more."""
    journal = Journal(str(tmp_path / "one.journal"), "{}")
    journal.close()
    journal.close()
    assert journal.closed
    assert journal.log_metric("loss", 1.0, 0, None, None) == 4
    assert journal.append(16, ()) == 4


def test_threads_write_whole_records(tmp_path):
    """Threads that log into one journal at once leave whole records with numbers of their own."""
    journal = Journal(str(tmp_path / "one.journal"), "{}")

    def work(name):
        for step in range(2000):
            assert journal.log_metrics({name: 1.0, "all": 2.0}, step, None, None) == 0

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _, points, _, _, ending = read_journal(str(journal.path), 0, 1 << 24)
    assert sorted(p[0] for p in points) == list(range(16_000))
    assert ending == "whole"


def test_a_metric_is_in_the_journal_and_not_in_the_store_until_it_is_read(store):
    """Logging leaves the database alone; whoever reads the run brings it in; the end deletes it."""
    logger = logger_for(store)
    logger.run()
    logger.log_metric("loss", 0.5, 0)
    assert ask(store, "SELECT count(*) FROM metrics") == [(0,)]
    assert losses(store) == [0.5]
    assert ask(store, "SELECT count(*) FROM metrics") == [(1,)]
    logger.log_metric("loss", 0.25, 1)
    assert logger.session.connection().exec_driver_sql("SELECT count(*) FROM metrics").scalar() == 2
    logger.session.close()
    assert len(journal_files(store)) == 1
    logger.finish()
    assert not (store.parent / "runs.db.journals").exists()
    assert ask(store, "SELECT count(*) FROM journals") == [(0,)]
    logger.engine.dispose()


def test_a_drain_repeated_is_a_drain_done_once(store):
    """Many threads drain one journal at once while it grows, and each record is stored once."""
    logger = logger_for(store)
    logger.run()
    done = threading.Event()
    failed = []

    def read():
        finder = finder_for(store)
        try:
            while not done.is_set():
                finder.find_run(1)
        except Exception as error:
            failed.append(error)
        finder.engine.dispose()

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for step in range(3000):
        logger.log_metrics({"loss": step, "acc": -step}, step)
    done.set()
    for thread in threads:
        thread.join()
    logger.finish()
    assert failed == []
    assert losses(store) == [float(step) for step in range(3000)]
    assert ask(store, "SELECT sum(count) FROM metric_summaries") == [(6000,)]
    logger.engine.dispose()


def test_a_large_journal_is_drained_while_the_run_goes_on(store, monkeypatch):
    """A journal that has grown gives way to another, and a thread brings it into the store."""
    monkeypatch.setattr(recorder_module, "MARK", 10_000)
    logger = logger_for(store)
    logger.run()
    for step in range(2000):
        logger.log_metric("loss", step, step)
    for thread in threading.enumerate():
        if thread.name == "ato-drain":
            assert thread.daemon
            thread.join()
    assert len(journal_files(store)) == 1
    assert 1500 < ask(store, "SELECT count(*) FROM metrics")[0][0] <= 2000
    logger.finish()
    assert losses(store) == [float(step) for step in range(2000)]
    assert ask(store, "SELECT count(DISTINCT sequence) FROM metrics") == [(2000,)]
    logger.engine.dispose()


def test_what_a_killed_process_logged_comes_in_with_the_next_reader(tmp_path):
    """The journal of a dead process is drained and deleted by whoever reads next."""
    killed(tmp_path)
    store = tmp_path / "runs.db"
    assert losses(store) == [step / 4 for step in range(10)]
    assert journal_files(store) == []


def test_a_torn_record_is_cut_off_once_the_process_is_gone(tmp_path):
    """What the last write left half done is no damage; all before it is stored."""
    journal = killed(tmp_path)
    content = journal.read_bytes()
    journal.write_bytes(content[:-5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert losses(tmp_path / "runs.db") == [step / 4 for step in range(9)]
    assert journal_files(tmp_path / "runs.db") == []


def test_a_flipped_bit_costs_what_follows_it_and_is_said(tmp_path):
    """What stands before the damage is stored, and the file is kept aside, with one message."""
    killed(tmp_path, 50)
    for seed in range(20):
        folder = tmp_path / str(seed)
        folder.mkdir()
        store = folder / "runs.db"
        with closing(sqlite3.connect(tmp_path / "runs.db")) as source:
            with closing(sqlite3.connect(store)) as copy:
                source.backup(copy)
        shutil.copytree(tmp_path / "runs.db.journals", folder / "runs.db.journals")
        (journal,) = journal_files(store)
        content = bytearray(journal.read_bytes())
        place = random.Random(seed).randrange(len(content))
        content[place] ^= 1 << (place % 8)
        journal.write_bytes(content)
        finder = finder_for(store)
        with pytest.warns(RuntimeWarning, match=r"damaged.*kept as .*\.damaged") as said:
            run = finder.find_run(1)
        assert len(said) == 1
        found = [p.value for p in run.metrics if p.key == "loss"]
        assert found == [step / 4 for step in range(len(found))]
        assert len(found) < 50
        assert [f.name for f in journal_files(store)] == [f"{journal.name}.damaged"]
        assert finder.find_run(1).status == "crashed"
        finder.engine.dispose()


def test_the_journal_of_another_store_is_not_mixed_in(tmp_path):
    """A journal that was left from a database that is gone does not enter the one made anew."""
    journal = killed(tmp_path)
    store = tmp_path / "runs.db"
    for file in (store, tmp_path / "runs.db-wal", tmp_path / "runs.db-shm"):
        file.unlink(missing_ok=True)
    logger = logger_for(store)
    assert logger.run() == 1
    logger.log_metric("loss", 7.0, 0)
    with pytest.warns(RuntimeWarning, match=r"no run of this store.*\.foreign"):
        logger.finish()
    assert losses(store) == [7.0]
    assert [f.name for f in journal_files(store)] == [f"{journal.name}.foreign"]
    logger.engine.dispose()


def test_a_reader_that_may_not_write_sees_the_journal_too(store, monkeypatch):
    """Where the store cannot be written, what stands in journals is added to what is read of it."""
    logger = logger_for(store)
    logger.run()
    logger.log_metric("loss", 0.5, 0)
    finder = finder_for(store)
    real = drain_module.write

    def read_only(engine, work):
        if engine is finder.engine:
            raise OperationalError("BEGIN", {}, Exception("attempt to write a readonly database"))
        return real(engine, work)

    with monkeypatch.context() as patch:
        patch.setattr(drain_module, "write", read_only)
        for count in (1, 1, 2):
            if count == 2:
                logger.log_metric("loss", 0.25, 1)
            assert [p.value for p in finder.find_run(1).metrics] == [0.5, 0.25][:count]
            assert finder.get_metrics(1, "loss").values.tolist() == [0.5, 0.25][:count]
            assert len(load_run(finder.engine, 1).metrics) == count
            assert finder.find_run(1).status == "running"
    assert ask(store, "SELECT count(*) FROM metrics") == [(0,)]
    assert len(journal_files(store)) == 1
    logger.finish()
    assert losses(store) == [0.5, 0.25]
    finder.engine.dispose()
    logger.engine.dispose()


class SmallDisk:
    """A disk of a megabyte of its own, which can be filled and freed, and made read-only."""

    full = "No space left"

    def __init__(self, folder):
        self.folder = folder
        _mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder))
        self.free = (folder / "ballast").unlink

    def fill(self):
        with (self.folder / "ballast").open("wb", buffering=0) as file, suppress(OSError):
            while file.write(b"x" * 4096) == 4096:
                pass

    def make_read_only(self):
        _mount("-o", "remount,ro", str(self.folder))

    def close(self):
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


class SmallFiles:
    """A process whose files cannot grow beyond a page, which needs no right to mount a disk."""

    full = "File too large"

    def __init__(self, folder):
        self.folder = folder
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, self._before[1]))

    def free(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)

    close = free


def _mount(*arguments):
    subprocess.run(["mount", *arguments], capture_output=True, check=True)


def _may_mount():
    with tempfile.TemporaryDirectory() as folder:
        try:
            SmallDisk(Path(folder)).close()
        except (OSError, subprocess.CalledProcessError):
            return False
    return True


DISKS = [*([SmallFiles] if resource else []), *([SmallDisk] if _may_mount() else [])]


@pytest.fixture(params=DISKS)
def disk(request, tmp_path):
    (tmp_path / "small").mkdir()
    disk = request.param(tmp_path / "small")
    yield disk
    disk.close()


if SmallDisk in DISKS:

    @pytest.mark.parametrize("disk", [SmallDisk], indirect=True)
    def test_on_a_read_only_disk_the_journal_is_read_too(disk):
        """Who may only read the disk gets the metrics of a run whose process died there."""
        journal = killed(disk.folder)
        disk.make_read_only()
        finder = finder_for(disk.folder / "runs.db")
        run = finder.find_run(1)
        assert ([p.value for p in run.metrics if p.key == "loss"], run.status) == (
            [step / 4 for step in range(10)],
            "crashed",
        )
        assert finder.get_metrics(1, "loss").steps.tolist() == list(range(10))
        assert journal.exists()
        finder.engine.dispose()


READING = """
    import os
    from ato.db_routers.sql.manager import SQLFinder, SQLLogger
    with SQLLogger({"experiment": {"sql": {"db_path": "warm.db"}}}) as logger:
        logger.run()  # what is imported only then may be in a folder of root's
        logger.log_metric("loss", 0.25, 0)
    SQLFinder("warm.db").get_runs_in_project("default")[0].metrics
    if os.geteuid() == 0:
        os.setuid(65534)
    finder = SQLFinder(os.environ["DB"])
    run = finder.find_run(1)
    print(run.status, [p.value for p in run.metrics if p.key == "loss"])
    print(finder.get_metrics(1, "loss").steps.tolist())
"""


def test_who_may_only_read_gets_what_is_in_the_journal():
    """Without the right to write, a reader still sees the metrics of a run whose process died."""
    # Not pytest's folder, which it keeps from other users.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "store")
        folder.mkdir()
        Path(name).chmod(0o755)
        journal = killed(folder)
        with closing(sqlite3.connect(folder / "runs.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for path in (folder / "runs.db", journal):
            path.chmod(0o444)
        journal.parent.chmod(0o555)
        folder.chmod(0o555)
        code, output, errors = run_script(Path(name), READING, DB=str(folder / "runs.db"))
        assert (code, errors) == (0, "")
        losses = [step / 4 for step in range(10)]
        assert output.splitlines() == [f"crashed {losses}", str(list(range(10)))]
        assert journal.exists()
        folder.chmod(0o755)
        journal.parent.chmod(0o755)


LIMITED = """
    import os, resource, warnings
    from ato.db_routers.sql.manager import SQLLogger
    logger = SQLLogger({"experiment": {"sql": {"db_path": os.environ["DB"]}}})
    free = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in [*range(0, 4000, 61), *range(4000, 120_000, 2900)]:
        for lifted in (True, False):
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                run_id = logger.run()
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, free[1]))
                for step in range(40):
                    logger.log_metric("loss", step, step)
                if lifted:
                    resource.setrlimit(resource.RLIMIT_FSIZE, free)
                logger.finish()
                resource.setrlimit(resource.RLIMIT_FSIZE, free)
            texts = [str(each.message) for each in said]
            assert not lifted or not any("were not kept" in text for text in texts), texts
            lost = sum(int(text.split()[2]) for text in texts if "were not kept" in text)
            print(run_id, lost)
"""


def test_wherever_writing_begins_to_fail_nothing_acknowledged_is_lost(tmp_path):
    """Whichever write of the journal or of the tables fails first, every value is stored or counted."""
    code, output, errors = run_script(tmp_path, LIMITED, timeout=300)
    assert (code, errors) == (0, "")
    store = tmp_path / "runs.db"
    counts = [tuple(map(int, line.split())) for line in output.splitlines()]
    assert len(counts) > 200
    finder = finder_for(store)
    for run_id, lost in counts:
        found = [p.value for p in finder.find_run(run_id).metrics]
        assert found == list(range(len(found)))
        # The run's own call record and its end may be among what was lost.
        assert 40 - len(found) <= lost <= 40 - len(found) + 2
    finder.engine.dispose()
    assert min(lost for _, lost in counts) == 0
    assert max(lost for _, lost in counts) >= 40
    assert ask(store, "PRAGMA integrity_check") == [("ok",)]


def test_a_full_disk_costs_a_warning_and_nothing_else(disk, monkeypatch):
    """While the disk is full what is logged waits in memory, and enters the journal afterwards."""
    monkeypatch.setattr(recorder_module, "PAUSE", 0.0)
    store = disk.folder / "runs.db"
    logger = logger_for(store)
    logger.run()
    logger.log_metric("loss", 0.0, 0)
    disk.fill()
    with pytest.warns(RuntimeWarning, match=f"{disk.full}.*The run goes on") as said:
        for step in range(1, 500):
            logger.log_metric("loss", step, step)
    assert len(said) == 1
    disk.free()
    for step in range(500, 600):
        logger.log_metric("loss", step, step)
    assert losses(store) == [float(step) for step in range(600)]
    logger.finish()
    assert ask(store, "SELECT status, (SELECT count(*) FROM metrics) FROM experiments") == [
        ("completed", 600)
    ]
    logger.engine.dispose()


def test_a_disk_that_stays_full_loses_what_finish_says(disk, monkeypatch):
    """Beyond the room in memory records are lost, and `finish` says how many; others are kept."""
    monkeypatch.setattr(recorder_module, "PAUSE", 0.0)
    monkeypatch.setattr(recorder_module, "ROOM", 10_000)
    store = disk.folder / "runs.db"
    logger = logger_for(store)
    logger.run()
    for step in range(10):
        logger.log_metric("loss", step, step)
    disk.fill()
    with pytest.warns(RuntimeWarning):
        for step in range(10, 1000):
            logger.log_metric("loss", step, step)
    disk.free()
    with pytest.warns(RuntimeWarning, match=f"records were not kept.*{disk.full}") as said:
        logger.finish()
    lost = int(str(said[-1].message).split()[2])
    found = losses(store)
    assert found == [float(step) for step in range(len(found))]
    # Every value is in the store or counted.
    assert len(found) + lost == 1000
    logger.engine.dispose()


def test_on_a_full_disk_the_strict_get_an_error(disk):
    """With `on_error="raise"` a value that cannot be written is an error, and is not kept."""
    store = disk.folder / "runs.db"
    logger = SQLLogger(config_for(store), on_error="raise")
    logger.run()
    logger.log_metric("loss", 0.0, 0)
    disk.fill()
    with pytest.raises(StoreError, match=disk.full):
        for step in range(1, 500):
            logger.log_metric("loss", step, step)
    disk.free()
    logger.log_metric("loss", -1.0, 500)
    with pytest.warns(RuntimeWarning, match="1 records were not kept"):
        logger.finish()
    found = losses(store)
    assert found[-1] == -1.0
    assert found[:-1] == [float(step) for step in range(len(found) - 1)]
    logger.engine.dispose()


def test_a_limit_on_the_size_of_files_is_like_a_full_disk(tmp_path):
    """Where the file may grow no more, the run goes on, and its end brings in what waits."""
    code, _, errors = run_script(
        tmp_path,
        """
        import os, resource, warnings
        from ato.db_routers.sql.manager import SQLLogger
        logger = SQLLogger({"experiment": {"sql": {"db_path": os.environ["DB"]}}})
        logger.run()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
            for step in range(1000):
                logger.log_metric("loss", step, step)
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            logger.finish()
        assert [str(w.message).count("File too large") for w in said] == [1], said
        """,
    )
    assert (code, errors) == (0, "")
    assert losses(tmp_path / "runs.db") == [float(step) for step in range(1000)]


def test_without_a_journal_what_waits_enters_the_store_at_the_end(store, monkeypatch):
    """Where no journal can be made, records wait in memory and `finish` writes them to the tables."""
    (store.parent / "runs.db.journals").write_text("a file in the folder's place")
    logger = logger_for(store)
    with pytest.warns(RuntimeWarning, match="cannot be written.*The run goes on"):
        logger.run()
        logger.log_metric("loss", 0.5, 0)
    (store.parent / "runs.db.journals").unlink()
    (store.parent / "runs.db.journals").write_text("still")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logger.finish()
    (store.parent / "runs.db.journals").unlink()
    run = finder_for(store).find_run(1)
    assert ([p.value for p in run.metrics], run.status) == ([0.5], "completed")
    logger.engine.dispose()


def test_other_scalars_take_the_long_way(store):
    """NumPy and torch scalars, bool, odd names and any mapping are logged as plain ones are."""
    np = pytest.importorskip("numpy")
    logger = logger_for(store)
    logger.run()
    logger.log_metric("loss", np.float32(0.5), np.int64(3))
    logger.log_metric("loss", True, True)
    logger.log_metrics({"a\0b": np.array(2.0)}, 5)
    logger.log_metrics({}, 6)
    with pytest.raises(MetricTypeError, match="'acc'.*'high'"):
        logger.log_metrics({"loss": 1.0, "acc": "high"}, 7)
    logger.finish()
    points = finder_for(store).find_run(1).metrics
    assert [(p.key, p.value, p.step) for p in points] == [
        ("loss", 0.5, 3),
        ("loss", 1.0, 1),
        ("a\\0b", 2.0, 5),
    ]
    logger.engine.dispose()


def test_a_child_lets_go_of_its_parents_journal(tmp_path):
    """A forked child that outlives its parent does not keep the run from being called crashed."""
    with start_script(
        tmp_path,
        """
        import os, time
        from ato.db_routers.sql.manager import SQLLogger
        logger = SQLLogger({"experiment": {"sql": {"db_path": os.environ["DB"]}}})
        logger.run()
        logger.log_metric("loss", 1.0, 0)
        if os.fork() == 0:
            os.close(1)
            os.close(2)
            time.sleep(20)
            os._exit(0)
        print("forked", flush=True)
        time.sleep(60)
        """,
    ) as process:
        assert process.stdout.readline() == "forked\n"
        finder = finder_for(tmp_path / "runs.db")
        assert finder.find_run(1).status == "running"
        kill(process)
        assert finder.find_run(1).status == "crashed"
        finder.engine.dispose()


def test_what_is_logged_after_the_end_is_kept(store):
    """A call that completes after `finish` still enters the run."""
    logger = logger_for(store)
    logger.run()
    recorder = logger._recorder
    logger.finish()
    recorder.log_metric("loss", 1.0, 0)
    assert journal_files(store) == []
    assert losses(store) == [1.0]
    logger.engine.dispose()


def test_a_store_in_memory_has_journals_too(tmp_path, monkeypatch):
    """Runs of a store in memory are recorded as others are, and leave no file behind."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(journals.tempfile, "tempdir", str(tmp_path))
    logger = SQLLogger({"experiment": {"sql": {"db_path": "sqlite://"}}})
    logger.run()
    logger.log_metric("loss", 0.5, 0)
    assert [p.value for p in logger.get_current_run().metrics] == [0.5]
    logger.finish()
    assert drain(logger.engine) == 0
    assert list(tmp_path.iterdir()) == []
    logger.engine.dispose()


def test_records_in_memory_are_read_like_those_in_a_file(tmp_path):
    """What waits in memory is records, with or without the beginning of a journal."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    journal = Journal(str(blocked / "one.journal"), "{}")
    assert journal.log_metric("loss", 1.0, 0, None, None) == 2
    assert (journal.waiting, journal.length) == (1, 0)
    assert "os error" in journal.trouble
    keys, points, rows, _, ending = read_records(journal.take_waiting())
    assert (keys, len(points), rows, ending) == ([(0, "loss")], 1, [], "whole")
    assert read_records(b"garbage")[1:] == ([], [], 0, "damaged")
