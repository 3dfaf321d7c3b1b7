"""What a node of a config carries, and its raw items, past every report and record."""

from __future__ import annotations

from typing import Any, ClassVar

from ato.provenance import MISSING, History

__all__ = [
    "ACTING_NOTES",
    "DEFROSTABLE",
    "FOR_GOOD",
    "NOTES",
    "Branch",
    "State",
    "get_or",
    "get_raw",
    "set_raw",
    "set_state",
    "state_of",
]

DEFROSTABLE, FOR_GOOD = 1, 2

# What a search writes on the config of a trial. There they are read and written like keys and are
# none: they stand in the node's state, so that no hash, snapshot, comparison or iteration meets
# them. In other configs these are keys like all others.
NOTES = frozenset({"__metric__", "__num_halved__", "__budget__", "__trial__", "__checkpoint__"})

get_raw = dict.__getitem__
set_raw = dict.__setitem__
get_or = dict.get

# Those that a trained function computes by.
ACTING_NOTES = frozenset({"__num_halved__", "__budget__"})


class State:
    """What Ato knows about one node.

    `prefix` is its dotted path from the root, `reads` the keys that were read here (those of
    branches do not count), `pending` the parent and key to which an auto node is attached when it
    is first written to. A `listed` node stands inside a list: the list is the leaf, and was read on
    the way here. `notes` are those of `NOTES` that a search wrote; `None` where no search does.
    """

    __slots__ = (
        "auto",
        "default",
        "frozen",
        "history",
        "listed",
        "notes",
        "pending",
        "prefix",
        "reads",
    )

    def __init__(self, prefix: str, history: History | None, auto: bool = False) -> None:
        self.prefix = prefix
        self.history = history
        self.reads: set[Any] = set()
        self.frozen = 0
        self.auto = auto
        self.listed = False
        self.default: Any = MISSING
        self.pending: tuple[Branch, Any] | None = None
        self.notes: dict[str, Any] | None = None


class Branch(dict[Any, Any]):
    """A dict with a state; what reading and writing it means is said in `ato.adict.node`."""

    __slots__ = ("_ato_state",)

    # The class that mappings become when they are put in.
    branch_class: ClassVar[type[Branch]]


state_of = vars(Branch)["_ato_state"].__get__
set_state = vars(Branch)["_ato_state"].__set__
