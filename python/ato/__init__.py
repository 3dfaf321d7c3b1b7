"""Ato: why did this result change?

Everything is imported when it is first used: `import ato` loads neither NumPy, torch, libcst nor
SQLAlchemy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ato.events import when_run_opens

if TYPE_CHECKING:
    from ato.adict import ADict
    from ato.code import fingerprint_code
    from ato.db_routers.sql.manager import SQLFinder, SQLLogger
    from ato.explain import why
    from ato.fingerprints import (
        Fingerprint,
        digest_array,
        fingerprint,
        fingerprint_file,
        relative_distance,
    )
    from ato.hyperopt import HyperBand
    from ato.scope import MultiScope, Scope
    from ato.trace import record, unwatch, watch

__version__ = "0.1.0"

_ROOMS = {
    "ADict": "ato.adict",
    "Fingerprint": "ato.fingerprints",
    "HyperBand": "ato.hyperopt",
    "MultiScope": "ato.scope",
    "SQLFinder": "ato.db_routers.sql.manager",
    "SQLLogger": "ato.db_routers.sql.manager",
    "Scope": "ato.scope",
    "digest_array": "ato.fingerprints",
    "fingerprint": "ato.fingerprints",
    "fingerprint_code": "ato.code",
    "fingerprint_file": "ato.fingerprints",
    "record": "ato.trace",
    "relative_distance": "ato.fingerprints",
    "unwatch": "ato.trace",
    "watch": "ato.trace",
    "why": "ato.explain",
}

__all__ = [
    "ADict",
    "Fingerprint",
    "HyperBand",
    "MultiScope",
    "SQLFinder",
    "SQLLogger",
    "Scope",
    "digest_array",
    "fingerprint",
    "fingerprint_code",
    "fingerprint_file",
    "record",
    "relative_distance",
    "unwatch",
    "watch",
    "why",
]

# A run that opens asks the tracers for what they know, also where only the logger was imported.
when_run_opens("ato.trace.runtime:start_states")
when_run_opens("ato.trace.static:run_opened")
when_run_opens("ato.trace.watching:run_opened")
when_run_opens("ato.trace.executed:run_opened")
when_run_opens("ato.trace.files:run_opened")


def __getattr__(name: str) -> Any:
    room = _ROOMS.get(name)
    if room is None:
        raise AttributeError(f"module 'ato' has no attribute {name!r}")
    value = getattr(import_module(room), name)
    if name == "SQLLogger":
        import_module("ato.trace")  # the data that a script reads before its run opens counts
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
