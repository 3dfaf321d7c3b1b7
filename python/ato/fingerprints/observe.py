"""What a value looked like at a call: a fingerprint for each of its leaves, by path.

An input or output that changed between two runs is named to the leaf (`batch['x']`,
`model.fc.weight`, `output[0]`), so a value is opened as far as its leaves fit a limit. Nothing here
raises, draws a random number, or keeps a value alive; what cannot be fingerprinted is a gap.
"""

from __future__ import annotations

import enum
import sys
from functools import lru_cache
from typing import Any, NamedTuple

from ato._core import digest_value
from ato.events import Leaf
from ato.exceptions import FingerprintError
from ato.fingerprints.arrays import _refuse_unreadable, digest_array
from ato.fingerprints.code_values import is_own, qualified_name
from ato.fingerprints.values import (
    SCHEME,
    Plan,
    Reduced,
    instance_state,
    is_array,
    plan_for,
    reduce,
    type_name,
)

__all__ = ["Observation", "observe"]

_SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes})
_NUMBERS = frozenset("biufc")  # kinds of NumPy's scalars
_TEXT_LENGTH = 80
_SUMMARY_BYTES = 64 * 2**20  # beyond this, looking closer costs more than it tells
_SMALL_BYTES = 64 * 2**10  # up to this, a tensor on a device is copied and looked at closely
_DEPTH = 100  # levels that are opened by path; what lies deeper is fingerprinted as one leaf
_NO_PROJECT = sys.stdlib_module_names | {"ato", "numpy", "torch"}

Child = tuple[str, Any]


class _Opened(NamedTuple):
    """A value with parts: what it is besides them (`None` if they say all), and its parts."""

    header: Any
    children: list[Child]
    text: str | None = None


class Observation(NamedTuple):
    """Leaves by path, gaps as "path: reason", and the functions and classes that were met."""

    leaves: dict[str, Leaf]
    gaps: list[str]
    code: list[object]


def observe(value: object, path: str, *, limit: int = 64, sketch: bool = True) -> Observation:
    """Fingerprint `value` leaf by leaf under `path`, opening at most `limit` leaves.

    Mappings, lists, tuples, instances, modules, optimizers and loaders are opened; where they are
    more than a plain list or a dict with text keys, a leaf at their own path tells class and flags.
    What exceeds the limit is one leaf for the rest of its branch. Arrays are leaves, with dtype,
    shape and, up to 64 MiB, a summary, an order-free digest and, unless `sketch` is false (a sketch
    takes 0.7 KB, and the distance of two inputs is not asked for), a sketch; scalars have a text. A config is passed over, since what is
    read of it counts. Functions and classes are no leaves: they are listed, as are the classes of
    instances, unless they are the standard library's, NumPy's or torch's.
    """
    cls = type(value)
    if cls in _SCALARS:
        return tuple.__new__(Observation, ({path: _scalar(value, cls)}, [], []))
    watch = _Watch(sketch)
    watch.expand(value, path, limit)
    watch.read_devices()
    return Observation(watch.leaves, watch.gaps, watch.code)


def _scalar(value: Any, cls: type) -> Leaf:
    # By `tuple.__new__`, here and where else it counts: a call of the class takes three times as long.
    digest = digest_value(value, SCHEME, reduce)
    if cls is float:
        text = repr(value)
    elif cls is str or cls is bytes:
        text = repr(value[:_TEXT_LENGTH])[:_TEXT_LENGTH]
    elif cls is int and not -(2**63) <= value < 2**63:
        # Writing out a number takes the square of its length, and is refused beyond 4,300 digits.
        text = f"{value.bit_length()}-bit integer"
    else:
        text = repr(value)
    return tuple.__new__(Leaf, (digest, cls.__name__, None, None, text, None, None, None))


