"""The scopes of this process, by name: they share one command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ato import events
from ato.exceptions import DuplicateScopeError

if TYPE_CHECKING:
    from ato.scope.single import Scope

__all__ = ["add", "forget_all", "interactive", "program_arguments", "program_name", "scopes"]

_scopes: dict[str, Scope] = {}

# Programs whose command line is their own: test runners, notebook kernels, prompts.
_HOSTS = frozenset(
    {
        "_jb_pytest_runner", "_jb_unittest_runner", "bpython", "colab_kernel_launcher",
        "ipykernel", "ipykernel_launcher", "ipython", "ipython3", "jupyter", "nose2", "ptpython",
        "py.test", "pytest", "run_pytest_script", "trial", "unittest",
    }
)  # fmt: skip


def add(scope: Scope, *, override: bool) -> None:
    """Register a scope under its name.

    Raises:
        DuplicateScopeError: the name is taken and `override` is not set.
    """
    if scope.name in _scopes and not override and not interactive():
        raise DuplicateScopeError(
            f"there is a scope named {scope.name!r} already; give this one another name "
            f"(Scope(name=…)), or replace the other with Scope(enable_override=True)"
        )
    _scopes[scope.name] = scope
    # By name, not by scope: the one that is registered under it then is the one that is meant.
    events.offer_config(scope.name, lambda: _scopes[scope.name].config)


def forget_all() -> None:
    """Forget every scope."""
    _scopes.clear()
    events.withdraw_configs()


def scopes() -> dict[str, Scope]:
    """Return the registered scopes by name, in the order of registration."""
    return dict(_scopes)


def program_name() -> str:
    """Return the script's file name, for messages."""
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"


def program_arguments() -> list[str] | None:
    """Return the script's arguments; `None` where the command line is not the script's own."""
    if not sys.argv or not sys.argv[0] or interactive():
        return None
    script = Path(sys.argv[0])
    # `python -m pytest` has …/pytest/__main__.py as its first entry.
    name = script.parent.name if script.stem == "__main__" else script.name
    name = name.rpartition(" -m ")[2]  # unittest calls itself `python -m unittest`
    if name.lower().removesuffix(".py").removesuffix(".exe") in _HOSTS:
        return None
    return sys.argv[1:]


def interactive() -> bool:
    """Whether a person types statements, at a prompt or in a notebook, and repeats them."""
    return hasattr(sys, "ps1") or "ipykernel" in sys.modules
