"""The states of the implicit random generators: `random`, NumPy's global one, torch's per device.

States are read and never drawn from. A traced call reads them twice, so they are compared as bytes
with what was read last, and digested only when they moved. The Mersenne twisters of CPython and
NumPy are read where they lie in memory (0.1 µs each), because `random.getstate()` takes 7 µs and
`np.random.get_state()` 40 µs. Where a layout is not what is expected, which is checked against
those calls when a generator is first met, they are what is used.
"""

from __future__ import annotations

import random
import struct
import sys
from collections.abc import Callable
from typing import Any

from ato._core import digest_buffer
from ato.fingerprints.values import digest

__all__ = ["mersenne_state", "states"]

_WORDS = 624
_STATE_BYTES = 4 * (_WORDS + 1)  # the words, and the position among them
_NUMPY_PROBE = 1.2345e-7  # a number that nothing else in the object is equal to

# Words in memory order, and what else belongs to the state.
State = tuple[bytes, Any]
Read = Callable[[], State]


class _Source:
    """A generator whose state is digested again only when it moved."""

    __slots__ = ("_kept", "read")

    def __init__(self, read: Read) -> None:
        self.read = read
        self._kept: tuple[State | None, str] = (None, "")

    def digest(self) -> str:
        """The fingerprint of the state as it is now."""
        state = self.read()
        kept, found = self._kept
        if state != kept:
            words, rest = state
            # As an array of bytes, which takes a third of the time that a value of this size does.
            found = digest_buffer(words + repr(rest).encode(), dtype="generator").hex
            # One assignment, so that a second thread never pairs a state with another's digest.
            self._kept = (state, found)
        return found


class _Sources:
    """The generators met so far."""

    def __init__(self) -> None:
        self.python: _Source | None = None
        self.numpy: tuple[object, _Source] | None = None
        self.torch: dict[str, _Source] = {}


_sources = _Sources()


def states() -> dict[str, str]:
    """Fingerprint the state of every implicit generator of the process, drawing from none.

    Returns:
        Digest by name: `random`; `numpy.random` and `torch` if those are loaded; `torch.cuda:0` and
        so on once CUDA is initialised.
    """
    if _sources.python is None:
        _sources.python = _Source(_python_reader())
    found = {"random": _sources.python.digest()}
    numpy_random = sys.modules.get("numpy.random.mtrand")
    if numpy_random is not None:
        generator = getattr(numpy_random, "_rand", None)
        if generator is not None:  # it is not there yet while NumPy is being imported
            found["numpy.random"] = _numpy_source(generator).digest()
    torch = sys.modules.get("torch")
    if torch is not None:
        _add_torch(torch, found)
    return found


def mersenne_state(generator: random.Random) -> tuple[bytes, float | None]:
    """Words and position of a `random.Random`, little-endian, and the kept second normal number."""
    _, internal, kept_normal = generator.getstate()
    return struct.pack(f"<{_WORDS + 1}I", internal[-1], *internal[:-1]), kept_normal


def _python_reader() -> Read:
    """Read the generator behind `random.random()`: CPython keeps index and words in the object."""
    generator: Any = random._inst

    def by_call() -> State:
        return mersenne_state(generator)

    twister = type(generator) is random.Random
    header = object.__basicsize__
    base = random.Random.__base__
    if (
        sys.byteorder != "little"
        or sys.implementation.name != "cpython"
        or not twister
        or base is None
        or not header + _STATE_BYTES <= base.__basicsize__ <= header + _STATE_BYTES + 8
    ):
        return by_call
    memory = _memory(id(generator) + header, _STATE_BYTES)

    def by_address() -> State:
        return memory.raw, generator.gauss_next

    return by_address if by_address() == by_call() else by_call


def _numpy_source(generator: Any) -> _Source:
    # `np.random.set_bit_generator` may put another bit generator in the place of the first.
    bit_generator = generator._bit_generator
    kept = _sources.numpy
    if kept is None or kept[0] is not bit_generator:
        kept = _sources.numpy = (bit_generator, _Source(_numpy_reader(generator, bit_generator)))
    return kept[1]


def _numpy_reader(generator: Any, bit_generator: Any) -> Read:
    """Read a `RandomState`: the bit generator says where its words are, a probe finds the rest."""

    def by_state() -> State:
        state = generator.get_state(legacy=False)
        return b"", digest(state)

    def by_call() -> State:
        _, words, position, has_normal, normal = generator.get_state(legacy=True)
        state = words.astype("<u4").tobytes() + struct.pack("<i", position)
        return state, normal if has_normal else None

    if type(bit_generator).__name__ != "MT19937":
        return by_state
    offsets = _normal_offsets(type(generator)) if sys.byteorder == "little" else None
    if offsets is None:
        return by_call
    import ctypes  # loaded with NumPy already; `import ato` does without

    memory = _memory(bit_generator.ctypes.state_address, _STATE_BYTES)
    flag = ctypes.c_int.from_address(id(generator) + offsets[0])
    kept_normal = ctypes.c_double.from_address(id(generator) + offsets[1])

    def by_address() -> State:
        return memory.raw, kept_normal.value if flag.value else None

    return by_address if by_address() == by_call() else by_call


def _normal_offsets(cls: Any) -> tuple[int, int] | None:
    """Find where a `RandomState` keeps its second normal number, on one made for this purpose.

    Its memory is compared before and after the flag, and then the number, are set.
    """
    probe = cls(0)
    size: int = cls.__basicsize__
    words, position = probe.get_state(legacy=True)[1:3]
    memory = _memory(id(probe), size)
    shots = []
    for has_normal, normal in ((0, 0.0), (1, 0.0), (1, _NUMPY_PROBE)):
        probe.set_state(("MT19937", words, position, has_normal, normal))
        shots.append(memory.raw)
    flag = [place for place in range(size) if shots[0][place] != shots[1][place]]
    number = shots[2].find(struct.pack("<d", _NUMPY_PROBE))
    changed = [place for place in range(size) if shots[1][place] != shots[2][place]]
    if len(flag) != 1 or number < 0 or not all(number <= place < number + 8 for place in changed):
        return None
    return flag[0], number


def _memory(address: int, size: int) -> Any:
    """The bytes at `address`; whoever calls this has checked what lies there, and keeps it alive."""
    import ctypes  # a reader is made once, when the first traced call begins

    return (ctypes.c_char * size).from_address(address)


def _add_torch(torch: Any, found: dict[str, str]) -> None:
    generator = getattr(torch, "default_generator", None)
    if generator is None:  # torch is being imported
        return
    found["torch"] = _torch_digest("torch", generator)
    cuda = getattr(torch, "cuda", None)
    if cuda is not None and cuda.is_initialized():
        for number, device in enumerate(cuda.default_generators):
            name = f"torch.cuda:{number}"
            found[name] = _torch_digest(name, device)


def _torch_digest(name: str, generator: Any) -> str:
    source = _sources.torch.get(name)
    if source is None:
        source = _sources.torch[name] = _Source(_torch_reader(generator))
    return source.digest()


def _torch_reader(generator: Any) -> Read:
    # Not `.numpy()`, which needs NumPy and takes longer. The state is a CPU tensor of its own,
    # whatever the generator's device.
    from ctypes import string_at  # a reader is made once

    def read() -> State:
        state = generator.get_state()
        return string_at(state.data_ptr(), state.numel()), None

    return read
