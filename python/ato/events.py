"""Where the three pieces of Ato meet: the records, the running calls and the current recorder.

Tracers and scopes *emit* records; whoever records a run (the SQL logger, a test) is a `Recorder`.
Neither side imports the other. While no run is open, emitting costs one look-up.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, NamedTuple, Protocol

__all__ = [
    "CallRecord",
    "CodeRecord",
    "Draw",
    "Executed",
    "FileRecord",
    "Frame",
    "Leaf",
    "OpenRun",
    "Read",
    "Recorder",
    "ViewFrame",
    "apart",
    "close_run",
    "current_frame",
    "current_run",
    "full_key",
    "note_read",
    "offer_config",
    "offered_configs",
    "open_run",
    "pop_frame",
    "push_frame",
    "quiet_reads",
    "reads_are_quiet",
    "recording_in_context",
    "report_failure",
    "running",
    "thread_role",
    "when_run_opens",
    "withdraw_configs",
]

Kind = Literal["run", "scope", "call", "value"]


class Leaf(NamedTuple):
    """One value inside an input or output: its fingerprint and what it looked like.

    `type` is the type's name (`float`, `ndarray`, `Tensor`); `dtype` and `shape` are set for arrays
    only; `text` is a short rendering of a plain scalar; `summary` holds, for numeric arrays,
    `count nan posinf neginf min max mean norm`. `order_free` is an array's digest without the order
    of its rows; `sketch`, of what calls gave back, the text of an `ato.fingerprints` sketch, from two
    of which the distance of two arrays is estimated.
    """

    fingerprint: str
    type: str
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    text: str | None = None
    summary: dict[str, float] | None = None
    order_free: str | None = None
    sketch: str | None = None


class Read(NamedTuple):
    """A config key that a call read: dotted key, fingerprint of the value, and when.

    `position` is the sequence number that the next call to complete will get.
    """

    key: str
    fingerprint: str
    position: int


class Draw(NamedTuple):
    """The state of a random generator before and after a call, as fingerprints.

    They differ if the call advanced it.
    """

    before: str
    after: str


class Executed(NamedTuple):
    """A function of the project that ran, with the sequence number of the next call at that moment.

    `module` and `name` as in the code units: a script counts by its file's stem.
    """

    module: str
    name: str
    file: str
    line: int
    sequence: int


@dataclass(slots=True)
class CallRecord:
    """One execution of a traced function (`call`), an `@scope` function (`scope`) or the run itself.

    A `value` is what `ato.record` names in the middle of a function: output only.
    `ident` numbers calls in the order in which they opened, `sequence` in the order in which they
    completed; `parent` is the enclosing record's `ident`. `started` is the sequence number of the
    next call at the moment this one opened. `code` is the deep fingerprint of the function,
    `passed` those of the project's classes and functions that came in with the arguments.
    `executed` is the run's own: which of the project's functions ran in it, in order.
    """

    kind: Kind
    trace_id: str
    ident: int
    parent: int | None
    index: int
    sequence: int
    started: int
    thread: str = "main"
    code: str | None = None
    passed: list[str] = field(default_factory=list)
    inputs: dict[str, Leaf] = field(default_factory=dict)
    mutated: dict[str, Leaf] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)
    random: dict[str, Draw] = field(default_factory=dict)
    output: dict[str, Leaf] = field(default_factory=dict)
    outcome: Literal["returned", "raised"] = "returned"
    error: str | None = None
    skipped: dict[str, int] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)
    duration: float = 0.0
    executed: list[Executed] = field(default_factory=list)


class CodeRecord(NamedTuple):
    """The code behind a trace id, registered when a run opens or later.

    `role` says how the run came to know it: `trace` and `runtime` (decorated), `scope` (an `@scope`
    function), `main` (the body of the entry script) or `passed` (came in with an argument).
    `code` is an `ato.code.CodeFingerprint`.
    """

    trace_id: str
    role: Literal["trace", "runtime", "scope", "main", "passed"]
    code: Any


class FileRecord(NamedTuple):
    """A data file that a call opened for reading: path as given, size in bytes, mtime in nanoseconds.

    It comes when the file is opened, without a digest, and again with its BLAKE3 when the run ends.
    A folder of very many files comes then as one listing: its path ends with a slash, and the digest
    is that of names, sizes and mtimes. `position` is the sequence number of the next call.
    """

    path: str
    size: int
    mtime: int | None
    digest: str | None
    ident: int
    position: int


class Recorder(Protocol):
    """Whoever keeps the records of a run. Methods are called from any thread and must not raise.

    `watch_files` says whether files that the project opens are to be noticed; without it they are not.
    """

    watch_files: bool

    def on_code(self, record: CodeRecord) -> None:
        """Keep the code behind a trace id."""

    def on_call(self, record: CallRecord) -> None:
        """Keep a completed call."""

    def on_start_state(self, states: dict[str, str]) -> None:
        """Keep the fingerprints of the random generators' states at the start of the run."""

    def on_file(self, record: FileRecord) -> None:
        """Keep a data file that was opened, or its digest."""


