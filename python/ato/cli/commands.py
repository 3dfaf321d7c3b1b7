"""The commands of `ato`. Exit status: 0 answered, 1 the runs can't be compared, 2 bad arguments."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from ato import __version__
from ato.cli.completion import completion
from ato.cli.demo import demo
from ato.cli.doctor import doctor
from ato.cli.listing import code, diff, history, runs, show, trials
from ato.cli.options import RunName, db_option, plain_errors
from ato.cli.output import Program, console, one_line, print_json, print_text
from ato.cli.store import artifacts, db

__all__ = ["main"]


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ato")
def main() -> None:
    """Ato: why did this result change?"""


@main.command()
@click.argument("run_a", metavar="A", type=RunName())
@click.argument("run_b", metavar="[B]", type=RunName(), required=False)
@click.option("--metric", help="The metric to ask about; otherwise the one logged last in both.")
@click.option("--format", "format_", type=click.Choice(["text", "json", "html"]), default="text")
@click.option("--output", type=click.Path(path_type=Path), help="Write to a file.")
@click.option("--all", "everything", is_flag=True, help="Print every list in full.")
@db_option
@plain_errors
def why(
    run_a: str,
    run_b: str | None,
    metric: str | None,
    format_: str,
    output: Path | None,
    everything: bool,
    db: str | None,
) -> None:
    """Explain why run B has another result than run A.

    A and B are run ids, `latest`, `latest~1`, or unique run names. Without B, A is compared with
    the nearest earlier run of its project: the one that differs in the fewest things.
    """
    from ato.explain import explain, load_runs, nearest_earlier  # SQLAlchemy loads

    chosen = run_b is None
    if run_b is None:
        run_a, run_b = str(nearest_earlier(run_a, db=db)), run_a
    first, second = load_runs(run_a, run_b, db=db)
    answer = explain(first, second, metric)
    if chosen and format_ == "text":
        click.echo(f"The nearest earlier run is {_named(answer.run_a)}.\n", err=output is not None)
    if format_ == "json":
        _write_json(answer.to_dict(), output)
    elif format_ == "html":
        from ato.explain.render.html import render_html  # loads for a page only

        _write(render_html(answer, first, second), output)
    else:
        _write_text(answer, output, everything)
    sys.exit(1 if answer.verdict == "incomparable" else 0)


def _named(run: Any) -> str:
    return f"{run.id} ({one_line(run.name)})" if run.name else str(run.id)


def _write_json(data: Any, output: Path | None) -> None:
    if output is None:
        print_json(data)
    else:
        _write(json.dumps(data, indent=2, ensure_ascii=False), output)


def _write_text(answer: Any, output: Path | None, everything: bool) -> None:
    from ato.explain.render.text import render_text, write_text

    if output is None and sys.stdout.isatty():
        write_text(answer, console(), everything=everything)
    else:
        _write(render_text(answer, everything=everything), output)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        print_text(text)
    else:
        # A name may hold a byte that is no text; it is written as an escape.
        output.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


for command in (
    runs,
    show,
    diff,
    history,
    code,
    trials,
    artifacts,
    db,
    doctor,
    completion,
    demo,
):
    main.add_command(command)