class _Watch:
    """One observation in the making."""

    def __init__(self, sketch: bool) -> None:
        self._sketch = sketch
        self.leaves: dict[str, Leaf] = {}
        self.gaps: list[str] = []
        self.code: list[object] = []
        self._known: set[int] = set()
        self._open: list[int] = []
        self._unseen: list[str] = []
        self._on_device: dict[str, Any] = {}
        self._whole_value: object = None

    def expand(self, value: Any, path: str, budget: int) -> int:
        """Add the leaves of `value`; return how many there are, `budget` at most."""
        cls = type(value)
        if cls in _SCALARS:
            self.leaves[path] = _scalar(value, cls)
            return 1
        before = len(self.leaves)
        try:
            self._expand_object(value, path, budget)
        except Exception as error:  # noqa: BLE001 (a value of the user's may do anything; a gap says so)
            reason = _reason(error)
            # The encoder names the path by itself.
            self.gaps.append(reason if reason.startswith(path) else f"{path}: {reason}")
        return len(self.leaves) - before

    def reduce(self, obj: object) -> Reduced:
        """Take an object inside a leaf apart, noting code and leaving out what a call leaves out."""
        plan = plan_for(type(obj))
        if plan.role == "config":
            return "config", None
        if plan.role == "code":
            return self._reduce_code(obj, plan)
        self._note_class(type(obj))
        try:
            if plan.describe is not None:
                described = plan.describe(obj)
                return described.kind, {**described.content(), **described.passing}
            return plan.reduce(obj)
        except Exception as error:
            if obj is self._whole_value:
                raise
            self._unseen.append(_reason(error))
            return "not watched", type_name(type(obj))

    def _expand_object(self, value: Any, path: str, budget: int) -> None:
        cls = type(value)
        plan = plan_for(cls)
        if plan.role == "config":
            return
        if plan.role == "code":
            self._expand_code(value, path, budget)
            return
        self._note_class(cls)
        if plan.role == "refused":
            plan.reduce(value)
        if plan.role == "array":
            self._array(value, cls, path)
            return
        opened = None
        if budget > 1 and id(value) not in self._open and len(self._open) < _DEPTH:
            opened = _open(value, plan, path)
        if opened is None:
            self._whole(value, path, _text(value, plan))
            return
        self._open.append(id(value))
        try:
            self._expand_parts(value, opened, path, budget)
        finally:
            self._open.pop()

    def _expand_parts(self, value: Any, opened: _Opened, path: str, budget: int) -> None:
        header, children, text = opened
        if len(children) > budget and all(type(child) in _SCALARS for _, child in children):
            # Thousands of numbers: the first 64 by name tell no more than the whole does.
            self._whole(value, path, f"{len(children)} scalars")
            return
        if header is not None:
            digest = digest_value(header, SCHEME, self.reduce, path, configs=False)
            fields = (digest, type(value).__name__, None, None, _short(text), None, None, None)
            self.leaves[path] = tuple.__new__(Leaf, fields)
            self._close_gaps(path)
            budget -= 1
        if len(children) > budget and not isinstance(value, (list, tuple)):
            # Two runs must name the same children, and the order of keys does not count.
            children = sorted(children, key=lambda child: child[0])
        for number, (child_path, child) in enumerate(children):
            after = len(children) - number - 1
            if budget <= 1 and after:
                rest = dict(children[number:])
                self._whole(rest, f"{path}[…]", f"{len(rest)} more")
                return
            budget -= self.expand(child, child_path, max(1, budget - after))

    def _expand_code(self, value: Any, path: str, budget: int) -> None:
        """List a function or class; what a bound method or a partial carries is opened.

        Installed code is nobody's own and counts by its name, so that a leaf tells one from another.
        """
        if hasattr(value, "__func__"):
            self._note(value.__func__, value.__func__.__module__)
            if not isinstance(value.__self__, type):
                self.expand(value.__self__, f"{path}.__self__", budget)
        elif hasattr(value, "keywords") and hasattr(value, "func"):
            parts = {"func": value.func, "args": value.args, "keywords": value.keywords}
            for number, (name, part) in enumerate(parts.items()):
                budget -= self.expand(part, f"{path}.{name}", max(1, budget - 2 + number))
        else:
            self._note(value, getattr(value, "__module__", None))
            if not is_own(value):
                self._whole(value, path, qualified_name(value))

    def _whole(self, value: Any, path: str, text: str | None) -> None:
        """Add `value` as one leaf."""
        self._whole_value = value
        digest = digest_value(value, SCHEME, self.reduce, path, configs=False)
        self.leaves[path] = Leaf(digest, type(value).__name__, text=_short(text))
        self._close_gaps(path)

    def _array(self, value: Any, cls: type, path: str) -> None:
        """Add an array or tensor, by its digest if it is no more than its elements."""
        if is_array(value):
            if _is_on_device(value):
                _refuse_unreadable(sys.modules["torch"], value)
                self._on_device[path] = value
                self.leaves[path] = Leaf("", cls.__name__)  # its place among the others
                return
            closely = value.nbytes <= _SUMMARY_BYTES
            digest = digest_array(
                value, summary=closely, order_free=closely, sketch=closely and self._sketch
            )
            sketch = None if digest.sketch is None else digest.sketch.to_text()
            fields = (digest.hex, cls.__name__, digest.dtype, digest.shape, None, digest.summary)
            self.leaves[path] = tuple.__new__(Leaf, (*fields, digest.order_free, sketch))
            return
        self._whole(value, path, None)
        dtype = str(value.dtype).removeprefix("torch.")
        shape = None if getattr(value, "is_nested", False) else tuple(value.shape)
        self.leaves[path] = self.leaves[path]._replace(dtype=dtype, shape=shape)

    def read_devices(self) -> None:
        """Digest the tensors that lie on devices, all of them at once: each wait costs a step time."""
        if not self._on_device:
            return
        from ato.fingerprints import cuda  # it imports torch, which is there

        try:
            few = {p: x for p, x in self._on_device.items() if x.nbytes <= _SMALL_BYTES}
            for (path, x), copy in zip(few.items(), cuda.on_host(list(few.values())), strict=True):
                self._array(copy, type(x), path)
            many = {p: x for p, x in self._on_device.items() if p not in few}
            digests = cuda.digest_tensors(list(many.values()))
            for (path, x), digest in zip(many.items(), digests, strict=True):
                self.leaves[path] = Leaf(digest.hex, type(x).__name__, digest.dtype, digest.shape)
        except Exception as error:  # noqa: BLE001 (a device that failed fails the run by itself)
            for path in self._on_device:
                if not self.leaves[path].fingerprint:
                    del self.leaves[path]
                    self.gaps.append(f"{path}: {_reason(error)}")

    def _close_gaps(self, path: str) -> None:
        """Say what could not be seen inside the leaf that was added last."""
        if self._unseen:
            reasons = "; ".join(sorted(set(self._unseen)))
            self.gaps.append(f"{path}: partly unwatched: {reasons}")
            self._unseen = []

    def _reduce_code(self, obj: Any, plan: Plan) -> Reduced:
        """Own code counts where code is compared; inside a leaf its name keeps its place."""
        if not is_own(obj):
            return plan.reduce(obj)
        self._note(obj, obj.__module__)
        return "name", qualified_name(obj)

    def _note_class(self, cls: type) -> None:
        self._note(cls, cls.__module__)

    def _note(self, thing: object, module: str | None) -> None:
        if id(thing) in self._known:
            return
        self._known.add(id(thing))
        if _may_be_own(module or "builtins"):
            self.code.append(thing)