class Frame:
    """A call that is running: what it has read so far, and where it stands in the run."""

    __slots__ = (
        "_seen",
        "files",
        "ident",
        "index",
        "kind",
        "on_exit",
        "parent",
        "reads",
        "run",
        "skipped",
        "started",
        "trace_id",
    )

    def __init__(self, kind: Kind, trace_id: str, parent: Frame | None) -> None:
        self.kind = kind
        self.trace_id = trace_id
        self.parent = parent
        self.run: OpenRun | None = None
        self.ident = 0
        self.index = 0
        self.started = 0
        self.reads: list[Read] = []
        self.skipped: dict[str, int] = {}
        self.on_exit: list[Callable[[BaseException | None], None]] = []
        # What it opened before a run; the tracer of files keeps it here.
        self.files: Any = None
        self._seen: dict[str, Any] = {}

    def take_place(self, run: OpenRun, index: int) -> None:
        """Join `run` as call number `index` of this trace id."""
        self.run = run
        self.ident = run.next_ident()
        self.index = index
        self.started = run.position

    def enter(self, run: OpenRun) -> None:
        """Take a place in `run`: an ident, an index among the calls of this trace id.

        What the frame read before the run opened still counts, with the value read last.
        """
        self.take_place(run, run.next_index(self.trace_id))
        last = {read.key: read.fingerprint for read in self.reads}
        self.reads = [Read(key, fingerprint, 0) for key, fingerprint in last.items()]
        self.skipped = {}

    def record(self) -> CallRecord:
        """Close the call: the record of what its frame knows, next in the order of completion."""
        run = self.run
        assert run is not None
        parent = self.parent
        while parent is not None and parent.run is not run:
            parent = parent.parent  # a call of another run is no place in this one
        outermost = None if self is run.root else run.root.ident
        return CallRecord(
            kind=self.kind,
            trace_id=self.trace_id,
            ident=self.ident,
            parent=outermost if parent is None else parent.ident,
            index=self.index,
            sequence=run.next_sequence(),
            started=self.started,
            thread=thread_role(),
            reads=self.reads,
            skipped=self.skipped,
        )

    def note_read(self, key: str, value: object, fingerprint: Callable[[Any], str]) -> None:
        """Remember that `key` was read here with `value`; a repeated equal read is kept once."""
        # Only plain immutable values may be recognised by identity: a list that was read before
        # can be the same object and another value.
        plain = type(value) in _PLAIN
        if plain and key in self._seen and self._seen[key] is value:
            return
        try:
            digest = fingerprint(value)
        except Exception:  # noqa: BLE001 (a value without a fingerprint is the store's gap to say)
            digest = "unsupported"
        if not any(read.key == key and read.fingerprint == digest for read in self.reads):
            position = self.run.position if self.run is not None else 0
            self.reads.append(Read(key, digest, position))
        if plain:
            self._seen[key] = value


_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})


class ViewFrame(Frame):
    """Views that are being applied: what they read of other scopes' configs goes into `derived`.

    It is no call and has no record. `derived` holds the config's name and the key of each read.
    """

    __slots__ = ("derived",)

    def __init__(self, parent: Frame | None) -> None:
        super().__init__("run", "", parent)
        self.derived: list[tuple[str | None, str]] = []

    def caller(self) -> Frame | None:
        """The call in which the views are being applied, if there is one."""
        frame = self.parent
        while type(frame) is ViewFrame:
            frame = frame.parent
        run = current_run()
        return frame if frame is not None or run is None else run.root


