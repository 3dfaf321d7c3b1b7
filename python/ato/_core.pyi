# ruff: noqa: PYI021 (this is where the extension is described: help() of it is brief)
"""The part of Ato that is written in Rust."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType
from typing import Any, Literal, Self, TypeAlias, final

from ato.fingerprints.types import ArrayDigest

__all__ = [
    "Journal",
    "digest_array",
    "digest_arrays",
    "digest_buffer",
    "digest_bytecode",
    "digest_file",
    "digest_memory",
    "digest_structure",
    "digest_value",
    "journal_header",
    "journal_is_held",
    "read_journal",
    "read_records",
    "simd_level",
]

def digest_value(
    value: object,
    scheme: str,
    reduce: Callable[[Any], tuple[str, Any]],
    path: str = "value",
    configs: bool = True,
) -> str:
    """Fingerprint any value under `scheme`: 64 hexadecimal digits.

    Values of these exact types are walked as they are: None, bool, int, float, complex, str, bytes,
    bytearray, memoryview, list, tuple, set, frozenset, dict and `ato.adict.ADict`, which has the
    digest of the equal dict. The order of a dict or set does not count. Any other value is given to
    `reduce`, which returns its kind and a plainer content; both are encoded. Where the kind is
    empty, the content is encoded as if it stood in the value's place.

    Args:
        value: what to fingerprint.
        scheme: kind and version of the fingerprint, such as `"ato value v1"`.
        reduce: takes apart a value of another type by one level.
        path: how messages call `value`.
        configs: whether an `ADict` is walked; else it is given to `reduce`.

    Raises:
        ValueError: there is no such scheme.
        UnsupportedValueError: from `reduce`, with the path to the value in front.
        DepthError: values are nested more than 1,000 levels deep.
    """

def digest_structure(value: object, reduce: Callable[[Any], tuple[str, Any]]) -> str:
    """Fingerprint keys and types under `"ato config-structure v1"`: 64 hexadecimal digits.

    Any dict, of a subclass too, is a mapping. A list or tuple counts by the structures of its
    items, equal neighbours once; a set by its distinct structures. Of another value, the kind and
    the structure of the content that `reduce` gives count.

    Raises:
        UnsupportedValueError: from `reduce`, with the path to the value in front.
        DepthError: values are nested more than 1,000 levels deep.
    """

def digest_array(
    x: Any,
    *,
    algorithm: Literal["xxh3", "blake3"] = "xxh3",
    order_free: bool = False,
    summary: bool = False,
    sketch: bool = False,
    leaves: bool = False,
) -> ArrayDigest:
    """Digest the dtype, shape and elements of a NumPy array or torch tensor; `help()` says more."""

def digest_arrays(
    arrays: Sequence[Any],
    *,
    algorithm: Literal["xxh3", "blake3"] = "xxh3",
    order_free: bool = False,
    summary: bool = False,
    sketch: bool = False,
    leaves: bool = False,
) -> list[ArrayDigest]:
    """What `digest_array` gives for each, with all threads at work on all arrays at once."""

def digest_buffer(
    buffer: object,
    *,
    algorithm: Literal["xxh3", "blake3"] = "xxh3",
    dtype: str | None = None,
    shape: Sequence[int] | None = None,
    order_free: bool = False,
    summary: bool = False,
    sketch: bool = False,
    leaves: bool = False,
) -> ArrayDigest:
    """Digest an array of at least one axis that has the buffer protocol, whatever its strides.

    Contiguous elements are read once, whatever is asked for.

    Args:
        buffer: its elements are numbers, truth values or fixed strings.
        algorithm: `"xxh3"` or `"blake3"`.
        dtype: the name that counts, instead of that of the buffer's format.
        shape: the shape that counts, instead of the buffer's.
        order_free: whether to digest the rows along axis 0 without their order.
        summary: whether to summarise the elements.
        sketch: whether to sketch the elements.
        leaves: whether to return the leaves' digests, 16 bytes each.

    Raises:
        ValueError: no such algorithm, or elements of a format without a dtype.
        BufferError: the object has no buffer to give.
    """

def digest_memory(
    address: int,
    size: int,
    origin: int,
    dtype: str,
    item: int,
    unit: int,
    shape: Sequence[int],
    strides: Sequence[int],
    *,
    algorithm: Literal["xxh3", "blake3"] = "xxh3",
    order_free: bool = False,
    summary: bool = False,
    sketch: bool = False,
    leaves: bool = False,
) -> ArrayDigest:
    """Digest elements in memory that the caller holds.

    The caller must see to it that the memory is readable until the call returns.

    Args:
        address: where the memory begins.
        size: its bytes; an element outside of it is an error.
        origin: where the first element lies, in elements.
        dtype: the name of the element type.
        item: bytes of an element.
        unit: bytes of its numbers: half an element for complex ones.
        shape: sizes of the axes.
        strides: distances along the axes, in elements.
        algorithm: as of `digest_buffer`, like what follows it.

    Raises:
        ValueError: no such algorithm, or an element outside of the memory.
    """

def digest_file(path: str) -> str:
    """Digest a file: plain BLAKE3, as `b3sum` prints it, 64 hexadecimal digits.

    Raises:
        OSError: the file cannot be opened or read.
    """

def digest_bytecode(
    code: CodeType,
    interpreter: str,
    kinds: bytes,
    flags: bytes,
    halves: bytes,
    reduce: Callable[[Any], tuple[str, Any]],
) -> str:
    """Digest a code object under `"ato bytecode v1"`: 64 hexadecimal digits.

    Args:
        code: it is digested with the code objects that it holds.
        interpreter: what the bytecode is for.
        kinds: for each of the 256 opcodes, what it does with its argument; `ato.code.bytecode` has
            the numbers.
        flags: for each opcode that takes a name, how many low bits of its argument are flags.
        halves: three bytes for each opcode that is two in one: itself and the two.
        reduce: takes apart a constant of another type, as for `digest_value`.

    Raises:
        ValueError: the code refers to what it does not hold, or a table is none of 256 entries.
        UnsupportedValueError: from `reduce`, for a constant.
    """

def simd_level() -> str:
    """The instructions with which the leaves of arrays are hashed on this machine."""

# How a journal goes on after what was read: there is more; the file ends; with a record that is not
# all there; with something that was never written; with its last record.
_Ending: TypeAlias = Literal["more", "whole", "torn", "damaged", "ended"]

# (number, name) of metrics; (sequence, number of the name, value, step, timestamp, ident, position),
# with None for NaN; (kind, cells).
_Key: TypeAlias = tuple[int, str]
_Point: TypeAlias = tuple[int, int, float | None, int, float, int | None, int | None]
_Cells: TypeAlias = tuple[int | float | str | None, ...]
_Content: TypeAlias = tuple[list[_Key], list[_Point], list[tuple[int, _Cells]], int, _Ending]

@final
class Journal:
    """A file of records that one process appends to, under a lock that its death takes away.

    A record is in the file when the call that logs it returns, and the kernel keeps it when the
    process is killed. While the file cannot be written, records wait in memory. What logs answers

    - 0: it is in the file;
    - 1: nothing was done, since the arguments are not of the exact types that are taken here;
    - 2: it waits in memory;
    - 3: it is lost, and counted, since there is no room left either;
    - 4: nothing was done, since the journal is closed, or another process's;
    - 5: like 0, and the file has grown by `mark` bytes.
    """

    def __new__(
        cls,
        path: str,
        header: str,
        *,
        sequence: int = 0,
        room: int = ...,
        pause: float = 1.0,
        mark: int = ...,
    ) -> Self:
        """Begin a journal in a file that is not there yet; a missing folder is made.

        Args:
            path: the file.
            header: says whose journal it is.
            sequence: the number of the first value that is logged.
            room: bytes that may wait in memory.
            pause: seconds until a write is tried again after one has failed.
            mark: bytes after which the answer is 5.
        """

    def log_metric(
        self, key: object, value: object, step: object, ident: int | None, position: int | None
    ) -> int:
        """Log a value: key a `str`, value a `float` or `int`, step an `int`."""

    def log_metrics(
        self, metrics: object, step: object, ident: int | None, position: int | None
    ) -> int:
        """Log the values of a `dict`, all or none; otherwise as `log_metric`."""

    def append(self, kind: int, cells: _Cells) -> int:
        """Append a row of a kind of 16 or more."""

    def close(self) -> None:
        """Write what waits, and end the journal if that worked. The lock goes with the object."""

    def number_from(self, sequence: int) -> None:
        """Number the next value."""

    @property
    def closed(self) -> bool:
        """Whether this process writes to it no more."""

    def take_waiting(self) -> bytes:
        """Take back what waits in memory: records."""

    def abandon(self) -> None:
        """In a forked child: let go of the parent's file and lock."""

    @property
    def path(self) -> Path: ...
    @property
    def length(self) -> int:
        """Bytes of whole records in the file."""

    @property
    def sequence(self) -> int:
        """The number of the next value."""

    @property
    def waiting(self) -> int:
        """How many records wait in memory; a value is a record."""

    @property
    def dropped(self) -> int:
        """How many records are lost."""

    @property
    def trouble(self) -> str | None:
        """Why the file could last not be written."""

def journal_is_held(path: str) -> bool:
    """Whether the process that writes a journal is there.

    Raises:
        OSError: the file cannot be opened.
    """

def journal_header(path: str) -> str | None:
    """The header of a journal; `None` while it is not all there.

    Raises:
        ValueError: the file is no journal.
        OSError: it cannot be read.
    """

def read_journal(path: str, offset: int, most: int) -> _Content:
    """Read whole records from `offset` on, which is 0 or what an earlier call gave.

    Args:
        path: the journal.
        offset: where to begin.
        most: about how many bytes to read.

    Returns:
        names of metrics, values, rows, where to go on, and how the file goes on there.

    Raises:
        ValueError: the file is no journal.
        OSError: it cannot be read.
    """

def read_records(records: bytes) -> _Content:
    """Read the whole records in `records`."""
