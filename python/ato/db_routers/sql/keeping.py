"""The bytes of artifacts, kept beside the database under their BLAKE3: equal files are kept once."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from ato.db_routers.sql import journals
from ato.db_routers.sql.drain import drained
from ato.db_routers.sql.reading import resolve_run
from ato.db_routers.sql.schema import Artifact
from ato.exceptions import StoreError
from ato.fingerprints import fingerprint_file

__all__ = [
    "ArtifactState",
    "folder_of",
    "keep_bytes",
    "keep_file",
    "kept_path",
    "restore",
    "verify",
]

# The types of artifacts that were made for the store and have no file of their own.
MADE = ("table", "figure")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ArtifactState(NamedTuple):
    """A file of an artifact: `state` is `same`, `missing`, `changed` or `reference` (never digested).

    `kept` says whether this is about the copy beside the database or about the path as it was logged.
    """

    artifact: int
    path: str
    kept: bool
    state: str


def folder_of(engine: Engine) -> Path:
    """Where kept bytes lie: beside the file of a store, for a server's in the user's state folder."""
    beside = journals.folder_of(engine)
    if beside.name.endswith(".journals"):
        return beside.with_name(beside.name.removesuffix(".journals") + ".artifacts")
    return beside.parent.parent / "artifacts" / beside.name


def kept_path(engine: Engine, digest: str) -> Path:
    """Where the bytes with this digest lie, if they are kept.

    Raises:
        StoreError: the text is no digest; a path made of it could lead anywhere.
    """
    if _DIGEST.fullmatch(digest) is None:
        raise StoreError(f"{digest!r} is no BLAKE3 digest, so no artifact is kept under it")
    return folder_of(engine) / digest[:2] / digest


def keep_file(engine: Engine, path: Path) -> tuple[int, str]:
    """Keep the bytes of a file; returns their number and digest.

    What is digested is the copy, so that the two agree whoever writes to the file meanwhile.

    Raises:
        StoreError: the copy cannot be written.
    """
    draft = _draft(engine)
    try:
        shutil.copyfile(path, draft)
        return _put(engine, draft)
    except OSError as error:
        raise StoreError(f"{path} cannot be kept in {folder_of(engine)}: {error}") from error
    finally:
        draft.unlink(missing_ok=True)


def keep_bytes(engine: Engine, content: bytes) -> tuple[int, str]:
    """Keep some bytes; returns their number and digest.

    Raises:
        StoreError: they cannot be written.
    """
    draft = _draft(engine)
    try:
        draft.write_bytes(content)
        return _put(engine, draft)
    except OSError as error:
        raise StoreError(f"nothing can be kept in {folder_of(engine)}: {error}") from error
    finally:
        draft.unlink(missing_ok=True)


def _draft(engine: Engine) -> Path:
    folder = folder_of(engine)
    try:
        # Beside a file: the folder of a store that is not there is not made by its artifacts.
        folder.mkdir(parents=engine.url.get_backend_name() != "sqlite", exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".draft-", dir=folder)
    except OSError as error:
        raise StoreError(f"nothing can be kept in {folder}: {error}") from error
    os.close(descriptor)
    return Path(name)


def _put(engine: Engine, draft: Path) -> tuple[int, str]:
    size, digest = draft.stat().st_size, fingerprint_file(draft).hex
    target = kept_path(engine, digest)
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        draft.chmod(0o444)
        draft.replace(target)
    return size, digest


def restore(engine: Engine, artifact: Artifact, target: Path) -> None:
    """Write what was kept of an artifact to `target`: a file, or a folder that does not exist yet.

    Raises:
        StoreError: it was not kept, its bytes are gone, or its tree leads out of the folder.
    """
    if not artifact.kept or artifact.digest is None:
        raise StoreError(f"the bytes of {artifact.path!r} were not kept (log it with copy=True)")
    if artifact.kind == "file":
        files = {target: artifact.digest}
    else:
        files = {target / name: digest for name, (_, digest) in (artifact.tree or {}).items()}
    root = target.resolve()
    for path, digest in files.items():
        if path != target and root not in path.resolve().parents:
            raise StoreError(f"{path} is outside of {target}; nothing was written")
        if not kept_path(engine, digest).exists():
            raise StoreError(f"the bytes of {path} are gone from {folder_of(engine)}")
    if artifact.kind != "file":
        target.mkdir(parents=True)
    for path, digest in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept_path(engine, digest), path)


def verify(engine: Engine, run: int | str, root: Path | None = None) -> list[ArtifactState]:
    """Digest the artifacts of a run again, where they were and where they are kept.

    Args:
        run: an id, a name or `latest`.
        root: what relative paths are relative to, otherwise the current folder.

    Raises:
        UnknownRunError: there is no such run.
    """
    run_id = resolve_run(engine, run)
    query = select(Artifact).where(Artifact.run_id == run_id).order_by(Artifact.id)
    with Session(drained(engine), expire_on_commit=False) as session:
        artifacts = list(session.scalars(query))
    return [state for artifact in artifacts for state in _states(engine, artifact, root or Path())]


def _states(engine: Engine, artifact: Artifact, root: Path) -> list[ArtifactState]:
    if artifact.digest is None:
        return [ArtifactState(artifact.id, artifact.path, False, "reference")]
    digests = {artifact.path: artifact.digest}
    if artifact.kind == "directory":
        tree = artifact.tree or {}
        digests = {f"{artifact.path}/{name}": digest for name, (_, digest) in tree.items()}
    found = []
    for path, digest in digests.items():
        # A table or a figure has no file but the kept one.
        if not (artifact.kept and artifact.data_type in MADE):
            found.append(ArtifactState(artifact.id, path, False, _state(root / path, digest)))
        if artifact.kept:
            kept = _state(kept_path(engine, digest), digest)
            found.append(ArtifactState(artifact.id, path, True, kept))
    return found


def _state(path: Path, digest: str) -> str:
    if not path.is_file():
        return "missing"
    return "same" if fingerprint_file(path).hex == digest else "changed"
