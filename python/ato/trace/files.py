"""Data files: those that the project's code opens for reading, noticed by an audit hook.

A file counts while a run, an `@scope` function or the body of the entry script is open and the
nearest frame outside of libraries is the project's own, so that `np.load` and `pandas.read_csv`
count with their caller. It is taken down when it is opened (path as given, size, mtime, the running
call) and digested when the run ends. What is opened without Python (HDF5, a database, `mmap` of a C library) raises no event.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from threading import get_ident
from typing import IO, Any, NamedTuple

from ato import events
from ato.code import cache
from ato.code.project import installed_files, is_installed_folder, origin_of, project_roots
from ato.events import FileRecord, Frame, OpenRun, ViewFrame
from ato.fingerprints import fingerprint_file, value_hex
from ato.trace import static

__all__ = ["FOLDER_LIMIT", "install", "run_opened"]

FOLDER_LIMIT = 1000  # files of one folder; beyond, the folder is one listing
WRITTEN_LIMIT = 100_000  # paths that a run wrote which are kept; beyond, the mtime tells
OUTBOX_LIMIT = 1 << 24  # bytes in which forked processes tell what they opened
EARLY_LIMIT = 10_000  # files taken down for an `@scope` function before a run opens
CACHED_FROM = 1 << 20  # bytes; a smaller file is digested faster than its entry is found
_SETTLED = 2.0  # seconds after which a file that is written again shows another mtime anywhere

_CODE = (".py", ".pyc", ".pyi", ".pyd", ".so", ".dll", ".dylib")
_SYSTEM = (
    ("/usr", "/etc", "/proc", "/sys", "/dev", "/run", "/bin", "/sbin", "/lib", "/lib64")
    if os.name == "posix"
    else (os.environ.get("SYSTEMROOT", "C:\\Windows"),)
) + (("/System", "/Library", "/private/etc") if sys.platform == "darwin" else ())
_ATO = os.path.realpath(os.path.join(os.path.dirname(__file__), os.pardir))  # noqa: PTH118, PTH120
_WRAPPER = os.path.join(_ATO, "trace", "runtime.py")  # noqa: PTH118
_IMPORT = "<frozen importlib._bootstrap"
_SHOWN = 3  # paths that a gap names
_TOO_MANY = "before the run or in forked processes"

# Device, inode, size and mtime: what is another file, or another content of it.
_Identity = tuple[int, int, int, int]


class _File(NamedTuple):
    """A file as it was when it was opened. `path` is as given."""

    path: str
    full: str
    folder: str
    size: int
    mtime: int
    inode: int
    device: int


class _Notes:
    """What was opened in a run, or in an `@scope` function before a run opened in it.

    `places` are the calls in which each file was read, by `ident`, with the position of the first
    time. Two paths to one file are one file, under the path that came first. `listings` are the
    folders of which so many files were opened that they are not told apart, as given, with places.
    """

    def __init__(self, run: OpenRun | None) -> None:
        self.run = run
        self.began = time.time_ns()
        self.seen: set[tuple[object, int, int]] = set()
        self.files: dict[_Identity, _File] = {}
        self.places: dict[_Identity, dict[int, int]] = {}
        self.folders: dict[str, int] = {}
        self.listings: dict[str, tuple[str, dict[int, int]]] = {}
        self.written: set[str] = set()
        self.own: dict[str, None] = {}
        self.left_out = False
        self.outbox: IO[bytes] | None = None

    def add(self, file: _File, ident: int, position: int) -> bool:
        """Take down that a call read a file, and tell the recorder, without a digest.

        Returns whether it is one of many, of which nothing is kept.
        """
        run = self.run
        if file.full in self.written or (run is not None and file.mtime >= self.began):
            if len(self.own) < EARLY_LIMIT:
                self.own.setdefault(file.path)
            return False
        folder = file.folder
        listing = self.listings.get(folder)
        if listing is not None:
            listing[1].setdefault(ident, position)
            return True
        identity = (file.device, file.inode, file.size, file.mtime)
        known = self.files.get(identity)
        if known is None:
            if run is None and len(self.files) >= EARLY_LIMIT:
                self.left_out = True
                return True
            if self._fills(folder):
                self._begin_listing(folder, file)
                return self.add(file, ident, position)
            known = self.files[identity] = file
            self.places[identity] = {}
        places = self.places[identity]
        if ident not in places:
            places[ident] = position
            if run is not None:
                run.recorder.on_file(_record(known, ident, position))
        return False

    def wrote(self, path: str) -> None:
        """Take down that the run opened a file for writing, or gave it this name."""
        if len(self.written) < WRITTEN_LIMIT:
            self.written.add(path)

    def adopt(self, early: _Notes, ident: int) -> None:
        """Take over what an `@scope` function opened before the run."""
        self.written |= early.written
        self.own |= early.own
        self.left_out |= early.left_out
        for file in early.files.values():
            self.add(file, ident, 0)
        for folder, (path, _) in early.listings.items():
            self.listings[folder] = (path, {ident: 0})

    def close(self, run: OpenRun) -> None:
        """Digest what was read, and hand it over once more."""
        self._take_in_children()
        changed: dict[str, None] = {}
        for identity, file in self.files.items():
            digest = _digest(file)
            if digest is None:
                changed.setdefault(file.path)
                continue
            for ident, position in self.places[identity].items():
                run.recorder.on_file(_record(file, ident, position, digest))
        if self.left_out:
            run.gaps.append(f"files: more were opened {_TOO_MANY} than are known")
        run.gaps += [
            *self._close_listings(run),
            *_said(changed, "changed after the run read it, before it was digested"),
            *_said(self.own, "written while the run was open, and no input of it"),
        ]

    def _fills(self, folder: str) -> bool:
        """Count one more file of a folder, and say whether that is one too many."""
        count = self.folders[folder] = self.folders.get(folder, 0) + 1
        return count > FOLDER_LIMIT

    def _begin_listing(self, folder: str, file: _File) -> None:
        """Keep a folder from here on as one, in place of its files."""
        path = os.path.dirname(file.path) + "/"  # noqa: PTH120
        places: dict[int, int] = {}
        for identity, one in list(self.files.items()):
            if one.folder == folder:
                del self.files[identity]
                for ident, position in self.places.pop(identity).items():
                    places[ident] = min(position, places.get(ident, position))
        self.listings[folder] = (path, places)

    def _close_listings(self, run: OpenRun) -> Iterator[str]:
        """Hand over each folder of many files as one; yields what to say of it."""
        for folder, (path, places) in self.listings.items():
            rows = sorted(_listed(folder, self.began))
            size, digest = sum(row[1] for row in rows), value_hex(rows)
            for ident, position in places.items():
                run.recorder.on_file(FileRecord(path, size, None, digest, ident, position))
            yield (
                f"files: the {len(rows):,} files of {path} are compared by name, size and mtime; "
                "their contents were not digested"
            )

    def _take_in_children(self) -> None:
        """Add what forked processes opened, as read where they were forked."""
        if self.outbox is None:
            return
        self.left_out |= self.outbox.seek(0, os.SEEK_END) >= OUTBOX_LIMIT
        self.outbox.seek(0)
        for line in self.outbox.read().splitlines():
            try:
                ident, position, *fields = json.loads(line)
                self.add(_File(*fields), ident, position)
            except (ValueError, TypeError):
                continue  # a child was killed in the middle of a line
        self.outbox.close()
        self.outbox = None


class _Child(NamedTuple):
    """In a forked process: where its parent reads what was opened, and in which call it was forked."""

    handle: int
    identity: tuple[int, int]
    ident: int
    position: int
    seen: set[int]

    def add(self, file: _File) -> None:
        """Tell the parent."""
        status = os.fstat(self.handle)
        # A process that closed all that it inherited may have another file under this number.
        if (status.st_dev, status.st_ino) == self.identity and status.st_size < OUTBOX_LIMIT:
            row = json.dumps((self.ident, self.position, *file))
            os.write(self.handle, f"{row}\n".encode())


class _State:
    """What the hook knows of the process."""

    installed = False
    # What the entry script's body read while neither a run nor an `@scope` function was open.
    early: _Notes | None = None
    # Changes with the current folder: a relative path is another file then.
    epoch = 0
    child: _Child | None = None
    forking: _Child | None = None
    # Threads in which the hook is at work; what it opens itself is nobody's data.
    busy: set[int] = set()  # noqa: RUF012 (there is one)
    # Whose code a file holds: `project`, `ato`, `import`, or nothing that matters.
    owners: dict[object, str] = {}  # noqa: RUF012 (there is one)
    # The current folder, the files of distributions and folders without data, until a run opens or
    # the folder changes.
    cwd: str | None = None
    installed_files: frozenset[str] | None = None
    left_out: dict[str, bool] = {}  # noqa: RUF012 (there is one)

    def forget(self) -> None:
        """Ask anew what is the project's: its folders may be others now."""
        self.epoch += 1
        self.owners, self.left_out = {}, {}
        self.cwd = self.installed_files = None


