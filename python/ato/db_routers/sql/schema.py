"""The store's tables, schema 1.

A run is a row of `experiments`; what it was before it was resumed are rows of `attempts`. What many runs share (configs, environments, code) is addressed by
its content and written once. Rows that a run writes while it goes on are keyed by
`(run_id, attempt, rank, process, sequence)`, so that writing one twice is writing it once.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

if TYPE_CHECKING:
    from ato.adict import ADict
    from ato.db_routers.sql.reading import Point
    from ato.provenance import Write

__all__ = [
    "Artifact",
    "Attempt",
    "Base",
    "Call",
    "CallForm",
    "CallValue",
    "CodeClosure",
    "CodeClosureUnit",
    "CodeEdge",
    "CodeUnit",
    "Config",
    "Environment",
    "Experiment",
    "Fingerprint",
    "Input",
    "Journal",
    "Metric",
    "MetricKey",
    "MetricSummary",
    "Project",
    "Search",
    "SearchTrial",
]


class Json(TypeDecorator[Any]):
    """A JSON document as text; an empty list or mapping and `None` are NULL, which saves most of `calls`.

    Text rather than the database's own JSON type: PostgreSQL's refuses NaN, which a summary of an
    array may well hold.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        if value is None or value in ([], {}):
            return None
        return json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        # What was written here has no space around it, which `json.loads` would look for.
        return None if value is None else _decode(value)[0]


_decode = json.JSONDecoder().raw_decode


class Real(TypeDecorator[float]):
    """A float that may be NaN: NULL stands for NaN, since SQLite has no other way to keep it.

    SQLite writes a whole number as an integer, so that -0.0 comes back as 0.0.
    PostgreSQL could keep NaN, but sorts it above every number; one rule for both keeps them equal.
    """

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        return None if value is None or math.isnan(value) else value

    def process_result_value(self, value: float | None, dialect: Dialect) -> float:
        # PostgreSQL keeps -0.0; to add 0.0 is what SQLite's integers come to.
        return math.nan if value is None else value + 0.0


class UtcTime(TypeDecorator[datetime]):
    """A moment, kept as seconds since 1970 (UTC) so that every database orders it alike."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> float | None:
        return None if value is None else value.timestamp()

    def process_result_value(self, value: float | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromtimestamp(value, UTC)


class Base(DeclarativeBase):
    """What all tables share: names for constraints, so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it from the class, as is)
        str: Text,
        float: Double,
        datetime: UtcTime,
        dict[str, Any]: Json,
        list[Any]: Json,
    }


class Project(Base):
    """A name under which runs are grouped."""

    __tablename__ = "projects"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]


class Config(Base):
    """The config of a run, flat, with who set each key.

    `content` is `{dotted key: {"value", "type", "fingerprint", "history"}}`; `value` is JSON where
    JSON has a form for it, else a text (`type` says what it was); `history` is a list of
    `provenance.Write.to_json()`, oldest first. A secret has `"secret": true`, no value and a keyed digest.
    A key that was deleted has the type `deleted`, its history and nothing else.
    """

    __tablename__ = "configs"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    content: Mapped[dict[str, Any] | None] = mapped_column(Json)


class Environment(Base):
    """What `ato.environment.capture()` found."""

    __tablename__ = "environments"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    content: Mapped[dict[str, Any] | None] = mapped_column(Json)


