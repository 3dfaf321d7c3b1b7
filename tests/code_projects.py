"""Small project folders whose code is fingerprinted in fresh processes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_REPORT = """
import importlib, json, sys
from ato.code import fingerprint_code, module_body
target = sys.argv[1]
module = importlib.import_module(sys.argv[2])
value = module
for name in target.split("."):
    value = vars(value)[name] if isinstance(value, type) else getattr(value, name)
code = fingerprint_code(value)
print(json.dumps({
    "text": code.text, "logic": code.logic, "deep": code.deep, "bytecode": code.bytecode,
    "units": {unit.subject: [unit.kind, unit.logic, unit.value, unit.deep] for unit in code.units},
    "first": code.units[0].subject, "files": {u.subject: u.file for u in code.units},
    "gaps": code.gaps, "distributions": code.distributions,
    "state": [ref.label for ref in code.state], "libcst": "libcst" in sys.modules,
    "loaded": [name for name in ("numpy", "torch") if name in sys.modules],
}))
"""


@dataclass
class Reported:
    """What one process said of one function."""

    text: str
    logic: str
    deep: str
    bytecode: str | None
    units: dict[str, list[Any]]
    first: str
    files: dict[str, str]
    gaps: list[str]
    distributions: list[str]
    state: list[str]
    libcst: bool
    loaded: list[str] = field(default_factory=list)


def write_files(folder: Path, files: dict[str, str]) -> Path:
    """Write the files of a project; their texts may be indented."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


def report(
    folder: Path,
    target: str,
    module: str = "train",
    *,
    python: str = sys.executable,
    cache: Path | None = None,
    as_script: bool = False,
) -> Reported:
    """Fingerprint `module.target` of the project in a new process with another hash seed.

    With `as_script` the module is run as the entry script, and fingerprints itself at its end.
    """
    script = folder / "_report.py"
    script.write_text(_REPORT, encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONHASHSEED": str(random.randrange(1, 2**32)),
        "ATO_CACHE_DIR": str(cache if cache is not None else folder.parent / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if as_script:
        text = (folder / f"{module}.py").read_text(encoding="utf-8")
        ending = f"import sys; sys.argv[1:] = [{target!r}, '__main__']; exec({_REPORT!r}, {{}})"
        (folder / f"{module}.py").write_text(f"{text}\n{ending}\n", encoding="utf-8")
        command = [python, f"{module}.py"]
    else:
        command = [python, script.name, target, module]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return Reported(**json.loads(done.stdout.splitlines()[-1]))


def changed_units(a: Reported, b: Reported) -> list[str]:
    """The subjects of the units that both have and whose own logic differs."""
    return sorted(
        name for name in a.units.keys() & b.units.keys() if a.units[name][1:3] != b.units[name][1:3]
    )
