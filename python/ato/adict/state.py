"""What a node of a config carries, and its raw items, past every report and record."""

from __future__ import annotations

from typing import Any, ClassVar

from ato.provenance import MISSING, History

__all__ = [
    "DEFROSTABLE",
    "FOR_GOOD",
    "Branch",
    "State",
    "get_or",
    "get_raw",
    "set_raw",
    "set_state",
    "state_of",
]

DEFROSTABLE, FOR_GOOD = 1, 2

get_raw = dict.__getitem__
set_raw = dict.__setitem__
get_or = dict.get


class State:
    """What Ato knows about one node.

    `prefix` is its dotted path from the root, `reads` the keys that were read here (those of
    branches do not count), `pending` the parent and key to which an auto node is attached when it
    is first written to. A `listed` node stands inside a list: the list is the leaf, and was read on
    the way here.
    """

    __slots__ = ("auto", "default", "frozen", "history", "listed", "pending", "prefix", "reads")

    def __init__(self, prefix: str, history: History | None, auto: bool = False) -> None:
        self.prefix = prefix
        self.history = history
        self.reads: set[Any] = set()
        self.frozen = 0
        self.auto = auto
        self.listed = False
        self.default: Any = MISSING
        self.pending: tuple[Branch, Any] | None = None


class Branch(dict[Any, Any]):
    """A dict with a state; what reading and writing it means is said in `ato.adict.node`."""

    __slots__ = ("_ato_state",)

    # The class that mappings become when they are put in.
    branch_class: ClassVar[type[Branch]]


state_of = vars(Branch)["_ato_state"].__get__
set_state = vars(Branch)["_ato_state"].__set__
