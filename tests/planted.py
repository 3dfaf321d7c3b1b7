"""A planted cause: one known change to a program, and what the answer must say of it.

The rows stand in `planted_torch.py`, `planted_shapes.py` and `planted_everyday.py`. `tests/explain/test_planted_table.py` asks
every one of them, `python -m benches why` counts how often the first cause is the planted one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ato.explain import Explanation
from projects import EXAMPLES, TrainingProject
from shapes import SHAPES

__all__ = ["Edit", "Planted", "baseline", "code", "config"]

_LIBRARIES = {
    "digits_torch": ("torch", "torch.utils.data", "torch._dynamo"),
    "digits": ("numpy",),
    "functional": ("numpy",),
    "notebook": ("numpy",),
    "assorted": ("numpy",),
    "seeded": ("numpy",),
}


@dataclass(frozen=True)
class Edit:
    """A text that stands once in a file, and what it becomes."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Planted:
    """A pair of runs of one program, and the cause that was planted between them.

    `first` edits make a baseline of its own, before run 1; `edits`, `tokens` and `variables` make
    run 2. `factor` and `subject` are those of the first cause, `also` the subjects of the others;
    `aside` gives the evidence for what changed and is no cause.
    """

    name: str
    program: str
    verdict: str
    factor: str | None = None
    subject: str | None = None
    evidence: str = "proven"
    kind: str | None = None
    edits: tuple[Edit, ...] = ()
    tokens: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    first_variables: dict[str, str] = field(default_factory=dict)
    first: tuple[Edit, ...] = ()
    also: tuple[str, ...] = ()
    aside: dict[str, str] = field(default_factory=dict)
    divergence: str | None = None
    status: int = 0
    fresh: bool = False

    def ask(self, baselines: Path, folder: Path) -> Explanation:
        """Make both runs in `folder` (the first is shared where it can be), and ask why."""
        if self.first or self.fresh or self.variables:
            project = _laid_out(self.program, folder)
            _apply(project, self.first)
            fresh = self.fresh or bool(self.variables)
            project.run(fresh=fresh, **self.first_variables)
        else:
            project = baseline(self.program, baselines).copy(folder)
        _apply(project, self.edits)
        project.run(*self.tokens, status=self.status, fresh=self.fresh, **self.variables)
        return project.why()

    def is_first(self, answer: Explanation) -> bool:
        """Whether the first cause is the planted one; where none was planted, whether none is named."""
        if self.factor is None:
            return not answer.causes and answer.verdict == self.verdict
        if not answer.causes:
            return False
        change = answer.causes[0].change
        return (change.factor, change.subject) == (self.factor, self.subject)

    def faults(self, answer: Explanation) -> list[str]:
        """All in which the answer is not what it should be."""
        found = []
        if answer.verdict != self.verdict:
            found.append(f"verdict {answer.verdict}, not {self.verdict}")
        named = [(f.change.factor, f.change.subject, f.evidence) for f in answer.causes]
        wanted = [] if self.factor is None else [(self.factor, self.subject, self.evidence)]
        if named[:1] != wanted:
            found.append(f"causes {named}, not {wanted}")
        if {name for _, name, _ in named[1:]} != set(self.also):
            found.append(f"other causes {named[1:]}, not {self.also}")
        if self.kind is not None and answer.causes and answer.causes[0].change.kind != self.kind:
            found.append(f"kind {answer.causes[0].change.kind}, not {self.kind}")
        aside = {f.change.subject: f.evidence for f in answer.also_changed}
        for subject, evidence in self.aside.items():
            if aside.get(subject) != evidence:
                found.append(f"{subject} is {aside.get(subject)}, not {evidence}")
        # What is installed besides changes while tests run; it is ruled out, and no matter here.
        installed = {
            f.change.subject
            for f in answer.also_changed
            if f.change.factor == "environment" and f.evidence == "ruled_out"
        }
        found += [
            f"{subject} is {aside[subject]} and should not be named"
            for subject in aside.keys() - self.aside.keys() - installed
        ]
        split = answer.first_divergence
        if self.divergence is not None and (split is None or split.kind != self.divergence):
            found.append(f"divergence {split and split.kind}, not {self.divergence}")
        return found


def baseline(program: str, folder: Path) -> TrainingProject:
    """A program with its first run recorded, made once for each folder."""
    place = folder / program
    if place.exists():
        return TrainingProject(place, _LIBRARIES.get(program, ()))
    project = _laid_out(program, place)
    project.run()
    return project


def _laid_out(program: str, folder: Path) -> TrainingProject:
    if program in SHAPES:
        for name, text in SHAPES[program].items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        return TrainingProject(folder, _LIBRARIES.get(program, ()))
    return TrainingProject(EXAMPLES / program, _LIBRARIES[program]).copy(folder)


def _apply(project: TrainingProject, edits: tuple[Edit, ...]) -> None:
    for edit in edits:
        project.edit(edit.file, edit.old, edit.new)


def code(  # noqa: PLR0913 (a row of the table)
    name: str,
    program: str,
    subject: str,
    file: str,
    old: str,
    new: str,
    kind: str = "logic",
    **rest: object,
) -> Planted:
    """A row in which one piece of code is edited and is the proven cause."""
    return Planted(
        name,
        program,
        "explained",
        "code",
        subject,
        kind=kind,
        edits=(Edit(file, old, new),),
        **rest,  # type: ignore[arg-type]
    )


def config(name: str, program: str, subject: str, *tokens: str, **rest: object) -> Planted:
    """A row in which a key is set on the command line and is the proven cause."""
    return Planted(
        name,
        program,
        "explained",
        "config",
        subject,
        kind="value",
        tokens=tokens,
        **rest,  # type: ignore[arg-type]
    )
