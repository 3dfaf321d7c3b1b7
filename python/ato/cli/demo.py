"""`ato demo`: train twice with one edit in between, and ask why the result changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import click

__all__ = ["demo"]

_EXAMPLE = Path(__file__).parent.parent / "examples" / "digits"
_EDITED_FILE = "data.py"
# Else the first training would write the file that it reads, and the second only read it.
_PREPARE = "import data; data.export_digits('digits.csv')"
_BEFORE = "return images + noise * 0.1"
_AFTER = "return images + noise * 1.0"


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to put the project.",
)
def demo(folder: Path | None) -> None:
    """Train on handwritten digits twice, with one edit in a helper, and explain the difference."""
    missing = [name for name in ("numpy", "sklearn") if find_spec(name) is None]
    if missing:
        raise click.ClickException(
            f"the demo trains a real model and needs {' and '.join(missing)}: "
            "pip install 'ato-rs[demo]'"
        )
    project = _copy_project(folder)
    click.echo(f"A small training project: {project}")
    click.echo("Its data, scikit-learn's handwritten digits: digits.csv")
    _run(project, "-c", _PREPARE)
    click.echo("\n$ python train.py")
    _run(project, "train.py")
    _edit(project / _EDITED_FILE)
    click.echo(f"\nOne edit, in {_EDITED_FILE}, which train.py only reaches through make_batch:")
    click.secho(f"- {_BEFORE}", fg="red")
    click.secho(f"+ {_AFTER}", fg="green")
    click.echo("\n$ python train.py")
    _run(project, "train.py")
    click.echo("\n$ ato why 1 2")
    _run(project, "-m", "ato", "why", "1", "2")
    click.echo(
        f"\nGo on from here:\n"
        f"    cd {project}\n"
        "    python train.py lr=0.1 && ato why 2 3\n"
        "    python train.py careful num_workers=8 && ato why 2 4\n"
        "    python train.py manual"
    )


def _copy_project(folder: Path | None) -> Path:
    target = folder or Path(tempfile.mkdtemp(prefix="ato-demo-")) / "digits"
    if target.exists() and any(target.iterdir()):
        raise click.ClickException(f"{target} is not empty: name a new folder")
    shutil.copytree(
        _EXAMPLE, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.db*")
    )
    return target


def _run(project: Path, *arguments: str) -> None:
    """Run Python in the project as the user would, with its output going where ours goes."""
    sys.stdout.flush()
    # The demo's own database, whatever the user's shell points at.
    environment = {key: value for key, value in os.environ.items() if key != "ATO_DB"}
    done = subprocess.run(  # noqa: S603 (our own interpreter, our own arguments)
        [sys.executable, *arguments], cwd=project, env=environment, check=False
    )
    if done.returncode:
        raise click.ClickException(
            f"`python {' '.join(arguments)}` failed in {project} with status {done.returncode}"
        )


def _edit(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(_BEFORE) == 1
    file.write_text(text.replace(_BEFORE, _AFTER), encoding="utf-8")
