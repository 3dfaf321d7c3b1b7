"""Reading the store: which run is meant, and one run with everything that was recorded of it."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.orm import Session

from ato.db_routers.sql.calls import Calls, read_calls
from ato.db_routers.sql.drain import drained
from ato.db_routers.sql.engine import open_store
from ato.db_routers.sql.journals import folder_of, host_name, is_held, last_written
from ato.db_routers.sql.processes import is_gone
from ato.db_routers.sql.rows import CALLS
from ato.db_routers.sql.schema import (
    CodeClosureUnit,
    CodeEdge,
    CodeUnit,
    Config,
    Environment,
    Experiment,
    Fingerprint,
    Input,
    Metric,
    MetricKey,
    MetricSummary,
    Project,
)
from ato.exceptions import UnknownKeyError, UnknownRunError
from ato.provenance import DELETED, Write, explain, value_text

__all__ = [
    "ID_LIMIT",
    "Code",
    "InputFile",
    "Point",
    "RunRecords",
    "Unit",
    "config_values",
    "is_elsewhere",
    "key_or_below",
    "key_text",
    "last_seen",
    "load_config",
    "load_run",
    "nearest",
    "no_key",
    "open_store",
    "points",
    "present",
    "resolve_run",
    "status_now",
    "writes",
]

ID_LIMIT = 2**31  # no run has so high an id; PostgreSQL compares no larger ones with it
_LATEST = re.compile(r"latest(?:~(\d+))?")
_PART = re.compile(
    r"""\.?(?P<name>[^.\[\]]+)|\[(?P<item>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\[\]'"]+)\]"""
)
_NEAREST = 5  # names or runs offered in place of an unknown one


class Point(NamedTuple):
    """A logged value: `timestamp` in seconds since 1970, `ident` and `position` as in `schema.Metric`."""

    key: str
    value: float
    step: int
    timestamp: float
    ident: int | None
    position: int | None
    sequence: int
    process: int = 0
    rank: int = 0
    attempt: int = 0


class InputFile(NamedTuple):
    """A data file that the run read: size in bytes, mtime in nanoseconds, BLAKE3."""

    path: str
    size: int | None
    mtime: int | None
    digest: str | None
    ident: int | None
    position: int | None


class Unit(NamedTuple):
    """A function, class, value or module body as the run had it; the fields of `ato.code.Unit`."""

    module: str
    name: str
    kind: str
    file: str
    line: int
    text: str
    normalised: str
    logic: str
    deep: str
    value: str | None
    traced: str | None
    held: list[str] | None = None

    @property
    def subject(self) -> str:
        """The name under which an explanation speaks of it."""
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Code:
    """The code behind a trace id: units, the root first, and which refers to which, by index."""

    trace_id: str
    role: str
    scheme: str
    text: str | None
    logic: str
    deep: str
    bytecode: str | None
    gaps: list[str]
    distributions: list[str]
    units: list[Unit]
    edges: list[tuple[int, int]]


@dataclass(slots=True)
class RunRecords:
    """One run, whole: its row, what it ran under, and its records in order.

    `last_seen` is set where the run says `running` on another machine, of which no more is known.
    Of a run that was resumed this is the last attempt; but `metrics` are those of all attempts and
    ranks. `ranks` are the calls by rank, `inputs` what rank 0 read.

    `config` is `{dotted key: {"value", "type", "fingerprint", "history"}}` (see `schema.Config`),
    `environment` what `ato.environment.capture()` found, calls are in the order of their sequence
    numbers, `metrics` in the order of logging. What went into a call and came out is read from the
    store when it is asked for.
    """

    id: int
    project: str
    name: str | None
    status: str
    attempt: int
    tags: list[str]
    notes: str | None
    structural_hash: str | None
    value_hash: str | None
    git_commit: str | None
    git_dirty: bool | None
    command: list[str]
    host: str
    pid: int
    user: str | None
    seeds: dict[str, Any]
    random_start: dict[str, str]
    scheme_version: int
    start_time: datetime
    end_time: datetime | None
    last_seen: datetime | None
    error: str | None
    config: dict[str, dict[str, Any]]
    environment: dict[str, Any]
    codes: list[Code] = field(default_factory=list)
    ranks: dict[int, Calls] = field(default_factory=dict)
    metrics: list[Point] = field(default_factory=list)
    inputs: list[InputFile] = field(default_factory=list)

    @property
    def calls(self) -> Calls:
        """The calls of rank 0."""
        return self.ranks[0]


def load_run(store: Engine | Session, run_id: int) -> RunRecords:
    """Load all that was recorded of a run, from one snapshot of the database.

    Raises:
        UnknownRunError: there is no such run; the message names the nearest.
    """
    if isinstance(store, Session):
        return _load(store.connection(), run_id)
    with drained(store).connect() as connection:
        return _load(connection, run_id)


def load_config(store: Engine, run_id: int) -> dict[str, dict[str, Any]]:
    """Load a run's config as `schema.Config.content`.

    Raises:
        UnknownRunError: there is no such run; the message names the nearest.
    """
    query = (
        select(Config.content)
        .join(Experiment, Experiment.config_id == Config.id)
        .where(Experiment.id == run_id)
    )
    with store.connect() as connection:
        row = connection.execute(query).one_or_none()
        if row is None:
            raise UnknownRunError(_no_run(connection, str(run_id)))
    return row.content or {}


def resolve_run(store: Engine, reference: int | str) -> int:
    """Find the run that is meant by an id, `latest`, `latest~1` or a name that one run has.

    Raises:
        UnknownRunError: no run is meant, or several; the message lists them or the nearest.
    """
    text = str(reference).strip()
    with store.connect() as connection:
        if re.fullmatch(r"[0-9]{1,18}", text) and int(text) < ID_LIMIT:
            found = connection.scalar(select(Experiment.id).where(Experiment.id == int(text)))
            if found is not None:
                return found
        back = _LATEST.fullmatch(text)
        if back:
            newest = select(Experiment.id).order_by(Experiment.id.desc())
            # An offset beyond what the database can count is beyond every run as well.
            offset = min(int(back[1] or 0), 2**31)
            found = connection.scalar(newest.offset(offset).limit(1))
            if found is not None:
                return found
        named = select(Experiment.id).where(Experiment.name == text).order_by(Experiment.id)
        ids = connection.scalars(named).all()
        if len(ids) == 1:
            return ids[0]
        if ids:
            listed = ", ".join(map(str, ids[:20]))
            raise UnknownRunError(f"{len(ids)} runs are named {text!r}: {listed}; give the id")
        raise UnknownRunError(_no_run(connection, text))


def nearest(wanted: str, names: Sequence[str]) -> str:
    """The end of a message about an unknown name: the names that are most like it."""
    if not names:
        return "there are none yet"
    close = difflib.get_close_matches(wanted, names, _NEAREST, 0.4) or sorted(names)[:_NEAREST]
    return "there is " + ", ".join(repr(name) for name in close)


def status_now(row: Any, folder: Path) -> str:
    """The status of a run as it is: `crashed` if it says `running` and its process is gone.

    Args:
        row: the run, with `id attempt status host pid process_started`.
        folder: where the journals of its store lie.
    """
    status: str = row.status
    if status != "running" or row.host != host_name():
        return status
    held = is_held(folder, row.id, row.attempt)
    # A journal that could not be made on a full disk says nothing; the process does.
    gone = is_gone(row.pid, row.process_started) if held is None else not held
    return "crashed" if gone else status


def last_seen(connection: Connection, folder: Path, row: Any) -> datetime:
    """When a run was heard of last: its journals were written, else a metric was logged, else it began.

    That is all that is known of one that says `running` on another machine.

    Args:
        connection: to its store.
        folder: where the journals of the store lie.
        row: the run, with `id start_time`.
    """
    seen = last_written(folder, row.id)
    if seen is None:
        logged = select(func.max(MetricSummary.last_timestamp))
        seen = connection.scalar(logged.where(MetricSummary.run_id == row.id))
    began: datetime = row.start_time
    return began if seen is None else datetime.fromtimestamp(seen, UTC)


def is_elsewhere(row: Any) -> bool:
    """Whether a run that says `running` is on another machine, where it may have ended since."""
    return bool(row.status == "running" and row.host != host_name())


def _no_run(connection: Connection, text: str) -> str:
    newest = select(Experiment.id, Experiment.name).order_by(Experiment.id.desc()).limit(1000)
    runs = connection.execute(newest).all()
    if not runs:
        return f"there is no run {text!r}: the store at {connection.engine.url.render_as_string()} holds no runs yet"
    names = sorted({name for _, name in runs if name is not None})
    close = difflib.get_close_matches(text, names, _NEAREST, 0.4)
    if close:
        return f"there is no run {text!r}; the nearest names: " + ", ".join(map(repr, close))
    if text.isdigit():
        ids = sorted((id_ for id_, _ in runs), key=lambda id_: abs(id_ - int(text)))
        listed = ", ".join(str(id_) for id_ in sorted(ids[:_NEAREST]))
        return f"there is no run {text}; the nearest ids: {listed}"
    listed = ", ".join(f"{id_} ({name})" if name else str(id_) for id_, name in runs[:_NEAREST])
    return f"there is no run {text!r}; the newest: {listed}"


def _load(connection: Connection, run_id: int) -> RunRecords:
    row = connection.execute(
        select(
            Experiment.__table__,
            Project.name.label("project"),
            Config.content.label("config"),
            Environment.content.label("environment"),
        )
        .select_from(Experiment)
        .join(Project, Project.id == Experiment.project_id)
        .join(Config, Config.id == Experiment.config_id)
        .join(Environment, Environment.id == Experiment.environment_id)
        .where(Experiment.id == run_id)
    ).one_or_none()
    if row is None:
        raise UnknownRunError(_no_run(connection, str(run_id)))
    return RunRecords(
        id=row.id,
        project=row.project,
        name=row.name,
        status=status_now(row, folder_of(connection.engine)),
        attempt=row.attempt,
        tags=row.tags or [],
        notes=row.notes,
        structural_hash=row.structural_hash,
        value_hash=row.value_hash,
        git_commit=row.git_commit,
        git_dirty=row.git_dirty,
        command=row.command or [],
        host=row.host,
        pid=row.pid,
        user=row.user,
        seeds=row.seeds or {},
        random_start=row.random_start or {},
        scheme_version=row.scheme_version,
        start_time=row.start_time,
        end_time=row.end_time,
        last_seen=(
            last_seen(connection, folder_of(connection.engine), row) if is_elsewhere(row) else None
        ),
        error=row.error,
        config=row.config or {},
        environment=row.environment or {},
        codes=_codes(connection, run_id, row.attempt),
        ranks=_ranks(connection, run_id, row.attempt),
        metrics=points(connection, run_id),
        inputs=_inputs(connection, run_id, row.attempt),
    )


def _ranks(connection: Connection, run_id: int, attempt: int) -> dict[int, Calls]:
    highest = select(func.max(CALLS.c.rank)).where(
        CALLS.c.run_id == run_id, CALLS.c.attempt == attempt
    )
    ranks = range((connection.scalar(highest) or 0) + 1)
    return {rank: read_calls(connection, run_id, attempt, rank) for rank in ranks}


def points(connection: Connection, run_id: int, key: str | None = None) -> list[Point]:
    """The points of a run, of one key or of all, in the order of logging."""
    query = (
        select(
            MetricKey.key,
            Metric.value,
            Metric.step,
            Metric.timestamp,
            Metric.ident,
            Metric.position,
            Metric.sequence,
            Metric.process,
            Metric.rank,
            Metric.attempt,
        )
        .join(MetricKey, MetricKey.id == Metric.key_id)
        .where(Metric.run_id == run_id)
        .order_by(Metric.attempt, Metric.rank, Metric.process, Metric.sequence)
    )
    if key is not None:
        query = query.where(MetricKey.key == key)
    return [Point._make(row) for row in connection.execute(query)]


def _inputs(connection: Connection, run_id: int, attempt: int) -> list[InputFile]:
    query = select(
        Input.path, Input.size, Input.mtime, Input.digest, Input.ident, Input.position
    ).where(Input.run_id == run_id, Input.attempt == attempt, Input.rank == 0)
    found: dict[tuple[str, int | None], InputFile] = {}
    for row in connection.execute(query.order_by(Input.id)):
        file = InputFile(*row)
        known = found.setdefault((file.path, file.ident), file)
        # A file comes when it is opened, and with its digest when the run ends.
        if file.digest is not None and known is not file:
            found[file.path, file.ident] = file._replace(position=known.position)
    # One of a folder that became a listing has no digest; nor have the files of a run that was
    # killed, which are compared by size and mtime.
    listings = {path for path, _ in found if path.endswith("/")}
    return [
        file
        for file in found.values()
        if file.digest is not None or file.path.rpartition("/")[0] + "/" not in listings
    ]


def _codes(connection: Connection, run_id: int, attempt: int) -> list[Code]:
    rows = connection.execute(
        select(Fingerprint.__table__)
        .where(Fingerprint.run_id == run_id, Fingerprint.attempt == attempt)
        .order_by(Fingerprint.id)
    ).all()
    members, units, edges = _closures(connection, run_id)
    return [
        Code(
            trace_id=row.trace_id,
            role=row.role,
            scheme=row.scheme,
            text=row.text,
            logic=row.logic,
            deep=row.deep,
            bytecode=row.bytecode,
            gaps=row.gaps or [],
            distributions=row.distributions or [],
            units=[units[unit_id] for unit_id in members.get(row.closure_id, [])],
            edges=_index_pairs(members.get(row.closure_id, []), edges),
        )
        for row in rows
    ]


def _closures(
    connection: Connection, run_id: int
) -> tuple[dict[int, list[int]], dict[int, Unit], dict[int, list[int]]]:
    """Closure id → unit ids in order; unit id → unit; unit id → ids of the units it refers to."""
    closures = select(Fingerprint.closure_id).where(Fingerprint.run_id == run_id)
    members: dict[int, list[int]] = {}
    member = CodeClosureUnit
    in_order = (
        select(member.closure_id, member.unit_id)
        .where(member.closure_id.in_(closures))
        .order_by(member.closure_id, member.position)
    )
    for closure_id, unit_id in connection.execute(in_order):
        members.setdefault(closure_id, []).append(unit_id)
    unit_ids = select(member.unit_id).where(member.closure_id.in_(closures))
    columns = [getattr(CodeUnit, name) for name in Unit._fields]
    chosen = select(CodeUnit.id, *columns).where(CodeUnit.id.in_(unit_ids))
    units = {row[0]: Unit(*row[1:]) for row in connection.execute(chosen)}
    edges: dict[int, list[int]] = {}
    referring = select(CodeEdge.source_id, CodeEdge.target_id)
    for source, target in connection.execute(referring.where(CodeEdge.source_id.in_(unit_ids))):
        edges.setdefault(source, []).append(target)
    return members, units, edges


def _index_pairs(unit_ids: list[int], edges: dict[int, list[int]]) -> list[tuple[int, int]]:
    place = {unit_id: index for index, unit_id in enumerate(unit_ids)}
    return [
        (place[source], place[target])
        for source in unit_ids
        for target in edges.get(source, [])
        if target in place
    ]


def config_values(content: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The values of a stored config, nested again along its dotted keys."""
    nested: dict[str, Any] = {}
    for key, entry in present(content).items():
        *branches, leaf = _path(key)
        place: Any = nested
        for name in branches:
            place = place.setdefault(name, {}) if isinstance(place, dict) else None
        if isinstance(place, dict) and leaf not in place:
            place[leaf] = _config_value(entry)
        else:  # a plain mapping may have both "a" and "a.b"
            nested[key] = _config_value(entry)
    return nested


def _path(key: str) -> list[Any]:
    """The keys on the way to a value; one that is no plain text stands in brackets, as Python has it."""
    if "[" not in key:
        return key.split(".")
    parts = list(_PART.finditer(key))
    if "".join(part[0] for part in parts) != key:
        return [key]  # a plain mapping's own key, which no config made
    try:
        return [
            ast.literal_eval(part["item"]) if part["item"] is not None else part["name"]
            for part in parts
        ]
    except (ValueError, SyntaxError):
        return [key]


def present(content: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The keys of a stored config that had a value when the run opened, without the deleted ones."""
    return {key: entry for key, entry in content.items() if entry.get("type") != DELETED}


def writes(entry: dict[str, Any]) -> list[Write]:
    """The history of one key of a stored config, oldest first."""
    return [Write.from_json(write) for write in entry.get("history") or []]


def key_or_below(
    run_id: int, content: dict[str, dict[str, Any]], key: str
) -> dict[str, dict[str, Any]]:
    """The entry of a key, or those of all keys below a branch.

    Raises:
        UnknownKeyError: there is neither; the message names the nearest.
    """
    below = {name: e for name, e in content.items() if name.startswith((f"{key}.", f"{key}["))}
    if key in content and (key in present(content) or not below):
        return {key: content[key]}
    if not below:
        raise no_key(run_id, key, content)
    return below


def no_key(run_id: int, key: str, content: dict[str, dict[str, Any]]) -> UnknownKeyError:
    """Make the error for a key that a run's config does not have."""
    return UnknownKeyError(
        f"the config of run {run_id} has no key {key!r}; {nearest(key, list(content))}"
    )


def key_text(key: str, entry: dict[str, Any]) -> str:
    """Say who set a key, and what lost; of a plain mapping's key, that nobody watched."""
    history = writes(entry)
    if history:
        return explain(key, history)
    return (
        f"{key} = {value_text(entry.get('value'))}\n  given to the logger; who set it is not known"
    )


def _config_value(entry: dict[str, Any]) -> Any:
    value = entry.get("value")
    return tuple(value) if entry.get("type") == "tuple" and isinstance(value, list) else value
