"""Stores in temporary folders, and scripts that write to them from processes of their own."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path
from typing import Any

from ato.db_routers.sql.manager import SQLFinder, SQLLogger


def config_for(path: Path | str, project: str = "digits", **values: Any) -> dict[str, Any]:
    """A plain config whose store is at `path`, a file's or a URL."""
    return {**values, "experiment": {"project_name": project, "sql": {"db_path": str(path)}}}


def logger_for(path: Path | str, project: str = "digits", **values: Any) -> SQLLogger:
    return SQLLogger(config_for(path, project, **values))


def finder_for(path: Path | str) -> SQLFinder:
    return SQLFinder(str(path))


def start_script(folder: Path, code: str, *arguments: str, **variables: str) -> subprocess.Popen:
    """Start a script with `DB` as the path of its store; its output is a pipe."""
    script = folder / "script.py"
    script.write_text(textwrap.dedent(code), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, str(script), *arguments],
        cwd=folder,
        env={**os.environ, "DB": str(folder / "runs.db"), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_script(
    folder: Path, code: str, *arguments: str, timeout: float = 120, **variables: str
) -> tuple[int, str, str]:
    """Run a script to its end: exit status, standard output, standard error."""
    with start_script(folder, code, *arguments, **variables) as process:
        output, errors = process.communicate(timeout=timeout)
    return process.returncode, output, errors


def kill(process: subprocess.Popen) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)


def ask(path: Path | str, query: str, *parameters: Any) -> list[tuple]:
    """Rows as the database itself has them, of a file or a server."""
    if str(path).startswith("postgresql:"):
        import psycopg

        with psycopg.connect(str(path)) as connection:
            return connection.execute(query.replace("?", "%s"), parameters).fetchall()
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query, parameters).fetchall()