class Experiment(Base):
    """A run. `status` is `running completed failed interrupted`; `crashed` is found out when read.

    A run that was resumed is described as it is in its last attempt (`attempt`, from 0), but began
    with its first. `launch` names the torchrun launch whose rank 0 opened it.
    """

    __tablename__ = "experiments"
    # Without AUTOINCREMENT SQLite gives the id of a deleted last run to the next one.
    __table_args__ = (
        Index(None, "project_id", "status"),
        Index(None, "structural_hash"),
        Index(None, "launch"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    attempt: Mapped[int] = mapped_column(default=0)
    name: Mapped[str | None]
    status: Mapped[str] = mapped_column(String(16))
    tags: Mapped[list[Any] | None] = mapped_column(Json)
    notes: Mapped[str | None]
    config_id: Mapped[int] = mapped_column(ForeignKey("configs.id"))
    structural_hash: Mapped[str | None] = mapped_column(String(64))
    value_hash: Mapped[str | None] = mapped_column(String(64))
    environment_id: Mapped[int] = mapped_column(ForeignKey("environments.id"))
    git_commit: Mapped[str | None] = mapped_column(String(64))
    git_dirty: Mapped[bool | None]
    command: Mapped[list[Any] | None] = mapped_column(Json)
    host: Mapped[str]
    pid: Mapped[int]
    # A pid is used again after its process is gone; with its start time it is not.
    process_started: Mapped[str | None]
    launch: Mapped[str | None]
    user: Mapped[str | None]
    seeds: Mapped[dict[str, Any] | None] = mapped_column(Json)
    random_start: Mapped[dict[str, Any] | None] = mapped_column(Json)
    scheme_version: Mapped[int]
    start_time: Mapped[datetime] = mapped_column(UtcTime, index=True)
    end_time: Mapped[datetime | None] = mapped_column(UtcTime)
    error: Mapped[str | None]

    def __repr__(self) -> str:
        return f"<run {self.id}{f' {self.name!r}' if self.name else ''}, {self.status}>"

    # What follows is read on first use; see `details`.

    @cached_property
    def config(self) -> ADict:
        """The values of the run's config; a value that JSON has no form for is a text."""
        from ato.db_routers.sql import details  # it reads the tables defined here

        return details.config(self)

    @cached_property
    def metrics(self) -> list[Point]:
        """The logged points (`.key .value .step .timestamp`), in the order of logging."""
        from ato.db_routers.sql import details  # it reads the tables defined here

        return details.metrics(self)

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """Trace id → the logic fingerprint of its code."""
        from ato.db_routers.sql import details  # it reads the tables defined here

        return details.fingerprints(self)

    @cached_property
    def runtime_fingerprints(self) -> dict[str, str]:
        """Trace id → the fingerprint of its recorded outputs, in the order of the calls."""
        from ato.db_routers.sql import details  # it reads the tables defined here

        return details.runtime_fingerprints(self)

    @cached_property
    def artifacts(self) -> list[Artifact]:
        """What the run logged as artifacts, in order."""
        from ato.db_routers.sql import details  # it reads the tables defined here

        return details.artifacts(self)

    def history(self, key: str) -> list[Write]:
        """Every write of a config key, oldest first, with its origin; those that lost as well.

        In a program with several scopes a key begins with its scope's name: `data.lr`.

        Raises:
            UnknownKeyError: the config never had such a key.
        """
        from ato.db_routers.sql import details  # it reads the tables defined here

        return details.history(self, key)

    def explain(self, key: str) -> str:
        """Say in text who set a config key, and what lost; of a branch, every key below it.

        Raises:
            UnknownKeyError: the config never had such a key.
        """
        from ato.db_routers.sql import details  # it reads the tables defined here

        return details.explain(self, key)


class Attempt(Base):
    """A run as it was before it was resumed: the columns of `experiments` that resuming changes."""

    __tablename__ = "attempts"
    __table_args__ = ({"sqlite_with_rowid": False},)

    run_id: Mapped[int] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(String(16))
    config_id: Mapped[int] = mapped_column(ForeignKey("configs.id"))
    structural_hash: Mapped[str | None] = mapped_column(String(64))
    value_hash: Mapped[str | None] = mapped_column(String(64))
    environment_id: Mapped[int] = mapped_column(ForeignKey("environments.id"))
    git_commit: Mapped[str | None] = mapped_column(String(64))
    git_dirty: Mapped[bool | None]
    command: Mapped[list[Any] | None] = mapped_column(Json)
    host: Mapped[str]
    pid: Mapped[int]
    process_started: Mapped[str | None]
    launch: Mapped[str | None]
    user: Mapped[str | None]
    seeds: Mapped[dict[str, Any] | None] = mapped_column(Json)
    random_start: Mapped[dict[str, Any] | None] = mapped_column(Json)
    end_time: Mapped[datetime | None] = mapped_column(UtcTime)
    error: Mapped[str | None]


class Journal(Base):
    """A journal that is being drained: up to which byte of the file its records are in the tables.

    `name` is the file's and is never used again. `keys` are the metrics' names by their numbers in
    the journal. The row goes when the file goes.
    """

    __tablename__ = "journals"

    name: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("experiments.id"), index=True)
    offset: Mapped[int] = mapped_column(BigInteger)
    keys: Mapped[list[Any] | None] = mapped_column(Json)


class MetricKey(Base):
    """The name of a metric, once."""

    __tablename__ = "metric_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)


class Metric(Base):
    """One logged point. `ident` is the running call's, `position` the next call's sequence number."""

    __tablename__ = "metrics"
    # The points of one metric lie together and in their order, however many others a run has: with
    # the key last, reading 20,000 of them would fetch each from a place of its own.
    __table_args__ = ({"sqlite_with_rowid": False},)

    run_id: Mapped[int] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    key_id: Mapped[int] = mapped_column(ForeignKey("metric_keys.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, default=0)
    rank: Mapped[int] = mapped_column(primary_key=True, default=0)
    process: Mapped[int] = mapped_column(primary_key=True, default=0)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    value: Mapped[float] = mapped_column(Real, nullable=True)
    step: Mapped[int] = mapped_column(BigInteger)
    timestamp: Mapped[float]
    ident: Mapped[int | None]
    position: Mapped[int | None] = mapped_column(BigInteger)


class MetricSummary(Base):
    """The points of one key in one run at a glance; NaN is no minimum and no maximum.

    `last` is the point logged last, at `last_timestamp`. `minimum` and `maximum` are NULL while every value is NaN.
    """

    __tablename__ = "metric_summaries"
    __table_args__ = (Index(None, "key_id", "run_id"), {"sqlite_with_rowid": False})

    run_id: Mapped[int] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    key_id: Mapped[int] = mapped_column(ForeignKey("metric_keys.id"), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    last: Mapped[float] = mapped_column(Real, nullable=True)
    last_step: Mapped[int] = mapped_column(BigInteger)
    last_timestamp: Mapped[float]
    minimum: Mapped[float | None] = mapped_column(Double)
    minimum_step: Mapped[int | None] = mapped_column(BigInteger)
    maximum: Mapped[float | None] = mapped_column(Double)
    maximum_step: Mapped[int | None] = mapped_column(BigInteger)


class Artifact(Base):
    """A file or directory that the run made, or a reference to something outside.

    `kind` is `file`, `directory` or `reference` (no size, no digest). `tree` lists the files of a
    directory: `{relative path: [size in bytes, BLAKE3]}`; its digest is that of the listing. Of what
    was `kept` the bytes lie beside the database, under their digests; see `keeping`.
    """

    __tablename__ = "artifacts"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("experiments.id"), index=True)
    path: Mapped[str]
    kind: Mapped[str] = mapped_column(String(16))
    data_type: Mapped[str | None]
    size: Mapped[int | None] = mapped_column(BigInteger)
    digest: Mapped[str | None] = mapped_column(String(64))
    tree: Mapped[dict[str, Any] | None] = mapped_column(Json)
    # `metadata` is taken: SQLAlchemy keeps the tables under that name.
    details: Mapped[dict[str, Any] | None] = mapped_column("metadata", Json)
    kept: Mapped[bool | None]
    timestamp: Mapped[float]


class CodeUnit(Base):
    """A function, class, value or module body of the project, as it was: `ato.code.Unit`."""

    __tablename__ = "code_units"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    module: Mapped[str]
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(String(16))
    file: Mapped[str]
    line: Mapped[int]
    text: Mapped[str]
    normalised: Mapped[str]
    logic: Mapped[str | None] = mapped_column(String(64))
    deep: Mapped[str | None] = mapped_column(String(64))
    value: Mapped[str | None]
    traced: Mapped[str | None]
    held: Mapped[list[Any] | None] = mapped_column(Json)


class CodeEdge(Base):
    """`source` refers to `target`."""

    __tablename__ = "code_edges"
    __table_args__ = ({"sqlite_with_rowid": False},)

    source_id: Mapped[int] = mapped_column(ForeignKey("code_units.id"), primary_key=True)
    target_id: Mapped[int] = mapped_column(ForeignKey("code_units.id"), primary_key=True)


class CodeClosure(Base):
    """A root unit with all units that it reaches; shared by the runs whose code is the same."""

    __tablename__ = "code_closures"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)


class CodeClosureUnit(Base):
    """The units of a closure, the root at position 0."""

    __tablename__ = "code_closure_units"
    __table_args__ = ({"sqlite_with_rowid": False},)

    closure_id: Mapped[int] = mapped_column(ForeignKey("code_closures.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    unit_id: Mapped[int] = mapped_column(ForeignKey("code_units.id"))


class Fingerprint(Base):
    """The code behind a trace id in a run: `events.CodeRecord`, its units in `closure_id`."""

    __tablename__ = "fingerprints"
    __table_args__ = (
        UniqueConstraint("run_id", "attempt", "trace_id", "role", "deep", "closure_id"),
        Index(None, "trace_id", "logic"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("experiments.id"))
    attempt: Mapped[int] = mapped_column(default=0)
    trace_id: Mapped[str]
    role: Mapped[str] = mapped_column(String(16))
    scheme: Mapped[str]
    text: Mapped[str | None]
    logic: Mapped[str | None] = mapped_column(String(64))
    deep: Mapped[str | None] = mapped_column(String(64))
    bytecode: Mapped[str | None] = mapped_column(String(64))
    root_unit_id: Mapped[int | None] = mapped_column(ForeignKey("code_units.id"))
    closure_id: Mapped[int] = mapped_column(ForeignKey("code_closures.id"))
    gaps: Mapped[list[Any] | None] = mapped_column(Json)
    distributions: Mapped[list[Any] | None] = mapped_column(Json)


class CallForm(Base):
    """What calls have in common; a run has few forms and many calls. Shared by runs.

    `reads` is `[[key, fingerprint, offset], …]`, the offset counted from the call's `started`;
    `draws` names the generators in its `random`. `passed` is a list, but in the run's own record
    `{"passed": […], "executed": [[module, name, file, line, sequence], …]}`: what ran.
    """

    __tablename__ = "call_forms"
    __table_args__ = (Index(None, "trace_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(8))
    trace_id: Mapped[str]
    thread: Mapped[str]
    code: Mapped[str | None] = mapped_column(String(64))
    passed: Mapped[list[Any] | None] = mapped_column(Json)
    reads: Mapped[list[Any] | None] = mapped_column(Json)
    draws: Mapped[list[Any] | None] = mapped_column(Json)
    outcome: Mapped[str] = mapped_column(String(8))
    skipped: Mapped[dict[str, Any] | None] = mapped_column(Json)
    gaps: Mapped[list[Any] | None] = mapped_column(Json)


class Call(Base):
    """A completed call: the fields of `events.CallRecord` that are compared first (`call_index` is its `index`).

    `effect` is a digest of what the call gave and did: output, mutated inputs, generators, outcome.
    `entry` is one of its inputs, taken of calls in other threads than the main one, which a pool may
    begin in any order. Equal digests are equal records. `duration` is in seconds.
    """

    __tablename__ = "calls"
    __table_args__ = ({"sqlite_with_rowid": False},)

    run_id: Mapped[int] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, default=0)
    rank: Mapped[int] = mapped_column(primary_key=True, default=0)
    process: Mapped[int] = mapped_column(primary_key=True, default=0)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    form_id: Mapped[int] = mapped_column(ForeignKey("call_forms.id"))
    ident: Mapped[int] = mapped_column(BigInteger)
    parent: Mapped[int | None] = mapped_column(BigInteger)
    call_index: Mapped[int] = mapped_column(BigInteger)
    started: Mapped[int] = mapped_column(BigInteger)
    duration: Mapped[float]
    effect: Mapped[bytes] = mapped_column(LargeBinary(16))
    entry: Mapped[bytes | None] = mapped_column(LargeBinary(16))


class CallValue(Base):
    """What went into a call and came out of it, read only where two runs part.

    `inputs`, `mutated` and `output` are `{path: [the fields of events.Leaf]}`, trailing nulls cut
    off; `random` is `{generator: [before, after]}`. A call that has none of these has no row.
    """

    __tablename__ = "call_values"

    run_id: Mapped[int] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, default=0)
    rank: Mapped[int] = mapped_column(primary_key=True, default=0)
    process: Mapped[int] = mapped_column(primary_key=True, default=0)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    inputs: Mapped[dict[str, Any] | None] = mapped_column(Json)
    mutated: Mapped[dict[str, Any] | None] = mapped_column(Json)
    random: Mapped[dict[str, Any] | None] = mapped_column(Json)
    output: Mapped[dict[str, Any] | None] = mapped_column(Json)
    error: Mapped[str | None]


class Input(Base):
    """A data file that the run read: size in bytes, mtime in nanoseconds, BLAKE3 and where it was read.

    One that was noticed has a row without digest from its opening, and one with it from the run's end.
    """

    __tablename__ = "inputs"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("experiments.id"), index=True)
    attempt: Mapped[int] = mapped_column(default=0)
    rank: Mapped[int] = mapped_column(default=0)
    path: Mapped[str]
    size: Mapped[int | None] = mapped_column(BigInteger)
    mtime: Mapped[int | None] = mapped_column(BigInteger)
    digest: Mapped[str | None] = mapped_column(String(64))
    ident: Mapped[int | None] = mapped_column(BigInteger)
    position: Mapped[int | None] = mapped_column(BigInteger)


class Search(Base):
    """A search over configs. `status` is `running completed failed interrupted`.

    `settings` is what must be the same for the search to go on later: a text for each name.
    """

    __tablename__ = "searches"
    __table_args__ = (Index(None, "project_id", "name"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    mode: Mapped[str] = mapped_column(String(3))
    settings: Mapped[dict[str, Any] | None] = mapped_column(Json)
    status: Mapped[str] = mapped_column(String(16))
    start_time: Mapped[datetime]
    end_time: Mapped[datetime | None]


class SearchTrial(Base):
    """A training of a search and its result, written when it is done.

    `position` counts the results in the order in which they came; `point` has the values of the
    searched keys, `point_digest` their fingerprint; `metric` is NaN where the training failed, and
    `error` says why. `status` is `completed failed killed timeout`; `duration` in seconds.
    """

    __tablename__ = "search_trials"
    __table_args__ = ({"sqlite_with_rowid": False},)

    search_id: Mapped[int] = mapped_column(ForeignKey("searches.id"), primary_key=True)
    trial: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    rung: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    bracket: Mapped[int]
    budget: Mapped[int | None] = mapped_column(BigInteger)
    point: Mapped[dict[str, Any] | None] = mapped_column(Json)
    point_digest: Mapped[str] = mapped_column(String(64))
    metric: Mapped[float] = mapped_column(Real, nullable=True)
    status: Mapped[str] = mapped_column(String(16))
    error: Mapped[str | None]
    run_id: Mapped[int | None] = mapped_column(ForeignKey("experiments.id"))
    duration: Mapped[float]
    timestamp: Mapped[float]
