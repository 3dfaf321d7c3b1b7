"""A recorder that keeps what it is given, for tests of whoever emits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ato import events
from ato.events import CallRecord, CodeRecord, FileRecord


class ListRecorder:
    """Keeps codes, calls and files in lists, in the order in which they came."""

    watch_files = True

    def __init__(self) -> None:
        self.codes: list[CodeRecord] = []
        self.calls: list[CallRecord] = []
        self.start: dict[str, str] = {}
        self.files: list[FileRecord] = []

    def on_code(self, record: CodeRecord) -> None:
        self.codes.append(record)

    def on_call(self, record: CallRecord) -> None:
        self.calls.append(record)

    def on_start_state(self, states: dict[str, str]) -> None:
        self.start = states

    def on_file(self, record: FileRecord) -> None:
        self.files.append(record)

    def of(self, suffix: str) -> list[CallRecord]:
        """The calls whose trace id ends with `suffix`."""
        return [call for call in self.calls if call.trace_id.endswith(suffix)]


@contextmanager
def recording() -> Iterator[ListRecorder]:
    """Open a run for the length of a block and hand over its records."""
    recorder = ListRecorder()
    run = events.open_run(recorder)
    try:
        yield recorder
    finally:
        events.close_run(run)