_state = _State()


def install() -> None:
    """Begin to notice what is opened; once a process, since a hook cannot be taken back."""
    if not _state.installed:
        _state.installed = True
        _state.early = _Notes(None)
        sys.addaudithook(_hook)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=_before_fork, after_in_parent=_after_fork, after_in_child=_begin_in_child
            )


def run_opened(run: OpenRun) -> None:
    """Take down from now on what the project opens, and what its running calls have opened."""
    early = [(frame, frame.files) for frame in events.running() if frame.files is not None]
    for frame, _ in early:
        frame.files = None
    watched = getattr(run.recorder, "watch_files", None)
    if watched is False:
        run.gaps.append("files: only those named with log_input are known (watch_files=False)")
    if not watched:
        return
    install()
    _state.forget()
    notes = run.files = _Notes(run)
    if _state.early is not None:
        notes.adopt(_state.early, run.root.ident)
    for frame, notes_before in reversed(early):
        notes.adopt(notes_before, frame.ident)
    run.closing.append(notes.close)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, mode, flags = arguments
        # Most of what a program opens are modules, while it imports them.
        if isinstance(path, int) or (isinstance(path, str) and path.endswith(_CODE)):
            return
        frame = events.current_frame()
        thread = get_ident()
        if thread in _state.busy:
            return
        _state.busy.add(thread)
        try:
            _opened(frame, path, mode, flags)
        except Exception as error:  # noqa: BLE001 (the user's `open` goes on)
            events.report_failure("opened files", error)
        finally:
            _state.busy.discard(thread)
    elif event == "os.chdir":
        _state.forget()
    elif event == "os.rename":
        _renamed(*arguments[:2])