class OpenRun:
    """The counters of a run that is being recorded, its recorder, and its root frame."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.position = 0
        # What the random generators did over the whole run; set by the tracer when the run opens.
        self.draws: Callable[[], dict[str, Draw]] = dict
        # What tracers failed to see; goes into the run's own record.
        self.gaps: list[str] = []
        # Which of the project's functions ran; goes there too.
        self.executed: list[Executed] = []
        # The data files that were opened; the tracer of files keeps them here.
        self.files: Any = None
        # Called when the run ends, before its own record is made.
        self.closing: list[Callable[[OpenRun], None]] = []
        # The run that was open before this one, and goes on when this one ends.
        self.outer: OpenRun | None = None
        self.is_open = True
        self._idents = itertools.count()
        self._indices: dict[str, itertools.count[int]] = {}
        self._lock = threading.Lock()
        self.root = Frame("run", "run", None)
        self.root.enter(self)

    def next_ident(self) -> int:
        """Number the calls in the order in which they open; the run itself is 0."""
        return next(self._idents)

    def next_index(self, trace_id: str) -> int:
        """Number the calls of one trace id: 0, 1, …."""
        counter = self._indices.get(trace_id)
        if counter is None:
            # Of two threads that come here at once, both get the counter that was put in first.
            counter = self._indices.setdefault(trace_id, itertools.count())
        return next(counter)

    def next_sequence(self) -> int:
        """Number the calls in the order in which they complete."""
        with self._lock:
            sequence = self.position
            self.position = sequence + 1
            return sequence


_frame: ContextVar[Frame | None] = ContextVar("ato_frame", default=None)
_context_run: ContextVar[OpenRun | None] = ContextVar("ato_run", default=None)
_process_run: OpenRun | None = None
_openers: list[str] = []
_NUMBER = re.compile(r"\d+")
_quiet: ContextVar[int] = ContextVar("ato_quiet_reads", default=0)
_reported: set[str] = set()
_MOST_GAPS = 100  # a message that differs each time must not fill the memory


def current_run() -> OpenRun | None:
    """The run that records here: the context's own, else the process's, else `None`."""
    return _context_run.get() or _process_run


def current_frame() -> Frame | None:
    """The innermost running `@scope` or traced call, else the run itself, else `None`."""
    frame = _frame.get()
    if frame is not None:
        return frame
    run = current_run()
    return run.root if run is not None else None


def push_frame(frame: Frame) -> Token[Frame | None]:
    """Make `frame` the innermost running call of this context, until `pop_frame`."""
    return _frame.set(frame)


@contextmanager
def apart() -> Iterator[None]:
    """Let the calls that are running be no part of a run that opens inside the block."""
    token = _frame.set(None)
    try:
        yield
    finally:
        _frame.reset(token)


def pop_frame(token: Token[Frame | None]) -> None:
    """Undo one `push_frame`."""
    _frame.reset(token)


def thread_role() -> str:
    """Name the running thread by its role: numbers that a pool hands out do not count."""
    name = threading.current_thread().name
    return "main" if name == "MainThread" else _NUMBER.sub("", name)


def note_read(
    key: str, value: object, fingerprint: Callable[[Any], str], config: str | None = None
) -> None:
    """Report that the running call read `key` (dotted) of the config named `config`, and got `value`."""
    frame = current_frame()
    if frame is None or _quiet.get():
        return
    if type(frame) is ViewFrame:
        if config is not None:
            frame.derived.append((config, key))
            return
        caller = frame.caller()
        if caller is None:
            return
        frame = caller
    if config is not None and len(_configs) > 1:
        key = full_key(config, key)
    frame.note_read(key, value, fingerprint)


# How to get each scope's config, by the scope's name.
_configs: dict[str, Callable[[], Mapping[Any, Any]]] = {}


def offer_config(name: str, get: Callable[[], Mapping[Any, Any]]) -> None:
    """Say how to get the config of the scope `name`; it takes the place of an earlier one's."""
    _configs[name] = get


def withdraw_configs() -> None:
    """Forget every config that was offered."""
    _configs.clear()


def full_key(config: str | None, key: str) -> str:
    """Put the name of its config before a dotted key; where there is one scope only, keys need none."""
    if config is None or len(_configs) < 2:
        return key
    return f"{config}{key}" if key.startswith("[") else f"{config}.{key}"


def offered_configs() -> dict[str, Mapping[Any, Any]]:
    """The configs of all scopes by name, applied; none where there is one scope only."""
    found: dict[str, Mapping[Any, Any]] = {}
    if len(_configs) > 1:
        for name, get in list(_configs.items()):
            try:
                found[name] = get()
            except Exception as error:  # noqa: BLE001 (a scope that nobody uses never stops the run)
                report_failure(f"the config of scope {name!r}", error)
    return found


