"""Runs scripts in forks of a process that has imported the heavy libraries once.

Each run is a process of its own, with the script as its `__main__`; what it is spared is importing
third-party libraries, which takes longer than the small trainings of the tests. Ato itself and the
project are imported anew in every run.

    python warm.py sqlalchemy torch

takes one request a line on standard input, `{"folder", "argv", "output"}`, and answers
with the exit status.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

_LONGEST = 120  # seconds after which a run that hangs is ended
# What every run of Ato imports.
_ALWAYS = ("sqlalchemy.orm", "sqlalchemy.dialects.sqlite", "alembic.command", "libcst", "rich.text")


class WarmInterpreter:
    """A process that forks itself for each run."""

    def __init__(self, libraries: tuple[str, ...]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *_ALWAYS, *libraries],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, folder: Path, argv: list[str]) -> tuple[int, str]:
        """Run `python ARGV` in a folder; returns the exit status and what it printed."""
        with tempfile.NamedTemporaryFile("r", suffix=".txt", encoding="utf-8") as output:
            request = {"folder": str(folder), "argv": argv, "output": output.name}
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline()), output.read()


@cache
def warm(*libraries: str) -> WarmInterpreter:
    """The one warm process for these libraries; it ends with the tests, when its input does."""
    return WarmInterpreter(libraries)


def _serve(libraries: list[str]) -> None:
    for library in libraries:
        import_module(library)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(request)
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(request: dict[str, Any]) -> None:
    """Be what `python ARGV` in the folder would be; errors and exits go through to the top."""
    signal.alarm(_LONGEST)
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(request["folder"])
    path = Path(request["folder"], request["argv"][0])
    sys.argv = list(request["argv"])
    sys.orig_argv = [sys.executable, *request["argv"]]
    sys.path[0] = str(path.parent)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()  # as in a new process; `random` does so itself after a fork
    main = ModuleType("__main__")
    main.__file__ = str(path)
    sys.modules["__main__"] = main
    exec(compile(path.read_bytes(), str(path), "exec"), main.__dict__)  # noqa: S102 (a test's script)


if __name__ == "__main__":
    _serve(sys.argv[1:])