def _opened(frame: Frame | None, path: object, mode: object, flags: int) -> None:
    frame = _call(frame)
    notes = _notes_of(frame)
    # `r+` reads first, and changes what was there.
    if flags & (os.O_WRONLY | os.O_RDWR) and (mode is None or "r" not in str(mode)):
        # What the script made before its run opened is an input like any other file.
        if notes is not None and notes is not _state.early:
            notes.wrote(_full(os.fsdecode(path)))  # type: ignore[arg-type]
    elif notes is not None:
        ident, position = _place(frame)
        key = (path, ident, _state.epoch)
        if key not in notes.seen:
            file = _data_file(path, in_script=notes is _state.early)
            if file is not None and not notes.add(file, ident, position):
                notes.seen.add(key)
    elif frame is None and _state.child is not None:
        child, number = _state.child, hash((path, _state.epoch))
        if number not in child.seen:
            child.seen.add(number)
            file = _data_file(path)
            if file is not None:
                child.add(file)


def _call(frame: Frame | None) -> Frame | None:
    return frame.caller() if type(frame) is ViewFrame else frame


def _place(frame: Frame | None) -> tuple[int, int]:
    """The call and the position at which something is read; both 0 before a run is open."""
    if frame is None or frame.run is None:
        return 0, 0
    return frame.ident, frame.run.position


