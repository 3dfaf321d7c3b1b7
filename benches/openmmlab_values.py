"""Loads config files with one of two loaders and prints what each holds, a JSON line per file.

Runs in the environment of `openmmlab.py`, which has mmengine and the wheels with the configs:
`python openmmlab_values.py mmengine|ato folder-of-ato < paths`.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def normal(value: Any) -> Any:
    """Form of a value that JSON keeps exactly: types are told apart, the order of keys is not."""
    if isinstance(value, Mapping):
        items = [[normal(key), normal(item)] for key, item in value.items()]
        return ["mapping", *sorted(items, key=json.dumps)]
    if type(value) in (list, tuple):
        return [type(value).__name__, *map(normal, value)]
    if type(value) in (set, frozenset):
        return [type(value).__name__, *sorted(map(normal, value), key=json.dumps)]
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, FunctionType):
        # A function of the config itself; the two execute it as modules of different names.
        return ["function", value.__qualname__]
    if isinstance(value, type) or callable(value):
        return ["object", f"{value.__module__}.{value.__qualname__}"]
    return [type(value).__name__, ADDRESS.sub("", repr(value))]


def with_mmengine(path: str) -> Any:
    """The values as `mmengine` has them; modules named in `custom_imports` are not imported."""
    from mmengine.config import Config

    return Config.fromfile(path, import_custom_modules=False).to_dict()


def with_ato(path: str) -> Any:
    """The values as Ato has them."""
    from ato import ADict

    return ADict.from_mm_config(path).to_dict()


def answer(load: Callable[[str], Any], path: str) -> dict[str, Any]:
    """What `load` makes of the file: its values, or the error."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return {"path": path, "value": normal(load(path))}
    except (Exception, SystemExit) as error:
        return {"path": path, "error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Answer for every path on standard input."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    # Behind the environment's own packages.
    sys.path.append(sys.argv[2])
    load = {"mmengine": with_mmengine, "ato": with_ato}[sys.argv[1]]
    for line in sys.stdin:
        print(json.dumps(answer(load, line.rstrip("\n"))), flush=True)


if __name__ == "__main__":
    main()
