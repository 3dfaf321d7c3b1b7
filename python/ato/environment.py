"""What a run runs in: distributions, interpreter, hardware, determinism flags, threads, variables.

Nothing here initialises a GPU, imports a library or changes a setting: what is not loaded in the
process when the run opens is not asked.
"""

from __future__ import annotations

import hashlib
import json
import linecache
import os
import platform
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["capture", "is_listened_to", "normalised", "reached"]

# Variables that numerical libraries listen to. Prefixes, then whole names.
_VARIABLE_PREFIXES = (
    "BLIS_",
    "CUBLAS_",
    "CUDA_",
    "CUDNN_",
    "HIP_",
    "JAX_",
    "KMP_",
    "MKL_",
    "NCCL_",
    "NPY_",
    "NUMBA_",
    "NUMEXPR_",
    "NVIDIA_TF32_",
    "OMP_",
    "OPENBLAS_",
    "PYTORCH_",
    "ROCR_",
    "TF_",
    "TORCH_",
    "VECLIB_",
    "XLA_",
)
_VARIABLES = ("LANG", "LC_ALL", "LC_NUMERIC", "PYTHONHASHSEED", "PYTHONUTF8", "TZ")
# Where things lie is no factor, and a secret has no place in a record.
_NOT_RECORDED = re.compile(
    r"(?:^|_)(?:CACHE|DIR|FILE|HOME|KEY|PASSWORD|PATH|ROOT|SECRET|TOKEN)(?:$|_)"
)
# Of the variables that a project's own code names, those that say who runs it, and where.
_WHO_AND_WHERE = re.compile(
    r"(?:^|_)(?:ADDR|AUTH|CREDENTIALS|HOST|HOSTNAME|ID|PASS|PORT|PWD|RANK|URI|URL|USER)(?:$|_)"
)
_NAMED = re.compile(
    r"""\benviron\s*(?:\.\s*(?:get|pop|setdefault)\s*\(|\[)\s*["'](\w+)["']|\bgetenv\s*\(\s*["'](\w+)["']"""
)

_LIBRARIES = (str(Path(os.__file__).parent), str(Path(__file__).parent))
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"\bextra\s*==\s*['\"]([^'\"]+)['\"]")
_CACHE_FORMAT = 1


def capture() -> dict[str, Any]:
    """The environment as it is now, as plain JSON values.

    Returns:
        `distributions`: normalised name → `{"version", "requires": [normalised names]}`;
        `interpreter`, `hardware`, `flags`, `threads` and `variables`: name → value.
    """
    return {
        "distributions": _distributions(),
        "interpreter": _interpreter(),
        "hardware": {**_processor(), **_gpus()},
        "flags": _flags(),
        "threads": _threads(),
        "variables": _variables(),
    }