def _notes_of(frame: Frame | None) -> _Notes | None:
    """The notes of the run that is open here; before one opens, those of the innermost function, else
    of the script's body."""
    if frame is None:
        return _state.early if _state.child is None else None
    if frame.run is None and frame.files is None:
        frame.files = _Notes(None)
    notes: _Notes | None = frame.files if frame.run is None else frame.run.files
    return notes


def _renamed(source: object, target: object) -> None:
    """A file that is written under another name and then renamed was written by the run."""
    try:
        notes = _notes_of(_call(events.current_frame()))
        if notes is not None and notes.written and _full(os.fsdecode(source)) in notes.written:  # type: ignore[arg-type]
            notes.wrote(_full(os.fsdecode(target)))  # type: ignore[arg-type]
    except Exception as error:  # noqa: BLE001 (the user's `rename` goes on)
        events.report_failure("opened files", error)


def _data_file(path: Any, *, in_script: bool = False) -> _File | None:
    """The file behind a path, if it is data that the project's code is opening; only below the body of
    the entry script, if so asked: a test runner or a server is nobody's training."""
    given = os.fsdecode(path)
    if given.endswith(_CODE) or not _is_by_project(sys._getframe(3)):
        return None
    if in_script and not _is_below_script(sys._getframe(3)):
        return None
    full = _full(given)
    folder = full.rpartition(os.sep)[0]
    if _is_left_out(full, folder):
        return None
    try:
        status = os.stat(full)  # noqa: PTH116 (this stands in the caller's `open`)
    except (OSError, ValueError):
        return None  # the `open` fails as well
    if not stat.S_ISREG(status.st_mode):
        return None
    return _File(
        given,
        full,
        folder,
        status.st_size,
        status.st_mtime_ns,
        status.st_ino,
        status.st_dev,
    )


def _full(path: str) -> str:
    if path[:1] == "/" and os.sep == "/" and "/." not in path and "//" not in path:
        return path
    if not os.path.isabs(path):  # noqa: PTH117 (all of this stands in the caller's `open`)
        cwd = _state.cwd
        if cwd is None:
            cwd = _state.cwd = os.getcwd()  # noqa: PTH109
        path = os.path.join(cwd, path)  # noqa: PTH118
    return os.path.normpath(path)


def _is_below_script(frame: Any) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__") == "__main__" and _owner_of(frame) == "project":
            file = frame.f_code.co_filename
            # The line after `-c` starts workers of pools and of test runners, seldom a training.
            return file != "<string>" and not is_installed_folder(file)
        frame = frame.f_back
    return False


def _is_by_project(frame: Any) -> bool:
    """Whether the nearest frame outside of libraries is the project's own.

    What a library reads while it is imported, and what Ato reads for itself, is not the project's.
    """
    while frame is not None:
        owner = _owner_of(frame)
        if owner:
            return owner == "project"
        frame = frame.f_back
    return False


def _owner_of(frame: Any) -> str:
    name = frame.f_code.co_filename
    key = name if name[:1] != "<" else (name, frame.f_globals.get("__name__"))
    owner = _state.owners.get(key)
    if owner is None:
        owner = _state.owners[key] = _owner(name, frame.f_globals.get("__name__") or "")
    return owner


def _owner(file: str, module: str) -> str:
    if file.startswith(_IMPORT):
        return "import"
    if file == _WRAPPER:
        return ""  # stands around what is traced
    # A notebook's cells have the name of a file that is nowhere.
    place = None if file.startswith("<") or not os.path.exists(file) else file  # noqa: PTH110
    origin = origin_of(module, place, _roots())
    return origin if origin in {"project", "ato"} else ""


