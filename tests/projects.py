"""Small training projects that tests copy, change in one place, run and ask about."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import ato
from ato.explain import Explanation, Finding

EXAMPLES = Path(__file__).parent.parent / "examples"


@dataclass
class TrainingProject:
    """A project folder with its own database, run as its user would run it."""

    folder: Path

    def run(self, *tokens: str, script: str = "train.py", status: int = 0, **variables: str) -> str:
        """Run the script in a fresh process and return what it printed."""
        done = subprocess.run(
            [sys.executable, script, *tokens],
            cwd=self.folder,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text that stands once in a file."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def copy(self, folder: Path) -> TrainingProject:
        """Copy the project with the runs it has recorded so far."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
        return TrainingProject(folder)

    def why(self, a: int | str = 1, b: int | str = 2) -> Explanation:
        """Ask the project's database why run `b` differs from run `a`."""
        return ato.why(a, b, db=str(self.folder / "experiments.db"))


def script_project(folder: Path, script: str) -> TrainingProject:
    """Lay out a project of one script, `train.py`."""
    (folder / "train.py").write_text(script, encoding="utf-8")
    return TrainingProject(folder)


def aside(answer: Explanation, subject: str) -> Finding:
    """Find the one thing besides the causes that changed and has this subject."""
    (found,) = [f for f in answer.also_changed if f.change.subject == subject]
    return found
