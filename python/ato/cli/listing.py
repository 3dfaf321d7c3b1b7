"""`ato runs`, `show`, `diff`, `history`, `code`, `trials`: what a store holds."""

from __future__ import annotations

from typing import Any

import click

from ato.cli.conditions import Condition, choose
from ato.cli.options import (
    ProjectName,
    RunName,
    db_option,
    finder,
    json_option,
    opened,
    plain_errors,
)
from ato.cli.output import print_json
from ato.exceptions import UnknownRunError

__all__ = ["code", "diff", "history", "runs", "show", "trials"]

_STATUSES = ("running", "completed", "failed", "interrupted", "crashed")
_MOST_TRIALS = 20  # what fits one screen


@click.command()
@click.option("--project", type=ProjectName(), help="Only the runs of this project.")
@click.option("--status", type=click.Choice(_STATUSES), help="Only runs with this status.")
@click.option("--tag", "tags", multiple=True, help="Only runs with this tag; may be repeated.")
@click.option(
    "--where",
    "conditions",
    multiple=True,
    type=Condition(),
    metavar="CONDITION",
    help="Only runs like 'lr=0.1', 'metrics.loss<0.2', 'duration>60'; may be repeated.",
)
@click.option(
    "--sort",
    metavar="KEY",
    help="By metrics.NAME, a config key, name, start_time, duration, …; -KEY turns it around.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only so many, the last of the list.")
@json_option
@db_option
@plain_errors
def runs(
    project: str | None,
    status: str | None,
    tags: tuple[str, ...],
    conditions: tuple[tuple[str, tuple[str, Any]], ...],
    sort: str | None,
    limit: int | None,
    as_json: bool,
    db: str | None,
) -> None:
    """List the runs of a store, the newest last.

    With --sort, the first in that order is first, and --limit keeps the first ones.
    """
    from ato.cli import tables  # SQLAlchemy loads

    found = finder(db)
    names = found.find_projects()
    if project is not None and project not in names:
        known = ", ".join(names) or "none"
        raise UnknownRunError(f"there is no project {project!r}; there is: {known}")
    chosen = {}
    for name in names if project is None else [project]:
        # Where all runs are asked about, the newest of each project are among the newest of all.
        few = None if conditions or sort else limit
        for run in found.get_runs_in_project(name, status=status, tags=tags or None, limit=few):
            chosen[run.id] = (run, name)
    listed = [run for _, (run, _) in sorted(chosen.items())]
    if conditions or sort:
        with found.engine.connect() as connection:
            listed = choose(connection, listed, conditions, sort)
    if limit:
        listed = listed[:limit] if sort else listed[-limit:]
    last = tables.last_values(found.engine, [run.id for run in listed])
    seen = tables.seen_elsewhere(found.engine, listed)
    rows = [
        tables.run_row(run, chosen[run.id][1], last.get(run.id, {}), seen.get(run.id))
        for run in listed
    ]
    if as_json:
        print_json(rows)
    else:
        tables.run_table(rows, several_projects=project is None and len(names) > 1)


@click.command()
@click.argument("run", metavar="RUN", type=RunName())
@json_option
@db_option
@plain_errors
def show(run: str, as_json: bool, db: str | None) -> None:
    """Show one run: its config with who set each value, metrics, code, calls and files."""
    from ato.cli.tables import print_run, run_details  # SQLAlchemy loads
    from ato.db_routers.sql.queries import find_run
    from ato.db_routers.sql.reading import load_run, resolve_run

    with opened(db) as engine:
        records = load_run(engine, resolve_run(engine, run))
        found = find_run(engine, records.id)
        artifacts = [] if found is None else found.artifacts
        if as_json:
            print_json(run_details(records, artifacts))
        else:
            print_run(records, artifacts)


@click.command()
@click.argument("run_a", metavar="A", type=RunName())
@click.argument("run_b", metavar="B", type=RunName())
@click.option("--all", "everything", is_flag=True, help="Print every list in full.")
@json_option
@db_option
@plain_errors
def diff(run_a: str, run_b: str, everything: bool, as_json: bool, db: str | None) -> None:
    """Show everything that differs between two runs, without judging what caused what.

    `ato why A B` says which of it is the cause.
    """
    from ato.cli.differences import differences, print_differences  # SQLAlchemy loads
    from ato.db_routers.sql.reading import resolve_run

    with opened(db) as engine:
        ids = [resolve_run(engine, reference) for reference in (run_a, run_b)]
        found = differences(engine, ids[0], ids[1])
    if as_json:
        print_json(found)
    else:
        print_differences(found, everything=everything)


@click.command()
@click.argument("run", metavar="RUN", type=RunName())
@click.argument("key", metavar="KEY")
@json_option
@db_option
@plain_errors
def history(run: str, key: str, as_json: bool, db: str | None) -> None:
    """Show who set a config value of a run, and what lost; of a section, every key below it."""
    from ato.cli.tables import history_details, print_history  # SQLAlchemy loads
    from ato.db_routers.sql.reading import load_config, resolve_run

    with opened(db) as engine:
        run_id = resolve_run(engine, run)
        config = load_config(engine, run_id)
    if as_json:
        print_json(history_details(run_id, config, key))
    else:
        print_history(run_id, config, key)


@click.command()
@click.argument("run", metavar="RUN", type=RunName())
@click.argument("trace_id", metavar="TRACE_ID")
@json_option
@db_option
@plain_errors
def code(run: str, trace_id: str, as_json: bool, db: str | None) -> None:
    """Show the code of a traced function as a run had it: as written, normalised, what it reaches.

    TRACE_ID is as `ato show RUN` lists it; its last part will do where it is one function's.
    """
    from ato.cli.code import code_details, print_code  # SQLAlchemy loads
    from ato.db_routers.sql.reading import load_run, resolve_run

    with opened(db) as engine:
        details = code_details(load_run(engine, resolve_run(engine, run)), trace_id)
    if as_json:
        print_json(details)
    else:
        print_code(details)


@click.command()
@click.argument("search", metavar="[SEARCH]", required=False)
@click.option("--all", "everything", is_flag=True, help="Print every trial.")
@json_option
@db_option
@plain_errors
def trials(search: str | None, everything: bool, as_json: bool, db: str | None) -> None:
    """Show the trials of a search, the best first; without SEARCH, list the searches.

    SEARCH is the id or the name of a search, or `latest`.
    """
    from ato.cli import trials as tables  # SQLAlchemy loads
    from ato.db_routers.sql.searches import list_searches

    engine = finder(db).engine
    if search is None:
        if as_json:
            print_json([tables.search_row(each) for each in list_searches(engine)])
        else:
            tables.print_searches(engine)
        return
    details = tables.trial_details(engine, search)
    if as_json:
        print_json(details)
    else:
        tables.print_trials(details, None if everything else _MOST_TRIALS)
