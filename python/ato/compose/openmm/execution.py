"""Config files written in Python, executed; nobody else in Ato executes what a file says.

(But `ADict.from_file('x.py')`, which knows no bases.)
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ato.compose.openmm.branch import Branch, Imported, plain
from ato.compose.openmm.parsing import INTERPOLATE, PythonFile
from ato.exceptions import ConfigError, ConfigFileError

__all__ = ["execute", "execute_lazily"]

_NOT_VALUES = (ModuleType, FunctionType)


def execute(config: PythonFile, base: dict[Any, Any] | None) -> tuple[dict[str, Any], Any]:
    """Execute a config of the older style.

    Args:
        config: the parsed file.
        base: the values of its bases, None where it has none.

    Returns:
        its own values, and those of the bases after it may have changed them; plain values.

    Raises:
        ConfigFileError: it raised something; or the error of Ato's that it ran into.
    """
    seen = None if base is None else Branch.of(base)
    names = _names(config)
    names[INTERPOLATE] = lambda text: config.templates.value(text, seen)
    if seen is not None:
        names["_base_"] = seen
    with _errors_of(config):
        _run(config, names)
        own = {
            key: plain(value)
            for key, value in names.items()
            if not key.startswith("__") and key != "_base_" and not isinstance(value, _NOT_VALUES)
        }
        return own, plain(seen)


def execute_lazily(
    config: PythonFile, inherited: dict[str, Any], imports: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Execute a config of the newer style.

    Args:
        config: the parsed file, without the imports of its bases.
        inherited: the values that it imports from its bases.
        imports: what its bases imported lazily and it sees.

    Returns:
        its values, plain, and what it and its bases imported lazily.

    Raises:
        ConfigFileError: it raised something; or the error of Ato's that it ran into.
    """
    names = _names(config)
    names.update(imports)
    names.update({key: Branch.of(value) for key, value in inherited.items()})
    importer = _Importer()
    names["__builtins__"] = {**vars(builtins), "__import__": importer}
    with _errors_of(config):
        try:
            _run(config, names)
        finally:
            importer.reading = False
        imported = set(imports) | _imported_names(config.module)
        values = {
            key: plain(value)
            for key, value in names.items()
            if not key.startswith("__")
            and key not in imported
            and not isinstance(value, ModuleType)
        }
        return values, {key: names[key] for key in imported if key in names}


class _Importer:
    """The `import` of a config of the newer style: the standard library, and names of the rest.

    A function of the config that is called later imports as ever.
    """

    def __init__(self) -> None:
        self.reading = True

    def __call__(
        self,
        module: str,
        namespace: Mapping[str, Any] | None = None,
        local: Mapping[str, Any] | None = None,
        wanted: tuple[str, ...] | None = (),
        level: int = 0,
    ) -> Any:
        """Import as `builtins.__import__` does, or stand in for it."""
        top = module.partition(".")[0]
        if not self.reading or (level == 0 and top in sys.stdlib_module_names):
            return builtins.__import__(module, namespace, local, wanted or (), level)
        if level or "*" in (wanted or ()):
            raise ConfigFileError(
                f"`from {'.' * level}{module} import …` stands outside of `with read_base():`; "
                "move it there if that is a config, else import single names from a package"
            )
        return Imported(module if wanted else top)


def _names(config: PythonFile) -> dict[str, Any]:
    return {"__name__": config.file.stem, "__file__": str(config.file)}


def _run(config: PythonFile, names: dict[str, Any]) -> None:
    code: CodeType = compile(config.module, str(config.file), "exec", dont_inherit=True)
    exec(code, names)  # noqa: S102 (a `.py` config is executed; `safe=True` refuses it before)


@contextmanager
def _errors_of(config: PythonFile) -> Iterator[None]:
    """Say in which line of the config an error came up."""
    try:
        yield
    except (Exception, SystemExit) as error:
        place = config.name
        if isinstance(error, SyntaxError) and error.filename == str(config.file):
            # What only the compiler refuses: a `return` at the top level.
            place = f"{config.name}:{error.lineno}"
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == str(config.file):
                place = f"{config.name}:{trace.tb_lineno}"
            trace = trace.tb_next
        if isinstance(error, RecursionError):
            raise ConfigFileError(
                f"{place}: a value is nested too deeply, or contains itself; leave that part out"
            ) from error
        if not isinstance(error, ConfigError):
            raise ConfigFileError(f"{place}: {type(error).__name__}: {error}") from error
        if str(error).startswith(f"{config.name}:"):
            raise
        raise type(error)(f"{place}: {error}") from None


def _imported_names(module: ast.Module) -> set[str]:
    return {
        alias.asname or alias.name.partition(".")[0]
        for node in ast.walk(module)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