def reached(distributions: Mapping[str, Mapping[str, Any]], names: Iterable[str]) -> set[str]:
    """The distributions of `names` with all that they require, as far as they are installed.

    Args:
        distributions: `capture()["distributions"]`.
        names: distribution names, in any spelling.
    """
    found: set[str] = set()
    waiting = [normalised(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in distributions and name not in found:
            found.add(name)
            waiting += distributions[name]["requires"]
    return found


def normalised(name: str) -> str:
    """A distribution's name in the spelling in which names are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _distributions() -> dict[str, dict[str, Any]]:
    # A distribution that is updated gets another folder name, so that the names are key enough.
    folders = [(entry, names) for entry in sys.path if (names := _metadata_folders(entry))]
    key = hashlib.sha256(repr((_CACHE_FORMAT, folders)).encode("utf-8", "replace")).hexdigest()
    kept = _cache_folder() / f"distributions-{key[:32]}.json"
    found = _read_kept(kept)
    if found is None:
        found = _read_all(folders)
        _keep(kept, found)
    return found


def _metadata_folders(entry: str) -> list[str]:
    """The names of the metadata folders in a `sys.path` entry; an `.egg-info` with its mtime."""
    names: list[str] = []
    try:
        with os.scandir(entry or ".") as items:
            for item in items:
                if item.name.endswith(".dist-info"):
                    names.append(item.name)
                elif item.name.endswith(".egg-info"):  # its name need not tell the version
                    names.append(f"{item.name}/{item.stat().st_mtime_ns}")
    except OSError:  # an entry may be a zip file, or name no folder at all
        return []
    return sorted(names)


def _read_all(folders: list[tuple[str, list[str]]]) -> dict[str, dict[str, Any]]:
    headers: dict[str, tuple[str, list[str]]] = {}
    for entry, names in folders:
        for name in names:
            found = _read_metadata(Path(entry, name.partition("/")[0]))
            if found is not None:  # the first on the path is the one that is imported
                headers.setdefault(normalised(found[0]), (found[1], found[2]))
    asked = _extras_asked_for(requirements for _, requirements in headers.values())
    return {
        name: {"version": version, "requires": _required(requirements, asked.get(name, set()))}
        for name, (version, requirements) in sorted(headers.items())
    }


def _read_metadata(folder: Path) -> tuple[str, str, list[str]] | None:
    """Name, version and `Requires-Dist` lines; by hand, since an e-mail parser takes ten times as long."""
    for file in (folder / "METADATA", folder / "PKG-INFO", folder):
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
            break
        except OSError:  # the next place; an old egg-info is itself the file
            continue
    else:
        return None
    fields: dict[str, list[str]] = {}
    for line in text.splitlines():
        if not line:  # the description follows
            break
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.lower(), []).append(value.strip())
    if "name" not in fields:
        return None
    version = fields.get("version", ["unknown"])[0]
    return fields["name"][0], version, fields.get("requires-dist", [])


def _extras_asked_for(every: Iterable[list[str]]) -> dict[str, set[str]]:
    """Name → the extras with which some installed distribution requires it."""
    asked: dict[str, set[str]] = {}
    for requirements in every:
        for requirement in requirements:
            match = _REQUIREMENT.match(requirement)
            if match and match[2]:
                extras = {normalised(extra.strip()) for extra in match[2].split(",")}
                asked.setdefault(normalised(match[1]), set()).update(extras)
    return asked


def _required(requirements: list[str], extras: set[str]) -> list[str]:
    """The names required, those of other extras (tests, documentation) left out."""
    names: set[str] = set()
    for requirement in requirements:
        wanted = {normalised(extra) for extra in _EXTRA.findall(requirement)}
        match = _REQUIREMENT.match(requirement)
        if match and (not wanted or wanted & extras):
            names.add(normalised(match[1]))
    return sorted(names)


def _cache_folder() -> Path:
    named = os.environ.get("ATO_CACHE_DIR")
    if named:
        return Path(named)
    base = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ato"


def _read_kept(path: Path) -> dict[str, dict[str, Any]] | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there yet, or damaged: made anew
        return None
    return kept if isinstance(kept, dict) else None


def _keep(path: Path, found: dict[str, dict[str, Any]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Renamed into place, so that no other process reads half a file.
        descriptor, draft = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(found, file)
        Path(draft).replace(path)
    except (
        OSError
    ):  # without a cache the next run takes some 100 ms longer, and is right all the same
        return


def _interpreter() -> dict[str, Any]:
    found: dict[str, Any] = {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": sys.platform,
        "libc": _libc(),
        "optimize": sys.flags.optimize,
    }
    gil_enabled = getattr(sys, "_is_gil_enabled", None)
    if gil_enabled is not None:
        found["gil"] = gil_enabled()
    return found


@cache
def _libc() -> str | None:
    # Mathematical functions of another C library round otherwise.
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):  # another system
        return None


@cache
def _processor() -> dict[str, Any]:
    return {"cpu": _cpu_model(), "architecture": platform.machine(), "cores": os.cpu_count()}


def _cpu_model() -> str | None:
    if sys.platform == "linux":
        try:
            with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
                start = file.read(4096)  # the first core is enough; there may be hundreds
        except OSError:
            return None
        match = re.search(r"^model name\s*:\s*(.*)$", start, re.MULTILINE)
        return match[1].strip() if match else None
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (fixed)
        return answer.stdout.strip() or None
    return os.environ.get("PROCESSOR_IDENTIFIER")


def _gpus() -> dict[str, Any]:
    """The names of the GPUs; asked of the driver's files, since CUDA would have to be initialised."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    names = list(_gpu_models())
    if not names and torch.cuda.is_initialized():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {"gpus": names} if names else {}


def _gpu_models() -> Iterator[str]:
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            match = re.search(r"^Model:\s*(.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        except OSError:  # the device was taken away meanwhile
            continue
        if match:
            yield match[1].strip()


def _flags() -> dict[str, Any]:
    """The settings of torch that decide whether, and how exactly, it computes the same again."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    questions: dict[str, Callable[[], Any]] = {
        "torch.use_deterministic_algorithms": torch.are_deterministic_algorithms_enabled,
        "torch.backends.cudnn.deterministic": lambda: torch.backends.cudnn.deterministic,
        "torch.backends.cudnn.benchmark": lambda: torch.backends.cudnn.benchmark,
        "torch.backends.cudnn.allow_tf32": lambda: torch.backends.cudnn.allow_tf32,
        "torch.backends.cuda.matmul.allow_tf32": lambda: torch.backends.cuda.matmul.allow_tf32,
        "torch.float32_matmul_precision": torch.get_float32_matmul_precision,
        "torch.default_dtype": lambda: str(torch.get_default_dtype()),
    }
    return _answers(questions)


def _threads() -> dict[str, Any]:
    found: dict[str, Any] = {}
    if hasattr(os, "sched_getaffinity"):
        found["cpus"] = len(os.sched_getaffinity(0))
    torch = sys.modules.get("torch")
    if torch is not None:
        questions = {
            "torch.num_threads": torch.get_num_threads,
            "torch.num_interop_threads": torch.get_num_interop_threads,
        }
        found.update(_answers(questions))
    return found


def _answers(questions: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """The answers of a library; what this version of it cannot say is left out."""
    found: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer releases deprecate some of the names
        for name, ask in questions.items():
            try:
                found[name] = ask()
            except (AttributeError, RuntimeError):
                continue
    return found


def is_listened_to(name: str) -> bool:
    """Whether libraries listen to a variable by themselves; any other was recorded because the
    project's code names it."""
    return name in _VARIABLES or name.startswith(_VARIABLE_PREFIXES)


def _variables() -> dict[str, str]:
    named = _named_by_project()
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if name in _VARIABLES
        or ((is_listened_to(name) or name in named) and not _NOT_RECORDED.search(name))
    }


def _named_by_project() -> set[str]:
    """The variables that the modules of the project name where they read the environment."""
    found: set[str] = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py") or "-packages" in file:
            continue
        if file.startswith(_LIBRARIES):
            continue
        text = "".join(linecache.getlines(file))
        if "environ" in text or "getenv" in text:
            found.update(one or other for one, other in _NAMED.findall(text))
    return {name for name in found if not _WHO_AND_WHERE.search(name)}
