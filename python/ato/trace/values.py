"""Values that are recorded in the middle of a function, and the calls that are left out."""

from __future__ import annotations

from collections.abc import Iterable

from ato import events
from ato.events import Frame, OpenRun
from ato.fingerprints import observe
from ato.trace.schedule import is_scheduled

__all__ = ["emit_values", "note_skipped", "record"]


def record(name: str, value: object) -> None:
    """Record `value` under `name` in the middle of a function: a loss, a batch, a dict of gradients.

    It is compared between runs like the output of a call. Without an open run nothing happens.
    """
    run = events.current_run()
    if run is None:
        return
    index = run.next_index(name)
    if is_scheduled(index, None):
        emit_values(run, name, index, [(name, value)])
    else:
        note_skipped(events.current_frame(), name)


def emit_values(
    run: OpenRun, trace_id: str, index: int, values: Iterable[tuple[str, object]]
) -> None:
    """Hand on a record of kind `value`: what was seen at one moment, by path."""
    frame = Frame("value", trace_id, events.current_frame())
    frame.take_place(run, index)
    leaves, gaps = {}, []
    for path, value in values:
        seen = observe(value, path)
        leaves.update(seen.leaves)
        gaps += seen.gaps
    kept = frame.record()
    kept.output, kept.gaps = leaves, gaps
    run.recorder.on_call(kept)


def note_skipped(parent: Frame | None, trace_id: str) -> None:
    """Count a call or value that the schedule leaves out, for the function around it."""
    if parent is not None:
        parent.skipped[trace_id] = parent.skipped.get(trace_id, 0) + 1
