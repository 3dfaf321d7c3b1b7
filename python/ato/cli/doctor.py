"""`ato doctor`: what Ato finds of the machine, the store and the libraries, and what is wrong."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import click

from ato import __version__
from ato.cli.options import db_option, json_option, plain_errors
from ato.cli.output import console, one_line, print_json
from ato.exceptions import AtoError, NoDatabaseError

__all__ = ["doctor"]

_NEEDED = ("sqlalchemy", "alembic", "libcst", "click", "rich", "pyyaml", "jinja2", "pygal")
_LOOKED_FOR = ("numpy", "torch", "triton", "pandas", "polars", "psycopg")
_LITTLE = 1 << 30  # bytes on the disk of the store
_SQLITE_FLOOR = (3, 35, 0)  # RETURNING, which SQLAlchemy uses where there is one


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `advice` says what to do where it is not well."""

    name: str
    found: str
    state: Literal["well", "note", "wrong"] = "well"
    advice: str | None = None


@click.command()
@json_option
@db_option
@plain_errors
def doctor(as_json: bool, db: str | None) -> None:
    """Look at the store, its journals, the cache and the libraries, and say what is wrong.

    Exit status 1 if something is.
    """
    checks = list(_checks(db))
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        _print(checks)
    sys.exit(1 if any(check.state == "wrong" for check in checks) else 0)


def _checks(db: str | None) -> Iterator[Check]:
    parts: tuple[Callable[[], Iterator[Check]], ...] = (
        _program,
        lambda: _store(db),
        _cache,
        _output,
        _libraries,
    )
    for part in parts:
        yield from part()


def _program() -> Iterator[Check]:
    yield Check("ato", f"{__version__} in {Path(__file__).parent.parent}")
    python = f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"
    yield Check("python", f"{python}, {platform.platform()}")
    try:
        from ato import _core
    except ImportError as error:
        advice = "install the wheel of this platform again: pip install --force-reinstall ato-rs"
        yield Check("rust core", str(error), "wrong", advice)
    else:
        yield Check("rust core", f"SIMD: {_core.simd_level()}")
    old = sqlite3.sqlite_version_info < _SQLITE_FLOOR
    yield Check(
        "sqlite",
        sqlite3.sqlite_version,
        "wrong" if old else "well",
        "it is the Python's own, and too old; take a newer Python" if old else None,
    )


def _store(db: str | None) -> Iterator[Check]:
    from ato.db_routers.sql.engine import open_store, place, store_url  # SQLAlchemy loads

    named = "--db" if db else "ATO_DB" if os.environ.get("ATO_DB") else "the default"
    try:
        where = f"{place(store_url(db))} ({named})"
    except AtoError as error:
        yield Check("store", str(error), "wrong", "name another with --db or ATO_DB")
        return
    try:
        engine = open_store(db)
    except NoDatabaseError as error:
        if db is None and named == "the default":
            advice = "SQLLogger(config).run() makes it; another is named with --db or ATO_DB"
            yield Check("store", f"none yet at {where}", "note", advice)
        else:
            yield Check("store", str(error), "wrong", f"correct {named}, or record a run there")
        return
    except AtoError as error:
        yield Check("store", where, "wrong", str(error))
        return
    try:
        yield from _opened_store(engine, where)
        yield from _journals(engine)
    finally:
        engine.dispose()


def _opened_store(engine: Any, where: str) -> Iterator[Check]:
    from sqlalchemy import func, select, text

    from ato.db_routers.sql.engine import REVISION
    from ato.db_routers.sql.schema import Experiment, Project

    with engine.connect() as connection:
        runs = connection.scalar(select(func.count()).select_from(Experiment))
        projects = connection.scalar(select(func.count()).select_from(Project))
        yield Check("store", where)
        yield Check("schema", f"{REVISION}; {runs} runs in {projects} projects")
        if engine.url.get_backend_name() != "sqlite":
            return
        mode = connection.scalar(text("PRAGMA journal_mode"))
    known = mode in ("wal", "memory")
    yield Check(
        "sqlite mode",
        str(mode),
        "well" if known else "note",
        None if known else "readers and writers wait for each other, as on a network file system",
    )
    path = Path(engine.url.database or "")
    if path.is_file():
        if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
            advice = f"give yourself the right to write {path} and its folder, to record runs there"
            yield Check("store file", "read-only", "note", advice)
        free = shutil.disk_usage(path.parent).free
        little = free < _LITTLE
        yield Check(
            "disk of the store",
            f"{free / 2**30:,.1f} GiB free",
            "wrong" if little else "well",
            "free some space: runs need room for their records" if little else None,
        )


def _journals(engine: Any) -> Iterator[Check]:
    from ato._core import journal_is_held
    from ato.db_routers.sql.journals import folders_of, journals_of

    folders = folders_of(engine)
    held = left = waiting = 0
    for path in (path for folder in folders for path in journals_of(folder)):
        try:
            size = path.stat().st_size
            if journal_is_held(os.fspath(path)):
                held += 1
            else:
                left += 1
                waiting += size
        except FileNotFoundError:
            continue  # its records are in the store by now
    if not held and not left:
        yield Check("journals", "none waiting")
        return
    texts = [f"{held} being written"] if held else []
    advice = None
    if left:
        texts.append(f"{left} left by processes that are gone ({waiting:,} bytes)")
        advice = "their records enter the store when somebody reads the runs: ato runs"
    where = " and ".join(str(folder) for folder in folders if folder.is_dir())
    yield Check("journals", f"{', '.join(texts)} in {where}", "note" if left else "well", advice)


def _cache() -> Iterator[Check]:
    from ato.code.cache import folder

    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        advice = (
            "each process reads all code and all packages again; "
            "give it a folder with ATO_CACHE_DIR"
        )
        yield Check("cache", f"{place} cannot be written: {error.strerror}", "wrong", advice)
    else:
        yield Check("cache", str(place))


def _output() -> Iterator[Check]:
    encoding = sys.stdout.encoding or "unknown"
    try:
        "→−…".encode(encoding)
    except (UnicodeError, LookupError):
        advice = "arrows and other signs are spelt in ASCII; set PYTHONIOENCODING=utf-8"
        yield Check("output", encoding, "note", advice)
    else:
        yield Check("output", encoding)


def _libraries() -> Iterator[Check]:
    for name in _NEEDED:
        found = _version(name)
        if found is None:
            yield Check(name, "not installed", "wrong", f"pip install {name}")
        else:
            yield Check(name, found)
    for name in _LOOKED_FOR:
        yield Check(name, _version(name) or "not installed")


def _version(name: str) -> str | None:
    # Without importing it: torch would take seconds.
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _print(checks: list[Check]) -> None:
    from rich.table import Table
    from rich.text import Text

    styles = {"well": ("ok", "green"), "note": ("note", "yellow"), "wrong": ("wrong", "bold red")}
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        text = Text(one_line(check.found))
        if check.advice:
            text.append(
                f"\n{one_line(check.advice)}", style="bold" if check.state == "wrong" else ""
            )
        table.add_row(Text(*styles[check.state]), check.name, text)
    out = console()
    out.print(table)
    wrong = sum(check.state == "wrong" for check in checks)
    out.print(f"\n{wrong} wrong" if wrong else "\nnothing is wrong", style="bold")
