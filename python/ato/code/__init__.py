"""The code behind a result: fingerprints of functions and of everything of the project's own that
they reach.

libcst is loaded only when a file must be parsed whose text the cache does not know.
"""

from __future__ import annotations

from ato.code.changes import UnitChange, changed_units, kind_of_change, renamed_units
from ato.code.deep import fingerprint_code, is_project_object, module_body
from ato.code.model import CodeFingerprint, StateRef, Unit
from ato.code.project import is_project_file, project_roots
from ato.code.seen import KeptCode, Seen
from ato.code.source import capture_source

__all__ = [
    "CodeFingerprint",
    "KeptCode",
    "Seen",
    "StateRef",
    "Unit",
    "UnitChange",
    "capture_source",
    "changed_units",
    "fingerprint_code",
    "is_project_file",
    "is_project_object",
    "kind_of_change",
    "module_body",
    "project_roots",
    "renamed_units",
]
