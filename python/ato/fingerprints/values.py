"""How a value of any type is taken apart, so that it can be fingerprinted.

`ato._core` walks plain values by itself and asks `reduce` about every other one. The answer is a
kind and a plainer content; both are encoded. One table, from the name of a type to the handler
that knows it, gives the answers. Types and handlers are named by strings, so that nothing is
imported before a value of the type is met, and so that functions and classes can be handled by the
code room, which lies above this one.
"""

from __future__ import annotations

import enum
import functools
import sys
import threading
import types
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, cast

from ato._core import digest_value
from ato.exceptions import UnsupportedValueError

__all__ = [
    "SCHEME",
    "Description",
    "Plan",
    "describe_instance",
    "digest",
    "instance_state",
    "is_array",
    "plan_for",
    "reduce",
    "refuse",
    "register",
    "type_name",
]

Found = TypeVar("Found")
SCHEME = "ato value v1"
_SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes})
Reduced = tuple[str, Any]
Role = Literal["array", "code", "config", "described", "refused", "value"]


class Description(NamedTuple):
    """A value that is the sum of named parts: an instance, a module of torch, an optimizer.

    `header` is what it is without its parts (class, flags), `parts` what it holds under which name.
    `passing` holds what belongs to a running program rather than to the value (gradients): it is
    observed around calls and is not part of the fingerprint. `text` is a short rendering.
    """

    kind: str
    header: Any
    parts: Mapping[str, Any]
    passing: Mapping[str, Any]
    text: str | None = None

    def content(self, *more: Any) -> dict[Any, Any]:
        """The parts by name, so that a path through them reads as in Python; `None` is no name."""
        return {None: (self.header, *more), **self.parts}


class Plan(NamedTuple):
    """What is to be done with the values of one class.

    `printable` says that `repr` shows the value, and the same in every process.
    """

    role: Role
    reduce: Callable[[Any], Reduced]
    describe: Callable[[Any], Description] | None = None
    printable: bool = False


class _Entry(NamedTuple):
    """A row of the table; `handler` is a function, or `module:function`, imported on first use.

    Where `whole` is false the handler knows the type itself only: what a subclass adds to it is
    found by its instance dictionary and slots.
    """

    role: Role
    handler: str | Callable[[Any], Any]
    whole: bool = False


# Handlers of types that print as what they are.
_PRINTABLE = frozenset(
    {"bounds", "date", "date_time", "decimal", "dtype", "duration", "fraction", "named", "path"}
    | {"scalar", "singleton", "time", "typing_form", "uuid"}
)


def _rows(module: str, role: Role, whole: bool, rows: dict[str, str]) -> dict[str, _Entry]:
    return {
        name: _Entry(role, f"ato.fingerprints.{module}:{handler}", whole)
        for names, handler in rows.items()
        for name in names.split()
    }


