"""Fingerprints of files."""

from __future__ import annotations

import os

from ato._core import digest_file
from ato.fingerprints.types import Fingerprint

__all__ = ["fingerprint_file"]


def fingerprint_file(path: str | os.PathLike[str]) -> Fingerprint:
    """Fingerprint the content of a file by its BLAKE3 digest, which is what `b3sum` prints.

    Raises:
        OSError: the file cannot be opened or read.
    """
    return Fingerprint(digest_file(os.fspath(path)), "blake3")