@contextmanager
def quiet_reads() -> Iterator[None]:
    """Ato's own reads of a config (a snapshot, a rendering, a hash) are no reads of the run's."""
    token = _quiet.set(_quiet.get() + 1)
    try:
        yield
    finally:
        _quiet.reset(token)


def reads_are_quiet() -> bool:
    """Whether reads in this context are Ato's own."""
    return _quiet.get() > 0


def when_run_opens(target: str) -> None:
    """Call `target` (`package.module:function`, imported only then) with every run that opens."""
    if target not in _openers:
        _openers.append(target)


def open_run(recorder: Recorder, *, in_context: bool = False) -> OpenRun:
    """Begin a run in this process: running `@scope` and traced calls become part of it.

    If another run is open, calls go to the new one until it ends, and then to the other again.
    With `in_context` it is the run of this thread or task only; end it there.
    """
    global _process_run  # noqa: PLW0603 (the process has one open run; this is where it lives)
    run = OpenRun(recorder)
    run.outer = _process_run
    _adopt(run)
    if in_context:
        _context_run.set(run)
    else:
        _process_run = run
    _announce(run)
    return run


@contextmanager
def recording_in_context(recorder: Recorder) -> Iterator[OpenRun]:
    """Record what happens in this context only; the process's own run is left alone."""
    run = OpenRun(recorder)
    _adopt(run)
    token = _context_run.set(run)
    try:
        _announce(run)
        yield run
    finally:
        _emit_open_frames(run)
        _context_run.reset(token)


def close_run(run: OpenRun) -> None:
    """End `run`: calls that are still running are recorded as they stand, innermost first."""
    global _process_run  # noqa: PLW0603
    _emit_open_frames(run)
    run.is_open = False
    if _context_run.get() is run:
        _context_run.set(None)
    if _process_run is run:
        outer = run.outer
        while outer is not None and not outer.is_open:
            outer = outer.outer
        _process_run = outer
        if outer is not None:
            _adopt(outer)


def report_failure(where: str, error: BaseException) -> None:
    """Say once a place and kind of error that a tracer failed; the run goes on without it.

    The open run keeps it as a gap, so that an explanation does not pass over it.
    """
    run = current_run()
    gap = f"{where}: {type(error).__name__}: {error}"
    if run is not None and gap not in run.gaps and len(run.gaps) < _MOST_GAPS:
        run.gaps.append(gap)
    key = f"{where}:{type(error).__name__}"
    if key not in _reported:
        _reported.add(key)
        warnings.warn(
            f"Ato stopped watching {where}: {type(error).__name__}: {error}. "
            "The run is not affected; `ato why` will list this as not watched.",
            RuntimeWarning,
            stacklevel=3,
        )


def _adopt(run: OpenRun) -> None:
    """Give the calls that are running already their place in the run, outermost first.

    Those that belong to another run are recorded there as they stand.
    """
    newcomers = [frame for frame in running() if frame.kind != "run" and frame.run is not run]
    for frame in reversed(newcomers):
        if frame.run is not None:
            frame.run.recorder.on_call(frame.record())
        frame.enter(run)
        if frame.parent is None or frame.parent.kind == "run":
            frame.parent = run.root


def running() -> Iterator[Frame]:
    """The calls that are running in this context, innermost first."""
    frame = _frame.get()
    while frame is not None:
        yield frame
        frame = frame.parent


def _announce(run: OpenRun) -> None:
    for target in _openers:
        module, _, function = target.partition(":")
        try:
            getattr(import_module(module), function)(run)
        except Exception as error:  # noqa: BLE001 (a tracer never stops the run)
            report_failure(target, error)


def _emit_open_frames(run: OpenRun) -> None:
    for close in run.closing:
        try:
            close(run)
        except Exception as error:  # noqa: BLE001 (a tracer never stops the run)
            report_failure("the end of the run", error)
    frames = [frame for frame in running() if frame.run is run and frame is not run.root]
    for frame in [*frames, run.root]:
        record = frame.record()
        if frame is run.root:
            record.random, record.gaps = run.draws(), run.gaps
            record.executed = run.executed
        run.recorder.on_call(record)
        frame.run = None


def _forget_run_in_child() -> None:
    # A forked worker (a DataLoader's, say) shares the parent's counters by accident, not by intent.
    global _process_run  # noqa: PLW0603
    for frame in running():
        frame.run = None  # how a call goes on that the parent began is the parent's to record
    _process_run = None
    _context_run.set(None)
    _frame.set(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_run_in_child)