_TABLE: dict[str, _Entry] = {
    **_rows(
        "standard_values",
        "value",
        False,
        {
            "builtins.int": "integer",
            "builtins.float": "floating",
            "builtins.complex": "complex_number",
            "builtins.str": "string",
            "builtins.bytes builtins.bytearray": "byte_string",
            "builtins.list builtins.tuple": "sequence",
            "builtins.set builtins.frozenset": "unordered",
            "builtins.dict collections.OrderedDict": "mapping",
            "collections.defaultdict": "default_mapping",
            "collections.deque": "deque",
            "datetime.date": "date",
            "datetime.time": "time",
            "datetime.datetime": "date_time",
            "datetime.timedelta": "duration",
            "datetime.timezone": "fixed_zone",
            "zoneinfo.ZoneInfo": "named_zone",
            "decimal.Decimal": "decimal",
            "fractions.Fraction": "fraction",
            "uuid.UUID": "uuid",
            "random.Random": "python_generator",
            "array.array": "typed_sequence",
        },
    ),
    **_rows(
        "standard_values",
        "value",
        True,
        {
            # `pathlib._local` is where Python 3.13 keeps the classes of `pathlib`.
            "pathlib.PurePath pathlib._local.PurePath": "path",
            "builtins.range builtins.slice": "bounds",
            "builtins.ellipsis builtins.NotImplementedType": "singleton",
            "builtins.module": "module",
            "builtins.mappingproxy": "mapping_proxy",
            "builtins.memoryview": "byte_string",
            "builtins.BaseException": "exception",
            "re.Pattern": "pattern",
            "types.GenericAlias types.UnionType typing._Final typing.TypeVar": "typing_form",
            "operator.itemgetter operator.attrgetter operator.methodcaller": "operator_object",
        },
    ),
    **_rows(
        "code_values",
        "code",
        True,
        {
            "builtins.function builtins.type functools._lru_cache_wrapper": "definition",
            "builtins.method": "bound_method",
            "builtins.builtin_function_or_method builtins.method-wrapper": "builtin_function",
            "builtins.method_descriptor builtins.wrapper_descriptor": "type_method",
            "builtins.classmethod_descriptor": "type_method",
            "builtins.staticmethod builtins.classmethod": "method_wrapper",
            "functools.partial": "partial",
            "numpy.ufunc": "named_callable",
        },
    ),
    **_rows(
        "numpy_values",
        "array",
        True,
        {"numpy.ndarray": "array"},
    ),
    **_rows(
        "numpy_values",
        "value",
        True,
        {
            "numpy.generic": "scalar",
            "numpy.dtype": "dtype",
            "numpy.random._generator.Generator": "generator",
            "numpy.random.bit_generator.BitGenerator": "bit_generator",
            "numpy.random.mtrand.RandomState": "random_state",
            "numpy.random.bit_generator.SeedSequence": "seed_sequence",
        },
    ),
    # Up to version 2 pandas' classes are known by the file that they are written in.
    **_rows(
        "pandas_values",
        "described",
        True,
        {
            "pandas.DataFrame pandas.core.frame.DataFrame": "frame",
            "pandas.Series pandas.core.series.Series": "series",
        },
    ),
    **_rows(
        "pandas_values",
        "value",
        True,
        {
            "pandas.Index pandas.core.indexes.base.Index": "index",
            "pandas.api.extensions.ExtensionArray": "array",
            "pandas.core.arrays.base.ExtensionArray": "array",
            "pandas.api.extensions.ExtensionDtype pandas.core.dtypes.base.ExtensionDtype": "dtype",
            "pandas.Timestamp pandas._libs.tslibs.timestamps.Timestamp": "timestamp",
            "pandas.Timedelta pandas._libs.tslibs.timedeltas.Timedelta": "timedelta",
            "pandas.Period pandas._libs.tslibs.period.Period": "period",
            "pandas.Interval pandas._libs.interval.Interval": "interval",
            "pandas._libs.tslibs.offsets.BaseOffset": "offset",
            "pandas._libs.tslibs.nattype._NaT pandas._libs.missing.C_NAType": "missing",
        },
    ),
    **_rows("polars_values", "described", True, {"polars.dataframe.frame.DataFrame": "frame"}),
    **_rows(
        "polars_values",
        "value",
        True,
        {
            "polars.series.series.Series": "series",
            "polars.datatypes.classes.DataType polars.datatypes.classes.DataTypeClass": "dtype",
        },
    ),
    **_rows("torch_values", "array", True, {"torch.Tensor": "tensor"}),
    **_rows(
        "torch_values",
        "value",
        True,
        {
            "torch.dtype torch.layout torch.memory_format torch.device": "named",
            "torch.Size": "size",
            "torch._C.Generator": "generator",
        },
    ),
    **_rows(
        "torch_values",
        "described",
        True,
        {
            "torch.nn.modules.module.Module": "module",
            "torch.nn.parallel.distributed.DistributedDataParallel": "wrapped_module",
            "torch._dynamo.eval_frame.OptimizedModule": "wrapped_module",
            "torch.optim.optimizer.Optimizer": "optimizer",
            "torch.optim.lr_scheduler.LRScheduler": "scheduler",
            "torch.utils.data.dataloader.DataLoader": "data_loader",
            "torch.utils.data.sampler.RandomSampler": "sampler",
            "torch.utils.data.sampler.SequentialSampler": "sampler",
            "torch.utils.data.distributed.DistributedSampler": "sampler",
        },
    ),
}

# Python classes whose instances stand for something outside the value: a thread, a file, a log.
# Types written in C that hide their state need no row; they are recognised by their layout.
_REFUSED = frozenset(
    {
        "_ctypes._CData",
        "_io._IOBase",
        "_thread._local",
        "_weakrefset.WeakSet",
        "asyncio.events.AbstractEventLoop",
        "concurrent.futures._base.Executor",
        "concurrent.futures._base.Future",
        "io.IOBase",
        "logging.Filterer",
        "logging.LoggerAdapter",
        "logging.Manager",
        "multiprocessing.process.BaseProcess",
        "multiprocessing.queues.Queue",
        "polars.expr.expr.Expr",
        "polars.lazyframe.frame.LazyFrame",
        "queue.Queue",
        "random.SystemRandom",
        "socket.socket",
        "subprocess.Popen",
        "threading.Barrier",
        "threading.Condition",
        "threading.Event",
        "threading.Semaphore",
        "threading.Thread",
        "torch.jit._script.ScriptModule",
        "torch.storage.TypedStorage",
        "torch.storage._StorageBase",
        "torch.utils.data.dataloader._BaseDataLoaderIter",
        "weakref.WeakKeyDictionary",
        "weakref.WeakValueDictionary",
        "weakref.finalize",
    }
)


