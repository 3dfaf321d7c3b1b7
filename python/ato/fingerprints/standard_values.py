"""How values of the standard library are taken apart.

Each function takes a value of the type, or of a subclass, and reads it through the type itself:
what a subclass overrides must not run, and is not what is stored.
"""

from __future__ import annotations

import sys
from pathlib import PurePath
from typing import Any

from ato.fingerprints.generators import mersenne_state
from ato.fingerprints.values import Reduced, instance_state, refuse, type_name


def integer(obj: int) -> Reduced:
    """A subclass of int."""
    return "int", int.__int__(obj)


def floating(obj: float) -> Reduced:
    """A subclass of float."""
    return "float", float.__float__(obj)


def complex_number(obj: complex) -> Reduced:
    """A subclass of complex."""
    return "complex", complex.__complex__(obj)


def string(obj: str) -> Reduced:
    """A subclass of str."""
    return "str", str.__str__(obj)


def byte_string(obj: bytes | bytearray) -> Reduced:
    """A subclass of bytes or bytearray."""
    return "bytes", bytes(memoryview(obj))


def sequence(obj: Any) -> Reduced:
    """A subclass of list or tuple; a named tuple's field names count."""
    if isinstance(obj, list):
        return "list", list(list.__iter__(obj))
    fields = getattr(type(obj), "_fields", None)
    items = tuple(tuple.__iter__(obj))
    if type(fields) is tuple:
        return "namedtuple", (fields, items)
    return "tuple", items


def unordered(obj: Any) -> Reduced:
    """A subclass of set or frozenset."""
    base = set if isinstance(obj, set) else frozenset
    return base.__name__, base(base.__iter__(obj))


def mapping(obj: dict[Any, Any]) -> Reduced:
    """A subclass of dict, `OrderedDict` too: the order of keys does not count."""
    return "dict", dict(dict.items(obj))


def default_mapping(obj: Any) -> Reduced:
    """A `defaultdict`: what it holds, and what makes its missing values."""
    return "defaultdict", (obj.default_factory, dict(dict.items(obj)))


def deque(obj: Any) -> Reduced:
    """A deque: its items and its bound."""
    return "deque", (list(type(obj).__iter__(obj)), obj.maxlen)


def date(obj: Any) -> Reduced:
    """A calendar date."""
    return "date", (obj.year, obj.month, obj.day)


def _clock(obj: Any) -> tuple[Any, ...]:
    return (obj.hour, obj.minute, obj.second, obj.microsecond, obj.fold, obj.tzinfo)


def time(obj: Any) -> Reduced:
    """A time of day, with its zone."""
    return "time", _clock(obj)


def date_time(obj: Any) -> Reduced:
    """A date and time, with its zone: the same instant in another zone is another value."""
    return "datetime", (obj.year, obj.month, obj.day, *_clock(obj))


def duration(obj: Any) -> Reduced:
    """A timedelta."""
    return "timedelta", (obj.days, obj.seconds, obj.microseconds)


def fixed_zone(obj: Any) -> Reduced:
    """A `datetime.timezone`: its offset and its name."""
    return "timezone", (obj.utcoffset(None), obj.tzname(None))


def named_zone(obj: Any) -> Reduced:
    """A `ZoneInfo`, by its key; one read from an open file has none."""
    return ("zoneinfo", obj.key) if obj.key is not None else refuse(obj)


def decimal(obj: Any) -> Reduced:
    """A Decimal with its precision: 1.0 and 1.00 differ."""
    from decimal import Decimal  # there, or no value could be one

    return "decimal", Decimal.__str__(obj)


def fraction(obj: Any) -> Reduced:
    """A Fraction in lowest terms."""
    return "fraction", (obj.numerator, obj.denominator)


def uuid(obj: Any) -> Reduced:
    """A UUID, by its 128 bits."""
    return "uuid", obj.int


def path(obj: PurePath) -> Reduced:
    """A path as it is written, with forward slashes; `Path` is one kind on every platform."""
    cls = type(obj)
    if cls.__module__.partition(".")[0] != "pathlib":
        return "path subclass", (type_name(cls), obj.as_posix())
    # A pure path of one named platform says so; a concrete one is whatever the platform has.
    return cls.__name__ if cls.__name__.startswith("Pure") else "path", obj.as_posix()


def bounds(obj: range | slice) -> Reduced:
    """A range or a slice."""
    return type(obj).__name__, (obj.start, obj.stop, obj.step)


def singleton(obj: object) -> Reduced:
    """`...` and `NotImplemented`."""
    return "singleton", repr(obj)


def module(obj: Any) -> Reduced:
    """A module, by its name."""
    return "module", obj.__name__


def mapping_proxy(obj: Any) -> Reduced:
    """A read-only view of a mapping."""
    return "mappingproxy", dict(obj)


def exception(obj: BaseException) -> Reduced:
    """An exception: class, arguments and notes; not its traceback."""
    return "exception", (type_name(type(obj)), obj.args, instance_state(obj))


def pattern(obj: Any) -> Reduced:
    """A compiled regular expression."""
    return "pattern", (obj.pattern, obj.flags)


def typing_form(obj: object) -> Reduced:
    """`list[int]`, `int | None` and their like, which print as they are written."""
    return "typing", repr(obj)


def operator_object(obj: Any) -> Reduced:
    """`itemgetter`, `attrgetter` and `methodcaller`: what they were made with."""
    maker, arguments = obj.__reduce__()[:2]
    return "operator", (type_name(type(obj)), maker is type(obj) or maker, arguments)


def python_generator(obj: Any) -> Reduced:
    """A `random.Random`, by its state."""
    return "random.Random", mersenne_state(obj)


def typed_sequence(obj: Any) -> Reduced:
    """An `array.array`: type code and little-endian items."""
    if sys.byteorder == "big":
        obj = obj[:]
        obj.byteswap()
    return "array.array", (obj.typecode, obj.itemsize, obj.tobytes())
