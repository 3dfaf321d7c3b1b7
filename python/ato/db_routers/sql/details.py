"""What a loaded run (`schema.Experiment`) reads from its store on first use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, and_, bindparam, column, select, table
from sqlalchemy.orm import Session

from ato.adict import ADict
from ato.db_routers.sql.reading import (
    Point,
    config_values,
    key_or_below,
    key_text,
    no_key,
    points,
    writes,
)
from ato.db_routers.sql.rows import CALL_FORMS, CALL_VALUES, CALLS
from ato.db_routers.sql.schema import Artifact, Experiment, Fingerprint
from ato.exceptions import StoreError
from ato.fingerprints import value_hex
from ato.provenance import Write

__all__ = ["ConfigTexts", "attach", "content", "fingerprints_of", "output_versions"]

_AT_ONCE = 500  # ids in one query

_KEYED = ("run_id", "attempt", "rank", "process", "sequence")
# The configs with their JSON left as text.
CONFIG_TEXTS = table("configs", column("id"), column("content"))
_TEXTS = select(CONFIG_TEXTS).where(CONFIG_TEXTS.c.id.in_(bindparam("ids", expanding=True)))


class ConfigTexts:
    """Configs as JSON text, by id; all of them are read when the first is asked for.

    As text, since parsing a thousand configs takes longer than listing their runs.
    """

    def __init__(self, engine: Engine, ids: set[int]) -> None:
        self._engine = engine
        self._ids = sorted(ids)
        self._texts: dict[int, str | None] = {}

    def __getitem__(self, config_id: int) -> str | None:
        if not self._texts:
            with self._engine.connect() as connection:
                for start in range(0, len(self._ids), _AT_ONCE):
                    some = self._ids[start : start + _AT_ONCE]
                    found = connection.execute(_TEXTS, {"ids": some})
                    self._texts.update({row.id: row.content for row in found})
        return self._texts.get(config_id)


def attach(run: Experiment, engine: Engine, texts: ConfigTexts) -> None:
    """Tell a run where it came from."""
    run.__dict__["_engine"] = engine
    run.__dict__["_config_texts"] = texts


def content(run: Experiment) -> dict[str, dict[str, Any]]:
    """The run's config as `schema.Config.content`."""
    texts = run.__dict__.get("_config_texts")
    if texts is None:
        texts = ConfigTexts(_engine(run), {run.config_id})
        run.__dict__["_config_texts"] = texts
    text = texts[run.config_id]
    return json.loads(text) if text else {}


def config(run: Experiment) -> ADict:
    """See `Experiment.config`."""
    return ADict(config_values(content(run)))


def history(run: Experiment, key: str) -> list[Write]:
    """See `Experiment.history`."""
    entries = content(run)
    if key not in entries:
        raise no_key(run.id, key, entries)
    return writes(entries[key])


def explain(run: Experiment, key: str) -> str:
    """See `Experiment.explain`."""
    return "\n".join(
        key_text(name, entry) for name, entry in key_or_below(run.id, content(run), key).items()
    )


def metrics(run: Experiment) -> list[Point]:
    """See `Experiment.metrics`."""
    with _engine(run).connect() as connection:
        return points(connection, run.id)


def fingerprints(run: Experiment) -> dict[str, str]:
    """See `Experiment.fingerprints`."""
    with _engine(run).connect() as connection:
        return fingerprints_of(connection, [run.id])[run.id]


def fingerprints_of(connection: Connection, run_ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """Run id → trace id → the logic fingerprint of its code in the run's last attempt."""
    found: dict[int, dict[str, Any]] = {run_id: {} for run_id in run_ids}
    for start in range(0, len(run_ids), _AT_ONCE):
        asked = {"ids": run_ids[start : start + _AT_ONCE]}
        for run_id, trace_id, logic in connection.execute(_FINGERPRINTS, asked):
            found[run_id][trace_id] = logic
    return found


_FINGERPRINTS = (
    select(Fingerprint.run_id, Fingerprint.trace_id, Fingerprint.logic)
    .join(Experiment, Experiment.id == Fingerprint.run_id)
    .where(
        Fingerprint.run_id.in_(bindparam("ids", expanding=True)),
        Fingerprint.attempt == Experiment.attempt,
        Fingerprint.role != "passed",
    )
    .order_by(Fingerprint.id)
)


def runtime_fingerprints(run: Experiment) -> dict[str, str]:
    """See `Experiment.runtime_fingerprints`."""
    with _engine(run).connect() as connection:
        of_run = (CALLS.c.run_id == run.id, CALLS.c.attempt == run.attempt, CALLS.c.rank == 0)
        forms = select(CALLS.c.form_id).where(*of_run).distinct()
        ids = (
            select(CALL_FORMS.c.trace_id).where(CALL_FORMS.c.id.in_(forms), _recorded()).distinct()
        )
        return {
            trace_id: output_versions(connection, trace_id, None, run.id)[run.id]
            for trace_id in connection.scalars(ids).all()
        }


def artifacts(run: Experiment) -> list[Artifact]:
    """See `Experiment.artifacts`."""
    # By time: those of the open run come through its journal, and others may be there before.
    query = select(Artifact).where(Artifact.run_id == run.id)
    query = query.order_by(Artifact.timestamp, Artifact.id)
    with Session(_engine(run), expire_on_commit=False) as session:
        return list(session.scalars(query))


def output_versions(
    connection: Connection, trace_id: str, project: int | None, run_id: int | None = None
) -> dict[int, str]:
    """Run id → the fingerprint of what the calls of a trace id gave, in the order of the calls."""
    query = (
        select(CALLS.c.run_id, CALL_FORMS.c.outcome, CALL_VALUES.c.output)
        .join(CALL_FORMS, CALL_FORMS.c.id == CALLS.c.form_id)
        .join(Experiment, Experiment.id == CALLS.c.run_id)
        .outerjoin(CALL_VALUES, and_(*(CALL_VALUES.c[n] == CALLS.c[n] for n in _KEYED)))
        .where(
            CALL_FORMS.c.trace_id == trace_id,
            _recorded(),
            CALLS.c.attempt == Experiment.attempt,
            CALLS.c.rank == 0,
        )
        .order_by(CALLS.c.run_id, CALLS.c.call_index, CALLS.c.sequence)
    )
    if project is not None:
        query = query.where(Experiment.project_id == project)
    if run_id is not None:
        query = query.where(CALLS.c.run_id == run_id)
    outputs: dict[int, list[Any]] = {}
    for run, outcome, output in connection.execute(query):
        leaves = json.loads(output) if output else {}
        by_path = {path: leaf[0] for path, leaf in leaves.items()}
        outputs.setdefault(run, []).append([outcome, by_path])
    return {run: value_hex(found) for run, found in outputs.items()}


def _recorded() -> Any:
    # A scope and the run itself have a record without output.
    return CALL_FORMS.c.kind.in_(("call", "value"))


def _engine(run: Experiment) -> Engine:
    engine = run.__dict__.get("_engine")
    if engine is None:
        session = Session.object_session(run)
        if session is None:
            raise StoreError(f"run {run.id} was not loaded by a finder and has no session")
        engine = session.get_bind().engine
    assert isinstance(engine, Engine)
    return engine