def _once_per_class(find: Callable[[type], Found]) -> Callable[[type], Found]:
    """Keep what was found for a class.

    With a bound, since classes are kept alive with it; a dictionary of weak references would take
    longer than all the rest of an observation.
    """
    # Through Any: to mypy a class is not always hashable.
    kept: Any = lru_cache(4096)
    return cast("Callable[[type], Found]", kept(find))


def reduce(obj: object) -> Reduced:
    """Take `obj` apart by one level: the kind of value it is, and a plainer content.

    An empty kind means that the content stands in the object's place: a config is a plain mapping.

    Raises:
        UnsupportedValueError: values of this type have no meaning outside the process.
    """
    return plan_for(type(obj)).reduce(obj)


def register(name: str, handler: str | Callable[[Any], Reduced]) -> None:
    """Let `handler(obj)`, which gives (kind, content), answer for a type and its subclasses.

    Args:
        name: module and qualified name of the type, such as `"pandas.core.frame.DataFrame"`.
        handler: the function, or `"package.module:function"`, imported when a value is met.
    """
    _TABLE[name] = _Entry("value", handler, whole=True)
    cast("Any", plan_for).cache_clear()


def digest(obj: object, arrays: Mapping[int, str] | None = None) -> str:
    """Fingerprint a value that is no array; the code of a class is looked up once for all instances.

    `arrays` has the digests of plain arrays inside it, by `id`, where those are known already.

    Raises:
        UnsupportedValueError, DepthError: see `ato.fingerprint`.
    """

    def known(part: object) -> Reduced:
        found = arrays.get(id(part)) if arrays else None
        return reduce(part) if found is None else ("array", found)

    take_apart = known if arrays else reduce
    if type(obj) in _SCALARS or hasattr(_walk, "code"):
        return digest_value(obj, SCHEME, take_apart)
    _walk.code = {}
    try:
        return digest_value(obj, SCHEME, take_apart)
    finally:
        del _walk.code


@_once_per_class
def plan_for(cls: type) -> Plan:
    """What is to be done with the instances of `cls`; found once for each class."""
    if any("__ato_fingerprint__" in vars(base) for base in cls.__mro__):
        return Plan("value", _custom)
    if issubclass(cls, enum.Enum):
        return Plan("value", _enum_member)
    plain: tuple[_Entry, type] | None = None
    for base in cls.__mro__:
        name = f"{base.__module__}.{base.__qualname__}"
        if name.startswith("ato.adict."):
            return Plan("config", _config)
        if name in _REFUSED:
            return Plan("refused", refuse)
        entry = _TABLE.get(name)
        if entry is not None and entry.whole:
            return _plan_of(entry, cls, base)
        # `numpy.str_` is a `str` first and a NumPy scalar after: who knows all of it comes first.
        if entry is not None and plain is None:
            plain = (entry, base)
    if plain is not None:
        return _plan_of(plain[0], cls, plain[1])
    if _hides_state(cls, object):
        return Plan("refused", refuse)
    return Plan("described", _reduce_described(describe_instance), describe_instance)


@_once_per_class
def type_name(cls: type) -> str:
    """Module and qualified name; a script's classes count by the file's name, as when imported."""
    module = cls.__module__
    if module == "__main__":
        module = main_name()
    return f"{module}.{cls.__qualname__}"


