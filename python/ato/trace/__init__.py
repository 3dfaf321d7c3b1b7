"""Tracers: the code of functions, and what their calls take in, draw and give back.

`trace` fingerprints code and costs nothing at call time; `runtime_trace` records calls; `watch`
records what the parts of a torch module give. None needs wiring: whatever run is open when
something happens receives the record.
"""

from __future__ import annotations

from ato.trace.files import install
from ato.trace.runtime import runtime_trace, scope_call
from ato.trace.static import Registration, register_scope, trace
from ato.trace.values import record
from ato.trace.watching import unwatch, watch

__all__ = [
    "Registration",
    "record",
    "register_scope",
    "runtime_trace",
    "scope_call",
    "trace",
    "unwatch",
    "watch",
]

# A script reads data in its body as often as in a function; that counts from here on.
install()
