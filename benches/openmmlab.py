"""Every config of three OpenMMLab packages, loaded by `mmengine` and by Ato: are the values equal?

    python -m benches.openmmlab

The packages are installed from the package index into a virtual environment of their own, without
what they need to train; in it both loaders run, as scripts. What mmengine gave is kept beside the
environment, and asked for again only where the pins change. Exit status 0 if Ato gives the same
values as mmengine for every file that mmengine loads.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ato

CONFIGS = {
    "mmdet": "mmdet==3.3.0",
    "mmpretrain": "mmpretrain==1.2.0",
    "mmseg": "mmsegmentation==1.2.2",
}
LOADER = "mmengine-lite==0.10.7"
# mmengine asks `pkg_resources` where the package of a `package::path` base lies; newer releases of
# setuptools no longer have it.
NEEDED = ["addict", "numpy", "packaging", "pyyaml", "rich", "setuptools<81", "termcolor", "yapf"]
SCRIPT = Path(__file__).with_name("openmmlab_values.py")
WORKERS = 2
SHOWN = 10

Answers = dict[str, dict[str, Any]]


def main() -> int:
    """Compare, and print a line per package; 1 where a value differs."""
    folder = _folder()
    interpreter = _environment(folder)
    site = _site_packages(interpreter)
    files = {package: _configs(site / package) for package in CONFIGS}
    everything = [file for found in files.values() for file in found]
    theirs = _kept(folder / "mmengine.jsonl", interpreter, everything)
    ours = _ask(interpreter, "ato", everything)
    print(
        f"{'':24}{'files':>8}{'mmengine':>10}{'equal':>8}{'different':>11}{'refused':>9}{'more':>7}"
    )
    total: Counter[str] = Counter()
    for package, found in files.items():
        counts = Counter(_verdict(theirs[file], ours[file]) for file in found)
        total += counts
        _print(CONFIGS[package], counts)
    _print("all", total)
    wrong = [file for file in everything if _verdict(theirs[file], ours[file]) in _WRONG]
    for file in wrong[:SHOWN]:
        print(f"\n{file}\n  {_reason(theirs[file], ours[file])}")
    return 1 if wrong else 0


_EQUAL, _DIFFERENT, _REFUSED, _MORE, _NEITHER = "equal", "different", "refused", "more", "neither"
_WRONG = (_DIFFERENT, _REFUSED)


def _verdict(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    if "error" in theirs:
        return _NEITHER if "error" in ours else _MORE
    if "error" in ours:
        return _REFUSED
    return _EQUAL if theirs["value"] == ours["value"] else _DIFFERENT


def _print(name: str, counts: Counter[str]) -> None:
    loaded = counts[_EQUAL] + counts[_DIFFERENT] + counts[_REFUSED]
    print(
        f"{name:24}{counts.total():>8,}{loaded:>10,}{counts[_EQUAL]:>8,}{counts[_DIFFERENT]:>11,}"
        f"{counts[_REFUSED]:>9,}{counts[_MORE]:>7,}"
    )


def _reason(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    if "error" in ours:
        return str(ours["error"])
    path, left, right = next(_differences(theirs["value"], ours["value"], ""))
    return f"{path or 'the whole'}: mmengine {left}, ato {right}"


def _differences(a: Any, b: Any, path: str) -> Iterator[tuple[str, str, str]]:
    if a == b:
        return
    if isinstance(a, list) and isinstance(b, list) and a[:1] == b[:1] == ["mapping"]:
        left = {json.dumps(key): value for key, value in a[1:]}
        right = {json.dumps(key): value for key, value in b[1:]}
        for key in left | right:
            yield from _differences(left.get(key), right.get(key), f"{path}[{key}]")
        return
    yield path, json.dumps(a)[:200], json.dumps(b)[:200]


def _configs(package: Path) -> list[str]:
    """The Python configs that a package brings; its `.yml` files are a table of trained models."""
    return sorted(map(str, (package / ".mim" / "configs").rglob("*.py")))


def _kept(file: Path, interpreter: Path, paths: list[str]) -> Answers:
    """What mmengine makes of the configs, from the file where it was kept."""
    if not file.exists():
        beside = file.with_suffix(".part")
        lines = [json.dumps(answer) for answer in _ask(interpreter, "mmengine", paths).values()]
        beside.write_text("\n".join(lines))
        beside.replace(file)
    return {answer["path"]: answer for answer in map(json.loads, file.read_text().splitlines())}


def _ask(interpreter: Path, loader: str, paths: list[str]) -> Answers:
    """What a loader makes of the configs, in some processes at a time."""
    shares = [paths[start::WORKERS] for start in range(WORKERS)]
    with ThreadPoolExecutor(WORKERS) as pool:
        answers = pool.map(lambda share: _process(interpreter, loader, share), shares)
        return {answer["path"]: answer for share in answers for answer in share}


def _process(interpreter: Path, loader: str, paths: list[str]) -> list[dict[str, Any]]:
    root = Path(ato.__file__).parents[1]
    done = subprocess.run(
        [interpreter, "-W", "ignore", SCRIPT, loader, root],
        input="\n".join(paths),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


# -------------------------------------------------------------------- the environment


def _folder() -> Path:
    """The folder of the environment with these pins."""
    pins = " ".join([*CONFIGS.values(), LOADER, *NEEDED, SCRIPT.read_text(encoding="utf-8")])
    name = hashlib.blake2s(pins.encode(), digest_size=4).hexdigest()
    base = Path(os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir())
    return base / f"ato-benches-openmmlab-{name}-py{sys.version_info.minor}"


def _environment(folder: Path) -> Path:
    """The interpreter of an environment that holds mmengine and the configs."""
    interpreter = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "installed"
    if done.exists():
        return interpreter
    uv = shutil.which("uv")
    if uv:
        make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
        install = [uv, "pip", "install", "--quiet", "--python", str(interpreter)]
    else:
        make = [sys.executable, "-m", "venv", "--clear", str(folder)]
        install = [str(interpreter), "-m", "pip", "install", "--quiet"]
    # Without what they depend on: torch and OpenCV are not needed to read a config.
    for step in (make, [*install, "--no-deps", LOADER, *CONFIGS.values()], [*install, *NEEDED]):
        subprocess.run(step, check=True)
    done.touch()
    return interpreter


def _site_packages(interpreter: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([interpreter, "-c", code], check=True, capture_output=True, text=True)
    return Path(done.stdout.strip())


if __name__ == "__main__":
    sys.exit(main())
