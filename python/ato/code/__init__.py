"""The code behind a result: fingerprints of functions and of everything of the project's own that
they reach.

libcst is loaded only when a file must be parsed whose text the cache does not know.
"""

from __future__ import annotations

from ato.code.deep import fingerprint_code, is_project_object, module_body
from ato.code.model import CodeFingerprint, StateRef, Unit
from ato.code.project import is_project_file, project_roots
from ato.code.source import capture_source

__all__ = [
    "CodeFingerprint",
    "StateRef",
    "Unit",
    "capture_source",
    "fingerprint_code",
    "is_project_file",
    "is_project_object",
    "module_body",
    "project_roots",
]
