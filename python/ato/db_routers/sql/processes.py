"""Whether the process of a run is still there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["is_gone", "started"]


def started(pid: int) -> str | None:
    """When process `pid` of this host started, as a text to compare; `None` if there is none.

    A pid is given again after its process is gone; pid and start together are not.
    """
    if sys.platform == "linux":
        return _started_linux(pid)
    if os.name == "posix":
        return _started_posix(pid)
    return None


def is_gone(pid: int, start: str | None) -> bool:
    """Whether the process that had `pid` and began at `start` on this host has ended.

    Where that cannot be found out (Windows, or no start was recorded), it counts as running.
    """
    return start is not None and os.name == "posix" and started(pid) != start


def _started_linux(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    # The second field is the program's name in parentheses and may hold anything; the state
    # follows it, and the start, in clock ticks since boot, is the twentieth from there.
    fields = stat.rpartition(")")[2].split()
    # A zombie has ended and only waits for its parent to ask how.
    return None if fields[0] in {"Z", "X"} else f"{boot}:{fields[19]}"


def _started_posix(pid: int) -> str | None:
    found = subprocess.run(  # noqa: S603 (a fixed command)
        ["ps", "-o", "lstart=", "-p", str(pid)],  # noqa: S607 (every POSIX system has it on the path)
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    return found.stdout.strip() or None