@lru_cache(4096)
def _may_be_own(module: str) -> bool:
    return module.partition(".")[0] not in _NO_PROJECT


def _is_on_device(value: Any) -> bool:
    return getattr(value, "is_cuda", False) is True


def _open(value: Any, plan: Plan, path: str) -> _Opened | None:
    """The parts of a value that can be opened; `None` for one that is a leaf."""
    if plan.describe is not None:
        described = plan.describe(value)
        parts = [*described.parts.items(), *described.passing.items()]
        children = [(f"{path}.{name}", part) for name, part in parts]
        return _Opened((described.kind, described.header), children, described.text)
    if plan.role != "value" or hasattr(type(value), "__ato_fingerprint__"):
        return None
    if isinstance(value, dict):
        return _open_mapping(value, path)
    if isinstance(value, (list, tuple)):
        return _open_sequence(value, path)
    return None


def _open_mapping(value: dict[Any, Any], path: str) -> _Opened | None:
    children = []
    texts_only = True
    for key, child in dict.items(value):
        shown = repr(key) if type(key) in _SCALARS else None
        if shown is None or len(shown) > _TEXT_LENGTH:
            return None
        texts_only = texts_only and type(key) is str
        children.append((f"{path}[{shown}]", child))
    if type(value) is not dict:
        factory = getattr(value, "default_factory", None)
        header: Any = ("dict", type_name(type(value)), factory, instance_state(value, dict))
        return _Opened(header, children)
    # A key that is a number could be an index; only text keys are told from a list's by their path.
    return _Opened(None if texts_only and children else "dict", children, f"length {len(children)}")


def _open_sequence(value: list[Any] | tuple[Any, ...], path: str) -> _Opened:
    base: Any = list if isinstance(value, list) else tuple
    items = enumerate(base.__iter__(value))
    fields = getattr(type(value), "_fields", None) if base is tuple else None
    if type(fields) is tuple:
        children = [(f"{path}.{fields[number]}", child) for number, child in items]
    else:
        children = [(f"{path}[{number}]", child) for number, child in items]
    text = f"length {len(children)}"
    if type(value) is not base:
        state = instance_state(value, base)
        return _Opened((base.__name__, type_name(type(value)), state), children, text)
    return _Opened(None if base is list and children else base.__name__, children, text)


def _text(value: Any, plan: Plan) -> str | None:
    """A short rendering of a value whose own one can be trusted to hold no address."""
    cls = type(value)
    if isinstance(value, enum.Enum):
        return f"{cls.__name__}.{value._name_}"
    if isinstance(value, (set, frozenset, dict, list, tuple)):
        return f"length {len(value)}"
    if getattr(getattr(value, "dtype", None), "kind", "") in _NUMBERS and plan.printable:
        return str(value)  # of a NumPy scalar, the number alone
    return repr(value) if plan.printable else None


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= _TEXT_LENGTH else text[: _TEXT_LENGTH - 1] + "…"


def _reason(error: Exception) -> str:
    """What an error says, without the class where it is one of Ato's."""
    if isinstance(error, FingerprintError):
        return str(error)
    return f"{type(error).__name__}: {error}"
