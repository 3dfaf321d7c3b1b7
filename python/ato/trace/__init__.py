"""Tracers: the code of functions, and what their calls take in, draw and give back.

`trace` fingerprints code and costs nothing at call time; `runtime_trace` records calls.
Both need no wiring: whatever run is open when a function is called receives the record.
"""

from __future__ import annotations

from ato.trace.runtime import record, runtime_trace, scope_call
from ato.trace.static import Registration, register_scope, trace

__all__ = ["Registration", "record", "register_scope", "runtime_trace", "scope_call", "trace"]
