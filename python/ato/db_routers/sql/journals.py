"""The journals beside a store: where they lie, how they are called, what their records mean.

Each process that writes to a run has one; `ato._core.Journal` is the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import socket
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy import Engine

from ato._core import journal_is_held
from ato.db_routers.sql.redaction import state_folder
from ato.exceptions import StoreError

__all__ = [
    "ARTIFACT",
    "CALL",
    "CODE",
    "INPUT",
    "OPENING",
    "RUN",
    "START",
    "SUFFIX",
    "Writer",
    "folder_of",
    "folders_of",
    "host_name",
    "is_held",
    "journals_of",
    "last_written",
    "lie_in",
    "new_path",
    "unopened_folder",
]

# The kinds of rows in a journal. A cell that is named `json` holds a JSON document.
CALL = 16  # `rows.call_cells`
CODE = 17  # json: `code_rows.CodeRows`
INPUT = 18  # path, size, mtime, digest, ident, position
START = 19  # json: the states of the random generators
RUN = 20  # json: columns of the run's row that change
ARTIFACT = 21  # json: columns of `schema.Artifact`
OPENING = 22  # json: `opening.describe_run`, of a run that has no row yet

SUFFIX = ".journal"

_ODD = re.compile(r"[^A-Za-z0-9_.]+")


@cache
def host_name() -> str:
    """This machine's name."""
    return socket.gethostname()


@dataclass(frozen=True, slots=True)
class Writer:
    """Whose records a journal holds. `start` is the run's own, in seconds: it tells runs with one id apart."""

    run_id: int
    attempt: int
    rank: int
    process: int
    start: float
    host: str
    pid: int
    # Of a run that has no row yet, because its store could not be opened: what the row will have as
    # its `launch`. Its id is 0 until then.
    opening: str | None = None

    def header(self) -> str:
        """The header of the journal."""
        return json.dumps(asdict(self))

    @classmethod
    def from_header(cls, header: str) -> Writer:
        """Read what `header()` made."""
        return cls(**json.loads(header))


def folder_of(engine: Engine) -> Path:
    """Where the journals of a store lie: beside its file, for a server's in the user's state folder."""
    path = _file_of(engine)
    if path is not None:
        return path.with_name(path.name + ".journals")
    if engine.url.get_backend_name() == "sqlite":
        folder = _of_memory.get(engine)
        if folder is None:
            name = f"ato-journals-{secrets.token_hex(8)}"
            folder = _of_memory[engine] = Path(tempfile.gettempdir(), name)
        return folder
    return _in_state_folder(engine.url.render_as_string(hide_password=True))


def unopened_folder(engine: Engine) -> Path:
    """Where journals go while a store cannot be opened: where there is a place, beside it."""
    path = _file_of(engine)
    if path is None or os.access(path.parent, os.W_OK):
        return folder_of(engine)
    return _in_state_folder(os.fspath(path))


def folders_of(engine: Engine) -> list[Path]:
    """Wherever journals of a store may lie."""
    copied = _of_copies.get(engine)
    if copied is not None:
        return copied
    path = _file_of(engine)
    aside = None if path is None else _in_state_folder(os.fspath(path))
    if aside is None or not os.access(aside, os.R_OK):
        return [folder_of(engine)]
    return [folder_of(engine), aside]


def _in_state_folder(place: str) -> Path:
    digest = hashlib.sha256(place.encode()).hexdigest()[:16]
    return state_folder() / "journals" / digest


def lie_in(engine: Engine, folders: list[Path]) -> None:
    """Say that the journals of a store in memory, a copy, lie in `folders`."""
    _of_copies[engine] = folders
    _of_memory[engine] = folders[0]


# A store in memory ends with its process, and so may its journals.
_of_memory: weakref.WeakKeyDictionary[Engine, Path] = weakref.WeakKeyDictionary()
_of_copies: weakref.WeakKeyDictionary[Engine, list[Path]] = weakref.WeakKeyDictionary()


def new_path(folder: Path, writer: Writer) -> Path:
    """The name of a new journal; no journal had it before."""
    host = _ODD.sub("_", writer.host)[:40]
    numbers = f"{writer.run_id}-{writer.attempt}-{writer.rank}-{writer.process}"
    return folder / f"{numbers}-{host}-{writer.pid}-{time.time_ns():x}{SUFFIX}"


def journals_of(folder: Path, run_id: int | None = None) -> Iterator[Path]:
    """The journals in a folder, of one run or of all, the oldest first where a process has several."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 (names are all that is needed)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise StoreError(f"the journals in {folder} cannot be listed: {error.strerror}") from error
    prefix = "" if run_id is None else f"{run_id}-"
    for name in sorted(names, key=_in_order):
        if name.endswith(SUFFIX) and name.startswith(prefix):
            yield folder / name


def is_held(folder: Path, run_id: int, attempt: int) -> bool | None:
    """Whether the process that owns a run is writing it; `None` where it has no journal here.

    On this machine only: a lock that was taken on another may not be seen.
    """
    held: bool | None = None
    for path in journals_of(folder, run_id):
        if path.name.startswith(f"{run_id}-{attempt}-0-0-"):
            with suppress(FileNotFoundError):
                held = bool(held) or journal_is_held(os.fspath(path))
    return held


def last_written(folder: Path, run_id: int) -> float | None:
    """When something was last written to a run's journals, in seconds since 1970."""
    times = []
    for path in journals_of(folder, run_id):
        with suppress(FileNotFoundError):
            times.append(path.stat().st_mtime)
    return max(times, default=None)


def _in_order(name: str) -> tuple[str, int, str]:
    # The last part counts nanoseconds, in hexadecimal digits.
    start, _, moment = name.removesuffix(SUFFIX).rpartition("-")
    return start, len(moment), moment


def _file_of(engine: Engine) -> Path | None:
    """The file of an SQLite store."""
    name = engine.url.database
    if engine.url.get_backend_name() != "sqlite" or name in {None, "", ":memory:"}:
        return None
    assert name is not None
    return Path(unquote(name.removeprefix("file:")) if "uri" in engine.url.query else name)