def _roots() -> tuple[str, ...]:
    return tuple(dict.fromkeys((*project_roots(), *static.given_roots())))


def _is_left_out(path: str, folder: str) -> bool:
    """Whether a file is the system's, the interpreter's, a distribution's or Ato's own."""
    known = _state.installed_files
    if known is None:
        known = _state.installed_files = installed_files(_roots())
    if path in known:
        return True
    out = _state.left_out.get(folder)
    if out is None:
        out = _state.left_out[folder] = _is_folder_left_out(folder)
    return out


def _is_folder_left_out(folder: str) -> bool:
    roots = _roots()
    for other in (*_SYSTEM, sys.prefix, sys.base_prefix):
        # A project may lie below such a folder (`/usr/src/app`).
        if _under(folder, other) and not any(
            _under(folder, root) and _under(root, other) for root in roots
        ):
            return True
    own = _under(folder, _ATO) or _under(folder, str(cache.folder()))
    return own or is_installed_folder(folder)


def _under(path: str, folder: str) -> bool:
    return path.startswith(folder) and (path == folder or path[len(folder)] == os.sep)


def _record(file: _File, ident: int, position: int, digest: str | None = None) -> FileRecord:
    return FileRecord(file.path, file.size, file.mtime, digest, ident, position)


def _listed(folder: str, until: int) -> Iterator[tuple[str, int, int]]:
    """The files of a folder, without those that were written since."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file():
                    status = entry.stat()
                    if status.st_mtime_ns < until:
                        yield entry.name, status.st_size, status.st_mtime_ns
    except OSError:
        return  # a folder that is gone has another listing


def _digest(file: _File) -> str | None:
    """The BLAKE3 of a file, if it is still what was opened."""
    before = _stamp(file.full)
    if before is None or before[:3] != (file.size, file.mtime, file.inode):
        return None
    key = value_hex(["data file", file.full, list(before)]) if file.size >= CACHED_FROM else None
    found = None if key is None else cache.load(key)
    if found is not None and isinstance(found.get("digest"), str):
        return str(found["digest"])
    try:
        digest = fingerprint_file(file.full).hex
    except OSError:
        return None
    if _stamp(file.full) != before:
        return None
    if key is not None and time.time_ns() - file.mtime > _SETTLED * 1e9:
        cache.store(key, {"digest": digest})
    return digest


def _stamp(path: str) -> tuple[int, int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 (asked for every file)
    except OSError:
        return None
    # The time of the change of the inode tells of a file that was written and given its old mtime.
    changed = status.st_ctime_ns if os.name == "posix" else 0
    return status.st_size, status.st_mtime_ns, status.st_ino, changed


def _said(paths: Iterable[str], what: str) -> Iterator[str]:
    names = list(paths)
    if names:
        more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
        yield f"files: {', '.join(names[:_SHOWN])}{more}: {what}"


def _before_fork() -> None:
    _state.forking = None
    try:
        call = _call(events.current_frame())
        notes = _notes_of(call)
        if notes is None or notes.run is None:
            return
        if notes.outbox is None:
            import tempfile  # costs a start something, and few runs fork

            thread = get_ident()
            _state.busy.add(thread)
            try:
                notes.outbox = tempfile.TemporaryFile("a+b")  # noqa: SIM115 (`close` closes it)
            finally:
                _state.busy.discard(thread)
        handle = notes.outbox.fileno()
        status = os.fstat(handle)
        identity = (status.st_dev, status.st_ino)
        _state.forking = _Child(handle, identity, *_place(call), set())
    except Exception as error:  # noqa: BLE001 (the user's `fork` goes on)
        events.report_failure("files opened in forked processes", error)


def _after_fork() -> None:
    _state.forking = None


def _begin_in_child() -> None:
    _state.busy.clear()
    if _state.forking is not None:
        _state.child, _state.forking = _state.forking, None
