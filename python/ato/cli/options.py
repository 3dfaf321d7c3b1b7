"""What commands share: the store, JSON, runs as arguments, and errors as one message each."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from ato.exceptions import AtoError
from ato.provenance import printable

__all__ = ["ProjectName", "RunName", "db_option", "finder", "json_option", "opened", "plain_errors"]

_DB_HELP = "Path or URL of the store; otherwise ATO_DB, otherwise experiments.db in this folder."
_OFFERED = 200  # the newest, when a shell asks for completions

db_option = click.option("--db", metavar="URL", help=_DB_HELP)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def plain_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Print Ato's own errors and the system's as one message each, and exit with status 2."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except AtoError as error:
            message = str(error)
        except BrokenPipeError:
            raise  # the reader has seen enough: `Program` ends quietly
        except OSError as error:
            message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        except Exception as error:
            if not _of_database(error):
                raise
            reason = str(getattr(error, "orig", error)).strip()
            message = f"the store cannot be read: {reason}; `ato doctor` looks at it"
        click.echo(f"ato: {printable(message)}", err=True)
        sys.exit(2)

    return guarded


def _of_database(error: Exception) -> bool:
    # Where SQLAlchemy is not loaded, no error is one of its own.
    errors = sys.modules.get("sqlalchemy.exc")
    return errors is not None and isinstance(error, errors.DBAPIError)


@contextmanager
def opened(db: str | None) -> Iterator[Any]:
    """The engine of the store, until the block ends."""
    from ato.db_routers.sql.engine import open_store  # SQLAlchemy loads

    engine = open_store(db)
    try:
        yield engine
    finally:
        engine.dispose()


def finder(db: str | None) -> Any:
    """The `SQLFinder` of the store that `--db` or the environment names."""
    from ato.db_routers.sql.engine import store_url  # SQLAlchemy loads
    from ato.db_routers.sql.manager import SQLFinder

    return SQLFinder(store_url(db))


class RunName(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """A run: an id, `latest`, `latest~1`, or a name. A shell is offered the newest of the store."""

    name = "run"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The runs whose id or name begins so."""
        rows = _ask(
            ctx,
            "SELECT id, name, status FROM experiments ORDER BY id DESC LIMIT ?",
            (_OFFERED,),
        )
        offered = [("latest", "the newest run")] if rows else []
        for run_id, name, status in rows:
            offered.append((str(run_id), f"{name or ''} {status}".strip()))
            if name and printable(name) == name and not any(map(str.isspace, name)):
                offered.append((name, f"run {run_id}, {status}"))
        return [
            CompletionItem(text, help=printable(about).replace("\n", " "))
            for text, about in offered
            if text.startswith(incomplete)
        ]


class ProjectName(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """A project's name, of which a shell is offered those of the store."""

    name = "project"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The projects whose name begins so."""
        names = (name for (name,) in _ask(ctx, "SELECT name FROM projects ORDER BY name", ()))
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _ask(ctx: click.Context, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Ask the store's file by itself: a shell that waits for Tab cannot wait for SQLAlchemy.

    Whatever is wrong with the store, there is nothing to offer then.
    """
    location = str(ctx.params.get("db") or os.environ.get("ATO_DB") or "experiments.db")
    if "://" in location:
        if not location.startswith("sqlite:///"):
            return []
        location = location.removeprefix("sqlite:///")
    path = Path(location).expanduser().absolute()
    if not path.is_file():
        return []
    try:
        with closing(
            sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1)
        ) as connection:
            return connection.execute(query, values).fetchall()
    except sqlite3.Error:
        return []
