"""The ranks of one torchrun job: who this process is among them, and objects sent between them.

Everything goes through the store at which the ranks met, not through their collectives: those belong
to the trained function, may be NCCL's, and wait for ever when one rank does not come.
"""

from __future__ import annotations

import contextlib
import itertools
import pickle
import sys
import time
from collections.abc import Sequence
from typing import Any

from ato.exceptions import ExecutorError, SearchOptionError

__all__ = ["Channel", "DistributedMixIn", "open_channel"]

_LONGEST_PAUSE = 0.02  # seconds between two looks at the store
_FAREWELL = 30.0  # seconds for which rank 0 keeps the store open for ranks that read the end

# Channels are made in the same order on every rank, so that their numbers agree.
_numbers = itertools.count()


class Channel:
    """Sends objects between ranks, by names that both sides know.

    What is sent is pickled: the ranks of a job trust each other.
    """

    def __init__(self, store: Any, rank: int, world_size: int) -> None:
        from torch import distributed  # whoever has a process group has loaded it

        self.rank = rank
        self.world_size = world_size
        self._store = distributed.PrefixStore(f"ato-search-{next(_numbers)}", store)
        self._exchanges = itertools.count()

    def put(self, key: str, value: Any) -> None:
        """Let other ranks take a value.

        Raises:
            ExecutorError: the value cannot be pickled.
        """
        try:
            data = pickle.dumps(value)
        except Exception as error:  # pickling runs the value's own code
            raise ExecutorError(
                f"{value!r:.80} cannot be sent to the other ranks: {error}; what is searched must "
                "be picklable there"
            ) from error
        self._store.set(key, data)

    def has(self, key: str) -> bool:
        """Whether the value is there.

        Raises:
            ExecutorError: the store is gone, and with it the process that kept it.
        """
        try:
            return bool(self._store.check([key]))
        except RuntimeError as error:
            raise ExecutorError(
                f"rank {self.rank} cannot reach the store of the job any more: {error}. The "
                "process that kept it has ended; with a tracker, resume=True goes on from here"
            ) from error

    def get(self, key: str) -> Any:
        """The value, which is there."""
        return pickle.loads(self._store.get(key))  # noqa: S301 (put there by a rank of this job)

    def delete(self, key: str) -> None:
        """Forget a value that everybody has."""
        self._store.delete_key(key)

    def first_of(self, keys: Sequence[str], timeout: float | None = None) -> str | None:
        """Wait until one of the values is there; `None` if none came in time.

        Raises:
            ExecutorError: another rank has left meanwhile.
        """
        begin = time.monotonic()
        pause = 0.0002
        while True:
            for key in keys:
                if self.has(key):
                    return key
            if self.has("gone"):
                raise ExecutorError(str(self.get("gone")))
            if timeout is not None and time.monotonic() - begin >= timeout:
                return None
            # No blocking wait of the store's: that could not be interrupted.
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def take(self, key: str) -> Any:
        """Wait for a value."""
        self.first_of([key])
        return self.get(key)

    def next_number(self, counter: str) -> int:
        """Count, over all ranks: 0, 1, 2, …"""
        return int(self._store.add(counter, 1)) - 1

    def leave(self, why: str) -> None:
        """Say that this rank ends, so that nobody waits for it."""
        with contextlib.suppress(Exception):  # nobody may be left who could be told
            self.put("gone", why)

    def part(self) -> None:
        """Leave together: the process that keeps the store goes last."""
        if self.rank:
            self.next_number("parted")
            return
        until = time.monotonic() + _FAREWELL
        while int(self._store.add("parted", 0)) < self.world_size - 1:
            if time.monotonic() >= until or self.has("gone"):
                break
            time.sleep(_LONGEST_PAUSE)

    def broadcast(self, value: Any) -> Any:
        """Rank 0's value, on every rank."""
        key = f"exchange/{next(self._exchanges)}"
        if self.rank == 0:
            self.put(key, value)
            return value
        return self.take(key)

    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks, in their order, on every rank."""
        key = f"exchange/{next(self._exchanges)}"
        self.put(f"{key}/{self.rank}", value)
        return [self.take(f"{key}/{rank}") for rank in range(self.world_size)]


def open_channel() -> Channel | None:
    """A channel between the ranks of the process group; `None` where there is none."""
    # A process group needs torch, so that who has not loaded it has none.
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return Channel(
        distributed.distributed_c10d._get_default_store(),
        distributed.get_rank(),
        distributed.get_world_size(),
    )


class DistributedMixIn:
    """Gives a search the ranks of its job: rank, world size, broadcast and gather.

    Without an initialised process group there is one rank, 0.

    Args:
        rank: this process among `world_size`; both come from the process group if not given.
        world_size: the number of processes.
        backend: `pytorch`: the ranks of `torch.distributed`, under gloo, NCCL or any other.

    Raises:
        SearchOptionError: another backend, or numbers that are no rank and world size.
    """

    def __init__(
        self, rank: int | None = None, world_size: int | None = None, backend: str = "pytorch"
    ) -> None:
        if backend != "pytorch":
            raise SearchOptionError(f"backend is 'pytorch', not {backend!r:.60}")
        if world_size is not None and (type(world_size) is not int or world_size < 1):
            raise SearchOptionError(f"world_size is 1 or more, not {world_size!r:.60}")
        if rank is not None and (type(rank) is not int or not 0 <= rank < (world_size or 2**63)):
            raise SearchOptionError(f"rank is 0 … world_size − 1 of {world_size}, not {rank!r:.60}")
        self.backend = backend
        self._given = rank, world_size
        self._opened_channel: Channel | None = None

    @property
    def rank(self) -> int:
        """The number of this process among the ranks."""
        channel = self._channel()
        return 0 if channel is None else channel.rank

    @property
    def world_size(self) -> int:
        """How many ranks there are."""
        channel = self._channel()
        return 1 if channel is None else channel.world_size

    @property
    def is_root(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def broadcast_object_from_root(self, obj: Any) -> Any:
        """Rank 0's object, on every rank; all ranks must call it."""
        channel = self._channel()
        return obj if channel is None else channel.broadcast(obj)

    def all_gather_object(self, obj: Any) -> list[Any]:
        """The objects of all ranks, in their order, on every rank; all ranks must call it."""
        channel = self._channel()
        return [obj] if channel is None else channel.gather(obj)

    def destroy(self) -> None:
        """End the process group, if there is one."""
        if self._channel() is not None:
            from torch import distributed  # loaded already

            self._opened_channel = None
            distributed.destroy_process_group()

    def _channel(self) -> Channel | None:
        if self._opened_channel is None:
            channel = self._opened_channel = open_channel()
            if channel is not None:
                for name, given, found in zip(
                    ("rank", "world_size"),
                    self._given,
                    (channel.rank, channel.world_size),
                    strict=True,
                ):
                    if given not in (None, found):
                        raise SearchOptionError(
                            f"{name} is {given}, and the process group says {found}"
                        )
        return self._opened_channel
