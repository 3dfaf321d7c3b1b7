"""Small training projects that tests copy, change in one place, run and ask about."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

import ato
from ato.explain import Explanation, Finding
from warm import warm

EXAMPLES = Path(__file__).parent.parent / "examples"


@dataclass
class TrainingProject:
    """A project folder with its own database, run as its user would run it.

    `libraries` are those that the script imports, which its runs find imported.
    """

    folder: Path
    libraries: tuple[str, ...] = ()

    def run(
        self,
        *tokens: str,
        script: str = "train.py",
        status: int = 0,
        fresh: bool = False,
        **variables: str,
    ) -> str:
        """Run the script in a process of its own and return what it printed.

        With variables, or if it shall be `fresh`, that is a new interpreter: libraries look at
        variables when they are imported, and each interpreter orders its sets in another way.
        """
        if variables or fresh or not hasattr(os, "fork"):
            done = subprocess.run(
                [sys.executable, script, *tokens],
                cwd=self.folder,
                env={**os.environ, **variables},
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            ended, printed = done.returncode, done.stdout + done.stderr
        else:
            ended, printed = warm(*self.libraries).run(self.folder, [script, *tokens])
        assert ended == status, printed
        return printed

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text that stands once in a file; without `old`, write the file."""
        path = self.folder / file
        if not old:
            path.write_text(new, encoding="utf-8")
            return
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new), encoding="utf-8")
        # Python takes kept bytecode for that of a file of the same size and second.
        Path(cache_from_source(str(path))).unlink(missing_ok=True)

    def copy(self, folder: Path) -> TrainingProject:
        """Copy the project with the runs it has recorded so far."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
        return TrainingProject(folder, self.libraries)

    def why(self, a: int | str = 1, b: int | str = 2) -> Explanation:
        """Ask the project's database why run `b` differs from run `a`."""
        return ato.why(a, b, db=str(self.folder / "experiments.db"))


def script_project(folder: Path, script: str, libraries: tuple[str, ...] = ()) -> TrainingProject:
    """Lay out a project of one script, `train.py`."""
    (folder / "train.py").write_text(script, encoding="utf-8")
    return TrainingProject(folder, libraries)


def aside(answer: Explanation, subject: str) -> Finding:
    """Find the one thing besides the causes that changed and has this subject."""
    (found,) = [f for f in answer.also_changed if f.change.subject == subject]
    return found