def main_name() -> str:
    """The name under which the running script would be imported."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return _stem(file) if file else "__main__"


@functools.cache
def _stem(file: str) -> str:
    return Path(file).stem


def is_array(obj: Any) -> bool:
    """Whether `obj` is an array or tensor that its elements, in one block of memory, say all of.

    Object, structured and masked arrays are not, nor are sparse and quantised tensors.
    """
    cls = type(obj)
    numpy = sys.modules.get("numpy")
    # An array of a module that is still being imported cannot have been made yet.
    if numpy is not None and cls is getattr(numpy, "ndarray", None):
        dtype = obj.dtype
        return not dtype.hasobject and dtype.names is None and dtype.char not in "gG"
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "nn"):
        return False
    if cls is not torch.Tensor and cls is not torch.nn.Parameter:
        return False
    return obj.layout is torch.strided and not obj.is_quantized and not obj.is_nested


def refuse(obj: object) -> Reduced:
    """Raise the error that says that `obj` cannot be fingerprinted; there is no other outcome."""
    raise UnsupportedValueError(
        f"cannot fingerprint a <{type(obj).__qualname__}>; "
        "pass a part of it or implement __ato_fingerprint__"
    )


def describe_instance(obj: object) -> Description:
    """An instance of a Python class: its class, and what its dictionary and slots hold."""
    return Description("instance", type_name(type(obj)), instance_state(obj), {})


def instance_state(obj: object, base: type = object) -> dict[str, Any]:
    """What the instance dictionary and the slots of `obj` hold, by name; unset slots are absent.

    Slots of `base` and of its own bases are left out.
    """
    # Not `obj.__dict__`: the class may compute that, and nothing of the user's is to run here.
    try:
        state = object.__getattribute__(obj, "__dict__")
    except AttributeError:
        state = {}
    slots = _slots(type(obj))
    if base is not object:
        slots = {name: slot for name, slot in slots.items() if not hasattr(base, name)}
    if not slots:
        return state if type(state) is dict else dict(state)
    state = dict(state)
    for name, slot in slots.items():
        try:
            state[name] = slot.__get__(obj)
        except AttributeError:
            continue
    return state


def _plan_of(entry: _Entry, cls: type, base: type) -> Plan:
    handler = _resolve(entry.handler)
    if entry.role == "described":
        return Plan("described", _reduce_described(handler), handler)
    if entry.whole or cls is base:
        trusted = cls.__module__.partition(".")[0] in {*sys.stdlib_module_names, "numpy", "torch"}
        return Plan(entry.role, handler, None, trusted and handler.__name__ in _PRINTABLE)
    if _hides_state(cls, base):
        return Plan("refused", refuse)
    return Plan(entry.role, _reduce_subclass(handler, base))


def _resolve(handler: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    if callable(handler):
        return handler
    module, _, name = handler.partition(":")
    found: Callable[[Any], Any] = getattr(import_module(module), name)
    return found


def _reduce_described(describe: Callable[[Any], Description]) -> Callable[[Any], Reduced]:
    def reduce_described(obj: object) -> Reduced:
        described = describe(obj)
        return described.kind, described.content(_class_code(type(obj)))

    return reduce_described


def _reduce_subclass(handler: Callable[[Any], Reduced], base: type) -> Callable[[Any], Reduced]:
    """The value as its base sees it, with the class and what the class adds.

    The content stands as it is where nothing is added, so that the path in an error is short.
    """

    def reduce_subclass(obj: object) -> Reduced:
        kind, content = handler(obj)
        state = instance_state(obj, base)
        name = type_name(type(obj))
        if not state:
            return f"{kind} of class {name}", content
        return f"{kind} with attributes of class {name}", {None: content, **state}

    return reduce_subclass


def _class_code(cls: type) -> str | None:
    """The deep fingerprint of a class of the project's own; others count by their name."""
    known = getattr(_walk, "code", None)
    if known is not None and cls in known:
        found: str | None = known[cls]
        return found
    from ato.fingerprints.code_values import is_own  # that module builds on this one

    code = import_module("ato.code").fingerprint_code(cls).deep if is_own(cls) else None
    if known is not None:
        known[cls] = code
    return code


# What a thread found while it walks one value. Not kept longer: a class may be patched, and a
# constant that its methods reach may be set, between two fingerprints.
_walk = threading.local()


def _custom(obj: Any) -> Reduced:
    return "custom", (type_name(type(obj)), obj.__ato_fingerprint__())


def _enum_member(obj: Any) -> Reduced:
    return "enum", (type_name(type(obj)), obj._name_, obj._value_)


def _config(obj: Any) -> Reduced:
    # Through `dict` itself: reading a config by its own methods would count as the user's reading.
    return "", dict(dict.items(obj))


@_once_per_class
def _slots(cls: type) -> dict[str, types.MemberDescriptorType]:
    slots: dict[str, types.MemberDescriptorType] = {}
    for base in reversed(cls.__mro__):
        # A class statement that names slots leaves `__slots__` behind; C types have members of
        # their own, which their handlers know.
        if "__slots__" in vars(base):
            slots |= {
                name: member
                for name, member in vars(base).items()
                if type(member) is types.MemberDescriptorType
            }
    return slots


def _hides_state(cls: type, base: type) -> bool:
    """Whether instances hold more, in C, than `base` does and their dictionary and slots show.

    The layout tells: each slot, the dictionary and the list of weak references take one pointer.
    """
    if cls.__itemsize__ != base.__itemsize__:
        return True
    pointers = len(_slots(cls)) - len(_slots(base))
    pointers += bool(cls.__dictoffset__) + bool(cls.__weakrefoffset__)
    return cls.__basicsize__ > base.__basicsize__ + 8 * pointers
