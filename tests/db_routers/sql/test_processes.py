from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ato.db_routers.sql.processes import is_gone, started

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")


def test_a_running_process_is_there():
    """This process runs, and says the same start every time."""
    start = started(os.getpid())
    assert start is not None
    assert start == started(os.getpid())
    assert not is_gone(os.getpid(), start)


def test_an_ended_process_is_gone():
    """A process that has ended is gone, also while its parent has not asked how."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        start = started(process.pid)
        assert not is_gone(process.pid, start)
        process.kill()
        while process.returncode is None and not is_gone(process.pid, start):
            pass  # the kernel takes a moment
        assert is_gone(process.pid, start)
    assert is_gone(process.pid, start)


def test_another_process_with_the_pid_is_not_the_run():
    """A pid that is in use again since belongs to someone else."""
    assert is_gone(os.getpid(), "another boot:12")


def test_without_a_recorded_start_nothing_is_claimed():
    """Where the start was not recorded a run is not called crashed."""
    assert not is_gone(2**22 + 1, None)
