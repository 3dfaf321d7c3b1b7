"""`ato db` and `ato artifacts`: upgrading, checking and moving a store, verifying artifacts."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ato.cli.options import ProjectName, RunName, db_option, json_option, opened, plain_errors
from ato.cli.output import console, one_line, print_json

__all__ = ["artifacts", "db"]

_STYLES = {"same": "green", "changed": "red", "missing": "red", "reference": "yellow"}


@click.group()
def db() -> None:
    """Upgrade, check, export and import a store."""


@db.command()
@db_option
@plain_errors
def upgrade(db: str | None) -> None:
    """Bring a store to the schema of this version; a copy of the old file is kept beside it.

    Every other command does so too, when it opens an older store.
    """
    from ato.db_routers.sql.engine import REVISION, place  # SQLAlchemy loads

    with opened(db) as engine:
        click.echo(one_line(f"{place(engine.url)} has schema {REVISION}, this version's"))


@db.command()
@json_option
@db_option
@plain_errors
def check(as_json: bool, db: str | None) -> None:
    """Read a store from end to end and say what is wrong with it.

    Exit status 1 if something is.
    """
    from ato.db_routers.sql.engine import place  # SQLAlchemy loads
    from ato.db_routers.sql.maintenance import check_store

    with opened(db) as engine:
        faults = check_store(engine)
        where = one_line(place(engine.url))
    if as_json:
        print_json({"store": where, "faults": faults})
    elif faults:
        for fault in faults:
            click.echo(one_line(fault))
        click.echo(f"{len(faults)} wrong in {where}; restore a copy, or export what can be read")
    else:
        click.echo(f"{where} is whole")
    sys.exit(1 if faults else 0)


@db.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--format", "format_", type=click.Choice(["csv", "jsonl", "parquet"]), default="csv")
@click.option("--project", type=ProjectName(), help="Only the runs of this project.")
@db_option
@plain_errors
def export(folder: Path, format_: str, project: str | None, db: str | None) -> None:
    """Write the runs and their metrics as two tables into FOLDER."""
    from ato.db_routers.sql.maintenance import export_store  # SQLAlchemy loads

    with opened(db) as engine:
        for path in export_store(engine, folder, format_, project):
            click.echo(one_line(path))


@db.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@db_option
@plain_errors
def import_(file: Path, db: str | None) -> None:
    """Bring in the runs of FILE, a store that ato 2 wrote; it stays as it is.

    The store that they come into is made if there is none. Runs that are in it already are left out.
    """
    from ato.db_routers.sql.engine import open_store  # SQLAlchemy loads
    from ato.db_routers.sql.importing import import_ato_2

    engine = open_store(db, must_exist=False)
    try:
        ids = import_ato_2(file, engine)
    finally:
        engine.dispose()
    which = f": {ids[0]} to {ids[-1]}" if ids else ""
    click.echo(f"{len(ids)} new {'run' if len(ids) == 1 else 'runs'}{which}")


@click.group()
def artifacts() -> None:
    """Verify the files that runs logged."""


@artifacts.command()
@click.argument("run", metavar="RUN", type=RunName())
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder that relative paths are relative to; otherwise this one.",
)
@json_option
@db_option
@plain_errors
def verify(run: str, root: Path | None, as_json: bool, db: str | None) -> None:
    """Hash the artifacts of a run again, and say which are not what they were.

    Exit status 1 if one is changed or missing.
    """
    from rich.table import Table
    from rich.text import Text

    from ato.db_routers.sql.maintenance import verify_artifacts  # SQLAlchemy loads

    with opened(db) as engine:
        found = verify_artifacts(engine, run, root)
    if as_json:
        print_json([item._asdict() for item in found])
    else:
        table = Table(box=None, show_header=False, pad_edge=False)
        for item in found:
            kept = "kept copy" if item.kept else ""
            state = Text(item.state, style=_STYLES.get(item.state, "yellow"))
            table.add_row(state, one_line(item.path), kept)
        console().print(table if found else "the run has no artifacts")
    sys.exit(1 if any(item.state in ("changed", "missing") for item in found) else 0)
