"""The commands of `ato`. Exit status: 0 answered, 1 the runs can't be compared, 2 bad arguments."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ato import __version__
from ato.cli.demo import demo
from ato.exceptions import AtoError, UnknownRunError

__all__ = ["main"]

_DB_HELP = "Path or URL of the store; otherwise ATO_DB, otherwise experiments.db in this folder."
_STATUSES = ("running", "completed", "failed", "interrupted", "crashed")
_MOST_TRIALS = 20  # what fits one screen
_db_option = click.option("--db", metavar="URL", help=_DB_HELP)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _plain_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Print Ato's own errors and the system's as one message each, and exit with status 2."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except AtoError as error:
            message = str(error)
        except BrokenPipeError:
            raise  # the reader has seen enough (`ato runs | head`): click ends quietly
        except OSError as error:
            message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        click.echo(f"ato: {message}", err=True)
        sys.exit(2)

    return guarded


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ato")
def main() -> None:
    """Ato: why did this result change?"""


@main.command()
@click.argument("run_a", metavar="A")
@click.argument("run_b", metavar="B")
@click.option("--metric", help="The metric to ask about; otherwise the one logged last in both.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text")
@click.option("--output", type=click.Path(path_type=Path), help="Write to a file.")
@click.option("--all", "everything", is_flag=True, help="Print every list in full.")
@_db_option
@_plain_errors
def why(
    run_a: str,
    run_b: str,
    metric: str | None,
    format_: str,
    output: Path | None,
    everything: bool,
    db: str | None,
) -> None:
    """Explain why run B has another result than run A.

    A and B are run ids, `latest`, `latest~1`, or unique run names.
    """
    from ato.explain import why as explain_runs  # SQLAlchemy loads
    from ato.explain.render.text import render_text

    answer = explain_runs(run_a, run_b, db=db, metric=metric)
    if format_ == "json":
        _write(json.dumps(answer.to_dict(), indent=2, ensure_ascii=False), output)
    elif output is not None:
        _write(render_text(answer, everything=everything), output)
    else:
        _print_answer(answer, everything)
    sys.exit(1 if answer.verdict == "incomparable" else 0)


@main.command()
@click.option("--project", help="Only the runs of this project.")
@click.option("--status", type=click.Choice(_STATUSES), help="Only runs with this status.")
@click.option("--limit", type=click.IntRange(min=1), help="Only so many, the newest.")
@_json_option
@_db_option
@_plain_errors
def runs(
    project: str | None, status: str | None, limit: int | None, as_json: bool, db: str | None
) -> None:
    """List the runs of a store, the newest last."""
    from ato.cli.tables import last_values, run_row, run_table  # SQLAlchemy loads

    finder = _finder(db)
    projects = finder.find_projects() if project is None else [project]
    if project is not None and finder.find_project(project) is None:
        known = ", ".join(finder.find_projects()) or "none"
        raise UnknownRunError(f"there is no project {project!r}; there is: {known}")
    found = [
        (run, name)
        for name in projects
        for run in finder.get_runs_in_project(name, status=status, limit=limit)
    ]
    found.sort(key=lambda pair: pair[0].id)
    shown = found[-limit:] if limit else found
    last = last_values(finder.engine, [run.id for run, _ in shown])
    rows = [run_row(run, name, last.get(run.id, {})) for run, name in shown]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False, default=str))
    else:
        run_table(rows, several_projects=len(projects) > 1)


@main.command()
@click.argument("run", metavar="RUN")
@_json_option
@_db_option
@_plain_errors
def show(run: str, as_json: bool, db: str | None) -> None:
    """Show one run: its config with who set each value, metrics, code and calls."""
    from ato.cli.tables import print_run, run_details  # SQLAlchemy loads
    from ato.db_routers.sql.reading import load_run, open_store, resolve_run

    engine = open_store(db)
    try:
        records = load_run(engine, resolve_run(engine, run))
    finally:
        engine.dispose()
    if as_json:
        click.echo(json.dumps(run_details(records), indent=2, ensure_ascii=False, default=str))
    else:
        print_run(records)


@main.command()
@click.argument("run", metavar="RUN")
@click.argument("key", metavar="KEY")
@_json_option
@_db_option
@_plain_errors
def history(run: str, key: str, as_json: bool, db: str | None) -> None:
    """Show who set a config value of a run, and what lost; of a section, every key below it."""
    from ato.cli.tables import history_details, print_history  # SQLAlchemy loads
    from ato.db_routers.sql.reading import load_config, open_store, resolve_run

    engine = open_store(db)
    try:
        run_id = resolve_run(engine, run)
        config = load_config(engine, run_id)
    finally:
        engine.dispose()
    if as_json:
        details = history_details(run_id, config, key)
        click.echo(json.dumps(details, indent=2, ensure_ascii=False))
    else:
        print_history(run_id, config, key)


@main.command()
@click.argument("search", metavar="[SEARCH]", required=False)
@click.option("--all", "everything", is_flag=True, help="Print every trial.")
@_json_option
@_db_option
@_plain_errors
def trials(search: str | None, everything: bool, as_json: bool, db: str | None) -> None:
    """Show the trials of a search, the best first; without SEARCH, list the searches.

    SEARCH is the id or the name of a search, or `latest`.
    """
    from ato.cli import trials as tables  # SQLAlchemy loads
    from ato.db_routers.sql.searches import list_searches

    engine = _finder(db).engine
    if search is None:
        if as_json:
            rows = [tables.search_row(each) for each in list_searches(engine)]
            click.echo(json.dumps(rows, indent=2, ensure_ascii=False, default=str))
        else:
            tables.print_searches(engine)
        return
    details = tables.trial_details(engine, search)
    if as_json:
        click.echo(json.dumps(details, indent=2, ensure_ascii=False, default=str))
    else:
        tables.print_trials(details, None if everything else _MOST_TRIALS)


main.add_command(demo)


def _finder(db: str | None) -> Any:
    from ato.db_routers.sql.engine import store_url  # SQLAlchemy loads
    from ato.db_routers.sql.manager import SQLFinder

    return SQLFinder(store_url(db))


def _write(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text)
    else:
        output.write_text(text + "\n", encoding="utf-8")


def _print_answer(answer: Any, everything: bool) -> None:
    from rich.console import Console  # loads for terminals only

    from ato.explain.render.text import render_text, write_text

    if sys.stdout.isatty():
        write_text(answer, Console(highlight=False), everything=everything)
    else:
        click.echo(render_text(answer, everything=everything))
