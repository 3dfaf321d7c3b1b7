"""Which code is the project's own, and which distribution the rest belongs to."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from ato.code import cache

__all__ = [
    "Roots",
    "distributions_of",
    "installed_files",
    "is_installed_folder",
    "is_project_file",
    "origin_of",
    "project_roots",
    "relative_path",
]

Roots = tuple[str, ...]
Origin = Literal["project", "ato", "stdlib", "other"]

_INSTALLED = ("site-packages", "dist-packages")
_ATO = os.path.realpath(Path(__file__).parent.parent)


def project_roots() -> Roots:
    """The folders whose code is the project's: the entry script's, the current, editable installs."""
    folders = []
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if main:
        folders.append(_parent(main))
    with suppress(FileNotFoundError):  # the current folder was removed; nothing lies in it
        folders.append(_real(os.getcwd()))  # noqa: PTH109 (asked for every function)
    return tuple(dict.fromkeys((*folders, *_editable_roots(tuple(sys.path)))))


def is_project_file(path: str | Path, roots: Sequence[str | Path] | None = None) -> bool:
    """Whether a file is the project's own code.

    It lies under one of `roots` (by default `project_roots()`), and no other distribution's RECORD
    lists it. Neither the standard library nor Ato is anybody's project.
    """
    return _is_project_file(_real(os.fspath(path)), _given(roots), tuple(sys.path))


@functools.lru_cache(maxsize=10_000)
def relative_path(path: str, roots: Roots) -> str:
    """The path from the outermost root that holds it, in POSIX form; the path itself under none."""
    real = _real(path)
    holding = [root for root in roots if _under(real, root)]
    if not holding:
        return path
    return Path(os.path.relpath(real, min(holding, key=len))).as_posix()


def origin_of(module: str, path: str | None, roots: Roots) -> Origin:
    """Whose a module is, by its file, or by its name where it has no file."""
    top = module.partition(".")[0]
    if top == "ato":
        return "ato"
    if module == "__main__" and path is None:
        return "project"  # the prompt, a notebook
    if path is not None:
        if _is_project_file(_real(path), roots, tuple(sys.path)):
            return "project"
        if _real(path).startswith(_ATO + os.sep):
            return "ato"
    if top in sys.stdlib_module_names or top in sys.builtin_module_names or top == "__future__":
        return "stdlib"
    return "other"


def installed_files(roots: Roots) -> frozenset[str]:
    """The files below `roots` that belong to installed distributions."""
    return _recorded_files(roots, tuple(sys.path))


def is_installed_folder(folder: str) -> bool:
    """Whether a folder lies where distributions are installed."""
    return any(f"{os.sep}{name}{os.sep}" in folder + os.sep for name in _INSTALLED)


def distributions_of(module: str) -> tuple[str, ...]:
    """The distributions that provide a top-level module; its own name if no one claims it."""
    top = module.partition(".")[0]
    return tuple(_provided(tuple(sys.path)).get(top, [top]))


def _given(roots: Sequence[str | Path] | None) -> Roots:
    if roots is None:
        return project_roots()
    return tuple(_real(os.fspath(root)) for root in roots)


@functools.cache
def _parent(path: str) -> str:
    return str(Path(path).resolve().parent)


@functools.cache
def _real(path: str) -> str:
    return os.path.realpath(path)


def _under(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


@functools.lru_cache(maxsize=100_000)
def _is_project_file(path: str, roots: Roots, search: tuple[str, ...]) -> bool:
    if _under(path, _ATO):
        return False
    for root in roots:
        if _under(path, root) and not _installed_below(path, root):
            return path not in _recorded_files(roots, search)
    return False


def _installed_below(path: str, root: str) -> bool:
    if any(f"{os.sep}{name}{os.sep}" in path[len(root) :] for name in _INSTALLED):
        return True
    # A root that holds the whole interpreter (`/`, say) does not own the standard library.
    return any(_under(path, lib) and not _under(root, lib) for lib in _standard_library())


@functools.cache
def _standard_library() -> tuple[str, ...]:
    return tuple({_real(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")})


@functools.lru_cache(maxsize=64)
def _recorded_files(roots: Roots, search: tuple[str, ...]) -> frozenset[str]:
    """The files of distributions that are installed inside the project (`pip install --target`)."""
    found: set[str] = set()
    for entry in {_real(entry or os.curdir) for entry in search}:
        if any(_under(entry, root) for root in roots):
            for info in _infos(entry):
                if not _editable_target(info):
                    found.update(_files_of(info))
    return frozenset(found)


def _infos(folder: str) -> Iterator[Path]:
    with suppress(OSError):  # a search path may name a folder that is none
        yield from (item for item in Path(folder).iterdir() if item.suffix == ".dist-info")


def _files_of(info: Path) -> Iterator[str]:
    from importlib import metadata  # slow to import, and seldom needed

    for file in metadata.PathDistribution(info).files or ():
        yield os.path.realpath(str(file.locate()))


@functools.lru_cache(maxsize=8)
def _editable_roots(search: tuple[str, ...]) -> Roots:
    """Folders of editable installs: named by `direct_url.json`, or on the path by a `.pth` file."""
    found: list[str] = []
    for entry in search:
        if Path(entry).name not in _INSTALLED:
            continue
        found.extend(target for info in _infos(entry) if (target := _editable_target(info)))
        found.extend(_pth_folders(entry))
    # What lies in a folder of installed packages is installed, whatever a `.pth` file says.
    return tuple(dict.fromkeys(f for f in found if not any(name in f for name in _INSTALLED)))


def _editable_target(info: Path) -> str | None:
    try:
        data = json.loads((info / "direct_url.json").read_bytes())
        if data["dir_info"]["editable"]:
            return os.path.realpath(_path_of_url(data["url"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # an ordinary install: most have no such file
    return None


def _path_of_url(url: str) -> str:
    from urllib.parse import unquote, urlparse  # slow to import, and seldom needed

    path = unquote(urlparse(url).path)
    # `file:///C:/code` has a slash in front of the drive.
    return path.removeprefix("/") if os.name == "nt" else path


def _pth_folders(folder: str) -> Iterator[str]:
    for file in Path(folder).glob("*.pth"):
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            path = Path(folder, line.strip())
            if line.strip() and not line.startswith(("#", "import ")) and path.is_dir():
                yield str(path.resolve())


@functools.lru_cache(maxsize=8)
def _provided(search: tuple[str, ...]) -> dict[str, list[str]]:
    """Top-level modules and their distributions; reading them all takes long, so it is cached."""
    stamps = [(entry, _distribution_stamps(entry)) for entry in search]
    key = hashlib.sha256(repr(("distributions", stamps)).encode()).hexdigest()
    found = cache.load(key)
    if found is None:
        from importlib import metadata  # slow to import, and seldom needed

        found = {top: sorted(set(d)) for top, d in metadata.packages_distributions().items()}
        cache.store(key, found)
    return found


def _distribution_stamps(entry: str) -> list[tuple[str, int]]:
    """The distributions that a folder holds, with when they were installed.

    Not when the folder was changed: a run that writes its store beside the script changes that.
    """
    try:
        with os.scandir(entry) as items:
            return sorted(
                (item.name, item.stat().st_mtime_ns)
                for item in items
                if item.name.endswith((".dist-info", ".egg-info"))
            )
    except OSError:
        return []
