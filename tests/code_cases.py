"""Many small edits of small projects, fingerprinted before and after in two processes.

One process takes all the projects as they were before, another one all as they are afterwards, with
other hash seeds and in other folders. Each function is fingerprinted in both places in which it can
live: in an imported module, and in `__main__`.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from code_projects import write_files

__all__ = ["PLACES", "Answers", "Case", "Seen", "check", "evaluate", "logic", "other", "same"]

PLACES = ("imported", "__main__")

Expected = Literal["same", "logic", "deep"]

_BATCH = """
import gc, importlib, json, os, sys, traceback, types, warnings
from importlib.machinery import SourceFileLoader
from ato.code import fingerprint_code

warnings.simplefilter("ignore", SyntaxWarning)
own = types.ModuleType("__main__")

def load(folder, place):
    if place == "imported":
        sys.modules["__main__"] = own
        return importlib.import_module("train")
    path = os.path.join(folder, "train.py")
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    module.__file__, module.__loader__ = path, SourceFileLoader("__main__", path)
    with open(path, encoding="utf-8") as file:
        exec(compile(file.read(), path, "exec", dont_inherit=True), vars(module))
    return module

def seen(folder, place, target):
    value = load(folder, place)
    for name in target.split("."):
        value = vars(value)[name] if isinstance(value, type) else getattr(value, name)
    code = fingerprint_code(value)
    return {
        "logic": code.logic, "deep": code.deep, "bytecode": code.bytecode, "gaps": code.gaps,
        "units": {unit.subject: [unit.logic, unit.value, unit.deep] for unit in code.units},
        "state": [ref.label for ref in code.state], "distributions": code.distributions,
    }

found = {}
start = set(sys.modules)
for name, folder, target in json.load(sys.stdin):
    for place in ("imported", "__main__"):
        sys.path.insert(0, folder)
        os.chdir(folder)
        importlib.invalidate_caches()
        try:
            found[f"{name} {place}"] = seen(folder, place, target)
        except Exception:
            found[f"{name} {place}"] = {"error": traceback.format_exc()}
        for module in set(sys.modules) - start:
            known = vars(sys.modules[module])
            places = [known.get("__file__") or "", *known.get("__path__", [])]
            if any(at.startswith(folder) for at in places):
                del sys.modules[module]
        sys.path.remove(folder)
json.dump(found, sys.stdout)
"""


@dataclass(frozen=True)
class Case:
    """An edit, and what it may change of the fingerprint of `train.<target>`.

    `same`: nothing; `logic`: the function's own logic; `deep`: only what it reaches, and then
    `charged` are the subjects of the units whose own part differs.
    """

    before: dict[str, str]
    after: dict[str, str]
    expected: Expected
    charged: tuple[str, ...] = ()
    target: str = "f"
    target_after: str = ""


@dataclass(frozen=True)
class Seen:
    """What one process said of one function."""

    logic: str
    deep: str
    bytecode: str | None
    gaps: list[str]
    units: dict[str, list[Any]]
    state: list[str]
    distributions: list[str]


Answers = dict[tuple[str, str], tuple[Seen, Seen]]
Files = dict[str, str] | str


def same(before: Files, after: Files, target: str = "f", target_after: str = "") -> Case:
    """Two ways to write one computation."""
    return Case(_files(before), _files(after), "same", (), target, target_after)


def logic(before: Files, after: Files, target: str = "f") -> Case:
    """Two computations."""
    return Case(_files(before), _files(after), "logic", (), target)


def other(files: Files, old: str, new: str, *charged: str, target: str = "f") -> Case:
    """An edit of what the function reaches: in the one place where `old` stands."""
    before = _files(files)
    holders = [name for name, text in before.items() if old in text]
    assert len(holders) == 1, f"{old!r} must stand in one file"
    assert before[holders[0]].count(old) == 1, f"{old!r} must stand there once"
    after = {**before, holders[0]: before[holders[0]].replace(old, new)}
    return Case(before, after, "deep" if charged else "same", charged, target)


def _files(given: Files) -> dict[str, str]:
    return {"train.py": given} if isinstance(given, str) else given


def evaluate(cases: dict[str, Case], folder: Path) -> Answers:
    """Fingerprint every case before and after its edit, in both places."""
    with ThreadPoolExecutor(2) as pool:
        before, after = pool.map(lambda when: _batch(cases, folder, when), ("before", "after"))
    answers: Answers = {}
    for name in cases:
        for place in PLACES:
            pair = before[f"{name} {place}"], after[f"{name} {place}"]
            for report in pair:
                assert "error" not in report, f"{name}, {place}: {report['error']}"
            answers[name, place] = Seen(**pair[0]), Seen(**pair[1])
    return answers


def _batch(cases: dict[str, Case], folder: Path, when: Literal["before", "after"]) -> Any:
    asked = []
    for number, (name, case) in enumerate(cases.items()):
        files, target = case.before, case.target
        if when == "after":
            files, target = case.after, case.target_after or case.target
        # Nothing of where the project lies may count, so that the folders have nothing in common.
        place = write_files(folder / when / f"{when[0]}{number}", files)
        asked.append((name, str(place), target))
    script = folder / f"{when}.py"
    script.write_text(_BATCH, encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONHASHSEED": str(random.randrange(1, 2**32)),
        "ATO_CACHE_DIR": str(folder / f"cache of {when}"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, str(script)],
        input=json.dumps(asked),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(case: Case, place: str, before: Seen, after: Seen) -> None:
    """Assert that the fingerprints differ as the case says, and nowhere else."""
    found = {
        "logic": before.logic != after.logic,
        "deep": before.deep != after.deep,
        "charged": changed_subjects(before, after),
    }
    if case.expected == "logic":
        assert found == {"logic": True, "deep": True, "charged": found["charged"]}
        return
    differs = case.expected == "deep"
    assert found == {"logic": False, "deep": differs, "charged": sorted(case.charged)}, place


def changed_subjects(before: Seen, after: Seen) -> list[str]:
    """The units that both have and whose own logic or value differs."""
    shared = before.units.keys() & after.units.keys()
    return sorted(name for name in shared if before.units[name][:2] != after.units[name][:2])
